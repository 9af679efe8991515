//! How an approval's questions are put: what each is about, all that is to be judged, and what the answers came to.

use super::output::{BOLD, YELLOW, styled, visible};
use super::show;
use crate::approval::{Asked, ItemQuestion, Question};
use crate::catalog::{Change, Drift, Exemption, Item, ItemFault, Kind, Lock, Varies};
use std::path::Path;

/// What a question is about, in one line.
pub(super) fn title(question: &Question) -> String {
    let named = |item: &Item| match item.kind {
        Kind::Server => "what the server says of itself".to_owned(),
        kind => format!("{kind} `{}`", visible(&item.name)),
    };
    match question {
        Question::Identity { .. } => "another program than the one that was approved".into(),
        Question::Namespace(namespace) => format!("resources at `{}`", visible(namespace)),
        Question::Item(ItemQuestion { asked, item, optional, in_session, .. }) => {
            let what = match asked {
                Asked::New => format!("new: {}", named(item)),
                Asked::Renamed { from } => format!("renamed from `{}`: {}", visible(from), named(item)),
                Asked::Changed { .. } => format!("changed: {}", named(item)),
                Asked::Removed => return format!("gone: {}", named(item)),
                Asked::Sometimes => format!("not always there: {}", named(item)),
                Asked::Met { .. } => format!("another form: {}", named(item)),
            };
            let seen = match (in_session, optional) {
                (true, _) if matches!(asked, Asked::Sometimes) => " (a session did not find it)",
                (true, _) => " (seen in a session, not in this walk)",
                (false, true) => " (only some clients are shown it)",
                (false, false) => "",
            };
            format!("{what}{seen}")
        }
    }
}

/// All of what is to be judged.
pub(super) fn body(question: &Question) -> Result<String, ItemFault> {
    let drift = |change: &Option<Change>| {
        change.clone().map(|change| Drift { changes: vec![change] }.text(true)).unwrap_or_default()
    };
    Ok(match question {
        Question::Identity { change, .. } => drift(change),
        Question::Namespace(_) => {
            "  resources there can be listed and read; the resources themselves are not pinned\n".into()
        }
        Question::Item(ItemQuestion { asked, item, .. }) => match asked {
            Asked::New | Asked::Renamed { .. } => show::item(item)?,
            Asked::Changed { change: Some(_), .. } | Asked::Met { change: Some(_) } => match asked {
                Asked::Changed { change, .. } | Asked::Met { change } => drift(change),
                _ => String::new(),
            },
            Asked::Changed { change: None, .. } | Asked::Met { change: None } => show::item(item)?,
            Asked::Removed | Asked::Sometimes => String::new(),
        },
    })
}

/// The question itself.
pub(super) fn prompt(question: &Question) -> String {
    match question {
        Question::Identity { .. } => "approve this program?".into(),
        Question::Namespace(_) => "may resources live there?".into(),
        Question::Item(ItemQuestion { asked, item, .. }) => match (asked, item.kind) {
            (Asked::Removed, kind) => format!("forget this {kind}? (no: its absence stays drift)"),
            (Asked::Sometimes, kind) => format!("may this {kind} be absent?"),
            (Asked::Met { .. }, kind) => format!("may this {kind} have another form, too?"),
            (Asked::New | Asked::Renamed { .. } | Asked::Changed { .. }, Kind::Server) => "approve this?".into(),
            (Asked::New | Asked::Renamed { .. } | Asked::Changed { .. }, kind) => format!("approve this {kind}?"),
        },
    }
}

/// An exemption, with what it lets through.
pub(super) fn told(exemption: &Exemption) -> String {
    let Exemption { at, rule, .. } = exemption;
    let at = visible(at);
    match rule {
        Varies::Part { prefix, suffix, max } => {
            let (prefix, suffix) = (tail(prefix), head(suffix));
            format!("{at}, up to {max} letters, digits and ._:/+@=- between \"{prefix}\" and \"{suffix}\"")
        }
        Varies::Any => {
            let warning = styled(YELLOW, "whatever the server writes there is not looked at again");
            format!("{at}, all of it; {warning}")
        }
    }
}

fn tail(text: &str) -> String {
    let count = text.chars().count();
    let cut: String = text.chars().skip(count.saturating_sub(40)).collect();
    visible(&if count > 40 { format!("…{cut}") } else { cut })
}

fn head(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    visible(&if text.chars().count() > 40 { format!("{cut}…") } else { cut })
}

/// What was written, and what stays drift.
pub(super) fn conclusion(lock: &Lock, path: &Path, left_out: &[String]) -> String {
    let count = |kind: Kind, many: &str| match lock.entries.iter().filter(|entry| entry.kind == kind).count() {
        0 => None,
        1 => Some(format!("1 {kind}")),
        count => Some(format!("{count} {many}")),
    };
    let counts: Vec<String> =
        [(Kind::Tool, "tools"), (Kind::Prompt, "prompts"), (Kind::Template, "resource templates")]
            .into_iter()
            .filter_map(|(kind, many)| count(kind, many))
            .collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" with {}", counts.join(", ")) };
    let mut out = format!("\n{}{counts}: {}\n", styled(BOLD, "approved"), visible(&path.to_string_lossy()));
    if !left_out.is_empty() {
        out.push_str("left as it was, and so still drift at every run:\n");
        left_out.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
        out.push_str(
            "such a run is refused, or, with `drift = \"quarantine\"` under `[gate]` in the profile, goes on\n",
        );
        out.push_str("without what changed or is new\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemption(rule: Varies) -> Exemption {
        Exemption { at: "/description".into(), rule, reason: String::new() }
    }

    #[test]
    fn an_exemption_says_what_it_lets_through() {
        let part = Varies::Part { prefix: "a".repeat(100), suffix: "\u{1b}[31m".into(), max: 16 };
        let text = told(&exemption(part));
        assert!(text.contains("up to 16 letters") && text.contains(&format!("\"…{}\"", "a".repeat(40))), "{text}");
        assert!(text.contains("<U+001B>[31m"), "{text}");
        assert!(told(&exemption(Varies::Any)).contains("not looked at again"));
    }

    #[test]
    fn names_stay_in_their_line() {
        let text = r#"{"name":"a\u001b[2J\nb"}"#;
        let item = Item::new(Kind::Tool, crate::json::check(text.as_bytes()).unwrap().root).unwrap();
        let catalog = crate::catalog::Catalog { tools: [(item.name.clone(), item)].into(), ..Default::default() };
        let known = crate::approval::Known {
            absent: &[],
            namespaces: &[],
            walks: &[catalog],
            session: &[],
            identity: &crate::catalog::Identity::default(),
            lock: None,
        };
        let review = crate::approval::Review::new(known).unwrap();
        assert_eq!(title(&review.questions[0]), "new: tool `a<U+001B>[2J⏎b`");
    }
}
