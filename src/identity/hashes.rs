//! SHA-256 of files, remembered: an interpreter of 100 MB takes longer to hash than a server to start.
//!
//! What is remembered of a large file is one small file, and is believed only while device, inode, size and both times
//! of the original agree to the nanosecond. No program can set the change time of a file. A record that is damaged,
//! missing or cannot be written costs time and nothing else.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files below this size are hashed anew each time, bytes: that takes at most a tenth of a millisecond.
const SMALL: u64 = 64 << 10;

/// A record is written only of a file that has been left alone for this long, nanoseconds: what is changed twice within
/// one tick of the kernel's clock keeps its times.
const SETTLED_NS: i128 = 2_000_000_000;

/// Longest record, bytes.
const LONGEST: u64 = 4096;

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> State {
        State {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn settled(&self, now: SystemTime) -> bool {
        let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let now = now.duration_since(UNIX_EPOCH).ok().and_then(|now| i128::try_from(now.as_nanos()).ok());
        let latest = ns(self.mtime.0, self.mtime.1).max(ns(self.ctime.0, self.ctime.1));
        now.is_some_and(|now| now - latest > SETTLED_NS)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    state: State,
    sha256: [u8; 32],
}

/// The records, in a directory of mcpjail's own.
#[derive(Debug, Clone)]
pub struct Hashes {
    dir: PathBuf,
}

impl Hashes {
    /// Records below `dir`, which is made when the first one is written.
    #[must_use]
    pub fn new(dir: PathBuf) -> Hashes {
        Hashes { dir }
    }

    /// The SHA-256 of a regular file's contents.
    ///
    /// # Errors
    /// Those of opening and reading; `InvalidInput` for anything but a regular file.
    pub fn of(&self, path: &Path) -> io::Result<[u8; 32]> {
        let file = open(path)?;
        let before = State::of(&file.metadata()?);
        if before.size >= SMALL
            && let Some(known) = self.recall(path, &before)
        {
            return Ok(known);
        }
        let sha256 = digest(&file)?;
        let same = State::of(&file.metadata()?) == before;
        if before.size >= SMALL && same && before.settled(SystemTime::now()) {
            let _costs_time_only = self.remember(path, &Record { state: before, sha256 });
        }
        Ok(sha256)
    }

    fn record(&self, path: &Path) -> PathBuf {
        let name: String =
            Sha256::digest(path.as_os_str().as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect();
        self.dir.join(format!("{name}.json"))
    }

    fn recall(&self, path: &Path, state: &State) -> Option<[u8; 32]> {
        let mut text = Vec::new();
        File::open(self.record(path)).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        (record.state == *state).then_some(record.sha256)
    }

    fn remember(&self, path: &Path, record: &Record) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let target = self.record(path);
        let temporary = target.with_extension(format!("{}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(record)?))
            .and_then(|()| fs::rename(&temporary, &target));
        if written.is_err() {
            let _may_be_absent = fs::remove_file(&temporary);
        }
        written
    }
}

/// The SHA-256 of a regular file's contents, read now.
///
/// # Errors
/// As [`Hashes::of`].
pub fn sha256_of(path: &Path) -> io::Result<[u8; 32]> {
    digest(&open(path)?)
}

/// Opening never waits, and what is no regular file is not read.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn digest(mut file: &File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 256 << 10];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => hash.update(block.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct World {
        dir: tempfile::TempDir,
        hashes: Hashes,
    }

    impl World {
        fn new() -> World {
            let dir = tempfile::tempdir().unwrap();
            let hashes = Hashes::new(dir.path().join("state/hashes"));
            World { dir, hashes }
        }

        /// A large file that looks as if it had been left alone for an hour. Its change time cannot be set back, so the
        /// record is written by hand where a test needs one.
        fn large(&self, fill: u8) -> PathBuf {
            let path = self.dir.path().join("large");
            fs::write(&path, vec![fill; usize::try_from(SMALL).unwrap()]).unwrap();
            path
        }

        fn plant(&self, path: &Path, sha256: [u8; 32], change: impl FnOnce(&mut State)) {
            let mut state = State::of(&fs::metadata(path).unwrap());
            change(&mut state);
            self.hashes.remember(path, &Record { state, sha256 }).unwrap();
        }
    }

    #[test]
    fn the_hash_is_that_of_the_contents() {
        let w = World::new();
        let small = w.dir.path().join("small");
        fs::write(&small, "abc").unwrap();
        // FIPS 180-2, appendix B.1
        assert_eq!(w.hashes.of(&small).unwrap()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(sha256_of(&small).unwrap(), w.hashes.of(&small).unwrap());
        let large = w.large(1);
        assert_eq!(w.hashes.of(&large).unwrap(), sha256_of(&large).unwrap());
    }

    #[test]
    fn a_record_is_believed_only_while_everything_agrees() {
        let w = World::new();
        let large = w.large(1);
        let (true_hash, planted) = (sha256_of(&large).unwrap(), [7; 32]);
        w.plant(&large, planted, |_| {});
        assert_eq!(w.hashes.of(&large).unwrap(), planted, "the record is used at all");
        let changes: [fn(&mut State); 7] = [
            |state| state.dev += 1,
            |state| state.ino += 1,
            |state| state.size += 1,
            |state| state.mtime.0 += 1,
            |state| state.mtime.1 ^= 1,
            |state| state.ctime.0 -= 1,
            |state| state.ctime.1 ^= 1,
        ];
        for change in changes {
            w.plant(&large, planted, change);
            assert_eq!(w.hashes.of(&large).unwrap(), true_hash);
        }
    }

    #[test]
    fn a_change_of_the_file_is_seen_whatever_its_times_say() {
        let w = World::new();
        let large = w.large(1);
        let old = File::open(&large).unwrap().metadata().unwrap().modified().unwrap();
        w.plant(&large, [7; 32], |_| {});
        // the same size, and the modification time set back: what a program can do to hide a change
        w.large(2);
        OpenOptions::new().write(true).open(&large).unwrap().set_modified(old).unwrap();
        assert_eq!(w.hashes.of(&large).unwrap(), sha256_of(&large).unwrap());
    }

    #[test]
    fn a_damaged_record_is_no_record() {
        let w = World::new();
        let large = w.large(1);
        let true_hash = sha256_of(&large).unwrap();
        w.plant(&large, [7; 32], |_| {});
        let record = w.hashes.record(&large);
        let text = fs::read_to_string(&record).unwrap();
        for damaged in ["", "{", &text[..text.len() / 2], &text.replace("7,7", "7,700"), &format!("{text}x"), "null"] {
            fs::write(&record, damaged).unwrap();
            assert_eq!(w.hashes.of(&large).unwrap(), true_hash, "{damaged}");
        }
        fs::remove_file(&record).unwrap();
        fs::create_dir(&record).unwrap();
        assert_eq!(w.hashes.of(&large).unwrap(), true_hash);
    }

    #[test]
    fn nothing_is_written_of_a_file_that_was_just_changed() {
        let w = World::new();
        let large = w.large(1);
        w.hashes.of(&large).unwrap();
        let state = State::of(&fs::metadata(&large).unwrap());
        let changed = large.metadata().unwrap().modified().unwrap();
        assert!(!state.settled(changed) && !state.settled(changed + Duration::from_secs(1)));
        assert!(state.settled(changed + Duration::from_secs(3)));
        // unless this machine took two seconds to get here
        if !state.settled(SystemTime::now()) {
            assert!(!w.hashes.dir.exists());
        }
    }

    #[test]
    fn directories_and_fifos_are_refused_without_waiting() {
        let w = World::new();
        let fifo = w.dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [fifo.as_path(), w.dir.path(), Path::new("/dev/zero")] {
            assert_eq!(w.hashes.of(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
    }

    #[test]
    fn records_are_for_the_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let w = World::new();
        let large = w.large(1);
        w.plant(&large, [7; 32], |_| {});
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&w.hashes.dir), mode(&w.hashes.record(&large))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&w.hashes.dir).unwrap().count(), 1, "no temporary file is left");
    }

    /// How long a start waits for hashes: `cargo test --release -- --ignored --nocapture hashing_takes`.
    #[test]
    #[ignore = "a measurement, not a check"]
    #[allow(clippy::print_stdout, reason = "it is read by whoever measures")]
    fn hashing_takes() {
        let w = World::new();
        let measure = |what: &str, times: u32, run: &dyn Fn()| {
            let start = std::time::Instant::now();
            (0..times).for_each(|_| run());
            println!("{what}: {:?}", start.elapsed() / times);
        };
        let (script, interpreter) = (w.dir.path().join("script"), w.dir.path().join("interpreter"));
        fs::write(&script, vec![7; 300 << 10]).unwrap();
        fs::write(&interpreter, vec![7; 100 << 20]).unwrap();
        measure("a script of 300 KiB", 100, &|| assert!(w.hashes.of(&script).is_ok()));
        measure("100 MiB, read", 3, &|| assert!(sha256_of(&interpreter).is_ok()));
        w.plant(&interpreter, [7; 32], |_| {});
        measure("100 MiB, remembered", 1000, &|| assert!(w.hashes.of(&interpreter).is_ok()));
    }
}
