//! The proxy turn by turn: what waits, what would wait for ever, and what must never go round without waiting.

use super::world::*;
use crate::egress::listeners::{Kind, Listener};
use crate::egress::proxy::{Proxy, Setup};
use crate::egress::wire::{Hear, Reply, Said};
use crate::egress::{Limits, Reason};
use crate::sys::message::packet_pair;
use crate::sys::process;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A proxy that moves when the test says so. The world's own thread has returned.
struct Driven {
    world: World,
    proxy: Proxy,
}

impl Driven {
    fn new(limits: Limits) -> Driven {
        let (listener, place) = listener();
        Driven::with(vec![Listener { kind: Kind::Tcp(place.port()), fd: listener.into() }], place, limits)
    }

    fn with(listeners: Vec<Listener>, place: SocketAddr, limits: Limits) -> Driven {
        let mut world = World::with(Vec::new(), place, limits);
        crate::sys::stream::finish(world.events.as_fd()).unwrap();
        world.returned().unwrap();
        let (ours, broker) = packet_pair().unwrap();
        let (events, theirs) = packet_pair().unwrap();
        (world.broker, world.events) = (Arc::new(ours), events);
        let proxy = Proxy::new(Setup { listeners, broker, events: theirs, limits }).unwrap();
        Driven { world, proxy }
    }

    /// Turns until there is nothing to do at this moment. What goes round without end fails.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.pending() {
                return;
            }
            assert!(!self.proxy.turn(None).unwrap(), "the session is over");
        }
        panic!("it goes round and round");
    }

    /// Whether a turn would find something without waiting.
    fn pending(&self) -> bool {
        use crate::sys::poll::{Interest, wait_for};
        self.proxy.timeout() == Some(Duration::ZERO)
            || wait_for(self.proxy.shared.epoll.fd(), Interest::Read, Some(Instant::now())).unwrap()
    }

    /// The next record. The kernel may deliver what was sent a little later, where it is busy.
    fn record(&mut self) -> Record {
        use crate::sys::poll::{Interest, wait_for};
        let hangs = Instant::now() + HANGS;
        loop {
            self.settle();
            let soon = Some(Instant::now() + Duration::from_millis(10));
            if wait_for(self.world.events.as_fd(), Interest::Read, soon).unwrap() || Instant::now() > hangs {
                return self.world.record();
            }
        }
    }

    /// So much time passes, and what is due then happens.
    fn later(&mut self, time: Duration) {
        self.proxy.shared.start -= time;
        self.settle();
    }

    fn connect(&mut self) -> (TcpStream, u32) {
        let client = self.world.connect();
        self.settle();
        let (id, ..) = self.world.asked_open();
        (client, id)
    }

    fn joined(&mut self, names: &[&str]) -> (TcpStream, TcpStream) {
        let (client, id) = self.connect();
        let server = self.world.dialled(id, names);
        self.settle();
        (client, server)
    }

    fn hear(&mut self, what: Hear) -> TcpStream {
        let (client, id) = self.connect();
        self.world.reply(&Reply::Hear { id, what }, None);
        self.settle();
        client
    }

    /// Turns until the other side of this connection has what was sent.
    fn settle_until(&mut self, arrived: impl Fn() -> bool) {
        while !arrived() {
            self.settle();
        }
        self.settle();
    }
}

#[test]
fn a_client_that_is_silent_or_slow_with_its_name_has_ten_seconds() {
    for what in [Hear::Tls, Hear::Http] {
        let mut driven = Driven::new(LIMITS);
        let mut client = driven.hear(what);
        for byte in 0..9 {
            client.write_all(&client_hello(Some("a.example"))[byte..=byte]).unwrap();
            if what == Hear::Http {
                break; // a byte that HTTP has not is decided upon at once
            }
            driven.later(Duration::from_secs(1));
        }
        if what == Hear::Http {
            driven.settle();
            assert_eq!(driven.world.asked_open().2, Said::Wrong(Reason::NotHttp));
            continue;
        }
        driven.later(Duration::from_millis(900));
        assert!(driven.proxy.timeout().is_some_and(|timeout| timeout <= Duration::from_millis(100)));
        driven.later(Duration::from_millis(200));
        let (id, _, said, attempt) = driven.world.asked_open();
        assert_eq!((said, attempt), (Said::Wrong(Reason::Silent), 0));
        driven.world.reply(&Reply::Refused { id, reason: Reason::Silent }, None);
        driven.settle();
        assert_eq!(broken(&client), Some(libc::ECONNRESET));
    }
}

#[test]
fn on_other_ports_patience_begins_with_the_first_byte_of_what_may_be_tls() {
    let mut driven = Driven::new(LIMITS);
    let (mut client, mut server) = driven.joined(&["db.example.com"]);
    driven.later(Duration::from_secs(1000));
    client.write_all(&[22]).unwrap();
    driven.settle();
    driven.later(Duration::from_secs(9));
    server.write_all(b"x").unwrap();
    driven.settle();
    client.read_exact(&mut [0]).unwrap();
    driven.later(Duration::from_secs(2));
    assert_eq!(driven.record().sum(), (Some(Reason::Silent), 0, 1));
    assert_eq!(broken(&server), Some(libc::ECONNRESET));
}

#[test]
fn what_moves_keeps_a_connection_and_half_of_it_is_enough() {
    let mut driven = Driven::new(Limits { idle: Duration::from_secs(10), ..LIMITS });
    let (client, mut server) = driven.joined(&[]);
    finish(&client);
    driven.settle();
    for _ in 0..5 {
        driven.later(Duration::from_secs(9));
        server.write_all(b"x").unwrap();
        driven.settle();
        (&client).read_exact(&mut [0]).unwrap();
    }
    driven.later(Duration::from_secs(11));
    assert_eq!(driven.record().sum(), (Some(Reason::Idle), 0, 5));
    assert_eq!(driven.proxy.timeout(), None);
}

#[test]
fn a_connection_that_only_waits_for_the_broker_costs_nothing() {
    let mut driven = Driven::new(LIMITS);
    let (client, _id) = driven.connect();
    finish(&client);
    driven.settle();
    let hours = driven.proxy.timeout().unwrap();
    assert!(hours > Duration::from_secs(3600));
    driven.later(Duration::from_secs(86400));
    assert_eq!(driven.record().refused, Some(Reason::Lifetime));
}

#[test]
fn ends_and_hang_ups_are_told_once_and_then_nothing_goes_round() {
    let mut driven = Driven::new(LIMITS);
    // the client has ended, the server has not; what it writes nobody reads
    let (client, mut server) = driven.joined(&[]);
    finish(&client);
    driven.settle();
    assert!(rest(&server).is_empty());
    server.write_all(&[7; 1000]).unwrap();
    driven.settle();
    // both sides have ended, and one of them has something that the other does not take
    let (client2, mut server2) = driven.joined(&[]);
    server2.set_nonblocking(true).unwrap();
    while server2.write(&[7; 65536]).is_ok() {
        driven.settle();
    }
    finish(&client2);
    finish(&server2);
    driven.settle();
    assert!(driven.proxy.timeout().is_some_and(|timeout| timeout > Duration::from_secs(60)));
    assert_eq!(driven.proxy.places.len(), 2);
    drop((client, server, client2, server2));
    driven.settle_until(|| true);
    for _ in 0..2 {
        driven.record();
    }
    assert_eq!((driven.proxy.places.len(), driven.proxy.shared.held), (0, 0));
}

#[test]
fn what_is_held_is_bounded_however_slow_the_readers() {
    let mut driven = Driven::new(LIMITS);
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..60).map(|_| driven.joined(&[])).collect();
    // readers that are quick at first, so that reads grow, and then stop
    for (client, server) in &mut pairs {
        server.set_nonblocking(true).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut room = vec![0; 1 << 20];
        for _ in 0..40 {
            let _all_or_some = server.write(&room[..512 << 10]);
            driven.settle();
            while client.read(&mut room).is_ok() {
                driven.settle();
            }
        }
        while server.write(&room).is_ok() {
            driven.settle();
        }
    }
    let held = driven.proxy.shared.held;
    assert!(held > 0, "nobody was slow");
    assert!(held <= (16 << 20) + (512 << 10) + 60 * (16 << 10), "{held}");
    drop(pairs);
    driven.settle();
    for _ in 0..60 {
        driven.record();
    }
    assert_eq!(driven.proxy.shared.held, 0);
}

#[test]
fn connections_for_questions_that_are_idle_or_slow_end() {
    let (source, place) = tcp_source();
    let mut driven = Driven::with(vec![source], place, LIMITS);
    let idle = client(place);
    let mut slow = client(place);
    driven.settle();
    driven.later(Duration::from_secs(9));
    assert_eq!(driven.proxy.places.len(), 2);
    // pieces of a question are none
    slow.write_all(&[0]).unwrap();
    driven.settle();
    driven.later(Duration::from_secs(2));
    assert!(rest(&idle).is_empty());
    assert_eq!(broken(&slow), None);
    assert_eq!((driven.proxy.places.len(), driven.proxy.timeout()), (0, None));
}

/// Set in the process that has few descriptors.
const INSIDE: &str = "MCPJAIL_TEST_FEW_DESCRIPTORS";

/// Runs the body in a process of its own.
fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--test-threads=1"]).env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_descriptors_connections_wait_and_nothing_goes_round() {
    alone("egress::proxy::tests::driven::without_descriptors_connections_wait_and_nothing_goes_round", || {
        let mut driven = Driven::new(LIMITS);
        let (mut client, mut server) = driven.joined(&[]);
        let waiting: Vec<TcpStream> = (0..5).map(|_| driven.world.connect()).collect();
        // every number that is left
        let full: Vec<_> = std::iter::from_fn(|| server.try_clone().ok()).take(1 << 20).collect();
        assert!(driven.pending());
        driven.proxy.turn(None).unwrap();
        let pause = driven.proxy.timeout().unwrap();
        assert!(pause > Duration::from_millis(50) && pause <= Duration::from_millis(100), "{pause:?}");
        assert!(!driven.pending());
        // what stands goes on
        client.write_all(b"x").unwrap();
        driven.settle();
        server.read_exact(&mut [0]).unwrap();
        drop(full);
        driven.proxy.paused = None;
        driven.settle();
        for _ in &waiting {
            driven.world.asked_open();
        }
    });
}

#[test]
fn no_more_connections_are_taken_than_there_are_descriptors_for() {
    alone("egress::proxy::tests::driven::no_more_connections_are_taken_than_there_are_descriptors_for", || {
        process::limit(process::OPEN_FILES, 133).unwrap();
        let mut driven = Driven::new(LIMITS);
        assert_eq!((driven.proxy.most, driven.proxy.shared.spare), (50, 0));
        // the other sides of these are in this process, too
        let all: Vec<TcpStream> = (0..20).map(|_| driven.world.connect()).collect();
        driven.proxy.most = 19;
        driven.settle();
        assert_eq!(broken(all.last().unwrap()), Some(libc::ECONNRESET));
        assert_eq!(driven.record().refused, Some(Reason::TooMany));
    });
}

#[test]
fn questions_of_connections_that_are_gone_count() {
    let mut driven = Driven::new(Limits { connections: 10, ..LIMITS });
    let most = 10 + 256;
    for _ in 0..most {
        let client = driven.world.connect();
        driven.settle();
        reset(client);
        driven.settle();
        driven.world.asked_open();
        driven.record();
    }
    assert_eq!((driven.proxy.places.len(), driven.proxy.shared.questions()), (0, most));
    let waits = driven.world.connect();
    driven.settle();
    assert_eq!(driven.proxy.shared.questions(), most);
    driven.world.reply(&Reply::Refused { id: 0, reason: Reason::AddressNotGranted }, None);
    driven.settle();
    driven.world.asked_open();
    drop(waits);
}

/// A listener that another process has taken away from, as far as one can see from here.
#[test]
fn a_listener_that_is_none_ends_the_proxy() {
    let (listener, place) = listener();
    let other = TcpListener::from(crate::sys::socket::tcp_listener(0, false).unwrap());
    let stream = client(SocketAddr::from(([127, 0, 0, 1], other.local_addr().unwrap().port())));
    drop(listener);
    let mut driven = Driven::with(vec![Listener { kind: Kind::Tcp(place.port()), fd: stream.into() }], place, LIMITS);
    let error = loop {
        match driven.proxy.turn(None) {
            Ok(over) => assert!(!over),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}
