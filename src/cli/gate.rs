//! From what the gate holds a server to, to a gate.

use super::launch::Terms;
use super::output::{Failed, note};
use crate::approval::rfc3339;
use crate::catalog::{Approval, Approved, Catalog, Comparison, Identity, Lock, LockError, Replace, Saved, load, save};
use crate::config::{Drift, FirstUse};
use crate::gate::{GateError, Record, Settings};
use crate::{identity, json};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

/// A lock that is being read on a thread of its own, while the plan is made.
pub(super) struct Reading(JoinHandle<Result<Option<Approved>, LockError>>);

impl Reading {
    /// Begins to read.
    pub(super) fn start(path: PathBuf) -> Result<Reading, Failed> {
        let read = move || match load(&path)? {
            Some(text) => Approved::parse(text, &path).map(Some),
            None => Ok(None),
        };
        let thread = thread::Builder::new().name("lock".to_owned()).spawn(read);
        Ok(Reading(thread.map_err(|source| GateError::Io { action: "start a thread", source })?))
    }

    /// Waits for the lock. The thread is gone afterwards.
    fn end(self) -> Result<Option<Approved>, Failed> {
        let gone = |_| GateError::Io { action: "read the lock", source: io::Error::other("its thread ended early") };
        Ok(self.0.join().map_err(gone)??)
    }
}

/// What was approved of a server, held against what is launched; `None` where nothing was and the first use is trusted.
/// Nothing of the server's has run yet.
pub(super) fn approved(reading: Reading, terms: &Terms) -> Result<Option<Approved>, Failed> {
    match reading.end()? {
        Some(approved) => {
            holds(&approved, terms)?;
            Ok(Some(approved))
        }
        None => match terms.gate.first_use.value {
            FirstUse::Trust => Ok(None),
            FirstUse::Refuse => Err(GateError::NotApproved { approve: terms.approve.clone() }.into()),
        },
    }
}

/// Whether what is launched is what was approved. The interpreter is a remark only: updates of the system change it.
fn holds(approved: &Approved, terms: &Terms) -> Result<(), GateError> {
    let (then, now) = (approved.identity(), &terms.identity);
    if identity::interpreter_differs(then, now) {
        note(&format!("the interpreter is not the one of the approval; `{}` takes note of the new one", terms.approve));
    }
    let mut comparison = Comparison::of(approved, &[]);
    comparison.identity(&identity::for_run(then, now));
    let drift = comparison.finish();
    match drift.is_empty() {
        true => Ok(()),
        false => Err(GateError::Changed { drift: Box::new(drift), approve: terms.approve.clone() }),
    }
}

/// The gate of a run, and the directories that it may have to write to.
pub(super) struct Gate {
    pub(super) settings: Settings,
    pub(super) directories: Vec<PathBuf>,
}

impl Gate {
    pub(super) fn new(terms: Terms, approved: Option<&Approved>) -> Gate {
        let mut directories: Vec<PathBuf> = terms.record.parent().map(Path::to_owned).into_iter().collect();
        let pin = approved.is_none().then(|| {
            let (path, identity) = (terms.lock.value.clone(), terms.identity.clone());
            directories.extend(path.parent().map(Path::to_owned));
            Box::new(move |catalog: Catalog| pin(&catalog, identity.clone(), &path)) as crate::gate::Pin
        });
        for directory in &directories {
            // Who cannot make it is told so when something is to be written there.
            let _reported_later = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        }
        let settings = Settings {
            quarantine: terms.gate.drift.value == Drift::Quarantine,
            timeout: terms.gate.timeout.value,
            approve: terms.approve,
            pin,
            record: Some(Record::new(terms.record)),
        };
        Gate { settings, directories }
    }
}

/// Writes a first lock. Where another start was quicker, its lock is the one that counts.
fn pin(catalog: &Catalog, identity: Identity, path: &Path) -> Result<Approved, GateError> {
    let lock = Lock::new(identity.clone(), approval("first use"), catalog)?;
    let text = lock.to_bytes();
    match save(path, &text, Replace::No)? {
        Saved::Written => Ok(Approved::parse(text, path)?),
        Saved::Existed => {
            let approved = Approved::parse(load(path)?.unwrap_or(text), path)?;
            let mut comparison = Comparison::new(&approved);
            comparison.identity(&identity::for_run(approved.identity(), &identity));
            for item in catalog.items() {
                let text = json::check(&item.text).map_err(|fault| GateError::Malformed { what: fault.to_string() })?;
                let _kept_there = comparison.item(item.kind, text.root)?;
            }
            let drift = comparison.finish();
            match drift.is_empty() {
                true => Ok(approved),
                false => Err(GateError::Changed { drift: Box::new(drift), approve: "mcpjail approve".to_owned() }),
            }
        }
    }
}

/// Who approves, when, and with what.
pub(super) fn approval(by: &str) -> Approval {
    let with = concat!("mcpjail ", env!("CARGO_PKG_VERSION")).to_owned();
    Approval { at: rfc3339(SystemTime::now()), by: by.to_owned(), with }
}
