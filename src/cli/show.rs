//! Shows what a server wrote, whole, so that a person can judge it: nothing is cut, nothing is hidden, and nothing that
//! it holds is obeyed by the terminal.

use super::output::{DIM, styled, visible};
use crate::catalog::{Item, ItemFault};
use crate::json::{Kind as Json, Value};

/// How wide a value may be to stand on the line of its key, characters.
const INLINE: usize = 100;

/// An item as indented lines, a key on each; its name stands in the heading above.
///
/// # Errors
/// The item's text is none that this program makes.
pub(super) fn item(item: &Item) -> Result<String, ItemFault> {
    let mut out = String::new();
    let key = item.kind.key();
    crate::approval::with(&item.text, |value| {
        for (member, value) in value.members().filter(|(member, _)| key.is_none_or(|key| !member.is(key))) {
            field(&mut out, &member.decode(), value, 1);
        }
    })?;
    Ok(out)
}

fn field(out: &mut String, key: &str, value: Value<'_>, depth: usize) {
    let indent = "  ".repeat(depth);
    out.push_str(&format!("{indent}{}", styled(DIM, &visible(key))));
    below(out, value, depth);
}

/// The value behind a key or a dash, and the end of the line.
fn below(out: &mut String, value: Value<'_>, depth: usize) {
    if let Some(line) = inline(value) {
        out.push_str(&format!("  {line}\n"));
        return;
    }
    out.push('\n');
    match value.kind() {
        Json::Object => value.members().for_each(|(key, value)| field(out, &key.decode(), value, depth + 1)),
        Json::Array => {
            for element in value.elements() {
                out.push_str(&format!("{}-", "  ".repeat(depth + 1)));
                below(out, element, depth + 1);
            }
        }
        _ => block(out, &value.str().unwrap_or_default(), depth + 1),
    }
}

/// A text of several lines or a long one, behind a bar: what stands there cannot be taken for a key.
fn block(out: &mut String, text: &str, depth: usize) {
    for line in text.split('\n') {
        out.push_str(&format!("{}{} {}\n", "  ".repeat(depth), styled(DIM, "│"), visible(line)));
    }
}

/// A value that fits the line of its key.
fn inline(value: Value<'_>) -> Option<String> {
    let line = match value.kind() {
        Json::String => {
            let text = value.str()?;
            if text.contains('\n') {
                return None;
            }
            format!("\"{}\"", visible(&text))
        }
        Json::Object if value.members().next().is_none() => "{}".to_owned(),
        Json::Object => return None,
        Json::Array => {
            let parts = value.elements().map(|element| match element.kind() {
                Json::Object | Json::Array => None,
                _ => inline(element),
            });
            format!("[{}]", parts.collect::<Option<Vec<_>>>()?.join(", "))
        }
        Json::Null | Json::Bool | Json::Number => String::from_utf8_lossy(value.raw()).into_owned(),
    };
    (line.chars().count() <= INLINE).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Kind;

    fn shown(text: &str) -> String {
        let checked = crate::json::check(text.as_bytes()).unwrap();
        let made = Item::new(Kind::Tool, checked.root).unwrap();
        anstream::adapter::strip_str(&item(&made).unwrap()).to_string()
    }

    #[test]
    fn every_member_has_its_line() {
        let text = shown(
            r#"{"name":"read","description":"Reads.\nTwice.","inputSchema":{"type":"object","required":["a"],
               "properties":{"a":{"type":["string","null"],"enum":[1,{"x":[]}]},"b":{}}},"annotations":{"readOnlyHint":true}}"#,
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "  annotations",
                "    readOnlyHint  true",
                "  description",
                "    │ Reads.",
                "    │ Twice.",
                "  inputSchema",
                "    properties",
                "      a",
                "        enum",
                "          -  1",
                "          -",
                "            x  []",
                "        type  [\"string\", \"null\"]",
                "      b  {}",
                "    required  [\"a\"]",
                "    type  \"object\"",
            ]
        );
    }

    #[test]
    fn nothing_is_cut_or_obeyed() {
        let long = "word ".repeat(10_000);
        let text = shown(&format!(
            r#"{{"name":"a\u001b[2J\nb","description":"{long}\r\u202e\u200bend","\u0007key":"\u001b]0;x\u0007"}}"#
        ));
        assert!(text.contains(&long) && text.contains("<U+202E><U+200B>end"));
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("<U+0007>key  \"<U+001B>]0;x<U+0007>\""));
        assert_eq!(text.lines().count(), 3, "no line of the server's stands alone");
    }
}
