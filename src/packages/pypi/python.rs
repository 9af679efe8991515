//! The Python that a server will run on: the machine's own, behind version managers' shims and virtual environments.

use super::super::{Access, Done, Job, PackageError, Workshop};
use super::trouble;
use crate::command::{self, Context};
use crate::egress::Written;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What is asked of an interpreter.
const PROBE: &str = include_str!("py/probe.py");

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An interpreter that environments are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    /// The binary, canonical.
    pub(super) program: PathBuf,
    /// `3.11.7`.
    pub(super) full: String,
    /// Major and minor.
    pub(super) version: (u32, u32),
    /// `cpython`, `pypy`.
    pub(super) implementation: String,
    /// Where an environment keeps its packages, relative to it: `lib/python3.11/site-packages`.
    pub(super) packages: PathBuf,
    /// `lib`, or `lib64` where compiled packages have a directory of their own.
    pub(super) platlib: String,
    /// Its own pip: version, and the file that runs it for another interpreter.
    pub(super) pip: Option<(String, Option<PathBuf>)>,
    /// Its installation.
    pub(super) grants: Vec<(PathBuf, Access)>,
}

#[derive(Deserialize)]
struct Answer {
    base: PathBuf,
    version: Vec<u32>,
    full: String,
    implementation: String,
    platlib: String,
    purelib: PathBuf,
    pip: Option<PipAnswer>,
}

#[derive(Deserialize)]
struct PipAnswer {
    version: String,
    runner: Option<PathBuf>,
}

impl Base {
    /// A job that runs this interpreter, with nothing but its own installation.
    pub(super) fn job(&self, name: &str, arguments: &[&str], cwd: &Path, timeout: Duration) -> Job {
        let program = std::iter::once(self.program.clone().into_os_string());
        Job {
            name: name.into(),
            argv: program.chain(arguments.iter().map(OsString::from)).collect(),
            env: Vec::new(),
            cwd: cwd.to_owned(),
            grants: self.grants.clone(),
            network: Vec::<Written>::new(),
            timeout,
        }
    }
}

/// Finds the interpreter and asks it what it is.
///
/// # Errors
/// [`PackageError::NoTool`] where there is none, [`PackageError::Unfit`] where it is none of Python 3.
pub(super) fn find(
    wanted: Option<&str>,
    context: &Context,
    scratch: &Path,
    workshop: &dyn Workshop,
) -> Result<Base, PackageError> {
    let program = program(wanted, context)?;
    let answer = ask(&program, context, scratch, workshop)?;
    // An environment's interpreter stands for the one that it was made from.
    let base = answer.base.canonicalize().map_err(|error| PackageError::io("find", answer.base.clone(), error))?;
    let grants = installation(&base, context);
    let Answer { version, full, implementation, platlib, purelib, pip, .. } = answer;
    let (major, minor) = (version.first().copied().unwrap_or_default(), version.get(1).copied().unwrap_or_default());
    if (major, minor) < (3, 8) {
        let detail = format!("`{}` is Python {full}, and 3.8 is the oldest that can be used", base.display());
        return Err(PackageError::Unfit { name: "python".into(), detail });
    }
    let plain = purelib.components().all(|part| matches!(part, Component::Normal(_)));
    let lib = matches!(platlib.as_str(), "lib" | "lib64");
    if !plain || purelib.as_os_str().is_empty() || !lib {
        return Err(PackageError::Malformed {
            what: base.display().to_string(),
            reason: "it has an unknown layout".into(),
        });
    }
    let pip = pip.map(|PipAnswer { version, runner }| (version, runner));
    Ok(Base { program: base, full, version: (major, minor), implementation, packages: purelib, platlib, pip, grants })
}

/// The program to ask: a path, a name of `PATH`, or a version that is looked for where managers keep theirs.
fn program(wanted: Option<&str>, context: &Context) -> Result<PathBuf, PackageError> {
    let mut names = Vec::new();
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    match wanted {
        None => names.extend(["python3".to_owned(), "python".to_owned()]),
        Some(word) => match version_of(word) {
            Some(version) => names.push(format!("python{version}")),
            None => names.push(word.to_owned()),
        },
    }
    for name in &names {
        // A name is looked up from nowhere: what lies about in the person's directory chooses no Python.
        let cwd = if name.contains('/') { context.cwd.clone() } else { "/".into() };
        let context = Context { cwd, ..context.clone() };
        if let Ok(resolved) = command::resolve(&[OsString::from(name), "-c".into(), "0".into()], &context) {
            return Ok(resolved.program);
        }
    }
    if let Some(found) = wanted.and_then(version_of).and_then(|version| managed(&version, context)) {
        return Ok(found);
    }
    let hint = match wanted {
        Some(word) if version_of(word).is_some() => {
            format!("install it, such as by `uv python install {word}`, or name another with `uvx --python VERSION`")
        }
        Some(_) => "name a Python of this machine with `uvx --python VERSION`, or leave `--python` away".into(),
        None => "install Python 3, such as by `uv python install`, and see that `python3` is in PATH".into(),
    };
    let what = wanted.map_or_else(|| "a package of PyPI".to_owned(), |word| format!("--python {word}"));
    Err(PackageError::NoTool { tool: "python3", what, hint })
}

/// `3.12` of `3.12`, `3.12.1`, `python3.12`, `cpython@3.12`, `cpython-3.12.1`; `3` alone is `python3`.
fn version_of(word: &str) -> Option<String> {
    let word = word.strip_prefix("==").unwrap_or(word);
    let rest = ["cpython@", "cpython-", "cpython", "python@"]
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix))
        .unwrap_or(word);
    let fits = rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || c == '.');
    fits.then(|| rest.trim_end_matches('.').to_owned())
}

/// The newest interpreter of a version that uv or pyenv keeps.
fn managed(version: &str, context: &Context) -> Option<PathBuf> {
    let var =
        |name: &str| context.env.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = var("XDG_DATA_HOME").unwrap_or_else(|| context.home.join(".local/share"));
    let uv = var("UV_PYTHON_INSTALL_DIR").unwrap_or_else(|| data.join("uv/python"));
    let pyenv = var("PYENV_ROOT").unwrap_or_else(|| context.home.join(".pyenv")).join("versions");
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for (dir, prefix) in [(uv, "cpython-"), (pyenv, "")] {
        let Ok(entries) = dir.read_dir() else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let own = rest.split('-').next().unwrap_or(rest);
            if own != version && !own.starts_with(&format!("{version}.")) {
                continue;
            }
            let Some(parts) = own.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>() else {
                continue;
            };
            let program = entry.path().join("bin/python3");
            if program.is_file() {
                found.push((parts, program));
            }
        }
    }
    found.into_iter().max().map(|(_, program)| program)
}

/// What an interpreter needs of the machine besides the system.
pub(super) fn installation(program: &Path, context: &Context) -> Vec<(PathBuf, Access)> {
    let argv = [program.as_os_str().to_owned(), "-c".into(), "0".into()];
    let grants = command::resolve(&argv, context).map(|resolved| resolved.grants).unwrap_or_default();
    grants.into_iter().map(|grant| (grant.path, Access::Exec)).collect()
}

fn ask(program: &Path, context: &Context, scratch: &Path, workshop: &dyn Workshop) -> Result<Answer, PackageError> {
    let mut grants = installation(program, context);
    // where it runs, which the jail asks for
    grants.push((scratch.to_owned(), Access::Read));
    let job = Job {
        name: "python".into(),
        argv: vec![program.into(), "-I".into(), "-B".into(), "-c".into(), PROBE.into()],
        env: Vec::new(),
        cwd: scratch.to_owned(),
        grants,
        network: Vec::new(),
        timeout: PATIENCE,
    };
    let done = workshop.run(&job)?;
    if done.status != 0 || done.timed_out {
        return Err(failed(program, &done));
    }
    serde_json::from_slice(&done.stdout).map_err(|error| PackageError::Malformed {
        what: program.display().to_string(),
        reason: format!("it is no Python that can be used: {error}"),
    })
}

fn failed(program: &Path, done: &Done) -> PackageError {
    PackageError::Unfit {
        name: "python".into(),
        detail: format!(
            "`{}` does not run: {}",
            program.display(),
            trouble::tail(&done.stderr).pop().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    #[test]
    fn versions_are_told_from_programs() {
        for (word, version) in
            [("3.12", "3.12"), ("3", "3"), ("cpython@3.11", "3.11"), ("cpython-3.12.1", "3.12.1"), ("==3.10", "3.10")]
        {
            assert_eq!(version_of(word).as_deref(), Some(version), "{word}");
        }
        for word in ["python3.12", "/usr/bin/python3", "pypy", ">=3.10", ""] {
            assert_eq!(version_of(word), None, "{word}");
        }
    }

    #[test]
    fn managers_places_are_searched_for_the_newest() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().to_path_buf();
        for name in [
            ".pyenv/versions/3.12.9",
            ".pyenv/versions/3.1.2",
            ".local/share/uv/python/cpython-3.12.11-linux-x86_64-gnu",
            ".pyenv/versions/3.12.x",
        ] {
            fs::create_dir_all(home.join(name).join("bin")).unwrap();
            fs::write(home.join(name).join("bin/python3"), "").unwrap();
        }
        let context = Context { cwd: home.clone(), home: home.clone(), path: "/nowhere".into(), env: BTreeMap::new() };
        let found = |version: &str| managed(version, &context).map(|path| path.strip_prefix(&home).unwrap().to_owned());
        assert_eq!(
            found("3.12").unwrap(),
            Path::new(".local/share/uv/python/cpython-3.12.11-linux-x86_64-gnu/bin/python3")
        );
        assert_eq!(found("3.12.9").unwrap(), Path::new(".pyenv/versions/3.12.9/bin/python3"));
        assert_eq!(found("3.1").unwrap(), Path::new(".pyenv/versions/3.1.2/bin/python3"));
        assert_eq!(found("3.13"), None);
        let error = program(Some("3.13"), &context).unwrap_err();
        assert!(
            matches!(error, PackageError::NoTool { ref hint, .. } if hint.contains("uv python install 3.13")),
            "{error}"
        );
    }
}
