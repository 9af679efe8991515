//! Carries messages between host and server, one JSON-RPC message a line, and ends the session.
//!
//! ```text
//!           ┌─ frame ─► judge ─► outlet ─┐        one thread a direction, blocking calls
//!  host ────┤                            ├──── server
//!           └─ outlet ◄─ judge ◄─ frame ─┘
//!  stderr ◄────────────────────────────────── stderr    one thread
//!                    session                            the calling thread: who ended it, and the way down
//! ```
//!
//! No thread is ever joined: one may be blocked for good in a call to a side that does neither read nor close. What
//! such a thread holds is bounded, and the process ends soon after the session.

mod frame;
mod judge;
mod outcome;
mod outlet;
mod pump;
mod refuse;
mod salvage;
mod session;
mod stderr;
mod streams;

pub mod envelope;

pub use frame::{Batch, DEFAULT_MAX_MESSAGE, FrameError, FrameReader, Messages, Next};
pub use judge::{Forward, Judge, Verdict};
pub use outcome::{EndedBy, Outcome, RelayError, ServerExit, Traffic};
pub use outlet::Outlet;
pub use pump::{PumpEnd, pump};
pub use refuse::refuse;
pub use session::{Options, ServerProcess, run, run_with};
pub use streams::{Endpoints, Wires};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the host to the server.
    ToServer,
    /// From the server to the host.
    ToHost,
}

impl Direction {
    /// Who sends in this direction, as a word for messages.
    pub fn sender(self) -> &'static str {
        match self {
            Self::ToServer => "host",
            Self::ToHost => "server",
        }
    }
}
