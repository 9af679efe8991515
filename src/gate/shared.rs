//! What the two judges and the keeper share: the state, the walk under way, the wires, and how a session is refused.

use super::error::GateError;
use super::state::{Asked, Held, Stage, State};
use super::walk::{Numbers, Pages, Walk};
use super::{Settings, answer, sight::Seen};
use crate::catalog::{Approved, Drift, Kind};
use crate::diagnose::{Diagnose, one_line, printable};
use crate::json::Value;
use crate::relay::{Id, Wires, parse_message};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The most events that may wait for the keeper.
const MOST_EVENTS: usize = 16 << 10;
/// The most bytes in them: one message of the largest size, and then some.
const MOST_EVENT_BYTES: usize = 96 << 20;
/// How long the keeper, which has the same time limit, may be late.
const LATE: Duration = Duration::from_secs(1);
/// How many notes about a session reach stderr.
const NOTES: u32 = 24;
/// The longest note, characters.
const NOTE: usize = 600;

/// What the judges tell the keeper.
#[derive(Debug)]
pub(super) enum Event {
    /// The server's answer to the host's `initialize`, held.
    Initialized(Vec<u8>),
    /// The server's answer to a `server/discover`, the host's or our own.
    Discovered(Vec<u8>),
    /// The host asks in the modern era without having probed; `_meta` for our own requests.
    First(Vec<u8>),
    /// The host has sent `server/discover`; `_meta` for our own requests.
    Probed(Vec<u8>),
    /// The server says that lists have changed; the notification, where the host is to have it afterwards.
    Changed(&'static [super::List], Option<Vec<u8>>),
    /// This is to be sent to the server.
    Send(Vec<u8>),
    /// The walk is over.
    Walked(Result<(), GateError>),
    /// The server asks the host something while the host waits for its handshake.
    Asks,
    /// The server's stdout is closed.
    Ended,
}

impl Event {
    /// The bytes of the message in it.
    fn size(&self) -> usize {
        match self {
            Event::Initialized(line) | Event::Discovered(line) | Event::First(line) | Event::Probed(line) => line.len(),
            Event::Send(line) => line.len(),
            Event::Changed(_, line) => line.as_ref().map_or(0, Vec::len),
            Event::Walked(_) | Event::Asks | Event::Ended => 0,
        }
    }
}

/// What waits for the keeper. It stops to take when the server does not read what it is sent.
#[derive(Debug, Default)]
struct Waiting {
    events: AtomicUsize,
    bytes: AtomicUsize,
    /// More came than may wait.
    over: AtomicBool,
}

/// Our own requests.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) numbers: Numbers,
    /// Our `server/discover`.
    pub(super) discover: Option<u64>,
    pub(super) walk: Option<Walk<Seen>>,
    /// A `_meta` of lists in which the server says about itself what was approved.
    pub(super) said: Vec<u8>,
    /// Pages that were seen to be approved.
    pub(super) pages: Pages,
}

/// Everything that is shared.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) wires: Wires,
    pub(super) settings: Settings,
    /// What was approved. Empty only until a catalog that is trusted on first use is pinned.
    pub(super) approved: OnceLock<&'static Approved>,
    pub(super) own: Mutex<Own>,
    /// What the ids of our own requests begin with.
    pub(super) prefix: String,
    pub(super) refusal: OnceLock<Arc<GateError>>,
    events: Sender<Event>,
    waiting: Waiting,
    state: Mutex<State>,
    /// The stage has changed or room was made.
    moved: Condvar,
    notes: AtomicU32,
}

impl Shared {
    pub(super) fn new(wires: Wires, settings: Settings, approved: Option<Approved>, events: Sender<Event>) -> Shared {
        let known = OnceLock::new();
        if let Some(approved) = approved {
            // There is one for the life of the process.
            let _first = known.set(&*Box::leak(Box::new(approved)));
        }
        let numbers = Numbers::random();
        Shared {
            wires,
            settings,
            approved: known,
            prefix: numbers.prefix().to_owned(),
            own: Mutex::new(Own { numbers, discover: None, walk: None, said: Vec::new(), pages: Pages::default() }),
            refusal: OnceLock::new(),
            events,
            waiting: Waiting::default(),
            state: Mutex::new(State::new()),
            moved: Condvar::new(),
            notes: AtomicU32::new(0),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the keeper, unless too much waits for it already; [`Shared::refuse_flood`] is due then.
    pub(super) fn tell(&self, event: Event) {
        let Waiting { events, bytes, over } = &self.waiting;
        let size = event.size();
        let full = events.fetch_add(1, Ordering::Relaxed) >= MOST_EVENTS
            || bytes.fetch_add(size, Ordering::Relaxed) + size > MOST_EVENT_BYTES;
        if full && !matches!(event, Event::Ended) {
            over.store(true, Ordering::Relaxed);
            return;
        }
        // It only ends with the session.
        let _ = self.events.send(event);
    }

    /// The keeper has taken this.
    pub(super) fn taken(&self, event: &Event) {
        self.waiting.events.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(event.size(), Ordering::Relaxed);
    }

    /// Ends the session of a server that says more than the keeper can take. Called with nothing locked.
    pub(super) fn refuse_flood(&self) {
        if self.waiting.over.load(Ordering::Relaxed) {
            self.refuse(GateError::too_large("messages that wait for the gate", MOST_EVENTS));
        }
    }

    /// Sets the stage and wakes whoever waits for it. A session that was refused stays that.
    pub(super) fn enter(&self, state: &mut State, stage: Stage) {
        if state.stage != Stage::Refused {
            state.stage = stage;
        }
        // Where the other era begins while this one's catalog is read, the keeper is still at the latter.
        if stage != Stage::Checking {
            state.due = None;
        }
        self.moved.notify_all();
    }

    /// From now on the keeper reads the catalog, until then at most.
    pub(super) fn expect(&self, until: Instant) {
        self.state().due = Some(until + LATE);
        self.moved.notify_all();
    }

    /// Ends the session where the keeper is late: a write to a server that reads nothing knows no time.
    pub(super) fn watch(&self) {
        let mut state = self.state();
        loop {
            let due = match (state.stage, state.due) {
                (Stage::Refused, _) => return,
                (Stage::Checking, Some(due)) => due,
                _ => {
                    state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return self.refuse(self.timed_out());
            }
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn timed_out(&self) -> GateError {
        let list = self.own().walk.as_ref().and_then(Walk::waits_for);
        GateError::Timeout { list, timeout: self.settings.timeout }
    }

    /// Waits until there is room among what is held or nothing is held any more.
    pub(super) fn wait_for_room<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        held: impl Fn(&State) -> &Held,
    ) -> MutexGuard<'a, State> {
        let full = |state: &mut State| !matches!(state.stage, Stage::Open | Stage::Refused) && held(state).is_full();
        self.moved.wait_while(state, full).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is held any more, no longer than a walk may take: a host may send all that it has to ask, close
    /// its stream and read the answers.
    pub(super) fn wait_for_release(&self) {
        let held = |state: &mut State| matches!(state.stage, Stage::Checking | Stage::Releasing) && !state.gone;
        let longest = self.settings.timeout + LATE;
        drop(self.moved.wait_timeout_while(self.state(), longest, held));
    }

    /// Room was made among what is held.
    pub(super) fn made_room(&self) {
        self.moved.notify_all();
    }

    /// Whether an item may be used by the host.
    pub(super) fn may_use(&self, state: &State, kind: Kind, name: &str) -> bool {
        self.approved.get().is_some_and(|approved| approved.has(kind, name)) && !state.is_blocked(kind, name)
    }

    /// Writes to the host. A host that has gone ends the session by itself.
    pub(super) fn to_host(&self, lines: &[u8]) {
        if !lines.is_empty() {
            let _ = self.wires.to_host.send(lines);
        }
    }

    /// A line on stderr, where that needs no waiting; only so many of them.
    pub(super) fn note(&self, text: &str) {
        let already = self.notes.fetch_add(1, Ordering::Relaxed);
        let line = match already {
            _ if already < NOTES => format!("mcpjail: {}\n", shorten(&printable(text))),
            NOTES => "mcpjail: more of this kind is not shown\n".to_owned(),
            _ => return,
        };
        self.wires.diagnostics.offer(line.as_bytes());
    }

    /// What the server wrote to stdout although it is no message: a line on stderr.
    pub(super) fn stray(&self, line: &[u8]) {
        if self.notes.load(Ordering::Relaxed) == 0 {
            self.note("the server writes to stdout what is no message; it is kept from the host and shown here");
        }
        self.note(&format!("(stdout) {}", String::from_utf8_lossy(line.get(..4 * NOTE).unwrap_or(line))));
    }

    /// Ends the session: all open requests of the host's are answered by the reason.
    pub(super) fn refuse(&self, error: GateError) {
        let error = Arc::new(error);
        if self.refusal.set(error.clone()).is_err() {
            return;
        }
        let asked: Vec<Id> = {
            let mut state = self.state();
            self.enter(&mut state, Stage::Refused);
            drop((state.to_host.take(), state.to_server.take()));
            state.asked.drain().map(|(id, _)| id).collect()
        };
        let mut answers = Vec::new();
        for id in &asked {
            answers.extend_from_slice(&self.refusal_of(id));
        }
        self.to_host(&answers);
        self.wires.stop.end();
    }

    /// The answer to a request in a session that is refused.
    pub(super) fn refusal_of(&self, id: &Id) -> Vec<u8> {
        match self.refusal.get() {
            Some(error) => answer::error(Some(id), answer::SERVER_ERROR, &one_line(&**error), error.code()),
            None => answer::error(Some(id), answer::SERVER_ERROR, "mcpjail: the session is over", "server-ended"),
        }
    }

    /// Keeps what was seen for `mcpjail approve`, which may see something else: a catalog can depend on the host's name
    /// and capabilities, and on what happens in a session.
    pub(super) fn keep(&self, drift: &Drift) {
        if let Some(record) = &self.settings.record
            && let Err(error) = record.write(drift)
        {
            self.note(&format!("what the server showed could not be kept for `mcpjail approve`: {error}"));
        }
    }

    /// Refuses for a difference that showed in mid-session, and keeps what was seen for `mcpjail approve`.
    pub(super) fn refuse_drift(&self, drift: Drift) {
        self.keep(&drift);
        self.refuse(GateError::Changed { drift: Box::new(drift), approve: self.settings.approve.clone() });
    }
}

/// Registers a request of the host's, unless its id is in use or too many are out.
pub(super) fn register(state: &mut State, id: &Id, asked: Asked) -> Result<(), &'static str> {
    if state.asked.contains_key(id) {
        return Err("the id belongs to a request that has no answer yet");
    }
    if state.asked.len() >= super::state::MOST_ASKED {
        return Err("too many requests have no answer yet");
    }
    state.asked.insert(id.clone(), asked);
    Ok(())
}

/// A message without carriage returns between its tokens: some readers end a line there, and would take a part of the
/// message for a message that nobody judged. One before the line feed stays, as does what is no message anyway.
pub(super) fn flat(line: &[u8]) -> Cow<'_, [u8]> {
    let inner = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr::memchr(b'\r', inner).is_none() || parse_message(line).is_err() {
        return Cow::Borrowed(line);
    }
    // Inside of strings there are none in a good message.
    Cow::Owned(line.iter().map(|&byte| if byte == b'\r' { b' ' } else { byte }).collect())
}

/// An id where it stands as a value, as in `notifications/cancelled`.
pub(super) fn id_of(value: Value<'_>) -> Option<Id> {
    match value.integer() {
        Some(number) => Some(Id::Number(number)),
        None => value.str().map(|text| Id::Text(text.into())),
    }
}

/// `_meta` of a request of the modern era; `None` for other requests.
pub(super) fn modern_meta(params: Option<Value<'_>>) -> Option<Vec<u8>> {
    const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    const KEPT: [&str; 3] =
        [VERSION, "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo"];
    let meta = params?.get("_meta")?;
    meta.get(VERSION)?.str()?;
    let mut text = vec![b'{'];
    for (key, value) in meta.members().filter(|(key, _)| KEPT.iter().any(|kept| key.is(kept))) {
        if text.len() > 1 {
            text.push(b',');
        }
        crate::json::quote(&key.decode(), &mut text);
        text.push(b':');
        text.extend_from_slice(value.raw());
    }
    text.push(b'}');
    Some(text)
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= NOTE { text.to_owned() } else { text.chars().take(NOTE).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_one_for_every_reader() {
        let plain = br#"{"jsonrpc":"2.0","method":"a\r"}"#;
        assert!(matches!(flat(plain), Cow::Borrowed(line) if line == plain));
        let ended = b"{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\r";
        assert!(matches!(flat(ended), Cow::Borrowed(line) if line == ended));
        let smuggled = b"{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":[\r{\"id\":1}\r]}";
        let one = flat(smuggled);
        assert!(!one.contains(&b'\r') && one.len() == smuggled.len());
        assert!(parse_message(&one).is_ok());
        // inside of a string it is an error, and stays one
        let broken = b"{\"jsonrpc\":\"2.0\",\"method\":\"a\rb\"}";
        assert!(parse_message(&flat(broken)).is_err());
    }
}
