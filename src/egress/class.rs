//! What kind of address: where a packet to it would go.
//!
//! Names lead to public addresses only, whatever their owner writes into the DNS; everything that could be the machine
//! itself, its network or its cloud is a class of its own. Sources: IANA's special-purpose address registries of IPv4 and
//! IPv6, IANA's multicast and IPv6 address space registries, the RFC named in each line, and for the services of clouds
//! their own documentation. A block that a registry calls globally reachable is special all the same where it is an anycast
//! to the nearest device of one's own network.
//!
//! What cannot be known: a network may translate IPv6 to IPv4 under a prefix of its own (RFC 6052 section 2.2). Such
//! addresses look like any public ones.

use super::Network;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where packets to an address go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// To the internet.
    Public,
    /// To the machine's own network, or its provider's; or to a range that no network routes but those that borrow it
    /// (documentation, benchmarks).
    Private,
    /// To the machine itself.
    Loopback,
    /// To the machine's own link.
    LinkLocal,
    /// To a service that gives the machine's own credentials to whoever asks.
    Metadata,
    /// To groups of machines.
    Multicast,
    /// Nowhere, or to what is no host: unassigned, protocols' own.
    Special,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "public",
            Class::Private => "private",
            Class::Loopback => "loopback",
            Class::LinkLocal => "link-local",
            Class::Metadata => "a cloud's metadata service",
            Class::Multicast => "multicast",
            Class::Special => "special",
        })
    }
}

use Class::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Special};

/// The longest prefix that holds an address decides.
static V4: &[(Network, Class)] = &[
    (Network::v4([0, 0, 0, 0], 0), Public),
    (Network::v4([0, 0, 0, 0], 8), Special), // this network: RFC 791; Linux connects 0.0.0.0 to itself
    (Network::v4([10, 0, 0, 0], 8), Private), // RFC 1918
    (Network::v4([100, 64, 0, 0], 10), Private), // carrier-grade NAT: RFC 6598; overlay networks use it, too
    (Network::v4([100, 80, 80, 80], 32), Metadata), // UCloud
    (Network::v4([100, 96, 0, 96], 32), Metadata), // Volcano Engine
    (Network::v4([100, 100, 100, 200], 32), Metadata), // Alibaba Cloud
    (Network::v4([127, 0, 0, 0], 8), Loopback), // RFC 1122
    (Network::v4([168, 63, 129, 16], 32), Metadata), // Azure's WireServer, the one in the middle of public space
    (Network::v4([169, 254, 0, 0], 16), LinkLocal), // RFC 3927
    (Network::v4([169, 254, 0, 23], 32), Metadata), // Tencent Cloud
    (Network::v4([169, 254, 10, 10], 32), Metadata), // Tencent Cloud
    (Network::v4([169, 254, 42, 42], 32), Metadata), // Scaleway
    (Network::v4([169, 254, 169, 254], 32), Metadata), // AWS, Azure, Google Cloud, OpenStack, Oracle, most others
    (Network::v4([169, 254, 170, 2], 32), Metadata), // AWS ECS: credentials of a task
    (Network::v4([169, 254, 170, 23], 32), Metadata), // AWS EKS: credentials of a pod
    (Network::v4([172, 16, 0, 0], 12), Private), // RFC 1918
    (Network::v4([192, 0, 0, 0], 24), Special), // protocol assignments: RFC 6890; anycast to the nearest NAT among them
    (Network::v4([192, 0, 0, 192], 32), Metadata), // Oracle Cloud Classic
    (Network::v4([192, 0, 2, 0], 24), Private), // documentation: RFC 5737
    (Network::v4([192, 31, 196, 0], 24), Special), // AS112, anycast: RFC 7535
    (Network::v4([192, 52, 193, 0], 24), Special), // AMT relays, anycast: RFC 7450
    (Network::v4([192, 88, 99, 0], 24), Special), // 6to4 relays, anycast: RFC 7526
    (Network::v4([192, 168, 0, 0], 16), Private), // RFC 1918
    (Network::v4([192, 175, 48, 0], 24), Special), // AS112, anycast: RFC 7534
    (Network::v4([198, 18, 0, 0], 15), Private), // benchmarks: RFC 2544; private networks' clients answer with it, too
    (Network::v4([198, 51, 100, 0], 24), Private), // documentation: RFC 5737
    (Network::v4([203, 0, 113, 0], 24), Private), // documentation: RFC 5737
    (Network::v4([224, 0, 0, 0], 4), Multicast), // RFC 5771
    (Network::v4([240, 0, 0, 0], 4), Special), // reserved: RFC 1112; the limited broadcast: RFC 919
];

/// The longest prefix that holds an address decides; forms that embed an IPv4 address are judged before by [`embedded`].
static V6: &[(Network, Class)] = &[
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 0), Special), // not assigned: RFC 4291
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Loopback), // RFC 4291
    (Network::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3), Public), // global unicast: RFC 4291
    (Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Special), // protocol assignments (ORCHID, AMT, benchmarks, …): RFC 2928
    (Network::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Private), // documentation: RFC 3849
    (Network::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Special), // 6to4: RFC 3056
    (Network::v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), Special), // AS112, anycast: RFC 7534
    (Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Private), // documentation: RFC 9637
    (Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Private),  // unique local: RFC 4193
    (Network::v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), Metadata), // Scaleway
    (Network::v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), Metadata), // Oracle Cloud
    (Network::v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128), Metadata), // Alibaba Cloud
    (Network::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128), Metadata), // AWS EKS: credentials of a pod
    (Network::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Metadata), // AWS
    (Network::v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128), Metadata), // Akamai
    (Network::v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Metadata), // Google Cloud
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LinkLocal), // RFC 4291
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), Metadata), // OpenStack
    (Network::v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Private), // site-local, deprecated and still routed: RFC 3879
    (Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Multicast), // RFC 4291
];

/// The class of an address. What embeds an IPv4 address that is not public is of that address's class.
#[must_use]
pub fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(_) => looked_up(V4, &Network::single(address)),
        IpAddr::V6(v6) => match embedded(v6) {
            None => looked_up(V6, &Network::single(address)),
            Some(Embedded { inner, leads_there }) => {
                let other = inner.into_iter().map(|inner| class(IpAddr::V4(inner))).find(|class| *class != Public);
                other.unwrap_or(if leads_there { Public } else { Special })
            }
        },
    }
}

/// The classes that a block of addresses holds, without repetition; forms that embed IPv4 addresses count as special.
pub(super) fn classes(network: &Network) -> Vec<Class> {
    let mut found = Vec::new();
    gather(if network.address().is_ipv4() { V4 } else { V6 }, network, &mut found);
    found
}

fn gather(table: &[(Network, Class)], network: &Network, found: &mut Vec<Class>) {
    let divided = table.iter().any(|(row, _)| row != network && network.covers(row));
    match network.halves().filter(|_| divided) {
        Some((lower, upper)) => {
            gather(table, &lower, found);
            gather(table, &upper, found);
        }
        None => {
            let class = looked_up(table, network);
            if !found.contains(&class) {
                found.push(class);
            }
        }
    }
}

fn looked_up(table: &[(Network, Class)], network: &Network) -> Class {
    let rows = table.iter().filter(|(row, _)| row.covers(network));
    rows.max_by_key(|(row, _)| row.prefix()).map_or(Special, |(_, class)| *class)
}

/// What an IPv6 address holds of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Embedded {
    /// The address, twice; or, of Teredo, the server's and the client's.
    pub(super) inner: [Ipv4Addr; 2],
    /// Whether a packet to it goes to the embedded address by a path that networks run today.
    pub(super) leads_there: bool,
}

/// What the address holds of IPv4, where its form says that it holds some.
pub(super) fn embedded(address: Ipv6Addr) -> Option<Embedded> {
    let bits = address.to_bits();
    let octets = address.octets();
    let [_, _, a, b, c, d, e, f, ..] = octets;
    let low = Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0));
    let form = |inner, leads_there| Some(Embedded { inner: [inner, inner], leads_there });
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,              // unspecified and loopback
        [0, 0, 0, 0, 0, 0xffff, ..] => form(low, true),    // IPv4-mapped: RFC 4291 section 2.5.5.2
        [0, 0, 0, 0, 0, 0, ..] => form(low, false),        // IPv4-compatible, deprecated: RFC 4291 section 2.5.5.1
        [0, 0, 0, 0, 0xffff, 0, ..] => form(low, false),   // IPv4-translated: RFC 2765
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => form(low, true), // NAT64: RFC 6052
        // NAT64 of local use, RFC 8215: any /96 in it. Shorter prefixes would read such an address as one that ends in `.0.0`
        // or begins with `0.0.0`, which is no host.
        [0x64, 0xff9b, 1, _, 0, 0, ..] => form(low, true),
        [0x2001, 0, ..] => {
            let server = Ipv4Addr::new(c, d, e, f);
            Some(Embedded { inner: [server, Ipv4Addr::from_bits(!low.to_bits())], leads_there: false }) // Teredo: RFC 4380
        }
        [0x2002, ..] => form(Ipv4Addr::new(a, b, c, d), false), // 6to4: RFC 3056
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Class {
        class(text.parse().unwrap())
    }

    #[test]
    fn the_border_of_every_range() {
        let cases = [
            (Special, "0.0.0.0 0.255.255.255 192.0.0.0 192.0.0.255 192.31.196.1 192.52.193.255 192.88.99.1"),
            (Special, "192.175.48.255 240.0.0.0 255.255.255.255"),
            (Private, "10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 100.100.100.199 100.100.100.201 172.16.0.0"),
            (Private, "172.31.255.255 192.168.0.0 192.168.255.255"),
            (Private, "192.0.2.1 198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.255"),
            (Loopback, "127.0.0.0 127.0.0.1 127.0.0.53 127.255.255.255"),
            (LinkLocal, "169.254.0.0 169.254.255.255 169.254.169.253"),
            (Metadata, "169.254.169.254 169.254.170.2 169.254.170.23 169.254.0.23 169.254.42.42 100.100.100.200"),
            (Metadata, "100.96.0.96 100.80.80.80 192.0.0.192 168.63.129.16 169.254.10.10"),
            (Multicast, "224.0.0.0 239.255.255.255"),
            (Public, "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0"),
            (
                Public,
                "168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255",
            ),
            (Public, "192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255"),
            (Special, ":: ::2:0:0:0 100:: 100:0:0:1::5 1:2:3:4:5:6:7:8 2001:1::1 2001:2::1 2001:1ff:ffff::1"),
            (Special, "2620:4f:8000::1 4000:: 5f00::1 fbff:: fe00::1 fe7f:ffff::"),
            (Loopback, "::1"),
            (Private, "fc00:: fdff:ffff:: fec0:: feff:ffff:: fd00:ec2::253 2001:db8::1 3fff::1 3fff:fff:ffff::1"),
            (LinkLocal, "fe80:: febf:ffff::"),
            (Metadata, "fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42 fe80::a9fe:a9fe"),
            (Metadata, "fd00:100::100:200 fd00:a9fe:a9fe::1"),
            (Multicast, "ff00:: ff02::1 ffff:ffff::"),
            (
                Public,
                "2000:: 2001:200:: 2606:4700::1111 2001:db7:: 2001:db9:: 2620:4f:8001:: 2a00::1 3ffe:: 3fff:1000::",
            ),
        ];
        for (expected, addresses) in cases {
            for address in addresses.split(' ') {
                assert_eq!(of(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn embedded_addresses_are_judged() {
        let cases = [
            (
                Loopback,
                "::ffff:127.0.0.1 ::ffff:0:127.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1::",
            ),
            (Private, "::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::192.168.1.1 64:ff9b:1:fffe::10.0.0.1 2002:a00:1::5"),
            (Metadata, "::ffff:169.254.169.254 64:ff9b::169.254.169.254 2002:a9fe:a9fe:: ::169.254.169.254"),
            (Special, "::ffff:0.0.0.0 64:ff9b::0.0.0.0 ::2 ::8.8.8.8 2002:808:808::1 ::ffff:0:8.8.8.8"),
            // Teredo: server, then client, whose bits are turned over
            (Private, "2001:0:a00:1::f7f7:f7f7 2001:0:808:808::f5ff:fffe"),
            (Metadata, "2001:0:808:808::5601:5601"),
            (Special, "2001:0:808:808::f7f7:f7f7 64:ff9b:1:1:1::8.8.8.8 64:ff9b:2::8.8.8.8 64:ff9b:0:0:1::8.8.8.8"),
            (Public, "::ffff:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b:1::8.8.8.8 64:ff9b:1:fffe::8.8.8.8"),
        ];
        for (expected, addresses) in cases {
            for address in addresses.split(' ') {
                assert_eq!(of(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn tables_hold_blocks_and_nothing_twice() {
        for table in [V4, V6] {
            for (row, _) in table {
                assert_eq!(Network::new(row.address(), row.prefix()), Some(*row), "{row}");
                assert_eq!(table.iter().filter(|(other, _)| other == row).count(), 1, "{row}");
            }
        }
    }

    #[test]
    fn what_blocks_hold() {
        let of = |address: &str, prefix| classes(&Network::new(address.parse().unwrap(), prefix).unwrap());
        assert_eq!(of("10.0.0.0", 8), [Private]);
        assert_eq!(of("10.0.0.0", 7), [Private, Public]);
        assert_eq!(of("100.64.0.0", 10), [Private, Metadata]);
        assert_eq!(of("127.0.0.0", 8), [Loopback]);
        assert_eq!(of("169.254.169.254", 32), [Metadata]);
        assert_eq!(of("224.0.0.0", 3), [Multicast, Special]);
        assert_eq!(of("8.8.8.0", 24), [Public]);
        assert_eq!(of("fd00::", 8), [Private, Metadata]);
        assert_eq!(of("2002::", 16), [Special]);
        assert_eq!(of("2001::", 16), [Special, Public, Private]);
        assert_eq!(of("0.0.0.0", 0).len(), 7);
    }

    proptest! {
        /// The libraries' own judgement of the ranges that both know.
        #[test]
        fn v4_agrees_with_the_standard_library(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let class = class(address.into());
            prop_assert_eq!(class == Loopback, address.is_loopback());
            prop_assert_eq!(class == Multicast, address.is_multicast());
            prop_assert!(!address.is_private() || class == Private);
            prop_assert!(!address.is_link_local() || matches!(class, LinkLocal | Metadata));
            prop_assert!(!address.is_documentation() || class == Private);
            prop_assert!(!address.is_unspecified() || class == Special);
        }

        /// No embedding makes an address more public than it is.
        #[test]
        fn no_form_hides_what_it_embeds(bits in any::<u32>(), rest in any::<u64>()) {
            let inner = class(Ipv4Addr::from_bits(bits).into());
            let low = u128::from(bits);
            let forms = [
                0xffff_0000_0000 | low,
                0xffff_0000_0000_0000 | low,
                (0x64_ff9b_u128 << 96) | low,
                (0x64_ff9b_0001_u128 << 80) | (u128::from(rest & 0xffff) << 64) | low,
                (0x2002_u128 << 112) | (low << 80) | u128::from(rest),
                (0x2001_u128 << 112) | (u128::from(0x0808_0808_u32) << 64) | u128::from(!bits),
            ];
            for form in forms {
                let outer = class(Ipv6Addr::from_bits(form).into());
                prop_assert!(outer == inner || (inner == Public && outer == Special), "{} {outer} {inner}", Ipv6Addr::from_bits(form));
            }
        }
    }
}
