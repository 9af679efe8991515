//! The text of a server's first profile, and its later changes. Pure.

use super::Release;

/// What stands in a first profile. Paths and values are as the person typed them.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// `package = "…"`; `None` for local code that stays where it is.
    pub package: Option<Release>,
    /// `args = […]`.
    pub args: Vec<String>,
    /// `[jail.files]`.
    pub read: Vec<String>,
    /// `[jail.files]`.
    pub write: Vec<String>,
    /// `[jail.files]`.
    pub exec: Vec<String>,
    /// `[jail.files]`.
    pub list: Vec<String>,
    /// `[jail.files]`.
    pub deny_write: Vec<String>,
    /// Existing paths among the arguments that were not granted: a comment shows the line that would.
    pub proposed: Vec<String>,
    /// `[jail.network] allow`.
    pub network: Vec<String>,
    /// `[jail.network] loopback`.
    pub loopback: bool,
    /// `[jail.env] pass`.
    pub pass: Vec<String>,
    /// `[jail.env] set`.
    pub set: Vec<(String, String)>,
    /// `use = […]`; none where the runtime's own is enough.
    pub uses: Vec<String>,
}

/// The profile as TOML: short, with a comment where a person may want to change something.
#[must_use]
pub fn text(_draft: &Draft) -> String {
    String::new()
}

/// The same profile with another `package`; every other byte stays. `None` where it has no `package` line.
#[must_use]
pub fn with_package(_profile: &str, _release: &Release) -> Option<String> {
    None
}

/// What to paste into a host's configuration: the entry of `mcpServers`, indented by two spaces.
#[must_use]
pub fn host_entry(_name: &str, _program: &str, _pass: &[String]) -> String {
    String::new()
}
