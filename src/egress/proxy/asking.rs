//! Questions for names over TCP (RFC 7766): several on a connection, answered as the answers come.

use super::connection::{End, Step};
use super::names::{self, Names, Return, Taken};
use super::shared::Shared;
use super::side::Side;
use super::slab::Key;
use crate::egress::Reason;
use crate::sys::epoll::Event;
use crate::sys::stream;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a client may take for a question, and for taking its answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions of one connection that the broker has.
const UNDER_WAY: u32 = 16;
/// Questions that one connection asks before others have their turn.
const AT_ONCE: u32 = 32;
/// Bytes of answers that wait for a slow client before no more questions are read.
const ANSWERS: usize = 64 << 10;

/// A connection to port 53.
#[derive(Debug)]
pub(super) struct Asking {
    client: Side,
    /// What was read of questions that are not complete.
    inbox: Vec<u8>,
    /// Answers, and how much of them is sent.
    outbox: Vec<u8>,
    sent: usize,
    under_way: u32,
    /// An answer has come since the last turn.
    answered: bool,
    ended: bool,
    /// When the client has taken too long, milliseconds of the proxy's clock.
    until: u64,
}

impl Asking {
    pub(super) fn new(client: OwnedFd, shared: &Shared) -> Asking {
        let (client, until) = (Side::connected(client), shared.after(PATIENCE));
        Asking {
            client,
            inbox: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            under_way: 0,
            answered: false,
            ended: false,
            until,
        }
    }

    /// Something happened to the socket.
    pub(super) fn client(&mut self, event: &Event) {
        self.client.note(event);
    }

    /// When the client has taken too long; while the broker has its questions that is not its fault.
    pub(super) fn deadline(&self) -> u64 {
        if self.under_way > 0 && self.outbox.is_empty() { u64::MAX } else { self.until }
    }

    /// One of the questions has its answer.
    pub(super) fn answer(&mut self, answer: &[u8]) {
        self.under_way = self.under_way.saturating_sub(1);
        self.answered = true;
        self.put(answer);
    }

    /// The deadline has come, if it was not moved on since.
    pub(super) fn expire(&self, shared: &Shared) -> Step {
        match self.deadline() {
            until if until > shared.clock() => Step::Wait,
            _ if self.outbox.is_empty() => Step::End(End::DONE),
            _ => Step::End(End::because(Reason::Silent)),
        }
    }

    fn put(&mut self, answer: &[u8]) {
        let Ok(length) = u16::try_from(answer.len()) else { return };
        self.outbox.extend_from_slice(&length.to_be_bytes());
        self.outbox.extend_from_slice(answer);
    }

    /// Does what can be done.
    pub(super) fn advance(&mut self, key: Key, names: &mut Names, shared: &mut Shared) -> Step {
        self.try_advance(key, names, shared).unwrap_or_else(|error| Step::End(End::broken(&error)))
    }

    fn try_advance(&mut self, key: Key, names: &mut Names, shared: &mut Shared) -> io::Result<Step> {
        let (mut answer, mut taken) = (Vec::new(), 0);
        if std::mem::take(&mut self.answered) {
            self.until = shared.after(PATIENCE);
        }
        loop {
            self.write(shared)?;
            self.client.check()?;
            if self.outbox.len() - self.sent > ANSWERS || self.under_way >= UNDER_WAY {
                return Ok(Step::Wait);
            }
            match self.next_question() {
                Next::TooLong => return Ok(Step::End(End::because(Reason::TooMany))),
                Next::Question(_) if !shared.is_open() => return Ok(Step::Stalled),
                Next::Question(_) if taken == AT_ONCE => return Ok(Step::Again),
                Next::Question(length) => {
                    taken += 1;
                    answer.clear();
                    let packet = self.inbox.get(2..2 + length).unwrap_or_default();
                    match names.take(packet, Return::Stream(key), &mut answer, shared) {
                        Taken::Dropped => {}
                        Taken::Answered => self.put(&answer),
                        Taken::Asked => self.under_way += 1,
                    }
                    self.inbox.drain(..2 + length);
                    self.until = shared.after(PATIENCE);
                }
                Next::Incomplete if self.ended => {
                    let done = self.under_way == 0 && self.outbox.is_empty();
                    return Ok(if done { Step::End(End::DONE) } else { Step::Wait });
                }
                Next::Incomplete => {
                    let room = shared.buffer.get_mut(..names::LONGEST).unwrap_or_default();
                    match self.client.receive(room)? {
                        None => break,
                        Some(0) => self.ended = true,
                        Some(count) => self.inbox.extend_from_slice(room.get(..count).unwrap_or_default()),
                    }
                }
            }
        }
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        Ok(Step::Wait)
    }

    fn next_question(&self) -> Next {
        let Some(length) = self.inbox.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) else {
            return Next::Incomplete;
        };
        match self.inbox.len() - 2 {
            _ if length > names::LONGEST => Next::TooLong,
            there if there < length => Next::Incomplete,
            _ => Next::Question(length),
        }
    }

    fn write(&mut self, shared: &Shared) -> io::Result<()> {
        let count = match self.outbox.get(self.sent..).unwrap_or_default() {
            [] => 0,
            waiting => self.client.send(waiting)?,
        };
        self.sent += count;
        if count > 0 {
            self.until = shared.after(PATIENCE);
        }
        if self.sent == self.outbox.len() {
            (self.outbox, self.sent) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Closes the connection. Nothing is recorded: the names are.
    pub(super) fn end(self, end: End) {
        if end.reason.is_some() {
            stream::reset(self.client.into_socket());
        }
    }
}

enum Next {
    Incomplete,
    /// Of so many bytes.
    Question(usize),
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::proxy::outbox::Outbox;
    use crate::sys::epoll::Epoll;
    use crate::sys::message::packet_pair;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const KEY: Key = Key { index: 0, generation: 0 };

    /// Shared things, with a broker and a launcher that say nothing.
    fn shared() -> (Shared, [OwnedFd; 2]) {
        let ((broker, ours), (events, theirs)) = (packet_pair().unwrap(), packet_pair().unwrap());
        (Shared::new(Epoll::new().unwrap(), Outbox::new(broker), Outbox::new(events), 0), [ours, theirs])
    }

    fn framed(name: &[u8]) -> Vec<u8> {
        let question = [b"\0\x09\x01\0\0\x01\0\0\0\0\0\0", name, b"\0\0\x01\0\x01"].concat();
        [&[0, u8::try_from(question.len()).unwrap()][..], &question].concat()
    }

    #[test]
    fn a_client_that_takes_no_answers_is_not_read_any_further() {
        let (mut shared, _others) = shared();
        let mut names = Names::default();
        // local sockets have small buffers
        let (mut client, ours) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        let mut asking = Asking::new(ours.into(), &shared);
        let one = framed(b"\x09localhost");
        let many = one.repeat(1000);
        let (mut asked, mut settled) = (0, 0);
        while settled < 3 {
            let (before, taken) = (asking.sent + asking.outbox.len(), client.write(&many[asked % many.len()..]));
            asked += taken.as_ref().map_or(0, |count| *count);
            asking.client.readable = true;
            let step = asking.advance(KEY, &mut names, &mut shared);
            assert!(matches!(step, Step::Wait | Step::Again), "{step:?}");
            let changed = taken.is_ok() || before != asking.sent + asking.outbox.len();
            settled = if changed { 0 } else { settled + 1 };
            assert!(asking.outbox.len() - asking.sent <= ANSWERS + 512, "{}", asking.outbox.len());
            assert!(asking.inbox.len() <= 2 * names::LONGEST + 2, "{}", asking.inbox.len());
        }
        assert!(asked > 0 && asking.outbox.len() - asking.sent > ANSWERS);
        assert_ne!(asking.deadline(), u64::MAX);
        // and when it takes them, each of its questions has one
        let (mut room, mut got) = (vec![0; 1 << 20], 0);
        loop {
            while let Ok(count) = client.read(&mut room) {
                got += count;
            }
            if got / (one.len() + 16) == asked / one.len() {
                break;
            }
            (asking.client.readable, asking.client.writable) = (true, true);
            assert!(!matches!(asking.advance(KEY, &mut names, &mut shared), Step::End(_)));
        }
        assert_eq!(asking.inbox.len(), asked % one.len());
    }

    #[test]
    fn a_client_with_questions_at_the_broker_has_all_the_time() {
        let (mut shared, _others) = shared();
        let mut names = Names::default();
        let (mut client, ours) = UnixStream::pair().unwrap();
        let mut asking = Asking::new(ours.into(), &shared);
        client.write_all(&framed(b"\x01a\x07example").repeat(2)).unwrap();
        asking.client.readable = true;
        assert_eq!(asking.advance(KEY, &mut names, &mut shared), Step::Wait);
        assert_eq!((asking.under_way, asking.deadline()), (2, u64::MAX));
        asking.answer(b"answer");
        assert_eq!(asking.advance(KEY, &mut names, &mut shared), Step::Wait);
        let mut room = [0; 8];
        client.read_exact(&mut room).unwrap();
        assert_eq!((&room, asking.deadline()), (b"\0\x06answer", u64::MAX));
        asking.answer(b"answer");
        assert_eq!(asking.advance(KEY, &mut names, &mut shared), Step::Wait);
        assert_eq!(asking.expire(&shared), Step::Wait);
        shared.start -= PATIENCE;
        assert_eq!(asking.expire(&shared), Step::End(End::DONE));
    }
}
