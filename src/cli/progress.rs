//! How far an install is, on standard error: one line that grows older on a terminal, a line for each step elsewhere.

use super::output::{DIM, GREEN, note, styled};
use crate::diagnose::printable;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\x1b[K";
/// Longest phrase that stands on a terminal's line, characters: a line that wraps cannot be rewritten.
const WIDEST: usize = 60;

/// Steps, one after the other.
pub(super) struct Progress {
    /// Rewrite a line. Elsewhere each step has a line of its own.
    live: bool,
    now: Option<(String, Instant)>,
}

impl Progress {
    /// On standard error.
    pub(super) fn of_stderr() -> Progress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        Progress { live: io::stderr().is_terminal() && !dumb, now: None }
    }

    /// The step before is done, and another one begins.
    pub(super) fn step(&mut self, what: &str) {
        self.done();
        let what = printable(what);
        if !self.live {
            note(&what);
        }
        self.now = Some((what, Instant::now()));
        self.tick();
    }

    /// Time has gone by.
    pub(super) fn tick(&self) {
        if let (true, Some((what, since))) = (self.live, &self.now) {
            show(&format!("{CLEAR}{}", running(what, since.elapsed())));
        }
    }

    /// A remark, above the line.
    pub(super) fn note(&self, text: &str) {
        if self.live && self.now.is_some() {
            show(CLEAR);
        }
        note(text);
        self.tick();
    }

    /// The step before is done, and none begins.
    pub(super) fn done(&mut self) {
        if let (Some((what, since)), true) = (self.now.take(), self.live) {
            show(&format!("{CLEAR}{}\n", finished(&what, since.elapsed())));
        }
    }
}

impl Drop for Progress {
    /// Whatever went wrong is told on a line of its own.
    fn drop(&mut self) {
        if self.live && self.now.is_some() {
            show(CLEAR);
        }
    }
}

fn running(what: &str, time: Duration) -> String {
    format!("{} {}", cut(what), styled(DIM, &seconds(time)))
}

fn finished(what: &str, time: Duration) -> String {
    format!("{} {} {}", styled(GREEN, "✓"), cut(what), styled(DIM, &seconds(time)))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn cut(what: &str) -> String {
    if what.chars().count() <= WIDEST {
        what.to_owned()
    } else {
        what.chars().take(WIDEST - 1).chain(['…']).collect()
    }
}

fn show(text: &str) {
    let mut stderr = anstream::stderr();
    let _nobody_reads = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_say_how_long() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain(running("resolving a", Duration::from_millis(1240))), "resolving a 1.2 s");
        assert_eq!(plain(finished("resolving a", Duration::ZERO)), "✓ resolving a 0.0 s");
        let long = plain(running(&"日".repeat(500), Duration::from_secs(3)));
        assert!(long.chars().count() < 80 && long.ends_with("… 3.0 s"), "{long}");
    }

    #[test]
    fn names_move_no_cursor() {
        let mut progress = Progress { live: false, now: None };
        progress.step("resolving \x1b[2J");
        assert_eq!(progress.now.as_ref().unwrap().0, r"resolving \u{1b}[2J");
        progress.done();
        assert!(progress.now.is_none());
    }
}
