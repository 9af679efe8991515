//! The new mount API (kernel 5.12 for `mount_setattr`): file systems, detached trees, attributes, the root.
//!
//! Sources: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), mount_setattr(2), move_mount(2), pivot_root(2).

use super::check_unit;
use super::fd::own;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `MOUNT_ATTR_RDONLY`
pub const READ_ONLY: u64 = 0x01;
/// `MOUNT_ATTR_NOSUID`
pub const NO_SUID: u64 = 0x02;
/// `MOUNT_ATTR_NODEV`
pub const NO_DEV: u64 = 0x04;
/// `MOUNT_ATTR_NOEXEC`
pub const NO_EXEC: u64 = 0x08;

const SYS_OPEN_TREE: libc::c_long = 428;
const SYS_MOVE_MOUNT: libc::c_long = 429;
const SYS_FSOPEN: libc::c_long = 430;
const SYS_FSCONFIG: libc::c_long = 431;
const SYS_FSMOUNT: libc::c_long = 432;
const SYS_MOUNT_SETATTR: libc::c_long = 442;

const OPEN_TREE_CLONE: u32 = 1;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_RECURSIVE: u32 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;
const MS_PRIVATE: u64 = 1 << 18;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// A new file system of type `kind` with string options, as a detached mount.
///
/// # Errors
/// As fsopen(2), fsconfig(2), fsmount(2).
pub fn file_system(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> io::Result<OwnedFd> {
    // SAFETY: `kind` is a C string that outlives the call.
    let context = own(unsafe { libc::syscall(SYS_FSOPEN, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (key, value) in options {
        let (fd, key, value) = (context.as_raw_fd(), key.as_ptr(), value.as_ptr());
        // SAFETY: both are C strings that outlive the call.
        check_unit(unsafe { libc::syscall(SYS_FSCONFIG, fd, FSCONFIG_SET_STRING, key, value, 0) })?;
    }
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither key nor value.
    check_unit(unsafe { libc::syscall(SYS_FSCONFIG, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0) })?;
    // SAFETY: takes a descriptor and two words of flags.
    own(unsafe { libc::syscall(SYS_FSMOUNT, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// A detached copy of the mount tree at an open file or directory, with everything mounted below it.
///
/// # Errors
/// As open_tree(2).
pub fn clone_tree(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH | libc::O_CLOEXEC.unsigned_abs();
    // SAFETY: the empty path is a C string constant.
    own(unsafe { libc::syscall(SYS_OPEN_TREE, fd.as_raw_fd(), c"".as_ptr(), flags) })
}

/// Sets attributes on a mount, on everything below it too with `recursive`.
///
/// # Errors
/// As mount_setattr(2).
pub fn set_attributes(tree: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let attr = MountAttr { set: attributes, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    mount_setattr(tree.as_raw_fd(), c"", flags, &attr)
}

/// Makes every mount of this namespace private: nothing propagates in or out.
///
/// # Errors
/// As mount_setattr(2).
pub fn make_all_private() -> io::Result<()> {
    let attr = MountAttr { set: 0, clear: 0, propagation: MS_PRIVATE, userns_fd: 0 };
    mount_setattr(libc::AT_FDCWD, c"/", AT_RECURSIVE, &attr)
}

fn mount_setattr(dir: i32, path: &CStr, flags: u32, attr: &MountAttr) -> io::Result<()> {
    let size = size_of::<MountAttr>();
    // SAFETY: `attr` lives through the call and its true size is passed.
    check_unit(unsafe { libc::syscall(SYS_MOUNT_SETATTR, dir, path.as_ptr(), flags, attr, size) })
}

/// Attaches a detached mount at `path` below `dir`. A last symlink is not followed.
///
/// # Errors
/// As move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, dir: Option<BorrowedFd<'_>>, path: &CStr) -> io::Result<()> {
    let dir = dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd());
    let (from, path) = (mount.as_raw_fd(), path.as_ptr());
    // SAFETY: both paths are C strings that outlive the call.
    check_unit(unsafe { libc::syscall(SYS_MOVE_MOUNT, from, c"".as_ptr(), dir, path, MOVE_MOUNT_F_EMPTY_PATH) })
}

/// Attaches a detached mount exactly on the open file or directory `target`.
///
/// # Errors
/// As move_mount(2).
pub fn attach_on(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to, empty) = (mount.as_raw_fd(), target.as_raw_fd(), c"".as_ptr());
    // SAFETY: both paths are the same C string constant.
    check_unit(unsafe { libc::syscall(SYS_MOVE_MOUNT, from, empty, to, empty, flags) })
}

/// Makes the mount `root` the root of this namespace and lets go of the old one. Leaves the working directory at `/`.
///
/// # Errors
/// As fchdir(2), pivot_root(2), umount2(2), chdir(2).
pub fn become_root(root: BorrowedFd<'_>) -> io::Result<()> {
    let here = c".".as_ptr();
    // SAFETY: takes a descriptor only.
    check_unit(unsafe { libc::fchdir(root.as_raw_fd()) }.into())?;
    // SAFETY: both paths are the same C string constant. New and old root at one place: pivot_root(2), NOTES.
    check_unit(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) })?;
    // SAFETY: the old root now lies on top of `.`; detaching it leaves the new one.
    check_unit(unsafe { libc::umount2(here, libc::MNT_DETACH) }.into())?;
    // SAFETY: the path is a C string constant.
    check_unit(unsafe { libc::chdir(c"/".as_ptr()) }.into())
}
