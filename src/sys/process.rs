//! The calling process: attributes, limits, children, exec.

use super::{check, check_unit, int};
use std::ffi::{CStr, CString};
use std::io;

/// A process attribute set by prctl(2) with one integer.
fn set(option: i32, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used in this file take one integer and change this process only.
    check_unit(unsafe { libc::prctl(option, value, 0, 0, 0) }.into())
}

/// Asks for `signal` when the thread that started this process ends.
///
/// # Errors
/// As prctl(2), `PR_SET_PDEATHSIG`.
pub fn die_with_parent(signal: i32) -> io::Result<()> {
    set(libc::PR_SET_PDEATHSIG, signal.unsigned_abs().into())
}

/// The signal of [`die_with_parent`]; 0 for none.
///
/// # Errors
/// As prctl(2), `PR_GET_PDEATHSIG`.
pub fn parent_death_signal() -> io::Result<i32> {
    let mut signal: libc::c_int = 0;
    // SAFETY: `signal` is room for the answer.
    check_unit(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal, 0, 0, 0) }.into())?;
    Ok(signal)
}

/// No core dump, no ptrace by the same user, `/proc/PID` owned by root.
///
/// # Errors
/// As prctl(2), `PR_SET_DUMPABLE`.
pub fn set_undumpable() -> io::Result<()> {
    set(libc::PR_SET_DUMPABLE, 0)
}

/// Whether [`set_undumpable`] holds.
///
/// # Errors
/// As prctl(2), `PR_GET_DUMPABLE`.
pub fn is_undumpable() -> io::Result<bool> {
    // SAFETY: reads an attribute of this process.
    Ok(check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }.into())? != 1)
}

/// No exec gains a privilege from here on.
///
/// # Errors
/// As prctl(2), `PR_SET_NO_NEW_PRIVS`.
pub fn set_no_new_privs() -> io::Result<()> {
    set(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Orphans among the descendants become children of this process.
///
/// # Errors
/// As prctl(2), `PR_SET_CHILD_SUBREAPER`.
pub fn adopt_orphans() -> io::Result<()> {
    set(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// The name in `/proc/PID/comm`, at most 15 bytes of it.
///
/// # Errors
/// As prctl(2), `PR_SET_NAME`.
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a C string that outlives the call; the kernel reads at most 16 bytes of it.
    check_unit(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }.into())
}

/// A new session without a controlling terminal.
///
/// # Errors
/// As setsid(2).
pub fn new_session() -> io::Result<()> {
    // SAFETY: takes nothing, touches no memory.
    check_unit(unsafe { libc::setsid() }.into())
}

/// The host name of this UTS namespace.
///
/// # Errors
/// As sethostname(2).
pub fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: `name` is readable for its length.
    check_unit(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into())
}

/// Leaves the namespaces named by `CLONE_NEW*` flags for fresh ones.
///
/// # Errors
/// As unshare(2).
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: namespaces other than those of memory and threads do not touch this process's memory.
    check_unit(unsafe { libc::unshare(flags) }.into())
}

/// Sets soft and hard limit of a resource.
///
/// # Errors
/// As setrlimit(2).
pub fn limit(resource: u32, value: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: value, rlim_max: value };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: `limit` lives through the call; no old value is asked for.
    check_unit(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, none) })
}

/// Hard limit of a resource as it is now.
///
/// # Errors
/// As getrlimit(2).
pub fn hard_limit(resource: u32) -> io::Result<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: `limit` is room for the answer.
    check_unit(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, none, &raw mut limit) })?;
    Ok(limit.rlim_max)
}

/// The number of descriptors that a process may have, as a resource (`RLIMIT_NOFILE`); its type differs between C libraries.
pub const OPEN_FILES: u32 = 7;

/// Soft limit of a resource as it is now: what this process may have.
///
/// # Errors
/// As getrlimit(2).
pub fn soft_limit(resource: u32) -> io::Result<u64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: `limit` is room for the answer.
    check_unit(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, none, &raw mut limit) })?;
    Ok(limit.rlim_cur)
}

/// Sets the working directory.
///
/// # Errors
/// As chdir(2).
pub fn change_directory(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    check_unit(unsafe { libc::chdir(path.as_ptr()) }.into())
}

/// Which side of a [`fork`] this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the child's pid.
    Parent(i32),
}

/// Forks. The calling process must have one thread only.
///
/// # Errors
/// As fork(2).
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the caller has a single thread, as it must, so no lock can be held by a thread that the child lacks.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(int(pid)?)),
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By exit(2) with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// Reaps one child that has ended, without waiting: `None` when there is none.
///
/// # Errors
/// As waitpid(2); `ECHILD` when there are no children at all.
pub fn reap() -> io::Result<Option<(i32, Ended)>> {
    let mut status = 0;
    // SAFETY: `status` is room for the answer.
    let pid = int(check(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) }.into())?)?;
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some((pid, ended(status))))
}

/// Waits until a child has ended, and reaps it.
///
/// # Errors
/// As waitpid(2).
pub fn wait_for(pid: i32) -> io::Result<Ended> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is room for the answer.
        match check(unsafe { libc::waitpid(pid, &raw mut status, 0) }.into()) {
            Ok(_) => return Ok(ended(status)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn ended(status: libc::c_int) -> Ended {
    if libc::WIFEXITED(status) {
        Ended::Exited(libc::WEXITSTATUS(status))
    } else {
        Ended::Signaled(libc::WTERMSIG(status))
    }
}

/// Sends a signal.
///
/// # Errors
/// As kill(2).
pub fn signal(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    check_unit(unsafe { libc::kill(pid, signal) }.into())
}

/// The kernel's version: the first two numbers of its release. `None` where it does not begin with them.
#[must_use]
pub fn release() -> Option<(u32, u32)> {
    // SAFETY: all-zero is a valid `utsname`: it holds characters only.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is room for the answer.
    check_unit(unsafe { libc::uname(&raw mut name) }.into()).ok()?;
    let text: Vec<u8> = name.release.iter().take_while(|c| **c != 0).map(|c| c.to_ne_bytes()[0]).collect();
    version(std::str::from_utf8(&text).ok()?)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// This process's id.
#[must_use]
pub fn id() -> i32 {
    // SAFETY: cannot fail, touches no memory.
    unsafe { libc::getpid() }
}

/// The id of the process that started this one, or of who adopted it.
#[must_use]
pub fn parent() -> i32 {
    // SAFETY: cannot fail, touches no memory.
    unsafe { libc::getppid() }
}

/// Real user and group id.
#[must_use]
pub fn user() -> (u32, u32) {
    // SAFETY: cannot fail, touches no memory.
    let uid = unsafe { libc::getuid() };
    // SAFETY: cannot fail, touches no memory.
    let gid = unsafe { libc::getgid() };
    (uid, gid)
}

/// Executes a program in place of this one; returns only when that failed.
#[must_use]
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end in a null pointer and hold C strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once: no destructors, no buffers flushed.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.15-rc1"), Some((5, 15)));
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!((version("6"), version(""), version("x6.14")), (None, None, None));
        assert!(release().is_some_and(|release| release >= (5, 13)));
    }
}
