//! Egress: what a server reaches of the network, by name, without the server knowing.
//!
//! ```text
//!  jail (own network namespace)     │ machine
//!  every address is local           │
//!  server ─► :443, :5432, … ───────►│ proxy ──────── asks ───────► broker
//!         ─► :53 (DNS) ────────────►│ reads hostile bytes;         rules, addresses handed out,
//!                                   │ no file, no socket of its    the machine's resolver; opens
//!                                   │ own, no program              what was checked, and only that
//!                                   │   └───── records ─► launcher ◄───┘
//! ```
//!
//! Stage 2 makes every address local to the jail and listens there, on the granted ports and on port 53, before it drops
//! its capabilities; the listeners go to a process outside, `mcpjail __egress`, which is two: the *proxy* answers names,
//! takes connections, looks at who they are meant for and moves bytes; the *broker* decides, resolves granted names and
//! opens sockets to the addresses that were checked.

pub mod broker;
pub mod class;
mod cursor;
pub mod dns;
mod event;
mod fault;
mod grammar;
pub mod hello;
pub mod http;
mod knock;
mod ledger;
mod limits;
pub(crate) mod listeners;
mod name;
mod network;
mod ports;
pub mod process;
mod proxy;
mod punycode;
mod reason;
mod record;
mod report;
mod resolver;
mod rule;
mod rules;
mod start;
mod tell;
#[cfg(test)]
mod testing;
pub mod trial;
mod verdict;
mod watch;
mod wire;

pub use class::{Class, class};
pub use event::{Event, Protocol};
pub use fault::RuleFault;
pub use limits::Limits;
pub use name::{DnsName, NameFault};
pub use network::Network;
pub use ports::{MOST_PORTS, Ports};
pub use reason::Reason;
pub use record::record;
pub use report::Reporter;
pub use rule::{Destination, Rule, Written};
pub use rules::Rules;
pub use start::{Supervisor, start};
pub use tell::tell;
pub use watch::{Heard, Watch};
