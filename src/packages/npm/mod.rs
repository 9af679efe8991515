//! Packages of an npm registry, installed by the machine's npm.

use super::{Installed, NpmRequest, Options, PackageError, Workshop};
use crate::store::Stage;

/// Resolves and installs into a stage.
///
/// # Errors
/// [`PackageError`].
pub fn install(
    request: &NpmRequest,
    _options: &Options<'_>,
    _stage: &mut Stage,
    _workshop: &dyn Workshop,
) -> Result<Installed, PackageError> {
    Err(PackageError::Malformed { what: format!("{request:?}"), reason: "unfinished".into() })
}
