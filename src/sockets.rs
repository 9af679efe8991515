//! Unix sockets of the machine that lie in granted trees: the I/O behind the covers that keep them out of reach.
//!
//! A read-only mount does not stop connect(2), and Landlock does only from ABI 9 on. Before that, tier A covers every
//! socket that is there at the start. The kernel's list has the names as they were bound, by sockets of this network
//! namespace alone; what was renamed or is listened to in another one (a container's) is not found.

use crate::config::{Origin, Source};
use crate::diagnose::{Diagnose, Exit};
use crate::plan::{Grant, Place, Socket};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

const LIST: &str = "/proc/net/unix";
/// Each is a mount of its own; nobody means to grant a directory with more.
const MOST: usize = 256;

/// Why the sockets in granted trees cannot be covered.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// The list cannot be read, so nobody knows what there is to cover.
    #[error("cannot read `{LIST}`, which tells the sockets in granted directories")]
    Unreadable(#[source] io::Error),
    /// More than can be covered.
    #[error(
        "`{directory}` ({origin}) holds {count} of {total} sockets in granted directories, and {MOST} can be covered"
    )]
    TooMany {
        /// The grant with the most.
        directory: PathBuf,
        /// Its line.
        origin: Origin,
        /// How many lie there.
        count: usize,
        /// How many lie in all grants.
        total: usize,
    },
}

impl Diagnose for SocketsError {
    fn code(&self) -> &'static str {
        match self {
            SocketsError::Unreadable(_) => "sockets-unknown",
            SocketsError::TooMany { .. } => "too-many-sockets",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Jail
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SocketsError::Unreadable(_) => format!("make `{LIST}` readable, or grant files instead of directories"),
            SocketsError::TooMany { .. } => "grant a smaller directory, for example with `--read DIRECTORY`".into(),
        })
    }
}

/// Whether a directory is granted that may hold sockets: none of the system's, which the built-in profiles name, and no
/// tree of the store, which is verified to hold nothing but what was added.
#[must_use]
pub fn may_lie_in(grants: &[Grant]) -> bool {
    let built_in = |place: &Place| matches!(place.origin.source, Source::BuiltIn(_) | Source::Store);
    let systems = |path: &Path| trees(grants).any(|tree| built_in(tree) && path.starts_with(&tree.canonical));
    trees(grants).any(|tree| !built_in(tree) && !systems(&tree.canonical))
}

fn trees(grants: &[Grant]) -> impl Iterator<Item = &Place> {
    grants.iter().map(|grant| &grant.place).filter(|place| place.directory)
}

/// The sockets on disk at or below granted directories, but for those that a line grants by their own name (which only a
/// dangerous one does).
///
/// # Errors
/// [`SocketsError`].
pub fn in_grants(grants: &[Grant]) -> Result<Vec<Socket>, SocketsError> {
    let list = fs::read(LIST).map_err(SocketsError::Unreadable)?;
    find(&names(&list), grants)
}

/// The names of pathname sockets in the kernel's list. One name may span lines, since it is printed as it is; a line that
/// looks like an entry is one, which at worst adds a name that is not on disk.
fn names(list: &[u8]) -> BTreeSet<&[u8]> {
    let mut names = BTreeSet::new();
    // where the present entry's name starts; the first line is a heading
    let (mut start, mut at) = (None, 0_usize);
    let mut add = |start: Option<usize>, end: usize| {
        let name = start.and_then(|start| list.get(start..end)).and_then(|rest| rest.strip_prefix(b" "));
        names.extend(name.filter(|name| !name.is_empty() && !name.starts_with(b"@")));
    };
    for line in list.split_inclusive(|byte| *byte == b'\n') {
        if let Some(head) = head(line.strip_suffix(b"\n").unwrap_or(line)) {
            add(start, at.saturating_sub(1));
            start = Some(at + head);
        }
        at += line.len();
    }
    add(start, list.len() - usize::from(list.ends_with(b"\n")));
    names
}

/// The length of an entry's fields before the name, if the line starts an entry:
/// `ADDRESS: REFCOUNT PROTOCOL FLAGS TYPE ST INODE`, all hexadecimal but the last.
fn head(line: &[u8]) -> Option<usize> {
    let address = line.iter().position(|byte| !byte.is_ascii_hexdigit()).filter(|length| *length >= 8)?;
    let mut rest = line.get(address..)?.strip_prefix(b": ")?;
    for width in [8, 8, 8, 4, 2] {
        let length = rest.iter().position(|byte| !byte.is_ascii_hexdigit()).filter(|length| *length >= width)?;
        rest = rest.get(length..)?.strip_prefix(b" ")?;
    }
    let padding = rest.iter().take_while(|byte| **byte == b' ').count();
    let inode = rest.iter().skip(padding).take_while(|byte| byte.is_ascii_digit()).count();
    let name = rest.get(padding + inode..)?;
    (inode > 0 && (name.is_empty() || name.starts_with(b" "))).then_some(line.len() - name.len())
}

fn find(names: &BTreeSet<&[u8]>, grants: &[Grant]) -> Result<Vec<Socket>, SocketsError> {
    let mut disk = Disk::default();
    let mut found: BTreeMap<PathBuf, &Place> = BTreeMap::new();
    for name in names.iter().map(|name| Path::new(OsStr::from_bytes(name))) {
        // nobody knows what a relative name is relative to
        let bases: Vec<PathBuf> = match name.is_absolute() {
            true => vec![name.to_path_buf()],
            false => trees(grants).map(|tree| tree.canonical.join(name)).collect(),
        };
        for written in &bases {
            for (path, tree) in disk.inside(written, grants) {
                let Ok(meta) = fs::symlink_metadata(&path) else { continue };
                let object = (meta.dev(), meta.ino());
                let granted = grants.iter().any(|grant| (grant.place.dev, grant.place.ino) == object);
                if meta.file_type().is_socket() && !granted {
                    found.entry(path).or_insert(tree);
                }
            }
        }
    }
    if found.len() > MOST {
        let count = |tree: &Place| found.keys().filter(|path| path.starts_with(&tree.canonical)).count();
        if let Some(most) = trees(grants).max_by_key(|tree| count(tree)) {
            let (directory, origin) = (most.canonical.clone(), most.origin.clone());
            return Err(SocketsError::TooMany { directory, origin, count: count(most), total: found.len() });
        }
    }
    Ok(found.into_iter().map(|(path, tree)| Socket { path, origin: tree.origin.clone() }).collect())
}

/// What was looked up; many sockets share a directory.
#[derive(Default)]
struct Disk<'a> {
    /// Where a directory, as written, lies in granted directories.
    inside: HashMap<PathBuf, Vec<(PathBuf, &'a Place)>>,
    objects: HashMap<PathBuf, Option<(u64, u64)>>,
}

impl<'a> Disk<'a> {
    /// Where a name, as bound, lies in granted directories, the nearest first.
    fn inside(&mut self, written: &Path, grants: &'a [Grant]) -> Vec<(PathBuf, &'a Place)> {
        let (Some(parent), Some(name)) = (written.parent(), written.file_name()) else { return Vec::new() };
        if !self.inside.contains_key(parent) {
            let places = self.places(parent, grants);
            self.inside.insert(parent.to_path_buf(), places);
        }
        self.inside.get(parent).into_iter().flatten().map(|(place, tree)| (place.join(name), *tree)).collect()
    }

    /// Directories are compared as objects: a bind mount shows one under several names.
    fn places(&mut self, written: &Path, grants: &'a [Grant]) -> Vec<(PathBuf, &'a Place)> {
        let Ok(directory) = fs::canonicalize(written) else { return Vec::new() };
        let mut places = Vec::new();
        for above in directory.ancestors() {
            let object = self
                .objects
                .entry(above.to_path_buf())
                .or_insert_with(|| fs::symlink_metadata(above).ok().map(|meta| (meta.dev(), meta.ino())));
            for tree in trees(grants).filter(|tree| Some((tree.dev, tree.ino)) == *object) {
                let rest = directory.strip_prefix(above).unwrap_or(Path::new(""));
                places.push((tree.canonical.join(rest), tree));
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Access;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    const HEADING: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

    fn entry(name: &str) -> String {
        format!("00000000ab2dc309: 00000002 00000000 00010000 0001 01 12345{name}\n")
    }

    fn parsed(entries: &[&str]) -> Vec<String> {
        let list = format!("{HEADING}{}", entries.iter().map(|name| entry(name)).collect::<String>());
        names(list.as_bytes()).into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn names_of_every_kind() {
        assert_eq!(
            parsed(&[" /run/a", "", " @abstract", " @/tmp/.X11-unix/X0", " /run/a", " /run/b"]),
            ["/run/a", "/run/b"]
        );
        assert_eq!(parsed(&[" /a name with  spaces ", "  leading"]), [" leading", "/a name with  spaces "]);
        assert_eq!(parsed(&[" /a\nb\n\nc", " /d\n", ""]), ["/a\nb\n\nc", "/d\n"]);
        assert_eq!(parsed(&["", " @x\ny", " relative"]), ["relative"]);
        assert_eq!(parsed(&[" /x\nffff: 1 /y"]), ["/x\nffff: 1 /y"]);
        assert!(parsed(&[]).is_empty());
        assert!(names(b"").is_empty());
        // an entry cut short, and an inode number narrower than its column
        let narrow = "0000000000000000: 00000002 00000000 00000000 0002 01    17 /narrow";
        assert_eq!(names(narrow.as_bytes()).into_iter().collect::<Vec<_>>(), [b"/narrow"]);
        assert!(names(b"00000000ab2dc309: 00000002 00000000 0001").is_empty());
        let bytes = [entry("").trim_end().as_bytes(), b" /\xff\xfe\n"].concat();
        assert_eq!(names(&bytes).into_iter().collect::<Vec<_>>(), [b"/\xff\xfe"]);
    }

    fn grant(path: &Path, source: Source) -> Grant {
        let meta = fs::symlink_metadata(path).unwrap();
        let place = Place {
            canonical: path.to_path_buf(),
            links: Vec::new(),
            directory: meta.is_dir(),
            dev: meta.dev(),
            ino: meta.ino(),
            origin: Origin { source, line: None },
        };
        Grant { place, access: Access::Read }
    }

    fn flag(path: &Path) -> Grant {
        grant(path, Source::Flag(format!("--read {}", path.display())))
    }

    fn found(names: &[&Path], grants: &[Grant]) -> Vec<PathBuf> {
        let names = names.iter().map(|name| name.as_os_str().as_bytes()).collect();
        find(&names, grants).unwrap().into_iter().map(|socket| socket.path).collect()
    }

    #[test]
    fn sockets_on_disk_in_granted_directories() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let (tree, beside) = (top.join("tree"), top.join("treetop"));
        fs::create_dir_all(tree.join("deep")).unwrap();
        fs::create_dir(&beside).unwrap();
        symlink("tree/deep", top.join("link")).unwrap();
        let [inside, deep, outside] = [tree.join("a b\nc"), tree.join("deep/s"), beside.join("s")];
        let _listeners = [&inside, &deep, &outside].map(|path| UnixListener::bind(path).unwrap());
        fs::write(tree.join("file"), "").unwrap();
        symlink(&outside, tree.join("to-socket")).unwrap();
        let [file, gone, link] = [tree.join("file"), tree.join("gone"), tree.join("to-socket")];
        let all: Vec<&Path> = vec![&inside, &deep, &outside, &file, &gone, &link];
        assert_eq!(found(&all, &[flag(&tree)]), [inside.clone(), deep.clone()]);
        // as bound: through a symlink, in need of cleaning, relative
        let odd = [top.join("link/s"), tree.join("deep/../deep/./s"), "deep/s".into(), "../treetop/s".into()];
        for name in &odd[..3] {
            assert_eq!(found(&[name], &[flag(&tree)]), [deep.as_path()], "{}", name.display());
        }
        assert!(found(&[&odd[3], Path::new("/"), Path::new("..")], &[flag(&tree)]).is_empty());
        // granted by its own name; its neighbours are not
        assert_eq!(found(&all, &[flag(&tree), flag(&deep)]), [inside.as_path()]);
        assert!(found(&all, &[flag(&file)]).is_empty());
        // the real list holds them too
        let listed = in_grants(&[flag(&tree.join("deep"))]).unwrap();
        assert_eq!(listed.iter().map(|socket| &socket.path).collect::<Vec<_>>(), [&deep]);
        assert!(listed[0].origin.to_string().starts_with("--read"));
    }

    #[test]
    fn too_many_name_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("full")).unwrap();
        fs::create_dir_all(top.join("empty")).unwrap();
        let grants = [flag(&top.join("empty")), flag(&top.join("full"))];
        let paths: Vec<PathBuf> = (0..=MOST).map(|n| top.join("full").join(n.to_string())).collect();
        for path in &paths {
            drop(UnixListener::bind(path).unwrap());
        }
        let names: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
        assert_eq!(find(&names.iter().skip(1).copied().collect(), &grants).unwrap().len(), MOST);
        let error = find(&names.into_iter().collect(), &grants).unwrap_err();
        assert_eq!(error.code(), "too-many-sockets");
        assert!(error.to_string().contains(&format!("{}` (--read", top.join("full").display())), "{error}");
    }

    #[test]
    fn the_system_s_own_directories_need_no_look() {
        let system = grant(Path::new("/usr"), Source::BuiltIn("default".into()));
        assert!(!may_lie_in(std::slice::from_ref(&system)));
        assert!(!may_lie_in(&[system.clone(), grant(Path::new("/usr/bin"), Source::Command)]));
        assert!(!may_lie_in(&[system.clone(), flag(Path::new("/etc/passwd"))]));
        assert!(may_lie_in(&[system.clone(), grant(&std::env::temp_dir(), Source::Command)]));
        assert!(!may_lie_in(&[system.clone(), grant(&std::env::temp_dir(), Source::Store)]));
        assert!(may_lie_in(&[system, flag(&std::env::temp_dir())]));
    }
}
