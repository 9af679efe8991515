//! Cases 28, 49 and 51: many connections, connections that are only begun, and what is left of them when the session ends.

use crate::addresses::RESET;
use crate::capture::UNWATCHED;
use crate::case::{CASE, Case, Phase, Scene, Suite};
use crate::dns::Script;
use crate::hello;
use crate::internet::Behaviour;
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works};
use crate::world::{Grants, Session, Stage};
use serde_json::json;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Connections of a flood.
const MANY: usize = 1000;
/// What a profile allows where that is tried.
const FEW: usize = 20;

fn named(stage: &Stage) -> (String, IpAddr) {
    let (name, address) = (stage.world.name("api"), stage.world.v4());
    stage.world.dns.set(&name, Script::Addresses(vec![address]));
    (name, address)
}

/// A thousand connections at once, all of which work, twice.
fn flood(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (name, _) = named(stage);
    let mut granted = Grants::of(&[format!("{name}:{UNWATCHED}")]);
    granted.profile = "limits.open-files = 4096\n".into();
    let mut refused = granted.clone();
    refused.profile.push_str(&format!("network.connections = {FEW}\n"));
    let target = json!({ "host": name, "port": UNWATCHED });
    let attack = json!({ "attack": "flood", "count": MANY, "target": target });
    Ok(Scene { attack, granted, refused, ..Scene::default() })
}

/// Hundreds of connections that have said half of a hello, and one that says it all.
fn half_open(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (name, address) = named(stage);
    stage.world.servers.behave(address, Behaviour::Echo);
    let whole = hello::for_name(&name);
    let half = &whole[..whole.len() / 2];
    let say = |bytes: &[u8]| json!({ "host": name, "port": 443, "say_hex": hello::hex(bytes) });
    let attack = json!({ "attack": "half-open", "count": 300, "begun": say(half), "whole": say(&whole) });
    let granted = Grants::of(&[format!("{name}:443")]);
    Ok(Scene { attack, granted, ..Scene::default() })
}

/// Whole megabytes in both directions, then one half closed after the other.
fn bulk(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (name, _) = named(stage);
    let attack = json!({ "attack": "bulk", "bytes": 24 << 20, "target": { "host": name, "port": 7000 } });
    Ok(Scene { attack, granted: Grants::of(&[format!("{name}:7000")]), ..Scene::default() })
}

const CASES: &[Case] = &[
    Case {
        number: 51,
        name: "connections",
        scene: flood,
        granted: Some(&[Rule("*", Works)]),
        // those above the limit are reset, those below it stay, and room is made again
        refused: Some(&[
            Rule("opened", Works),
            Rule("first", Fails(&["ONLY 20"])),
            Rule("second", Fails(&["ONLY 20"])),
            Rule("refused", Fails(RESET)),
            Rule("afterwards", Works),
        ]),
        ..CASE
    },
    Case { number: 51, name: "half-a-hello", scene: half_open, granted: Some(&[Rule("*", Works)]), ..CASE },
    Case { number: 51, name: "bulk", scene: bulk, granted: Some(&[Rule("*", Works)]), ..CASE },
];

/// Ends a session with an open connection, and waits for the connection's end on the other side.
fn ends(stage: &Stage, end: impl FnOnce(&mut Session) -> Result<(), String>) -> Result<(), String> {
    let (name, address) = named(stage);
    let mut session = stage.jailed(&Grants::of(&[format!("{name}:7000")]))?;
    // a child that outlives the call, and holds its connection
    let target = json!({ "target": { "host": name, "port": 7000 } });
    let line = format!("{} --attack hold '{target}' > /dev/null 2>&1 &", stage.program("attacker"));
    session.run(&["/bin/sh", "-c", &line], &[])?;
    wait(|| stage.world.servers.arrivals(address).iter().any(|arrival| !arrival.first.is_empty()))
        .map_err(|why| format!("no connection: {why}; stderr:\n{}", session.server.stderr()))?;
    end(&mut session)?;
    wait(|| stage.world.servers.arrivals(address).iter().all(|arrival| arrival.ended))
        .map_err(|why| format!("the connection is still there: {why}; stderr:\n{}", session.server.stderr()))
}

/// Waits for what must happen.
fn wait(happened: impl Fn() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        if Instant::now() > deadline {
            return Err("it did not happen".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
    suite.jailed("28-connections-of-a-killed-launcher::refused", &[], |stage| {
        ends(stage, |session| {
            session.server.kill();
            Ok(())
        })
    });
    suite.jailed("28-connections-of-an-ended-session::refused", &[], |stage| {
        ends(stage, |session| match session.server.close() {
            Some(status) if status.success() => Ok(()),
            status => Err(format!("the session ended by {status:?}; stderr:\n{}", session.server.stderr())),
        })
    });
}
