//! The packages' suite: the real binary adds servers from a registry on loopback, runs, updates and removes them, and is
//! interrupted, lied to and tampered with while it does.
//!
//! ```text
//! cargo test --test packages                    everything but real servers
//! cargo test --test packages -- control         what is done without mcpjail, so that its refusals mean something
//! cargo test --test packages -- user::tampered  some trials, as an ordinary user
//! MCPJAIL_TEST_REQUIRE=registry cargo test --test packages -- real
//!                                               real servers, from the registries that npm and uv ask here
//! MCPJAIL_TEST_REQUIRE=registry cargo test --release --test packages -- --bench
//!                                               how long it takes from the start to the first list of tools
//! MCPJAIL_TEST_REQUIRE=all cargo test …         an absent feature fails instead of being ignored
//! ```
//!
//! A trial is called `IDENTITY::SUBJECT::WHAT`; one that ends in `control` does the same without mcpjail.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "mounts, file times and signals are what the standard library lacks"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::exit,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the attack suite uses the rest")]
#[path = "../support/mod.rs"]
mod support;

mod adding;
mod archive;
mod features;
mod fixtures;
mod http;
mod interrupted;
mod local;
mod python;
mod real;
mod refusals;
mod registry;
mod reports;
mod scripts;
mod secrets;
mod shared;
mod tampering;
mod updating;
mod world;

use features::Feature;
use libtest_mimic::{Arguments, Completion, Trial};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::identity;
use world::World;

/// The trials of one identity.
pub struct Suite {
    pub world: Arc<World>,
    pub trials: Vec<Trial>,
    /// What is not there, found out once.
    lacks: Vec<Feature>,
    /// Whether another identity does what need not be done twice.
    second: bool,
}

impl Suite {
    /// A trial whose result could depend on who runs it; one whose needs are not met is marked as ignored with the reason
    /// before anything runs, or fails where the environment says that nothing may be missing.
    pub fn add(&mut self, name: &str, needs: &[Feature], body: impl FnOnce(&Arc<World>) + Send + 'static) {
        self.try_to(name, needs, |world| {
            body(world);
            Completion::Completed
        });
    }

    /// A trial that may find that there is nothing to try.
    fn try_to(&mut self, name: &str, needs: &[Feature], body: impl FnOnce(&Arc<World>) -> Completion + Send + 'static) {
        let name = format!("{}::{name}", self.world.identity.name);
        let missing: Vec<Feature> = needs.iter().copied().filter(|need| self.lacks.contains(need)).collect();
        let world = self.world.clone();
        let trial = match missing.iter().find(|feature| feature.required()) {
            Some(required) => {
                let why = format!("MCPJAIL_TEST_REQUIRE asks for `{}`, which this machine lacks", required.name());
                Trial::test(name, move || Err(why.into()))
            }
            None if missing.is_empty() => Trial::ignorable_test(name, move || Ok(body(&world))),
            None => {
                let names: Vec<&str> = missing.iter().map(|feature| feature.name()).collect();
                Trial::test(name, || Ok(())).with_kind(format!("lacks {}", names.join(", "))).with_ignored_flag(true)
            }
        };
        self.trials.push(trial);
    }

    /// A trial that an ordinary user does, and root only where there is no other.
    pub fn once(&mut self, name: &str, needs: &[Feature], body: impl FnOnce(&Arc<World>) + Send + 'static) {
        if !self.second {
            self.add(name, needs, body);
        }
    }

    /// A trial of root's, as which the suite runs.
    pub fn as_root(&mut self, name: &str, needs: &[Feature], body: impl FnOnce(&Arc<World>) + Send + 'static) {
        self.try_as_root(name, needs, |world| {
            body(world);
            Completion::Completed
        });
    }

    /// The same, of one that may find that there is nothing to try.
    pub fn try_as_root(
        &mut self,
        name: &str,
        needs: &[Feature],
        body: impl FnOnce(&Arc<World>) -> Completion + Send + 'static,
    ) {
        if self.world.identity.is_root() || self.lacks.contains(&Feature::Root) {
            self.try_to(name, &[needs, &[Feature::Root]].concat(), body);
        }
    }
}

fn main() {
    let arguments = Arguments::from_args();
    if let Err(why) = build_examples() {
        eprintln!("the packages' suite cannot run: {why}");
        std::process::exit(101);
    }
    let identities = identity::all();
    let mut trials = Vec::new();
    for (at, identity) in identities.iter().enumerate() {
        let world = match World::new(*identity) {
            Ok(world) => Arc::new(world),
            // not a trial: a filter could leave it out, and nothing would be shown without anyone noticing
            Err(why) => {
                eprintln!("the packages' suite cannot run as {}: {why}", identity.name);
                std::process::exit(101);
            }
        };
        let lacks = Feature::ALL.iter().copied().filter(|feature| !feature.present(&world)).collect();
        let mut suite = Suite { world, trials: Vec::new(), lacks, second: at + 1 < identities.len() };
        for collect in [
            adding::trials,
            python::trials,
            local::trials,
            scripts::trials,
            secrets::trials,
            refusals::trials,
            tampering::trials,
            interrupted::trials,
            shared::trials,
            updating::trials,
            reports::trials,
            real::trials,
        ] {
            collect(&mut suite);
        }
        if arguments.bench {
            real::bench(&mut suite);
        }
        trials.extend(suite.trials);
    }
    // the directories are removed with the last trial that holds them
    libtest_mimic::run(&arguments, trials).exit();
}

/// Builds the example as cargo built this test; alone, `cargo test --test packages` would take an old one or find none.
fn build_examples() -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let built = Path::new(env!("CARGO_BIN_EXE_mcpjail")).parent().and_then(|dir| dir.file_name()?.to_str());
    let profile = if built == Some("debug") { "dev" } else { built.unwrap_or("dev") };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", "rugpull", "--profile", profile]);
    let status = command.status().map_err(|error| format!("`cargo build --example rugpull`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("the example is not built: {status}")) }
}
