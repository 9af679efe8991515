//! Lists that harm whoever walks them, and walks that do not get on.

use crate::Suite;
use crate::host::{Era, Host};
use crate::witness::MARK;
use serde_json::json;

/// So that no trial waits for the default.
const IMPATIENT: &str = "[gate]\ntimeout = \"2s\"\n";
/// The longest error that a host should be given, bytes.
const SHORT: usize = 4096;

/// More memory than mcpjail may need for a server that floods, KiB.
const BIG: u64 = 128 << 10;

/// The tricks, with the codes that may refuse them.
const HARMFUL: [(&str, &[&str]); 6] = [
    ("endless-cursor", &["catalog-too-large", "catalog-malformed"]),
    ("endless-tools", &["catalog-too-large", "catalog-malformed", "catalog-changed"]),
    ("cursor-cycle", &["catalog-too-large", "catalog-malformed"]),
    ("ten-thousand-tools", &["catalog-changed"]),
    ("ten-megabytes", &["catalog-changed", "catalog-too-large"]),
    ("duplicate-names", &["catalog-malformed"]),
];

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        for (trick, codes) in HARMFUL {
            suite.bare(era, trick, move |world| harms(world.bare(era, trick), trick));
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                let id = host.ask_opening();
                let answer = host.answer(id);
                host.refused(&answer, codes);
                let ended = host.finish();
                ended.code(3).lines(1);
                assert!(ended.stdout.len() < SHORT, "an error of {} bytes", ended.stdout.len());
            });
        }
        suite.add(&format!("{}::ten-thousand-tools::approved", era.name()), move |world| {
            let lock = world.approve(era.name(), "ten-thousand-tools");
            let mut host = world.gate_with(era, "ten-thousand-tools", &lock, "");
            host.open();
            assert_eq!(host.tools().len(), 10_000);
            host.finish().code(0);
        });
        for trick in ["endless-cursor", "cursor-cycle", "duplicate-names"] {
            suite.add(&format!("{}::{trick}::approve", era.name()), move |world| {
                let lock = world.fresh("locks", ".lock.json");
                let output = world.approve_into(&lock, era.name(), trick);
                assert!(output.status.code().is_some_and(|code| code != 0), "it was approved");
                assert!(!lock.exists(), "there is a lock");
            });
        }
        // without a host to be patient for, and with one thread that reads and one that decides
        for trick in ["flood-handshake", "flood-list", "flood-pings", "stall-list", "deaf"] {
            suite.add(&format!("{}::{trick}::approve", era.name()), move |world| {
                let lock = world.fresh("locks", ".lock.json");
                let profile = world.profile(IMPATIENT);
                let options = ["--yes", "--lock", lock.to_str().unwrap(), "--profile", profile.to_str().unwrap()];
                let output = world.finish(&world.line("approve", &options, era.name(), trick));
                assert!(output.status.code().is_some_and(|code| code != 0), "it was approved");
                assert!(!lock.exists(), "there is a lock");
            });
        }
        stalls(suite, era);
        deaf(suite, era);
        floods(suite, era);
    }
}

/// What the trick does to a host without a gate.
fn harms(mut host: Host, trick: &str) {
    host.open();
    match trick {
        "endless-cursor" | "endless-tools" | "cursor-cycle" => {
            let mut cursor = json!("after:2");
            for _page in 0..500 {
                let page = host.get("tools/list", json!({ "cursor": cursor }));
                cursor = page["nextCursor"].clone();
                assert!(cursor.is_string(), "the list has an end: {page}");
            }
        }
        "ten-thousand-tools" => assert_eq!(host.tools().len(), 10_000),
        "ten-megabytes" => {
            host.tools();
            assert!(host.stdout.len() > 10_000_000 && host.saw(MARK));
        }
        _ => {
            let tools = host.tools();
            assert_eq!(tools.iter().filter(|name| *name == "read_note").count(), 2);
        }
    }
}

fn stalls(suite: &mut Suite, era: Era) {
    suite.bare(era, "stall-list", move |world| {
        let mut host = world.bare(era, "stall-list");
        host.open();
        let list = host.ask("tools/list", json!({}));
        // what was asked after it is answered before it, so that the list never will be
        host.get("tools/call", json!({ "name": "received", "arguments": {} }));
        assert!(!host.saw(&format!("\"id\":{list},")));
    });
    suite.gate(era, "stall-list", move |world| {
        let mut host = world.gate_with(era, "stall-list", &world.lock(era), IMPATIENT);
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-timeout"]);
        host.finish().code(3).lines(1);
    });
}

/// A server that fills the pipe to it and reads nothing more: nobody waits for it longer than for one that is silent.
fn deaf(suite: &mut Suite, era: Era) {
    suite.bare(era, "deaf", move |world| {
        let mut host = world.bare(era, "deaf");
        host.open();
        for _ping in 0..4_000 {
            host.message("a ping", |message| message["method"] == "ping");
        }
    });
    suite.gate(era, "deaf", move |world| {
        let mut host = world.gate_with(era, "deaf", &world.lock(era), IMPATIENT);
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-timeout"]);
        host.finish().code(3).lines(1);
    });
}

fn floods(suite: &mut Suite, era: Era) {
    for trick in ["flood-handshake", "flood-list", "flood-pings", "flood-list-changed"] {
        suite.bare(era, trick, move |world| {
            let mut host = world.bare(era, trick);
            if trick == "flood-handshake" || trick == "flood-pings" {
                host.ask_opening();
            } else {
                host.open();
                host.ask("tools/list", json!({}));
                host.ask_tool("read_note", json!({ "name": "today" }));
            }
            for _line in 0..100_000 {
                host.message("another message", |message| message["method"].is_string());
                host.stdout.clear();
            }
        });
    }
    suite.gate(era, "flood-list-changed", move |world| {
        let mut host = world.gate_with(era, "flood-list-changed", &world.lock(era), IMPATIENT);
        host.open();
        host.listen();
        let open = host.ask_tool("search_notes", json!({ "query": "later" }));
        host.ask_tool("read_note", json!({ "name": "today" }));
        let answer = host.answer_below(open, BIG);
        host.refused(&answer, &["catalog-too-large", "catalog-timeout"]);
        host.end().code(3);
    });
    for trick in ["flood-handshake", "flood-list", "flood-pings"] {
        suite.gate(era, trick, move |world| {
            let mut host = world.gate_with(era, trick, &world.lock(era), IMPATIENT);
            let id = host.ask_opening();
            let answer = host.answer_below(id, BIG);
            host.refused(&answer, &["catalog-too-large", "catalog-malformed", "catalog-timeout"]);
            host.finish().code(3).lines(1).without(MARK);
        });
    }
}
