//! What a lock belongs to: the name under which it is kept, and the hashes of what is launched.
//!
//! What is pinned is the command as it was written, the one file that holds the server's own code, and the interpreter.
//! What that file loads is not: a package's other modules and its dependencies are other files.

mod hashes;
mod place;

pub use hashes::{Hashes, sha256_of};
pub use place::{IdentityError, keep_from_server, real_path};

use crate::command::Resolved;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Keeps this hash apart from every other one that mcpjail makes.
const KEY_DOMAIN: &[u8] = b"mcpjail command key v1\0";

/// The name of the lock of a command that has no server's name: `command-` and 16 hex digits of the SHA-256 over its
/// words, each behind its length, so that no two commands run into one another. A word that names the server's file by
/// a relative path counts as the whole path: `node server.js` is another server in another directory.
#[must_use]
pub fn command_key(argv: &[OsString], entry: Option<&Path>, cwd: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(KEY_DOMAIN);
    for word in argv {
        let whole = entry.filter(|entry| {
            let path = Path::new(word);
            path.is_relative() && cwd.join(path).canonicalize().is_ok_and(|real| real == **entry)
        });
        let word = whole.map_or(word.as_bytes(), |entry| entry.as_os_str().as_bytes());
        hash.update(u64::try_from(word.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(word);
    }
    let mut key = String::from("command-");
    for byte in hash.finalize().iter().take(8) {
        let _never_fails = write!(key, "{byte:02x}");
    }
    key
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
        assert_eq!(key("server.js", "one"), key("./server.js", "one"));
        assert_eq!(key("server.js", "one"), key("../one/server.js", "one"));
        let whole = root.join("one/server.js");
        assert_eq!(key("server.js", "one"), key(whole.to_str().unwrap(), "one"));
    }
}
