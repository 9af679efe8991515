//! What stands under a name of an open directory: looked at, linked, renamed and removed without following it.

use super::fd::own;
use super::{check, check_unit};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// What fstatat(2) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
    /// `st_mode & S_IFMT`.
    pub kind: u32,
    /// `st_mode & 07777`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// Names of it.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Bytes on the disk.
    pub room: u64,
    /// Last change of the contents: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Last change of contents, names or mode; no program can set it.
    pub ctime: (i64, i64),
}

impl Status {
    // the widths of a `stat`'s members are those of the architecture
    #[allow(clippy::useless_conversion, reason = "`nlink_t` and `blkcnt_t` differ between architectures")]
    fn of(stat: &libc::stat) -> Status {
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Status {
            dev: stat.st_dev,
            ino: stat.st_ino,
            kind: stat.st_mode & libc::S_IFMT,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            links: u64::from(stat.st_nlink),
            size: unsigned(stat.st_size),
            room: unsigned(i64::from(stat.st_blocks)).saturating_mul(512),
            mtime: (stat.st_mtime, stat.st_mtime_nsec),
            ctime: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// The status of what stands under `name`; of a symlink its own.
///
/// # Errors
/// As fstatat(2).
pub fn status_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Status> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    // SAFETY: `name` is a C string that outlives the call, `stat` is room for the answer.
    check_unit(unsafe { libc::fstatat(dir.as_raw_fd(), name.as_ptr(), stat.as_mut_ptr(), flags) }.into())?;
    // SAFETY: the call succeeded, so it filled `stat`.
    Ok(Status::of(unsafe { stat.assume_init_ref() }))
}

/// The status of an open file (`O_PATH` is enough).
///
/// # Errors
/// As fstat(2).
pub fn status(file: BorrowedFd<'_>) -> io::Result<Status> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is room for the answer.
    check_unit(unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) }.into())?;
    // SAFETY: the call succeeded, so it filled `stat`.
    Ok(Status::of(unsafe { stat.assume_init_ref() }))
}

/// Opens what stands under `name` with open(2) flags; a symlink there is an error, and nothing is waited for.
///
/// # Errors
/// As openat(2); `ELOOP` (with `O_DIRECTORY` also `ENOTDIR`) for a symlink.
pub fn open_entry(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `name` is a C string that outlives the call.
    own(unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, 0) }.into())
}

/// The names in a directory, unsorted, without `.` and `..`. The descriptor may be an `O_PATH` one.
///
/// # Errors
/// As openat(2) and getdents64(2).
pub fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    // A descriptor of its own: where a directory is read to is shared between duplicates.
    let dir = open_entry(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut names = Vec::new();
    let mut room = vec![0_u8; 32 << 10];
    loop {
        // SAFETY: `room` is writable for its length.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), room.as_mut_ptr(), room.len()) };
        let read = usize::try_from(check(read)?).unwrap_or(0);
        let mut rest = room.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Ok(names);
        }
        // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name
        while let Some(&[low, high]) = rest.get(16..18) {
            let (entry, next) =
                rest.split_at_checked(usize::from(u16::from_ne_bytes([low, high]))).unwrap_or((rest, &[]));
            let name = entry.get(19..).unwrap_or_default();
            let name = CStr::from_bytes_until_nul(name).map_err(|_| io::ErrorKind::InvalidData)?;
            if name != c"." && name != c".." {
                names.push(name.to_owned());
            }
            rest = next;
        }
    }
}

/// Where a symlink leads.
///
/// # Errors
/// As readlinkat(2).
pub fn target_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    let mut room = vec![0_u8; 4097];
    // SAFETY: `name` is a C string that outlives the call, `room` is writable for its length.
    let read = unsafe { libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    let read = check(i64::try_from(read).unwrap_or(-1))?;
    room.truncate(usize::try_from(read).unwrap_or(0));
    Ok(room)
}

/// Gives what stands under one name another one besides. A symlink is linked itself.
///
/// # Errors
/// As linkat(2).
pub fn link_at(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, other: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that outlive the call.
    check_unit(unsafe { libc::linkat(from.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), other.as_ptr(), 0) }.into())
}

/// Gives what stands under one name another one; what stood there goes.
///
/// # Errors
/// As renameat(2).
pub fn rename_at(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, other: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that outlive the call.
    check_unit(unsafe { libc::renameat(from.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), other.as_ptr()) }.into())
}

/// Exchanges what stands under two names, in one step.
///
/// # Errors
/// As renameat2(2).
pub fn exchange(one: &CStr, other: &CStr) -> io::Result<()> {
    let (cwd, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: both are C strings that outlive the call.
    check_unit(unsafe { libc::syscall(libc::SYS_renameat2, cwd, one.as_ptr(), cwd, other.as_ptr(), flags) })
}

/// Removes what stands under a name: an empty directory, or anything else.
///
/// # Errors
/// As unlinkat(2).
pub fn remove_at(dir: BorrowedFd<'_>, name: &CStr, directory: bool) -> io::Result<()> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `name` is a C string that outlives the call.
    check_unit(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) }.into())
}

/// Sets the mode of what stands under a name. A symlink there would be followed: the caller has looked.
///
/// # Errors
/// As fchmodat(2).
pub fn set_mode_at(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `name` is a C string that outlives the call.
    check_unit(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }.into())
}

/// Writes everything that the file system of `file` has not written yet to its disk, and says where that failed.
///
/// # Errors
/// As syncfs(2).
pub fn sync_file_system(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes a descriptor only.
    check_unit(unsafe { libc::syncfs(file.as_raw_fd()) }.into())
}

/// The clock that the kernel takes the times of files from: seconds and nanoseconds since 1970, a tick behind at most.
///
/// # Errors
/// As clock_gettime(2).
pub fn file_clock() -> io::Result<(i64, i64)> {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` is room for the answer.
    check_unit(unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, now.as_mut_ptr()) }.into())?;
    // SAFETY: the call succeeded, so it filled `now`.
    let now = unsafe { now.assume_init_ref() };
    Ok((now.tv_sec, now.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_status_is_that_of_stat() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "12345").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        fs::hard_link(dir.path().join("file"), dir.path().join("other")).unwrap();
        let open = File::open(dir.path()).unwrap();
        for name in [c"file", c"link", c"other", c"."] {
            let status = status_at(open.as_fd(), name).unwrap();
            let expected = fs::symlink_metadata(dir.path().join(name.to_str().unwrap())).unwrap();
            let times = (status.mtime, status.ctime);
            let wanted = ((expected.mtime(), expected.mtime_nsec()), (expected.ctime(), expected.ctime_nsec()));
            assert_eq!(times, wanted);
            assert_eq!((status.dev, status.ino, status.size), (expected.dev(), expected.ino(), expected.size()));
            assert_eq!((status.kind | status.mode, status.uid), (expected.mode(), expected.uid()));
            assert_eq!((status.links, status.room), (expected.nlink(), expected.blocks() * 512));
        }
        assert_eq!(status(open.as_fd()).unwrap(), status_at(open.as_fd(), c".").unwrap());
        assert_eq!(target_at(open.as_fd(), c"link").unwrap(), b"file");
        assert!(open_entry(open.as_fd(), c"link", libc::O_RDONLY).is_err());
    }

    /// More names than one answer of the kernel holds.
    #[test]
    fn all_names_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let mut wanted: Vec<String> = (0..700).map(|number| format!("{number:0>100}")).collect();
        for name in &wanted {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let open = File::open(dir.path()).unwrap();
        for _ in 0..2 {
            let mut found: Vec<String> =
                names(open.as_fd()).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn the_clock_is_that_of_files() {
        let before = file_clock().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let made = file.as_file().metadata().unwrap();
        assert!((made.ctime(), made.ctime_nsec()) >= before);
    }
}
