//! The `mcpjail` binary: everything is in the library.
fn main() {}
