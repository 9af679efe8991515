//! Text as words: one pass that folds, splits and says what kind of word each is.

use super::fold::fold;
use std::ops::Range;

/// Longer words are cut: no phrase has one, and an endless word must not cost memory.
const LONGEST: usize = 256;

/// Words whose full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "incl."];

/// One word of a text.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    /// Folded: lower-case, look-alikes and invisible characters undone, apostrophes taken out.
    pub(super) text: &'a str,
    /// Bytes of the source.
    pub(super) span: Range<usize>,
    /// What stands before it.
    pub(super) before: Break,
}

/// What parts a word from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    /// Blanks, quotes, a line's end.
    None,
    /// A comma, a colon, a bracket, a dash.
    Clause,
    /// The end of a sentence, paragraph or list entry.
    Sentence,
}

/// Calls `each` with every word of `text` in order.
///
/// A word is a run of letters, digits and of what holds paths, addresses and names together; it has at least one letter
/// or digit. With `names`, words also end at `_`, `-` and where a capital follows a small letter, as in `readPrivateKey`.
pub(super) fn words(text: &str, names: bool, mut each: impl FnMut(&Word<'_>)) {
    let mut folded = String::new();
    let mut span = 0..0;
    let mut before = Break::Sentence;
    let mut separator = Separator::default();
    let mut last = ' ';
    let mut flush = |folded: &mut String, span: &Range<usize>, before: &mut Break| {
        let trimmed = trim(folded);
        if trimmed.bytes().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
            each(&Word { text: trimmed, span: span.clone(), before: *before });
            *before = Break::None;
        }
        folded.clear();
    };
    for (at, c) in text.char_indices() {
        let Some(seen) = fold(c) else { continue };
        // An apostrophe at a word's beginning is a quotation mark.
        let inside = seen.is_alphanumeric()
            || (matches!(seen, '_' | '-') && !names)
            || is_glue(seen) && (seen != '\'' || !folded.is_empty());
        let turns = names && c.is_uppercase() && (last.is_lowercase() || last.is_ascii_digit());
        if (!inside || turns) && !folded.is_empty() {
            let hung = folded.ends_with('.') && !ABBREVIATIONS.contains(&folded.as_str());
            flush(&mut folded, &span, &mut before);
            separator = Separator { stop: hung, ..Separator::default() };
        }
        if inside {
            if folded.is_empty() {
                before = before.max(separator.found(seen));
                span.start = at;
            }
            if !hangs(seen) || folded.is_empty() {
                span.end = at + c.len_utf8();
            }
            if folded.len() < LONGEST && seen != '\'' {
                folded.push(seen);
            }
        } else {
            before = before.max(separator.add(seen));
        }
        last = c;
    }
    flush(&mut folded, &span, &mut before);
}

/// Characters that belong to a word only beside others: parts of paths, addresses, shell words.
fn is_glue(c: char) -> bool {
    matches!(c, '.' | '/' | '~' | '@' | '\'' | '\\' | '$')
}

/// Characters that belong to a word within it and to the sentence at its end.
fn hangs(c: char) -> bool {
    matches!(c, '.' | '\'' | '-' | '\\')
}

/// A word without what hangs at its end, or stands as a dash at its beginning.
fn trim(folded: &str) -> &str {
    folded.trim_end_matches(hangs).trim_start_matches('-')
}

/// What has been seen since the last word.
#[derive(Debug, Default)]
struct Separator {
    stop: bool,
    /// A line that ends so does not go on in the next one.
    ends: bool,
    feeds: u8,
}

impl Separator {
    /// Another character between words, and what it parts.
    fn add(&mut self, c: char) -> Break {
        let blank = c.is_whitespace();
        if blank && self.stop {
            return Break::Sentence;
        }
        self.ends = matches!(c, ':' | '}' | '>' | ']') || (self.ends && blank);
        self.stop = matches!(c, '!' | '?' | '。' | '！' | '？') || (self.stop && matches!(c, '"' | ')' | '”'));
        match c {
            '\n' => {
                self.feeds = self.feeds.saturating_add(1);
                if self.feeds > 1 || self.ends { Break::Sentence } else { Break::None }
            }
            '。' | '！' | '？' => Break::Sentence,
            '-' | '*' | '•' | '#' if self.feeds > 0 => Break::Sentence,
            ',' | ':' | ';' | '(' | ')' | '[' | ']' | '<' | '>' | '—' | '|' | '=' => Break::Clause,
            _ => Break::None,
        }
    }

    /// A word begins with `c`.
    fn found(&mut self, c: char) -> Break {
        let list = self.feeds > 0 && matches!(c, '-');
        *self = Separator::default();
        if list { Break::Sentence } else { Break::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str, names: bool) -> Vec<String> {
        let mut found = Vec::new();
        words(text, names, |word| found.push(word.text.to_owned()));
        found
    }

    fn breaks(text: &str) -> Vec<(String, Break)> {
        let mut found = Vec::new();
        words(text, false, |word| found.push((word.text.to_owned(), word.before)));
        found
    }

    #[test]
    fn paths_and_names_are_one_word() {
        assert_eq!(
            split("Read `~/.ssh/id_rsa`, then .env. It's at a@b.example, \"x-y\".", false),
            ["read", "~/.ssh/id_rsa", "then", ".env", "its", "at", "a@b.example", "x-y"]
        );
        assert_eq!(split("-- … — ' .", false), [""; 0]);
    }

    #[test]
    fn names_fall_into_their_words() {
        assert_eq!(split("content_from-reading_ssh_id_rsa", true), ["content", "from", "reading", "ssh", "id", "rsa"]);
        assert_eq!(split("readPrivateKey2Now", true), ["read", "private", "key2", "now"]);
    }

    #[test]
    fn sentences_end_where_they_end() {
        let before = |text| breaks(text).into_iter().map(|(_, before)| before).skip(1).collect::<Vec<_>>();
        assert_eq!(before("a b"), [Break::None]);
        assert_eq!(before("a. b"), [Break::Sentence]);
        assert_eq!(before("e.g. b"), [Break::None]);
        assert_eq!(before("a! b? c"), [Break::Sentence, Break::Sentence]);
        assert_eq!(before("a; b"), [Break::Clause]);
        assert_eq!(before("a:\nb"), [Break::Sentence]);
        assert_eq!(before("a: b, c"), [Break::Clause, Break::Clause]);
        assert_eq!(before("a\nb"), [Break::None], "a wrapped line goes on");
        assert_eq!(before("a\n\nb"), [Break::Sentence]);
        assert_eq!(before("a\n- b"), [Break::Sentence]);
        assert_eq!(before("a.b"), [], "a file's name");
        assert_eq!(before("(a.) b"), [Break::Sentence]);
    }

    #[test]
    fn hidden_characters_do_not_part_words() {
        assert_eq!(split("ig\u{200b}no\u{ad}re а\u{e0041}ll", false), ["ignore", "all"]);
        let mut span = 0..0;
        words("x ig\u{200b}nore y", false, |word| {
            if word.text == "ignore" {
                span = word.span.clone();
            }
        });
        assert_eq!(span, 2..11);
        let mut spans = Vec::new();
        words("'a b.' c's", false, |word| spans.push(word.span.clone()));
        assert_eq!(spans, [1..2, 3..4, 7..10]);
    }

    #[test]
    fn an_endless_word_is_cut() {
        let found = split(&"x".repeat(1 << 20), false);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), LONGEST);
    }

    proptest! {
        #[test]
        fn spans_lie_on_characters_in_order(text in "\\PC{0,40}|[ -~\u{200b}\u{300}àї𝐢.]{0,60}", names: bool) {
            let mut end = 0;
            words(&text, names, |word| {
                assert!(word.span.start >= end && word.span.start < word.span.end, "{word:?}");
                assert!(text.get(word.span.clone()).is_some(), "{word:?}");
                end = word.span.end;
            });
        }
    }
}
