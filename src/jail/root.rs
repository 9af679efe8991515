//! Building the root file system of tier A, in stage 2, with the capabilities of the fresh user namespace.
//!
//! Every source is cloned before anything is attached, since the new root will cover a directory of the old one; each
//! clone's identity is compared with what the launcher saw when it judged the path, so a path that was swapped in
//! between gives the old object or a refusal, never another object.

use super::layer::{Failure, Layer};
use super::spec::{Action, Node};
use crate::sys::fd::{self, Identity};
use crate::sys::mount::{self, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};
use crate::sys::process;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where the new root is attached until it becomes the root; it only has to exist.
const STAGING: [&CStr; 4] = [c"/tmp", c"/mnt", c"/proc", c"/usr"];

fn failed<'a>(what: &'a str, path: &'a CStr) -> impl Fn(io::Error) -> Failure + 'a {
    move |error| Failure::refused(Layer::Mounts, format!("{what} `{}`", path.to_string_lossy()), &error)
}

/// Builds the view and makes it the root of this namespace.
pub(super) fn enter(view: &[Node], processes: u64) -> Result<PidMax, Failure> {
    mount::make_all_private().map_err(failed("making private", c"/"))?;
    let sources = view.iter().map(clone_source).collect::<Result<Vec<_>, _>>()?;
    let root = tmpfs(c"4m", c"755", NO_SUID | NO_DEV).map_err(failed("making the root of", c"/"))?;
    let mut attached = Err(io::Error::from_raw_os_error(libc::ENOENT));
    for place in STAGING {
        attached = mount::attach(root.as_fd(), None, place);
        if attached.is_ok() {
            break;
        }
    }
    attached.map_err(failed("attaching the root at", c"/tmp"))?;
    let mut pid_max = PidMax::Unsupported;
    let mut builder = Builder { root: root.as_fd(), empty_file: None, empty_directory: None };
    for (node, source) in view.iter().zip(sources) {
        if let Some(found) = builder.add(node, source, processes)? {
            pid_max = found;
        }
    }
    mount::set_attributes(root.as_fd(), READ_ONLY | NO_SUID | NO_DEV, false)
        .map_err(failed("making read-only", c"/"))?;
    mount::become_root(root.as_fd()).map_err(failed("changing the root to", c"/"))?;
    prove_root(root.as_fd())?;
    Ok(pid_max)
}

/// The root, and what `..` of it leads to, are the new root: the rest of the work opens paths in it.
fn prove_root(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let built = fd::identity(root).map_err(failed("looking at", c"/"))?;
    for path in [c"/", c"/.."] {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let found = fd::open_at(None, path, flags, 0).and_then(|dir| fd::identity(dir.as_fd()));
        if found.map_err(failed("looking at", path))? != built {
            let what = format!("`{}` is not the root that was built", path.to_string_lossy());
            return Err(Failure::open(Layer::Mounts, what));
        }
    }
    Ok(())
}

/// Whether the pid namespace's own `pid_max` could be set (Linux 6.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PidMax {
    Set,
    Unsupported,
}

/// Whether a pid namespace has a `pid_max` of its own. Nothing on the file tells; so by version, where a kernel that got
/// the change earlier only misses a limit.
fn has_own_pid_max(release: (u32, u32)) -> bool {
    release >= (6, 14)
}

fn tmpfs(size: &CStr, mode: &CStr, attributes: u64) -> io::Result<OwnedFd> {
    mount::file_system(c"tmpfs", &[(c"size", size), (c"mode", mode), (c"nr_inodes", c"65536")], attributes)
}

/// A detached copy of a bind's source, checked and with its attributes; `None` for other steps and for what lies inside
/// another bound tree (it is found through that tree).
fn clone_source(node: &Node) -> Result<Option<OwnedFd>, Failure> {
    let Action::Bind { source, dev, ino, directory, attributes, .. } = &node.action else { return Ok(None) };
    // the path was symlink-free when it was judged; one that stands in it now was put there since
    let place = fd::open_direct(source, libc::O_PATH).map_err(failed("opening", source))?;
    if *ino != 0 {
        let found = fd::identity(place.as_fd()).map_err(failed("looking at", source))?;
        check_identity(found, (*dev, *ino), *directory, source)?;
    }
    let tree = mount::clone_tree(place.as_fd()).map_err(failed("binding", source))?;
    mount::set_attributes(tree.as_fd(), *attributes, true).map_err(failed("restricting", source))?;
    Ok(Some(tree))
}

fn check_identity(found: Identity, expected: (u64, u64), directory: bool, path: &CStr) -> Result<(), Failure> {
    if (found.dev, found.ino) == expected && (found.kind == libc::S_IFDIR) == directory {
        return Ok(());
    }
    let what = format!("`{}` was replaced by another file while the jail was being built", path.to_string_lossy());
    Err(Failure::open(Layer::Mounts, what))
}

/// An empty directory or file to mount on.
fn mount_point(dir: BorrowedFd<'_>, name: &CStr, directory: bool) -> io::Result<()> {
    if directory { fd::make_directory(dir, name, 0o755) } else { fd::make_file(dir, name, 0o644) }
}

/// Directory and last component of a relative path.
fn split(path: &CStr) -> Result<(CString, CString), Failure> {
    let bytes = path.to_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let (parent, name) = bytes.split_at(at);
    let whole = |part: &[u8]| {
        let part = part.strip_prefix(b"/").unwrap_or(part);
        CString::new(if part.is_empty() { &b"."[..] } else { part })
    };
    match (whole(parent), whole(name)) {
        (Ok(parent), Ok(name)) => Ok((parent, name)),
        _ => Err(Failure::open(Layer::Mounts, "a path holds a NUL byte")),
    }
}

struct Builder<'a> {
    root: BorrowedFd<'a>,
    /// Detached covers for masks, cloned per use.
    empty_file: Option<OwnedFd>,
    empty_directory: Option<OwnedFd>,
}

impl Builder<'_> {
    fn add(&mut self, node: &Node, source: Option<OwnedFd>, processes: u64) -> Result<Option<PidMax>, Failure> {
        let path = node.path.as_c_str();
        if let Action::Mask { socket: true, .. } = node.action {
            return self.cover_socket(path).map(|()| None);
        }
        if node.careful {
            return self.add_carefully(node, source).map(|()| None);
        }
        match &node.action {
            Action::Directory { mode } => {
                fd::make_directory(self.root, path, *mode).map_err(failed("making directory", path))?;
            }
            Action::Symlink { target } => {
                fd::make_symlink(target, self.root, path).map_err(failed("making symlink", path))?;
            }
            Action::File { text } => self.write(path, text).map_err(failed("writing", path))?,
            Action::Bind { source: from, dev, ino, directory, inside, .. } => {
                let Some(tree) = source else { return Ok(None) };
                if *inside {
                    // somebody else may be changing this tree: no symlink is followed, and it must be the same object
                    let target = fd::open_beneath(self.root, path).map_err(failed("finding", path))?;
                    if *ino != 0 {
                        let found = fd::identity(target.as_fd()).map_err(failed("looking at", path))?;
                        check_identity(found, (*dev, *ino), *directory, from)?;
                    }
                    mount::attach_on(tree.as_fd(), target.as_fd()).map_err(failed("mounting", path))?;
                } else {
                    mount_point(self.root, path, *directory).map_err(failed("making a mount point at", path))?;
                    self.attach(&tree, path)?;
                }
            }
            Action::Tmpfs { size, mode, attributes } => {
                fd::make_directory(self.root, path, 0o755).map_err(failed("making a mount point at", path))?;
                let tree = tmpfs(size, mode, *attributes).map_err(failed("making private storage at", path))?;
                self.attach(&tree, path)?;
            }
            Action::Proc => return self.proc(path, processes).map(Some),
            Action::Mask { directory, .. } => self.mask(path, *directory)?,
        }
        Ok(None)
    }

    /// In a directory that the server wrote in an earlier run: each step names its parent by a descriptor that no symlink
    /// led to, and mounts on the very object that it found.
    fn add_carefully(&self, node: &Node, source: Option<OwnedFd>) -> Result<(), Failure> {
        let path = node.path.as_c_str();
        let (parent, name) = split(path)?;
        let parent = fd::open_beneath(self.root, &parent).map_err(failed("finding the directory of", path))?;
        match &node.action {
            Action::Directory { mode } => {
                fd::make_directory(parent.as_fd(), &name, *mode).map_err(failed("making directory", path))
            }
            Action::Symlink { target } => match fd::make_symlink(target, parent.as_fd(), &name) {
                // from an earlier run, or the server's own: it leads nowhere but inside the jail
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
                made => made.map_err(failed("making symlink", path)),
            },
            Action::Bind { directory, .. } => {
                let Some(tree) = source else { return Ok(()) };
                let made = mount_point(parent.as_fd(), &name, *directory);
                made.map_err(failed("making a mount point at", path))?;
                let target = fd::open_beneath(parent.as_fd(), &name).map_err(failed("finding", path))?;
                mount::attach_on(tree.as_fd(), target.as_fd()).map_err(failed("mounting", path))
            }
            Action::File { .. } | Action::Tmpfs { .. } | Action::Proc | Action::Mask { .. } => {
                let what = format!("`{}` cannot be made in a persistent home", path.to_string_lossy());
                Err(Failure::open(Layer::Mounts, what))
            }
        }
    }

    fn attach(&self, tree: &OwnedFd, path: &CStr) -> Result<(), Failure> {
        mount::attach(tree.as_fd(), Some(self.root), path).map_err(failed("mounting", path))
    }

    fn write(&self, path: &CStr, text: &[u8]) -> io::Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        File::from(fd::open_at(Some(self.root), path, flags, 0o644)?).write_all(text)
    }

    /// A procfs of the new pid namespace. Its sysctls of this jail are set, then it becomes read-only: uid 0 could
    /// otherwise write what only file modes protect.
    fn proc(&self, path: &CStr, processes: u64) -> Result<PidMax, Failure> {
        fd::make_directory(self.root, path, 0o555).map_err(failed("making a mount point at", path))?;
        let attributes = NO_SUID | NO_DEV | NO_EXEC;
        // the reaper is not dumpable, so nothing of it is seen, not even that it is there
        let hidden = [(c"hidepid", c"ptraceable")];
        let tree = mount::file_system(c"proc", &hidden, attributes).map_err(failed("making", path))?;
        let set = |name: &CStr, value: &str| -> io::Result<()> {
            File::from(fd::open_at(Some(tree.as_fd()), name, libc::O_WRONLY, 0)?).write_all(value.as_bytes())
        };
        // no user namespace inside this one, whatever the filter says
        set(c"sys/user/max_user_namespaces", "0").map_err(failed("writing", c"/proc/sys/user/max_user_namespaces"))?;
        // the out-of-memory killer takes the jail before anything else of the user's
        let _advisory = set(c"self/oom_score_adj", "500");
        // before Linux 6.14 this file is the whole machine's, and uid 0 may write it without any capability
        let pid_max = if process::release().is_some_and(has_own_pid_max) {
            // numbers below 300 are given out only once, so this many more are left for good
            set(c"sys/kernel/pid_max", &(processes + 300).to_string())
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOSYS))
        };
        mount::set_attributes(tree.as_fd(), attributes | READ_ONLY, false).map_err(failed("making read-only", path))?;
        self.attach(&tree, path)?;
        Ok(if pid_max.is_ok() { PidMax::Set } else { PidMax::Unsupported })
    }

    fn mask(&mut self, path: &CStr, directory: bool) -> Result<(), Failure> {
        let tree = self.empty(path, directory)?;
        self.attach(&tree, path)
    }

    /// Covers a socket of the machine in a bound tree. Others may be changing that tree: no symlink is followed, the cover
    /// goes onto the very object that was found, and onto nothing but a socket. One that is gone needs none; one that has
    /// taken its place is covered like it.
    fn cover_socket(&mut self, path: &CStr) -> Result<(), Failure> {
        let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
        let target = match fd::open_beneath(self.root, path) {
            Err(error) if gone(&error) => return Ok(()),
            found => found.map_err(failed("finding the socket", path))?,
        };
        if fd::identity(target.as_fd()).map_err(failed("looking at", path))?.kind != libc::S_IFSOCK {
            return Ok(());
        }
        let tree = self.empty(path, false)?;
        match mount::attach_on(tree.as_fd(), target.as_fd()) {
            Err(error) if gone(&error) => Ok(()),
            attached => attached.map_err(failed("covering the socket", path)),
        }
    }

    /// A detached, read-only, empty file or directory to cover `path` with.
    fn empty(&mut self, path: &CStr, directory: bool) -> Result<OwnedFd, Failure> {
        let cover = if directory { &mut self.empty_directory } else { &mut self.empty_file };
        let cover = match cover {
            Some(cover) => cover,
            None => {
                let name = if directory { c".mcpjail/empty" } else { c".mcpjail/nothing" };
                fd::make_directory(self.root, c".mcpjail", 0o755).map_err(failed("making", name))?;
                let made = if directory {
                    fd::make_directory(self.root, name, 0o555)
                } else {
                    fd::make_file(self.root, name, 0o444)
                };
                made.map_err(failed("making", name))?;
                let found = fd::open_beneath(self.root, name).map_err(failed("finding", name))?;
                cover.insert(found)
            }
        };
        let tree = mount::clone_tree(cover.as_fd()).map_err(failed("covering", path))?;
        let attributes = READ_ONLY | NO_SUID | NO_DEV | NO_EXEC;
        mount::set_attributes(tree.as_fd(), attributes, false).map_err(failed("restricting the cover of", path))?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_pid_max_is_left_alone() {
        assert!([(5, 13), (6, 8), (6, 13)].into_iter().all(|release| !has_own_pid_max(release)));
        assert!([(6, 14), (6, 18), (7, 0)].into_iter().all(has_own_pid_max));
    }
}
