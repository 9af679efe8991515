//! What was approved, whole.

use super::digest::Digest;
use super::exempt::Exemption;
use super::fault::ItemFault;
use super::identity::{Approval, Identity};
use super::item::{Item, Kind};
use super::lock_error::{LockError, LockProblem};
use super::model::Catalog;
use super::reader::{Part, Parts, Reader};
use super::root::Root;
use super::{canonical, writer};
use std::collections::BTreeSet;
use std::path::Path;

/// The version of the format that is written and read.
pub const VERSION: i64 = 1;

/// An approved catalog, for approving, checking and showing. A run uses [`Approved`](super::Approved).
///
/// As text it is JSON, indented by two spaces:
///
/// ```text
/// { "version": 1,
///   "identity": { "command": ["node", "server.js"], "entry": { "path", "sha256" }, "interpreter": { "path", "sha256" },
///                 "package": { "release": "npm:x@1.2.3", "tree": "sha256:…" } },
///   "approved": { "at": RFC 3339, "by": user, "with": "mcpjail 0.1.0" },
///   "root": "sha256:…",
///   "server": { "sha256", "exempt", "item": {…} },
///   "tools": [ { "name", "sha256", "optional": true, "exempt": [ { "at", "prefix", "suffix", "max", "reason" },
///                                                               { "at", "any": true, "reason" } ], "item": {…} } ],
///   "prompts": […], "resourceTemplates": […],
///   "resourceNamespaces": ["demo://resource"] }
/// ```
///
/// `entry`, `interpreter`, `package`, `server`, `optional` and `exempt` may be absent, nothing else may. Items have their members in
/// canonical order, and hidden characters in them are written as escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The program.
    pub identity: Identity,
    /// Who, when, with what.
    pub approval: Approval,
    /// What was approved. Their order means nothing; two of one kind with the same name make a lock that cannot be read.
    pub entries: Vec<Entry>,
    /// Where resources may live.
    pub namespaces: BTreeSet<String>,
}

/// One approved item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name; empty for the server.
    pub name: String,
    /// Its digest under `exempt`.
    pub digest: Digest,
    /// It may be absent, as a tool that a server shows to some hosts only.
    pub optional: bool,
    /// What is left out of the digest.
    pub exempt: Vec<Exemption>,
    /// All of it in canonical form.
    pub item: Vec<u8>,
}

impl Entry {
    /// Approves an item with what is exempted of it. The server's own is never optional.
    ///
    /// # Errors
    /// The item's text is no canonical form; one that [`Item::new`] made always is.
    pub fn new(item: &Item, optional: bool, exempt: Vec<Exemption>) -> Result<Entry, ItemFault> {
        let digest = item.digest(&exempt)?;
        let optional = optional && item.kind != Kind::Server;
        Ok(Entry { kind: item.kind, name: item.name.clone(), digest, optional, exempt, item: item.text.clone() })
    }
}

impl Lock {
    /// Approves all of a catalog, with nothing exempted and nothing optional.
    ///
    /// # Errors
    /// As [`Entry::new`].
    pub fn new(identity: Identity, approval: Approval, catalog: &Catalog) -> Result<Lock, ItemFault> {
        let entries = catalog.items().map(|item| Entry::new(item, false, Vec::new())).collect::<Result<_, _>>()?;
        Ok(Lock { identity, approval, entries, namespaces: catalog.namespaces.clone() })
    }

    /// Reads a lock's text strictly and checks every digest in it and the root.
    ///
    /// # Errors
    /// What is not as [`Lock::to_bytes`] writes it, but for white space, the order of members and the spelling of strings
    /// and numbers: with line, column and what to do.
    pub fn parse(text: &[u8], origin: &Path) -> Result<Lock, LockError> {
        let reader = Reader::new(text, origin);
        let Parts { identity, approval, entries, namespaces } = reader.read()?;
        let entries = entries.into_iter().map(|part| {
            let item = part.item;
            part.verified().map_err(|problem| reader.error(item, problem))
        });
        let entries = entries.collect::<Result<_, _>>()?;
        Ok(Lock { identity, approval, entries, namespaces: namespaces.into_iter().collect() })
    }

    /// The lock as text: the same for equal locks, whatever the order of their entries.
    pub fn to_bytes(&self) -> Vec<u8> {
        writer::write(self)
    }

    /// The digest over all digests, exemptions, namespaces and the identity. It guards against accidents: a line lost in a
    /// merge, a digest edited by hand. It does not guard against whoever can write the file, who can compute it as well.
    pub fn root(&self) -> Digest {
        let mut root = Root::new(&self.identity);
        for Entry { kind, name, digest, optional, exempt, item: _ } in self.sorted() {
            root.entry(*kind, name, *optional, exempt, digest);
        }
        root.finish(self.namespaces.iter())
    }

    /// The entry of a kind and a name.
    pub fn entry(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.name == name)
    }

    /// The entries in the order in which they are written.
    pub(super) fn sorted(&self) -> Vec<&Entry> {
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        sorted
    }
}

impl Part<'_> {
    /// The entry, once its item is known to be what its digest says.
    pub(super) fn verified(self) -> Result<Entry, LockProblem> {
        let Part { kind, name, digest, optional, exempt, item } = self;
        let edited = || LockProblem::ItemEdited { kind, name: name.to_string() };
        let mut text = Vec::with_capacity(item.raw().len());
        canonical(item, &mut text).map_err(|_| edited())?;
        let mut scratch = super::Scratch::default();
        let found = super::item::digest(kind, item, &exempt, &mut scratch).map_err(|_| edited())?;
        if found != digest {
            return Err(edited());
        }
        if super::item::scratch_name(&scratch) != name {
            return Err(edited());
        }
        Ok(Entry { kind, name: name.into_owned(), digest, optional, exempt, item: text })
    }
}
