//! Installed packages: addressed by what is in them, shared between servers, read-only, verified at every start.
//!
//! ```text
//! $XDG_DATA_HOME/mcpjail/store/
//!   lock                     flock(2): shared while something is added, exclusive while garbage is collected
//!   objects/ab/HASH[.x]      files by the SHA-256 of their contents; .x are executable; hard-linked into the trees
//!   trees/HASH/root/         what a jail shows, read-only
//!   trees/HASH/meta/         installed.json, and the ecosystem's own lock; hashed too, never shown
//!   trees/HASH/manifest      every path of root and meta with its hash: HASH is the digest of this
//!   trees/HASH/index         device, inode, size and times of every path: believed while they agree
//!   stages/…                 what is being made; locked by whoever makes it
//! $XDG_DATA_HOME/mcpjail/installed/
//!   NAME.json                which tree a server runs, what was asked for, and the tree before it
//!   NAME.before.lock.json    what was approved of the tree before it
//!   NAME.commit              several files that change together: written whole, then carried out, then removed
//!   NAME.busy                flock(2): one add, update or remove at a time
//! ```

mod fault;
mod stage;

pub use fault::StoreError;
pub use stage::Stage;

use crate::catalog::Digest;
use crate::packages::{Installed, Release, Request};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The store of one user.
#[derive(Debug, Clone)]
pub struct Store {
    data_dir: PathBuf,
}

/// How thoroughly a tree is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// By the index; what differs from it is hashed.
    Quick,
    /// Everything is hashed.
    Deep,
}

/// A verified tree. While this lives, garbage collection leaves the tree alone.
#[derive(Debug)]
#[must_use]
pub struct Checked {
    /// Paths that were compared.
    pub paths: usize,
    /// Files that were hashed.
    pub hashed: usize,
    // A: plus the locked descriptor
}

/// A tree that was put into the store.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its address.
    pub tree: Digest,
    /// Files in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of them that the store had already.
    pub shared: u64,
}

/// What the store knows of a server: `installed/NAME.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Of this format: 1.
    pub version: u32,
    /// What it runs.
    pub release: Release,
    /// Its tree.
    pub tree: Digest,
    /// What was asked for.
    pub request: Request,
    /// Packages whose install scripts may run.
    pub scripts: Vec<String>,
    /// What the install jail may reach besides the registry: rules of `--install-net`.
    pub network: Vec<String>,
    /// When, by RFC 3339.
    pub at: String,
    /// What it ran before, for `update --rollback`.
    pub before: Option<Before>,
}

/// What a server ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Before {
    /// What.
    pub release: Release,
    /// Its tree.
    pub tree: Digest,
    /// What was asked for then.
    pub request: Request,
    /// When, by RFC 3339.
    pub at: String,
}

/// The right to change what is installed under a name: one process at a time.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    // A: name and the locked descriptor
}

/// One file of several that change together.
#[derive(Debug, Clone)]
pub enum Change {
    /// Becomes this text (mode 0600).
    Write {
        /// Absolute.
        path: PathBuf,
        /// All of it.
        text: String,
    },
    /// Is removed; may be absent.
    Remove {
        /// Absolute.
        path: PathBuf,
    },
}

/// What garbage collection did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Trees that no server runs or ran before.
    pub trees: usize,
    /// Trees that were left because a server runs from them.
    pub busy: usize,
    /// Stages of installs that were killed.
    pub stages: usize,
    /// Files.
    pub files: usize,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// A tree in the store, for `store list`.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its address.
    pub tree: Digest,
    /// What is in it; `None` where that cannot be read.
    pub release: Option<Release>,
    /// Servers that run it now.
    pub servers: Vec<String>,
    /// Servers that ran it before.
    pub before: Vec<String>,
    /// Files in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// The store below `$XDG_DATA_HOME/mcpjail`. Nothing is made until something is added.
    #[must_use]
    pub fn new(data_dir: &Path) -> Store {
        Store { data_dir: data_dir.to_owned() }
    }

    /// What a jail shows of a tree: `trees/HASH/root`.
    #[must_use]
    pub fn root(&self, tree: &Digest) -> PathBuf {
        self.data_dir.join("store/trees").join(tree.hex()).join("root")
    }

    /// A new stage on the store's own file system.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub fn stage(&self) -> Result<Stage, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// Hashes a stage, writes `installed.json`, shares what the store has already, makes it read-only and puts it in its
    /// place in one step. A tree that is there already is verified deeply and used.
    ///
    /// # Errors
    /// The disk; a file that is neither regular, directory nor symlink; a symlink that leads out of the root and is not
    /// the interpreter's ([`Stage::allow_outside`]).
    pub fn keep(&self, _stage: Stage, _installed: &Installed) -> Result<Kept, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// What is in a tree, read from its verified `meta/installed.json`.
    ///
    /// # Errors
    /// It is not there, or not as it was.
    pub fn describe(&self, _tree: &Digest) -> Result<Installed, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// A file of a tree's `meta`, such as `package-lock.json`; `None` where it has none of that name.
    ///
    /// # Errors
    /// It is not as it was.
    pub fn meta(&self, _tree: &Digest, _name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// Verifies a tree.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] with the first path that is not as it was added, [`StoreError::Missing`].
    pub fn verify(&self, _tree: &Digest, _depth: Depth) -> Result<Checked, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// What is installed under a name. A commit that was interrupted is carried out first.
    ///
    /// # Errors
    /// The record cannot be read, or is none.
    pub fn installed(&self, _name: &str) -> Result<Option<Record>, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// Names under which something is installed, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Claims a name, and carries out what an interrupted commit left.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where another process has it.
    pub fn claim(&self, _name: &str) -> Result<Claim, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// Changes several files together: after a crash at any moment either none of them changed, or all of them will have
    /// before anybody reads them by [`Store::installed`].
    ///
    /// # Errors
    /// The disk. Before the journal is on the disk nothing has changed.
    pub fn commit(&self, _claim: &Claim, _changes: &[Change]) -> Result<(), StoreError> {
        Err(StoreError::Unfinished)
    }

    /// Where the record of a name is kept.
    #[must_use]
    pub fn record_path(&self, name: &str) -> PathBuf {
        self.data_dir.join("installed").join(format!("{name}.json"))
    }

    /// Where the lock of the tree before is kept.
    #[must_use]
    pub fn before_lock_path(&self, name: &str) -> PathBuf {
        self.data_dir.join("installed").join(format!("{name}.before.lock.json"))
    }

    /// Where a profile is tried before it is the server's.
    #[must_use]
    pub fn draft_path(&self, name: &str) -> PathBuf {
        self.data_dir.join("installed").join(format!("{name}.draft.toml"))
    }

    /// Removes what no record names: trees, objects, stages of dead processes. `is_server` says whether a name still has a
    /// profile; records of names that have none go too.
    ///
    /// # Errors
    /// The disk.
    pub fn collect(&self, _is_server: &dyn Fn(&str) -> bool, _dry_run: bool) -> Result<Freed, StoreError> {
        Err(StoreError::Unfinished)
    }

    /// All trees.
    ///
    /// # Errors
    /// The disk.
    pub fn trees(&self) -> Result<Vec<Tree>, StoreError> {
        Err(StoreError::Unfinished)
    }
}

impl Record {
    /// The record as text: indented JSON and a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
