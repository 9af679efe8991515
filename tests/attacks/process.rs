//! Cases 23-25, 27: other processes and terminals.

use crate::case::{CASE, Case, Launch, TierB};
use crate::context::{Ctx, Phase};
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::Feature::*;
use serde_json::{Value, json};

/// No number of the jail's belongs to the victim, or the filter refuses before the kernel looks.
const ABSENT: &[&str] = &["ESRCH", "EPERM", "ENOENT"];

/// Tracing calls are refused by the filter; the files of a process by its not being there or not being readable.
const UNTRACEABLE: &[Rule] = &[
    Rule("process_vm_*", Fails(&["EPERM"])),
    Rule("kcmp", Fails(&["EPERM", "ENOSYS"])),
    Rule("seize", Fails(&["EPERM"])),
    Rule("attach", Fails(&["EPERM"])),
    Rule("*", Fails(&["EACCES", "EPERM", "ENOENT"])),
];

/// A profile that gives the tracing calls back, by name.
const TRACING: Launch = Launch {
    name: "tracing",
    options: |world, _| {
        let calls = r#"["ptrace", "process_vm_readv", "process_vm_writev", "kcmp"]"#;
        let profile = world.profile(&format!("version = 1\n[jail.syscalls]\nallow = {calls}\n"))?;
        Ok(vec!["--profile".into(), profile.into()])
    },
    env: &[],
};

/// Unjailed, every attack on a process takes the suite's victim; a jailed one also its own init and parent.
fn trace(ctx: &Ctx, whom: &str) -> Value {
    let whom = if ctx.phase == Phase::Control { "victim" } else { whom };
    json!({ "attack": "trace", "whom": whom, "pid": ctx.victim_pid() })
}

pub const CASES: &[Case] = &[
    Case {
        number: 23,
        name: "signals",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| json!({ "attack": "signal", "pid": ctx.victim_pid() }),
        // Another user's process may not even be looked at by these two without the rights.
        refused: &[
            Rule("kill", Fails(&["ESRCH"])),
            Rule("tgkill", Fails(&["ESRCH"])),
            Rule("*", Fails(&["ESRCH", "EPERM", "ENOSYS"])),
        ],
        tier_b: TierB::NotPromised("see signals-scoped"),
        ..CASE
    },
    Case {
        number: 23,
        name: "system-v-ipc",
        attack: |_| json!({ "attack": "ipc" }),
        refused: &[Rule("*", Works)],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EACCES"]))]),
        ..CASE
    },
    Case {
        number: 23,
        name: "signals-scoped",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| json!({ "attack": "signal", "pid": ctx.victim_pid() }),
        refused: &[Rule("*", Fails(&["ESRCH", "EPERM", "ENOSYS"]))],
        tier_b: TierB::Differs(&[
            Rule("pidfd_open", Any("holding is not signalling")),
            Rule("setpriority", Fails(&["EPERM"])),
            Rule("getpgid", Any("Landlock scopes signals only")),
            // a limit of no processor time would be a SIGKILL
            Rule("prlimit64", Fails(&["EPERM"])),
            Rule("sched_getaffinity", Any("Landlock scopes signals only")),
            Rule("*", Fails(&["EPERM", "ENOSYS"])),
        ]),
        needs: &[LandlockScopes],
        ..CASE
    },
    Case {
        number: 23,
        name: "signal-everything",
        prepare: |ctx| {
            ctx.start_victim()?;
            ctx.stop_victim();
            Ok(())
        },
        // Unjailed, only the victim is signalled: everything would be the machine's.
        attack: |ctx| match ctx.phase {
            Phase::Control => json!({ "attack": "signal", "pid": ctx.victim_pid() }),
            _ => json!({ "attack": "signal-all" }),
        },
        refused: &[
            Rule("same-pid-namespace", Nothing),
            // Its own kind may be signalled; the victim must not feel it.
            Rule("kill-all", WorksOr(&["ESRCH", "EPERM"])),
        ],
        tier_b: TierB::NotPromised("never tried without a process-id namespace"),
        verify: |ctx| {
            let state = ctx.victim_state();
            if (state == "T") == (ctx.phase != Phase::Control) {
                Ok(())
            } else {
                Err(format!("the stopped victim is in state {state}"))
            }
        },
        ..CASE
    },
    Case {
        number: 23,
        name: "process-list",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| json!({ "attack": "ps", "pid": ctx.victim_pid(), "marker": "attack-suite-victim" }),
        // A number may coincide, so the marker decides.
        refused: &[Rule("by-number", Any("small numbers coincide")), Rule("*", Nothing)],
        tier_b: TierB::NotPromised("no process isolation"),
        ..CASE
    },
    Case {
        number: 24,
        name: "trace-another",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| trace(ctx, "victim"),
        refused: &[
            Rule("process_vm_*", Fails(&["EPERM"])),
            Rule("seize", Fails(&["EPERM"])),
            Rule("attach", Fails(&["EPERM"])),
            Rule("kcmp", Fails(&["EPERM", "ENOSYS"])),
            Rule("*", Fails(ABSENT)),
        ],
        tier_b: TierB::Differs(&[
            Rule("process_vm_*", Fails(&["EPERM"])),
            Rule("kcmp", Fails(&["EPERM", "ENOSYS"])),
            Rule("seize", Fails(&["EPERM"])),
            Rule("attach", Fails(&["EPERM"])),
            Rule("fd-list", Any("the numbers of descriptors are names, which tier B does not hide")),
            Rule("*", Fails(&["EACCES", "EPERM", "ENOENT"])),
        ]),
        ..CASE
    },
    Case {
        number: 24,
        name: "trace-the-init",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| trace(ctx, "init"),
        refused: UNTRACEABLE,
        tier_b: TierB::NotPromised("no init of its own"),
        ..CASE
    },
    Case {
        number: 24,
        name: "trace-the-server",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| trace(ctx, "parent"),
        refused: &[
            Rule("process_vm_*", Fails(&["EPERM"])),
            Rule("kcmp", Fails(&["EPERM", "ENOSYS"])),
            Rule("seize", Fails(&["EPERM"])),
            Rule("attach", Fails(&["EPERM"])),
            Rule("mem-write", Fails(&["EACCES", "EROFS", "EPERM"])),
            Rule("*", Any("a sibling in the same jail may be looked at, not changed")),
        ],
        ..CASE
    },
    Case {
        number: 24,
        name: "trace-an-own-child",
        attack: |_| json!({ "attack": "trace", "whom": "own-child" }),
        granted: Some(&[
            Rule("mem-write", Any("files of /proc stay read-only")),
            Rule("process_vm_*", Works),
            Rule("seize", Works),
            Rule("attach", Works),
            Rule("*", Any("not what was granted")),
        ]),
        refused: &[
            Rule("process_vm_*", Fails(&["EPERM"])),
            Rule("kcmp", Fails(&["EPERM", "ENOSYS"])),
            Rule("seize", Fails(&["EPERM"])),
            Rule("attach", Fails(&["EPERM"])),
            Rule("*", Any("its own child")),
        ],
        granted_by: TRACING,
        ..CASE
    },
    Case {
        number: 25,
        name: "take-descriptors-of-the-init",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| {
            let whom = if ctx.phase == Phase::Control { "victim" } else { "init" };
            json!({ "attack": "descriptors", "whom": whom, "pid": ctx.victim_pid() })
        },
        control: &[
            Rule("no-pidfd", Fails(&["EBADF"])),
            // The victim has 0, 1 and 2.
            Rule("pidfd_getfd:3", Fails(&["EBADF"])),
            Rule("pidfd_getfd:4", Fails(&["EBADF"])),
            Rule("pidfd_getfd:5", Fails(&["EBADF"])),
            Rule("*", Works),
        ],
        refused: &[
            Rule("pidfd_open", WorksOr(&["EPERM", "ENOSYS"])),
            Rule("no-pidfd", Fails(&["EPERM", "ENOSYS"])),
            Rule("*", Fails(&["EPERM", "ENOSYS"])),
        ],
        tier_b: TierB::NotPromised("no init of its own; see the next case"),
        ..CASE
    },
    Case {
        number: 25,
        name: "take-descriptors-of-another",
        prepare: |ctx| ctx.start_victim(),
        attack: |ctx| json!({ "attack": "descriptors", "pid": ctx.victim_pid() }),
        control: &[
            Rule("no-pidfd", Fails(&["EBADF"])),
            Rule("pidfd_getfd:3", Fails(&["EBADF"])),
            Rule("pidfd_getfd:4", Fails(&["EBADF"])),
            Rule("pidfd_getfd:5", Fails(&["EBADF"])),
            Rule("*", Works),
        ],
        refused: &[Rule("no-pidfd", Fails(&["EPERM", "ENOSYS"])), Rule("*", Fails(&["ESRCH", "EPERM", "ENOSYS"]))],
        tier_b: TierB::Differs(&[
            Rule("pidfd_open", WorksOr(&["EPERM", "ENOSYS"])),
            Rule("*", Fails(&["EPERM", "ENOSYS"])),
        ]),
        ..CASE
    },
    Case {
        number: 27,
        name: "terminal",
        attack: |_| json!({ "attack": "terminal" }),
        control: &[
            // A pseudo-terminal is no virtual console: ENOTTY comes from its driver.
            Rule("TIOCLINUX*", Fails(&["ENOTTY"])),
            // Where dev.tty.legacy_tiocsti is 0, EIO comes from the driver too.
            Rule("TIOCSTI*", WorksOr(&["EIO"])),
            Rule("*", Works),
        ],
        refused: &[Rule("harmless-*", Works), Rule("*", Fails(&["EPERM"]))],
        ..CASE
    },
];
