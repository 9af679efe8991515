//! `mcpjail check`: holds servers against their locks, and their texts against the inspectors. Asks nothing, writes
//! nothing.

use super::findings::{Findings, other_tools};
use super::output::{Failed, print};
use super::report::{self, Checked, Item, Level, Problem, State};
use super::walk::{PLAIN, Walked, walk};
use super::{CheckArgs, TargetArgs};
use crate::approval::with;
use crate::catalog::{Approved, Catalog, Change, Comparison, Drift, Kind, Lock, Subject, What, load};
use crate::config::Locations;
use crate::diagnose::{Diagnose, Exit};
use crate::facts;
use crate::gate::GateError;
use crate::identity;
use crate::inspect::Severity;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What cannot be checked as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// No name, no command, no profile.
    #[error("no server is named, and none has a profile")]
    Nothing,
    /// An option that belongs to one server.
    #[error("`{0}` belongs to one server, and several are named")]
    OneServer(&'static str),
}

impl Diagnose for CheckError {
    fn code(&self) -> &'static str {
        match self {
            CheckError::Nothing => "nothing-to-check",
            CheckError::OneServer(_) => "one-server",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            CheckError::Nothing => "name one, or give a command: `mcpjail check --lock FILE -- COMMAND`".into(),
            CheckError::OneServer(_) => "check them one by one".into(),
        })
    }
}

pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Failed> {
    let servers: Vec<Checked> = targets(args)?.iter().map(|target| one(target, args)).collect::<Result<_, _>>()?;
    let cwd = facts::working_directory()?;
    print(&report::render(args.format, &servers, &cwd))?;
    Ok(ExitCode::from(report::worst(&servers) as u8))
}

fn targets(args: &CheckArgs) -> Result<Vec<TargetArgs>, Failed> {
    let CheckArgs { grants, names, command, deep, .. } = args;
    let of = |name: Option<&String>, command: &[std::ffi::OsString]| TargetArgs {
        grants: grants.clone(),
        name: name.cloned(),
        arguments: Vec::new(),
        command: command.to_vec(),
        staged: None,
        deep: *deep,
    };
    let all;
    let names = match (names.is_empty(), command.is_empty()) {
        (true, false) => return Ok(vec![of(None, command)]),
        (true, true) => {
            all = Locations::from_environment()?.server_names();
            &all
        }
        (false, _) => names,
    };
    match names.len() {
        0 => return Err(CheckError::Nothing.into()),
        1 => {}
        _ if grants.lock.is_some() => return Err(CheckError::OneServer("--lock").into()),
        _ if !command.is_empty() => return Err(CheckError::OneServer("--").into()),
        _ => {}
    }
    Ok(names.iter().map(|name| of(Some(name), command)).collect())
}

/// Checks one server. Only what keeps this process from going on is an error; whatever is wrong with the server is told.
fn one(target: &TargetArgs, args: &CheckArgs) -> Result<Checked, Failed> {
    let said = RefCell::new(Vec::new());
    let walked = walk(target, args.log.egress_log.as_deref(), &PLAIN, &|line| said.borrow_mut().push(line.to_owned()));
    // how well the jail holds is `run`'s to say; here it matters where something failed
    let mut notes = Vec::new();
    let server = target.called();
    let lock;
    let result = match walked {
        Ok(walked) => {
            lock = Some(walked.terms.lock.value.clone());
            notes.extend(walked.surveyed.notes.iter().chain(&walked.egress).cloned());
            compared(&walked, args.accept_findings)
        }
        Err(error) => {
            notes.extend(said.into_inner());
            notes.extend(error.remarks);
            lock = error.lock;
            Err(error.failed)
        }
    };
    Ok(match result {
        Ok(mut checked) => {
            notes.append(&mut checked.notes);
            Checked { server, notes, ..checked }
        }
        Err(failed) => {
            let lock = lock.map_or_else(|| lock_of(target), Ok)?;
            failure(server, lock, &failed, notes)
        }
    })
}

/// Where the lock is looked for, where the server never got so far.
fn lock_of(target: &TargetArgs) -> Result<PathBuf, Failed> {
    match (&target.grants.lock, &target.name) {
        (Some(file), _) => Ok(facts::working_directory()?.join(file)),
        (None, Some(name)) => Ok(Locations::from_environment()?.lock(name)),
        (None, None) => {
            Ok(Locations::from_environment()?.lock(&identity::command_key(&target.command, None, Path::new("/"))))
        }
    }
}

fn failure(server: String, lock: PathBuf, failed: &Failed, notes: Vec<String>) -> Checked {
    let message = failed.one_line();
    let message = message.strip_prefix("mcpjail: ").unwrap_or(&message).to_owned();
    let problem =
        Problem { rule: failed.code(), level: Level::Error, item: None, at: String::new(), message, line: None };
    Checked {
        server,
        lock,
        state: State::Failed,
        exit: failed.exit(),
        items: Vec::new(),
        problems: vec![problem],
        drift: None,
        prose: String::new(),
        notes,
    }
}

fn compared(walked: &Walked, accept: bool) -> Result<Checked, Failed> {
    let Walked { surveyed, terms, egress: _ } = walked;
    let catalog = &surveyed.catalog;
    let path = &terms.lock.value;
    let approved = match load(path)? {
        Some(text) => {
            // whole, with each item's digest: a check has the time
            let _sound = Lock::parse(&text, path)?;
            Some(Approved::parse(text, path)?)
        }
        None => None,
    };
    let mut checked = Checked {
        server: String::new(),
        lock: path.clone(),
        state: State::Same,
        exit: Exit::Fine,
        items: items(catalog, approved.as_ref()),
        problems: Vec::new(),
        drift: None,
        prose: String::new(),
        notes: Vec::new(),
    };
    match &approved {
        None => {
            let error = GateError::NotApproved { approve: terms.approve.clone() };
            checked.state = State::NotApproved;
            checked.exit = Exit::Drift;
            let message = format!("nobody has approved this server's catalog yet; look at it with `{}`", terms.approve);
            let rule = error.code();
            checked.problems.push(Problem {
                rule,
                level: Level::Error,
                item: None,
                at: String::new(),
                message,
                line: None,
            });
        }
        Some(approved) => {
            let (then, now) = (approved.identity(), &terms.identity);
            if identity::interpreter_differs(then, now) {
                let path = now.interpreter.as_ref().map_or("none", |pin| &pin.path);
                checked.notes.push(format!(
                    "the interpreter (`{path}`) is not the one of the approval, as after an update of the system; \
                     `{}` takes note of it",
                    terms.approve
                ));
            }
            let drift = drift(approved, catalog, now).map_err(GateError::from)?;
            if !drift.is_empty() {
                checked.state = State::Drifted;
                checked.exit = Exit::Drift;
                checked.prose = drift.text(true);
                checked.drift = serde_json::from_slice(&drift.json()).ok();
                checked.problems.extend(drift.changes.into_iter().map(|change| changed(change, approved)));
            }
        }
    }
    let findings = Findings::of(catalog.items(), &other_tools(path)).map_err(GateError::from)?;
    let mut grave = false;
    for (kind, name, placed) in findings.all() {
        let level = match placed.finding.severity {
            Severity::High if accept => Level::Warning,
            Severity::High => Level::Error,
            Severity::Medium => Level::Warning,
            Severity::Low => Level::Note,
        };
        grave |= level == Level::Error;
        checked.problems.push(Problem {
            rule: placed.finding.rule,
            level,
            item: Some(Item { kind: word(kind), name: name.to_owned() }),
            at: placed.at.clone(),
            message: format!("{}: {}", placed.finding.message, placed.excerpt),
            line: approved.as_ref().and_then(|approved| line(approved, kind, name)),
        });
    }
    if grave && checked.exit == Exit::Fine {
        checked.exit = Exit::Findings;
    }
    Ok(checked)
}

fn drift(
    approved: &Approved,
    catalog: &Catalog,
    now: &crate::catalog::Identity,
) -> Result<Drift, crate::catalog::ItemFault> {
    let mut comparison = Comparison::new(approved);
    for item in catalog.items() {
        let _told_by_the_end = with(&item.text, |value| comparison.item(item.kind, value))??;
    }
    for namespace in &catalog.namespaces {
        comparison.namespace(namespace);
    }
    comparison.identity(&identity::for_run(approved.identity(), now));
    Ok(comparison.finish())
}

fn changed(change: Change, approved: &Approved) -> Problem {
    let kind = match change.subject {
        Subject::Server => Some(Kind::Server),
        Subject::Tool => Some(Kind::Tool),
        Subject::Prompt => Some(Kind::Prompt),
        Subject::Template => Some(Kind::Template),
        Subject::Identity | Subject::Namespace => None,
    };
    let item = kind.map(|kind| Item { kind: word(kind), name: change.name.clone() });
    let at = change.edits.first().map(|edit| edit.at.clone()).unwrap_or_default();
    let line = kind.and_then(|kind| line(approved, kind, &change.name));
    let message = summary(change);
    Problem { rule: "catalog-changed", level: Level::Error, item, at, message, line }
}

/// A change in a few words, without the name of what changed.
fn summary(change: Change) -> String {
    match (&change.what, change.subject) {
        (What::Added, Subject::Namespace) => format!("resources at `{}`, where none were approved", change.name),
        (What::Added, _) => "was not approved".into(),
        (What::Removed, _) => "was approved and is gone".into(),
        (What::Renamed { from }, _) => format!("was approved as `{from}`"),
        (What::Changed, subject) => {
            // "1 tool changed: tool `x`: description changed"
            let short = Drift { changes: vec![change] }.short();
            let what = short.splitn(3, ": ").nth(2).unwrap_or("changed");
            if subject == Subject::Identity {
                format!("another program than was approved: {what}")
            } else {
                what.to_owned()
            }
        }
    }
}

fn line(approved: &Approved, kind: Kind, name: &str) -> Option<usize> {
    approved.find(kind, name).and_then(|index| approved.entry(index)).map(|entry| entry.line())
}

/// Everything that the server shows or that was approved.
fn items(catalog: &Catalog, approved: Option<&Approved>) -> Vec<Item> {
    let seen = catalog.items().map(|item| (item.kind, item.name.clone()));
    let known = approved.iter().flat_map(|approved| approved.entries());
    let known = known.map(|entry| (entry.kind(), entry.name().to_owned()));
    let all: BTreeSet<(Kind, String)> = seen.chain(known).collect();
    all.into_iter().map(|(kind, name)| Item { kind: word(kind), name }).collect()
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "server",
        Kind::Tool => "tool",
        Kind::Prompt => "prompt",
        Kind::Template => "resource template",
    }
}
