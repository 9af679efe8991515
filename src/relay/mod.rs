//! Carries messages between host and server, one JSON-RPC message a line, and ends the session.
