//! What would have to be exempted so that two sightings of one item are the same.

use super::exempt::{Exemption, MOST_VARYING, Varies, varies_harmlessly};
use super::item::{Kind, comparable};
use crate::json::{self, Value};

/// How far beyond the longest middle seen a part may vary, bytes.
const SLACK: usize = 8;

/// The narrowest exemptions that make two sightings of the same item equal: one for each value that differs.
///
/// A text whose differing middles could be a time zone, a version or a port is exempted there only
/// ([`Varies::Part`]), widened to whole words; everything else that differs wholly ([`Varies::Any`]). Nothing where the
/// two are the same to begin with, and nothing for a name: items of different names are different items.
pub fn propose(kind: Kind, a: Value<'_>, b: Value<'_>) -> Vec<Exemption> {
    let mut found = Vec::new();
    // What differs only in ways that a digest does not see needs no exemption.
    let (Ok(a), Ok(b)) = (comparable(kind, a, &[]), comparable(kind, b, &[])) else { return found };
    if let (Ok(a), Ok(b)) = (super::item::reread(&a), super::item::reread(&b)) {
        differ(a, b, "", &mut found);
    }
    let name = kind.key().map(|key| format!("/{key}"));
    if found.iter().any(|exemption| exemption.at.is_empty() || Some(&exemption.at) == name.as_ref()) {
        found.clear();
    }
    found
}

fn differ(a: Value<'_>, b: Value<'_>, at: &str, found: &mut Vec<Exemption>) {
    // Both are canonical: equal values are equal bytes.
    if a.raw() == b.raw() {
        return;
    }
    match (a.kind(), b.kind()) {
        (json::Kind::Object, json::Kind::Object) => {
            for (key, value) in a.members() {
                let at = format!("{at}/{}", token(&key.decode()));
                match b.get(&key.decode()) {
                    Some(other) => differ(value, other, &at, found),
                    None => found.push(any(at)),
                }
            }
            for (key, _) in b.members().filter(|(key, _)| a.get(&key.decode()).is_none()) {
                found.push(any(format!("{at}/{}", token(&key.decode()))));
            }
        }
        (json::Kind::Array, json::Kind::Array) if a.elements().count() == b.elements().count() => {
            for (index, (a, b)) in a.elements().zip(b.elements()).enumerate() {
                differ(a, b, &format!("{at}/{index}"), found);
            }
        }
        (json::Kind::String, json::Kind::String) => {
            let (a, b) = (a.str().unwrap_or_default(), b.str().unwrap_or_default());
            found.push(part(&a, &b, at).unwrap_or_else(|| any(at.to_owned())));
        }
        _ => found.push(any(at.to_owned())),
    }
}

/// A key as a token of a JSON pointer.
pub(super) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn any(at: String) -> Exemption {
    Exemption { at, rule: Varies::Any, reason: "differs from start to start".to_owned() }
}

/// An exemption of the middle in which two texts differ; `None` where that could hold a sentence.
fn part(a: &str, b: &str, at: &str) -> Option<Exemption> {
    // A word is cut nowhere: a time zone that differs in its last letters only is still all of a time zone.
    let in_word = |c: char| c.is_ascii_alphanumeric();
    let common: usize = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let prefix = a.get(..common)?.trim_end_matches(in_word);
    let (a, b) = (a.strip_prefix(prefix)?, b.strip_prefix(prefix)?);
    let pairs = a.chars().rev().zip(b.chars().rev());
    let common: usize = pairs.take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let suffix = a.get(a.len() - common..)?.trim_start_matches(in_word);
    let (a, b) = (a.strip_suffix(suffix)?, b.strip_suffix(suffix)?);
    let longest = a.len().max(b.len());
    if longest > MOST_VARYING || !varies_harmlessly(a, longest) || !varies_harmlessly(b, longest) {
        return None;
    }
    let rule = Varies::Part {
        prefix: prefix.to_owned(),
        suffix: suffix.to_owned(),
        max: (longest + SLACK).next_multiple_of(SLACK).min(MOST_VARYING),
    };
    Some(Exemption { at: at.to_owned(), rule, reason: "differs from start to start".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::canonical::Scratch;
    use crate::catalog::item::digest;
    use proptest::prelude::*;

    fn value(text: &str) -> Value<'_> {
        json::check(text.as_bytes()).unwrap().root
    }

    fn proposed(a: &str, b: &str) -> Vec<Exemption> {
        let found = propose(Kind::Tool, value(a), value(b));
        let of = |text| digest(Kind::Tool, value(text), &found, &mut Scratch::default()).unwrap();
        if !found.is_empty() {
            assert_eq!(of(a), of(b), "exactly what makes them equal: {found:?}");
        }
        found
    }

    #[test]
    fn a_time_zone_in_a_description() {
        let tool = |zone: &str| {
            format!(
                r#"{{"name":"now","inputSchema":{{"properties":{{"timezone":{{"description":"IANA name. Use '{zone}' as local timezone."}}}}}}}}"#
            )
        };
        let found = proposed(&tool("UTC"), &tool("Europe/Berlin"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, "/inputSchema/properties/timezone/description");
        let Varies::Part { prefix, suffix, max } = &found[0].rule else { panic!("{found:?}") };
        assert_eq!((prefix.as_str(), suffix.as_str()), ("IANA name. Use '", "' as local timezone."));
        assert!((13..64).contains(max));
        // Cut at words, so that another zone fits as well.
        let found = proposed(&tool("Europe/Berlin"), &tool("Europe/Bern"));
        let Varies::Part { prefix, .. } = &found[0].rule else { panic!("{found:?}") };
        assert!(prefix.ends_with("'Europe/"), "{prefix}");
    }

    #[test]
    fn sentences_and_structures_vary_wholly() {
        let at = |a: &str, b: &str| {
            let found = proposed(&format!(r#"{{"name":"a",{a}}}"#), &format!(r#"{{"name":"a",{b}}}"#));
            found.iter().map(|exemption| (exemption.at.clone(), exemption.rule.clone())).collect::<Vec<_>>()
        };
        assert_eq!(at(r#""d":"one two""#, r#""d":"three""#), [("/d".to_owned(), Varies::Any)]);
        assert_eq!(at(r#""_meta":{"x":1}"#, r#""title":"t""#).len(), 2);
        assert_eq!(at(r#""d":[1,2]"#, r#""d":[1,2,3]"#), [("/d".to_owned(), Varies::Any)]);
        assert_eq!(at(r#""d":[1,{"a/b~c":2}]"#, r#""d":[1,{"a/b~c":3}]"#), [("/d/1/a~1b~0c".to_owned(), Varies::Any)]);
        assert_eq!(at(r#""d":true"#, r#""d":"x""#), [("/d".to_owned(), Varies::Any)]);
    }

    #[test]
    fn nothing_for_what_a_digest_does_not_see() {
        assert_eq!(proposed(r#"{"name":"a","x":1.0}"#, r#"{"x":1,"name":"\u0061"}"#), []);
        assert_eq!(proposed(r#"{"name":"a","annotations":{"readOnlyHint":false}}"#, r#"{"name":"a"}"#), []);
        assert_eq!(proposed(r#"{"name":"a"}"#, r#"{"name":"b"}"#), [], "not the same item");
    }

    proptest! {
        #[test]
        fn two_texts_always_become_equal(a in "[a-c' é.]{0,12}", b in "[a-c' é.]{0,12}") {
            prop_assume!(a != b);
            let tool = |text: &str| format!(r#"{{"name":"x","d":"{text}"}}"#);
            prop_assert_eq!(proposed(&tool(&a), &tool(&b)).len(), 1);
        }
    }
}
