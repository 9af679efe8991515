//! The first bytes of a connection on which there should be HTTP/1, in pieces of any size.
//!
//! The last three bytes of an input say in which pieces the rest arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::egress::DnsName;
use mcpjail::egress::http::{self, Head, HeadReader, LARGEST};

fuzz_target!(|input: &[u8]| {
    let Some((stream, &[a, b, c])) = input.split_last_chunk() else { return };
    let sizes = [a, b, c].map(|size| 1 + usize::from(size));
    look(stream, sizes);
    // The same as what follows a request line.
    look(&[b"GET / HTTP/1.1\r\n", stream].concat(), sizes);
    look(&[b"GET / HTTP/1.1\r\nHost: a.example\r\n", stream, b"\r\n\r\n"].concat(), sizes);
});

fn look(stream: &[u8], sizes: [usize; 3]) {
    let whole = http::head(stream);
    let mut reader = HeadReader::default();
    let mut answer = Head::Incomplete;
    let mut end = 0;
    for (turn, size) in sizes.iter().cycle().enumerate() {
        let now = reader.read(&stream[..end]);
        assert!(answer == Head::Incomplete || answer == now, "an answer is final");
        if turn < 8 {
            assert_eq!(now, http::head(&stream[..end]), "whatever was read before");
        }
        answer = now;
        if end == stream.len() {
            break;
        }
        end = stream.len().min(end + size);
    }
    assert_eq!(answer, whole, "the pieces change nothing");
    assert!(whole != Head::Incomplete || stream.len() < LARGEST);

    match &whole {
        Head::Host(name, port) => {
            let hosts = lenient(stream);
            assert!(!hosts.is_empty());
            for host in hosts {
                let host = host.strip_prefix(name.as_str()).expect("every server finds the same host");
                let host = host.strip_prefix('.').unwrap_or(host);
                assert!(host.is_empty() || host.strip_prefix(':') == Some(&port.unwrap_or(80).to_string()), "{host}");
            }
            let shown = port.map_or_else(String::new, |port| format!(":{port}"));
            let again = format!("GET / HTTP/1.0\r\nHost: {name}{shown}\r\n\r\n");
            assert_eq!(http::head(again.as_bytes()), whole, "a plain request to that host");
        }
        Head::Hostless => {
            let named = lenient(stream);
            let target = stream.split(|byte| *byte == b' ').nth(1).is_some_and(|target| target.contains(&b':'));
            assert!(target || named.iter().all(String::is_empty), "no server finds a host: {named:?}");
        }
        Head::Incomplete => assert!(!stream.windows(4).any(|window| window == b"\r\n\r\n"), "nobody waits for nothing"),
        Head::NotHttp | Head::Malformed => {}
    }
    if let Some((name, port)) = strict(stream) {
        assert_eq!(whole, Head::Host(name, port), "what nobody can read in another way is read");
    }
}

/// All hosts that a server may see that forgives all it can, in lower case: it ends lines in any way, takes blanks
/// everywhere for nothing, joins folded lines or does not, and believes the target too.
fn lenient(stream: &[u8]) -> Vec<String> {
    // A byte is a character, so that nothing is lost.
    let text: String = stream.iter().map(|byte| char::from(*byte).to_ascii_lowercase()).collect();
    let blank = |character: char| character.is_ascii_whitespace() || character.is_ascii_control();
    let mut hosts = vec![];
    let mut lines = text.split(['\r', '\n', '\0', '\u{b}', '\u{c}']);
    let first = lines.next().unwrap_or_default();
    if let Some(rest) =
        first.split(blank).filter(|part| !part.is_empty()).nth(1).and_then(|target| target.strip_prefix("http://"))
    {
        hosts.push(rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned());
    }
    // The head ends with the first empty line, that is, after two ends of lines.
    let mut empty = 0;
    for line in lines {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty == 3 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.trim_matches(blank) == "host"
        {
            hosts.push(value.trim_matches(blank).to_owned());
        }
    }
    hosts
}

/// The host of a plain request: one of which every line is a token, a colon, a blank and characters.
fn strict(stream: &[u8]) -> Option<(DnsName, Option<u16>)> {
    let text = str::from_utf8(stream).ok().filter(|text| text.is_ascii() && text.len() <= LARGEST)?;
    let head = text.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET /")?.strip_suffix(" HTTP/1.1")?;
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut host = None;
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        if name.eq_ignore_ascii_case("host") && host.replace(value).is_some() {
            return None;
        }
    }
    let host = host?;
    match host.rsplit_once(':') {
        None => Some((DnsName::parse(host).ok()?, None)),
        Some((name, port)) => {
            let number: u16 = port.parse().ok().filter(|number: &u16| number.to_string() == port && *number > 0)?;
            Some((DnsName::parse(name).ok()?, Some(number)))
        }
    }
}
