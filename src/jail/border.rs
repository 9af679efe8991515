//! What the two processes of egress give up, and the proof that it is gone.
//!
//! They run in the machine's namespaces as the user, so Landlock, seccomp and the absence of capabilities are all there is
//! between them and the machine. The *proxy* reads hostile bytes: no file, no socket of its own, no program, no signal. The
//! *broker* keeps what the machine's resolver needs: reading below a few directories, asking over sockets, threads.

use super::confine::{self, failed};
use super::layer::{Failure, Layer};
use super::proof::{self, refused, unreadable};
use super::{bpf, limits};
use crate::plan::syscalls::Policy;
use crate::plan::{Access, Rights, handled};
use crate::sys::landlock::{self, Handled};
use crate::sys::{attempt, fd, process};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

// Landlock's rights and scopes: linux/landlock.h
const BIND_AND_CONNECT_TCP: u64 = 3;
const CONNECT_TCP: u64 = 2;
const ABSTRACT: u64 = 1;
const SIGNAL: u64 = 2;
const RESOLVE_UNIX: u64 = 1 << 16;

const DNS: u16 = 53;
/// asm-generic/resource.h
const CORE: u32 = 4;

/// Where resolvers find their configuration, modules and tables.
const RESOLVERS_READ: &[&CStr] = &[
    c"/etc",
    c"/usr",
    c"/lib",
    c"/lib32",
    c"/lib64",
    c"/nix/store",
    c"/gnu/store",
    // what writes /etc/resolv.conf, or is what it links to
    c"/run/systemd/resolve",
    c"/run/resolvconf",
    c"/run/NetworkManager",
    c"/run/netconfig",
    c"/run/connman",
    c"/run/dhcpcd",
    // tables that modules and daemons share
    c"/run/nscd",
    c"/var/cache/nscd",
    c"/var/db/nscd",
    c"/var/lib/sss",
    c"/var/lib/extrausers",
    c"/var/lib/libvirt/dnsmasq",
    c"/var/yp/binding",
    c"/sys/devices/system/cpu",
    c"/dev/null",
    c"/dev/urandom",
];

/// Where resolvers' daemons listen. Below Landlock ABI 9 every socket that the user may connect to is open to the broker.
const RESOLVERS_ASK: &[&CStr] = &[
    c"/run/systemd/resolve",
    c"/run/systemd/machine",
    c"/run/nscd",
    c"/var/run/nscd",
    c"/var/lib/sss/pipes",
    c"/run/avahi-daemon",
    c"/run/nslcd",
    c"/run/samba/winbindd",
];

/// Files of /etc that may be links to somewhere else.
const LINKS: &[&str] =
    &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/ld.so.cache"];

/// What no rule covers, so that it can be tried whether Landlock holds: the first of these that can be opened before.
const CANARIES: [&CStr; 3] = [c"/", c"/proc/self/stat", c"/proc"];

/// Confines the calling process for good as the proxy: what is left to it are the descriptors that it holds, which must be
/// the standard ones and `keeps`. It must have one thread and [`process::die_with_parent`].
///
/// # Errors
/// The step that the kernel refuses, or that did not do what it reported.
pub fn confine_proxy(keeps: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    let closed = Outside { keeps, reads: &[], asks: &[], links: &[], ports: &[], scoped: SIGNAL };
    closed.confine(&Policy::proxy(), || {
        refused(Layer::Seccomp, "opening a file", attempt::read(c"/"), libc::ENOSYS)?;
        let socket = attempt::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        refused(Layer::Seccomp, "an internet socket", socket, libc::ENOSYS)
    })
}

/// The same as the broker, which resolves names and connects to `ports`.
///
/// # Errors
/// As [`confine_proxy`].
pub fn confine_broker(keeps: &[BorrowedFd<'_>], ports: &[u16]) -> Result<(), Failure> {
    let ports: Vec<u16> = ports.iter().copied().chain([DNS]).collect();
    // a process whose signals are scoped takes nobody with it when it dies: for Landlock the signal of a parent's death
    // comes from the parent. The filter keeps this one from sending any.
    let scoped = 0;
    let resolver = Outside { keeps, reads: RESOLVERS_READ, asks: RESOLVERS_ASK, links: LINKS, ports: &ports, scoped };
    resolver.confine(&Policy::broker(), || {
        refused(Layer::Seccomp, "listening", attempt::listen_tcp(), libc::ENOSYS)?;
        refused(Layer::Seccomp, "opening a file for writing", attempt::write(c"/dev/null"), libc::EACCES)?;
        let packets = attempt::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0);
        refused(Layer::Seccomp, "a packet socket", packets, libc::EAFNOSUPPORT)
    })
}

/// A process of egress, and what it keeps.
struct Outside<'a> {
    keeps: &'a [BorrowedFd<'a>],
    reads: &'a [&'a CStr],
    asks: &'a [&'a CStr],
    links: &'a [&'a str],
    ports: &'a [u16],
    scoped: u64,
}

impl Outside<'_> {
    fn confine(&self, policy: &Policy, filtered: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        // while /proc can still be read
        self.descriptors()?;
        let no_core = [(CORE, 0)];
        limits::apply(&no_core)?;
        limits::prove(&no_core)?;
        let powerless = confine::drop_capabilities()?;
        process::set_undumpable().map_err(failed(Layer::Egress, "becoming undumpable"))?;
        let abi = landlock::abi().map_err(failed(Layer::Landlock, "asking for its version"))?;
        let ruleset = self.ruleset(abi)?;
        let canary = CANARIES.into_iter().find(|path| attempt::read(path).is_ok());
        let canary = canary.ok_or_else(|| Failure::open(Layer::Landlock, "there is nothing to try it on"))?;
        let readable: Vec<&CStr> = self.reads.iter().copied().filter(|path| attempt::read(path).is_ok()).collect();
        confine::restrict(&ruleset)?;
        drop(ruleset);
        self.landlock(abi, canary, &readable)?;
        confine::install(&bpf::assemble(policy))?;
        // everything is looked at once nothing changes any more
        proof::no_new_privs()?;
        proof::capabilities(powerless)?;
        match process::is_undumpable() {
            Ok(true) => {}
            _ => return Err(Failure::open(Layer::Egress, "it is still dumpable")),
        }
        match process::parent_death_signal() {
            Ok(libc::SIGKILL) => {}
            _ => return Err(Failure::open(Layer::Egress, "it does not die with its parent")),
        }
        refused(Layer::Seccomp, "executing a program", attempt::execute_nothing(), libc::ENOSYS)?;
        refused(Layer::Seccomp, "unshare", attempt::unshare_nothing(), libc::ENOSYS)?;
        refused(Layer::Seccomp, "sending a signal", attempt::signal_nothing(), libc::ENOSYS)?;
        filtered()
    }

    /// Nothing is open but the standard descriptors and what is kept.
    fn descriptors(&self) -> Result<(), Failure> {
        let layer = Layer::Descriptors;
        let open = attempt::open_descriptors().map_err(unreadable(layer, "the descriptor table"))?;
        let kept = |number: &i32| *number < 3 || self.keeps.iter().any(|fd| fd.as_raw_fd() == *number);
        match open.iter().find(|number| !kept(number)) {
            None => Ok(()),
            Some(number) => Err(Failure::open(layer, format!("descriptor {number} is open"))),
        }
    }

    fn ruleset(&self, abi: u32) -> Result<OwnedFd, Failure> {
        let layer = Layer::Landlock;
        let handled = Handled {
            fs: handled(abi),
            net: if abi >= 4 { BIND_AND_CONNECT_TCP } else { 0 },
            scoped: if abi >= 6 { ABSTRACT | self.scoped } else { 0 },
        };
        let ruleset = landlock::create(&handled).map_err(failed(layer, "making a ruleset"))?;
        for path in self.reads {
            allow(&ruleset, path, |directory| Rights::from(Access::Read).landlock(abi, directory))?;
        }
        for path in self.links.iter().filter_map(|link| behind(Path::new(link))) {
            allow(&ruleset, &path, |directory| Rights::from(Access::Read).landlock(abi, directory))?;
        }
        if abi >= 9 {
            for path in self.asks {
                allow(&ruleset, path, |_| RESOLVE_UNIX)?;
            }
        }
        if abi >= 4 {
            for port in self.ports {
                landlock::allow_port(ruleset.as_fd(), *port, CONNECT_TCP)
                    .map_err(failed(layer, "adding the rule for a port"))?;
            }
        }
        Ok(ruleset)
    }

    /// Tries what Landlock alone refuses, before the filter answers in its place.
    fn landlock(&self, abi: u32, canary: &CStr, readable: &[&CStr]) -> Result<(), Failure> {
        let layer = Layer::Landlock;
        refused(layer, "reading a file without a rule", attempt::read(canary), libc::EACCES)?;
        if let Some(path) = readable.iter().find(|path| attempt::read(path).is_err()) {
            return Err(Failure::open(layer, format!("the rule for `{}` has no effect", path.to_string_lossy())));
        }
        if abi >= 4 {
            let other = (1..).find(|port| !self.ports.contains(port)).unwrap_or(1);
            refused(layer, "connecting to a port without a rule", attempt::connect_tcp(other), libc::EACCES)?;
        }
        Ok(())
    }
}

/// Adds the rule for a path, if it is there: what cannot be opened now cannot be used later either.
fn allow(ruleset: &OwnedFd, path: &CStr, rights: impl Fn(bool) -> u64) -> Result<(), Failure> {
    let Ok(place) = fd::open_at(None, path, libc::O_PATH, 0) else { return Ok(()) };
    let what = format!("adding the rule for `{}`", path.to_string_lossy());
    let failed = failed(Layer::Landlock, &what);
    let directory = fd::identity(place.as_fd()).map_err(&failed)?.kind == libc::S_IFDIR;
    landlock::allow(ruleset.as_fd(), place.as_fd(), rights(directory)).map_err(failed)
}

/// What to allow for a file of /etc that is a link: where others put such files into a directory of their own below /run,
/// that directory, since they replace the file; otherwise the file.
fn behind(link: &Path) -> Option<CString> {
    let file = link.canonicalize().ok().filter(|file| !file.starts_with("/etc"))?;
    let own = file.parent().filter(|directory| directory.starts_with("/run") && directory.components().count() > 2);
    CString::new(own.unwrap_or(&file).as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests;
