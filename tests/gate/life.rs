//! Servers that end, or do not: every open request is answered, and nobody is left behind.

use crate::Suite;
use crate::host::{Era, Host, PATIENCE};
use crate::witness::MARK;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A host that writes all that it wants to know, closes its stream and reads.
fn all_at_once(mut host: Host) {
    let opening = host.ask_opening();
    if host.era == Era::Legacy {
        host.notify("notifications/initialized");
    }
    let list = host.ask("tools/list", json!({}));
    let call = host.ask_tool("write_note", json!({ "name": "a", "text": "b" }));
    host.close();
    for id in [opening, list, call] {
        let answer = host.answer(id);
        host.result(&answer);
    }
    host.end().code(0);
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        suite.add(&format!("{}::honest::stdin_closed_at_once", era.name()), move |world| {
            all_at_once(world.gate(era, "honest"))
        });
        for trick in ["die-in-handshake", "half-handshake"] {
            suite.bare(era, trick, move |world| {
                let mut host = world.bare(era, trick);
                host.ask_opening();
                let half = host.end().stdout;
                assert_eq!(half.is_empty(), trick == "die-in-handshake");
            });
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                let id = host.ask_opening();
                let answer = host.answer(id);
                host.refused(&answer, &["server-ended"]);
                host.end().code(5).without(MARK).lines(1);
            });
        }
        for trick in ["die-in-call", "half-message", "close-stdout"] {
            suite.bare(era, trick, move |world| {
                let mut host = world.bare(era, trick);
                host.open();
                let before = host.stdout.len();
                host.ask_tool("read_note", json!({ "name": "today" }));
                while let Ok(Some(_)) = host.next(Instant::now() + PATIENCE) {}
                let rest = host.stdout.split_off(before);
                assert!(!rest.contains(&b'\n'), "it was answered: {}", String::from_utf8_lossy(&rest));
            });
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                host.open();
                ends(host);
            });
        }
        suite.bare(era, "close-stdin", move |world| {
            let mut host = world.bare(era, "close-stdin");
            host.open();
            let id = host.ask_tool("read_note", json!({ "name": "today" }));
            // it lives, and says nothing
            assert!(host.next(Instant::now() + Duration::from_millis(200)).is_err());
            assert!(!host.saw(&format!("\"id\":{id},")));
        });
        suite.gate(era, "close-stdin", move |world| {
            let mut host = world.gate(era, "close-stdin");
            host.open();
            let call = host.ask_tool("read_note", json!({ "name": "today" }));
            // it shows when something is to be sent, which may be before the stream is closed or after
            let deadline = Instant::now() + PATIENCE;
            while !host.saw(&format!("\"id\":{call},")) {
                assert!(Instant::now() < deadline, "nobody notices: {}", host.stderr());
                host.ask_tool("search_notes", json!({ "query": "later" }));
                let _nothing_yet = host.next(Instant::now() + Duration::from_millis(50));
            }
            let ended = host.end();
            ended.code(5);
            assert!(ended.stdout.windows(12).any(|part| part == b"server-ended"), "{ended}");
        });
        storm(suite, era);
        ignores_sigterm(suite, era);
    }
}

/// Two requests are open when the server ends; both get an error, and mcpjail ends by itself.
fn ends(mut host: Host) {
    let later = host.ask_tool("search_notes", json!({ "query": "later" }));
    let call = host.ask_tool("read_note", json!({ "name": "today" }));
    for _answer in 0..2 {
        let answer = host.message("an answer", |message| [json!(later), json!(call)].contains(&message["id"]));
        host.refused(&answer, &["server-ended"]);
    }
    host.end().code(5).without(MARK);
}

fn storm(suite: &mut Suite, era: Era) {
    let count = |host: &Host| {
        let lines = host.stdout.split(|byte| *byte == b'\n');
        let changed = |line: &&[u8]| {
            serde_json::from_slice::<Value>(line)
                .is_ok_and(|message| message["method"] == "notifications/tools/list_changed")
        };
        lines.filter(changed).count()
    };
    suite.bare(era, "list-changed-storm", move |world| {
        let mut host = world.bare(era, "list-changed-storm");
        host.open();
        host.listen();
        host.received();
        assert_eq!(count(&host), 5_000);
        host.tool("read_note", json!({ "name": "today" }));
        assert_eq!(count(&host), 10_000);
    });
    suite.gate(era, "list-changed-storm", move |world| {
        let mut host = world.gate(era, "list-changed-storm");
        host.open();
        host.listen();
        host.ask_tool("read_note", json!({ "name": "today" }));
        host.message("one notification", |message| message["method"] == "notifications/tools/list_changed");
        let walks = host.received().iter().filter(|line| line.contains("tools/list")).count();
        assert!(walks < 1_000, "{walks} walks for 10,000 notifications");
        assert_eq!(host.tools().len(), 4);
        host.finish().code(0);
    });
}

/// Whether a process runs this program.
fn runs(program: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).next() == Some(program.as_bytes()))
}

fn ignores_sigterm(suite: &mut Suite, era: Era) {
    suite.bare(era, "ignore-sigterm", move |world| {
        let mut host = world.bare(era, "ignore-sigterm");
        host.open();
        host.close();
        assert!(!host.ends_within(Duration::from_millis(200)), "the end of stdin ended it");
        host.terminate();
        assert!(!host.ends_within(Duration::from_millis(200)), "SIGTERM ended it");
    });
    suite.gate(era, "ignore-sigterm", move |world| {
        // a program of its own, so that it can be told from the other trials' processes
        let program = world.fresh("bin", "-deaf");
        std::fs::copy(world.rugpull(), &program).unwrap();
        let program = program.to_str().unwrap();
        let (lock, line) = (world.fresh("locks", ".lock.json"), |subcommand: &str, options: &[&str], trick: &str| {
            let mut line = world.line(subcommand, options, era.name(), trick);
            line.pop();
            line.push(program.into());
            line
        });
        let lock = lock.to_str().unwrap();
        let approved = world.finish(&line("approve", &["--yes", "--lock", lock], "honest"));
        assert_eq!(approved.status.code(), Some(0), "{}", String::from_utf8_lossy(&approved.stderr));
        let mut host =
            Host::start(world.mcpjail(&world.home(), &line("run", &["--lock", lock], "ignore-sigterm")), era);
        host.open();
        assert!(runs(program), "it cannot be seen");
        host.finish().code(0);
        assert!(!runs(program), "it was left behind");
    });
}
