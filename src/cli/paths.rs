//! Paths among a new server's arguments: what it is told of, it is mostly meant to have.

use super::ask::{Said, ask};
use super::output::{Failed, IoFailed, visible};
use crate::config::{Access, Protected};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// A path that the server is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// As it stands among the arguments, without `--option=` in front.
    pub(super) written: String,
    pub(super) what: What,
}

/// What lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Directory,
    /// Nothing yet, in a directory that exists: a database that the server will make.
    Missing,
}

impl Told {
    /// What would be granted: the path itself, or the directory in which it is to be made.
    fn place(&self) -> &str {
        match self.what {
            What::File | What::Directory => &self.written,
            What::Missing => self.written.rsplit_once('/').map_or("/", |(parent, _)| parent),
        }
    }
}

/// What becomes of the paths that a server is told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) read: Vec<String>,
    pub(super) write: Vec<String>,
    /// Not granted: the profile says so in a comment.
    pub(super) left: Vec<String>,
}

impl Chosen {
    /// Whether a path lies in what the server may write already.
    fn covers(&self, path: &Path) -> bool {
        self.write.iter().any(|granted| path.starts_with(real(granted)))
    }
}

/// Absolute paths among words that exist or could be made, each once, in their order: whole words and what stands behind a `=`. What is
/// granted already, or lies in it, is left out.
pub(super) fn told<'a>(words: impl Iterator<Item = &'a str>, granted: &[PathBuf]) -> Vec<Told> {
    let mut found: Vec<Told> = Vec::new();
    for word in words {
        let path = match word.starts_with('/') {
            true => word,
            false => match word.split_once('=') {
                Some((_, value)) if value.starts_with('/') => value,
                _ => continue,
            },
        };
        let (real, what) = match Path::new(path).canonicalize() {
            Ok(real) if real.is_dir() => (real, What::Directory),
            Ok(real) => (real, What::File),
            Err(_) => match Path::new(path).parent().map(Path::canonicalize) {
                Some(Ok(parent)) if parent != Path::new("/") && parent.is_dir() => (parent, What::Missing),
                _ => continue,
            },
        };
        let known = found.iter().any(|told| told.written == path);
        // what the jail makes itself, and system directories that every jail shows
        let shown = ["/dev", "/proc", "/sys", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64"];
        let shown = shown.iter().any(|top| real.starts_with(top)) || real == Path::new("/tmp");
        if known || shown || granted.iter().any(|grant| real.starts_with(grant)) {
            continue;
        }
        found.push(Told { written: path.to_owned(), what });
    }
    found
}

/// What a person who looks at nothing gets: directories to work in, files to read; nothing that is protected or not there.
pub(super) fn by_default(told: Vec<Told>, protected: &Protected) -> Chosen {
    let mut chosen = Chosen::default();
    for told in told {
        let place = real(told.place());
        if chosen.covers(&place) {
            continue;
        }
        match told.what {
            _ if protected.hit(&place, Access::Read).is_some() => chosen.left.push(told.written),
            What::Directory if protected.hit(&place, Access::Write).is_none() => chosen.write.push(told.written),
            What::Directory | What::File => chosen.read.push(told.written),
            // a whole directory for one file is more than anybody said
            What::Missing => chosen.left.push(told.place().to_owned()),
        }
    }
    chosen
}

/// Asks about each; `None` where the person stops.
pub(super) fn by_asking(
    told: Vec<Told>,
    protected: &Protected,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<Option<Chosen>, Failed> {
    let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
    let mut chosen = Chosen::default();
    for told in told {
        let place = told.place().to_owned();
        if chosen.covers(&real(&place)) {
            continue;
        }
        if let Some(hit) = protected.hit(&real(&place), Access::Read) {
            let reason = hit.reason;
            let line =
                format!("the server is told of `{}`, which stays out of its reach: {reason}\n", visible(&told.written));
            output.write_all(line.as_bytes()).map_err(talk)?;
            chosen.left.push(told.written);
            continue;
        }
        let written = visible(&told.written);
        let question = match told.what {
            What::File => format!("the server is told of the file `{written}`: what may it do with it?"),
            What::Directory => format!("the server is told of the directory `{written}`: what may it do there?"),
            What::Missing => {
                format!(
                    "the server is told of `{written}`, which is not there: what may it do in `{}`?",
                    visible(&place)
                )
            }
        };
        match ask(&question, &[Said::Read, Said::Write, Said::Nothing, Said::Quit], input, output).map_err(talk)? {
            Said::Read => chosen.read.push(place),
            Said::Write => chosen.write.push(place),
            Said::Quit => return Ok(None),
            _ => chosen.left.push(place),
        }
    }
    Ok(Some(chosen))
}

fn real(path: &str) -> PathBuf {
    Path::new(path).canonicalize().unwrap_or_else(|_| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_among_words() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let words = [at("in"), format!("--db={}", at("file")), at("in"), at("absent"), "/usr".into(), "in".into()];
        let found = told(words.iter().map(String::as_str), &[]);
        assert_eq!(
            found,
            [
                Told { written: at("in"), what: What::Directory },
                Told { written: at("file"), what: What::File },
                Told { written: at("absent"), what: What::Missing },
            ]
        );
        assert!(told(words.iter().map(String::as_str), &[root]).is_empty(), "all of it is granted");
    }
}
