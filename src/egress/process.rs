//! `mcpjail __egress`: a fresh process with an almost empty environment that becomes two, the broker and its child, the
//! proxy. Each gives up what it does not need and proves it before either does anything else.
//!
//! ```text
//! launcher ──clone──► broker ──fork──► proxy
//!    │ spec (pipe) ─────►│                │
//!    │ listeners ────────┼───────────────►│ ◄── stage 2
//!    │ ◄── events ───────┴────────────────┤
//!    │                   └── questions ──►┘ stands
//! ```
//!
//! Neither outlives who started it: the kernel kills the broker with the launcher and the proxy with the broker.

use super::listeners::{self, Listener};
use super::{Event, Limits, Rules, broker, proxy};
use crate::jail::{self, Failure, Layer};
use crate::sys::poll::{Interest, PollFd, poll, wait_for};
use crate::sys::process::{self, Ended, Fork};
use crate::sys::{fd, message, signal};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// The hidden subcommand that starts this process.
pub const ARGUMENT: &CStr = c"__egress";

const SPEC: i32 = 3;
const LISTENERS: i32 = 4;
const EVENTS: i32 = 5;
const AFTER: u32 = 6;

/// What the proxy says to the broker once, before any question: that it is confined and has the listeners.
const STANDS: &[u8] = b"stands";

/// What the launcher writes to the pipe.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) rules: Rules,
    pub(super) limits: Limits,
}

/// Becomes broker and proxy. Never returns: what fails is told over the events socket.
pub fn main() -> ! {
    let status = match Given::adopt() {
        Ok(given) => told(&given.events.try_clone(), run(given)),
        // nobody to tell: this is what a person gets who types the hidden subcommand
        Err(_) => 2,
    };
    process::exit_now(status)
}

/// What the launcher handed over.
struct Given {
    spec: OwnedFd,
    listeners: OwnedFd,
    events: OwnedFd,
}

impl Given {
    fn adopt() -> io::Result<Given> {
        Ok(Given { spec: fd::adopt(SPEC)?, listeners: fd::adopt(LISTENERS)?, events: fd::adopt(EVENTS)? })
    }
}
