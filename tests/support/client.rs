//! An MCP client for tests: every wait has a deadline, and what the other side wrote to stderr is in every complaint.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that any single answer may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server, jailed or not, behind pipes.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    next_id: u64,
}

/// How a program that should have served ended instead.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stderr: String,
    pub why: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; exit code {:?}; stderr:\n{}", self.why, self.code, self.stderr)
    }
}

impl Server {
    /// Starts the command without a handshake.
    pub fn spawn(mut command: Command) -> Result<Server, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?} does not start: {error}"))?;
        let stdin = child.stdin.take();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.is_err() || sender.send(line.unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut from = child.stderr.take().ok_or("no stderr")?;
        let to = stderr.clone();
        std::thread::spawn(move || {
            let mut chunk = [0u8; 4096];
            while let Ok(got @ 1..) = from.read(&mut chunk) {
                if let Ok(mut to) = to.lock() {
                    to.push_str(&String::from_utf8_lossy(&chunk[..got]));
                }
            }
        });
        Ok(Server { child, stdin, lines, stderr, next_id: 1 })
    }

    /// Starts the command and shakes hands.
    pub fn start(command: Command) -> Result<Server, Ended> {
        let mut server = Server::spawn(command).map_err(|why| Ended { code: None, stderr: String::new(), why })?;
        match server.handshake() {
            Ok(()) => Ok(server),
            Err(why) => Err(server.ended(why)),
        }
    }

    pub fn handshake(&mut self) -> Result<(), String> {
        let client = json!({ "name": "attack-suite", "version": "0" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        self.request("initialize", &params)?;
        self.notify("notifications/initialized")?;
        let tools = self.request("tools/list", &json!({}))?;
        match tools["tools"][0]["name"].as_str() {
            Some("attempt" | "run") => Ok(()),
            _ => Err(format!("unexpected tools: {tools}")),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, message: &Value) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("stdin is closed")?;
        writeln!(stdin, "{message}").and_then(|()| stdin.flush()).map_err(|error| format!("cannot send: {error}"))
    }

    /// One request and its answer; other messages in between are passed over.
    pub fn notify(&mut self, method: &str) -> Result<(), String> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method }))
    }

    pub fn request(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => format!("no answer to `{method}` in {PATIENCE:?}"),
                RecvTimeoutError::Disconnected => format!("ended before answering `{method}`"),
            })?;
            let message: Value = serde_json::from_str(&line).map_err(|_| format!("not JSON: {line:?}"))?;
            if message["id"] != json!(id) {
                continue;
            }
            return match message.get("error") {
                None => Ok(message["result"].clone()),
                Some(error) => Err(format!("`{method}` was answered by an error: {error}")),
            };
        }
    }

    /// Calls the attacker's tool; gives its whole answer, `{ "steps": […], "ended": … }`.
    pub fn attempt(&mut self, arguments: &Value) -> Result<Value, String> {
        let params = json!({ "name": "attempt", "arguments": arguments });
        let result = self.request("tools/call", &params)?;
        let text = result["content"][0]["text"].as_str().ok_or_else(|| format!("no text in {result}"))?;
        serde_json::from_str(text).map_err(|_| format!("not the attacker's answer: {text}"))
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().map(|text| text.clone()).unwrap_or_default()
    }

    /// All of stderr, of a program that has ended.
    pub fn stderr_at_the_end(&self) -> String {
        // The reader sees the end of file at about the time of the exit.
        for _ in 0..50 {
            if Arc::strong_count(&self.stderr) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.stderr()
    }

    /// Waits until the program has ended by itself.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }

    /// Closes stdin and waits; the polite end.
    pub fn close(&mut self) -> Option<ExitStatus> {
        self.stdin = None;
        self.wait(Duration::from_secs(10))
    }

    /// SIGKILL, and nothing said before.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Takes a server that did not serve apart.
    pub fn ended(mut self, why: String) -> Ended {
        let status = self.close();
        Ended { code: status.and_then(|status| status.code()), stderr: self.stderr_at_the_end(), why }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        if self.wait(Duration::from_secs(2)).is_none() {
            self.kill();
        }
    }
}
