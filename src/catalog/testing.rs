//! Values for tests: trees that are spelt as JSON in many ways, changed in one place, and told apart by plain comparison.

use super::{Approval, Catalog, Comparison, Digest, Drift, FilePin, Identity, Kind, Lock};
use crate::json::{self, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// A JSON value as a tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    /// In canonical spelling.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

impl Tree {
    pub(super) fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    pub(super) fn map<const N: usize>(members: [(&str, Tree); N]) -> Tree {
        Tree::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(members) => members.get(key),
            _ => None,
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Tree) {
        if let Tree::Map(members) = self {
            members.insert(key.to_owned(), value);
        }
    }

    /// Spells it: order of members, white space, escapes and numbers are the choice of `style`, 0 being the plain one.
    pub(super) fn spell(&self, style: u64) -> String {
        let mut speller = Speller { out: String::new(), state: style };
        speller.value(self);
        speller.out
    }

    /// All places in it, outermost first.
    fn places(&self) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new()];
        let inner: Vec<&Tree> = match self {
            Tree::List(elements) => elements.iter().collect(),
            Tree::Map(members) => members.values().collect(),
            _ => Vec::new(),
        };
        for (index, value) in inner.into_iter().enumerate() {
            places.extend(value.places().into_iter().map(|place| [vec![index], place].concat()));
        }
        places
    }

    fn at(&mut self, place: &[usize]) -> &mut Tree {
        let [first, rest @ ..] = place else { return self };
        match self {
            Tree::List(elements) => elements[*first].at(rest),
            Tree::Map(members) => members.values_mut().nth(*first).unwrap().at(rest),
            _ => unreachable!("a leaf has nothing inside"),
        }
    }

    /// Changes one place, chosen by `which`, in a way chosen by `how`.
    pub(super) fn change(&mut self, which: usize, how: u8) {
        let places = self.places();
        let value = self.at(&places[which % places.len()]);
        match value {
            Tree::List(elements) => match how % 4 {
                0 => elements.push(Tree::Null),
                1 => drop(elements.pop()),
                2 => elements.reverse(),
                _ => *value = Tree::Null,
            },
            Tree::Map(members) => match how % 4 {
                0 => drop(members.insert("added".to_owned(), Tree::text("x"))),
                1 => drop(members.pop_first()),
                2 => drop(members.insert("readOnlyHint".to_owned(), Tree::Bool(how > 127))),
                _ => {
                    if let Some((key, value)) = members.pop_last() {
                        members.insert(format!("{key}\u{200b}"), value);
                    }
                }
            },
            Tree::Text(text) => match how % 4 {
                0 => text.push(' '),
                1 => text.insert(0, '\u{200b}'),
                2 => *text = text.to_uppercase(),
                _ => *value = Tree::Null,
            },
            Tree::Number(number) => {
                *value = if how.is_multiple_of(2) { Tree::Number("7".to_owned()) } else { Tree::text(number) }
            }
            Tree::Bool(truth) => *value = if how.is_multiple_of(2) { Tree::Bool(!*truth) } else { Tree::Null },
            Tree::Null => *value = Tree::Bool(how.is_multiple_of(2)),
        }
    }

    /// What a tool's digest sees of it: without annotations that say what their absence says.
    pub(super) fn as_digested(&self) -> Tree {
        let mut tree = self.clone();
        if let Tree::Map(item) = &mut tree
            && let Some(Tree::Map(hints)) = item.get_mut("annotations")
        {
            let default = |key: &str| match key {
                "readOnlyHint" | "idempotentHint" => Some(Tree::Bool(false)),
                "destructiveHint" | "openWorldHint" => Some(Tree::Bool(true)),
                _ => None,
            };
            hints.retain(|key, value| Some(&*value) != default(key).as_ref());
            if hints.is_empty() {
                item.remove("annotations");
            }
        }
        tree
    }
}

struct Speller {
    out: String,
    state: u64,
}

impl Speller {
    /// A number below `below`; always 0 in the plain style.
    fn pick(&mut self, below: u64) -> u64 {
        if self.state == 0 {
            return 0;
        }
        // Knuth's linear congruential generator.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) | 1;
        (self.state >> 33) % below
    }

    fn space(&mut self) {
        for _ in 0..self.pick(3) {
            let which = usize::try_from(self.pick(4)).unwrap();
            self.out.push([' ', '\n', '\t', '\r'][which]);
        }
    }

    fn value(&mut self, value: &Tree) {
        self.space();
        match value {
            Tree::Null => self.out.push_str("null"),
            Tree::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Tree::Number(number) => self.number(number),
            Tree::Text(text) => self.string(text),
            Tree::List(elements) => {
                self.out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.value(element);
                }
                self.out.push(']');
            }
            Tree::Map(members) => {
                let mut members: Vec<_> = members.iter().collect();
                for index in (1..members.len()).rev() {
                    let other = usize::try_from(self.pick(index as u64 + 1)).unwrap();
                    if self.state != 0 {
                        members.swap(index, other);
                    }
                }
                self.out.push('{');
                for (index, (key, value)) in members.into_iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.space();
                    self.string(key);
                    self.space();
                    self.out.push(':');
                    self.value(value);
                }
                self.out.push('}');
            }
        }
        self.space();
    }

    fn number(&mut self, number: &str) {
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match self.pick(4) {
            1 if plain => self.out.push_str(&format!("{number}.0")),
            2 if plain => self.out.push_str(&format!("{number}e0")),
            3 if plain && number != "0" => self.out.push_str(&format!("{number}0E-1")),
            1 => self.out.push_str(&number.to_uppercase()),
            _ => self.out.push_str(number),
        }
    }

    fn string(&mut self, text: &str) {
        let mut units = [0; 2];
        self.out.push('"');
        for c in text.chars() {
            match (self.pick(6), c) {
                (0, ' '..) if c != '"' && c != '\\' => self.out.push(c),
                (1, '/') => self.out.push_str("\\/"),
                (_, '\n') if self.state == 0 => self.out.push_str("\\n"),
                (0..=3, ' '..) if c != '"' && c != '\\' => self.out.push(c),
                (4, _) => {
                    c.encode_utf16(&mut units).iter().for_each(|unit| self.out.push_str(&format!("\\u{unit:04X}")))
                }
                _ => c.encode_utf16(&mut units).iter().for_each(|unit| self.out.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        self.out.push('"');
    }
}

pub(super) fn value(text: &str) -> Value<'_> {
    json::check(text.as_bytes()).unwrap().root
}

/// Texts that are short and odd: escapes, characters on either side of the surrogates, invisible ones.
pub(super) fn texts() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        'a',
        'b',
        '"',
        '\\',
        '/',
        '\n',
        '\u{1}',
        '\u{7f}',
        '~',
        'é',
        '\u{200b}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '😀',
        '\u{e0041}',
    ]);
    prop_oneof![
        prop::collection::vec(odd, 0..6).prop_map(|chars| chars.into_iter().collect()),
        "[a-z]{1,12}",
        prop::sample::select(vec!["annotations", "readOnlyHint", "description", "name", "x.y", "type", "required"])
            .prop_map(str::to_owned),
    ]
}

pub(super) fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(|number| Tree::Number(number.to_string())),
        (-20_i64..20).prop_map(|number| Tree::Number(number.to_string())),
        prop::sample::select(vec!["0.5", "-1.25", "1e-7", "1e+21", "0.000001", "5e-324", "333333333.3333333"])
            .prop_map(|number| Tree::Number(number.to_owned())),
        texts().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            prop::collection::btree_map(texts(), inner, 0..5).prop_map(Tree::Map),
        ]
    })
}

/// An item of a kind with a name from a small set.
pub(super) fn items(kind: Kind) -> impl Strategy<Value = Tree> {
    let name = prop::sample::select(vec!["a", "b", "read_file", "nämé", "x://{y}", "q\"\\"]);
    let hints = prop::collection::btree_map(
        prop::sample::select(vec!["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint", "title"]),
        prop_oneof![any::<bool>().prop_map(Tree::Bool), Just(Tree::Null)],
        0..3,
    );
    let hints =
        hints.prop_map(|hints| Tree::Map(hints.into_iter().map(|(key, hint)| (key.to_owned(), hint)).collect()));
    let members = prop::collection::btree_map(texts(), trees(), 0..5);
    (name, members, texts(), prop::option::of(hints), trees()).prop_map(
        move |(name, mut members, description, hints, schema)| {
            members.insert("description".to_owned(), Tree::Text(description));
            members.insert("inputSchema".to_owned(), schema);
            members.extend(hints.map(|hints| ("annotations".to_owned(), hints)));
            members.extend(kind.key().map(|key| (key.to_owned(), Tree::text(name))));
            Tree::Map(members)
        },
    )
}

/// A handful of items that a catalog can hold: each name once a kind.
pub(super) fn catalogs() -> impl Strategy<Value = BTreeMap<(Kind, String), Tree>> {
    let of = |kind| prop::collection::vec(items(kind).prop_map(move |item| (kind, item)), 0..4);
    let all = (of(Kind::Tool), of(Kind::Prompt), of(Kind::Template), prop::option::of(items(Kind::Server)));
    all.prop_map(|(tools, prompts, templates, server)| {
        let server = server.map(|server| (Kind::Server, server));
        let items = tools.into_iter().chain(prompts).chain(templates).chain(server);
        items.map(|(kind, item)| ((kind, name(kind, &item).unwrap()), item)).collect()
    })
}

/// The name that an item is known by, if it has one.
pub(super) fn name(kind: Kind, item: &Tree) -> Option<String> {
    let Tree::Map(_) = item else { return None };
    let Some(key) = kind.key() else { return Some(String::new()) };
    match item.get(key) {
        Some(Tree::Text(name)) => Some(name.clone()),
        _ => None,
    }
}

pub(super) fn lock(items: &BTreeMap<(Kind, String), Tree>, style: u64) -> Lock {
    let mut catalog = Catalog::default();
    for ((kind, _), item) in items {
        catalog.add(*kind, value(&item.spell(style))).unwrap();
    }
    catalog.add_resource(value(r#"{"uri":"demo://resource/1"}"#)).unwrap();
    Lock::new(identity(), approval(), &catalog).unwrap()
}

pub(super) fn identity() -> Identity {
    let file = |path: &str| Some(FilePin { path: path.to_owned(), sha256: Digest::of_bytes(path.as_bytes()) });
    Identity {
        command: vec!["node".to_owned(), "sérver.js".to_owned(), String::new()],
        entry: file("/srv/server.js"),
        interpreter: file("/usr/bin/node"),
        package: None,
    }
}

pub(super) fn approval() -> Approval {
    Approval { at: "2026-11-21T00:00:00Z".to_owned(), by: "me".to_owned(), with: "mcpjail 0.1.0".to_owned() }
}

/// The drift between two lists of tools.
pub(super) fn drift_of_tools(before: &str, after: &str) -> Drift {
    let mut catalog = Catalog::default();
    value(before).elements().for_each(|tool| catalog.add(Kind::Tool, tool).unwrap());
    let lock = Lock::new(identity(), Approval::default(), &catalog).unwrap();
    let approved = lock.approved(Path::new("x")).unwrap();
    let mut comparison = Comparison::new(&approved);
    comparison.list(Kind::Tool, value(after)).unwrap();
    comparison.finish()
}
