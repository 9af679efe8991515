//! Two network namespaces: the *machine*, which this process and everything it starts is in, and the *internet*, which a
//! thread is in. A veth pair joins them. The internet owns every address there is, so that whatever leaves the machine
//! arrives there and nothing leaves for anywhere else.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// The machine's own addresses on its network.
pub const MACHINE_V4: &str = "192.168.77.2";
pub const MACHINE_V6: &str = "2606:2800:ffff::2";
/// Its router and name server, the internet's end of the pair.
pub const ROUTER_V4: &str = "192.168.77.1";
pub const ROUTER_V6: &str = "2606:2800:ffff::1";
/// Addresses that answer by an error, and that do not answer at all.
pub const UNREACHABLE: &str = "93.187.0.0/24";
pub const SILENT: &str = "93.187.1.0/24";
pub const SILENT_V6: &str = "2606:2800:dead::/48";
/// Addresses that the machine has no route to.
pub const NO_ROUTE_V6: &str = "2606:2800:beef::/48";
/// The machine's interface.
pub const INTERFACE: &str = "m0";

/// What can be done in the internet.
type Job = Box<dyn FnOnce() + Send>;

/// A thread in the internet's namespace, which does what it is sent. A socket stays in the namespace it was made in, and so
/// does a program that was started there.
#[derive(Clone)]
pub struct Internet {
    jobs: Sender<Job>,
}

impl Internet {
    /// Does this there and waits for the result.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = channel();
        let job: Job = Box::new(move || {
            // the other side waits for as long as this takes
            let _received = sender.send(job());
        });
        self.jobs.send(job).expect("the thread never ends");
        result.recv().expect("the job did not panic")
    }
}

/// Puts this process, which must have one thread still, into namespaces of its own, with private files for the resolver.
///
/// Root needs no user namespace for that. An ordinary user gets one in which it is itself, so that programs that it
/// executes have no capabilities, as everywhere.
pub fn enter(files: &Path) -> Result<Internet, String> {
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let flags = libc::CLONE_NEWNET | libc::CLONE_NEWNS;
    if uid == 0 {
        unshare(flags).map_err(|error| format!("no network namespace: {error}"))?;
    } else {
        unshare(flags | libc::CLONE_NEWUSER).map_err(|error| format!("no user namespace: {error}"))?;
        for (file, text) in [("setgroups", "deny".into()), ("uid_map", map(uid)), ("gid_map", map(gid))] {
            fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("{file}: {error}"))?;
        }
    }
    mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)?;
    for (name, text) in FILES {
        let (own, over) = (files.join(name), Path::new("/etc").join(name));
        fs::write(&own, text).map_err(|error| format!("{}: {error}", own.display()))?;
        mount(Some(&own), &over, libc::MS_BIND)?;
    }
    ip("link set lo up")?;
    let internet = start()?;
    let thread = internet.run(|| unsafe { libc::gettid() });
    ip(&format!("link add {INTERFACE} type veth peer name i0 netns {thread}"))?;
    let there = |line: String| internet.run(move || ip(&line));
    there("link set lo up".into())?;
    there("link set i0 up".into())?;
    ip(&format!("link set {INTERFACE} up"))?;
    there(format!("addr add {ROUTER_V4}/24 dev i0"))?;
    ip(&format!("addr add {MACHINE_V4}/24 dev {INTERFACE}"))?;
    ip(&format!("route add default via {ROUTER_V4}"))?;
    // all other addresses, in the table that says what is local, where the longest prefix wins
    there("route add 192.168.77.0/24 dev i0 table local".into())?;
    there("route add local 0.0.0.0/0 dev lo table local".into())?;
    // what does not forward tells nobody what it does not reach, and at first only so often
    set(&internet, "ipv4/ip_forward", "1")?;
    set(&internet, "ipv4/icmp_ratelimit", "0")?;
    there(format!("route add unreachable {UNREACHABLE} table local"))?;
    there(format!("route add blackhole {SILENT} table local"))?;
    if has_ipv6() {
        there(format!("-6 route add blackhole {SILENT_V6} table local"))?;
        ip(&format!("-6 route add unreachable {NO_ROUTE_V6}"))?;
        there(format!("-6 addr add {ROUTER_V6}/64 dev i0 nodad"))?;
        ip(&format!("-6 addr add {MACHINE_V6}/64 dev {INTERFACE} nodad"))?;
        ip(&format!("-6 route add default via {ROUTER_V6}"))?;
        there("-6 route add 2606:2800:ffff::/64 dev i0 table local".into())?;
        there("-6 route add fe80::/64 dev i0 table local".into())?;
        there("-6 route add local ::/0 dev lo table local".into())?;
        // for IPv6 the table is not enough to bind to one of them
        set(&internet, "ipv6/ip_nonlocal_bind", "1")?;
    }
    Ok(internet)
}

/// The machine's resolver, as this suite wants it. The search list must never come into play: what is granted is a whole
/// name. One entry stands in the hosts file only. The services are those of a usual desktop, whether they are there or not.
const FILES: [(&str, &str); 3] = [
    ("resolv.conf", "nameserver 192.168.77.1\nsearch corp.example.net\noptions timeout:2 attempts:1\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n93.184.200.1 only-in-hosts.example.net\n"),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns\n",
    ),
];

pub fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

fn start() -> Result<Internet, String> {
    let (jobs, todo) = channel::<Job>();
    let (sender, ready) = channel();
    let thread = std::thread::Builder::new().name("internet".into());
    let body = move || {
        let entered = unshare(libc::CLONE_NEWNET).map_err(|error| format!("no second network namespace: {error}"));
        let failed = entered.is_err();
        let _received = sender.send(entered);
        // as long as the process: programs that were started here die with this thread
        while let (false, Ok(job)) = (failed, todo.recv()) {
            job();
        }
    };
    thread.spawn(body).map_err(|error| error.to_string())?;
    ready.recv().map_err(|error| error.to_string())??;
    Ok(Internet { jobs })
}

fn unshare(flags: i32) -> io::Result<()> {
    if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Changes a setting of the internet's.
fn set(internet: &Internet, name: &str, value: &'static str) -> Result<(), String> {
    let path = format!("/proc/sys/net/{name}");
    internet.run(move || fs::write(&path, value).map_err(|error| format!("{path}: {error}")))
}

/// One id, mapped to itself.
fn map(id: u32) -> String {
    format!("{id} {id} 1")
}

fn mount(from: Option<&Path>, to: &Path, flags: libc::c_ulong) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt;
    let c = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let (source, target) = (from.map(c), c(to));
    let source = source.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
    match unsafe { libc::mount(source, target.as_ptr(), std::ptr::null(), flags, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(format!("mount on {}: {}", to.display(), io::Error::last_os_error())),
    }
}

/// `ip` with these words, which keeps the capabilities that this process has in its namespaces.
fn ip(line: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(line.split(' ')).stdin(Stdio::null());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    unsafe { command.pre_exec(keep_capabilities) };
    let output = command.output().map_err(|error| format!("`ip`: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("`ip {line}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Makes what network administration needs ambient, so that it outlives the execution of an ordinary user's program.
fn keep_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    const NET_ADMIN: u32 = 12;
    let header = [VERSION_3, 0];
    let mut sets = [[0u32; 3]; 2]; // effective, permitted, inheritable; low and high half
    if unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) } != 0 {
        return Err(io::Error::last_os_error());
    }
    sets[0][2] |= 1 << NET_ADMIN;
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, NET_ADMIN, 0, 0) };
    if raised == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
