//! Tells the host why there is no server, in the protocol, since many hosts hide stderr.

use super::outlet::{Outlet, Source};
use crate::sys::poll::{self, Interest};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much is read in search of a request, bytes.
const MOST_READ: usize = 1 << 20;
/// The longest answer: what a pipe takes without blocking when poll says that it has room. Messages are cut to fit.
const PIPE_BUF: usize = 4096;

/// The JSON-RPC error code for what an implementation defines itself.
const SERVER_ERROR: i32 = -32000;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(serde_json::Number),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: Id<'a>,
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: i32,
    message: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    mcpjail: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
}

/// Answers the host's first request with an error that says `message` and, for programs, `code`.
///
/// Waits at most `timeout` in all, and not at all where stdin is a terminal or closed. A host that only probes
/// (`server/discover`) takes any error for an old server and asks again, so such a request is answered and the next
/// one waited for. Gives whether anything was answered; failures are no matter, as there is somewhere else to report.
pub fn refuse(host_in: BorrowedFd<'_>, host_out: BorrowedFd<'_>, message: &str, code: &str, timeout: Duration) -> bool {
    if host_in.is_terminal() {
        return false;
    }
    let mut answered = false;
    // A failure only ends the attempt.
    let _ = answer_requests(host_in, host_out, message, code, Instant::now() + timeout, &mut answered);
    answered
}

fn answer_requests(
    host_in: BorrowedFd<'_>,
    host_out: BorrowedFd<'_>,
    message: &str,
    code: &str,
    deadline: Instant,
    answered: &mut bool,
) -> io::Result<()> {
    let mut source = Source(Arc::new(File::from(host_in.try_clone_to_owned()?)));
    let outlet = Outlet::new(host_out.try_clone_to_owned()?);
    let mut read = Vec::new();
    let mut total = 0;
    while total < MOST_READ && poll::wait_for(host_in, Interest::Read, Some(deadline))? {
        let mut piece = [0; 4096];
        let count = source.read(&mut piece)?;
        if count == 0 {
            break;
        }
        total += count;
        read.extend_from_slice(piece.get(..count).unwrap_or_default());
        let Some(last) = memchr::memrchr(b'\n', &read) else { continue };
        for line in read.get(..last).unwrap_or_default().split(|&byte| byte == b'\n') {
            let Some((id, method)) = request(line) else { continue };
            let answer = answer(id, message, code)?;
            if answer.len() > PIPE_BUF || !poll::wait_for(host_out.as_fd(), Interest::Write, Some(deadline))? {
                return Ok(());
            }
            outlet.send(&answer)?;
            *answered = true;
            if method != "server/discover" {
                return Ok(());
            }
        }
        read.drain(..=last);
    }
    Ok(())
}

/// The id and method of a line that is a request; notifications and answers are none.
fn request(line: &[u8]) -> Option<(Id<'_>, Cow<'_, str>)> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    Some((envelope.id?, envelope.method?))
}

fn answer(id: Id<'_>, message: &str, code: &str) -> io::Result<Vec<u8>> {
    let error = Error { code: SERVER_ERROR, message, data: Data { mcpjail: Reason { code } } };
    let mut answer = Answer { jsonrpc: "2.0", id, error };
    let mut line = serde_json::to_vec(&answer)?;
    while line.len() >= PIPE_BUF && !answer.error.message.is_empty() {
        answer.error.message = first_half(answer.error.message);
        line = serde_json::to_vec(&answer)?;
    }
    line.push(b'\n');
    Ok(line)
}

fn first_half(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= text.len() / 2).last();
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_secs(60);

    /// The answers to what the host has written before, its stdin then closed.
    fn answers(input: &[u8], message: &str) -> (bool, String) {
        let (host_in, mut writer) = io::pipe().unwrap();
        let (mut reader, host_out) = io::pipe().unwrap();
        let input = input.to_vec();
        let host = std::thread::spawn(move || writer.write_all(&input));
        let answered = refuse(host_in.as_fd(), host_out.as_fd(), message, "profile-invalid", LONG);
        drop((host_in, host_out));
        // The host may still have been writing.
        let _ = host.join().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (answered, text)
    }

    #[test]
    fn the_first_request_is_answered() {
        let input = concat!(
            "no json\n\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n{\"id\":null,\"method\":\"x\"}\n",
            "{\"id\":4,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"method\":\"initialize\"}\r\n",
            "{\"id\":9,\"method\":\"x\"}\n"
        );
        let expected = concat!(
            r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-32000,"message":"say \"why\"","#,
            r#""data":{"mcpjail":{"code":"profile-invalid"}}}}"#,
            "\n"
        );
        assert_eq!(answers(input.as_bytes(), "say \"why\""), (true, expected.to_owned()));
    }

    #[test]
    fn a_probe_is_answered_and_the_next_request_too() {
        let (answered, text) =
            answers(b"{\"id\":1,\"method\":\"server/discover\"}\n{\"id\":2,\"method\":\"initialize\"}\n", "x");
        assert!(answered);
        let ids: Vec<_> = text.lines().map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(ids, ["\"id\":1", "\"id\":2"]);
    }

    #[test]
    fn without_a_request_nothing_is_said() {
        assert_eq!(answers(b"", "x"), (false, String::new()));
        assert_eq!(answers(b"{\"id\":1,\"method\":\"initialize\"}", "x"), (false, String::new()), "no line feed");
        assert_eq!(answers(&vec![b'x'; 2 * MOST_READ], "x"), (false, String::new()));
        assert_eq!(answers(b"{\"id\":1,\"id\":2,\"method\":\"x\"}\n", "x"), (false, String::new()));
    }

    #[test]
    fn a_silent_host_is_not_waited_for() {
        let (host_in, _writer) = io::pipe().unwrap();
        let (_reader, host_out) = io::pipe().unwrap();
        assert!(!refuse(host_in.as_fd(), host_out.as_fd(), "x", "y", Duration::ZERO));
    }

    #[test]
    fn a_long_message_is_cut_and_odd_ids_pass() {
        let (answered, text) = answers(b"{\"id\":-7,\"method\":\"initialize\"}\n", &"ü".repeat(5000));
        assert!(answered && text.len() < PIPE_BUF, "{text}");
        assert!(text.starts_with("{\"jsonrpc\":\"2.0\",\"id\":-7,"));
    }
}
