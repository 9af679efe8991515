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
