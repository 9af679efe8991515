//! Workflow commands: annotations on a run of GitHub Actions
//! (docs.github.com, "Workflow commands for GitHub Actions").
//!
//! A runner obeys any line that begins with `::`, also after blanks, so nothing that a server wrote may begin one.

use super::text::{heading, plain_line};
use super::{Checked, Level, Problem, portable};
use std::fmt::Write;
use std::path::Path;

pub(super) fn render(servers: &[Checked], cwd: &Path) -> String {
    let mut out = String::new();
    for checked in servers {
        for problem in &checked.problems {
            command(&mut out, checked, problem, cwd);
        }
        for note in &checked.notes {
            let title = property(&format!("mcpjail: {}", plain_line(&checked.server)));
            let _never_fails = writeln!(out, "::notice title={title}::{}", data(&plain_line(note)));
        }
        let _never_fails = writeln!(out, "mcpjail: {}", heading(checked));
    }
    out
}

fn command(out: &mut String, checked: &Checked, problem: &Problem, cwd: &Path) {
    let name = match problem.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let title = format!("mcpjail: {} [{}]", plain_line(&checked.server), problem.rule);
    let mut properties = format!("title={}", property(&title));
    if let Ok(file) = portable(&checked.lock, cwd) {
        let _never_fails = write!(properties, ",file={}", property(&plain_line(&file.to_string_lossy())));
        if let Some(line) = problem.line {
            let _never_fails = write!(properties, ",line={line}");
        }
    }
    let about = problem.item.as_ref().map(|item| format!("{} `{}`: ", item.kind, plain_line(&item.name)));
    let message = format!("{}{}", about.unwrap_or_default(), plain_line(&problem.message));
    let _never_fails = writeln!(out, "::{name} {properties}::{}", data(&message));
}

/// What stands behind the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::servers;
    use super::*;

    /// Name, properties, data.
    type Command<'a> = (&'a str, Vec<(&'a str, String)>, String);

    /// Takes a command apart as a runner does.
    fn parse(line: &str) -> Option<Command<'_>> {
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let unescape = |text: &str| {
            let text = text.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n");
            text.replace("%25", "%")
        };
        let pairs = properties.split(',').filter_map(|pair| pair.split_once('='));
        Some((name, pairs.map(|(key, value)| (key, unescape(value))).collect(), unescape(data)))
    }

    #[test]
    fn no_server_forges_a_command() {
        let text = anstream::adapter::strip_str(&render(&servers(), Path::new("/team"))).to_string();
        let commands: Vec<_> = text.lines().filter_map(parse).collect();
        let names: Vec<&str> = commands.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["notice", "error", "warning", "error"], "{text}");
        assert!(!text.contains("##["), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let (_, properties, data) = &commands[1];
        assert_eq!(properties[0], ("title", "mcpjail: weather [catalog-changed]".to_owned()));
        assert!(data.contains("%0A,:;'") && data.contains("<U+202E>"), "{data}");
    }

    #[test]
    fn files_are_named_as_the_repository_knows_them() {
        let mut servers = servers();
        servers[2].problems[0].line = Some(7);
        let text = render(&servers, Path::new("/team"));
        let commands: Vec<_> = text.lines().filter_map(parse).collect();
        assert!(!commands[1].1.iter().any(|(key, _)| *key == "file"), "a file outside has no place there");
        let place: Vec<_> = commands[3].1.iter().skip(1).map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(place, [("file", "locks/command.lock.json"), ("line", "7")]);
    }
}
