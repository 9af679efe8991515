//! Lists of a stranger's: pinned, compared with one another, told apart in words.
//!
//! An input is one list of items or two with a zero byte between them; its last byte says of which kind they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::catalog::{
    Approval, Approved, Catalog, Comparison, Digest, Drift, Entry, Identity, Item, Judgement, Kind, Lock, What, canonical,
    propose,
};
use mcpjail::json::{self, Value};
use std::collections::BTreeMap;
use std::path::Path;

fuzz_target!(|input: &[u8]| {
    let Some((kind, texts)) = input.split_last() else { return };
    let kind = Kind::ALL[usize::from(kind % 4)];
    let mut texts = texts.splitn(2, |byte| *byte == 0);
    let before = texts.next().and_then(|text| json::check(text).ok()).map(|checked| checked.root);
    let after = texts.next().and_then(|text| json::check(text).ok()).map(|checked| checked.root);
    for value in before.iter().chain(&after) {
        form(*value);
    }
    if let Some(before) = before {
        walk(kind, before, after.unwrap_or(before));
    }
});

/// The canonical form is JSON with the same meaning, and its own canonical form.
fn form(value: Value<'_>) {
    let mut once = Vec::new();
    if canonical(value, &mut once).is_err() {
        assert!(once.is_empty());
        return;
    }
    let again = json::check(&once).expect("a canonical form is JSON").root;
    let mut twice = Vec::new();
    canonical(again, &mut twice).expect("a canonical form has one");
    assert_eq!(once, twice);
    let tree = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("what is checked is JSON");
    same(&tree(value.raw()), &tree(&once));
}

/// Equal but for the sign of zero and whether a whole number is written as one.
fn same(a: &serde_json::Value, b: &serde_json::Value) {
    use serde_json::Value as Tree;
    match (a, b) {
        (Tree::Number(a), Tree::Number(b)) => assert_eq!(a.as_f64(), b.as_f64()),
        (Tree::Array(a), Tree::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| same(a, b));
        }
        (Tree::Object(a), Tree::Object(b)) => {
            assert!(a.keys().eq(b.keys()));
            a.values().zip(b.values()).for_each(|(a, b)| same(a, b));
        }
        _ => assert_eq!(a, b),
    }
}

/// All items of a list, if it is one that can be pinned.
fn items(kind: Kind, list: Value<'_>) -> Option<BTreeMap<String, (Item, Digest)>> {
    let mut items = BTreeMap::new();
    for element in list.elements() {
        let item = Item::new(kind, element).ok()?;
        let digest = item.digest(&[]).expect("an item has a digest");
        if items.insert(item.name.clone(), (item, digest)).is_some() {
            return None;
        }
    }
    (list.kind() == json::Kind::Array).then_some(items)
}

fn walk(kind: Kind, before: Value<'_>, after: Value<'_>) {
    let mut catalog = Catalog::default();
    let good = before.elements().try_for_each(|element| catalog.add(kind, element)).is_ok();
    let Some(old) = items(kind, before) else {
        assert!(!good || before.kind() != json::Kind::Array, "what cannot be told apart is no catalog");
        return;
    };
    assert!(good);
    let lock = Lock::new(Identity::default(), Approval::default(), &catalog).expect("a catalog can be approved");
    let text = lock.to_bytes();
    let origin = Path::new("x.lock.json");
    let mut read = Lock::parse(&text, origin).expect("a lock can be read back");
    assert_eq!(read.to_bytes(), text);
    let approved = Approved::parse(text, origin).expect("a lock can be run with");
    for ((entry, read), (name, (item, digest))) in approved.entries().zip(&read.entries).zip(&old) {
        assert_eq!(&entry.verified().expect("nobody edited it"), read);
        assert_eq!((entry.name(), &read.item, entry.digest()), (name.as_str(), &item.text, *digest));
    }

    let mut comparison = Comparison::new(&approved);
    let all = after.elements().try_for_each(|element| comparison.item(kind, element).map(drop));
    let Some(new) = items(kind, after) else {
        assert!(all.is_err() || after.kind() != json::Kind::Array);
        return;
    };
    all.expect("what can be pinned can be compared");
    let drift = comparison.finish();
    if kind != Kind::Server {
        let mut lists = Comparison::new(&approved);
        lists.list(kind, after).expect("a list can be compared whole");
        assert_eq!(lists.finish(), drift);
    }
    told(&old, &new, &drift);

    // What is proposed to be exempted is what it takes for the two to be the same.
    for (entry, (item, _)) in read.entries.iter_mut().zip(old.values()) {
        if let Some((now, _)) = new.get(&item.name) {
            let (a, b) = (json::check(&item.text).unwrap().root, json::check(&now.text).unwrap().root);
            *entry = Entry::new(item, false, propose(kind, a, b)).expect("an item stays one");
        }
    }
    let exempted = read.approved(origin).expect("exemptions can be read back");
    assert_eq!(Lock::parse(&read.to_bytes(), origin).expect("exemptions can be read back"), read);
    for (index, (name, _)) in old.iter().enumerate() {
        if let Some((now, _)) = new.get(name) {
            let now = json::check(&now.text).unwrap().root;
            assert_eq!(exempted.judge(kind, now), Ok(Judgement::Same(index)));
        }
    }
}

/// The drift says what plain comparison says, in words that do nothing to a terminal.
fn told(old: &BTreeMap<String, (Item, Digest)>, new: &BTreeMap<String, (Item, Digest)>, drift: &Drift) {
    let digest = |items: &BTreeMap<String, (Item, Digest)>, name: &str| items.get(name).map(|(_, digest)| *digest);
    let mut differing = old.keys().chain(new.keys()).filter(|name| digest(old, name) != digest(new, name)).count();
    // Names that both have were counted twice.
    differing -= old.keys().filter(|name| new.contains_key(*name) && digest(old, name) != digest(new, name)).count();
    let mut told = 0;
    for change in &drift.changes {
        let (before, after) = (digest(old, &change.name), digest(new, &change.name));
        assert_ne!(before, after);
        told += 1;
        match &change.what {
            What::Added => assert!(before.is_none()),
            What::Removed => assert!(after.is_none()),
            What::Renamed { from } => {
                assert!(before.is_none() && old.contains_key(from) && !new.contains_key(from));
                told += 1;
            }
            What::Changed => assert!(!change.edits.is_empty() && before.is_some() && after.is_some()),
        }
    }
    assert_eq!(told, differing);
    assert_eq!(drift.is_empty(), differing == 0);

    let short = drift.short();
    assert!(short.len() <= 600 && short.is_ascii() && !short.contains('\n'), "{short}");
    let text = drift.text(false);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    for line in text.lines() {
        assert!(["! ", "  ", "      + ", "      - "].iter().any(|start| line.starts_with(start)));
    }
    let json = drift.json();
    assert!(json::check_limited(&json, json::Limits { depth: 200 }).is_ok());
}
