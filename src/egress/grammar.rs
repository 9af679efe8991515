//! The grammar of a rule: `name:ports`, `*.name:ports`, `*:ports`, `1.2.3.4:ports`, `[::1]:ports`, `10.0.0.0/8:ports`,
//! `[fd00::/8]:ports`, `localhost:ports`.
//!
//! It is narrow on purpose: a text that two programs could read in two ways is a fault, and the fault says what to write.

use super::class::{self, Class};
use super::fault::service;
use super::rule::{LOCALHOST, is_localhost};
use super::{Destination, DnsName, NameFault, Network, Ports, RuleFault, punycode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads the plain form.
pub(super) fn read(text: &str) -> Result<(Destination, Ports), RuleFault> {
    let (to, ports) = split(text)?;
    let to = destination(to, ports)?;
    let ports = ports.ok_or_else(|| RuleFault::NoPort { before: Some(to.to_string()) })?;
    let ports = Ports::parse(ports).map_err(|fault| match fault {
        RuleFault::NoPort { .. } => RuleFault::NoPort { before: Some(to.to_string()) },
        fault => fault,
    })?;
    Ok((to, ports))
}

/// What is dangerous in it, if anything.
pub(super) fn danger(to: &Destination) -> Option<&'static str> {
    match to {
        Destination::AnyName => Some("it grants every name there is: whatever the server reads can go anywhere"),
        Destination::Below(apex) if !apex.as_str().contains('.') => {
            Some("it grants every name below one label, and anybody can register such names")
        }
        Destination::Network(network) if network.is_single() => match class::class(network.address()) {
            Class::Metadata => Some("a metadata service gives the credentials of this machine to whoever asks"),
            Class::LinkLocal => Some("link-local addresses are where clouds and routers keep their own services"),
            _ => None,
        },
        Destination::Network(network) => {
            let shortest = if network.address().is_ipv4() { 8 } else { 16 };
            let public = class::classes(network).contains(&Class::Public);
            (public && network.prefix() < shortest).then_some("the block is larger than any one network")
        }
        Destination::Name(_) | Destination::Below(_) | Destination::Localhost => None,
    }
}

/// What stands before the port, and the port if there is one.
fn split(text: &str) -> Result<(&str, Option<&str>), RuleFault> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(RuleFault::Url { instead: of_url(scheme, rest) });
    }
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(RuleFault::User { instead: with_port(host, "443") });
    }
    // A `/` belongs to a block where an address stands before it.
    if let Some(end) = text.find(['?', '#']).or_else(|| path(text)) {
        return Err(RuleFault::Path { instead: with_port(text.get(..end).unwrap_or_default(), "443") });
    }
    if text.starts_with('[') {
        let (inside, rest) = text.split_once(']').ok_or(RuleFault::NotInBrackets)?;
        let end = inside.len() + 1;
        let to = text.get(..end).ok_or(RuleFault::NotInBrackets)?;
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((to, Some(ports))),
            None if rest.is_empty() => Ok((to, None)),
            None => Err(RuleFault::NotInBrackets),
        };
    }
    if text.contains(['[', ']']) {
        return Err(RuleFault::NotInBrackets);
    }
    match text.split_once(':') {
        Some((_, ports)) if ports.contains(':') => Err(bare_v6(text)),
        Some((to, ports)) => Ok((to, Some(ports))),
        None => Ok((text, None)),
    }
}

/// Where a path begins, if the text has one: at a `/` that does not stand between an address and its prefix.
fn path(text: &str) -> Option<usize> {
    let slash = text.find('/')?;
    let (before, after) = (text.get(..slash)?, text.get(slash + 1..)?);
    let address = before.trim_start_matches('[').bytes().all(|b| b.is_ascii_hexdigit() || b".:xX".contains(&b));
    let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let block = address && !before.is_empty() && !digits.contains('/');
    let name_with_length = !before.contains(':') && digits.len() < after.len() && digits.starts_with(':');
    (!block && !name_with_length).then_some(slash)
}

/// More than one colon outside of brackets.
fn bare_v6(text: &str) -> RuleFault {
    let (address, length) = text.split_once('/').map_or((text, ""), |(address, length)| (address, length));
    if length.is_empty() {
        // `2001:db8::1:443` is an address as it stands; most likely its last group was meant as the port.
        if let Some((address, port)) = address.rsplit_once(':')
            && address.parse::<Ipv6Addr>().is_ok()
        {
            return RuleFault::Brackets { instead: format!("[{address}]:{port}") };
        }
        if address.parse::<Ipv6Addr>().is_ok() {
            return RuleFault::Brackets { instead: format!("[{address}]:443") };
        }
    } else if address.parse::<Ipv6Addr>().is_ok() {
        let (length, port) = length.split_once(':').unwrap_or((length, "443"));
        return RuleFault::Brackets { instead: format!("[{address}/{length}]:{port}") };
    }
    if text.contains('%') {
        return RuleFault::Zone;
    }
    let port = text.split(':').nth(1).unwrap_or_default();
    RuleFault::PortNotNumber { text: text.get(text.find(':').map_or(0, |at| at + 1)..).unwrap_or(port).to_owned() }
}

/// The rule that a URL may have meant.
fn of_url(scheme: &str, rest: &str) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.is_empty() { "example.com" } else { host };
    with_port(host, &service(scheme).unwrap_or(443).to_string())
}

/// The text, with this port if it has none.
fn with_port(host: &str, port: &str) -> String {
    match host.rsplit_once(':') {
        Some((_, given)) if !given.contains(']') => host.to_owned(),
        _ => format!("{host}:{port}"),
    }
}

/// `ports` is for suggestions.
fn destination(to: &str, ports: Option<&str>) -> Result<Destination, RuleFault> {
    let ports = ports.filter(|ports| !ports.is_empty()).unwrap_or("443");
    if to.is_empty() {
        return Err(RuleFault::Empty);
    }
    if !to.is_ascii() {
        let (star, plain) = to.strip_prefix("*.").map_or(("", to), |rest| ("*.", rest));
        return Err(RuleFault::NonAscii { instead: punycode::name(plain).map(|name| format!("{star}{name}:{ports}")) });
    }
    if let Some(inside) = to.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bracketed(inside, ports);
    }
    if let Some((address, length)) = to.split_once('/') {
        let Some(address) = v4(address)? else { return Err(RuleFault::BlockOfNames) };
        return block(IpAddr::V4(address), length, ports);
    }
    if let Some(address) = v4(to)? {
        return single(IpAddr::V4(address));
    }
    name(to, ports)
}

fn name(to: &str, ports: &str) -> Result<Destination, RuleFault> {
    if to == "*" {
        return Ok(Destination::AnyName);
    }
    let (below, plain) = to.strip_prefix("*.").map_or((false, to), |rest| (true, rest));
    if plain.contains('*') {
        let apex = plain.rsplit('*').next().unwrap_or_default().trim_start_matches(['.', '-']);
        let instead = DnsName::parse(apex).ok().map(|apex| format!("*.{apex}:{ports}"));
        return Err(RuleFault::Wildcard { instead });
    }
    let name = DnsName::parse(plain).map_err(|fault| match fault {
        NameFault::Number => RuleFault::Ipv4,
        fault => RuleFault::Name { fault },
    })?;
    match (below, name.as_str() == LOCALHOST) {
        (false, true) => Ok(Destination::Localhost),
        _ if is_localhost(&name) => Err(RuleFault::BelowLocalhost { instead: format!("{LOCALHOST}:{ports}") }),
        (true, _) => Ok(Destination::Below(name)),
        (false, _) => Ok(Destination::Name(name)),
    }
}

/// Four decimal numbers; `None` where it is something that no program takes for an address of IPv4.
fn v4(text: &str) -> Result<Option<Ipv4Addr>, RuleFault> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Some(address));
    }
    match DnsName::parse(text) {
        Err(NameFault::Number) => Err(RuleFault::Ipv4),
        _ => Ok(None),
    }
}

fn bracketed(inside: &str, ports: &str) -> Result<Destination, RuleFault> {
    if inside.contains('%') {
        return Err(RuleFault::Zone);
    }
    let (text, length) = inside.split_once('/').map_or((inside, None), |(text, length)| (text, Some(length)));
    let address: Ipv6Addr = text.parse().map_err(|_| RuleFault::NotInBrackets)?;
    if let Some(embedded) = class::embedded(address)
        && (length.is_none() || length == Some("128"))
        && !(embedded.leads_there
            && address.to_ipv4_mapped().is_none()
            && class::class(address.into()) == Class::Public)
    {
        let [_, inner] = embedded.inner;
        return Err(RuleFault::Embeds { instead: format!("{inner}:{ports}") });
    }
    match length {
        Some(length) => block(IpAddr::V6(address), length, ports),
        None => single(IpAddr::V6(address)),
    }
}

fn single(address: IpAddr) -> Result<Destination, RuleFault> {
    let network = Network::single(address);
    match class::class(address) {
        // A socket address of a link-local IPv6 address without its zone leads nowhere.
        Class::LinkLocal | Class::Metadata if is_link_local_v6(address) => Err(RuleFault::Zone),
        Class::Public | Class::Private | Class::Loopback | Class::LinkLocal | Class::Metadata => {
            Ok(Destination::Network(network))
        }
        class @ (Class::Multicast | Class::Special) => Err(RuleFault::Never { address, class }),
    }
}

fn is_link_local_v6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn block(address: IpAddr, length: &str, ports: &str) -> Result<Destination, RuleFault> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let leading = length.len() > 1 && length.starts_with('0');
    let length = length.parse::<u8>().ok().filter(|length| plain && !leading && *length <= most);
    let length = length.ok_or(RuleFault::Prefix { most })?;
    let Some(network) = Network::new(address, length) else {
        return Err(RuleFault::HostBits { instead: format!("{}:{ports}", Network::of(address, length)) });
    };
    if network.is_single() {
        return single(address);
    }
    let classes = class::classes(&network);
    // Without a public address in it nobody can have meant anything but the private ones: no flag is asked for then.
    if classes.contains(&Class::Public) || classes.contains(&Class::Private) {
        return Ok(Destination::Network(network));
    }
    let held: Vec<String> = classes.iter().map(|class| format!("{class} addresses")).collect();
    Err(RuleFault::NothingToGrant { held: held.join(" and ") })
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, Written};
    use super::*;

    fn dangerous(to: &str) -> Result<Rule, RuleFault> {
        Rule::try_from(Written { to: to.to_owned(), dangerous: true, ..Written::default() })
    }

    #[test]
    fn what_is_granted_as_it_stands() {
        for (text, shown) in [
            ("api.github.com:443", "api.github.com:443"),
            ("API.GitHub.com.:443", "api.github.com:443"),
            ("*.Example.com:80,443", "*.example.com:80,443"),
            ("xn--bcher-kva.example:443", "xn--bcher-kva.example:443"),
            ("db:5432", "db:5432"),
            ("_srv.example_1.com:1", "_srv.example_1.com:1"),
            ("LocalHost:8000-8010", "localhost:8000-8010"),
            ("localhost.:80", "localhost:80"),
            ("192.0.1.1:443", "192.0.1.1:443"),
            ("10.0.0.7/32:443", "10.0.0.7:443"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("[2001:DB9::1]:443", "[2001:db9::1]:443"),
            ("[::1]:443", "[::1]:443"),
            ("[fd00::/8]:443", "[fd00::/8]:443"),
            ("[64:ff9b::8.8.8.8]:443", "[64:ff9b::808:808]:443"),
        ] {
            assert_eq!(Rule::parse(text).map(|rule| rule.to_string()).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_needs_the_word() {
        for text in [
            "*:443",
            "*.com:443",
            "0.0.0.0/0:443",
            "0.0.0.0/7:443",
            "[::/0]:443",
            "[2000::/3]:443",
            "169.254.169.254:80",
            "169.254.1.1:80",
            "100.100.100.200:80",
            "168.63.129.16:80",
            "[fd00:ec2::254]:80",
        ] {
            assert!(
                matches!(Rule::parse(text), Err(RuleFault::NeedsDangerous { .. })),
                "{text}: {:?}",
                Rule::parse(text)
            );
            assert_eq!(dangerous(text).unwrap().to_string(), text);
        }
    }

    /// Each mistake with a word of what is said and a word of what to write instead.
    #[test]
    fn mistakes() {
        for (text, says, instead) in [
            ("", "where to", "`api.github.com:443`"),
            (":443", "where to", "`api.github.com:443`"),
            ("https://api.github.com/repos", "URL", "`api.github.com:443`"),
            ("http://name", "URL", "`name:80`"),
            ("postgres://me:secret@db.corp/x", "URL", "`db.corp:5432`"),
            ("https://[2001:db9::1]/", "URL", "`[2001:db9::1]:443`"),
            ("https://a.b:8443/", "URL", "`a.b:8443`"),
            ("api.github.com:443/repos", "path", "`api.github.com:443`"),
            ("api.github.com/repos", "path", "`api.github.com:443`"),
            ("api.github.com:443?x=1", "path", "`api.github.com:443`"),
            ("git@github.com:22", "user", "`github.com:22`"),
            ("allowed.com@evil.net:443", "user", "`evil.net:443`"),
            ("name", "no port", "`name:443`"),
            ("name:", "no port", "`name:443`"),
            ("name:80,", "no port", "`name:443`"),
            ("10.0.0.1", "no port", "`10.0.0.1:443`"),
            ("10.0.0.0/8", "no port", "`10.0.0.0/8:443`"),
            ("[::1]", "no port", "`[::1]:443`"),
            ("name:*", "one by one", "`8000-8010`"),
            ("name:0", "no port 0", "`443`"),
            ("name:53", "jail's own DNS", "without a rule"),
            ("name:https", "no port", "`443`"),
            ("name:70000", "65535", "1 to 65535"),
            ("name:90-80", "ends before", "`80-90`"),
            ("name:80,80", "twice", "once"),
            ("name:1000-2000", "too many", "uses"),
            ("name:0443", "begins with a zero", "`443`"),
            ("name:44 3", "no port", "number"),
            ("name:80:90", "no port", "number"),
            ("::1:443", "brackets", "`[::1]:443`"),
            ("2001:db9::1:443", "brackets", "`[2001:db9::1]:443`"),
            ("fe80::", "brackets", "`[fe80::]:443`"),
            ("fd00::/8:443", "brackets", "`[fd00::/8]:443`"),
            ("[example.com]:443", "brackets hold", "`example.com:443`"),
            ("[127.0.0.1]:443", "brackets hold", "`example.com:443`"),
            ("[::1:443", "brackets hold", "`example.com:443`"),
            ("[::1]443", "brackets hold", "`example.com:443`"),
            ("a[::1]:443", "brackets hold", "`example.com:443`"),
            ("[fe80::1%eth0]:443", "zone", "another address"),
            ("[fe80::1]:443", "zone", "another address"),
            ("[fe80::a9fe:a9fe]:80", "zone", "another address"),
            ("127.1:80", "four decimal", "`192.0.2.1:443`"),
            ("0x7f000001:80", "four decimal", "`192.0.2.1:443`"),
            ("0x7f.0.0.1:80", "four decimal", "`192.0.2.1:443`"),
            ("2130706433:80", "four decimal", "`192.0.2.1:443`"),
            ("010.0.0.1:80", "four decimal", "`192.0.2.1:443`"),
            ("10.0.0.1.:80", "four decimal", "`192.0.2.1:443`"),
            ("256.0.0.1:80", "four decimal", "`192.0.2.1:443`"),
            ("1.2.3.4.5:80", "four decimal", "`192.0.2.1:443`"),
            ("010.0.0.0/8:80", "four decimal", "`192.0.2.1:443`"),
            ("10.0.0.1/8:80", "bits below", "`10.0.0.0/8:80`"),
            ("[fd00::1/8]:80", "bits below", "`[fd00::/8]:80`"),
            ("10.0.0.0/33:80", "prefix", "`10.0.0.0/8:5432`"),
            ("10.0.0.0/08:80", "prefix", "`10.0.0.0/8:5432`"),
            ("10.0.0.0/:80", "prefix", "`10.0.0.0/8:5432`"),
            ("[fd00::/129]:80", "prefix", "`[fd00::/8]:5432`"),
            ("[fd00::/+8]:80", "prefix", "`[fd00::/8]:5432`"),
            ("example.com/24:80", "only addresses", "`*.example.com:443`"),
            ("*foo.com:443", "whole labels", "`*.foo.com:443`"),
            ("a.*.com:443", "whole labels", "`*.com:443`"),
            ("*.*.com:443", "whole labels", "`*.com:443`"),
            ("foo.*:443", "whole labels", "`*.example.com:443`"),
            ("**:443", "whole labels", "`*.example.com:443`"),
            ("api..com:443", "a label is empty", "`api.github.com:443`"),
            ("api.com..:443", "a label is empty", "`api.github.com:443`"),
            (".com:443", "a label is empty", "`api.github.com:443`"),
            ("*.:443", "a label is empty", "`api.github.com:443`"),
            ("evil\0.allowed.com:443", "letters, digits", "`api.github.com:443`"),
            ("evil%00.allowed.com:443", "letters, digits", "`api.github.com:443`"),
            (" api.github.com:443", "letters, digits", "`api.github.com:443`"),
            ("bücher.example:443", "over the wire", "`xn--bcher-kva.example:443`"),
            ("*.bücher.example:80", "over the wire", "`*.xn--bcher-kva.example:80`"),
            ("аpi.github.com:443", "over the wire", "`xn--pi-6kc.github.com:443`"),
            ("ü ü:443", "over the wire", "`xn--` form"),
            ("a.localhost:80", "this machine", "`localhost:80`"),
            ("*.localhost:80", "this machine", "`localhost:80`"),
            ("0.0.0.0:80", "special", "`localhost:PORT`"),
            ("[::]:80", "special", "`localhost:PORT`"),
            ("255.255.255.255:80", "special", "a host"),
            ("224.0.0.1:80", "multicast", "a host"),
            ("[ff02::1]:80", "multicast", "a host"),
            ("240.0.0.1:80", "special", "a host"),
            ("[::ffff:10.0.0.1]:80", "stands for", "`10.0.0.1:80`"),
            ("[::ffff:8.8.8.8]:80", "stands for", "`8.8.8.8:80`"),
            ("[64:ff9b::127.0.0.1]:80", "stands for", "`127.0.0.1:80`"),
            ("[2002:808:808::1]:80", "stands for", "`8.8.8.8:80`"),
            ("127.0.0.0/8:80", "no address", "`localhost:PORT`"),
            ("169.254.0.0/16:80", "link-local addresses", "single"),
            ("[2002::/16]:80", "no address", "single"),
            ("[::ffff:0:0/96]:80", "no address", "single"),
        ] {
            let fault = Rule::parse(text).map(|rule| rule.to_string()).unwrap_err();
            assert!(fault.to_string().contains(says), "{text}: {fault}");
            assert!(fault.remedy().contains(instead), "{text}: {}", fault.remedy());
            // The word does not make a rule of what is none.
            assert!(dangerous(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_suggested_is_a_rule() {
        for text in [
            "http://name",
            "git@github.com:22",
            "name",
            "::1:443",
            "10.0.0.1/8:80",
            "bücher.example:443",
            "*foo.com:443",
            "[::ffff:10.0.0.1]:80",
            "a.localhost:80",
            "api.github.com/repos",
            "fd00::/8:443",
        ] {
            let remedy = Rule::parse(text).unwrap_err().remedy();
            let suggested = remedy.split('`').nth(1).unwrap();
            assert!(Rule::parse(suggested).is_ok(), "{text}: {remedy}");
        }
    }
}
