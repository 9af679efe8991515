//! Differences between two JSON Schemas, told by what they let through.

use super::edit::{EditKind, Scope};
use super::edits::{Edits, leaves, optional_members, raws, shortened};
use crate::json::{self, Value};
use std::collections::BTreeSet;

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A tool's arguments.
    Input,
    /// Its structured result.
    Output,
}

/// Limits that let more through the larger they are.
const AT_MOST: [&str; 6] = ["maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties", "maxContains"];
/// Limits that let more through the smaller they are.
const AT_LEAST: [&str; 6] = ["minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties", "minContains"];
/// Keywords that let everything through when absent, and otherwise cannot be ordered.
const CONDITIONS: [&str; 8] =
    ["pattern", "format", "const", "multipleOf", "contentEncoding", "contentMediaType", "dependentRequired", "$ref"];
/// Keywords that hold one schema, which lets everything through when absent.
const ONE: [&str; 12] = [
    "items",
    "additionalProperties",
    "additionalItems",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];
/// Keywords that hold schemas by name.
const NAMED: [&str; 4] = ["$defs", "definitions", "patternProperties", "dependentSchemas"];
/// Keywords that hold a list of schemas.
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];

/// Collects the differences between two schemas, either of which may be absent.
pub(super) fn compare(edits: &mut Edits, at: &str, side: Side, a: Option<Value<'_>>, b: Option<Value<'_>>) {
    Walk { side }.schema(edits, at, "", a, b);
}

struct Walk {
    side: Side,
}

impl Walk {
    /// Whose the differences at a path are.
    fn scope(&self, path: &str) -> Scope {
        match (self.side, path) {
            (Side::Input, "") => Scope::Input,
            (Side::Input, path) => Scope::Parameter(path.to_owned()),
            (Side::Output, "") => Scope::Output,
            (Side::Output, path) => Scope::Result(path.to_owned()),
        }
    }

    fn schema(&self, edits: &mut Edits, at: &str, path: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
        let scope = self.scope(path);
        for (key, old, new) in optional_members(a, b) {
            let at = format!("{at}/{}", shortened(&key));
            if key == "required" && only_came_or_went(a, b) {
                continue;
            }
            edits.pair(&at, &scope, &key, old, new, |edits| match key.as_str() {
                "properties" => self.properties(edits, &at, path, b, (old, new)),
                "required" => self.required(edits, &at, path, (a, b), (old, new)),
                key => self.keyword(edits, &at, path, key, old, new),
            });
        }
    }

    fn keyword(&self, edits: &mut Edits, at: &str, path: &str, key: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
        let scope = self.scope(path);
        let objects = [a, b].iter().flatten().all(|value| value.kind() == json::Kind::Object);
        let both = a.is_some() && b.is_some();
        match key {
            _ if ONE.contains(&key) && objects && both => {
                let below = if key == "items" { format!("{path}[]") } else { format!("{path}<{key}>") };
                self.schema(edits, at, &below, a, b);
            }
            _ if NAMED.contains(&key) && objects => {
                for (name, a, b) in optional_members(a, b) {
                    let at = format!("{at}/{}", shortened(&name));
                    let below = format!("{path}<{}>", shortened(&name));
                    edits.pair(&at, &scope, &name, a, b, |edits| {
                        if a.is_some() && b.is_some() {
                            self.schema(edits, &at, &below, a, b);
                        }
                    });
                }
            }
            _ if LISTS.contains(&key) && both => self.list(edits, at, path, key, a, b),
            "type" => edits.push(at, &scope, key, EditKind::TypeChanged, a, b),
            "default" => edits.push(at, &scope, key, EditKind::DefaultChanged, a, b),
            _ => match constraint(key, a, b) {
                Some(kind) => edits.push(at, &scope, key, kind, a, b),
                None => leaves(edits, at, &scope, key, a, b, None),
            },
        }
    }

    fn properties(
        &self,
        edits: &mut Edits,
        at: &str,
        path: &str,
        schema: Option<Value<'_>>,
        (old, new): (Option<Value<'_>>, Option<Value<'_>>),
    ) {
        if [old, new].iter().flatten().any(|value| value.kind() != json::Kind::Object) {
            return;
        }
        let required = names(schema);
        for (name, old, new) in optional_members(old, new) {
            let at = format!("{at}/{}", shortened(&name));
            let below = if path.is_empty() { shortened(&name) } else { format!("{path}.{}", shortened(&name)) };
            let scope = self.scope(&below);
            edits.pair(&at, &scope, &name, old, new, |edits| match (old, new) {
                (None, _) => {
                    let kind = EditKind::ParameterAdded { required: required.contains(&name) };
                    edits.push(&at, &scope, &name, kind, old, new);
                }
                (_, None) => edits.push(&at, &scope, &name, EditKind::ParameterRemoved, old, new),
                _ => self.schema(edits, &at, &below, old, new),
            });
        }
    }

    /// Which parameters have to be given. Those that came or went are told of as such.
    fn required(
        &self,
        edits: &mut Edits,
        at: &str,
        path: &str,
        (a, b): (Option<Value<'_>>, Option<Value<'_>>),
        (old, new): (Option<Value<'_>>, Option<Value<'_>>),
    ) {
        let (before, after) = (names(a), names(b));
        if before == after {
            if let Some((old, new)) = old.zip(new).filter(|(old, new)| raws(*old) == raws(*new)) {
                edits.push(at, &self.scope(path), "required", EditKind::Reordered, Some(old), Some(new));
            }
            return;
        }
        for name in before.symmetric_difference(&after) {
            if has(a, name) != has(b, name) {
                continue;
            }
            let below = if path.is_empty() { shortened(name) } else { format!("{path}.{}", shortened(name)) };
            let kind = EditKind::RequiredChanged { required: after.contains(name) };
            edits.push(at, &self.scope(&below), "required", kind, None, None);
        }
    }

    fn list(&self, edits: &mut Edits, at: &str, path: &str, key: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
        let Some((a, b)) = a.zip(b) else { return };
        if a.kind() != json::Kind::Array || b.kind() != json::Kind::Array {
            return;
        }
        let scope = self.scope(path);
        if a.elements().count() == b.elements().count() && raws(a) != raws(b) {
            for (index, (a, b)) in a.elements().zip(b.elements()).enumerate() {
                let at = format!("{at}/{index}");
                let below = format!("{path}<{key} {index}>");
                let (a, b) = (Some(a), Some(b));
                edits.pair(&at, &scope, key, a, b, |edits| self.schema(edits, &at, &below, a, b));
            }
            return;
        }
        let alternatives = key == "anyOf" || key == "oneOf";
        let kind = match (widened(a, b), widened(b, a)) {
            (true, true) => EditKind::Reordered,
            (true, false) if alternatives => EditKind::ConstraintLoosened,
            (false, true) if alternatives => EditKind::ConstraintTightened,
            (true, false) if key == "allOf" => EditKind::ConstraintTightened,
            (false, true) if key == "allOf" => EditKind::ConstraintLoosened,
            _ => EditKind::ConstraintChanged,
        };
        edits.push(at, &scope, key, kind, Some(a), Some(b));
    }
}

/// Whether a keyword lets more through than before; `None` when it is none that decides what passes.
fn constraint(key: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) -> Option<EditKind> {
    let number = |value: Option<Value<'_>>| {
        let value = value.filter(|value| value.kind() == json::Kind::Number)?;
        std::str::from_utf8(value.raw()).ok()?.parse::<f64>().ok()
    };
    let absent = match (a, b) {
        (None, _) => Some(EditKind::ConstraintTightened),
        (_, None) => Some(EditKind::ConstraintLoosened),
        _ => None,
    };
    let both = a.zip(b);
    let ordered = |looser: bool| if looser { EditKind::ConstraintLoosened } else { EditKind::ConstraintTightened };
    let (upper, lower) = (AT_MOST.contains(&key), AT_LEAST.contains(&key));
    if upper || lower {
        let numbers = number(a).zip(number(b)).map(|(a, b)| ordered(if upper { b > a } else { b < a }));
        return Some(absent.or(numbers).unwrap_or(EditKind::ConstraintChanged));
    }
    if CONDITIONS.contains(&key) {
        return Some(absent.unwrap_or(EditKind::ConstraintChanged));
    }
    if key == "enum" {
        return Some(absent.unwrap_or_else(|| match both.map(|(a, b)| (widened(a, b), widened(b, a))) {
            Some((true, true)) => EditKind::Reordered,
            Some((true, false)) => EditKind::ConstraintLoosened,
            Some((false, true)) => EditKind::ConstraintTightened,
            _ => EditKind::ConstraintChanged,
        }));
    }
    if key == "uniqueItems" {
        let unique = |value: Option<Value<'_>>| value.and_then(Value::bool) == Some(true);
        return (unique(a) != unique(b)).then(|| ordered(unique(a)));
    }
    if ONE.contains(&key) {
        // What a schema that is a truth value or absent lets through: nothing, or everything.
        let all = |value: Option<Value<'_>>| match value {
            None => Some(true),
            Some(value) => value.bool(),
        };
        let turned = |kind| match (key, kind) {
            ("not", EditKind::ConstraintLoosened) => EditKind::ConstraintTightened,
            ("not", EditKind::ConstraintTightened) => EditKind::ConstraintLoosened,
            ("if" | "then" | "else", _) => EditKind::ConstraintChanged,
            (_, kind) => kind,
        };
        return match (all(a), all(b)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(true), _) | (_, Some(false)) => Some(turned(EditKind::ConstraintTightened)),
            (_, Some(true)) | (Some(false), _) => Some(turned(EditKind::ConstraintLoosened)),
            (None, None) => None,
        };
    }
    None
}

/// Whether all elements of `a` are in `b`, in whatever order.
fn widened(a: Value<'_>, b: Value<'_>) -> bool {
    let has: BTreeSet<&[u8]> = b.elements().map(Value::raw).collect();
    a.kind() == json::Kind::Array
        && b.kind() == json::Kind::Array
        && a.elements().all(|value| has.contains(value.raw()))
}

/// Whether the difference in what is required is one in what there is, which is told already: each name that is in one
/// `required` only is a parameter that came or went, and there is one.
fn only_came_or_went(a: Option<Value<'_>>, b: Option<Value<'_>>) -> bool {
    let (before, after) = (names(a), names(b));
    before != after && before.symmetric_difference(&after).all(|name| has(a, name) != has(b, name))
}

/// Whether a schema has a property.
fn has(schema: Option<Value<'_>>, name: &str) -> bool {
    let properties = schema.and_then(|schema| schema.get("properties"));
    properties.is_some_and(|properties| properties.get(name).is_some())
}

/// The names in a schema's `required`.
fn names(schema: Option<Value<'_>>) -> BTreeSet<String> {
    let list = schema.and_then(|schema| schema.get("required"));
    list.iter().flat_map(|list| list.elements()).filter_map(Value::str).map(|name| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::edits::{Detail, edits};
    use crate::catalog::item::comparable;
    use crate::catalog::testing::value;
    use crate::catalog::{Edit, EditKind, Kind, Scope, Severity};

    fn compared(a: &str, b: &str) -> Vec<Edit> {
        let form = |schema: &str| {
            comparable(Kind::Tool, value(&format!(r#"{{"name":"a","inputSchema":{schema}}}"#)), &[]).unwrap()
        };
        edits(Kind::Tool, &form(a), &form(b), Detail::Fine)
    }

    fn told(a: &str, b: &str) -> Vec<String> {
        let whose = |scope: &Scope| match scope {
            Scope::Parameter(path) | Scope::Result(path) | Scope::Argument(path) => path.clone(),
            Scope::Input => "input".to_owned(),
            Scope::Output => "output".to_owned(),
            Scope::Item => "item".to_owned(),
        };
        compared(a, b)
            .iter()
            .map(|edit| format!("{}: {} {}", whose(&edit.scope), edit.field, edit.kind.word()))
            .collect()
    }

    /// One parameter `p`, with the given keywords.
    fn parameter(a: &str, b: &str) -> Vec<String> {
        let schema = |keywords: &str| format!(r#"{{"type":"object","properties":{{"p":{{{keywords}}}}}}}"#);
        told(&schema(a), &schema(b))
    }

    #[test]
    fn parameters_come_and_go() {
        let a = r#"{"properties":{"old":{},"p":{}},"required":["old"]}"#;
        let b = r#"{"properties":{"new":{"description":"put all you know here"},"p":{}},"required":["new"]}"#;
        assert_eq!(told(a, b), ["new: new parameter-added", "old: old parameter-removed"]);
        let added = compared(a, b).remove(0);
        assert_eq!((added.kind, added.severity), (EditKind::ParameterAdded { required: true }, Severity::Danger));
        assert_eq!(told("{}", r#"{"properties":{"p":{}}}"#), ["p: p parameter-added"]);
    }

    #[test]
    fn what_is_required() {
        let schema = |required: &str| format!(r#"{{"properties":{{"a":{{}},"b":{{}}}},"required":{required}}}"#);
        let told = |a: &str, b: &str| told(&schema(a), &schema(b));
        assert_eq!(told(r#"["a"]"#, r#"["b"]"#), ["a: required required-changed", "b: required required-changed"]);
        assert_eq!(told(r#"["a","b"]"#, r#"["b","a"]"#), ["input: required reordered"]);
        assert_eq!(told(r#"["a"]"#, r#"["a","none"]"#), ["none: required required-changed"]);
        assert_eq!(told(r#"["a"]"#, "7").len(), 1);
    }

    #[test]
    fn limits() {
        for (a, b, kind) in [
            ("\"maxLength\":100", "", "loosened"),
            ("\"maxLength\":100", "\"maxLength\":4000", "loosened"),
            ("\"maxLength\":100", "\"maxLength\":99", "tightened"),
            ("\"minimum\":1", "\"minimum\":-5.5", "loosened"),
            ("\"minimum\":1", "\"minimum\":2", "tightened"),
            ("", "\"maximum\":2", "tightened"),
            ("\"exclusiveMaximum\":1", "\"exclusiveMaximum\":true", "changed"),
            ("\"enum\":[1,2]", "\"enum\":[2,1,3]", "loosened"),
            ("\"enum\":[1,2]", "\"enum\":[2]", "tightened"),
            ("\"enum\":[1,2]", "\"enum\":[1,3]", "changed"),
            ("\"enum\":[1,2]", "", "loosened"),
            ("\"pattern\":\"^a$\"", "", "loosened"),
            ("\"pattern\":\"^a$\"", "\"pattern\":\".*\"", "changed"),
            ("\"const\":1", "\"const\":2", "changed"),
            ("\"uniqueItems\":true", "\"uniqueItems\":false", "loosened"),
            ("\"additionalProperties\":false", "", "loosened"),
            ("\"additionalProperties\":false", "\"additionalProperties\":true", "loosened"),
            ("", "\"additionalProperties\":false", "tightened"),
            ("\"additionalProperties\":true", "\"additionalProperties\":{\"type\":\"string\"}", "tightened"),
            ("\"additionalProperties\":{\"type\":\"string\"}", "\"additionalProperties\":true", "loosened"),
            ("\"not\":{\"type\":\"string\"}", "\"not\":true", "tightened"),
            ("\"anyOf\":[{\"type\":\"string\"}]", "\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]", "loosened"),
            ("\"allOf\":[{\"type\":\"string\"}]", "\"allOf\":[{\"type\":\"string\"},{\"x\":1}]", "tightened"),
        ] {
            let told = parameter(a, b);
            assert_eq!(told.len(), 1, "{a} {b}: {told:?}");
            assert!(
                told[0].starts_with("p: ") && told[0].ends_with(&format!("constraint-{kind}")),
                "{a} {b}: {told:?}"
            );
        }
        assert_eq!(parameter("\"enum\":[1,2]", "\"enum\":[2,1]"), ["p: enum reordered"]);
        assert_eq!(parameter("\"type\":\"string\"", "\"type\":[\"string\",\"null\"]"), ["p: type type-changed"]);
        assert_eq!(parameter("\"default\":1", "\"default\":2"), ["p: default default-changed"]);
        assert_eq!(parameter("\"description\":\"a\"", "\"description\":\"b\""), ["p: description text-edited"]);
        assert_eq!(parameter("\"examples\":[\"a\"]", "\"examples\":[\"b\"]"), ["p: 0 text-edited"]);
    }

    #[test]
    fn below_parameters() {
        let nest = |inner: &str| format!(r#""items":{{"properties":{{"q":{{{inner}}}}}}}"#);
        assert_eq!(parameter(&nest("\"maxLength\":1"), &nest("")), ["p[].q: maxLength constraint-loosened"]);
        let any = |inner: &str| format!(r#""anyOf":[{{"type":"null"}},{{{inner}}}]"#);
        assert_eq!(
            parameter(&any("\"description\":\"a\""), &any("\"description\":\"b\"")),
            ["p<anyOf 1>: description text-edited"]
        );
        let defs = |inner: &str| format!(r#"{{"$defs":{{"D":{{{inner}}}}}}}"#);
        assert_eq!(told(&defs("\"maximum\":1"), &defs("\"maximum\":2")), ["<D>: maximum constraint-loosened"]);
        assert_eq!(told(&defs(""), r#"{"$defs":{"D":{},"E":{"description":"x"}}}"#), ["input: E field-added"]);
    }

    #[test]
    fn schemas_that_are_none() {
        for (a, b) in [("{}", "true"), ("7", "\"x\""), ("[]", "{}"), (r#"{"properties":[]}"#, r#"{"properties":{}}"#)] {
            assert!(!compared(a, b).is_empty(), "{a} {b}");
        }
        assert_eq!(told(r#"{"properties":{"p":true}}"#, r#"{"properties":{"p":false}}"#), ["p: p field-changed"]);
    }
}
