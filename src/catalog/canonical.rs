//! The canonical form of JSON (RFC 8785), written straight from the text in one pass.
//!
//! A value of [`crate::json`] is a slice of a checked text. It is copied member by member into the output; where an
//! object's members come in another order than the canonical one, they are put right in the output once the object is
//! complete. Nothing is allocated for an item once the buffers of a [`Scratch`] have grown.

use super::fault::ItemFault;
use super::number;
use super::strings::{self, Body};
use crate::json::Value;
use std::cmp::Ordering;
use std::ops::Range;

/// The deepest nesting that is accepted. A checked text is less deep unless its reader asked for more.
pub(super) const DEEPEST: usize = 256;

/// Appends the canonical form of a checked value (RFC 8785): members sorted by UTF-16 code units, no white space, strings
/// and numbers in their one spelling. Equal values give equal bytes, whatever their order, spacing and escapes were.
///
/// # Errors
/// A number beyond what every reader keeps exactly, or nesting of more than 256 levels. Then `into` is as it was.
pub fn canonical(value: Value<'_>, into: &mut Vec<u8>) -> Result<(), ItemFault> {
    let mut scratch = Scratch { out: std::mem::take(into), ..Scratch::default() };
    let before = scratch.out.len();
    let written = Writer::new(value.raw(), &mut scratch, Rules::default()).run();
    if written.is_err() {
        scratch.out.truncate(before);
    }
    *into = scratch.out;
    written
}

/// Buffers that are used again from item to item.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The canonical form.
    pub(super) out: Vec<u8>,
    /// The item's name in canonical spelling with its quotes; empty where there is none.
    pub(super) name: Vec<u8>,
    members: Vec<Member>,
    sorted: Vec<u8>,
}

impl Scratch {
    /// Empties the buffers for the next item.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.name.clear();
        self.members.clear();
    }
}

/// A member of an object that is being written, as places in the output.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// Of the key's opening quote.
    start: usize,
    /// Of the key's closing quote.
    key_end: usize,
    /// Behind the comma after the value.
    end: usize,
    /// The key's first eight bytes, the first highest, which mostly settle its order.
    prefix: u64,
    /// The key is ASCII without escapes, so that the order of its bytes is its order.
    simple: bool,
}

impl Member {
    /// Where the key stands in the output, without its quotes.
    fn key(&self) -> Range<usize> {
        self.start + 1..self.key_end
    }

    /// Orders by the keys, which are in `out`.
    fn compare(&self, other: &Member, out: &[u8]) -> Ordering {
        let of = |member: &Member| out.get(member.key()).unwrap_or_default();
        if self.simple && other.simple {
            return self.prefix.cmp(&other.prefix).then_with(|| of(self).cmp(of(other)));
        }
        compare(of(self), of(other))
    }
}

/// What becomes of a part of an item that is exempted from the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask {
    /// Where the value stands in the text.
    pub(super) at: Range<usize>,
    /// What is written for it; `None` leaves the member or element out.
    pub(super) with: Option<Vec<u8>>,
}

/// How an item's form differs from the plain canonical one.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The root's member whose text is the item's name.
    pub(super) name: &'a [u8],
    /// Leave out annotations of a tool that say what their absence says.
    pub(super) defaults: bool,
    /// Leave out the member that is the name: for telling a renamed item.
    pub(super) nameless: bool,
    /// What is exempted.
    pub(super) masks: &'a [Mask],
}

/// Annotations of a tool with the values that the specification gives them when they are absent
/// (schema.ts, `ToolAnnotations`).
const DEFAULTS: [(&[u8], &[u8]); 4] = [
    (b"readOnlyHint", b"false"),
    (b"destructiveHint", b"true"),
    (b"idempotentHint", b"false"),
    (b"openWorldHint", b"true"),
];

/// Which object is being written, as far as that matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Annotations,
    Inside,
}

pub(super) struct Writer<'a, 's> {
    text: &'a [u8],
    at: usize,
    scratch: &'s mut Scratch,
    rules: Rules<'a>,
}

impl<'a, 's> Writer<'a, 's> {
    pub(super) fn new(text: &'a [u8], scratch: &'s mut Scratch, rules: Rules<'a>) -> Self {
        Self { text, at: 0, scratch, rules }
    }

    /// Writes the one value that the text is.
    pub(super) fn run(self) -> Result<(), ItemFault> {
        let length = self.text.len();
        if self.run_from(0)? == length { Ok(()) } else { Err(ItemFault::NotChecked) }
    }

    /// Writes the value that starts at an offset of the text, which may go on behind it, and gives where it ends. Masks
    /// are places in the whole text.
    pub(super) fn run_from(mut self, start: usize) -> Result<usize, ItemFault> {
        self.at = start;
        self.value(Place::Root, 0)?;
        Ok(self.at)
    }

    fn value(&mut self, place: Place, depth: usize) -> Result<(), ItemFault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(place, depth),
            Some(b'[') => self.array(depth),
            Some(b't' | b'n') => self.literal(4),
            Some(b'f') => self.literal(5),
            Some(_) => self.number(),
            None => Err(ItemFault::NotChecked),
        }
    }

    fn object(&mut self, place: Place, depth: usize) -> Result<(), ItemFault> {
        let inner = Self::deeper(depth)?;
        let (begin, first) = (self.scratch.out.len(), self.scratch.members.len());
        self.at += 1;
        self.scratch.out.push(b'{');
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.scratch.out.push(b'}');
            return Ok(());
        }
        let mut in_order = true;
        loop {
            let start = self.scratch.out.len();
            let escaped = self.string()?;
            let key_end = self.scratch.out.len() - 1;
            self.space();
            self.expect(b':')?;
            self.space();
            self.scratch.out.push(b':');
            if self.member(place, start..key_end, inner)? {
                self.scratch.out.push(b',');
                let Scratch { out, members, .. } = &mut *self.scratch;
                let key = out.get(start + 1..key_end).unwrap_or_default();
                let (prefix, simple) = (prefix(key), !escaped && key.is_ascii());
                let member = Member { start, key_end, end: out.len(), prefix, simple };
                if in_order && members.len() > first {
                    in_order = members.last().is_none_or(|last| last.compare(&member, out) == Ordering::Less);
                }
                members.push(member);
            } else {
                self.scratch.out.truncate(start);
            }
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => break,
                _ => return Err(ItemFault::NotChecked),
            }
        }
        if !in_order {
            self.sort(begin + 1, first)?;
        }
        self.scratch.members.truncate(first);
        self.close(b'}');
        Ok(())
    }

    /// Writes a member's value; false when the member is left out.
    fn member(&mut self, place: Place, key: Range<usize>, depth: usize) -> Result<bool, ItemFault> {
        let start = self.scratch.out.len();
        if let Some(kept) = self.masked() {
            return Ok(kept);
        }
        let key = key.start + 1..key.end;
        match place {
            Place::Inside => self.value(Place::Inside, depth)?,
            Place::Annotations => {
                self.value(Place::Inside, depth)?;
                let written = (self.written(key), self.written(start..self.scratch.out.len()));
                return Ok(!DEFAULTS.contains(&written));
            }
            Place::Root => {
                if self.rules.defaults && self.written(key.clone()) == b"annotations" {
                    self.value(Place::Annotations, depth)?;
                    return Ok(self.written(start..self.scratch.out.len()) != b"{}");
                }
                self.value(Place::Inside, depth)?;
                if !self.rules.name.is_empty() && self.written(key) == self.rules.name {
                    let Scratch { out, name, .. } = &mut *self.scratch;
                    name.extend_from_slice(out.get(start..).unwrap_or_default());
                    return Ok(!self.rules.nameless);
                }
            }
        }
        Ok(true)
    }

    /// Puts the members of the object that began at `begin` into their order.
    fn sort(&mut self, begin: usize, first: usize) -> Result<(), ItemFault> {
        let Scratch { out, members, sorted, .. } = &mut *self.scratch;
        let members = members.get_mut(first..).unwrap_or_default();
        if members.iter().all(|member| member.simple) {
            members.sort_unstable_by(|a, b| a.compare(b, out));
        } else {
            // What takes time to compare is made once for each key, lest a stranger send many such keys.
            members.sort_by_cached_key(|member| units(out.get(member.key()).unwrap_or_default()));
        }
        // A checked text has no key twice. Were that ever untrue, the order would depend on the text's.
        if members.windows(2).any(|pair| matches!(pair, [a, b] if a.compare(b, out) == Ordering::Equal)) {
            return Err(ItemFault::NotChecked);
        }
        sorted.clear();
        for member in members {
            sorted.extend_from_slice(out.get(member.start..member.end).unwrap_or_default());
        }
        out.truncate(begin);
        out.extend_from_slice(sorted);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), ItemFault> {
        let inner = Self::deeper(depth)?;
        self.at += 1;
        self.scratch.out.push(b'[');
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.scratch.out.push(b']');
            return Ok(());
        }
        loop {
            let kept = match self.masked() {
                Some(kept) => kept,
                None => self.value(Place::Inside, inner).map(|()| true)?,
            };
            if kept {
                self.scratch.out.push(b',');
            }
            self.space();
            match self.next()? {
                b',' => self.space(),
                b']' => break,
                _ => return Err(ItemFault::NotChecked),
            }
        }
        self.close(b']');
        Ok(())
    }

    /// Writes what stands for a masked value, if this is one, and says whether there is anything to write for it.
    fn masked(&mut self) -> Option<bool> {
        let mask = self.rules.masks.iter().find(|mask| mask.at.start == self.at)?;
        self.at = mask.at.end;
        if let Some(with) = &mask.with {
            self.scratch.out.extend_from_slice(with);
        }
        Some(mask.with.is_some())
    }

    /// The comma after the last member or element becomes the closing bracket.
    fn close(&mut self, bracket: u8) {
        match self.scratch.out.last_mut() {
            Some(last) if *last == b',' => *last = bracket,
            _ => self.scratch.out.push(bracket),
        }
    }

    /// Writes a string and says whether it had escapes.
    fn string(&mut self) -> Result<bool, ItemFault> {
        if self.peek() != Some(b'"') {
            return Err(ItemFault::NotChecked);
        }
        let open = self.at;
        let body = open + 1;
        let (length, escaped) = match strings::scan(self.text.get(body..).unwrap_or_default()) {
            Some(Body { length, escaped }) => (length, escaped),
            None => return Err(ItemFault::NotChecked),
        };
        let end = body + length;
        self.at = end + 1;
        if escaped {
            self.scratch.out.push(b'"');
            strings::respell(self.text.get(body..end).unwrap_or_default(), &mut self.scratch.out)?;
            self.scratch.out.push(b'"');
        } else {
            // Without escapes a checked string is in canonical spelling already: what had to be escaped would be.
            self.scratch.out.extend_from_slice(self.text.get(open..=end).unwrap_or_default());
        }
        Ok(escaped)
    }

    fn literal(&mut self, length: usize) -> Result<(), ItemFault> {
        let text = self.text.get(self.at..self.at + length).ok_or(ItemFault::NotChecked)?;
        if ![&b"true"[..], b"null", b"false"].contains(&text) {
            return Err(ItemFault::NotChecked);
        }
        self.scratch.out.extend_from_slice(text);
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), ItemFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let in_number = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = rest.iter().take_while(in_number).count();
        if length == 0 {
            return Err(ItemFault::NotChecked);
        }
        number::write(rest.get(..length).unwrap_or_default(), &mut self.scratch.out)?;
        self.at += length;
        Ok(())
    }

    fn deeper(depth: usize) -> Result<usize, ItemFault> {
        if depth < DEEPEST { Ok(depth + 1) } else { Err(ItemFault::TooDeep { limit: DEEPEST }) }
    }

    fn written(&self, range: Range<usize>) -> &[u8] {
        self.scratch.out.get(range).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, ItemFault> {
        let byte = self.peek().ok_or(ItemFault::NotChecked)?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), ItemFault> {
        if self.next()? == byte { Ok(()) } else { Err(ItemFault::NotChecked) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }
}

/// The UTF-16 code units of what a key in canonical spelling means.
fn units(key: &[u8]) -> Vec<u16> {
    strings::decode(key).encode_utf16().collect()
}

/// A key's first eight bytes as a number, the first highest. Shorter keys are filled with zeros, which no key has.
fn prefix(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    key.iter().enumerate().fold(0, |prefix, (index, byte)| prefix | u64::from(*byte) << (56 - 8 * index))
}

/// The order of keys in canonical spelling: by UTF-16 code units of what they mean (RFC 8785, section 3.2.3).
///
/// That is the order of their UTF-8 bytes unless one has an escape, or a character from U+E000 up, whose first byte is
/// 0xEE or more and which the surrogates of later characters come before.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let odd = |key: &[u8]| key.iter().any(|&byte| byte == b'\\' || byte >= 0xee);
    if odd(a) || odd(b) {
        return units(a).cmp(&units(b));
    }
    a.cmp(b)
}
