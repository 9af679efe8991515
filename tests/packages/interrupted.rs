//! Killed at any moment, by a signal that nobody can catch: afterwards a server is whole or absent, and the store is valid.

use crate::Suite;
use crate::features::Feature;
use crate::fixtures::{Project, notes, tides};
use crate::python;
use crate::registry::Registry;
use crate::world::{Home, World, files, kill, names, start};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Moments in each trial.
const MOMENTS: u32 = 20;
const NPM: &[Feature] = &[Feature::Userns, Feature::Npm];
const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];

pub fn trials(suite: &mut Suite) {
    suite.add("killed::add_pypi", UV, |world| {
        let registry = Registry::new();
        tides(&registry);
        add(&python::home(world, &registry, true), &["uvx", "fixture-tides"]);
    });
    suite.once("killed::add_npm", NPM, |world| {
        let registry = Registry::new();
        notes(&registry);
        let home = world.home();
        home.uses(&registry);
        add(&home, &["npx", "-y", "fixture-notes"]);
    });
    suite.once("killed::politely", UV, politely);
    suite.once("killed::update", UV, update);
    suite.once("killed::remove", UV, remove);
}

/// Runs a command for that long and kills it: all of its group, or the launcher alone, so that what it started has to end
/// by itself. Gives whether it was over before.
fn interrupt(home: &Home, words: &[&str], after: Duration, group: bool) -> bool {
    let mut child = start(home.mcpjail(words));
    let id = i32::try_from(child.id()).unwrap();
    std::thread::sleep(after);
    kill(if group { -id } else { id });
    let status = child.wait().unwrap();
    // a command that was over could still have been killed while it was not waited for
    let over = status.signal().is_none();
    assert!(!over || status.code() == Some(0), "{words:?} failed by itself: {status}");
    alone(home);
    over
}

/// Waits until nothing runs any more that has to do with this home.
fn alone(home: &Home) {
    let until = Instant::now() + Duration::from_secs(20);
    let mark = home.dir.to_string_lossy().into_owned();
    loop {
        let left: Vec<String> = names("/proc".as_ref())
            .into_iter()
            .filter_map(|dir| {
                let line = fs::read(dir.join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let cwd = fs::read_link(dir.join("cwd")).unwrap_or_default();
                (line.contains(&mark) || cwd.starts_with(&home.dir)).then_some(line)
            })
            .collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "still running: {left:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long a command takes that is not interrupted.
fn duration(home: &Home, words: &[&str]) -> Duration {
    let begun = Instant::now();
    home.finish(words).ok();
    begun.elapsed()
}

/// Moments over a duration and a little beyond, the same ones at every run; commands that end at different times make them
/// fall anywhere.
fn moments(all: Duration, whole: bool) -> impl Iterator<Item = (Duration, bool)> {
    (0..MOMENTS).map(move |at| {
        // the steps at the end follow each other more closely than those of the network
        let part = f64::from(at) / f64::from(MOMENTS - 1);
        let part = if whole { part * 1.05 } else { part };
        (all.mul_f64(part), at % 2 == 0)
    })
}

fn add(home: &Home, line: &[&str]) {
    let words = [&["add", "x", "--yes", "--"][..], line].concat();
    home.finish(&words).ok();
    home.finish(&["remove", "x", "--yes"]).ok();
    // with what was downloaded, as all others
    let all = duration(home, &words);
    home.finish(&["remove", "x", "--yes"]).ok();
    let mut outcomes = [0, 0];
    for (after, group) in moments(all, true) {
        let over = interrupt(home, &words, after, group);
        home.finish(&["store", "list"]).ok();
        let whole = home.profile("x").exists();
        assert!(whole || !over, "after {after:?}: it said that it was done");
        if whole {
            home.finish(&["check", "--deep", "x"]).ok();
            home.run("x").end();
            home.finish(&["remove", "x", "--yes"]).ok();
        }
        home.nothing_of("x");
        outcomes[usize::from(whole)] += 1;
    }
    assert!(outcomes[0] > 1, "hardly anything was interrupted: {outcomes:?}");
    // what was left is found, and a new add does not stumble over it
    home.finish(&words).ok();
    home.run("x").end();
    home.finish(&["store", "gc"]).ok();
    assert_eq!(names(&home.data("store/stages")).len(), 0, "stages of dead processes are left");
    assert_eq!(names(&home.data("store/trees")), [home.tree("x")]);
    home.finish(&["remove", "x", "--yes"]).ok();
    home.finish(&["store", "gc"]).ok();
    home.nothing_in_the_store();
}

/// Ctrl-C, and the signal of a service manager: nothing at all is left then.
fn politely(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    let words = ["add", "x", "--yes", "--", "uvx", "fixture-tides"];
    home.finish(&words).ok();
    home.finish(&["remove", "x", "--yes"]).ok();
    let all = duration(&home, &words);
    home.finish(&["remove", "x", "--yes"]).ok();
    for (part, signal) in [(0.2, libc::SIGINT), (0.4, libc::SIGTERM), (0.6, libc::SIGINT), (0.8, libc::SIGHUP)] {
        let mut child = start(home.mcpjail(&words));
        let id = i32::try_from(child.id()).unwrap();
        std::thread::sleep(all.mul_f64(part));
        unsafe { libc::kill(-id, signal) };
        let status = child.wait().unwrap();
        alone(&home);
        if status.code() == Some(0) {
            home.finish(&["remove", "x", "--yes"]).ok();
        }
        home.nothing_of("x");
        home.finish(&["store", "list"]).ok();
    }
    home.finish(&words).ok();
    home.run("x").end();
}

fn update(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    Project::server("fixture-tides", "2.0.0").requires(&["fixture-shore>=1"]).publish(&registry);
    let home = python::home(world, &registry, true);
    home.finish(&["add", "x", "--yes", "--", "uvx", "fixture-tides@1.0.0"]).ok();
    let words = ["update", "x", "2.0.0", "--yes"];
    let all = duration(&home, &words);
    home.finish(&["update", "x", "--rollback"]).ok();
    for (after, group) in moments(all, true) {
        interrupt(&home, &words, after, group);
        // one or the other, with its own approval
        let about = home.run("x").about();
        home.finish(&["check", "--deep", "x"]).ok();
        let version = about["version"].as_str().unwrap();
        assert_eq!(home.record("x")["release"]["version"], version);
        let profile = fs::read_to_string(home.profile("x")).unwrap();
        assert!(profile.contains(&format!("fixture-tides=={version}")), "{profile}");
        if version == "2.0.0" {
            home.finish(&["update", "x", "--rollback"]).ok();
            assert_eq!(home.run("x").about()["version"], "1.0.0");
        }
    }
}

fn remove(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    let home = python::home(world, &registry, true);
    let words = ["add", "x", "--yes", "--", "uvx", "fixture-tides"];
    home.finish(&words).ok();
    let all = duration(&home, &["remove", "x", "--yes"]);
    for (after, group) in moments(all, false).step_by(3) {
        home.finish(&words).ok();
        interrupt(&home, &["remove", "x", "--yes"], after, group);
        home.finish(&["store", "list"]).ok();
        if home.profile("x").exists() {
            home.run("x").end();
            home.finish(&["remove", "x", "--yes"]).ok();
        }
        home.nothing_of("x");
    }
    // and garbage is collected at any moment
    for (after, group) in moments(all, false).step_by(4) {
        home.finish(&["add", "y", "--yes", "--", "uvx", "fixture-shore-absent"]).code(2);
        interrupt(&home, &["store", "gc"], after, group);
    }
    home.finish(&words).ok();
    home.finish(&["check", "--deep", "x"]).ok();
    home.finish(&["store", "gc"]).ok();
    assert!(!files(&home.data("store/objects")).is_empty());
    home.run("x").end();
}
