//! One line of `jail.network.allow`.

use super::DnsName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// One grant: where to, on which ports, under which conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Where to.
    pub to: Destination,
    /// TCP ports.
    pub ports: Ports,
    /// The name may resolve to private addresses (RFC 1918, RFC 6598, RFC 4193), a block may hold some.
    pub private: bool,
    /// Grants what is refused otherwise: a metadata address as a literal, a very large block, every name.
    pub dangerous: bool,
    /// The first bytes are not looked at: no SNI on 443, no Host on 80 (ssh over 443).
    pub raw: bool,
}

/// Where a rule leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// This name and no other.
    Name(DnsName),
    /// `*.name`: one or more labels below it, not the name itself.
    Below(DnsName),
    /// `*`: every name.
    AnyName,
    /// An address, or a block of them.
    Network(Network),
    /// The machine's own loopback: 127.0.0.1 and ::1.
    Localhost,
}

/// A block of addresses; bits below the prefix are zero. A single address has the full prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// Length of the prefix, bits.
    pub prefix: u8,
}

/// TCP ports: inclusive ranges, sorted, not overlapping, without 0 and 53.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports(Vec<(u16, u16)>);

/// What all connections of a run are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections at once.
    pub connections: u32,
    /// How long nothing may move on a connection.
    pub idle: Duration,
    /// How long a connection may last.
    pub lifetime: Duration,
}
