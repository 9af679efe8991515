//! An attack on the way out as a trio, and the suite that all trials are collected in.

use crate::features::Feature;
use crate::support::expect::{Rule, Want, check};
use crate::world::{Grants, Stage};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Without a jail: it works.
    Control,
    /// Under a profile that grants it: it works.
    Granted,
    /// Under a profile that grants something else.
    Refused,
}

/// What one run of a case works on.
#[derive(Default)]
pub struct Scene {
    /// The attacker's arguments.
    pub attack: Value,
    pub granted: Grants,
    pub refused: Grants,
    /// Texts in questions that may not be heard outside of the jail, in the refused phase; in the control they must be.
    pub silent_names: Vec<String>,
    /// Places to which no packet may go in the refused phase; in the control one must. Port 0 stands for all of an address.
    pub silent: Vec<SocketAddr>,
    /// Kept until the end of the run.
    pub held: Vec<Box<dyn Send>>,
    /// A further look, after the attack.
    pub verify: Option<Verify>,
}

/// A look at the world and at the answer after an attack.
pub type Verify = Box<dyn Fn(Phase, &Value) -> Result<(), String>>;

/// All of an address.
pub fn all_of(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), 0)
}

/// One attack and what should come of it.
pub struct Case {
    /// Its number in the list of attacks.
    pub number: u8,
    pub name: &'static str,
    pub needs: &'static [Feature],
    pub scene: fn(&Stage, Phase) -> Result<Scene, String>,
    pub control: &'static [Rule],
    pub granted: Option<&'static [Rule]>,
    pub refused: Option<&'static [Rule]>,
}

/// What a case is without its own values.
pub const CASE: Case = Case {
    number: 0,
    name: "",
    needs: &[],
    scene: |_, _| Ok(Scene { attack: Value::Null, ..Scene::default() }),
    control: &[Rule("*", Want::Works)],
    granted: None,
    refused: None,
};

impl Case {
    fn run(&self, stage: &Stage, phase: Phase) -> Result<(), String> {
        let scene = (self.scene)(stage, phase)?;
        let (rules, mut session) = match phase {
            Phase::Control => (self.control, stage.plain()?),
            Phase::Granted => (self.granted.unwrap_or_default(), stage.jailed(&scene.granted)?),
            Phase::Refused => (self.refused.unwrap_or_default(), stage.jailed(&scene.refused)?),
        };
        let answer = session.attack(&stage.program("attacker"), &scene.attack)?;
        let look = || {
            check(&answer, rules)?;
            silence(stage, &scene, phase)?;
            scene.verify.as_ref().map_or(Ok(()), |verify| verify(phase, &answer))
        };
        look().map_err(|why| format!("{}\n{why}\nstderr:\n{}", scene.attack, session.server.stderr()))
    }
}

/// Looks for packets where there must be none, and in the control for the packets that the look would find.
fn silence(stage: &Stage, scene: &Scene, phase: Phase) -> Result<(), String> {
    let world = &stage.world;
    let mut complaints = Vec::new();
    let mut found = |what: String, is_there: bool| match phase {
        Phase::Refused if is_there => complaints.push(format!("{what} left the machine")),
        Phase::Control if !is_there => {
            complaints.push(format!("{what} was not seen, so its absence would show nothing"))
        }
        _ => {}
    };
    for name in &scene.silent_names {
        let (asked, packets) = (world.dns.questions(name), world.capture.mention(name)?);
        found(format!("`{name}` ({asked:?}, {} packets)", packets.len()), !asked.is_empty() || !packets.is_empty());
    }
    for place in &scene.silent {
        let is_place = |to: SocketAddr| to.ip() == place.ip() && (place.port() == 0 || to.port() == place.port());
        let packets = world.capture.packets(|packet| is_place(packet.to))?;
        let local = world.machine.arrivals(place.ip()).into_iter().filter(|arrival| is_place(arrival.to)).count();
        found(format!("something to {place} ({local} arrivals, {packets:?})"), local > 0 || !packets.is_empty());
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

/// The trials of one identity.
pub struct Suite {
    pub stage: Result<Arc<Stage>, String>,
    pub prefix: &'static str,
    pub trials: Vec<Trial>,
    /// What is not there, found out once.
    pub lacks: Vec<Feature>,
}

impl Suite {
    /// A trial; one whose needs are not met is marked as ignored with the reason before anything runs, or fails where the
    /// environment says that nothing may be missing.
    pub fn add(
        &mut self,
        name: &str,
        needs: &[Feature],
        body: impl FnOnce(&Stage) -> Result<(), String> + Send + 'static,
    ) {
        let name = format!("{}::{name}", self.prefix);
        let missing: Vec<Feature> = needs.iter().copied().filter(|need| self.lacks.contains(need)).collect();
        let trial = match (&self.stage, missing.iter().find(|feature| feature.required())) {
            (_, Some(required)) => {
                let why = format!("MCPJAIL_TEST_REQUIRE asks for `{}`, which this machine lacks", required.name());
                Trial::test(name, move || Err(why.into()))
            }
            (Ok(stage), None) if missing.is_empty() => {
                let stage = stage.clone();
                Trial::test(name, move || body(&stage).map_err(Failed::from))
            }
            (_, None) => {
                let names: Vec<&str> = missing.iter().map(|feature| feature.name()).collect();
                Trial::test(name, || Ok(())).with_kind(format!("lacks {}", names.join(", "))).with_ignored_flag(true)
            }
        };
        self.trials.push(trial);
    }

    /// Whether there is a world, and a jail in it.
    pub fn jails(&self) -> bool {
        self.stage.is_ok() && !self.lacks.contains(&Feature::Netns) && !self.lacks.contains(&Feature::Userns)
    }

    /// A trial in the jail.
    pub fn jailed(
        &mut self,
        name: &str,
        needs: &[Feature],
        body: impl FnOnce(&Stage) -> Result<(), String> + Send + 'static,
    ) {
        self.add(name, &[needs, &[Feature::Netns, Feature::Userns]].concat(), body);
    }

    /// A trial without a jail.
    pub fn bare(
        &mut self,
        name: &str,
        needs: &[Feature],
        body: impl FnOnce(&Stage) -> Result<(), String> + Send + 'static,
    ) {
        self.add(name, &[needs, &[Feature::Netns]].concat(), body);
    }

    pub fn cases(&mut self, cases: &'static [Case]) {
        for case in cases {
            let name = |phase: &str| format!("{:02}-{}::{phase}", case.number, case.name);
            self.bare(&name("control"), case.needs, |stage| case.run(stage, Phase::Control));
            if case.granted.is_some() {
                self.jailed(&name("granted"), case.needs, |stage| case.run(stage, Phase::Granted));
            }
            if case.refused.is_some() {
                self.jailed(&name("refused"), case.needs, |stage| case.run(stage, Phase::Refused));
            }
        }
    }
}
