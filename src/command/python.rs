//! Python: installation prefixes, virtual environments, editable installs, the user's own site-packages.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::needs::Needs;
use super::{elf, files, package};

/// Longest `pyvenv.cfg`, `*.pth` or editable finder that is read, bytes.
const MAX_TEXT: u64 = 256 * 1024;

/// Whether a program of that name is a Python: `python`, `python3`, `python3.13t`, `pypy3.10`.
pub(super) fn is_python(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 't' | 'd' | 'm')))
}

/// A Python that is ready to be executed.
#[derive(Debug)]
pub(super) struct Python {
    /// The path to execute; in a virtual environment the link in its `bin`, from which `pyvenv.cfg` is found.
    pub(super) program: PathBuf,
    /// Whether the user's own site-packages are on its path (no virtual environment that hides them).
    user_site: bool,
    /// `python3.12`, where the real program's name says it.
    version: Option<String>,
}

/// Grants an interpreter: its virtual environment, if it is reached through one, and the installation behind it.
pub(super) fn grant(needs: &mut Needs, reached: &Path, real: &Path) -> Python {
    let bin = reached.parent().unwrap_or(reached);
    // Python looks beside the program and one above, under the name by which it was called.
    let environment = [Some(bin), bin.parent()].into_iter().flatten().find(|dir| dir.join("pyvenv.cfg").is_file());
    let version = versioned(real);
    let Some(root) = environment else {
        installation(needs, real);
        return Python { program: real.to_path_buf(), user_site: true, version };
    };
    let (bin, root) = (canonical(bin), canonical(root));
    let program = bin.join(files::name_of(reached));
    needs.note(format!("virtual environment: {}", root.display()));
    let config = files::small_text(&root.join("pyvenv.cfg"), MAX_TEXT).unwrap_or_default();
    if !needs.tree(&root, "the server's virtual environment") {
        needs.note(format!("{}: too broad to be granted whole", root.display()));
    }
    let named = reached
        .parent()
        .filter(|named| **named != bin)
        .and_then(|named| if bin == root { Some(named) } else { named.parent() });
    if let Some(named) = named {
        let _ = needs.tree(named, "the server's virtual environment");
    }
    needs.path_dir(&bin);
    base(needs, &program, real, &config);
    editable(needs, &root);
    let user_site = setting(&config, "include-system-site-packages").is_some_and(|value| value == "true");
    Python { program, user_site, version }
}

/// Grants a virtual environment that a program other than its Python is run from.
pub(super) fn environment(needs: &mut Needs, root: &Path) {
    for name in ["python", "python3"] {
        let reached = root.join("bin").join(name);
        if let Ok(real) = reached.canonicalize() {
            grant(needs, &reached, &real);
            return;
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Grants what a virtual environment was made from: what its `python` links to, hop by hop, and the `home` of its
/// `pyvenv.cfg`, which Python takes its standard library from.
fn base(needs: &mut Needs, program: &Path, real: &Path, config: &str) {
    let home = setting(config, "home").map(PathBuf::from);
    let from_home = home.filter(|home| home.is_absolute()).and_then(|home| {
        let names = [files::name_of(real), OsStr::new("python3"), OsStr::new("python")];
        names.into_iter().map(|name| home.join(name)).find(|path| files::executable(path))
    });
    let mut hops: Vec<PathBuf> = files::link_chain(program).into_iter().skip(1).collect();
    hops.extend(from_home);
    if hops.is_empty() {
        installation(needs, real);
    }
    for hop in hops {
        if needs.covers(&hop) || (files::is_system(&hop) && files::is_system(&canonical(&hop))) {
            continue;
        }
        installation(needs, &canonical(&hop));
        // The same installation under the name that links and `pyvenv.cfg` give it.
        let prefix = hop.parent().and_then(Path::parent).filter(|prefix| is_prefix(prefix));
        if !prefix.is_some_and(|prefix| needs.tree(prefix, "Python's installation")) {
            needs.link(&hop, "a link to Python");
        }
    }
}

/// A setting of a `pyvenv.cfg`: `key = value`, the key in any case.
fn setting<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    config
        .lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case(key).then_some(value.trim()))
}

/// `python3.12` of `/x/bin/python3.12`.
fn versioned(real: &Path) -> Option<String> {
    let name = files::name_of(real).to_str()?.trim_end_matches(['t', 'd', 'm']);
    name.strip_prefix("python")?.contains('.').then(|| name.to_owned())
}

/// The standard libraries below a prefix: `lib/python3.12`, `lib/pypy3.10`.
fn libraries(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for lib in ["lib", "lib64"] {
        let Ok(entries) = prefix.join(lib).read_dir() else { continue };
        let names = entries.flatten().map(|entry| entry.file_name());
        let matching = names.filter(|name| {
            let known = |stem: &[u8]| {
                let rest = name.as_bytes().strip_prefix(stem);
                rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
            };
            known(b"python") || known(b"pypy")
        });
        found.extend(matching.map(|name| prefix.join(lib).join(name)).filter(|dir| dir.is_dir()));
    }
    found
}

/// Whether a directory holds an installation: a standard library where Python looks for it.
fn is_prefix(prefix: &Path) -> bool {
    libraries(prefix).iter().any(|dir| dir.join("os.py").is_file()) || prefix.join("lib-python").is_dir()
}

/// Grants the installation of an interpreter, given by its real path.
fn installation(needs: &mut Needs, real: &Path) {
    if let Some(bin) = real.parent() {
        needs.path_dir(bin);
    }
    if files::is_system(real) || needs.covers(real) {
        return;
    }
    let prefix = real.parent().and_then(Path::parent).filter(|prefix| is_prefix(prefix)).map(Path::to_path_buf);
    let whole = prefix.as_deref().is_some_and(|prefix| needs.tree(prefix, "Python's installation"));
    if !whole {
        // Built into a directory that holds other things, such as ~/.local: only its own parts.
        needs.file(real, "the Python interpreter");
        let own = versioned(real);
        for library in prefix.iter().flat_map(|prefix| libraries(prefix)) {
            if own.as_deref().is_none_or(|own| files::name_of(&library) == own) {
                let _ = needs.tree(&library, "Python's standard library");
            }
        }
    }
    elf::grant(needs, real);
}

/// The `site-packages` of a virtual environment.
fn site_packages(root: &Path) -> Vec<PathBuf> {
    libraries(root).into_iter().map(|dir| dir.join("site-packages")).filter(|dir| dir.is_dir()).collect()
}

/// Grants the source trees of editable installs: the plain paths in `*.pth`, and the mapping of setuptools' finders.
///
/// Any wheel can bring such a file, so it is believed only where it names a source tree (with a project file in it or
/// at most two directories above) that is not hidden below the home.
fn editable(needs: &mut Needs, root: &Path) {
    for site in site_packages(root) {
        let Ok(entries) = site.read_dir() else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.as_bytes();
            let finder = name.starts_with(b"__editable__") && name.ends_with(b"_finder.py");
            if !finder && !name.ends_with(b".pth") {
                continue;
            }
            let Some(text) = files::small_text(&entry.path(), MAX_TEXT) else { continue };
            let paths = if finder { mapping(&text) } else { plain_lines(&text, &site) };
            for path in paths {
                source_tree(needs, &path, root);
            }
        }
    }
}

/// The lines of a `.pth` file that name directories: no code, no comments.
fn plain_lines(text: &str, site: &Path) -> Vec<PathBuf> {
    let code = |line: &&str| line.starts_with("import ") || line.starts_with("import\t");
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#') && !code(line))
        .take(64)
        .map(|line| files::absolute(Path::new(line), site))
        .collect()
}

/// The quoted absolute paths in the `MAPPING` of an editable finder.
fn mapping(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter(|line| line.starts_with("MAPPING"));
    lines.flat_map(|line| line.split('\'')).filter(|word| word.starts_with('/')).take(64).map(PathBuf::from).collect()
}

fn source_tree(needs: &mut Needs, path: &Path, environment: &Path) {
    let Ok(real) = path.canonicalize() else { return };
    if real.starts_with(environment) || needs.covers(&real) || needs.hidden(&real) || !real.is_dir() {
        return;
    }
    // A project file in the home says nothing about what else is there.
    let mut above = real.ancestors().take(3).take_while(|dir| !needs.too_broad(dir));
    if !above.any(package::is_project) {
        needs.note(format!("{}: named by the virtual environment, but no source tree; not granted", real.display()));
        return;
    }
    if needs.tree(path, "editable install") {
        needs.note(format!("editable install: {}", real.display()));
    }
}

impl Python {
    /// The file that `python -m MODULE` runs, where it lies in the current directory, the virtual environment or among
    /// the packages of the user.
    pub(super) fn module_file(&self, home: &Path, cwd: &Path, module: &OsStr) -> Option<PathBuf> {
        let environment = self.program.parent().and_then(Path::parent).into_iter().flat_map(site_packages);
        let user = self.version.iter().map(|version| home.join(".local/lib").join(version).join("site-packages"));
        module_below(std::iter::once(cwd.to_path_buf()).chain(environment).chain(user), module)
    }

    /// Grants `~/.local/lib/pythonX.Y/site-packages` (`pip install --user`) for a script of `~/.local/bin`, or for a
    /// module that is installed there.
    pub(super) fn user_site(&self, needs: &mut Needs, script: Option<&Path>, module: Option<&OsString>) {
        let local = needs.home().join(".local");
        let Some(version) = self.version.as_deref().filter(|_| self.user_site) else { return };
        let site = local.join("lib").join(version).join("site-packages");
        let ours = script.is_some_and(|script| script.starts_with(local.join("bin")))
            || module
                .and_then(|module| top_level(module))
                .is_some_and(|top| site.join(&top).is_dir() || site.join(format!("{top}.py")).is_file());
        if ours && needs.tree(&site, "packages installed with `pip install --user`") {
            needs.note(format!("packages: {}", site.display()));
        }
    }
}

/// The file that `python -m a.b` runs, in one of the directories that are searched.
fn module_below(dirs: impl Iterator<Item = PathBuf>, module: &OsStr) -> Option<PathBuf> {
    let name = module.to_str().filter(|name| name.split('.').all(|part| top_level(OsStr::new(part)).is_some()))?;
    let relative = name.replace('.', "/");
    let files = |dir: PathBuf| [dir.join(&relative).join("__main__.py"), dir.join(format!("{relative}.py"))];
    dirs.flat_map(files).find(|file| file.is_file())
}

/// `a` of the module name `a.b`.
fn top_level(module: &OsStr) -> Option<String> {
    let name = module.to_str()?.split('.').next()?;
    name.chars().all(|c| c.is_alphanumeric() || c == '_').then(|| name.to_owned()).filter(|name| !name.is_empty())
}

/// Grants the module that `python -m` finds in the current directory.
pub(super) fn module_in(needs: &mut Needs, cwd: &Path, module: &OsStr) {
    let Some(top) = top_level(module) else { return };
    let directory = cwd.join(&top);
    let file = cwd.join(format!("{top}.py"));
    let is_package = ["__init__.py", "__main__.py"].iter().any(|name| directory.join(name).is_file());
    let found = if is_package { directory } else { file };
    if found.exists() {
        needs.note(format!("module `{top}` is in the current directory, which the server must be started in"));
        package::grant(needs, &found, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pythons() {
        for name in ["python", "python3", "python3.11", "python3.13t", "pypy", "pypy3.10", "python3.12d"] {
            assert!(is_python(OsStr::new(name)), "{name}");
        }
        for name in ["pythonize", "python-config", "ipython", "node", "python3.11-config"] {
            assert!(!is_python(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn settings_are_found_in_any_case() {
        let config = "home = /usr/bin\nInclude-System-Site-Packages=true\nprompt = a=b\n";
        assert_eq!(setting(config, "home"), Some("/usr/bin"));
        assert_eq!(setting(config, "include-system-site-packages"), Some("true"));
        assert_eq!(setting(config, "prompt"), Some("a=b"));
        assert_eq!(setting(config, "version"), None);
    }

    #[test]
    fn path_files_hold_paths_and_code() {
        let text = "# comment\nimport sys; sys.path\n\n/a/b\n../c\nimportant\n";
        assert_eq!(
            plain_lines(text, Path::new("/v/site")),
            [PathBuf::from("/a/b"), "/v/c".into(), "/v/site/important".into()]
        );
        assert_eq!(mapping("x = 1\nMAPPING: dict[str, str] = {'p': '/src/p', 'q': '/src/q'}\n").len(), 2);
    }

    #[test]
    fn modules_are_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["a/b/__main__.py", "a/c.py", "d.py"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = |module: &str| module_below(std::iter::once(dir.path().to_path_buf()), OsStr::new(module));
        assert_eq!(found("a.b").unwrap(), dir.path().join("a/b/__main__.py"));
        assert_eq!(found("a.c").unwrap(), dir.path().join("a/c.py"));
        assert_eq!(found("d").unwrap(), dir.path().join("d.py"));
        for none in ["a", "e", "", "a..b", "../d", "/d"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn modules_have_a_top() {
        assert_eq!(top_level(OsStr::new("a_b.c.d")).as_deref(), Some("a_b"));
        assert_eq!(top_level(OsStr::new("../x")), None);
        assert_eq!(top_level(OsStr::new("")), None);
    }
}
