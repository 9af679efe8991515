//! The mount family, old and new, and other roots (case 18).
//!
//! Unjailed, the attack first moves into a user and mount namespace of its own, so that nothing it mounts is seen
//! outside. Where that fails, which is what a jail should see to, calls that would change the mount tree get arguments
//! that fail later than a filter: the difference between EPERM and ENOENT tells who refused.

use crate::Attack;
use crate::report::{Params, Report};
use crate::sys::{Sys, close, new, open_with};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("mount", mount)];

const AT: i32 = libc::AT_FDCWD;
const NOWHERE: &std::ffi::CStr = c"/nonexistent-for-mounts";

fn mount(params: &Params, report: &mut Report) {
    let dir = params.path("dir");
    let entered = enter();
    report.step("enter", entered);
    let private = entered.is_ok();
    let target = if private { dir.as_c_str() } else { NOWHERE };

    let kind = c"tmpfs".as_ptr();
    report.step("mount", call!(libc::SYS_mount, kind, target.as_ptr(), kind, 0, 0));
    report.step("bind", call!(libc::SYS_mount, target.as_ptr(), target.as_ptr(), 0, libc::MS_BIND, 0));
    let remount = libc::MS_REMOUNT | libc::MS_BIND;
    report.step("remount", call!(libc::SYS_mount, 0, target.as_ptr(), 0, remount, 0));
    report.step("proc", call!(libc::SYS_mount, c"proc".as_ptr(), NOWHERE.as_ptr(), c"proc".as_ptr(), 0, 0));
    // A type that any user namespace may mount and that had more than one hole: CVE-2022-0185 was in fsconfig.
    let context = call!(libc::SYS_fsopen, kind, 1);
    report.step("fsopen", context);
    let context = context.unwrap_or(-1);
    let create = 6;
    report.step("fsconfig", call!(libc::SYS_fsconfig, context, create, 0, 0, 0));
    let mounted = call!(libc::SYS_fsmount, context, 1, 0);
    report.step("fsmount", mounted);
    report.step("fspick", call!(libc::SYS_fspick, AT, target.as_ptr(), 0));
    let moved = call!(libc::SYS_move_mount, mounted.unwrap_or(-1), c"".as_ptr(), AT, target.as_ptr(), 4);
    report.step("move_mount", moved);
    // OPEN_TREE_CLONE
    report.step("open_tree", call!(libc::SYS_open_tree, AT, target.as_ptr(), 1));
    // struct mount_attr: set nosuid, clear nothing.
    let attributes = [2u64, 0, 0, 0];
    let (pointer, size) = (attributes.as_ptr(), size_of_val(&attributes));
    report.step("mount_setattr", call!(libc::SYS_mount_setattr, AT, target.as_ptr(), 0, pointer, size));
    report.step("open_tree_attr", call!(new::OPEN_TREE_ATTR, AT, target.as_ptr(), 1, pointer, size));
    report.step("umount2", call!(libc::SYS_umount2, target.as_ptr(), libc::MNT_DETACH));
    report.step("chroot", call!(libc::SYS_chroot, target.as_ptr()));
    report.step("pivot_root", pivot(private));
}

/// A user namespace and a mount namespace that passes nothing on.
fn enter() -> Sys {
    call!(libc::SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    call!(libc::SYS_mount, 0, c"/".as_ptr(), 0, libc::MS_REC | libc::MS_PRIVATE, 0)
}

/// Only in a private namespace is the call made with arguments that can succeed.
fn pivot(private: bool) -> Sys {
    if !private {
        return call!(libc::SYS_pivot_root, NOWHERE.as_ptr(), NOWHERE.as_ptr());
    }
    // After chroot into the scratch directory, which is a mount no more: make it one again and turn it round.
    let kind = c"tmpfs".as_ptr();
    call!(libc::SYS_mount, kind, c"/".as_ptr(), kind, 0, 0)?;
    let root = open_with(c"/..", libc::O_PATH | libc::O_DIRECTORY)?;
    call!(libc::SYS_fchdir, root)?;
    close(root);
    call!(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr())
}
