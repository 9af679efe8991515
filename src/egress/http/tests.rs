use super::*;
use proptest::prelude::*;

// What clients sent to a listener.
const CURL: &str = "GET /repos?x=1 HTTP/1.1\r\nHost: api.github.com:8080\r\nUser-Agent: curl/7.88.1\r\n\
    Accept: */*\r\n\r\n";
const NODE: &str = "GET / HTTP/1.1\r\nhost: api.github.com\r\nConnection: keep-alive\r\n\r\n";
const PYTHON: &str = "GET /a HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: localhost:53361\r\n\
    User-Agent: Python-urllib/3.11\r\nConnection: close\r\n\r\n";
const WGET: &str = "GET http://api.github.com/ HTTP/1.1\r\nHost: api.github.com\r\nUser-Agent: Wget/1.21.3\r\n\
    Accept: */*\r\nAccept-Encoding: identity\r\nConnection: Keep-Alive\r\nProxy-Connection: Keep-Alive\r\n\r\n";

fn host(name: &str, port: Option<u16>) -> Head {
    Head::Host(DnsName::parse(name).unwrap(), port)
}

/// What is said in the end, if a reader that gets the bytes one by one always says what one says that sees them for the
/// first time, and nothing follows an answer but the same answer.
fn everyhow(bytes: impl AsRef<[u8]>) -> Head {
    let bytes = bytes.as_ref();
    let mut reader = HeadReader::default();
    let mut answer = Head::Incomplete;
    for end in 0..=bytes.len() {
        let now = reader.read(&bytes[..end]);
        assert!(answer == Head::Incomplete || answer == now, "{answer:?} became {now:?} with {end} bytes");
        assert_eq!(head(&bytes[..end]), now, "at {end}");
        answer = now;
    }
    answer
}

/// What is said of a request with these lines after the first.
fn with(lines: impl AsRef<[u8]>) -> Head {
    everyhow([b"GET / HTTP/1.1\r\n", lines.as_ref(), b"\r\n\r\n"].concat())
}

/// What is said of a request with this request line, for the host `a.example`.
fn line(line: &str) -> Head {
    everyhow(format!("{line}\r\nHost: a.example\r\n\r\n"))
}

#[test]
fn reads_what_clients_send() {
    assert_eq!(everyhow(CURL), host("api.github.com", Some(8080)));
    assert_eq!(everyhow(NODE), host("api.github.com", None));
    assert_eq!(everyhow(PYTHON), host("localhost", Some(53361)));
    assert_eq!(everyhow(WGET), host("api.github.com", None));
    for whole in [CURL, NODE, PYTHON, WGET] {
        assert_eq!(head(&whole.as_bytes()[..whole.len() - 1]), Head::Incomplete, "before the last byte");
    }
}

#[test]
fn what_follows_the_head_is_not_looked_at() {
    for next in ["Host: b.example\r\n\r\n", "\0\n\n", "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"] {
        assert_eq!(everyhow(format!("{NODE}{next}")), host("api.github.com", None));
    }
}

#[test]
fn methods_are_tokens() {
    for method in ["GET", "get", "M-SEARCH", "a", "!#$%&'*+-.^_`|~09az", &"M".repeat(32)] {
        assert_eq!(line(&format!("{method} / HTTP/1.1")), host("a.example", None), "{method}");
    }
    for method in ["G(T", "GET,", "G\u{e4}T", "GET\0", &"M".repeat(33), ""] {
        assert_eq!(line(&format!("{method} / HTTP/1.1")), Head::NotHttp, "{method}");
    }
    for method in ["CONNECT", "connect", "Connect"] {
        for target in ["a.example:443", "/", "http://a.example/", "*"] {
            assert_eq!(line(&format!("{method} {target} HTTP/1.1")), Head::Malformed, "{method} {target}");
        }
    }
}

#[test]
fn other_protocols_are_not_http() {
    for first in [
        &b"\x16"[..],
        b"\x80",
        b"\0",
        b"\r",
        b"\n",
        b" ",
        b"{",
        b"SSH-2.0-OpenSSH_9.6\r",
        b"EHLO\r",
        b"AMQP\0",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/2\r\n",
        b"GET / HTTP/1.2\r\n",
        b"GET / HTTP/0.9\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / x HTTP/1.1\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET /  HTTP/1.1\r\n",
        b"GET /\r\n",
        b"GET \r\n",
        b"EHLO a.example\r\n",
        b"PRI * RTSP/1.0\r\n",
    ] {
        let shown = String::from_utf8_lossy(first);
        assert_eq!(everyhow(first), Head::NotHttp, "{shown}");
        assert_eq!(head(&first[..first.len() - 1]), Head::Incomplete, "{shown} earlier");
        assert_eq!(head(&[first, b"Host: a.example\r\n\r\n"].concat()), Head::NotHttp, "{shown} later");
    }
}

#[test]
fn targets() {
    for good in [
        "GET /a%00b?c#d HTTP/1.1",
        "GET //b.example/ HTTP/1.1",
        "GET /http://b.example/ HTTP/1.1",
        "GET /\u{e4} HTTP/1.0",
        "GET http://a.example HTTP/1.1",
        "GET http://a.example/ HTTP/1.0",
        "GET HTTP://A.Example.?q HTTP/1.1",
        "GET http://a.example:80#f HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        assert_eq!(line(good), host("a.example", None), "{good}");
    }
    for bad in [
        "GET * HTTP/1.1",
        "options * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET a.example HTTP/1.1",
        "GET a.example:80 HTTP/1.1",
        "GET ?q HTTP/1.1",
        "GET http:/a.example/ HTTP/1.1",
        "GET http:a.example/ HTTP/1.1",
        "GET http:///a.example/ HTTP/1.1",
        "GET https://a.example/ HTTP/1.1",
        "GET ftp://a.example/ HTTP/1.1",
        "GET http://b.example/ HTTP/1.1",
        "GET http://a.example:8080/ HTTP/1.1",
        "GET http://a.example@b.example/ HTTP/1.1",
        "GET http://b.example@a.example/ HTTP/1.1",
        "GET http://@a.example/ HTTP/1.1",
        "GET http://b.example\\a.example/ HTTP/1.1",
        "GET http://a%2eexample/ HTTP/1.1",
        "GET http://a.example:/ HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET /\u{b} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET\u{20}/\rHTTP/1.1 HTTP/1.1",
    ] {
        assert_eq!(line(bad), Head::Malformed, "{bad}");
    }
}

#[test]
fn a_whole_target_and_the_host_are_the_same() {
    let both = |target: &str, value: &str| everyhow(format!("GET {target} HTTP/1.1\r\nHost:{value}\r\n\r\n"));
    assert_eq!(both("http://a.example/", "A.EXAMPLE:80"), host("a.example", Some(80)));
    assert_eq!(both("http://a.example:80/", "a.example"), host("a.example", None));
    assert_eq!(both("http://a.example:8080/", "a.example:8080"), host("a.example", Some(8080)));
    assert_eq!(both("http://a.example:8080/", "a.example"), Head::Malformed);
    assert_eq!(both("http://a.example/", "b.a.example"), Head::Malformed);
    assert_eq!(both("http://a.example/", ""), Head::Hostless);
    assert_eq!(everyhow("GET http://a.example/ HTTP/1.0\r\n\r\n"), Head::Hostless);
}

#[test]
fn hosts() {
    for (value, expected) in [
        ("a.example", host("a.example", None)),
        (" a.example", host("a.example", None)),
        ("\t a.example\t ", host("a.example", None)),
        (" A.EXAMPLE.", host("a.example", None)),
        (" a.example.:80", host("a.example", Some(80))),
        (" a.example:1", host("a.example", Some(1))),
        (" a.example:65535", host("a.example", Some(65535))),
        (" xn--4ca.example", host("xn--4ca.example", None)),
        ("", Head::Hostless),
        (" \t ", Head::Hostless),
    ] {
        assert_eq!(with(format!("Host:{value}")), expected, "{value:?}");
        assert_eq!(with(format!("X: y\r\nhOST:{value}\r\nHosts: b.example")), expected, "{value:?}");
    }
    for value in [
        "a.example:",
        "a.example:0",
        "a.example:080",
        "a.example:65536",
        "a.example:+80",
        "a.example:-1",
        "a.example: 80",
        "a.example :80",
        "a.example:80:80",
        "a.example:http",
        ":80",
        ":",
        ".",
        "..",
        "a.example..",
        ".a.example",
        "a..example",
        "a.example,b.example",
        "a.example, a.example",
        "a.example b.example",
        "a.example\tb.example",
        "user@a.example",
        "b.example@a.example",
        "user:password@a.example",
        "a%2eexample",
        "a.example%00",
        "a.example/",
        "a.example\\",
        "a.example#",
        "a.example?",
        "http://a.example",
        "\"a.example\"",
        "*.example",
        "*",
        "192.0.2.1",
        "192.0.2.1:80",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::1]:80",
        "::1",
        "\u{e4}.example",
        "a\u{3002}example",
    ] {
        assert_eq!(with(format!("Host: {value}")), Head::Malformed, "{value}");
    }
    assert_eq!(with(b"Host: a\xff.example"), Head::Malformed);
    assert_eq!(with(format!("Host: {}a", "a.".repeat(127))), Head::Malformed, "too long");
}

#[test]
fn more_than_one_host_is_malformed() {
    for (first, second) in
        [("a.example", "b.example"), ("a.example", "a.example"), ("a.example", ""), ("", "a.example"), ("", "")]
    {
        assert_eq!(with(format!("Host: {first}\r\nHost: {second}")), Head::Malformed);
        assert_eq!(with(format!("Host: {first}\r\nX: y\r\nHOST:{second}\r\nZ:")), Head::Malformed);
    }
}

#[test]
fn none_is_hostless() {
    assert_eq!(everyhow("GET / HTTP/1.0\r\n\r\n"), Head::Hostless);
    assert_eq!(everyhow("GET / HTTP/1.1\r\n\r\n"), Head::Hostless);
    for line in ["Hos: a.example", "Hostt: a.example", "X-Forwarded-Host: a.example", "X:Host: a.example", "Host-: a"] {
        assert_eq!(with(line), Head::Hostless, "{line}");
    }
}

#[test]
fn lines_that_servers_read_in_two_ways_are_malformed() {
    let good = "Host: a.example\r\n";
    for bad in [
        "Host : b.example",
        "Host\t: b.example",
        " Host: b.example",
        "\tHost: b.example",
        "X: y\r\n z",
        "X: y\r\n\tHost: b.example",
        "X: y\r\n \r\nHost: b.example",
        "X:\r\n ",
        "Host",
        ": b.example",
        "X Y: z",
        "X\0: z",
        "Host\0: b.example",
        "\u{e4}: z",
        "X: \0",
        "X: \u{b}",
        "X: \u{c}Host: b.example",
        "X: \u{7f}",
        "X: \u{1b}[2J",
        "X: y\nHost: b.example",
        "X: y\rHost: b.example",
        "X: y\r\rHost: b.example",
        "X: y\n\r\nHost: b.example",
        "X: y\r\r\nHost: b.example",
        "X(y): z",
        "Host\u{131}: b.example",
    ] {
        assert_eq!(with(format!("{good}{bad}")), Head::Malformed, "{bad:?}");
        assert_eq!(with(format!("{bad}\r\n{good}")), Head::Malformed, "{bad:?} first");
    }
    assert_eq!(everyhow("GET / HTTP/1.1\nHost: a.example\n\n"), Head::Malformed);
    assert_eq!(everyhow("GET / HTTP/1.1\r\nHost: a.example\r\n\n"), Head::Malformed);
    assert_eq!(everyhow("GET / HTTP/1.1\r\nHost: a.example\n\r\n"), Head::Malformed);
    assert_eq!(everyhow("GET / HTTP/1.1\r\n Host: a.example\r\n\r\n"), Head::Malformed);
    assert_eq!(with(b"Host: a.example\r\nX: \xff\x80 a\tb"), host("a.example", None), "bytes that only values have");
}

#[test]
fn heads_have_a_limit() {
    let sized = |size: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a.example\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(size - frame))
    };
    assert_eq!(head(sized(LARGEST).as_bytes()), host("a.example", None));
    let over = sized(LARGEST + 1);
    assert_eq!(head(over.as_bytes()), Head::Malformed);
    assert_eq!(head(&over.as_bytes()[..LARGEST - 1]), Head::Incomplete);
    assert_eq!(head(&over.as_bytes()[..LARGEST]), Head::Malformed);
    let endless = format!("GET /{}", "a".repeat(LARGEST));
    assert_eq!(head(endless.as_bytes()), Head::Malformed);
    let lines = format!("GET / HTTP/1.1\r\n{}", "X:\r\n".repeat(LARGEST / 4));
    assert_eq!(head(lines.as_bytes()), Head::Malformed);
}

/// A stranger may send each byte alone.
#[test]
fn nothing_is_looked_at_twice() {
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LARGEST - 100));
    let mut reader = HeadReader::default();
    for end in 0..long.len() {
        assert_eq!(reader.read(&long.as_bytes()[..end]), Head::Incomplete);
        assert_eq!((reader.searched, reader.line), (end, if end < 16 { 0 } else { 16 }));
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(
        beginning in prop::sample::select(vec!["", "GET ", "GET / HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\nHost:"]),
        rest in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n: ahost".to_vec())], 0..200),
    ) {
        let _ = everyhow([beginning.as_bytes(), &rest].concat());
    }

    #[test]
    fn a_host_is_found_between_others(
        name in "[a-zA-Z0-9_-]{1,20}(\\.[a-z]{1,10}){0,5}",
        port in prop::option::of(1u16..),
        others in prop::collection::vec("[!#-'*+.^_`|~0-9a-gi-zA-GI-Z-]{1,10}:[ -~\t]{0,20}\r\n", 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        prop_assume!(DnsName::parse(&name).is_ok());
        let mut lines = others;
        let shown = port.map_or_else(String::new, |port| format!(":{port}"));
        lines.insert(at.index(lines.len() + 1), format!("Host: {name}{shown}\r\n"));
        prop_assert_eq!(everyhow(format!("GET / HTTP/1.1\r\n{}\r\n", lines.concat())), host(&name, port));
    }
}
