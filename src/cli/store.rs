//! `mcpjail store`: what is in it, and the removal of what nothing needs.

use super::output::{DIM, Failed, print, styled, visible};
use crate::config::Locations;
use crate::store::{Freed, Store, Tree};
use clap::Subcommand;
use std::process::ExitCode;

/// What is done with the store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// List installed packages and the servers that run them
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Remove what no server runs, or ran before its last update
    Gc {
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn store(command: &StoreCommand) -> Result<ExitCode, Failed> {
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    match command {
        StoreCommand::List { json } => {
            let trees = store.trees()?;
            print(&if *json { as_json(&trees) } else { as_text(&trees) })
        }
        StoreCommand::Gc { dry_run } => {
            let freed = store.collect(&|name| loc.server(name).exists(), *dry_run)?;
            print(&told(&freed, *dry_run))
        }
    }
}

fn as_text(trees: &[Tree]) -> String {
    if trees.is_empty() {
        return "nothing is installed; `mcpjail add NAME -- COMMAND` installs a server\n".into();
    }
    let mut out = String::new();
    for Tree { tree, release, servers, before, files, bytes } in trees {
        let release = release.as_ref().map_or_else(|| "unreadable".into(), |release| visible(&release.to_string()));
        let names = |names: &[String]| names.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ");
        let used = match (servers.is_empty(), before.is_empty()) {
            (true, true) => "nobody; `mcpjail store gc` removes it".into(),
            (false, true) => names(servers),
            (true, false) => format!("before the last update: {}", names(before)),
            (false, false) => format!("{}; before the last update: {}", names(servers), names(before)),
        };
        out.push_str(&format!("{release}\n"));
        for (what, value) in [
            ("tree", tree.to_string()),
            ("size", format!("{files} files, {} MiB", bytes.div_ceil(1 << 20))),
            ("run by", used),
        ] {
            out.push_str(&format!("  {} {value}\n", styled(DIM, &format!("{what:<8}"))));
        }
    }
    out
}

fn as_json(trees: &[Tree]) -> String {
    let all: Vec<serde_json::Value> = trees
        .iter()
        .map(|Tree { tree, release, servers, before, files, bytes }| {
            serde_json::json!({
                "tree": tree,
                "package": release.as_ref().map(ToString::to_string),
                "servers": servers,
                "before": before,
                "files": files,
                "bytes": bytes,
            })
        })
        .collect();
    format!("{}\n", serde_json::Value::from(all))
}

fn told(freed: &Freed, dry_run: bool) -> String {
    let Freed { trees, busy, stages, files, bytes } = freed;
    let verb = if dry_run { "would be removed" } else { "removed" };
    let mut out =
        format!("{trees} packages, {stages} unfinished installs, {files} files {verb}: {} KiB\n", bytes >> 10);
    if *busy > 0 {
        out.push_str(&format!("{busy} packages are left, since a server runs from them\n"));
    }
    out
}
