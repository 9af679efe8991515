//! What can be wrong with a lock, and what to do about it.

use super::item::Kind;
use super::visible::{named, visible};
use crate::diagnose::{Diagnose, Exit, shell_path};
use crate::json;
use std::io;
use std::path::{Path, PathBuf};

/// An error of a lock file: a [`LockProblem`] and where it stands.
#[derive(Debug)]
pub struct LockError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    origin: PathBuf,
    place: Option<(usize, usize)>,
    problem: LockProblem,
}

/// What is wrong, without the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockProblem {
    /// Not the strict kind of JSON.
    #[error("{}", without_offset(.0))]
    NotJson(json::Fault),
    /// What git leaves where two branches changed the same lines.
    #[error("an unresolved merge conflict")]
    Conflict,
    /// A lock of another version of the format, later than this program.
    #[error("format version {found} is newer than this version of mcpjail")]
    Newer {
        /// The version.
        found: i64,
    },
    /// JSON, but not in the shape of a lock; the reason in words.
    #[error("{0}")]
    Shape(String),
    /// An item and its digest do not belong together.
    #[error("the {kind} {} is not what its `sha256` says: one of them was edited without the other", named(name))]
    ItemEdited {
        /// What it is.
        kind: Kind,
        /// Its name; empty for the server.
        name: String,
    },
    /// The root does not belong to the digests.
    #[error("`root` does not match the rest of the file: something was edited by hand or merged from two versions")]
    RootMismatch,
    /// The file is there and cannot be read or written.
    #[error("cannot {doing} it")]
    Io {
        /// "read", "write".
        doing: &'static str,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// A directory, FIFO, socket or device.
    #[error("it is {kind}, not a regular file")]
    NotRegular {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A symbolic link. Writing through one would overwrite a file that somebody else chose.
    #[error("it is a symbolic link")]
    Symlink,
    /// Somebody else could have written it.
    #[error("{reason}")]
    Insecure {
        /// Who may write it.
        reason: String,
        /// The command that mends that.
        remedy: String,
    },
    /// Larger than any lock is.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

impl LockError {
    /// An error at an offset of the lock's text.
    #[cold]
    pub(super) fn at(origin: &Path, text: &[u8], offset: usize, problem: LockProblem) -> LockError {
        let (offset, problem) = match conflict(text) {
            Some(marker) => (marker, LockProblem::Conflict),
            None => (offset, problem),
        };
        let before = text.get(..offset.min(text.len())).unwrap_or_default();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |feed| feed + 1);
        // Bytes that continue a character do not count.
        let column = before.iter().skip(start).filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
        LockError(Box::new(Inner { origin: origin.to_owned(), place: Some((line, column)), problem }))
    }

    /// An error of the whole file.
    #[cold]
    pub(super) fn of(origin: &Path, problem: LockProblem) -> LockError {
        LockError(Box::new(Inner { origin: origin.to_owned(), place: None, problem }))
    }

    /// Line and column, both from 1, columns in characters; `None` where the whole file is meant.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.0.place
    }

    /// The file.
    pub fn origin(&self) -> &Path {
        &self.0.origin
    }

    /// What is wrong.
    pub fn problem(&self) -> &LockProblem {
        &self.0.problem
    }
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { origin, place, problem } = &*self.0;
        f.write_str(&visible(&origin.to_string_lossy()))?;
        if let Some((line, column)) = place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {problem}")
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.problem)
    }
}

impl Diagnose for LockError {
    fn code(&self) -> &'static str {
        use LockProblem as P;
        match &self.0.problem {
            P::NotJson(_) | P::Conflict | P::Shape(_) | P::ItemEdited { .. } | P::RootMismatch => "lock-invalid",
            P::Newer { .. } => "lock-newer",
            P::Io { .. } | P::NotRegular { .. } | P::Symlink | P::Insecure { .. } | P::TooLarge { .. } => {
                "lock-unreadable"
            }
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        use LockProblem as P;
        let path = shell(&self.0.origin);
        let approve = approve(&self.0.origin);
        Some(match &self.0.problem {
            P::Conflict => format!("keep one side with `git checkout --theirs {path}`, then run {approve}"),
            P::Newer { .. } => format!("update mcpjail, or write the lock anew with {approve}"),
            P::NotJson(_) | P::Shape(_) | P::ItemEdited { .. } | P::RootMismatch => {
                format!("take the file back from version control, or review the server again with {approve}")
            }
            P::Io { .. } => format!("see `ls -l {path}`"),
            P::NotRegular { .. } | P::Symlink | P::TooLarge { .. } => {
                format!("remove it with `rm {path}`, then run {approve}")
            }
            P::Insecure { remedy, .. } => remedy.clone(),
        })
    }
}

/// The command that approves anew. The server's name is the file's.
fn approve(origin: &Path) -> String {
    let file = origin.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let plain = |name: &&str| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let name = file.strip_suffix(".lock.json").filter(plain).unwrap_or("NAME");
    format!("`mcpjail approve {name}`")
}

/// A path as one shell word, on one line.
pub(super) fn shell(path: &Path) -> String {
    shell_path(visible(&path.to_string_lossy()))
}

/// The offset of the first of git's conflict markers. JSON has none: no line of it begins so, inside strings or not.
fn conflict(text: &[u8]) -> Option<usize> {
    let markers = [&b"<<<<<<< "[..], b"||||||| ", b"=======\n", b">>>>>>> "];
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text).map(|feed| feed + 1));
    let mut starts = starts
        .filter(|&start| text.get(start..).is_some_and(|rest| markers.iter().any(|marker| rest.starts_with(marker))));
    starts.next()
}

/// A fault's message without its offset, which line and column say better.
fn without_offset(fault: &json::Fault) -> String {
    let message = fault.to_string();
    message.rsplit_once(" at byte ").map_or(message.as_str(), |(what, _)| what).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let place = |offset| {
            let text = "{\n äx: 1\n}".as_bytes();
            LockError::at(Path::new("x"), text, offset, LockProblem::RootMismatch).place().unwrap()
        };
        assert_eq!([place(0), place(2), place(5), place(100)], [(1, 1), (2, 1), (2, 3), (3, 2)]);
    }

    #[test]
    fn merge_conflicts_have_their_own_message() {
        let text = b"{\n  \"version\": 1,\n<<<<<<< HEAD\n  \"root\": 1\n";
        let problem = LockProblem::Shape("whatever".to_owned());
        let error = LockError::at(Path::new("/locks/files.lock.json"), text, 3, problem);
        assert_eq!(error.to_string(), "/locks/files.lock.json:3:1: an unresolved merge conflict");
        assert!(error.hint().unwrap().ends_with("then run `mcpjail approve files`"));
        assert_eq!(error.code(), "lock-invalid");
    }

    #[test]
    fn hints_are_safe_to_paste() {
        let hint = |origin: &str| LockError::of(Path::new(origin), LockProblem::Symlink).hint().unwrap();
        assert!(hint("/x/a;b.lock.json").contains("rm '/x/a;b.lock.json'"));
        assert!(hint("/x/$(id).lock.json").ends_with("`mcpjail approve NAME`"));
        assert!(hint("/x/--help.lock.json").ends_with("`mcpjail approve NAME`"));
        let error = LockError::of(Path::new("/x\u{1b}[2J"), LockProblem::Symlink);
        assert!(!error.to_string().chars().any(char::is_control));
    }
}
