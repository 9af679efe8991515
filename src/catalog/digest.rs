//! SHA-256 with its domains, and how a digest is written.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest. Written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: `sha256:` and 64 lower-case hexadecimal digits")]
pub struct NotADigest;

const PREFIX: &str = "sha256:";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Digest {
    /// SHA-256 of plain bytes, as `sha256sum` gives it: for files.
    pub fn of_bytes(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The 64 digits without the prefix.
    pub fn hex(&self) -> String {
        let pair = |byte: &u8| [byte >> 4, byte & 15].map(|half| char::from(digit(half)));
        self.0.iter().flat_map(pair).collect()
    }
}

fn digit(half: u8) -> u8 {
    DIGITS.get(usize::from(half)).copied().unwrap_or_default()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let digits = text.strip_prefix(PREFIX).ok_or(NotADigest)?;
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        let (pairs, _) = digits.as_bytes().as_chunks::<2>();
        let mut wrong = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let [high, low] = [high, low].map(|digit| VALUES.get(usize::from(*digit)).copied().unwrap_or(WRONG));
            wrong |= high | low;
            *byte = (high << 4) | low;
        }
        if wrong & WRONG == 0 { Ok(Digest(bytes)) } else { Err(NotADigest) }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What stands for a byte that is no digit.
const WRONG: u8 = 0x80;

/// The value of each byte as a digit. Upper case has none: a digest has one spelling.
const VALUES: [u8; 256] = {
    let mut values = [WRONG; 256];
    let (_, rest) = values.split_at_mut(b'0' as usize);
    let (digits, rest) = rest.split_at_mut(10);
    digits.copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let (_, rest) = rest.split_at_mut((b'a' - b'9') as usize - 1);
    let (letters, _) = rest.split_at_mut(6);
    letters.copy_from_slice(&[10, 11, 12, 13, 14, 15]);
    values
};

/// SHA-256 over a domain and parts that each carry their length, so that no two different sequences of parts feed it the
/// same bytes. Small parts are gathered first: feeding the hash costs more than copying them.
#[derive(Clone)]
pub(super) struct Hasher {
    hash: Sha256,
    gathered: Vec<u8>,
}

/// What is gathered before the hash is fed.
const GATHER: usize = 4096;

impl Hasher {
    /// A hash of its own for `domain`.
    pub(super) fn new(domain: &str) -> Hasher {
        let mut hasher = Hasher { hash: Sha256::new(), gathered: Vec::with_capacity(128) };
        hasher.part(domain.as_bytes());
        hasher
    }

    /// Its length, 8 bytes big-endian, and itself.
    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        if bytes.len() < GATHER {
            self.gathered.extend_from_slice(bytes);
        } else {
            self.flush();
            self.hash.update(bytes);
        }
    }

    /// A count or a tag, 8 bytes big-endian.
    pub(super) fn number(&mut self, number: usize) {
        if self.gathered.len() >= GATHER {
            self.flush();
        }
        // A length always fits: no platform of Rust's has wider addresses.
        self.gathered.extend_from_slice(&u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn flush(&mut self) {
        self.hash.update(&self.gathered);
        self.gathered.clear();
    }

    pub(super) fn finish(mut self) -> Digest {
        self.flush();
        Digest(self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::of_bytes(b"abc");
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        for wrong in [
            text.to_uppercase(),
            text.replace("sha256", "sha512"),
            text.replace('b', "B"),
            text.replace("ba", "+a"),
            format!("{text}0"),
            text[..70].to_owned(),
            format!("sha256:{}", "é".repeat(32)),
            String::new(),
        ] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted_into_one_another() {
        let of = |parts: &[&[u8]]| {
            let mut hasher = Hasher::new("test");
            parts.iter().for_each(|part| hasher.part(part));
            hasher.finish()
        };
        let big = vec![b'x'; 3 * GATHER];
        let sets: [&[&[u8]]; 7] =
            [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[&big], &[&big[1..], b"x"], &[]];
        for (i, one) in sets.iter().enumerate() {
            for other in &sets[i + 1..] {
                assert_ne!(of(one), of(other));
            }
        }
        assert_ne!(Hasher::new("a").finish(), Hasher::new("b").finish());
    }
}
