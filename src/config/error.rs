//! What can be wrong with a profile, a bundle, the policy or a grant, and what to do about it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Origin, Source};
use crate::egress::RuleFault;

/// A position in a profile: where the person has to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, built-in profile or option.
    pub source: Source,
    /// 1-based line.
    pub line: Option<u32>,
    /// 1-based column, counted in characters.
    pub column: Option<u32>,
}

impl From<&Origin> for Place {
    fn from(origin: &Origin) -> Place {
        Place { source: origin.source.clone(), line: origin.line, column: None }
    }
}

impl From<Source> for Place {
    fn from(source: Source) -> Place {
        Place { source, line: None, column: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { source, line, column } = self;
        fmt::Display::fmt(&Origin { source: source.clone(), line: *line }, f)?;
        match (line, column) {
            (Some(_), Some(column)) => write!(f, ":{column}"),
            _ => Ok(()),
        }
    }
}

/// An error of the configuration: a [`Problem`] and the [`Place`] it stands in.
#[derive(Debug)]
pub struct ConfigError(Box<(Place, Problem)>);

impl ConfigError {
    pub(super) fn new(place: impl Into<Place>, problem: Problem) -> ConfigError {
        ConfigError(Box::new((place.into(), problem)))
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.0.0
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.0.1
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.problem())
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.problem())
    }
}

/// What is wrong, without the place. Each variant has one stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name that is no server, bundle or built-in profile.
    #[error("no profile named `{name}`")]
    ProfileNotFound {
        /// The name that was asked for.
        name: String,
        /// The nearest name that exists.
        nearest: Option<String>,
        /// The file that would hold it.
        file: PathBuf,
    },
    /// A name that cannot be a server's or a bundle's.
    #[error(
        "{} is not a name: lower-case letters, digits, `.`, `_` and `-`, at most 128 of them, starting with a letter or a digit",
        quoted(name)
    )]
    BadName {
        /// The name as written.
        name: String,
    },
    /// The server's profile gives neither a command nor a package.
    #[error("no `command` and no `package`")]
    NoCommand,
    /// The file exists and cannot be read.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// The file is a directory, FIFO, socket or device.
    #[error("is not a regular file but {kind}")]
    NotRegular {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The file is larger than a profile can be.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The cap, bytes.
        limit: u64,
    },
    /// Somebody else could have written the profile.
    #[error("{reason}")]
    ProfileInsecure {
        /// Who may write it.
        reason: String,
        /// Command that repairs it.
        remedy: String,
    },
    /// The file is not text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Not TOML.
    #[error("{message}{}{}", if text.trim().is_empty() { "" } else { ", near" }, near(text))]
    Syntax {
        /// What the parser says.
        message: String,
        /// The text at that place.
        text: String,
    },
    /// A key that no version knows.
    #[error("unknown key {} in {section}", quoted(key))]
    UnknownKey {
        /// The key.
        key: String,
        /// The section it stands in, as to be printed.
        section: String,
        /// The nearest valid key.
        nearest: Option<&'static str>,
        /// All valid keys there.
        valid: Vec<&'static str>,
    },
    /// A key of a coming feature: accepting it without enforcing it would be a lie.
    #[error("`{key}` is not supported by this version")]
    UnsupportedKey {
        /// The key or `[section]`.
        key: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A key that is valid elsewhere.
    #[error("`{key}` cannot stand in {file}")]
    MisplacedKey {
        /// The key.
        key: &'static str,
        /// Kind of file, with its article.
        file: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A value of another type.
    #[error("`{key}` must be {expected}, found {found}{}", near(text))]
    WrongType {
        /// The key.
        key: String,
        /// What belongs there, with its article.
        expected: &'static str,
        /// What is there.
        found: &'static str,
        /// The offending text.
        text: String,
    },
    /// A value of the right type that makes no sense.
    #[error("{}: {reason}", quoted(value))]
    BadValue {
        /// The value as written.
        value: String,
        /// Why not.
        reason: String,
        /// What to write instead.
        remedy: String,
    },
    /// The profile's format is of another version, or none is named.
    #[error("{}", match found { Some(found) => format!("format version {} is not supported", quoted(found)), None => "`version` is missing".to_owned() })]
    UnsupportedVersion {
        /// The version, if any.
        found: Option<String>,
    },
    /// Bundles that use one another.
    #[error("profiles use one another in a circle: {}", chain.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → "))]
    UseCycle {
        /// The whole circle; first and last name are the same.
        chain: Vec<String>,
    },
    /// A `use` of something that does not exist.
    #[error("no bundle named `{name}`")]
    UnknownBundle {
        /// The name.
        name: String,
        /// The nearest one that exists.
        nearest: Option<String>,
        /// The file that would hold it.
        file: PathBuf,
    },
    /// A bundle of the user's with a built-in's name.
    #[error("bundle `{name}` has the name of a built-in profile")]
    BundleShadows {
        /// The name.
        name: String,
        /// The user's file.
        file: PathBuf,
    },
    /// `${…}` that is not a variable.
    #[error("unknown variable {}", quoted(&format!("${{{name}}}")))]
    UnknownVariable {
        /// The variable's name.
        name: String,
        /// The nearest one.
        nearest: Option<&'static str>,
    },
    /// `${argN}` and fewer than N arguments.
    #[error("{} needs argument {number} of the server, which was not given", quoted(written))]
    MissingArgument {
        /// N.
        number: usize,
        /// How many were given.
        given: usize,
        /// The grant as written.
        written: String,
    },
    /// A path that is not absolute, or became empty or relative by expansion.
    #[error("{} is {}", quoted(written), match expanded { Some(path) => format!("{} after expansion, not an absolute path", quoted(path)), None => "not an absolute path".to_owned() })]
    RelativePath {
        /// The path as written.
        written: String,
        /// What became of it, where that differs.
        expanded: Option<String>,
    },
    /// `*` or `?` where only literal paths are taken.
    #[error("{} holds a wildcard, and grants are literal paths", quoted(written))]
    Glob {
        /// The path as written.
        written: String,
    },
    /// A grant of something that holds credentials, or that would let the server out.
    #[error("{} {}: {reason}", quoted(written), lies(written, relation, protected))]
    Protected {
        /// The grant as written.
        written: String,
        /// "is", "lies below", "contains", and where the grant leads.
        relation: String,
        /// The protected path.
        protected: String,
        /// Why it is protected.
        reason: String,
    },
    /// Nothing there.
    #[error("{} does not exist{}", quoted(written), leads_to(written, path))]
    GrantMissing {
        /// The grant as written.
        written: String,
        /// The path that was looked up.
        path: PathBuf,
    },
    /// The user cannot read it.
    #[error("{} cannot be read by you{}", quoted(written), leads_to(written, path))]
    GrantUnreadable {
        /// The grant as written.
        written: String,
        /// The path that was looked up.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// A socket, a FIFO or a device: a door to another process or to the hardware.
    #[error("{} is {kind}{}", quoted(written), leads_to(written, path))]
    GrantSpecial {
        /// The grant as written.
        written: String,
        /// Where it leads.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The administrator forbids it.
    #[error("{what}, which the administrator's policy forbids at {policy}")]
    PolicyViolation {
        /// What the profile asks for.
        what: String,
        /// The policy's line.
        policy: Box<Origin>,
    },
    /// Somebody besides the administrator could have written the policy.
    #[error("{reason}")]
    PolicyInsecure {
        /// Who may write it.
        reason: String,
        /// Command that repairs it.
        remedy: String,
    },
    /// A text that is no rule of `jail.network.allow`.
    #[error("{}: {fault}", quoted(written))]
    NetworkRule {
        /// The rule as written.
        written: String,
        /// What is wrong with it.
        fault: RuleFault,
    },
    /// A network rule that grants very much, without the word for it.
    #[error("{}: {fault}", quoted(written))]
    DangerousRule {
        /// The rule as written.
        written: String,
        /// What is dangerous in it.
        fault: RuleFault,
    },
    /// A system call or a group that does not exist.
    #[error("no system call or group named {}", quoted(name))]
    UnknownSyscall {
        /// The name as written.
        name: String,
    },
    /// Neither `HOME` nor the user database tell where the home directory is.
    #[error("no home directory is known")]
    NoHome,
}

/// Text for a terminal: control characters, which a hostile file name may hold, are escaped.
pub(super) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A path for a terminal.
pub(super) fn shown(path: impl AsRef<OsStr>) -> String {
    printable(&path.as_ref().to_string_lossy())
}

/// Text in backticks, cut to what fits a message.
fn quoted(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}…`", printable(text.get(..end).unwrap_or_default())),
        None => format!("`{}`", printable(text)),
    }
}

/// The offending text as an addition to a message.
fn near(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { String::new() } else { format!(" {}", quoted(line)) }
}

/// How a grant lies to a protected path.
fn lies(written: &str, relation: &str, protected: &str) -> String {
    if written == protected { "is protected".to_owned() } else { format!("{relation} `{protected}`") }
}

/// Where a grant leads, if that is not what is written.
fn leads_to(written: &str, path: &Path) -> String {
    if path.as_os_str() == OsStr::new(written) { String::new() } else { format!(" (it leads to `{}`)", shown(path)) }
}

/// A path as one shell word.
pub(super) fn shell(path: &Path) -> String {
    crate::diagnose::shell_path(shown(path))
}

/// The candidate that `word` is most likely a misspelling of.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_clickable() {
        let place = Place { source: Source::File("/c/servers/x.toml".into()), line: Some(3), column: Some(8) };
        assert_eq!(place.to_string(), "/c/servers/x.toml:3:8");
        assert_eq!(Place::from(Source::BuiltIn("node".into())).to_string(), "built-in node");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let error = ConfigError::new(
            Source::File("/x\u{1b}[2J.toml".into()),
            Problem::Glob { written: "/a\n\u{1b}]0;*".to_owned() },
        );
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn long_values_are_cut() {
        let error = ConfigError::new(Source::Command, Problem::Glob { written: "ä".repeat(5000) });
        assert!(error.to_string().chars().count() < 300);
    }

    #[test]
    fn nearest_is_near() {
        assert_eq!(nearest("open-file", ["memory", "open-files"]), Some("open-files"));
        assert_eq!(nearest("Memroy", ["memory", "open-files"]), Some("memory"));
        assert_eq!(nearest("xyzzy", ["memory", "open-files"]), None);
    }
}
