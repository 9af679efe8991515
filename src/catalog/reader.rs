//! Reads a lock's text into its parts, strictly: every key is known, every text of its kind, every list in order.
//!
//! Items are not looked into here; see [`Lock::parse`](super::Lock::parse) for that.

use super::canonical::DEEPEST;
use super::digest::Digest;
use super::exempt::{Exemption, Varies};
use super::identity::{Approval, FilePin, Identity, PackagePin};
use super::item::Kind;
use super::lock::VERSION;
use super::lock_error::{LockError, LockProblem};
use super::root::Root;
use super::visible::named;
use crate::json::{self, Value};
use std::borrow::Cow;
use std::path::Path;

/// The most that a lock's own texts have, bytes: names have no limit of their own.
const LONGEST: usize = 4096;
/// Levels of nesting around an item.
const LEVELS: usize = 3;
/// More places than this vary in no item that could be said to be pinned.
const MOST_EXEMPTIONS: usize = 64;

/// A lock's text taken apart.
pub(super) struct Parts<'a> {
    pub(super) identity: Identity,
    pub(super) approval: Approval,
    /// By kind, then by name.
    pub(super) entries: Vec<Part<'a>>,
    /// Sorted.
    pub(super) namespaces: Vec<String>,
}

/// An entry of a lock, with its item as it is written.
pub(super) struct Part<'a> {
    pub(super) kind: Kind,
    pub(super) name: Cow<'a, str>,
    pub(super) digest: Digest,
    pub(super) optional: bool,
    pub(super) exempt: Vec<Exemption>,
    pub(super) item: Value<'a>,
}

/// Reads one text.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    origin: &'a Path,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8], origin: &'a Path) -> Self {
        Self { text, origin }
    }

    /// Takes the whole text apart and compares the root.
    pub(super) fn read(&self) -> Result<Parts<'a>, LockError> {
        let limits = json::Limits { depth: DEEPEST + LEVELS };
        let checked = json::check_limited(self.text, limits)
            .map_err(|fault| LockError::at(self.origin, self.text, fault.at, LockProblem::NotJson(fault)))?;
        let lock = checked.root;
        self.version(lock, checked.top.members().find(|(key, _)| key.is("version")).map(|(_, value)| value))?;
        let keys = [
            "version",
            "identity",
            "approved",
            "root",
            "server",
            "tools",
            "prompts",
            "resourceTemplates",
            "resourceNamespaces",
        ];
        let [_, identity, approval, root, server, tools, prompts, templates, namespaces] =
            // More members than the top remembers are more than there are keys, so one of those it has is unknown.
            self.fields(lock, checked.top.members(), keys)?;
        let identity = self.identity(self.needed(lock, "identity", identity)?)?;
        let approval = self.approval(self.needed(lock, "approved", approval)?)?;
        let mut entries = Vec::new();
        if let Some(server) = server {
            entries.push(self.entry(Kind::Server, server)?);
        }
        let lists = [
            (Kind::Tool, "tools", tools),
            (Kind::Prompt, "prompts", prompts),
            (Kind::Template, "resourceTemplates", templates),
        ];
        for (kind, key, list) in lists {
            let mut elements = self.list(key, self.needed(lock, key, list)?)?;
            elements.try_for_each(|element| self.listed(kind, element, &mut entries))?;
        }
        let namespaces = self.namespaces(self.needed(lock, "resourceNamespaces", namespaces)?)?;
        let root = self.needed(lock, "root", root)?;
        self.compare_root(root, &identity, &entries, &namespaces)?;
        Ok(Parts { identity, approval, entries, namespaces })
    }

    fn version(&self, lock: Value<'a>, version: Option<Value<'a>>) -> Result<(), LockError> {
        let Some(value) = version else {
            return Err(self.shape(lock, "`version` is missing: this is not a lock of mcpjail".to_owned()));
        };
        match value.integer() {
            Some(VERSION) => Ok(()),
            Some(found) if found > VERSION => Err(self.error(value, LockProblem::Newer { found })),
            _ => Err(self.shape(value, format!("`version` is not {VERSION}"))),
        }
    }

    fn compare_root(
        &self,
        root: Value<'a>,
        identity: &Identity,
        entries: &[Part<'a>],
        namespaces: &[String],
    ) -> Result<(), LockError> {
        let written = self.digest("root", root)?;
        let mut found = Root::new(identity);
        for Part { kind, name, digest, optional, exempt, item: _ } in entries {
            found.entry(*kind, name, *optional, exempt, digest);
        }
        if found.finish(namespaces.iter()) == written {
            Ok(())
        } else {
            Err(self.error(root, LockProblem::RootMismatch))
        }
    }

    /// An element of a list of items, which comes after those that are there.
    fn listed(&self, kind: Kind, value: Value<'a>, entries: &mut Vec<Part<'a>>) -> Result<(), LockError> {
        let part = self.entry(kind, value)?;
        if let Some(last) = entries.last().filter(|last| last.kind == kind)
            && last.name >= part.name
        {
            let (name, last) = (named(&part.name), named(&last.name));
            return Err(self.shape(
                value,
                if name == last {
                    format!("the {kind} {name} is there twice")
                } else {
                    format!("the {kind} {name} comes after {last}, out of order")
                },
            ));
        }
        entries.push(part);
        Ok(())
    }

    fn entry(&self, kind: Kind, value: Value<'a>) -> Result<Part<'a>, LockError> {
        let (name, [digest, exempt, item], optional) = if kind == Kind::Server {
            (Cow::Borrowed(""), self.fields(value, value.members(), ["sha256", "exempt", "item"])?, None)
        } else {
            let keys = ["name", "sha256", "optional", "exempt", "item"];
            let [name, digest, optional, exempt, item] = self.fields(value, value.members(), keys)?;
            let name = self.needed(value, "name", name)?;
            let name = name.str().ok_or_else(|| self.shape(name, "`name` is not a text".to_owned()))?;
            (name, [digest, exempt, item], optional)
        };
        let item = self.needed(value, "item", item)?;
        if item.kind() != json::Kind::Object {
            return Err(self.shape(item, "`item` is not an object".to_owned()));
        }
        let optional = match optional {
            // Only the one spelling that is written.
            Some(value) if value.bool() != Some(true) => {
                return Err(self.shape(value, "`optional` is `true` or left out".to_owned()));
            }
            optional => optional.is_some(),
        };
        Ok(Part {
            kind,
            name,
            digest: self.digest("sha256", self.needed(value, "sha256", digest)?)?,
            optional,
            exempt: exempt.map_or(Ok(Vec::new()), |list| self.exemptions(kind, list))?,
            item,
        })
    }

    fn exemptions(&self, kind: Kind, list: Value<'a>) -> Result<Vec<Exemption>, LockError> {
        let mut exempt: Vec<Exemption> = Vec::new();
        for value in self.list("exempt", list)? {
            let keys = ["at", "prefix", "suffix", "max", "any", "reason"];
            let [at, prefix, suffix, max, any, reason] = self.fields(value, value.members(), keys)?;
            let text = |key, field| self.short("exempt", key, self.needed(value, key, field)?);
            let rule = match any {
                Some(any) if any.bool() != Some(true) => {
                    return Err(self.shape(any, "`any` is `true` or left out".to_owned()));
                }
                Some(_) if prefix.or(suffix).or(max).is_some() => {
                    return Err(self.shape(value, "`any` does not go with `prefix`, `suffix` and `max`".to_owned()));
                }
                Some(_) => Varies::Any,
                None => {
                    let max = self.needed(value, "max", max)?;
                    let most = max.integer().and_then(|max| usize::try_from(max).ok());
                    let most = most.ok_or_else(|| self.shape(max, "`max` is not a number of bytes".to_owned()))?;
                    let whole = |key, field| {
                        let field = self.needed(value, key, field)?;
                        let text = field.str().ok_or_else(|| self.shape(field, format!("`{key}` is not a text")))?;
                        Ok(text.into_owned())
                    };
                    Varies::Part { prefix: whole("prefix", prefix)?, suffix: whole("suffix", suffix)?, max: most }
                }
            };
            let exemption = Exemption { at: text("at", at)?, rule, reason: text("reason", reason)? };
            let names = kind.key().is_some_and(|key| exemption.at.strip_prefix('/') == Some(key));
            if let Some(fault) = exemption.fault() {
                return Err(self.shape(value, fault.to_owned()));
            }
            if names {
                return Err(self.shape(value, "what an item is known by cannot be exempted".to_owned()));
            }
            if exempt.iter().any(|other| other.overlaps(&exemption)) {
                return Err(self.shape(value, "two exemptions cover the same place".to_owned()));
            }
            exempt.push(exemption);
            if exempt.len() > MOST_EXEMPTIONS {
                return Err(self.shape(list, format!("more than {MOST_EXEMPTIONS} exemptions for one item")));
            }
        }
        Ok(exempt)
    }

    fn identity(&self, value: Value<'a>) -> Result<Identity, LockError> {
        let keys = ["command", "entry", "interpreter", "package"];
        let [command, entry, interpreter, package] = self.fields(value, value.members(), keys)?;
        let words = self.list("command", self.needed(value, "command", command)?)?;
        // A word of a command line has up to 128 KiB on Linux.
        let word = |word: Value<'a>| {
            let text =
                word.str().ok_or_else(|| self.shape(word, "`command` holds something other than texts".to_owned()))?;
            Ok(text.into_owned())
        };
        let file = |file: Option<Value<'a>>| file.map(|file| self.file(file)).transpose();
        Ok(Identity {
            command: words.map(word).collect::<Result<_, _>>()?,
            entry: file(entry)?,
            interpreter: file(interpreter)?,
            package: package.map(|package| self.package(package)).transpose()?,
        })
    }

    fn package(&self, value: Value<'a>) -> Result<PackagePin, LockError> {
        let [release, tree] = self.fields(value, value.members(), ["release", "tree"])?;
        Ok(PackagePin {
            release: self.short("package", "release", self.needed(value, "release", release)?)?,
            tree: self.digest("tree", self.needed(value, "tree", tree)?)?,
        })
    }

    fn file(&self, value: Value<'a>) -> Result<FilePin, LockError> {
        let [path, sha256] = self.fields(value, value.members(), ["path", "sha256"])?;
        Ok(FilePin {
            path: self.short("identity", "path", self.needed(value, "path", path)?)?,
            sha256: self.digest("sha256", self.needed(value, "sha256", sha256)?)?,
        })
    }

    fn approval(&self, value: Value<'a>) -> Result<Approval, LockError> {
        let [at, by, with] = self.fields(value, value.members(), ["at", "by", "with"])?;
        let text = |key, field| self.short("approved", key, self.needed(value, key, field)?);
        Ok(Approval { at: text("at", at)?, by: text("by", by)?, with: text("with", with)? })
    }

    fn namespaces(&self, list: Value<'a>) -> Result<Vec<String>, LockError> {
        let mut namespaces: Vec<String> = Vec::new();
        for value in self.list("resourceNamespaces", list)? {
            let text = value.str().ok_or_else(|| self.shape(value, "a namespace is a text".to_owned()))?;
            if namespaces.last().is_some_and(|last| last.as_str() >= &*text) {
                return Err(self.shape(value, format!("the namespace {} is out of order", named(&text))));
            }
            namespaces.push(text.into_owned());
        }
        Ok(namespaces)
    }

    /// The values of an object's members by their keys. A key that is not among `keys` is an error.
    fn fields<const N: usize>(
        &self,
        object: Value<'a>,
        members: impl Iterator<Item = (json::Text<'a>, Value<'a>)>,
        keys: [&str; N],
    ) -> Result<[Option<Value<'a>>; N], LockError> {
        if object.kind() != json::Kind::Object {
            return Err(self.shape(object, "not an object".to_owned()));
        }
        let mut fields = [None; N];
        for (key, value) in members {
            match keys.iter().zip(fields.iter_mut()).find(|(name, _)| key.is(name)) {
                // The same key twice does not pass the reader of JSON.
                Some((_, field)) => *field = Some(value),
                None => {
                    let problem = LockProblem::Shape(format!("unknown key {}", named(&key.decode())));
                    // The key's quote stands before it.
                    let offset = self.offset(key.raw()).saturating_sub(1);
                    return Err(LockError::at(self.origin, self.text, offset, problem));
                }
            }
        }
        Ok(fields)
    }

    fn needed(&self, object: Value<'a>, key: &str, field: Option<Value<'a>>) -> Result<Value<'a>, LockError> {
        field.ok_or_else(|| self.shape(object, format!("`{key}` is missing")))
    }

    fn list(&self, key: &str, value: Value<'a>) -> Result<json::Elements<'a>, LockError> {
        if value.kind() != json::Kind::Array {
            return Err(self.shape(value, format!("`{key}` is not a list")));
        }
        Ok(value.elements())
    }

    fn short(&self, within: &str, key: &str, value: Value<'a>) -> Result<String, LockError> {
        match value.str() {
            Some(text) if text.len() <= LONGEST => Ok(text.into_owned()),
            Some(_) => Err(self.shape(value, format!("`{key}` of `{within}` has more than {LONGEST} bytes"))),
            None => Err(self.shape(value, format!("`{key}` of `{within}` is not a text"))),
        }
    }

    fn digest(&self, key: &str, value: Value<'a>) -> Result<Digest, LockError> {
        let digest = value.str().and_then(|text| text.parse().ok());
        digest.ok_or_else(|| self.shape(value, format!("`{key}` is not a digest such as `sha256:0123…`")))
    }

    /// An error that stands at a value.
    pub(super) fn error(&self, value: Value<'a>, problem: LockProblem) -> LockError {
        LockError::at(self.origin, self.text, self.offset(value.raw()), problem)
    }

    fn shape(&self, value: Value<'a>, reason: String) -> LockError {
        self.error(value, LockProblem::Shape(reason))
    }

    /// Where a slice of the text begins.
    pub(super) fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::testing::{Tree, identity, lock, value};
    use crate::catalog::{Approved, Entry, Exemption, Item, Kind, Lock, LockProblem, Varies};
    use crate::diagnose::Diagnose;
    use std::collections::BTreeMap;
    use std::path::Path;

    const ORIGIN: &str = "/locks/files.lock.json";

    fn text() -> String {
        let tool = |name: &str| ((Kind::Tool, name.to_owned()), Tree::map([("name", Tree::text(name))]));
        let mut lock = lock(&BTreeMap::from([tool("a"), tool("b")]), 0);
        let item = Item::new(Kind::Tool, value(r#"{"name":"c","description":"in UTC now"}"#)).unwrap();
        let part = Varies::Part { prefix: "in ".to_owned(), suffix: " now".to_owned(), max: 32 };
        let exempt = vec![Exemption { at: "/description".to_owned(), rule: part, reason: "time zone".to_owned() }];
        lock.entries.push(Entry::new(&item, true, exempt).unwrap());
        String::from_utf8(lock.to_bytes()).unwrap()
    }

    /// What both readers say of a text in which `from` has become `to`.
    fn refused(from: &str, to: &str) -> String {
        let text = text();
        assert!(text.contains(from), "{from}");
        let edited = text.replacen(from, to, 1);
        let error = Lock::parse(edited.as_bytes(), Path::new(ORIGIN)).unwrap_err();
        let fast = Approved::parse(edited.clone().into_bytes(), Path::new(ORIGIN)).unwrap_err();
        assert_eq!(error.to_string(), fast.to_string());
        assert_eq!(error.code(), fast.code());
        assert!(error.hint().unwrap().contains("`mcpjail approve files`"));
        error.to_string().strip_prefix("/locks/files.lock.json:").unwrap().to_owned()
    }

    #[test]
    fn it_is_read_before_it_is_broken() {
        let lock = Lock::parse(text().as_bytes(), Path::new(ORIGIN)).unwrap();
        assert_eq!(lock.identity, identity());
        assert_eq!(lock.entry(Kind::Tool, "c").map(|entry| (entry.optional, entry.exempt.len())), Some((true, 1)));
    }

    #[test]
    fn every_key_is_known() {
        assert_eq!(refused("\"version\": 1", "\"version\": 1,\n  \"comment\": 2"), "3:3: unknown key `comment`");
        assert_eq!(refused("\"by\"", "\"By\""), "20:5: unknown key `By`");
        assert!(
            refused("\"sha256\": \"sha256:", "\"x\\u001b\": 1,\n \"sha256\": \"sha256:")
                .contains("unknown key `x<U+001B>`")
        );
        let many: String = (0..40).map(|number| format!("\"k{number}\": 0, ")).collect();
        assert!(refused("\"root\"", &format!("{many}\"root\"")).contains("unknown key `k0`"));
    }

    #[test]
    fn nothing_is_missing() {
        for (from, to, reason) in [
            ("\"identity\": {", "\"server\": {", "`identity` is missing"),
            ("\"prompts\": [],", "", "`prompts` is missing"),
            ("\"max\": 32,", "", "`max` is missing"),
            ("\"max\": 32,", "\"any\": true,", "`any` does not go with"),
            ("\"reason\": \"time zone\"", "\"any\": true", "`any` does not go with"),
            ("\"name\": \"a\",\n      \"sha", "\"sha", "`name` is missing"),
        ] {
            let error = refused(from, to);
            assert!(error.contains(reason), "{from}: {error}");
        }
    }

    #[test]
    fn every_value_is_of_its_kind() {
        for (from, to, reason) in [
            ("\"prompts\": []", "\"prompts\": {}", "`prompts` is not a list"),
            ("\"prompts\": []", "\"prompts\": [1]", "not an object"),
            ("\"optional\": true", "\"optional\": false", "`optional` is `true` or left out"),
            ("\"max\": 32", "\"max\": -1", "`max` is not a number of bytes"),
            ("\"max\": 32", "\"max\": 3.2", "`max` is not a number of bytes"),
            ("\"max\": 32", "\"max\": 4096", "at most 256 bytes"),
            ("\"at\": \"/description\"", "\"at\": \"/name\"", "what an item is known by cannot be exempted"),
            ("\"at\": \"/description\"", "\"at\": \"\"", "cannot cover a whole item"),
            ("\"at\": \"/description\"", "\"at\": \"description\"", "JSON pointer"),
            ("\"demo://resource\"", "7", "a namespace is a text"),
            ("\"node\"", "true", "`command` holds something other than texts"),
            ("\"me\"", "null", "`by` of `approved` is not a text"),
            ("\"sha256\": \"sha256:", "\"sha256\": \"SHA256:", "`sha256` is not a digest"),
            ("\"name\": \"a\"", "\"name\": [\"a\"]", "`name` is not a text"),
            ("\"root\": \"sha256:", "\"root\": \"", "`root` is not a digest"),
        ] {
            let error = refused(from, to);
            assert!(error.contains(reason), "{from}: {error}");
        }
    }

    #[test]
    fn exemptions_cover_different_places() {
        let two = |at: &str| {
            let second = format!("\"reason\": \"time zone\"}}, {{\"at\": \"{at}\", \"any\": true, \"reason\": \"\"");
            refused("\"reason\": \"time zone\"", &second)
        };
        assert!(two("/description").contains("two exemptions cover the same place"));
        assert!(two("/description/x").contains("two exemptions cover the same place"));
        assert!(two("/descriptions").contains("`root` does not match"));
        let many: String =
            (0..65).map(|number| format!("{{\"at\": \"/{number}\", \"any\": true, \"reason\": \"\"}},")).collect();
        assert!(refused("\"exempt\": [", &format!("\"exempt\": [{many}")).contains("more than 64 exemptions"));
    }

    #[test]
    fn an_item_is_an_object() {
        for other in ["[]", "null", "\"{}\""] {
            let edited =
                text().replacen("\"item\": {\n        \"name\": \"a\"\n      }", &format!("\"item\": {other}"), 1);
            let error = Lock::parse(edited.as_bytes(), Path::new(ORIGIN)).unwrap_err();
            assert!(error.to_string().contains("`item` is not an object"), "{error}");
            assert!(Approved::parse(edited.into_bytes(), Path::new(ORIGIN)).is_err());
        }
    }

    #[test]
    fn lists_are_in_order_and_without_repetition() {
        assert!(
            refused("\"name\": \"b\",\n      \"sha", "\"name\": \"a\",\n      \"sha")
                .contains("the tool `a` is there twice")
        );
        assert!(
            refused("\"name\": \"a\",\n      \"sha", "\"name\": \"bb\",\n      \"sha")
                .contains("`b` comes after `bb`, out of order")
        );
        assert!(refused("\"demo://resource\"", "\"b:\", \"a:\"").contains("`a:` is out of order"));
        assert!(refused("\"demo://resource\"", "\"a:\", \"a:\"").contains("`a:` is out of order"));
    }

    #[test]
    fn the_root_covers_all_that_decides() {
        let digest = |text: &str, line: usize| text.lines().nth(line).unwrap().trim().to_owned();
        let whole = text();
        let other = digest(&whole, whole.lines().position(|line| line.contains("\"name\": \"b\"")).unwrap() + 1);
        let mine = digest(&whole, whole.lines().position(|line| line.contains("\"name\": \"a\"")).unwrap() + 1);
        for (from, to) in [
            (mine.as_str(), other.as_str()),
            ("\"optional\": true,\n", ""),
            ("\"max\": 32", "\"max\": 33"),
            ("\"prefix\": \"in \"", "\"prefix\": \"\""),
            ("\"reason\": \"time zone\"", "\"reason\": \"\""),
            ("\"at\": \"/description\"", "\"at\": \"/title\""),
            ("demo://resource", "demo://other"),
            ("    \"demo://resource\"\n", ""),
            ("\"node\"", "\"deno\""),
            ("/srv/server.js", "/tmp/server.js"),
            ("\"name\": \"a\",\n      \"sha", "\"name\": \"A\",\n      \"sha"),
        ] {
            let error = refused(from, to);
            assert!(error.contains("`root` does not match"), "{from}: {error}");
        }
    }

    #[test]
    fn a_lost_entry_is_noticed() {
        let whole = text();
        let start = whole.find("    {\n      \"name\": \"b\"").unwrap();
        let end = whole.find("    {\n      \"name\": \"c\"").unwrap();
        assert!(refused(&whole[start..end], "").contains("`root` does not match"));
    }

    #[test]
    fn versions() {
        let newer = text().replacen("\"version\": 1", "\"version\": 2,\n  \"unknown\": {}", 1);
        let error = Lock::parse(newer.as_bytes(), Path::new(ORIGIN)).unwrap_err();
        assert_eq!(error.code(), "lock-newer");
        assert!(matches!(error.problem(), LockProblem::Newer { found: 2 }));
        assert_eq!(Approved::parse(newer.into_bytes(), Path::new(ORIGIN)).unwrap_err().code(), "lock-newer");
        assert!(refused("\"version\": 1", "\"version\": 0").contains("`version` is not 1"));
        assert!(refused("\"version\": 1", "\"version\": \"1\"").contains("`version` is not 1"));
        for other in ["{}", "{\"mcpServers\":{}}", "[]", "1"] {
            let error = Lock::parse(other.as_bytes(), Path::new(ORIGIN)).unwrap_err();
            assert!(error.to_string().ends_with("this is not a lock of mcpjail"), "{error}");
        }
    }

    #[test]
    fn json_of_the_strict_kind_only() {
        for (from, to, reason) in [
            ("\"version\": 1,", "\"version\": 1, \"version\": 1,", "duplicate key `version`"),
            ("\"version\": 1,", "// a comment\n\"version\": 1,", "expected"),
            ("\"prompts\": [],", "\"prompts\": [],,", "expected"),
            ("\n}\n", "\n}\n{}", "something follows"),
            ("\"me\"", "\"\\ud800\"", "half a surrogate pair"),
        ] {
            let error = refused(from, to);
            assert!(error.contains(reason) && !error.contains("at byte"), "{from}: {error}");
        }
        let error = refused("  \"root\"", "<<<<<<< HEAD\n  \"root\"");
        assert!(error.ends_with(":1: an unresolved merge conflict"), "{error}");
        assert!(Lock::parse(b"", Path::new(ORIGIN)).is_err());
        assert!(Lock::parse(b"\xff\xfe", Path::new(ORIGIN)).is_err());
    }
}
