//! Follows paths through symlinks, one `lstat` a component, each asked for once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::Kind;

/// As the kernel's limit on symlinks in one path.
const MOST_LINKS: usize = 40;

/// An object by its metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) mode: u32,
}

impl Node {
    fn new(metadata: &Metadata) -> Node {
        let file_type = metadata.file_type();
        let kind = if file_type.is_file() {
            Kind::File
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_char_device() {
            Kind::CharDevice
        } else if file_type.is_socket() {
            Kind::Socket
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Other
        };
        Node { kind, dev: metadata.dev(), ino: metadata.ino(), mode: metadata.mode() }
    }
}

/// What one `lstat` said.
#[derive(Debug)]
enum Seen {
    Link(PathBuf),
    Node(Node),
    Lost(Lost),
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Absent,
    /// An error number.
    Refused(i32),
}

/// The end of a walk.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) canonical: PathBuf,
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Device and inode of each component of `canonical` below the root, in order.
    pub(super) objects: Vec<(u64, u64)>,
    pub(super) node: Node,
}

/// Resolves paths and remembers each component. Keys are paths without symlinks before their last component.
#[derive(Debug, Default)]
pub(super) struct Walker {
    seen: HashMap<OsString, Seen>,
}

impl Walker {
    /// Follows an absolute, normal path to its end.
    pub(super) fn walk(&mut self, path: &Path) -> Result<Found, Lost> {
        let mut canonical = PathBuf::from("/");
        let mut nodes: Vec<Node> = Vec::with_capacity(8);
        let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut followed = 0;
        let mut rest: VecDeque<OsString> = names(path).map(OsStr::to_owned).collect();
        while let Some(name) = rest.pop_front() {
            if nodes.last().is_some_and(|node| node.kind != Kind::Directory) {
                return Err(Lost::Absent);
            }
            if name == ".." {
                canonical.pop();
                nodes.pop();
                continue;
            }
            canonical.push(&name);
            match self.look(&canonical) {
                Seen::Node(node) => nodes.push(*node),
                Seen::Lost(lost) => return Err(*lost),
                Seen::Link(target) => {
                    followed += 1;
                    if followed > MOST_LINKS {
                        return Err(Lost::Refused(libc::ELOOP));
                    }
                    if !links.iter().any(|(link, _)| *link == canonical) {
                        links.push((canonical.clone(), target.clone()));
                    }
                    if target.is_absolute() {
                        canonical = PathBuf::from("/");
                        nodes.clear();
                    } else {
                        canonical.pop();
                    }
                    for name in names(target).rev() {
                        rest.push_front(name.to_owned());
                    }
                }
            }
        }
        let objects = nodes.iter().map(|node| (node.dev, node.ino)).collect();
        let node = match nodes.last() {
            Some(node) => *node,
            None => match self.look(Path::new("/")) {
                Seen::Node(node) => *node,
                Seen::Link(_) | Seen::Lost(_) => return Err(Lost::Absent),
            },
        };
        Ok(Found { canonical, links, objects, node })
    }

    fn look(&mut self, path: &Path) -> &Seen {
        // As text: a path would be hashed component by component.
        self.seen.entry(path.as_os_str().to_owned()).or_insert_with(|| look_up(path))
    }
}

/// The names of a path's components. `.` is dropped, `..` kept.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn look_up(path: &Path) -> Seen {
    let metadata = fs::symlink_metadata(path);
    let target = match &metadata {
        Ok(metadata) if metadata.is_symlink() => Some(fs::read_link(path)),
        _ => None,
    };
    match (metadata, target) {
        (_, Some(Ok(target))) => Seen::Link(target),
        (Ok(metadata), None) => Seen::Node(Node::new(&metadata)),
        (Err(error), _) | (_, Some(Err(error))) => Seen::Lost(match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) | None => Lost::Absent,
            Some(code) => Lost::Refused(code),
        }),
    }
}

/// The names in those directories in which many protected paths could lie: most do not exist, and one listing is cheaper
/// than a question for each.
pub(super) struct Listings(HashMap<OsString, HashSet<OsString>>);

impl Listings {
    /// From how many paths on a listing pays.
    const WORTH: usize = 16;
    /// Longest listing that still pays.
    pub(super) const LONGEST: usize = 1024;

    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Listings {
        let mut parents: HashMap<&OsStr, usize> = HashMap::new();
        for (parent, _) in paths.filter_map(split) {
            *parents.entry(parent).or_default() += 1;
        }
        let worth = parents.into_iter().filter(|(_, count)| *count >= Listings::WORTH);
        Listings(worth.filter_map(|(parent, _)| Some((parent.to_owned(), list(Path::new(parent))?))).collect())
    }

    /// Whether a path could exist. Case is ignored, as some file systems do.
    pub(super) fn may_hold(&self, path: &Path) -> bool {
        let Some((parent, name)) = split(path) else { return true };
        self.0.get(parent).is_none_or(|names| names.contains(&name.to_ascii_lowercase()))
    }
}

/// Parent and name of an absolute, normal path; `None` at the root and right below it. `Path::parent` would go through all
/// components.
fn split(path: &Path) -> Option<(&OsStr, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').filter(|at| *at > 0)?;
    let (parent, name) = bytes.split_at_checked(slash)?;
    Some((OsStr::from_bytes(parent), OsStr::from_bytes(name.get(1..)?)))
}

/// Names in a directory in lower case; `None` where they cannot be had or are too many.
pub(super) fn list(folder: &Path) -> Option<HashSet<OsString>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(HashSet::new()),
        Err(_) => return None,
    };
    let mut names = HashSet::new();
    for entry in entries {
        names.insert(entry.ok()?.file_name().to_ascii_lowercase());
        if names.len() > Listings::LONGEST {
            return None;
        }
    }
    Some(names)
}
