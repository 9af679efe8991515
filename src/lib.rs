//! mcpjail runs an MCP server that a stranger wrote in a jail that starts from nothing.
//!
//! The folders follow the data, from left to right; each stage consumes the value of the one before it:
//!
//! ```text
//! config ─► command ─► plan ─► jail ─► relay
//! profile   what is    pure     stage   host ⇄ server,
//! + policy  executed   data     2, exec line by line
//! ```
//!
//! * [`config`] reads profiles, the built-in ones and the administrator's policy into a [`config::Profile`].
//! * [`command`] finds the true interpreter and installation behind what the person typed.
//! * [`facts`] and [`sockets`] look up on the machine what a plan needs to know.
//! * [`plan`] turns all of it into a [`plan::Plan`]: every mount, right, system call and limit, as data. It does no I/O.
//! * [`jail`] makes it true: clones, builds the root, confines, proves the confinement, executes.
//! * [`json`] reads JSON that nobody can read in two ways, without building a tree.
//! * [`relay`] carries messages between host and server and ends the session.
//! * [`sys`] holds the only unsafe code: thin wrappers of system calls.
//! * [`inspect`] finds hidden text, orders, secrets and look-alikes in what a server says of itself. Pure.
//! * [`cli`] joins the stages and holds no policy; [`diagnose`] is how every error becomes a message and an exit code.

pub mod cli;
pub mod command;
pub mod config;
pub mod demo;
pub mod diagnose;
pub mod facts;
pub mod inspect;
pub mod jail;
pub mod json;
pub mod plan;
pub mod relay;
pub mod sockets;
pub mod sys;
