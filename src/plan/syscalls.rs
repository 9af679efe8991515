//! Which system calls a jailed server may make: groups under systemd's names, the checks on arguments, and the answers.
//!
//! Everything is data; [`crate::jail::bpf`] turns it into a filter. A call that stands nowhere is answered with
//! `ENOSYS`, so that programs fall back as they do on an older kernel; one that is known to be dangerous is answered
//! with `EPERM`. Sources: syscalls(2), systemd.exec(5) (`SystemCallFilter`), the attack list in `docs/THREAT_MODEL.md`.

/// A system call's name and its number on this architecture.
pub type Call = (&'static str, i64);

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

mod egress;

/// A named group of calls.
pub struct Group {
    /// Name with the leading `@`.
    pub name: &'static str,
    /// What it is for, for `explain`.
    pub about: &'static str,
    /// Whether every jail allows it; otherwise a profile must ask for it by name.
    pub base: bool,
    /// The calls, with libc's `SYS_` names.
    pub calls: &'static [Call],
}

/// Every group that can be allowed.
pub const GROUPS: &[Group] = &[
    Group {
        name: "@basic-io",
        about: "reading and writing open descriptors",
        base: true,
        calls: calls![SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_fadvise64 SYS_fallocate SYS_fcntl
            SYS_fdatasync SYS_flock SYS_fsync SYS_ftruncate SYS_lseek SYS_pread64 SYS_preadv SYS_preadv2 SYS_pwrite64
            SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readv SYS_sendfile SYS_splice SYS_sync SYS_sync_file_range
            SYS_syncfs SYS_tee SYS_truncate SYS_vmsplice SYS_write SYS_writev],
    },
    Group {
        name: "@file-system",
        about: "names, attributes and directories",
        base: true,
        calls: calls![SYS_chdir SYS_faccessat SYS_faccessat2 SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat
            SYS_fgetxattr SYS_flistxattr SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_getcwd SYS_getdents64
            SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_lgetxattr SYS_linkat
            SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lsetxattr SYS_mkdirat SYS_newfstatat SYS_openat SYS_openat2
            SYS_readlinkat SYS_removexattr SYS_renameat SYS_renameat2 SYS_setxattr SYS_statfs SYS_statx SYS_symlinkat
            SYS_umask SYS_unlinkat SYS_utimensat],
    },
    Group {
        name: "@io-event",
        about: "waiting for descriptors",
        base: true,
        calls: calls![SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_ppoll SYS_pselect6],
    },
    Group {
        name: "@ipc",
        about: "pipes, shared memory and queues inside the jail",
        base: true,
        calls: calls![SYS_memfd_create SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend
            SYS_mq_unlink SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_pipe2 SYS_semctl SYS_semget SYS_semop
            SYS_semtimedop SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget],
    },
    Group {
        name: "@memory",
        about: "address space",
        base: true,
        calls: calls![SYS_brk SYS_get_mempolicy SYS_madvise SYS_mbind SYS_membarrier SYS_mincore SYS_mlock SYS_mlock2
            SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_pkey_alloc
            SYS_pkey_free SYS_pkey_mprotect SYS_remap_file_pages SYS_set_mempolicy],
    },
    Group {
        name: "@process",
        about: "threads, children and programs",
        base: true,
        calls: calls![SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_getpid SYS_getpgid SYS_getppid SYS_getpriority
            SYS_getrusage SYS_getsid SYS_gettid SYS_kill SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl SYS_rseq
            SYS_set_robust_list SYS_get_robust_list SYS_set_tid_address SYS_setpgid SYS_setsid SYS_tgkill SYS_times SYS_tkill
            SYS_wait4 SYS_waitid],
    },
    Group {
        name: "@signal",
        about: "signal handlers and masks",
        base: true,
        calls: calls![SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn
            SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sigaltstack SYS_signalfd4 SYS_restart_syscall],
    },
    Group { name: "@sync", about: "locks between threads", base: true, calls: calls![SYS_futex] },
    Group {
        name: "@timer",
        about: "clocks that are read and timers of one's own",
        base: true,
        calls: calls![SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_getitimer SYS_gettimeofday SYS_nanosleep
            SYS_setitimer SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime
            SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime],
    },
    Group {
        name: "@identity",
        about: "ids of one's own; the jail has no other and no capabilities",
        base: true,
        calls: calls![SYS_capget SYS_capset SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getresgid SYS_getresuid
            SYS_getuid SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setregid SYS_setresgid SYS_setresuid
            SYS_setreuid SYS_setuid],
    },
    Group {
        name: "@system-info",
        about: "facts about the machine, randomness",
        base: true,
        calls: calls![SYS_getcpu SYS_getrandom SYS_sysinfo SYS_uname],
    },
    Group {
        name: "@resources",
        about: "limits and scheduling, never beyond the jail's",
        base: true,
        calls: calls![SYS_getrlimit SYS_ioprio_get SYS_ioprio_set SYS_prlimit64 SYS_sched_get_priority_max
            SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_getscheduler
            SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler
            SYS_sched_yield SYS_setpriority SYS_setrlimit],
    },
    Group { name: "@sandbox", about: "restricting oneself further", base: true, calls: calls![SYS_seccomp] },
    Group {
        name: "@network-io",
        about: "sockets that are already allowed by family",
        base: true,
        calls: calls![SYS_accept SYS_accept4 SYS_bind SYS_getpeername SYS_getsockname SYS_getsockopt SYS_listen SYS_recvfrom
            SYS_recvmmsg SYS_recvmsg SYS_shutdown],
    },
    Group {
        name: "@aio",
        about: "old asynchronous file I/O",
        base: false,
        calls: calls![SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_io_setup SYS_io_submit],
    },
    Group {
        name: "@debug",
        about: "looking into other processes of the jail",
        base: false,
        calls: calls![SYS_kcmp SYS_perf_event_open SYS_pidfd_getfd SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace],
    },
    Group {
        name: "@keyring",
        about: "the kernel's key retention service",
        base: false,
        calls: calls![SYS_add_key SYS_keyctl SYS_request_key],
    },
    Group {
        name: "@io-uring",
        about: "io_uring, which escapes seccomp for what it submits",
        base: false,
        calls: &[("SYS_io_uring_setup", 425), ("SYS_io_uring_enter", 426), ("SYS_io_uring_register", 427)],
    },
];

/// Calls of the base that only some architectures have, and ones whose numbers libc does not know everywhere.
#[cfg(target_arch = "x86_64")]
const BASE_HERE: &[Call] = calls![SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_wait SYS_eventfd SYS_fork SYS_getdents SYS_getpgrp SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir
    SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_signalfd SYS_stat SYS_symlink
    SYS_time SYS_unlink SYS_utime SYS_utimes SYS_futimesat SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const BASE_HERE: &[Call] = &[];

/// Calls with the same number on every architecture that libc's bindings lack on some.
const BASE_NEW: &[Call] = &[
    ("SYS_landlock_create_ruleset", 444),
    ("SYS_landlock_add_rule", 445),
    ("SYS_landlock_restrict_self", 446),
    ("SYS_process_mrelease", 448),
    ("SYS_futex_waitv", 449),
    ("SYS_set_mempolicy_home_node", 450),
    ("SYS_cachestat", 451),
    ("SYS_fchmodat2", 452),
    ("SYS_map_shadow_stack", 453),
    ("SYS_futex_wake", 454),
    ("SYS_futex_wait", 455),
    ("SYS_futex_requeue", 456),
    ("SYS_mseal", 462),
];

/// Known to be dangerous, or of no use without privilege: `EPERM`.
const DANGEROUS: &[Call] = calls![SYS_acct SYS_adjtimex SYS_bpf SYS_chroot SYS_clock_adjtime SYS_clock_settime
    SYS_delete_module SYS_fanotify_init SYS_fanotify_mark SYS_finit_module SYS_init_module SYS_kexec_load SYS_lookup_dcookie
    SYS_migrate_pages SYS_mount SYS_move_pages SYS_name_to_handle_at SYS_nfsservctl SYS_open_by_handle_at SYS_pivot_root
    SYS_quotactl SYS_reboot SYS_setdomainname SYS_sethostname SYS_setns SYS_settimeofday SYS_swapoff SYS_swapon SYS_syslog
    SYS_umount2 SYS_unshare SYS_userfaultfd SYS_vhangup];
#[cfg(target_arch = "x86_64")]
const DANGEROUS_HERE: &[Call] =
    calls![SYS_ioperm SYS_iopl SYS_kexec_file_load SYS_modify_ldt SYS_sysfs SYS_uselib SYS__sysctl SYS_ustat];
#[cfg(not(target_arch = "x86_64"))]
const DANGEROUS_HERE: &[Call] = &[("SYS_kexec_file_load", 294)];
const DANGEROUS_NEW: &[Call] = &[
    ("SYS_open_tree", 428),
    ("SYS_move_mount", 429),
    ("SYS_fsopen", 430),
    ("SYS_fsconfig", 431),
    ("SYS_fsmount", 432),
    ("SYS_fspick", 433),
    ("SYS_process_madvise", 440),
    ("SYS_mount_setattr", 442),
    ("SYS_quotactl_fd", 443),
    ("SYS_memfd_secret", 447),
    ("SYS_statmount", 457),
    ("SYS_listmount", 458),
    ("SYS_lsm_get_self_attr", 459),
    ("SYS_lsm_set_self_attr", 460),
    ("SYS_lsm_list_modules", 461),
    ("SYS_open_tree_attr", 467),
];

/// What the filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The call is made.
    Allow,
    /// The call fails with this errno.
    Errno(u16),
}

const EPERM: Answer = Answer::Errno(1);
const ENOSYS: Answer = Answer::Errno(38);
const EACCES: Answer = Answer::Errno(13);
const EAFNOSUPPORT: Answer = Answer::Errno(97);
const EPROTONOSUPPORT: Answer = Answer::Errno(93);

/// True when `argument & mask == value`, all in the low 32 bits (the kernel reads these arguments as `int`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// Bits that are looked at.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
}

/// An answer that holds when all conditions do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Conjunction; empty is always true.
    pub when: Vec<Condition>,
    /// The answer then.
    pub answer: Answer,
}

/// The answer to one call: the first case whose conditions hold, else `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Cases in order.
    pub cases: Vec<Case>,
    /// The answer when no case holds.
    pub otherwise: Answer,
}

impl From<Answer> for Rule {
    fn from(answer: Answer) -> Rule {
        Rule { cases: Vec::new(), otherwise: answer }
    }
}

/// Which sockets a server may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sockets {
    /// Unix sockets inside the jail only: the mount and network namespaces bound what they reach.
    UnixInside,
    /// The same, and TCP and UDP inside the jail's own network namespace.
    UnixAndInetInside,
    /// Tier B, where nothing bounds what a connect reaches: pairs, and listeners that nobody is connected to.
    PairsOnly,
}

/// The whole policy: rules ordered by number, one a number. What is absent is answered with `ENOSYS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<(i64, Rule)>,
}

impl Policy {
    /// The base groups, the groups and calls in `extra` (already validated by [`find`]), and the argument checks.
    #[must_use]
    pub fn new<'a>(sockets: Sockets, extra: impl Iterator<Item = &'a str>) -> Policy {
        let mut rules: Vec<(i64, Rule)> = Vec::with_capacity(512);
        let mut all = |calls: &[Call], answer: Answer| rules.extend(calls.iter().map(|c| (c.1, Rule::from(answer))));
        // later entries win: what is refused, what the base allows, what the profile asks for, what arguments decide
        for calls in
            GROUPS.iter().filter(|g| !g.base).map(|g| g.calls).chain([DANGEROUS, DANGEROUS_HERE, DANGEROUS_NEW])
        {
            all(calls, EPERM);
        }
        for calls in GROUPS.iter().filter(|g| g.base).map(|g| g.calls).chain([BASE_HERE, BASE_NEW]) {
            all(calls, Answer::Allow);
        }
        for name in extra {
            all(find(name).unwrap_or(&[]), Answer::Allow);
        }
        rules.extend(checked(sockets));
        Policy::last_of_each(rules)
    }

    /// A policy that allows these calls and nothing else.
    #[must_use]
    pub fn only(numbers: &[i64]) -> Policy {
        Policy::last_of_each(numbers.iter().map(|&number| (number, Rule::from(Answer::Allow))).collect())
    }

    /// What the launcher keeps once its server runs: what an unprivileged server has, without starting programs, without
    /// sockets and without any way to look into other processes.
    #[must_use]
    pub fn supervisor() -> Policy {
        let Policy { mut rules } = Policy::new(Sockets::PairsOnly, std::iter::empty());
        let refused = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
        ];
        rules.extend(refused.map(|number| (number, Rule::from(EPERM))));
        Policy::last_of_each(rules)
    }

    /// Orders by number and keeps the last of each.
    fn last_of_each(mut rules: Vec<(i64, Rule)>) -> Policy {
        rules.reverse();
        rules.sort_by_key(|(number, _)| *number);
        rules.dedup_by_key(|(number, _)| *number);
        Policy { rules }
    }

    /// The rules, ordered by number.
    pub fn rules(&self) -> impl Iterator<Item = (i64, &Rule)> {
        self.rules.iter().map(|(number, rule)| (*number, rule))
    }
}

/// The calls that a profile may ask for by `@group` or by the name of one call that is in an optional group.
#[must_use]
pub fn find(name: &str) -> Option<&'static [Call]> {
    if name.starts_with('@') {
        return GROUPS.iter().find(|g| g.name == name).map(|g| g.calls);
    }
    GROUPS
        .iter()
        .flat_map(|g| g.calls)
        .find(|(call, _)| call.strip_prefix("SYS_") == Some(name))
        .map(std::slice::from_ref)
}

const fn masked(argument: u8, mask: u32, value: u32) -> Condition {
    Condition { argument, mask, value }
}
const fn equals(argument: u8, value: u32) -> Condition {
    masked(argument, u32::MAX, value)
}
fn case(when: &[Condition], answer: Answer) -> Case {
    Case { when: when.to_vec(), answer }
}
fn rule(cases: &[Case], otherwise: Answer) -> Rule {
    Rule { cases: cases.to_vec(), otherwise }
}

/// Calls whose answer depends on their arguments.
fn checked(sockets: Sockets) -> Vec<(i64, Rule)> {
    /// Every namespace flag that clone(2) knows: mount, cgroup, uts, ipc, user, pid, net.
    const NAMESPACES: [u32; 7] =
        [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    const UNIX: u32 = 1;
    const INET: u32 = 2;
    const INET6: u32 = 10;
    const TYPE: u32 = 0xf; // without SOCK_CLOEXEC and SOCK_NONBLOCK
    const STREAM: u32 = 1;
    const DGRAM: u32 = 2;
    const SEQPACKET: u32 = 5;
    const FAST_OPEN: u32 = 0x2000_0000;
    const TCP: u32 = 6;
    const SET_USER_ID: u32 = 0o4000;

    let flagged = |argument: u8, bits: &[u32], answer: Answer| -> Vec<Case> {
        bits.iter().map(|&bit| case(&[masked(argument, bit, bit)], answer)).collect()
    };
    let unix = match sockets {
        Sockets::PairsOnly => vec![
            case(&[equals(0, UNIX), masked(1, TYPE, STREAM)], Answer::Allow),
            case(&[equals(0, UNIX), masked(1, TYPE, SEQPACKET)], Answer::Allow),
            // an unconnected datagram socket could be sent to any socket on the machine
            case(&[equals(0, UNIX)], EACCES),
        ],
        Sockets::UnixInside | Sockets::UnixAndInetInside => vec![case(&[equals(0, UNIX)], Answer::Allow)],
    };
    let inet = [INET, INET6].map(|family| match sockets {
        Sockets::UnixAndInetInside => vec![
            case(&[equals(0, family), masked(1, TYPE, STREAM), equals(2, 0)], Answer::Allow),
            case(&[equals(0, family), masked(1, TYPE, STREAM), equals(2, TCP)], Answer::Allow),
            case(&[equals(0, family), masked(1, TYPE, DGRAM), equals(2, 0)], Answer::Allow),
            case(&[equals(0, family), masked(1, TYPE, DGRAM), equals(2, 17)], Answer::Allow),
            case(&[equals(0, family)], EPROTONOSUPPORT),
        ],
        Sockets::UnixInside | Sockets::PairsOnly => vec![case(&[equals(0, family)], EACCES)],
    });
    // a datagram socket of a pair can be sent to any address as well, and AF_UNIX makes a datagram socket of a raw one
    let pairs = match sockets {
        Sockets::PairsOnly => unix.clone(),
        Sockets::UnixInside | Sockets::UnixAndInetInside => vec![case(&[equals(0, UNIX)], Answer::Allow)],
    };
    let connect = if sockets == Sockets::PairsOnly { EACCES } else { Answer::Allow };
    let terminal = [0x5412, 0x541c, 0x541d, 0x5423]; // TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD
    let device_nodes = |argument: u8| {
        let types = [0x2000, 0x6000].map(|kind| case(&[masked(argument, 0xf000, kind)], EPERM));
        rule(&types, Answer::Allow)
    };
    let no_setuid = |argument: u8| rule(&flagged(argument, &[SET_USER_ID], EPERM), Answer::Allow);
    let no_fast_open = |argument: u8| rule(&flagged(argument, &[FAST_OPEN], EPERM), Answer::Allow);

    let mut checked = vec![
        (libc::SYS_clone, rule(&flagged(0, &NAMESPACES, EPERM), Answer::Allow)),
        (435, Rule::from(ENOSYS)), // clone3: its flags lie in memory, where no filter can look; libc falls back
        (libc::SYS_socket, rule(&[unix, inet.concat()].concat(), EAFNOSUPPORT)),
        (libc::SYS_socketpair, rule(&pairs, EAFNOSUPPORT)),
        (libc::SYS_connect, Rule::from(connect)),
        (libc::SYS_sendto, no_fast_open(3)),
        (libc::SYS_sendmsg, no_fast_open(2)),
        (libc::SYS_sendmmsg, no_fast_open(3)),
        (
            libc::SYS_setsockopt,
            // TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_ULP
            rule(&[23, 30, 31].map(|option| case(&[equals(1, TCP), equals(2, option)], EPERM)), Answer::Allow),
        ),
        (libc::SYS_ioctl, rule(&terminal.map(|command| case(&[equals(1, command)], EPERM)), Answer::Allow)),
        (libc::SYS_personality, rule(&[0, u32::MAX].map(|value| case(&[equals(0, value)], Answer::Allow)), EPERM)),
        (libc::SYS_mknodat, device_nodes(2)),
        // a program that runs as this user for whoever starts it, outside; one made with the bit loses it when written to
        (libc::SYS_fchmod, no_setuid(1)),
        (libc::SYS_fchmodat, no_setuid(2)),
        (452, no_setuid(2)), // fchmodat2
    ];
    #[cfg(target_arch = "x86_64")]
    checked.extend([(libc::SYS_mknod, device_nodes(1)), (libc::SYS_chmod, no_setuid(1))]);
    if sockets == Sockets::PairsOnly {
        checked.extend(shared_with_the_machine());
    }
    checked
}

/// What tier B, which has no ipc and pid namespace, must refuse: neither Landlock nor the file system stands in between.
fn shared_with_the_machine() -> Vec<(i64, Rule)> {
    const OWN_PROCESS: u32 = 0; // PRIO_PROCESS
    const OWN_THREAD: u32 = 1; // IOPRIO_WHO_PROCESS
    // memory, queues and semaphores of everything that runs as this user; Landlock stops mq_open but not mq_unlink
    let shared = calls![SYS_shmget SYS_shmat SYS_shmctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl SYS_msgget SYS_msgsnd
        SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink];
    let mut rules: Vec<(i64, Rule)> = shared.iter().map(|call| (call.1, Rule::from(EACCES))).collect();
    rules.extend([
        // a limit of no processor time is a SIGKILL that Landlock's scope of signals does not see
        (libc::SYS_prlimit64, rule(&[case(&[equals(0, 0)], Answer::Allow)], EPERM)),
        (libc::SYS_setpriority, rule(&[case(&[equals(0, OWN_PROCESS), equals(1, 0)], Answer::Allow)], EPERM)),
        (libc::SYS_ioprio_set, rule(&[case(&[equals(0, OWN_THREAD), equals(1, 0)], Answer::Allow)], EPERM)),
    ]);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the policy answers to a call with these arguments.
    fn answer(sockets: Sockets, number: i64, arguments: &[u32]) -> Answer {
        let policy = Policy::new(sockets, std::iter::empty());
        let (_, rule) = policy.rules().find(|(n, _)| *n == number).unwrap();
        let holds = |c: &Condition| arguments[usize::from(c.argument)] & c.mask == c.value;
        rule.cases.iter().find(|case| case.when.iter().all(holds)).map_or(rule.otherwise, |case| case.answer)
    }

    #[test]
    fn tier_b_has_no_unconnected_datagrams_and_nothing_of_other_processes() {
        const RAW: u32 = 3;
        let b = |number, arguments: &[u32]| answer(Sockets::PairsOnly, number, arguments);
        for call in [libc::SYS_socket, libc::SYS_socketpair] {
            assert_eq!((b(call, &[1, 2, 0]), b(call, &[1, RAW, 0])), (EACCES, EACCES));
            assert_eq!((b(call, &[1, 0x80001, 0]), b(call, &[1, 5, 0])), (Answer::Allow, Answer::Allow));
        }
        assert_eq!(answer(Sockets::UnixInside, libc::SYS_socketpair, &[1, 2, 0]), Answer::Allow);
        for call in [libc::SYS_shmget, libc::SYS_shmat, libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_unlink] {
            assert_eq!((b(call, &[0; 3]), answer(Sockets::UnixInside, call, &[0; 3])), (EACCES, Answer::Allow));
        }
        assert_eq!((b(libc::SYS_prlimit64, &[0, 7]), b(libc::SYS_prlimit64, &[99, 0])), (Answer::Allow, EPERM));
        let by_user = &[2, 0];
        assert_eq!((b(libc::SYS_setpriority, &[0, 0]), b(libc::SYS_setpriority, by_user)), (Answer::Allow, EPERM));
        assert_eq!(b(libc::SYS_ioprio_set, &[3, 0]), EPERM);
    }

    #[test]
    fn nothing_becomes_set_user_id() {
        for (call, at) in [(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (452, 2)] {
            let with = |mode: u32| {
                let mut arguments = [0; 4];
                arguments[at] = mode;
                answer(Sockets::UnixInside, call, &arguments)
            };
            assert_eq!((with(0o4755), with(0o104755)), (EPERM, EPERM));
            assert_eq!((with(0o755), with(0o2775)), (Answer::Allow, Answer::Allow));
        }
    }

    #[test]
    fn no_call_is_both_allowed_by_the_base_and_dangerous() {
        let base: Vec<i64> = GROUPS.iter().filter(|g| g.base).flat_map(|g| g.calls).map(|c| c.1).collect();
        for call in [DANGEROUS, DANGEROUS_HERE, DANGEROUS_NEW].concat() {
            assert!(!base.contains(&call.1) && !BASE_HERE.contains(&call), "{} stands twice", call.0);
        }
    }

    #[test]
    fn no_call_stands_in_two_groups() {
        let mut seen = std::collections::HashMap::new();
        for group in GROUPS {
            for (name, number) in group.calls {
                assert_eq!(seen.insert(number, group.name), None, "{name} stands in two groups");
            }
        }
    }

    #[test]
    fn groups_and_calls_are_found_by_name() {
        assert!(find("@debug").is_some_and(|c| c.len() > 3));
        assert_eq!(find("ptrace").map(<[Call]>::len), Some(1));
        assert_eq!(find("@mount"), None, "what no profile may have has no group");
        assert_eq!(find("mount"), None);
    }
}
