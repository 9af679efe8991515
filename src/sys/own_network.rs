//! For tests: a body that runs in user and network namespaces of its own, with every capability there.

use super::check_unit;
use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set in the process that runs the body.
const INSIDE: &str = "MCPJAIL_TEST_OWN_NETWORK";

/// Runs the test named `name` (its whole path) again, as a process that has its own namespaces, and its body there.
///
/// A user namespace needs a process with one thread, which no test has.
pub(crate) fn in_own_network(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let (uid, gid) = super::process::user();
    let maps = [("setgroups", "deny".into()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--test-threads=1"]).env(INSIDE, "1");
    let prepare = move || -> io::Result<()> {
        // SAFETY: this is the forked child, which has one thread.
        check_unit(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) }.into())?;
        for (file, text) in &maps {
            std::fs::File::create(format!("/proc/self/{file}"))?.write_all(text.as_bytes())?;
        }
        Ok(())
    };
    // SAFETY: the C library keeps its allocator usable in a forked child, and no other lock is taken.
    unsafe { command.pre_exec(prepare) };
    let output = command.output().expect("these tests need user namespaces");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Leaves the mount namespace for a private one. For a body of [`in_own_network`].
pub(crate) fn own_mounts() {
    super::process::unshare(libc::CLONE_NEWNS).unwrap();
    super::mount::make_all_private().unwrap();
}

/// Puts a file with this text in the place of another, symlinks to it followed. After [`own_mounts`]. What is given back is
/// to be held until the end of the test.
pub(crate) fn cover(path: &CStr, text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let source = CString::new(file.path().as_os_str().as_bytes()).unwrap();
    let open = |path: &CStr| super::fd::open_at(None, path, libc::O_PATH, 0).unwrap();
    let tree = super::mount::clone_tree(open(&source).as_fd()).unwrap();
    super::mount::attach_on(tree.as_fd(), open(path).as_fd()).unwrap();
    file
}

/// Whether the dynamic loader loads a library of this name.
#[cfg(target_env = "gnu")]
pub(crate) fn load(name: &CStr) -> bool {
    // SAFETY: `name` is a C string, and libraries of the C library run nothing of note when they are loaded.
    !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) }.is_null()
}

/// Every descriptor that is open now, but the standard ones.
pub(crate) fn open_now() -> Vec<BorrowedFd<'static>> {
    let open = super::attempt::open_descriptors().unwrap().into_iter().filter(|number| *number > 2);
    // SAFETY: they were open a moment ago, and the caller looks at their numbers only.
    open.map(|number| unsafe { BorrowedFd::borrow_raw(number) }).collect()
}
