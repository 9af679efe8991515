//! The gate's own thread: reads the catalog, compares it, and opens or shuts the gate.
//!
//! It is told of everything by the judges and is the only one that speaks with the server in mcpjail's own name, so no
//! judge ever waits for the server's stdin while it should read the server's stdout.

use super::answer;
use super::error::GateError;
use super::lists::List;
use super::page::{self, Checked};
use super::shared::{Event, Shared};
use super::sight::Seen;
use super::state::Stage;
use super::walk::Walk;
use crate::catalog::{self, Catalog, Comparison, Subject};
use crate::json::Value;
use crate::relay::Id;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// What our own requests carry where the host's request had no `_meta`.
pub(super) const META: &[u8] =
    br#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
/// How long a server may take to answer `server/discover`. Some old ones never do.
pub(super) const PROBE: Duration = Duration::from_secs(10);
/// How long a server that asks the host something may still answer its lists before the handshake is let through.
const PATIENCE: Duration = Duration::from_millis(300);
/// The most notifications of changes that are kept until the lists were read.
const TOLD: usize = 64;
/// The longest of them, bytes. They have nothing to say but the subscription that they belong to.
const LONGEST_TOLD: usize = 4 << 10;
/// How many times in a row a server may say that its lists have changed without showing them.
const SILENT: u32 = 2;

/// How a wait ended.
pub(super) enum Over {
    /// All lists are complete.
    Walked,
    /// This has come.
    Discovered(Vec<u8>),
    /// Nothing in time.
    Timeout,
    /// The host has gone over to the legacy handshake; this is the answer to it.
    Superseded(Vec<u8>),
    /// The server asks the host something and does not go on.
    Asks,
}

/// What the thread knows for itself.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) events: Receiver<Event>,
    /// `_meta` of our requests in the modern era.
    pub(super) meta: Vec<u8>,
    /// Until when the host's probe may be answered.
    pub(super) probe: Option<Instant>,
    /// Walks in a row that the server did not answer in time.
    pub(super) silent: u32,
    /// Events that came while a walk was under way and do not belong to it.
    pub(super) later: Vec<Event>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, events: Receiver<Event>) -> Keeper {
        Keeper { shared, events, meta: META.to_vec(), probe: None, silent: 0, later: Vec::new() }
    }

    /// Works until the server's stdout is closed.
    pub(super) fn run(mut self) {
        loop {
            let fresh = self.later.is_empty();
            let event = match (fresh, self.probe) {
                (false, _) => Ok(self.later.remove(0)),
                (true, None) => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (true, Some(until)) => self.events.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            if let Ok(event) = &event
                && fresh
            {
                self.shared.taken(event);
            }
            let done = match event {
                Err(RecvTimeoutError::Disconnected) | Ok(Event::Ended) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.no_probe();
                    Ok(())
                }
                Ok(Event::Initialized(line)) => self.legacy(&line),
                Ok(Event::Probed(meta)) => {
                    self.meta = meta;
                    self.probe = Some(Instant::now() + PROBE.min(self.shared.settings.timeout));
                    Ok(())
                }
                Ok(Event::Discovered(line)) => self.probed(&line),
                Ok(Event::First(meta)) => self.first(meta),
                Ok(Event::Changed(lists, notification)) => self.changed(lists, notification),
                Ok(Event::Send(line)) => {
                    self.to_server(&line);
                    Ok(())
                }
                // Of a walk that is over.
                Ok(Event::Walked(_) | Event::Asks) => Ok(()),
            };
            match done {
                // Whoever waits was told by the one who saw the server end.
                Err(GateError::Ended) => return,
                Err(error) => self.shared.refuse(error),
                Ok(()) => {}
            }
        }
    }

    pub(super) fn to_server(&self, lines: &[u8]) {
        if !lines.is_empty() {
            // A server that has gone is noticed elsewhere.
            let _ = self.shared.wires.to_server.send(lines);
        }
    }

    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.shared.settings.timeout
    }

    /// The server says that lists have changed.
    fn changed(&mut self, lists: &'static [List], notification: Option<Vec<u8>>) -> Result<(), GateError> {
        let meta = if self.shared.state().only_modern() { self.meta.clone() } else { Vec::new() };
        let mut notifications: Vec<Vec<u8>> = notification.into_iter().collect();
        let walk = self.new_walk(false, lists.to_vec(), meta);
        self.start(walk);
        match self.wait(self.until(), false, &mut notifications)? {
            Over::Walked => {}
            Over::Superseded(line) => {
                self.later.push(Event::Initialized(line));
                return Ok(());
            }
            // A server may be busy with a call for longer. Whatever the host lists is compared in any case.
            Over::Timeout | Over::Discovered(_) | Over::Asks => {
                self.silent += 1;
                if self.silent > SILENT {
                    return Err(self.timed_out());
                }
                self.shared.own().walk = None;
                self.shared.note("the server says that its lists have changed, but does not show them");
                self.shared.to_host(&notifications.concat());
                return Ok(());
            }
        }
        self.silent = 0;
        self.settle(Some(lists))?;
        self.shared.to_host(&notifications.concat());
        Ok(())
    }

    /// A walk of all that there is, or of some lists.
    pub(super) fn new_walk(&self, whole: bool, lists: Vec<List>, meta: Vec<u8>) -> Walk<Seen> {
        let sight = match self.shared.approved.get() {
            Some(approved) if whole => Seen::Compare(Box::new(Comparison::new(approved))),
            Some(approved) => {
                let kinds: Vec<catalog::Kind> = lists.iter().filter_map(|list| list.kind()).collect();
                Seen::Compare(Box::new(Comparison::of(approved, &kinds)))
            }
            None => Seen::Collect(Box::default()),
        };
        Walk::new(sight, lists, meta)
    }

    pub(super) fn start(&self, mut walk: Walk<Seen>) {
        let step = {
            let mut own = self.shared.own();
            let step = walk.start(&mut own.numbers);
            own.walk = Some(walk);
            step
        };
        self.to_server(&step.send);
        if step.done {
            self.shared.tell(Event::Walked(Ok(())));
        }
    }

    /// Does what the judges say until something decisive has happened. With `patient`, a server that asks the host
    /// something is decisive after a while. Notifications of changes that belong to this walk are collected.
    pub(super) fn wait(&mut self, until: Instant, patient: bool, told: &mut Vec<Vec<u8>>) -> Result<Over, GateError> {
        let mut asks: Option<Instant> = None;
        loop {
            let next = asks.map_or(until, |asks| asks.min(until));
            let event = self.events.recv_timeout(next.saturating_duration_since(Instant::now()));
            if let Ok(event) = &event {
                self.shared.taken(event);
            }
            match event {
                Err(RecvTimeoutError::Disconnected) | Ok(Event::Ended) => return Err(GateError::Ended),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => return Ok(Over::Timeout),
                Err(RecvTimeoutError::Timeout) => return Ok(Over::Asks),
                Ok(Event::Send(line)) => self.to_server(&line),
                Ok(Event::Walked(Ok(()))) if self.is_walked() => return Ok(Over::Walked),
                Ok(Event::Walked(Ok(()))) => {}
                Ok(Event::Walked(Err(error))) => return Err(error),
                Ok(Event::Asks) if patient => {
                    asks.get_or_insert(Instant::now() + PATIENCE);
                }
                Ok(Event::Asks) => {}
                Ok(Event::Discovered(line)) => return Ok(Over::Discovered(line)),
                Ok(Event::Initialized(line)) => return Ok(Over::Superseded(line)),
                Ok(Event::Changed(lists, notification)) => {
                    let lines = self.walk_again(lists)?;
                    match (lines, notification) {
                        (Some(lines), notification) => {
                            self.to_server(&lines);
                            keep(told, notification);
                        }
                        (None, notification) => self.defer(lists, notification),
                    }
                }
                Ok(event @ (Event::First(_) | Event::Probed(_))) => self.later.push(event),
            }
        }
    }

    /// Keeps for after the walk under way that other lists have changed.
    fn defer(&mut self, lists: &'static [List], notification: Option<Vec<u8>>) {
        let notification = notification.filter(|line| line.len() <= LONGEST_TOLD);
        let of_lists = |event: &&Event| matches!(event, Event::Changed(of, _) if *of == lists);
        let known = |event: &Event| matches!(event, Event::Changed(_, line) if *line == notification);
        let mut waiting = self.later.iter().filter(of_lists);
        if !waiting.clone().any(known) && waiting.nth(TOLD).is_none() {
            self.later.push(Event::Changed(lists, notification));
        }
    }

    /// Whether the walk under way is complete; it can have begun again since that was said.
    fn is_walked(&self) -> bool {
        self.shared.own().walk.as_ref().is_some_and(|walk| walk.waits_for().is_none())
    }

    /// Begins lists of the walk under way again and gives what to send; `None` where it does not cover them all.
    fn walk_again(&self, lists: &[List]) -> Result<Option<Vec<u8>>, GateError> {
        // Never asked for while `own` is locked: the judges lock in the other order.
        let settled = self.is_settled();
        let mut own = self.shared.own();
        let super::shared::Own { numbers, walk: Some(walk), .. } = &mut *own else { return Ok(None) };
        // At the start a list that was not offered is left alone, offered or not.
        if settled && !lists.iter().any(|list| walk.covers(*list)) {
            return Ok(None);
        }
        let mut send = Vec::new();
        for list in lists {
            send.append(&mut walk.changed(*list, numbers)?.send);
        }
        Ok(Some(send))
    }

    fn is_settled(&self) -> bool {
        let state = self.shared.state();
        state.legacy || state.modern
    }

    pub(super) fn timed_out(&self) -> GateError {
        self.shared.timed_out()
    }

    /// Decides about a complete walk, in mid-session only of some lists.
    pub(super) fn settle(&mut self, only: Option<&[List]>) -> Result<(), GateError> {
        let Some(walk) = self.shared.own().walk.take() else { return Ok(()) };
        for (list, code) in &walk.refused {
            if *code != answer::METHOD_NOT_FOUND {
                self.shared.note(&format!("the server answered `{}` with error {code}", list.method()));
            }
        }
        let comparison = match walk.sight {
            Seen::Compare(comparison) => comparison,
            Seen::Collect(catalog) => return self.pin(*catalog),
        };
        let mut drift = comparison.finish();
        if let Some(lists) = only {
            drift.changes.retain(|change| lists.iter().any(|list| is_of(change.subject, *list)));
        }
        if drift.is_empty() {
            self.shared.own().pages.remember(walk.pages);
            return Ok(());
        }
        // What is missing from a list that was not given tells nothing.
        if only.is_none() && walk.refused.is_empty() {
            self.shared.keep(&drift);
        }
        if self.shared.settings.quarantine {
            self.shared.note(&format!("kept from the host, as nobody approved it: {}", drift.short()));
            page::block(&drift, &mut self.shared.state().blocked);
            return Ok(());
        }
        if only.is_some() {
            // Keeps what was seen.
            self.shared.refuse_drift(drift);
            return Err(GateError::Ended);
        }
        Err(GateError::Changed { drift: Box::new(drift), approve: self.shared.settings.approve.clone() })
    }

    /// Pins what is seen for the first time.
    fn pin(&self, catalog: Catalog) -> Result<(), GateError> {
        let Some(pin) = &self.shared.settings.pin else {
            return Err(GateError::NotApproved { approve: self.shared.settings.approve.clone() });
        };
        let approved = pin(catalog)?;
        let _first = self.shared.approved.set(&*Box::leak(Box::new(approved)));
        Ok(())
    }

    /// The answer that describes the server, as the host gets it: a whole line.
    pub(super) fn description(&self, same: bool, id: &Id, result: Value<'_>, line: &[u8]) -> Vec<u8> {
        let mut answer = match self.shared.approved.get() {
            Some(approved) if !same && self.shared.settings.quarantine => {
                match page::server(approved, id, result, true) {
                    Checked::Without(message) => message,
                    Checked::Same | Checked::Drifted(_) | Checked::Refused(_) => line.to_vec(),
                }
            }
            _ => line.to_vec(),
        };
        answer.push(b'\n');
        answer
    }

    /// Passes on what was held, in order, and opens the gate when nothing is left. First for the host, and then the
    /// server's judge no longer waits for this: a server that answers one request before it reads the next must be able
    /// to write while the others are on their way to it.
    pub(super) fn release(&self) {
        loop {
            let held = {
                let mut state = self.shared.state();
                if state.stage != Stage::Releasing {
                    return;
                }
                let held = state.to_host.take();
                state.through = held.is_empty();
                self.shared.made_room();
                held
            };
            if held.is_empty() {
                break;
            }
            self.shared.to_host(&held);
        }
        loop {
            let held = {
                let mut state = self.shared.state();
                if state.stage != Stage::Releasing {
                    return;
                }
                let held = state.to_server.take();
                if held.is_empty() {
                    state.through = false;
                    return self.shared.enter(&mut state, Stage::Open);
                }
                self.shared.made_room();
                held
            };
            let (server, answers) = self.shared.release(&held);
            self.shared.to_host(&answers);
            self.to_server(&server);
        }
    }
}

/// Keeps a notification that a list has changed until the list was read; one of those that are alike, and so many of
/// others.
fn keep(told: &mut Vec<Vec<u8>>, notification: Option<Vec<u8>>) {
    let Some(line) = notification.filter(|line| line.len() <= LONGEST_TOLD) else { return };
    if told.len() < TOLD && !told.contains(&line) {
        told.push(line);
    }
}

fn is_of(subject: Subject, list: List) -> bool {
    match subject {
        Subject::Tool => list == List::Tools,
        Subject::Prompt => list == List::Prompts,
        Subject::Template => list == List::Templates,
        Subject::Namespace => list == List::Resources,
        Subject::Server | Subject::Identity => false,
    }
}
