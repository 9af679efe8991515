//! What the proxy lives between: a jail with clients, a broker, a launcher, and servers.

use crate::egress::listeners::{Kind, Listener};
use crate::egress::proxy::{Setup, run};
pub(super) use crate::egress::testing::name;
use crate::egress::wire::{Ask, LARGEST, Reply, Said};
use crate::egress::{Event, Limits, Reason};
use crate::sys::message::{self, packet_pair};
use crate::sys::poll::{Interest, wait_for};
use crate::sys::{dial, socket};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// After so long a test hangs.
pub(super) const HANGS: Duration = Duration::from_secs(60);

pub(super) const LIMITS: Limits =
    Limits { connections: 2048, idle: Duration::from_secs(3600), lifetime: Duration::from_secs(86400) };

pub(super) struct World {
    pub(super) broker: Arc<OwnedFd>,
    pub(super) events: OwnedFd,
    /// Where connections that the broker is asked about go to.
    pub(super) place: SocketAddr,
    proxy: Option<JoinHandle<io::Result<()>>>,
}

impl World {
    /// A proxy that listens on one port.
    pub(super) fn new(limits: Limits) -> World {
        let (listener, place) = listener();
        World::with(vec![Listener { kind: Kind::Tcp(place.port()), fd: listener.into() }], place, limits)
    }

    pub(super) fn with(listeners: Vec<Listener>, place: SocketAddr, limits: Limits) -> World {
        let (ours, broker) = packet_pair().unwrap();
        let (events, theirs) = packet_pair().unwrap();
        let setup = Setup { listeners, broker, events: theirs, limits };
        let proxy = Some(thread::spawn(|| run(setup)));
        World { broker: Arc::new(ours), events, place, proxy }
    }

    /// A client's connection.
    pub(super) fn connect(&self) -> TcpStream {
        client(self.place)
    }

    /// What the broker is asked next.
    pub(super) fn asked(&self) -> Ask {
        next_ask(self.broker.as_fd()).expect("the proxy has gone")
    }

    /// The next question about a connection: id, destination, what was said, attempt.
    pub(super) fn asked_open(&self) -> (u32, SocketAddr, Said, u8) {
        open(self.asked())
    }

    pub(super) fn reply(&self, reply: &Reply, socket: Option<BorrowedFd<'_>>) {
        send(self.broker.as_fd(), reply, socket);
    }

    /// Plays the broker in a thread: every connection goes to `target`, for one of these names.
    pub(super) fn serve(&self, target: SocketAddr, names: &[&str]) {
        let (broker, names) = (Arc::clone(&self.broker), names.iter().map(|text| name(text)).collect::<Vec<_>>());
        thread::spawn(move || {
            while let Some(ask) = next_ask(broker.as_fd()) {
                let (id, ..) = open(ask);
                let socket = dial::connect(target).unwrap();
                let reply = Reply::Dialled { id, address: target, names: names.clone(), more: false };
                send(broker.as_fd(), &reply, Some(socket.as_fd()));
            }
        });
    }

    /// A connection through the proxy: the client's side and the server's, with these names.
    pub(super) fn joined(&self, names: &[&str]) -> (TcpStream, TcpStream) {
        let client = self.connect();
        let (id, ..) = self.asked_open();
        (client, self.dialled(id, names))
    }

    /// Gives the socket that the question asks for; the server's side of it.
    pub(super) fn dialled(&self, id: u32, names: &[&str]) -> TcpStream {
        let (server, address) = listener();
        let socket = dial::connect(address).unwrap();
        let names = names.iter().map(|text| name(text)).collect();
        self.reply(&Reply::Dialled { id, address, names, more: false }, Some(socket.as_fd()));
        drop(socket);
        accepted(&server)
    }

    /// The next event.
    pub(super) fn event(&self) -> Event {
        assert!(wait_for(self.events.as_fd(), Interest::Read, Some(Instant::now() + HANGS)).unwrap(), "no event");
        let mut room = [0; LARGEST];
        let (count, _) = message::receive(self.events.as_fd(), &mut room, false).unwrap();
        assert_ne!(count, 0, "the proxy has gone");
        postcard::from_bytes(&room[..count]).unwrap()
    }

    /// The next event, which is the end of a connection.
    pub(super) fn record(&self) -> Record {
        match self.event() {
            Event::Connection { name, destination, dialled, refused, errno, sent, received, duration_us: _ } => {
                Record { name, destination, dialled, refused, errno, sent, received }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Ends the session and gives what the proxy returned. No event is left.
    pub(super) fn end(mut self) -> io::Result<()> {
        crate::sys::stream::finish(self.events.as_fd()).unwrap();
        let result = self.proxy.take().unwrap().join().unwrap();
        match message::receive(self.events.as_fd(), &mut [0; LARGEST], false) {
            Ok((0, _)) => {}
            other => panic!("{other:?}"),
        }
        result
    }

    /// Waits for the proxy to return by itself.
    pub(super) fn returned(&mut self) -> io::Result<()> {
        self.proxy.take().unwrap().join().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _gone = crate::sys::stream::finish(self.events.as_fd());
        let _gone = crate::sys::stream::finish(self.broker.as_fd());
    }
}

/// [`Event::Connection`] without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: Option<String>,
    pub(super) destination: SocketAddr,
    pub(super) dialled: Option<SocketAddr>,
    pub(super) refused: Option<Reason>,
    pub(super) errno: Option<i32>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Record {
    /// Why it ended, and bytes both ways.
    pub(super) fn sum(&self) -> (Option<Reason>, u64, u64) {
        (self.refused, self.sent, self.received)
    }
}

pub(super) fn open(ask: Ask) -> (u32, SocketAddr, Said, u8) {
    match ask {
        Ask::Open { id, destination, said, attempt } => (id, destination, said, attempt),
        other => panic!("{other:?}"),
    }
}

pub(super) fn next_ask(broker: BorrowedFd<'_>) -> Option<Ask> {
    let mut room = [0; LARGEST];
    match message::receive(broker, &mut room, true) {
        Ok((0, _)) | Err(_) => None,
        Ok((count, descriptors)) => {
            assert!(descriptors.is_empty());
            Some(postcard::from_bytes(&room[..count]).unwrap())
        }
    }
}

pub(super) fn send(broker: BorrowedFd<'_>, reply: &Reply, socket: Option<BorrowedFd<'_>>) {
    let bytes = postcard::to_allocvec(reply).unwrap();
    let sockets: Vec<BorrowedFd<'_>> = socket.into_iter().collect();
    // the proxy may have gone
    let _gone = message::send(broker, &bytes, &sockets, true);
}

/// A listener on the loopback, and its address.
pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::from(socket::tcp_listener(0, false).unwrap());
    let port = listener.local_addr().unwrap().port();
    (listener, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// A connection that a test hangs on no longer than it may.
pub(super) fn client(place: SocketAddr) -> TcpStream {
    hanging(TcpStream::connect(place).unwrap())
}

pub(super) fn accepted(listener: &TcpListener) -> TcpStream {
    assert!(wait_for(listener.as_fd(), Interest::Read, Some(Instant::now() + HANGS)).unwrap(), "nobody connects");
    hanging(listener.accept().unwrap().0)
}

fn hanging(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(HANGS)).unwrap();
    stream.set_write_timeout(Some(HANGS)).unwrap();
    stream
}

/// Sends `bytes` and sees them arrive.
pub(super) fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    let mut room = vec![0; bytes.len()];
    to.read_exact(&mut room).unwrap();
    assert!(room == bytes, "other bytes");
}

/// Reads to the end.
pub(super) fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// The errno that reading ends with.
pub(super) fn broken(mut stream: &TcpStream) -> Option<i32> {
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return error.raw_os_error(),
        }
    }
}

/// Closes so that the other side sees a reset.
pub(super) fn reset(stream: TcpStream) {
    crate::sys::stream::reset(stream.into());
}

pub(super) fn finish(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Questions over UDP as the jail's socket takes them, on a port that the machine chooses.
pub(super) fn udp_source() -> (Listener, SocketAddr) {
    let fd = socket::udp_receiver(0, false).unwrap();
    let port = socket::local_address(fd.as_fd()).unwrap().port();
    (Listener { kind: Kind::DnsUdp4, fd }, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// The same over TCP.
pub(super) fn tcp_source() -> (Listener, SocketAddr) {
    let (listener, address) = listener();
    (Listener { kind: Kind::DnsTcp, fd: listener.into() }, address)
}

/// A ClientHello of TLS 1.2 for this name, or for none, as the standard has it.
pub(super) fn client_hello(name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let length = u16::try_from(name.len()).unwrap();
        extensions.extend([0, 0]);
        extensions.extend((length + 5).to_be_bytes());
        extensions.extend((length + 3).to_be_bytes());
        extensions.push(0);
        extensions.extend(length.to_be_bytes());
        extensions.extend(name.as_bytes());
    }
    extensions.extend([0, 23, 0, 0]); // extended_master_secret
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}
