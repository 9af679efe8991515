//! Makes a plan true: clone, root file system, walls, proof, exec; and the process that ends it all.
//!
//! ```text
//! launcher ──clone into namespaces──► stage 2 (this binary again, fresh memory, empty environment)
//!    │  spec (sealed memfd) ─────────►  │ root, limits, capabilities
//!    │  ◄──────────── report (CLOEXEC)  ├─fork─► server: Landlock, seccomp, proof, exec
//!    │  control socket ◄─────────────►  └ reaper (pid 1): confined as well, waits, ends everything
//! ```

pub mod bpf;
mod cgroup;
mod confine;
mod layer;
mod limits;
mod proof;
mod reaper;
mod root;
mod spawn;
mod spec;
pub mod stage2;

pub use layer::{Failure, JailError, Layer, LayerReport, Status};
pub use spawn::{Running, Stdio, cgroup_place, spawn, try_namespaces};
