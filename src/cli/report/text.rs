//! The report for people.

use super::{Checked, Level, State};
use crate::cli::output::{BOLD, GREEN, RED, YELLOW, styled, visible};
use std::fmt::Write;

pub(super) fn render(servers: &[Checked]) -> String {
    let mut out = String::new();
    for checked in servers {
        let _never_fails = writeln!(out, "{}", heading(checked));
        for line in checked.prose.lines() {
            // no blank and no colon at the start: a workflow's log obeys a line that begins with two of them
            let _never_fails = writeln!(out, "  | {}", line.replace("##[", "##<U+005B>"));
        }
        for problem in &checked.problems {
            let item = problem.item.as_ref().map(|item| format!("{} `{}`: ", item.kind, plain_line(&item.name)));
            let style = match problem.level {
                Level::Error => RED,
                Level::Warning => YELLOW,
                Level::Note => BOLD,
            };
            let message = plain_line(&problem.message);
            let rule = styled(style, &format!("{}[{}]", problem.level.word(), problem.rule));
            let _never_fails = writeln!(out, "  {rule} {}{message}", item.unwrap_or_default());
        }
        for note in &checked.notes {
            let _never_fails = writeln!(out, "  note: {}", plain_line(note));
        }
    }
    out
}

/// What came of a server, in one line.
pub(super) fn heading(checked: &Checked) -> String {
    let (style, word) = match checked.state {
        State::Same => (GREEN, "as approved"),
        State::Drifted => (RED, "not as approved"),
        State::NotApproved => (YELLOW, "never approved"),
        State::Failed => (RED, "not checked"),
    };
    let count = |kind: &str| checked.items.iter().filter(|item| item.kind == kind).count();
    let counted: Vec<String> = [("tool", "tools"), ("prompt", "prompts"), ("resource template", "resource templates")]
        .into_iter()
        .filter_map(|(one, many)| match count(one) {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        })
        .collect();
    let counted = if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) };
    format!("{}: {}{counted}", plain_line(&checked.server), styled(style, word))
}

/// Text of a stranger's on one line, without anything that a terminal or a workflow's log would obey.
pub(super) fn plain_line(text: &str) -> String {
    visible(text).replace("##[", "##<U+005B>")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, servers};
    use super::*;

    #[test]
    fn each_server_has_its_lines() {
        let text = anstream::adapter::strip_str(&render(&servers())).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "notes: as approved (2 tools)");
        assert_eq!(lines[1], "  note: the interpreter is another one");
        assert_eq!(lines[2], "weather: not as approved (1 tool, 1 prompt)");
        assert_eq!(lines[3..5], ["  | tool x", "  |   changed"]);
        assert!(lines[5].starts_with("  error[catalog-changed] tool `"), "{text}");
        assert!(lines.last().unwrap().ends_with("the server exited"), "{text}");
        assert_eq!(lines.len(), 9, "{text}");
    }

    #[test]
    fn nothing_is_obeyed() {
        let line = plain_line(HOSTILE);
        assert!(!line.contains("##[") && !line.chars().any(char::is_control), "{line}");
        let mut servers = servers();
        servers[1].prose = "::error::forged\n##[error]x\n".into();
        let text = anstream::adapter::strip_str(&render(&servers)).to_string();
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        assert!(!text.contains("##["), "{text}");
    }
}
