//! Breaks one confinement call of the program it starts: an outer seccomp filter answers that call with an error, or
//! with a success that did nothing. The attack suite starts mcpjail by it and expects a refusal that names the layer.
//!
//! ```text
//! sabotage CALL=ERRNO … -- COMMAND ARGS…   ERRNO 0 is the fake success
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
    reason = "a test program, not the product"
)]

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

/// `if number and arguments match { return ERRNO | errno }`, one after the other, then allow.
fn program(breaks: &[(i64, Which, u32)]) -> Vec<libc::sock_filter> {
    let mut program = Vec::new();
    for (number, which, errno) in breaks {
        let answer = ins(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno);
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

fn install(breaks: &[(i64, Which, u32)]) -> std::io::Result<()> {
    let mut filter = program(breaks);
    let filter = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let install = || unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const filter) };
    // With CAP_SYS_ADMIN, no_new_privs stays unset: only then can the suite break that layer too.
    if install() == 0 {
        return Ok(());
    }
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if install() == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut breaks = Vec::new();
    for spec in args.by_ref() {
        let spec = spec.to_string_lossy().into_owned();
        match spec.split_once('=') {
            _ if spec == "--" => break,
            _ if spec == "fds" => (0..100).for_each(|_| {
                unsafe { libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY) };
            }),
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
    if let Err(error) = install(&breaks) {
        eprintln!("sabotage: no filter: {error}");
        std::process::exit(125);
    }
    eprintln!("sabotage: {}", command.exec());
    std::process::exit(126);
}
