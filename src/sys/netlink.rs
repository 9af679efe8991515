//! Routing netlink: what stage 2 says to the kernel about its own network namespace. Source: netlink(7), rtnetlink(7).
//!
//! The kernel carries a request out while it is sent, and its answer lies there when the call returns: nothing here waits.

use super::fd::own;
use super::{check, check_unit};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The index of `lo`, which is the first interface of every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

// linux/netlink.h, linux/rtnetlink.h, linux/if.h
const HEADER: usize = 16;
const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const NEW_ROUTE: u16 = 24;
const REQUEST_AND_ACK: u16 = 0x01 | 0x04;
const CREATE_EXCLUSIVELY: u16 = 0x400 | 0x200;
const UP: u32 = 1;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;
const OUTPUT_INTERFACE: u16 = 4;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A conversation with the kernel about one network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in this process's network namespace.
    ///
    /// # Errors
    /// As socket(2).
    pub fn open() -> io::Result<Netlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: takes integers only.
        let socket = own(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) }.into())?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Brings up `lo`, to which the kernel then gives 127.0.0.1 and, where there is IPv6, ::1. Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// The kernel's answer to `RTM_NEWLINK`.
    pub fn bring_up_loopback(&mut self) -> io::Result<()> {
        // struct ifinfomsg: family, padding, type, index, flags, which flags change
        let body = [&[0; 4][..], &LOOPBACK.to_ne_bytes(), &UP.to_ne_bytes(), &UP.to_ne_bytes()].concat();
        self.request(NEW_LINK, 0, &body)
    }

    /// Makes every address of a family one of this namespace's own: listeners on the wildcard address accept connections
    /// to any address, and no packet has anywhere else to go. Needs `CAP_NET_ADMIN`, and `lo` to be up.
    ///
    /// # Errors
    /// The kernel's answer to `RTM_NEWROUTE`; `EEXIST` where it was done before.
    pub fn make_everything_local(&mut self, family: Family) -> io::Result<()> {
        let family = match family {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        let family = u8::try_from(family).map_err(io::Error::other)?;
        // struct rtmsg: a prefix of length 0 is every address
        let message = [family, 0, 0, 0, TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
        // struct rtattr: length, type, value
        let attribute = [&8u16.to_ne_bytes()[..], &OUTPUT_INTERFACE.to_ne_bytes(), &LOOPBACK.to_ne_bytes()].concat();
        self.request(NEW_ROUTE, CREATE_EXCLUSIVELY, &[&message[..], &attribute].concat())
    }

    /// Sends one request and reads what the kernel says to it.
    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        // struct nlmsghdr: length, type, flags, sequence, sender
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST_AND_ACK | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        // SAFETY: all-zero is a valid `sockaddr_nl`: it holds integers only, and 0 is the kernel's own address.
        let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        kernel.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).map_err(io::Error::other)?;
        let size = libc::socklen_t::try_from(size_of_val(&kernel)).map_err(io::Error::other)?;
        let (socket, to) = (self.socket.as_raw_fd(), (&raw const kernel).cast());
        // SAFETY: `message` is readable for its length, `kernel` is an address of the size given.
        let sent = unsafe { libc::sendto(socket, message.as_ptr().cast(), message.len(), 0, to, size) };
        check_unit(sent as libc::c_long)?;
        let mut room = [0u8; 1024];
        // SAFETY: `room` may be written for its length.
        let count = unsafe { libc::recv(socket, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
        let count = usize::try_from(check(count as libc::c_long)?).map_err(io::Error::other)?;
        answer(room.get(..count).unwrap_or_default(), self.sequence)
    }
}

/// What an acknowledgement of that number says: its header is followed by an errno, negative, or 0.
fn answer(message: &[u8], sequence: u32) -> io::Result<()> {
    let word = |at: usize| message.get(at..)?.first_chunk().copied();
    let (number, errno) = (word(8).map(u32::from_ne_bytes), word(HEADER).map(i32::from_ne_bytes));
    let kind = message.get(4..).and_then(|rest| rest.first_chunk().copied()).map(u16::from_ne_bytes);
    match (kind, number, errno) {
        (Some(ERROR), Some(number), Some(0)) if number == sequence => Ok(()),
        (Some(ERROR), Some(number), Some(errno)) if number == sequence && errno < 0 => {
            Err(io::Error::from_raw_os_error(errno.saturating_neg()))
        }
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_network::in_own_network;
    use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

    fn source_towards(address: &str) -> io::Result<IpAddr> {
        let to: SocketAddr = address.parse().unwrap();
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip())
    }

    #[test]
    fn every_address_becomes_local() {
        in_own_network("sys::netlink::tests::every_address_becomes_local", || {
            let mut netlink = Netlink::open().unwrap();
            // the control: nothing is up, nothing is reachable
            let unreachable = |address| source_towards(address).unwrap_err().raw_os_error() == Some(libc::ENETUNREACH);
            assert!(unreachable("192.0.2.1:9") && unreachable("127.0.0.1:9"));
            netlink.bring_up_loopback().unwrap();
            assert_eq!(source_towards("127.0.0.1:9").unwrap(), "127.0.0.1".parse::<IpAddr>().unwrap());
            assert!(unreachable("192.0.2.1:9"));
            netlink.make_everything_local(Family::V4).unwrap();
            for address in ["192.0.2.1", "8.8.8.8", "10.0.0.1", "169.254.169.254"] {
                let source = source_towards(&format!("{address}:9")).unwrap();
                assert_eq!(source, address.parse::<IpAddr>().unwrap(), "a local address is its own source");
            }
            assert_eq!(
                netlink.make_everything_local(Family::V4).unwrap_err().raw_os_error(),
                Some(libc::EEXIST),
                "the kernel's answer is read"
            );
            let listener = TcpListener::bind("0.0.0.0:443").unwrap();
            let client = std::net::TcpStream::connect("93.184.215.14:443").unwrap();
            let (accepted, from) = listener.accept().unwrap();
            assert_eq!(accepted.local_addr().unwrap().to_string(), "93.184.215.14:443");
            assert_eq!(from, client.local_addr().unwrap());
        });
    }

    #[test]
    fn every_address_of_the_other_family_too() {
        in_own_network("sys::netlink::tests::every_address_of_the_other_family_too", || {
            let mut netlink = Netlink::open().unwrap();
            netlink.bring_up_loopback().unwrap();
            assert!(source_towards("[2001:db8::1]:9").is_err());
            netlink.make_everything_local(Family::V6).unwrap();
            assert!(source_towards("[2001:db8::1]:9").is_ok() && source_towards("192.0.2.1:9").is_err());
            let listener = TcpListener::bind("[::]:443").unwrap();
            let _client = std::net::TcpStream::connect("[2606:2800:21f::1]:443").unwrap();
            assert_eq!(listener.accept().unwrap().0.local_addr().unwrap().to_string(), "[2606:2800:21f::1]:443");
        });
    }

    #[test]
    fn without_the_capability_nothing_changes() {
        in_own_network("sys::netlink::tests::without_the_capability_nothing_changes", || {
            let mut netlink = Netlink::open().unwrap();
            crate::sys::caps::set_all(0).unwrap();
            assert_eq!(netlink.bring_up_loopback().unwrap_err().raw_os_error(), Some(libc::EPERM));
            assert_eq!(netlink.make_everything_local(Family::V4).unwrap_err().raw_os_error(), Some(libc::EPERM));
            assert!(source_towards("127.0.0.1:9").is_err());
        });
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let message = |kind: u16, sequence: u32, errno: i32| {
            [
                &36u32.to_ne_bytes()[..],
                &kind.to_ne_bytes(),
                &[0; 2],
                &sequence.to_ne_bytes(),
                &[0; 4],
                &errno.to_ne_bytes(),
            ]
            .concat()
        };
        assert!(answer(&message(ERROR, 7, 0), 7).is_ok());
        assert_eq!(answer(&message(ERROR, 7, -libc::EPERM), 7).unwrap_err().raw_os_error(), Some(libc::EPERM));
        for odd in
            [message(ERROR, 8, 0), message(NEW_ROUTE, 7, 0), message(ERROR, 7, 1), message(ERROR, 7, 0)[..18].into()]
        {
            assert_eq!(answer(&odd, 7).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
