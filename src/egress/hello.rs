//! Whom a TLS connection is meant for: the server name in its ClientHello (RFC 8446, section 4.1.2; RFC 6066, section
//! 3). Pure.
//!
//! A stranger writes these bytes, and what counts is what the server at the other end makes of them. So a name is only
//! given for what everybody reads in the same way: one ClientHello in handshake records and nothing else, every length
//! true, one name of one server. And [`Hello::NotTls`] is only said of bytes that no server takes for the beginning of
//! a TLS connection: some take any version of the record layer, skip empty records and warnings, or accept hellos in
//! the format of SSL 2. All of these are [`Hello::Malformed`].
//!
//! Not seen are a hello that is sent again when the server asks for it (RFC 8446, section 4.1.4), which must have the
//! same name, and the name within an Encrypted Client Hello, of which the outer one is judged.

use super::DnsName;
use super::cursor::Cursor;

/// What a ClientHello with the headers of its records may have at most, bytes. With a post-quantum key share it has some
/// 1,800.
pub const LARGEST: usize = 64 << 10;

/// Longest content of a record that is not encrypted, bytes.
const LONGEST_RECORD: usize = 16 << 10;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The last type of record there ever was, the heartbeat.
const LAST_TYPE: u8 = 24;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Hello {
    /// Nothing can be said before more of them have come.
    Incomplete,
    /// No server takes this for TLS.
    NotTls,
    /// A server might take this for TLS, but for whom it is cannot be said.
    Malformed,
    /// A ClientHello for this server.
    Named(DnsName),
    /// A ClientHello without a server name.
    Nameless,
}

/// What [`HelloReader::read`] says to all of the first bytes of a connection.
pub fn client_hello(bytes: &[u8]) -> Hello {
    HelloReader::default().read(bytes)
}

/// Reads a ClientHello as its bytes come, looking at each record once.
#[derive(Debug, Clone, Default)]
pub struct HelloReader {
    /// Where the first record begins that was not looked at.
    at: usize,
    /// Bytes of the handshake message in the records before it.
    collected: usize,
    /// The first of them, four at most, as a number.
    head: u32,
}

impl HelloReader {
    /// Says what `bytes` are, which must be all that has come since the connection began. After anything but
    /// [`Hello::Incomplete`] more bytes change nothing; with [`LARGEST`] bytes that is never said.
    pub fn read(&mut self, bytes: &[u8]) -> Hello {
        let bytes = bytes.get(..LARGEST).unwrap_or(bytes);
        match self.records(bytes) {
            Hello::Incomplete if bytes.len() == LARGEST => Hello::Malformed,
            hello => hello,
        }
    }

    fn records(&mut self, bytes: &[u8]) -> Hello {
        if self.at == 0 {
            match opening(bytes) {
                Some(Opening::Hello) => {}
                Some(Opening::Odd) => return Hello::Malformed,
                Some(Opening::Else) => return Hello::NotTls,
                None => return Hello::Incomplete,
            }
        }
        loop {
            let mut rest = Cursor::new(bytes.get(self.at..).unwrap_or_default());
            let Some(header) = rest.array() else { return Hello::Incomplete };
            let Some(length) = handshake_record(header) else { return Hello::Malformed };
            let Some(content) = rest.take(length) else { return Hello::Incomplete };
            let missing = 4usize.saturating_sub(self.collected);
            let head = content.iter().take(missing).fold(self.head, |head, byte| head << 8 | u32::from(*byte));
            let collected = self.collected + length;
            if collected >= 4 {
                // The type before the length is known to be that of a ClientHello.
                let Ok(total) = usize::try_from((head & 0x00ff_ffff) + 4) else { return Hello::Malformed };
                if total > LARGEST || collected > total {
                    return Hello::Malformed;
                }
                if collected == total {
                    return if self.at == 0 { message(content) } else { message(&joined(bytes, total)) };
                }
            }
            self.at += 5 + length;
            self.collected = collected;
            self.head = head;
        }
    }
}

/// How a connection begins.
enum Opening {
    /// With a record in which a ClientHello begins.
    Hello,
    /// With something else that a TLS server might accept.
    Odd,
    /// With something else.
    Else,
}

/// `None` as long as it can still be any.
fn opening(bytes: &[u8]) -> Option<Opening> {
    let mut rest = Cursor::new(bytes);
    let kind = rest.u8()?;
    match kind {
        // In the format of SSL 2 two bytes of length have the upper bit set; then comes the same type of message.
        0x80.. => {
            rest.u8()?;
            Some(if rest.u8()? == CLIENT_HELLO { Opening::Odd } else { Opening::Else })
        }
        CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE => {
            // Servers are to ignore the version here, and some do.
            let (major, minor, length, first) = (rest.u8()?, rest.u8()?, rest.u16()?, rest.u8()?);
            let [high, low] = length.to_be_bytes();
            Some(match (kind, length, first) {
                (HANDSHAKE, 0, CHANGE_CIPHER_SPEC..=LAST_TYPE) => Opening::Odd,
                (HANDSHAKE, 1.., CLIENT_HELLO) if handshake_record([kind, major, minor, high, low]).is_some() => {
                    Opening::Hello
                }
                (HANDSHAKE, 1.., CLIENT_HELLO) | (ALERT, 1 | 2, 1 | 2) | (CHANGE_CIPHER_SPEC, 1, 1) => Opening::Odd,
                _ => Opening::Else,
            })
        }
        _ => Some(Opening::Else),
    }
}

/// The length of the content, if this is the header of a record in which a ClientHello may be: TLS 1.0 to 1.2, which
/// 1.3 passes for, and not empty.
fn handshake_record([kind, major, minor, high, low]: [u8; 5]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    let fits = kind == HANDSHAKE && major == 3 && (1..=3).contains(&minor) && (1..=LONGEST_RECORD).contains(&length);
    fits.then_some(length)
}

/// The first `total` bytes of what the records hold.
fn joined(bytes: &[u8], total: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(total);
    let mut rest = Cursor::new(bytes);
    while message.len() < total {
        let Some(content) = rest.take(3).and_then(|_| rest.vector16()) else { break };
        message.extend_from_slice(content);
    }
    message
}

/// Reads a whole handshake message.
fn message(message: &[u8]) -> Hello {
    match message.get(4..).and_then(server_name) {
        Some(Some(name)) => Hello::Named(name),
        Some(None) => Hello::Nameless,
        None => Hello::Malformed,
    }
}

/// The server name in the body of a ClientHello, if it has one. `None` where it is not what the standards say.
fn server_name(body: &[u8]) -> Option<Option<DnsName>> {
    let mut rest = Cursor::new(body);
    let (3, 1..=3) = (rest.u8()?, rest.u8()?) else { return None };
    let _random = rest.take(32)?;
    let session = rest.vector8()?;
    let ciphers = rest.vector16()?;
    let compressions = rest.vector8()?;
    if session.len() > 32 || ciphers.is_empty() || ciphers.len() % 2 != 0 || !compressions.contains(&0) {
        return None;
    }
    if rest.is_empty() {
        return Some(None);
    }
    let mut extensions = Cursor::new(rest.vector16()?);
    let mut name = None;
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        if kind == SERVER_NAME && name.replace(host_name(data)?).is_some() {
            return None;
        }
    }
    rest.is_empty().then_some(name)
}

/// The one name in the data of a server name extension. RFC 6066 has no trailing dot in it: servers differ in what they
/// make of one.
fn host_name(data: &[u8]) -> Option<DnsName> {
    let mut rest = Cursor::new(data);
    let mut list = Cursor::new(rest.vector16()?);
    let kind = list.u8()?;
    let name = list.vector16()?;
    if !rest.is_empty() || !list.is_empty() || kind != HOST_NAME || name.ends_with(b".") {
        return None;
    }
    DnsName::parse(str::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod captured;
#[cfg(test)]
mod tests;
