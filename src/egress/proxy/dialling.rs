//! From the broker's permission to a connection that stands.
//!
//! The broker opens the socket; whether it connects shows here. Where it does not, or takes longer than people wait
//! without noticing, the broker is asked for the next address of the name, and the first socket to connect is kept
//! (RFC 8305, without its sorting, which is the broker's).

use super::flow::Flow;
use super::moving::Moving;
use super::shared::{Asker, Shared};
use super::side::Side;
use super::slab::Key;
use super::token::Token;
use crate::egress::DnsName;
use crate::egress::wire::{Ask, Said};
use crate::sys::epoll::Event;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long one address has before another is tried beside it (RFC 8305, section 5, says 250 ms).
const HEAD_START: Duration = Duration::from_millis(300);
/// How many are tried at once.
const RACERS: usize = 3;

/// A connection that the broker was asked for.
#[derive(Debug)]
pub(super) struct Dialling {
    said: Said,
    /// The client's bytes that were heard, and not yet forwarded.
    heard: Vec<u8>,
    /// The question under way.
    asked: Option<u32>,
    /// One of the spare descriptors is kept for its reply.
    reserved: bool,
    /// Which attempt to ask for next.
    attempt: u8,
    /// There is one that was not asked for.
    more: bool,
    /// When to ask for it though another is still under way, milliseconds of the proxy's clock.
    pub(super) race: Option<u64>,
    /// That time has passed.
    overdue: bool,
    racers: Vec<Racer>,
    /// Why the last one failed.
    errno: Option<i32>,
}

/// A socket that connects.
#[derive(Debug)]
struct Racer {
    attempt: u8,
    side: Side,
    address: SocketAddr,
    names: Vec<DnsName>,
}

/// How it stands.
#[derive(Debug)]
pub(super) enum Dialled {
    /// Not decided.
    NotYet,
    /// Nothing can be reached.
    Unreachable(Option<i32>),
    Connected(Box<Winner>),
}

/// The socket that connected first.
#[derive(Debug)]
pub(super) struct Winner {
    pub(super) address: SocketAddr,
    /// The name that the connection is for, if one is known.
    pub(super) name: Option<DnsName>,
    pub(super) moving: Moving,
}

impl Dialling {
    /// Asks for the first attempt.
    pub(super) fn new(key: Key, destination: SocketAddr, said: Said, heard: Vec<u8>, shared: &mut Shared) -> Dialling {
        let (asked, race, errno, racers) = (None, None, None, Vec::new());
        let (reserved, attempt, more, overdue) = (false, 0, false, false);
        let mut dialling = Dialling { said, heard, asked, reserved, attempt, more, race, overdue, racers, errno };
        dialling.ask(key, destination, shared);
        dialling
    }

    /// Whether the broker may still want to hear the first bytes.
    pub(super) fn may_hear(&self) -> bool {
        self.said == Said::Nothing && self.attempt == 1 && self.racers.is_empty()
    }

    /// Whether nothing connects, so that a refusal is one of the whole connection.
    pub(super) fn is_alone(&self) -> bool {
        self.racers.is_empty()
    }

    fn ask(&mut self, key: Key, destination: SocketAddr, shared: &mut Shared) {
        let (said, attempt) = (self.said.clone(), self.attempt);
        let ask = |id| Ask::Open { id, destination, said, attempt };
        self.asked = Some(shared.ask(Asker::Connection(key), ask));
        // now, not when it comes: others ask in the same turn
        self.reserved = !self.racers.is_empty();
        if self.reserved {
            shared.spare -= 1;
        }
        self.attempt = attempt.saturating_add(1);
        self.without(None);
    }

    /// The reply to the question has come.
    pub(super) fn answered(&mut self, shared: &mut Shared) {
        self.asked = None;
        if std::mem::take(&mut self.reserved) {
            shared.spare += 1;
        }
    }

    /// The broker has opened a socket.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(super) fn add(
        &mut self,
        key: Key,
        socket: OwnedFd,
        (address, names, more): (SocketAddr, Vec<DnsName>, bool),
        shared: &mut Shared,
    ) -> io::Result<()> {
        let attempt = self.attempt.saturating_sub(1);
        let side = Side::connecting(socket);
        shared.epoll.add(side.fd(), Token::Remote(key, attempt).number())?;
        if !self.racers.is_empty() {
            shared.spare -= 1;
        }
        self.racers.push(Racer { attempt, side, address, names });
        // the numbers of attempts end where they would be used again
        self.more = more && attempt < u8::MAX - 1;
        self.race = self.more.then(|| shared.after(HEAD_START));
        Ok(())
    }

    /// There is no such attempt, or none that is allowed.
    pub(super) fn without(&mut self, errno: Option<i32>) {
        self.more = false;
        self.race = None;
        self.overdue = false;
        self.errno = errno.or(self.errno);
    }

    /// Keeps what happened to one of the sockets.
    pub(super) fn note(&mut self, attempt: u8, event: &Event) {
        if let Some(racer) = self.racers.iter_mut().find(|racer| racer.attempt == attempt) {
            racer.side.note(event);
        }
    }

    /// Looks at what has connected and what has failed, and asks for the next attempt where one is due.
    ///
    /// # Errors
    /// As epoll_ctl(2), setsockopt(2).
    pub(super) fn advance(&mut self, key: Key, destination: SocketAddr, shared: &mut Shared) -> io::Result<Dialled> {
        let mut at = 0;
        while let Some(racer) = self.racers.get_mut(at) {
            match racer.outcome() {
                Ok(false) => at += 1,
                Ok(true) => {
                    let winner = self.take_out(at, shared);
                    return self.won(winner, shared).map(|winner| Dialled::Connected(Box::new(winner)));
                }
                Err(error) => {
                    self.errno = error.raw_os_error();
                    let racer = self.take_out(at, shared);
                    shared.epoll.remove(racer.side.fd())?;
                }
            }
        }
        if self.race.is_some_and(|race| race <= shared.clock()) {
            self.race = None;
            self.overdue = true;
        }
        let room = self.racers.len() < RACERS && shared.spare > 0;
        if self.asked.is_none() && self.more && (self.racers.is_empty() || (room && self.overdue)) {
            self.ask(key, destination, shared);
        }
        let over = self.racers.is_empty() && self.asked.is_none();
        Ok(if over { Dialled::Unreachable(self.errno) } else { Dialled::NotYet })
    }

    fn won(&mut self, winner: Racer, shared: &mut Shared) -> io::Result<Winner> {
        self.release(shared);
        let looked = self.said != Said::Nothing;
        let name = match &self.said {
            Said::Tls(name) | Said::Http(name) => Some(name.clone()),
            Said::Nothing | Said::Wrong(_) => winner.names.first().cloned(),
        };
        let names = if looked { Vec::new() } else { winner.names };
        let up = Flow::new(std::mem::take(&mut self.heard), shared);
        let moving = Moving::new(winner.side, winner.attempt, names, up, shared)?;
        Ok(Winner { address: winner.address, name, moving })
    }

    /// Lets go of the sockets and of the question.
    pub(super) fn release(&mut self, shared: &mut Shared) {
        if let Some(id) = self.asked.take() {
            shared.forget(id);
            self.answered(shared);
        }
        while !self.racers.is_empty() {
            let racer = self.take_out(0, shared);
            // it is closed next, which is enough but where the broker still has it open
            let _closed_anyway = shared.epoll.remove(racer.side.fd());
        }
    }

    /// Takes out one that is there. All but one of those at once count among the spare descriptors.
    fn take_out(&mut self, at: usize, shared: &mut Shared) -> Racer {
        let racer = self.racers.swap_remove(at);
        if !self.racers.is_empty() {
            shared.spare += 1;
        }
        racer
    }
}

impl Racer {
    /// Whether it has connected; an error if it has failed.
    fn outcome(&mut self) -> io::Result<bool> {
        if !self.side.writable {
            return Ok(false);
        }
        self.side.check()?;
        // neither connected nor connecting: both directions are closed, and no error is left
        if self.side.is_hung_up() { Err(io::Error::from_raw_os_error(libc::ENOTCONN)) } else { Ok(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::proxy::outbox::Outbox;
    use crate::sys::epoll::Epoll;
    use crate::sys::message::packet_pair;
    use std::os::unix::net::UnixStream;

    /// Descriptors are limited: those that race at the same moment must not all count on the same spare one.
    #[test]
    fn a_spare_descriptor_is_promised_once() {
        let ((broker, _asked), (events, _heard)) = (packet_pair().unwrap(), packet_pair().unwrap());
        let mut shared = Shared::new(Epoll::new().unwrap(), Outbox::new(broker), Outbox::new(events), 1);
        let place: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let mut others = Vec::new();
        let mut socket = || {
            let (one, other) = UnixStream::pair().unwrap();
            others.push(other);
            OwnedFd::from(one)
        };
        let keys = [0, 1].map(|index| Key { index, generation: 0 });
        let mut all = keys.map(|key| Dialling::new(key, place, Said::Nothing, Vec::new(), &mut shared));
        for (key, dialling) in keys.into_iter().zip(&mut all) {
            dialling.answered(&mut shared);
            dialling.add(key, socket(), (place, Vec::new(), true), &mut shared).unwrap();
        }
        shared.now += HEAD_START;
        for (key, dialling) in keys.into_iter().zip(&mut all) {
            assert!(matches!(dialling.advance(key, place, &mut shared), Ok(Dialled::NotYet)));
        }
        let [mut first, mut second] = all;
        assert_eq!((first.asked.is_some(), second.asked.is_some(), shared.spare), (true, false, 0));
        first.answered(&mut shared);
        first.add(keys[0], socket(), (place, Vec::new(), true), &mut shared).unwrap();
        assert_eq!(shared.spare, 0);
        first.release(&mut shared);
        assert_eq!(shared.spare, 1);
        // and one whose reply never comes gives it back
        assert!(matches!(second.advance(keys[1], place, &mut shared), Ok(Dialled::NotYet)));
        assert_eq!((second.asked.is_some(), shared.spare), (true, 0));
        second.release(&mut shared);
        assert_eq!(shared.spare, 1);
    }
}
