//! Case 50: questions. What is asked for a name that is not granted is not passed on, of a granted one nothing but the name,
//! and what is no question does no harm.

use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::{A, AAAA};
use crate::names::{NO_NAME, PORT, grant, question, served};
use crate::namespaces::ROUTER_V4;
use crate::support::expect::Rule;
use crate::support::expect::Want::{Any, Fails, Works, WorksOr};
use crate::world::{PUBLIC_DNS, Stage};
use serde_json::{Value, json};

/// Data in labels, to the machine's resolver and to public ones, by UDP and TCP, as questions of many types.
fn tunnel(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let granted = stage.world.name("api");
    served(stage, &granted);
    let data = format!("{}x{}", "5ec2e7".repeat(8), stage.world.unique());
    let below = ["tunnel", "example", "org"];
    served(stage, &format!("{data}.{}", below.join(".")));
    let own: Vec<&str> = granted.split('.').collect();
    served(stage, &format!("{data}.{granted}"));
    let mut questions = Vec::new();
    for (place, server) in [("machine", ROUTER_V4), ("public", PUBLIC_DNS)] {
        for transport in ["udp", "tcp"] {
            for (kind, number) in [("a", A), ("aaaa", AAAA), ("txt", 16), ("null", 10), ("any", 255), ("https", 65)] {
                let labels: Vec<&str> = [&[data.as_str()], &below[..]].concat();
                let name = format!("{kind}:{place}:{transport}");
                let server = format!("{server}:53");
                questions.push(
                    json!({ "name": name, "server": server, "transport": transport, "labels": labels, "kind": number }),
                );
            }
        }
    }
    let labels: Vec<&str> = [&[data.as_str()], &own[..]].concat();
    questions.push(question("below-the-granted", &labels));
    let attack = json!({ "attack": "ask", "questions": questions });
    Ok(Scene { attack, refused: grant(&granted), silent_names: vec![data], ..Scene::default() })
}

/// Every type of question for the granted name itself: the resolver outside hears of addresses only, so that neither type
/// nor class nor anything else of the question is a way out.
fn other_types(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    served(stage, &name);
    let labels: Vec<&str> = name.split('.').collect();
    let ask = |step: &str, kind: u16, class: u16| {
        let mut question = question(step, &labels);
        question["kind"] = kind.into();
        question["class"] = class.into();
        question
    };
    let questions: Vec<Value> = [("a", A, 1), ("txt", 16, 1), ("mx", 15, 1), ("odd", 4711, 1), ("chaos", 16, 3)]
        .map(|(step, kind, class)| ask(step, kind, class))
        .to_vec();
    let (dns, world) = (stage.world.dns.clone(), name.clone());
    let verify = move |phase: Phase, _: &Value| {
        let kinds: Vec<u16> = dns.questions(&world).iter().map(|asked| asked.kind).collect();
        let foreign = kinds.iter().any(|kind| *kind != A && *kind != AAAA);
        match (phase, foreign) {
            (Phase::Control, false) | (Phase::Refused, true) => Err(format!("asked upstream: {kinds:?}")),
            _ => Ok(()),
        }
    };
    let attack = json!({ "attack": "ask", "questions": questions });
    Ok(Scene { attack, refused: grant(&name), verify: Some(Box::new(verify)), ..Scene::default() })
}

/// The machine's search list makes another name out of a granted one that does not exist.
fn search_list(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("gone");
    let longer = format!("{name}.corp.example.net");
    let address = served(stage, &longer);
    Ok(Scene {
        attack: json!({ "attack": "dial", "targets": [{ "name": "dial", "host": name, "port": PORT }] }),
        refused: grant(&name),
        silent_names: vec![longer],
        silent: vec![all_of(address)],
        ..Scene::default()
    })
}

/// Messages that are no questions, or only almost, by UDP and TCP; then a question.
fn garbage(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    served(stage, &name);
    let labels: Vec<&str> = name.split('.').collect();
    let header = |flags: &str, counts: &str| format!("4711{flags}{counts}");
    let messages = [
        ("empty", String::new()),
        ("one byte", "47".into()),
        ("a header", header("0100", "0000000000000000")),
        ("a question that is not there", header("0100", "0001000000000000")),
        ("all counts", header("0100", "ffffffffffffffff")),
        ("two questions", header("0100", "0002000000000000") + "0161000001000101610000010001"),
        ("an answer", header("8180", "0001000000000000") + "01610000010001"),
        ("an update", header("2800", "0001000000000000") + "01610000060001"),
        ("a notice", header("2000", "0001000000000000") + "01610000060001"),
        ("a pointer to itself", header("0100", "0001000000000000") + "c00c00010001"),
        ("a pointer outside", header("0100", "0001000000000000") + "ffff00010001"),
        ("a label too long", header("0100", "0001000000000000") + "7f" + &"61".repeat(20)),
        (
            "a name too long",
            header("0100", "0001000000000000") + &("3f".to_owned() + &"61".repeat(63)).repeat(5) + "0000010001",
        ),
        ("the root", header("0100", "0001000000000000") + "0000010001"),
        ("a transfer", header("0100", "0001000000000000") + "016100" + "00fc0001"),
        ("options twice", header("0100", "0001000000000002") + "01610000010001" + &"0000291000000000000000".repeat(2)),
        ("much behind it", header("0100", "0001000000000000") + "01610000010001" + &"00".repeat(1200)),
    ];
    let mut questions = Vec::new();
    for (step, message) in &messages {
        for transport in ["udp", "tcp"] {
            let name = format!("{transport} {step}");
            let server = format!("{ROUTER_V4}:53");
            // nobody has to answer by UDP, and nobody is waited for
            questions.push(json!({ "name": name, "server": server, "transport": transport, "message_hex": message, "patience_ms": 20 }));
        }
    }
    let mut slow = question("good in bytes", &labels);
    slow["transport"] = "tcp".into();
    slow["segment"] = 1.into();
    questions.push(slow);
    questions.push(question("good", &labels));
    let attack = json!({ "attack": "ask", "questions": questions });
    Ok(Scene { attack, refused: grant(&name), ..Scene::default() })
}

const CASES: &[Case] = &[
    Case {
        number: 50,
        name: "data-in-names",
        scene: tunnel,
        control: &[Rule("a:*", Works), Rule("below-*", Works), Rule("*", WorksOr(&["NODATA"]))],
        refused: Some(&[Rule("*", Fails(&["NXDOMAIN", "NOTIMP", "REFUSED"]))]),
        ..CASE
    },
    Case {
        number: 50,
        name: "other-types",
        scene: other_types,
        control: &[Rule("a", Works), Rule("*", Fails(&["NODATA"]))],
        refused: Some(&[Rule("a", Works), Rule("*", Fails(&["NODATA", "NOTIMP", "REFUSED"]))]),
        ..CASE
    },
    Case { number: 50, name: "search-list", scene: search_list, refused: Some(&[Rule("*", Fails(NO_NAME))]), ..CASE },
    Case {
        number: 50,
        name: "no-questions",
        scene: garbage,
        control: &[Rule("good*", Works), Rule("*", Any("this suite's own name server"))],
        // no answer and the end of the connection are answers, too
        refused: Some(&[
            Rule("good*", Works),
            Rule("*", Fails(&["FORMERR", "NOTIMP", "REFUSED", "NXDOMAIN", "NODATA", "EAGAIN", "EOF", "ECONNRESET"])),
        ]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
