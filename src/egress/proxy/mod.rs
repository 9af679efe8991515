//! The proxy: the process that faces the jailed server, and believes nothing that it says.
//!
//! It has the jail's listeners, a socket to the broker and one to the launcher, and no right to open anything. One thread,
//! one epoll set, nothing waits:
//!
//! ```text
//!  jail's sockets ──► sources ─┬─ accept ──► connection ─┬─► asks the broker ─► dialling ─► moving
//!                              │                         └─► hearing (first bytes)
//!                              ├─ port 53 ──► names (UDP), asking (TCP) ─► asks the broker ─► answers
//!                              └─ watch ────► knocks
//! ```
//!
//! * Descriptors are registered once, edge-triggered and for both directions: a message costs a wait, a read and a write,
//!   and no epoll_ctl(2). What an event says is kept ([`side`]) until a call finds it used up; whoever has more to do than
//!   is fair to the others is queued and has another turn.
//! * Bytes are copied through one buffer. splice(2) was measured against that over loopback, with messages of 1 byte to
//!   64 KiB and with streams: it needs two calls for one, wakes for every packet that arrives, and gave between 0.6 and
//!   0.9 of the throughput; and each direction that has something under way needs a pipe, which is two more descriptors
//!   of a limited number. What a slow reader leaves is held in memory that it is read no further for ([`flow`]).
//! * Nothing that the server does makes the proxy hold more than a fixed amount for each connection, and the connections
//!   are limited. New connections and questions are taken only while the broker and the launcher keep up with what is
//!   sent to them ([`shared::Shared::is_open`]), so that no record is left out.
//! * Where a connection begins with TLS or HTTP it is looked at only as far as [`hearing`] says. PostgreSQL and MySQL begin
//!   TLS within their own protocols; into that nobody looks.

mod asking;
mod connection;
mod deadlines;
mod dialling;
mod flow;
mod hearing;
mod moving;
mod names;
mod outbox;
mod shared;
mod side;
mod slab;
mod sources;
#[cfg(test)]
mod tests;
mod token;

use super::listeners::{Kind, Listener};
use super::wire::{self, Reply};
use super::{Event, Limits, Reason};
use crate::sys::epoll::{self, Epoll};
use crate::sys::{message, process, stream};
use asking::Asking;
use connection::{Connection, End, Step, out_of_turn};
use deadlines::Deadlines;
use names::{Names, Return};
use outbox::Outbox;
use shared::{Asker, Shared};
use slab::{Key, Slab};
use sources::Sources;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use token::Token;

/// Events that are taken from epoll at once.
const EVENTS: usize = 128;
/// Connections that are accepted of one listener before others have their turn.
const ACCEPTS: u32 = 32;
/// How long nothing is accepted after the machine had no descriptor or no memory for it, and how often a full socket is
/// tried again whatever epoll says.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the launcher has for the last records; it waits no longer itself.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long what clients sent before they left may take to its end when the session is over.
const DELIVERY: Duration = Duration::from_millis(500);
/// How long no byte may come from a client that may have left.
const QUIET: Duration = Duration::from_millis(100);
/// Descriptors that this process has for itself beside its listeners, generously.
const OWN_DESCRIPTORS: u64 = 32;

/// What the proxy works with.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The jail's sockets.
    pub(crate) listeners: Vec<Listener>,
    /// A `SOCK_SEQPACKET` socket to the broker.
    pub(crate) broker: OwnedFd,
    /// One to the launcher. When that shuts down its side of writing the session is over.
    pub(crate) events: OwnedFd,
    /// What connections are held to.
    pub(crate) limits: Limits,
}

/// Works until the session is over: closes all connections then, sends their last records, and returns.
///
/// # Errors
/// The broker is gone or says what makes no sense, or the kernel refuses what was possible before. All connections are
/// closed and recorded then, too.
pub(crate) fn run(setup: Setup) -> io::Result<()> {
    let mut proxy = Proxy::new(setup)?;
    let result = loop {
        match proxy.turn(None) {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if result.is_ok() {
        proxy.deliver();
    }
    proxy.finish();
    result
}

struct Proxy {
    shared: Shared,
    sources: Sources,
    places: Slab<Place>,
    deadlines: Deadlines,
    names: Names,
    limits: Limits,
    /// Connections that may be open at once.
    most: usize,
    /// Those that have more to do, and those that will have when broker and launcher keep up.
    again: VecDeque<Key>,
    stalled: Vec<Key>,
    /// Nothing is accepted before this.
    paused: Option<Instant>,
    over: bool,
    events: [epoll::Event; EVENTS],
    due: Vec<u32>,
}

/// What is in a place of the slab.
#[derive(Debug)]
struct Place {
    entry: Entry,
    /// It is among those that have more to do.
    queued: bool,
}

#[derive(Debug)]
enum Entry {
    Connection(Connection),
    Asking(Asking),
}

impl Proxy {
    fn new(setup: Setup) -> io::Result<Proxy> {
        let Setup { listeners, broker, events, limits } = setup;
        let own = OWN_DESCRIPTORS + u64::try_from(listeners.len()).unwrap_or(u64::MAX);
        let left = process::soft_limit(process::OPEN_FILES)?.saturating_sub(own);
        let most = (left / 2).min(limits.connections.into());
        let spare = i64::try_from(left - most * 2).unwrap_or(i64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);

        let epoll = Epoll::new()?;
        epoll.add(broker.as_fd(), Token::Broker.number())?;
        epoll.add(events.as_fd(), Token::Events.number())?;
        let sources = Sources::new(listeners);
        for (index, fd) in sources.iter() {
            epoll.add(fd.as_fd(), Token::Source(index).number())?;
        }
        let shared = Shared::new(epoll, Outbox::new(broker), Outbox::new(events), spare);
        Ok(Proxy {
            shared,
            sources,
            places: Slab::new(),
            deadlines: Deadlines::new(),
            names: Names::default(),
            limits,
            most,
            again: VecDeque::new(),
            stalled: Vec::new(),
            paused: None,
            over: false,
            events: [epoll::Event::EMPTY; EVENTS],
            due: Vec::new(),
        })
    }

    /// Waits for something to happen, at most for so long, and does what follows from it. Gives whether the session is over.
    fn turn(&mut self, most: Option<Duration>) -> io::Result<bool> {
        let timeout = [self.timeout(), most].into_iter().flatten().min();
        let count = self.shared.epoll.wait(&mut self.events, timeout)?.len();
        self.shared.now = Instant::now();
        for at in 0..count {
            if let Some(event) = self.events.get(at).copied() {
                self.happened(&event)?;
            }
        }
        self.shared.flush();
        self.go_on();
        if !self.over {
            self.take_from_sources()?;
        }
        self.expire();
        if let Some(error) = self.shared.broker_gone.take() {
            return Err(error);
        }
        Ok(self.over || self.shared.launcher_gone)
    }

    /// How long nothing needs to be done if nothing happens.
    fn timeout(&self) -> Option<Duration> {
        let open = self.is_open();
        let sources = open && !self.over && self.sources.ready() > 0;
        if !self.again.is_empty() || (open && !self.stalled.is_empty()) || (sources && self.paused.is_none()) {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.next().map(|at| Duration::from_millis(at.saturating_sub(self.shared.clock())));
        let pause = self.paused.map(|until| until.saturating_duration_since(self.shared.now));
        let retry = (!self.shared.is_open()).then_some(PAUSE);
        [deadline, pause, retry].into_iter().flatten().min()
    }

    /// Whether anything new can be begun.
    fn is_open(&self) -> bool {
        // questions of connections that are gone count, or a server that only comes and goes could ask without end
        self.shared.is_open() && self.shared.questions() < self.most.saturating_add(names::MOST)
    }

    fn happened(&mut self, event: &epoll::Event) -> io::Result<()> {
        match Token::read(event.token()) {
            Some(Token::Broker) if event.readable() => self.replies()?,
            Some(Token::Events) if event.readable() => self.over |= self.launcher_has_ended(),
            Some(Token::Source(index)) => self.sources.note(index),
            Some(Token::Client(key)) => self.at(key, |entry| match entry {
                Entry::Connection(connection) => connection.client(event),
                Entry::Asking(asking) => asking.client(event),
            }),
            Some(Token::Remote(key, attempt)) => self.at(key, |entry| match entry {
                Entry::Connection(connection) => connection.remote(attempt, event),
                Entry::Asking(_) => {}
            }),
            Some(Token::Broker | Token::Events) | None => {}
        }
        Ok(())
    }

    /// Tells somebody what happened, and lets him do what he can, unless he has his turn later anyway.
    fn at(&mut self, key: Key, tell: impl FnOnce(&mut Entry)) {
        let Some(place) = self.places.get_mut(key) else { return };
        tell(&mut place.entry);
        if !place.queued {
            self.advance(key);
        }
    }

    fn advance(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(key) else { return };
        let step = match &mut place.entry {
            Entry::Connection(connection) => connection.advance(key, &mut self.shared),
            Entry::Asking(asking) => asking.advance(key, &mut self.names, &mut self.shared),
        };
        self.step(key, step);
    }

    /// Does what follows from a turn of somebody's.
    fn step(&mut self, key: Key, step: Step) {
        let Some(place) = self.places.get_mut(key) else { return };
        let first = !place.queued;
        place.queued |= matches!(step, Step::Again | Step::Stalled);
        match step {
            Step::Wait => {}
            Step::Again if first => self.again.push_back(key),
            Step::Stalled if first => self.stalled.push(key),
            Step::Again | Step::Stalled => {}
            Step::End(end) => return self.end(key, end),
        }
        let deadline = match &place.entry {
            Entry::Connection(connection) => connection.deadline(&self.limits),
            Entry::Asking(asking) => asking.deadline(),
        };
        self.deadlines.set(key.index, deadline);
    }

    fn end(&mut self, key: Key, end: End) {
        let Some(place) = self.places.remove(key) else { return };
        self.deadlines.set(key.index, u64::MAX);
        match place.entry {
            Entry::Connection(connection) => connection.end(end, &mut self.shared),
            Entry::Asking(asking) => asking.end(end),
        }
    }

    /// Gives another turn to everybody who wanted one.
    fn go_on(&mut self) {
        if self.is_open() {
            self.again.extend(self.stalled.drain(..));
        }
        for _ in 0..self.again.len() {
            let Some(key) = self.again.pop_front() else { return };
            if let Some(place) = self.places.get_mut(key) {
                place.queued = false;
                self.advance(key);
            }
        }
    }

    fn expire(&mut self) {
        self.deadlines.take_due(self.shared.clock(), &mut self.due);
        while let Some(index) = self.due.pop() {
            let Some(key) = self.places.key(index) else { continue };
            let Some(place) = self.places.get_mut(key) else { continue };
            let step = match &mut place.entry {
                Entry::Connection(connection) => connection.expire(key, &self.limits, &mut self.shared),
                Entry::Asking(asking) => asking.expire(&self.shared),
            };
            self.step(key, step);
        }
    }

    fn take_from_sources(&mut self) -> io::Result<()> {
        if self.paused.is_some_and(|until| until > self.shared.now) {
            return Ok(());
        }
        self.paused = None;
        for _ in 0..self.sources.ready() {
            if !self.is_open() || self.paused.is_some() {
                break;
            }
            let Some((index, kind)) = self.sources.next() else { break };
            let more = match kind {
                Kind::Tcp(_) | Kind::DnsTcp => self.accept(index, kind)?,
                Kind::DnsUdp4 | Kind::DnsUdp6 => self.sources.questions(index, &mut self.names, &mut self.shared),
                Kind::Watch => self.sources.watch(index, &mut self.shared),
            };
            if more {
                self.sources.note(index);
            }
        }
        Ok(())
    }

    /// Accepts connections. Gives whether more may wait.
    fn accept(&mut self, index: u32, kind: Kind) -> io::Result<bool> {
        for _ in 0..ACCEPTS {
            if !self.is_open() {
                return Ok(true);
            }
            match self.sources.accept(index) {
                Ok(Some(socket)) => self.accepted(socket, kind),
                Ok(None) => return Ok(false),
                Err(error) => match error.raw_os_error() {
                    // they wait where they are; something else may end meanwhile
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        self.paused = Some(self.shared.now + PAUSE);
                        return Ok(true);
                    }
                    Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK) => return Err(error),
                    // an error of the connection that waited, which is gone with it (accept(2))
                    _ => {}
                },
            }
        }
        Ok(true)
    }

    fn accepted(&mut self, socket: OwnedFd, kind: Kind) {
        // one that is gone already
        let Ok(destination) = stream::local_address(socket.as_fd()) else { return };
        if self.places.len() >= self.most {
            stream::reset(socket);
            return self.shared.record(&Event::Connection {
                name: None,
                destination,
                dialled: None,
                refused: Some(Reason::TooMany),
                errno: None,
                sent: 0,
                received: 0,
                duration_us: 0,
            });
        }
        let key = self.places.next_key();
        let watched = stream::pass_on(socket.as_fd())
            .and_then(|()| self.shared.epoll.add(socket.as_fd(), Token::Client(key).number()));
        let entry = match kind {
            Kind::DnsTcp => Entry::Asking(Asking::new(socket, &self.shared)),
            _ => Entry::Connection(Connection::new(key, socket, destination, &mut self.shared)),
        };
        self.places.insert(Place { entry, queued: false });
        self.step(key, watched.map_or_else(|error| Step::End(End::broken(&error)), |()| Step::Wait));
    }

    /// Whether the launcher has ended the session, or is gone. It never says anything.
    fn launcher_has_ended(&self) -> bool {
        loop {
            match message::receive(self.shared.events.socket().as_fd(), &mut [0; 64], false) {
                Ok((0, _)) => return true,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return false,
                    io::ErrorKind::InvalidData => {}
                    _ => return true,
                },
            }
        }
    }

    /// Takes the broker's replies.
    fn replies(&mut self) -> io::Result<()> {
        loop {
            let room = self.shared.buffer.get_mut(..wire::LARGEST).unwrap_or_default();
            let (count, descriptors) = match message::receive(self.shared.broker.socket().as_fd(), room, false) {
                Ok((0, _)) => return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the broker is gone")),
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let reply = postcard::from_bytes(room.get(..count).unwrap_or_default()).map_err(|_| out_of_turn())?;
            let mut descriptors = descriptors.into_iter();
            let socket = descriptors.next();
            if descriptors.next().is_some() {
                return Err(out_of_turn());
            }
            self.reply(reply, socket)?;
        }
    }

    fn reply(&mut self, reply: Reply, socket: Option<OwnedFd>) -> io::Result<()> {
        match self.shared.answered(reply.id()) {
            None => Err(out_of_turn()),
            // a socket that came with it is closed
            Some(Asker::Nobody) => Ok(()),
            Some(Asker::Connection(key)) => {
                let Some(Place { entry: Entry::Connection(connection), .. }) = self.places.get_mut(key) else {
                    return Ok(());
                };
                let step = connection.reply(key, reply, socket, &mut self.shared)?;
                self.step(key, step);
                Ok(())
            }
            Some(Asker::Name(question)) => {
                let mut answer = Vec::new();
                if socket.is_some() || !self.names.reply(&question, &reply, &mut answer) {
                    return Err(out_of_turn());
                }
                match question.to {
                    Return::Datagram(index, way) => self.sources.reply(index, way, &answer),
                    Return::Stream(key) => self.at(key, |entry| match entry {
                        Entry::Asking(asking) => asking.answer(&answer),
                        Entry::Connection(_) => {}
                    }),
                }
                Ok(())
            }
        }
    }

    /// Goes on for what clients sent before they left, as it would arrive without a proxy. Nothing new is taken.
    ///
    /// The end of a client is seen only behind its last bytes, so one from which bytes still come may have left as well.
    fn deliver(&mut self) {
        let until = Instant::now() + DELIVERY;
        // the first turn only hears what has happened by now
        let (mut left, mut before) = (Duration::ZERO, None);
        while self.over && !self.shared.launcher_gone && self.turn(Some(left)).is_ok() {
            let leaving = self.places.iter().filter_map(|place| match &place.entry {
                Entry::Connection(connection) => connection.leaving(),
                Entry::Asking(_) => None,
            });
            let (mut count, mut ended, mut moved) = (0u32, false, 0u64);
            for (has_ended, bytes) in leaving {
                (count, ended, moved) = (count + 1, ended || has_ended, moved + bytes);
            }
            left = until.saturating_duration_since(Instant::now()).min(QUIET);
            let rests = !ended && before == Some((count, moved));
            if count == 0 || rests || left.is_zero() {
                return;
            }
            before = Some((count, moved));
        }
    }

    /// Closes everything, and sends the last records as long as the launcher takes them.
    fn finish(mut self) {
        self.shared.now = Instant::now();
        for key in self.places.keys() {
            self.end(key, End::because(Reason::SessionEnded));
        }
        let until = self.shared.now + LAST_WORDS;
        loop {
            self.shared.flush();
            let left = until.saturating_duration_since(Instant::now());
            if self.shared.events.waiting() == 0 || self.shared.launcher_gone || left.is_zero() {
                return;
            }
            if self.shared.epoll.wait(&mut self.events, Some(left.min(PAUSE))).is_err() {
                return;
            }
        }
    }
}
