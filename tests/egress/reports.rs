//! What people and programs are told: refusals on stderr with the line that would grant them, the log, `explain`; and
//! `approve` and `check` of a server that needs the network to know its tools.

use crate::case::Suite;
use crate::dns::Script;
use crate::support::expect::{Rule, Want, check};
use crate::world::{Grants, Stage};
use serde_json::{Value, json};
use std::fs;
use std::process::{Output, Stdio};

/// A session that does a little of everything, each thing twice.
struct Doings {
    granted: String,
    other: String,
    /// Of the granted name, and one of nobody's.
    address: String,
    bare: String,
}

impl Doings {
    fn new(stage: &Stage) -> Doings {
        let world = &stage.world;
        let (granted, other) = (world.name("granted"), world.name("other"));
        let address = world.v4();
        world.dns.set(&granted, Script::Addresses(vec![address]));
        world.dns.set(&other, Script::Addresses(vec![world.v4()]));
        Doings { granted, other, address: address.to_string(), bare: world.v4().to_string() }
    }

    /// Does it, ends the session, and gives what was on its stderr.
    fn run(&self, stage: &Stage, options: &[String]) -> Result<String, String> {
        let mut grants = Grants::of(&[format!("{}:7000", self.granted)]);
        grants.options = options.to_vec();
        let mut session = stage.jailed(&grants)?;
        let targets = json!([
            { "name": "granted", "host": self.granted, "port": 7000 },
            { "name": "port", "host": self.granted, "port": 7001 },
            { "name": "name", "host": self.other, "port": 7000 },
            { "name": "address", "to": format!("{}:7000", self.bare) },
            { "name": "udp", "to": format!("{}:9999", self.bare), "type": "datagram" },
        ]);
        let attack = json!({ "attack": "dial", "targets": targets });
        let rules =
            [Rule("granted", Want::Works), Rule("*", Want::Fails(&["ECONNREFUSED", "EAI_NONAME", "ECONNRESET"]))];
        for _ in 0..2 {
            let answer = session.attack(&stage.program("attacker"), &attack)?;
            check(&answer, &rules).map_err(|why| format!("{why}; stderr:\n{}", session.server.stderr()))?;
        }
        session.server.close();
        Ok(session.server.stderr_at_the_end())
    }
}

/// Each refusal has one line, whatever happened how often, and the line that would grant it.
fn stderr(stage: &Stage) -> Result<(), String> {
    let doings = Doings::new(stage);
    let said = doings.run(stage, &[])?;
    let Doings { granted, other, bare, .. } = &doings;
    for (what, line) in [
        (format!("`{other}`"), format!("allow = [\"{other}:443\"]")),
        (format!("`{bare}:7000`"), format!("allow = [\"{bare}:7000\"]")),
        (format!("`{granted}:7001`"), format!("allow = [\"{granted}:7001\"]")),
        (format!("`{bare}:9999`"), "UDP".to_owned()),
    ] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(&what)).collect();
        if !matches!(lines.as_slice(), [one] if one.contains(&line)) {
            return Err(format!("{what} should be told once, with {line}; there is {lines:#?} in\n{said}"));
        }
    }
    match said.contains(&format!("`{granted}:7000`")) {
        true => Err(format!("what is granted is told as well:\n{said}")),
        false => Ok(()),
    }
}

fn records(path: &std::path::Path) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse = |line: &str| serde_json::from_str(line).map_err(|_| format!("no JSON: {line:?}"));
    text.lines().map(parse).collect()
}

/// Whether a record has all members of that object.
fn has(record: &Value, members: &Value) -> bool {
    members.as_object().is_some_and(|members| members.iter().all(|(key, value)| record[key] == *value))
}

/// Everything is in the log, granted and refused, as often as it happened.
fn log(stage: &Stage) -> Result<(), String> {
    let doings = Doings::new(stage);
    let path = stage.own("run").join(format!("egress-{}.jsonl", stage.world.unique()));
    let said = doings.run(stage, &["--egress-log".into(), path.display().to_string()])?;
    let records = records(&path)?;
    let Doings { granted, other, address, bare } = &doings;
    let place = format!("{address}:7000");
    let wanted = [
        (1, json!({ "event": "name", "name": granted, "verdict": "allow", "addresses": [address], "withheld": [] })),
        (
            2,
            json!({ "event": "connection", "name": granted, "address": address, "port": 7000, "verdict": "allow",
                    "dialled": place, "sent": 6, "received": 6 }),
        ),
        (
            1,
            json!({ "event": "name", "name": other, "verdict": "refuse", "reason": "name-not-granted", "addresses": [] }),
        ),
        (
            2,
            json!({ "event": "connection", "address": bare, "port": 7000, "verdict": "refuse",
                    "reason": "address-not-granted", "sent": 0, "received": 0 }),
        ),
        (
            1,
            json!({ "event": "knock", "name": granted, "address": address, "port": 7001, "protocol": "tcp",
                    "verdict": "refuse", "reason": "no-listener" }),
        ),
        (1, json!({ "event": "knock", "address": bare, "port": 9999, "protocol": "udp", "verdict": "refuse" })),
    ];
    for (least, members) in wanted {
        let found: Vec<&Value> = records.iter().filter(|record| has(record, &members)).collect();
        let whole = |record: &&Value| {
            record["time"].is_string()
                && record["server"].is_string()
                && (record["event"] == "knock" || record["duration_us"].is_u64())
        };
        if found.len() < least || !found.iter().all(whole) {
            return Err(format!(
                "{least} records with {members}; there are {found:#?} of\n{records:#?}\nstderr:\n{said}"
            ));
        }
    }
    Ok(())
}

/// A server that is refused without end fills neither the log nor the terminal, and what was left out is counted.
fn flood(stage: &Stage) -> Result<(), String> {
    const TIMES: u64 = 3000;
    let doings = Doings::new(stage);
    let path = stage.own("run").join(format!("egress-{}.jsonl", stage.world.unique()));
    let mut grants = Grants::of(&[format!("{}:7000", doings.granted)]);
    grants.options = vec!["--egress-log".into(), path.display().to_string()];
    let mut session = stage.jailed(&grants)?;
    let attack = json!({
        "attack": "come-and-go", "count": TIMES, "below": doings.other,
        "target": { "to": format!("{}:7000", doings.bare) }, "after": { "host": doings.granted, "port": 7000 },
    });
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    check(&answer, &[Rule("*", Want::Works)]).map_err(|why| format!("{why}; stderr:\n{}", session.server.stderr()))?;
    session.server.close();
    let said = session.server.stderr_at_the_end();
    let records = records(&path)?;
    let refused = |event: &str| {
        let of = |record: &&Value| record["event"] == event && record["verdict"] == "refuse";
        records.iter().filter(of).count() as u64
    };
    let lost: u64 = records.iter().filter_map(|record| record["count"].as_u64()).sum();
    let told = [refused("name"), refused("connection")];
    let lines = said.lines().filter(|line| line.contains("egress:")).count();
    let allowed = records
        .iter()
        .any(|record| has(record, &json!({ "event": "connection", "verdict": "allow", "name": doings.granted })));
    match told.iter().sum::<u64>() + lost {
        // a name that does not exist is asked for twice, once for each family
        all if (2 * TIMES..=3 * TIMES + 10).contains(&all) && lost > 0 && lines < 100 && allowed => Ok(()),
        all => Err(format!("told {told:?}, lost {lost}, in all {all}; {lines} lines on stderr; allowed: {allowed}")),
    }
}

fn finish(mut command: std::process::Command) -> Result<Output, String> {
    command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))
}

/// Each rule with the line that it comes from, and what is different in such a jail.
fn explain(stage: &Stage) -> Result<(), String> {
    let grants = Grants {
        rules: vec!["api.example.net:443".into(), "{ to = \"db.example.net:5432\", private = true }".into()],
        options: vec!["--net".into(), "localhost:7100".into()],
        ..Grants::default()
    };
    let runner = stage.program("runner");
    let output = finish(stage.mcpjail(&["explain"], &grants, &[&runner])?)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = [
        ("api.example.net:443", ".toml:"),
        ("db.example.net:5432, private", ".toml:"),
        ("localhost:7100", "--net"),
        ("everything else is refused", ""),
    ];
    for (what, from) in wanted {
        if !said.lines().any(|line| line.contains(what) && line.contains(from)) {
            return Err(format!(
                "no line with `{what}` and `{from}`:\n{said}{}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    let output = finish(stage.mcpjail(&["explain", "--json"], &grants, &[&runner])?)?;
    let plan: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    match plan["network"].to_string() {
        text if text.contains("api.example.net:443") && text.contains("localhost:7100") => Ok(()),
        text => Err(format!("the rules are not in the JSON: {text}")),
    }
}

/// A server that lists its tools only where it has its network is approved, checked and run with it; without, it fails.
fn approve(stage: &Stage) -> Result<(), String> {
    let (name, address) = (stage.world.name("needed"), stage.world.v4());
    stage.world.dns.set(&name, Script::Addresses(vec![address]));
    let lock = stage.own("run").join(format!("{}.lock.json", stage.world.unique())).display().to_string();
    let (runner, place) = (stage.program("runner"), format!("{name}:7000"));
    let line = [runner.as_str(), "--list-needs", place.as_str()];
    let grants = Grants::of(&[&place]);
    let go = |verb: &[&str], grants: &Grants| -> Result<(Option<i32>, String), String> {
        let words = [verb, &["--lock", &lock]].concat();
        let output = finish(stage.mcpjail(&words, grants, &line)?)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    };
    let elsewhere = Grants::of(&["another.example.net:7000"]);
    for (verb, grants, right) in [
        (&["approve", "--yes"][..], &elsewhere, false),
        (&["approve", "--yes"], &grants, true),
        (&["check"], &grants, true),
        (&["check"], &elsewhere, false),
    ] {
        let (code, said) = go(verb, grants)?;
        if (code == Some(0)) != right {
            return Err(format!("{verb:?} with {:?} ended by {code:?}:\n{said}", grants.rules));
        }
        if !right && !said.contains(&name) {
            return Err(format!("{verb:?} does not say that `{name}` was asked for:\n{said}"));
        }
    }
    let arrivals = stage.world.servers.arrivals(address).len();
    if arrivals < 2 {
        return Err(format!("the network was reached {arrivals} times"));
    }
    Ok(())
}

/// Tier B has no network of its own, so rules cannot be kept there: such a start is refused.
fn tier_b(stage: &Stage) -> Result<(), String> {
    let mut grants = Grants::of(&["api.example.net:443"]);
    grants.options = ["--tier", "B", "--exact-tier"].map(String::from).to_vec();
    let output = finish(stage.mcpjail(&["run"], &grants, &[&stage.program("runner")])?)?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(4) if said.contains("tier") => Ok(()),
        code => Err(format!("ended by {code:?}:\n{said}")),
    }
}

pub fn trials(suite: &mut Suite) {
    suite.jailed("report-stderr", &[], stderr);
    suite.jailed("report-log", &[], log);
    suite.jailed("report-flood", &[], flood);
    suite.jailed("report-explain", &[], explain);
    suite.jailed("report-tier-b", &[], tier_b);
    suite.jailed("report-approve-and-check", &[], approve);
}
