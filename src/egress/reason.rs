//! Why a name or a connection is refused, or ended.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a name or a connection is refused, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No rule has the name.
    NameNotGranted,
    /// What was asked for is no host name.
    InvalidName,
    /// All addresses of the name are of a class that no rule grants.
    AddressClass,
    /// The machine's resolver has no answer.
    Unresolved,
    /// No rule has the port for any name of this address.
    PortNotGranted,
    /// The address was not handed out for a granted name and is not granted itself.
    AddressNotGranted,
    /// A connection to a named server on this port must begin with TLS.
    NotTls,
    /// The ClientHello has no server name, or cannot be read.
    NoServerName,
    /// The ClientHello names another server than the address was handed out for.
    ForeignServerName,
    /// A connection to a named server on this port must begin with HTTP/1.
    NotHttp,
    /// The request has no Host, or more than one, or cannot be read.
    NoHost,
    /// The request names another server than the address was handed out for.
    ForeignHost,
    /// Too many connections, or questions, at once.
    TooMany,
    /// The first bytes took too long.
    Silent,
    /// The other side could not be reached.
    Unreachable,
    /// Nothing moved for too long.
    Idle,
    /// The connection lasted as long as connections may.
    Lifetime,
    /// The session is over.
    SessionEnded,
    /// A connection broke.
    Broken,
    /// Nothing in the jail listens there: the protocol or the port is not granted.
    NoListener,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NameNotGranted => "the name is not granted",
            Reason::InvalidName => "this is no host name",
            Reason::AddressClass => "its addresses are private, local or special, which the grant does not cover",
            Reason::Unresolved => "this machine's resolver has no address for it",
            Reason::PortNotGranted => "the port is not granted",
            Reason::AddressNotGranted => "the address was not handed out for a granted name",
            Reason::NotTls => "no TLS, which is checked on this port",
            Reason::NoServerName => "TLS without a readable server name",
            Reason::ForeignServerName => "TLS for a server that is not granted there",
            Reason::NotHttp => "no HTTP/1, which is checked on this port",
            Reason::NoHost => "HTTP without one readable Host",
            Reason::ForeignHost => "HTTP for a server that is not granted there",
            Reason::TooMany => "too many at once",
            Reason::Silent => "its first bytes took too long",
            Reason::Unreachable => "it cannot be reached from this machine",
            Reason::Idle => "nothing moved for too long",
            Reason::Lifetime => "it lasted as long as a connection may",
            Reason::SessionEnded => "the session is over",
            Reason::Broken => "the connection broke",
            Reason::NoListener => "the port or the protocol is not granted",
        })
    }
}
