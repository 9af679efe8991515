//! The index of a tree: what the file system said of every path when its contents were last known to be right. While it
//! says the same again nothing needs to be read. It decides over time only: a path that differs is read and held against
//! the manifest, and an index that is missing, damaged or of another tree costs that for every path.

use crate::catalog::Digest;
use crate::sys::entry::Status;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const MAGIC: &[u8] = b"mcpjail index 1\n";

/// Magic, address of the tree, device number.
const HEADER: usize = MAGIC.len() + 32 + 8;

/// Bytes of a [`State`].
const WIDTH: usize = 40;

/// What tells one state of a path from another: inode, size (of a directory: none), both times. All zero where nothing is
/// known, which is no inode's state.
pub(super) type State = [u8; WIDTH];

/// The state that a status shows.
pub(super) fn state(status: &Status) -> State {
    let mut state = [0; WIDTH];
    // A directory's size is the file system's affair.
    let size = if status.kind == libc::S_IFDIR { 0 } else { status.size };
    let nanoseconds = |(_, rest): (i64, i64)| u32::try_from(rest).unwrap_or(0);
    let parts: [&[u8]; 6] = [
        &status.ino.to_le_bytes(),
        &size.to_le_bytes(),
        &status.mtime.0.to_le_bytes(),
        &status.ctime.0.to_le_bytes(),
        &nanoseconds(status.mtime).to_le_bytes(),
        &nanoseconds(status.ctime).to_le_bytes(),
    ];
    let mut at = 0;
    for part in parts {
        if let Some(room) = state.get_mut(at..at + part.len()) {
            room.copy_from_slice(part);
        }
        at += part.len();
    }
    state
}

/// The inode of a state.
pub(super) fn inode(state: &State) -> u64 {
    state.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The states of a tree's paths, in the order of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) dev: u64,
    pub(super) states: Vec<State>,
}

impl Index {
    /// An index that knows nothing.
    pub(super) fn unknown(dev: u64, paths: usize) -> Index {
        Index { dev, states: vec![[0; WIDTH]; paths] }
    }

    /// Reads the index of `tree`; `None` for anything that is none of it.
    pub(super) fn parse(bytes: &[u8], tree: &Digest, paths: usize) -> Option<Index> {
        let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&tree.0)?;
        let (dev, rest) = rest.split_first_chunk()?;
        let (states, over) = rest.as_chunks::<WIDTH>();
        let fits = over.is_empty() && states.len() == paths;
        fits.then(|| Index { dev: u64::from_le_bytes(*dev), states: states.to_vec() })
    }

    /// The inodes of any index, without knowing how many paths its tree has.
    pub(super) fn inodes(bytes: &[u8]) -> impl Iterator<Item = u64> {
        let (states, _) = bytes.get(HEADER..).unwrap_or_default().as_chunks::<WIDTH>();
        states.iter().map(inode)
    }

    pub(super) fn text(&self, tree: &Digest) -> Vec<u8> {
        let mut text = Vec::with_capacity(HEADER + self.states.len() * WIDTH);
        text.extend_from_slice(MAGIC);
        text.extend_from_slice(&tree.0);
        text.extend_from_slice(&self.dev.to_le_bytes());
        text.extend_from_slice(self.states.as_flattened());
        text
    }

    /// Puts it in the place of `path` in one step, by way of `draft`. It need not outlive a crash.
    pub(super) fn save(&self, tree: &Digest, path: &Path, draft: &Path) -> io::Result<()> {
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(draft)
            .and_then(|mut file| file.write_all(&self.text(tree)))
            .and_then(|()| fs::rename(draft, path));
        if written.is_err() {
            let _may_be_absent = fs::remove_file(draft);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            dev: 1,
            ino: 2,
            kind: libc::S_IFREG,
            mode: 0o444,
            uid: 0,
            links: 1,
            size: 3,
            room: 4096,
            mtime: (-5, 6),
            ctime: (7, 8),
        }
    }

    #[test]
    fn every_member_tells_states_apart() {
        let one = state(&status());
        assert_eq!(inode(&one), 2);
        for other in [
            Status { ino: 3, ..status() },
            Status { size: 4, ..status() },
            Status { mtime: (-4, 6), ..status() },
            Status { mtime: (-5, 7), ..status() },
            Status { ctime: (8, 8), ..status() },
            Status { ctime: (7, 9), ..status() },
        ] {
            assert_ne!(state(&other), one);
        }
        // Links of it elsewhere show in its ctime; modes and owners are compared for themselves.
        assert_eq!(state(&Status { links: 2, room: 0, ..status() }), one);
    }

    #[test]
    fn an_index_is_one_tree_s() {
        let tree = Digest::of_bytes(b"tree");
        let mut index = Index::unknown(77, 3);
        index.states[1] = state(&status());
        let text = index.text(&tree);
        assert_eq!(Index::parse(&text, &tree, 3).unwrap(), index);
        assert_eq!(Index::inodes(&text).collect::<Vec<_>>(), [0, 2, 0]);
        assert!(Index::parse(&text, &Digest::of_bytes(b"other"), 3).is_none());
        assert!(Index::parse(&text, &tree, 2).is_none());
        for cut in 0..text.len() {
            assert!(Index::parse(&text[..cut], &tree, 3).is_none(), "{cut}");
        }
    }
}
