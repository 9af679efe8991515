//! The server's environment, from nothing: what the jail sets, what the profile passes and sets.

use super::{Facts, Variable};
use crate::command::Resolved;
use crate::config::{EnvGrants, Origin};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables, ordered by name. A value set by a profile wins over one passed, which wins over the jail's.
pub(super) fn environment(
    grants: &EnvGrants,
    command: &Resolved,
    facts: &Facts,
    tmp: &Path,
    home: &Path,
) -> Vec<Variable> {
    let mut all: BTreeMap<OsString, (OsString, bool, Origin)> = BTreeMap::new();
    let jail = Origin::jail();
    let mut path = OsString::new();
    for dir in &command.path_dirs {
        // a directory with a colon in its name cannot stand in PATH
        if !dir.as_os_str().as_bytes().contains(&b':') {
            path.push(dir);
            path.push(":");
        }
    }
    path.push(SYSTEM_PATH);
    let user = OsString::from(&facts.account.user);
    for (name, value) in [
        ("HOME", home.as_os_str().to_owned()),
        ("LOGNAME", user.clone()),
        ("PATH", path),
        ("SHELL", "/bin/sh".into()),
        ("TMPDIR", tmp.as_os_str().to_owned()),
        ("USER", user),
    ] {
        all.insert(name.into(), (value, false, jail.clone()));
    }
    for pattern in &grants.pass {
        for (name, value) in facts.environment.iter().filter(|(name, _)| matches(&pattern.value, name)) {
            all.insert(name.clone(), (value.clone(), true, pattern.origin.clone()));
        }
    }
    for (name, value) in &grants.set {
        all.insert(name.into(), (OsString::from(&value.value), false, value.origin.clone()));
    }
    all.into_iter().map(|(name, (value, passed, origin))| Variable { name, value, passed, origin }).collect()
}

/// A name, or a prefix before a final `*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
        None => name == pattern,
    }
}
