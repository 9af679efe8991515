//! The name server of the machine, which is a public one as well: it answers what trials have told it, and remembers
//! every question.

use crate::namespaces::Internet;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// What a name has.
#[derive(Clone, Debug)]
pub enum Script {
    /// These addresses, A and AAAA.
    Addresses(Vec<IpAddr>),
    /// Another list for each question of a type, the last one for ever.
    Changing(Vec<Vec<IpAddr>>),
    /// An alias of that name, and that name's records with it.
    Alias(String),
    /// No record of any type.
    Empty,
    /// This error.
    Error(u8),
    /// No answer at all.
    Silence,
}

/// What somebody asked, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub kind: u16,
    /// The address that was asked.
    pub server: IpAddr,
    pub tcp: bool,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Script>,
    questions: Vec<Question>,
}

/// A handle of the running server.
#[derive(Clone, Default)]
pub struct Dns {
    state: Arc<Mutex<State>>,
}

impl Dns {
    /// Serves UDP and TCP on port 53 of these addresses.
    pub fn start(internet: &Internet, places: &[IpAddr]) -> io::Result<Dns> {
        let dns = Dns::default();
        for place in places.iter().copied() {
            let bind = move || io::Result::Ok((UdpSocket::bind((place, 53))?, TcpListener::bind((place, 53))?));
            let (udp, tcp) = internet.run(bind)?;
            let state = dns.state.clone();
            std::thread::Builder::new().name("dns".into()).spawn(move || {
                let mut message = [0u8; 4096];
                while let Ok((length, from)) = udp.recv_from(&mut message) {
                    if let Some(answer) = answer(&state, &message[..length], place, false) {
                        let _lost = udp.send_to(&answer, from);
                    }
                }
            })?;
            let state = dns.state.clone();
            std::thread::Builder::new().name("dns-tcp".into()).spawn(move || {
                for stream in tcp.incoming().flatten() {
                    let state = state.clone();
                    std::thread::spawn(move || converse(&state, stream, place));
                }
            })?;
        }
        Ok(dns)
    }

    /// From now on this is what the name has.
    pub fn set(&self, name: &str, script: Script) {
        self.state.lock().unwrap().names.insert(name.to_ascii_lowercase(), script);
    }

    /// All questions for names that hold this text.
    pub fn questions(&self, text: &str) -> Vec<Question> {
        let text = text.to_ascii_lowercase();
        self.state.lock().unwrap().questions.iter().filter(|asked| asked.name.contains(&text)).cloned().collect()
    }
}

fn converse(state: &Mutex<State>, mut stream: std::net::TcpStream, place: IpAddr) {
    let mut length = [0u8; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        let Ok(()) = stream.read_exact(&mut message) else { return };
        let Some(answer) = answer(state, &message, place, true) else { return };
        let framed = [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat();
        let Ok(()) = stream.write_all(&framed) else { return };
    }
}

/// The answer to a message with one question.
fn answer(state: &Mutex<State>, message: &[u8], server: IpAddr, tcp: bool) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        match length {
            0 => break,
            _ => labels.push(String::from_utf8_lossy(label).to_ascii_lowercase()),
        }
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    let question = message.get(12..at + 4)?;
    let name = labels.join(".");
    let mut state = state.lock().unwrap();
    let earlier = state.questions.iter().filter(|asked| asked.name == name && asked.kind == kind).count();
    state.questions.push(Question { name: name.clone(), kind, server, tcp });
    let mut records = Vec::new();
    let code = fill(&state.names, &name, kind, earlier, &mut records)?;
    let mut reply = message.get(..2)?.to_vec();
    let [high, low] = u16::try_from(records.len()).ok()?.to_be_bytes();
    reply.extend([0x81, 0x80 | code, 0, 1, high, low, 0, 0, 0, 0]);
    reply.extend(question);
    for (owner, kind, data) in records {
        reply.extend(encode(&owner));
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 30]);
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

/// Name, type and data.
type Record = (String, u16, Vec<u8>);

/// The records of a name and the code of the answer; nothing where there shall be none.
fn fill(
    names: &HashMap<String, Script>,
    name: &str,
    kind: u16,
    earlier: usize,
    records: &mut Vec<Record>,
) -> Option<u8> {
    const NO_SUCH_NAME: u8 = 3;
    let addresses = match names.get(name) {
        None => return Some(NO_SUCH_NAME),
        Some(Script::Error(code)) => return Some(*code),
        Some(Script::Silence) => return None,
        Some(Script::Empty) => return Some(0),
        Some(Script::Alias(target)) => {
            records.push((name.to_owned(), CNAME, encode(target)));
            return fill(names, target, kind, earlier, records);
        }
        Some(Script::Addresses(addresses)) => addresses,
        Some(Script::Changing(lists)) => lists.get(earlier).or(lists.last())?,
    };
    for address in addresses {
        match address {
            IpAddr::V4(address) if kind == A => records.push((name.to_owned(), A, address.octets().to_vec())),
            IpAddr::V6(address) if kind == AAAA => records.push((name.to_owned(), AAAA, address.octets().to_vec())),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
    }
    Some(0)
}

fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}
