//! The difference between what was approved and what a server publishes.

use super::approved::EntryView;
use super::edit::{Edit, EditKind, Scope, Severity};
use super::edits::{Detail, edits};
use super::exempt::Exemption;
use super::identity::{FilePin, Identity, PackagePin};
use super::item::{Item, Kind, body_digest, comparable, reread};
use crate::json;
use std::collections::BTreeMap;
use std::fmt;

/// Everything in which a catalog, or the program, is not what was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// By subject, then by name.
    pub changes: Vec<Change>,
}

/// One thing that is not as approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub subject: Subject,
    /// Its name as received: of a tool, a prompt, a template's URI template, a namespace; empty for server and identity.
    pub name: String,
    /// What happened to it.
    pub what: What,
    /// What differs inside, in the order of the item's members. All of a new item is in here, nothing of one that is gone.
    pub edits: Vec<Edit>,
    /// All of it as approved, canonical JSON.
    pub before: Option<Vec<u8>>,
    /// All of it as received, canonical JSON.
    pub after: Option<Vec<u8>>,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The program.
    Identity,
    /// What the server says of itself.
    Server,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
    /// Where resources live.
    Namespace,
}

/// What happened to a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was not approved.
    Added,
    /// It was approved and is gone.
    Removed,
    /// It was approved under another name; nothing else differs.
    Renamed {
        /// The name that was approved.
        from: String,
    },
    /// It is another.
    Changed,
}

impl Drift {
    /// Whether everything is as approved.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    /// The gravest of its edits. Whatever is new is grave; what is gone or only has another name is not.
    pub fn severity(&self) -> Severity {
        match self.what {
            What::Added => Severity::Danger,
            What::Removed => Severity::Notice,
            // A name is read by models too, and decides which tool they take.
            What::Renamed { .. } => Severity::Danger,
            What::Changed => self.edits.iter().map(|edit| edit.severity).max().unwrap_or(Severity::Danger),
        }
    }

    /// A namespace that was not approved.
    pub(super) fn namespace(name: String) -> Change {
        let subject = Subject::Namespace;
        Change { subject, name, what: What::Added, edits: Vec::new(), before: None, after: None }
    }
}

impl Subject {
    /// The kind of item, where it is one.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Subject::Server => Some(Kind::Server),
            Subject::Tool => Some(Kind::Tool),
            Subject::Prompt => Some(Kind::Prompt),
            Subject::Template => Some(Kind::Template),
            Subject::Identity | Subject::Namespace => None,
        }
    }
}

impl From<Kind> for Subject {
    fn from(kind: Kind) -> Subject {
        match kind {
            Kind::Server => Subject::Server,
            Kind::Tool => Subject::Tool,
            Kind::Prompt => Subject::Prompt,
            Kind::Template => Subject::Template,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Subject::Identity => "program",
            Subject::Server => "server",
            Subject::Tool => "tool",
            Subject::Prompt => "prompt",
            Subject::Template => "resource template",
            Subject::Namespace => "resource namespace",
        })
    }
}

/// Differences of all items together that are told in detail. Items that come after are compared by their members.
const MOST_TOLD: usize = 50_000;

/// Counts what has been told, so that no catalog makes the telling long out of all proportion.
#[derive(Debug, Default)]
pub(super) struct Teller {
    told: usize,
}

impl Teller {
    fn edits(&mut self, kind: Kind, before: &[u8], after: &[u8]) -> Vec<Edit> {
        let detail = if self.told < MOST_TOLD { Detail::Fine } else { Detail::Coarse };
        let edits = edits(kind, before, after, detail);
        self.told += edits.len();
        edits
    }
}

/// An item that is not what was approved under its name.
pub(super) fn changed(entry: EntryView<'_>, item: Item, teller: &mut Teller) -> Change {
    let (subject, exempt) = (Subject::from(item.kind), entry.exempt());
    let (before, edits) = match entry.verified() {
        Ok(approved) => {
            let mut compare = |exempt: &[Exemption]| {
                let form = |text: &[u8]| reread(text).and_then(|value| comparable(item.kind, value, exempt));
                match (form(&approved.item), form(&item.text)) {
                    (Ok(before), Ok(after)) => teller.edits(item.kind, &before, &after),
                    _ => Vec::new(),
                }
            };
            let mut edits = compare(exempt);
            if edits.is_empty() {
                // The server wrote what stands for a part that varies.
                edits = compare(&[]);
            }
            (Some(approved.item), edits)
        }
        // The item in the lock is not the one that was approved, so it is not shown as if it were.
        Err(_) => {
            let kind = EditKind::ApprovedUnreadable;
            let (at, field) = (String::new(), String::new());
            let severity = kind.severity(None);
            (None, vec![Edit { at, scope: Scope::Item, field, kind, severity, before: None, after: None }])
        }
    };
    Change { subject, name: item.name, what: What::Changed, edits, before, after: Some(item.text) }
}

/// Items that were not approved and such that did not come. One of each with nothing but the name different is one item
/// under a new name.
pub(super) fn added_and_removed(added: Vec<Item>, removed: Vec<EntryView<'_>>, teller: &mut Teller) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut gone: BTreeMap<(Kind, super::Digest), Vec<usize>> = BTreeMap::new();
    let mut missing: Vec<Option<(EntryView<'_>, Option<Vec<u8>>)>> = Vec::new();
    for entry in removed {
        let before = entry.verified().ok().map(|entry| entry.item);
        let body = before
            .as_ref()
            .filter(|_| !added.is_empty())
            .and_then(|text| reread(text).and_then(|value| body_digest(entry.kind(), value)).ok());
        if let Some(body) = body {
            gone.entry((entry.kind(), body)).or_default().push(missing.len());
        }
        missing.push(Some((entry, before)));
    }
    // From the end of each list names are taken, so the lists run backwards.
    gone.values_mut().for_each(|indices| indices.reverse());
    for Item { kind, name, text } in added {
        let body = if gone.is_empty() { None } else { reread(&text).and_then(|value| body_digest(kind, value)).ok() };
        let twin = body.and_then(|body| gone.get_mut(&(kind, body))).and_then(Vec::pop);
        let twin = twin.and_then(|index| missing.get_mut(index)).and_then(Option::take);
        let (what, before, edits) = match twin {
            Some((entry, before)) => (What::Renamed { from: entry.name().to_owned() }, before, Vec::new()),
            None => {
                let form = reread(&text).and_then(|value| comparable(kind, value, &[])).unwrap_or_default();
                let mut edits = teller.edits(kind, b"{}", &form);
                edits.retain(|edit| Some(edit.field.as_str()) != kind.key() || edit.scope != Scope::Item);
                (What::Added, None, edits)
            }
        };
        changes.push(Change { subject: kind.into(), name, what, edits, before, after: Some(text) });
    }
    for (entry, before) in missing.into_iter().flatten() {
        let (subject, name) = (entry.kind().into(), entry.name().to_owned());
        changes.push(Change { subject, name, what: What::Removed, edits: Vec::new(), before, after: None });
    }
    changes
}

/// A program that is not the one that was approved.
pub(super) fn identity(before: &Identity, after: &Identity) -> Change {
    let (before, after) = (identity_text(before), identity_text(after));
    // A server's members are compared by no rules of their own, as these are.
    let edits = edits(Kind::Server, &before, &after, Detail::Fine);
    Change {
        subject: Subject::Identity,
        name: String::new(),
        what: What::Changed,
        edits,
        before: Some(before),
        after: Some(after),
    }
}

/// What is said of a program where its package has the same name and version as before, and other files.
pub(super) const OTHER_FILES: &str = "the same release of its package, with other files";

/// Whether a program's package is the same release with other files.
pub(super) fn same_release(edits: &[Edit]) -> bool {
    let at = |pointer: &str| edits.iter().any(|edit| edit.at == pointer);
    at("/package/tree") && !at("/package/release")
}

/// An identity as canonical JSON, as in a lock but for a package's name, which is not repeated in the command.
fn identity_text(identity: &Identity) -> Vec<u8> {
    let Identity { command, entry, interpreter, package } = identity;
    let mut text = b"{\"command\":[".to_vec();
    // a package stands in the command too, and is told once
    let twice = package.as_ref().is_some_and(|package| command.first() == Some(&package.release));
    for (index, word) in command.iter().skip(usize::from(twice)).enumerate() {
        if index > 0 {
            text.push(b',');
        }
        json::quote(word, &mut text);
    }
    text.push(b']');
    for (key, file) in [("entry", entry), ("interpreter", interpreter)] {
        if let Some(FilePin { path, sha256 }) = file {
            text.extend_from_slice(format!(",\"{key}\":{{\"path\":").as_bytes());
            json::quote(path, &mut text);
            text.extend_from_slice(format!(",\"sha256\":\"{sha256}\"}}").as_bytes());
        }
    }
    if let Some(PackagePin { release, tree }) = package {
        text.extend_from_slice(b",\"package\":{\"release\":");
        json::quote(release, &mut text);
        text.extend_from_slice(format!(",\"tree\":\"{tree}\"}}").as_bytes());
    }
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{approval, identity as program, value};
    use crate::catalog::{Approved, Catalog, Comparison, Digest, Lock};
    use std::path::Path;

    fn lock(tools: &str) -> Lock {
        let mut catalog = Catalog::default();
        value(tools).elements().for_each(|tool| catalog.add(Kind::Tool, tool).unwrap());
        Lock::new(program(), approval(), &catalog).unwrap()
    }

    fn changes(approved: &Approved, tools: &str) -> Vec<Change> {
        let mut comparison = Comparison::new(approved);
        comparison.list(Kind::Tool, value(tools)).unwrap();
        comparison.finish().changes
    }

    #[test]
    fn a_new_name_alone_is_a_renaming() {
        let approved =
            lock(r#"[{"name":"a","x":1},{"name":"b","x":1},{"name":"c","x":2}]"#).approved(Path::new("x")).unwrap();
        let found = changes(&approved, r#"[{"name":"z","x":1},{"name":"y","x":1},{"name":"x","x":3}]"#);
        let what: Vec<(&str, &What)> = found.iter().map(|change| (change.name.as_str(), &change.what)).collect();
        let from = |name: &str| What::Renamed { from: name.to_owned() };
        assert_eq!(what, [("c", &What::Removed), ("x", &What::Added), ("y", &from("a")), ("z", &from("b")),]);
        assert!(found[2].before.is_some() && found[2].after.is_some());
        assert_eq!(found[2].severity(), Severity::Danger);
        assert_eq!(found[0].severity(), Severity::Notice);
    }

    #[test]
    fn a_lock_with_an_edited_item_shows_no_false_before() {
        let text = String::from_utf8(lock(r#"[{"name":"a","description":"evil"}]"#).to_bytes()).unwrap();
        let edited = text.replace("\"evil\"", "\"good\"").into_bytes();
        let approved = Approved::parse(edited, Path::new("x")).unwrap();
        let found = changes(&approved, r#"[{"name":"a","description":"other"}]"#);
        assert_eq!(found[0].edits[0].kind, EditKind::ApprovedUnreadable);
        assert_eq!((found[0].before.as_ref(), found[0].severity()), (None, Severity::Danger));
        let found = changes(&approved, "[]");
        assert_eq!((&found[0].what, found[0].before.as_ref()), (&What::Removed, None));
    }

    #[test]
    fn exempted_parts_are_no_edits() {
        let mut lock = lock(r#"[{"name":"a","description":"at 10:30 today","x":1}]"#);
        let item = Item { kind: Kind::Tool, name: "a".to_owned(), text: lock.entries[0].item.clone() };
        let other = value(r#"{"name":"a","description":"at 11:45 today","x":1}"#);
        let exempt = crate::catalog::propose(Kind::Tool, reread(&item.text).unwrap(), other);
        lock.entries[0] = crate::catalog::Entry::new(&item, false, exempt).unwrap();
        let approved = lock.approved(Path::new("x")).unwrap();
        assert!(changes(&approved, r#"[{"name":"a","description":"at 09:00 today","x":1}]"#).is_empty());
        let found = changes(&approved, r#"[{"name":"a","description":"at 09:00 today","x":2}]"#);
        assert_eq!(found[0].edits.iter().map(|edit| edit.at.as_str()).collect::<Vec<_>>(), ["/x"]);
        let found = changes(&approved, r#"[{"name":"a","description":"at 9 or so today","x":1}]"#);
        assert_eq!(found[0].edits.iter().map(|edit| edit.at.as_str()).collect::<Vec<_>>(), ["/description"]);
        let found = changes(&approved, r#"[{"name":"a","description":"at <varies> today","x":1}]"#);
        assert_eq!(found[0].edits.len(), 1, "the placeholder itself is no time");
    }

    #[test]
    fn very_many_differences_are_told_coarsely() {
        let tools = |value: u8| {
            let leaves = (0..900).map(|leaf| format!("\"l{leaf}\":{value}")).collect::<Vec<_>>().join(",");
            let tool = |index| format!("{{\"name\":\"t{index}\",\"x\":{{{leaves}}}}}");
            format!("[{}]", (0..100).map(tool).collect::<Vec<_>>().join(","))
        };
        let approved = lock(&tools(1)).approved(Path::new("x")).unwrap();
        let found = changes(&approved, &tools(2));
        assert_eq!(found.len(), 100);
        assert!(found.iter().all(|change| !change.edits.is_empty()));
        let told: usize = found.iter().map(|change| change.edits.len()).sum();
        assert!((MOST_TOLD..MOST_TOLD + 2000).contains(&told), "{told}");
    }

    #[test]
    fn another_package_is_told_by_its_name_and_once() {
        let with = |release: &str, files: &str| Identity {
            command: vec![release.to_owned(), "~/notes".to_owned()],
            entry: None,
            interpreter: None,
            package: Some(PackagePin { release: release.to_owned(), tree: Digest::of_bytes(files.as_bytes()) }),
        };
        let told = |before: &Identity, after: &Identity| {
            let change = identity(before, after);
            let at: Vec<String> = change.edits.iter().map(|edit| edit.at.clone()).collect();
            let drift = Drift { changes: vec![change] };
            (at.join(" "), drift.short(), drift.text(false))
        };
        let (old, new, other) = (with("npm:@a/x@1.0.0", "1"), with("npm:@a/x@2.0.0", "2"), with("npm:@a/x@1.0.0", "2"));
        let (at, short, text) = told(&old, &new);
        assert_eq!(at, "/package/release /package/tree");
        assert!(short.contains("`npm:@a/x@1.0.0` → `npm:@a/x@2.0.0`"), "{short}");
        assert!(text.contains("npm:@a/x@1.0.0") && text.contains("npm:@a/x@2.0.0"), "{text}");
        let (at, short, text) = told(&old, &other);
        assert_eq!(at, "/package/tree");
        assert!(short.contains(OTHER_FILES) && text.contains(OTHER_FILES), "{short}\n{text}");
        // a command that became a package, and the other way round
        let (at, short, _) = told(&program(), &old);
        assert!(at.contains("/package") && at.contains("/command"), "{at}");
        assert!(short.contains("program"), "{short}");
        // what could be read as a sentence is not repeated to a model
        let evil = with("npm:x@1 please ignore", "1");
        assert!(!told(&old, &evil).1.contains("ignore"));
    }

    #[test]
    fn another_program() {
        let mut now = program();
        if let Some(entry) = &mut now.entry {
            entry.sha256 = Digest::of_bytes(b"other");
        }
        let change = identity(&program(), &now);
        assert_eq!(change.edits.iter().map(|edit| edit.at.as_str()).collect::<Vec<_>>(), ["/entry/sha256"]);
        let gone = identity(&program(), &Identity { interpreter: None, ..program() });
        assert_eq!(gone.edits[0].at, "/interpreter");
    }
}
