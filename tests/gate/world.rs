//! The suite's directory: a home of its own, the programs, and locks of the honest server.

use crate::host::{Era, Host};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Removed when dropped.
pub struct World {
    dir: tempfile::TempDir,
    counter: AtomicU64,
    /// The honest lock, legacy and modern.
    locks: [OnceLock<PathBuf>; 2],
}

impl World {
    pub fn new() -> Result<World, String> {
        build_examples()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("mcpjail-gate-").permissions(fs::Permissions::from_mode(0o755));
        let dir = builder.tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| builder.tempdir());
        let dir = dir.map_err(|error| format!("no directory to work in: {error}"))?;
        let world = World { dir, counter: AtomicU64::new(0), locks: [OnceLock::new(), OnceLock::new()] };
        for name in ["home", "bin", "locks", "profiles"] {
            fs::create_dir(world.path(name)).map_err(|error| format!("{name}: {error}"))?;
        }
        fs::copy(beside("rugpull"), world.rugpull()).map_err(|error| format!("examples/rugpull: {error}"))?;
        Ok(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The program that the approved command line starts.
    pub fn rugpull(&self) -> PathBuf {
        self.path("bin/rugpull")
    }

    /// A path that no other trial has.
    pub fn fresh(&self, dir: &str, ending: &str) -> PathBuf {
        self.path(dir).join(format!("{}{ending}", self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    /// A new, empty home directory.
    pub fn fresh_home(&self) -> PathBuf {
        let home = self.fresh("home", "");
        fs::create_dir(&home).unwrap();
        home
    }

    /// A profile with these lines.
    pub fn profile(&self, text: &str) -> PathBuf {
        let path = self.fresh("profiles", ".toml");
        fs::write(&path, format!("version = 1\n{text}")).unwrap();
        path
    }

    /// The server on its own.
    pub fn bare(&self, era: Era, tricks: &str) -> Host {
        let mut command = Command::new(self.rugpull());
        command.env_clear().env("RUGPULL_ERA", era.name()).env("RUGPULL_TRICK", tricks);
        Host::start(command, era)
    }

    /// `mcpjail` with a home of its own and nothing else of the environment.
    pub fn mcpjail(&self, home: &Path, args: &[OsString]) -> Command {
        let mut command = Command::new(mcpjail());
        command.args(args).env_clear().env("HOME", home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("XDG_DATA_HOME", home.join("data")).current_dir("/");
        command
    }

    /// `mcpjail SUBCOMMAND OPTIONS… --env … -- rugpull`: always the same server command line.
    pub fn line(&self, subcommand: &str, options: &[&str], era: &str, tricks: &str) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![subcommand.into()];
        line.extend(options.iter().map(OsString::from));
        for (name, value) in [("RUGPULL_ERA", era), ("RUGPULL_TRICK", tricks)] {
            line.extend(["--env".into(), format!("{name}={value}").into()]);
        }
        line.extend(["--".into(), self.rugpull().into()]);
        line
    }

    /// `mcpjail approve --yes` of these tricks, whatever the inspectors find; gives the lock's path.
    pub fn approve(&self, era: &str, tricks: &str) -> PathBuf {
        let lock = self.fresh("locks", ".lock.json");
        let options = ["--yes", "--accept-findings", "--lock", lock.to_str().unwrap()];
        let output = self.finish(&self.line("approve", &options, era, tricks));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "`approve` of {era} {tricks}: {stderr}");
        assert!(lock.exists(), "`approve` wrote no lock: {stderr}");
        lock
    }

    pub fn approve_into(&self, lock: &Path, era: &str, tricks: &str) -> Output {
        let options = ["--yes", "--lock", lock.to_str().unwrap()];
        self.finish(&self.line("approve", &options, era, tricks))
    }

    /// A copy of the honest lock, approved in that era.
    pub fn lock(&self, era: Era) -> PathBuf {
        let approved = self.locks[usize::from(era == Era::Modern)].get_or_init(|| self.approve(era.name(), "honest"));
        let lock = self.fresh("locks", ".lock.json");
        fs::copy(approved, &lock).unwrap();
        lock
    }

    /// The tricks behind the gate, against the honest lock of the same era.
    pub fn gate(&self, era: Era, tricks: &str) -> Host {
        self.gate_with(era, tricks, &self.lock(era), "")
    }

    /// The tricks behind the gate, against this lock, with these lines in the profile.
    pub fn gate_with(&self, era: Era, tricks: &str, lock: &Path, profile: &str) -> Host {
        let profile = self.profile(profile);
        let options = ["--lock", lock.to_str().unwrap(), "--profile", profile.to_str().unwrap()];
        let line = self.line("run", &options, era.name(), tricks);
        Host::start(self.mcpjail(&self.home(), &line), era)
    }

    /// Runs a command of mcpjail's with nothing on stdin, to its end.
    pub fn finish(&self, line: &[OsString]) -> Output {
        finish(self.mcpjail(&self.home(), line))
    }

    /// The names of all tricks.
    pub fn tricks(&self) -> Vec<String> {
        let output = Command::new(self.rugpull()).arg("--list").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }
}

/// Runs a command with nothing on stdin, to its end.
pub fn finish(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = format!("{command:?}");
    let child = command.spawn().unwrap();
    let id = child.id();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(crate::host::PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ended_or_not = Command::new("kill").args(["-9", &id.to_string()]).status();
            panic!("did not end: {what}");
        }
    }
}

/// The binary under test: the one that cargo built, or an installed one by `MCPJAIL_TEST_BINARY`.
fn mcpjail() -> PathBuf {
    std::env::var_os("MCPJAIL_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_mcpjail").into(), PathBuf::from)
}

/// An example's binary, beside mcpjail's own.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_mcpjail")).with_file_name("examples").join(name)
}

/// Builds the example as cargo built this test; alone, `cargo test --test gate` would take an old one or find none.
fn build_examples() -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let built = Path::new(env!("CARGO_BIN_EXE_mcpjail")).parent().and_then(|dir| dir.file_name()?.to_str());
    let profile = if built == Some("debug") { "dev" } else { built.unwrap_or("dev") };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", "rugpull", "--profile", profile]);
    let status = command.status().map_err(|error| format!("`cargo build --example rugpull`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the example is not built: {status}")) }
}
