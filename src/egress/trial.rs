//! The smallest connection through egress, for `mcpjail doctor`: something listens on this machine's own loopback, and a
//! program in a jail that is granted just that connects to it.

use crate::sys::poll::{Interest, wait_for};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The hidden subcommand that runs the program: `mcpjail __egress-trial PORT`.
pub const PROGRAM: &str = "__egress-trial";
/// How long a side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// The listener.
#[derive(Debug)]
pub struct Trial {
    listener: TcpListener,
}

impl Trial {
    /// Listens on a port that the kernel chooses.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub fn new() -> io::Result<Trial> {
        Ok(Trial { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))? })
    }

    /// The port, which is what the jail is granted.
    ///
    /// # Errors
    /// As getsockname(2).
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Takes the connection of the program, and says something to it: that is what the program prints.
    ///
    /// # Errors
    /// `TimedOut` where none comes; as accept(2) and write(2).
    pub fn serve(self, words: &[u8]) -> io::Result<()> {
        if !wait_for(self.listener.as_fd(), Interest::Read, Some(Instant::now() + PATIENCE))? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no connection came out of the jail"));
        }
        let (mut stream, _) = self.listener.accept()?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(words)
    }
}

/// The program: connects to that port of the loopback, and copies what it hears to `out`.
///
/// # Errors
/// As connect(2), read(2) and write(2).
pub fn program(port: u16, out: &mut impl Write) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    out.write_all(&heard)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_says_the_other_prints() {
        let trial = Trial::new().unwrap();
        let port = trial.port().unwrap();
        let program = std::thread::spawn(move || {
            let mut out = Vec::new();
            program(port, &mut out).map(|()| out)
        });
        trial.serve(b"words").unwrap();
        assert_eq!(program.join().unwrap().unwrap(), b"words");
        assert!(super::program(port, &mut Vec::new()).is_err(), "nobody listens any more");
    }
}
