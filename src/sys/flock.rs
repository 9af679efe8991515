//! Locks of open files that end with them: flock(2).

use super::check_unit;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What is done to a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flock {
    /// Taken with others.
    Shared,
    /// Taken alone.
    Exclusive,
    /// Let go, also where a child process has inherited the descriptor.
    Unlock,
}

/// Takes or lets go the lock of an open file or directory, without waiting: whether that was possible.
///
/// # Errors
/// As flock(2), but for `EWOULDBLOCK`.
pub fn flock(file: BorrowedFd<'_>, what: Flock) -> io::Result<bool> {
    let operation = match what {
        Flock::Shared => libc::LOCK_SH,
        Flock::Exclusive => libc::LOCK_EX,
        Flock::Unlock => libc::LOCK_UN,
    };
    // SAFETY: takes a descriptor and a number.
    match check_unit(unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) }.into()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
