//! Bytes arrive as they were sent, and ends, too.

use super::world::*;
use crate::egress::Reason;
use crate::sys::stream::tests::send_urgent;
use proptest::prelude::*;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// Bytes of which no two stretches are alike.
fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

#[test]
fn small_messages_go_there_and_back() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    for length in [1, 2, 100, 16 << 10, (16 << 10) + 1, 70_000] {
        passes(&mut client, &mut server, &pattern(length, 1));
        passes(&mut server, &mut client, &pattern(length, 2));
    }
    let address = server.local_addr().unwrap();
    drop(client);
    assert!(rest(&server).is_empty());
    drop(server);
    let total = 1 + 2 + 100 + (32 << 10) + 1 + 70_000;
    let record = world.record();
    assert_eq!(record.sum(), (None, total, total));
    assert_eq!((record.destination, record.dialled, record.name), (world.place, Some(address), None));
    world.end().unwrap();
}

/// A read stops behind urgent data, and no event tells of what follows it. The urgent byte is a byte like any other: what
/// was looked at is what is sent on.
#[test]
fn what_follows_urgent_data_arrives() {
    let world = World::new(LIMITS);
    let mut client = world.connect();
    let (id, ..) = world.asked_open();
    let say = |mut stream: &TcpStream| {
        stream.write_all(b"before").unwrap();
        send_urgent(stream.as_fd(), b'!');
        stream.write_all(b" and after").unwrap();
    };
    // all of it is there before the proxy reads
    say(&client);
    let mut server = world.dialled(id, &[]);
    let mut room = [0; 17];
    server.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"before! and after");
    for _ in 0..100 {
        say(&server);
        client.read_exact(&mut room).unwrap();
        assert_eq!(&room, b"before! and after");
    }
}

#[test]
fn each_direction_ends_for_itself_after_ten_megabytes() {
    let world = World::new(LIMITS);
    for client_first in [true, false] {
        let (client, server) = world.joined(&[]);
        let (first, second) = if client_first { (client, server) } else { (server, client) };
        let data = pattern(10 << 20, 3);
        for (from, to) in [(&first, &second), (&second, &first)] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut from = from;
                    from.write_all(&data).unwrap();
                    finish(from);
                });
                assert!(rest(to) == data, "other bytes");
            });
        }
        assert_eq!(world.record().sum(), (None, 10 << 20, 10 << 20));
    }
    world.end().unwrap();
}

#[test]
fn both_directions_at_once() {
    let world = World::new(LIMITS);
    let (client, server) = world.joined(&[]);
    let (up, down) = (pattern(24 << 20, 5), pattern(17 << 20, 6));
    thread::scope(|scope| {
        for (mut from, data) in [(&client, &up), (&server, &down)] {
            scope.spawn(move || {
                from.write_all(data).unwrap();
                finish(from);
            });
        }
        let client_reads = scope.spawn(|| rest(&client));
        assert!(rest(&server) == up);
        assert!(client_reads.join().unwrap() == down);
    });
    assert_eq!(world.record().sum(), (None, 24 << 20, 17 << 20));
}

#[test]
fn a_server_that_speaks_first_is_heard_and_one_that_only_speaks() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut server, &mut client, b"220 hello\r\n");
    finish(&server);
    assert!(rest(&client).is_empty());
    passes(&mut client, &mut server, b"still here");
    drop(client);
    assert!(rest(&server).is_empty());
    assert_eq!(world.record().sum(), (None, 10, 11));
}

#[test]
fn what_was_said_before_the_server_is_there_is_kept() {
    let world = World::new(LIMITS);
    let mut client = world.connect();
    client.write_all(b"early").unwrap();
    finish(&client);
    let (id, ..) = world.asked_open();
    let server = world.dialled(id, &[]);
    assert_eq!(rest(&server), b"early");
    drop(server);
    assert!(rest(&client).is_empty());
    assert_eq!(world.record().sum(), (None, 5, 0));
}

#[test]
fn a_slow_reader_slows_the_sender_and_holds_little() {
    let world = World::new(LIMITS);
    let (client, server) = world.joined(&[]);
    for (from, to) in [(&client, &server), (&server, &client)] {
        // so much goes into the buffers of four sockets, and what the proxy holds
        let block = pattern(64 << 10, 7);
        let sent = fill(from, &block);
        assert!(sent < 200 << 20);
        finish(from);
        let (mut at, mut room, mut to) = (0, vec![0; 100_000], to);
        loop {
            let count = to.read(&mut room).unwrap();
            if count == 0 {
                break;
            }
            for byte in &room[..count] {
                assert_eq!(*byte, block[at % block.len()]);
                at += 1;
            }
        }
        assert_eq!(at, sent);
    }
    assert_eq!(world.record().refused, None);
}

#[test]
fn urgent_bytes_stay_in_their_place() {
    let world = World::new(LIMITS);
    let (client, server) = world.joined(&[]);
    for (mut from, mut to) in [(&client, &server), (&server, &client)] {
        for _ in 0..20 {
            from.write_all(b"ab").unwrap();
            send_urgent(from.as_fd(), b'!');
            from.write_all(b"cd").unwrap();
            let mut room = [0; 5];
            to.read_exact(&mut room).unwrap();
            assert_eq!(&room, b"ab!cd");
        }
    }
}

#[test]
fn resets_are_passed_on_from_either_side() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut client, &mut server, b"x");
    reset(client);
    assert_eq!(broken(&server), Some(libc::ECONNRESET));
    let record = world.record();
    assert_eq!((record.sum(), record.errno), ((Some(Reason::Broken), 1, 0), Some(libc::ECONNRESET)));

    let (mut client, mut server) = world.joined(&[]);
    passes(&mut server, &mut client, b"y");
    reset(server);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    let record = world.record();
    assert_eq!((record.sum(), record.errno), ((Some(Reason::Broken), 0, 1), Some(libc::ECONNRESET)));
}

#[test]
fn a_reset_is_passed_on_though_the_other_side_takes_nothing() {
    let world = World::new(LIMITS);
    for client_breaks in [true, false] {
        let (client, server) = world.joined(&[]);
        let (from, to) = if client_breaks { (client, server) } else { (server, client) };
        fill(&from, &[7; 65536]);
        reset(from);
        assert_eq!(world.record().sum().0, Some(Reason::Broken));
        assert_eq!(broken(&to), Some(libc::ECONNRESET));
    }
}

#[test]
fn an_answer_before_a_reset_is_delivered() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    // a server that answers a large request with an error without reading it all
    fill(&client, &[7; 65536]);
    server.write_all(b"413").unwrap();
    drop(server);
    let mut room = [0; 3];
    client.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"413");
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    assert_eq!(world.record().sum().0, Some(Reason::Broken));
}

/// Writes until nothing more is taken, over and over from `block`. Gives how much was.
fn fill(mut stream: &TcpStream, block: &[u8]) -> usize {
    let patience = stream.write_timeout().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut sent = 0;
    let full = loop {
        match stream.write(&block[sent % block.len()..]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    stream.set_write_timeout(patience).unwrap();
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the pieces and the pauses, what arrives is what was sent, in both directions at once.
    #[test]
    fn bytes_arrive_intact(
        up in proptest::collection::vec((1usize..200_000, 0u8..4), 0..12),
        down in proptest::collection::vec((1usize..200_000, 0u8..4), 0..12),
        read in prop_oneof![1usize..64, 1usize..100_000, Just(1 << 20)],
        names in prop_oneof![Just(&[][..]), Just(&["example.com"][..])],
    ) {
        let world = World::new(LIMITS);
        let (client, server) = world.joined(names);
        // a first byte that no TLS has
        let total = |pieces: &[(usize, u8)]| pieces.iter().map(|piece| piece.0).sum::<usize>();
        let (mut up_data, down_data) = (pattern(total(&up), 11), pattern(total(&down), 12));
        if let Some(first) = up_data.first_mut() {
            *first = b'x';
        }
        let read = if total(&up).max(total(&down)) > 200_000 { read.max(512) } else { read };
        thread::scope(|scope| {
            for (mut from, pieces, data) in [(&client, &up, &up_data), (&server, &down, &down_data)] {
                scope.spawn(move || {
                    let mut rest = data.as_slice();
                    for (length, pause) in pieces {
                        let (now, later) = rest.split_at(*length);
                        from.write_all(now).unwrap();
                        thread::sleep(Duration::from_micros(u64::from(*pause) * 300));
                        rest = later;
                    }
                    finish(from);
                });
            }
            let readers = [(&client, &down_data), (&server, &up_data)].map(|(mut to, data)| {
                scope.spawn(move || {
                    let (mut room, mut got) = (vec![0; read], Vec::new());
                    loop {
                        match to.read(&mut room).unwrap() {
                            0 => return got == *data,
                            count => got.extend_from_slice(&room[..count]),
                        }
                    }
                })
            });
            for reader in readers {
                assert!(reader.join().unwrap(), "other bytes");
            }
        });
        let sums = (None, u64::try_from(total(&up)).unwrap(), u64::try_from(total(&down)).unwrap());
        prop_assert_eq!(world.record().sum(), sums);
    }
}
