//! Whether a connection is made, and where to. Pure: rules, hand-outs and the time are given.
//!
//! 1. An address that is granted itself is dialled; nothing is looked at.
//! 2. Otherwise it must have been handed out for a name that a rule grants on this port and for this class of address.
//! 3. On 443 and 80 the first bytes must name it, unless its rule is `raw`. On other ports the granted names go back to the
//!    proxy, which holds a ClientHello to them if there is one.
//!
//! A hand-out that is too old counts as none, once its name was asked for anew.

use super::ledger::{Held, Ledger};
use super::wire::{Hear, Said};
use super::{DnsName, Reason, Rules};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// Most addresses that one connection is tried at.
pub(super) const ATTEMPTS: usize = 8;
/// Most names that are asked for anew because of one connection: those handed out last.
const ANEW: usize = 8;

/// What is done about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made.
    Dial {
        /// To the first of these that answers; the first is the one asked for, and there are at most [`ATTEMPTS`].
        to: Vec<SocketAddr>,
        /// The names that the address was handed out for and that grant this; none where the address itself is granted.
        names: Vec<DnsName>,
        /// Whether what is sent must be for one of these names, as far as it says.
        looked_at: bool,
    },
    /// The first bytes are read before that is known.
    Hear(Hear),
    /// These names, which the address was handed out for long ago, are asked for anew before that is known.
    Anew(Vec<DnsName>),
    /// It is not.
    Refuse(Reason),
}

/// A question about a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// Where the server connected to.
    pub(super) destination: SocketAddr,
    /// Whom the first bytes are meant for.
    pub(super) said: &'a Said,
    /// Old hand-outs were asked about already: those that are old still count as none.
    pub(super) settled: bool,
}

/// The address as rules and hand-outs have it: IPv4-mapped ones as IPv4, without zone and flow.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Decides. Neither `rules` nor `ledger` knows zones of link-local addresses, so none is dialled.
pub(super) fn verdict(rules: &Rules, ledger: &Ledger, question: Question<'_>, now: Instant) -> Verdict {
    let Question { said, settled, .. } = question;
    let destination = plain(question.destination);
    if let Said::Wrong(reason) = said {
        return Verdict::Refuse(*reason);
    }
    if rules.literal(destination).is_some() {
        return Verdict::Dial { to: loopbacks(rules, destination), names: Vec::new(), looked_at: false };
    }
    let counts = |held: &Held<'_>| held.fresh || !settled;
    let held: Vec<Held<'_>> = ledger.names(destination.ip(), now).filter(counts).collect();
    if held.is_empty() {
        return Verdict::Refuse(Reason::AddressNotGranted);
    }
    let granted: Vec<Candidate<'_>> = held.iter().filter_map(|held| Candidate::of(*held, rules, destination)).collect();
    if granted.is_empty() {
        let on_port = |held: &Held<'_>| {
            rules.iter().any(|rule| rule.names(held.name) && rule.ports().contains(destination.port()))
        };
        let class = held.iter().any(on_port);
        return Verdict::Refuse(if class { Reason::AddressClass } else { Reason::PortNotGranted });
    }
    let dial = |names: Vec<DnsName>, looked_at: bool| Verdict::Dial {
        to: alternatives(rules, ledger, destination, &names, looked_at, now),
        names,
        looked_at,
    };
    // One name of the address that is granted raw grants any bytes to the address.
    let (raw, told): (Vec<_>, Vec<_>) = granted.into_iter().partition(|candidate| candidate.raw);
    let (fresh, old) = by_age(raw);
    match (fresh.is_empty(), old.is_empty()) {
        (false, _) => return dial(fresh, false),
        (true, false) => return Verdict::Anew(old),
        (true, true) => {}
    }
    let (name, foreign) = match (said, destination.port()) {
        (Said::Nothing, 443) => return Verdict::Hear(Hear::Tls),
        (Said::Nothing, 80) => return Verdict::Hear(Hear::Http),
        (Said::Http(_), 443) => return Verdict::Refuse(Reason::NotTls),
        (Said::Tls(_), 80) => return Verdict::Refuse(Reason::NotHttp),
        (Said::Tls(name), _) => (name, Reason::ForeignServerName),
        (Said::Http(name), _) => (name, Reason::ForeignHost),
        (Said::Wrong(reason), _) => return Verdict::Refuse(*reason),
        (Said::Nothing, _) => {
            let (fresh, old) = by_age(told);
            return if old.is_empty() { dial(fresh, true) } else { Verdict::Anew(old) };
        }
    };
    match told.iter().find(|candidate| candidate.held.name == name) {
        None => Verdict::Refuse(foreign),
        Some(candidate) if candidate.held.fresh => dial(vec![name.clone()], true),
        Some(_) => Verdict::Anew(vec![name.clone()]),
    }
}

/// A name of the address that a rule grants on this port.
struct Candidate<'a> {
    held: Held<'a>,
    raw: bool,
}

impl<'a> Candidate<'a> {
    fn of(held: Held<'a>, rules: &Rules, destination: SocketAddr) -> Option<Candidate<'a>> {
        let rule = rules.named(held.name, destination).and_then(|index| rules.rule(index))?;
        Some(Candidate { held, raw: rule.raw() })
    }
}

/// The fresh names, and as many of the old ones as are asked for anew.
fn by_age(candidates: Vec<Candidate<'_>>) -> (Vec<DnsName>, Vec<DnsName>) {
    let (fresh, old): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| candidate.held.fresh);
    let names = |part: Vec<Candidate<'_>>| part.into_iter().map(|candidate| candidate.held.name.clone()).collect();
    let surplus = old.len().saturating_sub(ANEW);
    (names(fresh), names(old.into_iter().skip(surplus).collect()))
}

/// A granted address, and where it is the loopback's of one family and the other is granted, too, that as well.
fn loopbacks(rules: &Rules, destination: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let other = [(v4, v6), (v6, v4)].into_iter().find(|(one, _)| *one == destination.ip()).map(|(_, other)| other);
    let other = other.map(|other| SocketAddr::new(other, destination.port()));
    std::iter::once(destination).chain(other.filter(|other| rules.literal(*other).is_some())).collect()
}

/// The address, and others that were handed out for all of these names and are granted for them, those of the other
/// family first.
fn alternatives(
    rules: &Rules,
    ledger: &Ledger,
    destination: SocketAddr,
    names: &[DnsName],
    looked_at: bool,
    now: Instant,
) -> Vec<SocketAddr> {
    let granted = |name: &DnsName, address: SocketAddr| {
        let rule = rules.named(name, address).and_then(|index| rules.rule(index));
        ledger.is_fresh(address.ip(), name, now) && rule.is_some_and(|rule| looked_at || rule.raw())
    };
    let first = names.first().into_iter().flat_map(|name| ledger.addresses(name, now));
    let others = first
        .map(|address| SocketAddr::new(address, destination.port()))
        .filter(|address| *address != destination && names.iter().all(|name| granted(name, *address)));
    let (near, far): (Vec<_>, Vec<_>) = others.partition(|address| address.is_ipv4() == destination.is_ipv4());
    std::iter::once(destination).chain(far).chain(near).take(ATTEMPTS).collect()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
