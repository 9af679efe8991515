//! A hostile MCP server: it speaks the protocol properly and answers each call of its one tool, `attempt`, by trying
//! to get out of whatever it runs in, with raw system calls.
//!
//! The attack suite in `tests/attacks/` runs it three times per case: unjailed (the control), under a profile that
//! grants what it wants, and under the default policy. Every attack runs in a forked child with a time limit, so one
//! server survives many of them. An answer is a list of steps, `{"step", "ok", "errno", "detail"}`, where `ok` means
//! that the attacker got what it wanted.
//!
//! ```text
//! attacker                      serve MCP on stdin and stdout
//! attacker --attack NAME JSON   one attack, its steps as JSON lines on stdout
//! attacker --victim MARK        sleep until killed, as a target that the suite owns
//! attacker --exit CODE          exit at once: what the attacks execute
//! ```
//!
//! Nothing here aims at anything but what the suite names: paths in its own temporary directory, processes that it
//! started, listeners of its own on the loopback. Calls that could change a machine get arguments that no kernel accepts.
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    unused_unsafe,
    reason = "raw system calls are the subject; most are deliberately wrong"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::exit,
    clippy::indexing_slicing,
    clippy::unnecessary_cast,
    reason = "a test program, not the product"
)]

// First: its macro is used by all others.
#[macro_use]
mod sys;

mod bombs;
mod chain;
mod clock;
mod crowd;
mod devices;
mod egress;
mod files;
mod harmless;
mod isolation;
mod listeners;
mod mounts;
mod network;
mod privilege;
mod process;
mod report;
mod server;
mod sockets;
mod syscalls;
mod writes;

use report::{Params, Report};

/// An attack: reads its parameters, tries, and reports every step.
pub(crate) type Attack = fn(&Params, &mut Report);

/// Every attack by name.
const GROUPS: &[&[(&str, Attack)]] = &[
    files::ATTACKS,
    writes::ATTACKS,
    devices::ATTACKS,
    privilege::ATTACKS,
    mounts::ATTACKS,
    process::ATTACKS,
    isolation::ATTACKS,
    syscalls::ATTACKS,
    chain::ATTACKS,
    sockets::ATTACKS,
    network::ATTACKS,
    egress::ATTACKS,
    listeners::ATTACKS,
    crowd::ATTACKS,
    clock::ATTACKS,
    bombs::ATTACKS,
    harmless::ATTACKS,
];

/// The attack of that name.
pub(crate) fn find(name: &str) -> Option<Attack> {
    GROUPS.iter().flat_map(|group| group.iter()).find(|(known, _)| *known == name).map(|(_, attack)| *attack)
}

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let text = |at: usize| args.get(at).and_then(|arg| arg.to_str()).unwrap_or_default();
    match text(1) {
        "--exit" => std::process::exit(text(2).parse().unwrap_or(0)),
        "--victim" => victim(),
        "--attack" => match (find(text(2)), serde_json::from_str(text(3))) {
            (Some(attack), Ok(params)) => attack(&Params::new(params), &mut Report::to(1)),
            (attack, params) => {
                complain(&format!("attacker: attack {:?}, parameters {params:?}\n", attack.map(|_| text(2))));
                std::process::exit(2);
            }
        },
        _ => {
            if text(1) == "--started" {
                // Proof that the server ran at all: the suite looks for this file.
                let _ = std::fs::write(&args[2], b"started");
            }
            server::serve();
        }
    }
}

/// Sleeps until killed. Allows tracing by anyone, so that a control does not fail for Yama's sake.
fn victim() {
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::MAX, 0, 0, 0) };
    println!("ready");
    loop {
        unsafe { libc::pause() };
    }
}

/// Writes to stderr.
fn complain(text: &str) {
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
