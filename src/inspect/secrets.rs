//! Secrets that somebody left in a text: provider tokens, private keys, JSON web tokens, passwords in URLs.
//!
//! No secret is ever repeated: messages name its kind and its well-known prefix.

use super::cut::floor;
use super::decode::{base64, crc32};
use super::finding::Found;
use super::providers::{Alphabet, PROVIDERS, Proof, Provider};
use super::surface::Surface;
use super::{Context, Severity, Text};
use memchr::{memchr, memmem};
use std::ops::Range;

/// A secret, or what looks like one.
struct Secret {
    rule: &'static str,
    severity: Severity,
    span: Range<usize>,
    message: String,
}

/// Looks for secrets.
pub(super) fn detect(text: &Text<'_>, _: &Context, found: &mut Found) {
    if text.surface == Surface::Icon {
        return;
    }
    for secret in all(text.text) {
        found.add(secret.rule, secret.severity, secret.span, secret.message);
    }
}

/// Where in `text` secrets stand, placeholders and examples included; for masking.
pub(super) fn spans(text: &str) -> impl Iterator<Item = Range<usize>> {
    all(text).map(|secret| secret.span)
}

fn all(text: &str) -> impl Iterator<Item = Secret> {
    tokens(text).chain(private_keys(text)).chain(in_urls(text))
}

/// Provider tokens and JSON web tokens: both begin where a word does.
fn tokens(text: &str) -> impl Iterator<Item = Secret> {
    let bytes = text.as_bytes();
    let mut known = [false; 256];
    for first in PROVIDERS.iter().filter_map(|provider| provider.prefix.bytes().next()).chain([b'e']) {
        if let Some(known) = known.get_mut(usize::from(first)) {
            *known = true;
        }
    }
    let mut inside = false;
    let mut skip = 0;
    bytes.iter().enumerate().filter_map(move |(at, byte)| {
        let begins = !inside && at >= skip && known.get(usize::from(*byte)).is_some_and(|known| *known);
        inside = byte.is_ascii_alphanumeric() || *byte == b'_';
        if !begins {
            return None;
        }
        let rest = text.get(at..)?;
        let secret = PROVIDERS.iter().find_map(|provider| token(provider, rest, at)).or_else(|| web_token(rest, at))?;
        skip = secret.span.end;
        Some(secret)
    })
}

fn token(provider: &Provider, rest: &str, at: usize) -> Option<Secret> {
    let body = rest.strip_prefix(provider.prefix)?;
    let length = body.bytes().take(provider.most + 2).take_while(|byte| provider.alphabet.has(*byte)).count();
    // A full stop after the token belongs to the sentence.
    let length = length - body.get(..length)?.bytes().rev().take_while(|byte| *byte == b'.').count();
    if !(provider.least..=provider.most).contains(&length) {
        return None;
    }
    // Where the word goes on, it is a longer name that begins alike.
    let next = body.as_bytes().get(length).copied().unwrap_or(b' ');
    let body = body.get(..length)?;
    if next.is_ascii_alphanumeric() || next == b'_' {
        return None;
    }
    let proved = match provider.proof {
        Proof::Shape => true,
        Proof::Crc62 => {
            let (random, sum) = body.split_at_checked(length - 6)?;
            base62(crc32(random.as_bytes())) == sum.as_bytes()
        }
        Proof::Holds(part) => {
            if !body.contains(part) {
                return None;
            }
            true
        }
    };
    let severity = match (proved, is_placeholder(body)) {
        (_, true) | (false, _) => Severity::Low,
        (true, false) => Severity::High,
    };
    let doubt = if proved { "" } else { ", whose checksum is wrong" };
    let message =
        format!("{} (`{}…`, {} characters{doubt})", provider.name, provider.prefix, provider.prefix.len() + length);
    Some(Secret { rule: "secret-token", severity, span: at..at + provider.prefix.len() + length, message })
}

/// Six digits of base 62, most significant first, in the order 0-9 A-Z a-z.
fn base62(mut number: u32) -> [u8; 6] {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 62).unwrap_or_default();
        *digit = match value {
            0..10 => b'0' + value,
            10..36 => b'A' + value - 10,
            _ => b'a' + value - 36,
        };
        number /= 62;
    }
    digits
}

/// `eyJ….….…`: a header, claims and a signature.
fn web_token(rest: &str, at: usize) -> Option<Secret> {
    const HEADER: usize = 512;
    const PART: usize = 8192;
    if !rest.starts_with("eyJ") {
        return None;
    }
    let bytes = rest.as_bytes();
    let header_end = memchr(b'.', bytes.get(..bytes.len().min(HEADER))?)?;
    let behind = bytes.get(header_end + 1..)?;
    if !behind.starts_with(b"eyJ") {
        return None;
    }
    let header = base64(bytes.get(..header_end)?)?;
    memmem::find(&header, b"\"alg\"")?;
    let part = |bytes: &[u8]| bytes.iter().take(PART).take_while(|byte| Alphabet::Url.has(**byte)).count();
    let claims = behind.get(..part(behind))?;
    let signature = behind.get(claims.len()..)?.strip_prefix(b".")?;
    let signature = signature.get(..part(signature))?;
    if signature.len() < 16 {
        return None;
    }
    let decoded = base64(claims).unwrap_or_default();
    let example =
        memmem::find(&decoded, b"1234567890").is_some() || is_placeholder(&String::from_utf8_lossy(signature));
    let severity = if example { Severity::Low } else { Severity::High };
    let length = header_end + 1 + claims.len() + 1 + signature.len();
    let message = format!("a JSON web token ({length} characters)");
    Some(Secret { rule: "secret-token", severity, span: at..at + length, message })
}

/// PEM private keys with a body. The header alone is how documentation names them.
fn private_keys(text: &str) -> impl Iterator<Item = Secret> {
    const BEGIN: &str = "-----BEGIN ";
    const LEAST: usize = 64;
    let mut skip = 0;
    memmem::find_iter(text.as_bytes(), BEGIN.as_bytes()).filter_map(move |at| {
        if at < skip {
            return None;
        }
        let rest = text.get(at + BEGIN.len()..)?;
        let head = rest.get(..floor(rest, 60))?;
        let (kind, _) = head.split_once("PRIVATE KEY")?;
        if kind.contains('-') {
            return None;
        }
        let body = rest.get(kind.len() + "PRIVATE KEY".len()..)?.strip_prefix("-----")?;
        // The next line of dashes ends it, so that no text is read twice.
        let end = memmem::find(body.as_bytes(), b"-----").unwrap_or(body.len());
        // Line feeds may be real or, in a default that is JSON within JSON, two characters.
        let is_part = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || byte.is_ascii_whitespace()
                || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b':' | b',' | b'-')
        };
        let length = body.bytes().take(end).take_while(|byte| is_part(*byte)).count();
        let key = body.get(..length)?;
        let end = at + BEGIN.len() + rest.len() - body.len() + length;
        skip = end;
        if key.len() < LEAST || is_placeholder(key.get(..LEAST).unwrap_or_default()) {
            return None;
        }
        let message = format!("a private key ({} bytes of PEM)", end - at);
        Some(Secret { rule: "private-key", severity: Severity::High, span: at..end, message })
    })
}

/// `scheme://user:password@host`.
fn in_urls(text: &str) -> impl Iterator<Item = Secret> {
    const LONGEST: usize = 300;
    memmem::find_iter(text.as_bytes(), b"://").filter_map(move |colon| {
        let rest = text.get(colon + 3..)?;
        let end = rest.bytes().take(LONGEST).position(|byte| {
            byte <= b' ' || matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'?' | b'#' | b'@')
        })?;
        if rest.as_bytes().get(end) != Some(&b'@') {
            return None;
        }
        let (user, password) = rest.get(..end)?.split_once(':')?;
        let usual = [
            "password", "pass", "passwd", "pw", "pwd", "secret", "postgres", "root", "admin", "guest", "token", "key",
            "user", "test",
        ];
        let plain = password.to_ascii_lowercase();
        if password.len() < 6
            || plain == user.to_ascii_lowercase()
            || usual.contains(&plain.as_str())
            || is_placeholder(password)
        {
            return None;
        }
        if password.starts_with(['$', '{', '[', '%', '*']) {
            return None;
        }
        let start = colon + 3 + user.len() + 1;
        let span = start..colon + 3 + end;
        Some(Secret {
            rule: "password-in-url",
            severity: Severity::Medium,
            span,
            message: "a password within a URL".to_owned(),
        })
    })
}

/// Whether the text is what documentation puts where a secret belongs.
fn is_placeholder(body: &str) -> bool {
    const WORDS: [&str; 18] = [
        "example",
        "sample",
        "placeholder",
        "your",
        "xxxx",
        "dummy",
        "fake",
        "redacted",
        "changeme",
        "insert",
        "token_here",
        "1234567",
        "abcdef",
        "0000",
        "secret",
        "....",
        "abc123",
        "tokenhere",
    ];
    let low = body.to_ascii_lowercase();
    if WORDS.iter().any(|word| low.contains(word)) {
        return true;
    }
    let mut seen = [false; 256];
    for byte in low.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let runs = low.as_bytes().windows(5).any(|window| window.iter().all(|byte| Some(byte) == window.first()));
    // Random characters of any alphabet have a digit among the first few dozen.
    let words = low.len() >= 24 && !low.bytes().any(|byte| byte.is_ascii_digit());
    runs || words || distinct * 4 < low.len().min(32)
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, scan};
    use super::*;

    fn found(text: &str) -> Vec<Finding> {
        scan(&Text { surface: Surface::SchemaValue, at: "", text }, &Context::default())
    }

    /// A token that no scanner of source code takes for one: it is put together at run time.
    fn github(random: &str) -> String {
        let sum = base62(crc32(random.as_bytes()));
        format!("ghp_{random}{}", String::from_utf8_lossy(&sum))
    }

    #[test]
    fn checksums_tell_tokens_from_examples() {
        let token = github("zQ7f2LxW9kR4tB8vN1mC6yH3jP5sD0");
        let list = found(&format!("Use {token}."));
        assert_eq!((list.len(), list[0].severity), (1, Severity::High));
        assert_eq!(list[0].span, 4..44);
        assert!(!list[0].message.contains("zQ7f"), "{}", list[0].message);
        let broken = token.replace("zQ", "zR");
        assert_eq!(found(&broken)[0].severity, Severity::Low);
        assert!(found(&format!("x{token}")).is_empty(), "the end of a longer word");
        assert!(found(&format!("{token}x")).is_empty(), "too long");
    }

    #[test]
    fn the_digits_of_github_are_in_their_order() {
        assert_eq!(&base62(0), b"000000");
        assert_eq!(&base62(61), b"00000z");
        assert_eq!(&base62(62), b"000010");
        assert_eq!(&base62(36), b"00000a");
        assert_eq!(&base62(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn placeholders_are_notes_at_most() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "sk-ant-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "postgresql://user:password@localhost:5432/db",
            "https://me:${TOKEN}@example.org",
            "must start with -----BEGIN PRIVATE KEY-----",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        ] {
            assert!(found(text).iter().all(|finding| finding.severity == Severity::Low), "{text}");
        }
    }

    #[test]
    fn keys_and_passwords() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjMzEfYyjiWA4R4".to_owned();
        for feed in ["\n", "\\n"] {
            let pem = format!("-----BEGIN RSA PRIVATE KEY-----{feed}{body}{feed}-----END RSA PRIVATE KEY-----");
            assert_eq!(found(&pem)[0].rule, "private-key");
        }
        let list = found("mysql://app:hunter29Zq@db.internal/x");
        assert_eq!((list[0].rule, list[0].span.clone()), ("password-in-url", 12..22));
    }

    #[test]
    fn floods_of_beginnings_are_linear_and_empty() {
        assert!(found(&"ghp_".repeat(50_000)).is_empty());
        assert!(found(&"eyJ".repeat(50_000)).is_empty());
        assert!(
            found(&"-----BEGIN PRIVATE KEY-----".repeat(20_000)).iter().all(|finding| finding.rule != "private-key")
        );
    }
}
