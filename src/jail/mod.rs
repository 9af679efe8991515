//! Makes a plan true: clone, root file system, walls, proof, exec; and the process that ends it all.
//!
//! ```text
//! launcher ──clone: user, pid──► stage 2 (this binary again, fresh memory, empty environment)
//!    │ meanwhile:                   │ mount, network, ipc, uts, cgroup namespaces
//!    │ config, command, plan        ├─fork─► root, limits, no capabilities, Landlock, seccomp, proof, exec
//!    ├── spec ──────────────────────┼──────►   = the server
//!    │        egress ◄── listeners ─┼───────   (under egress: it is executed once that stands)
//!    │ ◄─────────── report (CLOEXEC)┼───────
//!    └── control socket ◄──────────►└ reaper (pid 1): confined as well, waits, ends everything
//! ```

mod border;
pub mod bpf;
mod building;
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
mod supervisor;

pub use border::{confine_broker, confine_proxy};
pub use building::{Building, Companion};
pub use cgroup::available as cgroup_place;
pub use layer::{Failure, JailError, Layer, LayerReport, Status};
pub use spawn::{Nascent, Running, Stdio, start};
pub use supervisor::confine as confine_supervisor;

pub(crate) use spec::{receive as receive_part, send as send_part};
