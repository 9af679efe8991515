//! A control group (v2) for the jail, where one can be made without privilege: below a delegated ancestor.
//!
//! Source: cgroup-v2.rst, "Delegation". Making a child needs a writable directory; moving a process there needs to write
//! the `cgroup.procs` of the common ancestor too, so the candidates are our own group's ancestors, nearest first.

use super::layer::{LayerReport, Status};
use super::limits::{CPU, MEMORY, PROCESSES};
use crate::plan::Limits;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The jail's own group; removed when dropped.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    memory: bool,
    pids: bool,
    cpu: bool,
    /// Which limits the kernel took.
    pub(super) enforced: Vec<&'static str>,
}

impl Group {
    /// Makes a group without limits. `None` where no ancestor can be used.
    pub(super) fn make() -> Option<Group> {
        Group::below_ancestor_of(&own_group()?)
    }

    fn below_ancestor_of(own: &Path) -> Option<Group> {
        // pids repeat, above all in containers; a group that a killed launcher left must not be in the way
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let name = format!("mcpjail-{}-{nanos:x}", std::process::id());
        own.ancestors().skip(1).take_while(|a| a.join("cgroup.procs").exists()).find_map(|parent| {
            let active = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
            let has = |controller: &str| active.split_ascii_whitespace().any(|c| c == controller);
            if !has("pids") && !has("memory") {
                return None;
            }
            let path = parent.join(&name);
            fs::create_dir(&path).ok()?;
            Some(Group { path, memory: has("memory"), pids: has("pids"), cpu: has("cpu"), enforced: Vec::new() })
        })
    }

    /// Its directory.
    pub(super) fn directory(&self) -> &Path {
        &self.path
    }

    /// Sets the plan's limits, as far as the group has the controllers.
    pub(super) fn limit(&mut self, limits: &Limits) {
        let set = |file: &str, value: String| fs::write(self.path.join(file), value).is_ok();
        let mut enforced = Vec::new();
        if self.memory && set("memory.max", limits.memory.value.to_string()) {
            let _without_swap_accounting = set("memory.swap.max", "0".into());
            let _advisory = set("memory.oom.group", "1".into());
            enforced.push(MEMORY);
        }
        // the reaper counts as well
        if self.pids && set("pids.max", (limits.processes.value + 1).to_string()) {
            enforced.push(PROCESSES);
        }
        if self.cpu && limits.cpu.value > 0 && set("cpu.max", format!("{} 100000", limits.cpu.value * 1000)) {
            enforced.push(CPU);
        }
        self.enforced = enforced;
    }

    /// Moves a process in. Its threads and later children follow.
    pub(super) fn take(&self, pid: i32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    /// Replaces the report's lines for what the group enforces.
    pub(super) fn amend(&self, report: &mut [LayerReport]) {
        for line in report.iter_mut().filter(|line| self.enforced.contains(&line.name.as_str())) {
            line.status = Status::Enforced;
        }
    }

    /// How many times the kernel killed for memory in this group.
    pub(super) fn out_of_memory(&self) -> u64 {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let line = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Kills whatever is left in the group (Linux 5.14).
    pub(super) fn kill(&self) {
        let _older_kernel = fs::write(self.path.join("cgroup.kill"), "1");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // processes leave a group some moments after they were killed
        for _ in 0..50 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                _ => break,
            }
        }
    }
}

/// Our own group's directory: the mount point of the v2 hierarchy joined with the `0::` line.
fn own_group() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let relative = own.trim_start_matches('/');
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(Path::new).find_map(|mount| {
        // a group with only its own processes has this file everywhere but in the root group; both have the other
        mount.join("cgroup.controllers").exists().then(|| mount.join(relative))
    })
}

/// Where a group could be made now and with which controllers, for `doctor`.
#[must_use]
pub fn available() -> Option<String> {
    let own = own_group()?;
    own.ancestors().skip(1).find_map(|parent| {
        let active = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        let probe = parent.join(format!("mcpjail-probe-{}", std::process::id()));
        fs::create_dir(&probe).ok()?;
        let _gone = fs::remove_dir(&probe);
        Some(format!("{} ({})", parent.display(), active.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Source, Sourced};

    fn limits() -> Limits {
        let value = |value| Sourced { value, origin: Origin { source: Source::Jail, line: None } };
        Limits {
            memory: value(1 << 30),
            processes: value(64),
            open_files: value(256),
            file_size: value(1 << 20),
            cpu: value(150),
        }
    }

    /// A tree of plain files in the shape of a delegated hierarchy; the kernel's part is not in it.
    fn hierarchy(controllers: &str) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("user/app/session")).unwrap();
        for group in ["", "user", "user/app", "user/app/session"] {
            fs::write(top.path().join(group).join("cgroup.procs"), "").unwrap();
            fs::write(top.path().join(group).join("cgroup.subtree_control"), "").unwrap();
        }
        fs::write(top.path().join("user/cgroup.subtree_control"), controllers).unwrap();
        top
    }

    #[test]
    fn the_nearest_ancestor_with_controllers_holds_the_group_and_its_limits() {
        let top = hierarchy("cpu memory pids\n");
        let mut group = Group::below_ancestor_of(&top.path().join("user/app/session")).unwrap();
        assert_eq!(group.path.parent(), Some(top.path().join("user").as_path()));
        group.limit(&limits());
        let read = |file: &str| fs::read_to_string(group.path.join(file)).unwrap();
        assert_eq!(read("memory.max"), (1u64 << 30).to_string());
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "65", "the reaper counts as well");
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(group.enforced, [MEMORY, PROCESSES, CPU]);
        group.take(42).unwrap();
        assert_eq!(read("cgroup.procs"), "42");
    }

    #[test]
    fn only_what_the_controllers_give_is_called_enforced() {
        let top = hierarchy("pids\n");
        let mut group = Group::below_ancestor_of(&top.path().join("user/app/session")).unwrap();
        group.limit(&limits());
        assert_eq!(group.enforced, [PROCESSES]);
        let line = |name: &str| LayerReport { name: name.into(), status: Status::Off };
        let mut report = [line(PROCESSES), line(MEMORY)];
        group.amend(&mut report);
        assert_eq!(report.map(|line| line.status), [Status::Enforced, Status::Off]);
    }

    #[test]
    fn without_delegation_there_is_no_group() {
        let top = hierarchy("");
        assert!(Group::below_ancestor_of(&top.path().join("user/app/session")).is_none());
    }
}
