//! Real clients, as they are: no proxy variable, no option that has to do with mcpjail. Each reaches the name that is
//! granted, and fails by its own error where it asks for another name, another port or another address.

use crate::case::Suite;
use crate::features::{self, Feature};
use crate::services::CERTIFIED;
use crate::world::{Grants, Outcome, Session, Stage};
use std::net::IpAddr;

/// Program, arguments and variables.
pub struct Line {
    pub argv: Vec<String>,
    pub env: Vec<(&'static str, String)>,
}

/// How a run should end: one of these ends, and one of these texts in what was written.
#[derive(Clone, Copy)]
pub struct End(pub &'static [&'static str], pub &'static [&'static str]);

impl End {
    pub fn check(self, what: &str, outcome: &Outcome) -> Result<(), String> {
        let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
        let right = self.0.contains(&outcome.ended.as_str()) && self.1.iter().any(|text| said.contains(text));
        match right {
            true => Ok(()),
            false => Err(format!("{what}: wanted {:?} with {:?}, got {outcome:?}", self.0, self.1)),
        }
    }
}

/// A client, and how it says what came of it.
pub struct Client {
    pub name: &'static str,
    pub needs: &'static [Feature],
    /// Starts what it talks to.
    pub service: fn(&Stage) -> Result<(), String>,
    /// Granted; and one that is served as well and not granted.
    pub ports: [u16; 2],
    /// What is run to reach a host on a port.
    pub line: fn(&Stage, host: &str, port: u16) -> Line,
    pub works: End,
    pub no_such_name: End,
    pub no_such_port: End,
    pub reset: End,
}

/// Where a client goes in one trial.
struct Places {
    granted: String,
    other: String,
    /// Never handed out; the certificate is good for it.
    address: IpAddr,
}

impl Client {
    fn places(&self, stage: &Stage) -> Result<Places, String> {
        (self.service)(stage)?;
        let world = &stage.world;
        let name = |word: &str| {
            let name = world.name(word);
            let mut addresses = vec![world.v4()];
            addresses.extend(features::Feature::Ipv6.present().then(|| world.v6()));
            world.dns.set(&name, crate::dns::Script::Addresses(addresses));
            name
        };
        let address = format!("{CERTIFIED}{}", world.unique() % 99 + 1).parse().map_err(|_| "address")?;
        Ok(Places { granted: name("granted"), other: name("other"), address })
    }

    fn reach(&self, stage: &Stage, session: &mut Session, host: &str, port: u16) -> Result<Outcome, String> {
        let line = (self.line)(stage, host, port);
        session.run(&line.argv, &line.env)
    }

    /// Everything works, so that the refusals are the jail's.
    fn control(&self, stage: &Stage) -> Result<(), String> {
        let places = self.places(stage)?;
        let mut session = stage.plain()?;
        let address = places.address.to_string();
        let [port, other_port] = self.ports;
        for (host, port) in [
            (places.granted.as_str(), port),
            (places.other.as_str(), port),
            (places.granted.as_str(), other_port),
            (address.as_str(), port),
        ] {
            let outcome = self.reach(stage, &mut session, host, port)?;
            self.works.check(&format!("{host} on {port}"), &outcome)?;
        }
        let asked = stage.world.dns.questions(&places.other);
        if asked.is_empty() { Err("the question for the other name was not seen".into()) } else { Ok(()) }
    }

    fn granted(&self, stage: &Stage) -> Result<(), String> {
        let places = self.places(stage)?;
        let mut session = stage.jailed(&self.grants(&places))?;
        let outcome = self.reach(stage, &mut session, &places.granted, self.ports[0])?;
        self.works.check(&places.granted, &outcome).map_err(|why| said(&session, why))
    }

    fn refused(&self, stage: &Stage) -> Result<(), String> {
        let places = self.places(stage)?;
        let mut session = stage.jailed(&self.grants(&places))?;
        let address = places.address.to_string();
        let [port, other_port] = self.ports;
        for (what, host, port, end) in [
            ("another name", places.other.as_str(), port, self.no_such_name),
            ("another port", places.granted.as_str(), other_port, self.no_such_port),
            ("another address", address.as_str(), port, self.reset),
        ] {
            let outcome = self.reach(stage, &mut session, host, port)?;
            end.check(what, &outcome).map_err(|why| said(&session, why))?;
        }
        let (asked, packets) = (stage.world.dns.questions(&places.other), stage.world.capture.mention(&places.other)?);
        match asked.is_empty() && packets.is_empty() {
            true => Ok(()),
            false => Err(format!("the other name left the machine: {asked:?}, {packets:?}")),
        }
    }

    fn grants(&self, places: &Places) -> Grants {
        Grants::of(&[format!("{}:{}", places.granted, self.ports[0])])
    }
}

fn said(session: &Session, why: String) -> String {
    format!("{why}; stderr:\n{}", session.server.stderr())
}

pub fn trials(suite: &mut Suite) {
    for client in crate::programs::CLIENTS {
        let name = |phase: &str| format!("client-{}::{phase}", client.name);
        suite.bare(&name("control"), client.needs, |stage| client.control(stage));
        suite.jailed(&name("granted"), client.needs, |stage| client.granted(stage));
        suite.jailed(&name("refused"), client.needs, |stage| client.refused(stage));
    }
}
