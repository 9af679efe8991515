//! Resource limits by rlimit: always there, per process; cgroups bound the whole jail where they can be had.

use super::layer::{Failure, Layer, LayerReport, Status};
use crate::plan::Limits;
use crate::sys::process;

// resource numbers of the kernel, the same on x86-64 and arm64: asm-generic/resource.h
const FSIZE: u32 = 1;
const DATA: u32 = 2;
const CORE: u32 = 4;
const NPROC: u32 = 6;
const NOFILE: u32 = 7;
const MEMLOCK: u32 = 8;
const SIGPENDING: u32 = 11;
const MSGQUEUE: u32 = 12;
const NICE: u32 = 13;
const RTPRIO: u32 = 14;

/// The rlimits of a plan: resource number and value.
pub(super) fn rlimits(limits: &Limits) -> Vec<(u32, u64)> {
    const MIB: u64 = 1 << 20;
    vec![
        (FSIZE, limits.file_size.value),
        // private writable memory of one process: runtimes reserve far more address space than they use, so the
        // address space itself cannot be limited
        (DATA, limits.memory.value),
        (CORE, 0),
        (NPROC, limits.processes.value),
        (NOFILE, limits.open_files.value),
        (MEMLOCK, 8 * MIB),
        (SIGPENDING, 1024),
        (MSGQUEUE, MIB),
        (NICE, 0),
        (RTPRIO, 0),
    ]
}

/// Allows this process as many descriptors as it may have at all.
///
/// # Errors
/// As setrlimit(2).
pub(super) fn raise_open_files() -> std::io::Result<()> {
    process::limit(NOFILE, process::hard_limit(NOFILE)?)
}

/// Applies them, never above the present hard limit.
pub(super) fn apply(rlimits: &[(u32, u64)]) -> Result<(), Failure> {
    for &(resource, value) in rlimits {
        let failed = |error: std::io::Error| {
            Failure::refused(Layer::Limits, format!("setting resource limit {resource} to {value}"), &error)
        };
        let hard = process::hard_limit(resource).map_err(failed)?;
        process::limit(resource, value.min(hard)).map_err(failed)?;
    }
    Ok(())
}

/// Proves that no limit is above what was asked for.
pub(super) fn prove(rlimits: &[(u32, u64)]) -> Result<(), Failure> {
    for &(resource, value) in rlimits {
        let hard = process::hard_limit(resource).unwrap_or(u64::MAX);
        if hard > value {
            return Err(Failure::open(Layer::Limits, format!("resource limit {resource} is {hard}, not {value}")));
        }
    }
    Ok(())
}

/// The spec's limits as this tier can set them. In tier B the kernel counts the processes of the user everywhere, so the
/// limit is put above what runs on the whole machine now.
pub(super) fn for_tier(rlimits: &[(u32, u64)], full: bool) -> Vec<(u32, u64)> {
    let mut rlimits = rlimits.to_vec();
    if !full {
        let running = running_tasks().unwrap_or(1 << 15);
        for (_, value) in rlimits.iter_mut().filter(|(resource, _)| *resource == NPROC) {
            *value = value.saturating_add(running);
        }
    }
    rlimits
}

/// All processes and threads of the machine, from the fourth field of /proc/loadavg (`2/345`).
fn running_tasks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// What the kernel's rlimits mean for the whole jail, without a cgroup.
pub(super) fn report(full: bool, root: bool, pid_max: bool, cpu: u64) -> Vec<LayerReport> {
    let line = |name: &str, needs: &str, have: &str| LayerReport {
        name: name.into(),
        status: Status::Degraded { needs: needs.into(), have: have.into() },
    };
    let processes = match (full, root, pid_max) {
        (true, false, _) => LayerReport { name: PROCESSES.into(), status: Status::Enforced },
        (true, true, true) => line(
            PROCESSES,
            "a writable cgroup v2 with the pids controller",
            "the process namespace's pid_max, 300 above the limit (uid 0 is exempt from RLIMIT_NPROC)",
        ),
        (_, true, _) => line(
            PROCESSES,
            "a writable cgroup v2 with the pids controller",
            "this: uid 0 is exempt from the kernel's RLIMIT_NPROC, so nothing counts them",
        ),
        (false, false, _) => line(
            PROCESSES,
            "a writable cgroup v2 with the pids controller",
            "RLIMIT_NPROC above what runs on the machine at the start",
        ),
    };
    let memory = line(MEMORY, "a writable cgroup v2 with the memory controller", "RLIMIT_DATA, per process");
    let cpu =
        (cpu > 0).then(|| line(CPU, "a writable cgroup v2 with the cpu controller", "this: CPU time is not limited"));
    [processes, memory].into_iter().chain(cpu).collect()
}

pub(super) const PROCESSES: &str = "limits: processes";
pub(super) const CPU: &str = "limits: cpu";
pub(super) const MEMORY: &str = "limits: memory";
