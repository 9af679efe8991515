//! Install scripts: which there are, which may run, and that those changed nothing but their own package.

use super::package_lock::{Entry, Lock};
use super::parts::Part;
use crate::packages::{PackageError, Script};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A package whose install scripts may run, with those of what is bundled in its archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Its name in the registry.
    pub(super) name: String,
    /// What the packages in those directories say of their names: another than its own for what it bundles.
    pub(super) names: BTreeSet<String>,
    /// Its directories, relative to the root.
    pub(super) directories: Vec<PathBuf>,
}

/// Tells the scripts that may run from those that may not. `names` are what the person allowed. A package is what the
/// registry has under its name: what another one bundles, or is an alias of, is not that one, whatever it is called.
///
/// # Errors
/// A name that no package with an install script has.
pub(super) fn sorted_out(
    lock: &Lock,
    parts: &[Part],
    names: &[String],
) -> Result<(Vec<Allowed>, Vec<Script>), PackageError> {
    let mut with_scripts: BTreeMap<&str, Vec<(&Entry, &Part)>> = BTreeMap::new();
    for part in parts.iter().filter(|part| !part.manifest.scripts.is_empty()) {
        if let Some(entry) = lock.entries.get(&part.path) {
            with_scripts.entry(&entry.archive).or_default().push((entry, part));
        }
    }
    let mut allowed: Vec<Allowed> = Vec::new();
    for name in names {
        let Some(parts) = with_scripts.get(name.as_str()) else {
            let known = with_scripts.keys().map(|name| (*name).to_owned()).collect();
            return Err(PackageError::NoSuchScript { name: name.clone(), known });
        };
        if allowed.iter().all(|allowed| allowed.name != *name) {
            allowed.push(Allowed {
                name: name.clone(),
                names: parts.iter().map(|(entry, _)| entry.name.clone()).collect(),
                directories: parts.iter().map(|(_, part)| PathBuf::from(&part.path)).collect(),
            });
        }
    }
    let mut skipped = Vec::new();
    for (name, parts) in with_scripts.iter().filter(|(name, _)| !names.iter().any(|allowed| allowed == *name)) {
        let commands: BTreeSet<&String> = parts.iter().flat_map(|(_, part)| &part.manifest.scripts).collect();
        skipped
            .extend(commands.into_iter().map(|command| Script { package: (*name).into(), command: command.clone() }));
    }
    Ok((allowed, skipped))
}

/// What identifies a file as long as nobody touches it.
type Stamp = (u64, u64, u32, u64, i64, i64, i64, i64);

/// Every path below a directory but those below `except`, with what would differ had anybody changed it.
///
/// # Errors
/// The disk.
pub(super) fn stamps(root: &Path, except: &[PathBuf]) -> Result<BTreeMap<PathBuf, Stamp>, PackageError> {
    let mut stamps = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let path = root.join(&directory);
        let failed = |source| PackageError::io("read", &path, source);
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let relative = directory.join(entry.file_name());
            if except.contains(&relative) {
                continue;
            }
            let found = entry.metadata().map_err(failed)?;
            if found.is_dir() {
                open.push(relative.clone());
            }
            let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
            let (size, links) = (found.size(), found.mode());
            let stamp = (found.dev(), found.ino(), links, size, times.0, times.1, times.2, times.3);
            stamps.insert(relative, stamp);
        }
    }
    Ok(stamps)
}

/// The first path that two [`stamps`] differ in.
pub(super) fn difference<'a>(
    before: &'a BTreeMap<PathBuf, Stamp>,
    after: &'a BTreeMap<PathBuf, Stamp>,
) -> Option<&'a Path> {
    let gone_or_changed = before.iter().filter(|(path, stamp)| after.get(*path) != Some(*stamp));
    let new = after.keys().filter(|path| !before.contains_key(*path));
    gone_or_changed.map(|(path, _)| path).chain(new).min().map(PathBuf::as_path)
}

/// Removes what a build with node-gyp needs only while it builds: it names the directory of the build, so that no two
/// builds would give the same tree, and it has a link to the machine's Python. This is done outside of the jail, to what a
/// script left: nothing is reached through a link.
///
/// # Errors
/// The disk.
pub(super) fn clear_build(root: &Path, package: &Path) -> Result<(), PackageError> {
    // The scripts of what lies above it ran, too, and what lies behind a link is not the package's.
    let mut above = package.ancestors().filter(|above| !above.as_os_str().is_empty());
    if above.any(|above| !root.join(above).symlink_metadata().is_ok_and(|found| found.is_dir())) {
        return Ok(());
    }
    let build = root.join(package).join("build");
    let is_gyps = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_file());
    if !build.symlink_metadata().is_ok_and(|found| found.is_dir()) || !is_gyps(&build.join("config.gypi")) {
        return Ok(());
    }
    let mut unneeded: Vec<PathBuf> =
        ["node_gyp_bins", "Makefile", "config.gypi", "gyp-mac-tool"].map(|name| build.join(name)).to_vec();
    let kinds = ["Release", "Debug"].map(|kind| build.join(kind));
    for kind in kinds.iter().filter(|kind| kind.symlink_metadata().is_ok_and(|found| found.is_dir())) {
        unneeded.extend([".deps", "obj.target", "obj"].map(|name| kind.join(name)));
        unneeded.extend(named(kind, &["a", "d", "o"])?);
    }
    unneeded.extend(named(&build, &["mk"])?.into_iter().chain(named(&build, &["Makefile"])?));
    for path in unneeded {
        let removed = match path.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.map_err(|source| PackageError::io("remove", &path, source))?;
    }
    Ok(())
}

/// Files of a directory with one of these extensions. None where there is no such directory, or only a link to one.
fn named(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, PackageError> {
    if !directory.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Ok(Vec::new());
    }
    let failed = |source| PackageError::io("read", directory, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;
