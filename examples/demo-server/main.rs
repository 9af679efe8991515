//! The demo's server on its own: `cargo run --example demo-server`.

mod server;

fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(server::IDLE) {
        return server::idle();
    }
    server::serve(mcpjail::sys::attempt::trace_a_child)
}
