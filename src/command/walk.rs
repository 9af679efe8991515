//! From the typed name to the binary: `PATH`, shims, `#!` lines, and at the end what the binary's kind needs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::arguments::{self, Entry};
use super::environ::{self, Changes};
use super::error::{CommandError, lossy};
use super::needs::Needs;
use super::python::{self, Python};
use super::runtime::{self, Flavor};
use super::shebang::{self, Format};
use super::suggest::{interpreter_hint, nearest_file, not_executable, suggestion};
use super::{Context, Resolved, files, package, refuse, shim};

/// Scripts that may be run by scripts; the kernel's own bound (`bprm->recursion_depth`).
const MAX_SCRIPTS: usize = 4;

/// Shims that may stand behind shims, for one name.
const MAX_SHIMS: usize = 4;

/// Resolves a command; see [`super::resolve`].
pub(super) fn resolve(argv: &[OsString], context: &Context) -> Result<Resolved, CommandError> {
    let mut scope = context.clone();
    scope.env.insert("PATH".into(), context.path.clone());
    let needs = Needs::new(&context.home);
    let typed = scope.clone();
    let mut walk = Walk { launcher: context, typed, scope, changes: Changes::default(), needs };
    walk.run(argv.to_vec())
}

struct Walk<'a> {
    launcher: &'a Context,
    /// The context as the person's own `env` changes it: version managers are found in it and run with it.
    typed: Context,
    /// The context as a script's first line changes it too: names are looked up in it, nothing is run with it.
    scope: Context,
    /// What `env` is to do again inside the jail.
    changes: Changes,
    needs: Needs,
}

/// A program that has been followed to its end.
struct Program {
    /// As it is reached, after shims.
    reached: PathBuf,
    /// Where that leads.
    real: PathBuf,
    /// Its first bytes.
    head: Vec<u8>,
    format: Format,
}

/// A script on the way, with its first bytes.
struct Script {
    path: PathBuf,
    head: Vec<u8>,
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
    fn find(&mut self, name: &OsStr, script: Option<&Path>) -> Result<Program, CommandError> {
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

    /// Grants what the binary and the server's code need, and makes the arguments fit the jail.
    ///
    /// `own` is how many arguments the person typed after the command's name.
    fn finish(
        &mut self,
        program: Program,
        mut argv: Vec<OsString>,
        scripts: &[Script],
        own: usize,
    ) -> Result<Resolved, CommandError> {
        let flavor = Flavor::of(&program.reached, &program.real);
        let mut kind = flavor.runtime();
        let mut executed = program.real.clone();
        let mut python: Option<Python> = None;
        if flavor == Flavor::Python {
            let found = python::grant(&mut self.needs, &program.reached, &program.real);
            executed = found.program.clone();
            python = Some(found);
        } else {
            runtime::grant(&mut self.needs, flavor, &program.real);
        }
        // A binary that is part of an environment or a package: its neighbours are its own.
        if scripts.is_empty() && flavor == Flavor::Binary {
            self.binary_neighbours(&program);
        }
        let node = kind == super::Runtime::Node;
        let mut rest = argv.len().saturating_sub(own);
        let mut module = None;
        if scripts.is_empty() {
            let entry = arguments::entry(flavor, &argv);
            rest = entry.rest;
            self.entry(flavor, &entry, &mut argv)?;
            module = entry.module.clone();
            if let Some(at) = entry.script {
                let path = argv.get(at).map(PathBuf::from).unwrap_or_default();
                rest = self.launched(&path, &mut argv, at + 1).unwrap_or(rest);
            }
        }
        for script in scripts {
            self.script(script, node, &mut argv)?;
            if let Some(wrapped) =
                Some(flavor).filter(|it| *it == Flavor::Shell).and_then(|_| shebang::wrapped(&script.head))
            {
                kind = self.wrapped(&script.path, &wrapped).unwrap_or(kind);
            }
        }
        if let Some(script) = scripts.first() {
            let real = script.path.canonicalize().unwrap_or_else(|_| script.path.clone());
            refuse::check_script(&real, argv.get(rest..).unwrap_or_default(), self.launcher)?;
            rest = self.launched(&script.path, &mut argv, rest).unwrap_or(rest);
        }
        if let Some(python) = &python {
            let script = scripts.first().map(|script| script.path.as_path());
            python.user_site(&mut self.needs, script, module.as_ref());
            // Python finds its installation by the name under which it is called.
            if let Some(name) = argv.first_mut() {
                *name = executed.clone().into_os_string();
            }
            if let Some(module) = &module {
                if files::name_of(Path::new(module)) == "mcp" || files::name_of(Path::new(module)) == "fastmcp" {
                    rest = self.launched(Path::new(module), &mut argv, rest).unwrap_or(rest);
                }
                python::module_in(&mut self.needs, &self.scope.cwd, module);
            }
        }
        let server_args = argv.get(rest..).unwrap_or_default().to_vec();
        self.keep_environment(&mut executed, &mut argv)?;
        let needs = std::mem::replace(&mut self.needs, Needs::new(&self.launcher.home));
        let (grants, path_dirs, trail) = needs.into_parts();
        Ok(Resolved { program: executed, argv, server_args, runtime: kind, grants, path_dirs, trail })
    }

    /// Where `env` changes the environment, it is run again inside the jail, with the program's path in full.
    fn keep_environment(&mut self, executed: &mut PathBuf, argv: &mut Vec<OsString>) -> Result<(), CommandError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let named = |path: &Path| path.as_os_str().as_bytes().contains(&b'=');
        let env = Path::new("/usr/bin/env").canonicalize();
        let env = env.ok().filter(|_| !named(executed)).ok_or_else(|| CommandError::EnvOption {
            option: self.changes.arguments().first().map(|word| lossy(word)).unwrap_or_default(),
            hint: "leave `env` away and set the variable with `--env NAME=VALUE`".into(),
        })?;
        let set = self.changes.arguments();
        self.needs.note(format!("env changes the server's environment: {}", lossy(&join(&set))));
        let mut front = vec![OsString::from("env")];
        front.extend(set);
        front.push(executed.clone().into_os_string());
        argv.splice(..argv.len().min(1), front);
        *executed = env;
        Ok(())
    }

    fn binary_neighbours(&mut self, program: &Program) {
        if files::is_system(&program.real) {
            return;
        }
        if let Some(environment) = package::environment_of(&program.reached, &self.needs) {
            self.needs.path_dir(&environment.join("bin"));
            python::environment(&mut self.needs, &environment);
        }
        for path in [&program.reached, &program.real] {
            if package::outermost_node_modules(path).is_some() {
                package::grant(&mut self.needs, path, true);
            }
        }
    }

    /// Grants the files that an interpreter's arguments name and makes them absolute.
    fn entry(&mut self, flavor: Flavor, entry: &Entry, argv: &mut [OsString]) -> Result<(), CommandError> {
        let node = flavor.runtime() == super::Runtime::Node;
        let name = argv.first().cloned().unwrap_or_default();
        for (at, offset) in &entry.files {
            self.named_file(flavor, argv, *at, *offset);
        }
        for package in &entry.packages {
            self.bare_package(package);
        }
        let Some(at) = entry.script else { return Ok(()) };
        let Some(word) = argv.get(at).cloned() else { return Ok(()) };
        let typed = files::absolute(Path::new(&word), &self.scope.cwd);
        let Some(script) = existing(&typed, node) else {
            if flavor == Flavor::Bun || flavor == Flavor::Deno || entry.doubtful {
                self.needs.note(format!("{} does not exist; left as it is", typed.display()));
                return Ok(());
            }
            return Err(CommandError::ScriptNotFound { interpreter: name, script: typed });
        };
        if let Ok(real) = script.canonicalize() {
            refuse::check_script(&real, argv.get(entry.rest..).unwrap_or_default(), self.launcher)?;
        }
        if flavor == Flavor::Dotnet {
            let _ = script.parent().is_some_and(|dir| self.needs.tree(dir, "the program's directory"));
        }
        package::grant(&mut self.needs, &script, node);
        // A name without its extension stays as it was typed; Node completes it again.
        let shown = if script == typed { self.needs.visible(&script) } else { typed };
        if let Some(word) = argv.get_mut(at) {
            *word = shown.into_os_string();
        }
        Ok(())
    }

    /// A file that an option names: preloads bring their package, all others only themselves.
    fn named_file(&mut self, flavor: Flavor, argv: &mut [OsString], at: usize, offset: usize) {
        let Some(word) = argv.get(at) else { return };
        let (front, path) = word.as_bytes().split_at(offset.min(word.len()));
        let node = flavor.runtime() == super::Runtime::Node;
        if flavor == Flavor::Java {
            // A class path is a list; each part is granted as it stands.
            let parts: Vec<PathBuf> = std::env::split_paths(OsStr::from_bytes(path)).collect();
            let mut list = Vec::new();
            for part in parts {
                let part = files::absolute(&part, &self.scope.cwd);
                if part.is_dir() {
                    let _ = self.needs.tree(&part, "the server's classes");
                } else {
                    self.needs.file(&part, "the server's classes");
                }
                list.push(part);
            }
            if let (Ok(joined), Some(word)) = (std::env::join_paths(list), argv.get_mut(at)) {
                *word = joined;
            }
            return;
        }
        if path.starts_with(b"file:") {
            let url = path.strip_prefix(b"file://").filter(|rest| rest.starts_with(b"/"));
            if let Some(script) = url.filter(|rest| !rest.contains(&b'%')).map(files::path_of) {
                package::grant(&mut self.needs, &script, node);
            }
            return;
        }
        let typed = files::absolute(Path::new(OsStr::from_bytes(path)), &self.scope.cwd);
        let Some(script) = existing(&typed, node) else { return };
        let is_code =
            script.extension().is_some_and(|ext| ["js", "mjs", "cjs", "ts", "mts", "cts"].iter().any(|it| ext == *it));
        if is_code {
            package::grant(&mut self.needs, &script, node);
        } else {
            self.needs.file(&script, "a file that the command line names");
        }
        let shown = if script == typed { self.needs.visible(&script) } else { typed };
        let mut whole = front.to_vec();
        whole.extend_from_slice(shown.as_os_str().as_bytes());
        if let Some(word) = argv.get_mut(at) {
            *word = OsString::from_vec(whole);
        }
    }

    /// A package that Node loads first by its bare name, from the `node_modules` above the current directory.
    fn bare_package(&mut self, spec: &OsStr) {
        let Some(text) = spec.to_str() else { return };
        let parts = if text.starts_with('@') { 2 } else { 1 };
        let package: PathBuf = text.split('/').take(parts).collect();
        if text.contains(':') || package.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return;
        }
        let mut above = self.scope.cwd.ancestors();
        let found = above.find_map(|dir| Some(dir.join("node_modules").join(&package)).filter(|path| path.is_dir()));
        if let Some(found) = found {
            package::grant(&mut self.needs, &found, true);
            self.needs
                .note(format!("`{text}` is loaded from the current directory, which the server must be started in"));
        }
    }

    /// Grants a script's package and gives the script the name under which the jail shows it.
    fn script(&mut self, script: &Script, node: bool, argv: &mut [OsString]) -> Result<(), CommandError> {
        package::grant(&mut self.needs, &script.path, node);
        if let Some(environment) = package::environment_of(&script.path, &self.needs) {
            self.needs.path_dir(&environment.join("bin"));
        }
        let shown = self.needs.visible(&script.path);
        for word in argv.iter_mut().skip(1) {
            if word.as_os_str() == script.path.as_os_str() {
                *word = shown.into_os_string();
                break;
            }
        }
        Ok(())
    }

    /// What a package manager's shell wrapper starts: the interpreter is looked up here, its script's package granted.
    fn wrapped(&mut self, script: &Path, wrapped: &shebang::Wrapped) -> Option<super::Runtime> {
        let inner = self.find(&wrapped.program, Some(script)).ok()?;
        if inner.format != Format::Elf {
            return None;
        }
        let flavor = Flavor::of(&inner.reached, &inner.real);
        if flavor == Flavor::Python {
            python::grant(&mut self.needs, &inner.reached, &inner.real);
        } else {
            runtime::grant(&mut self.needs, flavor, &inner.real);
        }
        let target = wrapped.script.as_ref().zip(script.parent()).map(|(relative, dir)| files::absolute(relative, dir));
        // The wrapper is a file like any other: it is believed only about packages.
        if let Some(target) = target.filter(|target| package::outermost_node_modules(target).is_some()) {
            package::grant(&mut self.needs, &target, true);
        }
        Some(flavor.runtime())
    }

    /// Programs that run another script of the person's (`tsx server.ts`, `mcp run server.py`): grants that one too.
    /// Gives the index of the first argument after it.
    fn launched(&mut self, launcher: &Path, argv: &mut [OsString], from: usize) -> Option<usize> {
        let real = launcher.canonicalize().unwrap_or_else(|_| launcher.to_path_buf());
        let name = files::name_of(launcher);
        let typescript = package::is_in_package(&real, &["tsx", "ts-node", "vite-node", "esno", "jiti", "nodemon"]);
        let mcp = ["mcp", "fastmcp"].iter().any(|known| name == *known)
            && argv.get(from).is_some_and(|verb| verb == "run" || verb == "dev");
        if !typescript && !mcp {
            return None;
        }
        let words = argv.get(from..)?.iter().enumerate();
        let (index, path, object) =
            words.filter(|(_, word)| !word.as_bytes().starts_with(b"-")).find_map(|(index, word)| {
                let bytes = word.as_bytes();
                let colon = bytes.iter().rposition(|b| *b == b':').filter(|_| mcp).unwrap_or(bytes.len());
                let (path, object) = bytes.split_at(colon);
                let path = files::absolute(Path::new(OsStr::from_bytes(path)), &self.scope.cwd);
                path.is_file().then(|| (index, path, object.to_vec()))
            })?;
        package::grant(&mut self.needs, &path, typescript);
        let mut whole = self.needs.visible(&path).into_os_string().into_vec();
        whole.extend_from_slice(&object);
        if let Some(word) = argv.get_mut(from + index) {
            *word = OsString::from_vec(whole);
        }
        Some(from + index + 1)
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
fn join(words: &[OsString]) -> OsString {
    words.join(OsStr::new(" "))
}

/// The file or directory that a script argument means; for Node also without its extension.
fn existing(typed: &Path, node: bool) -> Option<PathBuf> {
    if typed.exists() {
        return Some(typed.to_path_buf());
    }
    let extensions = if node { &["js", "json", "node"][..] } else { &[] };
    extensions
        .iter()
        .map(|extension| {
            let mut name = typed.as_os_str().to_os_string();
            name.push(".");
            name.push(extension);
            PathBuf::from(name)
        })
        .find(|path| path.is_file())
}
