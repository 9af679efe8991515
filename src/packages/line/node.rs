//! Runners of npm packages.

use super::options::{Meaning, Scanned, Table, leading, scattered};
use super::{Read, Refusal, names, shell};
use crate::packages::{NpmRequest, NpmSpec, Request};

const CONFIGURE: &str = "put it into `~/.npmrc`, which the install jail reads";
const PROJECT: &str = "add the code where it lies: `mcpjail add NAME -- node PATH`";
const SHELL_LINE: &str = "name the program: `mcpjail add NAME -- npx -y --package PACKAGE -- PROGRAM ARGUMENTS`";
const ITSELF: &str = "name a package: `mcpjail add NAME -- npx -y PACKAGE`";

/// `npx`, `npm exec`; npm's configuration can be given as options to either.
const NPX: Table = &[
    (&["-p", "--package"], Meaning::Package),
    (&["--node-options", "--node-arg", "-n"], Meaning::Node),
    (
        &[
            "-y",
            "--yes",
            "--no",
            "--no-yes",
            "--no-install",
            "--ignore-existing",
            "-q",
            "--quiet",
            "-s",
            "--silent",
            "-d",
            "--verbose",
            "--no-update-notifier",
            "--no-fund",
            "--no-audit",
            "--ignore-scripts",
            "--prefer-online",
            "--prefer-offline",
            "--no-progress",
            "--color",
            "--no-color",
            "--no-save",
        ],
        Meaning::Nothing,
    ),
    (
        &["--loglevel", "--cache", "--logs-dir", "--logs-max", "--fetch-timeout", "--fetch-retries"],
        Meaning::NothingValued,
    ),
    (&["-c", "--call"], Meaning::Refused("runs a line of shell", SHELL_LINE)),
    (
        &[
            "--registry",
            "--userconfig",
            "--globalconfig",
            "--proxy",
            "--https-proxy",
            "--noproxy",
            "--cafile",
            "--ca",
            "--strict-ssl",
            "--no-strict-ssl",
            "--cert",
            "--key",
            "--scope",
            "--before",
            "--tag",
            "--engine-strict",
            "--legacy-peer-deps",
            "--strict-peer-deps",
            "--force",
            "-f",
            "--omit",
            "--include",
            "--install-strategy",
            "--install-links",
            "--otp",
            "--replace-registry-host",
        ],
        Meaning::Refused("is configuration, and would be forgotten at the next update", CONFIGURE),
    ),
    (
        &["-w", "--workspace", "--workspaces", "--include-workspace-root", "--prefix", "-C", "-g", "--global"],
        Meaning::Refused("means a project on this machine", PROJECT),
    ),
    (
        &["--offline"],
        Meaning::Refused(
            "is said to mcpjail",
            "`mcpjail add --offline NAME -- npx -y PACKAGE` takes all from the cache",
        ),
    ),
    (
        &["--shell", "--script-shell", "--shell-auto-fallback", "--no-shell-auto-fallback"],
        Meaning::Refused("runs a shell", SHELL_LINE),
    ),
    (&["-h", "--help", "-v", "--version"], Meaning::Refused("asks the runner about itself", ITSELF)),
];

const BUNX: Table = &[
    (&["-p", "--package"], Meaning::Package),
    (&["--bun", "-b", "--silent", "--verbose", "--no-install", "-y", "--yes"], Meaning::Nothing),
    (&["-h", "--help", "-v", "--version"], Meaning::Refused("asks the runner about itself", ITSELF)),
];

const PNPM: Table = &[
    (&["--package"], Meaning::Package),
    (&["-s", "--silent", "-y", "--yes", "--color", "--no-color", "--prefer-offline"], Meaning::Nothing),
    (&["--loglevel", "--reporter", "--cache-dir", "--store-dir"], Meaning::NothingValued),
    (&["-c", "--shell-mode"], Meaning::Refused("runs a line of shell", SHELL_LINE)),
    (
        &["--allow-build"],
        Meaning::Refused("allows an install script", "`mcpjail add NAME --allow-scripts PACKAGE -- …` does so"),
    ),
    (&["--registry"], Meaning::Refused("is configuration, and would be forgotten at the next update", CONFIGURE)),
    (
        &["--dir", "-C", "--filter", "-F", "-w", "--workspace-root", "-r", "--recursive"],
        Meaning::Refused("means a project on this machine", PROJECT),
    ),
    (&["-h", "--help", "-v", "--version"], Meaning::Refused("asks the runner about itself", ITSELF)),
];

const YARN: Table = &[
    (&["-p", "--package"], Meaning::Package),
    (&["-q", "--quiet"], Meaning::Nothing),
    (&["--cwd"], Meaning::Refused("means a project on this machine", PROJECT)),
    (&["-h", "--help", "-v", "--version"], Meaning::Refused("asks the runner about itself", ITSELF)),
];

/// Reads what a runner of npm packages is told; `None` where the program is none.
pub(super) fn read(name: &str, words: &[String]) -> Read<Option<Request>> {
    let request = match name {
        "npx" | "npx-cli.js" => finish("npx -y", leading(NPX, "npx", words)?)?,
        "npm" | "npm-cli.js" => {
            let scanned = scattered(NPX, "npm exec", words)?;
            match verb(&scanned, &["exec", "x"]) {
                Some(scanned) => finish("npm exec -y --", scanned)?,
                None => return Err(project("npm", scanned.rest.first())),
            }
        }
        "bunx" => finish("bunx", leading(BUNX, "bunx", words)?)?,
        "bun" => match words.split_first() {
            Some((verb, rest)) if verb == "x" => finish("bun x", leading(BUNX, "bun x", rest)?)?,
            Some((verb, rest)) if verb == "run" && rest.first().is_some_and(|word| !word.contains(['/', '.'])) => {
                return Err(project("bun run", rest.first()));
            }
            _ => return Ok(None),
        },
        "pnpx" => finish("pnpm dlx", leading(PNPM, "pnpx", words)?)?,
        "pnpm" | "pnpm.cjs" => after_verb("pnpm", PNPM, words)?,
        "yarn" | "yarnpkg" | "yarn.js" => after_verb("yarn", YARN, words)?,
        _ => return Ok(None),
    };
    Ok(Some(Request::Npm(request)))
}

/// `npm:PKG@VER ARGS…`.
pub(super) fn from_spec(spec: &str, args: &[String]) -> Read<Request> {
    let packages = vec![names::npm_spec(spec)?];
    Ok(Request::Npm(NpmRequest { packages, bin: None, node_options: Vec::new(), args: args.to_vec() }))
}

/// `pnpm [OPTIONS] dlx [OPTIONS] PKG`: options may stand on both sides of the verb.
fn after_verb(runner: &str, table: Table, words: &[String]) -> Read<NpmRequest> {
    let mut before = leading(table, runner, words)?;
    let named = format!("{runner} dlx");
    let Some(Scanned { rest, .. }) = verb(&before, &["dlx"]) else {
        return Err(project(runner, before.rest.first()));
    };
    let after = leading(table, &named, &rest)?;
    before.packages.extend(after.packages);
    finish(&named, Scanned { rest: after.rest, ..before })
}

/// The words behind the verb, if it is one of those.
fn verb(scanned: &Scanned, verbs: &[&str]) -> Option<Scanned> {
    let (verb, rest) = scanned.rest.split_first()?;
    verbs.contains(&verb.as_str()).then(|| Scanned {
        packages: scanned.packages.clone(),
        node: scanned.node.clone(),
        rest: rest.to_vec(),
        ..Scanned::default()
    })
}

/// `npm start`, `yarn build`, `bun run dev` …
fn project(runner: &str, verb: Option<&String>) -> Refusal {
    let named = match verb {
        Some(verb) => format!("`{runner} {verb}`"),
        None => format!("`{runner}` alone"),
    };
    let hint = "add what the project's script starts: `mcpjail add NAME -- node PATH/dist/index.js`";
    Refusal::new(format!("{named} is about a project on this machine, not a package of a registry"), hint)
}

/// The request that options and words make.
fn finish(runner: &str, scanned: Scanned) -> Read<NpmRequest> {
    let Scanned { packages: named, node, rest, .. } = scanned;
    let mut words = rest.into_iter();
    let mut packages: Vec<NpmSpec> = Vec::new();
    for text in &named {
        let spec = names::npm_spec(text)?;
        match packages.iter().find(|earlier| earlier.name == spec.name) {
            Some(earlier) if *earlier == spec => {}
            Some(earlier) => {
                let reason =
                    format!("`{}` is asked for twice: `{}` and `{}`", spec.name, earlier.version, spec.version);
                return Err(Refusal::new(reason, format!("say it once: `--package {text}`")));
            }
            None => packages.push(spec),
        }
    }
    let Some(first) = words.next() else {
        let hint = match named.first() {
            Some(package) => {
                format!("name its program: `mcpjail add NAME -- {runner} --package {} -- PROGRAM`", shell(&[package]))
            }
            None => format!("name it: `mcpjail add NAME -- {runner} PACKAGE`"),
        };
        return Err(Refusal::new("it names no package to run", hint));
    };
    let mut bin = None;
    if packages.is_empty() {
        packages.push(names::npm_spec(&first)?);
    } else {
        let main = packages.iter().position(|spec| spec.name == first || unscoped(&spec.name) == first);
        // The server's package comes first: the one that has the program's name.
        if let Some(main) = main.filter(|main| *main > 0) {
            let spec = packages.remove(main);
            packages.insert(0, spec);
        }
        if packages.first().is_none_or(|spec| spec.name != first || !first.starts_with('@')) {
            if !names::is_program(&first) {
                let hint =
                    "give the name of the package's program: `mcpjail add NAME -- npx -y --package PACKAGE -- PROGRAM`";
                return Err(Refusal::new(format!("`{first}` is no name of a program"), hint));
            }
            bin = Some(first);
        }
    }
    Ok(NpmRequest { packages, bin, node_options: node_options(&node)?, args: words.collect() })
}

fn unscoped(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Options of `node` that only change how it runs the server, not what it runs.
const NODE_FLAGS: &[&str] = &[
    "--conditions",
    "--disable-warning",
    "--dns-result-order",
    "--enable-source-maps",
    "--experimental-",
    "--expose-gc",
    "--force-",
    "--heapsnapshot-",
    "--huge-max-old-generation-size",
    "--insecure-http-parser",
    "--max-",
    "--no-",
    "--openssl-legacy-provider",
    "--openssl-shared-config",
    "--pending-deprecation",
    "--preserve-symlinks",
    "--stack-trace-limit",
    "--throw-deprecation",
    "--tls-m",
    "--tls-cipher-list",
    "--trace-",
    "--unhandled-rejections",
    "--use-",
    "--v8-pool-size",
    "--zero-fill-buffers",
];

/// Those among them that load code or write files after all.
const NODE_LOADERS: &[&str] = &[
    "--experimental-loader",
    "--experimental-config-file",
    "--experimental-default-config-file",
    "--experimental-sea-config",
    "--trace-event-",
    "--experimental-policy",
    "--experimental-test",
];

fn node_options(values: &[String]) -> Read<Vec<String>> {
    let words = values.iter().flat_map(|value| value.split_whitespace());
    let kept: Vec<String> = words.map(str::to_owned).collect();
    let plain = |word: &str| {
        word.starts_with("--")
            && NODE_FLAGS.iter().any(|known| word.starts_with(known))
            && !NODE_LOADERS.iter().any(|known| word.starts_with(known))
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'.' | b','))
    };
    match kept.iter().find(|word| !plain(word)) {
        None => Ok(kept),
        Some(word) => {
            let reason = format!("`{word}` is no option of `node` that may be given here");
            let hint = "options that load code are left out; others are written with `=`: \
                        `mcpjail add NAME -- npx -y --node-options=--max-old-space-size=512 PACKAGE`";
            Err(Refusal::new(reason, hint))
        }
    }
}
