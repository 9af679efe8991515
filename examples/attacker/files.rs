//! Reading and looking: what can be opened, listed or measured, by every call that can (cases 1-3, 10-13, 15, 37).

use crate::Attack;
use crate::report::{Params, Report, join};
use crate::sys::{OpenHow, Sys, close, errno, new, old, open_read, open_with};
use serde_json::Value;
use std::ffi::{CStr, CString};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("read", read),
    ("read-all", read_all),
    ("look", look),
    ("list", list),
    ("agree", agree),
    ("handles", handles),
    ("detours", detours),
    ("symlink", symlink),
    ("execute", execute),
];

/// The first bytes behind a descriptor, which is closed.
pub(crate) fn head(fd: i64) -> Result<Value, i32> {
    let mut bytes = [0u8; 200];
    let got = call!(libc::SYS_read, fd, bytes.as_mut_ptr(), bytes.len());
    close(fd);
    got.map(|got| String::from_utf8_lossy(&bytes[..got.unsigned_abs() as usize]).into_owned().into())
}

fn open2(path: &CStr, flags: i32, resolve: u64) -> Sys {
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve };
    call!(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size_of::<OpenHow>())
}

/// One path by every call that opens for reading.
fn read(params: &Params, report: &mut Report) {
    let path = params.path("path");
    if let Some(number) = old::OPEN {
        report.value("open", call!(number, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).and_then(head));
    }
    report.value("openat", open_read(&path).and_then(head));
    report.value("openat2", open2(&path, libc::O_RDONLY, 0).and_then(head));
    // Opened as a place only, then reopened through /proc.
    let place = open_with(&path, libc::O_PATH);
    let again = place.and_then(|fd| {
        let again = CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| libc::EINVAL)?;
        let outcome = open_read(&again).and_then(head);
        close(fd);
        outcome
    });
    report.value("reopen", again);
}

/// Many paths, one step each.
fn read_all(params: &Params, report: &mut Report) {
    for path in params.paths("paths") {
        let name = path.to_string_lossy().into_owned();
        report.value(format!("read:{name}"), open_read(&path).and_then(head));
    }
}

/// Everything that tells whether a path exists without reading it.
fn look(params: &Params, report: &mut Report) {
    let path = params.path("path");
    let mut space = [0u8; 1024];
    if let Some(number) = old::STAT {
        report.step("stat", call!(number, path.as_ptr(), space.as_mut_ptr()));
    }
    if let Some(number) = old::ACCESS {
        report.step("access", call!(number, path.as_ptr(), libc::F_OK));
    }
    let (at, name, buffer) = (libc::AT_FDCWD, path.as_ptr(), space.as_mut_ptr());
    report.step("newfstatat", call!(libc::SYS_newfstatat, at, name, buffer, libc::AT_SYMLINK_NOFOLLOW));
    report.step("statx", call!(libc::SYS_statx, at, name, 0, libc::STATX_ALL, buffer));
    report.step("faccessat", call!(libc::SYS_faccessat, at, name, libc::F_OK));
    report.step("faccessat2", call!(libc::SYS_faccessat2, at, name, libc::R_OK, 0));
    report.step("statfs", call!(libc::SYS_statfs, name, buffer));
    report.step("o-path", open_with(&path, libc::O_PATH));
    report.step(
        "getxattr",
        match call!(libc::SYS_getxattr, name, c"user.none".as_ptr(), buffer, 100) {
            // No such attribute: the file itself was found.
            Err(libc::ENODATA | libc::EOPNOTSUPP) => Ok(0),
            other => other,
        },
    );
    let watch = call!(libc::SYS_inotify_init1, libc::IN_CLOEXEC).and_then(|fd| {
        let outcome = call!(libc::SYS_inotify_add_watch, fd, name, libc::IN_ACCESS);
        close(fd);
        outcome
    });
    report.step("inotify", watch);
}

/// The names in a directory.
fn list(params: &Params, report: &mut Report) {
    let path = params.path("path");
    report.value("list", names(&path).map(|names| names.len().into()));
    report.step("chdir", call!(libc::SYS_chdir, path.as_ptr()));
}

/// All entries of a directory but `.` and `..`.
pub(crate) fn names(path: &CStr) -> Result<Vec<Vec<u8>>, i32> {
    let dir = unsafe { libc::opendir(path.as_ptr()) };
    if dir.is_null() {
        return Err(errno());
    }
    let mut names = Vec::new();
    loop {
        let entry = unsafe { libc::readdir(dir) };
        if entry.is_null() {
            break;
        }
        let name = unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) }.to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    unsafe { libc::closedir(dir) };
    Ok(names)
}

/// The same two questions by four calls: a read of `path`, a write of `target`.
fn agree(params: &Params, report: &mut Report) {
    let (path, target) = (params.path("path"), params.path("target"));
    let write = libc::O_WRONLY | libc::O_CLOEXEC;
    if let Some(number) = old::OPEN {
        report.value("read:open", call!(number, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).and_then(head));
        report.step("write:open", call!(number, target.as_ptr(), write));
    }
    report.value("read:openat", open_read(&path).and_then(head));
    report.value("read:openat2", open2(&path, libc::O_RDONLY, 0).and_then(head));
    // RESOLVE_NO_SYMLINKS
    report.value("read:openat2-strict", open2(&path, libc::O_RDONLY, 4).and_then(head));
    report.step("write:openat", open_with(&target, libc::O_WRONLY));
    report.step("write:openat2", open2(&target, libc::O_WRONLY, 0));
    if let Some(number) = old::CREAT {
        report.step("write:creat", call!(number, target.as_ptr(), 0o600));
    }
}

/// File handles: a name for an inode that needs no path.
fn handles(params: &Params, report: &mut Report) {
    let path = params.path("path");
    let mut handle = [0u8; 8 + 128];
    handle[..4].copy_from_slice(&128u32.to_ne_bytes());
    let mut mount = 0i32;
    let (at, name) = (libc::AT_FDCWD, path.as_ptr());
    let named = call!(libc::SYS_name_to_handle_at, at, name, handle.as_mut_ptr(), &raw mut mount, 0);
    report.step("name_to_handle_at", named);
    if named.is_err() {
        // A generation-less guess at inode 2, the root of most file systems.
        handle[..4].copy_from_slice(&8u32.to_ne_bytes());
        handle[4..8].copy_from_slice(&1i32.to_ne_bytes());
        handle[8..16].copy_from_slice(&2u64.to_ne_bytes());
    }
    let dir = open_with(c"/", libc::O_RDONLY | libc::O_DIRECTORY).unwrap_or(-1);
    let opened = call!(libc::SYS_open_by_handle_at, dir, handle.as_mut_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
    report.step("open_by_handle_at", opened);
    let mut space = [0u8; 256];
    // A request with its size but no mount id: asks nothing that a kernel would answer.
    let request = [24u32, 0, 0, 0, 0, 0];
    report.step("statmount", call!(new::STATMOUNT, request.as_ptr(), space.as_mut_ptr(), space.len(), 0));
    report.step("listmount", call!(new::LISTMOUNT, request.as_ptr(), space.as_mut_ptr(), 8, 0));
}

/// The same file by the ways around: magic links and `..`.
fn detours(params: &Params, report: &mut Report) {
    let path = params.path("path");
    let below = path.to_string_lossy().trim_start_matches('/').to_owned();
    let up = "../".repeat(24);
    for (name, through) in [
        ("self-root", format!("/proc/self/root/{below}")),
        ("thread-root", format!("/proc/thread-self/root/{below}")),
        ("self-cwd", format!("/proc/self/cwd/{up}{below}")),
        ("parent-root", format!("/proc/{}/root/{below}", unsafe { libc::getppid() })),
        ("dots", format!("/usr/{up}{below}")),
    ] {
        let through = CString::new(through).unwrap_or_default();
        report.value(name, open_read(&through).and_then(head));
    }
    // An O_PATH descriptor of the root, climbed from.
    let climbed = open_with(c"/", libc::O_PATH | libc::O_DIRECTORY).and_then(|root| {
        let name = CString::new(format!("{up}{below}")).unwrap_or_default();
        let outcome = call!(libc::SYS_openat, root, name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        close(root);
        outcome.and_then(head)
    });
    report.value("root-fd", climbed);
    if params.left_pid_namespace() {
        for (name, through) in
            [("init-root", format!("/proc/1/root/{below}")), ("init-cwd", format!("/proc/1/cwd/{up}{below}"))]
        {
            let through = CString::new(through).unwrap_or_default();
            report.value(name, open_read(&through).and_then(head));
        }
    }
}

/// A symlink of the attacker's own in a directory it may write, and one that was there before.
fn symlink(params: &Params, report: &mut Report) {
    let (dir, target) = (params.path("dir"), params.path("path"));
    let link = join(&dir, "own-link");
    let made = call!(libc::SYS_symlinkat, target.as_ptr(), libc::AT_FDCWD, link.as_ptr());
    report.step("make", made);
    report.value("own-link", open_read(&link).and_then(head));
    report.value("planted-link", open_read(&join(&dir, "planted-link")).and_then(head));
    report.step("write-through", open_with(&link, libc::O_WRONLY));
    // The directory above, by a link.
    let through = join(&dir, "planted-dir/secret");
    report.value("planted-dir", open_read(&through).and_then(head));
}

/// Executes a file, in a child of its own.
fn execute(params: &Params, report: &mut Report) {
    let path = params.path("path");
    report.isolated("execve", || {
        let argv = [path.as_ptr(), c"--exit".as_ptr(), c"0".as_ptr(), std::ptr::null()];
        let outcome = crate::harmless::spawn_and_wait(|| {
            let empty: [*const libc::c_char; 1] = [std::ptr::null()];
            let _ = call!(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), empty.as_ptr());
            errno()
        });
        outcome.map(i64::from)
    });
}
