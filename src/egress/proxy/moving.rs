//! A connection that stands: bytes both ways.

use super::flow::{Flow, Pumped};
use super::hearing::{Gate, Judged};
use super::shared::Shared;
use super::side::Side;
use crate::egress::{DnsName, Reason};
use crate::sys::epoll::Event;
use crate::sys::stream;
use std::io;

/// The network's side of a connection, and both directions.
#[derive(Debug)]
pub(super) struct Moving {
    remote: Side,
    attempt: u8,
    up: Flow,
    down: Flow,
    /// While it is not known whom the connection is meant for.
    gate: Option<Box<Gate>>,
}

/// What moving came to.
#[derive(Debug)]
pub(super) enum Moved {
    /// An event will say when there is more to do.
    Rests,
    /// There is more to do; others have their turn first.
    Again,
    /// Both directions have ended.
    Done,
    /// It is not meant for whom it may be.
    Refused(Reason),
}

impl Moving {
    /// What was heard already is in `up`. The first bytes are looked at where there are `names`.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub(super) fn new(
        remote: Side,
        attempt: u8,
        names: Vec<DnsName>,
        up: Flow,
        shared: &mut Shared,
    ) -> io::Result<Moving> {
        stream::pass_on(remote.fd())?;
        let gate = (!names.is_empty()).then(|| Box::new(Gate::new(names)));
        Ok(Moving { remote, attempt, up, down: Flow::new(Vec::new(), shared), gate })
    }

    /// Keeps what happened to the network's side.
    pub(super) fn note(&mut self, attempt: u8, event: &Event) {
        if attempt == self.attempt {
            self.remote.note(event);
        }
    }

    /// Bytes to the network, and from it.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.up.moved, self.down.moved)
    }

    /// Whether all that the client sent, and its end, is with the network's side.
    pub(super) fn has_delivered(&self) -> bool {
        self.up.is_done()
    }

    /// When the first bytes take too long, milliseconds of the proxy's clock.
    pub(super) fn patience(&self) -> Option<u64> {
        self.gate.as_ref().and_then(|gate| gate.until)
    }

    /// Moves what there is. `name` becomes that of the server where the client says it.
    ///
    /// # Errors
    /// One of the sides is broken.
    pub(super) fn advance(
        &mut self,
        client: &mut Side,
        name: &mut Option<DnsName>,
        shared: &mut Shared,
    ) -> io::Result<Moved> {
        let down = self.down.pump(&mut self.remote, client, shared);
        if let Some(gate) = &mut self.gate {
            match gate.listen(client, &mut self.up, shared)? {
                Judged::NotYet => {}
                Judged::Pass(said) => {
                    *name = said.or(name.take());
                    self.gate = None;
                }
                Judged::Refuse(reason) => return Ok(Moved::Refused(reason)),
            }
        }
        let up = match self.gate {
            Some(_) => Ok(Pumped::Rests),
            None => self.up.pump(client, &mut self.remote, shared),
        };
        if up.is_err() && down.is_ok() {
            // a server that answers and then breaks off has its answer delivered, as far as that goes
            let _broken_anyway = self.down.pump(&mut self.remote, client, shared);
        }
        let again = down? == Pumped::Again || up? == Pumped::Again;
        if self.up.is_done() && self.down.is_done() {
            return Ok(Moved::Done);
        }
        // where a side rests because the other takes nothing, no read meets its error
        client.check()?;
        self.remote.check()?;
        Ok(if again { Moved::Again } else { Moved::Rests })
    }

    /// Gives back what is held. The network's side is left.
    pub(super) fn close(mut self, shared: &mut Shared) -> Side {
        self.up.drop_held(shared);
        self.down.drop_held(shared);
        // closing is enough but where the broker still has it open
        let _closed_anyway = shared.epoll.remove(self.remote.fd());
        self.remote
    }
}
