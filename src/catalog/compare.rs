//! One walk of a catalog against what was approved.

use super::approved::{Approved, Judgement};
use super::canonical::Scratch;
use super::drift::{self, Change, Drift, Subject};
use super::fault::ItemFault;
use super::identity::Identity;
use super::item::{Item, Kind, reread, scratch_name};
use super::model::resource_namespace;
use crate::json::{self, Value};
use std::collections::{BTreeMap, BTreeSet, btree_map};

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

    /// Takes all elements of a list, such as a result's `tools`, in one pass over its text: the fast way for many.
    ///
    /// # Errors
    /// As [`Comparison::item`], and a value that is no list.
    pub fn list(&mut self, kind: Kind, list: Value<'_>) -> Result<(), ItemFault> {
        let text = list.raw();
        if list.kind() != json::Kind::Array {
            return Err(ItemFault::NotAList { kind });
        }
        let mut at = after_space(text, 1);
        while text.get(at).is_some_and(|byte| *byte != b']') {
            let (judgement, end) = self.approved.judge_from(kind, text, at, &mut self.scratch)?;
            let item = text.get(at..end).unwrap_or_default();
            let _noted = self.note(kind, judgement, || Item::new(kind, reread(item)?))?;
            // Behind an element comes a comma or the closing bracket.
            at = after_space(text, end);
            if text.get(at) == Some(&b',') {
                at = after_space(text, at + 1);
            }
        }
        Ok(())
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
                _ => return Err(ItemFault::Duplicate { kind, name: scratch_name(&self.scratch).into_owned() }),
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
        for (index, entry) in self.approved.entries().enumerate().filter(|(_, entry)| entry.kind() == kind) {
            debug_assert_eq!(entry.kind(), kind);
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
        let mut changes = Vec::new();
        if let Some(now) = identity {
            changes.push(drift::identity(approved.identity(), &now));
        }
        for (index, item) in changed {
            changes.extend(approved.entry(index).map(|entry| drift::changed(entry, item)));
        }
        let missing = approved
            .entries()
            .zip(seen)
            .filter(|(entry, seen)| !seen && !entry.optional() && kinds.contains(&entry.kind()));
        let removed = missing.map(|(entry, _)| entry).collect();
        changes.extend(drift::added_and_removed(added.into_values().collect(), removed));
        changes.extend(namespaces.into_iter().map(Change::namespace));
        changes.sort_by(|a, b| (a.subject, &a.name).cmp(&(b.subject, &b.name)));
        debug_assert!(changes.iter().all(|change| change.subject != Subject::Server || change.name.is_empty()));
        Drift { changes }
    }
}

/// The first offset from `at` on that is no white space.
fn after_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
}
