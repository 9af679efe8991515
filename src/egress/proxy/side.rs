//! One socket of a connection, and what epoll has told of it.

use crate::sys::epoll::Event;
use crate::sys::stream;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A socket and what is known of it. Events come once for each change, so what they say is kept until a call finds it
/// used up.
#[derive(Debug)]
pub(super) struct Side {
    socket: OwnedFd,
    /// A read may find something.
    pub(super) readable: bool,
    /// A write may find room.
    pub(super) writable: bool,
    /// Something else than bytes may stand behind what a read gives, and no further event will say so.
    interrupted: bool,
    /// An error may wait on the socket.
    failed: bool,
    hung_up: bool,
}

impl Side {
    /// A socket that can be written to.
    pub(super) fn connected(socket: OwnedFd) -> Side {
        Side { socket, readable: false, writable: true, interrupted: false, failed: false, hung_up: false }
    }

    /// A socket that is not connected yet.
    pub(super) fn connecting(socket: OwnedFd) -> Side {
        Side { writable: false, ..Side::connected(socket) }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Keeps what an event says.
    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.readable();
        self.writable |= event.writable();
        self.interrupted |= event.interrupted();
        self.failed |= event.failed();
        self.hung_up |= event.hung_up();
    }

    /// Whether the other side has ended its direction, or may have: urgent data counts too.
    pub(super) fn has_ended(&self) -> bool {
        self.interrupted || self.hung_up
    }

    /// Whether neither direction is open.
    pub(super) fn is_hung_up(&self) -> bool {
        self.hung_up
    }

    /// The error on the socket, where an event has told of one that no call has met.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.failed) {
            return Ok(());
        }
        match stream::take_error(self.fd())? {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Reads what is there; `None` where nothing is, 0 at the end.
    ///
    /// # Errors
    /// As recv(2).
    pub(super) fn receive(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.readable {
            return Ok(None);
        }
        match stream::receive(self.fd(), room) {
            Ok(count) => {
                // less than asked for is all there was, and more of it causes an event (epoll(7))
                self.readable = count == room.len() || self.interrupted;
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what there is room for, and gives how much that was.
    ///
    /// # Errors
    /// As send(2).
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Ok(0);
        }
        match stream::send(self.fd(), bytes) {
            Ok(count) => {
                self.writable = count == bytes.len();
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}
