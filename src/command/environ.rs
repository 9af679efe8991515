//! `env` as a command or as an interpreter: what it would change, and what it would start.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::CommandError;

/// What `env` does to the environment before it starts a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// `-i`: nothing of the environment is kept.
    pub(super) clear: bool,
    /// `-u NAME`.
    pub(super) unset: Vec<OsString>,
    /// `NAME=VALUE`, as written.
    pub(super) set: Vec<OsString>,
}

impl Changes {
    /// Whether the program's environment is the launcher's.
    pub(super) fn is_empty(&self) -> bool {
        !self.clear && self.unset.is_empty() && self.set.is_empty()
    }

    /// The arguments that make `env` do the same again.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let clear = self.clear.then(|| OsString::from("-i"));
        let unset = self.unset.iter().flat_map(|name| [OsString::from("-u"), name.clone()]);
        clear.into_iter().chain(unset).chain(self.set.iter().cloned()).collect()
    }

    /// Changes an environment in the same way, for looking programs up in it.
    pub(super) fn apply(&self, env: &mut BTreeMap<OsString, OsString>) {
        if self.clear {
            env.clear();
        }
        for name in &self.unset {
            env.remove(name);
        }
        for (name, value) in self.set.iter().filter_map(|word| assignment(word)) {
            env.insert(name, value);
        }
    }

    /// Adds what a later `env` changes.
    pub(super) fn extend(&mut self, later: Changes) {
        if later.clear {
            *self = later;
        } else {
            self.unset.extend(later.unset);
            self.set.extend(later.set);
        }
    }
}

/// A call of `env`, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EnvCall {
    /// What it changes.
    pub(super) changes: Changes,
    /// The program and its arguments; empty where `env` would only print.
    pub(super) command: Vec<OsString>,
}

/// `NAME=VALUE` as a pair.
fn assignment(word: &OsStr) -> Option<(OsString, OsString)> {
    let at = word.as_bytes().iter().position(|b| *b == b'=')?;
    let (name, value) = word.as_bytes().split_at(at);
    Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.get(1..)?.to_vec())))
}

/// Takes the arguments of `env` (without `env` itself) apart as coreutils' does: options, `-S` split in place,
/// assignments, command.
///
/// # Errors
///
/// [`CommandError::EnvOption`] for options that change more than the environment, and for a broken `-S` string.
pub(super) fn parse(arguments: &[OsString], env: &BTreeMap<OsString, OsString>) -> Result<EnvCall, CommandError> {
    let mut words: std::collections::VecDeque<OsString> = arguments.iter().cloned().collect();
    let mut call = EnvCall::default();
    let mut splits = 0_u8;
    while let Some(word) = words.front().cloned() {
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") {
            break;
        }
        words.pop_front();
        if bytes == b"--" {
            break;
        }
        if bytes == b"-" {
            call.changes.clear = true;
            continue;
        }
        let (name, attached) = option_parts(bytes);
        // A cluster of flags before the last option of the word, as in `-iS`.
        if name.clear {
            call.changes.clear = true;
        }
        let mut value = || attached.clone().or_else(|| words.pop_front()).ok_or_else(|| refused(&word));
        match name.kind {
            Kind::Flag => {}
            Kind::Unset => {
                let name = value()?;
                call.changes.unset.push(name);
            }
            Kind::Split => {
                let string = value()?;
                splits = splits.saturating_add(1);
                if splits > 8 {
                    return Err(refused(&word));
                }
                for part in split(string.as_bytes(), env).ok_or_else(|| broken(&string))?.into_iter().rev() {
                    words.push_front(part);
                }
            }
            Kind::Other => return Err(refused(&word)),
        }
    }
    while let Some(word) = words.front() {
        if !word.as_bytes().contains(&b'=') {
            break;
        }
        call.changes.set.extend(words.pop_front());
    }
    call.command = words.into();
    Ok(call)
}

enum Kind {
    Flag,
    Unset,
    Split,
    Other,
}

struct Name {
    clear: bool,
    kind: Kind,
}

/// An option word: what it is, and the value that is attached to it.
fn option_parts(bytes: &[u8]) -> (Name, Option<OsString>) {
    let owned = |rest: &[u8]| Some(OsString::from_vec(rest.to_vec()));
    if let Some(long) = bytes.strip_prefix(b"--") {
        let equals = long.iter().position(|b| *b == b'=');
        let name = long.get(..equals.unwrap_or(long.len())).unwrap_or_default();
        let value = equals.and_then(|at| long.get(at + 1..)).and_then(owned);
        let kind = match name {
            b"ignore-environment" => return (Name { clear: true, kind: Kind::Flag }, None),
            b"unset" => Kind::Unset,
            b"split-string" => Kind::Split,
            b"debug" => Kind::Flag,
            _ => Kind::Other,
        };
        return (Name { clear: false, kind }, value);
    }
    let mut clear = false;
    let mut rest = bytes.get(1..).unwrap_or_default();
    while let Some((flag, tail)) = rest.split_first() {
        let value = if tail.is_empty() { None } else { owned(tail) };
        match flag {
            b'i' => clear = true,
            b'v' => {}
            b'u' => return (Name { clear, kind: Kind::Unset }, value),
            b'S' => return (Name { clear, kind: Kind::Split }, value),
            _ => return (Name { clear, kind: Kind::Other }, value),
        }
        rest = tail;
    }
    (Name { clear, kind: Kind::Flag }, None)
}

fn refused(option: &OsStr) -> CommandError {
    CommandError::EnvOption {
        option: option.to_string_lossy().into_owned(),
        hint: "leave `env` away and name the program itself: `mcpjail run -- PROGRAM ARGUMENTS`".into(),
    }
}

fn broken(string: &OsStr) -> CommandError {
    CommandError::EnvOption {
        option: format!("-S {}", string.to_string_lossy()),
        hint: "the string has an open quote or an unknown escape: correct it, or name the program itself".into(),
    }
}

/// Splits the string of `env -S`: blanks, both quotes, backslash escapes, `${NAME}`, a comment from `#` on.
/// Nothing where it is malformed.
fn split(string: &[u8], env: &BTreeMap<OsString, OsString>) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut rest = string;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b'\'' | b'"', Some(open)) if open == byte => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, None) => {
                words.extend(word.take().map(OsString::from_vec));
            }
            (b'#', None) if word.is_none() => break,
            (b'\\', open) => {
                let (&escaped, tail) = rest.split_first()?;
                let single = open == Some(b'\'');
                rest = tail;
                let literal = match escaped {
                    b'\\' | b'\'' => escaped,
                    other if single => {
                        word.get_or_insert_default().push(b'\\');
                        other
                    }
                    b'"' | b'#' | b'$' => escaped,
                    b'_' if open.is_none() => {
                        words.extend(word.take().map(OsString::from_vec));
                        continue;
                    }
                    b'_' => b' ',
                    b'c' if open.is_none() => break,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    _ => return None,
                };
                word.get_or_insert_default().push(literal);
            }
            (b'$', open) if open != Some(b'\'') => {
                let inner = rest.strip_prefix(b"{")?;
                let end = inner.iter().position(|b| *b == b'}')?;
                let name = OsStr::from_bytes(inner.get(..end)?);
                rest = inner.get(end + 1..)?;
                if let Some(value) = env.get(name) {
                    word.get_or_insert_default().extend_from_slice(value.as_bytes());
                }
            }
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return None;
    }
    words.extend(word.map(OsString::from_vec));
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<OsString, OsString> {
        BTreeMap::from([("WHO".into(), "me too".into())])
    }

    fn call(words: &[&str]) -> EnvCall {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        parse(&words, &env()).unwrap()
    }

    fn words(string: &str) -> Option<Vec<String>> {
        Some(split(string.as_bytes(), &env())?.into_iter().map(|w| w.into_string().unwrap()).collect())
    }

    #[test]
    fn assignments_options_and_commands_are_told_apart() {
        let got = call(&["-i", "-u", "A", "-uB", "X=1", "Y=a=b", "node", "-e", "C=1"]);
        assert!(got.changes.clear);
        assert_eq!(got.changes.unset, ["A", "B"]);
        assert_eq!(got.changes.set, ["X=1", "Y=a=b"]);
        assert_eq!(got.command, ["node", "-e", "C=1"]);
        assert_eq!(got.changes.arguments(), ["-i", "-u", "A", "-u", "B", "X=1", "Y=a=b"]);
        assert!(call(&["node"]).changes.is_empty());
        assert_eq!(call(&["--unset=A", "--", "x"]).changes.unset, ["A"]);
        assert!(call(&[]).command.is_empty());
    }

    #[test]
    fn split_strings_take_the_place_of_the_option() {
        assert_eq!(call(&["-S", "node --x", "/s.js"]).command, ["node", "--x", "/s.js"]);
        assert_eq!(call(&["-S node --x", "/s.js"]).command, ["node", "--x", "/s.js"]);
        assert_eq!(call(&["-vS -i A=1 node", "/s"]).changes.set, ["A=1"]);
        assert!(call(&["-iS", "node"]).changes.clear);
        assert_eq!(call(&["--split-string=python -I", "/s"]).command, ["python", "-I", "/s"]);
    }

    #[test]
    fn options_beyond_the_environment_are_refused() {
        for option in ["-C/x", "--chdir=/x", "-a", "--block-signal", "-0", "-S'open"] {
            assert!(parse(&[option.into(), "x".into()], &env()).is_err(), "{option}");
        }
    }

    #[test]
    fn the_string_is_split_as_coreutils_documents() {
        assert_eq!(words("a  'b c' \"d e\"f").unwrap(), ["a", "b c", "d ef"]);
        assert_eq!(words(r"a\_b 'c\_d' \#e x\tq").unwrap(), ["a", "b", r"c\_d", "#e", "x\tq"]);
        assert_eq!(words("a ${WHO} \"${WHO}!\" ${NONE} '${WHO}'").unwrap(), ["a", "me too", "me too!", "${WHO}"]);
        assert_eq!(words("a # comment").unwrap(), ["a"]);
        assert_eq!(words(r"a \c b").unwrap(), ["a"]);
        assert_eq!(words("'' a").unwrap(), ["", "a"]);
        for bad in ["'a", "\"a", r"a\", r"\z", "$HOME", "${A"] {
            assert_eq!(words(bad), None, "{bad}");
        }
    }

    #[test]
    fn later_calls_add_up() {
        let mut first = call(&["A=1", "env"]).changes;
        first.extend(call(&["B=2", "x"]).changes);
        assert_eq!(first.set, ["A=1", "B=2"]);
        first.extend(call(&["-i", "C=3", "x"]).changes);
        assert_eq!(first.arguments(), ["-i", "C=3"]);
    }
}
