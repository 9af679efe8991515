//! What an install is given besides what was asked for.

use crate::command::Context;
use crate::egress::Written;
use std::path::Path;

/// What an install is given besides the request.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The person's situation: where npm, uv and their configuration are.
    pub context: &'a Context,
    /// Packages whose install scripts may run.
    pub scripts: &'a [String],
    /// More that the install jail may reach: rules of `--install-net`.
    pub network: &'a [Written],
    /// Fetch nothing.
    pub offline: bool,
    /// The lock of an earlier install (`meta/package-lock.json`, `meta/requirements.lock`), to be installed again exactly.
    pub lock: Option<&'a [u8]>,
    /// Downloads that may be used again: `$XDG_CACHE_HOME/mcpjail`.
    pub cache: &'a Path,
}
