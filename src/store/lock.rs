//! Locks by flock(2): they end with the process that has them, however it ends.

use super::StoreError;
use crate::sys::flock::{Flock, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long somebody is waited for who should be done soon.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a lock is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

/// A lock of a file that is there for it. Ends when dropped, also where a child process has inherited the descriptor.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// The lock that was taken of an open file.
    pub(super) fn of(file: File) -> Lock {
        Lock(file)
    }

    /// Makes an exclusive lock a shared one. Not in one step: somebody may be quicker.
    pub(super) fn lower(&self) -> io::Result<()> {
        // Nobody else has it, and who tries to does so for a moment only.
        while !flock(self.0.as_fd(), Flock::Shared)? {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ends_with_the_descriptor_anyway = flock(self.0.as_fd(), Flock::Unlock);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Shared,
    Exclusive,
}

/// Takes the lock of `path` (made when absent) or says that somebody else has it.
pub(super) fn attempt(path: &Path, how: How) -> Result<Option<Lock>, StoreError> {
    let failed = |error| StoreError::io("lock", path, error);
    loop {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path);
        let file = open.map_err(failed)?;
        if !attempt_open(&file, how).map_err(failed)? {
            return Ok(None);
        }
        // Whoever had it before may have removed the file: then this one is nobody's.
        if is_at(&file, path).map_err(failed)? {
            return Ok(Some(Lock(file)));
        }
    }
}

/// Takes the lock of `path`, waiting for those who should be done soon.
pub(super) fn wait(path: &Path, how: How, name: &str) -> Result<Lock, StoreError> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = attempt(path, how)? {
            return Ok(lock);
        }
        if Instant::now() > until {
            return Err(StoreError::Busy { name: name.into() });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Takes the lock of an open file or directory, without waiting: whether it got it.
pub(super) fn attempt_open(file: &File, how: How) -> io::Result<bool> {
    flock(
        file.as_fd(),
        match how {
            How::Shared => Flock::Shared,
            How::Exclusive => Flock::Exclusive,
        },
    )
}

/// Whether an open file is still what stands at `path`.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.busy");
        let first = attempt(&path, How::Exclusive).unwrap().unwrap();
        assert!(attempt(&path, How::Exclusive).unwrap().is_none());
        assert!(attempt(&path, How::Shared).unwrap().is_none());
        drop(first);
        let (one, two) = (attempt(&path, How::Shared).unwrap(), attempt(&path, How::Shared).unwrap());
        assert!(one.is_some() && two.is_some());
        assert!(attempt(&path, How::Exclusive).unwrap().is_none());
        drop(one);
        assert!(attempt(&path, How::Exclusive).unwrap().is_none());
        drop(two);
        assert!(attempt(&path, How::Exclusive).unwrap().is_some());
    }

    /// A lock on a file that was removed meanwhile would be beside that of the next one.
    #[test]
    fn a_removed_lock_is_nobody_s() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.busy");
        let first = attempt(&path, How::Exclusive).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = attempt(&path, How::Exclusive).unwrap().unwrap();
        assert!(is_at(&second.0, &path).unwrap());
        assert!(!is_at(&first.0, &path).unwrap());
    }
}
