//! The first bytes of a connection: whom it is meant for, before any of them goes anywhere.
//!
//! On the ports 443 and 80 the broker wants to know that before it opens anything ([`Hearing`]). On other ports with named
//! servers a connection is opened at once, since there the server often speaks first, and the client's bytes are held only
//! as long as they may be the beginning of TLS ([`Gate`]). PostgreSQL and MySQL begin TLS within their own protocols, after
//! a question (`SSLRequest`); into that nobody looks.

use super::flow::Flow;
use super::shared::Shared;
use super::side::Side;
use crate::egress::hello::{self, Hello, HelloReader};
use crate::egress::http::{self, Head, HeadReader};
use crate::egress::wire::{Hear, Said};
use crate::egress::{DnsName, Reason};
use std::io;
use std::time::Duration;

/// How long the first bytes may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Listens for what the broker wants to know.
#[derive(Debug)]
pub(super) struct Hearing {
    bytes: Vec<u8>,
    reader: Reader,
    /// When this takes too long, milliseconds of the proxy's clock.
    pub(super) until: u64,
}

#[derive(Debug)]
enum Reader {
    Tls(HelloReader),
    Http(HeadReader),
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Too little yet.
    Nothing,
    /// This, after these bytes.
    Said(Said, Vec<u8>),
    /// The client has gone without a word.
    Left,
}

impl Hearing {
    pub(super) fn new(what: Hear, shared: &Shared) -> Hearing {
        let reader = match what {
            Hear::Tls => Reader::Tls(HelloReader::default()),
            Hear::Http => Reader::Http(HeadReader::default()),
        };
        Hearing { bytes: Vec::new(), reader, until: shared.after(PATIENCE) }
    }

    /// Reads on.
    ///
    /// # Errors
    /// As recv(2).
    pub(super) fn listen(&mut self, client: &mut Side, shared: &mut Shared) -> io::Result<Heard> {
        let most = match self.reader {
            Reader::Tls(_) => hello::LARGEST,
            Reader::Http(_) => http::LARGEST,
        };
        loop {
            let left = most.saturating_sub(self.bytes.len()).max(1);
            let room = shared.buffer.get_mut(..left).unwrap_or_default();
            let Some(count) = client.receive(room)? else { return Ok(Heard::Nothing) };
            if count == 0 {
                return Ok(self.ended());
            }
            self.bytes.extend_from_slice(room.get(..count).unwrap_or_default());
            if let Some(said) = self.reader.read(&self.bytes) {
                return Ok(Heard::Said(said, std::mem::take(&mut self.bytes)));
            }
        }
    }

    /// The client will say no more, but may still listen.
    fn ended(&mut self) -> Heard {
        if self.bytes.is_empty() {
            return Heard::Left;
        }
        let reason = match self.reader {
            Reader::Tls(_) => Reason::NoServerName,
            Reader::Http(_) => Reason::NoHost,
        };
        Heard::Said(Said::Wrong(reason), Vec::new())
    }
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> Option<Said> {
        match self {
            Reader::Tls(reader) => match reader.read(bytes) {
                Hello::Incomplete => None,
                Hello::NotTls => Some(Said::Wrong(Reason::NotTls)),
                Hello::Malformed | Hello::Nameless => Some(Said::Wrong(Reason::NoServerName)),
                Hello::Named(name) => Some(Said::Tls(name)),
            },
            Reader::Http(reader) => match reader.read(bytes) {
                Head::Incomplete => None,
                Head::NotHttp => Some(Said::Wrong(Reason::NotHttp)),
                Head::Malformed | Head::Hostless => Some(Said::Wrong(Reason::NoHost)),
                Head::Host(name, _) => Some(Said::Http(name)),
            },
        }
    }
}

/// Holds back the first bytes to a named server until they are no ClientHello, or one for it.
#[derive(Debug)]
pub(super) struct Gate {
    names: Vec<DnsName>,
    reader: HelloReader,
    /// When this takes too long, milliseconds of the proxy's clock; counted from the first byte.
    pub(super) until: Option<u64>,
}

/// What a gate says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing yet.
    NotYet,
    /// Everything may pass, and is for this name if it is known.
    Pass(Option<DnsName>),
    Refuse(Reason),
}

impl Gate {
    pub(super) fn new(names: Vec<DnsName>) -> Gate {
        Gate { names, reader: HelloReader::default(), until: None }
    }

    /// Reads on, into what `up` holds.
    ///
    /// # Errors
    /// As recv(2).
    pub(super) fn listen(&mut self, client: &mut Side, up: &mut Flow, shared: &mut Shared) -> io::Result<Judged> {
        loop {
            let left = hello::LARGEST.saturating_sub(up.held().len()).max(1);
            let room = shared.buffer.get_mut(..left).unwrap_or_default();
            let Some(count) = client.receive(room)? else { return Ok(Judged::NotYet) };
            if count == 0 {
                // what ends before it is a ClientHello cannot become one
                up.end();
                return Ok(Judged::Pass(None));
            }
            up.hold(room.get(..count).unwrap_or_default(), &mut shared.held);
            if self.until.is_none() {
                self.until = Some(shared.after(PATIENCE));
            }
            match self.reader.read(up.held()) {
                Hello::Incomplete => {}
                Hello::NotTls => return Ok(Judged::Pass(None)),
                Hello::Named(name) if self.names.contains(&name) => return Ok(Judged::Pass(Some(name))),
                Hello::Named(_) => return Ok(Judged::Refuse(Reason::ForeignServerName)),
                Hello::Malformed | Hello::Nameless => return Ok(Judged::Refuse(Reason::NoServerName)),
            }
        }
    }
}
