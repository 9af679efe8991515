//! The manifest of a tree: every path below `meta` and `root` and what it is. Its SHA-256 is the tree's address, so there is
//! exactly one way to write a tree down, and anything else is no manifest.
//!
//! ```text
//! manifest  = "mcpjail tree 1\n" directory(meta) directory(root)
//! directory = "d" name NUL { directory | file | link } "u"        names strictly ascending, byte by byte
//! file      = ("f" | "x") name NUL size(u64, little-endian) sha256(32 bytes)      "x": may be executed
//! link      = "l" name NUL target NUL
//! ```

use crate::catalog::Digest;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Keeps these hashes apart from those of files, which could hold the same bytes.
const MAGIC: &[u8] = b"mcpjail tree 1\n";

/// How many directories may lie in one another, `root` counted. Each is an open descriptor while a tree is walked.
pub(super) const DEEPEST: usize = 200;

/// The longest path below a tree, bytes: the kernel takes 4096 at a time, and the tree lies somewhere.
pub(super) const LONGEST: usize = 3072;

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A directory; what lies in it are the entries up to `end`, which is not one of them.
    Directory { end: usize },
    /// A regular file.
    File { executable: bool, size: u64, sha256: [u8; 32] },
    /// A symbolic link.
    Link { target: &'a CStr },
}

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a CStr,
    /// The directory in which it lies; `None` for `meta` and `root` themselves.
    pub(super) parent: Option<usize>,
    /// Directories above it.
    pub(super) depth: usize,
    pub(super) kind: Kind<'a>,
}

/// A manifest that was read. Entries stand before what lies in them.
#[derive(Debug)]
pub(super) struct Manifest<'a> {
    pub(super) entries: Vec<Entry<'a>>,
}

/// The address of the tree that a manifest describes.
pub(super) fn address(manifest: &[u8]) -> Digest {
    Digest::of_bytes(manifest)
}

impl<'a> Manifest<'a> {
    /// Reads a manifest; `None` for anything that is not written exactly as [`Writer`] would.
    pub(super) fn parse(text: &'a [u8]) -> Option<Manifest<'a>> {
        let mut reader = Reader { rest: text.strip_prefix(MAGIC)? };
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(text.len() / 48);
        // The directories that are open, each with the name that was last in it.
        let mut above: Vec<(usize, Option<&'a CStr>)> = Vec::new();
        let mut last_top = None;
        while let Some(tag) = reader.byte() {
            if tag == b'u' {
                let (directory, _) = above.pop()?;
                let after = entries.len();
                entries.get_mut(directory)?.kind = Kind::Directory { end: after };
                continue;
            }
            let name = reader.name()?;
            if !is_name(name) {
                return None;
            }
            let last = above.last_mut().map_or(&mut last_top, |(_, last)| last);
            if last.is_some_and(|last| last >= name) {
                return None;
            }
            *last = Some(name);
            let (parent, depth) = (above.last().map(|(directory, _)| *directory), above.len());
            let kind = match tag {
                b'd' if depth < DEEPEST => {
                    above.push((entries.len(), None));
                    Kind::Directory { end: 0 }
                }
                b'f' | b'x' => {
                    let size = u64::from_le_bytes(*reader.take()?);
                    Kind::File { executable: tag == b'x', size, sha256: *reader.take()? }
                }
                b'l' => Kind::Link { target: reader.name()? },
                _ => return None,
            };
            entries.push(Entry { name, parent, depth, kind });
        }
        let tops: Vec<Entry<'_>> = entries.iter().filter(|entry| entry.depth == 0).copied().collect();
        let directory = |entry: &Entry<'_>| matches!(entry.kind, Kind::Directory { .. });
        let whole = above.is_empty() && tops.iter().all(directory);
        (whole && tops.iter().map(|top| top.name).eq([c"meta", c"root"])).then_some(Manifest { entries })
    }

    /// The path of an entry, relative to the tree: `root/node_modules/…`.
    pub(super) fn path(&self, entry: usize) -> PathBuf {
        let mut names = Vec::new();
        let mut next = Some(entry);
        while let Some(entry) = next.and_then(|index| self.entries.get(index)) {
            names.push(OsStr::from_bytes(entry.name.to_bytes()));
            next = entry.parent;
        }
        names.iter().rev().collect()
    }

    /// What lies in a directory directly, in order.
    pub(super) fn children(&self, directory: usize) -> impl Iterator<Item = usize> {
        let end = match self.entries.get(directory).map(|entry| entry.kind) {
            Some(Kind::Directory { end }) => end,
            _ => directory,
        };
        let after = |child: usize| match self.entries.get(child).map(|entry| entry.kind) {
            Some(Kind::Directory { end }) => end,
            _ => child + 1,
        };
        std::iter::successors(Some(directory + 1), move |child| Some(after(*child)))
            .take_while(move |child| *child < end)
    }

    /// The entry of a path such as `["meta", "installed.json"]`.
    pub(super) fn find(&self, path: &[&[u8]]) -> Option<usize> {
        let mut found = None;
        for name in path {
            let named = |index: &usize| self.entries.get(*index).is_some_and(|entry| entry.name.to_bytes() == *name);
            found = Some(match found {
                Some(directory) => self.children(directory).find(named)?,
                None => (0..self.entries.len()).find(|index| self.is_top(*index) && named(index))?,
            });
        }
        found
    }

    fn is_top(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.depth == 0)
    }

    /// How many files there are, and their bytes.
    pub(super) fn extent(&self) -> (usize, u64) {
        let sizes = self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { size, .. } => Some(size),
            Kind::Directory { .. } | Kind::Link { .. } => None,
        });
        sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
    }
}

/// Whether a directory may hold this name.
fn is_name(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    !bytes.is_empty() && bytes.len() <= 255 && !bytes.contains(&b'/') && bytes != b"." && bytes != b".."
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn name(&mut self) -> Option<&'a CStr> {
        let name = CStr::from_bytes_until_nul(self.rest).ok()?;
        self.rest = self.rest.get(name.count_bytes() + 1..)?;
        Some(name)
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(taken)
    }
}

/// What was found under a name while a stage was walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Directory,
    File { executable: bool, size: u64, sha256: [u8; 32] },
    Link { target: CString },
}

/// Writes a manifest. Entries come in the manifest's own order, each with its depth.
#[derive(Debug)]
pub(super) struct Writer {
    text: Vec<u8>,
    depth: usize,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { text: MAGIC.to_vec(), depth: 0 }
    }

    pub(super) fn entry(&mut self, depth: usize, name: &CStr, found: &Found) {
        self.climb(depth);
        let tag = match found {
            Found::Directory => b'd',
            Found::File { executable: false, .. } => b'f',
            Found::File { executable: true, .. } => b'x',
            Found::Link { .. } => b'l',
        };
        self.text.push(tag);
        self.text.extend_from_slice(name.to_bytes_with_nul());
        match found {
            Found::Directory => self.depth += 1,
            Found::File { executable: _, size, sha256 } => {
                self.text.extend_from_slice(&size.to_le_bytes());
                self.text.extend_from_slice(sha256);
            }
            Found::Link { target } => self.text.extend_from_slice(target.to_bytes_with_nul()),
        }
    }

    fn climb(&mut self, depth: usize) {
        while self.depth > depth {
            self.text.push(b'u');
            self.depth -= 1;
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.climb(0);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> Found {
        Found::File { executable: size == 7, size, sha256: [u8::try_from(size).unwrap(); 32] }
    }

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new();
        let link = Found::Link { target: c"../b\xff".to_owned() };
        for (depth, name, found) in [
            (0, c"meta", Found::Directory),
            (1, c"installed.json", file(3)),
            (0, c"root", Found::Directory),
            (1, c"a", Found::Directory),
            (2, c"empty", Found::Directory),
            (2, c"x\xfe\n", file(7)),
            (1, c"a.b", file(9)),
            (1, c"z", link),
        ] {
            writer.entry(depth, name, &found);
        }
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = sample();
        let manifest = Manifest::parse(&text).unwrap();
        let paths: Vec<String> =
            (0..manifest.entries.len()).map(|index| manifest.path(index).to_string_lossy().into_owned()).collect();
        let wanted =
            ["meta", "meta/installed.json", "root", "root/a", "root/a/empty", "root/a/x\u{fffd}\n", "root/a.b"];
        assert_eq!(paths[..7], wanted);
        assert_eq!(manifest.children(2).collect::<Vec<_>>(), [3, 6, 7]);
        assert_eq!(manifest.children(3).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(manifest.children(4).count() + manifest.children(5).count(), 0);
        assert_eq!(manifest.find(&[b"root", b"a", b"empty"]), Some(4));
        assert_eq!(manifest.find(&[b"root", b"a.b"]), Some(6));
        assert_eq!(manifest.find(&[b"root", b"b"]), None);
        assert_eq!(manifest.find(&[b"a"]), None);
        assert_eq!(manifest.extent(), (3, 19));
        // written again it is the same
        assert_eq!(written(&manifest), text);
    }

    /// Whatever one byte is changed to or wherever it is cut: it is no manifest or another one, never the same tree.
    #[test]
    fn there_is_one_way_to_write_a_tree() {
        let text = sample();
        let parsed = Manifest::parse(&text).unwrap();
        for place in 0..text.len() {
            assert!(Manifest::parse(&text[..place]).is_none(), "cut at {place}");
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut other = text.clone();
                other[place] ^= flip;
                assert_ne!(Manifest::parse(&other).map(|other| other.entries == parsed.entries), Some(true), "{place}");
            }
        }
        let mut longer = text.clone();
        longer.push(b'u');
        assert!(Manifest::parse(&longer).is_none());
    }

    #[test]
    fn what_no_directory_can_hold_is_refused() {
        let with = |names: &[&CStr]| {
            let mut writer = Writer::new();
            writer.entry(0, c"meta", &Found::Directory);
            writer.entry(0, c"root", &Found::Directory);
            for name in names {
                writer.entry(1, name, &file(1));
            }
            Manifest::parse(&writer.finish()).is_some()
        };
        assert!(with(&[c"a", c"b", c"..."]) || with(&[c"...", c"a", c"b"]));
        for names in [&[c""][..], &[c"."], &[c".."], &[c"a/b"], &[c"b", c"a"], &[c"a", c"a"]] {
            assert!(!with(names), "{names:?}");
        }
        let mut tops = Writer::new();
        for name in [c"evil", c"meta", c"root"] {
            tops.entry(0, name, &Found::Directory);
        }
        assert!(Manifest::parse(&tops.finish()).is_none());
        let mut deep = Writer::new();
        deep.entry(0, c"meta", &Found::Directory);
        for depth in 0..=DEEPEST {
            deep.entry(depth, if depth == 0 { c"root" } else { c"d" }, &Found::Directory);
        }
        assert!(Manifest::parse(&deep.finish()).is_none());
    }

    fn written(manifest: &Manifest<'_>) -> Vec<u8> {
        let mut writer = Writer::new();
        for entry in &manifest.entries {
            let found = match entry.kind {
                Kind::Directory { .. } => Found::Directory,
                Kind::File { executable, size, sha256 } => Found::File { executable, size, sha256 },
                Kind::Link { target } => Found::Link { target: target.to_owned() },
            };
            writer.entry(entry.depth, entry.name, &found);
        }
        writer.finish()
    }

    proptest::proptest! {
        /// Whatever is read is what would be written: two texts, and so two addresses, never stand for one tree.
        #[test]
        fn what_is_read_is_what_would_be_written(
            edits in proptest::collection::vec((0_usize..4096, 0_usize..12, proptest::collection::vec(proptest::sample::select(
                &b"dfxlu\0./ab\x01\xff"[..]), 0..12)), 0..6),
        ) {
            let mut text = sample();
            for (at, cut, put) in edits {
                let at = MAGIC.len() + at % (text.len() - MAGIC.len() + 1);
                let end = text.len().min(at + cut);
                text.splice(at..end, put);
            }
            if let Some(manifest) = Manifest::parse(&text) {
                proptest::prop_assert_eq!(&written(&manifest), &text);
                for (index, entry) in manifest.entries.iter().enumerate() {
                    let path = manifest.path(index);
                    proptest::prop_assert!(path.is_relative() && path.components().count() == entry.depth + 1);
                }
            }
        }
    }
}
