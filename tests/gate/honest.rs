//! A server that keeps to what was approved: the host must not notice that there is a gate.

use crate::Suite;
use crate::host::{Era, Host, LISTS};
use crate::witness::{MARK, Witness};
use serde_json::{Value, json};

/// Changes that are no drift, and how they show.
fn harmless() -> Vec<(&'static str, Witness)> {
    vec![
        ("order", Witness::Order(r#""name":"received""#, r#""name":"read_note""#)),
        ("default-hints", Witness::Has(r#""readOnlyHint":false"#.into())),
        ("new-resource", Witness::mark()),
    ]
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        suite.add(&format!("{}::honest::transparent", era.name()), move |world| {
            let bare = script(&mut world.bare(era, "honest"));
            let mut host = world.gate(era, "honest");
            let gated = script(&mut host);
            for (bare, gated) in bare.iter().zip(&gated) {
                assert_eq!(bare, gated, "an answer differs");
            }
            assert_eq!(bare.len(), gated.len());
            host.finish().code(0);
        });
        for (trick, witness) in harmless() {
            let seen = witness.clone();
            suite.bare(era, trick, move |world| {
                let mut host = world.bare(era, trick);
                host.open();
                host.walk();
                assert!(seen.is_in(&host.stdout), "{trick} does not show");
            });
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                host.open();
                host.walk();
                assert!(witness.is_in(&host.stdout), "{trick} does not show behind the gate");
                assert_eq!(host.tool("read_note", json!({ "name": "today" })), "Buy milk.");
                host.finish().code(0);
            });
        }
        suite.add(&format!("{}::honest::asks_the_user", era.name()), move |world| asks(&mut world.gate(era, "honest")));
    }
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        suite.add(&format!("legacy::honest::{version}"), move |world| {
            let mut host = world.gate(Era::Legacy, "honest");
            host.version = version;
            let opening = host.open();
            assert_eq!(opening["protocolVersion"], version);
            assert_eq!(host.tools(), ["read_note", "write_note", "search_notes", "received"]);
            host.finish().code(0);
        });
    }
    // one lock serves both eras, as it holds the same catalog
    for (approved, era) in [(Era::Modern, Era::Legacy), (Era::Legacy, Era::Modern)] {
        suite.add(&format!("{}::honest::approved_in_the_other_era", era.name()), move |world| {
            let mut host = world.gate_with(era, "honest", &world.lock(approved), "");
            host.open();
            assert_eq!(host.tools().len(), 4);
            host.finish().code(0);
        });
        suite.add(&format!("{}::description::approved_in_the_other_era", era.name()), move |world| {
            let mut host = world.gate_with(era, "description", &world.lock(approved), "");
            let id = host.ask_opening();
            let answer = host.answer(id);
            host.refused(&answer, &["catalog-changed"]);
            host.finish().code(3).without(MARK);
        });
        // a server of both eras, met by a host of one
        suite.add(&format!("{}::honest::dual_server", era.name()), move |world| {
            let profile = world.profile("");
            let (lock, profile) = (world.lock(approved), profile.to_str().unwrap().to_owned());
            let options = ["--lock", lock.to_str().unwrap(), "--profile", &profile];
            let line = world.line("run", &options, "dual", "honest");
            let mut host = Host::start(world.mcpjail(&world.home(), &line), era);
            host.open();
            assert_eq!(host.tools().len(), 4);
            host.finish().code(0);
        });
    }
    suite.add("modern::honest::any_request_may_be_the_first", |world| {
        let mut host = world.gate(Era::Modern, "honest");
        assert_eq!(host.tool("read_note", json!({ "name": "today" })), "Buy milk.");
        host.finish().code(0);
        let mut host = world.gate(Era::Modern, "description");
        let id = host.ask_tool("read_note", json!({ "name": "today" }));
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.end().code(3).without(MARK).without("Buy milk").lines(1);
    });
}

/// A session; the lines that the host got.
fn script(host: &mut Host) -> Vec<String> {
    host.open();
    for (method, member) in LISTS {
        host.list(method, member);
    }
    assert_eq!(host.tool("read_note", json!({ "name": "today", "form": "text" })), "Buy milk.");
    host.get("prompts/get", json!({ "name": "summarise", "arguments": { "note": "today" } }));
    host.get("resources/read", json!({ "uri": "note://shelf/yesterday" }));
    host.get("resources/read", json!({ "uri": "note://archive/2019/may" }));
    host.get(
        "completion/complete",
        json!({
            "ref": { "type": "ref/prompt", "name": "summarise" }, "argument": { "name": "note", "value": "t" },
        }),
    );
    // errors of the server's pass as they are
    let id = host.ask("tools/list", json!({ "cursor": "nonsense" }));
    assert_eq!(host.answer(id)["error"]["code"], -32_602);
    let id = host.ask("no/such/method", json!({}));
    assert_eq!(host.answer(id)["error"]["code"], -32_601);
    String::from_utf8_lossy(&host.stdout).lines().map(str::to_owned).collect()
}

/// A tool that asks the user: the question reaches the host, its answer the server, and the state comes back as it was.
fn asks(host: &mut Host) {
    host.capabilities = json!({ "elicitation": {} });
    host.open();
    let arguments = json!({ "name": "new", "text": "x", "confirm": true });
    let id = host.ask_tool("write_note", arguments.clone());
    let yes = json!({ "action": "accept", "content": { "sure": true } });
    let answer = match host.era {
        Era::Legacy => {
            let question = host.message("the question", |message| message["method"] == "elicitation/create");
            host.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": yes }));
            host.answer(id)
        }
        Era::Modern => {
            let answer = host.answer(id);
            let result = host.result(&answer);
            assert_eq!(result["resultType"], "input_required", "{result}");
            let (id, message) = host.request(
                "tools/call",
                json!({
                    "name": "write_note", "arguments": arguments,
                    "inputResponses": { "sure": yes }, "requestState": result["requestState"],
                }),
            );
            host.send(&message);
            host.answer(id)
        }
    };
    let result: Value = host.result(&answer);
    assert_eq!(result["content"][0]["text"], "written", "{result}");
}
