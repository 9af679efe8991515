//! Where profiles, data and the policy live.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Source;
use super::error::{ConfigError, Problem};

/// Directories and files of mcpjail for one user. Tests construct it by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// `$XDG_CONFIG_HOME/mcpjail`: `config.toml`, `servers/`, `profiles/`.
    pub config_dir: PathBuf,
    /// `$XDG_DATA_HOME/mcpjail`: locks, store, homes.
    pub data_dir: PathBuf,
    /// `$XDG_STATE_HOME/mcpjail`: logs.
    pub state_dir: PathBuf,
    /// `$XDG_CACHE_HOME/mcpjail`: downloads of packages.
    pub cache_dir: PathBuf,
    /// The administrator's floor, `/etc/mcpjail/policy.toml`.
    pub policy: PathBuf,
    /// Who must own the policy: 0. Only tests say otherwise.
    pub administrator: u32,
    /// The user's home directory, absolute.
    pub home: PathBuf,
    /// `$XDG_RUNTIME_DIR`, or `/run/user/UID`.
    pub user_runtime_dir: Option<PathBuf>,
    /// The user that mcpjail runs as.
    pub uid: u32,
}

impl Locations {
    /// The locations of the user who runs this process, by the XDG base directory specification.
    ///
    /// # Errors
    /// `no-home` where no home directory is known; `profile-unreadable` where the kernel gives no pipe.
    pub fn from_environment() -> Result<Locations, ConfigError> {
        let no_home = || ConfigError::new(Source::Flag("HOME".to_owned()), Problem::NoHome);
        let base = directories::BaseDirs::new().ok_or_else(no_home)?;
        let home = base.home_dir().to_owned();
        if !home.is_absolute() {
            return Err(no_home());
        }
        let own = |parent: &Path| parent.join("mcpjail");
        let uid = effective_uid()
            .map_err(|error| ConfigError::new(Source::Flag("user".to_owned()), Problem::Unreadable(error)))?;
        Ok(Locations {
            config_dir: own(base.config_dir()),
            data_dir: own(base.data_dir()),
            state_dir: own(base.state_dir().unwrap_or(&home.join(".local/state"))),
            cache_dir: own(base.cache_dir()),
            policy: PathBuf::from("/etc/mcpjail/policy.toml"),
            administrator: 0,
            user_runtime_dir: Some(
                base.runtime_dir().map_or_else(|| PathBuf::from(format!("/run/user/{uid}")), Path::to_owned),
            ),
            home,
            uid,
        })
    }

    /// The profile of a server.
    pub fn server(&self, name: &str) -> PathBuf {
        self.config_dir.join("servers").join(format!("{name}.toml"))
    }

    /// A bundle of the user's own.
    pub fn bundle(&self, name: &str) -> PathBuf {
        self.config_dir.join("profiles").join(format!("{name}.toml"))
    }

    /// The defaults for all servers.
    pub fn defaults(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The lock of a server: what was approved of it. The key is the server's name, or what `command_key` makes of a
    /// command without one.
    pub fn lock(&self, key: &str) -> PathBuf {
        self.data_dir.join("locks").join(format!("{key}.lock.json"))
    }

    /// What sessions met and refused, for the next approval. The key is that of [`Locations::lock`].
    pub fn drift_record(&self, key: &str) -> PathBuf {
        self.state_dir.join("drift").join(format!("{key}.json"))
    }

    /// Hashes of large files that are launched.
    pub fn hashes(&self) -> PathBuf {
        self.state_dir.join("hashes")
    }

    /// Names of all servers that have a profile, sorted. An unreadable directory is an empty one.
    pub fn server_names(&self) -> Vec<String> {
        names_in(&self.config_dir.join("servers"))
    }

    /// Names of the user's own bundles, sorted.
    pub fn bundle_names(&self) -> Vec<String> {
        names_in(&self.config_dir.join("profiles"))
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|file| file.extension() == Some(OsStr::new("toml")))
        .filter_map(|file| file.file_stem().and_then(OsStr::to_str).map(str::to_owned))
        .filter(|name| is_name(name))
        .collect();
    names.sort_unstable();
    names
}

/// Whether a server or a bundle may have this name: `[a-z0-9][a-z0-9._-]*`, at most 128 bytes. Such a name is one path
/// component, never hidden, never `..`, and means the same on every file system.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 128
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
}

/// The effective user: a new pipe belongs to it. (`/proc/self` belongs to root while the process is not dumpable.)
fn effective_uid() -> io::Result<u32> {
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(OwnedFd::from(reader)).metadata()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names() {
        for good in ["a", "github", "mcp-server.v2", "0_x", "a..b"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "-x", "a/b", "A", "ä", "a b", "a\n", &"a".repeat(129)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn lists_only_what_can_be_named() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.toml", "a.toml", ".c.toml", "d.toml~", "E.toml", "f"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(names_in(folder.path()), ["a", "b"]);
        assert!(names_in(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn uid_is_that_of_this_process() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
        let effective: u32 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert_eq!(effective_uid().unwrap(), effective);
    }
}
