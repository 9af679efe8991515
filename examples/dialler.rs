//! A small client for the egress suite, with the standard library alone, so that `rustc` can build it statically as well.
//!
//! ```text
//! dialler std HOST PORT    addresses by the C library it is linked to, connections one after the other
//! dialler own HOST PORT    its own resolver and its own happy eyeballs, as Go's programs have
//! ```
//!
//! It asks for `/` by HTTP/1.1, prints the answer and exits with 0, or prints `error: …` and exits with 1. Its own resolver
//! reads /etc/resolv.conf, asks for A and AAAA at the same time with EDNS0 by UDP, and again by TCP where the answer was
//! cut.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test program, not the product"
)]

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

const A: u16 = 1;
const AAAA: u16 = 28;
/// How long the second family waits for the first; RFC 8305 calls it the connection attempt delay.
const HEAD_START: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let [_, how, host, port] = words.as_slice() else { return ExitCode::from(2) };
    let port: u16 = port.parse().unwrap_or(80);
    let stream = match how.as_str() {
        "own" => look_up(host).and_then(|found| race(&found, port)),
        _ => (host.as_str(), port).to_socket_addrs().and_then(|found| TcpStream::connect(&*found.collect::<Vec<_>>())),
    };
    match stream.and_then(|stream| ask(stream, host)) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {:?}: {error}", error.kind());
            ExitCode::FAILURE
        }
    }
}

fn ask(mut stream: TcpStream, host: &str) -> io::Result<String> {
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

/// Both families at once, at the first name server that answers.
fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let file = std::fs::read_to_string("/etc/resolv.conf")?;
    let servers: Vec<IpAddr> = file
        .lines()
        .filter_map(|line| line.split_once("nameserver"))
        .filter_map(|(before, after)| if before.trim().is_empty() { after.trim().parse().ok() } else { None })
        .collect();
    let mut last = Err(io::Error::other("no name server"));
    for server in servers {
        let (sender, answers) = channel();
        for kind in [AAAA, A] {
            let (sender, host) = (sender.clone(), host.to_owned());
            std::thread::spawn(move || sender.send(question(&host, kind, SocketAddr::new(server, 53))));
        }
        drop(sender);
        let mut found = Vec::new();
        let mut failed = None;
        for answer in answers {
            match answer {
                Ok(addresses) => found.extend(addresses),
                Err(error) => failed = Some(error),
            }
        }
        last = match failed {
            _ if !found.is_empty() => return Ok(found),
            Some(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Some(error) => Err(error),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no addresses")),
        };
    }
    last
}

fn question(host: &str, kind: u16, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
    let id = (std::process::id() as u16) ^ kind;
    let mut message = vec![(id >> 8) as u8, id as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let start = message.len();
    for label in host.trim_end_matches('.').split('.') {
        message.push(u8::try_from(label.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    let end = message.len();
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]); // EDNS0, room for 1232 bytes
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(&message)?;
    let mut answer = vec![0; 1232];
    let got = socket.recv(&mut answer)?;
    answer.truncate(got);
    if answer.get(2).is_some_and(|flags| flags & 2 != 0) {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
    }
    // as strict as Go: the id and the question must be those that were asked
    if answer.get(..2) != message.get(..2) || answer.get(start..end) != message.get(start..end) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another question"));
    }
    read(&answer, end, kind)
}

/// The addresses of an answer's records, which begin there.
fn read(answer: &[u8], mut at: usize, kind: u16) -> io::Result<Vec<IpAddr>> {
    let number = |at: usize| answer.get(at..at + 2).map(|part| u16::from_be_bytes([part[0], part[1]]));
    match answer[3] & 15 {
        0 => {}
        3 => return Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
        code => return Err(io::Error::other(format!("server misbehaving, code {code}"))),
    }
    let mut found = Vec::new();
    for _ in 0..number(6).unwrap_or(0) {
        // a name: labels, or a pointer, which ends it
        loop {
            match answer.get(at).copied().ok_or(io::ErrorKind::InvalidData)? {
                0 => break at += 1,
                pointer if pointer >= 0xc0 => break at += 2,
                length => at += usize::from(length) + 1,
            }
        }
        let (Some(of), Some(length)) = (number(at), number(at + 8)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let data = answer.get(at + 10..at + 10 + usize::from(length)).ok_or(io::ErrorKind::InvalidData)?;
        at += 10 + data.len();
        if of == kind {
            found.extend(<[u8; 4]>::try_from(data).map(IpAddr::from));
            found.extend(<[u8; 16]>::try_from(data).map(IpAddr::from));
        }
    }
    Ok(found)
}

/// Happy eyeballs: IPv6 first, the other family after a head start or at its failure; whoever connects first.
fn race(found: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let (sender, connected) = channel();
    let mut last = Err(io::Error::new(io::ErrorKind::NotFound, "no addresses"));
    let (first, second): (Vec<&IpAddr>, Vec<&IpAddr>) = found.iter().partition(|address| address.is_ipv6());
    let mut running = 0;
    for family in [first, second] {
        if family.is_empty() {
            continue;
        }
        if running > 0
            && let Ok(early) = connected.recv_timeout(HEAD_START)
        {
            running -= 1;
            last = early;
            if last.is_ok() {
                return last;
            }
        }
        let places: Vec<SocketAddr> = family.into_iter().map(|address| SocketAddr::new(*address, port)).collect();
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(TcpStream::connect(&*places)));
        running += 1;
    }
    for _ in 0..running {
        last = connected.recv().map_err(io::Error::other)?;
        if last.is_ok() {
            return last;
        }
    }
    last
}
