//! `python -m MODULE`: which package of an index that is, as the interpreter that was named has it installed.

use super::super::{Access, Job, PackageError, PypiSpec, Workshop};
use super::requirements::{is_name, without_secrets};
use super::trouble;
use crate::command::{self, Context};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ASK: &str = include_str!("py/module.py");

#[derive(Deserialize)]
struct Found {
    name: Option<String>,
    version: Option<String>,
    direct: Option<Direct>,
}

#[derive(Deserialize)]
struct Direct {
    #[serde(default)]
    url: String,
}

/// The installed package of a module, pinned to the version that is installed.
///
/// # Errors
/// [`PackageError::Line`] where none is installed, [`PackageError::Local`] where it was installed from a directory.
pub(super) fn of(
    module: &str,
    python: Option<&str>,
    context: &Context,
    scratch: &Path,
    workshop: &dyn Workshop,
) -> Result<PypiSpec, PackageError> {
    let python = python.unwrap_or("python3");
    let line = format!("{python} -m {module}");
    let argv: Vec<OsString> = vec![python.into(), "-m".into(), module.into()];
    let resolved = command::resolve(&argv, context).map_err(|error| PackageError::Command(Box::new(error)))?;
    let job = Job {
        name: "python".into(),
        argv: vec![resolved.program.into(), "-B".into(), "-c".into(), ASK.into(), module.into()],
        // Where `pip install --user` puts packages; the job has no home to find it by.
        env: vec![("PYTHONUSERBASE".into(), context.home.join(".local").into())],
        cwd: scratch.to_owned(),
        // and where it runs, which the jail asks for
        grants: resolved
            .grants
            .into_iter()
            .map(|grant| (grant.path, Access::Exec))
            .chain([(scratch.to_owned(), Access::Read)])
            .collect(),
        network: Vec::new(),
        timeout: Duration::from_secs(60),
    };
    let done = workshop.run(&job)?;
    if done.status != 0 || done.timed_out {
        let said = trouble::tail(&done.stderr);
        return Err(PackageError::Failed { job: line, status: done.status, said, refused: done.refused });
    }
    let found: Vec<Found> = serde_json::from_slice(&done.stdout)
        .map_err(|error| PackageError::Malformed { what: line.clone(), reason: error.to_string() })?;
    choose(&line, module, found)
}

fn choose(line: &str, module: &str, found: Vec<Found>) -> Result<PypiSpec, PackageError> {
    let mut found = found.into_iter();
    let Some(Found { name: Some(name), version: Some(version), direct }) = found.next() else {
        return Err(PackageError::Line {
            line: line.into(),
            reason: format!("no package that is installed for that Python has a module `{module}`"),
            hint: format!(
                "name the package: `mcpjail add NAME -- pypi:{}`",
                module.split('.').next().unwrap_or(module).replace('_', "-")
            ),
        });
    };
    if let Some(direct) = direct {
        let path = direct
            .url
            .strip_prefix("file://")
            .map_or_else(|| PathBuf::from(without_secrets(&direct.url)), PathBuf::from);
        return Err(PackageError::Local {
            path,
            reason: format!("`{name}` was installed from there, not from an index"),
            hint: format!(
                "start it as it is, with `mcpjail run -- {line}`, or name a release: `mcpjail add NAME -- pypi:{name}`"
            ),
        });
    }
    if !is_name(&name) {
        return Err(PackageError::Malformed { what: line.into(), reason: "the package's name is none".into() });
    }
    Ok(PypiSpec { name, extras: Vec::new(), version: format!("=={version}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PypiSpec, PackageError> {
        choose("python3 -m a_b.c", "a_b.c", serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_module_is_the_package_that_is_installed() {
        let spec = read("[{\"name\":\"a-b\",\"version\":\"1.2\",\"direct\":null}]").unwrap();
        assert_eq!((spec.name.as_str(), spec.version.as_str()), ("a-b", "==1.2"));
        let error = read("[]").unwrap_err();
        assert!(matches!(error, PackageError::Line { ref hint, .. } if hint.contains("pypi:a-b")), "{error}");
        let error = read("[{\"name\":\"a\",\"version\":\"1\",\"direct\":{\"url\":\"file:///src/a\",\"dir_info\":{\"editable\":true}}}]").unwrap_err();
        assert!(matches!(error, PackageError::Local { ref path, .. } if path == Path::new("/src/a")), "{error}");
        let error =
            read("[{\"name\":\"a\",\"version\":\"1\",\"direct\":{\"url\":\"https://u:p@x/a.whl\"}}]").unwrap_err();
        assert!(!error.to_string().contains("u:p"), "{error}");
        assert!(read("[{\"name\":\"-r x\",\"version\":\"1\",\"direct\":null}]").is_err());
    }
}
