//! A server that runs from a package in the store: which tree, how it is started, and that it is what was added.

use super::TargetArgs;
use super::output::{Failed, IoFailed};
use crate::catalog::PackagePin;
use crate::command::{self, CommandGrant, Context, Resolved};
use crate::config::{Locations, Origin, PackageLine, Profile, Source, Sourced};
use crate::diagnose::{Diagnose, Exit, printable};
use crate::identity::real_path;
use crate::packages::Start;
use crate::plan::{Access, Grant, Place};
use crate::store::{Checked, Depth, Record, Store, StoreError};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::thread::{self, JoinHandle};

/// Why a package is not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackageRunError {
    /// The profile names one, and the store knows of none under this name.
    #[error("`{package}` is not installed ({origin})")]
    NotInstalled {
        /// The server.
        name: String,
        /// What the profile says.
        package: String,
        /// Its line.
        origin: Origin,
    },
    /// The profile names another one than is installed.
    #[error("the profile says `{package}` ({origin}), and `{installed}` is installed")]
    Mismatch {
        /// The server.
        name: String,
        /// What the profile says.
        package: String,
        /// What the store has under this name.
        installed: String,
        /// Its line.
        origin: Origin,
    },
    /// The server could change what it runs from.
    #[error("the server's package `{}` lies in `{}`, which the server may write ({origin})", shown(root), shown(grant))]
    Writable {
        /// The tree.
        root: PathBuf,
        /// The writable grant.
        grant: PathBuf,
        /// The grant's line.
        origin: Origin,
    },
    /// What is to be started is not in the tree.
    #[error("`{}` is not a file of the server's package", shown(path))]
    Outside {
        /// As the tree's own description has it.
        path: PathBuf,
    },
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

impl Diagnose for PackageRunError {
    fn code(&self) -> &'static str {
        match self {
            PackageRunError::NotInstalled { .. } => "package-not-installed",
            PackageRunError::Mismatch { .. } => "package-mismatch",
            PackageRunError::Writable { .. } => "package-writable",
            PackageRunError::Outside { .. } => "package-entry",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            PackageRunError::NotInstalled { name, package, origin: _ } if package.starts_with("local:") => {
                format!("install it with `mcpjail add {name} -- COMMAND`")
            }
            PackageRunError::NotInstalled { name, package: _, origin: _ } => {
                format!("install what the profile names with `mcpjail add {name}`")
            }
            PackageRunError::Mismatch { name, package, installed, origin: _ } => {
                let update = match version(package) {
                    Some(version) => format!("install it with `mcpjail update {name} {}`", printable(version)),
                    None => format!("install it with `mcpjail update {name}`"),
                };
                format!("{update}, or write `package = \"{}\"`", printable(installed))
            }
            PackageRunError::Writable { .. } => {
                "grant a directory that does not hold mcpjail's own, or keep that with `--deny-write DIRECTORY`".into()
            }
            PackageRunError::Outside { .. } => "look for what changed it with `mcpjail check --deep`".into(),
        })
    }
}

/// Why a command is granted parts of the machine's own runtimes: the only grants besides its tree that a package has. What
/// a package says of itself (a path in a `.pth` file, a library's search path, links) grants nothing.
const RUNTIMES: &[&str] = &[
    "the runtime's installation",
    "Python's installation",
    "the Python interpreter",
    "Python's standard library",
    "a link to Python",
];
/// A single file, where that is the interpreter.
const THE_PROGRAM: &str = "the program";
/// The beginning of several more.
const HOMEBREW: &str = "Homebrew's ";
/// The same, of what an interpreter is linked to.
const LIBRARIES: &[&str] =
    &["the program's dynamic loader", "the program's shared libraries", "the program's shared library"];
/// Where a script's interpreter may lie besides the tree.
const SYSTEM: &[&str] = &["/bin", "/usr/bin", "/usr/local/bin"];
/// How much of a script is read for its first line, bytes.
const LINE: u64 = 4096;

fn has_parent(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// The version in a release as it is written.
fn version(package: &str) -> Option<&str> {
    let (name, version) = match package.split_once("==") {
        Some(parts) => parts,
        None => package.rsplit_once('@')?,
    };
    (!name.is_empty() && !version.is_empty()).then_some(version)
}

/// A package that was found in the store, and how its server is started.
#[derive(Debug)]
pub(super) struct Package {
    /// What a lock pins of it.
    pub(super) pin: PackagePin,
    /// What the jail shows: absolute, without symlinks.
    pub(super) root: PathBuf,
    /// What no server may write: the store, and the records of what is installed.
    own: [PathBuf; 2],
    /// Whether it is as it was added; being found out.
    pub(super) verifying: Option<Verifying>,
    start: Start,
}

impl Package {
    /// Looks up what the profile names, and begins to verify it where `depth` says how.
    pub(super) fn find(
        args: &TargetArgs,
        line: &PackageLine,
        loc: &Locations,
        depth: Option<Depth>,
    ) -> Result<Package, Failed> {
        let store = Store::new(&loc.data_dir);
        let name = args.name.clone().unwrap_or_default();
        let record = match &args.staged {
            Some(staged) => staged.record.clone(),
            None => store.installed(&name)?.ok_or_else(|| PackageRunError::NotInstalled {
                name: name.clone(),
                package: line.package.value.clone(),
                origin: line.package.origin.clone(),
            })?,
        };
        let (release, tree, start) = (record.release.to_string(), record.tree, record.start.clone());
        if release != line.package.value {
            let Sourced { value: package, origin } = line.package.clone();
            return Err(PackageRunError::Mismatch { name, package, installed: release, origin }.into());
        }
        let records = store.record_path(&name);
        let verifying = depth.map(|depth| Verifying::start(store.clone(), name.clone(), record, depth)).transpose()?;
        let root = store.root(&tree);
        let real = root.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { tree }.of(&name),
            _ => StoreError::io("look up", &root, source),
        })?;
        // links above the trees are the person's; one in the place of a tree is nobody's
        if !real.ends_with(Path::new("trees").join(tree.hex()).join("root")) {
            return Err(PackageRunError::Outside { path: real }.into());
        }
        let above = real.ancestors().nth(3).unwrap_or(&real).to_owned();
        let own = [above, real_path(records.parent().unwrap_or(&records))];
        Ok(Package { pin: PackagePin { release, tree }, root: real, own, verifying, start })
    }

    /// Finds out what is executed. The package's own script stands in front of all arguments, so that none of them is the
    /// interpreter's.
    pub(super) fn resolve(&self, args: &[OsString]) -> Result<Resolved, Failed> {
        self.resolve_in(args, Context::of_process()?)
    }

    fn resolve_in(&self, args: &[OsString], context: Context) -> Result<Resolved, Failed> {
        let mut argv = self.argv()?;
        argv.extend(args.iter().cloned());
        // names are not looked up where the host happens to be, nor in the package, which could bring a `node` of its own
        let context = context.looking_from(self.root.clone());
        let mut resolved = command::resolve_within(&argv, &context, &self.root)?;
        // what a binary of the package says of libraries is the package's word; of an interpreter it is the machine's
        let own = resolved.interpreter.as_ref().is_none_or(|interpreter| interpreter.starts_with(&self.root));
        resolved.grants.retain(|CommandGrant { path, reason }| {
            let reason = reason.as_str();
            let libraries = !own && LIBRARIES.contains(&reason);
            let executed = reason == THE_PROGRAM && resolved.interpreter.as_ref() == Some(path);
            let machines = libraries || executed || reason.starts_with(HOMEBREW) || RUNTIMES.contains(&reason);
            !path.starts_with(&self.root) && machines
        });
        resolved.trail.retain(|step| !step.starts_with("editable install"));
        let entry = resolved.entry.take();
        let entry = entry.as_deref().and_then(|entry| entry.strip_prefix(&self.root).ok());
        let file = entry.map(|entry| format!(", {}", printable(&entry.to_string_lossy()))).unwrap_or_default();
        resolved.trail.insert(0, format!("package: {}, {}{file}", self.pin.release, self.pin.tree));
        Ok(resolved)
    }

    fn argv(&self) -> Result<Vec<OsString>, PackageRunError> {
        Ok(match &self.start {
            Start::Node { options, script } => {
                if let Some(other) = options.iter().find(|option| !option.starts_with('-')) {
                    return Err(PackageRunError::Outside { path: other.into() });
                }
                let words = std::iter::once("node".into()).chain(options.iter().map(OsString::from));
                words.chain([self.file(script)?.into_os_string()]).collect()
            }
            Start::PythonScript { python, script } => {
                vec![self.link(python)?.into_os_string(), self.file(script)?.into_os_string()]
            }
            Start::PythonModule { python, module } => {
                let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
                if !module.split('.').all(part) {
                    return Err(PackageRunError::Outside { path: module.into() });
                }
                vec![self.link(python)?.into_os_string(), "-m".into(), module.into()]
            }
            Start::Program { path } => {
                let program = self.file(path)?;
                self.check_interpreter(&program)?;
                vec![program.into_os_string()]
            }
        })
    }

    /// A script names its interpreter itself: one of the system's, or of the package. Anything else would be granted to be
    /// executed at the package's word.
    fn check_interpreter(&self, program: &Path) -> Result<(), PackageRunError> {
        let mut head = Vec::new();
        let file = File::open(program).map_err(|_| PackageRunError::Outside { path: program.to_owned() })?;
        let _what_there_is = file.take(LINE).read_to_end(&mut head);
        let Some(line) = head.strip_prefix(b"#!") else { return Ok(()) };
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let interpreter = Path::new(OsStr::from_bytes(words.next().unwrap_or_default()));
        if interpreter.file_name() == Some(OsStr::new("env")) {
            // a plain name, looked up as the machine has it; with a `PATH` of its own, the script would choose again
            let name = words.find(|word| *word != b"-S").unwrap_or_default();
            if name.is_empty() || name.starts_with(b"-") || name.iter().any(|byte| b"=/".contains(byte)) {
                return Err(PackageRunError::Outside { path: OsStr::from_bytes(line).into() });
            }
        }
        let real = interpreter.canonicalize().unwrap_or_else(|_| interpreter.to_owned());
        let known = SYSTEM.iter().any(|dir| interpreter.starts_with(dir) && !has_parent(interpreter));
        if known || real.starts_with(&self.root) {
            Ok(())
        } else {
            Err(PackageRunError::Outside { path: interpreter.to_owned() })
        }
    }

    /// A file of the tree, as the tree calls it.
    fn file(&self, relative: &Path) -> Result<PathBuf, PackageRunError> {
        let path = self.link(relative)?;
        let inside = path.canonicalize().is_ok_and(|real| real.starts_with(&self.root) && real.is_file());
        if inside { Ok(path) } else { Err(PackageRunError::Outside { path: relative.to_owned() }) }
    }

    /// The same for what may lead out of the tree: the interpreter of a virtual environment.
    fn link(&self, relative: &Path) -> Result<PathBuf, PackageRunError> {
        let outside = || PackageRunError::Outside { path: relative.to_owned() };
        let mut parts = relative.components();
        let plain = parts.clone().next().is_some() && parts.all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(outside());
        }
        let path = self.root.join(relative);
        // where the last component may be a link, those before it may not lead out
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        if folder.is_some_and(|folder| folder.starts_with(&self.root)) { Ok(path) } else { Err(outside()) }
    }

    /// Refuses grants by which a server that runs from the store could change what it runs from, or what is said of it.
    pub(super) fn keep_from_server(&self, grants: &[Grant], islands: &[Place]) -> Result<(), PackageRunError> {
        for grant in grants.iter().filter(|grant| grant.access == Access::Write) {
            let place = &grant.place.canonical;
            let depth = |path: &Path| path.components().count();
            let reached = self.own.iter().any(|own| {
                let island =
                    |Place { canonical, .. }: &Place| own.starts_with(canonical) && depth(canonical) >= depth(place);
                place.starts_with(own) || (own.starts_with(place) && !islands.iter().any(island))
            });
            if reached {
                return Err(PackageRunError::Writable {
                    root: self.root.clone(),
                    grant: place.clone(),
                    origin: grant.place.origin.clone(),
                });
            }
        }
        Ok(())
    }

    /// What the interpreter must be told so that nothing but the tree is loaded: where a server is started in a directory
    /// that it may write, Python would take modules from there.
    pub(super) fn keep_imports_inside(&self, profile: &mut Profile) {
        const SAFE_PATH: &str = "PYTHONSAFEPATH";
        if matches!(self.start, Start::PythonScript { .. } | Start::PythonModule { .. })
            && !profile.env.set.iter().any(|(name, _)| name == SAFE_PATH)
        {
            let value = Sourced { value: "1".to_owned(), origin: Origin { source: Source::Store, line: None } };
            profile.env.set.push((SAFE_PATH.to_owned(), value));
        }
    }
}

/// A tree that is being verified on a thread of its own. The thread is gone when this is.
#[derive(Debug)]
pub(super) struct Verifying(Option<JoinHandle<Result<Checked, StoreError>>>);

impl Verifying {
    fn start(store: Store, name: String, record: Record, depth: Depth) -> Result<Verifying, Failed> {
        let verify = move || {
            let checked = store.verify(&record.tree, depth).map_err(|error| error.of(&name))?;
            // the record says it so that nobody has to wait for the tree to be read; the tree has the last word
            if checked.installed.start != record.start || checked.installed.release != record.release {
                let (path, reason) = (store.record_path(&name), "the package says something else of itself".into());
                return Err(StoreError::BadRecord { path, reason });
            }
            Ok(checked)
        };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(verify);
        Ok(Verifying(Some(thread.map_err(|source| IoFailed { what: "start a thread", source })?)))
    }

    /// Waits for the outcome.
    pub(super) fn end(mut self) -> Result<Checked, Failed> {
        let early = || IoFailed { what: "verify the package", source: io::Error::other("its thread ended early") };
        let outcome = self.0.take().and_then(|thread| thread.join().ok()).ok_or_else(early)?;
        Ok(outcome?)
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        // whoever forks next must be the only thread
        let _nobody_asks = self.0.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Digest;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A tree as the store keeps it, below a home whose data it is in.
    struct Tree {
        _folder: tempfile::TempDir,
        home: PathBuf,
        root: PathBuf,
    }

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Tree {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().canonicalize().unwrap().join("me");
            let root = home.join(".local/share/mcpjail/store/trees").join(Digest::of_bytes(b"x").hex()).join("root");
            fs::create_dir_all(&root).unwrap();
            for (name, text) in files {
                let path = root.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
                let mode = if text.starts_with("#!") { 0o555 } else { 0o444 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Tree { _folder: folder, home, root }
        }

        fn data(&self) -> PathBuf {
            self.home.join(".local/share/mcpjail")
        }

        /// The context of somebody whose home this is.
        fn context(&self) -> Context {
            Context { home: self.home.clone(), ..Context::of_process().unwrap() }
        }

        fn package(&self, start: Start) -> Package {
            let pin = PackagePin { release: "npm:x@1.0.0".into(), tree: Digest::of_bytes(b"x") };
            let own = [self.data().join("store"), self.data().join("installed")];
            Package { pin, root: self.root.clone(), own, verifying: None, start }
        }

        /// An executable of the machine: real enough to be looked at.
        fn machine(&self, name: &str) -> PathBuf {
            let path = self.home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy("/bin/true", &path).unwrap();
            path
        }
    }

    fn node(script: &str) -> Start {
        Start::Node { options: Vec::new(), script: script.into() }
    }

    fn code(result: Result<impl std::fmt::Debug, PackageRunError>) -> &'static str {
        result.unwrap_err().code()
    }

    #[test]
    fn a_start_becomes_a_command_within_the_tree() {
        let tree = Tree::new(&[("node_modules/x/index.js", ""), ("venv/bin/x", "#!x")]);
        let python = tree.machine("python/bin/python3");
        symlink(&python, tree.root.join("venv/bin/python")).unwrap();
        let at = |relative: &str| tree.root.join(relative).into_os_string();
        let argv = |start: Start| tree.package(start).argv().unwrap();
        assert_eq!(argv(node("node_modules/x/index.js")), [OsString::from("node"), at("node_modules/x/index.js")]);
        let options = vec!["--experimental-strip-types".to_owned()];
        let start = Start::Node { options, script: "node_modules/x/index.js".into() };
        assert_eq!(argv(start)[1], "--experimental-strip-types");
        let start = Start::PythonScript { python: "venv/bin/python".into(), script: "venv/bin/x".into() };
        assert_eq!(argv(start), [at("venv/bin/python"), at("venv/bin/x")]);
        let start = Start::PythonModule { python: "venv/bin/python".into(), module: "a.b_c".into() };
        assert_eq!(argv(start), [at("venv/bin/python"), "-m".into(), "a.b_c".into()]);
    }

    #[test]
    fn nothing_outside_the_tree_is_started() {
        let tree = Tree::new(&[("a.js", ""), ("bin/x", "#!/bin/sh\n")]);
        let outside = tree.machine("evil");
        fs::create_dir(tree.root.join("dir")).unwrap();
        symlink(&outside, tree.root.join("link.js")).unwrap();
        symlink(outside.parent().unwrap(), tree.root.join("folder")).unwrap();
        symlink("a.js", tree.root.join("inside.js")).unwrap();
        let argv = |start: Start| tree.package(start).argv();
        assert!(argv(node("inside.js")).is_ok());
        let absolute = outside.to_str().unwrap().to_owned();
        for script in ["", ".", "..", "../x", "a/../../x", "./../evil", "/etc/passwd", &absolute, "link.js"] {
            assert_eq!(code(argv(node(script))), "package-entry", "{script}");
        }
        for script in ["folder/evil", "dir", "none.js", "a.js/x"] {
            assert_eq!(code(argv(node(script))), "package-entry", "{script}");
            assert_eq!(code(argv(Start::Program { path: script.into() })), "package-entry", "{script}");
        }
        let start = Start::PythonScript { python: "folder/evil".into(), script: "a.js".into() };
        assert_eq!(code(argv(start)), "package-entry", "a link above the interpreter");
        let start = Start::Node { options: vec!["/tmp/x.js".into()], script: "a.js".into() };
        assert_eq!(code(argv(start)), "package-entry", "a script in front of the script");
        for module in ["", "a..b", ".a", "a b", "-c", "a/b", "../a"] {
            let start = Start::PythonModule { python: "bin/x".into(), module: module.into() };
            assert_eq!(code(argv(start)), "package-entry", "{module}");
        }
    }

    #[test]
    fn a_script_does_not_choose_an_interpreter_outside() {
        let tree = Tree::new(&[
            ("plain", "#!/bin/sh\n"),
            ("env", "#! /usr/bin/env node\n"),
            ("up", "#!/usr/bin/../../home/x\n"),
            ("relative", "#!node\n"),
            ("none", "#!\n"),
            ("split", "#!/usr/bin/env -S node --flag\n"),
            ("path", "#!/usr/bin/env -S PATH=/home/me/bin node\n"),
            ("clean", "#!/usr/bin/env -i node\n"),
            ("there", "#!/usr/bin/env /home/me/bin/node\n"),
            ("bare", "#!/usr/bin/env\n"),
        ]);
        let own = tree.root.join("plain");
        let evil = tree.machine("project/tool");
        let write = |name: &str, interpreter: &Path| {
            fs::write(tree.root.join(name), format!("#!{}\n", interpreter.display())).unwrap();
        };
        write("own", &own);
        write("evil", &evil);
        let argv = |name: &str| tree.package(Start::Program { path: name.into() }).argv();
        for name in ["plain", "env", "own", "split"] {
            assert!(argv(name).is_ok(), "{name}");
        }
        for name in ["up", "relative", "none", "evil", "path", "clean", "there", "bare"] {
            assert_eq!(code(argv(name)), "package-entry", "{name}");
        }
    }

    #[test]
    fn arguments_are_the_servers_and_grants_are_the_machines() {
        let tree = Tree::new(&[("node_modules/x/package.json", "{}"), ("node_modules/x/index.js", "")]);
        let found = tree.package(node("node_modules/x/index.js"));
        let typed: Vec<OsString> = ["--require=/x", "-e", "evil", "--import", "/y.mjs"].map(OsString::from).into();
        let resolved = found.resolve_in(&typed, tree.context()).map_err(|error| error.one_line()).unwrap();
        let script = tree.root.join("node_modules/x/index.js");
        let at = resolved.argv.iter().position(|word| *word == script).unwrap();
        assert_eq!((at, &resolved.argv[at + 1..]), (1, typed.as_slice()));
        assert_eq!(resolved.server_args, typed);
        assert_eq!(resolved.runtime, command::Runtime::Node);
        assert_eq!(resolved.entry, None);
        assert!(resolved.grants.iter().all(|grant| !grant.path.starts_with(&tree.home)), "{:?}", resolved.grants);
        assert!(resolved.trail[0].contains("npm:x@1.0.0") && resolved.trail[0].contains("index.js"));
        assert!(!resolved.trail.iter().any(|step| step.contains("none found")), "{:?}", resolved.trail);
    }

    /// Relative parts of `PATH` are looked up from where a program is started.
    #[test]
    fn a_package_brings_no_runtime_of_its_own() {
        let tree = Tree::new(&[("node_modules/x/index.js", ""), ("node_modules/.bin/node", "#!/bin/sh\n")]);
        let machine = tree.machine("machine/node");
        let path = std::env::join_paths([Path::new("node_modules/.bin"), Path::new("."), machine.parent().unwrap()]);
        let context = Context { path: path.unwrap(), ..tree.context() };
        let found = tree.package(node("node_modules/x/index.js"));
        let resolved = found.resolve_in(&[], context).map_err(|error| error.one_line()).unwrap();
        assert_eq!(resolved.program, machine);
    }

    #[test]
    fn what_a_package_says_of_other_directories_grants_nothing() {
        let tree = Tree::new(&[("venv/bin/x", "#!x"), ("venv/lib/python3.11/site-packages/x.py", "")]);
        let project = tree.home.join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("pyproject.toml"), "").unwrap();
        let site = tree.root.join("venv/lib/python3.11/site-packages");
        fs::write(site.join("evil.pth"), format!("{}\n", project.display())).unwrap();
        fs::write(site.join("__editable___x_finder.py"), format!("MAPPING = {{'x': '{}'}}\n", project.display()))
            .unwrap();
        fs::create_dir(project.join("node_modules")).unwrap();
        let python = tree.machine("runtime/bin/python3.11");
        fs::create_dir_all(tree.home.join("runtime/lib/python3.11")).unwrap();
        fs::write(tree.home.join("runtime/lib/python3.11/os.py"), "").unwrap();
        symlink(&python, tree.root.join("venv/bin/python")).unwrap();
        fs::write(tree.root.join("venv/pyvenv.cfg"), format!("home = {}\n", python.parent().unwrap().display()))
            .unwrap();
        let start = Start::PythonScript { python: "venv/bin/python".into(), script: "venv/bin/x".into() };
        let resolved = tree.package(start).resolve_in(&[], tree.context()).map_err(|error| error.one_line()).unwrap();
        assert_eq!(resolved.runtime, command::Runtime::Python);
        assert_eq!(resolved.program, tree.root.join("venv/bin/python"));
        let granted: Vec<&Path> = resolved.grants.iter().map(|grant| grant.path.as_path()).collect();
        assert!(granted.iter().any(|path| python.starts_with(path)), "{granted:?}");
        assert!(!granted.iter().any(|path| path.starts_with(&project) || project.starts_with(path)), "{granted:?}");
        assert!(!granted.iter().any(|path| path.starts_with(&tree.root) || tree.root.starts_with(path)), "{granted:?}");
    }

    #[test]
    fn no_writable_grant_holds_the_package_or_lies_in_it() {
        let tree = Tree::new(&[("a.js", "")]);
        let found = tree.package(node("a.js"));
        let place = |path: &Path| Place {
            canonical: path.to_owned(),
            links: Vec::new(),
            directory: true,
            dev: 1,
            ino: 1,
            origin: Origin::jail(),
        };
        let check = |access: Access, path: &Path, islands: &[&Path]| {
            let islands: Vec<Place> = islands.iter().map(|path| place(path)).collect();
            found.keep_from_server(&[Grant { place: place(path), access }], &islands)
        };
        let data = tree.data();
        for path in [&tree.home, Path::new("/"), &data, &tree.root, &tree.root.join("a.js"), &data.join("installed")] {
            assert_eq!(code(check(Access::Write, path, &[])), "package-writable", "{path:?}");
        }
        for path in [tree.home.join("notes"), data.join("homes/x"), data.join("storeroom")] {
            assert!(check(Access::Write, &path, &[]).is_ok(), "{path:?}");
        }
        assert!(check(Access::Read, &tree.home, &[]).is_ok());
        assert!(check(Access::Write, &tree.home, &[&data]).is_ok());
        assert!(check(Access::Write, &tree.home, &[&data.join("locks")]).is_err());
        assert!(check(Access::Write, &data.join("store"), &[&data]).is_err(), "the narrower grant is the later mount");
    }

    #[test]
    fn hints_end_in_what_is_to_be_typed() {
        let origin = Origin::jail();
        let hint = |package: &str, installed: Option<&str>| {
            let (name, package, origin) = ("notes".to_owned(), package.to_owned(), origin.clone());
            match installed {
                None => PackageRunError::NotInstalled { name, package, origin },
                Some(installed) => PackageRunError::Mismatch { name, package, installed: installed.into(), origin },
            }
            .hint()
            .unwrap()
        };
        assert!(hint("npm:@a/x@1.2.3", None).contains("`mcpjail add notes`"));
        assert!(hint("local:x", None).contains("`mcpjail add notes -- COMMAND`"));
        let both = hint("npm:@a/x@1.2.4", Some("npm:@a/x@1.2.3"));
        assert!(both.contains("`mcpjail update notes 1.2.4`") && both.contains("npm:@a/x@1.2.3"), "{both}");
        assert!(hint("pypi:x[a]==2.0", Some("pypi:x[a]==1.0")).contains("`mcpjail update notes 2.0`"));
        assert!(hint("local:x", Some("local:x@1")).contains("`mcpjail update notes`"));
    }
}
