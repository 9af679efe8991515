//! Messages of the server's that break the rules: they never reach the host, and its request does not hang.

use crate::Suite;
use crate::host::{Era, Host, contains};
use crate::witness::MARK;
use serde_json::{Value, json};

/// Broken answers whose id can be told.
const BROKEN: [&str; 12] = [
    "duplicate-keys",
    "escaped-key",
    "deep-duplicate-keys",
    "folded-key",
    "folded-long-s",
    "invalid-utf8",
    "lone-surrogate",
    "control-character",
    "deep-nesting",
    "huge-number",
    "result-and-error",
    "no-version",
];

/// Answers that come with others that nobody asked for, and are honest themselves.
const SURPLUS: [&str; 4] = ["unasked-response", "two-responses", "text-id", "fraction-id"];

const IMPATIENT: &str = "[gate]\ntimeout = \"2s\"\n";
/// What may refuse a walk whose answers are broken.
const WALK: [&str; 4] = ["bad-message", "catalog-malformed", "catalog-changed", "catalog-timeout"];

fn read_note(host: &mut Host) -> i64 {
    host.ask_tool("read_note", json!({ "name": "today" }))
}

/// The control of all of them: the line with the mark arrives.
fn bare(suite: &mut Suite, era: Era, trick: &'static str) {
    suite.bare(era, trick, move |world| {
        let mut host = world.bare(era, trick);
        host.open();
        read_note(&mut host);
        host.until(MARK.as_bytes());
    });
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        for trick in BROKEN {
            bare(suite, era, trick);
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                host.open();
                let id = read_note(&mut host);
                let answer = host.answer(id);
                host.refused(&answer, &["bad-message"]);
                // the session goes on
                assert_eq!(host.tool("write_note", json!({ "name": "a", "text": "b" })), "written");
                host.finish().code(0).without(MARK);
            });
        }
        for trick in SURPLUS {
            bare(suite, era, trick);
            suite.gate(era, trick, move |world| surplus(world.gate(era, trick)));
        }
        two_on_a_line(suite, era);
        in_lists(suite, era);
        in_handshake(suite, era);
        banner(suite, era);
        big_integer(suite, era);
        carriage_return(suite, era);
        huge_line(suite, era);
        batches(suite, era);
    }
}

fn surplus(mut host: Host) {
    host.open();
    for _call in 0..3 {
        let id = read_note(&mut host);
        let answer = host.answer(id);
        assert_eq!(host.result(&answer)["content"][0]["text"], "Buy milk.");
    }
    let ids: Vec<Value> = host
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message.get("method").is_none())
        .map(|message| message["id"].clone())
        .collect();
    let asked: Vec<Value> = (1..=i64::try_from(ids.len()).unwrap()).map(Value::from).collect();
    assert_eq!(ids, asked, "each request has one answer");
    host.finish().code(0).without(MARK);
}

/// Which request two messages on a line answer cannot be told: it stays open, as if the server had said nothing.
fn two_on_a_line(suite: &mut Suite, era: Era) {
    bare(suite, era, "two-on-a-line");
    suite.gate(era, "two-on-a-line", move |world| {
        let mut host = world.gate(era, "two-on-a-line");
        host.open();
        read_note(&mut host);
        assert_eq!(host.tool("write_note", json!({ "name": "a", "text": "b" })), "written");
        let ended = host.finish();
        ended.code(0).without(MARK);
        assert!(ended.stderr.contains("dropped"), "nobody is told; {ended}");
    });
}

/// The same in the answers that the gate itself asks for.
fn in_lists(suite: &mut Suite, era: Era) {
    for trick in BROKEN.into_iter().chain(["two-on-a-line", "big-integer", "batch"]) {
        // leaked: a few names that live as long as the suite
        let tricks: &'static str = Box::leak(format!("{trick},in-lists").into_boxed_str());
        suite.gate(era, tricks, move |world| {
            let mut host = world.gate_with(era, tricks, &world.lock(era), IMPATIENT);
            let id = host.ask_opening();
            let answer = host.answer(id);
            host.refused(&answer, &WALK);
            host.finish().code(3).without(MARK).lines(1);
        });
    }
    suite.bare(era, "duplicate-keys,in-lists", move |world| {
        let mut host = world.bare(era, "duplicate-keys,in-lists");
        host.open();
        host.ask("tools/list", json!({}));
        host.until(MARK.as_bytes());
    });
    for trick in SURPLUS {
        let tricks: &'static str = Box::leak(format!("{trick},in-lists").into_boxed_str());
        suite.gate(era, tricks, move |world| {
            let mut host = world.gate(era, tricks);
            host.open();
            assert_eq!(host.tools().len(), 4);
            host.finish().code(0).without(MARK);
        });
    }
}

fn in_handshake(suite: &mut Suite, era: Era) {
    for trick in ["duplicate-keys", "invalid-utf8", "deep-nesting", "folded-key"] {
        let tricks: &'static str = Box::leak(format!("{trick},in-handshake").into_boxed_str());
        suite.bare(era, tricks, move |world| {
            let mut host = world.bare(era, tricks);
            host.ask_opening();
            host.until(MARK.as_bytes());
        });
        suite.gate(era, tricks, move |world| {
            let mut host = world.gate_with(era, tricks, &world.lock(era), IMPATIENT);
            let id = host.ask_opening();
            let answer = host.answer(id);
            assert!(answer.get("error").is_some(), "{answer}");
            host.finish().without(MARK);
        });
    }
}

fn banner(suite: &mut Suite, era: Era) {
    bare(suite, era, "banner");
    suite.gate(era, "banner", move |world| {
        let mut host = world.gate(era, "banner");
        host.open();
        host.walk();
        let id = read_note(&mut host);
        let answer = host.answer(id);
        host.result(&answer);
        let ended = host.finish();
        ended.code(0).without(MARK);
        assert!(ended.stderr.contains("listening on stdio"), "the banner is lost; {ended}");
        let warnings = ended.stderr.lines().filter(|line| line.contains("kept from the host"));
        assert_eq!(warnings.count(), 1, "one warning; {ended}");
        let messages = ended.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in messages {
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "{}", String::from_utf8_lossy(line));
        }
    });
}

/// More digits than a floating-point number keeps are no harm in a result: the bytes that came are the bytes that go.
fn big_integer(suite: &mut Suite, era: Era) {
    for gate in [false, true] {
        let trial = move |world: &crate::world::World| {
            let mut host = if gate { world.gate(era, "big-integer") } else { world.bare(era, "big-integer") };
            host.open();
            read_note(&mut host);
            host.until(b"\"x-deep\":9007199254740993,");
            host.finish().code(0);
        };
        if gate {
            suite.gate(era, "big-integer", trial);
        } else {
            suite.bare(era, "big-integer", trial);
        }
    }
}

/// What a reader sees that takes a carriage return for the end of a line.
fn smuggled(stdout: &[u8]) -> bool {
    let fragments = stdout.split(|byte| [b'\r', b'\n'].contains(byte));
    fragments.filter(|part| contains(part, MARK.as_bytes())).any(|part| {
        serde_json::from_slice::<Value>(part).is_ok_and(|message| message["result"]["content"][0]["text"] == MARK)
    })
}

fn carriage_return(suite: &mut Suite, era: Era) {
    suite.bare(era, "carriage-return", move |world| {
        let mut host = world.bare(era, "carriage-return");
        host.open();
        let id = read_note(&mut host);
        host.answer(id);
        assert!(smuggled(&host.stdout));
    });
    suite.gate(era, "carriage-return", move |world| {
        let mut host = world.gate(era, "carriage-return");
        host.open();
        let id = read_note(&mut host);
        host.answer(id);
        let ended = host.finish();
        ended.code(0);
        assert!(!smuggled(&ended.stdout), "a message in a message; {ended}");
    });
}

fn huge_line(suite: &mut Suite, era: Era) {
    bare(suite, era, "huge-line");
    suite.gate(era, "huge-line", move |world| {
        let mut host = world.gate(era, "huge-line");
        host.open();
        let id = read_note(&mut host);
        let answer = host.answer(id);
        assert!(answer["error"]["data"]["mcpjail"]["code"].is_string(), "{answer}");
        let ended = host.finish();
        ended.without(MARK);
        assert!(ended.stdout.len() < 1_000_000);
    });
}

fn batches(suite: &mut Suite, era: Era) {
    bare(suite, era, "batch");
    suite.gate(era, "batch", move |world| {
        let mut host = world.gate(era, "batch");
        host.open();
        let id = read_note(&mut host);
        let answer = host.answer(id);
        host.refused(&answer, &["bad-message"]);
        assert_eq!(host.tool("write_note", json!({ "name": "a", "text": "b" })), "written");
        host.finish().code(0).without(MARK);
    });
    if era == Era::Legacy {
        suite.add("legacy::batch::2025-03-26", |world| {
            let mut host = world.gate(Era::Legacy, "batch");
            host.version = "2025-03-26";
            host.open();
            let id = read_note(&mut host);
            // the answer in the array is an answer, and the array is gone
            let answer = host.answer(id);
            assert_eq!(host.result(&answer)["content"][0]["text"], MARK);
            host.finish().code(0).without("[{\"id\":");
        });
    }
}
