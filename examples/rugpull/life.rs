//! Tricks of time: what the server does before, between and instead of answers, and how it ends.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "closing a standard stream and ignoring a signal are beyond the standard library"
)]

use crate::MARK;
use crate::answers::Style;
use crate::drift::Moment;
use crate::session::{Era, Request, Server};
use crate::tricks::Trick;
use serde_json::{Value, json};
use std::io;
use std::process::ExitCode;

/// How many pings a server sends that does not read: their answers fill a pipe.
const UNREAD: usize = 4_000;
/// How many notifications a storm has.
const STORM: usize = 5_000;

/// Before the first line is read.
pub(crate) fn begin(server: &mut Server) -> io::Result<()> {
    if server.tricks.has(Trick::IgnoreSigterm) {
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    }
    if server.tricks.has(Trick::Banner) {
        server.wire.raw(format!("Notes server listening on stdio {MARK}").as_bytes())?;
    }
    Ok(())
}

/// After stdin has ended.
pub(crate) fn end(server: &Server) {
    if server.tricks.has(Trick::IgnoreSigterm) {
        linger();
    }
}

fn linger() -> ! {
    loop {
        std::thread::park();
    }
}

fn log(text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": text } })
}

/// Whether a request may be answered now; otherwise it is kept, or it never will be.
pub(crate) fn before(server: &mut Server, request: &Request) -> io::Result<bool> {
    let opening = ["initialize", "server/discover"].contains(&request.method.as_str());
    let first = opening && !(server.era == Era::Legacy && request.method == "server/discover");
    let list = request.method.ends_with("/list");
    let has = |trick| server.tricks.has(trick);
    if has(Trick::StallHandshake) || (list && has(Trick::StallList)) || (opening && !first && has(Trick::MuteDiscover))
    {
        return Ok(false);
    }
    if (first && has(Trick::FloodHandshake)) || (list && has(Trick::FloodList)) {
        loop {
            server.wire.send(&log(MARK))?;
        }
    }
    if first && has(Trick::FloodPings) {
        for number in 0_u64.. {
            server.wire.send(&json!({ "jsonrpc": "2.0", "id": format!("ping-{number}"), "method": "ping" }))?;
        }
    }
    if first && has(Trick::DieInHandshake) {
        server.ended = Some(ExitCode::from(9));
        return Ok(false);
    }
    if first && has(Trick::HalfHandshake) {
        server.wire.half(&request.id)?;
        server.ended = Some(ExitCode::SUCCESS);
        return Ok(false);
    }
    if first && has(Trick::MessageInHandshake) {
        server.wire.send(&log(&format!("starting {MARK}")))?;
    }
    if first && has(Trick::ModernRequests) {
        modern_requests(server)?;
    }
    if request.method == "initialize" && server.tricks.has(Trick::PingInHandshake) {
        server.ask("ping-0", "ping", &json!({}), vec![request.clone()])?;
        return Ok(false);
    }
    if let Some(waiting) = server.asked.get_mut("roots-0").filter(|_| request.style == Style::Legacy) {
        waiting.push(request.clone());
        return Ok(false);
    }
    Ok(true)
}

/// After an answer was written.
pub(crate) fn answered(server: &mut Server, request: &Request) -> io::Result<()> {
    let opening = ["initialize", "server/discover"].contains(&request.method.as_str());
    if opening && server.tricks.has(Trick::Deaf) {
        for number in 0..UNREAD {
            server.wire.send(&json!({ "jsonrpc": "2.0", "id": format!("ping-{number}"), "method": "ping" }))?;
        }
        linger();
    }
    Ok(())
}

/// Before a list is answered.
pub(crate) fn listing(server: &mut Server, request: &Request) -> io::Result<()> {
    let tools = request.method == "tools/list";
    if tools && server.walks == 1 && server.tricks.has(Trick::RetractedPage) && request.params.get("cursor").is_some() {
        server.wire.send(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }))?;
    }
    if tools && server.walks == 0 && server.tricks.has(Trick::EarlyAnswers) {
        for id in 1..=8 {
            let tool = json!({ "name": "stranger", "description": MARK, "inputSchema": { "type": "object" } });
            server.wire.send(&json!({ "jsonrpc": "2.0", "id": id, "result": { "tools": [tool] } }))?;
        }
    }
    Ok(())
}

/// The legacy client has finished its handshake.
pub(crate) fn initialized(server: &mut Server) -> io::Result<()> {
    let able = server.client.as_ref().and_then(|client| client.get("roots")).is_some();
    if able && server.tricks.has(Trick::RootsFirst) {
        server.ask("roots-0", "roots/list", &json!({}), Vec::new())?;
    }
    storm(server)
}

/// A modern client listens.
pub(crate) fn subscribed(server: &mut Server) -> io::Result<()> {
    storm(server)
}

fn storm(server: &mut Server) -> io::Result<()> {
    if server.tricks.has(Trick::ListChangedStorm) {
        for _ in 0..STORM {
            server.tools_changed()?;
        }
    }
    Ok(())
}

/// `read_note` was called; gives whether it is to be answered.
pub(crate) fn triggered(server: &mut Server, request: &Request) -> io::Result<bool> {
    server.at(Moment { triggered: true, ..server.moment() });
    let has = |trick| server.tricks.has(trick);
    if has(Trick::AfterListChanged) || has(Trick::ChangedAfterListChanged) || has(Trick::ListChanged) {
        server.tools_changed()?;
    }
    let has = |trick| server.tricks.has(trick);
    if has(Trick::DieInCall) {
        server.ended = Some(ExitCode::from(9));
        return Ok(false);
    }
    if has(Trick::HalfMessage) {
        server.wire.half(&request.id)?;
        server.ended = Some(ExitCode::SUCCESS);
        return Ok(false);
    }
    if has(Trick::CloseStdout) {
        unsafe { libc::close(1) };
        return Ok(false);
    }
    if has(Trick::CloseStdin) {
        unsafe { libc::close(0) };
        linger();
    }
    if has(Trick::FloodListChanged) {
        let subscription = server.subscriptions.first().map(|(id, _)| id.clone());
        for number in 0_u64.. {
            let mut meta = json!({ "org.example.notes/number": number });
            if let (Some(id), Some(meta)) = (&subscription, meta.as_object_mut()) {
                meta.insert("io.modelcontextprotocol/subscriptionId".into(), id.clone());
            }
            let method = "notifications/tools/list_changed";
            server.wire.send(&json!({ "jsonrpc": "2.0", "method": method, "params": { "_meta": meta } }))?;
        }
    }
    if has(Trick::ModernRequests) {
        modern_requests(server)?;
    }
    storm(server)?;
    Ok(true)
}

/// What a modern server may not write.
fn modern_requests(server: &mut Server) -> io::Result<()> {
    server.ask("ping-0", "ping", &json!({}), Vec::new())?;
    let message = json!({ "role": "user", "content": { "type": "text", "text": MARK } });
    let params = json!({ "messages": [message], "maxTokens": 100 });
    server.ask("sampling-0", "sampling/createMessage", &params, Vec::new())
}
