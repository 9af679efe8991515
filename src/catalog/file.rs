//! The lock as a file: read whole if it is one that only the user writes, replaced in one step.

use super::lock_error::{LockError, LockProblem, shell};
use crate::sys::process;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest lock that is read, bytes.
pub const LARGEST_LOCK: u64 = 256 << 20;

/// What to do with a lock that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Put the new one in its place.
    Yes,
    /// Leave it as it is.
    No,
}

/// What became of a lock that was to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It is on the disk.
    Written,
    /// There was one, and it was to be left: nothing was written.
    Existed,
}

/// Reads a lock file; `None` where there is none.
///
/// The file may come from a repository of a stranger's, so nothing is waited for or followed: it must be a regular file
/// that belongs to the user or to root, that nobody else can write, and not larger than [`LARGEST_LOCK`]. Symbolic links
/// among the directories above it are followed.
///
/// # Errors
/// It is anything else, or cannot be read.
pub fn load(path: &Path) -> Result<Option<Vec<u8>>, LockError> {
    let fail = |problem| LockError::of(path, problem);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            // What open(2) says of a symbolic link and of a socket.
            let problem = match error.raw_os_error() {
                Some(libc::ELOOP) => LockProblem::Symlink,
                Some(libc::ENXIO) => LockProblem::NotRegular { kind: "a socket or a device" },
                _ => LockProblem::Io { doing: "read", error },
            };
            return Err(fail(problem));
        }
    };
    let unreadable = |error| fail(LockProblem::Io { doing: "read", error });
    let metadata = file.metadata().map_err(unreadable)?;
    check(&metadata, path).map_err(fail)?;
    // One byte more than the file has, so that its end is met without growing.
    let size = usize::try_from(metadata.len().min(LARGEST_LOCK)).unwrap_or(0);
    let mut text = Vec::with_capacity(size + 1);
    (&mut file).take(LARGEST_LOCK + 1).read_to_end(&mut text).map_err(unreadable)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= LARGEST_LOCK) {
        Ok(Some(text))
    } else {
        Err(fail(LockProblem::TooLarge { limit: LARGEST_LOCK }))
    }
}

/// Writes a lock file in one step: whoever reads it meanwhile has the old one or the new one whole, and so has whoever
/// looks after a crash. Missing directories are made, for the user alone (mode 0700); the file's mode is 0600.
///
/// A symbolic link is not written through: in a repository of a stranger's it could lead to any file of the user's.
///
/// # Errors
/// A directory cannot be made, the file cannot be written, or what is there is no file that a lock could replace.
pub fn save(path: &Path, text: &[u8], replace: Replace) -> Result<Saved, LockError> {
    let fail = |problem| LockError::of(path, problem);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_symlink() => return Err(fail(LockProblem::Symlink)),
        Ok(metadata) => {
            if let Some(kind) = not_regular(&metadata) {
                return Err(fail(LockProblem::NotRegular { kind }));
            }
            if replace == Replace::No {
                return Ok(Saved::Existed);
            }
        }
        Err(_) => {}
    }
    let unwritable = |error| fail(LockProblem::Io { doing: "write", error });
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unwritable)?;
    let draft = Draft::write(path, directory, text).map_err(unwritable)?;
    let saved = match replace {
        Replace::Yes => draft.rename(path).map(|()| Saved::Written),
        Replace::No => draft.place(path),
    };
    let saved = saved.map_err(unwritable)?;
    // The new name is on the disk only when the directory is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unwritable)?;
    Ok(saved)
}

/// A complete file beside the one that it is to become. Removed unless it becomes that.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, directory: &Path, text: &[u8]) -> io::Result<Draft> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let file_name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        loop {
            let mut name = OsString::from(".");
            name.push(file_name);
            name.push(format!(".{}-{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            let draft = directory.join(name);
            // A new file only: what another process left there is neither followed nor overwritten.
            let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let draft = Draft(draft);
            file.write_all(text)?;
            file.sync_all()?;
            return Ok(draft);
        }
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)?;
        // It has the other name now; there is nothing to remove.
        std::mem::forget(self);
        Ok(())
    }

    /// Gives it the name unless something has that.
    fn place(self, path: &Path) -> io::Result<Saved> {
        match fs::hard_link(&self.0, path) {
            Ok(()) => Ok(Saved::Written),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Saved::Existed),
            // A file system without hard links, such as FAT: whoever makes the empty file may replace it.
            Err(_) => match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Ok(_) => self.rename(path).map(|()| Saved::Written),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Saved::Existed),
                Err(error) => Err(error),
            },
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Best effort: a draft that stays does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whoever can write the lock decides what the server may publish: that must be the user or root.
fn check(metadata: &Metadata, path: &Path) -> Result<(), LockProblem> {
    if let Some(kind) = not_regular(metadata) {
        return Err(LockProblem::NotRegular { kind });
    }
    if metadata.len() > LARGEST_LOCK {
        return Err(LockProblem::TooLarge { limit: LARGEST_LOCK });
    }
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    let (uid, _) = process::user();
    if owner != uid && owner != 0 {
        let reason = format!("it belongs to user {owner}, neither to you ({uid}) nor to root");
        return Err(LockProblem::Insecure { reason, remedy: format!("`sudo chown $USER {}`", shell(path)) });
    }
    // A group of the owner's own number is the owner's alone, and such users have a umask of 002.
    if mode & 0o002 != 0 || (mode & 0o020 != 0 && group != owner) {
        let reason = format!("others can write it (mode {:03o})", mode & 0o777);
        return Err(LockProblem::Insecure { reason, remedy: format!("`chmod go-w {}`", shell(path)) });
    }
    Ok(())
}

fn not_regular(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a FIFO"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}
