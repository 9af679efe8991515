//! Looks up what a plan needs to know about the machine and the caller: the I/O in front of [`crate::plan`].

use crate::config::{Home, Locations, Origin, Profile};
use crate::plan::{Account, Facts, Kernel, Place};
use crate::sys::{landlock, process};
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Node's `os.cpus()`, glibc's `sysconf` and thread pools size themselves by it.
const MACHINE: [&str; 1] = ["/sys/devices/system/cpu"];
/// Entries of /proc that tell about the machine or its other users, or that only file modes protect from uid 0.
const MASKS: [&str; 21] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/pagetypeinfo",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/vmallocinfo",
];

/// Why the facts could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The caller's working directory was deleted or cannot be reached.
    #[error("the working directory cannot be found")]
    NoWorkingDirectory(#[source] io::Error),
    /// A directory of mcpjail's own cannot be made.
    #[error("cannot make `{path}`")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A persistent home belongs to a name.
    #[error("`home = \"persistent\"` needs a server with a name")]
    NamelessHome,
}

impl crate::diagnose::Diagnose for FactsError {
    fn code(&self) -> &'static str {
        match self {
            FactsError::NoWorkingDirectory(_) => "no-working-directory",
            FactsError::Directory { .. } => "cannot-make-directory",
            FactsError::NamelessHome => "nameless-home",
        }
    }

    fn exit(&self) -> crate::diagnose::Exit {
        crate::diagnose::Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            FactsError::NoWorkingDirectory(_) => "change to a directory that exists, for example `cd ~`".into(),
            FactsError::Directory { .. } => {
                "check who owns the directory above it, and that the disk is not full".into()
            }
            FactsError::NamelessHome => "write the profile to servers/NAME.toml and use `mcpjail run NAME`".into(),
        })
    }
}

/// Landlock's ABI, which bounds what a plan can promise.
#[must_use]
pub fn kernel() -> Kernel {
    Kernel { landlock_abi: landlock::abi().unwrap_or(0) }
}

/// The caller's working directory.
///
/// # Errors
/// [`FactsError::NoWorkingDirectory`].
pub fn working_directory() -> Result<PathBuf, FactsError> {
    std::env::current_dir().map_err(FactsError::NoWorkingDirectory)
}

/// The facts for a profile. `private` is tier B's private directory ([`private_directory`]), where one is needed.
///
/// # Errors
/// [`FactsError`] when a persistent home is asked for and cannot be had.
pub fn facts(profile: &Profile, loc: &Locations, cwd: PathBuf, private: Option<PathBuf>) -> Result<Facts, FactsError> {
    let (uid, gid) = process::user();
    let user = user_name(uid);
    let home = fs::canonicalize(&loc.home).unwrap_or_else(|_| loc.home.clone());
    // a home that is the root or lies among the kernel's own files is none
    let home = if home == Path::new("/") || is_kernels(&home) { Path::new("/home").join(&user) } else { home };
    let cwd = if is_kernels(&cwd) { PathBuf::from("/") } else { cwd };
    let persistent_home = match (profile.home.value, &profile.name) {
        (Home::Ephemeral, _) => None,
        (Home::Persistent, None) => return Err(FactsError::NamelessHome),
        (Home::Persistent, Some(name)) => Some(persistent_home(name, loc, &profile.home.origin)?),
    };
    let device = |meta: &Metadata| meta.file_type().is_char_device();
    Ok(Facts {
        account: Account { uid, gid, user, home },
        cwd,
        environment: std::env::vars_os().collect(),
        devices: DEVICES
            .iter()
            .filter_map(|path| place(Path::new(path)).filter(|(_, m)| device(m)))
            .map(|p| p.0)
            .collect(),
        machine: MACHINE.iter().filter_map(|path| place(Path::new(path))).map(|p| p.0).collect(),
        masks: MASKS.iter().filter_map(|path| mask(path, uid)).collect(),
        persistent_home,
        private,
    })
}

/// Whether a path lies where the jail has file systems of its own.
fn is_kernels(path: &Path) -> bool {
    ["/proc", "/sys", "/dev"].iter().any(|top| path.starts_with(top))
}

/// An entry of /proc to cover, if it is there and the jail's user could look into it: the jail has no capability, so for
/// an ordinary user the file's mode is enough.
fn mask(path: &str, uid: u32) -> Option<(PathBuf, bool)> {
    let meta = fs::symlink_metadata(path).ok()?;
    let open = uid == meta.uid() || meta.mode() & 0o007 != 0;
    open.then(|| (PathBuf::from(path), meta.is_dir()))
}

/// A path without symlinks, as the jail's own part of a view.
fn place(path: &Path) -> Option<(Place, Metadata)> {
    let meta = fs::symlink_metadata(path).ok().filter(|meta| !meta.is_symlink())?;
    let place = Place {
        canonical: path.to_path_buf(),
        links: Vec::new(),
        directory: meta.is_dir(),
        dev: meta.dev(),
        ino: meta.ino(),
        origin: Origin::jail(),
    };
    Some((place, meta))
}

/// Who runs this process, by /etc/passwd.
#[must_use]
pub fn user() -> String {
    user_name(process::user().0)
}

/// The login name by /etc/passwd; `user` where it has none. Other name services are not asked: a name is only for show.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = uid.to_string();
    passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_string())
        })
        .unwrap_or_else(|| "user".into())
}

fn persistent_home(name: &str, loc: &Locations, origin: &Origin) -> Result<Place, FactsError> {
    let path = loc.data_dir.join("homes").join(name);
    let failed = |source| FactsError::Directory { path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let canonical = fs::canonicalize(&path).map_err(failed)?;
    let meta = fs::symlink_metadata(&canonical).map_err(failed)?;
    let (dev, ino) = (meta.dev(), meta.ino());
    Ok(Place { canonical, links: Vec::new(), directory: true, dev, ino, origin: origin.clone() })
}

/// Tier B's private directory with `tmp`, `home` and the canary; removed when dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    /// Its path, unpredictable, mode 0700.
    pub path: PathBuf,
}

/// Makes the private directory in the system's directory for temporary files.
///
/// # Errors
/// [`FactsError::Directory`].
pub fn private_directory() -> Result<PrivateDirectory, FactsError> {
    let parent = std::env::temp_dir();
    let parent = fs::canonicalize(&parent).unwrap_or(parent);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    // a name that exists is an error, never used: whoever made it is not us
    let path = parent.join(format!("mcpjail-{}-{nanos:x}", std::process::id()));
    let failed = |source| FactsError::Directory { path: path.clone(), source };
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder.create(&path).map_err(failed)?;
    let made = PrivateDirectory { path: path.clone() };
    for name in ["tmp", "home"] {
        builder.create(path.join(name)).map_err(failed)?;
    }
    fs::write(path.join("canary"), "no jailed process can read this file\n").map_err(failed)?;
    Ok(made)
}

/// Gives the owner all rights on the directories of a tree. Symlinks are not followed.
fn open_up(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _refused = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.path).is_err() {
            // a server may have taken its own rights away from a directory of its own
            open_up(&self.path);
            let _left_behind = fs::remove_dir_all(&self.path);
        }
    }
}
