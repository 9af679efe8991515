//! How a session ended, and what that means for the person and the exit code.

use super::Direction;
use crate::diagnose::{Diagnose, Exit};
use std::borrow::Cow;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How the server's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerExit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl From<ExitStatus> for ServerExit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

/// What ended the session: the first thing that happened, not what followed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The host closed our stdin, which is how the specification ends a session.
    HostClosed,
    /// Nobody reads our stdout any more.
    HostGone,
    /// The server's process ended by itself.
    ServerExited,
    /// The server closed its stdout and had to be ended.
    ServerClosedStdout,
    /// The server closed its stdin and had to be ended.
    ServerClosedStdin,
    /// This signal arrived.
    Signal(i32),
    /// A message was larger than the limit.
    Oversized {
        /// Where it was going.
        direction: Direction,
    },
    /// A judge ended the session, and knows why.
    Judge,
}

/// What went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that the receiver's side took.
    pub bytes: u64,
    /// Messages that the sender sent, dropped ones and empty lines included.
    pub messages: u64,
    /// Bytes of an unfinished last line, which were not passed on.
    pub tail: usize,
}

/// A session that is over; its server is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What ended it.
    pub ended_by: EndedBy,
    /// How the server's process ended, by itself or by us.
    pub exit: ServerExit,
    /// From the host to the server.
    pub to_server: Traffic,
    /// From the server to the host.
    pub to_host: Traffic,
    /// The limit on messages, bytes.
    pub max_message: usize,
}

impl Outcome {
    /// Fine where the host ended the session, however the server took it, or a judge, who has the reason; an error where
    /// the server did.
    pub fn verdict(&self) -> Result<(), RelayError> {
        match (self.ended_by, self.exit) {
            (EndedBy::HostClosed | EndedBy::HostGone | EndedBy::Signal(_) | EndedBy::Judge, _) => Ok(()),
            (EndedBy::ServerExited, ServerExit::Code(status)) => Err(RelayError::ServerExited { status }),
            (EndedBy::ServerExited, ServerExit::Signal(signal)) => Err(RelayError::ServerCrashed { signal }),
            (EndedBy::ServerClosedStdout, _) => Err(RelayError::ServerClosed { stream: "stdout" }),
            (EndedBy::ServerClosedStdin, _) => Err(RelayError::ServerClosed { stream: "stdin" }),
            (EndedBy::Oversized { direction }, _) => {
                Err(RelayError::MessageTooLarge { direction, limit: self.max_message })
            }
        }
    }
}

/// Why a session went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The server ended before the host ended the session, even if with code 0.
    #[error("the server exited with status `{status}` while the session was open")]
    ServerExited {
        /// Its exit code.
        status: i32,
    },
    /// A signal that we did not send ended the server before the host ended the session.
    #[error("the server was killed by `{}` while the session was open", signal_name(*signal))]
    ServerCrashed {
        /// The signal's number.
        signal: i32,
    },
    /// The server lived on without one of its streams.
    #[error("the server closed its `{stream}` while the session was open")]
    ServerClosed {
        /// `stdin` or `stdout`.
        stream: &'static str,
    },
    /// One line was too long.
    #[error("a message from the {} is larger than `{limit}` bytes", direction.sender())]
    MessageTooLarge {
        /// Where it was going.
        direction: Direction,
        /// The limit, bytes.
        limit: usize,
    },
    /// A system call failed that never should.
    #[error("the relay could not {action}")]
    Io {
        /// What was being done, to go after "could not".
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
}

impl Diagnose for RelayError {
    fn code(&self) -> &'static str {
        match self {
            Self::ServerExited { .. } => "server-exited",
            Self::ServerClosed { .. } => "server-closed",
            Self::ServerCrashed { .. } => "server-crashed",
            Self::MessageTooLarge { .. } => "message-too-large",
            Self::Io { .. } => "relay-io",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Server
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ServerExited { .. } | Self::ServerClosed { .. } => {
                "the server's own last words, if any, are in the lines above (its stderr)"
            }
            Self::ServerCrashed { signal: libc::SIGSYS } => {
                "the system call filter kills foreign calls; see the profile's `syscalls`"
            }
            Self::ServerCrashed { signal: libc::SIGKILL } => {
                "this is how a full memory limit looks; raise `memory` under `[jail.limits]` in the profile"
            }
            Self::ServerCrashed { signal: libc::SIGXFSZ } => {
                "a file became too large; raise `file-size` under `[jail.limits]` in the profile"
            }
            Self::ServerCrashed { .. } => "look at the lines above (the server's stderr)",
            Self::MessageTooLarge { .. } | Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// The name of a signal as `kill -l` gives it, with the prefix.
fn signal_name(signal: i32) -> Cow<'static, str> {
    Cow::Borrowed(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return Cow::Owned(format!("signal {other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ended_by: EndedBy, exit: ServerExit) -> Result<(), (&'static str, String)> {
        let none = Traffic::default();
        Outcome { ended_by, exit, to_server: none, to_host: none, max_message: 10 }
            .verdict()
            .map_err(|error| (error.code(), error.to_string()))
    }

    #[test]
    fn who_ended_it_decides() {
        use EndedBy::*;
        use ServerExit::{Code, Signal as Killed};
        assert_eq!(verdict(HostClosed, Code(0)), Ok(()));
        assert_eq!(verdict(HostClosed, Killed(libc::SIGKILL)), Ok(()));
        assert_eq!(verdict(HostGone, Killed(libc::SIGTERM)), Ok(()));
        assert_eq!(verdict(Signal(libc::SIGINT), Code(130)), Ok(()));
        let text = "the server exited with status `0` while the session was open".to_owned();
        assert_eq!(verdict(ServerExited, Code(0)), Err(("server-exited", text)));
        let text = "the server was killed by `SIGSEGV` while the session was open".to_owned();
        assert_eq!(verdict(ServerExited, Killed(libc::SIGSEGV)), Err(("server-crashed", text)));
        let text = "the server closed its `stdout` while the session was open".to_owned();
        assert_eq!(verdict(ServerClosedStdout, Killed(libc::SIGTERM)), Err(("server-closed", text)));
        let text = "a message from the host is larger than `10` bytes".to_owned();
        let ended_by = Oversized { direction: Direction::ToServer };
        assert_eq!(verdict(ended_by, Code(0)), Err(("message-too-large", text)));
        assert_eq!(signal_name(63), "signal 63");
    }
}
