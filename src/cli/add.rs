//! `mcpjail add`: from a host's command line to an approved server in the store.

use super::approve::{Reviewed, review};
use super::ask::{Said, UNREAD, ask, need_somebody};
use super::install::{ConsentArgs, InstallArgs, Made, install, note_skipped};
use super::output::{BOLD, DIM, Failed, IoFailed, note, print, styled, visible};
use super::paths::{self, Chosen};
use super::{TargetArgs, own_executable, shell_word};
use crate::config::{Flags, Launch, Locations, PackageLine, is_name, load_flags_only, load_server};
use crate::diagnose::{Diagnose, Exit};
use crate::facts;
use crate::packages::profile::{self, Draft};
use crate::packages::{Ecosystem, Request, line, squat};
use crate::store::{Change, Record, Store};
use clap::Args;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is added, and what it is granted from then on.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The name that `run` will know it by: lower-case letters, digits, `.`, `_` and `-`
    #[arg(value_name = "NAME")]
    name: String,
    /// `npm:NAME@VERSION` or `pypi:NAME==VERSION`, in the place of a command; without either, what the profile names
    #[arg(value_name = "PACKAGE")]
    package: Option<String>,
    #[command(flatten)]
    grants: AddGrants,
    #[command(flatten)]
    install: InstallArgs,
    #[command(flatten)]
    consent: ConsentArgs,
    /// The command of the host's configuration; after a PACKAGE, the server's arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What the first profile grants.
#[derive(Debug, Clone, Default, Args)]
struct AddGrants {
    /// Let the server read this file or tree (not execute); may be given again
    #[arg(long, value_name = "PATH")]
    read: Vec<String>,
    /// Let the server read, change, create and delete in this file or tree
    #[arg(long, value_name = "PATH")]
    write: Vec<String>,
    /// Let the server read and execute this file or tree
    #[arg(long, value_name = "PATH")]
    exec: Vec<String>,
    /// Let the server see the names in this directory
    #[arg(long, value_name = "PATH")]
    list: Vec<String>,
    /// Keep this read-only inside a --write tree
    #[arg(long, value_name = "PATH")]
    deny_write: Vec<String>,
    /// Pass a variable from the host, or set one
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Let the server connect there by TCP: NAME:PORT, *.NAME:PORT, ADDRESS:PORT, localhost:PORT; may be given again
    #[arg(long, value_name = "RULE")]
    net: Vec<String>,
    /// Allow TCP and UDP inside the jail's own, private loopback
    #[arg(long)]
    loopback: bool,
    /// Add a built-in or own bundle
    #[arg(long = "use", value_name = "BUNDLE")]
    uses: Vec<String>,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    /// There is such a server.
    #[error("there is a server `{name}` already: `{}`", visible(&profile.to_string_lossy()))]
    Exists { name: String, profile: PathBuf },
    /// Not a name.
    #[error("`{name}` is no name for a server")]
    BadName { name: String },
    /// Nearly the name of another one.
    #[error("`{name}` is not `{known}`: {how}")]
    Suspicious { name: String, known: String, how: String },
    /// The person stopped.
    #[error("nothing was added")]
    Nothing,
}

impl Diagnose for AddError {
    fn code(&self) -> &'static str {
        match self {
            AddError::Exists { .. } => "server-exists",
            AddError::BadName { .. } => "bad-name",
            AddError::Suspicious { .. } => "suspicious-name",
            AddError::Nothing => "nothing-approved",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            AddError::Exists { .. } | AddError::BadName { .. } => Exit::Usage,
            AddError::Suspicious { .. } => Exit::Findings,
            AddError::Nothing => Exit::Drift,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            AddError::Exists { name, .. } => {
                Some(format!("`mcpjail update {name}` looks for a newer version, `mcpjail remove {name}` removes it"))
            }
            AddError::BadName { .. } => Some("a name is made of lower-case letters, digits, `.`, `_` and `-`".into()),
            AddError::Suspicious { known, .. } => Some(format!(
                "look at where the name comes from; if it is the one you mean and not `{known}`, add `--accept-findings`"
            )),
            AddError::Nothing => None,
        }
    }
}

pub(super) fn add(args: &AddArgs) -> Result<ExitCode, Failed> {
    let AddArgs { name, .. } = args;
    if !is_name(name) {
        return Err(AddError::BadName { name: name.clone() }.into());
    }
    need_somebody(args.consent.yes, UNREAD)?;
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let cwd = facts::working_directory()?;
    let words: Vec<OsString> = args.package.iter().map(OsString::from).chain(args.command.iter().cloned()).collect();
    let claim = store.claim(name)?;
    let profile = loc.server(name);
    let exists = std::fs::symlink_metadata(&profile).is_ok();
    // a profile that came from another machine names what is to be installed
    let words = match exists && words.is_empty() && store.installed(name)?.is_none() {
        true => of_profile(name, &loc)?,
        false if exists => return Err(AddError::Exists { name: name.clone(), profile }.into()),
        false => words,
    };
    let request = line::read(&words, &cwd)?;
    doubt(&request, args.consent.yes, args.consent.accept_findings)?;
    let made = install(&request, &args.install, None, &store, &loc)?;
    let added = approved(args, &made, exists.then_some(profile.as_path()), &store, &loc);
    let (record, draft, reviewed) = match added {
        Ok(added) => added,
        Err(error) => {
            note_skipped(&made.installed);
            made.discard(&store);
            return Err(error);
        }
    };
    let mut changes = vec![Change::Write { path: store.record_path(name), text: record.to_text() }];
    changes.extend(reviewed.lock.iter().map(|text| Change::Write { path: reviewed.path.clone(), text: text.clone() }));
    changes.extend(draft.iter().map(|draft| Change::Write { path: profile.clone(), text: profile::text(draft) }));
    store.commit(&claim, &changes)?;
    reviewed.settled();
    note_skipped(&made.installed);
    let done = conclusion(name, &made, &draft.unwrap_or_default(), &profile)?;
    print(&format!("{}{done}", reviewed.conclusion))
}

/// The words that install what a profile names.
fn of_profile(name: &str, loc: &Locations) -> Result<Vec<OsString>, Failed> {
    match load_server(name, &Flags::default(), loc)?.launch()? {
        Launch::Package(PackageLine { package, args }) => {
            Ok(std::iter::once(package.value.into()).chain(args).collect())
        }
        Launch::Command(_) => Err(AddError::Exists { name: name.to_owned(), profile: loc.server(name) }.into()),
    }
}

/// Asks about a name that is nearly another one's.
fn doubt(request: &Request, yes: bool, accept: bool) -> Result<(), Failed> {
    let names: Vec<(Ecosystem, &str)> = match request {
        Request::Npm(npm) => npm.packages.iter().map(|spec| (Ecosystem::Npm, spec.name.as_str())).collect(),
        Request::Pypi(pypi) => std::iter::once(&pypi.main)
            .chain(&pypi.with)
            .filter(|spec| !spec.name.is_empty())
            .map(|spec| (Ecosystem::Pypi, spec.name.as_str()))
            .collect(),
        Request::Local(_) => Vec::new(),
    };
    for (ecosystem, name) in names {
        let Some(likeness) = squat::likeness(ecosystem, name) else { continue };
        // the same name in the other ecosystem is often the same author's
        let soft = likeness.kind == squat::Kind::Ecosystem;
        let suspicious = AddError::Suspicious { name: name.into(), known: likeness.known, how: likeness.how };
        if soft {
            note(&suspicious.to_string());
            continue;
        }
        if yes && !accept {
            return Err(suspicious.into());
        }
        note(&format!("WARNING: {suspicious}"));
        if yes {
            continue;
        }
        let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
        let question = format!("is `{}` really what you want?", visible(name));
        let said = ask(&question, &[Said::Yes, Said::No], &mut io::stdin().lock(), &mut anstream::stdout());
        if said.map_err(talk)? != Said::Yes {
            return Err(AddError::Nothing.into());
        }
    }
    Ok(())
}

/// Everything up to the approval: the first profile, the walks through the gate, the questions.
fn approved(
    args: &AddArgs,
    made: &Made,
    profile: Option<&Path>,
    store: &Store,
    loc: &Locations,
) -> Result<(Record, Option<Draft>, Reviewed), Failed> {
    let record = made.record(&args.install, None);
    let draft = profile.is_none().then(|| draft(args, made, loc)).transpose()?;
    let temporary = draft.as_ref().map(|draft| TemporaryProfile::write(&args.name, &profile::text(draft), store));
    let temporary = temporary.transpose()?;
    let profile = temporary.as_ref().map(|temporary| temporary.0.as_path()).or(profile).unwrap_or(Path::new(""));
    let target = TargetArgs::of_staged(&args.name, profile, &record);
    let reviewed = review(&target, &args.consent.terms())?;
    Ok((record, draft, reviewed))
}

/// The first profile.
fn draft(args: &AddArgs, made: &Made, loc: &Locations) -> Result<Draft, Failed> {
    let Made { installed, args: own, .. } = made;
    let chosen = chosen(args, own, loc)?;
    let (set, pass): (Vec<_>, Vec<_>) = args.grants.env.iter().partition(|entry| entry.contains('='));
    let draft = Draft {
        package: Some(installed.release.clone()),
        args: own.clone(),
        read: [args.grants.read.clone(), chosen.read].concat(),
        write: [args.grants.write.clone(), chosen.write].concat(),
        exec: args.grants.exec.clone(),
        list: args.grants.list.clone(),
        deny_write: args.grants.deny_write.clone(),
        proposed: chosen.left,
        network: args.grants.net.clone(),
        loopback: args.grants.loopback,
        pass: pass.into_iter().cloned().collect(),
        set: set
            .into_iter()
            .filter_map(|entry| entry.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        uses: args.grants.uses.clone(),
    };
    Ok(draft)
}

/// A profile that is tried before it is the server's. Removed when dropped.
pub(super) struct TemporaryProfile(pub(super) PathBuf);

impl TemporaryProfile {
    pub(super) fn write(name: &str, text: &str, store: &Store) -> Result<TemporaryProfile, Failed> {
        let path = store.draft_path(name);
        crate::catalog::save(&path, text.as_bytes(), crate::catalog::Replace::Yes)
            .map(|_| TemporaryProfile(path))
            .map_err(Failed::from)
    }
}

impl Drop for TemporaryProfile {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_file(&self.0);
    }
}

/// What becomes of the paths that the server is told of.
fn chosen(args: &AddArgs, own: &[String], loc: &Locations) -> Result<Chosen, Failed> {
    let given = [&args.grants.read, &args.grants.write, &args.grants.exec];
    let granted: Vec<PathBuf> =
        given.into_iter().flatten().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    let values = args.grants.env.iter().filter(|entry| entry.contains('='));
    let told = paths::told(own.iter().chain(values).map(String::as_str), &granted);
    if told.is_empty() {
        return Ok(Chosen::default());
    }
    let protected = load_flags_only(&Flags::default(), loc)?.protected();
    if args.consent.yes {
        return Ok(paths::by_default(told, &protected));
    }
    paths::by_asking(told, &protected, &mut io::stdin().lock(), &mut anstream::stdout())?
        .ok_or_else(|| AddError::Nothing.into())
}

/// What was done, and what to paste into the host's configuration.
fn conclusion(name: &str, made: &Made, draft: &Draft, profile: &Path) -> Result<String, Failed> {
    let Made { kept, installed, .. } = made;
    let mut out = String::new();
    let mut row =
        |what: &str, value: String| out.push_str(&format!("{} {value}\n", styled(DIM, &format!("{what:<12}"))));
    row("package", visible(&installed.release.to_string()));
    let packages = installed.components.len();
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    row(
        "store",
        format!(
            "{packages} package{}, {} files, {} MiB, of which {} MiB were there already",
            if packages == 1 { "" } else { "s" },
            kept.files,
            mib(kept.bytes),
            mib(kept.shared),
        ),
    );
    row("tree", kept.tree.to_string());
    for (what, paths) in [("may read", &draft.read), ("may write", &draft.write), ("may reach", &draft.network)] {
        if !paths.is_empty() {
            row(what, paths.iter().map(|path| visible(path)).collect::<Vec<_>>().join(", "));
        }
    }
    for path in &draft.proposed {
        row("not granted", format!("{}, which is among its arguments", visible(path)));
    }
    row("profile", visible(&profile.to_string_lossy()));
    out.push_str(&format!("\n{}\n", styled(BOLD, "in the host's configuration, under `mcpServers`:")));
    out.push_str(&profile::host_entry(name, &program()?, &draft.pass));
    out.push_str(&format!(
        "\ntry it: `mcpjail explain {0}` prints what it can reach, `mcpjail update {0}` looks for newer versions\n",
        shell_word(name.as_ref())
    ));
    Ok(out)
}

/// How a host finds mcpjail: by its name where that leads to this program, else by its path.
fn program() -> Result<String, Failed> {
    let own = own_executable()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).find_map(|dir| {
        let candidate = dir.join("mcpjail");
        candidate.is_file().then(|| candidate.canonicalize().ok()).flatten()
    });
    Ok(match found {
        Some(found) if found == own => "mcpjail".to_owned(),
        _ => own.to_string_lossy().into_owned(),
    })
}
