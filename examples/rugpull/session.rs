//! One process's session with its client, in either era.

use crate::answers::{Refusal, Style};
use crate::catalog::Catalog;
use crate::drift::{self, Moment};
use crate::life;
use crate::tricks::{Trick, Tricks};
use crate::wire::Wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::process::ExitCode;

/// The revision of the modern era.
pub(crate) const MODERN: &str = "2026-07-28";
/// The revisions of the legacy era, newest first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Which clients the server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
    Dual,
}

impl Era {
    pub(crate) fn parse(name: &str) -> Option<Era> {
        match name {
            "legacy" => Some(Era::Legacy),
            "modern" => Some(Era::Modern),
            "dual" => Some(Era::Dual),
            _ => None,
        }
    }
}

/// A request that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Value,
    pub(crate) style: Style,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) era: Era,
    pub(crate) tricks: Tricks,
    pub(crate) wire: Wire,
    pub(crate) catalog: Catalog,
    moment: Moment,
    /// First pages of `tools/list` that were asked for.
    pub(crate) walks: usize,
    /// Every line that came, for the tool `received`.
    pub(crate) received: Vec<String>,
    /// What the client of the legacy era said that it can do; `None` before `initialize`.
    pub(crate) client: Option<Value>,
    /// The requests of ours that are open, and what waits for their answers.
    pub(crate) asked: BTreeMap<String, Vec<Request>>,
    /// Searches for `later`, which the next `write_note` lets go.
    pub(crate) held: Vec<Request>,
    /// Open `subscriptions/listen`: their ids and filters.
    pub(crate) subscriptions: Vec<(Value, Value)>,
    pub(crate) ended: Option<ExitCode>,
}

impl Server {
    pub(crate) fn new(era: Era, tricks: Tricks) -> Server {
        let moment = Moment { later: false, triggered: false };
        Server {
            era,
            catalog: drift::catalog(&tricks, moment),
            wire: Wire::new(tricks.clone()),
            tricks,
            moment,
            walks: 0,
            received: Vec::new(),
            client: None,
            asked: BTreeMap::new(),
            held: Vec::new(),
            subscriptions: Vec::new(),
            ended: None,
        }
    }

    /// Serves until stdin ends, or a trick ends it.
    pub(crate) fn serve(mut self) -> io::Result<ExitCode> {
        life::begin(&mut self)?;
        let mut stdin = io::stdin().lock();
        let mut line = Vec::new();
        while self.ended.is_none() {
            line.clear();
            if stdin.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            self.received.push(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
            match serde_json::from_slice(&line) {
                Ok(Value::Array(batch)) => batch.iter().try_for_each(|message| self.message(message))?,
                Ok(message) => self.message(&message)?,
                Err(_) => {}
            }
        }
        life::end(&self);
        Ok(self.ended.unwrap_or(ExitCode::SUCCESS))
    }

    /// Sets the catalog to what it is at this moment.
    pub(crate) fn at(&mut self, moment: Moment) {
        if self.moment != moment {
            self.moment = moment;
            self.catalog = drift::catalog(&self.tricks, moment);
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    fn message(&mut self, message: &Value) -> io::Result<()> {
        let params = message.get("params").cloned().unwrap_or_else(|| json!({}));
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => self.incoming(id.clone(), method, params),
            (Some(method), None) => self.notification(method, &params),
            (None, Some(id)) => self.answered(id, message),
            (None, None) => Ok(()),
        }
    }

    fn incoming(&mut self, id: Value, method: &str, params: Value) -> io::Result<()> {
        let style = self.style(method, &params);
        let request = |style| Request { id: id.clone(), method: method.to_owned(), params, style };
        match style {
            Ok(style) => {
                let request = request(style);
                if life::before(self, &request)? { self.request(&request) } else { Ok(()) }
            }
            Err(refusal) => {
                let request = request(Style::Legacy);
                self.wire.answer(&request, Err(refusal))
            }
        }
    }

    /// Which era's rules a request is served by, or why it is not.
    fn style(&self, method: &str, params: &Value) -> Result<Style, Refusal> {
        let meta = |key: &str| params.pointer("/_meta").and_then(|meta| meta.get(key));
        let version = meta("io.modelcontextprotocol/protocolVersion").and_then(Value::as_str);
        let unsupported = |requested: &str| Refusal {
            code: -32_022,
            message: format!("unsupported protocol version; this server supports {MODERN}"),
            data: Some(json!({ "supported": [MODERN], "requested": requested })),
        };
        if method == "initialize" {
            let requested = params.pointer("/protocolVersion").and_then(Value::as_str).unwrap_or_default();
            return if self.era == Era::Modern { Err(unsupported(requested)) } else { Ok(Style::Legacy) };
        }
        match (self.era, version) {
            (Era::Modern | Era::Dual, Some(MODERN)) => {
                match meta("io.modelcontextprotocol/clientCapabilities").filter(|given| given.is_object()) {
                    Some(_) => Ok(Style::Modern),
                    None => Err(Refusal::params("`_meta` lacks `io.modelcontextprotocol/clientCapabilities`")),
                }
            }
            (Era::Modern | Era::Dual, Some(other)) => Err(unsupported(other)),
            (Era::Modern, None) => Err(Refusal::params("`_meta` lacks `io.modelcontextprotocol/protocolVersion`")),
            (Era::Legacy | Era::Dual, _) if self.client.is_some() || method == "ping" => Ok(Style::Legacy),
            (Era::Legacy, _) if self.tricks.has(Trick::NoHandshake) => Ok(Style::Legacy),
            (Era::Legacy, _) if method == "server/discover" => Ok(Style::Legacy),
            (Era::Legacy | Era::Dual, _) => Err(Refusal::invalid("not initialized")),
        }
    }

    /// Serves a request that nothing holds up.
    pub(crate) fn request(&mut self, request: &Request) -> io::Result<()> {
        let result = match (request.method.as_str(), request.style) {
            ("initialize", _) => Ok(self.initialize(&request.params)),
            ("ping", Style::Legacy) | ("logging/setLevel", Style::Legacy) => Ok(json!({})),
            ("server/discover", Style::Modern) => Ok(self.discover()),
            ("server/discover", Style::Legacy) if self.tricks.has(Trick::GarbageDiscover) => {
                Ok(json!({ "instructions": crate::MARK, "tools": crate::MARK }))
            }
            ("tools/list" | "prompts/list" | "resources/list" | "resources/templates/list", _) => {
                life::listing(self, request)?;
                self.list(request)
            }
            ("tools/call", _) => return self.call(request),
            ("prompts/get", _) => self.prompt(&request.params),
            ("resources/read", _) => self.read(request),
            ("completion/complete", _) => Ok(json!({ "completion": { "values": ["today", "yesterday"], "total": 2 } })),
            ("subscriptions/listen", Style::Modern) => return self.listen(request),
            _ => Err(Refusal { code: -32_601, message: format!("no method `{}`", request.method), data: None }),
        };
        self.answer(request, result)
    }

    /// Answers, as the request's era wants it.
    pub(crate) fn answer(&mut self, request: &Request, result: Result<Value, Refusal>) -> io::Result<()> {
        let result = result.map(|result| self.dress(request, result));
        self.wire.answer(request, result)?;
        life::answered(self, request)
    }

    fn capabilities() -> Value {
        json!({
            "completions": {},
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "listChanged": true, "subscribe": false },
            "tools": { "listChanged": true },
        })
    }

    fn initialize(&mut self, params: &Value) -> Value {
        let asked = params.pointer("/protocolVersion").and_then(Value::as_str).unwrap_or_default();
        let version = LEGACY.iter().find(|known| **known == asked).or(LEGACY.first());
        self.client = Some(params.pointer("/capabilities").cloned().unwrap_or_else(|| json!({})));
        json!({
            "protocolVersion": version,
            "capabilities": Server::capabilities(),
            "serverInfo": self.catalog.info,
            "instructions": self.catalog.instructions,
        })
    }

    fn discover(&self) -> Value {
        let versions: &[&str] = if self.era == Era::Dual { &[MODERN, LEGACY[0]] } else { &[MODERN] };
        json!({
            "supportedVersions": versions,
            "capabilities": Server::capabilities(),
            "instructions": self.catalog.instructions,
        })
    }

    /// Opens a stream of notifications: acknowledged now, answered when it ends.
    fn listen(&mut self, request: &Request) -> io::Result<()> {
        let filter = request.params.pointer("/notifications").cloned().unwrap_or_else(|| json!({}));
        let known = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
        let agreed: BTreeMap<_, _> = known.into_iter().filter_map(|kind| Some((kind, filter.get(kind)?))).collect();
        self.wire.send(&json!({
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "_meta": { "io.modelcontextprotocol/subscriptionId": request.id },
                "notifications": agreed,
            },
        }))?;
        self.subscriptions.push((request.id.clone(), filter));
        life::subscribed(self)
    }

    /// Says that the tools changed: to everybody in the legacy era, to who asked for it in the modern one.
    pub(crate) fn tools_changed(&mut self) -> io::Result<()> {
        let method = "notifications/tools/list_changed";
        if self.client.is_some() {
            self.wire.send(&json!({ "jsonrpc": "2.0", "method": method }))?;
        }
        for (id, filter) in &self.subscriptions {
            if filter.get("toolsListChanged") == Some(&json!(true)) {
                let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
                self.wire.send(&json!({ "jsonrpc": "2.0", "method": method, "params": { "_meta": meta } }))?;
            }
        }
        Ok(())
    }

    fn notification(&mut self, method: &str, params: &Value) -> io::Result<()> {
        match method {
            "notifications/initialized" => life::initialized(self),
            "notifications/cancelled" => {
                let id = params.get("requestId");
                self.subscriptions.retain(|(open, _)| Some(open) != id);
                self.held.retain(|request| Some(&request.id) != id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Asks the client, and keeps these requests until it has answered.
    pub(crate) fn ask(&mut self, id: &str, method: &str, params: &Value, then: Vec<Request>) -> io::Result<()> {
        self.asked.insert(id.to_owned(), then);
        self.wire.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
    }

    /// An answer of the client's to a request of ours.
    fn answered(&mut self, id: &Value, message: &Value) -> io::Result<()> {
        let Some(waiting) = id.as_str().and_then(|id| self.asked.remove(id)) else { return Ok(()) };
        for request in waiting {
            if id.as_str().is_some_and(|id| id.starts_with("confirm-")) {
                self.confirmed(&request, message.get("result").unwrap_or(&Value::Null))?;
            } else {
                self.request(&request)?;
            }
        }
        Ok(())
    }
}
