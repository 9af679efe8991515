//! Keeps what a running session met and refused, so that it can be looked at and approved afterwards.

use crate::catalog::{Drift, Item, Kind, LockError, Replace, load, save};
use crate::json;
use std::path::{Path, PathBuf};

/// Where a session's differences are kept: a JSON array of objects with `kind`, `name` and `item`.
#[derive(Debug, Clone)]
pub struct Record(PathBuf);

impl Record {
    /// A record at this path.
    pub fn new(path: PathBuf) -> Record {
        Record(path)
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is kept. A record that is none of this program's making is nothing: what it would tell is met again.
    pub fn read(&self) -> Vec<Item> {
        let text = load(&self.0).ok().flatten().unwrap_or_default();
        let Ok(checked) = json::check(&text) else { return Vec::new() };
        let item = |entry: json::Value<'_>| {
            let kind = entry.get("kind")?.str()?;
            let kind = Kind::ALL.into_iter().find(|known| word(*known) == kind)?;
            Item::new(kind, entry.get("item")?).ok()
        };
        checked.root.elements().filter_map(item).collect()
    }

    /// Writes every item that was seen in another form than the approved one, or for the first time.
    pub(super) fn write(&self, drift: &Drift) -> Result<(), LockError> {
        let mut text = vec![b'['];
        for change in &drift.changes {
            let (Some(kind), Some(item)) = (change.subject.kind(), &change.after) else { continue };
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(b"\n{\"kind\":");
            json::quote(word(kind), &mut text);
            text.extend_from_slice(b",\"name\":");
            json::quote(&change.name, &mut text);
            text.extend_from_slice(b",\"item\":");
            text.extend_from_slice(item);
            text.push(b'}');
        }
        text.extend_from_slice(b"\n]\n");
        save(&self.0, &text, Replace::Yes).map(|_| ())
    }
}

/// The kind as the record spells it.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "server",
        Kind::Tool => "tool",
        Kind::Prompt => "prompt",
        Kind::Template => "resource-template",
    }
}
