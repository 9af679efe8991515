//! Sessions with real processes. No test measures time; each fails when it would hang.

use super::super::{Verdict, outcome::EndedBy};
use super::*;
use crate::diagnose::Diagnose;
use crate::sys::{pidfd, signal};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

const WATCHDOG: Duration = Duration::from_secs(60);
const MEBIBYTE: usize = 1 << 20;

/// Fails the test when its body takes for ever.
fn watched(body: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel::<()>();
    let body = thread::spawn(move || {
        let _done = done;
        body();
    });
    match finished.recv_timeout(WATCHDOG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => body.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// A shell script in a process group of its own, which stands for the jail.
struct Script {
    child: Child,
    pidfd: OwnedFd,
    terminated: Cell<u32>,
    killed: Cell<u32>,
}

impl ServerProcess for Script {
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
    fn terminate(&self) -> io::Result<()> {
        self.terminated.set(self.terminated.get() + 1);
        pidfd::send_signal(self.pidfd.as_fd(), libc::SIGTERM)
    }
    fn kill(&self) -> io::Result<()> {
        self.killed.set(self.killed.get() + 1);
        let group = self.child.id().to_string();
        Command::new("sh").args(["-c", "kill -s KILL -- -$0", &group]).stderr(Stdio::null()).status().map(|_| ())
    }
    fn wait(&mut self) -> io::Result<ServerExit> {
        self.child.wait().map(ServerExit::from)
    }
}

/// What came of a session.
#[derive(Debug)]
struct Result {
    outcome: Outcome,
    terminated: u32,
    killed: u32,
}

/// The host's ends and the session's thread.
struct Host {
    to: Option<OwnedFd>,
    from: Option<BufReader<File>>,
    errors: Option<File>,
    thread: i32,
    session: JoinHandle<std::result::Result<Result, RelayError>>,
}

impl Host {
    fn send(&self, bytes: &[u8]) {
        let file = File::from(self.to.as_ref().unwrap().try_clone().unwrap());
        (&file).write_all(bytes).unwrap();
    }
    /// Sends on another thread; gives up silently when the session ends first. The end of input comes with the end of
    /// the data.
    fn send_aside(&mut self, bytes: Vec<u8>) {
        let file = File::from(self.to.take().unwrap());
        thread::spawn(move || (&file).write_all(&bytes));
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.from.as_mut().unwrap().read_to_end(&mut rest).unwrap();
        rest
    }
    fn close(&mut self) {
        self.to = None;
    }
    fn end(self) -> Result {
        self.session.join().unwrap().unwrap()
    }
}

/// Long enough never to expire in these tests.
fn patient() -> Options {
    Options { eof_grace: WATCHDOG, term_grace: WATCHDOG, drain: WATCHDOG, ..Options::default() }
}

/// Short, where a time has to expire.
fn impatient() -> Options {
    let short = Duration::from_millis(50);
    Options { eof_grace: short, term_grace: short, drain: short, ..Options::default() }
}

fn start(script: &str, options: Options) -> Host {
    start_judged(script, options, |_| (Forward, Forward))
}

fn start_judged<H: Judge + 'static, S: Judge + 'static>(
    script: &str,
    options: Options,
    judges: impl FnOnce(&Wires) -> (H, S) + Send + 'static,
) -> Host {
    let (host_in, to) = io::pipe().unwrap();
    let (from, host_out) = io::pipe().unwrap();
    start_on(script, options, (host_in.into(), to.into()), (host_out.into(), from.into()), judges)
}

fn start_on<H: Judge + 'static, S: Judge + 'static>(
    script: &str,
    options: Options,
    (host_in, to): (OwnedFd, OwnedFd),
    (host_out, from): (OwnedFd, OwnedFd),
    judges: impl FnOnce(&Wires) -> (H, S) + Send + 'static,
) -> Host {
    let (errors, host_err) = io::pipe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (sender, receiver) = mpsc::channel();
    let session = thread::spawn(move || {
        // In this order, as the standard library lets children inherit what is blocked.
        let mut child = command.spawn().unwrap();
        let signals = SignalFd::block_ending().unwrap();
        sender.send(signal::thread_id()).unwrap();
        let ends = Endpoints {
            host_in,
            host_out,
            host_err: host_err.into(),
            server_in: child.stdin.take().unwrap().into(),
            server_out: child.stdout.take().unwrap().into(),
            server_err: child.stderr.take().unwrap().into(),
        };
        let pidfd = pidfd::open(child.id()).unwrap();
        let mut server = Script { child, pidfd, terminated: Cell::new(0), killed: Cell::new(0) };
        let outcome = run_with(ends, &mut server, signals, &options, |wires| Ok(judges(wires)))?;
        Ok(Result { outcome, terminated: server.terminated.get(), killed: server.killed.get() })
    });
    Host {
        to: Some(to),
        from: Some(BufReader::new(File::from(from))),
        errors: Some(File::from(OwnedFd::from(errors))),
        thread: receiver.recv().unwrap(),
        session,
    }
}

fn line_of(length: usize) -> Vec<u8> {
    let mut line = vec![b'x'; length];
    line.push(b'\n');
    line
}

#[test]
fn an_orderly_session() {
    watched(|| {
        let mut host = start("echo started >&2; exec cat", patient());
        host.send(b"{\"id\":1}\n{\"id\":2}\n");
        assert_eq!(host.line(), "{\"id\":1}\n");
        assert_eq!(host.line(), "{\"id\":2}\n");
        host.send(b"\r\nhalf");
        host.close();
        assert_eq!(host.rest(), b"\r\n");
        let mut errors = String::new();
        host.errors.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "started\n");
        let result = host.end();
        let outcome = result.outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::HostClosed, ServerExit::Code(0)));
        assert_eq!(outcome.to_server, Traffic { bytes: 20, messages: 3, tail: 4 });
        assert_eq!(outcome.to_host, Traffic { bytes: 20, messages: 3, tail: 0 });
        assert_eq!(result.terminated, 0);
        assert!(outcome.verdict().is_ok());
    });
}

#[test]
fn the_host_is_always_known_as_the_cause() {
    watched(|| {
        for _ in 0..100 {
            let mut host = start("exec cat", patient());
            host.send(b"x\n");
            host.close();
            assert_eq!(host.rest(), b"x\n");
            assert_eq!(host.end().outcome.ended_by, EndedBy::HostClosed);
        }
    });
}

#[test]
fn what_a_server_writes_last_arrives() {
    watched(|| {
        for _ in 0..20 {
            let mut host = start("head -c 300000 /dev/zero | tr '\\0' '\\n'; exit 3", patient());
            assert_eq!(host.rest().len(), 300_000);
            let outcome = host.end().outcome;
            assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::ServerExited, ServerExit::Code(3)));
            assert_eq!(outcome.to_host.messages, 300_000);
        }
    });
}

#[test]
fn a_100_mb_line_is_refused_either_way() {
    watched(|| {
        let mut host = start("exec cat", Options::default());
        host.send_aside(line_of(100_000_000));
        let outcome = host.end().outcome;
        assert_eq!(outcome.ended_by, EndedBy::Oversized { direction: Direction::ToServer });
        assert_eq!(outcome.to_server.bytes, 0);
        assert_eq!(outcome.verdict().unwrap_err().code(), "message-too-large");

        let mut host = start("echo first; head -c 100000000 /dev/zero", Options::default());
        assert_eq!(host.rest(), b"first\n");
        assert_eq!(host.end().outcome.ended_by, EndedBy::Oversized { direction: Direction::ToHost });
    });
}

#[test]
fn big_messages_both_ways_at_once() {
    watched(|| {
        let script = "(for i in 1 2 3; do head -c 10485760 /dev/zero; echo; done) & wc -c >&2; wait";
        let mut host = start(script, patient());
        host.send_aside(line_of(10 * MEBIBYTE).repeat(3));
        assert_eq!(host.rest().len(), 3 * (10 * MEBIBYTE + 1));
        let outcome = host.end().outcome;
        assert_eq!((outcome.to_server.messages, outcome.to_host.messages), (3, 3));
        assert_eq!(outcome.to_server.bytes, outcome.to_host.bytes);
        assert!(outcome.verdict().is_ok());

        let mut host = start("exec cat", patient());
        host.send_aside(line_of(10 * MEBIBYTE).repeat(3));
        assert_eq!(host.rest().len(), 3 * (10 * MEBIBYTE + 1));
        assert_eq!(host.end().outcome.exit, ServerExit::Code(0));
    });
}

#[test]
fn a_server_that_ignores_everything_is_killed() {
    watched(|| {
        let mut host = start("trap '' TERM; echo ready; while :; do sleep 1; done", impatient());
        assert_eq!(host.line(), "ready\n");
        host.close();
        let result = host.end();
        assert_eq!(result.outcome.ended_by, EndedBy::HostClosed);
        assert_eq!(result.outcome.exit, ServerExit::Signal(libc::SIGKILL));
        assert_eq!(result.terminated, 1);
        assert!(result.killed >= 1);
        assert!(result.outcome.verdict().is_ok(), "we ended it at the host's wish");
    });
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_message() {
    watched(|| {
        let mut host = start("echo whole; printf '{\"id\":'; kill -USR1 $$", patient());
        assert_eq!(host.rest(), b"whole\n");
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::ServerExited, ServerExit::Signal(libc::SIGUSR1)));
        assert_eq!(outcome.to_host.tail, 6);
        assert_eq!(outcome.verdict().unwrap_err().code(), "server-crashed");
    });
}

#[test]
fn a_server_that_closes_its_stdout() {
    watched(|| {
        let host = start("exec sleep 1000 >&-", impatient());
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::ServerClosedStdout, ServerExit::Signal(libc::SIGTERM)));
        assert!(outcome.verdict().is_err());

        let host = start("exec >&-; read line; exit 3", patient());
        let result = host.end();
        assert_eq!((result.outcome.ended_by, result.outcome.exit), (EndedBy::ServerExited, ServerExit::Code(3)));
        assert_eq!(result.terminated, 0, "the end of its input was enough");
    });
}

#[test]
fn a_server_that_closes_its_stdin() {
    watched(|| {
        let mut host = start("exec <&-; echo ready; exec sleep 1000", impatient());
        assert_eq!(host.line(), "ready\n");
        host.send(b"{}\n");
        assert_eq!(host.end().outcome.ended_by, EndedBy::ServerClosedStdin);
    });
}

#[test]
fn a_flood_on_stderr_that_nobody_reads_stops_no_message() {
    watched(|| {
        let mut host = start("yes >&2 & exec cat", impatient());
        for _ in 0..2000 {
            host.send(&line_of(500));
            assert_eq!(host.line().len(), 501);
        }
        host.close();
        assert_eq!(host.rest(), b"");
        assert!(host.errors.is_some(), "held open, never read");
        assert_eq!(host.end().outcome.ended_by, EndedBy::HostClosed);
    });
}

#[test]
fn a_host_without_stderr_does_no_harm() {
    watched(|| {
        let mut host = start("head -c 1000000 /dev/zero >&2; exec cat", patient());
        host.errors = None;
        host.send(b"{}\n");
        assert_eq!(host.line(), "{}\n");
        host.close();
        assert_eq!(host.end().outcome.exit, ServerExit::Code(0));
    });
}

#[test]
fn a_host_that_dies_while_nothing_flows_is_noticed() {
    watched(|| {
        // Its end of our stdin is held open by somebody else.
        let mut host = start("echo ready; exec cat", patient());
        assert_eq!(host.line(), "ready\n");
        host.from = None;
        let held = host.to.take();
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::HostGone, ServerExit::Code(0)));
        drop(held);

        let mut host = start("yes", impatient());
        host.line();
        host.from = None;
        assert_eq!(host.end().outcome.ended_by, EndedBy::HostGone);
    });
}

#[test]
fn what_a_host_says_last_arrives() {
    watched(|| {
        for _ in 0..20 {
            let mut host = start("cat >&2; exit", patient());
            host.send(b"farewell\n");
            host.from = None;
            host.close();
            let mut errors = String::new();
            host.errors.take().unwrap().read_to_string(&mut errors).unwrap();
            assert_eq!(errors, "farewell\n");
            assert!(host.end().outcome.verdict().is_ok());
        }
    });
}

#[test]
fn a_server_that_closes_everything_but_lives() {
    watched(|| {
        let mut host = start("exec sleep 1000 <&- >&- 2>&-", impatient());
        host.close();
        assert_eq!(host.end().outcome.exit, ServerExit::Signal(libc::SIGTERM));
    });
}

#[test]
fn a_grandchild_that_holds_stdout_open_is_not_waited_for() {
    watched(|| {
        let mut host = start("sleep 1000 & echo hi", impatient());
        assert_eq!(host.rest(), b"hi\n");
        let result = host.end();
        assert_eq!((result.outcome.ended_by, result.outcome.exit), (EndedBy::ServerExited, ServerExit::Code(0)));
        assert_eq!(result.outcome.verdict().unwrap_err().code(), "server-exited");
        assert!(result.killed >= 1);
    });
}

#[test]
fn a_host_that_never_reads() {
    watched(|| {
        let mut host = start("exec yes", impatient());
        host.close();
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::HostClosed, ServerExit::Signal(libc::SIGTERM)));

        let host = start("head -c 100000 /dev/zero | tr '\\0' '\\n'", impatient());
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::ServerExited, ServerExit::Code(0)));
        assert!(outcome.to_host.bytes < 100_000);
    });
}

#[test]
fn a_server_that_never_reads() {
    watched(|| {
        // The server's pipe and our buffer are full; the host's end of input waits behind them.
        let mut host = start("exec sleep 1000", impatient());
        host.send(&line_of(99).repeat(1400));
        host.close();
        let outcome = host.end().outcome;
        assert_eq!((outcome.ended_by, outcome.exit), (EndedBy::HostClosed, ServerExit::Signal(libc::SIGTERM)));

        let mut host = start("exec sleep 1000", patient());
        host.send_aside(line_of(99).repeat(100_000));
        signal::send_to_thread(host.thread, libc::SIGINT);
        assert_eq!(host.end().outcome.ended_by, EndedBy::Signal(libc::SIGINT));
    });
}

#[test]
fn half_a_message_from_the_host_is_not_passed_on() {
    watched(|| {
        let mut host = start("wc -c", patient());
        host.send(b"{\"id\":1,");
        host.close();
        assert_eq!(String::from_utf8(host.rest()).unwrap().trim(), "0");
        assert_eq!(host.end().outcome.to_server.tail, 8);
    });
}

#[test]
fn a_signal_ends_it() {
    watched(|| {
        let mut host = start("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done", patient());
        assert_eq!(host.line(), "ready\n");
        signal::send_to_thread(host.thread, libc::SIGTERM);
        assert_eq!(host.rest(), b"bye\n");
        let result = host.end();
        assert_eq!(result.outcome.ended_by, EndedBy::Signal(libc::SIGTERM));
        assert_eq!((result.outcome.exit, result.terminated), (ServerExit::Code(0), 1));
        assert!(result.outcome.verdict().is_ok());

        let mut host = start("trap '' TERM; echo ready; while :; do sleep 1; done", patient());
        assert_eq!(host.line(), "ready\n");
        signal::send_to_thread(host.thread, libc::SIGHUP);
        assert_eq!(host.end().outcome.exit, ServerExit::Signal(libc::SIGKILL));
    });
}

#[test]
fn a_host_on_sockets() {
    watched(|| {
        let pair = || UnixStream::pair().unwrap();
        let ((host_in, to), (host_out, from)) = (pair(), pair());
        let (end_of_input, host_in) = (to.try_clone().unwrap(), OwnedFd::from(host_in));
        let ends = ((host_in, to.into()), (host_out.into(), from.into()));
        let mut host = start_on("exec cat", patient(), ends.0, ends.1, |_| (Forward, Forward));
        host.send(b"{}\n");
        assert_eq!(host.line(), "{}\n");
        end_of_input.shutdown(Shutdown::Write).unwrap();
        assert_eq!(host.rest(), b"");
        assert_eq!(host.end().outcome.ended_by, EndedBy::HostClosed);

        let ((host_in, to), (host_out, from)) = (pair(), pair());
        host_in.set_nonblocking(true).unwrap();
        host_out.set_nonblocking(true).unwrap();
        let ends = ((host_in.into(), to.into()), (host_out.into(), from.into()));
        let mut host = start_on("exec cat", patient(), ends.0, ends.1, |_| (Forward, Forward));
        host.send_aside(line_of(5 * MEBIBYTE));
        assert_eq!(host.rest().len(), 5 * MEBIBYTE + 1);
        assert_eq!(host.end().outcome.exit, ServerExit::Code(0));
    });
}

/// Answers what starts with `?` itself and passes on the rest.
struct Answerer(Arc<Outlet>);

impl Judge for Answerer {
    fn judge<'a>(&'a mut self, message: &'a [u8]) -> Verdict<'a> {
        if message.first() != Some(&b'?') {
            return Verdict::Forward;
        }
        self.0.send(b"no\n").unwrap();
        Verdict::Drop
    }
}

/// Has the last word.
struct Mourner;

impl Judge for Mourner {
    fn judge<'a>(&'a mut self, _message: &'a [u8]) -> Verdict<'a> {
        Verdict::Replace(b"yes")
    }
    fn last_words(&mut self) -> Vec<u8> {
        b"gone\n".to_vec()
    }
}

#[test]
fn judges_answer_replace_and_have_the_last_word() {
    watched(|| {
        let mut host =
            start_judged("read line; echo $line", patient(), |wires| (Answerer(wires.to_host.clone()), Mourner));
        host.send(b"?\n");
        assert_eq!(host.line(), "no\n");
        host.send(b"!\n");
        assert_eq!(host.rest(), b"yes\ngone\n");
        assert_eq!(host.end().outcome.to_server, Traffic { bytes: 2, messages: 2, tail: 0 });

        // Also when a grandchild would hold the pipe open.
        let mut host = start_judged("sleep 1000 & exit 1", impatient(), |_| (Forward, Mourner));
        assert_eq!(host.rest(), b"gone\n");
        assert_eq!(host.end().outcome.exit, ServerExit::Code(1));
    });
}
