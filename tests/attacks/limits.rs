//! Cases 51 and 55: exhaustion is bounded, and ordinary work goes on.

use crate::case::{CASE, Case, Launch, TierB};
use crate::context::Phase;
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::Feature::*;
use serde_json::json;

const TIGHT: Launch = Launch {
    name: "tight",
    options: |world, _| {
        let profile = world.profile(
            "version = 1\n[jail.limits]\nmemory = \"256MiB\"\nprocesses = 48\nopen-files = 256\n\
             tmp = \"16MiB\"\nfile-size = \"24MiB\"\n",
        )?;
        Ok(vec!["--profile".into(), profile.into(), "--write".into(), world.path("rw").into()])
    },
    env: &[],
};

const WIDE: Launch = Launch {
    name: "wide",
    options: |world, _| {
        let profile = world.profile(
            "version = 1\n[jail.limits]\nmemory = \"2GiB\"\nprocesses = 1024\nopen-files = 4096\n\
             tmp = \"256MiB\"\nfile-size = \"256MiB\"\n",
        )?;
        Ok(vec!["--profile".into(), profile.into(), "--write".into(), world.path("rw").into()])
    },
    env: &[],
};

/// A case of exhaustion: all alike but for the bomb.
const BOMB: Case = Case { granted: Some(&[Rule("*", Works)]), granted_by: WIDE, refused_by: TIGHT, ..CASE };

pub const CASES: &[Case] = &[
    Case {
        number: 51,
        name: "fork-bomb",
        attack: |_| json!({ "attack": "forks", "count": 600 }),
        refused: &[Rule("reached", Works), Rule("forks", Fails(&["EAGAIN"]))],
        // RLIMIT_NPROC does not bind the initial namespace's root, not even from inside a user namespace; what does allows
        // 300 more.
        needs_of_root: &[ProcessLimit],
        tier_b: TierB::NotPromised("RLIMIT_NPROC would count all processes of the user"),
        ..BOMB
    },
    Case {
        number: 51,
        name: "thread-bomb",
        attack: |_| json!({ "attack": "threads-bomb", "count": 600 }),
        refused: &[Rule("reached", Works), Rule("threads", Fails(&["EAGAIN"]))],
        needs_of_root: &[ProcessLimit],
        tier_b: TierB::NotPromised("RLIMIT_NPROC would count all processes of the user"),
        ..BOMB
    },
    Case {
        number: 51,
        name: "memory-bomb",
        attack: |_| json!({ "attack": "memory", "bytes": 400 << 20, "limit_ms": 25_000 }),
        refused: &[Rule("*", Fails(&["ENOMEM", "SIGKILL", "SIGSEGV", "SIGBUS", "EAGAIN"]))],
        ..BOMB
    },
    Case {
        number: 51,
        name: "descriptor-bomb",
        attack: |_| json!({ "attack": "open-files", "count": 1_000 }),
        control: &[Rule("raise-hard", Any("root may")), Rule("*", Works)],
        granted: Some(&[Rule("raise-hard", Fails(&["EPERM"])), Rule("*", Works)]),
        refused: &[
            Rule("raised", Works),
            Rule("reached", Works),
            Rule("open-files", Fails(&["EMFILE"])),
            Rule("raise-hard", Fails(&["EPERM"])),
        ],
        ..BOMB
    },
    Case {
        number: 51,
        name: "disk-bomb-in-tmp",
        attack: |ctx| {
            let dir = if ctx.phase == Phase::Control { ctx.out.clone() } else { "/tmp".into() };
            json!({ "attack": "disk", "dir": dir, "bytes": 20 << 20 })
        },
        refused: &[Rule("fill", Fails(&["ENOSPC", "EDQUOT"]))],
        tier_b: TierB::NotPromised("no /tmp of its own"),
        ..BOMB
    },
    Case {
        number: 51,
        name: "disk-bomb-in-shared-memory",
        attack: |ctx| {
            let dir = if ctx.phase == Phase::Control { ctx.out.clone() } else { "/dev/shm".into() };
            json!({ "attack": "disk", "dir": dir, "bytes": 20 << 20 })
        },
        refused: &[Rule("fill", Fails(&["ENOSPC", "EDQUOT", "ENOMEM"]))],
        tier_b: TierB::NotPromised("no /dev/shm of its own"),
        ..BOMB
    },
    Case {
        number: 51,
        name: "disk-bomb-in-the-home",
        attack: |ctx| {
            let dir = if ctx.phase == Phase::Control { ctx.out.clone() } else { ctx.world.home() };
            json!({ "attack": "disk", "dir": dir, "bytes": 20 << 20 })
        },
        refused: &[Rule("fill", Fails(&["ENOSPC", "EDQUOT"]))],
        tier_b: TierB::NotPromised("no home of its own"),
        ..BOMB
    },
    Case {
        number: 51,
        name: "huge-file-in-a-grant",
        attack: |ctx| json!({ "attack": "disk", "dir": ctx.rw, "bytes": 40 << 20 }),
        refused: &[Rule("fill", Fails(&["EFBIG", "SIGXFSZ"]))],
        ..BOMB
    },
    Case {
        number: 55,
        name: "execution",
        attack: |_| json!({ "attack": "execution", "tmp": std::env::temp_dir() }),
        refused: &[Rule("*", Works)],
        tier_b: TierB::Differs(&[
            Rule("copy*", Any("an executable scratch directory needs a mount namespace")),
            Rule("*", Works),
        ]),
        ..CASE
    },
    Case {
        number: 55,
        name: "runtime",
        attack: |_| json!({ "attack": "runtime" }),
        refused: &[Rule("*", Works)],
        tier_b: TierB::Differs(&[
            Rule("multiprocessing", Any("a private /dev/shm needs a mount namespace")),
            Rule("semaphore", Any("a private /dev/shm needs a mount namespace")),
            Rule("*", Works),
        ]),
        ..CASE
    },
    Case {
        number: 55,
        name: "surroundings",
        attack: |_| json!({ "attack": "surroundings" }),
        control: &[
            // The suite's ordinary user need not have a name; in a jail it has one.
            Rule("getpwuid", WorksOr(&["ENOENT"])),
            Rule("certificates", WorksOr(&["ENOENT"])),
            Rule("time-zone", WorksOr(&["ENOENT"])),
            Rule("*", Works),
        ],
        refused: &[
            Rule("certificates", WorksOr(&["ENOENT"])),
            Rule("time-zone", WorksOr(&["ENOENT"])),
            Rule("*", Works),
        ],
        tier_b: TierB::Differs(&[
            Rule("certificates", WorksOr(&["ENOENT"])),
            Rule("time-zone", WorksOr(&["ENOENT"])),
            // tier B shows the machine's own list of users
            Rule("getpwuid", WorksOr(&["ENOENT"])),
            Rule("*", Works),
        ]),
        ..CASE
    },
    Case {
        number: 55,
        name: "scratch-directories",
        attack: |ctx| {
            let mut dirs = vec![ctx.rw.clone()];
            if !ctx.tier_b {
                dirs.extend([std::env::temp_dir(), ctx.world.home()]);
            }
            json!({ "attack": "scratch", "dirs": dirs })
        },
        refused: &[Rule("*", Works)],
        ..CASE
    },
];
