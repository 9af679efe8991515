//! The only unsafe code: thin wrappers of Linux system calls, one concept a file.
//!
//! Every function returns `io::Error` with the kernel's errno and does no policy. Where libc has no wrapper the raw
//! system call is made; the calls whose numbers are the same on every architecture (424 and above) have theirs here.
#![allow(unsafe_code, reason = "system calls are unsafe; this module is where they are made safe")]

pub mod pidfd;
pub mod poll;
pub mod signal;
