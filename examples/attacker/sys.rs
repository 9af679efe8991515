//! Raw system calls: one macro, the names of the errors, and numbers that differ between architectures.

use libc::c_long;

/// What a system call answered: its value, or `errno`.
pub(crate) type Sys = Result<i64, i32>;

/// Turns the C convention into a [`Sys`].
pub(crate) fn check(ret: c_long) -> Sys {
    if ret == -1 { Err(errno()) } else { Ok(ret) }
}

pub(crate) fn errno() -> i32 {
    unsafe { *libc::__errno_location() }
}

/// `call!(number, arguments…)`: the system call itself, no library in between. Pointers are passed with `as`.
macro_rules! call {
    ($nr:expr $(, $arg:expr)* $(,)?) => {
        $crate::sys::check(unsafe { libc::syscall($nr as libc::c_long $(, $arg as libc::c_long)*) })
    };
}

/// Calls that only the older tables have; on other architectures the C library uses the `…at` forms.
#[cfg(target_arch = "x86_64")]
pub(crate) mod old {
    pub(crate) const OPEN: Option<libc::c_long> = Some(libc::SYS_open);
    pub(crate) const CREAT: Option<libc::c_long> = Some(libc::SYS_creat);
    pub(crate) const CHMOD: Option<libc::c_long> = Some(libc::SYS_chmod);
    pub(crate) const CHOWN: Option<libc::c_long> = Some(libc::SYS_chown);
    pub(crate) const LINK: Option<libc::c_long> = Some(libc::SYS_link);
    pub(crate) const RENAME: Option<libc::c_long> = Some(libc::SYS_rename);
    pub(crate) const MKNOD: Option<libc::c_long> = Some(libc::SYS_mknod);
    pub(crate) const STAT: Option<libc::c_long> = Some(libc::SYS_stat);
    pub(crate) const ACCESS: Option<libc::c_long> = Some(libc::SYS_access);
    pub(crate) const UTIMES: Option<libc::c_long> = Some(libc::SYS_utimes);
    pub(crate) const IOPL: Option<libc::c_long> = Some(libc::SYS_iopl);
    pub(crate) const IOPERM: Option<libc::c_long> = Some(libc::SYS_ioperm);
    pub(crate) const MODIFY_LDT: Option<libc::c_long> = Some(libc::SYS_modify_ldt);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) mod old {
    pub(crate) const OPEN: Option<libc::c_long> = None;
    pub(crate) const CREAT: Option<libc::c_long> = None;
    pub(crate) const CHMOD: Option<libc::c_long> = None;
    pub(crate) const CHOWN: Option<libc::c_long> = None;
    pub(crate) const LINK: Option<libc::c_long> = None;
    pub(crate) const RENAME: Option<libc::c_long> = None;
    pub(crate) const MKNOD: Option<libc::c_long> = None;
    pub(crate) const STAT: Option<libc::c_long> = None;
    pub(crate) const ACCESS: Option<libc::c_long> = None;
    pub(crate) const UTIMES: Option<libc::c_long> = None;
    pub(crate) const IOPL: Option<libc::c_long> = None;
    pub(crate) const IOPERM: Option<libc::c_long> = None;
    pub(crate) const MODIFY_LDT: Option<libc::c_long> = None;
}

/// Numbers above 450 are the same on every architecture and not all in the `libc` crate.
pub(crate) mod new {
    pub(crate) const STATMOUNT: libc::c_long = 457;
    pub(crate) const LISTMOUNT: libc::c_long = 458;
    pub(crate) const SETXATTRAT: libc::c_long = 463;
    pub(crate) const OPEN_TREE_ATTR: libc::c_long = 467;
    pub(crate) const FILE_SETATTR: libc::c_long = 469;
    /// A number that no kernel has: what a call from the future looks like.
    pub(crate) const UNKNOWN: libc::c_long = 1_023;
}

/// `openat2`'s argument.
#[repr(C)]
pub(crate) struct OpenHow {
    pub(crate) flags: u64,
    pub(crate) mode: u64,
    pub(crate) resolve: u64,
}

/// Opens for reading, closed on exec.
pub(crate) fn open_read(path: &std::ffi::CStr) -> Sys {
    open_with(path, libc::O_RDONLY)
}

/// Opens with these flags, never becoming a controlling terminal's owner, never blocking on a FIFO.
pub(crate) fn open_with(path: &std::ffi::CStr, flags: i32) -> Sys {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    call!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600)
}

pub(crate) fn close(fd: i64) {
    let _ = call!(libc::SYS_close, fd);
}

/// `errno` as its constant's name.
pub(crate) fn name_of(errno: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EINTR, "EINTR"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::E2BIG, "E2BIG"),
        (libc::ENOEXEC, "ENOEXEC"),
        (libc::EBADF, "EBADF"),
        (libc::ECHILD, "ECHILD"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::ENOTBLK, "ENOTBLK"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENFILE, "ENFILE"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::EMLINK, "EMLINK"),
        (libc::EPIPE, "EPIPE"),
        (libc::ENAMETOOLONG, "ENAMETOOLONG"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ENOTEMPTY, "ENOTEMPTY"),
        (libc::ELOOP, "ELOOP"),
        (libc::ENODATA, "ENODATA"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ENOKEY, "ENOKEY"),
        (libc::EUSERS, "EUSERS"),
        (libc::EDQUOT, "EDQUOT"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::EPROTOTYPE, "EPROTOTYPE"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EADDRINUSE, "EADDRINUSE"),
        (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (libc::ENETDOWN, "ENETDOWN"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ECONNRESET, "ECONNRESET"),
        (libc::ENOTCONN, "ENOTCONN"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::ENOPROTOOPT, "ENOPROTOOPT"),
        (libc::EDESTADDRREQ, "EDESTADDRREQ"),
    ];
    NAMES.iter().find(|(known, _)| *known == errno).map_or_else(|| format!("E#{errno}"), |(_, name)| (*name).into())
}
