//! The text of a server's first profile, and its later changes. Pure.

mod entry;
mod write;

#[cfg(test)]
mod tests;

use super::Release;
use std::fmt::Write as _;
use write::{array, line_comment, quoted};

pub use entry::host_entry;

/// What stands in a first profile. Paths and values are as the person typed them; paths are absolute or begin with `~/`, as a
/// profile wants them.
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
pub fn text(draft: &Draft) -> String {
    let Draft { package, args, read, write, exec, list, deny_write, proposed, network, loopback, pass, set, uses } =
        draft;
    let mut text = String::from(
        "# Nothing is granted but what stands here; `mcpjail explain NAME` shows all of it.\nversion = 1\n",
    );
    if let Some(release) = package {
        let _ = writeln!(text, "package = {}", quoted(&release.to_string()));
    }
    if !args.is_empty() {
        let _ = writeln!(text, "{}", array("args", args));
    }
    if !uses.is_empty() {
        let _ = writeln!(text, "{}", array("use", uses));
    }

    text.push_str("\n[jail.files]\n");
    let granted = [("read", read), ("write", write), ("exec", exec), ("list", list), ("deny-write", deny_write)];
    for (key, paths) in granted.iter().filter(|(_, paths)| !paths.is_empty()) {
        let _ = writeln!(text, "{}", array(key, paths));
    }
    if !proposed.is_empty() {
        text.push_str("# The server was given these paths and cannot reach them; take the `#` away, `read` is the other choice:\n");
        // A second `write` would make the file unreadable, so what is there already stands in the line as well.
        let all: Vec<String> =
            write.iter().chain(proposed.iter().filter(|path| !write.contains(path))).cloned().collect();
        let instead = if write.is_empty() { "" } else { " # in place of the `write` above" };
        let _ = writeln!(text, "{}{instead}", line_comment("write", &all));
    } else if granted.iter().all(|(_, paths)| paths.is_empty()) {
        text.push_str("# No file of yours is reached. To grant some: read = [\"~/notes\"], write = [\"~/project\"]\n");
    }

    text.push_str("\n[jail.network]\n");
    if network.is_empty() {
        text.push_str("# No host is reached. To grant one: allow = [\"api.example.com:443\"]\n");
    } else {
        let _ = writeln!(text, "{}", array("allow", network));
    }
    if *loopback {
        text.push_str("loopback = true\n");
    }

    text.push_str("\n[jail.env]\n");
    if pass.is_empty() && set.is_empty() {
        text.push_str("# No variable of yours is seen. To pass one on: pass = [\"API_KEY\"]\n");
    }
    if !pass.is_empty() {
        let _ = writeln!(text, "{}", array("pass", pass));
    }
    if !set.is_empty() {
        let _ = writeln!(text, "{}", write::table("set", set));
    }
    text
}

/// The same profile with another `package`; every other byte stays. `None` where it has no `package` line.
#[must_use]
pub fn with_package(profile: &str, release: &Release) -> Option<String> {
    let span = write::top_level_string(profile, "package")?;
    let (before, after) = (profile.get(..span.start)?, profile.get(span.end..)?);
    Some(format!("{before}{}{after}", quoted(&release.to_string())))
}
