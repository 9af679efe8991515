//! The `mcpjail` binary: everything is in the library.

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mcpjail::sys::alloc::Allocator = mcpjail::sys::alloc::Allocator::new();

fn main() -> ExitCode {
    // stage 2 and the processes of egress are this binary again, fresh; nothing may run before them
    let mut words = std::env::args_os().skip(1).map(OsString::into_encoded_bytes);
    match words.next() {
        Some(word) if word == mcpjail::jail::stage2::ARGUMENT.to_bytes() => {
            mcpjail::jail::stage2::main(words.next().as_deref() == Some(b"A"));
        }
        Some(word) if word == mcpjail::egress::process::ARGUMENT.to_bytes() => mcpjail::egress::process::main(),
        _ => {}
    }
    // the demo's server and the idle children of its fork bomb, from examples/demo-server
    match std::env::args_os().nth(1) {
        Some(word) if word == mcpjail::demo::SERVER => return served(mcpjail::demo::serve()),
        Some(word) if word == mcpjail::demo::server::IDLE => return served(mcpjail::demo::server::idle()),
        // what `doctor` starts in a jail to try the network
        Some(word) if word == mcpjail::egress::trial::PROGRAM => {
            let port = std::env::args().nth(2).and_then(|port| port.parse().ok()).unwrap_or(0);
            return served(mcpjail::egress::trial::program(port, &mut std::io::stdout()));
        }
        _ => {}
    }
    mcpjail::cli::main()
}

fn served(result: std::io::Result<()>) -> ExitCode {
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
