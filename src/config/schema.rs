//! Parsing, and what is said when it fails.
//!
//! `serde` reads valid files. Its messages are for programmers, so a file that it refuses is walked a second time along a
//! table of what is valid, and the first offence is told in the words of the profile. A test holds table and types
//! together.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::error::{ConfigError, Problem, nearest, printable};
use super::raw::{parse_duration, parse_size};

/// A key and what it takes.
pub(super) struct Key(&'static str, Kind);

/// What a key takes.
pub(super) enum Kind {
    Table(&'static [Key]),
    Version,
    Flag,
    Count,
    Size,
    Duration,
    Text,
    Choice(&'static [&'static str]),
    Strings,
    Paths,
    Rules,
    StringTable,
}

static LIMITS: &[Key] = &[
    Key("memory", Kind::Size),
    Key("processes", Kind::Count),
    Key("open-files", Kind::Count),
    Key("tmp", Kind::Size),
    Key("file-size", Kind::Size),
    Key("cpu", Kind::Count),
];

static PATH: &[Key] = &[Key("path", Kind::Text), Key("dangerous", Kind::Flag), Key("optional", Kind::Flag)];

static RULE: &[Key] =
    &[Key("to", Kind::Text), Key("private", Kind::Flag), Key("dangerous", Kind::Flag), Key("raw", Kind::Flag)];

static NETWORK: &[Key] = &[
    Key("loopback", Kind::Flag),
    Key("allow", Kind::Rules),
    Key("connections", Kind::Count),
    Key("idle-timeout", Kind::Duration),
    Key("lifetime", Kind::Duration),
];

static JAIL: &[Key] = &[
    Key("tier", Kind::Choice(&["A", "B"])),
    Key("home", Kind::Choice(&["ephemeral", "persistent"])),
    Key(
        "files",
        Kind::Table(&[
            Key("read", Kind::Paths),
            Key("write", Kind::Paths),
            Key("list", Kind::Paths),
            Key("exec", Kind::Paths),
            Key("deny-write", Kind::Paths),
            Key("guard", Kind::Strings),
        ]),
    ),
    Key("network", Kind::Table(NETWORK)),
    Key("env", Kind::Table(&[Key("pass", Kind::Strings), Key("set", Kind::StringTable)])),
    Key("limits", Kind::Table(LIMITS)),
    Key("syscalls", Kind::Table(&[Key("allow", Kind::Strings)])),
];

static GATE: &[Key] = &[
    Key("drift", Kind::Choice(&["refuse", "quarantine"])),
    Key("first-use", Kind::Choice(&["refuse", "trust"])),
    Key("timeout", Kind::Duration),
];

/// The keys of a profile.
pub(super) static PROFILE: &[Key] = &[
    Key("version", Kind::Version),
    Key("command", Kind::Strings),
    Key("package", Kind::Text),
    Key("args", Kind::Strings),
    Key("trust", Kind::Choice(&["community", "vetted", "first-party"])),
    Key("use", Kind::Strings),
    Key("jail", Kind::Table(JAIL)),
    Key("gate", Kind::Table(GATE)),
];

/// The keys of the administrator's policy.
pub(super) static POLICY: &[Key] = &[
    Key("version", Kind::Version),
    Key("minimum-tier", Kind::Choice(&["A", "B"])),
    Key("forbid-dangerous", Kind::Flag),
    Key("forbid-loopback", Kind::Flag),
    Key("forbid-network", Kind::Flag),
    Key("forbid-private-network", Kind::Flag),
    Key("forbid-quarantine", Kind::Flag),
    Key("require-approval", Kind::Flag),
    Key("protected", Kind::Strings),
    Key("env", Kind::Table(&[Key("deny", Kind::Strings)])),
    Key("limits", Kind::Table(LIMITS)),
    Key("syscalls", Kind::Table(&[Key("deny", Kind::Strings)])),
];

/// Keys of coming features, at the root: name, as printed, remedy.
static LATER: &[(&str, &str, &str)] = &[
    ("tools", "[tools]", "take the section out; every tool of the server can be called"),
    ("inspect", "[inspect]", "take the section out; messages are passed on uninspected"),
    ("client", "[client]", "take the section out; what the server asks of the host is passed on"),
    ("limits", "[limits]", "take the section out; limits of memory, processes and files stand in `[jail.limits]`"),
];

/// Parses a document into a type that the table describes, and checks its version.
pub(super) fn parse<T: DeserializeOwned>(
    document: &Document,
    keys: &'static [Key],
    version: impl FnOnce(&T) -> Option<&Spanned<i64>>,
) -> Result<T, ConfigError> {
    let parsed: T = toml::from_str(&document.text).map_err(|error| diagnose(document, keys, &error))?;
    match version(&parsed) {
        Some(found) if *found.get_ref() == 1 => Ok(parsed),
        Some(found) => {
            let text = document.excerpt(found.span()).to_owned();
            Err(document.error(&found.span(), Problem::UnsupportedVersion { found: Some(text) }))
        }
        None => Err(document.error(&(0..0), Problem::UnsupportedVersion { found: None })),
    }
}

/// Turns a refusal of serde's into the first offence against the table.
fn diagnose(document: &Document, keys: &'static [Key], error: &toml::de::Error) -> ConfigError {
    let table = match DeTable::parse(&document.text) {
        Ok(table) => table,
        Err(syntax) => {
            let span = syntax.span().unwrap_or_default();
            let message = printable(syntax.message().lines().next().unwrap_or_default());
            let text = match document.excerpt(span.clone()) {
                "" => document.line(span.start),
                text => text,
            };
            let text = text.to_owned();
            return document.error(&span, Problem::Syntax { message, text });
        }
    };
    if let Some(version) = table.get_ref().get("version")
        && let DeValue::Integer(number) = version.get_ref()
        && number.as_str() != "1"
    {
        let found = Some(document.excerpt(version.span()).to_owned());
        return document.error(&version.span(), Problem::UnsupportedVersion { found });
    }
    let mut walk = Walk { document, found: Vec::new() };
    walk.table(table.get_ref(), keys, "");
    match walk.found.into_iter().min_by_key(|(span, _)| span.start) {
        Some((span, problem)) => document.error(&span, problem),
        None => {
            let span = error.span().unwrap_or_default();
            let value = document.excerpt(span.clone()).to_owned();
            let reason = printable(error.message());
            document.error(&span, Problem::BadValue { value, reason, remedy: "correct this value".to_owned() })
        }
    }
}

struct Walk<'a> {
    document: &'a Document,
    found: Vec<(Range<usize>, Problem)>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, keys: &'static [Key], path: &str) {
        for (name, value) in table {
            match keys.iter().find(|Key(key, _)| *key == name.get_ref().as_ref()) {
                Some(Key(key, kind)) => {
                    let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
                    self.value(value, kind, &path);
                }
                None => self.found.push((name.span(), unknown(name.get_ref(), keys, path))),
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, kind: &'static Kind, path: &str) {
        let inner = value.get_ref();
        match kind {
            Kind::Table(keys) => match inner {
                DeValue::Table(table) => self.table(table, keys, path),
                _ => self.wrong(value, path, "a table"),
            },
            Kind::StringTable => match inner {
                DeValue::Table(table) => {
                    for (key, value) in table {
                        self.value(value, &Kind::Text, &format!("{path}.{}", printable(key.get_ref())));
                    }
                }
                _ => self.wrong(value, path, "a table of strings, for example `{ NODE_ENV = \"production\" }`"),
            },
            Kind::Flag if inner.as_bool().is_none() => self.wrong(value, path, "`true` or `false`"),
            Kind::Text if inner.as_str().is_none() => self.wrong(value, path, "a string"),
            Kind::Flag | Kind::Text => {}
            Kind::Version | Kind::Count => match inner {
                DeValue::Integer(_) => self.number(value),
                _ => self.wrong(value, path, "a whole number"),
            },
            Kind::Size => match inner {
                DeValue::Integer(_) => self.number(value),
                DeValue::String(text) => {
                    if let Err(reason) = parse_size(text) {
                        self.bad(value, reason, "write it like `\"512MiB\"`");
                    }
                }
                _ => self.wrong(value, path, "a size, for example `\"512MiB\"`"),
            },
            Kind::Duration => match inner {
                DeValue::String(text) => {
                    if let Err(reason) = parse_duration(text) {
                        self.bad(value, reason, "write it like `\"30s\"`");
                    }
                }
                _ => self.wrong(value, path, "a time, for example `\"30s\"`"),
            },
            Kind::Choice(choices) => match inner.as_str() {
                Some(text) if choices.contains(&text) => {}
                Some(text) => {
                    let remedy = match nearest(text, choices.iter().copied()) {
                        Some(choice) => format!("did you mean `\"{choice}\"`?"),
                        None => format!("write one of `\"{}\"`", choices.join("\"`, `\"")),
                    };
                    let key = path.rsplit('.').next().unwrap_or(path);
                    self.bad(value, format!("`{key}` is one of `{}`", choices.join("`, `")), &remedy);
                }
                None => self.wrong(value, path, "a string"),
            },
            Kind::Strings => match inner.as_array() {
                Some(items) => items.iter().for_each(|item| self.value(item, &Kind::Text, path)),
                None => self.wrong(value, path, "a list of strings, for example `[\"a\", \"b\"]`"),
            },
            Kind::Paths => match inner.as_array() {
                Some(items) => items.iter().for_each(|item| self.path(item, path)),
                None => self.wrong(value, path, "a list of paths, for example `[\"~/notes\"]`"),
            },
            Kind::Rules => match inner.as_array() {
                Some(items) => items.iter().for_each(|item| self.rule(item, path)),
                None => self.wrong(value, path, "a list of rules, for example `[\"api.github.com:443\"]`"),
            },
        }
    }

    fn path(&mut self, item: &Spanned<DeValue<'_>>, path: &str) {
        match item.get_ref() {
            DeValue::String(_) => {}
            DeValue::Table(table) => {
                self.table(table, PATH, path);
                if !table.contains_key("path") {
                    self.bad(item, "the table has no `path`".to_owned(), "write `{ path = \"~/notes\" }`");
                }
            }
            _ => self.wrong(item, path, "a path, or a table such as `{ path = \"~/notes\", optional = true }`"),
        }
    }

    fn rule(&mut self, item: &Spanned<DeValue<'_>>, path: &str) {
        match item.get_ref() {
            DeValue::String(_) => {}
            DeValue::Table(table) => {
                let before = self.found.len();
                self.table(table, RULE, path);
                // A key in its place that is not known says more than that it is missing.
                if !table.contains_key("to") && self.found.len() == before {
                    self.bad(item, "the table has no `to`".to_owned(), "write `{ to = \"api.github.com:443\" }`");
                }
            }
            _ => self.wrong(
                item,
                path,
                "a rule, such as `\"api.github.com:443\"` or `{ to = \"db.corp:5432\", private = true }`",
            ),
        }
    }

    fn number(&mut self, value: &Spanned<DeValue<'_>>) {
        let DeValue::Integer(number) = value.get_ref() else { return };
        if i64::from_str_radix(number.as_str(), number.radix()).is_ok_and(|number| number < 0) {
            self.bad(value, "the number cannot be negative".to_owned(), "write a positive number");
        }
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, path: &str, expected: &'static str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let text = self.document.excerpt(value.span()).to_owned();
        self.found.push((value.span(), Problem::WrongType { key: path.to_owned(), expected, found, text }));
    }

    fn bad(&mut self, value: &Spanned<DeValue<'_>>, reason: String, remedy: &str) {
        let text = self.document.excerpt(value.span()).to_owned();
        self.found.push((value.span(), Problem::BadValue { value: text, reason, remedy: remedy.to_owned() }));
    }
}

fn unknown(name: &str, keys: &'static [Key], path: &str) -> Problem {
    let profile = std::ptr::eq(keys, PROFILE);
    if profile && let Some((_, key, remedy)) = LATER.iter().find(|(later, ..)| *later == name) {
        return Problem::UnsupportedKey { key: (*key).to_owned(), remedy };
    }
    let valid: Vec<&'static str> = keys.iter().map(|Key(key, _)| *key).collect();
    let section = if std::ptr::eq(keys, PATH) {
        format!("a path of `{path}`")
    } else if std::ptr::eq(keys, RULE) {
        format!("a rule of `{path}`")
    } else if path.is_empty() {
        if profile { "the profile" } else { "the policy" }.to_owned()
    } else {
        format!("`[{path}]`")
    };
    Problem::UnknownKey {
        key: name.to_owned(),
        section,
        nearest: nearest(&name.replace('_', "-"), valid.iter().copied()),
        valid,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::super::raw::{RawPolicy, RawProfile};
    use super::*;
    use crate::diagnose::Diagnose;

    fn refuse(text: &str) -> ConfigError {
        let document = Document::new(Source::File("/x.toml".into()), text.to_owned());
        parse::<RawProfile>(&document, PROFILE, |raw| raw.version.as_ref()).unwrap_err()
    }

    /// Text, code, line, column, words of the message, words of the hint.
    #[test]
    fn every_offence_has_code_place_text_and_remedy() {
        let cases = [
            (
                "version = 1\n[jail.limits]\nopen-file = 3\n",
                "unknown-key",
                3,
                1,
                "`open-file` in `[jail.limits]`",
                "`open-files`",
            ),
            ("version = 1\n[jail.limits]\nopen_files = 3\n", "unknown-key", 3, 1, "`open_files`", "`open-files`"),
            ("version = 1\nzzz = 1\n", "unknown-key", 2, 1, "in the profile", "`command`"),
            (
                "version = 1\njail.files.read = [{ path = \"/a\", optinal = true }]",
                "unknown-key",
                2,
                35,
                "`optinal`",
                "`optional`",
            ),
            (
                "version = 1\n\n[tools]\nallow = []",
                "unsupported-key",
                3,
                2,
                "`[tools]` is not supported",
                "take the section out",
            ),
            ("version = 1\n[inspect]\n", "unsupported-key", 2, 2, "`[inspect]`", "section"),
            ("version = 1\n[client]\n", "unsupported-key", 2, 2, "`[client]`", "section"),
            ("version = 1\n[limits]\n", "unsupported-key", 2, 2, "`[limits]`", "[jail.limits]"),
            ("version = 1\npackage = [\"npm:x@1\"]", "wrong-type", 2, 11, "a string", "a string"),
            ("version = 1\nargs = \"~/notes\"", "wrong-type", 2, 8, "a list of strings", "[\"a\", \"b\"]"),
            (
                "version = 1\n[jail.limits]\nprocesses = \"many\"",
                "wrong-type",
                3,
                13,
                "whole number, found a string `\"many\"`",
                "whole number",
            ),
            ("version = 1\n[jail.limits]\nprocesses = -1", "bad-value", 3, 13, "`-1`", "positive"),
            ("version = 1\n[jail.limits]\nmemory = \"1 GIG\"", "bad-value", 3, 10, "units are", "512MiB"),
            ("version = 1\n[jail.limits]\nmemory = 1.5", "wrong-type", 3, 10, "a size", "512MiB"),
            ("version = 1\n[gate]\ntimeout = 30", "wrong-type", 3, 11, "a time", "30s"),
            ("version = 1\n[gate]\ntimeout = \"30\"", "bad-value", 3, 11, "has a unit", "30s"),
            ("version = 1\n[gate]\ndrift = \"ask\"", "bad-value", 3, 9, "`quarantine`", "`\"refuse\"`"),
            ("version = 1\n[gate]\nfirst_use = \"trust\"", "unknown-key", 3, 1, "`[gate]`", "`first-use`"),
            ("version = 1\n[jail]\ntier = \"C\"", "bad-value", 3, 8, "`A`, `B`", "`\"A\"`"),
            (
                "version = 1\ntrust = \"first_party\"",
                "bad-value",
                2,
                9,
                "first-party",
                "did you mean `\"first-party\"`",
            ),
            ("version = 1\ncommand = \"node x.js\"", "wrong-type", 2, 11, "a list of strings", "[\"a\", \"b\"]"),
            ("version = 1\n[jail.files]\nread = \"/a\"", "wrong-type", 3, 8, "list of paths", "~/notes"),
            ("version = 1\n[jail.files]\nread = [\"/a\", 7]", "wrong-type", 3, 15, "a path", "optional"),
            ("version = 1\n[jail.files]\nread = [{ optional = true }]", "bad-value", 3, 9, "no `path`", "path ="),
            ("version = 1\n[jail.env]\nset = { A = 1 }", "wrong-type", 3, 13, "`jail.env.set.A`", "a string"),
            ("version = 1\n[jail.network]\nloopback = \"yes\"", "wrong-type", 3, 12, "`true` or `false`", "`true`"),
            (
                "version = 1\n[jail.network]\nallow = \"a.de:443\"",
                "wrong-type",
                3,
                9,
                "a list of rules",
                "api.github.com",
            ),
            ("version = 1\n[jail.network]\nallow = [443]", "wrong-type", 3, 10, "a rule", "private = true"),
            ("version = 1\n[jail.network]\nallow = [{ host = \"a:1\" }]", "unknown-key", 3, 12, "a rule of", "`to`"),
            ("version = 1\n[jail.network]\nallow = [{ raw = true }]", "bad-value", 3, 10, "no `to`", "to ="),
            (
                "version = 1\n[jail.network]\nallow = [{ to = \"a:1\", privat = true }]",
                "unknown-key",
                3,
                24,
                "`privat`",
                "`private`",
            ),
            (
                "version = 1\n[jail.network]\nidle_timeout = \"1h\"",
                "unknown-key",
                3,
                1,
                "[jail.network]",
                "`idle-timeout`",
            ),
            ("version = 1\n[jail.network]\nlifetime = 3600", "wrong-type", 3, 12, "a time", "30s"),
            ("version = 1\n[jail.network]\nlifetime = \"1d\"", "bad-value", 3, 12, "`h` (hours)", "30s"),
            ("version = 1\n[jail.network]\nconnections = -1", "bad-value", 3, 15, "negative", "positive"),
            ("version = 1\njail = 3", "wrong-type", 2, 8, "a table", "a table"),
            ("version = 2\nbrand-new = 1", "unsupported-version", 1, 11, "`2`", "version = 1"),
            ("version = \"1\"", "wrong-type", 1, 11, "whole number", "whole number"),
            ("use = []", "unsupported-version", 1, 1, "missing", "version = 1"),
            ("", "unsupported-version", 1, 1, "missing", "version = 1"),
            ("version = 1\n[jail\n", "profile-syntax", 2, 6, "near `[jail`", "TOML"),
            ("version = 1\nversion = 1\n", "profile-syntax", 2, 1, "duplicate key, near `version`", "TOML"),
            (
                "version = 1\n[jail.limits]\nmemory = 99999999999999999999",
                "bad-value",
                3,
                10,
                "`99999999999999999999`",
                "correct",
            ),
        ];
        for (text, code, line, column, says, hints) in cases {
            let error = refuse(text);
            let message = error.to_string();
            assert_eq!(error.code(), code, "{text}: {message}");
            assert_eq!((error.place().line, error.place().column), (Some(line), Some(column)), "{text}: {message}");
            assert!(message.starts_with(&format!("/x.toml:{line}:{column}: ")), "{message}");
            assert!(message.contains(says), "{text}: {message}");
            assert!(!message.ends_with('.'), "{message}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(hints), "{text}: {hint}");
        }
    }

    #[test]
    fn the_first_offence_is_told() {
        let error = refuse("version = 1\nzzz = 1\n[jail]\nyyy = 2\n");
        assert_eq!(error.place().line, Some(2));
    }

    /// A value of every kind, as TOML.
    fn sample(kind: &Kind) -> String {
        match kind {
            Kind::Table(keys) => {
                let inner: Vec<_> = keys.iter().map(|Key(key, kind)| format!("{key} = {}", sample(kind))).collect();
                format!("{{ {} }}", inner.join(", "))
            }
            Kind::Version | Kind::Count => "1".to_owned(),
            Kind::Flag => "true".to_owned(),
            Kind::Size => "\"1MiB\"".to_owned(),
            Kind::Duration => "\"30s\"".to_owned(),
            Kind::Text => "\"x\"".to_owned(),
            Kind::Choice(choices) => format!("\"{}\"", choices[0]),
            Kind::Strings => "[\"x\"]".to_owned(),
            Kind::Paths => "[\"/x\", { path = \"/y\" }]".to_owned(),
            Kind::Rules => "[\"x:1\", { to = \"y:1\", private = true, dangerous = true, raw = true }]".to_owned(),
            Kind::StringTable => "{ A = \"x\" }".to_owned(),
        }
    }

    #[test]
    fn the_table_and_the_types_agree() {
        let all = |keys: &'static [Key]| -> String {
            keys.iter().map(|Key(key, kind)| format!("{key} = {}\n", sample(kind))).collect()
        };
        toml::from_str::<RawProfile>(&all(PROFILE)).unwrap();
        toml::from_str::<RawPolicy>(&all(POLICY)).unwrap();
        // The other way round: serde names the keys it knows.
        let error = toml::from_str::<RawProfile>("[jail.limits]\nx = 1").unwrap_err().to_string();
        for Key(key, _) in LIMITS {
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z=\\[\\]{}\", \n.#0-9é-]{0,80}") {
            let document = Document::new(Source::Command, text);
            let _ = parse::<RawProfile>(&document, PROFILE, |raw| raw.version.as_ref());
        }
    }
}
