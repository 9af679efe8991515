//! Passes over checked arrays and objects, sixty-four bytes at a time.
//!
//! For each block four words tell, one bit a byte, where the quotes, backslashes and brackets are. From these comes
//! by arithmetic which bytes lie inside strings, and only the number of the other brackets is counted, until a block
//! may hold the one that is looked for.

use super::lane::{LANE, Lane};
use super::scan::{closing_quote, quote_or_bracket};

/// Bytes of a block.
const BLOCK: usize = 64;

/// The offset behind the array or object of a checked text whose opening bracket is before `at`; the text's length
/// where it does not end.
#[inline]
pub(super) fn behind_nested(text: &[u8], at: usize) -> usize {
    match text.last_chunk() {
        Some(last) => by_blocks(text, at, last),
        None => by_bytes(text, at),
    }
}

/// For texts shorter than a block.
fn by_bytes(text: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    loop {
        at = quote_or_bracket(text, at);
        match text.get(at) {
            Some(b'"') => at = closing_quote(text, at + 1),
            Some(b'{' | b'[') => depth += 1,
            Some(_) => depth -= 1,
            None => return text.len(),
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

fn by_blocks(text: &[u8], mut at: usize, last: &[u8; BLOCK]) -> usize {
    let mut state = State { depth: 1, escape: 0, string: 0 };
    let (blocks, rest) = text.get(at..).unwrap_or_default().as_chunks();
    for block in blocks {
        // A long string is passed over faster, once the byte is behind it that the last block may have escaped.
        if (state.string == 0 || state.escape != 0 || may_end_string(block))
            && let Some(offset) = state.block(Marks::of(block))
        {
            return at + offset;
        }
        at += BLOCK;
    }
    // The text's last block is looked at from where the others ended.
    let passed = BLOCK - rest.len();
    let offset = if rest.is_empty() { None } else { state.block(Marks::of(last).behind(passed)) };
    offset.map_or(text.len(), |offset| at + offset)
}

/// Whether a quote or a backslash is in the block.
#[inline(always)]
fn may_end_string(block: &[u8; BLOCK]) -> bool {
    let (lanes, _) = block.as_chunks::<LANE>();
    let hits = lanes.iter().map(Lane::load).map(|lane| lane.equal(b'"').or(lane.equal(b'\\')));
    hits.reduce(Lane::or).is_some_and(|hits| hits.mask() != 0)
}

/// Where in a block something is, the first byte's bit lowest.
#[derive(Clone, Copy)]
struct Marks {
    quotes: u64,
    escapes: u64,
    opening: u64,
    closing: u64,
}

impl Marks {
    #[inline(always)]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (lanes, _) = block.as_chunks::<LANE>();
        let mut marks = Self { quotes: 0, escapes: 0, opening: 0, closing: 0 };
        for (index, lane) in lanes.iter().enumerate() {
            let lane = Lane::load(lane);
            let lower = lane.lower();
            let place = |hits: Lane| u64::from(hits.mask()) << (index * LANE);
            marks.quotes |= place(lane.equal(b'"'));
            marks.escapes |= place(lane.equal(b'\\'));
            marks.opening |= place(lower.equal(b'{'));
            marks.closing |= place(lower.equal(b'}'));
        }
        marks
    }

    /// Without the first `count` bytes, fewer than a block.
    fn behind(self, count: usize) -> Self {
        let Self { quotes, escapes, opening, closing } = self;
        Self {
            quotes: quotes >> count,
            escapes: escapes >> count,
            opening: opening >> count,
            closing: closing >> count,
        }
    }
}

/// What a block has to know of those before it.
struct State {
    depth: u32,
    /// 1 where the block's first byte is escaped.
    escape: u64,
    /// All bits where the block begins inside a string.
    string: u64,
}

impl State {
    /// The offset in the block behind the bracket that closes the outermost level.
    #[inline(always)]
    fn block(&mut self, marks: Marks) -> Option<usize> {
        let quotes = marks.quotes & !self.escaped(marks.escapes);
        // From each opening quote to before its closing one.
        let inside = parity(quotes) ^ self.string;
        self.string = 0_u64.wrapping_sub(inside >> 63);
        let (opening, closing) = (marks.opening & !inside, marks.closing & !inside);
        if closing.count_ones() < self.depth {
            self.depth = self.depth + opening.count_ones() - closing.count_ones();
            return None;
        }
        let mut brackets = opening | closing;
        while brackets != 0 {
            let lowest = brackets & brackets.wrapping_neg();
            self.depth = if opening & lowest != 0 { self.depth + 1 } else { self.depth - 1 };
            if self.depth == 0 {
                return Some(lowest.trailing_zeros() as usize + 1);
            }
            brackets ^= lowest;
        }
        None
    }

    /// The bytes that a backslash before them makes part of an escape: in each run of backslashes every second one,
    /// and what comes behind a run of odd length.
    #[inline(always)]
    fn escaped(&mut self, escapes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if escapes == 0 {
            return std::mem::take(&mut self.escape);
        }
        let escapes = escapes & !self.escape;
        let behind = escapes << 1 | self.escape;
        // Adding a run's first bit to it carries to behind its end; runs that start at odd places are turned about.
        let odd_starts = escapes & !EVEN & !behind;
        let (ends, over) = odd_starts.overflowing_add(escapes);
        self.escape = u64::from(over);
        (EVEN ^ (ends << 1)) & behind
    }
}

/// Each bit becomes the parity of itself and all below.
#[inline(always)]
fn parity(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].iter().fold(bits, |bits, shift| bits ^ bits << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Texts of brackets and strings in all places against the blocks' edges.
    fn inside() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("[".to_owned()),
            Just("]".to_owned()),
            "\"[\\[\\]{}a]{0,9}\"",
            "\"(\\\\\\\\|\\\\\"|[\\[\\]a]){0,9}\"",
            r#""(\\\\){0,70}(\\")?""#,
            r#""a{0,150}(\\n)?a{55,70}(\\"|\\\\)?a{0,70}""#,
            "[0-9, ]{0,70}",
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn an_escape_at_the_edge_of_a_block_touches_the_next_byte_only() {
        for before in 0..130 {
            for escape in [r"\n", r#"\""#, r"\\"] {
                // The escape lies across each edge in turn; up to the closing quote there is nothing else to see.
                for between in [0, 62, 63, 64, 65, 126, 127, 128] {
                    let text = format!("[\"{}{escape}{}\"]]", "a".repeat(before), "a".repeat(between));
                    let text = [text.as_bytes(), &[b' '; BLOCK]].concat();
                    let expected = text.iter().position(|byte| *byte == b']').unwrap() + 1;
                    assert_eq!(behind_nested(&text, 1), expected, "{before} {escape} {between}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn blocks_and_bytes_find_the_same_end(text in inside(), before in 0..70_usize) {
            let text = ["x".repeat(before), "[".into(), text, "]".repeat(70)].concat();
            let text = text.as_bytes();
            let expected = by_bytes(text, before + 1);
            prop_assert_eq!(by_blocks(text, before + 1, text.last_chunk().unwrap()), expected);
            prop_assert_eq!(text[expected - 1], b']');
            // Where it does not end, both say so.
            let open = [b"[[", &text[before + 1..expected - 1], &[b' '; 64]].concat();
            prop_assert_eq!(by_bytes(&open, 1), open.len());
            prop_assert_eq!(by_blocks(&open, 1, open.last_chunk().unwrap()), open.len());
        }

        #[test]
        fn escapes_are_those_found_one_by_one(runs in prop::collection::vec((any::<bool>(), 1..70_usize), 1..12)) {
            let text: Vec<bool> = runs.iter().flat_map(|(escape, length)| vec![*escape; *length]).collect();
            let mut state = State { depth: 1, escape: 0, string: 0 };
            let mut expected_next = false;
            for block in text.chunks(64) {
                let bits = |bools: &[bool]| bools.iter().enumerate().fold(0, |bits, (at, set)| bits | u64::from(*set) << at);
                let expected: Vec<bool> = block
                    .iter()
                    .map(|escape| {
                        let this = expected_next;
                        expected_next = *escape && !this;
                        this
                    })
                    .collect();
                let found = state.escaped(bits(block));
                let whole = if block.len() == 64 { u64::MAX } else { (1 << block.len()) - 1 };
                prop_assert_eq!(found & whole, bits(&expected));
            }
        }
    }
}
