//! A host for tests: it keeps every byte that it was given, every wait has a deadline, and what the other side wrote
//! to stderr is in every complaint.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The four lists: method and member of its results.
pub const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

/// How a host speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// With `initialize`.
    Legacy,
    /// Without, revision 2026-07-28.
    Modern,
}

impl Era {
    pub const BOTH: [Era; 2] = [Era::Legacy, Era::Modern];

    pub fn name(self) -> &'static str {
        match self {
            Era::Legacy => "legacy",
            Era::Modern => "modern",
        }
    }
}

/// A host and the process that serves it.
pub struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    /// Everything that came on stdout and was looked at.
    pub stdout: Vec<u8>,
    stderr: Arc<Mutex<Vec<u8>>>,
    pub era: Era,
    /// What it tells servers that it can do.
    pub capabilities: Value,
    /// The revision that it asks for in the legacy era.
    pub version: &'static str,
    next_id: i64,
}

/// A session that is over.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Host {
    pub fn start(mut command: Command, era: Era) -> Host {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (sender, lines) = channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match stdout.read_until(b'\n', &mut line) {
                    Ok(1..) if sender.send(line).is_ok() => {}
                    _ => return,
                }
            }
        });
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (child.stderr.take().unwrap(), stderr.clone());
        std::thread::spawn(move || {
            let mut chunk = [0u8; 4096];
            while let Ok(got @ 1..) = from.read(&mut chunk) {
                to.lock().unwrap().extend_from_slice(&chunk[..got]);
            }
        });
        let stdin = child.stdin.take();
        let capabilities = json!({});
        let version = "2025-11-25";
        Host { child, stdin, lines, stdout: Vec::new(), stderr, era, capabilities, version, next_id: 1 }
    }

    /// What the test cannot go on with.
    pub fn fail(&self, what: &str) -> ! {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let from = stdout.char_indices().rev().nth(3000).map_or(0, |(at, _)| at);
        panic!("{what}\nstdout:\n{}\nstderr:\n{}", &stdout[from..], self.stderr());
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Writes these bytes and a line feed. A process that has ended reads nothing, which is for the caller to find out.
    pub fn raw(&mut self, line: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _broken_pipe = stdin.write_all(&[line, b"\n"].concat()).and_then(|()| stdin.flush());
        }
    }

    pub fn send(&mut self, message: &Value) {
        self.raw(message.to_string().as_bytes());
    }

    pub fn notify(&mut self, method: &str) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method }));
    }

    /// The request that [`Host::ask`] would send, as a value.
    pub fn request(&mut self, method: &str, mut params: Value) -> (i64, Value) {
        let id = self.next_id;
        self.next_id += 1;
        if self.era == Era::Modern {
            params["_meta"] = self.meta();
        }
        (id, json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
    }

    /// What a modern request carries.
    pub fn meta(&self) -> Value {
        json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "gate-suite", "version": "0" },
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        })
    }

    /// Sends a request and gives its id.
    pub fn ask(&mut self, method: &str, params: Value) -> i64 {
        let (id, message) = self.request(method, params);
        self.send(&message);
        id
    }

    /// Sends a tool call and gives its id.
    pub fn ask_tool(&mut self, name: &str, arguments: Value) -> i64 {
        self.ask("tools/call", json!({ "name": name, "arguments": arguments }))
    }

    /// The next line, with its line feed; `None` at the end of stdout or at the deadline.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.stdout.extend_from_slice(&line);
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(format!("nothing came in {PATIENCE:?}")),
        }
    }

    /// The first message that fits; others, and lines that are none, are passed over.
    pub fn message(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline) {
                Ok(Some(line)) => match serde_json::from_slice::<Value>(&line) {
                    Ok(message) if fits(&message) => return message,
                    _ => {}
                },
                Ok(None) => self.fail(&format!("ended before {what} came")),
                Err(why) => self.fail(&format!("waiting for {what}: {why}")),
            }
        }
    }

    /// The answer to the request with that id, whole.
    pub fn answer(&mut self, id: i64) -> Value {
        self.message(&format!("the answer to {id}"), |message| {
            message["id"] == json!(id) && message.get("method").is_none()
        })
    }

    /// The answer to the request with that id, while the process must stay below this much memory, KiB.
    pub fn answer_below(&mut self, id: i64, most: u64) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next((Instant::now() + Duration::from_millis(10)).min(deadline)) {
                Ok(Some(line)) => match serde_json::from_slice::<Value>(&line) {
                    Ok(message) if message["id"] == json!(id) && message.get("method").is_none() => return message,
                    _ => {}
                },
                Ok(None) => self.fail(&format!("ended before the answer to {id} came")),
                Err(_) if Instant::now() < deadline => {}
                Err(why) => self.fail(&format!("waiting for the answer to {id}: {why}")),
            }
            let memory = self.memory();
            assert!(memory <= most, "it has grown to {memory} KiB");
        }
    }

    /// What the process has in memory, KiB; nothing when it is gone.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
    }

    /// Reads until the bytes were seen in a line.
    pub fn until(&mut self, bytes: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while !contains(&self.stdout, bytes) {
            match self.next(deadline) {
                Ok(Some(_)) => {}
                Ok(None) => self.fail(&format!("ended before {:?} came", String::from_utf8_lossy(bytes))),
                Err(why) => self.fail(&format!("waiting for {:?}: {why}", String::from_utf8_lossy(bytes))),
            }
        }
    }

    /// Sends what opens a session and gives its id: `initialize`, or `server/discover`.
    pub fn ask_opening(&mut self) -> i64 {
        match self.era {
            Era::Modern => self.ask("server/discover", json!({})),
            Era::Legacy => {
                let client = json!({ "name": "gate-suite", "version": "0" });
                let params = json!({
                    "protocolVersion": self.version, "capabilities": self.capabilities, "clientInfo": client,
                });
                self.ask("initialize", params)
            }
        }
    }

    /// Opens the session; the result.
    pub fn open(&mut self) -> Value {
        let id = self.ask_opening();
        let answer = self.answer(id);
        if self.era == Era::Legacy {
            self.notify("notifications/initialized");
        }
        self.result(&answer)
    }

    /// The result of an answer that is to be none but a result.
    pub fn result(&self, answer: &Value) -> Value {
        match answer.get("result") {
            Some(result) => result.clone(),
            None => self.fail(&format!("no result: {answer}")),
        }
    }

    /// A request and the result of its answer.
    pub fn get(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let answer = self.answer(id);
        self.result(&answer)
    }

    /// A tool call and the first text of its result.
    pub fn tool(&mut self, name: &str, arguments: Value) -> String {
        let result = self.get("tools/call", json!({ "name": name, "arguments": arguments }));
        match result["content"][0]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => self.fail(&format!("no text in {result}")),
        }
    }

    /// All items of one list.
    pub fn list(&mut self, method: &str, member: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = Value::Null;
        for _page in 0..1000 {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let mut page = self.get(method, params);
            items.append(page[member].as_array_mut().unwrap_or(&mut Vec::new()));
            cursor = page["nextCursor"].take();
            if cursor.is_null() {
                return items;
            }
        }
        self.fail(&format!("`{method}` has no end"))
    }

    /// All items of all lists.
    pub fn walk(&mut self) -> Vec<Value> {
        LISTS.iter().flat_map(|(method, member)| self.list(method, member)).collect()
    }

    /// The names of the tools, in order.
    pub fn tools(&mut self) -> Vec<String> {
        let tools = self.list("tools/list", "tools");
        tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the server says that it got, line by line.
    pub fn received(&mut self) -> Vec<String> {
        let text = self.tool("received", json!({}));
        serde_json::from_str(&text).unwrap_or_else(|_| self.fail(&format!("not a list of lines: {text}")))
    }

    /// Listens for changes, which the modern era wants to be asked for; the legacy one tells everybody.
    pub fn listen(&mut self) {
        if self.era == Era::Modern {
            self.ask("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
            self.message("the acknowledgement", |message| {
                message["method"] == "notifications/subscriptions/acknowledged"
            });
        }
    }

    /// Whether the bytes came so far.
    pub fn saw(&self, bytes: &str) -> bool {
        contains(&self.stdout, bytes.as_bytes())
    }

    /// The answer must be mcpjail's own error with this code; gives its message.
    pub fn refused(&self, answer: &Value, codes: &[&str]) -> String {
        let code = answer["error"]["data"]["mcpjail"]["code"].as_str().unwrap_or_default();
        if !codes.contains(&code) {
            self.fail(&format!("wanted an error with one of {codes:?}, got {answer}"));
        }
        answer["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Closes stdin, as hosts end a session.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// SIGTERM, as hosts send it when closing did not help.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Whether the process ends in this time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        self.wait(Instant::now() + time).is_some()
    }

    /// Closes stdin, as hosts end a session, and waits for the end.
    pub fn finish(mut self) -> Ended {
        self.stdin = None;
        self.end()
    }

    /// Waits for the process to end by itself, with stdin open unless it was closed.
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.fail("its stdout did not end"),
            }
        }
        let code = match self.wait(deadline) {
            Some(status) => status.code(),
            None => self.fail("it did not end"),
        };
        // the reader of stderr meets the end of file at about the time of the exit
        while Arc::strong_count(&self.stderr) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ended { code, stdout: std::mem::take(&mut self.stdout), stderr: self.stderr() }
    }

    fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => return None,
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stdin = None;
        // a server that is not jailed may outlive its stdin on purpose
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Ended {
    /// The process must have ended with this code.
    pub fn code(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "the exit code; {self}");
        self
    }

    /// The host must not have seen this.
    pub fn without(&self, bytes: &str) -> &Ended {
        assert!(!contains(&self.stdout, bytes.as_bytes()), "{bytes:?} reached the host; {self}");
        self
    }

    /// The host must have got so many lines, and no unfinished one.
    pub fn lines(&self, count: usize) -> &Ended {
        let lines = self.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines == count && matches!(self.stdout.last(), None | Some(b'\n')), "{count} lines wanted; {self}");
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let shown: String = stdout.chars().take(3000).collect();
        write!(f, "stdout:\n{shown}\nstderr:\n{}", self.stderr)
    }
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
