//! The only unsafe code: thin wrappers of Linux system calls, one concept a file.
#![allow(unsafe_code, reason = "system calls are unsafe; this module is where they are made safe")]

pub mod pidfd;
pub mod poll;
pub mod signal;
