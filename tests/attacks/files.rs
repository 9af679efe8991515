//! Cases 5-9, 14, 15, 53 of writing: what can be changed, made or loosened.

use crate::case::{CASE, Case, Launch, TierB};
use crate::context::{Ctx, Phase};
use crate::support::expect::{Rule, Want::*};
use crate::support::world::{CONFIGURATIONS, SECRET};
use serde_json::json;
use std::fs;

const READ_ONLY: &[&str] = &["EROFS", "EACCES"];
const ELSEWHERE: &[&str] = &["EXDEV", "EROFS", "EACCES", "EPERM"];
const ALL_WORK: Option<&[Rule]> = Some(&[Rule("*", Works)]);

/// Nothing but what was planted lies in the readable directory.
fn no_litter(ctx: &Ctx) -> Result<(), String> {
    if ctx.phase == Phase::Control {
        return Ok(());
    }
    for (dir, planted) in
        [(ctx.ro.clone(), &[".git", "empty", "file", "program"][..]), (ctx.ro.join(".git/hooks"), &[])]
    {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if !planted.contains(&entry.file_name().to_string_lossy().as_ref()) {
                return Err(format!("litter on the real disk: {}", entry.path().display()));
            }
        }
    }
    unharmed(ctx)
}

/// The readable file still has its content.
fn unharmed(ctx: &Ctx) -> Result<(), String> {
    if ctx.phase == Phase::Control {
        return Ok(());
    }
    match fs::read_to_string(ctx.ro.join("file")) {
        Ok(text) if text == "0123456789" => Ok(()),
        other => Err(format!("the read-only file changed: {other:?}")),
    }
}

/// Where the attack aims: at the writable directory when that is granted, else at the readable one.
fn target(ctx: &Ctx) -> std::path::PathBuf {
    if ctx.phase == Phase::Granted { ctx.rw.clone() } else { ctx.ro.clone() }
}

/// Protected names inside a writable grant, as a profile says it.
const ISLANDS: Launch = Launch {
    name: "islands",
    options: |world, _| {
        let rw = world.path("rw");
        let islands = rw.join("island/.git");
        fs::create_dir_all(islands.join("hooks"))?;
        fs::write(islands.join("config"), "[core]\n")?;
        world.identity.own(&rw.join("island"))?;
        let profile = world.profile(&format!(
            "version = 1\n[jail.files]\nwrite = [{rw:?}]\ndeny-write = [{:?}, {:?}]\n",
            islands.join("hooks"),
            islands.join("config"),
        ))?;
        Ok(vec!["--profile".into(), profile.into()])
    },
    env: &[],
};

pub const CASES: &[Case] = &[
    Case {
        number: 5,
        name: "link-a-secret-into-the-grant",
        attack: |ctx| json!({ "attack": "link", "from": ctx.out.join("secret"), "dir": ctx.rw }),
        refused: &[Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(ELSEWHERE))]),
        ..CASE
    },
    Case {
        number: 5,
        name: "link-a-readable-file-into-the-grant",
        attack: |ctx| json!({ "attack": "link", "from": ctx.ro.join("file"), "dir": ctx.rw }),
        refused: &[Rule("*", Fails(ELSEWHERE))],
        verify: unharmed,
        ..CASE
    },
    Case {
        number: 6,
        name: "rename-onto-a-protected-file",
        attack: |ctx| {
            let gone = ctx.phase == Phase::Refused;
            json!({ "attack": "rename", "dir": ctx.rw, "to": target(ctx).join("file"), "gone": gone })
        },
        granted: ALL_WORK,
        refused: &[Rule("beside", Fails(&["EROFS", "EACCES"])), Rule("*", Fails(ELSEWHERE))],
        verify: no_litter,
        ..CASE
    },
    Case {
        number: 7,
        name: "create-in-a-readable-directory",
        attack: |ctx| json!({ "attack": "create", "dir": target(ctx), "names": [".git/hooks/pre-commit", ".mcp.json"] }),
        granted: ALL_WORK,
        refused: &[
            // Node making is also a system call that a filter may refuse by its mode.
            Rule("fifo", Fails(&["EROFS", "EACCES", "EPERM"])),
            Rule("regular", Fails(&["EROFS", "EACCES", "EPERM"])),
            Rule("bind", Fails(&["EROFS", "EACCES", "EPERM", "EAFNOSUPPORT"])),
            Rule("*", Fails(READ_ONLY)),
        ],
        verify: no_litter,
        ..CASE
    },
    Case {
        number: 7,
        name: "create-outside",
        attack: |ctx| json!({ "attack": "create", "dir": ctx.out, "names": [".mcp.json"] }),
        refused: &[Rule("bind", Fails(&["ENOENT", "EAFNOSUPPORT"])), Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[
            Rule("fifo", Fails(&["EACCES", "EPERM"])),
            Rule("regular", Fails(&["EACCES", "EPERM"])),
            Rule("bind", Fails(&["EACCES", "EPERM", "EAFNOSUPPORT"])),
            Rule("*", Fails(&["EACCES"])),
        ]),
        ..CASE
    },
    Case {
        number: 8,
        name: "truncate",
        attack: |ctx| json!({ "attack": "truncate", "path": target(ctx).join("file") }),
        granted: ALL_WORK,
        refused: &[Rule("*", Fails(READ_ONLY))],
        verify: unharmed,
        ..CASE
    },
    Case {
        number: 8,
        name: "write",
        attack: |ctx| json!({ "attack": "write", "path": target(ctx).join("file") }),
        control: &[Rule("mmap", Fails(&["EACCES"])), Rule("*", Works)],
        granted: Some(&[Rule("mmap", Fails(&["EACCES"])), Rule("*", Works)]),
        refused: &[Rule("*", Fails(READ_ONLY))],
        verify: unharmed,
        ..CASE
    },
    Case {
        number: 8,
        name: "delete",
        attack: |ctx| json!({ "attack": "delete", "dir": target(ctx) }),
        granted: ALL_WORK,
        refused: &[Rule("*", Fails(READ_ONLY))],
        verify: no_litter,
        ..CASE
    },
    Case {
        number: 9,
        name: "metadata",
        attack: |ctx| json!({ "attack": "metadata", "path": target(ctx).join("file") }),
        control: &[
            Rule("fchmodat2", WorksOr(&["ENOSYS"])),
            Rule("setxattrat", WorksOr(&["ENOSYS"])),
            Rule("file_setattr", WorksOr(&["ENOSYS"])),
            Rule("setflags", WorksOr(&["ENOTTY", "EOPNOTSUPP"])),
            Rule("*", Works),
        ],
        granted: Some(&[
            // Changing owners is a group of its own; newer calls and inode flags may be unknown to the filter.
            Rule("chown", WorksOr(&["EPERM"])),
            Rule("fchown", WorksOr(&["EPERM"])),
            Rule("fchownat", WorksOr(&["EPERM"])),
            Rule("fchmodat2", WorksOr(&["ENOSYS"])),
            Rule("setxattrat", WorksOr(&["ENOSYS", "EPERM"])),
            Rule("file_setattr", WorksOr(&["ENOSYS", "EPERM"])),
            Rule("setflags", WorksOr(&["ENOTTY", "EOPNOTSUPP", "EPERM", "EACCES"])),
            Rule("*", Works),
        ]),
        refused: &[
            Rule("chown", Fails(&["EROFS", "EPERM"])),
            Rule("fchown", Fails(&["EROFS", "EPERM"])),
            Rule("fchownat", Fails(&["EROFS", "EPERM"])),
            Rule("fchmodat2", Fails(&["EROFS", "ENOSYS"])),
            Rule("setxattrat", Fails(&["EROFS", "ENOSYS", "EPERM"])),
            Rule("file_setattr", Fails(&["EROFS", "ENOSYS", "EPERM"])),
            Rule("setflags", Fails(&["EROFS", "ENOTTY", "EOPNOTSUPP", "EPERM", "EACCES"])),
            Rule("*", Fails(&["EROFS"])),
        ],
        tier_b: TierB::NotPromised("Landlock does not restrict mode, owner, times and attributes"),
        ..CASE
    },
    Case {
        number: 14,
        name: "device-nodes",
        attack: |ctx| json!({ "attack": "mknod", "dir": ctx.rw }),
        // A device 0:0 is overlayfs's mark for a deleted file; anyone may make it since Linux 5.8.
        control_user: Some(("mknod wants CAP_MKNOD", &[Rule("whiteout", Works), Rule("*", Fails(&["EPERM"]))])),
        refused: &[Rule("*", Fails(&["EPERM", "EACCES"]))],
        ..CASE
    },
    Case {
        number: 14,
        name: "dev",
        attack: |_| json!({ "attack": "dev" }),
        control: &[
            Rule("good:*", Works),
            Rule("extra", Works),
            Rule("bad:tty", WorksOr(&["ENOENT"])),
            Rule("*", Any("what a machine has differs; absent ones are there for others")),
        ],
        refused: &[
            Rule("good:*", Works),
            Rule("bad:*", Fails(&["ENOENT"])),
            Rule("open:*", Fails(&["ENOENT"])),
            Rule("extra", Nothing),
        ],
        tier_b: TierB::Differs(&[
            Rule("good:*", Works),
            Rule("bad:*", Any("existence is metadata")),
            Rule("open:*", Fails(&["EACCES", "ENOENT"])),
            Rule("extra", Any("existence is metadata")),
        ]),
        ..CASE
    },
    Case {
        number: 15,
        name: "odd-names-in-a-grant",
        attack: |ctx| json!({ "attack": "odd-names", "dir": ctx.rw.join("empty") }),
        refused: &[Rule("*", Works)],
        verify: |ctx| {
            let names = fs::read_dir(ctx.rw.join("empty")).map_err(|error| error.to_string())?;
            match names.count() {
                6 => Ok(()),
                other => Err(format!("{other} of 6 names on the real disk")),
            }
        },
        ..CASE
    },
    Case {
        number: 53,
        name: "own-configuration",
        attack: |ctx| {
            let paths: Vec<_> = CONFIGURATIONS.iter().map(|name| ctx.world.home().join(name)).collect();
            json!({ "attack": "tamper", "paths": paths })
        },
        refused: &[Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EACCES"]))]),
        verify: |ctx| {
            let changed = CONFIGURATIONS
                .iter()
                .find(|name| fs::read_to_string(ctx.world.home().join(name)).map_or(true, |text| text != SECRET));
            changed.map_or(Ok(()), |name| Err(format!("`{name}` changed")))
        },
        ..CASE
    },
    Case {
        number: 53,
        name: "read-own-configuration",
        attack: |ctx| {
            let paths: Vec<_> = CONFIGURATIONS.iter().map(|name| ctx.world.home().join(name)).collect();
            json!({ "attack": "read-all", "paths": paths })
        },
        refused: &[Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EACCES"]))]),
        ..CASE
    },
    Case {
        number: 53,
        name: "write-in-an-island",
        attack: |ctx| {
            let path =
                if ctx.phase == Phase::Refused { ctx.world.path("rw/island/.git/config") } else { ctx.rw.join("file") };
            json!({ "attack": "tamper", "paths": [path] })
        },
        granted: ALL_WORK,
        refused: &[Rule("*", Fails(READ_ONLY))],
        tier_b: TierB::NotPromised("Landlock cannot take away below what it has given"),
        refused_by: ISLANDS,
        ..CASE
    },
    Case {
        number: 53,
        name: "create-in-an-island",
        attack: |ctx| {
            let dir = if ctx.phase == Phase::Refused {
                ctx.world.path("rw/island/.git/hooks")
            } else {
                ctx.rw.join(".git/hooks")
            };
            json!({ "attack": "create", "dir": dir, "names": ["pre-commit"] })
        },
        granted: ALL_WORK,
        refused: &[
            Rule("fifo", Fails(&["EROFS", "EACCES", "EPERM"])),
            Rule("regular", Fails(&["EROFS", "EACCES", "EPERM"])),
            Rule("*", Fails(READ_ONLY)),
        ],
        tier_b: TierB::NotPromised("Landlock cannot take away below what it has given"),
        refused_by: ISLANDS,
        ..CASE
    },
];
