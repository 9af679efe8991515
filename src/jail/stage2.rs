//! Stage 2: a fresh, single-threaded process with an empty environment that builds the jail around itself and executes.
//!
//! The launcher has cloned it into new user and pid namespaces and handed it four descriptors: the pipe on which the
//! spec will come, the report pipe, the control socket, and the socket for what listens in the jail's network. It holds none of the launcher's secrets. It starts before
//! there is a plan, so that its own start, its namespaces and its fork cost no time of their own. Order matters here; each
//! line says why it stands where it does.

use super::confine::{self, failed};
use super::layer::{Failure, Layer, LayerReport, Message, Status};
use super::root::{self, PidMax};
use super::spec::{self, Network, Spec, View};
use super::{limits, proof, reaper};
use crate::egress;
use crate::sys::fd::{adopt, close_from, close_on_exec_from};
use crate::sys::landlock::Handled;
use crate::sys::netlink::Netlink;
use crate::sys::{process, signal};
use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The hidden subcommand that starts stage 2.
pub const ARGUMENT: &CStr = c"__stage2";

pub(super) const SPEC: i32 = 3;
pub(super) const REPORT: i32 = 4;
pub(super) const CONTROL: i32 = 5;
pub(super) const LISTENERS: i32 = 6;
const AFTER: u32 = 7;
/// What stage 2 makes itself; user and pid namespace are the launcher's clone.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Builds the jail and executes the server. Never returns: what fails is told through the report pipe.
pub fn main(full: bool) -> ! {
    let status = match Pipes::adopt() {
        Ok((mut pipes, given)) => match run(&mut pipes, given, full) {
            Ok(never) => never,
            Err(failure) => {
                pipes.send(&Message::Failed(failure));
                125
            }
        },
        // nobody to tell: this is what a person gets who types the hidden subcommand
        Err(_) => 2,
    };
    process::exit_now(status)
}

struct Pipes {
    /// `None` once this process has nothing more to say: the launcher waits for every copy to close.
    report: Option<File>,
}

/// What else the launcher handed over.
struct Given {
    spec: OwnedFd,
    control: UnixStream,
    listeners: OwnedFd,
}

impl Pipes {
    fn adopt() -> std::io::Result<(Pipes, Given)> {
        let (spec, report, control, listeners) = (adopt(SPEC)?, adopt(REPORT)?, adopt(CONTROL)?, adopt(LISTENERS)?);
        Ok((Pipes { report: Some(report.into()) }, Given { spec, control: control.into(), listeners }))
    }

    fn send(&self, message: &Message) {
        if let (Some(mut report), Ok(bytes)) = (self.report.as_ref(), postcard::to_allocvec(message)) {
            let _nobody_listens = report.write_all(&bytes);
        }
    }
}

fn run(pipes: &mut Pipes, given: Given, full: bool) -> Result<i32, Failure> {
    let Given { spec, mut control, listeners } = given;
    // first of all: what the launcher inherited or forgot must not be reachable from anything below
    close_from(AFTER).map_err(failed(Layer::Descriptors, "closing what was inherited"))?;
    close_on_exec_from(3).map_err(failed(Layer::Descriptors, "marking descriptors close-on-exec"))?;
    let reaping = |what| failed(Layer::Reaper, what);
    if full {
        process::die_with_parent(libc::SIGKILL).map_err(reaping("asking for the launcher's death"))?;
    }
    process::set_name(c"mcpjail-init").map_err(reaping("taking a name"))?;
    process::new_session().map_err(reaping("starting a session"))?;
    if full {
        confine::prove_capabilities_to_build()?;
        process::unshare(NAMESPACES)
            .map_err(failed(Layer::Namespaces, "new mount, network, ipc and uts namespaces"))?;
        process::set_host_name("mcpjail").map_err(failed(Layer::Namespaces, "the host name of the new namespace"))?;
    } else {
        process::adopt_orphans().map_err(reaping("becoming the reaper of orphans"))?;
    }
    // the launcher has put us into our control group, or is gone
    let mut go = [0];
    control.read_exact(&mut go).map_err(reaping("waiting for the launcher"))?;
    if full {
        // only now, so that the root of the new namespace is the jail's own group
        process::unshare(libc::CLONE_NEWCGROUP).map_err(failed(Layer::Namespaces, "a new cgroup namespace"))?;
    }
    let children = if full { None } else { File::open("/proc/thread-self/children").ok() };
    let signals = reaper::block_signals()?;
    let (mut gate_in, mut gate_out) = std::io::pipe().map_err(reaping("making a pipe"))?;
    // two processes go on from here at once: this one confines itself and waits, the other builds and becomes the server
    match process::fork().map_err(reaping("forking"))? {
        process::Fork::Child => {
            drop((control, gate_out, children, signals));
            server_side(pipes, spec, listeners, full, &mut gate_in)
        }
        process::Fork::Parent(server) => {
            drop((spec, listeners, gate_in));
            if let Err(failure) = reaper_side(&mut gate_out) {
                let _it_waits = process::signal(server, libc::SIGKILL);
                return Err(failure);
            }
            drop(gate_out);
            pipes.report = None;
            // after this the reaper holds the control socket and its signals, not the server's pipes
            let reaper = reaper::Reaper { full, server, control, signals, children };
            reaper.close_the_rest();
            reaper.run()
        }
    }
}

/// Builds the jail around itself, proves it and executes.
fn server_side(
    pipes: &Pipes,
    spec: OwnedFd,
    listeners: OwnedFd,
    full: bool,
    gate: &mut impl Read,
) -> Result<i32, Failure> {
    signal::reset_for_exec().map_err(failed(Layer::Exec, "resetting signals"))?;
    process::new_session().map_err(failed(Layer::Exec, "starting a session"))?;
    if !full {
        process::die_with_parent(libc::SIGKILL).map_err(failed(Layer::Reaper, "asking for the reaper's death"))?;
    }
    let mut pipe = File::from(spec);
    let view: View = spec::receive(&mut pipe).map_err(failed(Layer::Exec, "the program: no plan has come"))?;
    let mut pid_max = PidMax::Unsupported;
    if full {
        pid_max = root::enter(&view.nodes, view.processes)?;
        network(&view.network, &listeners)?;
    }
    drop(listeners);
    let spec: Spec = spec::receive(&mut pipe).map_err(failed(Layer::Exec, "the program: half of the plan has come"))?;
    let rlimits = limits::for_tier(&spec.rlimits, full);
    limits::apply(&rlimits)?;
    let powerless = confine::drop_capabilities()?;
    let handled = Handled { fs: spec.handled.0, net: spec.handled.1, scoped: spec.handled.2 };
    let ruleset = confine::ruleset(handled, &spec.rules)?;
    let cwd = spec.cwd.to_string_lossy();
    process::change_directory(&spec.cwd)
        .map_err(failed(Layer::Exec, &format!("the program: the working directory `{cwd}` cannot be entered")))?;
    confine::restrict(&ruleset)?;
    drop(ruleset);
    confine::install(&confine::instructions(&spec))?;
    proof::prove(&spec, full.then_some(&view), &view.network, &rlimits, powerless)?;
    proof::descriptors()?;
    // the reaper is confined too, or this process is killed while it waits
    gate.read_exact(&mut [0]).map_err(failed(Layer::Reaper, "waiting for the reaper"))?;
    let egress = matches!(view.network, Network::Egress(_));
    if egress {
        // the processes outside are confined as well, or the launcher is gone
        let stand = pipe.read_exact(&mut [0]);
        stand.map_err(failed(Layer::Egress, "waiting for the processes outside that hold its listeners"))?;
    }
    drop(pipe);
    let root_user = process::user().0 == 0;
    pipes.send(&Message::Report(report(full, egress, root_user, pid_max, spec.cpu)));
    let error = process::execute(&spec.program, &spec.argv, &spec.environment);
    Err(failed(Layer::Exec, &format!("`{}`", spec.program.to_string_lossy()))(error))
}

/// Makes the jail's network what it is to be. Neither the listeners nor the capabilities for them are left to the server.
fn network(network: &Network, listeners: &OwnedFd) -> Result<(), Failure> {
    match network {
        Network::None => Ok(()),
        Network::Loopback => {
            let up = Netlink::open().and_then(|mut netlink| netlink.bring_up_loopback());
            up.map_err(failed(Layer::Network, "bringing up the private loopback"))
        }
        Network::Egress(ports) => {
            // each granted port is a descriptor
            limits::raise_open_files().map_err(failed(Layer::Limits, "raising the limit of open files"))?;
            let opened = egress::listeners::open(ports)
                .map_err(|(what, error)| Failure::refused(Layer::Network, what, &error))?;
            // never waits, so that nobody who is slow or gone can hold this process up
            egress::listeners::send(listeners.as_fd(), &opened)
                .map_err(failed(Layer::Egress, "handing over the listeners"))
        }
    }
}

fn reaper_side(gate: &mut impl Write) -> Result<(), Failure> {
    // the reaper shares the server's user: nobody may look into it or trace it
    process::set_undumpable().map_err(failed(Layer::Reaper, "becoming undumpable"))?;
    if !process::is_undumpable().map_err(failed(Layer::Reaper, "reading whether it is dumpable"))? {
        return Err(Failure::open(Layer::Reaper, "the reaper is still dumpable"));
    }
    reaper::confine()?;
    gate.write_all(&[1]).map_err(failed(Layer::Reaper, "releasing the server"))
}

fn report(full: bool, egress: bool, root_user: bool, pid_max: PidMax, cpu: u64) -> Vec<LayerReport> {
    let line = |layer: Layer, on: bool| LayerReport {
        name: layer.to_string(),
        status: if on { Status::Enforced } else { Status::Off },
    };
    let mut lines = vec![
        line(Layer::Namespaces, full),
        line(Layer::Mounts, full),
        line(Layer::Network, true),
        line(Layer::NoNewPrivs, true),
        line(Layer::Capabilities, true),
        line(Layer::Landlock, true),
        line(Layer::Seccomp, true),
        line(Layer::Limits, true),
    ];
    lines.extend(egress.then(|| line(Layer::Egress, true)));
    lines.extend(limits::report(full, root_user, pid_max == PidMax::Set, cpu));
    lines
}
