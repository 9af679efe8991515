//! What both directions of a session know in common: how far the gate is open, and which requests are out.

use super::lists::List;
use crate::catalog::Kind;
use crate::relay::{Id, Message, parse_message};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

/// The most requests of the host that may be out at once.
pub(super) const MOST_ASKED: usize = 16 << 10;
/// The most requests of the server that may be out at once.
pub(super) const MOST_PUT: usize = 1 << 10;

/// How far the gate is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was asked yet.
    Shut,
    /// The catalog is being read. What belongs to the other side is held.
    Checking,
    /// All is well; what was held is on its way.
    Releasing,
    /// Messages flow.
    Open,
    /// The session is being ended.
    Refused,
}

/// What a request of the host's asks for, as far as the answer is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The handshake. Once its answer has come the answer is held, and no second one counts.
    Initialize {
        /// The answer has come.
        answered: bool,
    },
    /// `server/discover`.
    Discover,
    /// A page of a list.
    List(List),
    /// Anything else.
    Other,
}

/// Messages that wait for the gate, bounded.
#[derive(Debug)]
pub(super) struct Held {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    most_lines: usize,
    most_bytes: usize,
}

impl Held {
    pub(super) fn new(most_lines: usize, most_bytes: usize) -> Held {
        Held { lines: VecDeque::new(), bytes: 0, most_lines, most_bytes }
    }

    /// Whether nothing more should be added. One message always fits.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.most_bytes || self.lines.len() >= self.most_lines
    }

    /// Adds a message, given without its line feed.
    pub(super) fn push(&mut self, message: &[u8]) {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend_from_slice(message);
        line.push(b'\n');
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    /// Keeps only the messages that fit; each is given with its line feed.
    pub(super) fn retain(&mut self, fits: impl Fn(&[u8]) -> bool) {
        self.lines.retain(|line| fits(line));
        self.bytes = self.lines.iter().map(Vec::len).sum();
    }

    /// Those messages that fit, as whole lines in order; the others stay.
    pub(super) fn take_those(&mut self, fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = self.lines.drain(..).partition(|line| fits(line));
        self.lines = left;
        self.bytes = self.lines.iter().map(Vec::len).sum();
        taken.into_iter().flatten().collect()
    }

    /// All of them, as whole lines in order.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.bytes);
        for line in self.lines.drain(..) {
            all.extend_from_slice(&line);
        }
        self.bytes = 0;
        all
    }
}

/// The common knowledge. Never locked while something is written.
#[derive(Debug)]
pub(super) struct State {
    pub(super) stage: Stage,
    /// The catalog was checked in the legacy era, after `initialize`.
    pub(super) legacy: bool,
    /// It was checked in the modern era.
    pub(super) modern: bool,
    /// The host's `initialize` that is not answered yet.
    pub(super) handshake: Option<Id>,
    /// The host's `server/discover` that is not answered yet and decides the era.
    pub(super) probe: Option<Id>,
    /// Its answer has come; the keeper has it.
    pub(super) probed: bool,
    /// While the catalog is read: the answer to `initialize` was let through before, as the server wants to know the
    /// host's roots first; that question and what the host answers passes. While what was held is released: all that
    /// was held for the host is on its way, and what comes now passes.
    pub(super) through: bool,
    /// Until when the keeper must be done with the walk that opens the gate.
    pub(super) due: Option<Instant>,
    /// The protocol revision has batches.
    pub(super) batches: bool,
    /// The server's stdout is closed.
    pub(super) gone: bool,
    /// Requests of the host's that have no answer yet.
    pub(super) asked: HashMap<Id, Asked>,
    /// Requests of the server's that have no answer yet.
    pub(super) put: HashSet<Id>,
    /// What the server said to the host.
    pub(super) to_host: Held,
    /// What the host said to the server.
    pub(super) to_server: Held,
    /// Approved items that the server has shown in another form; they stay shut for the session.
    pub(super) blocked: HashSet<(Kind, Box<str>)>,
}

impl State {
    pub(super) fn new() -> State {
        State {
            stage: Stage::Shut,
            legacy: false,
            modern: false,
            handshake: None,
            probe: None,
            probed: false,
            through: false,
            due: None,
            batches: false,
            gone: false,
            asked: HashMap::new(),
            put: HashSet::new(),
            to_host: Held::new(4096, 4 << 20),
            to_server: Held::new(1024, 16 << 20),
            blocked: HashSet::new(),
        }
    }

    /// Whether the server speaks the modern era only, as far as is known: it must not ask the host anything then.
    pub(super) fn only_modern(&self) -> bool {
        self.modern && !self.legacy && self.handshake.is_none()
    }

    /// Forgets what the server asked before it was known that it must not ask.
    pub(super) fn drop_questions(&mut self) {
        self.put.clear();
        self.to_host.retain(|line| !matches!(parse_message(line.trim_ascii_end()), Ok(Message::Request { .. })));
    }

    pub(super) fn is_blocked(&self, kind: Kind, name: &str) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(kind, name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_comes_out_in_order() {
        let mut held = Held::new(3, 10);
        held.push(b"one");
        assert!(!held.is_full());
        held.push(b"a longer one");
        assert!(held.is_full(), "by bytes");
        assert_eq!(held.take_those(|line| line.starts_with(b"a")), b"a longer one\n");
        assert!(!held.is_full());
        held.push(b"a longer one");
        assert_eq!(held.take(), b"one\na longer one\n");
        assert!(!held.is_full());
        for _ in 0..3 {
            held.push(b"");
        }
        assert!(held.is_full(), "by number");
        assert_eq!(held.take(), b"\n\n\n");
        assert_eq!(held.take(), b"");
    }

    #[test]
    fn questions_of_a_modern_server_are_forgotten_and_nothing_else() {
        let mut state = State::new();
        let log = br#"{"jsonrpc":"2.0","method":"notifications/message"}"#;
        for line in [&br#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#[..], log] {
            state.to_host.push(line);
        }
        state.put.insert(Id::Number(1));
        state.drop_questions();
        assert!(state.put.is_empty());
        assert_eq!(state.to_host.bytes, log.len() + 1);
        assert_eq!(state.to_host.take(), [log, &b"\n"[..]].concat());
    }
}
