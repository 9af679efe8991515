//! The launcher's side: starts stage 2, hands it the plan, hears its report, and holds the running jail.
//!
//! Under egress somebody outside holds what listens in the jail's network. It is started once the plan is under way, and
//! the server is executed only when it stands: stage 2 waits for one more byte.

use super::cgroup::Group;
use super::layer::{JailError, Layer, LayerReport, Message};
use super::spec::{self, Outside, Spec, View};
use super::{reaper, stage2};
use crate::config::Tier;
use crate::plan::{Egress, Plan};
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::clone::{self, Start, Step};
use crate::sys::poll::{Interest, PollFd, poll, wait_for};
use crate::sys::process::{self, Ended};
use crate::sys::signal::SignalFd;
use crate::sys::{fd, message, pidfd};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The server's ends of its standard descriptors.
pub struct Stdio {
    /// Its descriptor 0.
    pub stdin: OwnedFd,
    /// Its descriptor 1.
    pub stdout: OwnedFd,
    /// Its descriptor 2.
    pub stderr: OwnedFd,
}

/// A server that runs in its jail. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Running {
    pidfd: OwnedFd,
    control: UnixStream,
    group: Option<Group>,
    ended: bool,
    full: bool,
    /// What each layer came to.
    pub report: Vec<LayerReport>,
}

/// A jail that is being built: stage 2 runs, in its namespaces, and waits for the plan. Dropping it kills it.
#[derive(Debug)]
pub struct Nascent {
    running: Running,
    report: OwnedFd,
    spec: OwnedFd,
    listeners: OwnedFd,
}

/// A jail that is being built by its plan. Dropping it kills it.
#[derive(Debug)]
pub struct Building {
    running: Running,
    report: OwnedFd,
    /// Where stage 2 waits for what stands outside; `None` without egress.
    go: Option<File>,
    listeners: Option<OwnedFd>,
}

/// What must stand outside of the jail before the server is executed.
pub trait Companion {
    /// Readable when there is something to hear.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Hears it: whether the companion stands now.
    ///
    /// # Errors
    /// Why it never will.
    fn stands(&mut self) -> Result<bool, JailError>;
}

/// How long the end of a jail that is dropped may take before its reaper is killed.
const REAPING: Duration = Duration::from_secs(2);
/// Descriptors for stage 2 are moved above those numbers they will be placed at.
const ABOVE: i32 = 10;

/// Starts stage 2 in fresh namespaces (tier A) or none (tier B), before there is a plan: what it does on its own goes on
/// while the launcher reads profiles and looks up paths.
///
/// The calling process must have one thread.
///
/// # Errors
/// [`JailError::NoNamespaces`], or [`JailError::Launcher`]. Nothing is left running then.
pub fn start(tier: Tier, stdio: Stdio) -> Result<Nascent, JailError> {
    let full = tier == Tier::A;
    let (spec_end, spec) = fd::pipe().map_err(JailError::launcher("make a pipe"))?;
    let (report, report_end) = fd::pipe().map_err(JailError::launcher("make a pipe"))?;
    let (control, control_end) = UnixStream::pair().map_err(JailError::launcher("make a socket"))?;
    let (listeners, listeners_end) = message::packet_pair().map_err(JailError::launcher("make a socket"))?;
    let ends = [stdio.stdin, stdio.stdout, stdio.stderr, spec_end, report_end, control_end.into(), listeners_end];
    let moved = ends
        .iter()
        .map(|end| fd::duplicate_above(end.as_fd(), ABOVE))
        .collect::<Result<Vec<_>, _>>()
        .map_err(JailError::launcher("duplicate a descriptor"))?;
    drop(ends);
    let (pid, pidfd) = clone(full, &moved)?;
    drop(moved);
    let group = Group::make().filter(|group| group.take(pid).is_ok());
    let mut running = Running { pidfd, control, group, ended: false, full, report: Vec::new() };
    // a stage 2 that has given up by now says so in its report
    let _told_by_report = running.control.write_all(&[1]);
    Ok(Nascent { running, report, spec, listeners })
}

impl Nascent {
    /// Hands the plan to stage 2, which builds the jail and executes the server in it. A signal ends the wait for that, as
    /// does half a minute: a file system that hangs must not hang the host.
    ///
    /// # Errors
    /// [`JailError`]: the layer that does not hold. Nothing is left running then.
    pub fn finish(self, plan: &Plan, signals: Option<&SignalFd>) -> Result<Running, JailError> {
        self.send(plan)?.hear(signals, None)
    }

    /// The first half of [`Nascent::finish`]: hands over the plan and waits for nothing.
    ///
    /// # Errors
    /// [`JailError`], as far as it is known by then. Nothing is left running.
    pub fn send(self, plan: &Plan) -> Result<Building, JailError> {
        let Nascent { mut running, report, spec, listeners } = self;
        let mut pipe = File::from(spec);
        spec::send(&View::new(plan)?, &mut pipe)?;
        if let Some(group) = &mut running.group {
            group.limit(&plan.limits);
        }
        spec::send(&Spec::new(plan, outside(running.full)?)?, &mut pipe)?;
        Ok(match plan.egress {
            Egress::None => Building { running, report, go: None, listeners: None },
            Egress::Only(_) => Building { running, report, go: Some(pipe), listeners: Some(listeners) },
        })
    }
}

impl Building {
    /// The socket on which the listeners of the jail's network will come, once, and only with egress.
    pub fn listeners(&mut self) -> Option<OwnedFd> {
        self.listeners.take()
    }

    /// Waits until the server has been executed, under the conditions of [`Nascent::finish`]. With egress `companion` is
    /// what holds the listeners; without it such a jail fails.
    ///
    /// # Errors
    /// [`JailError`]: the layer that does not hold, or why the companion does not stand. Nothing is left running then.
    pub fn hear(self, signals: Option<&SignalFd>, companion: Option<&mut dyn Companion>) -> Result<Running, JailError> {
        let Building { mut running, report, go, listeners } = self;
        // whoever should have them has them: stage 2 must learn when nobody does
        drop(listeners);
        running.report = hear(report, &mut running, signals, go.zip(companion))?;
        if let Some(group) = &running.group {
            group.amend(&mut running.report);
        }
        Ok(running)
    }
}

fn clone(full: bool, descriptors: &[OwnedFd]) -> Result<(i32, OwnedFd), JailError> {
    // the others are made by stage 2 itself, on another processor
    let namespaces = if full { libc::CLONE_NEWUSER | libc::CLONE_NEWPID } else { 0 };
    let arguments: [&CStr; 3] = [c"mcpjail", stage2::ARGUMENT, if full { c"A" } else { c"B" }];
    let (uid, gid) = process::user();
    let (uid_map, gid_map) = (id_map(uid), id_map(gid));
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    clone::start(&Start {
        namespaces,
        descriptors: &borrowed,
        arguments: &arguments,
        environment: &[],
        id_maps: [uid_map.as_bytes(), gid_map.as_bytes()],
        capabilities: super::confine::TO_BUILD,
        wishes: super::confine::TO_WATCH,
    })
    .map_err(|(step, source)| {
        let what = match (step, namespaces) {
            (_, 0) | (Step::Exec | Step::Descriptors, _) => {
                return JailError::Launcher { what: "start stage 2", source };
            }
            (Step::Clone, _) => "new user and pid namespaces",
            (Step::IdMap, _) => "mapping the user's ids into a user namespace",
            (Step::Capabilities, _) => "capabilities inside the user namespace",
        };
        JailError::NoNamespaces { what: what.into(), source }
    })
}

fn id_map(id: u32) -> String {
    format!("{id} {id} 1\n")
}

/// Namespaces and root of this process, for the proof to compare with.
fn outside(full: bool) -> Result<Outside, JailError> {
    let identity = |path: &str| -> Result<(u64, u64), JailError> {
        let meta = fs::metadata(path).map_err(JailError::launcher("look at this process's namespaces and root"))?;
        Ok((meta.dev(), meta.ino()))
    };
    let names: &[&str] = if full { &["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] } else { &[] };
    let namespaces = names
        .iter()
        .map(|name| identity(&format!("/proc/self/ns/{name}")).map(|(dev, ino)| (name.to_string(), dev, ino)))
        .collect::<Result<_, _>>()?;
    Ok(Outside { namespaces, root: identity("/")? })
}

/// How long building a jail may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads stage 2's report to its end, which is the exec; lets that go on once the companion stands.
fn hear(
    report: OwnedFd,
    running: &mut Running,
    signals: Option<&SignalFd>,
    mut companion: Option<(File, &mut dyn Companion)>,
) -> Result<Vec<LayerReport>, JailError> {
    let failed = JailError::launcher("read the jail's report");
    let deadline = Instant::now() + PATIENCE;
    let mut report = File::from(report);
    let mut bytes = Vec::new();
    let mut fallen = None;
    loop {
        let mut set = [
            PollFd::new(Some(report.as_fd()), Interest::Read),
            PollFd::new(signals.map(AsFd::as_fd), Interest::Read),
            PollFd::new(companion.as_ref().map(|(_, companion)| companion.fd()), Interest::Read),
        ];
        let in_time = poll(&mut set, Some(deadline)).map_err(&failed)?;
        let [told, signalled, moved] = set.map(|fd| fd.is_ready());
        if !in_time {
            return Err(fallen.unwrap_or_else(|| {
                JailError::Vanished(format!("not after {} seconds: is a file system hanging?", PATIENCE.as_secs()))
            }));
        }
        if signalled && let Some(signal) = signals.and_then(|signals| signals.next().ok().flatten()) {
            return Err(JailError::Vanished(format!("signal {signal} to mcpjail")));
        }
        if moved && let Some((mut go, waited_for)) = companion.take() {
            match waited_for.stands() {
                Ok(true) => {
                    let _told_by_report = go.write_all(&[1]);
                }
                Ok(false) => companion = Some((go, waited_for)),
                // the pipe closes, so that stage 2 gives up, and says so unless it had a reason of its own before
                Err(error) => fallen = Some(error),
            }
        }
        if told {
            let mut chunk = [0; 4096];
            match report.read(&mut chunk).map_err(&failed)? {
                0 => break,
                count => bytes.extend(chunk.iter().take(count)),
            }
        }
    }
    let mut rest = bytes.as_slice();
    let mut lines = None;
    while !rest.is_empty() {
        let (message, after) = postcard::take_from_bytes::<Message>(rest)
            .map_err(|_| JailError::Vanished("its report is cut off".into()))?;
        match message {
            Message::Report(report) => lines = Some(report),
            // an exec that fails comes after the report
            Message::Failed(failure) => {
                return Err(match fallen {
                    Some(companion) if failure.layer == Layer::Egress => companion,
                    _ => JailError::from(failure),
                });
            }
        }
        rest = after;
    }
    if let Some(fallen) = fallen {
        return Err(fallen);
    }
    if companion.is_some() {
        return Err(JailError::Vanished("it did not wait for what stands outside".into()));
    }
    lines.ok_or_else(|| match running.wait() {
        Ok(ServerExit::Code(code)) => JailError::Vanished(format!("exit code {code}")),
        Ok(ServerExit::Signal(signal)) => JailError::Vanished(format!("signal {signal}")),
        Err(error) => JailError::Vanished(error.to_string()),
    })
}

impl Running {
    /// Whether the kernel killed something in the jail because the memory limit was reached.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.out_of_memory() > 0)
    }

    /// The directory of the jail's control group, where it has one.
    pub(super) fn group_directory(&self) -> Option<&Path> {
        self.group.as_ref().map(|group| group.directory())
    }
}

impl ServerProcess for Running {
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn terminate(&self) -> io::Result<()> {
        // the reaper passes it on
        pidfd::send_signal(self.pidfd.as_fd(), libc::SIGTERM)
    }

    fn kill(&self) -> io::Result<()> {
        if self.full {
            // the end of pid 1 is the end of its namespace
            return pidfd::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        }
        // tier B's reaper takes this as the launcher's end and kills its descendants before itself
        self.control.shutdown(std::net::Shutdown::Write)?;
        // where Landlock does not scope signals the server may have stopped it
        let _gone = pidfd::send_signal(self.pidfd.as_fd(), libc::SIGCONT);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<ServerExit> {
        let status = pidfd::wait(self.pidfd.as_fd())?;
        self.ended = true;
        let told = reaper::read_status(&mut self.control).unwrap_or(None);
        Ok(match told {
            Some(Ended::Exited(code)) => ServerExit::Code(code),
            Some(Ended::Signaled(signal)) => ServerExit::Signal(signal),
            None => {
                use std::os::unix::process::ExitStatusExt;
                match (status.code(), status.signal()) {
                    (Some(code), _) if code > 128 => ServerExit::Signal(code - 128),
                    (Some(code), _) => ServerExit::Code(code),
                    (None, signal) => ServerExit::Signal(signal.unwrap_or(libc::SIGKILL)),
                }
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let _gone = self.kill();
        // tier B's reaper kills on request, unless somebody keeps stopping it; its death is the server's then
        let soon = Instant::now() + REAPING;
        if !wait_for(self.pidfd.as_fd(), Interest::Read, Some(soon)).unwrap_or(false) {
            let _gone = pidfd::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        }
        let _reaped = self.wait();
    }
}
