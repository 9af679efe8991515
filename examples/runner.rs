//! An MCP server with one tool, `run`, that executes a program where the server runs and says what came of it. The egress
//! suite runs real clients by it, jailed and not: what a client can reach then is what a server can reach.
//!
//! ```text
//! runner                          serve MCP on stdin and stdout
//! runner --list-needs HOST:PORT   the same, and connect there before the tools are listed, or end
//! ```
//!
//! Arguments of the tool: `argv` (program and arguments), `env` (variables that are added), `directory`, `limit_ms`.
//! The answer is `{ "ended", "stdout", "stderr" }`, where `ended` is `exit N`, `signal N`, or `deadline` for a program that
//! had to be killed.
#![allow(clippy::indexing_slicing, clippy::print_stderr, reason = "a test program, not the product")]

use serde_json::{Value, json};
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let needed = match arguments.next().as_deref() {
        Some("--list-needs") => arguments.next(),
        _ => None,
    };
    let mut reached = needed.is_none();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = message.get("id").cloned() else { continue };
        let answer = match message["method"].as_str().unwrap_or_default() {
            "initialize" => Ok(initialize(&message["params"])),
            "ping" => Ok(json!({})),
            "tools/list" => {
                // as servers do that begin with an account or a database: without it they end
                if let (false, Some(place)) = (reached, &needed) {
                    if let Err(error) = TcpStream::connect(place) {
                        eprintln!("cannot connect to {place}: {error}");
                        return;
                    }
                    reached = true;
                }
                Ok(tools())
            }
            "tools/call" => Ok(call(&message["params"]["arguments"])),
            other => Err((-32_601, format!("no method `{other}`"))),
        };
        let message = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, text)) => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } }),
        };
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{message}").and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

fn initialize(params: &Value) -> Value {
    let revision = params.get("protocolVersion").cloned().unwrap_or_else(|| "2025-06-18".into());
    json!({
        "protocolVersion": revision,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "runner", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn tools() -> Value {
    let text = json!({ "type": "string" });
    json!({ "tools": [{
        "name": "run",
        "description": "Executes a program and says how it ended and what it wrote.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "argv": { "type": "array", "items": text },
                "env": { "type": "object", "additionalProperties": text },
                "directory": text,
                "limit_ms": { "type": "integer" },
            },
            "required": ["argv"],
        },
    }] })
}

fn call(arguments: &Value) -> Value {
    let answer = run(arguments).unwrap_or_else(|error| json!({ "ended": format!("not started: {error}") }));
    json!({ "content": [{ "type": "text", "text": answer.to_string() }], "isError": false })
}

fn run(arguments: &Value) -> std::io::Result<Value> {
    let words: Vec<&str> = arguments["argv"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (program, rest) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in arguments["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    command.current_dir(arguments["directory"].as_str().unwrap_or("/tmp"));
    let mut child = command.spawn()?;
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let limit = Duration::from_millis(arguments["limit_ms"].as_u64().unwrap_or(60_000));
    let ended = match wait(&mut child, limit)? {
        None => "deadline".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        },
    };
    let text = |thread: JoinHandle<Vec<u8>>| String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned();
    Ok(json!({ "ended": ended, "stdout": text(stdout), "stderr": text(stderr) }))
}

/// Reads to the end in a thread of its own, so that no pipe fills up.
fn collect(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ended_or_broken = from.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for the program's own end; kills it when its time is over.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
