//! Names and versions as npm and Python's packaging write them.
//!
//! What passes here is handed to an installer as one word. It must be read there as a name and a version and as nothing
//! else: npm takes `x@a.tgz`, `a/b` and `~/x` for a file or a repository, uv takes `x.whl` and `x @ URL` for an archive,
//! and either takes a leading `-` for an option.

use super::{Read, Refusal};
use crate::packages::{NpmSpec, PypiSpec};

/// The longest name of an npm package, characters (`validate-npm-package-name`).
const LONGEST_NPM: usize = 214;
/// Longest name of a Python package and longest version of either kind: ours, far above any that exist.
const LONGEST: usize = 200;

/// Whether this can only be the name of a package in an npm registry.
///
/// The rules of `validate-npm-package-name` for packages that exist, capitals included, without the characters `~'!()*`
/// of a few very old names, and without the names that npm takes for files.
#[must_use]
pub fn is_npm_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let lower = name.to_ascii_lowercase();
    if name.len() > LONGEST_NPM || is_file_name(&lower) || matches!(lower.as_str(), "node_modules" | "favicon.ico") {
        return false;
    }
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| plain(scope) && plain(name)),
        None => plain(name) && !name.starts_with(['_', '-']),
    }
}

/// Endings by which npm and uv take a word for an archive.
fn is_file_name(lower: &str) -> bool {
    [".tgz", ".tar", ".gz", ".bz2", ".xz", ".lzma", ".zst", ".zip", ".whl"].iter().any(|end| lower.ends_with(end))
}

/// Whether npm reads this as an exact version, a range of one comparator, or a tag.
#[must_use]
pub fn is_npm_version(version: &str) -> bool {
    let lower = version.to_ascii_lowercase();
    if version.is_empty() || version.len() > LONGEST || is_file_name(&lower) {
        return false;
    }
    let tag_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let first = version.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if first && tag_chars(version) {
        return true;
    }
    let number = version.trim_start_matches(['^', '~', '>', '<', '=']);
    let operator = version.get(..version.len() - number.len()).unwrap_or_default();
    if !matches!(operator, "" | "^" | "~" | ">" | "<" | "=" | ">=" | "<=") {
        return false;
    }
    let number = number.strip_prefix('v').unwrap_or(number);
    let (number, build) = number.split_once('+').map_or((number, None), |(number, build)| (number, Some(build)));
    let (number, before) = number.split_once('-').map_or((number, None), |(number, before)| (number, Some(before)));
    let part =
        |part: &str| matches!(part, "x" | "X" | "*") || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let labels = |text: Option<&str>| {
        text.is_none_or(|text| {
            text.split('.')
                .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        })
    };
    number.split('.').count() <= 3 && number.split('.').all(part) && labels(before) && labels(build)
}

/// Reads `NAME`, `NAME@VERSION`, `@SCOPE/NAME@VERSION`.
pub(super) fn npm_spec(text: &str) -> Read<NpmSpec> {
    let at = text.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
    let (name, version) = match at {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    if let Some(refusal) = npm_elsewhere(text, name, version) {
        return Err(refusal);
    }
    if !is_npm_name(name) {
        let hint = if name.is_empty() {
            "name the package: `mcpjail add NAME -- npx -y PACKAGE`"
        } else {
            "a name is like `server` or `@scope/server`, of letters, digits, `.`, `_` and `-`: \
             `mcpjail add NAME -- npx -y @scope/server`"
        };
        return Err(Refusal::new(format!("`{name}` is no name of the npm registry"), hint));
    }
    let version = version.unwrap_or("latest");
    if !is_npm_version(version) {
        let reason = format!("`{version}` is no version, range or tag that one word can be");
        let hint =
            format!("give a version such as `{name}@1.2.3`, a range such as `{name}@^1.2`, or a tag: `{name}@latest`");
        return Err(Refusal::new(reason, hint));
    }
    Ok(NpmSpec { name: name.to_owned(), version: version.to_owned() })
}

/// What npm would fetch from somewhere else than a registry.
fn npm_elsewhere(text: &str, name: &str, version: Option<&str>) -> Option<Refusal> {
    let version = version.unwrap_or_default();
    if let Some(other) = version.strip_prefix("npm:") {
        let reason = format!("`{name}` is an alias here: another package under its name");
        return Some(Refusal::new(reason, format!("name the package itself: `mcpjail add NAME -- npx -y {other}`")));
    }
    let is_path = |text: &str| {
        ["file:", "link:", "~/"].iter().any(|start| text.starts_with(start))
            || text.starts_with(['.', '/'])
            || text == "~"
    };
    let word = if version.is_empty() { text } else { version };
    if is_path(text) || is_path(version) {
        let path = word.trim_start_matches("file:").trim_start_matches("link:");
        let reason = format!("`{word}` is a path, not a package of a registry");
        return Some(Refusal::new(reason, format!("add the code where it lies: `mcpjail add NAME -- node {path}`")));
    }
    let hosted = !text.starts_with('@') && (text.contains('/') || text.contains(':'));
    if hosted || version.contains('/') || version.contains(':') {
        let reason = format!("`{word}` is a repository or an address, whose content no hash pins");
        let hint = "name the package that the registry has (`mcpjail add NAME -- npx -y PACKAGE`), or clone and build it \
                    and add that: `mcpjail add NAME -- node PATH/dist/index.js`";
        return Some(Refusal::new(reason, hint));
    }
    None
}

/// Whether this is a name by PEP 508 that no installer takes for a file.
#[must_use]
pub fn is_python_name(name: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    name.len() <= LONGEST
        && edge(name.bytes().next())
        && edge(name.bytes().next_back())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !is_file_name(&name.to_ascii_lowercase())
}

/// The form of PEP 503 in which names of Python packages are compared: lower case, one `-` for each run of `-_.`.
#[must_use]
pub fn python_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' => {
                if !key.ends_with('-') {
                    key.push('-');
                }
            }
            c => key.push(c.to_ascii_lowercase()),
        }
    }
    key
}

/// Whether this is a version by PEP 440, in any of its spellings: `1!2.0rc1.post2.dev3+local.4`.
#[must_use]
pub fn is_python_version(version: &str) -> bool {
    if version.len() > LONGEST || !version.is_ascii() {
        return false;
    }
    let lower = version.to_ascii_lowercase();
    let rest = lower.strip_prefix('v').unwrap_or(&lower);
    let (rest, local) = rest.split_once('+').map_or((rest, None), |(rest, local)| (rest, Some(local)));
    let alphanumeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !local.is_none_or(|local| local.split(['.', '-', '_']).all(alphanumeric)) {
        return false;
    }
    let rest = match rest.split_once('!') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
        Some(_) => return false,
        None => rest,
    };
    let Some(mut rest) = release(rest) else { return false };
    for labels in [&["alpha", "beta", "preview", "pre", "rc", "a", "b", "c"][..], &["post", "rev", "r"], &["dev"]] {
        rest = suffix(rest, labels);
        // `1.0-1` is `1.0.post1`.
        if let Some(number) = rest.strip_prefix('-').filter(|_| labels.contains(&"post")) {
            let after = number.trim_start_matches(|c: char| c.is_ascii_digit());
            rest = if after.len() < number.len() { after } else { rest };
        }
    }
    rest.is_empty()
}

/// What follows the numbers of a version; `None` where it does not begin with one.
fn release(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() == rest.len() {
            return None;
        }
        match after.strip_prefix('.') {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => return Some(after),
        }
    }
}

/// What follows one label with its number, where the text begins with one.
fn suffix<'a>(text: &'a str, labels: &[&str]) -> &'a str {
    let body = text.strip_prefix(['.', '-', '_']).unwrap_or(text);
    let Some(after) = labels.iter().find_map(|label| body.strip_prefix(label)) else { return text };
    let number = after.strip_prefix(['.', '-', '_']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    number.unwrap_or(after).trim_start_matches(|c: char| c.is_ascii_digit())
}

/// `==1.2.*, <2` without its blanks; `None` where it is none of PEP 440.
fn specifiers(text: &str) -> Option<String> {
    let mut clauses = Vec::new();
    for clause in text.split(',') {
        let clause = clause.trim();
        let operator = ["==", "!=", ">=", "<=", "~=", ">", "<"].into_iter().find(|o| clause.starts_with(o))?;
        let version = clause.strip_prefix(operator)?.trim();
        let whole = version.strip_suffix(".*").filter(|_| matches!(operator, "==" | "!=")).unwrap_or(version);
        if !is_python_version(whole) || (operator == "~=" && !whole.contains('.')) {
            return None;
        }
        clauses.push(format!("{operator}{version}"));
    }
    Some(clauses.join(","))
}

/// Reads a requirement of PEP 508 without marker, or uvx's `NAME@VERSION`.
pub(super) fn python_spec(text: &str) -> Read<PypiSpec> {
    let text = text.trim();
    if let Some((requirement, _)) = text.split_once(';') {
        let hint = format!("name the package alone: `{}`", requirement.trim());
        return Err(Refusal::new("markers (`; …`) are for lists of dependencies", hint));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (extras, rest) = match rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((extras, rest)) => (Some(extras), rest.trim()),
        None => (None, rest.trim()),
    };
    if let Some(refusal) = python_elsewhere(text, rest) {
        return Err(refusal);
    }
    if !is_python_name(name) {
        let hint =
            "a name is like `mcp-server-git`, of letters, digits, `.`, `_` and `-`: `mcpjail add NAME -- uvx PACKAGE`";
        return Err(Refusal::new(
            format!("`{}` is no name of the Python index", if name.is_empty() { text } else { name }),
            hint,
        ));
    }
    let mut extras: Vec<String> = extras
        .map(|extras| {
            extras.split(',').map(|extra| extra.trim().to_owned()).filter(|extra| !extra.is_empty()).collect()
        })
        .unwrap_or_default();
    extras.sort();
    extras.dedup();
    if let Some(extra) = extras.iter().find(|extra| !is_python_name(extra)) {
        let reason = format!("`{extra}` is no name of an extra");
        return Err(Refusal::new(reason, format!("extras stand in brackets behind the name: `{name}[extra]`")));
    }
    let version = match rest.strip_prefix('@').map(str::trim) {
        Some("latest") => Some(String::new()),
        Some(version) => is_python_version(version).then(|| format!("=={version}")),
        None if rest.is_empty() => Some(String::new()),
        None => specifiers(rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest)),
    };
    let Some(version) = version else {
        let hint = format!("give a version as `{name}==1.2.3`, or a range as `{name}>=1.2,<2`");
        return Err(Refusal::new(format!("`{rest}` is no version of a Python package"), hint));
    };
    Ok(PypiSpec { name: name.to_owned(), extras, version })
}

/// What uv would fetch from somewhere else than an index.
fn python_elsewhere(text: &str, rest: &str) -> Option<Refusal> {
    if text.contains("://") || text.starts_with("git+") {
        let reason = format!("`{text}` is an address, whose content no hash pins");
        let hint = "name the package that the index has (`mcpjail add NAME -- uvx PACKAGE`), or install it into a virtual \
                    environment and add that: `mcpjail add NAME -- PATH/.venv/bin/PROGRAM`";
        return Some(Refusal::new(reason, hint));
    }
    let lower = text.to_ascii_lowercase();
    if text.starts_with(['.', '/', '~']) || text.contains('/') || rest.contains('\\') || is_file_name(&lower) {
        let reason = format!("`{text}` is a path, not a package of an index");
        let hint = "install it into a virtual environment and add that: `uv venv PATH/.venv`, \
                    `mcpjail add NAME -- PATH/.venv/bin/PROGRAM`";
        return Some(Refusal::new(reason, hint));
    }
    None
}

/// Whether a program of a package can be called so: one plain word that is no option and no path.
pub(super) fn is_program(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= LONGEST
        && !word.starts_with(['-', '.'])
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@'))
}

/// Whether this is the name of a Python module: `package.module`.
pub(super) fn is_module(word: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    word.len() <= LONGEST && word.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_names() {
        for name in ["a", "mcp-server", "@scope/x", "JSONStream", "@s_c.o-pe/_x", "@-x/-y", "x.js", "1a", "socket.io"] {
            assert!(is_npm_name(name), "{name}");
        }
        let long = "a".repeat(215);
        for name in [
            "",
            "@",
            "@/",
            "@a",
            "@a/",
            "@/b",
            "@a/b/c",
            "a/b",
            ".a",
            "_a",
            "-a",
            "--x",
            "a b",
            "a\nb",
            "ä",
            "a@b",
            "a:b",
            "~a",
            "a!",
            "a(b)",
            "@../x",
            "@a/..",
            "@a/.b",
            "x.tgz",
            "x.tar.gz",
            "X.TAR",
            "node_modules",
            "Favicon.ico",
            "a%2fb",
            "$x",
            "a;b",
            "a\0",
            "\u{430}bc",
            &long,
        ] {
            assert!(!is_npm_name(name), "{name:?}");
        }
        assert!(is_npm_name(&"a".repeat(214)));
    }

    #[test]
    fn npm_versions() {
        for version in [
            "1",
            "1.2",
            "1.2.3",
            "v1.2.3",
            "=1.2.3",
            "^1",
            "~1.2",
            ">=1.0.0",
            "<2",
            "1.x",
            "1.2.*",
            "*",
            "x",
            "latest",
            "next",
            "beta-2",
            "1.2.3-rc.1",
            "1.2.3-rc.1+build.5",
            "2026.8.31",
            "0.0.1-alpha.0",
            "canary",
        ] {
            assert!(is_npm_version(version), "{version}");
        }
        for version in [
            "",
            "-1",
            "--registry=x",
            "1 || 2",
            ">=1 <2",
            "1 - 2",
            "file:x",
            "git+ssh://x",
            "npm:y",
            "a/b",
            "1.2.3.4",
            "1.0.tgz",
            "x.tar.gz",
            "~/x",
            "./x",
            ".",
            "..",
            "1..2",
            "^^1",
            "><1",
            "1.2.3-",
            "1.2.3+",
            "lat est",
            "$x",
            "1;2",
            "é",
            "1\n",
            "@1",
            "=v=1",
        ] {
            assert!(!is_npm_version(version), "{version:?}");
        }
    }

    #[test]
    fn python_versions() {
        for version in [
            "1",
            "1.2.3",
            "v1.0",
            "1!2.0",
            "2026.10.24",
            "0.0.1a7",
            "1.0rc1",
            "1.0-rc.1",
            "1.0.post1",
            "1.0-1",
            "1.0.dev3",
            "1.0a1.post2.dev3+local.4",
            "1.0ALPHA2",
            "1.0+ubuntu-1",
            "1.0.preview_2",
            "1.0r5",
        ] {
            assert!(is_python_version(version), "{version}");
        }
        for version in
            ["", "latest", "-1", "1.", ".1", "1..2", "1.0+", "1.0x", "1 2", "1.0a1b2", "!1", "1.*", "a", "1.0-", "é"]
        {
            assert!(!is_python_version(version), "{version:?}");
        }
    }

    #[test]
    fn python_names() {
        for name in ["a", "mcp-server-git", "Flask", "zope.interface", "a_b", "2to3"] {
            assert!(is_python_name(name), "{name}");
        }
        for name in ["", "-a", "a-", ".a", "a.", "a b", "a/b", "ä", "x.whl", "x.tar.gz", "x.zip", "a\n"] {
            assert!(!is_python_name(name), "{name:?}");
        }
        assert_eq!(python_key("Zope.._-Interface_X"), "zope-interface-x");
    }

    #[test]
    fn requirements() {
        let read = |text| python_spec(text).map(|PypiSpec { name, extras, version }| (name, extras.join("+"), version));
        let spec = |name: &str, extras: &str, version: &str| Ok((name.into(), extras.into(), version.into()));
        assert_eq!(read("a"), spec("a", "", ""));
        assert_eq!(read("a[z, b,b]==1.0"), spec("a", "b+z", "==1.0"));
        assert_eq!(read(" a [x] >= 1.0 , < 2 "), spec("a", "x", ">=1.0,<2"));
        assert_eq!(read("a@1.2"), spec("a", "", "==1.2"));
        assert_eq!(read("a[x]@latest"), spec("a", "x", ""));
        assert_eq!(read("a (>=1)"), spec("a", "", ">=1"));
        assert_eq!(read("a~=1.4"), spec("a", "", "~=1.4"));
        assert_eq!(read("a==1.*"), spec("a", "", "==1.*"));
        assert_eq!(read("a[]"), spec("a", "", ""));
        for text in [
            "",
            "a>=1.*",
            "a~=1",
            "a=1",
            "a===1",
            "a==",
            "a==1,",
            "a==1 b",
            "a[x",
            "a[-x]",
            "a[x]y",
            "a;python_version<'3'",
            "a @ https://x/y.whl",
            "git+https://x/y",
            "https://x",
            "./a",
            "/a",
            "~/a",
            "a/b",
            "a.whl",
            "a@",
            "a@>=1",
            "a@git",
            "-r",
            "--index-url=x",
            "a --x",
            "a\n--x",
            "a==1\n-i x",
        ] {
            assert!(python_spec(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn npm_specs_from_elsewhere_are_told_what_to_type() {
        for (text, hint) in [
            ("x@npm:y@1", "npx -y y@1"),
            ("github:u/r", "clone"),
            ("u/r", "clone"),
            ("git+https://h/r.git", "clone"),
            ("https://h/x.tgz", "clone"),
            ("@s/x@git+ssh://h/r", "clone"),
            ("./dir", "node ./dir"),
            ("x@file:../y", "node ../y"),
            ("/abs", "node /abs"),
            ("x@~/y", "node ~/y"),
            ("x@", "x@^1.2"),
            ("x@>=1 <2", "x@^1.2"),
            ("x@1.tgz", "x@1.2.3"),
            ("", "PACKAGE"),
            ("<your-package>", "@scope/server"),
        ] {
            let refusal = npm_spec(text).unwrap_err();
            assert!(refusal.hint.contains(hint), "{text}: {refusal:?}");
        }
    }
}
