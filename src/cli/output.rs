//! What is printed and how an error looks. Standard output belongs to JSON-RPC under `run`; messages go to stderr.

use crate::diagnose::{Diagnose, Exit, one_line, printable};

pub(super) use crate::catalog::visible;

use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

/// Any error of the library, on its way to the person.
pub(super) struct Failed(Box<dyn Diagnose>);

impl<E: Diagnose> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(Box::new(error))
    }
}

impl Failed {
    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        self.0.code()
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// The message on one line with its causes and hint, for a JSON-RPC error.
    pub(super) fn one_line(&self) -> String {
        one_line(&*self.0)
    }
}

/// An I/O error of the command line's own.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub(super) struct IoFailed {
    pub(super) what: &'static str,
    pub(super) source: io::Error,
}

impl Diagnose for IoFailed {
    fn code(&self) -> &'static str {
        "io"
    }
    fn exit(&self) -> Exit {
        Exit::Jail
    }
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const DIM: Style = Style::new().dimmed();

/// Text in a style; `anstream` drops the escapes where they would not be shown.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints the error to stderr and gives its exit code.
pub(super) fn fail(error: &Failed) -> ExitCode {
    let message = lines(&error.0.to_string());
    let mut text = format!("{RED}error[{}]{RED:#}: {BOLD}{message}{BOLD:#}\n", error.0.code());
    let mut source = error.0.source();
    while let Some(cause) = source {
        let _never_fails = writeln!(text, "  caused by: {}", lines(&cause.to_string()));
        source = cause.source();
    }
    if let Some(hint) = error.0.hint() {
        let _never_fails = writeln!(text, "\nhint: {}", lines(&hint));
    }
    let _nobody_reads = anstream::stderr().write_all(text.as_bytes());
    ExitCode::from(error.0.exit() as u8)
}

/// Text of several lines, each made printable.
fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// A line on stderr that is no error.
pub(super) fn note(text: &str) {
    // in one piece: lines come from two threads
    let line = format!("mcpjail: {}\n", printable(text));
    let _nobody_reads = anstream::stderr().write_all(line.as_bytes());
}

/// Prints to stdout. A reader that went away (`| head`) is success.
pub(super) fn print(text: &str) -> Result<ExitCode, Failed> {
    match anstream::stdout().write_all(text.as_bytes()).and_then(|()| anstream::stdout().flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(source) => Err(Failed::from(IoFailed { what: "write to standard output", source })),
    }
}
