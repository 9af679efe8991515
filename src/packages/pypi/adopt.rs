//! Python for code that lies on this machine: an environment of its own where it has none, and compiled files.

use super::super::{Options, PackageError, Workshop};
use super::index::Indexes;
use super::jobs::Site;
use super::{compile_tree, environment, python};
use std::fs;
use std::path::{Path, PathBuf};

/// What is done to a tree of Python code.
pub(in super::super) struct Adopted<'a> {
    /// The tree.
    pub(in super::super) root: &'a Path,
    /// Thrown away.
    pub(in super::super) scratch: &'a Path,
    /// The interpreter, or that of an environment.
    pub(in super::super) program: &'a Path,
    /// An environment to be made, relative to the root; it sees the packages of the interpreter.
    pub(in super::super) make: Option<&'a Path>,
}

/// Makes an environment if asked to, and compiles the whole tree. Gives the interpreter that an environment made here leads to.
///
/// # Errors
/// The interpreter is none, or the disk.
pub(in super::super) fn adopt(
    adopted: &Adopted<'_>,
    options: &Options<'_>,
    workshop: &dyn Workshop,
) -> Result<PathBuf, PackageError> {
    let Adopted { root, scratch, program, make } = *adopted;
    for dir in [scratch.to_owned(), scratch.join("tmp")] {
        fs::create_dir_all(&dir).map_err(|error| PackageError::io("create", dir, error))?;
    }
    let program = program.to_str().ok_or_else(|| PackageError::Malformed {
        what: program.display().to_string(),
        reason: "the interpreter's path is no UTF-8".into(),
    })?;
    let base = python::find(Some(program), options.context, scratch, workshop)?;
    if let Some(venv) = make {
        environment::make(&root.join(venv), &base, true)?;
    }
    let indexes = Indexes::default();
    let site = Site { root, scratch, cache: scratch, base: &base, indexes: &indexes, network: &[], offline: true };
    compile_tree(&site, &[PathBuf::from(".")], workshop)?;
    Ok(base.program)
}
