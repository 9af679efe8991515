//! What a line is as a JSON-RPC message: its envelope, read strictly, with everything else left as it is written.
//!
//! Two readers of one line must not see two messages. So what is refused here is all that readers differ in: duplicate
//! keys and the rest that [`json`](crate::json) refuses, keys that some readers take for an envelope's key because they
//! ignore case, a message that is both request and response, and ids that not every reader can hold.
//! Source: JSON-RPC 2.0 sections 4 to 6, and the schema of the MCP specification, which forbids an id of null.

pub use super::salvage::id;
use crate::json::{self, Checked, Fault, Kind, Text, Value, What};
use std::borrow::Cow;

/// The longest id that is text, bytes as decoded.
const MAX_ID: usize = 1024;
/// The longest method, bytes as decoded.
const MAX_METHOD: usize = 256;
/// The most messages in a batch.
const MAX_BATCH: usize = 1000;

/// What ties a response to its request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// A whole number that every reader holds exactly.
    Number(i64),
    /// Text, decoded.
    Text(Box<str>),
}

impl Id {
    /// Appends it as JSON.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Number(number) => into.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => json::quote(text, into),
        }
    }
}

/// One line, or one element of a batch.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Wants a response.
    Request {
        /// To be repeated in the response.
        id: Id,
        /// What is asked.
        method: Cow<'a, str>,
        /// An object or an array.
        params: Option<Value<'a>>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Cow<'a, str>,
        /// An object or an array.
        params: Option<Value<'a>>,
    },
    /// A request's result.
    Response {
        /// The request's.
        id: Id,
        /// Any value.
        result: Value<'a>,
    },
    /// A request's failure.
    Error {
        /// The request's, or none where the sender could not tell it: absent or null.
        id: Option<Id>,
        /// An object.
        error: Value<'a>,
    },
    /// An array of one to [`MAX_BATCH`] elements, each for [`parse_element`].
    Batch(Value<'a>),
}

/// Why a line is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing but white space.
    #[error("empty line")]
    Empty,
    /// Not meant as a message: not the text of an object or an array.
    #[error("not JSON")]
    NotJson,
    /// JSON that readers may read in different ways, or that is beyond a limit.
    #[error(transparent)]
    Fault(Fault),
    /// JSON that is no JSON-RPC message; says why.
    #[error("{0}")]
    Envelope(&'static str),
}

/// Reads one line, given without its line feed.
///
/// # Errors
///
/// [`Refused`], with the reason.
pub fn parse(line: &[u8]) -> Result<Message<'_>, Refused> {
    let first = line.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    match first {
        None => return Err(Refused::Empty),
        Some(b'{' | b'[') => {}
        Some(_) => return Err(Refused::NotJson),
    }
    let Checked { root, top } = json::check(line).map_err(|fault| refused(fault, first))?;
    match root.kind() {
        Kind::Array => batch(root),
        _ if top.overflow() => message(root.members()),
        _ => message(top.members()),
    }
}

/// Reads one element of a batch.
///
/// # Errors
///
/// [`Refused`], with the reason.
pub fn parse_element(value: Value<'_>) -> Result<Message<'_>, Refused> {
    match value.kind() {
        Kind::Object => message(value.members()),
        _ => Err(Refused::Envelope("an element of a batch is no object")),
    }
}

/// Tells what was never JSON from what is JSON with something wrong about it.
fn refused(fault: Fault, first: Option<&u8>) -> Refused {
    match fault.what {
        What::NotJson { .. } | What::Truncated | What::BadEscape => Refused::NotJson,
        // `[12:30] started` is a line of a log, but `{…} {…}` is two messages on one line.
        What::Trailing if first == Some(&b'[') => Refused::NotJson,
        _ => Refused::Fault(fault),
    }
}

fn batch(root: Value<'_>) -> Result<Message<'_>, Refused> {
    match root.elements().take(MAX_BATCH + 1).count() {
        0 => Err(Refused::Envelope("a batch is empty")),
        1..=MAX_BATCH => Ok(Message::Batch(root)),
        _ => Err(Refused::Envelope("a batch has more than 1000 messages")),
    }
}

/// The members of an object that JSON-RPC knows.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Value<'a>>,
    id: Option<Value<'a>>,
    method: Option<Value<'a>>,
    params: Option<Value<'a>>,
    result: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

fn message<'a>(members: impl Iterator<Item = (Text<'a>, Value<'a>)>) -> Result<Message<'a>, Refused> {
    let Envelope { jsonrpc, id, method, params, result, error } = envelope(members)?;
    if !jsonrpc.and_then(Value::text).is_some_and(|version| version.is("2.0")) {
        return Err(Refused::Envelope("`jsonrpc` is not \"2.0\""));
    }
    if params.is_some_and(|params| !matches!(params.kind(), Kind::Object | Kind::Array)) {
        return Err(Refused::Envelope("`params` is neither object nor array"));
    }
    match (method, result, error) {
        (Some(method), None, None) => {
            let method = self::method(method)?;
            Ok(match id {
                Some(id) => Message::Request { id: id_of(id)?, method, params },
                None => Message::Notification { method, params },
            })
        }
        _ if params.is_some() => Err(Refused::Envelope("`params` without `method`, or in a response")),
        (None, Some(result), None) => match id {
            Some(id) => Ok(Message::Response { id: id_of(id)?, result }),
            None => Err(Refused::Envelope("`result` without `id`")),
        },
        (None, None, Some(error)) if error.kind() == Kind::Object => {
            let id = id.filter(|id| id.kind() != Kind::Null).map(id_of).transpose()?;
            Ok(Message::Error { id, error })
        }
        (None, None, Some(_)) => Err(Refused::Envelope("`error` is no object")),
        (None, None, None) => Err(Refused::Envelope("none of `method`, `result` and `error`")),
        _ => Err(Refused::Envelope("more than one of `method`, `result` and `error`")),
    }
}

fn envelope<'a>(members: impl Iterator<Item = (Text<'a>, Value<'a>)>) -> Result<Envelope<'a>, Refused> {
    let mut envelope = Envelope::default();
    for (key, value) in members {
        // No key comes twice in a checked object.
        match key.raw() {
            b"jsonrpc" => envelope.jsonrpc = Some(value),
            b"id" => envelope.id = Some(value),
            b"method" => envelope.method = Some(value),
            b"params" => envelope.params = Some(value),
            b"result" => envelope.result = Some(value),
            b"error" => envelope.error = Some(value),
            _ if resembles_known(key) => {
                return Err(Refused::Envelope("a key that some readers take for a key of JSON-RPC"));
            }
            _ => {}
        }
    }
    Ok(envelope)
}

/// The keys that JSON-RPC knows.
const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Whether a key, which is not spelt as one of JSON-RPC's, may be taken for one.
fn resembles_known(key: Text<'_>) -> bool {
    KNOWN.iter().any(|known| resembles(key, known))
}

/// Whether some readers take `key` for `known`: it is equal after decoding and simple case folding (Unicode's
/// CaseFolding.txt, classes C and S: beside ASCII, `ſ` folds to `s` and the Kelvin sign to `k`).
pub(super) fn resembles(key: Text<'_>, known: &str) -> bool {
    // Each character is written with one byte at least, and as one escape at most.
    if !(known.len()..=6 * known.len()).contains(&key.raw().len()) {
        return false;
    }
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.decode().chars().map(fold).eq(known.chars())
}

fn method(value: Value<'_>) -> Result<Cow<'_, str>, Refused> {
    match value.str() {
        Some(method) if method.len() <= MAX_METHOD => Ok(method),
        Some(_) => Err(Refused::Envelope("`method` is longer than 256 bytes")),
        None => Err(Refused::Envelope("`method` is no string")),
    }
}

pub(super) fn id_of(value: Value<'_>) -> Result<Id, Refused> {
    match value.kind() {
        Kind::Number => match value.integer() {
            Some(number) => Ok(Id::Number(number)),
            None => Err(Refused::Envelope("`id` is no whole number within 2^53 - 1")),
        },
        Kind::String => {
            let text = value.str().unwrap_or_default();
            if text.len() > MAX_ID {
                return Err(Refused::Envelope("`id` is longer than 1024 bytes"));
            }
            Ok(Id::Text(text.into()))
        }
        Kind::Null => Err(Refused::Envelope("`id` is null")),
        _ => Err(Refused::Envelope("`id` is neither string nor number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as words, or why it is none.
    fn read(line: &str) -> String {
        shown(parse(line.as_bytes()))
    }

    fn shown(message: Result<Message<'_>, Refused>) -> String {
        let text = |id: Id| {
            let mut text = Vec::new();
            id.write(&mut text);
            String::from_utf8(text).unwrap()
        };
        match message {
            Ok(Message::Request { id, method, params }) => format!("request {} {method} {params:?}", text(id)),
            Ok(Message::Notification { method, params }) => format!("notification {method} {params:?}"),
            Ok(Message::Response { id, result }) => format!("response {} {result:?}", text(id)),
            Ok(Message::Error { id, error }) => format!("error {} {error:?}", id.map_or("none".into(), text)),
            Ok(Message::Batch(batch)) => format!("batch {batch:?}"),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn messages_of_each_sort() {
        let table = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping None"),
            ("\t{ \"jsonrpc\" : \"2.0\" , \"method\" : \"x\" , \"id\" : -7 }\r", "request -7 x None"),
            (
                r#"{"jsonrpc":"2.0","id":"a\"\u00e9","method":"a\/b","params":{"id":2}}"#,
                r#"request "a\"é" a/b Some({"id":2})"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"x","params":[1]}"#, "notification x Some([1])"),
            (r#"{"id":9007199254740991,"result":null,"jsonrpc":"2.0"}"#, "response 9007199254740991 null"),
            (r#"{"jsonrpc":"2.0","id":"","result":{}}"#, r#"response "" {}"#),
            (r#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":""}}"#, r#"error 3 {"code":-1,"message":""}"#),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "error none {}"),
            (r#"{"jsonrpc":"2.0","error":{}}"#, "error none {}"),
            (r#"{"jsonrpc":"2.0","method":"","unknown":{"Id":1,"METHOD":2}}"#, "notification  None"),
            (r#" [ {"a":1} , 2 ] "#, r#"batch [ {"a":1} , 2 ]"#),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        let table = [
            ("", "empty line"),
            (" \t\r", "empty line"),
            ("Server listening on stdio", "not JSON"),
            ("\"text\"", "not JSON"),
            ("17", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            ("[12:30] started", "not JSON"),
            ("[2026] started", "not JSON"),
            ("{ port: 8080 }", "not JSON"),
            (r#"{"jsonrpc":"2.0","id":1,"result":NaN}"#, "not JSON"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"#, "not JSON"),
            (r#"{"a":"\x"}"#, "not JSON"),
            ("{} {}", "something follows the JSON value at byte 3"),
            (r#"{"a":{"b":1,"b":2}}"#, "duplicate key `b` at byte 12"),
            (r#"{"a":"\udead"}"#, "half a surrogate pair at byte 6"),
            (r#"{"a":1e999}"#, "number too large for a double at byte 5"),
            ("{\"a\":\"\t\"}", "unescaped control character at byte 6"),
            ("[]", "a batch is empty"),
            ("{}", "`jsonrpc` is not \"2.0\""),
            (r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#, "`jsonrpc` is not \"2.0\""),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, "`jsonrpc` is not \"2.0\""),
            (r#"{"jsonrpc":"2.0"}"#, "none of `method`, `result` and `error`"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "none of `method`, `result` and `error`"),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, "more than one of `method`, `result` and `error`"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#, "more than one of `method`, `result` and `error`"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","error":{}}"#, "more than one of `method`, `result` and `error`"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "`id` is null"),
            (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, "`id` is null"),
            (r#"{"jsonrpc":"2.0","result":1}"#, "`result` without `id`"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "`id` is neither string nor number"),
            (r#"{"jsonrpc":"2.0","id":true,"error":{}}"#, "`id` is neither string nor number"),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "`method` is no string"),
            (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, "`method` is no string"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#, "`params` is neither object nor array"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":"y"}"#, "`params` is neither object nor array"),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"params":{}}"#, "`params` without `method`, or in a response"),
            (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, "`error` is no object"),
            (r#"{"jsonrpc":"2.0","id":1,"error":null}"#, "`error` is no object"),
        ];
        for (line, expected) in table {
            assert_eq!(read(line), expected, "{line}");
        }
        for id in ["1.0", "1.5", "1e3", "-0", "9007199254740992", "-9007199254740992", "123456789012345678901234567890"]
        {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
            assert_eq!(read(&line), "`id` is no whole number within 2^53 - 1", "{id}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err().to_string(), "invalid UTF-8 at byte 6");
    }

    #[test]
    fn nobody_reads_another_envelope() {
        for key in [
            "ID",
            "Id",
            "iD",
            "Method",
            "METHOD",
            "paramſ",
            "PARAM\u{17f}",
            "reſult",
            "Error",
            "JSONRPC",
            "j\u{17f}onrpc",
        ] {
            for line in [
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","{key}":1}}"#),
                format!(r#"{{"{key}":"x","jsonrpc":"2.0","id":1,"result":{{}}}}"#),
            ] {
                assert_eq!(read(&line), "a key that some readers take for a key of JSON-RPC", "{line}");
                let batch = format!("[{line}]");
                let Ok(Message::Batch(batch)) = parse(batch.as_bytes()) else { panic!("{batch}") };
                let element = parse_element(batch.elements().next().unwrap());
                assert_eq!(shown(element), "a key that some readers take for a key of JSON-RPC");
            }
        }
        let spelt = [
            r#"{"jsonrpc":"2.0","\u0069d":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","re\u017Fult":1}"#,
        ];
        for line in spelt {
            assert_eq!(read(line), "a key that some readers take for a key of JSON-RPC", "{line}");
        }
        let many: String = (0..40).map(|n| format!(r#""k{n}":{n},"#)).collect();
        let line = format!(r#"{{{many}"jsonrpc":"2.0","id":1,"method":"x","Params":{{}}}}"#);
        assert_eq!(read(&line), "a key that some readers take for a key of JSON-RPC", "behind many members");
        assert_eq!(read(&line.replace("Params", "params")), "request 1 x Some({})");
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","method":"x","ids":1,"identity":1,"i":2,"ıd":3,"meta":{"ID":4}}"#),
            "notification x None"
        );
    }

    #[test]
    fn lengths_are_bounded() {
        let id = |length: usize| format!(r#"{{"jsonrpc":"2.0","id":"{}","result":1}}"#, "é".repeat(length / 2));
        assert!(parse(id(MAX_ID).as_bytes()).is_ok());
        assert_eq!(read(&id(MAX_ID + 2)), "`id` is longer than 1024 bytes");
        let method = |length: usize| format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "\\u006d".repeat(length));
        assert!(parse(method(MAX_METHOD).as_bytes()).is_ok());
        assert_eq!(read(&method(MAX_METHOD + 1)), "`method` is longer than 256 bytes");
        let batch = |length: usize| format!("[{}]", vec!["{}"; length].join(","));
        assert!(parse(batch(MAX_BATCH).as_bytes()).is_ok());
        assert_eq!(read(&batch(MAX_BATCH + 1)), "a batch has more than 1000 messages");
    }

    #[test]
    fn elements_of_a_batch_are_messages() {
        let line = br#"[{"jsonrpc":"2.0","id":1,"method":"x"},[{}],7,{"jsonrpc":"2.0","id":1,"result":2}]"#;
        let Ok(Message::Batch(batch)) = parse(line) else { panic!() };
        let shown: Vec<_> = batch.elements().map(|element| shown(parse_element(element))).collect();
        let no_object = "an element of a batch is no object";
        assert_eq!(shown, ["request 1 x None", no_object, no_object, "response 1 2"]);
    }

    proptest! {
        #[test]
        fn order_and_white_space_change_nothing(
            spaces in prop::collection::vec("[ \t\r\n]{0,3}", 20),
            order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
            number in any::<i64>(),
            text in ".{0,8}",
            method in ".{0,8}",
        ) {
            let number = number % (1 << 53);
            let id = if number % 2 == 0 { Id::Number(number) } else { Id::Text(text.into()) };
            let (mut id_text, mut method_text) = (Vec::new(), Vec::new());
            id.write(&mut id_text);
            json::quote(&method, &mut method_text);
            let (id_text, method_text) = (String::from_utf8(id_text).unwrap(), String::from_utf8(method_text).unwrap());
            let members = [
                ("jsonrpc", "\"2.0\""), ("id", &id_text), ("method", &method_text), ("params", "{ \"x\" : [ ] }"), ("extra", "[1, 2]"),
            ];
            let mut space = spaces.iter();
            let mut space = || space.next().unwrap().as_str();
            let members = order.map(|index| members[index]).map(|(key, value)| {
                format!("{}\"{key}\"{}:{}{value}{}", space(), space(), space(), if key == "id" { "" } else { space() })
            });
            let line = format!("{}{{{}}}", spaces[19], members.join(","));
            let Ok(Message::Request { id: read, method: read_method, params }) = parse(line.as_bytes()) else {
                return Err(TestCaseError::fail(line));
            };
            prop_assert_eq!(&read, &id);
            prop_assert_eq!(read_method, method);
            prop_assert_eq!(params.unwrap().raw(), b"{ \"x\" : [ ] }");
            prop_assert_eq!(super::id(line.as_bytes()), Some(id));
        }
    }
}
