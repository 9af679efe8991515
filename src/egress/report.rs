//! Events as lines for people: what was refused, once, and the line of a profile that would grant it.
//!
//! Names come from the server, and events from a process that reads what strangers send: nothing of it is printed unseen,
//! and no more than [`MOST`] lines of it.

use super::class::{Class, class};
use super::verdict::plain;
use super::{DnsName, Event, Protocol, Reason, Rule, Rules, Written};
use crate::diagnose::printable;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Most lines of a run; one more says that there were others.
const MOST: usize = 50;
/// Longest text of the server's that is quoted, characters.
const QUOTED: usize = 100;
/// The port of a name, as long as nothing is known of it.
const USUAL: u16 = 443;

/// Makes lines out of events, each once.
#[derive(Debug)]
pub struct Reporter {
    rules: Rules,
    told: HashSet<String>,
}

/// A line, and what makes it the same as another.
struct Line {
    key: String,
    text: String,
}

impl Reporter {
    /// `rules` are those of the run.
    #[must_use]
    pub fn new(rules: Rules) -> Reporter {
        Reporter { rules, told: HashSet::new() }
    }

    /// What to say of an event: one line without its end, `None` where nothing is said or it was said before.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        if self.told.len() > MOST {
            return None;
        }
        let Line { key, text } = self.compose(event)?;
        if !self.told.insert(key) {
            return None;
        }
        if self.told.len() > MOST {
            return Some(
                "egress: more was refused than is told here; all of it is in the log of `--egress-log FILE`".into(),
            );
        }
        Some(format!("egress: {text}"))
    }

    fn compose(&self, event: &Event) -> Option<Line> {
        match event {
            // what failed is told with the end of the processes
            Event::Ready | Event::Failed(_) => None,
            Event::Name { refused: None, .. } | Event::Connection { refused: None, .. } => None,
            Event::Lost(_) => {
                Some(same("so much was refused at once that not all of it is in the log: the numbers are".into()))
            }
            Event::Name { name, withheld, refused: Some(reason), .. } => Some(self.name(name, withheld, *reason)),
            Event::Connection { name, destination, dialled, refused: Some(reason), errno, .. } => {
                let place = plain(dialled.unwrap_or(*destination));
                self.connection(name.as_deref(), place, *reason, *errno)
            }
            Event::Knock { destination, protocol, name } => knock(name.as_deref(), plain(*destination), *protocol),
        }
    }

    fn name(&self, name: &str, withheld: &[IpAddr], reason: Reason) -> Line {
        let asked = quoted(name);
        match (reason, DnsName::parse(name)) {
            (Reason::NameNotGranted, Ok(name)) if name.as_str() == "localhost" => {
                same(format!("`{asked}` was asked for and is not granted; {LOCALHOST}"))
            }
            (Reason::NameNotGranted, Ok(name)) => {
                let how = to_grant(&format!("{name}:{USUAL}"), Flags::default());
                same(format!("`{asked}` was asked for and is not granted{how}"))
            }
            (Reason::AddressClass, Ok(name)) => same(self.withheld(&name, None, withheld)),
            (Reason::InvalidName, _) => same(format!("`{asked}` was asked for and is no host name")),
            (Reason::Unresolved, _) => {
                same(format!("`{asked}` is granted, and this machine's resolver has no address for it"))
            }
            (Reason::TooMany, _) => same("more names were asked for at once than are looked up".into()),
            (reason, _) => same(format!("`{asked}`: {reason}")),
        }
    }

    /// A granted name whose addresses the grant does not cover; `port` where it is known.
    fn withheld(&self, name: &DnsName, port: Option<u16>, withheld: &[IpAddr]) -> String {
        let rule =
            self.rules.iter().find(|rule| rule.names(name) && port.is_none_or(|port| rule.ports().contains(port)));
        let ports = match (port, rule) {
            (Some(port), _) => port.to_string(),
            (None, Some(rule)) => rule.ports().to_string(),
            (None, None) => USUAL.to_string(),
        };
        let of = |wanted: Class| withheld.iter().find(|address| class(**address) == wanted);
        let [private, own, loopback] = [Class::Private, Class::Public, Class::Loopback].map(of);
        let Some(address) = private.or(own).or(loopback).or(withheld.first()) else {
            return format!("`{name}` is granted, and has addresses that its grant does not cover");
        };
        let what = match class(*address) {
            // a public one is withheld for one reason only
            Class::Public => "an address of this machine itself".to_owned(),
            class => format!("which is {class}"),
        };
        let leads = format!("`{name}` is granted, and leads to `{address}`, {what}, which the grant does not cover");
        match class(*address) {
            Class::Private | Class::Public => {
                let raw = rule.is_some_and(Rule::raw);
                let how = to_grant(&format!("{name}:{ports}"), Flags { private: true, raw, ..Flags::default() });
                format!("{leads}{how}")
            }
            Class::Loopback => format!("{leads}; no name is let through to it; {LOCALHOST}"),
            Class::LinkLocal | Class::Metadata => {
                let to = match address {
                    IpAddr::V4(v4) => format!("{v4}:{ports}"),
                    IpAddr::V6(v6) => format!("[{v6}]:{ports}"),
                };
                let how = to_grant(&to, Flags { dangerous: true, ..Flags::default() });
                format!("{leads}; no name is let through to it, only the address itself{how}")
            }
            Class::Multicast | Class::Special => format!("{leads}, and none can"),
        }
    }

    fn connection(&self, name: Option<&str>, place: SocketAddr, reason: Reason, errno: Option<i32>) -> Option<Line> {
        let port = place.port();
        // the same name on the same port is the same, whatever its address
        let known = name.map(|name| format!("{}:{port}", quoted(name)));
        let whom = known.as_ref().map_or_else(|| format!("`{place}`"), |known| format!("`{known}` ({})", place.ip()));
        let key = format!("{reason:?} {}", known.unwrap_or_else(|| place.to_string()));
        let name = name.and_then(|name| DnsName::parse(name).ok());
        let by_name =
            |flags: Flags| name.as_ref().map(|name| to_grant(&format!("{name}:{port}"), flags)).unwrap_or_default();
        let raw = Flags { raw: true, ..Flags::default() };
        let refused = format!("a connection to {whom} was refused: {reason}");
        let text = match reason {
            Reason::AddressNotGranted if name.is_none() => format!("{refused}{}", by_address(place)),
            Reason::PortNotGranted => format!("{refused}{}", by_name(Flags::default())),
            Reason::AddressClass => match &name {
                Some(name) => format!("{refused}: {}", self.withheld(name, Some(port), &[place.ip()])),
                None => refused,
            },
            Reason::NotTls | Reason::NoServerName | Reason::NotHttp | Reason::NoHost => {
                format!("{refused}{}", by_name(raw))
            }
            Reason::ForeignServerName | Reason::ForeignHost => {
                let granted = |name| self.rules.iter().any(|rule| rule.names(name) && rule.ports().contains(port));
                match &name {
                    Some(name) if granted(name) => format!("{refused}: it has other addresses"),
                    Some(_) => format!("{refused}{}", by_name(Flags::default())),
                    None => refused,
                }
            }
            Reason::TooMany => {
                return Some(same("more connections at once than `connections` under [jail.network] says".into()));
            }
            Reason::Unreachable => {
                let why = errno.map(|errno| format!(": {}", io::Error::from_raw_os_error(errno))).unwrap_or_default();
                format!("a connection to {whom} is granted and failed{why}")
            }
            Reason::Idle => format!("a connection to {whom} was ended: {reason} (`idle-timeout` under [jail.network])"),
            Reason::Lifetime => format!("a connection to {whom} was ended: {reason} (`lifetime` under [jail.network])"),
            Reason::NoListener => return knock(name.as_ref().map(DnsName::as_str), place, Protocol::Tcp),
            // the end of every session, and of connections that the other side breaks off
            Reason::SessionEnded | Reason::Broken => return None,
            Reason::AddressNotGranted
            | Reason::NameNotGranted
            | Reason::InvalidName
            | Reason::Unresolved
            | Reason::Silent => refused,
        };
        Some(Line { key, text })
    }
}

/// What a person writes who meant the machine's own loopback.
const LOCALHOST: &str =
    "to grant a port of this machine's own loopback: allow = [\"localhost:PORT\"] under [jail.network]";

/// A first packet to where nothing listens.
fn knock(name: Option<&str>, place: SocketAddr, protocol: Protocol) -> Option<Line> {
    let port = place.port();
    let whom = match name {
        Some(name) => format!("`{}:{port}` ({})", quoted(name), place.ip()),
        None => format!("`{place}`"),
    };
    match protocol {
        // QUIC, whose clients fall back to TCP
        Protocol::Udp if port == USUAL => None,
        Protocol::Udp => Some(same(format!("UDP to {whom} was refused; only TCP is carried"))),
        Protocol::Tcp => {
            let how = match name.and_then(|name| DnsName::parse(name).ok()) {
                Some(name) => to_grant(&format!("{name}:{port}"), Flags::default()),
                None => by_address(place),
            };
            Some(same(format!("a connection to {whom} was refused{how}")))
        }
    }
}

/// How to grant an address itself.
fn by_address(place: SocketAddr) -> String {
    let port = place.port();
    match class(place.ip()) {
        Class::Loopback => {
            let how = to_grant(&format!("localhost:{port}"), Flags::default());
            how.replacen("to grant it", "to grant that port of this machine's own loopback", 1)
        }
        Class::LinkLocal | Class::Metadata => {
            to_grant(&place.to_string(), Flags { dangerous: true, ..Flags::default() })
        }
        Class::Public | Class::Private => to_grant(&place.to_string(), Flags::default()),
        Class::Multicast | Class::Special => String::new(),
    }
}

/// The conditions of a rule.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    private: bool,
    dangerous: bool,
    raw: bool,
}

/// The line that grants this, to be put behind a sentence; nothing where no line can.
fn to_grant(to: &str, flags: Flags) -> String {
    let Flags { private, dangerous, raw } = flags;
    match Rule::try_from(Written { to: to.to_owned(), private, dangerous, raw }) {
        Ok(rule) => format!("; to grant it: allow = [{}] under [jail.network]", rule.in_profile()),
        Err(_) => String::new(),
    }
}

/// A line that is the same as another where its text is.
fn same(text: String) -> Line {
    Line { key: text.clone(), text }
}

/// Text of the server's, or of a process that reads it, between backticks: printable, without backticks, cut.
pub(super) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(QUOTED).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable(&cut).replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(lines: &[&str]) -> Reporter {
        let rule = |line: &&str| {
            let (to, flags) = line.split_once(' ').unwrap_or((line, ""));
            let has = |flag: char| flags.contains(flag);
            let written = Written { to: to.to_owned(), private: has('p'), dangerous: has('d'), raw: has('r') };
            Rule::try_from(written).unwrap()
        };
        Reporter::new(Rules::new(lines.iter().map(rule).collect()).unwrap())
    }

    fn name(name: &str, withheld: &[&str], reason: Reason) -> Event {
        Event::Name {
            name: name.to_owned(),
            addresses: Vec::new(),
            withheld: withheld.iter().map(|text| text.parse().unwrap()).collect(),
            refused: Some(reason),
            duration_us: 1,
        }
    }

    fn connection(name: Option<&str>, destination: &str, reason: Reason) -> Event {
        Event::Connection {
            name: name.map(str::to_owned),
            destination: destination.parse().unwrap(),
            dialled: None,
            refused: Some(reason),
            errno: None,
            sent: 0,
            received: 0,
            duration_us: 1,
        }
    }

    fn udp(destination: &str) -> Event {
        Event::Knock { destination: destination.parse().unwrap(), protocol: Protocol::Udp, name: None }
    }

    fn tcp(destination: &str, name: Option<&str>) -> Event {
        let name = name.map(str::to_owned);
        Event::Knock { destination: destination.parse().unwrap(), protocol: Protocol::Tcp, name }
    }

    #[test]
    fn a_line_says_what_was_refused_and_what_would_grant_it() {
        use Reason::*;
        let rules = ["a.test:443", "db.test:5432,5433", "raw.test:22 r"];
        for (event, expected) in [
            (
                name("api.github.com", &[], NameNotGranted),
                "`api.github.com` was asked for and is not granted; to grant it: allow = [\"api.github.com:443\"] under \
                 [jail.network]",
            ),
            (
                name("localhost", &[], NameNotGranted),
                "`localhost` was asked for and is not granted; to grant a port of this machine's own loopback: allow = \
                 [\"localhost:PORT\"] under [jail.network]",
            ),
            (name("a b", &[], InvalidName), "`a b` was asked for and is no host name"),
            (name("a.test", &[], Unresolved), "`a.test` is granted, and this machine's resolver has no address for it"),
            (
                name("db.test", &["127.0.0.1", "10.0.0.1"], AddressClass),
                "`db.test` is granted, and leads to `10.0.0.1`, which is private, which the grant does not cover; to grant it: \
                 allow = [{ to = \"db.test:5432,5433\", private = true }] under [jail.network]",
            ),
            (
                name("raw.test", &["9.9.9.9"], AddressClass),
                "`raw.test` is granted, and leads to `9.9.9.9`, an address of this machine itself, which the grant does not \
                 cover; to grant it: allow = [{ to = \"raw.test:22\", private = true, raw = true }] under [jail.network]",
            ),
            (
                name("a.test", &["127.0.0.1"], AddressClass),
                "`a.test` is granted, and leads to `127.0.0.1`, which is loopback, which the grant does not cover; no name is \
                 let through to it; to grant a port of this machine's own loopback: allow = [\"localhost:PORT\"] under \
                 [jail.network]",
            ),
            (
                name("a.test", &["fd00:ec2::254"], AddressClass),
                "`a.test` is granted, and leads to `fd00:ec2::254`, which is a cloud's metadata service, which the grant does \
                 not cover; no name is let through to it, only the address itself; to grant it: allow = [{ to = \
                 \"[fd00:ec2::254]:443\", dangerous = true }] under [jail.network]",
            ),
            (
                name("a.test", &["224.0.0.1"], AddressClass),
                "`a.test` is granted, and leads to `224.0.0.1`, which is multicast, which the grant does not cover, and none \
                 can",
            ),
            (
                connection(None, "140.82.1.1:443", AddressNotGranted),
                "a connection to `140.82.1.1:443` was refused: the address was not handed out for a granted name; to grant \
                 it: allow = [\"140.82.1.1:443\"] under [jail.network]",
            ),
            (
                connection(None, "[2606::1]:443", AddressNotGranted),
                "a connection to `[2606::1]:443` was refused: the address was not handed out for a granted name; to grant \
                 it: allow = [\"[2606::1]:443\"] under [jail.network]",
            ),
            (
                connection(None, "[::ffff:127.0.0.1]:443", AddressNotGranted),
                "a connection to `127.0.0.1:443` was refused: the address was not handed out for a granted name; to grant \
                 that port of this machine's own loopback: allow = [\"localhost:443\"] under [jail.network]",
            ),
            (
                connection(None, "169.254.169.254:443", AddressNotGranted),
                "a connection to `169.254.169.254:443` was refused: the address was not handed out for a granted name; to \
                 grant it: allow = [{ to = \"169.254.169.254:443\", dangerous = true }] under [jail.network]",
            ),
            (
                connection(Some("a.test"), "9.9.9.9:22", PortNotGranted),
                "a connection to `a.test:22` (9.9.9.9) was refused: the port is not granted; to grant it: allow = \
                 [\"a.test:22\"] under [jail.network]",
            ),
            (
                connection(Some("a.test"), "9.9.9.9:443", NoServerName),
                "a connection to `a.test:443` (9.9.9.9) was refused: TLS without a readable server name; to grant it: allow = \
                 [{ to = \"a.test:443\", raw = true }] under [jail.network]",
            ),
            (
                connection(Some("evil.test"), "9.9.9.9:443", ForeignServerName),
                "a connection to `evil.test:443` (9.9.9.9) was refused: TLS for a server that is not granted there; to grant \
                 it: allow = [\"evil.test:443\"] under [jail.network]",
            ),
            (
                connection(Some("a.test"), "9.9.9.9:443", ForeignServerName),
                "a connection to `a.test:443` (9.9.9.9) was refused: TLS for a server that is not granted there: it has other \
                 addresses",
            ),
            (
                connection(Some("a.test"), "9.9.9.9:443", Idle),
                "a connection to `a.test:443` (9.9.9.9) was ended: nothing moved for too long (`idle-timeout` under \
                 [jail.network])",
            ),
            (
                tcp("140.82.1.1:22", Some("github.com")),
                "a connection to `github.com:22` (140.82.1.1) was refused; to grant it: allow = [\"github.com:22\"] under \
                 [jail.network]",
            ),
            (
                tcp("10.0.0.1:22", None),
                "a connection to `10.0.0.1:22` was refused; to grant it: allow = [\"10.0.0.1:22\"] under [jail.network]",
            ),
            (
                tcp("127.0.0.1:5432", None),
                "a connection to `127.0.0.1:5432` was refused; to grant that port of this machine's own loopback: allow = \
                 [\"localhost:5432\"] under [jail.network]",
            ),
            (tcp("224.0.0.1:22", None), "a connection to `224.0.0.1:22` was refused"),
            (udp("9.9.9.9:123"), "UDP to `9.9.9.9:123` was refused; only TCP is carried"),
        ] {
            assert_eq!(reporter(&rules).line(&event).as_deref(), Some(format!("egress: {expected}").as_str()));
        }
    }

    #[test]
    fn what_went_well_or_only_ended_is_not_told() {
        let mut reporter = reporter(&["a.test:443"]);
        let fine =
            Event::Name { name: "a.test".into(), addresses: vec![], withheld: vec![], refused: None, duration_us: 1 };
        for event in [
            Event::Ready,
            Event::Failed("no".into()),
            fine,
            udp("9.9.9.9:443"),
            connection(Some("a.test"), "9.9.9.9:443", Reason::Broken),
            connection(Some("a.test"), "9.9.9.9:443", Reason::SessionEnded),
        ] {
            assert_eq!(reporter.line(&event), None, "{event:?}");
        }
    }

    #[test]
    fn a_failure_of_the_network_is_told_with_its_cause() {
        let event = Event::Connection {
            name: Some("a.test".into()),
            destination: "9.9.9.1:443".parse().unwrap(),
            dialled: Some("9.9.9.2:443".parse().unwrap()),
            refused: Some(Reason::Unreachable),
            errno: Some(libc::ECONNREFUSED),
            sent: 0,
            received: 0,
            duration_us: 1,
        };
        let line = reporter(&["a.test:443"]).line(&event).unwrap();
        assert!(line.starts_with("egress: a connection to `a.test:443` (9.9.9.2) is granted and failed: "), "{line}");
    }

    #[test]
    fn the_same_is_told_once_and_floods_end() {
        let mut reporter = reporter(&["a.test:443"]);
        let shared = |at: u8| connection(Some("a.test"), &format!("9.9.9.{at}:22"), Reason::PortNotGranted);
        assert!(reporter.line(&shared(1)).is_some());
        assert!(reporter.line(&shared(2)).is_none(), "the same name and port");
        let lines: Vec<String> = (0..1000)
            .filter_map(|n| reporter.line(&name(&format!("n{n}.test"), &[], Reason::NameNotGranted)))
            .collect();
        assert_eq!(lines.len(), MOST);
        assert!(lines.last().unwrap().contains("--egress-log"), "{lines:?}");
        assert!(lines[..MOST - 1].iter().all(|line| line.contains("was asked for")));
        assert_eq!(reporter.told.len(), MOST + 1);
    }

    /// A server chooses its words: none of them reaches a terminal, ends a quotation or becomes part of a profile.
    #[test]
    fn words_of_the_server_stay_between_backticks() {
        let long = "x".repeat(10_000);
        for text in ["\x1b[2J", "a\nmcpjail: all is well", "a\u{202e}b", "a\"]\nallow = [\"*:443", "` rm -rf", &long] {
            for reason in [Reason::InvalidName, Reason::NameNotGranted, Reason::AddressClass, Reason::Broken] {
                let line = reporter(&[]).line(&name(text, &["10.0.0.1"], reason)).unwrap();
                assert_eq!(line, printable(&line));
                assert_eq!(line.matches('`').count(), 2, "{line}");
                assert!(line.len() < 1000 && !line.contains("[jail.network]"), "{line}");
            }
            for reason in [Reason::PortNotGranted, Reason::ForeignServerName, Reason::NotTls] {
                let line = reporter(&[]).line(&connection(Some(text), "9.9.9.9:443", reason)).unwrap();
                assert!(line == printable(&line) && !line.contains("[jail.network]") && line.len() < 1000, "{line}");
            }
            let line = reporter(&[]).line(&tcp("9.9.9.9:22", Some(text))).unwrap();
            assert!(line == printable(&line) && line.len() < 1000 && !line.contains("*:443\"] under"), "{line}");
        }
    }

    /// Whatever is proposed is what a profile takes.
    #[test]
    fn what_is_proposed_is_a_rule() {
        for event in [
            name("api.github.com", &[], Reason::NameNotGranted),
            name("a.test", &["10.0.0.1"], Reason::AddressClass),
            connection(None, "169.254.169.254:80", Reason::AddressNotGranted),
            connection(Some("a.test"), "9.9.9.9:80", Reason::NoHost),
            tcp("[2606::1]:22", None),
        ] {
            let line = reporter(&["a.test:443"]).line(&event).unwrap();
            let (_, proposed) = line.split_once("to grant it: ").unwrap();
            let profile = proposed.strip_suffix(" under [jail.network]").unwrap();
            let table: toml::Table = profile.parse().unwrap();
            let rule = &table["allow"].as_array().unwrap()[0];
            let written = match rule.as_str() {
                Some(text) => Written { to: text.to_owned(), ..Written::default() },
                None => rule.clone().try_into().unwrap(),
            };
            assert!(Rule::try_from(written).is_ok(), "{profile}");
        }
    }
}
