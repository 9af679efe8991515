//! What the suites share: who a trial runs as, a home with planted secrets, a client that never hangs, and probes of
//! what the machine can do.

pub mod client;
pub mod expect;
pub mod identity;
pub mod probe;
pub mod world;
