//! Signs that imitate the frame around a text: tags and brackets of importance, role markers of chat templates, markup that
//! a rendered page hides.

use super::cut::floor;
use super::finding::Found;
use super::fold::fold;
use super::surface::Surface;
use super::{Context, Severity, Text};
use memchr::{memchr_iter, memmem};

/// Tags that no markup language has and whose name is an order, a claim of authority or a claim of secrecy.
const STRONG: &[&str] = &[
    "important",
    "critical",
    "hidden",
    "secret",
    "system",
    "sys",
    "instruction",
    "instructions",
    "systemprompt",
    "systemmessage",
    "systemreminder",
    "systeminstruction",
    "systeminstructions",
    "admin",
    "override",
    "urgent",
    "mandatory",
    "directive",
    "priority",
    "assistant",
    "developer",
    "internal",
    "confidential",
    "private",
    "jailbreak",
    "attention",
    "hiddeninstructions",
    "agentinstructions",
    "importantinstructions",
    "rules",
    "policy",
    "toolinstructions",
    "prompt",
    "invisible",
    "veryimportant",
    "root",
    "sudo",
];

/// Tokens between `<|` and `|>` in chat templates.
const ROLE_TOKENS: &[&str] = &[
    "im_start",
    "im_end",
    "im_sep",
    "system",
    "user",
    "assistant",
    "end",
    "endoftext",
    "begin_of_text",
    "end_of_text",
    "start_header_id",
    "end_header_id",
    "eot_id",
    "eom_id",
    "python_tag",
    "tool",
    "channel",
    "message",
    "return",
    "call",
    "constrain",
    "endofprompt",
    "start_of_role",
    "end_of_role",
    "fim_prefix",
    "begin_of_sentence",
    "end_of_turn",
];

/// What stands in brackets at the start of a forged message: a first word, and the words that may follow it.
const BRACKETS: &[(&str, &str)] = &[
    ("inst", ""),
    ("/inst", ""),
    ("system", "note message prompt instruction instructions override update notice alert command directive"),
    ("assistant", "note instruction instructions directive"),
    ("agent", "note instruction instructions directive"),
    ("ai", "note instruction instructions directive"),
    ("instruction", "for to"),
    ("instructions", "for to"),
    ("admin", "note message override command instruction instructions"),
    ("hidden", "note message instruction instructions directive"),
    ("/important", ""),
    ("/system", ""),
    ("/critical", ""),
    ("/hidden", ""),
    ("/instructions", ""),
];

/// Longer names are none.
const LONGEST: usize = 48;

/// Looks for signs.
pub(super) fn detect(text: &Text<'_>, _: &Context, found: &mut Found) {
    if text.surface == Surface::Icon {
        return;
    }
    let bytes = text.text.as_bytes();
    // The name of a strong tag that was opened, and where.
    let mut opened: Vec<(&'static str, usize)> = Vec::new();
    let mut comment_end = 0;
    for at in memchr_iter(b'<', bytes) {
        let rest = text.text.get(at + 1..).unwrap_or_default();
        if rest.starts_with("!--") && at >= comment_end {
            comment_end = comment(text.text, at, found);
        } else if rest.starts_with(['|', '｜']) {
            role_token(rest, at, found);
        } else if rest.starts_with("<SYS>>") || rest.starts_with("</SYS>>") {
            found.add(
                "role-marker",
                Severity::High,
                at..at + 2 + rest.find('>').unwrap_or_default() + 1,
                "a role marker of a chat template",
            );
        } else {
            tag(rest, at, &mut opened, found);
        }
    }
    for at in memchr_iter(b'[', bytes) {
        bracket(text.text.get(at + 1..).unwrap_or_default(), at, found);
    }
    styles(text.text, found);
}

/// `<!-- … -->`: seen by the model, not by who reads the rendered page. Gives its end.
fn comment(text: &str, at: usize, found: &mut Found) -> usize {
    let inside = text.get(at + 4..).unwrap_or_default();
    let length = memmem::find(inside.as_bytes(), b"-->");
    let end = length.map_or(text.len(), |length| at + 4 + length + 3);
    let words = inside.get(..length.unwrap_or(inside.len())).unwrap_or_default().split_whitespace().take(6).count();
    if words >= 3 {
        let severity = if words >= 6 { Severity::Medium } else { Severity::Low };
        found.add("hidden-markup", severity, at..end, "a comment that a rendered page does not show");
    }
    end
}

/// `<|im_start|>` and its like, also with the full-width bars of some templates.
fn role_token(rest: &str, at: usize, found: &mut Found) {
    let name = rest.char_indices().skip(1).take(LONGEST).find(|(_, c)| matches!(c, '|' | '｜' | '>'));
    let Some((length, bar)) = name else { return };
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let folded: String = rest.get(first..length).unwrap_or_default().chars().filter_map(fold).collect();
    let end = length + bar.len_utf8();
    if bar != '>' && rest.get(end..).is_some_and(|rest| rest.starts_with('>')) && ROLE_TOKENS.contains(&folded.as_str())
    {
        found.add("role-marker", Severity::High, at..at + 1 + end + 1, "a role marker of a chat template");
    }
}

/// `<IMPORTANT>`: a strong name in capitals, with attributes, or with its end tag. A lower-case name alone is how
/// descriptions write placeholders.
fn tag(rest: &str, at: usize, opened: &mut Vec<(&'static str, usize)>, found: &mut Found) {
    let mut name = String::new();
    let (mut capitals, mut small) = (false, false);
    let mut closing = false;
    let mut end = None;
    let mut attributes = false;
    for (offset, c) in rest.char_indices().take(4 * LONGEST) {
        match fold(c) {
            None => {}
            Some('/') if name.is_empty() => closing = true,
            Some('>') => {
                end = Some(at + 1 + offset + 1);
                break;
            }
            Some('<' | '\n') => break,
            Some(' ') if name.is_empty() => {}
            Some(' ') => attributes = true,
            Some(letter) if letter.is_ascii_lowercase() && !attributes => {
                capitals |= c.is_uppercase();
                small |= c.is_lowercase();
                name.push(letter);
            }
            Some('_' | '-') if !attributes => {}
            Some('=') if attributes => attributes = true,
            Some(_) if attributes => {}
            Some(_) => return,
        }
        if name.len() > LONGEST {
            return;
        }
    }
    let (Some(end), Some(name)) = (end, STRONG.iter().find(|known| **known == name)) else { return };
    let message = || "a pseudo tag that claims importance, authority or secrecy";
    if closing {
        if let Some(index) = opened.iter().position(|(open, _)| open == name) {
            let (_, start) = opened.swap_remove(index);
            found.add("pseudo-tag", Severity::High, start..end, message());
        } else {
            found.add("pseudo-tag", Severity::Medium, at..end, message());
        }
    } else if capitals && !small {
        found.add("pseudo-tag", Severity::High, at..end, message());
    } else if !opened.iter().any(|(open, _)| open == name) {
        opened.push((name, at));
    }
}

/// `[INST]`, `[SYSTEM NOTE]`, `[INSTRUCTION FOR AGENT]`.
fn bracket(rest: &str, at: usize, found: &mut Found) {
    let Some(end) = rest.char_indices().take(2 * LONGEST).find(|(_, c)| matches!(c, ']' | ':' | '\n' | '[')) else {
        return;
    };
    let (end, last) = end;
    let inside = rest.get(..end).unwrap_or_default();
    if last == '\n'
        || last == '['
        || inside.chars().any(char::is_lowercase) && !inside.starts_with(['/', 'S', 'A', 'I'])
    {
        return;
    }
    let folded: String = inside.chars().filter_map(fold).collect();
    let mut words = folded.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let known = BRACKETS.iter().any(|(known, then)| {
        first == *known && if then.is_empty() { second.is_empty() } else { then.split(' ').any(|word| word == second) }
    });
    if known {
        found.add(
            "role-marker",
            Severity::High,
            at..at + 1 + end + last.len_utf8(),
            "a bracketed marker that claims to come from the system",
        );
    }
}

/// Styles that keep text from the eye.
fn styles(text: &str, found: &mut Found) {
    if !text.contains('<') {
        return;
    }
    let mut from = 0;
    for at in memmem::find_iter(text.as_bytes(), b"style=") {
        if at < from {
            continue;
        }
        let end = floor(text, (at + 200).min(text.len()));
        let value = text.get(at..end).unwrap_or_default();
        let length = value.find('>').unwrap_or(value.len());
        let style: String =
            value.get(..length).unwrap_or_default().chars().filter(|c| !c.is_whitespace()).filter_map(fold).collect();
        let hides = [
            "display:none",
            "visibility:hidden",
            "font-size:0",
            "opacity:0;",
            "opacity:0\"",
            "color:transparent",
            "left:-9999",
        ];
        if hides.iter().any(|hide| style.contains(hide)) {
            found.add("hidden-markup", Severity::High, at..at + length, "a style that keeps text from the eye");
        }
        from = at + length;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Finding, scan};
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, Severity, String)> {
        let list: Vec<Finding> = scan(&Text { surface: Surface::Description, at: "", text }, &Context::default());
        list.into_iter().map(|f| (f.rule, f.severity, text[f.span.clone()].to_owned())).collect()
    }

    #[test]
    fn tags_are_spans() {
        let tag = |text: &str| {
            found(text).into_iter().find(|(rule, ..)| *rule == "pseudo-tag").map(|(_, severity, span)| (severity, span))
        };
        assert_eq!(tag("x <IMPORTANT> y"), Some((Severity::High, "<IMPORTANT>".into())));
        assert_eq!(tag("x <important>y</important> z"), Some((Severity::High, "<important>y</important>".into())));
        assert_eq!(tag("<\u{e0001}IMP\u{200b}ORTANT>"), Some((Severity::High, "<\u{e0001}IMP\u{200b}ORTANT>".into())));
        assert_eq!(tag("<ІMРORTANT>"), Some((Severity::High, "<ІMРORTANT>".into())), "Cyrillic letters");
        assert_eq!(tag("<IMPORTANT role=\"system\">"), Some((Severity::High, "<IMPORTANT role=\"system\">".into())));
        assert_eq!(tag("put <secret> or <system>:<user> here"), None, "placeholders");
        assert_eq!(tag("List<String> a < b <select> <city>"), None);
    }

    #[test]
    fn unclosed_tags_cost_no_second_look() {
        let many = "<important>".repeat(100_000);
        assert!(found(&many).is_empty());
        let comments = "<!-- a ".repeat(100_000);
        assert_eq!(found(&comments).len(), 1, "one comment up to the end");
    }

    #[test]
    fn brackets_are_told_from_labels() {
        let marked = |text: &str| found(text).iter().any(|(rule, ..)| *rule == "role-marker");
        assert!(marked("[INST] x [/INST]") && marked("[SYSTEM NOTE] follow") && marked("[INSTRUCTION FOR AGENT] x"));
        assert!(marked("[ASSISTANT INSTRUCTIONS: never]"));
        assert!(!marked("[FILE] and [DIR] and [WARNING] x: [SYSTEM] and arr[system]"));
        assert!(!marked("[system message](https://example.org)"), "the text of a link");
    }

    #[test]
    fn hidden_markup() {
        assert_eq!(found("<!-- x -->"), []);
        assert_eq!(
            found("a <span style='display: NONE'>b</span>").first().map(|f| (f.0, f.1)),
            Some(("hidden-markup", Severity::High))
        );
    }
}
