//! What the suite needs of the machine; trials that need more than there is are marked as ignored, with the reason.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Something that a trial needs. Each has the name that `MCPJAIL_TEST_REQUIRE` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Network namespaces of one's own, joined by `ip`, and a certificate authority by `openssl`.
    Netns,
    /// User namespaces: the full jail.
    Userns,
    Ipv6,
    Mptcp,
    Node,
    Python,
    /// Python's requests.
    Requests,
    Curl,
    Git,
    Psql,
    Redis,
    /// A static client: Rust's musl target was there when the suite was last built.
    Musl,
}

impl Feature {
    pub fn name(self) -> &'static str {
        match self {
            Feature::Netns => "netns",
            Feature::Userns => "userns",
            Feature::Ipv6 => "ipv6",
            Feature::Mptcp => "mptcp",
            Feature::Node => "node",
            Feature::Python => "python",
            Feature::Requests => "requests",
            Feature::Curl => "curl",
            Feature::Git => "git",
            Feature::Psql => "psql",
            Feature::Redis => "redis",
            Feature::Musl => "musl",
        }
    }

    /// Whether an absence must fail: `MCPJAIL_TEST_REQUIRE=netns,node` or `all`.
    pub fn required(self) -> bool {
        let wanted = std::env::var("MCPJAIL_TEST_REQUIRE").unwrap_or_default();
        wanted.split(',').map(str::trim).any(|name| name == self.name() || name == "all")
    }

    /// Whether it is there, as far as that does not depend on who runs the trial.
    pub fn present(self) -> bool {
        match self {
            Feature::Netns | Feature::Userns => true, // asked elsewhere
            Feature::Ipv6 => crate::namespaces::has_ipv6(),
            Feature::Mptcp => Path::new("/proc/sys/net/mptcp/enabled").exists(),
            // the HTTPS server runs by it and serves git as well
            Feature::Node => node().is_some() && git().is_some(),
            Feature::Python => python().is_some(),
            Feature::Requests => requests().is_some(),
            Feature::Curl => found("curl").is_some(),
            Feature::Git => git().is_some(),
            Feature::Psql => found("psql").is_some() && postgres().is_some(),
            Feature::Redis => found("redis-cli").is_some() && found("redis-server").is_some(),
            Feature::Musl => crate::world::example("dialler-static").exists(),
        }
    }
}

/// The program of that name, found as a shell does.
pub fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).chain(usual);
    places.map(|dir| dir.join(name)).find(|path| path.is_file())
}

pub fn node() -> Option<PathBuf> {
    static NODE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || found("node").filter(|node| works(Command::new(node).args(["-e", "fetch"])));
    NODE.get_or_init(find).clone()
}

pub fn git() -> Option<PathBuf> {
    found("git")
}

/// The system's Python, which every user can run, rather than one that is a person's own.
pub fn python() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/bin/python3")).filter(|python| works(Command::new(python).args(["-c", "import ssl"])))
}

/// A Python that has requests.
pub fn requests() -> Option<PathBuf> {
    python().filter(|python| works(Command::new(python).args(["-c", "import requests"])))
}

/// Where PostgreSQL's server programs are; Debian has them in no path.
pub fn postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    places.extend(found("postgres").and_then(|path| Some(path.parent()?.to_path_buf())));
    places.into_iter().find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
