//! A server that runs from a package in the store: which tree, how it is started, and that it is what was added.

use super::TargetArgs;
use super::output::{Failed, IoFailed};
use crate::catalog::PackagePin;
use crate::command::{self, CommandGrant, Context, Resolved};
use crate::config::{Locations, Origin, PackageLine, Profile, Source, Sourced};
use crate::diagnose::{Diagnose, Exit, printable};
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
            PackageRunError::NotInstalled { name, package, origin: _ } => {
                format!("install it with `mcpjail add {name} -- {}`", printable(package))
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
    "the program",
    "Python's installation",
    "the Python interpreter",
    "Python's standard library",
    "a link to Python",
];
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
        let Record { release, tree, .. } = record;
        let release = release.to_string();
        if release != line.package.value {
            let Sourced { value: package, origin } = line.package.clone();
            return Err(PackageRunError::Mismatch { name, package, installed: release, origin }.into());
        }
        let verifying = depth.map(|depth| Verifying::start(store.clone(), tree, depth)).transpose()?;
        let start = store.describe(&tree)?.start;
        let root = store.root(&tree);
        let root = root.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { tree },
            _ => StoreError::io("look up", root, source),
        })?;
        Ok(Package { pin: PackagePin { release, tree }, root, verifying, start })
    }

    /// Finds out what is executed. The package's own script stands in front of all arguments, so that none of them is the
    /// interpreter's.
    pub(super) fn resolve(&self, args: &[OsString]) -> Result<Resolved, Failed> {
        let mut argv = self.argv()?;
        argv.extend(args.iter().cloned());
        // names are not looked up where the host happens to be: what lies there is not the package's
        let context = Context { cwd: self.root.clone(), ..Context::of_process()? };
        let mut resolved = command::resolve_within(&argv, &context, &self.root)?;
        // what a binary of the package says of libraries is the package's word; of an interpreter it is the machine's
        let own = resolved.interpreter.is_none();
        resolved.grants.retain(|CommandGrant { path, reason }| {
            let libraries = !own && LIBRARIES.contains(&reason.as_str());
            !path.starts_with(&self.root)
                && (libraries || reason.starts_with(HOMEBREW) || RUNTIMES.contains(&reason.as_str()))
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
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let interpreter = Path::new(OsStr::from_bytes(word));
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

    /// What no server that runs from the store may do to its own package.
    pub(super) fn keep_from_server(&self, grants: &[Grant], islands: &[Place]) -> Result<(), PackageRunError> {
        for grant in grants.iter().filter(|grant| grant.access == Access::Write) {
            let place = &grant.place.canonical;
            let depth = |path: &Path| path.components().count();
            let island =
                |Place { canonical, .. }: &Place| self.root.starts_with(canonical) && depth(canonical) >= depth(place);
            let above = self.root.starts_with(place) && !islands.iter().any(island);
            if above || place.starts_with(&self.root) {
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
    fn start(store: Store, tree: crate::catalog::Digest, depth: Depth) -> Result<Verifying, Failed> {
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || store.verify(&tree, depth));
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
