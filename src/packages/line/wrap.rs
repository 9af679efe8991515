//! Programs that only start another one.

use super::{Read, Refusal, base, shell};

/// What a wrapper starts; `None` where the program is none.
pub(super) fn unwrap(words: &[String]) -> Read<Option<Vec<String>>> {
    let Some((program, rest)) = words.split_first() else { return Ok(None) };
    if is_assignment(program) {
        return Err(variables(words));
    }
    match base(program) {
        "env" => env(rest).map(Some),
        "sh" | "bash" | "dash" | "zsh" | "ash" => shell_text(rest),
        "corepack" if rest.first().is_some_and(|word| !word.starts_with('-')) => Ok(Some(rest.to_vec())),
        // A host that was told where npx is by its file.
        "node" | "nodejs" => {
            let script = rest.first().map(|script| base(script));
            Ok(script.filter(|name| matches!(*name, "npx-cli.js" | "npm-cli.js")).map(|_| rest.to_vec()))
        }
        "mcpjail" => Err(jailed(rest)),
        _ => Ok(None),
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `A=B npx …`, `env A=B npx …`: the variables belong into the profile.
fn variables(words: &[String]) -> Refusal {
    let set: Vec<&String> = words.iter().take_while(|word| is_assignment(word)).collect();
    let rest = words.get(set.len()..).unwrap_or_default();
    let options: Vec<&str> = set.iter().flat_map(|word| ["--env", word.as_str()]).collect();
    let hint = format!("give them to the profile: `mcpjail add NAME {} -- {}`", shell(&options), shell(rest));
    Refusal::new("variables are no part of a package", hint)
}

/// `env` without changes; with them, the profile is the place.
fn env(words: &[String]) -> Read<Vec<String>> {
    let rest = match words {
        [word, tail @ ..] if word == "--" => tail,
        // `env -S 'npx -y x'`, as in a script's first line.
        [option, text, tail @ ..] if option == "-S" => {
            let words = simple(text).ok_or_else(|| complicated("`env -S`"))?;
            let words: Vec<String> = words.into_iter().chain(tail.iter().cloned()).collect();
            // Once is usual; strings in strings without end are nobody's configuration.
            return if words.first().is_some_and(|word| word.starts_with("-S")) {
                Err(complicated("`env -S`"))
            } else {
                env(&words)
            };
        }
        [word, ..] if word.starts_with('-') => {
            let hint =
                "leave `env` out; the jail starts from an empty environment: `mcpjail add NAME -- PROGRAM ARGUMENTS`";
            return Err(Refusal::new(format!("`env` is told `{word}`"), hint));
        }
        words => words,
    };
    if rest.first().is_some_and(|word| is_assignment(word)) {
        return Err(variables(rest));
    }
    if rest.is_empty() {
        return Err(Refusal::new("`env` is given no program", "name it: `mcpjail add NAME -- npx -y PACKAGE`"));
    }
    Ok(rest.to_vec())
}

/// `sh -c "npx …"`; a script is local code.
fn shell_text(words: &[String]) -> Read<Option<Vec<String>>> {
    let is_c = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
    let before = words.iter().take_while(|word| word.starts_with('-')).count();
    let Some(at) = words.iter().take(before).position(is_c) else { return Ok(None) };
    let text = words.get(at + 1..).unwrap_or_default().iter().find(|word| !word.starts_with('-'));
    let words = text.and_then(|text| simple(text)).ok_or_else(|| complicated("a shell's `-c`"))?;
    let words: Vec<String> = words.into_iter().skip_while(|word| word == "exec").collect();
    Ok(Some(words))
}

/// The words of a text that a shell would take as it stands.
fn simple(text: &str) -> Option<Vec<String>> {
    let special = |c: char| {
        matches!(
            c,
            ';' | '|'
                | '&'
                | '$'
                | '`'
                | '\''
                | '"'
                | '\\'
                | '<'
                | '>'
                | '('
                | ')'
                | '{'
                | '}'
                | '*'
                | '?'
                | '['
                | ']'
                | '~'
                | '!'
                | '#'
        ) || (c.is_control() && c != '\t')
    };
    (!text.contains(special))
        .then(|| text.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn complicated(what: &str) -> Refusal {
    let hint = "name the command itself, its words apart: `mcpjail add NAME -- npx -y PACKAGE ARGUMENTS`";
    Refusal::new(format!("{what} is more than plain words"), hint)
}

/// `mcpjail run -- npx …`
fn jailed(rest: &[String]) -> Refusal {
    let inner = rest.iter().position(|word| word == "--").and_then(|at| rest.get(at + 1..)).unwrap_or_default();
    let line = if inner.is_empty() { "npx -y PACKAGE".to_owned() } else { shell(inner) };
    Refusal::new("it is jailed already", format!("give the server's own command: `mcpjail add NAME -- {line}`"))
}
