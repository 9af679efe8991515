//! Profiles: what a server may do, from TOML to a [`Profile`] whose every value knows the line it came from.

mod builtin;
mod document;
mod env;
mod error;
mod expand;
mod hint;
mod install;
mod launch;
mod load;
mod locate;
mod locations;
mod merge;
mod policy;
mod protected;
mod protected_table;
mod raw;
mod schema;
mod uses;
mod walk;

use crate::egress::Rule;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use builtin::{builtin_names, builtin_text};
pub use error::{ConfigError, Place, Problem};
pub use expand::{Variables, literal_syscalls};
pub use hint::CODES;
pub use install::load_install;
pub use launch::{Launch, PackageLine};
pub use load::{Flags, Layers, load_flags_only, load_server, load_staged};
pub use locate::{Kind, Located, LocatedFiles, Locator};
pub use locations::{Locations, is_name};
pub use protected::{Access, Hit, Protected, Relation};
pub use raw::{parse_duration, parse_size};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A profile that is compiled in, by its name (`default`, `node`, …).
    BuiltIn(String),
    /// A file of the user's: a server profile, a bundle or `config.toml`.
    File(PathBuf),
    /// The administrator's policy.
    Policy(PathBuf),
    /// A command-line option, as written (`--read ~/notes`).
    Flag(String),
    /// The command that is run: its interpreter, package or environment.
    Command,
    /// The store of packages: the one tree that the server runs from.
    Store,
    /// The jail itself: what no profile can change.
    Jail,
}

/// A [`Source`] and the line in it, 1-based; `None` where lines make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, option or built-in part.
    pub source: Source,
    /// 1-based line of the value.
    pub line: Option<u32>,
}

impl Origin {
    /// What no profile says: the jail's own part.
    #[must_use]
    pub const fn jail() -> Origin {
        Origin { source: Source::Jail, line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::BuiltIn(name) => write!(f, "built-in {name}")?,
            Source::File(path) | Source::Policy(path) => f.write_str(&error::shown(path))?,
            Source::Flag(flag) => f.write_str(&error::printable(flag))?,
            Source::Command => write!(f, "the command")?,
            Source::Store => write!(f, "the package store")?,
            Source::Jail => write!(f, "the jail")?,
        }
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// A value with the place it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

/// How much confinement: the least a profile accepts, or what a machine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Tier {
    /// Landlock and seccomp only, where user namespaces are not to be had.
    B,
    /// Namespaces, a root file system of its own, Landlock and seccomp.
    A,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::A => "A",
            Tier::B => "B",
        })
    }
}

/// How far the person trusts the server's author; picks the presets in `profiles/trust-*.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// A stranger's server; the default.
    Community,
    /// Read or audited by someone the person trusts.
    Vetted,
    /// The person's own.
    FirstParty,
}

/// Whether the jail's home directory outlives the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Home {
    /// Empty at every start, in memory.
    Ephemeral,
    /// `$XDG_DATA_HOME/mcpjail/homes/NAME`.
    Persistent,
}

/// What becomes of a server whose catalog is not the approved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// It does not start; the host's request is answered with what differs.
    Refuse,
    /// It starts; what changed or is new is hidden and cannot be called.
    Quarantine,
}

/// What becomes of a server that was never approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstUse {
    /// It does not start.
    Refuse,
    /// What it shows at its first start is approved unread.
    Trust,
}

/// A path that a profile or an option grants, variables expanded, not yet looked up on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathGrant {
    /// Absolute and lexically normal (no `.`, `..`, doubled or final slash). Symlinks are not resolved.
    pub path: PathBuf,
    /// As it stands in the profile (`${arg1}/.git`).
    pub written: String,
    /// `dangerous = true`: protected paths may be granted by this line.
    pub dangerous: bool,
    /// `optional = true`: dropped without an error where the path does not exist.
    pub optional: bool,
    /// The line.
    pub origin: Origin,
}

/// All file grants of a profile. Lists of merged profiles add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileGrants {
    /// Files and trees that may be read, not executed.
    pub read: Vec<PathGrant>,
    /// Files and trees that may be read, written, created in and deleted from, not executed.
    pub write: Vec<PathGrant>,
    /// Directories whose names may be listed, contents not read.
    pub list: Vec<PathGrant>,
    /// Files and trees that may be read and executed.
    pub exec: Vec<PathGrant>,
    /// Read-only islands inside writable grants.
    pub deny_write: Vec<PathGrant>,
    /// Names, relative to every writable grant, that become read-only islands where they exist (`.git/hooks`).
    pub guard: Vec<Sourced<PathBuf>>,
}

/// Network grants. Lists of merged profiles add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkGrants {
    /// Whether sockets to the jail's own, private loopback are allowed. Nothing outside is reached by it.
    pub loopback: Sourced<bool>,
    /// What is reached outside; nothing where it is empty.
    pub allow: Vec<Sourced<Rule>>,
    /// Connections at once; 1 to [`Limits::MOST_CONNECTIONS`](crate::egress::Limits::MOST_CONNECTIONS).
    pub connections: Sourced<u32>,
    /// How long nothing may move on a connection.
    pub idle_timeout: Sourced<Duration>,
    /// How long a connection may last.
    pub lifetime: Sourced<Duration>,
}

/// Environment grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvGrants {
    /// Names that are copied from mcpjail's environment where set there; `LC_*` style suffix patterns allowed.
    pub pass: Vec<Sourced<String>>,
    /// Names and values that are set; a later profile's value replaces an earlier one's.
    pub set: Vec<(String, Sourced<String>)>,
}

/// Resource limits. Bytes are bytes, not pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitGrants {
    /// Memory of the whole jail, bytes.
    pub memory: Sourced<u64>,
    /// Processes and threads of the whole jail.
    pub processes: Sourced<u64>,
    /// Open descriptors of each process.
    pub open_files: Sourced<u64>,
    /// Size of the private /tmp and of /dev/shm and of an ephemeral home, bytes each.
    pub tmp: Sourced<u64>,
    /// Largest file that may be written, bytes.
    pub file_size: Sourced<u64>,
    /// CPU time per wall time in percent of one CPU (200 = two CPUs); 0 means no limit.
    pub cpu: Sourced<u64>,
}

/// How a server's catalog is held against the approved one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateGrants {
    /// What becomes of a server that differs from its lock.
    pub drift: Sourced<Drift>,
    /// What becomes of a server that has no lock.
    pub first_use: Sourced<FirstUse>,
    /// How long the handshake and the walk of all lists may take.
    pub timeout: Sourced<Duration>,
}

/// A profile: everything merged, variables expanded, each value with its [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The server's name under `run NAME`; `None` under `run -- COMMAND`.
    pub name: Option<String>,
    /// The command line that the profile gives, as written plus the caller's arguments; `None` where it names a package.
    pub command: Option<Sourced<Vec<OsString>>>,
    /// Trust preset.
    pub trust: Sourced<Trust>,
    /// The least tier that is acceptable.
    pub tier: Sourced<Tier>,
    /// Kind of home directory.
    pub home: Sourced<Home>,
    /// File grants.
    pub files: FileGrants,
    /// Network grants.
    pub network: NetworkGrants,
    /// Environment grants.
    pub env: EnvGrants,
    /// Limits.
    pub limits: LimitGrants,
    /// Additional system call groups and single calls by name (`@chown`, `ptrace`).
    pub syscalls: Vec<Sourced<String>>,
    /// How the server's catalog is held against the approved one.
    pub gate: GateGrants,
    /// Names of the profiles that went into this one, in merge order.
    pub used: Vec<String>,
}
