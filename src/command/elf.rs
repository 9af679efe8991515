//! As much of ELF as tells which loader and which libraries a binary takes from beside itself (elf(5)).
//! Every offset comes from a file that a stranger wrote: all arithmetic is checked, all counts are bounded.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files;
use super::needs::Needs;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Bounds: program headers, entries of the dynamic section, length of a string, libraries of one program.
const MAX_HEADERS: usize = 128;
const MAX_DYNAMIC: usize = 1024;
const MAX_STRING: usize = 4096;
const MAX_LIBRARIES: usize = 128;

/// What a binary asks the dynamic loader for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Linking {
    loader: Option<PathBuf>,
    needed: Vec<Vec<u8>>,
    search: Vec<Vec<u8>>,
}

/// A little-endian file whose words are 4 or 8 bytes. Big-endian machines are not supported.
struct Image {
    file: File,
    wide: bool,
}

/// An unsigned little-endian number of up to 8 bytes.
fn number(table: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let mut buffer = [0_u8; 8];
    buffer.get_mut(..bytes)?.copy_from_slice(table.get(at..at.checked_add(bytes)?)?);
    Some(u64::from_le_bytes(buffer))
}

impl Image {
    fn open(path: &Path) -> Option<Self> {
        let file = files::open_regular(path).ok()?;
        let mut ident = [0_u8; 6];
        file.read_exact_at(&mut ident, 0).ok()?;
        match ident {
            [0x7f, b'E', b'L', b'F', 2, 1] => Some(Self { file, wide: true }),
            [0x7f, b'E', b'L', b'F', 1, 1] => Some(Self { file, wide: false }),
            _ => None,
        }
    }

    /// Up to `length` bytes from an offset; fewer at the end of the file.
    fn bytes(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0_u8; length];
        let read = self.file.read_at(&mut buffer, at).ok()?;
        buffer.truncate(read);
        Some(buffer)
    }

    /// A field of a table whose place and size depend on the class: `(offset, bytes)` in narrow and wide files.
    fn field(&self, table: &[u8], narrow: (usize, usize), wide: (usize, usize)) -> Option<u64> {
        let (offset, bytes) = if self.wide { wide } else { narrow };
        number(table, offset, bytes)
    }

    /// Bytes up to a NUL.
    fn string(&self, at: u64) -> Option<Vec<u8>> {
        let mut buffer = self.bytes(at, MAX_STRING)?;
        let end = buffer.iter().position(|b| *b == 0)?;
        buffer.truncate(end);
        Some(buffer)
    }

    fn linking(&self) -> Option<Linking> {
        let header = self.bytes(0, 64)?;
        let table = self.field(&header, (0x1c, 4), (0x20, 8))?;
        let size = usize::try_from(self.field(&header, (0x2a, 2), (0x36, 2))?).ok()?;
        let count = usize::try_from(self.field(&header, (0x2c, 2), (0x38, 2))?).ok()?.min(MAX_HEADERS);
        if !(32..=256).contains(&size) {
            return None;
        }
        let mut linking = Linking::default();
        let mut loads = Vec::new();
        let mut dynamic = None;
        for header in self.bytes(table, size * count)?.chunks_exact(size) {
            let kind = number(header, 0, 4)?;
            if !matches!(kind, PT_LOAD | PT_DYNAMIC | PT_INTERP) {
                continue;
            }
            let offset = self.field(header, (4, 4), (8, 8))?;
            let address = self.field(header, (8, 4), (16, 8))?;
            let length = self.field(header, (16, 4), (32, 8))?;
            match kind {
                PT_LOAD => loads.push((address, offset, length)),
                PT_DYNAMIC => dynamic = Some((offset, length)),
                _ => linking.loader = self.string(offset).map(|path| files::path_of(&path)),
            }
        }
        let Some((start, length)) = dynamic else { return Some(linking) };
        let entry = if self.wide { 16 } else { 8 };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_DYNAMIC * entry);
        let (mut names, mut searches, mut strings) = (Vec::new(), Vec::new(), None);
        for entry in self.bytes(start, length)?.chunks_exact(entry) {
            let tag = self.field(entry, (0, 4), (0, 8))?;
            let value = self.field(entry, (4, 4), (8, 8))?;
            match tag {
                0 => break,
                DT_NEEDED => names.push(value),
                DT_RPATH | DT_RUNPATH => searches.push(value),
                DT_STRTAB => strings = Some(value),
                _ => {}
            }
        }
        let Some(strings) = strings else { return Some(linking) };
        let in_file = loads.iter().find_map(|(address, offset, length)| {
            let inside = strings.checked_sub(*address).filter(|inside| inside < length)?;
            offset.checked_add(inside)
        })?;
        let text = |at: &u64| self.string(in_file.checked_add(*at)?);
        linking.needed = names.iter().filter_map(text).collect();
        linking.search = searches.iter().filter_map(text).collect();
        Some(linking)
    }
}

/// Whether a file is one that the dynamic loader would take.
fn is_elf(path: &Path) -> bool {
    files::head(path, 4).is_ok_and(|head| head == b"\x7fELF")
}

/// The directories of one `RUNPATH`, `$ORIGIN` put in.
fn expand(search: &[u8], origin: &Path) -> Vec<PathBuf> {
    let directory = |part: &[u8]| {
        let rest = part.strip_prefix(b"$ORIGIN").or_else(|| part.strip_prefix(b"${ORIGIN}"));
        match rest {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => {
                let rest = rest.strip_prefix(b"/").unwrap_or(rest);
                Some(files::absolute(Path::new(OsStr::from_bytes(rest)), origin))
            }
            Some(_) => None,
            None => part.starts_with(b"/").then(|| files::path_of(part)),
        }
    };
    search.split(|b| *b == b':').filter_map(directory).collect()
}

/// Grants the loader of a binary and the shared objects that it and they take from their `RUNPATH`, where these are
/// outside the system directories. Libraries that only `ld.so.conf` or `LD_LIBRARY_PATH` would find are not seen.
///
/// A directory is granted only where it is a `lib*` beside or below the binary's own, so that a binary cannot open
/// another tree by naming it; anything else is granted by file, and only where it is an ELF file.
pub(super) fn grant(needs: &mut Needs, program: &Path) {
    let mut queue = vec![program.to_path_buf()];
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut inherited: Vec<PathBuf> = Vec::new();
    let around = program.parent().map(|bin| bin.parent().unwrap_or(bin).to_path_buf());
    while let Some(object) = queue.pop() {
        let Some(linking) = Image::open(&object).and_then(|image| image.linking()) else { continue };
        if let Some(loader) = linking.loader.filter(|path| path.is_absolute() && is_elf(path)) {
            needs.file(&loader, "the program's dynamic loader");
        }
        let Some(origin) = object.parent() else { continue };
        let own = linking.search.iter().flat_map(|search| expand(search, origin));
        let mut dirs: Vec<PathBuf> = own.collect();
        inherited.extend(dirs.iter().cloned());
        dirs.extend(inherited.iter().cloned());
        for name in linking.needed.iter().filter(|name| !name.contains(&b'/')) {
            let found = dirs.iter().map(|dir| dir.join(OsStr::from_bytes(name))).find(|path| is_elf(path));
            let Some((found, real)) = found.and_then(|path| path.canonicalize().ok().map(|real| (path, real))) else {
                continue;
            };
            if files::is_system(&real) || seen.contains(&real) || seen.len() >= MAX_LIBRARIES {
                continue;
            }
            grant_library(needs, &found, around.as_deref());
            seen.push(real.clone());
            queue.push(real);
        }
    }
}

fn grant_library(needs: &mut Needs, found: &Path, around: Option<&Path>) {
    let dir = found.parent().filter(|dir| {
        let named = files::name_of(dir).as_bytes().starts_with(b"lib");
        named && around.is_some_and(|around| dir.starts_with(around) && !needs.too_broad(around))
    });
    if !dir.is_some_and(|dir| needs.tree(dir, "the program's shared libraries")) {
        needs.file(found, "the program's shared library");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_put_in() {
        let origin = Path::new("/nowhere/bin");
        assert_eq!(
            expand(b"$ORIGIN/../lib:${ORIGIN}:/opt/lib:relative:$ORIGINAL/x:", origin),
            [PathBuf::from("/nowhere/lib"), "/nowhere/bin".into(), "/opt/lib".into()]
        );
    }

    #[test]
    fn own_test_binary_is_understood() {
        let linking = Image::open(&std::env::current_exe().unwrap()).unwrap().linking().unwrap();
        assert!(linking.loader.is_some());
        assert!(linking.needed.iter().any(|name| name.starts_with(b"libc.")));
    }

    /// A file of 64-bit ELF with one segment, a dynamic section and the strings that it names.
    fn image(needed: &str, runpath: &str) -> Vec<u8> {
        let strings = format!("\0{needed}\0{runpath}\0");
        let (headers, dynamic, text) = (64_u64, 64 + 2 * 56, 64 + 2 * 56 + 4 * 16);
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(64, 0);
        out[0x20..0x28].copy_from_slice(&headers.to_le_bytes());
        out[0x36..0x38].copy_from_slice(&56_u16.to_le_bytes());
        out[0x38..0x3a].copy_from_slice(&2_u16.to_le_bytes());
        let mut segment = |kind: u32, offset: u64, length: u64| {
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&4_u32.to_le_bytes());
            for word in [offset, offset, offset, length, length, 8] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        };
        segment(1, 0, 4096);
        segment(2, dynamic, 4 * 16);
        let runpath_at = 2 + u64::try_from(needed.len()).unwrap();
        for (tag, value) in [(DT_NEEDED, 1), (DT_RUNPATH, runpath_at), (DT_STRTAB, text), (0, 0)] {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(strings.as_bytes());
        out
    }

    fn granted(root: &Path, program: &str) -> Vec<PathBuf> {
        let mut needs = Needs::new(&root.join("home/me"));
        grant(&mut needs, &root.join(program));
        needs.into_parts().0.into_iter().map(|grant| grant.path).collect()
    }

    #[test]
    fn libraries_beside_the_program_are_found_one_through_the_other() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        for dir in ["app/bin", "app/lib", "far/lib", "home/me"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        let far = root.join("far/lib");
        std::fs::write(root.join("app/bin/tool"), image("liba.so", "/nowhere:$ORIGIN/../lib")).unwrap();
        std::fs::write(root.join("app/lib/liba.so"), image("libb.so", far.to_str().unwrap())).unwrap();
        std::fs::write(root.join("far/lib/libb.so"), image("libc.so.6", "")).unwrap();
        assert_eq!(granted(&root, "app/bin/tool"), [root.join("app/lib"), root.join("far/lib/libb.so")]);
    }

    #[test]
    fn a_binary_cannot_open_a_tree_or_a_text_by_naming_it() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        for dir in ["app/bin", "home/me/.ssh", "home/me/lib", "home/me/bin"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::write(root.join("home/me/.ssh/id_rsa"), "secret").unwrap();
        std::fs::write(root.join("home/me/lib/libx.so"), image("none", "")).unwrap();
        let ssh = root.join("home/me/.ssh");
        std::fs::write(root.join("app/bin/tool"), image("id_rsa", ssh.to_str().unwrap())).unwrap();
        assert!(granted(&root, "app/bin/tool").is_empty());
        std::fs::write(root.join("app/bin/up"), image("../../home/me/.ssh/id_rsa", "$ORIGIN")).unwrap();
        assert!(granted(&root, "app/bin/up").is_empty());
        // Beside a binary in ~/bin, ~/lib is not the binary's own.
        std::fs::write(root.join("home/me/bin/tool"), image("libx.so", "$ORIGIN/../lib")).unwrap();
        assert_eq!(granted(&root, "home/me/bin/tool"), [root.join("home/me/lib/libx.so")]);
    }

    #[test]
    fn truncated_and_twisted_images_are_survived() {
        let whole = files::head(&std::env::current_exe().unwrap(), 4096).unwrap();
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x");
        let mut needs = Needs::new(Path::new("/home/me"));
        for cut in [0, 3, 6, 63, 64, 100, 500, 4096] {
            std::fs::write(&path, &whole[..cut.min(whole.len())]).unwrap();
            grant(&mut needs, &path);
        }
        for at in 4..400 {
            let mut twisted = whole.clone();
            twisted[at] = 0xff;
            std::fs::write(&path, &twisted).unwrap();
            grant(&mut needs, &path);
        }
        for grant in needs.into_parts().0 {
            assert!(is_elf(&grant.path), "{}", grant.path.display());
        }
    }
}
