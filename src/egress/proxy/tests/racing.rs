//! Addresses that do not answer, and those tried in their place.

use super::world::*;
use crate::egress::Reason;
use crate::egress::wire::{Reply, Said};
use crate::sys::poll::{Interest, wait_for};
use crate::sys::{dial, stream};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// An address that refuses, and a socket that was refused there.
fn refusing() -> (SocketAddr, OwnedFd) {
    let (listener, address) = listener();
    drop(listener);
    (address, dial::connect(address).unwrap())
}

/// Something that is never writable, as a socket that waits for an answer that does not come; its other end.
fn silent() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    while (&ours).write(&[0; 4096]).is_ok() {}
    (theirs, ours.into())
}

fn answering() -> (TcpListener, SocketAddr, OwnedFd) {
    let (listener, address) = listener();
    let socket = dial::connect(address).unwrap();
    (listener, address, socket)
}

fn offer(world: &World, id: u32, (address, socket): (SocketAddr, &OwnedFd), more: bool) {
    world.reply(&Reply::Dialled { id, address, names: vec![name("a.example")], more }, Some(socket.as_fd()));
}

fn attempt(world: &World, expected: u8) -> u32 {
    let (id, destination, said, attempt) = world.asked_open();
    assert_eq!((destination, said, attempt), (world.place, Said::Nothing, expected));
    id
}

fn joined(world: &World, mut client: TcpStream, server: &TcpListener, address: SocketAddr) {
    let mut server = accepted(server);
    passes(&mut client, &mut server, b"hello");
    passes(&mut server, &mut client, b"welcome");
    drop((client, server));
    let record = world.record();
    assert_eq!((record.dialled, record.name.as_deref()), (Some(address), Some("a.example")));
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next() {
    let world = World::new(LIMITS);
    let client = world.connect();
    for number in 0..3 {
        let (address, socket) = refusing();
        offer(&world, attempt(&world, number), (address, &socket), true);
    }
    let (listener, address, socket) = answering();
    offer(&world, attempt(&world, 3), (address, &socket), false);
    joined(&world, client, &listener, address);
    world.end().unwrap();
}

#[test]
fn a_connection_that_nobody_takes_is_reset_and_says_why() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let (address, socket) = refusing();
    offer(&world, attempt(&world, 0), (address, &socket), false);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    let record = world.record();
    assert_eq!((record.sum(), record.errno), ((Some(Reason::Unreachable), 0, 0), Some(libc::ECONNREFUSED)));
    assert_eq!(record.dialled, None);

    let client = world.connect();
    world.reply(&Reply::Unreachable { id: attempt(&world, 0), errno: libc::ENETUNREACH }, None);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    assert_eq!(world.record().errno, Some(libc::ENETUNREACH));

    // the alternative is gone, too: what is told is why the last one failed
    let client = world.connect();
    offer(&world, attempt(&world, 0), (address, &refusing().1), true);
    world.reply(&Reply::Unreachable { id: attempt(&world, 1), errno: libc::EHOSTUNREACH }, None);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    assert_eq!(world.record().errno, Some(libc::EHOSTUNREACH));

    // a refusal of the alternative is the broker's to record
    let client = world.connect();
    offer(&world, attempt(&world, 0), (address, &refusing().1), true);
    world.reply(&Reply::Refused { id: attempt(&world, 1), reason: Reason::AddressNotGranted }, None);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    world.end().unwrap();
}

#[test]
fn an_address_that_is_silent_is_raced_and_the_first_to_answer_is_kept() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let (first, socket) = silent();
    offer(&world, attempt(&world, 0), (world.place, &socket), true);
    drop(socket);
    let id = attempt(&world, 1); // after the head start
    let (second, socket) = silent();
    offer(&world, id, (world.place, &socket), true);
    drop(socket);
    let (listener, address, socket) = answering();
    offer(&world, attempt(&world, 2), (address, &socket), true);
    drop(socket);
    joined(&world, client, &listener, address);
    // those that lost are closed
    for mut loser in [first, second] {
        std::io::copy(&mut loser, &mut std::io::sink()).unwrap();
    }
    world.end().unwrap();
}

#[test]
fn no_more_than_three_race_and_one_that_fails_makes_room() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let mut silent_ones = Vec::new();
    for number in 0..3 {
        let (theirs, socket) = silent();
        offer(&world, attempt(&world, number), (world.place, &socket), true);
        silent_ones.push(theirs);
    }
    // nothing is asked while three are under way; a second connection shows that the time passed
    let other = world.connect();
    let (theirs, socket) = silent();
    offer(&world, attempt(&world, 0), (world.place, &socket), true);
    let other_id = attempt(&world, 1);
    drop(silent_ones.pop()); // a broken socket is one that failed
    let (listener, address, socket) = answering();
    offer(&world, attempt(&world, 3), (address, &socket), false);
    joined(&world, client, &listener, address);
    world.reply(&Reply::Unreachable { id: other_id, errno: libc::EHOSTUNREACH }, None);
    drop(theirs);
    assert_eq!(broken(&other), Some(libc::ECONNRESET));
    assert_eq!(world.record().refused, Some(Reason::Unreachable));
    world.end().unwrap();
}

#[test]
fn one_that_fails_while_the_next_is_asked_for_changes_nothing() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let (listener, address, socket) = answering();
    let (theirs, quiet) = silent();
    offer(&world, attempt(&world, 0), (world.place, &quiet), true);
    let id = attempt(&world, 1);
    drop((theirs, quiet));
    offer(&world, id, (address, &socket), true);
    joined(&world, client, &listener, address);
    world.end().unwrap();
}

#[test]
fn a_client_that_leaves_while_it_waits_is_recorded_and_its_socket_closed() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let id = attempt(&world, 0);
    reset(client);
    let record = world.record();
    assert_eq!((record.sum(), record.errno), ((Some(Reason::Broken), 0, 0), Some(libc::ECONNRESET)));
    // the reply comes to nobody
    let (listener, address, socket) = answering();
    offer(&world, id, (address, &socket), true);
    drop(socket);
    assert!(rest(&accepted(&listener)).is_empty());
    // and the next connection, in the same place, is not confused
    let client = world.connect();
    let (listener, address, socket) = answering();
    offer(&world, attempt(&world, 0), (address, &socket), false);
    joined(&world, client, &listener, address);
    world.end().unwrap();
}

#[test]
fn a_socket_that_never_connects_anywhere_is_a_failure() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let (address, socket) = refusing();
    // whoever takes the error off a socket leaves one behind that is neither connected nor broken
    wait_for(socket.as_fd(), Interest::Write, None).unwrap();
    assert_eq!(stream::take_error(socket.as_fd()).unwrap(), libc::ECONNREFUSED);
    offer(&world, attempt(&world, 0), (address, &socket), false);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    let record = world.record();
    assert_eq!((record.refused, record.errno), (Some(Reason::Unreachable), Some(libc::ENOTCONN)));
}
