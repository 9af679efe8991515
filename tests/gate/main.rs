//! The gate's suite: the real binary between a host and `examples/rugpull`, one trial for each trick and era, beside
//! its control.
//!
//! ```text
//! cargo test --test gate                        everything
//! cargo test --test gate -- bare                only the controls: what the tricks do to a host without mcpjail
//! cargo test --test gate -- modern::description one trick in one era
//! ```
//!
//! A trial is called `[ERA::]TRICK::bare` (the host sees the poison, so that the other trial can see that it is gone)
//! or `[ERA::]TRICK::gate`. The last trial fails when a trick of the example has no trial here.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::exit,
    reason = "tests fail by panicking"
)]

mod approval;
mod caps;
mod drift;
mod framing;
mod honest;
mod host;
mod later;
mod life;
mod opening;
mod outbound;
mod quarantine;
mod witness;
mod world;

use host::Era;
use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeSet;
use std::sync::Arc;
use world::World;

/// What the trials are collected in.
pub struct Suite {
    world: Arc<World>,
    trials: Vec<Trial>,
    tricks: BTreeSet<String>,
}

impl Suite {
    /// A trial that names no trick.
    pub fn add(&mut self, name: &str, trial: impl FnOnce(&World) + Send + 'static) {
        let world = self.world.clone();
        self.trials.push(Trial::test(name, move || {
            trial(&world);
            Ok(())
        }));
    }

    /// A trial of these tricks without mcpjail.
    pub fn bare(&mut self, era: Era, tricks: &'static str, trial: impl FnOnce(&World) + Send + 'static) {
        self.add(&format!("{}::{tricks}::bare", era.name()), trial);
    }

    /// A trial of these tricks behind the gate.
    pub fn gate(&mut self, era: Era, tricks: &'static str, trial: impl FnOnce(&World) + Send + 'static) {
        self.tricks.extend(tricks.split(',').map(str::to_owned));
        self.add(&format!("{}::{tricks}::gate", era.name()), trial);
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let world = match World::new() {
        Ok(world) => Arc::new(world),
        // not a trial: a filter could leave it out, and nothing would be shown without anyone noticing
        Err(why) => {
            eprintln!("the gate's suite cannot run: {why}");
            std::process::exit(101);
        }
    };
    let mut suite = Suite { world: world.clone(), trials: Vec::new(), tricks: BTreeSet::new() };
    for collect in [
        honest::trials,
        drift::trials,
        later::trials,
        quarantine::trials,
        caps::trials,
        opening::trials,
        framing::trials,
        outbound::trials,
        life::trials,
        approval::trials,
    ] {
        collect(&mut suite);
    }
    let tested = suite.tricks.clone();
    suite.add("every_trick_is_tested", move |world| {
        let untested: Vec<String> = world.tricks().into_iter().filter(|trick| !tested.contains(trick)).collect();
        assert!(untested.is_empty(), "no trial of {untested:?}");
    });
    let conclusion = libtest_mimic::run(&arguments, suite.trials);
    // before the exit, which runs no destructors
    drop(suite.world);
    drop(world);
    conclusion.exit();
}
