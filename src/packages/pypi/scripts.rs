//! The programs of an environment: which one the server is, and that none of them names the place where it was made.

use super::super::{PackageError, PypiRun, Start};
use super::metadata::{Distribution, record_path};
use super::requirements::normal;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The start of a script that finds its interpreter beside itself, wherever the environment lies. To the shell it is a command,
/// to Python a text that is thrown away.
const BESIDE: &[u8] =
    b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n";

/// Bytes of a program that are read: a script is small.
const MAX_SCRIPT: u64 = 1 << 20;

/// Where an environment lies in a tree.
pub(super) const VENV: &str = "venv";

/// The programs that a package brought, by name; those of a console first.
fn programs(distribution: &Distribution, root: &Path) -> Vec<String> {
    let bin = root.join(VENV).join("bin");
    let mut names: Vec<String> = Vec::new();
    let entries = |console: bool| {
        distribution.entry_points.iter().filter(move |(_, kind)| *kind == console).map(|(name, _)| name.clone())
    };
    let recorded = distribution.record.iter().filter_map(|path| {
        let (_, name) = path.rsplit_once("/bin/")?;
        (path.starts_with("../") && !name.contains('/')).then(|| name.to_owned())
    });
    let mut add = |name: String| {
        if is_file_name(&name) && !names.contains(&name) && is_program(&bin.join(&name)) {
            names.push(name);
        }
    };
    entries(true).for_each(&mut add);
    // What a wheel brings ready-made, and windows where there is nothing else.
    recorded.filter(|name| !distribution.entry_points.iter().any(|(entry, _)| entry == name)).for_each(&mut add);
    if names.is_empty() {
        entries(false)
            .filter(|name| is_file_name(name) && is_program(&bin.join(name)))
            .for_each(|name| names.push(name));
    }
    names.sort();
    names
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn is_program(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_file())
}

/// How the server is started.
///
/// # Errors
/// [`PackageError::NoEntry`], [`PackageError::SeveralEntries`], [`PackageError::NoSuchEntry`].
pub(super) fn start(
    run: &PypiRun,
    main: &str,
    installed: &BTreeMap<String, Distribution>,
    root: &Path,
    packages: &[PathBuf],
) -> Result<Start, PackageError> {
    let python = PathBuf::from(VENV).join("bin/python");
    let script = match run {
        PypiRun::Module(module) => {
            if !has_module(module, packages) {
                return Err(PackageError::NoSuchEntry {
                    name: main.into(),
                    program: format!("-m {module}"),
                    programs: Vec::new(),
                });
            }
            return Ok(Start::PythonModule { python, module: module.clone() });
        }
        PypiRun::Script(wanted) => {
            let own = installed.get(&normal(main)).map(|distribution| programs(distribution, root)).unwrap_or_default();
            choose(wanted.as_deref(), main, &own, installed, root)?
        }
    };
    let path = PathBuf::from(VENV).join("bin").join(&script);
    Ok(if is_python(&root.join(&path)) {
        Start::PythonScript { python, script: path }
    } else {
        Start::Program { path }
    })
}

fn choose(
    wanted: Option<&str>,
    main: &str,
    own: &[String],
    installed: &BTreeMap<String, Distribution>,
    root: &Path,
) -> Result<String, PackageError> {
    if let Some(wanted) = wanted {
        let others = || installed.values().flat_map(|distribution| programs(distribution, root));
        let mut all = own.iter().cloned().chain(others());
        return all.find(|name| name == wanted).ok_or_else(|| PackageError::NoSuchEntry {
            name: main.into(),
            program: wanted.into(),
            programs: own.to_vec(),
        });
    }
    match own {
        [] => Err(PackageError::NoEntry {
            name: main.into(),
            hint: "it is a library: name the package that runs it, or a module of it with `python -m MODULE`".into(),
        }),
        [only] => Ok(only.clone()),
        several => several
            .iter()
            .find(|name| *name == main)
            .or_else(|| several.iter().find(|name| normal(name) == normal(main)))
            .cloned()
            .ok_or_else(|| PackageError::SeveralEntries { name: main.into(), programs: several.to_vec() }),
    }
}

/// Whether `-m MODULE` finds something to run.
fn has_module(module: &str, packages: &[PathBuf]) -> bool {
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    let relative: PathBuf = module.split('.').collect();
    module.split('.').all(word)
        && packages.iter().any(|dir| {
            let path = dir.join(&relative);
            path.join("__main__.py").is_file() || path.with_extension("py").is_file()
        })
}

/// Whether Python runs a program: by its first line, or by the lines of [`BESIDE`].
fn is_python(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head));
    if read.is_err() || !head.starts_with(b"#!") {
        return false;
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    names_python(first) || (first.ends_with(b"/sh") && second.starts_with(b"'''exec'") && names_python(second))
}

fn names_python(line: &[u8]) -> bool {
    let words = line.split(|byte| matches!(byte, b' ' | b'/' | b'!' | b'\t' | b'\r' | b'\'' | b'"'));
    words.into_iter().any(|word| word.starts_with(b"python") || word.starts_with(b"pypy"))
}

/// Rewrites scripts that name the environment by its place, so that they find it from where they are. Gives their names.
///
/// # Errors
/// The disk.
pub(super) fn neutral(root: &Path) -> Result<Vec<String>, PackageError> {
    let bin = root.join(VENV).join("bin");
    let place = root.as_os_str().as_bytes();
    let mut changed = Vec::new();
    for entry in bin.read_dir().map_err(|error| PackageError::io("read", bin.clone(), error))? {
        let entry = entry.map_err(|error| PackageError::io("read", bin.clone(), error))?;
        let path = entry.path();
        let io = |error| PackageError::io("read", path.clone(), error);
        let meta = path.symlink_metadata().map_err(io)?;
        if !meta.is_file() || meta.len() > MAX_SCRIPT {
            continue;
        }
        let bytes = fs::read(&path).map_err(io)?;
        let Some(body) = body(&bytes, place) else { continue };
        fs::write(&path, [BESIDE, body].concat()).map_err(|error| PackageError::io("write", path.clone(), error))?;
        changed.extend(entry.file_name().into_string());
    }
    changed.sort();
    Ok(changed)
}

/// What follows the lines that name an interpreter below `place`: one line, or the three that are used for long paths.
fn body<'a>(bytes: &'a [u8], place: &[u8]) -> Option<&'a [u8]> {
    let named = |line: &[u8]| !place.is_empty() && line.windows(place.len()).any(|part| part == place);
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let first = parts.next()?;
    if !first.starts_with(b"#!") {
        return None;
    }
    if named(first) {
        return bytes.get(first.len() + 1..).or(Some(&[]));
    }
    let (second, third) = (parts.next()?, parts.next()?);
    (second.starts_with(b"'''exec'") && named(second) && third.starts_with(b"' '''"))
        .then(|| parts.next().unwrap_or_default())
}

/// Takes the hashes of rewritten scripts out of the packages' records, which would name bytes that are not there.
///
/// # Errors
/// The disk.
pub(super) fn forget(changed: &[String], installed: &BTreeMap<String, Distribution>) -> Result<(), PackageError> {
    let ours =
        |path: &str| path.rsplit_once("/bin/").is_some_and(|(_, name)| changed.iter().any(|script| script == name));
    for distribution in installed.values().filter(|distribution| distribution.record.iter().any(|path| ours(path))) {
        let path = distribution.info.join("RECORD");
        let text = fs::read_to_string(&path).map_err(|error| PackageError::io("read", path.clone(), error))?;
        let lines = text.lines().map(|line| match record_path(line) {
            Some(name) if ours(&name) && !line.starts_with('"') => format!("{name},,\n"),
            _ => format!("{line}\n"),
        });
        let text: String = lines.collect();
        fs::write(&path, text).map_err(|error| PackageError::io("write", path.clone(), error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree {
        temp: tempfile::TempDir,
        installed: BTreeMap<String, Distribution>,
    }

    impl Tree {
        fn new() -> Tree {
            let temp = tempfile::tempdir().unwrap();
            fs::create_dir_all(temp.path().join("venv/bin")).unwrap();
            Tree { temp, installed: BTreeMap::new() }
        }

        fn script(&self, name: &str, text: &str) {
            fs::write(self.temp.path().join("venv/bin").join(name), text).unwrap();
        }

        fn package(&mut self, name: &str, console: &[&str], record: &[&str]) {
            let points = console.iter().map(|name| ((*name).to_owned(), true));
            let distribution = Distribution {
                name: name.into(),
                entry_points: points.collect(),
                record: record.iter().map(|path| (*path).to_owned()).collect(),
                ..Distribution::default()
            };
            for script in console {
                if is_file_name(script) {
                    self.script(script, "#!/bin/sh\n'''exec' \"$(dirname)\"/'python' \"$0\"\n' '''\nimport x\n");
                }
            }
            self.installed.insert(normal(name), distribution);
        }

        fn start(&self, run: PypiRun, main: &str) -> Result<Start, PackageError> {
            start(&run, main, &self.installed, self.temp.path(), &[self.temp.path().join("site")])
        }

        fn script_of(&self, wanted: Option<&str>, main: &str) -> Result<String, PackageError> {
            self.start(PypiRun::Script(wanted.map(str::to_owned)), main).map(|start| match start {
                Start::PythonScript { script, .. } => script.display().to_string(),
                other => format!("{other:?}"),
            })
        }
    }

    #[test]
    fn a_package_starts_by_its_own_name_or_its_only_program() {
        let mut tree = Tree::new();
        tree.package("Mcp_Server.x", &["mcp-server-x", "helper"], &[]);
        tree.package("one", &["another-name"], &[]);
        tree.package("two", &["a", "b"], &[]);
        tree.package("library", &[], &["library/__init__.py"]);
        assert_eq!(tree.script_of(None, "mcp-server-x").unwrap(), "venv/bin/mcp-server-x");
        assert_eq!(tree.script_of(None, "one").unwrap(), "venv/bin/another-name");
        assert!(
            matches!(tree.script_of(None, "two"), Err(PackageError::SeveralEntries { programs, .. }) if programs == ["a", "b"])
        );
        assert!(matches!(tree.script_of(None, "library"), Err(PackageError::NoEntry { .. })));
        assert_eq!(tree.script_of(Some("b"), "two").unwrap(), "venv/bin/b");
        assert_eq!(
            tree.script_of(Some("helper"), "one").unwrap(),
            "venv/bin/helper",
            "a dependency's program, as `uvx --from`"
        );
        assert!(matches!(tree.script_of(Some("c"), "two"), Err(PackageError::NoSuchEntry { .. })));
    }

    #[test]
    fn hostile_entry_points_are_no_programs() {
        let mut tree = Tree::new();
        tree.package("evil", &["../../outside", "/bin/sh", "..", ""], &["../../../bin/../../x", "bin/y"]);
        assert!(matches!(tree.script_of(None, "evil"), Err(PackageError::NoEntry { .. })));
        assert!(tree.script_of(Some("../../outside"), "evil").is_err());
        tree.package("link", &["link"], &[]);
        fs::remove_file(tree.temp.path().join("venv/bin/link")).unwrap();
        symlink("/bin/sh", tree.temp.path().join("venv/bin/link")).unwrap();
        assert!(tree.script_of(None, "link").is_err());
    }

    #[test]
    fn programs_that_a_wheel_brings_ready_made_are_started_as_such() {
        let mut tree = Tree::new();
        tree.package("tool", &[], &["../../../bin/tool", "tool/x.py"]);
        tree.script("tool", "\u{7f}ELF");
        assert_eq!(tree.start(PypiRun::Script(None), "tool").unwrap(), Start::Program { path: "venv/bin/tool".into() });
        tree.package("py", &[], &["../../../bin/py"]);
        tree.script("py", "#!/usr/bin/env python3\n");
        assert_eq!(tree.script_of(None, "py").unwrap(), "venv/bin/py");
    }

    #[test]
    fn modules_must_be_there() {
        let tree = Tree::new();
        fs::create_dir_all(tree.temp.path().join("site/a/b")).unwrap();
        fs::write(tree.temp.path().join("site/a/b/__main__.py"), "").unwrap();
        fs::write(tree.temp.path().join("site/c.py"), "").unwrap();
        for module in ["a.b", "c"] {
            assert!(tree.start(PypiRun::Module(module.into()), "a").is_ok(), "{module}");
        }
        for module in ["a", "d", "..", "a/b", "/c", ""] {
            assert!(tree.start(PypiRun::Module(module.into()), "a").is_err(), "{module}");
        }
    }

    #[test]
    fn no_script_names_the_place_where_it_was_made() {
        let mut tree = Tree::new();
        let root = tree.temp.path().to_path_buf();
        let place = root.display().to_string();
        tree.script("short", &format!("#!{place}/venv/bin/python3\nimport a\n"));
        tree.script("long", &format!("#!/bin/sh\n'''exec' {place}/venv/bin/python \"$0\" \"$@\"\n' '''\nimport b\n"));
        tree.script("shell", "#!/bin/sh\necho\n");
        tree.script("beside", std::str::from_utf8(BESIDE).unwrap());
        let info = root.join("x.dist-info");
        fs::create_dir(&info).unwrap();
        fs::write(info.join("RECORD"), "../../../bin/short,sha256=abc,10\nx.py,sha256=def,1\n").unwrap();
        tree.package("x", &[], &["../../../bin/short", "x.py"]);
        tree.installed.get_mut("x").unwrap().info = info.clone();
        let changed = neutral(&root).unwrap();
        assert_eq!(changed, ["long", "short"]);
        forget(&changed, &tree.installed).unwrap();
        assert_eq!(fs::read_to_string(info.join("RECORD")).unwrap(), "../../../bin/short,,\nx.py,sha256=def,1\n");
        for (name, end) in [("short", "import a\n"), ("long", "import b\n")] {
            let text = fs::read_to_string(root.join("venv/bin").join(name)).unwrap();
            assert!(!text.contains(&place) && text.ends_with(end), "{text}");
            assert!(is_python(&root.join("venv/bin").join(name)));
        }
        assert_eq!(neutral(&root).unwrap(), Vec::<String>::new(), "once is enough");
    }
}
