//! One walk of a catalog against what was approved.

use super::approved::{Approved, Judgement};
use super::canonical::Scratch;
use super::drift::{self, Change, Drift};
use super::fault::ItemFault;
use super::identity::Identity;
use super::item::{Item, Kind, reread};
use super::model::resource_namespace;
use crate::json::{self, Value};
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::Range;
use std::thread;

/// From so many bytes on a list is judged by two threads.
const LARGE: usize = 256 << 10;

/// An element of a list, and where it stands.
type Judged = (Judgement, Range<usize>);

/// Judges the elements of a list from an offset on to the end of the text or the list.
fn judge_all(
    approved: &Approved,
    kind: Kind,
    text: &[u8],
    mut at: usize,
    scratch: &mut Scratch,
) -> Result<Vec<Judged>, ItemFault> {
    let mut judged = Vec::new();
    while text.get(at).is_some_and(|byte| *byte != b']') {
        let (judgement, end) = approved.judge_from(kind, text, at, scratch)?;
        judged.push((judgement, at..end));
        // Behind an element comes a comma or the closing bracket.
        at = after_space(text, end);
        if text.get(at) == Some(&b',') {
            at = after_space(text, at + 1);
        }
    }
    Ok(judged)
}

/// Where a part of a text begins in it.
fn offset_in(text: &[u8], part: Value<'_>) -> usize {
    (part.raw().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// Takes items as they come and keeps those that differ.
///
/// ```text
/// new ─► item, item, … resource, … ─► finish ─► Drift
///          ▲  └ restart(kind): a list is walked again
/// ```
#[derive(Debug)]
pub struct Comparison<'a> {
    approved: &'a Approved,
    kinds: Vec<Kind>,
    /// By index of the entry.
    seen: Vec<bool>,
    changed: BTreeMap<usize, Item>,
    added: BTreeMap<(Kind, String), Item>,
    namespaces: BTreeSet<String>,
    identity: Option<Identity>,
    scratch: Scratch,
}

impl<'a> Comparison<'a> {
    /// A comparison of a whole catalog: whatever was approved and does not come is missing.
    pub fn new(approved: &'a Approved) -> Self {
        Self::of(approved, &Kind::ALL)
    }

    /// A comparison of some kinds: of the others, nothing is missing.
    pub fn of(approved: &'a Approved, kinds: &[Kind]) -> Self {
        Self {
            approved,
            kinds: kinds.to_vec(),
            seen: vec![false; approved.len()],
            changed: BTreeMap::new(),
            added: BTreeMap::new(),
            namespaces: BTreeSet::new(),
            identity: None,
            scratch: Scratch::default(),
        }
    }

    /// Takes an element of a list result, or for [`Kind::Server`] the result of `initialize` or `server/discover`.
    ///
    /// # Errors
    /// As [`Item::new`], and an item of a kind and name that came before.
    pub fn item(&mut self, kind: Kind, value: Value<'_>) -> Result<Judgement, ItemFault> {
        let judgement = self.approved.judge_with(kind, value, &mut self.scratch)?;
        self.note(kind, judgement, || Item::new(kind, value))
    }

    /// Takes all elements of a list, such as a result's `tools`, in one pass over its text: the fast way for many. Gives
    /// their number.
    ///
    /// # Errors
    /// As [`Comparison::item`], and a value that is no list.
    pub fn list(&mut self, kind: Kind, list: Value<'_>) -> Result<usize, ItemFault> {
        let text = list.raw();
        if list.kind() != json::Kind::Array {
            return Err(ItemFault::NotAList { kind });
        }
        let approved = self.approved;
        // Half of a large list is judged on a thread of its own; the host waits for it.
        let middle = match text.len() < LARGE {
            true => None,
            false => list.elements().map(|element| offset_in(text, element)).find(|at| *at > text.len() / 2),
        };
        let judged = match middle {
            None => judge_all(approved, kind, text, after_space(text, 1), &mut self.scratch)?,
            Some(middle) => self.halves(kind, text, middle)?,
        };
        let count = judged.len();
        for (judgement, place) in judged {
            let item = text.get(place).unwrap_or_default();
            let _noted = self.note(kind, judgement, || Item::new(kind, reread(item)?))?;
        }
        Ok(count)
    }

    /// Judges a list by two threads, the second from `middle` on, where an element begins.
    fn halves(&mut self, kind: Kind, text: &[u8], middle: usize) -> Result<Vec<Judged>, ItemFault> {
        let approved = self.approved;
        let (first, second) = thread::scope(|scope| {
            let second = || judge_all(approved, kind, text, middle, &mut Scratch::default());
            let second = thread::Builder::new().spawn_scoped(scope, second);
            let half = text.get(..middle).unwrap_or(text);
            let first = judge_all(approved, kind, half, after_space(half, 1), &mut self.scratch);
            (first, second.map(|thread| thread.join()))
        });
        let second = match second {
            Ok(Ok(judged)) => judged,
            // No thread is to be had: the rest is judged here.
            _ => judge_all(approved, kind, text, middle, &mut self.scratch),
        };
        let mut judged = first?;
        judged.append(&mut second?);
        Ok(judged)
    }

    /// Keeps in mind that an item came, and the item itself where it differs.
    fn note(
        &mut self,
        kind: Kind,
        judgement: Judgement,
        item: impl FnOnce() -> Result<Item, ItemFault>,
    ) -> Result<Judgement, ItemFault> {
        if let Judgement::Same(index) | Judgement::Changed(index) = judgement {
            match self.seen.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    let name = self.approved.entry(index).map(|entry| entry.name().to_owned()).unwrap_or_default();
                    return Err(ItemFault::Duplicate { kind, name });
                }
            }
        }
        match judgement {
            Judgement::Same(_) => {}
            Judgement::Changed(index) => {
                self.changed.insert(index, item()?);
            }
            Judgement::Unknown => {
                let item = item()?;
                match self.added.entry((kind, item.name.clone())) {
                    btree_map::Entry::Vacant(place) => {
                        place.insert(item);
                    }
                    btree_map::Entry::Occupied(_) => return Err(ItemFault::Duplicate { kind, name: item.name }),
                }
            }
        }
        Ok(judgement)
    }

    /// Takes an element of a list of resources; says whether it is where resources were approved to be.
    ///
    /// # Errors
    /// No object, or no `uri` that has a namespace.
    pub fn resource(&mut self, value: Value<'_>) -> Result<bool, ItemFault> {
        let namespace = resource_namespace(value)?;
        Ok(self.namespace(&namespace))
    }

    /// Takes a namespace, as a [`Catalog`](super::Catalog) keeps those of its resources; says whether it was approved.
    pub fn namespace(&mut self, namespace: &str) -> bool {
        let allowed = self.approved.allows_namespace(namespace);
        if !allowed {
            self.namespaces.insert(namespace.to_owned());
        }
        allowed
    }

    /// Compares the program that runs with the one that was approved.
    pub fn identity(&mut self, identity: &Identity) {
        self.identity = Some(identity.clone()).filter(|identity| identity != self.approved.identity());
    }

    /// Forgets what came of a kind: its list is walked again.
    pub fn restart(&mut self, kind: Kind) {
        for (index, _) in self.approved.entries().enumerate().filter(|(_, entry)| entry.kind() == kind) {
            if let Some(seen) = self.seen.get_mut(index) {
                *seen = false;
            }
            self.changed.remove(&index);
        }
        self.added.retain(|(of, _), _| *of != kind);
    }

    /// What differs from what was approved.
    pub fn finish(self) -> Drift {
        let Comparison { approved, kinds, seen, changed, added, namespaces, identity, scratch: _ } = self;
        let (mut changes, mut teller) = (Vec::new(), drift::Teller::default());
        if let Some(now) = identity {
            changes.push(drift::identity(approved.identity(), &now));
        }
        for (index, item) in changed {
            changes.extend(approved.entry(index).map(|entry| drift::changed(entry, item, &mut teller)));
        }
        let missing = approved
            .entries()
            .zip(seen)
            .filter(|(entry, seen)| !seen && !entry.optional() && kinds.contains(&entry.kind()));
        let removed = missing.map(|(entry, _)| entry).collect();
        changes.extend(drift::added_and_removed(added.into_values().collect(), removed, &mut teller));
        changes.extend(namespaces.into_iter().map(Change::namespace));
        changes.sort_by(|a, b| (a.subject, &a.name).cmp(&(b.subject, &b.name)));
        Drift { changes }
    }
}

/// The first offset from `at` on that is no white space.
fn after_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{Tree, identity, lock, value};
    use crate::catalog::{Subject, What, server_item};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn approved(names: &[&str]) -> Approved {
        let tool = |name: &&str| ((Kind::Tool, (*name).to_owned()), Tree::map([("name", Tree::text(name))]));
        lock(&names.iter().map(tool).collect::<BTreeMap<_, _>>(), 0).approved(Path::new("x")).unwrap()
    }

    fn drift(comparison: Comparison<'_>) -> Vec<String> {
        let what = |change: Change| match change.what {
            What::Added => format!("+{}", change.name),
            What::Removed => format!("-{}", change.name),
            What::Renamed { from } => format!("{from}>{}", change.name),
            What::Changed => format!("~{}", change.name),
        };
        comparison.finish().changes.into_iter().map(what).collect()
    }

    #[test]
    fn what_comes_twice_is_refused() {
        let approved = approved(&["a"]);
        for (first, second) in [
            (r#"{"name":"a"}"#, r#"{"name":"a"}"#),
            (r#"{"name":"a"}"#, r#"{"name":"a","x":1}"#),
            (r#"{"name":"a","x":1}"#, r#"{"name":"a"}"#),
            (r#"{"name":"new"}"#, r#"{"name":"n\u0065w","x":1}"#),
        ] {
            let mut one = Comparison::new(&approved);
            let _judged = one.item(Kind::Tool, value(first)).unwrap();
            assert!(matches!(one.item(Kind::Tool, value(second)), Err(ItemFault::Duplicate { .. })), "{second}");
            let mut two = Comparison::new(&approved);
            let list = format!("[{first},{second}]");
            assert!(matches!(two.list(Kind::Tool, value(&list)), Err(ItemFault::Duplicate { .. })));
        }
        let mut server = Comparison::new(&approved);
        let _judged = server.item(Kind::Server, value("{}")).unwrap();
        assert!(server.item(Kind::Server, value("{}")).is_err());
    }

    #[test]
    fn a_list_that_is_walked_again_is_forgotten() {
        let approved = approved(&["a", "b"]);
        let mut comparison = Comparison::new(&approved);
        comparison.list(Kind::Tool, value(r#"[{"name":"a","x":1},{"name":"b"},{"name":"c"}]"#)).unwrap();
        let _judged = comparison.item(Kind::Prompt, value(r#"{"name":"p"}"#)).unwrap();
        comparison.restart(Kind::Tool);
        comparison.list(Kind::Tool, value(r#"[{"name":"a"}]"#)).unwrap();
        assert_eq!(drift(comparison), ["-b", "+p"]);
    }

    #[test]
    fn of_kinds_that_were_not_walked_nothing_is_missing() {
        let approved = approved(&["a"]);
        assert_eq!(drift(Comparison::new(&approved)), ["-a"]);
        assert_eq!(drift(Comparison::of(&approved, &[Kind::Prompt])), [""; 0]);
    }

    #[test]
    fn optional_items_may_be_absent_but_not_different() {
        let tools = BTreeMap::from([((Kind::Tool, "a".to_owned()), Tree::map([("name", Tree::text("a"))]))]);
        let mut lock = lock(&tools, 0);
        lock.entries[0].optional = true;
        let approved = lock.approved(Path::new("x")).unwrap();
        assert_eq!(drift(Comparison::new(&approved)), [""; 0]);
        let mut comparison = Comparison::new(&approved);
        comparison.list(Kind::Tool, value(r#"[{"name":"a","description":"x"}]"#)).unwrap();
        assert_eq!(drift(comparison), ["~a"]);
    }

    #[test]
    fn lists_and_what_is_none() {
        let approved = approved(&["a"]);
        let list = |text: &str| Comparison::new(&approved).list(Kind::Tool, value(text));
        assert_eq!(list("[]"), Ok(0));
        assert_eq!(list(" [ \n ] "), Ok(0));
        assert_eq!(list("{}"), Err(ItemFault::NotAList { kind: Kind::Tool }));
        assert_eq!(list("null"), Err(ItemFault::NotAList { kind: Kind::Tool }));
        for text in ["[1]", "[{\"name\":\"a\"},\"x\"]", "[[{\"name\":\"a\"}]]", "[null]"] {
            assert!(matches!(list(text), Err(ItemFault::NotAnObject { .. })), "{text}");
        }
    }

    #[test]
    fn a_large_list_is_judged_as_a_small_one() {
        let names: Vec<String> = (0..3000).map(|number| format!("{number}{}", "x".repeat(90))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let approved = approved(&names);
        // In both halves one that differs, one that is new and one that is missing.
        let mut items: Vec<String> = names.iter().map(|name| format!("{{ \"name\" : \"{name}\" }}")).collect();
        for at in [10, 2900] {
            items[at] = format!("{{\"extra\":1,\"name\":\"{}\"}}", names[at]);
            items[at + 1] = format!("{{\"extra\":2,\"name\":\"new{at}\"}}");
        }
        let text = format!("[\n{} ]", items.join(" ,\n"));
        assert!(text.len() > LARGE);
        let list = crate::json::check(text.as_bytes()).unwrap().root;
        let mut at_once = Comparison::of(&approved, &[Kind::Tool]);
        assert_eq!(at_once.list(Kind::Tool, list).unwrap(), 3000);
        let mut one_by_one = Comparison::of(&approved, &[Kind::Tool]);
        for element in list.elements() {
            let _noted = one_by_one.item(Kind::Tool, element).unwrap();
        }
        let expected = drift(one_by_one);
        assert_eq!(expected.len(), 6, "{expected:?}");
        assert_eq!(drift(at_once), expected);

        items[2990] = items[5].clone();
        let text = format!("[{}]", items.join(","));
        let list = crate::json::check(text.as_bytes()).unwrap().root;
        let error = Comparison::of(&approved, &[Kind::Tool]).list(Kind::Tool, list).unwrap_err();
        assert!(matches!(error, ItemFault::Duplicate { name, .. } if name == names[5]));
    }

    #[test]
    fn namespaces_and_the_program() {
        let approved = approved(&[]);
        let mut comparison = Comparison::new(&approved);
        assert!(comparison.resource(value(r#"{"uri":"demo://resource/2"}"#)).unwrap());
        assert!(!comparison.resource(value(r#"{"uri":"https://evil.example/2"}"#)).unwrap());
        assert!(!comparison.resource(value(r#"{"uri":"https://evil.example/3"}"#)).unwrap());
        assert!(comparison.resource(value(r#"{"name":"x"}"#)).is_err());
        comparison.identity(&identity());
        let mut other = Comparison::new(&approved);
        other.identity(&Identity { command: vec!["sh".to_owned()], ..identity() });
        assert_eq!(drift(comparison), ["+https://evil.example"], "the same program is no drift");
        let changes = other.finish().changes;
        assert_eq!((changes.len(), changes[0].subject), (1, Subject::Identity));
        assert!(!changes[0].edits.is_empty());
    }

    #[test]
    fn the_server_of_either_era() {
        let result = r#"{"protocolVersion":"2025-11-25","serverInfo":{"name":"x"},"instructions":"do"}"#;
        let modern = r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}},"instructions":"do"}"#;
        let mut catalog = crate::catalog::Catalog::default();
        catalog.add(Kind::Server, value(result)).unwrap();
        let lock = crate::catalog::Lock::new(identity(), Default::default(), &catalog).unwrap();
        let approved = lock.approved(Path::new("x")).unwrap();
        let item = String::from_utf8(server_item(value(modern)).unwrap()).unwrap();
        for same in [result, modern, &item] {
            let mut comparison = Comparison::new(&approved);
            assert_eq!(comparison.item(Kind::Server, value(same)), Ok(Judgement::Same(0)));
            assert!(comparison.finish().is_empty());
        }
        let mut comparison = Comparison::new(&approved);
        let other = result.replace("do", "do not");
        assert_eq!(comparison.item(Kind::Server, value(&other)), Ok(Judgement::Changed(0)));
        assert_eq!(drift(comparison), ["~"]);
    }
}
