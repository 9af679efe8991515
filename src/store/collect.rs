//! Garbage collection: what no record names goes, but for what somebody holds.

use super::compare::Known;
use super::keep::settle;
use super::lock::{self, How};
use super::remove::remove;
use super::{Freed, Store, StoreError, layout};
use crate::catalog::Digest;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Inodes of which names go: how many names they have, how many of them go, and their room on the disk.
#[derive(Debug, Default)]
struct Tally(HashMap<u64, Going>);

#[derive(Debug, Clone, Copy)]
struct Going {
    names: u64,
    links: u64,
    room: u64,
}

impl Tally {
    fn name_goes(&mut self, metadata: &fs::Metadata) {
        let (links, room) = (metadata.nlink(), metadata.blocks().saturating_mul(512));
        let going = self.0.entry(metadata.ino()).or_insert(Going { names: 0, links, room });
        going.names += 1;
    }

    /// All files below a path. What cannot be looked at is not counted.
    fn all_below(&mut self, path: &Path) {
        let Ok(metadata) = path.symlink_metadata() else { return };
        if !metadata.is_dir() {
            return self.name_goes(&metadata);
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            self.all_below(&entry.path());
        }
    }

    /// Files that go altogether, and their room.
    fn freed(&self) -> (usize, u64) {
        let gone = self.0.values().filter(|going| going.names >= going.links);
        gone.fold((0, 0), |(files, bytes), going| (files + 1, bytes + going.room))
    }
}

impl Store {
    pub(super) fn collect_garbage(&self, is_server: &dyn Fn(&str) -> bool, dry_run: bool) -> Result<Freed, StoreError> {
        if layout::open_directory(&self.dir())?.is_none() {
            return Ok(Freed::default());
        }
        let _alone = lock::wait(&self.lock_path(), How::Exclusive, "the store")?;
        let mut live = HashSet::new();
        for (name, record) in self.records()? {
            if is_server(&name) || !self.forget(&name, is_server, dry_run)? {
                live.insert(record.tree);
                live.extend(record.before.map(|before| before.tree));
            }
        }
        if !dry_run {
            for file in layout::names(&self.installed_dir())? {
                // claiming a name clears away what a killed add or update left of it
                if let Some(name) = file.strip_suffix(".draft.toml") {
                    let _in_use = self.claim_name(name);
                }
            }
        }
        let (mut freed, mut tally) = (Freed::default(), Tally::default());
        freed.stages = self.sweep(true).0.iter().inspect(|stage| tally.all_below(stage)).count();
        let mut dead = Vec::new();
        for tree in self.tree_addresses()?.into_iter().filter(|tree| !live.contains(tree)) {
            let path = self.tree_dir(&tree);
            match hold(&path)? {
                None => freed.busy += 1,
                Some(held) => dead.push((tree, held)),
            }
        }
        // Who named one of them held it until then: nobody can any more, and whoever did has written it down by now.
        let again = if dead.is_empty() { Vec::new() } else { self.records()? };
        for (_, record) in again.into_iter().filter(|(name, _)| is_server(name)) {
            let named = [Some(record.tree), record.before.map(|before| before.tree)];
            dead.retain(|(tree, _)| !named.contains(&Some(*tree)));
        }
        for (tree, _) in &dead {
            tally.all_below(&self.tree_dir(tree));
        }
        freed.trees = dead.len();
        let unused = self.unused_objects(&mut tally)?;
        (freed.files, freed.bytes) = tally.freed();
        if !dry_run {
            self.sweep(false).1?;
            for (tree, held) in dead {
                self.take_away(&tree, held)?;
            }
            for object in unused {
                remove_object(&object)?;
            }
            self.remember_links(&tally);
            self.sweep_locks();
        }
        Ok(freed)
    }

    /// Stages that nobody holds, and whether all of them could be removed. The caller is alone in the store.
    pub(super) fn sweep(&self, dry_run: bool) -> (Vec<PathBuf>, Result<(), StoreError>) {
        let (mut stages, mut result) = (Vec::new(), Ok(()));
        for name in layout::names(&self.stages()).unwrap_or_default() {
            let path = self.stages().join(name);
            let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            let held = if is_directory { hold(&path) } else { Ok(None) };
            if is_directory && !matches!(held, Ok(Some(_))) {
                continue;
            }
            if !dry_run && let Err(error) = remove(&path) {
                result = Err(error);
            }
            stages.push(path);
        }
        (stages, result)
    }

    /// Removes a tree that was replaced, unless a server runs from it.
    pub(super) fn discard(&self, path: &Path) {
        if let Ok(Some(_held)) = hold(path) {
            let _swept_later = remove(path);
        }
    }

    /// Removes the record of a name that is no server's: whether it goes.
    fn forget(&self, name: &str, is_server: &dyn Fn(&str) -> bool, dry_run: bool) -> Result<bool, StoreError> {
        // Whoever adds it just now has not written its profile yet, or has since it was looked for.
        let Some(_lock) = lock::attempt(&self.busy_path(name), How::Exclusive)? else { return Ok(false) };
        if is_server(name) {
            return Ok(false);
        }
        if dry_run {
            return Ok(true);
        }
        for path in [self.record_path(name), self.before_lock_path(name)] {
            remove(&path)?;
        }
        layout::sync_directory(&self.installed_dir())?;
        Ok(true)
    }

    /// A tree is gone in one step; its files follow.
    fn take_away(&self, tree: &Digest, held: File) -> Result<(), StoreError> {
        layout::make(&self.stages())?;
        let (from, to) = (self.tree_dir(tree), self.unused("gone"));
        fs::rename(&from, &to).map_err(|error| StoreError::io("remove", from, error))?;
        // Whoever waits for it learns that it is gone.
        drop(held);
        remove(&to)
    }

    /// Objects whose names in trees all go.
    fn unused_objects(&self, tally: &mut Tally) -> Result<Vec<PathBuf>, StoreError> {
        let mut unused = Vec::new();
        for part in layout::names(&self.objects())? {
            let part = self.objects().join(part);
            for name in layout::names(&part)? {
                let path = part.join(name);
                let Ok(metadata) = path.symlink_metadata() else { continue };
                let going = tally.0.get(&metadata.ino()).map_or(0, |going| going.names);
                if metadata.nlink() <= going + 1 {
                    tally.name_goes(&metadata);
                    unused.push(path);
                }
            }
        }
        Ok(unused)
    }

    /// Files that stay have fewer names, and so another change time than the indexes of their trees hold.
    fn remember_links(&self, tally: &Tally) {
        let stay = tally.0.iter().filter(|(_, going)| going.names < going.links);
        let touched: Known = stay.map(|(inode, _)| (*inode, ([0; 40], [0; 32]))).collect();
        let _costs_time_only = settle();
        for tree in self.tree_addresses().unwrap_or_default() {
            self.refresh_one(&tree, &touched);
        }
    }

    /// Removes the locks of names that have nothing else.
    fn sweep_locks(&self) {
        let names = self.names();
        for file in layout::names(&self.installed_dir()).unwrap_or_default() {
            let Some(name) = file.strip_suffix(".busy").filter(|name| !names.iter().any(|known| known == name)) else {
                continue;
            };
            let path = self.busy_path(name);
            if let Ok(Some(_lock)) = lock::attempt(&path, How::Exclusive) {
                let _does_no_harm = fs::remove_file(path);
            }
        }
    }
}

/// Takes a directory for oneself, if nobody holds it.
fn hold(path: &Path) -> Result<Option<File>, StoreError> {
    let Some(open) = layout::open_directory(path)? else { return Ok(None) };
    let taken = lock::attempt_open(&open, How::Exclusive);
    Ok(taken.map_err(|error| StoreError::io("lock", path, error))?.then_some(open))
}

fn remove_object(path: &Path) -> Result<(), StoreError> {
    // A tree that has it may have stayed after all.
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.nlink() > 1 => Ok(()),
        Ok(_) => remove(path),
        Err(_) => Ok(()),
    }
}
