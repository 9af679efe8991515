//! The beginnings of a session: the handshake of the legacy era, the probe, and the first request of the modern one.
//!
//! Part of the keeper's work: each leads to a walk of the whole catalog, and from there to an open gate or none.

use super::answer;
use super::error::GateError;
use super::keeper::{Keeper, Over, PROBE};
use super::lists::List;
use super::server::NEEDED;
use super::sight::Sight;
use super::state::{Asked, Stage};
use crate::json::{Kind, Value};
use crate::relay::{Id, Message, parse_message};
use std::time::Instant;

/// The revision of the protocol that has batches.
const BATCHES: &str = "2025-03-26";
/// Errors by which a server shows that it knows the modern era: the version or a capability does not suit it.
const UNSUPPORTED_VERSION: i64 = -32022;

impl Keeper {
    /// The server has answered `initialize`.
    pub(super) fn legacy(&mut self, line: &[u8]) -> Result<(), GateError> {
        self.probe = None;
        {
            // What was under way in the other era is over; a late answer to it is nobody's.
            let mut own = self.shared.own();
            (own.discover, own.walk) = (None, None);
        }
        let (id, result) = match parse_message(line) {
            Ok(Message::Response { id, result }) => (id, result),
            Ok(Message::Error { id: Some(id), error }) => {
                self.no_handshake(&id, error);
                return Ok(());
            }
            // It broke the rules, and the host was told.
            _ => {
                self.shut();
                return Ok(());
            }
        };
        self.shared.state().batches = result.get("protocolVersion").and_then(Value::str).as_deref() == Some(BATCHES);
        let mut walk = self.new_walk(true, offered(result), Vec::new());
        let same = walk.sight.server(result)?;
        let answer = self.description(same, &id, result, line);
        let until = self.until();
        self.shared.expect(until);
        self.to_server(&answer::request(None, "notifications/initialized", b""));
        self.start(walk);
        let over = match self.wait(until, true, &mut Vec::new())? {
            // What was said about itself must be as approved before it is let through.
            Over::Asks if same || self.shared.settings.quarantine => {
                self.let_through(&id, &answer);
                self.wait(until, false, &mut Vec::new())?
            }
            Over::Asks => Over::Walked,
            over => over,
        };
        if !matches!(over, Over::Walked) {
            return Err(self.timed_out());
        }
        self.settle(None)?;
        let open = {
            let mut state = self.shared.state();
            state.legacy = true;
            state.handshake = None;
            state.through = false;
            self.shared.enter(&mut state, Stage::Releasing);
            // Not where it was let through before, or the session has ended meanwhile: one answer is enough.
            state.asked.remove(&id).is_some()
        };
        if open {
            self.shared.to_host(&answer);
        }
        self.release();
        Ok(())
    }

    /// Lets the handshake's answer through, and the question for the host's roots; all else stays held.
    fn let_through(&self, id: &Id, answer: &[u8]) {
        if self.shared.state().asked.remove(id).is_none() {
            return;
        }
        self.shared.to_host(answer);
        let needed = |line: &[u8]| matches!(parse_message(line.trim_ascii_end()), Ok(Message::Request { method, .. }) if method == NEEDED);
        loop {
            let held = {
                let mut state = self.shared.state();
                let held = state.to_host.take_those(needed);
                if held.is_empty() {
                    state.through = state.stage == Stage::Checking;
                    break;
                }
                held
            };
            self.shared.to_host(&held);
        }
    }

    /// The server answers `initialize` with an error: versions that do not match, and the like. The words are its own,
    /// and nothing was checked yet: the host gets the code and the versions, and stderr the words.
    fn no_handshake(&self, id: &Id, error: Value<'_>) {
        let code = error_code(error).unwrap_or(answer::SERVER_ERROR);
        if let Some(words) = error.get("message").and_then(Value::str) {
            self.shared.note(&format!("the server answers the handshake with the error {code}: {words}"));
        }
        let (asked, modern) = {
            let mut state = self.shared.state();
            state.handshake = None;
            if state.modern {
                self.shared.enter(&mut state, Stage::Releasing);
            }
            (state.asked.remove(id).is_some(), state.modern)
        };
        if asked {
            let message = format!("mcpjail: the server answers the handshake with the error {code}; see stderr");
            let versions = error.get("data").map(versions).unwrap_or_default();
            let line = answer::error_with(Some(id), code, &message, "handshake-refused", &versions);
            self.shared.to_host(&line);
        }
        if modern { self.release() } else { self.shut() }
    }

    /// Waits for another beginning. What was held behind the one that led nowhere is answered.
    fn shut(&self) {
        let message = "mcpjail: this session has had no handshake; send `initialize` first";
        let mut answers = Vec::new();
        {
            let mut state = self.shared.state();
            // The host has begun anew already.
            if state.handshake.is_some() || state.probe.is_some() || state.stage == Stage::Refused {
                return;
            }
            if state.legacy || state.modern {
                self.shared.enter(&mut state, Stage::Releasing);
            } else {
                let _dropped = state.to_server.take();
                for (id, _) in state.asked.drain() {
                    answers.append(&mut answer::error(Some(&id), answer::INVALID_REQUEST, message, "no-handshake"));
                }
                self.shared.enter(&mut state, Stage::Shut);
            }
        }
        self.shared.to_host(&answers);
        self.release();
    }

    /// The host's first request is one of the modern era.
    pub(super) fn first(&mut self, meta: Vec<u8>) -> Result<(), GateError> {
        self.meta = meta;
        let line = {
            let mut own = self.shared.own();
            let (number, id) = own.numbers.next();
            own.discover = Some(number);
            answer::request(Some(&id), "server/discover", &[b"{\"_meta\":", &*self.meta, b"}"].concat())
        };
        let until = Instant::now() + PROBE.min(self.shared.settings.timeout);
        self.shared.expect(until);
        self.to_server(&line);
        let found = match self.wait(until, false, &mut Vec::new())? {
            Over::Discovered(line) => line,
            Over::Superseded(line) => return self.legacy(&line),
            Over::Walked | Over::Timeout | Over::Asks => Vec::new(),
        };
        match parse_message(&found) {
            Ok(Message::Response { result, .. }) if is_description(result) => self.modern(result, None),
            _ => {
                self.not_modern();
                Ok(())
            }
        }
    }

    /// The server has answered the host's `server/discover`.
    pub(super) fn probed(&mut self, line: &[u8]) -> Result<(), GateError> {
        let Some(id) = self.shared.state().probe.clone() else { return Ok(()) };
        self.probe = None;
        match parse_message(line) {
            Ok(Message::Response { result, .. }) if is_description(result) => self.modern(result, Some((&id, line))),
            Ok(Message::Error { error, .. }) => {
                // The words are the server's own, and nothing was checked yet: only the fact goes on.
                self.answer_probe(error.get("data").filter(|_| error_code(error) == Some(UNSUPPORTED_VERSION)));
                Ok(())
            }
            _ => {
                self.answer_probe(None);
                Ok(())
            }
        }
    }

    /// Answers the host's probe with an error. `supported` is the `data` of an error that names versions.
    fn answer_probe(&mut self, supported: Option<Value<'_>>) {
        self.probe = None;
        let id = {
            let mut state = self.shared.state();
            let Some(id) = state.probe.take() else { return };
            state.asked.remove(&id);
            self.shared.enter(&mut state, Stage::Shut);
            id
        };
        let line = match supported {
            None => {
                let message = "mcpjail: the server does not know `server/discover`";
                answer::error(Some(&id), answer::METHOD_NOT_FOUND, message, "legacy-server")
            }
            Some(data) => unsupported(&id, data),
        };
        self.shared.to_host(&line);
        self.shut();
    }

    /// The server has not answered the host's probe in time.
    pub(super) fn no_probe(&mut self) {
        self.shared.note("the server does not answer `server/discover`; the host is told that it is an old one");
        self.answer_probe(None);
    }

    /// The server turns out not to know the era that the host speaks.
    fn not_modern(&mut self) {
        let message = "mcpjail: the server does not speak revision 2026-07-28 of the protocol; send `initialize` first";
        let mut answers = Vec::new();
        {
            let mut state = self.shared.state();
            let _dropped = state.to_server.take();
            for (id, _) in state.asked.extract_if(|_, asked| !matches!(asked, Asked::Initialize { .. })) {
                answers.append(&mut answer::error(Some(&id), answer::INVALID_REQUEST, message, "no-handshake"));
            }
            if state.handshake.is_none() {
                self.shared.enter(&mut state, Stage::Shut);
            }
        }
        self.shared.own().discover = None;
        self.shared.to_host(&answers);
    }

    /// The server speaks the modern era; `probe` is the host's own question for that and the line that answers it.
    fn modern(&mut self, result: Value<'_>, probe: Option<(&Id, &[u8])>) -> Result<(), GateError> {
        let mut walk = self.new_walk(true, offered(result), self.meta.clone());
        let same = walk.sight.server(result)?;
        let until = self.until();
        self.shared.expect(until);
        self.start(walk);
        match self.wait(until, false, &mut Vec::new())? {
            Over::Walked => {}
            Over::Superseded(line) => return self.legacy(&line),
            Over::Timeout | Over::Discovered(_) | Over::Asks => return Err(self.timed_out()),
        }
        self.settle(None)?;
        let asked = {
            let mut state = self.shared.state();
            state.modern = true;
            if state.only_modern() {
                state.drop_questions();
            }
            if probe.is_some() {
                state.probe = None;
            }
            self.shared.enter(&mut state, Stage::Releasing);
            // Not where the session has ended meanwhile: one answer is enough.
            probe.filter(|(id, _)| state.asked.remove(id).is_some())
        };
        if let Some((id, line)) = asked {
            self.shared.to_host(&self.description(same, id, result, line));
        }
        self.release();
        Ok(())
    }
}

/// The lists that the capabilities in a result promise.
pub(super) fn offered(result: Value<'_>) -> Vec<List> {
    let capabilities = result.get("capabilities");
    let has = |name| capabilities.and_then(|all| all.get(name)).is_some_and(|one| one.kind() == Kind::Object);
    List::ALL.into_iter().filter(|list| has(list.capability())).collect()
}

/// Whether this can be a result of `server/discover`.
pub(super) fn is_description(result: Value<'_>) -> bool {
    result.get("supportedVersions").is_some_and(|versions| versions.kind() == Kind::Array)
}

fn error_code(error: Value<'_>) -> Option<i64> {
    error.get("code").and_then(Value::integer)
}

/// The error for a version that does not suit, with nothing of the server's but dates.
fn unsupported(id: &Id, data: Value<'_>) -> Vec<u8> {
    let more = versions(data);
    answer::error_with(Some(id), UNSUPPORTED_VERSION, "Unsupported protocol version", "unsupported-version", &more)
}

/// The versions in the data of an error, as one more member of such.
fn versions(data: Value<'_>) -> String {
    let is_date = |text: &str| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let versions: Vec<String> = data
        .get("supported")
        .into_iter()
        .flat_map(Value::elements)
        .filter_map(Value::str)
        .filter(|text| is_date(text))
        .take(32)
        .map(|text| format!("\"{text}\""))
        .collect();
    format!(",\"supported\":[{}]", versions.join(","))
}
