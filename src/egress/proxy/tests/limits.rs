//! How many connections there may be, and for how long.

use super::world::*;
use crate::egress::wire::{Hear, Reply};
use crate::egress::{Limits, Reason};
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn a_thousand_connections_at_once() {
    let world = World::new(LIMITS);
    let (listener, address) = listener();
    world.serve(address, &["db.example.com"]);
    let echo = std::thread::spawn(move || {
        let mut servers: Vec<_> = (0..1000).map(|_| accepted(&listener)).collect();
        for server in &mut servers {
            let mut room = [0; 5];
            server.read_exact(&mut room).unwrap();
            server.write_all(&room).unwrap();
        }
        servers
    });
    let mut clients: Vec<_> = (0..1000).map(|_| world.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(format!("x{number:04}").as_bytes()).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut room = [0; 5];
        client.read_exact(&mut room).unwrap();
        assert_eq!(room, format!("x{number:04}").as_bytes());
    }
    drop(clients);
    drop(echo.join().unwrap());
    for _ in 0..1000 {
        assert_eq!(world.record().sum(), (None, 5, 5));
    }
    world.end().unwrap();
}

#[test]
fn one_too_many_is_reset_and_a_place_that_is_free_is_used_again() {
    let world = World::new(Limits { connections: 3, ..LIMITS });
    let mut open: Vec<_> = (0..3).map(|_| world.joined(&[])).collect();
    for _ in 0..3 {
        let surplus = world.connect();
        assert_eq!(broken(&surplus), Some(libc::ECONNRESET));
        let record = world.record();
        assert_eq!((record.sum(), record.destination), ((Some(Reason::TooMany), 0, 0), world.place));
    }
    for round in 0..50 {
        let (client, server) = open.remove(round % 3);
        drop((client, server));
        assert_eq!(world.record().refused, None);
        let mut new = world.joined(&[]);
        passes(&mut new.0, &mut new.1, b"new");
        open.push(new);
        for (client, server) in &mut open {
            passes(client, server, b"still");
            passes(server, client, b"there");
        }
    }
}

#[test]
fn connections_on_which_nothing_moves_end() {
    let world = World::new(Limits { idle: Duration::from_millis(300), ..LIMITS });
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut client, &mut server, b"x");
    for stream in [&client, &server] {
        assert_eq!(broken(stream), Some(libc::ECONNRESET));
    }
    assert_eq!(world.record().sum(), (Some(Reason::Idle), 1, 0));
}

#[test]
fn connections_end_with_their_lifetime_whatever_moves() {
    let world = World::new(Limits { idle: Duration::from_millis(600), lifetime: Duration::from_millis(900), ..LIMITS });
    let (client, server) = world.joined(&[]);
    let asking = world.connect();
    let _waits = world.asked_open();
    let hearing = world.connect();
    let (id, ..) = world.asked_open();
    world.reply(&Reply::Hear { id, what: Hear::Tls }, None);
    std::thread::scope(|scope| {
        scope.spawn(|| while (&server).write_all(&[7; 1000]).is_ok() {});
        assert_eq!(broken(&client), Some(libc::ECONNRESET));
    });
    for stream in [&asking, &hearing] {
        assert_eq!(broken(stream), Some(libc::ECONNRESET));
    }
    for _ in 0..3 {
        assert_eq!(world.record().refused, Some(Reason::Lifetime));
    }
}
