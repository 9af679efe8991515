//! What a job says, and what it wanted of the network.

use crate::diagnose::printable;
use crate::egress::{Event, Heard, Protocol, Reason};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Most lines that are kept of what was refused.
const MOST: usize = 50;
/// Longest name that is told, characters.
const NAME: usize = 100;
/// The port that a refused name would have been asked on.
const USUAL: u16 = 443;

/// Reads to the end on a thread of its own; keeps the first bytes.
pub(super) fn head(from: OwnedFd, most: usize) -> io::Result<JoinHandle<Vec<u8>>> {
    thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        let mut kept = Vec::new();
        read(from, |block| {
            let room = most.saturating_sub(kept.len());
            kept.extend(block.iter().take(room));
        });
        kept
    })
}

/// Reads to the end on a thread of its own; keeps the last bytes.
pub(super) fn tail(from: OwnedFd, most: usize) -> io::Result<JoinHandle<Vec<u8>>> {
    thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        let mut kept = VecDeque::new();
        read(from, |block| {
            kept.extend(block);
            let surplus = kept.len().saturating_sub(most);
            kept.drain(..surplus);
        });
        Vec::from(kept)
    })
}

fn read(from: OwnedFd, mut each: impl FnMut(&[u8])) {
    let mut file = File::from(from);
    let mut block = vec![0; 64 << 10];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(read) => each(block.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// What was refused of the network, a line each.
#[derive(Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Vec<String>>>);

impl Refusals {
    /// Takes events.
    pub(super) fn ear(&self) -> impl FnMut(Heard) + Send + use<> {
        let lines = self.0.clone();
        move |heard| {
            let Heard::Event(event) = heard else { return };
            let Some(line) = line(&event) else { return };
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }

    /// The lines.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What to say of an event. Names are a stranger's.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::Name { name, refused: Some(Reason::NameNotGranted), .. } => Some(grantable(&shown(name), USUAL)),
        Event::Name { name, refused: Some(reason), .. } => Some(format!("{}: {reason}", shown(name))),
        Event::Connection { name, destination, refused: Some(reason), errno, .. } => match reason {
            // the end of every session, and of connections that the other side breaks off
            Reason::SessionEnded | Reason::Broken => None,
            Reason::PortNotGranted | Reason::NoListener | Reason::AddressNotGranted => {
                Some(grantable(&host(name.as_deref(), destination), destination.port()))
            }
            reason => {
                let why = errno.map(|errno| format!(": {}", io::Error::from_raw_os_error(errno))).unwrap_or_default();
                Some(format!("{}:{}: {reason}{why}", host(name.as_deref(), destination), destination.port()))
            }
        },
        Event::Knock { destination, protocol: Protocol::Tcp, name } => {
            Some(grantable(&host(name.as_deref(), destination), destination.port()))
        }
        // QUIC, whose clients fall back to TCP
        Event::Knock { destination, protocol: Protocol::Udp, .. } if destination.port() == USUAL => None,
        Event::Knock { destination, protocol: Protocol::Udp, name } => {
            Some(format!("{}:{}: UDP, and only TCP is carried", host(name.as_deref(), destination), destination.port()))
        }
        Event::Failed(why) => Some(format!("the jail's network ended: {}", shown(why))),
        Event::Ready | Event::Lost(_) | Event::Name { .. } | Event::Connection { .. } => None,
    }
}

fn grantable(host: &str, port: u16) -> String {
    format!("{host}:{port} is not granted; `--install-net {host}:{port}` does")
}

fn host(name: Option<&str>, address: &SocketAddr) -> String {
    match (name, address) {
        (Some(name), _) => shown(name),
        (None, SocketAddr::V4(v4)) => v4.ip().to_string(),
        (None, SocketAddr::V6(v6)) => format!("[{}]", v6.ip()),
    }
}

fn shown(name: &str) -> String {
    printable(&name.chars().take(NAME).collect::<String>()).replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn through(most: usize, reader: fn(OwnedFd, usize) -> io::Result<JoinHandle<Vec<u8>>>) -> Vec<u8> {
        let (mine, theirs) = crate::sys::fd::pipe().unwrap();
        let heard = reader(mine, most).unwrap();
        let mut writer = File::from(theirs);
        for n in 0..100_000_u32 {
            writer.write_all(format!("{n:06}\n").as_bytes()).unwrap();
        }
        drop(writer);
        heard.join().unwrap()
    }

    #[test]
    fn what_is_too_much_is_read_and_cut() {
        assert_eq!(through(10, head), b"000000\n000");
        assert_eq!(through(10, tail), b"98\n099999\n");
        assert_eq!(through(usize::MAX, head).len(), 700_000);
        assert_eq!(through(usize::MAX, tail).len(), 700_000);
    }

    #[test]
    fn refusals_are_told_once_and_are_bounded() {
        let refusals = Refusals::default();
        let mut ear = refusals.ear();
        let asked = |name: String, reason| {
            let (addresses, withheld) = (Vec::new(), Vec::new());
            Heard::Event(Event::Name { name, addresses, withheld, refused: reason, duration_us: 1 })
        };
        for _ in 0..2 {
            ear(asked("evil.example".into(), Some(Reason::NameNotGranted)));
            ear(asked("fine.example".into(), None));
        }
        ear(asked("a\n\u{1b}[2J`".into(), Some(Reason::Unresolved)));
        let to = "192.0.2.1:22".parse().unwrap();
        ear(Heard::Event(Event::Knock { destination: to, protocol: Protocol::Tcp, name: None }));
        let lines = refusals.take();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "evil.example:443 is not granted; `--install-net evil.example:443` does");
        assert!(lines[1].starts_with(r"a\n\u{1b}[2J': "), "{}", lines[1]);
        assert_eq!(lines[2], "192.0.2.1:22 is not granted; `--install-net 192.0.2.1:22` does");
        for n in 0..2 * MOST {
            ear(asked(format!("{n}.example"), Some(Reason::NameNotGranted)));
        }
        assert_eq!(refusals.take().len(), MOST);
    }
}
