//! The jail's sockets that connections and questions come from.

use super::names::{self, Names, Return, Taken};
use super::shared::Shared;
use crate::egress::Protocol;
use crate::egress::knock::knock;
use crate::egress::listeners::{Kind, Listener};
use crate::egress::wire::Ask;
use crate::sys::{datagram, stream};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Packets that are read of one socket before others have their turn.
const PACKETS: u32 = 32;
/// Places where somebody knocked that are told apart; after so many nobody listens any more.
const KNOCKS: usize = 1024;

/// A socket of the jail's.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) kind: Kind,
    fd: OwnedFd,
    /// It stands in the queue.
    queued: bool,
}

/// All of them, and which have something.
#[derive(Debug)]
pub(super) struct Sources {
    all: Vec<Source>,
    ready: VecDeque<u32>,
    knocks: BTreeSet<(SocketAddr, Protocol)>,
}

impl Sources {
    pub(super) fn new(listeners: Vec<Listener>) -> Sources {
        let source = |listener: Listener| Source { kind: listener.kind, fd: listener.fd, queued: false };
        let all = listeners.into_iter().map(source).collect();
        Sources { all, ready: VecDeque::new(), knocks: BTreeSet::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &OwnedFd)> {
        (0..).zip(self.all.iter().map(|source| &source.fd))
    }

    /// Something has come.
    pub(super) fn note(&mut self, index: u32) {
        let source = usize::try_from(index).ok().and_then(|at| self.all.get_mut(at));
        if let Some(source) = source.filter(|source| !source.queued) {
            source.queued = true;
            self.ready.push_back(index);
        }
    }

    /// How many have something.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The next one that has something, which is to be noted again where that is not all.
    pub(super) fn next(&mut self) -> Option<(u32, Kind)> {
        let index = self.ready.pop_front()?;
        let source = self.all.get_mut(usize::try_from(index).ok()?)?;
        source.queued = false;
        Some((index, source.kind))
    }

    /// Accepts a connection; `None` where none waits, or this one has gone already.
    ///
    /// # Errors
    /// As accept(2).
    pub(super) fn accept(&self, index: u32) -> io::Result<Option<OwnedFd>> {
        let Some(source) = self.get(index) else { return Ok(None) };
        match stream::accept(source.fd.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads questions. Gives whether there may be more.
    pub(super) fn questions(&self, index: u32, names: &mut Names, shared: &mut Shared) -> bool {
        let Some(source) = self.get(index) else { return false };
        let mut room = [0; names::LONGEST];
        let mut answer = Vec::new();
        for _ in 0..PACKETS {
            if !shared.is_open() {
                return true;
            }
            match datagram::receive(source.fd.as_fd(), &mut room) {
                Ok((count, way)) => {
                    let packet = room.get(..count).unwrap_or_default();
                    answer.clear();
                    if names.take(packet, Return::Datagram(index, way), &mut answer, shared) == Taken::Answered {
                        self.reply(index, way, &answer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // too long, or the error of an answer that reached nobody, which a socket tells on the next call
                Err(_) => {}
            }
        }
        true
    }

    /// Answers a question. Where that fails it is as if the answer were lost on its way: the client asks again.
    pub(super) fn reply(&self, index: u32, way: datagram::Route, answer: &[u8]) {
        if let Some(source) = self.get(index) {
            let _lost = datagram::reply(source.fd.as_fd(), answer, way);
        }
    }

    /// Reads packets that the jail's kernel has refused, and tells the broker of each place once. Gives whether there may
    /// be more.
    pub(super) fn watch(&mut self, index: u32, shared: &mut Shared) -> bool {
        let mut room = [0; 256];
        for _ in 0..PACKETS {
            let Some(source) = self.get(index) else { return false };
            if !shared.is_open() {
                return true;
            }
            let count = match stream::receive(source.fd.as_fd(), &mut room) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => continue,
            };
            let Some((destination, protocol)) = knock(room.get(..count).unwrap_or_default()) else { continue };
            if self.knocks.insert((destination, protocol)) {
                shared.tell(&Ask::Knock { destination, protocol });
            }
            if self.knocks.len() >= KNOCKS {
                // whoever knocks everywhere is known by now, and costs nothing more
                let _closed_anyway = self.get(index).map(|source| shared.epoll.remove(source.fd.as_fd()));
                return false;
            }
        }
        true
    }

    fn get(&self, index: u32) -> Option<&Source> {
        self.all.get(usize::try_from(index).ok()?)
    }
}
