//! What a host, or something that speaks through it, must not get across to the server.

use crate::Suite;
use crate::host::{Era, Host};
use serde_json::{Value, json};

/// In every line that must not arrive.
const TOKEN: &str = "from-a-bad-host";

/// Lines that are no messages, by what is wrong with them.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let text = |line: &str| line.replace('%', TOKEN).into_bytes();
    let mut all = vec![
        ("words", text("hello %")),
        ("cut off", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","params":{"a":"%""#)),
        (
            "method twice",
            text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","method":"tools/call","params":{"a":"%"}}"#),
        ),
        ("a deep key twice", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","params":{"a":{"b":1,"b":"%"}}}"#)),
        (
            "escaped twin",
            text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","m\u0065thod":"tools/call","params":{"a":"%"}}"#),
        ),
        ("other case", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","Method":"tools/call","params":{"a":"%"}}"#)),
        ("long s", text("{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":\"ping\",\"param\u{17f}\":{\"a\":\"%\"}}")),
        ("two messages", text(r#"{"jsonrpc":"2.0","method":"a"}{"jsonrpc":"2.0","method":"%"}"#)),
        ("no version", text(r#"{"id":900,"method":"ping","params":{"a":"%"}}"#)),
        ("other version", text(r#"{"jsonrpc":"1.0","id":900,"method":"ping","params":{"a":"%"}}"#)),
        ("no method", text(r#"{"jsonrpc":"2.0","id":900,"params":{"a":"%"}}"#)),
        ("text for parameters", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","params":"%"}"#)),
        ("null for an id", text(r#"{"jsonrpc":"2.0","id":null,"method":"ping","params":{"a":"%"}}"#)),
        ("fraction for an id", text(r#"{"jsonrpc":"2.0","id":900.5,"method":"ping","params":{"a":"%"}}"#)),
        ("too big an id", text(r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping","params":{"a":"%"}}"#)),
        ("object for an id", text(r#"{"jsonrpc":"2.0","id":{},"method":"ping","params":{"a":"%"}}"#)),
        ("half a surrogate pair", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","params":{"a":"% \ud83d."}}"#)),
        ("a huge number", text(r#"{"jsonrpc":"2.0","id":900,"method":"ping","params":{"a":"%","b":1e400}}"#)),
        ("a NUL", text("{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":\"ping\",\"params\":{\"a\":\"%\0\"}}")),
        (
            "a byte order mark",
            text("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":\"ping\",\"params\":{\"a\":\"%\"}}"),
        ),
        ("an empty array", text("[]")),
        ("a number", text("900")),
    ];
    let around = |middle: &[u8]| {
        let head = format!(r#"{{"jsonrpc":"2.0","id":900,"method":"ping","params":{{"a":"{TOKEN}","b":"#);
        [head.as_bytes(), middle, b"}}"].concat()
    };
    all.push(("no UTF-8", around(b"\"\xff\xfe\"")));
    all.push(("overlong UTF-8", around(b"\"\xc0\xaf\"")));
    all.push(("too deep", around(&[b"[".repeat(100_000), b"]".repeat(100_000)].concat())));
    all
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        suite.add(&format!("{}::malformed_lines::bare", era.name()), move |world| {
            let mut host = world.bare(era, "honest");
            host.open();
            for (_, line) in malformed() {
                host.raw(&line);
            }
            let got = host.received().iter().filter(|line| line.contains(TOKEN)).count();
            assert_eq!(got, malformed().len() - 2, "all but the two that have no word in them");
        });
        suite.add(&format!("{}::malformed_lines::gate", era.name()), move |world| {
            let mut host = world.gate(era, "honest");
            host.open();
            for (what, line) in malformed() {
                refuses(&mut host, what, &line);
            }
            let received = host.received();
            assert!(!received.iter().any(|line| line.contains(TOKEN)), "{received:?}");
            assert!(!received.iter().any(|line| ["[]", "900"].contains(&line.as_str())), "{received:?}");
            host.finish().code(0);
        });
        suite.add(&format!("{}::malformed_lines::before_the_opening", era.name()), move |world| {
            let mut host = world.gate(era, "honest");
            for (what, line) in malformed().into_iter().take(4) {
                refuses(&mut host, what, &line);
            }
            host.open();
            assert!(!host.received().iter().any(|line| line.contains(TOKEN)));
            host.finish().code(0);
        });
        for gate in [false, true] {
            let way = if gate { "gate" } else { "bare" };
            suite.add(&format!("{}::reused_id::{way}", era.name()), move |world| {
                reused_id(if gate { world.gate(era, "honest") } else { world.bare(era, "honest") }, gate);
            });
            suite.add(&format!("{}::unasked_answers::{way}", era.name()), move |world| {
                unasked(if gate { world.gate(era, "honest") } else { world.bare(era, "honest") }, gate);
            });
        }
    }
    batches(suite);
    suite.add("legacy::ping_before_the_opening::gate", |world| {
        let mut host = world.gate(Era::Legacy, "honest");
        let id = host.ask("ping", json!({}));
        assert_eq!(host.answer(id)["result"], json!({}));
        host.open();
        let ping = format!("\"id\":{id},");
        let got = |line: &String| line.contains("\"ping\"") && line.contains(&ping);
        assert!(!host.received().iter().any(got), "the server was asked");
        // and once it is open, a ping is the server's to answer
        let id = host.ask("ping", json!({}));
        assert_eq!(host.answer(id)["result"], json!({}));
        host.finish().code(0);
    });
}

/// The line must be answered by an error of the two kinds for such lines.
fn refuses(host: &mut Host, what: &str, line: &[u8]) {
    host.raw(line);
    let answer = host.message(&format!("an error for {what}"), |message| {
        message.get("error").is_some() || message.get("result").is_some()
    });
    let code = answer["error"]["code"].as_i64().unwrap_or_default();
    assert!([-32_700, -32_600].contains(&code), "{what}: {answer}");
    let id = &answer["id"];
    assert!(id.is_null() || *id == json!(900), "{what} is answered under another id: {answer}");
}

/// Two requests under one id while the first is open.
fn reused_id(mut host: Host, gate: bool) {
    host.open();
    let (id, first) = host.request("tools/call", json!({ "name": "search_notes", "arguments": { "query": "later" } }));
    host.send(&first);
    let (_, mut second) =
        host.request("tools/call", json!({ "name": "read_note", "arguments": { "name": "yesterday" } }));
    second["id"] = json!(id);
    host.send(&second);
    if gate {
        let answer = host.answer(id);
        assert!(answer["error"]["data"]["mcpjail"]["code"].is_string(), "{answer}");
    } else {
        assert_eq!(host.answer(id)["result"]["content"][0]["text"], "Bought bread.");
    }
    // the first is still open, and is answered
    let release = host.ask_tool("write_note", json!({ "name": "a", "text": "b" }));
    assert_eq!(host.answer(id)["result"]["content"][0]["text"], "found nothing");
    host.answer(release);
    let got = host.received().iter().any(|line| line.contains("yesterday"));
    assert_eq!(got, !gate, "whether the second arrived");
    host.finish().code(0);
}

/// Answers to what the server never asked.
fn unasked(mut host: Host, gate: bool) {
    host.open();
    host.send(&json!({ "jsonrpc": "2.0", "id": "roots-0", "result": { "roots": [{ "uri": TOKEN }] } }));
    host.send(&json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": TOKEN } }));
    let got = host.received().iter().filter(|line| line.contains(TOKEN)).count();
    assert_eq!(got, if gate { 0 } else { 2 });
    host.finish().code(0);
}

fn batches(suite: &mut Suite) {
    let batch = |host: &mut Host| -> (i64, i64, Value) {
        let (list, first) = host.request("tools/list", json!({}));
        let call = json!({ "name": "read_note", "arguments": { "name": "yesterday" } });
        let (call, second) = host.request("tools/call", call);
        (list, call, json!([first, second]))
    };
    suite.add("legacy::host_batch::2025-03-26", move |world| {
        let mut host = world.gate(Era::Legacy, "honest");
        host.version = "2025-03-26";
        host.open();
        let (list, call, message) = batch(&mut host);
        host.send(&message);
        for _answer in 0..2 {
            let answer = host.message("an answer", |message| [json!(list), json!(call)].contains(&message["id"]));
            host.result(&answer);
        }
        let received = host.received();
        assert!(!received.iter().any(|line| line.starts_with('[')), "the array went on: {received:?}");
        host.finish().code(0);
    });
    suite.add("legacy::host_batch::smuggles_nothing", move |world| {
        let mut host = world.gate(Era::Legacy, "unlisted");
        host.version = "2025-03-26";
        host.open();
        let (_, first) = host.request("ping", json!({}));
        let (id, second) = host.request("tools/call", json!({ "name": "hidden", "arguments": {} }));
        host.send(&json!([first, second]));
        let answer = host.answer(id);
        host.refused(&answer, &["not-approved-item"]);
        assert!(!host.received().iter().any(|line| line.contains("hidden")));
        host.finish().code(0);
    });
    for (era, version) in [(Era::Legacy, "2025-06-18"), (Era::Legacy, "2024-11-05"), (Era::Modern, "2026-07-28")] {
        suite.add(&format!("{}::host_batch::{version}", era.name()), move |world| {
            let mut host = world.gate(era, "honest");
            host.version = version;
            host.open();
            let (_, _, message) = batch(&mut host);
            host.send(&message);
            let answer = host.message("the error", |message| message.get("error").is_some());
            assert_eq!(answer["error"]["code"], -32_600, "{answer}");
            let received = host.received();
            assert!(!received.iter().any(|line| line.contains("yesterday")), "{received:?}");
            host.finish().code(0);
        });
    }
}
