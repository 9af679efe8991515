//! A request as the command line that reads as it, and the name that a server gets where nobody gave one.

use super::shell;
use crate::packages::{NpmRequest, NpmSpec, PypiRequest, PypiRun, PypiSpec, Request};
use std::fmt;

impl fmt::Display for NpmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl fmt::Display for PypiSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        f.write_str(&self.version)
    }
}

/// As words of a shell, as [`Request::words`] gives them.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell(&self.words()))
    }
}

impl Request {
    /// The words of a command that [`super::read`] reads as this request, whatever it was written as at first.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match self {
            Request::Npm(request) => npm(request),
            Request::Pypi(request) => pypi(request),
            Request::Local(request) => request.command.clone(),
        }
    }
}

fn npm(request: &NpmRequest) -> Vec<String> {
    let NpmRequest { packages, bin, node_options, args } = request;
    let mut words = Vec::new();
    match (packages.as_slice(), bin) {
        ([only], None) if node_options.is_empty() => words.push(format!("npm:{only}")),
        (packages, bin) => {
            words.extend(["npx".to_owned(), "-y".to_owned()]);
            if !node_options.is_empty() {
                words.push(format!("--node-options={}", node_options.join(" ")));
            }
            match (packages, bin) {
                ([only], None) => words.push(only.to_string()),
                _ => {
                    words.extend(packages.iter().map(|spec| format!("--package={spec}")));
                    words.push("--".to_owned());
                    // The program of the first package's own choice is named by the package.
                    words.extend(bin.clone().or_else(|| packages.first().map(|spec| spec.name.clone())));
                }
            }
        }
    }
    words.extend_from_slice(args);
    words
}

fn pypi(request: &PypiRequest) -> Vec<String> {
    let PypiRequest { main, with, run, python, args } = request;
    let mut words = Vec::new();
    match (run, python) {
        (PypiRun::Module(module), python) if main.name.is_empty() => {
            words.push(python.clone().unwrap_or_else(|| "python3".to_owned()));
            words.extend(["-m".to_owned(), module.clone()]);
        }
        (PypiRun::Script(None), None) if with.is_empty() => words.push(format!("pypi:{main}")),
        (run, python) => {
            words.push("uvx".to_owned());
            words.extend(python.iter().map(|python| format!("--python={python}")));
            words.extend(with.iter().map(|spec| format!("--with={spec}")));
            match run {
                PypiRun::Script(None) => words.push(main.to_string()),
                PypiRun::Script(Some(script)) => words.extend([format!("--from={main}"), script.clone()]),
                PypiRun::Module(module) => {
                    words.extend([format!("--from={main}"), "python".to_owned(), "-m".to_owned(), module.clone()]);
                }
            }
        }
    }
    words.extend_from_slice(args);
    words
}

/// A name for a server, from that of its package: `filesystem` for `@modelcontextprotocol/server-filesystem`, `git` for
/// `mcp-server-git`, `playwright` for `@playwright/mcp`. Always one that a profile may have.
#[must_use]
pub fn server_name(request: &Request) -> String {
    let (scope, name) = match request {
        Request::Npm(request) => {
            let name = request.packages.first().map_or("", |spec| spec.name.as_str());
            name.strip_prefix('@').and_then(|scoped| scoped.split_once('/')).unwrap_or(("", name))
        }
        Request::Pypi(PypiRequest { run: PypiRun::Module(module), main, .. }) if main.name.is_empty() => {
            ("", module.split('.').next().unwrap_or(module))
        }
        Request::Pypi(request) => ("", request.main.name.as_str()),
        Request::Local(request) => {
            let word = request.command.iter().rev().find(|word| word.contains('/')).or(request.command.first());
            let name = word.map_or("", |word| word.rsplit('/').next().unwrap_or(word));
            ("", name.split('.').next().unwrap_or(name))
        }
    };
    let name = plain(name);
    let parts: Vec<&str> = name.split('-').filter(|part| !matches!(*part, "mcp" | "server" | "servers" | "")).collect();
    let short = if parts.is_empty() { plain(scope) } else { parts.join("-") };
    if short.is_empty() { "server".to_owned() } else { short.chars().take(64).collect() }
}

/// Lower case letters, digits and single `-`.
fn plain(text: &str) -> String {
    let dashed: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
