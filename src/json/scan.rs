//! Finds the next byte that matters, sixty-four bytes at a time.

use super::lane::{LANE, Lane};

/// Bytes of a block: lanes that are looked at before one decision.
const BLOCK: usize = 4 * LANE;

/// A set of bytes to look for, given in two ways that must agree.
trait Set {
    fn lane(lane: Lane) -> Lane;
    fn has(byte: u8) -> bool;
}

/// What ends a run of ASCII inside a string.
struct NotPlain;
/// What ends a run of any characters inside a string.
struct NotBody;
/// What a checked string has to be left for.
struct QuoteOrEscape;
/// What a checked array or object has to be left for.
struct QuoteOrBracket;

impl Set for NotPlain {
    #[inline(always)]
    fn lane(lane: Lane) -> Lane {
        lane.control_or_not_ascii().or(lane.equal(b'"')).or(lane.equal(b'\\'))
    }

    #[inline(always)]
    fn has(byte: u8) -> bool {
        matches!(byte, ..0x20 | b'"' | b'\\' | 0x80..)
    }
}

impl Set for NotBody {
    #[inline(always)]
    fn lane(lane: Lane) -> Lane {
        lane.control().or(lane.equal(b'"')).or(lane.equal(b'\\'))
    }

    #[inline(always)]
    fn has(byte: u8) -> bool {
        matches!(byte, ..0x20 | b'"' | b'\\')
    }
}

impl Set for QuoteOrEscape {
    #[inline(always)]
    fn lane(lane: Lane) -> Lane {
        lane.equal(b'"').or(lane.equal(b'\\'))
    }

    #[inline(always)]
    fn has(byte: u8) -> bool {
        matches!(byte, b'"' | b'\\')
    }
}

impl Set for QuoteOrBracket {
    #[inline(always)]
    fn lane(lane: Lane) -> Lane {
        let lower = lane.lower();
        lane.equal(b'"').or(lower.equal(b'{')).or(lower.equal(b'}'))
    }

    #[inline(always)]
    fn has(byte: u8) -> bool {
        matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
    }
}

/// The first quote, backslash, control character or byte above 0x7f at or after `from`, else the text's length.
#[inline(always)]
pub(super) fn not_plain(text: &[u8], from: usize) -> usize {
    find::<NotPlain>(text, from)
}

/// The first quote, backslash or control character at or after `from`, else the text's length.
#[inline(always)]
pub(super) fn not_body(text: &[u8], from: usize) -> usize {
    find::<NotBody>(text, from)
}

/// The first quote or bracket of either kind at or after `from`, else the text's length.
#[inline(always)]
pub(super) fn quote_or_bracket(text: &[u8], from: usize) -> usize {
    find::<QuoteOrBracket>(text, from)
}

/// The first quote or backslash at or after `from`, else the text's length.
#[inline(always)]
pub(super) fn quote_or_escape(text: &[u8], from: usize) -> usize {
    find::<QuoteOrEscape>(text, from)
}

/// The offset of the quote that closes the string whose body starts at `from`, in a text that has one.
#[inline(always)]
pub(super) fn closing_quote(text: &[u8], mut from: usize) -> usize {
    loop {
        let at = quote_or_escape(text, from);
        if text.get(at) != Some(&b'\\') {
            return at;
        }
        from = at + 2;
    }
}

/// The first byte at or after `from` that is no JSON white space, else the text's length.
#[inline(always)]
pub(super) fn not_space(text: &[u8], from: usize) -> usize {
    match text.get(from) {
        Some(b'!'..) => from,
        _ => not_space_far(text, from),
    }
}

#[inline(never)]
fn not_space_far(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    (from + space).min(text.len())
}

/// The first byte of the set at or after `from`, else the text's length.
#[inline(always)]
fn find<S: Set>(text: &[u8], from: usize) -> usize {
    let Some(first) = text.get(from..).and_then(<[u8]>::first_chunk) else {
        return find_in_tail::<S>(text, from);
    };
    // Most strings are short.
    let hits = S::lane(Lane::load(first)).mask();
    if hits != 0 { from + hits.trailing_zeros() as usize } else { find_far::<S>(text, from + LANE) }
}

#[inline(never)]
fn find_far<S: Set>(text: &[u8], mut from: usize) -> usize {
    let (blocks, _) = text.get(from..).unwrap_or_default().as_chunks::<BLOCK>();
    for block in blocks {
        let (lanes, _) = block.as_chunks::<LANE>();
        let any = lanes.iter().map(|lane| S::lane(Lane::load(lane))).reduce(Lane::or);
        if any.is_some_and(|any| any.mask() != 0) {
            break;
        }
        from += BLOCK;
    }
    let (lanes, _) = text.get(from..).unwrap_or_default().as_chunks::<LANE>();
    for lane in lanes {
        let hits = S::lane(Lane::load(lane)).mask();
        if hits != 0 {
            return from + hits.trailing_zeros() as usize;
        }
        from += LANE;
    }
    find_in_tail::<S>(text, from)
}

/// The same where fewer bytes than a lane are left: the text's last lane is looked at again.
#[inline(always)]
fn find_in_tail<S: Set>(text: &[u8], from: usize) -> usize {
    let left = text.len().saturating_sub(from);
    match text.last_chunk() {
        Some(last) => {
            let hits = S::lane(Lane::load(last)).mask() >> (LANE - left);
            if hits != 0 { from + hits.trailing_zeros() as usize } else { text.len() }
        }
        None => {
            let rest = text.get(from..).unwrap_or_default();
            rest.iter().position(|&byte| S::has(byte)).map_or(text.len(), |at| from + at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive<S: Set>(text: &[u8], from: usize) -> usize {
        (from..text.len()).find(|at| S::has(text[*at])).unwrap_or(text.len())
    }

    #[test]
    fn each_byte_is_found_at_each_place() {
        fn all<S: Set>() {
            for byte in 0..=u8::MAX {
                let lane = Lane::load(&[byte; LANE]);
                assert_eq!(S::lane(lane).mask() != 0, S::has(byte), "{byte}");
            }
            for length in 0..300 {
                let mut text = vec![b'x'; length];
                assert_eq!(find::<S>(&text, 0), length);
                for at in 0..length {
                    text[at] = b'"';
                    for from in [0, at / 2, at] {
                        assert_eq!(find::<S>(&text, from), at);
                    }
                    assert_eq!(find::<S>(&text, at + 1), length);
                    text[at] = b'x';
                }
            }
        }
        all::<NotPlain>();
        all::<NotBody>();
        all::<QuoteOrEscape>();
        all::<QuoteOrBracket>();
    }

    #[test]
    fn beyond_the_end_nothing_is_found() {
        for length in [0, 3, 16, 70] {
            let text = vec![b'"'; length];
            assert_eq!(find::<NotPlain>(&text, length), length);
            assert_eq!(find::<NotPlain>(&text, length + 1), length);
            assert_eq!(not_space(&text, length + 1), length);
        }
    }

    proptest! {
        #[test]
        fn the_first_is_found(text in prop::collection::vec(prop_oneof![20 => Just(b'x'), 1 => any::<u8>()], 0..400), from in 0usize..400) {
            let from = from.min(text.len());
            prop_assert_eq!(find::<NotPlain>(&text, from), naive::<NotPlain>(&text, from));
            prop_assert_eq!(find::<NotBody>(&text, from), naive::<NotBody>(&text, from));
            prop_assert_eq!(find::<QuoteOrEscape>(&text, from), naive::<QuoteOrEscape>(&text, from));
            prop_assert_eq!(find::<QuoteOrBracket>(&text, from), naive::<QuoteOrBracket>(&text, from));
        }
    }
}
