//! Runners of Python packages.

use super::options::{Meaning, Scanned, Table, leading};
use super::{Read, Refusal, base, local, names, shell};
use crate::packages::{PypiRequest, PypiRun, PypiSpec, Request};
use std::path::Path;

const UV_TOML: &str = "put it into `~/.config/uv/uv.toml`, which the install jail reads";
const PIP_CONF: &str = "put it into `~/.config/pip/pip.conf` or `~/.config/uv/uv.toml`, which the install jail reads";
const ENVIRONMENT: &str =
    "install it into a virtual environment and add that: `mcpjail add NAME -- PATH/.venv/bin/PROGRAM`";
const ITSELF: &str = "name a package: `mcpjail add NAME -- uvx PACKAGE`";

const UVX: Table = &[
    (&["--from"], Meaning::Package),
    (&["-w", "--with"], Meaning::With),
    (&["-p", "--python"], Meaning::Python),
    (
        &[
            "-q",
            "--quiet",
            "-v",
            "--verbose",
            "-n",
            "--no-cache",
            "--no-cache-dir",
            "--isolated",
            "--no-progress",
            "-U",
            "--upgrade",
            "--refresh",
            "--reinstall",
            "--no-env-file",
            "--managed-python",
            "--no-managed-python",
            "--no-python-downloads",
            "--system-certs",
            "--native-tls",
            "--no-build",
            "--no-sources",
            "--compile-bytecode",
            "--no-color",
            "--preview",
            "--no-preview",
            "--lfs",
        ],
        Meaning::Nothing,
    ),
    (
        &[
            "--color",
            "--cache-dir",
            "--link-mode",
            "--python-preference",
            "--python-fetch",
            "--refresh-package",
            "-P",
            "--upgrade-package",
            "--reinstall-package",
        ],
        Meaning::NothingValued,
    ),
    (
        &[
            "--index",
            "--default-index",
            "-i",
            "--index-url",
            "--extra-index-url",
            "-f",
            "--find-links",
            "--no-index",
            "--index-strategy",
            "--keyring-provider",
            "--allow-insecure-host",
            "--trusted-host",
            "--config-file",
            "--no-config",
        ],
        Meaning::Refused("is configuration, and would be forgotten at the next update", UV_TOML),
    ),
    (
        &[
            "-c",
            "--constraints",
            "--constraint",
            "-b",
            "--build-constraints",
            "--overrides",
            "--override",
            "--resolution",
            "--prerelease",
            "--pre",
            "--prerelease-package",
            "--fork-strategy",
            "--exclude-newer",
            "--exclude-newer-package",
            "--python-platform",
            "--torch-backend",
        ],
        Meaning::Refused("changes what is resolved, and would be forgotten at the next update", UV_TOML),
    ),
    (
        &[
            "-C",
            "--config-setting",
            "--config-settings-package",
            "--no-binary",
            "--no-binary-package",
            "--no-build-package",
            "--no-build-isolation",
            "--no-build-isolation-package",
        ],
        Meaning::Refused(
            "is about building archives",
            "`mcpjail add NAME --allow-scripts PACKAGE -- uvx PACKAGE` builds what has no wheel",
        ),
    ),
    (
        &[
            "--with-editable",
            "--with-requirements",
            "--directory",
            "--project",
            "-e",
            "--editable",
            "-r",
            "--requirements",
        ],
        Meaning::Refused("means files of this machine", ENVIRONMENT),
    ),
    (&["--env-file"], Meaning::Refused("sets variables", "say them: `mcpjail add NAME --env VARIABLE -- uvx PACKAGE`")),
    (
        &["--offline"],
        Meaning::Refused("is said to mcpjail", "`mcpjail add --offline NAME -- uvx PACKAGE` takes all from the cache"),
    ),
    (
        &["-h", "--help", "-V", "--version", "--show-resolution"],
        Meaning::Refused("asks the runner about itself", ITSELF),
    ),
];

const PIPX: Table = &[
    (&["--spec"], Meaning::Package),
    (&["--with"], Meaning::With),
    (&["--python"], Meaning::Python),
    (&["--no-cache", "--verbose", "-v", "-q", "--quiet", "--fetch-missing-python"], Meaning::Nothing),
    (&["--backend"], Meaning::NothingValued),
    (
        &["--pip-args", "-i", "--index-url"],
        Meaning::Refused("is configuration, and would be forgotten at the next update", PIP_CONF),
    ),
    (
        &["--path", "--pypackages", "--system-site-packages", "-e", "--editable"],
        Meaning::Refused("means files of this machine", ENVIRONMENT),
    ),
    (&["-h", "--help"], Meaning::Refused("asks the runner about itself", ITSELF)),
];

/// Reads what a runner of Python packages, or a Python, is told; `None` where the program is neither.
pub(super) fn read(words: &[String], cwd: &Path) -> Read<Option<Request>> {
    let Some((program, rest)) = words.split_first() else { return Ok(None) };
    match base(program) {
        "uvx" => finish("uvx", leading(UVX, "uvx", rest)?, cwd).map(Some),
        "uv" => uv(rest, cwd).map(Some),
        "pipx" => pipx(rest, cwd).map(Some),
        name if is_python(name) => module(program, rest, cwd),
        _ => Ok(None),
    }
}

/// `pypi:PKG==VER ARGS…`.
pub(super) fn from_spec(spec: &str, args: &[String]) -> Read<Request> {
    let main = names::python_spec(spec)?;
    Ok(Request::Pypi(PypiRequest {
        main,
        with: Vec::new(),
        run: PypiRun::Script(None),
        python: None,
        args: args.to_vec(),
    }))
}

/// Whether a program is a Python by its name: `python`, `python3.12`, `pypy3`.
pub(super) fn is_python(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(stem, "python" | "pypy") && !name.ends_with('.')
}

/// `uv [OPTIONS] tool run`; everything else of uv is about a project.
fn uv(words: &[String], cwd: &Path) -> Read<Request> {
    // Options in front of the verb, such as `uv --quiet tool run`, `uv --directory DIR run`.
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        let valued = ["--directory", "--project", "--cache-dir", "--color", "--config-file", "--python", "-p"];
        at += if valued.contains(&word.as_str()) { 2 } else { 1 };
    }
    let (before, after) = words.split_at(at.min(words.len()));
    match after {
        [tool, run, rest @ ..] if tool == "tool" && run == "run" => {
            let all: Vec<String> = before.iter().chain(rest).cloned().collect();
            finish("uv tool run", leading(UVX, "uv tool run", &all)?, cwd)
        }
        [x, rest @ ..] if x == "x" => {
            let hint = format!("the short form is `uvx`: `mcpjail add NAME -- uvx {}`", shell(rest));
            Err(Refusal::new("`uv x` is no command of uv", hint))
        }
        [run, rest @ ..] if run == "run" => Err(uv_run(before, rest)),
        _ => Err(Refusal::new("only `uvx` and `uv tool run` start a package of the index", ITSELF)),
    }
}

/// `uv run` builds an environment at every start.
fn uv_run(before: &[String], words: &[String]) -> Refusal {
    let reason = "`uv run` builds a project's environment at every start";
    let (mut project, mut with, mut script) = (None, Vec::new(), None);
    let all: Vec<&String> = before.iter().chain(words).collect();
    let mut at = 0;
    while let Some(word) = all.get(at) {
        if *word == "--" {
            script = Some(at + 1);
            break;
        }
        if !word.starts_with('-') {
            script = Some(at);
            break;
        }
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let valued = [
            "--directory",
            "--project",
            "--with",
            "-w",
            "--python",
            "-p",
            "--extra",
            "--group",
            "--package",
            "--env-file",
            "--index",
            "--index-url",
            "--cache-dir",
            "--with-requirements",
            "--with-editable",
            "--only-group",
            "--no-group",
            "--color",
            "--config-file",
        ];
        let value = inline.or_else(|| all.get(at + 1).map(|value| value.as_str()));
        match name {
            "--directory" | "--project" => project = value,
            "--with" | "-w" => with.extend(value),
            _ => {}
        }
        at += if inline.is_none() && valued.contains(&name) { 2 } else { 1 };
    }
    let rest: Vec<&str> =
        script.and_then(|at| all.get(at..)).unwrap_or_default().iter().map(|word| word.as_str()).collect();
    let Some((program, args)) = rest.split_first() else { return Refusal::new(reason, ITSELF) };
    let file = program.ends_with(".py");
    if let (None, false, Some((main, more))) = (project, file, with.split_first()) {
        let more = more.iter().flat_map(|more| ["--with", more]);
        let line: Vec<&str> = more.chain(["--from", main]).chain(rest.iter().copied()).collect();
        return Refusal::new(reason, format!("install it once: `mcpjail add NAME -- uvx {}`", shell(&line)));
    }
    let root = project.unwrap_or(".").trim_end_matches('/');
    let start: Vec<String> = match (file, *program) {
        (true, script) => vec![format!("{root}/.venv/bin/python"), format!("{root}/{script}")],
        (false, "python" | "python3") => vec![format!("{root}/.venv/bin/python")],
        (false, program) => vec![format!("{root}/.venv/bin/{program}")],
    };
    let line: Vec<&str> = start.iter().map(String::as_str).chain(args.iter().copied()).collect();
    let prepare = shell(&["uv", "sync", "--project", root]);
    Refusal::new(reason, format!("build it once, then add it: `{prepare}`, `mcpjail add NAME -- {}`", shell(&line)))
}

fn pipx(words: &[String], cwd: &Path) -> Read<Request> {
    match words.split_first() {
        Some((verb, rest)) if verb == "run" => finish("pipx run", leading(PIPX, "pipx run", rest)?, cwd),
        _ => {
            Err(Refusal::new("only `pipx run` starts a package of the index", "`mcpjail add NAME -- pipx run PACKAGE`"))
        }
    }
}

/// The request that options and words make.
fn finish(runner: &str, scanned: Scanned, cwd: &Path) -> Read<Request> {
    let Scanned { packages, with, python, rest, .. } = scanned;
    let mut with_specs = Vec::new();
    for text in &with {
        for part in split_list(text) {
            with_specs.push(names::python_spec(part)?);
        }
    }
    let python = python.map(|python| interpreter(&python, cwd)).transpose()?;
    let Some((first, args)) = rest.split_first() else {
        let hint = match packages.last() {
            Some(package) => {
                format!("name its program: `mcpjail add NAME -- uvx --from {} PROGRAM`", shell(&[package]))
            }
            None => format!("name it: `mcpjail add NAME -- {runner} PACKAGE`"),
        };
        return Err(Refusal::new("it names no package to run", hint));
    };
    let module = match args {
        [option, module, ..] if option == "-m" && is_python(first.split('@').next().unwrap_or(first)) => Some(module),
        _ => None,
    };
    let from = packages.last().map(|text| names::python_spec(text)).transpose()?;
    if is_python(first) && module.is_none() {
        let hint = "name the package's program or module: `mcpjail add NAME -- uvx --from PACKAGE python -m MODULE`";
        return Err(Refusal::new(format!("`{first}` is told to run no module"), hint));
    }
    let (main, run, args) = match (from, module) {
        (from, Some(module)) => {
            // `uvx --with PKG python -m MODULE`: the server's package is the first that is named.
            let main = match from {
                Some(main) => main,
                None if with_specs.is_empty() => {
                    let hint = format!("name it: `mcpjail add NAME -- uvx --from PACKAGE {}`", shell(&rest));
                    return Err(Refusal::new("it names no package that the module is in", hint));
                }
                None => with_specs.remove(0),
            };
            if first.contains('@') {
                let hint = "`--python` does: `mcpjail add NAME -- uvx --python 3.12 --from PACKAGE python -m MODULE`";
                return Err(Refusal::new(format!("`{first}` chooses a Python"), hint));
            }
            (main, PypiRun::Module(valid_module(module)?), args.get(2..).unwrap_or_default())
        }
        (Some(main), None) => {
            if !names::is_program(first) {
                let hint =
                    format!("give the name of its program: `mcpjail add NAME -- uvx --from {} PROGRAM`", main.name);
                return Err(Refusal::new(format!("`{first}` is no name of a program"), hint));
            }
            (main, PypiRun::Script(Some(first.clone())), args)
        }
        (None, None) => (names::python_spec(first)?, PypiRun::Script(None), args),
    };
    once(&main, &with_specs)?;
    Ok(Request::Pypi(PypiRequest { main, with: with_specs, run, python, args: args.to_vec() }))
}

/// Refuses the same package twice: which of the two would be meant?
fn once(main: &PypiSpec, with: &[PypiSpec]) -> Read<()> {
    let keys: Vec<String> = [main].into_iter().chain(with).map(|spec| names::python_key(&spec.name)).collect();
    for (at, key) in keys.iter().enumerate() {
        if keys.iter().take(at).any(|earlier| earlier == key) {
            return Err(Refusal::new(
                format!("`{key}` is asked for twice"),
                "name every package once, its extras in brackets",
            ));
        }
    }
    Ok(())
}

/// `a,b>=1,<2,c[x,y]`: the commas between packages, not those within one.
fn split_list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let next = text.get(at + 1..).unwrap_or_default().trim_start();
                if next.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                    parts.push(text.get(start..at).unwrap_or_default());
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// What chooses a Python: `3.12`, `>=3.11`, `pypy`, a path. Relative paths become absolute.
fn interpreter(text: &str, cwd: &Path) -> Read<String> {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@' | b'<' | b'>' | b'=' | b',' | b'!' | b'*')
    };
    let path = text.contains('/');
    if text.is_empty() || text.starts_with('-') || text.contains(char::is_control) || !(path || text.bytes().all(plain))
    {
        let hint = "give a version or a path: `mcpjail add NAME -- uvx --python 3.12 PACKAGE`";
        return Err(Refusal::new(format!("`{text}` is no Python"), hint));
    }
    if path { local::absolute(text, cwd) } else { Ok(text.to_owned()) }
}

fn valid_module(module: &str) -> Read<String> {
    if names::is_module(module) {
        return Ok(module.to_owned());
    }
    let hint = "a module is like `package.module`: `mcpjail add NAME -- python3 -m package.module`";
    Err(Refusal::new(format!("`{module}` is no name of a module"), hint))
}

/// `python [OPTIONS] -m MODULE ARGS…`; `None` for a script, which is local code.
fn module(program: &str, words: &[String], cwd: &Path) -> Read<Option<Request>> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { return Ok(None) };
        if letters == "-" {
            return Ok(None);
        }
        for (index, letter) in letters.char_indices() {
            let tail = letters.get(index + 1..).unwrap_or_default();
            match letter {
                // How it prints and caches, and whose environment it heeds: the jail settles that.
                'u' | 'B' | 'E' | 's' | 'I' | 'P' | 'q' | 'b' => {}
                'm' => {
                    let (module, args) = match tail {
                        "" => (words.get(at + 1).map_or("", String::as_str), at + 2),
                        tail => (tail, at + 1),
                    };
                    return of_module(program, module, words.get(args..).unwrap_or_default(), cwd).map(Some);
                }
                _ => return odd_option(word, letter, words.get(at..).unwrap_or_default()),
            }
        }
        at += 1;
    }
    Ok(None)
}

fn of_module(program: &str, module: &str, args: &[String], cwd: &Path) -> Read<Request> {
    let module = valid_module(module)?;
    // Runners that are installed as modules.
    let inner = match module.as_str() {
        "pipx" => return pipx(args, cwd),
        "uv" => return uv(args, cwd),
        "pip" | "venv" | "ensurepip" | "virtualenv" => Some("installs packages, and is no server"),
        "http.server" => Some("is a web server, and no MCP server"),
        _ => None,
    };
    if let Some(what) = inner {
        return Err(Refusal::new(format!("`-m {module}` {what}"), ITSELF));
    }
    let python = if program.contains('/') { local::absolute(program, cwd)? } else { program.to_owned() };
    let main = PypiSpec::default();
    Ok(Request::Pypi(PypiRequest {
        main,
        with: Vec::new(),
        run: PypiRun::Module(module),
        python: Some(python),
        args: args.to_vec(),
    }))
}

/// An option that changes how the server runs; with a script behind it that is the local code's own business.
fn odd_option(word: &str, letter: char, words: &[String]) -> Read<Option<Request>> {
    let hint = match letter {
        'c' => {
            return Err(Refusal::new(
                "`-c` is a program's text, not a package",
                "put it into a file, and add that: `mcpjail add NAME -- python3 PATH`",
            ));
        }
        _ if !words.iter().any(|word| word == "-m") => return Ok(None),
        'X' => "set what it means: `mcpjail add NAME --env PYTHONUTF8=1 -- python3 -m MODULE`",
        'W' => "set what it means: `mcpjail add NAME --env PYTHONWARNINGS=ignore -- python3 -m MODULE`",
        'O' => "set what it means: `mcpjail add NAME --env PYTHONOPTIMIZE=1 -- python3 -m MODULE`",
        _ => "leave it out: `mcpjail add NAME -- python3 -m MODULE`",
    };
    Err(Refusal::new(format!("`{word}` cannot be kept for a package"), hint))
}
