//! From a stage to a tree.
//!
//! ```text
//! scan ─► hash ─► manifest ─► share ─► close ─► compare ─► sync ─► rename
//!         modes   address     objects  modes    all of it          the one step
//! ```
//!
//! The last comparison hashes everything once more, as it will lie in its place: so no tree is ever put there that was
//! not verified, and the first index is exact.

use super::compare::{Known, Subject, compare};
use super::contents::Room;
use super::index::Index;
use super::lock::{self, How, Lock};
use super::manifest::{self, Kind, Manifest};
use super::objects::Objects;
use super::remove::remove;
use super::scan::{self, Node, PLAIN};
use super::threads::share;
use super::verify::{INSTALLED, parse};
use super::{Depth, Kept, Stage, Store, StoreError, layout, links};
use crate::catalog::Digest;
use crate::packages::Installed;
use crate::sys::entry;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Store {
    pub(super) fn keep_stage(&self, stage: Stage, installed: &Installed) -> Result<Kept, StoreError> {
        write_installed(&stage, installed)?;
        empty_scratch(&stage)?;
        layout::make(&stage.scratch())?;
        let _shared = lock::wait(&self.lock_path(), How::Shared, "the store")?;
        let mut nodes = scan::scan(&stage)?;
        links::judge(&nodes, stage.outside())?;
        scan::hash(&stage, &mut nodes)?;
        let text = scan::manifest(&nodes);
        let tree = manifest::address(&text);
        let replaces = match self.verify_with(&tree, Depth::Deep, &Known::new()) {
            Ok(checked) => return Ok(kept(tree, parse(&text, stage.path())?.extent(), None, checked.held)),
            Err(StoreError::Missing { .. }) => false,
            // It is installed again.
            Err(StoreError::Tampered { .. }) => true,
            Err(error) => return Err(error),
        };
        let objects = Objects::new(self);
        let shared = share_files(&stage, &objects, &nodes)?;
        scan::close_directories(&stage, &nodes)?;
        drop(nodes);
        empty_scratch(&stage)?;
        write(&stage.path().join("manifest"), &text, PLAIN)?;
        let manifest = parse(&text, stage.path())?;
        let index = index(&stage, &manifest)?;
        write(&stage.path().join("index"), &index.text(&tree), 0o600)?;
        let lock = match self.publish(stage, &tree, replaces)? {
            Some(lock) => lock,
            // Another add of the same was quicker.
            None => self.verify_with(&tree, Depth::Deep, &Known::new())?.held,
        };
        objects.stay();
        if replaces {
            self.relearn();
        } else {
            self.refresh(&tree, &manifest, &index, &shared);
        }
        Ok(kept(tree, manifest.extent(), Some((&manifest, &shared)), lock))
    }

    /// Puts a stage in its place, on the disk, in one step: the tree's lock, or `None` where there is one already.
    fn publish(&self, stage: Stage, tree: &Digest, replaces: bool) -> Result<Option<Lock>, StoreError> {
        let (from, to) = (stage.path().to_path_buf(), self.tree_dir(tree));
        let failed = |error| StoreError::io("sync", &from, error);
        let top = File::open(&from).map_err(failed)?;
        entry::sync_file_system(top.as_fd()).map_err(failed)?;
        let moved = if replaces {
            let (one, other) = (layout::c_path(&from)?, layout::c_path(&to)?);
            entry::exchange(&one, &other).or_else(|error| match error.raw_os_error() {
                // It has gone meanwhile.
                Some(libc::ENOENT) => fs::rename(&from, &to),
                // A file system without exchange: for a moment there is none.
                Some(libc::EINVAL | libc::ENOSYS) => {
                    fs::rename(&to, self.unused("replaced")).and_then(|()| fs::rename(&from, &to))
                }
                _ => Err(error),
            })
        } else {
            fs::rename(&from, &to)
        };
        match moved {
            Ok(()) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => return Ok(None),
            Err(error) => return Err(StoreError::io("rename", from, error)),
        }
        let lock = stage.became_tree();
        if let Some(lock) = &lock {
            lock.lower().map_err(|error| StoreError::io("lock", &to, error))?;
        }
        layout::sync_directory(&self.trees_dir())?;
        if replaces {
            // What was replaced lies at the stage's place now; it stays for as long as a server runs from it.
            self.discard(&from);
        }
        Ok(lock)
    }

    /// Links that were made to shared files have changed the files' change time, which the indexes of other trees hold.
    /// Best effort: a tree whose index is older hashes those files at its next start.
    fn refresh(&self, tree: &Digest, manifest: &Manifest<'_>, index: &Index, shared: &HashSet<usize>) {
        let known: Known = shared
            .iter()
            .filter_map(|number| match (manifest.entries.get(*number)?.kind, index.states.get(*number)?) {
                (Kind::File { sha256, .. }, state) => Some((super::index::inode(state), (*state, sha256))),
                (Kind::Directory { .. } | Kind::Link { .. }, _) => None,
            })
            .collect();
        for other in self.tree_addresses().unwrap_or_default() {
            if other != *tree && !known.is_empty() {
                self.refresh_one(&other, &known);
            }
        }
    }

    /// Files that several trees share have lost names.
    fn relearn(&self) {
        let _costs_time_only = settle();
        for tree in self.tree_addresses().unwrap_or_default() {
            let _told_at_its_next_start = self.verify_with(&tree, Depth::Quick, &Known::new());
        }
    }

    pub(super) fn refresh_one(&self, tree: &Digest, known: &Known) {
        let index = fs::read(self.tree_dir(tree).join("index")).unwrap_or_default();
        if Index::inodes(&index).any(|inode| known.contains_key(&inode)) {
            let _told_at_its_next_start = self.verify_with(tree, Depth::Quick, known);
        }
    }
}

fn kept(tree: Digest, extent: (usize, u64), own: Option<(&Manifest<'_>, &HashSet<usize>)>, lock: Lock) -> Kept {
    let (files, bytes) = extent;
    let size = |manifest: &Manifest<'_>, number: &usize| match manifest.entries.get(*number).map(|entry| entry.kind) {
        Some(Kind::File { size, .. }) => size,
        _ => 0,
    };
    let shared = own.map_or(bytes, |(manifest, shared)| shared.iter().map(|number| size(manifest, number)).sum());
    Kept { tree, files, bytes, shared, held: Arc::new(lock) }
}

fn write_installed(stage: &Stage, installed: &Installed) -> Result<(), StoreError> {
    let path = stage.meta().join(INSTALLED);
    let unfit = |error: serde_json::Error| StoreError::Unfit {
        path: Path::new("meta").join(INSTALLED),
        reason: error.to_string(),
    };
    let mut text = serde_json::to_vec_pretty(installed).map_err(unfit)?;
    text.push(b'\n');
    remove(&path)?;
    write(&path, &text, 0o600)
}

fn empty_scratch(stage: &Stage) -> Result<(), StoreError> {
    remove(&stage.scratch())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    made.and_then(|mut file| file.write_all(bytes)).map_err(|error| StoreError::io("write", path, error))
}

/// Shares the files with those that the store has: which ones it had, by their place in the manifest.
fn share_files(stage: &Stage, objects: &Objects, nodes: &[Node]) -> Result<HashSet<usize>, StoreError> {
    let work = |range: std::ops::Range<usize>| {
        let (mut room, mut shared) = (Room::new(), Vec::new());
        for number in range {
            let Some(node) = nodes.get(number) else { continue };
            if objects.share(stage, node, number, &mut room)? {
                shared.push(number);
            }
        }
        Ok(shared)
    };
    let parts: Result<Vec<_>, StoreError> = share(nodes.len(), 64, &work).into_iter().collect();
    Ok(parts?.into_iter().flatten().collect())
}

/// Hashes a finished stage and writes down what the file system says of it.
fn index(stage: &Stage, manifest: &Manifest<'_>) -> Result<Index, StoreError> {
    let failed = |error| StoreError::io("read", stage.path(), error);
    let top = File::open(stage.path()).map_err(failed)?;
    settle().map_err(failed)?;
    let known = Known::new();
    let subject =
        Subject { path: stage.path(), top: top.as_fd(), manifest, index: None, depth: Depth::Deep, known: &known };
    let outcome = compare(&subject)?;
    let unknown = || entry::status(top.as_fd()).map(|status| Index::unknown(status.dev, manifest.entries.len()));
    outcome.index.map_or_else(unknown, Ok).map_err(failed)
}

/// Waits until the clock of files has passed everything that was changed until now: a tick, a few milliseconds. Where that
/// clock stands still or was set back the index knows less, and the next start takes longer.
pub(super) fn settle() -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), i64::from(now.subsec_nanos()));
    for _ in 0..100 {
        if entry::file_clock()? > now {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
