//! The broker with a proxy and a machine of the test's own: a script in the place of the resolver, a record of what is
//! dialled, and a clock that is set.

mod connections;
mod names;
mod sequences;
mod sockets;

use super::*;
use crate::egress::testing::{ip, name, rules};
use crate::egress::wire::{Family, Hear, Reply, Said};
use crate::egress::{DnsName, Protocol, Reason};
use crate::sys::message::packet_pair;
use crate::sys::poll::wait_for;
use crate::sys::resolve::ResolveError;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

type Found = Result<Vec<IpAddr>, ResolveError>;

/// What the machine answers, and what was asked of it.
#[derive(Default)]
struct Script {
    /// Answers by name, the last of which stays; a name without one hangs.
    answers: Mutex<HashMap<String, Vec<Found>>>,
    changed: Condvar,
    lookups: Mutex<Vec<String>>,
    dialled: Mutex<Vec<SocketAddr>>,
    unrouted: Mutex<Vec<IpAddr>>,
    own: Mutex<Vec<IpAddr>>,
    refused: Mutex<Vec<SocketAddr>>,
}

impl Script {
    fn machine(self: &Arc<Script>) -> Machine {
        let (lookup, source, dial) = (self.clone(), self.clone(), self.clone());
        Machine {
            lookup: Arc::new(move |name| lookup.look_up(name)),
            source: Box::new(move |address| match address {
                _ if source.unrouted.lock().unwrap().contains(&address) => {
                    Err(io::Error::from_raw_os_error(libc::ENETUNREACH))
                }
                _ if source.own.lock().unwrap().contains(&address) => Ok(address),
                _ => Ok(ip("192.168.7.7")),
            }),
            dial: Box::new(move |address| {
                dial.dialled.lock().unwrap().push(address);
                match dial.refused.lock().unwrap().contains(&address) {
                    true => Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
                    false => Ok(packet_pair()?.0),
                }
            }),
        }
    }

    fn look_up(&self, name: &DnsName) -> Found {
        self.lookups.lock().unwrap().push(name.to_string());
        let hangs = |answers: &mut HashMap<String, Vec<Found>>| !answers.contains_key(name.as_str());
        let mut answers = self.changed.wait_while(self.answers.lock().unwrap(), hangs).unwrap();
        let all = answers.get_mut(name.as_str()).unwrap();
        if all.len() > 1 { all.remove(0) } else { all[0].clone() }
    }

    fn answers(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|all| Ok(all.iter().map(|text| ip(text)).collect())).collect();
        self.set(name, answers);
    }

    fn set(&self, name: &str, answers: Vec<Found>) {
        self.answers.lock().unwrap().insert(name.to_owned(), answers);
        self.changed.notify_all();
    }

    fn lookups(&self) -> Vec<String> {
        self.lookups.lock().unwrap().clone()
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().iter().map(SocketAddr::to_string).collect()
    }
}

fn ips(all: &[&str]) -> Vec<IpAddr> {
    all.iter().map(|text| ip(text)).collect()
}

fn tls(text: &str) -> Said {
    Said::Tls(name(text))
}

/// A desk whose clock the test sets.
struct Stage {
    desk: Desk,
    script: Arc<Script>,
    now: Instant,
}

impl Stage {
    fn new(lines: &[(&str, &str)]) -> Stage {
        let script = Arc::new(Script::default());
        Stage { desk: Desk::new(rules(lines), script.machine()).unwrap(), script, now: Instant::now() }
    }

    /// Asks, and waits for the reply. Gives it with what was recorded meanwhile.
    fn ask(&mut self, ask: Ask) -> (Reply, Vec<Event>) {
        self.desk.ask(ask, self.now);
        self.reply()
    }

    fn reply(&mut self) -> (Reply, Vec<Event>) {
        let (mut replies, mut events) = (Vec::new(), Vec::new());
        loop {
            for out in self.desk.out() {
                match out {
                    Out::Event(event) => events.push(event),
                    Out::Reply(reply, socket) => {
                        assert_eq!(socket.is_some(), matches!(reply, Reply::Dialled { .. }));
                        let length = postcard::to_allocvec(&reply).unwrap().len();
                        assert!(length <= LARGEST, "{length} bytes do not fit a packet");
                        replies.push(reply);
                    }
                }
            }
            if let Some(reply) = replies.pop() {
                assert!(replies.is_empty(), "one question, one reply");
                return (reply, events);
            }
            assert!(wait_for(self.desk.wake(), Interest::Read, None).unwrap());
            self.desk.resolved(self.now);
        }
    }

    fn name(&mut self, text: &str, family: Family) -> (Reply, Vec<Event>) {
        self.ask(Ask::Name { id: 7, name: name(text), family })
    }

    fn open(&mut self, destination: &str, said: Said) -> Reply {
        self.attempt(destination, said, 0).0
    }

    fn attempt(&mut self, destination: &str, said: Said, attempt: u8) -> (Reply, Vec<Event>) {
        self.ask(Ask::Open { id: 9, destination: destination.parse().unwrap(), said, attempt })
    }
}

fn addresses(all: &[&str]) -> Reply {
    Reply::Addresses { id: 7, addresses: ips(all), ttl: 60 }
}

fn dialled(address: &str, names: &[&str], more: bool) -> Reply {
    let names = names.iter().map(|text| name(text)).collect();
    Reply::Dialled { id: 9, address: address.parse().unwrap(), names, more }
}

fn refused(reason: Reason) -> Reply {
    Reply::Refused { id: 9, reason }
}

/// The reason, the addresses and those withheld of the one event about a name.
fn told(events: &[Event]) -> (Option<Reason>, Vec<IpAddr>, Vec<IpAddr>) {
    let [Event::Name { refused, addresses, withheld, .. }] = events else { panic!("{events:?}") };
    (*refused, addresses.clone(), withheld.clone())
}
