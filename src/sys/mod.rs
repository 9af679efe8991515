//! The only unsafe code: thin wrappers of Linux system calls, and of a few instructions, one concept a file.
//!
//! Every function returns `io::Error` with the kernel's errno and does no policy. Where libc has no wrapper the raw
//! system call is made; the calls whose numbers are the same on every architecture (424 and above) have theirs here.
#![allow(
    unsafe_code,
    reason = "system calls and vector instructions are unsafe; this module is where they are made safe"
)]

mod address;
#[cfg(target_env = "musl")]
pub mod alloc;
pub mod attempt;
pub mod caps;
pub mod clone;
pub mod datagram;
pub mod dial;
pub mod entry;
pub mod epoll;
pub mod fd;
pub mod filter;
pub mod flock;
pub mod landlock;
#[cfg(target_arch = "x86_64")]
pub mod lane;
pub mod message;
pub mod mount;
pub mod netlink;
#[cfg(test)]
pub(crate) mod own_network;
pub mod pidfd;
pub mod poll;
pub mod process;
pub mod resolve;
pub mod signal;
pub mod socket;
pub mod stream;

use std::io;

/// Turns the `-1` convention of libc into a `Result`.
fn check(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// [`check`] for calls whose value means nothing.
fn check_unit(value: libc::c_long) -> io::Result<()> {
    check(value).map(drop)
}

/// A value that the kernel gave as a C `long` and that is an `int` by its contract (a descriptor, a pid).
fn int(value: libc::c_long) -> io::Result<i32> {
    i32::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
}
