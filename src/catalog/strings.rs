//! Strings of a checked text: where they end, and their one canonical spelling.

use super::fault::ItemFault;
use super::visible::is_hidden;
use crate::json;

/// What is known of a string's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body {
    /// Bytes before the closing quote.
    pub(super) length: usize,
    /// It has an escape.
    pub(super) escaped: bool,
}

/// Finds the end of a string, given what follows its opening quote. `None` when there is no closing one.
pub(super) fn scan(rest: &[u8]) -> Option<Body> {
    let mut at = special(rest)?;
    if rest.get(at) == Some(&b'"') {
        return Some(Body { length: at, escaped: false });
    }
    loop {
        match rest.get(at)? {
            b'"' => return Some(Body { length: at, escaped: true }),
            // An escape: what follows the backslash is no closing quote.
            _ => at += 2,
        }
        at += special(rest.get(at..)?)?;
    }
}

/// Where the first quote or backslash is: near ones are looked for eight bytes at a time.
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const NEAR: usize = 32;
    // The lowest bit set belongs to the first byte that is zero; bits above it may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    // What is longer is left to instructions that want more of a start.
    let (near, far) = text.split_at_checked(NEAR).unwrap_or((text, &[]));
    let (words, rest) = near.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            // At most 7.
            let byte = usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            return Some(index * 8 + byte);
        }
    }
    if far.is_empty() {
        let found = rest.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
        return Some(words.len() * 8 + found);
    }
    memchr::memchr2(b'"', b'\\', far).map(|found| NEAR + found)
}

/// Appends the canonical spelling of a body with escapes (RFC 8785, section 3.2.2.2), without quotes.
pub(super) fn respell(body: &[u8], into: &mut Vec<u8>) -> Result<(), ItemFault> {
    let text = decode_checked(body)?;
    let start = into.len();
    json::quote(&text, into);
    // The quotes that come with it are the caller's to write.
    into.remove(start);
    into.pop();
    Ok(())
}

/// What a body means; a body that is not checked gives what can be read of it.
pub(super) fn decode(body: &[u8]) -> String {
    decode_checked(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}

fn decode_checked(body: &[u8]) -> Result<String, ItemFault> {
    let text = std::str::from_utf8(body).map_err(|_| ItemFault::NotChecked)?;
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('\\') {
        decoded.push_str(plain);
        let mut chars = after.chars();
        let c = match chars.next().ok_or(ItemFault::NotChecked)? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (c, length) = unicode(after.get(1..).unwrap_or_default()).ok_or(ItemFault::NotChecked)?;
                decoded.push(c);
                rest = after.get(1 + length..).unwrap_or_default();
                continue;
            }
            c => c,
        };
        decoded.push(c);
        rest = chars.as_str();
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// The character after `\u`, and how many bytes spell it: four digits, or ten and `\u` for a surrogate pair.
fn unicode(after: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u16::from_str_radix(after.get(from..from + 4)?, 16).ok();
    let first = unit(0)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 4));
    }
    after.get(4..6).filter(|escape| *escape == "\\u")?;
    let c = char::decode_utf16([first, unit(6)?]).next()?.ok()?;
    Some((c, 10))
}

/// Appends a canonical body with every hidden character as an escape: the same text to any reader of JSON, and to a person
/// who reviews the file no line that runs backwards or hides a word.
pub(super) fn write_reviewable(body: &str, into: &mut Vec<u8>) {
    use std::io::Write as _;
    let mut units = [0; 2];
    let mut plain = 0;
    for (at, c) in body.char_indices().filter(|(_, c)| is_hidden(*c)) {
        into.extend_from_slice(body.get(plain..at).unwrap_or_default().as_bytes());
        plain = at + c.len_utf8();
        for unit in c.encode_utf16(&mut units) {
            // Writing to a vector cannot fail.
            let _ = write!(into, "\\u{unit:04x}");
        }
    }
    into.extend_from_slice(body.get(plain..).unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spelt(body: &str) -> String {
        let mut into = b"before".to_vec();
        respell(body.as_bytes(), &mut into).unwrap();
        String::from_utf8(into).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn one_spelling() {
        assert_eq!(spelt(r#"A\/\"\\\b\f\n\r\t\u000a\u001F\u007f"#), "A/\\\"\\\\\\b\\f\\n\\r\\t\\n\\u001f\u{7f}");
        assert_eq!(spelt(r"\ud83d\ude00\u00e9é"), "😀éé");
    }

    #[test]
    fn ends_are_found() {
        let length = |text: &str| scan(text.as_bytes()).map(|body| (body.length, body.escaped));
        assert_eq!(length("\""), Some((0, false)));
        assert_eq!(length("0123456789abcdef\","), Some((16, false)));
        assert_eq!(length(r#"a\"b"x"#), Some((4, true)));
        assert_eq!(length(r#"a\\"x"#), Some((3, true)));
        assert_eq!(length("none"), None);
        assert_eq!(length(r#"a\""#), None);
        assert_eq!(length("a\\"), None);
    }

    #[test]
    fn a_reviewed_file_shows_what_it_holds() {
        let mut into = Vec::new();
        write_reviewable("a\u{202e}b\u{e0041}ä😀", &mut into);
        assert_eq!(String::from_utf8(into).unwrap(), r"a\u202eb\udb40\udc41ä😀");
    }

    proptest! {
        #[test]
        fn the_end_is_where_a_plain_search_finds_it(text in prop::collection::vec(prop_oneof![
            Just(b'"'), Just(b'\\'), any::<u8>(), Just(b'x'), Just(0x21), Just(0x23), Just(0x5b), Just(0x5d), Just(0xa2), Just(0xdc)
        ], 0..120)) {
            let mut at = 0;
            let mut escaped = false;
            let plain = loop {
                match text.get(at) {
                    Some(b'"') => break Some(Body { length: at, escaped }),
                    Some(b'\\') => { escaped = true; at += 2 }
                    Some(_) => at += 1,
                    None => break None,
                }
            };
            prop_assert_eq!(scan(&text), plain);
        }

        #[test]
        fn any_text_survives_both_spellings(text: String) {
            let mut quoted = Vec::new();
            json::quote(&text, &mut quoted);
            let body = std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap();
            prop_assert_eq!(decode(body.as_bytes()), text.clone());
            let mut reviewable = Vec::new();
            write_reviewable(body, &mut reviewable);
            prop_assert_eq!(decode(&reviewable), text);
        }
    }
}
