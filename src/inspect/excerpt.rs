//! Hostile text, made fit for a terminal and for a person's eye.

use super::Finding;
use super::cut::{ceil, floor};
use super::invisible::is_invisible;
use super::secrets;
use std::fmt::Write;
use std::ops::Range;

/// Characters of an excerpt, at most.
const MOST: usize = 120;
/// Bytes looked at on either side of a span. Secrets are longer than an excerpt and must be seen whole to be masked.
const AROUND: usize = 4096;

impl Finding {
    /// What stands around the finding in `text`, the text it was found in: at most 120 characters on one line.
    ///
    /// Invisible and control characters are spelt as `<U+200B>`, so that the result can be printed anywhere; secrets are
    /// cut to their first characters.
    pub fn excerpt(&self, text: &str) -> String {
        let start = floor(text, self.span.start.min(text.len()));
        let end = ceil(text, self.span.end.clamp(start, text.len()));
        let low = floor(text, start.saturating_sub(AROUND));
        let high = ceil(text, (start + AROUND).min(text.len()));
        let window = text.get(low..high).unwrap_or_default();
        let masks: Vec<Range<usize>> = secrets::spans(window).map(|mask| mask.start + low..mask.end + low).collect();
        let piece = |range: Range<usize>| pieces(text, range, &masks);
        // A span of its own that is too long shows its beginning; what room is left goes to both sides.
        let middle = take(piece(start..end.min(high)), MOST - 2);
        let used = middle.text.chars().count();
        let side = (MOST - 2).saturating_sub(used);
        let mut left: Vec<String> = piece(low..start);
        left.reverse();
        let left = take(left, side / 2);
        let left_used = left.text.chars().count();
        let right = if middle.cut { Taken::default() } else { take(piece(end.min(high)..high), side - left_used) };
        let mut shown = String::new();
        if left.cut || low > 0 {
            shown.push('…');
        }
        shown.extend(left.pieces.iter().rev().map(String::as_str));
        shown.push_str(&middle.text);
        shown.push_str(&right.text);
        if middle.cut || right.cut || high < text.len() {
            shown.push('…');
        }
        shown
    }
}

/// Text for a message: one line, nothing invisible, not too long.
pub(super) fn shown(text: &str) -> String {
    let taken = take(pieces(text, 0..text.len().min(ceil(text, AROUND.min(text.len()))), &[]), MOST);
    if taken.cut { taken.text + "…" } else { taken.text }
}

/// The text as pieces that are never parted: characters, spelt characters, masked secrets.
fn pieces(text: &str, range: Range<usize>, masks: &[Range<usize>]) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut blank = false;
    let mut masked: Option<usize> = None;
    for (offset, c) in text.get(range.clone()).unwrap_or_default().char_indices() {
        let at = range.start + offset;
        if let Some(index) = masks.iter().position(|mask| mask.contains(&at)) {
            if masked != Some(index) {
                pieces.push("[secret]".to_owned());
            }
            masked = Some(index);
            blank = false;
            continue;
        }
        masked = None;
        if c.is_whitespace() {
            // Line feeds and runs of blanks would only push the rest out of sight.
            if !blank {
                pieces.push(" ".to_owned());
            }
            blank = true;
            continue;
        }
        blank = false;
        let mut piece = String::new();
        if c.is_control() || is_invisible(c) || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..) {
            let _ = write!(piece, "<U+{:04X}>", u32::from(c));
        } else {
            piece.push(c);
        }
        pieces.push(piece);
    }
    pieces
}

#[derive(Default)]
struct Taken {
    pieces: Vec<String>,
    text: String,
    /// Something was left out.
    cut: bool,
}

/// As many pieces as fit into `most` characters.
fn take(all: Vec<String>, most: usize) -> Taken {
    let mut taken = Taken::default();
    let mut length = 0;
    for piece in all {
        length += piece.chars().count();
        if length > most {
            taken.cut = true;
            break;
        }
        taken.text.push_str(&piece);
        taken.pieces.push(piece);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn excerpt(text: &str, span: Range<usize>) -> String {
        Finding { rule: "x", severity: Severity::Low, span, message: String::new() }.excerpt(text)
    }

    #[test]
    fn short_texts_are_shown_whole() {
        assert_eq!(excerpt("a\u{200b}b\n\n  c\u{1b}[8m", 1..4), "a<U+200B>b c<U+001B>[8m");
        assert_eq!(excerpt("", 0..0), "");
    }

    #[test]
    fn long_texts_are_cut_on_both_sides() {
        let text = format!("{}HERE{}", "ä".repeat(5000), "ö".repeat(5000));
        let shown = excerpt(&text, 10_000..10_004);
        assert_eq!(shown.chars().count(), 120);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("äHEREö"), "{shown}");
        let all = excerpt(&text, 0..text.len());
        assert!(all.chars().count() <= 120 && all.ends_with('…'));
    }

    #[test]
    fn spans_that_do_not_fit_the_text_are_survived() {
        assert_eq!(excerpt("é", 1..1), "é");
        assert_eq!(excerpt("abc", 7..9), "abc");
    }

    #[test]
    fn secrets_near_by_are_masked() {
        let token = format!("{}{}", "ghp_", "zQ7f2LxW9kR4tB8vN1mC6yH3jP5sD0aG2eUi");
        let text = format!("Do not tell the user about {token} at all.");
        let shown = excerpt(&text, 0..20);
        assert!(shown.contains("[secret]") && !shown.contains("zQ7f"), "{shown}");
        assert!(excerpt(&text, 27..67).contains("[secret]"));
    }
}
