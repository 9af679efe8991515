//! What the launcher is told, for the log and for people: one datagram an event, in `postcard`.

use super::Reason;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Something that happened at the border of the jail. `refused` is `None` for what was allowed and went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Both processes are confined and answer.
    Ready,
    /// They cannot: what failed.
    Failed(String),
    /// A name was asked for.
    Name {
        /// As asked, cut to 255 characters; not checked.
        name: String,
        /// What was handed out.
        addresses: Vec<IpAddr>,
        /// What the resolver gave and no rule covers.
        withheld: Vec<IpAddr>,
        /// Why not.
        refused: Option<Reason>,
        /// How long the answer took, microseconds.
        duration_us: u64,
    },
    /// A connection ended, or was refused.
    Connection {
        /// Whose it is, where the address was handed out for a name.
        name: Option<String>,
        /// Where the server connected to.
        destination: SocketAddr,
        /// Where the connection went; another address of the same name where the first one did not answer.
        dialled: Option<SocketAddr>,
        /// Why not, or why it was ended.
        refused: Option<Reason>,
        /// The errno where a system call failed.
        errno: Option<i32>,
        /// Bytes from the server to the network.
        sent: u64,
        /// Bytes from the network to the server.
        received: u64,
        /// From accepted to closed, microseconds.
        duration_us: u64,
    },
    /// A first packet to where nothing listens; the jail's kernel has refused it.
    Knock {
        /// Where to.
        destination: SocketAddr,
        /// The protocol.
        protocol: Protocol,
        /// A name that the address was handed out for.
        name: Option<String>,
    },
    /// So many events were left out.
    Lost(u64),
}

/// Protocol of a [`Event::Knock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
