//! A lock as a run needs it: digests to compare with, and where in the text everything else stands.

use super::canonical::Scratch;
use super::digest::Digest;
use super::excerpt::Excerpt;
use super::exempt::Exemption;
use super::fault::ItemFault;
use super::identity::{Approval, Identity};
use super::item::{self, Kind};
use super::lock::{Entry, Lock};
use super::lock_error::{LockError, LockProblem};
use super::namespace::Reaches;
use super::reader::{Part, Parts, Reader};
use crate::json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What was approved, made from a lock's text without looking into its items: ten thousand of them in a few milliseconds.
///
/// The structure and the root over all digests are checked. Whether an item in the file is the one that its digest belongs
/// to is not, since nothing is decided by it; [`EntryView::verified`] looks when somebody wants to see the item.
#[derive(Debug)]
pub struct Approved {
    text: Vec<u8>,
    origin: PathBuf,
    identity: Identity,
    approval: Approval,
    /// By kind, then by name.
    records: Vec<Record>,
    /// Where each kind's records are, by [`Kind::index`].
    kinds: [Range<usize>; 4],
    /// All names, one behind the other.
    names: String,
    by_digest: HashMap<Digest, usize>,
    namespaces: Vec<String>,
    reaches: Reaches,
}

#[derive(Debug)]
struct Record {
    name: Range<usize>,
    digest: Digest,
    optional: bool,
    exempt: Vec<Exemption>,
    /// In the text.
    item: Range<usize>,
}

/// What was approved about an item that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Judgement {
    /// It is as approved; the index is for [`Approved::entry`].
    Same(usize),
    /// One of this kind and name was approved, and it is another.
    Changed(usize),
    /// None of this kind and name was approved.
    Unknown,
}

impl Approved {
    /// Takes a lock's text. `origin` is the file's name, for messages.
    ///
    /// # Errors
    /// As [`Lock::parse`], but for what is inside the items.
    pub fn parse(text: Vec<u8>, origin: &Path) -> Result<Approved, LockError> {
        if let Some(excerpt) = Excerpt::new(&text) {
            let reader = Reader::new(&excerpt.text, origin);
            // What is wrong is told of the whole text, where lines have their numbers.
            if let Ok(parts) = reader.read() {
                let place = |part: &[u8]| {
                    let start = reader.offset(part);
                    excerpt.original(start)..excerpt.original(start + part.len())
                };
                let parts = Approved::of(parts, place);
                return Ok(parts.with(text, origin));
            }
        }
        let reader = Reader::new(&text, origin);
        let parts = reader.read()?;
        let approved = Approved::of(parts, |part| reader.offset(part)..reader.offset(part) + part.len());
        Ok(approved.with(text, origin))
    }

    fn with(self, text: Vec<u8>, origin: &Path) -> Approved {
        Approved { text, origin: origin.to_owned(), ..self }
    }

    /// Everything but the text and its origin. `place` tells where in the text an item stands.
    fn of(parts: Parts<'_>, place: impl Fn(&[u8]) -> Range<usize>) -> Approved {
        let Parts { identity, approval, entries, namespaces } = parts;
        let mut records = Vec::with_capacity(entries.len());
        let mut names = String::with_capacity(entries.iter().map(|part| part.name.len()).sum());
        let mut kinds = [const { 0..0 }; 4];
        let mut by_digest = HashMap::with_capacity(entries.len());
        let mut reaches = Reaches::default();
        namespaces.iter().for_each(|namespace| reaches.add(namespace));
        for (index, part) in entries.into_iter().enumerate() {
            let Part { kind, name, digest, optional, exempt, item } = part;
            let start = names.len();
            names.push_str(&name);
            if let Some(range) = kinds.get_mut(kind.index()) {
                *range = if range.start == range.end { index..index + 1 } else { range.start..index + 1 };
            }
            if kind == Kind::Template {
                reaches.add_template(&name);
            }
            by_digest.insert(digest, index);
            records.push(Record { name: start..names.len(), digest, optional, exempt, item: place(item.raw()) });
        }
        let (text, origin) = (Vec::new(), PathBuf::new());
        Approved { text, origin, identity, approval, records, kinds, names, by_digest, namespaces, reaches }
    }

    /// Compares an element of a list result with what was approved; for [`Kind::Server`], the result of `initialize` or
    /// `server/discover`.
    ///
    /// # Errors
    /// As [`Item::new`](super::Item::new).
    pub fn judge(&self, kind: Kind, item: Value<'_>) -> Result<Judgement, ItemFault> {
        self.judge_with(kind, item, &mut Scratch::default())
    }

    /// [`Approved::judge`] with buffers that are used again: for many items.
    ///
    /// # Errors
    /// As [`Approved::judge`].
    pub fn judge_with(&self, kind: Kind, item: Value<'_>, scratch: &mut Scratch) -> Result<Judgement, ItemFault> {
        item::with_item(kind, item, |item| {
            self.judge_from(kind, item.raw(), 0, scratch).map(|(judgement, _)| judgement)
        })
    }

    /// Judges the item that starts at an offset of a checked text; gives its end as well.
    pub(super) fn judge_from(
        &self,
        kind: Kind,
        text: &[u8],
        start: usize,
        scratch: &mut Scratch,
    ) -> Result<(Judgement, usize), ItemFault> {
        let (digest, end) = item::digest_from(kind, text, start, scratch)?;
        let name = item::scratch_name(scratch);
        // The digest covers kind and name. That an entry has the digest of another can only be in a lock that was made
        // by hand; then the name decides.
        if let Some(&index) = self.by_digest.get(&digest)
            && let Some(record) = self.records.get(index).filter(|record| record.exempt.is_empty())
            && self.is_kind(index, kind)
            && self.name(record) == name
        {
            return Ok((Judgement::Same(index), end));
        }
        let Some((index, record)) = self.find(kind, &name).and_then(|index| Some((index, self.records.get(index)?)))
        else {
            return Ok((Judgement::Unknown, end));
        };
        let digest = if record.exempt.is_empty() {
            digest
        } else {
            let item = item::reread(text.get(start..end).unwrap_or_default())?;
            item::digest(kind, item, &record.exempt, scratch)?
        };
        let same = digest == record.digest;
        Ok((if same { Judgement::Same(index) } else { Judgement::Changed(index) }, end))
    }

    /// Whether an item of this kind and name was approved.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// The index of the entry of this kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        let range = self.range(kind);
        let records = self.records.get(range.clone())?;
        records.binary_search_by(|record| self.name(record).cmp(name)).ok().map(|found| range.start + found)
    }

    /// Whether a resource may be there: in a namespace that was approved, or one that an approved template reaches.
    pub fn allows_uri(&self, uri: &str) -> bool {
        self.reaches.allow(uri)
    }

    /// Whether a namespace, as [`namespace`](fn@super::namespace) gives it for a resource, is one of those approved.
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        self.reaches.allow_namespace(namespace)
    }

    /// The program that was approved.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who approved, when, with what.
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The namespaces of resources, sorted.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// The file that it came from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// How many items were approved.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// An entry by its index, which is less than [`Approved::len`].
    pub fn entry(&self, index: usize) -> Option<EntryView<'_>> {
        let record = self.records.get(index)?;
        let kind = Kind::ALL.into_iter().find(|kind| self.is_kind(index, *kind))?;
        Some(EntryView { approved: self, record, kind })
    }

    /// All entries in order, with their indices from 0.
    pub fn entries(&self) -> impl Iterator<Item = EntryView<'_>> {
        (0..self.records.len()).filter_map(|index| self.entry(index))
    }

    fn range(&self, kind: Kind) -> Range<usize> {
        self.kinds.get(kind.index()).cloned().unwrap_or_default()
    }

    fn is_kind(&self, index: usize, kind: Kind) -> bool {
        self.range(kind).contains(&index)
    }

    fn name(&self, record: &Record) -> &str {
        self.names.get(record.name.clone()).unwrap_or_default()
    }
}

/// An entry of the lock that a run works with.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    approved: &'a Approved,
    record: &'a Record,
    kind: Kind,
}

impl<'a> EntryView<'a> {
    /// What it is.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Its name; empty for the server.
    pub fn name(self) -> &'a str {
        self.approved.name(self.record)
    }

    /// The line of the lock on which its item begins, from 1.
    pub fn line(self) -> usize {
        let before = self.approved.text.get(..self.record.item.start).unwrap_or_default();
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    /// Its digest, as the lock says.
    pub fn digest(self) -> Digest {
        self.record.digest
    }

    /// Whether it may be absent.
    pub fn optional(self) -> bool {
        self.record.optional
    }

    /// What is left out of the digest.
    pub fn exempt(self) -> &'a [Exemption] {
        &self.record.exempt
    }

    /// The whole entry, once its item is known to be what its digest says.
    ///
    /// # Errors
    /// The item in the file was edited.
    pub fn verified(self) -> Result<Entry, LockError> {
        let approved = self.approved;
        let at = self.record.item.start;
        let text = approved.text.get(self.record.item.clone()).unwrap_or_default();
        let fail = |problem| LockError::at(&approved.origin, &approved.text, at, problem);
        let edited = || fail(LockProblem::ItemEdited { kind: self.kind, name: self.name().to_owned() });
        let part = Part {
            kind: self.kind,
            name: self.name().into(),
            digest: self.record.digest,
            optional: self.record.optional,
            exempt: self.record.exempt.clone(),
            item: item::reread(text).map_err(|_| edited())?,
        };
        part.verified().map_err(fail)
    }
}

impl Lock {
    /// What a run would make of this lock.
    ///
    /// # Errors
    /// The lock has two entries of the same kind and name, or something else that cannot be read back.
    pub fn approved(&self, origin: &Path) -> Result<Approved, LockError> {
        Approved::parse(self.to_bytes(), origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Tree, lock, value};
    use crate::catalog::{Exemption, Varies};
    use std::collections::BTreeMap;

    const ORIGIN: &str = "/locks/x.lock.json";

    fn tool(name: &str, description: &str) -> ((Kind, String), Tree) {
        let item = Tree::map([("name", Tree::text(name)), ("description", Tree::text(description))]);
        ((Kind::Tool, name.to_owned()), item)
    }

    fn three() -> Lock {
        let template = Tree::map([("uriTemplate", Tree::text("file:///{path}")), ("name", Tree::text("b"))]);
        let template = ((Kind::Template, "file:///{path}".to_owned()), template);
        lock(&BTreeMap::from([tool("b", "two"), tool("ä\"", "one"), template]), 0)
    }

    #[test]
    fn judged_by_kind_and_name() {
        let approved = three().approved(Path::new(ORIGIN)).unwrap();
        let judge = |kind, text: &str| approved.judge(kind, value(text)).unwrap();
        assert_eq!(judge(Kind::Tool, r#"{"description":"two","name":"b"}"#), Judgement::Same(0));
        assert_eq!(judge(Kind::Tool, r#"{"description":"one","name":"\u00e4\""}"#), Judgement::Same(1));
        assert_eq!(judge(Kind::Tool, r#"{"description":"two ","name":"b"}"#), Judgement::Changed(0));
        assert_eq!(judge(Kind::Tool, r#"{"description":"two","name":"B"}"#), Judgement::Unknown);
        assert_eq!(judge(Kind::Prompt, r#"{"description":"two","name":"b"}"#), Judgement::Unknown);
        assert_eq!(judge(Kind::Server, "{}"), Judgement::Unknown);
        assert!(approved.judge(Kind::Tool, value(r#"{"description":"two"}"#)).is_err());
        assert!(approved.has(Kind::Tool, "ä\"") && !approved.has(Kind::Prompt, "b") && !approved.has(Kind::Tool, ""));
        assert_eq!(approved.find(Kind::Template, "file:///{path}"), Some(2));
        assert_eq!((approved.len(), approved.is_empty()), (3, false));
        assert!(approved.entry(3).is_none());
    }

    #[test]
    fn uris_of_namespaces_and_templates() {
        let approved = three().approved(Path::new(ORIGIN)).unwrap();
        assert!(approved.allows_uri("demo://resource/7") && approved.allows_uri("file:///etc/passwd"));
        assert!(!approved.allows_uri("https://example.com") && !approved.allows_uri("file://host/x"));
    }

    /// The item is edited, its digest and so the root are as they were: what runs is what was approved, and whoever wants
    /// to see the item is told.
    #[test]
    fn an_edited_item_is_found_when_it_is_shown() {
        let text = String::from_utf8(three().to_bytes()).unwrap().replace("\"two\"", "\"harmless\"");
        let error = Lock::parse(text.as_bytes(), Path::new(ORIGIN)).unwrap_err();
        assert!(error.to_string().contains("the tool `b` is not what its `sha256` says"), "{error}");
        let line = text.lines().position(|line| line.contains("\"item\"")).unwrap() + 1;
        assert_eq!(error.place().unwrap().0, line);

        let approved = Approved::parse(text.into_bytes(), Path::new(ORIGIN)).unwrap();
        let shown = approved.entry(0).unwrap().verified().unwrap_err();
        assert_eq!((shown.place(), shown.to_string()), (error.place(), error.to_string()));
        assert!(approved.entry(1).unwrap().verified().is_ok());
        let original = value(r#"{"description":"two","name":"b"}"#);
        assert_eq!(approved.judge(Kind::Tool, original).unwrap(), Judgement::Same(0));
        let edited = value(r#"{"description":"harmless","name":"b"}"#);
        assert_eq!(approved.judge(Kind::Tool, edited).unwrap(), Judgement::Changed(0));
    }

    /// Whoever can write the file can give an entry the digest of another item, with a root that fits. Then the name
    /// decides which entry an item is compared with.
    #[test]
    fn a_digest_under_another_name_lets_nothing_in() {
        let mut lock = three();
        let b = lock.entry(Kind::Tool, "b").unwrap().clone();
        let other = lock.entries.iter_mut().find(|entry| entry.name == "ä\"").unwrap();
        other.digest = b.digest;
        let approved = lock.approved(Path::new(ORIGIN)).unwrap();
        let judge = |text: &str| approved.judge(Kind::Tool, value(text)).unwrap();
        assert_eq!(judge(r#"{"description":"two","name":"b"}"#), Judgement::Same(0));
        assert_eq!(judge(r#"{"description":"one","name":"ä\""}"#), Judgement::Changed(1));
        assert!(Lock::parse(&lock.to_bytes(), Path::new(ORIGIN)).is_err());
        // All of the other item under a name that is not its own.
        lock.entries.iter_mut().filter(|entry| entry.name == "ä\"").for_each(|entry| entry.item.clone_from(&b.item));
        let error = Lock::parse(&lock.to_bytes(), Path::new(ORIGIN)).unwrap_err();
        assert!(error.to_string().contains("the tool `ä\"` is not what its `sha256` says"), "{error}");
    }

    /// An item that looks as the approved one does without its exempted part is compared under the exemption all the same.
    #[test]
    fn an_exemption_holds_for_every_item_of_its_name() {
        let item = crate::catalog::Item::new(Kind::Tool, value(r#"{"name":"a","x":[1,2]}"#)).unwrap();
        let first = Exemption { at: "/x/0".to_owned(), rule: Varies::Any, reason: "test".to_owned() };
        let entry = Entry::new(&item, false, vec![first]).unwrap();
        let approved = Lock { entries: vec![entry], ..Lock::default() }.approved(Path::new(ORIGIN)).unwrap();
        let judge = |text: &str| approved.judge(Kind::Tool, value(text)).unwrap();
        assert_eq!(judge(r#"{"name":"a","x":["any",2]}"#), Judgement::Same(0));
        assert_eq!(judge(r#"{"name":"a","x":[2]}"#), Judgement::Changed(0));
    }

    #[test]
    fn an_exempted_entry_is_found_by_its_name() {
        let mut lock = three();
        let entry = lock.entries.iter_mut().find(|entry| entry.name == "b").unwrap();
        let item = crate::catalog::Item { kind: entry.kind, name: entry.name.clone(), text: entry.item.clone() };
        let any = Exemption { at: "/description".to_owned(), rule: Varies::Any, reason: "test".to_owned() };
        *entry = Entry::new(&item, true, vec![any]).unwrap();
        let approved = lock.approved(Path::new(ORIGIN)).unwrap();
        let judge = |text: &str| approved.judge(Kind::Tool, value(text)).unwrap();
        for same in
            [r#"{"description":"other","name":"b"}"#, r#"{"name":"b"}"#, r#"{"description":{"x":1},"name":"b"}"#]
        {
            assert_eq!(judge(same), Judgement::Same(0), "{same}");
        }
        assert_eq!(judge(r#"{"name":"b","title":"x"}"#), Judgement::Changed(0));
        let view = approved.entry(0).unwrap();
        assert!(view.optional() && view.exempt().len() == 1 && view.kind() == Kind::Tool);
    }

    /// A text that has two readings: with the inside of its item it has two entries, without it one. Whichever root it
    /// has, one of the readings is refused, and the two never differ in what they let pass.
    #[test]
    fn a_text_with_two_readings() {
        let one = lock(&BTreeMap::from([tool("a", "x")]), 0);
        let two = lock(&BTreeMap::from([tool("a", "x"), tool("b", "y")]), 0);
        let digest = |lock: &Lock, name: &str| lock.entry(Kind::Tool, name).unwrap().digest.to_string();
        let crafted = |root: String| {
            let text = String::from_utf8(one.to_bytes()).unwrap();
            let (head, tail) = text.split_once("      \"item\": {\n").unwrap();
            let (_, tail) = tail.split_once("\n      }").unwrap();
            let inside = format!(
                "\"name\":\"a\",\"description\":\"x\"}}}},{{\"name\":\"b\",\"sha256\":\"{}\",\"item\":{{\"name\":\"b\",\"description\":\"y\"",
                digest(&two, "b")
            );
            format!("{head}      \"item\": {{\n{inside}\n      }}{tail}").replace(&one.root().to_string(), &root)
        };
        let text = crafted(one.root().to_string());
        assert!(
            Lock::parse(text.as_bytes(), Path::new(ORIGIN)).unwrap_err().to_string().contains("`root` does not match")
        );
        let approved = Approved::parse(text.into_bytes(), Path::new(ORIGIN)).unwrap();
        assert!(!approved.has(Kind::Tool, "b") && approved.entry(0).unwrap().verified().is_err());

        let text = crafted(two.root().to_string());
        assert_eq!(Lock::parse(text.as_bytes(), Path::new(ORIGIN)).unwrap(), two);
        let approved = Approved::parse(text.into_bytes(), Path::new(ORIGIN)).unwrap();
        assert!(approved.has(Kind::Tool, "b") && approved.entries().all(|entry| entry.verified().is_ok()));
    }
}
