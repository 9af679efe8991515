//! What `store list` is told.

use super::*;

#[test]
fn trees_and_who_runs_them() {
    let world = World::new();
    let (one, two) = (world.keep("one"), world.keep("two"));
    write_record(&world.store, &record("b", two.tree, Some(one.tree)), "b");
    write_record(&world.store, &record("a", two.tree, None), "a");
    let trees = world.store.trees().unwrap();
    assert_eq!(trees.len(), 2);
    let of = |tree: Digest| trees.iter().find(|listed| listed.tree == tree).unwrap();
    assert_eq!(of(two.tree).servers, ["a", "b"]);
    assert!(of(two.tree).before.is_empty() && of(one.tree).servers.is_empty());
    assert_eq!(of(one.tree).before, ["b"]);
    assert_eq!(of(one.tree).release.as_ref().unwrap().to_string(), "npm:one@1.0.0");
    assert_eq!((of(one.tree).files, of(one.tree).bytes), (one.files, one.bytes));
    // One that was tampered with is listed all the same.
    fs::write(world.path(&one.tree, "more"), "").unwrap();
    fs::remove_file(world.path(&one.tree, "manifest")).unwrap();
    let trees = world.store.trees().unwrap();
    let listed = trees.iter().find(|listed| listed.tree == one.tree).unwrap();
    assert_eq!((listed.release.is_none(), listed.files), (true, 0));
}
