//! Signals as a descriptor, and the signal state that a program expects at its start.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// The signals that ask mcpjail to end.
pub const ENDING: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Signals that are blocked and read from a descriptor instead (`signalfd(2)`).
#[derive(Debug)]
pub struct SignalFd(File);

impl SignalFd {
    /// Blocks [`ENDING`] in this thread, and thus in those that it starts, and opens a descriptor for them.
    ///
    /// To be called while the process has one thread: a signal goes to any thread that does not block it.
    pub fn block_ending() -> io::Result<Self> {
        Self::block(&ENDING)
    }

    /// The same for other signals.
    ///
    /// # Errors
    /// As signalfd(2).
    pub fn block(signals: &[i32]) -> io::Result<Self> {
        let set = signal_set(signals)?;
        set_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: `set` is an initialised signal set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just made this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self(File::from(fd)))
    }

    /// The number of the next signal that has arrived, `None` when there is none. Never waits.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        match (&self.0).read(&mut record) {
            Ok(_) => Ok(record.first_chunk().and_then(|number| i32::try_from(u32::from_ne_bytes(*number)).ok())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks [`ENDING`] in this thread and in those that it starts: nothing but SIGKILL ends them.
///
/// # Errors
/// As sigprocmask(2).
pub fn hold_ending() -> io::Result<()> {
    set_mask(libc::SIG_BLOCK, &signal_set(&ENDING)?)
}

/// Gives a program that is about to be executed the signal state it expects: nothing blocked, and the default for
/// SIGPIPE, which Rust ignores, for SIGCHLD and for [`ENDING`]. Only makes async-signal-safe calls.
pub fn reset_for_exec() -> io::Result<()> {
    for signal in ENDING.into_iter().chain([libc::SIGPIPE, libc::SIGCHLD]) {
        // SAFETY: setting the default disposition installs no handler.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    set_mask(libc::SIG_SETMASK, &signal_set(&[])?)
}

fn signal_set(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call initialises the set that it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for &signal in signals {
        // SAFETY: the set was initialised above.
        if unsafe { libc::sigaddset(set.as_mut_ptr(), signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: `sigemptyset` initialised it.
    Ok(unsafe { set.assume_init() })
}

fn set_mask(how: i32, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is an initialised signal set, and the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// For tests: this thread's kernel id.
#[cfg(test)]
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// For tests: sends a signal to one thread of this process, since the test harness's other threads block nothing.
#[cfg(test)]
pub(crate) fn send_to_thread(thread: i32, signal: i32) {
    // SAFETY: both arguments are plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, signal) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, wait_for};

    #[test]
    fn blocked_signals_arrive_at_the_descriptor() {
        let signals = SignalFd::block_ending().unwrap();
        assert_eq!(signals.next().unwrap(), None);
        send_to_thread(thread_id(), libc::SIGHUP);
        assert!(wait_for(signals.as_fd(), Interest::Read, None).unwrap());
        assert_eq!(signals.next().unwrap(), Some(libc::SIGHUP));
        assert_eq!(signals.next().unwrap(), None);
    }
}
