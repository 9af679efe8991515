//! Names that are nearly those of well-known servers. Pure.

use super::Ecosystem;

/// Why a name is suspicious.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// The well-known name.
    pub known: String,
    /// How they differ, as a phrase: `one letter differs`, `the scope is missing`.
    pub how: String,
}

/// The well-known name that `name` could be taken for, if it is not well known itself.
#[must_use]
pub fn likeness(_ecosystem: Ecosystem, _name: &str) -> Option<Likeness> {
    None
}
