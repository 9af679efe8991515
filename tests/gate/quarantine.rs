//! `drift = "quarantine"`: what changed or is new is hidden and cannot be asked for, and everything else works.

use crate::Suite;
use crate::host::{Era, Host, LISTS};
use crate::witness::MARK;
use crate::world::World;
use serde_json::{Value, json};

const PROFILE: &str = "[gate]\ndrift = \"quarantine\"\n";

/// A trick, the names or URIs that must be missing of a list, and a request for what is hidden.
struct Case {
    trick: &'static str,
    hidden: &'static str,
    method: &'static str,
    params: Value,
}

fn cases() -> Vec<Case> {
    let tool = |trick, hidden| {
        let params = json!({ "name": hidden, "arguments": { "name": "today" } });
        Case { trick, hidden, method: "tools/call", params }
    };
    vec![
        tool("description", "read_note"),
        tool("hint", "read_note"),
        tool("page-two", "search_notes"),
        tool("added", "stranger_0"),
        tool("renamed", MARK),
        Case {
            trick: "prompt-argument",
            hidden: "summarise",
            method: "prompts/get",
            params: json!({ "name": "summarise", "arguments": { "note": "today" } }),
        },
    ]
}

fn quarantined(world: &World, era: Era, tricks: &str) -> Host {
    world.gate_with(era, tricks, &world.lock(era), PROFILE)
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        for case in cases() {
            suite.add(&format!("{}::{}::quarantine", era.name(), case.trick), move |world| hides(world, era, &case));
        }
        suite.add(&format!("{}::template::quarantine", era.name()), move |world| {
            let mut host = quarantined(world, era, "template");
            host.open();
            let left = host.list("resources/templates/list", "resourceTemplates");
            let left: Vec<_> = left.iter().map(|template| template["name"].clone()).collect();
            assert_eq!(left, [json!("archived")]);
            host.finish().code(0).without(MARK);
        });
        suite.add(&format!("{}::namespace::quarantine", era.name()), move |world| {
            let mut host = quarantined(world, era, "namespace");
            host.open();
            assert_eq!(host.list("resources/list", "resources").len(), 3);
            let id = host.ask("resources/read", json!({ "uri": format!("file:///etc/{MARK}") }));
            let answer = host.answer(id);
            host.refused(&answer, &["not-approved-item"]);
            host.finish().code(0);
        });
        for trick in ["instructions", "server-info"] {
            suite.add(&format!("{}::{trick}::quarantine", era.name()), move |world| {
                let mut host = quarantined(world, era, trick);
                let opening = host.open();
                assert_eq!(opening["instructions"], "Look for a note with `search_notes` before you write one.");
                assert_eq!(host.walk().len(), 11);
                assert!(!host.saw(MARK));
                // what a tool gives is data, and in the modern era says who gave it
                assert_eq!(host.tool("read_note", json!({ "name": "today" })), "Buy milk.");
                host.finish().code(0);
            });
        }
        suite.add(&format!("{}::removed::quarantine", era.name()), move |world| {
            let mut host = quarantined(world, era, "removed");
            host.open();
            assert_eq!(host.tools(), ["read_note", "write_note", "received"]);
            host.finish().code(0);
        });
        suite.add(&format!("{}::later-list::quarantine", era.name()), move |world| {
            let mut host = quarantined(world, era, "later-list");
            host.open();
            assert_eq!(host.tools(), ["write_note", "search_notes", "received"]);
            refused(&mut host, "tools/call", json!({ "name": "read_note", "arguments": { "name": "today" } }));
            host.finish().code(0).without(MARK);
        });
        suite.add(&format!("{}::after-list-changed::quarantine", era.name()), move |world| {
            let mut host = quarantined(world, era, "after-list-changed");
            host.open();
            host.listen();
            host.ask_tool("read_note", json!({ "name": "today" }));
            assert_eq!(host.tools(), ["read_note", "write_note", "search_notes", "received"]);
            refused(&mut host, "tools/call", json!({ "name": "stranger_0" }));
            host.finish().code(0).without(MARK);
        });
    }
}

/// A request that must not reach the server.
fn refused(host: &mut Host, method: &str, params: Value) {
    let id = host.ask(method, params);
    let answer = host.answer(id);
    host.refused(&answer, &["not-approved-item"]);
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
}

fn hides(world: &World, era: Era, case: &Case) {
    let mut host = quarantined(world, era, case.trick);
    host.open();
    let mut names = Vec::new();
    for (method, member) in LISTS {
        names.extend(host.list(method, member).iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()));
    }
    assert!(!names.iter().any(|name| name == case.hidden), "`{}` is listed: {names:?}", case.hidden);
    for kept in ["write_note", "received", "plan_day", "note", "archived", "today", "plan"] {
        assert!(names.iter().any(|name| name == kept), "`{kept}` is missing: {names:?}");
    }
    refused(&mut host, case.method, case.params.clone());
    assert_eq!(host.tool("write_note", json!({ "name": "a", "text": "b" })), "written");
    let received = host.received();
    let asked = |line: &String| line.contains(case.method) && line.contains(case.hidden);
    assert!(!received.iter().any(asked), "the server was asked: {received:?}");
    let ended = host.finish();
    ended.code(0);
    // a new name has to be said where it is asked for
    if case.trick != "renamed" {
        ended.without(MARK);
    }
}
