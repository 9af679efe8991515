//! What can be wrong with the store.

use crate::catalog::Digest;
use crate::diagnose::{Diagnose, Exit, printable};
use std::io;
use std::path::{Path, PathBuf};

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something is not as it was added.
    #[error("`{}` in the store is not what was added: {}", shown(path), printable(what))]
    Tampered {
        /// The first path that differs.
        path: PathBuf,
        /// How it differs: `its contents were changed`.
        what: String,
    },
    /// The tree is not there.
    #[error("the store has no tree `{tree}`")]
    Missing {
        /// Its address.
        tree: Digest,
    },
    /// A record or a commit that cannot be read.
    #[error("`{}` is no record of the store: {}", shown(path), printable(reason))]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another add, update or remove of the same name, or a collection of garbage.
    #[error("another mcpjail is changing `{name}`")]
    Busy {
        /// The name, or `the store`.
        name: String,
    },
    /// What cannot be in a tree.
    #[error("`{}` cannot be put into the store: {}", shown(path), printable(reason))]
    Unfit {
        /// Relative to the stage.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is wrong with a server's package.
    #[error("{error}")]
    Of {
        /// The server.
        name: String,
        /// What is wrong.
        error: Box<StoreError>,
    },
    /// The disk is full.
    #[error("no space is left on the device of `{}`", shown(path))]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// The disk.
    #[error("cannot {action} `{}`", shown(path))]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

impl StoreError {
    /// The same error of a server whose name is known: the hint has it.
    #[must_use]
    pub fn of(self, name: &str) -> StoreError {
        StoreError::Of { name: name.to_owned(), error: Box::new(self) }
    }

    /// An error of the disk; a full one is told as that.
    #[must_use]
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> StoreError {
        let path = path.into();
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => StoreError::DiskFull { path },
            _ => StoreError::Io { action, path, source },
        }
    }
}

impl Diagnose for StoreError {
    fn code(&self) -> &'static str {
        match self {
            StoreError::Tampered { .. } => "store-tampered",
            StoreError::Missing { .. } => "store-missing",
            StoreError::BadRecord { .. } => "store-record",
            StoreError::Of { error, .. } => error.code(),
            StoreError::Busy { .. } => "store-busy",
            StoreError::Unfit { .. } => "store-unfit",
            StoreError::DiskFull { .. } => "disk-full",
            StoreError::Io { .. } => "io",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            StoreError::Tampered { .. } | StoreError::Missing { .. } => Exit::Drift,
            StoreError::Of { error, .. } => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            StoreError::Tampered { .. } | StoreError::Missing { .. } => {
                "nothing was started; `mcpjail update NAME --reinstall` installs exactly what was approved again"
            }
            StoreError::Of { name, error } => return error.hint().map(|hint| hint.replace("NAME", name)),
            StoreError::BadRecord { .. } => "restore the file, or remove it and install again with `mcpjail add`",
            StoreError::Busy { .. } => "wait for it to end and type the same again",
            StoreError::DiskFull { .. } => "free some space, for example with `mcpjail store gc`",
            StoreError::Unfit { .. } | StoreError::Io { .. } => return None,
        };
        Some(hint.into())
    }
}
