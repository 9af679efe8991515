//! The jobs of an installation. Pure: what is run, with which variables, paths and hosts.

use super::super::{Access, Job};
use super::index::Indexes;
use super::python::Base;
use super::scripts::VENV;
use crate::egress::Written;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a resolution may take.
const RESOLVE: Duration = Duration::from_secs(10 * 60);
/// How long an installation may take, with downloads and builds.
const INSTALL: Duration = Duration::from_secs(30 * 60);
/// How long compiling may take.
const COMPILE: Duration = Duration::from_secs(15 * 60);

/// Compiles a tree.
const COMPILER: &str = include_str!("py/compile.py");
/// Turns an interpreter into the one of an environment: a job's own program is the machine's.
const BECOME: &str = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])";

/// What all jobs of an installation share.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    /// What will be the tree.
    pub(super) root: &'a Path,
    /// Thrown away.
    pub(super) scratch: &'a Path,
    /// Downloads that may be used again.
    pub(super) cache: &'a Path,
    /// The interpreter.
    pub(super) base: &'a Base,
    /// The person's indexes.
    pub(super) indexes: &'a Indexes,
    /// More that may be reached.
    pub(super) network: &'a [Written],
    /// Fetch nothing.
    pub(super) offline: bool,
}

/// Which archives are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Archives<'a> {
    /// Packages whose source archives may be built, which runs their code. All others come as wheels.
    pub(super) built: &'a [String],
}

impl Archives<'_> {
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--only-binary".into(), ":all:".into()];
        for name in self.built {
            arguments.extend(["--no-binary".into(), name.into()]);
        }
        arguments
    }
}

impl Site<'_> {
    /// The requirements that are asked for.
    pub(super) fn asked(&self) -> PathBuf {
        self.scratch.join("asked.txt")
    }

    /// What the resolver writes.
    pub(super) fn resolved(&self) -> PathBuf {
        self.scratch.join("resolved.txt")
    }

    /// The lock that is installed.
    pub(super) fn locked(&self) -> PathBuf {
        self.scratch.join("requirements.txt")
    }

    /// Wheels that pip fetched in this installation.
    pub(super) fn wheels(&self) -> PathBuf {
        self.scratch.join("wheels")
    }

    /// Wheels that pip fetched in earlier ones.
    pub(super) fn kept_wheels(&self) -> PathBuf {
        self.cache.join("wheels")
    }

    /// The cache of a job: what strangers' builds can write to is not used again.
    fn own_cache(&self, tool: &str, archives: Archives<'_>) -> PathBuf {
        if archives.built.is_empty() { self.cache.join(tool) } else { self.scratch.join("cache").join(tool) }
    }

    fn python(&self) -> OsString {
        self.root.join(VENV).join("bin/python").into()
    }

    fn job(&self, name: &str, argv: Vec<OsString>, archives: Archives<'_>, timeout: Duration) -> Job {
        let write = if archives.built.is_empty() { Access::Write } else { Access::WriteAndExec };
        let mut job = Job {
            name: name.into(),
            argv,
            env: vec![("TMPDIR".into(), self.scratch.join("tmp").into()), ("NO_COLOR".into(), "1".into())],
            cwd: self.scratch.to_owned(),
            grants: self.base.grants.clone(),
            network: Vec::new(),
            timeout,
        };
        job.grants.extend([(self.scratch.to_owned(), write), (self.root.to_owned(), Access::Write)]);
        if archives.built.is_empty() {
            job.grants.push((self.cache.to_owned(), Access::Write));
        }
        let builds = (!archives.built.is_empty()).then(|| self.indexes.of_builds());
        let indexes = builds.as_ref().unwrap_or(self.indexes);
        if self.offline {
            let offline = Indexes { rules: Vec::new(), ..indexes.clone() };
            offline.give(&mut job, &[]);
        } else {
            indexes.give(&mut job, self.network);
        }
        job
    }

    fn uv(&self, uv: &Path, words: &[&OsStr], archives: Archives<'_>, timeout: Duration) -> Job {
        let mut argv: Vec<OsString> = vec![uv.into(), "pip".into()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(archives.arguments());
        argv.extend(["--no-progress".into(), "--color".into(), "never".into()]);
        if self.offline {
            argv.push("--offline".into());
        }
        let verb = words.first().and_then(|word| word.to_str()).unwrap_or_default();
        let mut job = self.job(&format!("uv pip {verb}"), argv, archives, timeout);
        job.env.extend([
            ("UV_CACHE_DIR".into(), self.own_cache("uv", archives).into()),
            ("UV_PYTHON_DOWNLOADS".into(), "never".into()),
            ("UV_NO_WRAP".into(), "1".into()),
        ]);
        job
    }

    /// `uv pip compile`: from what is asked for to a lock with hashes.
    pub(super) fn uv_compile(&self, uv: &Path, archives: Archives<'_>) -> Job {
        let (asked, resolved) = (self.asked(), self.resolved());
        let words: [&OsStr; 9] = [
            "compile".as_ref(),
            "--generate-hashes".as_ref(),
            "--no-header".as_ref(),
            "--no-annotate".as_ref(),
            "--no-strip-extras".as_ref(),
            "--python".as_ref(),
            self.base.program.as_os_str(),
            "--output-file".as_ref(),
            resolved.as_os_str(),
        ];
        let mut job = self.uv(uv, &words, archives, RESOLVE);
        job.argv.push(asked.into());
        job
    }

    /// `uv pip install`: exactly the lock, every archive held against its hash.
    pub(super) fn uv_install(&self, uv: &Path, archives: Archives<'_>) -> Job {
        let (python, locked) = (self.python(), self.locked());
        let words: [&OsStr; 9] = [
            "install".as_ref(),
            "--python".as_ref(),
            &python,
            "--require-hashes".as_ref(),
            "--no-deps".as_ref(),
            "--link-mode".as_ref(),
            "copy".as_ref(),
            "--requirements".as_ref(),
            locked.as_os_str(),
        ];
        self.uv(uv, &words, archives, INSTALL)
    }

    fn pip(&self, runner: &Path, words: &[&OsStr], archives: Archives<'_>, timeout: Duration) -> Job {
        let mut argv: Vec<OsString> = vec![
            self.base.program.clone().into(),
            "-I".into(),
            "-c".into(),
            BECOME.into(),
            self.python(),
            "-I".into(),
            runner.into(),
        ];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        argv.extend(archives.arguments());
        argv.extend(["--no-input".into(), "--disable-pip-version-check".into(), "--cache-dir".into()]);
        argv.push(self.own_cache("pip", archives).into());
        let verb = words.first().and_then(|word| word.to_str()).unwrap_or_default();
        self.job(&format!("pip {verb}"), argv, archives, timeout)
    }

    /// Wheels of earlier installations: for a lock, whose hashes say which ones, and where nothing may be fetched. A resolution
    /// that could fall back to them would hide that an index is not reached, and would take the highest version of both:
    /// one that another index once served.
    fn pip_sources(&self, job: &mut Job, locked: bool) {
        if self.offline {
            job.argv.push("--no-index".into());
        }
        let kept = self.kept_wheels();
        if (self.offline || locked) && kept.is_dir() {
            job.argv.extend(["--find-links".into(), kept.into()]);
        }
    }

    /// `pip install --dry-run --report`: from what is asked for to a report with hashes.
    pub(super) fn pip_resolve(&self, runner: &Path, archives: Archives<'_>) -> Job {
        let (asked, resolved) = (self.asked(), self.resolved());
        let words: [&OsStr; 7] = [
            "install".as_ref(),
            "--dry-run".as_ref(),
            "--ignore-installed".as_ref(),
            "--report".as_ref(),
            resolved.as_os_str(),
            "--requirement".as_ref(),
            asked.as_os_str(),
        ];
        let mut job = self.pip(runner, &words, archives, RESOLVE);
        job.name = "pip install --dry-run".into();
        self.pip_sources(&mut job, false);
        job
    }

    /// `pip download`: the lock's archives, each held against its hash.
    pub(super) fn pip_download(&self, runner: &Path) -> Job {
        let (locked, wheels) = (self.locked(), self.wheels());
        let words: [&OsStr; 7] = [
            "download".as_ref(),
            "--require-hashes".as_ref(),
            "--no-deps".as_ref(),
            "--dest".as_ref(),
            wheels.as_os_str(),
            "--requirement".as_ref(),
            locked.as_os_str(),
        ];
        let mut job = self.pip(runner, &words, Archives { built: &[] }, INSTALL);
        self.pip_sources(&mut job, true);
        job
    }

    /// `pip install`: from the wheels that were fetched and without a network, or with builds and what they need.
    pub(super) fn pip_install(&self, runner: &Path, archives: Archives<'_>) -> Job {
        let locked = self.locked();
        let words: [&OsStr; 8] = [
            "install".as_ref(),
            "--require-hashes".as_ref(),
            "--no-deps".as_ref(),
            "--no-compile".as_ref(),
            "--ignore-installed".as_ref(),
            "--no-warn-script-location".as_ref(),
            "--requirement".as_ref(),
            locked.as_os_str(),
        ];
        let mut job = self.pip(runner, &words, archives, INSTALL);
        if archives.built.is_empty() {
            job.argv.extend(["--no-index".into(), "--find-links".into(), self.wheels().into()]);
            job.network.clear();
        } else {
            self.pip_sources(&mut job, true);
        }
        job
    }

    /// Compiles what is installed, to the same bytes wherever the tree lies. Nothing of it is imported.
    pub(super) fn compile(&self, directories: &[PathBuf]) -> Job {
        let mut job =
            self.base.job("compiling", &["-s", "-S", "-B", "-W", "ignore", "-c", COMPILER], self.scratch, COMPILE);
        job.argv.push(self.root.into());
        job.argv.extend(directories.iter().map(|dir| dir.clone().into_os_string()));
        // The order of a set's elements is the order of their hashes.
        job.env.push(("PYTHONHASHSEED".into(), "0".into()));
        job.grants.extend([(self.scratch.to_owned(), Access::Read), (self.root.to_owned(), Access::Write)]);
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(offline: bool, test: impl FnOnce(&Site<'_>)) {
        let base = Base {
            program: "/usr/bin/python3.11".into(),
            full: "3.11.2".into(),
            version: (3, 11),
            implementation: "cpython".into(),
            packages: "lib/python3.11/site-packages".into(),
            platlib: "lib".into(),
            pip: None,
            grants: vec![("/opt/python".into(), Access::Exec)],
        };
        let rule = Written { to: "pypi.org:443".into(), private: true, ..Written::default() };
        let indexes = Indexes {
            env: vec![("UV_INDEX_A_PASSWORD".into(), "secret".into())],
            read: vec!["/home/me/.netrc".into()],
            rules: vec![rule],
            name: "PyPI".into(),
            secret: vec!["/home/me/.netrc".into()],
            credentials: None,
        };
        let more = [Written { to: "cdn.example:443".into(), ..Written::default() }];
        test(&Site {
            root: Path::new("/s/root"),
            scratch: Path::new("/s/scratch"),
            cache: Path::new("/c"),
            base: &base,
            indexes: &indexes,
            network: &more,
            offline,
        });
    }

    fn has(job: &Job, word: &str) -> bool {
        job.argv.iter().any(|argument| argument == word)
    }

    #[test]
    fn nothing_is_built_unless_it_is_named() {
        with(false, |site| {
            let none = Archives { built: &[] };
            let built = ["docopt".to_owned()];
            let some = Archives { built: &built };
            let (uv, pip) = (Path::new("/bin/uv"), Path::new("/p/__pip-runner__.py"));
            for job in [
                site.uv_compile(uv, none),
                site.uv_install(uv, none),
                site.pip_resolve(pip, none),
                site.pip_install(pip, none),
                site.pip_download(pip),
            ] {
                assert!(has(&job, "--only-binary") && has(&job, ":all:") && !has(&job, "--no-binary"), "{job:?}");
                assert!(!job.grants.iter().any(|(_, access)| *access == Access::WriteAndExec), "{job:?}");
            }
            for job in [
                site.uv_compile(uv, some),
                site.uv_install(uv, some),
                site.pip_resolve(pip, some),
                site.pip_install(pip, some),
            ] {
                assert!(has(&job, "--only-binary") && has(&job, "--no-binary") && has(&job, "docopt"), "{job:?}");
                assert!(
                    !job.grants.iter().any(|(path, _)| path == Path::new("/c")),
                    "a build cannot write to the cache: {job:?}"
                );
                assert!(!job.env.iter().any(|(_, value)| value == "/c/uv") && !has(&job, "/c/pip"));
                assert!(!job.grants.iter().any(|(path, _)| path == Path::new("/home/me/.netrc")), "{job:?}");
            }
        });
    }

    #[test]
    fn kept_wheels_are_for_locks_and_installations_without_a_network() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir(cache.path().join("wheels")).unwrap();
        let none = Archives { built: &[] };
        for offline in [false, true] {
            with(offline, |site| {
                let site = Site { cache: cache.path(), ..site.clone() };
                let (resolve, download) = (site.pip_resolve(Path::new("r"), none), site.pip_download(Path::new("r")));
                assert_eq!((has(&resolve, "--find-links"), has(&resolve, "--no-index")), (offline, offline));
                // what a lock's hashes name is the same from wherever it comes
                assert!(has(&download, "--require-hashes") && has(&download, "--find-links"), "{download:?}");
                assert_eq!(has(&download, "--no-index"), offline);
            });
        }
    }

    #[test]
    fn only_jobs_that_fetch_have_a_network_and_credentials() {
        with(false, |site| {
            let none = Archives { built: &[] };
            let fetch = site.uv_install(Path::new("uv"), none);
            assert_eq!(fetch.network.len(), 2);
            assert!(has(&fetch, "--require-hashes") && has(&fetch, "--no-deps"));
            let compile = site.compile(&[]);
            assert!(
                compile.network.is_empty() && compile.env == [("PYTHONHASHSEED".into(), OsString::from("0"))],
                "{compile:?}"
            );
            assert!(!compile.grants.iter().any(|(path, _)| path == Path::new("/home/me/.netrc")));
            assert!(site.pip_install(Path::new("r"), none).network.is_empty());
        });
        with(true, |site| {
            for job in [
                site.uv_install(Path::new("uv"), Archives { built: &[] }),
                site.pip_resolve(Path::new("r"), Archives { built: &[] }),
            ] {
                assert!(job.network.is_empty() && (has(&job, "--offline") || has(&job, "--no-index")), "{job:?}");
            }
        });
    }
}
