//! The layers of the jail, what became of each, and the errors of building them.

use crate::diagnose::{Diagnose, Exit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A layer of confinement. Each is proved on its own before the server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// User, mount, pid, network, ipc, uts and cgroup namespaces.
    Namespaces,
    /// The root file system of its own.
    Mounts,
    /// No route out of the jail.
    Network,
    /// `no_new_privs`.
    NoNewPrivs,
    /// All capability sets empty, uid 0 powerless.
    Capabilities,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Seccomp,
    /// Resource limits.
    Limits,
    /// No inherited descriptor but 0, 1 and 2.
    Descriptors,
    /// The processes outside through which the server reaches what is granted of the network.
    Egress,
    /// The reaper that ends everything with the session.
    Reaper,
    /// Starting the program.
    Exec,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Namespaces => "namespaces",
            Layer::Mounts => "mounts",
            Layer::Network => "network",
            Layer::NoNewPrivs => "no-new-privs",
            Layer::Capabilities => "capabilities",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
            Layer::Limits => "limits",
            Layer::Descriptors => "descriptors",
            Layer::Egress => "egress",
            Layer::Reaper => "reaper",
            Layer::Exec => "exec",
        })
    }
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Proved.
    Enforced,
    /// Less than asked for, and why.
    Degraded {
        /// What would be needed.
        needs: String,
        /// What there is.
        have: String,
    },
    /// Not part of this tier or not asked for.
    Off,
}

/// One line of the report that stage 2 sends before it executes the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The layer, or a part of it (`limits: memory`).
    pub name: String,
    /// What became of it.
    pub status: Status,
}

/// A failure in stage 2, as it travels over the pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The layer that could not be built or did not hold.
    pub layer: Layer,
    /// What was tried, with its object in backticks.
    pub what: String,
    /// The kernel's answer; 0 when the proof found that something forbidden succeeded.
    pub errno: i32,
}

impl Failure {
    /// Something that the kernel refused.
    pub(super) fn refused(layer: Layer, what: impl Into<String>, error: &std::io::Error) -> Failure {
        Failure { layer, what: what.into(), errno: error.raw_os_error().unwrap_or(0) }
    }

    /// Something that is not as it must be, though no call failed.
    pub(super) fn open(layer: Layer, what: impl Into<String>) -> Failure {
        Failure { layer, what: what.into(), errno: 0 }
    }
}

/// What stage 2 writes to its pipe before the pipe closes by exec.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Report(Vec<LayerReport>),
    Failed(Failure),
}

/// Why there is no jail.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// A layer could not be built, or the proof found it open.
    #[error("the jail's {} layer does not hold: {}", .0.layer, .0.what)]
    Layer(Failure, #[source] Option<std::io::Error>),
    /// The program could not be executed inside.
    #[error("cannot execute {what}")]
    Exec {
        /// The program.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The namespaces of tier A are not to be had.
    #[error("tier A is not available here: {what}")]
    NoNamespaces {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Stage 2 ended without a word.
    #[error("the jail ended while it was being built ({0})")]
    Vanished(String),
    /// The launcher's own part failed.
    #[error("cannot {what}")]
    Launcher {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A path or argument that no C string can hold.
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
}

impl JailError {
    /// For use in `map_err`.
    pub(crate) fn launcher(what: &'static str) -> impl Fn(std::io::Error) -> JailError {
        move |source| JailError::Launcher { what, source }
    }
}

impl From<Failure> for JailError {
    fn from(failure: Failure) -> JailError {
        let source = (failure.errno != 0).then(|| std::io::Error::from_raw_os_error(failure.errno));
        match (failure.layer, source) {
            (Layer::Exec, Some(source)) => JailError::Exec { what: failure.what, source },
            (Layer::Namespaces, Some(source)) => JailError::NoNamespaces { what: failure.what, source },
            (_, source) => JailError::Layer(failure, source),
        }
    }
}

impl Diagnose for JailError {
    fn code(&self) -> &'static str {
        match self {
            JailError::Layer(..) => "jail-layer",
            JailError::Exec { .. } => "cannot-execute",
            JailError::NoNamespaces { .. } => "tier-not-available",
            JailError::Vanished(_) => "jail-vanished",
            JailError::Launcher { .. } => "jail-launcher",
            JailError::Nul(_) => "nul-byte",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            JailError::Nul(_) => Exit::Usage,
            _ => Exit::Jail,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            JailError::NoNamespaces { .. } => {
                Some("`mcpjail doctor` says what this machine lacks; `--tier B` accepts less confinement".into())
            }
            JailError::Layer(..) | JailError::Vanished(_) | JailError::Launcher { .. } => {
                Some("`mcpjail doctor` tries each layer and says what to do".into())
            }
            JailError::Exec { source, .. } => Some(match source.raw_os_error() {
                Some(libc::ENOENT) => {
                    "the program or its dynamic loader is not visible in the jail; see `mcpjail explain`, grant with `--exec PATH`"
                        .into()
                }
                _ => "see what the jail shows with `mcpjail explain`, grant with `--exec PATH`".into(),
            }),
            JailError::Nul(_) => None,
        }
    }
}
