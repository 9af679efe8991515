//! How sessions end, and what becomes of broker and launcher that are slow or gone.

use super::world::*;
use crate::egress::wire::{Ask, Hear, LARGEST, Reply};
use crate::egress::{Event, Reason};
use crate::sys::dial;
use crate::sys::message;
use crate::sys::stream;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::thread;

#[test]
fn the_end_of_a_session_resets_and_records_everything() {
    let mut world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut client, &mut server, b"four");
    let asking = world.connect();
    let _ask = world.asked_open();
    let hearing = world.connect();
    let (id, ..) = world.asked_open();
    world.reply(&Reply::Hear { id, what: Hear::Tls }, None);
    stream::finish(world.events.as_fd()).unwrap();
    for stream in [&client, &server, &asking, &hearing] {
        assert_eq!(broken(stream), Some(libc::ECONNRESET));
    }
    let mut sums: Vec<_> = (0..3).map(|_| world.record().sum()).collect();
    sums.sort_unstable_by_key(|sum| sum.1);
    let ended = Some(Reason::SessionEnded);
    assert_eq!(sums, [(ended, 0, 0), (ended, 0, 0), (ended, 4, 0)]);
    world.returned().unwrap();
}

#[test]
fn what_was_sent_before_the_end_arrives() {
    const LENGTH: usize = 3 << 20;
    let mut world = World::new(LIMITS);
    let (mut client, server) = world.joined(&[]);
    // more than the sockets hold: the writer is done when the reader has begun
    let reader = thread::spawn(move || rest(&server).len());
    client.write_all(&vec![7; LENGTH]).unwrap();
    drop(client);
    stream::finish(world.events.as_fd()).unwrap();
    assert_eq!(reader.join().unwrap(), LENGTH);
    assert_eq!(world.record().sum().1, u64::try_from(LENGTH).unwrap());
    world.returned().unwrap();
}

#[test]
fn a_launcher_that_is_gone_ends_the_session() {
    let mut world = World::new(LIMITS);
    let (client, _server) = world.joined(&[]);
    let (events, _) = message::packet_pair().unwrap();
    drop(std::mem::replace(&mut world.events, events));
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    world.returned().unwrap();
}

#[test]
fn without_the_broker_nothing_goes_on() {
    let mut world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut client, &mut server, b"x");
    stream::finish(world.broker.as_fd()).unwrap();
    for stream in [&client, &server] {
        assert_eq!(broken(stream), Some(libc::ECONNRESET));
    }
    assert_eq!(world.record().refused, Some(Reason::SessionEnded));
    assert_eq!(world.returned().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_broker_that_makes_no_sense_is_none() {
    let answers: [fn(u32) -> Reply; 5] = [
        |id| Reply::Addresses { id, addresses: vec![], ttl: 60 },
        |id| Reply::NoName { id },
        |id| Reply::Refused { id: id + 1, reason: Reason::AddressNotGranted },
        // without a socket
        |id| Reply::Dialled { id, address: "127.0.0.1:9".parse().unwrap(), names: vec![], more: false },
        |id| Reply::Unreachable { id: id.wrapping_sub(1), errno: 1 },
    ];
    for answer in answers {
        let mut world = World::new(LIMITS);
        let client = world.connect();
        let (id, ..) = world.asked_open();
        world.reply(&answer(id), None);
        assert_eq!(world.returned().unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(broken(&client), Some(libc::ECONNRESET));
    }
    // a socket where none belongs, two of them, and what is no reply
    for (bytes, sockets) in [(true, 1), (false, 0), (true, 2)] {
        let mut world = World::new(LIMITS);
        let _client = world.connect();
        let (id, ..) = world.asked_open();
        let reply = Reply::Refused { id, reason: Reason::AddressNotGranted };
        let bytes = if bytes { postcard::to_allocvec(&reply).unwrap() } else { vec![0xff; 7] };
        let socket = world.broker.as_fd();
        message::send(socket, &bytes, &[socket; 2][..sockets], true).unwrap();
        assert_eq!(world.returned().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

#[test]
fn a_second_wish_to_hear_is_out_of_turn() {
    let mut world = World::new(LIMITS);
    let mut client = world.connect();
    let (id, ..) = world.asked_open();
    world.reply(&Reply::Hear { id, what: Hear::Tls }, None);
    client.write_all(&client_hello(Some("a.example"))).unwrap();
    let (id, ..) = world.asked_open();
    world.reply(&Reply::Hear { id, what: Hear::Tls }, None);
    assert_eq!(world.returned().unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn while_the_launcher_is_slow_nothing_new_is_begun_and_nothing_is_lost() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    // each is reset at once by the client and leaves a record, which nobody reads
    let broker = std::sync::Arc::clone(&world.broker);
    let (stop, stopped) = std::sync::mpsc::channel();
    let refuser = std::thread::spawn(move || {
        let mut asked = 0;
        while let Some(Ask::Open { id, .. }) = next_ask(broker.as_fd()) {
            asked += 1;
            send(broker.as_fd(), &Reply::Unreachable { id, errno: libc::ENETUNREACH }, None);
            let _nobody_listens_any_more = stop.send(());
        }
        asked
    });
    // until none of them is taken any more, though they connect: the kernel accepts for the proxy
    let mut clients = Vec::new();
    let mut asked = 0;
    while clients.len() < 4000 {
        clients.push(world.connect());
        match stopped.recv_timeout(std::time::Duration::from_millis(500)) {
            Ok(()) => asked += 1,
            Err(_) => break,
        }
    }
    assert!(asked > 64 && asked < 4000, "{asked}");
    // what stands goes on meanwhile
    passes(&mut client, &mut server, b"there");
    passes(&mut server, &mut client, b"and back");
    for _ in 0..clients.len() {
        assert_eq!(world.record().refused, Some(Reason::Unreachable));
    }
    drop((client, server));
    assert_eq!(world.record().refused, None);
    stream::finish(world.broker.as_fd()).unwrap();
    stream::finish(world.events.as_fd()).unwrap();
    assert_eq!(refuser.join().unwrap(), clients.len());
}

#[test]
fn while_the_broker_is_slow_connections_wait_and_each_is_asked_once() {
    let world = World::new(LIMITS);
    let clients: Vec<_> = (0..1500).map(|_| world.connect()).collect();
    let (server, address) = listener();
    let mut servers = Vec::new();
    for _ in 0..clients.len() {
        let (id, ..) = world.asked_open();
        let socket = dial::connect(address).unwrap();
        let reply = Reply::Dialled { id, address, names: vec![], more: false };
        world.reply(&reply, Some(socket.as_fd()));
        servers.push(accepted(&server));
    }
    assert!(message::receive(world.broker.as_fd(), &mut [0; LARGEST], false).is_err(), "another question");
    for stream in clients {
        finish(&stream);
    }
    for mut stream in servers {
        stream.write_all(b"x").unwrap();
        drop(stream);
        assert!(matches!(world.event(), Event::Connection { .. }));
    }
}

#[test]
fn the_last_records_reach_a_launcher_that_was_slow() {
    let mut world = World::new(LIMITS);
    let (server, address) = listener();
    let server = std::thread::spawn(move || (0..1000).map(|_| accepted(&server)).collect::<Vec<_>>());
    world.serve(address, &[]);
    let clients: Vec<_> = (0..1000).map(|_| world.connect()).collect();
    let _servers = server.join().unwrap();
    let mut first = clients.first().unwrap();
    first.write_all(b"x").unwrap();
    stream::finish(world.events.as_fd()).unwrap();
    for _ in 0..1000 {
        assert_eq!(world.record().refused, Some(Reason::SessionEnded));
    }
    world.returned().unwrap();
}
