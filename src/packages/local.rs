//! Code that lies on this machine, copied into the store as it is now.

mod copy;

use super::pypi::{Adopted, adopt};
use super::{Component, Ecosystem, Installed, LocalRequest, Options, PackageError, Release, Start, Workshop};
use crate::command::{self, Resolved, Runtime};
use crate::diagnose::Diagnose;
use crate::store::Stage;
use copy::Copied;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A copy, and the server's own arguments among the command's words.
#[derive(Debug)]
pub struct Snapshot {
    /// What was copied.
    pub installed: Installed,
    /// The server's arguments.
    pub args: Vec<String>,
}

/// Reasons of grants that are the server's own code; what else a command needs stays on the machine, or cannot be moved.
const OWN: [&str; 8] = [
    "the server's package",
    "the server's packages",
    "the package.json beside the server's packages",
    "the server's directory",
    "the server's script",
    "the server's virtual environment",
    "the program",
    "the program's directory",
];

/// Reasons of grants that the machine provides.
const MACHINE: [&str; 8] = [
    "node's installation",
    "the runtime's installation",
    "Python's installation",
    "a link to Python",
    "the Python interpreter",
    "Python's standard library",
    "the program's dynamic loader",
    "the program's shared libraries",
];

/// An environment that is made for a script which has none.
const MADE: &str = ".mcpjail-python";

/// Copies the package, the virtual environment or the binary of a command into a stage.
///
/// # Errors
/// [`PackageError::Local`] where the code lies in several places or cannot be moved.
pub fn snapshot(
    request: &LocalRequest,
    options: &Options<'_>,
    stage: &mut Stage,
    workshop: &dyn Workshop,
) -> Result<Snapshot, PackageError> {
    let (root, scratch) = (stage.root(), stage.scratch());
    let (snapshot, outside) = fill(request, options, &root, &scratch, workshop)?;
    for (link, target) in outside {
        stage.allow_outside(link, target);
    }
    Ok(snapshot)
}

type Outside = Vec<(PathBuf, PathBuf)>;

fn fill(
    request: &LocalRequest,
    options: &Options<'_>,
    root: &Path,
    scratch: &Path,
    workshop: &dyn Workshop,
) -> Result<(Snapshot, Outside), PackageError> {
    let argv: Vec<OsString> = request.command.iter().map(OsString::from).collect();
    let resolved = command::resolve(&argv, options.context)
        .map_err(|error| PackageError::Command(Box::new(error) as Box<dyn Diagnose>))?;
    let code = Code::of(&resolved)?;
    workshop.step(&format!("copying {}", code.base.display()));
    let Copied { mut outside, secrets } = copy::copy(&code.base, code.items.as_deref(), root)?;
    for path in secrets {
        workshop
            .note(&format!("`{}` was copied into the store, too", crate::diagnose::printable(&path.to_string_lossy())));
    }
    let start = code.start(&resolved)?;
    if let Start::PythonScript { python, .. } | Start::PythonModule { python, .. } = &start {
        workshop.step("compiling");
        let make = python.starts_with(MADE).then(|| Path::new(MADE));
        let interpreter = adopt(&Adopted { root, scratch, program: &resolved.program, make }, options, workshop)?;
        if make.is_some() {
            outside.push((python.clone(), interpreter));
        }
    }
    let args = resolved.server_args.iter().map(|word| text(word)).collect::<Result<Vec<String>, _>>()?;
    let release = code.release();
    let component = Component {
        name: release.name.clone(),
        version: release.version.clone(),
        hashes: Vec::new(),
        license: None,
        depends: Vec::new(),
    };
    let installed = Installed { release, start, components: vec![component], skipped: Vec::new(), ran: Vec::new() };
    Ok((Snapshot { installed, args }, outside))
}

/// The one place where a server's code lies.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    /// The directory that becomes the root, canonical.
    base: PathBuf,
    /// Names in it that are copied; all of it where `None`.
    items: Option<Vec<OsString>>,
    /// The script or the binary, canonical.
    entry: PathBuf,
}

impl Code {
    fn of(resolved: &Resolved) -> Result<Code, PackageError> {
        let program = resolved.program.clone();
        let entry =
            resolved.entry.clone().ok_or_else(|| unfit(&program, "no file of the server's own is among its words"))?;
        let native = resolved.interpreter.is_none();
        let mut own: Vec<PathBuf> = Vec::new();
        for grant in &resolved.grants {
            let reason = grant.reason.as_str();
            let libraries =
                reason.starts_with("the program's shared librar") || reason == "the program's dynamic loader";
            if native && libraries {
                return Err(unfit(&grant.path, "the program needs this library, which would stay behind"));
            }
            // An interpreter without an installation around it is granted as a program is.
            let interpreter = !native && reason == "the program";
            if OWN.contains(&reason) && !interpreter {
                let real =
                    grant.path.canonicalize().map_err(|error| PackageError::io("find", grant.path.clone(), error))?;
                if !own.contains(&real) {
                    own.push(real);
                }
            } else if !MACHINE.contains(&reason) && !libraries && !interpreter {
                return Err(unfit(&grant.path, &format!("the server needs it besides its own code ({reason})")));
            }
        }
        // A system's binary has no grant, and the store is no place for it.
        let code = match own.as_slice() {
            [] => return Err(unfit(&entry, "it belongs to the system")),
            [file] if file.is_file() => Code { base: parent(file), items: Some(vec![name(file)]), entry },
            [dir] if name(dir) == "node_modules" => Code { base: parent(dir), items: Some(vec![name(dir)]), entry },
            [dir] => Code { base: dir.clone(), items: None, entry },
            [one, other]
                if parent(one) == parent(other) && [one, other].iter().any(|path| name(path) == "node_modules") =>
            {
                Code { base: parent(one), items: Some(vec![name(one), name(other)]), entry }
            }
            [_, other, ..] => return Err(unfit(other, "the server's code lies in several places")),
        };
        if code.entry.strip_prefix(&code.base).is_err() {
            return Err(unfit(&code.entry, "the server's code lies in several places"));
        }
        Ok(code)
    }

    fn relative(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.base).ok().filter(|path| !path.as_os_str().is_empty()).map(Path::to_path_buf)
    }

    fn start(&self, resolved: &Resolved) -> Result<Start, PackageError> {
        let script = self.relative(&self.entry).ok_or_else(|| unfit(&self.entry, "it is no file in its package"))?;
        let front = resolved.argv.len().saturating_sub(resolved.server_args.len());
        let words = resolved.argv.get(..front).unwrap_or_default();
        match (&resolved.interpreter, resolved.runtime) {
            (None, _) => Ok(Start::Program { path: script }),
            (Some(_), Runtime::Node) => {
                let options = words.get(1..front.saturating_sub(1)).unwrap_or_default();
                if let Some(option) = options.iter().find(|option| option.as_bytes().contains(&b'/')) {
                    let path = Path::new(option);
                    return Err(unfit(path, "an option of `node` names a file, which would stay behind"));
                }
                let options = options.iter().map(|word| text(word)).collect::<Result<_, _>>()?;
                Ok(Start::Node { options, script })
            }
            (Some(_), Runtime::Python) => {
                let python = self.python(&resolved.program).unwrap_or_else(|| Path::new(MADE).join("bin/python"));
                match words {
                    [_, flag, module] if flag == "-m" => Ok(Start::PythonModule { python, module: text(module)? }),
                    [_, _] => Ok(Start::PythonScript { python, script }),
                    _ => Err(unfit(&self.entry, "options of `python` are not kept")),
                }
            }
            (Some(interpreter), Runtime::Native) => {
                let own = words
                    .iter()
                    .filter(|word| Path::new(word).canonicalize().is_ok_and(|path| path == self.entry))
                    .count();
                if own == 1 && is_executable(&self.entry) {
                    return Ok(Start::Program { path: script });
                }
                Err(unfit(
                    &self.entry,
                    &format!("it is run by `{}`, which the store does not know", interpreter.display()),
                ))
            }
        }
    }

    /// The environment's interpreter as it lies in the copy.
    fn python(&self, program: &Path) -> Option<PathBuf> {
        let bin = program.parent()?.canonicalize().ok()?;
        self.relative(&bin).map(|bin| bin.join(name(program)))
    }

    /// Name and version as the package states them, else the name of its file.
    fn release(&self) -> Release {
        let read = |name: &str| std::fs::read_to_string(self.base.join(name)).ok();
        let stated = if self.items.as_ref().is_none_or(|items| items.iter().any(|item| item == "package.json")) {
            read("package.json")
                .and_then(|text| stated_by_npm(&text))
                .or_else(|| read("pyproject.toml").and_then(|text| stated_by_python(&text)))
        } else {
            None
        };
        let stem = self.entry.file_stem().unwrap_or_else(|| OsStr::new("server")).to_string_lossy();
        let fits = |text: &String| !text.is_empty() && text.len() <= 214 && text.chars().all(|c| c.is_ascii_graphic());
        let (name, version) = stated
            .filter(|(name, _)| fits(name) && !name.get(1..).unwrap_or_default().contains('@'))
            .unwrap_or_default();
        let plain: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
            .collect();
        Release {
            ecosystem: Ecosystem::Local,
            name: if name.is_empty() { plain } else { name },
            extras: Vec::new(),
            version: Some(version).filter(fits).unwrap_or_default(),
        }
    }
}

fn stated_by_npm(text: &str) -> Option<(String, String)> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let field = |key: &str| json.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    Some((field("name")?, field("version").unwrap_or_default()))
}

fn stated_by_python(text: &str) -> Option<(String, String)> {
    let table: toml::Table = text.parse().ok()?;
    let project = table.get("project")?.as_table()?;
    let field = |key: &str| project.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    Some((field("name")?, field("version").unwrap_or_default()))
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_path_buf()
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn text(word: &OsStr) -> Result<String, PackageError> {
    word.to_str().map(str::to_owned).ok_or_else(|| unfit(Path::new(word), "a profile cannot hold what is no UTF-8"))
}

fn unfit(path: &Path, reason: &str) -> PackageError {
    PackageError::Local {
        path: path.to_owned(),
        reason: reason.into(),
        hint: "leave it where it is: `mcpjail run -- COMMAND`, or a profile with `command = […]`".into(),
    }
}

#[cfg(test)]
mod tests;
