//! Events as records: one line of JSON each, for the log of `--egress-log`.

use super::{Event, Protocol, Reason};
use crate::approval::rfc3339;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest text of a server's that is written, characters.
const LONGEST: usize = 255;

/// One line, as it is written. What an event has nothing of is left out.
#[derive(Debug, Default, Serialize)]
struct Record<'a> {
    time: String,
    server: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialled: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<&'a [IpAddr]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<&'a [IpAddr]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The line of an event, ASCII, with its end: an object with `time` (RFC 3339, UTC, milliseconds), `server`, `event`
/// (`name`, `connection`, `knock`, `lost`, `failed`, `ready`) and what the event has of `name`, `address`, `port`,
/// `protocol` (`tcp`, `udp`), `verdict` (`allow`, `refuse`), `reason` (a code), `dialled`, `errno`, `addresses`,
/// `withheld`, `sent` and `received` (bytes, as the server sees them), `duration_us`, `count`, `message`.
#[must_use]
pub fn record(event: &Event, server: &str, at: SystemTime) -> String {
    let record = Record { time: time(at), server, ..of(event) };
    // only maps with keys that are no strings cannot be written
    let text = serde_json::to_string(&record).unwrap_or_default();
    ascii(&text)
}

fn of(event: &Event) -> Record<'_> {
    match event {
        Event::Ready => Record { event: "ready", ..Record::default() },
        Event::Failed(message) => Record { event: "failed", message: Some(cut(message)), ..Record::default() },
        Event::Lost(count) => Record { event: "lost", count: Some(*count), ..Record::default() },
        Event::Name { name, addresses, withheld, refused, duration_us } => Record {
            event: "name",
            name: Some(cut(name)),
            verdict: Some(verdict(*refused)),
            reason: *refused,
            addresses: Some(addresses),
            withheld: Some(withheld),
            duration_us: Some(*duration_us),
            ..Record::default()
        },
        Event::Connection { name, destination, dialled, refused, errno, sent, received, duration_us } => Record {
            event: "connection",
            name: name.as_deref().map(cut),
            address: Some(destination.ip().to_canonical()),
            port: Some(destination.port()),
            verdict: Some(verdict(*refused)),
            reason: *refused,
            dialled: *dialled,
            errno: *errno,
            sent: Some(*sent),
            received: Some(*received),
            duration_us: Some(*duration_us),
            ..Record::default()
        },
        Event::Knock { destination, protocol, name } => Record {
            event: "knock",
            name: name.as_deref().map(cut),
            address: Some(destination.ip().to_canonical()),
            port: Some(destination.port()),
            protocol: Some(*protocol),
            verdict: Some("refuse"),
            reason: Some(Reason::NoListener),
            ..Record::default()
        },
    }
}

/// Whether it was granted; what is granted may fail all the same.
fn verdict(reason: Option<Reason>) -> &'static str {
    let Some(reason) = reason else { return "allow" };
    match reason {
        Reason::Unresolved
        | Reason::Unreachable
        | Reason::Idle
        | Reason::Lifetime
        | Reason::SessionEnded
        | Reason::Broken => "allow",
        Reason::NameNotGranted
        | Reason::InvalidName
        | Reason::AddressClass
        | Reason::PortNotGranted
        | Reason::AddressNotGranted
        | Reason::NotTls
        | Reason::NoServerName
        | Reason::ForeignServerName
        | Reason::NotHttp
        | Reason::NoHost
        | Reason::ForeignHost
        | Reason::TooMany
        | Reason::Silent
        | Reason::NoListener => "refuse",
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn time(at: SystemTime) -> String {
    let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
    let seconds = rfc3339(at);
    format!("{}.{millis:03}Z", seconds.trim_end_matches('Z'))
}

/// JSON in printable ASCII, so that whoever shows the log shows it as it is; with the end of the line.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn read(event: &Event) -> Value {
        let line = record(event, "notes", UNIX_EPOCH + Duration::from_millis(1_795_000_000_007));
        assert!(
            line.ends_with('\n') && line.bytes().filter(|byte| !matches!(byte, b' '..=b'~')).count() == 1,
            "{line:?}"
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn each_event_is_one_line_with_what_it_has() {
        let name = Event::Name {
            name: "a.test".into(),
            addresses: vec!["9.9.9.1".parse().unwrap()],
            withheld: vec!["::1".parse().unwrap()],
            refused: None,
            duration_us: 1500,
        };
        let connection = |dialled: Option<&str>, refused| Event::Connection {
            name: Some("a.test".into()),
            destination: "[::ffff:9.9.9.1]:443".parse().unwrap(),
            dialled: dialled.map(|text| text.parse().unwrap()),
            refused,
            errno: None,
            sent: 10,
            received: u64::MAX,
            duration_us: 7,
        };
        let knock = Event::Knock { destination: "[2606::1]:22".parse().unwrap(), protocol: Protocol::Tcp, name: None };
        let time = "2026-11-18T11:06:40.007Z";
        for (event, expected) in [
            (
                name,
                json!({"time": time, "server": "notes", "event": "name", "name": "a.test", "verdict": "allow",
                    "addresses": ["9.9.9.1"], "withheld": ["::1"], "duration_us": 1500}),
            ),
            (
                connection(Some("[2606::1]:443"), Some(Reason::Idle)),
                json!({"time": time, "server": "notes", "event": "connection", "name": "a.test", "address": "9.9.9.1",
                    "port": 443, "verdict": "allow", "reason": "idle", "dialled": "[2606::1]:443", "sent": 10,
                    "received": u64::MAX, "duration_us": 7}),
            ),
            (
                connection(None, Some(Reason::ForeignServerName)),
                json!({"time": time, "server": "notes", "event": "connection", "name": "a.test", "address": "9.9.9.1",
                    "port": 443, "verdict": "refuse", "reason": "foreign-server-name", "sent": 10, "received": u64::MAX,
                    "duration_us": 7}),
            ),
            (
                knock,
                json!({"time": time, "server": "notes", "event": "knock", "address": "2606::1", "port": 22,
                    "protocol": "tcp", "verdict": "refuse", "reason": "no-listener"}),
            ),
            (Event::Lost(3), json!({"time": time, "server": "notes", "event": "lost", "count": 3})),
            (Event::Ready, json!({"time": time, "server": "notes", "event": "ready"})),
            (Event::Failed("no".into()), json!({"time": time, "server": "notes", "event": "failed", "message": "no"})),
        ] {
            assert_eq!(read(&event), expected);
        }
    }

    /// Names that are none come from the server as they are.
    #[test]
    fn no_name_ends_a_line_or_moves_a_cursor() {
        let long = "é".repeat(10_000);
        for text in ["a\nb", "\x1b[2J", "\u{7f}\u{9b}", "a\u{202e}\u{2028}", "\"}{", "🦀", "\0", &long] {
            let event = Event::Name {
                name: text.to_owned(),
                addresses: Vec::new(),
                withheld: Vec::new(),
                refused: Some(Reason::InvalidName),
                duration_us: 0,
            };
            let expected: String = text.chars().take(LONGEST).collect();
            assert_eq!(read(&event)["name"], expected);
        }
    }
}
