//! Real MCP servers, bare and jailed: the same script, and every answer must be the same.
//!
//! ```text
//! tests/servers/install DIRECTORY
//! MCPJAIL_TEST_SERVERS=DIRECTORY cargo test --test servers
//! ```
//!
//! Without an installation the trials are marked as ignored, or fail where `MCPJAIL_TEST_REQUIRE` holds `servers` or
//! `all`. A trial is called `IDENTITY::[tierB::]SERVER`; `IDENTITY::approved::SERVER` approves the server unread and then
//! starts it as other hosts, elsewhere and in another time zone, none of which may pass for a change.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the shared support asks the kernel who it is"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the attack suite uses the rest")]
mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::client::Server;
use support::identity::{self, Identity};
use support::probe::Feature;

/// The longest profile that a server of this list may need, in lines.
const LONGEST_PROFILE: usize = 12;
/// In the launcher's environment; no profile passes it.
const TOKEN: (&str, &str) = ("SERVERS_TEST_TOKEN", "servers-test-token-9c2e");
/// A list that goes on longer than this has a cursor that never ends.
const MOST_PAGES: usize = 20;

/// A tool call and a text that must be in its answer, so that two equal failures are no success.
struct Call {
    tool: &'static str,
    arguments: Value,
    holds: &'static str,
    /// False where the answer shows what the jail takes away, and so must differ.
    compared: bool,
}

fn call(tool: &'static str, arguments: Value, holds: &'static str) -> Call {
    Call { tool, arguments, holds, compared: true }
}

/// A server of the installation.
struct Case {
    /// Also the name of its profile.
    name: &'static str,
    /// Entry point below the installation.
    entry: &'static str,
    /// `node` stands in front of the entry point.
    node: bool,
    arguments: fn(work: &Path) -> Vec<String>,
    calls: fn(work: &Path) -> Vec<Call>,
    /// A file below the working directory that both runs must leave behind with the same content.
    leaves: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        name: "filesystem",
        entry: "node/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js",
        node: true,
        arguments: |work| vec![work.display().to_string()],
        calls: |work| {
            let path = |name: &str| work.join(name).display().to_string();
            vec![
                call("write_file", json!({ "path": path("new.txt"), "content": "written by a server\n" }), "new.txt"),
                call("read_text_file", json!({ "path": path("new.txt") }), "written by a server"),
                call("list_directory", json!({ "path": path("") }), "[FILE] today.txt"),
                call("read_text_file", json!({ "path": "/etc/hostname" }), "\"isError\":true"),
            ]
        },
        leaves: Some("new.txt"),
    },
    Case {
        name: "memory",
        entry: "node/node_modules/@modelcontextprotocol/server-memory/dist/index.js",
        node: true,
        arguments: |_| Vec::new(),
        calls: |_| {
            let entity = json!({ "name": "milk", "entityType": "errand", "observations": ["two litres"] });
            vec![
                call("create_entities", json!({ "entities": [entity] }), "two litres"),
                call("read_graph", json!({}), "two litres"),
                call("search_nodes", json!({ "query": "errand" }), "milk"),
            ]
        },
        leaves: Some("memory.jsonl"),
    },
    Case {
        name: "everything",
        entry: "node/node_modules/@modelcontextprotocol/server-everything/dist/index.js",
        node: true,
        arguments: |_| Vec::new(),
        calls: |_| {
            vec![
                call("echo", json!({ "message": "to be repeated" }), "to be repeated"),
                call("get-sum", json!({ "a": 19, "b": 23 }), "42"),
                call("get-structured-content", json!({ "location": "Chicago" }), "structuredContent"),
                call("get-tiny-image", json!({}), "image/png"),
                Call { compared: false, ..call("get-env", json!({}), "PATH") },
            ]
        },
        leaves: None,
    },
    Case {
        name: "sequential-thinking",
        entry: "node/node_modules/@modelcontextprotocol/server-sequential-thinking/dist/index.js",
        node: true,
        arguments: |_| Vec::new(),
        calls: |_| {
            let thought = |number: u32| json!({ "thought": "count to two", "thoughtNumber": number, "totalThoughts": 2, "nextThoughtNeeded": number < 2 });
            vec![
                call("sequentialthinking", thought(1), "thoughtHistoryLength"),
                call("sequentialthinking", thought(2), "thoughtHistoryLength"),
            ]
        },
        leaves: None,
    },
    Case {
        name: "time",
        entry: "python/bin/mcp-server-time",
        node: false,
        arguments: |_| Vec::new(),
        calls: |_| {
            let convert =
                |target: &str| json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": target });
            vec![
                call("convert_time", convert("Asia/Tokyo"), "+9.0h"),
                call("convert_time", convert("Asia/Kathmandu"), "+5.75h"),
                call("convert_time", convert("Nowhere/Land"), "Nowhere/Land"),
            ]
        },
        leaves: None,
    },
    Case {
        name: "git",
        entry: "python/bin/mcp-server-git",
        node: false,
        arguments: |work| vec!["--repository".into(), work.display().to_string()],
        calls: |work| {
            let work = work.display().to_string();
            vec![
                call("git_log", json!({ "repo_path": work, "max_count": 5 }), "the first commit"),
                call("git_diff_unstaged", json!({ "repo_path": work }), "buy bread"),
                call("git_add", json!({ "repo_path": work, "files": ["today.txt"] }), "staged"),
                call("git_status", json!({ "repo_path": work }), "Changes to be committed"),
            ]
        },
        leaves: Some(".git/index"),
    },
];

/// Where an identity's runs take place: the binary, a home, a working directory that each run finds as new.
struct Stage {
    identity: Identity,
    base: tempfile::TempDir,
    installation: PathBuf,
    node: PathBuf,
}

impl Stage {
    fn new(identity: Identity, installation: &Path) -> std::io::Result<Stage> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mcpjail-servers-").permissions(fs::Permissions::from_mode(0o755));
        // outside of /tmp where it can, since the jail has a /tmp of its own
        let base = builder.tempdir_in("/var/tmp").or_else(|_| builder.tempdir())?;
        let binary =
            std::env::var_os("MCPJAIL_TEST_BINARY").map_or(env!("CARGO_BIN_EXE_mcpjail").into(), PathBuf::from);
        fs::copy(binary, base.path().join("mcpjail"))?;
        fs::set_permissions(base.path().join("mcpjail"), fs::Permissions::from_mode(0o755))?;
        for name in ["home", "locks", "elsewhere"] {
            fs::create_dir(base.path().join(name))?;
            identity.own(&base.path().join(name))?;
        }
        for case in CASES {
            let name = format!("{}.toml", case.name);
            let text = fs::read_to_string(profiles().join(&name))?;
            fs::write(base.path().join(name), text)?;
        }
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|dir| dir.join("node"))
            .find(|path| path.is_file());
        let node = found.unwrap_or_else(|| "/usr/bin/node".into());
        Ok(Stage { identity, base, installation: installation.to_path_buf(), node })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.identity.command(program);
        command
            .env("HOME", self.path("home"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env(TOKEN.0, TOKEN.1)
            .current_dir(self.base.path());
        command
    }

    /// Whether this identity can run a program at all: one that lies in another user's home, it cannot.
    fn runs(&self, program: &Path) -> bool {
        let mut command = self.command(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// A working directory with the same path and content for both runs of a trial, made by this identity.
    fn fresh_work(&self, case: &Case, tier: &str) -> Result<PathBuf, String> {
        let work = self.path(&format!("work-{}-{tier}", case.name));
        let io = |error: std::io::Error| format!("{}: {error}", work.display());
        if work.exists() {
            fs::remove_dir_all(&work).map_err(io)?;
        }
        fs::create_dir(&work).map_err(io)?;
        fs::write(work.join("today.txt"), "buy milk\n").map_err(io)?;
        self.identity.own(&work).map_err(io)?;
        if case.name == "git" {
            self.git(&work, &["init", "--quiet", "--initial-branch=main"])?;
            self.git(&work, &["add", "today.txt"])?;
            self.git(&work, &["commit", "--quiet", "--message=the first commit"])?;
            fs::write(work.join("today.txt"), "buy milk\nbuy bread\n").map_err(io)?;
        }
        Ok(work)
    }

    fn git(&self, work: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command(Path::new("/usr/bin/git"));
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "A Tester")
                .env(format!("GIT_{role}_EMAIL"), "tester@example.com")
                .env(format!("GIT_{role}_DATE"), "2026-01-01T00:00:00Z");
        }
        let output = command.args(arguments).current_dir(work).output().map_err(|error| format!("git: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// mcpjail, about to do this with the server, which was or will be approved in a lock of its own.
    fn gated(&self, case: &Case, work: &Path, verb: &[&str], options: &[&str]) -> Command {
        let mut command = self.command(&self.path("mcpjail"));
        command.args(verb).arg("--lock").arg(self.path(&format!("locks/{}.json", case.name)));
        command.arg("--profile").arg(self.path(&format!("{}.toml", case.name))).args(options).arg("--");
        command.args(case.node.then_some(&self.node)).arg(self.installation.join(case.entry));
        command.args((case.arguments)(work)).current_dir(work).env("MEMORY_FILE_PATH", work.join("memory.jsonl"));
        command
    }

    /// The server's command line, alone or behind mcpjail.
    fn start(&self, case: &Case, work: &Path, jail: Option<&str>) -> Result<Server, String> {
        let mut line: Vec<OsString> = Vec::new();
        if let Some(tier) = jail {
            line.extend([self.path("mcpjail").into(), "run".into(), "--trust-first-use".into(), "--profile".into()]);
            line.push(self.path(&format!("{}.toml", case.name)).into());
            line.extend(["--tier", tier, "--exact-tier", "--"].map(Into::into));
        }
        line.extend(case.node.then(|| self.node.clone().into()));
        line.push(self.installation.join(case.entry).into());
        line.extend((case.arguments)(work).into_iter().map(Into::into));
        let mut command = self.command(Path::new(&line[0]));
        command.args(&line[1..]).current_dir(work).env("MEMORY_FILE_PATH", work.join("memory.jsonl"));
        Server::spawn(command)
    }
}

fn profiles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/profiles")
}

/// What a run came to: each step's name and its answer, error or result.
type Record = Vec<(String, Value)>;

/// One session: handshake, every page of every list, the calls, and what is left on disk.
fn session(stage: &Stage, case: &Case, tier: &str, jailed: bool) -> Result<(Record, Vec<String>), String> {
    let work = stage.fresh_work(case, tier)?;
    let mut server = stage.start(case, &work, jailed.then_some(tier))?;
    let said = |server: &Server, why: String| format!("{why}; stderr:\n{}", server.stderr());
    let mut record = Record::new();
    let client = json!({ "name": "servers-test", "version": "0" });
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let welcome = server.request("initialize", &hello).map_err(|why| said(&server, why))?;
    record.push(("initialize".into(), welcome));
    server.notify("notifications/initialized").map_err(|why| said(&server, why))?;
    lists(&mut server, &mut record);
    let mut aside = Vec::new();
    for Call { tool, arguments, holds, compared } in (case.calls)(&work) {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = answer(server.request("tools/call", &params));
        if !answer.to_string().contains(holds) {
            return Err(said(&server, format!("`{tool}` should say {holds:?} and says {answer}")));
        }
        match compared {
            true => record.push((format!("{tool} {arguments}"), answer)),
            false => aside.push(answer.to_string()),
        }
    }
    match server.close() {
        Some(status) if status.success() || !jailed => {}
        status => return Err(said(&server, format!("ended by {status:?}"))),
    }
    if let Some(name) = case.leaves {
        let size = fs::metadata(work.join(name)).map_err(|error| format!("{name} was not left behind: {error}"))?.len();
        // the times in git's index differ between runs, its size does not
        let text = if case.name == "git" {
            json!(size)
        } else {
            json!(fs::read_to_string(work.join(name)).unwrap_or_default())
        };
        record.push((format!("file {name}"), text));
    }
    Ok((record, aside))
}

/// Every page of every list.
fn lists(server: &mut Server, record: &mut Record) {
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        let mut cursor = Value::Null;
        for page in 0..MOST_PAGES {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let answer = answer(server.request(method, &params));
            cursor = answer["nextCursor"].clone();
            record.push((format!("{method} page {page}"), answer));
            if cursor.is_null() {
                break;
            }
        }
    }
}

fn answer(result: Result<Value, String>) -> Value {
    result.unwrap_or_else(|why| json!({ "refused": why }))
}

fn compare(stage: &Stage, case: &Case, tier: &str) -> Result<(), Failed> {
    let (bare, open) = session(stage, case, tier, false).map_err(|why| format!("bare: {why}"))?;
    let (jailed, shut) = session(stage, case, tier, true).map_err(|why| format!("jailed: {why}"))?;
    let mut complaints: Vec<String> = bare
        .iter()
        .zip(&jailed)
        .filter(|(bare, jailed)| bare != jailed)
        .map(|((step, bare), (_, jailed))| format!("{step}\n  bare:   {bare}\n  jailed: {jailed}"))
        .collect();
    if bare.len() != jailed.len() {
        complaints.push(format!("{} steps bare, {} jailed", bare.len(), jailed.len()));
    }
    if open.iter().any(|text| !text.contains(TOKEN.1)) || shut.iter().any(|text| text.contains(TOKEN.1)) {
        complaints.push(format!("the launcher's token: bare {open:?}, jailed {shut:?}"));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// Approves a server unread, and then starts it as hosts do that have nothing in common with the approval.
fn approved(stage: &Stage, case: &Case) -> Result<(), Failed> {
    let work = stage.fresh_work(case, "approved")?;
    let finish = |verb: &[&str]| {
        let output =
            stage.gated(case, &work, verb, &[]).stdin(Stdio::null()).output().map_err(|why| why.to_string())?;
        let said = [output.stdout, output.stderr].concat();
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{verb:?}: {}\n{}", output.status, String::from_utf8_lossy(&said))),
        }
    };
    finish(&["approve", "--yes"])?;
    let lock = fs::read(stage.path(&format!("locks/{}.json", case.name)))?;
    let lock: Value = serde_json::from_slice(&lock)?;
    let counted = lock["tools"].as_array().map_or(0, Vec::len);
    let everything = json!({ "roots": {}, "sampling": {}, "elicitation": { "form": {}, "url": {} } });
    let elsewhere = stage.path("elsewhere");
    let hosts: [(Value, &str, &[&str], &Path); 2] = [
        (everything, "2025-11-25", &[], &work),
        (json!({}), "2024-11-05", &["--env", "TZ=Asia/Kathmandu"], &elsewhere),
    ];
    for (capabilities, revision, options, directory) in hosts {
        let mut command = stage.gated(case, &work, &["run"], options);
        command.current_dir(directory);
        let mut server = Server::spawn(command)?;
        let client = json!({ "name": format!("host-of-{revision}"), "version": "3" });
        let hello = json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": client });
        let mut record = Record::new();
        let welcome = server.request("initialize", &hello).and_then(|_| server.notify("notifications/initialized"));
        welcome.map_err(|why| format!("{revision}: {why}; stderr:\n{}", server.stderr()))?;
        lists(&mut server, &mut record);
        let tools = record.first().and_then(|(_, answer)| answer["tools"].as_array()).map_or(0, Vec::len);
        if tools == 0 || tools > counted {
            return Err(format!("{revision}: {tools} tools, {counted} approved; stderr:\n{}", server.stderr()).into());
        }
        server.kill();
    }
    finish(&["check"])?;
    Ok(())
}

/// No server of the list needs more than a few lines.
fn short_profiles() -> Result<(), Failed> {
    for case in CASES {
        let path = profiles().join(format!("{}.toml", case.name));
        let lines = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?.lines().count();
        if lines > LONGEST_PROFILE {
            return Err(format!("{}: {lines} lines", path.display()).into());
        }
    }
    Ok(())
}

/// Why a trial cannot be run here, and whether that must fail.
struct Lack {
    what: &'static str,
    required: bool,
}

fn required(name: &str) -> bool {
    let wanted = std::env::var("MCPJAIL_TEST_REQUIRE").unwrap_or_default();
    wanted.split(',').map(str::trim).any(|word| word == name || word == "all")
}

/// What the jail lacks here, by trying it as this identity.
fn tier_lacks(stage: &Stage, tier: &str) -> Option<Lack> {
    let mut command = stage.command(&stage.path("mcpjail"));
    command.args(["run", "--tier", tier, "--exact-tier", "--", "/bin/true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let feature = if tier == "A" { Feature::UserNamespaces } else { Feature::Landlock };
    match command.status().ok().and_then(|status| status.code()) {
        Some(4) => Some(Lack { what: feature.name(), required: feature.required() }),
        _ => None,
    }
}

fn trials(identity: Identity, installation: Option<&Path>) -> Result<Vec<Trial>, String> {
    let mut trials = Vec::new();
    let stage = match installation {
        Some(directory) => Some(Arc::new(Stage::new(identity, directory).map_err(|error| error.to_string())?)),
        None => None,
    };
    for (prefix, tier) in [("", "A"), ("tierB::", "B")] {
        let lacks_tier = stage.as_ref().and_then(|stage| tier_lacks(stage, tier));
        for case in CASES {
            let name = format!("{}::{prefix}{}", identity.name, case.name);
            let lack = match &stage {
                None => Some(Lack { what: "servers", required: required("servers") }),
                Some(stage) if case.node && !stage.runs(&stage.node) => {
                    Some(Lack { what: "node", required: required("servers") })
                }
                Some(_) => lacks_tier.as_ref().map(|lack| Lack { ..*lack }),
            };
            let trial = match (lack, stage.clone()) {
                (Some(Lack { what, required: true }), _) => Trial::test(name, move || {
                    Err(format!("MCPJAIL_TEST_REQUIRE asks for `{what}`, which is not here").into())
                }),
                (Some(Lack { what, required: false }), _) => {
                    Trial::test(name, || Ok(())).with_kind(format!("lacks {what}")).with_ignored_flag(true)
                }
                (None, Some(stage)) => {
                    if tier == "A" {
                        let (stage, name) = (stage.clone(), format!("{}::approved::{}", identity.name, case.name));
                        trials.push(Trial::test(name, move || approved(&stage, case)));
                    }
                    Trial::test(name, move || compare(&stage, case, tier))
                }
                (None, None) => continue,
            };
            trials.push(trial);
        }
    }
    Ok(trials)
}

fn main() {
    let arguments = Arguments::from_args();
    let installation = std::env::var_os("MCPJAIL_TEST_SERVERS").map(PathBuf::from);
    let mut all = vec![Trial::test("profiles-are-short", short_profiles)];
    for identity in identity::all() {
        match trials(identity, installation.as_deref()) {
            Ok(trials) => all.extend(trials),
            Err(why) => all.push(Trial::test(format!("{}::stage", identity.name), move || Err(why.into()))),
        }
    }
    libtest_mimic::run(&arguments, all).exit();
}
