//! What of a lock really lies on the disk, and what it would have run.

use super::manifest::{self, Manifest};
use super::package_lock::{self, Lock};
use crate::packages::{Component, PackageError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One installed directory.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its path below the root, as the lock has it.
    pub(super) path: String,
    /// Its manifest.
    pub(super) manifest: Manifest,
}

/// The installed packages of a lock, in its order.
///
/// # Errors
/// A package that must be there is not, or its manifest cannot be read; a directory that no entry of the lock names.
pub(super) fn on_disk(root: &Path, lock: &Lock) -> Result<Vec<Part>, PackageError> {
    let mut parts = Vec::new();
    for (path, entry) in &lock.entries {
        let directory = root.join(path);
        let found = directory.symlink_metadata();
        let malformed = |reason: &str| PackageError::Malformed { what: path.clone(), reason: reason.to_owned() };
        match found {
            Ok(found) if found.is_dir() => {
                parts.push(Part { path: path.clone(), manifest: manifest::read(&directory)? });
            }
            Ok(_) => return Err(malformed("it is no directory")),
            Err(_) if entry.optional => {}
            Err(_) if above_is_absent(root, path, lock) => {}
            Err(_) => return Err(malformed("the lock has it, and npm did not install it")),
        }
    }
    Ok(parts)
}

/// What lies in an optional package that is absent is absent, too.
fn above_is_absent(root: &Path, path: &str, lock: &Lock) -> bool {
    lock.entries
        .iter()
        .filter(|(above, entry)| entry.optional && path.starts_with(&format!("{above}/")))
        .any(|(above, _)| root.join(above).symlink_metadata().is_err())
}

/// The components: the server's own first, then by name and version; copies of one package are one component.
pub(super) fn components(lock: &Lock, parts: &[Part], main: &str) -> Vec<Component> {
    type Key<'a> = (bool, &'a str, &'a str);
    let mut by_key: BTreeMap<Key<'_>, (Component, BTreeSet<Key<'_>>)> = BTreeMap::new();
    let there: BTreeMap<&str, &Part> = parts.iter().map(|part| (part.path.as_str(), part)).collect();
    let main_entry = lock.entries.get(main);
    let key = |path: &str| {
        let entry = lock.entries.get(path)?;
        let own = main_entry.is_some_and(|main| main.name == entry.name && main.version == entry.version);
        Some((!own, entry.name.as_str(), entry.version.as_str()))
    };
    for (path, part) in &there {
        let (Some(entry), Some(own)) = (lock.entries.get(*path), key(path)) else { continue };
        let (component, depends) = by_key.entry(own).or_insert_with(|| {
            let component = Component {
                name: entry.name.clone(),
                version: entry.version.clone(),
                hashes: Vec::new(),
                license: entry.license.clone().or_else(|| part.manifest.license.clone()),
                depends: Vec::new(),
            };
            (component, BTreeSet::new())
        });
        component.hashes.extend(entry.hashes.iter().cloned());
        component.hashes.sort();
        component.hashes.dedup();
        let found = entry.depends.iter().filter_map(|name| {
            package_lock::locate(path, name, |path| there.contains_key(path)).and_then(|path| {
                let (path, _) = lock.entries.get_key_value(&path)?;
                key(path)
            })
        });
        depends.extend(found.filter(|other| *other != own));
    }
    let places: BTreeMap<Key<'_>, usize> = by_key.keys().enumerate().map(|(at, key)| (*key, at)).collect();
    let finish = |(mut component, depends): (Component, BTreeSet<Key<'_>>)| {
        component.depends = depends.iter().filter_map(|key| places.get(key).copied()).collect();
        component.depends.sort_unstable();
        component
    };
    by_key.into_values().map(finish).collect()
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
