//! What the suite needs of the machine; trials that need more than there is are marked as ignored, with the reason.

use crate::world::World;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that a trial needs. Each has the name that `MCPJAIL_TEST_REQUIRE` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// User namespaces: the install jail needs them.
    Userns,
    /// Node and npm.
    Npm,
    Uv,
    /// A Python with virtual environments, and pip 22.2 or newer in them.
    Python,
    /// The suite runs as root: it mounts small file systems.
    Root,
    /// The public registries may be asked for real servers. Never taken for granted: it must be required.
    Registry,
    /// Debian's chromium.
    Chromium,
}

impl Feature {
    pub const ALL: &[Feature] = &[
        Feature::Userns,
        Feature::Npm,
        Feature::Uv,
        Feature::Python,
        Feature::Root,
        Feature::Registry,
        Feature::Chromium,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Feature::Userns => "userns",
            Feature::Npm => "npm",
            Feature::Uv => "uv",
            Feature::Python => "python",
            Feature::Root => "root",
            Feature::Registry => "registry",
            Feature::Chromium => "chromium",
        }
    }

    /// Whether an absence must fail: `MCPJAIL_TEST_REQUIRE=npm,uv` or `all`.
    pub fn required(self) -> bool {
        let wanted = std::env::var("MCPJAIL_TEST_REQUIRE").unwrap_or_default();
        wanted.split(',').map(str::trim).any(|name| name == self.name() || name == "all")
    }

    /// Whether it is there for this identity.
    pub fn present(self, world: &World) -> bool {
        let works = |program: Option<PathBuf>, arguments: &[&str]| {
            program.is_some_and(|program| succeeds(world.command(&program).args(arguments)))
        };
        match self {
            Feature::Userns => {
                let mut command = world.command(&world.mcpjail());
                command.args(["run", "--tier", "A", "--exact-tier", "--", "/bin/true"]);
                // 4: the jail cannot be made; anything else is a jail in which `true` was no server
                status(&mut command).is_some_and(|code| code != 4)
            }
            Feature::Npm => works(found("node"), &["--version"]) && works(found("npm"), &["--version"]),
            Feature::Uv => works(found("uv"), &["--version"]),
            Feature::Python => works(Some(PYTHON.into()), &["-c", "import ensurepip, venv"]),
            Feature::Root => unsafe { libc::geteuid() == 0 },
            Feature::Registry => self.required(),
            Feature::Chromium => Path::new("/usr/bin/chromium").exists(),
        }
    }
}

/// The system's Python, which every user can run, rather than one that is a person's own.
pub const PYTHON: &str = "/usr/bin/python3";

/// The program of that name, found as a shell does.
pub fn found(name: &str) -> Option<PathBuf> {
    if name == "python3" {
        return Some(PYTHON.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn status(command: &mut Command) -> Option<i32> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?.code()
}

fn succeeds(command: &mut Command) -> bool {
    status(command) == Some(0)
}
