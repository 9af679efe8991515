//! The directories that an install works in.

use crate::packages::PackageError;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories of one install. All exist and are absolute.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What becomes the tree.
    pub(super) root: PathBuf,
    /// npm's home.
    pub(super) home: PathBuf,
    /// npm's temporary files.
    pub(super) temporary: PathBuf,
    /// npm's cache, shared by all installs: npm holds what it takes from it against the lock's hashes.
    pub(super) cache: PathBuf,
    /// All that install scripts have of their own: home, temporary files and a cache, so that none of them can put
    /// anything into the cache of the next install.
    pub(super) script: PathBuf,
}

impl Place {
    /// Makes the directories.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn make(root: PathBuf, scratch: &Path, cache: &Path) -> Result<Place, PackageError> {
        let place = Place {
            root,
            home: scratch.join("home"),
            temporary: scratch.join("tmp"),
            cache: cache.join("npm"),
            script: scratch.join("script"),
        };
        let Place { root, home, temporary, cache, script } = &place;
        for path in [root, home, temporary, cache, script] {
            fs::create_dir_all(path).map_err(|source| PackageError::io("make", path, source))?;
        }
        Ok(place)
    }

    /// Makes the directory of the install scripts anew, so that the scripts of one package find nothing of another's.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn clear_script(&self) -> Result<(), PackageError> {
        let Place { script, .. } = self;
        fs::remove_dir_all(script).map_err(|source| PackageError::io("clear", script, source))?;
        for path in [script.join("tmp"), script.join("cache")] {
            fs::create_dir_all(&path).map_err(|source| PackageError::io("make", path, source))?;
        }
        Ok(())
    }
}
