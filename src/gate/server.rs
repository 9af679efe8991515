//! Judges what the server sends.

use super::lists::List;
use super::page::{self, Checked};
use super::shared::{Event, Shared, flat, id_of};
use super::state::{Asked, MOST_PUT, Stage, State};
use super::{answer, walk};
use crate::catalog::Approved;
use crate::json::Value;
use crate::relay::{Id, Judge, Message, Refused, Verdict, parse_element, parse_message, salvage_id};
use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};

/// The judge of the server's messages.
#[derive(Debug)]
pub struct ServerJudge {
    shared: Arc<Shared>,
    /// A batch taken apart, or a message in another form than the server's.
    rewritten: Vec<u8>,
}

/// What becomes of a message.
enum Fate {
    Pass,
    Drop,
    /// The host gets this in its place, one message or several, without the last line feed.
    Instead(Vec<u8>),
}

impl Judge for ServerJudge {
    fn judge<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        let flat = flat(line);
        let fate = match parse_message(&flat) {
            Ok(Message::Batch(elements)) => self.batch(elements),
            Ok(message) => self.shared.of_server(&message, &flat),
            Err(error) => self.shared.malformed_of_server(&flat, &error),
        };
        self.shared.refuse_flood();
        self.rewritten = match (fate, flat) {
            (Fate::Pass, Cow::Borrowed(_)) => return Verdict::Forward,
            (Fate::Pass, Cow::Owned(line)) => line,
            (Fate::Instead(message), _) => message,
            (Fate::Drop, _) => return Verdict::Drop,
        };
        Verdict::Replace(&self.rewritten)
    }

    fn last_words(&mut self) -> Vec<u8> {
        self.shared.server_is_gone()
    }
}

impl ServerJudge {
    pub(super) fn new(shared: Arc<Shared>) -> ServerJudge {
        ServerJudge { shared, rewritten: Vec::new() }
    }

    fn batch(&self, elements: Value<'_>) -> Fate {
        let allowed = self.shared.state().batches;
        if !allowed {
            self.shared.note("the server sent a batch, which this revision of the protocol does not have; dropped");
        }
        let mut parts = Vec::new();
        for element in elements.elements() {
            let fate = match parse_element(element) {
                Ok(message) if allowed => self.shared.of_server(&message, element.raw()),
                Ok(message) => self.shared.broken(answers(&message)),
                Err(error) => self.shared.malformed_of_server(element.raw(), &error),
            };
            let part = match &fate {
                Fate::Pass => element.raw(),
                Fate::Instead(message) => message,
                Fate::Drop => continue,
            };
            if !parts.is_empty() {
                parts.push(b'\n');
            }
            parts.extend_from_slice(part);
        }
        if parts.is_empty() { Fate::Drop } else { Fate::Instead(parts) }
    }
}

/// The request that a message answers.
fn answers<'a>(message: &'a Message<'_>) -> Option<&'a Id> {
    match message {
        Message::Response { id, .. } => Some(id),
        Message::Error { id, .. } => id.as_ref(),
        Message::Request { .. } | Message::Notification { .. } | Message::Batch(_) => None,
    }
}

/// A line that is written by us, without its line feed.
fn line(mut line: Vec<u8>) -> Fate {
    line.pop();
    Fate::Instead(line)
}

impl Shared {
    /// A line of the server's that is no message, or none that can be let through.
    fn malformed_of_server(&self, line: &[u8], error: &Refused) -> Fate {
        match error {
            Refused::Empty => return Fate::Drop,
            Refused::NotJson => self.stray(line),
            error => self.note(&format!("a message of the server's was dropped: {error}")),
        }
        self.broken(salvage_id(line).as_ref())
    }

    /// The request that a broken message answers, if it can be told, gets an error, so that nobody waits for it.
    fn broken(&self, id: Option<&Id>) -> Fate {
        let Some(id) = id else { return Fate::Drop };
        let message = "mcpjail: the server's answer breaks the rules of the protocol and was dropped; see stderr";
        let own = walk::number(&self.prefix, id);
        if let Some(number) = own {
            let id = id.clone();
            let error = answer::error(Some(&id), answer::SERVER_ERROR, message, "bad-message");
            if let Ok(parsed) = parse_message(error.trim_ascii_end()) {
                self.own_answer(number, &parsed, &error);
            }
            return Fate::Drop;
        }
        let mut state = self.state();
        let handshake = state.handshake.as_ref() == Some(id);
        let probe = state.probe.as_ref() == Some(id);
        match state.asked.get(id) {
            None | Some(Asked::Initialize { answered: true }) => return Fate::Drop,
            // The keeper has the answer that came first.
            Some(_) if probe && state.probed => return Fate::Drop,
            Some(_) => {}
        }
        state.asked.remove(id);
        if handshake {
            state.handshake = None;
        }
        if probe {
            state.probe = None;
        }
        if handshake || probe {
            self.enter(&mut state, Stage::Shut);
            // The keeper answers what is held behind it.
            self.tell(Event::Initialized(Vec::new()));
        }
        drop(state);
        line(answer::error(Some(id), answer::SERVER_ERROR, message, "bad-message"))
    }

    fn of_server(&self, message: &Message<'_>, line: &[u8]) -> Fate {
        match message {
            Message::Response { id, .. } => self.answer(id, message, line),
            Message::Error { id: Some(id), .. } => self.answer(id, message, line),
            Message::Error { id: None, .. } => {
                self.note("the server sent an error that answers no request; dropped");
                Fate::Drop
            }
            Message::Request { id, method, .. } => self.asks(id, method, line),
            Message::Notification { method, params } => self.tells(method, *params, line),
            Message::Batch(_) => Fate::Drop,
        }
    }

    fn answer(&self, id: &Id, message: &Message<'_>, line: &[u8]) -> Fate {
        if let Some(number) = walk::number(&self.prefix, id) {
            self.own_answer(number, message, line);
            return Fate::Drop;
        }
        let mut state = self.state();
        let asked = match state.asked.get_mut(id) {
            None => {
                drop(state);
                self.note("the server answered what the host never asked; dropped");
                return Fate::Drop;
            }
            Some(Asked::Initialize { answered }) => {
                if !std::mem::replace(answered, true) {
                    self.tell(Event::Initialized(line.to_vec()));
                }
                return Fate::Drop;
            }
            Some(asked) => *asked,
        };
        if asked == Asked::Discover && state.probe.as_ref() == Some(id) {
            // The keeper has it from here; a second answer is nobody's. The request stays open until it is answered.
            if !std::mem::replace(&mut state.probed, true) {
                self.tell(Event::Discovered(line.to_vec()));
            }
            return Fate::Drop;
        }
        if self.approved.get().is_none() {
            // Nothing but the opening is sent before there is something to compare an answer with: this one was made up
            // for a request that is held, and would pass unseen once the gate is open.
            drop(state);
            self.note("the server answered a request before it was sent; dropped");
            return Fate::Drop;
        }
        let checked = self.check(&mut state, asked, message);
        if !matches!(checked, Checked::Drifted(_) | Checked::Refused(_)) {
            state.asked.remove(id);
        }
        match (checked, state.stage) {
            // Refusing answers every open request, this one too.
            (Checked::Drifted(drift), _) => {
                drop(state);
                self.refuse_drift(drift);
            }
            (Checked::Refused(error), _) => {
                drop(state);
                self.refuse(error);
            }
            (Checked::Same, Stage::Open) => return Fate::Pass,
            (Checked::Without(message), Stage::Open) => return Fate::Instead(message),
            (_, Stage::Refused) => {}
            // An answer from before this check, in the other era.
            (Checked::Same, _) => return self.hold_for_host(state, line),
            (Checked::Without(message), _) => {
                return match self.hold_for_host(state, &message) {
                    // The gate has opened meanwhile; it is still not the server's own line that may pass.
                    Fate::Pass => Fate::Instead(message),
                    fate => fate,
                };
            }
        }
        Fate::Drop
    }

    /// Compares what a list or a description of the server holds with what was approved.
    fn check(&self, state: &mut State, asked: Asked, message: &Message<'_>) -> Checked {
        let Message::Response { id, result } = message else { return Checked::Same };
        let Some(approved) = self.approved.get() else { return Checked::Same };
        match asked {
            Asked::List(list) => self.check_list(approved, list, id, *result, state),
            Asked::Discover => page::server(approved, id, *result, self.settings.quarantine),
            Asked::Initialize { .. } | Asked::Other => Checked::Same,
        }
    }

    /// A page as the host gets it: only approved entries, and nothing beside them that was not there at the start.
    fn check_list(&self, approved: &Approved, list: List, id: &Id, result: Value<'_>, state: &mut State) -> Checked {
        let mut own = self.own();
        // One pass, since a list may be large.
        let members: Vec<_> = result.members().collect();
        let entries = members.iter().find(|(key, _)| key.is(list.member()));
        let hash = entries.map(|(_, entries)| own.pages.hash(*entries));
        let known = state.blocked.is_empty() && hash.is_some_and(|hash| own.pages.is_known(list, hash));
        let checked = match known {
            true => Checked::Same,
            false => page::list(approved, list, id, result, &mut state.blocked, self.settings.quarantine),
        };
        let bare = match &checked {
            Checked::Same => {
                own.pages.remember(hash.map(|hash| (list, hash)));
                page::bare(approved, list, id, &members, &mut own.said)
            }
            Checked::Without(line) => match parse_message(line) {
                Ok(Message::Response { result, .. }) => {
                    page::bare(approved, list, id, &result.members().collect::<Vec<_>>(), &mut own.said)
                }
                _ => None,
            },
            Checked::Drifted(_) | Checked::Refused(_) => None,
        };
        let Some(bare) = bare else { return checked };
        self.note(&format!("the answer to `{}` holds more than a list; kept from the host", list.method()));
        Checked::Without(bare)
    }

    /// An answer to a request of our own.
    fn own_answer(&self, number: u64, message: &Message<'_>, line: &[u8]) {
        let mut own = self.own();
        if own.discover == Some(number) {
            own.discover = None;
            return self.tell(Event::Discovered(line.to_vec()));
        }
        let super::shared::Own { numbers, walk: Some(walk), pages, .. } = &mut *own else { return };
        match walk.answer(number, message, numbers, pages) {
            Ok(step) => {
                if !step.send.is_empty() {
                    self.tell(Event::Send(step.send));
                }
                if step.done {
                    self.tell(Event::Walked(Ok(())));
                }
            }
            Err(error) => self.tell(Event::Walked(Err(error))),
        }
    }

    /// A request of the server's.
    fn asks(&self, id: &Id, method: &str, line: &[u8]) -> Fate {
        let mut state = self.state();
        if state.only_modern() {
            drop(state);
            self.note("the server sent a request, which this revision of the protocol does not have; dropped");
            return Fate::Drop;
        }
        if method == "ping" && state.stage != Stage::Open {
            self.tell(Event::Send(answer::empty(id)));
            return Fate::Drop;
        }
        if state.stage == Stage::Refused {
            return Fate::Drop;
        }
        if state.put.len() >= MOST_PUT || !state.put.insert(id.clone()) {
            drop(state);
            self.note("the server asks twice under one id, or too much at once; dropped");
            return Fate::Drop;
        }
        if state.stage == Stage::Open || (state.through && (state.stage == Stage::Releasing || method == NEEDED)) {
            return Fate::Pass;
        }
        if state.handshake.is_some() && method == NEEDED {
            self.tell(Event::Asks);
        }
        self.hold_for_host(state, line)
    }

    fn tells(&self, method: &str, params: Option<Value<'_>>, line: &[u8]) -> Fate {
        let mut state = self.state();
        if method == "notifications/cancelled"
            && let Some(id) = params.and_then(|params| params.get("requestId")).and_then(id_of)
        {
            // The host does not answer it any more: kept, such requests would add up to the most that may be out.
            state.put.remove(&id);
        }
        let changed = List::changed_by(method);
        match state.stage {
            Stage::Refused => Fate::Drop,
            // Nothing that the host knows has changed; what it will get is read after this.
            Stage::Shut if !changed.is_empty() => Fate::Drop,
            Stage::Checking if !changed.is_empty() => {
                self.tell(Event::Changed(changed, None));
                Fate::Drop
            }
            Stage::Releasing | Stage::Open if !changed.is_empty() => {
                self.tell(Event::Changed(changed, Some([line, b"\n"].concat())));
                Fate::Drop
            }
            Stage::Open => Fate::Pass,
            Stage::Shut | Stage::Checking | Stage::Releasing => self.hold_for_host(state, line),
        }
    }

    fn hold_for_host<'a>(&'a self, mut state: MutexGuard<'a, State>, line: &[u8]) -> Fate {
        match state.stage {
            Stage::Open => return Fate::Pass,
            Stage::Refused => return Fate::Drop,
            // All that was held for the host is on its way; only the server's part is still being written.
            Stage::Releasing if state.through => return Fate::Pass,
            Stage::Releasing => state = self.wait_for_room(state, |state| &state.to_host),
            Stage::Shut | Stage::Checking if state.to_host.is_full() => {
                // Waiting would keep the answers back that the gate needs.
                drop(state);
                self.refuse(super::GateError::too_large("messages before the catalog is known", FLOOD));
                return Fate::Drop;
            }
            Stage::Shut | Stage::Checking => {}
        }
        match state.stage {
            Stage::Open => Fate::Pass,
            Stage::Refused => Fate::Drop,
            Stage::Releasing if state.through => Fate::Pass,
            Stage::Shut | Stage::Checking | Stage::Releasing => {
                state.to_host.push(line);
                Fate::Drop
            }
        }
    }

    /// The server's stdout is closed: every request without an answer gets one.
    fn server_is_gone(&self) -> Vec<u8> {
        let asked: Vec<Id> = {
            let mut state = self.state();
            state.gone = true;
            self.made_room();
            if state.stage == Stage::Refused {
                return Vec::new();
            }
            state.asked.drain().map(|(id, _)| id).collect()
        };
        self.tell(Event::Ended);
        let message = "mcpjail: the server ended before it answered; its last words, if any, are on stderr";
        let mut answers = Vec::new();
        for id in &asked {
            answers.append(&mut answer::error(Some(id), answer::SERVER_ERROR, message, "server-ended"));
        }
        answers
    }
}

/// The one question that a server may ask of the host before its catalog is known; it has no room for words.
pub(super) const NEEDED: &str = "roots/list";
/// For the message of a flood before the catalog is known: the number that `State` holds at most.
const FLOOD: usize = 4096;
