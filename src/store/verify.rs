//! Trees that lie in the store: found, locked, compared with their manifests, read from.

use super::compare::{Known, Subject, compare};
use super::index::Index;
use super::lock::{self, How, Lock};
use super::manifest::{self, Kind, Manifest};
use super::{Checked, Depth, Store, StoreError, layout};
use crate::catalog::Digest;
use crate::packages::Installed;
use crate::sys::{entry, process};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a tree is waited for that is being put in its place or taken from it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is in `meta` of every tree.
pub(super) const INSTALLED: &str = "installed.json";

/// A tree's directory, locked against collection.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) top: File,
}

impl Store {
    /// Opens a tree and shares its lock.
    pub(super) fn open_tree(&self, tree: &Digest) -> Result<Opened, StoreError> {
        let path = self.tree_dir(tree);
        let failed = |error| StoreError::io("open", &path, error);
        let until = Instant::now() + PATIENCE;
        loop {
            let top = match layout::open_directory(&path) {
                Ok(top) => top.ok_or(StoreError::Missing { tree: *tree })?,
                Err(StoreError::Io { source, .. })
                    if matches!(source.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) =>
                {
                    return Err(tampered(&path, "it is no directory now"));
                }
                Err(error) => return Err(error),
            };
            if lock::attempt_open(&top, How::Shared).map_err(failed)? {
                // A collection may have taken it away since it was opened.
                if !lock::is_at(&top, &path).map_err(failed)? {
                    continue;
                }
                let status = entry::status(top.as_fd()).map_err(failed)?;
                if status.mode & 0o022 != 0 || ![process::user().0, 0].contains(&status.uid) {
                    return Err(tampered(&path, "others can write it"));
                }
                // Whoever could rename it could put another in its place after it was verified.
                for above in [self.dir(), self.trees_dir()] {
                    let status = above.metadata().map_err(failed)?;
                    if status.mode() & 0o022 != 0 || ![process::user().0, 0].contains(&status.uid()) {
                        return Err(tampered(&above, "others can write it"));
                    }
                }
                return Ok(Opened { path, top });
            }
            if Instant::now() > until {
                return Err(StoreError::Busy { name: "the store".into() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(super) fn verify_with(&self, tree: &Digest, depth: Depth, known: &Known) -> Result<Checked, StoreError> {
        let opened = self.open_tree(tree)?;
        let text = opened.manifest(tree)?;
        let manifest = parse(&text, &opened.path)?;
        if depth == Depth::Deep {
            opened.nothing_besides()?;
        }
        let index = opened.index(tree, manifest.entries.len());
        let subject = Subject {
            path: &opened.path,
            top: opened.top.as_fd(),
            manifest: &manifest,
            index: index.as_ref(),
            depth,
            known,
        };
        let outcome = compare(&subject)?;
        if let Some(index) = outcome.index {
            let _costs_time_only = index.save(tree, &opened.path.join("index"), &self.unused("index"));
        }
        let installed = opened.installed()?;
        Ok(Checked { paths: manifest.entries.len(), hashed: outcome.hashed, installed, held: Lock::of(opened.top) })
    }

    /// A file of a tree's `meta` that is as it was added, or `None` where it has none of that name.
    pub(super) fn read_meta(&self, tree: &Digest, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.open_tree(tree)?;
        let text = opened.manifest(tree)?;
        let manifest = parse(&text, &opened.path)?;
        let Some(found) = manifest.find(&[b"meta", name.as_bytes()]) else { return Ok(None) };
        let Some(Kind::File { sha256, .. }) = manifest.entries.get(found).map(|entry| entry.kind) else {
            return Ok(None);
        };
        let path = opened.path.join("meta").join(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => tampered(&path, "it is gone"),
            _ => StoreError::io("read", &path, error),
        };
        let meta = entry::open_entry(opened.top.as_fd(), c"meta", libc::O_PATH | libc::O_DIRECTORY).map_err(failed)?;
        let entry_name = manifest.entries.get(found).map_or(c"", |entry| entry.name);
        let bytes = read(meta.as_fd(), entry_name).map_err(failed)?;
        if Digest::of_bytes(&bytes) == Digest(sha256) {
            Ok(Some(bytes))
        } else {
            Err(tampered(&path, "its contents were changed"))
        }
    }

    pub(super) fn read_installed(&self, tree: &Digest) -> Result<Installed, StoreError> {
        let path = self.tree_dir(tree).join("meta").join(INSTALLED);
        let bytes = self.read_meta(tree, INSTALLED)?.ok_or_else(|| tampered(&path, "it is gone"))?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::BadRecord { path, reason: error.to_string() })
    }

    /// How many files a tree has, and their bytes.
    pub(super) fn extent(&self, tree: &Digest) -> Result<(usize, u64), StoreError> {
        let opened = self.open_tree(tree)?;
        let text = opened.manifest(tree)?;
        Ok(parse(&text, &opened.path)?.extent())
    }
}

impl Opened {
    /// What the tree says of itself, where that file was verified.
    fn installed(&self) -> Result<Installed, StoreError> {
        let path = self.path.join("meta").join(INSTALLED);
        let failed = |error| StoreError::io("read", &path, error);
        let meta = entry::open_entry(self.top.as_fd(), c"meta", libc::O_PATH | libc::O_DIRECTORY).map_err(failed)?;
        let bytes = read(meta.as_fd(), c"installed.json").map_err(failed)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::BadRecord { path: path.clone(), reason: error.to_string() })
    }

    /// The manifest, if it is the one that the tree is addressed by.
    fn manifest(&self, tree: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join("manifest");
        let bytes = read(self.top.as_fd(), c"manifest").map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) => tampered(&path, "it is gone"),
            Some(libc::ELOOP | libc::EINVAL) => tampered(&path, "it is no file now"),
            _ => StoreError::io("read", &path, error),
        })?;
        if manifest::address(&bytes) == *tree { Ok(bytes) } else { Err(tampered(&path, "its contents were changed")) }
    }

    /// The index, if nobody else can have written it.
    fn index(&self, tree: &Digest, paths: usize) -> Option<Index> {
        let file = File::from(entry::open_entry(self.top.as_fd(), c"index", libc::O_RDONLY).ok()?);
        let metadata = file.metadata().ok()?;
        let owned = [process::user().0, 0].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
        if !metadata.is_file() || !owned {
            return None;
        }
        Index::parse(&all(file).ok()?, tree, paths)
    }

    /// A tree's own directory holds four names.
    fn nothing_besides(&self) -> Result<(), StoreError> {
        let names = entry::names(self.top.as_fd()).map_err(|error| StoreError::io("read", &self.path, error))?;
        let known = [c"index", c"manifest", c"meta", c"root"];
        match names.into_iter().find(|name| !known.contains(&name.as_c_str())) {
            None => Ok(()),
            Some(name) => Err(tampered(&self.path.join(&*name.to_string_lossy()), "it was added")),
        }
    }
}

pub(super) fn parse<'a>(text: &'a [u8], tree: &Path) -> Result<Manifest<'a>, StoreError> {
    Manifest::parse(text).ok_or_else(|| tampered(&tree.join("manifest"), "it is no manifest"))
}

pub(super) fn tampered(path: &Path, what: &str) -> StoreError {
    StoreError::Tampered { path: path.to_path_buf(), what: what.into() }
}

fn read(dir: std::os::fd::BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    let file = File::from(entry::open_entry(dir, name, libc::O_RDONLY)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    all(file)
}

fn all(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
