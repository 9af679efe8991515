//! Whom a connection is meant for is known before a byte of it is forwarded.

use super::world::*;
use crate::egress::Reason;
use crate::egress::wire::{Hear, Reply, Said};
use std::io::Write;
use std::net::TcpStream;

/// A connection whose first bytes the broker wants to hear, and its destination.
fn heard(world: &World, what: Hear) -> TcpStream {
    let client = world.connect();
    let (id, destination, said, attempt) = world.asked_open();
    assert_eq!((destination, said, attempt), (world.place, Said::Nothing, 0));
    world.reply(&Reply::Hear { id, what }, None);
    client
}

/// What the broker is told of it; it refuses then, and records.
fn refused(world: &World, client: &TcpStream) -> Said {
    let (id, destination, said, attempt) = world.asked_open();
    assert_eq!((destination, attempt), (world.place, 0));
    world.reply(&Reply::Refused { id, reason: Reason::NoServerName }, None);
    assert_eq!(broken(client), Some(libc::ECONNRESET));
    said
}

/// Writes byte by byte, as far as the connection stands: what is refused may be reset before its last byte.
fn write_bytes(mut client: &TcpStream, bytes: &[u8]) -> Option<i32> {
    client.set_nodelay(true).unwrap();
    bytes.iter().find_map(|byte| client.write_all(&[*byte]).err()?.raw_os_error())
}

#[test]
fn what_is_refused_is_reset_at_once_and_not_recorded_again() {
    let world = World::new(LIMITS);
    let client = world.connect();
    let (id, destination, said, attempt) = world.asked_open();
    assert_eq!((destination, said, attempt), (world.place, Said::Nothing, 0));
    world.reply(&Reply::Refused { id, reason: Reason::AddressNotGranted }, None);
    assert_eq!(broken(&client), Some(libc::ECONNRESET));
    world.end().unwrap();
}

#[test]
fn a_server_name_is_heard_byte_by_byte_and_all_of_it_is_forwarded() {
    let world = World::new(LIMITS);
    let mut client = heard(&world, Hear::Tls);
    let hello = client_hello(Some("api.example.com"));
    write_bytes(&client, &hello);
    let (id, _, said, attempt) = world.asked_open();
    assert_eq!((said, attempt), (Said::Tls(name("api.example.com")), 0));
    // more than the ClientHello may have been sent by then
    client.write_all(b"more").unwrap();
    // the name was said: nothing more is looked at, whatever names the address has
    let server = world.dialled(id, &["other.example.com"]);
    finish(&client);
    assert_eq!(rest(&server), [&hello[..], b"more"].concat());
    drop(server);
    assert!(rest(&client).is_empty());
    let record = world.record();
    assert_eq!(record.name.as_deref(), Some("api.example.com"));
    assert_eq!(record.sum(), (None, u64::try_from(hello.len()).unwrap() + 4, 0));
}

#[test]
fn a_host_is_heard() {
    let world = World::new(LIMITS);
    let client = heard(&world, Hear::Http);
    let head = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    write_bytes(&client, head);
    let (id, _, said, _) = world.asked_open();
    assert_eq!(said, Said::Http(name("www.example.com")));
    let server = world.dialled(id, &["www.example.com"]);
    finish(&client);
    assert_eq!(rest(&server), head);
}

#[test]
fn what_is_not_said_is_told_and_never_forwarded() {
    let world = World::new(LIMITS);
    let no_name = client_hello(None);
    for (what, bytes, expected) in [
        (Hear::Tls, &b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"[..], Reason::NotTls),
        (Hear::Tls, b"SSH-2.0-x\r\n", Reason::NotTls),
        (Hear::Tls, &no_name, Reason::NoServerName),
        (Hear::Http, &client_hello(Some("a.example")), Reason::NotHttp),
        (Hear::Http, b"GET / HTTP/1.1\r\n\r\n", Reason::NoHost),
        (Hear::Http, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Reason::NoHost),
        (Hear::Http, b"PRI * HTTP/2.0\r\n\r\n", Reason::NotHttp),
    ] {
        let client = heard(&world, what);
        write_bytes(&client, bytes);
        assert_eq!(refused(&world, &client), Said::Wrong(expected), "{bytes:?}");
    }
    world.end().unwrap();
}

#[test]
fn a_client_that_ends_halfway_is_told_and_one_that_says_nothing_is_forgotten() {
    let world = World::new(LIMITS);
    for (what, bytes, expected) in [
        (Hear::Tls, &client_hello(Some("a.example"))[..40], Reason::NoServerName),
        (Hear::Http, b"GET / HTTP/1.1\r\nHost: a.example\r\n", Reason::NoHost),
    ] {
        let client = heard(&world, what);
        write_bytes(&client, bytes);
        finish(&client);
        assert_eq!(refused(&world, &client), Said::Wrong(expected));
        let client = heard(&world, what);
        finish(&client);
        assert!(rest(&client).is_empty());
        let record = world.record();
        assert_eq!((record.sum(), record.dialled), ((None, 0, 0), None));
        let client = heard(&world, what);
        reset(client);
        let record = world.record();
        assert_eq!((record.sum(), record.errno), ((Some(Reason::Broken), 0, 0), Some(libc::ECONNRESET)));
    }
    world.end().unwrap();
}

#[test]
fn first_bytes_without_end_are_bounded() {
    let world = World::new(LIMITS);
    let mut hello = client_hello(Some("a.example"));
    // a message of 16 MiB in records of one byte
    hello.splice(5..9, [1, 0xff, 0xff, 0xff]);
    let record: Vec<u8> = [22, 3, 1, 0, 1, 1].into_iter().chain([22, 3, 1, 0, 1, 0].repeat(20_000)).collect();
    let head = [&b"GET / HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(10_000)].concat();
    for (what, bytes, expected) in [
        (Hear::Tls, hello, Reason::NoServerName),
        (Hear::Tls, record, Reason::NoServerName),
        (Hear::Http, head, Reason::NoHost),
    ] {
        let mut client = heard(&world, what);
        // the connection may be reset before all of it is taken
        let _reset = client.write_all(&bytes);
        assert_eq!(refused(&world, &client), Said::Wrong(expected));
    }
}

/// A connection on a port where nothing need be said, to a server with this name.
fn named(world: &World) -> (TcpStream, TcpStream) {
    world.joined(&["other.example.com", "db.example.com"])
}

#[test]
fn on_other_ports_what_is_no_tls_passes_at_once() {
    let world = World::new(LIMITS);
    // PostgreSQL's SSLRequest, redis, ssh, an old record type of no server, and the first byte of TLS with another second
    for bytes in [
        &b"\x00\x00\x00\x08\x04\xd2\x16\x2f"[..],
        b"PING\r\n",
        b"S",
        b"\x17\x03\x03\x00\x01\x01",
        b"\x16\x20\0\0\x10\x05",
    ] {
        let (mut client, mut server) = named(&world);
        passes(&mut client, &mut server, bytes);
        passes(&mut server, &mut client, b"answer");
        passes(&mut client, &mut server, &client_hello(Some("within.the.protocol")));
        drop(client);
        drop(server);
        let record = world.record();
        assert_eq!((record.refused, record.name.as_deref()), (None, Some("other.example.com")));
    }
}

#[test]
fn on_other_ports_a_server_that_speaks_first_is_not_delayed() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = named(&world);
    passes(&mut server, &mut client, b"220 ready\r\n");
    passes(&mut client, &mut server, b"EHLO x\r\n");
}

#[test]
fn on_other_ports_tls_must_be_for_a_granted_name() {
    let world = World::new(LIMITS);
    let hello = client_hello(Some("db.example.com"));
    let (client, server) = named(&world);
    write_bytes(&client, &hello);
    finish(&client);
    assert_eq!(rest(&server), hello);
    drop((client, server));
    assert_eq!(world.record().name.as_deref(), Some("db.example.com"));

    for (bytes, reason) in [
        (client_hello(Some("evil.example.com")), Reason::ForeignServerName),
        (client_hello(Some("xdb.example.com")), Reason::ForeignServerName),
        (client_hello(None), Reason::NoServerName),
        (vec![0x80, 0x2e, 1, 3, 1], Reason::NoServerName),
    ] {
        for at_once in [true, false] {
            let (mut client, mut server) = named(&world);
            passes(&mut server, &mut client, b"first");
            let failed = match at_once {
                true => client.write_all(&bytes).err().and_then(|error| error.raw_os_error()),
                false => write_bytes(&client, &bytes),
            };
            // the error is told once, to whichever call comes first
            assert_eq!(failed.or_else(|| broken(&client)), Some(libc::ECONNRESET));
            // not a byte of it
            let mut room = [0; 16];
            assert_eq!(std::io::Read::read(&mut server, &mut room).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
            assert_eq!(world.record().sum(), (Some(reason), 0, 5));
        }
    }
}

#[test]
fn on_other_ports_an_end_within_the_first_bytes_passes() {
    let world = World::new(LIMITS);
    for bytes in [&b""[..], b"\x16", b"\x16\x03", &client_hello(Some("evil.example.com"))[..20]] {
        let (client, server) = named(&world);
        write_bytes(&client, bytes);
        finish(&client);
        assert_eq!(rest(&server), bytes);
        drop(server);
        assert!(rest(&client).is_empty());
        assert_eq!(world.record().refused, None);
    }
}

#[test]
fn a_granted_address_is_not_looked_at() {
    let world = World::new(LIMITS);
    let (mut client, mut server) = world.joined(&[]);
    passes(&mut client, &mut server, &client_hello(Some("any.example.com")));
}
