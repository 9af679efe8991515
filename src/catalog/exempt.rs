//! What an approver exempted from the hash because the server makes it anew at each start.

use super::canonical::Mask;
use crate::json::{self, Value};

/// The most that a part may vary in length, bytes. More room than this is room for a sentence.
pub(super) const MOST_VARYING: usize = 256;

/// One place of an item that may differ from start to start, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// JSON pointer (RFC 6901) inside the item, such as `/inputSchema/properties/zone/description`.
    pub at: String,
    /// How it may differ.
    pub rule: Varies,
    /// Why, for whoever reviews the lock.
    pub reason: String,
}

/// How an exempted value may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Varies {
    /// A text of which only the middle varies, within letters, digits and `._:/+@=-`: enough for a time zone, a version or
    /// a port, and no blanks, so that no sentence can be slipped in. Any other text there is drift.
    Part {
        /// What it starts with.
        prefix: String,
        /// What it ends with.
        suffix: String,
        /// The longest middle, bytes; at most 256.
        max: usize,
    },
    /// Anything, or nothing at all. What the server writes there is not pinned.
    Any,
}

/// How a mask is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// So that it is no JSON, and no value is ever equal to it: for the hash.
    Hashed,
    /// As JSON: for showing.
    Shown,
}

impl Exemption {
    /// What is wrong with it, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let Exemption { at, rule, reason: _ } = self;
        if at.is_empty() {
            return Some("an exemption cannot cover a whole item");
        }
        let escapes = at.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !at.starts_with('/') || !escapes {
            return Some("an exemption's place is a JSON pointer, such as `/description`");
        }
        match rule {
            Varies::Part { max, .. } if *max > MOST_VARYING => Some("a part that varies has at most 256 bytes"),
            Varies::Part { .. } | Varies::Any => None,
        }
    }

    /// Whether the two cover the same value, or one covers the other's.
    pub(super) fn overlaps(&self, other: &Exemption) -> bool {
        let (short, long) = if self.at.len() <= other.at.len() { (self, other) } else { (other, self) };
        long.at.strip_prefix(short.at.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Varies {
    /// The mask for a value that may stand there; `None` for one that may not.
    fn mask(&self, value: Value<'_>, style: Style) -> Option<Option<Vec<u8>>> {
        match self {
            Varies::Any => Some(None),
            Varies::Part { prefix, suffix, max } => {
                let text = value.str()?;
                let middle = text.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?;
                if !varies_harmlessly(middle, *max) {
                    return None;
                }
                let mut with = Vec::new();
                match style {
                    Style::Hashed => {
                        // Canonical JSON has no zero byte, and a string in quotes has an end.
                        with.extend_from_slice(b"\0part");
                        json::quote(prefix, &mut with);
                        json::quote(suffix, &mut with);
                    }
                    Style::Shown => json::quote(&format!("{prefix}<varies>{suffix}"), &mut with),
                }
                Some(Some(with))
            }
        }
    }
}

/// Whether a middle is within what [`Varies::Part`] allows.
pub(super) fn varies_harmlessly(middle: &str, max: usize) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/+@=-".contains(&byte);
    middle.len() <= max && middle.bytes().all(harmless)
}

/// The masks of those exempted parts that are there and differ only as they may.
pub(super) fn masks(value: Value<'_>, exempt: &[Exemption], style: Style) -> Vec<Mask> {
    let mut masks = Vec::new();
    for Exemption { at, rule, .. } in exempt {
        let Some(part) = value.pointer(at).filter(|_| !at.is_empty()) else { continue };
        let Some(with) = rule.mask(part, style) else { continue };
        // Both are slices of one text.
        let start = part.raw().as_ptr().addr() - value.raw().as_ptr().addr();
        masks.push(Mask { at: start..start + part.raw().len(), with });
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::value;

    fn exemption(at: &str, rule: Varies) -> Exemption {
        Exemption { at: at.to_owned(), rule, reason: String::new() }
    }

    #[test]
    fn only_short_words_vary_harmlessly() {
        assert!(varies_harmlessly("Europe/Berlin", 13) && !varies_harmlessly("Europe/Berlin", 12));
        assert!(varies_harmlessly("a.b_c:d/e+f@g=h-9", 20) && varies_harmlessly("", 0));
        for text in
            ["a b", "a\nb", "a\u{a0}b", "a,b", "a'b", "a\"b", "<a>", "a%20b", "ä", "\u{200b}", "a\\b", "a#b", "a?b"]
        {
            assert!(!varies_harmlessly(text, 256), "{text:?}");
        }
    }

    #[test]
    fn prefix_and_suffix_do_not_share_a_character() {
        let rule = Varies::Part { prefix: "ab".to_owned(), suffix: "ba".to_owned(), max: 9 };
        assert!(rule.mask(value("\"aba\""), Style::Hashed).is_none());
        assert!(rule.mask(value("\"abba\""), Style::Hashed).is_some());
        assert!(rule.mask(value("[\"abba\"]"), Style::Hashed).is_none());
    }

    #[test]
    fn a_mask_is_equal_to_no_value_and_to_no_other_mask() {
        let mask = |prefix: &str, suffix: &str, text: &str| {
            let rule = Varies::Part { prefix: prefix.to_owned(), suffix: suffix.to_owned(), max: 9 };
            rule.mask(value(text), Style::Hashed).unwrap().unwrap()
        };
        assert_eq!(mask("a", "b", "\"axb\""), mask("a", "b", "\"ayyb\""));
        assert_ne!(mask("a\"", "b", r#""a\"b""#), mask("a", "\"b", r#""a\"b""#));
        assert!(mask("a", "b", "\"ab\"").starts_with(b"\0"), "no JSON begins so");
    }

    #[test]
    fn exemptions_that_cannot_be() {
        for at in ["", "description", "/a~", "/a~2", "/~"] {
            assert!(exemption(at, Varies::Any).fault().is_some(), "{at}");
        }
        for at in ["/", "/a", "/a~0b~1c/0", "//"] {
            assert!(exemption(at, Varies::Any).fault().is_none(), "{at}");
        }
        let long = Varies::Part { prefix: String::new(), suffix: String::new(), max: 257 };
        assert!(exemption("/a", long).fault().is_some());
    }

    #[test]
    fn overlap() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (exemption(a, Varies::Any), exemption(b, Varies::Any));
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlap("/a", "/a") && overlap("/a", "/a/b") && overlap("/a/0", "/a"));
        assert!(!overlap("/a", "/ab") && !overlap("/a/b", "/a/c") && !overlap("/a/", "/b"));
    }
}
