//! One line of `jail.network.allow`.

use super::class::{self, Class};
use super::{DnsName, Network, Ports, RuleFault, grammar};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One grant: where to, on which ports, under which conditions. Every value of this type is a rule that may be applied: it
/// comes from [`Rule::parse`] or from a [`Written`], also across the border of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rule {
    to: Destination,
    ports: Ports,
    private: bool,
    dangerous: bool,
    raw: bool,
}

/// Where a rule leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// This name and no other.
    Name(DnsName),
    /// `*.name`: one or more labels below it, not the name itself.
    Below(DnsName),
    /// `*`: every name.
    AnyName,
    /// An address, or a block of them.
    Network(Network),
    /// The machine's own loopback: 127.0.0.1 and ::1.
    Localhost,
}

/// A rule as a profile has it: a string alone, or `{ to = "…", private = true, dangerous = true, raw = true }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// `api.github.com:443`.
    pub to: String,
    /// The name may resolve to private addresses (RFC 1918, RFC 6598, RFC 4193); of a block, grants those too.
    #[serde(default)]
    pub private: bool,
    /// Grants what is refused otherwise: a metadata address as a literal, a very large block, every name.
    #[serde(default)]
    pub dangerous: bool,
    /// The first bytes are not looked at: no SNI on 443, no Host on 80 (ssh over 443).
    #[serde(default)]
    pub raw: bool,
}

impl Rule {
    /// Reads the plain form, `name:ports`.
    ///
    /// # Errors
    /// [`RuleFault`]: what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Rule, RuleFault> {
        Rule::try_from(Written { to: text.to_owned(), ..Written::default() })
    }

    /// Where to.
    #[must_use]
    pub fn to(&self) -> &Destination {
        &self.to
    }

    /// TCP ports.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The name may resolve to private addresses; a block that is not wholly private grants those, too.
    #[must_use]
    pub fn private(&self) -> bool {
        self.private
    }

    /// Grants what is refused otherwise: a metadata address as a literal, a very large block, every name.
    #[must_use]
    pub fn dangerous(&self) -> bool {
        self.dangerous
    }

    /// The first bytes are not looked at.
    #[must_use]
    pub fn raw(&self) -> bool {
        self.raw
    }

    /// Whether it grants by name: what a stranger's DNS says is then where it leads.
    #[must_use]
    pub fn is_named(&self) -> bool {
        matches!(self.to, Destination::Name(_) | Destination::Below(_) | Destination::AnyName)
    }

    /// Whether the rule has the name, on whatever port. The loopback's name is only ever [`Destination::Localhost`].
    #[must_use]
    pub fn names(&self, name: &DnsName) -> bool {
        match &self.to {
            Destination::Name(own) => own == name,
            Destination::Below(apex) => name.is_below(apex),
            Destination::AnyName => !is_localhost(name),
            Destination::Localhost => name.as_str() == LOCALHOST,
            Destination::Network(_) => false,
        }
    }

    /// Whether the rule grants the address itself, on whatever port. IPv4-mapped addresses count as IPv4.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self.to {
            Destination::Localhost => address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST,
            Destination::Network(network) if network.is_single() => network.address() == address,
            Destination::Network(network) => {
                network.contains(address)
                    && match class::class(address) {
                        Class::Public => true,
                        Class::Private => self.private || !class::classes(&network).contains(&Class::Public),
                        _ => false,
                    }
            }
            Destination::Name(_) | Destination::Below(_) | Destination::AnyName => false,
        }
    }

    /// Whether an address that one of its names resolves to may be handed out and connected to.
    #[must_use]
    pub fn resolves_to(&self, address: IpAddr) -> bool {
        match self.to {
            Destination::Localhost => self.holds(address),
            Destination::Network(_) => false,
            Destination::Name(_) | Destination::Below(_) | Destination::AnyName => match class::class(address) {
                Class::Public => true,
                Class::Private => self.private,
                _ => false,
            },
        }
    }

    /// Whether it leads into the machine's own network or to the machine: what an administrator forbids by
    /// `forbid-private-network`.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
            || match self.to {
                Destination::Localhost => true,
                Destination::Network(network) => !class::classes(&network).contains(&Class::Public),
                Destination::Name(_) | Destination::Below(_) | Destination::AnyName => false,
            }
    }

    /// As a profile has it: a string in quotation marks, or a table.
    #[must_use]
    pub fn in_profile(&self) -> String {
        let Rule { to: _, ports: _, private, dangerous, raw } = *self;
        let mut flags = String::new();
        for (set, key) in [(private, "private"), (dangerous, "dangerous"), (raw, "raw")] {
            if set {
                flags.push_str(", ");
                flags.push_str(key);
                flags.push_str(" = true");
            }
        }
        if flags.is_empty() { format!("\"{self}\"") } else { format!("{{ to = \"{self}\"{flags} }}") }
    }
}

/// The one name that is the machine's loopback.
pub(super) const LOCALHOST: &str = "localhost";

/// Whether the name is the loopback's by RFC 6761 section 6.3.
pub(super) fn is_localhost(name: &DnsName) -> bool {
    name.as_str().strip_suffix(LOCALHOST).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl TryFrom<Written> for Rule {
    type Error = RuleFault;

    fn try_from(written: Written) -> Result<Rule, RuleFault> {
        let Written { to, private, dangerous, raw } = written;
        let (to, ports) = grammar::read(&to)?;
        let needs = if dangerous { None } else { grammar::danger(&to) };
        match needs {
            Some(what) => Err(RuleFault::NeedsDangerous { what }),
            None => Ok(Rule { to, ports, private, dangerous, raw }),
        }
    }
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Written {
        let Rule { to: _, ports: _, private, dangerous, raw } = rule;
        Written { to: rule.to_string(), private, dangerous, raw }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Name(name) => write!(f, "{name}"),
            Destination::Below(apex) => write!(f, "*.{apex}"),
            Destination::AnyName => f.write_str("*"),
            Destination::Network(network) => write!(f, "{network}"),
            Destination::Localhost => f.write_str(LOCALHOST),
        }
    }
}

/// The plain form, without the conditions.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.to, self.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ip, name};
    use super::*;
    use proptest::prelude::*;

    fn table(to: &str, flags: &str) -> Result<Rule, RuleFault> {
        let has = |flag: char| flags.contains(flag);
        Rule::try_from(Written { to: to.to_owned(), private: has('p'), dangerous: has('d'), raw: has('r') })
    }

    #[test]
    fn names_are_exact() {
        let exact = Rule::parse("API.github.com.:443").unwrap();
        assert_eq!(exact.to_string(), "api.github.com:443");
        assert!(exact.names(&name("api.GITHUB.com.")));
        for other in ["github.com", "x.api.github.com", "api.github.com.evil.net", "xapi.github.com", "api.github.co"] {
            assert!(!exact.names(&name(other)), "{other}");
        }
        let below = Rule::parse("*.github.com:443").unwrap();
        assert!(below.names(&name("api.github.com")) && below.names(&name("a.b.github.com")));
        for other in ["github.com", "xgithub.com", "github.com.evil.net", "api.github.com.evil.net", "com"] {
            assert!(!below.names(&name(other)), "{other}");
        }
    }

    #[test]
    fn every_name_is_not_the_loopback() {
        let any = table("*:443", "d").unwrap();
        assert!(any.names(&name("example.com")) && any.names(&name("notlocalhost")));
        assert!(!any.names(&name("localhost")) && !any.names(&name("a.localhost")));
        let localhost = Rule::parse("localhost:5432").unwrap();
        assert!(localhost.names(&name("LOCALHOST.")) && !localhost.names(&name("a.localhost")));
        assert!(localhost.resolves_to(ip("::1")) && !localhost.resolves_to(ip("127.0.0.2")));
    }

    #[test]
    fn names_lead_to_public_addresses_unless_told_otherwise() {
        let plain = Rule::parse("db.example:5432").unwrap();
        let private = table("db.example:5432", "p").unwrap();
        let dangerous = table("*:443", "dpr").unwrap();
        for (address, by_plain, by_private) in [
            ("93.184.216.34", true, true),
            ("2606:4700::1111", true, true),
            ("10.0.0.1", false, true),
            ("fd00::1", false, true),
            ("::ffff:10.0.0.1", false, true),
            ("64:ff9b::10.0.0.1", false, true),
            ("100.64.0.1", false, true),
            ("127.0.0.1", false, false),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("169.254.169.254", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("100.100.100.200", false, false),
            ("fd00:ec2::254", false, false),
            ("168.63.129.16", false, false),
            ("169.254.1.1", false, false),
            ("fe80::1", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("2002:7f00:1::", false, false),
        ] {
            assert_eq!(plain.resolves_to(ip(address)), by_plain, "{address}");
            assert_eq!(private.resolves_to(ip(address)), by_private, "{address}");
            assert_eq!(dangerous.resolves_to(ip(address)), by_private, "{address}");
            assert!(!plain.holds(ip(address)), "{address}");
        }
    }

    #[test]
    fn literals_and_blocks() {
        let holds = |rule: &Rule, addresses: &str| addresses.split(' ').map(|a| rule.holds(ip(a))).collect::<Vec<_>>();
        let loopback = Rule::parse("127.0.0.1:80").unwrap();
        assert_eq!(holds(&loopback, "127.0.0.1 ::ffff:127.0.0.1 127.0.0.2 ::1"), [true, true, false, false]);
        let localhost = Rule::parse("localhost:80").unwrap();
        assert_eq!(
            holds(&localhost, "127.0.0.1 ::1 ::ffff:127.0.0.1 127.0.0.2 0.0.0.0"),
            [true, true, true, false, false]
        );
        let private = Rule::parse("10.0.0.0/8:80").unwrap();
        assert_eq!(holds(&private, "10.1.2.3 ::ffff:10.1.2.3 11.0.0.0"), [true, true, false]);
        let shared = Rule::parse("100.64.0.0/10:80").unwrap();
        assert_eq!(holds(&shared, "100.64.0.1 100.100.100.200 100.96.0.96"), [true, false, false]);
        let local = Rule::parse("[fd00::/8]:80").unwrap();
        assert_eq!(holds(&local, "fd00::1 fd00:ec2::254 fd20:ce::254"), [true, false, false]);
        let all = "8.8.8.8 10.0.0.1 127.0.0.1 169.254.169.254 0.0.0.0 224.0.0.1 168.63.129.16";
        let world = table("0.0.0.0/0:80", "d").unwrap();
        assert_eq!(holds(&world, all), [true, false, false, false, false, false, false]);
        let world = table("0.0.0.0/0:80", "dp").unwrap();
        assert_eq!(holds(&world, all), [true, true, false, false, false, false, false]);
        let six = table("[::/0]:80", "dp").unwrap();
        let all = "2a00::1 fd00::1 ::1 :: fe80::1 fd00:ec2::254 8.8.8.8 ::ffff:8.8.8.8";
        assert_eq!(holds(&six, all), [true, true, false, false, false, false, false, false]);
        let metadata = table("169.254.169.254:80", "d").unwrap();
        assert_eq!(holds(&metadata, "169.254.169.254 169.254.169.253"), [true, false]);
    }

    #[test]
    fn what_an_administrator_calls_private() {
        for rule in ["localhost:80", "10.0.0.1:80", "192.168.0.0/16:80", "[::1]:80", "[fd00::/8]:80", "127.0.0.9:80"] {
            assert!(Rule::parse(rule).unwrap().is_private(), "{rule}");
        }
        for rule in ["example.com:80", "8.8.8.8:80", "192.0.0.0/8:80", "[2a00::/16]:80"] {
            assert!(!Rule::parse(rule).unwrap().is_private(), "{rule}");
        }
        assert!(table("example.com:80", "p").unwrap().is_private());
        assert!(table("169.254.169.254:80", "d").unwrap().is_private());
    }

    #[test]
    fn as_profiles_have_it() {
        assert_eq!(Rule::parse("A.b:80,443").unwrap().in_profile(), "\"a.b:80,443\"");
        let rule = table("*:443", "dr").unwrap();
        assert_eq!(rule.in_profile(), "{ to = \"*:443\", dangerous = true, raw = true }");
    }

    #[test]
    fn nothing_invalid_crosses_a_border() {
        let encoded = |to: &str, dangerous| {
            postcard::to_allocvec(&Written { to: to.to_owned(), private: false, dangerous, raw: false }).unwrap()
        };
        assert!(postcard::from_bytes::<Rule>(&encoded("example.com:443", false)).is_ok());
        assert!(postcard::from_bytes::<Rule>(&encoded("*:443", true)).is_ok());
        for (to, dangerous) in [("*:443", false), ("example.com:53", true), ("10.0.0.1/8:80", true), ("127.1:80", true)]
        {
            assert!(postcard::from_bytes::<Rule>(&encoded(to, dangerous)).is_err(), "{to}");
        }
    }

    proptest! {
        /// What is shown of a rule means the rule.
        #[test]
        fn display_reads_back(to in "(\\*\\.)?[a-z]{1,8}(\\.[a-z0-9-]{0,8}[a-z]){0,3}|([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{1,2})?|\\[[0-9a-f]{0,4}::[0-9a-f]{0,4}(/[0-9]{1,3})?\\]",
                              port in 54_u16.., flags in "[pdr]{0,3}") {
            if let Ok(rule) = table(&format!("{to}:{port}"), &flags) {
                let bytes = postcard::to_allocvec(&rule).unwrap();
                prop_assert_eq!(&postcard::from_bytes::<Rule>(&bytes).unwrap(), &rule);
                let again = table(&rule.to_string(), &flags).unwrap();
                prop_assert_eq!(again, rule);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}", private: bool, dangerous: bool) {
            let _any = Rule::try_from(Written { to: text, private, dangerous, raw: false }).map_err(|fault| (fault.to_string(), fault.remedy()));
        }
    }
}
