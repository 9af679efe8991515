//! The proof before exec: the very process that will become the server tries what it must not be able to do.
//!
//! A layer that was set up by calls which all reported success may still be absent: an emulator, an outer filter or a
//! kernel's bug can answer a call without doing it. So nothing is concluded from return values.

use super::layer::{Failure, Layer};
use super::limits;
use super::spec::{Action, Network, Spec, View};
use crate::sys::socket::has_ipv6;
use crate::sys::{attempt, caps};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Tries everything; the first thing that is not refused as it should be is the failure.
/// `view` is tier A's, whose namespaces and mounts are proved too.
pub(super) fn prove(
    spec: &Spec,
    view: Option<&View>,
    reach: &Network,
    rlimits: &[(u32, u64)],
    powerless: bool,
) -> Result<(), Failure> {
    no_new_privs()?;
    capabilities(powerless && view.is_none())?;
    limits::prove(rlimits)?;
    if let Some(view) = view {
        namespaces(spec)?;
        mounts(spec, view)?;
    }
    landlock(spec)?;
    seccomp(spec)?;
    network(reach)
}

/// The attempt must have failed with exactly this errno.
pub(super) fn refused(layer: Layer, what: &str, attempt: io::Result<()>, errno: i32) -> Result<(), Failure> {
    match attempt {
        Ok(()) => Err(Failure::open(layer, format!("{what} was not refused"))),
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        Err(error) => Err(Failure::open(layer, format!("{what} failed for another reason than this layer ({error})"))),
    }
}

pub(super) fn unreadable(layer: Layer, what: &str) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::refused(layer, format!("reading {what}"), &error)
}

pub(super) fn no_new_privs() -> Result<(), Failure> {
    match attempt::no_new_privs() {
        Ok(true) => Ok(()),
        _ => Err(Failure::open(Layer::NoNewPrivs, "no_new_privs is not set")),
    }
}

pub(super) fn capabilities(powerless: bool) -> Result<(), Failure> {
    let layer = Layer::Capabilities;
    let sets = caps::sets().map_err(unreadable(layer, "the capability sets"))?;
    if sets.effective | sets.permitted | sets.inheritable != 0 {
        return Err(Failure::open(layer, "the capability sets are not empty"));
    }
    if powerless {
        return Ok(()); // without a capability to empty the bounding set; no_new_privs keeps it out of reach
    }
    if let Some(left) = caps::left_in_bounding() {
        return Err(Failure::open(layer, format!("capability {left} is left in the bounding set")));
    }
    match caps::securebits_locked() {
        Ok(true) => Ok(()),
        _ => Err(Failure::open(layer, "the securebits are not locked")),
    }
}

fn namespaces(spec: &Spec) -> Result<(), Failure> {
    let layer = Layer::Namespaces;
    for (name, dev, ino) in &spec.outside {
        let found = std::fs::metadata(format!("/proc/self/ns/{name}")).map_err(unreadable(layer, name))?;
        if (found.dev(), found.ino()) == (*dev, *ino) {
            return Err(Failure::open(layer, format!("the {name} namespace is the launcher's")));
        }
    }
    Ok(())
}

fn mounts(spec: &Spec, view: &View) -> Result<(), Failure> {
    let layer = Layer::Mounts;
    let root = std::fs::metadata("/").map_err(unreadable(layer, "the root"))?;
    if (root.dev(), root.ino()) == spec.outside_root {
        return Err(Failure::open(layer, "the root is the machine's"));
    }
    if !attempt::is_read_only(c"/").map_err(unreadable(layer, "the root's flags"))? {
        return Err(Failure::open(layer, "the root is writable"));
    }
    for node in &view.nodes {
        let expected = match &node.action {
            Action::Bind { attributes, .. } => *attributes,
            Action::Tmpfs { attributes, .. } => *attributes,
            Action::Proc => crate::sys::mount::READ_ONLY,
            Action::Mask { socket: true, .. } => {
                shut(&node.path)?;
                continue;
            }
            _ => continue,
        };
        let about = node.path.to_string_lossy();
        let path =
            CString::new([b"/", node.path.to_bytes()].concat()).map_err(|_| Failure::open(layer, about.clone()))?;
        let flags = attempt::mount_flags(&path).map_err(unreadable(layer, &about))?;
        if flags & expected != expected {
            return Err(Failure::open(layer, format!("`/{about}` has mount flags {flags:#x}, not {expected:#x}")));
        }
    }
    Ok(())
}

/// Where a socket was to be covered there is none.
fn shut(path: &CStr) -> Result<(), Failure> {
    let path = Path::new("/").join(OsStr::from_bytes(path.to_bytes()));
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => {
            Err(Failure::open(Layer::Mounts, format!("`{}` is a socket that is not covered", path.display())))
        }
        _ => Ok(()),
    }
}

fn landlock(spec: &Spec) -> Result<(), Failure> {
    refused(Layer::Landlock, "reading a file without a rule", attempt::read(&spec.canary), libc::EACCES)
}

fn seccomp(spec: &Spec) -> Result<(), Failure> {
    let layer = Layer::Seccomp;
    refused(layer, "unshare", attempt::unshare_nothing(), libc::EPERM)?;
    if !spec.keyring {
        refused(layer, "keyctl", attempt::keyctl(), libc::EPERM)?;
    }
    refused(layer, "a netlink socket", attempt::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0), libc::EAFNOSUPPORT)
}

fn network(network: &Network) -> Result<(), Failure> {
    let layer = Layer::Network;
    match network {
        Network::None => {
            refused(layer, "an internet socket", attempt::socket(libc::AF_INET, libc::SOCK_STREAM, 0), libc::EACCES)
        }
        Network::Loopback => match attempt::has_route() {
            Ok(false) => Ok(()),
            _ => Err(Failure::open(layer, "there is a route out of the jail")),
        },
        Network::Egress(_) => everything_is_local(),
    }
}

/// Every address leads to `lo`, nothing else is there to lead anywhere, and the ports below 1024 are mcpjail's.
fn everything_is_local() -> Result<(), Failure> {
    let layer = Layer::Network;
    if let Some(name) = attempt::interfaces_up().map_err(unreadable(layer, "the list of interfaces"))?.first() {
        return Err(Failure::open(layer, format!("there is a network interface `{name}` in the jail")));
    }
    for (list, headings) in [("/proc/net/route", 1), ("/proc/net/ipv6_route", 0)] {
        let text = match std::fs::read_to_string(list) {
            // a kernel without IPv6
            Err(error) if headings == 0 && error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(unreadable(layer, list))?,
        };
        let elsewhere = |line: &&str| line.split_ascii_whitespace().all(|word| word != "lo");
        if let Some(route) = text.lines().skip(headings).find(elsewhere) {
            return Err(Failure::open(layer, format!("there is a route out of the jail: `{}`", route.trim())));
        }
    }
    // of the documentation, a resolver's, a private one, a metadata service's
    for address in [[192, 0, 2, 1], [8, 8, 8, 8], [10, 0, 0, 1], [169, 254, 169, 254]].map(Ipv4Addr::from) {
        match attempt::source_for(address.into()) {
            Ok(source) if source == address => {}
            Ok(source) => return Err(Failure::open(layer, format!("`{address}` is reached from `{source}`"))),
            Err(error) => return Err(Failure::refused(layer, format!("finding `{address}` in the jail"), &error)),
        }
    }
    if has_ipv6() {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        match attempt::source_for(address.into()) {
            Ok(source) if source.is_loopback() || source == address => {}
            Ok(source) => return Err(Failure::open(layer, format!("`{address}` is reached from `{source}`"))),
            Err(error) => return Err(Failure::refused(layer, format!("finding `{address}` in the jail"), &error)),
        }
    }
    refused(layer, "a port below 1024", attempt::bind_tcp(1), libc::EACCES)
}

/// Proves, last of all, that every descriptor but 0, 1 and 2 closes with the exec.
pub(super) fn descriptors() -> Result<(), Failure> {
    let layer = Layer::Descriptors;
    match attempt::first_inherited(3) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            Err(Failure::open(Layer::Landlock, "the rule for `/proc` has no effect, so the rules were not added"))
        }
        Err(error) => Err(unreadable(layer, "the descriptor table")(error)),
        Ok(None) => Ok(()),
        Ok(Some(number)) => Err(Failure::open(layer, format!("descriptor {number} would be inherited"))),
    }
}
