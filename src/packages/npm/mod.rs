//! Packages of an npm registry, installed by the machine's npm.
//!
//! ```text
//! config ──► jobs ──────────► package_lock ──► jobs ────► parts ──────► scripts ────► bins
//! which      npm install      is every         npm ci     what lies     npm rebuild   which program
//! registry   --package-lock-  archive pinned              on the disk   of what was   is started
//!            only             by a hash?                                allowed
//! ```
//!
//! Nothing of a package runs before its archive was held against the lock, and nothing of it at all unless the person
//! allowed its install scripts by name: those run in a jail of their own, without the person's configuration, without the
//! registry and without the cache that later installs take from. Nothing of npm or Node goes into the tree, and nothing
//! that differs between two installs of one lock.

mod bins;
mod config;
mod integrity;
mod jobs;
mod manifest;
mod package_lock;
mod parts;
mod place;
mod scripts;
mod trouble;

use self::bins::Package;
use self::config::{Config, Given};
use self::jobs::Bench;
use self::package_lock::Lock;
use self::place::Place;
use self::trouble::About;
use super::{Done, Ecosystem, Installed, Job, NpmRequest, NpmSpec, Options, PackageError, Release, Workshop};
use crate::command::Context;
use crate::store::Stage;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The oldest npm that writes a lock which can be read; the error of an older one says so.
const OLDEST: u32 = 8;

/// Resolves and installs into a stage: `root/node_modules` and `root/package.json`, `meta/package-lock.json`.
///
/// # Errors
/// [`PackageError`].
pub fn install(
    request: &NpmRequest,
    options: &Options<'_>,
    stage: &mut Stage,
    workshop: &dyn Workshop,
) -> Result<Installed, PackageError> {
    let meta = stage.meta();
    fs::create_dir_all(&meta).map_err(|source| PackageError::io("make", &meta, source))?;
    let place = Place::make(stage.root(), &stage.scratch(), options.cache)?;
    install_in(request, options, &place, &meta, workshop)
}

/// A job that runs `npm audit --json` over a lock, with the person's own registry configuration. Its report is on standard
/// output; its status is 1 where something was found. `directory` is empty and writable, and stays until the job is done.
///
/// # Errors
/// There is no npm, the lock is none, its configuration cannot be read, or the disk.
pub fn audit_job(
    lock: &[u8],
    directory: &Path,
    context: &Context,
    workshop: &dyn Workshop,
) -> Result<Job, PackageError> {
    find_npm(context, "mcpjail audit")?;
    let place = Place::make(directory.join("root"), &directory.join("scratch"), &directory.join("cache"))?;
    write(&place.root.join(manifest::FILE), b"{}\n")?;
    let (config, given) = configuration(&place, context, workshop)?;
    let read = package_lock::read(lock, &origins_of(&config, &[]))?;
    write(&place.root.join(manifest::FILE), &project(&read.direct, &[]))?;
    write(&place.root.join(package_lock::FILE), lock)?;
    Ok(Bench { place: &place, given: &given, path: &context.path, offline: false }.audit(&config))
}

fn install_in(
    request: &NpmRequest,
    options: &Options<'_>,
    place: &Place,
    meta: &Path,
    workshop: &dyn Workshop,
) -> Result<Installed, PackageError> {
    let specs = request.packages.iter().map(spec).collect::<Result<Vec<String>, PackageError>>()?;
    let nothing = || PackageError::Malformed { what: "the request".into(), reason: "it names no package".into() };
    let name = request.packages.first().ok_or_else(nothing)?.name.as_str();
    find_npm(options.context, &format!("npm:{name}"))?;
    write(&place.root.join(manifest::FILE), b"{}\n")?;
    let (config, given) = configuration(place, options.context, workshop)?;
    let bench = Bench { place, given: &given, path: &options.context.path, offline: options.offline };
    let about = About { package: name, registry: &config.registry, root: &place.root };
    let lock_path = place.root.join(package_lock::FILE);
    let text = match options.lock {
        Some(text) => text.to_vec(),
        None => {
            workshop.step(&format!("resolving {name}"));
            run(workshop, &bench.resolve(&config, &specs, options.network), &about)
                .map_err(|error| needed(error, &request.packages))?;
            let text = fs::read(&lock_path).map_err(|source| PackageError::io("read", &lock_path, source))?;
            package_lock::scrubbed(text)?
        }
    };
    let lock = package_lock::read(&text, &origins_of(&config, options.network))?;
    write(&place.root.join(manifest::FILE), &project(&lock.direct, &[]))?;
    write(&lock_path, &text)?;
    let count = lock.entries.len();
    workshop.step(&format!("installing {count} package{}", if count == 1 { "" } else { "s" }));
    let done = run(workshop, &bench.unpack(&config, options.network), &about)
        .map_err(|error| needed(error, &request.packages))?;
    for warning in trouble::warnings(&done.stderr) {
        workshop.note(&warning);
    }
    // npm's own notes on what it did: the lock is kept outside of the tree, and this is another copy of it.
    for path in [lock_path, place.root.join("node_modules/.package-lock.json")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PackageError::io("remove", path, error));
            }
            _ => {}
        }
    }
    let parts = parts::on_disk(&place.root, &lock)?;
    let packages = chosen(request, &lock, &parts)?;
    let (allowed, skipped) = scripts::sorted_out(&lock, &parts, options.scripts)?;
    for allowed in &allowed {
        run_scripts(allowed, &lock, &bench, &config, options, workshop)?;
    }
    let start = bins::start(&place.root, &packages, request.bin.as_deref(), &request.node_options)?;
    write(&meta.join(package_lock::FILE), &text)?;
    let main = format!("node_modules/{name}");
    let components = parts::components(&lock, &parts, &main);
    let version = components.first().map(|component| component.version.clone()).unwrap_or_default();
    Ok(Installed {
        release: Release { ecosystem: Ecosystem::Npm, name: name.to_owned(), extras: Vec::new(), version },
        start,
        components,
        skipped,
        ran: allowed.into_iter().map(|allowed| allowed.name).collect(),
    })
}

/// Tells what nobody asked for as what it is: npm says of a dependency's dependency what it says of the package itself.
fn needed(error: PackageError, asked: &[NpmSpec]) -> PackageError {
    let (needs, registry) = match &error {
        PackageError::NoPackage { name, registry } if asked.iter().all(|spec| spec.name != *name) => {
            (name.clone(), registry.clone())
        }
        PackageError::NoVersion { name, version, registry } if asked.iter().all(|spec| spec.name != *name) => {
            (format!("{name}@{version}"), registry.clone())
        }
        _ => return error,
    };
    let package = asked.first().map(|spec| spec.name.clone()).unwrap_or_default();
    PackageError::Unmet { package, needs, registry }
}

/// `NAME@VERSION` as npm's word for something in a registry, and nothing else.
fn spec(asked: &NpmSpec) -> Result<String, PackageError> {
    let NpmSpec { name, version } = asked;
    let line = format!("{name}@{version}");
    if !package_lock::is_name(name) || !package_lock::from_registry(version) || version.starts_with("npm:") {
        return Err(PackageError::Line {
            line,
            reason: "it is no name and version of a registry".into(),
            hint: "type `mcpjail add NAME -- npm:PACKAGE@VERSION`".into(),
        });
    }
    Ok(if version.is_empty() { format!("{name}@latest") } else { line })
}

/// npm on `PATH`, looked for as a shell would.
fn find_npm(context: &Context, what: &str) -> Result<(), PackageError> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let mut candidates = std::env::split_paths(&context.path).map(|directory| context.cwd.join(directory).join("npm"));
    match candidates.find(is_program) {
        Some(_) => Ok(()),
        None => Err(PackageError::NoTool { tool: "npm", what: what.to_owned(), hint: INSTALL_NPM.into() }),
    }
}

const INSTALL_NPM: &str = "install Node.js with npm (https://nodejs.org; on Debian and Ubuntu `sudo apt install npm`)";

/// Asks npm for its configuration; once more where the global file is not where it mostly is, so that npm could not read
/// it the first time.
fn configuration(place: &Place, context: &Context, workshop: &dyn Workshop) -> Result<(Config, Given), PackageError> {
    let read = |given: &Given| -> Result<Config, PackageError> {
        let bench = Bench { place, given, path: &context.path, offline: false };
        let job = bench.configuration();
        let about = About { package: "npm", registry: "", root: &place.root };
        let done = run(workshop, &job, &about)?;
        old_npm(&done.stdout)?;
        Config::read(&done.stdout, given)
    };
    let given = Given::of(context, &config::likely_global(context));
    let config = read(&given)?;
    match &config.globalconfig {
        Some(path)
            if !given.grants.iter().any(|(granted, _)| path.canonicalize().is_ok_and(|path| *granted == path)) =>
        {
            let given = Given::of(context, std::slice::from_ref(path));
            Ok((read(&given)?, given))
        }
        _ => Ok((config, given)),
    }
}

fn old_npm(listed: &[u8]) -> Result<(), PackageError> {
    let listed: serde_json::Value = serde_json::from_slice(listed).unwrap_or_default();
    let version = listed.get("npm-version").and_then(serde_json::Value::as_str).unwrap_or("0");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major >= OLDEST {
        return Ok(());
    }
    let hint = format!("npm {version} is there: {INSTALL_NPM}");
    Err(PackageError::NoTool { tool: "npm 8 or later", what: "mcpjail add".into(), hint })
}

/// Where archives may come from: the registries, and what the person lets the install jail reach besides.
fn origins_of(config: &Config, more: &[crate::egress::Written]) -> Vec<String> {
    config.origins.iter().cloned().chain(more.iter().map(|written| written.to.to_ascii_lowercase())).collect()
}

fn run(workshop: &dyn Workshop, job: &Job, about: &About<'_>) -> Result<Done, PackageError> {
    let done = workshop.run(job)?;
    match trouble::of(job, &done, about) {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// The project that npm installs: always the same text for the same lock.
fn project(direct: &BTreeMap<String, String>, scripts: &[&str]) -> Vec<u8> {
    let mut project = serde_json::json!({ "private": true, "dependencies": direct });
    if let Some(project) = project.as_object_mut().filter(|_| !scripts.is_empty()) {
        let allowed: BTreeMap<&str, bool> = scripts.iter().map(|name| (*name, true)).collect();
        project.insert("allowScripts".into(), serde_json::json!(allowed));
    }
    format!("{project:#}\n").into_bytes()
}

/// The packages that were asked for, where they lie.
fn chosen(request: &NpmRequest, lock: &Lock, parts: &[parts::Part]) -> Result<Vec<Package>, PackageError> {
    let one = |(at, asked): (usize, &NpmSpec)| {
        let path = format!("node_modules/{}", asked.name);
        let malformed = |reason: String| PackageError::Malformed { what: path.clone(), reason };
        let part =
            parts.iter().find(|part| part.path == path).ok_or_else(|| malformed("npm did not install it".into()))?;
        let entry = lock.entries.get(&path).ok_or_else(|| malformed("the lock does not have it".into()))?;
        let manifest = &part.manifest;
        if at == 0 && (manifest.name != entry.name || manifest.version.trim_start_matches(['v', '=']) != entry.version)
        {
            let own = crate::diagnose::printable(&format!("{}@{}", manifest.name, manifest.version));
            return Err(malformed(format!(
                "the registry says `{}@{}`, and the archive `{own}`",
                entry.name, entry.version
            )));
        }
        Ok(Package { name: asked.name.clone(), directory: PathBuf::from(&path), manifest: manifest.clone() })
    };
    request.packages.iter().enumerate().map(one).collect()
}

fn run_scripts(
    allowed: &scripts::Allowed,
    lock: &Lock,
    bench: &Bench<'_>,
    config: &Config,
    options: &Options<'_>,
    workshop: &dyn Workshop,
) -> Result<(), PackageError> {
    let root = &bench.place.root;
    let path = root.join(manifest::FILE);
    workshop.step(&format!("running the install scripts of {}", allowed.name));
    // Later versions of npm want it said here, too.
    let names: Vec<&str> = allowed.names.iter().map(String::as_str).collect();
    write(&path, &project(&lock.direct, &names))?;
    for directory in &allowed.directories {
        bench.place.clear_script()?;
        let own = std::slice::from_ref(directory);
        let before = scripts::stamps(root, own)?;
        let job = bench.scripts(&allowed.name, directory, config.nodedir.as_ref(), options.network);
        let done = workshop.run(&job)?;
        if let Some(error) = trouble::of_script(&job, &done, &allowed.name) {
            return Err(error);
        }
        let after = scripts::stamps(root, own)?;
        if let Some(path) = scripts::difference(&before, &after) {
            let reason = format!("the install scripts of `{}` changed it, which is not theirs", allowed.name);
            return Err(PackageError::Malformed { what: path.display().to_string(), reason });
        }
    }
    for directory in &allowed.directories {
        scripts::clear_build(root, directory)?;
    }
    write(&path, &project(&lock.direct, &[]))
}

/// Writes a file of ours anew: whatever lay there, a link included, is replaced and not followed.
fn write(path: &Path, text: &[u8]) -> Result<(), PackageError> {
    let failed = |source| PackageError::io("write", path, source);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    io::Write::write_all(&mut file, text).map_err(failed)
}

#[cfg(test)]
mod tests;
