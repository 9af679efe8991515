//! The descriptors of a session and the threads that work on them.

use super::outlet::{Outlet, Source};
use super::pump::{PumpEnd, pump};
use super::{Direction, Judge, stderr};
use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Our three streams and the other ends of the server's. All are to be close-on-exec.
#[derive(Debug)]
pub struct Endpoints {
    /// Where the host writes.
    pub host_in: OwnedFd,
    /// Where the host reads.
    pub host_out: OwnedFd,
    /// Where the host, or a person, reads diagnostics.
    pub host_err: OwnedFd,
    /// The server's stdin.
    pub server_in: OwnedFd,
    /// The server's stdout.
    pub server_out: OwnedFd,
    /// The server's stderr.
    pub server_err: OwnedFd,
}

impl Endpoints {
    /// Our own standard streams, duplicated close-on-exec, and the given ends of the server's.
    pub fn with_stdio(server_in: OwnedFd, server_out: OwnedFd, server_err: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            host_in: io::stdin().as_fd().try_clone_to_owned()?,
            host_out: io::stdout().as_fd().try_clone_to_owned()?,
            host_err: io::stderr().as_fd().try_clone_to_owned()?,
            server_in,
            server_out,
            server_err,
        })
    }
}

/// The writing ends, for judges that have something of their own to say, and the way to end the session.
#[derive(Debug, Clone)]
pub struct Wires {
    /// Towards the host.
    pub to_host: Arc<Outlet>,
    /// Towards the server.
    pub to_server: Arc<Outlet>,
    /// The host's stderr.
    pub diagnostics: Arc<Outlet>,
    /// Ends the session.
    pub stop: Stop,
}

/// Ends the session from a judge's side.
#[derive(Debug, Clone)]
pub struct Stop(Notifier);

impl Stop {
    /// The server is ended now; what was written to the host stays written. Returns at once.
    pub fn end(&self) {
        self.0.send(Event::Stop);
    }
}

/// What a thread says at its end.
#[derive(Debug)]
pub(super) enum Event {
    Pump(Direction, PumpEnd),
    Stderr,
    Stop,
}

/// How a thread reaches the session: the event, and a byte that wakes it up.
#[derive(Debug, Clone)]
pub(super) struct Notifier {
    events: Sender<Event>,
    wake: Arc<PipeWriter>,
}

impl Notifier {
    fn send(&self, event: Event) {
        // Either fails only when the session is over.
        let _ = self.events.send(event);
        let _ = (&*self.wake).write(&[0]);
    }
}

/// The threads at work, as the session sees them.
pub(super) struct Streams {
    /// To notice that the host has closed it while its thread is blocked elsewhere. Never read here.
    pub(super) host_in: Option<Arc<File>>,
    /// To notice that nobody reads it any more.
    pub(super) host_out: Option<Arc<File>>,
    pub(super) wires: Wires,
    /// Messages so far.
    pub(super) to_server: Arc<AtomicU64>,
    /// Messages so far.
    pub(super) to_host: Arc<AtomicU64>,
    pub(super) events: Receiver<Event>,
    /// Has a byte for each event.
    pub(super) wake: PipeReader,
    /// Without it the reader would report a hang-up for ever once all threads are gone.
    _wake_writer: Arc<PipeWriter>,
}

impl Streams {
    pub(super) fn start<H: Judge + 'static, S: Judge + 'static>(
        ends: Endpoints,
        limit: usize,
        judges: impl FnOnce(&Wires) -> (H, S),
    ) -> io::Result<Self> {
        let Endpoints { host_in, host_out, host_err, server_in, server_out, server_err } = ends;
        let host_in = Arc::new(File::from(host_in));
        let server_out = Arc::new(File::from(server_out));
        let (to_server, to_host) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (sender, events) = mpsc::channel();
        let (wake, wake_writer) = io::pipe()?;
        let wake_writer = Arc::new(wake_writer);
        let notifier = Notifier { events: sender, wake: wake_writer.clone() };
        let diagnostics = Arc::new(Outlet::new(host_err));
        let wires = Wires {
            to_host: Arc::new(Outlet::new(host_out)),
            to_server: Arc::new(Outlet::new(server_in)),
            diagnostics: diagnostics.clone(),
            stop: Stop(notifier.clone()),
        };
        let host_out = wires.to_host.file();
        let (of_host, of_server) = judges(&wires);

        let (source, sink, count) = (host_in.clone(), wires.to_server.clone(), to_server.clone());
        start_pump(Direction::ToServer, source, sink, of_host, limit, count, notifier.clone())?;
        let (sink, count) = (wires.to_host.clone(), to_host.clone());
        start_pump(Direction::ToHost, server_out, sink, of_server, limit, count, notifier.clone())?;
        thread::Builder::new().name("server-stderr".to_owned()).spawn(move || {
            let terminal = diagnostics.file().is_some_and(|file| file.is_terminal());
            stderr::pass(&mut Source(Arc::new(File::from(server_err))), &mut &*diagnostics, terminal);
            notifier.send(Event::Stderr);
        })?;
        Ok(Self {
            host_in: Some(host_in),
            host_out,
            wires,
            to_server,
            to_host,
            events,
            wake,
            _wake_writer: wake_writer,
        })
    }
}

fn start_pump(
    direction: Direction,
    source: Arc<File>,
    sink: Arc<Outlet>,
    mut judge: impl Judge + 'static,
    limit: usize,
    messages: Arc<AtomicU64>,
    notifier: Notifier,
) -> io::Result<()> {
    let name = match direction {
        Direction::ToServer => "host-to-server",
        Direction::ToHost => "server-to-host",
    };
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let mut source = Source(source);
        let end = pump(&mut source, &sink, &mut judge, limit, &messages);
        // Told before the server can see that a stream of its is closed, so that its end is never taken for the cause.
        notifier.send(Event::Pump(direction, end));
        drop(source);
        if direction == Direction::ToServer {
            sink.close();
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{pidfd, signal::SignalFd};
    use std::os::fd::AsRawFd;

    #[test]
    fn nothing_survives_an_exec() {
        let (reader, writer) = io::pipe().unwrap();
        let errors = writer.try_clone().unwrap();
        let ends = Endpoints::with_stdio(writer.into(), reader.into(), errors.into()).unwrap();
        let Endpoints { host_in, host_out, host_err, server_in, server_out, server_err } = ends;
        let signals = SignalFd::block_ending().unwrap();
        let process = pidfd::open(std::process::id()).unwrap();
        let ours = [host_in, host_out, host_err, server_in, server_out, server_err, process];
        for fd in ours.iter().map(|fd| fd.as_fd()).chain([signals.as_fd()]) {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
            assert_ne!(flags & libc::O_CLOEXEC, 0, "{info}");
        }
    }
}
