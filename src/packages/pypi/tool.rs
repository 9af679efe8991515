//! uv, or the pip of the interpreter where there is no uv: from requirements to a lock, and from a lock to files.

use super::super::{Done, Hash, Job, Options, PackageError, Workshop};
use super::index::Whose;
use super::jobs::{Archives, Site};
use super::python::Base;
use super::requirements::{Lock, hash, pinned, without_secrets};
use super::trouble::{self, About};
use crate::command::{self, Context};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a lock or a report that are read.
const MAX_REPORT: u64 = 64 << 20;

/// What installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tool {
    /// uv, found in `PATH`.
    Uv(PathBuf),
    /// pip: the file that runs it for another interpreter.
    Pip(PathBuf),
}

impl Tool {
    /// uv where it is on the machine, else pip.
    ///
    /// # Errors
    /// [`PackageError::NoTool`] where there is neither, or a pip that is too old.
    pub(super) fn find(base: &Base, options: &Options<'_>) -> Result<Tool, PackageError> {
        let context = Context { cwd: "/".into(), ..options.context.clone() };
        if let Ok(resolved) = command::resolve(&["uv".into(), "--version".into()], &context) {
            return Ok(Tool::Uv(resolved.program));
        }
        let what = match &base.pip {
            Some((version, Some(runner))) if is_new_enough(version) => return Ok(Tool::Pip(runner.clone())),
            Some((version, _)) => format!("a package of PyPI (pip {version} is too old for it)"),
            None => "a package of PyPI".into(),
        };
        let hint = "install uv, such as by `python3 -m pip install --user uv`, or a pip of 22.2 or newer with `python3 -m ensurepip`";
        Err(PackageError::NoTool { tool: "uv", what, hint: hint.into() })
    }

    /// Whose configuration it reads.
    pub(super) fn whose(&self) -> Whose {
        match self {
            Tool::Uv(_) => Whose::Uv,
            Tool::Pip(_) => Whose::Pip,
        }
    }
}

/// From pip 22.2 on there is `--report`.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (22, 2)
}

/// An installation under way.
pub(super) struct Work<'a> {
    /// What installs.
    pub(super) tool: &'a Tool,
    /// Where.
    pub(super) site: Site<'a>,
    /// The server's package, for errors.
    pub(super) asked: &'a str,
    /// Packages whose source archives may be built.
    pub(super) scripts: &'a [String],
    /// Runs the jobs.
    pub(super) workshop: &'a dyn Workshop,
}

impl Work<'_> {
    /// Finds versions that fit each other. Gives the lock, and the packages that have to be built.
    ///
    /// # Errors
    /// What the installer failed of.
    pub(super) fn resolve(&self) -> Result<(Lock, Vec<String>), PackageError> {
        let (done, built) = self.archives(&[], |archives| match self.tool {
            Tool::Uv(uv) => self.site.uv_compile(uv, archives),
            Tool::Pip(runner) => self.site.pip_resolve(runner, archives),
        })?;
        for line in done.stderr.lines().filter_map(|line| line.trim().strip_prefix("warning: ")) {
            if line.contains("yanked") {
                self.workshop.note(&trouble::tail(line).join(" "));
            }
        }
        let text = report(&self.site.resolved())?;
        let lock = match self.tool {
            Tool::Uv(_) => Lock::read(&text)?,
            Tool::Pip(_) => from_report(&text)?,
        };
        Ok((lock, built))
    }

    /// Installs a lock. Gives the packages that were built.
    ///
    /// # Errors
    /// What the installer failed of.
    pub(super) fn install(&self, built: &[String]) -> Result<Vec<String>, PackageError> {
        match self.tool {
            Tool::Uv(uv) => self.archives(built, |archives| self.site.uv_install(uv, archives)).map(|(_, built)| built),
            Tool::Pip(runner) => {
                if built.is_empty() && self.wheels(runner)? {
                    self.run(&self.site.pip_install(runner, Archives { built: &[] }))?;
                    self.keep_wheels();
                    return Ok(Vec::new());
                }
                let built = if built.is_empty() { self.scripts } else { built };
                self.build(&self.site.pip_install(runner, Archives { built }))?;
                Ok(built.to_vec())
            }
        }
    }

    /// Fetches the wheels of a lock; `false` where some are source archives that may be built.
    fn wheels(&self, runner: &Path) -> Result<bool, PackageError> {
        match self.run(&self.site.pip_download(runner)) {
            Ok(_) => Ok(true),
            Err(PackageError::NoPackage { .. } | PackageError::Unfit { .. })
                if !self.scripts.is_empty() && !self.site.offline =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a job with wheels alone; where that fails for want of one, again with builds of the packages that the person
    /// named.
    fn archives(
        &self,
        built: &[String],
        job: impl Fn(Archives<'_>) -> Job,
    ) -> Result<(Done, Vec<String>), PackageError> {
        if !built.is_empty() {
            return Ok((self.build(&job(Archives { built }))?, built.to_vec()));
        }
        let error = match self.run(&job(Archives { built: &[] })) {
            Ok(done) => return Ok((done, Vec::new())),
            Err(error) => error,
        };
        let wanted = matches!(error, PackageError::Unfit { .. } | PackageError::NoPackage { .. });
        if self.scripts.is_empty() || !wanted {
            return Err(error);
        }
        Ok((self.build(&job(Archives { built: self.scripts }))?, self.scripts.to_vec()))
    }

    /// Runs a job in which strangers' builds run, unless they could read credentials of the person's there.
    fn build(&self, job: &Job) -> Result<Done, PackageError> {
        match &self.site.indexes.credentials {
            None => self.run(job),
            Some(place) => Err(PackageError::Line {
                line: format!("--allow-scripts {}", self.scripts.join(" --allow-scripts ")),
                reason: format!("its build could read the credentials in `{}`", crate::diagnose::printable(place)),
                hint: "build its wheel yourself and have the index serve that, or type the same `mcpjail add` with a \
                       configuration that holds no credentials (`UV_CONFIG_FILE`, `PIP_CONFIG_FILE`, `NETRC`)"
                    .into(),
            }),
        }
    }

    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        let done = self.workshop.run(job)?;
        if done.status == 0 && !done.timed_out {
            return Ok(done);
        }
        let about = About {
            job: &job.name,
            name: self.asked,
            registry: &self.site.indexes.name,
            seconds: job.timeout.as_secs(),
            scripts: self.scripts,
        };
        let error = trouble::error(&done, &about);
        // Without an index pip says that there is no such package.
        Err(match error {
            PackageError::NoPackage { name, .. } | PackageError::NoVersion { name, .. } if self.site.offline => {
                PackageError::Offline { name }
            }
            PackageError::DiskFull { .. } => PackageError::DiskFull { path: self.site.root.to_owned() },
            other => other,
        })
    }

    /// Keeps wheels for an installation without a network. It matters little if that fails.
    fn keep_wheels(&self) {
        let kept = self.site.kept_wheels();
        if fs::create_dir_all(&kept).is_err() {
            return;
        }
        for entry in self.site.wheels().read_dir().into_iter().flatten().flatten() {
            let to = kept.join(entry.file_name());
            if !to.exists() && fs::rename(entry.path(), &to).is_err() {
                // Another device: put into place whole.
                let aside = kept.join(format!(".{}.{}", entry.file_name().to_string_lossy(), std::process::id()));
                if fs::copy(entry.path(), &aside).is_err() || fs::rename(&aside, &to).is_err() {
                    let _ = fs::remove_file(&aside);
                }
            }
        }
    }
}

fn report(path: &Path) -> Result<String, PackageError> {
    let meta = path.symlink_metadata().map_err(|error| PackageError::io("read", path, error))?;
    if !meta.is_file() || meta.len() > MAX_REPORT {
        return Err(PackageError::Malformed {
            what: path.display().to_string(),
            reason: "it is no file of a usual size".into(),
        });
    }
    fs::read_to_string(path).map_err(|error| PackageError::io("read", path, error))
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    download_info: Download,
    #[serde(default)]
    is_direct: bool,
    #[serde(default)]
    requested_extras: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Download {
    url: String,
    archive_info: Option<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The lock in pip's installation report, version 1.
fn from_report(text: &str) -> Result<Lock, PackageError> {
    let report: Report = serde_json::from_str(text)
        .map_err(|error| PackageError::Malformed { what: "pip's report".into(), reason: error.to_string() })?;
    let mut lock = Lock::default();
    for Item { metadata, download_info, is_direct, requested_extras } in report.install {
        let from = without_secrets(&download_info.url);
        let archive = download_info.archive_info.filter(|_| !is_direct);
        let Some(Archive { hash: old, hashes }) = archive else {
            return Err(PackageError::Unpinned { name: metadata.name, from });
        };
        let mut found: Vec<Hash> =
            hashes.iter().filter_map(|(algorithm, hex)| hash(&format!("{algorithm}:{hex}"))).collect();
        found.extend(old.and_then(|old| hash(&old.replacen('=', ":", 1))));
        lock.add(pinned(&metadata.name, &requested_extras, &metadata.version, "", found)?)?;
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_pip_is_a_lock() {
        let hex = "a".repeat(64);
        let item = |name: &str, more: &str| {
            format!(
                "{{\"metadata\":{{\"name\":\"{name}\",\"version\":\"1.0\"}},\"download_info\":{{\"url\":\"https://u:p@x/y.whl\"{more}}}}}"
            )
        };
        let archive = format!(
            ",\"archive_info\":{{\"hash\":\"sha256={hex}\",\"hashes\":{{\"sha256\":\"{hex}\",\"md5\":\"00\"}}}}"
        );
        let text = format!("{{\"version\":\"1\",\"install\":[{}]}}", item("A.b", &archive));
        assert_eq!(from_report(&text).unwrap().text(), format!("a-b==1.0 \\\n    --hash=sha256:{hex}\n"));
        for more in
            [",\"vcs_info\":{}", ",\"dir_info\":{}", ",\"archive_info\":{}", ",\"archive_info\":{\"hash\":\"md5=00\"}"]
        {
            let text = format!("{{\"install\":[{}]}}", item("a", more));
            let error = from_report(&text).unwrap_err();
            assert!(
                matches!(error, PackageError::Unpinned { .. }) && !error.to_string().contains("u:p"),
                "{more}: {error}"
            );
        }
        assert!(matches!(from_report("[]"), Err(PackageError::Malformed { .. })));
    }

    #[test]
    fn versions_of_pip() {
        for (version, fits) in
            [("22.2", true), ("22.1.2", false), ("23.0.1", true), ("9.0", false), ("22.2b1", false), ("26.1", true)]
        {
            assert_eq!(is_new_enough(version), fits, "{version}");
        }
    }
}
