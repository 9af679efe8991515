//! Writes a lock: JSON with one member a line, so that version control shows the leaf that changed.

use super::exempt::{Exemption, Varies};
use super::identity::{FilePin, PackagePin};
use super::lock::{Entry, Lock, VERSION};
use super::strings;
use crate::json;

/// Spaces by which a level is indented.
const INDENT: usize = 2;

/// The whole text of a lock.
pub(super) fn write(lock: &Lock) -> Vec<u8> {
    let Lock { identity, approval, entries: _, namespaces } = lock;
    let entries = lock.sorted();
    let items: usize = entries.iter().map(|entry| entry.item.len()).sum();
    let mut out = Out { text: Vec::with_capacity(items * 2 + 4096), depth: 0, first: true };
    out.open(b'{');
    out.member("version", VERSION.to_string().as_bytes());
    out.key("identity");
    out.open(b'{');
    out.key("command");
    out.texts(identity.command.iter());
    for (key, file) in [("entry", &identity.entry), ("interpreter", &identity.interpreter)] {
        if let Some(FilePin { path, sha256 }) = file {
            out.key(key);
            out.open(b'{');
            out.text_member("path", path);
            out.text_member("sha256", &sha256.to_string());
            out.close(b'}');
        }
    }
    if let Some(PackagePin { release, tree }) = &identity.package {
        out.key("package");
        out.open(b'{');
        out.text_member("release", release);
        out.text_member("tree", &tree.to_string());
        out.close(b'}');
    }
    out.close(b'}');
    out.key("approved");
    out.open(b'{');
    out.text_member("at", &approval.at);
    out.text_member("by", &approval.by);
    out.text_member("with", &approval.with);
    out.close(b'}');
    out.text_member("root", &lock.root().to_string());
    let mut rest = entries.as_slice();
    for (kind, key) in [
        (super::Kind::Server, "server"),
        (super::Kind::Tool, "tools"),
        (super::Kind::Prompt, "prompts"),
        (super::Kind::Template, "resourceTemplates"),
    ] {
        let (these, others) = rest.split_at(rest.iter().take_while(|entry| entry.kind == kind).count());
        rest = others;
        if kind == super::Kind::Server {
            if let Some(server) = these.first() {
                out.key(key);
                out.entry(server);
            }
            continue;
        }
        out.key(key);
        out.open(b'[');
        for entry in these {
            out.element();
            out.entry(entry);
        }
        out.close(b']');
    }
    out.key("resourceNamespaces");
    out.texts(namespaces.iter());
    out.close(b'}');
    out.text.push(b'\n');
    out.text
}

/// A text that is being indented.
struct Out {
    text: Vec<u8>,
    depth: usize,
    /// Nothing is inside the innermost bracket yet.
    first: bool,
}

impl Out {
    fn open(&mut self, bracket: u8) {
        self.text.push(bracket);
        self.depth += 1;
        self.first = true;
    }

    /// Closes a bracket; an empty one stays on its line.
    fn close(&mut self, bracket: u8) {
        self.depth = self.depth.saturating_sub(1);
        if !self.first {
            self.line();
        }
        self.text.push(bracket);
        self.first = false;
    }

    fn line(&mut self) {
        self.text.push(b'\n');
        self.text.extend(std::iter::repeat_n(b' ', self.depth * INDENT));
    }

    /// Goes to where the next member or element stands.
    fn element(&mut self) {
        if !self.first {
            self.text.push(b',');
        }
        self.line();
        self.first = false;
    }

    fn key(&mut self, key: &str) {
        self.element();
        self.quoted(key);
        self.text.extend_from_slice(b": ");
    }

    fn member(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.text.extend_from_slice(value);
    }

    fn text_member(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t String>) {
        self.open(b'[');
        for text in texts {
            self.element();
            self.quoted(text);
        }
        self.close(b']');
    }

    fn quoted(&mut self, text: &str) {
        let mut quoted = Vec::with_capacity(text.len() + 2);
        json::quote(text, &mut quoted);
        self.string(&quoted);
    }

    /// A string in canonical spelling, with its quotes.
    fn string(&mut self, quoted: &[u8]) {
        match std::str::from_utf8(quoted) {
            Ok(quoted) => strings::write_reviewable(quoted, &mut self.text),
            // What is no text is not made worse here; reading the lock refuses it.
            Err(_) => self.text.extend_from_slice(quoted),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let Entry { kind, name, digest, optional, exempt, item } = entry;
        self.open(b'{');
        if kind.key().is_some() {
            self.text_member("name", name);
        }
        self.text_member("sha256", &digest.to_string());
        if *optional {
            self.member("optional", b"true");
        }
        if !exempt.is_empty() {
            self.key("exempt");
            self.open(b'[');
            for Exemption { at, rule, reason } in exempt {
                self.element();
                self.open(b'{');
                self.text_member("at", at);
                match rule {
                    Varies::Any => self.member("any", b"true"),
                    Varies::Part { prefix, suffix, max } => {
                        self.text_member("prefix", prefix);
                        self.text_member("suffix", suffix);
                        self.member("max", max.to_string().as_bytes());
                    }
                }
                self.text_member("reason", reason);
                self.close(b'}');
            }
            self.close(b']');
        }
        self.key("item");
        self.item(item);
        self.close(b'}');
    }

    /// An item in canonical form, which has no white space outside strings.
    fn item(&mut self, item: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = item.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => {
                    self.open(byte);
                    let empty = matches!(item.get(at), Some(b'}' | b']'));
                    if !empty {
                        self.line();
                    }
                    self.first = empty;
                }
                b'}' | b']' => self.close(byte),
                b',' => {
                    self.text.push(byte);
                    self.line();
                }
                b':' => self.text.extend_from_slice(b": "),
                b'"' => {
                    let length = strings::scan(item.get(at..).unwrap_or_default()).map_or(0, |body| body.length);
                    let end = (at + length + 1).min(item.len());
                    self.string(item.get(at - 1..end).unwrap_or_default());
                    at = end;
                }
                _ => self.text.push(byte),
            }
        }
    }
}
