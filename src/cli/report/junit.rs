//! JUnit's XML, as most CI systems read it: a suite for each server, a case for each item.

use super::{Checked, Item, Level, Problem, State};
use crate::cli::output::visible;
use std::fmt::Write;

pub(super) fn render(servers: &[Checked]) -> String {
    let suites: Vec<Suite> = servers.iter().map(Suite::of).collect();
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _never_fails = writeln!(
        out,
        "<testsuites name=\"mcpjail check\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        sum(|suite| suite.tests),
        sum(|suite| suite.failures),
        sum(|suite| suite.errors),
    );
    suites.iter().for_each(|suite| out.push_str(&suite.text));
    out.push_str("</testsuites>\n");
    out
}

struct Suite {
    text: String,
    tests: usize,
    failures: usize,
    errors: usize,
}

impl Suite {
    fn of(checked: &Checked) -> Suite {
        let mut cases = String::new();
        let (mut failures, mut errors) = (0, 0);
        let whole: Vec<&Problem> = checked.problems.iter().filter(|problem| problem.item.is_none()).collect();
        // the server itself is a case too: one that did not start has no items
        let of_items = checked.items.iter().map(|item| (Some(item), about(&checked.problems, item)));
        for (item, problems) in std::iter::once((None, whole)).chain(of_items) {
            let failed = checked.state == State::Failed && item.is_none();
            let bad = problems.iter().any(|problem| problem.level == Level::Error);
            match (failed, bad) {
                (true, _) => errors += 1,
                (false, true) => failures += 1,
                (false, false) => {}
            }
            case(&mut cases, checked, item, &problems, failed);
        }
        let tests = checked.items.len() + 1;
        let mut text = String::new();
        let _never_fails = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\">",
            attribute(&checked.server)
        );
        text.push_str(&cases);
        if !checked.notes.is_empty() {
            let _never_fails = writeln!(text, "    <system-out>{}</system-out>", content(&checked.notes.join("\n")));
        }
        text.push_str("  </testsuite>\n");
        Suite { text, tests, failures, errors }
    }
}

fn about<'a>(problems: &'a [Problem], item: &Item) -> Vec<&'a Problem> {
    problems.iter().filter(|problem| problem.item.as_ref() == Some(item)).collect()
}

fn case(out: &mut String, checked: &Checked, item: Option<&Item>, problems: &[&Problem], failed: bool) {
    let (class, name) = item.map_or(("server", "server"), |item| (item.kind, item.name.as_str()));
    let class = format!("{}.{class}", checked.server);
    let _never_fails = write!(out, "    <testcase classname=\"{}\" name=\"{}\"", attribute(&class), attribute(name));
    if problems.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    let told = |level: fn(&Level) -> bool| -> Vec<String> {
        let chosen = problems.iter().filter(|problem| level(&problem.level));
        chosen.map(|problem| format!("[{}] {}{}", problem.rule, at(problem), problem.message)).collect()
    };
    let bad = told(|level| *level == Level::Error);
    if let Some(first) = problems.iter().find(|problem| problem.level == Level::Error) {
        let element = if failed { "error" } else { "failure" };
        let _never_fails = writeln!(
            out,
            "      <{element} type=\"{}\" message=\"{}\">{}</{element}>",
            attribute(first.rule),
            attribute(&first.message),
            content(&bad.join("\n"))
        );
    }
    let rest = told(|level| *level != Level::Error);
    if !rest.is_empty() {
        let _never_fails = writeln!(out, "      <system-out>{}</system-out>", content(&rest.join("\n")));
    }
    out.push_str("    </testcase>\n");
}

fn at(problem: &Problem) -> String {
    if problem.at.is_empty() { String::new() } else { format!("{}: ", problem.at) }
}

/// Text between tags. XML 1.0 has no way to write most control characters, so what cannot be seen is spelt out.
fn content(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The value of an attribute, on one line.
fn attribute(text: &str) -> String {
    content(&text.replace('\n', "⏎")).replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::servers;
    use super::*;

    /// The names of the elements in order of their start, if the text is well-formed as far as this writer can break it.
    pub(in super::super) fn elements(text: &str) -> Vec<String> {
        let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
        let (mut open, mut found) = (Vec::<String>::new(), Vec::new());
        while let Some(at) = rest.find('<') {
            let between = &rest[..at];
            check_text(between);
            rest = &rest[at + 1..];
            // no attribute holds a bare `>`
            let (tag, after) = rest.split_once('>').unwrap();
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "{text}");
                continue;
            }
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            check_attributes(attributes);
            found.push(name.to_owned());
            if !empty {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
        found
    }

    fn check_text(text: &str) {
        assert!(!text.contains("]]>"), "{text}");
        let allowed =
            |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(text.chars().all(allowed), "{text:?}");
        for reference in text.split('&').skip(1) {
            let name = reference.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name), "{text}");
        }
    }

    fn check_attributes(mut text: &str) {
        let mut names = Vec::new();
        while !text.trim().is_empty() {
            let (name, rest) = text.trim_start().split_once("=\"").unwrap();
            let (value, rest) = rest.split_once('"').unwrap();
            assert!(!value.contains('<') && !names.contains(&name), "{text}");
            check_text(value);
            names.push(name);
            text = rest;
        }
    }

    #[test]
    fn the_report_is_well_formed_whatever_servers_are_called() {
        let mut servers = servers();
        servers[0].server = super::super::tests::HOSTILE.into();
        let text = render(&servers);
        let found = elements(&text);
        let count = |name: &str| found.iter().filter(|found| *found == name).count();
        assert_eq!((count("testsuite"), count("testcase")), (3, 7), "{text}");
        assert_eq!((count("failure"), count("error"), count("system-out")), (1, 1, 2), "{text}");
        assert!(text.contains("<testsuites name=\"mcpjail check\" tests=\"7\" failures=\"1\" errors=\"1\">"), "{text}");
    }

    #[test]
    fn the_check_of_well_formedness_sees_faults() {
        for broken in ["<a>", "<a></b>", "<a x=\"1\" x=\"2\"/>", "<a>&x;</a>", "<a>\u{1b}</a>"] {
            let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{broken}");
            assert!(std::panic::catch_unwind(|| elements(&text)).is_err(), "{broken}");
        }
    }
}
