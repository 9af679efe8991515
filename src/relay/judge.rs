//! Where each message is looked at: the seam between carrying messages and deciding about them.

/// What becomes of a message.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The very bytes that were judged go on.
    Forward,
    /// Nothing goes on.
    Drop,
    /// This goes on instead, of the judge's own buffer or a part of the message: one message, or several with a line feed
    /// between them, without one at the end.
    Replace(&'a [u8]),
}

/// Judges all messages of one direction, in order, on that direction's thread.
///
/// A judge that wants to say something of its own, an answer to the sender or a request to the other side, keeps the
/// [`Outlet`](super::Outlet) of that side from [`Wires`](super::Wires). It may block: that is back-pressure.
pub trait Judge: Send {
    /// Decides about one message, given without its line feed. It may be empty or no JSON at all.
    fn judge<'a>(&'a mut self, message: &'a [u8]) -> Verdict<'a>;

    /// What to send on, whole lines, once the sender has said its last word. Not asked when nobody would read it.
    fn last_words(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// Lets everything pass. Compiles to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forward;

impl Judge for Forward {
    #[inline]
    fn judge<'a>(&'a mut self, _message: &'a [u8]) -> Verdict<'a> {
        Verdict::Forward
    }
}
