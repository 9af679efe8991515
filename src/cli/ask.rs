//! Asks a person at a terminal.

use super::output::{BOLD, styled};
use crate::diagnose::{Diagnose, Exit};
use std::io::{self, BufRead, IsTerminal, Write};

/// What whoever approves can do without a terminal.
pub(super) const UNREAD: &str =
    "run it in a terminal, or approve everything that the server shows, unread, with `--yes`";

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("standard input and output are no terminal, so nobody can be asked")]
pub(super) struct NoTerminal {
    remedy: &'static str,
}

impl Diagnose for NoTerminal {
    fn code(&self) -> &'static str {
        "no-terminal"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(self.remedy.into())
    }
}

/// Whether somebody can be asked, which has to be so unless everything is agreed to (`yes`).
pub(super) fn need_somebody(yes: bool, remedy: &'static str) -> Result<(), NoTerminal> {
    let somebody = io::stdin().is_terminal() && io::stdout().is_terminal();
    if yes || somebody { Ok(()) } else { Err(NoTerminal { remedy }) }
}

/// What a person may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Yes,
    No,
    /// Yes to this and to all that follows.
    All,
    /// It varies.
    Varies,
    /// To read.
    Read,
    /// To read and to write.
    Write,
    /// Neither.
    Nothing,
    /// Stop, and write nothing.
    Quit,
}

/// Asks until the answer is one of those offered. The end of input is [`Said::Quit`].
pub(super) fn ask(
    question: &str,
    offered: &[Said],
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> io::Result<Said> {
    let words: Vec<&str> = offered.iter().map(|said| word(*said)).collect();
    loop {
        write!(output, "{} {}: ", styled(BOLD, question), words.join(" / "))?;
        output.flush()?;
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(0) => {
                writeln!(output)?;
                return Ok(Said::Quit);
            }
            Ok(_) => {}
            // not text: not an answer
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
        let answer = line.trim().to_lowercase();
        let said = offered.iter().find(|said| {
            let word = word(**said).replace(['[', ']'], "");
            // a single letter, or the first word of what is offered
            !answer.is_empty()
                && (word.starts_with(&answer) && answer.len() == 1 || word.split(':').next() == Some(&answer))
        });
        match said {
            Some(said) => return Ok(*said),
            None => writeln!(output, "please answer with one of these")?,
        }
    }
}

fn word(said: Said) -> &'static str {
    match said {
        Said::Yes => "[y]es",
        Said::No => "[n]o",
        Said::All => "[a]ll",
        Said::Varies => "[v]aries: exempt what differs",
        Said::Read => "[r]ead",
        Said::Write => "[w]rite",
        Said::Nothing => "[n]othing",
        Said::Quit => "[q]uit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(typed: &str, offered: &[Said]) -> (Said, String) {
        let mut output = Vec::new();
        let said = ask("approve?", offered, &mut typed.as_bytes(), &mut output).unwrap();
        (said, String::from_utf8(output).unwrap())
    }

    #[test]
    fn letters_and_words_are_answers() {
        const ALL: &[Said] = &[Said::Yes, Said::No, Said::All, Said::Varies, Said::Quit];
        for (typed, said) in [
            ("y\n", Said::Yes),
            (" YES \n", Said::Yes),
            ("n\n", Said::No),
            ("all\n", Said::All),
            ("v\n", Said::Varies),
            ("varies\n", Said::Varies),
            ("q\n", Said::Quit),
        ] {
            assert_eq!(answer(typed, ALL).0, said, "{typed:?}");
        }
    }

    #[test]
    fn nothing_else_is_one() {
        let (said, output) = answer("\nyep\nye\nv\n\u{1b}[A\nno\n", &[Said::Yes, Said::No]);
        assert_eq!(said, Said::No);
        assert_eq!(output.matches("please answer").count(), 5);
        assert_eq!(answer("", &[Said::Yes]).0, Said::Quit, "the end of input approves nothing");
        assert_eq!(answer("y", &[Said::Yes]).0, Said::Yes, "a last line without its end");
    }
}
