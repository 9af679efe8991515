//! The launcher's ear: a thread that hears the events of a run until both processes are gone, and ends them.

use super::Event;
use super::start::Supervisor;
use crate::sys::poll::{Interest, PollFd, poll};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long the last events may take to come once the session is over.
const LAST: Duration = Duration::from_secs(1);
/// How long the thread may take besides: it may wait for a reader of standard error that does not read.
const SLACK: Duration = Duration::from_secs(2);

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An event.
    Event(Event),
    /// Both processes are gone, and nobody told them to go.
    Gone,
}

/// The thread. Dropping it ends the session of egress.
#[derive(Debug)]
pub struct Watch {
    stop: Option<PipeWriter>,
    done: Receiver<()>,
}

impl Watch {
    /// Starts the thread, which gives `sink` what it hears.
    ///
    /// # Errors
    /// A pipe or a thread cannot be made; the processes are ended then.
    pub fn start(supervisor: Supervisor, sink: impl FnMut(Heard) + Send + 'static) -> io::Result<Watch> {
        Watch::of(supervisor, sink)
    }

    fn of(source: impl Source + Send + 'static, sink: impl FnMut(Heard) + Send + 'static) -> io::Result<Watch> {
        let (stopped, stop) = io::pipe()?;
        let (finished, done) = channel();
        let work = move || listen(source, &stopped, sink, finished);
        thread::Builder::new().name("egress".to_owned()).spawn(work)?;
        Ok(Watch { stop: Some(stop), done })
    }

    /// Ends the session: tells the processes to close every connection, and waits until the last event was heard, a second
    /// at most.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        // the thread drops its end when it is done; where it is not, it is left behind
        let _done_or_late = self.done.recv_timeout(2 * LAST + SLACK);
    }
}

/// Where events come from: the two processes.
trait Source {
    fn fd(&self) -> BorrowedFd<'_>;
    /// As [`Supervisor::next`], without waiting.
    fn next(&self) -> io::Result<Option<Event>>;
    fn close(&self);
}

impl Source for Supervisor {
    fn fd(&self) -> BorrowedFd<'_> {
        self.events()
    }

    fn next(&self) -> io::Result<Option<Event>> {
        Supervisor::next(self, false)
    }

    fn close(&self) {
        Supervisor::close(self);
    }
}

fn listen(source: impl Source, stopped: &PipeReader, mut sink: impl FnMut(Heard), finished: Sender<()>) {
    let mut until = None;
    loop {
        let stop = until.is_none().then(|| stopped.as_fd());
        let mut set = [PollFd::new(stop, Interest::Read), PollFd::new(Some(source.fd()), Interest::Read)];
        let found = poll(&mut set, until).unwrap_or(false);
        let [stop, events] = set.map(|entry| entry.is_ready());
        // first: whoever is told to go is not missed
        if stop {
            source.close();
            until = Some(Instant::now() + LAST);
        }
        if !found || until.is_some_and(|until| until <= Instant::now()) {
            break;
        }
        if !events {
            continue;
        }
        match source.next() {
            Ok(Some(event)) => sink(Heard::Event(event)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // a process that was taken over may say anything
            Err(error) if error.kind() == io::ErrorKind::InvalidData => sink(Heard::Event(Event::Lost(1))),
            Ok(None) | Err(_) => {
                if until.is_none() {
                    sink(Heard::Gone);
                }
                break;
            }
        }
    }
    // the processes are ended before anybody hears that this is done
    drop(source);
    drop(finished);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Reason;
    use crate::egress::wire::LARGEST;
    use crate::sys::message::{packet_pair, receive, send};
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    /// The launcher's end without the processes.
    struct End(UnixStream);

    impl Source for End {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        fn next(&self) -> io::Result<Option<Event>> {
            let mut room = [0; LARGEST];
            let (count, _none) = receive(self.0.as_fd(), &mut room, false)?;
            let event = postcard::from_bytes(&room[..count]).map_err(|_| io::ErrorKind::InvalidData);
            if count == 0 { Ok(None) } else { Ok(Some(event?)) }
        }

        fn close(&self) {
            self.0.shutdown(Shutdown::Write).unwrap();
        }
    }

    fn watch() -> (Watch, OwnedFd, mpsc::Receiver<Heard>) {
        let (ours, theirs) = packet_pair().unwrap();
        let (heard, hear) = channel();
        let watch = Watch::of(End(ours.into()), move |said| heard.send(said).unwrap()).unwrap();
        (watch, theirs, hear)
    }

    fn say(socket: &OwnedFd, event: &Event) {
        send(socket.as_fd(), &postcard::to_allocvec(event).unwrap(), &[], true).unwrap();
    }

    fn refused(name: &str) -> Event {
        let refused = Some(Reason::NameNotGranted);
        Event::Name { name: name.to_owned(), addresses: vec![], withheld: vec![], refused, duration_us: 0 }
    }

    #[test]
    fn events_are_heard_to_the_last() {
        let (watch, theirs, hear) = watch();
        say(&theirs, &refused("a.test"));
        assert_eq!(hear.recv().unwrap(), Heard::Event(refused("a.test")));
        let process = thread::spawn(move || {
            // told to go: the last events, then the end
            assert_eq!(receive(theirs.as_fd(), &mut [0; 8], true).unwrap().0, 0);
            say(&theirs, &refused("b.test"));
            say(&theirs, &refused("c.test"));
        });
        watch.end();
        process.join().unwrap();
        let rest: Vec<Heard> = hear.iter().collect();
        assert_eq!(rest, [Heard::Event(refused("b.test")), Heard::Event(refused("c.test"))]);
    }

    #[test]
    fn processes_that_end_by_themselves_are_missed_once() {
        let (watch, theirs, hear) = watch();
        say(&theirs, &refused("a.test"));
        drop(theirs);
        assert_eq!(hear.iter().collect::<Vec<_>>(), [Heard::Event(refused("a.test")), Heard::Gone]);
        watch.end();
    }

    /// A process that goes on talking, or says nothing and stays, does not keep the launcher.
    #[test]
    fn processes_that_stay_are_left() {
        let (silent, theirs, _hear) = watch();
        silent.end();
        let bytes = postcard::to_allocvec(&Event::Lost(1)).unwrap();
        let error = send(theirs.as_fd(), &bytes, &[], true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "it is not listened to any more");
        let (loud, theirs, hear) = watch();
        let talking = thread::spawn(move || while send(theirs.as_fd(), &bytes, &[], true).is_ok() {});
        drop(hear.recv().unwrap());
        loud.end();
        talking.join().unwrap();
    }

    #[test]
    fn what_is_no_event_is_counted() {
        let (watch, theirs, hear) = watch();
        send(theirs.as_fd(), &[0xff; 40], &[], true).unwrap();
        send(theirs.as_fd(), &[0; LARGEST + 1], &[], true).unwrap();
        drop(theirs);
        let lost = || Heard::Event(Event::Lost(1));
        assert_eq!(hear.iter().collect::<Vec<_>>(), [lost(), lost(), Heard::Gone]);
        watch.end();
    }
}
