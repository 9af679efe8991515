//! Datagrams that are answered from the address that they were sent to, on a socket bound to every address. Source: ip(7)
//! `IP_PKTINFO`, ipv6(7) `IPV6_PKTINFO`, RFC 3542.
#![allow(clippy::useless_conversion, reason = "the types of lengths differ between C libraries")]

use super::address::Encoded;
use super::check;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Room for one control message of either family, in units that are aligned as `cmsghdr` must be.
const CONTROL: usize = 16;

/// Where a datagram came from and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Who sent it.
    pub from: SocketAddr,
    /// The address of this side that it was sent to.
    pub to: IpAddr,
}

/// Receives one datagram into `room`: how many bytes, and its way. Never waits. The socket must have been told to give
/// the way of each (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
///
/// # Errors
/// As recvmsg(2); `InvalidData` for what does not fit or tells no way; there may be more behind it.
pub fn receive(socket: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<(usize, Route)> {
    let mut control = [0u64; CONTROL];
    let mut sender = Encoded::empty();
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    let (name, length) = sender.as_mut_ptr();
    header.msg_name = name.cast();
    // SAFETY: `length` points into `sender`.
    header.msg_namelen = unsafe { length.read() };
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control).try_into().map_err(io::Error::other)?;
    // SAFETY: `header` points at memory that outlives the call and may be written.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let count = usize::try_from(check(count as libc::c_long)?).map_err(io::Error::other)?;
    // SAFETY: as above; the kernel wrote how long the address is.
    unsafe { length.write(header.msg_namelen) };
    let way = (sender.decode(), destination(&header));
    match way {
        (Some(from), Some(to)) if header.msg_flags & libc::MSG_TRUNC == 0 => Ok((count, Route { from, to })),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// The address that a datagram was sent to, out of the control messages that came with it.
fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel has filled `header` and the control messages it points at.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: a non-null pointer of these macros points at a whole control header.
    while let Some(found) = unsafe { next.as_ref() } {
        // SAFETY: the payload begins behind the header.
        let data = unsafe { libc::CMSG_DATA(next) };
        match (found.cmsg_level, found.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the payload of this message is an `in_pktinfo`; it need not be aligned.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                return Some(IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the payload of this message is an `in6_pktinfo`; it need not be aligned.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
            }
            _ => {}
        }
        // SAFETY: as for the first header.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    None
}

/// Sends `bytes` back on the way of a datagram that came. Never waits.
///
/// # Errors
/// As sendmsg(2).
pub fn reply(socket: BorrowedFd<'_>, bytes: &[u8], way: Route) -> io::Result<()> {
    match way.to {
        IpAddr::V4(own) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(own.octets()) };
            let info =
                libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: libc::in_addr { s_addr: 0 } };
            send_with(socket, bytes, way.from, (libc::IPPROTO_IP, libc::IP_PKTINFO), info)
        }
        IpAddr::V6(own) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: own.octets() }, ipi6_ifindex: 0 };
            send_with(socket, bytes, way.from, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info)
        }
    }
}

/// Sends with one control message, whose payload is `info`.
fn send_with<T>(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    to: SocketAddr,
    (level, kind): (i32, i32),
    info: T,
) -> io::Result<()> {
    const { assert!(size_of::<T>() + size_of::<libc::cmsghdr>() + 16 <= CONTROL * size_of::<u64>()) };
    let mut control = [0u64; CONTROL];
    let receiver = Encoded::new(to);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    (header.msg_name, header.msg_namelen) = (receiver.as_ptr().cast_mut().cast(), receiver.length());
    let payload = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: computes a size.
    let space = unsafe { libc::CMSG_SPACE(payload) };
    header.msg_controllen = space.try_into().map_err(io::Error::other)?;
    // SAFETY: `msg_control` has room for one header and its payload, as was asserted above.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: computes a size.
    let length = unsafe { libc::CMSG_LEN(payload) };
    // SAFETY: `first` points into `control`, which is zeroed, aligned and large enough for a header.
    let first_header = unsafe { &mut *first };
    (first_header.cmsg_level, first_header.cmsg_type) = (level, kind);
    first_header.cmsg_len = length.try_into().map_err(io::Error::other)?;
    // SAFETY: the payload begins behind the header, inside `control`.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: there is room for a `T`, as was asserted above.
    unsafe { data.cast::<T>().write_unaligned(info) };
    // SAFETY: `header` points at memory that outlives the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    check(sent as libc::c_long).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// Asks a socket that tells the way of datagrams, as the jail's do.
    fn told(socket: &UdpSocket, level: i32, name: i32) {
        let value: libc::c_int = 1;
        let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap();
        // SAFETY: `value` is an `int` that outlives the call.
        let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) };
        assert_eq!(set, 0, "{}", io::Error::last_os_error());
    }

    fn answers_come_from(server: &UdpSocket, asked: IpAddr, client: &UdpSocket) {
        let place = SocketAddr::new(asked, server.local_addr().unwrap().port());
        client.connect(place).unwrap();
        client.send(b"question").unwrap();
        let mut room = [0; 16];
        let (count, way) = receive(server.as_fd(), &mut room).unwrap();
        assert_eq!((&room[..count], way.to), (&b"question"[..], asked));
        assert_eq!(way.from, client.local_addr().unwrap());
        // the client is connected: the kernel drops what comes from anywhere else
        reply(server.as_fd(), b"answer", way).unwrap();
        let count = client.recv(&mut room).unwrap();
        assert_eq!(&room[..count], b"answer");
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        let server = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        told(&server, libc::IPPROTO_IP, libc::IP_PKTINFO);
        for asked in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 1, 2, 3)] {
            answers_come_from(&server, asked.into(), &UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        }
        let server = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        told(&server, libc::IPPROTO_IPV6, 49); // IPV6_RECVPKTINFO
        answers_come_from(&server, Ipv6Addr::LOCALHOST.into(), &UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap());
    }

    #[test]
    fn what_cannot_be_answered_is_an_error_and_nothing_waits() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut room = [0; 4];
        assert_eq!(receive(server.as_fd(), &mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.send_to(b"no way", server.local_addr().unwrap()).unwrap();
        assert_eq!(receive(server.as_fd(), &mut [0; 16]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        told(&server, libc::IPPROTO_IP, libc::IP_PKTINFO);
        client.send_to(b"too long", server.local_addr().unwrap()).unwrap();
        assert_eq!(receive(server.as_fd(), &mut room).unwrap_err().kind(), io::ErrorKind::InvalidData);
        client.send_to(b"", server.local_addr().unwrap()).unwrap();
        assert_eq!(receive(server.as_fd(), &mut room).unwrap().0, 0);
    }
}
