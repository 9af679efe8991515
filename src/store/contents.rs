//! The SHA-256 of what is in a file.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};

/// Bytes that are read at a time.
const BLOCK: usize = 128 << 10;

/// Room to read into, used for one file after the other.
#[derive(Debug)]
pub(super) struct Room(Vec<u8>);

impl Room {
    pub(super) fn new() -> Room {
        Room(vec![0; BLOCK])
    }

    /// SHA-256 and length of everything from where the file is read next.
    pub(super) fn hash(&mut self, mut file: &File) -> io::Result<([u8; 32], u64)> {
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        loop {
            match file.read(&mut self.0) {
                Ok(0) => return Ok((hash.finalize().into(), size)),
                Ok(read) => {
                    hash.update(self.0.get(..read).unwrap_or_default());
                    size = size.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
