//! The `integrity` strings of a lock: one or more hashes in base64, by the W3C's Subresource Integrity.

use crate::packages::Hash;

/// Algorithms that npm holds an archive against, and their lengths in bytes.
const ALGORITHMS: [(&str, usize); 4] = [("sha512", 64), ("sha384", 48), ("sha256", 32), ("sha1", 20)];

/// The hashes of an `integrity` string, the strongest first, each once. Empty where it holds none that npm would check:
/// a hash of an unknown kind, of a wrong length or in bad base64 pins nothing.
pub(super) fn hashes(integrity: &str) -> Vec<Hash> {
    let mut found: Vec<(usize, Hash)> = integrity.split_ascii_whitespace().filter_map(one).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, hash)| hash).collect()
}

/// One `ALGORITHM-BASE64[?OPTIONS]`, with its place among the algorithms.
fn one(word: &str) -> Option<(usize, Hash)> {
    let (algorithm, rest) = word.split_once('-')?;
    let (place, (name, length)) = ALGORITHMS.iter().enumerate().find(|(_, (name, _))| *name == algorithm)?;
    let digits = rest.split_once('?').map_or(rest, |(digits, _)| digits);
    let bytes = base64(digits)?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (bytes.len() == *length).then(|| (place, Hash { algorithm: (*name).into(), hex }))
}

/// RFC 4648 section 4, with its padding.
fn base64(digits: &str) -> Option<Vec<u8>> {
    let plain = digits.trim_end_matches('=');
    let padding = digits.len() - plain.len();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(plain.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for digit in plain.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    // What is left over must be nothing, or two texts would stand for one hash.
    (held & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{base64, hashes};

    // The hashes of the empty text.
    const SHA1: &str = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    const SHA512: &str =
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

    #[test]
    fn hashes_become_hexadecimal_and_the_strongest_is_first() {
        let found = hashes(&format!(" {SHA1}  {SHA512}?anything {SHA1} md5-AAAA sha9-z4Ph"));
        let [sha512, sha1] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((sha1.algorithm.as_str(), sha1.hex.as_str()), ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
        assert_eq!(sha512.algorithm, "sha512");
        assert!(sha512.hex.starts_with("cf83e1357eefb8bd") && sha512.hex.len() == 128);
    }

    #[test]
    fn what_is_no_hash_pins_nothing() {
        for text in
            ["", "sha512", "sha512-", "sha512-AAAA", &SHA1[..SHA1.len() - 1], "sha1-2jmj7l5rSw0yVb!vlWAYkK/YBwk="]
        {
            assert_eq!(hashes(text), [], "{text}");
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64("TWE="), Some(b"Ma".to_vec()));
        for text in ["TWF=", "TW", "T===", "TWE", "TW=E"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }
}
