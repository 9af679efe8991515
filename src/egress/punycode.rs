//! The `xn--` form of a name, for messages: RFC 3492, of the lower-cased text.
//!
//! It is shown, never compared: which characters a registry folds into one another is IDNA's matter, and a person who sees
//! the form that goes over the wire sees which name is meant.

use super::DnsName;

// RFC 3492 section 5
const BASE: u32 = 36;
const FIRST: u32 = 1;
const LAST: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;

/// The name with every label that is not ASCII in its `xn--` form; `None` where that is no name.
pub(super) fn name(text: &str) -> Option<DnsName> {
    // IDNA takes three other full stops for dots: RFC 3490 section 3.1.
    let dotted = text.to_lowercase().replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    let labels: Option<Vec<String>> = dotted.split('.').map(label).collect();
    DnsName::parse(&labels?.join(".")).ok()
}

fn label(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_owned());
    }
    // The algorithm is quadratic, and a label that could be encoded has far less.
    if label.len() > 256 {
        return None;
    }
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let total = u32::try_from(label.chars().count()).ok()?;
    let (mut threshold, mut delta, mut bias, mut handled) = (0x80_u32, 0_u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|point| *point >= threshold).min()?;
        delta = delta.checked_add((next - threshold).checked_mul(handled + 1)?)?;
        threshold = next;
        for point in label.chars().map(u32::from) {
            if point < threshold {
                delta = delta.checked_add(1)?;
            } else if point == threshold {
                variable(delta, bias, &mut out)?;
                bias = adapted(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        threshold += 1;
    }
    Some(format!("xn--{out}"))
}

/// A number of generalised variable length: section 3.3.
fn variable(mut number: u32, bias: u32, out: &mut String) -> Option<()> {
    let mut weight = BASE;
    loop {
        let limit = weight.saturating_sub(bias).clamp(FIRST, LAST);
        if number < limit {
            out.push(digit(number)?);
            return Some(());
        }
        out.push(digit(limit + (number - limit) % (BASE - limit))?);
        number = (number - limit) / (BASE - limit);
        weight += BASE;
    }
}

/// The digit of a value below 36: `a` to `z`, then `0` to `9`.
fn digit(value: u32) -> Option<char> {
    "abcdefghijklmnopqrstuvwxyz0123456789".chars().nth(usize::try_from(value).ok()?)
}

/// Section 6.1.
fn adapted(delta: u32, handled: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / handled;
    let mut weight = 0;
    while delta > ((BASE - FIRST) * LAST) / 2 {
        delta /= BASE - FIRST;
        weight += BASE;
    }
    weight + (BASE - FIRST + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_names() {
        for (text, expected) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            // RFC 3492 section 7.1 (A), (B), (I) in lower case
            ("ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("🦀.example", "xn--zs9h.example"),
            // A Cyrillic letter that looks like the Latin one is seen at once.
            ("аpi.github.com", "xn--pi-6kc.github.com"),
        ] {
            assert_eq!(name(text).map(|name| name.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_form() {
        assert_eq!(name(&"ü".repeat(64)), None);
        assert_eq!(name(&"\u{10ffff}".repeat(3000)), None);
        assert_eq!(name("ü ü.de"), None);
        assert_eq!(name("ü..de"), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_is_ascii(text in "\\PC{0,80}") {
            if let Some(name) = name(&text) {
                prop_assert!(name.as_str().is_ascii());
            }
        }
    }
}
