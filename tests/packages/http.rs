//! A small HTTP/1.1 server on loopback: one thread for each connection, connections are kept, nothing is encrypted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No answer is held back for longer, so that nothing hangs for ever.
const LONGEST_STALL: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// As it was sent, without the query.
    pub path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is said to it.
pub enum Said {
    /// Status, type, body.
    Body(u16, &'static str, Vec<u8>),
    /// Status and one header.
    Header(u16, &'static str, String),
    /// Half of the body, and the end of the connection.
    Half(&'static str, Vec<u8>),
    /// Nothing, until the client or the server gives up.
    Nothing,
}

/// What answers.
pub type Answer = Arc<dyn Fn(&Asked) -> Said + Send + Sync>;

/// A listening server; its port is closed when this is dropped.
pub struct Listening {
    pub at: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    pub fn start(answer: Answer) -> Listening {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, ended) = (answer.clone(), ended.clone());
                std::thread::spawn(move || serve(stream, &answer, &ended));
            }
        });
        Listening { at, over, thread: Some(thread) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _wakes_it = TcpStream::connect(self.at);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, answer: &Answer, over: &AtomicBool) {
    let _best_effort = stream.set_nodelay(true);
    let Ok(mut out) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    while let Some(asked) = read(&mut input) {
        let (head, body, keep) = match answer(&asked) {
            Said::Body(status, kind, body) => (
                format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len()),
                body,
                true,
            ),
            Said::Header(status, name, value) => {
                (format!("HTTP/1.1 {status} X\r\n{name}: {value}\r\ncontent-length: 0\r\n"), Vec::new(), true)
            }
            Said::Half(kind, mut body) => {
                let head = format!("HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
                body.truncate(body.len() / 2);
                (head, body, false)
            }
            Said::Nothing => return stall(&mut out, over),
        };
        let body = if asked.method == "HEAD" { &[][..] } else { &body };
        let head = format!("{head}connection: {}\r\n\r\n", if keep { "keep-alive" } else { "close" });
        if out.write_all(&[head.as_bytes(), body].concat()).is_err() || !keep {
            return;
        }
    }
}

/// Holds a connection open without a word until the client leaves.
fn stall(stream: &mut TcpStream, over: &AtomicBool) {
    let until = Instant::now() + LONGEST_STALL;
    let _best_effort = stream.set_read_timeout(Some(Duration::from_millis(200)));
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        if let Ok(0) = stream.read(&mut [0; 64]) {
            return;
        }
    }
}

fn read(input: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let asked = Asked { method, path, headers };
    let length: u64 = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    std::io::copy(&mut input.take(length), &mut std::io::sink()).ok()?;
    Some(asked)
}
