//! The digest over a whole lock.

use super::digest::{Digest, Hasher};
use super::exempt::{Exemption, Varies};
use super::identity::Identity;
use super::item::Kind;

/// What the first bytes of every root are.
const ROOT_DOMAIN: &str = "mcpjail catalog root v1";

/// The root: SHA-256 over the domain, the identity, every entry's kind, name, whether it is optional, its exemptions and
/// its digest, and the namespaces, all in order and with their lengths.
///
/// It tells that a file is as it was written: that no line was lost in a merge and no digest edited by hand. Whoever can
/// write the file and compute SHA-256 can make it match anything.
pub(super) struct Root(Hasher);

impl Root {
    pub(super) fn new(identity: &Identity) -> Root {
        let mut hasher = Hasher::new(ROOT_DOMAIN);
        identity.feed(&mut hasher);
        Root(hasher)
    }

    pub(super) fn entry(&mut self, kind: Kind, name: &str, optional: bool, exempt: &[Exemption], digest: &Digest) {
        let hasher = &mut self.0;
        // No kind has this tag: what follows the entries is no entry.
        hasher.number(kind.index());
        hasher.part(name.as_bytes());
        hasher.number(usize::from(optional));
        hasher.number(exempt.len());
        for Exemption { at, rule, reason } in exempt {
            hasher.part(at.as_bytes());
            match rule {
                Varies::Any => hasher.number(0),
                Varies::Part { prefix, suffix, max } => {
                    hasher.number(1);
                    hasher.part(prefix.as_bytes());
                    hasher.part(suffix.as_bytes());
                    hasher.number(*max);
                }
            }
            hasher.part(reason.as_bytes());
        }
        hasher.part(&digest.0);
    }

    pub(super) fn finish<'n>(self, namespaces: impl ExactSizeIterator<Item = &'n String>) -> Digest {
        let Root(mut hasher) = self;
        hasher.number(Kind::ALL.len());
        hasher.number(namespaces.len());
        namespaces.for_each(|namespace| hasher.part(namespace.as_bytes()));
        hasher.finish()
    }
}
