//! A note server, honest by default, that pulls one rug or several when told to: it is what the gate is tested against.
//!
//! ```text
//! rugpull [--era legacy|modern|dual] [TRICK[,TRICK…]]   serve MCP on stdin and stdout
//! rugpull --list                                        every trick, and what the gate must do about it
//! ```
//!
//! `RUGPULL_ERA` and `RUGPULL_TRICK` stand in for what the command line leaves out: the same command line, approved
//! when it was honest, then does something else, which is what a rug pull is.
//!
//! `rugpull --era modern honest` is an example of a server of the revision 2026-07-28 (no handshake, `_meta` on every
//! request and result, cache hints, `subscriptions/listen`, `input_required`); `--era legacy` speaks 2024-11-05 to
//! 2025-11-25, `--era dual` both on one process. What a trick smuggles contains [`MARK`]. Three of its tools are there
//! for tests as well: `received` gives every line that the server got, `read_note` sets off the tricks that happen in
//! mid-session, and `search_notes` answers a search for `later` only after `write_note` was called.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program, not the product")]

mod answers;
mod catalog;
mod drift;
mod life;
mod lists;
mod session;
mod tools;
mod tricks;
mod wire;

use session::{Era, Server};
use std::process::ExitCode;
use tricks::Tricks;

/// What no honest answer contains.
pub(crate) const MARK: &str = "pulled-rug-5f1d";

const USAGE: &str = "usage: rugpull [--era legacy|modern|dual] [TRICK[,TRICK…]]\n       rugpull --list";

fn main() -> ExitCode {
    let mut era = std::env::var("RUGPULL_ERA").ok();
    let mut trick = std::env::var("RUGPULL_TRICK").ok();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => {
                tricks::list();
                return ExitCode::SUCCESS;
            }
            "--era" => era = args.next(),
            _ => trick = Some(arg),
        }
    }
    let era = Era::parse(era.as_deref().unwrap_or("dual"));
    let tricks = Tricks::parse(trick.as_deref().unwrap_or("honest"));
    let (Some(era), Ok(tricks)) = (era, &tricks) else {
        eprintln!("{USAGE}");
        if let Err(name) = tricks {
            eprintln!("no trick `{name}`");
        }
        return ExitCode::from(2);
    };
    match Server::new(era, tricks.clone()).serve() {
        Ok(code) => code,
        // nobody reads any more
        Err(_) => ExitCode::FAILURE,
    }
}
