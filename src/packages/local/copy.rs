//! A copy of a directory that stands for itself: nothing in it leads back to where it was made, or anywhere else.

use super::unfit;
use crate::packages::PackageError;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Entries of a directory that is copied: more is no server.
const MOST: usize = 200_000;
/// How deep a tree may be.
const DEEPEST: usize = 64;
/// Bytes of a `.pth` file that are read.
const MAX_TEXT: u64 = 1 << 20;

/// What is worth knowing of a copy.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Links that lead out of it: interpreters of virtual environments, relative to the root, with their targets.
    pub(super) outside: Vec<(PathBuf, PathBuf)>,
    /// Files that often hold secrets, relative to the root.
    pub(super) secrets: Vec<PathBuf>,
}

/// Copies `items` of `base`, or all of it, into `root`.
///
/// # Errors
/// [`PackageError::Local`] for links that leave, for editable installs, and for what is no file.
pub(super) fn copy(base: &Path, items: Option<&[OsString]>, root: &Path) -> Result<Copied, PackageError> {
    let mut work = Work { base, root, copied: Copied::default(), left: MOST };
    fs::create_dir_all(root).map_err(|error| PackageError::io("create", root, error))?;
    match items {
        None => work.directory(Path::new(""), 0)?,
        Some(items) => {
            for item in items {
                work.entry(Path::new(item), 0)?;
            }
        }
    }
    Ok(work.copied)
}

struct Work<'a> {
    base: &'a Path,
    root: &'a Path,
    copied: Copied,
    left: usize,
}

impl Work<'_> {
    fn directory(&mut self, at: &Path, depth: usize) -> Result<(), PackageError> {
        let from = self.base.join(at);
        if depth > DEEPEST {
            return Err(unfit(&from, "its directories are too deep"));
        }
        let entries = fs::read_dir(&from).map_err(|error| PackageError::io("read", from.clone(), error))?;
        for entry in entries {
            let entry = entry.map_err(|error| PackageError::io("read", from.clone(), error))?;
            self.entry(&at.join(entry.file_name()), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, at: &Path, depth: usize) -> Result<(), PackageError> {
        let from = self.base.join(at);
        let name = at.file_name().unwrap_or_default().as_bytes();
        // History is no code, and files that are compiled anew would only differ.
        if matches!(name, b".git" | b"__pycache__") {
            return Ok(());
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| unfit(self.base, "it has too many files"))?;
        let meta = from.symlink_metadata().map_err(|error| PackageError::io("read", from.clone(), error))?;
        let to = self.root.join(at);
        if meta.is_symlink() {
            return self.link(at, &from, &to);
        }
        if meta.is_dir() {
            fs::create_dir(&to).map_err(|error| PackageError::io("create", to, error))?;
            return self.directory(at, depth + 1);
        }
        if !meta.is_file() {
            return Err(unfit(&from, "it is neither a file nor a directory"));
        }
        if editable(&from, name, meta.len()) {
            return Err(unfit(&from, "it is an editable install: its code would stay behind"));
        }
        if name == b".env" || name.starts_with(b".env.") {
            self.copied.secrets.push(at.to_owned());
        }
        fs::copy(&from, &to).map_err(|error| PackageError::io("copy", from, error))?;
        Ok(())
    }

    /// Links inside stay, made relative; an environment's interpreter may lead out.
    fn link(&mut self, at: &Path, from: &Path, to: &Path) -> Result<(), PackageError> {
        let target = fs::read_link(from).map_err(|error| PackageError::io("read", from, error))?;
        let place = at.parent().unwrap_or(Path::new(""));
        let inside = match target.strip_prefix(self.base) {
            Ok(inner) => Some(clean(inner).map(|inner| climb(place).join(inner))),
            Err(_) if target.is_relative() => Some(clean(&place.join(&target)).map(|_| target.clone())),
            Err(_) => None,
        };
        let target = match inside.flatten() {
            Some(target) => target,
            None if is_interpreter(self.base, at) => {
                let whole = self.base.join(place).join(&target);
                let real = whole.canonicalize().map_err(|error| PackageError::io("find", from, error))?;
                self.copied.outside.push((at.to_owned(), real.clone()));
                real
            }
            None => return Err(unfit(from, "it is a link that leads out of the server's package")),
        };
        symlink(target, to).map_err(|error| PackageError::io("create", to, error))
    }
}

/// A relative path without `.` and `..`; `None` where it leaves.
fn clean(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// From a directory of the tree back to its root.
fn climb(place: &Path) -> PathBuf {
    place.components().map(|_| "..").collect()
}

/// Whether a link is `bin/python…` of a virtual environment.
fn is_interpreter(base: &Path, at: &Path) -> bool {
    let name = at.file_name().unwrap_or_default().as_bytes();
    let bin = at.parent();
    let environment = bin.and_then(Path::parent);
    (name.starts_with(b"python") || name.starts_with(b"pypy"))
        && bin.is_some_and(|bin| bin.file_name().is_some_and(|name| name == "bin"))
        && environment.is_some_and(|environment| base.join(environment).join("pyvenv.cfg").is_file())
}

/// Whether a file makes Python look for code elsewhere.
fn editable(path: &Path, name: &[u8], length: u64) -> bool {
    if name.starts_with(b"__editable__") {
        return true;
    }
    let in_packages =
        path.parent().and_then(Path::file_name).is_some_and(|name| name == "site-packages" || name == "dist-packages");
    if !in_packages || !(name.ends_with(b".pth") || name.ends_with(b".egg-link")) {
        return false;
    }
    length > MAX_TEXT
        || fs::read(path).is_ok_and(|bytes| bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"/")))
}
