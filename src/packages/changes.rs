//! What differs between the packages of two trees. Pure.

use super::Component;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One difference between the packages of two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It came.
    Added {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// It went.
    Removed {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// Another version, where both trees have one.
    Version {
        /// The package.
        name: String,
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// The same version with other contents: no registry should serve that.
    Contents {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { name, version } => write!(f, "+ {name} {version}"),
            Change::Removed { name, version } => write!(f, "- {name} {version}"),
            Change::Version { name, from, to } => write!(f, "~ {name} {from} -> {to}"),
            Change::Contents { name, version } => write!(f, "! {name} {version}: same version, other contents"),
        }
    }
}

/// The versions of one package, each with its hashes.
type Versions<'a> = BTreeMap<&'a str, BTreeSet<(&'a str, &'a str)>>;

fn by_name(components: &[Component]) -> BTreeMap<&str, Versions<'_>> {
    let mut all: BTreeMap<&str, Versions<'_>> = BTreeMap::new();
    for component in components {
        let hashes = component.hashes.iter().map(|hash| (hash.algorithm.as_str(), hash.hex.as_str()));
        all.entry(&component.name).or_default().entry(&component.version).or_default().extend(hashes);
    }
    all
}

/// Whether an index replaced what it has under a version: hashes of one kind, and none of them the same. (An index adds
/// archives for more systems to a version, so that more hashes alone mean nothing.)
fn replaced(before: &BTreeSet<(&str, &str)>, after: &BTreeSet<(&str, &str)>) -> bool {
    let kinds = |hashes: &BTreeSet<(&str, &str)>| hashes.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    let (then, now): (BTreeSet<String>, BTreeSet<String>) = (kinds(before), kinds(after));
    !then.is_disjoint(&now) && before.is_disjoint(after)
}

/// All differences, by name.
#[must_use]
pub fn changes(before: &[Component], after: &[Component]) -> Vec<Change> {
    let (before, after) = (by_name(before), by_name(after));
    let none = Versions::new();
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let mut found = Vec::new();
    for name in names {
        let (then, now) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        for (version, hashes) in then {
            if now.get(version).is_some_and(|other| replaced(hashes, other)) {
                found.push(Change::Contents { name: name.to_owned(), version: (*version).to_owned() });
            }
        }
        let gone: Vec<&str> = then.keys().filter(|version| !now.contains_key(*version)).copied().collect();
        let come: Vec<&str> = now.keys().filter(|version| !then.contains_key(*version)).copied().collect();
        if let ([from], [to]) = (gone.as_slice(), come.as_slice()) {
            found.push(Change::Version { name: name.to_owned(), from: (*from).to_owned(), to: (*to).to_owned() });
            continue;
        }
        let removed = |version: &&str| Change::Removed { name: name.to_owned(), version: (*version).to_owned() };
        let added = |version: &&str| Change::Added { name: name.to_owned(), version: (*version).to_owned() };
        found.extend(gone.iter().map(removed));
        found.extend(come.iter().map(added));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Hash;

    fn component(name: &str, version: &str, hashes: &[(&str, &str)]) -> Component {
        let hash = |(algorithm, hex): &(&str, &str)| Hash { algorithm: (*algorithm).into(), hex: (*hex).into() };
        Component {
            name: name.into(),
            version: version.into(),
            hashes: hashes.iter().map(hash).collect(),
            license: None,
            depends: Vec::new(),
        }
    }

    fn told(before: &[Component], after: &[Component]) -> Vec<String> {
        changes(before, after).iter().map(Change::to_string).collect()
    }

    #[test]
    fn the_same_is_no_change() {
        let one = [component("a", "1", &[("sha512", "aa")]), component("b", "2", &[])];
        assert!(told(&one, &one).is_empty());
        let other = [one[1].clone(), one[0].clone()];
        assert!(told(&one, &other).is_empty(), "order means nothing");
    }

    #[test]
    fn versions_come_go_and_change() {
        let before = [component("a", "1", &[]), component("b", "1", &[]), component("d", "1", &[])];
        let after = [component("a", "2", &[]), component("c", "1", &[]), component("d", "1", &[])];
        assert_eq!(told(&before, &after), ["~ a 1 -> 2", "- b 1", "+ c 1"]);
        let two = [component("a", "1", &[]), component("a", "2", &[])];
        assert_eq!(told(&two, &[component("a", "3", &[])]), ["- a 1", "- a 2", "+ a 3"]);
    }

    #[test]
    fn replaced_contents_are_told() {
        let then = [component("a", "1", &[("sha512", "aa")])];
        assert_eq!(told(&then, &[component("a", "1", &[("sha512", "bb")])]), ["! a 1: same version, other contents"]);
        // one more archive of the same version, and a hash of another kind, are no replacement
        assert!(told(&then, &[component("a", "1", &[("sha512", "aa"), ("sha512", "cc")])]).is_empty());
        assert!(told(&then, &[component("a", "1", &[("sha256", "dd")])]).is_empty());
    }
}
