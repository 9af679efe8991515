//! Questions for names, over UDP and TCP.

use super::world::*;
use crate::egress::wire::{Ask, Family, Reply};
use crate::egress::{DnsName, Event, Limits, Reason};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const A: u16 = 1;
const AAAA: u16 = 28;
const MX: u16 = 15;
const INTERNET: u16 = 1;

/// A question as resolvers write it.
fn question(id: u16, name: &str, kind: u16, class: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    for number in [id, 0x0100, 1, 0, 0, 0] {
        packet.extend(number.to_be_bytes());
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend(class.to_be_bytes());
    packet
}

/// What an answer says: id, rcode, whether it is cut off, and the addresses in it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    id: u16,
    rcode: u8,
    cut: bool,
    addresses: Vec<IpAddr>,
}

fn answer(id: u16, rcode: u8, addresses: &[&str]) -> Answer {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Answer { id, rcode, cut: false, addresses }
}

fn read_answer(packet: &[u8]) -> Answer {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_ne!(number(2) & 0x8000, 0, "a response");
    let mut at = 12;
    while packet[at] != 0 {
        at += 1 + usize::from(packet[at]);
    }
    at += 5;
    let mut addresses = Vec::new();
    for _ in 0..number(6) {
        let length = usize::from(number(at + 10));
        let data = &packet[at + 12..at + 12 + length];
        addresses.push(match length {
            4 => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()),
            _ => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()),
        });
        at += 12 + length;
    }
    Answer { id: number(0), rcode: packet[3] & 15, cut: number(2) & 0x0200 != 0, addresses }
}

/// A proxy that is asked for names only, and where: over UDP and TCP.
fn world(limits: Limits) -> (World, SocketAddr, SocketAddr) {
    let ((udp, udp_place), (tcp, tcp_place)) = (udp_source(), tcp_source());
    (World::with(vec![udp, tcp], tcp_place, limits), udp_place, tcp_place)
}

fn asker(place: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.connect(place).unwrap();
    socket
}

fn heard(socket: &UdpSocket) -> Answer {
    let mut room = [0; 2048];
    let count = socket.recv(&mut room).unwrap();
    read_answer(&room[..count])
}

fn send_framed(mut stream: &TcpStream, packets: &[Vec<u8>]) {
    let framed = packets.iter().flat_map(|packet| {
        let length = u16::try_from(packet.len()).unwrap();
        [&length.to_be_bytes(), packet.as_slice()].concat()
    });
    stream.write_all(&framed.collect::<Vec<u8>>()).unwrap();
}

fn heard_framed(mut stream: &TcpStream) -> Answer {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut packet).unwrap();
    read_answer(&packet)
}

fn asked_name(world: &World) -> (u32, DnsName, Family) {
    match world.asked() {
        Ask::Name { id, name, family } => (id, name, family),
        other => panic!("{other:?}"),
    }
}

fn addresses(id: u32, all: &[&str]) -> Reply {
    Reply::Addresses { id, addresses: all.iter().map(|text| text.parse().unwrap()).collect(), ttl: 60 }
}

#[test]
fn names_are_asked_of_the_broker_and_answered_by_what_it_says() {
    let (world, place, _) = world(LIMITS);
    let client = asker(place);
    for (kind, family) in [(A, Family::V4), (AAAA, Family::V6), (MX, Family::Neither), (65, Family::Neither)] {
        client.send(&question(7, "API.Example.com", kind, INTERNET)).unwrap();
        let (id, asked, of) = asked_name(&world);
        assert_eq!((asked, of), (name("api.example.com"), family));
        world.reply(&addresses(id, &["192.0.2.1", "2001:db8::1"]), None);
        let expected: &[&str] = match family {
            Family::V4 => &["192.0.2.1"],
            Family::V6 => &["2001:db8::1"],
            Family::Neither => &[],
        };
        assert_eq!(heard(&client), answer(7, 0, expected));
    }
    for (reply, rcode) in
        [(|id| Reply::NoName { id }) as fn(u32) -> Reply, |id| Reply::NoAnswer { id }].into_iter().zip([3, 2])
    {
        client.send(&question(8, "api.example.com", A, INTERNET)).unwrap();
        let (id, ..) = asked_name(&world);
        world.reply(&reply(id), None);
        assert_eq!(heard(&client), answer(8, rcode, &[]));
    }
    world.end().unwrap();
}

#[test]
fn some_questions_are_answered_here() {
    let (world, place, _) = world(LIMITS);
    let client = asker(place);
    for name in ["localhost", "LOCALHOST", "db.localhost"] {
        client.send(&question(1, name, A, INTERNET)).unwrap();
        assert_eq!(heard(&client), answer(1, 0, &["127.0.0.1"]));
        client.send(&question(2, name, AAAA, INTERNET)).unwrap();
        assert_eq!(heard(&client), answer(2, 0, &["::1"]));
        client.send(&question(2, name, MX, INTERNET)).unwrap();
        assert_eq!(heard(&client), answer(2, 0, &[]));
    }
    // another class, a version of the server
    client.send(&question(3, "example.com", A, 3)).unwrap();
    assert_eq!(heard(&client), answer(3, 5, &[]));
    for (asked, recorded) in [
        ("xlocalhost.1", "xlocalhost.1"),
        ("a\0b.example.com", r"a\000b.example.com"),
        ("example.com%00.x", "example.com%00.x"),
    ] {
        client.send(&question(4, asked, A, INTERNET)).unwrap();
        assert_eq!(heard(&client), answer(4, 3, &[]));
        let Event::Name { name, refused, addresses, withheld, .. } = world.event() else { panic!() };
        assert_eq!((name.trim_end_matches('.'), refused), (recorded, Some(Reason::InvalidName)));
        assert!(addresses.is_empty() && withheld.is_empty());
    }
    // what is no question at all has no answer, or one that says so
    client.send(b"").unwrap();
    client.send(&[0xff; 40]).unwrap();
    client.send(&question(5, "localhost", A, INTERNET)[..20]).unwrap();
    let mut room = [0; 64];
    assert_eq!(client.recv(&mut room).unwrap(), 12);
    assert_eq!((room[1], room[3] & 15), (5, 1));
    world.end().unwrap();
}

#[test]
fn the_answer_comes_from_the_address_that_was_asked() {
    let (world, place, _) = world(LIMITS);
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 9, 8, 7)] {
        // connected: an answer from anywhere else is dropped by the kernel
        let client = asker(SocketAddr::from((address, place.port())));
        client.send(&question(1, "localhost", A, INTERNET)).unwrap();
        assert_eq!(heard(&client), answer(1, 0, &["127.0.0.1"]));
        client.send(&question(2, "a.example", A, INTERNET)).unwrap();
        world.reply(&addresses(asked_name(&world).0, &["192.0.2.9"]), None);
        assert_eq!(heard(&client), answer(2, 0, &["192.0.2.9"]));
    }
}

#[test]
fn an_answer_to_somebody_who_has_gone_disturbs_nobody() {
    let (world, place, tcp_place) = world(LIMITS);
    let stays = asker(place);
    for _ in 0..3 {
        let leaves = asker(place);
        leaves.send(&question(1, "a.example", A, INTERNET)).unwrap();
        let (id, ..) = asked_name(&world);
        drop(leaves);
        world.reply(&addresses(id, &["192.0.2.1"]), None);
        stays.send(&question(2, "localhost", A, INTERNET)).unwrap();
        assert_eq!(heard(&stays), answer(2, 0, &["127.0.0.1"]));
    }
    let leaves = client(tcp_place);
    send_framed(&leaves, &[question(1, "a.example", A, INTERNET)]);
    let (id, ..) = asked_name(&world);
    reset(leaves);
    let next = client(tcp_place);
    send_framed(&next, &[question(2, "b.example", A, INTERNET)]);
    let (next_id, ..) = asked_name(&world);
    world.reply(&addresses(id, &["192.0.2.1"]), None);
    world.reply(&addresses(next_id, &["192.0.2.2"]), None);
    assert_eq!(heard_framed(&next), answer(2, 0, &["192.0.2.2"]));
    world.end().unwrap();
}

#[test]
fn what_does_not_fit_a_datagram_is_told_and_comes_over_tcp() {
    let (world, place, tcp_place) = world(LIMITS);
    let many: Vec<String> = (0..60).map(|number| format!("192.0.2.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let datagrams = asker(place);
    datagrams.send(&question(1, "many.example", A, INTERNET)).unwrap();
    world.reply(&addresses(asked_name(&world).0, &many), None);
    let short = heard(&datagrams);
    assert!(short.cut && short.addresses.len() < 60);
    let stream = client(tcp_place);
    send_framed(&stream, &[question(1, "many.example", A, INTERNET)]);
    world.reply(&addresses(asked_name(&world).0, &many), None);
    assert_eq!(heard_framed(&stream), answer(1, 0, &many));
}

#[test]
fn questions_on_a_connection_come_in_any_pieces_and_are_answered_as_answers_come() {
    let (world, _, place) = world(LIMITS);
    let stream = client(place);
    stream.set_nodelay(true).unwrap();
    let both = [question(1, "one.example", A, INTERNET), question(2, "two.example", A, INTERNET)];
    send_framed(&stream, &both);
    let (one, two) = (asked_name(&world).0, asked_name(&world).0);
    world.reply(&addresses(two, &["192.0.2.2"]), None);
    assert_eq!(heard_framed(&stream).id, 2);
    world.reply(&addresses(one, &["192.0.2.1"]), None);
    assert_eq!(heard_framed(&stream).id, 1);
    let mut bytes = vec![0, 27];
    bytes.extend(question(3, "localhost", A, INTERNET));
    assert_eq!(bytes.len(), 29);
    for byte in bytes {
        (&stream).write_all(&[byte]).unwrap();
    }
    assert_eq!(heard_framed(&stream), answer(3, 0, &["127.0.0.1"]));
    // the answer comes though the client has ended its side
    send_framed(&stream, &[question(4, "four.example", A, INTERNET)]);
    finish(&stream);
    let (id, ..) = asked_name(&world);
    world.reply(&addresses(id, &["192.0.2.4"]), None);
    assert_eq!(heard_framed(&stream).id, 4);
    assert!(rest(&stream).is_empty());
    world.end().unwrap();
}

#[test]
fn a_connection_has_so_many_questions_under_way_and_no_more() {
    let (world, _, place) = world(LIMITS);
    let stream = client(place);
    let all: Vec<Vec<u8>> = (0..100).map(|id| question(id, &format!("n{id}.example"), A, INTERNET)).collect();
    send_framed(&stream, &all);
    let mut open: Vec<u32> = (0..16).map(|_| asked_name(&world).0).collect();
    let other = client(place);
    send_framed(&other, &[question(500, "other.example", A, INTERNET)]);
    let (id, asked, _) = asked_name(&world);
    assert_eq!(asked, name("other.example"));
    world.reply(&Reply::NoName { id }, None);
    assert_eq!(heard_framed(&other).id, 500);
    for expected in 0..100 {
        let id = open.remove(0);
        world.reply(&Reply::NoName { id }, None);
        assert_eq!(heard_framed(&stream), answer(expected, 3, &[]));
        if expected < 84 {
            open.push(asked_name(&world).0);
        }
    }
}

#[test]
fn a_question_that_is_too_long_ends_its_connection() {
    let (world, _, place) = world(LIMITS);
    let mut stream = client(place);
    stream.write_all(&[0xff, 0xff, 1, 2, 3]).unwrap();
    assert_eq!(broken(&stream), Some(libc::ECONNRESET));
    world.end().unwrap();
}

#[test]
fn connections_for_questions_count_like_others() {
    let (world, _, place) = world(Limits { connections: 2, ..LIMITS });
    let open = [client(place), client(place)];
    for stream in &open {
        send_framed(stream, &[question(1, "localhost", A, INTERNET)]);
        assert_eq!(heard_framed(stream).rcode, 0);
    }
    assert_eq!(broken(&client(place)), Some(libc::ECONNRESET));
    let record = world.record();
    assert_eq!((record.refused, record.destination), (Some(Reason::TooMany), place));
}

#[test]
fn more_questions_than_the_broker_may_have_fail_and_are_told_once() {
    let (world, place, _) = world(LIMITS);
    let clients: Vec<UdpSocket> = (0..4).map(|_| asker(place)).collect();
    let mut open = Vec::new();
    for number in 0..256u16 {
        clients[0].send(&question(number, "slow.example", A, INTERNET)).unwrap();
        open.push(asked_name(&world).0);
    }
    for number in 0..10 {
        clients[1].send(&question(number, "surplus.example", A, INTERNET)).unwrap();
        assert_eq!(heard(&clients[1]), answer(number, 2, &[]));
    }
    let Event::Name { name, refused, .. } = world.event() else { panic!() };
    assert_eq!((name.as_str(), refused), ("surplus.example", Some(Reason::TooMany)));
    for id in open.drain(..) {
        world.reply(&Reply::NoName { id }, None);
        assert_eq!(heard(&clients[0]).rcode, 3);
    }
    clients[2].send(&question(1, "later.example", A, INTERNET)).unwrap();
    world.reply(&addresses(asked_name(&world).0, &["192.0.2.1"]), None);
    assert_eq!(heard(&clients[2]).addresses, [IpAddr::from([192, 0, 2, 1])]);
    world.end().unwrap();
}

#[test]
fn ipv6_has_a_socket_of_its_own() {
    use crate::egress::listeners::{Kind, Listener};
    use crate::sys::socket;
    use std::os::fd::AsFd;
    let fd = socket::udp_receiver(0, true).unwrap();
    let port = socket::local_address(fd.as_fd()).unwrap().port();
    let place = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let _world = World::with(vec![Listener { kind: Kind::DnsUdp6, fd }], place, LIMITS);
    let client = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    client.connect(place).unwrap();
    client.send(&question(1, "localhost", AAAA, INTERNET)).unwrap();
    assert_eq!(heard(&client), answer(1, 0, &["::1"]));
}
