//! Everything that can be done to a tree, and that each is found and named.

use super::*;
use std::fs::{File, FileTimes, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};

/// What is done to a tree, the path that is named, and a word of how.
type Deed = (&'static str, fn(&Path), &'static str, &'static str);

fn writable(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Does something in a directory and makes it look untouched.
fn within(directory: &Path, deed: impl FnOnce()) {
    let before = directory.metadata().unwrap();
    writable(directory);
    deed();
    fs::set_permissions(directory, Permissions::from_mode(0o555)).unwrap();
    restore(directory, &before);
}

fn restore(path: &Path, before: &fs::Metadata) {
    let times = FileTimes::new().set_accessed(before.accessed().unwrap()).set_modified(before.modified().unwrap());
    File::open(path).unwrap().set_times(times).unwrap();
}

/// Changes a file's bytes by way of an open descriptor and puts back its mode and mtime.
fn write_through(path: &Path, deed: impl FnOnce(&File)) {
    let before = path.metadata().unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    deed(&OpenOptions::new().write(true).open(path).unwrap());
    fs::set_permissions(path, Permissions::from_mode(before.mode() & 0o7777)).unwrap();
    restore(path, &before);
}

const SHARED: &str = "root/node_modules/dep/lib/shared.js";

const DEEDS: [Deed; 23] = [
    (
        "one byte, mtime restored",
        |tree| write_through(&tree.join(SHARED), |file| file.write_all_at(b"T", 0).unwrap()),
        SHARED,
        "contents",
    ),
    (
        "the last byte",
        |tree| write_through(&tree.join(SHARED), |file| file.write_all_at(b"T", 23_999).unwrap()),
        SHARED,
        "contents",
    ),
    ("cut", |tree| write_through(&tree.join(SHARED), |file| file.set_len(100).unwrap()), SHARED, "contents"),
    (
        "an empty file filled",
        |tree| write_through(&tree.join("root/node_modules/dep/nothing"), |file| file.write_all_at(b"x", 0).unwrap()),
        "root/node_modules/dep/nothing",
        "contents",
    ),
    (
        "a file added",
        |tree| {
            within(&tree.join("root/node_modules/empty"), || {
                fs::write(tree.join("root/node_modules/empty/index.js"), "evil").unwrap()
            })
        },
        "root/node_modules/empty/index.js",
        "added",
    ),
    (
        "a file added to the root",
        |tree| within(&tree.join("root"), || fs::write(tree.join("root/.npmrc"), "evil").unwrap()),
        "root/.npmrc",
        "added",
    ),
    (
        "a directory added",
        |tree| within(&tree.join("root/node_modules"), || fs::create_dir(tree.join("root/node_modules/zzz")).unwrap()),
        "root/node_modules/zzz",
        "added",
    ),
    (
        "a file removed",
        |tree| {
            within(&tree.join("root/node_modules/dep"), || {
                fs::remove_file(tree.join("root/node_modules/dep/nothing")).unwrap()
            })
        },
        "root/node_modules/dep/nothing",
        "gone",
    ),
    (
        "an empty directory removed",
        |tree| {
            within(&tree.join("root/node_modules"), || fs::remove_dir(tree.join("root/node_modules/empty")).unwrap())
        },
        "root/node_modules/empty",
        "gone",
    ),
    ("everything removed", |tree| remove::remove(&tree.join("root")).unwrap(), "root", "gone"),
    (
        "a link redirected",
        |tree| {
            within(&tree.join("root/node_modules"), || {
                fs::remove_file(tree.join("root/node_modules/link")).unwrap();
                symlink("dep/lib/../run.sh", tree.join("root/node_modules/link")).unwrap();
            })
        },
        "root/node_modules/link",
        "leads to `dep/lib/../run.sh`",
    ),
    (
        "a file for a link",
        |tree| {
            within(&tree.join("root/node_modules"), || {
                fs::copy(tree.join(SHARED), tree.join("copy")).unwrap();
                fs::remove_file(tree.join("root/node_modules/link")).unwrap();
                fs::rename(tree.join("copy"), tree.join("root/node_modules/link")).unwrap();
            })
        },
        "root/node_modules/link",
        "a file",
    ),
    (
        "a link for a file",
        |tree| {
            within(&tree.join("root"), || {
                fs::rename(tree.join("root/package.json"), tree.join("../../aside")).unwrap();
                symlink(tree.join("../../aside"), tree.join("root/package.json")).unwrap();
            })
        },
        "root/package.json",
        "a symbolic link",
    ),
    (
        "a link for a directory",
        |tree| {
            within(&tree.join("root/node_modules"), || {
                writable(&tree.join("root/node_modules/dep"));
                fs::rename(tree.join("root/node_modules/dep"), tree.join("../../aside")).unwrap();
                symlink(tree.join("../../aside"), tree.join("root/node_modules/dep")).unwrap();
            })
        },
        "root/node_modules/dep",
        "a symbolic link",
    ),
    (
        "another file of the same size",
        |tree| {
            within(&tree.join("root"), || {
                let (path, new) = (tree.join("root/package.json"), tree.join("new"));
                let before = path.metadata().unwrap();
                fs::write(&new, "x".repeat(usize::try_from(before.len()).unwrap())).unwrap();
                fs::set_permissions(&new, Permissions::from_mode(0o444)).unwrap();
                restore(&new, &before);
                fs::rename(new, path).unwrap();
            })
        },
        "root/package.json",
        "contents",
    ),
    (
        "another directory",
        |tree| {
            within(&tree.join("root/node_modules"), || {
                let dep = tree.join("root/node_modules/dep");
                writable(&dep);
                fs::rename(&dep, tree.join("../../aside")).unwrap();
                fs::create_dir_all(dep.join("lib")).unwrap();
                fs::write(dep.join("lib/shared.js"), "evil").unwrap();
                for directory in [dep.join("lib"), dep] {
                    fs::set_permissions(directory, Permissions::from_mode(0o555)).unwrap();
                }
            })
        },
        SHARED,
        "",
    ),
    (
        "execute bit",
        |tree| fs::set_permissions(tree.join("root/package.json"), Permissions::from_mode(0o555)).unwrap(),
        "root/package.json",
        "mode is 0555 now, not 0444",
    ),
    (
        "no execute bit",
        |tree| fs::set_permissions(tree.join("root/node_modules/dep/run.sh"), Permissions::from_mode(0o444)).unwrap(),
        "root/node_modules/dep/run.sh",
        "mode",
    ),
    (
        "the group may write",
        |tree| fs::set_permissions(tree.join("root/package.json"), Permissions::from_mode(0o464)).unwrap(),
        "root/package.json",
        "mode",
    ),
    (
        "others may write",
        |tree| fs::set_permissions(tree.join("root/node_modules"), Permissions::from_mode(0o777)).unwrap(),
        "root/node_modules",
        "mode",
    ),
    (
        "installed.json",
        |tree| write_through(&tree.join("meta/installed.json"), |file| file.write_all_at(b"[", 0).unwrap()),
        "meta/installed.json",
        "contents",
    ),
    (
        "the manifest",
        |tree| write_through(&tree.join("manifest"), |file| file.write_all_at(b"x", 20).unwrap()),
        "manifest",
        "contents",
    ),
    ("no manifest", |tree| fs::remove_file(tree.join("manifest")).unwrap(), "manifest", "gone"),
];

/// At every depth, with an index that knew the tree and with none.
#[test]
fn every_change_is_found_and_named() {
    for (name, deed, path, word) in DEEDS {
        for (depth, indexed) in [(Depth::Quick, true), (Depth::Quick, false), (Depth::Deep, true)] {
            let world = World::new();
            let tree = world.keep("one").tree;
            assert_eq!(world.store.verify(&tree, Depth::Quick).unwrap().hashed, 0);
            deed(&world.store.tree_dir(&tree));
            if !indexed {
                fs::remove_file(world.path(&tree, "index")).unwrap();
            }
            // Twice: a tree that was found changed is not learnt.
            for _ in 0..2 {
                match world.store.verify(&tree, depth) {
                    Err(StoreError::Tampered { path: named, what }) => {
                        assert!(what.contains(word), "{name}: {what}");
                        // Of several things that are wrong any may be named; here the first one is, or one beside it.
                        let wanted = world.path(&tree, path);
                        let near = named.starts_with(wanted.parent().unwrap().parent().unwrap());
                        assert!(named == wanted || (word.is_empty() && near), "{name}: {named:?}");
                    }
                    other => panic!("{name}, {depth:?}, indexed {indexed}: {other:?}"),
                }
            }
        }
    }
}

/// A tree is repaired by adding it again, whatever was done to it.
#[test]
fn every_change_is_repaired() {
    for (name, deed, ..) in DEEDS {
        let world = World::new();
        let tree = world.keep("one").tree;
        deed(&world.store.tree_dir(&tree));
        let again = world.keep("one");
        assert_eq!(again.tree, tree, "{name}");
        assert_eq!(world.store.verify(&tree, Depth::Deep).unwrap().hashed, 6);
        assert_eq!(world.store.verify(&tree, Depth::Quick).unwrap().hashed, 0);
    }
}

#[test]
fn others_files_are_not_trusted() {
    let world = World::new();
    let tree = world.keep("one").tree;
    let dir = world.store.tree_dir(&tree);
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    assert!(world.store.verify(&tree, Depth::Quick).unwrap_err().to_string().contains("others can write it"));
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    assert!(world.store.verify(&tree, Depth::Quick).is_ok());
    // Nor is what lies in a directory where others could put another tree in its place.
    for above in [world.store.trees_dir(), world.store.dir()] {
        fs::set_permissions(&above, Permissions::from_mode(0o770)).unwrap();
        assert!(world.store.verify(&tree, Depth::Quick).unwrap_err().to_string().contains("others can write it"));
        fs::set_permissions(&above, Permissions::from_mode(0o700)).unwrap();
    }
    assert!(world.store.verify(&tree, Depth::Quick).is_ok());
    // Only root can give a file away.
    if dir.metadata().unwrap().uid() == 0 {
        for path in ["root/package.json", "root/node_modules/link", "root/node_modules/empty"] {
            std::os::unix::fs::lchown(dir.join(path), Some(12345), None).unwrap();
            let error = world.store.verify(&tree, Depth::Quick).unwrap_err().to_string();
            assert!(error.contains("belongs to user 12345") && error.contains(path), "{error}");
            std::os::unix::fs::lchown(dir.join(path), Some(0), None).unwrap();
        }
    }
}

/// A file that a hard link elsewhere was written through is the store's own file.
#[test]
fn a_link_elsewhere_is_no_way_in() {
    let world = World::new();
    let tree = world.keep("one").tree;
    let elsewhere = world.dir.path().join("elsewhere");
    fs::hard_link(world.path(&tree, SHARED), &elsewhere).unwrap();
    // A link alone changes nothing but the change time: hashed once, and remembered when the clock has moved on.
    assert_eq!(world.store.verify(&tree, Depth::Quick).unwrap().hashed, 1);
    let healed = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        world.store.verify(&tree, Depth::Quick).unwrap().hashed == 0
    });
    assert!(healed);
    write_through(&elsewhere, |file| file.write_all_at(b"T", 5).unwrap());
    let error = world.store.verify(&tree, Depth::Quick).unwrap_err();
    assert!(matches!(&error, StoreError::Tampered { path, .. } if *path == world.path(&tree, SHARED)), "{error}");
}

/// What is in the index decides over time only.
#[test]
fn an_index_that_lies_or_is_broken() {
    let world = World::new();
    let (one, two) = (world.keep("one").tree, world.keep("two").tree);
    let index = world.path(&one, "index");
    let right = fs::read(&index).unwrap();
    for wrong in [
        Vec::new(),
        right[..right.len() - 1].to_vec(),
        fs::read(world.path(&two, "index")).unwrap(),
        vec![0xff; right.len()],
        [&right[..56], &vec![0; right.len() - 56]].concat(),
    ] {
        fs::write(&index, &wrong).unwrap();
        assert_eq!(world.store.verify(&one, Depth::Quick).unwrap().hashed, 6);
        assert_eq!(fs::read(&index).unwrap(), right, "it is written anew");
        assert_eq!(world.store.verify(&one, Depth::Quick).unwrap().hashed, 0);
    }
    // One that others could have written is not believed, however right it is.
    fs::set_permissions(&index, Permissions::from_mode(0o666)).unwrap();
    assert_eq!(world.store.verify(&one, Depth::Quick).unwrap().hashed, 6);
    assert_eq!(index.metadata().unwrap().mode() & 0o777, 0o600);
    // One that is no file is no index either.
    fs::remove_file(&index).unwrap();
    symlink(world.path(&two, "index"), &index).unwrap();
    assert_eq!(world.store.verify(&one, Depth::Quick).unwrap().hashed, 6);
    // And a tree in which nothing can be written costs time only.
    fs::remove_file(&index).unwrap();
    remove::remove(&world.store.stages()).unwrap();
    for _ in 0..2 {
        assert_eq!(world.store.verify(&one, Depth::Quick).unwrap().hashed, 6);
    }
}

/// The deep way also sees what no jail would show.
#[test]
fn beside_the_root() {
    let world = World::new();
    let tree = world.keep("one").tree;
    fs::write(world.path(&tree, "more"), "").unwrap();
    assert!(world.store.verify(&tree, Depth::Quick).is_ok());
    assert!(world.store.verify(&tree, Depth::Deep).unwrap_err().to_string().contains("it was added"));
}

#[test]
fn what_is_not_there_is_missing() {
    let world = World::new();
    let tree = Digest::of_bytes(b"none");
    assert!(matches!(world.store.verify(&tree, Depth::Quick), Err(StoreError::Missing { .. })));
    assert!(matches!(world.store.describe(&tree), Err(StoreError::Missing { .. })));
    let kept = world.keep("one").tree;
    // A whole tree under another one's address, and a link in the place of a tree.
    fs::rename(world.store.tree_dir(&kept), world.store.tree_dir(&tree)).unwrap();
    assert!(matches!(world.store.verify(&tree, Depth::Quick), Err(StoreError::Tampered { .. })));
    symlink(world.store.tree_dir(&tree), world.store.tree_dir(&kept)).unwrap();
    assert!(matches!(world.store.verify(&kept, Depth::Quick), Err(StoreError::Tampered { .. })));
}

/// `describe` and `meta` read nothing that was changed.
#[test]
fn what_is_read_is_what_was_added() {
    let world = World::new();
    let tree = world.keep("one").tree;
    write_through(&world.path(&tree, "meta/installed.json"), |file| file.write_all_at(b" ", 0).unwrap());
    assert!(matches!(world.store.describe(&tree), Err(StoreError::Tampered { .. })));
    assert!(world.store.meta(&tree, "package-lock.json").is_ok());
    within(&world.path(&tree, "meta"), || fs::remove_file(world.path(&tree, "meta/package-lock.json")).unwrap());
    assert!(matches!(world.store.meta(&tree, "package-lock.json"), Err(StoreError::Tampered { .. })));
}
