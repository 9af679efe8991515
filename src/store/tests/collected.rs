//! What garbage collection takes, and what it leaves.

use super::*;

fn all(_: &str) -> bool {
    true
}

fn objects(world: &World) -> usize {
    world.inventory().iter().filter(|path| path.starts_with("store/objects/")).count()
}

#[test]
fn nothing_was_ever_added() {
    let world = World::new();
    assert_eq!(world.store.collect(&all, false).unwrap(), Freed::default());
    assert!(world.store.trees().unwrap().is_empty() && world.store.names().is_empty());
    assert_eq!(world.store.installed("none").unwrap(), None);
    assert_eq!(world.dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_no_record_names_goes() {
    let world = World::new();
    let [now, before, dead] = ["now", "before", "dead"].map(|name| world.keep(name).tree);
    write_record(&world.store, &record("server", now, Some(before)), "server");
    let had = objects(&world);
    let planned = world.store.collect(&all, true).unwrap();
    assert_eq!((planned.trees, planned.busy, planned.stages, planned.files), (1, 0, 0, 6));
    assert_eq!(objects(&world), had);
    assert!(world.store.verify(&dead, Depth::Deep).is_ok());
    let freed = world.store.collect(&all, false).unwrap();
    assert_eq!(freed, planned);
    assert!(matches!(world.store.verify(&dead, Depth::Quick), Err(StoreError::Missing { .. })));
    // Its own package.json, lock and installed.json; its manifest, its index and its link were no objects.
    assert_eq!(objects(&world), had - 3);
    for tree in [now, before] {
        // Shared files have lost a name, and the index knows.
        assert_eq!(world.store.verify(&tree, Depth::Quick).unwrap().hashed, 0);
        assert_eq!(world.store.verify(&tree, Depth::Deep).unwrap().hashed, 6);
    }
    assert_eq!(world.store.collect(&all, false).unwrap(), Freed::default());
    // The server is removed: everything goes.
    let planned = world.store.collect(&|_| false, true).unwrap();
    assert_eq!(world.store.names(), ["server"]);
    assert_eq!(world.store.collect(&|_| false, false).unwrap(), planned);
    assert_eq!(planned.trees, 2);
    assert_eq!(world.inventory(), Vec::<String>::new());
}

#[test]
fn what_is_in_use_stays() {
    let world = World::new();
    let kept = world.keep("one");
    assert_eq!(world.store.collect(&all, false).unwrap(), Freed { busy: 1, ..Freed::default() });
    let running = world.store.verify(&kept.tree, Depth::Quick).unwrap();
    let another = kept.clone();
    drop(kept);
    assert_eq!(world.store.collect(&all, false).unwrap().busy, 1, "a clone holds it too");
    let tree = another.tree;
    drop(another);
    assert_eq!(world.store.collect(&all, false).unwrap().busy, 1, "a server runs from it");
    drop(running);
    assert_eq!(world.store.collect(&all, false).unwrap().trees, 1);
    assert!(matches!(world.store.verify(&tree, Depth::Quick), Err(StoreError::Missing { .. })));
    // A stage that somebody fills is not garbage either.
    let stage = world.stage("two");
    assert_eq!(world.store.collect(&all, false).unwrap(), Freed::default());
    assert!(world.store.keep(stage, &installed("two")).is_ok());
    // A record of a name that is being changed just now stays, whether or not it is a server already.
    let tree = world.keep("three").tree;
    write_record(&world.store, &record("three", tree, None), "three");
    let claim = world.store.claim("three").unwrap();
    let _freed = world.store.collect(&|_| false, false).unwrap();
    assert!(world.store.verify(&tree, Depth::Quick).is_ok());
    assert!(world.store.installed("three").unwrap().is_some());
    drop(claim);
    assert_eq!(world.store.collect(&|_| false, false).unwrap().trees, 1);
}

/// An add that ends between the reading of the records and the taking of what they do not name.
#[test]
fn what_was_committed_meanwhile_stays() {
    let world = World::new();
    let first = world.keep("first").tree;
    write_record(&world.store, &record("first", first, None), "first");
    let late = std::cell::RefCell::new(Some(world.keep("late")));
    let tree = late.borrow().as_ref().unwrap().tree;
    let freed = world.store.collect(
        &|_| {
            if let Some(kept) = late.take() {
                write_record(&world.store, &record("late", kept.tree, None), "late");
            }
            true
        },
        false,
    );
    assert_eq!((freed.unwrap().trees, late.into_inner().is_none()), (0, true));
    assert_eq!(world.store.installed("late").unwrap().unwrap().tree, tree);
    assert!(world.store.verify(&tree, Depth::Deep).is_ok());
    // A profile that was written after it had been looked for.
    let asked = std::cell::Cell::new(0);
    let is_server = |name: &str| {
        asked.set(asked.get() + 1);
        name != "late" || asked.get() > 2
    };
    assert_eq!(world.store.collect(&is_server, false).unwrap(), Freed::default());
    assert!(world.store.installed("late").unwrap().is_some() && world.store.verify(&tree, Depth::Quick).is_ok());
}

/// Nobody knows which tree a record names that cannot be read.
#[test]
fn a_broken_record_stops_it() {
    let world = World::new();
    let tree = world.keep("one").tree;
    write_record(&world.store, &record("one", tree, None), "one");
    fs::write(world.store.record_path("one"), "{\"version\": 1,\n oops").unwrap();
    let error = world.store.collect(&all, false).unwrap_err();
    assert!(matches!(&error, StoreError::BadRecord { reason, .. } if reason.contains("line 2 column")), "{error}");
    assert!(world.store.verify(&tree, Depth::Quick).is_ok());
}

/// Whatever lies among the stages is swept, whatever its modes.
#[test]
fn stages_of_the_dead_are_swept() {
    let world = World::new();
    let stage = world.stage("one");
    let path = stage.path().to_path_buf();
    fs::set_permissions(path.join("root/node_modules"), Permissions::from_mode(0o111)).unwrap();
    // As if the process had been killed: nothing is removed, the lock ends.
    let _lock_ends = stage.became_tree();
    drop(_lock_ends);
    fs::write(world.store.stages().join("index-1-2-3"), "half").unwrap();
    // what an ordinary user cannot list is swept, and not counted
    let listed = fs::read_dir(path.join("root/node_modules")).is_ok();
    let planned = world.store.collect(&all, true).unwrap();
    assert_eq!((planned.stages, planned.files), (2, if listed { 8 } else { 4 }));
    assert!(path.exists());
    assert_eq!(world.store.collect(&all, false).unwrap(), planned);
    assert!(!path.exists());
    // The next stage does the same.
    let stage = world.stage("two");
    let path = stage.path().to_path_buf();
    drop(stage.became_tree());
    let _next = world.store.stage().unwrap();
    assert!(!path.exists());
}
