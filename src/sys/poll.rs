//! `ppoll(2)` over borrowed descriptors, against a deadline.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::{Duration, Instant};

/// What a descriptor is watched for. Hang-ups and errors are always reported and need not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing but hang-ups and errors.
    Hangup,
    /// Hang-ups, errors and, on a stream socket, the peer's end of writing (`POLLRDHUP`).
    PeerClosed,
    /// Something can be read, or the end is reached.
    Read,
    /// Something can be written.
    Write,
}

/// One entry of a poll set.
#[derive(Debug)]
#[repr(transparent)]
pub struct PollFd<'fd> {
    raw: libc::pollfd,
    lifetime: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// Watches `fd`; `None` gives an entry that is never ready, so that places in a set stay fixed.
    pub fn new(fd: Option<BorrowedFd<'fd>>, interest: Interest) -> Self {
        let events = match interest {
            Interest::Hangup => 0,
            Interest::PeerClosed => libc::POLLRDHUP,
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
        };
        let raw = libc::pollfd { fd: fd.map_or(-1, |fd| fd.as_raw_fd()), events, revents: 0 };
        Self { raw, lifetime: PhantomData }
    }

    /// Whether anything at all was reported: what was asked for, a hang-up or an error.
    pub fn is_ready(&self) -> bool {
        self.raw.revents != 0
    }
}

/// Waits until an entry is ready or `deadline` has passed, however often a signal interrupts; `None` waits for ever.
/// Gives whether an entry is ready. A deadline in the past asks once without waiting.
pub fn poll(set: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    let count = libc::nfds_t::try_from(set.len()).map_err(io::Error::other)?;
    loop {
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        let timeout = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `PollFd` is a transparent `pollfd`, so `set` is an array of `count` of them that the call may write;
        // each holds -1 or a descriptor that is borrowed for longer than the call; `timeout` is null or points at `left`.
        let found = unsafe { libc::ppoll(set.as_mut_ptr().cast(), count, timeout, ptr::null()) };
        if found >= 0 {
            return Ok(found > 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Waits until one descriptor is ready or `deadline` has passed; gives whether it is ready.
pub fn wait_for(fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<bool> {
    poll(&mut [PollFd::new(Some(fd), interest)], deadline)
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_expired_deadline_asks_once() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert!(!wait_for(reader.as_fd(), Interest::Read, Some(Instant::now())).unwrap());
        writer.write_all(b"x").unwrap();
        assert!(wait_for(reader.as_fd(), Interest::Read, Some(Instant::now())).unwrap());
    }

    #[test]
    fn a_hangup_is_told_from_data() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        assert!(!wait_for(reader.as_fd(), Interest::PeerClosed, Some(Instant::now())).unwrap());
        drop(writer);
        assert!(wait_for(reader.as_fd(), Interest::PeerClosed, None).unwrap(), "unread data does not hide it");

        let (reader, writer) = io::pipe().unwrap();
        assert!(!wait_for(writer.as_fd(), Interest::Hangup, Some(Instant::now())).unwrap());
        drop(reader);
        assert!(wait_for(writer.as_fd(), Interest::Hangup, None).unwrap());
    }

    #[test]
    fn half_closed_sockets_count_where_asked_for() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(wait_for(ours.as_fd(), Interest::PeerClosed, None).unwrap());
        assert!(!wait_for(ours.as_fd(), Interest::Hangup, Some(Instant::now())).unwrap());
    }

    #[test]
    fn an_absent_descriptor_is_never_ready() {
        let (reader, _writer) = io::pipe().unwrap();
        drop(_writer);
        let mut set = [PollFd::new(None, Interest::Read), PollFd::new(Some(reader.as_fd()), Interest::Read)];
        assert!(poll(&mut set, None).unwrap());
        assert!(!set[0].is_ready());
        assert!(set[1].is_ready());
    }
}
