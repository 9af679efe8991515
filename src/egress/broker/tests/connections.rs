//! Connections: which socket is given, and when a hand-out is believed.

use super::*;
use crate::egress::ledger::LIFETIME;

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
