//! Numbers: the grammar of RFC 8259 section 6, and no value beyond a double.

use super::fault::{Fault, What};

/// A number of at most so many bytes whose exponent has at most two digits is below 1e300.
const SURELY_SMALL: usize = 200;

/// The largest double is 0.17976… times ten to this power.
const ORDER_OF_MAX: i64 = 309;

/// Checks the number that starts at `start` and gives the offset behind it.
#[inline]
pub(super) fn number(text: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    let mut certain = true;
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let exponent = at;
        at = digits(text, at)?;
        certain = at - exponent <= 2;
    }
    if (!certain || at - start > SURELY_SMALL) && !fits(text.get(start..at).unwrap_or_default()) {
        return Err(Fault::new(start, What::NumberTooLarge));
    }
    Ok(at)
}

/// The offset behind at least one digit.
#[inline(always)]
fn digits(text: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    if at == from { Err(Fault::expected(text, at, "a digit")) } else { Ok(at) }
}

/// Whether a number of correct grammar is finite as a double.
///
/// The library's own conversion takes exponents beyond five digits for others, so here it only ever sees numbers of
/// the one order of magnitude in which the largest double lies.
#[cold]
fn fits(number: &[u8]) -> bool {
    let is_exponent = |byte: &u8| matches!(byte, b'e' | b'E');
    let (mantissa, exponent) = match number.iter().position(is_exponent) {
        Some(at) => (number.get(..at).unwrap_or_default(), number.get(at + 1..).unwrap_or_default()),
        None => (number, &b"0"[..]),
    };
    let mut whole = mantissa.splitn(2, |byte| *byte == b'.');
    let (before, after) = (whole.next().unwrap_or_default(), whole.next().unwrap_or_default());
    let before = before.strip_prefix(b"-").unwrap_or(before);
    let digits = || before.iter().chain(after);
    let Some(zeros) = digits().position(|digit| *digit != b'0') else { return true };
    // The value is 0.ddd times ten to this power, with the first digit not zero.
    let order = signed(before.len()).saturating_sub(signed(zeros)).saturating_add(power(exponent));
    if order != ORDER_OF_MAX {
        return order < ORDER_OF_MAX;
    }
    let scaled: String = digits().skip(zeros).map(|digit| char::from(*digit)).collect();
    format!("0.{scaled}e{ORDER_OF_MAX}").parse().is_ok_and(f64::is_finite)
}

/// An exponent with its sign; beyond 64 bits the nearest that there is.
fn power(exponent: &[u8]) -> i64 {
    let (negative, digits) = match exponent.split_first() {
        Some((sign @ (b'-' | b'+'), digits)) => (*sign == b'-', digits),
        _ => (false, exponent),
    };
    let step = |power: i64, digit: &u8| power.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    let power = digits.iter().fold(0, step);
    if negative { -power } else { power }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<usize, What> {
        number(text.as_bytes(), 0).map_err(|fault| fault.what)
    }

    #[test]
    fn the_grammar() {
        for good in ["0", "-0", "7", "-12", "10.25", "0.5e3", "1E+2", "1e-2", "-0.0E-00", "12345678901234567890"] {
            assert_eq!(whole(good), Ok(good.len()), "{good}");
        }
        for (text, length) in [("01", 1), ("1x", 1), ("0x10", 1), ("1.5.5", 3), ("1e5e5", 3), ("1-2", 1)] {
            assert_eq!(whole(text), Ok(length), "{text}");
        }
        for bad in ["-x", "1.e5", "1ex", "1e+x", "--1", "-.5"] {
            assert_eq!(whole(bad), Err(What::NotJson { expected: "a digit" }), "{bad}");
        }
        for bad in ["-", "1.", "1e", "1e+"] {
            assert_eq!(whole(bad), Err(What::Truncated), "{bad}");
        }
    }

    #[test]
    fn no_number_beyond_a_double() {
        let long = |digits: usize| "9".repeat(digits);
        let tiny = |exponent| format!("0.{}1e{exponent}", "0".repeat(1_000_000));
        let fits = [
            "1.7976931348623157e308",
            "1e308",
            "-1e0000000000000000000000000000000308",
            "1e-400",
            "1e-99999999999999999999999",
            "0e99999999999999999999999999",
            "0.0000000000000000000000001e330",
            &long(308),
            &format!("{}e-5000", long(5000)),
            &tiny("1000010"),
            &tiny("1000309"),
            &format!("0.{}", "7".repeat(5000)),
            &format!("1{}e-5000", "0".repeat(5308)),
        ];
        for text in fits {
            assert_eq!(whole(text), Ok(text.len()), "{text}");
        }
        let huge = [
            "1e309",
            "-1e400",
            "1.8e308",
            "1e99999999999999999999999",
            &long(309),
            &format!("{}.0", long(400)),
            &tiny("1000400"),
        ];
        for text in huge {
            assert_eq!(whole(text), Err(What::NumberTooLarge), "{}", &text[..text.len().min(40)]);
        }
    }
}
