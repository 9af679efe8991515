use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the resolver of glibc sent, with `options edns0 trust-ad`, for the A records of `both.test.example`.
const GLIBC: &[u8] =
    b"\xf8\xdc\x01\x20\0\x01\0\0\0\0\0\x01\x04both\x04test\x07example\0\0\x01\0\x01\0\0\x29\x04\xb0\0\0\0\0\0\0";
/// What the resolver of musl sent for the AAAA records of `big.test.example`.
const MUSL: &[u8] = b"\xdd\xb6\x01\0\0\x01\0\0\0\0\0\0\x03big\x04test\x07example\0\0\x1c\0\x01";

const OPTION: &[u8] = b"\0\x0a\0\x08cookies!";

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn wire(labels: &[&[u8]]) -> Vec<u8> {
    let mut name: Vec<u8> =
        labels.iter().flat_map(|label| [&[u8::try_from(label.len()).unwrap()], *label].concat()).collect();
    name.push(0);
    name
}

fn example() -> Vec<u8> {
    wire(&[b"a", b"example"])
}

/// A query with this name, type and class, and `additional` records.
fn packet(name: &[u8], kind: u16, class: u16, additional: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(additional.len()).unwrap();
    let header = numbers(&[0x1234, 0x0100, 1, 0, 0, count]);
    [header, name.to_vec(), numbers(&[kind, class]), additional.concat()].concat()
}

fn opt(size: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(options.len()).unwrap();
    [&[0][..], &numbers(&[41, size, version.into(), flags, length]), options].concat()
}

fn asked(labels: &[&[u8]]) -> Asked {
    query(&packet(&wire(labels), 1, 1, &[])).unwrap().asked
}

fn invalid(text: &str) -> Asked {
    Asked::Invalid(text.into())
}

/// What a reader that knows nothing of the writer sees in an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    /// Type, time to live and data.
    answers: Vec<(u16, u32, Vec<u8>)>,
    soa: Option<u32>,
    /// Size, upper bits of the rcode, version, flags.
    opt: Option<(u16, u8, u8, u16)>,
}

fn seen(reply: &[u8]) -> Seen {
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let mut at = 12;
    if number(4) == 1 {
        while reply[at] != 0 {
            at += usize::from(reply[at]) + 1;
        }
        at += 5;
    }
    let question = reply[12..at].to_vec();
    let mut answers = vec![];
    for _ in 0..number(6) {
        assert_eq!((number(at), number(at + 4)), (0xc00c, 1), "a pointer to the question; class");
        let length = usize::from(number(at + 10));
        let ttl = u32::from(number(at + 6)) << 16 | u32::from(number(at + 8));
        answers.push((number(at + 2), ttl, reply[at + 12..at + 12 + length].to_vec()));
        at += 12 + length;
    }
    let soa = (number(8) == 1).then(|| {
        let ttl = u32::from(number(at + 5)) << 16 | u32::from(number(at + 7));
        assert_eq!(reply[at..at + 5], [0, 0, 6, 0, 1], "of the root");
        assert_eq!((number(at + 9), number(at + 11)), (22, 0), "two roots");
        assert_eq!(reply[at + 29..at + 33], ttl.to_be_bytes(), "the time for what is not there");
        at += 33;
        ttl
    });
    let opt = (number(10) == 1).then(|| {
        assert_eq!((reply[at], number(at + 1), number(at + 9)), (0, 41, 0));
        at += 11;
        (number(at - 8), reply[at - 6], reply[at - 5], number(at - 4))
    });
    assert_eq!(at, reply.len(), "and nothing else");
    Seen { id: number(0), flags: number(2), question, answers, soa, opt }
}

fn answered(packet: &[u8], rcode: Rcode, addresses: &[IpAddr]) -> Seen {
    let query = query(packet).unwrap();
    let mut reply = vec![];
    respond(&query, rcode, addresses, 60, query.udp_limit(), &mut reply);
    seen(&reply)
}

/// The reply to what is no question to look into.
fn refused(packet: &[u8]) -> Seen {
    seen(&query(packet).unwrap_err().reply.expect("a reply"))
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

#[test]
fn answers_what_resolvers_send() {
    let both = query(GLIBC).unwrap();
    assert_eq!((both.id, both.kind, both.class), (0xf8dc, 1, 1));
    assert_eq!(both.asked, Asked::Name(DnsName::parse("both.test.example").unwrap()));
    assert_eq!((both.udp_limit(), both.family()), (1200, Family::V4));
    let answer = answered(GLIBC, Rcode::NoError, &[v4(1), v4(2), v6(1)]);
    assert_eq!(answer.flags, 0x8580, "a response of an authority, recursion desired and available, not checked");
    assert_eq!(answer.question, &GLIBC[12..35]);
    assert_eq!(answer.answers, [(1, 60, vec![192, 0, 2, 1]), (1, 60, vec![192, 0, 2, 2])]);
    assert_eq!((answer.soa, answer.opt), (None, Some((1232, 0, 0, 0))));

    let big = query(MUSL).unwrap();
    assert_eq!((big.udp_limit(), big.family()), (512, Family::V6));
    let answer = answered(MUSL, Rcode::NoError, &[v4(1), v6(7)]);
    let IpAddr::V6(address) = v6(7) else { unreachable!() };
    assert_eq!(answer.answers, [(28, 60, address.octets().to_vec())]);
    assert_eq!((answer.id, answer.question, answer.opt), (0xddb6, MUSL[12..].to_vec(), None));
}

#[test]
fn gives_the_question_back_as_it_came() {
    let name = wire(&[b"wWw", b"ExAmPlE"]);
    let packet = packet(&name, 1, 1, &[]);
    assert_eq!(query(&packet).unwrap().asked, Asked::Name(DnsName::parse("www.example").unwrap()));
    assert_eq!(answered(&packet, Rcode::NxDomain, &[]).question, [name, numbers(&[1, 1])].concat());
}

#[test]
fn says_nothing_to_responses_and_scraps() {
    let mut packet = packet(&example(), 1, 1, &[]);
    for length in 0..12 {
        assert_eq!(query(&packet[..length]), Err(Fault { reply: None }), "{length}");
    }
    for flags in [0x80, 0x81, 0xa8, 0xff] {
        packet[2] = flags;
        assert_eq!(query(&packet), Err(Fault { reply: None }));
        assert_eq!(query(&packet[..12]), Err(Fault { reply: None }), "nor to a broken one");
    }
    let mut reply = vec![];
    respond(&query(GLIBC).unwrap(), Rcode::NoError, &[v4(1)], 60, 512, &mut reply);
    assert_eq!(query(&reply), Err(Fault { reply: None }), "nor to an answer of its own");
    let fault = query(&GLIBC[..20]).unwrap_err().reply.unwrap();
    assert_eq!(query(&fault), Err(Fault { reply: None }), "nor to a fault of its own");
}

#[test]
fn refuses_what_is_no_query() {
    let mut packet = packet(&example(), 1, 1, &[]);
    for opcode in 1..16 {
        packet[2] = opcode << 3 | 1;
        let reply = refused(&packet);
        assert_eq!(reply.flags, 0x8184 | u16::from(opcode) << 11);
        assert_eq!((reply.id, reply.question), (0x1234, vec![]));
    }
}

#[test]
fn takes_one_question_and_nothing_else() {
    let good = packet(&example(), 1, 1, &[]);
    for (at, count) in [(5, 0), (5, 2), (4, 1), (7, 1), (6, 1), (9, 1), (8, 1), (11, 1), (11, 255), (10, 255)] {
        let mut packet = good.clone();
        packet[at] = count;
        assert_eq!(refused(&packet).flags, 0x8181, "{count} at {at}");
    }
    let twice = [&numbers(&[1, 0, 2, 0, 0, 0])[..], &good[12..], &good[12..]].concat();
    assert_eq!(refused(&twice).flags, 0x8081);
    for length in 12..good.len() {
        assert_eq!(refused(&good[..length]).flags, 0x8181, "{length}");
    }
    assert_eq!(refused(&[&good[..], &[0]].concat()).flags, 0x8181, "more bytes");
    assert_eq!(refused(&[&good[..], &opt(512, 0, 0, &[])].concat()).flags, 0x8181, "a record that is not counted");
}

#[test]
fn follows_no_pointers() {
    for name in [&[0xc0, 12][..], &[0xc0, 0], &[0xff, 0xff], b"\x01a\xc0\x0c", b"\x01a\xc0\xff", b"\xc0\x0e\0"] {
        let reply = refused(&packet(name, 1, 1, &[]));
        assert_eq!((reply.flags, reply.question), (0x8181, vec![]), "{name:?}");
    }
    for kind in [64, 0x41, 0x7f, 0x80, 0xbf] {
        assert_eq!(refused(&packet(&[&[kind][..], &[0; 300]].concat(), 1, 1, &[])).flags, 0x8181);
    }
}

#[test]
fn names_have_limits() {
    let long = [b'a'; 63];
    // 253 characters, 255 bytes.
    let longest: [&[u8]; 4] = [&long, &long, &long, &long[..61]];
    let Asked::Name(name) = asked(&longest) else { panic!("a name") };
    assert_eq!(name.as_str().len(), 253);
    let name = wire(&[&long, &long, &long, &long[..62]]);
    assert_eq!(name.len(), 256);
    assert_eq!(refused(&packet(&name, 1, 1, &[])).flags, 0x8181);
    assert!(matches!(asked(&[&b"a"[..]; 127]), Asked::Name(_)), "many labels");
    assert_eq!(refused(&packet(&wire(&[&b"a"[..]; 128]), 1, 1, &[])).flags, 0x8181);
    let mut endless = packet(&[1; 9000], 1, 1, &[]);
    endless[12] = 1;
    assert_eq!(refused(&endless).flags, 0x8181);
}

#[test]
fn shows_what_is_no_host_name() {
    assert_eq!(asked(&[]), invalid("."));
    assert_eq!(asked(&[b"127", b"0", b"0", b"1"]), invalid("127.0.0.1"));
    assert_eq!(asked(&[b"0x7f000001"]), invalid("0x7f000001"));
    assert_eq!(asked(&[b"evil\0", b"a", b"example"]), invalid("evil\\000.a.example"));
    assert_eq!(asked(&[b"a.example"]), invalid("a\\.example"), "a dot is not the end of a label");
    assert_eq!(asked(&[b"a", b"example."]), invalid("a.example\\."));
    assert_eq!(asked(&[b"a\\", b"example"]), invalid("a\\\\.example"));
    assert_eq!(asked(&["ä".as_bytes(), b"example"]), invalid("\\195\\164.example"));
    assert_eq!(asked(&[b"\x1b[31m \n\x7f"]), invalid("\\027[31m\\032\\010\\127"));
    assert_eq!(asked(&[b"*", b"example"]), invalid("*.example"));
    assert_eq!(asked(&[b"%00", b"example"]), invalid("%00.example"));
    assert_eq!(asked(&[b"_sip", b"_tcp", b"Example"]), Asked::Name(DnsName::parse("_sip._tcp.example").unwrap()));
    let Asked::Invalid(text) = asked(&[&[255; 63], &[255; 63], &[255; 63], &[255; 61]]) else { panic!("no name") };
    assert_eq!(text.len(), 250 * 4 + 3);
}

#[test]
fn types_and_classes() {
    let flags = |kind, class| refused(&packet(&example(), kind, class, &[])).flags;
    for transfer in [128, 249, 250, 251, 252, 253, 254] {
        assert_eq!(flags(transfer, 1), 0x8184, "{transfer}");
    }
    assert_eq!((flags(0, 1), flags(41, 1), flags(41, 3)), (0x8181, 0x8181, 0x8181));
    for class in [0, 2, 3, 4, 254, 256] {
        assert_eq!(flags(1, class), 0x8185, "{class}");
    }
    assert_eq!(refused(&packet(&example(), 252, 1, &[])).question, [example(), numbers(&[252, 1])].concat());
    for (kind, family) in
        [(1, Family::V4), (28, Family::V6), (255, Family::V4), (16, Family::Neither), (65, Family::Neither)]
    {
        assert_eq!(query(&packet(&example(), kind, 1, &[])).unwrap().family(), family);
        assert_eq!(query(&packet(&example(), kind, 255, &[])).unwrap().family(), family);
    }
    for kind in [2, 12, 33, 64, 65, 127, 256, 257, 65535] {
        let answer = answered(&packet(&example(), kind, 1, &[]), Rcode::NoError, &[v4(1), v6(1)]);
        assert_eq!((answer.answers, answer.soa), (vec![], Some(60)), "{kind}");
    }
    let any = answered(&packet(&example(), 255, 255, &[]), Rcode::NoError, &[v4(1), v6(1)]);
    assert_eq!(any.answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [1, 28]);
}

#[test]
fn edns() {
    let with = |records: &[Vec<u8>]| packet(&example(), 1, 1, records);
    for (size, limit) in [(0, 512), (511, 512), (512, 512), (513, 513), (1232, 1232), (1233, 1232), (65535, 1232)] {
        assert_eq!(query(&with(&[opt(size, 0, 0, &[])])).unwrap().udp_limit(), limit);
    }
    let answer = answered(&with(&[opt(4096, 0, 0xffff, OPTION)]), Rcode::NxDomain, &[]);
    assert_eq!((answer.flags & 15, answer.opt), (3, Some((1232, 0, 0, 0x8000))), "of the flags only the known one");
    for version in [1, 255] {
        let reply = refused(&with(&[opt(4096, version, 0, &[])]));
        assert_eq!((reply.flags & 15, reply.opt), (0, Some((1232, 1, 0, 0))), "{version}");
        assert_eq!(reply.question, [example(), numbers(&[1, 1])].concat());
    }

    let one = opt(1232, 0, 0, &[]);
    let other = [&example()[..], &numbers(&[250, 255, 0, 0, 2, 7])].concat();
    assert!(query(&with(&[other.clone(), one.clone()])).unwrap().edns.is_some(), "after another record");
    assert!(query(&with(&[one.clone(), other])).unwrap().edns.is_some());
    assert!(query(&with(&[[&[0xc0, 12][..], &numbers(&[1, 1, 0, 0, 0])].concat()])).unwrap().edns.is_none());
    for (wrong, why) in [
        (vec![one.clone(), one.clone()], "two"),
        (vec![opt(1232, 1, 0, &[]), one.clone()], "two, of which one is unknown"),
        (vec![[&b"\x01a"[..], &one].concat()], "not of the root"),
        (vec![[&[0xc0, 12][..], &one[1..]].concat()], "a pointer for its name"),
        (vec![opt(1232, 0, 0, &OPTION[..11])], "an option that is cut off"),
        (vec![opt(1232, 0, 0, &[0, 10])], "an option without length"),
        (vec![opt(1232, 0, 0, &[0])], "half a number"),
        (vec![[&one[..9], &[0, 1]].concat()], "a length that lies"),
        (vec![one[..10].to_vec()], "no length"),
        (vec![[&[0x41, 0][..], &one[1..]].concat()], "a label of no known kind"),
        (vec![one.clone(), vec![]], "one that is not there"),
    ] {
        let reply = refused(&with(&wrong));
        assert_eq!((reply.flags & 15, reply.opt), (1, None), "{why}");
    }
}

#[test]
fn answers_without_records() {
    let packet = packet(&example(), 28, 1, &[]);
    let nothing = answered(&packet, Rcode::NoError, &[v4(1)]);
    assert_eq!((nothing.flags, nothing.answers, nothing.soa), (0x8580, vec![], Some(60)));
    let nobody = answered(&packet, Rcode::NxDomain, &[v6(1)]);
    assert_eq!((nobody.flags, nobody.answers, nobody.soa), (0x8583, vec![], Some(60)), "no address of nobody");
    for (rcode, flags) in
        [(Rcode::ServFail, 0x8182), (Rcode::Refused, 0x8185), (Rcode::FormErr, 0x8181), (Rcode::NotImp, 0x8184)]
    {
        let failed = answered(&packet, rcode, &[v6(1)]);
        assert_eq!((failed.flags, failed.answers, failed.soa), (flags, vec![], None));
    }
}

#[test]
fn flags_of_the_question() {
    for (asked, answered_flags) in [(0x0000, 0x8480), (0x0100, 0x8580), (0x0110, 0x8590), (0x07f0, 0x8590)] {
        let mut packet = packet(&example(), 1, 1, &[]);
        packet[2..4].copy_from_slice(&u16::to_be_bytes(asked));
        assert_eq!(answered(&packet, Rcode::NoError, &[v4(1)]).flags, answered_flags, "{asked:x}");
    }
}

#[test]
fn leaves_out_what_does_not_fit() {
    let four: Vec<_> = (0..=255).map(v4).collect();
    let six: Vec<_> = (0..3000).map(v6).collect();
    let reply = |packet: &[u8], addresses: &[IpAddr], limit| {
        let mut reply = vec![];
        respond(&query(packet).unwrap(), Rcode::NoError, addresses, 60, limit, &mut reply);
        assert!(reply.len() <= limit);
        (reply.len(), seen(&reply))
    };
    // Header and question have 27 bytes, OPT 11, records 16 or 28.
    let plain = packet(&example(), 1, 1, &[]);
    assert_eq!(reply(&plain, &four[..30], 512).0, 27 + 30 * 16);
    assert_eq!(reply(&plain, &four[..30], 512).1.flags, 0x8580);
    let (length, answer) = reply(&plain, &four[..31], 512);
    assert_eq!((length, answer.flags, answer.answers.len()), (27 + 30 * 16, 0x8780, 30));
    let with = packet(&example(), 28, 1, &[opt(600, 0, 0, &[])]);
    let (length, answer) = reply(&with, &six[..21], 600);
    assert_eq!((length, answer.flags, answer.opt.is_some()), (38 + 20 * 28, 0x8780, true));
    assert_eq!(reply(&with, &six[..21], 27 + 11 + 21 * 28).1.flags, 0x8580, "just fits");
    assert_eq!(reply(&with, &six[..21], 27 + 11 + 21 * 28 - 1).1.flags, 0x8780, "just does not");
    assert_eq!(reply(&with, &six[..2338], TCP_LIMIT).1.flags, 0x8580);
    assert_eq!(reply(&with, &six, TCP_LIMIT).1.answers.len(), 2339);
    assert_eq!(reply(&with, &six, TCP_LIMIT).1.flags, 0x8780);
    assert_eq!(reply(&plain, &six, 512).1.flags, 0x8580, "of what is not asked for nothing is missing");
}

#[test]
fn bounds_what_callers_say() {
    let query = query(GLIBC).unwrap();
    let mut reply = b"before".to_vec();
    respond(&query, Rcode::NoError, &[v4(1)], u32::MAX, 0, &mut reply);
    assert!(reply.starts_with(b"before"));
    let answer = seen(&reply[6..]);
    assert_eq!(answer.answers, [(1, 0x7fff_ffff, vec![192, 0, 2, 1])]);
    let mut reply = vec![];
    respond(&query, Rcode::NoError, &[v4(1); 9000], 1, usize::MAX, &mut reply);
    assert!(reply.len() <= TCP_LIMIT && seen(&reply).flags & 0x0200 != 0);
}

#[test]
fn every_answer_without_records_fits() {
    let name = wire(&[&[b'a'; 63], &[b'a'; 63], &[b'a'; 63], &[b'a'; 61]]);
    let query = query(&packet(&name, 1, 1, &[opt(0, 0, 0x8000, &[])])).unwrap();
    let mut reply = vec![];
    respond(&query, Rcode::NxDomain, &[], 60, 512, &mut reply);
    assert_eq!(reply.len(), 12 + 259 + 33 + 11);
}

proptest! {
    #[test]
    fn any_packet_is_answered_or_not(
        head in prop::sample::select(vec![vec![], vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], GLIBC[..20].to_vec()]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let packet = [head, rest].concat();
        let reply = match query(&packet) {
            Ok(query) => {
                let mut reply = vec![];
                respond(&query, Rcode::NoError, &[v4(1), v6(1)], 60, query.udp_limit(), &mut reply);
                Some(reply)
            }
            Err(fault) => fault.reply,
        };
        prop_assert_eq!(reply.is_none(), packet.len() < 12 || packet[2] & 0x80 != 0);
        if let Some(reply) = reply {
            let seen = seen(&reply);
            prop_assert_eq!(&reply[..2], &packet[..2]);
            prop_assert!(seen.flags & 0x8000 != 0 && packet[12..].starts_with(&seen.question));
        }
    }

    #[test]
    fn a_name_is_what_its_labels_say(labels in prop::collection::vec("[a-zA-Z0-9_-]{1,30}|[ -~]{1,10}", 0..8)) {
        let wire = wire(&labels.iter().map(|label| label.as_bytes()).collect::<Vec<_>>());
        let query = query(&packet(&wire, 1, 1, &[])).unwrap();
        let text = labels.join(".");
        let whole = labels.iter().all(|label| !label.contains('.'));
        match query.asked {
            Asked::Name(name) => prop_assert!(whole && DnsName::parse(&text).unwrap() == name),
            Asked::Invalid(shown) => {
                prop_assert!(!whole || DnsName::parse(&text).is_err(), "{}", text);
                prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
