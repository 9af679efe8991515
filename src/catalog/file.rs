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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Diagnose;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn saved_and_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/x.lock.json");
        assert_eq!(load(&path).unwrap(), None);
        assert_eq!(save(&path, b"one", Replace::No).unwrap(), Saved::Written);
        assert_eq!(load(&path).unwrap().unwrap(), b"one");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&folder.path().join("a")), 0o700);
        assert_eq!(save(&path, b"two", Replace::No).unwrap(), Saved::Existed);
        assert_eq!(load(&path).unwrap().unwrap(), b"one");
        assert_eq!(save(&path, b"", Replace::Yes).unwrap(), Saved::Written);
        assert_eq!(load(&path).unwrap().unwrap(), b"");
        assert_eq!(names(path.parent().unwrap()), ["x.lock.json"], "no draft stays");
    }

    #[test]
    fn a_reader_never_sees_half_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock.json");
        let texts = [vec![b'a'; 300_000], vec![b'b'; 200_000]];
        let _saved = save(&path, &texts[0], Replace::Yes).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for turn in 0..40 {
                    let _saved = save(&path, &texts[turn % 2], Replace::Yes).unwrap();
                }
            });
            while !writer.is_finished() {
                assert!(texts.contains(&load(&path).unwrap().unwrap()));
            }
        });
    }

    /// Of many that would be first, one is; the others learn so.
    #[test]
    fn one_of_many_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock.json");
        let one = |number: u8| save(&path, &[number], Replace::No).unwrap();
        let saved: Vec<(u8, Saved)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| (number, scope.spawn(move || one(number)))).collect();
            threads.into_iter().map(|(number, thread)| (number, thread.join().unwrap())).collect()
        });
        let first: Vec<u8> =
            saved.iter().filter(|(_, saved)| *saved == Saved::Written).map(|(number, _)| *number).collect();
        assert_eq!(first.len(), 1);
        assert_eq!(load(&path).unwrap().unwrap(), first);
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn links_are_neither_read_nor_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("secret"), folder.path().join("x.lock.json"));
        fs::write(&target, "precious").unwrap();
        for to in ["secret", "nowhere", "/dev/zero"] {
            symlink(to, &path).unwrap();
            assert!(matches!(load(&path).unwrap_err().problem(), LockProblem::Symlink), "{to}");
            for replace in [Replace::Yes, Replace::No] {
                assert!(matches!(save(&path, b"x", replace).unwrap_err().problem(), LockProblem::Symlink), "{to}");
            }
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert!(!folder.path().join("nowhere").exists());
        // Directories may be kept elsewhere.
        fs::create_dir(folder.path().join("real")).unwrap();
        symlink("real", folder.path().join("link")).unwrap();
        let below = folder.path().join("link/x.lock.json");
        assert_eq!(save(&below, b"x", Replace::No).unwrap(), Saved::Written);
        assert_eq!(load(&below).unwrap().unwrap(), b"x");
    }

    #[test]
    fn special_files_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for path in [fifo.as_path(), &socket, folder.path(), Path::new("/dev/zero")] {
            let error = load(path).unwrap_err();
            assert!(matches!(error.problem(), LockProblem::NotRegular { .. }), "{error}");
            assert_eq!(error.code(), "lock-unreadable");
            assert!(save(path, b"x", Replace::Yes).is_err());
        }
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock.json");
        fs::write(&path, "x").unwrap();
        let with = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            load(&path)
        };
        assert!(with(0o600).is_ok() && with(0o644).is_ok());
        let error = with(0o666).unwrap_err();
        assert!(matches!(error.problem(), LockProblem::Insecure { .. }));
        assert!(error.hint().unwrap().starts_with("`chmod go-w "));
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(with(0o660).is_ok(), metadata.uid() == metadata.gid());
        // Somebody else's; only root can make one.
        if metadata.uid() == 0 {
            std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
            assert!(with(0o600).unwrap_err().to_string().contains("belongs to user 12345"));
        }
    }

    #[test]
    fn a_file_as_large_as_a_disk_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock.json");
        File::create(&path).unwrap().set_len(LARGEST_LOCK + 1).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(load(&path).unwrap_err().problem(), LockProblem::TooLarge { .. }));
        // A file that says nothing of its size is read to its end, and no further than the limit.
        assert!(load(Path::new("/proc/self/status")).unwrap().is_some_and(|text| text.starts_with(b"Name:")));
    }

    #[test]
    fn where_nothing_can_be_written() {
        let error = save(Path::new("/proc/none/x.lock.json"), b"x", Replace::Yes).unwrap_err();
        assert!(matches!(error.problem(), LockProblem::Io { doing: "write", .. }));
        assert!(std::error::Error::source(&error).is_some());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(save(&folder.path().join("file/x.lock.json"), b"x", Replace::Yes).is_err());
        assert!(load(&folder.path().join("file/x.lock.json")).is_err() || folder.path().join("file").is_file());
    }
}
