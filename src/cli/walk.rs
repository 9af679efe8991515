//! Starts a server in its jail as `run` would, reads its whole catalog, and ends it.

use super::TargetArgs;
use super::launch::{Jailed, Launch, Streams, Terms};
use super::output::{Failed, IoFailed};
use crate::gate::{Client, Surveyed, survey};
use crate::jail::Running;
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::poll::{Interest, wait_for};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a server may take to end after its stdin was closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How much of a server's stderr is kept, bytes: the end of it says why the server failed.
const KEPT: usize = 16 << 10;
/// How long threads that are done may take to be gone.
const THREADS: Duration = Duration::from_secs(5);

/// The client that asks for no more than lists.
pub(super) const PLAIN: Client<'static> =
    Client { name: "mcpjail", version: env!("CARGO_PKG_VERSION"), all_capabilities: false };
/// Another one, that has everything a server could make something depend on.
pub(super) const OTHER: Client<'static> = Client { name: "mcp-client", version: "1.0.0", all_capabilities: true };
/// Another time zone: no honest catalog depends on it, and some name it. Nobody's day is the same there.
pub(super) const ZONE: &str = "TZ=Pacific/Kiritimati";

/// One look at a server.
pub(super) struct Walked {
    pub(super) surveyed: Surveyed,
    pub(super) terms: Terms,
    /// What the server wanted of the network and did not get.
    pub(super) egress: Vec<String>,
}

/// A walk that came to nothing, with what the server said on stderr.
pub(super) struct WalkFailed {
    pub(super) failed: Failed,
    pub(super) remarks: Vec<String>,
    /// Where its lock is, if the server got so far.
    pub(super) lock: Option<PathBuf>,
}

impl From<Failed> for WalkFailed {
    fn from(failed: Failed) -> WalkFailed {
        WalkFailed { failed, remarks: Vec::new(), lock: None }
    }
}

/// Walks a server once.
///
/// The calling process must have one thread, and has one again afterwards.
pub(super) fn walk(
    target: &TargetArgs,
    log: Option<&Path>,
    client: &Client<'_>,
    say: &dyn Fn(&str),
) -> Result<Walked, WalkFailed> {
    // signals end this process, and its end is the end of the jail
    let launch = Launch { target, trust_first_use: false, signals: None, verbose: false, say, gated: false, log };
    let Jailed { mut running, streams, egress, memory, private, package: _held, absent: _, terms, approved: _ } =
        launch.start()?;
    let Streams { stdin, stdout, stderr } = streams;
    let wanted = Arc::new(Mutex::new(Vec::new()));
    let lines = wanted.clone();
    let keep = move |line: &str| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    let watch = egress.map(|egress| egress.watch(keep)).transpose()?;
    let heard = listen(stderr).map_err(|source| Failed::from(IoFailed { what: "start a thread", source }))?;
    let surveyed = survey(stdin, stdout, client, terms.gate.timeout.value);
    let exit = end(&mut running);
    let out_of_memory = running.ran_out_of_memory();
    drop(running);
    drop(watch);
    let egress = std::mem::take(&mut *wanted.lock().unwrap_or_else(PoisonError::into_inner));
    let said = heard.join().unwrap_or_default();
    drop(private);
    alone().map_err(|source| Failed::from(IoFailed { what: "end the walk's threads", source }))?;
    match surveyed {
        Ok(surveyed) => Ok(Walked { surveyed, terms, egress }),
        Err(error) => {
            let mut remarks: Vec<String> = said.iter().map(|line| format!("the server's stderr: {line}")).collect();
            match exit {
                Some(ServerExit::Code(code)) => remarks.push(format!("the server exited with status {code}")),
                Some(ServerExit::Signal(signal)) => remarks.push(format!("the server was ended by signal {signal}")),
                None => {}
            }
            if out_of_memory {
                remarks.push(format!("the kernel ended processes of the server at the memory limit ({memory})"));
            }
            remarks.extend(egress);
            Err(WalkFailed { failed: error.into(), remarks, lock: Some(terms.lock.value) })
        }
    }
}

/// Walks a server a second time, as another client in another time zone, where the profile lets that be set.
pub(super) fn walk_otherwise(target: &TargetArgs, log: Option<&Path>) -> Result<Walked, WalkFailed> {
    let mut elsewhere = target.clone();
    elsewhere.grants.env.push(ZONE.to_owned());
    match walk(&elsewhere, log, &OTHER, &|_| ()) {
        Err(error) if error.failed.code() == "policy-violation" => walk(target, log, &OTHER, &|_| ()),
        other => other,
    }
}

/// Ends a server as a host would. Gives how it ended where it did so before it was told to.
fn end(running: &mut Running) -> Option<ServerExit> {
    let gone = |running: &Running, grace| {
        wait_for(running.pidfd(), Interest::Read, Some(Instant::now() + grace)).unwrap_or(true)
    };
    if gone(running, Duration::ZERO) {
        return running.wait().ok();
    }
    if !gone(running, GRACE) {
        let _gone_meanwhile = running.terminate();
        let _then_killed = gone(running, GRACE);
    }
    let _all_dead = running.kill();
    None
}

/// Reads a server's stderr on a thread of its own; gives the last lines.
fn listen(stderr: OwnedFd) -> io::Result<JoinHandle<Vec<String>>> {
    thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        let mut file = File::from(stderr);
        let mut kept = VecDeque::new();
        let mut block = vec![0; 4096];
        while let Ok(read) = file.read(&mut block) {
            if read == 0 {
                break;
            }
            kept.extend(block.iter().take(read));
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
        last_lines(&Vec::from(kept))
    })
}

/// The last lines of a text that may begin within one.
fn last_lines(bytes: &[u8]) -> Vec<String> {
    const LINES: usize = 20;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(LINES);
    lines.into_iter().skip(skipped).map(str::to_owned).collect()
}

/// Waits until this process has one thread: those of a walk end with the streams that they read.
pub(super) fn alone() -> io::Result<()> {
    let deadline = Instant::now() + THREADS;
    loop {
        if std::fs::read_dir("/proc/self/task")?.count() == 1 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "they do not end"));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_stderr_is_kept() {
        let (mine, theirs) = crate::sys::fd::pipe().unwrap();
        let heard = listen(mine).unwrap();
        let mut writer = File::from(theirs);
        for n in 0..10_000 {
            io::Write::write_all(&mut writer, format!("line {n}\n\n").as_bytes()).unwrap();
        }
        drop(writer);
        let lines = heard.join().unwrap();
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (20, "line 9999"));
    }

    #[test]
    fn text_that_is_none_is_kept_too() {
        assert_eq!(last_lines(b"\xff\xfe\nfine"), ["\u{fffd}\u{fffd}", "fine"]);
        assert!(last_lines(b"\n \n").is_empty());
    }
}
