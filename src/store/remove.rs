//! Removing whole directories, whatever an installer left in them: directories that cannot be written or read, and paths
//! that are deeper than any name is long.

use super::StoreError;
use crate::sys::entry;
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How deep directories are gone into. What lies deeper is first moved up.
const DEEPEST: usize = 64;

/// Removes a path and everything below it, following nothing. Absent is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("remove", path, error);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_dir() => {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        Ok(_) => {}
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let top = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    // Each turn goes as deep as one may and moves up what is deeper, so that a later turn meets it.
    let mut moved = 0;
    loop {
        let before = moved;
        empty(&top, top.as_fd(), 0, &mut moved).map_err(failed)?;
        if moved == before {
            break;
        }
    }
    fs::remove_dir(path).map_err(failed)
}

fn empty(top: &File, dir: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> io::Result<()> {
    for name in entry::names(dir)? {
        match entry::remove_at(dir, &name, false) {
            Ok(()) => continue,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::EPERM)) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        entry::set_mode_at(dir, &name, 0o700)?;
        if depth >= DEEPEST {
            move_up(top, dir, &name, moved)?;
            continue;
        }
        let lower = entry::open_entry(dir, &name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        empty(top, lower.as_fd(), depth + 1, moved)?;
        entry::remove_at(dir, &name, true)?;
    }
    Ok(())
}

fn move_up(top: &File, dir: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = CString::new(format!("deep-{moved}"))?;
        if entry::status_at(top.as_fd(), &new).is_err() {
            return entry::rename_at(dir, name, top.as_fd(), &new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_cannot_be_written_or_named_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("gone"), dir.path().join("precious"));
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "x").unwrap();
        fs::write(path.join("a/b/file"), "x").unwrap();
        symlink(&precious, path.join("a/link")).unwrap();
        symlink("link", path.join("a/b/loop")).unwrap();
        fs::set_permissions(path.join("a/b"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
        // 3000 directories, each with a long name: 600,000 bytes of path
        let name = CString::new("d".repeat(200)).unwrap();
        let mut open = File::open(&path).unwrap();
        for _ in 0..3000 {
            crate::sys::fd::make_directory(open.as_fd(), &name, 0o700).unwrap();
            open = entry::open_entry(open.as_fd(), &name, libc::O_RDONLY | libc::O_DIRECTORY).unwrap().into();
        }
        fs::write(path.join("deep-1"), "a name that it would use").unwrap();
        remove(&path).unwrap();
        assert!(!path.exists() && precious.join("file").exists());
        remove(&path).unwrap();
        // A link is removed, not what it leads to.
        symlink(&precious, &path).unwrap();
        remove(&path).unwrap();
        assert!(path.symlink_metadata().is_err() && precious.join("file").exists());
    }
}
