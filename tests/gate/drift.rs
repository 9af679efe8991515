//! A catalog that is not the approved one from the first message on: the host must see an error, and nothing else.

use crate::Suite;
use crate::host::Era;
use crate::witness::{MARK, Witness, tagged};

/// The tricks, and how each shows to a host without a gate.
fn tricks() -> Vec<(&'static str, Witness)> {
    let marked = [
        "description",
        "title",
        "schema-description",
        "enum",
        "default",
        "output-schema",
        "parameters",
        "annotation",
        "icon",
        "meta",
        "unknown-field",
        "instructions",
        "server-info",
        "prompt",
        "prompt-argument",
        "template",
        "namespace",
        "page-two",
        "renamed",
        "added",
    ];
    let mut all: Vec<_> = marked.into_iter().map(|trick| (trick, Witness::mark())).collect();
    all.push(("invisible", Witness::Has(tagged(MARK))));
    all.push(("constraint", Witness::Has(r#""maxLength":1000000"#.into())));
    all.push(("hint", Witness::Has(r#""readOnlyHint":false"#.into())));
    all.push(("removed", Witness::Lacks(r#""name":"search_notes""#)));
    all
}

pub fn trials(suite: &mut Suite) {
    for era in Era::BOTH {
        for (trick, witness) in tricks() {
            let seen = witness.clone();
            suite.bare(era, trick, move |world| {
                let mut honest = world.bare(era, "honest");
                honest.open();
                honest.walk();
                assert!(!seen.is_in(&honest.stdout), "an honest walk looks like {trick}");
                let mut host = world.bare(era, trick);
                host.open();
                host.walk();
                assert!(seen.is_in(&host.stdout), "{trick} does not reach a host without a gate");
            });
            suite.gate(era, trick, move |world| {
                let mut host = world.gate(era, trick);
                let id = host.ask_opening();
                let answer = host.answer(id);
                let message = host.refused(&answer, &["catalog-changed"]);
                assert!(message.contains("mcpjail approve"), "no remedy: {message}");
                // a host of the modern era may take the error for an old server's, and ask again
                let ended = if era == Era::Modern { host.finish() } else { host.end() };
                ended.code(3).lines(1);
                // the name of what is new has to be said; texts do not
                if !["renamed", "namespace", "removed"].contains(&trick) {
                    assert!(!witness.is_in(&ended.stdout), "{trick} reached the host; {ended}");
                }
                assert!(ended.stderr.contains("catalog-changed"), "stderr does not say it; {ended}");
            });
        }
    }
    suite.add("legacy::description::the_lock_stays", |world| {
        let lock = world.lock(Era::Legacy);
        let before = std::fs::read(&lock).unwrap();
        for _attempt in 0..2 {
            let mut host = world.gate_with(Era::Legacy, "description", &lock, "");
            let id = host.ask_opening();
            let answer = host.answer(id);
            host.refused(&answer, &["catalog-changed"]);
            host.end().code(3);
        }
        assert!(std::fs::read(&lock).unwrap() == before, "a refused catalog changed the lock");
    });
    suite.add("legacy::description::approved", |world| {
        let lock = world.approve("legacy", "description");
        let mut host = world.gate_with(Era::Legacy, "description", &lock, "");
        host.open();
        host.walk();
        assert!(host.saw(MARK), "what was approved passes");
        host.finish().code(0);
        // and what was honest is drift now
        let mut host = world.gate_with(Era::Legacy, "honest", &lock, "");
        let id = host.ask_opening();
        let answer = host.answer(id);
        host.refused(&answer, &["catalog-changed"]);
        host.end().code(3);
    });
}
