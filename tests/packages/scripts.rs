//! Install scripts: they do not run, or run where they can do nothing but their work.

use crate::Suite;
use crate::features::{Feature, PYTHON};
use crate::fixtures::{Project, hooked, library, server, targets};
use crate::http::{Listening, Said};
use crate::registry::Registry;
use crate::world::{Home, World, files};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];
const PIP: &[Feature] = &[Feature::Userns, Feature::Python];

pub fn trials(suite: &mut Suite) {
    suite.add("scripts::npm::control", NPM, npm_control);
    suite.add("scripts::npm::not_run", NPM, npm_not_run);
    suite.add("scripts::npm::allowed_and_confined", NPM, npm_allowed);
    suite.once("scripts::npm::in_the_archive_only", NPM, npm_hidden);
    suite.once("scripts::npm::allowed_for_one", NPM, npm_for_one);
    suite.once("scripts::npm::allowed_to_connect", NPM, npm_connects);
    suite.once("scripts::npm::not_there", NPM, npm_not_there);
    suite.once("scripts::npm::fails", NPM, npm_fails);
    suite.once("scripts::npm::leaves_a_way_out", NPM, npm_way_out);
    suite.add("scripts::pypi::control", UV, pypi_control);
    suite.add("scripts::pypi::not_run", UV, |world| pypi_not_run(world, true));
    suite.add("scripts::pypi::allowed_and_confined", UV, |world| pypi_allowed(world, true));
    suite.once("scripts::pypi::not_run_by_pip", PIP, |world| pypi_not_run(world, false));
    suite.once("scripts::pypi::allowed_and_confined_by_pip", PIP, |world| pypi_allowed(world, false));
}

/// A registry with a script in it, a port that the script tries, and a home with a secret among its variables.
struct Scene {
    registry: Registry,
    port: Listening,
    home: Home,
}

impl Scene {
    fn new(world: &Arc<World>) -> Scene {
        let (registry, mut home) = (Registry::new(), world.home());
        home.uses(&registry);
        home.env.push(("SOME_TOKEN".into(), "fixture-secret".into()));
        let port = Listening::start(Arc::new(|_| Said::Nothing));
        let targets = targets(&home.join("canary"), &home.join("outside.txt"), port.at.port());
        registry.npm(hooked("fixture-hooked", &targets));
        registry.npm(server("fixture-notes", "1.0.0", json!({ "dependencies": { "fixture-hooked": "1.0.0" } })));
        Project::server("fixture-source", "1.0.0").publish_source(&registry, &targets);
        Scene { registry, port, home }
    }

    fn confined(&self, report: &Value) {
        assert_eq!(report["ran"], true);
        for attempt in ["canary", "connect"] {
            assert!(report[attempt].is_string() && report[attempt] != "works", "{attempt}: {report}");
        }
        assert_eq!(report["token"], "none", "{report}");
        // it may have written there, into a directory of the jail's own
        assert!(report["outside"].is_string(), "{report}");
        assert!(!self.home.join("outside.txt").exists());
    }
}

/// What a script wrote down, somewhere below.
fn report(dir: &Path) -> Option<Value> {
    let found = files(dir).into_iter().find(|path| path.ends_with("report.json"))?;
    Some(serde_json::from_slice(&fs::read(found).unwrap()).unwrap())
}

fn does_everything(home: &Home, report: &Value) {
    for attempt in ["canary", "outside", "connect", "token"] {
        assert_eq!(report[attempt], "works", "{attempt}: {report}");
    }
    assert!(home.join("outside.txt").exists());
}

fn npm_control(world: &Arc<World>) {
    let Scene { registry: _registry, port: _port, home } = Scene::new(world);
    let plain = home.make("plain");
    // whether npm runs them unasked depends on its version
    home.bare("npm", &["install", "--ignore-scripts=false", "fixture-notes"], &plain).ok();
    if report(&plain).is_none() {
        home.bare("npm", &["rebuild", "--ignore-scripts=false", "fixture-hooked"], &plain).ok();
    }
    does_everything(&home, &report(&plain).unwrap());
}

fn npm_not_run(world: &Arc<World>) {
    let scene = Scene::new(world);
    let home = &scene.home;
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok().tells(&["fixture-hooked", "--allow-scripts"]);
    assert_eq!(report(&home.tree("notes")), None);
    assert!(!home.join("outside.txt").exists());
    assert_eq!(home.run("notes").about()["parts"], json!({ "fixture-hooked": "1.0.0" }));
}

fn npm_allowed(world: &Arc<World>) {
    let scene = Scene::new(world);
    let home = &scene.home;
    home.add("notes", &["--allow-scripts", "fixture-hooked"], &["npx", "-y", "fixture-notes"]).ok();
    scene.confined(&report(&home.tree("notes")).unwrap());
    home.run("notes").end();
}

/// A registry that does not show the script of the archive that it serves.
fn npm_hidden(world: &Arc<World>) {
    let scene = Scene::new(world);
    let (home, port) = (&scene.home, scene.port.at.port());
    let mut package = hooked("fixture-hidden", &targets(&home.join("canary"), &home.join("outside.txt"), port));
    package.packed = Some(package.manifest.clone());
    package.manifest.as_object_mut().unwrap().remove("scripts");
    scene.registry.npm(package);
    scene.registry.npm(server("fixture-notes", "2.0.0", json!({ "dependencies": { "fixture-hidden": "1.0.0" } })));
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok().tells(&["fixture-hidden"]);
    assert_eq!(report(&home.tree("notes")), None);
    assert!(!home.join("outside.txt").exists());
}

/// The permission of one is not that of another.
fn npm_for_one(world: &Arc<World>) {
    let scene = Scene::new(world);
    let home = &scene.home;
    let script = json!({ "scripts": { "install": "touch was-run" } });
    scene.registry.npm(library("fixture-asked", "1.0.0", script));
    let wants = json!({ "dependencies": { "fixture-hooked": "1.0.0", "fixture-asked": "1.0.0" } });
    scene.registry.npm(server("fixture-notes", "2.0.0", wants));
    let added = home.add("notes", &["--allow-scripts", "fixture-asked"], &["npx", "-y", "fixture-notes"]).ok();
    let modules = home.tree("notes").join("root/node_modules");
    assert!(modules.join("fixture-asked/was-run").exists(), "{added}");
    assert_eq!(report(&modules), None);
    added.tells(&["fixture-hooked"]);
}

fn npm_connects(world: &Arc<World>) {
    let scene = Scene::new(world);
    let rule = format!("localhost:{}", scene.port.at.port());
    let options = ["--allow-scripts", "fixture-hooked", "--install-net", &rule];
    scene.home.add("notes", &options, &["npx", "-y", "fixture-notes"]).ok();
    let report = report(&scene.home.tree("notes")).unwrap();
    assert_eq!(report["connect"], "works", "{report}");
    assert_ne!(report["canary"], "works", "{report}");
}

fn npm_not_there(world: &Arc<World>) {
    let scene = Scene::new(world);
    let failed = scene.home.add("x", &["--allow-scripts", "fixture-notes"], &["npx", "-y", "fixture-notes"]);
    scene.home.fails("x", failed, "no-such-script", 2, &["fixture-notes"]);
}

fn npm_fails(world: &Arc<World>) {
    let scene = Scene::new(world);
    let script = json!({ "scripts": { "install": "echo cannot be built here >&2; exit 3" } });
    scene.registry.npm(library("fixture-broken", "1.0.0", script));
    scene.registry.npm(server("fixture-notes", "2.0.0", json!({ "dependencies": { "fixture-broken": "1.0.0" } })));
    let failed = scene.home.add("x", &["--allow-scripts", "fixture-broken"], &["npx", "-y", "fixture-notes"]);
    scene.home.fails("x", failed, "install-script-failed", 2, &["fixture-broken", "cannot be built here"]);
}

/// A script may write into the tree, and what it leaves there is looked at.
fn npm_way_out(world: &Arc<World>) {
    let scene = Scene::new(world);
    for (version, command) in [("3.0.0", "ln -s /etc/passwd way-out"), ("3.1.0", "mkfifo way-out")] {
        scene.registry.npm(library("fixture-odd", version, json!({ "scripts": { "install": command } })));
        scene.registry.npm(server("fixture-notes", version, json!({ "dependencies": { "fixture-odd": version } })));
        let line = ["npx", "-y", &format!("fixture-notes@{version}")];
        let failed = scene.home.add("x", &["--allow-scripts", "fixture-odd"], &line);
        assert!(failed.code != Some(0), "{failed}");
        let failed = failed.tells(&["way-out"]);
        assert!(failed.said().contains("error["), "{failed}");
        scene.home.nothing_of("x");
        scene.home.nothing_in_the_store();
    }
}

fn pypi_control(world: &Arc<World>) {
    let Scene { registry: _registry, port: _port, home } = Scene::new(world);
    let plain = home.make("plain");
    let words = ["pip", "install", "--python", PYTHON, "--target", ".", "fixture-source"];
    home.bare("uv", &words, &plain).ok();
    does_everything(&home, &report(&plain).unwrap());
}

fn pypi_not_run(world: &Arc<World>, uv: bool) {
    let mut scene = Scene::new(world);
    if !uv {
        scene.home.path = world.only(&["python3"]);
    }
    let failed = scene.home.add("x", &[], &["uvx", "fixture-source"]);
    let home = &scene.home;
    if uv {
        home.fails("x", failed, "no-fitting-release", 2, &["fixture-source", "--allow-scripts fixture-source"]);
    } else {
        // pip does not tell an archive that it may not build from none
        home.fails("x", failed, "no-such-package", 2, &["fixture-source", "needs no build"]);
    }
    assert!(!home.join("outside.txt").exists());
    assert_eq!(report(&home.dir), None, "something was built");
}

fn pypi_allowed(world: &Arc<World>, uv: bool) {
    let mut scene = Scene::new(world);
    if !uv {
        scene.home.path = world.only(&["python3"]);
    }
    scene.home.add("source", &["--allow-scripts", "fixture-source"], &["uvx", "fixture-source"]).ok();
    scene.confined(&report(&scene.home.tree("source")).unwrap());
    assert_eq!(scene.home.run("source").about()["version"], "1.0.0");
}
