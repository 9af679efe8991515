//! Registries that are down, lie or stall, packages that are wrong, machines that lack something: an error that says so, and
//! nothing left behind.

use crate::Suite;
use crate::archive::{Entry, tarball};
use crate::features::Feature;
use crate::fixtures::{Project, library, notes, server, tides};
use crate::registry::{Npm, Registry, Trick};
use crate::world::{Finished, Home, World, names};
use serde_json::json;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];
const PIP: &[Feature] = &[Feature::Userns, Feature::Python];

const NOTES: &[&str] = &["npx", "-y", "fixture-notes"];
const TIDES: &[&str] = &["uvx", "fixture-tides"];

/// What is asked for, and what must come of it: the error's code, the exit status, and what is told.
type Bad = (&'static [&'static str], &'static str, i32, &'static [&'static str]);

pub fn trials(suite: &mut Suite) {
    names_and_versions(suite);
    lies(suite);
    suite.add("refused::npm::another_port", NPM, npm_another_port);
    suite.add("refused::npm::another_port::control", NPM, npm_another_port_control);
    suite.once("refused::npm::unpinned", NPM, npm_unpinned);
    suite.once("refused::npm::lock_of_its_own", NPM, npm_shrinkwrap);
    suite.once("refused::npm::program_leads_out", NPM, npm_program_leads_out);
    suite.once("refused::npm::a_name_like_a_path", NPM, npm_names);
    suite.once("refused::pypi::a_name_like_a_path", UV, |world| pypi_names(world, true));
    suite.once("refused::pypi::a_name_like_a_path_by_pip", PIP, |world| pypi_names(world, false));
    suite.once("refused::npm::down", NPM, |world| down(world, NOTES, true));
    suite.once("refused::pypi::down", UV, |world| down(world, TIDES, true));
    suite.once("refused::pypi::down_by_pip", PIP, |world| down(world, TIDES, false));
    suite.once("refused::npm::no_installer", NPM, |world| no_installer(world, &["node", "python3"], NOTES, "npm"));
    suite.once("refused::pypi::no_installer", NPM, |world| no_installer(world, &["node", "npm"], TIDES, "python3"));
    suite.once("refused::npm::not_cached", NPM, |world| not_cached(world, NOTES));
    suite.once("refused::pypi::not_cached", UV, |world| not_cached(world, TIDES));
    suite.as_root("refused::npm::disk_full", NPM, |world| disk_full(world, NOTES));
    suite.as_root("refused::pypi::disk_full", UV, |world| disk_full(world, TIDES));
    suite.once("refused::lines", &[Feature::Userns], lines);
}

fn home(world: &Arc<World>, registry: &Registry, uv: bool) -> Home {
    let mut home = world.home();
    home.uses(registry);
    if !uv {
        home.path = world.only(&["node", "npm", "python3"]);
    }
    home
}

fn names_and_versions(suite: &mut Suite) {
    let npm: &[Bad] = &[
        (&["npx", "-y", "fixture-absent"], "no-such-package", 2, &["fixture-absent"]),
        (&["npx", "-y", "@fixture/absent"], "no-such-package", 2, &["@fixture/absent"]),
        (&["npx", "-y", "fixture-notes@9.9.9"], "no-such-version", 2, &["fixture-notes", "9.9.9"]),
        (&["npx", "-y", "fixture-notes@nonsense"], "no-such-version", 2, &["fixture-notes", "nonsense"]),
        (&["npx", "-y", "fixture-wants-absent"], "no-such-version", 2, &["fixture-wants-absent", "fixture-absent"]),
        (&["npx", "-y", "fixture-wants-version"], "no-such-version", 2, &["fixture-words"]),
        (&["npx", "-y", "fixture-words"], "no-entry-point", 2, &["fixture-words"]),
        (&["npx", "-y", "fixture-elsewhere"], "no-fitting-release", 2, &["fixture-elsewhere"]),
    ];
    let pypi: &[Bad] = &[
        (&["uvx", "fixture-absent"], "no-such-package", 2, &["fixture-absent"]),
        (&["uvx", "fixture-tides==9.9.9"], "no-such-version", 2, &["fixture-tides", "9.9.9"]),
        (&["uvx", "fixture-tides@9.9.9"], "no-such-version", 2, &["fixture-tides", "9.9.9"]),
        (&["uvx", "fixture-wants-absent"], "no-such-package", 2, &["fixture-absent"]),
    ];
    for (name, needs, uv, all) in [
        ("refused::npm::names_and_versions", NPM, true, npm),
        ("refused::pypi::names_and_versions", UV, true, pypi),
        ("refused::pypi::names_and_versions_by_pip", PIP, false, pypi),
    ] {
        suite.once(name, needs, move |world| {
            let registry = Registry::new();
            notes(&registry);
            tides(&registry);
            for (name, depends) in [
                ("fixture-wants-absent", json!({ "fixture-absent": "*" })),
                ("fixture-wants-version", json!({ "fixture-words": "^7" })),
            ] {
                registry.npm(server(name, "1.0.0", json!({ "dependencies": depends })));
            }
            registry.npm(server("fixture-elsewhere", "1.0.0", json!({ "os": ["win32"] })));
            Project::server("fixture-wants-absent", "1.0.0").requires(&["fixture-absent"]).publish(&registry);
            let home = home(world, &registry, uv);
            for (line, code, exit, tells) in all {
                let failed = home.add("x", &[], line);
                home.fails("x", failed, code, *exit, tells);
            }
        });
    }
}

/// What is done to which path, what may come of it, and what is told.
struct Lie {
    what: &'static str,
    path: &'static str,
    trick: Trick,
    /// One of these; a status follows from each.
    codes: &'static [&'static str],
    tells: &'static str,
}

const CHANGED: &[&str] = &["integrity-mismatch"];
const UNREACHABLE: &[&str] = &["registry-unreachable"];
/// An installer does not always say whether it or the registry gave up.
const EITHER: &[&str] = &["registry-unreachable", "install-failed"];

/// A registry that serves something else than it promised, for the package itself and for what it depends on.
fn lies(suite: &mut Suite) {
    let lie = |what, path, trick, codes, tells| Lie { what, path, trick, codes, tells };
    let changed = || Trick::Changed(other_bytes().npm);
    let npm = [
        lie("changed", "fixture-notes-1.0.0.tgz", changed(), CHANGED, "fixture-notes"),
        lie("changed_dependency", "fixture-words-1.0.0.tgz", changed(), CHANGED, "fixture-words"),
        lie("truncated", "fixture-words-1.0.0.tgz", Trick::Truncated, EITHER, "127.0.0.1"),
        lie("stalled", "fixture-words-1.0.0.tgz", Trick::Stalled, UNREACHABLE, "127.0.0.1"),
        lie("stalled_index", "/fixture-words", Trick::Stalled, UNREACHABLE, "127.0.0.1"),
        lie("broken", "/fixture-words", Trick::Status(503), EITHER, "127.0.0.1"),
        lie("forbidden", "/fixture-words", Trick::Status(403), &["registry-denied"], "127.0.0.1"),
    ];
    let changed = || Trick::Changed(other_bytes().wheel);
    let pypi = [
        lie("changed", "/fixture_tides-1.0.0-py3-none-any.whl", changed(), CHANGED, "fixture-tides"),
        lie("changed_dependency", "/fixture_shore-1.0.0-py3-none-any.whl", changed(), CHANGED, "fixture-shore"),
        lie("truncated", "/fixture_shore-1.0.0-py3-none-any.whl", Trick::Truncated, EITHER, "fixture-shore"),
        lie("truncated_metadata", "whl.metadata", Trick::Truncated, EITHER, "127.0.0.1"),
        lie("stalled", "/fixture_shore-1.0.0-py3-none-any.whl", Trick::Stalled, UNREACHABLE, "127.0.0.1"),
        lie("stalled_index", "/simple/fixture-shore", Trick::Stalled, UNREACHABLE, "127.0.0.1"),
        lie("broken", "/simple/fixture-shore", Trick::Status(503), EITHER, "127.0.0.1"),
    ];
    let all = npm.into_iter().map(|lie| ("npm", lie)).chain(pypi.into_iter().map(|lie| ("pypi", lie)));
    for (ecosystem, Lie { what, path, trick, codes, tells }) in all {
        let (needs, line) = if ecosystem == "npm" { (NPM, NOTES) } else { (UV, TIDES) };
        suite.once(&format!("refused::{ecosystem}::{what}"), needs, move |world| {
            let registry = Registry::new();
            notes(&registry);
            tides(&registry);
            let mut home = home(world, &registry, true);
            home.npmrc(&registry, "fetch-timeout=2000\n");
            for (name, value) in [("UV_HTTP_TIMEOUT", "2"), ("UV_HTTP_RETRIES", "0")] {
                home.env.push((name.into(), value.into()));
            }
            registry.trick(path, trick);
            let failed = home.add("x", &[], line);
            let said = failed.said();
            let code = codes.iter().find(|code| said.contains(&format!("error[{code}]")));
            let code = code.unwrap_or_else(|| panic!("none of {codes:?}: {failed}"));
            home.fails("x", failed, code, if codes == CHANGED { 3 } else { 2 }, &[tells]);
            // it was that, and nothing else
            registry.behave();
            home.add("x", &[], line).ok();
        });
    }
}

struct Other {
    npm: Vec<u8>,
    wheel: Vec<u8>,
}

/// Sound archives, and not those that were published.
fn other_bytes() -> Other {
    let package = [Entry::new("package/package.json", "{ \"name\": \"fixture-words\", \"version\": \"1.0.0\" }")];
    Other { npm: tarball(&package), wheel: Project::library("fixture-shore", "1.0.0").requires(&["evil"]).wheel() }
}

/// A package with an archive, or a whole answer, at another port of this machine.
fn elsewhere(world: &Arc<World>) -> (Registry, Registry, Home) {
    let (registry, other) = (Registry::new(), Registry::new());
    notes(&other);
    let words = library("fixture-words", "1.0.0", json!({}));
    let at = format!("{}fixture-words/-/fixture-words-1.0.0.tgz", other.url());
    registry.npm(Npm { elsewhere: Some(at), ..words });
    registry.npm(server("fixture-notes", "1.0.0", json!({ "dependencies": { "fixture-words": "1.0.0" } })));
    let home = home(world, &registry, true);
    (registry, other, home)
}

fn npm_another_port(world: &Arc<World>) {
    let (registry, other, home) = elsewhere(world);
    let failed = home.add("x", &[], NOTES);
    let port = other.port().to_string();
    assert!(failed.said().contains("error[") && failed.code == Some(2), "{failed}");
    let failed = failed.tells(&[&port]);
    assert_eq!(other.asked().len(), 0, "it was asked: {failed}");
    home.nothing_of("x");
    home.nothing_in_the_store();
    // and a registry that sends the client there
    registry.trick("fixture-words", Trick::Redirected(other.url()));
    let failed = home.add("x", &[], NOTES);
    home.fails("x", failed, "registry-unreachable", 2, &[&port]);
    assert_eq!(other.asked().len(), 0, "it was asked after a redirection");
    // it can be had by whoever says so
    registry.behave();
    let rule = format!("localhost:{port}");
    let added = home.add("x", &["--install-net", &rule], NOTES);
    assert!(added.code == Some(0) || added.said().contains("unpinned-dependency"), "{added}");
}

fn npm_another_port_control(world: &Arc<World>) {
    let (_registry, other, home) = elsewhere(world);
    let plain = home.make("plain");
    home.bare("npm", &["install", "fixture-notes"], &plain).ok();
    assert!(!other.asked().is_empty());
    assert!(plain.join("node_modules/fixture-words/index.js").exists());
}

fn npm_unpinned(world: &Arc<World>) {
    let registry = Registry::new();
    notes(&registry);
    let home = home(world, &registry, true);
    let url = format!("{}fixture-words/-/fixture-words-1.0.0.tgz", registry.url());
    for (name, spec, told) in [
        ("fixture-by-url", url.as_str(), "fixture-words"),
        ("fixture-by-git", "git+https://127.0.0.1:1/words.git", "git"),
        ("fixture-by-file", "file:../../../canary", "canary"),
    ] {
        registry.npm(server(name, "1.0.0", json!({ "dependencies": { "fixture-words": spec } })));
        let failed = home.add("x", &[], &["npx", "-y", name]);
        assert!(failed.code == Some(2) && failed.said().contains("error["), "{name}: {failed}");
        let failed = failed.tells(&[told]);
        if name != "fixture-by-file" {
            failed.fails("unpinned-dependency", 2, &[]);
        }
        home.nothing_of("x");
        home.nothing_in_the_store();
    }
}

/// A package that says by a lock of its own where its dependencies come from.
fn npm_shrinkwrap(world: &Arc<World>) {
    let (registry, other) = (Registry::new(), Registry::new());
    let words = library("fixture-words", "1.0.0", json!({}));
    registry.npm(library("fixture-words", "1.0.0", json!({})));
    other.npm(words);
    let mut package = server("fixture-notes", "1.0.0", json!({ "dependencies": { "fixture-words": "^1.0.0" } }));
    let at = format!("{}fixture-words/-/fixture-words-1.0.0.tgz", other.url());
    let lock = json!({
        "name": "fixture-notes", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
        "packages": {
            "": { "name": "fixture-notes", "version": "1.0.0", "dependencies": { "fixture-words": "^1.0.0" } },
            "node_modules/fixture-words": { "version": "1.0.0", "resolved": at },
        },
    });
    package.files.push(Entry::new("npm-shrinkwrap.json", lock.to_string()));
    package.packed = Some(package.manifest.clone());
    package.manifest["_hasShrinkwrap"] = json!(true);
    registry.npm(package);
    let home = home(world, &registry, true);
    let added = home.add("x", &[], NOTES);
    assert_eq!(other.asked().len(), 0, "the other port was asked: {added}");
    if added.code != Some(0) {
        assert!(added.said().contains("error["), "{added}");
        home.nothing_of("x");
        home.nothing_in_the_store();
    }
}

fn npm_program_leads_out(world: &Arc<World>) {
    let registry = Registry::new();
    for (name, bin) in
        [("fixture-up", "../../../../../../../bin/sh"), ("fixture-absolute", "/bin/sh"), ("fixture-gone", "gone.js")]
    {
        registry.npm(server(name, "1.0.0", json!({ "bin": { (name): bin } })));
        let home = home(world, &registry, true);
        let failed = home.add("x", &[], &["npx", "-y", name]);
        assert!(failed.code == Some(2) && failed.said().contains("error["), "{name}: {failed}");
        home.nothing_of("x");
        home.nothing_in_the_store();
    }
}

/// Archives with names that would lead out of the package, or out of a terminal's line.
fn npm_names(world: &Arc<World>) {
    let registry = Registry::new();
    let mut package = server("fixture-notes", "1.0.0", json!({}));
    package.files.push(Entry::new("../../../evil.js", "out"));
    package.files.push(Entry::new("a\n\u{1b}[2Jb", "odd"));
    registry.npm(package);
    let home = home(world, &registry, true);
    let added = home.add("notes", &[], NOTES);
    assert!(!added.said().contains("\u{1b}[2J"), "{added}");
    let evil: Vec<PathBuf> =
        crate::world::files(&home.dir).into_iter().filter(|path| path.ends_with("evil.js")).collect();
    let tree = home.data("store/trees");
    let (inside, outside): (Vec<_>, Vec<_>) = evil.into_iter().partition(|path| {
        path.starts_with(&tree) || path.starts_with(home.data("store/objects")) || path.starts_with(home.join(".cache"))
    });
    assert!(outside.is_empty(), "{outside:?} {inside:?}");
    if added.code == Some(0) {
        home.run("notes").end();
        let path = names(&home.tree("notes").join("root/node_modules/fixture-notes"));
        let odd = path.iter().find(|path| path.as_os_str().as_bytes().contains(&b'\n')).unwrap();
        crate::tampering::write(odd, b"new");
        let refused = home.refused("notes").fails("store-tampered", 3, &["\\n"]);
        assert!(!refused.said().contains("\u{1b}[2J"), "{refused}");
    }
}

/// The same in a wheel.
fn pypi_names(world: &Arc<World>, uv: bool) {
    let registry = Registry::new();
    Project::server("fixture-tides", "1.0.0").file("../../../../../../evil.js", "out").publish(&registry);
    let home = home(world, &registry, uv);
    let added = home.add("x", &[], TIDES);
    let mut evil: Vec<PathBuf> = crate::world::files(&home.dir);
    evil.retain(|path| path.ends_with("evil.js") && !path.starts_with(home.join(".cache")));
    assert!(evil.is_empty(), "{evil:?}: {added}");
    // uv leaves such a name out, pip refuses the wheel
    if added.code == Some(0) {
        home.run("x").end();
        return;
    }
    assert!(added.said().contains("error["), "{added}");
    home.nothing_of("x");
    home.nothing_in_the_store();
}

fn down(world: &Arc<World>, line: &[&str], uv: bool) {
    let registry = Registry::new();
    let mut home = home(world, &registry, uv);
    home.env.push(("UV_HTTP_RETRIES".into(), "0".into()));
    drop(registry);
    let failed = home.add("x", &[], line);
    home.fails("x", failed, "registry-unreachable", 2, &["127.0.0.1"]);
}

fn no_installer(world: &Arc<World>, tools: &[&str], line: &[&str], told: &str) {
    let registry = Registry::new();
    notes(&registry);
    tides(&registry);
    let mut home = home(world, &registry, true);
    home.path = world.only(tools);
    let failed = home.add("x", &[], line);
    home.fails("x", failed, "no-installer", 2, &[&format!("`{told}`"), "hint"]);
    assert_eq!(registry.asked().len(), 0);
}

fn not_cached(world: &Arc<World>, line: &[&str]) {
    let registry = Registry::new();
    notes(&registry);
    tides(&registry);
    let home = home(world, &registry, true);
    let failed = home.add("x", &["--offline"], line);
    home.fails("x", failed, "not-cached", 2, &["fixture-"]);
    assert_eq!(registry.asked().len(), 0);
}

/// A small file system at a place; goes away with this.
struct Small {
    at: CString,
}

impl Small {
    fn mount(at: &Path, options: &str) -> Small {
        let at = CString::new(at.as_os_str().as_bytes()).unwrap();
        let data = CString::new(options).unwrap();
        let kind = c"tmpfs".as_ptr();
        let done = unsafe { libc::mount(kind, at.as_ptr(), kind, 0, data.as_ptr().cast()) };
        assert_eq!(done, 0, "{at:?}: {}", std::io::Error::last_os_error());
        Small { at }
    }

    fn grow(&self) {
        let kind = c"tmpfs".as_ptr();
        let data = c"size=256m".as_ptr().cast();
        let done = unsafe { libc::mount(kind, self.at.as_ptr(), kind, libc::MS_REMOUNT, data) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unsafe { libc::umount2(self.at.as_ptr(), libc::MNT_DETACH) };
    }
}

fn disk_full(world: &Arc<World>, line: &[&str]) {
    let registry = Registry::new();
    let mut package = server("fixture-notes", "1.0.0", json!({}));
    package.files.push(Entry::new("large.bin", vec![7; 3 << 20]));
    registry.npm(package);
    Project::library("fixture-shore", "1.0.0").publish(&registry);
    Project::server("fixture-tides", "1.0.0").requires(&["fixture-shore"]).publish(&registry);
    let home = home(world, &registry, true);
    home.make(".local/share/mcpjail");
    let identity = world.identity;
    // from no room for anything on to nearly enough
    let sizes = if line == TIDES { ["16k", "64k"] } else { ["16k", "2m"] };
    for size in sizes {
        let small =
            Small::mount(&home.data(""), &format!("size={size},mode=700,uid={},gid={}", identity.uid, identity.gid));
        let failed: Finished = home.add("x", &[], line);
        home.fails("x", failed, "disk-full", 2, &[]);
        small.grow();
        home.add("x", &[], line).ok();
        home.run("x").end();
        home.finish(&["remove", "x", "--yes"]).ok();
    }
}

/// Lines from which nothing can be installed.
fn lines(world: &Arc<World>) {
    let home = world.home();
    for (line, tells) in [
        (&["npx", "-y", "github:someone/server"][..], "github:someone/server"),
        (&["npx", "-y", "https://127.0.0.1:1/x.tgz"], "https://"),
        (&["npx"], "npx"),
        (&["npx", "-y", "--registry", "http://127.0.0.1:1/", "x"], "--registry"),
        (&["uvx", "--from", "git+https://127.0.0.1:1/x", "x"], "git+"),
        (&["docker", "run", "-i", "image"], "docker"),
        (&["env", "A=B", "npx", "-y", "x"], "--env"),
        (&["no-such-program-anywhere"], "no-such-program-anywhere"),
    ] {
        let failed = home.add("x", &[], line);
        assert!(failed.code == Some(2) && failed.said().contains("error["), "{line:?}: {failed}");
        assert!(failed.said().contains("hint:") || line[0].starts_with("no-such"), "{line:?}: {failed}");
        failed.tells(&[tells]);
        home.nothing_of("x");
        home.nothing_in_the_store();
    }
}
