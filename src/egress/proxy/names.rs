//! Questions for names: what is answered here, and what the broker is asked.
//!
//! No question of the jail's goes anywhere as it is. The broker is told of a name that can be one, and of a family; what
//! comes back are addresses. `localhost` and what is below it is the jail's own loopback (RFC 6761, section 6.3).

use super::shared::{Asker, Shared};
use super::slab::Key;
use crate::egress::dns::{self, Asked, Query, Rcode};
use crate::egress::wire::{Ask, Reply};
use crate::egress::{DnsName, Event, Reason};
use crate::sys::datagram::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Questions that the broker may have at once; more of them fail.
pub(super) const MOST: usize = 256;
/// Longest question, bytes. Resolvers pad theirs to 128 or 468 (RFC 8467).
pub(super) const LONGEST: usize = 4096;
/// How long an answer may be remembered that depends on nothing, seconds.
const LONG: u32 = 3600;
/// And that a name does not exist: a network that comes up may change it.
const SHORT: u32 = 5;
/// Characters of a name in a record.
const RECORDED: usize = 255;

/// A question that the broker was asked, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Question {
    query: Query,
    pub(super) to: Return,
}

/// The way of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Return {
    /// By the socket at this place, to where the question came from.
    Datagram(u32, Route),
    /// On this connection.
    Stream(Key),
}

/// How many questions the broker has, and whether too many were reported.
#[derive(Debug, Default)]
pub(super) struct Names {
    open: usize,
    overflowed: bool,
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing is to be answered.
    Dropped,
    /// The answer is there.
    Answered,
    /// The broker was asked.
    Asked,
}

impl Names {
    /// Takes a packet, and puts the answer into `answer` if it has one already.
    pub(super) fn take(&mut self, packet: &[u8], to: Return, answer: &mut Vec<u8>, shared: &mut Shared) -> Taken {
        let query = match dns::query(packet) {
            Ok(query) => query,
            Err(fault) => {
                return fault.reply.map_or(Taken::Dropped, |reply| {
                    answer.extend_from_slice(&reply);
                    Taken::Answered
                });
            }
        };
        let name = match &query.asked {
            Asked::Invalid(text) => {
                shared.record(&refused(text, Reason::InvalidName));
                respond(&query, Rcode::NxDomain, &[], LONG, to, answer);
                return Taken::Answered;
            }
            Asked::Name(name) if is_localhost(name) => {
                let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                respond(&query, Rcode::NoError, &loopback, LONG, to, answer);
                return Taken::Answered;
            }
            Asked::Name(name) => name.clone(),
        };
        if self.open >= MOST {
            if !std::mem::replace(&mut self.overflowed, true) {
                shared.record(&refused(name.as_str(), Reason::TooMany));
            }
            respond(&query, Rcode::ServFail, &[], 0, to, answer);
            return Taken::Answered;
        }
        self.open += 1;
        let family = query.family();
        shared.ask(Asker::Name(Box::new(Question { query, to })), |id| Ask::Name { id, name, family });
        Taken::Asked
    }

    /// The broker has replied: puts the answer into `answer`. Gives whether it is a reply to a question.
    pub(super) fn reply(&mut self, question: &Question, reply: &Reply, answer: &mut Vec<u8>) -> bool {
        self.open = self.open.saturating_sub(1);
        self.overflowed &= self.open > MOST / 2;
        let (rcode, addresses, ttl) = match reply {
            Reply::Addresses { addresses, ttl, .. } => (Rcode::NoError, addresses.as_slice(), *ttl),
            Reply::NoName { .. } => (Rcode::NxDomain, [].as_slice(), SHORT),
            Reply::NoAnswer { .. } => (Rcode::ServFail, [].as_slice(), 0),
            Reply::Refused { .. } | Reply::Hear { .. } | Reply::Dialled { .. } | Reply::Unreachable { .. } => {
                return false;
            }
        };
        respond(&question.query, rcode, addresses, ttl, question.to, answer);
        true
    }
}

fn respond(query: &Query, rcode: Rcode, addresses: &[IpAddr], ttl: u32, to: Return, answer: &mut Vec<u8>) {
    let limit = match to {
        Return::Datagram(..) => query.udp_limit(),
        Return::Stream(_) => dns::TCP_LIMIT,
    };
    dns::respond(query, rcode, addresses, ttl, limit, answer);
}

fn is_localhost(name: &DnsName) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

fn refused(name: &str, reason: Reason) -> Event {
    Event::Name {
        name: name.chars().take(RECORDED).collect(),
        addresses: Vec::new(),
        withheld: Vec::new(),
        refused: Some(reason),
        duration_us: 0,
    }
}
