//! Processes by descriptor: a number can be reused, a `pidfd` cannot.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

/// A close-on-exec descriptor for the process `pid` (`pidfd_open(2)`), readable once it has ended.
///
/// Only safe from reuse of the number when `pid` is a child that has not been waited for.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: both arguments are plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process; an `ESRCH` error says that it has been waited for.
pub fn send_signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let info: *const libc::siginfo_t = ptr::null();
    // SAFETY: the descriptor is borrowed for the call, and a null information asks for what kill(2) gives.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, info, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until the process, which must be a child, has ended, and reaps it (`waitid(2)` with `P_PIDFD`).
pub fn wait(process: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    let id = libc::id_t::try_from(process.as_raw_fd()).map_err(io::Error::other)?;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        // SAFETY: the descriptor is borrowed for the call, and `info` may be written.
        if unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), libc::WEXITED) } == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all zeroes is a valid value, and the call has filled it in.
    let info = unsafe { info.assume_init() };
    // SAFETY: `waitid` filled in the fields of SIGCHLD.
    let status = unsafe { info.si_status() };
    // The encoding of wait(2): the code in the second byte, or the signal and the flag of a core dump in the first.
    Ok(ExitStatus::from_raw(match info.si_code {
        libc::CLD_EXITED => status << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, wait_for};
    use std::os::fd::AsFd;
    use std::process::Command;

    #[test]
    #[expect(clippy::zombie_processes, reason = "reaped by the function under test")]
    fn codes_and_signals_are_told_apart() {
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let process = open(child.id()).unwrap();
        assert!(wait_for(process.as_fd(), Interest::Read, None).unwrap());
        assert_eq!(wait(process.as_fd()).unwrap().code(), Some(7));
        assert_eq!(send_signal(process.as_fd(), libc::SIGTERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));

        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = open(child.id()).unwrap();
        send_signal(process.as_fd(), libc::SIGTERM).unwrap();
        assert_eq!(wait(process.as_fd()).unwrap().signal(), Some(libc::SIGTERM));
    }
}
