//! Cases 29-31, 33-36: system calls that no server needs, and what survives an execution.

use crate::case::{CASE, Case, TierB};
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::Feature::*;
use serde_json::json;

/// Neither a call that the filter names nor one that it does not know.
const UNAVAILABLE: &[&str] = &["EPERM", "ENOSYS"];

pub const CASES: &[Case] = &[
    Case {
        number: 29,
        name: "i386",
        attack: |ctx| json!({ "attack": "foreign", "path": ctx.out.join("secret") }),
        refused: &[Rule("*", Fails(&["SIGSYS", "ENOSYS"]))],
        needs: &[I386],
        ..CASE
    },
    Case {
        number: 30,
        name: "x32",
        attack: |_| json!({ "attack": "x32" }),
        control: &[Rule("getpid", Works), Rule("*", Any("getpid shows that the numbers exist"))],
        refused: &[Rule("*", Fails(&["SIGSYS", "ENOSYS", "EPERM"]))],
        needs: &[X32],
        ..CASE
    },
    Case {
        number: 31,
        name: "io-uring",
        attack: |_| json!({ "attack": "io-uring" }),
        control: &[
            Rule("setup", Works),
            Rule("enter", Fails(&["EBADF"])),
            Rule("register", Fails(&["EBADF", "EINVAL"])),
        ],
        refused: &[Rule("*", Fails(UNAVAILABLE))],
        ..CASE
    },
    Case {
        number: 33,
        name: "dangerous-calls",
        attack: |_| json!({ "attack": "dangerous" }),
        control: &[
            Rule("bpf", Works),
            Rule("userfaultfd", Works),
            Rule("keyctl", WorksOr(&["ENOKEY"])),
            Rule("add_key", Works),
            Rule("request_key", Fails(&["ENOKEY"])),
            // EINVAL and ENOENT come after the check for privilege: the call was let in.
            Rule("reboot", Fails(&["EINVAL"])),
            Rule("acct", Fails(&["ENOENT", "ENOSYS"])),
            Rule("swapon", Fails(&["ENOENT", "ENOSYS"])),
            Rule("swapoff", Fails(&["ENOENT", "ENOSYS"])),
            Rule("clock_settime", Fails(&["EINVAL"])),
            Rule("settimeofday", Fails(&["EINVAL"])),
            Rule("unknown", Fails(&["ENOSYS"])),
            Rule("*", Any("kernels are built without many of these")),
        ],
        control_user: Some((
            "most want a capability",
            &[
                Rule("reboot", Fails(&["EPERM"])),
                Rule("acct", Fails(&["EPERM", "ENOSYS"])),
                Rule("swapon", Fails(&["EPERM", "ENOSYS"])),
                Rule("swapoff", Fails(&["EPERM", "ENOSYS"])),
                Rule("userfaultfd", Works),
                Rule("keyctl", WorksOr(&["ENOKEY"])),
                Rule("add_key", Works),
                Rule("request_key", Fails(&["ENOKEY"])),
                Rule("ptrace-traceme", Works),
                Rule("unknown", Fails(&["ENOSYS"])),
                Rule("*", Any("kernels are built without many of these")),
            ],
        )),
        refused: &[
            Rule("unknown", Fails(&["ENOSYS"])),
            Rule("mbind", Any("places only its own memory")),
            Rule("lookup_dcookie", Fails(UNAVAILABLE)),
            Rule("move_pages", Fails(UNAVAILABLE)),
            Rule("migrate_pages", Fails(UNAVAILABLE)),
            Rule("adjtimex", Fails(UNAVAILABLE)),
            Rule("modify_ldt", Fails(UNAVAILABLE)),
            Rule("memfd_secret", Fails(UNAVAILABLE)),
            Rule("fanotify_init", Fails(UNAVAILABLE)),
            Rule("kcmp", Fails(UNAVAILABLE)),
            Rule("quotactl", Fails(UNAVAILABLE)),
            Rule("syslog", Fails(UNAVAILABLE)),
            Rule("vhangup-invalid", Fails(UNAVAILABLE)),
            Rule("setdomainname", Fails(UNAVAILABLE)),
            Rule("iopl", Fails(UNAVAILABLE)),
            Rule("ioperm", Fails(UNAVAILABLE)),
            Rule("*", Fails(&["EPERM"])),
        ],
        ..CASE
    },
    Case {
        number: 34,
        name: "personality",
        attack: |_| json!({ "attack": "personality" }),
        refused: &[Rule("harmless-*", Works), Rule("*", Fails(&["EPERM"]))],
        ..CASE
    },
    Case {
        number: 35,
        name: "memory-file-stays-confined",
        attack: |ctx| json!({ "attack": "memory-file", "inner": "read", "path": ctx.out.join("secret") }),
        granted: Some(&[
            Rule("execveat", WorksOr(&["EACCES", "EPERM", "ENOSYS"])),
            Rule("?inner:*", Works),
            Rule("*", Works),
        ]),
        refused: &[
            Rule("memfd_create", Works),
            Rule("execveat", WorksOr(&["EACCES", "EPERM", "ENOSYS"])),
            Rule("?inner:*", Fails(&["ENOENT"])),
        ],
        tier_b: TierB::Differs(&[
            Rule("memfd_create", Works),
            Rule("execveat", WorksOr(&["EACCES", "EPERM", "ENOSYS"])),
            Rule("?inner:*", Fails(&["EACCES"])),
        ]),
        ..CASE
    },
    Case {
        number: 35,
        name: "memory-file-stays-filtered",
        attack: |ctx| json!({ "attack": "memory-file", "inner": "trace", "whom": "own-child", "path": ctx.out }),
        refused: &[
            Rule("memfd_create", Works),
            Rule("execveat", WorksOr(&["EACCES", "EPERM", "ENOSYS"])),
            Rule("?inner:process_vm_*", Fails(&["EPERM"])),
            Rule("?inner:seize", Fails(&["EPERM"])),
            Rule("?inner:attach", Fails(&["EPERM"])),
            Rule("?inner:kcmp", Fails(UNAVAILABLE)),
            Rule("?inner:*", Any("its own child's files")),
        ],
        ..CASE
    },
    Case {
        number: 36,
        name: "own-filter",
        attack: |ctx| json!({ "attack": "own-filter", "path": ctx.out.join("secret") }),
        control: &[
            Rule("clear-no_new_privs", Fails(&["EINVAL"])),
            Rule("disable", Fails(&["EINVAL"])),
            Rule("after:setns", Fails(&["EBADF"])),
            Rule("*", Works),
        ],
        refused: &[
            Rule("no_new_privs", Works),
            Rule("install-*", Works),
            Rule("clear-no_new_privs", Fails(&["EINVAL", "EPERM"])),
            Rule("disable", Fails(&["EINVAL", "EPERM"])),
            Rule("after:read", Fails(&["ENOENT"])),
            Rule("*", Fails(&["EPERM"])),
        ],
        tier_b: TierB::Differs(&[
            Rule("no_new_privs", Works),
            Rule("install-*", Works),
            Rule("clear-no_new_privs", Fails(&["EINVAL", "EPERM"])),
            Rule("disable", Fails(&["EINVAL", "EPERM"])),
            Rule("after:read", Fails(&["EACCES"])),
            Rule("*", Fails(&["EPERM"])),
        ]),
        needs: &[UserNamespaces],
        ..CASE
    },
    Case {
        number: 36,
        name: "own-landlock",
        attack: |ctx| json!({ "attack": "own-landlock", "path": ctx.ro.join("file") }),
        control: &[Rule("read", Fails(&["EACCES"])), Rule("*", Works)],
        // A server may confine itself further, or the filter does not know the calls.
        refused: &[
            Rule("create", WorksOr(UNAVAILABLE)),
            Rule("no_new_privs", Works),
            Rule("restrict", WorksOr(UNAVAILABLE)),
            Rule("read", WorksOr(&["EACCES"])),
        ],
        needs: &[Landlock],
        ..CASE
    },
];
