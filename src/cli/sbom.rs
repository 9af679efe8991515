//! `mcpjail sbom`: the bill of materials of what a server runs.

use super::output::{Failed, print};
use super::update::UpdateError;
use crate::config::Locations;
use crate::packages::sbom::cyclonedx;
use crate::store::Store;
use std::process::ExitCode;

pub(super) fn sbom(name: &str) -> Result<ExitCode, Failed> {
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let record = store.installed(name)?.ok_or_else(|| UpdateError::NotInstalled { name: name.to_owned() })?;
    let installed = store.describe(&record.tree)?;
    print(&cyclonedx(name, &record.tree, &installed, &record.at))
}
