//! Cases 17-22: namespaces, mounts, maps, capabilities, threads, kernel settings.

use crate::case::{CASE, Case, TierB};
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::Feature::*;
use serde_json::json;

const NO_CAPABILITY: &[Rule] = &[
    Rule("CapBnd", Works),
    Rule("bounding", Works),
    Rule("securebits-open", Works),
    Rule("set-securebits", Fails(&["EPERM"])),
    Rule("capset", Fails(&["EPERM"])),
    Rule("ambient", Fails(&["EPERM"])),
    Rule("setuid-other", Fails(&["EPERM"])),
    Rule("setgid-other", Fails(&["EPERM"])),
    Rule("*", Nothing),
];

/// Alone, an ordinary user is refused by the kernel; together with a user namespace nobody is.
const USER_NAMESPACES: &[Rule] =
    &[Rule("alone:*", Fails(&["EPERM"])), Rule("user:high", WorksOr(&["EINVAL"])), Rule("*", Works)];

pub const CASES: &[Case] = &[
    Case {
        number: 17,
        name: "unshare",
        attack: |_| json!({ "attack": "unshare" }),
        control: &[Rule("user:high", Fails(&["EINVAL"])), Rule("*", Works)],
        control_user: Some(("a namespace alone wants CAP_SYS_ADMIN", USER_NAMESPACES)),
        refused: &[Rule("user:high", Fails(&["EPERM", "EINVAL"])), Rule("*", Fails(&["EPERM"]))],
        needs: &[UserNamespaces],
        ..CASE
    },
    Case {
        number: 17,
        name: "clone",
        attack: |_| json!({ "attack": "clone" }),
        control_user: Some(("a namespace alone wants CAP_SYS_ADMIN", USER_NAMESPACES)),
        refused: &[Rule("plain", Works), Rule("clone3", Fails(&["ENOSYS", "EPERM"])), Rule("*", Fails(&["EPERM"]))],
        needs: &[UserNamespaces],
        ..CASE
    },
    Case {
        number: 17,
        name: "setns",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| json!({ "attack": "setns", "pid": ctx.victim_pid() }),
        control: &[
            Rule("own:*", Any("a process may rejoin some of its own and not others")),
            Rule("other:*", Works),
            Rule("no-descriptor", Fails(&["EBADF"])),
            Rule("pidfd", WorksOr(&["EPERM"])),
        ],
        refused: &[
            Rule("own:*", Fails(&["EPERM", "EACCES", "ENOENT"])),
            Rule("other:*", Fails(&["ENOENT", "EACCES", "EPERM"])),
            Rule("no-descriptor", Fails(&["EPERM"])),
            Rule("pidfd", Fails(&["EPERM", "ENOSYS"])),
        ],
        ..CASE
    },
    Case {
        number: 18,
        name: "mount",
        attack: |ctx| json!({ "attack": "mount", "dir": ctx.rw.join("empty") }),
        control: &[
            // Its target does not exist; ENOENT comes after the permission check.
            Rule("proc", Fails(&["ENOENT"])),
            Rule("open_tree_attr", WorksOr(&["ENOSYS"])),
            Rule("*", Works),
        ],
        refused: &[Rule("open_tree_attr", Fails(&["EPERM", "ENOSYS"])), Rule("*", Fails(&["EPERM"]))],
        needs: &[UserNamespaces],
        ..CASE
    },
    Case {
        number: 19,
        name: "identity-maps",
        attack: |_| json!({ "attack": "id-maps" }),
        // The groups of a namespace whose setgroups was denied stay as they are.
        control: &[Rule("setgroups-call", Fails(&["EPERM"])), Rule("*", Works)],
        refused: &[
            Rule("unshare", Fails(&["EPERM"])),
            Rule("setgroups-call", Fails(&["EPERM"])),
            Rule("*", Fails(&["EPERM", "EACCES", "EROFS"])),
        ],
        needs: &[UserNamespaces],
        ..CASE
    },
    Case {
        number: 20,
        name: "capabilities",
        attack: |_| json!({ "attack": "capabilities" }),
        control: &[
            Rule("CapInh", Any("whatever root inherited")),
            Rule("CapAmb", Any("whatever root inherited")),
            Rule("capset", Any("root here may lack one of the set")),
            Rule("ambient", Any("needs it in the inheritable set")),
            Rule("*", Works),
        ],
        control_user: Some(("an ordinary user has none, but the bounding set", NO_CAPABILITY)),
        refused: &[
            Rule("set-securebits", Fails(&["EPERM"])),
            Rule("capset", Fails(&["EPERM"])),
            Rule("ambient", Fails(&["EPERM"])),
            // An id that is not mapped is EINVAL in a user namespace.
            Rule("setuid-other", Fails(&["EPERM", "EINVAL"])),
            Rule("setgid-other", Fails(&["EPERM", "EINVAL"])),
            Rule("*", Nothing),
        ],
        tier_b: TierB::Differs(&[
            Rule("CapBnd", Any("without a user namespace only root can empty it; no_new_privs makes it void")),
            Rule("bounding", Any("the same")),
            Rule("securebits-open", Any("the same")),
            Rule("set-securebits", Fails(&["EPERM"])),
            Rule("capset", Fails(&["EPERM"])),
            Rule("ambient", Fails(&["EPERM"])),
            Rule("setuid-other", Fails(&["EPERM"])),
            Rule("setgid-other", Fails(&["EPERM"])),
            Rule("*", Nothing),
        ]),
        ..CASE
    },
    Case {
        number: 21,
        name: "every-thread",
        attack: |ctx| json!({ "attack": "threads", "path": ctx.out.join("secret") }),
        control: &[
            // No descriptor: EBADF says that the kernel looked.
            Rule("setns:*", Fails(&["EBADF"])),
            Rule("*", Works),
        ],
        control_user: Some((
            "an ordinary user has no capabilities to be found",
            &[Rule("setns:*", Fails(&["EBADF"])), Rule("with-capabilities", Nothing), Rule("*", Works)],
        )),
        refused: &[
            Rule("seen", Works),
            Rule("read:*", Fails(&["ENOENT"])),
            Rule("setns:*", Fails(&["EPERM"])),
            Rule("*", Nothing),
        ],
        tier_b: TierB::Differs(&[
            Rule("seen", Works),
            Rule("read:*", Fails(&["EACCES"])),
            Rule("setns:*", Fails(&["EPERM"])),
            Rule("*", Nothing),
        ]),
        ..CASE
    },
    Case {
        number: 22,
        name: "kernel-settings",
        attack: |_| json!({ "attack": "knobs" }),
        control: &[
            Rule("/proc/sys/kernel/core_pattern", Works),
            Rule("/proc/sys/kernel/hostname", Works),
            Rule("/proc/sys/vm/overcommit_memory", Works),
            Rule("*", Any("what a kernel is built with, or a container masks, differs")),
        ],
        control_user: Some((
            "these files are root's",
            &[
                Rule("/proc/sys/kernel/core_pattern", Fails(&["EACCES"])),
                Rule("/proc/sys/kernel/hostname", Fails(&["EACCES"])),
                Rule("read:/proc/kcore", Nothing),
                Rule("read:/proc/kmsg", Nothing),
                Rule("*", Any("what a kernel is built with differs")),
            ],
        )),
        refused: &[
            Rule("read:*", Nothing),
            Rule("release_agent", Nothing),
            Rule("cgroup.procs", Nothing),
            Rule("*", Fails(&["EROFS", "EACCES", "ENOENT", "EPERM"])),
        ],
        tier_b: TierB::Differs(&[
            Rule("read:/proc/keys", Any("lists the reader's own keys")),
            Rule("read:/proc/timer_list", Any("uid 0 owns it, and tier B has no view of its own to cover it in")),
            Rule("read:*", Nothing),
            Rule("release_agent", Nothing),
            Rule("cgroup.procs", Nothing),
            Rule("*", Fails(&["EROFS", "EACCES", "ENOENT", "EPERM"])),
        ]),
        ..CASE
    },
];
