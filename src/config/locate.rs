//! Looks grants up on disk: where each leads, through which symlinks, and what is there.
//!
//! The walk ([`super::walk`]) is our own, component by component, since the jail has to recreate every symlink that a path
//! goes through.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Problem};
use super::protected::{Access, Protected};
use super::protected_table::Stops;
use super::walk::{Found, Listings, Lost, Node, Walker};
use super::{FileGrants, Origin, PathGrant, Source};
use crate::command::CommandGrant;
use crate::sys::fd;

/// What a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A character device.
    CharDevice,
    /// A Unix socket.
    Socket,
    /// A FIFO.
    Fifo,
    /// Anything else, such as a block device.
    Other,
}

/// A grant that was found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The grant.
    pub grant: PathGrant,
    /// Where it leads: absolute, without symlinks.
    pub canonical: PathBuf,
    /// The symlinks on the way, in the order in which they are met: where each lies (absolute, no symlink before its last
    /// component) and its target as stored in it.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// What lies at `canonical`.
    pub kind: Kind,
    /// Its device.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
}

/// All grants of a profile that exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocatedFiles {
    /// As [`FileGrants::read`].
    pub read: Vec<Located>,
    /// As [`FileGrants::write`].
    pub write: Vec<Located>,
    /// As [`FileGrants::list`].
    pub list: Vec<Located>,
    /// As [`FileGrants::exec`].
    pub exec: Vec<Located>,
    /// As [`FileGrants::deny_write`].
    pub deny_write: Vec<Located>,
}

/// Looks up grants, remembers what it saw, and refuses protected paths.
#[derive(Debug)]
pub struct Locator {
    protected: Protected,
    walker: Walker,
    /// Whether paths that are protected from writing alone were looked up: only a writable grant needs them.
    writing: bool,
}

impl Locator {
    /// A locator for one run. Looks up where the protected paths lead, so that `~/dotfiles`, with `~/.ssh` linked into
    /// it, is not granted by another name.
    pub fn new(mut protected: Protected) -> Locator {
        let mut walker = Walker::default();
        if let Some(home) = protected.home()
            && let Ok(found) = walker.walk(&home)
        {
            // a bind mount shows them under other names: `/run/host` in a container, a chroot's parts
            if let Ok(root) = fs::symlink_metadata("/") {
                protected.add_above((root.dev(), root.ino()), PathBuf::from("/"));
            }
            let above: Vec<&Path> = found.canonical.ancestors().collect();
            for (path, object) in above.iter().rev().skip(1).zip(&found.objects) {
                protected.add_above(*object, path.to_path_buf());
            }
            protected.add_home(found.canonical);
        }
        let mut locator = Locator { protected, walker, writing: false };
        locator.follow(Stops::Any);
        locator
    }

    /// Looks up where protected paths lead.
    fn follow(&mut self, stops: Stops) {
        let places = self.protected.trees(stops);
        let listings = Listings::of(places.iter().map(|place| place.path.as_path()));
        for place in places {
            if listings.may_hold(&place.path)
                && let Ok(Found { canonical, objects, .. }) = self.walker.walk(&place.path)
                && let Some(object) = objects.last()
            {
                self.protected.add_object(*object, canonical, place);
            }
        }
    }

    /// Looks up all grants of a profile. Optional ones that do not exist are left out.
    ///
    /// # Errors
    /// `protected-path`, `policy-violation`, `grant-missing`, `grant-unreadable`, `grant-special`, `glob-in-grant`.
    pub fn files(&mut self, files: &FileGrants) -> Result<LocatedFiles, ConfigError> {
        // Guarded names are relative to each writable grant: the plan's to look up.
        let FileGrants { read, write, list, exec, deny_write, guard: _ } = files;
        Ok(LocatedFiles {
            read: self.all(read, Access::Read)?,
            write: self.all(write, Access::Write)?,
            list: self.all(list, Access::List)?,
            exec: self.all(exec, Access::Exec)?,
            deny_write: deny_write
                .iter()
                .filter_map(|grant| self.island(grant).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    fn all(&mut self, grants: &[PathGrant], access: Access) -> Result<Vec<Located>, ConfigError> {
        grants.iter().filter_map(|grant| self.grant(grant, access).transpose()).collect()
    }

    /// Looks up what the command needs. A protected path among it (an editor's extension, say) is refused unless a
    /// dangerous line of the profile grants it too.
    ///
    /// # Errors
    /// As [`Locator::files`].
    pub fn command(&mut self, grants: &[CommandGrant], files: &FileGrants) -> Result<Vec<Located>, ConfigError> {
        let dangerous = |path: &Path| {
            let mut lines = files.read.iter().chain(&files.exec).filter(|line| line.dangerous);
            lines.any(|line| path.starts_with(&line.path))
        };
        let each = |grant: &CommandGrant| PathGrant {
            path: grant.path.clone(),
            written: grant.path.to_string_lossy().into_owned(),
            dangerous: dangerous(&grant.path),
            optional: false,
            origin: Origin { source: Source::Command, line: None },
        };
        grants.iter().filter_map(|grant| self.grant(&each(grant), Access::Exec).transpose()).collect()
    }

    /// Looks up the tree of the store that the server runs from: `root`, absolute and without symlinks. It lies in mcpjail's
    /// own data, which no line of a profile can grant; what the administrator protects is not shown here either.
    ///
    /// # Errors
    /// `policy-violation`, `grant-missing`, `grant-unreadable`, `grant-special`.
    pub fn store(&mut self, root: &Path) -> Result<Located, ConfigError> {
        let origin = Origin { source: Source::Store, line: None };
        let written = root.to_string_lossy().into_owned();
        // taken as dangerous, so that only the administrator's paths stop it
        let grant = PathGrant { path: root.to_owned(), written, dangerous: true, optional: false, origin };
        let fail = |problem| ConfigError::new(&grant.origin, problem);
        let missing = || Problem::GrantMissing { written: grant.written.clone(), path: grant.path.clone() };
        let located = self.grant(&grant, Access::Exec)?.ok_or_else(|| fail(missing()))?;
        if located.kind != Kind::Directory || located.canonical != root {
            let (written, path) = (grant.written.clone(), located.canonical);
            return Err(fail(Problem::GrantSpecial { written, path, kind: "something else than the tree" }));
        }
        Ok(located)
    }

    /// Looks up one grant; `None` for an optional one that does not exist.
    ///
    /// # Errors
    /// As [`Locator::files`].
    pub fn grant(&mut self, grant: &PathGrant, access: Access) -> Result<Option<Located>, ConfigError> {
        let fail = |problem| ConfigError::new(&grant.origin, problem);
        let written = || grant.written.clone();
        if access == Access::Write && !self.writing {
            self.writing = true;
            self.follow(Stops::Write);
        }
        self.protected.check_written(grant, access)?;
        let Some(found) = self.find(grant)? else { return Ok(None) };
        let Found { canonical, links, objects, node } = found;
        self.protected.check_found(grant, access, &canonical, &links, &objects)?;
        if !grant.dangerous
            && let Some(kind) = special(node.kind)
        {
            return Err(fail(Problem::GrantSpecial { written: written(), path: canonical, kind }));
        }
        if access == Access::List && node.kind != Kind::Directory {
            return Err(fail(Problem::BadValue {
                value: written(),
                reason: "only a directory can be listed".to_owned(),
                remedy: "name a directory, or put the line under `read`".to_owned(),
            }));
        }
        let (dev, ino) = match identity(&canonical, &node, access) {
            Ok(object) => object,
            Err(error) => {
                return Err(fail(Problem::GrantUnreadable { written: written(), path: canonical, error }));
            }
        };
        Ok(Some(Located { grant: grant.clone(), canonical, links, kind: node.kind, dev, ino }))
    }

    /// A read-only island gives nothing, so that it may lie anywhere and be anything.
    fn island(&mut self, grant: &PathGrant) -> Result<Option<Located>, ConfigError> {
        let found = self.find(grant)?;
        Ok(found.map(|Found { canonical, links, objects: _, node: Node { kind, dev, ino, mode: _ } }| Located {
            grant: grant.clone(),
            canonical,
            links,
            kind,
            dev,
            ino,
        }))
    }

    fn find(&mut self, grant: &PathGrant) -> Result<Option<Found>, ConfigError> {
        let fail = |problem| Err(ConfigError::new(&grant.origin, problem));
        let (written, path) = (grant.written.clone(), grant.path.clone());
        match self.walker.walk(&grant.path) {
            Ok(found) => Ok(Some(found)),
            Err(Lost::Absent) if grant.optional => Ok(None),
            Err(Lost::Absent) if written.contains(['*', '?']) => fail(Problem::Glob { written }),
            Err(Lost::Absent) => fail(Problem::GrantMissing { written, path }),
            Err(Lost::Refused(code)) => {
                let error = io::Error::from_raw_os_error(code);
                fail(Problem::GrantUnreadable { written, path, error })
            }
        }
    }
}

fn special(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::File | Kind::Directory => None,
        Kind::CharDevice => Some("a character device"),
        Kind::Socket => Some("a socket"),
        Kind::Fifo => Some("a FIFO"),
        Kind::Other => Some("a device"),
    }
}

/// Device and inode of a file or directory, found by opening it as its user would: this is the check that they may. It is
/// never waited for, no symlink that appeared in the path meanwhile is followed, and what is opened must be what the walk
/// met: a directory above it may have been swapped in between. Other kinds are not opened, since opening a device can do
/// things.
fn identity(path: &Path, node: &Node, access: Access) -> io::Result<(u64, u64)> {
    let kind = match node.kind {
        Kind::File => 0,
        Kind::Directory => libc::O_DIRECTORY,
        Kind::CharDevice | Kind::Socket | Kind::Fifo | Kind::Other => return Ok((node.dev, node.ino)),
    };
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | kind;
    let known = (node.dev, node.ino);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    match fd::open_direct(&name, flags).and_then(|file| fd::identity(file.as_fd())) {
        Ok(found) if (found.dev, found.ino) == known => Ok(known),
        Ok(_) => Err(io::Error::other("it was replaced while it was being looked up")),
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        // A directory that can be passed through, though not listed.
        Err(_) if node.kind == Kind::Directory && fs::symlink_metadata(path.join(".")).is_ok() => Ok(known),
        // A program that can be executed, though not read.
        Err(_) if node.kind == Kind::File && access == Access::Exec && node.mode & 0o111 != 0 => Ok(known),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::protected::tests::locations;
    use super::super::walk::list;
    use super::*;
    use crate::diagnose::Diagnose;
    use std::ffi::OsStr;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// A home in a temporary directory, and a locator for it.
    struct Fixture {
        _folder: tempfile::TempDir,
        home: PathBuf,
    }

    impl Fixture {
        fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().canonicalize().unwrap().join("me");
            fs::create_dir(&home).unwrap();
            Fixture { _folder: folder, home }
        }

        fn dir(&self, name: &str) -> PathBuf {
            let path = self.home.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        }

        fn link(&self, target: &str, name: &str) -> PathBuf {
            let path = self.home.join(name);
            symlink(target, &path).unwrap();
            path
        }

        fn locate(&self, path: impl AsRef<Path>, access: Access) -> Result<Option<Located>, ConfigError> {
            self.with(path, access, |_| {})
        }

        fn with(
            &self,
            path: impl AsRef<Path>,
            access: Access,
            change: impl FnOnce(&mut PathGrant),
        ) -> Result<Option<Located>, ConfigError> {
            let path = path.as_ref();
            let mut grant = PathGrant {
                path: path.to_owned(),
                written: path.to_string_lossy().into_owned(),
                dangerous: false,
                optional: false,
                origin: Origin { source: Source::File("/x.toml".into()), line: Some(9) },
            };
            change(&mut grant);
            let loc = locations(self.home.to_str().unwrap());
            Locator::new(Protected::new(&loc)).grant(&grant, access)
        }

        fn code(&self, path: impl AsRef<Path>, access: Access) -> &'static str {
            let error = self.locate(path, access).unwrap_err();
            assert_eq!(error.place().line, Some(9));
            error.code()
        }
    }

    #[test]
    fn the_servers_own_tree_is_found_and_nothing_else_of_the_store() {
        let f = Fixture::new();
        let tree = f.dir(".local/share/mcpjail/store/trees/abc/root");
        let loc = locations(f.home.to_str().unwrap());
        let mut locator = Locator::new(Protected::new(&loc));
        let found = locator.store(&tree).unwrap();
        assert_eq!((&found.canonical, found.kind, found.links.len()), (&tree, Kind::Directory, 0));
        assert_eq!(found.grant.origin.to_string(), "the package store");
        for access in [Access::Read, Access::Write, Access::Exec, Access::List] {
            for path in [tree.as_path(), &loc.data_dir, tree.parent().unwrap()] {
                assert_eq!(f.code(path, access), "protected-path", "{path:?}");
            }
        }
        let link = f.link(".local/share/mcpjail/store/trees/abc", "link");
        for other in [link.join("root"), f.home.join("none")] {
            assert!(locator.store(&other).is_err(), "{other:?}");
        }
        let policy = super::super::Sourced { value: loc.data_dir.clone(), origin: Origin::jail() };
        let mut locator = Locator::new(Protected::new(&loc).with_policy(vec![policy]));
        assert_eq!(locator.store(&tree).unwrap_err().code(), "policy-violation");
    }

    #[test]
    fn every_symlink_is_recorded() {
        let f = Fixture::new();
        let real = f.dir("real/deep");
        fs::write(real.join("file"), "x").unwrap();
        f.link("real", "a");
        let b = f.link("./a/../a/deep", "b");
        let absolute = f.link(b.to_str().unwrap(), "c");
        let found = f.locate(absolute.join("file"), Access::Read).unwrap().unwrap();
        assert_eq!(found.canonical, real.join("file"));
        assert_eq!(found.kind, Kind::File);
        let at = |name: &str, target: &str| (f.home.join(name), PathBuf::from(target));
        assert_eq!(found.links, [at("c", b.to_str().unwrap()), at("b", "./a/../a/deep"), at("a", "real")]);
        let metadata = fs::metadata(real.join("file")).unwrap();
        assert_eq!((found.dev, found.ino), (metadata.dev(), metadata.ino()));
        assert_eq!(found.canonical, fs::canonicalize(absolute.join("file")).unwrap());
    }

    #[test]
    fn missing_optional_and_not_a_directory() {
        let f = Fixture::new();
        let file = f.home.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(f.code(f.home.join("none"), Access::Read), "grant-missing");
        assert_eq!(f.code(file.join("x"), Access::Read), "grant-missing");
        assert_eq!(f.code(f.home.join("*.txt"), Access::Read), "glob-in-grant");
        assert!(f.with(f.home.join("none"), Access::Read, |grant| grant.optional = true).unwrap().is_none());
        let dangling = f.link("nowhere", "dangling");
        assert_eq!(f.code(dangling, Access::Read), "grant-missing");
        assert_eq!(f.code(&file, Access::List), "bad-value");
    }

    #[test]
    fn the_home_and_the_root_by_another_name() {
        let f = Fixture::new();
        let loc = locations(f.home.to_str().unwrap());
        let locator = Locator::new(Protected::new(&loc));
        let object = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).unwrap();
        let grant = PathGrant {
            path: "/mnt/x".into(),
            written: "/mnt/x".to_owned(),
            dangerous: false,
            optional: false,
            origin: Origin { source: Source::Command, line: None },
        };
        // as a bind mount would show them: the path says nothing, the object all
        let checked = |objects: &[(u64, u64)]| {
            locator.protected.check_found(&grant, Access::List, Path::new("/mnt/x"), &[], objects)
        };
        let mnt = (0, 0);
        for path in [Path::new("/"), f.home.parent().unwrap(), &f.home] {
            assert_eq!(checked(&[mnt, object(path)]).unwrap_err().code(), "protected-path", "{}", path.display());
        }
        let notes = f.dir("notes");
        assert!(checked(&[mnt, object(&f.home), object(&notes)]).is_ok(), "what lies in the home has its own rules");
    }

    #[test]
    fn loops_end() {
        let f = Fixture::new();
        f.link("two", "one");
        let two = f.link("one", "two");
        assert_eq!(f.code(two, Access::Read), "grant-unreadable");
    }

    #[test]
    fn strange_names_are_literal() {
        let f = Fixture::new();
        for name in [&b"new\nline"[..], b"[a-z]*?", b"back\\slash", b"\xff\xfe", b" ", b"${arg1}"] {
            let path = f.home.join(OsStr::from_bytes(name));
            fs::write(&path, "").unwrap();
            assert_eq!(f.locate(&path, Access::Read).unwrap().unwrap().canonical, path);
        }
    }

    #[test]
    fn symlink_to_a_protected_path() {
        let f = Fixture::new();
        let ssh = f.dir(".ssh");
        let beside = f.dir(".sshfoo");
        assert!(f.locate(beside, Access::Read).unwrap().is_some());
        assert_eq!(f.code(&ssh, Access::Read), "protected-path");
        assert_eq!(f.code(&f.home, Access::Read), "protected-path");
        let notes = f.link(".ssh", "notes");
        assert_eq!(f.code(&notes, Access::Read), "protected-path");
        let found = f.with(&notes, Access::Read, |grant| grant.dangerous = true).unwrap().unwrap();
        assert_eq!(found.canonical, ssh);
    }

    #[test]
    fn a_protected_path_that_lies_elsewhere() {
        let f = Fixture::new();
        let dotfiles = f.dir("dotfiles/ssh");
        f.link("dotfiles/ssh", ".ssh");
        for path in [&dotfiles, &dotfiles.join("x"), &f.home.join("dotfiles")] {
            let _ = fs::write(dotfiles.join("x"), "");
            assert_eq!(f.code(path, Access::Read), "protected-path", "{}", path.display());
        }
        let other = f.dir("dotfiles2");
        assert!(f.locate(other, Access::Read).unwrap().is_some());
    }

    #[test]
    fn a_home_with_very_many_names() {
        let f = Fixture::new();
        for n in 0..Listings::LONGEST + 1 {
            fs::write(f.home.join(format!("file{n}")), "").unwrap();
        }
        let keys = f.dir("keys");
        f.link("keys", ".ssh");
        assert!(list(&f.home).is_none());
        assert_eq!(f.code(keys, Access::Read), "protected-path");
    }

    #[test]
    fn a_hard_link_of_a_credential() {
        let f = Fixture::new();
        fs::write(f.home.join(".netrc"), "secret").unwrap();
        let link = f.dir("projects").join("harmless");
        fs::hard_link(f.home.join(".netrc"), &link).unwrap();
        assert_eq!(f.code(&link, Access::Read), "protected-path");
    }

    #[test]
    fn a_home_behind_a_symlink() {
        let f = Fixture::new();
        f.dir(".ssh");
        let notes = f.dir("notes");
        let alias = f.home.with_file_name("alias");
        symlink("me", &alias).unwrap();
        let through = Fixture { _folder: tempfile::tempdir().unwrap(), home: alias.clone() };
        assert_eq!(through.locate(alias.join("notes"), Access::Write).unwrap().unwrap().canonical, notes);
        for path in [f.home.join(".ssh"), alias.join(".ssh"), f.home.clone(), alias] {
            assert_eq!(through.code(&path, Access::Read), "protected-path", "{}", path.display());
        }
    }

    #[test]
    fn doors_are_refused_and_not_opened() {
        let f = Fixture::new();
        let socket = f.home.join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let fifo = f.home.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for (path, kind) in [(socket, Kind::Socket), (fifo, Kind::Fifo)] {
            assert_eq!(f.code(&path, Access::Read), "grant-special");
            let found = f.with(&path, Access::Read, |grant| grant.dangerous = true).unwrap().unwrap();
            assert_eq!(found.kind, kind);
        }
        let null = f.with("/dev/null", Access::Read, |grant| grant.dangerous = true).unwrap().unwrap();
        assert_eq!(null.kind, Kind::CharDevice);
    }

    #[test]
    fn command_grants_obey_the_rule_unless_the_profile_is_dangerous_there() {
        let f = Fixture::new();
        let server = f.dir(".vscode/extensions/x");
        let loc = locations(f.home.to_str().unwrap());
        let mut locator = Locator::new(Protected::new(&loc));
        let grants = [CommandGrant { path: server.clone(), reason: "the server's package".to_owned() }];
        assert_eq!(locator.command(&grants, &FileGrants::default()).unwrap_err().code(), "protected-path");
        let line = PathGrant {
            path: server.clone(),
            written: "x".to_owned(),
            dangerous: true,
            optional: false,
            origin: Origin { source: Source::Command, line: None },
        };
        let files = FileGrants { exec: vec![line], ..FileGrants::default() };
        assert_eq!(locator.command(&grants, &files).unwrap()[0].canonical, server);
    }

    #[test]
    fn islands_may_lie_anywhere() {
        let f = Fixture::new();
        let git = f.dir(".ssh");
        let loc = locations(f.home.to_str().unwrap());
        let grant = |path: PathBuf, optional| PathGrant {
            written: path.to_string_lossy().into_owned(),
            path,
            dangerous: false,
            optional,
            origin: Origin { source: Source::Command, line: None },
        };
        let files = FileGrants {
            deny_write: vec![grant(git, false), grant(f.home.join("none"), true)],
            ..FileGrants::default()
        };
        let located = Locator::new(Protected::new(&loc)).files(&files).unwrap();
        assert_eq!(located.deny_write.len(), 1);
    }

    /// What an ordinary user may not read. Under root, which may read all, the test runs itself again as `nobody`.
    #[test]
    fn unreadable_grants() {
        const INNER: &str = "MCPJAIL_TEST_INNER";
        let root = fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0");
        if root && std::env::var_os(INNER).is_none() {
            // The test's binary may lie where nobody can reach it: it is run by its descriptor.
            let binary = fs::File::open(std::env::current_exe().unwrap()).unwrap();
            let name = "config::locate::tests::unreadable_grants";
            let script = format!("exec /proc/self/fd/0 --exact {name} --nocapture");
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script]).stdin(binary).env(INNER, "1").env("TMPDIR", "/tmp").current_dir("/");
            let output = command.uid(65534).gid(65534).process_group(0).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success() && text.contains("1 passed"),
                "{text} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return;
        }
        let f = Fixture::new();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let file = f.home.join("file");
        fs::write(&file, "").unwrap();
        let folder = f.dir("folder/inner");
        let folder = folder.parent().unwrap();
        mode(&file, 0o000);
        assert_eq!(f.code(&file, Access::Read), "grant-unreadable");
        assert_eq!(f.code(&file, Access::Exec), "grant-unreadable");
        mode(&file, 0o111);
        assert_eq!(f.code(&file, Access::Read), "grant-unreadable");
        assert!(f.locate(&file, Access::Exec).unwrap().is_some());
        mode(folder, 0o000);
        assert_eq!(f.code(folder, Access::Read), "grant-unreadable");
        assert_eq!(f.code(folder.join("inner"), Access::Read), "grant-unreadable");
        mode(folder, 0o111);
        assert!(f.locate(folder, Access::Read).unwrap().is_some());
        mode(folder, 0o700);
    }
}
