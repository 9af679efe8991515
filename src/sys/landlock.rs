//! Landlock's three system calls. Source: linux/landlock.h, landlock(7).

use super::fd::own;
use super::{check, check_unit};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const SYS_CREATE_RULESET: libc::c_long = 444;
const SYS_ADD_RULE: libc::c_long = 445;
const SYS_RESTRICT_SELF: libc::c_long = 446;

/// Newest ABI of this kernel.
///
/// # Errors
/// `ENOSYS` where the kernel has no Landlock, `EOPNOTSUPP` where it was not enabled at boot.
pub fn abi() -> io::Result<u32> {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: the version query takes no attributes.
    let abi = check(unsafe { libc::syscall(SYS_CREATE_RULESET, none, 0usize, VERSION) })?;
    Ok(u32::try_from(abi).unwrap_or(0))
}

/// What a ruleset handles, that is refuses unless a rule allows it. Bits as in linux/landlock.h.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Handled {
    /// `LANDLOCK_ACCESS_FS_*`
    pub fs: u64,
    /// `LANDLOCK_ACCESS_NET_*` (ABI 4)
    pub net: u64,
    /// `LANDLOCK_SCOPE_*` (ABI 6)
    pub scoped: u64,
}

/// An empty ruleset. `handled` must hold only what this kernel's ABI has.
///
/// # Errors
/// As landlock_create_ruleset(2).
pub fn create(handled: &Handled) -> io::Result<OwnedFd> {
    // an older kernel takes a shorter struct as long as the rest is zero
    // SAFETY: `handled` has the kernel's layout, lives through the call, and its true size is passed.
    own(unsafe { libc::syscall(SYS_CREATE_RULESET, &raw const *handled, size_of::<Handled>(), 0u32) })
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// Allows `rights` on the file or tree `parent` (an `O_PATH` descriptor).
///
/// # Errors
/// As landlock_add_rule(2); `EINVAL` for a directory's right on a file.
pub fn allow(ruleset: BorrowedFd<'_>, parent: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
    const PATH_BENEATH: u32 = 1;
    let rule = PathBeneath { allowed: rights, parent: parent.as_raw_fd() };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: `rule` has the kernel's packed layout and lives through the call.
    check_unit(unsafe { libc::syscall(SYS_ADD_RULE, ruleset, PATH_BENEATH, &raw const rule, 0u32) })
}

#[repr(C)]
struct NetPort {
    allowed: u64,
    port: u64,
}

/// Allows `rights` (`LANDLOCK_ACCESS_NET_*`) on a TCP port. ABI 4.
///
/// # Errors
/// As landlock_add_rule(2).
pub fn allow_port(ruleset: BorrowedFd<'_>, port: u16, rights: u64) -> io::Result<()> {
    const NET_PORT: u32 = 2;
    let rule = NetPort { allowed: rights, port: port.into() };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: `rule` has the kernel's layout and lives through the call.
    check_unit(unsafe { libc::syscall(SYS_ADD_RULE, ruleset, NET_PORT, &raw const rule, 0u32) })
}

/// Restricts the calling thread for good. Needs `no_new_privs`.
///
/// # Errors
/// As landlock_restrict_self(2).
pub fn restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes a descriptor and flags.
    check_unit(unsafe { libc::syscall(SYS_RESTRICT_SELF, ruleset.as_raw_fd(), 0u32) })
}
