//! One item as it was seen: by each walk and by sessions.

use super::question::{Asked, ItemQuestion};
use super::{vary, with};
use crate::catalog::{Catalog, Change, Comparison, Entry, Exemption, Item, ItemFault, Kind, Lock};
use std::path::Path;

/// Whether an item was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Always,
    Sometimes,
    Never,
}

/// One item as it was seen.
pub(super) struct Versions<'a> {
    /// By walk.
    pub(super) walks: Vec<Option<&'a Item>>,
    /// In sessions.
    pub(super) session: Vec<&'a Item>,
    /// A session did not find it.
    pub(super) absent: bool,
}

impl<'a> Versions<'a> {
    pub(super) fn of(
        kind: Kind,
        name: &str,
        walks: &'a [Catalog],
        session: Vec<&'a Item>,
        absent: bool,
    ) -> Versions<'a> {
        let find = |walk: &'a Catalog| walk.item(kind, name);
        Versions { walks: walks.iter().map(find).collect(), session, absent }
    }

    /// Every walk has found it, and a session has not.
    pub(super) fn absent_in_session(&self) -> bool {
        self.absent && self.walks.iter().all(Option::is_some)
    }

    pub(super) fn presence(&self) -> Presence {
        match self.walks.iter().flatten().count() {
            0 => Presence::Never,
            count if count == self.walks.len() && !self.absent => Presence::Always,
            _ => Presence::Sometimes,
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a Item> {
        self.walks.iter().flatten().chain(&self.session).copied()
    }

    /// What has to be exempted for all versions to be the base: first what the walks need, then what sessions do. The
    /// number is how many the walks need.
    fn exemptions(&self, base: &Item, held: &[Exemption]) -> Result<(Vec<Exemption>, usize), ItemFault> {
        let walked: Vec<&Item> = self.walks.iter().flatten().copied().collect();
        let mut exempt = vary::exemptions(base, &walked, held)?;
        let by_walks = exempt.len();
        let met = vary::exemptions(base, &self.session, &vary::joined(held, &exempt))?;
        exempt.extend(met);
        Ok((exempt, by_walks))
    }

    /// The question about an item that no entry stands for; none where it was not seen after all.
    pub(super) fn new_entry(&self, asked: Asked, before: Option<Entry>) -> Result<Option<ItemQuestion>, ItemFault> {
        let Some(base) = self.all().next() else { return Ok(None) };
        let (exempt, by_walks) = self.exemptions(base, &[])?;
        Ok(Some(ItemQuestion {
            asked,
            item: base.clone(),
            optional: self.presence() != Presence::Always,
            in_session: self.presence() == Presence::Never,
            exempt,
            by_walks,
            held: Vec::new(),
            before,
        }))
    }

    /// The newest form becomes the approved one, with what was exempted as far as that still fits.
    pub(super) fn changed_entry(&self, entry: &Entry, newest: &Item) -> Result<ItemQuestion, ItemFault> {
        let mut held = Vec::new();
        for exemption in &entry.exempt {
            if vary::fits(newest, exemption)? {
                held.push(exemption.clone());
            }
        }
        let (exempt, by_walks) = self.exemptions(newest, &held)?;
        let all: Vec<&Item> = self.all().collect();
        let varies = vary::exemptions(&item_of(entry), &all, &entry.exempt)?;
        Ok(ItemQuestion {
            asked: Asked::Changed { change: change(entry, newest)?, varies },
            item: newest.clone(),
            optional: entry.optional || self.presence() != Presence::Always,
            in_session: self.presence() == Presence::Never,
            exempt,
            by_walks,
            held,
            before: Some(entry.clone()),
        })
    }

    /// The walks have found what was approved, and a session something else.
    pub(super) fn met_entry(&self, entry: &Entry, other: &Item) -> Result<ItemQuestion, ItemFault> {
        let (exempt, by_walks) = self.exemptions(&item_of(entry), &entry.exempt)?;
        Ok(ItemQuestion {
            asked: Asked::Met { change: change(entry, other)? },
            item: other.clone(),
            optional: entry.optional,
            in_session: true,
            exempt,
            by_walks,
            held: entry.exempt.clone(),
            before: Some(entry.clone()),
        })
    }
}

/// The first version that is not what was approved.
pub(super) fn differing<'a>(
    entry: &Entry,
    versions: impl Iterator<Item = &'a Item>,
) -> Result<Option<&'a Item>, ItemFault> {
    for item in versions {
        if item.digest(&entry.exempt)? != entry.digest {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn item_of(entry: &Entry) -> Item {
    Item { kind: entry.kind, name: entry.name.clone(), text: entry.item.clone() }
}

/// What an approver would be shown of the difference between an entry and an item of its name.
fn change(entry: &Entry, item: &Item) -> Result<Option<Change>, ItemFault> {
    let lock = Lock { entries: vec![entry.clone()], ..Lock::default() };
    let Ok(approved) = lock.approved(Path::new("lock")) else { return Ok(None) };
    let mut comparison = Comparison::of(&approved, &[]);
    let _told_by_the_end = with(&item.text, |value| comparison.item(item.kind, value))??;
    Ok(comparison.finish().changes.into_iter().next())
}
