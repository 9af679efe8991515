//! The first bytes of a connection on which there should be TLS, in pieces of any size.
//!
//! The last four bytes of an input say in which pieces the rest arrives, and into which records it is put to see it as
//! a ClientHello.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::egress::DnsName;
use mcpjail::egress::hello::{self, Hello, HelloReader, LARGEST};

fuzz_target!(|input: &[u8]| {
    let Some((stream, &[a, b, c, d])) = input.split_last_chunk() else { return };
    let sizes = [a, b, c].map(|size| 1 + usize::from(size));
    look(stream, sizes);
    // The same as the body of a hello, so that nobody must guess lengths to come this far.
    let length = u32::try_from(stream.len()).expect("a short input").to_be_bytes();
    let message = [&[1], &length[1..], stream].concat();
    let records: Vec<u8> = message.chunks(1 + usize::from(d)).flat_map(record).collect();
    look(&records, sizes);
    // And as its extensions.
    let body = [&[3, 3][..], &[0; 33], &[0, 2, 0x13, 1, 1, 0], &length[2..], stream].concat();
    let length = u32::try_from(body.len()).expect("a short input").to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    let records: Vec<u8> = message.chunks(64 + usize::from(d)).flat_map(record).collect();
    look(&records, sizes);
});

fn record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short chunk").to_be_bytes();
    [&[22, 3, 1], &length[..], content].concat()
}

fn look(stream: &[u8], sizes: [usize; 3]) {
    let whole = hello::client_hello(stream);
    let mut reader = HelloReader::default();
    let mut answer = Hello::Incomplete;
    let mut end = 0;
    for (turn, size) in sizes.iter().cycle().enumerate() {
        let now = reader.read(&stream[..end]);
        assert!(answer == Hello::Incomplete || answer == now, "an answer is final");
        if turn < 8 {
            assert_eq!(now, hello::client_hello(&stream[..end]), "whatever was read before");
        }
        answer = now;
        if end == stream.len() {
            break;
        }
        end = stream.len().min(end + size);
    }
    assert_eq!(answer, whole, "the pieces change nothing");
    assert!(whole != Hello::Incomplete || stream.len() < LARGEST);

    let lenient = lenient(stream);
    match &whole {
        Hello::Named(name) => {
            let (names, complete) = lenient.as_ref().expect("a server can read it");
            assert!(complete);
            assert!(
                !names.is_empty() && names.iter().all(|other| other.eq_ignore_ascii_case(name.as_str().as_bytes()))
            );
            let again = hello_for(name);
            assert_eq!(hello::client_hello(&again), whole, "a plain hello for that name");
            assert_eq!(hello::client_hello(&again[..again.len() - 1]), Hello::Incomplete);
        }
        Hello::Nameless => assert_eq!(lenient, Some((vec![], true)), "no server finds a name"),
        Hello::NotTls => assert_eq!(lenient, None, "no server takes it for TLS"),
        Hello::Incomplete => assert!(lenient.is_none_or(|(_, complete)| !complete), "nobody waits for nothing"),
        Hello::Malformed => {}
    }
    assert!(!matches!(whole, Hello::Named(_) | Hello::Nameless) || orderly(stream), "some servers refuse such records");
    // What nobody can read in another way is read.
    if let Some(name) = strict(stream) {
        let name = name.map(|name| str::from_utf8(name).ok().and_then(|name| DnsName::parse(name).ok()));
        assert_eq!(
            whole,
            match name {
                Some(Some(name)) => Hello::Named(name),
                Some(None) => Hello::Malformed,
                None => Hello::Nameless,
            }
        );
    }
}

/// Whether records are as every server takes them, and the first message ends with one of them.
fn orderly(stream: &[u8]) -> bool {
    let mut message = vec![];
    let mut rest = stream;
    while let [22, 3, 1..=3, rest_of_header @ ..] = rest {
        let Some((length @ 1..=0x4000, content)) = number(rest_of_header, 2) else { return false };
        let Some((content, more)) = content.split_at_checked(length) else { return false };
        message.extend_from_slice(content);
        if let Some((length, body)) = message.get(1..).and_then(|message| number(message, 3))
            && length <= body.len()
        {
            return length == body.len();
        }
        rest = more;
    }
    false
}

/// What a server may see that forgives all it can: any version, empty records, warnings, more than one message, lengths
/// of lists that are wrong. All names that it may take for the server's, and whether the hello is complete.
#[expect(clippy::type_complexity, reason = "it is told once")]
fn lenient(stream: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
    let mut rest = stream;
    let mut handshake = vec![];
    while let [kind, _, _, rest_of_header @ ..] = rest {
        let Some((length, content)) = number(rest_of_header, 2) else { break };
        let Some((content, more)) = content.split_at_checked(length) else { break };
        match (kind, content) {
            (21, [1, _]) | (20, [1]) => {}
            (22, _) => handshake.extend_from_slice(content),
            _ => break,
        }
        rest = more;
    }
    let [1, high, mid, low, body @ ..] = &handshake[..] else {
        return (handshake.first() == Some(&1)).then(|| (vec![], false));
    };
    let length = usize::try_from(u32::from_be_bytes([0, *high, *mid, *low])).expect("24 bits");
    let Some(body) = body.get(..length) else { return Some((vec![], false)) };
    Some((names(body).unwrap_or_default(), true))
}

/// All names in a body, as far as it can be read.
fn names(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = body.get(34..)?;
    for width in [1, 2, 1] {
        let (length, more) = number(rest, width)?;
        rest = more.get(length..)?;
    }
    rest = rest.get(2..)?;
    let mut names = vec![];
    while let Some((kind, more)) = number(rest, 2) {
        let Some((length, more)) = number(more, 2) else { break };
        let mut data = &more[..length.min(more.len())];
        if kind == 0 {
            data = data.get(2..).unwrap_or_default();
            while let Some((length, more)) = data.get(1..).and_then(|data| number(data, 2)) {
                names.push(more[..length.min(more.len())].to_vec());
                data = more.get(length..).unwrap_or_default();
            }
        }
        rest = more.get(length..).unwrap_or_default();
    }
    Some(names)
}

fn number(bytes: &[u8], width: usize) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_at_checked(width)?;
    Some((number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)), rest))
}

/// The name in a hello in one record to which every length fits, where its bytes are a name's. `None` where it is
/// anything else.
fn strict(stream: &[u8]) -> Option<Option<&[u8]>> {
    let [22, 3, 1..=3, _, _, 1, 0, _, _, 3, 1..=3, rest @ ..] = stream else { return None };
    let (record, _) = number(&stream[3..], 2)?;
    let (message, _) = number(&stream[6..], 3)?;
    if record != message + 4 || stream.len() != record + 5 || record > 16 << 10 {
        return None;
    }
    let (session, rest) = number(rest.get(32..)?, 1).filter(|(session, _)| *session <= 32)?;
    let (ciphers, rest) = number(rest.get(session..)?, 2).filter(|(length, _)| *length > 0 && length % 2 == 0)?;
    let (methods, rest) = number(rest.get(ciphers..)?, 1)?;
    if !rest.get(..methods)?.contains(&0) {
        return None;
    }
    let rest = &rest[methods..];
    if rest.is_empty() {
        return Some(None);
    }
    let (length, mut rest) = number(rest, 2)?;
    if rest.len() != length {
        return None;
    }
    let mut name = None;
    while !rest.is_empty() {
        let (kind, more) = number(rest, 2)?;
        let (length, more) = number(more, 2)?;
        let (data, more) = more.split_at_checked(length)?;
        if kind == 0 {
            let (list, entry) = number(data, 2)?;
            let (0, entry) = number(entry, 1)? else { return None };
            let (length, text) = number(entry, 2)?;
            if list != length + 3 || data.len() != list + 2 || text.ends_with(b".") || name.replace(text).is_some() {
                return None;
            }
        }
        rest = more;
    }
    Some(name)
}

/// The shortest hello for a name.
fn hello_for(name: &DnsName) -> Vec<u8> {
    let name = name.as_str().as_bytes();
    let long = |add: usize| u16::try_from(name.len() + add).expect("a name is short").to_be_bytes();
    let body = [&[0, 0][..], &long(5), &long(3), &[0], &long(0), name].concat();
    let body = [&[3, 3][..], &[0; 33], &[0, 2, 0x13, 1, 1, 0], &long(9), &body].concat();
    let length = u16::try_from(body.len()).expect("a name is short").to_be_bytes();
    record(&[&[1, 0], &length[..], &body].concat())
}
