//! One session from its first byte to the server's end.
//!
//! The calling thread moves no messages. It waits for what can end a session, keeps the first cause, and then goes
//! down the ladder of the MCP specification (stdio, shutdown), each step with its time:
//!
//! ```text
//!  host closed stdin ──► server's stdin closed once all is passed on ─┐
//!  host gone, server closed a stream ──► server's stdin closed ───────┤
//!                                                        eof_grace    ▼
//!  signal, oversized message ──► server's stdin closed ──────► terminate()
//!                                                        term_grace   ▼
//!                                                                  kill()
//!  server's process ended, at any time ──► drain ──► kill() for what it left behind ──► wait()
//! ```

use super::outcome::{EndedBy, Outcome, RelayError, ServerExit, Traffic};
use super::outlet::Outlet;
use super::pump::PumpEnd;
use super::streams::{Endpoints, Event, Streams, Wires};
use super::{Direction, Forward, Judge};
use crate::sys::poll::{Interest, PollFd, poll};
use crate::sys::signal::SignalFd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time between a signal to us and SIGKILL to the server: hosts kill us two seconds after SIGTERM.
const SIGNAL_GRACE: Duration = Duration::from_millis(1500);
/// The same where a judge has ended the session.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// How long SIGKILL may take; a process in an uninterruptible call can outlive it.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How many times [`Options::drain`] a slow host that keeps reading is given in all.
const DRAINS: u32 = 5;
/// How long a host that no longer reads is given to close its other stream, so that what it wrote last is passed on: a
/// process that dies closes its streams one after the other.
const SETTLING: Duration = Duration::from_millis(250);
/// How long the pipes may take to close once everything in the jail is dead.
const CLOSING: Duration = Duration::from_millis(250);

/// The server as a process, in its jail.
pub trait ServerProcess {
    /// Readable once the server has ended.
    fn pidfd(&self) -> BorrowedFd<'_>;
    /// Sends SIGTERM to the server.
    fn terminate(&self) -> io::Result<()>;
    /// Sends SIGKILL to everything in the jail. Called at the end of each session, before [`wait`](Self::wait), and so
    /// also when all is dead already, which is no error.
    fn kill(&self) -> io::Result<()>;
    /// Reaps the server. Only called once it has ended.
    fn wait(&mut self) -> io::Result<ServerExit>;
}

/// Times and limits of a session.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the server may take to end after its stdin was closed.
    pub eof_grace: Duration,
    /// How long it may take to end after SIGTERM; at most 1.5 s where a signal to us is the reason.
    pub term_grace: Duration,
    /// How long a dead server's output is waited for while nothing moves.
    pub drain: Duration,
    /// The largest message, bytes.
    pub max_message: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            eof_grace: Duration::from_secs(4),
            term_grace: Duration::from_secs(2),
            drain: Duration::from_secs(1),
            max_message: super::DEFAULT_MAX_MESSAGE,
        }
    }
}

/// Carries all messages unseen until the session is over and the server gone.
///
/// Starts three threads, which may outlive the call when the other side of their descriptors does nothing; the process
/// is expected to end soon. Every step has its time, so the call returns whatever host and server do.
pub fn run(
    ends: Endpoints,
    server: &mut dyn ServerProcess,
    signals: SignalFd,
    options: &Options,
) -> Result<Outcome, RelayError> {
    run_with(ends, server, signals, options, |_| (Forward, Forward))
}

/// Like [`run`], with a judge for each direction: first of what the host sends, then of what the server sends.
pub fn run_with<H: Judge + 'static, S: Judge + 'static>(
    ends: Endpoints,
    server: &mut dyn ServerProcess,
    signals: SignalFd,
    options: &Options,
    judges: impl FnOnce(&Wires) -> (H, S),
) -> Result<Outcome, RelayError> {
    let ended = match Streams::start(ends, options.max_message, judges) {
        Ok(streams) => Session::new(streams, server, signals, options).run(),
        Err(source) => Err(RelayError::Io { action: "start", source }),
    };
    let killed = server.kill();
    let summary = ended?;
    killed.map_err(|source| RelayError::Io { action: "clear the jail", source })?;
    let exit = server.wait().map_err(|source| RelayError::Io { action: "learn how the server ended", source })?;
    Ok(Outcome {
        ended_by: summary.ended_by,
        exit,
        to_server: summary.to_server,
        to_host: summary.to_host,
        max_message: options.max_message,
    })
}

/// How far down the ladder a session is, and until when it stays there.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Messages flow.
    Open,
    /// The host no longer reads, but has not closed its other stream yet.
    Settling(Instant),
    /// The server's stdin is closed, or will be once all is passed on.
    Closing(Instant),
    /// SIGTERM was sent.
    Terminating(Instant),
    /// SIGKILL was sent.
    Killing(Instant),
    /// The server has ended; its last output is on its way. `seen` bytes had arrived when the time was set.
    Draining { until: Instant, seen: u64, at_most: Instant },
    /// Whatever the server left behind was killed as well.
    Clearing(Instant),
    /// All is said.
    Over,
}

impl Phase {
    fn until(self) -> Option<Instant> {
        match self {
            Self::Open | Self::Over => None,
            Self::Settling(until)
            | Self::Closing(until)
            | Self::Terminating(until)
            | Self::Killing(until)
            | Self::Draining { until, .. }
            | Self::Clearing(until) => Some(until),
        }
    }

    fn server_lives(self) -> bool {
        match self {
            Self::Open | Self::Settling(_) | Self::Closing(_) | Self::Terminating(_) | Self::Killing(_) => true,
            Self::Draining { .. } | Self::Clearing(_) | Self::Over => false,
        }
    }
}

/// What the session knows when the server has ended.
struct Summary {
    ended_by: EndedBy,
    to_server: Traffic,
    to_host: Traffic,
}

/// What the poll has shown.
struct Ready {
    signal: bool,
    exited: bool,
    host_closed: bool,
    host_gone: bool,
}

struct Session<'a> {
    streams: Streams,
    server: &'a dyn ServerProcess,
    signals: SignalFd,
    options: &'a Options,
    phase: Phase,
    ended_by: Option<EndedBy>,
    failure: Option<RelayError>,
    /// We had a hand in the server's end.
    interfered: bool,
    /// The host has closed our stdin; the thread that reads it passes on what is left and then closes the server's.
    host_closed: bool,
    /// Nothing more comes from the server's stdout, or nobody wants it.
    output_done: bool,
    stderr_done: bool,
    /// Bytes of unfinished messages, to the server and to the host.
    tails: (usize, usize),
}

impl<'a> Session<'a> {
    fn new(streams: Streams, server: &'a dyn ServerProcess, signals: SignalFd, options: &'a Options) -> Self {
        Self {
            streams,
            server,
            signals,
            options,
            phase: Phase::Open,
            ended_by: None,
            failure: None,
            interfered: false,
            host_closed: false,
            output_done: false,
            stderr_done: false,
            tails: (0, 0),
        }
    }

    fn run(mut self) -> Result<Summary, RelayError> {
        while !matches!(self.phase, Phase::Over) {
            let ready = self.wait().map_err(|source| RelayError::Io { action: "wait for events", source })?;
            // Events come first: the host's end of input is announced before it can make the server exit.
            while let Ok(event) = self.streams.events.try_recv() {
                self.on_event(event);
            }
            self.on_ready(&ready)?;
            if self.phase.until().is_some_and(|until| until <= Instant::now()) {
                self.on_time()?;
            }
        }
        // A thread that is still blocked must not write once somebody else reports the end.
        self.streams.wires.to_host.close();
        self.streams.wires.to_server.close();
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let traffic = |outlet: &Outlet, messages: &AtomicU64, tail| Traffic {
            bytes: outlet.written(),
            messages: messages.load(Ordering::Relaxed),
            tail,
        };
        Ok(Summary {
            ended_by: self.ended_by.unwrap_or(EndedBy::ServerExited),
            to_server: traffic(&self.streams.wires.to_server, &self.streams.to_server, self.tails.0),
            to_host: traffic(&self.streams.wires.to_host, &self.streams.to_host, self.tails.1),
        })
    }

    /// Waits until anything happens or the phase's time is over.
    fn wait(&mut self) -> io::Result<Ready> {
        let server = self.phase.server_lives().then(|| self.server.pidfd());
        let host_in = self.streams.host_in.as_ref().map(|file| file.as_fd());
        let host_out = self.streams.host_out.as_ref().map(|file| file.as_fd());
        let mut set = [
            PollFd::new(Some(self.signals.as_fd()), Interest::Read),
            PollFd::new(server, Interest::Read),
            PollFd::new(host_in, Interest::PeerClosed),
            PollFd::new(host_out, Interest::Hangup),
            PollFd::new(Some(self.streams.wake.as_fd()), Interest::Read),
        ];
        poll(&mut set, self.phase.until())?;
        let [signal, exited, host_closed, host_gone, wake] = set.map(|entry| entry.is_ready());
        if wake {
            // One byte for each event; those that are not read here wake the next wait, which does no harm.
            io::Read::read(&mut self.streams.wake, &mut [0; 8])?;
        }
        Ok(Ready { signal, exited, host_closed, host_gone })
    }

    fn on_event(&mut self, event: Event) {
        let (direction, end) = match event {
            Event::Stderr => {
                self.stderr_done = true;
                return self.end_if_drained();
            }
            Event::Stop => {
                self.ended_by.get_or_insert(EndedBy::Judge);
                return self.terminate(self.options.term_grace.min(STOP_GRACE));
            }
            Event::Pump(direction, end) => (direction, end),
        };
        match direction {
            Direction::ToServer => self.streams.host_in = None,
            Direction::ToHost => self.output_done = true,
        }
        match (direction, end) {
            (Direction::ToServer, PumpEnd::SourceClosed { tail }) => {
                self.tails.0 = tail;
                self.host_closed = true;
                // Only now does the server learn of it; its time starts again.
                self.close(EndedBy::HostClosed);
            }
            (Direction::ToHost, PumpEnd::SourceClosed { tail }) => {
                self.tails.1 = tail;
                self.close(EndedBy::ServerClosedStdout);
            }
            (Direction::ToServer, PumpEnd::SinkClosed) => self.close(EndedBy::ServerClosedStdin),
            (Direction::ToHost, PumpEnd::SinkClosed) => self.on_host_gone(),
            (direction, PumpEnd::TooLarge) => {
                self.ended_by.get_or_insert(EndedBy::Oversized { direction });
                self.terminate(self.options.term_grace);
            }
            (direction, PumpEnd::Failed(source)) => {
                let action = match direction {
                    Direction::ToServer => "pass on what the host sends",
                    Direction::ToHost => "pass on what the server sends",
                };
                self.failure.get_or_insert(RelayError::Io { action, source });
                self.terminate(self.options.term_grace);
            }
        }
        self.end_if_drained();
    }

    fn on_ready(&mut self, ready: &Ready) -> Result<(), RelayError> {
        self.host_closed |= ready.host_closed;
        if ready.host_gone {
            self.on_host_gone();
        }
        if ready.host_closed {
            self.streams.host_in = None;
            if matches!(self.phase, Phase::Open | Phase::Settling(_)) {
                self.close(EndedBy::HostClosed);
            }
        }
        if ready.signal {
            let next = self.signals.next().map_err(|source| RelayError::Io { action: "read a signal", source })?;
            if let Some(signal) = next {
                self.on_signal(signal);
            }
        }
        if ready.exited && self.phase.server_lives() {
            self.on_exit();
        }
        Ok(())
    }

    fn on_host_gone(&mut self) {
        self.streams.host_out = None;
        self.output_done = true;
        if matches!(self.phase, Phase::Open) && !self.host_closed {
            self.ended_by = Some(EndedBy::HostGone);
            self.phase = Phase::Settling(Instant::now() + SETTLING);
        }
        self.end_if_drained();
    }

    fn on_signal(&mut self, signal: i32) {
        self.ended_by.get_or_insert(EndedBy::Signal(signal));
        if self.phase.server_lives() {
            self.terminate(self.options.term_grace.min(SIGNAL_GRACE));
        } else {
            self.phase = Phase::Over;
        }
    }

    /// The server's process has ended.
    fn on_exit(&mut self) {
        match self.ended_by {
            // A process closes its streams just before it ends.
            None | Some(EndedBy::ServerClosedStdout | EndedBy::ServerClosedStdin) if !self.interfered => {
                self.ended_by = Some(EndedBy::ServerExited);
            }
            _ => {}
        }
        let now = Instant::now();
        let seen = self.streams.wires.to_host.written();
        let at_most = now + self.options.drain * DRAINS;
        self.phase = Phase::Draining { until: now + self.options.drain, seen, at_most };
        self.end_if_drained();
    }

    /// The phase's time is over.
    fn on_time(&mut self) -> Result<(), RelayError> {
        let now = Instant::now();
        match self.phase {
            Phase::Open | Phase::Over => {}
            Phase::Settling(_) => self.close(EndedBy::HostGone),
            Phase::Closing(_) => self.terminate(self.options.term_grace),
            Phase::Terminating(_) => {
                self.kill()?;
                self.phase = Phase::Killing(now + KILL_GRACE);
            }
            Phase::Killing(_) => {
                let source = io::Error::new(io::ErrorKind::TimedOut, "it survives SIGKILL");
                return Err(RelayError::Io { action: "end the server", source });
            }
            Phase::Draining { seen, at_most, .. } => {
                let written = self.streams.wires.to_host.written();
                if written > seen && now < at_most {
                    self.phase = Phase::Draining { until: now + self.options.drain, seen: written, at_most };
                } else {
                    self.kill()?;
                    self.phase = Phase::Clearing(now + CLOSING);
                }
            }
            Phase::Clearing(_) => self.phase = Phase::Over,
        }
        Ok(())
    }

    fn end_if_drained(&mut self) {
        if !self.phase.server_lives() && self.output_done && self.stderr_done {
            self.phase = Phase::Over;
        }
    }

    /// Gives the server its end of input and some time. Later causes never lengthen that, but for the host's last
    /// message: the time counts from when the server could know.
    fn close(&mut self, cause: EndedBy) {
        self.ended_by.get_or_insert(cause);
        if !self.host_closed {
            self.streams.wires.to_server.close();
        }
        let until = Instant::now() + self.options.eof_grace;
        match self.phase {
            Phase::Open | Phase::Settling(_) => self.phase = Phase::Closing(until),
            Phase::Closing(_) if cause == EndedBy::HostClosed => self.phase = Phase::Closing(until),
            _ => {}
        }
    }

    /// Asks the server to end now; with `grace` before it has to. Never lengthens a time that runs.
    fn terminate(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        match self.phase {
            Phase::Open | Phase::Settling(_) | Phase::Closing(_) => {
                self.interfered = true;
                self.streams.wires.to_server.close();
                // Where the signal cannot be sent, there is nothing to wait for before SIGKILL.
                let sent = self.server.terminate().is_ok();
                self.phase = Phase::Terminating(if sent { until } else { Instant::now() });
            }
            Phase::Terminating(earlier) => self.phase = Phase::Terminating(earlier.min(until)),
            Phase::Killing(_) | Phase::Draining { .. } | Phase::Clearing(_) | Phase::Over => {}
        }
    }

    fn kill(&self) -> Result<(), RelayError> {
        self.server.kill().map_err(|source| RelayError::Io { action: "kill the server", source })
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
