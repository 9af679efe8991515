//! Where a lock lies, and that the server cannot reach it.

use crate::config::Origin;
use crate::diagnose::{Diagnose, Exit, printable};
use std::path::{Path, PathBuf};

/// A lock that does not stay what a person made it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The server could approve itself.
    #[error("the lock `{}` lies in `{}`, which the server may write ({origin})", shown(lock), shown(grant))]
    LockWritable {
        /// The lock.
        lock: PathBuf,
        /// The writable grant.
        grant: PathBuf,
        /// The grant's line.
        origin: Origin,
    },
}

impl Diagnose for IdentityError {
    fn code(&self) -> &'static str {
        match self {
            IdentityError::LockWritable { .. } => "lock-writable",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            IdentityError::LockWritable { .. } => {
                "keep the lock outside of what the server may write, or in a directory of its own there and name that \
                 with `--deny-write DIRECTORY`"
                    .into()
            }
        })
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Where a lock really lies: symlinks followed as far as the path exists.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        missing.extend(above.file_name());
    }
    path.to_path_buf()
}

/// Refuses a lock that the server could replace. Its directory has to be out of reach, not only the file: a cover on the
/// file alone is gone as soon as a new lock takes its place.
///
/// `writable` and `islands` are what the jail lets the server write and the read-only trees in it, both canonical.
///
/// # Errors
/// [`IdentityError::LockWritable`].
pub fn keep_from_server<'a>(
    lock: &Path,
    writable: impl Iterator<Item = (&'a Path, &'a Origin)>,
    islands: impl Iterator<Item = &'a Path>,
) -> Result<(), IdentityError> {
    // the link and what it leads to: either would do to the server
    let beside = lock.parent().map(real_path).zip(lock.file_name()).map(|(parent, name)| parent.join(name));
    let places = [beside, Some(real_path(lock))];
    let islands: Vec<&Path> = islands.collect();
    let depth = |path: &Path| path.components().count();
    for (grant, origin) in writable {
        let lies_below = |place: &&PathBuf| place.starts_with(grant);
        for place in places.iter().flatten().filter(lies_below) {
            let covered = islands.iter().any(|island| {
                place.parent().is_some_and(|parent| parent.starts_with(island)) && depth(island) >= depth(grant)
            });
            if !covered {
                return Err(IdentityError::LockWritable {
                    lock: place.clone(),
                    grant: grant.to_path_buf(),
                    origin: origin.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_the_server_could_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for name in ["project/locks/deep", "project/sub", "own"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("own/real.json"), "").unwrap();
        std::os::unix::fs::symlink(at("own/real.json"), at("project/sub/link.json")).unwrap();
        std::os::unix::fs::symlink(at("project"), at("own/way")).unwrap();
        let origin = Origin::jail();
        let judge = |lock: &str, writable: &[&str], islands: &[&str]| {
            let (writable, islands): (Vec<_>, Vec<_>) =
                (writable.iter().map(|w| at(w)).collect(), islands.iter().map(|i| at(i)).collect());
            let writable = writable.iter().map(|path| (path.as_path(), &origin));
            keep_from_server(&at(lock), writable, islands.iter().map(PathBuf::as_path)).is_ok()
        };
        assert!(judge("own/x.lock.json", &["project"], &[]));
        assert!(judge("projects/x", &["project"], &[]), "a name that only begins alike");
        assert!(!judge("project/x.lock.json", &["project"], &[]));
        assert!(!judge("project/none/yet/x.lock.json", &["project"], &[]));
        assert!(!judge("project/x.lock.json", &["project/x.lock.json"], &[]), "the file itself is granted");
        assert!(judge("project/locks/x.json", &["project"], &["project/locks"]));
        assert!(judge("project/locks/deep/x.json", &["project"], &["project/locks"]));
        assert!(!judge("project/x.json", &["project"], &["project/x.json"]), "a cover on the file goes with the file");
        assert!(!judge("project/locks/deep/x.json", &["project", "project/locks/deep"], &["project/locks"]));
        assert!(!judge("project/sub/link.json", &["project"], &[]), "the link can be replaced");
        assert!(!judge("own/way/x.json", &["project"], &[]), "the way there is a link");
        assert!(!judge("project/sub/link.json", &["own"], &["project"]), "what the link leads to can be written");
    }
}
