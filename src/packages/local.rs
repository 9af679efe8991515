//! Code that lies on this machine, copied into the store as it is now.

use super::{Installed, LocalRequest, Options, PackageError, Workshop};
use crate::store::Stage;

/// A copy, and the server's own arguments among the command's words.
#[derive(Debug)]
pub struct Snapshot {
    /// What was copied.
    pub installed: Installed,
    /// The server's arguments.
    pub args: Vec<String>,
}

/// Copies the package, the virtual environment or the binary of a command into a stage.
///
/// # Errors
/// [`PackageError::Local`] where the code lies in several places or cannot be moved.
pub fn snapshot(
    request: &LocalRequest,
    _options: &Options<'_>,
    _stage: &mut Stage,
    _workshop: &dyn Workshop,
) -> Result<Snapshot, PackageError> {
    Err(PackageError::Malformed { what: format!("{request:?}"), reason: "unfinished".into() })
}
