//! What the server reaches of the network.

use super::PlanError;
use super::syscalls::Sockets;
use crate::config::{NetworkGrants, Sourced, Tier};
use crate::egress::{Limits, MOST_PORTS, Rule, Rules};
use std::time::Duration;

/// What the server reaches of the network outside its jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// Nothing.
    None,
    /// What these rules grant.
    Only(Box<EgressPlan>),
}

/// Rules and limits, each with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPlan {
    /// In the order of the profile; not empty.
    pub rules: Vec<Sourced<Rule>>,
    /// The same, as they are asked.
    pub granted: Rules,
    /// Connections at once.
    pub connections: Sourced<u32>,
    /// How long nothing may move on a connection.
    pub idle: Sourced<Duration>,
    /// How long a connection may last.
    pub lifetime: Sourced<Duration>,
}

impl EgressPlan {
    /// What all connections are held to.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { connections: self.connections.value, idle: self.idle.value, lifetime: self.lifetime.value }
    }

    /// What a person should know who reads the rules: what works differently from a machine's own network, and why.
    #[must_use]
    pub fn notes(&self) -> Vec<&'static str> {
        let rules = || self.rules.iter().map(|rule| &rule.value);
        let looked_at = |port: u16| rules().any(|rule| rule.is_named() && !rule.raw() && rule.ports().contains(port));
        let mut notes = vec![
            "connections are TCP; over UDP only the jail's own DNS answers, so HTTP/3 falls back to TCP",
            "every address is local to the jail: a ping seems to succeed anywhere, and what is refused does not time out, it is \
             reset or nothing listens there",
            "names are resolved by this machine; one that is not granted does not exist, and nobody is asked for it",
            "the jail's own loopback is there as well; nothing can listen on its granted ports and its port 53",
        ];
        if looked_at(443) {
            notes.push(
                "on port 443 a connection must begin with TLS for the granted name; with encrypted client hello that is the \
                 outer name",
            );
        }
        if looked_at(80) {
            notes.push("on port 80 the first request of a connection must be for the granted name; later ones are not looked at");
        }
        if rules()
            .any(|rule| rule.is_named() && !rule.raw() && rule.ports().iter().any(|port| port != 80 && port != 443))
        {
            notes.push(
                "on other ports a connection that begins with TLS must be for the granted name; anything else goes to the \
                 address that the name has, whoever else is served there",
            );
        }
        if rules().any(Rule::raw) {
            notes.push("what is `raw` is not looked at: it goes to the address that the name has, whoever else is served there");
        }
        notes
    }
}

/// What the network grants come to in this tier.
pub(super) fn egress(network: NetworkGrants, tier: Tier) -> Result<Egress, PlanError> {
    let NetworkGrants { loopback: _, allow, connections, idle_timeout, lifetime } = network;
    let Some(first) = allow.first() else { return Ok(Egress::None) };
    if tier == Tier::B {
        return Err(PlanError::EgressInTierB { rule: first.value.to_string(), origin: first.origin.clone() });
    }
    let rules: Vec<Rule> = allow.iter().map(|rule| rule.value.clone()).collect();
    let granted = Rules::new(rules).map_err(|_too_many| too_many(&allow))?;
    Ok(Egress::Only(Box::new(EgressPlan { rules: allow, granted, connections, idle: idle_timeout, lifetime })))
}

/// Names the rule that goes over the bound.
fn too_many(allow: &[Sourced<Rule>]) -> PlanError {
    let mut ports = std::collections::BTreeSet::new();
    let mut over = None;
    for rule in allow {
        ports.extend(rule.value.ports().iter());
        if ports.len() > MOST_PORTS && over.is_none() {
            over = Some(rule);
        }
    }
    let (rule, origin) = match over.or(allow.first()) {
        Some(rule) => (rule.value.to_string(), rule.origin.clone()),
        None => (String::new(), crate::config::Origin::jail()),
    };
    PlanError::TooManyPorts { rule, origin, count: ports.len() }
}

/// Which sockets can be made, and whose line says so.
pub(super) fn sockets(
    loopback: &Sourced<bool>,
    egress: &Egress,
    tier: Tier,
    unenforced: &mut Vec<String>,
) -> Sourced<Sockets> {
    let sourced = |value, origin: &crate::config::Origin| Sourced { value, origin: origin.clone() };
    match (tier, egress) {
        (Tier::A, Egress::Only(plan)) if !loopback.value => {
            let origin = plan.rules.first().map_or(&loopback.origin, |rule| &rule.origin);
            sourced(Sockets::UnixAndInetInside, origin)
        }
        (Tier::A, Egress::Only(_)) => sourced(Sockets::UnixAndInetInside, &loopback.origin),
        (Tier::A, Egress::None) if loopback.value => sourced(Sockets::UnixAndInetInside, &loopback.origin),
        (Tier::A, Egress::None) => sourced(Sockets::UnixInside, &loopback.origin),
        (Tier::B, _) => {
            if loopback.value {
                unenforced.push("a private loopback needs tier A; here there is no network at all".into());
            }
            sourced(Sockets::PairsOnly, &loopback.origin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Source};
    use crate::diagnose::{Diagnose, Exit};
    use crate::egress::Written;

    fn origin(line: u32) -> Origin {
        Origin { source: Source::File("/p.toml".into()), line: Some(line) }
    }

    fn grants(loopback: bool, rules: &[Written]) -> NetworkGrants {
        let allow = rules.iter().zip(2..).map(|(written, line)| {
            let value = Rule::try_from(written.clone()).unwrap();
            Sourced { value, origin: origin(line) }
        });
        let Limits { connections, idle, lifetime } = Limits::default();
        NetworkGrants {
            loopback: Sourced { value: loopback, origin: origin(1) },
            allow: allow.collect(),
            connections: Sourced { value: connections, origin: origin(90) },
            idle_timeout: Sourced { value: idle, origin: origin(91) },
            lifetime: Sourced { value: lifetime, origin: origin(92) },
        }
    }

    fn rule(to: &str) -> Written {
        Written { to: to.to_owned(), ..Written::default() }
    }

    #[test]
    fn nothing_is_granted_without_a_rule() {
        for (tier, loopback, wanted) in [
            (Tier::A, false, Sockets::UnixInside),
            (Tier::A, true, Sockets::UnixAndInetInside),
            (Tier::B, false, Sockets::PairsOnly),
            (Tier::B, true, Sockets::PairsOnly),
        ] {
            let network = grants(loopback, &[]);
            let asked = network.loopback.clone();
            let egress = egress(network, tier).unwrap();
            assert_eq!(egress, Egress::None);
            let mut unenforced = Vec::new();
            assert_eq!(sockets(&asked, &egress, tier, &mut unenforced).value, wanted);
            assert_eq!(unenforced.len(), usize::from(tier == Tier::B && loopback));
        }
    }

    #[test]
    fn a_rule_brings_sockets_and_says_so() {
        for (loopback, line) in [(false, 2), (true, 1)] {
            let network = grants(loopback, &[rule("api.example:443"), rule("localhost:5432")]);
            let asked = network.loopback.clone();
            let egress = egress(network, Tier::A).unwrap();
            let sockets = sockets(&asked, &egress, Tier::A, &mut Vec::new());
            assert_eq!((sockets.value, sockets.origin), (Sockets::UnixAndInetInside, origin(line)));
            let Egress::Only(plan) = egress else { panic!() };
            assert_eq!(plan.granted.ports(), [443, 5432]);
            assert_eq!(plan.limits(), Limits::default());
        }
    }

    #[test]
    fn tier_b_gives_none() {
        let error = egress(grants(false, &[rule("api.example:443")]), Tier::B).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("egress-needs-tier-a", Exit::Jail));
        let text = error.to_string();
        assert!(text.contains("`api.example:443`") && text.contains("/p.toml:2"), "{text}");
    }

    #[test]
    fn the_rule_that_goes_over_is_named() {
        let rules = [
            rule("a.example:1000-1199"),
            rule("b.example:1100-1250"),
            rule("c.example:2000-2009"),
            rule("d.example:1"),
        ];
        let error = egress(grants(false, &rules), Tier::A).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("too-many-ports", Exit::Usage));
        let text = error.to_string();
        assert!(text.contains("`c.example:2000-2009`") && text.contains("/p.toml:4") && text.contains("262"), "{text}");
    }

    #[test]
    fn notes_are_about_the_rules_that_are_there() {
        let said = |written: Written| match egress(grants(false, &[written]), Tier::A).unwrap() {
            Egress::Only(plan) => plan.notes().join("\n"),
            Egress::None => panic!(),
        };
        let common = said(rule("10.0.0.0/8:443"));
        assert!(common.contains("HTTP/3") && !common.contains("port 443") && !common.contains("begins with TLS"));
        let tls = said(rule("a.example:443"));
        assert!(tls.contains("on port 443") && tls.contains("encrypted client hello") && !tls.contains("on port 80"));
        assert!(said(rule("a.example:80")).contains("on port 80"));
        assert!(said(rule("a.example:5432")).contains("begins with TLS"));
        let raw = said(Written { raw: true, ..rule("ssh.example:443") });
        assert!(raw.contains("`raw`") && !raw.contains("on port 443"));
    }
}
