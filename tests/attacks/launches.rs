//! Cases 4, 15, 16, 26, 28: attacks on the launch itself, each with a launcher of its own.

use crate::case::{Body, Suite};
use crate::support::client::Server;
use crate::support::probe::Feature;
use crate::support::world::{SECRET, World, plant};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Exit codes by which a launch may be refused: usage or configuration, and a jail that could not be built.
const REFUSALS: &[Option<i32>] = &[Some(2), Some(4)];

/// How often the race over a granted path is run.
const RACES: usize = 120;

type Check = fn(&World) -> Result<(), Failed>;

const JAILED: &[Feature] = &[Feature::Landlock, Feature::UserNamespaces];

/// Only root sees which file a process of another state of mind was started from.
const AS_ROOT: &[Feature] = &[Feature::Landlock, Feature::UserNamespaces, Feature::Root];

pub fn trials(suite: &Suite) -> Vec<Trial> {
    let all: &[(&str, &[Feature], Check)] = &[
        ("04-swapped-grant::control", &[], swap_control),
        ("04-swapped-grant::refused", JAILED, swap_refused),
        ("04-swapped-parent::refused", JAILED, swap_parent),
        ("04-grant-is-a-symlink-to-a-secret::refused", JAILED, symlink_to_protected),
        ("15-odd-names-as-grants::granted", JAILED, odd_grants),
        ("16-fifos-and-sockets::refused", JAILED, never_hangs),
        ("26-a-hundred-descriptors::control", &[], descriptors_control),
        ("26-a-hundred-descriptors::refused", JAILED, descriptors_refused),
        ("28-launcher-killed::control", &[], killed_control),
        ("28-launcher-killed::refused", JAILED, killed_refused),
        ("28-server-orphans::refused", JAILED, orphans_refused),
        ("28-dead-host::refused", JAILED, closed_refused),
        ("28-launcher-killed-under-egress::refused", JAILED, killed_under_egress),
        ("28-launcher-killed-while-it-starts::refused", AS_ROOT, killed_while_it_starts),
        ("28-broker-or-proxy-killed::refused", JAILED, half_killed),
        ("28-dead-host-under-egress::refused", JAILED, closed_under_egress),
        ("tierB::28-launcher-killed::refused", &[Feature::Landlock], killed_in_tier_b),
        ("tierB::28-stopped-reaper::refused", &[Feature::Landlock], stopped_reaper),
    ];
    all.iter()
        .map(|(name, needs, check)| {
            let world = suite.world.clone();
            let body: Body = Box::new(move || check(&world));
            suite.trial(name, "", needs, body)
        })
        .collect()
}

fn options<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Vec<OsString> {
    pairs.into_iter().flat_map(|(flag, path)| [flag.into(), path.into()]).collect()
}

/// What the attacker reads at this path: the text, or the error's name.
fn read(server: &mut Server, path: &Path) -> Result<String, String> {
    let hex: String = path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = server.attempt(&json!({ "attack": "read", "path_hex": hex }))?;
    let step = answer["steps"]
        .as_array()
        .and_then(|steps| steps.iter().find(|step| step["step"] == "openat"))
        .cloned()
        .unwrap_or_default();
    Ok(step["detail"].as_str().or(step["errno"].as_str()).unwrap_or_default().to_owned())
}

/// A directory of the suite's own in the world, given to its identity.
fn scratch(world: &World, name: &str) -> std::io::Result<PathBuf> {
    let dir = world.path("tmp").join(format!("{name}-{}", world.unique()));
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// Exchanges two names until told to stop.
fn swapper(one: &Path, other: &Path, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let (one, other) = (name(one), name(other));
    std::thread::spawn(move || {
        let mut swaps = 0;
        let at = libc::AT_FDCWD;
        while !stop.load(Ordering::Relaxed) {
            unsafe { libc::renameat2(at, one.as_ptr(), at, other.as_ptr(), libc::RENAME_EXCHANGE) };
            swaps += 1;
            // Slow enough that each state is met now and then by every stage of a launch.
            std::thread::sleep(Duration::from_micros(300));
        }
        swaps
    })
}

/// A directory and a symlink to the secrets, ready to change places.
fn swap_fixture(world: &World) -> std::io::Result<(PathBuf, PathBuf)> {
    let dir = scratch(world, "swap")?;
    plant(&dir.join("granted/id_rsa"), "harmless")?;
    std::os::unix::fs::symlink(world.home().join(".ssh"), dir.join("decoy"))?;
    world.identity.own(&dir)?;
    Ok((dir.join("granted"), dir.join("decoy")))
}

/// Unjailed, a reader of the path meets the secret soon.
fn swap_control(world: &World) -> Result<(), Failed> {
    let (granted, decoy) = swap_fixture(world)?;
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = swapper(&granted, &decoy, stop.clone());
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut met = false;
    let mut server = Server::start(world.plain(&[])).map_err(|ended| ended.to_string())?;
    while !met && Instant::now() < deadline {
        met = read(&mut server, &granted.join("id_rsa"))? == SECRET;
    }
    stop.store(true, Ordering::Relaxed);
    let _ = swapping.join();
    if met { Ok(()) } else { Err("the swap was never met".into()) }
}

/// Jailed, the secret is never behind the granted path: `~/.ssh` is protected, however it is reached.
fn race(world: &World, granted: &Path, file: &Path, one: &Path, other: &Path) -> Result<(), Failed> {
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = swapper(one, other, stop.clone());
    let mut outcome = Ok(());
    let (mut served, mut refused) = (0, 0);
    for _ in 0..RACES {
        match Server::start(world.jailed(&options([("--read", granted)]), &[])) {
            Ok(mut server) => {
                served += 1;
                let text = read(&mut server, file)?;
                if text.contains(SECRET) {
                    outcome = Err(format!("launch {} reads the secret through the swapped grant", served + refused));
                    break;
                }
            }
            Err(ended) if REFUSALS.contains(&ended.code) => refused += 1,
            Err(ended) => {
                outcome = Err(format!("neither served nor refused: {ended}"));
                break;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap_or(0);
    outcome?;
    // Without a launch that was served, or without swaps, the race was not run.
    if served == 0 || swaps < RACES as u64 {
        return Err(format!("{served} served, {refused} refused, {swaps} swaps: no race").into());
    }
    Ok(())
}

fn swap_refused(world: &World) -> Result<(), Failed> {
    let (granted, decoy) = swap_fixture(world)?;
    race(world, &granted, &granted.join("id_rsa"), &granted, &decoy)
}

/// The same with a directory above the granted one.
fn swap_parent(world: &World) -> Result<(), Failed> {
    let dir = scratch(world, "swap-parent")?;
    plant(&dir.join("above/.ssh/id_rsa"), "harmless")?;
    std::os::unix::fs::symlink(world.home(), dir.join("decoy"))?;
    world.identity.own(&dir)?;
    let granted = dir.join("above/.ssh");
    race(world, &granted, &granted.join("id_rsa"), &dir.join("above"), &dir.join("decoy"))
}

/// No race at all: the granted name is a symlink to a protected place from the start.
fn symlink_to_protected(world: &World) -> Result<(), Failed> {
    let (_, decoy) = swap_fixture(world)?;
    match Server::start(world.jailed(&options([("--read", decoy.as_path())]), &[])) {
        Err(ended) if REFUSALS.contains(&ended.code) => Ok(()),
        Err(ended) => Err(format!("wanted a refusal: {ended}").into()),
        Ok(mut server) => {
            let through = read(&mut server, &decoy.join("id_rsa"))?;
            let direct = read(&mut server, &world.home().join(".ssh/id_rsa"))?;
            if through.contains(SECRET) || direct.contains(SECRET) {
                return Err("the secret is readable through a symlink that was granted".into());
            }
            Ok(())
        }
    }
}

/// Every odd name is granted as it is written, and nothing that it might mean.
fn odd_grants(world: &World) -> Result<(), Failed> {
    let dir = scratch(world, "odd")?;
    let names: [&[u8]; 7] = [b"a\nb", b"a[bc]", b"a*", b"a\\040b", b"caf\xe9", b" a ", b"a (deleted)"];
    // What those would match if they were patterns or escapes.
    let others: [&[u8]; 4] = [b"ab", b"ac", b"a b", b"axx"];
    let path = |name: &[u8]| dir.join(OsStr::from_bytes(name));
    for name in names.iter().chain(&others) {
        plant(&path(name).join("file"), "odd content")?;
    }
    world.identity.own(&dir)?;
    let paths: Vec<PathBuf> = names.iter().map(|name| path(name)).collect();
    let granted = options(paths.iter().map(|path| ("--read", path.as_path())));
    let mut server = Server::start(world.jailed(&granted, &[])).map_err(|ended| ended.to_string())?;
    for name in names {
        let text = read(&mut server, &path(name).join("file"))?;
        if text != "odd content" {
            return Err(format!("{:?} was granted and gives {text}", OsString::from_vec(name.to_vec())).into());
        }
    }
    for name in others {
        let text = read(&mut server, &path(name).join("file"))?;
        if text != "ENOENT" {
            return Err(format!("{:?} was not granted and gives {text}", OsString::from_vec(name.to_vec())).into());
        }
    }
    Ok(())
}

/// Wherever the launcher opens a path, a FIFO without a writer or a socket lies there: it ends or it serves.
fn never_hangs(world: &World) -> Result<(), Failed> {
    let dir = scratch(world, "odd-kinds")?;
    let fifo = dir.join("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap_or_default();
    unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    let socket = dir.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket)?;
    world.identity.own(&dir)?;
    let mut complaints = Vec::new();
    for flag in ["--read", "--write", "--exec", "--profile"] {
        for path in [&fifo, &socket] {
            let started = Instant::now();
            let label = format!("{flag} {}", path.display());
            match Server::start(world.jailed(&options([(flag, path.as_path())]), &[])) {
                Ok(_) if flag == "--profile" => complaints.push(format!("{label}: serves")),
                Ok(_) => {}
                Err(ended) if REFUSALS.contains(&ended.code) && started.elapsed() < Duration::from_secs(15) => {}
                Err(ended) => complaints.push(format!("{label} after {:?}: {ended}", started.elapsed())),
            }
        }
    }
    // As the server itself, and as the configuration of a home directory.
    let mut command = world.identity.command(&world.path("bin/mcpjail"));
    command.args(["run", "--trust-first-use", "--"]).arg(&fifo).env("HOME", world.home()).env("PATH", "/usr/bin:/bin");
    match Server::start(command) {
        Err(ended) if ended.code.is_some_and(|code| code != 0) => {}
        Err(ended) => complaints.push(format!("a FIFO as the server: {ended}")),
        Ok(_) => complaints.push("a FIFO as the server: serves".into()),
    }
    let config = dir.join("config/mcpjail/config.toml");
    fs::create_dir_all(dir.join("config/mcpjail"))?;
    fs::rename(&fifo, &config)?;
    world.identity.own(&dir)?;
    let mut command = world.jailed(&[], &[]);
    command.env("XDG_CONFIG_HOME", dir.join("config"));
    if let Err(ended) = Server::start(command)
        && !REFUSALS.contains(&ended.code)
    {
        complaints.push(format!("a FIFO as config.toml: {ended}"));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

fn descriptors(command: std::process::Command) -> Result<Value, Failed> {
    let mut server = Server::start(command).map_err(|ended| ended.to_string())?;
    let answer = server.attempt(&json!({ "attack": "own-descriptors", "here": true }))?;
    let count = answer["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["step"] == "count"));
    Ok(count.cloned().unwrap_or_default())
}

/// Unjailed, all hundred arrive.
fn descriptors_control(world: &World) -> Result<(), Failed> {
    let count = descriptors(world.sabotaged(&["fds"], &[world.path("bin/attacker").into()]))?;
    if count["detail"].as_u64() >= Some(100) { Ok(()) } else { Err(format!("{count}").into()) }
}

fn descriptors_refused(world: &World) -> Result<(), Failed> {
    let mut line: Vec<OsString> =
        vec![world.path("bin/mcpjail").into(), "run".into(), "--trust-first-use".into(), "--".into()];
    line.push(world.path("bin/attacker").into());
    let count = descriptors(world.sabotaged(&["fds"], &line))?;
    if count["ok"] == false {
        Ok(())
    } else {
        Err(format!("descriptors of the launcher in the server: {count}").into())
    }
}

/// Processes whose arguments contain the mark, by number.
fn marked(mark: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(mark.len()).any(|window| window == mark.as_bytes())
        })
        .collect()
}

/// Everything below a process, by the parents in /proc.
fn descendants(of: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let all: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, parent)| *parent == next).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// A server whose attacker left two orphans behind; gives the mark that they carry.
fn with_orphans(server: &mut Server, mark: &str) -> Result<(), Failed> {
    let answer = server.attempt(&json!({ "attack": "linger", "mark": mark, "count": 2 }))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while marked(mark).len() < 2 {
        if Instant::now() > deadline {
            return Err(format!("the orphans were not started: {answer}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn mark(world: &World, name: &str) -> String {
    format!("{name}-{}-{}", world.path("").display(), world.unique())
}

/// Waits until all are gone; says who is not.
fn gone(mark: &str, others: &[i32]) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    // A zombie is dead: its reaper may be anyone.
    let dead = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with(['Z', 'X']))
    };
    loop {
        let alive: Vec<i32> = marked(mark).into_iter().chain(others.iter().copied()).filter(|pid| !dead(pid)).collect();
        if alive.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let lines: Vec<String> = alive
                .iter()
                .map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " "))
                .collect();
            end(&alive);
            return Err(format!("still alive: {lines:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills what the suite started, by number.
fn end(processes: &[i32]) {
    for pid in processes.iter().filter(|pid| **pid > 1) {
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
}

/// Unjailed, orphans outlive the server; the suite ends them itself.
fn killed_control(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "killed-control");
    let mut server = Server::start(world.plain(&[])).map_err(|ended| ended.to_string())?;
    with_orphans(&mut server, &mark)?;
    server.kill();
    let left = marked(&mark);
    end(&left);
    if left.len() == 2 { Ok(()) } else { Err(format!("{} of 2 orphans live", left.len()).into()) }
}

/// SIGKILL to the launcher, which it cannot answer.
fn killed_refused(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "killed");
    let mut server = Server::start(world.jailed(&[], &[])).map_err(|ended| ended.to_string())?;
    with_orphans(&mut server, &mark)?;
    let below = descendants(server.pid() as i32);
    if below.is_empty() {
        return Err("the launcher has no descendants".into());
    }
    server.kill();
    gone(&mark, &below)
}

/// The server ends by itself; what it left behind ends with its jail.
fn orphans_refused(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "orphans");
    let mut server = Server::start(world.jailed(&[], &[])).map_err(|ended| ended.to_string())?;
    with_orphans(&mut server, &mark)?;
    let below = descendants(server.pid() as i32);
    if server.close().is_none() {
        return Err("mcpjail does not end when its stdin is closed".into());
    }
    gone(&mark, &below)
}

/// The host application dies: stdin and stdout break.
fn closed_refused(world: &World) -> Result<(), Failed> {
    let mut server = Server::start(world.jailed(&[], &[])).map_err(|ended| ended.to_string())?;
    let below = descendants(server.pid() as i32);
    match server.close().map(|status| status.code()) {
        Some(Some(0)) => gone("no such mark anywhere", &below),
        other => {
            Err(format!("mcpjail ends by {other:?} when the host closes stdin; stderr:\n{}", server.stderr()).into())
        }
    }
}

fn under_egress(world: &World) -> Result<(Server, Vec<i32>), Failed> {
    let options = ["--net", "granted.example:443"].map(OsString::from);
    let server = Server::start(world.jailed(&options, &[])).map_err(|ended| ended.to_string())?;
    let below = descendants(server.pid() as i32);
    for name in ["mcpjail-broker", "mcpjail-proxy"] {
        if below.iter().filter(|pid| comm(**pid) == name).count() != 1 {
            return Err(format!("there is no `{name}`, or more than one").into());
        }
    }
    Ok((server, below))
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Whoever holds the connections goes with the launcher, too.
fn killed_under_egress(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "killed-under-egress");
    let (mut server, below) = under_egress(world)?;
    with_orphans(&mut server, &mark)?;
    server.kill();
    gone(&mark, &below)
}

fn closed_under_egress(world: &World) -> Result<(), Failed> {
    let (mut server, below) = under_egress(world)?;
    match server.close().map(|status| status.code()) {
        Some(Some(0)) => gone("no such mark anywhere", &below),
        other => Err(format!("mcpjail ends by {other:?}; stderr:\n{}", server.stderr()).into()),
    }
}

/// Neither half lives on without the other, and the server lives on without a network.
fn half_killed(world: &World) -> Result<(), Failed> {
    for name in ["mcpjail-broker", "mcpjail-proxy"] {
        let (mut server, below) = under_egress(world)?;
        let both: Vec<i32> = below
            .iter()
            .copied()
            .filter(|pid| comm(*pid).starts_with("mcpjail-b") || comm(*pid).starts_with("mcpjail-p"))
            .collect();
        let one: Vec<i32> = both.iter().copied().filter(|pid| comm(*pid) == name).collect();
        end(&one);
        gone("no such mark anywhere", &both)?;
        let target = json!([{ "name": "tcp", "address": "192.0.2.1:443" }]);
        let answer = server.attempt(&json!({ "attack": "connect", "targets": target }))?;
        if answer["steps"][0]["errno"] != "ECONNREFUSED" {
            return Err(format!("`{name}` is gone, and yet: {answer}").into());
        }
        if server.close().is_none() {
            return Err(format!("mcpjail does not end after its `{name}` was killed").into());
        }
    }
    Ok(())
}

/// SIGKILL at every moment of a start, above all between the birth of a process and its asking to die with its parent.
fn killed_while_it_starts(world: &World) -> Result<(), Failed> {
    let dir = scratch(world, "killed-while-it-starts")?;
    let program = dir.join("mcpjail");
    fs::copy(world.path("bin/mcpjail"), &program)?;
    let mut met = 0;
    for round in 0..60 {
        let mut command = world.identity.command(&program);
        command
            .args(["run", "--trust-first-use", "--net", "granted.example:443", "--"])
            .arg(world.path("bin/attacker"));
        command.env("HOME", world.home()).env("PATH", "/usr/bin:/bin").current_dir("/");
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut launcher = command.spawn()?;
        std::thread::sleep(Duration::from_micros(400 * round));
        met += usize::from(of_program(&program).len() > 1);
        launcher.kill()?;
        launcher.wait()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !of_program(&program).is_empty() {
            if Instant::now() > deadline {
                let left = of_program(&program);
                let names: Vec<String> = left.iter().map(|pid| comm(*pid)).collect();
                end(&left);
                return Err(format!("round {round}: still alive: {names:?}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if met < 10 { Err(format!("only {met} launches had started anything").into()) } else { Ok(()) }
}

/// Processes that execute this file and are not dead.
fn of_program(program: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program))
        .collect()
}

fn tier_b(world: &World) -> Result<Server, Failed> {
    let options = ["--tier", "B", "--exact-tier"].map(OsString::from);
    Ok(Server::start(world.jailed(&options, &[])).map_err(|ended| ended.to_string())?)
}

fn killed_in_tier_b(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "killed-in-tier-b");
    let mut server = tier_b(world)?;
    with_orphans(&mut server, &mark)?;
    let below = descendants(server.pid() as i32);
    server.kill();
    gone(&mark, &below)
}

/// Where Landlock does not scope signals, a server of tier B can stop the process that is to end it.
fn stopped_reaper(world: &World) -> Result<(), Failed> {
    let mark = mark(world, "stopped-reaper");
    let mut server = tier_b(world)?;
    with_orphans(&mut server, &mark)?;
    let below = descendants(server.pid() as i32);
    let reaper = below.first().copied().ok_or("the launcher has no descendants")?;
    unsafe { libc::kill(reaper, libc::SIGSTOP) };
    if server.close().is_none() {
        end(&below);
        return Err("mcpjail does not end while its reaper is stopped".into());
    }
    gone(&mark, &below)
}
