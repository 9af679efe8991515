//! The attack suite: every case as a trio. The attack works unjailed (`control`), works where a profile grants what it
//! wants (`granted`), and is refused under the default policy with the expected error (`refused`).
//!
//! ```text
//! cargo test --test attacks                     everything
//! cargo test --test attacks -- control          only the controls
//! cargo test --test attacks -- user::tierB      only Landlock and seccomp, as an ordinary user
//! MCPJAIL_TEST_REQUIRE=all cargo test …         an absent feature fails instead of being ignored
//! ```
//!
//! A trial is called `IDENTITY::[tierB::]NUMBER-NAME::PHASE`; the numbers are those of the list of attacks.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "a few calls that the standard library lacks"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::exit,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod context;
mod egress;
mod files;
mod launches;
mod layers;
mod leaks;
mod limits;
mod paths;
mod privilege;
mod process;
mod sockets;
mod syscalls;

use case::Suite;
use libtest_mimic::Arguments;
use std::sync::Arc;
use support::{identity, probe::Machine, world::World};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut suites = Vec::new();
    for identity in identity::all() {
        let prepared = support::world::build_examples()
            .and_then(|()| World::new(identity).map_err(|error| error.to_string()))
            .and_then(|world| Machine::probe(&world).map(|machine| (world, machine)));
        match prepared {
            Ok((world, machine)) => {
                let suite = Suite::new(Arc::new(world), machine);
                trials.extend(suite.trials());
                suites.push(suite);
            }
            // Not a trial: a filter could leave it out, and nothing would be shown without anyone noticing.
            Err(why) => {
                eprintln!("the attack suite cannot run as {}: {why}", identity.name);
                std::process::exit(101);
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the exit, which runs no destructors: ends shared servers, removes the directories.
    drop(suites);
    conclusion.exit();
}
