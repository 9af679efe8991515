//! Names that are nearly those of well-known servers. Pure.
//!
//! Whoever publishes `mcp-sever-git` waits for a slip of somebody's finger, and whoever publishes `server-filesystem`
//! for somebody who forgets the scope. A name is compared as it reads (look-alikes folded), word by word (so that
//! `mcp-server-gin` is not `mcp-server-git`), and scope by scope. Names below a well-known scope are its owner's, and pass.

mod alike;
mod known;

use super::Ecosystem;
use super::line::python_key;
use alike::{skeleton, words};

/// Why a name is suspicious.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// The well-known name.
    pub known: String,
    /// In what way.
    pub kind: Kind,
    /// How they differ, as a phrase: `one letter differs`, `the scope is missing`.
    pub how: String,
}

/// In what way a name is like a well-known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads the same: look-alike characters, or the same letters with other dashes.
    Looks,
    /// A letter or two differ.
    Letters,
    /// The same words in another order.
    Words,
    /// The scope is missing, another, or written nearly alike.
    Scope,
    /// It is the name of a package of the other ecosystem, where anybody could take it. A warning rather than a question.
    Ecosystem,
}

/// The well-known name that `name` could be taken for, if it is not well known itself.
#[must_use]
pub fn likeness(ecosystem: Ecosystem, name: &str) -> Option<Likeness> {
    let (own, other, elsewhere) = match ecosystem {
        Ecosystem::Npm => (known::NPM, known::PYPI, "the Python index"),
        Ecosystem::Pypi => (known::PYPI, known::NPM, "npm"),
        Ecosystem::Local => return None,
    };
    let key = if ecosystem == Ecosystem::Pypi { python_key(name) } else { name.to_owned() };
    if is_known(own, &key) {
        return None;
    }
    let (scope, base) = split(&key);
    let owned = |scope: &str| own.iter().any(|known| split(known).0 == Some(scope));
    if scope.is_some_and(owned) {
        return None;
    }
    let found = |(kind, known, how): (Kind, String, &str)| Likeness { known, kind, how: how.to_owned() };
    looks(own, &key)
        .or_else(|| scope.and_then(|scope| nearly_scope(own, scope, base)))
        .or_else(|| missing_scope(own, scope, base))
        .or_else(|| nearly(own, scope, base))
        .map(found)
        .or_else(|| {
            let how = format!("it is a package of {elsewhere}, where its own author publishes it");
            (is_known(other, &key) && !is_short(&key)).then(|| Likeness {
                known: key.clone(),
                kind: Kind::Ecosystem,
                how,
            })
        })
}

/// The well-known name that comes nearest, for a name that the registry does not have.
#[must_use]
pub fn nearest(ecosystem: Ecosystem, name: &str) -> Option<&'static str> {
    let list = match ecosystem {
        Ecosystem::Npm => known::NPM,
        Ecosystem::Pypi => known::PYPI,
        Ecosystem::Local => return None,
    };
    let name = name.to_lowercase();
    let scored = list.iter().map(|known| (strsim::damerau_levenshtein(&name, known), *known));
    scored.filter(|(distance, known)| *distance <= (known.len() / 5).clamp(1, 4)).min().map(|(_, known)| known)
}

/// Where a well-known name without a scope is published, for somebody who types it as a program.
#[must_use]
pub fn published(name: &str) -> Option<Ecosystem> {
    let npm = is_known(known::NPM, name).then_some(Ecosystem::Npm);
    npm.or_else(|| is_known(known::PYPI, &python_key(name)).then_some(Ecosystem::Pypi))
}

type Found = (Kind, String, &'static str);

fn is_known(list: &[&str], name: &str) -> bool {
    list.binary_search(&name).is_ok()
}

/// Scope and name in it.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.strip_prefix('@').and_then(|scoped| scoped.split_once('/')) {
        Some((scope, base)) => (Some(scope), base),
        None => (None, name),
    }
}

/// Names that many servers of many authors have below a scope of their own.
fn is_generic(base: &str) -> bool {
    let generic = ["mcp", "server", "servers", "cli", "sdk", "magic", "inspector", "create", "remote", "proxy"];
    is_short(base) || words(base).iter().all(|word| generic.contains(&word.as_str()))
}

/// Names that are too short to be told apart by a letter.
fn is_short(base: &str) -> bool {
    base.chars().filter(char::is_ascii_alphanumeric).count() < 5
}

/// The same to a reader's eye.
fn looks(list: &[&'static str], name: &str) -> Option<Found> {
    let form = skeleton(name);
    let known = list.iter().find(|known| skeleton(known) == form)?;
    let letters = |text: &str| text.to_lowercase().replace(['-', '_', '.'], "");
    let how = if name.to_lowercase() == **known {
        "capitals and small letters differ"
    } else if letters(name) == letters(known) {
        "only the dashes differ"
    } else {
        "characters that look alike differ"
    };
    Some((Kind::Looks, (*known).to_owned(), how))
}

/// A scope that is spelt nearly like a well-known one.
fn nearly_scope(list: &[&'static str], scope: &str, base: &str) -> Option<Found> {
    let form = skeleton(scope);
    let near = |known: &str| {
        let other = skeleton(known);
        let limit = match known.len() {
            0..=5 => 0,
            6..=9 => 1,
            _ => 2,
        };
        let inside = known.len() >= 10 && form.contains(&other);
        inside || form == other || strsim::damerau_levenshtein(&form, &other) <= limit
    };
    let known = list.iter().filter_map(|known| split(known).0).find(|known| near(known))?;
    let same = format!("@{known}/{base}");
    let shown = if is_known(list, &same) { same } else { format!("@{known}") };
    Some((Kind::Scope, shown, "the scope is spelt nearly alike"))
}

/// The right name without its scope, with another one, or with the scope written into it.
fn missing_scope(list: &[&'static str], scope: Option<&str>, base: &str) -> Option<Found> {
    let form = skeleton(base);
    let mut own: Vec<String> = words(base);
    own.sort();
    list.iter().find_map(|known| {
        let (known_scope, known_base) = split(known);
        if let (Some(known_scope), None) = (known_scope, scope) {
            let mut all = words(known_scope);
            all.extend(words(known_base));
            all.sort();
            if all == own {
                return Some((Kind::Scope, (*known).to_owned(), "the scope is written into the name"));
            }
            // The program of @modelcontextprotocol/server-x is called mcp-server-x, and so would be an impostor.
            let official = known_scope == "modelcontextprotocol" && form == skeleton(&format!("mcp-{known_base}"));
            if official {
                return Some((Kind::Scope, (*known).to_owned(), "the scope is missing"));
            }
        }
        if is_generic(known_base) || skeleton(known_base) != form || known_scope == scope {
            return None;
        }
        let how = match (known_scope, scope) {
            (Some(_), None) => "the scope is missing",
            (None, _) => "it has a scope, and the well-known one has none",
            (Some(_), Some(_)) => "the scope is another",
        };
        Some((Kind::Scope, (*known).to_owned(), how))
    })
}

/// A letter or two, or the order of the words.
fn nearly(list: &[&'static str], scope: Option<&str>, base: &str) -> Option<Found> {
    let own = words(base);
    let mut best: Option<(usize, Found)> = None;
    for known in list {
        let (known_scope, known_base) = split(known);
        if is_short(known_base) || (known_scope.is_some() && is_generic(known_base)) {
            continue;
        }
        let other = words(known_base);
        let scoped = known_scope != scope;
        let found = if alike::same_words(&own, &other) {
            (1, (Kind::Words, (*known).to_owned(), "its words stand in another order"))
        } else {
            match alike::distance(&own, &other) {
                Some(1) if scoped => (2, (Kind::Letters, (*known).to_owned(), "one letter and the scope differ")),
                Some(1) => (1, (Kind::Letters, (*known).to_owned(), "one letter differs")),
                Some(2) if !scoped => (2, (Kind::Letters, (*known).to_owned(), "two letters differ")),
                _ => continue,
            }
        };
        if best.as_ref().is_none_or(|(distance, _)| found.0 < *distance) {
            best = Some(found);
        }
    }
    best.map(|(_, found)| found)
}

#[cfg(test)]
mod tests;
