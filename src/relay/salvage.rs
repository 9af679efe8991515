//! Finds the id of a line that was refused.

use super::envelope::{Id, id_of, resembles};
use crate::json;

/// The id of a refused line, so that its sender or its receiver can be told. None where that is in any doubt: the
/// line is not one object with one good id among its members, as far as can be seen without understanding the rest.
///
/// What is inside the values is not judged, only where they end: brackets are counted and strings passed over, so that
/// the id comes out of a line that holds a duplicate key, a `NaN` or bytes that are no UTF-8.
pub fn id(line: &[u8]) -> Option<Id> {
    let mut found = None;
    let mut depth = 0_usize;
    let mut key_next = false;
    let mut at = behind_space(line, 0);
    if line.get(at) != Some(&b'{') {
        return None;
    }
    loop {
        match line.get(at)? {
            b'"' if key_next => {
                key_next = false;
                let end = behind_string(line, at)?;
                let key = json::check(line.get(at..end)?).ok()?.root.text()?;
                at = behind_space(line, end);
                if line.get(at) != Some(&b':') {
                    return None;
                }
                if resembles(key, "id") {
                    let start = behind_space(line, at + 1);
                    let end = behind_scalar(line, start)?;
                    let id = id_of(json::check(line.get(start..end)?).ok()?.root).ok()?;
                    if key.raw() != b"id" || found.replace(id).is_some() {
                        return None;
                    }
                    at = behind_space(line, end);
                    if !matches!(line.get(at), Some(b',' | b'}')) {
                        return None;
                    }
                    continue;
                }
            }
            b'"' => {
                at = behind_string(line, at)?;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                key_next = depth == 1;
            }
            b'}' | b']' if depth == 1 => {
                return found.filter(|_| line.get(at) == Some(&b'}') && behind_space(line, at + 1) == line.len());
            }
            b'}' | b']' => depth -= 1,
            b',' => key_next = depth == 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if key_next => return None,
            _ => {}
        }
        at += 1;
    }
}

fn behind_space(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// The offset behind the string whose opening quote is at `start`.
fn behind_string(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The offset behind a string, a number or a word.
fn behind_scalar(line: &[u8], start: usize) -> Option<usize> {
    if line.get(start)? == &b'"' {
        return behind_string(line, start);
    }
    let rest = line.get(start..)?;
    Some(start + rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_refused_line_is_found() {
        let lines: [&[u8]; 12] = [
            br#"{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}"#,
            br#" { "result" : NaN , "id" : 7 } "#,
            b"{\"result\":\"\xff\t\",\"id\":7}\r",
            br#"{"method":"x","id":7,"params":{"id":8,"x":["id",{"id":9}]}}"#,
            br#"{"id":7,"result":"\" } \\","more":"\ud800"}"#,
            br#"{"id":7,"Method":"x"}"#,
            br#"{"id":7,"id2":8,"a":"id","id\n":9}"#,
            br#"{"id":7}"#,
            br#"{"result":undefined,"id":7}"#,
            br#"{"id":7,"method":"x","method":"y"}"#,
            br#"{"id":7,"result":[[[[{"a":[]}]]]],"x":{}}"#,
            br#"{"id":7,"result":1e999,"error":'no'}"#,
        ];
        for line in lines {
            assert_eq!(id(line), Some(Id::Number(7)), "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(id(br#"{"id":"s\"\u0061","x":+1}"#), Some(Id::Text("s\"a".into())));
        let deep = [&b"{\"id\":7,\"x\":"[..], &[b'['; 100_000], &[b']'; 100_000], b"}"].concat();
        assert_eq!(id(&deep), Some(Id::Number(7)));
    }

    #[test]
    fn in_doubt_there_is_none() {
        let lines: [&[u8]; 30] = [
            b"",
            b"  ",
            b"{",
            b"{}",
            b"7",
            br#""id""#,
            br#"[{"id":7}]"#,
            br#"{"id":7"#,
            br#"{"id":7]"#,
            br#"{"id":7}{"id":8}"#,
            br#"{"id":7} x"#,
            br#"{"id":7,"id":7}"#,
            br#"{"id":7,"ID":7}"#,
            br#"{"\u0069d":7}"#,
            br#"{"id":7,"\u0049d":8}"#,
            br#"{"id":7.5}"#,
            br#"{"id":null}"#,
            br#"{"id":-0}"#,
            br#"{"id":[7]}"#,
            br#"{"id":{"id":7}}"#,
            br#"{"id":9007199254740992}"#,
            br#"{"id":"\ud800"}"#,
            br#"{"id":7 8}"#,
            br#"{"id" 7}"#,
            br#"{"x":1 "id":7}"#,
            br#"{"params":{"id":7}}"#,
            br#"{id:7}"#,
            br#"{"a\":1,"id":7}"#,
            br#"{"result":"he said "hi", "id":7}"#,
            br#"{"a":"b","id":7,"c":"d}"#,
        ];
        for line in lines {
            assert_eq!(id(line), None, "{}", String::from_utf8_lossy(line));
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(2000));
        assert_eq!(id(long.as_bytes()), None);
    }
}
