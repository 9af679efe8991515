//! `package-lock.json`, versions 2 and 3, read strictly: what no hash pins does not pass. Pure.

use super::integrity;
use crate::json;
use crate::packages::{Hash, PackageError};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the file.
pub(super) const FILE: &str = "package-lock.json";

const MODULES: &str = "node_modules";

/// A lock whose every archive is pinned by a hash and comes from where the person's configuration says.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    /// What the server's project asks for: names and exact versions.
    pub(super) direct: BTreeMap<String, String>,
    /// By the path of the package's directory below the root, such as `node_modules/a/node_modules/@b/c`.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One package of a lock.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The name that the registry has it under; differs from the directory's for an alias.
    pub(super) name: String,
    /// The package whose archive it came in: its own name, but for a bundled one.
    pub(super) archive: String,
    /// Its exact version.
    pub(super) version: String,
    /// What its archive is held against; of a bundled package, which came within another's archive, none.
    pub(super) hashes: Vec<Hash>,
    /// Its licence, where the registry told it.
    pub(super) license: Option<String>,
    /// May be absent from the disk: made for another system, wanted by a peer only, or left over from npm's resolving.
    pub(super) optional: bool,
    /// Names that it depends on, as directories are named.
    pub(super) depends: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLock {
    lockfile_version: u32,
    #[serde(default)]
    packages: BTreeMap<String, RawEntry>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawEntry {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<serde_json::Value>,
    integrity: Option<String>,
    link: bool,
    in_bundle: bool,
    optional: bool,
    peer: bool,
    dev_optional: bool,
    extraneous: bool,
    license: Option<serde_json::Value>,
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
}

impl RawEntry {
    /// Names and what is asked of them, in all three lists.
    fn asks(&self) -> impl Iterator<Item = (&String, &String)> {
        self.dependencies.iter().chain(&self.optional_dependencies).chain(&self.peer_dependencies)
    }
}

/// Reads a lock. `origins` are the `HOST:PORT` that archives may come from.
///
/// # Errors
/// [`PackageError::Malformed`], and [`PackageError::Unpinned`] for a dependency from git, a URL, a file or a directory and
/// for an archive without a hash.
pub(super) fn read(text: &[u8], origins: &[String]) -> Result<Lock, PackageError> {
    json::check(text).map_err(|fault| malformed(fault.to_string()))?;
    let raw: RawLock = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
    if !(2..=3).contains(&raw.lockfile_version) {
        let version = raw.lockfile_version;
        return Err(malformed(format!("its version is {version}; npm 8 and later write version 2 or 3")));
    }
    let project = raw.packages.get("").ok_or_else(|| malformed("it has no project".into()))?;
    let mut entries = BTreeMap::new();
    for (path, entry) in raw.packages.iter().filter(|(path, _)| !path.is_empty()) {
        entries.insert(path.clone(), pinned(path, entry, &raw.packages, origins)?);
    }
    for (path, entry) in &raw.packages {
        for (name, asked) in entry.asks() {
            let found = locate(path, name, |path| raw.packages.contains_key(path));
            let bundled = found.and_then(|path| raw.packages.get(&path)).is_none_or(|entry| entry.in_bundle);
            if !bundled && !from_registry(asked) {
                return Err(unpinned(name, asked));
            }
        }
    }
    if project.dependencies.is_empty() {
        return Err(malformed("its project asks for nothing".into()));
    }
    Ok(Lock { direct: project.dependencies.clone(), entries })
}

fn pinned(
    path: &str,
    entry: &RawEntry,
    all: &BTreeMap<String, RawEntry>,
    origins: &[String],
) -> Result<Entry, PackageError> {
    let resolved = entry.resolved.as_ref().and_then(serde_json::Value::as_str);
    let Some(directory) = directory_name(path) else {
        // A workspace's directory, or a path that leads out of the tree.
        return Err(unpinned(path, resolved.unwrap_or("a directory")));
    };
    let name = entry.name.as_deref().unwrap_or(directory);
    if !is_name(name) {
        return Err(malformed(format!("`{name}` is no package's name")));
    }
    if entry.link {
        return Err(unpinned(name, resolved.unwrap_or("a directory")));
    }
    let version = entry.version.clone().ok_or_else(|| malformed(format!("`{path}` has no version")))?;
    if let Some(url) = resolved.filter(|_| !entry.in_bundle)
        && !origin(url).is_some_and(|origin| origins.contains(&origin))
    {
        return Err(unpinned(name, &without_secrets(url)));
    }
    let hashes = integrity::hashes(entry.integrity.as_deref().unwrap_or_default());
    let around = if entry.in_bundle { archive_around(path, all) } else { None };
    if hashes.is_empty() && around.is_none() {
        return Err(unpinned(name, &resolved.map_or("an archive without a hash".into(), without_secrets)));
    }
    Ok(Entry {
        name: name.to_owned(),
        archive: around.unwrap_or(name).to_owned(),
        version,
        hashes,
        license: entry.license.as_ref().and_then(license),
        optional: entry.optional || entry.peer || entry.dev_optional || entry.extraneous,
        depends: entry.asks().map(|(name, _)| name.clone()).collect(),
    })
}

/// The package above that has an archive of its own, in which this one came and by whose hash it is pinned.
fn archive_around<'a>(path: &'a str, all: &'a BTreeMap<String, RawEntry>) -> Option<&'a str> {
    let mut above = parent(path);
    while let Some(path) = above.filter(|path| !path.is_empty()) {
        match all.get(path) {
            Some(entry) if !entry.in_bundle => {
                let pinned = !integrity::hashes(entry.integrity.as_deref().unwrap_or_default()).is_empty();
                return entry.name.as_deref().or_else(|| directory_name(path)).filter(|_| pinned);
            }
            _ => above = parent(path),
        }
    }
    None
}

/// The package in whose `node_modules` one lies; the empty path for the project.
fn parent(path: &str) -> Option<&str> {
    path.rfind(MODULES).and_then(|at| path.get(..at)).map(|above| above.trim_end_matches('/'))
}

/// Where Node finds a name that a package at `path` asks for: in its own `node_modules`, or in one above.
pub(super) fn locate(path: &str, name: &str, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let mut from = Some(path);
    while let Some(path) = from {
        let candidate = if path.is_empty() { format!("{MODULES}/{name}") } else { format!("{path}/{MODULES}/{name}") };
        if is_there(&candidate) {
            return Some(candidate);
        }
        from = parent(path);
    }
    None
}

/// The directory name, `x` or `@scope/x`, of a path that is only `node_modules/NAME` again and again.
pub(super) fn directory_name(path: &str) -> Option<&str> {
    let mut rest = path;
    loop {
        rest = rest.strip_prefix(MODULES)?.strip_prefix('/')?;
        let slash = rest.find('/');
        let end = match slash {
            Some(at) if rest.starts_with('@') => rest.get(at + 1..)?.find('/').map(|more| at + 1 + more),
            other => other,
        };
        let Some(end) = end else { return is_name(rest).then_some(rest) };
        if !rest.get(..end).is_some_and(is_name) {
            return None;
        }
        rest = rest.get(end + 1..)?;
    }
}

/// `x` or `@scope/x`, of the characters that a URL needs no escape for; old names may have capitals.
pub(super) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part != MODULES
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~!'()*".contains(c))
    };
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name)),
        None => part(name) && !name.starts_with('-'),
    }
}

/// `server` of `@scope/server`.
pub(super) fn unscoped(name: &str) -> &str {
    name.strip_prefix('@').and_then(|scoped| scoped.split_once('/')).map_or(name, |(_, name)| name)
}

/// A version, a range, a tag, or an alias of those: what a registry resolves. Neither ranges nor tags have `/` or `:`.
pub(super) fn from_registry(asked: &str) -> bool {
    let path = asked.trim_start().starts_with(['.', '~']) && !is_range(asked);
    asked.starts_with("npm:") || !(path || asked.contains(['/', ':', '\\']))
}

/// `~1.2` is a range, and `~` or `.` before anything else is a path.
fn is_range(asked: &str) -> bool {
    let rest = asked.trim_start().trim_start_matches(['~', '>', '=', 'v', ' ']);
    asked.trim_start().starts_with('~') && rest.starts_with(|c: char| c.is_ascii_digit() || c == 'x' || c == '*')
}

/// `HOST:PORT` of an `http` or `https` URL; the loopback's is `localhost:PORT`.
pub(super) fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.rfind(':') {
        Some(at) if !address.ends_with(']') => (address.get(..at)?, address.get(at + 1..)?),
        _ => (address, port),
    };
    let number: u16 = port.parse().ok().filter(|_| !port.starts_with('+'))?;
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    match host {
        "" => None,
        _ if loopback => Some(format!("localhost:{number}")),
        _ => Some(format!("{host}:{number}")),
    }
}

/// A URL as it may be shown and kept: without a user, a password, or what follows a question mark.
pub(super) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    format!("{scheme}://{address}{path}")
}

/// The lock without the URLs that carry a user, a password or a signature; npm asks the registry again for those. The same
/// bytes where it has none.
///
/// # Errors
/// It is no JSON.
pub(super) fn scrubbed(text: Vec<u8>) -> Result<Vec<u8>, PackageError> {
    let mut lock: serde_json::Value = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    let mut found = false;
    for key in ["packages", "dependencies"] {
        if let Some(entries) = lock.get_mut(key).and_then(serde_json::Value::as_object_mut) {
            for entry in entries.values_mut().filter_map(serde_json::Value::as_object_mut) {
                let url = entry.get("resolved").and_then(serde_json::Value::as_str);
                if url.is_some_and(|url| without_secrets(url) != url) {
                    found = true;
                    entry.remove("resolved");
                }
            }
        }
    }
    if !found {
        return Ok(text);
    }
    let mut text = serde_json::to_vec_pretty(&lock).map_err(|error| malformed(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// `"MIT"`, or the older `{ "type": "MIT" }`, or a list of those.
pub(super) fn license(value: &serde_json::Value) -> Option<String> {
    let one = |value: &serde_json::Value| {
        let text = value.as_str().or_else(|| value.get("type").and_then(serde_json::Value::as_str))?;
        let text = text.trim();
        (!text.is_empty() && text.len() <= 200).then(|| text.to_owned())
    };
    match value.as_array() {
        Some(several) => {
            let names: Vec<String> = several.iter().filter_map(one).collect();
            (!names.is_empty()).then(|| names.join(" OR "))
        }
        None => one(value),
    }
}

fn malformed(reason: String) -> PackageError {
    PackageError::Malformed { what: FILE.into(), reason }
}

fn unpinned(name: &str, from: &str) -> PackageError {
    PackageError::Unpinned { name: name.to_owned(), from: from.to_owned() }
}

#[cfg(test)]
#[path = "package_lock_tests.rs"]
mod tests;
