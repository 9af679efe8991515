//! First packets to where nothing listens, as the jail's own kernel refuses them.
//!
//! Only the refusals are looked at: the kernel's reset to a SYN, and its "port unreachable" to a datagram. They name the
//! place that was tried, they come exactly where nothing listens, and the jail's servers that talk to each other over its
//! loopback cause none.

use super::Protocol;
use crate::sys::filter::Instruction;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is kept of a packet, bytes: the longest headers of both the refusal and, in an ICMP packet, of what was refused.
pub(super) const KEPT: u32 = 60 + 8 + 60 + 8;

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD_AT_X: u16 = 0x40;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_BYTE_AT_X: u16 = 0x50;
const X_IS: u16 = 0x01;
const X_IS_HEADER_LENGTH: u16 = 0xb1;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const GO: u16 = 0x05;
const RETURN: u16 = 0x06;
/// Where the kernel shows what is not in the packet: whether it arrived or is being sent.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
const OUTGOING: u32 = 4;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
/// FIN, SYN, RST and ACK; the refusal of a SYN has the last two.
const FLAGS: u8 = 0x17;
const REFUSED: u8 = 0x14;
/// Type and code of "port unreachable".
const PORT_UNREACHABLE: [u8; 2] = [3, 3];
const PORT_UNREACHABLE_V6: [u8; 2] = [1, 4];

/// The program for the packet socket: passes what [`knock`] reads, but for resets from `ports`, where only mcpjail listens
/// and resets what it refuses.
pub(super) fn program(ports: &[u16]) -> Vec<Instruction> {
    let op = |code: u16, k: u32| Instruction { code, jt: 0, jf: 0, k };
    let unless = |code: u16, k: u32| [Instruction { code, jt: 1, jf: 0, k }, op(RETURN, 0)];
    let when = |code: u16, k: u32| [Instruction { code, jt: 0, jf: 1, k }, op(RETURN, 0)];
    // X is where the transport's header is; the port is the source's, which is who refused
    let mut tcp = vec![op(LOAD_BYTE_AT_X, 13), op(AND, FLAGS.into())];
    tcp.extend(unless(IF_EQUAL, REFUSED.into()));
    // a connection that is broken off later has a sequence number
    tcp.push(op(LOAD_WORD_AT_X, 4));
    tcp.extend(unless(IF_EQUAL, 0));
    tcp.push(op(LOAD_HALF_AT_X, 0));
    ports.iter().for_each(|port| tcp.extend(when(IF_EQUAL, u32::from(*port))));
    tcp.push(op(RETURN, KEPT));
    let icmp = |kind: [u8; 2], protocol: u32| {
        let mut part = vec![op(LOAD_HALF_AT_X, 0)];
        part.extend(unless(IF_EQUAL, u16::from_be_bytes(kind).into()));
        // the header of what was refused follows the eight bytes of ICMP
        part.push(op(LOAD_BYTE_AT_X, 8 + protocol));
        part.extend(unless(IF_EQUAL, UDP.into()));
        part.push(op(RETURN, KEPT));
        part
    };
    let mut four = vec![op(LOAD_HALF, 6)];
    four.extend(when(IF_ANY_BIT, 0x1fff)); // a later fragment has no transport header
    four.extend([op(X_IS_HEADER_LENGTH, 0), op(LOAD_BYTE, 9)]);
    let mut six = vec![op(X_IS, 40), op(LOAD_BYTE, 6)];
    let (icmp_v4, icmp_v6) = (icmp(PORT_UNREACHABLE, 9), icmp(PORT_UNREACHABLE_V6, 6));
    // each family ends in: TCP → the common part, ICMP → its own, which follows
    let ending = |protocol: u8, own: &[Instruction], to_tcp: usize| {
        let mut part = vec![Instruction { code: IF_EQUAL, jt: 0, jf: 1, k: TCP.into() }, op(GO, long(to_tcp))];
        part.extend(unless(IF_EQUAL, protocol.into()));
        part.extend_from_slice(own);
        part
    };
    six.extend(ending(ICMP_V6, &icmp_v6, 2 + icmp_v6.len()));
    four.extend(ending(ICMP, &icmp_v4, 2 + icmp_v4.len() + six.len()));
    let mut program = vec![op(LOAD_WORD, PACKET_TYPE)];
    program.extend(when(IF_EQUAL, OUTGOING));
    program.extend([op(LOAD_BYTE, 0), op(AND, 0xf0)]);
    program.extend([Instruction { code: IF_EQUAL, jt: 0, jf: 1, k: 0x60 }, op(GO, long(2 + four.len()))]);
    program.extend(unless(IF_EQUAL, 0x40));
    program.extend(four);
    program.extend(six);
    program.extend(tcp);
    program
}

fn long(instructions: usize) -> u32 {
    u32::try_from(instructions).unwrap_or(u32::MAX)
}

/// Where somebody knocked, out of a packet that the kernel refused it by; `packet` begins with the network header and may
/// be cut off. `None` for every other packet.
pub(super) fn knock(packet: &[u8]) -> Option<(SocketAddr, Protocol)> {
    let (source, _, protocol, rest) = header(packet)?;
    match protocol {
        TCP => {
            let refused = rest.get(13)? & FLAGS == REFUSED && rest.get(4..8)? == [0; 4];
            refused.then_some(())?;
            Some((SocketAddr::new(source, half(rest, 0)?), Protocol::Tcp))
        }
        ICMP | ICMP_V6 => {
            let kind = if source.is_ipv4() { (ICMP, PORT_UNREACHABLE) } else { (ICMP_V6, PORT_UNREACHABLE_V6) };
            let (_, destination, inner, datagram) = header(rest.get(8..)?)?;
            let refused = (protocol, rest.get(..2)?) == (kind.0, &kind.1) && inner == UDP;
            (refused && destination.is_ipv4() == source.is_ipv4()).then_some(())?;
            Some((SocketAddr::new(destination, half(datagram, 2)?), Protocol::Udp))
        }
        _ => None,
    }
}

/// Source, destination, protocol and what follows the header.
fn header(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let length = usize::from(packet.first()? & 0xf) * 4;
            let address =
                |at: usize| packet.get(at..)?.first_chunk().map(|bytes: &[u8; 4]| Ipv4Addr::from(*bytes).into());
            // a later fragment has no transport header
            (length >= 20 && half(packet, 6)? & 0x1fff == 0).then_some(())?;
            Some((address(12)?, address(16)?, *packet.get(9)?, packet.get(length..)?))
        }
        6 => {
            let address =
                |at: usize| packet.get(at..)?.first_chunk().map(|bytes: &[u8; 16]| Ipv6Addr::from(*bytes).into());
            Some((address(8)?, address(24)?, *packet.get(6)?, packet.get(40..)?))
        }
        _ => None,
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::socket::attach;
    use proptest::prelude::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    /// The kernel runs the program over whatever a local socket receives.
    fn kernel(ports: &[u16]) -> impl Fn(&[u8]) -> Option<Vec<u8>> {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        attach(&theirs, &program(ports)).unwrap();
        let theirs = UnixDatagram::from(theirs);
        theirs.set_nonblocking(true).unwrap();
        move |packet| {
            // what the filter takes nothing of is refused to the sender
            ours.send(packet).ok()?;
            let mut room = [0; 512];
            let count = theirs.recv(&mut room).ok()?;
            Some(room[..count].to_vec())
        }
    }

    fn v4(protocol: u8, options: usize, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45 + u8::try_from(options).unwrap(), 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([192, 0, 2, 1, 198, 51, 100, 7]);
        packet.extend(vec![1; options * 4]);
        packet.extend(rest);
        packet
    }

    fn v6(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        packet.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(rest);
        packet
    }

    fn tcp(port: u16, sequence: u32, flags: u8) -> Vec<u8> {
        [&port.to_be_bytes()[..], &[0x9c, 0x40], &sequence.to_be_bytes(), &[0; 4], &[0x50, flags], &[0; 6]].concat()
    }

    fn udp(port: u16) -> Vec<u8> {
        [&[0x9c, 0x40][..], &port.to_be_bytes(), &[0; 4]].concat()
    }

    fn icmp(kind: [u8; 2], inner: &[u8]) -> Vec<u8> {
        [&kind[..], &[0; 6], inner].concat()
    }

    #[test]
    fn refusals_name_the_place_and_nothing_else_passes() {
        let filter = kernel(&[443]);
        let passes = |packet: &[u8]| {
            let read = knock(packet).map(|(place, protocol)| (place.to_string(), protocol));
            assert_eq!(filter(packet).is_some(), read.is_some(), "{packet:02x?}");
            read
        };
        let tcp_knock = |place: &str| Some((place.to_owned(), Protocol::Tcp));
        let udp_knock = |place: &str| Some((place.to_owned(), Protocol::Udp));
        assert_eq!(passes(&v4(TCP, 0, &tcp(5432, 0, REFUSED))), tcp_knock("192.0.2.1:5432"));
        assert_eq!(passes(&v4(TCP, 10, &tcp(5432, 0, REFUSED))), tcp_knock("192.0.2.1:5432"));
        assert_eq!(passes(&v6(TCP, &tcp(5432, 0, REFUSED))), tcp_knock("[2001:db8::1]:5432"));
        for options in [0, 10] {
            let packet = v4(ICMP, options, &icmp(PORT_UNREACHABLE, &v4(UDP, options, &udp(443))));
            assert_eq!(passes(&packet), udp_knock("198.51.100.7:443"));
            assert!(packet.len() <= KEPT as usize);
        }
        assert_eq!(
            passes(&v6(ICMP_V6, &icmp(PORT_UNREACHABLE_V6, &v6(UDP, &udp(443))))),
            udp_knock("[2001:db8::7]:443")
        );
        for flags in [0x02, 0x12, 0x10, 0x04, 0x11, 0x15, 0x16] {
            assert_eq!(passes(&v4(TCP, 0, &tcp(5432, 0, flags))), None, "flags {flags:#x}");
            assert_eq!(passes(&v6(TCP, &tcp(5432, 0, flags))), None, "flags {flags:#x}");
        }
        assert_eq!(passes(&v4(TCP, 0, &tcp(5432, 1, REFUSED))), None, "a connection that was broken off");
        assert_eq!(passes(&v4(UDP, 0, &udp(5432))), None);
        assert_eq!(passes(&v4(ICMP, 0, &icmp([3, 1], &v4(UDP, 0, &udp(443))))), None);
        assert_eq!(passes(&v4(ICMP, 0, &icmp(PORT_UNREACHABLE, &v4(TCP, 0, &udp(443))))), None);
        assert_eq!(passes(&v4(ICMP_V6, 0, &icmp(PORT_UNREACHABLE_V6, &v6(UDP, &udp(443))))), None);
        let mut fragment = v4(TCP, 0, &tcp(5432, 0, REFUSED));
        fragment[7] = 1;
        assert_eq!(passes(&fragment), None);
    }

    #[test]
    fn resets_of_mcpjail_s_own_listeners_do_not_pass() {
        let ports: Vec<u16> = (1..=256).map(|n| n * 250).chain([53]).collect();
        let filter = kernel(&ports);
        for port in &ports {
            assert_eq!(filter(&v4(TCP, 0, &tcp(*port, 0, REFUSED))), None);
            assert_eq!(filter(&v6(TCP, &tcp(*port, 0, REFUSED))), None);
            assert!(filter(&v4(TCP, 0, &tcp(*port + 1, 0, REFUSED))).is_some());
        }
        // no datagram is granted anywhere
        assert!(filter(&v4(ICMP, 0, &icmp(PORT_UNREACHABLE, &v4(UDP, 0, &udp(250))))).is_some());
    }

    #[test]
    fn a_packet_is_cut_to_what_is_read() {
        let long = v4(TCP, 0, &[tcp(5432, 0, REFUSED), vec![0; 300]].concat());
        assert_eq!(kernel(&[])(&long).unwrap(), long[..KEPT as usize]);
    }

    proptest! {
        /// What the program passes can be read, and what can be read passes but for its ports.
        #[test]
        fn the_program_and_the_reader_agree(
            (first, kind) in (prop_oneof![Just(0x45u8), Just(0x4f), Just(0x60), any::<u8>()], any::<[u8; 2]>()),
            protocol in prop_oneof![Just(TCP), Just(UDP), Just(ICMP), Just(ICMP_V6), any::<u8>()],
            mut rest in proptest::collection::vec(prop_oneof![Just(0u8), Just(17), Just(0x14), Just(3), any::<u8>()], 0..160),
        ) {
            for (at, byte) in [(0, first), (if first >> 4 == 6 { 6 } else { 9 }, protocol), (20, kind[0]), (40, kind[1])] {
                if let Some(place) = rest.get_mut(at) {
                    *place = byte;
                }
            }
            let read = knock(&rest);
            let passed = kernel(&[])(&rest);
            // the program looks at fixed places only, the reader wants whole headers
            prop_assert!(passed.is_some() || read.is_none(), "{rest:02x?}");
            if let Some(passed) = passed {
                prop_assert_eq!(knock(&passed), read);
            }
        }
    }
}
