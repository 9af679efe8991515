//! Real servers in the internet: HTTPS and git by node, PostgreSQL, Redis, with certificates of an authority made here.
//! Each is started when a trial first asks for it.

use crate::internet::{Behaviour, Servers};
use crate::namespaces::Internet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

const NODE: u16 = 9443;
const POSTGRES: u16 = 9432;
const REDIS: u16 = 9379;

/// Addresses that the certificate is good for, beside all names below example.net and example.org.
pub const CERTIFIED: &str = "93.184.216.";

/// What was started, and where.
pub struct Services {
    internet: Internet,
    servers: Servers,
    dir: PathBuf,
    node: OnceLock<Result<(), String>>,
    postgres: OnceLock<Result<(), String>>,
    redis: OnceLock<Result<(), String>>,
    children: Mutex<Vec<Child>>,
}

impl Services {
    pub fn new(internet: Internet, servers: Servers, dir: &Path) -> Services {
        let dir = dir.to_path_buf();
        let (node, postgres, redis) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Services { internet, servers, dir, node, postgres, redis, children: Mutex::new(Vec::new()) }
    }

    /// The authority's certificate, which clients are told to trust.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// HTTPS, HTTP/2 and git over HTTPS, on ports 443 and 8443.
    pub fn https(&self) -> Result<(), String> {
        self.node.get_or_init(|| self.start_node()).clone()
    }

    /// PostgreSQL with TLS, on ports 5432 and 15432.
    pub fn postgres(&self) -> Result<(), String> {
        self.postgres.get_or_init(|| self.start_postgres()).clone()
    }

    /// Redis on ports 6379 and 16379.
    pub fn redis(&self) -> Result<(), String> {
        self.redis.get_or_init(|| self.start_redis()).clone()
    }

    fn start_node(&self) -> Result<(), String> {
        let repository = self.dir.join("git/repository.git");
        let words = ["-c", "user.name=A", "-c", "user.email=a@example.net"];
        let git = |in_: &Path, rest: &[&str]| finish(Command::new("git").args(words).args(rest).current_dir(in_));
        let work = self.dir.join("work");
        fs::create_dir(&work).map_err(|error| error.to_string())?;
        fs::write(work.join("greeting"), "hello from git\n").map_err(|error| error.to_string())?;
        git(&work, &["init", "--quiet", "--initial-branch=main"])?;
        git(&work, &["add", "greeting"])?;
        git(&work, &["commit", "--quiet", "--message=first"])?;
        git(&work, &["clone", "--quiet", "--bare", ".", &repository.to_string_lossy()])?;
        let mut command = Command::new(crate::features::node().ok_or("no node")?);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/egress/https.mjs"));
        command.arg(self.dir.join("server.key")).arg(self.dir.join("server.pem")).arg(NODE.to_string());
        command.arg(self.dir.join("git"));
        self.start(command, "ready")?;
        self.forward(&[443, 8443], NODE);
        Ok(())
    }

    fn start_postgres(&self) -> Result<(), String> {
        let programs = crate::features::postgres().ok_or("no PostgreSQL")?;
        let base = self.dir.join("postgres");
        fs::create_dir(&base).map_err(|error| error.to_string())?;
        for name in ["server.key", "server.pem"] {
            fs::copy(self.dir.join(name), base.join(name)).map_err(|error| error.to_string())?;
            fs::set_permissions(base.join(name), fs::Permissions::from_mode(0o600))
                .map_err(|error| error.to_string())?;
        }
        // it refuses to run as root
        let is_root = unsafe { libc::geteuid() } == 0;
        let ordinary = |command: &mut Command| {
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
        };
        if is_root {
            for path in [base.clone(), base.join("server.key"), base.join("server.pem")] {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
            }
        }
        let data = base.join("data");
        let mut command = Command::new(programs.join("initdb"));
        command.args(["--no-sync", "--auth=trust", "--username=tester", "--no-locale", "--encoding=UTF8", "--pgdata"]);
        command.arg(&data).current_dir(&base);
        ordinary(&mut command);
        finish(&mut command)?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&data).current_dir(&base);
        for (name, value) in [
            ("listen_addresses", "127.0.0.1"),
            ("port", &POSTGRES.to_string()),
            ("unix_socket_directories", ""),
            ("fsync", "off"),
            ("shared_buffers", "8MB"),
            ("ssl", "on"),
            ("ssl_cert_file", &base.join("server.pem").to_string_lossy()),
            ("ssl_key_file", &base.join("server.key").to_string_lossy()),
        ] {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        ordinary(&mut command);
        self.start(command, "ready to accept connections")?;
        self.forward(&[5432, 15432], POSTGRES);
        Ok(())
    }

    fn start_redis(&self) -> Result<(), String> {
        let mut command = Command::new(crate::features::found("redis-server").ok_or("no Redis")?);
        command.args(["--bind", "127.0.0.1", "--port", &REDIS.to_string(), "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(&self.dir);
        self.start(command, "Ready to accept connections")?;
        self.forward(&[6379, 16379], REDIS);
        Ok(())
    }

    fn forward(&self, ports: &[u16], to: u16) {
        ports.iter().for_each(|port| self.servers.behave_on(*port, Behaviour::Forward(to)));
    }

    /// Starts a server in the internet and waits until it has written this word.
    fn start(&self, mut command: Command, word: &'static str) -> Result<(), String> {
        let what = format!("{command:?}");
        let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
        let error = writer.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(writer).stderr(error);
        unsafe { command.pre_exec(dies_with_its_starter) };
        // the command is dropped there, and with it the writing ends
        let child = self.internet.run(move || command.spawn()).map_err(|error| format!("{what}: {error}"))?;
        self.children.lock().unwrap().push(child);
        let (sender, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut said = Vec::new();
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let done = line.contains(word);
                said.push(line);
                if done {
                    // nobody listens after the first time
                    let _heard = sender.send(Ok(()));
                }
            }
            let _heard = sender.send(Err(said.join("\n")));
        });
        match ready.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(said)) => Err(format!("{what} ended: {said}")),
            Err(_) => Err(format!("{what} is not ready")),
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for child in self.children.get_mut().unwrap() {
            // asked for, so that PostgreSQL waits for its own children; with its starter it would be killed all the same
            unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
            let _gone = child.wait();
        }
    }
}

const NOBODY: u32 = 65534;

fn dies_with_its_starter() -> std::io::Result<()> {
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&said))),
    }
}

/// Makes an authority and a server's certificate by it: `ca.pem`, `server.pem`, `server.key`.
pub fn certificates(dir: &Path) -> Result<(), String> {
    let openssl = |line: &str| finish(Command::new("openssl").args(line.split(' ')).current_dir(dir));
    let names = "DNS:*.example.net,DNS:*.example.org,DNS:localhost,IP:127.0.0.1,IP:::1";
    let addresses: String = (1..=99).map(|last| format!(",IP:{CERTIFIED}{last}")).collect();
    let file = format!("subjectAltName={names}{addresses}\nextendedKeyUsage=serverAuth\n");
    fs::write(dir.join("names"), file).map_err(|error| error.to_string())?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=egress-suite"))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=example.net"))?;
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem")
}
