//! What a person is asked before a catalog is approved, and the lock that follows from the answers.
//!
//! ```text
//! walks, sessions, what is launched ─┐
//!                                    ├─► Review: questions ─► answers ─► Lock
//! the lock that is there ────────────┘
//! ```
//!
//! A server is walked more than once, as different clients: what then differs from walk to walk is no drift but the
//! server's habit, and is offered to be exempted. What only some clients are shown becomes optional.
//!
//! All of it is pure: nothing is asked, started or written here.

mod clock;
mod question;
#[cfg(test)]
mod tests;
mod vary;
mod versions;

pub use clock::rfc3339;
pub use question::{Answer, Asked, ItemQuestion, Question};

use crate::catalog::{
    Approval, Approved, Catalog, Comparison, Entry, Identity, Item, ItemFault, Kind, Lock, LockError, Subject, What,
};
use crate::json;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use versions::{Presence, Versions, differing};

/// How deep a canonical item can be nested, levels: no deeper one is ever made.
const DEEPEST: usize = 256;

/// Everything that is known of a server.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What each walk found; at least one.
    pub walks: &'a [Catalog],
    /// What sessions met and refused.
    pub session: &'a [Item],
    /// What was approved and sessions did not find, by kind and name.
    pub absent: &'a [(Kind, String)],
    /// Namespaces of resources that sessions met and refused.
    pub namespaces: &'a [String],
    /// What was launched.
    pub identity: &'a Identity,
    /// What was approved before.
    pub lock: Option<&'a Lock>,
}

/// Why no review can be made.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// An item that has no canonical form.
    #[error(transparent)]
    Item(#[from] ItemFault),
    /// The lock cannot be compared with.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The questions, in the order in which they are to be asked, and what is settled without one.
#[derive(Debug)]
pub struct Review {
    /// What is to be decided.
    pub questions: Vec<Question>,
    kept: Vec<Entry>,
    identity: Identity,
    namespaces: BTreeSet<String>,
}

impl Review {
    /// Finds out what has to be asked.
    ///
    /// # Errors
    /// An item or the lock is not what this program makes.
    pub fn new(known: Known<'_>) -> Result<Review, ReviewError> {
        let Known { walks, session, absent, namespaces, identity, lock } = known;
        let mut review = Review {
            questions: Vec::new(),
            kept: Vec::new(),
            identity: identity.clone(),
            namespaces: lock.map(|lock| lock.namespaces.clone()).unwrap_or_default(),
        };
        let approved = lock.map(|lock| lock.approved(Path::new("lock"))).transpose()?;
        let mut renamed = BTreeMap::new();
        if let Some(approved) = &approved {
            review.identity = approved.identity().clone();
            review.questions.extend(identity_question(approved, identity));
            renamed = match walks.first() {
                Some(walk) => renames(approved, walk)?,
                None => renamed,
            };
        }
        let mut names: BTreeSet<(Kind, &str)> = BTreeSet::new();
        names.extend(walks.iter().flat_map(Catalog::items).chain(session).map(|item| (item.kind, item.name.as_str())));
        names.extend(lock.iter().flat_map(|lock| &lock.entries).map(|entry| (entry.kind, entry.name.as_str())));
        let entries: HashMap<(Kind, &str), &Entry> = lock
            .iter()
            .flat_map(|lock| &lock.entries)
            .map(|entry| ((entry.kind, entry.name.as_str()), entry))
            .collect();
        let old_names: HashSet<(Kind, &str)> = renamed.values().map(|(kind, old)| (*kind, old.as_str())).collect();
        let mut met: HashMap<(Kind, &str), Vec<&Item>> = HashMap::new();
        session.iter().for_each(|item| met.entry((item.kind, item.name.as_str())).or_default().push(item));
        let absent: HashSet<(Kind, &str)> = absent.iter().map(|(kind, name)| (*kind, name.as_str())).collect();
        for (kind, name) in names {
            // the new name asks for both
            if old_names.contains(&(kind, name)) {
                continue;
            }
            let from = renamed.get(&(kind, name.to_owned()));
            let known_as = from.map_or((kind, name), |(kind, old)| (*kind, old.as_str()));
            let entry = entries.get(&known_as).copied();
            let session = met.remove(&(kind, name)).unwrap_or_default();
            let seen = Versions::of(kind, name, walks, session, absent.contains(&(kind, name)));
            match (entry, from) {
                (Some(old), Some(_)) => {
                    let asked = Asked::Renamed { from: old.name.clone() };
                    let question = seen.new_entry(asked, Some(old.clone()))?;
                    review.questions.extend(question.map(Question::Item));
                }
                (Some(entry), None) => review.known_entry(entry, &seen)?,
                (None, _) => review.questions.extend(seen.new_entry(Asked::New, None)?.map(Question::Item)),
            }
        }
        let found: BTreeSet<&String> = walks.iter().flat_map(|walk| &walk.namespaces).chain(namespaces).collect();
        let allowed = |namespace: &str| approved.as_ref().is_some_and(|approved| approved.allows_namespace(namespace));
        let fresh = found.into_iter().filter(|namespace| !allowed(namespace)).cloned();
        review.questions.extend(fresh.map(Question::Namespace));
        Ok(review)
    }

    /// Whether what was approved is exactly what is there.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.questions.is_empty()
    }

    /// The lock that follows from one answer for each question; questions without an answer are answered no.
    ///
    /// # Errors
    /// An item is not what this program makes.
    pub fn settle(self, answers: &[Answer], approval: Approval) -> Result<Lock, ItemFault> {
        let Review { questions, kept: mut entries, mut identity, mut namespaces } = self;
        let answers = answers.iter().cloned().chain(std::iter::repeat(Answer::No));
        for (question, answer) in questions.into_iter().zip(answers) {
            match question {
                Question::Identity { now, .. } => {
                    if !matches!(answer, Answer::No) {
                        identity = now;
                    }
                }
                Question::Namespace(namespace) => {
                    if !matches!(answer, Answer::No) {
                        namespaces.insert(namespace);
                    }
                }
                Question::Item(item) => entries.extend(item.settle(&answer)?),
            }
        }
        Ok(Lock { identity, approval, entries, namespaces })
    }

    /// An item that was approved before, in this or another form.
    fn known_entry(&mut self, entry: &Entry, seen: &Versions<'_>) -> Result<(), ItemFault> {
        let walked = differing(entry, seen.walks.iter().flatten().copied())?;
        let met = differing(entry, seen.session.iter().copied())?;
        let question = match (walked, met, seen.presence()) {
            (Some(newest), ..) => seen.changed_entry(entry, newest)?,
            (None, Some(newest), Presence::Never) => seen.changed_entry(entry, newest)?,
            (None, Some(other), Presence::Always) => seen.met_entry(entry, other)?,
            (None, None, Presence::Always) => {
                self.kept.push(entry.clone());
                return Ok(());
            }
            (None, _, _) if entry.optional => {
                self.kept.push(entry.clone());
                return Ok(());
            }
            (None, None, Presence::Never) => ItemQuestion::removed(entry),
            (None, _, Presence::Sometimes) => ItemQuestion::sometimes(entry, seen.absent_in_session()),
        };
        self.ask(question);
        Ok(())
    }

    fn ask(&mut self, question: ItemQuestion) {
        self.questions.push(Question::Item(question));
    }
}

/// The identity that differs, as a question.
fn identity_question(approved: &Approved, now: &Identity) -> Option<Question> {
    if !crate::identity::differs(approved.identity(), now) {
        return None;
    }
    let mut comparison = Comparison::of(approved, &[]);
    comparison.identity(now);
    let change = comparison.finish().changes.into_iter().next();
    Some(Question::Identity { change, now: now.clone() })
}

/// What an item is known by.
type Key = (Kind, String);

/// Items that were approved under another name: by kind and new name, the old ones.
fn renames(approved: &Approved, walk: &Catalog) -> Result<BTreeMap<Key, Key>, ItemFault> {
    let mut comparison = Comparison::new(approved);
    for item in walk.items() {
        let _told_by_the_end = with(&item.text, |value| comparison.item(item.kind, value))??;
    }
    let mut renamed = BTreeMap::new();
    for change in comparison.finish().changes {
        if let (What::Renamed { from }, Some(kind)) = (&change.what, kind_of(change.subject)) {
            renamed.insert((kind, change.name.clone()), (kind, from.clone()));
        }
    }
    Ok(renamed)
}

/// The kind of item that a change is about.
fn kind_of(subject: Subject) -> Option<Kind> {
    match subject {
        Subject::Server => Some(Kind::Server),
        Subject::Tool => Some(Kind::Tool),
        Subject::Prompt => Some(Kind::Prompt),
        Subject::Template => Some(Kind::Template),
        Subject::Identity | Subject::Namespace => None,
    }
}

/// Runs `then` on a canonical text as a value.
///
/// # Errors
/// It is no such text.
pub fn with<T>(text: &[u8], then: impl FnOnce(json::Value<'_>) -> T) -> Result<T, ItemFault> {
    let checked = json::check_limited(text, json::Limits { depth: DEEPEST }).map_err(|_| ItemFault::NotChecked)?;
    Ok(then(checked.root))
}
