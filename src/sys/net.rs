//! The network namespace's own loopback device. Source: netdevice(7).

use super::check_unit;
use super::fd::own;
use std::io;
use std::os::fd::AsRawFd;

/// `SIOCSIFFLAGS`, whose type differs between C libraries.
const SET_FLAGS: libc::Ioctl = 0x8914;

/// Sets the flags of `lo` to up and running; the kernel gives it 127.0.0.1 and ::1 then. Needs `CAP_NET_ADMIN`.
///
/// # Errors
/// As socket(2) and ioctl(2), `SIOCSIFFLAGS`.
pub fn bring_up_loopback() -> io::Result<()> {
    // SAFETY: takes integers only.
    let socket = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    // SAFETY: all-zero is a valid `ifreq`: it holds integers only.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = 0x1 | 0x40; // IFF_UP, IFF_RUNNING
    // SAFETY: `request` is an `ifreq` that outlives the call.
    check_unit(unsafe { libc::ioctl(socket.as_raw_fd(), SET_FLAGS, &raw const request) }.into())
}
