//! `mcpjail run`: plan, jail, relay, exit code.

use super::RunArgs;
use super::gate::Gate;
use super::launch::{Launch, Streams};
use super::output::{self, Failed, IoFailed, note};
use crate::diagnose::Exit;
use crate::gate::{Refusal, judges};
use crate::jail::{JailError, confine_supervisor};
use crate::relay::{self, Endpoints, Options};
use crate::sys::signal::SignalFd;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
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
    let launch = Launch {
        target: &args.target,
        trust_first_use: args.trust_first_use,
        signals: Some(&signals),
        verbose: args.verbose,
        say: &note,
        gated: true,
        log: args.log.egress_log.as_deref(),
    };
    let mut jailed = launch.start()?;
    let Streams { stdin, stdout, stderr } = jailed.streams;
    let ends = Endpoints::with_stdio(stdin, stdout, stderr).map_err(failed("duplicate stdio"))?;
    let gate = Gate::new(jailed.terms, jailed.approved.as_ref());
    let cleared: Vec<&Path> = jailed.private.iter().map(|private| private.path.as_path()).collect();
    let writable: Vec<&Path> = gate.directories.iter().map(PathBuf::as_path).collect();
    confine_supervisor(&jailed.running, &writable, &cleared).map_err(JailError::from)?;
    // the first thread: what is confined is one thread
    let watch = jailed.egress.map(|egress| egress.watch(note)).transpose()?;
    let refusal = Refusal::default();
    let outcome = relay::run_with(ends, &mut jailed.running, signals, &Options::default(), |wires| {
        judges(wires, gate.settings, jailed.approved, &refusal)
    })?;
    drop(watch);
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
    // Whoever waited for an answer has it by now.
    if let Some(reason) = refusal.reason() {
        return Ok(output::fail(&reason.into()));
    }
    Ok(match outcome.verdict() {
        Ok(()) => ExitCode::from(Exit::Fine as u8),
        Err(error) => output::fail(&error.into()),
    })
}
