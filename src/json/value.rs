//! Values: slices of a checked text.

use super::nested::behind_nested;
use super::scan::{closing_quote, not_space};
use super::text::Text;
use std::borrow::Cow;

/// The largest whole number that every reader of JSON holds exactly (RFC 7493 section 2.2), and its negative.
const LARGEST_INTEGER: i64 = (1 << 53) - 1;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// Any number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One value of a text that [`check`](super::check) has passed, as it is written, without white space around it.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// Of the text of a value that was checked.
    #[inline]
    pub(super) fn of_checked(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// As it is written.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.raw.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// An object's members in order; nothing for anything else. Each step skips one value.
    pub fn members(self) -> Members<'a> {
        Members { inside: Inside::new(self, Kind::Object) }
    }

    /// An array's elements in order; nothing for anything else. Each step skips one value.
    pub fn elements(self) -> Elements<'a> {
        Elements { inside: Inside::new(self, Kind::Array) }
    }

    /// An object's member of that name. What comes behind it is not looked at.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.members().find(|(name, _)| name.is(key)).map(|(_, value)| value)
    }

    /// The body of a string.
    pub fn text(self) -> Option<Text<'a>> {
        let body = self.raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Some(Text::of_checked(body))
    }

    /// What a string means. Borrowed unless there are escapes.
    pub fn str(self) -> Option<Cow<'a, str>> {
        self.text().map(Text::decode)
    }

    /// `true` or `false`.
    pub fn bool(self) -> Option<bool> {
        match self.raw {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A whole number of at most 2^53 - 1 either way, written without point and exponent, and not as `-0`.
    pub fn integer(self) -> Option<i64> {
        if self.kind() != Kind::Number || self.raw == b"-0" {
            return None;
        }
        let number: i64 = str::from_utf8(self.raw).ok()?.parse().ok()?;
        (-LARGEST_INTEGER..=LARGEST_INTEGER).contains(&number).then_some(number)
    }

    /// The value that a JSON pointer names below this one (RFC 6901). None too where the pointer is not well-formed.
    pub fn pointer(self, pointer: &str) -> Option<Value<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| match value.kind() {
            Kind::Object => value.get(&unescape(token)?),
            Kind::Array => value.elements().nth(index(token)?),
            _ => None,
        })
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.raw))
    }
}

/// What a token of a pointer means: `~1` is a slash, `~0` a tilde.
fn unescape(token: &str) -> Option<Cow<'_, str>> {
    let mut parts = token.split('~');
    let first = parts.next()?;
    let mut meant = Cow::Borrowed(first);
    for part in parts {
        let (sign, rest) =
            if let Some(rest) = part.strip_prefix('0') { ('~', rest) } else { ('/', part.strip_prefix('1')?) };
        meant.to_mut().push(sign);
        meant.to_mut().push_str(rest);
    }
    Some(meant)
}

/// An array index: decimal, no sign, no leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { token.parse().ok() } else { None }
}

/// The members of an object; see [`Value::members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    inside: Inside<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let key = self.inside.value()?;
        // Behind a key comes its colon, which needs no look.
        let value = self.inside.value()?;
        Some((key.text()?, value))
    }
}

/// The elements of an array; see [`Value::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    inside: Inside<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        self.inside.value()
    }
}

/// What is left between the brackets of a checked array or object.
#[derive(Clone)]
struct Inside<'a> {
    /// Ends before the closing bracket.
    text: &'a [u8],
    at: usize,
}

impl<'a> Inside<'a> {
    fn new(value: Value<'a>, kind: Kind) -> Self {
        let text = if value.kind() == kind { value.raw.split_last().map_or(&[][..], |(_, rest)| rest) } else { &[] };
        Self { text, at: 1 }
    }

    /// The next value, or an object's next key.
    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        let start = not_space(self.text, self.at);
        let end = skip(self.text, start)?;
        // Behind it comes white space and a comma, a colon or nothing.
        self.at = not_space(self.text, end) + 1;
        self.text.get(start..end).map(Value::of_checked)
    }
}

impl std::fmt::Debug for Inside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.text.get(self.at..).unwrap_or_default()))
    }
}

/// The offset behind the value that starts at `start`.
#[inline]
fn skip(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => Some(closing_quote(text, start + 1) + 1),
        b'{' | b'[' => Some(behind_nested(text, start + 1)),
        _ => {
            let rest = text.get(start..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t'));
            Some(length.map_or(text.len(), |length| start + length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::check;

    fn value(text: &str) -> Value<'_> {
        check(text.as_bytes()).unwrap().root
    }

    fn raw(value: Option<Value<'_>>) -> Option<&str> {
        value.map(|value| str::from_utf8(value.raw()).unwrap())
    }

    #[test]
    fn each_kind_answers_for_itself_only() {
        let table = [
            ("null", Kind::Null),
            ("true", Kind::Bool),
            ("false", Kind::Bool),
            ("-1.5", Kind::Number),
            ("0", Kind::Number),
            ("\"[1]\"", Kind::String),
            ("[ 1 ]", Kind::Array),
            ("{ \"a\" : 1 }", Kind::Object),
        ];
        for (text, kind) in table {
            let value = value(text);
            assert_eq!(value.kind(), kind);
            assert_eq!(value.members().count(), usize::from(kind == Kind::Object), "{text}");
            assert_eq!(value.elements().count(), usize::from(kind == Kind::Array), "{text}");
            assert_eq!(value.str().is_some(), kind == Kind::String);
            assert_eq!(value.bool(), text.parse().ok());
            assert_eq!(value.integer().is_some(), text == "0");
        }
    }

    #[test]
    fn steps_pass_over_whatever_is_inside() {
        let text = r#" { "a" : [ "]" , { "}" : "\\" } , [ ] , "\"" ] ,"b":{},"c" : "}" , "d":1e5 ,"e":null} "#;
        let found: Vec<_> =
            value(text).members().map(|(key, value)| (key.decode(), raw(Some(value)).unwrap())).collect();
        let expected = [
            ("a", r#"[ "]" , { "}" : "\\" } , [ ] , "\"" ]"#),
            ("b", "{}"),
            ("c", r#""}""#),
            ("d", "1e5"),
            ("e", "null"),
        ];
        assert!(found.iter().map(|(key, value)| (&**key, *value)).eq(expected), "{found:?}");
        let elements: Vec<_> = value(expected[0].1).elements().map(|value| raw(Some(value)).unwrap()).collect();
        assert_eq!(elements, [r#""]""#, r#"{ "}" : "\\" }"#, "[ ]", r#""\"""#]);
        assert_eq!(value("[ ]").elements().count() + value("{ }").members().count(), 0);
    }

    #[test]
    fn get_finds_by_meaning() {
        let value = value(r#"{"a":1,"\u0062":2,"c\n":{"a":3}}"#);
        assert_eq!(raw(value.get("a")), Some("1"));
        assert_eq!(raw(value.get("b")), Some("2"));
        assert_eq!(raw(value.get("c\n")), Some(r#"{"a":3}"#));
        assert_eq!(raw(value.get("c")), None);
        assert_eq!(raw(value.get(r"\u0062")), None);
    }

    #[test]
    fn integers_are_those_that_every_reader_holds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9007199254740991", Some(LARGEST_INTEGER)),
            ("-9007199254740991", Some(-LARGEST_INTEGER)),
            ("9007199254740992", None),
            ("-9007199254740992", None),
            ("99999999999999999999999999", None),
            ("1.0", None),
            ("1e3", None),
            ("-0", None),
            ("\"1\"", None),
        ] {
            assert_eq!(value(text).integer(), expected, "{text}");
        }
    }

    #[test]
    fn pointers_are_those_of_the_rfc() {
        // RFC 6901 section 5.
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let root = value(text);
        for (pointer, expected) in [
            ("", text),
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(raw(root.pointer(pointer)), Some(expected), "{pointer}");
        }
        let wrong = [
            "foo",
            "/foo/2",
            "/foo/-",
            "/foo/01",
            "/foo/+1",
            "/foo/",
            "/foo/0/x",
            "/nothing",
            "/m~n",
            "/m~",
            "/m~2n",
            "//",
            "/foo/99999999999999999999",
        ];
        for pointer in wrong {
            assert_eq!(raw(root.pointer(pointer)), None, "{pointer}");
        }
        let tricky = value(r#"{"~1":1,"/":2,"~01":3}"#);
        assert_eq!(raw(tricky.pointer("/~01")), Some("1"));
        assert_eq!(raw(tricky.pointer("/~1")), Some("2"));
        assert_eq!(raw(tricky.pointer("/~001")), Some("3"));
    }
}
