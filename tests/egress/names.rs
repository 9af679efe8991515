//! Cases 46 and 48: names. What looks like a granted name is another one, and what its name server says later changes
//! nothing.

use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::{A, Script};
use crate::namespaces::ROUTER_V4;
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works, WorksOr};
use crate::world::{Grants, Stage};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The port of whatever is granted here.
pub const PORT: u16 = 7000;

/// That name on the port of these trials.
pub fn grant(name: &str) -> Grants {
    Grants::of(&[format!("{name}:{PORT}")])
}

/// A question made by hand, to the machine's name server: labels as they are.
pub fn question(step: &str, labels: &[&str]) -> Value {
    json!({ "name": step, "server": format!("{ROUTER_V4}:53"), "labels": labels })
}

/// A name with an address of its own.
pub fn served(stage: &Stage, name: &str) -> IpAddr {
    let address = stage.world.v4();
    stage.world.dns.set(name, Script::Addresses(vec![address]));
    address
}

/// Names around a granted one, as programs ask for them.
fn lookalikes(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    let number = stage.world.unique();
    served(stage, &name);
    let bare = name.trim_end_matches(".example.net");
    let others = [
        format!("{name}.evil-{number}.example.org"),
        format!("x{name}"),
        format!("x.{name}"),
        format!("{bare}-{number}.example.net"),
        format!("{bare}.example.org"),
        format!("{bare}_.example.net"),
        "example.net".to_owned(),
    ];
    for other in &others {
        served(stage, other);
    }
    // what asks for the apex is not this trial alone
    let silent_names = others.iter().filter(|other| other.len() > "example.net".len()).cloned().collect();
    let mut names = vec![name.clone(), name.to_ascii_uppercase(), format!("{name}.")];
    let same = names.len();
    names.extend(others);
    let step = |at: usize, name: &str| json!({ "name": if at < same { "same" } else { "other" }, "host": name });
    let targets: Vec<Value> = names.iter().enumerate().map(|(at, name)| step(at, name)).collect();
    let attack = json!({ "attack": "resolve", "targets": targets });
    let granted = names.iter().map(|name| format!("{}:{PORT}", name.trim_end_matches('.'))).collect::<Vec<_>>();
    Ok(Scene { attack, granted: Grants::of(&granted), refused: grant(&name), silent_names, ..Scene::default() })
}

/// Questions by hand whose labels read like a granted name, or hold what no name has.
fn odd_labels(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    let first = name.split('.').next().unwrap_or_default();
    let secret = format!("secret-{}", stage.world.unique());
    served(stage, &name);
    let dotted = format!("{first}.example.net");
    let odd = [("dot-in-a-label", vec![dotted.as_str()]), ("dot-in-the-end", vec![first, "example.net"])];
    let hidden: Vec<(&str, Vec<String>)> = [
        ("nul", format!("{secret}\0")),
        ("percent", format!("{secret}%00")),
        ("blank", format!("{secret} ")),
        ("slash", format!("{secret}/..")),
        ("at", format!("{secret}@host")),
        ("bytes", format!("{secret}\u{e9}")),
    ]
    .into_iter()
    .map(|(step, label)| (step, vec![label, first.to_owned(), "example.net".to_owned().replace('.', "-")]))
    .collect();
    for (_, labels) in &hidden {
        served(stage, &labels.join("."));
    }
    let mut questions: Vec<Value> = odd.iter().map(|(step, labels)| question(step, labels)).collect();
    questions.extend(
        hidden.iter().map(|(step, labels)| question(step, &labels.iter().map(String::as_str).collect::<Vec<_>>())),
    );
    let attack = json!({ "attack": "ask", "questions": questions });
    Ok(Scene { attack, refused: grant(&name), silent_names: vec![secret], ..Scene::default() })
}

/// The name's server changes its answer: first a public address, then a private one.
fn rebinding(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    let good = stage.world.v4();
    let [_, _, high, low] = stage.world.unique().to_be_bytes();
    let private: IpAddr = [10, 1, high, low].into();
    // getaddrinfo asks for A once in each lookup
    stage.world.dns.set(&name, Script::Changing(vec![vec![good], vec![private]]));
    let by_name = |step: &str| json!({ "name": step, "host": name, "port": PORT });
    let by_address = json!({ "name": "address", "to": format!("{good}:{PORT}") });
    let servers = stage.world.servers.clone();
    let verify = move |_: Phase, _: &Value| match servers.arrivals(good).len() {
        0 => Err("the first address was not reached".to_owned()),
        _ => Ok(()),
    };
    Ok(Scene {
        attack: json!({ "attack": "dial", "targets": [by_name("first"), by_address, by_name("again")] }),
        refused: grant(&name),
        silent: vec![all_of(private)],
        verify: Some(Box::new(verify)),
        ..Scene::default()
    })
}

/// Two public addresses, one after the other: what was handed out is dialled, without another look at the name.
fn handed_out(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    let (first, later) = (stage.world.v4(), stage.world.v4());
    stage.world.dns.set(&name, Script::Changing(vec![vec![first], vec![later]]));
    let (dns, servers, asked) = (stage.world.dns.clone(), stage.world.servers.clone(), name.clone());
    let verify = move |_: Phase, _: &Value| {
        let lookups = dns.questions(&asked).iter().filter(|question| question.kind == A).count();
        let arrivals = (servers.arrivals(first).len(), servers.arrivals(later).len());
        match (lookups, arrivals) {
            (1, (1, 0)) => Ok(()),
            other => Err(format!("lookups and connections to the first and the later address: {other:?}")),
        }
    };
    let attack = json!({ "attack": "dial", "targets": [{ "name": "dial", "host": name, "port": PORT }] });
    Ok(Scene { attack, granted: grant(&name), verify: Some(Box::new(verify)), ..Scene::default() })
}

/// An alias leads to a name that is not granted; what is dialled is what the granted name resolves to, if that is public.
fn alias(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let world = &stage.world;
    let (name, bad) = (world.name("api"), world.name("api"));
    let (target, inner) = (world.name("target"), world.name("inner"));
    served(stage, &target);
    let [_, _, high, low] = world.unique().to_be_bytes();
    let private: IpAddr = [10, 2, high, low].into();
    world.dns.set(&inner, Script::Addresses(vec![private]));
    world.dns.set(&name, Script::Alias(target.clone()));
    world.dns.set(&bad, Script::Alias(inner.clone()));
    let to = |step: &str, host: &str| json!({ "name": step, "host": host, "port": PORT });
    let attack = json!({ "attack": "dial", "targets": [
        to("alias", &name), to("alias-of-a-private", &bad), to("target", &target),
    ] });
    let refused = Grants::of(&[format!("{name}:{PORT}"), format!("{bad}:{PORT}")]);
    Ok(Scene { attack, refused, silent: vec![all_of(private)], ..Scene::default() })
}

/// The name does not exist.
pub const NO_NAME: &[&str] = &["EAI_NONAME"];
/// What a question by hand for something else gets.
const NO_RECORD: &[&str] = &["NXDOMAIN", "FORMERR", "REFUSED"];

const CASES: &[Case] = &[
    Case {
        number: 46,
        name: "names-that-look-granted",
        scene: lookalikes,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("same", Works), Rule("other", Fails(NO_NAME))]),
        ..CASE
    },
    Case {
        number: 46,
        name: "labels-that-no-name-has",
        scene: odd_labels,
        refused: Some(&[Rule("*", Fails(NO_RECORD))]),
        ..CASE
    },
    Case {
        number: 48,
        name: "rebinding",
        scene: rebinding,
        refused: Some(&[
            Rule("first", Works),
            Rule("address", Works),
            // answered from memory, or asked again and refused
            Rule("again", WorksOr(&["EAI_NONAME", "EAI_NODATA"])),
        ]),
        ..CASE
    },
    Case { number: 48, name: "handed-out-is-dialled", scene: handed_out, granted: Some(&[Rule("*", Works)]), ..CASE },
    Case {
        number: 48,
        name: "aliases",
        scene: alias,
        refused: Some(&[
            Rule("alias", Works),
            Rule("alias-of-a-private", Fails(&["EAI_NONAME", "EAI_NODATA"])),
            Rule("target", Fails(NO_NAME)),
        ]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
