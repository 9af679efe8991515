//! How a test sees that a trick was played.

use crate::host::contains;

/// What the example's tricks smuggle.
pub const MARK: &str = "pulled-rug-5f1d";

/// Something about the bytes that a host got.
#[derive(Debug, Clone)]
pub enum Witness {
    /// These bytes are there.
    Has(String),
    /// These are not.
    Lacks(&'static str),
    /// The first is there, before the second.
    Order(&'static str, &'static str),
}

impl Witness {
    pub fn mark() -> Witness {
        Witness::Has(MARK.to_owned())
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        match self {
            Witness::Has(part) => contains(bytes, part.as_bytes()),
            Witness::Lacks(part) => !contains(bytes, part.as_bytes()),
            Witness::Order(first, second) => {
                let place = |part: &str| memchr::memmem::find(bytes, part.as_bytes());
                place(first).is_some_and(|first| place(second).is_none_or(|second| first < second))
            }
        }
    }
}

/// A text in characters of the tag block, as the example writes it.
pub fn tagged(text: &str) -> String {
    text.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xe_0000)).collect()
}
