//! The sockets that stand in the jail's network, and their way to the proxy.
//!
//! Stage 2 opens them while it may, and sends them over a socket pair (`SCM_RIGHTS`); the server inherits none of them. The
//! proxy, which has no other socket, accepts in the jail's network what it connects nowhere itself.

use super::knock;
use crate::sys::message::{self, MOST};
use crate::sys::netlink::{Family, Netlink};
use crate::sys::socket;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where names are asked for.
const DNS: u16 = 53;
/// More than a profile's ports and the sockets for names come to; a sender of more is not stage 2.
const MOST_IN_ALL: usize = 512;
/// Room for the kinds of one message, bytes.
const LARGEST: usize = 4096;

/// What a [`Listener`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Connections to any address on this granted port.
    Tcp(u16),
    /// Questions for names over TCP, port 53.
    DnsTcp,
    /// The same over UDP and IPv4; the socket tells the address that was asked (`IP_PKTINFO`).
    DnsUdp4,
    /// The same over IPv6 alone (`IPV6_PKTINFO`).
    DnsUdp6,
    /// A packet socket that shows refusals of the jail's kernel; see [`super::knock`].
    Watch,
}

/// A socket of the jail's network: non-blocking, close-on-exec.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) kind: Kind,
    pub(crate) fd: OwnedFd,
}

/// What went out with one message.
#[derive(Serialize, Deserialize)]
struct Message {
    kinds: Vec<Kind>,
    /// Whether more messages follow.
    more: bool,
}

/// Brings up `lo` in this process's network namespace, makes every address local there, and listens on the granted ports and
/// on port 53. Needs `CAP_NET_ADMIN` and `CAP_NET_BIND_SERVICE` there; the packet socket, which needs `CAP_NET_RAW`, is left
/// out where it is not to be had.
///
/// # Errors
/// What was tried, with the kernel's answer.
pub(crate) fn open(ports: &[u16]) -> Result<Vec<Listener>, (String, io::Error)> {
    let what = |what: &str| {
        let what = what.to_owned();
        move |error| (what, error)
    };
    let mut netlink = Netlink::open().map_err(what("opening a netlink socket"))?;
    netlink.bring_up_loopback().map_err(what("bringing up the private loopback"))?;
    netlink.make_everything_local(Family::V4).map_err(what("making every IPv4 address local"))?;
    let ipv6 = socket::has_ipv6();
    if ipv6 {
        netlink.make_everything_local(Family::V6).map_err(what("making every IPv6 address local"))?;
    }
    let mut listeners = Vec::with_capacity(ports.len() + 4);
    let tcp = ports.iter().map(|&port| (Kind::Tcp(port), port)).chain([(Kind::DnsTcp, DNS)]);
    for (kind, port) in tcp {
        let fd = socket::tcp_listener(port, ipv6).and_then(|fd| bound(fd, port, true));
        listeners.push(Listener { kind, fd: fd.map_err(what(&format!("listening on port {port}")))? });
    }
    let udp = [(Kind::DnsUdp4, false), (Kind::DnsUdp6, true)];
    for (kind, six) in udp.into_iter().filter(|(_, six)| ipv6 || !six) {
        let fd = socket::udp_receiver(DNS, six).and_then(|fd| bound(fd, DNS, false));
        listeners.push(Listener { kind, fd: fd.map_err(what("receiving questions for names"))? });
    }
    let own: Vec<u16> = ports.iter().copied().chain([DNS]).collect();
    if let Ok(fd) = socket::packet_watch(&knock::program(&own)) {
        listeners.push(Listener { kind: Kind::Watch, fd });
    }
    Ok(listeners)
}

/// The socket, if it is what the calls that made it reported.
fn bound(socket: OwnedFd, port: u16, listening: bool) -> io::Result<OwnedFd> {
    let place = socket::local_address(socket.as_fd())?;
    let everywhere = SocketAddr::new(place.ip(), port);
    match place == everywhere && place.ip().is_unspecified() && socket::is_listening(socket.as_fd())? == listening {
        true => Ok(socket),
        false => Err(io::Error::other(format!("it is bound to `{place}`"))),
    }
}

/// Sends the listeners, several messages where they are many. Never waits: a socket pair holds them all, whether anybody
/// reads or not.
///
/// # Errors
/// As sendmsg(2): `EPIPE` when the other side is gone, `ETOOMANYREFS` where the user has too many descriptors under way.
pub(crate) fn send(socket: BorrowedFd<'_>, listeners: &[Listener]) -> io::Result<()> {
    let mut chunks = listeners.chunks(MOST).peekable();
    while let Some(chunk) = chunks.next() {
        let kinds = chunk.iter().map(|listener| listener.kind).collect();
        let bytes =
            postcard::to_allocvec(&Message { kinds, more: chunks.peek().is_some() }).map_err(io::Error::other)?;
        let fds: Vec<BorrowedFd<'_>> = chunk.iter().map(|listener| listener.fd.as_fd()).collect();
        message::send(socket, &bytes, &fds, false)?;
    }
    Ok(())
}

/// Waits for all of the listeners.
///
/// # Errors
/// As recvmsg(2); `UnexpectedEof` when the sender is gone before the last message, `InvalidData` for what it never sends.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Vec<Listener>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut listeners = Vec::new();
    loop {
        let mut room = [0; LARGEST];
        let (count, fds) = message::receive(socket, &mut room, true)?;
        let bytes = room.get(..count).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let Message { kinds, more } = postcard::from_bytes(bytes).map_err(|_| invalid())?;
        if kinds.len() != fds.len() || listeners.len() + kinds.len() > MOST_IN_ALL {
            return Err(invalid());
        }
        listeners.extend(kinds.into_iter().zip(fds).map(|(kind, fd)| Listener { kind, fd }));
        if !more {
            return Ok(listeners);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Protocol;
    use crate::sys::message::packet_pair;
    use crate::sys::own_network::in_own_network;
    use crate::sys::poll::{Interest, wait_for};
    use std::fs::File;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// Opened, sent and received.
    fn handed_over(ports: &[u16]) -> Vec<Listener> {
        let (inside, outside) = packet_pair().unwrap();
        let opened = open(ports).unwrap();
        send(inside.as_fd(), &opened).unwrap();
        let kinds: Vec<Kind> = opened.iter().map(|listener| listener.kind).collect();
        drop((opened, inside));
        let received = receive(outside.as_fd()).unwrap();
        assert_eq!(received.iter().map(|listener| listener.kind).collect::<Vec<_>>(), kinds);
        received
    }

    fn take(listeners: &mut Vec<Listener>, kind: Kind) -> OwnedFd {
        let at = listeners.iter().position(|listener| listener.kind == kind).unwrap();
        listeners.swap_remove(at).fd
    }

    #[test]
    fn connections_of_both_families_arrive_with_their_destination() {
        in_own_network("egress::listeners::tests::connections_of_both_families_arrive_with_their_destination", || {
            let mut listeners = handed_over(&[443, 65535]);
            for port in [443, 65535] {
                let listener = TcpListener::from(take(&mut listeners, Kind::Tcp(port)));
                for (to, seen) in [("93.184.215.14", "[::ffff:93.184.215.14]"), ("[2606:2800::1]", "[2606:2800::1]")] {
                    let client = TcpStream::connect(format!("{to}:{port}")).unwrap();
                    let (accepted, from) = listener.accept().unwrap();
                    assert_eq!(accepted.local_addr().unwrap().to_string(), format!("{seen}:{port}"));
                    assert_eq!(from.port(), client.local_addr().unwrap().port());
                }
                assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }
            let dns = TcpListener::from(take(&mut listeners, Kind::DnsTcp));
            let _client = TcpStream::connect("127.0.0.1:53").unwrap();
            assert!(dns.accept().is_ok());
            // a port that is not granted refuses at once
            for place in ["93.184.215.14:80", "[2606:2800::1]:80"] {
                assert_eq!(TcpStream::connect(place).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            }
        });
    }

    #[test]
    fn questions_arrive_with_the_address_that_was_asked() {
        in_own_network("egress::listeners::tests::questions_arrive_with_the_address_that_was_asked", || {
            let mut listeners = handed_over(&[]);
            for (kind, server) in [(Kind::DnsUdp4, "8.8.8.8:53"), (Kind::DnsUdp6, "[2001:4860:4860::8888]:53")] {
                let socket = take(&mut listeners, kind);
                let client = UdpSocket::bind(if server.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
                client.connect(server).unwrap();
                client.send(b"question").unwrap();
                assert!(wait_for(socket.as_fd(), Interest::Read, None).unwrap());
                let option = crate::sys::socket::tests::packet_destination(socket.as_fd());
                assert_eq!(SocketAddr::new(option, 53).to_string(), server);
            }
        });
    }

    #[test]
    fn knocks_are_seen_once_and_nothing_else_is() {
        in_own_network("egress::listeners::tests::knocks_are_seen_once_and_nothing_else_is", || {
            let mut listeners = handed_over(&[443]);
            let mut watch = File::from(take(&mut listeners, Kind::Watch));
            let mut next = || {
                let mut room = [0; 512];
                let count = watch.read(&mut room).ok()?;
                assert!(count <= knock::KEPT as usize);
                let (place, protocol) = knock::knock(&room[..count]).expect("nothing else passes");
                Some((place.to_string(), protocol))
            };
            // the server's own: a listener, a connection that is broken off with data unread, datagrams
            let own = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(own.local_addr().unwrap()).unwrap();
            io::Write::write_all(&mut client, b"never read").unwrap();
            drop(own.accept().unwrap());
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", receiver.local_addr().unwrap()).unwrap();
            // granted ones
            let _waits = TcpStream::connect("192.0.2.1:443").unwrap();
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "8.8.8.8:53").unwrap();
            assert_eq!(next(), None);
            for place in ["192.0.2.1:5432", "127.0.0.1:22", "[2001:db8::1]:5432"] {
                TcpStream::connect(place).unwrap_err();
                assert_eq!(next(), Some((place.to_owned(), Protocol::Tcp)));
                assert_eq!(next(), None, "once");
            }
            for (from, place) in [("0.0.0.0:0", "8.8.8.8:443"), ("[::]:0", "[2001:db8::1]:443")] {
                UdpSocket::bind(from).unwrap().send_to(b"x", place).unwrap();
                assert_eq!(next(), Some((place.to_owned(), Protocol::Udp)));
                assert_eq!(next(), None, "once");
            }
        });
    }

    #[test]
    fn without_its_capability_only_the_watch_is_missing() {
        in_own_network("egress::listeners::tests::without_its_capability_only_the_watch_is_missing", || {
            use crate::sys::caps;
            let without = |capability: u32| {
                let sets = caps::sets().unwrap();
                caps::set_all(sets.permitted & !(1 << capability)).unwrap();
                open(&[443]).map(|listeners| listeners.iter().map(|listener| listener.kind).collect::<Vec<_>>())
            };
            let kinds = without(caps::NET_RAW).unwrap();
            assert_eq!(kinds, [Kind::Tcp(443), Kind::DnsTcp, Kind::DnsUdp4, Kind::DnsUdp6]);
        });
    }

    #[test]
    fn without_the_others_nothing_opens() {
        in_own_network("egress::listeners::tests::without_the_others_nothing_opens", || {
            use crate::sys::caps;
            let sets = caps::sets().unwrap();
            caps::set_all(sets.permitted & !(1 << caps::NET_BIND_SERVICE)).unwrap();
            let (what, error) = open(&[8443, 443]).unwrap_err();
            assert_eq!((what.as_str(), error.raw_os_error()), ("listening on port 443", Some(libc::EACCES)));
            caps::set_all(0).unwrap();
            assert_eq!(open(&[8443]).unwrap_err().1.raw_os_error(), Some(libc::EPERM));
        });
    }

    #[test]
    fn where_ipv6_is_switched_off_ipv4_is_served() {
        in_own_network("egress::listeners::tests::where_ipv6_is_switched_off_ipv4_is_served", || {
            for which in ["all", "default", "lo"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap();
            }
            let mut listeners = handed_over(&[443]);
            let kinds: Vec<Kind> = listeners.iter().map(|listener| listener.kind).collect();
            assert_eq!(kinds, [Kind::Tcp(443), Kind::DnsTcp, Kind::DnsUdp4, Kind::Watch]);
            let listener = TcpListener::from(take(&mut listeners, Kind::Tcp(443)));
            let _client = TcpStream::connect("93.184.215.14:443").unwrap();
            assert_eq!(listener.accept().unwrap().0.local_addr().unwrap().to_string(), "93.184.215.14:443");
        });
    }

    #[test]
    fn as_many_as_a_profile_may_have() {
        in_own_network("egress::listeners::tests::as_many_as_a_profile_may_have", || {
            let ports: Vec<u16> = (2000..2256).collect();
            assert_eq!(handed_over(&ports).len(), 256 + 4);
        });
    }

    #[test]
    fn a_sender_that_is_gone_or_lies_is_an_error() {
        let (inside, outside) = packet_pair().unwrap();
        let message =
            |kinds: &[Kind], more: bool| postcard::to_allocvec(&Message { kinds: kinds.to_vec(), more }).unwrap();
        let kind = |bytes: &[u8], fds: &[BorrowedFd<'_>]| {
            message::send(inside.as_fd(), bytes, fds, false).unwrap();
            receive(outside.as_fd()).unwrap_err().kind()
        };
        assert_eq!(kind(&message(&[Kind::DnsTcp, Kind::DnsTcp], false), &[inside.as_fd()]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&message(&[], false), &[inside.as_fd()]), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"\xff\xff\xff\xff\xff", &[]), io::ErrorKind::InvalidData);
        for _ in 0..=MOST_IN_ALL / 8 {
            message::send(inside.as_fd(), &message(&[Kind::Watch; 8], true), &[inside.as_fd(); 8], false).unwrap();
        }
        assert_eq!(receive(outside.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        message::send(inside.as_fd(), &message(&[Kind::Watch], true), &[outside.as_fd()], false).unwrap();
        drop(inside);
        assert_eq!(receive(outside.as_fd()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (inside, outside) = packet_pair().unwrap();
        drop(outside);
        let listener = Listener { kind: Kind::Watch, fd: inside.try_clone().unwrap() };
        assert_eq!(send(inside.as_fd(), &[listener]).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }
}
