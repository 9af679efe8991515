//! `mcpjail demo`: one bundled server, once in the full jail and once without, and a scripted client that asks both for
//! the same. Everything hostile is aimed at stand-ins that the demo makes itself: a home with a decoy key, a listener on
//! loopback, a variable with an invented token.

use super::output::{BOLD, DIM, Failed, GREEN, IoFailed, RED, print, styled};
use super::{DemoArgs, own_executable};
use crate::demo::SERVER;
use crate::facts::{PrivateDirectory, private_directory};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

const SECRET: (&str, &str) = ("DEMO_TOKEN", "demo-4f1c09a7");

/// A call of the script: tool, what it is for people, and how it must end in the jail.
struct Scene {
    tool: &'static str,
    about: &'static str,
    arguments: Value,
    works_jailed: bool,
}

pub(super) fn demo(args: &DemoArgs) -> Result<ExitCode, Failed> {
    let failed = |what| move |source| Failed::from(IoFailed { what, source });
    let stage = private_directory()?;
    let home = decoy_home(&stage).map_err(failed("make the demo's home"))?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("open the demo's listener"))?;
    let address = listener.local_addr().map_err(failed("open the demo's listener"))?.to_string();
    let executable = own_executable()?;
    let mut jailed =
        Session::start(jailed_command(&executable, &home), &home).map_err(failed("start the jailed server"))?;
    let mut bare = match args.jailed_only {
        true => None,
        false => {
            Some(Session::start(bare_command(&executable), &home).map_err(failed("start the server without a jail"))?)
        }
    };
    let scenes = script(&home, &address);
    let mut out = String::from("one server, the same calls\n\n");
    heading(&mut out, args.jailed_only);
    let mut as_it_should = true;
    for scene in &scenes {
        let inside = jailed.call(scene).map_err(failed("talk to the jailed server"))?;
        let outside = bare.as_mut().map(|bare| bare.call(scene)).transpose();
        let outside = outside.map_err(failed("talk to the server without a jail"))?;
        as_it_should &= inside.worked == scene.works_jailed && outside.as_ref().is_none_or(|outside| outside.worked);
        row(&mut out, scene, outside.as_ref(), &inside);
    }
    drop((jailed, bare));
    out.push_str(&closing(&executable, as_it_should));
    print(&out).map(|code| if as_it_should { code } else { ExitCode::from(1) })
}

fn decoy_home(stage: &PrivateDirectory) -> io::Result<std::path::PathBuf> {
    let home = stage.path.join("demo");
    fs::create_dir_all(home.join(".ssh"))?;
    fs::create_dir_all(home.join("notes"))?;
    fs::write(home.join(".ssh/id_ed25519"), "-----BEGIN DECOY KEY-----\nnot a key\n-----END DECOY KEY-----\n")?;
    fs::write(home.join(".bashrc"), "# start-up file\n")?;
    fs::write(home.join("notes/today.txt"), "the jail shows this file and nothing else of the home\n")?;
    Ok(home)
}

fn script(home: &Path, address: &str) -> Vec<Scene> {
    let scene = |tool, about, arguments, works_jailed| Scene { tool, about, arguments, works_jailed };
    let notes = home.join("notes/today.txt");
    vec![
        scene("add", "add two numbers", json!({ "a": 19, "b": 23 }), true),
        scene("count_words", "count words in a granted file", json!({ "path": notes }), true),
        scene("read_ssh_key", "read ~/.ssh/id_ed25519", json!({}), false),
        scene("plant_start_up_file", "append to ~/.bashrc", json!({}), false),
        scene("dial_out", "dial out with a secret", json!({ "address": address }), false),
        scene("steal_environment", "steal a token from the environment", json!({ "variable": SECRET.0 }), false),
        scene("trace", "attach to a process by ptrace", json!({}), false),
        scene("fork_bomb", "start 600 processes", json!({}), false),
    ]
}

/// The same path that `run` takes in a host's configuration: this binary, `run`, the server's command.
fn jailed_command(executable: &Path, home: &Path) -> Command {
    let mut command = Command::new(executable);
    command.args(["run", "--profile"]).arg(home.join("demo.toml"));
    let profile = format!(
        "version = 1\n[gate]\nfirst-use = \"trust\"\n[jail.files]\nread = [{:?}]\n[jail.limits]\nprocesses = 32\n",
        home.join("notes").to_string_lossy()
    );
    // a profile that cannot be written shows in `run`'s own message
    let _said_by_run = fs::write(home.join("demo.toml"), profile);
    command.arg("--").arg(executable).arg(SERVER);
    command
}

fn bare_command(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command.arg(SERVER);
    command
}

/// How a call ended.
struct Ended {
    worked: bool,
    text: String,
}

/// A server and the client's side of its session.
struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    next: u64,
}

impl Session {
    fn start(mut command: Command, home: &Path) -> io::Result<Session> {
        command.env("HOME", home).env(SECRET.0, SECRET.1).current_dir(home);
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        let mut session = Session { child, stdin, stdout: BufReader::new(stdout), next: 1 };
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                            "clientInfo": { "name": "mcpjail-demo", "version": env!("CARGO_PKG_VERSION") } });
        let answer = session.request("initialize", &hello)?;
        if let Some(error) = answer.get("error") {
            let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
            return Err(io::Error::other(message.to_string()));
        }
        session.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(session)
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other("stdin is closed"))?;
        writeln!(stdin, "{message}")
    }

    fn request(&mut self, method: &str, params: &Value) -> io::Result<Value> {
        let id = self.next;
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server is gone"));
            }
            let message: Value = serde_json::from_str(&line)?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(message);
            }
        }
    }

    fn call(&mut self, scene: &Scene) -> io::Result<Ended> {
        let answer = self.request("tools/call", &json!({ "name": scene.tool, "arguments": scene.arguments }))?;
        let result = answer.get("result");
        let failed = result.and_then(|r| r.get("isError")).and_then(Value::as_bool).unwrap_or(true);
        let text = result.and_then(|r| r.pointer("/content/0/text")).and_then(Value::as_str).unwrap_or("no answer");
        Ok(Ended { worked: !failed, text: text.into() })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _reaped = self.child.wait();
    }
}

const WIDTHS: (usize, usize) = (36, 30);

fn heading(out: &mut String, jailed_only: bool) {
    let (about, outside) = WIDTHS;
    let outside = if jailed_only { String::new() } else { format!("{:<outside$}", "without a jail") };
    out.push_str(&styled(BOLD, &format!("{:<about$}{outside}in the jail", "the call")));
    out.push('\n');
}

fn row(out: &mut String, scene: &Scene, outside: Option<&Ended>, inside: &Ended) {
    let (about, width) = WIDTHS;
    out.push_str(&format!("{:<about$}", scene.about));
    if let Some(outside) = outside {
        let harm = outside.worked && !scene.works_jailed;
        let style = if harm { RED } else { GREEN };
        out.push_str(&styled(style, &format!("{:<width$}", shorten(&outside.text, width - 2))));
    }
    let style = if inside.worked == scene.works_jailed { GREEN } else { RED };
    let mark = match (inside.worked, scene.works_jailed) {
        (true, true) => "",
        (false, false) => "refused: ",
        (true, false) => "NOT REFUSED: ",
        (false, true) => "BROKEN: ",
    };
    out.push_str(&styled(style, &format!("{mark}{}", inside.text)));
    out.push('\n');
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width { text.into() } else { text.chars().take(width - 1).chain(['…']).collect() }
}

fn closing(executable: &Path, as_it_should: bool) -> String {
    if !as_it_should {
        return format!("\n{}\n", styled(RED, "something did not end as it should; `mcpjail doctor` says more"));
    }
    let explain = format!("{} explain -- {} {SERVER}", executable.display(), executable.display());
    format!(
        "\nthe key, the token and the listener are stand-ins that this demo made\n{}\n",
        styled(DIM, &format!("everything that a server could reach: {explain}"))
    )
}
