//! What the person's own npm is configured to: registries, proxies, certificates. Credentials are never read: npm itself
//! reads them, in the jobs that talk to a registry.
//!
//! `npm config list --json` tells everything but what has a secret in it (`//host/:…`, URLs with a password); for those
//! the lines of the configuration files are looked at, for hosts, for files that they name and for variables.

use super::package_lock;
use crate::command::Context;
use crate::egress::{Rule, Written};
use crate::packages::{Access, PackageError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where packages come from unless the configuration names another registry.
const DEFAULT: &str = "https://registry.npmjs.org/";

/// Variables that reach the jobs which talk to a registry, besides npm's own and those that a configuration names.
const PASSED: [&str; 12] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "PROXY",
    "proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_SYSTEM_CA",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Settings that a job has its own of, or that npm sets for what it starts: they would say something of another place.
const NOT_PASSED: [&str; 13] = [
    "cache",
    "globalconfig",
    "userconfig",
    "local_prefix",
    "global_prefix",
    "node_gyp",
    "npm_version",
    "init_module",
    "user_agent",
    "tmp",
    "logs_dir",
    "node_options",
    "script_shell",
];

/// The part of the person's situation that npm is given.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// Variables: npm's own, proxies, certificates, and those that configuration files name.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Configuration files and what they name. All exist.
    pub(super) grants: Vec<(PathBuf, Access)>,
    /// Settings of the files and variables that name hosts: `registry`, `@scope:registry`, proxies.
    pub(super) settings: BTreeMap<String, String>,
}

/// What npm says of its configuration.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// The default registry as a person knows it, without credentials.
    pub(super) registry: String,
    /// `HOST:PORT` of every registry.
    pub(super) origins: Vec<String>,
    /// Rules for the registries and proxies.
    pub(super) network: Vec<Written>,
    /// More that npm has to read: its certificates.
    pub(super) grants: Vec<(PathBuf, Access)>,
    /// Where Node's headers are, for native modules.
    pub(super) nodedir: Option<PathBuf>,
    /// The global configuration file, where there is one.
    pub(super) globalconfig: Option<PathBuf>,
}

impl Given {
    /// Collects what npm is given. `more` are configuration files besides the person's own.
    pub(super) fn of(context: &Context, more: &[PathBuf]) -> Given {
        let mut given = Given::default();
        let mut named = BTreeSet::new();
        for (name, value) in &context.env {
            if is_npm_setting(name) {
                given.env.push((name.clone(), value.clone()));
                if let (Some(key), Some(value)) = (npm_key(name), value.to_str()) {
                    given.settings.insert(key, value.to_owned());
                }
            }
        }
        // The person's own settings go before those of the machine.
        for (setting, file) in configuration_files(context, more) {
            let Ok(file) = file.canonicalize() else { continue };
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            if let Some(setting) = setting {
                given.env.push((setting.into(), file.clone().into()));
            }
            given.grants.push((file, Access::Read));
            given.read_file(&text, context, &mut named);
        }
        let wanted = PASSED.into_iter().map(OsString::from).chain(named);
        for name in wanted {
            if let Some(value) = context.env.get(&name).filter(|value| !value.is_empty()) {
                if let Some(name) = name.to_str().filter(|name| name.to_ascii_lowercase().ends_with("proxy"))
                    && let Some(value) = value.to_str()
                    && !name.eq_ignore_ascii_case("no_proxy")
                {
                    given.settings.insert(name.to_owned(), value.to_owned());
                }
                given.env.push((name, value.clone()));
            }
        }
        for name in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(value) = context.env.get(OsStr::new(name)) {
                given.grant(&context.cwd.join(value));
            }
        }
        given
    }

    /// Looks at the lines of one file; what an earlier file said stays.
    fn read_file(&mut self, text: &str, context: &Context, named: &mut BTreeSet<OsString>) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with([';', '#'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
            for text in [key, value] {
                named.extend(variables(text).map(|(name, _)| OsString::from(name)).filter(|name| is_plain(name)));
            }
            let value = expanded(value, context);
            let end = key.rsplit(':').next().unwrap_or_default();
            if ["cafile", "certfile", "keyfile"].contains(&end) {
                let path =
                    value.strip_prefix("~/").map_or_else(|| context.cwd.join(&value), |rest| context.home.join(rest));
                self.grant(&path);
            }
            if key.starts_with('@') || names_host(key) {
                self.settings.entry(key.to_owned()).or_insert(value);
            }
        }
    }

    fn grant(&mut self, path: &Path) {
        for path in [Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten() {
            let grant = (path, Access::Read);
            if grant.0.exists() && !self.grants.contains(&grant) {
                self.grants.push(grant);
            }
        }
    }
}

impl Config {
    /// Joins what npm printed with what was given to it.
    ///
    /// # Errors
    /// npm printed something else, or a registry's URL is none that a rule can name.
    pub(super) fn read(listed: &[u8], given: &Given) -> Result<Config, PackageError> {
        let broken = |reason: String| PackageError::Malformed { what: "npm config list".into(), reason };
        let listed: Value = serde_json::from_slice(listed).map_err(|error| broken(error.to_string()))?;
        let listed = listed.as_object().ok_or_else(|| broken("it is no object".into()))?;
        let text = |key: &str| listed.get(key).and_then(Value::as_str).filter(|value| !value.is_empty());
        // What npm tells is what it uses; what it keeps to itself is as the files have it.
        let mut settings = given.settings.clone();
        for (key, value) in listed {
            if (key.starts_with('@') || names_host(key))
                && let Some(value) = value.as_str()
            {
                settings.insert(key.clone(), value.to_owned());
            }
        }
        let registry = settings.get("registry").map_or(DEFAULT, String::as_str);
        let mut origins = vec![origin("registry", registry)?];
        let mut network = Vec::new();
        for (key, value) in &settings {
            if key.starts_with('@') && key.ends_with(":registry") {
                origins.push(origin(key, value)?);
            } else if key.to_ascii_lowercase().replace('_', "-").ends_with("proxy")
                && !["", "null", "false"].contains(&value.as_str())
            {
                let url = if value.contains("://") { value.clone() } else { format!("http://{value}") };
                network.push(origin(key, &url)?);
            }
        }
        // npm asks the configured registry for what a lock has from the default one.
        network.extend(origins.iter().cloned());
        origins.extend(package_lock::origin(DEFAULT));
        origins.sort();
        origins.dedup();
        network.sort();
        network.dedup();
        let network = network.into_iter().map(rule).collect::<Result<Vec<Written>, PackageError>>()?;
        let mut grants = Given::default();
        if let Some(path) = text("cafile") {
            grants.grant(Path::new(path));
        }
        let headers = |dir: &PathBuf| dir.join("include/node/node_version.h").is_file();
        let nodedir = ["nodedir", "prefix"].into_iter().filter_map(text).map(PathBuf::from).find(headers);
        Ok(Config {
            registry: package_lock::without_secrets(registry),
            origins,
            network,
            grants: grants.grants,
            nodedir,
            globalconfig: text("globalconfig").map(PathBuf::from).filter(|path| path.is_file()),
        })
    }
}

fn origin(key: &str, url: &str) -> Result<String, PackageError> {
    package_lock::origin(url).ok_or_else(|| PackageError::Malformed {
        what: format!("npm's `{key}`"),
        reason: format!("`{}` is no http or https URL", package_lock::without_secrets(url)),
    })
}

/// The person's own configuration names it, so that it may well lie in a private network.
fn rule(to: String) -> Result<Written, PackageError> {
    let written = Written { to, private: true, ..Written::default() };
    match Rule::try_from(written.clone()) {
        Ok(_) => Ok(written),
        Err(fault) => {
            Err(PackageError::Malformed { what: format!("npm's registry `{}`", written.to), reason: fault.to_string() })
        }
    }
}

/// The files that npm reads, and the setting that names them to npm in a job.
fn configuration_files(context: &Context, more: &[PathBuf]) -> Vec<(Option<&'static str>, PathBuf)> {
    let named = |wanted: &str| {
        let found = context.env.iter().find(|(name, _)| npm_key(name).as_deref() == Some(wanted));
        found.map(|(_, value)| context.cwd.join(value))
    };
    let user = named("userconfig").unwrap_or_else(|| context.home.join(".npmrc"));
    let mut files = vec![(Some("npm_config_userconfig"), user)];
    if let Some(global) = named("globalconfig") {
        files.push((Some("npm_config_globalconfig"), global));
    }
    files.extend(more.iter().map(|path| (None, path.clone())));
    files
}

/// Where the configuration file of the machine mostly is: npm itself only tells once it runs.
pub(super) fn likely_global(context: &Context) -> Vec<PathBuf> {
    let node = std::env::split_paths(&context.path).map(|directory| context.cwd.join(directory).join("node"));
    let node = node.filter_map(|path| path.canonicalize().ok()).next();
    let of_node = node.and_then(|path| Some(path.parent()?.parent()?.join("etc/npmrc")));
    of_node.into_iter().chain([PathBuf::from("/etc/npmrc")]).filter(|path| path.is_file()).collect()
}

/// Whether a variable is a setting of npm that a job may have.
fn is_npm_setting(name: &OsStr) -> bool {
    npm_key(name).is_some_and(|key| !NOT_PASSED.contains(&key.replace('-', "_").as_str()))
}

/// The setting that a variable gives: `NPM_CONFIG_REGISTRY` is `registry`.
fn npm_key(name: &OsStr) -> Option<String> {
    let name = name.to_str()?;
    let prefix = name.get(.."npm_config_".len()).filter(|prefix| prefix.eq_ignore_ascii_case("npm_config_"))?;
    let key = name.get(prefix.len()..)?;
    Some(if key.starts_with(['/', '@']) { key.to_owned() } else { key.to_ascii_lowercase() })
}

fn names_host(key: &str) -> bool {
    matches!(key.replace('_', "-").as_str(), "registry" | "proxy" | "https-proxy" | "http-proxy")
}

/// A name that a shell could have set, and that is not the program's own.
fn is_plain(name: &OsStr) -> bool {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    name.to_str().is_some_and(|name| !name.is_empty() && plain(name) && !["PATH", "HOME", "TMPDIR"].contains(&name))
}

/// `${NAME}` and `${NAME?}` in a text: the names, and where they stand.
fn variables(text: &str) -> impl Iterator<Item = (&str, std::ops::Range<usize>)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find("${")?;
        let end = start + text.get(start..)?.find('}')?;
        from = end + 1;
        let name = text.get(start + 2..end)?;
        Some((name.strip_suffix('?').unwrap_or(name), start..end + 1))
    })
}

fn expanded(text: &str, context: &Context) -> String {
    let mut out = String::new();
    let mut from = 0;
    for (name, place) in variables(text) {
        out.push_str(text.get(from..place.start).unwrap_or_default());
        match context.env.get(OsStr::new(name)).and_then(|value| value.to_str()) {
            Some(value) => out.push_str(value),
            None => out.push_str(text.get(place.clone()).unwrap_or_default()),
        }
        from = place.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
