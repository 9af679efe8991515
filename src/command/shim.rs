//! Version managers' shims: what `python` in `~/.pyenv/shims` really is.
//!
//! What the manager's files say plainly is read from them; for the rest the manager is asked. A manager is a program
//! that runs outside the jail, so it is never taken from the shim's own text: a package could bring a file that looks
//! like a shim. A shim counts only in a directory that the person has in `PATH` (or in the manager's known place), and
//! the manager is looked up there or in `PATH`.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::error::CommandError;
use super::{Context, files};

/// How long a manager may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// A manager of pyenv's family: the same scripts under another name.
#[derive(Debug, PartialEq, Eq)]
struct Family {
    /// The manager's command.
    manager: &'static str,
    /// Environment variable that selects versions.
    variable: &'static str,
    /// Environment variable that names its directory.
    root: &'static str,
    /// File that selects versions, searched upwards.
    file: &'static str,
    /// A prefix that version names may carry.
    prefix: &'static str,
}

const FAMILY: [Family; 4] = [
    Family {
        manager: "pyenv",
        variable: "PYENV_VERSION",
        root: "PYENV_ROOT",
        file: ".python-version",
        prefix: "python-",
    },
    Family {
        manager: "nodenv",
        variable: "NODENV_VERSION",
        root: "NODENV_ROOT",
        file: ".node-version",
        prefix: "node-",
    },
    Family { manager: "rbenv", variable: "RBENV_VERSION", root: "RBENV_ROOT", file: ".ruby-version", prefix: "ruby-" },
    Family { manager: "goenv", variable: "GOENV_VERSION", root: "GOENV_ROOT", file: ".go-version", prefix: "go-" },
];

/// A shim, and who made it.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Family(&'static Family),
    /// The plugins and versions that its comments list.
    Asdf(Vec<(String, String)>),
    Mise,
    Volta,
}

impl Kind {
    fn manager(&self) -> &'static str {
        match self {
            Self::Family(family) => family.manager,
            Self::Asdf(_) => "asdf",
            Self::Mise => "mise",
            Self::Volta => "volta",
        }
    }

    /// The command that makes the shim stand for something.
    fn advice(&self, name: &str) -> String {
        match self {
            Self::Family(family) => {
                let manager = family.manager;
                format!(
                    "see what is selected with `{manager} version`, then install it with `{manager} install VERSION` \
                     or choose another with `{manager} global VERSION`"
                )
            }
            Self::Asdf(plugins) => {
                let plugin = plugins.first().map_or(name, |(plugin, _)| plugin.as_str());
                format!(
                    "install the selected version with `asdf install`, or choose one with `asdf set {plugin} VERSION`"
                )
            }
            Self::Mise => {
                format!(
                    "install the selected version with `mise install`, or choose one with `mise use --global {name}`"
                )
            }
            Self::Volta => format!("install one with `volta install {name}`"),
        }
    }
}

/// The manager's directory: from the environment, else below the home.
fn root_of(context: &Context, variable: &str, below_home: &str) -> PathBuf {
    context.var(variable).map_or_else(|| context.home.join(below_home), PathBuf::from)
}

/// Directories where managers keep shims, whether or not `PATH` has them.
pub(super) fn known_dirs(context: &Context, manager: &str) -> Option<PathBuf> {
    if let Some(family) = FAMILY.iter().find(|family| family.manager == manager) {
        return Some(root_of(context, family.root, &format!(".{}", family.manager)).join("shims"));
    }
    match manager {
        "asdf" => Some(root_of(context, "ASDF_DATA_DIR", ".asdf").join("shims")),
        "mise" | "rtx" => {
            let data = context.var("XDG_DATA_HOME").map_or_else(|| context.home.join(".local/share"), PathBuf::from);
            let own = context.var("MISE_DATA_DIR").map_or_else(|| data.join("mise"), PathBuf::from);
            Some(own.join("shims"))
        }
        "volta" => Some(root_of(context, "VOLTA_HOME", ".volta").join("bin")),
        _ => None,
    }
}

/// Whether a directory is one that the person or a manager put shims into.
fn is_trusted(context: &Context, dir: &Path, manager: &str) -> bool {
    let in_path = std::env::split_paths(&context.path).any(|entry| entry.is_absolute() && entry == dir);
    let same = |known: PathBuf| known == dir || known.canonicalize().is_ok_and(|real| real == dir);
    // The name alone proves nothing, but without it any `bin` in PATH could hold something that looks like a shim.
    let named = files::name_of(dir) == "shims";
    !in_packages(dir) && ((named && in_path) || known_dirs(context, manager).is_some_and(same))
}

/// Whether packages put files into a directory: it is in a `node_modules`, or it is a virtual environment's.
fn in_packages(dir: &Path) -> bool {
    let environment = dir.parent().is_some_and(|root| root.join("pyvenv.cfg").exists());
    environment || dir.components().any(|part| part.as_os_str() == "node_modules")
}

/// Recognises a shim that is a link to its manager's binary, by the two names.
fn linked(reached: &Path, real: &Path) -> Option<Kind> {
    let (name, target) = (files::name_of(reached), files::name_of(real));
    if name == target {
        return None;
    }
    match target.to_str()? {
        "mise" | "rtx" => Some(Kind::Mise),
        "volta-shim" => Some(Kind::Volta),
        _ => None,
    }
}

/// Recognises a shim that is a shell script, by its line `exec …/pyenv exec …`.
fn scripted(head: &[u8]) -> Option<Kind> {
    let text = std::str::from_utf8(head).ok()?;
    let manager = text.lines().find_map(|line| {
        let mut words = line.trim().strip_prefix("exec ")?.split_whitespace();
        let program = words.next()?.trim_matches(['"', '\'']);
        let name = program.rsplit('/').next()?;
        (words.next()? == "exec").then_some(name)
    })?;
    if manager == "asdf" {
        let comments = text.lines().filter_map(|line| line.strip_prefix("# asdf-plugin: "));
        let pair =
            |line: &str| line.trim().split_once(' ').map(|(plugin, version)| (plugin.into(), version.trim().into()));
        return Some(Kind::Asdf(comments.filter_map(pair).collect()));
    }
    FAMILY.iter().find(|family| family.manager == manager).map(Kind::Family)
}

/// What a shim stands for: `None` where the program is no shim.
///
/// # Errors
///
/// [`CommandError::ShimUnresolved`] where it is one and stands for nothing that can be executed.
pub(super) fn resolve(
    context: &Context,
    reached: &Path,
    real: &Path,
    head: &[u8],
) -> Result<Option<(PathBuf, &'static str)>, CommandError> {
    let Some(kind) = linked(reached, real).or_else(|| scripted(head)) else { return Ok(None) };
    let name = files::name_of(reached);
    // A link is a shim where the link is; a script is one where the file is.
    let place = match kind {
        Kind::Mise | Kind::Volta => reached,
        Kind::Family(_) | Kind::Asdf(_) => real,
    };
    let Some(dir) = place.parent() else { return Ok(None) };
    let reached_dir = reached.parent().unwrap_or(dir);
    let manager = kind.manager();
    if !is_trusted(context, dir, manager) && !is_trusted(context, reached_dir, manager) {
        return Ok(None);
    }
    let root = dir.parent().unwrap_or(dir);
    let native = match &kind {
        Kind::Family(family) => from_versions(context, family, root, dir, name),
        Kind::Asdf(plugins) => from_tool_versions(context, plugins, root, name),
        Kind::Volta => from_platform(context, root, name),
        Kind::Mise => None,
    };
    let valid = |path: &PathBuf| path.is_absolute() && files::executable(path) && *path != reached && *path != real;
    if let Some(found) = native.filter(valid) {
        return Ok(Some((found, manager)));
    }
    let unresolved = |said: Option<String>| CommandError::ShimUnresolved {
        manager,
        name: name.to_string_lossy().into_owned(),
        said,
        hint: kind.advice(&name.to_string_lossy()),
    };
    let program = locate(context, manager, root).or_else(|| (kind == Kind::Mise).then(|| real.to_path_buf()));
    let Some(program) = program else {
        return Err(unresolved(Some(format!("`{manager}` itself was not found"))));
    };
    let found = ask(context, &program, name, PATIENCE).map_err(unresolved)?;
    if valid(&found) { Ok(Some((found, manager))) } else { Err(unresolved(Some(format!("{}", found.display())))) }
}

/// The manager's own program: in its directory, else in `PATH` (not in relative or package directories).
fn locate(context: &Context, manager: &str, root: &Path) -> Option<PathBuf> {
    let own = [root.join("bin").join(manager), root.join("libexec").join(manager)];
    if let Some(found) = own.into_iter().find(|path| files::executable(path)) {
        return Some(found);
    }
    let dirs: Vec<PathBuf> =
        std::env::split_paths(&context.path).filter(|dir| dir.is_absolute() && !in_packages(dir)).collect();
    match files::search(OsStr::new(manager), &dirs) {
        files::Search::Found(path) => Some(path),
        files::Search::NotExecutable(_) | files::Search::Absent => None,
    }
}

/// The nearest file of that name, from the current directory upwards.
fn upwards(context: &Context, name: &str) -> Option<String> {
    context
        .cwd
        .ancestors()
        .find_map(|dir| files::small_text(&dir.join(name), 4096).filter(|text| !text.trim().is_empty()))
}

/// Whether a version's name is one component, so that it cannot lead out of the manager's directory.
fn is_plain(version: &str) -> bool {
    !version.is_empty() && !version.contains('/') && version != "." && version != ".."
}

/// pyenv's rule: the variable, the nearest file, the global file; the first of the named versions that has the program.
fn from_versions(context: &Context, family: &Family, root: &Path, shims: &Path, name: &OsStr) -> Option<PathBuf> {
    let chosen = context.var(family.variable).map(|value| value.to_string_lossy().replace(':', "\n"));
    let text = chosen
        .or_else(|| upwards(context, family.file))
        .or_else(|| files::small_text(&root.join("version"), 4096))
        .unwrap_or_else(|| "system".into());
    let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    for version in words {
        if version == "system" {
            if let Some(found) = beyond(context, shims, name) {
                return Some(found);
            }
            continue;
        }
        let plain = version.strip_prefix(family.prefix).unwrap_or(version);
        let found = [version, plain]
            .into_iter()
            .filter(|version| is_plain(version))
            .map(|version| root.join("versions").join(version))
            .find(|dir| dir.is_dir());
        // What is not installed under any name: the manager knows what it means.
        let dir = found.or_else(|| latest(&root.join("versions"), plain))?;
        let candidate = dir.join("bin").join(name);
        if files::executable(&candidate) {
            return Some(candidate);
        }
    }
    None
}

/// The newest installed version of a shortened one (`3.12`), where all of them are plain numbers.
fn latest(versions: &Path, short: &str) -> Option<PathBuf> {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<u32>>>();
    numbers(short)?;
    let mut newest = None;
    for entry in versions.read_dir().ok()?.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(short)) else { continue };
        if let Some(rest) = rest.strip_prefix('.') {
            newest = newest.max(Some((numbers(rest)?, entry.path())));
        } else if rest.starts_with('-') {
            return None;
        }
    }
    newest.map(|(_, path)| path)
}

/// The program that `PATH` would give if there were no shims.
fn beyond(context: &Context, shims: &Path, name: &OsStr) -> Option<PathBuf> {
    let others: Vec<PathBuf> = files::path_entries(&context.path, &context.cwd)
        .into_iter()
        .filter(|dir| dir != shims && dir.canonicalize().is_ok_and(|real| real != shims))
        .collect();
    match files::search(name, &others) {
        files::Search::Found(path) => Some(path),
        files::Search::NotExecutable(_) | files::Search::Absent => None,
    }
}

/// asdf's rule: `ASDF_NODEJS_VERSION`, the nearest `.tool-versions` that names the plugin, the one in the home.
fn from_tool_versions(context: &Context, plugins: &[(String, String)], root: &Path, name: &OsStr) -> Option<PathBuf> {
    let file = context.var("ASDF_DEFAULT_TOOL_VERSIONS_FILENAME").map_or(OsStr::new(".tool-versions"), |name| name);
    let mut dirs: Vec<&Path> = context.cwd.ancestors().collect();
    dirs.push(&context.home);
    let texts: Vec<String> = dirs.iter().filter_map(|dir| files::small_text(&dir.join(file), 64 * 1024)).collect();
    let mut tried: Vec<&str> = Vec::new();
    for (plugin, _) in plugins {
        if tried.contains(&plugin.as_str()) || !is_plain(plugin) {
            continue;
        }
        tried.push(plugin);
        let variable = format!("ASDF_{}_VERSION", plugin.to_ascii_uppercase().replace('-', "_"));
        let chosen = context.var(&variable).map(|value| value.to_string_lossy().into_owned());
        let Some(chosen) = chosen.or_else(|| texts.iter().find_map(|text| tool_version(text, plugin))) else {
            continue;
        };
        for version in chosen.split_whitespace() {
            if !is_plain(version) || !plugins.iter().any(|(other, listed)| other == plugin && listed == version) {
                return None;
            }
            let candidate = root.join("installs").join(plugin).join(version).join("bin").join(name);
            if files::executable(&candidate) {
                return Some(candidate);
            }
        }
    }
    None
}

/// The versions that a `.tool-versions` gives a plugin.
fn tool_version(text: &str, plugin: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let (name, versions) = line.trim().split_once(char::is_whitespace)?;
        (name == plugin).then(|| versions.trim().to_owned())
    })
}

/// Volta's rule for Node: the nearest `package.json` that pins a version, else the user's default. Programs of packages
/// are left to Volta.
fn from_platform(context: &Context, root: &Path, name: &OsStr) -> Option<PathBuf> {
    if name != "node" {
        return None;
    }
    let nearest = context.cwd.ancestors().find_map(|dir| files::small_text(&dir.join("package.json"), 1 << 20));
    let pinned = nearest.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let version = match pinned.as_ref().and_then(|json| json.get("volta")) {
        Some(volta) => volta.get("node")?.as_str()?.to_owned(),
        None => {
            let text = files::small_text(&root.join("tools/user/platform.json"), 64 * 1024)?;
            let json: serde_json::Value = serde_json::from_str(&text).ok()?;
            json.get("node")?.get("runtime")?.as_str()?.to_owned()
        }
    };
    is_plain(&version).then(|| root.join("tools/image/node").join(version).join("bin/node"))
}

/// Asks `MANAGER which NAME`. The error is what it said instead, one line.
fn ask(context: &Context, manager: &Path, name: &OsStr, patience: Duration) -> Result<PathBuf, Option<String>> {
    let deadline = Instant::now() + patience;
    let spoken = || -> std::io::Result<(Child, UnixStream, UnixStream)> {
        let (answer, out) = UnixStream::pair()?;
        let (complaint, err) = UnixStream::pair()?;
        for ours in [&answer, &complaint] {
            ours.shutdown(Shutdown::Write)?;
        }
        let child = Command::new(manager)
            .arg("which")
            .arg(name)
            .current_dir(&context.cwd)
            .env_clear()
            .envs(&context.env)
            .env("PATH", &context.path)
            .env("HOME", &context.home)
            // Nothing is to be installed or fetched in order to answer.
            .env("MISE_OFFLINE", "1")
            .env("MISE_AUTO_INSTALL", "0")
            .env("MISE_NOT_FOUND_AUTO_INSTALL", "0")
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(out))
            .stderr(OwnedFd::from(err))
            .process_group(0)
            .spawn()?;
        Ok((child, answer, complaint))
    };
    let (mut child, answer, complaint) = loop {
        match spoken() {
            Ok(started) => break started,
            // It is being written at this moment: by its own update, or by a test.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(Some(error.to_string())),
        }
    };
    let text = read_until(answer, deadline);
    let complained = read_until(complaint, deadline);
    let ended = text.is_some() && complained.is_some() && wait_until(&mut child, deadline);
    if !ended {
        stop(&mut child);
        return Err(Some(format!("nothing within {} seconds", patience.as_secs())));
    }
    let status = child.wait().map_err(|error| Some(error.to_string()))?;
    let line = text.as_deref().and_then(last_line);
    match line.filter(|_| status.success()) {
        Some(line) => Ok(files::path_of(line)),
        None => {
            let words =
                complained.as_deref().and_then(first_line).map(|line| String::from_utf8_lossy(line).into_owned());
            Err(words.map(|words| words.chars().filter(|c| !c.is_control()).take(200).collect()))
        }
    }
}

/// Everything up to the end of a stream, or nothing where that does not come in time.
fn read_until(mut stream: UnixStream, deadline: Instant) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut chunk) {
            Ok(0) => return Some(bytes),
            Ok(length) if bytes.len() < MAX_ANSWER => bytes.extend_from_slice(chunk.get(..length)?),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Whether the process ends in time. It has closed its output already, so this is short.
fn wait_until(child: &mut Child, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            Ok(None) => std::thread::sleep(Duration::from_micros(200)),
            Err(_) => return false,
        }
    }
    false
}

/// Ends a manager that does not answer, and what it started.
fn stop(child: &mut Child) {
    let group = format!("-{}", child.id());
    let quiet = Command::new("/bin/kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    // The group's end is best effort, the process's own is not.
    drop(quiet);
    drop(child.kill());
    drop(child.wait());
}

fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn last_line(text: &[u8]) -> Option<&[u8]> {
    lines(text).next_back()
}

fn first_line(text: &[u8]) -> Option<&[u8]> {
    lines(text).next()
}

/// `pyenv exec NAME …`, `asdf exec NAME …`, `mise exec -- NAME …`: the manager and where the command begins.
pub(super) fn exec_of(argv: &[OsString]) -> Option<(&'static str, usize)> {
    let name = files::name_of(Path::new(argv.first()?)).to_str()?;
    let verb = argv.get(1)?.to_str()?;
    let family = FAMILY.iter().map(|family| family.manager).find(|manager| *manager == name);
    match (family.or((name == "asdf").then_some("asdf")), name, verb) {
        (Some(manager), _, "exec") => argv.get(2).map(|_| (manager, 2)),
        (None, "mise", "exec" | "x") => {
            let at = if argv.get(2)? == "--" { 3 } else { return None };
            argv.get(at).map(|_| ("mise", at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn context(root: &Path) -> Context {
        Context { cwd: root.to_path_buf(), home: root.join("home"), path: "/usr/bin:/bin".into(), env: BTreeMap::new() }
    }

    #[test]
    fn shims_are_known_by_their_last_line() {
        let family = |text: &str| scripted(text.as_bytes()).map(|kind| kind.manager());
        assert_eq!(
            family("#!/usr/bin/env bash\nset -e\nexec \"/x/libexec/pyenv\" exec \"$program\" \"$@\"\n"),
            Some("pyenv")
        );
        assert_eq!(family("#!/bin/sh\nexec /x/nodenv exec \"$0\"\n"), Some("nodenv"));
        assert_eq!(family("#!/bin/sh\nexec /x/evilenv exec \"$0\"\n"), None);
        assert_eq!(family("#!/bin/sh\nexec pyenv which x\n"), None);
        let asdf = scripted(
            b"#!/bin/sh\n# asdf-plugin: nodejs 20.1.0\n# asdf-plugin: nodejs 22.0.0\nexec asdf exec \"node\" \"$@\"\n",
        );
        let listed = vec![("nodejs".into(), "20.1.0".into()), ("nodejs".into(), "22.0.0".into())];
        assert_eq!(asdf, Some(Kind::Asdf(listed)));
    }

    #[test]
    fn managers_are_asked_and_held_to_time_and_form() {
        let temp = tempfile::tempdir().unwrap();
        let context = context(temp.path());
        let manager = temp.path().join("manager");
        program(&manager, "#!/bin/sh\necho noise\necho \"/opt/$2\"\necho warning >&2\n");
        assert_eq!(ask(&context, &manager, OsStr::new("x"), PATIENCE).unwrap(), Path::new("/opt/x"));
        program(&manager, "#!/bin/sh\necho \"no version of $2\" >&2\nexit 1\n");
        assert_eq!(ask(&context, &manager, OsStr::new("x"), PATIENCE), Err(Some("no version of x".into())));
        program(&manager, "#!/bin/sh\nyes | head -c 300000\necho /opt/x\n");
        assert!(ask(&context, &manager, OsStr::new("x"), PATIENCE).is_ok());
        program(&manager, "#!/bin/sh\nsleep 600 &\nsleep 600\n");
        let late = ask(&context, &manager, OsStr::new("x"), Duration::from_millis(50));
        assert_eq!(late, Err(Some("nothing within 0 seconds".into())));
        assert!(ask(&context, &temp.path().join("absent"), OsStr::new("x"), PATIENCE).is_err());
    }

    #[test]
    fn versions_with_slashes_lead_nowhere() {
        assert!(!is_plain("../../x"));
        assert!(!is_plain(".."));
        assert!(!is_plain(""));
        assert!(is_plain("3.12.1"));
    }

    #[test]
    fn tool_versions_have_comments_and_fallbacks() {
        let text = "# all\npython 3.12.0 system # x\nnodejs   20.1.0\n";
        assert_eq!(tool_version(text, "python").as_deref(), Some("3.12.0 system"));
        assert_eq!(tool_version(text, "nodejs").as_deref(), Some("20.1.0"));
        assert_eq!(tool_version(text, "ruby"), None);
    }

    #[test]
    fn exec_commands_are_unwrapped() {
        let of = |line: &str| exec_of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("pyenv exec python x"), Some(("pyenv", 2)));
        assert_eq!(of("asdf exec node"), Some(("asdf", 2)));
        assert_eq!(of("mise exec -- node x"), Some(("mise", 3)));
        assert_eq!(of("mise exec node@20 -- node x"), None);
        assert_eq!(of("pyenv versions"), None);
        assert_eq!(of("docker exec x"), None);
    }
}
