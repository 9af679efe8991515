//! Descriptors: pipes, sealed memory, identity of a file, closing what must not be inherited.

use super::{check, check_unit, int};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What a file is, independent of its name: device and inode numbers, and its type bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
    /// `st_mode & S_IFMT`.
    pub kind: u32,
}

/// Takes ownership of a descriptor that the kernel has just handed out.
pub(super) fn own(raw: libc::c_long) -> io::Result<OwnedFd> {
    let raw: RawFd = int(check(raw)?)?;
    // SAFETY: the kernel returned this descriptor to this call, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Takes ownership of a descriptor that another program placed at a number agreed on.
///
/// # Errors
/// `EBADF` when nothing is open there.
pub fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads the descriptor table only.
    check_unit(unsafe { libc::fcntl(raw, libc::F_GETFD) }.into())?;
    // SAFETY: the caller names a number that the protocol between launcher and stage 2 gives to it alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A pipe, both ends close-on-exec: `(read, write)`.
///
/// # Errors
/// As pipe2(2).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0 as RawFd; 2];
    // SAFETY: `ends` is room for two descriptors.
    check_unit(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    Ok((own(ends[0].into())?, own(ends[1].into())?))
}

/// Lets a pipe hold so many bytes, so that a long message needs fewer turns of writer and reader. A wish: the kernel may
/// refuse it, above all where the user's pipes hold much already (pipe(7), `pipe-user-pages-soft`).
pub fn widen(pipe: BorrowedFd<'_>, bytes: i32) {
    // SAFETY: takes a descriptor and a number.
    let _refused = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// A close-on-exec duplicate with a number of at least `least`.
///
/// # Errors
/// As fcntl(2).
pub fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicating a borrowed, open descriptor.
    own(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) }.into())
}

/// Closes every descriptor from `first` up.
///
/// # Errors
/// As close_range(2).
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller holds no owned descriptor at or above `first`; that is what it asks to be true.
    check_unit(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) })
}

/// Closes descriptors 0, 1 and 2 of this process.
pub fn close_standard() {
    for number in 0..3 {
        // SAFETY: the caller has no further use for its standard descriptors; that is what it asks for.
        let _none_there = unsafe { libc::close(number) };
    }
}

/// Puts /dev/null at the places of descriptors 0, 1 and 2.
///
/// # Errors
/// As open(2) and dup2(2).
pub fn null_standard() -> io::Result<()> {
    let null = open_at(None, c"/dev/null", libc::O_RDWR, 0)?;
    for number in 0..3 {
        // SAFETY: the caller has no further use for its standard descriptors; that is what it asks for.
        check_unit(unsafe { libc::dup2(null.as_raw_fd(), number) }.into())?;
    }
    Ok(())
}

/// Marks every descriptor from `first` up close-on-exec.
///
/// # Errors
/// As close_range(2); kernel 5.11 and newer.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
    // SAFETY: sets a flag in the descriptor table only.
    check_unit(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) })
}

/// The [`Identity`] of an open file (`O_PATH` is enough).
///
/// # Errors
/// As fstat(2).
pub fn identity(fd: BorrowedFd<'_>) -> io::Result<Identity> {
    // SAFETY: all-zero is a valid `stat`: it holds integers only.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is room for the answer.
    check_unit(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) }.into())?;
    Ok(Identity { dev: stat.st_dev, ino: stat.st_ino, kind: stat.st_mode & libc::S_IFMT })
}

/// Opens `path` below `root` as `O_PATH`, following no symlink at all and never leaving `root`.
///
/// # Errors
/// As openat2(2); `ELOOP` when a symlink stands in the way.
pub fn open_beneath(root: BorrowedFd<'_>, path: &CStr) -> io::Result<OwnedFd> {
    openat2(root.as_raw_fd(), path, libc::O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
}

/// Opens an absolute path with plain open(2) flags, following no symlink anywhere in it.
///
/// # Errors
/// As openat2(2); `ELOOP` when a symlink stands in the way.
pub fn open_direct(path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    openat2(libc::AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
}

fn openat2(dir: RawFd, path: &CStr, flags: i32, resolve: u64) -> io::Result<OwnedFd> {
    let how = OpenHow { flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()), mode: 0, resolve };
    let size = size_of::<OpenHow>();
    // SAFETY: `how` lives through the call and its true size is passed.
    own(unsafe { libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size) })
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_BENEATH: u64 = 0x08;

/// Opens a path with plain open(2) flags, close-on-exec added.
///
/// # Errors
/// As openat(2).
pub fn open_at(dir: Option<BorrowedFd<'_>>, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let dir = dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd());
    // SAFETY: `path` is a C string that outlives the call.
    own(unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode) }.into())
}

/// Makes a directory below `dir`; one that is there already is fine.
///
/// # Errors
/// As mkdirat(2), but for `EEXIST`.
pub fn make_directory(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    match check_unit(unsafe { libc::mkdirat(dir.as_raw_fd(), path.as_ptr(), mode) }.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

/// Makes an empty regular file below `dir` (cheaper than open and close); one that is there already is fine.
///
/// # Errors
/// As mknodat(2), but for `EEXIST`.
pub fn make_file(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    match check_unit(unsafe { libc::mknodat(dir.as_raw_fd(), path.as_ptr(), libc::S_IFREG | mode, 0) }.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

/// Makes a symlink below `dir`.
///
/// # Errors
/// As symlinkat(2).
pub fn make_symlink(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that outlive the call.
    check_unit(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), path.as_ptr()) }.into())
}
