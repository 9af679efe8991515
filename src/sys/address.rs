//! Internet addresses as the kernel has them. Source: ip(7), ipv6(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Room for the address of either family, and how much of it is used.
pub(super) struct Encoded {
    room: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl Encoded {
    /// The address as system calls take it.
    pub(super) fn new(address: SocketAddr) -> Encoded {
        // SAFETY: all-zero is a valid `sockaddr_storage`: it holds bytes only.
        let room: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let mut encoded = Encoded { room, length: 0 };
        let room = &raw mut encoded.room;
        encoded.length = match address {
            SocketAddr::V4(v4) => {
                // SAFETY: all-zero is a valid `sockaddr_in`: it holds integers only.
                let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                raw.sin_family = family(libc::AF_INET);
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                // SAFETY: a `sockaddr_storage` is large enough and aligned for the address of every family.
                unsafe { room.cast::<libc::sockaddr_in>().write(raw) };
                length::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                // SAFETY: all-zero is a valid `sockaddr_in6`: it holds integers only.
                let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                raw.sin6_family = family(libc::AF_INET6);
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_flowinfo = v6.flowinfo();
                raw.sin6_scope_id = v6.scope_id();
                // SAFETY: as above.
                unsafe { room.cast::<libc::sockaddr_in6>().write(raw) };
                length::<libc::sockaddr_in6>()
            }
        };
        encoded
    }

    /// Room for an answer of the kernel's.
    pub(super) fn empty() -> Encoded {
        // SAFETY: all-zero is a valid `sockaddr_storage`: it holds bytes only.
        let room = unsafe { std::mem::zeroed() };
        Encoded { room, length: length::<libc::sockaddr_storage>() }
    }

    /// What a system call reads.
    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.room).cast()
    }

    /// How many bytes of it.
    pub(super) fn length(&self) -> libc::socklen_t {
        self.length
    }

    /// What a system call writes: the address and its length.
    pub(super) fn as_mut_ptr(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.room).cast(), &raw mut self.length)
    }

    /// What is there; `None` for another family.
    pub(super) fn decode(&self) -> Option<SocketAddr> {
        let length = self.length.min(length::<libc::sockaddr_storage>());
        // SAFETY: `room` holds at least that many bytes.
        unsafe { decode(self.as_ptr(), length) }
    }
}

/// Reads an address that the kernel or the C library wrote; `None` for another family than IPv4 and IPv6, or for too few
/// bytes.
///
/// # Safety
/// `address` is null, or points at `length` bytes that may be read.
pub(super) unsafe fn decode(address: *const libc::sockaddr, length: libc::socklen_t) -> Option<SocketAddr> {
    if address.is_null() || length < self::length::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the family is the first member of every address, and the caller says that it may be read.
    let found = i32::from(unsafe { address.cast::<libc::sa_family_t>().read_unaligned() });
    match found {
        libc::AF_INET if length >= self::length::<libc::sockaddr_in>() => {
            // SAFETY: there are enough bytes for one, as was just looked at; any bytes are a valid one.
            let raw = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(raw.sin_port)))
        }
        libc::AF_INET6 if length >= self::length::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let raw = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id)))
        }
        _ => None,
    }
}

/// The families' numbers are small.
fn family(number: i32) -> libc::sa_family_t {
    number.try_into().unwrap_or(libc::sa_family_t::MAX)
}

fn length<T>() -> libc::socklen_t {
    size_of::<T>().try_into().unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_were_written() {
        for text in ["1.2.3.4:5", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:443", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Encoded::new(address).decode(), Some(address));
        }
        let zone = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 1, 9));
        assert_eq!(Encoded::new(zone).decode(), Some(zone));
    }

    #[test]
    fn what_is_short_or_of_another_family_is_none() {
        let mut encoded = Encoded::new("1.2.3.4:5".parse().unwrap());
        encoded.length -= 1;
        assert_eq!(encoded.decode(), None);
        assert_eq!(Encoded::empty().decode(), None, "family 0");
        // SAFETY: null is allowed.
        assert_eq!(unsafe { decode(std::ptr::null(), 16) }, None);
        let bytes = [0u8; 1];
        // SAFETY: one byte that may be read.
        assert_eq!(unsafe { decode(bytes.as_ptr().cast(), 1) }, None);
    }
}
