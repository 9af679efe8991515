//! `mcpjail remove`: takes a server away, with what was approved of it.

use super::ask::{Said, ask, need_somebody};
use super::output::{Failed, IoFailed, print, visible};
use super::update::record_of;
use crate::config::Locations;
use crate::store::{Change, Store};
use clap::Args;
use std::io;
use std::process::ExitCode;

/// What is removed.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The server's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn remove(args: &RemoveArgs) -> Result<ExitCode, Failed> {
    let RemoveArgs { name, yes } = args;
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let claim = store.claim(name)?;
    record_of(&store, name)?;
    let files = [loc.server(name), loc.lock(name)];
    if !yes {
        need_somebody(false, "remove it without asking with `--yes`")?;
        let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
        let shown: Vec<String> = files.iter().map(|file| visible(&file.to_string_lossy())).collect();
        let question = format!("remove `{}` with {}?", visible(name), shown.join(" and "));
        let said = ask(&question, &[Said::Yes, Said::No], &mut io::stdin().lock(), &mut anstream::stdout());
        if said.map_err(talk)? != Said::Yes {
            return print("nothing was removed\n");
        }
    }
    let [profile, lock] = files;
    let own = [store.record_path(name), store.before_lock_path(name), loc.drift_record(name)];
    let paths = std::iter::once(profile).chain([lock]).chain(own);
    store.commit(&claim, &paths.map(|path| Change::Remove { path }).collect::<Vec<_>>())?;
    print(&format!("`{}` is removed; `mcpjail store gc` frees what no other server uses\n", visible(name)))
}
