//! Parameters in, steps out, and the forked child in which both happen.

use crate::sys::{Sys, name_of};
use serde_json::{Map, Value, json};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// The arguments of a tool call.
pub(crate) struct Params(Map<String, Value>);

impl Params {
    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Params(map)
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn num(&self, key: &str, default: i64) -> i64 {
        self.0.get(key).and_then(Value::as_i64).unwrap_or(default)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn list(&self, key: &str) -> &[Value] {
        self.0.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A path: a string, or hexadecimal bytes under `KEY_hex` where the name is not UTF-8.
    pub(crate) fn path(&self, key: &str) -> CString {
        let hex = self.text(&format!("{key}_hex"));
        if hex.is_empty() { c_path(self.text(key)) } else { CString::new(unhex(hex)).unwrap_or_default() }
    }

    pub(crate) fn paths(&self, key: &str) -> Vec<CString> {
        self.list(key).iter().filter_map(Value::as_str).map(c_path).collect()
    }

    pub(crate) fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Whether this process left the process-id namespace that the suite runs in. PID 1 is touched only then: outside,
    /// it belongs to the machine.
    pub(crate) fn left_pid_namespace(&self) -> bool {
        let own = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let host = self.text("host_pidns");
        !host.is_empty() && own.as_os_str().as_bytes() != host.as_bytes()
    }
}

pub(crate) fn c_path(text: &str) -> CString {
    CString::new(if text.is_empty() { "/nonexistent" } else { text }).unwrap_or_default()
}

/// A path below another.
pub(crate) fn join(dir: &CString, name: &str) -> CString {
    let mut bytes = dir.as_bytes().to_vec();
    bytes.push(b'/');
    bytes.extend_from_slice(name.as_bytes());
    CString::new(bytes).unwrap_or_default()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Writes steps, one JSON line each, as they happen: what was found before a kill is not lost.
pub(crate) struct Report {
    fd: i32,
    prefix: String,
}

impl Report {
    pub(crate) fn to(fd: i32) -> Self {
        Report { fd, prefix: String::new() }
    }

    /// The same report with every step's name prefixed.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        Report { fd: self.fd, prefix: format!("{}{prefix}", self.prefix) }
    }

    pub(crate) fn line(&self, value: &Value) {
        let mut bytes = value.to_string().into_bytes();
        bytes.push(b'\n');
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let wrote = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            let Ok(wrote) = usize::try_from(wrote) else { return };
            rest = rest.get(wrote..).unwrap_or_default();
        }
    }

    /// A step that a system call decides.
    pub(crate) fn step(&mut self, name: impl std::fmt::Display, outcome: Sys) {
        self.value(name, outcome.map(Value::from));
    }

    /// A step with a richer value.
    pub(crate) fn value(&mut self, name: impl std::fmt::Display, outcome: Result<Value, i32>) {
        let step = format!("{}{name}", self.prefix);
        self.line(&match outcome {
            Ok(detail) => json!({ "step": step, "ok": true, "errno": null, "detail": detail }),
            Err(errno) => json!({ "step": step, "ok": false, "errno": name_of(errno), "detail": null }),
        });
    }

    /// A step whose error is no errno: a resolver's code, or an end without an answer.
    pub(crate) fn answer(&mut self, name: impl std::fmt::Display, outcome: Result<Value, String>) {
        let step = format!("{}{name}", self.prefix);
        self.line(&match outcome {
            Ok(detail) => json!({ "step": step, "ok": true, "errno": null, "detail": detail }),
            Err(error) => json!({ "step": step, "ok": false, "errno": error, "detail": null }),
        });
    }

    /// A step that looks for something; finding it is success.
    pub(crate) fn found(&mut self, name: impl std::fmt::Display, what: Option<Value>) {
        let step = format!("{}{name}", self.prefix);
        self.line(&json!({ "step": step, "ok": what.is_some(), "errno": null, "detail": what }));
    }

    /// A step in a child of its own, because it may be killed for trying.
    pub(crate) fn isolated(&mut self, name: impl std::fmt::Display, attempt: impl FnOnce() -> Sys) {
        let step = format!("{}{name}", self.prefix);
        let (lines, ended) = forked(Duration::from_secs(5), |report| report.step("isolated", attempt()));
        match lines.into_iter().next() {
            Some(Value::Object(mut line)) => {
                line.insert("step".into(), step.into());
                self.line(&Value::Object(line));
            }
            _ => self.line(&json!({ "step": step, "ok": false, "errno": ended, "detail": null })),
        }
    }
}

/// Runs `body` in a forked child; gives the steps it reported and how it ended: `exit 0`, `SIGSYS`, `timeout`.
pub(crate) fn forked(limit: Duration, body: impl FnOnce(&mut Report)) -> (Vec<Value>, String) {
    let mut ends = [0i32; 2];
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return (Vec::new(), "no pipe".into());
    }
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::close(ends[0]) };
        let mut report = Report::to(ends[1]);
        let calm = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&mut report)));
        unsafe { libc::_exit(if calm.is_ok() { 0 } else { 101 }) };
    }
    unsafe { libc::close(ends[1]) };
    if child < 0 {
        unsafe { libc::close(ends[0]) };
        return (Vec::new(), "no fork".into());
    }
    let (bytes, ended) = collect(child, ends[0], limit);
    unsafe { libc::close(ends[0]) };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    (lines, ended)
}

/// Reads what a child writes until it has ended or its time is over.
pub(crate) fn collect(child: i32, fd: i32, limit: Duration) -> (Vec<u8>, String) {
    let deadline = Instant::now() + limit;
    let mut bytes = Vec::new();
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    loop {
        let mut status = 0;
        let mut ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child;
        let late = Instant::now() > deadline;
        if late && !ended {
            unsafe { libc::kill(child, libc::SIGKILL) };
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            ended = true;
        }
        let mut chunk = [0u8; 16_384];
        loop {
            let got = unsafe { libc::read(fd, chunk.as_mut_ptr().cast(), chunk.len()) };
            let Some(got) = usize::try_from(got).ok().filter(|got| *got > 0) else { break };
            bytes.extend_from_slice(&chunk[..got]);
        }
        if ended {
            return (bytes, if late { "timeout".into() } else { how(status) });
        }
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&raw mut poll, 1, 5) };
        if poll.revents & libc::POLLIN == 0 {
            // Hang-up is reported at once and for ever; the child itself is what is waited for.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A wait status as words.
pub(crate) fn how(status: i32) -> String {
    if !libc::WIFSIGNALED(status) {
        return format!("exit {}", libc::WEXITSTATUS(status));
    }
    match libc::WTERMSIG(status) {
        libc::SIGSYS => "SIGSYS".into(),
        libc::SIGKILL => "SIGKILL".into(),
        libc::SIGSEGV => "SIGSEGV".into(),
        libc::SIGBUS => "SIGBUS".into(),
        libc::SIGXFSZ => "SIGXFSZ".into(),
        other => format!("signal {other}"),
    }
}
