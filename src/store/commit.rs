//! Several files that change together.
//!
//! What is to change is first written whole to a journal. The moment in which the journal gets its name decides: before it
//! nothing has changed, after it everything will have, since whoever claims the name or reads its record carries the
//! journal out first. Carrying it out twice does no harm.

use super::lock::{self, How, Lock};
use super::{Change, Claim, Store, StoreError, layout};
use crate::sys::process;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Of the journal's format.
const VERSION: u32 = 1;

/// The end of a draft's name: `.NAME.PID.new`.
const DRAFT: &str = ".new";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    version: u32,
    changes: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    path: Name,
    /// All of the new file; the file goes where there is none.
    text: Option<String>,
}

/// A path, which may be no text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Name {
    fn of(path: &Path) -> Name {
        match path.to_str() {
            Some(text) => Name::Text(text.into()),
            None => Name::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Name::Text(text) => Path::new(text),
            Name::Bytes(bytes) => Path::new(OsStr::from_bytes(bytes)),
        }
    }
}

impl Store {
    pub(super) fn claim_name(&self, name: &str) -> Result<Claim, StoreError> {
        if !layout::is_name(name) {
            let reason = "no server can have this name".into();
            return Err(StoreError::BadRecord { path: self.record_path(name), reason });
        }
        layout::make(&self.installed_dir())?;
        let lock = lock::attempt(&self.busy_path(name), How::Exclusive)?;
        let lock = lock.ok_or_else(|| StoreError::Busy { name: name.into() })?;
        self.carry_out(name)?;
        sweep_drafts(&self.journal_path(name));
        // of an add or update that was killed
        let _tried_again_next_time = std::fs::remove_file(self.draft_path(name));
        Ok(Claim { name: name.into(), _lock: lock })
    }

    pub(super) fn commit_changes(&self, claim: &Claim, changes: &[Change]) -> Result<(), StoreError> {
        let steps: Vec<Step> = changes
            .iter()
            .map(|change| match change {
                Change::Write { path, text } => Step { path: Name::of(path), text: Some(text.clone()) },
                Change::Remove { path } => Step { path: Name::of(path), text: None },
            })
            .collect();
        for step in &steps {
            prepare(step)?;
        }
        let path = self.journal_path(&claim.name);
        let unfit = |error: serde_json::Error| StoreError::io("write", &path, error.into());
        let text = serde_json::to_vec(&Journal { version: VERSION, changes: steps }).map_err(unfit)?;
        replace(&path, &text)?;
        self.carry_out(&claim.name)
    }

    /// Carries a journal out, if there is one. The caller has the name's lock.
    fn carry_out(&self, name: &str) -> Result<(), StoreError> {
        let path = self.journal_path(name);
        let Some(text) = read_own(&path, Trust::Private)? else { return Ok(()) };
        let bad = |reason: String| StoreError::BadRecord { path: path.clone(), reason };
        let journal: Journal = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if journal.version != VERSION {
            return Err(bad(format!("version {} is unknown", journal.version)));
        }
        if let Some(step) = journal.changes.iter().find(|step| !is_plain(step.path.path())) {
            return Err(bad(format!("`{}` is no absolute path", step.path.path().display())));
        }
        for step in &journal.changes {
            let path = step.path.path();
            match &step.text {
                Some(text) => replace(path, text.as_bytes())?,
                None => remove_file(path)?,
            }
            sweep_drafts(path);
        }
        remove_file(&path)
    }

    /// What an interrupted commit left is carried out, or its live committer waited for.
    pub(super) fn finish_commit(&self, name: &str) -> Result<(), StoreError> {
        match self.journal_path(name).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let _lock: Lock = lock::wait(&self.busy_path(name), How::Exclusive, name)?;
        self.carry_out(name)
    }
}

/// Absolute, and without `.` or `..`.
fn is_plain(path: &Path) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(plain) && path.file_name().is_some()
}

/// Finds what would stop a change before anything is decided: a directory that cannot be made, something in the place that
/// is no file of ours.
fn prepare(step: &Step) -> Result<(), StoreError> {
    let path = step.path.path();
    let refuse =
        |kind: io::ErrorKind, why: &'static str| Err(StoreError::io("replace", path, io::Error::new(kind, why)));
    if !is_plain(path) {
        return refuse(io::ErrorKind::InvalidInput, "not an absolute path");
    }
    match path.symlink_metadata() {
        Ok(there) if there.file_type().is_symlink() => return refuse(io::ErrorKind::InvalidInput, "a symbolic link"),
        Ok(there) if !there.is_file() => return refuse(io::ErrorKind::InvalidInput, "not a regular file"),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("replace", path, error)),
    }
    let (Some(parent), true) = (path.parent(), step.text.is_some()) else { return Ok(()) };
    layout::make(parent)
}

/// Writes a file in one step, on the disk when this returns. Mode 0600.
pub(super) fn replace(path: &Path, text: &[u8]) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("write", path, error);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    layout::make(parent)?;
    let draft: PathBuf = parent.join(format!(".{name}.{}{DRAFT}", std::process::id()));
    // One of a process that was killed, and had this number.
    remove_file(&draft)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        let _may_be_absent = fs::remove_file(&draft);
        return Err(failed(error));
    }
    layout::sync_directory(parent)
}

/// Removes what killed processes left of a file. The caller has the name's lock, so nobody is writing one.
fn sweep_drafts(path: &Path) {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else { return };
    let is_draft = |file: &str| {
        let middle =
            file.strip_prefix('.').and_then(|rest| rest.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(DRAFT));
        middle.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    for file in layout::names(parent).unwrap_or_default().iter().filter(|file| is_draft(file)) {
        let _does_no_harm = fs::remove_file(parent.join(file));
    }
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => layout::sync_directory(path.parent().unwrap_or(Path::new("/"))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(StoreError::io("remove", path, error)),
    }
}

/// Who may have written a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The user; nobody else can read it either.
    Private,
    /// The user or root.
    Owned,
}

/// Reads a file that only the user can have written; `None` where there is none.
pub(super) fn read_own(path: &Path, trust: Trust) -> Result<Option<Vec<u8>>, StoreError> {
    let bad = |reason: &str| Err(StoreError::BadRecord { path: path.to_path_buf(), reason: reason.into() });
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return bad("it is a symbolic link"),
        Err(error) => return Err(StoreError::io("read", path, error)),
    };
    let failed = |error| StoreError::io("read", path, error);
    let metadata = file.metadata().map_err(failed)?;
    let user = process::user().0;
    let (owned, mode) = (metadata.uid() == user, metadata.mode() & 0o7777);
    let trusted = match trust {
        Trust::Private => owned && mode == 0o600,
        Trust::Owned => (owned || metadata.uid() == 0) && mode & 0o022 == 0,
    };
    if !metadata.is_file() || !trusted {
        return bad("others can have written it");
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}
