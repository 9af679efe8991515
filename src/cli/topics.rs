//! What can be read: built-in profiles, help on a subcommand or an error's code, the manual page.

use super::Cli;
use super::output::{Failed, print};
use crate::config::{builtin_names, builtin_text};
use crate::diagnose::{Diagnose, Exit};
use clap::CommandFactory;
use std::fmt::Write;
use std::process::ExitCode;

/// Every code that an error can carry, with what it means and what to do. `tests/docs.rs` compares it with the source.
pub(super) const CODES: &[(&str, &str)] = &[
    (
        "cannot-execute",
        "The program was found but the kernel refused to execute it inside the jail. Mostly a library or \
      an interpreter that lies outside what the jail shows: `mcpjail explain` lists that, `--exec PATH` adds to it.",
    ),
    (
        "cannot-make-directory",
        "A directory of mcpjail's own (a persistent home, a private temporary directory) cannot be \
      made. Look at who owns its parent, and at the free space.",
    ),
    (
        "idle-island",
        "A `deny-write` line lies in no writable grant, so it protects nothing. Nothing is ignored in \
      silence: drop the line or grant its parent for writing.",
    ),
    ("io", "A read or write of mcpjail's own failed."),
    ("island-needs-tier-a", "A read-only island in a writable grant is a mount, and tier B has none."),
    ("jail-launcher", "The launcher could not do its part (memory, descriptors, starting itself again)."),
    (
        "jail-layer",
        "A layer of the jail could not be built, or the proof that runs in the server's own process right \
      before it starts found it open. The server was not started. `mcpjail doctor` tries each layer.",
    ),
    ("jail-vanished", "The process that builds the jail ended without a word: it was killed, or ran out of memory."),
    (
        "lock-writable",
        "The lock that `--lock` names lies where the server may write: it could approve itself. Keep the lock \
      elsewhere, or in a directory of its own that `--deny-write` makes read-only.",
    ),
    ("message-too-large", "One side sent a line above the limit of 64 MiB; the session was ended."),
    (
        "nameless-home",
        "`home = \"persistent\"` keeps a directory per server, so the server needs a name: put the profile \
      into servers/NAME.toml.",
    ),
    (
        "no-landlock",
        "Every tier needs Landlock: Linux 5.13 or newer with `landlock` among its LSMs \
      (`lsm=landlock,…` on the kernel's command line, or CONFIG_LSM).",
    ),
    ("no-such-profile", "`mcpjail profiles` lists the built-in profiles; your own are files below ~/.config/mcpjail."),
    ("no-such-topic", "`mcpjail help` knows subcommands and error codes."),
    ("no-working-directory", "The directory mcpjail was started in was deleted or cannot be reached."),
    ("nul-byte", "A path, argument or variable holds a NUL byte, which no program can be given."),
    ("relay-io", "Reading or writing one of the session's streams failed."),
    ("server-closed", "The server closed one of its streams while the host still used it."),
    (
        "server-crashed",
        "The server was ended by a signal. SIGKILL mostly means a limit, SIGSYS a system call of a foreign \
      architecture. Its own messages are on stderr.",
    ),
    ("server-exited", "The server exited while the host was still connected. Its own messages are on stderr."),
    (
        "sockets-unknown",
        "Before Landlock ABI 9 the sockets in granted directories are covered one by one, and the kernel's list of \
      them, /proc/net/unix, cannot be read. Nothing is started with a door left open unseen.",
    ),
    (
        "tier-not-available",
        "This machine gives no user namespaces to this user: Ubuntu's AppArmor restriction, a \
      container's seccomp profile, or user.max_user_namespaces = 0. `mcpjail doctor` says which, and what to do.",
    ),
    (
        "too-many-sockets",
        "Before Landlock ABI 9 each socket in a granted directory is covered by a mount, and there are more than \
      256. Grant a smaller directory than the one that the message names.",
    ),
    ("unknown-syscall", "`[jail.syscalls] allow` takes one of the optional groups or a call out of one."),
];

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
    let mut all: Vec<_> = CODES.iter().chain(crate::config::CODES).chain(crate::command::CODES).copied().collect();
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
        return print(&text);
    };
    root.build();
    if let Some(command) = root.find_subcommand_mut(topic) {
        return print(&command.render_long_help().ansi().to_string());
    }
    match all_codes().iter().find(|(code, _)| *code == topic) {
        Some((code, about)) => print(&format!("{code}\n\n{}\n", wrapped(about, 78))),
        None => Err(NoSuchTopic(topic.into()).into()),
    }
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
