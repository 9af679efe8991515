//! Which host the first request of a connection is meant for (RFC 9112, sections 2, 3 and 5). Pure.
//!
//! A stranger writes these bytes, and what counts is what the server at the other end makes of them. So whatever
//! servers read in different ways is refused, though the standard lets some of it pass: line feeds alone, folded lines,
//! blanks before a colon, two Hosts even if they are the same. Requests after the first one are not looked at.

use super::DnsName;
use memchr::memchr;

/// What a head may have at most, bytes with the empty line at its end. Servers take 8 to 16 KiB.
pub const LARGEST: usize = 16 << 10;

/// Longest method, bytes; of those that are registered the longest has 17.
const LONGEST_METHOD: usize = 32;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Head {
    /// Nothing can be said before more of them have come.
    Incomplete,
    /// No request of HTTP/1.
    NotHttp,
    /// A request that can be read in two ways, or not at all; or one to a proxy.
    Malformed,
    /// A request to this host, and the port if it names one.
    Host(DnsName, Option<u16>),
    /// A request without a Host, or with an empty one.
    Hostless,
}

/// A host, and the port if there is one.
type Authority = (DnsName, Option<u16>);

/// What [`HeadReader::read`] says to all of the first bytes of a connection.
pub fn head(bytes: &[u8]) -> Head {
    HeadReader::default().read(bytes)
}

/// Reads the head of a request as its bytes come, looking at each line once.
#[derive(Debug, Clone, Default)]
pub struct HeadReader {
    /// Where the first line begins that was not read.
    line: usize,
    /// No line feed is between there and here.
    searched: usize,
    /// The request line was read; whom its target names, if it does.
    target: Option<Option<Authority>>,
    /// A Host was read; `None` within where it is empty.
    host: Option<Option<Authority>>,
}

impl HeadReader {
    /// Says what `bytes` are, which must be all that has come since the connection began. After anything but
    /// [`Head::Incomplete`] more bytes change nothing; with [`LARGEST`] bytes that is never said.
    pub fn read(&mut self, bytes: &[u8]) -> Head {
        let bytes = bytes.get(..LARGEST).unwrap_or(bytes);
        match self.lines(bytes) {
            Ok(()) if bytes.len() == LARGEST => Head::Malformed,
            Ok(()) => Head::Incomplete,
            Err(head) => head,
        }
    }

    /// Reads all lines that are complete, until one of them says what it all is.
    fn lines(&mut self, bytes: &[u8]) -> Result<(), Head> {
        if self.target.is_none() && !may_begin(bytes) {
            return Err(Head::NotHttp);
        }
        loop {
            let unseen = bytes.get(self.searched..).unwrap_or_default();
            let Some(length) = memchr(b'\n', unseen) else {
                self.searched = self.searched.max(bytes.len());
                return Ok(());
            };
            let end = self.searched + length;
            let line = bytes.get(self.line..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Head::Malformed)?;
            // A tab is left, and a carriage return alone is not.
            if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                return Err(Head::Malformed);
            }
            match &self.target {
                None => self.target = Some(request(line)?),
                Some(target) if line.is_empty() => return Err(judged(target.as_ref(), self.host.as_ref())),
                Some(_) => self.field(line).ok_or(Head::Malformed)?,
            }
            self.line = end + 1;
            self.searched = end + 1;
        }
    }

    /// Reads one line of the head. A line that begins with a blank continues the one before it; it has no name.
    fn field(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"host") {
            let value = value.get(1..)?.trim_ascii();
            let host = if value.is_empty() { None } else { Some(authority(value)?) };
            if self.host.is_some() {
                return None;
            }
            self.host = Some(host);
        }
        Some(())
    }
}

/// Whether bytes can be the beginning of a request line: a method and a space.
fn may_begin(bytes: &[u8]) -> bool {
    match bytes.iter().take(LONGEST_METHOD + 1).position(|byte| !is_token(*byte)) {
        Some(length) => length > 0 && bytes.get(length) == Some(&b' '),
        None => bytes.len() <= LONGEST_METHOD,
    }
}

/// Reads a request line. Gives whom its target names, if it names anybody.
fn request(line: &[u8]) -> Result<Option<Authority>, Head> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(b"HTTP/1.0" | b"HTTP/1.1")) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Head::NotHttp);
    };
    if method.eq_ignore_ascii_case(b"connect") || target.contains(&b'\t') {
        return Err(Head::Malformed);
    }
    match target {
        [b'/', ..] => Ok(None),
        b"*" if method == b"OPTIONS" => Ok(None),
        _ => absolute(target).map(Some).ok_or(Head::Malformed),
    }
}

/// Whom a target names that is a whole URL.
fn absolute(target: &[u8]) -> Option<Authority> {
    let (scheme, rest) = target.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    authority(rest.get(..end)?)
}

/// Reads `name` or `name:port`. Addresses, percent signs, names and passwords of people are none.
fn authority(text: &[u8]) -> Option<Authority> {
    let text = str::from_utf8(text).ok()?;
    let Some((name, port)) = text.split_once(':') else { return Some((DnsName::parse(text).ok()?, None)) };
    if port.starts_with('0') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((DnsName::parse(name).ok()?, Some(port.parse().ok()?)))
}

/// What a whole head says. A server goes by the target where that names somebody, so both must be the same.
fn judged(target: Option<&Authority>, host: Option<&Option<Authority>>) -> Head {
    let Some(Some((name, port))) = host else { return Head::Hostless };
    let same = target.is_none_or(|(other, other_port)| other == name && other_port.unwrap_or(80) == port.unwrap_or(80));
    if same { Head::Host(name.clone(), *port) } else { Head::Malformed }
}

/// Whether a byte may be in a method or in the name of a field (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
