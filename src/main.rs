//! The `mcpjail` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // stage 2 is this binary again, in a fresh process; nothing may run before it
    if std::env::args_os().nth(1).is_some_and(|word| word == mcpjail::jail::stage2::ARGUMENT) {
        mcpjail::jail::stage2::main();
    }
    // the demo's server and the idle children of its fork bomb, from examples/demo-server
    match std::env::args_os().nth(1) {
        Some(word) if word == mcpjail::demo::SERVER => return served(mcpjail::demo::serve()),
        Some(word) if word == mcpjail::demo::server::IDLE => return served(mcpjail::demo::server::idle()),
        _ => {}
    }
    mcpjail::cli::main()
}

fn served(result: std::io::Result<()>) -> ExitCode {
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
