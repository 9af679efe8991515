//! What a check found, and how it is written: for people, for programs, for code scanning, for test reports, for the
//! log of a workflow.
//!
//! Much of the text was written by the server that is checked. Each format escapes it in its own way, after
//! [`plain_line`] or [`visible`] has spelt out what a terminal or a log would obey.

mod github;
mod json;
mod junit;
mod sarif;
mod text;

use crate::diagnose::Exit;
use std::path::{Path, PathBuf};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for test reports
    Junit,
    /// Workflow commands of GitHub Actions
    Github,
}

/// What came of one server.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// Its name, or its command line.
    pub(super) server: String,
    /// What it was held against; absolute.
    pub(super) lock: PathBuf,
    pub(super) state: State,
    /// How bad that is.
    pub(super) exit: Exit,
    /// Everything that the server shows or that was approved, once each.
    pub(super) items: Vec<Item>,
    pub(super) problems: Vec<Problem>,
    /// The differences, in the words of the catalog.
    pub(super) drift: Option<serde_json::Value>,
    /// What people read about the differences, several lines.
    pub(super) prose: String,
    /// Remarks that change nothing.
    pub(super) notes: Vec<String>,
}

/// How a server stands to what was approved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Same,
    Drifted,
    NotApproved,
    /// It could not be compared.
    Failed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Same => "same",
            State::Drifted => "drifted",
            State::NotApproved => "not-approved",
            State::Failed => "failed",
        }
    }
}

/// One item of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// `tool`, `prompt` and so on.
    pub(super) kind: &'static str,
    /// As the server says it.
    pub(super) name: String,
}

/// Something to be told.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// An error's code or the id of a rule: `mcpjail help RULE` explains it.
    pub(super) rule: &'static str,
    pub(super) level: Level,
    /// What it is about; none where it is about the server as a whole.
    pub(super) item: Option<Item>,
    /// RFC 6901 pointer inside the item.
    pub(super) at: String,
    pub(super) message: String,
    /// 1-based line of the lock.
    pub(super) line: Option<usize>,
}

/// How much a problem weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Note,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// The whole report.
pub(super) fn render(format: Format, servers: &[Checked], cwd: &Path) -> String {
    match format {
        Format::Text => text::render(servers),
        Format::Json => json::render(servers),
        Format::Sarif => sarif::render(servers, cwd),
        Format::Junit => junit::render(servers),
        Format::Github => github::render(servers, cwd),
    }
}

/// The exit code of several servers: what could not be checked at all weighs more than what was checked and differs.
pub(super) fn worst(servers: &[Checked]) -> Exit {
    const ORDER: [Exit; 6] = [Exit::Jail, Exit::Server, Exit::Revoked, Exit::Usage, Exit::Drift, Exit::Findings];
    let worst = ORDER.into_iter().find(|exit| servers.iter().any(|server| server.exit == *exit));
    worst.unwrap_or(Exit::Fine)
}

/// A path for a report that is read elsewhere: relative to the directory of the check where it lies below that.
fn portable<'a>(path: &'a Path, cwd: &Path) -> Result<&'a Path, &'a Path> {
    path.strip_prefix(cwd).map_err(|_| path)
}

/// The part of a URI that names a path, percent-encoded by bytes.
fn uri_path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that tries to leave every format that it is put into.
    pub(super) const HOSTILE: &str =
        "x\" <b>&amp;]]>\u{1b}[31m\n::error::forged\r\n##[error]forged\u{0}\u{202e}%0A,:;'\u{ffff}\u{200b}";

    pub(super) fn servers() -> Vec<Checked> {
        let item = |kind, name: &str| Item { kind, name: name.into() };
        let plain = Checked {
            server: "notes".into(),
            lock: "/team/locks/notes.lock.json".into(),
            state: State::Same,
            exit: Exit::Fine,
            items: vec![item("tool", "read"), item("tool", "write")],
            problems: Vec::new(),
            drift: None,
            prose: String::new(),
            notes: vec!["the interpreter is another one".into()],
        };
        let drifted = Checked {
            server: "weather".into(),
            lock: "/elsewhere/a b.lock.json".into(),
            state: State::Drifted,
            exit: Exit::Drift,
            items: vec![item("tool", HOSTILE), item("prompt", "p")],
            problems: vec![
                Problem {
                    rule: "catalog-changed",
                    level: Level::Error,
                    item: Some(item("tool", HOSTILE)),
                    at: "/description".into(),
                    message: HOSTILE.into(),
                    line: Some(12),
                },
                Problem {
                    rule: "not-approved",
                    level: Level::Warning,
                    item: Some(item("prompt", "p")),
                    at: String::new(),
                    message: "says more than it should".into(),
                    line: None,
                },
            ],
            drift: Some(serde_json::json!({ "changes": [HOSTILE] })),
            prose: "tool x\n  changed\n".into(),
            notes: Vec::new(),
        };
        let failed = Checked {
            server: "node 'x y.js'".into(),
            lock: "/team/locks/command.lock.json".into(),
            state: State::Failed,
            exit: Exit::Server,
            items: Vec::new(),
            problems: vec![Problem {
                rule: "server-exited",
                level: Level::Error,
                item: None,
                at: String::new(),
                message: "the server exited".into(),
                line: None,
            }],
            drift: None,
            prose: String::new(),
            notes: Vec::new(),
        };
        vec![plain, drifted, failed]
    }

    #[test]
    fn what_was_not_checked_weighs_most() {
        let servers = |exits: &[Exit]| -> Vec<Checked> {
            let one = |exit: &Exit| Checked { exit: *exit, ..self::servers().remove(0) };
            exits.iter().map(one).collect()
        };
        for (exits, worst) in [
            (&[][..], Exit::Fine),
            (&[Exit::Fine], Exit::Fine),
            (&[Exit::Fine, Exit::Findings], Exit::Findings),
            (&[Exit::Drift, Exit::Findings], Exit::Drift),
            (&[Exit::Drift, Exit::Usage], Exit::Usage),
            (&[Exit::Server, Exit::Usage, Exit::Drift], Exit::Server),
            (&[Exit::Server, Exit::Jail], Exit::Jail),
            (&[Exit::Revoked, Exit::Drift], Exit::Revoked),
        ] {
            assert_eq!(super::worst(&servers(exits)), worst, "{exits:?}");
        }
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri_path(Path::new("/a b/ü#%?.json")), "/a%20b/%C3%BC%23%25%3F.json");
        assert_eq!(portable(Path::new("/w/x/y"), Path::new("/w")), Ok(Path::new("x/y")));
        assert_eq!(portable(Path::new("/team/y"), Path::new("/te")), Err(Path::new("/team/y")));
    }
}
