//! Evidence: every packet on the machine's interface that begins something, as the kernel hands it over.
//!
//! Kept are the first packets of TCP connections and everything that is not TCP. The ports in [`UNWATCHED`] are left out, so
//! that a flood that is meant to be does not push anything else out of the socket's buffer.

use crate::namespaces::INTERFACE;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The port of floods.
pub const UNWATCHED: u16 = 7777;

/// What begins a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// `tcp`, `udp`, or a number.
    pub protocol: String,
    pub from: IpAddr,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
}

#[derive(Default)]
struct Seen {
    packets: Vec<Packet>,
    lost: u32,
}

/// The packets so far.
pub struct Capture {
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Capture {
    /// Captures from now on, on the machine's interface.
    pub fn start() -> io::Result<Capture> {
        let socket = socket()?;
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let shared = seen.clone();
        std::thread::Builder::new().name("capture".into()).spawn(move || read(&socket, &shared))?;
        Ok(Capture { seen })
    }

    /// All packets that `select` wants, out of all that were sent before this call.
    ///
    /// A marker goes the same way: once it has been seen, everything before it has been.
    pub fn packets(&self, select: impl Fn(&Packet) -> bool) -> Result<Vec<Packet>, String> {
        static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let marker = format!("marker {}", COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).into_bytes();
        let send = || UdpSocket::bind("0.0.0.0:0")?.send_to(&marker, (crate::namespaces::ROUTER_V4, 9));
        send().map_err(|error| format!("the marker: {error}"))?;
        let (seen, changed) = &*self.seen;
        let (seen, waited) = changed
            .wait_timeout_while(seen.lock().unwrap(), Duration::from_secs(20), |seen| {
                !seen.packets.iter().rev().any(|packet| packet.payload == marker)
            })
            .unwrap();
        if waited.timed_out() || seen.lost > 0 {
            return Err(format!("the capture is not complete: {} packets lost", seen.lost));
        }
        Ok(seen.packets.iter().filter(|packet| select(packet)).cloned().collect())
    }

    /// The packets whose payload holds this text, in letters of either case.
    pub fn mention(&self, text: &str) -> Result<Vec<Packet>, String> {
        let text = text.to_ascii_lowercase().into_bytes();
        self.packets(|packet| packet.payload.to_ascii_lowercase().windows(text.len()).any(|part| part == text))
    }
}

/// A packet socket on the interface, with the filter.
fn socket() -> io::Result<OwnedFd> {
    const ALL: u16 = 3; // ETH_P_ALL: what is sent, too
    let check = |answer: i32| if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) };
    // protocol 0: nothing arrives before the filter is there and the interface is chosen
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut filter = filter();
    let program = libc::sock_fprog { len: u16::try_from(filter.len()).unwrap(), filter: filter.as_mut_ptr() };
    let size = |of: usize| u32::try_from(of).unwrap();
    let option = libc::SO_ATTACH_FILTER;
    let length = size(size_of_val(&program));
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const program).cast(), length) })?;
    let room = 4i32 << 20; // the kernel gives as much of it as an ordinary user may have
    let length = size(size_of_val(&room));
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const room).cast(), length) })?;
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ALL.to_be();
    let name = std::ffi::CString::new(INTERFACE).unwrap();
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
    check(unsafe { libc::bind(fd, (&raw const address).cast(), size(size_of_val(&address))) })?;
    Ok(socket)
}

/// Classic BPF over an Ethernet frame. Offsets are of a frame without a VLAN tag.
fn filter() -> Vec<libc::sock_filter> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_BYTE_X: u16 = 0x50;
    const LOAD_HALF_X: u16 = 0x48;
    const IP_LENGTH: u16 = 0xb1; // X = 4 * (byte & 15)
    const X_IS: u16 = 0x01;
    const EQUAL: u16 = 0x15;
    const AND: u16 = 0x54;
    const JUMP: u16 = 0x05;
    const RETURN: u16 = 0x06;
    const SYN_OF_SYN_ACK: u32 = 0x12;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_HALF, 0, 0, 12),
        step(EQUAL, 0, 4, 0x0800),
        step(LOAD_BYTE, 0, 0, 23),
        step(EQUAL, 0, 11, 6), // IPv4 and not TCP: keep
        step(IP_LENGTH, 0, 0, 14),
        step(JUMP, 0, 0, 4),
        step(EQUAL, 0, 9, 0x86dd), // neither: drop
        step(LOAD_BYTE, 0, 0, 20),
        step(EQUAL, 0, 6, 6), // IPv6 and not TCP first: keep
        step(X_IS, 0, 0, 40),
        step(LOAD_HALF_X, 0, 0, 16),
        step(EQUAL, 4, 0, u32::from(UNWATCHED)),
        step(LOAD_BYTE_X, 0, 0, 27),
        step(AND, 0, 0, SYN_OF_SYN_ACK),
        step(EQUAL, 0, 1, 0x02),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}

/// Reads for as long as the process lives.
fn read(socket: &OwnedFd, seen: &(Mutex<Seen>, Condvar)) {
    let mut frame = vec![0u8; 65_536];
    loop {
        let got = unsafe { libc::recv(socket.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        let Ok(got) = usize::try_from(got) else { return };
        let packet = parse(&frame[..got]);
        let lost = lost(socket);
        let mut seen_now = seen.0.lock().unwrap();
        seen_now.lost += lost;
        seen_now.packets.extend(packet);
        seen.1.notify_all();
    }
}

/// How many packets found no room since the last question.
fn lost(socket: &OwnedFd) -> u32 {
    const STATISTICS: i32 = 6;
    let mut counts = [0u32; 2]; // all, lost
    let mut length = libc::socklen_t::try_from(size_of_val(&counts)).unwrap();
    let (fd, to) = (socket.as_raw_fd(), (&raw mut counts).cast());
    match unsafe { libc::getsockopt(fd, libc::SOL_PACKET, STATISTICS, to, &raw mut length) } {
        0 => counts[1],
        _ => 1,
    }
}

fn parse(frame: &[u8]) -> Option<Packet> {
    let ip = frame.get(14..)?;
    let (protocol, from, to, body) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
            (*ip.get(9)?, address(12)?, address(16)?, ip.get(usize::from(ip.first()? & 15) * 4..)?)
        }
        [0x86, 0xdd] => {
            let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
            (*ip.get(6)?, address(8)?, address(24)?, ip.get(40..)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let (name, port, header) = match protocol {
        6 => ("tcp".to_owned(), port(2)?, usize::from(body.get(12)? >> 4) * 4),
        17 => ("udp".to_owned(), port(2)?, 8),
        other => (other.to_string(), 0, 0),
    };
    Some(Packet { protocol: name, from, to: SocketAddr::new(to, port), payload: body.get(header..)?.to_vec() })
}
