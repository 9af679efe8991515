//! From a stream of bytes to messages: one a line, as the stdio transport of the MCP specification says.
//!
//! A [`FrameReader`] reads into one buffer and lends out all complete lines of it at once, so that whoever forwards
//! them unchanged copies nothing and writes once for each read. The buffer grows with a message that does not fit and
//! is given back afterwards. Of the memory behind it only what a message has filled is ever touched.

use memchr::{memchr, memrchr};
use std::io::{self, Read};

/// The largest message, in bytes without its line feed, that passes unless another limit is given.
pub const DEFAULT_MAX_MESSAGE: usize = 64 << 20;

/// The buffer's size as long as messages fit. A pipe gives no more than this at once.
const INITIAL: usize = 64 << 10;
/// A read asks for at least this much.
const LEAST_READ: usize = 16 << 10;
/// A buffer of at most this size is kept for a while after a big message, since such often come in rows.
const KEEP: usize = 16 << 20;
/// For how many small batches it is kept.
const PATIENCE: u32 = 16;

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A line is longer than the limit. All messages before it have been given out.
    #[error("a message is larger than `{limit}` bytes")]
    TooLarge {
        /// The limit, bytes without the line feed.
        limit: usize,
    },
    /// Reading failed.
    #[error("reading failed")]
    Io(#[from] io::Error),
}

/// What [`FrameReader::next`] found.
#[derive(Debug)]
pub enum Next<'a> {
    /// One or more complete lines.
    Batch(Batch<'a>),
    /// The stream has ended; so many bytes came after the last line feed and are no message.
    End {
        /// Bytes of the unterminated last line.
        tail: usize,
    },
}

/// One or more complete lines, as they were read.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    /// The first line has no line feed before this offset.
    searched: usize,
}

impl<'a> Batch<'a> {
    /// All lines with their line feeds.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The messages in turn, each without its line feed; a carriage return before that stays.
    pub fn messages(&self) -> Messages<'a> {
        Messages { rest: self.bytes, searched: self.searched }
    }
}

/// The messages of a [`Batch`].
#[derive(Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    searched: usize,
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = self.searched + memchr(b'\n', self.rest.get(self.searched..)?)?;
        let (message, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.get(1..)?;
        self.searched = 0;
        Some(message)
    }
}

/// Cuts what it reads into lines.
#[derive(Debug)]
pub struct FrameReader {
    /// Initialised as far as messages ever reached, at least `INITIAL`.
    buffer: Vec<u8>,
    /// What was read and not yet given out is `start..end`. It holds no line feed, or `too_large` is set.
    start: usize,
    end: usize,
    limit: usize,
    too_large: bool,
    /// Batches in a row that would have fitted into a quarter of the buffer.
    small: u32,
}

impl FrameReader {
    /// A reader that refuses messages of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: vec![0; INITIAL], start: 0, end: 0, limit, too_large: false, small: 0 }
    }

    /// Reads from `source` until there is at least one complete line or the end. Gives out whole lines in order, each
    /// once, whatever pieces the source hands them over in. After an error or the end there is nothing more to ask.
    pub fn next(&mut self, source: &mut impl Read) -> Result<Next<'_>, FrameError> {
        self.shrink();
        let (searched, cut) = loop {
            if self.too_large || self.end - self.start > self.limit {
                return Err(FrameError::TooLarge { limit: self.limit });
            }
            self.make_room();
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let count = match source.read(room) {
                Ok(0) => return Ok(Next::End { tail: self.end - self.start }),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let searched = self.end;
            self.end += count;
            if let Some(last) = memrchr(b'\n', self.buffer.get(searched..self.end).unwrap_or_default()) {
                break (searched, searched + last + 1);
            }
        };
        let first = self.start;
        let mut batch = Batch { bytes: self.buffer.get(first..cut).unwrap_or_default(), searched: searched - first };
        self.start = cut;
        if batch.bytes.len() > self.limit {
            let good = length_of_small(batch, self.limit);
            if good < batch.bytes.len() {
                self.too_large = true;
                batch.bytes = batch.bytes.get(..good).unwrap_or_default();
            }
            if good == 0 {
                return Err(FrameError::TooLarge { limit: self.limit });
            }
        }
        Ok(Next::Batch(batch))
    }

    /// Sees to it that there is room to read into, first by moving what is left to the front, then by growing.
    fn make_room(&mut self) {
        if self.start > 0 && self.buffer.len() - self.end < LEAST_READ {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < LEAST_READ {
            // The capacity doubles; what lies behind the length is address space without memory.
            self.buffer.resize(self.end + INITIAL, 0);
        }
    }

    /// Gives memory back that only a message now gone has needed.
    fn shrink(&mut self) {
        if self.start < self.end {
            return;
        }
        let used = std::mem::take(&mut self.end);
        self.start = 0;
        if self.buffer.capacity() <= INITIAL {
            return;
        }
        self.small = if used > self.buffer.capacity() / 4 { 0 } else { self.small + 1 };
        if self.buffer.capacity() > KEEP || self.small > PATIENCE {
            self.buffer = vec![0; INITIAL];
            self.small = 0;
        }
    }
}

/// How many bytes of the batch come before the first message of more than `limit` bytes.
fn length_of_small(batch: Batch<'_>, limit: usize) -> usize {
    batch.messages().take_while(|message| message.len() <= limit).map(|message| message.len() + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a stream in given pieces, now and then interrupted.
    struct Pieces<'a> {
        rest: &'a [u8],
        sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
        interrupt: bool,
    }

    impl<'a> Pieces<'a> {
        fn new(stream: &'a [u8], sizes: Vec<usize>) -> Self {
            Self { rest: stream, sizes: sizes.into_iter().cycle(), interrupt: false }
        }
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.interrupt = !self.interrupt;
            if self.interrupt {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.sizes.next().unwrap().min(into.len()).min(self.rest.len());
            let (now, rest) = self.rest.split_at(count);
            into[..count].copy_from_slice(now);
            self.rest = rest;
            Ok(count)
        }
    }

    /// Messages, and the tail or the refusal.
    fn split(stream: &[u8], sizes: Vec<usize>, limit: usize) -> (Vec<Vec<u8>>, Result<usize, ()>) {
        let mut source = Pieces::new(stream, sizes);
        let mut reader = FrameReader::new(limit);
        let mut messages = Vec::new();
        loop {
            match reader.next(&mut source) {
                Ok(Next::Batch(batch)) => {
                    let from = messages.len();
                    messages.extend(batch.messages().map(<[u8]>::to_vec));
                    let joined: Vec<u8> = messages[from..].iter().flat_map(|m| [m, &b"\n"[..]].concat()).collect();
                    assert_eq!(joined, batch.bytes());
                    assert!(messages.len() > from, "a batch is never empty");
                }
                Ok(Next::End { tail }) => return (messages, Ok(tail)),
                Err(FrameError::TooLarge { .. }) => return (messages, Err(())),
                Err(FrameError::Io(error)) => panic!("{error}"),
            }
        }
    }

    fn expected(stream: &[u8], limit: usize) -> (Vec<Vec<u8>>, Result<usize, ()>) {
        let mut lines: Vec<&[u8]> = stream.split(|&byte| byte == b'\n').collect();
        let tail = lines.pop().unwrap();
        let good = lines.iter().take_while(|line| line.len() <= limit).count();
        let messages = lines[..good].iter().map(|line| line.to_vec()).collect();
        (messages, if good < lines.len() || tail.len() > limit { Err(()) } else { Ok(tail.len()) })
    }

    /// Lines of all sizes that matter: empty, small, around the buffer's size, several times that.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![Just(0), 1usize..40, 1000usize..5000, INITIAL - 3..INITIAL + 3, 200_000usize..300_000];
        let line = (length, any::<u8>(), any::<bool>()).prop_map(|(length, fill, carriage)| {
            let mut line = vec![if fill == b'\n' { b'x' } else { fill }; length];
            line.extend(if carriage { &b"\r\n"[..] } else { b"\n" });
            line
        });
        (prop::collection::vec(line, 0..12), prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(lines, tail)| [lines.concat(), tail].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_split_gives_the_same_messages(
            stream in streams(),
            sizes in prop::collection::vec(prop_oneof![1usize..10, 1usize..100_000], 1..20),
        ) {
            prop_assert!(split(&stream, sizes, DEFAULT_MAX_MESSAGE) == expected(&stream, DEFAULT_MAX_MESSAGE));
        }

        #[test]
        fn any_split_refuses_the_same_message(
            stream in streams(),
            sizes in prop::collection::vec(1usize..100_000, 1..20),
            limit in prop_oneof![0usize..50, 900usize..6000, INITIAL - 5..INITIAL + 5, 150_000usize..300_000],
        ) {
            prop_assert!(split(&stream, sizes, limit) == expected(&stream, limit));
        }
    }

    #[test]
    fn carriage_returns_and_empty_lines_pass() {
        let (messages, tail) = split(b"{}\r\n\n\n{\"a\":1}\nhalf", vec![3], 100);
        assert_eq!(messages, [&b"{}\r"[..], b"", b"", b"{\"a\":1}"]);
        assert_eq!(tail, Ok(4));
    }

    #[test]
    fn the_limit_counts_without_the_line_feed() {
        assert_eq!(split(b"12345\n", vec![100], 5), (vec![b"12345".to_vec()], Ok(0)));
        assert_eq!(split(b"1\n123456\n", vec![100], 5), (vec![b"1".to_vec()], Err(())));
        assert_eq!(split(b"123456", vec![1], 5), (vec![], Err(())), "refused before its end is seen");
    }

    #[test]
    fn the_buffer_is_given_back() {
        let mut stream = vec![b'x'; 2 << 20];
        stream.push(b'\n');
        stream.extend(b"{}\n".repeat(10_000));
        let mut source = Pieces::new(&stream, vec![97]);
        let mut reader = FrameReader::new(DEFAULT_MAX_MESSAGE);
        let mut largest = 0;
        while let Ok(Next::Batch(batch)) = reader.next(&mut source) {
            largest = largest.max(batch.bytes().len());
            assert!(reader.buffer.len() <= (2 << 20) + 2 * INITIAL, "only what a message fills is initialised");
        }
        assert!(largest > 2 << 20);
        assert_eq!(reader.buffer.capacity(), INITIAL);
    }
}
