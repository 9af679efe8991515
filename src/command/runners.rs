//! Package runners (`npx`, `uvx`, `uv run` …): what they were asked for, and how the same is installed once.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::error::{CommandError, lossy, quote, quote_all};
use super::refuse::is_option;
use super::{Context, files};

/// Where the hints suggest to install a server.
const SERVERS: &str = ".local/share/mcp-servers";

/// What a package runner was asked for.
#[derive(Debug, Default)]
struct Request {
    /// Packages to be installed.
    packages: Vec<String>,
    /// The program to run, where it is named apart from the package.
    program: Option<String>,
    /// Its arguments.
    arguments: Vec<OsString>,
    /// Options that the install command needs too (`--python 3.12`).
    kept: Vec<OsString>,
}

/// The options of a runner: those that name packages, those that take a value and are kept, those that take one and are not.
struct Grammar {
    packages: &'static [&'static str],
    kept: &'static [&'static str],
    valued: &'static [&'static str],
}

const NPX: Grammar = Grammar {
    packages: &["-p", "--package"],
    kept: &["--registry"],
    valued: &["-c", "--call", "--cache", "--userconfig", "--prefix", "-C", "-w", "--workspace", "--loglevel"],
};

const UVX: Grammar = Grammar {
    packages: &["--from"],
    kept: &["--with", "-w", "--with-editable", "--python", "-p", "--index", "--index-url", "-i", "--extra-index-url"],
    valued: &[
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
    ],
};

const PIPX: Grammar =
    Grammar { packages: &["--spec"], kept: &["--python", "--index-url", "-i", "--pip-args"], valued: &["--with"] };

fn request(grammar: &Grammar, arguments: &[OsString]) -> Request {
    let mut request = Request::default();
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if !is_option(word) {
            break;
        }
        let text = lossy(word);
        let (name, inline) = match text.split_once('=').filter(|_| text.starts_with("--")) {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let known = |list: &[&str]| list.contains(&name.as_str());
        let takes = known(grammar.packages) || known(grammar.kept) || known(grammar.valued);
        let value = inline.clone().or_else(|| arguments.get(at + 1).filter(|_| takes).map(|value| lossy(value)));
        if known(grammar.packages) {
            request.packages.extend(value);
        } else if known(grammar.kept) {
            request.kept.push(OsString::from(&name));
            request.kept.extend(value.map(OsString::from));
        }
        at += if takes && inline.is_none() { 2 } else { 1 };
    }
    if let Some(word) = arguments.get(at) {
        if request.packages.is_empty() {
            request.packages.push(lossy(word));
        } else {
            request.program = Some(lossy(word));
        }
        request.arguments = arguments.get(at + 1..).unwrap_or_default().to_vec();
    }
    request
}

/// The name in `@scope/name@1.2.3`, scope included.
fn npm_name(spec: &str) -> &str {
    let start = usize::from(spec.starts_with('@'));
    spec.get(start..).and_then(|rest| rest.find('@')).and_then(|at| spec.get(..at + start)).unwrap_or(spec)
}

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

/// The program of an npm package: what its `package.json` says if it is installed where the hint says, else by custom.
fn npm_program(package: &str, context: &Context) -> String {
    let installed = context.home.join(SERVERS).join(directory_name(package)).join("node_modules").join(package);
    let text = files::small_text(&installed.join("package.json"), 1 << 20);
    let json = text.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let bins = json.as_ref().and_then(|json| json.get("bin")).and_then(|bin| bin.as_object());
    let last = package.rsplit('/').next().unwrap_or(package);
    if let Some(bins) = bins {
        let exact = bins.keys().find(|name| *name == last).or_else(|| bins.keys().next());
        if let Some(name) = exact {
            return name.clone();
        }
    }
    // The reference servers' custom: @modelcontextprotocol/server-x has the program mcp-server-x.
    if package.starts_with("@modelcontextprotocol/server-") { format!("mcp-{last}") } else { last.to_owned() }
}

fn words(list: &[String]) -> String {
    quote_all(&list.iter().map(OsString::from).collect::<Vec<_>>())
}

fn needs_store(runner: &str, hint: String) -> CommandError {
    CommandError::NeedsPackageStore { runner: runner.into(), hint }
}

/// npm's world: install into a directory of its own, then run the program from there.
fn npm_hint(install: &str, request: &Request, context: &Context) -> String {
    let Some(first) = request.packages.first() else {
        return format!(
            "install the package first: `{install}~/{SERVERS}/NAME PACKAGE`, then run its program by `mcpjail run -- node`"
        );
    };
    let package = npm_name(first);
    let name = directory_name(package);
    let program = request.program.clone().unwrap_or_else(|| npm_program(package, context));
    format!(
        "install it once: `{install}~/{SERVERS}/{name}{}{}`, then `mcpjail run -- node ~/{SERVERS}/{name}/node_modules/.bin/{}{}`",
        quote_all(&request.kept),
        words(&request.packages),
        quote(OsStr::new(&program)),
        quote_all(&request.arguments)
    )
}

/// Tools that install Python programs into an environment of their own.
fn python_hint(install: &str, request: &Request) -> String {
    let Some(first) = request.packages.first() else {
        return format!("install the package first: `{install} PACKAGE`, then `mcpjail run -- PROGRAM ARGUMENTS`");
    };
    let program = request.program.clone().unwrap_or_else(|| directory_name(python_name(first)));
    format!(
        "install it once: `{install}{}{}`, then `mcpjail run -- ~/.local/bin/{}{}`",
        quote_all(&request.kept),
        words(&request.packages),
        quote(OsStr::new(&program)),
        quote_all(&request.arguments)
    )
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
    const NPM: &str = "npm install --ignore-scripts --prefix ";
    let verb_at = |valued: &[&str]| verb(arguments, valued);
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    match name {
        "npx" | "npx-cli.js" => Some(needs_store("npx", npm_hint(NPM, &request(&NPX, arguments), context))),
        "npm" | "npm-cli.js" => {
            let at = verb_at(&["--prefix", "-C", "-w", "--workspace", "--loglevel", "--cache"])?;
            let verb = Some(word(at)).filter(|verb| matches!(*verb, "exec" | "x"))?;
            let request = request(&NPX, tail(arguments, at + 1));
            Some(needs_store(&format!("npm {verb}"), npm_hint(NPM, &request, context)))
        }
        "bunx" => Some(needs_store("bunx", npm_hint("bun add --cwd ", &request(&NPX, arguments), context))),
        "bun" => {
            let at = verb_at(&["--cwd"]).filter(|at| word(*at) == "x")?;
            Some(needs_store("bun x", npm_hint("bun add --cwd ", &request(&NPX, tail(arguments, at + 1)), context)))
        }
        "pnpx" => Some(needs_store("pnpx", npm_hint("pnpm add --dir ", &request(&NPX, arguments), context))),
        "pnpm" => {
            let at = verb_at(&["--dir", "-C", "--filter", "-F", "--package"]).filter(|at| word(*at) == "dlx")?;
            let request = request(&NPX, tail(arguments, at + 1));
            Some(needs_store("pnpm dlx", npm_hint("pnpm add --dir ", &request, context)))
        }
        "yarn" => {
            let at = verb_at(&["--cwd"]).filter(|at| word(*at) == "dlx")?;
            Some(needs_store("yarn dlx", npm_hint(NPM, &request(&NPX, tail(arguments, at + 1)), context)))
        }
        "uvx" => Some(needs_store("uvx", python_hint("uv tool install", &request(&UVX, arguments)))),
        "uv" => uv(arguments, context),
        "pipx" => {
            let at = verb_at(&[]).filter(|at| word(*at) == "run")?;
            Some(needs_store("pipx run", python_hint("pipx install", &request(&PIPX, tail(arguments, at + 1)))))
        }
        "deno" => {
            let remote = |word: &&OsString| {
                let text = word.to_string_lossy();
                ["npm:", "jsr:", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
            };
            let at = arguments.iter().position(|word| !is_option(word) && word != "run" && word != "serve")?;
            let spec = arguments.get(at).filter(remote)?.to_string_lossy().into_owned();
            let request = Request {
                packages: spec.strip_prefix("npm:").map(str::to_owned).into_iter().collect(),
                arguments: tail(arguments, at + 1).to_vec(),
                ..Request::default()
            };
            let hint = if request.packages.is_empty() {
                format!(
                    "download it first, then run the file: `deno compile --output server {}`, `mcpjail run -- ./server`",
                    quote(OsStr::new(&spec))
                )
            } else {
                npm_hint(NPM, &request, context)
            };
            Some(needs_store("deno run", hint))
        }
        _ => None,
    }
}

/// `uv run` and `uv tool run`.
fn uv(arguments: &[OsString], context: &Context) -> Option<CommandError> {
    let valued = [UVX.packages, UVX.kept, UVX.valued].concat();
    let at = verb(arguments, &valued)?;
    if arguments.get(at)? == "tool" && arguments.get(at + 1)? == "run" {
        let request = request(&UVX, tail(arguments, at + 2));
        return Some(needs_store("uv tool run", python_hint("uv tool install", &request)));
    }
    if arguments.get(at)? != "run" {
        return None;
    }
    Some(needs_store("uv run", uv_run_hint(arguments, at, context)))
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
        let takes = UVX.kept.contains(&name) || UVX.valued.contains(&name) || more.contains(&name);
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
        assert_eq!(npm_name("@a/b@1"), "@a/b");
        assert_eq!(npm_name("b@1"), "b");
        assert_eq!(npm_name("@a/b"), "@a/b");
        assert_eq!(python_name("mcp[cli]>=1"), "mcp");
        assert_eq!(directory_name("@a/b"), "b");
        assert_eq!(directory_name(".."), "server");
    }
}
