//! ClientHellos made by hand (RFC 8446, section 4.1.2; RFC 6066, section 3).

/// The type of an entry that is a host name.
pub const HOST: u8 = 0;

/// A server_name extension with these entries.
pub fn server_name(entries: &[(u8, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, name) in entries {
        list.push(*kind);
        list.extend(long(name));
    }
    extension(0, &long(&list))
}

pub fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(body)].concat()
}

/// With a length of two bytes in front.
fn long(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// The handshake message with these extensions, one after the other.
pub fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0); // no session
    body.extend(long(&[0x13, 0x01, 0xc0, 0x2f]));
    body.extend([1, 0]); // no compression
    let versions = extension(43, &[2, 3, 4]);
    body.extend(long(&[extensions.concat(), versions].concat()));
    let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, a, b, c][..], &body].concat()
}

/// A handshake message in records of that many bytes.
pub fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &long(part)].concat()).collect()
}

/// The usual one: one record, one name.
pub fn for_name(name: &str) -> Vec<u8> {
    records(&message(&[server_name(&[(HOST, name.as_bytes())])]), 16_000)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
