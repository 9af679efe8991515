//! From one version to another: what differs is shown, nothing changes without approval, and the way back is open.

use crate::Suite;
use crate::adding::state;
use crate::features::Feature;
use crate::fixtures::{Project, newer_notes, notes, tides};
use crate::python;
use crate::registry::{Registry, Trick};
use crate::world::{Home, World, names};
use serde_json::json;
use std::fs;
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];

pub fn trials(suite: &mut Suite) {
    suite.add("update::npm", NPM, npm);
    suite.once("update::pypi", UV, pypi);
    suite.once("update::nothing_new", UV, nothing_new);
    suite.once("update::fails", NPM, fails);
    suite.once("update::published_meanwhile", UV, meanwhile);
    suite.once("update::approval_by_hand", UV, by_hand);
}

fn about(home: &Home, name: &str) -> (String, usize) {
    let mut session = home.run(name);
    let version = session.about()["version"].as_str().unwrap().to_owned();
    (version, session.tools.as_array().unwrap().len())
}

fn npm(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let (tree, lock, profile) = (home.tree("notes"), fs::read(home.lock("notes")).unwrap(), home.profile("notes"));
    // a person's own lines survive an update
    let own = fs::read_to_string(&profile).unwrap() + "\n[jail.limits] # of mine\nmemory = \"700MiB\"\n";
    fs::write(&profile, &own).unwrap();
    home.run("notes").end();
    newer_notes(&registry);

    let before = state(&home);
    home.finish(&["update", "notes"]).fails("no-terminal", 2, &["--yes"]);
    assert!(state(&home) == before, "something changed without approval");
    let shown = home.finish(&["update", "notes", "--yes"]).ok();
    // the version, the dependency, the catalog
    shown.tells(&[
        "npm:fixture-notes@1.0.0",
        "npm:fixture-notes@2.0.0",
        "fixture-words",
        "list",
        "about",
        "mcpjail update notes --rollback",
    ]);
    assert_eq!(about(&home, "notes"), ("2.0.0".into(), 6));
    assert_eq!(home.run("notes").about()["parts"], json!({ "fixture-words": "2.0.0" }));
    assert_eq!(fs::read_to_string(&profile).unwrap(), own.replace("@1.0.0", "@2.0.0"));
    assert!(tree.exists() && home.tree("notes") != tree);
    home.finish(&["check", "notes"]).ok();

    home.finish(&["update", "notes", "--rollback"]).ok().tells(&["npm:fixture-notes@1.0.0"]);
    assert_eq!(about(&home, "notes"), ("1.0.0".into(), 5));
    assert_eq!(home.tree("notes"), tree);
    assert!(fs::read(home.lock("notes")).unwrap() == lock, "the approval is not the one that it was");
    assert_eq!(fs::read_to_string(&profile).unwrap(), own);
    home.finish(&["check", "--deep", "notes"]).ok();
    // and forth again
    home.finish(&["update", "notes", "--rollback"]).ok();
    assert_eq!(about(&home, "notes"), ("2.0.0".into(), 6));
    home.finish(&["check", "--deep", "notes"]).ok();
}

fn pypi(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    home.finish(&["update", "tides", "--rollback"]).fails("nothing-before", 2, &[]);
    Project::server("fixture-tides", "1.5.0").requires(&["fixture-shore>=1"]).publish(&registry);
    Project::server("fixture-tides", "2.0.0").requires(&["fixture-shore>=2"]).publish(&registry);
    home.finish(&["update", "tides", "1.5.0", "--yes"]).ok().tells(&["pypi:fixture-tides==1.5.0"]);
    assert_eq!(about(&home, "tides"), ("1.5.0".into(), 5));
    Project::library("fixture-shore", "2.0.0").publish(&registry);
    home.finish(&["update", "tides", "--yes"]).ok().tells(&["pypi:fixture-tides==2.0.0", "fixture-shore"]);
    assert_eq!(about(&home, "tides"), ("2.0.0".into(), 6));
    home.finish(&["update", "tides", "--rollback"]).ok();
    assert_eq!(about(&home, "tides"), ("1.5.0".into(), 5));
    home.finish(&["check", "--deep", "tides"]).ok();
}

fn nothing_new(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    let before = state(&home);
    home.finish(&["update", "tides", "--yes"]).ok().tells(&["already"]);
    assert!(state(&home) == before);
    home.finish(&["update", "absent", "--yes"]).fails("package-not-installed", 2, &["absent"]);
    home.run("tides").end();
}

/// An update that fails leaves what runs as it is.
fn fails(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    newer_notes(&registry);
    let (before, trees) = (state(&home), names(&home.data("store/trees")));
    let failed = home.finish(&["update", "notes", "7.0.0", "--yes"]);
    failed.fails("no-such-version", 2, &["7.0.0"]);
    registry.trick("fixture-words-2.0.0.tgz", Trick::Changed(b"nonsense".to_vec()));
    home.finish(&["update", "notes", "--yes"]).fails("integrity-mismatch", 3, &["fixture-words"]);
    drop(registry);
    let failed = home.finish(&["update", "notes", "--yes"]);
    failed.fails("registry-unreachable", 2, &[]);
    assert!(state(&home) == before, "something changed");
    assert_eq!(names(&home.data("store/trees")), trees);
    assert_eq!(names(&home.data("store/stages")).len(), 0);
    assert_eq!(about(&home, "notes").0, "1.0.0");
}

/// A new version changes nothing by itself.
fn meanwhile(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    Project::server("fixture-tides", "2.0.0").requires(&["fixture-shore>=1"]).publish(&registry);
    registry.asked();
    assert_eq!(about(&home, "tides").0, "1.0.0");
    home.finish(&["check", "--deep", "tides"]).ok();
    assert_eq!(registry.asked().len(), 0, "a start asked the registry");
    // and what was added is what another add of the same version gives
    home.add("again", &[], &["uvx", "fixture-tides@1.0.0"]).ok();
    assert_eq!(home.tree("tides"), home.tree("again"));
}

/// Edits of the profile do not get around the approval.
fn by_hand(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    Project::server("fixture-tides", "2.0.0").requires(&["fixture-shore>=1"]).publish(&registry);
    let home = python::home(world, &registry, true);
    home.add("tides", &[], &["uvx", "fixture-tides@1.0.0"]).ok();
    home.add("newer", &[], &["uvx", "fixture-tides@2.0.0"]).ok();
    let profile = fs::read_to_string(home.profile("tides")).unwrap();
    fs::write(home.profile("tides"), profile.replace("==1.0.0", "==2.0.0")).unwrap();
    home.refused("tides").fails("package-mismatch", 2, &[]);
    fs::copy(home.data("installed/newer.json"), home.data("installed/tides.json")).unwrap();
    home.refused("tides").fails("catalog-changed", 3, &["fixture-tides"]);
    // what a person then approves runs
    home.finish(&["approve", "tides", "--yes"]).ok();
    assert_eq!(about(&home, "tides").0, "2.0.0");
}
