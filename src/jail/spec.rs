//! The plan in the form that stage 2 executes: C strings and kernel flags, serialised into a pipe that only stage 2 reads.

use super::JailError;
use crate::plan::syscalls::{Policy, Sockets};
use crate::plan::{Egress, Mount, Plan, Step};
use crate::sys::landlock::Handled;
use crate::sys::mount::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The first part: what the root file system is built from. It is sent before the second is made, so that building and
/// the rest of the launcher's work go on at once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct View {
    pub(super) nodes: Vec<Node>,
    /// Processes the jail's pid namespace may hold, where the kernel can say so.
    pub(super) processes: u64,
    pub(super) network: Network,
}

/// What of a network the jail has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Network {
    /// No internet socket can be made.
    None,
    /// A loopback of its own.
    Loopback,
    /// A loopback of its own to which every address leads, with listeners on these ports that somebody outside holds.
    Egress(Vec<u16>),
}

/// The second part: the walls, the proof and the program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) program: CString,
    pub(super) argv: Vec<CString>,
    pub(super) environment: Vec<CString>,
    pub(super) cwd: CString,
    /// Identities of the launcher's namespaces, which the jail's must differ from: name and (device, inode).
    pub(super) outside: Vec<(String, u64, u64)>,
    /// Identity of the launcher's root directory.
    pub(super) outside_root: (u64, u64),
    pub(super) handled: (u64, u64, u64),
    pub(super) rules: Vec<PathRule>,
    pub(super) canary: CString,
    /// Resource, value; applied as the lesser of it and the present hard limit.
    pub(super) rlimits: Vec<(u32, u64)>,
    pub(super) filter: Vec<(u16, u8, u8, u32)>,
    pub(super) keyring: bool,
    /// The profile's CPU limit in percent, which only a control group can enforce; 0 is none.
    pub(super) cpu: u64,
}

/// One mount or file of the view.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Node {
    /// Relative to the new root.
    pub(super) path: CString,
    pub(super) action: Action,
    /// No symlink is followed on the way.
    pub(super) careful: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Action {
    Directory { mode: u32 },
    Symlink { target: CString },
    File { text: Vec<u8> },
    Bind { source: CString, dev: u64, ino: u64, directory: bool, attributes: u64, inside: bool },
    Tmpfs { size: CString, mode: CString, attributes: u64 },
    Proc,
    Mask { directory: bool, socket: bool },
}

/// A Landlock rule.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PathRule {
    pub(super) path: CString,
    pub(super) rights: u64,
    pub(super) optional: bool,
    pub(super) object: Option<(u64, u64)>,
}

/// What only the launcher knows.
pub(super) struct Outside {
    pub(super) namespaces: Vec<(String, u64, u64)>,
    pub(super) root: (u64, u64),
}

impl View {
    /// # Errors
    /// [`JailError::Nul`].
    pub(super) fn new(plan: &Plan) -> Result<View, JailError> {
        Ok(View {
            nodes: plan.view.iter().map(node).collect::<Result<_, _>>()?,
            processes: plan.limits.processes.value,
            network: match (&plan.egress, plan.sockets.value) {
                (Egress::Only(egress), _) => Network::Egress(egress.granted.ports().to_vec()),
                (Egress::None, Sockets::UnixAndInetInside) => Network::Loopback,
                (Egress::None, Sockets::UnixInside | Sockets::PairsOnly) => Network::None,
            },
        })
    }
}

impl Spec {
    /// # Errors
    /// [`JailError::Nul`].
    pub(super) fn new(plan: &Plan, outside: Outside) -> Result<Spec, JailError> {
        let policy = Policy::new(plan.sockets.value, plan.syscalls.iter().map(|s| s.value.as_str()));
        let mut environment = Vec::with_capacity(plan.environment.len());
        for variable in &plan.environment {
            let mut text = variable.name.clone();
            text.push("=");
            text.push(&variable.value);
            environment.push(c_string(&text)?);
        }
        let rule = |rule: &crate::plan::Rule| -> Result<PathRule, JailError> {
            let rights = rule.rights.landlock(plan.landlock_abi, rule.directory);
            Ok(PathRule { path: c_path(&rule.path)?, rights, optional: rule.optional, object: rule.object })
        };
        let handled = handled(plan);
        Ok(Spec {
            program: c_path(&plan.program)?,
            argv: plan.argv.iter().map(|a| c_string(a)).collect::<Result<_, _>>()?,
            environment,
            cwd: c_path(&plan.cwd)?,
            outside: outside.namespaces,
            outside_root: outside.root,
            handled: (handled.fs, handled.net, handled.scoped),
            rules: plan.rules.iter().map(rule).collect::<Result<_, _>>()?,
            canary: c_path(&plan.canary)?,
            rlimits: super::limits::rlimits(&plan.limits),
            filter: super::bpf::assemble(&policy).into_iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect(),
            keyring: plan.syscalls.iter().any(|s| matches!(s.value.as_str(), "@keyring" | "keyctl")),
            cpu: plan.limits.cpu.value,
        })
    }
}

/// Puts a part into the pipe: its length, then itself.
///
/// # Errors
/// [`JailError::Vanished`] when it cannot be written down. A reader that is gone is no error: its report says why.
pub(crate) fn send(part: &impl Serialize, pipe: &mut impl Write) -> Result<(), JailError> {
    let bytes =
        postcard::to_allocvec(part).map_err(|_| JailError::Vanished("the plan cannot be written down".into()))?;
    let length = u32::try_from(bytes.len()).map_err(|_| JailError::Vanished("the plan is too long".into()))?;
    let _told_by_report = pipe.write_all(&length.to_le_bytes()).and_then(|()| pipe.write_all(&bytes));
    Ok(())
}

/// Takes the next part out of the pipe.
///
/// # Errors
/// As read(2); `InvalidData` for what is no such part.
pub(crate) fn receive<T: serde::de::DeserializeOwned>(pipe: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?];
    pipe.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// All file rights; TCP wherever no inet socket is granted; abstract sockets and signals.
fn handled(plan: &Plan) -> Handled {
    const BIND_AND_CONNECT_TCP: u64 = 3;
    const ABSTRACT_AND_SIGNAL: u64 = 3;
    let abi = plan.landlock_abi;
    let inet = plan.sockets.value == Sockets::UnixAndInetInside;
    Handled {
        fs: crate::plan::handled(abi),
        net: if abi >= 4 && !inet { BIND_AND_CONNECT_TCP } else { 0 },
        scoped: if abi >= 6 { ABSTRACT_AND_SIGNAL } else { 0 },
    }
}

fn node(mount: &Mount) -> Result<Node, JailError> {
    let relative = mount.path.strip_prefix("/").unwrap_or(&mount.path);
    let action = match &mount.step {
        Step::Directory { mode } => Action::Directory { mode: *mode },
        Step::Symlink { target } => Action::Symlink { target: c_path(target)? },
        Step::File { text } => Action::File { text: text.clone().into_bytes() },
        Step::Bind { place, rights, inside } => {
            let mut attributes = NO_SUID;
            attributes |= if rights.device { 0 } else { NO_DEV };
            attributes |= if rights.write { 0 } else { READ_ONLY };
            attributes |= if rights.exec { 0 } else { NO_EXEC };
            Action::Bind {
                source: c_path(&place.canonical)?,
                dev: place.dev,
                ino: place.ino,
                directory: place.directory,
                attributes,
                inside: *inside,
            }
        }
        Step::Tmpfs { size, mode, exec } => Action::Tmpfs {
            size: c_string(OsStr::new(&size.to_string()))?,
            mode: c_string(OsStr::new(&format!("{mode:o}")))?,
            attributes: NO_SUID | NO_DEV | if *exec { 0 } else { NO_EXEC },
        },
        Step::Proc => Action::Proc,
        Step::Mask { directory, socket } => Action::Mask { directory: *directory, socket: *socket },
    };
    Ok(Node { path: c_path(relative)?, action, careful: mount.careful })
}

fn c_path(path: &Path) -> Result<CString, JailError> {
    c_string(path.as_os_str())
}

fn c_string(text: &OsStr) -> Result<CString, JailError> {
    CString::new(text.as_bytes()).map_err(|_| JailError::Nul(text.to_string_lossy().into_owned()))
}
