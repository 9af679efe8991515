//! From the command of a host's configuration to a package in the store: `mcpjail add` and `mcpjail update`.
//!
//! ```text
//! line ──► squat ──► npm | pypi | local ──► store
//! what     is that   resolve and install    hashed, read-only,
//! is asked the right in a jail of their     shared between servers
//! for      name?     own (a workshop)
//! ```
//!
//! * [`line`] reads `npx -y PKG`, `uvx PKG`, `python -m MODULE`, `node PATH`, `npm:PKG@VER` and their like into a
//!   [`Request`]. Pure.
//! * [`squat`] compares a package's name with those of well-known servers. Pure.
//! * [`npm`], [`pypi`] and [`local`] fill a [`Stage`](crate::store::Stage) by programs that run in a [`Workshop`], and say
//!   what is in it: an [`Installed`].
//! * [`changes`] compares the packages of two trees. Pure.
//! * [`sbom`] writes a bill of materials, [`profile`] the text of a first profile. Pure.

pub mod changes;
pub mod fault;
pub mod line;
pub mod local;
pub mod npm;
pub mod options;
pub mod profile;
pub mod pypi;
pub mod release;
pub mod request;
pub mod sbom;
pub mod squat;
pub mod workshop;

pub use fault::PackageError;
pub use options::Options;
pub use release::{Component, Ecosystem, Hash, Installed, Release, Script, Start};
pub use request::{LocalRequest, NpmRequest, NpmSpec, PypiRequest, PypiRun, PypiSpec, Request};
pub use workshop::{Access, Done, Job, Workshop};
