//! A server that was honest when it was walked, and is not any more.

use crate::Suite;
use crate::host::{Era, Host};
use crate::witness::MARK;
use serde_json::{Value, json};

/// Keeps a request open, so that there is one that must be answered when the session ends.
fn pending(host: &mut Host) -> i64 {
    host.ask_tool("search_notes", json!({ "query": "later" }))
}

fn trigger(host: &mut Host) -> i64 {
    host.ask_tool("read_note", json!({ "name": "today" }))
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        later_list(suite, era);
        list_changed(suite, era);
        retracted_page(suite, era);
        unlisted(suite, era);
        beside_items(suite, era);
    }
}

fn later_list(suite: &mut Suite, era: Era) {
    suite.bare(era, "later-list", move |world| {
        let mut host = world.bare(era, "later-list");
        host.open();
        host.walk();
        assert!(!host.saw(MARK), "the first walk is honest");
        host.tools();
        assert!(host.saw(MARK));
    });
    suite.gate(era, "later-list", move |world| {
        let mut host = world.gate(era, "later-list");
        host.open();
        let id = host.ask("tools/list", json!({}));
        let answer = host.answer(id);
        let message = host.refused(&answer, &["catalog-changed"]);
        assert!(message.contains("mcpjail approve"), "{message}");
        host.end().code(3).without(MARK);
    });
}

fn list_changed(suite: &mut Suite, era: Era) {
    for trick in ["after-list-changed", "changed-after-list-changed"] {
        suite.bare(era, trick, move |world| {
            let mut host = world.bare(era, trick);
            host.open();
            host.listen();
            host.walk();
            let id = trigger(&mut host);
            host.answer(id);
            assert!(host.saw("notifications/tools/list_changed") && !host.saw(MARK));
            host.tools();
            assert!(host.saw(MARK));
        });
        suite.gate(era, trick, move |world| {
            let mut host = world.gate(era, trick);
            host.open();
            host.listen();
            let open = pending(&mut host);
            trigger(&mut host);
            let answer = host.answer(open);
            let message = host.refused(&answer, &["catalog-changed"]);
            assert!(message.contains("mcpjail approve"), "{message}");
            // neither the text nor the word that there is something new
            host.end().code(3).without(MARK).without("list_changed");
        });
    }
    suite.bare(era, "list-changed", move |world| changes_nothing(world.bare(era, "list-changed")));
    suite.gate(era, "list-changed", move |world| changes_nothing(world.gate(era, "list-changed")));
}

fn changes_nothing(mut host: Host) {
    host.open();
    host.listen();
    let id = trigger(&mut host);
    host.message("the notification", |message| message["method"] == "notifications/tools/list_changed");
    // it may have come before or after the call's answer
    let whole = |line: &[u8]| serde_json::from_slice::<Value>(line).is_ok_and(|message| message["id"] == json!(id));
    if !host.stdout.split(|byte| *byte == b'\n').any(whole) {
        host.answer(id);
    }
    assert_eq!(host.tools().len(), 4);
    host.finish().code(0);
}

/// A page that was taken back before the walk was over must not count as one that was approved.
fn retracted_page(suite: &mut Suite, era: Era) {
    suite.bare(era, "retracted-page", move |world| {
        let mut host = world.bare(era, "retracted-page");
        host.open();
        host.tools();
        assert!(host.saw(MARK) && host.saw("list_changed"));
    });
    suite.gate(era, "retracted-page", move |world| {
        let mut host = world.gate(era, "retracted-page");
        host.open();
        let id = host.ask("tools/list", json!({}));
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.end().code(3).without(MARK);
    });
}

/// Requests for what no list has; each answers with the mark when it reaches the server.
fn hidden() -> [(&'static str, Value); 3] {
    [
        ("tools/call", json!({ "name": "hidden", "arguments": {} })),
        ("prompts/get", json!({ "name": "hidden" })),
        ("resources/read", json!({ "uri": "file:///etc/hostname" })),
    ]
}

fn unlisted(suite: &mut Suite, era: Era) {
    suite.bare(era, "unlisted", move |world| {
        for (method, params) in hidden() {
            let mut host = world.bare(era, "unlisted");
            host.open();
            host.get(method, params);
            assert!(host.saw(MARK), "{method}");
        }
    });
    suite.gate(era, "unlisted", move |world| {
        let mut host = world.gate(era, "unlisted");
        host.open();
        for (method, params) in hidden() {
            let id = host.ask(method, params);
            let answer = host.answer(id);
            host.refused(&answer, &["not-approved-item"]);
            assert_eq!(answer["error"]["code"], -32_602, "{answer}");
        }
        let received = host.received();
        let asked = |line: &&String| line.contains("hidden") || line.contains("hostname");
        assert!(!received.iter().any(|line| asked(&line)), "the server was asked: {received:?}");
        assert!(!host.saw(MARK));
        host.finish().code(0);
    });
}

/// Texts that come beside the items, where a host may look as well.
fn beside_items(suite: &mut Suite, era: Era) {
    let tricks: &[&str] = if era == Era::Modern { &["list-extra", "server-info-later"] } else { &["list-extra"] };
    for trick in tricks {
        suite.bare(era, trick, move |world| {
            let mut host = world.bare(era, trick);
            host.open();
            host.walk();
            assert!(host.saw(MARK));
        });
        suite.gate(era, trick, move |world| {
            let mut host = world.gate(era, trick);
            host.open();
            // the lists are all there, without what came beside them
            assert_eq!(host.walk().len(), 11);
            let call = trigger(&mut host);
            host.answer(call);
            host.finish().code(0).without(MARK);
        });
    }
}
