//! What is asked about Python packages, and whom: `pip-audit` where it is installed, else a uv that can audit.

use crate::command::Context;
use crate::egress::Written;
use crate::packages::{Access, Component, Job, PackageError};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the databases may take to answer.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Where `pip-audit` asks for vulnerabilities, and uv whether a project is in quarantine.
const PYPI: &str = "pypi.org:443";
/// Where uv asks besides.
const OSV: &str = "api.osv.dev:443";
/// Variables that name certificates which the machine trusts besides.
const CERTIFICATES: [&str; 4] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// Who audits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auditor {
    PipAudit,
    Uv,
}

/// The one that is on `PATH`.
pub(super) fn find(context: &Context) -> Option<(Auditor, PathBuf)> {
    let on_path = |name: &str| {
        let dirs = std::env::split_paths(&context.path).filter(|dir| dir.is_absolute());
        dirs.map(|dir| dir.join(name)).find(|program| program.is_file())
    };
    let pip_audit = on_path("pip-audit").map(|program| (Auditor::PipAudit, program));
    pip_audit.or_else(|| on_path("uv").map(|program| (Auditor::Uv, program)))
}

/// The job. `directory` is empty and stays until it is done; `lock` has a hash for every package.
pub(super) fn job(
    auditor: Auditor,
    program: &Path,
    lock: &[u8],
    components: &[Component],
    directory: &Path,
    context: &Context,
) -> Result<Job, PackageError> {
    let write = |name: &str, text: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|source| PackageError::io("write", path, source))
    };
    let (words, network): (&[&str], &[&str]) = match auditor {
        Auditor::PipAudit => {
            write("requirements.lock", lock)?;
            let words = ["-r", "requirements.lock", "--require-hashes", "--disable-pip", "--format=json"];
            (&[words.as_slice(), &["--progress-spinner=off", "--cache-dir=cache"]].concat(), &[PYPI])
        }
        Auditor::Uv => {
            write("pyproject.toml", project(components)?.as_bytes())?;
            write("uv.lock", uv_lock(components)?.as_bytes())?;
            (&["audit", "--frozen", "--output-format=json", "--no-python-downloads", "--cache-dir=cache"], &[OSV, PYPI])
        }
    };
    let mut grants = vec![(directory.to_owned(), Access::Write)];
    let mut env: Vec<(OsString, OsString)> = vec![("NO_COLOR".into(), "1".into())];
    for name in CERTIFICATES {
        let Some(value) = context.env.get(std::ffi::OsStr::new(name)) else { continue };
        // a path that leads nowhere would leave the auditor without any certificate
        if let Some(real) = Path::new(value).canonicalize().ok().filter(|_| Path::new(value).is_absolute()) {
            grants.push((real.clone(), Access::Read));
            env.push((name.into(), real.into()));
        }
    }
    let argv = std::iter::once(program.as_os_str().to_owned()).chain(words.iter().map(OsString::from)).collect();
    let rule = |to: &&str| Written { to: (*to).to_owned(), private: true, ..Written::default() };
    let network = network.iter().map(rule).collect();
    let name = if auditor == Auditor::Uv { "uv audit" } else { "pip-audit" };
    let cwd = directory.to_owned();
    Ok(Job { name: name.to_owned(), argv, env, cwd, grants, network, timeout: TIMEOUT })
}

/// A project that depends on everything.
fn project(components: &[Component]) -> Result<String, PackageError> {
    let names =
        components.iter().map(|part| Ok(format!("\"{}\"", plain(&part.name)?))).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[project]\n{ROOT}requires-python = \"{PYTHON}\"\ndependencies = [{}]\n", names.join(", ")))
}

/// Its lock, so that uv asks no index which versions those are. uv asks the database about name and version.
fn uv_lock(components: &[Component]) -> Result<String, PackageError> {
    let mut depends = String::new();
    let mut packages = String::new();
    for part in components {
        let (name, version) = (normal(plain(&part.name)?), plain(&part.version)?);
        depends.push_str(&format!("    {{ name = \"{name}\" }},\n"));
        packages.push_str(&format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = {{ registry = \"https://pypi.org/simple\" }}\n"
        ));
    }
    Ok(format!(
        "version = 1\nrequires-python = \"{PYTHON}\"\n\n[[package]]\n{ROOT}source = {{ virtual = \".\" }}\n\
         dependencies = [\n{depends}]\n{packages}"
    ))
}

const ROOT: &str = "name = \"mcpjail-audit\"\nversion = \"0\"\n";
const PYTHON: &str = ">=3.8";

/// A name as uv compares it (PEP 503).
fn normal(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// A name or version that can stand in a string of TOML as it is.
fn plain(text: &str) -> Result<&str, PackageError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text);
    }
    let reason = "it is no name or version of a Python package".to_owned();
    Err(PackageError::Malformed { what: crate::diagnose::printable(text), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn part(name: &str, version: &str) -> Component {
        let (name, version) = (name.to_owned(), version.to_owned());
        Component { name, version, hashes: Vec::new(), license: None, depends: Vec::new() }
    }

    fn context(path: &Path) -> Context {
        Context { cwd: "/".into(), home: "/home/me".into(), path: path.into(), env: BTreeMap::new() }
    }

    #[test]
    fn what_is_asked_about_is_what_is_installed() {
        let parts = [part("Jinja2", "3.1.4"), part("ruamel.yaml", "0.18.6+local")];
        let lock: toml::Table = uv_lock(&parts).unwrap().parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let named: Vec<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
        assert_eq!(named, ["mcpjail-audit", "jinja2", "ruamel-yaml"]);
        assert_eq!(packages[2]["version"].as_str(), Some("0.18.6+local"));
        let project: toml::Table = project(&parts).unwrap().parse().unwrap();
        assert_eq!(project["project"]["dependencies"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_name_cannot_write_a_lock() {
        for name in ["", "a\"\n[[package]]", "a b", "ä", "\u{202e}a"] {
            assert!(uv_lock(&[part(name, "1")]).is_err() && project(&[part(name, "1")]).is_err(), "{name:?}");
            assert!(uv_lock(&[part("a", name)]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_stable_auditor_goes_first_and_reaches_its_databases() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path());
        assert_eq!(find(&context), None);
        let asked: [(_, _, &[&str]); 2] =
            [("uv", Auditor::Uv, &[OSV, PYPI]), ("pip-audit", Auditor::PipAudit, &[PYPI])];
        for (name, auditor, hosts) in asked {
            fs::write(folder.path().join(name), "").unwrap();
            let (found, program) = find(&context).unwrap();
            assert_eq!((found, &program), (auditor, &folder.path().join(name)));
            let work = tempfile::tempdir().unwrap();
            let job = job(found, &program, b"a==1\n", &[part("a", "1")], work.path(), &context).unwrap();
            assert_eq!(job.network.iter().map(|rule| rule.to.as_str()).collect::<Vec<_>>(), hosts);
            assert_eq!(job.grants, [(work.path().to_owned(), Access::Write)]);
        }
    }
}
