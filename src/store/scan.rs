//! What an installer left in a stage: walked, judged, given the store's modes, hashed.

use super::contents::Room;
use super::manifest::{DEEPEST, Found, LONGEST, Writer};
use super::threads::share;
use super::{Stage, StoreError};
use crate::sys::entry::{self, Status};
use crate::sys::process;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of a file that cannot be executed.
pub(super) const PLAIN: u32 = 0o444;
/// Mode of a file that can be executed, and of directories.
pub(super) const EXECUTABLE: u32 = 0o555;

/// One path of a stage.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: CString,
    /// Directories above it, `root` or `meta` counted.
    pub(super) depth: usize,
    /// Relative to the stage.
    pub(super) path: PathBuf,
    pub(super) found: Found,
    /// The file has other names, or another owner: nobody knows who else can write it.
    alien: bool,
}

/// Everything below `meta` and `root` of a stage, in the manifest's order. Files are not hashed yet.
pub(super) fn scan(stage: &Stage) -> Result<Vec<Node>, StoreError> {
    let opened = File::open(stage.path()).map_err(|error| StoreError::io("open", stage.path(), error))?;
    let status = entry::status(opened.as_fd()).map_err(|error| StoreError::io("read", stage.path(), error))?;
    let mut scan = Scan { stage: stage.path(), dev: status.dev, uid: process::user().0, nodes: Vec::new() };
    for top in [c"meta", c"root"] {
        scan.visit(opened.as_fd(), top, Path::new(""), 0)?;
    }
    Ok(scan.nodes)
}

struct Scan<'a> {
    stage: &'a Path,
    dev: u64,
    uid: u32,
    nodes: Vec<Node>,
}

impl Scan<'_> {
    fn visit(&mut self, dir: BorrowedFd<'_>, name: &CStr, above: &Path, depth: usize) -> Result<(), StoreError> {
        let path = above.join(OsStr::from_bytes(name.to_bytes()));
        let unfit = |reason: &str| Err(StoreError::Unfit { path: path.clone(), reason: reason.into() });
        let failed = |error| StoreError::io("read", self.stage.join(&path), error);
        if path.as_os_str().len() > LONGEST {
            return unfit("its path is too long");
        }
        let status = entry::status_at(dir, name).map_err(failed)?;
        if status.dev != self.dev {
            return unfit("another file system is mounted there");
        }
        let (mut alien, mine) = (false, status.uid == self.uid);
        let found = match status.kind {
            libc::S_IFDIR if depth >= DEEPEST => return unfit("it lies too deep"),
            libc::S_IFDIR | libc::S_IFLNK if !mine => return unfit("it belongs to somebody else"),
            libc::S_IFDIR => Found::Directory,
            libc::S_IFLNK => {
                let target = CString::new(entry::target_at(dir, name).map_err(failed)?);
                Found::Link { target: target.map_err(|error| failed(error.into()))? }
            }
            libc::S_IFREG if status.mode & 0o6000 != 0 => return unfit("it is set-user-id or set-group-id"),
            libc::S_IFREG => {
                alien = status.links > 1 || !mine;
                Found::File { executable: status.mode & 0o100 != 0, size: status.size, sha256: [0; 32] }
            }
            libc::S_IFIFO => return unfit("it is a FIFO"),
            libc::S_IFSOCK => return unfit("it is a socket"),
            _ => return unfit("it is a device"),
        };
        if depth == 0 && found != Found::Directory {
            return unfit("it is no directory");
        }
        let lower =
            (found == Found::Directory).then(|| open_directory(dir, name, &status)).transpose().map_err(failed)?;
        self.nodes.push(Node { name: name.to_owned(), depth, path: path.clone(), found, alien });
        if let Some(lower) = lower {
            let failed = |error| StoreError::io("read", self.stage.join(&path), error);
            let mut names = entry::names(lower.as_fd()).map_err(failed)?;
            names.sort_unstable();
            for name in &names {
                self.visit(lower.as_fd(), name, &path, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// An installer may leave directories that even their owner cannot read.
fn open_directory(dir: BorrowedFd<'_>, name: &CStr, status: &Status) -> io::Result<OwnedFd> {
    if status.mode & 0o700 != 0o700 {
        entry::set_mode_at(dir, name, 0o700)?;
    }
    entry::open_entry(dir, name, libc::O_RDONLY | libc::O_DIRECTORY)
}

/// Hashes all files and gives them the store's modes, on two threads. Files that others may hold become copies first.
pub(super) fn hash(stage: &Stage, nodes: &mut [Node]) -> Result<(), StoreError> {
    let reader: &[Node] = nodes;
    let work = |range: std::ops::Range<usize>| {
        let mut room = Room::new();
        let mut done = Vec::with_capacity(range.len());
        for index in range {
            let Some(node) = reader.get(index) else { continue };
            if let Found::File { executable, .. } = node.found {
                let (sha256, size) = hash_one(stage, node, executable, index, &mut room)?;
                done.push((index, Found::File { executable, size, sha256 }));
            }
        }
        Ok(done)
    };
    let done: Result<Vec<_>, StoreError> = share(reader.len(), 64, &work).into_iter().collect();
    for (index, found) in done?.into_iter().flatten() {
        if let Some(node) = nodes.get_mut(index) {
            node.found = found;
        }
    }
    Ok(())
}

fn hash_one(
    stage: &Stage,
    node: &Node,
    executable: bool,
    index: usize,
    room: &mut Room,
) -> Result<([u8; 32], u64), StoreError> {
    let path = stage.path().join(&node.path);
    let failed = |error| StoreError::io("read", &path, error);
    let mut file = open_file(&path).map_err(failed)?;
    if node.alien {
        let copy = stage.scratch().join(format!("copy-{index}"));
        file = copied(&file, &copy, &path).map_err(|error| StoreError::io("copy", &path, error))?;
    }
    let hashed = room.hash(&file).map_err(failed)?;
    let mode = if executable { EXECUTABLE } else { PLAIN };
    let set = file.set_permissions(Permissions::from_mode(mode));
    set.map_err(|error| StoreError::io("change the mode of", &path, error))?;
    Ok(hashed)
}

fn open_file(path: &Path) -> io::Result<File> {
    let open = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            open()
        }
        opened => opened,
    }
}

/// Puts a copy in the place of a file, and opens that.
fn copied(mut file: &File, copy: &Path, path: &Path) -> io::Result<File> {
    let mut new = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(copy)?;
    io::copy(&mut file, &mut new)?;
    new.set_modified(file.metadata()?.modified()?)?;
    fs::rename(copy, path)?;
    // Opened anew, so that nobody has it open for writing.
    open_file(path)
}

/// Takes the right to write from all directories.
pub(super) fn close_directories(stage: &Stage, nodes: &[Node]) -> Result<(), StoreError> {
    for node in nodes.iter().filter(|node| node.found == Found::Directory) {
        let path = stage.path().join(&node.path);
        let set = fs::set_permissions(&path, Permissions::from_mode(EXECUTABLE));
        set.map_err(|error| StoreError::io("change the mode of", &path, error))?;
    }
    Ok(())
}

/// The manifest of what was found.
pub(super) fn manifest(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer::new();
    for node in nodes {
        writer.entry(node.depth, &node.name, &node.found);
    }
    writer.finish()
}
