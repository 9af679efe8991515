//! Which program of a package is started, and how: as npx chooses it.

use super::manifest::Manifest;
use super::package_lock;
use crate::diagnose::printable;
use crate::packages::{PackageError, Start};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// What is read of a program to tell what it is.
const HEAD: u64 = 512;

/// A package whose programs may be started.
#[derive(Debug, Clone)]
pub(super) struct Package {
    /// Its name in the registry.
    pub(super) name: String,
    /// Its directory, relative to the root.
    pub(super) directory: PathBuf,
    /// Its manifest.
    pub(super) manifest: Manifest,
}

/// Chooses a program: the one that was asked for, of whichever package has it; else of the first package the only one,
/// or the one with the package's own name. `node_options` go before those of its `#!` line.
///
/// # Errors
/// There is none, or several; it leads out of its package; it is no file.
pub(super) fn start(
    root: &Path,
    packages: &[Package],
    asked: Option<&str>,
    node_options: &[String],
) -> Result<Start, PackageError> {
    let none = || PackageError::Malformed { what: "the request".into(), reason: "it names no package".into() };
    let main = packages.first().ok_or_else(none)?;
    let own = programs(root, main)?;
    let (package, path) = match asked {
        Some(asked) => {
            let mut found = own.iter().find(|(name, _)| name == asked).map(|(_, path)| (main, path.clone()));
            for other in packages.iter().skip(1).filter(|_| found.is_none()).collect::<Vec<_>>() {
                let theirs = programs(root, other)?;
                let path = theirs.into_iter().find(|(name, _)| name == asked).map(|(_, path)| path);
                found = found.or(path.map(|path| (other, path)));
            }
            found.ok_or_else(|| PackageError::NoSuchEntry {
                name: main.name.clone(),
                program: asked.to_owned(),
                programs: own.iter().map(|(name, _)| printable(name)).collect(),
            })?
        }
        None => (main, choice(main, &own)?),
    };
    program(root, package, &path, node_options)
}

/// All programs of a package: names and paths as written, those of `directories.bin` too.
fn programs(root: &Path, package: &Package) -> Result<Vec<(String, String)>, PackageError> {
    let Some(written) = &package.manifest.bin_directory else { return Ok(package.manifest.bins.clone()) };
    let directory = root.join(inside(root, package, written)?);
    let failed = |source| PackageError::io("read", &directory, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().map_err(failed)?.is_file();
        if let Some(name) = entry.file_name().to_str().filter(|name| is_file && !name.starts_with('.')) {
            found.push((name.to_owned(), format!("{written}/{name}")));
        }
    }
    found.sort();
    Ok(found)
}

fn choice(package: &Package, programs: &[(String, String)]) -> Result<String, PackageError> {
    let name = package.name.clone();
    let Some((_, first)) = programs.first() else {
        let hint =
            format!("if `{name}` is a library, find out which package is its server, and `mcpjail add` that one");
        return Err(PackageError::NoEntry { name, hint });
    };
    // npm takes both ways to write it for one
    let plain = |path: &str| path.trim_start_matches("./").to_owned();
    if programs.iter().all(|(_, path)| plain(path) == plain(first)) {
        return Ok(first.clone());
    }
    let own = package_lock::unscoped(&package.manifest.name);
    let own = programs.iter().find(|(program, _)| program == own).map(|(_, path)| path.clone());
    own.ok_or_else(|| PackageError::SeveralEntries {
        name,
        programs: programs.iter().map(|(program, _)| printable(program)).collect(),
    })
}

/// A path of a package, relative to the root. No part of it may be a symlink: no archive of a registry has any.
fn inside(root: &Path, package: &Package, written: &str) -> Result<PathBuf, PackageError> {
    let fault = |reason: &str| PackageError::Malformed {
        what: format!("{}: {}", package.name, printable(written)),
        reason: reason.to_owned(),
    };
    let mut relative = PathBuf::new();
    for part in Path::new(written).components() {
        match part {
            Component::Normal(part) => relative.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir if relative.pop() => {}
            Component::ParentDir | Component::Prefix(_) => return Err(fault("the program leads out of its package")),
        }
    }
    if relative.as_os_str().is_empty() {
        return Err(fault("the program is no file"));
    }
    let mut reached = root.join(&package.directory);
    for part in relative.components() {
        reached.push(part);
        let found = reached.symlink_metadata().map_err(|_| fault("the package has no such file"))?;
        if found.is_symlink() {
            return Err(fault("the program is a symlink"));
        }
    }
    Ok(package.directory.join(relative))
}

fn program(root: &Path, package: &Package, written: &str, node_options: &[String]) -> Result<Start, PackageError> {
    let relative = inside(root, package, written)?;
    let path = root.join(&relative);
    let failed = |source| PackageError::io("read", &path, source);
    let found = path.symlink_metadata().map_err(failed)?;
    if !found.is_file() {
        let what = format!("{}: {}", package.name, printable(written));
        return Err(PackageError::Malformed { what, reason: "the program is no file".into() });
    }
    let mut head = Vec::new();
    fs::File::open(&path).map_err(failed)?.take(HEAD).read_to_end(&mut head).map_err(failed)?;
    match kind(&head, &relative) {
        Kind::Node(of_line) => {
            let options = node_options.iter().cloned().chain(of_line).collect();
            Ok(Start::Node { options, script: relative })
        }
        Kind::Program => {
            // Archives often come without the bit; npm sets it for what it links.
            let mode = found.permissions().mode();
            let executable = fs::Permissions::from_mode(mode & 0o777 | 0o111);
            fs::set_permissions(&path, executable)
                .map_err(|source| PackageError::io("make executable", &path, source))?;
            Ok(Start::Program { path: relative })
        }
        Kind::Unknown => Err(PackageError::NoEntry {
            name: package.name.clone(),
            hint: format!(
                "its `{}` is neither JavaScript nor a program that Linux starts; ask for another one with `mcpjail add \
                 NAME -- npx -p {} PROGRAM`",
                printable(written),
                package.name
            ),
        }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// JavaScript, and the options of its `#!` line.
    Node(Vec<String>),
    Program,
    Unknown,
}

fn kind(head: &[u8], path: &Path) -> Kind {
    if head.starts_with(b"\x7fELF") {
        return Kind::Program;
    }
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        return node_line(&line).map_or(Kind::Program, Kind::Node);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("js" | "mjs" | "cjs") => Kind::Node(Vec::new()),
        _ => Kind::Unknown,
    }
}

/// The options that a `#!` line gives to `node`; `None` where it names another interpreter. A line may end in `\r`: npm
/// repairs that when it links a program.
fn node_line(line: &str) -> Option<Vec<String>> {
    let mut words = line.split_ascii_whitespace();
    let is = |word: &str, name: &str| word.rsplit('/').next() == Some(name);
    let mut word = words.next()?;
    if is(word, "env") {
        word = words.by_ref().find(|word| !word.starts_with('-') && !word.contains('='))?;
    }
    (is(word, "node") || is(word, "nodejs")).then(|| words.map(str::to_owned).collect())
}

#[cfg(test)]
#[path = "bins_tests.rs"]
mod tests;
