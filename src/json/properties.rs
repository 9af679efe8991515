//! What must hold for every text, tried on many: agreement with another reader, and with itself.

use super::{DEFAULT_DEPTH, Kind, Limits, Value, What, check, check_limited};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt::{self, Write as _};

/// A text that the other reader accepts and that has no object with the same key twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Unique>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Unique)) = members.next_entry::<String, Unique>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(self)
    }
}

/// Whether the other reader takes the text.
///
/// What is known to differ, and kept out of the texts below or judged alone: nesting (it takes 127 levels), duplicate
/// keys (it takes them, so [`Unique`] looks for them), and numbers at the very edge of a double's range (it reads those
/// less exactly). Half surrogate pairs and numbers far beyond a double it refuses too.
fn other_takes(text: &[u8]) -> bool {
    serde_json::from_slice::<Unique>(text).is_ok()
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => select(&[" ", "\n", "\t", "\r\n", "   \t"])]
}

/// A string with its quotes, in any spelling.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ -!#-\\[\\]-~]{0,6}",
        1 => "[ -!#-\\[\\]-~]{40,150}",
        2 => any::<char>().prop_map(|c| if (c as u32) < 0x20 || "\"\\".contains(c) { String::new() } else { c.into() }),
        2 => select(&[r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t"]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| {
            c.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}"))
        }),
    ];
    vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Keys of which some are the same, spelt alike or not.
fn key() -> impl Strategy<Value = String> {
    let common = select(&[r#""a""#, r#""\u0061""#, r#""b""#, r#""""#, r#""\/~1""#, r#""/~1""#, r#""0""#, r#""é""#]);
    prop_oneof![1 => common.prop_map(str::to_owned), 6 => "[a-z]{1,12}".prop_map(|name| format!("\"{name}\"")), 2 => string()]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ]
}

/// One value; objects may have the same key twice.
fn json() -> impl Strategy<Value = String> {
    let word = select(&["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![word, number(), string(), string()];
    let value = leaf.prop_recursive(6, 80, 25, |inner| {
        let array = vec((space(), inner.clone(), space()), 0..6).prop_map(|elements| {
            let elements: Vec<String> = elements.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
            format!("[{}]", elements.join(","))
        });
        let member = move || (space(), key(), space(), space(), inner.clone(), space());
        let object = prop_oneof![4 => vec(member(), 0..5), 1 => vec(member(), 5..25)].prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![array, object]
    });
    (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"))
}

/// A change of some bytes.
#[derive(Debug, Clone)]
struct Edit {
    at: Index,
    removed: usize,
    added: Vec<u8>,
}

/// Pieces that turn a good text into one of the known traps.
const ODD: &[&[u8]] = &[
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b"\"a\":",
    b"1e400",
    b"NaN",
    b"//",
    b"\\x",
    b"'",
];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bytes = prop_oneof![
        6 => select(&b"{}[]:,\"\\ntfu0123456789eE+-. \n/abdD89\x00\x1f\x7f"[..]).prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => select(ODD).prop_map(<[u8]>::to_vec),
        1 => Just(Vec::new()),
    ];
    let edit = (any::<Index>(), 0..3_usize, bytes).prop_map(|(at, removed, added)| Edit { at, removed, added });
    vec(edit, 1..4)
}

fn edited(text: &str, edits: Vec<Edit>) -> Vec<u8> {
    edits.into_iter().fold(text.as_bytes().to_vec(), |mut text, edit| {
        let at = edit.at.index(text.len() + 1);
        let end = text.len().min(at + edit.removed);
        text.splice(at..end, edit.added);
        text
    })
}

/// The tree that a value's accessors give.
fn tree(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool => value.bool().unwrap().into(),
        Kind::Number => serde_json::from_slice(value.raw()).unwrap(),
        Kind::String => value.str().unwrap().into(),
        Kind::Array => value.elements().map(tree).collect(),
        Kind::Object => value.members().map(|(key, value)| (key.decode().into_owned(), tree(value))).collect(),
    }
}

/// Calls `look` with each value inside `value`, its pointer, and the other reader's opinion of the same place.
fn each(value: &serde_json::Value, at: &str, look: &mut dyn FnMut(&str, &serde_json::Value)) {
    look(at, value);
    match value {
        serde_json::Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, element)| each(element, &format!("{at}/{index}"), look));
        }
        serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| {
            each(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), look);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_same_texts_are_taken(text in json()) {
        prop_assert_eq!(check(text.as_bytes()).is_ok(), other_takes(text.as_bytes()), "{:?}", check(text.as_bytes()));
    }

    #[test]
    fn the_same_mutated_texts_are_taken(text in json(), edits in edits()) {
        let text = edited(&text, edits);
        prop_assert_eq!(check(&text).is_ok(), other_takes(&text), "{:?} {:?}", check(&text), String::from_utf8_lossy(&text));
    }

    #[test]
    fn the_same_short_texts_are_taken(text in vec(select(&b"{}[]:,\"\\au01-.e \n\xc3\xa9"[..]), 0..12)) {
        prop_assert_eq!(check(&text).is_ok(), other_takes(&text), "{:?}", check(&text));
    }

    #[test]
    fn faults_lie_inside_the_text(text in json(), edits in edits()) {
        let text = edited(&text, edits);
        if let Err(fault) = check(&text) {
            prop_assert!(fault.at <= text.len());
            prop_assert!(fault.what != What::Truncated || fault.at == text.len());
        }
    }

    #[test]
    fn every_value_is_what_the_other_reader_sees(text in json()) {
        let Ok(checked) = check(text.as_bytes()) else { return Ok(()) };
        let root = checked.root;
        let other: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(tree(root), other.clone());
        prop_assert_eq!(root.raw(), text.trim_matches(&[' ', '\n', '\r', '\t'][..]).as_bytes());
        let mut failure = None;
        each(&other, "", &mut |at, expected| {
            let found = root.pointer(at);
            if found.map(tree).as_ref() != Some(expected) {
                failure = Some(format!("{at}: {found:?} is not {expected}"));
            }
            // Each value alone is a text that passes and is the same value.
            let raw = found.unwrap().raw();
            let again = check(raw).unwrap().root;
            if again.raw() != raw || tree(again) != *expected {
                failure = Some(format!("{at} reads otherwise alone"));
            }
            if again.integer() != expected.as_i64().filter(|n| n.abs() < 1 << 53).filter(|_| !raw.contains(&b'.')) {
                failure = Some(format!("{at}: {:?} is not {expected}", again.integer()));
            }
        });
        prop_assert_eq!(failure, None);
    }

    #[test]
    fn the_top_is_the_roots_members(text in json()) {
        let Ok(checked) = check(text.as_bytes()) else { return Ok(()) };
        let all: Vec<_> = checked.root.members().map(|(key, value)| (key.raw(), value.raw())).collect();
        let top: Vec<_> = checked.top.members().map(|(key, value)| (key.raw(), value.raw())).collect();
        prop_assert_eq!(&all[..all.len().min(16)], &top[..]);
        prop_assert_eq!(checked.top.overflow(), all.len() > 16);
    }

    #[test]
    fn a_key_given_twice_is_found_among_any_number(count in 2..200_usize, first in any::<Index>(), second in any::<Index>(), depth in 0..80_usize) {
        let (first, second) = (first.index(count), second.index(count));
        let mut text = "[".repeat(depth);
        text.push('{');
        let mut expected = 0;
        for index in 0..count {
            if index == first.max(second) {
                expected = text.len();
            }
            // The other spelling of the same key.
            let name = if index == second { format!("key\\u003{}{first}", first % 10) } else { format!("key{}{index}", index % 10) };
            write!(text, "\"{name}\":{{\"key00\":{index}}},").unwrap();
        }
        text.pop();
        text.push('}');
        text += &"]".repeat(depth);
        let found = check_limited(text.as_bytes(), Limits { depth: 100 });
        if first == second {
            prop_assert!(found.is_ok());
        } else {
            prop_assert_eq!(found.unwrap_err().at, expected);
        }
    }
}

#[test]
fn depth_is_what_the_limit_says() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes();
        assert!(check(&nested(DEFAULT_DEPTH)).is_ok());
        assert_eq!(check(&nested(DEFAULT_DEPTH + 1)).unwrap_err().what, What::TooDeep { limit: DEFAULT_DEPTH });
        assert!(check_limited(&nested(100_000), Limits { depth: 100_000 }).is_ok());
        assert!(check_limited(&nested(1), Limits { depth: 0 }).is_err());
        assert!(check_limited(b"1", Limits { depth: 0 }).is_ok());
    }
}
