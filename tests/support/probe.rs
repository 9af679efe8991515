//! What this machine can do, found out once by doing it; trials that need more are marked as ignored, with the reason.

use super::client::Server;
use super::identity::Identity;
use super::world::World;
use serde_json::json;
use std::path::PathBuf;

/// Something that a trial needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// User namespaces with a mount namespace, as this identity.
    UserNamespaces,
    Landlock,
    /// Landlock ABI 6: abstract unix sockets and signals are scoped.
    LandlockScopes,
    /// A cgroup v2 directory of this identity's with the pids and memory controllers.
    Cgroup,
    /// Something that counts the processes of a jail of uid 0: a cgroup, or a `pid_max` per namespace (Linux 6.14).
    ProcessLimit,
    /// x32 system calls.
    X32,
    /// i386 system calls.
    I386,
    Ipv6,
    Mptcp,
    /// The suite runs as root: some layers can only be broken then.
    Root,
}

impl Feature {
    /// The name in `MCPJAIL_TEST_REQUIRE`.
    pub fn name(self) -> &'static str {
        match self {
            Feature::UserNamespaces => "userns",
            Feature::Landlock => "landlock",
            Feature::LandlockScopes => "landlock-scopes",
            Feature::Cgroup => "cgroup",
            Feature::ProcessLimit => "process-limit",
            Feature::X32 => "x32",
            Feature::I386 => "i386",
            Feature::Ipv6 => "ipv6",
            Feature::Mptcp => "mptcp",
            Feature::Root => "root",
        }
    }

    /// Whether an absence must fail: `MCPJAIL_TEST_REQUIRE=userns,landlock` or `all`.
    pub fn required(self) -> bool {
        let wanted = std::env::var("MCPJAIL_TEST_REQUIRE").unwrap_or_default();
        wanted.split(',').map(str::trim).any(|name| name == self.name() || name == "all")
    }
}

fn pid_max_is_namespaced() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}

/// What one identity lacks here.
pub struct Machine {
    lacks: Vec<Feature>,
}

impl Machine {
    /// Finds out, once per identity; fails only when the attacker itself does not run.
    pub fn probe(world: &World) -> Result<Machine, String> {
        let mut lacks = Vec::new();
        let mut server = Server::start(world.plain(&[])).map_err(|ended| ended.to_string())?;
        let mut works = |attack: &str, step: &str| -> Result<bool, String> {
            let answer = server.attempt(&json!({ "attack": attack }))?;
            let steps = answer["steps"].as_array().cloned().unwrap_or_default();
            Ok(steps.iter().any(|found| found["step"] == step && found["ok"] == true))
        };
        for (feature, attack, step) in [
            (Feature::UserNamespaces, "user-namespace", "unshare"),
            (Feature::X32, "x32", "getpid"),
            (Feature::I386, "foreign", "getpid"),
            (Feature::Ipv6, "own-loopback", "tcp6"),
        ] {
            if !works(attack, step)? {
                lacks.push(feature);
            }
        }
        let abi = landlock_abi();
        if abi < 1 {
            lacks.push(Feature::Landlock);
        }
        if abi < 6 {
            lacks.push(Feature::LandlockScopes);
        }
        if !cgroup(world.identity) {
            lacks.push(Feature::Cgroup);
            if !pid_max_is_namespaced() {
                lacks.push(Feature::ProcessLimit);
            }
        }
        if !PathBuf::from("/proc/sys/net/mptcp/enabled").exists() {
            lacks.push(Feature::Mptcp);
        }
        if !world.identity.is_root() {
            lacks.push(Feature::Root);
        }
        Ok(Machine { lacks })
    }

    /// Those of the needed features that are absent.
    pub fn missing(&self, needs: &[Feature]) -> Vec<Feature> {
        needs.iter().copied().filter(|feature| self.lacks.contains(feature)).collect()
    }
}

/// Landlock's ABI; below 1 where there is none.
pub fn landlock_abi() -> i64 {
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) }
}

/// Whether this identity may make a group below its own, with both controllers that a jail wants.
fn cgroup(identity: Identity) -> bool {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(group) = own.lines().find_map(|line| line.strip_prefix("0::")) else { return false };
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().any(|root| {
        let dir = PathBuf::from(format!("{root}{group}"));
        let controllers = std::fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
        let has = |name: &str| controllers.split_whitespace().any(|controller| controller == name);
        let owner = dir.metadata().map(|found| std::os::unix::fs::MetadataExt::uid(&found));
        has("pids") && has("memory") && (identity.is_root() || owner.is_ok_and(|uid| uid == identity.uid))
    })
}
