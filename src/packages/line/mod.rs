//! The command of a host's configuration, read as a package. Pure.

use super::{PackageError, Request};
use std::ffi::OsString;
use std::path::Path;

/// Reads a command line. Relative paths in local commands are made absolute against `cwd`.
///
/// # Errors
/// [`PackageError::Line`]: what cannot be installed from, with what to type instead.
pub fn read(words: &[OsString], _cwd: &Path) -> Result<Request, PackageError> {
    Err(PackageError::Line { line: format!("{words:?}"), reason: "unfinished".into(), hint: String::new() })
}

/// Replaced when the line reader lands.
pub fn with_version(request: &Request, _version: &str) -> Result<Request, PackageError> {
    Ok(request.clone())
}
