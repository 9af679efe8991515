//! The server's environment, from nothing: what the jail sets, what the profile passes and sets.

use super::{Access, Facts, Grant, Variable};
use crate::command::Resolved;
use crate::config::{EnvGrants, Origin};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Variables by which programs find the certificates that a machine trusts, where these are not the usual ones. They hold
/// paths, of one file or of directories with colons between.
const CERTIFICATES: &[&str] = &[
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PGSSLROOTCERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables, ordered by name. A value set by a profile wins over one passed, which wins over the jail's.
///
/// Where there are connections, `connected`, the variables of [`CERTIFICATES`] come along as far as what they name can be
/// read: without them no server reaches anything from behind a company's proxy, and with them, where the file is absent, no
/// server reaches anything at all.
pub(super) fn environment(
    grants: &EnvGrants,
    connected: Option<&[Grant]>,
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
    for (name, value) in &facts.environment {
        let known = name.to_str().is_some_and(|name| CERTIFICATES.contains(&name));
        if known && connected.is_some_and(|granted| is_readable(value, granted)) {
            all.insert(name.clone(), (value.clone(), false, jail.clone()));
        }
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

/// Whether every path of a list lies in a grant, as the grant is called or as a link to it is.
fn is_readable(list: &OsStr, granted: &[Grant]) -> bool {
    let lies_in = |path: &Path| {
        let places = granted.iter().filter(|grant| grant.access != Access::List).map(|grant| &grant.place);
        let mut names = places.flat_map(|place| place.links.iter().map(|(link, _)| link).chain([&place.canonical]));
        let plain = !path.components().any(|part| part == std::path::Component::ParentDir);
        plain && names.any(|name| path.starts_with(name))
    };
    list.as_bytes().split(|byte| *byte == b':').all(|path| lies_in(Path::new(OsStr::from_bytes(path))))
}

/// A name, or a prefix before a final `*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Place;

    fn grant(canonical: &str, link: Option<&str>, access: Access) -> Grant {
        let place = Place {
            canonical: canonical.into(),
            links: link.map(|link| (link.into(), canonical.into())).into_iter().collect(),
            directory: true,
            dev: 1,
            ino: 1,
            origin: Origin::jail(),
        };
        Grant { place, access }
    }

    #[test]
    fn certificates_are_named_only_where_they_can_be_read() {
        let granted = [
            grant("/etc/pki/tls/certs", Some("/etc/ssl/certs"), Access::Read),
            grant("/home/user/listed", None, Access::List),
        ];
        let is_readable = |list: &str| is_readable(OsStr::new(list), &granted);
        for list in ["/etc/pki/tls/certs/ca.pem", "/etc/ssl/certs", "/etc/ssl/certs:/etc/pki/tls/certs"] {
            assert!(is_readable(list), "{list}");
        }
        for list in [
            "",
            "certs",
            "/etc/ssl/certs2/ca.pem",
            "/etc/ssl/certs:/home/user",
            "/etc/ssl/certs:",
            "/etc/ssl/certs/../private",
            "/home/user/listed/ca.pem",
        ] {
            assert!(!is_readable(list), "{list}");
        }
    }
}
