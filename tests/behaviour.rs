//! What a user relies on: homes, guards, the working directory, the environment, the end of a session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let world = World { dir: tempfile::tempdir_in(base).or_else(|_| tempfile::tempdir()).unwrap() };
        fs::create_dir_all(world.home().join("notes")).unwrap();
        fs::write(world.home().join("notes/today"), "remember\n").unwrap();
        world
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn server(&self, name: &str, text: &str) {
        let dir = self.home().join(".config/mcpjail/servers");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{name}.toml")), text).unwrap();
    }

    /// Runs mcpjail with the host's side of stdin open until the server ends by itself.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpjail"));
        command
            .args(["run", "--trust-first-use"])
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("SECRET_OF_THE_HOST", "x").current_dir(self.home().join("notes"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("still running after 30 s: {args:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap()
    }

    /// What a shell script prints inside, without mcpjail's own remarks. It prints to stderr, since its stdout would have
    /// to be messages.
    fn shell(&self, options: &[&str], script: &str) -> String {
        printed(&self.run(&[options, &["--", "sh", "-c", &format!("exec >&2; {script}")]].concat()))
    }
}

/// What a server wrote to stderr.
fn printed(output: &Output) -> String {
    assert_eq!(output.stdout, b"", "what is no message stays out of the host's sight");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let own = |line: &&str| line.starts_with("mcpjail: ") && !line.contains("WARNING");
    text.split_inclusive('\n').filter(|line| !own(line)).collect()
}

#[test]
fn names_are_asked_of_the_jail_itself_where_some_are_granted() {
    let world = World::new();
    let resolv = |options: &[&str]| world.shell(options, "cat /etc/resolv.conf");
    let servers = |text: &str| -> Vec<String> {
        let said =
            |line: &&str| ["nameserver", "options", "search", "domain"].iter().any(|word| line.starts_with(word));
        text.lines().filter(said).map(str::to_owned).collect()
    };
    assert_eq!(servers(&resolv(&["--net", "api.example.com:443"])), ["nameserver 127.0.0.1"]);
    assert_eq!(servers(&resolv(&["--loopback"])), Vec::<String>::new());
    assert_eq!(servers(&resolv(&[])), Vec::<String>::new());
}

#[test]
fn a_persistent_home_lasts_and_still_shows_grants_in_the_home() {
    let world = World::new();
    let profile = |script: &str| {
        format!(
            "version = 1\ncommand = [\"sh\", \"-c\", {script:?}]\n[jail]\nhome = \"persistent\"\n[jail.files]\nread = [\"~/notes\"]\n"
        )
    };
    world.server(
        "keeper",
        &profile("exec >&2; echo kept > ~/state; cat ~/notes/today; echo x > ~/notes/new || echo refused"),
    );
    let first = world.run(&["keeper"]);
    let text = printed(&first);
    assert!(text.contains("remember") && text.contains("refused"), "{text}");
    world.server("keeper", &profile("exec >&2; cat ~/state ~/notes/today"));
    let second = world.run(&["keeper"]);
    assert!(printed(&second).starts_with("kept\nremember\n"), "{}", printed(&second));
    assert!(!world.home().join("state").exists(), "the real home is untouched");
}

#[test]
fn a_link_planted_in_a_persistent_home_moves_no_mount() {
    let world = World::new();
    let elsewhere = world.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let profile = "version = 1\ncommand = [\"sh\", \"-c\", \"ls ~/notes\"]\n[jail]\nhome = \"persistent\"\n[jail.files]\nread = [\"~/notes\"]\n";
    world.server("planter", profile);
    let kept = world.home().join(".local/share/mcpjail/homes/planter");
    fs::create_dir_all(&kept).unwrap();
    symlink(&elsewhere, kept.join("notes")).unwrap();
    let output = world.run(&["planter"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "the launch is refused: {text}");
    assert!(text.contains("error[jail-layer]"), "{text}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn what_tools_outside_believe_is_read_only_in_a_writable_grant() {
    let world = World::new();
    let repo = world.home().join("repo");
    fs::create_dir_all(repo.join(".git/hooks")).unwrap();
    fs::write(repo.join(".mcp.json"), "{}").unwrap();
    let path = repo.to_str().unwrap();
    let script = format!(
        "cd {path}; echo x > file && echo wrote; echo x > .git/commondir || echo no-commondir; echo x > .mcp.json || echo no-mcp; \
         mv .git .old || echo no-move; rm .mcp.json || echo no-rm"
    );
    let text = world.shell(&["--write", path], &script);
    for word in ["wrote", "no-commondir", "no-mcp", "no-move", "no-rm"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // asked for by name, the repository can be written, and still not its hooks
    let git = repo.join(".git");
    let script =
        format!("cd {path}/.git; echo x > index && echo committed; echo x > hooks/post-commit || echo no-hook");
    let text = world.shell(&["--write", path, "--write", git.to_str().unwrap()], &script);
    assert!(text.contains("committed") && text.contains("no-hook"), "{text}");
}

#[test]
fn a_guarded_name_that_appears_is_reported() {
    let world = World::new();
    let repo = world.home().join("repo");
    fs::create_dir(&repo).unwrap();
    let path = repo.to_str().unwrap();
    let text = world.shell(&["--write", path], &format!("echo {{}} > {path}/.mcp.json"));
    assert!(text.contains("WARNING") && text.contains(".mcp.json"), "{text}");
    let text = world.shell(&["--write", path], &format!("echo x > {path}/harmless"));
    assert!(!text.contains("WARNING"), "{text}");
}

#[test]
fn the_environment_starts_from_nothing() {
    let world = World::new();
    let text = world.shell(&["--env", "GIVEN=value"], "env");
    assert!(text.contains("GIVEN=value") && !text.contains("SECRET_OF_THE_HOST"), "{text}");
    let text = world.shell(&["--env", "SECRET_OF_THE_HOST"], "env");
    assert!(text.contains("SECRET_OF_THE_HOST=x"), "{text}");
}

#[test]
fn the_working_directory_keeps_its_name_and_hides_its_contents() {
    let world = World::new();
    let text = world.shell(&[], "pwd; ls -A | wc -l");
    let notes = fs::canonicalize(world.home().join("notes")).unwrap();
    assert!(text.starts_with(&format!("{}\n0\n", notes.display())), "{text}");
}

#[test]
fn a_signal_ends_a_session_at_any_moment() {
    let world = World::new();
    // the signal meets the launch or the session, whichever it is at by then
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcpjail"))
        .args(["run", "--trust-first-use", "--", "sh", "-c", "mkfifo /tmp/f; cat /tmp/f"])
        .env("HOME", world.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let stop = Command::new("kill").arg(pid.to_string()).status().unwrap();
    assert!(stop.success());
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "SIGTERM did not end it");
        std::thread::sleep(Duration::from_millis(5));
    }
}
