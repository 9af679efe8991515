//! From what the gate holds a server to, to a gate.

use super::launch::Terms;
use super::output::{Failed, note};
use crate::catalog::{
    Approval, Approved, Catalog, Comparison, Digest, FilePin, Identity, Lock, Replace, Saved, load, save,
};
use crate::config::{Drift, FirstUse};
use crate::gate::{GateError, Record, Settings};
use crate::json;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads what was approved of a server and holds what is launched against it; `None` where nothing was and the first
/// use is trusted. Nothing of the server's has run yet.
pub(super) fn approved(terms: &Terms) -> Result<Option<Approved>, Failed> {
    let path = &terms.lock.value;
    match load(path)? {
        Some(text) => {
            let approved = Approved::parse(text, path)?;
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
    let (then, now) = (approved.identity(), pinned(&terms.identity));
    if then.interpreter.as_ref().map(|file| file.sha256) != now.interpreter.as_ref().map(|file| file.sha256) {
        note(&format!("the interpreter is not the one of the approval; `{}` takes note of the new one", terms.approve));
    }
    let entry = |identity: &Identity| identity.entry.as_ref().map(|file| file.sha256);
    if then.command == now.command && entry(then) == entry(&now) {
        return Ok(());
    }
    let mut comparison = Comparison::of(approved, &[]);
    comparison.identity(&now);
    Err(GateError::Changed { drift: Box::new(comparison.finish()), approve: terms.approve.clone() })
}

/// What is launched, as a lock has it.
pub(super) fn pinned(identity: &crate::identity::Identity) -> Identity {
    let pin = |file: &Option<crate::identity::Pinned>| {
        let file = file.as_ref()?;
        Some(FilePin { path: file.path.to_string_lossy().into_owned(), sha256: Digest(file.sha256) })
    };
    Identity { command: identity.command.clone(), entry: pin(&identity.entry), interpreter: pin(&identity.interpreter) }
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
            let (path, identity) = (terms.lock.value.clone(), pinned(&terms.identity));
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
    let lock = Lock::new(identity, approval("first use"), catalog)?;
    let text = lock.to_bytes();
    match save(path, &text, Replace::No)? {
        Saved::Written => Ok(Approved::parse(text, path)?),
        Saved::Existed => {
            let approved = Approved::parse(load(path)?.unwrap_or(text), path)?;
            let mut comparison = Comparison::new(&approved);
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
    Approval { at: now(), by: by.to_owned(), with: concat!("mcpjail ", env!("CARGO_PKG_VERSION")).to_owned() }
}

/// The time as RFC 3339 has it, in UTC.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_777, (2026, 11, 20)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }
}
