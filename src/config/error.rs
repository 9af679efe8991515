//! What can be wrong with a profile, a bundle, the policy or a grant, and what to do about it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Origin, Source};
use crate::diagnose::{Diagnose, Exit};

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
    /// The server's profile gives no command.
    #[error("no `command`")]
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
    #[error("{message}{}", near(text))]
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
    #[error("`${{arg{number}}}` in {} needs an argument that was not given", quoted(written))]
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
    #[error("{} {relation} `{protected}`: {reason}", quoted(written))]
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
    /// Outgoing connections are a coming feature.
    #[error("{} grants a connection to the outside, which this version cannot give", quoted(value))]
    EgressNotAvailable {
        /// The first rule.
        value: String,
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

/// All codes of [`ConfigError`] with one line on what each means, for `mcpjail help CODE`.
pub const CODES: &[(&str, &str)] = &[
    ("profile-not-found", "there is no server profile, bundle or built-in profile of that name"),
    ("bad-name", "names of servers and bundles become file names and are kept simple"),
    ("no-command", "the server's profile does not say what to run"),
    ("profile-unreadable", "the file exists and the system refuses to read it"),
    ("profile-not-a-file", "a profile must be a regular file; a symlink to one is fine"),
    ("profile-too-large", "a profile of more than 256 KiB is taken for a mistake"),
    ("profile-insecure", "a profile that somebody else can write gives them what the profile gives"),
    ("not-utf8", "profiles are UTF-8 text"),
    ("profile-syntax", "the file is not TOML"),
    ("unknown-key", "a key that is not known is an error, since a typo must not loosen or tighten in silence"),
    ("unsupported-key", "the key belongs to a feature that this version does not have"),
    ("misplaced-key", "the key is valid in another kind of profile"),
    ("wrong-type", "the value is of another TOML type than the key takes"),
    ("bad-value", "the value is of the right type and makes no sense there"),
    ("unsupported-version", "every profile starts with `version = 1`"),
    ("use-cycle", "bundles use one another in a circle"),
    ("unknown-bundle", "`use` names a bundle that does not exist"),
    ("bundle-shadows", "a bundle of one's own may not take a built-in profile's name"),
    ("unknown-variable", "grants know `~`, `${home}`, `${cwd}` and `${arg1}`, `${arg2}` and so on"),
    ("missing-argument", "the profile grants an argument of the server that was not given"),
    ("relative-path", "a grant is an absolute path, or starts with `~` or a variable"),
    ("glob-in-grant", "grants are literal paths; grant the directory instead"),
    ("protected-path", "the grant would hand out credentials or a way out of the jail"),
    ("grant-missing", "the granted path does not exist"),
    ("grant-unreadable", "the granted path exists and you may not read it yourself"),
    ("grant-special", "the granted path is a socket, a FIFO or a device"),
    ("policy-violation", "the administrator's policy forbids what the profile asks for"),
    ("policy-insecure", "the policy must belong to root and be writable by root alone"),
    ("egress-not-available", "this version gives no connections to the outside"),
    ("unknown-syscall", "`[jail.syscalls]` names a call or a group that does not exist"),
    ("no-home", "the home directory is unknown"),
];

impl Diagnose for ConfigError {
    fn code(&self) -> &'static str {
        match self.problem() {
            Problem::ProfileNotFound { .. } => "profile-not-found",
            Problem::BadName { .. } => "bad-name",
            Problem::NoCommand => "no-command",
            Problem::Unreadable(_) => "profile-unreadable",
            Problem::NotRegular { .. } => "profile-not-a-file",
            Problem::TooLarge { .. } => "profile-too-large",
            Problem::ProfileInsecure { .. } => "profile-insecure",
            Problem::NotUtf8 => "not-utf8",
            Problem::Syntax { .. } => "profile-syntax",
            Problem::UnknownKey { .. } => "unknown-key",
            Problem::UnsupportedKey { .. } => "unsupported-key",
            Problem::MisplacedKey { .. } => "misplaced-key",
            Problem::WrongType { .. } => "wrong-type",
            Problem::BadValue { .. } => "bad-value",
            Problem::UnsupportedVersion { .. } => "unsupported-version",
            Problem::UseCycle { .. } => "use-cycle",
            Problem::UnknownBundle { .. } => "unknown-bundle",
            Problem::BundleShadows { .. } => "bundle-shadows",
            Problem::UnknownVariable { .. } => "unknown-variable",
            Problem::MissingArgument { .. } => "missing-argument",
            Problem::RelativePath { .. } => "relative-path",
            Problem::Glob { .. } => "glob-in-grant",
            Problem::Protected { .. } => "protected-path",
            Problem::GrantMissing { .. } => "grant-missing",
            Problem::GrantUnreadable { .. } => "grant-unreadable",
            Problem::GrantSpecial { .. } => "grant-special",
            Problem::PolicyViolation { .. } => "policy-violation",
            Problem::PolicyInsecure { .. } => "policy-insecure",
            Problem::EgressNotAvailable { .. } => "egress-not-available",
            Problem::UnknownSyscall { .. } => "unknown-syscall",
            Problem::NoHome => "no-home",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self.problem() {
            Problem::ProfileNotFound { nearest: Some(nearest), .. }
            | Problem::UnknownBundle { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Problem::ProfileNotFound { file, .. } => {
                format!("write `{}`, or try without a profile: `mcpjail run -- COMMAND`", shown(file))
            }
            Problem::UnknownBundle { file, .. } => format!("write `{}`, or take the name out of `use`", shown(file)),
            Problem::BadName { name } if name.contains('/') => {
                "a server is named without slashes or `.toml`; a file is named by `--profile PATH`".to_owned()
            }
            Problem::BadName { .. } => "choose another name, for example `my-server`".to_owned(),
            Problem::NoCommand => "add `command = [\"PROGRAM\", \"ARGUMENT\"]` to the profile".to_owned(),
            Problem::Unreadable(_) => format!("look at it with `ls -lL {}`", self.place_word()),
            Problem::NotRegular { .. } => "name a file that holds the profile".to_owned(),
            Problem::TooLarge { .. } => format!("check that this is a profile: `head {}`", self.place_word()),
            Problem::ProfileInsecure { remedy, .. } | Problem::PolicyInsecure { remedy, .. } => {
                format!("after checking its contents, run `{remedy}`")
            }
            Problem::NotUtf8 => "save the file as UTF-8".to_owned(),
            Problem::Syntax { .. } => "correct this place; the format is TOML".to_owned(),
            Problem::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Problem::UnknownKey { valid, .. } => format!("valid here: `{}`", valid.join("`, `")),
            Problem::UnsupportedKey { remedy, .. } | Problem::MisplacedKey { remedy, .. } => (*remedy).to_owned(),
            Problem::WrongType { expected, .. } => format!("write {expected}"),
            Problem::BadValue { remedy, .. } => remedy.clone(),
            Problem::UnsupportedVersion { found: None } => "add `version = 1` as the first line".to_owned(),
            Problem::UnsupportedVersion { .. } => "write `version = 1`, or install a newer mcpjail".to_owned(),
            Problem::UseCycle { .. } => "take one of these names out of its `use`".to_owned(),
            Problem::BundleShadows { file, .. } => {
                format!("rename it: `mv {} {}`", shell(file), shell(&file.with_file_name("my-bundle.toml")))
            }
            Problem::UnknownVariable { nearest: Some(nearest), .. } => format!("did you mean `${{{nearest}}}`?"),
            Problem::UnknownVariable { .. } => {
                "variables are `~`, `${home}`, `${cwd}`, `${arg1}`, `${arg2}` …".to_owned()
            }
            Problem::MissingArgument { given, .. } => format!(
                "give it after the server's name (there {} so far), or make the line `{{ path = \"…\", optional = true }}`",
                match given {
                    1 => "is one".to_owned(),
                    n => format!("are {n}"),
                }
            ),
            Problem::RelativePath { .. } => {
                "start it with `/`, `~/`, `${cwd}` or an argument such as `${arg1}`".to_owned()
            }
            Problem::Glob { .. } => "grant the directory that holds the files".to_owned(),
            Problem::Protected { .. } => {
                "grant something narrower, or, if this is meant, write `{ path = \"…\", dangerous = true }` in the profile"
                    .to_owned()
            }
            Problem::GrantMissing { .. } => {
                "create it first, correct the path, or make the line `{ path = \"…\", optional = true }`".to_owned()
            }
            Problem::GrantUnreadable { path, .. } => format!("look at it with `namei -l {}`", shell(path)),
            Problem::GrantSpecial { .. } => {
                "take the line out, or, if this is meant, write `{ path = \"…\", dangerous = true }` in the profile"
                    .to_owned()
            }
            Problem::PolicyViolation { .. } => {
                "take it out of the profile, or ask your administrator to change the policy".to_owned()
            }
            Problem::EgressNotAvailable { .. } => {
                "take the rule out; the server then runs without a network, and `loopback = true` gives it a private one"
                    .to_owned()
            }
            Problem::UnknownSyscall { .. } => "correct the name; groups start with `@`, for example `@chown`".to_owned(),
            Problem::NoHome => "set `HOME` to an absolute path".to_owned(),
        })
    }
}

impl ConfigError {
    /// The file as a shell word, for hints.
    fn place_word(&self) -> String {
        match &self.place().source {
            Source::File(path) | Source::Policy(path) => shell(path),
            Source::BuiltIn(name) | Source::Flag(name) => name.clone(),
            Source::Command | Source::Jail => String::new(),
        }
    }
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

/// Where a grant leads, if that is not what is written.
fn leads_to(written: &str, path: &Path) -> String {
    if path.as_os_str() == OsStr::new(written) { String::new() } else { format!(" (it leads to `{}`)", shown(path)) }
}

/// A path as one shell word.
pub(super) fn shell(path: &Path) -> String {
    let text = shown(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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

    #[test]
    fn codes_are_unique_and_sober() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        assert!(
            codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }
}
