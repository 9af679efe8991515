//! Bytes from a stranger on their way through the relay: cut into lines at any split, read as messages, forwarded.
//!
//! The last four bytes of an input say in which pieces the rest arrives and how large a message may be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::json::{self, Kind, Value, What};
use mcpjail::relay::envelope::{self, Id, Message};
use mcpjail::relay::{DEFAULT_MAX_MESSAGE, Judge, Outlet, Verdict, pump};
use serde_json::Value as Tree;
use std::io::{self, Read};
use std::sync::atomic::AtomicU64;

/// What fits into a pipe that nobody reads yet.
const MOST: usize = 60 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((stream, &[a, b, c, limit])) = input.split_last_chunk() else { return };
    if stream.len() > MOST {
        return;
    }
    let limit = if limit < 0xc0 { DEFAULT_MAX_MESSAGE } else { usize::from(limit - 0xc0) };
    let source = Pieces { rest: stream, sizes: [a, b, c].map(|size| 1 + usize::from(size)), turn: 0 };
    through(source, stream, limit);
});

/// Hands out a stream in pieces of the given sizes, in turn.
struct Pieces<'a> {
    rest: &'a [u8],
    sizes: [usize; 3],
    turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.sizes[self.turn % 3].min(into.len()).min(self.rest.len());
        self.turn += 1;
        let (now, rest) = self.rest.split_at(count);
        into[..count].copy_from_slice(now);
        self.rest = rest;
        Ok(count)
    }
}

/// Lets messages pass and nothing else, and keeps both.
#[derive(Default)]
struct Keeper {
    seen: Vec<Vec<u8>>,
    passed: Vec<u8>,
}

impl Judge for Keeper {
    fn judge<'a>(&'a mut self, line: &'a [u8]) -> Verdict<'a> {
        self.seen.push(line.to_vec());
        if !look(line) {
            return Verdict::Drop;
        }
        self.passed.extend_from_slice(line);
        self.passed.push(b'\n');
        Verdict::Forward
    }
}

/// Whatever the pieces, the lines are those of the stream, and the bytes forwarded are the bytes judged.
fn through(mut source: Pieces<'_>, stream: &[u8], limit: usize) {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let sink = Outlet::new(writer.into());
    let mut keeper = Keeper::default();
    pump(&mut source, &sink, &mut keeper, limit, &AtomicU64::new(0));
    sink.close();
    let mut forwarded = Vec::new();
    reader.read_to_end(&mut forwarded).expect("what was forwarded");
    assert_eq!(forwarded, keeper.passed, "the bytes forwarded are the bytes judged");

    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    lines.pop();
    let good = lines.iter().take_while(|line| line.len() <= limit).count();
    assert!(keeper.seen.iter().eq(&lines[..good]), "the lines are those of the stream");
}

/// Reads a line in all ways that there are, which must agree. Gives whether it is a message.
fn look(line: &[u8]) -> bool {
    let other = other(line);
    match json::check(line) {
        Ok(checked) => {
            let other = other.as_ref().expect("what is accepted here is accepted elsewhere");
            assert_eq!(tree(checked.root), *other, "both readers see the same");
            let again = json::check(checked.root.raw()).expect("a value alone is a text");
            assert_eq!(again.root.raw(), checked.root.raw());
            if !checked.top.overflow() {
                let raw = |(key, value): (json::Text<'_>, Value<'_>)| (key.raw().to_vec(), value.raw().to_vec());
                assert!(checked.top.members().map(raw).eq(checked.root.members().map(raw)));
            }
        }
        Err(fault) => {
            assert!(fault.at <= line.len());
            let stricter = matches!(fault.what, What::DuplicateKey(_) | What::TooDeep { .. });
            assert!(other.is_none() || stricter, "{fault}, but the other reader accepts it");
        }
    }
    let salvaged = envelope::id(line);
    if let (Some(id), Some(Tree::Object(other))) = (&salvaged, &other) {
        assert_eq!(Some(&tree_of(id)), other.get("id"), "the id is what the other reader sees");
    }
    let Ok(message) = envelope::parse(line) else { return false };
    let elements: Vec<_> = match message {
        Message::Batch(batch) => batch.elements().filter_map(|value| envelope::parse_element(value).ok()).collect(),
        single => {
            assert!(id_of(&single).is_none_or(|id| salvaged.as_ref() == Some(id)), "the same id is salvaged");
            vec![single]
        }
    };
    for message in &elements {
        let written = written(message);
        let again = envelope::parse(&written).expect("a message written anew is a message");
        assert_eq!(self::written(&again), written, "and the same");
    }
    true
}

/// What another reader makes of it, as deep as it likes.
fn other(line: &[u8]) -> Option<Tree> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    reader.disable_recursion_limit();
    let tree = serde::Deserialize::deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(tree)
}

/// The tree that a value's accessors give.
fn tree(value: Value<'_>) -> Tree {
    match value.kind() {
        Kind::Null => Tree::Null,
        Kind::Bool => value.bool().expect("a word").into(),
        Kind::Number => other(value.raw()).expect("a number"),
        Kind::String => value.str().expect("a string").into(),
        Kind::Array => value.elements().map(tree).collect(),
        Kind::Object => {
            let members: serde_json::Map<_, _> =
                value.members().map(|(key, value)| (key.decode().into_owned(), tree(value))).collect();
            assert_eq!(members.len(), value.members().count(), "no key comes twice");
            Tree::Object(members)
        }
    }
}

fn tree_of(id: &Id) -> Tree {
    match id {
        Id::Number(number) => (*number).into(),
        Id::Text(text) => (**text).into(),
    }
}

fn id_of<'a>(message: &'a Message<'_>) -> Option<&'a Id> {
    match message {
        Message::Request { id, .. } | Message::Response { id, .. } => Some(id),
        Message::Error { id, .. } => id.as_ref(),
        Message::Notification { .. } | Message::Batch(_) => None,
    }
}

/// A message made of what was read of it.
fn written(message: &Message<'_>) -> Vec<u8> {
    let mut text = br#"{"jsonrpc":"2.0""#.to_vec();
    if let Some(id) = id_of(message) {
        text.extend_from_slice(br#","id":"#);
        id.write(&mut text);
    }
    let mut member = |name: &str, value: &[u8]| {
        text.extend_from_slice(format!(",\"{name}\":").as_bytes());
        text.extend_from_slice(value);
    };
    match message {
        Message::Request { method, params, .. } | Message::Notification { method, params } => {
            let mut quoted = Vec::new();
            json::quote(method, &mut quoted);
            member("method", &quoted);
            if let Some(params) = params {
                member("params", params.raw());
            }
        }
        Message::Response { result, .. } => member("result", result.raw()),
        Message::Error { error, .. } => member("error", error.raw()),
        Message::Batch(_) => unreachable!("batches are taken apart first"),
    }
    text.push(b'}');
    text
}
