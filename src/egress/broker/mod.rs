//! The broker: decides about names and connections, asks the machine's resolver, opens sockets.
//!
//! It believes nothing that the proxy says: names are checked again as they are read, a name that no rule has never
//! reaches the resolver, and no address is dialled that no rule and no hand-out of its own covers. What the proxy is given
//! is an answer or a socket that connects to the very address that was checked.
//!
//! One thread decides everything and waits for nothing but its two sockets. Where a server asks for more than is read at
//! the other ends, it waits there: that slows the server, and nobody else.
//!
//! Names are resolved as programs of the machine resolve them, hosts file included, but for its search domains: a granted
//! name is a whole one, and another name that begins with it is another name.

mod desk;

use super::resolver::Lookup;
use super::wire::{Ask, LARGEST, Reply};
use super::{Event, Rules};
use crate::sys::poll::{Interest, PollFd, poll};
use crate::sys::{dial, message, resolve};
use desk::{Desk, Out};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// Most addresses of each family that are taken from the resolver.
const FAMILY: usize = 64;

/// What a broker is made of. Sockets are ends of `SOCK_SEQPACKET` pairs.
#[derive(Debug)]
pub struct Setup {
    /// To the proxy.
    pub proxy: OwnedFd,
    /// To the launcher; written only.
    pub events: OwnedFd,
    /// What is granted.
    pub rules: Rules,
}

/// Works until the proxy has closed its socket.
///
/// # Errors
/// A packet that no honest proxy sends, or a socket that fails: the launcher's when that is gone.
pub fn run(setup: Setup) -> io::Result<()> {
    let Setup { proxy, events, rules } = setup;
    serve(rules, Machine::real(), proxy.as_fd(), events.as_fd())
}

/// What the broker asks of the machine; tests have one of their own.
struct Machine {
    /// The addresses of a granted name.
    lookup: Lookup,
    /// The address that packets to another would come from: itself where that is the machine's own.
    source: Box<dyn Fn(IpAddr) -> io::Result<IpAddr> + Send>,
    /// A socket that connects there.
    dial: Box<dyn Fn(SocketAddr) -> io::Result<OwnedFd> + Send>,
}

impl Machine {
    fn real() -> Machine {
        Machine {
            lookup: Arc::new(|name| {
                // a name has no NUL
                let name = CString::new(name.as_str()).map_err(|_| resolve::ResolveError::Failed)?;
                resolve::resolve(&name, FAMILY)
            }),
            source: Box::new(dial::source_for),
            dial: Box::new(dial::connect),
        }
    }
}

fn serve(rules: Rules, machine: Machine, proxy: BorrowedFd<'_>, events: BorrowedFd<'_>) -> io::Result<()> {
    let mut desk = Desk::new(rules, machine)?;
    let mut room = vec![0; LARGEST];
    loop {
        let mut set = [PollFd::new(Some(proxy), Interest::Read), PollFd::new(Some(desk.wake()), Interest::Read)];
        poll(&mut set, desk.deadline(Instant::now()))?;
        let asked = set.first().is_some_and(PollFd::is_ready);
        desk.resolved(Instant::now());
        if asked {
            let Some(ask) = next(proxy, &mut room)? else { return Ok(()) };
            desk.ask(ask, Instant::now());
        }
        for out in desk.out() {
            match out {
                Out::Event(event) => tell(events, &event)?,
                Out::Reply(reply, socket) => {
                    let bytes = postcard::to_allocvec(&reply).map_err(io::Error::other)?;
                    let sockets: Vec<BorrowedFd<'_>> = socket.iter().map(AsFd::as_fd).collect();
                    match message::send(proxy, &bytes, &sockets, true) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        // the user has too many descriptors under way, here or elsewhere
                        Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => {
                            let reply = Reply::Unreachable { id: reply.id(), errno: libc::ETOOMANYREFS };
                            let bytes = postcard::to_allocvec(&reply).map_err(io::Error::other)?;
                            message::send(proxy, &bytes, &[], true)?;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

/// The next question; `None` at the end.
fn next(proxy: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<Option<Ask>> {
    let (count, descriptors) = match message::receive(proxy, room, true) {
        Ok(received) => received,
        // it closed its end and had not read everything
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    };
    if count == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no question that the proxy asks");
    let (ask, rest) = postcard::take_from_bytes(room.get(..count).unwrap_or_default()).map_err(|_| wrong())?;
    if rest.is_empty() && descriptors.is_empty() { Ok(Some(ask)) } else { Err(wrong()) }
}

fn tell(events: BorrowedFd<'_>, event: &Event) -> io::Result<()> {
    let bytes = postcard::to_allocvec(event).map_err(io::Error::other)?;
    message::send(events, &bytes, &[], true).map(drop)
}

#[cfg(test)]
mod tests;
