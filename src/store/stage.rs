//! A directory in which a package is put together before it is hashed.

use super::lock::{self, How, Lock};
use super::remove::remove;
use super::{Store, StoreError, layout};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A stage: `root/` becomes what the jail shows, `meta/` keeps locks, `scratch/` is thrown away. Removed when dropped.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    /// Held for as long as the stage is; then it is the new tree's.
    lock: Option<Lock>,
    outside: Vec<(PathBuf, PathBuf)>,
}

impl Stage {
    pub(super) fn new(store: &Store) -> Result<Stage, StoreError> {
        for directory in [store.stages(), store.objects(), store.trees_dir()] {
            layout::make(&directory)?;
        }
        // What was killed is removed by the next one, unless somebody is at work just now.
        if let Some(_alone) = lock::attempt(&store.lock_path(), How::Exclusive)? {
            let (_stages, _what_stays_is_collected_later) = store.sweep(false);
        }
        // Nobody sweeps between a directory's making and its lock.
        let _shared = lock::wait(&store.lock_path(), How::Shared, "the store")?;
        let path = loop {
            let path = store.unused("add");
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("make", path, error)),
            }
        };
        let mut stage = Stage { path, lock: None, outside: Vec::new() };
        let open = layout::open_directory(&stage.path)?;
        let open = open.ok_or_else(|| StoreError::io("open", &stage.path, io::ErrorKind::NotFound.into()))?;
        match lock::attempt_open(&open, How::Exclusive) {
            Ok(true) => stage.lock = Some(Lock::of(open)),
            Ok(false) => return Err(StoreError::Busy { name: "the store".into() }),
            Err(error) => return Err(StoreError::io("lock", &stage.path, error)),
        }
        for directory in [stage.root(), stage.meta(), stage.scratch()] {
            layout::make(&directory)?;
        }
        Ok(stage)
    }

    /// The stage itself: holds the three directories.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What will be shown in the jail.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The ecosystem's own lock goes here.
    #[must_use]
    pub fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Caches, temporary files.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Lets one symlink lead out of the tree, to exactly this target: the interpreter of a virtual environment. Relative
    /// to the root.
    pub fn allow_outside(&mut self, link: PathBuf, target: PathBuf) {
        self.outside.push((link, target));
    }

    pub(super) fn outside(&self) -> &[(PathBuf, PathBuf)] {
        &self.outside
    }

    /// The stage has become a tree: its lock, and nothing is removed.
    pub(super) fn became_tree(mut self) -> Option<Lock> {
        self.path = PathBuf::new();
        self.lock.take()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        // The lock is still held. What stays is swept by the next stage.
        let _swept_later = remove(&self.path);
    }
}
