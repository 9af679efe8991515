//! Copies of code that lies on this machine, with jobs that run as they are.

use super::*;
use crate::command::Context;
use crate::packages::{Done, Job};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

struct Unjailed;

impl Workshop for Unjailed {
    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        let mut command = Command::new(&job.argv[0]);
        command.args(&job.argv[1..]).env_clear().envs(job.env.clone()).current_dir(&job.cwd).stdin(Stdio::null());
        let out = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let status = out.status.code().unwrap_or(255);
        Ok(Done { status, stdout: out.stdout, stderr, refused: Vec::new(), out_of_memory: false, timed_out: false })
    }

    fn step(&self, _: &str) {}

    fn note(&self, _: &str) {}
}

struct Machine {
    temp: tempfile::TempDir,
    home: PathBuf,
}

impl Machine {
    fn new() -> Machine {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().canonicalize().unwrap().join("home/me");
        fs::create_dir_all(&home).unwrap();
        Machine { temp, home }
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn root(&self) -> PathBuf {
        self.temp.path().join("root")
    }

    fn add(&self, words: &[&str]) -> Result<(Snapshot, Outside), PackageError> {
        let path = format!("{}:/usr/bin:/bin", self.home.join("bin").display());
        let context =
            Context { cwd: self.home.clone(), home: self.home.clone(), path: path.into(), env: BTreeMap::new() };
        let command = words.iter().map(|word| word.replace('%', self.home.to_str().unwrap())).collect();
        let options = Options {
            context: &context,
            scripts: &[],
            network: &[],
            offline: false,
            lock: None,
            cache: self.temp.path(),
        };
        let _ = fs::remove_dir_all(self.root());
        fill(&LocalRequest { command }, &options, &self.root(), &self.temp.path().join("scratch"), &Unjailed)
    }

    #[track_caller]
    fn refused(&self, words: &[&str], reason: &str) {
        let error = self.add(words).unwrap_err();
        assert!(matches!(error, PackageError::Local { .. }) && error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_node_package_is_copied_without_its_history() {
    let m = Machine::new();
    m.file("bin/node", "\u{7f}ELF");
    m.file("server/package.json", "{\"name\":\"@me/server\",\"version\":\"1.2.3\"}");
    m.file("server/dist/index.js", "");
    m.file("server/.git/config", "");
    m.file("server/node_modules/a/index.js", "");
    symlink("../a/index.js", m.home.join("server/node_modules/link")).unwrap_or_default();
    symlink(m.home.join("server/dist"), m.home.join("server/absolute")).unwrap();
    let (snapshot, outside) = m.add(&["node", "--no-warnings", "%/server/dist/index.js", "--root", "/data"]).unwrap();
    assert_eq!(snapshot.installed.release.to_string(), "local:@me/server@1.2.3");
    assert_eq!(
        snapshot.installed.start,
        Start::Node { options: vec!["--no-warnings".into()], script: "dist/index.js".into() }
    );
    assert_eq!(snapshot.args, ["--root", "/data"]);
    assert!(m.root().join("node_modules/a/index.js").is_file() && !m.root().join(".git").exists());
    assert_eq!(fs::read_link(m.root().join("absolute")).unwrap(), Path::new("dist"));
    assert!(outside.is_empty());
}

#[test]
fn a_binary_is_copied_alone() {
    let m = Machine::new();
    m.file("tools/server", "\u{7f}ELF");
    m.file("tools/secret", "");
    let (snapshot, _) = m.add(&["%/tools/server", "x"]).unwrap();
    assert_eq!(snapshot.installed.start, Start::Program { path: "server".into() });
    assert_eq!(snapshot.installed.release.to_string(), "local:server");
    assert!(!m.root().join("secret").exists());
    assert_ne!(fs::metadata(m.root().join("server")).unwrap().permissions().mode() & 0o111, 0);
    m.refused(&["/bin/ls"], "belongs to the system");
}

#[test]
fn what_would_lead_out_of_the_copy_is_refused() {
    let m = Machine::new();
    m.file("bin/node", "\u{7f}ELF");
    m.file("server/package.json", "{}");
    m.file("server/index.js", "");
    m.file("secret", "");
    let link = m.home.join("server/link");
    for target in ["/etc/passwd", "../secret", "a/../../secret"] {
        symlink(target, &link).unwrap();
        m.refused(&["node", "%/server/index.js"], "leads out");
        fs::remove_file(&link).unwrap();
    }
    // Only a virtual environment's interpreter may.
    fs::create_dir(m.home.join("server/bin")).unwrap();
    symlink("/usr/bin/env", m.home.join("server/bin/python")).unwrap();
    m.refused(&["node", "%/server/index.js"], "leads out");
    fs::remove_file(m.home.join("server/bin/python")).unwrap();
    let made = Command::new("mkfifo").arg(&link).status().unwrap();
    assert!(made.success());
    m.refused(&["node", "%/server/index.js"], "neither a file");
}

/// A virtual environment of the system's Python, if there is one.
fn venv(m: &Machine, at: &str) -> Option<PathBuf> {
    let python = Path::new("/usr/bin/python3").canonicalize().ok()?;
    let version = name(&python).to_str()?.to_owned();
    m.file(&format!("{at}/pyvenv.cfg"), "home = /usr/bin\ninclude-system-site-packages = false\n");
    m.file(&format!("{at}/lib/{version}/site-packages/x/__main__.py"), "print('here')\n");
    fs::create_dir_all(m.home.join(at).join("bin")).unwrap();
    symlink("/usr/bin/python3", m.home.join(at).join("bin/python")).unwrap();
    Some(m.home.join(at).join(format!("lib/{version}/site-packages")))
}

#[test]
fn a_virtual_environment_keeps_its_interpreter_and_is_compiled() {
    let m = Machine::new();
    let Some(site) = venv(&m, "env") else { return };
    m.file("env/bin/serve", &format!("#!{}/env/bin/python\nimport x\n", m.home.display()));
    let (snapshot, outside) = m.add(&["%/env/bin/serve", "a"]).unwrap();
    assert_eq!(
        snapshot.installed.start,
        Start::PythonScript { python: "bin/python".into(), script: "bin/serve".into() }
    );
    let python = Path::new("/usr/bin/python3").canonicalize().unwrap();
    assert_eq!(outside, [(PathBuf::from("bin/python"), python)]);
    let inside = m.root().join(site.strip_prefix(m.home.join("env")).unwrap());
    assert_eq!(inside.join("x/__pycache__").read_dir().unwrap().count(), 1);
    let out = Command::new(m.root().join("bin/python")).args(["-m", "x"]).output().unwrap();
    assert_eq!(out.stdout, b"here\n");
    // Code that would stay behind.
    fs::write(site.join("me.pth"), "/home/me/src\n").unwrap();
    m.refused(&["%/env/bin/serve"], "editable");
}

#[test]
fn a_script_of_the_systems_python_gets_an_environment() {
    let m = Machine::new();
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    m.file("project/pyproject.toml", "[project]\nname = 'mine'\nversion = '0.1'\n");
    m.file("project/server.py", "import helper\n");
    m.file("project/helper.py", "print('helped')\n");
    let (snapshot, outside) = m.add(&["/usr/bin/python3", "%/project/server.py", "--flag"]).unwrap();
    assert_eq!(snapshot.installed.release.to_string(), "local:mine@0.1");
    assert_eq!(snapshot.args, ["--flag"]);
    let Start::PythonScript { python, script } = snapshot.installed.start else { unreachable!() };
    assert_eq!(outside[0].0, python);
    let out = Command::new(m.root().join(python)).arg(m.root().join(script)).output().unwrap();
    assert_eq!(out.stdout, b"helped\n");
}
