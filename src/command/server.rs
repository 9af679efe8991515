//! The other half of the way: what the binary at the end of it needs, where the server's own code is, and how the
//! arguments have to read so that both are found inside the jail.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::arguments::{self, Entry};
use super::error::{CommandError, lossy};
use super::needs::Needs;
use super::python::{self, Python};
use super::runtime::{self, Flavor};
use super::shebang::{self, Format};
use super::walk::{Program, Script, Walk, join};
use super::{Resolved, files, package, refuse};

impl Walk<'_> {
    /// Grants what the binary and the server's code need, and makes the arguments fit the jail.
    ///
    /// `own` is how many arguments the person typed after the command's name.
    pub(super) fn finish(
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
        let mut launcher = scripts.first().map(|script| script.path.clone());
        if launcher.is_some() {
            self.code.clone_from(&launcher);
        }
        for script in scripts {
            self.script(script, node, &mut argv);
            let wrapper = (flavor == Flavor::Shell).then(|| shebang::wrapped(&script.head)).flatten();
            if let Some((runtime, target)) = wrapper.and_then(|wrapper| self.wrapped(&script.path, &wrapper)) {
                kind = runtime;
                if target.is_some() {
                    self.code.clone_from(&target);
                }
                launcher = target.or(launcher);
            }
        }
        if let Some(launcher) = launcher {
            let real = launcher.canonicalize().unwrap_or_else(|_| launcher.clone());
            refuse::check_script(&real, argv.get(rest..).unwrap_or_default(), self.launcher)?;
            rest = self.launched(&launcher, &mut argv, rest).unwrap_or(rest);
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
                if self.code.is_none() {
                    self.code = python.module_file(self.needs.home(), &self.scope.cwd, module);
                }
            }
        }
        let interpreter = (flavor != Flavor::Binary || !scripts.is_empty()).then(|| program.real.clone());
        let code = if interpreter.is_none() { Some(program.real.clone()) } else { self.code.take() };
        let entry = code.and_then(|code| code.canonicalize().ok()).filter(|code| code.is_file());
        let server_args = argv.get(rest..).unwrap_or_default().to_vec();
        self.keep_environment(&mut executed, &mut argv)?;
        let needs = std::mem::replace(&mut self.needs, Needs::new(&self.launcher.home));
        let (grants, path_dirs, trail) = needs.into_parts();
        Ok(Resolved {
            program: executed,
            argv,
            server_args,
            runtime: kind,
            grants,
            path_dirs,
            entry,
            interpreter,
            trail,
        })
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
        self.code = Some(script.clone());
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
    fn script(&mut self, script: &Script, node: bool, argv: &mut [OsString]) {
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
    }

    /// What a package manager's shell wrapper starts: the interpreter is looked up here, its script's package granted.
    /// Gives the kind of the interpreter, and the script.
    fn wrapped(&mut self, wrapper: &Path, wrapped: &shebang::Wrapped) -> Option<(super::Runtime, Option<PathBuf>)> {
        let inner = self.find(&wrapped.program, Some(wrapper)).ok()?;
        if inner.format != Format::Elf {
            return None;
        }
        let flavor = Flavor::of(&inner.reached, &inner.real);
        if flavor == Flavor::Python {
            python::grant(&mut self.needs, &inner.reached, &inner.real);
        } else {
            runtime::grant(&mut self.needs, flavor, &inner.real);
        }
        let shown = self.needs.visible(wrapper);
        let target = wrapped.script.as_ref().zip(shown.parent()).map(|(relative, dir)| files::absolute(relative, dir));
        // The wrapper is a file like any other: it is believed only about packages.
        let target = target.filter(|target| package::outermost_node_modules(target).is_some() && target.is_file());
        if let Some(target) = &target {
            package::grant(&mut self.needs, target, true);
        }
        Some((flavor.runtime(), target))
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
        self.code = Some(path.clone());
        let mut whole = self.needs.visible(&path).into_os_string().into_vec();
        whole.extend_from_slice(&object);
        if let Some(word) = argv.get_mut(from + index) {
            *word = OsString::from_vec(whole);
        }
        Some(from + index + 1)
    }
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
