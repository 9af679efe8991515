//! What npm is asked to do, as data: words, variables, grants, network. Pure.

use super::config::{Config, Given};
use super::place::Place;
use crate::egress::Written;
use crate::packages::{Access, Job};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUICK: Duration = Duration::from_secs(60);
const FETCH: Duration = Duration::from_secs(900);
const BUILD: Duration = Duration::from_secs(1800);

/// Settings that decide what an install leaves: the same whatever the person's own are. Each with its value, so that no
/// word can be taken for the value of the one before. An npm that does not know one passes over it.
const SETTINGS: [&str; 21] = [
    "--global=false",
    "--audit=false",
    "--fund=false",
    "--update-notifier=false",
    "--progress=false",
    "--color=false",
    "--json=false",
    "--long=false",
    "--logs-max=0",
    "--loglevel=warn",
    "--dry-run=false",
    "--install-strategy=hoisted",
    "--package-lock=true",
    "--lockfile-version=3",
    "--save=true",
    "--save-prod=true",
    "--save-exact=true",
    "--bin-links=true",
    "--ignore-scripts=true",
    // What comes from git is refused anyway, and npm is not to run git on a repository of a stranger's to find out: that
    // job has the person's credentials. The second for an npm that does not know the first.
    "--allow-git=none",
    "--git=/bin/false",
];

/// Everything that jobs have in common.
pub(super) struct Bench<'a> {
    /// Where they work.
    pub(super) place: &'a Place,
    /// What of the person's situation they get.
    pub(super) given: &'a Given,
    /// `PATH`.
    pub(super) path: &'a OsStr,
    /// Fetch nothing.
    pub(super) offline: bool,
}

impl Bench<'_> {
    /// `npm config list`: what the configuration says. Without network.
    pub(super) fn configuration(&self) -> Job {
        let argv = ["npm", "config", "list", "--json", "--long", "--logs-max=0", "--update-notifier=false"];
        self.job("npm config list", argv.map(OsString::from).to_vec(), QUICK)
    }

    /// `npm install --package-lock-only`: chooses versions, writes the lock, unpacks nothing.
    pub(super) fn resolve(&self, config: &Config, specs: &[String], more: &[Written]) -> Job {
        let mut argv = self.words("install", &["--package-lock-only=true"]);
        argv.push("--".into());
        argv.extend(specs.iter().map(OsString::from));
        let job = self.job("npm install --package-lock-only", argv, FETCH);
        self.with_registry(job, config, more)
    }

    /// `npm ci`: fetches and unpacks what the lock names, each archive held against its hash; runs none of it.
    pub(super) fn unpack(&self, config: &Config, more: &[Written]) -> Job {
        let job = self.job("npm ci", self.words("ci", &["--prefer-offline=true"]), FETCH);
        self.with_registry(job, config, more)
    }

    /// `npm audit` of the lock in the root.
    pub(super) fn audit(&self, config: &Config) -> Job {
        let mut argv = self.words("audit", &[]);
        argv.retain(|word| word != "--json=false" && word != "--audit=false");
        argv.extend(["--json=true", "--package-lock-only=true"].map(OsString::from));
        let job = self.job("npm audit", argv, FETCH);
        self.with_registry(job, config, &[])
    }

    /// `npm rebuild DIRECTORY`: runs the install scripts of one package where it lies in the root. It has none of the
    /// person's configuration, a home, a cache and a directory for temporary files of its own, no registry, and may write
    /// only there. By a name npm would run the scripts of everything that is called so, aliases and what an archive
    /// brought in a `node_modules` of its own included.
    pub(super) fn scripts(&self, name: &str, directory: &Path, nodedir: Option<&PathBuf>, network: &[Written]) -> Job {
        let Place { root, home, script, .. } = self.place;
        let setting = |word: &&str| !["--ignore-scripts=true", "--bin-links=true"].contains(word);
        let mut argv: Vec<OsString> = vec!["npm".into(), "rebuild".into()];
        argv.extend(SETTINGS.iter().copied().filter(setting).map(OsString::from));
        argv.extend(
            ["--ignore-scripts=false", "--bin-links=false", "--foreground-scripts=true", "--offline=true"]
                .map(OsString::from),
        );
        // With a slash at its end nothing takes it for an archive.
        let mut spec = OsString::from("./");
        spec.push(directory);
        spec.push("/");
        argv.extend(["--".into(), spec]);
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), self.path.to_owned()),
            ("HOME".into(), script.into()),
            ("TMPDIR".into(), script.join("tmp").into()),
            ("npm_config_cache".into(), script.join("cache").into()),
            // node-gyp is a Python program in a directory that this job may not change.
            ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
            // Neither is there: the job has no part in that directory. Two, since npm refuses one file for both.
            ("npm_config_userconfig".into(), home.join("no-userconfig").into()),
            ("npm_config_globalconfig".into(), home.join("no-globalconfig").into()),
        ];
        let mut grants = vec![(root.clone(), Access::Exec), (script.clone(), Access::WriteAndExec)];
        grants.push((root.join(directory), Access::WriteAndExec));
        if let Some(nodedir) = nodedir {
            env.push(("npm_config_nodedir".into(), nodedir.into()));
            grants.extend(Some((nodedir.join("include/node"), Access::Read)).filter(|(path, _)| path.is_dir()));
        }
        Job {
            name: format!("npm rebuild {name}"),
            argv,
            env,
            cwd: root.clone(),
            grants,
            network: network.to_vec(),
            timeout: BUILD,
        }
    }

    fn words(&self, verb: &str, more: &[&str]) -> Vec<OsString> {
        let offline = if self.offline { "--offline=true" } else { "--offline=false" };
        let words = ["npm", verb].into_iter().chain(SETTINGS).chain(more.iter().copied()).chain([offline]);
        words.map(OsString::from).collect()
    }

    fn job(&self, name: &str, argv: Vec<OsString>, timeout: Duration) -> Job {
        let Place { root, home, temporary, cache, .. } = self.place;
        let mut env = self.given.env.clone();
        env.extend([
            ("PATH".into(), self.path.to_owned()),
            ("HOME".into(), home.into()),
            ("TMPDIR".into(), temporary.into()),
            ("npm_config_cache".into(), cache.into()),
        ]);
        let mut grants: Vec<(PathBuf, Access)> =
            [root, home, temporary, cache].map(|path| (path.clone(), Access::Write)).to_vec();
        grants.extend(self.given.grants.iter().cloned());
        Job { name: name.to_owned(), argv, env, cwd: root.clone(), grants, network: Vec::new(), timeout }
    }

    /// Adds what leads to the registry.
    fn with_registry(&self, mut job: Job, config: &Config, more: &[Written]) -> Job {
        let known: Vec<_> = config.grants.iter().filter(|grant| !job.grants.contains(grant)).cloned().collect();
        job.grants.extend(known);
        if !self.offline {
            job.network = config.network.iter().chain(more).cloned().collect();
        }
        job
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
