//! What a lock belongs to: the name under which it is kept, and the hashes of what is launched.
//!
//! What is pinned is the command as it was written, the one file that holds the server's own code, and the interpreter.
//! What that file loads is not: a package's other modules and its dependencies are other files. Of a package in the store
//! it is: its whole tree is pinned.

mod hashes;
mod place;

pub use hashes::{Hashes, sha256_of};
pub use place::{IdentityError, keep_from_server, real_path};

use crate::catalog::{Digest, FilePin, Identity, PackagePin};
use crate::command::Resolved;
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Keeps this hash apart from every other one that mcpjail makes.
const KEY_DOMAIN: &[u8] = b"mcpjail command key v1\0";

/// The name of the lock of a command that has no server's name: `command-` and 16 hex digits of the SHA-256 over its
/// words as they are written, each behind its length, so that no two commands run into one another. Behind a word that
/// names the server's file by a relative path stands the whole path: `node server.js` is another server in another
/// directory.
#[must_use]
pub fn command_key(argv: &[OsString], entry: Option<&Path>, cwd: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(KEY_DOMAIN);
    for word in argv {
        let whole = entry.filter(|entry| {
            let path = Path::new(word);
            path.is_relative() && cwd.join(path).canonicalize().is_ok_and(|real| real == **entry)
        });
        for part in std::iter::once(word.as_os_str()).chain(whole.map(Path::as_os_str)) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    let mut key = String::from("command-");
    for byte in hash.finalize().iter().take(8) {
        let _never_fails = write!(key, "{byte:02x}");
    }
    key
}

/// Hashes what a command leads to. A file that cannot be read (a program may be executable and no more) is left out:
/// where it was pinned, that is a difference.
#[must_use]
pub fn identity(command: Vec<String>, resolved: &Resolved, hashes: &Hashes) -> Identity {
    let pin = |path: &Option<PathBuf>| pin(path.as_ref()?, hashes);
    Identity { command, entry: pin(&resolved.entry), interpreter: pin(&resolved.interpreter), package: None }
}

/// The same for a package of the store: its tree's digest stands for every file in it, the server's own among them.
#[must_use]
pub fn identity_of_package(
    command: Vec<String>,
    package: PackagePin,
    interpreter: Option<&Path>,
    hashes: &Hashes,
) -> Identity {
    let interpreter = interpreter.and_then(|path| pin(path, hashes));
    Identity { command, entry: None, interpreter, package: Some(package) }
}

fn pin(path: &Path, hashes: &Hashes) -> Option<FilePin> {
    let sha256 = Digest(hashes.of(path).ok()?);
    Some(FilePin { path: path.to_string_lossy().into_owned(), sha256 })
}

/// What a run compares: the command's words and what is in the server's file. Where that file lies is this machine's
/// affair, since locks are shared; so is the interpreter, which every update of the system changes. Both are taken from
/// what was approved.
#[must_use]
pub fn for_run(approved: &Identity, now: &Identity) -> Identity {
    Identity {
        command: now.command.clone(),
        entry: same_place(&approved.entry, &now.entry),
        interpreter: approved.interpreter.clone(),
        package: now.package.clone(),
    }
}

/// Whether anything that was pinned is another now, the interpreter included. Paths do not count.
#[must_use]
pub fn differs(approved: &Identity, now: &Identity) -> bool {
    for_run(approved, now) != *approved || interpreter_differs(approved, now)
}

/// Whether the interpreter is another than the one that was approved.
#[must_use]
pub fn interpreter_differs(approved: &Identity, now: &Identity) -> bool {
    same_place(&approved.interpreter, &now.interpreter) != approved.interpreter
}

/// The file now, at the approved path if it is the same file.
fn same_place(approved: &Option<FilePin>, now: &Option<FilePin>) -> Option<FilePin> {
    match (approved, now) {
        (Some(then), Some(now)) if then.sha256 == now.sha256 => Some(then.clone()),
        _ => now.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(words: &[&str]) -> String {
        command_key(&words.iter().map(OsString::from).collect::<Vec<_>>(), None, Path::new("/"))
    }

    #[test]
    fn keys_are_file_names_and_tell_commands_apart() {
        let commands: [&[&str]; 6] = [&["node", "a"], &["nodea"], &["node", "a", ""], &["node a"], &["a", "node"], &[]];
        let keys: std::collections::BTreeSet<String> = commands.iter().map(|words| key(words)).collect();
        assert_eq!(keys.len(), commands.len());
        for key in keys {
            let digits = key.strip_prefix("command-").unwrap();
            assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
        }
        assert_eq!(key(&["node", "a"]), key(&["node", "a"]));
    }

    #[test]
    fn a_relative_name_belongs_to_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("server.js"), name).unwrap();
        }
        let key = |word: &str, at: &str| {
            let entry = root.join(at).join("server.js");
            command_key(&["node".into(), word.into()], Some(&entry), &root.join(at))
        };
        assert_ne!(key("server.js", "one"), key("server.js", "two"));
        let whole = root.join("one/server.js");
        assert_eq!(key(whole.to_str().unwrap(), "one"), key(whole.to_str().unwrap(), "two"));
        // words are compared as they are written, so another spelling is another command
        assert_ne!(key("server.js", "one"), key("./server.js", "one"));
        assert_ne!(key("server.js", "one"), key(whole.to_str().unwrap(), "one"));
    }

    #[test]
    fn what_was_pinned_is_compared_and_where_it_lies_is_not() {
        let pin = |path: &str, of: &str| Some(FilePin { path: path.into(), sha256: Digest::of_bytes(of.as_bytes()) });
        let identity = |command: &str, entry, interpreter| Identity {
            command: command.split(' ').map(str::to_owned).collect(),
            entry,
            interpreter,
            package: None,
        };
        let approved = identity("node s.js", pin("/home/a/s.js", "1"), pin("/usr/bin/node", "n"));
        let drifts = |now: &Identity| for_run(&approved, now) != approved;
        let elsewhere = identity("node s.js", pin("/ci/s.js", "1"), pin("/opt/node", "n"));
        assert!(!drifts(&elsewhere) && !differs(&approved, &elsewhere));
        let updated = identity("node s.js", pin("/home/a/s.js", "1"), pin("/usr/bin/node", "m"));
        assert!(!drifts(&updated) && differs(&approved, &updated) && interpreter_differs(&approved, &updated));
        for other in [
            identity("node s.js --more", pin("/home/a/s.js", "1"), pin("/usr/bin/node", "n")),
            identity("node s.js", pin("/home/a/s.js", "2"), pin("/usr/bin/node", "n")),
            identity("node s.js", None, pin("/usr/bin/node", "n")),
        ] {
            assert!(drifts(&other) && differs(&approved, &other), "{other:?}");
        }
        let unpinned = identity("x", None, None);
        assert!(
            for_run(&unpinned, &identity("x", pin("/x", "1"), None)) != unpinned,
            "a file that was not there before"
        );
        assert!(differs(&unpinned, &identity("x", None, pin("/n", "n"))));
    }

    #[test]
    fn another_package_drifts_by_its_release_and_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let hashes = Hashes::new(dir.path().join("hashes"));
        let node = dir.path().join("node");
        std::fs::write(&node, "n").unwrap();
        let of = |release: &str, files: &str| {
            let tree = Digest::of_bytes(files.as_bytes());
            let pin = PackagePin { release: release.to_owned(), tree };
            identity_of_package(vec![release.to_owned()], pin, Some(&node), &hashes)
        };
        let approved = of("npm:x@1", "1");
        assert_eq!((&approved.entry, approved.interpreter.is_some()), (&None, true));
        assert!(for_run(&approved, &of("npm:x@1", "1")) == approved);
        let without = Identity { package: None, ..approved.clone() };
        for other in [of("npm:x@2", "1"), of("npm:x@1", "2"), without.clone()] {
            assert!(for_run(&approved, &other) != approved && differs(&approved, &other), "{other:?}");
        }
        assert!(for_run(&without, &approved) != without, "what was a command is a package now");
    }

    #[test]
    fn a_file_that_cannot_be_hashed_is_not_pinned() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.js");
        std::fs::write(&file, "1").unwrap();
        let resolved = |entry: &Path, interpreter: Option<&Path>| Resolved {
            program: "/x".into(),
            argv: Vec::new(),
            server_args: Vec::new(),
            runtime: crate::command::Runtime::Node,
            grants: Vec::new(),
            path_dirs: Vec::new(),
            entry: Some(entry.into()),
            interpreter: interpreter.map(Path::to_path_buf),
            trail: Vec::new(),
        };
        let hashes = Hashes::new(dir.path().join("hashes"));
        let made = identity(vec!["x".into()], &resolved(&file, Some(dir.path())), &hashes);
        assert_eq!(made.entry.unwrap().sha256, Digest::of_bytes(b"1"));
        assert_eq!(made.interpreter, None);
    }
}
