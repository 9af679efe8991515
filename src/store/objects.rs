//! Files by their contents. A file of a stage becomes an object, or the object takes the file's place; either way both are
//! one inode.

use super::contents::Room;
use super::manifest::Found;
use super::scan::{EXECUTABLE, Node, PLAIN};
use super::{Stage, Store, StoreError, layout};
use crate::catalog::Digest;
use crate::sys::process;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The objects, while a stage is put among them. Those that it made are removed again unless all went well.
#[derive(Debug)]
pub(super) struct Objects {
    dir: PathBuf,
    /// Names that an inode may have, if that is less than the file system allows.
    pub(super) most_links: u64,
    made: Mutex<Vec<PathBuf>>,
}

impl Objects {
    pub(super) fn new(store: &Store) -> Objects {
        Objects { dir: store.objects(), most_links: store.most_links, made: Mutex::default() }
    }

    fn path(&self, executable: bool, sha256: [u8; 32]) -> PathBuf {
        let hex = Digest(sha256).hex();
        let suffix = if executable { ".x" } else { "" };
        self.dir.join(hex.get(..2).unwrap_or_default()).join(format!("{hex}{suffix}"))
    }

    /// Shares a file of a stage: whether the store had it. Where a link cannot be made (too many, another file system) the
    /// file stays one of its own.
    pub(super) fn share(&self, stage: &Stage, node: &Node, number: usize, room: &mut Room) -> Result<bool, StoreError> {
        let Found::File { executable, size, sha256 } = node.found else { return Ok(false) };
        let (file, object) = (stage.path().join(&node.path), self.path(executable, sha256));
        // Once for a directory that is missing and once for an object that is not what its name says.
        for _ in 0..3 {
            match fs::hard_link(&file, &object) {
                Ok(()) => {
                    if let Ok(mut made) = self.made.lock() {
                        made.push(object);
                    }
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    layout::make(object.parent().unwrap_or(&self.dir))?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match self.sound(&object, executable, size, sha256, room) {
                        Ok(Some(full)) => return if full { Ok(false) } else { take(&object, stage, &file, number) },
                        // The name is freed for the right contents; who shares the wrong ones will find out.
                        Ok(None) => match fs::remove_file(&object) {
                            Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(false),
                            _ => {}
                        },
                        // Another one took it away.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(StoreError::io("read", object, error)),
                    }
                }
                Err(error) => return unshared(error, &object),
            }
        }
        Ok(false)
    }

    /// Whether an object is what its name says; `Some(true)` where it can have no more names.
    fn sound(
        &self,
        object: &Path,
        executable: bool,
        size: u64,
        sha256: [u8; 32],
        room: &mut Room,
    ) -> io::Result<Option<bool>> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(object) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(_) => return Ok(None),
        };
        let metadata = file.metadata()?;
        let mode = if executable { EXECUTABLE } else { PLAIN };
        let owned = [process::user().0, 0].contains(&metadata.uid());
        let fits = metadata.is_file() && metadata.mode() & 0o7777 == mode && owned && metadata.size() == size;
        if !fits || room.hash(&file)? != (sha256, size) {
            return Ok(None);
        }
        Ok(Some(metadata.nlink() >= self.most_links))
    }

    /// Everything went well: the objects stay.
    pub(super) fn stay(self) {
        if let Ok(mut made) = self.made.lock() {
            made.clear();
        }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Another add may have taken one as its own meanwhile; its file stays, under its own name in its tree.
        for object in self.made.get_mut().map(std::mem::take).unwrap_or_default() {
            let _collected_later = fs::remove_file(object);
        }
    }
}

/// Puts an object in the place of a file that equals it.
fn take(object: &Path, stage: &Stage, file: &Path, number: usize) -> Result<bool, StoreError> {
    let link = stage.scratch().join(format!("link-{number}"));
    match fs::hard_link(object, &link).and_then(|()| fs::rename(&link, file)) {
        Ok(()) => Ok(true),
        Err(error) => unshared(error, object),
    }
}

/// A link that cannot be made costs room only; a disk that is full or broken is an error.
fn unshared(error: io::Error, object: &Path) -> Result<bool, StoreError> {
    match error.raw_os_error() {
        Some(libc::EMLINK | libc::EXDEV | libc::EPERM | libc::EACCES | libc::EOPNOTSUPP | libc::ENOENT) => Ok(false),
        _ => Err(StoreError::io("link", object, error)),
    }
}
