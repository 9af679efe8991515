//! What servers share, what they do at the same time, and what is collected when nobody needs it.

use crate::Suite;
use crate::features::Feature;
use crate::fixtures::{newer_notes, notes, server, tides};
use crate::python;
use crate::registry::Registry;
use crate::world::{Finished, Home, World, files, finish, names};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];

pub fn trials(suite: &mut Suite) {
    suite.add("shared::two_names_at_once", UV, two_names);
    suite.once("shared::one_name_at_once", UV, one_name);
    suite.once("shared::files", NPM, shared_files);
    suite.add("shared::garbage", NPM, garbage);
    suite.once("shared::a_running_server_keeps_its_tree", UV, running);
    suite.once("shared::remove", UV, remove);
}

/// Several commands at the same time.
fn at_once(home: &Home, all: &[Vec<&str>]) -> Vec<Finished> {
    let running: Vec<_> = all
        .iter()
        .map(|words| {
            let command = home.mcpjail(words);
            std::thread::spawn(move || finish(command))
        })
        .collect();
    running.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn two_names(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    let add = |name| vec!["add", name, "--yes", "--", "uvx", "fixture-tides"];
    for ended in at_once(&home, &[add("one"), add("two"), vec!["store", "gc"]]) {
        ended.ok();
    }
    for name in ["one", "two"] {
        home.run(name).end();
        home.finish(&["check", "--deep", name]).ok();
    }
    assert_eq!(home.tree("one"), home.tree("two"));
    home.finish(&["store", "gc"]).ok();
    assert_eq!(names(&home.data("store/trees")).len(), 1);
    assert_eq!(names(&home.data("store/stages")).len(), 0);
}

fn one_name(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    let add = || vec!["add", "x", "--yes", "--", "uvx", "fixture-tides"];
    let ended = at_once(&home, &[add(), add(), add()]);
    let (done, refused): (Vec<_>, Vec<_>) = ended.into_iter().partition(|ended| ended.code == Some(0));
    assert_eq!(done.len(), 1, "{refused:?}");
    for ended in refused {
        let said = ended.said();
        assert!(said.contains("error[store-busy]") || said.contains("error[server-exists]"), "{ended}");
        ended.code(2);
    }
    home.run("x").end();
    home.finish(&["check", "--deep", "x"]).ok();
    assert_eq!(names(&home.data("store/stages")).len(), 0);
}

/// Two packages that have a dependency in common.
fn shared_files(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    registry.npm(server("fixture-other", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } })));
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    home.add("other", &[], &["npx", "-y", "fixture-other"]).ok();
    assert_ne!(home.tree("notes"), home.tree("other"));
    let inode = |name: &str| {
        let meta = fs::metadata(home.tree(name).join("root/node_modules/fixture-words/index.js")).unwrap();
        assert!(meta.nlink() >= 3, "{} links", meta.nlink());
        (meta.dev(), meta.ino())
    };
    assert_eq!(inode("notes"), inode("other"));
    // a change to the file that they share is seen by both
    let file = home.tree("notes").join("root/node_modules/fixture-words/index.js");
    crate::tampering::write(&file, b"exports.version = 'x'");
    for name in ["notes", "other"] {
        home.refused(name).fails("store-tampered", 3, &["index.js"]);
    }
    // a package that is added meanwhile does not take it over
    registry.npm(server("fixture-third", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } })));
    home.add("third", &[], &["npx", "-y", "fixture-third"]).ok();
    assert_eq!(home.run("third").about()["parts"], json!({ "fixture-words": "1.0.0" }));
    home.finish(&["check", "--deep", "third"]).ok();
    for name in ["notes", "other"] {
        home.finish(&["update", name, "--reinstall", "--offline"]).ok();
    }
    for name in ["notes", "other", "third"] {
        home.run(name).end();
        home.finish(&["check", "--deep", name]).ok();
    }
}

/// Removed is what no server runs or ran before, and nothing else.
fn garbage(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    registry.npm(server("fixture-other", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } })));
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    home.add("other", &[], &["npx", "-y", "fixture-other"]).ok();
    let everything = || files(&home.data("store"));
    home.finish(&["store", "gc"]).ok();
    let trees = names(&home.data("store/trees"));
    assert_eq!(trees.len(), 2);
    let (old, other) = (home.tree("notes"), home.tree("other"));
    newer_notes(&registry);
    home.finish(&["update", "notes", "--yes"]).ok();
    // the version before is kept for a rollback
    home.finish(&["store", "gc"]).ok();
    assert_eq!(names(&home.data("store/trees")).len(), 3);
    home.finish(&["remove", "notes", "--yes"]).ok();
    let before = everything();
    home.finish(&["store", "gc", "--dry-run"]).ok().tells(&["2 packages"]);
    assert_eq!(everything(), before, "a dry run removed something");
    home.finish(&["store", "gc"]).ok().tells(&["2 packages"]);
    assert!(!old.exists());
    assert_eq!(names(&home.data("store/trees")), std::slice::from_ref(&other));
    // every object that is left is a file of the tree that is left
    let links: Vec<(PathBuf, u64)> = files(&home.data("store/objects"))
        .into_iter()
        .map(|path| {
            let links = fs::metadata(&path).unwrap().nlink();
            (path, links)
        })
        .collect();
    assert!(!links.is_empty() && links.iter().all(|(_, links)| *links > 1), "{links:?}");
    home.finish(&["check", "--deep", "other"]).ok();
    home.run("other").end();
    // a server whose profile was deleted by hand is none
    fs::remove_file(home.profile("other")).unwrap();
    home.finish(&["store", "gc"]).ok();
    home.nothing_in_the_store();
}

fn running(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    let tree = home.tree("tides");
    let mut session = home.run("tides");
    home.finish(&["remove", "tides", "--yes"]).ok();
    home.finish(&["store", "gc"]).ok().tells(&["1 packages are left"]);
    assert!(tree.exists());
    session.about();
    session.end();
    home.finish(&["store", "gc"]).ok();
    home.nothing_in_the_store();
}

fn remove(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    home.finish(&["remove", "absent", "--yes"]).fails("package-not-installed", 2, &["absent"]);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    home.finish(&["remove", "tides"]).fails("no-terminal", 2, &["--yes"]);
    home.run("tides").end();
    home.finish(&["remove", "tides", "--yes"]).ok();
    home.nothing_of("tides");
    let refused = home.refused("tides");
    assert!(refused.said().contains("error["), "{refused}");
}
