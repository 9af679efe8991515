//! What becomes of a catalog's entries as they come in: compared with what was approved, or kept.

use super::error::GateError;
use super::lists::List;
use crate::catalog::{Catalog, Comparison, Judgement, Kind};
use crate::json::Value;

/// What a run does with a catalog.
#[derive(Debug)]
pub(super) enum Seen {
    /// It is compared; only what differs is kept.
    Compare(Box<Comparison<'static>>),
    /// It is pinned as it is.
    Collect(Box<Catalog>),
}

/// Takes the entries of a walk.
pub(super) trait Sight {
    /// The entries of a page, an array; gives their number.
    fn entries(&mut self, list: List, entries: Value<'_>) -> Result<usize, GateError>;
    /// What the server says about itself, a result of `initialize` or `server/discover`; gives whether it may be shown as
    /// it is.
    fn server(&mut self, result: Value<'_>) -> Result<bool, GateError>;
    /// The list comes again from its beginning.
    fn restart(&mut self, list: List);
}

impl Sight for Seen {
    fn entries(&mut self, list: List, entries: Value<'_>) -> Result<usize, GateError> {
        match self {
            Seen::Compare(comparison) => comparison.entries(list, entries),
            Seen::Collect(catalog) => catalog.entries(list, entries),
        }
    }

    fn server(&mut self, result: Value<'_>) -> Result<bool, GateError> {
        match self {
            Seen::Compare(comparison) => comparison.server(result),
            Seen::Collect(catalog) => catalog.server(result),
        }
    }

    fn restart(&mut self, list: List) {
        match self {
            Seen::Compare(comparison) => Sight::restart(comparison.as_mut(), list),
            Seen::Collect(catalog) => catalog.restart(list),
        }
    }
}

impl Sight for Comparison<'_> {
    fn entries(&mut self, list: List, entries: Value<'_>) -> Result<usize, GateError> {
        let Some(kind) = list.kind() else {
            return entries.elements().try_fold(0, |count, entry| Ok(self.resource(entry).map(|_| count + 1)?));
        };
        Ok(self.list(kind, entries)?)
    }

    fn server(&mut self, result: Value<'_>) -> Result<bool, GateError> {
        Ok(matches!(self.item(Kind::Server, result)?, Judgement::Same(_)))
    }

    fn restart(&mut self, list: List) {
        if let Some(kind) = list.kind() {
            Comparison::restart(self, kind);
        }
    }
}

impl Sight for Catalog {
    fn entries(&mut self, list: List, entries: Value<'_>) -> Result<usize, GateError> {
        let mut count = 0;
        for entry in entries.elements() {
            count += 1;
            match list.kind() {
                Some(kind) => self.add(kind, entry)?,
                None => self.add_resource(entry)?,
            }
        }
        Ok(count)
    }

    fn server(&mut self, result: Value<'_>) -> Result<bool, GateError> {
        self.add(Kind::Server, result)?;
        Ok(true)
    }

    fn restart(&mut self, list: List) {
        // Namespaces stay: one that was offered for a moment only is worth approving or refusing, too.
        match list {
            List::Tools => self.tools.clear(),
            List::Prompts => self.prompts.clear(),
            List::Templates => self.templates.clear(),
            List::Resources => {}
        }
    }
}
