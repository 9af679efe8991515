//! One thing to be decided, and what follows from each answer.

use super::vary;
use crate::catalog::{Change, Entry, Exemption, Identity, Item, ItemFault, Kind, Varies};

/// One thing to be decided.
#[derive(Debug)]
pub enum Question {
    /// Another program is launched than the one that was approved.
    Identity {
        /// The difference.
        change: Option<Change>,
        /// What is launched now.
        now: Identity,
    },
    /// An item of the catalog.
    Item(ItemQuestion),
    /// Resources live in a place that was not approved.
    Namespace(String),
}

/// A question about an item.
#[derive(Debug)]
pub struct ItemQuestion {
    /// What is to be decided.
    pub asked: Asked,
    /// The item as it would be approved.
    pub item: Item,
    /// Not every walk has shown it.
    pub optional: bool,
    /// No walk has shown it in this form, or every walk has found it: a session met it, or did not.
    pub in_session: bool,
    /// What differs from walk to walk, and then what differed in sessions: to be accepted one by one, if the item is.
    pub exempt: Vec<Exemption>,
    /// How many of these the walks have shown.
    pub by_walks: usize,
    /// What was exempted before and stays so.
    pub(super) held: Vec<Exemption>,
    /// What was approved before.
    pub(super) before: Option<Entry>,
}

/// What is asked about an item.
#[derive(Debug)]
pub enum Asked {
    /// Nothing of this name was approved.
    New,
    /// It was approved under another name.
    Renamed {
        /// The name.
        from: String,
    },
    /// It is not what was approved.
    Changed {
        /// The difference; none where only a session has met it and it cannot be told.
        change: Option<Change>,
        /// What would have to be exempted for the approved form to stand. Empty where nothing would do.
        varies: Vec<Exemption>,
    },
    /// It was approved and is gone.
    Removed,
    /// It was approved, and some walks did not show it.
    Sometimes,
    /// It is what was approved, but a session met it in another form, which is the question's item.
    Met {
        /// The difference.
        change: Option<Change>,
    },
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Approve, with these of the exemptions that are offered, by index.
    Yes {
        /// Indices into [`ItemQuestion::exempt`].
        exempt: Vec<usize>,
    },
    /// Leave what was approved as it was.
    No,
    /// What was approved stands, and what differs may differ.
    Varies,
}

impl Answer {
    /// Approval of what nobody has looked at: with the parts of texts that the walks show to vary. A server could vary a
    /// whole description in order to have it exempted, so that stays drift until a person has said yes to it; so does
    /// what only a session met.
    #[must_use]
    pub fn whole(question: &Question) -> Answer {
        match question {
            Question::Item(item) if item.in_session && matches!(item.asked, Asked::Sometimes) => Answer::No,
            Question::Item(item) => {
                let parts = item.exempt.iter().take(item.by_walks).enumerate();
                let parts = parts.filter(|(_, exemption)| exemption.rule != Varies::Any);
                Answer::Yes { exempt: parts.map(|(at, _)| at).collect() }
            }
            Question::Identity { .. } | Question::Namespace(_) => Answer::Yes { exempt: Vec::new() },
        }
    }
}

impl ItemQuestion {
    pub(super) fn removed(entry: &Entry) -> ItemQuestion {
        ItemQuestion { optional: true, ..ItemQuestion::of_entry(entry, Asked::Removed) }
    }

    pub(super) fn sometimes(entry: &Entry, in_session: bool) -> ItemQuestion {
        ItemQuestion { optional: true, in_session, ..ItemQuestion::of_entry(entry, Asked::Sometimes) }
    }

    fn of_entry(entry: &Entry, asked: Asked) -> ItemQuestion {
        ItemQuestion {
            asked,
            item: Item { kind: entry.kind, name: entry.name.clone(), text: entry.item.clone() },
            optional: entry.optional,
            in_session: false,
            exempt: Vec::new(),
            by_walks: 0,
            held: entry.exempt.clone(),
            before: Some(entry.clone()),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.item.kind
    }

    /// Whether a session met something here that only a person can judge.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.exempt.len() > self.by_walks
            || (self.in_session && matches!(self.asked, Asked::Sometimes | Asked::Met { .. }))
    }

    /// Whether [`Answer::Varies`] means something here.
    #[must_use]
    pub fn may_vary(&self) -> bool {
        match &self.asked {
            Asked::Changed { varies, .. } => !varies.is_empty(),
            Asked::Removed => true,
            Asked::New | Asked::Renamed { .. } | Asked::Sometimes | Asked::Met { .. } => false,
        }
    }

    /// The entry that follows, if one does.
    pub(super) fn settle(self, answer: &Answer) -> Result<Option<Entry>, ItemFault> {
        let ItemQuestion { asked, item, optional, in_session: _, exempt, by_walks: _, held, before } = self;
        let chosen = |chosen: &[usize]| -> Vec<Exemption> {
            exempt.iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, one)| one.clone()).collect()
        };
        let widened = |before: Option<Entry>, exempt: &[Exemption], optional: bool| match before {
            Some(entry) => {
                let exempt = vary::joined(&entry.exempt, exempt);
                let optional = entry.optional || optional;
                let item = Item { kind: entry.kind, name: entry.name, text: entry.item };
                Entry::new(&item, optional, exempt).map(Some)
            }
            None => Ok(None),
        };
        let optional_before = |before: Option<Entry>| before.map(|entry| Entry { optional: true, ..entry });
        match (answer, asked) {
            (Answer::No, _) => Ok(before),
            (Answer::Varies, Asked::Removed) | (Answer::Yes { .. } | Answer::Varies, Asked::Sometimes) => {
                Ok(optional_before(before))
            }
            (Answer::Yes { .. }, Asked::Removed) => Ok(None),
            (Answer::Varies, Asked::Changed { varies, .. }) => widened(before, &varies, optional),
            (Answer::Yes { exempt }, Asked::Met { .. }) => widened(before, &chosen(exempt), optional),
            // there is nothing that could vary: the same as no
            (Answer::Varies, Asked::New | Asked::Renamed { .. } | Asked::Met { .. }) => Ok(before),
            (Answer::Yes { exempt }, Asked::New | Asked::Renamed { .. } | Asked::Changed { .. }) => {
                Entry::new(&item, optional, vary::joined(&held, &chosen(exempt))).map(Some)
            }
        }
    }
}
