//! For tests: a body that runs in user and network namespaces of its own, with every capability there.

use super::check_unit;
use std::io::{self, Write};
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
