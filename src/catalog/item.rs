//! One item of a catalog, and the digest that it is compared by.

use super::canonical::{Mask, Rules, Scratch, Writer, canonical};
use super::digest::Digest;
use super::exempt::{self, Exemption};
use super::fault::ItemFault;
use super::server::server_item;
use super::strings;
use crate::json::{self, Value};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;

/// What the first bytes of every item's digest are, so that it is no digest of anything else.
const DOMAIN: &str = "mcpjail catalog item v1";
/// That of an item without its name, which tells that it was only renamed.
const BODY_DOMAIN: &str = "mcpjail catalog body v1";

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What the server says of itself at the handshake. There is one.
    Server,
    /// A tool, known by its `name`.
    Tool,
    /// A prompt, known by its `name`.
    Prompt,
    /// A resource template, known by its `uriTemplate`.
    Template,
}

impl Kind {
    /// All of them, in the order of a lock.
    pub const ALL: [Kind; 4] = [Kind::Server, Kind::Tool, Kind::Prompt, Kind::Template];

    /// The member that holds an item's name; `None` for the server.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Kind::Server => None,
            Kind::Tool | Kind::Prompt => Some("name"),
            Kind::Template => Some("uriTemplate"),
        }
    }

    /// Its number in digests and its place in tables.
    pub(super) fn index(self) -> usize {
        match self {
            Kind::Server => 0,
            Kind::Tool => 1,
            Kind::Prompt => 2,
            Kind::Template => 3,
        }
    }

    fn article(self) -> &'static str {
        match self {
            Kind::Server => "the server's answer",
            Kind::Tool => "a tool",
            Kind::Prompt => "a prompt",
            Kind::Template => "a resource template",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Server => "server",
            Kind::Tool => "tool",
            Kind::Prompt => "prompt",
            Kind::Template => "resource template",
        })
    }
}

/// One item as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its name, decoded; empty for the server.
    pub name: String,
    /// All of it in canonical form: nothing is left out here.
    pub text: Vec<u8>,
}

impl Item {
    /// Takes an item from an element of a list result. The server's is taken from the whole result of `initialize` or
    /// `server/discover`, or from what [`server_item`] made of it.
    ///
    /// # Errors
    /// No object, no name, or something that has no canonical form.
    pub fn new(kind: Kind, value: Value<'_>) -> Result<Item, ItemFault> {
        with_item(kind, value, |value| {
            let name = name_of(kind, value)?;
            let mut text = Vec::with_capacity(value.raw().len());
            canonical(value, &mut text)?;
            Ok(Item { kind, name, text })
        })
    }

    /// Its digest, with what is exempted left out.
    ///
    /// # Errors
    /// `text` is no canonical form of an item; one that [`Item::new`] made always is.
    pub fn digest(&self, exempt: &[Exemption]) -> Result<Digest, ItemFault> {
        let value = reread(&self.text)?;
        let mut scratch = Scratch::default();
        digest(self.kind, value, exempt, &mut scratch)
    }
}

/// Runs `then` on the item itself: for the server's, what [`server_item`] leaves of its answer.
pub(super) fn with_item<T>(
    kind: Kind,
    value: Value<'_>,
    then: impl FnOnce(Value<'_>) -> Result<T, ItemFault>,
) -> Result<T, ItemFault> {
    if kind == Kind::Server {
        let text = server_item(value)?;
        then(reread(&text)?)
    } else {
        then(value)
    }
}

/// A text of our own making, or of a lock, as a value.
pub(super) fn reread(text: &[u8]) -> Result<Value<'_>, ItemFault> {
    let limits = json::Limits { depth: super::canonical::DEEPEST };
    json::check_limited(text, limits).map(|checked| checked.root).map_err(|_| ItemFault::NotChecked)
}

fn name_of(kind: Kind, value: Value<'_>) -> Result<String, ItemFault> {
    if value.kind() != json::Kind::Object {
        return Err(ItemFault::NotAnObject { what: kind.article() });
    }
    let Some(member) = kind.key() else { return Ok(String::new()) };
    let name = value.get(member).and_then(Value::str).ok_or(ItemFault::NoName { kind, member })?;
    Ok(name.into_owned())
}

/// The digest of an item: SHA-256 over the domain, the kind, the name and the canonical form without default annotations
/// and exempted parts, each with its length before it. Leaves form and name in `scratch`.
pub(super) fn digest(
    kind: Kind,
    value: Value<'_>,
    exempt: &[Exemption],
    scratch: &mut Scratch,
) -> Result<Digest, ItemFault> {
    let masks = if exempt.is_empty() { Vec::new() } else { exempt::masks(value, exempt, exempt::Style::Hashed) };
    form(kind, value.raw(), 0, &masks, false, scratch)?;
    Ok(hash(DOMAIN, kind, scratch_name(scratch).as_bytes(), &scratch.out))
}

/// The digest, with nothing exempted, of the item that starts at an offset of a checked text, and where it ends: finding
/// its end first would be a second way through it.
pub(super) fn digest_from(
    kind: Kind,
    text: &[u8],
    start: usize,
    scratch: &mut Scratch,
) -> Result<(Digest, usize), ItemFault> {
    let end = form(kind, text, start, &[], false, scratch)?;
    Ok((hash(DOMAIN, kind, scratch_name(scratch).as_bytes(), &scratch.out), end))
}

/// The digest of everything but the name.
pub(super) fn body_digest(kind: Kind, value: Value<'_>) -> Result<Digest, ItemFault> {
    let mut scratch = Scratch::default();
    form(kind, value.raw(), 0, &[], true, &mut scratch)?;
    Ok(hash(BODY_DOMAIN, kind, b"", &scratch.out))
}

/// The form of an item that two sightings are compared in, for showing where they differ: a part that varies is written
/// `<varies>`.
pub(super) fn comparable(kind: Kind, value: Value<'_>, exempt: &[Exemption]) -> Result<Vec<u8>, ItemFault> {
    let masks = exempt::masks(value, exempt, exempt::Style::Shown);
    let mut scratch = Scratch::default();
    form(kind, value.raw(), 0, &masks, false, &mut scratch)?;
    Ok(scratch.out)
}

/// Writes the form that is hashed into `scratch` and gives the item's end in the text.
fn form(
    kind: Kind,
    text: &[u8],
    start: usize,
    masks: &[Mask],
    nameless: bool,
    scratch: &mut Scratch,
) -> Result<usize, ItemFault> {
    if text.get(start) != Some(&b'{') {
        return Err(ItemFault::NotAnObject { what: kind.article() });
    }
    scratch.clear();
    let key = kind.key();
    let name = key.unwrap_or_default().as_bytes();
    let rules = Rules { name, defaults: kind == Kind::Tool, nameless, masks };
    let end = Writer::new(text, scratch, rules).run_from(start)?;
    match key {
        Some(member) if scratch.name.first() != Some(&b'"') => Err(ItemFault::NoName { kind, member }),
        _ => Ok(end),
    }
}

/// The name that the last item written into `scratch` has.
pub(super) fn scratch_name(scratch: &Scratch) -> Cow<'_, str> {
    let body = scratch.name.get(1..scratch.name.len().saturating_sub(1)).unwrap_or_default();
    match std::str::from_utf8(body) {
        Ok(body) if !body.contains('\\') => Cow::Borrowed(body),
        _ => Cow::Owned(strings::decode(body)),
    }
}

fn hash(domain: &str, kind: Kind, name: &[u8], form: &[u8]) -> Digest {
    // One call for what comes before the form: short pieces cost the hash more than their length.
    let mut head = Head::default();
    head.number(domain.len());
    head.bytes(domain.as_bytes());
    head.number(kind.index());
    head.number(name.len());
    let mut sha = Sha256::new();
    if head.room() < name.len() + 8 {
        sha.update(head.written());
        sha.update(name);
        head = Head::default();
    } else {
        head.bytes(name);
    }
    head.number(form.len());
    sha.update(head.written());
    sha.update(form);
    Digest(sha.finalize().into())
}

/// A few bytes on the stack.
struct Head {
    bytes: [u8; 192],
    length: usize,
}

impl Default for Head {
    fn default() -> Self {
        Head { bytes: [0; 192], length: 0 }
    }
}

impl Head {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn number(&mut self, number: usize) {
        // A length always fits: no platform of Rust's has wider addresses.
        self.bytes(&u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn room(&self) -> usize {
        self.bytes.len() - self.length
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
