//! Drift as JSON, for machines.

use super::drift::{Change, Drift, Subject, What};
use super::edit::{Edit, Scope};
use super::strings;
use crate::json;

impl Drift {
    /// For machines: one JSON object on one line, without a line feed at its end.
    ///
    /// ```text
    /// { "drift": bool, "changes": [
    ///   { "subject": "identity"|"server"|"tool"|"prompt"|"resource-template"|"resource-namespace",
    ///     "name": string,                     absent for identity and server
    ///     "what": "added"|"removed"|"renamed"|"changed",
    ///     "from": string,                     the approved name, when renamed
    ///     "severity": "danger"|"notice",
    ///     "edits": [
    ///       { "at": JSON pointer, "kind": word, "severity": word, "field": string,
    ///         "scope": "item"|"input"|"parameter"|"output"|"result"|"argument",
    ///         "path": string,                 of a parameter, result field or argument
    ///         "required": bool,               of one that was added, or whose being required changed
    ///         "before": any, "after": any } ],     absent where there was nothing
    ///     "before": object, "after": object } ] }  the whole item, absent where there was none
    /// ```
    ///
    /// The words of `kind` are those of [`EditKind::word`](super::EditKind::word). Hidden characters are written as
    /// escapes, so that the output may be looked at.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Out(Vec::new());
        out.open("{");
        out.raw("drift", if self.is_empty() { b"false" } else { b"true" });
        out.key("changes");
        out.list(&self.changes, Out::change);
        out.close("}");
        out.0
    }
}

struct Out(Vec<u8>);

impl Out {
    fn change(&mut self, change: &Change) {
        let Change { subject, name, what, edits, before, after } = change;
        self.open("{");
        self.text("subject", subject_word(*subject));
        if !matches!(subject, Subject::Identity | Subject::Server) {
            self.text("name", name);
        }
        match what {
            What::Added => self.text("what", "added"),
            What::Removed => self.text("what", "removed"),
            What::Renamed { from } => {
                self.text("what", "renamed");
                self.text("from", from);
            }
            What::Changed => self.text("what", "changed"),
        }
        self.text("severity", change.severity().word());
        self.key("edits");
        self.list(edits, Out::edit);
        self.values(before.as_deref(), after.as_deref());
        self.close("}");
    }

    fn edit(&mut self, edit: &Edit) {
        use super::EditKind as E;
        let Edit { at, scope, field, kind, severity, before, after } = edit;
        self.open("{");
        self.text("at", at);
        self.text("kind", kind.word());
        self.text("severity", severity.word());
        self.text("field", field);
        let (scope, path) = match scope {
            Scope::Item => ("item", None),
            Scope::Input => ("input", None),
            Scope::Parameter(path) => ("parameter", Some(path)),
            Scope::Output => ("output", None),
            Scope::Result(path) => ("result", Some(path)),
            Scope::Argument(name) => ("argument", Some(name)),
        };
        self.text("scope", scope);
        if let Some(path) = path {
            self.text("path", path);
        }
        if let E::ParameterAdded { required } | E::ArgumentAdded { required } | E::RequiredChanged { required } = kind {
            self.raw("required", if *required { b"true" } else { b"false" });
        }
        self.values(before.as_deref(), after.as_deref());
        self.close("}");
    }

    fn values(&mut self, before: Option<&[u8]>, after: Option<&[u8]>) {
        for (key, value) in [("before", before), ("after", after)] {
            if let Some(value) = value {
                self.raw(key, value);
            }
        }
    }

    fn open(&mut self, bracket: &str) {
        self.0.extend_from_slice(bracket.as_bytes());
    }

    /// Closes a bracket; the comma before it, if any, goes.
    fn close(&mut self, bracket: &str) {
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.0.extend_from_slice(bracket.as_bytes());
    }

    fn list<T>(&mut self, elements: &[T], write: impl Fn(&mut Out, &T)) {
        self.open("[");
        for element in elements {
            write(self, element);
            self.0.push(b',');
        }
        self.close("]");
        self.0.push(b',');
    }

    fn key(&mut self, key: &str) {
        json::quote(key, &mut self.0);
        self.0.push(b':');
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut quoted = Vec::with_capacity(value.len() + 2);
        json::quote(value, &mut quoted);
        self.raw(key, &quoted);
    }

    /// A member with a canonical value. Outside strings that has nothing hidden.
    fn raw(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        match std::str::from_utf8(value) {
            Ok(value) => strings::write_reviewable(value, &mut self.0),
            Err(_) => self.0.extend_from_slice(b"null"),
        }
        self.0.push(b',');
    }
}

fn subject_word(subject: Subject) -> &'static str {
    match subject {
        Subject::Identity => "identity",
        Subject::Server => "server",
        Subject::Tool => "tool",
        Subject::Prompt => "prompt",
        Subject::Template => "resource-template",
        Subject::Namespace => "resource-namespace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::{approval, identity, value};
    use crate::catalog::{Catalog, Comparison, Identity, Kind, Lock};
    use std::path::Path;

    #[test]
    fn the_documented_shape() {
        let mut catalog = Catalog::default();
        for tool in [
            r#"{"name":"a","description":"x","inputSchema":{"properties":{"p":{}}}}"#,
            r#"{"name":"gone"}"#,
            r#"{"name":"old","x":1}"#,
        ] {
            catalog.add(Kind::Tool, value(tool)).unwrap();
        }
        let lock = Lock::new(identity(), approval(), &catalog).unwrap();
        let approved = lock.approved(Path::new("x")).unwrap();
        let mut comparison = Comparison::new(&approved);
        let after = r#"[{"name":"a","description":"\u202ey","inputSchema":{"properties":{"p":{},"q":{}},"required":["q"]}},{"name":"renamed","x":1}]"#;
        comparison.list(Kind::Tool, value(after)).unwrap();
        comparison.resource(value(r#"{"uri":"x://y"}"#)).unwrap();
        comparison.identity(&Identity { command: Vec::new(), ..identity() });
        let json = comparison.finish().json();
        let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let changes = read["changes"].as_array().unwrap();
        let what: Vec<(&str, &str)> = changes
            .iter()
            .map(|change| (change["subject"].as_str().unwrap(), change["what"].as_str().unwrap()))
            .collect();
        assert_eq!(
            what,
            [
                ("identity", "changed"),
                ("tool", "changed"),
                ("tool", "removed"),
                ("tool", "renamed"),
                ("resource-namespace", "added"),
            ]
        );
        assert_eq!(read["drift"], true);
        let [text, added] = changes[1]["edits"].as_array().unwrap().as_slice() else { panic!("{changes:?}") };
        assert_eq!((&text["kind"], &text["at"]), (&"text-edited".into(), &"/description".into()));
        assert_eq!((&text["before"], &text["after"]), (&"x".into(), &"\u{202e}y".into()));
        assert_eq!((&added["kind"], &added["scope"]), (&"parameter-added".into(), &"parameter".into()));
        assert_eq!((&added["path"], &added["required"]), (&"q".into(), &true.into()));
        assert!(added.get("before").is_none());
        assert_eq!(changes[3]["from"], "old");
        assert_eq!(changes[2]["before"]["name"], "gone");
        assert!(changes[2].get("after").is_none() && changes[0].get("name").is_none());
        assert!(String::from_utf8(json).unwrap().contains(r"\u202ey"));
    }

    #[test]
    fn no_drift() {
        assert_eq!(Drift::default().json(), br#"{"drift":false,"changes":[]}"#);
    }
}
