//! Names to addresses by the machine's own resolver. Source: getaddrinfo(3), RFC 3493.

use super::address::decode;
use std::ffi::CStr;
use std::net::IpAddr;
use std::ptr;

/// Why a name has no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It does not exist, or has no addresses.
    #[error("there is no such name")]
    NoName,
    /// No server answered, or one could not; another time it may.
    #[error("no name server answered")]
    Again,
    /// Anything else.
    #[error("the resolver failed")]
    Failed,
}

/// The value of C libraries that tell a name without addresses from one that does not exist (glibc, musl 1.2.5).
const EAI_NODATA: i32 = -5;
/// glibc: the name has addresses of the other family only.
const EAI_ADDRFAMILY: i32 = -9;

/// The addresses of a name, in the order in which a program should try them (RFC 6724), without repetition and at most
/// `most` of each family. Waits for as long as the machine's resolver does.
///
/// `AI_ADDRCONFIG` is not set: it leaves out a family by the addresses that interfaces have, and what is reachable is a
/// question of routes. Zones of link-local addresses are dropped.
///
/// # Errors
/// [`ResolveError`].
pub fn resolve(name: &CStr, most: usize) -> Result<Vec<IpAddr>, ResolveError> {
    #[cfg(target_env = "musl")]
    let name = &*whole(name, &std::fs::read("/etc/hosts").unwrap_or_default());
    // SAFETY: all-zero is a valid `addrinfo`: integers and null pointers.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = libc::AF_UNSPEC;
    // one entry an address, not one a protocol
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = ptr::null_mut();
    // SAFETY: `name` is a C string and `hints` an `addrinfo`, both outlive the call; `list` may be written.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    match code {
        0 => {}
        libc::EAI_NONAME | EAI_NODATA | EAI_ADDRFAMILY => return Err(ResolveError::NoName),
        libc::EAI_AGAIN => return Err(ResolveError::Again),
        _ => return Err(ResolveError::Failed),
    }
    let list = List(list);
    let (mut found, mut families) = (Vec::new(), [0usize; 2]);
    let mut next = list.0;
    // SAFETY: a non-null pointer of this list points at an entry of it, which lives until `list` is dropped.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ai_next;
        // SAFETY: `ai_addr` points at `ai_addrlen` bytes that live as long as the entry.
        let Some(address) = (unsafe { decode(entry.ai_addr, entry.ai_addrlen) }) else { continue };
        let address = address.ip();
        let [v4, v6] = &mut families;
        let count = if address.is_ipv4() { v4 } else { v6 };
        if *count < most && !found.contains(&address) {
            *count += 1;
            found.push(address);
        }
    }
    if found.is_empty() { Err(ResolveError::NoName) } else { Ok(found) }
}

/// The name as musl does not complete it by the search domains of resolv.conf, which `LOCALDOMAIN` does not switch off there:
/// with a dot at its end, unless the hosts file has it, where it stands without one and where musl looks first.
#[cfg(any(target_env = "musl", test))]
fn whole<'a>(name: &'a CStr, hosts: &[u8]) -> std::borrow::Cow<'a, CStr> {
    /// musl reads lines into so many bytes, and skips what is longer.
    const LINE: usize = 510;
    let own = name.to_bytes();
    let listed = |line: &[u8]| {
        let entry = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = entry.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let address = words.next().and_then(|word| str::from_utf8(word).ok()?.parse::<IpAddr>().ok());
        line.len() < LINE && address.is_some() && words.any(|word| word == own)
    };
    let number = name.to_str().is_ok_and(|text| text.parse::<IpAddr>().is_ok());
    if own.is_empty() || own.ends_with(b".") || number || hosts.split(|byte| *byte == b'\n').any(listed) {
        return name.into();
    }
    std::ffi::CString::new([own, b"."].concat()).map_or(name.into(), Into::into)
}

/// A list of getaddrinfo(3), freed with this.
struct List(*mut libc::addrinfo);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: getaddrinfo made this list and nothing points into it any more.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_asked() {
        // every machine's hosts file, or its C library, knows this name; no packet is sent for it
        let addresses = resolve(c"localhost", 8).unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(!addresses.is_empty());
        assert_eq!(resolve(c"localhost", 0), Err(ResolveError::NoName));
    }

    #[test]
    fn addresses_are_bounded_and_told_once() {
        // numbers are not looked up anywhere
        assert_eq!(resolve(c"192.0.2.7", 8).unwrap(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolve(c"2001:db8::7", 1).unwrap(), ["2001:db8::7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn names_are_whole_unless_the_hosts_file_has_them() {
        let hosts = [
            &b"127.0.0.1\tlocalhost  db.test # old.test\nno-address word.test\n192.0.2.1 "[..],
            &[b'x'; 600],
            b" long.test",
        ];
        let hosts = hosts.concat();
        for (name, expected) in [
            (c"localhost", c"localhost"),
            (c"db.test", c"db.test"),
            (c"b.test", c"b.test."),
            (c"old.test", c"old.test."),
            (c"word.test", c"word.test."),
            (c"long.test", c"long.test."),
            (c"api.test.", c"api.test."),
            (c"192.0.2.7", c"192.0.2.7"),
            (c"2001:db8::7", c"2001:db8::7"),
            (c"", c""),
        ] {
            assert_eq!(&*whole(name, &hosts), expected);
        }
    }

    #[test]
    fn what_is_no_name_is_told_without_a_question() {
        let long = std::ffi::CString::new(format!("{}.invalid", "a".repeat(64))).unwrap();
        assert!(resolve(&long, 8).is_err());
        assert!(resolve(c"", 8).is_err());
    }
}
