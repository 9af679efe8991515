//! What a hostile server tries against the proxy itself. Others' connections go on meanwhile, and nothing grows.

use super::world::*;
use crate::egress::Reason;
use crate::egress::wire::{Ask, Hear, Reply};
use crate::sys::dial;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Refuses every connection but those that `allow` says, which go to a server of their own.
fn broker(world: &World, allow: impl Fn(usize) -> Option<Reply> + Send + 'static) -> Arc<AtomicUsize> {
    let (broker, asked) = (Arc::clone(&world.broker), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    thread::spawn(move || {
        while let Some(ask) = next_ask(broker.as_fd()) {
            let id = match ask {
                Ask::Open { id, .. } | Ask::Name { id, .. } => id,
                Ask::Knock { .. } => continue,
            };
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let refused = Reply::Refused { id, reason: Reason::AddressNotGranted };
            send(broker.as_fd(), &with_id(allow(number).unwrap_or(refused), id), None);
        }
    });
    asked
}

fn with_id(reply: Reply, id: u32) -> Reply {
    match reply {
        Reply::Hear { what, .. } => Reply::Hear { id, what },
        Reply::NoName { .. } => Reply::NoName { id },
        other => other,
    }
}

/// Asks as resolvers do: again where there is no answer, since a full socket drops what comes.
fn is_answered(question: &[u8], place: SocketAddr) -> bool {
    let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    asker.connect(place).unwrap();
    asker.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    (0..60).any(|_| {
        asker.send(question).unwrap();
        asker.recv(&mut [0; 512]).is_ok()
    })
}

#[test]
fn connections_that_are_broken_off_at_once() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    let asked = broker(&world, |_| None);
    // those that the broker refused it has recorded, those that broke before have their own record
    let broken = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut broken = 0;
            loop {
                match world.record() {
                    record if record.refused.is_none() => return broken,
                    record => assert_eq!(record.refused, Some(Reason::Broken)),
                }
                broken += 1;
            }
        });
        for _ in 0..5000 {
            reset(world.connect());
        }
        passes(&mut client, &mut server, b"there");
        passes(&mut server, &mut client, b"and back");
        drop((client, server));
        reader.join().unwrap()
    });
    assert!(broken <= asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) <= 5000);
}

#[test]
fn a_thousand_that_never_finish_their_hello() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    let asked = broker(&world, |_| Some(Reply::Hear { id: 0, what: Hear::Tls }));
    let hello = client_hello(Some("a.example"));
    let slow: Vec<TcpStream> = (0..1000)
        .map(|number| {
            let mut stream = world.connect();
            stream.write_all(&hello[..number % hello.len()]).unwrap();
            stream
        })
        .collect();
    // all of them are there, not only waiting to be accepted
    while asked.load(Ordering::Relaxed) < 1000 {
        passes(&mut client, &mut server, b"there");
    }
    passes(&mut server, &mut client, b"and back");
    drop(slow);
    let mut ended = 0;
    while ended < 1000 {
        // nothing said at all, or told to the broker, whose answer is to hear again: that ends the proxy
        match world.record().refused {
            None | Some(Reason::Broken | Reason::SessionEnded) => ended += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_flood_of_questions() {
    let ((udp, udp_place), (tcp, tcp_place)) = (udp_source(), tcp_source());
    let (listener, place) = listener();
    let port = place.port();
    let kind = crate::egress::listeners::Kind::Tcp(port);
    let connections = crate::egress::listeners::Listener { kind, fd: listener.into() };
    let world = World::with(vec![udp, tcp, connections], place, LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    broker(&world, |_| Some(Reply::NoName { id: 0 }));
    let question = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    let framed = [&[0, u8::try_from(question.len()).unwrap()][..], question].concat();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let flood = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                // the answers are never read: the socket overflows, and then it is gone
                for _ in 0..20_000 {
                    let _dropped = flood.send_to(question, udp_place);
                }
            });
        }
        scope.spawn(|| {
            let mut flood = crate::egress::proxy::tests::world::client(tcp_place);
            // nor here
            for _ in 0..10_000 {
                flood.write_all(&framed).unwrap();
            }
        });
        for _ in 0..200 {
            passes(&mut client, &mut server, b"there");
            passes(&mut server, &mut client, b"and back");
        }
    });
    assert!(is_answered(question, udp_place));
}

#[test]
fn answers_to_closed_sockets_break_nothing() {
    let (udp, place) = udp_source();
    let world = World::with(vec![udp], place, LIMITS);
    let localhost = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";
    // each answer meets "port unreachable"
    for _ in 0..500 {
        let leaves = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        leaves.send_to(localhost, place).unwrap();
    }
    assert!(is_answered(localhost, place));
    world.end().unwrap();
}

#[test]
fn a_greedy_connection_leaves_others_their_turns() {
    let world = World::new(LIMITS);
    let (greedy, sink) = world.joined(&[]);
    let (mut client, mut server) = world.joined(&[]);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| while done.load(Ordering::Relaxed) == 0 && (&greedy).write_all(&[7; 1 << 20]).is_ok() {});
        scope.spawn(|| std::io::copy(&mut &sink, &mut std::io::sink()));
        for _ in 0..300 {
            passes(&mut client, &mut server, b"there");
            passes(&mut server, &mut client, b"and back");
        }
        done.store(1, Ordering::Relaxed);
        let _still_writing = greedy.set_write_timeout(None);
        // the reader ends with the writer
        scope.spawn(|| while world.record().refused.is_some() {});
        finish(&client);
        finish(&server);
        greedy.shutdown(std::net::Shutdown::Both).unwrap();
    });
}

#[test]
fn a_name_that_changes_after_it_was_judged_is_not_looked_at_again_nor_needed() {
    // the bytes that were judged are the bytes that are forwarded: nothing can be put in their place
    let world = World::new(LIMITS);
    let mut client = world.connect();
    let (id, ..) = world.asked_open();
    world.reply(&Reply::Hear { id, what: Hear::Tls }, None);
    let good = client_hello(Some("good.example"));
    let evil = client_hello(Some("evil.example"));
    client.write_all(&[good.clone(), evil.clone()].concat()).unwrap();
    let (id, ..) = world.asked_open();
    let (listener, address) = listener();
    let socket = dial::connect(address).unwrap();
    let reply = Reply::Dialled { id, address, names: vec![name("good.example")], more: false };
    world.reply(&reply, Some(socket.as_fd()));
    finish(&client);
    assert_eq!(rest(&accepted(&listener)), [good, evil].concat());
}
