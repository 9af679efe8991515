//! From what uv and pip say when they fail to an error that says what to do. Pure.

use super::super::{Done, PackageError};
use super::requirements::{normal, without_secrets};

/// What a failed job was about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// The job, for people.
    pub(super) job: &'a str,
    /// The server's package.
    pub(super) name: &'a str,
    /// The index, for people.
    pub(super) registry: &'a str,
    /// Seconds that the job had.
    pub(super) seconds: u64,
    /// Packages whose source archives may be built.
    pub(super) scripts: &'a [String],
}

/// Lines of an installer's words that are kept.
const KEPT: usize = 12;

/// The error that a failed job stands for.
pub(super) fn error(done: &Done, about: &About<'_>) -> PackageError {
    let text = done.stderr.as_str();
    let failed = || PackageError::Failed {
        job: about.job.into(),
        status: done.status,
        said: tail(text),
        refused: done.refused.clone(),
    };
    if done.timed_out {
        return PackageError::TimedOut { job: about.job.into(), seconds: about.seconds };
    }
    if done.out_of_memory {
        return failed();
    }
    // uv wraps its reasons at the width of a terminal.
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let flat = flat.as_str();
    if has(flat, &["no space left on device", "(os error 28)", "disk quota exceeded", "[errno 28]"]) {
        return PackageError::DiskFull { path: "the store".into() };
    }
    if has(flat, &["hash mismatch for", "do not match the hashes"]) {
        return PackageError::Integrity {
            name: mismatched(flat).unwrap_or_else(|| about.name.into()),
            detail: tail(text).join(" "),
        };
    }
    if has(flat, &["not found in the cache", "because the network was disabled", "network connectivity is disabled"]) {
        return PackageError::Offline {
            name: between(flat, "Because ", " was not found").map_or_else(|| about.name.into(), package),
        };
    }
    if has(
        flat,
        &[
            "401 unauthorized",
            "403 forbidden",
            "status code: 401",
            "status code: 403",
            "401 error",
            "403 error",
            "401 client error",
            "403 client error",
            "407 proxy",
        ],
    ) {
        return PackageError::Denied { registry: about.registry.into(), detail: reason(text) };
    }
    if has(
        flat,
        &[
            "client error (connect)",
            "dns error",
            "error sending request",
            "connection refused",
            "temporary failure in name resolution",
            "name or service not known",
            "newconnectionerror",
            "nameresolutionerror",
            "connecttimeouterror",
            "max retries exceeded",
            "read timed out",
            "operation timed out",
            "certificate verify failed",
            "invalid peer certificate",
            "connection reset",
            "request failed after",
        ],
    ) {
        return PackageError::Unreachable {
            registry: about.registry.into(),
            detail: reason(text),
            refused: done.refused.clone(),
        };
    }
    if let Some(error) = built(text, flat, about, done) {
        return error;
    }
    match unsolved(flat, about) {
        // pip passes over an index that it does not reach without a word.
        Some(PackageError::NoPackage { .. }) if !done.refused.is_empty() => PackageError::Unreachable {
            registry: about.registry.into(),
            detail: reason(text),
            refused: done.refused.clone(),
        },
        Some(error) => error,
        None => failed(),
    }
}

/// A source archive that was built, or that had to be.
fn built(text: &str, flat: &str, about: &About<'_>, done: &Done) -> Option<PackageError> {
    for (before, after) in
        [("Failed to build `", "`"), ("Failed building wheel for ", " "), ("Failed to download and build `", "`")]
    {
        if let Some(name) = between(flat, before, after).map(package)
            && about.scripts.iter().any(|script| normal(script) == normal(&name))
        {
            return Some(PackageError::ScriptFailed { package: name, said: tail(text), refused: done.refused.clone() });
        }
    }
    None
}

/// A resolution without a solution.
fn unsolved(flat: &str, about: &About<'_>) -> Option<PackageError> {
    if let Some(name) = only_source(flat) {
        let detail = format!(
            "there is only its source archive, and to build that runs its code: allow it with `--allow-scripts {name}`"
        );
        return Some(PackageError::Unfit { name, detail });
    }
    for words in [
        "the current Python version (",
        "the requested Python version (",
        "Requires-Python",
        "require a different python version",
    ] {
        if let Some(at) = flat.find(words) {
            let detail = sentence(flat.get(at..).unwrap_or_default());
            let detail = detail.split(", we can conclude").next().unwrap_or_default();
            return Some(PackageError::Unfit { name: about.name.into(), detail: detail.into() });
        }
    }
    for words in [
        "matching platform tag",
        "matching Python ABI tag",
        "matching Python implementation tag",
        "matching Python version tag",
        "is not a supported wheel on this platform",
    ] {
        if flat.contains(words) {
            return Some(PackageError::Unfit { name: about.name.into(), detail: sentence(flat) });
        }
    }
    if let Some(name) = between(flat, "Because ", " was not found in the package registry").map(package) {
        return Some(PackageError::NoPackage { name, registry: about.registry.into() });
    }
    if let Some(what) =
        between(flat, "there is no version of ", " ").or_else(|| between(flat, "there are no versions of ", " "))
    {
        let what = what.trim_end_matches(',');
        let at = what.find(['=', '<', '>', '!', '~']).unwrap_or(what.len());
        let (name, version) = what.split_at(at);
        let name = name.split('[').next().unwrap_or(name);
        return Some(PackageError::NoVersion {
            version: plain(version),
            name: name.into(),
            registry: about.registry.into(),
        });
    }
    // pip says the same for a name that it does not know, for a version that is not there, and for a source archive alone.
    let wanted = between(flat, "Could not find a version that satisfies the requirement ", " (from versions: ")?;
    let wanted = wanted.split(" (from ").next().unwrap_or(wanted);
    let at = wanted.find(['=', '<', '>', '!', '~', ' ']).unwrap_or(wanted.len());
    let (name, version) = wanted.split_at(at);
    let name = name.split('[').next().unwrap_or(name);
    if flat.contains("(from versions: none)") {
        return Some(PackageError::NoPackage {
            name: name.into(),
            registry: format!("{} with an archive that needs no build", about.registry),
        });
    }
    Some(PackageError::NoVersion { version: plain(version), name: name.into(), registry: about.registry.into() })
}

/// The package that has source archives only.
pub(super) fn only_source(text: &str) -> Option<String> {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    between(&flat, "Wheels are required for `", "`").map(package).or_else(|| {
        let at = flat.find(" has no usable wheels")?;
        flat.get(..at)?.rsplit(' ').next().map(package)
    })
}

/// `==1.2` as a person would say it.
fn plain(version: &str) -> String {
    let version = version.trim();
    version.strip_prefix("==").unwrap_or(version).trim_start_matches('=').to_owned()
}

fn has(text: &str, needles: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    needles.iter().any(|needle| text.contains(needle))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let at = text.find(before)? + before.len();
    let rest = text.get(at..)?;
    rest.get(..rest.find(after)?)
}

/// The name at the front of `name[extra]==1.2`.
fn package(text: &str) -> String {
    let end = text.find(['=', '<', '>', '!', '~', '[', ' ', '`', '@']).unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim().to_owned()
}

/// The package whose archive is another one, in uv's words or pip's.
fn mismatched(flat: &str) -> Option<String> {
    between(flat, "Hash mismatch for `", "`").map(package).or_else(|| {
        let at = flat.find("DO NOT MATCH THE HASHES")?;
        flat.get(at..)?.split(' ').find(|word| word.contains("==")).map(package)
    })
}

/// The first sentence.
fn sentence(text: &str) -> String {
    let end = text.find(" hint: ").or_else(|| text.find(". ")).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(text);
    text.strip_prefix("error: ").unwrap_or(text).chars().take(400).collect()
}

/// The line that says most: the last cause, the hint about credentials, pip's last error.
fn reason(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["401", "403", "407"].iter().any(|code| line.contains(code))
            || line.starts_with("cause:")
            || line.starts_with("error:")
    };
    let line = lines().rfind(telling).or_else(|| lines().next_back()).unwrap_or("it says nothing");
    let line = line.strip_prefix("cause:").or_else(|| line.strip_prefix("hint:")).unwrap_or(line).trim();
    cleaned(line)
}

/// The end of what an installer said, without what could be a password.
pub(super) fn tail(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(KEPT)).map(|line| cleaned(line)).collect()
}

/// Addresses lose their passwords.
fn cleaned(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let Some(at) = word.find("://") else { return word.to_owned() };
        let start = word
            .get(..at)
            .and_then(|head| head.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '+'))
            .map_or(0, |at| at + 1);
        let (front, address) = word.split_at(start);
        if address.contains('@') { format!("{front}{}", without_secrets(address)) } else { word.to_owned() }
    });
    crate::diagnose::printable(&words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stderr: &str) -> PackageError {
        refused(stderr, &[])
    }

    fn refused(stderr: &str, hosts: &[&str]) -> PackageError {
        let done = Done {
            status: 1,
            stdout: Vec::new(),
            stderr: stderr.into(),
            refused: hosts.iter().map(|host| (*host).to_owned()).collect(),
            out_of_memory: false,
            timed_out: false,
        };
        let scripts = ["docopt".to_owned()];
        let about = About { job: "uv pip compile", name: "server", registry: "PyPI", seconds: 60, scripts: &scripts };
        error(&done, &about)
    }

    #[test]
    fn what_uv_says_is_understood() {
        let error = told(
            "error: No solution found when resolving dependencies\n  cause: Because mcp-zzz was not found in the package registry and you \
             require mcp-zzz, we can conclude that your requirements are unsatisfiable.\n",
        );
        assert!(matches!(error, PackageError::NoPackage { ref name, .. } if name == "mcp-zzz"), "{error}");
        let error = told(
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of\n      mcp-server-time==99.1 and you \
             require mcp-server-time==99.1, we can\n      conclude that your requirements are unsatisfiable.\n",
        );
        assert!(
            matches!(error, PackageError::NoVersion { ref name, ref version, .. } if name == "mcp-server-time" && version == "99.1"),
            "{error}"
        );
        let error = told(
            "error: No solution found\n  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can conclude\n\n\
             hint: Wheels are required for `docopt` because building from source is disabled for all packages (i.e., with `--no-build`)",
        );
        assert!(
            matches!(error, PackageError::Unfit { ref detail, .. } if detail.contains("--allow-scripts docopt")),
            "{error}"
        );
        let error = told(
            "error: No solution found\n  cause: Because the current Python version (3.8.18) does not satisfy Python>=3.10 and markitdown-mcp==0.0.1a7 \
             depends on Python>=3.10, we can conclude",
        );
        assert!(matches!(error, PackageError::Unfit { ref detail, .. } if detail.contains("3.8.18")), "{error}");
        let error = told(
            "error: Failed to download `attrs==1`\n  cause: Hash mismatch for `attrs==1`\n\n  Expected:\n    sha256:00\n",
        );
        assert!(matches!(error, PackageError::Integrity { ref name, .. } if name == "attrs"), "{error}");
        let error = told(
            "error: x\n  cause: Because attrs was not found in the cache and you require attrs==26.1.0, we can conclude",
        );
        assert!(matches!(error, PackageError::Offline { ref name } if name == "attrs"), "{error}");
        let error = told(
            "error: Request failed after 3 retries in 7.2s\n  cause: Failed to fetch: http://me:pw@h:9/simple/attrs/\n  cause: tcp connect error\n  \
             cause: Connection refused (os error 111)\n",
        );
        assert!(
            matches!(error, PackageError::Unreachable { ref detail, ref refused, .. } if detail.contains("refused") && refused.is_empty()),
            "{error}"
        );
        let error = told(
            "error: No solution found\n  cause: Because attrs was not found in the package registry and you require attrs, we\n\n\
             hint: An index URL (http://me:pw@h/simple) could not be queried due to a lack of valid authentication credentials (401 Unauthorized)",
        );
        assert!(
            matches!(error, PackageError::Denied { ref detail, .. } if detail.contains("401") && !detail.contains("pw")),
            "{error}"
        );
        let error =
            told("  × Failed to build `docopt==0.6.2`\n  ├─▶ The build backend returned an error\n  some output\n");
        assert!(matches!(error, PackageError::ScriptFailed { ref package, .. } if package == "docopt"), "{error}");
        assert!(matches!(
            told("error: failed\n cause: No space left on device (os error 28)"),
            PackageError::DiskFull { .. }
        ));
        assert!(
            matches!(told("error: something new"), PackageError::Failed { ref said, .. } if said == &["error: something new"])
        );
    }

    #[test]
    fn what_pip_says_is_understood() {
        let error = told(
            "ERROR: Could not find a version that satisfies the requirement mcp-zzz (from versions: none)\nERROR: No matching distribution \
             found for mcp-zzz",
        );
        assert!(matches!(error, PackageError::NoPackage { ref name, .. } if name == "mcp-zzz"), "{error}");
        let error = told(
            "ERROR: Could not find a version that satisfies the requirement time==99.1 (from versions: 0.5.1, 0.6.0)\n",
        );
        assert!(matches!(error, PackageError::NoVersion { ref version, .. } if version == "99.1"), "{error}");
        let error = told(
            "ERROR: Ignored the following versions that require a different python version: 0.0.1a7 Requires-Python >=3.10\nERROR: Could not find a \
             version that satisfies the requirement m==0.0.1a7 (from versions: none)",
        );
        assert!(matches!(error, PackageError::Unfit { .. }), "{error}");
        let error = told(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated\n    attrs==26.1.0 from https://x:\n \
             Expected sha256 00\n",
        );
        assert!(matches!(error, PackageError::Integrity { ref name, .. } if name == "attrs"), "{error}");
        let error = told(
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x>: [Errno 111] Connection refused')'\nERROR: \
             Could not find a version that satisfies the requirement attrs (from versions: none)",
        );
        assert!(matches!(error, PackageError::Unreachable { .. }), "{error}");
        let error = told(
            "WARNING: 401 Error, Credentials not correct for http://h/simple/attrs/\nERROR: Could not find a version that satisfies x",
        );
        assert!(matches!(error, PackageError::Denied { .. }), "{error}");
    }

    #[test]
    fn a_host_that_the_jail_refused_is_why_nothing_was_found() {
        let text = "ERROR: Could not find a version that satisfies the requirement attrs (from versions: none)";
        let error = refused(text, &["cdn.example:443"]);
        assert!(matches!(error, PackageError::Unreachable { ref refused, .. } if refused.len() == 1), "{error}");
        assert!(matches!(told(text), PackageError::NoPackage { .. }));
    }

    #[test]
    fn words_that_a_package_chose_do_not_reach_the_terminal() {
        let error = told("error: \u{1b}[2Jfine https://me:pw@h/x\u{202e}");
        let PackageError::Failed { said, .. } = error else { unreachable!() };
        assert!(!said[0].contains('\u{1b}') && !said[0].contains('\u{202e}') && !said[0].contains("pw"), "{said:?}");
    }
}
