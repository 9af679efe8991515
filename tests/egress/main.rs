//! The egress suite: a machine and an internet of two network namespaces, the real binary on the machine, and real clients
//! in its jail. What is granted is reached by clients that know nothing of it; what is not granted fails with the client's
//! own error, and causes no packet.
//!
//! ```text
//! cargo test --test egress                      everything
//! cargo test --test egress -- control           only what is done without a jail
//! cargo test --test egress -- user::47          some attacks, as an ordinary user
//! cargo test --test egress -- client-curl       one client
//! MCPJAIL_TEST_REQUIRE=all cargo test …         an absent feature fails instead of being ignored
//! ```
//!
//! A trial is called `IDENTITY::NUMBER-NAME::PHASE` with the numbers of the list of attacks, `IDENTITY::client-NAME::PHASE`,
//! or `IDENTITY::grant-NAME` and `IDENTITY::report-NAME`.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "namespaces and packet sockets are what the standard library lacks"
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

#[allow(dead_code, reason = "the attack suite uses the rest")]
#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod bench;
mod capture;
mod case;
mod classes;
mod clients;
mod dns;
mod features;
mod first_bytes;
mod grants;
mod hello;
mod internet;
mod load;
mod names;
mod namespaces;
mod programs;
mod questions;
mod reports;
mod services;
mod transports;
mod world;

use case::Suite;
use features::Feature;
use libtest_mimic::Arguments;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::identity;
use world::{Stage, World};

/// The binary under test: the one that cargo built, or an installed one by `MCPJAIL_TEST_BINARY`.
fn mcpjail() -> PathBuf {
    std::env::var_os("MCPJAIL_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_mcpjail").into(), PathBuf::from)
}

fn main() {
    let arguments = Arguments::from_args();
    if let Err(why) = build() {
        eprintln!("the egress suite cannot run: {why}");
        std::process::exit(101);
    }
    raise_limit();
    let identities = identity::all();
    // what programs there are is asked before the world is entered; who may run them is asked in it
    let mut lacks: Vec<Feature> = FEATURES.iter().copied().filter(|feature| !feature.present()).collect();
    let world = World::new().map(Arc::new);
    if let Err(why) = &world {
        eprintln!("no world of namespaces: {why}");
        lacks.push(Feature::Netns);
    }
    let mut trials = Vec::new();
    for identity in identities {
        let stage = world.clone().and_then(|world| Stage::new(world, identity)).map(Arc::new);
        let mut lacks = lacks.clone();
        if stage.as_ref().is_ok_and(|stage| !jails(stage)) {
            lacks.push(Feature::Userns);
        }
        let mut suite = Suite { stage, prefix: identity.name, trials: Vec::new(), lacks };
        for collect in [
            clients::trials,
            names::trials,
            questions::trials,
            addresses::trials,
            classes::trials,
            first_bytes::trials,
            transports::trials,
            load::trials,
            grants::trials,
            reports::trials,
            bench::trials,
        ] {
            collect(&mut suite);
        }
        trials.extend(suite.trials);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // before the exit, which runs no destructors: ends the servers and removes the directory
    drop(world);
    conclusion.exit();
}

const FEATURES: &[Feature] = &[
    Feature::Ipv6,
    Feature::Mptcp,
    Feature::Node,
    Feature::Python,
    Feature::Requests,
    Feature::Curl,
    Feature::Git,
    Feature::Psql,
    Feature::Redis,
    Feature::Musl,
];

/// Whether this identity gets the full jail here.
fn jails(stage: &Stage) -> bool {
    let mut command = stage.command(&stage.program("mcpjail"));
    command.args(["run", "--tier", "A", "--exact-tier", "--", "/bin/true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // 4: the jail cannot be made; anything else is a jail in which `true` was no server
    command.status().is_ok_and(|status| status.code() != Some(4))
}

/// A thousand connections have two ends here.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// Builds the examples as cargo built this test; alone, `cargo test --test egress` would take old ones or find none.
fn build() -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let built = Path::new(env!("CARGO_BIN_EXE_mcpjail")).parent().and_then(|dir| dir.file_name()?.to_str());
    let profile = if built == Some("debug") { "dev" } else { built.unwrap_or("dev") };
    let mut command = Command::new(&cargo);
    command.args(["build", "--quiet", "--profile", profile]);
    command.args(["runner", "attacker", "dialler"].iter().flat_map(|name| ["--example", name]));
    let status = command.status().map_err(|error| format!("`cargo build`: {error}"))?;
    if !status.success() {
        return Err(format!("the examples are not built: {status}"));
    }
    // with the standard library alone it needs nothing of cargo; where the target is not installed there is no such client
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let rustc = Path::new(&cargo).with_file_name("rustc");
    let mut command = Command::new(if rustc.exists() { rustc } else { "rustc".into() });
    command.args(["--edition=2024", "-O", "-C", "strip=symbols", "--target", &target, "examples/dialler.rs", "-o"]);
    command.arg(world::example("dialler-static")).current_dir(env!("CARGO_MANIFEST_DIR"));
    let _there_or_not = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(())
}
