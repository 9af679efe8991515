//! The launcher's side: seals the spec, clones stage 2, hears its report, and holds the running jail.

use super::cgroup::Group;
use super::layer::{Failure, JailError, Layer, LayerReport, Message};
use super::spec::{Outside, Spec};
use super::{reaper, stage2};
use crate::config::Tier;
use crate::plan::{Account, Plan};
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::clone::{Start, Step, start};
use crate::sys::process::Ended;
use crate::sys::{caps, fd, pidfd};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

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

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;
/// Descriptors for stage 2 are moved above those numbers they will be placed at.
const ABOVE: i32 = 10;

/// Builds the jail of `plan` and executes the server in it.
///
/// The calling process must have one thread. When this returns, the server's program has been executed.
///
/// # Errors
/// [`JailError`]: the layer that does not hold. Nothing is left running then.
pub fn spawn(plan: &Plan, stdio: Stdio) -> Result<Running, JailError> {
    let full = plan.tier == Tier::A;
    let spec = Spec::new(plan, outside(full)?)?;
    let bytes =
        postcard::to_allocvec(&spec).map_err(|_| JailError::Vanished("the plan cannot be written down".into()))?;
    let sealed = fd::sealed(c"mcpjail-spec", &bytes).map_err(JailError::launcher("seal the plan"))?;
    let (report, report_end) = fd::pipe().map_err(JailError::launcher("make a pipe"))?;
    let (control, control_end) = UnixStream::pair().map_err(JailError::launcher("make a socket"))?;
    let ends = [stdio.stdin, stdio.stdout, stdio.stderr, sealed, report_end, control_end.into()];
    let moved = ends
        .iter()
        .map(|end| fd::duplicate_above(end.as_fd(), ABOVE))
        .collect::<Result<Vec<_>, _>>()
        .map_err(JailError::launcher("duplicate a descriptor"))?;
    drop(ends);
    let group = Group::make(&plan.limits);
    let namespaces = if full { NAMESPACES } else { 0 };
    let (pid, pidfd) = clone(&plan.account, namespaces, &moved)?;
    drop(moved);
    let mut running = Running { pidfd, control, group, ended: false, full, report: Vec::new() };
    if let Some(group) = &running.group
        && group.take(pid).is_err()
    {
        running.group = None;
    }
    // a stage 2 that has given up by now says so in its report
    let _told_by_report = running.control.write_all(&[1]);
    running.report = hear(report, &mut running)?;
    if let Some(group) = &running.group {
        group.amend(&mut running.report);
    }
    Ok(running)
}

fn clone(account: &Account, namespaces: libc::c_int, descriptors: &[OwnedFd]) -> Result<(i32, OwnedFd), JailError> {
    let argument = CString::new(stage2::ARGUMENT).map_err(|_| JailError::Nul(stage2::ARGUMENT.into()))?;
    let arguments: [&CStr; 2] = [c"mcpjail", &argument];
    let (uid_map, gid_map) = (id_map(account.uid), id_map(account.gid));
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    start(&Start {
        namespaces,
        descriptors: &borrowed,
        arguments: &arguments,
        id_maps: [uid_map.as_bytes(), gid_map.as_bytes()],
        capabilities: super::confine::TO_BUILD,
    })
    .map_err(|(step, source)| match (step, namespaces) {
        (_, 0) | (Step::Exec | Step::Descriptors, _) => JailError::Launcher { what: "start stage 2", source },
        (Step::Clone, _) => {
            JailError::NoNamespaces { what: "new user, mount, pid, network, ipc and uts namespaces", source }
        }
        (Step::IdMap, _) => JailError::NoNamespaces { what: "mapping the user's ids into a user namespace", source },
        (Step::Capabilities, _) => JailError::NoNamespaces { what: "capabilities inside the user namespace", source },
    })
}

fn id_map(id: u32) -> String {
    format!("{id} {id} 1\n")
}

/// Namespaces and root of this process, for the proof to compare with.
fn outside(full: bool) -> Result<Outside, JailError> {
    let looked = JailError::launcher("look at this process's namespaces");
    let mut namespaces = Vec::new();
    if full {
        for name in [c"user", c"mnt", c"pid", c"net", c"ipc", c"uts", c"cgroup"] {
            let path =
                CString::new([b"/proc/self/ns/", name.to_bytes()].concat()).map_err(|_| JailError::Nul("ns".into()))?;
            let found =
                fd::open_at(None, &path, libc::O_PATH, 0).and_then(|ns| fd::identity(ns.as_fd())).map_err(&looked)?;
            namespaces.push((name.to_owned(), found.dev, found.ino));
        }
    }
    let root = fd::open_at(None, c"/", libc::O_PATH, 0).and_then(|root| fd::identity(root.as_fd())).map_err(&looked)?;
    let effective = caps::sets().map_err(&looked)?.effective;
    let powerless = !full && effective & (1 << caps::SETPCAP) == 0;
    Ok(Outside { namespaces, root: (root.dev, root.ino), powerless })
}

/// Reads stage 2's report to its end, which is the exec.
fn hear(report: OwnedFd, running: &mut Running) -> Result<Vec<LayerReport>, JailError> {
    let mut bytes = Vec::new();
    File::from(report).read_to_end(&mut bytes).map_err(JailError::launcher("read the jail's report"))?;
    let mut rest = bytes.as_slice();
    let mut lines = None;
    while !rest.is_empty() {
        let (message, after) = postcard::take_from_bytes::<Message>(rest)
            .map_err(|_| JailError::Vanished("its report is cut off".into()))?;
        match message {
            Message::Report(report) => lines = Some(report),
            // an exec that fails comes after the report
            Message::Failed(failure) => return Err(JailError::from(failure)),
        }
        rest = after;
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
        self.control.shutdown(std::net::Shutdown::Write)
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
        if !self.ended {
            let _gone = self.kill();
            let _reaped = self.wait();
        }
    }
}

/// Tries whether a process in fresh namespaces can be made at all: the cheap half of finding the tier, by doing it.
///
/// # Errors
/// [`JailError::NoNamespaces`] with what was refused.
pub fn try_namespaces(account: &Account) -> Result<(), JailError> {
    // stage 2 finds no descriptors and ends at once
    let (_pid, pidfd) = clone(account, NAMESPACES, &[])?;
    pidfd::wait(pidfd.as_fd()).map(drop).map_err(JailError::launcher("wait for a trial process"))
}

/// What a cgroup would be made under, for `doctor`.
#[must_use]
pub fn cgroup_place() -> Option<String> {
    super::cgroup::available()
}

/// Reads a failure's layer, for tests and `doctor`.
impl JailError {
    /// The layer that failed, where one did.
    #[must_use]
    pub fn layer(&self) -> Option<Layer> {
        match self {
            JailError::Layer(Failure { layer, .. }, _) => Some(*layer),
            JailError::Exec { .. } => Some(Layer::Exec),
            JailError::NoNamespaces { .. } => Some(Layer::Namespaces),
            _ => None,
        }
    }
}
