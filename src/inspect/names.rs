//! Names: odd characters in one, and names that a reader takes for each other.

use super::finding::{Finding, Found};
use super::fold::{fold, is_impostor};
use super::{Context, Severity, Surface, Text};
use std::collections::HashMap;

/// Names up to this many characters are compared by edits; nobody confuses longer ones by one letter.
const LONGEST: usize = 64;
/// Shorter names differ by one letter all the time.
const SHORTEST: usize = 8;

/// Looks at the characters of a name.
pub(super) fn detect(text: &Text<'_>, _: &Context, found: &mut Found) {
    if text.surface != Surface::Name {
        return;
    }
    let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/'));
    let Some((at, c)) = text.text.char_indices().find(|(_, c)| odd(*c)) else { return };
    // Blanks and a few signs are only unusual; other scripts and invisible characters are how names are forged.
    let severity = if c.is_ascii() && !c.is_ascii_control() { Severity::Low } else { Severity::Medium };
    let forged = text.text.chars().any(is_impostor) && text.text.chars().any(|c| c.is_ascii_alphabetic());
    let severity = if forged { Severity::High } else { severity };
    let shown = if c.is_ascii_graphic() { format!("`{c}`") } else { format!("U+{:04X}", u32::from(c)) };
    found.add(
        "odd-name",
        severity,
        at..at + c.len_utf8(),
        format!("a name with {shown}, outside letters, digits and `_.-/`"),
    );
}

/// Names that a reader takes for one another: within `names`, and of `names` with `known` ones of other servers. Each
/// finding comes with the index of the name that it is about, and its span is that whole name.
///
/// Linear in the number of names: names are looked up by what they look like and by what is left of them without one of
/// their characters, never compared pair by pair.
pub(super) fn compare(names: &[&str], known: &[&str]) -> Vec<(usize, Finding)> {
    let mut found = Vec::new();
    let mut report = |index: usize, rule, severity, message| {
        let span = 0..names.get(index).map_or(0, |name| name.len());
        if !span.is_empty() {
            found.push((index, Finding { rule, severity, span, message }));
        }
    };
    let mut alike: HashMap<String, &str> = HashMap::new();
    let mut looks: HashMap<String, &str> = HashMap::new();
    let mut nearly: HashMap<String, Vec<&str>> = HashMap::new();
    // Known names go first, so that what is reported is always one of `names`.
    let known = known.iter().map(|name| (None, *name));
    for (index, name) in known.chain(names.iter().enumerate().map(|(index, name)| (Some(index), *name))) {
        let (spoken, seen) = (spoken(name), seen(name));
        let twin = looks.get(&seen).filter(|other| **other != name).map(|other| (*other, Severity::High, "looks like"));
        let twin = twin.or_else(|| {
            let other = *alike.get(&spoken)?;
            // Another script in it means a forgery, capitals and separators a variant.
            let severity = if name.is_ascii() && other.is_ascii() { Severity::Medium } else { Severity::High };
            (other != name).then_some((other, severity, "is, but for capitals and separators,"))
        });
        let near = || {
            let shapes = shapes(name);
            shapes.iter().filter_map(|shape| nearly.get(shape)).flatten().find(|other| is_slip(name, other)).copied()
        };
        if let Some(index) = index {
            if let Some((other, severity, what)) = twin {
                report(index, "look-alike-name", severity, format!("{what} `{}`", super::excerpt::shown(other)));
            } else if let Some(other) = near() {
                report(
                    index,
                    "near-name",
                    Severity::Medium,
                    format!("is one slip away from `{}`", super::excerpt::shown(other)),
                );
            } else if looks.contains_key(&seen) {
                report(index, "taken-name", Severity::Low, "is the name of another server's tool, too".to_owned());
            }
        }
        for shape in shapes(name) {
            let others = nearly.entry(shape).or_default();
            if others.len() < 4 {
                others.push(name);
            }
        }
        alike.entry(spoken).or_insert(name);
        looks.entry(seen).or_insert(name);
    }
    found
}

/// The name as it is spoken: letters and digits without capitals, accents, separators.
fn spoken(name: &str) -> String {
    name.chars().filter_map(fold).filter(|c| !matches!(c, '_' | '-' | '.' | '/' | ' ')).collect()
}

/// The name as it is seen in a narrow font: what looks alike is one.
fn seen(name: &str) -> String {
    let folded = |c: char| match c {
        '0' | 'O' => Some('o'),
        '1' | 'I' | '|' => Some('l'),
        _ if c.is_ascii() => Some(c),
        _ => {
            let plain = fold(c)?;
            Some(if c.is_uppercase() { plain.to_ascii_uppercase() } else { plain })
        }
    };
    let plain: String = name.chars().filter_map(folded).collect();
    plain.replace("rn", "m").replace("vv", "w")
}

/// What is left of the name without each of its characters in turn, and the name itself: two names that are one edit
/// apart have one of these in common.
fn shapes(name: &str) -> Vec<String> {
    let count = name.chars().count();
    if !(SHORTEST - 1..=LONGEST).contains(&count) {
        return vec![];
    }
    let without = |(at, c): (usize, char)| {
        let (before, after) = (name.get(..at).unwrap_or_default(), name.get(at + c.len_utf8()..).unwrap_or_default());
        format!("{before}{after}")
    };
    name.char_indices().map(without).chain([name.to_owned()]).collect()
}

/// Whether one name is the other with one slip of the fingers that a reader overlooks: two letters swapped, one doubled
/// or left out within a word. Plurals, versions, and another letter in a place (`get_x`, `set_x`) are no slips.
fn is_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    if long.len() < SHORTEST {
        return false;
    }
    let same = short.iter().zip(long.iter()).take_while(|(a, b)| a == b).count();
    let letter = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic());
    if short.len() == long.len() {
        let swapped = long.get(same) == short.get(same + 1) && long.get(same + 1) == short.get(same);
        return swapped
            && letter(long.get(same))
            && letter(long.get(same + 1))
            && long.get(same + 2..) == short.get(same + 2..);
    }
    if short.len() + 1 != long.len() || long.get(same + 1..) != short.get(same..) {
        return false;
    }
    // The extra letter has to stand within a word: a change of its beginning or end is another word.
    let within = same > 0 && letter(long.get(same - 1)) && letter(long.get(same)) && letter(long.get(same + 1));
    within && long.get(same).is_some_and(|c| c.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(names: &[&str], known: &[&str]) -> Vec<(usize, &'static str, Severity)> {
        compare(names, known).into_iter().map(|(index, finding)| (index, finding.rule, finding.severity)).collect()
    }

    #[test]
    fn look_alikes() {
        assert_eq!(
            rules(&["read_file", "reаd_file"], &[]),
            [(1, "look-alike-name", Severity::High)],
            "a Cyrillic letter"
        );
        assert_eq!(rules(&["list_all", "Iist_all"], &[]), [(1, "look-alike-name", Severity::High)]);
        assert_eq!(rules(&["read_file", "read\u{200b}_file"], &[]), [(1, "look-alike-name", Severity::High)]);
        assert_eq!(rules(&["read_file", "readFile"], &[]), [(1, "look-alike-name", Severity::Medium)]);
        assert_eq!(rules(&["modern_run", "modem_run"], &[]), [(1, "look-alike-name", Severity::High)]);
    }

    #[test]
    fn slips() {
        assert_eq!(rules(&["transfer_funds", "tranfser_funds"], &[]), [(1, "near-name", Severity::Medium)]);
        assert_eq!(rules(&["send_message", "send_mesage"], &[]), [(1, "near-name", Severity::Medium)]);
        for fine in [
            ["get_status", "set_status"],
            ["read_file_1", "read_file_2"],
            ["list_directory", "list_directorys"],
            ["browser_tab", "browser_tabs"],
            ["add_note", "add_notes"],
            ["search", "serach"],
            ["create_branch", "create_branch2"],
        ] {
            assert_eq!(rules(&fine, &[]), [], "{fine:?}");
        }
    }

    #[test]
    fn other_servers_names() {
        assert_eq!(rules(&["send_emai1"], &["send_email"]), [(0, "look-alike-name", Severity::High)]);
        assert_eq!(rules(&["search"], &["search"]), [(0, "taken-name", Severity::Low)]);
        assert_eq!(rules(&["search"], &["fetch"]), []);
    }

    #[test]
    fn many_names_are_not_compared_pair_by_pair() {
        let names: Vec<String> = (0..20_000).map(|n| format!("generated_tool_{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(compare(&names, &[]).iter().filter(|(_, f)| f.severity > Severity::Medium).count(), 0);
        let long = ["x".repeat(1 << 20), "y".repeat(1 << 20)];
        assert_eq!(compare(&[&long[0], &long[1]], &[]), []);
    }
}
