//! From npm's command lines to running servers.

use crate::Suite;
use crate::features::{Feature, found};
use crate::fixtures::{library, notes, server};
use crate::registry::Registry;
use crate::world::{Home, Session, World, files, names};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

const NEEDS: &[Feature] = &[Feature::Userns, Feature::Npm];

pub fn trials(suite: &mut Suite) {
    suite.add("npm::add_then_run", NEEDS, add_then_run);
    suite.add("npm::control", NEEDS, control);
    suite.once("npm::command_lines", NEEDS, command_lines);
    suite.once("npm::scoped", NEEDS, scoped);
    suite.once("npm::several_programs", NEEDS, several);
    suite.once("npm::optional_dependencies", NEEDS, optional);
    suite.once("npm::peers_bundles_and_engines", NEEDS, unusual);
    suite.once("npm::paths_among_arguments", NEEDS, paths);
    suite.once("npm::a_name_is_taken_once", NEEDS, taken);
}

/// A home whose npm asks this registry.
fn home(world: &Arc<World>, registry: &Registry) -> Home {
    let home = world.home();
    home.uses(registry);
    home
}

fn add_then_run(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let mut home = home(world, &registry);
    let work = home.make("work").display().to_string();
    let added = home.add("notes", &[], &["npx", "-y", "fixture-notes", &work]).ok();
    added.tells(&["npm:fixture-notes@1.0.0", "\"run\", \"notes\"", "servers/notes.toml"]);
    assert!(!registry.asked().is_empty(), "nothing was fetched");

    let profile = fs::read_to_string(home.profile("notes")).unwrap();
    assert!(profile.contains("package = \"npm:fixture-notes@1.0.0\"") && profile.contains(&work), "{profile}");
    home.finish(&["store", "list"]).ok().tells(&["npm:fixture-notes@1.0.0", "notes"]);
    home.finish(&["explain", "notes"]).ok().tells(&["npm:fixture-notes@1.0.0"]);
    home.finish(&["check", "notes"]).ok();
    home.finish(&["check", "--deep", "notes"]).ok();
    is_read_only(&home, "notes");

    // what a machine without npm, without a registry and without that home directory runs
    let port = registry.port();
    drop(registry);
    home.path = world.only(&["node"]);
    fs::remove_file(home.join(".npmrc")).unwrap();
    let direct = Session::open(bare(&home, "fixture-notes")).unwrap();
    let mut session = home.run("notes");
    assert_eq!(session.tools, direct.tools);
    let about = session.about();
    assert_eq!(about["version"], "1.0.0");
    assert_eq!(about["arguments"], json!([work]));
    assert_eq!(about["parts"], json!({ "fixture-words": "1.0.0" }));
    session.works("write", json!({ "path": format!("{work}/new.txt"), "text": "by a server" }));
    assert_eq!(fs::read_to_string(home.join("work/new.txt")).unwrap(), "by a server");
    session.fails("read", json!({ "path": home.word("canary") }));
    session.fails("connect", json!({ "port": port }));
    let place = about["place"].as_str().unwrap();
    session.works("read", json!({ "path": format!("{place}/package.json") }));
    for file in ["new.js", "server.js", "../fixture-words/index.js"] {
        session.fails("write", json!({ "path": format!("{place}/{file}"), "text": "" }));
    }
    // its own tree and not what is known of it
    session.fails("read", json!({ "path": format!("{}/manifest", home.tree("notes").display()) }));
    session.fails("read", json!({ "path": home.lock("notes") }));
    session.end();
    home.finish(&["check", "--deep", "notes"]).ok();
}

/// The server of an added npm package without a jail.
fn bare(home: &Home, package: &str) -> std::process::Command {
    let mut command = home.command(&found("node").unwrap());
    let name = home.tree("notes").join("root/node_modules").join(package).join("server.js");
    command.arg(name);
    command
}

/// Without a jail the server reads, writes and connects as it is told.
fn control(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = home(world, &registry);
    home.make("plain");
    home.bare("npm", &["install", "fixture-notes"], &home.join("plain")).ok();
    let mut command = home.command(&found("node").unwrap());
    command.arg(home.join("plain/node_modules/fixture-notes/server.js"));
    let mut session = Session::open(command).unwrap();
    assert_eq!(session.about()["parts"], json!({ "fixture-words": "1.0.0" }));
    session.works("read", json!({ "path": home.word("canary") }));
    session.works("read", json!({ "path": home.word(".npmrc") }));
    session.works("connect", json!({ "port": registry.port() }));
    session.works("write", json!({ "path": home.word("plain/node_modules/fixture-notes/new.js"), "text": "" }));
    session.end();
}

fn is_read_only(home: &Home, name: &str) {
    let mut dirs = vec![home.tree(name).join("root")];
    while let Some(dir) = dirs.pop() {
        for path in [vec![dir.clone()], names(&dir)].concat() {
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode();
            assert!(meta.is_symlink() || mode & 0o7222 == 0, "{}: {mode:o}", path.display());
            if meta.is_dir() && path != dir {
                dirs.push(path);
            }
        }
    }
}

fn command_lines(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    registry.npm(server("fixture-notes", "1.1.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } })));
    let home = home(world, &registry);
    let lines: &[(&[&str], &str)] = &[
        (&["npx", "--yes", "fixture-notes@1.0.0", "word"], "1.0.0"),
        (&["npx", "-y", "fixture-notes@~1.0.0", "word"], "1.0.0"),
        (&["npx", "--package", "fixture-notes", "-y", "--", "fixture-notes", "word"], "1.1.0"),
        (&["npm", "exec", "-y", "--", "fixture-notes@latest", "word"], "1.1.0"),
        (&["pnpm", "dlx", "fixture-notes@^1", "word"], "1.1.0"),
        (&["bunx", "fixture-notes@1.0.0", "word"], "1.0.0"),
    ];
    for (at, (line, version)) in lines.iter().enumerate() {
        let name = format!("line-{at}");
        home.add(&name, &[], line).ok();
        let about = home.run(&name).about();
        assert_eq!((&about["version"], &about["arguments"]), (&json!(version), &json!(["word"])), "{line:?}");
    }
    home.finish(&["add", "short", "npm:fixture-notes@1.0.0", "--yes", "--", "word", "--flag"]).ok();
    assert_eq!(home.run("short").about()["arguments"], json!(["word", "--flag"]));
    // one version is one tree, whoever asked for it
    assert_eq!(home.tree("line-0"), home.tree("short"));
}

fn scoped(world: &Arc<World>) {
    let (registry, other) = (Registry::new(), Registry::new());
    registry.npm(library("@fixture/words", "3.0.0", json!({})));
    let wants = json!({ "dependencies": { "@fixture/words": "3", "@elsewhere/words": "*" }, "bin": "server.js" });
    registry.npm(server("@fixture/notes", "1.2.3", wants));
    other.npm(library("@elsewhere/words", "4.0.0", json!({})));
    let home = home(world, &registry);
    // a scope may have a registry of its own
    home.npmrc(&registry, &format!("@elsewhere:registry={}\n", other.url()));
    home.add("notes", &[], &["npx", "-y", "@fixture/notes@1.2.3"]).ok().tells(&["npm:@fixture/notes@1.2.3"]);
    let about = home.run("notes").about();
    assert_eq!(about["parts"], json!({ "@fixture/words": "3.0.0", "@elsewhere/words": "4.0.0" }));
    assert!(other.asked().iter().all(|seen| seen.path.contains("elsewhere")));
}

fn several(world: &Arc<World>) {
    let registry = Registry::new();
    registry.npm(server("fixture-several", "1.0.0", json!({ "bin": { "alpha": "server.js", "beta": "./other.js" } })));
    let mut both = server("fixture-both", "1.0.0", json!({ "bin": { "alpha": "./server.js", "beta": "server.js" } }));
    both.manifest["version"] = json!("1.0.1");
    registry.npm(both);
    let mut several =
        server("fixture-several", "1.0.1", json!({ "bin": { "alpha": "server.js", "beta": "./other.js" } }));
    let copy = several.files[0].bytes.clone();
    several.files.push(crate::archive::Entry::executable("other.js", copy));
    registry.npm(several);
    let home = home(world, &registry);
    let failed = home.add("x", &[], &["npx", "-y", "fixture-several"]);
    home.fails("x", failed, "no-entry-point", 2, &["`alpha`", "`beta`"]);
    let failed = home.add("x", &[], &["npx", "-y", "-p", "fixture-several", "gamma"]);
    home.fails("x", failed, "no-entry-point", 2, &["gamma"]);
    home.add("beta", &[], &["npx", "-y", "-p", "fixture-several", "beta", "word"]).ok();
    let about = home.run("beta").about();
    assert_eq!((&about["program"], &about["arguments"]), (&json!("other.js"), &json!(["word"])));
    // two names of one program are one program
    home.add("both", &[], &["npx", "-y", "fixture-both"]).ok();
    assert_eq!(home.run("both").about()["program"], "server.js");
}

fn optional(world: &Arc<World>) {
    let registry = Registry::new();
    registry.npm(library("fixture-for-windows", "1.0.0", json!({ "os": ["win32"] })));
    registry.npm(library("fixture-for-linux", "1.0.0", json!({ "os": ["linux"] })));
    let wants = json!({ "optionalDependencies": { "fixture-for-windows": "1.0.0", "fixture-for-linux": "1.0.0" } });
    registry.npm(server("fixture-optional", "1.0.0", wants));
    let home = home(world, &registry);
    home.add("optional", &[], &["npx", "-y", "fixture-optional"]).ok();
    let parts = home.run("optional").about()["parts"].clone();
    assert_eq!(parts, json!({ "fixture-for-windows": null, "fixture-for-linux": "1.0.0" }));
    let list = home.finish(&["sbom", "optional"]).ok();
    assert!(list.stdout.contains("fixture-for-linux") && !list.stdout.contains("fixture-for-windows"), "{list}");
}

/// What is installed without being asked for by the package's own `dependencies`, and what npm only warns of.
fn unusual(world: &Arc<World>) {
    let registry = Registry::new();
    registry.npm(library("fixture-words", "1.0.0", json!({})));
    let more = json!({
        "peerDependencies": { "fixture-words": "1" }, "dependencies": { "fixture-bundled": "1.0.0" },
        "bundleDependencies": ["fixture-bundled"], "engines": { "node": ">=99" },
    });
    let mut package = server("fixture-unusual", "1.0.0", more);
    package.manifest["wants"] = json!(["fixture-words", "fixture-bundled"]);
    // only in the archive, and nowhere in the registry
    let bundled = library("fixture-bundled", "1.0.0", json!({}));
    let dir = "node_modules/fixture-bundled";
    package.files.push(crate::archive::Entry::new(format!("{dir}/package.json"), bundled.manifest.to_string()));
    package.files.push(crate::archive::Entry::new(format!("{dir}/index.js"), &bundled.files[0].bytes));
    registry.npm(package);
    let home = home(world, &registry);
    home.add("unusual", &[], &["npx", "-y", "fixture-unusual"]).ok();
    let parts = home.run("unusual").about()["parts"].clone();
    assert_eq!(parts, json!({ "fixture-words": "1.0.0", "fixture-bundled": "1.0.0" }));
    home.finish(&["sbom", "unusual"]).ok().tells(&["fixture-bundled"]);
}

fn paths(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = home(world, &registry);
    home.make("work");
    home.write("one.txt", "one");
    home.write(".ssh/id_ed25519", "fixture-secret");
    let words = ["work", "one.txt", ".ssh", "absent"].map(|name| home.word(name));
    let line: Vec<&str> = ["npx", "-y", "fixture-notes"].into_iter().chain(words.iter().map(String::as_str)).collect();
    home.add("notes", &[], &line).ok().tells(&["not granted", &words[2]]);
    let mut session = home.run("notes");
    session.works("write", json!({ "path": home.word("work/x"), "text": "" }));
    session.works("read", json!({ "path": words[1] }));
    session.fails("write", json!({ "path": words[1], "text": "" }));
    session.fails("read", json!({ "path": home.word(".ssh/id_ed25519") }));
    session.end();
}

fn taken(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = home(world, &registry);
    for name in ["..", "a/b", "", "a b"] {
        home.add(name, &[], &["npx", "-y", "fixture-notes"]).fails("bad-name", 2, &[]);
    }
    assert_eq!(registry.asked().len(), 0);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let before: Vec<(std::path::PathBuf, Vec<u8>)> = state(&home);
    registry.asked();
    let failed = home.add("notes", &[], &["npx", "-y", "fixture-notes"]);
    failed.fails("server-exists", 2, &["mcpjail update notes", "mcpjail remove notes"]);
    assert_eq!(registry.asked().len(), 0, "something was fetched for nothing");
    assert!(state(&home) == before, "something changed");
    home.finish(&["remove", "notes", "--yes"]).ok();
    home.nothing_of("notes");
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    let value: Value = home.record("notes");
    assert_eq!(value["release"]["version"], "1.0.0");
}

/// Profiles, locks and records, with their contents.
pub fn state(home: &Home) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let dirs = [home.join(".config/mcpjail"), home.data("locks"), home.data("installed")];
    let paths = dirs.iter().flat_map(|dir| files(dir));
    paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}
