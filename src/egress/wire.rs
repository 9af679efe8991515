//! What proxy and broker say to each other: one packet a message, in `postcard`, over a `SOCK_SEQPACKET` pair.
//!
//! The broker believes nothing: a proxy that has been taken over can ask for granted names and for the addresses that were
//! handed out for them, and for nothing else.

use super::{DnsName, Protocol, Reason};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Largest message, bytes.
pub(super) const LARGEST: usize = 16 << 10;

/// From the proxy. `id` is the proxy's own; each question has one reply, [`Ask::Knock`] none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// What are the addresses of this name?
    Name { id: u32, name: DnsName, family: Family },
    /// May this connection be made? Then open a socket for it.
    Open {
        id: u32,
        /// Where the server connected to, IPv4-mapped addresses as IPv4.
        destination: SocketAddr,
        said: Said,
        /// 0 at first; then which of the alternatives is wanted.
        attempt: u8,
    },
    /// A packet came to where nothing listens (for the record, which knows names).
    Knock { destination: SocketAddr, protocol: Protocol },
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Family {
    /// `A`
    V4,
    /// `AAAA`
    V6,
    /// A type that mcpjail has no records of: whether the name exists.
    Neither,
}

/// What the first bytes of a connection say of whom it is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Said {
    /// Nobody has looked yet.
    Nothing,
    /// A ClientHello for this server.
    Tls(DnsName),
    /// A request to this host.
    Http(DnsName),
    /// Looked at as the broker asked for, and not what it must be.
    Wrong(Reason),
}

/// From the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The name exists; what is handed out of the family asked for, possibly nothing.
    Addresses { id: u32, addresses: Vec<IpAddr>, ttl: u32 },
    /// There is no such name, as far as the server can know.
    NoName { id: u32 },
    /// The resolver failed.
    NoAnswer { id: u32 },
    /// Reset the connection. The broker has recorded it.
    Refused { id: u32, reason: Reason },
    /// Read the first bytes, then ask again.
    Hear { id: u32, what: Hear },
    /// The packet carries a socket that connects, without blocking, to `address`.
    Dialled {
        id: u32,
        address: SocketAddr,
        /// Granted names of the address on this port. Where the connection begins with TLS it must be for one of them. Empty
        /// where the address itself is granted, or the rule says `raw`: nothing is looked at.
        names: Vec<DnsName>,
        /// There is an alternative: ask with the next `attempt` where this one fails or is slow.
        more: bool,
    },
    /// The socket could not be opened, or there is no such alternative.
    Unreachable { id: u32, errno: i32 },
}

impl Reply {
    /// Which question this is the reply to.
    pub(super) fn id(&self) -> u32 {
        match self {
            Reply::Addresses { id, .. }
            | Reply::NoName { id }
            | Reply::NoAnswer { id }
            | Reply::Refused { id, .. }
            | Reply::Hear { id, .. }
            | Reply::Dialled { id, .. }
            | Reply::Unreachable { id, .. } => *id,
        }
    }
}

/// What the first bytes must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hear {
    /// A ClientHello.
    Tls,
    /// A request of HTTP/1.
    Http,
}
