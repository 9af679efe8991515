//! The launcher reads what a hostile server writes, so it gives up what it no longer needs once the server runs.

use super::confine;
use super::layer::{Failure, Layer};
use super::{bpf, spawn::Running};
use crate::plan::handled;
use crate::plan::syscalls::Policy;
use crate::sys::landlock::{self, Handled};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Binding and connecting TCP sockets (`LANDLOCK_ACCESS_NET_*`, ABI 4).
const NET: u64 = 3;
/// Abstract unix sockets of others (`LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`, ABI 6). Signals must still reach the server.
const SCOPE: u64 = 1;
/// Executing (`LANDLOCK_ACCESS_FS_EXECUTE`).
const EXECUTE: u64 = 1;
/// Removing directories (`LANDLOCK_ACCESS_FS_REMOVE_DIR`).
const REMOVE_DIR: u64 = 1 << 4;

/// Confines the calling process for good: from here on it opens files only below `writable` and below what it clears
/// away at the end, which is `cleared` and what belongs to the jail; it makes no socket and starts no program. The
/// calling process must have one thread.
///
/// A directory that does not exist is left out.
///
/// # Errors
/// A step that the kernel refuses; some of the others may have been taken.
pub fn confine(running: &Running, writable: &[&Path], cleared: &[&Path]) -> Result<(), Failure> {
    let failed = confine::failed;
    let abi = landlock::abi().map_err(failed(Layer::Landlock, "asking for its version"))?;
    let refused =
        Handled { fs: handled(abi), net: if abi >= 4 { NET } else { 0 }, scoped: if abi >= 6 { SCOPE } else { 0 } };
    let ruleset = landlock::create(&refused).map_err(failed(Layer::Landlock, "making the launcher's ruleset"))?;
    let allow = |directory: &Path, rights: u64| {
        // `O_PATH` takes no right; what cannot be opened now cannot be used later either.
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let Ok(place) = File::options().read(true).custom_flags(flags).open(directory) else { return Ok(()) };
        landlock::allow(ruleset.as_fd(), place.as_fd(), rights)
            .map_err(failed(Layer::Landlock, "adding a rule of the launcher's"))
    };
    let all = handled(abi) & !EXECUTE;
    for directory in writable {
        allow(directory, all)?;
    }
    for directory in cleared.iter().copied().chain(running.group_directory()) {
        allow(directory, all)?;
        if let Some(parent) = directory.parent() {
            allow(parent, REMOVE_DIR)?;
        }
    }
    confine::restrict(&ruleset)?;
    confine::install(&bpf::assemble(&Policy::supervisor()))
}
