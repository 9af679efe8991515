//! From the typed name to the binary: `PATH`, shims, `#!` lines, and at the end what the binary's kind needs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::environ::{self, Changes};
use super::error::{CommandError, lossy};
use super::needs::Needs;
use super::shebang::{self, Format};
use super::suggest::{interpreter_hint, nearest_file, not_executable, suggestion};
use super::{Context, Resolved, files, refuse, shim};

/// Scripts that may be run by scripts; the kernel's own bound (`bprm->recursion_depth`).
const MAX_SCRIPTS: usize = 4;

/// Shims that may stand behind shims, for one name.
const MAX_SHIMS: usize = 4;

/// Resolves a command; see [`super::resolve`].
pub(super) fn resolve(argv: &[OsString], context: &Context, tree: Option<&Path>) -> Result<Resolved, CommandError> {
    let mut scope = context.clone();
    scope.env.insert("PATH".into(), context.path.clone());
    let mut needs = Needs::new(&context.home);
    if let Some(tree) = tree {
        needs.given(tree, "the server's package in the store");
    }
    let typed = scope.clone();
    let mut walk = Walk { launcher: context, typed, scope, changes: Changes::default(), needs, code: None };
    walk.run(argv.to_vec())
}

pub(super) struct Walk<'a> {
    pub(super) launcher: &'a Context,
    /// The context as the person's own `env` changes it: version managers are found in it and run with it.
    pub(super) typed: Context,
    /// The context as a script's first line changes it too: names are looked up in it, nothing is run with it.
    pub(super) scope: Context,
    /// What `env` is to do again inside the jail.
    pub(super) changes: Changes,
    pub(super) needs: Needs,
    /// The file of the server's own code, as far as it is known.
    pub(super) code: Option<PathBuf>,
}

/// A program that has been followed to its end.
pub(super) struct Program {
    /// As it is reached, after shims.
    pub(super) reached: PathBuf,
    /// Where that leads.
    pub(super) real: PathBuf,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    pub(super) format: Format,
}

/// A script on the way, with its first bytes.
pub(super) struct Script {
    pub(super) path: PathBuf,
    pub(super) head: Vec<u8>,
}

impl Walk<'_> {
    fn run(&mut self, typed: Vec<OsString>) -> Result<Resolved, CommandError> {
        let mut argv = self.unwrapped(typed)?;
        let own = argv.len().saturating_sub(1);
        let mut scripts: Vec<Script> = Vec::new();
        let name = argv.first().cloned().unwrap_or_default();
        let mut program = self.find(&name, None)?;
        while let Some(interpreter) = self.interpreter(&program, &mut argv, scripts.len())? {
            let script = std::mem::replace(&mut program, interpreter);
            scripts.push(Script { path: script.reached, head: script.head });
        }
        self.finish(program, argv, &scripts, own)
    }

    /// Takes `env`, `pyenv exec` and the like off the front, and refuses what no jail can run.
    fn unwrapped(&mut self, mut argv: Vec<OsString>) -> Result<Vec<OsString>, CommandError> {
        for _ in 0..8 {
            let name = argv.first().filter(|name| !name.is_empty()).ok_or(CommandError::Missing)?;
            refuse::check(&argv, &self.scope)?;
            if files::name_of(Path::new(name)) == "env" {
                let call = environ::parse(argv.get(1..).unwrap_or_default(), &self.scope.env)?;
                if call.command.is_empty() {
                    return Ok(argv);
                }
                self.change(call.changes);
                self.typed = self.scope.clone();
                argv = call.command;
            } else if let Some((manager, at)) = shim::exec_of(&argv) {
                if let Some(shims) = shim::known_dirs(&self.scope, manager) {
                    self.scope.path = in_front(&shims, &self.scope.path);
                    self.scope.env.insert("PATH".into(), self.scope.path.clone());
                    self.typed = self.scope.clone();
                }
                argv.drain(..at);
            } else {
                return Ok(argv);
            }
        }
        Ok(argv)
    }

    /// Notes what `env` changes, for look-ups from here on and for the jail.
    fn change(&mut self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        changes.apply(&mut self.scope.env);
        // Without a PATH, execvp(3) searches these.
        let path = self.scope.env.get(OsStr::new("PATH")).cloned();
        self.scope.path = path.unwrap_or_else(|| "/bin:/usr/bin".into());
        self.changes.extend(changes);
    }

    /// Looks a name up and follows it through shims. `script` is what names it in its `#!` line.
    pub(super) fn find(&mut self, name: &OsStr, script: Option<&Path>) -> Result<Program, CommandError> {
        let mut reached = self.look_up(name, script)?;
        for _ in 0..MAX_SHIMS {
            let program = self.open(name, reached, script)?;
            let head = &program.head;
            match shim::resolve(&self.typed, &program.reached, &program.real, head)? {
                None => return Ok(program),
                Some((real, manager)) => {
                    self.needs.note(format!("{} → {} ({manager})", program.reached.display(), real.display()));
                    reached = real;
                }
            }
        }
        Err(CommandError::ShebangLoop { script: reached })
    }

    fn look_up(&mut self, name: &OsStr, script: Option<&Path>) -> Result<PathBuf, CommandError> {
        if files::has_slash(name) {
            return Ok(files::absolute(Path::new(name), &self.scope.cwd));
        }
        let dirs = files::path_entries(&self.scope.path, &self.scope.cwd);
        match files::search(name, &dirs) {
            files::Search::Found(path) => {
                let path = files::absolute(&path, &self.scope.cwd);
                self.needs.note(format!("{} → {} (PATH)", lossy(name), path.display()));
                Ok(path)
            }
            files::Search::NotExecutable(path) => Err(not_executable(path, "it has no execute permission")),
            files::Search::Absent => Err(self.absent(name, script, &dirs)),
        }
    }

    /// The error for a name that leads nowhere.
    fn absent(&self, name: &OsStr, script: Option<&Path>, dirs: &[PathBuf]) -> CommandError {
        let searched = !files::has_slash(name);
        let hint = if searched { suggestion(name, dirs, &self.scope) } else { nearest_file(name, &self.scope.cwd) };
        match script {
            None => CommandError::NotFound { name: name.to_os_string(), searched, hint },
            Some(script) => CommandError::InterpreterNotFound {
                script: script.to_path_buf(),
                interpreter: name.to_os_string(),
                hint: interpreter_hint(name, script).or(hint),
            },
        }
    }

    /// Checks the file and reads its first bytes.
    fn open(&self, name: &OsStr, reached: PathBuf, script: Option<&Path>) -> Result<Program, CommandError> {
        let real = match reached.canonicalize() {
            Ok(real) => real,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(self.absent(name, script, &[]));
            }
            Err(source) => return Err(CommandError::Unreadable { path: reached, source }),
        };
        if real.ends_with("usr/bin/snap") && files::name_of(&reached) != "snap" {
            return Err(CommandError::SelfConfined { name: lossy(files::name_of(&reached)), by: "snap" });
        }
        let meta = real.metadata().map_err(|source| CommandError::Unreadable { path: reached.clone(), source })?;
        if meta.is_dir() {
            return Err(CommandError::IsDirectory { path: reached });
        }
        if !meta.is_file() {
            return Err(not_executable(reached, "it is a device, a FIFO or a socket"));
        }
        if !files::is_executable_file(&meta) {
            return Err(not_executable(reached, "it has no execute permission"));
        }
        match files::head(&real, shebang::HEAD) {
            Ok(head) => {
                let format = shebang::format(&head);
                Ok(Program { reached, real, head, format })
            }
            // A binary may be executable and unreadable; a script may not.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Program { reached, real, head: Vec::new(), format: Format::Elf })
            }
            Err(source) => Err(CommandError::Unreadable { path: reached, source }),
        }
    }

    /// The interpreter of a script, `argv` rewritten for it; nothing where the program is a binary.
    fn interpreter(
        &mut self,
        script: &Program,
        argv: &mut Vec<OsString>,
        depth: usize,
    ) -> Result<Option<Program>, CommandError> {
        let (name, argument) = match &script.format {
            Format::Elf => return Ok(None),
            Format::Unknown => {
                return Err(not_executable(script.reached.clone(), "it is neither an ELF binary nor a script"));
            }
            Format::Text => ("/bin/sh".into(), None),
            Format::Script { interpreter, argument } => (interpreter.clone(), argument.clone()),
        };
        if depth >= MAX_SCRIPTS {
            return Err(CommandError::ShebangLoop { script: script.reached.clone() });
        }
        let mut front: Vec<OsString>;
        if let Some(python) = shebang::python_behind_shell(&script.head, &script.reached) {
            self.needs.note(format!("{} is run by {} (behind /bin/sh)", script.reached.display(), python.display()));
            front = vec![python.into_os_string()];
        } else if files::name_of(Path::new(&name)) == "env" && argument.is_some() {
            let mut words: Vec<OsString> = argument.into_iter().collect();
            words.push(script.reached.clone().into_os_string());
            let mut call = environ::parse(&words, &self.scope.env)?;
            // The script's path was the last word that env saw.
            call.command.pop();
            self.change(call.changes);
            front = call.command;
            self.needs.note(format!("{} is run by {} (env)", script.reached.display(), lossy(&join(&front))));
        } else {
            let words = [Some(name), argument];
            front = words.into_iter().flatten().collect();
            self.needs.note(format!("{} is run by {}", script.reached.display(), lossy(&join(&front))));
        }
        let Some(interpreter) = front.first().cloned() else {
            return Err(CommandError::ShebangLoop { script: script.reached.clone() });
        };
        let found = self.find(&interpreter, Some(&script.reached))?;
        front.push(script.reached.clone().into_os_string());
        argv.splice(..argv.len().min(1), front);
        Ok(Some(found))
    }
}

/// `PATH` with a directory in front.
fn in_front(dir: &Path, path: &OsStr) -> OsString {
    let mut joined = dir.as_os_str().to_os_string();
    joined.push(":");
    joined.push(path);
    joined
}

/// Words with blanks between them, for people.
pub(super) fn join(words: &[OsString]) -> OsString {
    words.join(OsStr::new(" "))
}
