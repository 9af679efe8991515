//! Commands that no jail can run as they are, and what to type instead.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::error::{CommandError, lossy, quote_all};
use super::runners::{runner, tail, verb};
use super::{Context, files, package};

/// Refuses a command by its name and arguments, before anything is looked up.
///
/// # Errors
///
/// The variant of [`CommandError`] that says why, with the command to use instead.
pub(super) fn check(argv: &[OsString], context: &Context) -> Result<(), CommandError> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let name = lossy(files::name_of(Path::new(program)));
    match name.as_str() {
        "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" => {
            return Err(CommandError::NeedsEngine { engine: name });
        }
        "sudo" | "su" | "doas" | "pkexec" | "run0" | "sudoedit" | "setpriv" | "runuser" => {
            return Err(without_privilege(name, arguments));
        }
        "snap" | "flatpak" => {
            let by = if name == "snap" { "snap" } else { "flatpak" };
            let app = arguments.iter().skip(1).find(|word| !is_option(word)).map_or(name, |word| lossy(word));
            return Err(CommandError::SelfConfined { name: app, by });
        }
        "sh" | "bash" | "dash" | "zsh" => return shell_text(arguments, context),
        _ => {}
    }
    if let Some(error) = runner(&name, arguments, context).or_else(|| environment_runner(&name, arguments)) {
        return Err(error);
    }
    Ok(())
}

pub(super) fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn without_privilege(name: String, arguments: &[OsString]) -> CommandError {
    let rest = arguments.iter().position(|word| !is_option(word)).and_then(|at| arguments.get(at..));
    let hint = match rest.filter(|_| name == "sudo" || name == "doas" || name == "pkexec") {
        Some(rest) => format!("start the server as yourself: `mcpjail run --{}`", quote_all(rest)),
        None => "start the server as yourself: `mcpjail run -- PROGRAM ARGUMENTS`".into(),
    };
    CommandError::NeedsPrivilege { name, hint }
}

/// `sh -c "npx …"`: the first command of the text is looked at, no more. Everything else is the shell's business.
fn shell_text(arguments: &[OsString], context: &Context) -> Result<(), CommandError> {
    let is_c = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.starts_with(b"-") && !bytes.starts_with(b"--") && bytes.contains(&b'c')
    };
    let text = arguments.iter().position(is_c).and_then(|at| arguments.get(at + 1)).and_then(|text| text.to_str());
    let Some(text) = text else { return Ok(()) };
    if text.contains(['\n', ';', '|', '&', '$', '`', '\'', '"', '\\', '<', '>', '(']) {
        return Ok(());
    }
    let words: Vec<OsString> = text.split_whitespace().skip_while(|word| *word == "exec").map(OsString::from).collect();
    match words.first().and_then(|word| word.to_str()) {
        Some("sh" | "bash" | "dash" | "zsh") | None => Ok(()),
        Some(_) => check(&words, context),
    }
}

/// Tools that look for a project's environment and start a program in it.
fn environment_runner(name: &str, arguments: &[OsString]) -> Option<CommandError> {
    let at = verb(arguments, &["-C", "--directory", "-P", "--project", "-p", "-n", "--name", "--manifest-path"])?;
    let verb = arguments.get(at)?.to_str()?;
    let where_is = match (name, verb) {
        ("poetry", "run") => "poetry env info --path",
        ("pdm", "run") => "pdm info --where",
        ("hatch", "run") => "hatch env find",
        ("pipenv", "run") => "pipenv --venv",
        ("rye", "run") => "rye show",
        ("conda" | "mamba" | "micromamba", "run") => "conda env list",
        ("pixi", "run") => "pixi info",
        ("fnm" | "nvm", "exec") => "nvm which current",
        ("volta", "run") => "volta which node",
        _ => return None,
    };
    let hint = match name {
        "fnm" | "nvm" | "volta" => {
            format!("ask where the program is with `{where_is}` and run that: `mcpjail run -- /path/to/node …`")
        }
        _ => {
            let rest = tail(arguments, at + 1);
            let program =
                rest.iter().position(|word| !is_option(word)).and_then(|at| rest.get(at..)).unwrap_or_default();
            format!(
                "ask where the environment is with `{where_is}` and run the program in it: `mcpjail run -- ENVIRONMENT/bin/{}`",
                quote_all(program).trim_start()
            )
        }
    };
    Some(CommandError::NeedsEnvironment { tool: format!("{name} {verb}"), hint })
}

/// Refuses a script that is a package runner under its own name (`node …/npm/bin/npx-cli.js -y x`).
///
/// # Errors
///
/// [`CommandError::NeedsPackageStore`].
pub(super) fn check_script(script: &Path, arguments: &[OsString], context: &Context) -> Result<(), CommandError> {
    if !package::is_in_package(script, &["npm"]) {
        return Ok(());
    }
    runner(&lossy(files::name_of(script)), arguments, context).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Diagnose;
    use std::collections::BTreeMap;

    fn context() -> Context {
        Context { cwd: "/nowhere".into(), home: "/home/me".into(), path: "/usr/bin".into(), env: BTreeMap::new() }
    }

    fn refusal(line: &[&str]) -> Option<(&'static str, String)> {
        let argv: Vec<OsString> = line.iter().map(Into::into).collect();
        let error = check(&argv, &context()).err()?;
        Some((error.code(), error.hint().unwrap()))
    }

    #[track_caller]
    fn hint(line: &[&str], expected: &str) {
        let (code, hint) = refusal(line).unwrap();
        assert_eq!(code, "needs-package-store", "{line:?}");
        assert_eq!(hint, expected);
    }

    #[test]
    fn npm_runners_are_told_how_to_install() {
        hint(
            &["npx", "-y", "@modelcontextprotocol/server-filesystem@1.2", "/a b"],
            "install it once: `mcpjail add filesystem -- npx -y @modelcontextprotocol/server-filesystem@1.2 '/a b'`, \
             then `mcpjail run filesystem`",
        );
        hint(
            &["/usr/bin/npx", "--package=a", "-p", "b", "tool", "-x"],
            "install it once: `mcpjail add a -- npx --package=a -p b tool -x`, then `mcpjail run a`",
        );
        hint(
            &["npx", "github:u/r"],
            "cannot install from `npx github:u/r`: `github:u/r` is a repository or an address, whose content no hash pins; \
             name the package that the registry has (`mcpjail add NAME -- npx -y PACKAGE`), or clone and build it and add \
             that: `mcpjail add NAME -- node PATH/dist/index.js`",
        );
        for line in [
            &["npm", "exec", "x"][..],
            &["npm", "--yes", "x", "y"],
            &["bunx", "x"],
            &["bun", "x", "y"],
            &["pnpm", "dlx", "x"],
            &["pnpx", "x"],
            &["yarn", "dlx", "x"],
            &["deno", "run", "-A", "npm:x"],
            &["npx"],
            &["sh", "-c", "npx -y x"],
            &["bash", "-lc", "exec uvx x"],
        ] {
            assert_eq!(refusal(line).unwrap().0, "needs-package-store", "{line:?}");
        }
    }

    #[test]
    fn python_runners_are_told_how_to_install() {
        hint(
            &["uvx", "--python", "3.12", "mcp-server-git@latest", "--repository", "/r"],
            "install it once: `mcpjail add git -- uvx --python 3.12 mcp-server-git@latest --repository /r`, then \
             `mcpjail run git`",
        );
        hint(
            &["uv", "tool", "run", "--from", "x", "tool"],
            "install it once: `mcpjail add x -- uv tool run --from x tool`, then `mcpjail run x`",
        );
        hint(
            &["uv", "--directory", "/src/weather", "run", "weather.py", "a"],
            "make the environment once: `uv sync --project /src/weather`, then \
             `mcpjail run -- /src/weather/.venv/bin/python /src/weather/weather.py a`",
        );
        hint(
            &["uv", "run", "--with", "mcp[cli]", "mcp", "run", "/x/server.py"],
            "make the environment once: `uv venv /home/me/.local/share/mcp-servers/mcp && uv pip install --python \
             /home/me/.local/share/mcp-servers/mcp/bin/python 'mcp[cli]'`, then \
             `mcpjail run -- /home/me/.local/share/mcp-servers/mcp/bin/mcp run /x/server.py`",
        );
        hint(&["pipx", "run", "x", "-v"], "install it once: `mcpjail add x -- pipx run x -v`, then `mcpjail run x`");
    }

    #[test]
    fn engines_privileges_and_other_sandboxes_are_refused() {
        assert_eq!(refusal(&["docker", "run", "-i", "x"]).unwrap().0, "needs-engine");
        let (code, hint) = refusal(&["sudo", "-E", "node", "x.js"]).unwrap();
        assert_eq!(
            (code, hint.as_str()),
            ("needs-privilege", "start the server as yourself: `mcpjail run -- node x.js`")
        );
        assert_eq!(refusal(&["snap", "run", "x"]).unwrap().0, "self-confined");
        assert_eq!(refusal(&["poetry", "run", "x"]).unwrap().0, "needs-environment");
    }

    #[test]
    fn ordinary_commands_pass() {
        for line in [
            &["node", "npx"][..],
            &["npm", "start"],
            &["npm", "run", "exec"],
            &["uv", "pip"],
            &["uv"],
            &["sh", "-c", "echo npx; node x"],
            &["sh", "-c", "node x"],
            &["bun", "x.ts"],
            &["deno", "run", "x.ts"],
            &["yarn"],
        ] {
            assert_eq!(refusal(line), None, "{line:?}");
        }
    }
}
