//! Breaks one confinement call of the program it starts: an outer seccomp filter answers that call with an error, or
//! with a success that did nothing. The attack suite starts mcpjail by it and expects a refusal that names the layer.
//!
//! ```text
//! sabotage CALL=ERRNO … -- COMMAND ARGS…   ERRNO 0 is the fake success
//! sabotage in=NAME … -- COMMAND ARGS…      only in processes that have this name at the time (/proc/PID/comm)
//! sabotage fds -- COMMAND ARGS…            100 open descriptors without close-on-exec
//! ```
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "a filter is installed by raw system calls"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    clippy::exit,
    clippy::indexing_slicing,
    reason = "a test program, not the product"
)]

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;

/// Which calls of this number: those whose argument at this index has this value under this mask.
#[derive(Clone, Copy)]
enum Which {
    All,
    /// Index, mask of the low 32 bits, value after masking.
    Argument(u8, u32, u32),
    /// A pointer that is not null.
    Given(u8),
}

/// The calls by the names that the suite uses.
const CALLS: &[(&str, i64, Which)] = &[
    ("landlock-create", libc::SYS_landlock_create_ruleset, Which::All),
    ("landlock-rule", libc::SYS_landlock_add_rule, Which::All),
    ("landlock-restrict", libc::SYS_landlock_restrict_self, Which::All),
    ("seccomp-filter", libc::SYS_seccomp, Which::Argument(0, u32::MAX, 1)),
    ("seccomp-filter", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_SET_SECCOMP as u32)),
    ("no-new-privs", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_SET_NO_NEW_PRIVS as u32)),
    ("capset", libc::SYS_capset, Which::All),
    ("bounding", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_CAPBSET_DROP as u32)),
    ("securebits", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_SET_SECUREBITS as u32)),
    ("ambient", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_CAP_AMBIENT as u32)),
    ("dumpable", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_SET_DUMPABLE as u32)),
    ("parent-death", libc::SYS_prctl, Which::Argument(0, u32::MAX, libc::PR_SET_PDEATHSIG as u32)),
    ("mount", libc::SYS_mount, Which::All),
    ("mount-remount", libc::SYS_mount, Which::Argument(3, libc::MS_REMOUNT as u32, libc::MS_REMOUNT as u32)),
    ("mount-private", libc::SYS_mount, Which::Argument(3, libc::MS_PRIVATE as u32, libc::MS_PRIVATE as u32)),
    ("mount-setattr", libc::SYS_mount_setattr, Which::All),
    ("move-mount", libc::SYS_move_mount, Which::All),
    ("open-tree", libc::SYS_open_tree, Which::All),
    ("fsopen", libc::SYS_fsopen, Which::All),
    ("fsmount", libc::SYS_fsmount, Which::All),
    ("pivot-root", libc::SYS_pivot_root, Which::All),
    ("umount", libc::SYS_umount2, Which::All),
    ("limits", libc::SYS_prlimit64, Which::Given(2)),
    ("limits", libc::SYS_setrlimit, Which::All),
    ("close-range", libc::SYS_close_range, Which::All),
    ("setsid", libc::SYS_setsid, Which::All),
    ("sethostname", libc::SYS_sethostname, Which::All),
    ("bind", libc::SYS_bind, Which::All),
    ("listen", libc::SYS_listen, Which::All),
    ("sendto", libc::SYS_sendto, Which::All),
    ("sendmsg", libc::SYS_sendmsg, Which::All),
    ("clone3", libc::SYS_clone3, Which::All),
    ("unshare", libc::SYS_unshare, Which::All),
    ("clone-namespaces", libc::SYS_clone, Which::Argument(0, libc::CLONE_NEWUSER as u32, libc::CLONE_NEWUSER as u32)),
];

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

fn ins(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// A call to break: its number, which of them, and the errno.
type Break = (i64, Which, u32);

/// `if number and arguments match { return ERRNO | errno }`, one after the other, then allow. With `ask`, this process is
/// asked in the place of the errno.
fn program(breaks: &[Break], ask: bool) -> Vec<libc::sock_filter> {
    let mut program = Vec::new();
    for (number, which, errno) in breaks {
        let action = if ask { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ERRNO | errno };
        let answer = ins(RETURN, 0, 0, action);
        // `struct seccomp_data`: number at 0, arguments from 16, eight bytes each, low half first.
        let argument = |index: u8| ins(LOAD, 0, 0, 16 + 8 * u32::from(index));
        let tail = match which {
            Which::All => vec![answer],
            Which::Argument(index, mask, value) => {
                vec![argument(*index), ins(AND, 0, 0, *mask), ins(IF_EQUAL, 0, 1, *value), answer]
            }
            Which::Given(index) => vec![argument(*index), ins(IF_EQUAL, 1, 0, 0), answer],
        };
        program.push(ins(LOAD, 0, 0, 0));
        program.push(ins(IF_EQUAL, 0, tail.len() as u8, *number as u32));
        program.extend(tail);
    }
    program.push(ins(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program
}

/// Gives the descriptor on which this process is asked, where it asked to be.
fn install(breaks: &[Break], ask: bool) -> std::io::Result<i64> {
    let mut filter = program(breaks, ask);
    let filter = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let flags = if ask { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    let install = || unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, &raw const filter) };
    // With CAP_SYS_ADMIN, no_new_privs stays unset: only then can the suite break that layer too.
    let installed = install();
    if installed >= 0 {
        return Ok(installed);
    }
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    match install() {
        installed @ 0.. => Ok(installed),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `struct seccomp_notif` and `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Default)]
struct Asked {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    pointer: u64,
    arguments: [u64; 6],
}
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Answers what the processes below ask, until the command ends; exits as it did.
fn serve(listener: i32, child: i32, name: &str, breaks: &[Break]) -> ! {
    const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
    const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
    const GO_ON: u32 = 1;
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as i32;
    loop {
        let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut set = [watch(listener), watch(pidfd)];
        unsafe { libc::poll(set.as_mut_ptr(), 2, -1) };
        if set[0].revents & libc::POLLIN != 0 {
            let mut asked = Asked::default();
            if unsafe { libc::ioctl(listener, RECEIVE, &raw mut asked) } < 0 {
                continue; // it has died meanwhile
            }
            let is_meant =
                std::fs::read_to_string(format!("/proc/{}/comm", asked.pid)).is_ok_and(|comm| comm.trim() == name);
            let found = breaks.iter().find(|(number, which, _)| {
                let low = |index: u8| asked.arguments[usize::from(index)] as u32;
                i64::from(asked.number) == *number
                    && match *which {
                        Which::All => true,
                        Which::Argument(index, mask, value) => low(index) & mask == value,
                        Which::Given(index) => asked.arguments[usize::from(index)] != 0,
                    }
            });
            let answer = match found {
                Some((_, _, errno)) if is_meant => Answer { id: asked.id, value: 0, error: -(*errno as i32), flags: 0 },
                _ => Answer { id: asked.id, value: 0, error: 0, flags: GO_ON },
            };
            unsafe { libc::ioctl(listener, SEND, &raw const answer) };
        } else if set[1].revents != 0 {
            let mut status = 0;
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            std::process::exit(if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            });
        }
    }
}

/// Forks: the child, under the filter, goes on to execute; the parent answers and never returns.
fn beside(name: &str, breaks: &[Break]) -> std::io::Result<()> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (ours, theirs) = (ours.as_raw_fd(), theirs.as_raw_fd());
    let parent = unsafe { libc::getpid() };
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        if unsafe { libc::getppid() } != parent {
            std::process::exit(125);
        }
        let listener = install(breaks, true)?;
        // the parent takes it by its number; it says when it has, so that the number stays what it is
        let mut number = (listener as i32).to_ne_bytes();
        unsafe { libc::write(theirs, number.as_ptr().cast(), 4) };
        unsafe { libc::read(theirs, number.as_mut_ptr().cast(), 4) };
        unsafe { libc::close(listener as i32) };
        return Ok(());
    }
    let mut number = [0; 4];
    if unsafe { libc::read(ours, number.as_mut_ptr().cast(), 4) } != 4 {
        std::process::exit(125);
    }
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    let listener = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, i32::from_ne_bytes(number), 0) };
    if listener < 0 {
        eprintln!("sabotage: no listener: {}", std::io::Error::last_os_error());
        unsafe { libc::kill(child, libc::SIGKILL) };
        std::process::exit(125);
    }
    unsafe { libc::write(ours, number.as_ptr().cast(), 4) };
    // what is said on these is between the command and who started it
    (0..2).for_each(|fd| {
        unsafe { libc::close(fd) };
    });
    serve(listener as i32, child, name, breaks)
}

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut breaks = Vec::new();
    let mut only = None;
    for spec in args.by_ref() {
        let spec = spec.to_string_lossy().into_owned();
        match spec.split_once('=') {
            _ if spec == "--" => break,
            _ if spec == "fds" => (0..100).for_each(|_| {
                unsafe { libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY) };
            }),
            Some(("in", name)) => only = Some(name.to_owned()),
            Some((name, errno)) => {
                let before = breaks.len();
                let errno = errno.parse().unwrap_or(0);
                let known = CALLS.iter().filter(|call| call.0 == name);
                breaks.extend(known.map(|(_, number, which)| (*number, *which, errno)));
                if breaks.len() == before {
                    eprintln!("sabotage: no call `{name}`");
                    std::process::exit(125);
                }
            }
            None => {
                eprintln!("sabotage: no such thing as `{spec}`");
                std::process::exit(125);
            }
        }
    }
    let Some(command) = args.next() else { std::process::exit(125) };
    let mut command = std::process::Command::new(command);
    command.args(args);
    let installed = match &only {
        Some(name) => beside(name, &breaks),
        None => install(&breaks, false).map(drop),
    };
    if let Err(error) = installed {
        eprintln!("sabotage: no filter: {error}");
        std::process::exit(125);
    }
    eprintln!("sabotage: {}", command.exec());
    std::process::exit(126);
}
