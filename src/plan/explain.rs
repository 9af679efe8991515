//! Prints a plan: for people as text, for programs as JSON. Every line ends in the profile line that it comes from.

use super::syscalls::{GROUPS, Sockets};
use super::{Egress, EgressPlan, Mount, Plan, Step};
use crate::config::{Drift, FirstUse, Origin, Sourced, Tier};
use crate::diagnose::printable;
use crate::egress::Rule;
use serde_json::{Value, json};
use std::fmt::{self, Write};
use std::time::Duration;

/// Namespaces of tier A, in the words of namespaces(7).
const NAMESPACES: &str = "user, mount, pid, network, ipc, uts, cgroup";

/// The plan as text.
///
/// # Errors
/// Those of the formatter; writing to a `String` has none.
pub fn text(plan: &Plan) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let o = &mut out;
    writeln!(o, "command    {}", printable(&command_line(plan)))?;
    for step in &plan.trail {
        writeln!(o, "           {}", printable(step))?;
    }
    writeln!(o, "profiles   {}", plan.used.join(" < "))?;
    let least = &plan.least_tier;
    writeln!(o, "tier       {} (at least {}, {})", plan.tier, least.value, least.origin)?;
    match plan.tier {
        Tier::A => writeln!(o, "isolation  new {NAMESPACES} namespaces; no capabilities; no new privileges")?,
        Tier::B => writeln!(o, "isolation  no namespaces; no capabilities; no new privileges")?,
    }
    writeln!(o, "directory  {}", printable(&plan.cwd.to_string_lossy()))?;
    writeln!(o, "ids        uid {} gid {} as `{}`", plan.account.uid, plan.account.gid, printable(&plan.account.user))?;
    if plan.tier == Tier::A {
        writeln!(o, "\nfiles (everything else does not exist)")?;
        for mount in plan.view.iter().filter(|mount| !matches!(mount.step, Step::Directory { .. })) {
            row(o, what(mount), &mount.path.display(), &mount.origin)?;
        }
    }
    writeln!(o, "\nrights (Landlock ABI {}; everything else is refused)", plan.landlock_abi)?;
    for rule in &plan.rules {
        row(o, rule.rights, &rule.path.display(), &rule.origin)?;
    }
    match &plan.egress {
        Egress::None => writeln!(o, "\nnetwork")?,
        Egress::Only(_) => writeln!(o, "\nnetwork (everything else is refused)")?,
    }
    match &plan.egress {
        Egress::None => row(o, "ports", &"none: nothing outside the jail is reached", &plan.sockets.origin)?,
        Egress::Only(egress) => {
            for rule in &egress.rules {
                row(o, "reach", &reach(&rule.value), &rule.origin)?;
            }
            for (name, value, origin) in connections(egress) {
                row(o, name, &value, origin)?;
            }
        }
    }
    row(o, "sockets", &sockets(plan.sockets.value), &plan.sockets.origin)?;
    if let Egress::Only(egress) = &plan.egress {
        for note in egress.notes() {
            writeln!(o, "  note: {note}")?;
        }
    }
    writeln!(o, "\nsystem calls (unknown: ENOSYS; dangerous: EPERM; other architectures: killed)")?;
    let base: Vec<&str> = GROUPS.iter().filter(|group| group.base).map(|group| group.name).collect();
    row(o, "allowed", &base.join(" "), &Origin::jail())?;
    for asked in &plan.syscalls {
        row(o, "allowed", &asked.value, &asked.origin)?;
    }
    writeln!(o, "\nenvironment (everything else is absent)")?;
    for variable in &plan.environment {
        let name = variable.name.to_string_lossy();
        let shown = if !variable.passed { variable.value.to_string_lossy() } else { "(passed)".into() };
        row(o, name, &shown, &variable.origin)?;
    }
    writeln!(o, "\nlimits")?;
    for (name, value, origin) in limits(plan) {
        row(o, name, &value, origin)?;
    }
    writeln!(o, "\ngate (what the server says of itself is held against what was approved)")?;
    for (name, value, origin) in gate(plan) {
        row(o, name, &value, origin)?;
    }
    for (at, line) in not_enforced(plan).enumerate() {
        if at == 0 {
            writeln!(o, "\nnot enforced here")?;
        }
        writeln!(o, "  {}", printable(line))?;
    }
    Ok(out)
}

fn row(out: &mut String, kind: impl fmt::Display, what: &dyn fmt::Display, origin: &Origin) -> fmt::Result {
    let (kind, what) = (printable(&kind.to_string()), printable(&what.to_string()));
    let origin = printable(&origin.to_string());
    writeln!(out, "  {kind:<16} {what:<46} {origin}")
}

fn command_line(plan: &Plan) -> String {
    let words: Vec<String> = plan.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    format!("{} as {}", plan.program.display(), words.join(" "))
}

fn not_enforced(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.unenforced.iter().chain(&plan.limitations)
}

fn what(mount: &Mount) -> String {
    match &mount.step {
        Step::Directory { .. } => "directory".into(),
        Step::Symlink { .. } => "symlink".into(),
        Step::File { .. } => "generated".into(),
        Step::Bind { rights, .. } => rights.to_string(),
        Step::Tmpfs { size, .. } => format!("private {}M", size >> 20),
        Step::Proc => "procfs".into(),
        Step::Mask { .. } => "covered".into(),
    }
}

fn sockets(sockets: Sockets) -> &'static str {
    match sockets {
        Sockets::UnixInside => "unix, inside the jail",
        Sockets::UnixAndInetInside => "unix, tcp and udp, inside the jail",
        Sockets::PairsOnly => "unix pairs and listeners; no connect",
    }
}

/// A rule with its conditions, in words.
fn reach(rule: &Rule) -> String {
    let mut text = rule.to_string();
    for (set, words) in
        [(rule.private(), "private addresses too"), (rule.raw(), "raw"), (rule.dangerous(), "dangerous")]
    {
        if set {
            text.push_str(", ");
            text.push_str(words);
        }
    }
    text
}

fn connections(egress: &EgressPlan) -> [(&'static str, String, &Origin); 3] {
    [
        ("connections", format!("{} at once", egress.connections.value), &egress.connections.origin),
        ("idle", format!("closed after {} without a byte", span(egress.idle.value)), &egress.idle.origin),
        ("lifetime", format!("closed after {}", span(egress.lifetime.value)), &egress.lifetime.origin),
    ]
}

/// In the largest unit that divides it.
fn span(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

fn network(plan: &Plan) -> Value {
    let from = |origin: &Origin| origin.to_string();
    let mut value = json!({ "ports": [], "sockets": plan.sockets.value, "from": from(&plan.sockets.origin) });
    if let (Egress::Only(egress), Some(map)) = (&plan.egress, value.as_object_mut()) {
        let rules: Vec<Value> = egress
            .rules
            .iter()
            .map(|Sourced { value: rule, origin }| {
                json!({ "to": rule.to_string(), "private": rule.private(), "dangerous": rule.dangerous(),
                        "raw": rule.raw(), "from": from(origin) })
            })
            .collect();
        let ms = |time: &Sourced<Duration>| json!({ "value": u64::try_from(time.value.as_millis()).unwrap_or(u64::MAX), "from": from(&time.origin) });
        let connections = json!({ "value": egress.connections.value, "from": from(&egress.connections.origin) });
        map.insert("ports".into(), json!(egress.granted.ports()));
        map.insert("rules".into(), json!(rules));
        map.insert("connections".into(), connections);
        map.insert("idle_timeout_ms".into(), ms(&egress.idle));
        map.insert("lifetime_ms".into(), ms(&egress.lifetime));
        map.insert("notes".into(), json!(egress.notes()));
    }
    value
}

fn limits(plan: &Plan) -> Vec<(&'static str, String, &Origin)> {
    let limits = &plan.limits;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let cpu = match limits.cpu.value {
        0 => "no limit".into(),
        percent => format!("{percent} % of one CPU, where a control group can be made"),
    };
    vec![
        ("memory", mib(limits.memory.value), &limits.memory.origin),
        ("processes", limits.processes.value.to_string(), &limits.processes.origin),
        ("open files", format!("{} per process", limits.open_files.value), &limits.open_files.origin),
        ("file size", mib(limits.file_size.value), &limits.file_size.origin),
        ("cpu", cpu, &limits.cpu.origin),
    ]
}

fn gate(plan: &Plan) -> Vec<(&'static str, String, &Origin)> {
    let gate = &plan.gate;
    let drift = match gate.drift.value {
        Drift::Refuse => "refuse to start",
        Drift::Quarantine => "hide and refuse what changed or is new",
    };
    let first_use = match gate.first_use.value {
        FirstUse::Refuse => "refuse to start",
        FirstUse::Trust => "approve what the server shows, unread",
    };
    vec![
        ("lock", plan.lock.value.to_string_lossy().into_owned(), &plan.lock.origin),
        ("on drift", drift.into(), &gate.drift.origin),
        ("without a lock", first_use.into(), &gate.first_use.origin),
        ("timeout", format!("{} ms", gate.timeout.value.as_millis()), &gate.timeout.origin),
    ]
}

/// The plan as JSON. Values of passed variables are left out.
#[must_use]
pub fn json(plan: &Plan) -> Value {
    let from = |origin: &Origin| origin.to_string();
    let lossy = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let mounts: Vec<Value> = plan
        .view
        .iter()
        .map(|mount| {
            let mut value = json!({ "path": mount.path, "kind": kind(&mount.step), "from": from(&mount.origin) });
            let detail = match &mount.step {
                Step::Bind { rights, .. } => Some(("rights", json!(rights.to_string()))),
                Step::Symlink { target } => Some(("target", json!(target.to_string_lossy()))),
                Step::Tmpfs { size, .. } => Some(("size", json!(size))),
                Step::Directory { .. } | Step::File { .. } | Step::Proc | Step::Mask { .. } => None,
            };
            if let (Some((key, detail)), Some(map)) = (detail, value.as_object_mut()) {
                map.insert(key.into(), detail);
            }
            value
        })
        .collect();
    let environment: Vec<Value> = plan
        .environment
        .iter()
        .map(|variable| {
            let value = (!variable.passed).then(|| lossy(&variable.value));
            json!({ "name": lossy(&variable.name), "value": value, "from": from(&variable.origin) })
        })
        .collect();
    let rules: Vec<Value> = plan
        .rules
        .iter()
        .map(|rule| {
            let bits = rule.rights.landlock(plan.landlock_abi, rule.directory);
            json!({ "path": rule.path.to_string_lossy(), "rights": rule.rights.to_string(), "landlock": bits,
                    "from": from(&rule.origin) })
        })
        .collect();
    let groups = GROUPS.iter().filter(|group| group.base).map(|group| (group.name.to_string(), Origin::jail()));
    let asked = plan.syscalls.iter().map(|asked| (asked.value.clone(), asked.origin.clone()));
    let syscalls: Vec<Value> =
        groups.chain(asked).map(|(name, origin)| json!({ "allow": name, "from": from(&origin) })).collect();
    let l = &plan.limits;
    let limit = |value: u64, origin: &Origin| json!({ "value": value, "from": from(origin) });
    json!({
        "version": 1,
        "name": plan.name,
        "tier": plan.tier,
        "least_tier": { "value": plan.least_tier.value, "from": from(&plan.least_tier.origin) },
        "profiles": plan.used,
        "command": {
            "program": plan.program.to_string_lossy(),
            "argv": plan.argv.iter().map(|a| lossy(a)).collect::<Vec<_>>(),
            "cwd": plan.cwd.to_string_lossy(),
            "trail": plan.trail,
        },
        "account": { "uid": plan.account.uid, "gid": plan.account.gid, "user": plan.account.user,
                     "home": plan.account.home.to_string_lossy() },
        "mounts": mounts,
        "landlock": { "abi": plan.landlock_abi, "rules": rules },
        "network": network(plan),
        "syscalls": syscalls,
        "environment": environment,
        "limits": {
            "memory": limit(l.memory.value, &l.memory.origin),
            "processes": limit(l.processes.value, &l.processes.origin),
            "open_files": limit(l.open_files.value, &l.open_files.origin),
            "file_size": limit(l.file_size.value, &l.file_size.origin),
            "cpu": limit(l.cpu.value, &l.cpu.origin),
        },
        "gate": {
            "lock": { "value": plan.lock.value.to_string_lossy(), "from": from(&plan.lock.origin) },
            "drift": { "value": plan.gate.drift.value, "from": from(&plan.gate.drift.origin) },
            "first_use": { "value": plan.gate.first_use.value, "from": from(&plan.gate.first_use.origin) },
            "timeout_ms": limit(
                u64::try_from(plan.gate.timeout.value.as_millis()).unwrap_or(u64::MAX),
                &plan.gate.timeout.origin,
            ),
        },
        "not_enforced": not_enforced(plan).collect::<Vec<_>>(),
    })
}

fn kind(step: &Step) -> &'static str {
    match step {
        Step::Directory { .. } => "directory",
        Step::Symlink { .. } => "symlink",
        Step::File { .. } => "file",
        Step::Bind { .. } => "bind",
        Step::Tmpfs { .. } => "tmpfs",
        Step::Proc => "proc",
        Step::Mask { .. } => "mask",
    }
}
