//! Commands that nothing can be installed from, by the program's name.

use super::{Read, Refusal, base, shell};

/// Refuses what is known to be no program of its own.
pub(super) fn check(words: &[String]) -> Read<()> {
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    let name = base(program);
    // Windows writes both slashes, and `npx.cmd` for `npx`.
    let windows = program.rsplit(['\\', '/']).next().unwrap_or(program).to_ascii_lowercase();
    if let Some(stem) = [".cmd", ".exe", ".bat", ".ps1"].iter().find_map(|end| windows.strip_suffix(end)) {
        let line = if stem == "cmd" { of_cmd(rest) } else { format!("{stem} {}", shell(rest)) };
        return Err(on_windows(line.trim_end()));
    }
    let refusal = match name {
        "cmd" => on_windows(&of_cmd(rest)),
        "powershell" | "pwsh" | "wsl" | "py" => on_windows("npx -y PACKAGE"),
        "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" => Refusal::new(
            format!("`{name}` runs an image by an engine that no jail holds"),
            "most servers are packages as well: `mcpjail add NAME -- npx -y PACKAGE` or `mcpjail add NAME -- uvx PACKAGE`",
        ),
        "sudo" | "su" | "doas" | "pkexec" | "run0" | "runuser" | "setpriv" => {
            let line = after_options(rest);
            Refusal::new(
                format!("`{name}` gains privileges, which is impossible in a jail"),
                format!("leave it out: `mcpjail add NAME -- {line}`"),
            )
        }
        "snap" | "flatpak" => Refusal::new(
            format!("`{name}` confines what it starts itself, which it cannot do in a jail"),
            "add the program as a package or a file: `mcpjail add NAME -- PATH`",
        ),
        "nohup" | "nice" | "ionice" | "timeout" | "stdbuf" | "setsid" | "time" | "exec" | "command" | "unbuffer"
        | "xvfb-run" | "strace" | "firejail" | "bwrap" | "systemd-run" => Refusal::new(
            format!("`{name}` is put around the server's command, and is no part of its package"),
            "give the server's own command: `mcpjail add NAME -- npx -y PACKAGE`",
        ),
        "nvm" | "fnm" | "volta" | "mise" | "asdf" | "nodenv" | "pyenv" => {
            let inner = rest.iter().position(|word| word == "--").and_then(|at| rest.get(at + 1..));
            let inner = inner.or_else(|| rest.get(1..)).unwrap_or_default();
            Refusal::new(
                format!("`{name}` chooses a version and then starts something"),
                format!("select the version first, and give what it starts: `mcpjail add NAME -- {}`", shell(inner)),
            )
        }
        "poetry" | "pdm" | "hatch" | "pipenv" | "rye" | "conda" | "mamba" | "micromamba" | "pixi" => Refusal::new(
            format!("`{name}` searches for a project's environment before it starts anything"),
            "add the program in that environment: `mcpjail add NAME -- PATH/.venv/bin/PROGRAM`",
        ),
        "cargo" | "go" | "nix" | "nix-shell" | "dotnet" | "mvn" | "gradle" | "make" if builds(name, rest) => {
            Refusal::new(
                format!("`{name}` builds the server before it starts it"),
                "build it once, and add what was built: `mcpjail add NAME -- PATH/PROGRAM`",
            )
        }
        "deno" => of_deno(rest),
        "pip" | "pip3" | "easy_install" | "gem" | "brew" | "apt" | "apt-get" => Refusal::new(
            format!("`{name}` installs packages, and is no server"),
            "name the package: `mcpjail add NAME -- uvx PACKAGE` or `mcpjail add NAME -- npx -y PACKAGE`",
        ),
        _ => return Ok(()),
    };
    Err(refusal)
}

fn builds(name: &str, rest: &[String]) -> bool {
    let verb = rest.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    match name {
        "dotnet" => matches!(verb, "run" | "build" | "tool" | "watch"),
        _ => true,
    }
}

/// `cmd /c npx -y x` without its shell.
fn of_cmd(rest: &[String]) -> String {
    let inner = rest.iter().position(|word| !word.starts_with('/')).and_then(|at| rest.get(at..)).unwrap_or_default();
    if inner.is_empty() { "npx -y PACKAGE".into() } else { shell(inner) }
}

fn on_windows(line: &str) -> Refusal {
    Refusal::new("it is written for Windows", format!("here it is: `mcpjail add NAME -- {line}`"))
}

fn after_options(rest: &[String]) -> String {
    let inner = rest.iter().position(|word| !word.starts_with('-')).and_then(|at| rest.get(at..)).unwrap_or_default();
    if inner.is_empty() { "PROGRAM ARGUMENTS".into() } else { shell(inner) }
}

fn of_deno(rest: &[String]) -> Refusal {
    let reason = "Deno fetches a program's modules when it starts";
    if let Some(at) = rest.iter().position(|word| word.starts_with("npm:")) {
        let line = shell(rest.get(at..).unwrap_or_default());
        return Refusal::new(reason, format!("the package runs on Node as well: `mcpjail add NAME -- {line}`"));
    }
    let words = rest.iter().filter(|word| !matches!(word.as_str(), "run" | "serve") && !word.starts_with('-'));
    let file = words.map(|word| shell(&[word])).next().unwrap_or_else(|| "FILE".into());
    Refusal::new(
        reason,
        format!("compile it once, and add that: `deno compile --output server {file}`, `mcpjail add NAME -- ./server`"),
    )
}
