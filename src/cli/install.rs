//! From a request to a tree in the store, for `add` and `update`.

use super::approve::Terms;
use super::output::{Failed, note};
use super::workshop::Yard;
use crate::approval::rfc3339;
use crate::command::Context;
use crate::config::Locations;
use crate::egress::Written;
use crate::packages::{Installed, Options, PypiSpec, Release, Request, Workshop, local, npm, pypi};
use crate::store::{Before, Kept, Record, Store};
use std::time::SystemTime;

/// How much of an install script is shown, characters: a package writes it as long as it likes.
const LONGEST: usize = 120;

/// What may be done to get a package.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct InstallArgs {
    /// Run the install scripts of this package; may be given again
    #[arg(long, value_name = "PACKAGE")]
    pub(super) allow_scripts: Vec<String>,
    /// Let installer and install scripts connect there too, besides the registry; may be given again
    #[arg(long, value_name = "RULE")]
    pub(super) install_net: Vec<String>,
    /// Fetch nothing: use what was downloaded before
    #[arg(long)]
    pub(super) offline: bool,
}

/// Who looks at what is to be approved.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct ConsentArgs {
    /// Approve everything without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// With --yes, approve even a name like a well-known one's, other contents under the same version, and what the
    /// inspectors find grave
    #[arg(long, requires = "yes")]
    pub(super) accept_findings: bool,
}

impl ConsentArgs {
    /// How a review is made. Nothing of the network is written down.
    pub(super) fn terms(self) -> Terms<'static> {
        Terms { yes: self.yes, accept_findings: self.accept_findings, log: None }
    }
}

/// A package in the store.
pub(super) struct Made {
    pub(super) kept: Kept,
    pub(super) installed: Installed,
    /// What was asked for, with the package's name where only a module was known.
    pub(super) request: Request,
    /// The server's own arguments.
    pub(super) args: Vec<String>,
}

impl Made {
    /// What the store will know of the server.
    pub(super) fn record(&self, args: &InstallArgs, before: Option<Before>) -> Record {
        Record {
            version: 1,
            release: self.installed.release.clone(),
            tree: self.kept.tree,
            start: self.installed.start.clone(),
            request: self.request.clone(),
            scripts: args.allow_scripts.clone(),
            network: args.install_net.clone(),
            at: rfc3339(SystemTime::now()),
            before,
        }
    }

    /// What nobody approved is not kept.
    pub(super) fn discard(self, store: &Store) {
        // as long as it is held, it is no garbage
        drop(self);
        let _collected_later = store.collect(&|_| true, false);
    }
}

/// Installs into the store. `lock` is that of an earlier install, to be installed again exactly.
pub(super) fn install(
    request: &Request,
    args: &InstallArgs,
    lock: Option<&[u8]>,
    store: &Store,
    loc: &Locations,
) -> Result<Made, Failed> {
    let context = Context::of_process()?;
    let cwd = context.cwd.clone();
    let context = context.looking_from(cwd);
    let network: Vec<Written> =
        args.install_net.iter().map(|to| Written { to: to.clone(), private: true, ..Written::default() }).collect();
    let options = Options {
        context: &context,
        scripts: &args.allow_scripts,
        network: &network,
        offline: args.offline,
        lock,
        cache: &loc.cache_dir,
    };
    let yard = Yard::new(loc);
    let mut stage = store.stage()?;
    let filled = match request {
        Request::Npm(npm) => npm::install(npm, &options, &mut stage, &yard).map(|made| (made, npm.args.clone())),
        Request::Pypi(pypi) => pypi::install(pypi, &options, &mut stage, &yard).map(|made| (made, pypi.args.clone())),
        Request::Local(local) => {
            local::snapshot(local, &options, &mut stage, &yard).map(|made| (made.installed, made.args))
        }
    };
    let (installed, own) = filled.map_err(|error| yard.failed(error))?;
    yard.step("hashing");
    let kept = store.keep(stage, &installed)?;
    yard.done();
    let request = named(request.clone(), &installed);
    Ok(Made { kept, installed, request, args: own })
}

/// The same request with the name of the package that `python -m MODULE` turned out to be in.
fn named(mut request: Request, installed: &Installed) -> Request {
    if let Request::Pypi(pypi) = &mut request
        && pypi.main.name.is_empty()
    {
        let Release { name, extras, version, .. } = installed.release.clone();
        pypi.main = PypiSpec { name, extras, version: format!("=={version}") };
    }
    request
}

/// Says what was not run, and what to type where the server needs it.
pub(super) fn note_skipped(installed: &Installed) {
    let cut = |command: &str| match command.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", command.get(..end).unwrap_or_default()),
        None => command.to_owned(),
    };
    let named: Vec<String> =
        installed.skipped.iter().map(|script| format!("{} (`{}`)", script.package, cut(&script.command))).collect();
    let Some(first) = installed.skipped.first() else { return };
    note(&format!(
        "install scripts were not run: {}; where the server needs one, add it with `--allow-scripts {}`",
        named.join(", "),
        first.package
    ));
}
