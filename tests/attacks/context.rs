//! What one run of one case works on, and the servers that runs share.

use crate::case::{Case, Launch};
use crate::support::client::Server;
use crate::support::world::{SECRET, World, plant};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Control,
    Granted,
    Refused,
}

/// The default policy with one readable and one writable directory, and a file whose name begins like `.ssh`.
pub const STRICT: Launch = Launch {
    name: "strict",
    options: |world, _| {
        Ok(vec![
            "--read".into(),
            world.path("ro").into(),
            "--write".into(),
            world.path("rw").into(),
            "--read".into(),
            world.home().join(".sshfoo").into(),
        ])
    },
    env: &[],
};

/// Everything that the attacks want and a profile may give.
pub const GENEROUS: Launch = Launch {
    name: "generous",
    options: |world, tier_b| {
        let mut options: Vec<OsString> = Vec::new();
        for (flag, path) in [
            ("--read", world.path("ro")),
            ("--write", world.path("rw")),
            ("--write", world.path("out")),
            ("--exec", world.path("exec")),
            ("--read", world.home().join("notes")),
        ] {
            options.extend([flag.into(), path.into()]);
        }
        if !tier_b {
            options.push("--loopback".into());
        }
        Ok(options)
    },
    env: &[],
};

/// Fixtures of one run. Directories are fresh; the roots above them are what the launches grant.
pub struct Ctx {
    pub world: Arc<World>,
    pub phase: Phase,
    pub tier_b: bool,
    /// In the readable grant: `file`, `empty/`, `.git/hooks/`, `program`.
    pub ro: PathBuf,
    /// In the writable grant: the same, and links to `out`.
    pub rw: PathBuf,
    /// Granted only generously: the same, and `secret`.
    pub out: PathBuf,
    pub victim: Option<Victim>,
    pub listeners: Vec<Listener>,
    /// What `prepare` made for `attack` to aim at.
    pub aims: Vec<PathBuf>,
    /// Kept until the end of the run.
    pub held: Vec<Box<dyn Send>>,
}

/// A process of the suite's own, as the same identity, for attacks on others.
pub struct Victim {
    child: Child,
}

/// A listener of the suite's own on the loopback, or at a path.
pub enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Unix(UnixListener),
}

impl Ctx {
    pub fn new(world: Arc<World>, case: &Case, phase: Phase, tier_b: bool) -> std::io::Result<Ctx> {
        let name = format!("{:02}-{}-{}", case.number, case.name, world.unique());
        let fresh = |root: &str| -> std::io::Result<PathBuf> {
            let dir = world.path(root).join(&name);
            fs::create_dir_all(dir.join(".git/hooks"))?;
            fs::create_dir(dir.join("empty"))?;
            plant(&dir.join("file"), "0123456789")?;
            program(&dir.join("program"))?;
            Ok(dir)
        };
        let (ro, rw, out) = (fresh("ro")?, fresh("rw")?, fresh("out")?);
        plant(&out.join("secret"), SECRET)?;
        std::os::unix::fs::symlink(out.join("secret"), rw.join("planted-link"))?;
        std::os::unix::fs::symlink(&out, rw.join("planted-dir"))?;
        for dir in [&ro, &rw, &out] {
            world.identity.own(dir)?;
        }
        Ok(Ctx {
            world,
            phase,
            tier_b,
            ro,
            rw,
            out,
            victim: None,
            listeners: Vec::new(),
            aims: Vec::new(),
            held: Vec::new(),
        })
    }

    /// Adds what every attack gets: the process-id namespace of the suite, so that an attack on PID 1 is not made
    /// outside of a jail.
    pub fn complete(&self, mut arguments: Value) -> Value {
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        arguments["host_pidns"] = json!(namespace);
        arguments
    }

    pub fn start_victim(&mut self) -> std::io::Result<()> {
        let marker = "attack-suite-victim".to_owned();
        let mut command = self.world.plain(&["--victim".as_ref(), marker.as_ref()]);
        // A group of its own, so that a signal to its group reaches nobody else.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.victim = Some(Victim { child });
        Ok(())
    }

    pub fn victim_pid(&self) -> i64 {
        self.victim.as_ref().map_or(0, |victim| victim.child.id().into())
    }

    /// Stops the victim, and waits until it is.
    pub fn stop_victim(&self) {
        let pid = self.victim_pid() as i32;
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        let mut status = 0;
        unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    }

    /// The state letter of the victim in its `stat` file: `T` when stopped, `S` when it sleeps.
    pub fn victim_state(&self) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.victim_pid())).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
    }

    /// A listening socket on this address; gives the address with its port.
    pub fn listen_tcp(&mut self, on: &str) -> std::io::Result<()> {
        let listener = TcpListener::bind(on)?;
        listener.set_nonblocking(true)?;
        self.listeners.push(Listener::Tcp(listener));
        Ok(())
    }

    pub fn listen_udp(&mut self, on: &str) -> std::io::Result<()> {
        let socket = UdpSocket::bind(on)?;
        socket.set_nonblocking(true)?;
        self.listeners.push(Listener::Udp(socket));
        Ok(())
    }

    pub fn port(&self, at: usize) -> u16 {
        let address = match &self.listeners[at] {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Udp(socket) => socket.local_addr(),
            Listener::Unix(_) => return 0,
        };
        address.map(|address| address.port()).unwrap_or_default()
    }

    /// Whether anything arrived at any listener since it was made.
    pub fn reached(&self) -> bool {
        self.listeners.iter().any(|listener| match listener {
            Listener::Tcp(listener) => listener.accept().is_ok(),
            Listener::Udp(socket) => socket.recv_from(&mut [0u8; 16]).is_ok(),
            Listener::Unix(listener) => listener.accept().is_ok(),
        })
    }
}

/// The smallest thing that can be executed.
pub fn program(path: &std::path::Path) -> std::io::Result<()> {
    plant(path, "#!/bin/sh\nexit 0\n")?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Running servers by launch; a launch that failed is remembered, so that it fails every trial at once.
pub struct Sessions {
    world: Arc<World>,
    running: Mutex<HashMap<String, Slot>>,
}

type Slot = Arc<Mutex<Option<Result<Server, String>>>>;

impl Sessions {
    pub fn new(world: Arc<World>) -> Sessions {
        Sessions { world, running: Mutex::new(HashMap::new()) }
    }

    /// Makes the attempt on the server of this launch, starting one where there is none.
    pub fn attempt(&self, case: &Case, phase: Phase, tier_b: bool, arguments: &Value) -> Result<Value, String> {
        let launch = if phase == Phase::Granted { case.granted_by } else { case.refused_by };
        let kind = if phase == Phase::Control { "plain" } else { launch.name };
        // The variables are part of what a control's server is.
        let key = format!("{kind} {tier_b} {:?}", launch.env);
        let slot = self.running.lock().unwrap_or_else(|poison| poison.into_inner()).entry(key).or_default().clone();
        let mut slot = slot.lock().unwrap_or_else(|poison| poison.into_inner());
        let session = match &mut *slot {
            Some(session) => session,
            None => slot.insert(self.start(launch, phase, tier_b)),
        };
        let server = session.as_mut().map_err(|why| why.clone())?;
        let answer = server.attempt(arguments);
        if let Err(why) = answer {
            // A dead server is not left to the next trial, which gets a new one.
            let stderr = server.stderr();
            *slot = None;
            return Err(format!("{why}; stderr:\n{stderr}"));
        }
        answer
    }

    fn start(&self, launch: Launch, phase: Phase, tier_b: bool) -> Result<Server, String> {
        let mut command = if phase == Phase::Control {
            self.world.plain(&[])
        } else {
            let mut options = (launch.options)(&self.world, tier_b).map_err(|error| error.to_string())?;
            options.extend([
                "--exact-tier".into(),
                "--tier".into(),
                if tier_b { "B".into() } else { OsString::from("A") },
            ]);
            self.world.jailed(&options, &[])
        };
        command.envs(launch.env.iter().copied());
        Server::start(command).map_err(|ended| ended.to_string())
    }
}
