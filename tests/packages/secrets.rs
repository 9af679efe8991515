//! A private registry's credentials: they reach the registry, and nothing else.

use crate::Suite;
use crate::archive::base64;
use crate::features::Feature;
use crate::fixtures::{notes, tides};
use crate::registry::Registry;
use crate::world::{Home, World, files, holding};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

const SECRET: &str = "fixture-secret-5b1d";
const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];
const PIP: &[Feature] = &[Feature::Userns, Feature::Python];

pub fn trials(suite: &mut Suite) {
    suite.add("secrets::npm::token_in_npmrc", NPM, |world| npm(world, false));
    suite.once("secrets::npm::token_in_a_variable", NPM, |world| npm(world, true));
    suite.once("secrets::npm::none", NPM, npm_denied);
    suite.add("secrets::pypi::uv_toml", UV, |world| pypi(world, Where::UvToml));
    suite.once("secrets::pypi::netrc", UV, |world| pypi(world, Where::Netrc));
    suite.once("secrets::pypi::variable", UV, |world| pypi(world, Where::Variable));
    suite.once("secrets::pypi::pip_conf", PIP, |world| pypi(world, Where::PipConf));
    suite.once("secrets::pypi::none", UV, pypi_denied);
}

/// Complains about the secret anywhere but in the files in which the person wrote it.
fn kept_to_itself(home: &Home, name: &str, written: &[&str]) {
    let known: Vec<PathBuf> = written.iter().map(|file| home.join(file)).collect();
    let spread: Vec<PathBuf> = holding(&home.dir, SECRET).into_iter().filter(|path| !known.contains(path)).collect();
    assert!(spread.is_empty(), "the secret is in {spread:?}");
    // in compressed files it would not be found so
    let packed: Vec<PathBuf> =
        files(&home.data("")).into_iter().filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    assert!(packed.is_empty(), "{packed:?}");
    for words in [&["sbom", name][..], &["explain", name], &["check", name], &["store", "list"]] {
        let said = home.finish(words);
        assert!(!said.said().contains(SECRET), "{words:?}: {said}");
    }
    let mut session = home.run(name);
    for file in written {
        session.fails("read", json!({ "path": home.join(file) }));
    }
    for variable in ["SOME_TOKEN", "UV_DEFAULT_INDEX", "NPM_CONFIG_USERCONFIG"] {
        assert_eq!(session.works("variable", json!({ "name": variable })), "(none)");
    }
    session.end();
}

fn npm(world: &Arc<World>, by_variable: bool) {
    let (registry, other) = (Registry::new(), Registry::new());
    notes(&registry);
    registry.wants(&format!("Bearer {SECRET}"));
    let mut home = world.home();
    let token = if by_variable { "${SOME_TOKEN}" } else { SECRET };
    home.npmrc(&registry, &format!("//{}/:_authToken={token}\n@other:registry={}\n", registry.host(), other.url()));
    if by_variable {
        home.env.push(("SOME_TOKEN".into(), SECRET.into()));
    }
    let added = home.add("notes", &[], &["npx", "-y", "fixture-notes"]).ok();
    assert!(!added.said().contains(SECRET), "{added}");
    let asked = registry.asked();
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.authorization.is_some()), "{asked:?}");
    kept_to_itself(&home, "notes", &[".npmrc"]);
    // the registry of another scope is asked without it
    let failed = home.add("other", &[], &["npx", "-y", "@other/absent"]);
    failed.fails("no-such-package", 2, &["@other/absent"]);
    let asked = other.asked();
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.authorization.is_none()), "{asked:?}");
}

fn npm_denied(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    registry.wants(&format!("Bearer {SECRET}"));
    let home = world.home();
    home.uses(&registry);
    let failed = home.add("x", &[], &["npx", "-y", "fixture-notes"]);
    home.fails("x", failed, "registry-denied", 2, &["127.0.0.1"]);
}

#[derive(Clone, Copy, PartialEq)]
enum Where {
    UvToml,
    Netrc,
    Variable,
    PipConf,
}

fn pypi(world: &Arc<World>, place: Where) {
    let registry = Registry::new();
    tides(&registry);
    registry.wants(&format!("Basic {}", base64(format!("someone:{SECRET}").as_bytes())));
    let mut home = world.home();
    home.uses(&registry);
    let url = registry.simple().replace("://", &format!("://someone:{SECRET}@"));
    let written: &[&str] = match place {
        Where::UvToml => {
            home.write(".config/uv/uv.toml", &format!("[[index]]\nurl = {url:?}\ndefault = true\n"));
            &[".config/uv/uv.toml"]
        }
        Where::Netrc => {
            home.write(".netrc", &format!("machine 127.0.0.1\nlogin someone\npassword {SECRET}\n"));
            &[".netrc"]
        }
        Where::Variable => {
            home.env.push(("UV_DEFAULT_INDEX".into(), url));
            &[]
        }
        Where::PipConf => {
            home.write(".config/pip/pip.conf", &format!("[global]\nindex-url = {url}\n"));
            home.path = world.only(&["python3"]);
            &[".config/pip/pip.conf"]
        }
    };
    let added = home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    assert!(!added.said().contains(SECRET), "{added}");
    assert!(registry.asked().iter().any(|seen| seen.authorization.is_some()));
    kept_to_itself(&home, "tides", written);
}

fn pypi_denied(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    registry.wants("Basic c29tZW9uZTplbHNl");
    let home = world.home();
    home.uses(&registry);
    let failed = home.add("x", &[], &["uvx", "fixture-tides"]);
    home.fails("x", failed, "registry-denied", 2, &["127.0.0.1"]);
}
