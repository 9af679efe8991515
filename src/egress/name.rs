//! Names as they are compared: lower case, without the trailing dot, letters, digits, hyphens and underscores only.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A host name that can be compared byte by byte: ASCII in lower case, 1 to 253 bytes, labels of 1 to 63 bytes out of
/// `a-z 0-9 - _`, no trailing dot, and nothing that any resolver takes for an address (`127.1`, `0x7f000001`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct DnsName(Box<str>);

/// Why a text is no [`DnsName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing, or a label of no bytes.
    #[error("a label is empty")]
    Empty,
    /// More than 253 bytes, or a label of more than 63.
    #[error("it is longer than names can be")]
    TooLong,
    /// A byte that host names do not have.
    #[error("it holds something else than letters, digits, `-` and `_`")]
    Character,
    /// Its last label is a number, so that it would be read as an address.
    #[error("its last label is a number")]
    Number,
}

impl DnsName {
    /// Folds case and takes off one trailing dot.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn parse(text: &str) -> Result<DnsName, NameFault> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > 253 {
            return Err(NameFault::TooLong);
        }
        for label in text.split('.') {
            match label.len() {
                0 => return Err(NameFault::Empty),
                1..=63 => {}
                _ => return Err(NameFault::TooLong),
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
                return Err(NameFault::Character);
            }
        }
        let last = text.rsplit('.').next().unwrap_or(text);
        let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if number(last) || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(NameFault::Number);
        }
        Ok(DnsName(text.to_ascii_lowercase().into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one or more labels below `apex`; a name is not below itself.
    #[must_use]
    pub fn is_below(&self, apex: &DnsName) -> bool {
        self.0.strip_suffix(&*apex.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl TryFrom<String> for DnsName {
    type Error = NameFault;

    fn try_from(text: String) -> Result<DnsName, NameFault> {
        DnsName::parse(&text)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form() {
        for (text, name) in [
            ("api.github.com", "api.github.com"),
            ("API.GitHub.COM", "api.github.com"),
            ("api.github.com.", "api.github.com"),
            ("a", "a"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("-a-.b--c.de", "-a-.b--c.de"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("0x7f.example", "0x7f.example"),
            ("example.0xg", "example.0xg"),
            ("example.1a", "example.1a"),
        ] {
            assert_eq!(DnsName::parse(text).unwrap().as_str(), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_name() {
        use NameFault::{Character, Empty, Number};
        for (text, fault) in [
            ("", Empty),
            (".", Empty),
            ("a..", Empty),
            ("a..b", Empty),
            (".a", Empty),
            ("evil\0.allowed.com", Character),
            ("allowed.com\0", Character),
            ("evil%00.allowed.com", Character),
            ("user@allowed.com", Character),
            ("user:pass@allowed.com", Character),
            ("allowed.com:443", Character),
            ("allowed.com/", Character),
            ("allowed.com\\.evil.net", Character),
            ("allowed .com", Character),
            (" allowed.com", Character),
            ("allowed.com\n", Character),
            ("*.allowed.com", Character),
            ("[::1]", Character),
            ("::1", Character),
            ("b\u{fc}cher.example", Character),
            // The Kelvin sign is `k` in lower case, the long s is `S` in upper case.
            ("\u{212a}elvin.example", Character),
            ("te\u{17f}t.example", Character),
            ("allowed\u{3002}com", Character),
            ("127.0.0.1", Number),
            ("127.0.0.1.", Number),
            ("127.1", Number),
            ("2130706433", Number),
            ("017700000001", Number),
            ("0177.0.0.01", Number),
            ("0x7f000001", Number),
            ("0X7F.1", Number),
            ("0x7f.0x0.0x0.0x1", Number),
            ("a.0x", Number),
            ("example.42", Number),
        ] {
            assert_eq!(DnsName::parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn lengths() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(DnsName::parse(&longest).is_ok());
        assert!(DnsName::parse(&format!("{longest}.")).is_ok());
        assert_eq!(DnsName::parse(&format!("{longest}a")), Err(NameFault::TooLong));
        assert_eq!(DnsName::parse(&format!("{label}a.example")), Err(NameFault::TooLong));
    }

    #[test]
    fn below() {
        let below = |name: &str, apex: &str| DnsName::parse(name).unwrap().is_below(&DnsName::parse(apex).unwrap());
        assert!(below("a.allowed.com", "allowed.com") && below("a.b.Allowed.com.", "ALLOWED.com"));
        for name in
            ["allowed.com", "xallowed.com", "allowed.com.evil.net", "a.allowed.com.evil.net", "com", "llowed.com"]
        {
            assert!(!below(name, "allowed.com"), "{name}");
        }
    }

    #[test]
    fn nothing_invalid_crosses_a_border() {
        let read = |text: &str| postcard::from_bytes::<DnsName>(&postcard::to_allocvec(text).unwrap());
        assert_eq!(read("API.github.com.").unwrap().as_str(), "api.github.com");
        for text in ["", "127.0.0.1", "a\0b", "a..b"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_again_changes_nothing(text in "\\PC{0,40}|[A-Za-z0-9_.-]{0,300}") {
            if let Ok(name) = DnsName::parse(&text) {
                prop_assert!(name.as_str().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')));
                prop_assert!(!name.as_str().ends_with('.') && name.as_str().len() <= 253);
                prop_assert!(name.as_str().parse::<std::net::Ipv4Addr>().is_err());
                prop_assert_eq!(DnsName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
