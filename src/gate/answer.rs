//! The messages that mcpjail writes itself, each a whole line.

use crate::json;
use crate::relay::Id;

/// The JSON could not be parsed.
pub(super) const PARSE_ERROR: i64 = -32700;
/// It is JSON, but no message that can be accepted now.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// The method is not there.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The method is there, what it names is not.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// What an implementation defines itself.
pub(super) const SERVER_ERROR: i64 = -32000;

/// An error, with mcpjail's own code in `data.mcpjail.code`. Without an id it answers something that had none to read.
pub(super) fn error(id: Option<&Id>, code: i64, message: &str, reason: &str) -> Vec<u8> {
    error_with(id, code, message, reason, "")
}

/// The same with more members in `data`, each with a comma before it.
pub(super) fn error_with(id: Option<&Id>, code: i64, message: &str, reason: &str, more: &str) -> Vec<u8> {
    let mut line = head(id);
    line.extend_from_slice(br#","error":{"code":"#);
    line.extend_from_slice(code.to_string().as_bytes());
    line.extend_from_slice(br#","message":"#);
    json::quote(message, &mut line);
    line.extend_from_slice(br#","data":{"mcpjail":{"code":"#);
    json::quote(reason, &mut line);
    line.push(b'}');
    line.extend_from_slice(more.as_bytes());
    line.extend_from_slice(b"}}}\n");
    line
}

/// An empty result: the answer to a ping.
pub(super) fn empty(id: &Id) -> Vec<u8> {
    result(id, b"{}")
}

/// A result of our own; `value` is JSON on one line.
pub(super) fn result(id: &Id, value: &[u8]) -> Vec<u8> {
    let mut line = head(Some(id));
    line.extend_from_slice(br#","result":"#);
    line.extend_from_slice(value);
    line.extend_from_slice(b"}\n");
    line
}

/// A request or, without an id, a notification of our own; `params` is a JSON object on one line, or nothing.
pub(super) fn request(id: Option<&Id>, method: &str, params: &[u8]) -> Vec<u8> {
    let mut line = match id {
        Some(id) => head(Some(id)),
        None => br#"{"jsonrpc":"2.0""#.to_vec(),
    };
    line.extend_from_slice(br#","method":"#);
    json::quote(method, &mut line);
    if !params.is_empty() {
        line.extend_from_slice(br#","params":"#);
        line.extend_from_slice(params);
    }
    line.extend_from_slice(b"}\n");
    line
}

fn head(id: Option<&Id>) -> Vec<u8> {
    let mut line = br#"{"jsonrpc":"2.0","id":"#.to_vec();
    match id {
        Some(id) => id.write(&mut line),
        None => line.extend_from_slice(b"null"),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(line: &[u8]) -> Value {
        assert_eq!(line.last(), Some(&b'\n'));
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn what_is_written_is_what_was_meant() {
        let id = Id::Text("a\"\n".into());
        let line = error(Some(&id), INVALID_PARAMS, "no \u{7f} \n such", "x");
        let data = json!({ "mcpjail": { "code": "x" } });
        let error_object = json!({ "code": -32602, "message": "no \u{7f} \n such", "data": data });
        assert_eq!(read(&line), json!({ "jsonrpc": "2.0", "id": "a\"\n", "error": error_object }));
        assert_eq!(read(&error(None, PARSE_ERROR, "", ""))["id"], Value::Null);
        let more = read(&error_with(None, PARSE_ERROR, "", "x", ",\"supported\":[1]"));
        assert_eq!(more["error"]["data"], json!({ "mcpjail": { "code": "x" }, "supported": [1] }));
        assert_eq!(read(&empty(&Id::Number(-3))), json!({ "jsonrpc": "2.0", "id": -3, "result": {} }));
        assert_eq!(read(&request(None, "a/b", b"")), json!({ "jsonrpc": "2.0", "method": "a/b" }));
        let asked = read(&request(Some(&Id::Number(1)), "a", b"{\"x\":1}"));
        assert_eq!(asked, json!({ "jsonrpc": "2.0", "id": 1, "method": "a", "params": { "x": 1 } }));
    }
}
