use super::*;
use proptest::prelude::*;

fn named(name: &str) -> Hello {
    Hello::Named(DnsName::parse(name).unwrap())
}

fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn record(content: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector16(content)].concat()
}

/// A message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(record).collect()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn entry(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind][..], &vector16(name)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&entry(0, name)))
}

/// A body without extensions, if only the version, session and so on are to be odd.
fn body_of(version: [u8; 2], session: &[u8], ciphers: &[u8], compressions: &[u8]) -> Vec<u8> {
    [&version[..], &[0xab; 32], &vector8(session), &vector16(ciphers), &vector8(compressions)].concat()
}

fn plain() -> Vec<u8> {
    body_of([3, 3], &[7; 32], &[0x13, 0x01, 0xc0, 0x2b], &[0])
}

/// A whole message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    handshake(1, &[plain(), vector16(extensions)].concat())
}

fn for_name(name: &[u8]) -> Vec<u8> {
    message(&[extension(0x2a2a, &[]), server_name(name), extension(0x3a3a, &[0xee; 9])].concat())
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// What is said in the end, if a reader that gets the bytes one by one always says what one says that sees them for the
/// first time, and nothing follows an answer but the same answer.
fn everyhow(bytes: &[u8]) -> Hello {
    let mut reader = HelloReader::default();
    let mut answer = Hello::Incomplete;
    for end in 0..=bytes.len() {
        let now = reader.read(&bytes[..end]);
        assert!(answer == Hello::Incomplete || answer == now, "{answer:?} became {now:?} with {end} bytes");
        assert_eq!(client_hello(&bytes[..end]), now, "at {end}");
        answer = now;
    }
    answer
}

#[test]
fn reads_what_clients_send() {
    for hex in [captured::CHROME, captured::CURL, captured::PYTHON, captured::NODE, captured::JAVA, captured::GO] {
        assert_eq!(everyhow(&bytes(hex)), named("api.github.com"), "{hex:.60}");
    }
    assert_eq!(everyhow(&bytes(captured::OPENSSL)), named("api.github.com"), "in lower case");
    assert_eq!(everyhow(&bytes(captured::NAMELESS)), Hello::Nameless);
    assert!(bytes(captured::CHROME).len() > 1500, "a key share that takes more than one segment");
}

#[test]
fn says_nothing_before_the_last_byte() {
    for hex in [captured::CHROME, captured::NAMELESS] {
        let bytes = bytes(hex);
        assert_eq!(client_hello(&bytes[..bytes.len() - 1]), Hello::Incomplete);
    }
}

#[test]
fn reads_over_many_records() {
    for size in [1, 2, 3, 4, 5, 50, 123] {
        assert_eq!(everyhow(&records(&for_name(b"a.example"), size)), named("a.example"), "{size}");
        assert_eq!(everyhow(&records(&bytes(captured::CHROME)[5..], size)), named("api.github.com"), "{size}");
    }
}

#[test]
fn what_follows_the_hello_is_not_looked_at() {
    let hello = record(&for_name(b"a.example"));
    for next in [&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 1, 0], &record(&for_name(b"b.example")), b"GET /"] {
        assert_eq!(everyhow(&[&hello, next].concat()), named("a.example"));
    }
}

#[test]
fn refuses_more_than_one_message() {
    let one = for_name(b"a.example");
    for rest in [&[0][..], &handshake(0, &[]), &for_name(b"b.example"), &one] {
        assert_eq!(everyhow(&record(&[&one, rest].concat())), Hello::Malformed);
        let (early, late) = one.split_at(20);
        let last = [late, rest].concat();
        assert_eq!(everyhow(&[record(early), record(&last)].concat()), Hello::Malformed);
    }
}

#[test]
fn refuses_bytes_after_the_body() {
    let body = [plain(), vector16(&server_name(b"a.example"))].concat();
    assert_eq!(everyhow(&record(&handshake(1, &body))), named("a.example"));
    for rest in [&[0][..], &[0, 0], &server_name(b"b.example")] {
        assert_eq!(everyhow(&record(&handshake(1, &[&body, rest].concat()))), Hello::Malformed);
        assert_eq!(everyhow(&record(&handshake(1, &[&plain()[..], &[0, 0], rest].concat()))), Hello::Malformed);
    }
}

#[test]
fn refuses_other_records_in_between() {
    let hello = for_name(b"a.example");
    let empty: &[u8] = &[22, 3, 1, 0, 0];
    let others: [&[u8]; 7] = [
        empty,
        &[20, 3, 1, 0, 1, 1],
        &[21, 3, 1, 0, 2, 1, 90],
        &[23, 3, 1, 0, 1, 0],
        &[24, 3, 1, 0, 3, 1, 0, 0],
        &[0x80, 46, 1, 3, 1],
        b"GET / HTTP/1.1\r\n",
    ];
    for other in others {
        for at in [1, 3, 4, 60, hello.len() - 1] {
            let (early, late) = hello.split_at(at);
            assert_eq!(everyhow(&[&record(early), other, &record(late)].concat()), Hello::Malformed, "{other:?} {at}");
        }
    }
}

#[test]
fn a_beginning_that_some_servers_skip_is_malformed() {
    let hello = record(&for_name(b"a.example"));
    let beginnings: [&[u8]; 6] = [
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0, 0, 22, 3, 1, 0, 0],
        &[21, 3, 1, 0, 2, 1, 90],
        &[21, 3, 1, 0, 1, 1, 21, 3, 1, 0, 1, 90],
        &[21, 2, 0, 0, 2, 1, 90],
        &[20, 3, 3, 0, 1, 1],
    ];
    for beginning in beginnings {
        assert_eq!(everyhow(&[beginning, &hello].concat()), Hello::Malformed, "{beginning:?}");
    }
}

#[test]
fn versions_of_the_record_layer() {
    let mut hello = record(&for_name(b"a.example"));
    for (version, expected) in [
        ([3, 1], named("a.example")),
        ([3, 2], named("a.example")),
        ([3, 3], named("a.example")),
        ([3, 0], Hello::Malformed),
        ([3, 4], Hello::Malformed),
        ([3, 255], Hello::Malformed),
        ([0, 0], Hello::Malformed),
        ([2, 0], Hello::Malformed),
        ([0x0f, 0xff], Hello::Malformed),
        ([0xfe, 0xfd], Hello::Malformed),
        ([255, 255], Hello::Malformed),
    ] {
        hello[1..3].copy_from_slice(&version);
        assert_eq!(everyhow(&hello), expected, "{version:?}");
    }
}

#[test]
fn the_format_of_ssl_2_is_malformed() {
    let hello: &[u8] = &[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10];
    assert_eq!(everyhow(hello), Hello::Malformed);
    assert_eq!(everyhow(&[0x80, 0x2e, 1, 0, 2]), Hello::Malformed);
    assert_eq!(everyhow(&[0xff, 0xff, 1]), Hello::Malformed);
}

#[test]
fn other_protocols_are_not_tls() {
    for first in [
        &b"G"[..],
        b"S",
        b"*",
        b"\r",
        // Postgres asks for TLS, a client of MySQL answers, a telnet client negotiates.
        &[0],
        &[0x20],
        &[0xff, 0xfd, 3],
        // Thrift.
        &[0x80, 1, 0],
        // MongoDB: the length is 22, 278 or 790, in little endian, then the number of the request.
        &[22, 0, 0, 0, 1, 0],
        &[22, 1, 0, 0, 7, 0],
        &[22, 3, 0, 0, 7, 0],
        &[21, 1, 0, 0, 2, 0],
        &[20, 1, 0, 0, 1, 0],
        &[23],
        &[24],
        // DTLS, which is not spoken over TCP.
        &[22, 0xfe, 0xfd, 0, 0, 0],
        // Records in which no server expects a connection to begin.
        &[22, 3, 1, 0, 4, 0],
        &[22, 3, 3, 0, 4, 2],
        &[21, 3, 1, 0, 2, 0],
        &[20, 3, 1, 0, 2, 1],
    ] {
        assert_eq!(everyhow(first), Hello::NotTls, "{first:?}");
        assert_eq!(client_hello(&first[..first.len() - 1]), Hello::Incomplete, "{first:?} earlier");
    }
}

#[test]
fn names_that_are_none_are_malformed() {
    let long = [&b"a.".repeat(126)[..], b"aa"].concat();
    for name in [
        &b""[..],
        b".",
        b"a.example\0",
        b"evil.example\0.a.example",
        b"\0",
        b"a.example.",
        b"a..example",
        b".a.example",
        b"192.0.2.1",
        b"0x7f000001",
        b"127.1",
        b"2001:db8::1",
        b"[2001:db8::1]",
        b"a.example:443",
        b"*.example",
        b"a%2eexample",
        b"user@a.example",
        b"a.example/",
        b" a.example",
        b"a.example\n",
        "ä.example".as_bytes(),
        &[0xff, 0xfe],
        b"a.example,b.example",
        &long,
        &[b'a'; 64],
    ] {
        let shown = String::from_utf8_lossy(name);
        assert_eq!(everyhow(&record(&for_name(name))), Hello::Malformed, "{shown}");
    }
    assert_eq!(everyhow(&record(&for_name(&long[1..]))), Hello::Malformed, "an empty label");
    assert_eq!(client_hello(&record(&for_name(&long[2..]))), named(str::from_utf8(&long[2..]).unwrap()));
    assert_eq!(client_hello(&record(&for_name(b"XN--4CA.Example"))), named("xn--4ca.example"));
}

#[test]
fn more_than_one_name_is_malformed() {
    let (a, b) = (entry(0, b"a.example"), entry(0, b"b.example"));
    for data in [
        vector16(&[&a[..], &b].concat()),
        vector16(&[&a[..], &a].concat()),
        vector16(&entry(1, b"a.example")),
        vector16(&[entry(1, b"x"), a.clone()].concat()),
        vector16(&[a.clone(), entry(255, b"")].concat()),
        vector16(&[&a[..], &[0]].concat()),
        [vector16(&a), vec![0]].concat(),
        [vector16(&a), vector16(&b)].concat(),
        vector16(&[]),
        vec![],
        vec![0],
        a.clone(),
    ] {
        assert_eq!(everyhow(&record(&message(&extension(0, &data)))), Hello::Malformed, "{data:?}");
    }
    let one = server_name(b"a.example");
    for two in [server_name(b"b.example"), one.clone(), extension(0, &[])] {
        for between in [vec![], extension(10, &[0, 2, 0, 29])] {
            assert_eq!(everyhow(&record(&message(&[&one[..], &between, &two].concat()))), Hello::Malformed);
        }
    }
}

#[test]
fn no_name_is_nameless() {
    assert_eq!(everyhow(&record(&handshake(1, &plain()))), Hello::Nameless, "no extensions");
    assert_eq!(everyhow(&record(&message(&[]))), Hello::Nameless, "none of them");
    assert_eq!(everyhow(&record(&message(&extension(16, b"\0\x03\x02h2")))), Hello::Nameless, "others");
    let old = body_of([3, 1], &[], &[0, 0x2f], &[1, 0]);
    assert_eq!(everyhow(&record(&handshake(1, &old))), Hello::Nameless, "TLS 1.0");
}

#[test]
fn refuses_bodies_that_nobody_sends() {
    for body in [
        body_of([3, 0], &[], &[0, 0x2f], &[0]),
        body_of([3, 4], &[], &[0, 0x2f], &[0]),
        body_of([2, 3], &[], &[0, 0x2f], &[0]),
        body_of([3, 3], &[0; 33], &[0, 0x2f], &[0]),
        body_of([3, 3], &[], &[], &[0]),
        body_of([3, 3], &[], &[0, 0x2f, 0], &[0]),
        body_of([3, 3], &[], &[0, 0x2f], &[]),
        body_of([3, 3], &[], &[0, 0x2f], &[1]),
        vec![],
        vec![3],
        vec![3, 3],
    ] {
        assert_eq!(everyhow(&record(&handshake(1, &body))), Hello::Malformed, "{body:?}");
    }
    for length in 0..plain().len() {
        assert_eq!(client_hello(&record(&handshake(1, &plain()[..length]))), Hello::Malformed, "{length}");
    }
}

#[test]
fn no_length_may_lie() {
    let hello = record(&for_name(b"a.example"));
    let name = hello.windows(9).position(|window| window == b"a.example").unwrap();
    let extensions = 5 + 4 + plain().len();
    let session = 5 + 4 + 34;
    // Of the record, the message, session, ciphers, compressions, all extensions, the first, the name's, list, name.
    let lengths = [
        3..5,
        6..9,
        session..session + 1,
        session + 33..session + 35,
        session + 39..session + 40,
        extensions..extensions + 2,
        extensions + 4..extensions + 6,
        name - 7..name - 5,
        name - 5..name - 3,
        name - 2..name,
    ];
    for at in lengths.into_iter().flatten() {
        for lie in (0..=255).filter(|lie| *lie != hello[at]) {
            let mut hello = hello.clone();
            hello[at] = lie;
            // Ciphers, methods of compression or another extension may swallow the name and be whole.
            let may_be_nameless = (session + 33..session + 40).contains(&at) || at == extensions + 5;
            match everyhow(&hello) {
                Hello::Malformed | Hello::Incomplete | Hello::NotTls => {}
                Hello::Nameless if may_be_nameless => {}
                answer => panic!("{answer:?} with {lie} at {at}"),
            }
        }
    }
}

#[test]
fn large_hellos_end_at_the_limit() {
    // Padding, so that the message has this many bytes.
    let sized = |size: usize| {
        let rest = size - message(&server_name(b"a.example")).len() - 4;
        message(&[extension(21, &vec![0; rest]), server_name(b"a.example")].concat())
    };
    // Four records of at most 16 KiB have headers of 20 bytes.
    let fits = sized(LARGEST - 20);
    assert_eq!(client_hello(&records(&fits, 16 << 10)), named("a.example"));
    let over = records(&sized(LARGEST - 19), 16 << 10);
    assert_eq!(client_hello(&over), Hello::Malformed);
    assert_eq!(client_hello(&over[..LARGEST - 1]), Hello::Incomplete);
    assert_eq!(client_hello(&over[..LARGEST]), Hello::Malformed);
    // More than will ever fit is refused as soon as it is said.
    assert_eq!(everyhow(&record(&[1, 1, 0, 0])), Hello::Malformed);
    assert_eq!(everyhow(&record(&[1, 0xff, 0xff, 0xff])), Hello::Malformed);
    assert_eq!(client_hello(&record(&[1, 0, 0xff, 0xff])), Hello::Malformed);
    assert_eq!(client_hello(&record(&[1, 0, 0xf0, 0])), Hello::Incomplete);
    // Records have a limit as well.
    assert_eq!(client_hello(&[22, 3, 1, 0x40, 0, 1]), Hello::Incomplete);
    assert_eq!(client_hello(&[22, 3, 1, 0x40, 1, 1]), Hello::Malformed);
}

/// A stranger may send a record for each byte, and each byte of it alone.
#[test]
fn nothing_is_looked_at_twice() {
    let mut message = vec![0; LARGEST / 6];
    message[..4].copy_from_slice(&[1, 0, 0xf0, 0]);
    let bytes = records(&message, 1);
    let mut reader = HelloReader::default();
    for end in 0..bytes.len() {
        let before = reader.at;
        assert_eq!(reader.read(&bytes[..end]), Hello::Incomplete);
        assert_eq!(reader.at, end - end % 6, "a record is done with when it is there");
        assert!(reader.at - before <= 6);
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(
        beginning in prop::sample::select(vec![vec![], vec![22, 3, 1], vec![22, 3, 1, 0, 9, 1, 0, 0], vec![0x80, 9]]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = everyhow(&[beginning, rest].concat());
    }

    #[test]
    fn a_hello_is_the_same_however_it_is_cut(
        name in "[a-zA-Z0-9_-]{1,20}(\\.[a-z]{1,10}){0,5}",
        others in prop::collection::vec((1..u16::MAX, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        at in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1usize..100, 1..8),
    ) {
        prop_assume!(DnsName::parse(&name).is_ok());
        let mut extensions: Vec<_> = others.iter().map(|(kind, data)| extension(*kind, data)).collect();
        extensions.insert(at.index(extensions.len() + 1), server_name(name.as_bytes()));
        let message = message(&extensions.concat());
        let mut rest = &message[..];
        let mut bytes = vec![];
        for size in sizes.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            bytes.extend(record(now));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(everyhow(&bytes), named(&name));
    }
}
