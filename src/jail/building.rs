//! The last part of a start: hearing stage 2's report, and letting the server be executed once what it needs outside stands.

use super::layer::{JailError, Layer, LayerReport, Message};
use super::spawn::Running;
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::poll::{Interest, PollFd, poll};
use crate::sys::signal::SignalFd;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A jail that is being built by its plan. Dropping it kills it.
#[derive(Debug)]
pub struct Building {
    pub(super) running: Running,
    pub(super) report: OwnedFd,
    /// Where stage 2 waits for what stands outside; `None` without egress.
    pub(super) go: Option<File>,
    pub(super) listeners: Option<OwnedFd>,
}

/// What must stand outside of the jail before the server is executed.
pub trait Companion {
    /// Readable when there is something to hear.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Hears it: whether the companion stands now.
    ///
    /// # Errors
    /// Why it never will.
    fn stands(&mut self) -> Result<bool, JailError>;
}

impl Building {
    /// The socket on which the listeners of the jail's network will come, once, and only with egress.
    pub fn listeners(&mut self) -> Option<OwnedFd> {
        self.listeners.take()
    }

    /// Waits until the server has been executed, under the conditions of [`super::Nascent::finish`]. With egress `companion` is
    /// what holds the listeners; without it such a jail fails.
    ///
    /// # Errors
    /// [`JailError`]: the layer that does not hold, or why the companion does not stand. Nothing is left running then.
    pub fn hear(self, signals: Option<&SignalFd>, companion: Option<&mut dyn Companion>) -> Result<Running, JailError> {
        let Building { mut running, report, go, listeners } = self;
        // whoever should have them has them: stage 2 must learn when nobody does
        drop(listeners);
        running.report = hear(report, &mut running, signals, go.zip(companion))?;
        running.amend_report();
        Ok(running)
    }
}

/// How long building a jail may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads stage 2's report to its end, which is the exec; lets that go on once the companion stands.
fn hear(
    report: OwnedFd,
    running: &mut Running,
    signals: Option<&SignalFd>,
    mut companion: Option<(File, &mut dyn Companion)>,
) -> Result<Vec<LayerReport>, JailError> {
    let failed = JailError::launcher("read the jail's report");
    let deadline = Instant::now() + PATIENCE;
    let mut report = File::from(report);
    let mut bytes = Vec::new();
    let mut fallen = None;
    loop {
        let mut set = [
            PollFd::new(Some(report.as_fd()), Interest::Read),
            PollFd::new(signals.map(AsFd::as_fd), Interest::Read),
            PollFd::new(companion.as_ref().map(|(_, companion)| companion.fd()), Interest::Read),
        ];
        let in_time = poll(&mut set, Some(deadline)).map_err(&failed)?;
        let [told, signalled, moved] = set.map(|fd| fd.is_ready());
        if !in_time {
            return Err(fallen.unwrap_or_else(|| {
                JailError::Vanished(format!("not after {} seconds: is a file system hanging?", PATIENCE.as_secs()))
            }));
        }
        if signalled && let Some(signal) = signals.and_then(|signals| signals.next().ok().flatten()) {
            return Err(JailError::Vanished(format!("signal {signal} to mcpjail")));
        }
        if moved && let Some((mut go, waited_for)) = companion.take() {
            match waited_for.stands() {
                Ok(true) => {
                    let _told_by_report = go.write_all(&[1]);
                }
                Ok(false) => companion = Some((go, waited_for)),
                // the pipe closes, so that stage 2 gives up, and says so unless it had a reason of its own before
                Err(error) => fallen = Some(error),
            }
        }
        if told {
            let mut chunk = [0; 4096];
            match report.read(&mut chunk).map_err(&failed)? {
                0 => break,
                count => bytes.extend(chunk.iter().take(count)),
            }
        }
    }
    let mut rest = bytes.as_slice();
    let mut lines = None;
    while !rest.is_empty() {
        let (message, after) = postcard::take_from_bytes::<Message>(rest)
            .map_err(|_| JailError::Vanished("its report is cut off".into()))?;
        match message {
            Message::Report(report) => lines = Some(report),
            // an exec that fails comes after the report
            Message::Failed(failure) => {
                return Err(match fallen {
                    Some(companion) if failure.layer == Layer::Egress => companion,
                    _ => JailError::from(failure),
                });
            }
        }
        rest = after;
    }
    if let Some(fallen) = fallen {
        return Err(fallen);
    }
    if companion.is_some() {
        return Err(JailError::Vanished("it did not wait for what stands outside".into()));
    }
    lines.ok_or_else(|| match running.wait() {
        Ok(ServerExit::Code(code)) => JailError::Vanished(format!("exit code {code}")),
        Ok(ServerExit::Signal(signal)) => JailError::Vanished(format!("signal {signal}")),
        Err(error) => JailError::Vanished(error.to_string()),
    })
}
