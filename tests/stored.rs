//! Servers that run from the store: what they see of it, and what keeps them from starting.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use mcpjail::packages::{Ecosystem, Installed, LocalRequest, Release, Request, Start};
use mcpjail::store::{Change, Depth, Record, Store};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct World {
    dir: tempfile::TempDir,
}

/// One server's package, put into the store by hand.
struct Added {
    record: Record,
    root: PathBuf,
}

impl World {
    fn new() -> World {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let world = World { dir: tempfile::tempdir_in(base).or_else(|_| tempfile::tempdir()).unwrap() };
        fs::create_dir_all(world.home().join("notes")).unwrap();
        world
    }

    fn home(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("home")
    }

    fn data(&self) -> PathBuf {
        self.home().join(".local/share/mcpjail")
    }

    fn store(&self) -> Store {
        Store::new(&self.data())
    }

    fn profile(&self, name: &str, text: &str) {
        let dir = self.home().join(".config/mcpjail/servers");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{name}.toml")), format!("version = 1\n{text}")).unwrap();
    }

    /// Adds a package of these files; those that begin with `#!` can be executed.
    fn add(&self, name: &str, files: &[(&str, &str)], start: Start, links: &[(&str, &Path)]) -> Added {
        let store = self.store();
        let mut stage = store.stage().unwrap();
        for (file, text) in files {
            let path = stage.root().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (link, target) in links {
            let path = stage.root().join(link);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, &path).unwrap();
            stage.allow_outside((*link).into(), (*target).into());
        }
        let release =
            Release { ecosystem: Ecosystem::Npm, name: name.into(), extras: Vec::new(), version: "1.0.0".into() };
        let installed =
            Installed { release: release.clone(), start, components: Vec::new(), skipped: Vec::new(), ran: Vec::new() };
        let kept = store.keep(stage, &installed).unwrap();
        let record = Record {
            version: 1,
            release,
            tree: kept.tree,
            start: installed.start.clone(),
            request: Request::Local(LocalRequest { command: vec![name.into()] }),
            scripts: Vec::new(),
            network: Vec::new(),
            at: "2026-11-21T00:00:00Z".into(),
            before: None,
        };
        let claim = store.claim(name).unwrap();
        let text = serde_json::to_string(&record).unwrap();
        store.commit(&claim, &[Change::Write { path: store.record_path(name), text }]).unwrap();
        self.profile(name, &format!("package = \"npm:{name}@1.0.0\"\n"));
        Added { root: store.root(&record.tree), record }
    }

    /// A package of one shell script.
    fn shell(&self, name: &str, script: &str) -> Added {
        let text = format!("#!/bin/sh\nexec >&2\n{script}\n");
        let start = Start::Program { path: "bin/server".into() };
        self.add(name, &[("bin/server", &text), ("lib/data", "data of the package\n")], start, &[])
    }

    fn mcpjail(&self, args: &[&str], cwd: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpjail"));
        command.args(args).env_clear().env("HOME", self.home()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).current_dir(cwd).output().unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        let all = [&["run", "--trust-first-use"], args].concat();
        self.mcpjail(&all, &self.home().join("notes"))
    }

    /// The code of the error that keeps a server from starting. `said` is what the server would have said.
    fn refused(&self, args: &[&str], said: &str) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!text.contains(said), "the server was started: {text}");
        assert!(!output.status.success(), "{text}");
        text
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Changes a file that is read-only, and gives it the times that it had.
fn change(path: &Path, change: impl FnOnce(&Path)) {
    let folder = path.parent().unwrap();
    let times = |path: &Path| {
        let meta = fs::symlink_metadata(path).unwrap();
        fs::FileTimes::new().set_modified(meta.modified().unwrap()).set_accessed(meta.accessed().unwrap())
    };
    let (mode, of_folder, of_file) = (fs::metadata(folder).unwrap().mode(), times(folder), times(path));
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    change(path);
    if let Ok(file) = fs::File::open(path) {
        file.set_times(of_file).unwrap();
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    fs::File::open(folder).unwrap().set_times(of_folder).unwrap();
}

#[test]
fn a_package_sees_its_own_tree_and_nothing_else_of_the_store() {
    let world = World::new();
    let other = world.shell("other", "echo OTHER");
    let script = "here=$(dirname \"$0\")/..; cat \"$here/lib/data\"; ls \"$here/../..\"; ls -A \"$here/..\"; \
                  ls /home >/dev/null; for f in \"$here/../meta\" \"$here/../manifest\" \"$here/../index\"; do \
                  [ -e \"$f\" ] && echo SEEN \"$f\"; done; echo x 2>/dev/null >\"$here/lib/data\" || echo READONLY; \
                  echo \"args $*\"";
    let own = world.shell("own", script);
    world.profile(
        "own",
        "package = \"npm:own@1.0.0\"\nargs = [\"~/notes\", \"--flag\"]\n[jail.files]\nread = [\"~/notes\"]",
    );
    let text = said(&world.run(&["own", "--", "--more"]));
    assert!(text.contains("data of the package") && text.contains("READONLY"), "{text}");
    assert!(text.contains(&format!("args {} --flag --more", world.home().join("notes").display())), "{text}");
    assert!(text.contains(&own.record.tree.hex()) && !text.contains(&other.record.tree.hex()), "{text}");
    assert!(!text.contains("SEEN"), "{text}");
    assert_eq!(fs::read_to_string(own.root.join("lib/data")).unwrap(), "data of the package\n");
}

#[test]
fn what_was_changed_in_the_store_does_not_start() {
    type Tamper = fn(&Path);
    let byte: Tamper = |file| {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(file, "DATA of the package\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
    };
    let replaced: Tamper = |file| {
        fs::remove_file(file).unwrap();
        fs::write(file, "DATA of the package\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
    };
    let removed: Tamper = |file| fs::remove_file(file).unwrap();
    let added: Tamper = |file| fs::write(file.with_file_name("more"), "").unwrap();
    let redirected: Tamper = |file| {
        fs::remove_file(file).unwrap();
        symlink("../bin/server", file).unwrap();
    };
    for (what, tamper) in
        [("byte", byte), ("replaced", replaced), ("removed", removed), ("added", added), ("redirected", redirected)]
    {
        let world = World::new();
        let server = world.shell("own", "echo STARTED");
        assert!(said(&world.run(&["own"])).contains("STARTED"), "{what}: the control");
        change(&server.root.join("lib/data"), tamper);
        let text = world.refused(&["own"], "STARTED");
        assert!(text.contains("error[store-tampered]"), "{what}: {text}");
        assert!(text.contains("lib/data") || text.contains("lib/more") || text.contains("lib`"), "{what}: {text}");
        let deep = world.mcpjail(&["check", "--deep", "own"], &world.home());
        let report = String::from_utf8_lossy(&deep.stdout).into_owned();
        assert!(report.contains("store-tampered") && deep.status.code() == Some(3), "{what}: {report}");
    }
}

#[test]
fn a_tree_that_is_gone_is_told() {
    let world = World::new();
    let server = world.shell("own", "echo STARTED");
    let tree = server.root.parent().unwrap();
    fs::set_permissions(tree, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(tree, tree.with_file_name("elsewhere")).unwrap();
    assert!(world.refused(&["own"], "STARTED").contains("error[store-missing]"));
    // a link in its place is another place
    symlink("elsewhere", tree).unwrap();
    world.refused(&["own"], "STARTED");
}

#[test]
fn the_profile_says_exactly_what_is_installed() {
    let world = World::new();
    world.shell("own", "echo STARTED");
    for package in ["npm:own@1.0.1", "npm:owm@1.0.0", "npm:own@1.0.00", "npm:own@v1.0.0", "pypi:own==1.0.0"] {
        world.profile("own", &format!("package = \"{package}\""));
        let text = world.refused(&["own"], "STARTED");
        assert!(text.contains("error[package-mismatch]"), "{text}");
        assert!(text.contains(package) && text.contains("npm:own@1.0.0") && text.contains("own.toml:2"), "{text}");
        assert!(text.contains("mcpjail update own"), "{text}");
    }
    world.profile("absent", "package = \"npm:absent@1.0.0\"");
    let text = world.refused(&["absent"], "STARTED");
    assert!(text.contains("error[package-not-installed]"), "{text}");
    assert!(text.contains("`mcpjail add absent`"), "{text}");
}

#[test]
fn no_line_grants_the_store() {
    let world = World::new();
    let server = world.shell("own", "echo STARTED");
    let tree = server.root.parent().unwrap().display().to_string();
    let profile = |line: &str| world.profile("own", &format!("package = \"npm:own@1.0.0\"\n[jail.files]\n{line}"));
    for path in ["~/.local/share/mcpjail", "~/.local/share/mcpjail/store/trees", &tree] {
        for key in ["read", "write", "exec", "list"] {
            profile(&format!("{key} = [\"{path}\"]"));
            let text = world.refused(&["own"], "STARTED");
            assert!(text.contains("error[protected-path]"), "{key} {path}: {text}");
        }
        profile(&format!("write = [{{ path = \"{path}\", dangerous = true }}]"));
        let text = world.refused(&["own"], "STARTED");
        assert!(text.contains("error[package-writable]") || text.contains("error[lock-writable]"), "{path}: {text}");
    }
    let bundles = world.home().join(".config/mcpjail/profiles");
    fs::create_dir_all(&bundles).unwrap();
    fs::write(bundles.join("b.toml"), "version = 1\n[jail.files]\nread = [\"~/.local/share/mcpjail/store\"]").unwrap();
    world.profile("own", "package = \"npm:own@1.0.0\"\nuse = [\"b\"]");
    let text = world.refused(&["own"], "STARTED");
    assert!(text.contains("error[protected-path]") && text.contains("b.toml:3"), "{text}");
}

/// A server that answers: one tool, named as the package's file says.
const ANSWERS: &str = r#"#!/bin/sh
while read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([^,}]*\).*/\1/p')
    [ -z "$id" ] && continue
    case $line in
    *'"initialize"'*) body='"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}' ;;
    *'"tools/list"'*) body='"result":{"tools":[{"name":"look","inputSchema":{"type":"object"}}]}' ;;
    *) body='"error":{"code":-32601,"message":"no such method"}' ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$body"
done
"#;

#[test]
fn what_is_approved_of_a_package_is_its_tree() {
    let world = World::new();
    let add = |more: &str| {
        let start = Start::Program { path: "server".into() };
        world.add("own", &[("server", ANSWERS), ("more", more)], start, &[]).record.tree
    };
    let first = add("1");
    let explained = world.mcpjail(&["explain", "own"], &world.home());
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains(&format!("package: npm:own@1.0.0, {first}")), "{text}{}", said(&explained));
    assert!(text.contains("the package store"), "{text}");

    let lock = world.home().join("own.lock.json");
    let lock_option = ["--lock", lock.to_str().unwrap()];
    let approve = || world.mcpjail(&[&["approve", "--yes"], &lock_option[..], &["own"]].concat(), &world.home());
    let check = || world.mcpjail(&[&["check"], &lock_option[..], &["own"]].concat(), &world.home());
    let approved = approve();
    assert!(approved.status.success(), "{}", said(&approved));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();
    let identity = &json["identity"];
    assert_eq!(identity["package"]["release"], "npm:own@1.0.0");
    assert_eq!(identity["package"]["tree"], first.to_string());
    assert_eq!(identity["command"], serde_json::json!(["npm:own@1.0.0"]));
    assert!(identity.get("entry").is_none(), "{identity}");
    assert!(check().status.success());

    // the same name and version, and one file that nothing of the catalog tells
    assert_ne!(add("2"), first);
    let checked = check();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(3), "{text}");
    assert!(text.contains("the same release of its package, with other files"), "{text}");
    let refused = world.mcpjail(&[&["run"], &lock_option[..], &["own"]].concat(), &world.home());
    assert!(said(&refused).contains("error[catalog-changed]"), "{}", said(&refused));
    assert!(approve().status.success() && check().status.success());
}

#[test]
fn the_working_directory_lends_no_modules() {
    let python = Path::new("/usr/bin/python3");
    let new = "import sys; sys.exit(sys.version_info < (3, 11))";
    // an older one does not know the variable, and takes the module from where it runs
    let safe = Command::new(python).args(["-c", new]).status().expect("a Python, /usr/bin/python3").success();
    let real = python.canonicalize().unwrap();
    let version = real.file_name().unwrap().to_str().unwrap().to_owned();
    let world = World::new();
    let module = format!("venv/lib/{version}/site-packages/served/__main__.py");
    let files = [
        (module.as_str(), "import sys, helper\nprint('HELPER', helper.whose, file=sys.stderr)\n"),
        (&format!("venv/lib/{version}/site-packages/helper.py"), "whose = 'of the package'\n"),
        ("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n"),
    ];
    let start = Start::PythonModule { python: "venv/bin/python".into(), module: "served".into() };
    world.add("own", &files, start, &[("venv/bin/python", &real)]);
    let notes = world.home().join("notes");
    for name in ["helper.py", "served.py"] {
        fs::write(notes.join(name), "import sys\nwhose = 'SHADOWED'\nprint('SHADOWED', file=sys.stderr)\n").unwrap();
    }
    world.profile("own", "package = \"npm:own@1.0.0\"\n[jail.files]\nwrite = [\"~/notes\"]");
    let text = said(&world.run(&["own"]));
    assert_eq!(text.contains("HELPER of the package") && !text.contains("SHADOWED"), safe, "{text}");
    // the control: what would happen without
    world.profile(
        "own",
        "package = \"npm:own@1.0.0\"\n[jail]\nfiles.write = [\"~/notes\"]\nenv.set = { PYTHONSAFEPATH = \"\" }",
    );
    let text = said(&world.run(&["own"]));
    assert!(text.contains("SHADOWED"), "{text}");
}

#[test]
fn a_started_tree_is_left_alone_by_a_collection() {
    let world = World::new();
    let server = world.shell("own", "while read -r line; do :; done");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcpjail"))
        .args(["run", "--trust-first-use", "--verbose", "own"])
        .env_clear()
        .env("HOME", world.home())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .current_dir(world.home())
        .spawn()
        .unwrap();
    // the report of the layers comes once the server is there
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("enforced"))));
    let freed = world.store().collect(&|_| false, false).unwrap();
    assert_eq!((freed.trees, freed.busy), (0, 1));
    assert!(server.root.join("bin/server").exists());
    drop(child.stdin.take());
    child.wait().unwrap();
    drop(lines);
    let freed = world.store().collect(&|_| false, false).unwrap();
    assert_eq!((freed.trees, freed.busy), (1, 0));
    assert!(matches!(
        world.store().verify(&server.record.tree, Depth::Quick),
        Err(mcpjail::store::StoreError::Missing { .. })
    ));
}
