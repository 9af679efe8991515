//! What leaks in: environment, descriptors, other processes' names (cases 23, 26, 52).

use crate::Attack;
use crate::report::{Params, Report};
use serde_json::json;
use std::os::unix::ffi::OsStrExt;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("ipc", ipc),
    ("environment", environment),
    ("variables", variables),
    ("own-descriptors", own_descriptors),
    ("ps", ps),
];

fn contains(haystack: &[u8], needle: &str) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Looks for a marker in every environment within reach.
fn environment(params: &Params, report: &mut Report) {
    let marker = params.text("marker");
    let own: Vec<String> = std::env::vars_os()
        .filter(|(name, value)| contains(name.as_bytes(), marker) || contains(value.as_bytes(), marker))
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    report.found("own", (!own.is_empty()).then(|| own.join(" ").into()));
    let mut look = |label: &str, process: &str| {
        let mut hits = Vec::new();
        for file in ["environ", "cmdline"] {
            let bytes = std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            if contains(&bytes, marker) {
                hits.push(file);
            }
        }
        report.found(label, (!hits.is_empty()).then(|| hits.join(" ").into()));
    };
    look("proc-self", "self");
    look("proc-parent", &unsafe { libc::getppid() }.to_string());
    if params.left_pid_namespace() {
        look("init", "1");
        let others = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for name in others.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                look(&format!("process:{name}"), &name);
            }
        }
    }
    report.value("names", Ok(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()));
}

/// Which of the named variables are set.
fn variables(params: &Params, report: &mut Report) {
    for name in params.list("names").iter().filter_map(serde_json::Value::as_str) {
        report.found(name, std::env::var_os(name).map(|value| value.to_string_lossy().into_owned().into()));
    }
}

/// Every open descriptor of this very process but 0, 1, 2 and the report's own pair; needs no /proc.
fn own_descriptors(params: &Params, report: &mut Report) {
    let known: Vec<i64> = params.list("known").iter().filter_map(serde_json::Value::as_i64).collect();
    let open: Vec<i64> = (3..65_536)
        .filter(|fd| !known.contains(fd))
        .filter(|fd| unsafe { libc::fcntl(*fd as i32, libc::F_GETFD) } != -1)
        .collect();
    // The two ends of the pipe that carries this answer were opened just now, the lowest free numbers.
    report.found("count", (open.len() > 2).then(|| json!(open.len() - 2)));
    let targets: Vec<String> = open
        .iter()
        .filter_map(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok())
        .map(|target| target.display().to_string())
        .filter(|target| !target.starts_with("pipe:"))
        .collect();
    report.found("targets", (!targets.is_empty()).then(|| targets.into()));
    for fd in 0..3 {
        let target = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default().display().to_string();
        // A file, device or socket of the host behind a standard descriptor would be a way out.
        let bad = !(target.starts_with("pipe:") || target == "/dev/null");
        report.found(format!("standard:{fd}"), bad.then(|| target.into()));
    }
}

/// What a process list shows: a process of the suite's by its number or by its marker.
fn ps(params: &Params, report: &mut Report) {
    let (pid, marker) = (params.num("pid", 0).to_string(), params.text("marker"));
    let mut seen = Vec::new();
    let mut marked = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if contains(&line, marker) {
            marked.push(name.clone());
        }
        seen.push(name);
    }
    report.found("by-number", seen.contains(&pid).then(|| pid.into()));
    report.found("by-marker", (!marked.is_empty()).then(|| marked.into()));
    // A jail holds its init, the server, this child and perhaps one sibling; far more means the machine's list.
    report.found("many", (seen.len() > 8).then(|| seen.len().into()));
}

/// System V memory, semaphores and queues: they have no path, only an ipc namespace keeps them apart.
fn ipc(_params: &Params, report: &mut Report) {
    let mode = libc::IPC_CREAT | 0o600;
    let memory = call!(libc::SYS_shmget, libc::IPC_PRIVATE, 4096, mode);
    report.step("shared-memory", memory);
    let number = memory.unwrap_or(-1);
    report.step("attach", call!(libc::SYS_shmat, number, 0, 0));
    report.step("remove-memory", call!(libc::SYS_shmctl, number, libc::IPC_RMID, 0));
    let semaphores = call!(libc::SYS_semget, libc::IPC_PRIVATE, 1, mode);
    report.step("semaphores", semaphores);
    report.step("remove-semaphores", call!(libc::SYS_semctl, semaphores.unwrap_or(-1), 0, libc::IPC_RMID, 0));
    let queue = call!(libc::SYS_msgget, libc::IPC_PRIVATE, mode);
    report.step("queue", queue);
    report.step("remove-queue", call!(libc::SYS_msgctl, queue.unwrap_or(-1), libc::IPC_RMID, 0));
}
