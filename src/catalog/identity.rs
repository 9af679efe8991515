//! What was approved besides the catalog: the program, and who approved it when.

use super::digest::{Digest, Hasher};
use super::item::Kind;

/// The program whose catalog it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The command as the person wrote it, with its arguments.
    pub command: Vec<String>,
    /// The file that holds the server's first code: the script, or the program itself.
    pub entry: Option<FilePin>,
    /// The interpreter that runs it, if one does.
    pub interpreter: Option<FilePin>,
    /// The package of the store that it runs from; there is no `entry` then, since the tree holds it.
    pub package: Option<PackagePin>,
}

/// A package of the store and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagePin {
    /// Which one: `npm:@scope/name@1.2.3`.
    pub release: String,
    /// The digest of its whole tree, dependencies included: where the store keeps it.
    pub tree: Digest,
}

/// A file and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePin {
    /// Its path.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// Who approved, when, with which version. Told to people; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    /// When, by RFC 3339.
    pub at: String,
    /// The user's name.
    pub by: String,
    /// The program and its version, such as `mcpjail 0.1.0`.
    pub with: String,
}

impl Identity {
    /// Feeds all of it to a hash.
    pub(super) fn feed(&self, hasher: &mut Hasher) {
        let Identity { command, entry, interpreter, package } = self;
        hasher.number(command.len());
        command.iter().for_each(|word| hasher.part(word.as_bytes()));
        for file in [entry, interpreter] {
            hasher.number(usize::from(file.is_some()));
            if let Some(FilePin { path, sha256 }) = file {
                hasher.part(path.as_bytes());
                hasher.part(&sha256.0);
            }
        }
        // Nothing is fed where there is none: the roots of older locks stay what they are. What else may follow has a
        // smaller number: a kind, or how many there are of them.
        if let Some(PackagePin { release, tree }) = package {
            hasher.number(Kind::ALL.len() + 1);
            hasher.part(release.as_bytes());
            hasher.part(&tree.0);
        }
    }
}
