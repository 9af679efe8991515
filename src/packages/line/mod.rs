//! The command of a host's configuration, read as a package. Pure.
//!
//! ```text
//! wrap    env, sh -c, corepack, node …/npx-cli.js: what they start
//! node    npx, npm exec, bunx, pnpm dlx, yarn dlx, npm:PKG@VER
//! python  uvx, uv tool run, pipx run, python -m, pypi:PKG==VER
//! local   a program or script of this machine
//! names   what a name and a version may be
//! refuse  what cannot be installed from, and what to type instead
//! spell   the other way: a request as a command line
//! ```
//!
//! A word that could change what is installed is understood or refused, never passed over. What is left out only concerns
//! the runner itself: its output, its cache, its questions.

mod local;
mod names;
mod node;
mod options;
mod python;
mod refuse;
mod spell;
mod wrap;

#[cfg(test)]
mod tests;

use super::{PackageError, Request};
use crate::command::{printable, quote};
use std::ffi::{OsStr, OsString};
use std::path::Path;

pub use names::{is_npm_name, is_npm_version, is_python_name, is_python_version, python_key};
pub use spell::server_name;

/// How deep commands may stand in commands (`env sh -c "npx …"`).
const DEEPEST: usize = 4;

/// Longest piece of a command line in a message, characters.
const SHOWN: usize = 200;

type Read<T> = Result<T, Refusal>;

/// Why the words are none to install from, and what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    reason: String,
    hint: String,
}

impl Refusal {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { reason: reason.into(), hint: hint.into() }
    }
}

/// Reads a command line. Relative paths in local commands are made absolute against `cwd`.
///
/// # Errors
/// [`PackageError::Line`]: what cannot be installed from, with what to type instead.
pub fn read(words: &[OsString], cwd: &Path) -> Result<Request, PackageError> {
    let texts: Option<Vec<String>> = words.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let read = match texts {
        Some(texts) => read_words(&texts, cwd, 0),
        None => Err(Refusal::new("a word is not UTF-8, which no profile can hold", "rename the file or the directory")),
    };
    read.map_err(|refusal| error(words, refusal))
}

/// Reads what is asked of one package's version: `1.2.3`, `^2`, `latest` for npm; `1.2.3`, `>=1,<2`, `latest` for Python.
///
/// # Errors
/// [`PackageError::Line`].
pub fn with_version(request: &Request, version: &str) -> Result<Request, PackageError> {
    let mut changed = request.clone();
    let done = match &mut changed {
        Request::Npm(npm) => npm
            .packages
            .first_mut()
            .map(|spec| names::npm_spec(&format!("{}@{version}", spec.name)).map(|read| *spec = read)),
        Request::Pypi(pypi) if !pypi.main.name.is_empty() => {
            let operator = version.starts_with(['=', '<', '>', '~', '!']);
            let text = format!("{}{}{version}", pypi.main.name, if operator { "" } else { "@" });
            Some(names::python_spec(&text).map(|read| pypi.main.version = read.version))
        }
        Request::Pypi(_) | Request::Local(_) => None,
    };
    let hint = "add it again from where its code is now: `mcpjail update NAME` without a version";
    match done {
        Some(Ok(())) => Ok(changed),
        Some(Err(refusal)) => Err(error(&[version.into()], refusal)),
        None => Err(error(&[version.into()], Refusal::new("code of this machine has no other versions", hint))),
    }
}

fn error(words: &[OsString], refusal: Refusal) -> PackageError {
    let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let cut = |text: &str| {
        let text = printable(text);
        match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
            None => text,
        }
    };
    PackageError::Line { line: cut(&line), reason: cut(&refusal.reason), hint: printable(&refusal.hint) }
}

fn read_words(words: &[String], cwd: &Path, depth: usize) -> Read<Request> {
    let Some((program, rest)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        return Err(Refusal::new("there is no command", "give the server's: `mcpjail add NAME -- npx -y PACKAGE`"));
    };
    if let Some(request) = specs(program, rest) {
        return request;
    }
    if depth >= DEEPEST {
        return Err(Refusal::new("commands start commands, more than four deep", "give the last one alone"));
    }
    if let Some(inner) = wrap::unwrap(words)? {
        return read_words(&inner, cwd, depth + 1);
    }
    refuse::check(words)?;
    let name = base(program);
    if let Some(request) = node::read(name, rest)? {
        return Ok(request);
    }
    if let Some(request) = python::read(words, cwd)? {
        return Ok(request);
    }
    local::read(words, cwd).map(Request::Local)
}

/// `npm:PKG@VER ARGS…`, `pypi:PKG==VER ARGS…`.
fn specs(program: &str, rest: &[String]) -> Option<Read<Request>> {
    if let Some(spec) = program.strip_prefix("npm:") {
        return Some(node::from_spec(spec, rest));
    }
    program.strip_prefix("pypi:").map(|spec| python::from_spec(spec, rest))
}

/// A program's name without its directories.
fn base(program: &str) -> &str {
    Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or(program)
}

/// Words as a shell takes them, with blanks between.
fn shell(words: &[impl AsRef<OsStr>]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}
