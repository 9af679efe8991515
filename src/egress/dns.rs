//! Questions that programs in the jail send to port 53, and the answers to them (RFC 1035; EDNS: RFC 6891; sizes: RFC
//! 7766). Pure.
//!
//! A stranger writes the questions, so all that a resolver's library would not send is refused: a compressed or
//! overlong name, several questions, answers in a query, bytes after its end. A message that is itself a response gets
//! no reply whatever, or two servers could keep each other busy for ever.
//!
//! Answers come as from the only authority that the jail has: AA is set, and an answer without records carries the SOA
//! of the root, as RFC 2308, section 3, wants it of an authority. Without one an empty answer could be a referral as
//! well, and whoever remembers answers must not remember that a name has no AAAA. The resolvers of glibc, musl, c-ares,
//! Java and Go do with and without it. RA is set because glibc and Go take an empty answer without it and AA for one of
//! a lame server.

use super::cursor::Cursor;
use super::wire::Family;
use super::{DnsName, NameFault};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Largest answer over TCP, bytes without the two of its length.
pub const TCP_LIMIT: usize = 65_535;
/// Largest answer over UDP where the client takes that much, bytes: what passes without fragments nearly everywhere. It
/// is also what answers tell of this server.
const UDP_LIMIT: u16 = 1232;
/// Largest answer over UDP to a client that does not speak of it, bytes. Any answer without records is smaller.
const PLAIN_LIMIT: u16 = 512;
/// Longest name in a message, bytes with the lengths of its labels and the empty one of the root.
const LONGEST_NAME: usize = 255;
/// Longest time that a record may be remembered, seconds (RFC 2181, section 8).
const LONGEST_TTL: u32 = 0x7fff_ffff;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITY: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;

const A: u16 = 1;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const OPT: u16 = 41;
/// Types above this one and below [`ANY`] ask for something else than records of a name, a whole zone for one.
const LAST_ORDINARY: u16 = 127;
/// Both a type and a class: whatever there is.
const ANY: u16 = 255;
const INTERNET: u16 = 1;
/// The flag of EDNS that is to be copied (RFC 3225).
const DNSSEC_OK: u16 = 0x8000;

/// One question, as it is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Given back with the answer.
    pub id: u16,
    /// The name that is asked for.
    pub asked: Asked,
    /// Its type: 1 is A, 28 AAAA, 255 anything.
    pub kind: u16,
    /// 1, the internet, or 255, any.
    pub class: u16,
    /// The whole question as it came: resolvers mix upper and lower case and want to see the same again.
    question: Box<[u8]>,
    /// Those flags that an answer repeats.
    flags: u16,
    edns: Option<Edns>,
}

/// What a client says by an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edns {
    size: u16,
    version: u8,
    dnssec: bool,
}

/// The name in a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A host name.
    Name(DnsName),
    /// Something that no host is called, `.` among it: in printable ASCII, at most 1,012 characters. Bytes that cannot
    /// be shown are `\DDD`, dots within a label `\.`.
    Invalid(String),
}

/// A packet that is no question to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What to answer; `None` where there must be no answer at all.
    pub reply: Option<Vec<u8>>,
}

/// How a question is answered (RFC 1035, section 4.1.1; RFC 6891, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// Here is what there is, if only nothing of this type.
    NoError,
    /// The question cannot be read.
    FormErr,
    /// The answer could not be had.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// Nobody answers that kind of question here.
    NotImp,
    /// There shall be no answer.
    Refused,
    /// A version of EDNS that is unknown here.
    BadVers,
}

impl Rcode {
    /// Its upper eight bits, which go into the OPT record, and its lower four.
    fn parts(self) -> (u8, u16) {
        match self {
            Rcode::NoError => (0, 0),
            Rcode::FormErr => (0, 1),
            Rcode::ServFail => (0, 2),
            Rcode::NxDomain => (0, 3),
            Rcode::NotImp => (0, 4),
            Rcode::Refused => (0, 5),
            Rcode::BadVers => (1, 0),
        }
    }
}

impl Query {
    /// Largest answer to this question over UDP, bytes: what the client takes, between 512 and 1,232.
    #[must_use]
    pub fn udp_limit(&self) -> usize {
        self.edns.map_or(PLAIN_LIMIT, |edns| edns.size.clamp(PLAIN_LIMIT, UDP_LIMIT)).into()
    }

    /// Which addresses are asked for. To a question for anything the A records alone are an answer (RFC 8482, section
    /// 4.1).
    pub(super) fn family(&self) -> Family {
        match self.kind {
            A | ANY => Family::V4,
            AAAA => Family::V6,
            _ => Family::Neither,
        }
    }

    fn fault(&self, rcode: Rcode) -> Fault {
        let mut reply = Vec::new();
        respond(self, rcode, &[], 0, PLAIN_LIMIT.into(), &mut reply);
        Fault { reply: Some(reply) }
    }

    /// Whether a record with this address is an answer.
    fn wants(&self, address: IpAddr) -> bool {
        match self.kind {
            A => address.is_ipv4(),
            AAAA => address.is_ipv6(),
            kind => kind == ANY,
        }
    }
}

/// Reads one packet, over TCP without the two bytes of its length.
///
/// # Errors
/// [`Fault`] with no reply to a response and to what is shorter than a header. With `NOTIMP` to what is no query, to
/// zone transfers and the like; with `REFUSED` to classes other than the internet's; with `BADVERS` to unknown versions
/// of EDNS; with `FORMERR` to whatever else a resolver would not send.
pub fn query(packet: &[u8]) -> Result<Query, Fault> {
    let mut rest = Cursor::new(packet);
    let Some((id, flags, counts)) = header(&mut rest) else { return Err(Fault { reply: None }) };
    if flags & RESPONSE != 0 {
        return Err(Fault { reply: None });
    }
    let refused = |rcode| Fault { reply: Some(bare(id, flags, rcode)) };
    if flags & OPCODE != 0 {
        return Err(refused(Rcode::NotImp));
    }
    let [1, 0, 0, additional] = counts else { return Err(refused(Rcode::FormErr)) };
    let start = rest.rest();
    let Some((asked, kind, class)) = question(&mut rest) else { return Err(refused(Rcode::FormErr)) };
    let length = start.len() - rest.rest().len();
    let question = start.get(..length).unwrap_or_default().into();
    let flags = flags & (RECURSION_DESIRED | CHECKING_DISABLED);
    let mut query = Query { id, asked, kind, class, question, flags, edns: None };
    match edns(&mut rest, additional) {
        Some(edns) if rest.is_empty() => query.edns = edns,
        _ => return Err(query.fault(Rcode::FormErr)),
    }
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Err(query.fault(Rcode::BadVers));
    }
    match (class, kind) {
        (_, 0 | OPT) => Err(query.fault(Rcode::FormErr)),
        (INTERNET | ANY, 1..=LAST_ORDINARY | ANY..) => Ok(query),
        (INTERNET | ANY, _) => Err(query.fault(Rcode::NotImp)),
        _ => Err(query.fault(Rcode::Refused)),
    }
}

/// Appends the answer to `into`: the addresses that fit the question's type, or the SOA where there are none of them
/// and `rcode` says that this is all. `ttl` is how long clients may remember it, either way, in seconds. `limit` is
/// [`Query::udp_limit`] or [`TCP_LIMIT`]; what does not fit is left out, and the client told so by TC.
pub fn respond(query: &Query, rcode: Rcode, addresses: &[IpAddr], ttl: u32, limit: usize, into: &mut Vec<u8>) {
    let (upper, lower) = rcode.parts();
    let ttl = ttl.min(LONGEST_TTL);
    let limit = limit.clamp(PLAIN_LIMIT.into(), TCP_LIMIT);
    let start = into.len();
    into.extend_from_slice(&query.id.to_be_bytes());
    into.extend_from_slice(&[0; 10]);
    into.extend_from_slice(&query.question);

    let opt = if query.edns.is_some() { 11 } else { 0 };
    let (mut answers, mut flags) = (0u16, 0);
    if rcode == Rcode::NoError {
        for address in addresses.iter().copied().filter(|address| query.wants(*address)) {
            let length = if address.is_ipv4() { 16 } else { 28 };
            if into.len() - start + length + opt > limit {
                flags |= TRUNCATED;
                break;
            }
            answer(address, ttl, into);
            answers += 1;
        }
    }
    let negative = match rcode {
        Rcode::NoError => answers == 0 && flags & TRUNCATED == 0,
        Rcode::NxDomain => true,
        Rcode::FormErr | Rcode::ServFail | Rcode::NotImp | Rcode::Refused | Rcode::BadVers => false,
    };
    if negative {
        root_soa(ttl, into);
    }
    if let Some(edns) = query.edns {
        into.push(0);
        for number in [OPT, UDP_LIMIT, u16::from(upper) << 8, if edns.dnssec { DNSSEC_OK } else { 0 }, 0] {
            into.extend_from_slice(&number.to_be_bytes());
        }
    }

    flags |= RESPONSE | RECURSION_AVAILABLE | query.flags | lower;
    if matches!(rcode, Rcode::NoError | Rcode::NxDomain) {
        flags |= AUTHORITY;
    }
    let counts = [flags, 1, answers, negative.into(), query.edns.is_some().into()];
    let place = into.get_mut(start + 2..start + 12).unwrap_or_default();
    for (place, number) in place.chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// One record whose name is that of the question, which stands behind the twelve bytes of the header.
fn answer(address: IpAddr, ttl: u32, into: &mut Vec<u8>) {
    into.extend_from_slice(&[0xc0, 12]);
    let mut rest = |kind: u16, length: u16, octets: &[u8]| {
        into.extend_from_slice(&kind.to_be_bytes());
        into.extend_from_slice(&INTERNET.to_be_bytes());
        into.extend_from_slice(&ttl.to_be_bytes());
        into.extend_from_slice(&length.to_be_bytes());
        into.extend_from_slice(octets);
    };
    match address {
        IpAddr::V4(address) => rest(A, 4, &address.octets()),
        IpAddr::V6(address) => rest(AAAA, 16, &address.octets()),
    }
}

/// The SOA of the root, whose last number is how long the absence of something may be remembered.
fn root_soa(ttl: u32, into: &mut Vec<u8>) {
    into.push(0);
    into.extend_from_slice(&SOA.to_be_bytes());
    into.extend_from_slice(&INTERNET.to_be_bytes());
    into.extend_from_slice(&ttl.to_be_bytes());
    into.extend_from_slice(&22u16.to_be_bytes());
    // The names of the server and of a person, both the root; then serial, refresh, retry and expire.
    into.extend_from_slice(&[0; 2]);
    into.extend_from_slice(&[0; 16]);
    into.extend_from_slice(&ttl.to_be_bytes());
}

/// An answer to what has no question that could be repeated.
fn bare(id: u16, flags: u16, rcode: Rcode) -> Vec<u8> {
    let (_, lower) = rcode.parts();
    let flags = RESPONSE | flags & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED) | RECURSION_AVAILABLE | lower;
    let mut reply = Vec::with_capacity(12);
    for number in [id, flags, 0, 0, 0, 0] {
        reply.extend_from_slice(&number.to_be_bytes());
    }
    reply
}

/// Identity, flags, and the numbers of questions, answers, authorities and additional records.
fn header(rest: &mut Cursor) -> Option<(u16, u16, [u16; 4])> {
    Some((rest.u16()?, rest.u16()?, [rest.u16()?, rest.u16()?, rest.u16()?, rest.u16()?]))
}

fn question(rest: &mut Cursor) -> Option<(Asked, u16, u16)> {
    Some((name(rest)?, rest.u16()?, rest.u16()?))
}

/// A name that stands there whole. Pointers are not followed: there is nothing before a question that they could lead
/// to.
fn name(rest: &mut Cursor) -> Option<Asked> {
    let longest = rest.rest().len().saturating_sub(LONGEST_NAME);
    let mut text = String::new();
    let mut plain = true;
    loop {
        let length @ 0..=63 = rest.u8()? else { return None };
        let label = rest.take(length.into())?;
        if rest.rest().len() < longest {
            return None;
        }
        if label.is_empty() {
            break;
        }
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            let host = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            plain &= host;
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                b'!'..=b'~' => text.push(byte.into()),
                // Writing to a text never fails.
                _ => _ = write!(text, "\\{byte:03}"),
            }
        }
    }
    let parsed = if plain { DnsName::parse(&text) } else { Err(NameFault::Character) };
    if text.is_empty() {
        text.push('.');
    }
    Some(parsed.map_or(Asked::Invalid(text), Asked::Name))
}

/// Walks over additional records. `None` where they cannot be read, or where two say what the client can do.
fn edns(rest: &mut Cursor, count: u16) -> Option<Option<Edns>> {
    let mut found = None;
    for _ in 0..count {
        let rooted = owner(rest)?;
        let (kind, size) = (rest.u16()?, rest.u16()?);
        let [_, version, flags, _] = rest.array()?;
        let mut options = Cursor::new(rest.vector16()?);
        if kind != OPT {
            continue;
        }
        while !options.is_empty() {
            let _code = options.u16()?;
            options.vector16()?;
        }
        let edns = Edns { size, version, dnssec: flags & 0x80 != 0 };
        if !rooted || found.replace(edns).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Walks over the name of a record, which may end in a pointer that nobody follows. Gives whether it is the root.
fn owner(rest: &mut Cursor) -> Option<bool> {
    let mut rooted = true;
    loop {
        match rest.u8()? {
            0 => return Some(rooted),
            length @ 1..=63 => _ = rest.take(length.into())?,
            0xc0.. => {
                rest.u8()?;
                return Some(false);
            }
            64..0xc0 => return None,
        }
        rooted = false;
    }
}

#[cfg(test)]
mod tests;
