//! The first moments of a session: probes, fallbacks, servers that speak before they are asked, and servers that do not.

use crate::Suite;
use crate::host::{Era, Host};
use crate::witness::MARK;
use serde_json::{Value, json};

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        message_first(suite, era);
        stalled(suite, era);
    }
    ping_first(suite);
    roots_first(suite);
    probes(suite);
    no_handshake(suite);
    modern_requests(suite);
}

fn message_first(suite: &mut Suite, era: Era) {
    suite.bare(era, "message-in-handshake", move |world| {
        let mut host = world.bare(era, "message-in-handshake,description");
        host.ask_opening();
        host.until(MARK.as_bytes());
    });
    suite.gate(era, "message-in-handshake", move |world| {
        let mut host = world.gate(era, "message-in-handshake");
        host.open();
        assert_eq!(host.tool("read_note", json!({ "name": "today" })), "Buy milk.");
        host.finish().code(0);
        // and where the catalog is refused, the message is no way around it
        let mut host = world.gate(era, "message-in-handshake,description");
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.finish().code(3).without(MARK).lines(1);
    });
    if era == Era::Legacy {
        suite.add("legacy::message-in-handshake::passes", |world| {
            let mut host = world.gate(Era::Legacy, "message-in-handshake");
            host.open();
            host.until(MARK.as_bytes());
            host.finish().code(0);
        });
    }
}

/// A host can see that it is waiting for a server, and can end the session.
fn stalled(suite: &mut Suite, era: Era) {
    suite.bare(era, "stall-handshake", move |world| {
        let mut host = world.bare(era, "stall-handshake");
        host.ask_opening();
        host.ask("ping", json!({}));
        // the end of stdin is the only thing that it heeds
        host.finish().code(0).lines(0);
    });
    suite.gate(era, "stall-handshake", move |world| {
        let mut host = world.gate(era, "stall-handshake");
        let opening = host.ask_opening();
        if era == Era::Legacy {
            // answered by mcpjail, and so proof that it is at work while the server is not
            let id = host.ask("ping", json!({}));
            assert_eq!(host.answer(id)["result"], json!({}));
            assert!(!host.saw(&format!("\"id\":{opening}")), "the opening was answered");
        }
        let ended = host.finish();
        let answered = ended.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let wrong =
            answered.filter(|message: &Value| message["id"] == json!(opening) && message.get("result").is_some());
        assert_eq!(wrong.count(), 0, "{ended}");
    });
}

fn ping_first(suite: &mut Suite) {
    suite.bare(Era::Legacy, "ping-in-handshake", |world| {
        let mut host = world.bare(Era::Legacy, "ping-in-handshake");
        host.ask_opening();
        host.message("the ping", |message| message["method"] == "ping");
    });
    suite.gate(Era::Legacy, "ping-in-handshake", |world| {
        let mut host = world.gate(Era::Legacy, "ping-in-handshake");
        let id = host.ask_opening();
        // answered by mcpjail, or by the host when it gets there; never left alone
        let answer =
            host.message("the ping or the answer", |message| message["method"] == "ping" || message["id"] == json!(id));
        let answer = if answer["method"] == "ping" {
            host.send(&json!({ "jsonrpc": "2.0", "id": answer["id"], "result": {} }));
            host.answer(id)
        } else {
            answer
        };
        host.result(&answer);
        host.notify("notifications/initialized");
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0);
    });
}

/// Opens a session whose server asks for the roots before it answers any list.
fn with_roots(mut host: Host) -> (Host, Value) {
    host.capabilities = json!({ "roots": { "listChanged": false } });
    host.open();
    let question = host.message("the question", |message| message["method"] == "roots/list");
    (host, question["id"].clone())
}

fn roots_first(suite: &mut Suite) {
    let roots = || json!({ "roots": [{ "uri": "file:///home/me/notes", "name": "notes" }] });
    suite.bare(Era::Legacy, "roots-first", move |world| {
        let (mut host, question) = with_roots(world.bare(Era::Legacy, "roots-first,description"));
        let list = host.ask("tools/list", json!({}));
        assert!(!host.saw(MARK));
        host.send(&json!({ "jsonrpc": "2.0", "id": question, "result": roots() }));
        host.answer(list);
        assert!(host.saw(MARK));
    });
    suite.gate(Era::Legacy, "roots-first", move |world| {
        let (mut host, question) = with_roots(world.gate(Era::Legacy, "roots-first"));
        let list = host.ask("tools/list", json!({}));
        let call = host.ask_tool("read_note", json!({ "name": "today" }));
        host.send(&json!({ "jsonrpc": "2.0", "id": question, "result": roots() }));
        let answers: Vec<Value> = (0..2)
            .map(|_| host.message("an answer", |message| [json!(list), json!(call)].contains(&message["id"])))
            .collect();
        for answer in &answers {
            host.result(answer);
        }
        assert!(host.received().iter().any(|line| line.contains("/home/me/notes")), "the server got its answer");
        host.finish().code(0);
    });
    suite.add("legacy::roots-first,description::gate", move |world| {
        let (mut host, question) = with_roots(world.gate(Era::Legacy, "roots-first,description"));
        let list = host.ask("tools/list", json!({}));
        let call = host.ask_tool("read_note", json!({ "name": "today" }));
        host.send(&json!({ "jsonrpc": "2.0", "id": question, "result": roots() }));
        for _answer in 0..2 {
            let answer = host.message("an answer", |message| [json!(list), json!(call)].contains(&message["id"]));
            host.refused(&answer, &["catalog-changed"]);
        }
        host.end().code(3).without(MARK).without("Buy milk");
    });
    suite.add("legacy::roots-first,instructions::gate", move |world| {
        // what the handshake itself says is compared before it is released
        let mut host = world.gate(Era::Legacy, "roots-first,instructions");
        host.capabilities = json!({ "roots": {} });
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.end().code(3).without(MARK).lines(1);
    });
}

/// The probe of a host of both eras.
fn probe(host: &mut Host) -> i64 {
    let meta = host.meta();
    host.ask("server/discover", json!({ "_meta": meta }))
}

fn probes(suite: &mut Suite) {
    suite.bare(Era::Legacy, "garbage-discover", |world| {
        let mut host = world.bare(Era::Legacy, "garbage-discover");
        let id = probe(&mut host);
        host.answer(id);
        assert!(host.saw(MARK));
    });
    suite.gate(Era::Legacy, "garbage-discover", |world| {
        let mut host = world.gate(Era::Legacy, "garbage-discover");
        let id = probe(&mut host);
        let answer = host.answer(id);
        assert!(answer.get("error").is_some(), "the host would take it for a modern server: {answer}");
        let code = answer["error"]["code"].as_i64().unwrap_or_default();
        assert!(![-32_020, -32_021, -32_022].contains(&code), "an error of a modern server: {answer}");
        host.open();
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0).without(MARK);
    });
    suite.bare(Era::Legacy, "mute-discover", |world| {
        let mut host = world.bare(Era::Legacy, "mute-discover");
        let id = probe(&mut host);
        host.open();
        assert!(!host.saw(&format!("\"id\":{id},")), "the probe was answered");
    });
    suite.gate(Era::Legacy, "mute-discover", |world| {
        let mut host = world.gate(Era::Legacy, "mute-discover");
        probe(&mut host);
        // the host has lost its patience
        host.open();
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0);
        let mut host = world.gate(Era::Legacy, "mute-discover,description");
        probe(&mut host);
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.finish().code(3).without(MARK);
    });
    // an honest old server says no by itself
    suite.add("legacy::honest::probed", |world| {
        let mut host = world.gate(Era::Legacy, "honest");
        let id = probe(&mut host);
        assert!(host.answer(id).get("error").is_some());
        host.open();
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0);
    });
}

/// Requests before any handshake, to a server that would answer them.
fn no_handshake(suite: &mut Suite) {
    let call = || json!({ "name": "read_note", "arguments": { "name": "today", "form": "markdown" } });
    suite.bare(Era::Legacy, "no-handshake", move |world| {
        let mut host = world.bare(Era::Legacy, "no-handshake,description");
        host.get("tools/call", call());
        host.get("tools/list", json!({}));
        assert!(host.saw("Buy milk.") && host.saw(MARK));
    });
    suite.gate(Era::Legacy, "no-handshake", move |world| {
        let mut host = world.gate(Era::Legacy, "no-handshake");
        let id = host.ask("tools/call", call());
        let answer = host.answer(id);
        host.refused(&answer, &["no-handshake"]);
        assert_eq!(answer["error"]["code"], -32_600, "{answer}");
        host.open();
        let received = host.received();
        assert!(!received.iter().any(|line| line.contains("markdown")), "the server was called: {received:?}");
        host.finish().code(0).without("Buy milk.");
    });
    suite.add("legacy::no-handshake,description::gate", |world| {
        let mut host = world.gate(Era::Legacy, "no-handshake,description");
        let id = host.ask("tools/list", json!({}));
        let answer = host.answer(id);
        assert!(answer.get("error").is_some(), "{answer}");
        host.finish().without(MARK);
    });
    // a server of both eras, called without the `_meta` that would make it modern
    suite.add("legacy::no-handshake::dual_server", move |world| {
        let lock = world.lock(Era::Legacy);
        let line = world.line("run", &["--lock", lock.to_str().unwrap()], "dual", "honest");
        let mut host = Host::start(world.mcpjail(&world.home(), &line), Era::Legacy);
        let id = host.ask("tools/call", call());
        let answer = host.answer(id);
        host.refused(&answer, &["no-handshake"]);
        host.open();
        assert!(!host.received().iter().any(|line| line.contains("markdown")));
        host.finish().code(0);
    });
}

fn modern_requests(suite: &mut Suite) {
    suite.bare(Era::Modern, "modern-requests", |world| {
        let mut host = world.bare(Era::Modern, "modern-requests");
        host.open();
        host.until(b"sampling/createMessage");
        assert!(host.saw(MARK));
    });
    suite.gate(Era::Modern, "modern-requests", |world| {
        let mut host = world.gate(Era::Modern, "modern-requests");
        host.capabilities = json!({ "sampling": {} });
        host.open();
        assert_eq!(host.tool("read_note", json!({ "name": "today" })), "Buy milk.");
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0).without(MARK).without("sampling/createMessage").without("\"ping\"");
    });
}
