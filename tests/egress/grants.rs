//! What each kind of rule gives, and not more: wildcards, ranges, literals, blocks, names of the hosts file, `--net`; and
//! that granted connections are like those that a server makes without a jail.

use crate::addresses::{CLOSED, RESET};
use crate::case::Suite;
use crate::clients::End;
use crate::dns::Script;
use crate::features::Feature;
use crate::hello;
use crate::internet::Behaviour;
use crate::support::expect::Want::{self, Fails, Works};
use crate::support::expect::{Rule, check};
use crate::world::{Grants, Stage};
use serde_json::{Value, json};
use std::net::IpAddr;

const NO_NAME: Want = Fails(&["EAI_NONAME"]);

/// Attempts and what should come of each.
#[derive(Default)]
struct Attempts {
    targets: Vec<Value>,
    wanted: Vec<Want>,
}

impl Attempts {
    fn host(mut self, name: &str, port: u16, want: Want) -> Attempts {
        self.targets.push(json!({ "name": format!("{name}:{port}"), "host": name, "port": port }));
        self.wanted.push(want);
        self
    }

    fn to(mut self, place: &str, want: Want) -> Attempts {
        self.targets.push(json!({ "name": place, "to": place }));
        self.wanted.push(want);
        self
    }

    /// Makes them all in one jail, each held to its own expectation.
    fn make(self, stage: &Stage, grants: &Grants) -> Result<(), String> {
        let mut session = stage.jailed(grants)?;
        let attack = json!({ "attack": "dial", "targets": self.targets });
        let answer = session.attack(&stage.program("attacker"), &attack)?;
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let mut complaints = Vec::new();
        if steps.len() != self.wanted.len() {
            complaints.push(format!("{} of {} steps", steps.len(), self.wanted.len()));
        }
        for (step, want) in steps.into_iter().zip(self.wanted) {
            let one = json!({ "steps": [step], "ended": answer["ended"] });
            complaints.extend(check(&one, &[Rule("*", want)]).err());
        }
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(format!("{}\nstderr:\n{}", complaints.join("\n"), session.server.stderr())),
        }
    }
}

fn serve(stage: &Stage, name: &str) -> IpAddr {
    let address = stage.world.v4();
    stage.world.dns.set(name, Script::Addresses(vec![address]));
    address
}

fn wildcard(stage: &Stage) -> Result<(), String> {
    let apex = stage.world.name("apex");
    let (below, deep, beside) = (format!("a.{apex}"), format!("a.b-c.d_e.{apex}"), format!("x{apex}"));
    for name in [&apex, &below, &deep, &beside] {
        serve(stage, name);
    }
    let attempts = Attempts::default().host(&below, 7000, Works).host(&deep, 7000, Works);
    let attempts = attempts.host(&apex, 7000, NO_NAME).host(&beside, 7000, NO_NAME);
    attempts.make(stage, &Grants::of(&[format!("*.{apex}:7000")]))
}

fn every_name(stage: &Stage) -> Result<(), String> {
    let name = stage.world.name("any");
    serve(stage, &name);
    let attempts = Attempts::default().host(&name, 7000, Works).host(&name, 7001, Fails(CLOSED));
    let attempts = attempts.to(&format!("{}:7000", stage.world.v4()), Fails(RESET));
    attempts.make(stage, &Grants::of(&["{ to = \"*:7000\", dangerous = true }"]))
}

fn ports(stage: &Stage) -> Result<(), String> {
    let name = stage.world.name("api");
    serve(stage, &name);
    let mut attempts = Attempts::default();
    for port in [7000, 8000, 8005, 8010] {
        attempts = attempts.host(&name, port, Works);
    }
    for port in [7001, 8011, 443] {
        attempts = attempts.host(&name, port, Fails(CLOSED));
    }
    attempts.make(stage, &Grants::of(&[format!("{name}:7000,8000-8010")]))
}

fn literals(stage: &Stage) -> Result<(), String> {
    let (granted, other, v6) = (stage.world.v4(), stage.world.v4(), stage.world.v6());
    let attempts = Attempts::default()
        .to(&format!("{granted}:7000"), Works)
        .to(&format!("[::ffff:{granted}]:7000"), Works)
        .to(&format!("[{v6}]:7001"), Works)
        .to(&format!("{granted}:7001"), Fails(RESET))
        .to(&format!("[{v6}]:7000"), Fails(RESET))
        .to(&format!("{other}:7000"), Fails(RESET));
    attempts.make(stage, &Grants::of(&[format!("{granted}:7000"), format!("[{v6}]:7001")]))
}

fn blocks(stage: &Stage) -> Result<(), String> {
    let attempts = Attempts::default()
        .to("93.186.4.1:7000", Works)
        .to("93.186.7.255:7000", Works)
        .to("93.186.8.0:7000", Fails(RESET))
        .to("93.186.3.255:7000", Fails(RESET))
        .to("10.9.3.4:7000", Works)
        .to("10.10.3.4:7000", Fails(RESET))
        .to("[2606:2800:5::1]:7000", Works)
        .to("[2606:2800:6::1]:7000", Fails(RESET));
    attempts.make(stage, &Grants::of(&["93.186.4.0/22:7000", "10.9.0.0/16:7000", "[2606:2800:5::/48]:7000"]))
}

/// The machine's own resolver is asked, with its hosts file; the jail's hosts file has nothing of it.
fn hosts_file(stage: &Stage) -> Result<(), String> {
    let name = "only-in-hosts.example.net";
    Attempts::default().host(name, 7000, Works).make(stage, &Grants::of(&[format!("{name}:7000")]))?;
    Attempts::default().host(name, 7000, NO_NAME).make(stage, &Grants::of(&["another.example.net:7000"]))
}

fn option(stage: &Stage) -> Result<(), String> {
    let (name, other) = (stage.world.name("api"), stage.world.name("api"));
    serve(stage, &name);
    serve(stage, &other);
    let grants = Grants { options: vec!["--net".into(), format!("{name}:7000")], ..Grants::default() };
    Attempts::default().host(&name, 7000, Works).host(&other, 7000, NO_NAME).make(stage, &grants)
}

/// More addresses than an answer by UDP holds; and a name in capitals, for a resolver that compares what comes back.
fn long_answers(stage: &Stage) -> Result<(), String> {
    let world = &stage.world;
    let name = world.name("many");
    let addresses = (0..60).flat_map(|_| [world.v4(), world.v6()]).collect();
    world.dns.set(&name, Script::Addresses(addresses));
    let mut session = stage.jailed(&Grants::of(&[format!("{name}:80")]))?;
    for host in [name.clone(), name.to_ascii_uppercase()] {
        for how in ["std", "own"] {
            let outcome = session.run(&[&stage.program("dialler"), how, &host, "80"], &[])?;
            End(&["exit 0"], &["hello from"]).check(&format!("{how} {host}"), &outcome)?;
        }
    }
    let labels: Vec<&str> = name.split('.').collect();
    let ask = |transport: &str| json!({ "name": transport, "labels": labels, "kind": 28, "transport": transport });
    let attack = json!({ "attack": "ask", "questions": [ask("udp"), ask("tcp")] });
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    check(&answer, &[Rule("udp", Fails(&["TRUNCATED"])), Rule("tcp", Works)])
}

/// What is said and ended at once, before there is a connection behind the jail's, arrives; and what nobody listens for on
/// the other side is reset.
fn early_end(stage: &Stage) -> Result<(), String> {
    let name = stage.world.name("api");
    let address = serve(stage, &name);
    stage.world.servers.behave(address, Behaviour::Echo);
    let mut attempts = Attempts::default().host(&name, 7000, Works).host(&name, 80, Works).host(&name, 443, Works);
    attempts = attempts.host(&name, 9998, Fails(RESET));
    attempts.targets.iter_mut().for_each(|target| target["end"] = true.into());
    attempts.targets[1]["say"] = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").into();
    attempts.targets[2]["say_hex"] = hello::hex(&hello::for_name(&name)).into();
    attempts.make(stage, &Grants::of(&[format!("{name}:80,443,7000,9998")]))
}

/// The server on the other side speaks first.
fn banner(stage: &Stage) -> Result<(), String> {
    let name = stage.world.name("git");
    serve(stage, &name);
    let mut attempts = Attempts::default().host(&name, 22, Works);
    attempts.targets[0]["say"] = "".into();
    attempts.make(stage, &Grants::of(&[format!("{name}:22")]))
}

/// One family only, and addresses of which the first do not work: one of two that are handed out is enough.
fn families(stage: &Stage) -> Result<(), String> {
    let world = &stage.world;
    let only_v6 = world.name("six");
    world.dns.set(&only_v6, Script::Addresses(vec![world.v6()]));
    let dead = [
        ("unreachable", "93.187.0.7"),
        ("silent", "93.187.1.7"),
        ("silent-v6", "2606:2800:dead::7"),
        ("no-route", "2606:2800:beef::7"),
    ];
    let mut attempts = Attempts::default().host(&only_v6, 7000, Works);
    let mut rules = vec![format!("{only_v6}:7000")];
    for (word, address) in dead {
        let name = world.name(word);
        world.dns.set(&name, Script::Addresses(vec![address.parse().unwrap(), world.v4()]));
        attempts = attempts.host(&name, 7000, Works);
        rules.push(format!("{name}:7000"));
    }
    let gone = world.name("gone");
    world.dns.set(&gone, Script::Addresses(vec!["93.187.0.8".parse().unwrap()]));
    rules.push(format!("{gone}:7000"));
    attempts.host(&gone, 7000, Fails(RESET)).make(stage, &Grants::of(&rules))
}

/// The addresses that do not work do not work without a jail, either.
fn dead_addresses(stage: &Stage) -> Result<(), String> {
    let mut session = stage.plain()?;
    let attack = json!({ "attack": "dial", "targets": [
        { "name": "unreachable", "to": "93.187.0.8:7000" },
        { "name": "no route", "to": "[2606:2800:beef::7]:7000" },
    ] });
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    check(&answer, &[Rule("*", Fails(&["EHOSTUNREACH", "ENETUNREACH"]))])
}

/// What the name's server says is passed on as what it is.
fn resolver_errors(stage: &Stage) -> Result<(), String> {
    let world = &stage.world;
    let names = [
        ("missing", None, NO_NAME),
        ("empty", Some(Script::Empty), Fails(&["EAI_NODATA", "EAI_NONAME"])),
        ("broken", Some(Script::Error(2)), Fails(&["EAI_AGAIN"])),
        ("silent", Some(Script::Silence), Fails(&["EAI_AGAIN"])),
    ];
    let (mut attempts, mut rules) = (Attempts::default(), Vec::new());
    for (word, script, want) in names {
        let name = world.name(word);
        script.into_iter().for_each(|script| world.dns.set(&name, script));
        rules.push(format!("{name}:7000"));
        attempts = attempts.host(&name, 7000, want);
    }
    attempts.make(stage, &Grants::of(&rules))
}

/// Connections on which nothing moves, and such that last too long, are ended by mcpjail.
fn ended(stage: &Stage, limit: &str) -> Result<(), String> {
    let name = stage.world.name("api");
    serve(stage, &name);
    let mut grants = Grants::of(&[format!("{name}:7000")]);
    grants.profile = format!("network.{limit} = \"1s\"\n");
    let mut session = stage.jailed(&grants)?;
    let attack = json!({ "attack": "hold", "target": { "host": name, "port": 7000 } });
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    check(&answer, &[Rule("hold", Fails(&["ECONNRESET", "EOF"]))])
}

/// What a server does on its own loopback works beside its grants.
fn own_loopback(stage: &Stage) -> Result<(), String> {
    let name = stage.world.name("api");
    serve(stage, &name);
    let mut session = stage.jailed(&Grants::of(&[format!("{name}:7000")]))?;
    let answer = session.attack(&stage.program("attacker"), &json!({ "attack": "own-loopback" }))?;
    check(&answer, &[Rule("*", Works)])
}

pub fn trials(suite: &mut Suite) {
    suite.jailed("grant-wildcard", &[], wildcard);
    suite.jailed("grant-every-name", &[], every_name);
    suite.jailed("grant-ports", &[], ports);
    suite.jailed("grant-literals", &[Feature::Ipv6], literals);
    suite.jailed("grant-blocks", &[Feature::Ipv6], blocks);
    suite.jailed("grant-name-of-the-hosts-file", &[], hosts_file);
    suite.jailed("grant-by-option", &[], option);
    suite.jailed("grant-server-speaks-first", &[], banner);
    suite.jailed("grant-long-answers", &[Feature::Ipv6], long_answers);
    suite.jailed("grant-early-end", &[], early_end);
    suite.bare("grant-other-address-of-a-name::control", &[Feature::Ipv6], dead_addresses);
    suite.jailed("grant-other-address-of-a-name", &[Feature::Ipv6], families);
    suite.jailed("grant-name-that-fails", &[], resolver_errors);
    suite.jailed("grant-idle-connection", &[], |stage| ended(stage, "idle-timeout"));
    suite.jailed("grant-long-connection", &[], |stage| ended(stage, "lifetime"));
    suite.jailed("grant-own-loopback", &[Feature::Ipv6], own_loopback);
}
