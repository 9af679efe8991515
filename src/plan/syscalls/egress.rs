//! What the two processes of egress may call. Everything else is answered with `ENOSYS`.
//!
//! The *proxy* reads what strangers on both sides write: it moves bytes between descriptors that it was given, and makes,
//! opens, binds, connects and signals nothing. The *broker* runs the machine's resolver, which reads files, loads modules,
//! starts threads and asks over sockets of several families; and it connects, where Landlock says to which ports.

use super::{Answer, Call, Case, EACCES, EAFNOSUPPORT, EPERM, Policy, Rule, case, equals, masked, rule};

/// Memory, time, locks, waiting, and reading and writing what is open.
const COMMON: &[Call] = calls![SYS_brk SYS_capget SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_exit SYS_exit_group SYS_futex SYS_getpeername SYS_getpid
    SYS_getppid SYS_getrandom SYS_getsockname SYS_gettid SYS_gettimeofday SYS_madvise SYS_mremap SYS_munmap SYS_nanosleep
    SYS_pipe2 SYS_ppoll SYS_read SYS_readv SYS_recvfrom SYS_recvmsg SYS_restart_syscall SYS_rt_sigaction SYS_rt_sigprocmask
    SYS_rt_sigreturn SYS_sched_yield SYS_shutdown SYS_sigaltstack SYS_write SYS_writev];
#[cfg(target_arch = "x86_64")]
const COMMON_HERE: &[Call] = calls![SYS_epoll_wait SYS_poll SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const COMMON_HERE: &[Call] = &[];

/// Connections: taken, and bytes between two of them.
const PROXY: &[Call] = calls![SYS_accept4 SYS_splice SYS_timerfd_create SYS_timerfd_settime];

/// What resolvers do, and the end of the proxy.
const BROKER: &[Call] = calls![SYS_bind SYS_connect SYS_dup SYS_faccessat SYS_faccessat2 SYS_fstat SYS_fstatfs SYS_getcwd
    SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getsockopt SYS_getuid SYS_lseek SYS_membarrier
    SYS_newfstatat SYS_pread64 SYS_pselect6 SYS_readlinkat SYS_recvmmsg SYS_rseq SYS_sched_getaffinity SYS_set_robust_list
    SYS_set_tid_address SYS_statfs SYS_statx SYS_sysinfo SYS_uname SYS_wait4 SYS_waitid];
#[cfg(target_arch = "x86_64")]
const BROKER_HERE: &[Call] = calls![SYS_access SYS_getdents SYS_lstat SYS_readlink SYS_select SYS_stat];
#[cfg(not(target_arch = "x86_64"))]
const BROKER_HERE: &[Call] = &[];

/// A second argument's group of options, and the option.
type Choice = (u32, u32);

// socket options, level and name: asm-generic/socket.h, linux/tcp.h
const SOCKET: u32 = 1;
const TCP: u32 = 6;
/// SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_LINGER; TCP_NODELAY, _CORK, _KEEPIDLE, _KEEPINTVL, _KEEPCNT, _QUICKACK,
/// _USER_TIMEOUT, _NOTSENT_LOWAT.
const PROXY_SETS: &[Choice] = &[
    (SOCKET, 7),
    (SOCKET, 8),
    (SOCKET, 9),
    (SOCKET, 10),
    (SOCKET, 13),
    (TCP, 1),
    (TCP, 3),
    (TCP, 4),
    (TCP, 5),
    (TCP, 6),
    (TCP, 12),
    (TCP, 18),
    (TCP, 25),
];
/// SO_ERROR, TCP_INFO.
const PROXY_GETS: &[Choice] = &[(SOCKET, 4), (TCP, 11)];
/// SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF and _EBPF: programs for the kernel. TCP_FASTOPEN and
/// TCP_FASTOPEN_CONNECT, by which a connection is made that Landlock does not see; TCP_ULP.
const BROKER_NEVER_SETS: &[Choice] =
    &[(SOCKET, 26), (SOCKET, 50), (SOCKET, 51), (SOCKET, 52), (TCP, 23), (TCP, 30), (TCP, 31)];

impl Policy {
    /// What the proxy keeps.
    #[must_use]
    pub fn proxy() -> Policy {
        let mut rules = allowed(&[COMMON, COMMON_HERE, PROXY]);
        rules.extend(common_checks());
        rules.extend([
            (libc::SYS_setsockopt, one_of(PROXY_SETS)),
            (libc::SYS_getsockopt, one_of(PROXY_GETS)),
            // nothing becomes code
            (libc::SYS_mmap, rule(&[case(&[masked(2, EXECUTABLE, EXECUTABLE)], EPERM)], Answer::Allow)),
            (libc::SYS_mprotect, rule(&[case(&[masked(2, EXECUTABLE, EXECUTABLE)], EPERM)], Answer::Allow)),
        ]);
        Policy::last_of_each(rules)
    }

    /// What the broker keeps.
    #[must_use]
    pub fn broker() -> Policy {
        let mut rules = allowed(&[COMMON, COMMON_HERE, BROKER, BROKER_HERE]);
        rules.extend(common_checks());
        let never = |choices: &[Choice]| -> Vec<Case> { choices.iter().map(|choice| chosen(*choice, EPERM)).collect() };
        let read_only = |flags: u8| {
            // O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
            let writing = [0x1, 0x2, 0x40, 0x200].map(|flag| case(&[masked(flags, flag, flag)], EACCES));
            rule(&writing, Answer::Allow)
        };
        // FIONREAD; SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFINDEX
        let questions =
            [0x541b, 0x8910, 0x8912, 0x8913, 0x8933].map(|command| case(&[equals(1, command)], Answer::Allow));
        rules.extend([
            (libc::SYS_openat, read_only(2)),
            (libc::SYS_socket, rule(&resolvers_sockets(), EAFNOSUPPORT)),
            (libc::SYS_setsockopt, rule(&never(BROKER_NEVER_SETS), Answer::Allow)),
            (libc::SYS_sendmmsg, no_fast_open(3)),
            (libc::SYS_ioctl, rule(&questions, EPERM)),
            // modules are loaded, and nothing that was written becomes code
            (
                libc::SYS_mmap,
                rule(&[case(&[masked(2, WRITABLE | EXECUTABLE, WRITABLE | EXECUTABLE)], EPERM)], Answer::Allow),
            ),
            (
                libc::SYS_mprotect,
                rule(&[case(&[masked(2, WRITABLE | EXECUTABLE, WRITABLE | EXECUTABLE)], EPERM)], Answer::Allow),
            ),
            // threads, no processes
            (libc::SYS_clone, rule(&[case(&[masked(0, THREAD | NAMESPACES, THREAD)], Answer::Allow)], EPERM)),
        ]);
        #[cfg(target_arch = "x86_64")]
        rules.extend([(libc::SYS_open, read_only(1)), (libc::SYS_getrlimit, Rule::from(Answer::Allow))]);
        Policy::last_of_each(rules)
    }
}

const WRITABLE: u32 = 2;
const EXECUTABLE: u32 = 4;
const THREAD: u32 = 0x0001_0000;
/// Every namespace flag of clone(2): mount, cgroup, uts, ipc, user, pid, net.
const NAMESPACES: u32 = 0x7e02_0000;

fn allowed(groups: &[&[Call]]) -> Vec<(i64, Rule)> {
    groups.iter().copied().flatten().map(|call| (call.1, Rule::from(Answer::Allow))).collect()
}

fn chosen((level, name): Choice, answer: Answer) -> Case {
    case(&[equals(1, level), equals(2, name)], answer)
}

fn one_of(choices: &[Choice]) -> Rule {
    let cases: Vec<Case> = choices.iter().map(|choice| chosen(*choice, Answer::Allow)).collect();
    rule(&cases, EPERM)
}

/// MSG_FASTOPEN connects without the question whether it may, and so where neither a filter nor Landlock looks.
fn no_fast_open(flags: u8) -> Rule {
    const FAST_OPEN: u32 = 0x2000_0000;
    rule(&[case(&[masked(flags, FAST_OPEN, FAST_OPEN)], EPERM)], Answer::Allow)
}

fn common_checks() -> [(i64, Rule); 5] {
    // F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ: not F_SETOWN and F_SETSIG,
    // by which the kernel sends any signal to any process of this user
    let descriptors = [0, 1, 2, 3, 4, 1030, 1031, 1032].map(|command| case(&[equals(1, command)], Answer::Allow));
    // PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_NAME, PR_CAPBSET_READ, PR_GET_SECUREBITS, PR_GET_NO_NEW_PRIVS: what the
    // proof reads, and the names of threads
    let attributes = [2, 3, 15, 23, 27, 39].map(|option| case(&[equals(0, option)], Answer::Allow));
    [
        (libc::SYS_fcntl, rule(&descriptors, EPERM)),
        (libc::SYS_prctl, rule(&attributes, EPERM)),
        // what its own limits are
        (libc::SYS_prlimit64, rule(&[case(&[equals(0, 0), equals(2, 0)], Answer::Allow)], EPERM)),
        (libc::SYS_sendto, no_fast_open(3)),
        (libc::SYS_sendmsg, no_fast_open(2)),
    ]
}

/// TCP and UDP, to name servers and to what is granted; streams to the resolvers' daemons; the kernel's lists of interfaces
/// and addresses.
fn resolvers_sockets() -> Vec<Case> {
    const TYPE: u32 = 0xf; // without SOCK_CLOEXEC and SOCK_NONBLOCK
    let [unix, inet, inet6, netlink] = [1, 2, 10, 16];
    let [stream, datagram, raw] = [1, 2, 3];
    let made = |family: u32, kind: u32, protocol: u32| {
        case(&[equals(0, family), masked(1, TYPE, kind), equals(2, protocol)], Answer::Allow)
    };
    let internet = |family: u32| {
        [made(family, stream, 0), made(family, stream, 6), made(family, datagram, 0), made(family, datagram, 17)]
    };
    let others = [made(unix, stream, 0), made(netlink, raw, 0), made(netlink, datagram, 0)];
    [internet(inet), internet(inet6)].concat().into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOSYS: Answer = Answer::Errno(38);

    fn answer(policy: &Policy, number: i64, arguments: &[u32]) -> Answer {
        let Some((_, rule)) = policy.rules().find(|(n, _)| *n == number) else { return ENOSYS };
        let holds = |c: &super::super::Condition| {
            arguments.get(usize::from(c.argument)).copied().unwrap_or(0) & c.mask == c.value
        };
        rule.cases.iter().find(|case| case.when.iter().all(holds)).map_or(rule.otherwise, |case| case.answer)
    }

    /// What neither may do, whatever the arguments.
    const NEITHER: &[Call] = calls![SYS_execve SYS_execveat SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_kill
        SYS_tgkill SYS_tkill SYS_pidfd_open SYS_pidfd_getfd SYS_pidfd_send_signal SYS_rt_sigqueueinfo SYS_unshare SYS_setns
        SYS_mount SYS_chroot SYS_pivot_root SYS_listen SYS_accept SYS_socketpair SYS_memfd_create SYS_bpf SYS_keyctl
        SYS_perf_event_open SYS_userfaultfd SYS_setuid SYS_setresuid SYS_capset SYS_seccomp SYS_unlinkat SYS_renameat2 SYS_mkdirat
        SYS_fchmod SYS_fchown SYS_ftruncate SYS_truncate SYS_linkat SYS_symlinkat SYS_io_setup SYS_shmget SYS_msgget
        SYS_semget SYS_setrlimit SYS_setpriority SYS_sched_setaffinity SYS_vmsplice SYS_tee SYS_sendfile SYS_openat2
        SYS_open_by_handle_at SYS_name_to_handle_at SYS_inotify_init1 SYS_fanotify_init];

    #[test]
    fn neither_executes_signals_listens_or_changes_anything() {
        for policy in [Policy::proxy(), Policy::broker()] {
            // io_uring, clone3, futex_waitv
            let newer = [425, 426, 427, 435, 449];
            for number in NEITHER.iter().map(|call| call.1).chain(newer) {
                assert_eq!(answer(&policy, number, &[0; 6]), ENOSYS, "call {number}");
            }
            for (command, expected) in [(3, Answer::Allow), (4, Answer::Allow), (8, EPERM), (10, EPERM), (15, EPERM)] {
                assert_eq!(answer(&policy, libc::SYS_fcntl, &[0, command]), expected, "fcntl {command}");
            }
            // PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_PTRACER, PR_SET_MM
            for option in [1, 4, 22, 0x5961_6d61, 35] {
                assert_eq!(answer(&policy, libc::SYS_prctl, &[option]), EPERM, "prctl {option}");
            }
            for (arguments, expected) in [([0, 7, 0], Answer::Allow), ([99, 7, 0], EPERM), ([0, 7, 0x1000], EPERM)] {
                assert_eq!(answer(&policy, libc::SYS_prlimit64, &arguments), expected, "prlimit64 {arguments:?}");
            }
            const FAST_OPEN: u32 = 0x2000_4000;
            assert_eq!(answer(&policy, libc::SYS_sendto, &[0, 0, 0, FAST_OPEN]), EPERM);
            assert_eq!(answer(&policy, libc::SYS_sendmsg, &[0, 0, FAST_OPEN]), EPERM);
            assert_eq!(answer(&policy, libc::SYS_sendmsg, &[0, 0, 0x4040]), Answer::Allow);
            for option in [23, 30, 31] {
                assert_eq!(answer(&policy, libc::SYS_setsockopt, &[0, TCP, option]), EPERM);
            }
            assert_eq!(answer(&policy, libc::SYS_setsockopt, &[0, SOCKET, 26]), EPERM);
        }
    }

    #[test]
    fn the_proxy_opens_and_connects_nothing() {
        let proxy = Policy::proxy();
        let calls: &[Call] = calls![SYS_socket SYS_connect SYS_bind SYS_openat SYS_newfstatat SYS_statx SYS_readlinkat
            SYS_getdents64 SYS_clone SYS_wait4 SYS_ioctl SYS_sendmmsg SYS_dup SYS_faccessat SYS_getuid];
        for call in calls {
            assert_eq!(answer(&proxy, call.1, &[0; 6]), ENOSYS, "{}", call.0);
        }
        #[cfg(target_arch = "x86_64")]
        for call in calls![SYS_open SYS_stat SYS_fork SYS_vfork SYS_access SYS_creat] {
            assert_eq!(answer(&proxy, call.1, &[0; 6]), ENOSYS, "{}", call.0);
        }
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert_eq!((answer(&proxy, call, &[0, 0, 5]), answer(&proxy, call, &[0, 0, 3])), (EPERM, Answer::Allow));
        }
        assert_eq!(answer(&proxy, libc::SYS_getsockopt, &[0, SOCKET, 4]), Answer::Allow);
        // SO_PEERCRED, SO_PEERPIDFD
        assert_eq!(answer(&proxy, libc::SYS_getsockopt, &[0, SOCKET, 17]), EPERM);
        assert_eq!(answer(&proxy, libc::SYS_getsockopt, &[0, SOCKET, 77]), EPERM);
        // SO_BINDTODEVICE, SO_MARK, TCP_REPAIR
        for (level, option) in [(SOCKET, 25), (SOCKET, 36), (TCP, 19)] {
            assert_eq!(answer(&proxy, libc::SYS_setsockopt, &[0, level, option]), EPERM);
        }
        assert_eq!(answer(&proxy, libc::SYS_setsockopt, &[0, SOCKET, 13]), Answer::Allow);
    }

    #[test]
    fn the_broker_resolves_and_connects() {
        let broker = Policy::broker();
        let socket = |family: i32, kind: i32, protocol: u32| {
            let kind = (kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).unsigned_abs();
            answer(&broker, libc::SYS_socket, &[family.unsigned_abs(), kind, protocol])
        };
        for (family, kind, protocol) in [
            (libc::AF_INET, libc::SOCK_STREAM, 0),
            (libc::AF_INET6, libc::SOCK_STREAM, 6),
            (libc::AF_INET, libc::SOCK_DGRAM, 17),
            (libc::AF_INET6, libc::SOCK_DGRAM, 0),
            (libc::AF_UNIX, libc::SOCK_STREAM, 0),
            (libc::AF_NETLINK, libc::SOCK_RAW, 0),
        ] {
            assert_eq!(socket(family, kind, protocol), Answer::Allow, "{family} {kind} {protocol}");
        }
        for (family, kind, protocol) in [
            // MPTCP, SCTP, ICMP, raw; what Landlock takes for no TCP
            (libc::AF_INET, libc::SOCK_STREAM, 262),
            (libc::AF_INET, libc::SOCK_STREAM, 132),
            (libc::AF_INET, libc::SOCK_DGRAM, 1),
            (libc::AF_INET, libc::SOCK_RAW, 0),
            (libc::AF_INET6, libc::SOCK_DGRAM, 136),
            (libc::AF_UNIX, libc::SOCK_DGRAM, 0),
            (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
            (libc::AF_NETLINK, libc::SOCK_RAW, 9),
            (libc::AF_PACKET, libc::SOCK_RAW, 0),
            (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
            (43, libc::SOCK_STREAM, 0), // AF_SMC
        ] {
            assert_eq!(socket(family, kind, protocol), EAFNOSUPPORT, "{family} {kind} {protocol}");
        }
        let open = |flags: i32| answer(&broker, libc::SYS_openat, &[0, 0, flags.unsigned_abs()]);
        assert_eq!(open(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY), Answer::Allow);
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_CREAT, libc::O_TMPFILE | libc::O_RDWR] {
            assert_eq!(open(flags), EACCES, "{flags:#x}");
        }
        let clone = |flags: i32| answer(&broker, libc::SYS_clone, &[flags.unsigned_abs()]);
        let thread = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SETTLS;
        assert_eq!(clone(thread), Answer::Allow);
        for namespace in [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWCGROUP,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
        ] {
            assert_eq!(clone(thread | namespace), EPERM, "{namespace:#x}");
        }
        assert_eq!((clone(libc::SIGCHLD), clone(libc::CLONE_VM | libc::CLONE_VFORK)), (EPERM, EPERM));
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert_eq!((answer(&broker, call, &[0, 0, 7]), answer(&broker, call, &[0, 0, 5])), (EPERM, Answer::Allow));
        }
    }
}
