//! Case 54: each layer broken in turn. An outer filter fakes one confinement call, and the launch must fail with exit
//! code 4 and name the layer, before the server has run one instruction.
//!
//! `Strict` layers must fail the launch. For `Either`, something of equal strength may have stood in: then the server
//! may run, and everything it tries must be refused all the same.

use crate::case::{Body, Case, Suite, TierB, cases};
use crate::context::{Ctx, Phase};
use crate::support::client::Server;
use crate::support::expect::check;
use crate::support::probe::Feature;
use crate::support::world::World;
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use std::ffi::OsString;
use std::sync::Arc;

#[derive(Clone, Copy)]
enum Form {
    /// Exit code 4, and one of these words in the message.
    Strict(&'static [&'static str]),
    /// That, or an attack set refused by what remains.
    Either(&'static [&'static str]),
}

use Form::{Either, Strict};

/// EPERM, ENOSYS, EINVAL, and the success that did nothing.
const EPERM: i32 = libc::EPERM;
const ENOSYS: i32 = libc::ENOSYS;
const FAKE: i32 = 0;

struct Break {
    /// One call, or several that do the same work, separated by spaces: a layer is broken only when all are.
    calls: &'static str,
    errno: i32,
    form: Form,
    needs: &'static [Feature],
}

const fn strict(calls: &'static str, errno: i32, words: &'static [&'static str]) -> Break {
    Break { calls, errno, form: Strict(words), needs: &[] }
}

const fn either(calls: &'static str, errno: i32, words: &'static [&'static str]) -> Break {
    Break { calls, errno, form: Either(words), needs: &[] }
}

const LANDLOCK: &[&str] = &["landlock"];
const SECCOMP: &[&str] = &["seccomp", "filter"];
const CAPABILITIES: &[&str] = &["capabilit", "bounding", "securebits"];
const MOUNTS: &[&str] = &["mount", "read-only", "root", "file system", "canary"];
const NAMESPACES: &[&str] = &["namespace", "tier"];

const BREAKS: &[Break] = &[
    strict("landlock-create", ENOSYS, LANDLOCK),
    strict("landlock-restrict", FAKE, LANDLOCK),
    strict("landlock-restrict", EPERM, LANDLOCK),
    strict("landlock-rule", EPERM, LANDLOCK),
    // Without its rules a ruleset refuses more, not less; the server then does not start.
    either("landlock-rule", FAKE, &["landlock", "exec", "start"]),
    strict("seccomp-filter", FAKE, SECCOMP),
    strict("seccomp-filter", EPERM, SECCOMP),
    // Where the outer filter needed no_new_privs itself, faking it changes nothing: root only.
    Break {
        calls: "no-new-privs",
        errno: FAKE,
        form: Strict(&["no_new_privs", "no-new-privs", "new privileges", "landlock", "seccomp"]),
        needs: &[Feature::Root],
    },
    strict("no-new-privs", EPERM, &["no_new_privs", "no-new-privs", "new privileges"]),
    strict("capset", FAKE, CAPABILITIES),
    strict("capset", EPERM, CAPABILITIES),
    strict("bounding", FAKE, CAPABILITIES),
    strict("bounding", EPERM, CAPABILITIES),
    strict("securebits", FAKE, CAPABILITIES),
    strict("securebits", EPERM, CAPABILITIES),
    either("ambient", FAKE, CAPABILITIES),
    either("dumpable", FAKE, &["dumpable"]),
    either("parent-death", EPERM, &["parent", "death", "pdeathsig"]),
    strict("mount move-mount", FAKE, MOUNTS),
    strict("mount fsopen open-tree", EPERM, MOUNTS),
    strict("mount-setattr mount-remount", FAKE, MOUNTS),
    strict("mount-setattr mount-remount", EPERM, MOUNTS),
    either("mount", FAKE, MOUNTS),
    either("mount", EPERM, MOUNTS),
    either("mount-remount", FAKE, MOUNTS),
    either("mount-private", FAKE, MOUNTS),
    either("mount-setattr", FAKE, MOUNTS),
    either("mount-setattr", ENOSYS, MOUNTS),
    either("move-mount", FAKE, MOUNTS),
    either("move-mount", ENOSYS, MOUNTS),
    either("open-tree", EPERM, MOUNTS),
    either("fsopen", ENOSYS, MOUNTS),
    either("fsmount", FAKE, MOUNTS),
    strict("pivot-root", FAKE, &["root"]),
    strict("pivot-root", EPERM, &["root"]),
    strict("umount", FAKE, &["root", "mount"]),
    strict("umount", EPERM, &["root", "mount"]),
    strict("limits", FAKE, &["limit"]),
    strict("limits", EPERM, &["limit"]),
    either("close-range", FAKE, &["descriptor", "close"]),
    either("close-range", ENOSYS, &["descriptor", "close"]),
    either("setsid", FAKE, &["session", "setsid"]),
    either("sethostname", EPERM, &["hostname", "host name", "uts"]),
    strict("clone3 clone-namespaces unshare", EPERM, NAMESPACES),
    strict("clone3 clone-namespaces unshare", ENOSYS, NAMESPACES),
    either("clone3", ENOSYS, NAMESPACES),
];

const BROKER: &str = "mcpjail-broker";
const PROXY: &str = "mcpjail-proxy";
/// Stage 2, before it becomes the server.
const STAGE2: &str = "mcpjail-init";

const fn of_root(calls: &'static str, errno: i32, words: &'static [&'static str]) -> Break {
    Break { calls, errno, form: Strict(words), needs: &[Feature::Root] }
}

/// The same for the processes outside of the jail that hold its connections, and for what listens inside: broken in that
/// process alone, all of these fail the launch.
const EGRESS_BREAKS: &[(&[&str], Break)] = &[
    (&[BROKER, PROXY], strict("landlock-create", ENOSYS, LANDLOCK)),
    (&[BROKER, PROXY], strict("landlock-restrict", FAKE, LANDLOCK)),
    (&[BROKER, PROXY], strict("landlock-restrict", EPERM, LANDLOCK)),
    (&[BROKER], strict("landlock-rule", FAKE, LANDLOCK)),
    (&[BROKER], strict("landlock-rule", EPERM, LANDLOCK)),
    (&[BROKER, PROXY], strict("seccomp-filter", FAKE, SECCOMP)),
    (&[BROKER, PROXY], strict("seccomp-filter", EPERM, SECCOMP)),
    (&[BROKER, PROXY], of_root("no-new-privs", FAKE, &["no_new_privs", "no-new-privs", "landlock", "seccomp"])),
    (&[BROKER, PROXY], strict("no-new-privs", EPERM, &["no_new_privs", "no-new-privs"])),
    // an ordinary user's have no capabilities to lose
    (&[BROKER, PROXY], of_root("capset", FAKE, CAPABILITIES)),
    (&[BROKER, PROXY], of_root("bounding", FAKE, CAPABILITIES)),
    (&[BROKER, PROXY], of_root("securebits", FAKE, CAPABILITIES)),
    (&[BROKER, PROXY], strict("capset", EPERM, CAPABILITIES)),
    (&[BROKER, PROXY], strict("dumpable", FAKE, &["dumpable"])),
    (&[BROKER, PROXY], strict("dumpable", EPERM, &["dumpable"])),
    (&[BROKER, PROXY], strict("parent-death", FAKE, &["die with its parent"])),
    (&[BROKER, PROXY], strict("parent-death", EPERM, &["death"])),
    (&[BROKER, PROXY], strict("limits", EPERM, &["limit"])),
    (&[BROKER], strict("close-range", FAKE, &["descriptor"])),
    (&[BROKER], strict("close-range", ENOSYS, &["descriptor"])),
    (&[STAGE2], strict("sendto", FAKE, &["network"])),
    (&[STAGE2], strict("sendto", EPERM, &["network"])),
    (&[STAGE2], strict("bind", FAKE, &["network"])),
    (&[STAGE2], strict("listen", FAKE, &["network"])),
    (&[STAGE2], strict("sendmsg", FAKE, &["listeners"])),
    (&[STAGE2], strict("sendmsg", EPERM, &["listeners"])),
];

/// The cases that a broken layer must not open, by name.
const CORE: &[&str] = &[
    "read-by-every-call",
    "secrets-of-the-home",
    "existence",
    "ways-around",
    "create-in-a-readable-directory",
    "metadata",
    "unshare",
    "mount",
    "capabilities",
    "every-thread",
    "signals",
    "trace-the-init",
    "own-descriptors",
    "terminal",
    "i386",
    "dangerous-calls",
    "families",
    "abstract-sockets",
    "raw-sockets",
];

pub fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, needs: &[Feature], body: Body| trials.push(suite.trial(&name, "", needs, body));

    let world = suite.world.clone();
    add("54-sabotage-takes-effect::control".into(), &[Feature::Landlock], Box::new(move || takes_effect(&world)));
    let world = suite.world.clone();
    let jailed = [Feature::Landlock, Feature::UserNamespaces];
    add("54-nothing-broken::granted".into(), &jailed, Box::new(move || nothing_broken(&world)));

    for broken in BREAKS {
        let how = match broken.errno {
            FAKE => "fake",
            ENOSYS => "absent",
            _ => "refused",
        };
        let mut needs = jailed.to_vec();
        needs.extend(broken.needs);
        let world = suite.world.clone();
        let has_i386 = suite.machine.missing(&[Feature::I386]).is_empty();
        add(
            format!("54-{}-{how}::refused", broken.calls.replace(' ', "+")),
            &needs,
            Box::new(move || one(&world, broken, has_i386)),
        );
    }
    let world = suite.world.clone();
    add("54-nothing-broken-with-egress::granted".into(), &jailed, Box::new(move || egress_unbroken(&world)));
    for (broken, process) in
        EGRESS_BREAKS.iter().flat_map(|(names, broken)| names.iter().map(move |name| (broken, *name)))
    {
        let how = match broken.errno {
            FAKE => "fake",
            ENOSYS => "absent",
            _ => "refused",
        };
        let Strict(words) = broken.form else { continue };
        let mut needs = jailed.to_vec();
        needs.extend(broken.needs);
        let world = suite.world.clone();
        let body = move || {
            let (only, call) = (format!("in={process}"), format!("{}={}", broken.calls, broken.errno));
            refused(&world, &[&only, &call, "fds"], "egress", words).map_err(Failed::from)
        };
        add(format!("54-{}-{}-{how}::refused", process, broken.calls), &needs, Box::new(body));
    }
    for (name, sabotages, words) in
        [("landlock-restrict", "landlock-restrict=0", LANDLOCK), ("seccomp-filter", "seccomp-filter=0", SECCOMP)]
    {
        let world = suite.world.clone();
        add(
            format!("tierB::54-{name}-fake::refused"),
            &[Feature::Landlock],
            Box::new(move || refused(&world, &[sabotages], "B", words).map_err(Into::into)),
        );
    }
    trials
}

/// The fake success is one: Landlock says that it confined, and did not.
fn takes_effect(world: &World) -> Result<(), Failed> {
    let path = world.path("exec").join(format!("readable-{}", world.unique()));
    std::fs::write(&path, "x")?;
    let arguments = json!({ "attack": "own-landlock", "path": path });
    let mut results = Vec::new();
    for sabotages in [&[][..], &["landlock-restrict=0"][..]] {
        let line = [world.path("bin/attacker").into()];
        let mut server = Server::start(world.sabotaged(sabotages, &line)).map_err(|ended| ended.to_string())?;
        let answer = server.attempt(&arguments)?;
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let ok = |name: &str| steps.iter().any(|step| step["step"] == name && step["ok"] == true);
        results.push((ok("restrict"), ok("read")));
    }
    match results.as_slice() {
        [(true, false), (true, true)] => Ok(()),
        other => Err(format!("(restricted, read) without and with sabotage: {other:?}").into()),
    }
}

/// `tier` is `A`, `B`, or `egress`: tier A with a name granted.
fn line(world: &World, tier: &str, started: &std::path::Path) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec![world.path("bin/mcpjail").into(), "run".into(), "--trust-first-use".into()];
    line.extend(match tier {
        "egress" => ["--tier", "A", "--exact-tier", "--net", "granted.example:443,5432"].map(OsString::from).to_vec(),
        tier => ["--exact-tier", "--tier", tier].map(OsString::from).to_vec(),
    });
    for (flag, path) in [("--read", world.path("ro")), ("--write", world.path("rw"))] {
        line.extend([flag.into(), path.into()]);
    }
    line.extend(["--".into(), world.path("bin/attacker").into(), "--started".into(), started.into()]);
    line
}

/// The outer filter alone, which breaks nothing, is no reason to fail.
fn nothing_broken(world: &World) -> Result<(), Failed> {
    let started = world.path("rw").join(format!("started-{}", world.unique()));
    let mut server = Server::start(world.sabotaged(&[], &line(world, "A", &started))).map_err(|e| e.to_string())?;
    let _ = server.close();
    if started.exists() { Ok(()) } else { Err("the server left no trace of having started".into()) }
}

/// The same with connections by name, and a filter that asks about every process.
fn egress_unbroken(world: &World) -> Result<(), Failed> {
    let started = world.path("rw").join(format!("started-{}", world.unique()));
    let sabotages = ["in=nobody", "capset=1", "landlock-restrict=1", "bind=1", "sendmsg=1"];
    let mut server =
        Server::start(world.sabotaged(&sabotages, &line(world, "egress", &started))).map_err(|e| e.to_string())?;
    let _ = server.close();
    if started.exists() { Ok(()) } else { Err("the server left no trace of having started".into()) }
}

/// What came of a launch under sabotage.
enum Outcome {
    Served(Box<Server>),
    Refused,
}

fn launch(world: &World, sabotages: &[&str], tier: &str, words: &[&str]) -> Result<Outcome, String> {
    let started = world.path("rw").join(format!("started-{}", world.unique()));
    let ended = match Server::start(world.sabotaged(sabotages, &line(world, tier, &started))) {
        Ok(server) => return Ok(Outcome::Served(Box::new(server))),
        Err(ended) => ended,
    };
    let text = ended.stderr.to_lowercase();
    if started.exists() {
        return Err(format!("the server ran although the launch failed: {ended}"));
    }
    if ended.code != Some(4) {
        return Err(format!("wanted exit code 4: {ended}"));
    }
    if !words.iter().any(|word| text.contains(word)) {
        return Err(format!("the message names none of {words:?}: {ended}"));
    }
    Ok(Outcome::Refused)
}

fn refused(world: &World, sabotages: &[&str], tier: &str, words: &[&str]) -> Result<(), String> {
    match launch(world, sabotages, tier, words)? {
        Outcome::Refused => Ok(()),
        Outcome::Served(server) => Err(format!("the server was started; stderr:\n{}", server.stderr())),
    }
}

fn one(world: &Arc<World>, broken: &Break, has_i386: bool) -> Result<(), Failed> {
    let mut sabotages: Vec<String> = broken.calls.split(' ').map(|call| format!("{call}={}", broken.errno)).collect();
    // A hundred descriptors are open as well, so that closing none would show.
    sabotages.push("fds".into());
    let sabotages: Vec<&str> = sabotages.iter().map(String::as_str).collect();
    match broken.form {
        Strict(words) => refused(world, &sabotages, "A", words).map_err(Into::into),
        Either(words) => match launch(world, &sabotages, "A", words)? {
            Outcome::Refused => Ok(()),
            Outcome::Served(mut server) => core(world, &mut server, has_i386),
        },
    }
}

/// Everything of the core set is refused as under an unbroken jail.
fn core(world: &Arc<World>, server: &mut Server, has_i386: bool) -> Result<(), Failed> {
    let mut complaints = Vec::new();
    for case in cases().filter(|case| CORE.contains(&case.name)).filter(|case| has_i386 || case.name != "i386") {
        if let Err(why) = core_case(world, server, case) {
            complaints.push(format!("{:02}-{}: {why}", case.number, case.name));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

fn core_case(world: &Arc<World>, server: &mut Server, case: &'static Case) -> Result<(), String> {
    debug_assert!(!matches!(case.tier_b, TierB::Differs(&[])));
    let mut ctx = Ctx::new(world.clone(), case, Phase::Refused, false).map_err(|error| error.to_string())?;
    (case.prepare)(&mut ctx).map_err(|error| error.to_string())?;
    let answer = server.attempt(&ctx.complete((case.attack)(&ctx)))?;
    check(&answer, case.refused)?;
    (case.verify)(&ctx)
}
