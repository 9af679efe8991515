//! Compares two sightings of an item, member by member.

use super::edit::{Edit, EditKind, Scope};
use super::item::{Kind, reread};
use super::propose::token;
use super::schema;
use super::visible::cut;
use crate::json::{self, Value};
use std::collections::{BTreeMap, BTreeSet};

/// More differences than this in one item are told by its members only, each with its whole value.
const MOST_EDITS: usize = 1000;
/// A pointer that grew longer than this is not extended: what differs below is one difference.
const LONGEST_POINTER: usize = 1024;
/// Keys longer than this are shortened in pointers.
const LONGEST_KEY: usize = 200;

/// How closely two items are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Down to what differs.
    Fine,
    /// By their members, each with its whole value.
    Coarse,
}

/// What differs between two items in the form that digests are made of. Never empty when the two are not equal.
pub(super) fn edits(kind: Kind, before: &[u8], after: &[u8], detail: Detail) -> Vec<Edit> {
    let (Ok(a), Ok(b)) = (reread(before), reread(after)) else { return Vec::new() };
    let mut edits = Edits::default();
    for (key, a, b) in members(a, b) {
        let at = format!("/{}", shortened(&key));
        edits.pair(&at, &Scope::Item, &key, a, b, |edits| {
            if detail == Detail::Fine {
                member(edits, kind, &at, &key, a, b);
            }
        });
    }
    if detail == Detail::Fine && edits.found.len() >= MOST_EDITS {
        return self::edits(kind, before, after, Detail::Coarse);
    }
    edits.found
}

/// The differences in one member of an item.
fn member(edits: &mut Edits, kind: Kind, at: &str, key: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
    let object = |value: Option<Value<'_>>| value.is_none_or(|value| value.kind() == json::Kind::Object);
    match (kind, key) {
        (_, "icons") => edits.push(at, &Scope::Item, key, EditKind::IconChanged, a, b),
        (_, "_meta") => leaves(edits, at, &Scope::Item, key, a, b, Some(EditKind::MetaChanged)),
        (Kind::Tool, "inputSchema") if object(a) && object(b) => schema::compare(edits, at, schema::Side::Input, a, b),
        (Kind::Tool, "outputSchema") if object(a) && object(b) => {
            schema::compare(edits, at, schema::Side::Output, a, b)
        }
        (Kind::Tool, "annotations") if object(a) && object(b) => annotations(edits, at, a, b),
        (Kind::Prompt, "arguments") => arguments(edits, at, a, b),
        _ => leaves(edits, at, &Scope::Item, key, a, b, None),
    }
}

/// Differences that are being collected.
#[derive(Debug, Default)]
pub(super) struct Edits {
    found: Vec<Edit>,
}

impl Edits {
    pub(super) fn push(
        &mut self,
        at: &str,
        scope: &Scope,
        field: &str,
        kind: EditKind,
        a: Option<Value<'_>>,
        b: Option<Value<'_>>,
    ) {
        let own = |value: Option<Value<'_>>| value.map(|value| value.raw().to_vec());
        let (before, after) = (own(a), own(b));
        let severity = kind.severity(after.as_deref());
        let (at, field) = (at.to_owned(), shortened(field));
        self.found.push(Edit { at, scope: scope.clone(), field, kind, severity, before, after });
    }

    /// Compares two values by `compare`, unless they are equal or there are enough differences already. What it does not
    /// tell apart is told as a whole.
    pub(super) fn pair(
        &mut self,
        at: &str,
        scope: &Scope,
        field: &str,
        a: Option<Value<'_>>,
        b: Option<Value<'_>>,
        compare: impl FnOnce(&mut Edits),
    ) {
        if a.map(Value::raw) == b.map(Value::raw) || self.found.len() >= MOST_EDITS {
            return;
        }
        let before = self.found.len();
        if at.len() <= LONGEST_POINTER {
            compare(self);
        }
        if self.found.len() == before {
            let kind = match (a, b) {
                (None, _) => EditKind::FieldAdded,
                (_, None) => EditKind::FieldRemoved,
                _ => EditKind::FieldChanged,
            };
            self.push(at, scope, field, kind, a, b);
        }
    }
}

/// Compares down to the leaves; `fixed` is what all differences are called, where that is known.
pub(super) fn leaves(
    edits: &mut Edits,
    at: &str,
    scope: &Scope,
    field: &str,
    a: Option<Value<'_>>,
    b: Option<Value<'_>>,
    fixed: Option<EditKind>,
) {
    let Some((a, b)) = a.zip(b) else {
        let kind = if a.is_none() { EditKind::FieldAdded } else { EditKind::FieldRemoved };
        return edits.push(at, scope, field, fixed.unwrap_or(kind), a, b);
    };
    match (a.kind(), b.kind()) {
        (json::Kind::Object, json::Kind::Object) => {
            for (key, a, b) in members(a, b) {
                let at = format!("{at}/{}", shortened(&key));
                edits.pair(&at, scope, &key, a, b, |edits| leaves(edits, &at, scope, &key, a, b, fixed));
            }
        }
        (json::Kind::Array, json::Kind::Array) if a.elements().count() == b.elements().count() => {
            if raws(a) == raws(b) {
                return edits.push(at, scope, field, fixed.unwrap_or(EditKind::Reordered), Some(a), Some(b));
            }
            for (index, (a, b)) in a.elements().zip(b.elements()).enumerate() {
                let (at, index) = (format!("{at}/{index}"), index.to_string());
                let (a, b) = (Some(a), Some(b));
                edits.pair(&at, scope, &index, a, b, |edits| leaves(edits, &at, scope, &index, a, b, fixed));
            }
        }
        (json::Kind::String, json::Kind::String) => {
            edits.push(at, scope, field, fixed.unwrap_or(EditKind::TextEdited), Some(a), Some(b));
        }
        _ => edits.push(at, scope, field, fixed.unwrap_or(EditKind::FieldChanged), Some(a), Some(b)),
    }
}

/// The annotations that claim harmlessness, with the value that claims it. Absent, none of them does.
const CLAIMS: [(&str, &[u8]); 4] = [
    ("readOnlyHint", b"true"),
    ("destructiveHint", b"false"),
    ("idempotentHint", b"true"),
    ("openWorldHint", b"false"),
];

fn annotations(edits: &mut Edits, at: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
    for (key, a, b) in optional_members(a, b) {
        let at = format!("{at}/{}", shortened(&key));
        let claim = CLAIMS.iter().find(|(name, _)| *name == key).map(|(_, claim)| *claim);
        let claims = |value: Option<Value<'_>>| value.map(Value::raw) == claim;
        edits.pair(&at, &Scope::Item, &key, a, b, |edits| match (claim, claims(a), claims(b)) {
            (Some(_), true, false) => edits.push(&at, &Scope::Item, &key, EditKind::HintWeakened, a, b),
            (Some(_), false, true) => edits.push(&at, &Scope::Item, &key, EditKind::HintStrengthened, a, b),
            _ => leaves(edits, &at, &Scope::Item, &key, a, b, None),
        });
    }
}

/// A prompt's arguments, matched by their names.
fn arguments(edits: &mut Edits, at: &str, a: Option<Value<'_>>, b: Option<Value<'_>>) {
    let (Some(before), Some(after)) = (by_name(a), by_name(b)) else {
        return leaves(edits, at, &Scope::Item, "arguments", a, b, None);
    };
    let required = |value: Value<'_>| value.get("required").and_then(Value::bool) == Some(true);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let scope = Scope::Argument(shortened(name));
        let (a, b) = (before.get(name), after.get(name));
        let index = a.or(b).map_or(0, |(index, _)| *index);
        let at = format!("{at}/{index}");
        let (a, b) = (a.map(|(_, value)| *value), b.map(|(_, value)| *value));
        match (a, b) {
            (None, Some(new)) => {
                edits.push(&at, &scope, name, EditKind::ArgumentAdded { required: required(new) }, a, b);
            }
            (Some(_), None) => edits.push(&at, &scope, name, EditKind::ArgumentRemoved, a, b),
            (Some(old), Some(new)) => {
                for (key, a, b) in members(old, new) {
                    let at = format!("{at}/{}", shortened(&key));
                    edits.pair(&at, &scope, &key, a, b, |edits| {
                        if key == "required" && required(old) != required(new) {
                            let kind = EditKind::RequiredChanged { required: required(new) };
                            return edits.push(&at, &scope, &key, kind, a, b);
                        }
                        leaves(edits, &at, &scope, &key, a, b, None);
                    });
                }
            }
            (None, None) => {}
        }
    }
    if a.zip(b).is_some_and(|(a, b)| raws(a) == raws(b)) {
        edits.push(at, &Scope::Item, "arguments", EditKind::Reordered, a, b);
    }
}

/// A list's objects by their names, with their places; `None` when it is no list of objects with different names.
fn by_name(list: Option<Value<'_>>) -> Option<BTreeMap<String, (usize, Value<'_>)>> {
    let mut named = BTreeMap::new();
    let Some(list) = list else { return Some(named) };
    if list.kind() != json::Kind::Array {
        return None;
    }
    for (index, element) in list.elements().enumerate() {
        let name = element.get("name").and_then(Value::str)?.into_owned();
        if named.insert(name, (index, element)).is_some() {
            return None;
        }
    }
    Some(named)
}

/// The texts of a list's elements, sorted.
pub(super) fn raws(list: Value<'_>) -> Vec<&[u8]> {
    let mut raws: Vec<&[u8]> = list.elements().map(Value::raw).collect();
    raws.sort_unstable();
    raws
}

/// The members of two objects by key; of anything else, none.
pub(super) fn members<'a>(a: Value<'a>, b: Value<'a>) -> Vec<(String, Option<Value<'a>>, Option<Value<'a>>)> {
    optional_members(Some(a), Some(b))
}

/// [`members`] of objects that may be absent.
pub(super) fn optional_members<'a>(
    a: Option<Value<'a>>,
    b: Option<Value<'a>>,
) -> Vec<(String, Option<Value<'a>>, Option<Value<'a>>)> {
    let mut members: BTreeMap<String, (Option<Value<'a>>, Option<Value<'a>>)> = BTreeMap::new();
    for (key, value) in a.iter().flat_map(|a| a.members()) {
        members.entry(key.decode().into_owned()).or_default().0 = Some(value);
    }
    for (key, value) in b.iter().flat_map(|b| b.members()) {
        members.entry(key.decode().into_owned()).or_default().1 = Some(value);
    }
    members.into_iter().map(|(key, (a, b))| (key, a, b)).collect()
}

/// A key as a token of a pointer, shortened where it is too long to be repeated for everything below it.
pub(super) fn shortened(key: &str) -> String {
    if key.len() <= LONGEST_KEY { token(key) } else { token(&cut(key, LONGEST_KEY / 4)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Severity;
    use crate::catalog::item::comparable;
    use crate::catalog::testing::{items, value};
    use proptest::prelude::*;

    fn compared(kind: Kind, a: &str, b: &str) -> Vec<Edit> {
        let form = |text| comparable(kind, value(text), &[]).unwrap();
        edits(kind, &form(a), &form(b), Detail::Fine)
    }

    /// Kind and place of each edit.
    fn told(kind: Kind, a: &str, b: &str) -> Vec<String> {
        compared(kind, a, b).iter().map(|edit| format!("{} {}", edit.kind.word(), edit.at)).collect()
    }

    #[test]
    fn texts_and_unknown_members() {
        let a = r#"{"name":"a","description":"x","x":{"y":[1,{"z":true}]},"gone":1}"#;
        let b = r#"{"name":"a","description":"y","x":{"y":[1,{"z":false}]},"new/one":"text"}"#;
        assert_eq!(
            told(Kind::Tool, a, b),
            ["text-edited /description", "field-removed /gone", "field-added /new~1one", "field-changed /x/y/1/z"]
        );
        let edits = compared(Kind::Tool, a, b);
        let grave: Vec<bool> = edits.iter().map(|edit| edit.severity == Severity::Danger).collect();
        assert_eq!(grave, [true, false, true, false]);
        assert_eq!(edits[2].after.as_deref(), Some(&b"\"text\""[..]));
    }

    #[test]
    fn hints() {
        let tool = |hints: &str| format!(r#"{{"name":"a","annotations":{{{hints}}}}}"#);
        let told = |a: &str, b: &str| told(Kind::Tool, &tool(a), &tool(b));
        let at = |what: &str, hint: &str| vec![format!("{what} /annotations/{hint}")];
        assert_eq!(
            told(r#""readOnlyHint":true"#, r#""readOnlyHint":false"#),
            ["field-removed /annotations"; 0]
                .into_iter()
                .map(str::to_owned)
                .chain(at("hint-weakened", "readOnlyHint"))
                .collect::<Vec<_>>()
        );
        assert_eq!(told("", r#""readOnlyHint":true"#), at("hint-strengthened", "readOnlyHint"));
        assert_eq!(told(r#""destructiveHint":false"#, ""), at("hint-weakened", "destructiveHint"));
        assert_eq!(
            told(r#""openWorldHint":true"#, r#""openWorldHint":false"#),
            at("hint-strengthened", "openWorldHint")
        );
        assert_eq!(told(r#""idempotentHint":true"#, r#""idempotentHint":"x""#), at("hint-weakened", "idempotentHint"));
        assert_eq!(told(r#""title":"a""#, r#""title":"b""#), at("text-edited", "title"));
        assert_eq!(told("", r#""readOnlyHint":false"#), [""; 0], "what a default says is no difference");
    }

    #[test]
    fn arguments_of_prompts() {
        let prompt = |arguments: &str| format!(r#"{{"name":"a","arguments":{arguments}}}"#);
        let told = |a: &str, b: &str| told(Kind::Prompt, &prompt(a), &prompt(b));
        let two = r#"[{"name":"x","description":"d"},{"name":"y"}]"#;
        assert_eq!(told(two, r#"[{"name":"y"},{"name":"x","description":"d"}]"#), ["reordered /arguments"]);
        assert_eq!(
            told(two, r#"[{"name":"x","description":"e"},{"name":"y","required":true}]"#),
            ["text-edited /arguments/0/description", "required-changed /arguments/1/required",]
        );
        assert_eq!(
            told(two, r#"[{"name":"x","description":"d"},{"name":"z"}]"#),
            ["argument-removed /arguments/1", "argument-added /arguments/1",]
        );
        assert_eq!(told("[]", r#"[{"name":"x","required":true}]"#), ["argument-added /arguments/0"]);
        assert_eq!(told(two, r#"[{"name":"x"},{"name":"x"}]"#).len(), 2, "same names are compared by place");
        assert_eq!(told(two, "7"), ["field-changed /arguments"]);
    }

    #[test]
    fn hostile_shapes_are_told_of_coarsely_but_wholly() {
        // Many leaves below a long chain of long keys.
        let key = "k".repeat(300);
        let open: String = (0..20).map(|_| format!("{{\"{key}\":")).collect();
        let leaves = |value: u8| (0..3000).map(|leaf| format!("\"l{leaf}\":{value}")).collect::<Vec<_>>().join(",");
        let tool = |value| format!(r#"{{"name":"a","x":{open}{{{}}}{}}}"#, leaves(value), "}".repeat(20));
        let edits = compared(Kind::Tool, &tool(1), &tool(2));
        assert_eq!(edits.len(), 1);
        assert!(edits[0].at.len() < 2000 && edits[0].after.as_ref().is_some_and(|after| after.len() > 20_000));
        // As many at the top.
        let tool = |value| format!(r#"{{"name":"a","x":{{{}}},"y":{{{}}}}}"#, leaves(value), leaves(value));
        assert_eq!(told(Kind::Tool, &tool(1), &tool(2)), ["field-changed /x", "field-changed /y"]);
    }

    proptest! {
        #[test]
        fn a_difference_is_told_and_nothing_else(
            kind in prop::sample::select(Kind::ALL.to_vec()), a in items(Kind::Tool), which: usize, how: u8,
        ) {
            let mut b = a.clone();
            b.change(which, how);
            let (a, b) = (a.spell(0), b.spell(0));
            let form = |text| comparable(kind, value(text), &[]);
            if let (Ok(a), Ok(b)) = (form(&a), form(&b)) {
                let edits = edits(kind, &a, &b, Detail::Fine);
                prop_assert_eq!(edits.is_empty(), a == b);
                for edit in edits {
                    // Unless keys were shortened, an edit is where it says.
                    for (whole, part) in [(&a, &edit.before), (&b, &edit.after)] {
                        if let Some(part) = part && edit.kind != EditKind::Reordered && !edit.at.contains("/arguments/") {
                            prop_assert_eq!(reread(whole).unwrap().pointer(&edit.at).map(Value::raw), Some(part.as_slice()));
                        }
                    }
                }
            }
        }
    }
}
