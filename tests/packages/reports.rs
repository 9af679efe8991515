//! Bills of materials, audits, names that are nearly another's, and adding without a network.

use crate::Suite;
use crate::features::Feature;
use crate::fixtures::{notes, server, tides};
use crate::python;
use crate::registry::Registry;
use crate::world::World;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];

pub fn trials(suite: &mut Suite) {
    suite.once("sbom::npm", NPM, |world| sbom(world, true));
    suite.once("sbom::pypi", UV, |world| sbom(world, false));
    suite.once("audit::npm", NPM, audit);
    suite.once("audit::control", NPM, audit_control);
    suite.once("audit::no_auditor", &[Feature::Userns, Feature::Python], no_auditor);
    suite.once("names::like_a_known_one", NPM, like);
    suite.once("offline::npm", NPM, |world| offline(world, true));
    suite.once("offline::pypi", UV, |world| offline(world, false));
}

fn sbom(world: &Arc<World>, npm: bool) {
    let registry = Registry::new();
    notes(&registry);
    tides(&registry);
    let home = world.home();
    home.uses(&registry);
    let line: &[&str] = if npm { &["npx", "-y", "fixture-notes"] } else { &["uvx", "fixture-tides"] };
    home.add("x", &[], line).ok();
    let said = home.finish(&["sbom", "x"]).ok();
    let sbom: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&json!("CycloneDX"), &json!("1.6")), "{sbom}");
    let (main, part) = match npm {
        true => ("pkg:npm/fixture-notes@1.0.0", "pkg:npm/fixture-words@1.0.0"),
        false => ("pkg:pypi/fixture-tides@1.0.0", "pkg:pypi/fixture-shore@1.0.0"),
    };
    assert!(said.stdout.contains(main), "{sbom}");
    let components = sbom["components"].as_array().unwrap();
    let found = components.iter().find(|component| component["purl"] == part).unwrap_or_else(|| panic!("{sbom}"));
    let hashes = found["hashes"].as_array().unwrap();
    assert!(hashes.iter().all(|hash| hash["content"].as_str().is_some_and(|hex| hex.len() >= 64)), "{found}");
    assert!(!hashes.is_empty());
    // what depends on what
    let refs: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    let main_ref = sbom["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["dependsOn"].as_array().is_some_and(|on| on.contains(&found["bom-ref"])));
    assert!(main_ref.is_some() && refs.contains(&&found["bom-ref"]), "{sbom}");
    // the same tree, the same bytes
    assert_eq!(home.finish(&["sbom", "x"]).ok().stdout, said.stdout);
    home.finish(&["sbom", "absent"]).fails("package-not-installed", 2, &["absent"]);
}

fn advise(registry: &Registry) {
    registry.advises(
        "fixture-words",
        json!({
            "id": 1_099_999, "url": "https://github.com/advisories/GHSA-xxxx-yyyy-zzzz", "title": "Words of others",
            "severity": "high", "vulnerable_versions": "<1.5.0", "cwe": ["CWE-20"],
            "cvss": { "score": 7.5, "vectorString": null },
        }),
    );
}

/// The registry's advisory is one that npm understands.
fn audit_control(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    let plain = home.make("plain");
    home.bare("npm", &["install", "--no-audit", "fixture-notes"], &plain).ok();
    home.bare("npm", &["audit"], &plain).ok();
    advise(&registry);
    home.bare("npm", &["audit"], &plain).code(1).tells(&["fixture-words"]);
}

fn audit(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = world.home();
    home.uses(&registry);
    home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    home.finish(&["audit", "notes"]).ok();
    advise(&registry);
    let said = home.finish(&["audit", "notes"]).code(1).tells(&["fixture-words", "high", "GHSA-xxxx-yyyy-zzzz"]);
    assert!(!said.said().contains("error["), "{said}");
    home.finish(&["audit", "absent"]).fails("package-not-installed", 2, &["absent"]);
    // a registry that cannot tell is no clean bill
    drop(registry);
    let failed = home.finish(&["audit", "notes"]);
    assert!(failed.code != Some(0) && failed.code != Some(1), "{failed}");
}

fn no_auditor(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, false);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    let failed = home.finish(&["audit", "tides"]);
    failed.fails("no-auditor", 2, &["pip-audit"]);
}

fn like(world: &Arc<World>) {
    let registry = Registry::new();
    let names = [
        // a name in the scope of a known one is its owner's
        "@modelcontextprotocl/server-filesystem",
        "modelcontextprotocol-server-filesystem",
        "@playwrght/mcp",
    ];
    for name in names {
        registry.npm(server(name, "1.0.0", json!({})));
    }
    let home = world.home();
    home.uses(&registry);
    for name in names {
        let failed = home.add("x", &[], &["npx", "-y", name]);
        home.fails("x", failed, "suspicious-name", 1, &[name, "--accept-findings"]);
        assert_eq!(registry.asked().len(), 0, "{name} was asked for before anybody was");
    }
    let added = home.add("x", &["--accept-findings"], &["npx", "-y", names[0]]).ok();
    added.tells(&["WARNING", "@modelcontextprotocol/server-filesystem"]);
    home.run("x").end();
    // a name that is like none
    registry.npm(server("fixture-plain", "1.0.0", json!({})));
    let plain = home.add("plain", &[], &["npx", "-y", "fixture-plain"]).ok();
    assert!(!plain.said().contains("WARNING"), "{plain}");
}

/// What was downloaded once is added again without a registry.
fn offline(world: &Arc<World>, npm: bool) {
    let registry = Registry::new();
    notes(&registry);
    tides(&registry);
    let home = world.home();
    home.uses(&registry);
    let line: &[&str] = if npm { &["npx", "-y", "fixture-notes"] } else { &["uvx", "fixture-tides"] };
    home.add("x", &[], line).ok();
    registry.asked();
    home.add("again", &["--offline"], line).ok();
    assert_eq!(registry.asked().len(), 0, "something was fetched");
    drop(registry);
    home.add("still", &["--offline"], line).ok();
    assert_eq!(home.tree("x"), home.tree("still"));
    home.run("still").end();
    let cache = fs::metadata(home.join(".cache/mcpjail")).unwrap();
    assert!(cache.is_dir());
}
