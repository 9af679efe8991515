//! From profile, command and machine to a [`Plan`]: pure data that says everything the jail will be.
//!
//! Nothing here touches the machine: what must be looked up arrives as [`Facts`] and [`Place`]s, so every plan can be
//! made and compared in a test, for any kernel. `mcpjail explain` prints a plan; [`crate::jail`] makes it true.

mod build;
mod egress;
mod environment;
pub mod explain;
mod rights;
pub mod syscalls;
mod view;

pub use build::{Inputs, build};
pub use egress::{Egress, EgressPlan};
pub use rights::{Access, Rights, handled};

use crate::config::{GateGrants, Origin, Sourced, Tier};
use std::ffi::OsString;
use std::path::PathBuf;

/// A place on the machine's disk that has been looked up: canonical, with the object's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute, without symlinks.
    pub canonical: PathBuf,
    /// Symlinks that lead there from the path as written: link and its target as stored.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Whether it is a directory.
    pub directory: bool,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// The line that asks for it.
    pub origin: Origin,
}

/// A place and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub place: Place,
    /// What.
    pub access: Access,
}

/// A Unix socket of the machine in a granted tree, which the server must not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Absolute, without symlinks.
    pub path: PathBuf,
    /// The line that grants the tree.
    pub origin: Origin,
}

/// Who runs the jail, as the generated `/etc/passwd` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id, mapped 1:1.
    pub uid: u32,
    /// Group id, mapped 1:1.
    pub gid: u32,
    /// Login name.
    pub user: String,
    /// The home directory's path; what is there is decided by the profile.
    pub home: PathBuf,
}

/// What was found out about the machine and the caller.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The account.
    pub account: Account,
    /// The caller's working directory.
    pub cwd: PathBuf,
    /// The caller's environment, from which variables may be passed.
    pub environment: Vec<(OsString, OsString)>,
    /// Device nodes: null, zero, full, random, urandom.
    pub devices: Vec<Place>,
    /// Read-only facts about the machine that runtimes ask for (`/sys/devices/system/cpu`).
    pub machine: Vec<Place>,
    /// Entries of /proc that are covered: path and whether it is a directory.
    pub masks: Vec<(PathBuf, bool)>,
    /// Where a persistent home lives, when the profile asks for one.
    pub persistent_home: Option<Place>,
    /// Tier B only: a fresh private directory that holds `tmp`, `home` and the proof's canary.
    pub private: Option<PathBuf>,
}

/// What the kernel can do, as far as a plan depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Newest Landlock ABI; 0 where there is none.
    pub landlock_abi: u32,
}

impl Kernel {
    /// Whether Landlock stops connecting to sockets of the machine by their path.
    #[must_use]
    pub fn keeps_sockets_shut(self) -> bool {
        self.landlock_abi >= 9
    }
}

/// One step of building the root file system, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An empty directory.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A symlink.
    Symlink {
        /// Its target, as stored.
        target: PathBuf,
    },
    /// A generated file.
    File {
        /// Contents.
        text: String,
    },
    /// A file or tree of the machine, at its own path.
    Bind {
        /// Device and inode that must be found there, and whether it is a directory.
        place: Place,
        /// What the mount allows.
        rights: Rights,
        /// Lies inside another bound tree, where nothing may be created.
        inside: bool,
    },
    /// Private memory-backed storage.
    Tmpfs {
        /// Size in bytes.
        size: u64,
        /// Permission bits of its root.
        mode: u32,
        /// Whether files in it may be executed.
        exec: bool,
    },
    /// A fresh procfs of the jail's own process namespace, read-only.
    Proc,
    /// Nothing to see: covered by an empty file or directory.
    Mask {
        /// Covers a directory.
        directory: bool,
        /// Covers a socket of the machine in a bound tree, where it may be gone by then.
        socket: bool,
    },
}

/// A [`Step`], where it happens and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// What is put there.
    pub step: Step,
    /// Lies in a directory that the server could write in an earlier run (a persistent home): no symlink is followed.
    pub careful: bool,
    /// The line that asks for it.
    pub origin: Origin,
}

/// A Landlock rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// File or tree, absolute, as it is called inside the jail.
    pub path: PathBuf,
    /// What may be done there.
    pub rights: Rights,
    /// Whether directory rights apply.
    pub directory: bool,
    /// A missing path is no error (tier B's list of system files).
    pub optional: bool,
    /// Device and inode that must be found there, where no view has made sure of it already.
    pub object: Option<(u64, u64)>,
    /// The line that asks for it.
    pub origin: Origin,
}

/// A variable of the server's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub name: OsString,
    /// Value; `explain` shows it only where a profile or the jail wrote it.
    pub value: OsString,
    /// It was copied from the caller's environment and may be a secret.
    pub passed: bool,
    /// The line that passes or sets it.
    pub origin: Origin,
}

/// Limits in the kernel's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, all processes together (cgroup), or of data per process (rlimit).
    pub memory: Sourced<u64>,
    /// Processes and threads.
    pub processes: Sourced<u64>,
    /// Descriptors per process.
    pub open_files: Sourced<u64>,
    /// Bytes per file.
    pub file_size: Sourced<u64>,
    /// Percent of one CPU; 0 is no limit.
    pub cpu: Sourced<u64>,
}

/// Everything the jail will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The server's name, where it has one.
    pub name: Option<String>,
    /// How much confinement this plan is.
    pub tier: Tier,
    /// The least that the profile accepts.
    pub least_tier: Sourced<Tier>,
    /// What is executed, absolute.
    pub program: PathBuf,
    /// Its arguments, `argv[0]` first.
    pub argv: Vec<OsString>,
    /// How the program was found.
    pub trail: Vec<String>,
    /// Working directory inside the jail.
    pub cwd: PathBuf,
    /// Ids and names.
    pub account: Account,
    /// The environment, whole, in order.
    pub environment: Vec<Variable>,
    /// The root file system (tier A; empty for B).
    pub view: Vec<Mount>,
    /// The Landlock rules.
    pub rules: Vec<Rule>,
    /// Landlock's ABI that the rights are cut to.
    pub landlock_abi: u32,
    /// What is reached outside the jail.
    pub egress: Egress,
    /// Which sockets can be made.
    pub sockets: Sourced<syscalls::Sockets>,
    /// System call groups beyond the base.
    pub syscalls: Vec<Sourced<String>>,
    /// Limits.
    pub limits: Limits,
    /// How the server's catalog is held against the approved one.
    pub gate: GateGrants,
    /// What was approved, absolute; the file may not exist.
    pub lock: Sourced<PathBuf>,
    /// A file that the server must not be able to read: the proof of Landlock.
    pub canary: PathBuf,
    /// Profiles that went into it.
    pub used: Vec<String>,
    /// What this tier cannot do of what the profile says; printed at every start.
    pub unenforced: Vec<String>,
    /// What no tier can do on this kernel; for `explain` alone.
    pub limitations: Vec<String>,
}

/// Why a profile cannot become a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A read-only island needs mounts.
    #[error("`deny-write` of `{path}` ({origin}) cannot be enforced in tier B")]
    IslandInTierB {
        /// The island.
        path: PathBuf,
        /// Its line.
        origin: Origin,
    },
    /// An island that lies in no writable grant protects nothing.
    #[error("`deny-write` of `{path}` ({origin}) lies in no writable grant")]
    IdleIsland {
        /// The island.
        path: PathBuf,
        /// Its line.
        origin: Origin,
    },
    /// A connection to a granted name needs a network of the jail's own, in which nothing else is reached.
    #[error("the connection to `{rule}` ({origin}) cannot be granted in tier B")]
    EgressInTierB {
        /// The first rule.
        rule: String,
        /// Its line.
        origin: Origin,
    },
    /// Each granted port is a listener in the jail.
    #[error("`{rule}` ({origin}) brings the granted ports to more than {}, {count} in all", crate::egress::MOST_PORTS)]
    TooManyPorts {
        /// The rule that goes over the bound.
        rule: String,
        /// Its line.
        origin: Origin,
        /// All distinct ports of the profile.
        count: usize,
    },
    /// A name that no profile may ask for.
    #[error("unknown system call or group `{name}` ({origin})")]
    UnknownSyscall {
        /// As written.
        name: String,
        /// Its line.
        origin: Origin,
    },
    /// The kernel has no Landlock.
    #[error("this kernel has no Landlock, which every tier needs")]
    NoLandlock,
}

impl crate::diagnose::Diagnose for PlanError {
    fn code(&self) -> &'static str {
        match self {
            PlanError::IslandInTierB { .. } => "island-needs-tier-a",
            PlanError::IdleIsland { .. } => "idle-island",
            PlanError::EgressInTierB { .. } => "egress-needs-tier-a",
            PlanError::TooManyPorts { .. } => "too-many-ports",
            PlanError::UnknownSyscall { .. } => "unknown-syscall",
            PlanError::NoLandlock => "no-landlock",
        }
    }

    fn exit(&self) -> crate::diagnose::Exit {
        match self {
            PlanError::NoLandlock | PlanError::IslandInTierB { .. } | PlanError::EgressInTierB { .. } => {
                crate::diagnose::Exit::Jail
            }
            PlanError::IdleIsland { .. } | PlanError::UnknownSyscall { .. } | PlanError::TooManyPorts { .. } => {
                crate::diagnose::Exit::Usage
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            PlanError::IslandInTierB { .. } => "run where tier A is available; see `mcpjail doctor`".into(),
            PlanError::IdleIsland { .. } => "drop the line, or grant its parent under `write`".into(),
            PlanError::EgressInTierB { .. } => {
                "run where tier A is available, see `mcpjail doctor`; or take the network rules out".into()
            }
            PlanError::TooManyPorts { .. } => "name the ports that the server uses".into(),
            PlanError::UnknownSyscall { .. } => {
                let names = syscalls::GROUPS.iter().filter(|g| !g.base).map(|g| g.name).collect::<Vec<_>>();
                format!("a profile may ask for {}, or for one call out of these", names.join(", "))
            }
            PlanError::NoLandlock => {
                "Linux 5.13 or newer with `landlock` in its list of LSMs; see `mcpjail doctor`".into()
            }
        })
    }
}
