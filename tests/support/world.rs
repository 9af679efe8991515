//! One identity's test directory: the programs, a home full of secrets, what is granted and what is not.

use super::identity::Identity;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// What every planted secret contains. It is a valid profile too, since some of the planted files are read by mcpjail.
pub const SECRET: &str = "version = 1 # attack-suite-secret-7d1c";

/// Secrets below the home directory.
pub const SECRETS: &[&str] = &[
    ".ssh/id_rsa",
    ".aws/credentials",
    ".env",
    ".bash_history",
    ".gnupg/private-keys-v1.d/key",
    ".config/gh/hosts.yml",
    ".netrc",
    ".npmrc",
    ".docker/config.json",
    ".kube/config",
    ".mozilla/firefox/profile/logins.json",
];

/// Files below the home directory by which a server could loosen its own jail or start something else.
pub const CONFIGURATIONS: &[&str] = &[
    ".config/mcpjail/servers/attacker.toml",
    ".config/mcpjail/config.toml",
    ".local/share/mcpjail/locks/attacker.lock.json",
    ".local/share/mcpjail/store/x/index.js",
    ".local/state/mcpjail/log/attacker/1.jsonl",
    ".cursor/mcp.json",
    ".claude.json",
    ".config/Claude/claude_desktop_config.json",
    ".bashrc",
    ".profile",
    ".config/autostart/x.desktop",
    ".config/systemd/user/x.service",
    ".local/bin/tool",
];

/// The directory and everything in it; removed when dropped.
pub struct World {
    pub identity: Identity,
    base: tempfile::TempDir,
    counter: AtomicU64,
}

impl World {
    /// Makes the directory outside of /tmp where it can, so that a private /tmp is not what hides it.
    pub fn new(identity: Identity) -> std::io::Result<World> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mcpjail-attack-").permissions(fs::Permissions::from_mode(0o755));
        let base = builder.tempdir_in("/var/tmp").or_else(|_| builder.tempdir())?;
        let world = World { identity, base, counter: AtomicU64::new(0) };
        let programs = world.path("bin");
        fs::create_dir(&programs)?;
        for (from, name) in
            [(mcpjail(), "mcpjail"), (example("attacker"), "attacker"), (example("sabotage"), "sabotage")]
        {
            let to = programs.join(name);
            fs::copy(&from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        }
        for name in SECRETS.iter().chain(CONFIGURATIONS) {
            plant(&world.home().join(name), SECRET)?;
        }
        plant(&world.home().join("notes/todo"), "buy milk")?;
        // A name that has a protected one as its prefix.
        plant(&world.home().join(".sshfoo/readable"), "buy milk")?;
        for dir in ["run", "ro", "rw", "out", "exec", "tmp"] {
            fs::create_dir(world.path(dir))?;
        }
        fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700))?;
        for dir in ["home", "run", "ro", "rw", "out", "exec", "tmp"] {
            identity.own(&world.path(dir))?;
        }
        Ok(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A number that no other trial of this world has.
    pub fn unique(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// The environment that every program of the suite gets, and nothing else.
    fn environment(&self, command: &mut Command) {
        let home = self.home();
        command
            .env("HOME", &home)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("USER", self.identity.name)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .current_dir("/");
    }

    /// The attacker, not jailed.
    pub fn plain(&self, args: &[&OsStr]) -> Command {
        let mut command = self.identity.command(&self.path("bin/attacker"));
        command.args(args);
        self.environment(&mut command);
        command
    }

    /// The attacker under `mcpjail run` with these options.
    pub fn jailed(&self, options: &[OsString], args: &[&OsStr]) -> Command {
        let mut command = self.identity.command(&self.path("bin/mcpjail"));
        command.args(["run", "--trust-first-use"]).args(options).arg("--").arg(self.path("bin/attacker")).args(args);
        self.environment(&mut command);
        command
    }

    /// Any command line, under one or more sabotages.
    pub fn sabotaged(&self, sabotages: &[&str], line: &[OsString]) -> Command {
        let mut command = self.identity.command(&self.path("bin/sabotage"));
        command.args(sabotages).arg("--").args(line);
        self.environment(&mut command);
        command
    }

    /// Writes a profile and gives its path.
    pub fn profile(&self, text: &str) -> std::io::Result<PathBuf> {
        let path = self.path("exec").join(format!("profile-{}.toml", self.unique()));
        fs::write(&path, text)?;
        self.identity.own(&path)?;
        Ok(path)
    }
}

/// Writes a file and the directories above it.
pub fn plant(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text)
}

/// The binary under test: the one that cargo built, or an installed one by `MCPJAIL_TEST_BINARY`.
fn mcpjail() -> PathBuf {
    std::env::var_os("MCPJAIL_TEST_BINARY").map_or_else(built, PathBuf::from)
}

fn built() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mcpjail"))
}

/// An example's binary, beside mcpjail's own.
fn example(name: &str) -> PathBuf {
    let mut path = built();
    path.pop();
    path.join("examples").join(name)
}

/// Builds the examples as cargo built this test; alone, `cargo test --test attacks` would take old ones or find none.
pub fn build_examples() -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let profile = built().parent().and_then(|dir| dir.file_name()?.to_str().map(str::to_owned)).unwrap_or_default();
    let profile = if profile == "debug" { "dev".to_owned() } else { profile };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", "attacker", "--example", "sabotage", "--profile", &profile]);
    let status = command.status().map_err(|error| format!("`cargo build --examples`: {error}"))?;
    let built = ["attacker", "sabotage"].iter().all(|name| example(name).exists());
    if status.success() && built { Ok(()) } else { Err(format!("the examples are not built: {status}")) }
}
