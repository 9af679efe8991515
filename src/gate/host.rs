//! Judges what the host sends.

use super::answer;
use super::lists::List;
use super::shared::{Event, Shared, flat, id_of, modern_meta, register};
use super::state::{Asked, Stage, State};
use crate::catalog::Kind;
use crate::json::Value;
use crate::relay::{Id, Judge, Message, Refused, Verdict, parse_element, parse_message, salvage_id};
use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};

/// The judge of the host's messages.
#[derive(Debug)]
pub struct HostJudge {
    shared: Arc<Shared>,
    /// A batch taken apart, or a message in another form than the host's.
    rewritten: Vec<u8>,
}

/// What becomes of a message.
enum Fate {
    Pass,
    /// The server gets this in its place, one message or several, without the last line feed.
    Instead(Vec<u8>),
    /// It goes nowhere; the sender is answered by this.
    Answer(Vec<u8>),
    Drop,
}

/// An answer to the host instead of the message to the server.
fn refused(id: &Id, code: i64, message: &str, reason: &str) -> Fate {
    Fate::Answer(answer::error(Some(id), code, &format!("mcpjail: {message}"), reason))
}

impl Judge for HostJudge {
    fn judge<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        let flat = flat(line);
        let fate = match parse_message(&flat) {
            Ok(Message::Batch(elements)) => self.batch(elements),
            Ok(message) => self.shared.of_host(&message, &flat),
            Err(Refused::Empty) => Fate::Drop,
            Err(error) => self.shared.malformed(&flat, &error),
        };
        self.rewritten = match (fate, flat) {
            (Fate::Pass, Cow::Borrowed(_)) => return Verdict::Forward,
            (Fate::Pass, Cow::Owned(line)) => line,
            (Fate::Instead(parts), _) => parts,
            (Fate::Answer(line), _) => {
                self.shared.to_host(&line);
                return Verdict::Drop;
            }
            (Fate::Drop, _) => return Verdict::Drop,
        };
        Verdict::Replace(&self.rewritten)
    }

    fn last_words(&mut self) -> Vec<u8> {
        // Once this returns, the server's stdin is closed under what is held for it.
        self.shared.wait_for_release();
        Vec::new()
    }
}

impl HostJudge {
    pub(super) fn new(shared: Arc<Shared>) -> HostJudge {
        HostJudge { shared, rewritten: Vec::new() }
    }

    fn batch(&self, elements: Value<'_>) -> Fate {
        if !self.shared.state().batches {
            let message = "mcpjail: this revision of the protocol has no batches";
            return Fate::Answer(answer::error(None, answer::INVALID_REQUEST, message, "bad-message"));
        }
        let mut parts = Vec::new();
        let mut answers = Vec::new();
        for element in elements.elements() {
            let fate = match parse_element(element) {
                Ok(message) => self.shared.of_host(&message, element.raw()),
                Err(error) => self.shared.malformed(element.raw(), &error),
            };
            match fate {
                Fate::Pass => {
                    if !parts.is_empty() {
                        parts.push(b'\n');
                    }
                    parts.extend_from_slice(element.raw());
                }
                Fate::Answer(mut line) => answers.append(&mut line),
                Fate::Instead(_) | Fate::Drop => {}
            }
        }
        self.shared.to_host(&answers);
        if parts.is_empty() { Fate::Drop } else { Fate::Instead(parts) }
    }
}

impl Shared {
    /// A line of the host's that is no message.
    fn malformed(&self, line: &[u8], error: &Refused) -> Fate {
        let code = if matches!(error, Refused::NotJson) { answer::PARSE_ERROR } else { answer::INVALID_REQUEST };
        let id = salvage_id(line);
        Fate::Answer(answer::error(id.as_ref(), code, &format!("mcpjail: {error}"), "bad-message"))
    }

    fn of_host(&self, message: &Message<'_>, line: &[u8]) -> Fate {
        let state = self.state();
        match message {
            Message::Request { id, method, params } => self.request(state, id, method, *params, line),
            Message::Notification { method, params } => self.notification(state, method, *params, line),
            Message::Response { id, .. } => self.answer_of_host(state, Some(id), line),
            Message::Error { id, .. } => self.answer_of_host(state, id.as_ref(), line),
            Message::Batch(_) => Fate::Drop,
        }
    }

    fn request(
        &self,
        mut state: MutexGuard<'_, State>,
        id: &Id,
        method: &str,
        params: Option<Value<'_>>,
        line: &[u8],
    ) -> Fate {
        if state.stage == Stage::Refused || state.gone {
            return Fate::Answer(self.refusal_of(id));
        }
        if super::walk::number(&self.prefix, id).is_some() {
            return refused(id, answer::INVALID_REQUEST, "the id is taken", "bad-message");
        }
        let asked = match method {
            "initialize" => return self.initialize(state, id),
            "ping" if state.stage != Stage::Open => return Fate::Answer(answer::empty(id)),
            "server/discover" => Asked::Discover,
            _ => List::asked_by(method).map_or(Asked::Other, Asked::List),
        };
        if state.stage == Stage::Shut {
            return self.first(state, id, asked, params, line);
        }
        if let Err(reason) = register(&mut state, id, asked) {
            return refused(id, answer::INVALID_REQUEST, reason, "bad-message");
        }
        match state.stage {
            Stage::Open => self.open_request(&mut state, id, method, params),
            _ => self.hold(state, line),
        }
    }

    /// A registered request, now that the catalog is known.
    fn open_request(&self, state: &mut State, id: &Id, method: &str, params: Option<Value<'_>>) -> Fate {
        let Err((what, name)) = self.is_approved(state, method, params) else { return Fate::Pass };
        state.asked.remove(id);
        let message = format!("{what} `{}` is not among what was approved", named(&name));
        refused(id, answer::INVALID_PARAMS, &message, "not-approved-item")
    }

    /// A message that was held, now that the catalog is known.
    fn open(&self, state: &mut State, line: &[u8]) -> Fate {
        match parse_message(line) {
            Ok(Message::Request { id, method, params }) => self.open_request(state, &id, &method, params),
            Ok(Message::Notification { method, params }) => open_notification(state, &method, params),
            Ok(Message::Response { .. } | Message::Error { .. }) => Fate::Pass,
            Ok(Message::Batch(_)) | Err(_) => Fate::Drop,
        }
    }

    /// What becomes of messages that were held, in order: what goes to the server, and what is answered instead.
    pub(super) fn release(&self, lines: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut to_server, mut to_host) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            match self.open(&mut self.state(), line) {
                Fate::Pass => to_server.extend_from_slice(line),
                Fate::Answer(mut answer) => to_host.append(&mut answer),
                Fate::Instead(_) | Fate::Drop => {}
            }
        }
        (to_server, to_host)
    }

    /// The legacy handshake: passes at once, whatever was under way; its answer will not.
    fn initialize(&self, mut state: MutexGuard<'_, State>, id: &Id) -> Fate {
        if state.legacy || state.handshake.is_some() {
            return refused(id, answer::INVALID_REQUEST, "this session has had its handshake", "bad-message");
        }
        if let Err(reason) = register(&mut state, id, Asked::Initialize { answered: false }) {
            return refused(id, answer::INVALID_REQUEST, reason, "bad-message");
        }
        // A host that gives up its probe takes the server for an old one; a late answer to the probe is nobody's.
        if let Some(probe) = state.probe.take() {
            state.asked.remove(&probe);
        }
        state.handshake = Some(id.clone());
        state.through = false;
        self.enter(&mut state, Stage::Checking);
        Fate::Pass
    }

    /// The first request of a host that has not sent `initialize`.
    fn first(
        &self,
        mut state: MutexGuard<'_, State>,
        id: &Id,
        asked: Asked,
        params: Option<Value<'_>>,
        line: &[u8],
    ) -> Fate {
        let meta = modern_meta(params);
        if asked == Asked::Discover {
            if let Err(reason) = register(&mut state, id, asked) {
                return refused(id, answer::INVALID_REQUEST, reason, "bad-message");
            }
            state.probe = Some(id.clone());
            state.probed = false;
            self.enter(&mut state, Stage::Checking);
            self.tell(Event::Probed(meta.unwrap_or_else(|| super::keeper::META.to_vec())));
            return Fate::Pass;
        }
        let Some(meta) = meta else {
            // Some servers would process it; nothing was checked yet.
            let message = "the session has had no handshake; send `initialize` first";
            return refused(id, answer::INVALID_REQUEST, message, "no-handshake");
        };
        if let Err(reason) = register(&mut state, id, asked) {
            return refused(id, answer::INVALID_REQUEST, reason, "bad-message");
        }
        self.enter(&mut state, Stage::Checking);
        self.tell(Event::First(meta));
        self.hold(state, line)
    }

    fn hold(&self, state: MutexGuard<'_, State>, line: &[u8]) -> Fate {
        let mut state = self.wait_for_room(state, |state| &state.to_server);
        match state.stage {
            // The gate has opened or shut meanwhile; in the latter case the request has its answer.
            Stage::Open => self.open(&mut state, line),
            Stage::Refused => Fate::Drop,
            Stage::Shut | Stage::Checking | Stage::Releasing => {
                state.to_server.push(line);
                Fate::Drop
            }
        }
    }

    fn notification(
        &self,
        mut state: MutexGuard<'_, State>,
        method: &str,
        params: Option<Value<'_>>,
        line: &[u8],
    ) -> Fate {
        match state.stage {
            Stage::Shut | Stage::Refused => Fate::Drop,
            // The server has had it from us.
            _ if method == "notifications/initialized" => Fate::Drop,
            Stage::Checking | Stage::Releasing => self.hold(state, line),
            Stage::Open => open_notification(&mut state, method, params),
        }
    }

    fn answer_of_host(&self, mut state: MutexGuard<'_, State>, id: Option<&Id>, line: &[u8]) -> Fate {
        if !id.is_some_and(|id| state.put.remove(id)) {
            drop(state);
            self.note("the host answered what the server never asked; dropped");
            return Fate::Drop;
        }
        match state.stage {
            // While the catalog is read, a question that the host can answer is one that was let through to it, even
            // where the keeper has not come round to saying so: the server may wait for the answer before it goes on.
            Stage::Open | Stage::Checking => Fate::Pass,
            Stage::Refused => Fate::Drop,
            Stage::Shut | Stage::Releasing => self.hold(state, line),
        }
    }

    /// Whether what a request names was approved; gives the kind of thing, for a message, and its name.
    fn is_approved<'a>(
        &self,
        state: &State,
        method: &str,
        params: Option<Value<'a>>,
    ) -> Result<(), (&'static str, Cow<'a, str>)> {
        let text = |key: &str| params.and_then(|params| params.get(key)).and_then(Value::str).unwrap_or_default();
        let item = |kind, what, name: Cow<'a, str>| match self.may_use(state, kind, &name) {
            true => Ok(()),
            false => Err((what, name)),
        };
        let resource = |uri: Cow<'a, str>| match self.approved.get().is_some_and(|approved| approved.allows_uri(&uri)) {
            true => Ok(()),
            false => Err(("the resource", uri)),
        };
        match method {
            "tools/call" => item(Kind::Tool, "the tool", text("name")),
            "prompts/get" => item(Kind::Prompt, "the prompt", text("name")),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => resource(text("uri")),
            "completion/complete" => {
                let reference = params.and_then(|params| params.get("ref"));
                let of = |key: &str| reference.and_then(|r| r.get(key)).and_then(Value::str).unwrap_or_default();
                match of("type").as_ref() {
                    "ref/prompt" => item(Kind::Prompt, "the prompt", of("name")),
                    _ if self.may_use(state, Kind::Template, &of("uri")) => Ok(()),
                    _ => resource(of("uri")),
                }
            }
            _ => Ok(()),
        }
    }
}

/// A notification of the host's, once the catalog is known.
fn open_notification(state: &mut State, method: &str, params: Option<Value<'_>>) -> Fate {
    if method == "notifications/cancelled"
        && let Some(id) = params.and_then(|params| params.get("requestId")).and_then(id_of)
    {
        // No answer is expected any more; a late one is dropped.
        state.asked.remove(&id);
    }
    Fate::Pass
}

/// A name that the host wrote, cut so that the answer stays short.
fn named(name: &str) -> String {
    let cut: String = name.chars().take(100).collect();
    crate::diagnose::printable(&cut)
}
