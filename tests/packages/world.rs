//! One identity's directory, and the homes in it: each trial has one of its own, with the machine's tools and nothing else of
//! the person's.

use crate::features::found;
use crate::registry::Registry;
use crate::support::client::{Ended, Server};
use crate::support::identity::Identity;
use crate::support::world::plant;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Removed when dropped.
pub struct World {
    pub identity: Identity,
    base: tempfile::TempDir,
    counter: AtomicU64,
}

impl World {
    pub fn new(identity: Identity) -> Result<World, String> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mcpjail-packages-").permissions(fs::Permissions::from_mode(0o755));
        // outside of /tmp where it can, so that a private /tmp is not what hides it
        let base = builder.tempdir_in("/var/tmp").or_else(|_| builder.tempdir());
        let base = base.map_err(|error| format!("no directory to work in: {error}"))?;
        let world = World { identity, base, counter: AtomicU64::new(0) };
        for (from, to) in [(tested(), world.mcpjail()), (beside("rugpull"), world.path("bin/rugpull"))] {
            let failed = |error| format!("{}: {error}", from.display());
            fs::create_dir_all(world.path("bin")).map_err(failed)?;
            fs::copy(&from, &to).map_err(failed)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        Ok(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    pub fn mcpjail(&self) -> PathBuf {
        self.path("bin/mcpjail")
    }

    fn unique(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A program as this identity, with a path and nothing else of the environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.identity.command(program);
        command.env("PATH", usual_path()).env("HOME", "/nonexistent").env("LANG", "C.UTF-8").current_dir("/");
        command
    }

    /// A new home, empty but for a canary.
    pub fn home(self: &Arc<World>) -> Home {
        let dir = self.path(&format!("home-{}", self.unique()));
        fs::create_dir(&dir).unwrap();
        let home = Home { world: self.clone(), dir, path: usual_path(), env: Vec::new() };
        home.write("canary", "nobody in a jail reads this\n");
        fs::set_permissions(&home.dir, fs::Permissions::from_mode(0o700)).unwrap();
        self.identity.own(&home.dir).unwrap();
        home
    }

    /// A directory of links to these tools, as the whole of a path.
    pub fn only(&self, tools: &[&str]) -> OsString {
        let dir = self.path(&format!("tools-{}", self.unique()));
        fs::create_dir(&dir).unwrap();
        for tool in tools {
            symlink(found(tool).unwrap(), dir.join(tool)).unwrap();
        }
        dir.into()
    }
}

impl Drop for World {
    /// The store is read-only, and its directories are removed by nobody but their owner.
    fn drop(&mut self) {
        open_up(self.base.path());
    }
}

/// Gives the owner all rights on the directories of a tree.
pub fn open_up(dir: &Path) {
    let _gone = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    names(dir)
        .iter()
        .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()))
        .for_each(|dir| open_up(dir));
}

/// Where node, npm and uv are, and the system's directories; not the rest of what the person has in theirs.
fn usual_path() -> OsString {
    let own = ["node", "npm", "uv"].iter().filter_map(|tool| Some(found(tool)?.parent()?.to_owned()));
    let mut dirs: Vec<PathBuf> = own.collect();
    dirs.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
    let mut seen = Vec::new();
    dirs.retain(|dir| {
        !seen.contains(dir) && {
            seen.push(dir.clone());
            true
        }
    });
    std::env::join_paths(dirs).unwrap()
}

/// The binary under test: the one that cargo built, or an installed one by `MCPJAIL_TEST_BINARY`.
fn tested() -> PathBuf {
    std::env::var_os("MCPJAIL_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_mcpjail").into(), PathBuf::from)
}

/// An example's binary, beside mcpjail's own.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_mcpjail")).with_file_name("examples").join(name)
}

/// A home directory.
pub struct Home {
    pub world: Arc<World>,
    pub dir: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// More variables.
    pub env: Vec<(String, String)>,
}

impl Home {
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// As a command's word.
    pub fn word(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }

    /// Writes a file of this identity's.
    pub fn write(&self, name: &str, text: &str) {
        plant(&self.join(name), text).unwrap();
        let top = Path::new(name).components().next().unwrap();
        self.world.identity.own(&self.join(&top.as_os_str().to_string_lossy())).unwrap();
    }

    /// Makes a directory of this identity's.
    pub fn make(&self, name: &str) -> PathBuf {
        self.write(&format!("{name}/.keep"), "");
        self.join(name)
    }

    /// Lets npm, uv and pip ask this registry, by the files in which a person would say so.
    pub fn uses(&self, registry: &Registry) {
        self.npmrc(registry, "");
        self.write(".config/uv/uv.toml", &format!("[[index]]\nurl = \"{}\"\ndefault = true\n", registry.simple()));
        self.write(".config/pip/pip.conf", &format!("[global]\nindex-url = {}\nretries = 0\n", registry.simple()));
    }

    /// `.npmrc` with more lines.
    pub fn npmrc(&self, registry: &Registry, more: &str) {
        let text = format!("registry={}\nfetch-retries=0\nfund=false\nupdate-notifier=false\n{more}", registry.url());
        self.write(".npmrc", &text);
    }

    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.world.command(program);
        command.env("HOME", &self.dir).env("PATH", &self.path).current_dir(&self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn mcpjail(&self, words: &[&str]) -> Command {
        let mut command = self.command(&self.world.mcpjail());
        command.args(words);
        command
    }

    /// Runs mcpjail to its end, with nothing on stdin.
    pub fn finish(&self, words: &[&str]) -> Finished {
        finish(self.mcpjail(words))
    }

    /// `mcpjail add NAME --yes OPTIONS… -- LINE…`.
    pub fn add(&self, name: &str, options: &[&str], line: &[&str]) -> Finished {
        self.finish(&[&["add", name, "--yes"], options, &["--"], line].concat())
    }

    /// A program of the machine's in this home without a jail, to its end.
    pub fn bare(&self, program: &str, words: &[&str], directory: &Path) -> Finished {
        let mut command = self.command(&found(program).unwrap());
        command.args(words).current_dir(directory);
        finish(command)
    }

    /// `mcpjail run NAME`, opened.
    pub fn run(&self, name: &str) -> Session {
        self.try_run(name).unwrap_or_else(|ended| panic!("`run {name}`: {ended}"))
    }

    pub fn try_run(&self, name: &str) -> Result<Session, Ended> {
        Session::open(self.mcpjail(&["run", name]))
    }

    /// What becomes of `mcpjail run NAME`, which must not serve.
    pub fn refused(&self, name: &str) -> Finished {
        match self.try_run(name) {
            Ok(session) => panic!("`run {name}` serves {:?}", session.tools),
            Err(ended) => Finished { code: ended.code, stdout: ended.why, stderr: ended.stderr },
        }
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.join(".local/share/mcpjail").join(name)
    }

    pub fn profile(&self, name: &str) -> PathBuf {
        self.join(".config/mcpjail/servers").join(format!("{name}.toml"))
    }

    pub fn lock(&self, name: &str) -> PathBuf {
        self.data("locks").join(format!("{name}.lock.json"))
    }

    /// `installed/NAME.json`, read.
    pub fn record(&self, name: &str) -> Value {
        let path = self.data("installed").join(format!("{name}.json"));
        serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
    }

    /// The tree that a name runs: `trees/HASH`.
    pub fn tree(&self, name: &str) -> PathBuf {
        self.data("store/trees").join(self.tree_of(&self.record(name).to_string()))
    }

    /// The digits of the tree in a record's text.
    pub fn tree_of(&self, record: &str) -> String {
        let record: Value = serde_json::from_str(record).unwrap();
        let tree = record["tree"].as_str().unwrap();
        tree.strip_prefix("sha256:").unwrap_or(tree).to_owned()
    }

    /// Complains about anything that is left of a name that was not added.
    pub fn nothing_of(&self, name: &str) {
        let mut left: Vec<PathBuf> =
            [self.profile(name), self.lock(name)].into_iter().filter(|path| path.exists()).collect();
        left.extend(names(&self.data("installed")).into_iter().filter(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            // a profile that was only tried is no server, and the next one takes its place
            file.starts_with(name) && !file.ends_with(".busy") && !file.ends_with(".draft.toml")
        }));
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Complains about anything that is left in a store in which nothing is.
    pub fn nothing_in_the_store(&self) {
        for part in ["store/stages", "store/trees"] {
            let left = names(&self.data(part));
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        let objects = files(&self.data("store/objects"));
        assert!(objects.is_empty(), "left behind: {objects:?}");
        let list = self.finish(&["store", "list"]).ok();
        assert!(!list.said().contains("npm:") && !list.said().contains("pypi:"), "{list}");
    }

    /// A failure that must leave nothing: its code, its exit status and what it must name.
    pub fn fails(&self, name: &str, finished: Finished, code: &str, exit: i32, tells: &[&str]) {
        finished.fails(code, exit, tells);
        self.nothing_of(name);
        self.nothing_in_the_store();
    }
}

/// The paths in a directory, sorted; none where it is not there.
pub fn names(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// All files below a directory, symlinks among them, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in names(dir) {
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// Files below a directory that hold a text.
pub fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let holds =
        |path: &PathBuf| fs::read(path).is_ok_and(|bytes| memchr::memmem::find(&bytes, text.as_bytes()).is_some());
    files(dir).into_iter().filter(holds).collect()
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Finished {
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn ok(self) -> Finished {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Finished {
        assert!(self.code == Some(code), "wanted exit code {code}, got {self}");
        self
    }

    /// An error of this code, which tells these.
    #[track_caller]
    pub fn fails(self, code: &str, exit: i32, tells: &[&str]) -> Finished {
        let said = self.said();
        assert!(said.contains(&format!("error[{code}]")), "wanted error[{code}], got {self}");
        self.tells(tells).code(exit)
    }

    #[track_caller]
    pub fn tells(self, tells: &[&str]) -> Finished {
        let said = self.said();
        let silent: Vec<&&str> = tells.iter().filter(|text| !said.contains(**text)).collect();
        assert!(silent.is_empty(), "{silent:?} is not told in {self}");
        self
    }
}

/// Runs a command in a group of its own with nothing on stdin, to its end.
pub fn finish(command: Command) -> Finished {
    let what = format!("{command:?}");
    let child = start(command);
    let id = child.id();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => {
            let output = output.unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
        }
        Err(_) => {
            kill(-i32::try_from(id).unwrap());
            panic!("did not end: {what}");
        }
    }
}

/// Starts a command in a group of its own, with nothing on stdin.
pub fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let what = format!("{command:?}");
    command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// SIGKILL, to a process or, negative, to a group.
pub fn kill(id: i32) {
    unsafe { libc::kill(id, libc::SIGKILL) };
}

/// A server that has answered its first `tools/list`.
pub struct Session {
    pub server: Server,
    pub tools: Value,
}

impl Session {
    pub fn open(command: Command) -> Result<Session, Ended> {
        let ended = |why| Ended { code: None, stderr: String::new(), why };
        let mut server = Server::spawn(command).map_err(ended)?;
        let client = json!({ "name": "packages-test", "version": "0" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        let opened = server
            .request("initialize", &hello)
            .and_then(|_| server.notify("notifications/initialized"))
            .and_then(|()| server.request("tools/list", &json!({})));
        match opened {
            Ok(list) => Ok(Session { server, tools: list["tools"].clone() }),
            Err(why) => Err(server.ended(why)),
        }
    }

    /// Whether a tool succeeded, and its text.
    pub fn call(&mut self, tool: &str, arguments: Value) -> (bool, String) {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = self.server.request("tools/call", &params);
        let result = result.unwrap_or_else(|why| panic!("`{tool}`: {why}; stderr:\n{}", self.server.stderr()));
        let text = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        (result["isError"] != true, text)
    }

    /// What a fixture's server says of itself.
    pub fn about(&mut self) -> Value {
        let (_, text) = self.call("about", json!({}));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn works(&mut self, tool: &str, arguments: Value) -> String {
        let (works, text) = self.call(tool, arguments.clone());
        assert!(works, "`{tool}` of {arguments}: {text}");
        text
    }

    pub fn fails(&mut self, tool: &str, arguments: Value) -> String {
        let (works, text) = self.call(tool, arguments.clone());
        assert!(!works, "`{tool}` of {arguments} works: {text}");
        text
    }

    pub fn end(mut self) {
        let status = self.server.close();
        assert!(status.is_some_and(|status| status.success()), "{status:?}; stderr:\n{}", self.server.stderr());
    }
}
