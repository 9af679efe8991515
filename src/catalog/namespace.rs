//! Where resources live: the part of a URI that says who answers for it.
//!
//! Resources are data and come and go; their list is not pinned. What is pinned is where they live, so that a server
//! that was approved for `notes://` does not begin to offer `https://`.

use super::fault::ItemFault;
use std::collections::BTreeSet;

/// What stands for URIs without a scheme. It is no scheme itself.
const RELATIVE: &str = "./";

/// The namespace of a URI or of a URI template (RFC 3986, RFC 6570), ASCII letters in lower case:
///
/// * `scheme://authority` where there is an authority, which may be empty: `file:///a` is in `file://`;
/// * `scheme:` where there is none (`memo:today`), and for a template whose authority, or what would be one, varies;
/// * `./` for a reference without a scheme;
/// * the empty text, which stands for any, for a template whose scheme varies.
///
/// # Errors
/// A URI that is empty or holds control characters, or blanks at an end or in its authority, which programs that read it
/// would not agree on.
pub fn namespace(uri: &str) -> Result<String, ItemFault> {
    let reach = if uri.contains('{') { of_template(uri) } else { of_uri(uri).map(Reach::Namespace) };
    Ok(match reach? {
        Reach::Namespace(namespace) => namespace,
        Reach::Scheme(scheme) => scheme,
        Reach::Any => String::new(),
    })
}

/// Where the URIs that a template can become live.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    /// In one namespace.
    Namespace(String),
    /// Under one scheme, given with its colon.
    Scheme(String),
    /// Anywhere.
    Any,
}

/// Where the resources of an approved server may live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reaches {
    namespaces: BTreeSet<String>,
    schemes: BTreeSet<String>,
    any: bool,
}

impl Reaches {
    /// Adds a namespace that a resource was seen in.
    pub(super) fn add(&mut self, namespace: &str) {
        self.namespaces.insert(namespace.to_owned());
    }

    /// Adds what an approved template reaches. One that cannot become a URI adds nothing.
    pub(super) fn add_template(&mut self, template: &str) {
        match of_template(template) {
            Ok(Reach::Namespace(namespace)) => {
                self.namespaces.insert(namespace);
            }
            Ok(Reach::Scheme(scheme)) => {
                self.schemes.insert(scheme);
            }
            Ok(Reach::Any) => self.any = true,
            Err(_) => {}
        }
    }

    /// Whether a URI is in one of the namespaces or can be made from a template.
    pub(super) fn allow(&self, uri: &str) -> bool {
        of_uri(uri).is_ok_and(|namespace| self.allow_namespace(&namespace))
    }

    /// [`Reaches::allow`] for what [`of_uri`] gave.
    pub(super) fn allow_namespace(&self, namespace: &str) -> bool {
        // The scheme with its colon; a relative reference has none.
        let scheme = namespace.find(':').and_then(|colon| namespace.get(..=colon));
        self.any || scheme.is_some_and(|scheme| self.schemes.contains(scheme)) || self.namespaces.contains(namespace)
    }
}

/// The namespace of a resource's URI.
pub(super) fn of_uri(uri: &str) -> Result<String, ItemFault> {
    // Some programs cut blanks off at either end. Within a path, servers of files do write them.
    if uri.is_empty() || uri.chars().any(char::is_control) || uri.trim() != uri {
        return Err(ItemFault::BadUri);
    }
    let Some((scheme, rest)) = split_scheme(uri) else { return Ok(RELATIVE.to_owned()) };
    let scheme = scheme.to_ascii_lowercase();
    Ok(match rest.strip_prefix("//") {
        // ASCII letters only: other letters that fold into one another may name different places.
        Some(rest) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if authority.contains(char::is_whitespace) {
                return Err(ItemFault::BadUri);
            }
            format!("{scheme}://{}", authority.to_ascii_lowercase())
        }
        None => format!("{scheme}:"),
    })
}

fn of_template(template: &str) -> Result<Reach, ItemFault> {
    let Some((literal, expression)) = template.split_once('{') else {
        return of_uri(template).map(Reach::Namespace);
    };
    // `{/name}`, `{?name}` and `{#name}` become nothing or begin with their sign, which ends an authority.
    let ends_authority = expression.starts_with(['/', '?', '#']);
    let Some((scheme, rest)) = split_scheme(literal) else {
        let relative = !literal.is_empty() && (literal.contains(['/', '?', '#']) || ends_authority);
        let bad = literal.chars().any(|c| c.is_control() || c.is_whitespace());
        return match (bad, relative) {
            (true, _) => Err(ItemFault::BadUri),
            (false, true) => Ok(Reach::Namespace(RELATIVE.to_owned())),
            (false, false) => Ok(Reach::Any),
        };
    };
    let authority = rest.strip_prefix("//");
    let settled = match authority {
        Some(authority) => ends_authority || authority.contains(['/', '?', '#']),
        // Of `scheme:` and `scheme:/` an expression can still make `scheme://`.
        None => !rest.is_empty() && !"//".starts_with(rest),
    };
    if settled {
        return of_uri(literal).map(Reach::Namespace);
    }
    of_uri(literal)?;
    Ok(Reach::Scheme(format!("{}:", scheme.to_ascii_lowercase())))
}

/// The scheme and what follows its colon (RFC 3986, section 3.1).
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut bytes = scheme.bytes();
    let first = bytes.next()?;
    let good = first.is_ascii_alphabetic() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    good.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces() {
        for (uri, expected) in [
            ("demo://resource/static/1", "demo://resource"),
            ("HTTPS://Example.COM:8443/A?b#c", "https://example.com:8443"),
            ("https://user@example.com", "https://user@example.com"),
            ("file:///etc/passwd", "file://"),
            ("file:/etc/passwd", "file:"),
            ("memo:insights", "memo:"),
            ("demo://x?y", "demo://x"),
            ("notes/today.md", "./"),
            ("file:///home/user/My Notes/a b.md", "file://"),
            ("//host/path", "./"),
            ("1a:b", "./"),
            ("https:\\\\evil.example\\x", "https:"),
            ("https://good.example\\@evil.example/", "https://good.example\\@evil.example"),
        ] {
            assert_eq!(namespace(uri).as_deref(), Ok(expected), "{uri}");
        }
        for uri in ["", " https://x", "https://x\n", "ht\ttps://x", "a ", "https://x y/", "https://x\u{a0}", "x:\u{85}"]
        {
            assert_eq!(namespace(uri), Err(ItemFault::BadUri), "{uri:?}");
        }
    }

    #[test]
    fn templates() {
        for (template, expected) in [
            ("demo://resource/dynamic/{id}", "demo://resource"),
            ("file:///{path}", "file://"),
            ("file://{path}", "file:"),
            ("demo://{host}/x", "demo:"),
            ("demo://host{x}", "demo:"),
            ("demo://host{/x}", "demo://host"),
            ("demo://host{?x}", "demo://host"),
            ("demo:{x}", "demo:"),
            ("demo:/{+x}", "demo:"),
            ("demo:a{x}", "demo:"),
            ("{scheme}://x", ""),
            ("{+uri}", ""),
            ("htt{x}", ""),
            ("notes/{name}", "./"),
            ("demo://fixed", "demo://fixed"),
        ] {
            assert_eq!(namespace(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_namespace_allows_its_own_only() {
        let mut reaches = Reaches::default();
        reaches.add("demo://resource");
        reaches.add("memo:");
        reaches.add_template("file:///{path}");
        reaches.add_template("db://{host}/x");
        for uri in ["demo://resource/1", "DEMO://Resource", "memo:x", "file:///a", "db://any/x", "db:x"] {
            assert!(reaches.allow(uri), "{uri}");
        }
        for uri in [
            "demo://resource.evil/1",
            "demo://other",
            "demo:resource",
            "memo://host/x",
            "file://host/a",
            "https://x",
            "notes.md",
            "demo://resource /1",
            "",
        ] {
            assert!(!reaches.allow(uri), "{uri}");
        }
        reaches.add_template("{+any}");
        assert!(reaches.allow("https://x") && reaches.allow("notes.md") && !reaches.allow(""));
    }

    #[test]
    fn a_relative_namespace_is_no_scheme() {
        let mut reaches = Reaches::default();
        reaches.add_template("notes/{x}");
        assert!(reaches.allow("notes/1"));
        assert!(!reaches.allow("https://x") && !reaches.allow("notes:1"));
    }
}
