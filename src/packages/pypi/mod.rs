//! Packages of a Python index, installed by the machine's uv or pip.

use super::{Installed, Options, PackageError, PypiRequest, Workshop};
use crate::store::Stage;

/// Resolves and installs into a stage.
///
/// # Errors
/// [`PackageError`].
pub fn install(
    request: &PypiRequest,
    _options: &Options<'_>,
    _stage: &mut Stage,
    _workshop: &dyn Workshop,
) -> Result<Installed, PackageError> {
    Err(PackageError::Malformed { what: format!("{request:?}"), reason: "unfinished".into() })
}
