//! A lock of `pip`'s format, read strictly: every line pins one package of an index by hashes. Pure.
//!
//! What uv and pip write is read into [`Lock`] and written again in one canonical form, so that no option of a
//! configuration (such as an index's address with a password) is ever kept.

use super::super::{Hash, PackageError, PypiSpec};
use std::collections::BTreeMap;

/// Packages that fit each other, each with the hashes of its archives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lock {
    /// By normalised name.
    pins: BTreeMap<String, Pin>,
}

/// One package of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    /// Its name, normalised (PEP 503).
    pub(super) name: String,
    /// Extras that are asked of it, normalised, sorted.
    pub(super) extras: Vec<String>,
    /// Its exact version.
    pub(super) version: String,
    /// A PEP 508 marker; empty where it has none.
    pub(super) marker: String,
    /// At least one, sorted.
    pub(super) hashes: Vec<Hash>,
}

/// A name in the form of PEP 503: lower case, runs of `-`, `_` and `.` become one `-`.
pub(super) fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if matches!(c, '-' | '_' | '.') { '-' } else { c.to_ascii_lowercase() };
        if c != '-' || !out.ends_with('-') {
            out.push(c);
        }
    }
    out
}

/// Whether a word is a name of PEP 508: letters, digits, `.`, `_` and `-`, a letter or a digit at both ends.
pub(super) fn is_name(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    name.len() <= 256
        && name.chars().all(|c| ends(c) || matches!(c, '.' | '_' | '-'))
        && name.starts_with(ends)
        && name.ends_with(ends)
}

fn is_version(version: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '!');
    !version.is_empty()
        && version.len() <= 256
        && version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.chars().all(fits)
}

/// A requirement as uv and pip read it.
///
/// # Errors
/// [`PackageError::Malformed`] where a part could be read as an option, an address or a file.
pub(super) fn requirement(spec: &PypiSpec) -> Result<String, PackageError> {
    let PypiSpec { name, extras, version } = spec;
    let specifier = |part: &str| {
        let part = part.trim();
        let operator = part.bytes().take_while(|b| matches!(b, b'<' | b'>' | b'=' | b'~' | b'!')).count();
        let (operator, rest) = part.split_at(operator);
        let known = matches!(operator, "==" | "===" | "!=" | "<=" | ">=" | "<" | ">" | "~=");
        known && is_version(rest.trim().strip_suffix(".*").unwrap_or(rest.trim()))
    };
    let fits = is_name(name)
        && extras.iter().all(|extra| is_name(extra))
        && (version.is_empty() || version.split(',').all(specifier));
    if !fits {
        let shown = format!("{name}[{}]{version}", extras.join(","));
        return Err(PackageError::Malformed {
            what: shown,
            reason: "it is no requirement of a package of an index".into(),
        });
    }
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    Ok(format!("{name}{extras}{version}"))
}

impl Lock {
    /// Reads a lock. Options of an index are passed over; everything else that is no hashed pin is refused.
    ///
    /// # Errors
    /// [`PackageError::Unpinned`] for a package of an address or a directory, and for one without a hash.
    pub(super) fn read(text: &str) -> Result<Lock, PackageError> {
        let mut lock = Lock::default();
        let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
        for line in joined.lines() {
            let line = without_comment(line).trim();
            if line.is_empty() || is_index_option(line) {
                continue;
            }
            lock.add(pin(line)?)?;
        }
        if lock.pins.is_empty() {
            return Err(malformed("", "it pins no package"));
        }
        Ok(lock)
    }

    /// Adds a pin.
    ///
    /// # Errors
    /// [`PackageError::Malformed`] where the package is pinned already.
    pub(super) fn add(&mut self, pin: Pin) -> Result<(), PackageError> {
        match self.pins.insert(pin.name.clone(), pin) {
            Some(before) => Err(malformed(&before.name, "it is pinned twice")),
            None => Ok(()),
        }
    }

    /// The pin of a package, by any spelling of its name.
    pub(super) fn get(&self, name: &str) -> Option<&Pin> {
        self.pins.get(&normal(name))
    }

    /// All pins, by name.
    pub(super) fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.pins.values()
    }

    /// The canonical text: sorted, one pin with its hashes below it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Pin { name, extras, version, marker, hashes } in self.pins() {
            text.push_str(name);
            if !extras.is_empty() {
                text.push_str(&format!("[{}]", extras.join(",")));
            }
            text.push_str(&format!("=={version}"));
            if !marker.is_empty() {
                text.push_str(&format!(" ; {marker}"));
            }
            for Hash { algorithm, hex } in hashes {
                text.push_str(&format!(" \\\n    --hash={algorithm}:{hex}"));
            }
            text.push('\n');
        }
        text
    }
}

/// A pin of `name`, made of what an installer's report says.
///
/// # Errors
/// [`PackageError::Unpinned`] without a hash, [`PackageError::Malformed`] for a name or a version that is none.
pub(super) fn pinned(
    name: &str,
    extras: &[String],
    version: &str,
    marker: &str,
    mut hashes: Vec<Hash>,
) -> Result<Pin, PackageError> {
    if !is_name(name) || !extras.iter().all(|extra| is_name(extra)) {
        return Err(malformed(name, "its name is no name of a package"));
    }
    if !is_version(version) {
        return Err(malformed(name, "its version is no version"));
    }
    if marker.chars().any(|c| c.is_control() || c == '#' || c == '\\') || marker.contains("--") {
        return Err(malformed(name, "its marker is none"));
    }
    hashes.sort();
    hashes.dedup();
    if hashes.is_empty() {
        return Err(PackageError::Unpinned { name: name.into(), from: "an index that gives no hash".into() });
    }
    let mut extras: Vec<String> = extras.iter().map(|extra| normal(extra)).collect();
    extras.sort();
    extras.dedup();
    Ok(Pin { name: normal(name), extras, version: version.into(), marker: marker.trim().into(), hashes })
}

/// A hash as locks write it, `sha256:HEX`. Weak algorithms pin nothing.
pub(super) fn hash(text: &str) -> Option<Hash> {
    let (algorithm, hex) = text.split_once(':')?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return None,
    };
    let hex = hex.to_ascii_lowercase();
    let fits = hex.len() == length && hex.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| Hash { algorithm: algorithm.into(), hex })
}

fn malformed(name: &str, reason: &str) -> PackageError {
    let what = if name.is_empty() { "requirements.lock".into() } else { format!("requirements.lock: {name}") };
    PackageError::Malformed { what, reason: reason.into() }
}

/// A comment begins at `#`, at the start of a line or after a blank.
fn without_comment(line: &str) -> &str {
    let at = line
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace)));
    at.and_then(|at| line.get(..at)).unwrap_or(line)
}

/// What says where packages come from, or which archives are taken: the configuration's affair, not the lock's.
fn is_index_option(line: &str) -> bool {
    let name = line.split(['=', ' ']).next().unwrap_or_default();
    matches!(
        name,
        "-i" | "--index-url"
            | "--extra-index-url"
            | "-f"
            | "--find-links"
            | "--no-index"
            | "--only-binary"
            | "--no-binary"
    )
}

fn pin(line: &str) -> Result<Pin, PackageError> {
    let mut words = line.split(" --");
    let head = words.next().unwrap_or_default().trim();
    let mut hashes = Vec::new();
    if head.starts_with('-') {
        let unpinned = head.strip_prefix("-e ").or_else(|| head.strip_prefix("--editable ")).map(str::trim);
        return Err(match unpinned {
            Some(from) => PackageError::Unpinned { name: from.into(), from: "a directory".into() },
            None => malformed(head, "it is an option that a lock does not have"),
        });
    }
    let (head, marker) = head.split_once(';').map_or((head, ""), |(head, marker)| (head.trim(), marker.trim()));
    if let Some((name, from)) = head.split_once('@') {
        return Err(PackageError::Unpinned { name: name.trim().into(), from: without_secrets(from.trim()) });
    }
    let Some((name, version)) = head.split_once("==") else {
        return Err(PackageError::Unpinned { name: without_secrets(head), from: "no exact version".into() });
    };
    for word in words {
        let found =
            word.trim().strip_prefix("hash").and_then(|rest| rest.trim_start().strip_prefix(['=', ' ']).or(Some(rest)));
        let found = found.and_then(|text| hash(text.trim()));
        hashes.push(found.ok_or_else(|| malformed(name.trim(), "a hash of it is none of SHA-2"))?);
    }
    let (name, extras) = match name.trim().split_once('[') {
        Some((name, rest)) => {
            let rest = rest.trim().strip_suffix(']').ok_or_else(|| malformed(name.trim(), "its extras do not end"))?;
            (name.trim(), rest.split(',').map(|extra| extra.trim().to_owned()).collect())
        }
        None => (name.trim(), Vec::new()),
    };
    pinned(name, &extras, version.trim(), marker, hashes)
}

/// An address without what stands before its `@`.
pub(super) fn without_secrets(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.into() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn what_uv_writes_is_read_and_written_in_one_form() {
        let text = format!(
            "# made by uv\n--index-url https://me:secret@pypi.example/simple\nTyping_Extensions==4.16.0 ; python_version < '3.13' \\\n    \
             --hash=sha256:{B} \\\n    --hash=sha256:{A}\n    # via anyio\nanyio[Trio,test]==4.1 --hash=sha256:{A} # why\n"
        );
        let lock = Lock::read(&text).unwrap();
        let expected = format!(
            "anyio[test,trio]==4.1 \\\n    --hash=sha256:{A}\ntyping-extensions==4.16.0 ; python_version < '3.13' \\\n    \
             --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
        );
        assert_eq!(lock.text(), expected);
        assert_eq!(Lock::read(&lock.text()).unwrap(), lock);
        assert_eq!(lock.get("typing.extensions").unwrap().hashes.len(), 2);
    }

    #[test]
    fn what_no_hash_pins_is_refused() {
        for line in [
            "x==1",
            "x>=1 --hash=sha256:A",
            "x",
            "-e ./x",
            "x @ git+https://github.com/x/y",
            "x @ file:///x",
            "./x.whl",
            "https://example.com/x.whl --hash=sha256:A",
        ] {
            let error = Lock::read(&line.replace("sha256:A", &format!("sha256:{A}"))).unwrap_err();
            assert!(matches!(error, PackageError::Unpinned { .. }), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let pin = format!("x==1 --hash=sha256:{A}\n");
        for text in [
            String::new(),
            format!("{pin}X==2 --hash=sha256:{A}"),
            "x==1 --hash=md5:d41d8cd98f00b204e9800998ecf8427e".into(),
            format!("x==1 --hash=sha256:{A}0"),
            format!("{pin}-r /etc/passwd"),
            format!("{pin}--constraint other.txt"),
            format!("x==1 --config-settings=a --hash=sha256:{A}"),
            format!("x==1,>0 --hash=sha256:{A}"),
            format!("x/../y==1 --hash=sha256:{A}"),
            format!("x[a==1 --hash=sha256:{A}"),
        ] {
            let error = Lock::read(&text).unwrap_err();
            assert!(matches!(error, PackageError::Malformed { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_of_addresses_are_not_told() {
        let error = Lock::read("x @ https://me:secret@example.com/x.whl?token=1").unwrap_err().to_string();
        assert!(
            error.contains("https://example.com/x.whl") && !error.contains("secret") && !error.contains("token"),
            "{error}"
        );
    }

    #[test]
    fn requirements_are_names_with_versions_only() {
        let spec = |name: &str, extras: &[&str], version: &str| PypiSpec {
            name: name.into(),
            extras: extras.iter().map(|extra| (*extra).to_owned()).collect(),
            version: version.into(),
        };
        assert_eq!(requirement(&spec("Mcp.server", &["cli", "ws"], ">=1,<2")).unwrap(), "Mcp.server[cli,ws]>=1,<2");
        assert_eq!(requirement(&spec("a", &[], "")).unwrap(), "a");
        assert_eq!(requirement(&spec("a", &[], "==1.*")).unwrap(), "a==1.*");
        for bad in [
            spec("-r", &[], ""),
            spec("", &[], ""),
            spec("a", &["b]"], ""),
            spec("a", &[], " @ git+https://x"),
            spec("a", &[], "==1\n-r x"),
            spec("a", &[], "1"),
            spec("a", &[], "==1 ; os_name == 'x'"),
            spec("./a", &[], ""),
        ] {
            assert!(requirement(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_compared_as_indexes_do() {
        assert_eq!(normal("A__b-.C"), "a-b-c");
        assert!(is_name("a.b_c-d"));
        for bad in ["", "-a", "a-", "a b", "ä", "a/b", ".."] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
