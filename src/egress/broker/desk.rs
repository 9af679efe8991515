//! What the broker knows and decides, without its sockets: questions go in, replies and events come out.

use super::Machine;
use crate::egress::class::{Class, class};
use crate::egress::ledger::Ledger;
use crate::egress::resolver::{Answer, Asked, Resolver};
use crate::egress::verdict::{Question, Verdict, plain, verdict};
use crate::egress::wire::{Ask, Family, Reply, Said};
use crate::egress::{DnsName, Event, Protocol, Reason, Rules};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long the jail may keep an answer, seconds.
const TTL: u32 = 60;
/// Most addresses of each family that are handed out for a name.
const FAMILY: usize = 32;
/// Within this time the same is told of a name once: programs ask for both families, and ask again.
const TOLD: Duration = Duration::from_secs(5);
/// Most names that are remembered as told.
const REMEMBERED: usize = 512;
/// Room for names in a reply, bytes: it must fit a packet.
const NAMES: usize = 12 << 10;

/// What leaves the desk, in order.
#[derive(Debug)]
pub(super) enum Out {
    /// To the proxy.
    Reply(Reply, Option<OwnedFd>),
    /// To the launcher.
    Event(Event),
}

/// Rules, hand-outs, and who waits for what.
pub(super) struct Desk {
    rules: Rules,
    ledger: Ledger,
    machine: Machine,
    resolver: Resolver<Ticket>,
    /// Connections that wait for names that are asked anew.
    waiting: HashMap<u64, Waiting>,
    next: u64,
    told: HashMap<(DnsName, Option<Reason>), Instant>,
    out: Vec<Out>,
}

/// Who asked for a name.
enum Ticket {
    Name(Wanted),
    /// A connection of [`Desk::waiting`].
    Anew(u64),
}

/// [`Ask::Name`].
struct Wanted {
    id: u32,
    family: Family,
    asked: Instant,
}

/// [`Ask::Open`].
struct Open {
    id: u32,
    destination: SocketAddr,
    said: Said,
    attempt: u8,
}

struct Waiting {
    open: Open,
    /// How many names are still asked for.
    left: usize,
    /// For one of them there was no answer, neither yes nor no.
    failed: bool,
}

/// Whether old hand-outs were asked about.
enum Settled {
    No,
    Yes { failed: bool },
}

impl Desk {
    pub(super) fn new(rules: Rules, machine: Machine) -> io::Result<Desk> {
        let resolver = Resolver::new(machine.lookup.clone())?;
        Ok(Desk {
            rules,
            ledger: Ledger::new(),
            machine,
            resolver,
            waiting: HashMap::new(),
            next: 0,
            told: HashMap::new(),
            out: Vec::new(),
        })
    }

    /// Readable where [`Desk::resolved`] has something to do.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.resolver.wake()
    }

    /// When it has at the latest.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.resolver.deadline(now)
    }

    /// What was decided since the last call.
    pub(super) fn out(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn ask(&mut self, ask: Ask, now: Instant) {
        match ask {
            Ask::Name { id, name, family } => self.name(&name, Wanted { id, family, asked: now }, now),
            Ask::Open { id, destination, said, attempt } => {
                let destination = plain(destination);
                self.open(Open { id, destination, said, attempt }, Settled::No, now);
            }
            Ask::Knock { destination, protocol } => self.knock(plain(destination), protocol, now),
        }
    }

    /// Takes what the resolver has found, or was too slow for.
    pub(super) fn resolved(&mut self, now: Instant) {
        for (ticket, name, answer) in self.resolver.finished(now) {
            match ticket {
                Ticket::Name(wanted) => self.answer(&name, &wanted, answer, Reason::Unresolved, now),
                Ticket::Anew(key) => {
                    let Some(mut waiting) = self.waiting.remove(&key) else { continue };
                    waiting.failed |= self.renew(waiting.open.destination.ip(), &name, answer, now);
                    waiting.left -= 1;
                    if waiting.left == 0 {
                        self.open(waiting.open, Settled::Yes { failed: waiting.failed }, now);
                    } else {
                        self.waiting.insert(key, waiting);
                    }
                }
            }
        }
    }

    fn name(&mut self, name: &DnsName, wanted: Wanted, now: Instant) {
        if !self.rules.grants(name) {
            return self.no_name(name, &wanted, Vec::new(), Reason::NameNotGranted, now);
        }
        if name.as_str() == "localhost" {
            // what it stands for is no question for a resolver (RFC 6761 section 6.3)
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return self.answer(name, &wanted, Answer::Addresses(both.into()), Reason::Unresolved, now);
        }
        let Wanted { id, family, asked } = wanted;
        match self.resolver.ask(name, Ticket::Name(Wanted { id, family, asked }), now) {
            Asked::Known(answer) => self.answer(name, &wanted, answer, Reason::Unresolved, now),
            Asked::Pending => {}
            Asked::Full => self.answer(name, &wanted, Answer::Failed, Reason::TooMany, now),
        }
    }

    /// Answers the proxy. `failed` is the reason where there is no answer.
    fn answer(&mut self, name: &DnsName, wanted: &Wanted, answer: Answer, failed: Reason, now: Instant) {
        let addresses = match answer {
            Answer::Addresses(addresses) => addresses,
            Answer::NoName => return self.no_name(name, wanted, Vec::new(), failed, now),
            Answer::Failed => {
                self.tell(name, wanted, Vec::new(), Vec::new(), Some(failed), now);
                return self.out.push(Out::Reply(Reply::NoAnswer { id: wanted.id }, None));
            }
        };
        let (mut covered, withheld) = self.cover(name, &addresses);
        if covered.is_empty() {
            return self.no_name(name, wanted, withheld, Reason::AddressClass, now);
        }
        let routed: Vec<IpAddr> =
            covered.iter().copied().filter(|address| (self.machine.source)(*address).is_ok()).collect();
        if !routed.is_empty() {
            covered = routed;
        }
        self.ledger.hand_out(name, &covered, now);
        let of_family = |address: &IpAddr| match wanted.family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
            Family::Neither => false,
        };
        let addresses = covered.iter().copied().filter(of_family).collect();
        self.tell(name, wanted, covered, withheld, None, now);
        self.out.push(Out::Reply(Reply::Addresses { id: wanted.id, addresses, ttl: TTL }, None));
    }

    fn no_name(&mut self, name: &DnsName, wanted: &Wanted, withheld: Vec<IpAddr>, why: Reason, now: Instant) {
        self.tell(name, wanted, Vec::new(), withheld, Some(why), now);
        self.out.push(Out::Reply(Reply::NoName { id: wanted.id }, None));
    }

    /// Records what came of a name, unless it was just recorded.
    fn tell(
        &mut self,
        name: &DnsName,
        wanted: &Wanted,
        addresses: Vec<IpAddr>,
        withheld: Vec<IpAddr>,
        refused: Option<Reason>,
        now: Instant,
    ) {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < TOLD;
        let key = (name.clone(), refused);
        if self.told.get(&key).is_some_and(recent) {
            return;
        }
        if self.told.len() >= REMEMBERED {
            self.told.retain(|_, at| recent(at));
        }
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(key, now);
        let duration = now.saturating_duration_since(wanted.asked);
        self.out.push(Out::Event(Event::Name {
            name: name.to_string(),
            addresses,
            withheld,
            refused,
            duration_us: duration.as_micros().try_into().unwrap_or(u64::MAX),
        }));
    }

    /// Which addresses may be handed out for a name, and which not.
    ///
    /// A public address of this machine itself is as private as its network: a service on it would be reached from
    /// inside, past the firewall in front of the machine.
    fn cover(&self, name: &DnsName, addresses: &[IpAddr]) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let own = |address: IpAddr| {
            class(address) == Class::Public && (self.machine.source)(address).is_ok_and(|source| source == address)
        };
        let private = || self.rules.iter().filter(|rule| rule.names(name)).all(|rule| rule.private());
        let covers = |address: IpAddr| self.rules.hands_out(name, address) && (!own(address) || private());
        let (mut covered, mut withheld) = (Vec::new(), Vec::new());
        for address in addresses.iter().map(IpAddr::to_canonical) {
            let list = if covers(address) { &mut covered } else { &mut withheld };
            let same = list.iter().filter(|other: &&IpAddr| other.is_ipv4() == address.is_ipv4()).count();
            if same < FAMILY && !list.contains(&address) {
                list.push(address);
            }
        }
        (covered, withheld)
    }

    /// Takes what became of a name that an address was handed out for long ago. Gives whether that could not be known.
    fn renew(&mut self, address: IpAddr, name: &DnsName, answer: Answer, now: Instant) -> bool {
        let covered = match answer {
            Answer::Failed => return true,
            Answer::NoName => Vec::new(),
            Answer::Addresses(addresses) => self.cover(name, &addresses).0,
        };
        if !covered.contains(&address) {
            self.ledger.forget(address, name);
        }
        self.ledger.hand_out(name, &covered, now);
        false
    }

    fn open(&mut self, open: Open, settled: Settled, now: Instant) {
        let Open { id, destination, ref said, .. } = open;
        let question = Question { destination, said, settled: matches!(settled, Settled::Yes { .. }) };
        match verdict(&self.rules, &self.ledger, question, now) {
            Verdict::Hear(what) => self.out.push(Out::Reply(Reply::Hear { id, what }, None)),
            Verdict::Anew(names) => self.anew(open, &names, now),
            Verdict::Dial { to, names, looked_at } => self.dial(&open, to, &names, looked_at, now),
            Verdict::Refuse(reason) => {
                let unknown = matches!(settled, Settled::Yes { failed: true });
                let reason = if unknown && reason == Reason::AddressNotGranted { Reason::Unresolved } else { reason };
                self.refuse(&open, reason, now);
            }
        }
    }

    fn anew(&mut self, open: Open, names: &[DnsName], now: Instant) {
        let key = self.next;
        self.next += 1;
        let (mut left, mut failed) = (0, false);
        for name in names {
            match self.resolver.ask(name, Ticket::Anew(key), now) {
                Asked::Known(answer) => failed |= self.renew(open.destination.ip(), name, answer, now),
                Asked::Pending => left += 1,
                Asked::Full => failed = true,
            }
        }
        if left == 0 {
            self.open(open, Settled::Yes { failed }, now);
        } else {
            self.waiting.insert(key, Waiting { open, left, failed });
        }
    }

    /// Opens a socket to the address that the attempt stands for, or to the next one where that fails at once.
    fn dial(&mut self, open: &Open, to: Vec<SocketAddr>, names: &[DnsName], looked_at: bool, now: Instant) {
        let routed = |address: &SocketAddr| (self.machine.source)(address.ip()).is_ok();
        let routed: Vec<SocketAddr> =
            if to.len() > 1 { to.iter().copied().filter(routed).collect() } else { Vec::new() };
        let to = if routed.is_empty() { to } else { routed };
        let mut errno = libc::EHOSTUNREACH;
        for (index, address) in to.iter().enumerate().skip(open.attempt.into()) {
            match (self.machine.dial)(*address) {
                Err(error) => errno = error.raw_os_error().unwrap_or(errno),
                Ok(socket) => {
                    for name in names {
                        self.ledger.touch(open.destination.ip(), name, now);
                        self.ledger.touch(address.ip(), name, now);
                    }
                    let names = if looked_at { fitting(names) } else { Vec::new() };
                    let more = index + 1 < to.len();
                    let reply = Reply::Dialled { id: open.id, address: *address, names, more };
                    return self.out.push(Out::Reply(reply, Some(socket)));
                }
            }
        }
        self.out.push(Out::Reply(Reply::Unreachable { id: open.id, errno }, None));
    }

    /// Refuses and records. The name is the one that was said where that is what is wrong, else one that the address was
    /// handed out for.
    fn refuse(&mut self, open: &Open, reason: Reason, now: Instant) {
        let said = match (&open.said, reason) {
            (Said::Tls(name), Reason::ForeignServerName) | (Said::Http(name), Reason::ForeignHost) => Some(name),
            _ => None,
        };
        let name = said.cloned().or_else(|| self.name_of(open.destination.ip(), now));
        self.out.push(Out::Event(Event::Connection {
            name: name.map(|name| name.to_string()),
            destination: open.destination,
            dialled: None,
            refused: Some(reason),
            errno: None,
            sent: 0,
            received: 0,
            duration_us: 0,
        }));
        self.out.push(Out::Reply(Reply::Refused { id: open.id, reason }, None));
    }

    fn knock(&mut self, destination: SocketAddr, protocol: Protocol, now: Instant) {
        let name = self.name_of(destination.ip(), now).map(|name| name.to_string());
        self.out.push(Out::Event(Event::Knock { destination, protocol, name }));
    }

    /// The name that an address was handed out for last.
    fn name_of(&self, address: IpAddr, now: Instant) -> Option<DnsName> {
        self.ledger.names(address, now).last().map(|held| held.name.clone())
    }
}

/// As many names as a reply has room for: those handed out last.
fn fitting(names: &[DnsName]) -> Vec<DnsName> {
    let mut room = NAMES;
    let fits = |name: &&DnsName| {
        // each is written with its length in front
        let left = room.checked_sub(name.as_str().len() + 2);
        left.inspect(|left| room = *left).is_some()
    };
    let mut kept: Vec<DnsName> = names.iter().rev().take_while(fits).cloned().collect();
    kept.reverse();
    kept
}
