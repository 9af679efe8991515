//! Hints for commands that lead nowhere: where else a program is, how it is installed, which name comes nearest.
//! All of this is on the way to an error, so it may take its time.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{CommandError, quote};
use super::{Context, files, shim};
use crate::packages::{Ecosystem, squat};

/// The error for a file that the kernel would not execute, with the way to run it.
pub(super) fn not_executable(path: PathBuf, why: &str) -> CommandError {
    let shown = quote(path.as_os_str());
    let by = match path.extension().and_then(OsStr::to_str) {
        Some("js" | "mjs" | "cjs") => Some("node"),
        Some("py") => Some("python3"),
        Some("sh") => Some("sh"),
        Some("jar") => Some("java -jar"),
        _ => None,
    };
    let hint = match by {
        Some(by) => Some(format!("run it by its interpreter: `mcpjail run -- {by} {shown}`")),
        None if path.is_file() => Some(format!("if it is a program: `chmod +x {shown}`")),
        None => None,
    };
    CommandError::NotExecutable { path, why: why.into(), hint }
}

/// What is wrong with a `#!` line, where that can be seen.
pub(super) fn interpreter_hint(name: &OsStr, script: &Path) -> Option<String> {
    let shown = quote(script.as_os_str());
    if name.as_bytes().ends_with(b"\r") {
        return Some(format!("the script has Windows line ends: `sed -i 's/\\r$//' {shown}`"));
    }
    if name.as_bytes().contains(&b' ') {
        return Some("the first line gives `env` several words: write `#!/usr/bin/env -S` there".into());
    }
    let root = script.parent().and_then(Path::parent)?;
    if root.join("pyvenv.cfg").is_file() {
        let root = quote(root.as_os_str());
        return Some(format!(
            "the virtual environment was moved, or its Python is gone: `python3 -m venv --clear {root}`"
        ));
    }
    None
}

/// For a name that is not in `PATH`: where else it is, how it is installed, or the name that comes nearest.
pub(super) fn suggestion(name: &OsStr, dirs: &[PathBuf], context: &Context) -> Option<String> {
    let home = &context.home;
    let mut elsewhere: Vec<PathBuf> = ["pyenv", "nodenv", "asdf", "mise", "volta"]
        .iter()
        .filter_map(|manager| shim::known_dirs(context, manager))
        .collect();
    for below in [".local/bin", ".bun/bin", ".deno/bin", ".cargo/bin", "go/bin", ".npm-global/bin"] {
        elsewhere.push(home.join(below));
    }
    let nvm = context.var("NVM_DIR").map_or_else(|| home.join(".nvm"), PathBuf::from).join("versions/node");
    let mut versions: Vec<PathBuf> =
        nvm.read_dir().into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    elsewhere.extend(versions.into_iter().rev());
    elsewhere.push("/home/linuxbrew/.linuxbrew/bin".into());
    if let files::Search::Found(path) = files::search(name, &elsewhere) {
        return Some(format!(
            "it is not in PATH, but there is one; name it in full: `mcpjail run -- {}`",
            quote(path.as_os_str())
        ));
    }
    let text = name.to_str()?;
    let install = match text {
        "node" | "nodejs" => Some("install Node.js: `apt install nodejs` or https://nodejs.org"),
        "python" => Some("the program may be called `python3`; install it: `apt install python3`"),
        "python3" => Some("install Python: `apt install python3`"),
        "deno" => Some("install Deno: https://deno.com"),
        "bun" => Some("install Bun: https://bun.sh"),
        "java" => Some("install Java: `apt install default-jre-headless`"),
        _ => None,
    };
    if let Some(install) = install {
        return Some(install.into());
    }
    // A server's name in place of a command that starts it.
    if let Some(ecosystem) = squat::published(text) {
        let runner = if ecosystem == Ecosystem::Npm { "npx -y" } else { "uvx" };
        return Some(format!("it is a package; install it: `mcpjail add NAME -- {runner} {text}`"));
    }
    let names = dirs.iter().filter_map(|dir| dir.read_dir().ok()).flatten().flatten().map(|entry| entry.file_name());
    let near = nearest(text, names)?;
    Some(format!("did you mean `{near}`?"))
}

/// For a path that does not exist: the name beside it that comes nearest.
pub(super) fn nearest_file(name: &OsStr, cwd: &Path) -> Option<String> {
    let path = files::absolute(Path::new(name), cwd);
    let dir = path.parent()?;
    let entries = dir.read_dir().ok()?.flatten().map(|entry| entry.file_name());
    let near = nearest(files::name_of(&path).to_str()?, entries)?;
    Some(format!("did you mean `{}`?", dir.join(near).display()))
}

/// The most similar name, if it is similar enough to be a slip of the finger.
fn nearest(text: &str, names: impl Iterator<Item = OsString>) -> Option<String> {
    let scored = names.take(20_000).filter_map(|name| {
        let name = name.into_string().ok()?;
        let score = strsim::jaro_winkler(text, &name);
        (score > 0.88 && name != text).then_some((score, name))
    });
    scored.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1))).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_servers_are_packages() {
        let home = tempfile::tempdir().unwrap();
        let context = Context {
            cwd: "/".into(),
            home: home.path().into(),
            path: OsString::new(),
            env: std::collections::BTreeMap::new(),
        };
        let hint = |name: &str| suggestion(OsStr::new(name), &[], &context);
        assert!(hint("mcp-server-git").unwrap().ends_with("`mcpjail add NAME -- uvx mcp-server-git`"));
        assert!(hint("firecrawl-mcp").unwrap().ends_with("`mcpjail add NAME -- npx -y firecrawl-mcp`"));
        assert_eq!(hint("no-such-thing"), None);
    }
}
