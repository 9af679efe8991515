//! A virtual environment, made without a program: an interpreter's link, its configuration and an empty directory.
//!
//! It names nothing of the place where it is made, so that it may be moved and two of them are the same bytes.

use super::super::PackageError;
use super::python::Base;
use super::scripts::VENV;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The link to the machine's interpreter, relative to a tree's root.
pub(super) fn link() -> PathBuf {
    PathBuf::from(VENV).join("bin/python")
}

/// Makes an environment of `base`; `system` is whether it sees the packages of that, too.
///
/// # Errors
/// The disk.
pub(super) fn make(venv: &Path, base: &Base, system: bool) -> Result<(), PackageError> {
    let bin = venv.join("bin");
    for dir in [bin.clone(), venv.join(&base.packages)] {
        fs::create_dir_all(&dir).map_err(|error| PackageError::io("create", dir, error))?;
    }
    let (major, minor) = base.version;
    let mut links = vec![
        (bin.join("python"), base.program.clone()),
        (bin.join("python3"), "python".into()),
        (bin.join(format!("python{major}.{minor}")), "python".into()),
    ];
    if base.implementation == "pypy" {
        links.push((bin.join("pypy3"), "python".into()));
    }
    if base.platlib == "lib64" {
        links.push((venv.join("lib64"), "lib".into()));
    }
    for (link, target) in links {
        symlink(target, &link).map_err(|error| PackageError::io("create", link, error))?;
    }
    let home = base.program.parent().unwrap_or(Path::new("/"));
    let implementation = match base.implementation.as_str() {
        "cpython" => "CPython",
        "pypy" => "PyPy",
        other => other,
    };
    // uv writes scripts that find their interpreter beside themselves where `relocatable` says so.
    let text = format!(
        "home = {}\nimplementation = {implementation}\nversion_info = {}\ninclude-system-site-packages = {system}\nrelocatable = true\n",
        home.display(),
        base.full
    );
    let config = venv.join("pyvenv.cfg");
    fs::write(&config, text).map_err(|error| PackageError::io("write", config, error))
}

/// Where packages lie, relative to a tree's root.
pub(super) fn packages(base: &Base) -> PathBuf {
    PathBuf::from(VENV).join(&base.packages)
}

/// Removes what an installer leaves for itself and for shells.
///
/// # Errors
/// The disk.
pub(super) fn tidy(root: &Path) -> Result<(), PackageError> {
    let venv = root.join(VENV);
    for name in [".lock", ".gitignore", "CACHEDIR.TAG"] {
        match fs::remove_file(venv.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(PackageError::io("remove", venv.join(name), error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_environments_are_the_same_wherever_they_lie() {
        let base = Base {
            program: "/usr/bin/python3.11".into(),
            full: "3.11.2".into(),
            version: (3, 11),
            implementation: "cpython".into(),
            packages: "lib/python3.11/site-packages".into(),
            platlib: "lib64".into(),
            pip: None,
            grants: Vec::new(),
        };
        let texts = [(), ()].map(|()| {
            let temp = tempfile::tempdir().unwrap();
            make(&temp.path().join(VENV), &base, false).unwrap();
            fs::write(temp.path().join("venv/.lock"), "").unwrap();
            tidy(temp.path()).unwrap();
            tidy(temp.path()).unwrap();
            assert_eq!(fs::read_link(temp.path().join(link())).unwrap(), base.program);
            assert_eq!(fs::read_link(temp.path().join("venv/bin/python3.11")).unwrap(), Path::new("python"));
            assert_eq!(fs::read_link(temp.path().join("venv/lib64")).unwrap(), Path::new("lib"));
            assert!(temp.path().join(packages(&base)).is_dir() && !temp.path().join("venv/.lock").exists());
            let text = fs::read_to_string(temp.path().join("venv/pyvenv.cfg")).unwrap();
            assert!(!text.contains(temp.path().to_str().unwrap()) && text.contains("home = /usr/bin\n"), "{text}");
            text
        });
        assert_eq!(texts[0], texts[1]);
    }
}
