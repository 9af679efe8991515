//! What a command needs to see: grants that never reach the home directory or anything like it, and the story of how
//! each was found.

use std::path::{Path, PathBuf};

use super::error::printable;
use super::{CommandGrant, files};

/// Directories that hold far more than one program. None of them is ever granted as a tree.
const BROAD: [&str; 26] = [
    "/boot",
    "/data",
    "/dev",
    "/dev/shm",
    "/etc",
    "/gnu",
    "/home",
    "/media",
    "/mnt",
    "/nix",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/run/user",
    "/snap",
    "/srv",
    "/sys",
    "/tmp",
    "/var",
    "/var/cache",
    "/var/home",
    "/var/lib",
    "/var/tmp",
    "/usr",
    "/usr/local",
];

/// The same below the home directory.
const BROAD_IN_HOME: [&str; 19] = [
    ".cache",
    ".config",
    ".local",
    ".local/bin",
    ".local/lib",
    ".local/share",
    ".local/state",
    ".var",
    ".var/app",
    "AppData",
    "Desktop",
    "Documents",
    "Downloads",
    "Music",
    "Pictures",
    "Public",
    "Templates",
    "Videos",
    "snap",
];

/// Directories below the home that hold secrets: neither they nor anything in them is granted as a tree.
const SECRET_IN_HOME: [&str; 12] = [
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".config/mcpjail",
    ".docker",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".local/share/mcpjail",
    ".mozilla",
    ".ssh",
];

/// Grants, `PATH` and trail of one command while it is being resolved.
#[derive(Debug)]
pub(super) struct Needs {
    /// The home directory as named, and where that leads.
    homes: Vec<PathBuf>,
    grants: Vec<CommandGrant>,
    path_dirs: Vec<PathBuf>,
    trail: Vec<String>,
}

impl Needs {
    pub(super) fn new(home: &Path) -> Self {
        let mut homes = vec![home.to_path_buf()];
        homes.extend(home.canonicalize().ok().filter(|real| real != home));
        Self { homes, grants: Vec::new(), path_dirs: Vec::new(), trail: Vec::new() }
    }

    pub(super) fn into_parts(self) -> (Vec<CommandGrant>, Vec<PathBuf>, Vec<String>) {
        (self.grants, self.path_dirs, self.trail)
    }

    /// The home directory.
    pub(super) fn home(&self) -> &Path {
        self.homes.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Whether there are so many grants that links need not be followed any further: each one is a mount.
    pub(super) fn is_full(&self) -> bool {
        self.grants.len() >= 256
    }

    /// Adds a step to the story.
    pub(super) fn note(&mut self, step: impl Into<String>) {
        let step = printable(&step.into());
        if !self.trail.contains(&step) {
            self.trail.push(step);
        }
    }

    /// Adds a directory to the jail's `PATH`. System directories are there anyway.
    pub(super) fn path_dir(&mut self, dir: &Path) {
        if !files::is_system(dir) && !self.path_dirs.iter().any(|known| known == dir) {
            self.path_dirs.push(dir.to_path_buf());
        }
    }

    /// Whether a directory is the home, above it, or one that holds more than a program.
    pub(super) fn too_broad(&self, dir: &Path) -> bool {
        let text = dir.as_os_str();
        if dir.parent().is_none() || BROAD.iter().any(|broad| text == *broad) {
            return true;
        }
        // Other people's homes, and their run-time directories.
        let siblings = ["/home", "/var/home", "/run/user"];
        if dir.parent().is_some_and(|parent| siblings.iter().any(|name| parent.as_os_str() == *name)) {
            return true;
        }
        self.homes.iter().any(|home| {
            let Ok(inside) = dir.strip_prefix(home) else { return home.starts_with(dir) };
            inside.as_os_str().is_empty()
                || BROAD_IN_HOME.iter().any(|broad| inside == Path::new(broad))
                || SECRET_IN_HOME
                    .iter()
                    .any(|secret| inside.starts_with(secret) || Path::new(secret).starts_with(inside))
        })
    }

    /// Whether a directory is too broad, or would be under the name that it really has.
    fn refuses(&self, dir: &Path) -> bool {
        self.too_broad(dir) || dir.canonicalize().is_ok_and(|real| self.too_broad(&real))
    }

    /// Whether a directory below the home goes through a hidden one. What a package itself names is not believed
    /// there: a line in a file must not open `~/.thunderbird`.
    pub(super) fn hidden(&self, dir: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt;
        self.homes
            .iter()
            .filter_map(|home| dir.strip_prefix(home).ok())
            .any(|inside| inside.components().any(|part| part.as_os_str().as_bytes().starts_with(b".")))
    }

    /// Grants a directory: under its real name and, where that differs, as it is reached. `false` where it does not
    /// exist or is too broad.
    #[must_use]
    pub(super) fn tree(&mut self, reached: &Path, reason: &str) -> bool {
        let Ok(real) = reached.canonicalize() else { return false };
        if real == reached && self.covers(&real) {
            return true;
        }
        if !real.is_dir() || self.too_broad(reached) || self.refuses(&real) {
            return false;
        }
        if files::is_system(&real) {
            return true;
        }
        self.add(real.clone(), reason);
        if real != reached {
            self.add(reached.to_path_buf(), reason);
        }
        true
    }

    /// Grants one file: under its real name and, where that differs, as it is reached.
    pub(super) fn file(&mut self, reached: &Path, reason: &str) {
        let Ok(real) = reached.canonicalize() else { return };
        if !real.is_file() {
            return;
        }
        if !files::is_system(&real) {
            self.add(real.clone(), reason);
        }
        if real != reached && !files::is_system(reached) {
            self.add(reached.to_path_buf(), reason);
        }
    }

    /// Grants what a symbolic link that the kernel follows inside the jail passes through, as it is reached.
    pub(super) fn link(&mut self, reached: &Path, reason: &str) {
        if !files::is_system(reached) && reached.is_file() {
            self.add(reached.to_path_buf(), reason);
        }
    }

    /// Grants a tree that is known to be the server's own, wherever it lies.
    pub(super) fn given(&mut self, tree: &Path, reason: &str) {
        self.add(tree.to_path_buf(), reason);
    }

    fn add(&mut self, path: PathBuf, reason: &str) {
        if self.covers(&path) {
            return;
        }
        self.grants.retain(|grant| !grant.path.starts_with(&path));
        self.grants.push(CommandGrant { path, reason: reason.into() });
    }

    /// Whether a path is granted already, alone or as part of a tree.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.grants.iter().any(|grant| path.starts_with(&grant.path))
    }

    /// The name under which a granted file is found in the jail: as it is reached where a whole tree is granted (its
    /// links work there), else its real one.
    pub(super) fn visible(&self, reached: &Path) -> PathBuf {
        let real = reached.canonicalize().unwrap_or_else(|_| reached.to_path_buf());
        let in_tree = self.grants.iter().any(|grant| grant.path != reached && reached.starts_with(&grant.path));
        if in_tree { reached.to_path_buf() } else { real }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn homes_and_all_above_are_too_broad() {
        let needs = Needs::new(Path::new("/home/me"));
        for path in ["/", "/home", "/home/me", "/home/you", "/tmp", "/usr", "/opt", "/run/user/1000", "/home/me/.local"]
        {
            assert!(needs.too_broad(Path::new(path)), "{path}");
        }
        for path in ["/home/me/.ssh", "/home/me/.ssh/deep", "/home/me/.config", "/home/me/.local/share"] {
            assert!(needs.too_broad(Path::new(path)), "{path}");
        }
        for path in
            ["/home/me/x", "/opt/node", "/home/me/.local/share/uv/tools/x", "/app", "/home/linuxbrew/.linuxbrew"]
        {
            assert!(!needs.too_broad(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_link_to_the_home_is_the_home() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/me/project")).unwrap();
        symlink(root.join("real/me"), root.join("home")).unwrap();
        symlink(root.join("real"), root.join("above")).unwrap();
        for home in [root.join("home"), root.join("real/me")] {
            let mut needs = Needs::new(&home);
            assert!(!needs.tree(&root.join("home"), "x"));
            assert!(!needs.tree(&root.join("real/me"), "x"));
            assert!(!needs.tree(&root.join("above"), "x"));
            assert!(needs.tree(&root.join("home/project"), "x"));
            assert_eq!(needs.grants.len(), 2);
        }
    }

    #[test]
    fn trees_swallow_what_is_in_them() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "").unwrap();
        let mut needs = Needs::new(Path::new("/home/me"));
        needs.file(&root.join("a/b/f"), "file");
        assert!(needs.tree(&root.join("a"), "tree"));
        needs.file(&root.join("a/b/f"), "file");
        needs.file(&root.join("a"), "a directory is no file");
        assert_eq!(needs.grants, [CommandGrant { path: root.join("a"), reason: "tree".into() }]);
    }
}
