//! All rules of a profile, as the broker asks them.

use super::{Class, DnsName, MOST_PORTS, Rule, RuleFault, class};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The rules of a profile, in its order. They add up: a connection is granted where one of them grants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rule>", into = "Vec<Rule>")]
pub struct Rules {
    rules: Vec<Rule>,
    ports: Vec<u16>,
}

impl Rules {
    /// # Errors
    /// [`RuleFault::TooManyPorts`] where all of them together have more than [`MOST_PORTS`].
    pub fn new(rules: Vec<Rule>) -> Result<Rules, RuleFault> {
        let ports: BTreeSet<u16> = rules.iter().flat_map(|rule| rule.ports().iter()).collect();
        if ports.len() > MOST_PORTS {
            return Err(RuleFault::TooManyPorts { count: ports.len() });
        }
        Ok(Rules { rules, ports: ports.into_iter().collect() })
    }

    /// Every granted port once, ascending: one listener each.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The rule of an index that a method of this type gave.
    #[must_use]
    pub fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    /// In the order of the profile.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.rules.iter()
    }

    /// The first rule that grants this address itself on this port. IPv4-mapped addresses count as IPv4.
    #[must_use]
    pub fn literal(&self, destination: SocketAddr) -> Option<usize> {
        self.rules.iter().position(|rule| rule.ports().contains(destination.port()) && rule.holds(destination.ip()))
    }

    /// The rule that grants a connection for the name to this address and port: one that is `raw`, if there is one, else the
    /// first. The address counts because a rule of another port may be the one that allows private addresses.
    #[must_use]
    pub fn named(&self, name: &DnsName, destination: SocketAddr) -> Option<usize> {
        let grants = |rule: &&Rule| {
            rule.ports().contains(destination.port()) && rule.names(name) && rule.resolves_to(destination.ip())
        };
        let granting = || self.rules.iter().enumerate().filter(|(_, rule)| grants(rule));
        granting().find(|(_, rule)| rule.raw()).or_else(|| granting().next()).map(|(index, _)| index)
    }

    /// Whether some rule has the name, on whatever port: only such names are asked of the machine's resolver.
    #[must_use]
    pub fn grants(&self, name: &DnsName) -> bool {
        self.rules.iter().any(|rule| rule.names(name))
    }

    /// Whether the address may be told to the server as one of this name's: a rule with the name allows its class, or some
    /// rule grants the address itself, and it is public or private. A stranger's name never leads to the loopback or to a
    /// metadata service, whatever is granted by address.
    #[must_use]
    pub fn hands_out(&self, name: &DnsName, address: IpAddr) -> bool {
        let by_address = || {
            matches!(class(address), Class::Public | Class::Private)
                && self.rules.iter().any(|rule| rule.holds(address))
        };
        let mut own = self.rules.iter().filter(|rule| rule.names(name)).peekable();
        own.peek().is_some() && (own.any(|rule| rule.resolves_to(address)) || by_address())
    }
}

impl TryFrom<Vec<Rule>> for Rules {
    type Error = RuleFault;

    fn try_from(rules: Vec<Rule>) -> Result<Rules, RuleFault> {
        Rules::new(rules)
    }
}

impl From<Rules> for Vec<Rule> {
    fn from(rules: Rules) -> Vec<Rule> {
        rules.rules
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ip, name, rules};
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_is_of_its_own_rule() {
        let rules = rules(&[("api.example:443", ""), ("db.example:5432", "p"), ("10.0.0.0/8:6379", "")]);
        assert_eq!(rules.ports(), [443, 5432, 6379]);
        assert_eq!(rules.named(&name("api.example"), at("93.184.216.34:443")), Some(0));
        assert_eq!(rules.named(&name("api.example"), at("93.184.216.34:5432")), None);
        assert_eq!(rules.named(&name("other.example"), at("93.184.216.34:443")), None);
        assert_eq!(rules.literal(at("10.1.1.1:6379")), Some(2));
        assert_eq!(rules.literal(at("[::ffff:10.1.1.1]:6379")), Some(2));
        assert_eq!(rules.literal(at("10.1.1.1:5432")), None);
        assert_eq!(rules.literal(at("93.184.216.34:443")), None);
    }

    #[test]
    fn what_one_port_may_do_another_may_not() {
        let rules = rules(&[("db.example:443", ""), ("db.example:5432", "p")]);
        assert!(rules.hands_out(&name("db.example"), ip("10.0.0.1")));
        assert_eq!(rules.named(&name("db.example"), at("10.0.0.1:5432")), Some(1));
        assert_eq!(rules.named(&name("db.example"), at("10.0.0.1:443")), None);
    }

    #[test]
    fn a_rule_that_looks_at_nothing_goes_first() {
        let rules = rules(&[("*.github.com:443", ""), ("ssh.github.com:443", "r")]);
        assert_eq!(rules.named(&name("ssh.github.com"), at("93.184.216.34:443")), Some(1));
        assert_eq!(rules.named(&name("api.github.com"), at("93.184.216.34:443")), Some(0));
        assert!(rules.rule(1).unwrap().raw() && rules.rule(2).is_none());
    }

    #[test]
    fn names_that_lead_to_granted_addresses_are_handed_out() {
        let rules = rules(&[("db.corp:443", ""), ("10.0.0.0/8:5432", ""), ("localhost:8080", "")]);
        assert!(rules.hands_out(&name("db.corp"), ip("10.0.0.1")));
        assert_eq!(rules.named(&name("db.corp"), at("10.0.0.1:443")), None);
        assert!(!rules.hands_out(&name("db.corp"), ip("192.168.0.1")));
        assert!(!rules.hands_out(&name("other.corp"), ip("10.0.0.1")));
        assert!(!rules.hands_out(&name("other.corp"), ip("93.184.216.34")));
        assert!(rules.grants(&name("localhost")) && rules.hands_out(&name("localhost"), ip("::1")));
        assert!(!rules.hands_out(&name("db.corp"), ip("169.254.169.254")));
        assert!(!rules.hands_out(&name("db.corp"), ip("127.0.0.1")));
    }

    #[test]
    fn a_metadata_literal_is_reached_as_written_only() {
        let granted = rules(&[("*:80", "dp"), ("169.254.169.254:80", "d")]);
        assert_eq!(granted.literal(at("169.254.169.254:80")), Some(1));
        assert!(!granted.hands_out(&name("example.com"), ip("169.254.169.254")));
        let names_only = rules(&[("*:80", "dp")]);
        assert_eq!(names_only.literal(at("169.254.169.254:80")), None);
        assert!(!names_only.hands_out(&name("metadata.google.internal"), ip("169.254.169.254")));
        assert_eq!(names_only.named(&name("metadata.google.internal"), at("169.254.169.254:80")), None);
    }

    #[test]
    fn ports_are_bounded_together() {
        let many = |count: u16| -> Vec<Rule> {
            (0..count).map(|i| Rule::parse(&format!("a.example:{}", 1000 + i)).unwrap()).collect()
        };
        assert_eq!(Rules::new(many(256)).unwrap().ports().len(), 256);
        assert_eq!(Rules::new(many(257)), Err(RuleFault::TooManyPorts { count: 257 }));
        let bytes = postcard::to_allocvec(&many(257)).unwrap();
        assert!(postcard::from_bytes::<Rules>(&bytes).is_err());
        let bytes = postcard::to_allocvec(&rules(&[("*:80", "d"), ("localhost:1", "")])).unwrap();
        assert_eq!(postcard::from_bytes::<Rules>(&bytes).unwrap(), rules(&[("*:80", "d"), ("localhost:1", "")]));
    }
}
