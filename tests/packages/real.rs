//! Real servers, from the line that hosts are configured with: added, run in their jail with an empty home, and held against
//! the same program without a jail. And how long it takes until a host sees the first list of tools.

use crate::Suite;
use crate::features::{Feature, found};
use crate::http::{Listening, Said};
use crate::support::client::Server;
use crate::world::{Home, Session, World};
use libtest_mimic::{Completion, Measurement, Trial};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No more of them at the same time, whatever the number of threads.
static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
/// Starts in a row that are measured; the median counts.
const STARTS: usize = 7;

/// What of the person's environment says how the registries are reached.
const REACHED: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Where a trial works.
struct Place<'a> {
    work: &'a Path,
    /// A page of text on this machine's loopback.
    page: u16,
}

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.work.join(name).display().to_string()
    }
}

/// A call, and a text that must be in its answer, so that two equal failures are no success.
struct Call {
    tool: &'static str,
    arguments: Value,
    holds: &'static str,
    /// False where the jail takes away what is shown, or the answer tells of the moment.
    compared: bool,
}

fn call(tool: &'static str, arguments: Value, holds: &'static str) -> Call {
    Call { tool, arguments, holds, compared: true }
}

fn differs(call: Call) -> Call {
    Call { compared: false, ..call }
}

struct Real {
    name: &'static str,
    /// Of `mcpjail add`.
    options: fn(&Place<'_>) -> Vec<String>,
    line: fn(&Place<'_>) -> Vec<String>,
    /// Variables without a jail; `options` has the same for the jail.
    env: fn(&Place<'_>) -> Vec<(&'static str, String)>,
    calls: fn(&Place<'_>) -> Vec<Call>,
    needs: &'static [Feature],
    /// Descriptions depend on what the server knows of the machine.
    descriptions: bool,
}

const REAL: Real = Real {
    name: "",
    options: |_| Vec::new(),
    line: |_| Vec::new(),
    env: |_| Vec::new(),
    calls: |_| Vec::new(),
    needs: &[],
    descriptions: true,
};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const SERVERS: &[Real] = &[
    Real {
        name: "everything",
        line: |_| words(&["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]),
        calls: |_| {
            vec![
                call("echo", json!({ "message": "to be repeated" }), "to be repeated"),
                call("get-sum", json!({ "a": 19, "b": 23 }), "42"),
                call("get-tiny-image", json!({}), "image/png"),
                call("get-structured-content", json!({ "location": "Chicago" }), "structuredContent"),
                differs(call("get-env", json!({}), "PATH")),
            ]
        },
        ..REAL
    },
    Real {
        name: "filesystem",
        line: |place| words(&["npx", "-y", "@modelcontextprotocol/server-filesystem@2026.8.31", &place.path("")]),
        calls: |place| {
            vec![
                call("write_file", json!({ "path": place.path("new.txt"), "content": "written\n" }), "new.txt"),
                call("read_text_file", json!({ "path": place.path("new.txt") }), "written"),
                call("list_directory", json!({ "path": place.path("") }), "[FILE] today.txt"),
                call("read_text_file", json!({ "path": "/etc/hostname" }), "\"isError\":true"),
            ]
        },
        ..REAL
    },
    Real {
        name: "memory",
        options: |place| {
            words(&["--write", &place.path(""), "--env", &format!("MEMORY_FILE_PATH={}", place.path("memory.jsonl"))])
        },
        line: |_| words(&["npx", "-y", "@modelcontextprotocol/server-memory@2026.8.31"]),
        env: |place| vec![("MEMORY_FILE_PATH", place.path("memory.jsonl"))],
        calls: |_| {
            let entity = json!({ "name": "milk", "entityType": "errand", "observations": ["two litres"] });
            vec![
                call("create_entities", json!({ "entities": [entity] }), "two litres"),
                call("read_graph", json!({}), "two litres"),
                call("search_nodes", json!({ "query": "errand" }), "milk"),
            ]
        },
        ..REAL
    },
    Real {
        name: "sequential-thinking",
        line: |_| words(&["npx", "-y", "@modelcontextprotocol/server-sequential-thinking@2026.8.31"]),
        calls: |_| {
            let thought =
                json!({ "thought": "one", "thoughtNumber": 1, "totalThoughts": 1, "nextThoughtNeeded": false });
            vec![call("sequentialthinking", thought, "thoughtHistoryLength")]
        },
        ..REAL
    },
    Real {
        name: "playwright",
        options: |_| words(&["--loopback"]),
        line: |_| {
            words(&[
                "npx",
                "-y",
                "@playwright/mcp@0.0.83",
                "--headless",
                "--isolated",
                "--no-sandbox",
                "--executable-path",
                "/usr/bin/chromium",
            ])
        },
        ..REAL
    },
    Real {
        name: "chrome-devtools",
        options: |_| words(&["--loopback"]),
        line: |_| {
            words(&[
                "npx",
                "-y",
                "chrome-devtools-mcp@1.11.0",
                "--headless",
                "--isolated",
                "--executablePath",
                "/usr/bin/chromium",
                "--chromeArg=--no-sandbox",
                "--no-usage-statistics",
                "--no-performance-crux",
            ])
        },
        ..REAL
    },
    Real { name: "context7", line: |_| words(&["npx", "-y", "@upstash/context7-mcp@4.1.1"]), ..REAL },
    Real {
        name: "github",
        options: |_| words(&["--env", "GITHUB_PERSONAL_ACCESS_TOKEN=none"]),
        line: |_| words(&["npx", "-y", "@modelcontextprotocol/server-github@2025.4.8"]),
        env: |_| vec![("GITHUB_PERSONAL_ACCESS_TOKEN", "none".into())],
        ..REAL
    },
    Real {
        name: "postgres",
        line: |_| words(&["npx", "-y", "@modelcontextprotocol/server-postgres@0.6.2", "postgresql://127.0.0.1:1/db"]),
        calls: |_| vec![differs(call("query", json!({ "sql": "select 1" }), "127.0.0.1:1"))],
        ..REAL
    },
    Real {
        name: "firecrawl",
        options: |_| words(&["--env", "FIRECRAWL_API_KEY=fc-none"]),
        line: |_| words(&["npx", "-y", "firecrawl-mcp@3.26.0"]),
        env: |_| vec![("FIRECRAWL_API_KEY", "fc-none".into())],
        ..REAL
    },
    Real {
        name: "brave",
        options: |_| words(&["--env", "BRAVE_API_KEY=none"]),
        line: |_| words(&["npx", "-y", "@brave/brave-search-mcp-server@2.1.4"]),
        env: |_| vec![("BRAVE_API_KEY", "none".into())],
        ..REAL
    },
    Real {
        name: "desktop-commander",
        options: |place| words(&["--write", &place.path("")]),
        line: |_| words(&["npx", "-y", "@wonderwhy-er/desktop-commander@0.2.52"]),
        calls: |place| {
            let command = json!({ "command": "echo spawned-$((40+2))", "timeout_ms": 5000 });
            vec![
                call("write_file", json!({ "path": place.path("dc.txt"), "content": "written" }), "dc.txt"),
                call("read_file", json!({ "path": place.path("dc.txt") }), "written"),
                differs(call("start_process", command, "spawned-42")),
            ]
        },
        descriptions: false,
        ..REAL
    },
    Real {
        name: "kubernetes",
        options: |place| {
            words(&["--read", &place.path("kubeconfig"), "--env", &format!("KUBECONFIG={}", place.path("kubeconfig"))])
        },
        line: |_| words(&["npx", "-y", "mcp-server-kubernetes@4.1.7"]),
        env: |place| vec![("KUBECONFIG", place.path("kubeconfig"))],
        calls: |_| vec![call("ping", json!({}), "content")],
        ..REAL
    },
    Real {
        name: "sqlite",
        options: |place| words(&["--allow-scripts", "sqlite3", "--write", &place.path("")]),
        line: |place| words(&["npx", "-y", "mcp-server-sqlite-npx@0.8.0", &place.path("a.db")]),
        calls: |_| {
            vec![
                call("create_table", json!({ "query": "create table t(a int)" }), "content"),
                call("write_query", json!({ "query": "insert into t values(42)" }), "content"),
                call("read_query", json!({ "query": "select a from t" }), "42"),
            ]
        },
        ..REAL
    },
    Real {
        name: "fetch",
        options: |place| words(&["--net", &format!("localhost:{}", place.page)]),
        line: |_| words(&["uvx", "--from", "mcp-server-fetch==2026.10.24", "mcp-server-fetch", "--allow-private-ips"]),
        calls: |place| {
            let url = format!("http://127.0.0.1:{}/", place.page);
            vec![call("fetch", json!({ "url": url, "raw": true }), "a page of text")]
        },
        ..REAL
    },
    Real {
        name: "git",
        line: |place| {
            words(&["uvx", "--from", "mcp-server-git==2026.10.19", "mcp-server-git", "--repository", &place.path("")])
        },
        calls: |place| {
            vec![
                call("git_status", json!({ "repo_path": place.path("") }), "branch main"),
                call("git_log", json!({ "repo_path": place.path("") }), "the first commit"),
                call("git_status", json!({ "repo_path": "/" }), "\"isError\":true"),
            ]
        },
        ..REAL
    },
    Real {
        name: "time",
        line: |_| words(&["uvx", "--from", "mcp-server-time==2026.10.19", "mcp-server-time"]),
        calls: |_| {
            let berlin = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
            vec![
                differs(call("get_current_time", json!({ "timezone": "UTC" }), "UTC")),
                call("convert_time", berlin, "+9.0h"),
            ]
        },
        descriptions: false,
        ..REAL
    },
    Real {
        name: "markitdown",
        options: |place| words(&["--read", &place.path("a.html")]),
        line: |_| words(&["uvx", "--from", "markitdown-mcp==0.0.1a7", "markitdown-mcp"]),
        calls: |place| {
            vec![
                call(
                    "convert_to_markdown",
                    json!({ "uri": format!("file://{}", place.path("a.html")) }),
                    "# a heading",
                ),
                call("convert_to_markdown", json!({ "uri": "data:text/plain,some" }), "some"),
                call("convert_to_markdown", json!({ "uri": format!("file://{}", place.path("today.txt")) }), ""),
            ]
            .into_iter()
            .enumerate()
            .map(|(at, call)| if at == 2 { differs(call) } else { call })
            .collect()
        },
        ..REAL
    },
];

pub fn trials(suite: &mut Suite) {
    for (at, real) in SERVERS.iter().enumerate() {
        let python = (real.line)(&Place { work: Path::new("/"), page: 1 })[0] == "uvx";
        let own: &[Feature] = if python { &[Feature::Python, Feature::Uv] } else { &[Feature::Npm] };
        let needs = [&[Feature::Registry, Feature::Userns], own, real.needs].concat();
        suite.try_as_root(&format!("real::{}", real.name), &needs, move |world| {
            let _turn = TURNS[at % 2].lock().unwrap_or_else(PoisonError::into_inner);
            match is_whole(world, real) {
                true => {
                    compare(world, real);
                    Completion::Completed
                }
                false => Completion::ignored_with("this registry has not all that it depends on"),
            }
        });
    }
}

/// Whether the registry that is asked here has everything of a package of npm's; a mirror may not.
fn is_whole(world: &Arc<World>, real: &Real) -> bool {
    let line = (real.line)(&Place { work: Path::new("/"), page: 1 });
    if line[0] != "npx" {
        return true;
    }
    let home = home(world);
    let words = ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", &line[2]];
    let resolved = home.bare("npm", &words, &home.make("plain"));
    resolved.code == Some(0) || !resolved.said().contains("ETARGET")
}

/// A home that reaches the registries as this machine does.
fn home(world: &Arc<World>) -> Home {
    let mut home = world.home();
    home.env = REACHED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    home
}

/// A working directory with the same contents for every run.
fn fresh(home: &Home, name: &str) -> PathBuf {
    let dir = home.join("work");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).unwrap();
    }
    home.write("work/today.txt", "buy milk\n");
    home.write("work/a.html", "<h1>a heading</h1>");
    let cluster = "{ name: c, cluster: { server: 'http://127.0.0.1:1' } }";
    let context = "{ name: c, context: { cluster: c, user: u } }";
    let user = "{ name: u, user: { token: none } }";
    home.write(
        "work/kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{cluster}]\ncontexts: [{context}]\nusers: [{user}]\n"
        ),
    );
    if name == "git" {
        for words in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["add", "today.txt"],
            &[
                "-c",
                "user.name=A Tester",
                "-c",
                "user.email=tester@example.com",
                "commit",
                "--quiet",
                "--message=the first commit",
            ],
        ] {
            let mut command = home.command(&found("git").unwrap());
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_DATE"), "2026-01-01T00:00:00Z");
            }
            command.args(words).current_dir(&dir);
            crate::world::finish(command).ok();
        }
    }
    dir
}

/// The program of an added server without a jail.
fn direct(home: &Home, name: &str, arguments: &[String]) -> Command {
    let tree = home.tree(name);
    let installed: Value = serde_json::from_slice(&std::fs::read(tree.join("meta/installed.json")).unwrap()).unwrap();
    let (kind, start) = installed["start"].as_object().unwrap().iter().next().unwrap();
    let path = |key: &str| tree.join("root").join(start[key].as_str().unwrap());
    let mut line: Vec<PathBuf> = match kind.as_str() {
        "node" => vec![found("node").unwrap(), path("script")],
        "python-script" => vec![path("python"), path("script")],
        "python-module" => vec![path("python"), "-m".into(), start["module"].as_str().unwrap().into()],
        _ => vec![path("path")],
    };
    let mut command = home.command(&line.remove(0));
    command.args(line).args(arguments);
    command
}

/// What a session showed: by method or call, the answer.
type Shown = BTreeMap<String, Value>;

fn show(command: Command, real: &Real, place: &Place<'_>) -> Result<Shown, String> {
    let mut shown = Shown::new();
    let mut session = Session::open(command).map_err(|ended| ended.to_string())?;
    let server: &mut Server = &mut session.server;
    let tidy = |mut list: Value, key: &str| {
        if let Some(items) = list[key].as_array_mut() {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                if !real.descriptions {
                    ["description", "inputSchema", "_meta"].iter().for_each(|key| drop(item.remove(*key)));
                }
            }
            items.sort_by_key(|item| item["name"].as_str().unwrap_or_default().to_owned());
        }
        list
    };
    shown.insert("tools".into(), tidy(json!({ "tools": session.tools }), "tools"));
    for (method, key) in [("prompts/list", "prompts"), ("resources/list", "resources")] {
        let answer = server.request(method, &json!({})).unwrap_or_else(|_| json!({ "refused": true }));
        shown.insert(method.into(), tidy(answer, key));
    }
    for Call { tool, arguments, holds, compared } in (real.calls)(place) {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = server.request("tools/call", &params).unwrap_or_else(|why| json!({ "refused": why }));
        if !answer.to_string().contains(holds) {
            return Err(format!("`{tool}` should say {holds:?} and says {answer}; stderr:\n{}", server.stderr()));
        }
        if compared {
            shown.insert(format!("{tool} {arguments}"), answer);
        }
    }
    Ok(shown)
}

fn strings(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Adds a server from its usual line; gives the server's own arguments.
fn add(home: &Home, real: &Real, place: &Place<'_>) {
    let (options, line) = ((real.options)(place), (real.line)(place));
    let options = [vec!["--accept-findings"], strings(&options)].concat();
    home.add(real.name, &options, &strings(&line)).ok();
}

fn arguments(home: &Home, name: &str) -> Vec<String> {
    let args = home.record(name)["request"]["args"].as_array().cloned().unwrap_or_default();
    args.into_iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn compare(world: &Arc<World>, real: &Real) {
    let page = Listening::start(Arc::new(|_| Said::Body(200, "text/plain", b"a page of text".to_vec())));
    let mut home = home(world);
    let work = fresh(&home, real.name);
    let place = Place { work: &work, page: page.at.port() };
    add(&home, real, &place);
    home.finish(&["check", "--deep", real.name, "--accept-findings"]).ok();
    let own = arguments(&home, real.name);

    let mut bare = direct(&home, real.name, &own);
    bare.envs((real.env)(&place));
    let bare = show(bare, real, &place).unwrap_or_else(|why| panic!("direct: {why}"));
    fresh(&home, real.name);
    // an empty home, and neither npm nor uv
    for name in [".npm", ".npmrc", ".cache", ".config/uv"] {
        let _absent = std::fs::remove_dir_all(home.join(name));
    }
    home.env.clear();
    let mut jailed = home.mcpjail(&["run", real.name]);
    jailed.env_remove("HOME").env("HOME", &home.dir);
    let jailed = show(jailed, real, &place).unwrap_or_else(|why| panic!("jailed: {why}"));
    let complaints: Vec<String> = bare
        .iter()
        .filter(|(step, answer)| jailed.get(*step) != Some(answer))
        .map(|(step, answer)| {
            format!("{step}\n  direct: {answer}\n  jailed: {}", jailed.get(step).unwrap_or(&Value::Null))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    home.finish(&["check", "--deep", real.name, "--accept-findings"]).ok();
}

/// The median time from the start to the first list of tools, and that list's length.
fn median(starts: usize, command: impl Fn() -> Command) -> Result<(Duration, usize), String> {
    let mut times = Vec::new();
    let mut tools = 0;
    for _ in 0..starts {
        let begun = Instant::now();
        let mut session = Session::open(command()).map_err(|ended| ended.to_string())?;
        times.push(begun.elapsed());
        tools = session.tools.as_array().map_or(0, Vec::len);
        session.server.kill();
    }
    times.sort();
    Ok((times[times.len() / 2], tools))
}

/// A table: `mcpjail run NAME` beside the program itself and beside what the host's line starts, with a warm cache.
pub fn bench(suite: &mut Suite) {
    if !Feature::Registry.required() || !suite.world.identity.is_root() {
        return;
    }
    let world = suite.world.clone();
    suite.trials.push(Trial::bench("root::first_list_of_tools", move |_| {
        println!("\n| server | direct, s | `mcpjail run`, s | runner with a warm cache, s | times faster |");
        println!("|---|---|---|---|---|");
        let mut ratios = Vec::new();
        for real in SERVERS {
            match row(&world, real) {
                Ok(ratio) => ratios.push(ratio),
                Err(why) => println!("| {} | {why} |", real.name),
            }
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
        println!("\nmedian of {} servers: {median:.1} times faster", ratios.len());
        Ok(Some(Measurement { avg: (median * 1000.0) as u64, variance: 0 }))
    }));
}

fn row(world: &Arc<World>, real: &Real) -> Result<f64, String> {
    let home = home(world);
    let work = fresh(&home, real.name);
    let place = Place { work: &work, page: 1 };
    add(&home, real, &place);
    let own = arguments(&home, real.name);
    let env = (real.env)(&place);
    let (jailed, tools) = median(STARTS, || home.mcpjail(&["run", real.name]))?;
    let (direct, _) = median(STARTS, || {
        let mut command = direct(&home, real.name, &own);
        command.envs(env.clone());
        command
    })?;
    let line = (real.line)(&place);
    let runner = || {
        let mut command = home.command(&found(&line[0]).unwrap());
        command.args(&line[1..]).envs(env.clone());
        command
    };
    // fills its cache
    median(1, runner)?;
    let (runner, others) = median(STARTS, runner)?;
    if tools != others {
        return Err(format!("{tools} tools from the store, {others} from the runner"));
    }
    let ratio = runner.as_secs_f64() / jailed.as_secs_f64();
    println!(
        "| {} | {:.2} | {:.2} | {:.2} | {ratio:.1} |",
        real.name,
        direct.as_secs_f64(),
        jailed.as_secs_f64(),
        runner.as_secs_f64()
    );
    Ok(ratio)
}
