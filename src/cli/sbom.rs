//! `mcpjail sbom`: the bill of materials of what a server runs.

use super::output::{Failed, print};
use super::update::record_of;
use crate::config::Locations;
use crate::packages::sbom::cyclonedx;
use crate::store::Store;
use std::process::ExitCode;

pub(super) fn sbom(name: &str) -> Result<ExitCode, Failed> {
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let record = record_of(&store, name)?;
    let installed = store.describe(&record.tree)?;
    print(&cyclonedx(name, &record.tree, &installed, &record.at))
}
