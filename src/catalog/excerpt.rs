//! A lock's text without the insides of its items: all that a run reads of it.
//!
//! [`Lock::to_bytes`](super::Lock::to_bytes) writes an item over lines of its own, from `      "item": {` to the next line
//! that is indented as much and closes a brace. What stands between is left out, wherever a text has such lines. In a text
//! that was laid out otherwise nothing is left out, and all of it is read.
//!
//! A text made by hand could have such lines where they mean something else, and so be another lock with its insides than
//! without. Only one of the two has the right root: if it is the excerpt, [`Lock::parse`](super::Lock::parse) refuses the
//! text, and if it is the whole text, the excerpt is refused and the whole text read.

use memchr::memmem;

const OPENING: &[u8] = b"\n      \"item\": {\n";
const CLOSING: &[u8] = b"\n      }";

/// The shortened text, and where it was shortened.
pub(super) struct Excerpt {
    pub(super) text: Vec<u8>,
    /// For each place, its offset in the excerpt and how many bytes are left out up to there in all; in order.
    cuts: Vec<(usize, usize)>,
}

impl Excerpt {
    /// `None` where there is nothing to leave out.
    pub(super) fn new(whole: &[u8]) -> Option<Excerpt> {
        let (opening, closing) = (memmem::Finder::new(OPENING), memmem::Finder::new(CLOSING));
        let mut text = Vec::new();
        let mut cuts = Vec::new();
        let (mut copied, mut left_out) = (0, 0);
        let find = |finder: &memmem::Finder<'_>, from: usize| {
            whole.get(from..).and_then(|rest| finder.find(rest)).map(|found| from + found)
        };
        while let Some(start) = find(&opening, copied) {
            // The line feed stays; so does the one before the closing brace.
            let start = start + OPENING.len();
            let Some(end) = find(&closing, start - 1) else { break };
            text.extend_from_slice(whole.get(copied..start)?);
            left_out += end.saturating_sub(start);
            cuts.push((text.len(), left_out));
            copied = end.max(start);
        }
        text.extend_from_slice(whole.get(copied..)?);
        (!cuts.is_empty()).then_some(Excerpt { text, cuts })
    }

    /// The offset in the whole text of what is at an offset of the excerpt.
    pub(super) fn original(&self, offset: usize) -> usize {
        let cuts = self.cuts.partition_point(|(at, _)| *at <= offset);
        let left_out = cuts.checked_sub(1).and_then(|last| self.cuts.get(last)).map_or(0, |(_, left_out)| *left_out);
        offset + left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_back() {
        let whole =
            b"x\n      \"item\": {\n        \"a\": 1\n      }\n,y\n      \"item\": {\n      }z\n      \"item\": {}w";
        let excerpt = Excerpt::new(whole).unwrap();
        assert!(!String::from_utf8_lossy(&excerpt.text).contains("\"a\""));
        for (offset, byte) in excerpt.text.iter().enumerate() {
            assert_eq!(whole[excerpt.original(offset)], *byte, "{offset}");
        }
        assert_eq!(excerpt.original(excerpt.text.len()), whole.len());
    }

    #[test]
    fn other_layouts_stay_whole() {
        for text in ["", "{\"item\": {}}", "\n\t\"item\": {\n\t}", "\n      \"item\": {\n        \"a\": 1\n    }"] {
            assert!(Excerpt::new(text.as_bytes()).is_none(), "{text}");
        }
    }
}
