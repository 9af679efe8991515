//! Bad input: each kind has its own code, its own exit code, its place and its remedy; nothing hangs, nothing starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        // the build's own directory, or, where another user runs the suite, the system's
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Home { dir: tempfile::tempdir_in(base).or_else(|_| tempfile::tempdir()).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn profile(&self, text: &str) -> String {
        let file = self.path("profile.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().into()
    }

    fn mcpjail(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpjail"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null());
        command.current_dir(self.dir.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        finish(self.mcpjail().arg("run").args(args))
    }
}

/// Runs to its end, or fails the test after a time that no correct run needs.
fn finish(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("still running after 30 s: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// The error's code, exit code, and words that its message must hold.
#[track_caller]
fn refused(output: &Output, code: &str, exit: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&format!("error[{code}]")), "wanted {code}: {text}");
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
    assert!(output.stdout.is_empty(), "nothing may reach the host but JSON-RPC");
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest() {
    let home = Home::new();
    let profile = home.profile("version = 1\n[jail.limits]\nopen-file = 10\n");
    refused(&home.run(&["--profile", &profile, "--", "true"]), "unknown-key", 2, &["profile.toml:3:", "open-files"]);
}

#[test]
fn a_wrong_type_names_its_place() {
    let home = Home::new();
    let profile = home.profile("version = 1\n[jail.files]\nread = \"/srv\"\n");
    refused(&home.run(&["--profile", &profile, "--", "true"]), "wrong-type", 2, &["profile.toml:3:"]);
}

#[test]
fn a_key_of_a_later_feature_is_not_ignored() {
    let home = Home::new();
    let profile = home.profile("version = 1\n[tools]\nallow = [\"*\"]\n");
    refused(&home.run(&["--profile", &profile, "--", "true"]), "unsupported-key", 2, &["tools"]);
}

/// What people write where a rule belongs, and what they are told to write.
#[test]
fn a_network_rule_that_is_none_says_what_to_write() {
    let home = Home::new();
    for (rule, words) in [
        ("https://api.example.com/v1", &["URL", "`api.example.com:443`"][..]),
        ("api.example.com", &["no port", "`api.example.com:443`"]),
        ("api.example.com:https", &["`https` is no port", "`443`"]),
        ("api.example.com:*", &["one by one"]),
        ("api.example.com:0", &["no port 0"]),
        ("api.example.com:53", &["jail's own DNS"]),
        ("api.example.com:90-80", &["`80-90`"]),
        ("api.example.com:1-2000", &["53"]),
        ("api.example.com:1000-2000", &["1001 ports", "256"]),
        ("git@example.com:22", &["user", "`example.com:22`"]),
        ("*example.com:443", &["`*.example.com:443`"]),
        ("api.*.com:443", &["whole labels"]),
        ("bücher.example:443", &["`xn--bcher-kva.example:443`"]),
        ("::1:8080", &["brackets", "`[::1]:8080`"]),
        ("010.0.0.1:80", &["four decimal"]),
        ("2130706433:80", &["four decimal"]),
        ("10.0.0.1/8:80", &["bits below", "`10.0.0.0/8:80`"]),
        ("0.0.0.0:80", &["`localhost:PORT`"]),
        ("127.0.0.0/8:80", &["loopback", "`localhost:PORT`"]),
        ("[::ffff:127.0.0.1]:80", &["`127.0.0.1:80`"]),
        ("", &["where to"]),
    ] {
        let output = home.run(&["--net", rule, "--", "true"]);
        refused(&output, "network-rule", 2, &[&[format!("--net {rule}").as_str(), "hint: "], words].concat());
        let profile = home.profile(&format!("version = 1\n[jail.network]\nallow = [{rule:?}]\n"));
        let output = home.run(&["--profile", &profile, "--", "true"]);
        refused(&output, "network-rule", 2, &[&["profile.toml:3:10: ", "hint: "], words].concat());
    }
}

#[test]
fn what_grants_very_much_wants_the_word_for_it() {
    let home = Home::new();
    for rule in ["*:443", "*.com:443", "0.0.0.0/0:443", "[::/0]:443", "169.254.169.254:80", "[fd00:ec2::254]:80"] {
        let words = ["--net", "{ to = \"…\", dangerous = true }"];
        refused(&home.run(&["--net", rule, "--", "true"]), "dangerous-network-rule", 2, &words);
        let profile = home.profile(&format!(
            "version = 1\n[jail.network]\nallow = [{{ to = {rule:?}, private = true, raw = true }}]\n"
        ));
        refused(
            &home.run(&["--profile", &profile, "--", "true"]),
            "dangerous-network-rule",
            2,
            &["profile.toml:3:10: "],
        );
        let profile =
            home.profile(&format!("version = 1\n[jail.network]\nallow = [{{ to = {rule:?}, dangerous = true }}]\n"));
        let output = finish(home.mcpjail().args(["explain", "--profile", &profile, "--", "true"]));
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains(&format!("{rule}, dangerous")));
        assert!(line.is_some_and(|line| line.ends_with("profile.toml:3")), "{rule}: {text}");
    }
}

#[test]
fn limits_of_connections_are_limits() {
    let home = Home::new();
    for (line, words) in [
        ("connections = 0", ["at least one", "hint: "]),
        ("connections = 65537", ["65536", "hint: "]),
        ("connections = -3", ["negative", "hint: "]),
        ("idle-timeout = \"0s\"", ["at least 1 s", "hint: "]),
        ("idle-timeout = \"30\"", ["has a unit", "hint: "]),
        ("lifetime = \"8760h\"", ["30 days", "hint: "]),
    ] {
        let profile = home.profile(&format!("version = 1\n[jail.network]\n{line}\n"));
        refused(
            &home.run(&["--profile", &profile, "--", "true"]),
            "bad-value",
            2,
            &[&words[..], &["profile.toml:3:"]].concat(),
        );
    }
    let profile = home.profile("version = 1\n[jail.network]\nalow = []\n");
    refused(&home.run(&["--profile", &profile, "--", "true"]), "unknown-key", 2, &["profile.toml:3:1", "`allow`"]);
    let profile = home.profile("version = 1\n[jail.network]\nallow = [{ to = \"a.example:443\", privat = true }]\n");
    refused(&home.run(&["--profile", &profile, "--", "true"]), "unknown-key", 2, &["profile.toml:3:", "`private`"]);
}

/// Each rule may have 256 ports, and so may all together.
#[test]
fn ports_are_counted_over_all_layers() {
    let home = Home::new();
    let bundles = home.path(".config/mcpjail/profiles");
    fs::create_dir_all(&bundles).unwrap();
    fs::write(bundles.join("web.toml"), "version = 1\n[jail.network]\nallow = [\"a.example:1000-1199\"]\n").unwrap();
    let run = |rule: &str| home.run(&["--trust-first-use", "--use", "web", "--net", rule, "--", "true"]);
    refused(&run("b.example:1200-1299"), "too-many-ports", 2, &["--net b.example:1200-1299", "256", "300", "hint: "]);
    let same = finish(home.mcpjail().args(["explain", "--use", "web", "--net", "b.example:1000-1199", "--", "true"]));
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
}

#[test]
fn connections_are_not_granted_without_a_network_namespace() {
    let home = Home::new();
    let profile = home.profile("version = 1\n[jail]\ntier = \"B\"\nnetwork.allow = [\"a.example:443\"]\n");
    let output = home.run(&["--profile", &profile, "--tier", "B", "--exact-tier", "--", "true"]);
    refused(&output, "egress-needs-tier-a", 4, &["`a.example:443`", "profile.toml:4", "doctor"]);
}

#[test]
fn network_rules_are_explained_with_their_lines() {
    let home = Home::new();
    let profile = home.profile(
        "version = 1\n[jail.network]\nallow = [\n\"API.example.:443\",\n{ to = \"db.example:5432\", private = true },\n]\nidle-timeout = \"10m\"\n",
    );
    let explain = |more: &[&str]| {
        let args = [&["explain", "--profile", &profile, "--net", "localhost:8000-8010"], more].concat();
        let output = finish(home.mcpjail().args(args).args(["--", "true"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explain(&[]);
    for (rule, origin) in [
        ("reach api.example:443 ", "profile.toml:4"),
        ("reach db.example:5432, private addresses too ", "profile.toml:5"),
        ("reach localhost:8000-8010 ", "--net localhost:8000-8010"),
        ("idle closed after 10 min without a byte ", "profile.toml:7"),
        ("lifetime closed after 24 h ", "built-in default:67"),
        ("sockets unix, tcp and udp, inside the jail ", "profile.toml:4"),
    ] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let stands = text.lines().map(words).any(|line| line.starts_with(rule) && line.ends_with(origin));
        assert!(stands, "no line `{rule}… {origin}` in\n{text}");
    }
    assert!(text.contains("HTTP/3 falls back") && text.contains("encrypted client hello"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let network = &json["network"];
    assert_eq!(network["rules"][1]["to"], "db.example:5432");
    assert_eq!((&network["rules"][1]["private"], &network["rules"][0]["private"]), (&true.into(), &false.into()));
    assert_eq!(network["ports"][0], 443);
    assert_eq!(network["ports"].as_array().unwrap().len(), 13);
    assert_eq!(
        (&network["idle_timeout_ms"]["value"], &network["connections"]["value"]),
        (&600_000.into(), &2048.into())
    );
    // Without a rule there is none of it.
    let output = finish(home.mcpjail().args(["explain", "--json", "--", "true"]));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["network"].get("rules").is_none() && json["network"]["ports"].as_array().unwrap().is_empty());
}

#[test]
fn a_missing_program_says_so() {
    let home = Home::new();
    refused(&home.run(&["--", "no-such-program-here"]), "command-not-found", 2, &["no-such-program-here"]);
}

#[test]
fn a_missing_grant_says_which() {
    let home = Home::new();
    refused(&home.run(&["--read", "nowhere", "--", "true"]), "grant-missing", 2, &["nowhere", "--read"]);
}

#[test]
fn an_unreadable_grant_says_which() {
    let home = Home::new();
    let secret = home.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), "x").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(secret.join("file"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(secret.join("file")).is_ok() {
        return root_reads_everything();
    }
    refused(&home.run(&["--read", "secret/file", "--", "true"]), "grant-unreadable", 2, &["secret/file"]);
}

/// For uid 0 no file of its own is unreadable: the refusal is tested by the ordinary user's run of this suite.
fn root_reads_everything() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.lines().any(|line| line.starts_with("Uid:\t0")), "only root reads a file of mode 000");
}

#[test]
fn the_root_and_the_home_are_never_granted() {
    let home = Home::new();
    let own = home.dir.path().to_str().unwrap().to_string();
    for path in ["/", "~", own.as_str(), "/etc", "/home", "/proc"] {
        refused(&home.run(&["--read", path, "--", "true"]), "protected-path", 2, &["--read"]);
    }
}

#[test]
fn a_lock_within_the_servers_reach_is_refused() {
    let home = Home::new();
    fs::create_dir_all(home.path("project/locks")).unwrap();
    let run = |lock: &str, more: &[&str]| {
        home.run(&[&["--write", "project", "--lock", lock], more, &["--", "true"]].concat())
    };
    refused(&run("project/own.lock.json", &[]), "lock-writable", 2, &["own.lock.json", "--write", "--deny-write"]);
    let covered = run("project/locks/own.lock.json", &["--deny-write", "project/locks"]);
    let text = String::from_utf8_lossy(&covered.stderr);
    assert!(!text.contains("lock-writable"), "{text}");
}

#[test]
fn a_log_is_a_file_that_the_server_cannot_write() {
    let home = Home::new();
    fs::create_dir_all(home.path("project/logs")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("link")).unwrap();
    let _socket = UnixListener::bind(home.path("socket")).unwrap();
    for verb in ["run", "approve", "check"] {
        let yes: &[&str] = if verb == "approve" { &["--yes"] } else { &[] };
        let with = |log: &str, more: &[&str]| {
            let args = [&[verb, "--write", "project", "--egress-log", log], yes, more, &["--", "true"]].concat();
            let output = finish(home.mcpjail().args(&args));
            // a check has what went wrong in its report
            Output { stderr: [output.stderr.clone(), output.stdout.clone()].concat(), ..output }
        };
        let wrong = |log: &str, says: &[&str]| {
            let output = with(log, &[]);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{verb} {log}: {text}");
            for word in [&["egress-log", log], says].concat() {
                assert!(text.contains(word), "{verb} {log}: no `{word}` in: {text}");
            }
        };
        wrong("project/log", &["which the server may write", "--write", "outside of"]);
        wrong("project/logs/none/yet", &["which the server may write"]);
        wrong("none/log", &["make its directory first"]);
        wrong("link", &["is a symbolic link"]);
        wrong("socket", &["is a socket"]);
        wrong("project", &["which the server may write"]);
        // kept from the server: whatever else goes wrong, this does not
        let output = with("project/logs/fine", &["--deny-write", "project/logs"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains("[egress-log]") && !text.contains("`project/logs"), "{text}");
        assert!(home.path("project/logs/fine").is_file());
    }
    assert!(!home.path("elsewhere").exists() && !home.path("project/log").exists());
}

#[test]
fn the_gates_settings_are_explained_with_their_lines() {
    let home = Home::new();
    let profile = home.profile("version = 1\n[gate]\ndrift = \"quarantine\"\ntimeout = \"2s\"\n");
    let explain = |more: &[&str]| {
        let args = [&["explain", "--profile", &profile, "--trust-first-use", "--lock", "x.lock.json"], more].concat();
        let output = finish(home.mcpjail().args(args).args(["--", "true"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explain(&[]);
    let line = |word: &str| text.lines().find(|line| line.trim().starts_with(word)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("lock ").contains("/x.lock.json") && line("lock ").ends_with("--lock x.lock.json"), "{text}");
    assert!(line("on drift").ends_with("profile.toml:3"), "{text}");
    assert!(line("without a lock").contains("unread") && text.contains("--trust-first-use"), "{text}");
    assert!(line("timeout").contains("2000 ms"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert_eq!(json["gate"]["drift"]["value"], "quarantine");
    assert_eq!(json["gate"]["first_use"]["value"], "trust");
    assert_eq!(json["gate"]["timeout_ms"]["value"], 2000);
    assert!(json["gate"]["lock"]["value"].as_str().unwrap().ends_with("/x.lock.json"));
}

#[test]
fn a_deleted_working_directory_is_said() {
    let home = Home::new();
    let gone = home.path("gone");
    fs::create_dir(&gone).unwrap();
    let script = format!(
        "cd {} && rmdir . 2>/dev/null || rmdir {}; exec {} run -- true",
        gone.display(),
        gone.display(),
        env!("CARGO_BIN_EXE_mcpjail")
    );
    let output = finish(Command::new("sh").args(["-c", &script]).env("HOME", home.dir.path()).stdin(Stdio::null()));
    refused(&output, "no-working-directory", 2, &["working directory"]);
}

#[test]
fn a_profile_of_10_mb_is_not_read() {
    let home = Home::new();
    let profile = home.profile(&format!("version = 1\n# {}\n", "x".repeat(10 << 20)));
    refused(&home.run(&["--profile", &profile, "--", "true"]), "profile-too-large", 2, &["profile.toml"]);
}

#[test]
fn a_cycle_of_use_is_printed_whole() {
    let home = Home::new();
    let dir = home.path(".config/mcpjail/profiles");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("one.toml"), "version = 1\nuse = [\"two\"]\n").unwrap();
    fs::write(dir.join("two.toml"), "version = 1\nuse = [\"one\"]\n").unwrap();
    refused(&home.run(&["--use", "one", "--", "true"]), "use-cycle", 2, &["one", "two"]);
}

#[test]
fn an_unknown_server_names_the_nearest() {
    let home = Home::new();
    let dir = home.path(".config/mcpjail/servers");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("weather.toml"), "version = 1\ncommand = [\"true\"]\n").unwrap();
    refused(&home.run(&["wether"]), "profile-not-found", 2, &["wether", "weather"]);
}

#[test]
fn downloading_runners_are_refused_with_the_way_to_go() {
    let home = Home::new();
    let output = home.run(&["--", "npx", "-y", "some-server", "/x"]);
    let text = String::from_utf8_lossy(&output.stderr);
    // where there is no npx at all, that is what is said
    if !text.contains("command-not-found") {
        refused(&output, "needs-package-store", 2, &["mcpjail add"]);
    }
}

#[test]
fn a_tier_that_is_not_available_is_no_silent_downgrade() {
    let home = Home::new();
    let binary = env!("CARGO_BIN_EXE_mcpjail");
    // a user namespace in which no further one may be made: as on a machine where they are switched off
    let inside = |arguments: &str| {
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces && exec {binary} run --trust-first-use {arguments} -- true"
        );
        finish(
            Command::new("unshare")
                .args(["-Ur", "sh", "-c", &script])
                .env("HOME", home.dir.path())
                .stdin(Stdio::null()),
        )
    };
    refused(&inside(""), "tier-not-available", 4, &["doctor", "--tier B"]);
    let accepted = inside("--tier B");
    let text = String::from_utf8_lossy(&accepted.stderr);
    assert!(text.contains("running in tier B"), "a lower tier is announced: {text}");
    assert!(text.contains("not enforced in tier B"), "what is lost is said: {text}");
    refused(&inside("--tier B --net a.example:443"), "egress-needs-tier-a", 4, &["`a.example:443`", "doctor"]);
}

/// Before Landlock ABI 9 each socket in a grant is a mount of its own.
#[test]
fn sockets_in_a_grant_are_covered_and_their_number_is_bounded() {
    let home = Home::new();
    let shared = home.dir.path().canonicalize().unwrap().join("shared");
    fs::create_dir(&shared).unwrap();
    let listen = |n: usize| UnixListener::bind(shared.join(format!("socket {n}"))).unwrap();
    let mut listeners = vec![listen(0)];
    let shared = shared.to_str().unwrap();
    let explain = |options: &[&str]| {
        let output = finish(home.mcpjail().arg("explain").args(options).args(["--", "true"]));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = explain(&["--read", shared]);
    let abi = plain.split("Landlock ABI ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    if abi.parse::<u32>().unwrap() >= 9 {
        return;
    }
    let line = plain.lines().find(|line| line.contains("socket 0")).unwrap_or_else(|| panic!("{plain}"));
    assert!(line.trim().starts_with("covered") && line.ends_with(&format!("--read {shared}")), "{line}");
    let left = "created after the start";
    assert!(plain.contains(left), "{plain}");
    assert!(!explain(&[]).contains(left), "without such a grant nothing is lost");
    assert!(!explain(&["--exact-tier", "--tier", "B", "--read", shared]).contains(left), "tier B connects to nothing");
    let started = home.run(&["--trust-first-use", "--read", shared, "--", "true"]);
    let text = String::from_utf8_lossy(&started.stderr);
    assert!(!text.contains("not enforced"), "what no start can change is not said at each: {text}");
    listeners.extend((1..=256).map(listen));
    refused(
        &home.run(&["--trust-first-use", "--read", shared, "--", "true"]),
        "too-many-sockets",
        4,
        &[shared, "257", "256"],
    );
    listeners.pop();
    fs::remove_file(format!("{shared}/socket 256")).unwrap();
    let full = home.run(&["--trust-first-use", "--read", shared, "--", "cat"]);
    assert!(!String::from_utf8_lossy(&full.stderr).contains("error["), "{}", String::from_utf8_lossy(&full.stderr));
}

#[test]
fn stdin_closed_at_the_start_ends_the_session() {
    let home = Home::new();
    let script = format!("exec {} run --trust-first-use -- cat <&-", env!("CARGO_BIN_EXE_mcpjail"));
    let output = finish(Command::new("sh").args(["-c", &script]).env("HOME", home.dir.path()));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_host_is_told_in_json_rpc_when_nothing_starts() {
    let home = Home::new();
    let mut child = home
        .mcpjail()
        .args(["run", "--", "no-such-program-here"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"first\",\"method\":\"initialize\",\"params\":{}}\n").unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let answer: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(answer["id"], "first");
    assert_eq!(answer["error"]["data"]["mcpjail"]["code"], "command-not-found");
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_server_that_fails_has_its_own_code() {
    let home = Home::new();
    let output = home
        .mcpjail()
        .args(["run", "--trust-first-use", "--", "sh", "-c", "exit 7"])
        .stdin(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    // the host closed its side at once in `output()`: that is an orderly end whatever the server says
    assert!(matches!(output.status.code(), Some(0 | 5)), "{text}");
    let mut child = home
        .mcpjail()
        .args(["run", "--trust-first-use", "--", "sh", "-c", "exit 7"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(5), "{text}");
    assert!(text.contains("error[server-exited]") && text.contains('7'), "{text}");
}
