//! From what a person typed to what is executed: the true interpreter, its installation and the server's package.

use std::ffi::OsString;
use std::path::PathBuf;

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
    /// How it was found, one step a line, for `explain`.
    pub trail: Vec<String>,
}
