//! Control characters: those that terminals obey, and those that nothing should.

use super::Severity;
use super::finding::Found;

/// Control characters, escape sequences for terminals, and characters that mean nothing to anybody else.
pub(super) fn find(text: &str, found: &mut Found) {
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        let end = at + c.len_utf8();
        match c {
            '\u{1b}' | '\u{9b}' | '\u{90}' | '\u{9d}' => {
                let (length, severity, what) = escape(text.get(at..).unwrap_or_default());
                skip = at + length;
                found.add("terminal-escapes", severity, at..skip, what);
            }
            '\n' | '\t' | '\r' => {}
            _ if c.is_control() => {
                let message = format!("a control character (U+{:04X})", u32::from(c));
                found.add("control-characters", Severity::Medium, at..end, message);
            }
            '\u{e000}'..='\u{f8ff}'
            | '\u{f0000}'..='\u{10ffff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let message = format!("a character without a meaning of its own (U+{:04X})", u32::from(c));
                found.add("private-use-characters", Severity::Low, at..end, message);
            }
            _ => {}
        }
    }
}

/// The escape sequence at the start of `text`: its length in bytes, what it means, what to call it.
fn escape(text: &str) -> (usize, Severity, &'static str) {
    const LONGEST: usize = 64;
    let body = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix('\u{9b}'));
    let lead = text.chars().next().map_or(0, char::len_utf8);
    let Some(body) = body else { return (lead, Severity::High, "a control sequence for terminals") };
    let parameters = body.bytes().take(LONGEST).take_while(|byte| matches!(byte, b'0'..=b'?')).count();
    let end = text.len() - body.len() + parameters;
    let (parameters, rest) = body.split_at(parameters);
    let Some(last) = rest.chars().next().filter(char::is_ascii) else {
        return (end, Severity::High, "a broken control sequence");
    };
    if last != 'm' {
        return (end + 1, Severity::High, "a control sequence that moves the cursor or erases");
    }
    let numbers: Vec<&str> = parameters.split([';', ':']).collect();
    // Black on black and the like: the foreground's number is the background's less ten.
    let same = |number: &&str| {
        number.parse::<u16>().is_ok_and(|n| (30..=37).contains(&n) && numbers.contains(&(n + 10).to_string().as_str()))
    };
    if numbers.iter().any(|number| number.trim_start_matches('0') == "8") || numbers.iter().any(same) {
        return (end + 1, Severity::High, "a control sequence that hides text on terminals");
    }
    (end + 1, Severity::Low, "a colour for terminals")
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Finding, Surface, Text, scan};
    use super::*;

    fn found(text: &str) -> Vec<Finding> {
        scan(&Text { surface: Surface::Description, at: "", text }, &Context::default())
    }

    #[test]
    fn escapes_are_told_from_colours() {
        let rule =
            |text: &str| found(text).first().map(|finding| (finding.rule, finding.severity, finding.span.clone()));
        assert_eq!(rule("a\u{1b}[1;32mb"), Some(("terminal-escapes", Severity::Low, 1..8)));
        assert_eq!(rule("a\u{1b}[8mb"), Some(("terminal-escapes", Severity::High, 1..5)));
        assert_eq!(rule("a\u{1b}[30;40mb"), Some(("terminal-escapes", Severity::High, 1..9)));
        assert_eq!(rule("a\u{1b}[2Kb"), Some(("terminal-escapes", Severity::High, 1..5)));
        assert_eq!(rule("a\u{9b}2Kb"), Some(("terminal-escapes", Severity::High, 1..5)));
        assert_eq!(rule("a\u{1b}]8;;x"), Some(("terminal-escapes", Severity::High, 1..2)));
        assert_eq!(rule("a\u{1b}[é"), Some(("terminal-escapes", Severity::High, 1..3)));
        assert_eq!(rule("a\u{8}b"), Some(("control-characters", Severity::Medium, 1..2)));
    }
}
