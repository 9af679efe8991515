//! Blocks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses; bits below the prefix are zero. A single address has the full prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None` where the prefix is longer than the address, or bits below it are set.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        let network = Network { address, prefix };
        (prefix <= width(address) && network.around() == network).then_some(network)
    }

    /// The block of one address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Network {
        Network { address, prefix: width(address) }
    }

    /// The block of this length that holds the address; the prefix is cut to the address's length.
    #[must_use]
    pub fn of(address: IpAddr, prefix: u8) -> Network {
        Network { address, prefix: prefix.min(width(address)) }.around()
    }

    /// For tables: four bytes, no bits below the prefix.
    pub(super) const fn v4(bytes: [u8; 4], prefix: u8) -> Network {
        let [a, b, c, d] = bytes;
        Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    /// For tables: eight groups, no bits below the prefix.
    pub(super) const fn v6(groups: [u16; 8], prefix: u8) -> Network {
        let [a, b, c, d, e, f, g, h] = groups;
        Network { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
    }

    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of the prefix, bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is one address.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.prefix == width(self.address)
    }

    /// Whether the address lies in it. An IPv4-mapped address lies in no block of IPv4: fold it before.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Network { address, prefix: self.prefix }.around() == *self && address.is_ipv4() == self.address.is_ipv4()
    }

    /// Whether all of `other` lies in it; a block lies in itself.
    #[must_use]
    pub fn covers(&self, other: &Network) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Its lower and its upper half; `None` for a single address.
    pub(super) fn halves(&self) -> Option<(Network, Network)> {
        if self.is_single() {
            return None;
        }
        let prefix = self.prefix + 1;
        let upper = match self.address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | (1 << (32 - prefix)))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() | (1 << (128 - prefix)))),
        };
        Some((Network { address: self.address, prefix }, Network { address: upper, prefix }))
    }

    /// With the bits below the prefix made zero.
    fn around(self) -> Network {
        let prefix = u32::from(self.prefix);
        // A shift by the full width has no result: that mask is empty.
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = 32_u32.checked_sub(prefix).map_or(u32::MAX, |low| u32::MAX.checked_shl(low).unwrap_or(0));
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = 128_u32.checked_sub(prefix).map_or(u128::MAX, |low| u128::MAX.checked_shl(low).unwrap_or(0));
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Network { address, ..self }
    }
}

/// Bits of an address of this family.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `10.0.0.0/8`, `192.0.2.1`, `[fd00::/8]`, `[::1]`: as in a rule, before the port.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.is_single()) {
            (IpAddr::V4(address), true) => write!(f, "{address}"),
            (IpAddr::V4(address), false) => write!(f, "{address}/{}", self.prefix),
            (IpAddr::V6(address), true) => write!(f, "[{address}]"),
            (IpAddr::V6(address), false) => write!(f, "[{address}/{}]", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(address: &str, prefix: u8) -> Option<Network> {
        Network::new(address.parse().unwrap(), prefix)
    }

    #[test]
    fn only_with_zeros_below_the_prefix() {
        for (address, prefix) in
            [("10.0.0.0", 8), ("0.0.0.0", 0), ("1.2.3.4", 32), ("::", 0), ("fd00::", 8), ("::1", 128)]
        {
            assert!(net(address, prefix).is_some(), "{address}/{prefix}");
        }
        for (address, prefix) in [("10.0.0.1", 8), ("1.2.3.4", 33), ("128.0.0.0", 0), ("fd00::1", 8), ("::", 129)] {
            assert_eq!(net(address, prefix), None, "{address}/{prefix}");
        }
        assert_eq!(Network::of("10.9.8.7".parse().unwrap(), 8), net("10.0.0.0", 8).unwrap());
        assert_eq!(Network::of("10.9.8.7".parse().unwrap(), 200), net("10.9.8.7", 32).unwrap());
    }

    #[test]
    fn borders() {
        let holds = |network: Option<Network>, address: &str| network.unwrap().contains(address.parse().unwrap());
        assert!(holds(net("172.16.0.0", 12), "172.31.255.255") && !holds(net("172.16.0.0", 12), "172.32.0.0"));
        assert!(holds(net("172.16.0.0", 12), "172.16.0.0") && !holds(net("172.16.0.0", 12), "172.15.255.255"));
        assert!(holds(net("0.0.0.0", 0), "255.255.255.255") && !holds(net("0.0.0.0", 0), "::"));
        assert!(holds(net("::", 0), "ffff::") && !holds(net("::", 0), "0.0.0.0"));
        assert!(!holds(net("::", 0), "1.2.3.4") && !holds(net("1.2.3.4", 32), "::ffff:1.2.3.4"));
        let outer = net("10.0.0.0", 8).unwrap();
        assert!(outer.covers(&outer) && outer.covers(&net("10.1.0.0", 16).unwrap()));
        assert!(!net("10.1.0.0", 16).unwrap().covers(&outer));
    }

    #[test]
    fn halves() {
        assert_eq!(
            net("10.0.0.0", 8).unwrap().halves(),
            Some((net("10.0.0.0", 9).unwrap(), net("10.128.0.0", 9).unwrap()))
        );
        assert_eq!(net("::", 0).unwrap().halves(), Some((net("::", 1).unwrap(), net("8000::", 1).unwrap())));
        assert_eq!(net("1.2.3.4", 32).unwrap().halves(), None);
    }

    #[test]
    fn display() {
        let shown = [
            ("10.0.0.0", 8, "10.0.0.0/8"),
            ("1.2.3.4", 32, "1.2.3.4"),
            ("fd00::", 8, "[fd00::/8]"),
            ("::1", 128, "[::1]"),
        ];
        for (address, prefix, text) in shown {
            assert_eq!(net(address, prefix).unwrap().to_string(), text);
        }
    }
}
