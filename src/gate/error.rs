//! Why a server's catalog is not let through.

use super::lists::List;
use crate::catalog::{Drift, ItemFault, LockError};
use crate::diagnose::{Diagnose, Exit};
use std::sync::Arc;
use std::time::Duration;

/// Why the gate stays shut.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The catalog is not the one that was approved.
    #[error("the server's catalog is not the one that was approved: {}", drift.short())]
    Changed {
        /// What differs.
        drift: Box<Drift>,
        /// The command that shows it and asks.
        approve: String,
    },
    /// Nothing was approved yet.
    #[error("nobody has approved this server's catalog yet")]
    NotApproved {
        /// The command that shows it and asks.
        approve: String,
    },
    /// Something exceeds a bound.
    #[error("the server's catalog is too large: more than `{limit}` {what}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// An answer that is none.
    #[error("the server's catalog cannot be read: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// An entry that cannot be pinned.
    #[error("the server's catalog has an entry that cannot be pinned")]
    Entry(#[from] ItemFault),
    /// A list that does not come.
    #[error("the server did not answer `{}` within {timeout:?}", list.map_or("the handshake", List::method))]
    Timeout {
        /// Which; `None` before any list was asked for.
        list: Option<List>,
        /// How long was waited.
        timeout: Duration,
    },
    /// The server's end of a pipe is closed.
    #[error("the server ended before its catalog was read")]
    Ended,
    /// The server does not want to speak with mcpjail.
    #[error("the server answers the handshake with the error `{code}`")]
    Handshake {
        /// The JSON-RPC error code.
        code: i64,
    },
    /// The lock cannot be read or written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A system call failed that never should.
    #[error("the gate could not {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The reason.
        source: std::io::Error,
    },
}

impl GateError {
    pub(super) fn too_large(what: &'static str, limit: usize) -> GateError {
        GateError::TooLarge { what, limit }
    }
}

impl Diagnose for GateError {
    fn code(&self) -> &'static str {
        match self {
            GateError::Changed { .. } => "catalog-changed",
            GateError::NotApproved { .. } => "not-approved",
            GateError::TooLarge { .. } => "catalog-too-large",
            GateError::Malformed { .. } | GateError::Entry(_) => "catalog-malformed",
            GateError::Timeout { .. } => "catalog-timeout",
            GateError::Ended => "server-ended",
            GateError::Handshake { .. } => "handshake-refused",
            GateError::Lock(error) => error.code(),
            GateError::Io { .. } => "gate-io",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            GateError::Changed { .. }
            | GateError::NotApproved { .. }
            | GateError::TooLarge { .. }
            | GateError::Malformed { .. }
            | GateError::Entry(_)
            | GateError::Timeout { .. } => Exit::Drift,
            GateError::Ended | GateError::Handshake { .. } => Exit::Server,
            GateError::Lock(error) => error.exit(),
            GateError::Io { .. } => Exit::Jail,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            GateError::Changed { approve, .. } => Some(format!("see what changed with `{approve}`")),
            GateError::NotApproved { approve } => Some(format!("look at it and approve it with `{approve}`")),
            GateError::Timeout { .. } => {
                Some("a slow server wants a longer `timeout` under `[gate]` in the profile".to_owned())
            }
            GateError::Ended => Some("the server's own last words, if any, are in the lines above (its stderr)".into()),
            GateError::Lock(error) => error.hint(),
            GateError::TooLarge { .. }
            | GateError::Malformed { .. }
            | GateError::Entry(_)
            | GateError::Handshake { .. }
            | GateError::Io { .. } => None,
        }
    }
}

/// The reason for which a session was refused, for whoever asks afterwards.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Shut(pub(super) Arc<GateError>);

impl Diagnose for Shut {
    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn exit(&self) -> Exit {
        self.0.exit()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}
