//! Reads a whole catalog as a client of its own, for approval and for checks: no host is there.

use super::error::GateError;
use super::keeper::META;
use super::lists::List;
use super::opening::{is_description, offered};
use super::sight::Sight;
use super::walk::{Numbers, Pages, Step, Walk, number};
use super::{Era, answer};
use crate::catalog::Catalog;
use crate::diagnose::printable;
use crate::json::{self, Value};
use crate::relay::{
    DEFAULT_MAX_MESSAGE, FrameReader, Message, Next, Outlet, Refused, Source, parse_message, salvage_id,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server is listened to after its lists were read: some say only then that they have changed.
const SETTLING: Duration = Duration::from_millis(300);
/// Lines on their way to the server; a server that reads none of them cannot make more of them wait.
const OUTGOING: usize = 1024;
/// Messages on their way from the server.
const INCOMING: usize = 16;
/// How many remarks are kept.
const NOTES: usize = 24;
/// The newest revision with a handshake.
const LEGACY: &str = "2025-11-25";

/// Everything that servers are known to make their catalogs depend on.
const ALL_CAPABILITIES: &str = concat!(
    r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}},"#,
    r#""tasks":{"list":{},"cancel":{},"requests":{"sampling":{"createMessage":{}},"elicitation":{"create":{}}}},"#,
    r#""extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}"#,
);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// `clientInfo.name`.
    pub name: &'a str,
    /// `clientInfo.version`.
    pub version: &'a str,
    /// Whether roots, sampling, elicitation, tasks and interfaces made of HTML are declared: some servers offer more then.
    pub all_capabilities: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Surveyed {
    /// All of it.
    pub catalog: Catalog,
    /// How the server was spoken to.
    pub era: Era,
    /// The revision of the protocol.
    pub protocol: String,
    /// What a person should know, such as lines on stdout that are no messages. Made printable.
    pub notes: Vec<String>,
}

/// Shakes hands with a server and reads all pages of all its lists.
///
/// Tries `initialize` first and `server/discover` where that is refused. Declares an empty list of roots where it
/// declares roots. Each of handshake and walk may take `timeout`. The server is not ended; its end is the caller's, and
/// so are two threads that wait for it to close its streams.
///
/// # Errors
/// Whatever keeps the gate of a run shut, but for drift.
pub fn survey(
    to_server: OwnedFd,
    from_server: OwnedFd,
    client: &Client<'_>,
    timeout: Duration,
) -> Result<Surveyed, GateError> {
    let mut talk = Talk::start(to_server, from_server, timeout)?;
    let name = quoted(client.name);
    let info = format!("{{\"name\":{name},\"version\":{}}}", quoted(client.version));
    let capabilities = match client.all_capabilities {
        true => ALL_CAPABILITIES,
        false => "{}",
    };
    let params = format!("{{\"protocolVersion\":\"{LEGACY}\",\"capabilities\":{capabilities},\"clientInfo\":{info}}}");
    let answer = talk.ask("initialize", params.as_bytes())?;
    let (walk, era, protocol) = match parse_message(&answer) {
        Ok(Message::Response { result, .. }) => {
            let mut walk = Walk::new(Catalog::default(), offered(result), Vec::new());
            walk.sight.server(result)?;
            talk.send(answer::request(None, "notifications/initialized", b""))?;
            (walk, Era::Legacy, result.get("protocolVersion").and_then(Value::str).unwrap_or_default().into_owned())
        }
        Ok(Message::Error { error, .. }) => {
            let code = error.get("code").and_then(Value::integer).unwrap_or_default();
            modern(&mut talk, capabilities, &info, code)?
        }
        _ => return Err(GateError::Malformed { what: "the answer to `initialize` is none".to_owned() }),
    };
    let catalog = talk.walk(walk)?;
    Ok(Surveyed { catalog, era, protocol, notes: talk.notes })
}

/// The beginning of a walk in the modern era; `code` is the error that `initialize` was answered with.
fn modern(
    talk: &mut Talk,
    capabilities: &str,
    info: &str,
    code: i64,
) -> Result<(Walk<Catalog>, Era, String), GateError> {
    let meta = format!(
        "{},\"io.modelcontextprotocol/clientCapabilities\":{capabilities},\"io.modelcontextprotocol/clientInfo\":{info}}}",
        VERSION
    );
    debug_assert!(META.starts_with(VERSION.as_bytes()));
    let answer = talk.ask("server/discover", format!("{{\"_meta\":{meta}}}").as_bytes())?;
    match parse_message(&answer) {
        Ok(Message::Response { result, .. }) if is_description(result) => {
            let mut walk = Walk::new(Catalog::default(), offered(result), meta.into_bytes());
            walk.sight.server(result)?;
            Ok((walk, Era::Modern, MODERN.to_owned()))
        }
        _ => Err(GateError::Handshake { code }),
    }
}

/// The modern revision.
const MODERN: &str = "2026-07-28";
/// The beginning of `_meta`.
const VERSION: &str = "{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"";

fn quoted(text: &str) -> String {
    let mut quoted = Vec::new();
    json::quote(text, &mut quoted);
    String::from_utf8_lossy(&quoted).into_owned()
}

/// A conversation with the server.
struct Talk {
    outgoing: SyncSender<Vec<u8>>,
    incoming: Receiver<Vec<u8>>,
    numbers: Numbers,
    pages: Pages,
    timeout: Duration,
    notes: Vec<String>,
}

/// What was heard.
enum Heard {
    /// An answer to the request of this number, as a line.
    Answer(u64, Vec<u8>),
    /// These lists have changed.
    Changed(&'static [List]),
    /// Nothing in time.
    Nothing,
}

impl Talk {
    /// One thread writes and one reads, since either may have to wait for a server that does nothing.
    fn start(to_server: OwnedFd, from_server: OwnedFd, timeout: Duration) -> Result<Talk, GateError> {
        let io = |source| GateError::Io { action: "start a thread", source };
        let (outgoing, lines) = sync_channel::<Vec<u8>>(OUTGOING);
        thread::Builder::new()
            .name("to-server".to_owned())
            .spawn(move || {
                let outlet = Outlet::new(to_server);
                for line in lines {
                    if outlet.send(&line).is_err() {
                        break;
                    }
                }
            })
            .map_err(io)?;
        let (messages, incoming) = sync_channel(INCOMING);
        thread::Builder::new()
            .name("from-server".to_owned())
            .spawn(move || {
                let mut source = Source(Arc::new(File::from(from_server)));
                let mut reader = FrameReader::new(DEFAULT_MAX_MESSAGE);
                while let Ok(Next::Batch(batch)) = reader.next(&mut source) {
                    for message in batch.messages() {
                        if messages.send(message.to_vec()).is_err() {
                            return;
                        }
                    }
                }
            })
            .map_err(io)?;
        let numbers = Numbers::random();
        Ok(Talk { outgoing, incoming, numbers, pages: Pages::default(), timeout, notes: Vec::new() })
    }

    fn send(&self, line: Vec<u8>) -> Result<(), GateError> {
        if line.is_empty() {
            return Ok(());
        }
        // A writer that has ended means that the server closed its stdin: its stdout will say the rest.
        match self.outgoing.try_send(line) {
            Err(std::sync::mpsc::TrySendError::Full(_)) => Err(GateError::too_large("messages unread", OUTGOING)),
            _ => Ok(()),
        }
    }

    fn note(&mut self, text: &str) {
        if self.notes.len() < NOTES {
            let text = printable(text);
            self.notes.push(text.chars().take(400).collect());
        }
    }

    /// One request and its answer, as a line.
    fn ask(&mut self, method: &str, params: &[u8]) -> Result<Vec<u8>, GateError> {
        let (number, id) = self.numbers.next();
        self.send(answer::request(Some(&id), method, params))?;
        let until = Instant::now() + self.timeout;
        loop {
            match self.hear(until)? {
                Heard::Answer(of, line) if of == number => return Ok(line),
                Heard::Answer(..) | Heard::Changed(_) => {}
                Heard::Nothing => return Err(GateError::Timeout { list: None, timeout: self.timeout }),
            }
        }
    }

    fn walk(&mut self, mut walk: Walk<Catalog>) -> Result<Catalog, GateError> {
        let until = Instant::now() + self.timeout;
        let Step { send, mut done } = walk.start(&mut self.numbers);
        self.send(send)?;
        loop {
            let next = if done { until.min(Instant::now() + SETTLING) } else { until };
            let step = match self.hear(next)? {
                Heard::Nothing if done => {
                    // What such a list would hold is not known, and so not approved.
                    for (list, code) in walk.refused.iter().filter(|(_, code)| *code != answer::METHOD_NOT_FOUND) {
                        let text = format!(
                            "the server answered `{}` with error {code}; nothing of it is known",
                            list.method()
                        );
                        self.note(&text);
                    }
                    return Ok(walk.sight);
                }
                Heard::Nothing => {
                    return Err(GateError::Timeout { list: walk.waits_for(), timeout: self.timeout });
                }
                Heard::Answer(number, line) => match parse_message(&line) {
                    Ok(message) => {
                        let step = walk.answer(number, &message, &mut self.numbers, &self.pages)?;
                        done |= step.done;
                        step
                    }
                    Err(_) => continue,
                },
                Heard::Changed(lists) => {
                    let mut all = Step::default();
                    for list in lists {
                        all.send.append(&mut walk.changed(*list, &mut self.numbers)?.send);
                    }
                    done = walk.waits_for().is_none();
                    all
                }
            };
            self.send(step.send)?;
        }
    }

    /// The next thing that matters, at most until then. Answers what the server asks.
    fn hear(&mut self, until: Instant) -> Result<Heard, GateError> {
        loop {
            // A server that never pauses would let no wait end.
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.incoming.recv_timeout(left) {
                Ok(line) if !left.is_zero() => line,
                Ok(_) | Err(RecvTimeoutError::Timeout) => return Ok(Heard::Nothing),
                Err(RecvTimeoutError::Disconnected) => return Err(GateError::Ended),
            };
            match parse_message(&line) {
                Ok(Message::Response { id, .. } | Message::Error { id: Some(id), .. }) => {
                    match number(self.numbers.prefix(), &id) {
                        Some(number) => return Ok(Heard::Answer(number, line)),
                        None => self.note("the server answered what was never asked"),
                    }
                }
                Ok(Message::Request { id, method, .. }) => {
                    let answer = match method.as_ref() {
                        "ping" => answer::empty(&id),
                        "roots/list" => answer::result(&id, br#"{"roots":[]}"#),
                        _ => answer::error(Some(&id), answer::METHOD_NOT_FOUND, "mcpjail: nobody is here", "no-host"),
                    };
                    self.send(answer)?;
                }
                Ok(Message::Notification { method, .. }) => match List::changed_by(&method) {
                    [] => {}
                    lists => return Ok(Heard::Changed(lists)),
                },
                Ok(Message::Error { id: None, .. } | Message::Batch(_)) => {
                    self.note("the server sent a message that was not understood");
                }
                Err(Refused::Empty) => {}
                Err(Refused::NotJson) => {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    self.note(&format!("the server writes to stdout what is no message: {text}"));
                }
                Err(error) => {
                    if salvage_id(&line).is_some_and(|id| number(self.numbers.prefix(), &id).is_some()) {
                        return Err(GateError::Malformed { what: format!("an answer breaks the rules: {error}") });
                    }
                    self.note(&format!("a message of the server's breaks the rules: {error}"));
                }
            }
        }
    }
}
