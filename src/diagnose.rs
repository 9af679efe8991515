//! What every error of the library offers to the person who meets it.

use std::fmt::Write;

/// The process's exit code, the same for every subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// A check found something.
    Findings = 1,
    /// The command line, a profile or the policy is wrong.
    Usage = 2,
    /// The catalog drifted or was never approved.
    Drift = 3,
    /// The jail could not be built as promised.
    Jail = 4,
    /// The server failed.
    Server = 5,
    /// The server was revoked.
    Revoked = 6,
}

/// An error with a stable code, an exit code and, where there is one, the next command to type.
///
/// `Display` gives the message: what failed on what value, lower case, values in backticks, no full stop.
/// `source()` gives the chain that is printed as `caused by:`.
pub trait Diagnose: std::error::Error + Send + Sync + 'static {
    /// Stable kebab-case code, the same in the message, in records and in `mcpjail help CODE`.
    fn code(&self) -> &'static str;
    /// The exit code that this error ends the process with.
    fn exit(&self) -> Exit;
    /// What to do about it, as one line that ends in a command or an edit.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Text that a person's terminal shows as it is: no name on disk can move the cursor, colour a line or forge one.
#[must_use]
pub fn printable(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let spelt = |c: char| if c.is_control() || turns(c) { c.escape_default().collect() } else { String::from(c) };
    text.chars().map(spelt).collect()
}

/// An error on one line with its causes and its hint, for a JSON-RPC error.
#[must_use]
pub fn one_line(error: &dyn Diagnose) -> String {
    let mut text = format!("mcpjail: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let _never_fails = write!(text, ": {cause}");
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        let _never_fails = write!(text, " (hint: {hint})");
    }
    text
}

/// A path as one shell word, given in a form that can be shown.
#[must_use]
pub fn shell_path(shown: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_cannot_forge_lines() {
        assert_eq!(printable("a\n  read  /b\x1b[31m\u{202e}"), r"a\n  read  /b\u{1b}[31m\u{202e}");
        assert_eq!(printable("Ünï/ 日本"), "Ünï/ 日本");
    }
}
