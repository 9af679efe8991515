//! Everything the trials share, and what each identity has: programs, a home, sessions in the jail and outside of it.

use crate::capture::Capture;
use crate::dns::Dns;
use crate::internet::Servers;
use crate::namespaces::{self, Internet};
use crate::services::{self, Services};
use crate::support::client::Server;
use crate::support::identity::Identity;
use serde_json::{Value, json};
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A public name server, which the internet has as well.
pub const PUBLIC_DNS: &str = "8.8.8.8";

/// One machine and one internet for all trials.
pub struct World {
    base: tempfile::TempDir,
    pub internet: Internet,
    pub dns: Dns,
    /// What listens in the internet.
    pub servers: Servers,
    /// What listens on the machine itself.
    pub machine: Servers,
    pub services: Services,
    pub capture: Capture,
    counter: AtomicU32,
}

impl World {
    /// Enters the machine. This process must have one thread still.
    pub fn new() -> Result<World, String> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mcpjail-egress-").permissions(fs::Permissions::from_mode(0o755));
        let base = builder.tempdir_in("/var/tmp").or_else(|_| builder.tempdir());
        let base = base.map_err(|error| format!("no directory to work in: {error}"))?;
        let dir = |name: &str| -> Result<PathBuf, String> {
            let path = base.path().join(name);
            fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(path)
        };
        let (etc, programs, pki) = (dir("etc")?, dir("bin")?, dir("services")?);
        for (from, name) in [
            (crate::mcpjail(), "mcpjail"),
            (example("runner"), "runner"),
            (example("attacker"), "attacker"),
            (example("dialler"), "dialler"),
            (example("dialler-static"), "dialler-static"),
        ] {
            if name != "dialler-static" || from.exists() {
                let to = programs.join(name);
                fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(&to, mode).map_err(|error| format!("{}: {error}", to.display()))?;
            }
        }
        let internet = namespaces::enter(&etc)?;
        let error = |error: std::io::Error| format!("the internet: {error}");
        let ipv6 = namespaces::has_ipv6();
        let dns = Dns::start(&internet, &places(ipv6)).map_err(error)?;
        let servers = Servers::start(&internet, ipv6, None).map_err(error)?;
        let machine = Servers::start(&internet, ipv6, Some(crate::internet::MACHINE_PORTS)).map_err(error)?;
        services::certificates(&pki)?;
        let services = Services::new(internet.clone(), servers.clone(), &pki);
        let capture = Capture::start().map_err(|error| format!("the capture: {error}"))?;
        Ok(World { base, internet, dns, servers, machine, services, capture, counter: AtomicU32::new(1) })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// A number that nothing else has.
    pub fn unique(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A name below example.net that nobody has yet, with this word in it.
    pub fn name(&self, word: &str) -> String {
        format!("{word}-{}.example.net", self.unique())
    }

    /// A public address that nobody has yet, out of 93.185.0.0/16.
    pub fn v4(&self) -> IpAddr {
        let [_, _, high, low] = self.unique().to_be_bytes();
        [93, 185, high, low].into()
    }

    /// The same out of 2606:2800:1::/48.
    pub fn v6(&self) -> IpAddr {
        let address = (0x2606_2800_0001u128 << 80) | u128::from(self.unique());
        Ipv6Addr::from(address).into()
    }
}

/// Where name servers are.
fn places(ipv6: bool) -> Vec<IpAddr> {
    let mut places = vec![namespaces::ROUTER_V4, PUBLIC_DNS];
    if ipv6 {
        places.push("2001:4860:4860::8888");
    }
    places.into_iter().map(|place| place.parse().unwrap()).collect()
}

/// An example's binary, beside mcpjail's own.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_mcpjail")).with_file_name("examples").join(name)
}

/// The world as one identity uses it.
pub struct Stage {
    pub world: Arc<World>,
    pub identity: Identity,
}

/// What a jailed session is granted, beside the suite's own directories.
#[derive(Clone, Default)]
pub struct Grants {
    /// Entries of `jail.network.allow`, as TOML or bare.
    pub rules: Vec<String>,
    /// Further lines of the profile.
    pub profile: String,
    /// Options of `mcpjail run`.
    pub options: Vec<String>,
}

impl Grants {
    pub fn of(rules: &[impl AsRef<str>]) -> Grants {
        Grants { rules: rules.iter().map(|rule| rule.as_ref().to_owned()).collect(), ..Grants::default() }
    }

    /// The profile with these grants.
    fn text(&self, exec: &[PathBuf], read: &Path) -> String {
        let literal = |rule: &String| if rule.starts_with('{') { rule.clone() } else { format!("\"{rule}\"") };
        let rules: Vec<String> = self.rules.iter().map(literal).collect();
        let exec: Vec<String> = exec.iter().map(|path| format!("\"{}\"", path.display())).collect();
        let network =
            if rules.is_empty() { String::new() } else { format!("network.allow = [{}]\n", rules.join(", ")) };
        let files = format!("files.exec = [{}]\nfiles.read = [\"{}\"]\n", exec.join(", "), read.display());
        format!("version = 1\n[jail]\n{files}{network}{}", self.profile)
    }
}

impl Stage {
    pub fn new(world: Arc<World>, identity: Identity) -> Result<Stage, String> {
        for name in ["home", "run", "profiles"] {
            let path = world.path(&format!("{name}-{}", identity.name));
            fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(|error| error.to_string())?;
            identity.own(&path).map_err(|error| error.to_string())?;
        }
        Ok(Stage { world, identity })
    }

    /// A port that no other identity and no other phase uses, for addresses that there is only one of.
    pub fn port(&self, phase: crate::case::Phase) -> u16 {
        7000 + 3 * u16::from(self.identity.is_root()) + phase as u16
    }

    /// A path of this identity's own.
    pub fn own(&self, name: &str) -> PathBuf {
        self.world.path(&format!("{name}-{}", self.identity.name))
    }

    pub fn program(&self, name: &str) -> String {
        self.world.path("bin").join(name).display().to_string()
    }

    /// A command of this identity's, with the environment that everything of the suite has.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.identity.command(Path::new(program));
        let home = self.own("home");
        command
            .env("HOME", &home)
            .env("PATH", path())
            .env("LANG", "C.UTF-8")
            .env("USER", self.identity.name)
            .env("XDG_RUNTIME_DIR", self.own("run"))
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .current_dir("/");
        command
    }

    /// Writes the profile of these grants and gives its path.
    pub fn profile(&self, grants: &Grants) -> Result<PathBuf, String> {
        let path = self.own("profiles").join(format!("{}.toml", self.world.unique()));
        let mut trees = vec![self.world.path("bin")];
        // a node that is not the system's
        let node = crate::features::node().and_then(|node| node.canonicalize().ok());
        trees.extend(
            node.filter(|node| !node.starts_with("/usr")).and_then(|node| Some(node.ancestors().nth(2)?.into())),
        );
        let written = fs::write(&path, grants.text(&trees, &self.world.services.authority()))
            .and_then(|()| self.identity.own(&path));
        written.map_err(|error| format!("{}: {error}", path.display())).map(|()| path)
    }

    /// `mcpjail VERB … -- COMMAND`, under these grants.
    pub fn mcpjail(&self, verb: &[&str], grants: &Grants, line: &[&str]) -> Result<Command, String> {
        let mut command = self.command(&self.program("mcpjail"));
        command.args(verb).arg("--profile").arg(self.profile(grants)?).args(&grants.options).arg("--").args(line);
        Ok(command)
    }

    /// The runner in a jail with these grants.
    pub fn jailed(&self, grants: &Grants) -> Result<Session, String> {
        let line = [self.program("runner")];
        Session::start(self.mcpjail(&["run", "--trust-first-use"], grants, &[&line[0]])?)
    }

    /// The runner without a jail.
    pub fn plain(&self) -> Result<Session, String> {
        Session::start(self.command(&self.program("runner")))
    }
}

fn path() -> String {
    let node = crate::features::node().and_then(|node| Some(node.parent()?.display().to_string()));
    let usual = "/usr/local/bin:/usr/bin:/bin:/usr/sbin";
    node.map_or_else(|| usual.to_owned(), |node| format!("{usual}:{node}"))
}

/// A running runner.
pub struct Session {
    pub server: Server,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `exit N`, `signal N`, or `deadline`.
    pub ended: String,
    pub stdout: String,
    pub stderr: String,
}

impl Session {
    fn start(command: Command) -> Result<Session, String> {
        Server::start(command).map(|server| Session { server }).map_err(|ended| ended.to_string())
    }

    /// Runs a program to its end.
    pub fn run(&mut self, argv: &[impl AsRef<str>], env: &[(&str, String)]) -> Result<Outcome, String> {
        let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
        let env: serde_json::Map<String, Value> =
            env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let params = json!({ "name": "run", "arguments": { "argv": argv, "env": env } });
        let result = self.server.request("tools/call", &params);
        let result = result.map_err(|why| format!("{why}; stderr:\n{}", self.server.stderr()))?;
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        let answer: Value = serde_json::from_str(text).map_err(|_| format!("not the runner's answer: {result}"))?;
        let part = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Ok(Outcome { ended: part("ended"), stdout: part("stdout"), stderr: part("stderr") })
    }

    /// Runs one attack; gives its steps and how it ended, as the attacker's own server does.
    pub fn attack(&mut self, attacker: &str, attack: &Value) -> Result<Value, String> {
        let name = attack["attack"].as_str().unwrap_or_default();
        let outcome = self.run(&[attacker, "--attack", name, &attack.to_string()], &[])?;
        let lines = outcome.stdout.lines().map(serde_json::from_str::<Value>);
        let steps: Vec<Value> = lines.collect::<Result<_, _>>().map_err(|_| format!("not steps: {outcome:?}"))?;
        Ok(json!({ "steps": steps, "ended": outcome.ended }))
    }
}
