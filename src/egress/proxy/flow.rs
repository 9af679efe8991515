//! One direction of a connection.
//!
//! What is read is written in the same turn. What the other side does not take is held, and nothing more is read before
//! it has gone: a sender is slowed down by its receiver as if they were connected directly. A direction that nothing is
//! under way in has no memory but these few words.

use super::shared::Shared;
use super::side::Side;
use crate::sys::stream;
use std::io;

/// The smallest read, bytes; also the first.
const LEAST: usize = 16 << 10;
/// How many bytes, and in how many reads, one direction moves before others have their turn.
const BYTES: usize = 1 << 20;
const READS: u32 = 16;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Flow {
    /// What was read and not yet written, from `at` on.
    held: Vec<u8>,
    at: usize,
    /// How much is read at once. It grows while all of it is taken, so that there is little to hold.
    chunk: usize,
    /// Bytes that the other side has taken.
    pub(super) moved: u64,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    /// The end was read; it is passed on when everything before it is.
    EndRead,
    Done,
}

/// Why a direction rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Pumped {
    /// An event will say when there is more to do.
    Rests,
    /// There is more to do; others have their turn first.
    Again,
}

impl Flow {
    /// A direction in which `held` was read already.
    pub(super) fn new(held: Vec<u8>, shared: &mut Shared) -> Flow {
        shared.held += held.len();
        Flow { held, at: 0, chunk: LEAST, moved: 0, progress: Progress::Open }
    }

    /// What was read and not yet written.
    pub(super) fn held(&self) -> &[u8] {
        self.held.get(self.at..).unwrap_or_default()
    }

    /// Whether the end has been passed on.
    pub(super) fn is_done(&self) -> bool {
        self.progress == Progress::Done
    }

    /// Holds more, though nothing is written yet.
    pub(super) fn hold(&mut self, bytes: &[u8], held: &mut usize) {
        self.held.extend_from_slice(bytes);
        *held += bytes.len();
    }

    /// There is nothing more to read.
    pub(super) fn end(&mut self) {
        self.progress = Progress::EndRead;
    }

    /// Moves what there is and what there is room for.
    ///
    /// # Errors
    /// As recv(2) and send(2): one of the sides is broken.
    pub(super) fn pump(&mut self, from: &mut Side, to: &mut Side, shared: &mut Shared) -> io::Result<Pumped> {
        let mut bytes = 0;
        for _ in 0..READS {
            if !self.held.is_empty() && !self.write_held(to, shared)? {
                return Ok(Pumped::Rests);
            }
            match self.progress {
                Progress::Open => {}
                Progress::EndRead => {
                    // where the other side has broken off, that it did is what counts
                    stream::finish(to.fd()).or_else(|error| to.check().and(Err(error)))?;
                    self.progress = Progress::Done;
                    return Ok(Pumped::Rests);
                }
                Progress::Done => return Ok(Pumped::Rests),
            }
            if !to.writable {
                return Ok(Pumped::Rests);
            }
            let least = if shared.holds_plenty() { LEAST } else { self.chunk };
            let room = shared.buffer.get_mut(..least).unwrap_or_default();
            let Some(count) = from.receive(room)? else { return Ok(Pumped::Rests) };
            let read = room.get(..count).unwrap_or_default();
            if read.is_empty() {
                self.progress = Progress::EndRead;
                continue;
            }
            bytes += count;
            let taken = to.send(read)?;
            self.count(taken);
            if taken < count {
                self.chunk = LEAST;
                self.held = read.get(taken..).unwrap_or_default().to_vec();
                shared.held += self.held.len();
            } else if count == self.chunk {
                self.chunk = (self.chunk * 2).min(shared.buffer.len());
            }
            if bytes >= BYTES {
                break;
            }
        }
        Ok(Pumped::Again)
    }

    /// Whether everything that was held has gone.
    fn write_held(&mut self, to: &mut Side, shared: &mut Shared) -> io::Result<bool> {
        let taken = to.send(self.held())?;
        self.count(taken);
        self.at += taken;
        if self.at < self.held.len() {
            return Ok(false);
        }
        self.drop_held(shared);
        Ok(true)
    }

    /// Gives back what is held, without writing it.
    pub(super) fn drop_held(&mut self, shared: &mut Shared) {
        shared.held = shared.held.saturating_sub(self.held.len());
        self.held = Vec::new();
        self.at = 0;
    }

    fn count(&mut self, bytes: usize) {
        self.moved += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}
