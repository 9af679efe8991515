//! A case as data, and the trials that come of it.

use crate::context::{Ctx, Phase, Sessions};
use crate::support::expect::{Rule, Want, check};
use crate::support::probe::{Feature, Machine};
use crate::support::world::World;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::ffi::OsString;
use std::sync::Arc;

/// What tier B (Landlock and seccomp alone) promises about a case.
#[derive(Clone, Copy)]
pub enum TierB {
    /// The same as tier A.
    Same,
    /// The same refusal by other errors.
    Differs(&'static [Rule]),
    /// Nothing; the reason is for the reader.
    NotPromised(#[allow(dead_code, reason = "documentation")] &'static str),
}

/// How mcpjail is started for a phase: a name, so that trials can share one server, and the options.
#[derive(Clone, Copy)]
pub struct Launch {
    pub name: &'static str,
    pub options: fn(&World, tier_b: bool) -> std::io::Result<Vec<OsString>>,
    /// Variables in the launcher's environment; the control has them too.
    pub env: &'static [(&'static str, &'static str)],
}

/// One attack and what should come of it.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its number in the list of attacks.
    pub number: u8,
    pub name: &'static str,
    /// Fixtures beyond the usual files.
    pub prepare: fn(&mut Ctx) -> std::io::Result<()>,
    /// The attacker's arguments.
    pub attack: fn(&Ctx) -> Value,
    /// Unjailed.
    pub control: &'static [Rule],
    /// Unjailed as an ordinary user, where the kernel itself already refuses: why, and how.
    pub control_user: Option<(&'static str, &'static [Rule])>,
    /// Under a profile that grants it.
    pub granted: Option<&'static [Rule]>,
    pub refused: &'static [Rule],
    pub tier_b: TierB,
    pub needs: &'static [Feature],
    /// What only root needs for the refusal.
    pub needs_of_root: &'static [Feature],
    pub granted_by: Launch,
    pub refused_by: Launch,
    /// A look at the real machine after the attack.
    pub verify: fn(&Ctx) -> Result<(), String>,
}

/// What a case is without its own values.
pub const CASE: Case = Case {
    number: 0,
    name: "",
    prepare: |_| Ok(()),
    attack: |_| Value::Null,
    control: &[Rule("*", Want::Works)],
    control_user: None,
    granted: None,
    refused: &[],
    tier_b: TierB::Same,
    needs: &[],
    needs_of_root: &[],
    granted_by: crate::context::GENEROUS,
    refused_by: crate::context::STRICT,
    verify: |_| Ok(()),
};

/// All cases of the trio kind.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let groups: [&'static [Case]; 8] = [
        crate::paths::CASES,
        crate::files::CASES,
        crate::privilege::CASES,
        crate::process::CASES,
        crate::syscalls::CASES,
        crate::sockets::CASES,
        crate::egress::CASES,
        crate::limits::CASES,
    ];
    groups.into_iter().flatten().chain(crate::leaks::CASES)
}

/// One identity's trials and what they share.
pub struct Suite {
    pub world: Arc<World>,
    pub machine: Arc<Machine>,
    pub sessions: Arc<Sessions>,
}

/// The body of a trial.
pub type Body = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

impl Suite {
    pub fn new(world: Arc<World>, machine: Machine) -> Suite {
        let sessions = Arc::new(Sessions::new(world.clone()));
        Suite { world, machine: Arc::new(machine), sessions }
    }

    /// A trial; one whose needs are not met is marked as ignored with the reason before anything runs, or fails where
    /// the environment says that nothing may be missing.
    pub fn trial(&self, name: &str, note: &str, needs: &[Feature], body: Body) -> Trial {
        let name = format!("{}::{name}", self.world.identity.name);
        let missing = self.machine.missing(needs);
        let names: Vec<&str> = missing.iter().map(|feature| feature.name()).collect();
        if let Some(required) = missing.iter().find(|feature| feature.required()) {
            let why = format!("MCPJAIL_TEST_REQUIRE asks for `{}`, which this machine lacks", required.name());
            return Trial::test(name, move || Err(why.into()));
        }
        if missing.is_empty() {
            Trial::test(name, body).with_kind(note)
        } else {
            Trial::test(name, body).with_kind(format!("lacks {}", names.join(", "))).with_ignored_flag(true)
        }
    }

    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for case in cases() {
            self.control(case, &mut trials);
            self.jailed(case, false, &mut trials);
            if !matches!(case.tier_b, TierB::NotPromised(_)) {
                self.jailed(case, true, &mut trials);
            }
        }
        trials.extend(crate::launches::trials(self));
        trials.extend(crate::layers::trials(self));
        trials
    }

    fn control(&self, case: &'static Case, trials: &mut Vec<Trial>) {
        let (note, rules) = match case.control_user {
            Some((why, rules)) if !self.world.identity.is_root() => (format!("kernel refuses: {why}"), rules),
            _ => (String::new(), case.control),
        };
        let body = self.body(case, Phase::Control, false, rules);
        trials.push(self.trial(&format!("{:02}-{}::control", case.number, case.name), &note, case.needs, body));
    }

    fn jailed(&self, case: &'static Case, tier_b: bool, trials: &mut Vec<Trial>) {
        let mut needs = case.needs.to_vec();
        needs.push(Feature::Landlock);
        let (prefix, rules) = match (tier_b, case.tier_b) {
            (false, _) => ("", case.refused),
            (true, TierB::Differs(rules)) => ("tierB::", rules),
            (true, _) => ("tierB::", case.refused),
        };
        if !tier_b {
            needs.push(Feature::UserNamespaces);
        }
        let name = |phase: &str| format!("{prefix}{:02}-{}::{phase}", case.number, case.name);
        if let Some(granted) = case.granted.filter(|_| !tier_b) {
            trials.push(self.trial(&name("granted"), "", &needs, self.body(case, Phase::Granted, tier_b, granted)));
        }
        if self.world.identity.is_root() {
            needs.extend(case.needs_of_root);
        }
        trials.push(self.trial(&name("refused"), "", &needs, self.body(case, Phase::Refused, tier_b, rules)));
    }

    fn body(&self, case: &'static Case, phase: Phase, tier_b: bool, rules: &'static [Rule]) -> Body {
        let (world, sessions) = (self.world.clone(), self.sessions.clone());
        Box::new(move || {
            let mut ctx = Ctx::new(world, case, phase, tier_b)?;
            (case.prepare)(&mut ctx)?;
            let arguments = ctx.complete((case.attack)(&ctx));
            let answer = sessions.attempt(case, phase, tier_b, &arguments)?;
            let verdict = check(&answer, rules).and_then(|()| (case.verify)(&ctx));
            verdict.map_err(|why| Failed::from(format!("{arguments}\n{why}")))
        })
    }
}
