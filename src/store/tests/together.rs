//! Several adds at once, in threads and in processes.

use super::*;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;

/// Where the child process works, and as whom.
const WHERE: &str = "MCPJAIL_TEST_STORE_TOGETHER";

fn child(world: &World, names: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::together::keeps_in_a_process", "--ignored", "--test-threads=1"])
        .env(WHERE, format!("{names} {}", world.store.data_dir.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The body of [`child`].
#[test]
#[ignore = "the other process of a test of this file"]
fn keeps_in_a_process() {
    let Ok(task) = std::env::var(WHERE) else { return };
    let (names, dir) = task.split_once(' ').unwrap();
    let store = Store::new(Path::new(dir));
    let stages: Vec<(Stage, &str)> = names.split(',').map(|name| (stage(&store, name), name)).collect();
    // All begin when the parent has closed their input.
    let _end = std::io::read_to_string(std::io::stdin()).unwrap();
    for (stage, name) in stages {
        let kept = store.keep(stage, &installed(name)).unwrap();
        assert!(store.verify(&kept.tree, Depth::Quick).is_ok());
        write_record(&store, &record(name, kept.tree, None), &format!("{name}-{}", std::process::id()));
    }
}

fn check(world: &World, trees: usize) {
    let addresses = world.store.tree_addresses().unwrap();
    assert_eq!(addresses.len(), trees);
    for tree in &addresses {
        assert_eq!(world.store.verify(tree, Depth::Deep).unwrap().hashed, 6);
    }
    assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 0);
    assert_eq!(world.store.collect(&|_| true, true).unwrap(), Freed::default());
}

#[test]
fn threads_keep_at_once() {
    let world = World::new();
    let names = ["same", "same", "same", "one", "two", "three"];
    let barrier = Barrier::new(names.len());
    let kept: Vec<Kept> = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| {
                let (world, barrier) = (&world, &barrier);
                scope.spawn(move || {
                    let stage = world.stage(name);
                    barrier.wait();
                    world.store.keep(stage, &installed(name)).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(kept[0].tree, kept[1].tree);
    assert_eq!(kept[1].tree, kept[2].tree);
    for kept in &kept {
        write_record(&world.store, &record("x", kept.tree, None), &format!("x{}", &kept.tree.hex()[..8]));
    }
    drop(kept);
    check(&world, 4);
}

#[test]
fn processes_keep_at_once() {
    let world = World::new();
    let mut children = ["same,one", "same,two", "two,same", "one,three"].map(|names| child(&world, names));
    for child in &mut children {
        drop(child.stdin.take());
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(world.store.names().len(), 8);
    check(&world, 4);
}

/// Adds and collections at the same time: what was added and is held is never taken.
#[test]
fn adds_and_collections_at_once() {
    let world = World::new();
    std::thread::scope(|scope| {
        let adds: Vec<_> = ["one", "two"]
            .into_iter()
            .map(|name| {
                let world = &world;
                scope.spawn(move || {
                    for turn in 0..6 {
                        let kept = world.keep(&format!("{name}-{}", turn % 3));
                        assert!(world.store.verify(&kept.tree, Depth::Deep).is_ok());
                        assert!(world.store.describe(&kept.tree).is_ok());
                    }
                })
            })
            .collect();
        while !adds.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let _freed = world.store.collect(&|_| true, false).unwrap();
        }
    });
    let _freed = world.store.collect(&|_| true, false).unwrap();
    assert_eq!(world.inventory(), Vec::<String>::new());
}
