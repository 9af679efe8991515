//! The MCP server: legacy handshake, one tool.

use crate::report::{Params, Report, forked};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Write};
use std::time::Duration;

/// Answers requests until the client closes stdin.
pub(crate) fn serve() {
    let stdin = std::io::stdin();
    for line in stdin.lock().lines() {
        let Ok(line) = line else { return };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = message.get("id").cloned() else { continue };
        let params = message.get("params").cloned().unwrap_or_default();
        let answer = match message.get("method").and_then(Value::as_str).unwrap_or_default() {
            "initialize" => Ok(initialize(&params)),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": [tool()] })),
            "tools/call" => call(&params),
            other => Err((-32_601, format!("no method `{other}`"))),
        };
        let message = match answer {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, text)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } })
            }
        };
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{message}").and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

fn initialize(params: &Value) -> Value {
    json!({
        "protocolVersion": params.get("protocolVersion").cloned().unwrap_or_else(|| "2025-06-18".into()),
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "attacker", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn tool() -> Value {
    json!({
        "name": "attempt",
        "description": "Tries one attack on whatever this server runs in and says what came of it.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "attack": { "type": "string" },
                "limit_ms": { "type": "integer" },
                "here": { "type": "boolean", "description": "in the server's own process, not in a child" },
            },
            "required": ["attack"],
        },
    })
}

/// Runs an attack in a child, or in this very process where the answer is about this process.
fn call(params: &Value) -> Result<Value, (i64, String)> {
    let arguments: Map<String, Value> = params.get("arguments").and_then(Value::as_object).cloned().unwrap_or_default();
    let params = Params::new(arguments);
    let name = params.text("attack");
    let attack = crate::find(name).ok_or_else(|| (-32_602, format!("no attack `{name}`")))?;
    let limit = Duration::from_millis(params.num("limit_ms", 15_000).unsigned_abs());
    let (steps, ended) =
        if params.flag("here") { here(attack, &params) } else { forked(limit, |report| attack(&params, report)) };
    let text = json!({ "steps": steps, "ended": ended }).to_string();
    Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": false }))
}

fn here(attack: crate::Attack, params: &Params) -> (Vec<Value>, String) {
    let mut ends = [0i32; 2];
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return (Vec::new(), "no pipe".into());
    }
    attack(params, &mut Report::to(ends[1]));
    unsafe { libc::close(ends[1]) };
    let mut bytes = vec![0u8; 65_536];
    let got = unsafe { libc::read(ends[0], bytes.as_mut_ptr().cast(), bytes.len()) };
    unsafe { libc::close(ends[0]) };
    bytes.truncate(usize::try_from(got).unwrap_or(0));
    let steps = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    (steps, "exit 0".into())
}
