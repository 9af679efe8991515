//! What was approved besides the catalog: the program, and who approved it when.

use super::digest::{Digest, Hasher};

/// The program whose catalog it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The command as the person wrote it, with its arguments.
    pub command: Vec<String>,
    /// The file that holds the server's first code: the script, or the program itself.
    pub entry: Option<FilePin>,
    /// The interpreter that runs it, if one does.
    pub interpreter: Option<FilePin>,
}

/// A file and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePin {
    /// Its path.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// Who approved, when, with which version. Told to people; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    /// When, by RFC 3339.
    pub at: String,
    /// The user's name.
    pub by: String,
    /// The program and its version, such as `mcpjail 0.1.0`.
    pub with: String,
}

impl Identity {
    /// Feeds all of it to a hash.
    pub(super) fn feed(&self, hasher: &mut Hasher) {
        let Identity { command, entry, interpreter } = self;
        hasher.number(command.len());
        command.iter().for_each(|word| hasher.part(word.as_bytes()));
        for file in [entry, interpreter] {
            hasher.number(usize::from(file.is_some()));
            if let Some(FilePin { path, sha256 }) = file {
                hasher.part(path.as_bytes());
                hasher.part(&sha256.0);
            }
        }
    }
}
