//! Code that lies on this machine, copied into the store.

use crate::Suite;
use crate::features::{Feature, PYTHON};
use crate::fixtures::{Project, library, server};
use crate::python::environment;
use crate::world::{Home, World};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

pub fn trials(suite: &mut Suite) {
    suite.once("local::node_script", &[Feature::Userns, Feature::Npm], node_script);
    suite.once("local::binary", &[Feature::Userns], binary);
    suite.once("local::virtual_environment", &[Feature::Userns, Feature::Python], virtual_environment);
    suite.once("local::python_script", &[Feature::Userns, Feature::Python], python_script);
    suite.once("local::a_link_that_leads_out", &[Feature::Userns, Feature::Npm], leads_out);
}

/// A checkout with a server and what it depends on.
fn checkout(home: &Home) {
    for (dir, package) in [
        ("code", server("fixture-own", "0.1.0", json!({ "dependencies": { "fixture-words": "1" } }))),
        ("code/node_modules/fixture-words", library("fixture-words", "1.0.0", json!({}))),
    ] {
        home.write(&format!("{dir}/package.json"), &package.manifest.to_string());
        for file in package.files {
            home.write(&format!("{dir}/{}", file.path), &String::from_utf8(file.bytes).unwrap());
        }
    }
    home.write("code/.git/config", "fixture-secret");
}

fn node_script(world: &Arc<World>) {
    let home = world.home();
    checkout(&home);
    home.add("own", &[], &["node", "./code/server.js", "word"]).ok().tells(&["local:fixture-own@0.1.0"]);
    let own = fs::read_to_string(home.join("code/server.js")).unwrap();
    // what was added runs, and not what becomes of it
    home.write("code/server.js", "process.exit(1)");
    let about = home.run("own").about();
    assert_eq!(about["parts"], json!({ "fixture-words": "1.0.0" }));
    assert_eq!(about["arguments"], json!(["word"]));
    assert!(!about["place"].as_str().unwrap().contains("/code"), "{about}");
    assert_eq!(crate::world::holding(&home.data("store"), "fixture-secret"), [""; 0].map(std::path::PathBuf::from));
    // copied anew, when that is asked for
    home.write("code/server.js", &own.replace("and since when.", "and since long."));
    home.finish(&["update", "own", "--yes"]).ok();
    assert_eq!(home.run("own").tools[0]["description"], "Says what runs here, and since long.");
}

fn binary(world: &Arc<World>) {
    let home = world.home();
    fs::copy(world.path("bin/rugpull"), home.join("program")).unwrap();
    world.identity.own(&home.join("program")).unwrap();
    let options = ["--env", "RUGPULL_ERA=legacy", "--env", "RUGPULL_TRICK=honest"];
    home.add("program", &options, &[&home.word("program")]).ok();
    fs::remove_file(home.join("program")).unwrap();
    let session = home.run("program");
    assert!(session.tools.as_array().is_some_and(|tools| !tools.is_empty()));
    session.end();
    home.finish(&["check", "--deep", "program"]).ok();
}

fn virtual_environment(world: &Arc<World>) {
    let home = world.home();
    let projects = [
        Project::server("fixture-tides", "1.0.0").requires(&["fixture-shore"]),
        Project::library("fixture-shore", "1.0.0"),
    ];
    let bin = environment(&home, "environment", &projects);
    let script = format!("#!{}/python\nfrom fixture_tides.server import main\n\nmain()\n", bin.display());
    home.write("environment/bin/fixture-tides", &script);
    fs::set_permissions(bin.join("fixture-tides"), fs::Permissions::from_mode(0o755)).unwrap();
    home.add("tides", &[], &[&home.word("environment/bin/fixture-tides"), "word"]).ok();
    fs::remove_dir_all(home.join("environment")).unwrap();
    let about = home.run("tides").about();
    assert_eq!(about["parts"], json!({ "fixture-shore": "1.0.0" }));
    assert_eq!(about["arguments"], json!(["word"]));
}

fn python_script(world: &Arc<World>) {
    let home = world.home();
    let text = include_str!("servers/server.py")
        .replace("from . import NAME, VERSION, WANTS", "NAME, VERSION, WANTS = 'own', '1.0', []");
    home.write("code/own.py", &(text + "\n\nmain()\n"));
    home.add("own", &[], &[PYTHON, &home.word("code/own.py"), "word"]).ok();
    fs::remove_dir_all(home.join("code")).unwrap();
    assert_eq!(home.run("own").about()["arguments"], json!(["word"]));
}

fn leads_out(world: &Arc<World>) {
    let home = world.home();
    checkout(&home);
    symlink(home.join("canary"), home.join("code/link")).unwrap();
    let failed = home.add("own", &[], &["node", "./code/server.js"]);
    home.fails("own", failed, "local-package", 2, &["link"]);
}
