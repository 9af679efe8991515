//! Packets on their way to another process that may be slow: what its socket does not take waits here.

use crate::sys::message;
use serde::Serialize;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// One end of a `SOCK_SEQPACKET` pair, and what is to go out there.
///
/// Nothing is ever left out. The queue is bounded by who fills it: nothing new is begun while it holds more than a few
/// (`Shared::is_open`), and what has begun sends a known number of packets.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
}

impl Outbox {
    pub(super) fn new(socket: OwnedFd) -> Outbox {
        Outbox { socket, waiting: VecDeque::new() }
    }

    /// The socket.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// How many packets wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a message, or queues it behind those that wait. Never waits itself.
    ///
    /// # Errors
    /// As sendmsg(2): the other side is gone.
    pub(super) fn put(&mut self, message: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_allocvec(message).map_err(io::Error::other)?;
        if self.waiting.is_empty() && self.sent(&bytes)? {
            return Ok(());
        }
        self.waiting.push_back(bytes);
        Ok(())
    }

    /// Sends of what waits as much as the socket takes.
    ///
    /// # Errors
    /// As sendmsg(2): the other side is gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(first) = self.waiting.front() {
            if !self.sent(first)? {
                break;
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Whether it went out.
    fn sent(&self, bytes: &[u8]) -> io::Result<bool> {
        match message::send(self.socket.as_fd(), bytes, &[], false) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // the kernel has no memory for it at this moment
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_socket_does_not_take_waits_and_keeps_its_order() {
        let (ours, theirs) = message::packet_pair().unwrap();
        let mut outbox = Outbox::new(ours);
        let mut put = 0u64;
        while outbox.waiting() < 3 {
            outbox.put(&(put, [7u8; 32])).unwrap();
            put += 1;
        }
        outbox.flush().unwrap();
        assert_eq!(outbox.waiting(), 3, "a socket that is full stays so");
        let mut room = [0; 64];
        for expected in 0..put {
            let (count, _) = message::receive(theirs.as_fd(), &mut room, false).unwrap();
            let (number, _): (u64, [u8; 32]) = postcard::from_bytes(&room[..count]).unwrap();
            assert_eq!(number, expected);
            outbox.flush().unwrap();
        }
        assert_eq!(outbox.waiting(), 0);
        drop(theirs);
        assert_eq!(outbox.put(&1).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
