//! What npm says when it fails, as an error of ours. Pure.

use super::package_lock;
use crate::diagnose::printable;
use crate::packages::{Done, Job, PackageError};
use std::path::Path;

/// Lines of npm's words that are shown.
const SHOWN: usize = 12;

/// What a job was about.
pub(super) struct About<'a> {
    /// The server's package.
    pub(super) package: &'a str,
    /// The default registry, without credentials.
    pub(super) registry: &'a str,
    /// Where it was to be installed.
    pub(super) root: &'a Path,
}

/// The error of a job that did not end well; `None` where it did.
pub(super) fn of(job: &Job, done: &Done, about: &About<'_>) -> Option<PackageError> {
    if done.timed_out {
        return Some(PackageError::TimedOut { job: job.name.clone(), seconds: job.timeout.as_secs() });
    }
    if done.status == 0 {
        return None;
    }
    let said = Said::read(&done.stderr);
    let registry = || said.registry.clone().unwrap_or_else(|| shown_registry(about.registry));
    let package = || said.package.clone().unwrap_or_else(|| about.package.to_owned());
    let refused = || done.refused.clone();
    Some(match said.code.as_str() {
        "E404" => PackageError::NoPackage { name: package(), registry: registry() },
        "ETARGET" | "ENOVERSIONS" => PackageError::NoVersion {
            version: said.version.clone().unwrap_or_else(|| "latest".into()),
            name: package(),
            registry: registry(),
        },
        "EINTEGRITY" | "EBADSIZE" | "TAR_BAD_ARCHIVE" | "Z_DATA_ERROR" | "Z_BUF_ERROR" => {
            PackageError::Integrity { name: package(), detail: said.first() }
        }
        "ENOSPC" | "EDQUOT" => PackageError::DiskFull { path: about.root.to_owned() },
        "E401" | "E403" | "E407" | "ENEEDAUTH" | "EOTP" => {
            PackageError::Denied { registry: registry(), detail: said.first() }
        }
        "ENOTCACHED" => PackageError::Offline { name: package() },
        "EBADPLATFORM" | "EBADENGINE" | "ENOTSUP" => PackageError::Unfit { name: package(), detail: said.first() },
        "EUNSUPPORTEDPROTOCOL" | "EUNSUPPORTEDURL" | "EALLOWGIT" | "EALLOWREMOTE" | "EALLOWFILE" => {
            let from = said.git.clone().unwrap_or_else(|| said.first());
            PackageError::Unpinned { name: package(), from }
        }
        code if is_network(code) => {
            PackageError::Unreachable { registry: registry(), detail: said.first(), refused: refused() }
        }
        _ if said.git.is_some() => {
            PackageError::Unpinned { name: package(), from: said.git.clone().unwrap_or_default() }
        }
        _ => PackageError::Failed {
            job: job.name.clone(),
            status: done.status,
            said: if done.out_of_memory { vec!["the install jail ran out of memory".into()] } else { said.end() },
            refused: refused(),
        },
    })
}

/// The error of a package's install scripts.
pub(super) fn of_script(job: &Job, done: &Done, package: &str) -> Option<PackageError> {
    if done.timed_out {
        return Some(PackageError::TimedOut { job: job.name.clone(), seconds: job.timeout.as_secs() });
    }
    (done.status != 0).then(|| {
        let own = done.stderr.lines().filter(|line| !is_npms(line));
        let mut said: Vec<String> = last(own.map(printable).filter(|line| !line.trim().is_empty()).collect());
        if said.is_empty() {
            let stdout = String::from_utf8_lossy(&done.stdout);
            said = last(stdout.lines().map(printable).filter(|line| !line.trim().is_empty()).collect());
        }
        if done.out_of_memory {
            said.push("the install jail ran out of memory".into());
        }
        PackageError::ScriptFailed { package: package.to_owned(), said, refused: done.refused.clone() }
    })
}

/// What npm warns of although it went on: packages made for another Node, as `NAME wants node >=22`.
pub(super) fn warnings(stderr: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut package = None;
    for line in stderr.lines().filter_map(|line| strip(line, &["npm warn EBADENGINE", "npm WARN EBADENGINE"])) {
        let quoted = line.split('\'').nth(1);
        if line.trim_start().starts_with("package:") {
            package = quoted;
        } else if line.trim_start().starts_with("required:")
            && let Some((package, required)) = package.take().zip(quoted)
        {
            notes.push(format!("`{}` asks for node {}", printable(package), printable(required)));
        }
    }
    notes
}

struct Said {
    code: String,
    lines: Vec<String>,
    package: Option<String>,
    version: Option<String>,
    registry: Option<String>,
    git: Option<String>,
}

impl Said {
    fn read(stderr: &str) -> Said {
        let mut said =
            Said { code: String::new(), lines: Vec::new(), package: None, version: None, registry: None, git: None };
        for line in stderr.lines() {
            // Warnings name the archive that the error does not.
            for before in ["while extracting ", "tarball data for "] {
                if let Some((_, rest)) = line.split_once(before) {
                    let spec = rest.split_ascii_whitespace().next().unwrap_or_default();
                    said.names(spec.split("@http").next().unwrap_or(spec));
                }
            }
            let Some(text) = strip(line, &["npm error", "npm ERR!"]) else { continue };
            let text = text.trim();
            if let Some(code) = text.strip_prefix("code ") {
                if said.code.is_empty() {
                    said.code = code.trim().to_owned();
                }
                continue;
            }
            let text = without_code(text, &said.code);
            if text.is_empty() || text.starts_with("A complete log of this run") {
                continue;
            }
            said.look_at(text);
            said.lines.push(printable(&shown_words(text)));
        }
        said
    }

    fn look_at(&mut self, text: &str) {
        if let Some(url) = text.split_ascii_whitespace().find(|word| word.contains("://")) {
            let url = url.trim_matches(['"', '\'', '(', ')', ',']).trim_end_matches(':');
            // npm's own pages of help, which stand among its words, are no registry
            let help = ["://www.npmjs.com", "://docs.npmjs.com"].iter().any(|page| url.contains(page));
            if url.starts_with("http") && !help && self.registry.is_none() {
                self.registry = url
                    .split('/')
                    .take(3)
                    .last()
                    .map(|host| printable(host.rsplit_once('@').map_or(host, |(_, host)| host)));
                if self.package.is_none() {
                    self.package = of_url(url);
                }
            }
            if self.git.as_deref().is_none_or(|known| known == "git")
                && (url.starts_with("git") || url.starts_with("ssh:") || text.contains(" ls-remote "))
            {
                self.git = Some(printable(&package_lock::without_secrets(url)));
            }
        }
        if text.contains(" git ") || text.contains("spawn git") || text.contains("/git ") {
            self.git.get_or_insert_with(|| "git".into());
        }
        if let Some(spec) = text.split_once("Refusing to fetch \"").and_then(|(_, rest)| rest.split('"').next()) {
            self.package = None;
            self.names(spec);
            self.git = spec
                .split_once("@git")
                .map(|(_, rest)| printable(&package_lock::without_secrets(&format!("git{rest}"))));
        }
        for (before, after) in [("No matching version found for ", " with a date"), ("No versions available for ", "")]
        {
            if let Some(rest) = text.split_once(before).map(|(_, rest)| rest) {
                let spec = if after.is_empty() { rest } else { rest.split(after).next().unwrap_or(rest) };
                self.package = None;
                self.names(spec.trim_end_matches('.'));
            }
        }
        for (before, after) in
            [("resource '", '\''), ("Unsupported platform for ", ':'), ("Unsupported engine for ", ':')]
        {
            if let Some(spec) = text.split_once(before).and_then(|(_, rest)| rest.split(after).next()) {
                self.package = None;
                self.names(spec);
            }
        }
    }

    /// Takes `NAME@VERSION` apart.
    fn names(&mut self, spec: &str) {
        let at = spec.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
        let name = at.and_then(|at| spec.get(..at)).unwrap_or(spec);
        if self.package.is_none() && package_lock::is_name(name) {
            self.package = Some(name.to_owned());
            self.version = at.and_then(|at| spec.get(at + 1..)).map(printable);
        }
    }

    fn first(&self) -> String {
        let telling = |line: &&String| !line.starts_with("syscall") && !line.starts_with("errno");
        self.lines.iter().find(telling).cloned().unwrap_or_else(|| self.code.clone())
    }

    fn end(self) -> Vec<String> {
        let mut lines: Vec<String> = Some(self.code).filter(|code| !code.is_empty()).into_iter().collect();
        lines.extend(self.lines.into_iter().take(SHOWN));
        lines
    }
}

/// Codes of connections that did not come about: of the system, of TLS, of a registry that is down.
fn is_network(code: &str) -> bool {
    const CODES: [&str; 18] = [
        "ENOTFOUND",
        "EAI_AGAIN",
        "EAI_FAIL",
        "ECONNREFUSED",
        "ECONNRESET",
        "ECONNABORTED",
        "ETIMEDOUT",
        "ERR_SOCKET_TIMEOUT",
        "EIDLETIMEOUT",
        "ERESPONSETIMEOUT",
        "ECONNECTIONTIMEOUT",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "ENETDOWN",
        "EPIPE",
        "EPROTO",
        "E429",
        "FETCH_ERROR",
    ];
    let server = code.len() == 4 && code.starts_with("E5");
    let tls = ["CERT_", "SELF_SIGNED", "DEPTH_ZERO", "UNABLE_TO_", "ERR_TLS", "ERR_SSL", "HOSTNAME_MISMATCH"];
    server || CODES.contains(&code) || tls.iter().any(|prefix| code.starts_with(prefix))
}

fn is_npms(line: &str) -> bool {
    strip(line, &["npm error", "npm ERR!"]).is_some_and(|text| {
        let text = text.trim_start();
        text.is_empty() || ["code", "path", "command", "A complete log"].iter().any(|word| text.starts_with(word))
    }) || strip(line, &["npm warn", "npm WARN", "npm notice"]).is_some()
}

fn strip<'a>(line: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| line.strip_prefix(prefix))
}

/// npm repeats a code's short form at the head of each line: `404 Not Found`, `notarget No matching …`.
fn without_code<'a>(text: &'a str, code: &str) -> &'a str {
    let short = code.strip_prefix('E').unwrap_or(code).to_ascii_lowercase();
    let rest = text.split_once(' ').filter(|(word, _)| *word == short || *word == code).map(|(_, rest)| rest);
    if text == short { "" } else { rest.map_or(text, str::trim) }
}

/// A line without the credentials of its URLs.
fn shown_words(text: &str) -> String {
    let word = |word: &str| if word.contains("://") { package_lock::without_secrets(word) } else { word.to_owned() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The package that a registry's URL is about: `/name`, `/@scope%2fname`, `/name/-/name-1.0.0.tgz`.
fn of_url(url: &str) -> Option<String> {
    let path = url.split("://").nth(1)?.split(['?', '#']).next()?;
    let path = path.split("/-/").next()?.replace("%2f", "/").replace("%2F", "/").replace("%40", "@");
    let mut parts = path.rsplit('/');
    let last = parts.next()?;
    let scope = parts.next().filter(|scope| scope.starts_with('@'));
    let name = scope.map_or_else(|| last.to_owned(), |scope| format!("{scope}/{last}"));
    (path.contains('/') && package_lock::is_name(&name)).then_some(name)
}

/// A registry as a person knows it.
pub(super) fn shown_registry(url: &str) -> String {
    let shown = url.split_once("://").map_or(url, |(_, rest)| rest);
    printable(shown.trim_end_matches('/'))
}

fn last(mut lines: Vec<String>) -> Vec<String> {
    let first = lines.len().saturating_sub(SHOWN);
    lines.drain(..first);
    lines
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
