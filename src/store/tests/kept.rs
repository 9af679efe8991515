//! What a stage becomes, and what it may not hold.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_stage_becomes_a_tree() {
    let world = World::new();
    let stage = world.stage("one");
    let path = stage.path().to_path_buf();
    let kept = world.store.keep(stage, &installed("one")).unwrap();
    assert!(!path.exists());
    // Four in root, two in meta.
    assert_eq!((kept.files, kept.shared), (6, 0));
    let root = world.store.root(&kept.tree);
    assert_eq!(fs::read_to_string(root.join("package.json")).unwrap(), "{\"name\": \"one\"}");
    assert_eq!(fs::read_link(root.join("node_modules/link")).unwrap(), Path::new("dep/lib/shared.js"));
    for (path, wanted) in [
        ("root", 0o555),
        ("meta", 0o555),
        ("root/node_modules/empty", 0o555),
        ("root/package.json", 0o444),
        ("root/node_modules/dep/run.sh", 0o555),
        ("meta/installed.json", 0o444),
        ("manifest", 0o444),
    ] {
        assert_eq!(mode(&world.path(&kept.tree, path)), wanted, "{path}");
    }
    assert!(!world.path(&kept.tree, "scratch").exists());
    let manifest = fs::read(world.path(&kept.tree, "manifest")).unwrap();
    assert_eq!(Digest::of_bytes(&manifest), kept.tree);
    for (depth, hashed) in [(Depth::Quick, 0), (Depth::Deep, 6), (Depth::Quick, 0)] {
        let checked = world.store.verify(&kept.tree, depth).unwrap();
        assert_eq!((checked.paths, checked.hashed), (13, hashed));
    }
    assert_eq!(world.store.describe(&kept.tree).unwrap(), installed("one"));
    assert_eq!(world.store.meta(&kept.tree, "package-lock.json").unwrap().unwrap(), b"lock of one");
    for absent in ["requirements.lock", "../manifest", "", ".."] {
        assert_eq!(world.store.meta(&kept.tree, absent).unwrap(), None);
    }
}

/// The address does not depend on where, when or in which order a tree was made, nor on its modes but for the one bit.
#[test]
fn the_same_contents_have_the_same_address() {
    let (one, other) = (World::new(), World::new());
    let first = one.keep("same");
    let stage = other.stage("same");
    let file = stage.root().join("package.json");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(stage.root().join("node_modules"), Permissions::from_mode(0o700)).unwrap();
    let second = other.store.keep(stage, &installed("same")).unwrap();
    assert_eq!(first.tree, second.tree);
    // Whatever is different gives another one.
    let changes: [fn(&Path); 6] = [
        |root| fs::write(root.join("package.json"), "{}").unwrap(),
        |root| fs::write(root.join("more"), "").unwrap(),
        |root| fs::remove_file(root.join("node_modules/link")).unwrap(),
        |root| fs::remove_dir(root.join("node_modules/empty")).unwrap(),
        |root| fs::rename(root.join("node_modules/empty"), root.join("empty")).unwrap(),
        |root| fs::set_permissions(root.join("package.json"), Permissions::from_mode(0o755)).unwrap(),
    ];
    let mut trees = vec![first.tree];
    for change in changes {
        let stage = one.stage("same");
        change(&stage.root());
        trees.push(one.store.keep(stage, &installed("same")).unwrap().tree);
    }
    trees.push(one.store.keep(one.stage("same"), &installed("other")).unwrap().tree);
    trees.sort();
    trees.dedup();
    assert_eq!(trees.len(), 8);
}

/// Files are shared between trees; after that none of the trees needs to be hashed again.
#[test]
fn files_are_shared() {
    let world = World::new();
    let first = world.keep("one");
    let second = world.keep("two");
    assert_ne!(first.tree, second.tree);
    assert_eq!(second.shared, 24_000 + 10);
    let path = "root/node_modules/dep/lib/shared.js";
    let inode = |tree| world.path(tree, path).metadata().unwrap().ino();
    assert_eq!(inode(&first.tree), inode(&second.tree));
    for tree in [first.tree, second.tree] {
        assert_eq!(world.store.verify(&tree, Depth::Quick).unwrap().hashed, 0);
    }
    // The same once more is found there.
    let again = world.keep("one");
    assert_eq!((again.tree, again.shared, again.bytes), (first.tree, first.bytes, first.bytes));
    assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 0);
}

/// An object that is not what its name says poisons no tree.
#[test]
fn a_changed_object_is_replaced() {
    let world = World::new();
    let first = world.keep("one");
    let shared = world.path(&first.tree, "root/node_modules/dep/lib/shared.js");
    fs::set_permissions(&shared, Permissions::from_mode(0o644)).unwrap();
    fs::write(&shared, "not the same in all of them\n").unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o444)).unwrap();
    assert!(matches!(world.store.verify(&first.tree, Depth::Quick), Err(StoreError::Tampered { .. })));
    let second = world.keep("two");
    assert_eq!(world.store.verify(&second.tree, Depth::Deep).unwrap().hashed, 6);
    // And a tree that was changed is repaired by the same add.
    let again = world.keep("one");
    assert_eq!(again.tree, first.tree);
    assert_eq!(world.store.verify(&first.tree, Depth::Deep).unwrap().hashed, 6);
    assert_eq!(world.store.verify(&first.tree, Depth::Quick).unwrap().hashed, 0);
    assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 1, "`first` is held, so the changed tree stays");
    drop(first);
    let _sweeps = world.store.stage().unwrap();
    assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 1);
}

#[test]
fn names_may_be_any_bytes() {
    let world = World::new();
    let stage = world.stage("odd");
    let names: [&[u8]; 10] =
        [b"\xff\xfe", b"new\nline", b"\x1b[2J", b" ", b"-rf", b"...", b"u", b"\\", b"a\tb", &[b'n'; 255]];
    for name in names {
        fs::create_dir(stage.root().join(OsStr::from_bytes(name))).unwrap();
        fs::write(stage.root().join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)), name).unwrap();
        symlink(OsStr::from_bytes(name), stage.root().join(OsStr::from_bytes(name)).join("link")).unwrap();
    }
    let kept = world.store.keep(stage, &installed("odd")).unwrap();
    assert_eq!(world.store.verify(&kept.tree, Depth::Deep).unwrap().hashed, 16);
    assert_eq!(world.store.verify(&kept.tree, Depth::Quick).unwrap().hashed, 0);
    let path = world.store.root(&kept.tree).join(OsStr::from_bytes(b"\x1b[2J"));
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let error = world.store.verify(&kept.tree, Depth::Quick).unwrap_err().to_string();
    assert!(error.contains("\\u{1b}[2J") && !error.contains('\x1b'), "{error}");
}

#[test]
fn deep_trees_are_kept_up_to_a_limit() {
    let world = World::new();
    for (depth, fits) in [(150, true), (220, false)] {
        let stage = world.stage("deep");
        let deep = (0..depth).fold(stage.root(), |path, _| path.join("d"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "down here").unwrap();
        match world.store.keep(stage, &installed("deep")) {
            Ok(kept) => {
                assert!(fits);
                assert_eq!(world.store.verify(&kept.tree, Depth::Deep).unwrap().hashed, 7);
            }
            Err(error) => assert!(!fits && matches!(error, StoreError::Unfit { .. }), "{error}"),
        }
    }
    assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 0);
}

/// Each is refused by name, and nothing of it stays.
#[test]
fn what_is_no_file_is_refused() {
    let world = World::new();
    let _first = world.keep("one");
    let before = world.inventory();
    let run = |program: &str, arguments: &[&OsStr]| {
        assert!(Command::new(program).args(arguments).status().unwrap().success())
    };
    type Make<'a> = (&'a str, &'a dyn Fn(&Path));
    let make: [Make<'_>; 6] = [
        ("a FIFO", &|path| run("mkfifo", &[path.as_os_str()])),
        ("a socket", &|path| drop(UnixListener::bind(path).unwrap())),
        ("set-user-id", &|path| {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o4755)).unwrap();
        }),
        ("set-group-id", &|path| {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o2755)).unwrap();
        }),
        ("leads out of it", &|path| symlink("/etc/passwd", path).unwrap()),
        ("leads out of it", &|path| symlink("../../meta/installed.json", path).unwrap()),
    ];
    for (reason, make) in make {
        let stage = world.stage("bad");
        make(&stage.root().join("node_modules/bad"));
        let error = world.store.keep(stage, &installed("bad")).unwrap_err();
        let StoreError::Unfit { path, reason: said } = &error else { panic!("{error}") };
        assert_eq!(path, Path::new("root/node_modules/bad"));
        assert!(said.contains(reason), "{said}");
        assert_eq!(world.inventory(), before);
    }
    // Only root can make a device.
    let stage = world.stage("bad");
    let device = stage.root().join("null");
    let made = Command::new("mknod").arg(&device).args(["c", "1", "3"]).output().unwrap().status.success();
    assert_eq!(world.store.keep(stage, &installed("bad")).is_err(), made);
}

/// Where links lead decides, not how they look.
#[test]
fn links_stay_inside() {
    let world = World::new();
    let attempt = |links: &[(&str, &str)], outside: &[(&str, &str)]| {
        let mut stage = world.stage("links");
        fs::create_dir_all(stage.root().join("a/b/c")).unwrap();
        for (link, target) in links {
            symlink(target, stage.root().join(link)).unwrap();
        }
        for (link, target) in outside {
            stage.allow_outside(link.into(), target.into());
        }
        let kept = world.store.keep(stage, &installed("links"));
        assert!(kept.as_ref().is_ok_and(|_| true) || matches!(kept, Err(StoreError::Unfit { .. })));
        kept.is_ok()
    };
    assert!(attempt(&[("a/b/up", "../../package.json"), ("dangling", "nowhere/at/all"), ("loop", "loop")], &[]));
    assert!(attempt(&[("a/b/c/top", "../../.."), ("through", "a/b/c/top/package.json")], &[]));
    for links in [
        &[("x", "/")][..],
        &[("x", "..")],
        &[("x", "../root")],
        &[("x", "a/../../meta")],
        &[("x", "nowhere/../../meta")],
        // `deep/..` is `a/b`, and two above that is the root; three is not.
        &[("deep", "a/b/c"), ("x", "deep/../../../..")],
        &[("a/b/c/top", "../../.."), ("x", "a/b/c/top/../meta")],
        &[("x", "./a/./b/../../..//meta")],
    ] {
        assert!(!attempt(links, &[]), "{links:?}");
    }
    // By its words alone this one stays: `short/../..` looks as if it left, and is `a/b`.
    assert!(attempt(&[("short", "a/b/c/d"), ("a/b/c/d", "../c"), ("x", "short/../..")], &[]));
    let python = ("venv/bin/python", "/usr/bin/python3.11");
    let with = |links: &[(&str, &str)], outside: &[(&str, &str)]| {
        let mut stage = world.stage("venv");
        fs::create_dir_all(stage.root().join("venv/bin")).unwrap();
        for (link, target) in links {
            symlink(target, stage.root().join(link)).unwrap();
        }
        for (link, target) in outside {
            stage.allow_outside(link.into(), target.into());
        }
        world.store.keep(stage, &installed("venv")).is_ok()
    };
    assert!(with(&[python, ("venv/bin/python3", "python")], &[python]));
    assert!(!with(&[python], &[]));
    assert!(!with(&[("venv/bin/python", "/usr/bin/perl")], &[python]));
    assert!(!with(&[("venv/bin/other", "/usr/bin/python3.11")], &[python]));
    // Not through it: it may be a directory one day.
    assert!(!with(&[python, ("venv/x", "bin/python/../../etc")], &[python]));
}

/// An installer may take rights from its own files, and leave names of them elsewhere.
#[test]
fn files_that_others_hold_become_copies() {
    let world = World::new();
    let stage = world.stage("one");
    let outside = world.dir.path().join("outside");
    fs::write(&outside, "written later through this name").unwrap();
    fs::hard_link(&outside, stage.root().join("linked")).unwrap();
    fs::hard_link(stage.root().join("package.json"), stage.root().join("twice")).unwrap();
    let locked = stage.root().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::write(locked.join("file"), "x").unwrap();
    fs::set_permissions(locked.join("file"), Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o0)).unwrap();
    let kept = world.store.keep(stage, &installed("one")).unwrap();
    let metadata = outside.metadata().unwrap();
    assert_eq!(metadata.nlink(), 1);
    assert_eq!(metadata.mode() & 0o222, 0o200, "the modes of the other name are its own");
    fs::write(&outside, "changed").unwrap();
    assert_eq!(world.store.verify(&kept.tree, Depth::Deep).unwrap().hashed, 9);
}

/// Where an inode can have no more names a file is one of its own.
#[test]
fn too_many_names() {
    let mut world = World::new();
    world.store.most_links = 3;
    let trees: Vec<Kept> = ["one", "two", "three", "four"].map(|name| world.keep(name)).into();
    let inodes: Vec<u64> = trees
        .iter()
        .map(|kept| world.path(&kept.tree, "root/node_modules/dep/lib/shared.js").metadata().unwrap().ino())
        .collect();
    assert_eq!(inodes[0], inodes[1]);
    assert!(inodes[2] != inodes[0] && inodes[3] != inodes[2] && inodes[3] != inodes[0]);
    assert_eq!(trees[3].shared, 0);
    for kept in &trees {
        assert_eq!(world.store.verify(&kept.tree, Depth::Deep).unwrap().hashed, 6);
        assert_eq!(world.store.verify(&kept.tree, Depth::Quick).unwrap().hashed, 0);
    }
}
