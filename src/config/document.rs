//! The text of a profile: read with suspicion, and able to say where in it a byte stands.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::error::{ConfigError, Place, Problem, shell};
use super::{Origin, Source};

/// Largest profile, bytes. People write some hundred; more is a mistake or an attack on the start-up time.
pub(super) const LARGEST: u64 = 256 * 1024;

/// A profile's text with the place it came from.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) source: Source,
    pub(super) text: Cow<'static, str>,
    /// Offsets of the line feeds.
    breaks: Vec<usize>,
}

impl Document {
    pub(super) fn new(source: Source, text: impl Into<Cow<'static, str>>) -> Document {
        let text = text.into();
        // a plain loop: memchr would first ask the processor what it can do, which a virtual machine answers slowly
        let breaks = text.bytes().enumerate().filter_map(|(at, byte)| (byte == b'\n').then_some(at)).collect();
        Document { source, text, breaks }
    }

    /// Reads a file; `None` where there is none. `check` judges its owner and mode before a byte is read.
    ///
    /// A symlink is followed, since dotfiles are kept that way. Opening never waits (FIFO) and never makes a terminal
    /// the controlling one; what is not a regular file is refused unread.
    pub(super) fn read(
        path: &Path,
        source: Source,
        check: impl FnOnce(&Metadata) -> Result<(), Problem>,
    ) -> Result<Option<Document>, ConfigError> {
        let fail = |problem| ConfigError::new(source.clone(), problem);
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            // A dangling symlink is a file that somebody meant to be there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                return Ok(None);
            }
            // What open(2) says of a socket.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                return Err(fail(Problem::NotRegular { kind: "a socket or a device" }));
            }
            Err(error) => return Err(fail(Problem::Unreadable(error))),
        };
        let metadata = file.metadata().map_err(|error| fail(Problem::Unreadable(error)))?;
        if let Some(kind) = not_regular(&metadata) {
            return Err(fail(Problem::NotRegular { kind }));
        }
        check(&metadata).map_err(fail)?;
        let bytes = read_capped(file, metadata.len()).map_err(|error| fail(Problem::Unreadable(error)))?;
        let bytes = bytes.ok_or_else(|| fail(Problem::TooLarge { limit: LARGEST }))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Document::new(source, text))),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let document = Document::new(source, text);
                Err(ConfigError::new(document.place(valid), Problem::NotUtf8))
            }
        }
    }

    /// The position of a byte.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.breaks.partition_point(|&at| at < offset);
        let start = line.checked_sub(1).and_then(|before| self.breaks.get(before)).map_or(0, |at| at + 1);
        let column = self.text.get(start..offset).unwrap_or_default().chars().count() + 1;
        Place { source: self.source.clone(), line: to_line(line), column: u32::try_from(column).ok() }
    }

    /// The origin of a value that starts at this byte.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        Origin { source: self.source.clone(), line: to_line(self.breaks.partition_point(|&at| at < offset)) }
    }

    /// The text of a span.
    pub(super) fn excerpt(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }

    /// The line that a byte stands in.
    pub(super) fn line(&self, offset: usize) -> &str {
        let before = self.text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// An error at a span.
    pub(super) fn error(&self, span: &Range<usize>, problem: Problem) -> ConfigError {
        ConfigError::new(self.place(span.start), problem)
    }
}

fn to_line(index: usize) -> Option<u32> {
    u32::try_from(index + 1).ok()
}

/// The file's bytes; `None` when it is larger than a profile can be, whatever its metadata says.
fn read_capped(file: File, size: u64) -> io::Result<Option<Vec<u8>>> {
    if size > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST);
    Ok(fits.then_some(bytes))
}

fn not_regular(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// Whoever can write a profile decides what the server may do: that must be the user or root.
///
/// Group-writable is accepted where the group is the owner's own (user-private groups have the user's number, and their
/// users a umask of 002).
pub(super) fn check_profile_owner(metadata: &Metadata, path: &Path, uid: u32) -> Result<(), Problem> {
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    let insecure = |reason: String, command: &str| Problem::ProfileInsecure {
        reason,
        remedy: format!("{command} {}", shell(path)),
    };
    if owner != uid && owner != 0 {
        return Err(insecure(
            format!("belongs to user {owner}, neither to you ({uid}) nor to root"),
            "sudo chown $USER",
        ));
    }
    if mode & 0o002 != 0 {
        return Err(insecure(format!("can be written by everybody (mode {:03o})", mode & 0o777), "chmod go-w"));
    }
    if mode & 0o020 != 0 && group != owner {
        return Err(insecure(format!("can be written by group {group} (mode {:03o})", mode & 0o777), "chmod go-w"));
    }
    Ok(())
}

/// The floor must be the administrator's alone.
pub(super) fn check_policy_owner(metadata: &Metadata, path: &Path, administrator: u32) -> Result<(), Problem> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let insecure = |reason: String, command: &str| Problem::PolicyInsecure {
        reason,
        remedy: format!("sudo {command} {}", shell(path)),
    };
    if owner != administrator {
        return Err(insecure(format!("belongs to user {owner}, not to root"), "chown root:root"));
    }
    if mode & 0o022 != 0 {
        return Err(insecure(format!("can be written by others than root (mode {:03o})", mode & 0o777), "chmod go-w"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Diagnose;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    fn read(path: &Path) -> Result<Option<Document>, ConfigError> {
        Document::read(path, Source::File(path.to_owned()), |_| Ok(()))
    }

    #[test]
    fn places_count_lines_and_characters() {
        let document = Document::new(Source::Command, "a\nbäc\n\nd");
        let at = |offset| {
            let place = document.place(offset);
            (place.line.unwrap(), place.column.unwrap())
        };
        assert_eq!([at(0), at(1), at(2), at(5), at(7), at(8)], [(1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (4, 1)]);
        assert_eq!(document.origin(8).line, Some(4));
    }

    #[test]
    fn absent_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none.toml")).unwrap().is_none());
        let link = folder.path().join("dangling.toml");
        std::os::unix::fs::symlink("none.toml", &link).unwrap();
        assert_eq!(read(&link).unwrap_err().code(), "profile-unreadable");
    }

    #[test]
    fn a_fifo_a_socket_and_a_directory_neither_hang_nor_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo.toml");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = folder.path().join("socket.toml");
        let _listener = UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for path in [fifo.as_path(), &socket, folder.path(), &link, Path::new("/dev/null")] {
            assert_eq!(read(path).unwrap_err().code(), "profile-not-a-file", "{}", path.display());
        }
    }

    #[test]
    fn ten_megabytes_are_not_slurped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.toml");
        fs::write(&path, vec![b'#'; 10 << 20]).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.code(), "profile-too-large");
        assert!(error.hint().unwrap().contains("big.toml"));
        fs::write(&path, vec![b'#'; 256 << 10]).unwrap();
        assert!(read(&path).unwrap().is_some());
    }

    #[test]
    fn size_is_not_taken_from_metadata_alone() {
        // A file of /proc says that it is empty.
        let text = read(Path::new("/proc/self/status")).unwrap().unwrap().text;
        assert!(text.starts_with("Name:"));
    }

    #[test]
    fn not_utf8_names_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.toml");
        fs::write(&path, b"version = 1\n# gr\xfc\xdf\n").unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.code(), "not-utf8");
        assert_eq!((error.place().line, error.place().column), (Some(2), Some(5)));
    }

    #[test]
    fn a_symlinked_profile_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real.toml"), "version = 1").unwrap();
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        assert_eq!(read(&link).unwrap().unwrap().text, "version = 1");
    }

    #[test]
    fn owner_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        fs::write(&path, "").unwrap();
        let with = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&path).unwrap()
        };
        let metadata = with(0o600);
        let (uid, private) = (metadata.uid(), metadata.uid() == metadata.gid());
        assert!(check_profile_owner(&with(0o644), &path, uid).is_ok());
        assert!(check_profile_owner(&with(0o646), &path, uid).is_err());
        assert_eq!(check_profile_owner(&with(0o664), &path, uid).is_ok(), private);
        // Somebody else's file; root's is accepted.
        assert_eq!(check_profile_owner(&with(0o600), &path, uid + 1).is_ok(), uid == 0);
        assert!(check_policy_owner(&with(0o644), &path, uid).is_ok());
        assert!(check_policy_owner(&with(0o664), &path, uid).is_err());
        assert!(check_policy_owner(&with(0o602), &path, uid).is_err());
        assert!(check_policy_owner(&with(0o600), &path, uid + 1).is_err());
    }
}
