//! What listens in the internet: one TCP server for all addresses, which keeps a record of everything that arrives and
//! behaves by the address that was dialled, or else by the port; and UDP where a trial wants it.

use crate::capture::UNWATCHED;
use crate::namespaces::Internet;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

/// The ports that are served.
pub const PORTS: &[u16] = &[
    22, 25, 80, 443, 853, 5432, 6379, 7000, 7001, 7002, 7003, 7004, 7005, UNWATCHED, 8000, 8001, 8005, 8010, 8011,
    8080, 8443, 15432, 16379,
];

/// The ports that something on the machine listens on, on all of its addresses.
pub const MACHINE_PORTS: &[u16] = &[7000, 7001, 7002, 7003, 7004, 7005, 7100];

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends back what it gets.
    Echo,
    /// Says who it is first, as ssh does, then echoes.
    Banner,
    /// Reads the head of a request and answers with the Host that it names.
    Http,
    /// Passes everything on to that port of the internet's own loopback.
    Forward(u16),
}

/// A connection that was made.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub to: SocketAddr,
    /// What came with the first segment that had something.
    pub first: Vec<u8>,
    /// Whether it is over.
    pub ended: bool,
}

#[derive(Default)]
struct State {
    addresses: HashMap<IpAddr, Behaviour>,
    ports: HashMap<u16, Behaviour>,
    arrivals: Vec<Arrival>,
}

/// A handle of the servers.
#[derive(Clone)]
pub struct Servers {
    state: Arc<Mutex<State>>,
}

impl Servers {
    /// Listens in the internet; or, with `machine`, on the machine's own addresses, on these ports.
    pub fn start(internet: &Internet, ipv6: bool, machine: Option<&[u16]>) -> io::Result<Servers> {
        let any: IpAddr = if ipv6 { [0u8; 16].into() } else { [0u8; 4].into() };
        let ports = HashMap::from([(22, Behaviour::Banner), (80, Behaviour::Http), (8080, Behaviour::Http)]);
        let servers = Servers { state: Arc::new(Mutex::new(State { ports, ..State::default() })) };
        for port in machine.unwrap_or(PORTS).iter().copied() {
            let listen = move || TcpListener::bind((any, port));
            let listener = if machine.is_some() { listen()? } else { internet.run(listen)? };
            // a flood has no place in the 128 connections that may wait otherwise
            unsafe { libc::listen(listener.as_raw_fd(), 4096) };
            let state = servers.state.clone();
            let internet = internet.clone();
            std::thread::Builder::new().name(format!("port-{port}")).spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, internet) = (state.clone(), internet.clone());
                    let one = std::thread::Builder::new().stack_size(128 << 10);
                    // its end is the connection's end
                    let _started = one.spawn(move || serve(&state, stream, &internet));
                }
            })?;
        }
        Ok(servers)
    }

    /// From now on this is how connections to that address are treated, whatever their port.
    pub fn behave(&self, at: IpAddr, behaviour: Behaviour) {
        self.state.lock().unwrap().addresses.insert(at, behaviour);
    }

    /// The same for a port of all addresses that have no behaviour of their own.
    pub fn behave_on(&self, port: u16, behaviour: Behaviour) {
        self.state.lock().unwrap().ports.insert(port, behaviour);
    }

    /// The connections to this address so far.
    pub fn arrivals(&self, at: IpAddr) -> Vec<Arrival> {
        self.state.lock().unwrap().arrivals.iter().filter(|arrival| arrival.to.ip() == at).cloned().collect()
    }
}

/// One connection from its beginning to its end, both in the records.
fn serve(state: &Mutex<State>, stream: TcpStream, internet: &Internet) -> io::Result<()> {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let to = plain(stream.local_addr()?);
    stream.set_nodelay(true)?;
    let (at, behaviour) = {
        let mut state = state.lock().unwrap();
        let behaviour = state.addresses.get(&to.ip()).or_else(|| state.ports.get(&to.port())).copied();
        state.arrivals.push(Arrival { to, first: Vec::new(), ended: false });
        (state.arrivals.len() - 1, behaviour.unwrap_or(Behaviour::Echo))
    };
    let ended = behave(state, at, behaviour, stream, internet);
    state.lock().unwrap().arrivals[at].ended = true;
    ended
}

fn behave(
    state: &Mutex<State>,
    at: usize,
    behaviour: Behaviour,
    mut stream: TcpStream,
    internet: &Internet,
) -> io::Result<()> {
    if behaviour == Behaviour::Banner {
        stream.write_all(b"SSH-2.0-a_test\r\n")?;
    }
    let mut first = vec![0u8; 16_384];
    let got = stream.read(&mut first)?;
    first.truncate(got);
    state.lock().unwrap().arrivals[at].first.clone_from(&first);
    match behaviour {
        Behaviour::Echo | Behaviour::Banner => {
            stream.write_all(&first)?;
            let mut from = stream.try_clone()?;
            io::copy(&mut from, &mut stream)?;
            stream.shutdown(Shutdown::Write)
        }
        Behaviour::Http => http(stream, first),
        Behaviour::Forward(port) => {
            let mut inner = internet.run(move || TcpStream::connect(("127.0.0.1", port)))?;
            inner.write_all(&first)?;
            relay(stream, inner)
        }
    }
}

/// One request, one answer.
fn http(mut stream: TcpStream, mut head: Vec<u8>) -> io::Result<()> {
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let mut more = [0u8; 4096];
        match stream.read(&mut more)? {
            0 => return Ok(()),
            got => head.extend(&more[..got]),
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let host = text.lines().find_map(|line| line.strip_prefix("host:")).unwrap_or_default().trim();
    let body = format!("hello from {host}\n");
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Both directions, until both have ended.
fn relay(outer: TcpStream, inner: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (outer.try_clone()?, inner.try_clone()?);
    let back = std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
        let (mut from, mut to) = (inner, outer);
        let _ended = io::copy(&mut from, &mut to);
        let _closed = to.shutdown(Shutdown::Write);
    })?;
    let _ended = io::copy(&mut from, &mut to);
    let _closed = to.shutdown(Shutdown::Write);
    let _joined = back.join();
    Ok(())
}

/// A UDP socket in the internet that answers each datagram with itself, and what it has got so far.
pub fn datagrams(internet: &Internet, at: SocketAddr) -> io::Result<Arc<Mutex<Vec<Vec<u8>>>>> {
    let socket = internet.run(move || UdpSocket::bind(at))?;
    let got = Arc::new(Mutex::new(Vec::new()));
    let shared = got.clone();
    std::thread::Builder::new().name("udp".into()).spawn(move || {
        let mut message = [0u8; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            shared.lock().unwrap().push(message[..length].to_vec());
            let _lost = socket.send_to(&message[..length], from);
        }
    })?;
    Ok(got)
}
