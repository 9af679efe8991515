//! `epoll(7)`, edge-triggered: one registration for the life of a descriptor.

use super::fd::own;
use super::{check, check_unit};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What happened to a descriptor.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Event(libc::epoll_event);

impl Event {
    /// Room for an answer.
    pub const EMPTY: Event = Event(libc::epoll_event { events: 0, u64: 0 });

    /// The number that the descriptor was registered with.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.0.u64
    }

    /// There is something to read, or the end, or an error.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.any(libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// There is room to write, or an error.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.any(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// A read that gives less than there is room for need not have given all: what follows is the end, an error, or what
    /// was sent as urgent, at which reads stop.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.any(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLPRI)
    }

    /// An error waits to be taken off the socket.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.any(libc::EPOLLERR)
    }

    /// Neither direction is open.
    #[must_use]
    pub fn hung_up(&self) -> bool {
        self.any(libc::EPOLLHUP)
    }

    fn any(&self, bits: i32) -> bool {
        self.0.events & bits.cast_unsigned() != 0
    }
}

/// A set of watched descriptors.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// As epoll_create1(2).
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes integers only.
        own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into()).map(Epoll)
    }

    /// For tests: readable while something has happened that was not told yet.
    #[cfg(test)]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }

    /// Watches `fd` for both directions. What is true of it at this moment is reported once, too.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events =
            (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET).cast_unsigned();
        let mut event = libc::epoll_event { events, u64: token };
        let (set, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` outlives the call; the kernel copies it.
        check_unit(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &raw mut event) }.into())
    }

    /// Watches it no longer. Closing is not enough where another process has the same socket open.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let (set, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: removing reads no event.
        check_unit(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) }.into())
    }

    /// Waits until something happens, or until `timeout`, rounded up to milliseconds, has passed; `None` waits for ever.
    /// Gives what happened, as far as there is room; nothing also after a signal.
    ///
    /// # Errors
    /// As epoll_wait(2).
    pub fn wait<'a>(&self, room: &'a mut [Event], timeout: Option<Duration>) -> io::Result<&'a [Event]> {
        let milliseconds = timeout.map_or(-1, |timeout| {
            let rounded = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(rounded).unwrap_or(i32::MAX)
        });
        let most = i32::try_from(room.len()).unwrap_or(i32::MAX);
        let events = room.as_mut_ptr().cast::<libc::epoll_event>();
        // SAFETY: `Event` is a transparent `epoll_event`, so `room` is an array of `most` of them that may be written.
        let found = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events, most, milliseconds) };
        let count = match check(found.into()) {
            Ok(count) => usize::try_from(count).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(room.get(..count).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn each_edge_is_told_once() {
        let epoll = Epoll::new().unwrap();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let mut room = [Event::EMPTY; 4];
        assert!(epoll.wait(&mut room, NOW).unwrap().is_empty());
        epoll.add(ours.as_fd(), u64::MAX - 7).unwrap();
        let first = epoll.wait(&mut room, None).unwrap()[0];
        assert_eq!(first.token(), u64::MAX - 7);
        assert!(first.writable() && !first.readable() && !first.interrupted());
        assert!(epoll.wait(&mut room, NOW).unwrap().is_empty());

        theirs.write_all(b"x").unwrap();
        assert!(epoll.wait(&mut room, None).unwrap()[0].readable());
        assert!(epoll.wait(&mut room, NOW).unwrap().is_empty(), "what is still there is not told again");
        theirs.write_all(b"y").unwrap();
        assert!(epoll.wait(&mut room, NOW).unwrap()[0].readable());
        ours.read_exact(&mut [0; 2]).unwrap();

        theirs.shutdown(Shutdown::Write).unwrap();
        let end = epoll.wait(&mut room, None).unwrap()[0];
        assert!(end.readable() && end.interrupted() && !end.failed() && !end.hung_up());
        drop(theirs);
        assert!(epoll.wait(&mut room, None).unwrap()[0].hung_up());
    }

    #[test]
    fn what_is_removed_is_told_no_more_though_it_is_open_elsewhere() {
        let epoll = Epoll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let copy = ours.try_clone().unwrap();
        epoll.add(ours.as_fd(), 1).unwrap();
        epoll.remove(ours.as_fd()).unwrap();
        drop(ours);
        theirs.write_all(b"x").unwrap();
        assert!(epoll.wait(&mut [Event::EMPTY], NOW).unwrap().is_empty());
        assert_eq!(epoll.remove(copy.as_fd()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
