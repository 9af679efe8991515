//! The sockets that stage 2 makes in the jail's network, and what can be asked of a socket. Source: socket(2), ip(7),
//! ipv6(7), tcp(7), packet(7).

use super::check_unit;
use super::fd::own;
use super::filter::{Instruction, Program};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Connections that may wait to be accepted; the kernel takes `net.core.somaxconn` where that is less.
const BACKLOG: i32 = 4096;
/// `lo`, which is the first interface of every network namespace.
const LOOPBACK: i32 = 1;

// linux/in6.h, linux/if_packet.h; not every C library has them
const IPV6_RECVPKTINFO: i32 = 49;
const IPV6_FREEBIND: i32 = 78;
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// Whether this network namespace has IPv6: a kernel without it makes no such socket, one where it is switched off gives
/// `lo` no address. `lo` must be up.
#[must_use]
pub fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// A TCP listener on every address and one port, non-blocking. With `ipv6` it takes connections of both families, those of
/// IPv4 as mapped addresses.
///
/// # Errors
/// As socket(2), bind(2) and listen(2).
pub fn tcp_listener(port: u16, ipv6: bool) -> io::Result<OwnedFd> {
    let socket = wildcard(libc::SOCK_STREAM, port, ipv6, false)?;
    // SAFETY: takes integers only.
    check_unit(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) }.into())?;
    Ok(socket)
}

/// A UDP socket of one family on every address and one port, non-blocking, which tells of each packet the address that it
/// was sent to (`IP_PKTINFO`, `IPV6_PKTINFO`), so that the answer can come from there.
///
/// # Errors
/// As socket(2), setsockopt(2) and bind(2).
pub fn udp_receiver(port: u16, ipv6: bool) -> io::Result<OwnedFd> {
    let socket = wildcard(libc::SOCK_DGRAM, port, ipv6, true)?;
    match ipv6 {
        true => {
            set(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)?;
            // IPv6 answers from an address that is local by a route alone only where that is asked for
            set(socket.as_raw_fd(), libc::IPPROTO_IPV6, IPV6_FREEBIND, 1)?;
        }
        false => set(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
    }
    Ok(socket)
}

/// A packet socket that sees what arrives on `lo` and passes `program`, from the network header on; non-blocking. On `lo`
/// each packet is both sent and received, and only received ones are shown. Needs `CAP_NET_RAW`.
///
/// # Errors
/// As socket(2), setsockopt(2) and bind(2); `EINVAL` for a program that is too long.
pub fn packet_watch(program: &[Instruction]) -> io::Result<OwnedFd> {
    const EVERY_PROTOCOL: u16 = 3; // ETH_P_ALL
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // without a protocol, so that nothing arrives before the filter is attached
    // SAFETY: takes integers only.
    let socket = own(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }.into())?;
    attach(&socket, program)?;
    set(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    // SAFETY: all-zero is a valid `sockaddr_ll`: it holds integers only.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = family(libc::AF_PACKET)?;
    address.sll_protocol = EVERY_PROTOCOL.to_be();
    address.sll_ifindex = LOOPBACK;
    bind(&socket, (&raw const address).cast(), size_of_val(&address))?;
    Ok(socket)
}

/// Attaches a classic BPF program to a socket: it gives the number of bytes to keep of a packet, 0 for none of it.
///
/// # Errors
/// As setsockopt(2), `SO_ATTACH_FILTER`; `EINVAL` for a program that is too long.
pub fn attach(socket: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let program = Program::new(program)?;
    let size = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    let value = (&raw const program).cast();
    let (socket, level, name) = (socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: `program` has the layout of `struct sock_fprog`, and what it points at lives through the call.
    check_unit(unsafe { libc::setsockopt(socket, level, name, value, size) }.into())
}

/// Whether the socket listens.
///
/// # Errors
/// As getsockopt(2), `SO_ACCEPTCONN`.
pub fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value: libc::c_int = 0;
    let mut size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    let (fd, name, room) = (socket.as_raw_fd(), libc::SO_ACCEPTCONN, (&raw mut value).cast());
    // SAFETY: `value` is room for the answer, and `size` says how much.
    check_unit(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, room, &raw mut size) }.into())?;
    Ok(value != 0)
}

/// The address that an internet socket is bound to.
///
/// # Errors
/// As getsockname(2); `InvalidData` for a socket of another family.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    // SAFETY: all-zero is a valid `sockaddr_in6`, which has room for a `sockaddr_in` too.
    let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    let mut size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    let room = (&raw mut address).cast();
    // SAFETY: `address` is room for the answer, and `size` says how much.
    check_unit(unsafe { libc::getsockname(socket.as_raw_fd(), room, &raw mut size) }.into())?;
    // the port is at the same place in both families, the address of IPv4 where IPv6 has the flow
    let port = u16::from_be(address.sin6_port);
    match i32::from(address.sin6_family) {
        libc::AF_INET => Ok((Ipv4Addr::from(address.sin6_flowinfo.to_ne_bytes()), port).into()),
        libc::AF_INET6 => Ok((Ipv6Addr::from(address.sin6_addr.s6_addr), port).into()),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// A socket bound to every address; one of IPv6 is for that family alone where `alone` says so.
fn wildcard(kind: i32, port: u16, ipv6: bool, alone: bool) -> io::Result<OwnedFd> {
    let domain = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: takes integers only.
    let socket = own(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) }.into())?;
    if ipv6 {
        set(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, alone.into())?;
        // SAFETY: all-zero is a valid `sockaddr_in6`: the wildcard address.
        let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
        address.sin6_family = family(domain)?;
        address.sin6_port = port.to_be();
        bind(&socket, (&raw const address).cast(), size_of_val(&address))?;
    } else {
        // SAFETY: all-zero is a valid `sockaddr_in`: the wildcard address.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = family(domain)?;
        address.sin_port = port.to_be();
        bind(&socket, (&raw const address).cast(), size_of_val(&address))?;
    }
    Ok(socket)
}

fn family(domain: i32) -> io::Result<libc::sa_family_t> {
    libc::sa_family_t::try_from(domain).map_err(io::Error::other)
}

/// `address` points at `size` bytes that hold an address of the socket's family.
fn bind(socket: &OwnedFd, address: *const libc::sockaddr, size: usize) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: the callers in this file pass a local that outlives the call, and its true size.
    check_unit(unsafe { libc::bind(socket.as_raw_fd(), address, size) }.into())
}

fn set(socket: i32, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    let value = (&raw const value).cast();
    // SAFETY: `value` is an `int` that lives through the call, as the options used in this file take.
    check_unit(unsafe { libc::setsockopt(socket, level, name, value, size) }.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::IpAddr;

    /// Sends to an address by `MSG_FASTOPEN`, which connects where the socket is not.
    pub(crate) fn fast_open(socket: &OwnedFd, to: SocketAddr) -> io::Result<()> {
        let SocketAddr::V4(to) = to else { panic!("IPv4 only") };
        // SAFETY: all-zero is a valid `sockaddr_in`.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = family(libc::AF_INET)?;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
        let size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
        let (fd, to, bytes) = (socket.as_raw_fd(), (&raw const address).cast(), c"x".as_ptr().cast());
        let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL;
        // SAFETY: one byte is readable, and `address` is an address of the size given.
        let sent = unsafe { libc::sendto(fd, bytes, 1, flags, to, size) };
        match check_unit(sent as libc::c_long) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            sent => sent,
        }
    }

    /// Reads one packet and gives the address that it was sent to.
    #[allow(clippy::useless_conversion, reason = "the type of `msg_controllen` differs between C libraries")]
    pub(crate) fn packet_destination(socket: BorrowedFd<'_>) -> IpAddr {
        let (mut room, mut control) = ([0u8; 64], [0u64; 16]);
        let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: all-zero is a valid `msghdr`.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control).try_into().unwrap();
        // SAFETY: `header` points at memory that outlives the call and may be written.
        let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
        assert!(count >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel has filled the control messages.
        let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        // SAFETY: a non-null pointer of this macro points at a whole header.
        let found = unsafe { first.as_ref() }.expect("a control message");
        // SAFETY: the payload begins behind the header.
        let data = unsafe { libc::CMSG_DATA(first) };
        match (found.cmsg_level, found.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the payload is an `in_pktinfo`.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into()
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the payload is an `in6_pktinfo`.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                Ipv6Addr::from(info.ipi6_addr.s6_addr).into()
            }
            other => panic!("{other:?}"),
        }
    }
}
