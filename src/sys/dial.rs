//! Connecting over TCP without waiting, and where packets would leave. Source: tcp(7), connect(2), udp(7).

use super::address::Encoded;
use super::check_unit;
use super::fd::own;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// A non-blocking, close-on-exec TCP socket that connects to `address`, or is connected already: it can be written to, or
/// has an error (`SO_ERROR`), once that is decided.
///
/// # Errors
/// As socket(2) and connect(2), but for `EINPROGRESS`.
pub fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, libc::SOCK_STREAM)?;
    match join(&socket, address) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
        Ok(()) => Ok(socket),
    }
}

/// The address that packets to `address` would come from: that of a datagram socket connected there. Nothing is sent.
/// It is `address` itself where that is an address of this machine.
///
/// # Errors
/// `ENETUNREACH`, `EADDRNOTAVAIL`, `EHOSTUNREACH` and others of connect(2) where there is no way.
pub fn source_for(address: IpAddr) -> io::Result<IpAddr> {
    // the port matters to nobody, but must not be 0 for every kernel to take it
    let address = SocketAddr::new(address, 443);
    let socket = socket(address, libc::SOCK_DGRAM)?;
    join(&socket, address)?;
    let mut own = Encoded::empty();
    let (room, length) = own.as_mut_ptr();
    // SAFETY: both pointers are into `own`, which says how much room there is.
    check_unit(unsafe { libc::getsockname(socket.as_raw_fd(), room, length) }.into())?;
    own.decode().map(|address| address.ip()).ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

fn socket(address: SocketAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: takes integers only.
    own(unsafe { libc::socket(family, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) }.into())
}

fn join(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let encoded = Encoded::new(address);
    // SAFETY: `encoded` outlives the call and says its own length.
    check_unit(unsafe { libc::connect(socket.as_raw_fd(), encoded.as_ptr(), encoded.length()) }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, wait_for};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn a_connection_is_made_without_waiting() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = connect(listener.local_addr().unwrap()).unwrap();
        assert!(wait_for(socket.as_fd(), Interest::Write, None).unwrap());
        let mut stream = TcpStream::from(socket);
        assert!(stream.take_error().unwrap().is_none());
        let mut other = listener.accept().unwrap().0;
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        stream.write_all(b"x").unwrap();
        let mut room = [0];
        other.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"x");
    }

    #[test]
    fn a_refusal_is_found_in_the_socket_or_told() {
        // an address of its own, so that no other test takes the port meanwhile
        let free = TcpListener::bind("127.83.1.9:0").unwrap().local_addr().unwrap();
        let refused = match connect(free) {
            Ok(socket) => {
                assert!(wait_for(socket.as_fd(), Interest::Write, None).unwrap());
                TcpStream::from(socket).take_error().unwrap().unwrap()
            }
            Err(error) => error,
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_address_of_this_machine_is_its_own_source() {
        for own in ["127.0.0.1", "127.9.9.9"] {
            let own: IpAddr = own.parse().unwrap();
            let source = source_for(own).unwrap();
            assert!(source.is_loopback(), "{source}");
        }
        assert_eq!(source_for("127.0.0.1".parse().unwrap()).unwrap(), "127.0.0.1".parse::<IpAddr>().unwrap());
        // nothing is sent there, and it is no address of ours whether there is a route or not
        let far: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(source_for(far).map_or(true, |source| source != far));
    }
}
