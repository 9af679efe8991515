//! From arguments to a server that runs in its jail, for every subcommand that starts one.

use super::egress::{Connected, open_log};
use super::output::{Failed, IoFailed};
use super::packaged::Verifying;
use super::prepare::{Called, Prepared};
use super::{TargetArgs, gate};
use crate::catalog::{Approved, Identity};
use crate::config::{GateGrants, Sourced, Tier};
use crate::egress::{self, Supervisor};
use crate::facts::{PrivateDirectory, private_directory};
use crate::jail::{self, Companion, JailError, Layer, LayerReport, Nascent, Running, Status, Stdio};
use crate::plan::{Egress, Plan};
use crate::store::{Checked, Depth};
use crate::sys::fd;
use crate::sys::signal::SignalFd;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A running server and our ends of its pipes.
pub(super) struct Jailed {
    pub(super) running: Running,
    pub(super) streams: Streams,
    /// The server's connections to the outside, where it may have any.
    pub(super) egress: Option<Connected>,
    /// The limit, for people.
    pub(super) memory: String,
    /// Tier B's private directory, which goes with this.
    pub(super) private: Option<PrivateDirectory>,
    /// The server's package, verified: nobody collects it while this lives.
    pub(super) package: Option<Checked>,
    /// Guarded names that did not exist at the start.
    pub(super) absent: Vec<PathBuf>,
    /// What the gate holds the server to.
    pub(super) terms: Terms,
    /// What was approved; asked for with [`Launch::gated`] only, `None` where the first use is trusted.
    pub(super) approved: Option<Approved>,
}

/// What the gate holds a server to.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The profile's `[gate]`.
    pub(super) gate: GateGrants,
    /// What was approved; absolute.
    pub(super) lock: Sourced<PathBuf>,
    /// What sessions met and refused, for the next approval.
    pub(super) record: PathBuf,
    /// What is launched, hashed before it was.
    pub(super) identity: Identity,
    /// The command that approves exactly this, to be typed.
    pub(super) approve: String,
}

/// What is started, and how that is listened to.
#[derive(Clone, Copy)]
pub(super) struct Launch<'a> {
    pub(super) target: &'a TargetArgs,
    pub(super) trust_first_use: bool,
    /// End the wait for the jail. None where signals are not blocked, and end the process.
    pub(super) signals: Option<&'a SignalFd>,
    /// Say what each layer came to.
    pub(super) verbose: bool,
    /// Takes what a person should know.
    pub(super) say: &'a dyn Fn(&str),
    /// Start only what was approved, or is trusted on first use.
    pub(super) gated: bool,
    /// Where the server's network is written down.
    pub(super) log: Option<&'a Path>,
}

impl Launch<'_> {
    /// Starts in tier A; in tier B only where the person accepts it and A is not to be had, and says so.
    ///
    /// The calling process must have one thread.
    pub(super) fn start(self) -> Result<Jailed, Failed> {
        let only_b = self.target.grants.exact_tier && self.target.grants.tier == Some(Tier::B);
        let first = if only_b { Tier::B } else { Tier::A };
        // stage 2 starts before anything is read: its own start takes as long as the reading
        let nascent = Streams::start(first);
        let prepared = self.prepare()?;
        self.note(&prepared.hints());
        let least = prepared.least_tier();
        // before anything is confined, and before the server could
        let log = self.log.map(|path| open_log(path, &prepared)).transpose()?;
        match nascent.and_then(|(nascent, streams)| self.finish(prepared, first, nascent, streams, log)) {
            Err(Refused::Jail(error)) if first == Tier::A && least == Tier::B && is_unavailable(&error) => {
                let why = Failed::from(error).one_line();
                self.note(&[format!("running in tier B, which the profile accepts: {why}")]);
            }
            other => return Ok(other?),
        }
        let (nascent, streams) = Streams::start(Tier::B)?;
        // no network in tier B, and so nothing to write down
        Ok(self.finish(self.prepare()?, Tier::B, nascent, streams, None)?)
    }

    fn prepare(self) -> Result<Prepared, Failed> {
        let depth = if self.target.deep { Depth::Deep } else { Depth::Quick };
        Prepared::new(self.target, self.trust_first_use, Some(depth))
    }

    fn finish(
        self,
        mut prepared: Prepared,
        tier: Tier,
        nascent: Nascent,
        streams: Streams,
        log: Option<File>,
    ) -> Result<Jailed, Refused> {
        let private = match tier {
            Tier::A => None,
            Tier::B => Some(private_directory().map_err(|error| Refused::Other(error.into()))?),
        };
        let reading = self.gated.then(|| gate::Reading::start(prepared.lock().to_owned())).transpose();
        let reading = reading.map_err(Refused::Other)?;
        let verifying = prepared.verifying();
        let absent = prepared.absent();
        let called = prepared.called();
        let plan = prepared.plan(tier, private.as_ref().map(|p| p.path.clone())).map_err(Refused::Other)?;
        let Called { record, identity } = called;
        let approve = self.target.typed("approve");
        let terms = Terms { gate: plan.gate.clone(), lock: plan.lock.clone(), record, identity, approve };
        // told before what else is wrong; its thread has to be gone before anything is cloned, and nothing of the server's has run yet
        let package = verifying.map(Verifying::end).transpose().map_err(Refused::Other)?;
        let approved = match reading {
            Some(reading) => gate::approved(reading, &terms).map_err(Refused::Other)?,
            None => None,
        };
        let (running, supervisor) = jail(nascent, &plan, self.signals).map_err(Refused::Jail)?;
        let egress = match (supervisor, &plan.egress) {
            (Some(supervisor), Egress::Only(egress)) => {
                Some(Connected { supervisor, rules: egress.granted.clone(), log, server: self.target.called() })
            }
            (None, _) | (_, Egress::None) => {
                if log.is_some() {
                    self.note(&["the server has no network, so there is nothing for `--egress-log`".to_owned()]);
                }
                None
            }
        };
        self.note(
            &plan.unenforced.iter().map(|line| format!("not enforced in tier {tier}: {line}")).collect::<Vec<_>>(),
        );
        self.note(&running.report.iter().filter_map(|layer| told(layer, self.verbose)).collect::<Vec<_>>());
        let memory = format!("{} MiB, {}", plan.limits.memory.value >> 20, plan.limits.memory.origin);
        Ok(Jailed { running, streams, egress, memory, private, package, absent, terms, approved })
    }

    fn note(self, lines: &[String]) {
        lines.iter().for_each(|line| (self.say)(line));
    }
}

/// Starts what a plan says: stage 2 builds by it while the processes of egress start, and the server is executed when both
/// are done.
pub(super) fn jail(
    nascent: Nascent,
    plan: &Plan,
    signals: Option<&SignalFd>,
) -> Result<(Running, Option<Supervisor>), JailError> {
    let mut building = nascent.send(plan)?;
    let mut egress = match (&plan.egress, building.listeners()) {
        (Egress::Only(egress), Some(listeners)) => {
            Some(egress::start(listeners, egress.granted.clone(), egress.limits())?)
        }
        (Egress::None, _) | (Egress::Only(_), None) => None,
    };
    let running = building.hear(signals, egress.as_mut().map(|egress| egress as &mut dyn Companion))?;
    Ok((running, egress))
}

/// What the pipe from the server holds, bytes: a list needs fewer turns.
pub(super) const WIDE: i32 = 512 << 10;

/// Our ends of the server's standard streams.
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Streams {
    fn start(tier: Tier) -> Result<(Nascent, Streams), Refused> {
        let pipe = || fd::pipe().map_err(|source| Refused::Other(IoFailed { what: "make a pipe", source }.into()));
        let ((server_in, stdin), (stdout, server_out), (stderr, server_err)) = (pipe()?, pipe()?, pipe()?);
        fd::widen(stdout.as_fd(), WIDE);
        let stdio = Stdio { stdin: server_in, stdout: server_out, stderr: server_err };
        let nascent = jail::start(tier, stdio).map_err(Refused::Jail)?;
        Ok((nascent, Streams { stdin, stdout, stderr }))
    }
}

/// Whether this machine does not give what tier A needs, as opposed to something being wrong.
pub(super) fn is_unavailable(error: &JailError) -> bool {
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
fn told(layer: &LayerReport, verbose: bool) -> Option<String> {
    match &layer.status {
        Status::Degraded { needs, have } => Some(format!("{}: only {have} (more needs {needs})", layer.name)),
        Status::Enforced if verbose => Some(format!("{}: enforced", layer.name)),
        Status::Off if verbose => Some(format!("{}: off", layer.name)),
        Status::Enforced | Status::Off => None,
    }
}
