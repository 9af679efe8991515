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
