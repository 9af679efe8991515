//! The broker with a proxy and a machine of the test's own: a script in the place of the resolver, a record of what is
//! dialled, and a clock that is set.

use super::*;
use crate::egress::ledger::LIFETIME;
use crate::egress::resolver::TOTAL;
use crate::egress::wire::{Family, Hear, Reply, Said};
use crate::egress::{DnsName, Protocol, Reason, Rule, Written};
use crate::sys::message::{packet_pair, receive, send};
use crate::sys::poll::wait_for;
use crate::sys::resolve::ResolveError;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};
use std::thread::{self, JoinHandle};
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

fn rules(lines: &[(&str, &str)]) -> Rules {
    let rule = |(to, flags): &(&str, &str)| {
        let has = |flag: char| flags.contains(flag);
        let written = Written { to: (*to).to_owned(), private: has('p'), dangerous: has('d'), raw: has('r') };
        Rule::try_from(written).unwrap()
    };
    Rules::new(lines.iter().map(rule).collect()).unwrap()
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
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

#[test]
fn names_that_are_not_granted_never_reach_the_resolver() {
    let mut stage = Stage::new(&[("api.test:443", ""), ("*.below.test:443", "")]);
    let wrong =
        ["evil.test", "api.test.evil.test", "xapi.test", "test", "below.test", "a.api.test", "localhost", "metadata"];
    for text in wrong {
        let (reply, events) = stage.name(text, Family::V4);
        assert_eq!((reply, told(&events).0), (Reply::NoName { id: 7 }, Some(Reason::NameNotGranted)), "{text}");
    }
    assert_eq!(stage.script.lookups(), Vec::<String>::new());
    stage.script.answers("api.test", &[&["9.9.9.1"]]);
    assert_eq!(stage.name("API.TEST.", Family::V4).0, addresses(&["9.9.9.1"]));
    assert_eq!(stage.script.lookups(), ["api.test"]);
}

#[test]
fn both_families_are_one_lookup_and_one_record() {
    let mut stage = Stage::new(&[("api.test:443", "")]);
    stage.script.answers("api.test", &[&["2606::1", "9.9.9.1", "9.9.9.2"]]);
    let (reply, events) = stage.name("api.test", Family::V6);
    assert_eq!(reply, addresses(&["2606::1"]));
    assert_eq!(told(&events), (None, ips(&["2606::1", "9.9.9.1", "9.9.9.2"]), vec![]));
    for (family, expected) in [(Family::V4, &["9.9.9.1", "9.9.9.2"][..]), (Family::Neither, &[])] {
        let (reply, events) = stage.name("api.test", family);
        assert_eq!((reply, events.len()), (addresses(expected), 0));
    }
    assert_eq!(stage.script.lookups(), ["api.test"]);
    stage.now += Duration::from_secs(5);
    assert_eq!(stage.name("api.test", Family::V4).1.len(), 1);
    assert_eq!(stage.script.lookups().len(), 2);
}

#[test]
fn names_without_addresses_and_resolvers_that_fail_are_told_apart() {
    let mut stage = Stage::new(&[("*.api.test:443", "")]);
    stage.script.set("none.api.test", vec![Err(ResolveError::NoName)]);
    stage.script.set("again.api.test", vec![Err(ResolveError::Again)]);
    for (text, expected) in [("none.api.test", Reply::NoName { id: 7 }), ("again.api.test", Reply::NoAnswer { id: 7 })]
    {
        let (reply, events) = stage.name(text, Family::Neither);
        assert_eq!((reply, told(&events).0), (expected, Some(Reason::Unresolved)), "{text}");
    }
}

#[test]
fn addresses_of_other_classes_are_withheld_and_not_dialled() {
    let bad = [
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "100.100.100.200",
        "10.0.0.1",
        "fd00:ec2::254",
        "::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "240.0.0.1",
        "198.18.0.1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
    ];
    let mut stage = Stage::new(&[("bad.test:443", ""), ("mixed.test:443", "")]);
    stage.script.answers("bad.test", &[&bad]);
    let (reply, events) = stage.name("bad.test", Family::V4);
    assert_eq!(reply, Reply::NoName { id: 7 });
    let (reason, handed, withheld) = told(&events);
    assert_eq!((reason, handed), (Some(Reason::AddressClass), vec![]));
    // 127.0.0.1 came twice, once mapped
    assert_eq!(withheld.len(), bad.len() - 1);
    let mixed: Vec<&str> = bad.iter().copied().chain(["9.9.9.1", "2606::1"]).collect();
    stage.script.answers("mixed.test", &[&mixed]);
    let (reply, events) = stage.name("mixed.test", Family::V4);
    assert_eq!((reply, told(&events).1), (addresses(&["9.9.9.1"]), ips(&["9.9.9.1", "2606::1"])));
    for address in bad {
        for said in [Said::Nothing, tls("mixed.test"), tls("bad.test")] {
            let destination = SocketAddr::new(ip(address), 443).to_string();
            assert_eq!(stage.open(&destination, said), refused(Reason::AddressNotGranted), "{destination}");
        }
    }
    assert_eq!(stage.script.dialled(), Vec::<String>::new());
}

#[test]
fn private_addresses_are_handed_out_where_that_is_granted() {
    let mut stage = Stage::new(&[("db.test:5432", "p"), ("db.test:443", "")]);
    stage.script.answers("db.test", &[&["10.0.0.1", "127.0.0.1", "::ffff:10.0.0.2"]]);
    let (reply, events) = stage.name("db.test", Family::V4);
    assert_eq!(reply, addresses(&["10.0.0.1", "10.0.0.2"]));
    assert_eq!(told(&events).2, ips(&["127.0.0.1"]));
    assert_eq!(stage.open("10.0.0.1:5432", Said::Nothing), dialled("10.0.0.1:5432", &["db.test"], true));
    assert_eq!(stage.open("10.0.0.1:443", tls("db.test")), refused(Reason::AddressClass));
    assert_eq!(stage.script.dialled(), ["10.0.0.1:5432"]);
}

/// A name of a stranger's that resolves to this very machine, by an address that looks like any other.
#[test]
fn public_addresses_of_the_machine_itself_count_as_private() {
    let mut stage =
        Stage::new(&[("evil.test:443", ""), ("home.test:443", "p"), ("half.test:443", ""), ("half.test:80", "p")]);
    stage.script.own.lock().unwrap().push(ip("2606::99"));
    for text in ["evil.test", "home.test", "half.test"] {
        stage.script.answers(text, &[&["2606::99"]]);
    }
    let (reply, events) = stage.name("evil.test", Family::V6);
    assert_eq!(
        (reply, told(&events)),
        (Reply::NoName { id: 7 }, (Some(Reason::AddressClass), vec![], ips(&["2606::99"])))
    );
    assert_eq!(stage.name("half.test", Family::V6).0, Reply::NoName { id: 7 });
    assert_eq!(stage.open("[2606::99]:443", tls("evil.test")), refused(Reason::AddressNotGranted));
    assert_eq!(stage.name("home.test", Family::V6).0, addresses(&["2606::99"]));
    assert_eq!(stage.open("[2606::99]:443", tls("evil.test")), refused(Reason::ForeignServerName));
}

/// A resolver that gives a good address first and another one ever after (case 48).
#[test]
fn what_was_checked_is_what_is_dialled() {
    let mut stage = Stage::new(&[("evil.test:443", "")]);
    stage.script.answers("evil.test", &[&["9.9.9.1"], &["127.0.0.1", "9.9.9.2"]]);
    assert_eq!(stage.name("evil.test", Family::V4).0, addresses(&["9.9.9.1"]));
    let start = stage.now;
    stage.now = start + LIFETIME - Duration::from_secs(1);
    assert_eq!(stage.open("9.9.9.1:443", Said::Nothing), Reply::Hear { id: 9, what: Hear::Tls });
    assert_eq!(stage.open("9.9.9.1:443", tls("evil.test")), dialled("9.9.9.1:443", &["evil.test"], false));
    assert_eq!(stage.open("127.0.0.1:443", tls("evil.test")), refused(Reason::AddressNotGranted));
    assert_eq!((stage.script.lookups().len(), stage.script.dialled()), (1, vec!["9.9.9.1:443".to_owned()]));
    // used a moment ago, so believed; then asked about again, and no longer an address of the name
    stage.now += LIFETIME - Duration::from_secs(1);
    assert_eq!(stage.open("9.9.9.1:443", tls("evil.test")), dialled("9.9.9.1:443", &["evil.test"], false));
    assert_eq!(stage.script.lookups().len(), 1);
    stage.now += LIFETIME;
    assert_eq!(stage.open("9.9.9.1:443", tls("evil.test")), refused(Reason::AddressNotGranted));
    assert_eq!(stage.open("127.0.0.1:443", tls("evil.test")), refused(Reason::AddressNotGranted));
    assert_eq!(stage.script.lookups().len(), 2);
    assert_eq!(stage.script.dialled(), ["9.9.9.1:443"; 2]);
}

#[test]
fn old_hand_outs_are_asked_about_and_believed_again() {
    let mut stage = Stage::new(&[("a.test:443,5432", ""), ("b.test:5432", "")]);
    stage.script.answers("a.test", &[&["9.9.9.1"]]);
    stage.script.answers("b.test", &[&["9.9.9.1"], &["9.9.9.2"]]);
    stage.name("a.test", Family::V4);
    stage.name("b.test", Family::V4);
    stage.now += LIFETIME;
    // both are asked about; one of them still leads there
    assert_eq!(stage.open("9.9.9.1:5432", Said::Nothing), dialled("9.9.9.1:5432", &["a.test"], false));
    assert_eq!(stage.script.lookups().len(), 4);
    assert_eq!(stage.open("9.9.9.1:443", tls("a.test")), dialled("9.9.9.1:443", &["a.test"], false));
    assert_eq!(stage.script.lookups().len(), 4);
}

#[test]
fn a_resolver_that_fails_makes_nothing_of_old_hand_outs() {
    let mut stage = Stage::new(&[("a.test:5432", "")]);
    stage.script.set("a.test", vec![Ok(ips(&["9.9.9.1"])), Err(ResolveError::Again), Ok(ips(&["9.9.9.1"]))]);
    stage.name("a.test", Family::V4);
    stage.now += LIFETIME;
    assert_eq!(stage.open("9.9.9.1:5432", Said::Nothing), refused(Reason::Unresolved));
    stage.now += Duration::from_secs(5);
    assert_eq!(stage.open("9.9.9.1:5432", Said::Nothing), dialled("9.9.9.1:5432", &["a.test"], false));
}

#[test]
fn hanging_names_hold_up_neither_others_nor_granted_addresses() {
    let mut stage = Stage::new(&[("*.test:443", "d"), ("9.9.9.9:22", "")]);
    stage.script.answers("good.test", &[&["9.9.9.1"]]);
    for n in 0..4 {
        stage.desk.ask(Ask::Name { id: n, name: name(&format!("hang{n}.test")), family: Family::V4 }, stage.now);
    }
    assert_eq!(stage.open("9.9.9.9:22", Said::Nothing), dialled("9.9.9.9:22", &[], false));
    assert_eq!(stage.name("good.test", Family::V4).0, addresses(&["9.9.9.1"]));
    let deadline = stage.desk.deadline().unwrap();
    assert_eq!(deadline, stage.now + TOTAL);
    stage.desk.resolved(deadline);
    let out = stage.desk.out();
    let given_up = |out: &Out| matches!(out, Out::Reply(Reply::NoAnswer { id: 0..4 }, None));
    assert_eq!((out.iter().filter(|out| given_up(out)).count(), out.len()), (4, 8), "{out:?}");
}

#[test]
fn a_flood_of_names_is_answered_and_recorded() {
    let mut stage = Stage::new(&[("*.test:443", "d")]);
    let count = 3000;
    for n in 0..count {
        stage.desk.ask(Ask::Name { id: n, name: name(&format!("n{n}.test")), family: Family::V4 }, stage.now);
    }
    let too_many = |out: &Out| matches!(out, Out::Event(Event::Name { refused: Some(Reason::TooMany), .. }));
    let now: Vec<Out> = stage.desk.out();
    let refused = now.iter().filter(|out| too_many(out)).count();
    assert!(refused > 2000 && now.len() == 2 * refused, "{refused} of {}", now.len());
    stage.desk.resolved(stage.now + TOTAL);
    assert_eq!(now.len() + stage.desk.out().len(), 2 * count as usize, "a reply and an event each");
}

#[test]
fn a_thousand_addresses_are_cut() {
    let all: Vec<String> = (0..1000).map(|n| format!("9.9.{}.{}", n / 250, n % 250 + 1)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut stage = Stage::new(&[("a.test:443", "")]);
    stage.script.answers("a.test", &[&all]);
    let (reply, events) = stage.name("a.test", Family::V4);
    assert_eq!(reply, addresses(&all[..32]));
    assert_eq!(told(&events).1.len(), 32);
    assert_eq!(stage.open("9.9.0.33:443", tls("a.test")), refused(Reason::AddressNotGranted));
    assert!(matches!(stage.open("9.9.0.32:443", tls("a.test")), Reply::Dialled { .. }));
}

#[test]
fn addresses_without_a_route_are_not_handed_out_while_others_are() {
    let mut stage = Stage::new(&[("a.test:443", ""), ("six.test:443", "")]);
    stage.script.unrouted.lock().unwrap().extend(ips(&["2606::1", "2606::2"]));
    stage.script.answers("a.test", &[&["2606::1", "9.9.9.1"]]);
    stage.script.answers("six.test", &[&["2606::1", "2606::2"]]);
    assert_eq!(stage.name("a.test", Family::V6).0, addresses(&[]));
    assert_eq!(stage.name("a.test", Family::V4).0, addresses(&["9.9.9.1"]));
    assert_eq!(stage.name("six.test", Family::V6).0, addresses(&["2606::1", "2606::2"]));
}

#[test]
fn alternatives_follow_attempt_by_attempt() {
    let mut stage = Stage::new(&[("a.test:443", ""), ("localhost:8080", "")]);
    stage.script.answers("a.test", &[&["9.9.9.1", "9.9.9.2", "2606::1", "2606::2"]]);
    stage.name("a.test", Family::V4);
    // a route that went away since, and an address that fails at once
    stage.script.unrouted.lock().unwrap().push(ip("2606::1"));
    stage.script.refused.lock().unwrap().push("[2606::2]:443".parse().unwrap());
    let said = || tls("a.test");
    assert_eq!(stage.attempt("9.9.9.2:443", said(), 0).0, dialled("9.9.9.2:443", &["a.test"], true));
    assert_eq!(stage.attempt("9.9.9.2:443", said(), 1).0, dialled("9.9.9.1:443", &["a.test"], false));
    for attempt in [3, 4, 255] {
        let (reply, events) = stage.attempt("9.9.9.2:443", said(), attempt);
        assert_eq!((reply, events.len()), (Reply::Unreachable { id: 9, errno: libc::EHOSTUNREACH }, 0));
    }
    stage.script.refused.lock().unwrap().push("9.9.9.1:443".parse().unwrap());
    let failed = Reply::Unreachable { id: 9, errno: libc::EADDRNOTAVAIL };
    assert_eq!(stage.attempt("9.9.9.2:443", said(), 1).0, failed);
    assert_eq!(stage.attempt("[::1]:8080", Said::Nothing, 0).0, dialled("[::1]:8080", &[], true));
    assert_eq!(stage.attempt("[::1]:8080", Said::Nothing, 1).0, dialled("127.0.0.1:8080", &[], false));
}

#[test]
fn localhost_is_answered_without_the_resolver() {
    let mut stage = Stage::new(&[("localhost:8080", "")]);
    assert_eq!(stage.name("localhost", Family::V4).0, addresses(&["127.0.0.1"]));
    assert_eq!(stage.name("localhost", Family::V6).0, addresses(&["::1"]));
    assert_eq!(stage.script.lookups(), Vec::<String>::new());
    assert_eq!(stage.open("127.0.0.1:22", Said::Nothing), refused(Reason::PortNotGranted));
}

#[test]
fn more_names_than_a_packet_holds_are_cut() {
    let mut stage = Stage::new(&[("*.a.test:5432", "")]);
    let long = format!("{}.{}.{}", "x".repeat(63), "y".repeat(63), "z".repeat(63));
    for n in 0..200 {
        let text = format!("n{n}.{long}.a.test");
        stage.script.answers(&text, &[&["9.9.9.1"]]);
        stage.name(&text, Family::V4);
    }
    let Reply::Dialled { names, .. } = stage.open("9.9.9.1:5432", Said::Nothing) else { panic!() };
    assert!(names.len() > 40 && names.len() < 200);
    assert_eq!(names.last(), Some(&name(&format!("n199.{long}.a.test"))), "those handed out last");
}

#[test]
fn refusals_are_recorded_with_the_name_that_tells_most() {
    let mut stage = Stage::new(&[("a.test:443,80", "")]);
    stage.script.answers("a.test", &[&["9.9.9.1"]]);
    stage.name("a.test", Family::V4);
    for (destination, said, expected) in [
        ("9.9.9.1:443", tls("evil.test"), Some("evil.test")),
        ("9.9.9.1:80", Said::Http(name("evil.test")), Some("evil.test")),
        ("9.9.9.1:443", Said::Wrong(Reason::NoServerName), Some("a.test")),
        ("9.9.9.1:25", Said::Nothing, Some("a.test")),
        ("9.9.9.2:443", Said::Nothing, None),
        ("9.9.9.2:443", tls("evil.test"), None),
    ] {
        let (reply, events) = stage.attempt(destination, said, 0);
        let [Event::Connection { name, destination: to, dialled: None, refused: Some(reason), .. }] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((name.as_deref(), to.to_string().as_str()), (expected, destination));
        assert_eq!(reply, refused(*reason));
    }
    for (destination, expected) in [("9.9.9.1:22", Some("a.test")), ("9.9.9.2:22", None)] {
        let destination = destination.parse().unwrap();
        stage.desk.ask(Ask::Knock { destination, protocol: Protocol::Tcp }, stage.now);
        let out = stage.desk.out();
        let [Out::Event(Event::Knock { name, .. })] = &out[..] else { panic!("{out:?}") };
        assert_eq!(name.as_deref(), expected);
    }
}

/// A broker on a thread, with this test as its proxy and its launcher.
struct Served {
    proxy: OwnedFd,
    events: OwnedFd,
    thread: JoinHandle<io::Result<()>>,
}

impl Served {
    fn new(lines: &[(&str, &str)], machine: Machine) -> Served {
        let (proxy, theirs) = packet_pair().unwrap();
        let (events, their_events) = packet_pair().unwrap();
        let rules = rules(lines);
        let thread = thread::spawn(move || serve(rules, machine, theirs.as_fd(), their_events.as_fd()));
        Served { proxy, events, thread }
    }

    fn send(&self, ask: &Ask) {
        send(self.proxy.as_fd(), &postcard::to_allocvec(ask).unwrap(), &[], true).unwrap();
    }

    fn reply(&self) -> (Reply, Option<OwnedFd>) {
        let mut room = vec![0; LARGEST];
        let (count, mut sockets) = receive(self.proxy.as_fd(), &mut room, true).unwrap();
        assert!(sockets.len() <= 1);
        (postcard::from_bytes(&room[..count]).unwrap(), sockets.pop())
    }

    fn event(&self) -> Event {
        let mut room = vec![0; LARGEST];
        let (count, _) = receive(self.events.as_fd(), &mut room, true).unwrap();
        postcard::from_bytes(&room[..count]).unwrap()
    }
}

#[test]
fn sockets_to_the_loopback_carry_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let Ok(pair) = packet_pair() else { panic!() };
    let (events, their_events) = packet_pair().unwrap();
    let setup =
        Setup { proxy: pair.1, events: their_events, rules: rules(&[(&format!("localhost:{}", at.port()), "")]) };
    let thread = thread::spawn(move || run(setup));
    let served = Served { proxy: pair.0, events, thread };
    // the other family first: nothing listens there, and it is found out by whoever has the socket
    let destination = SocketAddr::new(ip("::1"), at.port());
    let open = |id, attempt| Ask::Open { id, destination, said: Said::Nothing, attempt };
    served.send(&open(1, 0));
    let first = served.reply();
    if matches!(first.0, Reply::Dialled { .. }) {
        served.send(&open(2, 1));
    }
    let (reply, socket) = if matches!(first.0, Reply::Dialled { .. }) { served.reply() } else { first };
    let Reply::Dialled { address, names, more: false, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((address, names), (at, vec![]));
    let socket = socket.unwrap();
    let mut other = listener.accept().unwrap().0;
    assert!(wait_for(socket.as_fd(), Interest::Write, None).unwrap());
    let mut socket = TcpStream::from(socket);
    socket.write_all(b"there").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).unwrap();
    assert_eq!(text, "there");
    // and nothing but what is granted
    let other_port = SocketAddr::new(at.ip(), at.port() ^ 1);
    served.send(&Ask::Open { id: 3, destination: other_port, said: Said::Nothing, attempt: 0 });
    assert_eq!(served.reply().0, Reply::Refused { id: 3, reason: Reason::AddressNotGranted });
    assert!(matches!(served.event(), Event::Connection { refused: Some(Reason::AddressNotGranted), .. }));
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}

#[test]
fn questions_are_answered_by_id_whatever_their_order() {
    let script = Arc::new(Script::default());
    let served = Served::new(&[("*.test:443", "d")], script.machine());
    served.send(&Ask::Name { id: 1, name: name("slow.test"), family: Family::V4 });
    script.answers("quick.test", &[&["9.9.9.1"]]);
    served.send(&Ask::Name { id: 2, name: name("quick.test"), family: Family::V4 });
    assert!(matches!(served.reply().0, Reply::Addresses { id: 2, .. }));
    script.answers("slow.test", &[&["9.9.9.2"]]);
    assert!(matches!(served.reply().0, Reply::Addresses { id: 1, .. }));
    assert!(matches!(served.event(), Event::Name { name, .. } if name == "quick.test"));
    assert!(matches!(served.event(), Event::Name { name, .. } if name == "slow.test"));
    // it closes with a reply unread
    served.send(&Ask::Name { id: 3, name: name("quick.test"), family: Family::V4 });
    assert!(wait_for(served.proxy.as_fd(), Interest::Read, None).unwrap());
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}

/// What a proxy that has been taken over might send.
#[test]
fn packets_that_are_no_questions_end_the_broker() {
    let ask = |name: &str| {
        // an `Ask::Name` as the proxy writes it, with any text in the place of the name
        let honest = Ask::Name { id: 1, name: DnsName::parse("x").unwrap(), family: Family::V4 };
        let mut bytes = postcard::to_allocvec(&honest).unwrap();
        let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes.splice(at - 1..=at, [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat());
        bytes
    };
    let mut packets: Vec<Vec<u8>> =
        ["evil\0.api.test", "127.0.0.1", "0x7f.1", "api.test%00", "a b", "", "..", "ünï.test"].map(ask).into();
    packets.push(vec![0xff; 32]);
    packets.push(ask("api.test")[..4].to_vec());
    packets.push([ask("api.test"), vec![0]].concat());
    for packet in packets {
        let script = Arc::new(Script::default());
        let served = Served::new(&[("*:443", "d")], script.machine());
        send(served.proxy.as_fd(), &packet, &[], true).unwrap();
        let error = served.thread.join().unwrap().unwrap_err();
        assert_eq!((error.kind(), script.lookups()), (io::ErrorKind::InvalidData, vec![]), "{packet:?}");
    }
    let script = Arc::new(Script::default());
    let served = Served::new(&[("*:443", "d")], script.machine());
    send(served.proxy.as_fd(), &ask("api.test"), &[served.events.as_fd()], true).unwrap();
    assert_eq!(served.thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    let served = Served::new(&[("*:443", "d")], script.machine());
    send(served.proxy.as_fd(), &vec![0; LARGEST + 1], &[], true).unwrap();
    assert_eq!(served.thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn the_broker_ends_with_the_launcher() {
    let script = Arc::new(Script::default());
    let Served { proxy, events, thread } = Served::new(&[("api.test:443", "")], script.machine());
    drop(events);
    let ask = Ask::Name { id: 1, name: name("evil.test"), family: Family::V4 };
    send(proxy.as_fd(), &postcard::to_allocvec(&ask).unwrap(), &[], true).unwrap();
    assert_eq!(thread.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// Nothing is lost where nobody reads for a while: the broker waits.
#[test]
fn a_launcher_that_reads_late_loses_nothing() {
    let script = Arc::new(Script::default());
    let served = Served::new(&[("api.test:443", "")], script.machine());
    let count = 2000u32;
    let proxy = served.proxy.try_clone().unwrap();
    let asking = thread::spawn(move || {
        for id in 0..count {
            let ask = Ask::Name { id, name: name(&format!("n{id}.evil.test")), family: Family::V4 };
            send(proxy.as_fd(), &postcard::to_allocvec(&ask).unwrap(), &[], true).unwrap();
        }
    });
    let replies = served.proxy.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut room = vec![0; LARGEST];
        (0..count).for_each(|_| drop(receive(replies.as_fd(), &mut room, true).unwrap()));
    });
    for n in 0..count {
        assert!(matches!(served.event(), Event::Name { name, .. } if name == format!("n{n}.evil.test")));
    }
    asking.join().unwrap();
    reading.join().unwrap();
    drop(served.proxy);
    served.thread.join().unwrap().unwrap();
}

/// What a proxy that belongs to the server might ask, in any order.
#[derive(Debug, Clone)]
enum Move {
    Name(&'static str, u8),
    Open(&'static str, u16, Said, u8),
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    let names = || select(&["a.test", "x.b.test", "b.test", "evil.test", "localhost"][..]);
    let said = prop_oneof![
        Just(Said::Nothing),
        names().prop_map(|text| Said::Tls(name(text))),
        names().prop_map(|text| Said::Http(name(text))),
    ];
    prop_oneof![
        (names(), 0..3u8).prop_map(|(text, family)| Move::Name(text, family)),
        (select(PLACES), select(&[22u16, 80, 443, 5432][..]), said, 0..3u8)
            .prop_map(|(place, port, said, attempt)| Move::Open(place, port, said, attempt)),
        (1..2000u64).prop_map(Move::Wait),
    ]
}

const PLACES: &[&str] = &[
    "9.9.9.1",
    "9.9.9.2",
    "2606::1",
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "0.0.0.0",
];

proptest! {
    /// Whatever is asked, in whatever order, and whatever the name servers say: only granted names are looked up, and an
    /// address is dialled only where a rule grants it, or grants a name for it that the resolver gave it for.
    #[test]
    fn no_sequence_of_questions_reaches_what_is_not_granted(
        all in proptest::collection::vec(moves(), 1..40),
        answers in proptest::collection::vec(proptest::collection::vec(select(PLACES), 0..4), 1..6),
    ) {
        let lines = [("a.test:443,5432", ""), ("*.b.test:80,443", "p"), ("b.test:443", "r"), ("localhost:5432", ""), ("9.9.9.2:22", "")];
        let mut stage = Stage::new(&lines);
        for (at, text) in ["a.test", "x.b.test", "b.test", "evil.test", "localhost"].into_iter().enumerate() {
            let mut own = answers.clone();
            own.rotate_left(at % answers.len());
            stage.script.set(text, own.iter().map(|all| Ok(ips(all))).collect());
        }
        for step in all {
            match step {
                Move::Name(text, family) => {
                    let family = [Family::V4, Family::V6, Family::Neither][usize::from(family)];
                    stage.name(text, family);
                }
                Move::Open(place, port, said, attempt) => {
                    stage.attempt(&SocketAddr::new(ip(place), port).to_string(), said, attempt);
                }
                Move::Wait(seconds) => stage.now += Duration::from_secs(seconds),
            }
        }
        let rules = rules(&lines);
        for text in stage.script.lookups() {
            prop_assert!(rules.grants(&name(&text)) && text != "localhost", "{}", text);
        }
        for place in stage.script.dialled.lock().unwrap().iter() {
            let given = answers.iter().flatten().any(|text| ip(text).to_canonical() == place.ip());
            let named = ["a.test", "x.b.test", "b.test"].iter().any(|text| rules.named(&name(text), *place).is_some());
            prop_assert!(rules.literal(*place).is_some() || (given && named), "{}", place);
        }
    }
}
