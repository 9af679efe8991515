//! The launcher's side: starts stage 2, hands it the plan, and holds the running jail. What comes between is
//! [`super::building`].
//!
//! Under egress somebody outside holds what listens in the jail's network. It is started once the plan is under way, and
//! the server is executed only when it stands: stage 2 waits for one more byte.

use super::building::Building;
use super::cgroup::Group;
use super::layer::{JailError, LayerReport};
use super::spec::{self, Outside, Spec, View};
use super::{reaper, stage2};
use crate::config::Tier;
use crate::plan::{Egress, Plan};
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::clone::{self, Start, Step};
use crate::sys::poll::{Interest, wait_for};
use crate::sys::process::{self, Ended};
use crate::sys::signal::SignalFd;
use crate::sys::{fd, message, pidfd};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write};
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

impl Running {
    /// Says in the report what the control group limits.
    pub(super) fn amend_report(&mut self) {
        if let Some(group) = &self.group {
            group.amend(&mut self.report);
        }
    }

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
