//! A full disk, and other file systems in the place of a tree's: both need a mount namespace of their own.

use super::*;
use crate::sys::own_network::{in_own_network, own_mounts};
use crate::sys::{fd, mount};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

fn open(path: &Path) -> std::os::fd::OwnedFd {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    fd::open_at(None, &path, libc::O_PATH, 0).unwrap()
}

/// A file system in memory over a directory.
fn memory(path: &Path, options: &[(&CStr, &CStr)]) {
    let tree = mount::file_system(c"tmpfs", options, 0).unwrap();
    mount::attach_on(tree.as_fd(), open(path).as_fd()).unwrap();
}

/// At whatever point of an add the disk is full: it is told as that, and nothing is left behind.
#[test]
fn a_full_disk() {
    in_own_network("store::tests::room::a_full_disk", || {
        own_mounts();
        let world = World::new();
        memory(&world.store.data_dir, &[(c"size", c"400k")]);
        let first = world.keep("one");
        write_record(&world.store, &record("one", first.tree, None), "one");
        let before = world.inventory();
        let (mut full, mut done) = (0, 0);
        // What the next add finds free, from nothing to enough.
        for ballast in (0..400).step_by(4).rev() {
            let filler = world.store.data_dir.join("filler");
            if fs::write(&filler, vec![1_u8; ballast << 10]).is_err() {
                fs::remove_file(&filler).unwrap();
                continue;
            }
            let fill = || -> Result<Kept, StoreError> {
                let stage = world.store.stage()?;
                for number in 0..10 {
                    let path = stage.root().join(format!("file-{number}"));
                    fs::write(&path, [number; 5000]).map_err(|error| StoreError::io("write", path, error))?;
                }
                let kept = world.store.keep(stage, &installed("two"))?;
                let claim = world.store.claim("two")?;
                let text = serde_json::to_string(&record("two", kept.tree, None)).unwrap();
                world.store.commit(&claim, &[Change::Write { path: world.store.record_path("two"), text }])?;
                Ok(kept)
            };
            match fill() {
                Ok(kept) => {
                    assert!(world.store.verify(&kept.tree, Depth::Deep).is_ok());
                    done += 1;
                    drop(kept);
                    fs::remove_file(&filler).unwrap();
                    let _freed = world.store.collect(&|name| name == "one", false).unwrap();
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}, {ballast}");
                    full += 1;
                    fs::remove_file(&filler).unwrap();
                    // A tree that no record was written for is garbage, but nothing else is there.
                    let _freed = world.store.collect(&|name| name == "one", false).unwrap();
                }
            }
            assert_eq!(world.inventory(), before, "{ballast}");
            assert!(world.store.verify(&first.tree, Depth::Deep).is_ok());
        }
        assert!(full > 5 && done > 5, "{full} {done}");
    });
}

/// An add that fails takes back what it had put among the objects, without a collection.
#[test]
fn a_failed_add_leaves_nothing() {
    in_own_network("store::tests::room::a_failed_add_leaves_nothing", || {
        own_mounts();
        let world = World::new();
        // Names take no room here, so it is inodes that run out: in the middle of the objects' directories.
        memory(&world.store.data_dir, &[(c"nr_inodes", c"120")]);
        let _first = world.keep("one");
        let before = world.inventory();
        let mut full = 0;
        for files in (0..60).step_by(3) {
            let stage = world.store.stage().unwrap();
            for number in 0..files {
                // The last of them may find no inode any more.
                let _full = fs::write(stage.root().join(format!("file-{number}")), [number]);
            }
            match world.store.keep(stage, &installed("two")) {
                Ok(kept) => {
                    drop(kept);
                    let _freed = world.store.collect(&|_| true, false).unwrap();
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
                    full += 1;
                }
            }
            assert_eq!(world.inventory(), before, "{files}");
        }
        assert!(full > 3, "{full}");
    });
}

#[test]
fn what_is_mounted_over_a_tree() {
    in_own_network("store::tests::room::what_is_mounted_over_a_tree", || {
        own_mounts();
        for (place, bind, word) in [
            ("root", None, "another file system"),
            ("root/node_modules/empty", None, "another file system"),
            ("root/node_modules/dep", Some("root/node_modules/empty"), "it is gone"),
            ("root/package.json", Some("root/node_modules/dep/nothing"), "contents"),
            ("root/node_modules/empty", Some("root/node_modules/dep"), "it was added"),
        ] {
            let world = World::new();
            let tree = world.keep("one").tree;
            let mut unmounted = None;
            match bind {
                None => memory(&world.path(&tree, place), &[(c"mode", c"555")]),
                Some(from) => {
                    let clone = mount::clone_tree(open(&world.path(&tree, from)).as_fd()).unwrap();
                    mount::attach_on(clone.as_fd(), open(&world.path(&tree, place)).as_fd()).unwrap();
                    unmounted = Some(clone);
                }
            }
            for depth in [Depth::Quick, Depth::Deep] {
                let error = world.store.verify(&tree, depth).unwrap_err().to_string();
                assert!(error.contains(word) && error.contains(place), "{place}: {error}");
            }
            drop(unmounted);
            // The mounts end with this process; its directories cannot be removed before.
            std::mem::forget(world);
        }
    });
}
