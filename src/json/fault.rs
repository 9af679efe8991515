//! What can be wrong with a text that should be JSON.

use super::text::Text;
use crate::diagnose::printable;
use std::fmt;

/// How much of a key is shown, characters.
const SHOWN: usize = 40;

/// Why a text is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Offset in bytes of what is wrong; the text's length when something is missing at its end.
    pub at: usize,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong at one place of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The grammar of RFC 8259 wants something else here, named in words.
    NotJson {
        /// What would have been right, such as "a value".
        expected: &'static str,
    },
    /// The text ends in the middle of a value, or has none.
    Truncated,
    /// Something other than white space follows the value.
    Trailing,
    /// Bytes that are no UTF-8.
    InvalidUtf8,
    /// An unescaped control character inside a string.
    ControlCharacter,
    /// An escape that JSON does not know.
    BadEscape,
    /// An escape of half a surrogate pair without its other half.
    LoneSurrogate,
    /// A key that the same object has had before. The key is decoded, made printable and cut for display.
    DuplicateKey(String),
    /// A number that no double can hold.
    NumberTooLarge,
    /// Objects and arrays inside one another beyond the limit.
    TooDeep {
        /// The limit, levels.
        limit: usize,
    },
    /// The text has 4 GiB or more.
    TooLong,
}

impl Fault {
    #[cold]
    pub(super) fn new(at: usize, what: What) -> Self {
        Self { at, what }
    }

    /// Something else is expected at `at`, or the text ends there.
    #[cold]
    pub(super) fn expected(text: &[u8], at: usize, expected: &'static str) -> Self {
        match text.get(at) {
            Some(_) => Self::new(at, What::NotJson { expected }),
            None => Self::new(text.len(), What::Truncated),
        }
    }

    /// The second appearance of `key`, whose opening quote is at `at`.
    #[cold]
    pub(super) fn duplicate(at: usize, key: Text<'_>) -> Self {
        let key = key.decode();
        let mut shown: String = key.chars().take(SHOWN).collect();
        if shown.len() < key.len() {
            shown.push('…');
        }
        Self::new(at, What::DuplicateKey(printable(&shown)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::NotJson { expected } => write!(f, "expected {expected}"),
            What::Truncated => write!(f, "unexpected end"),
            What::Trailing => write!(f, "something follows the JSON value"),
            What::InvalidUtf8 => write!(f, "invalid UTF-8"),
            What::ControlCharacter => write!(f, "unescaped control character"),
            What::BadEscape => write!(f, "unknown escape"),
            What::LoneSurrogate => write!(f, "half a surrogate pair"),
            What::DuplicateKey(key) => write!(f, "duplicate key `{key}`"),
            What::NumberTooLarge => write!(f, "number too large for a double"),
            What::TooDeep { limit } => write!(f, "more than {limit} levels of nesting"),
            What::TooLong => write!(f, "text of 4 GiB or more"),
        }?;
        write!(f, " at byte {}", self.at)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use crate::json::check;

    fn message(text: &str) -> String {
        check(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn faults_say_what_and_where() {
        assert_eq!(message(r#"{"x":1, "\u0078":2}"#), "duplicate key `x` at byte 8");
        assert_eq!(message("[1,]"), "expected a value at byte 3");
        assert_eq!(message("[1"), "unexpected end at byte 2");
        assert_eq!(message(&"[".repeat(200)), "more than 128 levels of nesting at byte 128");
    }

    #[test]
    fn a_shown_key_is_short_and_printable() {
        let key = format!("{}\\u001b[31m", "ü".repeat(35));
        let shown = message(&format!(r#"{{"{key}":1,"{key}":2}}"#));
        assert!(shown.starts_with(&format!(r"duplicate key `{}\u{{1b}}[31m` at", "ü".repeat(35))), "{shown}");
        let key = "k".repeat(5000);
        assert!(message(&format!(r#"{{"{key}":1,"{key}":2}}"#)).len() < 100);
    }
}
