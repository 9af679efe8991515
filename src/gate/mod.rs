//! The gate: the host sees of a server only what was approved, from the first word on.
//!
//! ```text
//!                 ┌── HostJudge ──►  what the host asks is held until the catalog is known; then only approved
//!  host ──────────┤                  items can be called, read or got
//!                 │      state       which requests are out, in both directions
//!  host ◄─────────┤
//!                 └── ServerJudge ◄─ what the server says is held; later lists are checked page by page
//!                        keeper      a thread: walks all lists in mcpjail's own name, compares, opens or refuses
//!                        time        a thread: refuses where the keeper gets stuck
//! ```
//!
//! Legacy era: the host's `initialize` passes, the answer is held, mcpjail completes the handshake and walks, and only
//! then releases the answer. Modern era: mcpjail walks before the host's first request passes. What was judged is
//! forwarded byte for byte, unless quarantine takes something out of it.
//!
//! [`survey`](survey()) does the same walk without a host, for `approve` and `check`.

mod answer;
mod error;
mod host;
mod keeper;
mod lists;
mod opening;
mod page;
mod record;
mod server;
mod shared;
mod sight;
mod state;
mod survey;
mod walk;

pub use error::{GateError, Shut};
pub use host::HostJudge;
pub use lists::List;
pub use record::{Met, Record};
pub use server::ServerJudge;
pub use survey::{Client, Surveyed, survey};

use crate::catalog::{Approved, Catalog};
use crate::relay::Wires;
use shared::Shared;
use std::fmt;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize` first: revisions up to 2025-11-25.
    Legacy,
    /// No handshake: 2026-07-28.
    Modern,
}

/// Pins a catalog that is seen for the first time, and gives what was pinned.
pub type Pin = Box<dyn Fn(Catalog) -> Result<Approved, GateError> + Send + Sync>;

/// How a run's gate behaves.
pub struct Settings {
    /// Changed and new items are hidden; otherwise any difference ends the session.
    pub quarantine: bool,
    /// How long the walk may take.
    pub timeout: Duration,
    /// The command that shows a difference and asks, for messages.
    pub approve: String,
    /// What is done with a catalog that nobody has approved; without it, it is refused.
    pub pin: Option<Pin>,
    /// Where differences of a running session are kept.
    pub record: Option<Record>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { quarantine, timeout, approve, pin, record } = self;
        f.debug_struct("Settings")
            .field("quarantine", quarantine)
            .field("timeout", timeout)
            .field("approve", approve)
            .field("pin", &pin.is_some())
            .field("record", record)
            .finish()
    }
}

/// Why a session was refused, once it was; asked for after the session.
#[derive(Debug, Clone, Default)]
pub struct Refusal(Arc<OnceLock<Arc<Shared>>>);

impl Refusal {
    /// The reason, if there was one.
    pub fn reason(&self) -> Option<Shut> {
        self.0.get()?.refusal.get().cloned().map(Shut)
    }
}

/// The judges of one session, to be given to [`run_with`](crate::relay::run_with), and the thread behind them.
///
/// # Errors
/// `gate-io` where no thread can be started.
pub fn judges(
    wires: &Wires,
    settings: Settings,
    approved: Option<Approved>,
    refusal: &Refusal,
) -> std::io::Result<(HostJudge, ServerJudge)> {
    let (sender, events) = channel();
    let shared = Arc::new(Shared::new(wires.clone(), settings, approved, sender));
    let _first = refusal.0.set(shared.clone());
    let keeper = keeper::Keeper::new(shared.clone(), events);
    let watched = shared.clone();
    std::thread::Builder::new().name("gate-time".to_owned()).spawn(move || watched.watch())?;
    std::thread::Builder::new().name("gate".to_owned()).spawn(move || keeper.run())?;
    Ok((HostJudge::new(shared.clone()), ServerJudge::new(shared)))
}
