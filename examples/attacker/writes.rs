//! Changing: creating, truncating, renaming, linking and metadata (cases 5-9, 13, 15, 53).

use crate::Attack;
use crate::report::{Params, Report, c_path, join};
use crate::sys::{close, new, old, open_read, open_with};
use serde_json::Value;
use std::ffi::CString;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("write", write),
    ("create", create),
    ("truncate", truncate),
    ("metadata", metadata),
    ("link", link),
    ("rename", rename),
    ("delete", delete),
    ("odd-names", odd_names),
    ("tamper", tamper),
];

const AT: i32 = libc::AT_FDCWD;

/// Writes into a file that exists.
fn write(params: &Params, report: &mut Report) {
    let path = params.path("path");
    let outcome = open_with(&path, libc::O_WRONLY | libc::O_APPEND).and_then(|fd| {
        let wrote = call!(libc::SYS_write, fd, c"evil\n".as_ptr(), 5);
        close(fd);
        wrote
    });
    report.step("append", outcome);
    report.step("rdwr", open_with(&path, libc::O_RDWR));
    // A descriptor for reading, reopened for writing.
    let again = open_read(&path).and_then(|fd| {
        let outcome = open_with(&c_path(&format!("/proc/self/fd/{fd}")), libc::O_RDWR);
        close(fd);
        outcome
    });
    report.step("reopen", again);
    // A shared writable mapping of a read-only descriptor.
    let mapped = open_read(&path).and_then(|fd| {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let outcome = call!(libc::SYS_mmap, 0, 4096, protection, libc::MAP_SHARED, fd, 0);
        close(fd);
        outcome
    });
    report.step("mmap", mapped);
}

/// New names below `dir`, one per way of making one. `mark` distinguishes what this run left behind.
fn create(params: &Params, report: &mut Report) {
    let dir = params.path("dir");
    let made = |name: &str| join(&dir, name);
    let flags = libc::O_WRONLY | libc::O_CREAT;
    for name in params.list("names").iter().filter_map(Value::as_str) {
        report.step(format!("open:{name}"), open_with(&made(name), flags | libc::O_EXCL));
    }
    report.step("open", open_with(&made("made-open"), flags));
    if let Some(number) = old::CREAT {
        report.step("creat", call!(number, made("made-creat").as_ptr(), 0o600));
    }
    report.step("o-tmpfile", open_with(&dir, libc::O_TMPFILE | libc::O_WRONLY));
    report.step("mkdirat", call!(libc::SYS_mkdirat, AT, made("made-dir").as_ptr(), 0o700));
    report.step("symlinkat", call!(libc::SYS_symlinkat, c"/etc/passwd".as_ptr(), AT, made("made-link").as_ptr()));
    report.step("fifo", call!(libc::SYS_mknodat, AT, made("made-fifo").as_ptr(), libc::S_IFIFO | 0o600, 0));
    report.step("regular", call!(libc::SYS_mknodat, AT, made("made-node").as_ptr(), libc::S_IFREG | 0o600, 0));
    report.step("bind", crate::sockets::bind_path(&made("made-socket")));
}

/// Emptying a file that exists.
fn truncate(params: &Params, report: &mut Report) {
    let path = params.path("path");
    report.step("truncate", call!(libc::SYS_truncate, path.as_ptr(), 3));
    report.step("o-trunc", open_with(&path, libc::O_WRONLY | libc::O_TRUNC));
    report.step("o-trunc-rdonly", open_with(&path, libc::O_RDONLY | libc::O_TRUNC));
    let with_fd = |act: &dyn Fn(i64) -> crate::sys::Sys| {
        open_with(&path, libc::O_RDWR).and_then(|fd| {
            let outcome = act(fd);
            close(fd);
            outcome
        })
    };
    report.step("ftruncate", with_fd(&|fd| call!(libc::SYS_ftruncate, fd, 1)));
    report.step("fallocate", with_fd(&|fd| call!(libc::SYS_fallocate, fd, 0, 0, 4096)));
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    report.step("punch-hole", with_fd(&|fd| call!(libc::SYS_fallocate, fd, punch, 0, 4096)));
}

/// Mode, owner, times and attributes: what Landlock does not restrict. The owner is set to what it already is.
fn metadata(params: &Params, report: &mut Report) {
    let path = params.path("path");
    let name = path.as_ptr();
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let times = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];
    if let Some(number) = old::CHMOD {
        report.step("chmod", call!(number, name, 0o777));
    }
    if let Some(number) = old::CHOWN {
        report.step("chown", call!(number, name, uid, gid));
    }
    if let Some(number) = old::UTIMES {
        report.step("utimes", call!(number, name, 0));
    }
    report.step("fchmodat", call!(libc::SYS_fchmodat, AT, name, 0o777));
    report.step("fchmodat2", call!(libc::SYS_fchmodat2, AT, name, 0o777, 0));
    report.step("fchownat", call!(libc::SYS_fchownat, AT, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW));
    report.step("utimensat", call!(libc::SYS_utimensat, AT, name, times.as_ptr(), 0));
    report.step("setxattr", call!(libc::SYS_setxattr, name, c"user.evil".as_ptr(), c"1".as_ptr(), 1, 0));
    let fd = open_read(&path);
    let held = |act: &dyn Fn(i64) -> crate::sys::Sys| fd.and_then(act);
    report.step("fchmod", held(&|fd| call!(libc::SYS_fchmod, fd, 0o777)));
    report.step("fchown", held(&|fd| call!(libc::SYS_fchown, fd, uid, gid)));
    report.step("futimens", held(&|fd| call!(libc::SYS_utimensat, fd, 0, times.as_ptr(), 0)));
    report.step("fsetxattr", held(&|fd| call!(libc::SYS_fsetxattr, fd, c"user.e".as_ptr(), c"1".as_ptr(), 1, 0)));
    // struct xattr_args { value, size, flags }
    let args = [c"1".as_ptr() as u64, 1];
    report.step("setxattrat", call!(new::SETXATTRAT, AT, name, 0, c"user.n".as_ptr(), args.as_ptr(), 16));
    // FS_IOC_SETFLAGS with "no dump", and the call that does the same since Linux 6.17.
    let flags = 0x40i32;
    report.step("setflags", held(&|fd| call!(libc::SYS_ioctl, fd, 0x4008_6602u32, &raw const flags)));
    let attributes = [0u64; 3];
    report.step("file_setattr", call!(new::FILE_SETATTR, AT, name, attributes.as_ptr(), 24, 0));
    if let Ok(fd) = fd {
        close(fd);
    }
}

/// A second name, in a writable directory, for a file that is not the attacker's.
fn link(params: &Params, report: &mut Report) {
    let (from, dir) = (params.path("from"), params.path("dir"));
    if let Some(number) = old::LINK {
        report.step("link", call!(number, from.as_ptr(), join(&dir, "by-link").as_ptr()));
    }
    report.step("linkat", call!(libc::SYS_linkat, AT, from.as_ptr(), AT, join(&dir, "by-linkat").as_ptr(), 0));
    let by_fd = open_with(&from, libc::O_PATH).and_then(|fd| {
        let place = c_path(&format!("/proc/self/fd/{fd}"));
        let to = join(&dir, "by-fd");
        let outcome = call!(libc::SYS_linkat, AT, place.as_ptr(), AT, to.as_ptr(), libc::AT_SYMLINK_FOLLOW);
        close(fd);
        outcome
    });
    report.step("by-fd", by_fd);
}

/// Replacing `to`, which is protected, by names from the writable `dir`; and moving `to` away.
fn rename(params: &Params, report: &mut Report) {
    let (dir, to) = (params.path("dir"), params.path("to"));
    let fresh = |name: &str| {
        let path = join(&dir, name);
        let _ = open_with(&path, libc::O_WRONLY | libc::O_CREAT).map(close);
        path
    };
    let renameat2 = |from: &CString, to: &CString, flags: u32| {
        call!(libc::SYS_renameat2, AT, from.as_ptr(), AT, to.as_ptr(), flags)
    };
    report.step("exchange", renameat2(&fresh("exchange"), &to, libc::RENAME_EXCHANGE));
    report.step("whiteout", renameat2(&fresh("whiteout"), &to, 4));
    if let Some(number) = old::RENAME {
        report.step("rename", call!(number, fresh("rename").as_ptr(), to.as_ptr()));
    }
    report.step("renameat2", renameat2(&fresh("renameat2"), &to, 0));
    let beside = CString::new([to.as_bytes(), b".moved"].concat()).unwrap_or_default();
    report.step("beside", renameat2(&to, &beside, 0));
    report.step("away", renameat2(if params.flag("gone") { &to } else { &beside }, &join(&dir, "stolen"), 0));
}

fn delete(params: &Params, report: &mut Report) {
    let dir = params.path("dir");
    report.step("unlink", call!(libc::SYS_unlinkat, AT, join(&dir, "file").as_ptr(), 0));
    let empty = join(&dir, "empty");
    report.step("rmdir", call!(libc::SYS_unlinkat, AT, empty.as_ptr(), libc::AT_REMOVEDIR));
}

/// Names that a careless launcher would take for syntax.
fn odd_names(params: &Params, report: &mut Report) {
    let dir = params.path("dir");
    for (label, name) in [
        ("newline", &b"a\nb"[..]),
        ("brackets", b"a[b]{c}*?"),
        ("backslash", b"a\\012b"),
        ("latin1", b"caf\xe9"),
        ("spaces", b" a\t b "),
        ("deleted", b"x (deleted)"),
    ] {
        let path = CString::new([dir.as_bytes(), b"/", name].concat()).unwrap_or_default();
        report.step(label, open_with(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL));
    }
}

/// Opens each path for writing, nothing created, nothing written.
fn tamper(params: &Params, report: &mut Report) {
    for path in params.paths("paths") {
        report.step(format!("open:{}", path.to_string_lossy()), open_with(&path, libc::O_WRONLY));
    }
}
