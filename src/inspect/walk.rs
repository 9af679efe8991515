//! Every string of an item, and every key: whatever is in there can reach a model.

use super::Text;
use super::surface::{Part, Place, Surface};
use crate::json::{Elements, Kind, Members, Value};

/// Keys that the specification or JSON Schema fixes, so that nobody chose them.
const FIXED: &[&str] = &[
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "icons",
    "_meta",
    "arguments",
    "uriTemplate",
    "mimeType",
    "serverInfo",
    "instructions",
    "required",
    "execution",
    "version",
    "websiteUrl",
    "type",
    "properties",
    "items",
    "enum",
    "const",
    "default",
    "examples",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "additionalProperties",
    "$schema",
    "$ref",
    "$defs",
    "definitions",
    "$comment",
    "$id",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "uniqueItems",
    "nullable",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "readOnly",
    "writeOnly",
    "deprecated",
    "contentEncoding",
    "contentMediaType",
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
    "src",
    "sizes",
    "theme",
    "taskSupport",
    "audience",
    "priority",
    "lastModified",
];

/// An object or array that is being walked.
struct Open<'a> {
    inside: Inside<'a>,
    place: Place,
    /// What the strings in it are, if it is an array.
    surface: Surface,
    /// Length of its own pointer.
    pointer: usize,
}

enum Inside<'a> {
    Object(Members<'a>),
    Array(std::iter::Enumerate<Elements<'a>>),
}

/// Calls `each` with every string of the item in the order of the text, and with every key that the specification does
/// not fix: names of parameters and unknown members. Nothing recurses, so depth costs no stack.
pub fn strings(part: Part, item: Value<'_>, mut each: impl FnMut(&Text<'_>)) {
    let mut pointer = String::new();
    let mut open = Vec::new();
    enter(item, Surface::Unknown, Place::Item(part), &pointer, &mut open, &mut each);
    while let Some(top) = open.last_mut() {
        pointer.truncate(top.pointer);
        pointer.push('/');
        let (value, surface, place) = match &mut top.inside {
            Inside::Object(members) => {
                let Some((key, value)) = members.next() else {
                    open.pop();
                    continue;
                };
                let key = key.decode();
                for piece in key.split_inclusive(['~', '/']) {
                    let plain = piece.trim_end_matches(['~', '/']);
                    pointer.push_str(plain);
                    pointer.push_str(match piece.get(plain.len()..) {
                        Some("~") => "~0",
                        Some("/") => "~1",
                        _ => "",
                    });
                }
                let named = matches!(top.place, Place::Schemas | Place::All(_));
                if named || !FIXED.contains(&&*key) {
                    each(&Text { surface: Surface::Property, at: &pointer, text: &key });
                }
                let (surface, place) = top.place.member(&key);
                (value, surface, place)
            }
            Inside::Array(elements) => {
                let Some((index, value)) = elements.next() else {
                    open.pop();
                    continue;
                };
                pointer.push_str(&index.to_string());
                (value, top.surface, top.place)
            }
        };
        enter(value, surface, place, &pointer, &mut open, &mut each);
    }
}

/// Gives out a string, or opens what holds more.
fn enter<'a>(
    value: Value<'a>,
    surface: Surface,
    place: Place,
    pointer: &str,
    open: &mut Vec<Open<'a>>,
    each: &mut impl FnMut(&Text<'_>),
) {
    let inside = match value.kind() {
        Kind::Object => Inside::Object(value.members()),
        Kind::Array => Inside::Array(value.elements().enumerate()),
        Kind::String => {
            if let Some(text) = value.str() {
                each(&Text { surface, at: pointer, text: &text });
            }
            return;
        }
        Kind::Null | Kind::Bool | Kind::Number => return,
    };
    open.push(Open { inside, place, surface, pointer: pointer.len() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn all(part: Part, text: &str) -> Vec<(Surface, String, String)> {
        let mut all = Vec::new();
        strings(part, json::check(text.as_bytes()).unwrap().root, |text| {
            all.push((text.surface, text.at.to_owned(), text.text.to_owned()));
        });
        all
    }

    fn surface(part: Part, text: &str, at: &str) -> Option<Surface> {
        all(part, text).into_iter().find(|(_, place, text)| place == at && text == "MARK").map(|(surface, ..)| surface)
    }

    #[test]
    fn a_marker_is_seen_in_every_place() {
        let tool = [
            ("/name", r#"{"name":"MARK"}"#, Surface::Name),
            ("/title", r#"{"title":"MARK"}"#, Surface::Title),
            ("/description", r#"{"description":"MARK"}"#, Surface::Description),
            ("/inputSchema/description", r#"{"inputSchema":{"description":"MARK"}}"#, Surface::SchemaText),
            ("/inputSchema/$comment", r#"{"inputSchema":{"$comment":"MARK"}}"#, Surface::SchemaText),
            ("/inputSchema/properties/MARK", r#"{"inputSchema":{"properties":{"MARK":{}}}}"#, Surface::Property),
            (
                "/inputSchema/properties/a/default",
                r#"{"inputSchema":{"properties":{"a":{"default":"MARK"}}}}"#,
                Surface::SchemaValue,
            ),
            (
                "/inputSchema/properties/a/enum/1",
                r#"{"inputSchema":{"properties":{"a":{"enum":["x","MARK"]}}}}"#,
                Surface::SchemaValue,
            ),
            (
                "/inputSchema/properties/a/const",
                r#"{"inputSchema":{"properties":{"a":{"const":"MARK"}}}}"#,
                Surface::SchemaValue,
            ),
            (
                "/inputSchema/properties/a/examples/0/b",
                r#"{"inputSchema":{"properties":{"a":{"examples":[{"b":"MARK"}]}}}}"#,
                Surface::SchemaValue,
            ),
            (
                "/inputSchema/properties/a/default/MARK",
                r#"{"inputSchema":{"properties":{"a":{"default":{"MARK":1}}}}}"#,
                Surface::Property,
            ),
            (
                "/inputSchema/properties/description/description",
                r#"{"inputSchema":{"properties":{"description":{"description":"MARK"}}}}"#,
                Surface::SchemaText,
            ),
            (
                "/inputSchema/anyOf/0/items/allOf/0/title",
                r#"{"inputSchema":{"anyOf":[{"items":{"allOf":[{"title":"MARK"}]}}]}}"#,
                Surface::SchemaText,
            ),
            (
                "/inputSchema/$defs/D/description",
                r#"{"inputSchema":{"$defs":{"D":{"description":"MARK"}}}}"#,
                Surface::SchemaText,
            ),
            ("/inputSchema/required/0", r#"{"inputSchema":{"required":["MARK"]}}"#, Surface::SchemaKeyword),
            ("/inputSchema/pattern", r#"{"inputSchema":{"pattern":"MARK"}}"#, Surface::SchemaKeyword),
            ("/inputSchema/MARK", r#"{"inputSchema":{"MARK":1}}"#, Surface::Property),
            (
                "/outputSchema/properties/a/title",
                r#"{"outputSchema":{"properties":{"a":{"title":"MARK"}}}}"#,
                Surface::SchemaText,
            ),
            ("/annotations/title", r#"{"annotations":{"title":"MARK"}}"#, Surface::Annotation),
            ("/annotations/MARK", r#"{"annotations":{"MARK":true}}"#, Surface::Property),
            ("/icons/0/src", r#"{"icons":[{"src":"MARK"}]}"#, Surface::Icon),
            ("/_meta/a/0/b", r#"{"_meta":{"a":[{"b":"MARK"}]}}"#, Surface::Meta),
            ("/_meta/MARK", r#"{"_meta":{"MARK":1}}"#, Surface::Property),
            ("/execution/x", r#"{"execution":{"x":"MARK"}}"#, Surface::Unknown),
            ("/newField", r#"{"newField":"MARK"}"#, Surface::Unknown),
            ("/MARK", r#"{"MARK":null}"#, Surface::Property),
            ("/a~1b~0c~0~1/0", r#"{"a/b~c~/":["MARK"]}"#, Surface::Unknown),
        ];
        for (at, item, expected) in tool {
            assert_eq!(surface(Part::Tool, item, at), Some(expected), "{at}");
        }
        let others = [
            (Part::Server, "/instructions", r#"{"instructions":"MARK"}"#, Surface::Instructions),
            (Part::Server, "/serverInfo/name", r#"{"serverInfo":{"name":"MARK"}}"#, Surface::ServerInfo),
            (Part::Server, "/serverInfo/icons/0/src", r#"{"serverInfo":{"icons":[{"src":"MARK"}]}}"#, Surface::Icon),
            (Part::Server, "/serverInfo/x/y", r#"{"serverInfo":{"x":{"y":"MARK"}}}"#, Surface::ServerInfo),
            (Part::Server, "/other", r#"{"other":"MARK"}"#, Surface::Unknown),
            (Part::Prompt, "/name", r#"{"name":"MARK"}"#, Surface::Name),
            (Part::Prompt, "/arguments/0/name", r#"{"arguments":[{"name":"MARK"}]}"#, Surface::Argument),
            (
                Part::Prompt,
                "/arguments/0/description",
                r#"{"arguments":[{"description":"MARK"}]}"#,
                Surface::Description,
            ),
            (Part::Prompt, "/arguments/0/x", r#"{"arguments":[{"x":"MARK"}]}"#, Surface::Unknown),
            (Part::Template, "/uriTemplate", r#"{"uriTemplate":"MARK"}"#, Surface::Uri),
            (Part::Template, "/mimeType", r#"{"mimeType":"MARK"}"#, Surface::Uri),
            (Part::Template, "/annotations/a", r#"{"annotations":{"a":"MARK"}}"#, Surface::Annotation),
        ];
        for (part, at, item, expected) in others {
            assert_eq!(surface(part, item, at), Some(expected), "{at}");
        }
        let seen: std::collections::HashSet<Surface> =
            tool.iter().map(|one| one.2).chain(others.iter().map(|one| one.3)).collect();
        assert!(Surface::ALL.iter().all(|surface| seen.contains(surface)), "a surface without its marker");
    }

    #[test]
    fn every_pointer_leads_back_to_its_string() {
        let item = r#"{"a/b":{"~":["x",{"":"y"}]},"inputSchema":{"properties":{"~1":{"enum":["z"]}}},"s":"t"}"#;
        let root = json::check(item.as_bytes()).unwrap().root;
        let mut count = 0;
        strings(Part::Tool, root, |text| {
            if text.surface != Surface::Property {
                assert_eq!(
                    root.pointer(text.at).and_then(|value| value.str()).as_deref(),
                    Some(text.text),
                    "{}",
                    text.at
                );
                count += 1;
            }
        });
        assert_eq!(count, 4);
    }

    #[test]
    fn the_deepest_string_is_seen() {
        let deep = format!("{}\"x\"{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(all(Part::Tool, &deep).len(), 1);
    }
}
