//! Reads a lock's text into its parts, strictly: every key is known, every text of its kind, every list in order.
//!
//! Items are not looked into here; see [`Lock::parse`](super::Lock::parse) for that.

use super::canonical::DEEPEST;
use super::digest::{Digest, Hasher};
use super::exempt::{Exemption, Varies};
use super::identity::{Approval, FilePin, Identity};
use super::item::Kind;
use super::lock::VERSION;
use super::lock_error::{LockError, LockProblem};
use super::visible::named;
use crate::json::{self, Value};
use std::borrow::Cow;
use std::path::Path;

/// The domain of a lock's root.
const ROOT_DOMAIN: &str = "mcpjail catalog root v1";
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

/// The root: SHA-256 over the domain, the identity, every entry's kind, name, whether it is optional, its exemptions and
/// its digest, and the namespaces, all in order and with their lengths.
///
/// It tells that a file is as it was written: that no line was lost in a merge and no digest edited by hand. Whoever can
/// write the file and compute SHA-256 can make it match anything.
pub(super) struct Root(Hasher);

impl Root {
    pub(super) fn new(identity: &Identity) -> Root {
        let mut hasher = Hasher::new(ROOT_DOMAIN);
        identity.feed(&mut hasher);
        Root(hasher)
    }

    pub(super) fn entry(&mut self, kind: Kind, name: &str, optional: bool, exempt: &[Exemption], digest: &Digest) {
        let hasher = &mut self.0;
        // No kind has this tag: what follows the entries is no entry.
        hasher.number(kind.index());
        hasher.part(name.as_bytes());
        hasher.number(usize::from(optional));
        hasher.number(exempt.len());
        for Exemption { at, rule, reason } in exempt {
            hasher.part(at.as_bytes());
            match rule {
                Varies::Any => hasher.number(0),
                Varies::Part { prefix, suffix, max } => {
                    hasher.number(1);
                    hasher.part(prefix.as_bytes());
                    hasher.part(suffix.as_bytes());
                    hasher.number(*max);
                }
            }
            hasher.part(reason.as_bytes());
        }
        hasher.part(&digest.0);
    }

    pub(super) fn finish<'n>(self, namespaces: impl ExactSizeIterator<Item = &'n String>) -> Digest {
        let Root(mut hasher) = self;
        hasher.number(Kind::ALL.len());
        hasher.number(namespaces.len());
        namespaces.for_each(|namespace| hasher.part(namespace.as_bytes()));
        hasher.finish()
    }
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
        let [command, entry, interpreter] = self.fields(value, value.members(), ["command", "entry", "interpreter"])?;
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
                    return Err(LockError::at(self.origin, self.text, self.offset(key.raw()), problem));
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
