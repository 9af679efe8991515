//! Package runners (`npx`, `uvx`, `uv run` …): what they were asked for, and how the same is installed once.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Context;
use super::error::{CommandError, lossy, quote, quote_all};
use super::refuse::is_option;
use crate::diagnose::Diagnose;
use crate::packages::line;

/// Where the hints suggest to install a server that is run by `uv run`.
const SERVERS: &str = ".local/share/mcp-servers";

/// Options of `uv run` that take a value.
const UV_VALUED: &[&str] = &[
    "--from",
    "--with",
    "-w",
    "--with-editable",
    "--python",
    "-p",
    "--index",
    "--index-url",
    "-i",
    "--extra-index-url",
    "--cache-dir",
    "--color",
    "--config-file",
    "--constraints",
    "-c",
    "--default-index",
    "--directory",
    "--env-file",
    "--exclude-newer",
    "--find-links",
    "-f",
    "--keyring-provider",
    "--link-mode",
    "--overrides",
    "--prerelease",
    "--project",
    "--python-platform",
    "--refresh-package",
    "--resolution",
    "--upgrade-package",
    "--with-requirements",
];

/// The name in `name[extra]==1.2`, `name@latest`.
fn python_name(spec: &str) -> &str {
    spec.split(['[', '=', '<', '>', '~', '!', '@', ' ', ';']).next().unwrap_or(spec)
}

/// A directory name for a package: its last part, reduced to harmless characters.
fn directory_name(package: &str) -> String {
    let last = package.trim_end_matches(".git").rsplit('/').next().unwrap_or(package);
    let name: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).collect();
    if name.trim_matches('.').is_empty() { "server".into() } else { name }
}

fn words(list: &[String]) -> String {
    quote_all(&list.iter().map(OsString::from).collect::<Vec<_>>())
}

/// The error for a runner that `mcpjail add` understands, with the line to type; for one that it does not, with why.
fn needs_store(runner: &str, name: &str, arguments: &[OsString], context: &Context) -> CommandError {
    let line: Vec<OsString> = std::iter::once(name.into()).chain(arguments.iter().cloned()).collect();
    let hint = match line::read(&line, &context.cwd) {
        Ok(request) => {
            let server = line::server_name(&request);
            format!("install it once: `mcpjail add {server} --{}`, then `mcpjail run {server}`", quote_all(&line))
        }
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            format!("{error}; {hint}")
        }
    };
    CommandError::NeedsPackageStore { runner: runner.into(), hint }
}

/// Position of the first word that is no option, given the options that take a value.
pub(super) fn verb(arguments: &[OsString], valued: &[&str]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        if !is_option(word) {
            return Some(at);
        }
        at += if valued.iter().any(|name| word == name) { 2 } else { 1 };
    }
    None
}

pub(super) fn tail(arguments: &[OsString], from: usize) -> &[OsString] {
    arguments.get(from..).unwrap_or_default()
}

/// Runners that download what they run.
pub(super) fn runner(name: &str, arguments: &[OsString], context: &Context) -> Option<CommandError> {
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let verb_at = |valued: &[&str], verbs: &[&str]| verb(arguments, valued).filter(|at| verbs.contains(&word(*at)));
    let store = |runner: &str, name: &str| Some(needs_store(runner, name, arguments, context));
    match name {
        "npx" | "npx-cli.js" => store("npx", "npx"),
        "npm" | "npm-cli.js" => {
            let at = verb_at(&["--prefix", "-C", "-w", "--workspace", "--loglevel", "--cache"], &["exec", "x"])?;
            store(&format!("npm {}", word(at)), "npm")
        }
        "bunx" | "pnpx" | "uvx" => store(name, name),
        "bun" => verb_at(&["--cwd"], &["x"]).and_then(|_| store("bun x", "bun")),
        "pnpm" => {
            verb_at(&["--dir", "-C", "--filter", "-F", "--package"], &["dlx"]).and_then(|_| store("pnpm dlx", "pnpm"))
        }
        "yarn" => verb_at(&["--cwd"], &["dlx"]).and_then(|_| store("yarn dlx", "yarn")),
        "uv" => uv(arguments, context),
        "pipx" => verb_at(&[], &["run"]).and_then(|_| store("pipx run", "pipx")),
        "deno" => {
            let remote = |word: &&OsString| {
                let text = word.to_string_lossy();
                ["npm:", "jsr:", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
            };
            let at = arguments.iter().position(|word| !is_option(word) && word != "run" && word != "serve")?;
            arguments.get(at).filter(remote).and_then(|_| store("deno run", "deno"))
        }
        _ => None,
    }
}

/// `uv run` and `uv tool run`.
fn uv(arguments: &[OsString], context: &Context) -> Option<CommandError> {
    let at = verb(arguments, UV_VALUED)?;
    if arguments.get(at)? == "tool" && arguments.get(at + 1)? == "run" {
        return Some(needs_store("uv tool run", "uv", arguments, context));
    }
    if arguments.get(at)? != "run" {
        return None;
    }
    let hint = uv_run_hint(arguments, at, context);
    Some(CommandError::NeedsPackageStore { runner: "uv run".into(), hint })
}

fn uv_run_hint(arguments: &[OsString], run: usize, context: &Context) -> String {
    let (mut project, mut with, mut program) = (None, Vec::new(), run + 1);
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        let text = lossy(word);
        let (name, inline) = match text.split_once('=').filter(|_| text.starts_with("--")) {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        let more = ["--extra", "--group", "--package", "--only-group", "--no-group"];
        let takes = UV_VALUED.contains(&name) || more.contains(&name);
        let value = inline.clone().or_else(|| arguments.get(at + 1).map(|value| lossy(value)));
        if at == run {
            at += 1;
            continue;
        }
        if !is_option(word) {
            program = at;
            break;
        }
        match name {
            "--directory" | "--project" => project = value,
            "--with" | "-w" => with.extend(value),
            "--" => {
                program = at + 1;
                break;
            }
            _ => {}
        }
        at += if takes && inline.is_none() { 2 } else { 1 };
        program = at;
    }
    let found = || {
        let mut above = context.cwd.ancestors().take_while(|dir| *dir != context.home);
        above.find(|dir| dir.join("pyproject.toml").is_file()).map(|dir| dir.to_string_lossy().into_owned())
    };
    let project = project.or_else(|| found().filter(|_| with.is_empty()));
    let rest = tail(arguments, program + 1);
    let Some(command) = arguments.get(program).map(|word| lossy(word)) else {
        return "name the program of the environment: `mcpjail run -- .venv/bin/PROGRAM ARGUMENTS`".into();
    };
    let (prepare, bin, base) = match &project {
        Some(project) => {
            let shown = quote(OsStr::new(project));
            (
                format!("uv sync --project {shown}"),
                format!("{}/.venv/bin", project.trim_end_matches('/')),
                project.clone(),
            )
        }
        None => {
            let stem = command.trim_end_matches(".py");
            let name = directory_name(with.first().map_or(stem, |spec| python_name(spec)));
            let home = context.home.to_string_lossy();
            let dir = format!("{home}/{SERVERS}/{name}");
            let python = quote(OsStr::new(&format!("{dir}/bin/python")));
            let shown = quote(OsStr::new(&dir));
            let install = if with.is_empty() {
                String::new()
            } else {
                format!(" && uv pip install --python {python}{}", words(&with))
            };
            (format!("uv venv {shown}{install}"), format!("{dir}/bin"), String::new())
        }
    };
    let script = command.ends_with(".py");
    let beside = if base.is_empty() {
        command.clone()
    } else {
        PathBuf::from(&base).join(&command).to_string_lossy().into_owned()
    };
    let line = match (script, command.as_str()) {
        (true, _) => format!("{} {}", quote(OsStr::new(&format!("{bin}/python"))), quote(OsStr::new(&beside))),
        (false, "python" | "python3") => quote(OsStr::new(&format!("{bin}/python"))),
        (false, _) => quote(OsStr::new(&format!("{bin}/{command}"))),
    };
    format!("make the environment once: `{prepare}`, then `mcpjail run -- {line}{}`", quote_all(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages() {
        assert_eq!(python_name("mcp[cli]>=1"), "mcp");
        assert_eq!(directory_name("@a/b"), "b");
        assert_eq!(directory_name(".."), "server");
    }
}
