//! Tests of the decision: a table of what each kind of rule grants, and what no question ever gets.

use super::super::ledger::LIFETIME;
use super::super::testing::{ip, name, rules};
use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

fn tls(text: &str) -> Said {
    Said::Tls(name(text))
}

fn http(text: &str) -> Said {
    Said::Http(name(text))
}

/// Rules and hand-outs of one test; those of `old` were made too long ago.
struct World {
    rules: Rules,
    ledger: Ledger,
    now: Instant,
}

impl World {
    fn new(lines: &[(&str, &str)], fresh: &[(&str, &[&str])], old: &[(&str, &[&str])]) -> World {
        let (start, mut ledger) = (Instant::now(), Ledger::new());
        let now = start + LIFETIME;
        for (at, all) in [(start, old), (now, fresh)] {
            for (text, addresses) in all {
                ledger.hand_out(&name(text), &addresses.iter().map(|text| ip(text)).collect::<Vec<_>>(), at);
            }
        }
        World { rules: rules(lines), ledger, now }
    }

    fn ask(&self, destination: &str, said: &Said) -> Verdict {
        let destination = destination.parse().unwrap();
        verdict(&self.rules, &self.ledger, Question { destination, said, settled: false }, self.now)
    }

    fn settled(&self, destination: &str, said: &Said) -> Verdict {
        let destination = destination.parse().unwrap();
        verdict(&self.rules, &self.ledger, Question { destination, said, settled: true }, self.now)
    }
}

fn dial(to: &[&str], names: &[&str], looked_at: bool) -> Verdict {
    let to = to.iter().map(|text| text.parse().unwrap()).collect();
    Verdict::Dial { to, names: names.iter().map(|text| name(text)).collect(), looked_at }
}

const REFUSED: fn(Reason) -> Verdict = Verdict::Refuse;

#[test]
fn granted_addresses_are_dialled_and_nothing_is_looked_at() {
    let lines = [
        ("93.184.216.34:443", ""),
        ("10.1.0.0/16:80,5432", ""),
        ("[2606:2800::/32]:443", ""),
        ("169.254.169.254:80", "d"),
        ("localhost:8080", ""),
        ("127.0.0.1:9090", ""),
    ];
    let world = World::new(&lines, &[("a.test", &["93.184.216.34"])], &[]);
    for (destination, expected) in [
        ("93.184.216.34:443", dial(&["93.184.216.34:443"], &[], false)),
        ("[::ffff:93.184.216.34]:443", dial(&["93.184.216.34:443"], &[], false)),
        ("10.1.2.3:80", dial(&["10.1.2.3:80"], &[], false)),
        ("10.1.2.3:5432", dial(&["10.1.2.3:5432"], &[], false)),
        ("[2606:2800::7]:443", dial(&["[2606:2800::7]:443"], &[], false)),
        ("169.254.169.254:80", dial(&["169.254.169.254:80"], &[], false)),
        ("127.0.0.1:8080", dial(&["127.0.0.1:8080", "[::1]:8080"], &[], false)),
        ("[::1]:8080", dial(&["[::1]:8080", "127.0.0.1:8080"], &[], false)),
        // the other family was not granted
        ("127.0.0.1:9090", dial(&["127.0.0.1:9090"], &[], false)),
        ("[::1]:9090", REFUSED(Reason::AddressNotGranted)),
        // neither were other ports, other addresses, other ways to say the loopback
        ("93.184.216.34:80", REFUSED(Reason::PortNotGranted)),
        ("10.2.0.1:80", REFUSED(Reason::AddressNotGranted)),
        ("10.1.2.3:443", REFUSED(Reason::AddressNotGranted)),
        ("127.0.0.2:8080", REFUSED(Reason::AddressNotGranted)),
        ("0.0.0.0:8080", REFUSED(Reason::AddressNotGranted)),
        ("[::]:8080", REFUSED(Reason::AddressNotGranted)),
        ("[::ffff:127.0.0.2]:8080", REFUSED(Reason::AddressNotGranted)),
        ("[64:ff9b::7f00:1]:8080", REFUSED(Reason::AddressNotGranted)),
        ("169.254.169.254:443", REFUSED(Reason::AddressNotGranted)),
    ] {
        assert_eq!(world.ask(destination, &Said::Nothing), expected, "{destination}");
        assert_eq!(world.ask(destination, &tls("evil.test")), expected, "{destination}");
    }
}

#[test]
fn named_servers_must_be_said_on_443_and_80() {
    let lines = [("a.test:80,443", ""), ("*.b.test:443", ""), ("c.test:443", "")];
    let world =
        World::new(&lines, &[("a.test", &["9.9.9.1"]), ("x.b.test", &["9.9.9.1"]), ("c.test", &["9.9.9.2"])], &[]);
    for (destination, said, expected) in [
        ("9.9.9.1:443", Said::Nothing, Verdict::Hear(Hear::Tls)),
        ("9.9.9.1:80", Said::Nothing, Verdict::Hear(Hear::Http)),
        ("9.9.9.1:443", tls("a.test"), dial(&["9.9.9.1:443"], &["a.test"], true)),
        ("9.9.9.1:443", tls("x.b.test"), dial(&["9.9.9.1:443"], &["x.b.test"], true)),
        ("[::ffff:9.9.9.1]:443", tls("a.test"), dial(&["9.9.9.1:443"], &["a.test"], true)),
        ("9.9.9.1:80", http("a.test"), dial(&["9.9.9.1:80"], &["a.test"], true)),
        // granted, and of another address
        ("9.9.9.1:443", tls("c.test"), REFUSED(Reason::ForeignServerName)),
        // granted, and never asked for
        ("9.9.9.1:443", tls("y.b.test"), REFUSED(Reason::ForeignServerName)),
        ("9.9.9.1:443", tls("b.test"), REFUSED(Reason::ForeignServerName)),
        ("9.9.9.1:443", tls("a.test.evil.test"), REFUSED(Reason::ForeignServerName)),
        // of the address, and not granted on this port
        ("9.9.9.1:80", http("x.b.test"), REFUSED(Reason::ForeignHost)),
        ("9.9.9.1:443", http("a.test"), REFUSED(Reason::NotTls)),
        ("9.9.9.1:80", tls("a.test"), REFUSED(Reason::NotHttp)),
        ("9.9.9.1:443", Said::Wrong(Reason::NoServerName), REFUSED(Reason::NoServerName)),
        ("9.9.9.2:80", Said::Nothing, REFUSED(Reason::PortNotGranted)),
        ("9.9.9.1:8443", Said::Nothing, REFUSED(Reason::PortNotGranted)),
        ("9.9.9.3:443", Said::Nothing, REFUSED(Reason::AddressNotGranted)),
        ("9.9.9.3:443", tls("a.test"), REFUSED(Reason::AddressNotGranted)),
    ] {
        assert_eq!(world.ask(destination, &said), expected, "{destination} {said:?}");
    }
}

#[test]
fn other_ports_are_dialled_with_the_names_to_hold_a_hello_to() {
    let lines = [("a.test:5432", ""), ("b.test:5432", ""), ("c.test:443", "")];
    let world =
        World::new(&lines, &[("a.test", &["9.9.9.1"]), ("c.test", &["9.9.9.1"]), ("b.test", &["9.9.9.1"])], &[]);
    for (said, expected) in [
        (Said::Nothing, dial(&["9.9.9.1:5432"], &["a.test", "b.test"], true)),
        (tls("b.test"), dial(&["9.9.9.1:5432"], &["b.test"], true)),
        (tls("c.test"), REFUSED(Reason::ForeignServerName)),
        (Said::Wrong(Reason::ForeignServerName), REFUSED(Reason::ForeignServerName)),
    ] {
        assert_eq!(world.ask("9.9.9.1:5432", &said), expected, "{said:?}");
    }
}

#[test]
fn raw_rules_look_at_nothing_and_only_where_they_grant() {
    let lines = [("ssh.test:443", "r"), ("a.test:80,443", "")];
    let world = World::new(&lines, &[("a.test", &["9.9.9.1", "9.9.9.2"]), ("ssh.test", &["9.9.9.1"])], &[]);
    assert_eq!(world.ask("9.9.9.1:443", &Said::Nothing), dial(&["9.9.9.1:443"], &["ssh.test"], false));
    // where the other name leads, the first bytes count
    assert_eq!(world.ask("9.9.9.2:443", &Said::Nothing), Verdict::Hear(Hear::Tls));
    assert_eq!(world.ask("9.9.9.1:80", &Said::Nothing), Verdict::Hear(Hear::Http));
    // and the alternatives of what is not looked at are not those of a name that must be
    let lines = [("*.test:443", "d"), ("ssh.test:443", "r")];
    let world = World::new(&lines, &[("a.test", &["9.9.9.1", "9.9.9.2"]), ("ssh.test", &["9.9.9.1", "9.9.9.3"])], &[]);
    let expected = dial(&["9.9.9.1:443", "9.9.9.3:443"], &["ssh.test"], false);
    assert_eq!(world.ask("9.9.9.1:443", &Said::Nothing), expected);
}

#[test]
fn private_addresses_are_for_the_rules_that_say_so() {
    let lines = [("db.test:443", ""), ("db.test:5432", "p")];
    let world = World::new(&lines, &[("db.test", &["10.0.0.1", "9.9.9.1"])], &[]);
    assert_eq!(
        world.ask("10.0.0.1:5432", &Said::Nothing),
        dial(&["10.0.0.1:5432", "9.9.9.1:5432"], &["db.test"], true)
    );
    assert_eq!(world.ask("10.0.0.1:443", &tls("db.test")), REFUSED(Reason::AddressClass));
    // the private address is no alternative on the port where it is not granted
    assert_eq!(world.ask("9.9.9.1:443", &tls("db.test")), dial(&["9.9.9.1:443"], &["db.test"], true));
}

/// Whatever got into the hand-outs: the class is looked at again.
#[test]
fn hand_outs_grant_no_address_of_another_class() {
    let bad =
        ["127.0.0.1", "::1", "169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1", "0.0.0.0", "224.0.0.1"];
    let more = ["64:ff9b::a00:1", "2002:a00:1::", "64:ff9b::7f00:1", "240.0.0.1", "::"];
    let bad: Vec<&str> = bad.into_iter().chain(more).collect();
    let world = World::new(&[("a.test:443,5432", "p"), ("*:443", "dp")], &[("a.test", &bad)], &[]);
    for text in bad {
        let private = matches!(text, "64:ff9b::a00:1" | "2002:a00:1::");
        for (port, said) in [(443, tls("a.test")), (5432, Said::Nothing)] {
            let destination = SocketAddr::new(ip(text), port).to_string();
            let expected =
                if private { dial(&[&destination], &["a.test"], true) } else { REFUSED(Reason::AddressClass) };
            let found = match world.ask(&destination, &said) {
                Verdict::Dial { to, names, looked_at } => {
                    let to = to.into_iter().take(1).collect();
                    Verdict::Dial { to, names, looked_at }
                }
                other => other,
            };
            assert_eq!(found, expected, "{destination}");
        }
    }
}

#[test]
fn old_hand_outs_are_asked_about_once() {
    let lines = [("a.test:80,443,5432", ""), ("b.test:443,5432", ""), ("ssh.test:443", "r"), ("c.test:1", "")];
    let old: [(&str, &[&str]); 3] = [("a.test", &["9.9.9.1"]), ("ssh.test", &["9.9.9.2"]), ("c.test", &["9.9.9.1"])];
    let world = World::new(&lines, &[("b.test", &["9.9.9.1"]), ("a.test", &["9.9.9.2"])], &old);
    let anew = |text: &str| Verdict::Anew(vec![name(text)]);
    for (destination, said, expected, settled) in [
        ("9.9.9.1:443", Said::Nothing, Verdict::Hear(Hear::Tls), Verdict::Hear(Hear::Tls)),
        ("9.9.9.1:443", tls("a.test"), anew("a.test"), REFUSED(Reason::ForeignServerName)),
        (
            "9.9.9.1:443",
            tls("b.test"),
            dial(&["9.9.9.1:443"], &["b.test"], true),
            dial(&["9.9.9.1:443"], &["b.test"], true),
        ),
        ("9.9.9.1:80", http("a.test"), anew("a.test"), REFUSED(Reason::PortNotGranted)),
        ("9.9.9.1:5432", Said::Nothing, anew("a.test"), dial(&["9.9.9.1:5432"], &["b.test"], true)),
        // raw and old: whether it still is decides whether anything is looked at
        ("9.9.9.2:443", Said::Nothing, anew("ssh.test"), Verdict::Hear(Hear::Tls)),
        ("9.9.9.1:1", Said::Nothing, anew("c.test"), REFUSED(Reason::PortNotGranted)),
    ] {
        assert_eq!(world.ask(destination, &said), expected, "{destination} {said:?}");
        assert_eq!(world.settled(destination, &said), settled, "{destination} {said:?}, settled");
    }
    let world = World::new(&lines, &[], &[("a.test", &["9.9.9.1"])]);
    assert_eq!(world.settled("9.9.9.1:80", &http("a.test")), REFUSED(Reason::AddressNotGranted));
}

#[test]
fn what_is_asked_anew_is_bounded() {
    let all: Vec<String> = (0..100).map(|n| format!("n{n}.a.test")).collect();
    let old: Vec<(&str, &[&str])> = all.iter().map(|text| (text.as_str(), &["9.9.9.1"][..])).collect();
    let world = World::new(&[("*.a.test:5432", "")], &[], &old);
    let Verdict::Anew(names) = world.ask("9.9.9.1:5432", &Said::Nothing) else { panic!() };
    assert_eq!(names.len(), ANEW);
    assert_eq!(names.last(), Some(&name("n99.a.test")), "those handed out last");
}

#[test]
fn alternatives_are_of_the_same_name_other_family_first_and_bounded() {
    let mut all: Vec<String> = (1..=20).map(|n| format!("9.9.9.{n}")).collect();
    all.push("2606::1".to_owned());
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let lines = [("a.test:443,5432", ""), ("b.test:443,5432", "")];
    let old: [(&str, &[&str]); 1] = [("a.test", &["2606::2"])];
    let world = World::new(&lines, &[("a.test", &all), ("b.test", &["9.9.9.2", "9.9.9.7", "9.9.8.8"])], &old);
    let Verdict::Dial { to, .. } = world.ask("9.9.9.3:443", &tls("a.test")) else { panic!() };
    let to: Vec<String> = to.iter().map(SocketAddr::to_string).collect();
    assert_eq!(to[..4], ["9.9.9.3:443", "[2606::1]:443", "9.9.9.1:443", "9.9.9.2:443"]);
    assert_eq!(to.len(), ATTEMPTS);
    // which of the two is meant is not known: an alternative is of both
    let expected = dial(&["9.9.9.2:5432", "9.9.9.7:5432"], &["a.test", "b.test"], true);
    assert_eq!(world.ask("9.9.9.2:5432", &Said::Nothing), expected);
}

const NAMES: [&str; 5] = ["a.test", "x.a.test", "b.test", "localhost", "evil.test"];
const ADDRESSES: [&str; 14] = [
    "9.9.9.1",
    "9.9.9.2",
    "2606::1",
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:9.9.9.1",
    "169.254.169.254",
    "fd00:ec2::254",
    "64:ff9b::a00:1",
    "0.0.0.0",
    "fe80::1",
    "224.0.0.1",
];
const LINES: [(&str, &str); 14] = [
    ("a.test:443", ""),
    ("a.test:80,5432", "p"),
    ("*.a.test:443,5432", ""),
    ("b.test:443", "r"),
    ("b.test:5432", "p"),
    ("*:443", "d"),
    ("*:80", "dp"),
    ("9.9.9.2:443", ""),
    ("10.0.0.0/8:5432", ""),
    ("localhost:5432", ""),
    ("[::1]:80", ""),
    ("169.254.169.254:80", "d"),
    ("0.0.0.0/0:5432", "d"),
    ("[::/0]:443", "dp"),
];

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Nothing),
        select(&NAMES[..]).prop_map(tls),
        select(&NAMES[..]).prop_map(http),
        Just(Said::Wrong(Reason::NotTls)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever is dialled, some rule grants the address, or it was handed out, not too long ago, for a name that some rule
    /// grants there; and on 443 and 80 that name was said.
    #[test]
    fn nothing_is_dialled_that_is_not_covered(
        lines in proptest::collection::vec(select(&LINES[..]), 0..5),
        handed in proptest::collection::vec((select(&NAMES[..]), select(&ADDRESSES[..]), 0..1800u64), 0..12),
        address in select(&ADDRESSES[..]),
        port in select(&[80u16, 443, 5432, 22][..]),
        said in said(),
        settled: bool,
    ) {
        let (rules, start) = (rules(&lines), Instant::now());
        let now = start + Duration::from_secs(1800);
        let mut ledger = Ledger::new();
        for (text, address, age) in &handed {
            ledger.hand_out(&name(text), &[ip(address)], now - Duration::from_secs(*age));
        }
        let destination = SocketAddr::new(ip(address), port);
        let question = Question { destination, said: &said, settled };
        match verdict(&rules, &ledger, question, now) {
            Verdict::Dial { to, names, looked_at } => {
                prop_assert_eq!(to[0], plain(destination));
                prop_assert!(to.len() <= ATTEMPTS);
                for at in &to {
                    prop_assert_eq!(at.port(), port);
                    let by_address = rules.iter().any(|rule| rule.ports().contains(port) && rule.holds(at.ip()));
                    let by_name = |rule: &crate::egress::Rule| {
                        rule.ports().contains(port) && rule.resolves_to(at.ip()) && handed.iter().any(|(text, handed, age)| {
                            ip(handed) == at.ip() && *age < LIFETIME.as_secs() && rule.names(&name(text))
                                && names.contains(&name(text))
                                && (rule.raw() || match port {
                                    443 => said == tls(text),
                                    80 => said == http(text),
                                    _ => looked_at,
                                })
                        })
                    };
                    prop_assert!(by_address || rules.iter().any(by_name), "{} of {:?}", at, to);
                }
            }
            Verdict::Hear(_) => prop_assert!(said == Said::Nothing && (port == 443 || port == 80)),
            Verdict::Anew(names) => {
                prop_assert!(!settled, "asked anew without end");
                for name in names {
                    prop_assert!(rules.grants(&name), "a name that is not granted goes to the resolver");
                }
            }
            Verdict::Refuse(_) => {}
        }
    }
}
