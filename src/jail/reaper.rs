//! The reaper: pid 1 of tier A, the subreaper of tier B. It passes signals on, reaps, and ends everything with the session.
//!
//! It outlives nothing: when the launcher goes, the control socket closes and the reaper ends the jail. In tier A its own
//! end is the end of every process of the pid namespace; in tier B it hunts down what is left of its descendants.

use super::confine::{self, failed};
use super::layer::{Failure, Layer};
use crate::sys::landlock::{self, Handled};
use crate::sys::poll::{Interest, PollFd, poll, wait_for};
use crate::sys::process::{self, Ended};
use crate::sys::signal::{ENDING, SignalFd};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What the reaper was given.
pub(super) struct Reaper {
    pub(super) full: bool,
    pub(super) server: i32,
    pub(super) control: UnixStream,
    pub(super) signals: SignalFd,
    /// Tier B: `/proc/self/task/TID/children`, opened before the walls went up.
    pub(super) children: Option<File>,
}

/// Blocks what the reaper reads from a descriptor. Before the fork, so that no signal is lost.
pub(super) fn block_signals() -> Result<SignalFd, Failure> {
    let [term, int, hup] = ENDING;
    SignalFd::block(&[term, int, hup, libc::SIGCHLD]).map_err(failed(Layer::Reaper, "opening a signal descriptor"))
}

/// No capability, no file, no TCP, hardly a system call; signals to the jail stay possible.
pub(super) fn confine() -> Result<(), Failure> {
    const BIND_AND_CONNECT_TCP: u64 = 3;
    confine::drop_capabilities()?;
    let abi = landlock::abi().map_err(failed(Layer::Landlock, "asking for its version"))?;
    let net = if abi >= 4 { BIND_AND_CONNECT_TCP } else { 0 };
    let ruleset = confine::ruleset(Handled { fs: crate::plan::handled(abi), net, scoped: 0 }, &[])?;
    confine::restrict(&ruleset)?;
    confine::install(&super::bpf::reaper())
}

impl Reaper {
    /// Waits for the server's end or the launcher's. Never returns.
    pub(super) fn run(mut self) -> ! {
        let ended = self.wait();
        if !self.full {
            self.end_descendants();
        }
        let status = match ended {
            Some(Ended::Exited(code)) => {
                let _gone = self.control.write_all(&status_message(0, code));
                code
            }
            Some(Ended::Signaled(signal)) => {
                let _gone = self.control.write_all(&status_message(1, signal));
                128 + signal
            }
            None => 128 + libc::SIGKILL,
        };
        process::exit_now(status)
    }

    /// Closes the server's end of its pipes, so that their other ends see the server close them.
    pub(super) fn close_the_rest(&self) {
        crate::sys::fd::close_standard();
    }

    /// `None` when the launcher is gone.
    fn wait(&mut self) -> Option<Ended> {
        loop {
            let watch = |fd| PollFd::new(Some(fd), Interest::Read);
            let mut set = [watch(self.signals.as_fd()), watch(self.control.as_fd())];
            if poll(&mut set, None).is_err() {
                return None;
            }
            let [signals, control] = set.map(|fd| fd.is_ready());
            if control {
                return None; // nothing is ever sent after the start: this is the end of file
            }
            if !signals {
                continue;
            }
            while let Ok(Some(signal)) = self.signals.next() {
                if signal != libc::SIGCHLD {
                    let _gone = process::signal(self.server, signal);
                }
            }
            while let Ok(Some((pid, ended))) = process::reap() {
                if pid == self.server {
                    return Some(ended);
                }
            }
        }
    }

    /// Kills every descendant: orphans become our children, so going on until there are none finds them all.
    fn end_descendants(&mut self) {
        let _none = process::signal(-self.server, libc::SIGKILL);
        // each round kills all present children; a fork bomb can at most race a bounded number of rounds
        for _ in 0..500 {
            let mut text = String::new();
            if let Some(children) = &mut self.children {
                let _again = children.rewind();
                let _unreadable = children.read_to_string(&mut text);
            }
            for pid in text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
                let _gone = process::signal(pid, libc::SIGKILL);
            }
            match process::reap() {
                Err(_) => return, // no children left
                Ok(Some(_)) => {}
                Ok(None) => {
                    let soon = Instant::now() + Duration::from_millis(10);
                    let _waited = wait_for(self.signals.as_fd(), Interest::Read, Some(soon));
                    while let Ok(Some(_)) = self.signals.next() {}
                }
            }
        }
    }
}

/// What the reaper says last: kind (0 exit, 1 signal) and number.
fn status_message(kind: u8, number: i32) -> [u8; 2] {
    [kind, u8::try_from(number & 0xff).unwrap_or(0xff)]
}

/// Reads the reaper's last message from the launcher's end of the control socket.
pub(super) fn read_status(control: &mut UnixStream) -> io::Result<Option<Ended>> {
    let mut message = [0; 2];
    match control.read(&mut message)? {
        2 => Ok(Some(match message {
            [0, code] => Ended::Exited(code.into()),
            [_, signal] => Ended::Signaled(signal.into()),
        })),
        _ => Ok(None),
    }
}
