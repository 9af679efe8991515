//! The walls that a process puts around itself: Landlock, capabilities, the filter.

use super::layer::{Failure, Layer};
use super::spec::{PathRule, Spec};
use crate::sys::filter::{self, Instruction};
use crate::sys::landlock::{self, Handled};
use crate::sys::{caps, fd, process};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

pub(super) fn failed(layer: Layer, what: &str) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::refused(layer, what, &error)
}

/// A ruleset with the plan's rules. Paths are opened as they are called now, so the view must be in place.
pub(super) fn ruleset(handled: Handled, rules: &[PathRule]) -> Result<OwnedFd, Failure> {
    let ruleset = landlock::create(&handled).map_err(failed(Layer::Landlock, "making a ruleset"))?;
    for rule in rules {
        let about = |error: io::Error| {
            let what = format!("adding the rule for `{}`", rule.path.to_string_lossy());
            Failure::refused(Layer::Landlock, what, &error)
        };
        let opened = match rule.object {
            // the path was symlink-free when it was judged; it must still be, and lead to the same object
            Some(object) => fd::open_direct(&rule.path, libc::O_PATH).and_then(|place| same(place, object)),
            None => fd::open_at(None, &rule.path, libc::O_PATH, 0),
        };
        let place = match opened {
            Ok(place) => place,
            Err(error) if rule.optional && error.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(error) => return Err(about(error)),
        };
        landlock::allow(ruleset.as_fd(), place.as_fd(), rule.rights).map_err(about)?;
    }
    Ok(ruleset)
}

/// `ESTALE` unless the descriptor is the object that was judged.
fn same(place: OwnedFd, object: (u64, u64)) -> io::Result<OwnedFd> {
    let found = fd::identity(place.as_fd())?;
    if (found.dev, found.ino) == object { Ok(place) } else { Err(io::Error::from_raw_os_error(libc::ESTALE)) }
}

/// What stage 2 needs to build tier A.
pub(super) const TO_BUILD: &[u32] =
    &[caps::SYS_ADMIN, caps::NET_ADMIN, caps::NET_BIND_SERVICE, caps::SYS_RESOURCE, caps::SETPCAP];
/// What it does without where it must: attempts on ports that are not granted are then refused without being told.
pub(super) const TO_WATCH: &[u32] = &[caps::NET_RAW];

/// Whether the capabilities to build the jail survived the exec: otherwise the first mount fails for a reason that says
/// nothing.
pub(super) fn prove_capabilities_to_build() -> Result<(), Failure> {
    let effective = caps::sets().map_err(failed(Layer::Capabilities, "reading the capability sets"))?.effective;
    let kept = |capability: u32| effective & (1u64 << capability) != 0 && caps::is_ambient(capability);
    match TO_BUILD.iter().find(|&&capability| !kept(capability)) {
        None => Ok(()),
        Some(capability) => {
            let what = format!("capability {capability} of the new user namespace was not kept");
            Err(Failure::open(Layer::Capabilities, what))
        }
    }
}

/// Drops every capability for good: uid 0 is an ordinary user from here on. Gives whether the process was powerless
/// before (tier B as an ordinary user): the bounding set then stays, out of reach behind `no_new_privs`.
pub(super) fn drop_capabilities() -> Result<bool, Failure> {
    let failed = |what| failed(Layer::Capabilities, what);
    let effective = caps::sets().map_err(failed("reading the capability sets"))?.effective;
    let powerless = effective & (1 << caps::SETPCAP) == 0;
    caps::clear_ambient().map_err(failed("clearing the ambient set"))?;
    if !powerless {
        caps::drop_bounding().map_err(failed("emptying the bounding set"))?;
        caps::lock_securebits().map_err(failed("locking the securebits"))?;
    }
    caps::set_all(0).map_err(failed("emptying the capability sets"))?;
    Ok(powerless)
}

/// No privilege by exec, then Landlock.
pub(super) fn restrict(ruleset: &OwnedFd) -> Result<(), Failure> {
    process::set_no_new_privs().map_err(failed(Layer::NoNewPrivs, "setting no_new_privs"))?;
    landlock::restrict(ruleset.as_fd()).map_err(failed(Layer::Landlock, "restricting itself"))
}

/// Installs the filter.
pub(super) fn install(program: &[Instruction]) -> Result<(), Failure> {
    filter::install(program).map_err(failed(Layer::Seccomp, "installing the filter"))
}

/// The filter as the spec carries it.
pub(super) fn instructions(spec: &Spec) -> Vec<Instruction> {
    spec.filter.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect()
}
