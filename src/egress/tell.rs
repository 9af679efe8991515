//! What becomes of events in the launcher: lines for people, and records in a log.

use super::report::quoted;
use super::{Event, Heard, Reporter, record};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

/// Refusals that are written at once, before they are counted instead: a server decides how many there are, and must not
/// fill a disk.
const AT_ONCE: u32 = 1000;
/// After so long one more is written.
const EACH: Duration = Duration::from_millis(10);

/// Tells people what was refused, and writes down everything that happens.
///
/// `say` takes a line for people; `log` is a file, opened to append, for records, which carry `server`, what the server is
/// called. A log that cannot be written ends, with a line that says so.
pub fn tell(mut reporter: Reporter, log: Option<File>, server: String, mut say: impl FnMut(&str)) -> impl FnMut(Heard) {
    let mut log = log.map(|file| Log { file, server, sieve: Sieve::new(Instant::now()) });
    // what a process said of its own end
    let mut last = None;
    move |heard| {
        let (line, event) = match heard {
            Heard::Event(event) => (reporter.line(&event), event),
            Heard::Gone => {
                let why = last.take().map(|why: String| format!(" (`{}`)", quoted(&why))).unwrap_or_default();
                let gone = "the processes that carry the server's network have ended";
                (Some(format!("egress: {gone}{why}; it reaches nothing from here on")), Event::Failed(gone.to_owned()))
            }
        };
        if let Event::Failed(why) = &event {
            last = Some(why.clone());
        }
        if let Some(Err(error)) = log.as_mut().map(|log| log.write(&event, Instant::now())) {
            log = None;
            say(&format!("egress: the log cannot be written and ends here: {error}"));
        }
        if let Some(line) = line {
            say(&line);
        }
    }
}

/// Where records go.
struct Log {
    file: File,
    server: String,
    sieve: Sieve,
}

impl Log {
    fn write(&mut self, event: &Event, now: Instant) -> std::io::Result<()> {
        if is_refusal(event) && !self.sieve.passes(now) {
            return Ok(());
        }
        let lost = std::mem::take(&mut self.sieve.lost);
        let lost = (lost > 0).then_some(Event::Lost(lost));
        for event in lost.iter().chain([event]) {
            // one write a line, so that several servers can share a file
            self.file.write_all(record(event, &self.server, SystemTime::now()).as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.sieve.lost > 0 {
            let lost = record(&Event::Lost(self.sieve.lost), &self.server, SystemTime::now());
            let _the_last_word = self.file.write_all(lost.as_bytes());
        }
    }
}

/// What a server can have as many of as it likes.
fn is_refusal(event: &Event) -> bool {
    match event {
        Event::Name { refused, .. } | Event::Connection { refused, .. } => refused.is_some(),
        Event::Knock { .. } => true,
        Event::Ready | Event::Failed(_) | Event::Lost(_) => false,
    }
}

/// Lets [`AT_ONCE`] through, and one more each [`EACH`].
#[derive(Debug)]
struct Sieve {
    /// How many may pass still.
    left: u32,
    /// Since when that is counted.
    since: Instant,
    /// How many did not pass.
    lost: u64,
}

impl Sieve {
    fn new(now: Instant) -> Sieve {
        Sieve { left: AT_ONCE, since: now, lost: 0 }
    }

    fn passes(&mut self, now: Instant) -> bool {
        let more = now.saturating_duration_since(self.since).as_millis() / EACH.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(AT_ONCE);
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.lost += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{Reason, Rules};
    use serde_json::Value;
    use std::path::Path;

    fn refused(name: &str) -> Event {
        let refused = Some(Reason::NameNotGranted);
        Event::Name { name: name.to_owned(), addresses: vec![], withheld: vec![], refused, duration_us: 0 }
    }

    fn open(path: &Path) -> File {
        File::options().append(true).create(true).open(path).unwrap()
    }

    fn records(path: &Path) -> Vec<Value> {
        std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_is_heard_is_told_once_and_written_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "{}\n").unwrap();
        let mut lines = Vec::new();
        let reporter = Reporter::new(Rules::new(vec![]).unwrap());
        let mut sink = tell(reporter, Some(open(&path)), "notes".to_owned(), |line| lines.push(line.to_owned()));
        let failed = || Heard::Event(Event::Failed("\x1b`broken".to_owned()));
        for heard in [Heard::Event(refused("a.test")), Heard::Event(refused("a.test")), failed(), Heard::Gone] {
            sink(heard);
        }
        drop(sink);
        assert!(lines.len() == 2 && lines[0].contains("`a.test`"), "{lines:?}");
        assert!(lines[1].contains("have ended (`\\u{1b}'broken`); it reaches nothing"), "{lines:?}");
        let events: Vec<Value> = records(&path).iter().map(|event| event["event"].clone()).collect();
        assert_eq!(events, [Value::Null, "name".into(), "name".into(), "failed".into(), "failed".into()]);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_told_once() {
        let mut lines = Vec::new();
        let reporter = Reporter::new(Rules::new(vec![]).unwrap());
        let mut sink =
            tell(reporter, Some(open(Path::new("/dev/full"))), String::new(), |line| lines.push(line.to_owned()));
        sink(Heard::Event(refused("a.test")));
        sink(Heard::Event(refused("a.test")));
        drop(sink);
        assert!(lines.len() == 2 && lines[0].contains("the log cannot be written"), "{lines:?}");
    }

    /// A server that asks for a million names writes a log of some pages; what is granted is written all the same.
    #[test]
    fn floods_of_refusals_are_counted_and_what_is_granted_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let now = Instant::now();
        let mut log = Log { file: open(&path), server: "notes".to_owned(), sieve: Sieve::new(now) };
        let granted =
            Event::Name { name: "a.test".into(), addresses: vec![], withheld: vec![], refused: None, duration_us: 0 };
        for n in 0..3000 {
            log.write(&refused(&format!("n{n}.test")), now).unwrap();
            if n == 1999 {
                log.write(&granted, now).unwrap();
            }
        }
        drop(log);
        let told: Vec<(Value, Value)> =
            records(&path).iter().skip(1000).map(|record| (record["event"].clone(), record["count"].clone())).collect();
        let lost = ("lost".into(), 1000.into());
        assert_eq!(told, [lost.clone(), ("name".into(), Value::Null), lost]);
    }

    #[test]
    fn the_sieve_opens_with_time() {
        let start = Instant::now();
        let mut sieve = Sieve::new(start);
        let mut pass = |at: Instant| (0..5000).filter(|_| sieve.passes(at)).count();
        assert_eq!(pass(start), 1000);
        assert_eq!(pass(start + EACH - Duration::from_nanos(1)), 0);
        assert_eq!(pass(start + EACH), 1);
        assert_eq!(pass(start + 11 * EACH), 10);
        assert_eq!(pass(start + Duration::from_secs(86_400)), 1000);
        assert_eq!(pass(start), 0, "a clock that steps back");
    }
}
