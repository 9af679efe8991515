//! Where things lie, and directories that are made when they are needed.

use super::{Store, StoreError};
use crate::catalog::Digest;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

impl Store {
    pub(super) fn dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.dir().join("lock")
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.dir().join("objects")
    }

    pub(super) fn trees_dir(&self) -> PathBuf {
        self.dir().join("trees")
    }

    pub(super) fn stages(&self) -> PathBuf {
        self.dir().join("stages")
    }

    pub(super) fn tree_dir(&self, tree: &Digest) -> PathBuf {
        self.trees_dir().join(tree.hex())
    }

    pub(super) fn installed_dir(&self) -> PathBuf {
        self.data_dir.join("installed")
    }

    pub(super) fn journal_path(&self, name: &str) -> PathBuf {
        self.installed_dir().join(format!("{name}.commit"))
    }

    pub(super) fn busy_path(&self, name: &str) -> PathBuf {
        self.installed_dir().join(format!("{name}.busy"))
    }

    /// A path in `stages` that nobody uses.
    pub(super) fn unused(&self, what: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.stages().join(format!("{what}-{}-{now:x}-{count}", std::process::id()))
    }
}

/// Whether a record may have this name: one path component, never hidden; as the names of servers are.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 128
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
}

/// Makes a directory for the user alone, and those above it.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| StoreError::io("make", path, error))
}

/// Opens a directory, which must not be a symlink. `None` where it is absent.
pub(super) fn open_directory(path: &Path) -> Result<Option<File>, StoreError> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("open", path, error)),
    }
}

/// The names in a directory that are UTF-8 (the store makes no others), sorted; none where it is absent.
pub(super) fn names(path: &Path) -> Result<Vec<String>, StoreError> {
    let unreadable = |error| StoreError::io("read", path, error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Puts the names of a directory on the disk.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::io("sync", path, error))
}

/// A path for a system call.
pub(super) fn c_path(path: &Path) -> Result<CString, StoreError> {
    let invalid = |_| StoreError::io("use", path, io::ErrorKind::InvalidInput.into());
    CString::new(path.as_os_str().as_bytes()).map_err(invalid)
}
