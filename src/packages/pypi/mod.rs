//! Packages of a Python index, installed by the machine's uv or pip.
//!
//! ```text
//! python ──► environment ──► tool ──► requirements ──► tool ──► metadata, scripts ──► compile
//! which      an empty one    resolve  a lock with      install  what there is,        the same
//! one?                                hashes                    how it starts         bytes always
//! ```
//!
//! A tree is `root/venv`, an environment whose one way out is `venv/bin/python`, the machine's interpreter. It holds no path of
//! the place where it was made: two installations of one lock give the same bytes. Compiled files are of the kind that is
//! never compared with its source (PEP 552), so they are used from a read-only tree whatever its times are.

mod adopt;
mod environment;
mod index;
mod jobs;
mod metadata;
mod module;
mod python;
mod requirements;
mod scripts;
mod tool;
mod trouble;

#[cfg(test)]
mod tests;

use super::{Ecosystem, Installed, Options, PackageError, PypiRequest, PypiRun, Release, Workshop};
use crate::store::Stage;
pub(super) use adopt::{Adopted, adopt};
use jobs::Site;
use requirements::{Lock, normal, requirement};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tool::{Tool, Work};

/// The name of the lock below `meta`.
pub const LOCK: &str = "requirements.lock";

/// Resolves and installs into a stage.
///
/// # Errors
/// [`PackageError`].
pub fn install(
    request: &PypiRequest,
    options: &Options<'_>,
    stage: &mut Stage,
    workshop: &dyn Workshop,
) -> Result<Installed, PackageError> {
    let (root, meta, scratch) = (stage.root(), stage.meta(), stage.scratch());
    let (installed, interpreter) =
        fill(request, options, &Place { root: &root, meta: &meta, scratch: &scratch }, workshop)?;
    stage.allow_outside(environment::link(), interpreter);
    Ok(installed)
}

/// The three directories of a stage.
struct Place<'a> {
    root: &'a Path,
    meta: &'a Path,
    scratch: &'a Path,
}

/// Fills a stage; gives the interpreter, too, which the environment's link leads to.
fn fill(
    request: &PypiRequest,
    options: &Options<'_>,
    place: &Place<'_>,
    workshop: &dyn Workshop,
) -> Result<(Installed, PathBuf), PackageError> {
    let Place { root, meta, scratch } = *place;
    let cache = options.cache.join("pypi");
    for dir in [root, meta, scratch, &scratch.join("tmp"), &scratch.join("wheels"), &cache] {
        fs::create_dir_all(dir).map_err(|error| PackageError::io("create", dir, error))?;
    }
    let mut main = request.main.clone();
    if let (true, PypiRun::Module(module)) = (main.name.is_empty(), &request.run) {
        workshop.step(&format!("finding the package of `{module}`"));
        main = module::of(module, request.python.as_deref(), options.context, scratch, workshop)?;
    }
    let asked = std::iter::once(&main).chain(&request.with).map(requirement).collect::<Result<Vec<_>, _>>()?;
    workshop.step(&format!("resolving {}", main.name));
    let base = python::find(request.python.as_deref(), options.context, scratch, workshop)?;
    let tool = Tool::find(&base, options)?;
    let indexes = index::read(options.context, tool.whose());
    environment::make(&root.join(scripts::VENV), &base, false)?;
    let site = Site {
        root,
        scratch,
        cache: &cache,
        base: &base,
        indexes: &indexes,
        network: options.network,
        offline: options.offline,
    };
    write(&site.asked(), &format!("{}\n", asked.join("\n")))?;
    let work = Work { tool: &tool, site, asked: &main.name, scripts: options.scripts, workshop };
    let (lock, built) = match options.lock {
        None => work.resolve()?,
        Some(bytes) => (Lock::read(&String::from_utf8_lossy(bytes))?, Vec::new()),
    };
    if let Some(name) = options.scripts.iter().find(|name| lock.get(name).is_none()) {
        return Err(PackageError::NoSuchScript { name: name.clone(), known: Vec::new() });
    }
    let text = lock.text();
    write(&meta.join(LOCK), &text)?;
    write(&work.site.locked(), &text)?;
    let count = lock.pins().count();
    workshop.step(&format!("installing {count} package{}", if count == 1 { "" } else { "s" }));
    let built = work.install(&built)?;
    environment::judge(root, &base)?;
    let packages = environment::packages(&base);
    let directories = [root.join(&packages)];
    let installed = metadata::read(&directories)?;
    let components = metadata::components(&installed, &lock, &main.name)?;
    let Some(first) = components.first().filter(|first| normal(&first.name) == normal(&main.name)) else {
        let reason = "it was asked for, and no marker of it fits this machine".to_owned();
        return Err(PackageError::Unfit { name: main.name, detail: reason });
    };
    scripts::forget(&scripts::neutral(root)?, &installed)?;
    let start = scripts::start(&request.run, &main.name, &installed, root, &directories)?;
    workshop.step("compiling");
    compile_tree(&work.site, std::slice::from_ref(&packages), workshop)?;
    environment::tidy(root)?;
    for name in metadata::startup_files(&root.join(&packages)) {
        workshop.note(&format!("`{}` runs whenever the server's Python starts", crate::diagnose::printable(&name)));
    }
    let mut extras: Vec<String> = main.extras.iter().map(|extra| normal(extra)).collect();
    extras.sort();
    extras.dedup();
    let release =
        Release { ecosystem: Ecosystem::Pypi, name: first.name.clone(), extras, version: first.version.clone() };
    let mut ran: Vec<String> =
        built.iter().filter_map(|name| Some(installed.get(&normal(name))?.name.clone())).collect();
    ran.sort();
    Ok((Installed { release, start, components, skipped: Vec::new(), ran }, base.program.clone()))
}

fn compile_tree(site: &Site<'_>, directories: &[PathBuf], workshop: &dyn Workshop) -> Result<(), PackageError> {
    let job = site.compile(directories);
    let done = workshop.run(&job)?;
    if done.timed_out {
        return Err(PackageError::TimedOut { job: job.name, seconds: job.timeout.as_secs() });
    }
    if done.status != 0 {
        let said = trouble::tail(&done.stderr);
        return Err(PackageError::Failed { job: job.name, status: done.status, said, refused: done.refused });
    }
    Ok(())
}

/// Writes a file of ours anew: a build may have left a link in its place, which is replaced and not followed.
fn write(path: &Path, text: &str) -> Result<(), PackageError> {
    let failed = |error| PackageError::io("write", path, error);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
