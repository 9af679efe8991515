//! Ports of a rule.

use super::RuleFault;
use std::fmt;

/// Most distinct ports that one rule, and all rules of a profile together, may have: each one is a listener in the jail.
pub const MOST_PORTS: usize = 256;

/// Where the jail's own DNS answers.
const DNS: u16 = 53;

/// TCP ports: inclusive ranges, sorted, apart from each other, without 0 and 53, at most [`MOST_PORTS`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// `443`, `80,443`, `8000-8010`, or several of these with commas.
    ///
    /// # Errors
    /// [`RuleFault`], of the kinds that are about ports.
    pub fn parse(text: &str) -> Result<Ports, RuleFault> {
        let mut ranges = text.split(',').map(range).collect::<Result<Vec<_>, _>>()?;
        ranges.sort_unstable();
        let mut apart: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match apart.last_mut() {
                Some((_, end)) if first <= *end => return Err(RuleFault::PortTwice { port: first }),
                Some((_, end)) if first - 1 == *end => *end = last,
                _ => apart.push((first, last)),
            }
        }
        let ports = Ports(apart);
        match ports.count() {
            count if count > MOST_PORTS => Err(RuleFault::TooManyPorts { count }),
            _ => Ok(ports),
        }
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&port))
    }

    /// Every port, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|&(first, last)| usize::from(last - first) + 1).sum()
    }
}

fn range(text: &str) -> Result<(u16, u16), RuleFault> {
    let Some((first, last)) = text.split_once('-') else {
        let port = port(text)?;
        return Ok((port, port));
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(RuleFault::PortsBackwards { first, last });
    }
    if (first..=last).contains(&DNS) {
        return Err(RuleFault::PortDns);
    }
    Ok((first, last))
}

fn port(text: &str) -> Result<u16, RuleFault> {
    if text.is_empty() {
        return Err(RuleFault::NoPort { before: None });
    }
    if text == "*" {
        return Err(RuleFault::AnyPort);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RuleFault::PortNotNumber { text: text.to_owned() });
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(RuleFault::PortZeros { text: text.to_owned() });
    }
    match text.parse() {
        Ok(0) => Err(RuleFault::PortZero),
        Ok(DNS) => Err(RuleFault::PortDns),
        Ok(port) => Ok(port),
        Err(_) => Err(RuleFault::PortTooLarge { text: text.to_owned() }),
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn forms() {
        for (text, shown, count) in [
            ("443", "443", 1),
            ("443,80", "80,443", 2),
            ("8000-8010", "8000-8010", 11),
            ("81,80", "80,81", 2),
            ("82,80-81", "80-82", 3),
            ("1-52,54", "1-52,54", 53),
            ("65535", "65535", 1),
            ("65280-65535", "65280-65535", 256),
            ("7-7", "7", 1),
        ] {
            let ports = Ports::parse(text).unwrap();
            assert_eq!((ports.to_string().as_str(), ports.count()), (shown, count), "{text}");
            assert_eq!(Ports::parse(shown).unwrap(), ports);
        }
    }

    #[test]
    fn faults() {
        for (text, fault) in [
            ("", RuleFault::NoPort { before: None }),
            ("80,", RuleFault::NoPort { before: None }),
            ("-80", RuleFault::NoPort { before: None }),
            ("*", RuleFault::AnyPort),
            ("0", RuleFault::PortZero),
            ("0-10", RuleFault::PortZero),
            ("53", RuleFault::PortDns),
            ("50-60", RuleFault::PortDns),
            ("080", RuleFault::PortZeros { text: "080".to_owned() }),
            ("00", RuleFault::PortZeros { text: "00".to_owned() }),
            ("65536", RuleFault::PortTooLarge { text: "65536".to_owned() }),
            ("99999999999999999999", RuleFault::PortTooLarge { text: "99999999999999999999".to_owned() }),
            ("https", RuleFault::PortNotNumber { text: "https".to_owned() }),
            ("+80", RuleFault::PortNotNumber { text: "+80".to_owned() }),
            (" 80", RuleFault::PortNotNumber { text: " 80".to_owned() }),
            ("٨٠", RuleFault::PortNotNumber { text: "٨٠".to_owned() }),
            ("90-80", RuleFault::PortsBackwards { first: 90, last: 80 }),
            ("1-2-3", RuleFault::PortNotNumber { text: "2-3".to_owned() }),
            ("80,80", RuleFault::PortTwice { port: 80 }),
            ("80-90,85", RuleFault::PortTwice { port: 85 }),
            ("1000-1256", RuleFault::TooManyPorts { count: 257 }),
            ("54-65535", RuleFault::TooManyPorts { count: 65482 }),
        ] {
            assert_eq!(Ports::parse(text), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_is_what_is_held(wanted in prop::collection::btree_set(54_u16.., 1..40)) {
            let text = wanted.iter().rev().map(u16::to_string).collect::<Vec<_>>().join(",");
            let ports = Ports::parse(&text).unwrap();
            prop_assert_eq!(ports.iter().collect::<BTreeSet<_>>(), wanted.clone());
            prop_assert!(wanted.iter().all(|port| ports.contains(*port)));
            prop_assert!(!ports.contains(53) && !ports.contains(0));
            prop_assert_eq!(Ports::parse(&ports.to_string()).unwrap(), ports);
        }
    }
}
