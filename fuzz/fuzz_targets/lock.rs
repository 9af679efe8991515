//! A lock out of a stranger's repository, read in both ways.
//!
//! No mutation finds a digest that fits, so each text is read a second time with digests that do.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpjail::catalog::{Approval, Approved, Entry, FilePin, Identity, Item, Kind, Lock, LockError};
use mcpjail::diagnose::Diagnose;
use mcpjail::json::{self, Value};
use std::path::Path;

const ORIGIN: &str = "/locks/x.lock.json";

fuzz_target!(|text: &[u8]| {
    read(text);
    if let Some(mended) = mend(text) {
        read(&mended);
    }
});

/// Whatever the text is, both readers agree about it.
fn read(text: &[u8]) {
    let whole = Lock::parse(text, Path::new(ORIGIN));
    let fast = Approved::parse(text.to_vec(), Path::new(ORIGIN));
    match (whole, fast) {
        (Ok(lock), Ok(fast)) => {
            assert_eq!(fast.identity(), &lock.identity);
            assert_eq!(fast.approval(), &lock.approval);
            assert!(fast.namespaces().iter().eq(&lock.namespaces));
            let entries: Vec<Entry> = fast.entries().map(|entry| entry.verified().expect("it was verified")).collect();
            assert_eq!(entries, lock.entries);
            for (index, entry) in lock.entries.iter().enumerate() {
                assert_eq!(fast.find(entry.kind, &entry.name), Some(index));
            }
            let written = lock.to_bytes();
            assert_eq!(Lock::parse(&written, Path::new(ORIGIN)).expect("a lock can be written anew"), lock);
            Approved::parse(written, Path::new(ORIGIN)).expect("and run with");
        }
        (Ok(_), Err(error)) => panic!("what is read whole is read fast: {error}"),
        (Err(error), Ok(fast)) => {
            // The fast reader does not look into items; whoever shows one does.
            assert!(fast.entries().any(|entry| entry.verified().is_err()), "{error}");
            told(&error);
        }
        (Err(one), Err(other)) => {
            assert_eq!((one.to_string(), one.code()), (other.to_string(), other.code()));
            told(&one);
        }
    }
}

fn told(error: &LockError) {
    let message = error.to_string();
    assert!(message.starts_with(ORIGIN) && !message.chars().any(char::is_control), "{message}");
    assert!(error.hint().is_some_and(|hint| !hint.chars().any(char::is_control)));
}

/// The text with digests and a root that fit what is in it, if it is something like a lock without exemptions.
fn mend(text: &[u8]) -> Option<Vec<u8>> {
    let root = json::check(text).ok()?.root;
    let mut lock = Lock { approval: Approval::default(), ..Lock::default() };
    let identity = root.get("identity")?;
    let file = |key: &str| {
        let file = identity.get(key)?;
        let path = file.get("path")?.str()?.into_owned();
        Some(FilePin { path, sha256: file.get("sha256")?.str()?.parse().ok()? })
    };
    let command = identity.get("command")?.elements().map(|word| word.str().map(|word| word.into_owned()));
    let command = command.collect::<Option<_>>()?;
    lock.identity = Identity { command, entry: file("entry"), interpreter: file("interpreter") };
    let mut digests: Vec<(Value<'_>, String)> = Vec::new();
    let lists = [(Kind::Tool, "tools"), (Kind::Prompt, "prompts"), (Kind::Template, "resourceTemplates")];
    let listed = lists.into_iter().flat_map(|(kind, key)| {
        let elements = root.get(key).map(|list| list.elements().collect::<Vec<_>>()).unwrap_or_default();
        elements.into_iter().map(move |element| (kind, element))
    });
    for (kind, entry) in root.get("server").map(|server| (Kind::Server, server)).into_iter().chain(listed) {
        let item = Item::new(kind, entry.get("item")?).ok()?;
        let entry_of = Entry::new(&item, entry.get("optional").is_some(), Vec::new()).ok()?;
        digests.push((entry.get("sha256")?, entry_of.digest.to_string()));
        lock.entries.push(entry_of);
    }
    for namespace in root.get("resourceNamespaces")?.elements() {
        lock.namespaces.insert(namespace.str()?.into_owned());
    }
    digests.push((root.get("root")?, lock.root().to_string()));
    let mut mended = text.to_vec();
    let offset = |value: &Value<'_>| value.raw().as_ptr().addr() - text.as_ptr().addr();
    digests.sort_by_key(|(value, _)| std::cmp::Reverse(offset(value)));
    for (value, digest) in digests {
        let start = offset(&value);
        mended.splice(start..start + value.raw().len(), format!("\"{digest}\"").into_bytes());
    }
    Some(mended)
}
