//! Starting this binary again, as stage 2 or as the processes of egress: one clone, into fresh namespaces where they are
//! asked for, that shares memory only until the exec.
//!
//! The child runs on a stack of its own while the parent is suspended (`CLONE_VM | CLONE_VFORK`), so nothing is copied
//! and the child may only make system calls: it maps its ids, keeps the capabilities that building the jail needs, puts
//! the descriptors in place and executes. What fails is told through the shared memory. Source: clone(2),
//! user_namespaces(7), capabilities(7).

use super::fd::own;
use super::{caps, check_unit};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What the new process is started with.
pub struct Start<'a> {
    /// `CLONE_NEW*` flags; without `CLONE_NEWUSER` no ids are mapped and no capabilities raised.
    pub namespaces: libc::c_int,
    /// Placed at 0, 1, 2, …; each must have a number above the count of them.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// Arguments, `argv[0]` first.
    pub arguments: &'a [&'a CStr],
    /// The whole environment, `NAME=value` each.
    pub environment: &'a [&'a CStr],
    /// Contents of `uid_map` and `gid_map`.
    pub id_maps: [&'a [u8]; 2],
    /// Capabilities that it has in its new user namespace.
    pub capabilities: &'a [u32],
    /// The same, where they are to be had.
    pub wishes: &'a [u32],
}

/// The step at which the child gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// clone(2) itself: the namespaces.
    Clone,
    /// Writing `setgroups`, `uid_map` or `gid_map`.
    IdMap,
    /// Keeping capabilities over the exec.
    Capabilities,
    /// Placing descriptors.
    Descriptors,
    /// Executing this binary again.
    Exec,
}

struct Shared<'a> {
    start: &'a Start<'a>,
    argv: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    failed: Option<(Step, i32)>,
}

const STACK: usize = 64 * 1024;

/// Starts this binary again as the plan says. Returns its pid and a pidfd once the exec has happened.
///
/// # Errors
/// The step that failed with its errno. Nothing is left running then.
pub fn start(start: &Start<'_>) -> Result<(i32, OwnedFd), (Step, io::Error)> {
    let pointers = |strings: &[&CStr]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (argv, environment) = (pointers(start.arguments), pointers(start.environment));
    let mut shared = Shared { start, argv, environment, failed: None };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: RawFd = -1;
    let flags = start.namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: one past the end of the allocation, which is aligned to 16 bytes as a stack must be.
    let top = unsafe { stack.as_mut_ptr().add(stack.len()) };
    // SAFETY: the parent stays suspended until the child has executed or exited (CLONE_VFORK), so `shared`, the stack
    // and `pidfd` outlive the child's use of them and nobody touches them meanwhile; `child` makes system calls only.
    let pid = unsafe { libc::clone(child, top.cast(), flags, (&raw mut shared).cast(), &raw mut pidfd) };
    if pid < 0 {
        return Err((Step::Clone, io::Error::last_os_error()));
    }
    let pidfd = own(pidfd.into()).map_err(|error| (Step::Clone, error))?;
    if let Some((step, errno)) = shared.failed {
        // SAFETY: waits for the child that this function made; a null status is allowed.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        return Err((step, io::Error::from_raw_os_error(errno)));
    }
    Ok((pid, pidfd))
}

extern "C" fn child(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes its `Shared`, which outlives this function (see there).
    let shared = unsafe { &mut *argument.cast::<Shared<'_>>() };
    let (step, error) = match prepare(shared.start) {
        Ok(()) => (Step::Exec, execute(&shared.argv, &shared.environment)),
        Err(failed) => failed,
    };
    shared.failed = Some((step, error.raw_os_error().unwrap_or(libc::EIO)));
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Runs in the child: system calls only, no allocation (an `io::Error` of an errno does not allocate).
fn prepare(start: &Start<'_>) -> Result<(), (Step, io::Error)> {
    if start.namespaces & libc::CLONE_NEWUSER != 0 {
        let [uid_map, gid_map] = start.id_maps;
        for (file, text) in [
            (c"/proc/self/setgroups", &b"deny"[..]),
            (c"/proc/self/uid_map", uid_map),
            (c"/proc/self/gid_map", gid_map),
        ] {
            write(file, text).map_err(|error| (Step::IdMap, error))?;
        }
        let all = caps::sets().and_then(|sets| caps::set_all(sets.permitted));
        all.map_err(|error| (Step::Capabilities, error))?;
        for &capability in start.capabilities {
            caps::raise_ambient(capability).map_err(|error| (Step::Capabilities, error))?;
        }
        for &capability in start.wishes {
            let _absent = caps::raise_ambient(capability);
        }
    }
    for (number, fd) in (0..).zip(start.descriptors) {
        // SAFETY: the sources have higher numbers, so no source is overwritten; the table is the child's own.
        check_unit(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map_err(|error| (Step::Descriptors, error))?;
    }
    Ok(())
}

fn write(file: &CStr, text: &[u8]) -> io::Result<()> {
    let fd = super::fd::open_at(None, file, libc::O_WRONLY, 0)?;
    // SAFETY: `text` is readable for its length.
    let written = unsafe { libc::write(fd.as_raw_fd(), text.as_ptr().cast(), text.len()) };
    if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn execute(argv: &[*const libc::c_char], environment: &[*const libc::c_char]) -> io::Error {
    // SAFETY: both arrays end in a null pointer and hold C strings that outlive the call.
    unsafe { libc::execve(c"/proc/self/exe".as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}
