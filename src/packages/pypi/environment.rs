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

/// The file that makes an environment of a directory.
const CONFIG: &str = "pyvenv.cfg";

/// Makes an environment of `base`; `system` is whether it sees the packages of that, too.
///
/// # Errors
/// The disk.
pub(super) fn make(venv: &Path, base: &Base, system: bool) -> Result<(), PackageError> {
    let bin = venv.join("bin");
    for dir in [bin.clone(), venv.join(&base.packages)] {
        fs::create_dir_all(&dir).map_err(|error| PackageError::io("create", dir, error))?;
    }
    for (link, target) in links(base) {
        let link = venv.join(link);
        symlink(target, &link).map_err(|error| PackageError::io("create", link, error))?;
    }
    // uv writes scripts that find their interpreter beside themselves where `relocatable` says so.
    let config = venv.join(CONFIG);
    fs::write(&config, configuration(base, system)).map_err(|error| PackageError::io("write", config, error))
}

/// What an environment says of its interpreter.
fn configuration(base: &Base, system: bool) -> String {
    let home = base.program.parent().unwrap_or(Path::new("/"));
    let implementation = match base.implementation.as_str() {
        "cpython" => "CPython",
        "pypy" => "PyPy",
        other => other,
    };
    format!(
        "home = {}\nimplementation = {implementation}\nversion_info = {}\ninclude-system-site-packages = {system}\nrelocatable = true\n",
        home.display(),
        base.full
    )
}

/// All links of an environment, relative to it, and where they lead.
fn links(base: &Base) -> Vec<(PathBuf, PathBuf)> {
    let bin = PathBuf::from("bin");
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
        links.push(("lib64".into(), "lib".into()));
    }
    links
}

/// Refuses what no wheel brings and a stranger's build could have left: links of its own, by which what follows outside of
/// the jail would reach files of the person's, and what blocks whoever opens it. The environment's own links and its
/// configuration must be as they were made: a wheel can bring files for any place in it, and by these the server's Python,
/// and what a jail shows for it, is found.
///
/// # Errors
/// [`PackageError::Malformed`] with the first such path; the disk.
pub(super) fn judge(root: &Path, base: &Base) -> Result<(), PackageError> {
    let links: Vec<(PathBuf, PathBuf)> =
        links(base).into_iter().map(|(link, target)| (Path::new(VENV).join(link), target)).collect();
    let kept = |(link, target): &(PathBuf, PathBuf)| fs::read_link(root.join(link)).is_ok_and(|found| found == *target);
    let config = PathBuf::from(VENV).join(CONFIG);
    let same = || fs::read(root.join(&config)).is_ok_and(|text| text == configuration(base, false).as_bytes());
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let path = root.join(&directory);
        let failed = |error| PackageError::io("read", path.clone(), error);
        for entry in path.read_dir().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (kind, relative) = (entry.file_type().map_err(failed)?, directory.join(entry.file_name()));
            let ours = || {
                let target = fs::read_link(entry.path());
                target.is_ok_and(|target| links.iter().any(|(link, to)| *link == relative && *to == target))
            };
            if kind.is_dir() {
                open.push(relative);
            } else if !(kind.is_file() || kind.is_symlink() && ours()) {
                let reason = if kind.is_symlink() { "a link that no wheel has" } else { "no regular file" };
                let what = crate::diagnose::printable(&relative.to_string_lossy());
                return Err(PackageError::Malformed { what, reason: format!("it is {reason}") });
            }
        }
    }
    let replaced = links.iter().find(|link| !kept(link)).map(|(link, _)| link);
    match replaced.or(Some(&config).filter(|_| !same())) {
        None => Ok(()),
        Some(path) => Err(PackageError::Malformed {
            what: path.display().to_string(),
            reason: "a package put a file of its own in the place of the environment's".into(),
        }),
    }
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

    fn base() -> Base {
        Base {
            program: "/usr/bin/python3.11".into(),
            full: "3.11.2".into(),
            version: (3, 11),
            implementation: "cpython".into(),
            packages: "lib/python3.11/site-packages".into(),
            platlib: "lib64".into(),
            pip: None,
            grants: Vec::new(),
        }
    }

    #[test]
    fn what_a_build_left_leads_nowhere() {
        let (base, temp) = (base(), tempfile::tempdir().unwrap());
        let (root, precious) = (temp.path().join("root"), temp.path().join("project"));
        fs::create_dir_all(&precious).unwrap();
        make(&root.join(VENV), &base, false).unwrap();
        let site = root.join(packages(&base));
        fs::create_dir(site.join("x.dist-info")).unwrap();
        fs::write(site.join("x.dist-info/METADATA"), "").unwrap();
        judge(&root, &base).unwrap();
        let refused = |path: &Path| {
            let error = judge(&root, &base).unwrap_err();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            assert!(matches!(&error, PackageError::Malformed { what, .. } if what == name), "{name}: {error}");
            fs::remove_file(path).unwrap();
        };
        for (link, target) in [
            (site.join("x.dist-info/RECORD"), precious.join("script.sh")),
            (site.join("y"), "x.dist-info".into()),
            (root.join("venv/bin/x"), "python".into()),
        ] {
            symlink(target, &link).unwrap();
            refused(&link);
        }
        fs::remove_file(root.join("venv/bin/python3")).unwrap();
        symlink(&precious, root.join("venv/bin/python3")).unwrap();
        refused(&root.join("venv/bin/python3"));
        // As a wheel brings them.
        fs::write(root.join("venv/bin/python3"), "#!/bin/sh\n").unwrap();
        refused(&root.join("venv/bin/python3"));
        symlink("python", root.join("venv/bin/python3")).unwrap();
        judge(&root, &base).unwrap();
        fs::write(root.join("venv/pyvenv.cfg"), "home = /home/me\n").unwrap();
        refused(&root.join("venv/pyvenv.cfg"));
        fs::write(root.join("venv/pyvenv.cfg"), configuration(&base, false)).unwrap();
        let socket = site.join("x.dist-info/entry_points.txt");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        refused(&socket);
        // The whole environment in the place of another directory: what is tidied up would be that one's.
        fs::rename(root.join("venv"), root.join("elsewhere")).unwrap();
        symlink(&precious, root.join("venv")).unwrap();
        refused(&root.join("venv"));
    }

    #[test]
    fn two_environments_are_the_same_wherever_they_lie() {
        let base = base();
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
