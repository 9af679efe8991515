//! The broker on a thread, over true sockets.

use super::*;
use crate::sys::message::{receive, send};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// A broker on a thread, with this test as its proxy and its launcher.
struct Served {
    proxy: OwnedFd,
    events: OwnedFd,
    thread: JoinHandle<io::Result<()>>,
}

impl Served {
    fn new(lines: &[(&str, &str)], machine: Machine) -> Served {
        let (proxy, theirs) = packet_pair().unwrap();
        let (events, their_events) = packet_pair().unwrap();
        let rules = rules(lines);
        let thread = thread::spawn(move || serve(rules, machine, theirs.as_fd(), their_events.as_fd()));
        Served { proxy, events, thread }
    }

    fn send(&self, ask: &Ask) {
        send(self.proxy.as_fd(), &postcard::to_allocvec(ask).unwrap(), &[], true).unwrap();
    }

    fn reply(&self) -> (Reply, Option<OwnedFd>) {
        let mut room = vec![0; LARGEST];
        let (count, mut sockets) = receive(self.proxy.as_fd(), &mut room, true).unwrap();
        assert!(sockets.len() <= 1);
        (postcard::from_bytes(&room[..count]).unwrap(), sockets.pop())
    }

    fn event(&self) -> Event {
        let mut room = vec![0; LARGEST];
        let (count, _) = receive(self.events.as_fd(), &mut room, true).unwrap();
        postcard::from_bytes(&room[..count]).unwrap()
    }
}

#[test]
fn sockets_to_the_loopback_carry_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let Ok(pair) = packet_pair() else { panic!() };
    let (events, their_events) = packet_pair().unwrap();
    let setup =
        Setup { proxy: pair.1, events: their_events, rules: rules(&[(&format!("localhost:{}", at.port()), "")]) };
    let thread = thread::spawn(move || run(setup));
    let served = Served { proxy: pair.0, events, thread };
    // the other family first: nothing listens there, and it is found out by whoever has the socket
    let destination = SocketAddr::new(ip("::1"), at.port());
    let open = |id, attempt| Ask::Open { id, destination, said: Said::Nothing, attempt };
    served.send(&open(1, 0));
    let first = served.reply();
    if matches!(first.0, Reply::Dialled { .. }) {
        served.send(&open(2, 1));
    }
    let (reply, socket) = if matches!(first.0, Reply::Dialled { .. }) { served.reply() } else { first };
    let Reply::Dialled { address, names, more: false, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((address, names), (at, vec![]));
    let socket = socket.unwrap();
    let mut other = listener.accept().unwrap().0;
    assert!(wait_for(socket.as_fd(), Interest::Write, None).unwrap());
    let mut socket = TcpStream::from(socket);
    socket.write_all(b"there").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).unwrap();
    assert_eq!(text, "there");
    // and nothing but what is granted
    let other_port = SocketAddr::new(at.ip(), at.port() ^ 1);
    served.send(&Ask::Open { id: 3, destination: other_port, said: Said::Nothing, attempt: 0 });
    assert_eq!(served.reply().0, Reply::Refused { id: 3, reason: Reason::AddressNotGranted });
    assert!(matches!(served.event(), Event::Connection { refused: Some(Reason::AddressNotGranted), .. }));
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}

#[test]
fn questions_are_answered_by_id_whatever_their_order() {
    let script = Arc::new(Script::default());
    let served = Served::new(&[("*.test:443", "d")], script.machine());
    served.send(&Ask::Name { id: 1, name: name("slow.test"), family: Family::V4 });
    script.answers("quick.test", &[&["9.9.9.1"]]);
    served.send(&Ask::Name { id: 2, name: name("quick.test"), family: Family::V4 });
    assert!(matches!(served.reply().0, Reply::Addresses { id: 2, .. }));
    script.answers("slow.test", &[&["9.9.9.2"]]);
    assert!(matches!(served.reply().0, Reply::Addresses { id: 1, .. }));
    assert!(matches!(served.event(), Event::Name { name, .. } if name == "quick.test"));
    assert!(matches!(served.event(), Event::Name { name, .. } if name == "slow.test"));
    // it closes with a reply unread
    served.send(&Ask::Name { id: 3, name: name("quick.test"), family: Family::V4 });
    assert!(wait_for(served.proxy.as_fd(), Interest::Read, None).unwrap());
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}

/// What a proxy that has been taken over might send.
#[test]
fn packets_that_are_no_questions_end_the_broker() {
    let ask = |name: &str| {
        // an `Ask::Name` as the proxy writes it, with any text in the place of the name
        let honest = Ask::Name { id: 1, name: DnsName::parse("x").unwrap(), family: Family::V4 };
        let mut bytes = postcard::to_allocvec(&honest).unwrap();
        let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes.splice(at - 1..=at, [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat());
        bytes
    };
    let mut packets: Vec<Vec<u8>> =
        ["evil\0.api.test", "127.0.0.1", "0x7f.1", "api.test%00", "a b", "", "..", "ünï.test"].map(ask).into();
    packets.push(vec![0xff; 32]);
    packets.push(ask("api.test")[..4].to_vec());
    packets.push([ask("api.test"), vec![0]].concat());
    for packet in packets {
        let script = Arc::new(Script::default());
        let served = Served::new(&[("*:443", "d")], script.machine());
        send(served.proxy.as_fd(), &packet, &[], true).unwrap();
        let error = served.thread.join().unwrap().unwrap_err();
        assert_eq!((error.kind(), script.lookups()), (io::ErrorKind::InvalidData, vec![]), "{packet:?}");
    }
    let script = Arc::new(Script::default());
    let served = Served::new(&[("*:443", "d")], script.machine());
    send(served.proxy.as_fd(), &ask("api.test"), &[served.events.as_fd()], true).unwrap();
    assert_eq!(served.thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    let served = Served::new(&[("*:443", "d")], script.machine());
    send(served.proxy.as_fd(), &vec![0; LARGEST + 1], &[], true).unwrap();
    assert_eq!(served.thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_broker_ends_with_the_launcher() {
    let script = Arc::new(Script::default());
    let Served { proxy, events, thread } = Served::new(&[("api.test:443", "")], script.machine());
    drop(events);
    let ask = Ask::Name { id: 1, name: name("evil.test"), family: Family::V4 };
    send(proxy.as_fd(), &postcard::to_allocvec(&ask).unwrap(), &[], true).unwrap();
    assert_eq!(thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// Nothing is lost where nobody reads for a while: the broker waits.
#[test]
fn a_launcher_that_reads_late_loses_nothing() {
    let script = Arc::new(Script::default());
    let served = Served::new(&[("api.test:443", "")], script.machine());
    let count = 2000u32;
    let proxy = served.proxy.try_clone().unwrap();
    let asking = thread::spawn(move || {
        for id in 0..count {
            let ask = Ask::Name { id, name: name(&format!("n{id}.evil.test")), family: Family::V4 };
            send(proxy.as_fd(), &postcard::to_allocvec(&ask).unwrap(), &[], true).unwrap();
        }
    });
    let replies = served.proxy.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut room = vec![0; LARGEST];
        (0..count).for_each(|_| drop(receive(replies.as_fd(), &mut room, true).unwrap()));
    });
    for n in 0..count {
        assert!(matches!(served.event(), Event::Name { name, .. } if name == format!("n{n}.evil.test")));
    }
    asking.join().unwrap();
    reading.join().unwrap();
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}
