//! From what a person typed to what is executed: the true interpreter, its installation and the server's package.
//!
//! [`resolve`] follows `PATH`, version managers' shims, symbolic links and `#!` lines to the binary that the kernel
//! would end up with, rewrites the argument vector as the kernel and `env` would, and collects what that binary and the
//! server's code need to see. What is granted is an installation prefix, a package root, a virtual environment or a
//! single file; never the home directory, never what is above it, never a directory of shims.
//!
//! Nothing of the server's is executed here. The one program that may be started is a version manager, and only one
//! that the person's own `PATH` or environment names.

mod arguments;
mod elf;
mod environ;
mod error;
mod files;
mod needs;
mod package;
mod python;
mod refuse;
mod runners;
mod runtime;
mod server;
mod shebang;
mod shim;
mod spelled;
mod suggest;
mod walk;

#[cfg(test)]
mod layouts;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub use error::{CODES, CommandError};
pub(crate) use error::{printable, quote};
pub(crate) use spelled::spelled;

/// What kind of program runs the server; picks the built-in profile when the profile names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// Node.js.
    Node,
    /// CPython or PyPy.
    Python,
    /// Anything else: a binary or a script of another interpreter.
    Native,
}

/// A path that the command itself needs in order to start: granted for reading and executing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandGrant {
    /// Absolute path of a file or of a tree, as the command reaches it (symlinks not resolved).
    pub path: PathBuf,
    /// Why, for `explain`: "node's installation", "the server's package".
    pub reason: String,
}

/// A command that is ready to be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is executed: an ELF binary, absolute. May be a symlink (a virtual environment's `python`).
    pub program: PathBuf,
    /// The whole argument vector, `argv[0]` included.
    pub argv: Vec<OsString>,
    /// The arguments after the server's entry point: `${arg1}` … of a profile.
    pub server_args: Vec<OsString>,
    /// What kind of program it is.
    pub runtime: Runtime,
    /// What the command needs besides the system directories.
    pub grants: Vec<CommandGrant>,
    /// Directories that go in front of the jail's `PATH`, most specific first.
    pub path_dirs: Vec<PathBuf>,
    /// The file that holds the server's own code, where it is one: the script that an interpreter is given, or the
    /// binary itself. Canonical. None for a directory, a module that was not found, or code in an argument.
    pub entry: Option<PathBuf>,
    /// The interpreter of the entry, canonical; none where the program is no interpreter.
    pub interpreter: Option<PathBuf>,
    /// How it was found, one step a line, for `explain`.
    pub trail: Vec<String>,
}

/// What surrounds a command: the launcher's own situation, never the jail's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Current directory, absolute.
    pub cwd: PathBuf,
    /// The person's home directory, absolute.
    pub home: PathBuf,
    /// `PATH`, as it is set.
    pub path: OsString,
    /// The launcher's environment: version managers read theirs from it and are run with it.
    pub env: BTreeMap<OsString, OsString>,
}

impl Context {
    /// The context of this process.
    ///
    /// # Errors
    ///
    /// [`CommandError::NoHome`] and [`CommandError::NoCurrentDirectory`].
    pub fn of_process() -> Result<Self, CommandError> {
        let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or(CommandError::NoHome)?;
        let cwd = std::env::current_dir().map_err(CommandError::NoCurrentDirectory)?;
        let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        // What execvp(3) searches where there is no `PATH`.
        let path = env.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| "/bin:/usr/bin".into());
        Ok(Self { cwd, home, path, env })
    }

    /// The same, looking programs up from `cwd` and in none of the directories of `PATH` that are relative: those would be
    /// what lies about there, such as `node_modules/.bin` of a stranger's.
    #[must_use]
    pub fn looking_from(self, cwd: PathBuf) -> Self {
        let plain = std::env::split_paths(&self.path).filter(|directory| directory.is_absolute());
        let path = std::env::join_paths(plain).unwrap_or_default();
        Self { cwd, path, ..self }
    }

    /// A variable that is set and not empty.
    fn var(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

/// Finds out what `argv` really executes and what that needs to see.
///
/// # Errors
///
/// A [`CommandError`] where there is no such program, where it cannot be executed, or where no jail can run it.
pub fn resolve(argv: &[OsString], context: &Context) -> Result<Resolved, CommandError> {
    walk::resolve(argv, context, None)
}

/// The same for a server that lies in a directory of mcpjail's own, which is granted whole: nothing in it is looked for
/// one by one. `tree` is canonical.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_within(argv: &[OsString], context: &Context, tree: &Path) -> Result<Resolved, CommandError> {
    walk::resolve(argv, context, Some(tree))
}
