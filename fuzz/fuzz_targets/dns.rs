//! A packet to port 53, and the answer to it.
//!
//! The last four bytes of an input say what is answered: how many addresses of either family, how, and how large the
//! answer may be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::egress::DnsName;
use mcpjail::egress::dns::{self, Asked, Fault, Query, Rcode, TCP_LIMIT};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RCODES: [Rcode; 7] =
    [Rcode::NoError, Rcode::FormErr, Rcode::ServFail, Rcode::NxDomain, Rcode::NotImp, Rcode::Refused, Rcode::BadVers];
const A: u16 = 1;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const ANY: u16 = 255;

fuzz_target!(|input: &[u8]| {
    let Some((packet, &[four, six, how, size])) = input.split_last_chunk() else { return };
    match dns::query(packet) {
        Ok(query) => {
            asked(packet, &query);
            let four = (0..four).map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
            let six = (0..six).map(|last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())));
            let addresses: Vec<IpAddr> = if how < 0x80 { four.chain(six).collect() } else { six.chain(four).collect() };
            let rcode = RCODES[usize::from(how % 0x80) % RCODES.len()];
            let limit = if size == 0 { TCP_LIMIT } else { query.udp_limit().min(usize::from(size) * 16).max(512) };
            answer(packet, &query, rcode, &addresses, limit);
        }
        Err(Fault { reply }) => {
            let silent = packet.len() < 12 || packet[2] & 0x80 != 0;
            assert_eq!(reply.is_none(), silent, "responses and scraps get no reply, all else does");
            let Some(reply) = reply else { return };
            let seen = read(&reply).expect("a reply that can be read");
            assert_eq!(seen.id, packet[..2]);
            assert!(seen.flags & 0x8000 != 0 && seen.records.iter().all(|record| record.kind == OPT));
            assert!(seen.flags & 15 != 0 || seen.records[0].ttl >> 24 == 1, "it says what is wrong");
            assert!(packet[12..].starts_with(&seen.question));
            assert_eq!(dns::query(&reply), Err(Fault { reply: None }), "two of them do not talk for ever");
        }
    }
});

/// What was read of a question is what is in it: written anew it is the same.
fn asked(packet: &[u8], query: &Query) {
    let labels: Vec<Vec<u8>> = match &query.asked {
        Asked::Name(name) => name.as_str().split('.').map(|label| label.as_bytes().to_vec()).collect(),
        Asked::Invalid(text) => {
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= 1012, "{text}");
            unescaped(text)
        }
    };
    let mut wire: Vec<u8> =
        labels.iter().flat_map(|label| [&[u8::try_from(label.len()).unwrap()], &label[..]].concat()).collect();
    wire.push(0);
    assert!(wire.len() <= 255);
    let (name, rest) = packet[12..].split_at(wire.len());
    assert!(name.eq_ignore_ascii_case(&wire), "{:?}", query.asked);
    if let Asked::Invalid(text) = &query.asked {
        assert_eq!(name, wire, "shown as it is");
        let host = labels.iter().flatten().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        assert!(!host || DnsName::parse(text).is_err(), "{text}");
    }
    let [kind, more_kind, class, more_class, rest @ ..] = rest else { panic!("a type and a class") };
    assert_eq!([query.kind, query.class], [[*kind, *more_kind], [*class, *more_class]].map(u16::from_be_bytes));
    assert_eq!(packet[4..10], [0, 1, 0, 0, 0, 0]);

    // Additional records, of which one may be an OPT.
    let mut rest = rest;
    let mut size = 512;
    for _ in 0..u16::from_be_bytes([packet[10], packet[11]]) {
        let mut root = true;
        while !matches!(rest[0], 0 | 0xc0..) {
            rest = &rest[1 + usize::from(rest[0])..];
            root = false;
        }
        rest = &rest[if rest[0] == 0 { 1 } else { 2 }..];
        if rest[..2] == OPT.to_be_bytes() {
            assert!(root && rest[5] == 0, "of the root, and of the version that is known");
            size = u16::from_be_bytes([rest[2], rest[3]]).clamp(512, 1232);
        }
        rest = &rest[10 + usize::from(u16::from_be_bytes([rest[8], rest[9]]))..];
    }
    assert!(rest.is_empty());
    assert_eq!(query.udp_limit(), usize::from(size));
}

/// The labels of a name as it is shown.
fn unescaped(text: &str) -> Vec<Vec<u8>> {
    if text == "." {
        return vec![];
    }
    let mut labels = vec![vec![]];
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => labels.push(vec![]),
            b'\\' => {
                let next = bytes.next().expect("what is escaped");
                let byte = if next.is_ascii_digit() {
                    let digits = [next, bytes.next().unwrap(), bytes.next().unwrap()];
                    str::from_utf8(&digits).unwrap().parse().expect("three digits")
                } else {
                    next
                };
                labels.last_mut().unwrap().push(byte);
            }
            byte => labels.last_mut().unwrap().push(byte),
        }
    }
    labels
}

/// An answer says what it is to say, and nothing else, within the limit.
fn answer(packet: &[u8], query: &Query, rcode: Rcode, addresses: &[IpAddr], limit: usize) {
    let mut reply = b"before".to_vec();
    dns::respond(query, rcode, addresses, 60, limit, &mut reply);
    let reply = reply.strip_prefix(b"before").expect("it is appended");
    assert!(reply.len() <= limit);
    let seen = read(reply).expect("an answer that can be read");
    assert_eq!(seen.id, packet[..2]);
    assert!(!seen.question.is_empty() && packet[12..].starts_with(&seen.question), "with the same case");
    assert_eq!(seen.flags & 0xf9f0, 0x8080 | u16::from(packet[2] & 1) << 8 | u16::from(packet[3] & 0x10));

    let number = RCODES.iter().position(|other| *other == rcode).expect("one of them") % 6;
    assert_eq!(usize::from(seen.flags & 15), number);
    let of_kind = |record: &&Record| matches!(record.kind, A | AAAA);
    let answers: Vec<IpAddr> = seen.records.iter().filter(of_kind).map(|record| record.address()).collect();
    let wanted: Vec<IpAddr> = addresses
        .iter()
        .copied()
        .filter(|address| {
            rcode == Rcode::NoError
                && matches!((query.kind, address), (A, IpAddr::V4(_)) | (AAAA, IpAddr::V6(_)) | (ANY, _))
        })
        .collect();
    assert!(wanted.starts_with(&answers));
    let missing = wanted.len() - answers.len();
    assert_eq!(seen.flags & 0x0200 != 0, missing > 0, "what is missing is said to be missing");
    let next = wanted.get(answers.len()).map_or(limit, |address| if address.is_ipv4() { 16 } else { 28 });
    assert!(reply.len() + next > limit, "nothing is missing that would fit");
    let soas: Vec<u32> = seen.records.iter().filter(|record| record.kind == SOA).map(|record| record.ttl).collect();
    let negative = rcode == Rcode::NxDomain || rcode == Rcode::NoError && wanted.is_empty();
    assert_eq!(soas, [60][..usize::from(negative)]);
    let opts: Vec<&Record> = seen.records.iter().filter(|record| record.kind == OPT).collect();
    assert!(opts.len() <= 1 && (opts.is_empty() || packet[11] > 0 || packet[10] > 0));
    assert!(opts.iter().all(|opt| (opt.ttl >> 24 == 1) == (rcode == Rcode::BadVers)));
    assert_eq!(seen.records.len(), answers.len() + soas.len() + opts.len());
    assert!(!opts.is_empty() || query.udp_limit() == 512, "who says what it takes is told the same");
    assert_eq!(dns::query(reply), Err(Fault { reply: None }));
}

struct Seen {
    id: [u8; 2],
    flags: u16,
    question: Vec<u8>,
    records: Vec<Record>,
}

struct Record {
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

impl Record {
    fn address(&self) -> IpAddr {
        match <[u8; 4]>::try_from(&self.data[..]) {
            Ok(four) => four.into(),
            Err(_) => <[u8; 16]>::try_from(&self.data[..]).expect("an address").into(),
        }
    }
}

/// Reads a whole message, in which a name is the root or a pointer to the question.
fn read(message: &[u8]) -> Option<Seen> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let mut at = 12;
    for _ in 0..number(4)? {
        while *message.get(at)? != 0 {
            at += usize::from(message[at]) + 1;
        }
        at += 5;
    }
    let question = message.get(12..at)?.to_vec();
    let mut records = vec![];
    for _ in 0..number(6)? + number(8)? + number(10)? {
        let kind = if message.get(at)? == &0 {
            at += 1;
            number(at)?
        } else {
            assert!(number(at)? == 0xc00c && !question.is_empty());
            at += 2;
            number(at).filter(|kind| [A, AAAA].contains(kind))?
        };
        let ttl = u32::from(number(at + 4)?) << 16 | u32::from(number(at + 6)?);
        let end = at + 10 + usize::from(number(at + 8)?);
        records.push(Record { kind, ttl, data: message.get(at + 10..end)?.to_vec() });
        at = end;
    }
    (at == message.len()).then(|| Seen { id: [message[0], message[1]], flags: number(2).unwrap(), question, records })
}
