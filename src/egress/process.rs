//! `mcpjail __egress`: a fresh process with an almost empty environment that becomes two, the broker and its child, the
//! proxy. Each gives up what it does not need and proves it before either does anything else.
//!
//! ```text
//! launcher ──clone──► broker ──fork──► proxy
//!    │ spec (pipe) ─────►│                │
//!    │ listeners ────────┼───────────────►│ ◄── stage 2
//!    │ ◄── events ───────┴────────────────┤
//!    │                   └── questions ──►┘ stands
//! ```
//!
//! Neither outlives who started it: the kernel kills the broker with the launcher and the proxy with the broker.

use super::listeners::{self, Kind, Listener};
use super::{Event, Limits, Rules, broker, proxy};
use crate::jail::{self, Failure, Layer};
use crate::sys::poll::{Interest, PollFd, poll, wait_for};
use crate::sys::process::{self, Ended, Fork};
use crate::sys::{fd, message, signal};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// The hidden subcommand that starts this process.
pub const ARGUMENT: &CStr = c"__egress";

const SPEC: i32 = 3;
const LISTENERS: i32 = 4;
const EVENTS: i32 = 5;
const AFTER: u32 = 6;

/// asm-generic/resource.h
const OPEN_FILES: u32 = 7;

/// What the proxy says to the broker once, before any question: that it is confined and has the listeners.
const STANDS: &[u8] = b"stands";

/// What the launcher writes to the pipe.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) rules: Rules,
    pub(super) limits: Limits,
}

/// Becomes broker and proxy. Never returns: what fails is told over the events socket.
pub fn main() -> ! {
    let status = match Given::adopt() {
        Ok(given) => i32::from(!run(given)),
        // nobody to tell: this is what a person gets who types the hidden subcommand
        Err(_) => 2,
    };
    process::exit_now(status)
}

/// What the launcher handed over.
struct Given {
    spec: OwnedFd,
    listeners: OwnedFd,
    events: OwnedFd,
}

impl Given {
    fn adopt() -> io::Result<Given> {
        Ok(Given { spec: fd::adopt(SPEC)?, listeners: fd::adopt(LISTENERS)?, events: fd::adopt(EVENTS)? })
    }
}

/// Which of the two this process is now.
enum Side {
    Proxy { broker: OwnedFd, parent: i32, ports: Vec<u16>, limits: Limits },
    Broker { proxy: OwnedFd, child: i32, rules: Rules },
}

/// Gives whether all went well.
fn run(given: Given) -> bool {
    let Given { spec, listeners, events } = given;
    // what the launcher inherited must not be reachable from anything below
    let closed = process::set_name(c"mcpjail-broker").and_then(|()| fd::close_from(AFTER));
    if let Err(error) = closed {
        tell(&events, &Event::Failed(said("it", &failure(Layer::Descriptors, "closing what was inherited", &error))));
        return false;
    }
    let Ok(report) = events.try_clone() else { return false };
    let (who, done) = match split(spec, &events) {
        Err(failure) => ("it", Err(failure)),
        Ok(Side::Proxy { broker, parent, ports, limits }) => {
            // the copy is for what goes wrong later, and one of the descriptors that are meant to be open
            ("the proxy", proxy_side(broker, parent, listeners, &ports, limits, (events, &report)))
        }
        Ok(Side::Broker { proxy, child, rules }) => {
            drop(listeners);
            ("the broker", broker_side(proxy, child, rules, (events, &report)))
        }
    };
    done.inspect_err(|failure| tell(&report, &Event::Failed(said(who, failure)))).is_ok()
}

/// Everything that both have in common, and the fork.
fn split(spec: OwnedFd, events: &OwnedFd) -> Result<Side, Failure> {
    let failed = |what| move |error: io::Error| failure(Layer::Egress, what, &error);
    fd::close_on_exec_from(3)
        .map_err(|error| failure(Layer::Descriptors, "marking descriptors close-on-exec", &error))?;
    // a terminal's signals are for the launcher, which ends this process when it is done with it
    process::new_session().map_err(failed("starting a session"))?;
    signal::hold_ending().map_err(failed("holding signals"))?;
    process::die_with_parent(libc::SIGKILL).map_err(failed("asking for the launcher's death"))?;
    // a launcher that died before that is not told of any more: its end of the socket is closed
    if wait_for(events.as_fd(), Interest::Hangup, Some(Instant::now())).unwrap_or(true) {
        return Err(Failure { layer: Layer::Egress, what: "the launcher is gone".into(), errno: 0 });
    }
    process::change_directory(c"/").map_err(failed("changing to the root directory"))?;
    let open_files = process::hard_limit(OPEN_FILES).and_then(|hard| process::limit(OPEN_FILES, hard));
    open_files.map_err(|error| failure(Layer::Limits, "raising the limit of open files", &error))?;
    let Spec { rules, limits } =
        jail::receive_part(&mut File::from(spec)).map_err(failed("reading what is granted"))?;
    let (ours, theirs) = message::packet_pair().map_err(failed("making a socket"))?;
    let parent = process::id();
    match process::fork().map_err(failed("forking"))? {
        Fork::Child => Ok(Side::Proxy { broker: theirs, parent, ports: rules.ports().to_vec(), limits }),
        Fork::Parent(child) => Ok(Side::Broker { proxy: ours, child, rules }),
    }
}

fn proxy_side(
    broker: OwnedFd,
    parent: i32,
    handover: OwnedFd,
    ports: &[u16],
    limits: Limits,
    (events, report): (OwnedFd, &OwnedFd),
) -> Result<(), Failure> {
    let failed = |what| move |error: io::Error| failure(Layer::Egress, what, &error);
    process::set_name(c"mcpjail-proxy").map_err(failed("taking a name"))?;
    process::die_with_parent(libc::SIGKILL).map_err(failed("asking for the broker's death"))?;
    if process::parent() != parent {
        return Err(Failure { layer: Layer::Egress, what: "the broker is gone".into(), errno: 0 });
    }
    // what strangers wrote must not reach the terminal
    fd::null_standard().map_err(failed("letting go of standard error"))?;
    jail::confine_proxy(&[broker.as_fd(), handover.as_fd(), events.as_fd(), report.as_fd()])?;
    let mut set =
        [PollFd::new(Some(handover.as_fd()), Interest::Read), PollFd::new(Some(events.as_fd()), Interest::Read)];
    poll(&mut set, None).map_err(failed("waiting for the listeners"))?;
    let [_, over] = set.map(|fd| fd.is_ready());
    if over {
        return Ok(()); // the launcher has given up meanwhile
    }
    let listeners = listeners::receive(handover.as_fd()).map_err(failed("receiving the listeners"))?;
    drop(handover);
    listen_to(&listeners, ports)?;
    message::send(broker.as_fd(), STANDS, &[], false).map_err(failed("telling the broker"))?;
    proxy::run(proxy::Setup { listeners, broker, events, limits }).map_err(failed("it broke"))
}

/// The jail listens on what is granted, on port 53 and nowhere else.
fn listen_to(listeners: &[Listener], ports: &[u16]) -> Result<(), Failure> {
    let count = |kind: Kind| listeners.iter().filter(|listener| listener.kind == kind).count();
    let once = |kind: Kind| count(kind) == 1;
    let others = count(Kind::DnsUdp6) + count(Kind::Watch);
    let granted = ports.iter().all(|port| once(Kind::Tcp(*port)));
    if granted && once(Kind::DnsTcp) && once(Kind::DnsUdp4) && listeners.len() == ports.len() + 2 + others {
        return Ok(());
    }
    Err(Failure { layer: Layer::Egress, what: "its listeners are not those of the rules".into(), errno: 0 })
}

fn broker_side(proxy: OwnedFd, child: i32, rules: Rules, (events, report): (OwnedFd, &OwnedFd)) -> Result<(), Failure> {
    let failed = |what| move |error: io::Error| failure(Layer::Egress, what, &error);
    jail::confine_broker(&[proxy.as_fd(), events.as_fd(), report.as_fd()], rules.ports())?;
    let mut room = [0; STANDS.len() + 1];
    let stands = message::receive(proxy.as_fd(), &mut room, true).map_err(failed("waiting for the proxy"))?;
    if room.get(..stands.0) == Some(STANDS) && stands.1.is_empty() {
        tell(report, &Event::Ready);
        broker::run(broker::Setup { proxy, events, rules }).map_err(failed("it broke"))?;
    } else {
        drop(proxy);
    }
    // it is gone, or about to be: it has nobody left to ask
    match process::wait_for(child).map_err(failed("waiting for the proxy's end"))? {
        Ended::Signaled(signal) => {
            Err(Failure { layer: Layer::Egress, what: format!("signal {signal} ended the proxy"), errno: 0 })
        }
        // it has said why
        Ended::Exited(_) => Ok(()),
    }
}

fn failure(layer: Layer, what: &str, error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno) => Failure { layer, what: what.to_owned(), errno },
        None => Failure { layer, what: format!("{what}: {error}"), errno: 0 },
    }
}

/// A failure in words: whose, which layer, what, and the kernel's answer.
fn said(who: &str, failure: &Failure) -> String {
    let Failure { layer, what, errno } = failure;
    let layer = if *layer == Layer::Egress { String::new() } else { format!("{layer}: ") };
    let why = if *errno == 0 { String::new() } else { format!(": {}", io::Error::from_raw_os_error(*errno)) };
    format!("{who}: {layer}{what}{why}")
}

/// A launcher that is gone hears nothing, and one that does not read must not hold this process up.
fn tell(events: &OwnedFd, event: &Event) {
    if let Ok(bytes) = postcard::to_allocvec(event) {
        let _gone = message::send(events.as_fd(), &bytes, &[], false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(kinds: &[Kind]) -> Vec<Listener> {
        let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
        kinds.iter().map(|kind| Listener { kind: *kind, fd: fd() }).collect()
    }

    #[test]
    fn listeners_are_those_of_the_rules() {
        let base = [Kind::DnsTcp, Kind::DnsUdp4];
        let with = |more: &[Kind]| listeners(&[&base[..], more].concat());
        assert!(listen_to(&with(&[Kind::Tcp(443), Kind::Tcp(80), Kind::DnsUdp6, Kind::Watch]), &[80, 443]).is_ok());
        assert!(listen_to(&with(&[Kind::Tcp(443)]), &[443]).is_ok());
        for (more, ports) in [
            (&[][..], &[443][..]),
            (&[Kind::Tcp(443), Kind::Tcp(80)], &[443]),
            (&[Kind::Tcp(443), Kind::Tcp(443)], &[443]),
            (&[Kind::Tcp(80)], &[443]),
            (&[Kind::DnsTcp], &[]),
        ] {
            assert!(listen_to(&with(more), ports).is_err(), "{more:?}");
        }
        assert!(listen_to(&listeners(&[Kind::Tcp(443)]), &[443]).is_err(), "nobody answers names");
    }

    #[test]
    fn failures_say_whose_they_are() {
        let failure = Failure { layer: Layer::Landlock, what: "reading a file was not refused".into(), errno: 0 };
        assert_eq!(said("the proxy", &failure), "the proxy: landlock: reading a file was not refused");
        let failure = Failure { layer: Layer::Egress, what: "starting a session".into(), errno: libc::EPERM };
        assert_eq!(said("it", &failure), "it: starting a session: Operation not permitted (os error 1)");
    }
}
