//! No attack: how long the same things take with and without a jail, for the benches of the egress suite.

use crate::Attack;
use crate::egress::{connect_and_say, look_up, places, read, socket};
use crate::report::{Params, Report};
use crate::sys::close;
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("time", time)];

/// Does `what` (`resolve`, `connect`, `exchange`) to `target` `count` times; each step's detail is its time in ns.
fn time(params: &Params, report: &mut Report) {
    let what = params.text("what").to_owned();
    let target = params.json()["target"].clone();
    let mut kept = None;
    for _ in 0..params.num("count", 1) {
        let begun = Instant::now();
        let outcome = match what.as_str() {
            "resolve" => look_up(target["host"].as_str().unwrap_or_default().as_bytes()).map(|_| ()),
            "connect" => connected(&target).map(close),
            _ => again(&target, &mut kept),
        };
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        report.answer(&what, outcome.map(|()| json!(ns)));
    }
}

/// A connection on which an answer has come.
fn connected(target: &Value) -> Result<i64, String> {
    let place = places(target)?.into_iter().next().ok_or("EAI_NODATA")?;
    let fd = socket(target, place)?;
    let answered = connect_and_say(target, fd, place).and_then(|()| read(fd));
    answered.map(|_| fd).inspect_err(|_| close(fd))
}

/// A line and its echo on one connection that stays.
fn again(target: &Value, kept: &mut Option<i64>) -> Result<(), String> {
    let fd = match *kept {
        Some(fd) => fd,
        None => *kept.insert(connected(target)?),
    };
    let line = b"hello\n";
    let sent = call!(libc::SYS_sendto, fd, line.as_ptr(), line.len(), libc::MSG_NOSIGNAL, std::ptr::null::<u8>(), 0);
    sent.map_err(crate::sys::name_of)?;
    read(fd).map(|_| ())
}
