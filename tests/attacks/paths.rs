//! Cases 1-3, 10-13, 37 of reading: what can be seen and opened.

use crate::case::{CASE, Case, Launch, TierB};
use crate::support::expect::{Rule, Want::*};
use crate::support::world::SECRETS;
use serde_json::json;

const HIDDEN: &[Rule] = &[Rule("*", Fails(&["ENOENT"]))];
const DENIED: &[Rule] = &[Rule("*", Fails(&["EACCES"]))];
/// A profile that says in so many words that a protected place may be read.
const DANGEROUS: Launch = Launch {
    name: "dangerous",
    options: |world, _| {
        let text = "version = 1\n[jail.files]\nread = [{ path = \"~/.ssh\", dangerous = true }]\n";
        Ok(vec!["--profile".into(), world.profile(text)?.into()])
    },
    env: &[],
};

const METADATA: TierB = TierB::NotPromised("metadata outside the grants stays visible");

pub const CASES: &[Case] = &[
    Case {
        number: 1,
        name: "secrets-of-the-home",
        attack: |ctx| {
            let paths: Vec<_> = SECRETS.iter().map(|name| ctx.world.home().join(name)).collect();
            json!({ "attack": "read-all", "paths": paths })
        },
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 1,
        name: "read-by-every-call",
        attack: |ctx| json!({ "attack": "read", "path": ctx.out.join("secret") }),
        granted: Some(&[Rule("*", Works)]),
        refused: HIDDEN,
        // openat with O_PATH is not restricted by Landlock; the reopening is.
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 1,
        name: "home-file",
        attack: |ctx| json!({ "attack": "read", "path": ctx.world.home().join("notes/todo") }),
        granted: Some(&[Rule("*", Works)]),
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 1,
        name: "secret-granted-as-dangerous",
        attack: |ctx| json!({ "attack": "read", "path": ctx.world.home().join(".ssh/id_rsa") }),
        granted: Some(&[Rule("*", Works)]),
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        granted_by: DANGEROUS,
        ..CASE
    },
    Case {
        number: 2,
        name: "prefix-of-a-grant",
        attack: |ctx| json!({ "attack": "read", "path": ctx.world.home().join(".ssh/id_rsa") }),
        // `.sshfoo` is granted to the suite's strict launch.
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 2,
        name: "longer-than-its-prefix",
        attack: |ctx| json!({ "attack": "read", "path": ctx.world.home().join(".sshfoo/readable") }),
        refused: &[Rule("*", Works)],
        ..CASE
    },
    Case {
        number: 3,
        name: "symlink-in-a-writable-grant",
        attack: |ctx| json!({ "attack": "symlink", "dir": ctx.rw, "path": ctx.out.join("secret") }),
        granted: Some(&[Rule("*", Works)]),
        refused: &[Rule("make", Works), Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("make", Works), Rule("*", Fails(&["EACCES"]))]),
        ..CASE
    },
    Case {
        number: 10,
        name: "existence",
        attack: |ctx| json!({ "attack": "look", "path": ctx.out.join("secret") }),
        granted: Some(&[Rule("inotify", WorksOr(&["ENOSYS", "EPERM"])), Rule("*", Works)]),
        refused: HIDDEN,
        tier_b: METADATA,
        ..CASE
    },
    Case {
        number: 10,
        name: "existence-in-the-home",
        attack: |ctx| json!({ "attack": "look", "path": ctx.world.home().join(".ssh/id_rsa") }),
        refused: HIDDEN,
        tier_b: METADATA,
        ..CASE
    },
    Case {
        number: 10,
        name: "list",
        attack: |ctx| json!({ "attack": "list", "path": ctx.out }),
        granted: Some(&[Rule("*", Works)]),
        refused: HIDDEN,
        tier_b: TierB::Differs(&[
            Rule("list", Fails(&["EACCES"])),
            Rule("chdir", Any("Landlock does not restrict chdir")),
        ]),
        ..CASE
    },
    Case {
        number: 10,
        name: "execute-outside",
        attack: |ctx| json!({ "attack": "execute", "path": ctx.out.join("program") }),
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 10,
        name: "execute-granted",
        prepare: |ctx| {
            let path = ctx.world.path("exec").join(format!("program-{}", ctx.world.unique()));
            crate::context::program(&path)?;
            ctx.world.identity.own(&path)?;
            ctx.aims.push(path);
            Ok(())
        },
        attack: |ctx| json!({ "attack": "execute", "path": ctx.aims[0] }),
        granted: Some(&[Rule("*", Works)]),
        refused: HIDDEN,
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 10,
        name: "execute-what-is-only-readable",
        attack: |ctx| json!({ "attack": "execute", "path": ctx.ro.join("program") }),
        refused: DENIED,
        ..CASE
    },
    Case {
        number: 10,
        name: "execute-what-is-only-writable",
        attack: |ctx| json!({ "attack": "execute", "path": ctx.rw.join("program") }),
        refused: DENIED,
        ..CASE
    },
    Case {
        number: 11,
        name: "file-handles",
        attack: |ctx| json!({ "attack": "handles", "path": ctx.ro.join("file") }),
        control: &[
            Rule("name_to_handle_at", Works),
            Rule("open_by_handle_at", Works),
            // Asked for no mount: EINVAL says that the kernel looked. Kernels before 6.8 have neither call.
            Rule("statmount", Fails(&["EINVAL", "ENOSYS"])),
            Rule("listmount", Fails(&["EINVAL", "ENOSYS"])),
        ],
        control_user: Some((
            "open_by_handle_at wants CAP_DAC_READ_SEARCH",
            &[
                Rule("name_to_handle_at", Works),
                Rule("open_by_handle_at", Fails(&["EPERM"])),
                Rule("statmount", Fails(&["EINVAL", "ENOSYS"])),
                Rule("listmount", Fails(&["EINVAL", "ENOSYS"])),
            ],
        )),
        refused: &[
            Rule("name_to_handle_at", Fails(&["EPERM"])),
            Rule("open_by_handle_at", Fails(&["EPERM"])),
            Rule("*", Fails(&["EPERM", "ENOSYS"])),
        ],
        ..CASE
    },
    Case {
        number: 12,
        name: "ways-around",
        attack: |ctx| json!({ "attack": "detours", "path": ctx.out.join("secret") }),
        granted: Some(&[
            // The jail's first process is not dumpable: its links are not followed even where they lead nowhere new.
            Rule("init-*", Fails(&["EACCES", "EPERM", "ENOENT"])),
            Rule("parent-root", WorksOr(&["EACCES"])),
            Rule("*", Works),
        ]),
        refused: &[
            Rule("init-*", Fails(&["EACCES", "EPERM", "ENOENT"])),
            Rule("parent-root", Fails(&["ENOENT", "EACCES"])),
            Rule("*", Fails(&["ENOENT"])),
        ],
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
    Case {
        number: 13,
        name: "all-calls-agree",
        attack: |ctx| json!({ "attack": "agree", "path": ctx.out.join("secret"), "target": ctx.ro.join("file") }),
        refused: &[Rule("read:*", Fails(&["ENOENT"])), Rule("write:*", Fails(&["EROFS", "EACCES"]))],
        tier_b: TierB::Differs(DENIED),
        ..CASE
    },
];
