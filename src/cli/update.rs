//! `mcpjail update`: another version beside the one that runs, and the switch when a person approves what differs.

use super::TargetArgs;
use super::add::TemporaryProfile;
use super::approve::{Reviewed, review};
use super::ask::{UNREAD, need_somebody};
use super::install::{ConsentArgs, InstallArgs, Made, install, note_skipped};
use super::output::{BOLD, DIM, Failed, IoFailed, YELLOW, print, styled, visible};
use crate::catalog::load;
use crate::config::Locations;
use crate::diagnose::{Diagnose, Exit};
use crate::packages::changes::{self, changes};
use crate::packages::{Installed, Request, line, profile};
use crate::store::{Before, Change, Claim, Depth, Record, Store};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// What is updated, and how.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The server's name
    #[arg(value_name = "NAME")]
    name: String,
    /// A version, a range or a tag; the newest where absent
    #[arg(value_name = "VERSION", conflicts_with_all = ["rollback", "reinstall"])]
    version: Option<String>,
    /// Go back to what ran before the last update
    #[arg(long, conflicts_with_all = ["reinstall", "offline", "allow_scripts", "install_net"])]
    rollback: bool,
    /// Install the same version again from its lock, where the store was damaged
    #[arg(long)]
    reinstall: bool,
    #[command(flatten)]
    install: InstallArgs,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Why nothing was updated.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpdateError {
    /// Nothing is installed under the name.
    #[error("no package is installed as `{name}`")]
    NotInstalled { name: String },
    /// There was no update.
    #[error("`{name}` runs what was added: there is nothing to go back to")]
    NothingBefore { name: String },
    /// The lock of the tree before is gone.
    #[error("what was approved of the version before is gone: `{}`", visible(&path.to_string_lossy()))]
    NoLockBefore { path: PathBuf },
    /// The profile does not say which package.
    #[error("`{}` has no `package` line", visible(&path.to_string_lossy()))]
    NoPackageLine { path: PathBuf },
    /// The profile cannot be read.
    #[error("cannot read `{}`", visible(&path.to_string_lossy()))]
    Profile { path: PathBuf, source: io::Error },
    /// Nobody was asked about what no registry should serve.
    #[error("the registry has other contents now for {}", visible(packages))]
    Replaced { name: String, packages: String },
    /// A reinstall came out different.
    #[error("the same release has other files now: `{now}` in the place of `{then}`")]
    OtherTree { then: String, now: String },
}

impl Diagnose for UpdateError {
    fn code(&self) -> &'static str {
        match self {
            UpdateError::NotInstalled { .. } => "package-not-installed",
            UpdateError::NothingBefore { .. } | UpdateError::NoLockBefore { .. } => "nothing-before",
            UpdateError::NoPackageLine { .. } => "package-mismatch",
            UpdateError::Profile { .. } => "profile-unreadable",
            UpdateError::Replaced { .. } => "contents-replaced",
            UpdateError::OtherTree { .. } => "reinstall-differs",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            UpdateError::OtherTree { .. } => Exit::Drift,
            UpdateError::Replaced { .. } => Exit::Findings,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            UpdateError::NotInstalled { name } => format!("`mcpjail add {name} -- COMMAND` installs one"),
            UpdateError::NothingBefore { .. } | UpdateError::NoLockBefore { .. } => {
                "`mcpjail update NAME VERSION` installs any version".into()
            }
            UpdateError::NoPackageLine { .. } => "write `package = \"…\"` as `mcpjail store list` shows it".into(),
            UpdateError::Profile { .. } => return None,
            UpdateError::Replaced { name, .. } => format!(
                "find out why; to see all that differs and decide, `mcpjail update {name}` in a terminal; if it is meant, \
                 add `--accept-findings`"
            ),
            UpdateError::OtherTree { .. } => {
                "look at what changed: `mcpjail update NAME VERSION` with the same version shows it and asks".into()
            }
        })
    }
}

/// What is installed under a name.
pub(super) fn record_of(store: &Store, name: &str) -> Result<Record, Failed> {
    Ok(store.installed(name)?.ok_or_else(|| UpdateError::NotInstalled { name: name.to_owned() })?)
}

pub(super) fn update(args: &UpdateArgs) -> Result<ExitCode, Failed> {
    let UpdateArgs { name, .. } = args;
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let claim = store.claim(name)?;
    let record = record_of(&store, name)?;
    let profile = Profile::read(loc.server(name))?;
    let at = At { loc: &loc, store: &store, claim: &claim, name, record: &record, profile: &profile };
    if args.rollback {
        return at.roll_back();
    }
    if args.reinstall {
        return at.reinstall(&args.install);
    }
    need_somebody(args.consent.yes, UNREAD)?;
    at.update(args)
}

/// A profile as it is on the disk.
struct Profile {
    path: PathBuf,
    text: String,
}

impl Profile {
    fn read(path: PathBuf) -> Result<Profile, UpdateError> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Profile { path, text }),
            Err(source) => Err(UpdateError::Profile { path, source }),
        }
    }

    /// The same profile for another release.
    fn with(&self, release: &crate::packages::Release) -> Result<String, UpdateError> {
        profile::with_package(&self.text, release).ok_or_else(|| UpdateError::NoPackageLine { path: self.path.clone() })
    }
}

/// A server that is being updated.
struct At<'a> {
    loc: &'a Locations,
    store: &'a Store,
    claim: &'a Claim,
    name: &'a str,
    record: &'a Record,
    profile: &'a Profile,
}

impl At<'_> {
    /// What was allowed before stays allowed.
    fn install_args(&self, given: &InstallArgs) -> InstallArgs {
        InstallArgs {
            allow_scripts: joined(&self.record.scripts, &given.allow_scripts),
            install_net: joined(&self.record.network, &given.install_net),
            offline: given.offline,
        }
    }

    fn update(&self, args: &UpdateArgs) -> Result<ExitCode, Failed> {
        let request = of_version(&self.record.request, args.version.as_deref())?;
        let install_args = self.install_args(&args.install);
        // what runs now is compared with: it has to be what was approved
        let before = self.store.describe(&self.record.tree).ok();
        let made = install(&request, &install_args, None, self.store, self.loc)?;
        if made.kept.tree == self.record.tree {
            let release = visible(&self.record.release.to_string());
            return print(&format!("{release} is what `{}` runs already\n", self.name));
        }
        let done = self.switch(args, &made, before.as_ref(), &install_args);
        if done.is_err() {
            note_skipped(&made.installed);
            made.discard(self.store);
        }
        done
    }

    fn switch(
        &self,
        args: &UpdateArgs,
        made: &Made,
        before: Option<&Installed>,
        install_args: &InstallArgs,
    ) -> Result<ExitCode, Failed> {
        let Record { release, tree, request: asked, at, .. } = self.record;
        let before_now = Before { release: release.clone(), tree: *tree, request: asked.clone(), at: at.clone() };
        let record = made.record(install_args, Some(before_now));
        let text = self.profile.with(&record.release)?;
        say(&differences(self.record, &record, before, &made.installed))?;
        let replaced = replaced(before, &made.installed);
        if args.consent.yes && !args.consent.accept_findings && !replaced.is_empty() {
            let packages = replaced.join(", ");
            return Err(UpdateError::Replaced { name: self.name.to_owned(), packages }.into());
        }
        let staged = TemporaryProfile::write(self.name, &text, self.store)?;
        let target = TargetArgs::of_staged(self.name, &staged.0, &record);
        let reviewed = review(&target, &args.consent.terms())?;
        let Reviewed { lock, path, .. } = &reviewed;
        let mut changes = vec![Change::Write { path: self.store.record_path(self.name), text: record.to_text() }];
        // what was approved of the version before, for a rollback
        if let Some(old) = load(path)? {
            let text = String::from_utf8_lossy(&old).into_owned();
            changes.push(Change::Write { path: self.store.before_lock_path(self.name), text });
        }
        changes.extend(lock.iter().map(|text| Change::Write { path: path.clone(), text: text.clone() }));
        changes.push(Change::Write { path: self.profile.path.clone(), text });
        self.store.commit(self.claim, &changes)?;
        reviewed.settled();
        say(&reviewed.conclusion)?;
        note_skipped(&made.installed);
        print(&format!(
            "`{0}` runs {1} from now on; `mcpjail update {0} --rollback` goes back to {2}\n",
            self.name,
            visible(&record.release.to_string()),
            visible(&self.record.release.to_string())
        ))
    }

    fn roll_back(&self) -> Result<ExitCode, Failed> {
        let Record { release, tree, request, scripts, network, at, before, .. } = self.record;
        let Some(before) = before else {
            return Err(UpdateError::NothingBefore { name: self.name.to_owned() }.into());
        };
        let path = self.store.before_lock_path(self.name);
        let Some(lock_before) = load(&path)? else { return Err(UpdateError::NoLockBefore { path }.into()) };
        let held = self.store.verify(&before.tree, Depth::Deep)?;
        let record = Record {
            version: 1,
            release: before.release.clone(),
            tree: before.tree,
            start: held.installed.start.clone(),
            request: before.request.clone(),
            scripts: scripts.clone(),
            network: network.clone(),
            at: before.at.clone(),
            before: Some(Before { release: release.clone(), tree: *tree, request: request.clone(), at: at.clone() }),
        };
        let mut changes = vec![Change::Write { path: self.store.record_path(self.name), text: record.to_text() }];
        let lock = self.loc.lock(self.name);
        // the way back again
        changes.push(match load(&lock)? {
            Some(now) => Change::Write { path, text: String::from_utf8_lossy(&now).into_owned() },
            None => Change::Remove { path },
        });
        changes.push(Change::Write { path: lock, text: String::from_utf8_lossy(&lock_before).into_owned() });
        changes.push(Change::Write { path: self.profile.path.clone(), text: self.profile.with(&record.release)? });
        self.store.commit(self.claim, &changes)?;
        print(&format!("`{}` runs {} again\n", self.name, visible(&record.release.to_string())))
    }

    /// Puts the same tree into the store again. Nothing else changes, so nothing is asked.
    fn reinstall(&self, args: &InstallArgs) -> Result<ExitCode, Failed> {
        let Record { release, tree, request, .. } = self.record;
        // the lock that was kept, if it is still what it was
        let lock = ["package-lock.json", "requirements.lock"]
            .into_iter()
            .find_map(|file| self.store.meta(tree, file).ok().flatten());
        let request = of_version(request, Some(&release.version))?;
        let install_args = self.install_args(args);
        let made = install(&request, &install_args, lock.as_deref(), self.store, self.loc)?;
        let now = made.kept.tree;
        if now != *tree {
            made.discard(self.store);
            return Err(UpdateError::OtherTree { then: tree.to_string(), now: now.to_string() }.into());
        }
        print(&format!("{} is in the store again, as it was approved\n", visible(&release.to_string())))
    }
}

/// The request for a version, or for the newest one. Local code has but one: what it is now.
fn of_version(request: &Request, version: Option<&str>) -> Result<Request, Failed> {
    match (request, version) {
        (Request::Local(_), None) => Ok(request.clone()),
        (Request::Local(local), Some("")) => Ok(Request::Local(local.clone())),
        (_, version) => Ok(line::with_version(request, version.unwrap_or("latest"))?),
    }
}

/// Both lists, each entry once.
fn joined(kept: &[String], given: &[String]) -> Vec<String> {
    let mut all = kept.to_vec();
    all.extend(given.iter().filter(|entry| !kept.contains(entry)).cloned());
    all
}

/// Packages whose contents are others under the same version: a person would ask why.
fn replaced(before: Option<&Installed>, after: &Installed) -> Vec<String> {
    let found = before.map(|before| changes(&before.components, &after.components)).unwrap_or_default();
    let grave = found.into_iter().filter_map(|change| match change {
        changes::Change::Contents { name, version } => Some(format!("`{name}` {version}")),
        _ => None,
    });
    grave.collect()
}

/// What differs between the versions, for a person. The catalog's differences follow.
fn differences(then: &Record, now: &Record, before: Option<&Installed>, after: &Installed) -> String {
    const LONGEST: usize = 60;
    let mut out = String::new();
    let mut row =
        |what: &str, value: String| out.push_str(&format!("{} {value}\n", styled(DIM, &format!("{what:<12}"))));
    row("runs", format!("{}, added {}", visible(&then.release.to_string()), visible(&then.at)));
    row("would run", styled(BOLD, &visible(&now.release.to_string())));
    let Some(before) = before else {
        row("packages", "what runs now cannot be read, so nothing can be compared".into());
        return out;
    };
    let mut found = changes(&before.components, &after.components);
    // what nobody expects first, what comes with another version last
    found.sort_by_key(|change| match change {
        changes::Change::Contents { .. } => 0,
        changes::Change::Version { .. } => 1,
        changes::Change::Removed { .. } => 2,
        changes::Change::Added { .. } => 3,
    });
    match found.len() {
        0 => row("packages", "the same".into()),
        1 => row("packages", "one differs".into()),
        count => row("packages", format!("{count} differ")),
    }
    for change in found.iter().take(LONGEST) {
        let line = visible(&change.to_string());
        let grave = matches!(change, changes::Change::Contents { .. });
        out.push_str(&format!("  {}\n", if grave { styled(YELLOW, &line) } else { line }));
    }
    if found.len() > LONGEST {
        out.push_str(&format!("  and {} more\n", found.len() - LONGEST));
    }
    let new: Vec<&str> = after
        .skipped
        .iter()
        .filter(|script| !before.skipped.contains(script))
        .map(|script| script.package.as_str())
        .collect();
    if !new.is_empty() {
        out.push_str(&format!("  new install scripts, which were not run: {}\n", visible(&new.join(", "))));
    }
    out
}

fn say(text: &str) -> Result<(), Failed> {
    anstream::stdout()
        .write_all(text.as_bytes())
        .map_err(|source| IoFailed { what: "write to standard output", source }.into())
}
