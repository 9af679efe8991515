//! From Python's command lines to running servers, by uv and, where there is none, by pip.

use crate::Suite;
use crate::features::{Feature, PYTHON};
use crate::fixtures::{Project, tides};
use crate::registry::Registry;
use crate::world::{Home, Session, World, finish};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

const UV: &[Feature] = &[Feature::Userns, Feature::Python, Feature::Uv];
const PIP: &[Feature] = &[Feature::Userns, Feature::Python];

pub fn trials(suite: &mut Suite) {
    suite.add("pypi::add_then_run", UV, |world| add_then_run(world, true));
    suite.add("pypi::add_then_run_by_pip", PIP, |world| add_then_run(world, false));
    suite.add("pypi::control", UV, |world| control(world, "uv"));
    suite.once("pypi::control_of_pages", UV, |world| control(world, "pages"));
    suite.once("pypi::control_by_pip", PIP, |world| control(world, "pip"));
    suite.once("pypi::command_lines", UV, |world| command_lines(world, true));
    suite.once("pypi::command_lines_by_pip", PIP, |world| command_lines(world, false));
    for html in [false, true] {
        let name = if html { "pypi::an_index_of_pages" } else { "pypi::extras_and_markers" };
        suite.once(name, UV, move |world| extras(world, html, true));
        suite.once(&format!("{name}_by_pip"), PIP, move |world| extras(world, html, false));
    }
    suite.once("pypi::nothing_runs_at_install", UV, |world| nothing_runs(world, true));
    suite.once("pypi::nothing_runs_at_install_by_pip", PIP, |world| nothing_runs(world, false));
    suite.once("pypi::nothing_runs_at_install::control", UV, nothing_runs_control);
    suite.once("pypi::module", UV, module);
    suite.once("pypi::several_programs", UV, several);
    suite.once("pypi::another_python", UV, |world| another_python(world, true));
    suite.once("pypi::another_python_by_pip", PIP, |world| another_python(world, false));
}

/// A home whose uv and pip ask this registry, with or without uv.
pub fn home(world: &Arc<World>, registry: &Registry, uv: bool) -> Home {
    let mut home = world.home();
    home.uses(registry);
    home.path = world.only(if uv { &["uv", "uvx", "python3"] } else { &["python3"] });
    home
}

fn add_then_run(world: &Arc<World>, uv: bool) {
    let registry = Registry::new();
    tides(&registry);
    let mut home = home(world, &registry, uv);
    let work = home.make("work").display().to_string();
    let added = home.add("tides", &[], &["uvx", "fixture-tides", &work]).ok();
    added.tells(&["pypi:fixture-tides==1.0.0", "\"run\", \"tides\""]);
    assert!(!registry.asked().is_empty(), "nothing was fetched");
    home.finish(&["check", "--deep", "tides"]).ok();

    let port = registry.port();
    drop(registry);
    home.path = world.only(&["python3"]);
    let mut session = home.run("tides");
    let about = session.about();
    assert_eq!(about["version"], "1.0.0");
    assert_eq!(about["arguments"], json!([work]));
    assert_eq!(about["parts"], json!({ "fixture-shore": "1.0.0" }));
    let mut direct = home.command(&home.tree("tides").join("root/venv/bin/python"));
    direct.args(["-B", "-m", "fixture_tides"]);
    assert_eq!(session.tools, Session::open(direct).unwrap().tools);
    session.works("write", json!({ "path": format!("{work}/new.txt"), "text": "by a server" }));
    session.fails("read", json!({ "path": home.word("canary") }));
    session.fails("connect", json!({ "port": port }));
    let place = about["place"].as_str().unwrap();
    session.works("read", json!({ "path": format!("{place}/server.py") }));
    session.fails("write", json!({ "path": format!("{place}/server.py"), "text": "" }));
    session.end();
    home.finish(&["check", "--deep", "tides"]).ok();
}

/// Without a jail the server reads, writes and connects as it is told.
fn control(world: &Arc<World>, installer: &str) {
    let registry = Registry::new();
    tides(&registry);
    if installer == "pages" {
        registry.html_only();
    }
    let home = home(world, &registry, installer != "pip");
    let plain = home.make("plain");
    match installer {
        "pip" => home.bare("python3", &["-m", "venv", "."], &plain).ok(),
        _ => home.bare("uv", &["venv", "--python", PYTHON, "--allow-existing", "."], &plain).ok(),
    };
    let python = plain.join("bin/python");
    let mut command = match installer {
        "pip" => home.command(&plain.join("bin/pip")),
        _ => home.command(&crate::features::found("uv").unwrap()),
    };
    let words: &[&str] = if installer == "pip" { &["install"] } else { &["pip", "install", "--python", "bin/python"] };
    command.args(words).arg("fixture-tides").current_dir(&plain);
    finish(command).ok();
    let mut command = home.command(&python);
    command.args(["-m", "fixture_tides"]);
    let mut session = Session::open(command).unwrap();
    assert_eq!(session.about()["parts"], json!({ "fixture-shore": "1.0.0" }));
    session.works("read", json!({ "path": home.word("canary") }));
    session.works("connect", json!({ "port": registry.port() }));
    session.works("write", json!({ "path": home.word("plain/new.py"), "text": "" }));
    session.end();
}

fn command_lines(world: &Arc<World>, uv: bool) {
    let registry = Registry::new();
    tides(&registry);
    Project::server("fixture-tides", "1.5.0").requires(&["fixture-shore>=1"]).publish(&registry);
    let home = home(world, &registry, uv);
    let lines: &[(&[&str], &str)] = &[
        (&["uvx", "fixture-tides@1.0.0", "word"], "1.0.0"),
        (&["uvx", "--from", "fixture-tides==1.0.0", "fixture-tides", "word"], "1.0.0"),
        (&["uv", "tool", "run", "fixture-tides", "word"], "1.5.0"),
        (&["pipx", "run", "--spec", "fixture-tides>=1,<1.5", "fixture-tides", "word"], "1.0.0"),
        (&["pipx", "run", "Fixture_Tides", "word"], "1.5.0"),
    ];
    for (at, (line, version)) in lines.iter().enumerate() {
        let name = format!("line-{at}");
        home.add(&name, &[], line).ok();
        let about = home.run(&name).about();
        assert_eq!((&about["version"], &about["arguments"]), (&json!(version), &json!(["word"])), "{line:?}");
    }
    home.finish(&["add", "short", "pypi:fixture-tides==1.0.0", "--yes", "--", "word", "--flag"]).ok();
    assert_eq!(home.run("short").about()["arguments"], json!(["word", "--flag"]));
    assert_eq!(home.tree("line-0"), home.tree("short"));
}

fn extras(world: &Arc<World>, html: bool, uv: bool) {
    let registry = Registry::new();
    if html {
        registry.html_only();
    }
    for name in ["fixture-shells", "fixture-more"] {
        Project::library(name, "1.0.0").publish(&registry);
    }
    let requires = [
        "fixture-shells>=1; extra == \"full\"",
        "fixture-more; python_version >= \"3\"",
        // published nowhere, and wanted nowhere here
        "fixture-never; sys_platform == \"win32\"",
        "fixture-past; python_version < \"3\"",
    ];
    Project::server("fixture-tides", "1.0.0").requires(&requires).extra("full").publish(&registry);
    let home = home(world, &registry, uv);
    let parts = |name: &str| home.run(name).about()["parts"].clone();
    home.add("plain", &[], &["uvx", "fixture-tides"]).ok();
    let plain = json!({ "fixture-shells": null, "fixture-more": "1.0.0", "fixture-never": null, "fixture-past": null });
    assert_eq!(parts("plain"), plain);
    home.add("full", &[], &["uvx", "--from", "fixture-tides[full]", "fixture-tides"])
        .ok()
        .tells(&["pypi:fixture-tides[full]==1.0.0"]);
    assert_eq!(parts("full")["fixture-shells"], "1.0.0");
    home.add("with", &[], &["uvx", "--with", "fixture-shells==1.0.0", "fixture-tides"]).ok();
    assert_eq!(parts("with")["fixture-shells"], "1.0.0");
}

/// A wheel full of names that Python or an installer would run by themselves, if they came near it.
fn eager(registry: &Registry) {
    let mark = |name: &str| {
        format!(
            "import os\nopen(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ran-{name}'), 'w').close()\n"
        )
    };
    let mut project = Project::server("fixture-tides", "1.0.0")
        .file("eager.pth", "import sys; open(sys.prefix + '/ran-pth', 'w').close()\n");
    for name in ["sitecustomize", "usercustomize", "compileall", "py_compile", "setuptools", "pip", "packaging", "json"]
    {
        project = project.file(&format!("{name}.py"), &mark(name));
    }
    project.publish(registry);
}

/// The files that those leave.
fn ran(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut all = crate::world::files(dir);
    all.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ran-")));
    all
}

fn nothing_runs(world: &Arc<World>, uv: bool) {
    let registry = Registry::new();
    eager(&registry);
    let home = home(world, &registry, uv);
    home.add("tides", &[], &["uvx", "fixture-tides"]).ok();
    assert_eq!(ran(&home.dir), [""; 0].map(PathBuf::from));
}

/// Outside of a jail it is enough to start the environment's Python.
fn nothing_runs_control(world: &Arc<World>) {
    let registry = Registry::new();
    eager(&registry);
    let home = home(world, &registry, true);
    let plain = home.make("plain");
    home.bare("uv", &["venv", "--python", PYTHON, "--allow-existing", "."], &plain).ok();
    home.bare("uv", &["pip", "install", "--python", "bin/python", "fixture-tides"], &plain).ok();
    let site = crate::world::names(&plain.join("lib")).remove(0).join("site-packages");
    // and to compile the tree from the wrong directory
    for words in [["-c", "pass"], ["-m", "compileall"]] {
        let mut command = home.command(&plain.join("bin/python"));
        command.args(words).current_dir(&site);
        finish(command).ok();
    }
    assert_eq!(ran(&plain), [site.join("ran-compileall"), plain.join("ran-pth")]);
}

/// A virtual environment of a person's, with these projects in it; gives its `bin`.
pub fn environment(home: &Home, name: &str, projects: &[Project]) -> PathBuf {
    let dir = home.join(name);
    let mut command = home.command(PYTHON.as_ref());
    command.args(["-m", "venv", "--without-pip"]).arg(&dir);
    finish(command).ok();
    let lib = crate::world::names(&dir.join("lib")).remove(0);
    projects.iter().for_each(|project| project.unpack(&lib.join("site-packages")));
    home.world.identity.own(&dir).unwrap();
    dir.join("bin")
}

/// `python -m MODULE` is the distribution that this Python has the module from.
fn module(world: &Arc<World>) {
    let registry = Registry::new();
    tides(&registry);
    Project::server("fixture-tides", "1.5.0").requires(&["fixture-shore>=1"]).publish(&registry);
    let home = home(world, &registry, true);
    let installed = [Project::server("fixture-tides", "1.0.0").requires(&["fixture-shore>=1"])];
    let python = environment(&home, "environment", &installed).join("python").display().to_string();
    let added = home.add("tides", &[], &[&python, "-m", "fixture_tides", "word"]).ok();
    added.tells(&["pypi:fixture-tides==1.0.0"]);
    let about = home.run("tides").about();
    assert_eq!((&about["version"], &about["arguments"]), (&json!("1.0.0"), &json!(["word"])));
    let failed = home.add("x", &[], &[&python, "-m", "fixture_absent"]);
    failed.fails("package-line", 2, &["fixture_absent"]);
    home.nothing_of("x");
}

fn several(world: &Arc<World>) {
    let registry = Registry::new();
    Project::server("fixture-several", "1.0.0").scripts(&["alpha", "beta"]).publish(&registry);
    Project::server("fixture-other", "1.0.0").scripts(&["another-name"]).publish(&registry);
    Project::library("fixture-nothing", "1.0.0").publish(&registry);
    let home = home(world, &registry, true);
    let failed = home.add("x", &[], &["uvx", "fixture-several"]);
    home.fails("x", failed, "no-entry-point", 2, &["`alpha`", "`beta`"]);
    let failed = home.add("x", &[], &["uvx", "--from", "fixture-several", "gamma"]);
    home.fails("x", failed, "no-entry-point", 2, &["gamma"]);
    let failed = home.add("x", &[], &["uvx", "fixture-nothing"]);
    home.fails("x", failed, "no-entry-point", 2, &["fixture-nothing"]);
    home.add("beta", &[], &["uvx", "--from", "fixture-several", "beta"]).ok();
    assert_eq!(home.run("beta").about()["program"], "beta");
    home.add("other", &[], &["uvx", "--from", "fixture-other", "another-name"]).ok();
    assert_eq!(home.run("other").about()["program"], "another-name");
}

fn another_python(world: &Arc<World>, uv: bool) {
    let registry = Registry::new();
    Project::server("fixture-future", "1.0.0").requires_python(">=3.99").publish(&registry);
    let home = home(world, &registry, uv);
    let failed = home.add("x", &[], &["uvx", "fixture-future"]);
    home.fails("x", failed, "no-fitting-release", 2, &["fixture-future"]);
}
