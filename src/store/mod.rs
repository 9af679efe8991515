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
//!   stages/…                 what is being made or taken away; locked by whoever does it
//! $XDG_DATA_HOME/mcpjail/installed/
//!   NAME.json                which tree a server runs, what was asked for, and the tree before it
//!   NAME.before.lock         what was approved of the tree before it
//!   NAME.commit              several files that change together: written whole, then carried out, then removed
//!   NAME.busy                flock(2): one add, update or remove at a time
//! ```
//!
//! * [`Stage`] ─► `keep` ─► a tree: `scan`, `links`, `objects`, `manifest`, `index`.
//! * `verify` and `compare` hold a tree against its manifest at every start.
//! * `record` and `commit` know what is installed under a name, and change several files together.
//! * `collect` removes what nobody names.
//!
//! Whoever can write the user's files can replace the index and the records with others, and so decide what runs: as by
//! editing the user's shell profile. What the store withstands is everything else: a package that changes itself or
//! another one, an update that was not reviewed, a disk that forgets, a `kill -9` at any moment.

mod collect;
mod commit;
mod compare;
mod contents;
mod fault;
mod index;
mod keep;
mod layout;
mod links;
mod list;
mod lock;
mod manifest;
mod objects;
mod record;
mod remove;
mod scan;
mod stage;
#[cfg(test)]
mod tests;
mod threads;
mod verify;

pub use fault::StoreError;
pub use stage::Stage;

use crate::catalog::Digest;
use crate::packages::{Installed, Release, Request, Start};
use lock::Lock;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The store of one user.
#[derive(Debug, Clone)]
pub struct Store {
    data_dir: PathBuf,
    /// Names that an inode may have: fewer than the file system allows in tests only.
    most_links: u64,
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
    /// What the tree says of itself.
    pub installed: Installed,
    /// Shared with other runs, against collection. Ends with the descriptor.
    held: Lock,
}

/// A tree that was put into the store. While this or a clone of it lives, garbage collection leaves the tree alone: it is
/// held until a record names the tree.
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
    #[expect(dead_code, reason = "it is a lock")]
    held: Arc<Lock>,
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
    /// How it is started: what the tree's own `installed.json` says, which is compared with this at every start.
    pub start: Start,
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
    name: String,
    _lock: Lock,
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
        Store { data_dir: data_dir.to_owned(), most_links: u64::MAX }
    }

    /// What a jail shows of a tree: `trees/HASH/root`.
    #[must_use]
    pub fn root(&self, tree: &Digest) -> PathBuf {
        self.tree_dir(tree).join("root")
    }

    /// A new stage on the store's own file system. What killed processes left of theirs is removed first.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub fn stage(&self) -> Result<Stage, StoreError> {
        Stage::new(self)
    }

    /// Hashes a stage, writes `installed.json`, shares what the store has already, makes it read-only and puts it in its
    /// place in one step. A tree that is there already is verified deeply and used; one that is not as it was added is
    /// replaced. Everything is on the disk when this returns.
    ///
    /// # Errors
    /// The disk; a file that is neither regular, directory nor symlink, or is set-user-id; a symlink that leads out of the
    /// root and is not the interpreter's ([`Stage::allow_outside`]). The stage is gone then, and with it what was shared.
    pub fn keep(&self, stage: Stage, installed: &Installed) -> Result<Kept, StoreError> {
        self.keep_stage(stage, installed)
    }

    /// What is in a tree, read from its verified `meta/installed.json`. The rest of the tree is not looked at.
    ///
    /// # Errors
    /// It is not there, or not as it was.
    pub fn describe(&self, tree: &Digest) -> Result<Installed, StoreError> {
        self.read_installed(tree)
    }

    /// A file of a tree's `meta`, such as `package-lock.json`; `None` where it has none of that name.
    ///
    /// # Errors
    /// It is not as it was.
    pub fn meta(&self, tree: &Digest, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_meta(tree, name)
    }

    /// Verifies a tree, on this thread and another one that has ended when this returns. What has other times but the same
    /// contents is right, and is remembered so.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] with the first path that is not as it was added, [`StoreError::Missing`].
    pub fn verify(&self, tree: &Digest, depth: Depth) -> Result<Checked, StoreError> {
        self.verify_with(tree, depth, &compare::Known::new())
    }

    /// What is installed under a name. A commit that was interrupted is carried out first; one that is under way is
    /// waited for.
    ///
    /// # Errors
    /// The record cannot be read, or is none; the files of an interrupted commit cannot be written.
    pub fn installed(&self, name: &str) -> Result<Option<Record>, StoreError> {
        self.read_record(name)
    }

    /// Carries out what an interrupted commit of a name left, and waits for one that is under way. Costs one failed open
    /// where there is none.
    ///
    /// # Errors
    /// The journal cannot be read or carried out.
    pub fn finish(&self, name: &str) -> Result<(), StoreError> {
        self.finish_commit(name)
    }

    /// Names under which something is installed, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.record_names().unwrap_or_default()
    }

    /// Claims a name, and carries out what an interrupted commit left.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where another process has it.
    pub fn claim(&self, name: &str) -> Result<Claim, StoreError> {
        self.claim_name(name)
    }

    /// Changes several files together: after a crash at any moment either none of them changed, or all of them will have
    /// before anybody reads them by [`Store::installed`]. A file that is a symbolic link is not written through.
    ///
    /// # Errors
    /// The disk. Before the journal is on the disk nothing has changed. After it, an error says what stopped it from being
    /// carried out; the next [`Store::installed`] or [`Store::claim`] of the name tries again.
    pub fn commit(&self, claim: &Claim, changes: &[Change]) -> Result<(), StoreError> {
        self.commit_changes(claim, changes)
    }

    /// Where the record of a name is kept.
    #[must_use]
    pub fn record_path(&self, name: &str) -> PathBuf {
        self.installed_dir().join(format!("{name}.json"))
    }

    /// Where the lock of the tree before is kept. No record has a name that ends like this.
    #[must_use]
    pub fn before_lock_path(&self, name: &str) -> PathBuf {
        self.installed_dir().join(format!("{name}.before.lock"))
    }

    /// Where a profile is tried before it is the server's.
    #[must_use]
    pub fn draft_path(&self, name: &str) -> PathBuf {
        self.data_dir.join("installed").join(format!("{name}.draft.toml"))
    }

    /// Removes what no record names: trees, objects, stages of dead processes. `is_server` says whether a name still has a
    /// profile; records of names that have none go too. Trees that a server runs from, or that are being added, stay.
    ///
    /// # Errors
    /// The disk; a record that cannot be read, since it may name any tree; [`StoreError::Busy`] during an add.
    pub fn collect(&self, is_server: &dyn Fn(&str) -> bool, dry_run: bool) -> Result<Freed, StoreError> {
        self.collect_garbage(is_server, dry_run)
    }

    /// All trees.
    ///
    /// # Errors
    /// The disk; a record that cannot be read.
    pub fn trees(&self) -> Result<Vec<Tree>, StoreError> {
        self.list_trees()
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
