//! What connections through a jail cost, beside the same ones without: `cargo test --release --test egress -- --bench`.
//! Without `--bench` each runs a few times only, to show that it still does.

use crate::case::Suite;
use crate::dns::Script;
use crate::world::{Grants, Session, Stage};
use libtest_mimic::{Failed, Measurement, Trial};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// A bench and how often it is done at a time.
const BENCHES: &[(&str, usize)] = &[("resolve", 200), ("connect", 500), ("exchange", 2000)];
/// Bytes that are sent, and that come back.
const BULK: u64 = 256 << 20;
/// Measures, or in a test only does.
type Run = Box<dyn FnOnce(&Stage, bool) -> Result<Option<Measurement>, String> + Send>;
/// One at a time, whatever the number of threads.
static TURN: Mutex<()> = Mutex::new(());

fn session(stage: &Stage, jailed: bool) -> Result<(Session, String), String> {
    let name = stage.world.name("bench");
    stage.world.dns.set(&name, Script::Addresses(vec![stage.world.v4()]));
    let session = if jailed { stage.jailed(&Grants::of(&[format!("{name}:7000")]))? } else { stage.plain()? };
    Ok((session, name))
}

/// The times of single doings, in ns.
fn times(stage: &Stage, jailed: bool, what: &str, count: usize) -> Result<Vec<u64>, String> {
    let (mut session, name) = session(stage, jailed)?;
    let mut target = json!({ "host": name, "port": 7000 });
    if what != "resolve" {
        // once, so that the address is one that was handed out
        let ask = json!({ "attack": "resolve", "targets": [{ "name": "name", "host": name }] });
        let answer = session.attack(&stage.program("attacker"), &ask)?;
        let address = answer["steps"][0]["detail"][0].as_str().ok_or_else(|| format!("no address: {answer}"))?;
        target["to"] = format!("{address}:7000").into();
    }
    let attack = json!({ "attack": "time", "what": what, "count": count, "target": target });
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    let steps = answer["steps"].as_array().cloned().unwrap_or_default();
    let times: Option<Vec<u64>> = steps.iter().map(|step| step["detail"].as_u64()).collect();
    times.filter(|times| times.len() == count).ok_or_else(|| format!("not all of {count} succeeded: {answer}"))
}

/// The time of one megabyte there and back, in ns, out of many.
fn bulk(stage: &Stage, jailed: bool, bytes: u64) -> Result<u64, String> {
    let (mut session, name) = session(stage, jailed)?;
    let attack = json!({ "attack": "bulk", "bytes": bytes, "target": { "host": name, "port": 7000 } });
    let begun = std::time::Instant::now();
    let answer = session.attack(&stage.program("attacker"), &attack)?;
    let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    match &answer["steps"][0]["ok"] {
        Value::Bool(true) => Ok(ns / (bytes >> 20)),
        _ => Err(format!("not all came back: {answer}")),
    }
}

/// Median, and the variance around it without the slowest tenth, which is other people's.
fn measured(mut times: Vec<u64>) -> Option<Measurement> {
    times.sort_unstable();
    let median = *times.get(times.len() / 2)?;
    times.truncate((times.len() * 9).div_ceil(10));
    let squares: u128 = times.iter().map(|time| u128::from(time.abs_diff(median)).pow(2)).sum();
    let variance = u64::try_from(squares / times.len() as u128).unwrap_or(u64::MAX);
    Some(Measurement { avg: median, variance })
}

pub fn trials(suite: &mut Suite) {
    let Some(stage) = suite.stage.as_ref().ok().filter(|_| suite.jails()).cloned() else { return };
    let mut add = |name: String, run: Run| {
        let stage: Arc<Stage> = stage.clone();
        suite.trials.push(Trial::bench(format!("{}::bench-{name}", suite.prefix), move |test| {
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            run(&stage, test).map_err(Failed::from)
        }));
    };
    for jailed in [false, true] {
        let phase = if jailed { "jailed" } else { "bare" };
        for (what, count) in BENCHES.iter().copied() {
            let run =
                move |stage: &Stage, test: bool| times(stage, jailed, what, if test { 3 } else { count }).map(measured);
            add(format!("{what}::{phase}"), Box::new(run));
        }
        let run = move |stage: &Stage, test: bool| {
            bulk(stage, jailed, if test { 1 << 20 } else { BULK }).map(|ns| measured(vec![ns]))
        };
        add(format!("megabyte::{phase}"), Box::new(run));
    }
}
