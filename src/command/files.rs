//! Looking at files without ever blocking on them, following them anywhere, or reading more than is needed.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Directories that every jail shows, read-only and executable.
const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// How many symbolic links the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Whether the jail shows the path anyway. The path should be canonical: `/usr/local/bin/x` may lead to `/opt`.
pub(super) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| path.starts_with(dir))
}

/// Whether somebody may execute it. Root may whatever anybody may; for others the kernel has the last word.
pub(super) fn is_executable_file(meta: &Metadata) -> bool {
    meta.is_file() && meta.mode() & 0o111 != 0
}

/// Whether the path is a regular file that somebody may execute.
pub(super) fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| is_executable_file(&meta))
}

/// Opens a regular file for reading. A FIFO, a device or a socket is an error, never a wait.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // It may have become something else between the two calls.
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    Ok(file)
}

/// The first `limit` bytes of a regular file.
pub(super) fn head(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A small file as text, or nothing where it is absent, unreadable or longer than `limit` bytes.
pub(super) fn small_text(path: &Path, limit: u64) -> Option<String> {
    let bytes = head(path, limit.saturating_add(1)).ok()?;
    if u64::try_from(bytes.len()).ok()? > limit {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The path from the root, without `.` and doubled slashes. `..` is resolved on disk where the directory exists,
/// since `link/..` is not where `link` stands.
pub(super) fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    let joined = cwd.join(path);
    let mut out = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                if let Ok(real) = out.canonicalize() {
                    out = real;
                }
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Every path that following `path` passes through: itself, then each target of a last-component link, as reached.
/// Links in the directories above are not taken apart. Ends after as many links as the kernel would follow.
pub(super) fn link_chain(path: &Path) -> Vec<PathBuf> {
    let mut chain = vec![path.to_path_buf()];
    let mut current = path.to_path_buf();
    while chain.len() <= MAX_LINKS {
        let (Ok(target), Some(dir)) = (current.read_link(), current.parent()) else { break };
        current = absolute(&target, dir);
        chain.push(current.clone());
    }
    chain
}

/// A path from bytes of a file or of a program's output.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// The last component, or nothing.
pub(super) fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Whether a name has a slash, so that `PATH` is not searched for it.
pub(super) fn has_slash(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

/// The directories of a `PATH`, relative and empty ones made absolute as `execvp` understands them.
pub(super) fn path_entries(path: &OsStr, cwd: &Path) -> Vec<PathBuf> {
    std::env::split_paths(path).map(|dir| if dir.is_absolute() { dir } else { cwd.join(dir) }).collect()
}

/// What searching `PATH` gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The first executable regular file of that name.
    Found(PathBuf),
    /// A file of that name, but none that is executable.
    NotExecutable(PathBuf),
    /// Nothing.
    Absent,
}

/// Searches directories as `execvp` does. Unreadable and absent directories are passed over.
pub(super) fn search(name: &OsStr, dirs: &[PathBuf]) -> Search {
    let mut plain = None;
    for dir in dirs {
        let candidate = dir.join(name);
        let Ok(meta) = candidate.metadata() else { continue };
        if is_executable_file(&meta) {
            return Search::Found(candidate);
        }
        if meta.is_file() && plain.is_none() {
            plain = Some(candidate);
        }
    }
    plain.map_or(Search::Absent, Search::NotExecutable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_whole_components_make_a_system_directory() {
        assert!(is_system(Path::new("/usr/bin/node")));
        assert!(is_system(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert!(!is_system(Path::new("/usrlocal/x")));
        assert!(!is_system(Path::new("/nix/var/x")));
        assert!(!is_system(Path::new("/opt/x")));
    }

    #[test]
    fn parent_of_a_link_is_the_parent_of_its_target() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::create_dir_all(root.join("here")).unwrap();
        symlink(root.join("real/deep"), root.join("here/link")).unwrap();
        assert_eq!(absolute(Path::new("link/../x"), &root.join("here")), root.join("real/x"));
        assert_eq!(absolute(Path::new("./a//b/./c"), &root), root.join("a/b/c"));
        assert_eq!(absolute(Path::new("/../.."), &root), Path::new("/"));
    }

    #[test]
    fn chains_end_also_where_links_go_round() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(link_chain(&root.join("a")).len() <= MAX_LINKS + 1);
        fs::write(root.join("file"), "").unwrap();
        symlink("file", root.join("one")).unwrap();
        assert_eq!(link_chain(&root.join("one")), [root.join("one"), root.join("file")]);
    }

    #[test]
    fn heads_are_bounded_and_devices_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("f");
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(head(&file, 4).unwrap(), b"0123");
        assert_eq!(small_text(&file, 10).unwrap(), "0123456789");
        assert_eq!(small_text(&file, 9), None);
        assert!(head(Path::new("/dev/zero"), 4).is_err());
        assert!(head(temp.path(), 4).is_err());
    }

    #[test]
    fn search_prefers_the_executable_one() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b, c) = (temp.path().join("a"), temp.path().join("b"), temp.path().join("c"));
        for dir in [&a, &b, &c] {
            fs::create_dir(dir).unwrap();
        }
        fs::write(a.join("tool"), "").unwrap();
        fs::set_permissions(a.join("tool"), PermissionsExt::from_mode(0o644)).unwrap();
        fs::create_dir(b.join("tool")).unwrap();
        let dirs = [temp.path().join("absent"), a.clone(), b.clone(), c.clone()];
        assert_eq!(search(OsStr::new("tool"), &dirs), Search::NotExecutable(a.join("tool")));
        fs::write(c.join("tool"), "").unwrap();
        fs::set_permissions(c.join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(search(OsStr::new("tool"), &dirs), Search::Found(c.join("tool")));
        assert_eq!(search(OsStr::new("other"), &dirs), Search::Absent);
    }
}
