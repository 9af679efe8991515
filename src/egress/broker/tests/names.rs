//! Names: which are asked of the resolver, and what of its answers is handed out.

use super::*;
use crate::egress::resolver::TOTAL;

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

#[test]
fn hanging_names_hold_up_neither_others_nor_granted_addresses() {
    let mut stage = Stage::new(&[("*.test:443", "d"), ("9.9.9.9:22", "")]);
    stage.script.answers("good.test", &[&["9.9.9.1"]]);
    for n in 0..4 {
        stage.desk.ask(Ask::Name { id: n, name: name(&format!("hang{n}.test")), family: Family::V4 }, stage.now);
    }
    assert_eq!(stage.open("9.9.9.9:22", Said::Nothing), dialled("9.9.9.9:22", &[], false));
    assert_eq!(stage.name("good.test", Family::V4).0, addresses(&["9.9.9.1"]));
    let deadline = stage.desk.deadline(stage.now).unwrap();
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
fn localhost_is_answered_without_the_resolver() {
    let mut stage = Stage::new(&[("localhost:8080", "")]);
    assert_eq!(stage.name("localhost", Family::V4).0, addresses(&["127.0.0.1"]));
    assert_eq!(stage.name("localhost", Family::V6).0, addresses(&["::1"]));
    assert_eq!(stage.script.lookups(), Vec::<String>::new());
    assert_eq!(stage.open("127.0.0.1:22", Said::Nothing), refused(Reason::PortNotGranted));
}
