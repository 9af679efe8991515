//! With the listeners of a real jail: every address is local, and answers come from where they were asked.

use super::world::*;
use crate::egress::Protocol;
use crate::egress::listeners;
use crate::egress::wire::{Ask, Family, Reply};
use crate::sys::own_network::in_own_network;
use std::net::{SocketAddr, TcpStream, UdpSocket};

#[test]
fn a_jail_s_listeners() {
    in_own_network("egress::proxy::tests::jail::a_jail_s_listeners", || {
        let all = listeners::open(&[443, 5432]).unwrap();
        let ipv6 = all.iter().any(|listener| listener.kind == listeners::Kind::DnsUdp6);
        let watched = all.iter().any(|listener| listener.kind == listeners::Kind::Watch);
        assert!(watched);
        let place: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let world = World::with(all, place, LIMITS);
        let places =
            ["198.51.100.7:443", "10.0.0.1:5432", "127.0.0.1:443", "[2001:db8::7]:443", "[::ffff:192.0.2.3]:443"];
        for text in places.iter().filter(|text| ipv6 || !text.starts_with('[')) {
            let mut client = TcpStream::connect(text).unwrap();
            let (id, destination, ..) = world.asked_open();
            assert_eq!(destination.to_string(), text.replace("[::ffff:192.0.2.3]", "192.0.2.3"));
            let mut server = world.dialled(id, &[]);
            passes(&mut client, &mut server, b"there");
            passes(&mut server, &mut client, b"back");
        }
        for (own, asked) in [("0.0.0.0:0", "203.0.113.53:53"), ("[::]:0", "[2001:db8::53]:53")] {
            if own.starts_with('[') && !ipv6 {
                continue;
            }
            let client = UdpSocket::bind(own).unwrap();
            // what comes from another address is dropped by the kernel
            client.connect(asked).unwrap();
            let question = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x1c\0\x01";
            client.send(question).unwrap();
            match world.asked() {
                Ask::Name { id, name: asked, family } => {
                    assert_eq!((asked, family), (name("a.example"), Family::V6));
                    world.reply(&Reply::NoName { id }, None);
                }
                other => panic!("{other:?}"),
            }
            let mut room = [0; 512];
            assert!(client.recv(&mut room).unwrap() > 12);
            assert_eq!((room[1], room[3] & 15), (9, 3));
        }
        // each place is told once
        for text in ["192.0.2.1:81", "192.0.2.1:81", "192.0.2.1:82"] {
            assert_eq!(TcpStream::connect(text).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
        }
        for text in ["192.0.2.1:443", "192.0.2.1:443"] {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.connect(text).unwrap();
            client.send(b"quic").unwrap();
            assert_eq!(client.recv(&mut [0; 16]).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
        }
        for (text, protocol) in
            [("192.0.2.1:81", Protocol::Tcp), ("192.0.2.1:82", Protocol::Tcp), ("192.0.2.1:443", Protocol::Udp)]
        {
            assert_eq!(world.asked(), Ask::Knock { destination: text.parse().unwrap(), protocol });
        }
        let _last = TcpStream::connect("192.0.2.9:443").unwrap();
        assert_eq!(world.asked_open().1.to_string(), "192.0.2.9:443");
    });
}

#[test]
fn whoever_knocks_everywhere_is_listened_to_no_more() {
    in_own_network("egress::proxy::tests::jail::whoever_knocks_everywhere_is_listened_to_no_more", || {
        let world = World::with(listeners::open(&[443]).unwrap(), "192.0.2.1:443".parse().unwrap(), LIMITS);
        let mut knocks = 0;
        for port in 1000..2100u16 {
            assert!(TcpStream::connect(("192.0.2.1", port)).is_err());
            if knocks < 1024 {
                assert!(matches!(world.asked(), Ask::Knock { .. }));
                knocks += 1;
            }
        }
        // the next that is asked is no knock
        let _client = world.connect();
        world.asked_open();
    });
}
