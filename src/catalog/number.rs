//! Numbers as ECMAScript writes them, which is how RFC 8785 wants them.

use super::fault::ItemFault;

/// The largest integer that every reader of JSON keeps exactly, 2^53 - 1.
pub(super) const LARGEST_INTEGER: i64 = (1 << 53) - 1;
/// Integers of at most this many digits are below [`LARGEST_INTEGER`].
const SAFE_DIGITS: usize = 15;

/// Appends the canonical spelling of a JSON number.
///
/// A number that is written as an integer must lie within ±(2^53 - 1): beyond that one reader keeps all digits where
/// another rounds, so the same text would mean two things. A fraction or a number with an exponent means the nearest
/// double to every reader; it is refused only where its canonical spelling would itself be such an integer, or where
/// no double is near.
pub(super) fn write(text: &[u8], into: &mut Vec<u8>) -> Result<(), ItemFault> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.iter().all(u8::is_ascii_digit) {
        if digits == b"0" {
            into.push(b'0');
            return Ok(());
        }
        if digits.len() > SAFE_DIGITS && !is_safe(digits) {
            return Err(ItemFault::number(text));
        }
        into.extend_from_slice(text);
        return Ok(());
    }
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let value = value.filter(|value| value.is_finite()).ok_or_else(|| ItemFault::number(text))?;
    // The comparison is exact: 2^53 is a double, and the next double below it is the largest integer allowed.
    if (9_007_199_254_740_992.0..1e21).contains(&value.abs()) {
        return Err(ItemFault::number(text));
    }
    write_double(value, into);
    Ok(())
}

fn is_safe(digits: &[u8]) -> bool {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
    number.is_some_and(|number| number <= LARGEST_INTEGER)
}

/// Appends a finite double as `Number::toString` of ECMA-262 (section 6.1.6.1.20) spells it.
///
/// The shortest digits that read back as the same double come from the standard library; only their layout is made here.
pub(super) fn write_double(value: f64, into: &mut Vec<u8>) {
    if value == 0.0 {
        // Negative zero has no sign there.
        into.push(b'0');
        return;
    }
    let (digits, exponent) = shortest(value.abs());
    // ECMA-262's n: how many of the digits stand before the decimal point.
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if value < 0.0 {
        into.push(b'-');
    }
    let zeros = |from: i32, to: i32| std::iter::repeat_n(b'0', usize::try_from(to - from).unwrap_or(0));
    let split = digits.split_at(usize::try_from(point).unwrap_or(0).min(digits.len()));
    match point {
        _ if count <= point && point <= 21 => {
            into.extend_from_slice(&digits);
            into.extend(zeros(count, point));
        }
        1..=21 => {
            into.extend_from_slice(split.0);
            into.push(b'.');
            into.extend_from_slice(split.1);
        }
        -5..=0 => {
            into.extend_from_slice(b"0.");
            into.extend(zeros(point, 0));
            into.extend_from_slice(&digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1.min(digits.len()));
            into.extend_from_slice(first);
            if !rest.is_empty() {
                into.push(b'.');
                into.extend_from_slice(rest);
            }
            into.extend_from_slice(format!("e{:+}", point - 1).as_bytes());
        }
    }
}

/// The shortest digits that read back as `value`, and the exponent of the first. Of several such, the nearest to the value;
/// of two as near, the even ones.
fn shortest(value: f64) -> (Vec<u8>, i32) {
    let taken_apart = |scientific: &str| {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        (mantissa.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>(), exponent.parse().unwrap_or(0))
    };
    let shortest = taken_apart(&format!("{value:e}"));
    // The standard library rounds up where the value lies in the middle between two candidates. Asked for a number of
    // digits it rounds to even; for as many digits the nearest candidate is what it gives in every other case, too.
    let even = format!("{value:.*e}", shortest.0.len().saturating_sub(1));
    if even.parse() == Ok(value) { taken_apart(&even) } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(bits: u64) -> String {
        let mut into = Vec::new();
        write_double(f64::from_bits(bits), &mut into);
        String::from_utf8(into).unwrap()
    }

    fn canonical(text: &str) -> Option<String> {
        let mut into = Vec::new();
        write(text.as_bytes(), &mut into).ok()?;
        Some(String::from_utf8(into).unwrap())
    }

    #[test]
    fn the_known_answers_of_rfc_8785_appendix_b() {
        let answers = [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ];
        for (bits, text) in answers {
            assert_eq!(double(bits), text, "{bits:x}");
        }
    }

    #[test]
    fn every_layout() {
        let texts = [
            ("1.0", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e5", "0"),
            ("1E2", "100"),
            ("1.5e1", "15"),
            ("123.456", "123.456"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.25e-9", "1.25e-9"),
            ("-1e-7", "-1e-7"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("10e-1", "1"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000000000000000000000000001", "1e-27"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("9007199254740991.0", "9007199254740991"),
        ];
        for (text, expected) in texts {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn integers_that_readers_round_differently_are_refused() {
        for text in [
            "9007199254740992",
            "-9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "100000000000000000000000",
            "1e20",
            "9007199254740992.0",
            "-9.5e15",
            "1e400",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn in_the_middle_the_even_digit_is_taken() {
        for (value, expected) in [
            (f64::from_bits(0x4314_3ff3_c1cb_0959), "1424953923781206.2"),
            (f64::from_bits(0x4314_3ff3_c1cb_095b), "1424953923781206.8"),
            (5e-324, "5e-324"),
            (2f64.powi(-44), "5.684341886080802e-14"),
        ] {
            let mut into = Vec::new();
            write_double(value, &mut into);
            assert_eq!(String::from_utf8(into).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_double(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = double(bits);
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
            if let Some(once) = canonical(&text) {
                prop_assert_eq!(&once, &text);
                prop_assert_eq!(canonical(&format!("{value:e}")), Some(text));
            }
        }
    }
}
