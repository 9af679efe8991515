//! What all connections of the proxy use together: its epoll set, its buffer, the ways to the broker and to the launcher.

use super::names::Question;
use super::outbox::Outbox;
use super::slab::Key;
use crate::egress::Event;
use crate::egress::wire::Ask;
use crate::sys::epoll::Epoll;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// Largest read at once, bytes. Copying through one buffer that stays in the processor's cache beats splice(2) at every
/// size (see the module's documentation), and the larger a read, the fewer times the proxy wakes.
pub(super) const BUFFER: usize = 512 << 10;
/// Events that may wait for a slow launcher before nothing new is begun.
const EVENTS_WAITING: usize = 64;
/// Bytes that may be held in all for readers that are slower than their senders before reads become small.
const PLENTY_HELD: usize = 16 << 20;

/// Who waits for a reply of the broker's.
#[derive(Debug)]
pub(super) enum Asker {
    /// A connection that wants to be opened.
    Connection(Key),
    /// Somebody who wants to know a name.
    Name(Box<Question>),
    /// Nobody any more. The question still counts.
    Nobody,
}

/// What all connections use together.
pub(super) struct Shared {
    pub(super) epoll: Epoll,
    pub(super) broker: Outbox,
    pub(super) events: Outbox,
    /// What was just read. Nothing stays here from one connection's turn to another's.
    pub(super) buffer: Box<[u8]>,
    /// When this turn began.
    pub(super) now: Instant,
    pub(super) start: Instant,
    /// By the ids of the questions. These are never used twice, so that no reply comes to somebody else.
    asked: BTreeMap<u32, Asker>,
    next_id: u32,
    /// Bytes held in all connections.
    pub(super) held: usize,
    /// Descriptors that may be open beyond the two of each connection.
    pub(super) spare: i64,
    /// The broker cannot be told any more.
    pub(super) broker_gone: Option<io::Error>,
    /// Nobody takes records any more.
    pub(super) launcher_gone: bool,
}

impl Shared {
    pub(super) fn new(epoll: Epoll, broker: Outbox, events: Outbox, spare: i64) -> Shared {
        let now = Instant::now();
        let buffer = vec![0; BUFFER].into();
        let (asked, next_id, held) = (BTreeMap::new(), 0, 0);
        let (broker_gone, launcher_gone) = (None, false);
        let start = now;
        Shared { epoll, broker, events, buffer, now, start, asked, next_id, held, spare, broker_gone, launcher_gone }
    }

    /// The proxy's clock at the beginning of this turn, milliseconds.
    pub(super) fn clock(&self) -> u64 {
        u64::try_from(self.now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// What the clock shows `later`.
    pub(super) fn after(&self, later: Duration) -> u64 {
        self.clock().saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether broker and launcher keep up, so that new connections and questions can be taken.
    pub(super) fn is_open(&self) -> bool {
        self.broker.waiting() == 0 && self.events.waiting() < EVENTS_WAITING
    }

    /// How many questions the broker has not answered.
    pub(super) fn questions(&self) -> usize {
        self.asked.len()
    }

    /// Asks the broker; gives the question's id.
    pub(super) fn ask(&mut self, asker: Asker, ask: impl FnOnce(u32) -> Ask) -> u32 {
        while self.asked.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.asked.insert(id, asker);
        self.tell(&ask(id));
        id
    }

    /// Tells the broker what has no reply.
    pub(super) fn tell(&mut self, ask: &Ask) {
        if let Err(error) = self.broker.put(ask) {
            self.broker_gone.get_or_insert(error);
        }
    }

    /// Whose question this was; `None` if there is none.
    pub(super) fn answered(&mut self, id: u32) -> Option<Asker> {
        self.asked.remove(&id)
    }

    /// Nobody waits for this reply any more.
    pub(super) fn forget(&mut self, id: u32) {
        if let Some(asker) = self.asked.get_mut(&id) {
            *asker = Asker::Nobody;
        }
    }

    /// Records an event.
    pub(super) fn record(&mut self, event: &Event) {
        self.launcher_gone |= self.events.put(event).is_err();
    }

    /// Sends what waits, as far as the sockets take it.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.broker.flush() {
            self.broker_gone.get_or_insert(error);
        }
        self.launcher_gone |= self.events.flush().is_err();
    }

    /// Whether so much is held already that reads are to be small.
    pub(super) fn holds_plenty(&self) -> bool {
        self.held > PLENTY_HELD
    }
}
