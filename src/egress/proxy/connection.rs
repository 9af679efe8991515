//! One connection from the jail, from accepted to its record.
//!
//! ```text
//!            ┌── Hear ──► Hearing ── what was said ──┐
//! accepted ─► Dialling ◄─────────────────────────────┘
//!                └── a socket that connects ──► Moving ──► record
//! ```

use super::dialling::{Dialled, Dialling};
use super::hearing::{Heard, Hearing};
use super::moving::{Moved, Moving};
use super::shared::Shared;
use super::side::Side;
use super::slab::Key;
use crate::egress::wire::{Hear, Reply, Said};
use crate::egress::{DnsName, Event, Limits, Reason};
use crate::sys::epoll::Event as Happened;
use crate::sys::stream;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A connection from the jail.
#[derive(Debug)]
pub(super) struct Connection {
    client: Side,
    /// Where the client connected to.
    destination: SocketAddr,
    born: Instant,
    /// Milliseconds of the proxy's clock: when it was accepted, and when something last moved.
    accepted: u64,
    touched: u64,
    name: Option<DnsName>,
    dialled: Option<SocketAddr>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Hearing(Box<Hearing>),
    Dialling(Box<Dialling>),
    Moving(Moving),
}

/// What comes next of a connection.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Step {
    /// An event, a reply or its deadline.
    Wait,
    /// Another turn, after the others have had theirs.
    Again,
    /// Another turn, when broker and launcher keep up again.
    Stalled,
    /// It is over.
    End(End),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Why, if not because both sides were done.
    pub(super) reason: Option<Reason>,
    errno: Option<i32>,
    /// The broker has recorded it.
    recorded: bool,
}

impl End {
    pub(super) const DONE: End = End { reason: None, errno: None, recorded: false };

    pub(super) const fn because(reason: Reason) -> End {
        End { reason: Some(reason), errno: None, recorded: false }
    }

    pub(super) fn broken(error: &io::Error) -> End {
        End { errno: error.raw_os_error(), ..End::because(Reason::Broken) }
    }
}

impl Connection {
    /// A connection that was accepted; the broker is asked what becomes of it.
    pub(super) fn new(key: Key, client: OwnedFd, destination: SocketAddr, shared: &mut Shared) -> Connection {
        let now = shared.clock();
        let stage = Stage::Dialling(Box::new(Dialling::new(key, destination, Said::Nothing, Vec::new(), shared)));
        let client = Side::connected(client);
        Connection {
            client,
            destination,
            born: shared.now,
            accepted: now,
            touched: now,
            name: None,
            dialled: None,
            stage,
        }
    }

    /// Something happened to the client's side.
    pub(super) fn client(&mut self, event: &Happened) {
        self.client.note(event);
    }

    /// Something happened to the network's side of this attempt.
    pub(super) fn remote(&mut self, attempt: u8, event: &Happened) {
        match &mut self.stage {
            Stage::Hearing(_) => {}
            Stage::Dialling(dialling) => dialling.note(attempt, event),
            Stage::Moving(moving) => moving.note(attempt, event),
        }
    }

    /// The broker has replied.
    ///
    /// # Errors
    /// `InvalidData` for a reply that does not fit.
    pub(super) fn reply(
        &mut self,
        key: Key,
        reply: Reply,
        socket: Option<OwnedFd>,
        shared: &mut Shared,
    ) -> io::Result<Step> {
        let Stage::Dialling(dialling) = &mut self.stage else { return Err(out_of_turn()) };
        dialling.answered(shared);
        match (reply, socket) {
            (Reply::Refused { reason, .. }, None) => {
                if dialling.is_alone() {
                    return Ok(Step::End(End { recorded: true, ..End::because(reason) }));
                }
                dialling.without(None);
            }
            (Reply::Unreachable { errno, .. }, None) => dialling.without(Some(errno)),
            (Reply::Hear { what, .. }, None) if dialling.may_hear() => return Ok(self.hear(what, key, shared)),
            (Reply::Dialled { address, names, more, .. }, Some(socket)) => {
                // the user has only so many watches, which the server can use up: that ends this connection, no other
                if let Err(error) = dialling.add(key, socket, (address, names, more), shared) {
                    return Ok(Step::End(End::broken(&error)));
                }
            }
            _ => return Err(out_of_turn()),
        }
        Ok(self.advance(key, shared))
    }

    fn hear(&mut self, what: Hear, key: Key, shared: &mut Shared) -> Step {
        self.stage = Stage::Hearing(Box::new(Hearing::new(what, shared)));
        self.advance(key, shared)
    }

    /// Does what can be done.
    pub(super) fn advance(&mut self, key: Key, shared: &mut Shared) -> Step {
        self.try_advance(key, shared).unwrap_or_else(|error| Step::End(End::broken(&error)))
    }

    fn try_advance(&mut self, key: Key, shared: &mut Shared) -> io::Result<Step> {
        if let Stage::Hearing(hearing) = &mut self.stage {
            match hearing.listen(&mut self.client, shared)? {
                Heard::Nothing => {}
                Heard::Left => return Ok(Step::End(End::DONE)),
                Heard::Said(said, bytes) => self.said(key, said, bytes, shared),
            }
        }
        if let Stage::Dialling(dialling) = &mut self.stage {
            match dialling.advance(key, self.destination, shared)? {
                Dialled::NotYet => {}
                Dialled::Unreachable(errno) => {
                    return Ok(Step::End(End { errno, ..End::because(Reason::Unreachable) }));
                }
                Dialled::Connected(winner) => {
                    self.dialled = Some(winner.address);
                    self.name = winner.name;
                    self.touched = shared.clock();
                    self.stage = Stage::Moving(winner.moving);
                }
            }
        }
        if let Stage::Moving(moving) = &mut self.stage {
            let before = moving.moved();
            let moved = moving.advance(&mut self.client, &mut self.name, shared)?;
            if moving.moved() != before {
                self.touched = shared.clock();
            }
            return Ok(match moved {
                Moved::Rests => Step::Wait,
                Moved::Again => Step::Again,
                Moved::Done => Step::End(End::DONE),
                Moved::Refused(reason) => Step::End(End::because(reason)),
            });
        }
        self.client.check()?;
        Ok(Step::Wait)
    }

    fn said(&mut self, key: Key, said: Said, bytes: Vec<u8>, shared: &mut Shared) {
        let dialling = Dialling::new(key, self.destination, said, bytes, shared);
        self.stage = Stage::Dialling(Box::new(dialling));
    }

    /// When something is to be done though nothing happens, milliseconds of the proxy's clock.
    pub(super) fn deadline(&self, limits: &Limits) -> u64 {
        let after = |from: u64, limit: std::time::Duration| {
            from.saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
        };
        let own = match &self.stage {
            Stage::Hearing(hearing) => hearing.until,
            Stage::Dialling(dialling) => dialling.race.unwrap_or(u64::MAX),
            Stage::Moving(moving) => moving.patience().unwrap_or(u64::MAX).min(after(self.touched, limits.idle)),
        };
        own.min(after(self.accepted, limits.lifetime))
    }

    /// The deadline has come, if it was not moved on since.
    pub(super) fn expire(&mut self, key: Key, limits: &Limits, shared: &mut Shared) -> Step {
        let now = shared.clock();
        if self.deadline(limits) > now {
            return Step::Wait;
        }
        if self.accepted.saturating_add(u64::try_from(limits.lifetime.as_millis()).unwrap_or(u64::MAX)) <= now {
            return Step::End(End::because(Reason::Lifetime));
        }
        match &self.stage {
            Stage::Hearing(_) => {
                self.said(key, Said::Wrong(Reason::Silent), Vec::new(), shared);
                Step::Wait
            }
            Stage::Dialling(_) => self.advance(key, shared),
            Stage::Moving(moving) if moving.patience().is_some_and(|until| until <= now) => {
                Step::End(End::because(Reason::Silent))
            }
            Stage::Moving(_) => Step::End(End::because(Reason::Idle)),
        }
    }

    /// Where what the client sent may still be on its way: whether the client is known to have ended, and the bytes that it
    /// sent so far.
    pub(super) fn leaving(&self) -> Option<(bool, u64)> {
        match &self.stage {
            Stage::Moving(moving) if !moving.has_delivered() => Some((self.client.has_ended(), moving.moved().0)),
            Stage::Hearing(_) | Stage::Dialling(_) | Stage::Moving(_) => None,
        }
    }

    /// Closes both sides and records it. A connection that did not end by itself is reset on both sides, but for the
    /// network's where the session is over and everything was sent that it is to have.
    pub(super) fn end(self, end: End, shared: &mut Shared) {
        let (mut sent, mut received, mut remote, mut delivered) = (0, 0, None, false);
        match self.stage {
            Stage::Hearing(_) => {}
            Stage::Dialling(mut dialling) => dialling.release(shared),
            Stage::Moving(moving) => {
                (sent, received) = moving.moved();
                delivered = end.reason == Some(Reason::SessionEnded) && moving.has_delivered();
                remote = Some(moving.close(shared));
            }
        }
        if end.reason.is_some() {
            stream::reset(self.client.into_socket());
            if let Some(remote) = remote.filter(|_| !delivered) {
                stream::reset(remote.into_socket());
            }
        }
        if end.recorded {
            return;
        }
        let duration = shared.now.saturating_duration_since(self.born).as_micros();
        shared.record(&Event::Connection {
            name: self.name.map(|name| name.as_str().to_owned()),
            destination: self.destination,
            dialled: self.dialled,
            refused: end.reason,
            errno: end.errno,
            sent,
            received,
            duration_us: u64::try_from(duration).unwrap_or(u64::MAX),
        });
    }
}

/// A reply that the broker never gives.
pub(super) fn out_of_turn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the broker said something out of turn")
}
