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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{approval, identity};
    use crate::catalog::{Approved, Catalog, Lock};
    use std::path::Path;

    fn packaged(release: &str, files: &str) -> Identity {
        Identity {
            command: vec![release.to_owned(), "~/notes".to_owned()],
            entry: None,
            interpreter: identity().interpreter,
            package: Some(PackagePin { release: release.to_owned(), tree: Digest::of_bytes(files.as_bytes()) }),
        }
    }

    fn lock(identity: Identity) -> Lock {
        Lock::new(identity, approval(), &Catalog::default()).unwrap()
    }

    #[test]
    fn a_package_is_written_and_read_back() {
        let lock = lock(packaged("npm:@a/x@1.0.0", "1"));
        let text = lock.to_bytes();
        assert_eq!(Lock::parse(&text, Path::new("x")).unwrap(), lock);
        let approved = Approved::parse(text.clone(), Path::new("x")).unwrap();
        assert_eq!(*approved.identity(), lock.identity);
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let tree = Digest::of_bytes(b"1").to_string();
        assert_eq!(json["identity"]["package"], serde_json::json!({ "release": "npm:@a/x@1.0.0", "tree": tree }));
        assert!(json["identity"].get("entry").is_none());
    }

    #[test]
    fn the_root_covers_the_package_and_nothing_new_where_there_is_none() {
        let roots = [
            packaged("npm:x@1", "1"),
            packaged("npm:x@2", "1"),
            packaged("npm:x@1", "2"),
            Identity { package: None, ..packaged("npm:x@1", "1") },
        ];
        let roots: std::collections::BTreeSet<Digest> = roots.into_iter().map(|one| lock(one).root()).collect();
        assert_eq!(roots.len(), 4);
        // as every version before packages wrote it
        let without = lock(identity());
        assert_eq!(
            without.root().to_string(),
            "sha256:ddf4ac2a42a493b4a549e5e1f7a0ad8ab20f42779e9496a27af42e0a198349b1"
        );
        assert!(!String::from_utf8(without.to_bytes()).unwrap().contains("package"));
    }

    #[test]
    fn a_package_edited_by_hand_does_not_pass() {
        let text = String::from_utf8(lock(packaged("npm:x@1.0.0", "1")).to_bytes()).unwrap();
        let tree = Digest::of_bytes(b"1").to_string();
        for (from, to) in [
            ("\"release\": \"npm:x@1.0.0\"", "\"release\": \"npm:x@1.0.1\""),
            ("\"release\"", "\"released\""),
            ("\"tree\": \"", "\"tree\": \"x"),
            (tree.as_str(), Digest::of_bytes(b"2").to_string().as_str()),
        ] {
            let edited = text.replace(from, to);
            assert_ne!(edited, text, "{from}");
            assert!(Lock::parse(edited.as_bytes(), Path::new("x")).is_err(), "{from}");
            assert!(Approved::parse(edited.into_bytes(), Path::new("x")).is_err(), "{from}");
        }
    }
}
