//! The launcher's side of egress: starts the two processes, hears whether they stand, and ends them.

use super::process::{ARGUMENT, Spec};
use super::wire::LARGEST;
use super::{Event, Limits, Rules};
use crate::jail::{self, Companion, Failure, JailError, Layer};
use crate::sys::clone::{self, Start};
use crate::sys::poll::{Interest, wait_for};
use crate::sys::{fd, message, pidfd};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What of the environment the C library's resolver reads and may follow.
const PASSED: [&str; 1] = ["RES_OPTIONS"];
/// A granted name is a whole one: the machine's search list (resolv.conf(5)) must not make another name out of it.
const NO_SEARCH: &CStr = c"LOCALDOMAIN=.";
/// Descriptors are moved above the numbers that they will be placed at.
const ABOVE: i32 = 10;
/// How long the processes may take to end by themselves when they are dropped.
const ENDING: Duration = Duration::from_secs(1);

/// The broker and its proxy, as the launcher holds them. Dropping it ends both.
#[derive(Debug)]
pub struct Supervisor {
    events: UnixStream,
    /// The broker's; the proxy dies with it.
    process: OwnedFd,
}

/// Starts both processes, which take the listeners from `listeners` (see [`jail::Building::listeners`]). They are confined
/// and answer once [`Event::Ready`] is heard; as a [`Companion`] a jail waits for that.
///
/// The calling thread must be the one that lives as long as the process: the kernel kills them with it.
///
/// # Errors
/// [`JailError::Launcher`]. Nothing is left running then.
pub fn start(listeners: OwnedFd, rules: Rules, limits: Limits) -> Result<Supervisor, JailError> {
    let failed = |what| JailError::launcher(what);
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("open `/dev/null`"))?;
    let (spec_end, spec) = fd::pipe().map_err(failed("make a pipe"))?;
    let (events, events_end) = message::packet_pair().map_err(failed("make a socket"))?;
    let stderr = io::stderr();
    let ends = [null.as_fd(), null.as_fd(), stderr.as_fd(), spec_end.as_fd(), listeners.as_fd(), events_end.as_fd()];
    let moved = ends
        .iter()
        .map(|end| fd::duplicate_above(*end, ABOVE))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed("duplicate a descriptor"))?;
    let environment: Vec<CString> = PASSED.iter().filter_map(|name| variable(name)).collect();
    let process = {
        let borrowed: Vec<BorrowedFd<'_>> = moved.iter().map(AsFd::as_fd).collect();
        let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).chain([NO_SEARCH]).collect();
        let start = Start {
            namespaces: 0,
            descriptors: &borrowed,
            arguments: &[c"mcpjail", ARGUMENT],
            environment: &environment,
            id_maps: [&[], &[]],
            capabilities: &[],
            wishes: &[],
        };
        let (_pid, process) = clone::start(&start)
            .map_err(|(_, source)| JailError::Launcher { what: "start the processes of egress", source })?;
        process
    };
    // from here on a failure ends what was started
    let supervisor = Supervisor { events: events.into(), process };
    drop((moved, listeners, spec_end, events_end));
    jail::send_part(&Spec { rules, limits }, &mut File::from(spec))?;
    Ok(supervisor)
}

/// `NAME=value` as it is here.
fn variable(name: &str) -> Option<CString> {
    let value = std::env::var_os(name)?;
    CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
}

impl Supervisor {
    /// Where events come from: readable when there is one, or the end.
    #[must_use]
    pub fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// The next event; `None` at the end, when both processes are gone. `wait` is false for `WouldBlock` in the place of
    /// waiting.
    ///
    /// # Errors
    /// As recvmsg(2); `InvalidData` for what is no event.
    pub fn next(&self, wait: bool) -> io::Result<Option<Event>> {
        let mut room = [0; LARGEST];
        let (count, _none) = match message::receive(self.events(), &mut room, wait) {
            // a process that ended had not read everything, of which there is nothing
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            received => received?,
        };
        match room.get(..count) {
            None | Some([]) => Ok(None),
            Some(bytes) => postcard::from_bytes(bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks for the end of the session: the proxy closes every connection, and what events there are can be read with
    /// [`Supervisor::next`] until they end.
    pub fn close(&self) {
        let _gone = self.events.shutdown(Shutdown::Write);
    }
}

impl Companion for Supervisor {
    fn fd(&self) -> BorrowedFd<'_> {
        self.events()
    }

    fn stands(&mut self) -> Result<bool, JailError> {
        match self.next(false) {
            Ok(Some(Event::Ready)) => Ok(true),
            Ok(Some(Event::Failed(why))) => Err(fallen(&why)),
            Ok(Some(_)) => Ok(false),
            Ok(None) => Err(fallen("its processes ended without a word")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(source) => Err(JailError::Launcher { what: "hear the processes of egress", source }),
        }
    }
}

fn fallen(why: &str) -> JailError {
    JailError::from(Failure { layer: Layer::Egress, what: why.to_owned(), errno: 0 })
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _gone = self.events.shutdown(Shutdown::Both);
        let soon = Instant::now() + ENDING;
        if !wait_for(self.process.as_fd(), Interest::Read, Some(soon)).unwrap_or(false) {
            let _gone = pidfd::send_signal(self.process.as_fd(), libc::SIGKILL);
        }
        let _reaped = pidfd::wait(self.process.as_fd());
    }
}
