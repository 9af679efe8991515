//! What the tests of this folder are written with.

use super::{DnsName, Rule, Rules, Written};
use std::net::IpAddr;

/// Rules: each as on the command line, and letters for `private`, `dangerous` and `raw`.
pub(super) fn rules(lines: &[(&str, &str)]) -> Rules {
    let rule = |(to, flags): &(&str, &str)| {
        let has = |flag: char| flags.contains(flag);
        let written = Written { to: (*to).to_owned(), private: has('p'), dangerous: has('d'), raw: has('r') };
        Rule::try_from(written).unwrap()
    };
    Rules::new(lines.iter().map(rule).collect()).unwrap()
}

pub(super) fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
