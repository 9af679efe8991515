//! The bundled example server, compiled into the binary from `examples/demo-server`.

#[path = "../examples/demo-server/server.rs"]
pub mod server;

/// The hidden subcommand that runs the server.
pub const SERVER: &str = "__demo-server";

/// Runs the server on stdin and stdout.
///
/// # Errors
/// Those of the streams.
pub fn serve() -> std::io::Result<()> {
    server::serve(crate::sys::attempt::trace_a_child)
}
