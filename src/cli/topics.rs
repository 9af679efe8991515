//! What can be read: built-in profiles, help on a subcommand, an error's code or an inspector's rule, the manual page.

use super::Cli;
use super::codes::{ANSWERS, CODES};
use super::output::{Failed, print};
use crate::config::{builtin_names, builtin_text};
use crate::diagnose::{Diagnose, Exit};
use crate::inspect::{RULES, Rule};
use clap::CommandFactory;
use std::fmt::Write;
use std::process::ExitCode;

/// A topic that nobody wrote about.
#[derive(Debug, thiserror::Error)]
#[error("nothing is known about `{0}`")]
struct NoSuchTopic(String);

impl Diagnose for NoSuchTopic {
    fn code(&self) -> &'static str {
        "no-such-topic"
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("`mcpjail help` lists every topic".into())
    }
}

/// A built-in profile that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no built-in profile `{0}`")]
struct NoSuchProfile(String);

impl Diagnose for NoSuchProfile {
    fn code(&self) -> &'static str {
        "no-such-profile"
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("`mcpjail profiles` lists them".into())
    }
}

fn all_codes() -> Vec<(&'static str, &'static str)> {
    let lists = [CODES, ANSWERS, crate::config::CODES, crate::command::CODES];
    let mut all: Vec<_> = lists.into_iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by_key(|(code, _)| *code);
    all
}

pub(super) fn help(topic: Option<&str>) -> Result<ExitCode, Failed> {
    let mut root = Cli::command();
    let Some(topic) = topic else {
        let mut text = root.render_long_help().ansi().to_string();
        text.push_str("\nError codes (`mcpjail help CODE`):\n");
        for (code, _) in all_codes() {
            let _never_fails = writeln!(text, "  {code}");
        }
        text.push_str("\nRules of the inspectors (`mcpjail help RULE`):\n");
        for rule in RULES {
            let _never_fails = writeln!(text, "  {:<24} {}", rule.id, rule.title);
        }
        return print(&text);
    };
    root.build();
    if let Some(command) = root.find_subcommand_mut(topic) {
        return print(&command.render_long_help().ansi().to_string());
    }
    match about(topic) {
        Some(about) => print(&format!("{topic}\n\n{}\n", wrapped(&about, 78))),
        None => Err(NoSuchTopic(topic.into()).into()),
    }
}

/// What an error's code or an inspector's rule means, and what to do about it.
pub(super) fn about(topic: &str) -> Option<String> {
    let text = match Rule::named(topic) {
        Some(rule) => format!("{} (up to {} severity). {}", capital(rule.title), rule.severity, rule.explanation),
        None => all_codes().into_iter().find(|(code, _)| *code == topic)?.1.to_owned(),
    };
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Breaks a paragraph into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.into()),
        }
    }
    lines.join("\n")
}

pub(super) fn profiles(name: Option<&str>) -> Result<ExitCode, Failed> {
    match name {
        None => {
            let mut text = String::new();
            for name in builtin_names() {
                let about = builtin_text(name).and_then(|t| t.lines().next()).unwrap_or_default();
                let _never_fails = writeln!(text, "{name:<18} {}", about.trim_start_matches("# "));
            }
            print(&text)
        }
        Some(name) => match builtin_text(name) {
            Some(text) => print(text),
            None => Err(NoSuchProfile(name.into()).into()),
        },
    }
}

pub(super) fn man() -> Result<ExitCode, Failed> {
    print(&manual())
}

/// The manual page in roff: one page with every subcommand's options and examples.
#[must_use]
pub(super) fn manual() -> String {
    let mut page = Vec::new();
    let mut root = Cli::command();
    root.build();
    let man = clap_mangen::Man::new(root.clone()).title("mcpjail").section("1");
    let _never_fails = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page));
    examples(&man, &mut page);
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let heading = format!(".SH \"SUBCOMMAND {}\"\n", command.get_name().to_uppercase());
        page.extend(heading.bytes());
        let man = clap_mangen::Man::new(command.clone());
        let _never_fails = man
            .render_description_section(&mut page)
            .and_then(|()| man.render_synopsis_section(&mut page))
            .and_then(|()| man.render_options_section(&mut page));
        examples(&man, &mut page);
    }
    String::from_utf8_lossy(&page).into_owned()
}

/// What stands after the options, line by line: roff would join the lines to paragraphs.
fn examples(man: &clap_mangen::Man, page: &mut Vec<u8>) {
    let mut section = Vec::new();
    let _never_fails = man.render_extra_section(&mut section);
    let text = String::from_utf8_lossy(&section);
    let body = text.split_once(".SH EXTRA\n").map(|(_, body)| body).filter(|body| !body.trim().is_empty());
    if let Some(body) = body {
        page.extend(format!(".SH EXAMPLES\n.nf\n{body}.fi\n").bytes());
    }
}
