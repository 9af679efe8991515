//! `mcpjail run`: plan, jail, relay, exit code.

use super::output::{self, Failed, IoFailed, note};
use super::{RunArgs, prepare};
use crate::config::Tier;
use crate::diagnose::Exit;
use crate::facts::{PrivateDirectory, private_directory};
use crate::jail::{self, JailError, Layer, LayerReport, Nascent, Running, Status, Stdio};
use crate::plan::Plan;
use crate::relay::{self, Endpoints, Options};
use crate::sys::fd;
use crate::sys::signal::SignalFd;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a host is given to send the request that a refusal answers.
const REFUSAL: Duration = Duration::from_secs(2);

pub(super) fn run(args: &RunArgs) -> ExitCode {
    match session(args) {
        Ok(code) => code,
        Err(error) => {
            let code = output::fail(&error);
            // many hosts hide stderr: the first request is answered with the reason
            let (stdin, stdout) = (io::stdin(), io::stdout());
            relay::refuse(stdin.as_fd(), stdout.as_fd(), &error.one_line(), error.code(), REFUSAL);
            code
        }
    }
}

fn session(args: &RunArgs) -> Result<ExitCode, Failed> {
    let failed = |what| move |source| Failed::from(IoFailed { what, source });
    // before any thread exists, so that every thread inherits the mask
    let signals = SignalFd::block_ending().map_err(failed("block signals"))?;
    let mut jailed = start(args, &signals)?;
    let Streams { stdin, stdout, stderr } = jailed.streams;
    let ends = Endpoints::with_stdio(stdin, stdout, stderr).map_err(failed("duplicate stdio"))?;
    let outcome = relay::run(ends, &mut jailed.running, signals, &Options::default())?;
    if jailed.running.ran_out_of_memory() {
        note(&format!("the kernel ended processes of the server at the memory limit ({})", jailed.memory));
    }
    drop(jailed.private);
    for path in jailed.absent.iter().filter(|path| std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_symlink())) {
        let path = path.display();
        note(&format!(
            "WARNING: during this session `{path}` was made; programs outside the jail run or believe what is in it. \
             Look at it before you use the directory again"
        ));
    }
    outcome.verdict()?;
    Ok(ExitCode::from(Exit::Fine as u8))
}

/// A running server and our ends of its pipes.
struct Jailed {
    running: Running,
    streams: Streams,
    memory: String,
    private: Option<PrivateDirectory>,
    /// Guarded names that did not exist at the start.
    absent: Vec<PathBuf>,
}

/// Starts in tier A; in tier B only where the person accepts it and A is not to be had, and says so.
fn start(args: &RunArgs, signals: &SignalFd) -> Result<Jailed, Failed> {
    let only_b = args.target.exact_tier && args.target.tier == Some(Tier::B);
    let first = if only_b { Tier::B } else { Tier::A };
    // stage 2 starts before anything is read: its own start takes as long as the reading
    let nascent = Streams::start(first);
    let prepared = prepare::Prepared::new(&args.target, args.trust_first_use)?;
    for hint in prepared.hints() {
        note(&hint);
    }
    let least = prepared.least_tier();
    match nascent.and_then(|(nascent, streams)| {
        finish(prepared, first, nascent, streams, Starting { signals, verbose: args.verbose })
    }) {
        Err(Refused::Jail(error)) if first == Tier::A && least == Tier::B && is_unavailable(&error) => {
            note(&format!("running in tier B, which the profile accepts: {}", Failed::from(error).one_line()));
        }
        other => return Ok(other?),
    }
    let (nascent, streams) = Streams::start(Tier::B)?;
    let prepared = prepare::Prepared::new(&args.target, args.trust_first_use)?;
    Ok(finish(prepared, Tier::B, nascent, streams, Starting { signals, verbose: args.verbose })?)
}

/// Our ends of the server's standard streams.
struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Streams {
    fn start(tier: Tier) -> Result<(Nascent, Streams), Refused> {
        let pipe = || fd::pipe().map_err(|source| Refused::Other(IoFailed { what: "make a pipe", source }.into()));
        let ((server_in, stdin), (stdout, server_out), (stderr, server_err)) = (pipe()?, pipe()?, pipe()?);
        let stdio = Stdio { stdin: server_in, stdout: server_out, stderr: server_err };
        let nascent = jail::start(tier, stdio).map_err(Refused::Jail)?;
        Ok((nascent, Streams { stdin, stdout, stderr }))
    }
}

/// How a start is listened to.
struct Starting<'a> {
    signals: &'a SignalFd,
    verbose: bool,
}

fn finish(
    prepared: prepare::Prepared,
    tier: Tier,
    nascent: Nascent,
    streams: Streams,
    starting: Starting<'_>,
) -> Result<Jailed, Refused> {
    let private = match tier {
        Tier::A => None,
        Tier::B => Some(private_directory().map_err(|error| Refused::Other(error.into()))?),
    };
    let absent = prepared.absent();
    let plan = prepared.plan(tier, private.as_ref().map(|p| p.path.clone())).map_err(Refused::Other)?;
    let running = nascent.finish(&plan, Some(starting.signals)).map_err(Refused::Jail)?;
    say(&plan, &running.report, starting.verbose);
    let memory = format!("{} MiB, {}", plan.limits.memory.value >> 20, plan.limits.memory.origin);
    Ok(Jailed { running, streams, memory, private, absent })
}

/// Whether this machine does not give what tier A needs, as opposed to something being wrong.
fn is_unavailable(error: &JailError) -> bool {
    match error {
        JailError::NoNamespaces { .. } => true,
        JailError::Layer(failure, _) => failure.layer == Layer::Mounts && failure.errno == libc::EPERM,
        _ => false,
    }
}

enum Refused {
    Jail(JailError),
    Other(Failed),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        match refused {
            Refused::Jail(error) => Failed::from(error),
            Refused::Other(failed) => failed,
        }
    }
}

/// What is not enforced is always said; the whole report only when asked for.
fn say(plan: &Plan, report: &[LayerReport], verbose: bool) {
    for line in &plan.unenforced {
        note(&format!("not enforced in tier {}: {line}", plan.tier));
    }
    for line in report {
        match &line.status {
            Status::Degraded { needs, have } => note(&format!("{}: only {have} (more needs {needs})", line.name)),
            Status::Enforced if verbose => note(&format!("{}: enforced", line.name)),
            Status::Off if verbose => note(&format!("{}: off", line.name)),
            Status::Enforced | Status::Off => {}
        }
    }
}
