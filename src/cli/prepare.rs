//! From arguments to a plan: config, command, facts, plan. Shared by `run` and `explain`.

use super::TargetArgs;
use super::output::Failed;
use super::packaged::{Package, Verifying};
use crate::catalog::Identity;
use crate::command::{self, Context, Resolved, Runtime};
use crate::config::{
    Flags, Launch, Located, Locations, Locator, Origin, PathGrant, Profile, Source, Sourced, Tier, Variables, is_name,
    load_flags_only, load_server, load_staged,
};
use crate::config::{Kind, Layers, Protected};
use crate::facts;
use crate::identity::{self, Hashes, IdentityError};
use crate::plan::syscalls;
use crate::plan::{self, Access, Grant, Inputs, Place, Plan};
use crate::sockets;
use crate::store::Depth;
use crate::store::Store;
use std::path::{Path, PathBuf};

/// Everything that was looked up; a plan for either tier can be made of it.
pub(super) struct Prepared {
    loc: Locations,
    profile: Profile,
    command: Resolved,
    grants: Vec<Grant>,
    islands: Vec<Place>,
    guards: Vec<Place>,
    absent: Vec<PathBuf>,
    protected: Protected,
    lock: Sourced<PathBuf>,
    key: String,
    /// The command as it was written.
    written: Vec<String>,
    cwd: PathBuf,
    /// What of the store it runs from.
    package: Option<Package>,
}

/// What a server is known by.
#[derive(Debug, Clone)]
pub(super) struct Called {
    /// What sessions met and refused.
    pub(super) record: PathBuf,
    /// What is launched.
    pub(super) identity: Identity,
}

impl Prepared {
    /// Looks everything up. `verify` says how thoroughly a package is verified meanwhile; with `None` it is not, as where
    /// nothing is started.
    pub(super) fn new(args: &TargetArgs, trust_first_use: bool, verify: Option<Depth>) -> Result<Prepared, Failed> {
        let loc = Locations::from_environment()?;
        let flags = Flags { trust_first_use, ..flags(args) };
        let (layers, launch) = match &args.name {
            Some(name) => {
                let layers = match &args.staged {
                    Some(staged) => load_staged(name, &staged.profile, &flags, &loc)?,
                    None => {
                        // an update that was killed is carried out first, and so profile, lock and package fit each other
                        if is_name(name) {
                            Store::new(&loc.data_dir).finish(name)?;
                        }
                        load_server(name, &flags, &loc)?
                    }
                };
                let launch = layers.launch()?;
                (layers, launch)
            }
            None => {
                let origin = Origin { source: Source::Command, line: None };
                let line = Sourced { value: args.command.clone(), origin };
                (load_flags_only(&flags, &loc)?, Launch::Command(line))
            }
        };
        Prepared::from_layers(layers, launch, loc, args, verify)
    }

    fn from_layers(
        layers: Layers,
        launch: Launch,
        loc: Locations,
        args: &TargetArgs,
        verify: Option<Depth>,
    ) -> Result<Prepared, Failed> {
        let cwd = facts::working_directory()?;
        let (argv, package, command) = match launch {
            Launch::Command(Sourced { value: argv, origin: _ }) => {
                let command = command::resolve(&argv, &Context::of_process()?)?;
                (argv, None, command)
            }
            Launch::Package(line) => {
                let mut package = Package::find(args, &line, &loc, verify)?;
                let command = match (package.resolve(&line.args), &mut package.verifying) {
                    (Ok(command), _) => command,
                    // a file that is not there is missing in the store first of all
                    (Err(error), verifying) => {
                        verifying.take().map(Verifying::end).transpose()?;
                        return Err(error);
                    }
                };
                (Vec::new(), Some(package), command)
            }
        };
        let key = args.name.clone().unwrap_or_else(|| identity::command_key(&argv, command.entry.as_deref(), &cwd));
        let lock = lock(args, &key, &loc, &cwd);
        // the caller's own arguments are no part of what was approved: they are paths of this machine, mostly
        let written =
            layers.written().unwrap_or_else(|| argv.iter().map(|word| word.to_string_lossy().into_owned()).collect());
        let protected = layers.protected();
        let mut locator = Locator::new(protected.clone());
        let mut variables = Variables::from_environment(&loc, command.server_args.clone());
        variables.syscall_members = members;
        let mut profile = layers.finish(built_in(command.runtime), &variables)?;
        if let Some(package) = &package {
            package.keep_imports_inside(&mut profile);
        }
        let files = locator.files(&profile.files)?;
        let mut grants = Vec::new();
        for (access, located) in [
            (Access::Read, &files.read),
            (Access::Write, &files.write),
            (Access::List, &files.list),
            (Access::Exec, &files.exec),
        ] {
            grants.extend(located.iter().map(|l| Grant { place: place(l), access }));
        }
        let own = locator.command(&command.grants, &profile.files)?;
        grants.extend(own.iter().map(|l| Grant { place: place(l), access: Access::Exec }));
        let islands: Vec<Place> = files.deny_write.iter().map(place).collect();
        if let Some(package) = &package {
            package.keep_from_server(&grants, &islands)?;
            let place = place(&locator.store(&package.root)?);
            grants.push(Grant { place, access: Access::Exec });
        }
        keep_from_server(&lock.value, &grants, &islands)?;
        let (guards, absent) = guards(&profile, &grants, &mut locator)?;
        Ok(Prepared {
            loc,
            profile,
            command,
            grants,
            islands,
            guards,
            absent,
            protected,
            lock,
            key,
            written,
            cwd,
            package,
        })
    }

    /// The least tier that the person accepts.
    pub(super) fn least_tier(&self) -> Tier {
        self.profile.tier.value
    }

    /// Guarded names that do not exist in the writable grants now: a mount cannot keep them from being made.
    pub(super) fn absent(&self) -> Vec<PathBuf> {
        self.absent.clone()
    }

    /// What the server is known by. Hashes what is launched.
    pub(super) fn called(&self) -> Called {
        let (written, hashes) = (self.written.clone(), Hashes::new(self.loc.hashes()));
        let identity = match &self.package {
            Some(package) => {
                let interpreter = self.command.interpreter.as_deref();
                identity::identity_of_package(written, package.pin.clone(), interpreter, &hashes)
            }
            None => identity::identity(written, &self.command, &hashes),
        };
        Called { record: self.loc.drift_record(&self.key), identity }
    }

    /// The package's tree, which is being verified. There once; whoever takes it has to see how that ends before anything
    /// of the server's runs.
    pub(super) fn verifying(&mut self) -> Option<Verifying> {
        self.package.as_mut()?.verifying.take()
    }

    /// Where the lock is; absolute.
    pub(super) fn lock(&self) -> &Path {
        &self.lock.value
    }

    /// The writable grant through which the server could replace a file, and its line.
    pub(super) fn within_reach(&self, file: &Path) -> Option<(PathBuf, Origin)> {
        let IdentityError::LockWritable { lock: _, grant, origin } =
            keep_from_server(&self.cwd.join(file), &self.grants, &self.islands).err()?;
        Some((grant, origin))
    }

    /// The plan for a tier. `private` is tier B's private directory.
    pub(super) fn plan(self, tier: Tier, private: Option<PathBuf>) -> Result<Plan, Failed> {
        let Prepared { loc, profile, command, grants, islands, guards, lock, cwd, .. } = self;
        let facts = facts::facts(&profile, &loc, cwd, private)?;
        let kernel = facts::kernel();
        // tier B refuses every connect, and newer kernels every one that leaves the jail
        let cover = tier == Tier::A && !kernel.keeps_sockets_shut() && sockets::may_lie_in(&grants);
        let sockets = if cover { Some(sockets::in_grants(&grants)?) } else { None };
        let inputs = Inputs { profile, command, grants, islands, guards, lock, sockets, facts, kernel };
        Ok(plan::build(inputs, tier)?)
    }

    /// Arguments that name something on disk which the jail will not show: the commonest surprise.
    pub(super) fn hints(&self) -> Vec<String> {
        let hidden = |path: &Path| {
            path.is_absolute()
                && std::fs::canonicalize(path).is_ok_and(|real| {
                    // what the jail makes itself, what is granted, and what no line would be accepted for
                    let shown = ["/dev", "/proc", "/etc"].iter().any(|top| real.starts_with(top));
                    let granted = self.grants.iter().any(|grant| real.starts_with(&grant.place.canonical));
                    !shown && !granted && self.protected.hit(&real, crate::config::Access::Read).is_none()
                })
        };
        let paths = self.command.server_args.iter().map(Path::new).filter(|path| hidden(path));
        paths
            .map(|path| {
                let path = path.display();
                format!(
                    "the server's argument `{path}` exists, but the jail does not show it; \
                         grant it with `--read {path}` or `--write {path}`"
                )
            })
            .collect()
    }
}

fn keep_from_server(file: &Path, grants: &[Grant], islands: &[Place]) -> Result<(), IdentityError> {
    let writable = grants.iter().filter(|grant| grant.access == Access::Write);
    identity::keep_from_server(
        file,
        writable.map(|grant| (grant.place.canonical.as_path(), &grant.place.origin)),
        islands.iter().map(|island| island.canonical.as_path()),
    )
}

/// Where what was approved of this server lies, absolute.
fn lock(args: &TargetArgs, key: &str, loc: &Locations, cwd: &Path) -> Sourced<PathBuf> {
    let Some(file) = &args.grants.lock else {
        return Sourced { value: loc.lock(key), origin: Origin::jail() };
    };
    let source = Source::Flag(format!("--lock {}", file.to_string_lossy()));
    Sourced { value: cwd.join(file), origin: Origin { source, line: None } }
}

fn flags(args: &TargetArgs) -> Flags {
    Flags {
        read: args.grants.read.clone(),
        write: args.grants.write.clone(),
        exec: args.grants.exec.clone(),
        list: args.grants.list.clone(),
        deny_write: args.grants.deny_write.clone(),
        env: args.grants.env.clone(),
        profile: args.grants.profile.clone(),
        uses: args.grants.uses.clone(),
        trust: None,
        tier: args.grants.tier,
        home: None,
        loopback: args.grants.loopback,
        net: args.grants.net.clone(),
        trust_first_use: false,
        // after a name, what stands behind `--` are arguments too
        args: args.name.iter().flat_map(|_| args.arguments.iter().chain(&args.command)).cloned().collect(),
    }
}

/// The built-in profile of a runtime, used where nobody said `use`.
fn built_in(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Node => "node",
        Runtime::Python => "python",
        Runtime::Native => "native",
    }
}

/// The calls behind a name, for the policy's floor.
pub(super) fn members(name: &str) -> Option<Vec<String>> {
    let calls = syscalls::find(name)?;
    Some(calls.iter().map(|(call, _)| call.trim_start_matches("SYS_").to_string()).collect())
}

pub(super) fn place(located: &Located) -> Place {
    Place {
        canonical: located.canonical.clone(),
        links: located.links.clone(),
        directory: located.kind == Kind::Directory,
        dev: located.dev,
        ino: located.ino,
        origin: located.grant.origin.clone(),
    }
}

/// Guarded names in writable trees, those that exist and those that do not, but for names that a line grants for writing.
fn guards(profile: &Profile, grants: &[Grant], locator: &mut Locator) -> Result<(Vec<Place>, Vec<PathBuf>), Failed> {
    let writable = |path: &Path| grants.iter().any(|g| g.access == Access::Write && g.place.canonical == *path);
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for grant in grants.iter().filter(|grant| grant.access == Access::Write && grant.place.directory) {
        for Sourced { value, origin } in &profile.files.guard {
            let path = grant.place.canonical.join(value);
            if writable(&path) {
                continue;
            }
            // a guard follows no symlink: what a link in the tree points to is outside the grant, or guarded itself
            if std::fs::symlink_metadata(&path).map_or(true, |meta| meta.is_symlink()) {
                absent.push(path);
                continue;
            }
            let written = PathGrant {
                written: value.to_string_lossy().into_owned(),
                path,
                dangerous: true, // taking away is never dangerous
                optional: true,
                origin: origin.clone(),
            };
            found.extend(locator.grant(&written, crate::config::Access::Read)?.iter().map(place));
        }
    }
    Ok((found, absent))
}
