//! What can be wrong with a command, and the next thing to type.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::diagnose::{Diagnose, Exit};

/// A command that cannot be resolved, or that no jail can run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no command, or its name is empty.
    #[error("no command was given")]
    Missing,
    /// The person's home directory is unknown, so nothing can be kept away from it.
    #[error("the home directory is unknown")]
    NoHome,
    /// The current directory is gone or unreadable.
    #[error("the current directory cannot be read")]
    NoCurrentDirectory(#[source] io::Error),
    /// Nothing of that name is in `PATH`, or the path does not exist.
    #[error("command `{}` was not found{}", lossy(.name), if *.searched { " in PATH" } else { "" })]
    NotFound {
        /// As typed.
        name: OsString,
        /// Whether `PATH` was searched (a name without a slash).
        searched: bool,
        /// The nearest name, or how to install it.
        hint: Option<String>,
    },
    /// It exists, but the kernel would not execute it.
    #[error("`{}` cannot be executed: {why}", .path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The command names a directory.
    #[error("`{}` is a directory, not a program", .path.display())]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Reading the program failed.
    #[error("`{}` cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The `#!` line of a script names a program that is absent.
    #[error("`{}` is run by `{}`, which was not found", .script.display(), lossy(.interpreter))]
    InterpreterNotFound {
        /// The script.
        script: PathBuf,
        /// As its first line names it.
        interpreter: OsString,
        /// What to do.
        hint: Option<String>,
    },
    /// The interpreter's argument names a script that does not exist.
    #[error("`{}` is told to run `{}`, which does not exist", lossy(.interpreter), .script.display())]
    ScriptNotFound {
        /// The interpreter as typed.
        interpreter: OsString,
        /// The script, made absolute.
        script: PathBuf,
    },
    /// A version manager's shim stands for nothing.
    #[error("`{name}` is a shim of {manager}, which does not say what it stands for{}", tail(.said))]
    ShimUnresolved {
        /// The manager's name.
        manager: &'static str,
        /// The program's name.
        name: String,
        /// The manager's own words, one line.
        said: Option<String>,
        /// The command that selects or installs a version.
        hint: String,
    },
    /// Scripts that are run by scripts, without end.
    #[error("`{}` is run by scripts that are run by scripts, more than four deep", .script.display())]
    ShebangLoop {
        /// The script that was started with.
        script: PathBuf,
    },
    /// The command fetches code at every start.
    #[error("`{runner}` downloads the server's code at start, which the jail does not allow")]
    NeedsPackageStore {
        /// `npx`, `uv run` …
        runner: String,
        /// The install command and the command to run instead.
        hint: String,
    },
    /// The command looks for a project's environment and starts something in it.
    #[error("`{tool}` builds or searches an environment before it starts the server, which the jail does not allow")]
    NeedsEnvironment {
        /// `poetry run` …
        tool: String,
        /// The command to run instead.
        hint: String,
    },
    /// The command talks to a container engine.
    #[error("`{engine}` needs the engine's socket, and with it all of this machine, which no jail gives")]
    NeedsEngine {
        /// `docker` …
        engine: String,
    },
    /// The command gains privileges.
    #[error("`{name}` gains privileges, which is impossible in a jail (no_new_privs)")]
    NeedsPrivilege {
        /// `sudo` …
        name: String,
        /// The same command without it.
        hint: String,
    },
    /// The program is a package that brings a sandbox of its own.
    #[error("`{name}` is started by {by}, which confines it itself and cannot do so inside another jail")]
    SelfConfined {
        /// The program.
        name: String,
        /// `snap` or `flatpak`.
        by: &'static str,
    },
    /// `env` with an option that makes no sense here, or that cannot be parsed.
    #[error("`env` is told `{option}`, which cannot be carried into the jail")]
    EnvOption {
        /// The option, or what is wrong with the string of `-S`.
        option: String,
        /// What to do.
        hint: String,
    },
}

impl Diagnose for CommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing => "command-missing",
            Self::NoHome => "no-home",
            Self::NoCurrentDirectory(_) => "no-current-directory",
            Self::NotFound { .. } => "command-not-found",
            Self::NotExecutable { .. } => "command-not-executable",
            Self::IsDirectory { .. } => "command-is-directory",
            Self::Unreadable { .. } => "command-unreadable",
            Self::InterpreterNotFound { .. } => "interpreter-not-found",
            Self::ScriptNotFound { .. } => "script-not-found",
            Self::ShimUnresolved { .. } => "shim-unresolved",
            Self::ShebangLoop { .. } => "shebang-loop",
            Self::NeedsPackageStore { .. } => "needs-package-store",
            Self::NeedsEnvironment { .. } => "needs-environment",
            Self::NeedsEngine { .. } => "needs-engine",
            Self::NeedsPrivilege { .. } => "needs-privilege",
            Self::SelfConfined { .. } => "self-confined",
            Self::EnvOption { .. } => "env-option",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => Some("name the server's program: `mcpjail run -- PROGRAM ARGUMENTS`".into()),
            Self::NoHome => Some("set it: `export HOME=…`".into()),
            Self::NoCurrentDirectory(_) => Some("go to a directory that exists: `cd ~`".into()),
            Self::NotFound { hint, .. } | Self::NotExecutable { hint, .. } | Self::InterpreterNotFound { hint, .. } => {
                hint.clone()
            }
            Self::IsDirectory { path } => Some(directory_hint(path)),
            Self::Unreadable { path, .. } => {
                Some(format!("look at its owner and mode: `ls -l {}`", quote(path.as_os_str())))
            }
            Self::ScriptNotFound { script, .. } => {
                let parent = script.parent().unwrap_or(script);
                Some(format!("look for the right name: `ls {}`", quote(parent.as_os_str())))
            }
            Self::ShebangLoop { script } => {
                Some(format!("correct the first line of the script: `head -n 1 {}`", quote(script.as_os_str())))
            }
            Self::ShimUnresolved { hint, .. }
            | Self::NeedsPackageStore { hint, .. }
            | Self::NeedsEnvironment { hint, .. }
            | Self::NeedsPrivilege { hint, .. }
            | Self::EnvOption { hint, .. } => Some(hint.clone()),
            Self::NeedsEngine { .. } => Some(
                "run the server's program itself instead of its image: install it and type \
                 `mcpjail run -- PROGRAM ARGUMENTS`"
                    .into(),
            ),
            Self::SelfConfined { by, .. } => Some(format!(
                "install the program from elsewhere than {by} (the distribution's package, the project's own release) \
                 and name that: `mcpjail run -- /path/to/program`"
            )),
        }
    }
}

/// What to try for a directory that was given as the command.
fn directory_hint(path: &Path) -> String {
    let shown = quote(path.as_os_str());
    if path.join("package.json").is_file() {
        format!("run it by Node: `mcpjail run -- node {shown}`")
    } else if path.join("__main__.py").is_file() {
        format!("run it by Python: `mcpjail run -- python3 {shown}`")
    } else {
        format!("name the program in it: `ls {shown}`")
    }
}

/// The manager's words as the tail of a message.
fn tail(words: &Option<String>) -> String {
    words.as_ref().map(|words| format!(" (it says: {words})")).unwrap_or_default()
}

/// A name for messages and for the trail.
pub(crate) fn lossy(name: &OsStr) -> String {
    printable(&name.to_string_lossy())
}

/// Text whose control characters are spelt out: scripts and managers say things that end up on a terminal.
pub(crate) fn printable(text: &str) -> String {
    let spelt = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    text.chars().map(spelt).collect()
}

/// A word as a POSIX shell takes it, quoted only where it must be.
pub(crate) fn quote(word: &OsStr) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(b) || *b >= 0x80;
    let text = word.to_string_lossy();
    if !word.is_empty() && word.as_bytes().iter().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words of a shell command line, each with a blank in front.
pub(crate) fn quote_all(words: &[OsString]) -> String {
    words.iter().map(|word| format!(" {}", quote(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_would_split_them() {
        assert_eq!(quote(OsStr::new("a/b-1.2@3")), "a/b-1.2@3");
        assert_eq!(quote(OsStr::new("it's $HOME")), r"'it'\''s $HOME'");
        assert_eq!(quote(OsStr::new("")), "''");
        assert_eq!(quote_all(&["-y".into(), "a b".into()]), " -y 'a b'");
    }

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(lossy(OsStr::new("node\r")), r"node\r");
        assert_eq!(lossy(OsStr::new("\u{1b}[2Jö")), r"\u{1b}[2Jö");
    }

    #[test]
    fn messages_say_what_and_where() {
        let error = CommandError::NotFound { name: "noed".into(), searched: true, hint: None };
        assert_eq!(error.to_string(), "command `noed` was not found in PATH");
        assert_eq!(error.code(), "command-not-found");
        assert_eq!(error.exit(), Exit::Usage);
        let error = CommandError::ShimUnresolved {
            manager: "pyenv",
            name: "python".into(),
            said: Some("version `3.99' is not installed".into()),
            hint: "`pyenv install 3.99`".into(),
        };
        assert_eq!(
            error.to_string(),
            "`python` is a shim of pyenv, which does not say what it stands for (it says: version `3.99' is not installed)"
        );
    }
}

/// All codes of [`CommandError`] with what each means, for `mcpjail help CODE`.
pub const CODES: &[(&str, &str)] = &[
    ("command-missing", "no command was given, or its name is empty"),
    ("no-home", "the home directory is not known, so nothing could be kept away from it; set HOME"),
    ("no-current-directory", "the working directory was deleted or cannot be read"),
    ("command-not-found", "nothing of that name is in PATH, or the path does not exist"),
    ("command-not-executable", "the file exists and the kernel would not execute it: mode, type or an empty file"),
    ("command-is-directory", "the command names a directory"),
    ("command-unreadable", "the program exists and cannot be read to find out what runs it"),
    ("interpreter-not-found", "the first line of the script names an interpreter that is not there"),
    (
        "script-not-found",
        "the interpreter's script does not exist; a relative one is looked for in the working directory",
    ),
    ("shim-unresolved", "a version manager's shim stands for no installed version; install or select one"),
    ("shebang-loop", "scripts that are run by scripts, more than four deep"),
    (
        "needs-package-store",
        "npx, uvx and their like download code at every start. Code that was not looked at has no place in a jail's \
         start, whatever network it is granted: install the package once and run what was installed",
    ),
    (
        "needs-environment",
        "the command builds or searches a project's environment and then starts something in it; name that program",
    ),
    ("needs-engine", "a container engine's socket is as good as root on this machine; no jail gives it"),
    ("needs-privilege", "programs that gain privileges cannot do so in a jail; start mcpjail as the user you mean"),
    ("self-confined", "the package confines itself and cannot do so inside another jail; install it in another way"),
    ("env-option", "`env` sets variables for the server; say so with `--env` or in the profile instead"),
];

#[cfg(test)]
mod code_tests {
    #[test]
    fn every_code_is_explained_once() {
        let source = include_str!("error.rs");
        let codes: Vec<&str> = super::CODES.iter().map(|(code, _)| *code).collect();
        let used = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""));
        let used: Vec<&str> = used.filter_map(|(_, rest)| rest.strip_suffix("\",")).collect();
        assert!(used.len() > 10);
        assert_eq!(used, codes);
    }
}
