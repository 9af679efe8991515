//! Reads JSON that nobody can read in two ways.
//!
//! [`check`] looks at a text once and either says what is wrong with it or lends out its [`Value`]s, which are slices of
//! that text: no tree is built, nothing is copied, and ordinary texts cost no allocation. What is accepted is RFC 8259
//! without the freedoms in which readers differ: the text is valid UTF-8 without byte order mark, no object has the same
//! key twice (compared as decoded), no escape is half of a surrogate pair, no number is too large for a double, and
//! nesting is bounded. Nothing here recurses.
//!
//! ```text
//! bytes ─► check ─► Checked { root, top } ─► Value: members, elements, get, pointer ─► Text: decode, is
//!          scan     the members of the root       nested
//!          number   come with the same pass
//!          keys
//! ```

mod check;
mod fault;
mod keys;
mod lane;
mod nested;
mod number;
#[cfg(test)]
mod properties;
mod scan;
mod text;
mod top;
mod value;

pub use check::{Checked, DEFAULT_DEPTH, Limits, check, check_limited};
pub use fault::{Fault, What};
pub use text::{Text, quote};
pub use top::Top;
pub use value::{Elements, Kind, Members, Value};
