//! The one pass over a text that decides whether it is JSON of the strict kind.

use super::fault::{Fault, What};
use super::keys::Open;
use super::number::number;
use super::scan::{not_body, not_plain, not_space};
use super::text::escape;
use super::top::Top;
use super::value::Value;

/// Levels of nesting that pass unless another limit is given.
pub const DEFAULT_DEPTH: usize = 128;

/// Bounds beyond which a text is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Objects and arrays inside one another, levels.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: DEFAULT_DEPTH }
    }
}

/// A text that has passed.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    /// The one value of the text.
    pub root: Value<'a>,
    /// The root's members.
    pub top: Top<'a>,
}

/// Reads `text`, which must be exactly one JSON value with white space around it at most.
///
/// # Errors
///
/// The first [`Fault`] that is met. A key that appears twice in an object of many keys is found where the object ends.
pub fn check(text: &[u8]) -> Result<Checked<'_>, Fault> {
    check_limited(text, Limits::default())
}

/// [`check`] with other limits.
///
/// # Errors
///
/// As for [`check`].
pub fn check_limited(text: &[u8], limits: Limits) -> Result<Checked<'_>, Fault> {
    if u32::try_from(text.len()).is_err() {
        return Err(Fault::new(text.len(), What::TooLong));
    }
    let mut open = Open::new();
    let mut top = Top::new(text);
    let start = not_space(text, 0);
    let mut at = start;
    let end = 'value: loop {
        at = match text.get(at) {
            Some(b'"') => string(text, at + 1)?.0 + 1,
            Some(&bracket @ (b'{' | b'[')) => {
                if open.depth() >= limits.depth {
                    return Err(Fault::new(at, What::TooDeep { limit: limits.depth }));
                }
                open.enter(bracket == b'{');
                at = not_space(text, at + 1);
                match (bracket, text.get(at)) {
                    // An empty one is closed below.
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => {}
                    (b'{', _) => {
                        at = key(text, at, &mut open, &mut top, "a key or `}`")?;
                        continue 'value;
                    }
                    _ => continue 'value,
                }
                at
            }
            Some(b'-' | b'0'..=b'9') => number(text, at)?,
            Some(b't') => word(text, at, b"true")?,
            Some(b'f') => word(text, at, b"false")?,
            Some(b'n') => word(text, at, b"null")?,
            _ => return Err(Fault::expected(text, at, "a value")),
        };
        // A value, or the inside of an empty one, ends here.
        loop {
            match open.depth() {
                0 => break 'value at,
                1 => top.value_ends(at),
                _ => {}
            }
            at = not_space(text, at);
            match (text.get(at), open.is_object()) {
                (Some(b','), true) => {
                    at = key(text, not_space(text, at + 1), &mut open, &mut top, "a key")?;
                    continue 'value;
                }
                (Some(b','), false) => {
                    at = not_space(text, at + 1);
                    continue 'value;
                }
                (Some(b'}'), true) | (Some(b']'), false) => open.leave(text)?,
                (_, true) => return Err(Fault::expected(text, at, "`,` or `}`")),
                (_, false) => return Err(Fault::expected(text, at, "`,` or `]`")),
            }
            at += 1;
        }
    };
    at = not_space(text, end);
    if at < text.len() {
        return Err(Fault::new(at, What::Trailing));
    }
    Ok(Checked { root: Value::of_checked(text.get(start..end).unwrap_or_default()), top })
}

/// Checks the key at `at` and the colon, and gives the offset of the value.
#[inline(always)]
fn key<'a>(
    text: &'a [u8],
    at: usize,
    open: &mut Open,
    top: &mut Top<'a>,
    expected: &'static str,
) -> Result<usize, Fault> {
    if text.get(at) != Some(&b'"') {
        return Err(Fault::expected(text, at, expected));
    }
    let start = at + 1;
    let (end, escaped) = string(text, start)?;
    open.key(text, start, end, escaped)?;
    let colon = not_space(text, end + 1);
    if text.get(colon) != Some(&b':') {
        return Err(Fault::expected(text, colon, "`:`"));
    }
    let value = not_space(text, colon + 1);
    if open.depth() == 1 {
        top.key(start, end, value);
    }
    Ok(value)
}

/// Checks the string whose body starts at `start`; gives the offset of the closing quote and whether there are escapes.
#[inline(always)]
fn string(text: &[u8], start: usize) -> Result<(usize, bool), Fault> {
    let at = not_plain(text, start);
    if text.get(at) == Some(&b'"') { Ok((at, false)) } else { odd_string(text, start, at) }
}

/// The same for one that has more in it than ASCII; up to `at` nothing else was found.
#[inline(never)]
fn odd_string(text: &[u8], start: usize, mut at: usize) -> Result<(usize, bool), Fault> {
    let mut ascii = true;
    let mut escaped = false;
    loop {
        match text.get(at) {
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                (_, at) = escape(text, at)?;
            }
            Some(..0x20) => return Err(Fault::new(at, What::ControlCharacter)),
            // From here on only the string's end is looked for; its characters are checked together.
            Some(_) => ascii = false,
            None => return Err(Fault::new(text.len(), What::Truncated)),
        }
        at = if ascii { not_plain(text, at) } else { not_body(text, at) };
    }
    if !ascii && let Err(error) = str::from_utf8(text.get(start..at).unwrap_or_default()) {
        return Err(Fault::new(start + error.valid_up_to(), What::InvalidUtf8));
    }
    Ok((at, escaped))
}

/// Checks one of the three words and gives the offset behind it.
#[inline(always)]
fn word(text: &[u8], at: usize, word: &'static [u8]) -> Result<usize, Fault> {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with(word) {
        return Ok(at + word.len());
    }
    let right = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
    Err(Fault::expected(text, at + right, "`true`, `false` or `null`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &[u8]) -> (usize, What) {
        let fault = check(text).unwrap_err();
        (fault.at, fault.what)
    }

    #[test]
    fn whole_texts_pass() {
        let texts = [
            "0",
            "null",
            "true",
            "false",
            "\"\"",
            "[]",
            "{}",
            " [ ] ",
            "\r\n{ }\t",
            "[[],{}]",
            r#"{"":{"":[0,-1.5e+3]}}"#,
            r#"{"a":1,"A":2,"\u00e4":3,"a\u0308":4}"#,
            r#"[{"a":1},{"a":1}]"#,
            r#"{"a":{"a":{"a":[]}}}"#,
            "\"\u{7f}\u{80}\u{2028}\u{feff}\u{ffff}\u{10ffff}\"",
            r#""\uD83D\uDE00\u0000\u001f\uFFFF""#,
        ];
        for text in texts {
            let checked = check(text.as_bytes()).unwrap();
            assert_eq!(checked.root.raw(), text.trim_ascii().as_bytes());
        }
    }

    #[test]
    fn the_grammar_is_that_of_the_rfc_and_no_dialect() {
        let table = [
            ("{,}", 1, "a key or `}`"),
            ("{1:2}", 1, "a key or `}`"),
            ("{'a':1}", 1, "a key or `}`"),
            (r#"{"a":1,}"#, 7, "a key"),
            (r#"{"a":1 "b":2}"#, 7, "`,` or `}`"),
            (r#"{"a":1]"#, 6, "`,` or `}`"),
            (r#"{"a" 1}"#, 5, "`:`"),
            (r#"{"a"}"#, 4, "`:`"),
            (r#"{"a":}"#, 5, "a value"),
            ("[1,]", 3, "a value"),
            ("[,1]", 1, "a value"),
            ("[1 2]", 3, "`,` or `]`"),
            ("[1}", 2, "`,` or `]`"),
            ("]", 0, "a value"),
            ("// comment\n1", 0, "a value"),
            ("[1,/**/2]", 3, "a value"),
            ("+1", 0, "a value"),
            (".5", 0, "a value"),
            ("NaN", 0, "a value"),
            ("Infinity", 0, "a value"),
            ("-Infinity", 1, "a digit"),
            ("\u{b}1", 0, "a value"),
            ("\u{a0}1", 0, "a value"),
            ("\u{feff}1", 0, "a value"),
            ("trve", 2, "`true`, `false` or `null`"),
            ("[nul]", 4, "`true`, `false` or `null`"),
            ("True", 0, "a value"),
        ];
        for (text, at, expected) in table {
            assert_eq!(fault(text.as_bytes()), (at, What::NotJson { expected }), "{text}");
        }
    }

    #[test]
    fn half_a_text_is_told_from_a_wrong_one() {
        let text = r#" {"a\n":[1,-2.5e+7,true,{"ü":"\ud83d\ude00"}],"b":null}"#;
        assert!(check(text.as_bytes()).is_ok());
        for end in 0..text.len() {
            let (at, what) = fault(&text.as_bytes()[..end]);
            assert_eq!((at, what), (end, What::Truncated), "{}", String::from_utf8_lossy(&text.as_bytes()[..end]));
        }
        assert_eq!(fault(b"1 2"), (2, What::Trailing));
        assert_eq!(fault(b"{}\0"), (2, What::Trailing));
        assert_eq!(fault(b"01"), (1, What::Trailing));
    }

    #[test]
    fn faults_inside_strings() {
        let table: [(&[u8], usize, What); 17] = [
            (b"\"a\nb\"", 2, What::ControlCharacter),
            (b"\"\x00\"", 1, What::ControlCharacter),
            (b"\"\xc3\xbc\x1f\"", 3, What::ControlCharacter),
            (br#""\x41""#, 1, What::BadEscape),
            (br#""a\'""#, 2, What::BadEscape),
            (br#""\u12G4""#, 1, What::BadEscape),
            (br#""\u+123""#, 1, What::BadEscape),
            (br#""\ud800""#, 1, What::LoneSurrogate),
            (br#""\ud800x""#, 1, What::LoneSurrogate),
            (br#""\udc00\ud800""#, 1, What::LoneSurrogate),
            (br#""\ud800\ud800\udc00""#, 1, What::LoneSurrogate),
            (br#""\ud800\n""#, 1, What::LoneSurrogate),
            (b"\"ab\xff\"", 3, What::InvalidUtf8),
            (b"\"\xc3\xbc\xc0\xaf\"", 3, What::InvalidUtf8),
            (b"\"\xed\xa0\x80\"", 1, What::InvalidUtf8),
            (b"\"\xf4\x90\x80\x80\"", 1, What::InvalidUtf8),
            (b"\"\xe2\x82\"", 1, What::InvalidUtf8),
        ];
        for (text, at, what) in table {
            assert_eq!(fault(text), (at, what.clone()), "{}", text.escape_ascii());
            // The same in the place of a key, and far inside a long string.
            let key = [b"{", text, b":1}"].concat();
            assert_eq!(fault(&key), (at + 1, what.clone()), "{}", key.escape_ascii());
            let long = [&b"\""[..], &[b'x'; 1000], &text[1..]].concat();
            assert_eq!(fault(&long), (at + 1000, what), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_key_may_stand_once_in_each_object() {
        let table = [
            (r#"{"a":1,"a":1}"#, 7, "a"),
            (r#"[{"a":{"b":1,"c":[{"b":2}],"b":3}}]"#, 27, "b"),
            (r#"{"":1,"":2}"#, 6, ""),
            (r#"{"\u0061":1,"b":2,"a":3}"#, 18, "a"),
            (r#"{"\/":1,"/":2}"#, 8, "/"),
            (r#"{"😀":1,"\ud83d\ude00":2}"#, 10, "😀"),
            (r#"{"a":{"x":1},"b":{"x":1,"x":2}}"#, 24, "x"),
        ];
        for (text, at, key) in table {
            assert_eq!(fault(text.as_bytes()), (at, What::DuplicateKey(key.into())), "{text}");
        }
    }
}
