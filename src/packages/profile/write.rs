//! Strings, arrays and tables as TOML 1.0 writes them. The words may be a stranger's.

use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// The longest line that an array may have; a longer one has several values in each of a few lines.
const WIDEST: usize = 100;

/// A basic string. What a terminal or an editor would act on is escaped: control characters, and those that turn the
/// direction of what follows or show nothing.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || crate::inspect::is_invisible(c) => match u32::from(c) {
                code @ 0..=0xffff => out.push_str(&format!("\\u{code:04X}")),
                code => out.push_str(&format!("\\U{code:08X}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key: bare where it can be.
fn key(text: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !text.is_empty() && text.bytes().all(bare) { text.to_owned() } else { quoted(text) }
}

/// `KEY = ["…", "…"]`, wrapped where it is long.
pub(super) fn array(key: &str, values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    let line = format!("{key} = [{}]", values.join(", "));
    if line.chars().count() <= WIDEST { line } else { format!("{key} = [\n{}\n]", wrapped(&values)) }
}

/// Values in indented lines, as many in each as fit, a comma behind each.
fn wrapped(values: &[String]) -> String {
    let mut lines = vec![String::from(" ")];
    for value in values {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 1 && line + value.chars().count() + 2 > WIDEST {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&format!(" {value},"));
        }
    }
    lines.join("\n")
}

/// `# KEY = […]` in one line, ready to be used without its `#`.
pub(super) fn line_comment(key: &str, values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("# {key} = [{}]", values.join(", "))
}

/// `KEY = { A = "…" }`; a table of TOML 1.0 that stands in one line.
pub(super) fn table(name: &str, values: &[(String, String)]) -> String {
    let mut last: Vec<&(String, String)> = Vec::new();
    for pair in values {
        // A key twice would make the file unreadable; as on the command line, the last one holds.
        last.retain(|earlier| earlier.0 != pair.0);
        last.push(pair);
    }
    let pairs: Vec<String> = last.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
    format!("{name} = {{ {} }}", pairs.join(", "))
}

/// Where the value of a top-level string stands in the text, its quotes included.
pub(super) fn top_level_string(text: &str, name: &str) -> Option<Range<usize>> {
    let table: BTreeMap<String, Spanned<toml::Value>> = toml::from_str(text).ok()?;
    let value = table.get(name)?;
    value.get_ref().is_str().then(|| value.span())
}
