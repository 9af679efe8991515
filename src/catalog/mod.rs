//! What a server publishes, what a person approved of it, and the difference.
//!
//! A *catalog* is everything that a server tells about itself before anybody calls it: what it says at the handshake, its
//! tools, prompts, resource templates, and where its resources live. A *lock* is a catalog that a person approved. *Drift*
//! is any difference between the two.
//!
//! ```text
//! json::Value ─► canonical ─► digest ─┬─► Catalog ─► Lock ─► file      (approve: whole items are kept)
//!  one item      RFC 8785    SHA-256  └─► Comparison ─► Drift          (run: only what differs is kept)
//!                                          ▲
//!                             file ─► Approved: digests and places of the lock's text
//! ```
//!
//! An item is compared whole, with members that no specification knows, by the SHA-256 of its kind, its name and its
//! canonical form. The order of lists and of members means nothing, and neither does the spelling of strings and
//! numbers; everything else does. Two things are left out of a digest: annotations of a tool that say what their absence
//! says, and what the approver exempted because the server makes it anew at each start ([`Exemption`]).
//!
//! No item is ever turned into a tree. All of it is pure, but for [`load`] and [`save`].

mod approved;
mod canonical;
mod compare;
mod digest;
mod drift;
mod edit;
mod edits;
mod excerpt;
mod exempt;
mod fault;
mod file;
mod identity;
mod item;
mod lock;
mod lock_error;
mod model;
mod namespace;
mod number;
mod propose;
mod reader;
mod render;
mod render_json;
mod render_short;
mod root;
mod schema;
mod server;
mod strings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod visible;
mod words;
mod writer;

pub use approved::{Approved, EntryView, Judgement};
pub use canonical::{Scratch, canonical};
pub use compare::Comparison;
pub use digest::{Digest, NotADigest};
pub use drift::{Change, Drift, Subject, What};
pub use edit::{Edit, EditKind, Scope, Severity};
pub use exempt::{Exemption, Varies};
pub use fault::ItemFault;
pub use file::{LARGEST_LOCK, Replace, Saved, load, save};
pub use identity::{Approval, FilePin, Identity, PackagePin};
pub use item::{Item, Kind};
pub use lock::{Entry, Lock, VERSION};
pub use lock_error::{LockError, LockProblem};
pub use model::Catalog;
pub use namespace::namespace;
pub use propose::propose;
pub use server::server_item;
pub use visible::visible;
