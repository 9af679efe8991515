//! Strings: what their escapes mean, and how they are written.

use super::fault::{Fault, What};
use super::scan;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// The body of a checked string, between its quotes, as it is written.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a [u8],
}

impl<'a> Text<'a> {
    /// Of the body of a string that was checked.
    #[inline]
    pub(super) fn of_checked(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The body as it is written, escapes and all.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// What it means. Borrowed unless there are escapes.
    pub fn decode(self) -> Cow<'a, str> {
        let mut pieces = Pieces { rest: self.raw };
        let Some((first, escaped)) = pieces.next() else { return Cow::Borrowed("") };
        if escaped.is_none() {
            return Cow::Borrowed(str::from_utf8(first).unwrap_or_default());
        }
        let mut decoded = String::with_capacity(self.raw.len());
        for (plain, escaped) in (Pieces { rest: self.raw }) {
            decoded.push_str(str::from_utf8(plain).unwrap_or_default());
            decoded.extend(escaped);
        }
        Cow::Owned(decoded)
    }

    /// Whether it means `text`. Allocates nothing.
    pub fn is(self, text: &str) -> bool {
        let mut left = Some(text.as_bytes());
        for (plain, escaped) in (Pieces { rest: self.raw }) {
            left = left.and_then(|left| left.strip_prefix(plain));
            if let Some(escaped) = escaped {
                left = left.and_then(|left| left.strip_prefix(escaped.encode_utf8(&mut [0; 4]).as_bytes()));
            }
        }
        left.is_some_and(<[u8]>::is_empty)
    }

    /// Orders by the bytes of what it means. Allocates nothing.
    pub(super) fn compare(self, other: Self) -> Ordering {
        if self.is_escaped() || other.is_escaped() { self.bytes().cmp(other.bytes()) } else { self.raw.cmp(other.raw) }
    }

    /// Whether any character is written as an escape.
    #[inline]
    pub(super) fn is_escaped(self) -> bool {
        self.raw.contains(&b'\\')
    }

    /// The bytes of what it means.
    fn bytes(self) -> impl Iterator<Item = u8> {
        Pieces { rest: self.raw }.flat_map(|(plain, escaped)| {
            let mut encoded = [0; 4];
            let length = escaped.map_or(0, |escaped| escaped.encode_utf8(&mut encoded).len());
            plain.iter().copied().chain(encoded.into_iter().take(length))
        })
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.decode(), f)
    }
}

/// A string's body in turn: a run without escapes, and the character that an escape behind it means.
struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (&'a [u8], Option<char>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = scan::quote_or_escape(self.rest, 0);
        let plain = self.rest.get(..at)?;
        // A checked body has no quote and no wrong escape.
        let (escaped, behind) = match escape(self.rest, at) {
            Ok((escaped, behind)) if at < self.rest.len() => (Some(escaped), behind),
            _ => (None, self.rest.len()),
        };
        self.rest = self.rest.get(behind..)?;
        Some((plain, escaped))
    }
}

/// What the escape whose backslash is at `at` means, and the offset behind it (RFC 8259 section 7).
#[inline]
pub(super) fn escape(text: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let simple = match text.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text, at),
        Some(_) => return Err(Fault::new(at, What::BadEscape)),
        None => return Err(Fault::new(text.len(), What::Truncated)),
    };
    Ok((simple, at + 2))
}

fn unicode_escape(text: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let first = hex(text, at)?;
    if let Some(found) = char::from_u32(first) {
        return Ok((found, at + 6));
    }
    let lone = Fault { at, what: What::LoneSurrogate };
    if first >= 0xdc00 {
        return Err(lone);
    }
    match text.get(at + 6..).unwrap_or_default() {
        [] | [b'\\'] => return Err(Fault::new(text.len(), What::Truncated)),
        [b'\\', b'u', ..] => {}
        _ => return Err(lone),
    }
    let second = hex(text, at + 6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone);
    }
    let found = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    found.map(|found| (found, at + 12)).ok_or(lone)
}

/// The four hexadecimal digits of the escape at `at`.
fn hex(text: &[u8], at: usize) -> Result<u32, Fault> {
    let mut value = 0;
    for digit in at + 2..at + 6 {
        let Some(&byte) = text.get(digit) else { return Err(Fault::new(text.len(), What::Truncated)) };
        let Some(digit) = char::from(byte).to_digit(16) else { return Err(Fault::new(at, What::BadEscape)) };
        value = value << 4 | digit;
    }
    Ok(value)
}

/// Appends `text` as a JSON string with its quotes. Only what RFC 8785 section 3.2.2.2 escapes is escaped, and as
/// there, so equal strings are written alike.
pub fn quote(text: &str, into: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    into.push(b'"');
    let mut from = 0;
    loop {
        let at = scan::not_body(bytes, from);
        into.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        let Some(&byte) = bytes.get(at) else { break };
        match byte {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            0x08 => into.extend_from_slice(b"\\b"),
            b'\t' => into.extend_from_slice(b"\\t"),
            b'\n' => into.extend_from_slice(b"\\n"),
            0x0c => into.extend_from_slice(b"\\f"),
            b'\r' => into.extend_from_slice(b"\\r"),
            other => {
                into.extend_from_slice(if other < 0x10 { b"\\u000" } else { b"\\u001" });
                into.push(if other & 0xf < 10 { b'0' + (other & 0xf) } else { b'a' - 10 + (other & 0xf) });
            }
        }
        from = at + 1;
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::check;
    use proptest::prelude::*;

    fn text(raw: &str) -> Text<'_> {
        Text::of_checked(raw.as_bytes())
    }

    fn quoted(text: &str) -> String {
        let mut into = b"before".to_vec();
        quote(text, &mut into);
        String::from_utf8(into).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn escapes_mean_what_the_rfc_says() {
        let raw = r#"a\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD834\uDd1e\u0000z"#;
        let meant = "a\"\\/\u{8}\u{c}\n\r\tAé€𝄞\0z";
        assert_eq!(text(raw).decode(), meant);
        assert!(text(raw).is(meant));
        assert!(!text(raw).is(&meant[1..]) && !text(raw).is(&meant[..meant.len() - 1]));
        assert!(!text(raw).is(raw), "an escape is not its own spelling");
        assert!(!text(r"\n").is(r"\n") && !text("").is("a") && !text("a").is("") && text("").is(""));
        assert!(matches!(text("plain ü").decode(), Cow::Borrowed("plain ü")));
        assert!(matches!(text("").decode(), Cow::Borrowed("")));
    }

    #[test]
    fn control_characters_are_written_as_rfc_8785_says() {
        let all: String = ('\0'..'\u{21}').chain(['"', '\\', '/', '\u{7f}', '\u{2028}', 'ü', '𝄞']).collect();
        let expected = concat!(
            r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#,
            r"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f",
            " \\\"\\\\/\u{7f}\u{2028}ü𝄞\""
        );
        assert_eq!(quoted(&all), expected);
        assert_eq!(quoted(""), "\"\"");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(meant in any::<String>()) {
            let written = quoted(&meant);
            let checked = check(written.as_bytes()).unwrap();
            let text = checked.root.text().unwrap();
            prop_assert_eq!(text.decode(), meant.as_str());
            prop_assert!(text.is(&meant));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), meant);
        }

        #[test]
        fn order_and_equality_are_those_of_the_meaning(a in "[a\"\\\\ü𝄞]{0,4}", b in "[a\"\\\\ü𝄞]{0,4}", spell in any::<u8>()) {
            let escaped = |meant: &str, all: bool| -> String {
                let unit = |unit: u16| format!("\\u{unit:04x}");
                let whole = |c: char| c.encode_utf16(&mut [0; 2]).iter().copied().map(unit).collect::<String>();
                let plain = |c: char| if matches!(c, '"' | '\\') { format!("\\{c}") } else { c.to_string() };
                meant.chars().map(|c| if all { whole(c) } else { plain(c) }).collect()
            };
            let (one, other) = (escaped(&a, spell & 1 != 0), escaped(&b, spell & 2 != 0));
            prop_assert_eq!(text(&one).compare(text(&other)), a.cmp(&b));
            prop_assert_eq!(text(&one).is(&b), a == b);
        }
    }
}
