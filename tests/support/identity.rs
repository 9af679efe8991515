//! Who a trial runs as: whoever runs the suite, and, when that is root, an ordinary user as well.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// One of the identities of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// First part of every trial's name: `root` or `user`.
    pub name: &'static str,
    pub uid: u32,
    pub gid: u32,
    /// Whether the suite has to change to it.
    drop: bool,
}

/// The identities that this run covers: `user` alone for an ordinary user, else `root` and `user`.
pub fn all() -> Vec<Identity> {
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    if uid != 0 {
        return vec![Identity { name: "user", uid, gid, drop: false }];
    }
    let other = free_id();
    vec![
        Identity { name: "root", uid, gid, drop: false },
        Identity { name: "user", uid: other, gid: other, drop: true },
    ]
}

/// The first id from 65533 on under which nothing runs, so that limits per user count only what the suite starts.
fn free_id() -> u32 {
    let taken: Vec<u32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::os::unix::fs::MetadataExt::uid(&entry.metadata().ok()?).into())
        .collect();
    (65_533..65_600).find(|id| !taken.contains(id)).unwrap_or(65_533)
}

impl Identity {
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    /// A command that runs as this identity, without supplementary groups, with an empty environment.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        if self.drop {
            // As root, the standard library also clears the supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a path of the suite's own to this identity; symlinks themselves, not what they name.
    pub fn own(self, path: &Path) -> std::io::Result<()> {
        if !self.drop {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))?;
        if path.symlink_metadata()?.is_dir() {
            for entry in path.read_dir()? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}
