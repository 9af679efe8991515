//! Keeps what a running session met and refused, so that it can be looked at and approved afterwards.

use crate::catalog::{Drift, Item, Kind, LockError, Replace, Subject, What, load, save};
use crate::json;
use std::path::{Path, PathBuf};

/// Where a session's differences are kept: a JSON array of objects with `kind`, `name` and `item`. What was approved and
/// not there has no `item`, and neither has a namespace of resources.
#[derive(Debug, Clone)]
pub struct Record(PathBuf);

/// What sessions met that is not as approved.
#[derive(Debug, Default)]
pub struct Met {
    /// Items in another form than the approved one, or that nobody has approved.
    pub items: Vec<Item>,
    /// Approved items that were not there, by kind and name.
    pub absent: Vec<(Kind, String)>,
    /// Namespaces of resources that nobody has approved.
    pub namespaces: Vec<String>,
}

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
    pub fn read(&self) -> Met {
        let mut met = Met::default();
        let text = load(&self.0).ok().flatten().unwrap_or_default();
        let Ok(checked) = json::check(&text) else { return met };
        for entry in checked.root.elements() {
            let text = |key: &str| entry.get(key).and_then(json::Value::str);
            let (Some(kind), Some(name)) = (text("kind"), text("name")) else { continue };
            match (Kind::ALL.into_iter().find(|known| word(*known) == kind), entry.get("item")) {
                (Some(kind), Some(item)) => met.items.extend(Item::new(kind, item).ok()),
                (Some(kind), None) => met.absent.push((kind, name.into_owned())),
                (None, _) if kind == NAMESPACE => met.namespaces.push(name.into_owned()),
                (None, _) => {}
            }
        }
        met
    }

    /// Writes what differs, but for the program itself: an approval sees that without a record.
    pub(super) fn write(&self, drift: &Drift) -> Result<(), LockError> {
        let mut text = vec![b'['];
        for change in &drift.changes {
            match (change.subject, change.subject.kind(), &change.what) {
                (_, Some(kind), What::Removed) => entry(&mut text, word(kind), &change.name, None),
                (_, Some(kind), what) => {
                    if let What::Renamed { from } = what {
                        entry(&mut text, word(kind), from, None);
                    }
                    if let Some(item) = &change.after {
                        entry(&mut text, word(kind), &change.name, Some(item));
                    }
                }
                (Subject::Namespace, None, What::Added) => entry(&mut text, NAMESPACE, &change.name, None),
                (_, None, _) => {}
            }
        }
        text.extend_from_slice(b"\n]\n");
        save(&self.0, &text, Replace::Yes).map(|_| ())
    }
}

/// Adds an object to the array.
fn entry(text: &mut Vec<u8>, kind: &str, name: &str, item: Option<&[u8]>) {
    if text.len() > 1 {
        text.push(b',');
    }
    text.extend_from_slice(b"\n{\"kind\":");
    json::quote(kind, text);
    text.extend_from_slice(b",\"name\":");
    json::quote(name, text);
    if let Some(item) = item {
        text.extend_from_slice(b",\"item\":");
        text.extend_from_slice(item);
    }
    text.push(b'}');
}

/// A namespace of resources as the record spells it.
const NAMESPACE: &str = "resource-namespace";

/// The kind as the record spells it.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Server => "server",
        Kind::Tool => "tool",
        Kind::Prompt => "prompt",
        Kind::Template => "resource-template",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Change;

    #[test]
    fn what_a_session_met_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record::new(directory.path().join("r.json"));
        assert!(record.read().items.is_empty(), "without a file nothing was met");
        let change = |subject, name: &str, what, after: Option<&str>| Change {
            subject,
            name: name.to_owned(),
            what,
            edits: Vec::new(),
            before: None,
            after: after.map(|text| text.as_bytes().to_vec()),
        };
        let changes = vec![
            change(Subject::Identity, "", What::Changed, None),
            change(Subject::Tool, "new", What::Added, Some(r#"{"name":"new"}"#)),
            change(Subject::Tool, "go\"ne", What::Removed, None),
            change(Subject::Prompt, "b", What::Renamed { from: "a".to_owned() }, Some(r#"{"name":"b"}"#)),
            change(Subject::Namespace, "x://y", What::Added, None),
            change(Subject::Namespace, "x://gone", What::Removed, None),
        ];
        record.write(&Drift { changes }).unwrap();
        let met = record.read();
        let items: Vec<_> = met.items.iter().map(|item| (item.kind, item.name.as_str())).collect();
        assert_eq!(items, [(Kind::Tool, "new"), (Kind::Prompt, "b")]);
        assert_eq!(met.absent, [(Kind::Tool, "go\"ne".to_owned()), (Kind::Prompt, "a".to_owned())]);
        assert_eq!(met.namespaces, ["x://y"]);
        std::fs::write(record.path(), "[{\"kind\":\"tool\"},{\"kind\":1,\"name\":\"x\"},7").unwrap();
        assert!(record.read().absent.is_empty());
    }
}
