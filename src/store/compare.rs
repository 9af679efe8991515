//! A tree on the disk against its manifest.
//!
//! Every path is looked at. What the file system says of it is compared with the index, and only what differs is read:
//! contents are hashed, links followed for one step, directories listed. Then the index learns the new state, if that was
//! taken when the file system's clock had already moved past the path's own change time: what changes twice within one tick
//! of that clock keeps its times.

use super::contents::Room;
use super::index::{self, Index, State};
use super::manifest::{Entry, Kind, Manifest};
use super::scan::{EXECUTABLE, PLAIN};
use super::threads::share;
use super::{Depth, StoreError};
use crate::sys::entry::{self, Status};
use crate::sys::process;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Paths that one thread looks at before it takes more.
const CHUNK: usize = 512;

/// Contents that are known exactly without reading them: by inode, the state in which they were hashed.
pub(super) type Known = HashMap<u64, (State, [u8; 32])>;

/// What is compared.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// For messages.
    pub(super) path: &'a Path,
    /// The directory that holds `root` and `meta`.
    pub(super) top: BorrowedFd<'a>,
    pub(super) manifest: &'a Manifest<'a>,
    pub(super) index: Option<&'a Index>,
    pub(super) depth: Depth,
    pub(super) known: &'a Known,
}

/// A tree that is as its manifest says.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Files that were hashed.
    pub(super) hashed: usize,
    /// The index, if it is another one now.
    pub(super) index: Option<Index>,
}

/// Compares.
///
/// # Errors
/// The first path that differs.
pub(super) fn compare(subject: &Subject<'_>) -> Result<Outcome, StoreError> {
    let failed = |error| StoreError::io("read", subject.path, error);
    let now = entry::file_clock().map_err(failed)?;
    let dev = entry::status(subject.top).map_err(failed)?.dev;
    let index = subject.index.filter(|index| index.dev == dev);
    let entries = &subject.manifest.entries;
    let walk = Walk { subject, index, dev, uid: process::user().0, now };
    let chunk = if subject.depth == Depth::Deep || index.is_none() { CHUNK / 8 } else { CHUNK };
    let parts = share(entries.len(), chunk, &|range| walk.part(range));
    let (mut hashed, mut states) = (0, Vec::new());
    let mut first: Option<Difference> = None;
    for part in parts {
        match part {
            Ok(part) => {
                hashed += part.hashed;
                states.extend(part.states);
            }
            Err(difference) if first.as_ref().is_none_or(|first| difference.entry < first.entry) => {
                first = Some(*difference);
            }
            Err(_) => {}
        }
    }
    if let Some(difference) = first {
        return Err(difference.told(subject));
    }
    let mut new = index.cloned().unwrap_or_else(|| Index::unknown(dev, entries.len()));
    for (entry, state) in states {
        if let Some(place) = new.states.get_mut(entry) {
            *place = state;
        }
    }
    let same = subject.index == Some(&new);
    Ok(Outcome { hashed, index: (!same).then_some(new) })
}

/// How one path differs.
#[derive(Debug)]
struct Difference {
    entry: usize,
    /// A name in that directory.
    below: Option<CString>,
    what: Trouble,
}

#[derive(Debug)]
enum Trouble {
    Differs(String),
    Unreadable(io::Error),
}

impl Difference {
    fn told(self, subject: &Subject<'_>) -> StoreError {
        let mut path = subject.path.join(subject.manifest.path(self.entry));
        if let Some(name) = self.below {
            path.push(OsStr::from_bytes(name.to_bytes()));
        }
        match self.what {
            Trouble::Differs(what) => StoreError::Tampered { path, what },
            Trouble::Unreadable(error) => StoreError::io("read", path, error),
        }
    }
}

/// What one range gave.
#[derive(Debug, Default)]
struct Part {
    hashed: usize,
    states: Vec<(usize, State)>,
}

struct Walk<'a> {
    subject: &'a Subject<'a>,
    index: Option<&'a Index>,
    dev: u64,
    uid: u32,
    /// The clock of files when the walk began.
    now: (i64, i64),
}

/// The directories above a path, open, outermost first.
type Above = Vec<(usize, OwnedFd)>;

impl Walk<'_> {
    fn part(&self, range: Range<usize>) -> Result<Part, Box<Difference>> {
        let (mut part, mut above, mut room) = (Part::default(), Above::new(), None);
        for number in range {
            let Some(entry) = self.subject.manifest.entries.get(number) else { continue };
            let differs = |what| Box::new(Difference { entry: number, below: None, what });
            self.reach(&mut above, entry).map_err(differs)?;
            let dir = above.last().map_or(self.subject.top, |(_, dir)| dir.as_fd());
            let state = match entry.kind {
                Kind::Directory { .. } => {
                    let lower = self.open(dir, entry.name).map_err(differs)?;
                    let state = self
                        .directory(number, lower.as_fd())
                        .map_err(|(below, what)| Box::new(Difference { entry: number, below, what }))?;
                    above.push((number, lower));
                    state
                }
                Kind::File { .. } => {
                    let (state, hashed) =
                        self.file(dir, number, entry, room.get_or_insert_with(Room::new)).map_err(differs)?;
                    part.hashed += usize::from(hashed);
                    state
                }
                Kind::Link { target } => self.link(dir, number, entry.name, target).map_err(differs)?,
            };
            part.states.extend(state.map(|state| (number, state)));
        }
        Ok(part)
    }

    /// Makes the last of the open directories the one in which the entry lies.
    fn reach(&self, above: &mut Above, entry: &Entry<'_>) -> Result<(), Trouble> {
        above.truncate(entry.depth);
        if above.last().map(|(directory, _)| *directory) == entry.parent {
            return Ok(());
        }
        // A range begins in the middle of the tree.
        let entries = &self.subject.manifest.entries;
        let parents = std::iter::successors(entry.parent, |parent| entries.get(*parent)?.parent);
        let mut parents: Vec<usize> = parents.collect();
        above.clear();
        while let Some(directory) = parents.pop() {
            let dir = above.last().map_or(self.subject.top, |(_, dir)| dir.as_fd());
            let name = entries.get(directory).map_or(c"", |entry| entry.name);
            let lower = self.open(dir, name)?;
            above.push((directory, lower));
        }
        Ok(())
    }

    fn open(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Trouble> {
        entry::open_entry(dir, name, libc::O_PATH | libc::O_DIRECTORY).map_err(|error| match error.raw_os_error() {
            // what is there instead says the status
            Some(libc::ENOTDIR | libc::ELOOP) => match self.status(dir, name, libc::S_IFDIR, None) {
                Err(trouble) => trouble,
                Ok(_) => Trouble::Unreadable(error),
            },
            _ => gone(error),
        })
    }

    fn directory(&self, number: usize, open: BorrowedFd<'_>) -> Result<Option<State>, (Option<CString>, Trouble)> {
        let whole = |trouble| (None, trouble);
        let status = entry::status(open).map_err(|error| whole(Trouble::Unreadable(error)))?;
        self.judge(&status, libc::S_IFDIR, Some(EXECUTABLE)).map_err(whole)?;
        if self.is_indexed(number, &status) {
            return Ok(None);
        }
        let mut names = entry::names(open).map_err(|error| whole(Trouble::Unreadable(error)))?;
        names.sort_unstable();
        let manifest = self.subject.manifest;
        let mut known = manifest.children(number).filter_map(|child| manifest.entries.get(child)).peekable();
        for name in names {
            // What is missing is found missing when its turn comes.
            while known.next_if(|entry| entry.name < name.as_c_str()).is_some() {}
            if known.next_if(|entry| entry.name == name.as_c_str()).is_none() {
                return Err((Some(name), differs("it was added")));
            }
        }
        let after = entry::status(open).map_err(|error| whole(Trouble::Unreadable(error)))?;
        Ok(self.settled(&status, &after))
    }

    /// The state to remember, and whether the file was hashed.
    fn file(
        &self,
        dir: BorrowedFd<'_>,
        number: usize,
        entry: &Entry<'_>,
        room: &mut Room,
    ) -> Result<(Option<State>, bool), Trouble> {
        let Kind::File { executable, size, sha256 } = entry.kind else { return Ok((None, false)) };
        let mode = if executable { EXECUTABLE } else { PLAIN };
        let status = self.status(dir, entry.name, libc::S_IFREG, Some(mode))?;
        if status.size != size {
            return Err(differs("its contents were changed"));
        }
        if self.is_indexed(number, &status) {
            return Ok((None, false));
        }
        if self.subject.depth == Depth::Quick {
            let state = index::state(&status);
            if self.subject.known.get(&status.ino) == Some(&(state, sha256)) {
                return Ok((Some(state), false));
            }
        }
        let file = File::from(entry::open_entry(dir, entry.name, libc::O_RDONLY).map_err(gone)?);
        let before = entry::status(file.as_fd()).map_err(Trouble::Unreadable)?;
        self.judge(&before, libc::S_IFREG, Some(mode))?;
        if room.hash(&file).map_err(Trouble::Unreadable)? != (sha256, size) {
            return Err(differs("its contents were changed"));
        }
        let after = entry::status(file.as_fd()).map_err(Trouble::Unreadable)?;
        Ok((self.settled(&before, &after), true))
    }

    fn link(&self, dir: BorrowedFd<'_>, number: usize, name: &CStr, target: &CStr) -> Result<Option<State>, Trouble> {
        let status = self.status(dir, name, libc::S_IFLNK, None)?;
        if self.is_indexed(number, &status) {
            return Ok(None);
        }
        let found = entry::target_at(dir, name).map_err(gone)?;
        if found != target.to_bytes() {
            return Err(differs(format!("it leads to `{}` now", OsStr::from_bytes(&found).display())));
        }
        let after = self.status(dir, name, libc::S_IFLNK, None)?;
        Ok(self.settled(&status, &after))
    }

    fn status(&self, dir: BorrowedFd<'_>, name: &CStr, kind: u32, mode: Option<u32>) -> Result<Status, Trouble> {
        let status = entry::status_at(dir, name).map_err(gone)?;
        self.judge(&status, kind, mode)?;
        Ok(status)
    }

    /// What must be right whatever the index says.
    fn judge(&self, status: &Status, kind: u32, mode: Option<u32>) -> Result<(), Trouble> {
        if status.kind != kind {
            return Err(differs(format!("it is {} now", kind_name(status.kind))));
        }
        if status.dev != self.dev {
            return Err(differs("another file system is mounted over it"));
        }
        if status.uid != self.uid && status.uid != 0 {
            return Err(differs(format!("it belongs to user {}", status.uid)));
        }
        match mode {
            Some(mode) if mode != status.mode => {
                Err(differs(format!("its mode is {:04o} now, not {mode:04o}", status.mode)))
            }
            _ => Ok(()),
        }
    }

    fn is_indexed(&self, number: usize, status: &Status) -> bool {
        let state = self.index.and_then(|index| index.states.get(number));
        self.subject.depth == Depth::Quick && state == Some(&index::state(status))
    }

    /// The state to remember: the same before and after reading, and older than the clock when the walk began.
    fn settled(&self, before: &Status, after: &Status) -> Option<State> {
        (before == after && before.ctime < self.now).then(|| index::state(after))
    }
}

fn differs(what: impl Into<String>) -> Trouble {
    Trouble::Differs(what.into())
}

fn gone(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound => differs("it is gone"),
        _ => Trouble::Unreadable(error),
    }
}

fn kind_name(kind: u32) -> &'static str {
    match kind {
        libc::S_IFDIR => "a directory",
        libc::S_IFREG => "a file",
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFIFO => "a FIFO",
        libc::S_IFSOCK => "a socket",
        _ => "a device",
    }
}
