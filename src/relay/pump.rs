//! Carries the messages of one direction, on a thread of its own, with blocking reads and writes.

use super::frame::{Batch, FrameError, FrameReader, Next};
use super::judge::{Judge, Verdict};
use super::outlet::{Outlet, is_gone};
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is kept of the buffer for rewritten batches.
const KEEP: usize = 1 << 20;

/// Why a pump ended.
#[derive(Debug)]
pub enum PumpEnd {
    /// The sender has closed its side; so many bytes of an unfinished message were dropped.
    SourceClosed {
        /// Bytes after the last line feed.
        tail: usize,
    },
    /// The receiver has closed its side, or the session has closed the outlet.
    SinkClosed,
    /// A message was larger than the limit.
    TooLarge,
    /// Reading or writing failed in another way.
    Failed(io::Error),
}

/// Moves messages from `source` to `sink` until one of them ends. All messages that one read has brought leave in one
/// write; nothing is copied unless `judge` changes something. `messages` counts what was read.
pub fn pump(
    source: &mut impl Read,
    sink: &Outlet,
    judge: &mut impl Judge,
    limit: usize,
    messages: &AtomicU64,
) -> PumpEnd {
    let mut reader = FrameReader::new(limit);
    let mut changed = Vec::new();
    let end = loop {
        let sent = match reader.next(source) {
            Ok(Next::Batch(batch)) => {
                let (lines, count) = judge_batch(batch, judge, &mut changed);
                messages.fetch_add(count, Ordering::Relaxed);
                if lines.is_empty() { Ok(()) } else { sink.send(lines) }
            }
            Ok(Next::End { tail }) => break PumpEnd::SourceClosed { tail },
            Err(FrameError::TooLarge { .. }) => break PumpEnd::TooLarge,
            Err(FrameError::Io(error)) if is_gone(&error) => break PumpEnd::SourceClosed { tail: 0 },
            Err(FrameError::Io(error)) => break PumpEnd::Failed(error),
        };
        match sent {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return PumpEnd::SinkClosed,
            Err(error) => return PumpEnd::Failed(error),
        }
    };
    let last = judge.last_words();
    match sink.send(&last) {
        Err(error) if !is_gone(&error) && !last.is_empty() => PumpEnd::Failed(error),
        _ => end,
    }
}

/// What goes on of a batch, and how many messages it had. Gives the batch itself as long as all of it goes on.
fn judge_batch<'a>(batch: Batch<'a>, judge: &mut impl Judge, changed: &'a mut Vec<u8>) -> (&'a [u8], u64) {
    changed.clear();
    changed.shrink_to(KEEP);
    let mut count = 0;
    let mut intact = true;
    let mut passed = 0;
    for message in batch.messages() {
        count += 1;
        let before = passed;
        passed += message.len() + 1;
        let verdict = judge.judge(message);
        if intact {
            if verdict == Verdict::Forward {
                continue;
            }
            intact = false;
            changed.extend_from_slice(batch.bytes().get(..before).unwrap_or_default());
        }
        match verdict {
            Verdict::Forward => changed.extend_from_slice(message),
            Verdict::Drop => continue,
            Verdict::Replace(other) => {
                debug_assert!(!other.ends_with(b"\n"), "the line feed comes from here");
                changed.extend_from_slice(other);
            }
        }
        changed.push(b'\n');
    }
    (if intact { batch.bytes() } else { changed }, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Drops `d…`, replaces `r…`, forwards the rest.
    struct ByLetter;

    impl Judge for ByLetter {
        fn judge<'a>(&'a mut self, message: &'a [u8]) -> Verdict<'a> {
            match message.first() {
                Some(b'd') => Verdict::Drop,
                Some(b'r') => Verdict::Replace(message.get(1..).unwrap_or_default()),
                _ => Verdict::Forward,
            }
        }

        fn last_words(&mut self) -> Vec<u8> {
            b"bye\n".to_vec()
        }
    }

    fn through(input: &[u8], judge: &mut impl Judge) -> (Vec<u8>, u64, PumpEnd) {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Outlet::new(writer.into());
        let messages = AtomicU64::new(0);
        let end = pump(&mut Cursor::new(input), &sink, judge, 1000, &messages);
        sink.close();
        let mut output = Vec::new();
        reader.read_to_end(&mut output).unwrap();
        assert_eq!(sink.written(), output.len() as u64);
        (output, messages.into_inner(), end)
    }

    #[test]
    fn verdicts_apply_one_message_each() {
        let (output, messages, end) = through(b"a\nd1\nb\nr22\n\nd\nc\nhalf", &mut ByLetter);
        assert_eq!(output, b"a\nb\n22\n\nc\nbye\n");
        assert_eq!(messages, 7);
        assert!(matches!(end, PumpEnd::SourceClosed { tail: 4 }));
        assert_eq!(through(b"d\n", &mut ByLetter).0, b"bye\n");
    }

    #[test]
    fn half_a_message_is_never_forwarded() {
        let (output, messages, end) = through(b"one\r\ntwo", &mut super::super::Forward);
        assert_eq!((output.as_slice(), messages), (&b"one\r\n"[..], 1));
        assert!(matches!(end, PumpEnd::SourceClosed { tail: 3 }));
    }

    #[test]
    fn a_large_message_ends_it() {
        let input = [b"one\n", vec![b'x'; 1001].as_slice(), b"\n"].concat();
        let (output, _, end) = through(&input, &mut super::super::Forward);
        assert_eq!(output, b"one\n");
        assert!(matches!(end, PumpEnd::TooLarge));
    }

    #[test]
    fn a_closed_outlet_ends_it() {
        let (_reader, writer) = io::pipe().unwrap();
        let sink = Outlet::new(writer.into());
        sink.close();
        let end = pump(&mut Cursor::new(b"one\n"), &sink, &mut super::super::Forward, 1000, &AtomicU64::new(0));
        assert!(matches!(end, PumpEnd::SinkClosed));
    }
}
