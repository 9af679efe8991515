//! A descriptor that several threads write whole messages to, and that can be closed under them.

use crate::sys::poll::{self, Interest};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The longest single write, so that progress shows while a big message passes.
const CHUNK: usize = 256 << 10;

/// The writing end towards the host or the server.
#[derive(Debug)]
pub struct Outlet {
    /// Held while something is written, so that messages do not mix.
    turn: Mutex<()>,
    /// Never held while anything blocks. A write under way keeps its own reference.
    file: Mutex<Option<Arc<File>>>,
    written: AtomicU64,
}

impl Outlet {
    /// Writes to `fd`, which may be blocking or not.
    pub fn new(fd: OwnedFd) -> Self {
        Self { turn: Mutex::new(()), file: Mutex::new(Some(Arc::new(File::from(fd)))), written: AtomicU64::new(0) }
    }

    /// Writes whole lines, waiting as long as it takes. A closed outlet gives `BrokenPipe`.
    pub fn send(&self, mut lines: &[u8]) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file().ok_or(io::ErrorKind::BrokenPipe)?;
        while !lines.is_empty() {
            match (&*file).write(lines.get(..CHUNK).unwrap_or(lines)) {
                Ok(count) => {
                    self.written.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
                    lines = lines.get(count..).unwrap_or_default();
                }
                Err(error) => wait_or_fail(&file, Interest::Write, error)?,
            }
        }
        Ok(())
    }

    /// Writes a few lines if that needs no waiting: nobody else is writing and the descriptor takes them at once. Gives
    /// whether they were written. For diagnostics, which no message may wait for.
    pub fn offer(&self, lines: &[u8]) -> bool {
        let Ok(_turn) = self.turn.try_lock() else { return false };
        let Some(file) = self.file() else { return false };
        // A pipe that is ready takes so much without blocking (pipe(7)).
        let lines = lines.get(..libc::PIPE_BUF).unwrap_or(lines);
        match poll::wait_for(file.as_fd(), Interest::Write, Some(Instant::now())) {
            Ok(true) => (&*file).write_all(lines).is_ok(),
            _ => false,
        }
    }

    /// Closes the descriptor now, or as soon as the write under way ends. Never waits; later messages are refused.
    pub fn close(&self) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The descriptor, unless it is closed. Whoever holds it delays the closing.
    pub fn file(&self) -> Option<Arc<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that the kernel has taken so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// For a stream without messages, such as stderr.
impl Write for &Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A descriptor to read from that may turn out to be non-blocking: whoever shares its description can make it so.
#[derive(Debug)]
pub(crate) struct Source(pub(crate) Arc<File>);

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&*self.0).read(into) {
                Ok(count) => return Ok(count),
                Err(error) => wait_or_fail(&self.0, Interest::Read, error)?,
            }
        }
    }
}

/// Waits where a non-blocking descriptor is not ready, does nothing where a signal interrupted, fails otherwise.
fn wait_or_fail(file: &File, interest: Interest, error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock => poll::wait_for(file.as_fd(), interest, None).map(|_| ()),
        io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// Whether the error says that the other side has gone: a pipe without a reader, a reset socket, a terminal hung up.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        || error.raw_os_error() == Some(libc::EIO)
}
