//! Commands whose code lies on this machine.

use super::{Read, Refusal, base, names};
use crate::command::spelled;
use crate::packages::LocalRequest;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Reads a command of this machine: the program and the script get absolute paths, the server's own arguments stay.
pub(super) fn read(words: &[String], cwd: &Path) -> Read<LocalRequest> {
    let mut command = words.to_vec();
    let Some(program) = words.first() else { return Ok(LocalRequest { command }) };
    if let Some(refusal) = looks_like_package(program) {
        return Err(refusal);
    }
    let argv: Vec<OsString> = words.iter().map(OsString::from).collect();
    let spelled = spelled(&argv);
    if spelled.interpreter && spelled.script.is_none() {
        let name = base(program);
        let hint = format!("name the server's file: `mcpjail add NAME -- {name} PATH`");
        return Err(Refusal::new(format!("`{name}` is given no file to run"), hint));
    }
    if program.contains('/') {
        replace(&mut command, 0, 0, cwd)?;
    }
    if let Some(at) = spelled.script {
        replace(&mut command, at, 0, cwd)?;
    }
    for (at, offset) in spelled.files {
        replace(&mut command, at, offset, cwd)?;
    }
    Ok(LocalRequest { command })
}

/// Makes the path absolute that begins at an offset of a word.
fn replace(command: &mut [String], at: usize, offset: usize, cwd: &Path) -> Read<()> {
    let Some(word) = command.get_mut(at) else { return Ok(()) };
    let Some((option, path)) = word.split_at_checked(offset) else { return Ok(()) };
    *word = format!("{option}{}", absolute(path, cwd)?);
    Ok(())
}

/// A path as an absolute one, `.` and doubled slashes taken out; `..` stays, since links may stand before it.
pub(super) fn absolute(path: &str, cwd: &Path) -> Read<String> {
    if path == "~" || path.starts_with("~/") {
        let hint =
            format!("write it in full, or without quotes so that your shell does: `mcpjail add NAME -- … {path}`");
        return Err(Refusal::new(format!("only a shell knows what `~` in `{path}` stands for"), hint));
    }
    if path.is_empty() {
        return Err(Refusal::new("a file's name is empty", "name the server's file"));
    }
    let joined: PathBuf = cwd.join(path).components().filter(|part| *part != Component::CurDir).collect();
    match joined.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(_) => Err(Refusal::new(
            "the working directory is not UTF-8, which no profile can hold",
            "go to another directory",
        )),
    }
}

/// A package's name or an address in the program's place.
fn looks_like_package(program: &str) -> Option<Refusal> {
    if program.starts_with('-') {
        let hint = "mcpjail's own options stand before `--`: `mcpjail add NAME OPTIONS -- npx -y PACKAGE`";
        return Some(Refusal::new(format!("`{program}` is an option, not a program"), hint));
    }
    if program.contains("://") {
        let hint = "a server behind an address runs elsewhere, and no jail of this machine holds it; add a program that runs here";
        return Some(Refusal::new("it is an address, not a program", hint));
    }
    if let Some(spec) = program.strip_prefix("jsr:") {
        return Some(Refusal::new(
            "packages of JSR are not installed",
            format!("if npm has it: `mcpjail add NAME -- npm:{spec}`"),
        ));
    }
    let name =
        program.get(1..).and_then(|rest| rest.find('@')).map_or(program, |at| program.get(..=at).unwrap_or(program));
    if program.starts_with('@') && names::is_npm_name(name) {
        let hint = format!("say where from: `mcpjail add NAME -- npx -y {program}`");
        return Some(Refusal::new("it is a package's name, not a program", hint));
    }
    None
}
