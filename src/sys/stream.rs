//! TCP connections that are taken, never made: what a program without the right to open sockets does with them. Source:
//! accept(2), socket(7), tcp(7).

use super::address::Encoded;
use super::fd::own;
use super::{check, check_unit};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The next connection that waits, non-blocking and close-on-exec.
///
/// # Errors
/// As accept(2).
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let nowhere = std::ptr::null_mut();
    // SAFETY: without room for an address the call takes integers only.
    own(unsafe { libc::accept4(listener.as_raw_fd(), nowhere, nowhere.cast(), flags) }.into())
}

/// This side's address of a connection; where every address is local it is the one that the other side connected to. An
/// IPv4 address that a socket of IPv6 shows as a mapped one is given as IPv4.
///
/// # Errors
/// As getsockname(2); `EAFNOSUPPORT` for a socket of another family.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let mut own = Encoded::empty();
    let (room, length) = own.as_mut_ptr();
    // SAFETY: both pointers are into `own`, which says how much room there is.
    check_unit(unsafe { libc::getsockname(socket.as_raw_fd(), room, length) }.into())?;
    let address = own.decode().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Takes the error off a socket that a connect or the other side has left there: its errno, 0 where there is none.
///
/// # Errors
/// As getsockopt(2), `SO_ERROR`.
pub fn take_error(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    let mut size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    let (fd, level, room) = (socket.as_raw_fd(), libc::SOL_SOCKET, (&raw mut value).cast());
    // SAFETY: `value` is room for the answer, and `size` says how much.
    check_unit(unsafe { libc::getsockopt(fd, level, libc::SO_ERROR, room, &raw mut size) }.into())?;
    Ok(value)
}

/// Sends small writes at once (`TCP_NODELAY`), and keeps what was sent as urgent in its place (`SO_OOBINLINE`).
///
/// # Errors
/// As setsockopt(2).
pub fn pass_on(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &on)?;
    set(socket, libc::SOL_SOCKET, libc::SO_OOBINLINE, &on)
}

/// Closes a connection so that the other side sees it reset, and drops what was not delivered.
pub fn reset(socket: OwnedFd) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    // where that fails the connection is closed all the same
    let _closed_anyway = set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &at_once);
}

/// Tells the other side that nothing more will come.
///
/// # Errors
/// As shutdown(2).
pub fn finish(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes integers only.
    check_unit(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }.into())
}

/// Reads what is there, at most as much as there is room for; 0 at the end. Never waits.
///
/// # Errors
/// As recv(2).
pub fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `room` may be written as far as its length says.
    let count = unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
    length(count)
}

/// Writes as much as fits. Never waits, and raises no signal where nobody reads any more.
///
/// # Errors
/// As send(2).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` may be read as far as its length says.
    let count = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    length(count)
}

fn length(count: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(check(count as libc::c_long)?).map_err(io::Error::other)
}

fn set<T>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let value = (&raw const *value).cast();
    // SAFETY: `value` is of the type that the option has, as the callers in this file see to, and outlives the call.
    check_unit(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, size) }.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Sends a byte out of band.
    pub(crate) fn send_urgent(socket: BorrowedFd<'_>, byte: u8) {
        // SAFETY: one byte may be read.
        let count = unsafe { libc::send(socket.as_raw_fd(), (&raw const byte).cast(), 1, libc::MSG_OOB) };
        assert_eq!(count, 1, "{}", io::Error::last_os_error());
    }

    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    /// A connection: the side that connected, and the accepted one.
    fn pair() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (stream, accept(listener.as_fd()).unwrap())
    }

    #[test]
    fn nothing_here_waits() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(accept(listener.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let (mut stream, accepted) = pair();
        let mut room = [0; 8];
        assert_eq!(receive(accepted.as_fd(), &mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let full = loop {
            match send(accepted.as_fd(), &[7; 65536]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        stream.read_exact(&mut room).unwrap();
        assert_eq!(room, [7; 8]);
    }

    #[test]
    fn a_mapped_address_is_given_as_ipv4() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else { return };
        let port = listener.local_addr().unwrap().port();
        for address in [SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), port)), (Ipv6Addr::LOCALHOST, port).into()] {
            let _stream = TcpStream::connect(address).unwrap();
            assert_eq!(local_address(accept(listener.as_fd()).unwrap().as_fd()).unwrap(), address);
        }
        let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(local_address(unix.as_fd()).unwrap_err().raw_os_error(), Some(libc::EAFNOSUPPORT));
    }

    #[test]
    fn ends_and_resets_arrive_as_such() {
        let (mut stream, accepted) = pair();
        pass_on(accepted.as_fd()).unwrap();
        finish(accepted.as_fd()).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        stream.write_all(b"x").unwrap();
        assert_eq!(receive(accepted.as_fd(), &mut [0; 8]).unwrap(), 1);
        reset(accepted);
        assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
        assert!(stream.write_all(b"x").is_err() || stream.write_all(b"x").is_err());

        let (mut stream, accepted) = pair();
        reset(accepted);
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
        let (stream, accepted) = pair();
        reset(stream.into());
        while take_error(accepted.as_fd()).unwrap() != libc::ECONNRESET {}
        assert_eq!(take_error(accepted.as_fd()).unwrap(), 0, "an error is taken once");
    }

    #[test]
    fn writing_to_nobody_raises_no_signal() {
        let (stream, accepted) = pair();
        reset(stream.into());
        while send(accepted.as_fd(), b"x").is_ok() {}
        assert_eq!(send(accepted.as_fd(), b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
