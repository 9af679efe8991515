//! mcpjail runs an MCP server that a stranger wrote in a jail that starts from nothing.
//!
//! The folders follow the data, from left to right; each stage consumes the value of the one before it:
//!
//! ```text
//! config ─► command ─► plan ─► jail ─► gate ─► relay
//! profile   what is    pure     stage   catalog   host ⇄ server,
//! + policy  executed   data     2, exec  = lock?  line by line
//!                                 └──► egress
//!                                      server ⇄ granted names
//! ```
//!
//! Before any of it, once: `mcpjail add` and `update` fill the store that `run` starts from.
//!
//! ```text
//! packages ─► store ─► config, approval
//! npm, PyPI,  trees by   first profile,
//! local       contents   first lock
//! ```
//!
//! * [`config`] reads profiles, the built-in ones and the administrator's policy into a [`config::Profile`].
//! * [`command`] finds the true interpreter and installation behind what the person typed.
//! * [`facts`] and [`sockets`] look up on the machine what a plan needs to know.
//! * [`identity`] names the lock of a server and hashes what is launched.
//! * [`plan`] turns all of it into a [`plan::Plan`]: every mount, right, system call and limit, as data. It does no I/O.
//! * [`jail`] makes it true: clones, builds the root, confines, proves the confinement, executes.
//! * [`egress`] lets a server reach what its profile grants of the network, by name: rules and classes of addresses (pure),
//!   and the two confined processes that answer names, check and connect.
//! * [`catalog`] is what a server publishes, what was approved of it, and the difference. All but reading and saving a lock
//!   is pure.
//! * [`gate`] walks a server's catalog before the host sees a word, and judges every message of a session.
//! * [`approval`] is what a person is asked about a catalog, and the lock that follows.
//! * [`inspect`] finds hidden text, orders, secrets and look-alikes in what a server says of itself. Pure.
//! * [`packages`] turns the command of a host's configuration into an installed package, by installers in a jail of their own.
//! * [`store`] keeps installed packages: addressed by contents, shared, read-only, verified at every start.
//! * [`json`] reads JSON that nobody can read in two ways, without building a tree.
//! * [`relay`] carries messages between host and server and ends the session.
//! * [`sys`] holds the only unsafe code: thin wrappers of system calls.
//! * [`cli`] joins the stages and holds no policy; [`diagnose`] is how every error becomes a message and an exit code.

pub mod approval;
pub mod catalog;
pub mod cli;
pub mod command;
pub mod config;
pub mod demo;
pub mod diagnose;
pub mod egress;
pub mod facts;
pub mod gate;
pub mod identity;
pub mod inspect;
pub mod jail;
pub mod json;
pub mod packages;
pub mod plan;
pub mod relay;
pub mod sockets;
pub mod store;
pub mod sys;
