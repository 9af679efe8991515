//! The whole install, by jobs that run without a jail, with exactly their variables, and by an npm of a few lines.

use super::*;
use std::cell::RefCell;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Runs jobs as they are, so that a variable that is missing shows.
#[derive(Default)]
pub(super) struct Plain {
    pub(super) jobs: RefCell<Vec<Job>>,
    pub(super) notes: RefCell<Vec<String>>,
}

impl Workshop for Plain {
    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        for (path, _) in &job.grants {
            assert!(path.exists(), "{} is granted and not there", path.display());
        }
        let (program, arguments) = job.argv.split_first().unwrap();
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(job.env.iter().cloned())
            .current_dir(&job.cwd)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| PackageError::io("start", program, source))?;
        self.jobs.borrow_mut().push(job.clone());
        Ok(Done {
            status: output.status.code().unwrap_or(128),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            refused: Vec::new(),
            out_of_memory: false,
            timed_out: false,
        })
    }

    fn step(&self, _what: &str) {}

    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }
}

/// What `npm` does in these tests: the lock and the tree that `fixture/` holds, as npm would leave them. `$0` finds it.
const NPM: &str = r#"#!/bin/sh
set -e
fixture=$(dirname "$0")/fixture
case "$1" in
  config) cat "$fixture/config.json" ;;
  install) cp "$fixture/package-lock.json" . ;;
  ci)
    cmp -s package-lock.json "$fixture/package-lock.json" || { echo "npm error code EUSAGE" >&2; exit 1; }
    cp -r "$fixture/node_modules" .
    date +%s%N > node_modules/.package-lock.json ;;
  rebuild) . "$fixture/rebuild.sh" ;;
esac
"#;

const HASH: &str = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

struct World {
    dir: tempfile::TempDir,
    context: Context,
}

impl World {
    /// A server `@s/server` that depends on `native`, which has an install script.
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let context = Context {
            cwd: home.clone(),
            path: std::env::join_paths([dir.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
            home,
            env: std::iter::once((OsString::from("NPM_TOKEN"), OsString::from("s3cret"))).collect(),
        };
        let world = World { dir, context };
        world.put("home/.npmrc", "//r.test/:_authToken=${NPM_TOKEN}\n");
        world.put("npm", NPM);
        fs::set_permissions(world.path("npm"), fs::Permissions::from_mode(0o755)).unwrap();
        world.put("fixture/config.json", r#"{"npm-version":"11.0.0","registry":"https://r.test/"}"#);
        world.put("fixture/rebuild.sh", "echo built > node_modules/native/built\n");
        world.lock("1.0.0", "");
        world.put(
            "fixture/node_modules/@s/server/package.json",
            r#"{"name":"@s/server","version":"1.0.0","bin":"x.js"}"#,
        );
        world.put("fixture/node_modules/@s/server/x.js", "");
        let native = r#"{"name":"native","version":"2.0.0","scripts":{"install":"make it"}}"#;
        world.put("fixture/node_modules/native/package.json", native);
        world
    }

    /// The lock that resolving gives; `more` is more of the server's entry.
    fn lock(&self, version: &str, more: &str) {
        let lock = format!(
            r#"{{"lockfileVersion":3,"packages":{{"":{{"dependencies":{{"@s/server":"{version}"}}}},
            "node_modules/@s/server":{{"version":"{version}","integrity":"{HASH}","dependencies":{{"native":"2"}}{more}}},
            "node_modules/native":{{"version":"2.0.0","integrity":"{HASH}","hasInstallScript":true}}}}}}"#
        );
        self.put("fixture/package-lock.json", &lock);
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Installs into `NAME/root` and `NAME/meta`.
    fn install(
        &self,
        name: &str,
        scripts: &[&str],
        lock: Option<&[u8]>,
        workshop: &Plain,
    ) -> Result<Installed, PackageError> {
        let scripts: Vec<String> = scripts.iter().map(|name| (*name).into()).collect();
        let cache = self.path("cache");
        let options =
            Options { context: &self.context, scripts: &scripts, network: &[], offline: false, lock, cache: &cache };
        let packages = vec![NpmSpec { name: "@s/server".into(), version: "latest".into() }];
        let request = NpmRequest { packages, bin: None, node_options: Vec::new(), args: Vec::new() };
        let stage = self.path(name);
        let place = Place::make(stage.join("root"), &stage.join("scratch"), &cache).unwrap();
        fs::create_dir_all(stage.join("meta")).unwrap();
        install_in(&request, &options, &place, &stage.join("meta"), workshop)
    }

    /// Every file below `NAME/root` and `NAME/meta`, with its text.
    fn tree(&self, name: &str) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        for top in ["root", "meta"] {
            let top = self.path(name).join(top);
            for path in scripts::stamps(&top, &[]).unwrap().into_keys() {
                let text = fs::read_to_string(top.join(&path)).unwrap_or_default();
                files.insert(Path::new(top.file_name().unwrap()).join(path), text);
            }
        }
        files
    }
}

#[test]
fn a_package_is_resolved_unpacked_and_described() {
    let world = World::new();
    let plain = Plain::default();
    let installed = world.install("a", &[], None, &plain).unwrap();
    assert_eq!(installed.release.to_string(), "npm:@s/server@1.0.0");
    let script = "node_modules/@s/server/x.js".into();
    assert_eq!(installed.start, crate::packages::Start::Node { options: vec![], script });
    let names: Vec<_> = installed.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["@s/server", "native"]);
    assert_eq!(installed.skipped.len(), 1);
    assert!(installed.ran.is_empty());
    let jobs: Vec<_> = plain.jobs.borrow().iter().map(|job| job.argv[1].clone()).collect();
    assert_eq!(jobs, ["config", "install", "ci"]);
    let tree = world.tree("a");
    assert!(tree.contains_key(Path::new("meta/package-lock.json")));
    for left in ["root/package-lock.json", "root/node_modules/.package-lock.json"] {
        assert!(!tree.contains_key(Path::new(left)), "{left}");
    }
}

#[test]
fn two_installs_of_one_lock_are_the_same_and_hold_no_credentials() {
    let world = World::new();
    world.install("a", &[], None, &Plain::default()).unwrap();
    let lock = fs::read(world.path("a/meta/package-lock.json")).unwrap();
    let plain = Plain::default();
    world.install("elsewhere/b", &[], Some(&lock), &plain).unwrap();
    assert_eq!(world.tree("a"), world.tree("elsewhere/b"));
    assert!(plain.jobs.borrow().iter().all(|job| job.argv[1] != "install"));
    assert!(world.tree("a").values().all(|text| !text.contains("s3cret") && !text.contains("NPM_TOKEN")));
}

#[test]
fn scripts_run_only_when_they_are_named_and_without_the_credentials() {
    let world = World::new();
    world.put("fixture/rebuild.sh", "env > node_modules/native/built; cp package.json node_modules/native/seen\n");
    let plain = Plain::default();
    let installed = world.install("a", &["native"], None, &plain).unwrap();
    assert_eq!((installed.ran.as_slice(), installed.skipped.len()), (["native".to_owned()].as_slice(), 0));
    let tree = world.tree("a");
    let built = &tree[Path::new("root/node_modules/native/built")];
    assert!(built.contains("PATH=") && !built.contains("s3cret"), "{built}");
    assert!(tree[Path::new("root/node_modules/native/seen")].contains("allowScripts"));
    assert!(!tree[Path::new("root/package.json")].contains("allowScripts"));
    assert!(matches!(world.install("b", &["other"], None, &plain), Err(PackageError::NoSuchScript { .. })));
}

#[test]
fn a_script_that_changes_what_is_not_its_own_is_refused() {
    for script in
        ["echo evil >> node_modules/@s/server/x.js", "echo x > new", "rm node_modules/@s/server/x.js", "exit 3"]
    {
        let world = World::new();
        world.put("fixture/rebuild.sh", script);
        match world.install("a", &["native"], None, &Plain::default()) {
            Err(PackageError::Malformed { reason, .. }) => assert!(reason.contains("`native`"), "{reason}"),
            Err(PackageError::ScriptFailed { package, .. }) => {
                assert_eq!((package.as_str(), script), ("native", "exit 3"))
            }
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[test]
fn a_script_finds_nothing_of_another_packages_script() {
    let world = World::new();
    world.put("fixture/rebuild.sh", "test ! -e \"$HOME/left\"; echo x > \"$HOME/left\"\n");
    world.put(
        "fixture/node_modules/@s/server/package.json",
        r#"{"name":"@s/server","version":"1.0.0","bin":"x.js","scripts":{"install":"x"}}"#,
    );
    let installed = world.install("a", &["native", "@s/server"], None, &Plain::default()).unwrap();
    assert_eq!(installed.ran, ["native", "@s/server"]);
}

#[test]
fn an_archive_that_is_another_package_than_the_registry_says_is_refused() {
    for manifest in [
        r#"{"name":"@s/other","version":"1.0.0","bin":"x.js"}"#,
        r#"{"name":"@s/server","version":"0.9.0","bin":"x.js"}"#,
    ] {
        let world = World::new();
        world.put("fixture/node_modules/@s/server/package.json", manifest);
        assert!(matches!(world.install("a", &[], None, &Plain::default()), Err(PackageError::Malformed { .. })));
    }
}

#[test]
fn nothing_is_unpacked_of_a_lock_that_pins_too_little() {
    let world = World::new();
    world.lock("1.0.0", r#","resolved":"https://elsewhere.test/server.tgz""#);
    let plain = Plain::default();
    assert!(matches!(world.install("a", &[], None, &plain), Err(PackageError::Unpinned { .. })));
    assert!(plain.jobs.borrow().iter().all(|job| job.argv[1] != "ci"));
}

#[test]
fn what_only_a_dependency_asks_for_is_told_as_that() {
    let world = World::new();
    let fails = |said: &str| {
        world.put("npm", &NPM.replace("install) cp", &format!("install) echo 'npm error {said}' >&2; exit 1; cp")));
        world.install("a", &[], None, &Plain::default()).unwrap_err()
    };
    let version =
        |name: &str| fails(&format!("code ETARGET\nnpm error notarget No matching version found for {name}."));
    match version("deep@^1.0.6") {
        PackageError::Unmet { package, needs, registry } => {
            assert_eq!((package.as_str(), needs.as_str(), registry.as_str()), ("@s/server", "deep@^1.0.6", "r.test"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(version("@s/server@9.9.9"), PackageError::NoVersion { .. }));
    let gone =
        |name: &str| fails(&format!("code E404\nnpm error 404 Not Found - GET https://r.test/{name} - Not found"));
    match gone("deep") {
        PackageError::Unmet { needs, .. } => assert_eq!(needs, "deep"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(gone("@s%2fserver"), PackageError::NoPackage { .. }));
}

#[test]
fn without_npm_and_with_an_old_one_it_says_so() {
    let mut world = World::new();
    world.put("fixture/config.json", r#"{"npm-version":"7.24.2"}"#);
    match world.install("a", &[], None, &Plain::default()) {
        Err(PackageError::NoTool { tool: "npm 8 or later", hint, .. }) => assert!(hint.contains("7.24.2"), "{hint}"),
        other => panic!("{other:?}"),
    }
    world.context.path = world.path("home").into();
    let plain = Plain::default();
    assert!(matches!(world.install("b", &[], None, &plain), Err(PackageError::NoTool { tool: "npm", .. })));
    assert_eq!(plain.jobs.borrow().len(), 0);
}

#[test]
fn only_names_and_versions_of_a_registry_are_asked_for() {
    let asked = |name: &str, version: &str| spec(&NpmSpec { name: name.into(), version: version.into() });
    assert_eq!(asked("@s/x", "^1.0.0").unwrap(), "@s/x@^1.0.0");
    assert_eq!(asked("x", "").unwrap(), "x@latest");
    for (name, version) in [
        ("../x", "1"),
        ("x", "file:/etc"),
        ("x", "github:a/b"),
        ("--registry=https://x", "1"),
        ("x", "npm:y@1"),
        ("a b", "1"),
    ] {
        assert!(matches!(asked(name, version), Err(PackageError::Line { .. })), "{name}@{version}");
    }
}

#[test]
fn a_link_in_the_place_of_a_file_of_ours_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious"), "kept").unwrap();
    std::os::unix::fs::symlink("precious", dir.path().join("package.json")).unwrap();
    write(&dir.path().join("package.json"), b"new").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(dir.path().join("package.json")).unwrap(), "new");
}

#[test]
fn an_audit_is_of_the_lock_that_is_given() {
    let world = World::new();
    let lock = fs::read(world.path("fixture/package-lock.json")).unwrap();
    let directory = world.path("audit");
    let job = audit_job(&lock, &directory, &world.context, &Plain::default()).unwrap();
    assert_eq!(job.argv[1], "audit");
    assert_eq!(fs::read(job.cwd.join("package-lock.json")).unwrap(), lock);
    let project = fs::read_to_string(job.cwd.join("package.json")).unwrap();
    assert!(project.contains(r#""@s/server": "1.0.0""#), "{project}");
    assert!(job.grants.iter().all(|(path, _)| path.exists()));
    assert!(matches!(
        audit_job(b"{}", &world.path("other"), &world.context, &Plain::default()),
        Err(PackageError::Malformed { .. })
    ));
}
