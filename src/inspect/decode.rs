//! Base64, hexadecimal and the encoding of URLs, as leniently as a model reads them.

/// The bytes behind base64 of either alphabet, padded or not. `None` if there is anything else in it.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut held = 0u32;
    let mut bits = 0;
    let body =
        text.iter().rposition(|byte| *byte != b'=').map_or(&[][..], |last| text.get(..=last).unwrap_or_default());
    if text.len() - body.len() > 2 {
        return None;
    }
    for byte in body {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\n' | b'\r' => continue,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [_, _, _, byte] = (held >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// The bytes behind pairs of hexadecimal digits.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// Undoes percent encoding.
pub(super) fn percent(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let pair = text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(hex);
        match pair.as_deref() {
            Some([one]) => {
                decoded.push(*one);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// CRC-32 as in zip files, which GitHub and npm put into their tokens.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_both_alphabets() {
        assert_eq!(base64(b"aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(base64(b"aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(base64(b"-_8"), base64(b"+/8="));
        assert_eq!(base64(b"a b"), None);
        assert_eq!(base64(b"a==="), None);
        assert_eq!(base64(b""), Some(vec![]));
    }

    #[test]
    fn hex_in_pairs() {
        assert_eq!(hex(b"6a6B"), Some(b"jk".to_vec()));
        assert_eq!(hex(b"6a6"), None);
        assert_eq!(hex(b"zz"), None);
    }

    #[test]
    fn percent_signs() {
        assert_eq!(percent(b"a%20b%2"), b"a b%2");
        assert_eq!(percent(b"%zz%"), b"%zz%");
    }

    #[test]
    fn crc_of_the_standard_check() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
