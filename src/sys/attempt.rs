//! Attempts that must fail: each makes one forbidden system call in the calling process and reports how it ended.
//! The in-process proof before exec is made of these. None of them changes anything where it succeeds.

use super::fd::{open_at, own};
use super::{check, check_unit};
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

/// Opens a file for reading.
///
/// # Errors
/// As open(2): a refusal is what the caller hopes for.
pub fn read(path: &CStr) -> io::Result<()> {
    open_at(None, path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).map(drop)
}

/// Opens a file for writing.
///
/// # Errors
/// As open(2).
pub fn write(path: &CStr) -> io::Result<()> {
    open_at(None, path, libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0).map(drop)
}

/// Executes a program whose name is empty, which no program's is.
///
/// # Errors
/// Always; `ENOENT` unless a filter answers first.
pub fn execute_nothing() -> io::Result<()> {
    let none = [std::ptr::null::<libc::c_char>()];
    // SAFETY: the name is a C string, both arrays end in a null pointer.
    check_unit(unsafe { libc::syscall(libc::SYS_execve, c"".as_ptr(), none.as_ptr(), none.as_ptr()) })
}

/// Sends this process the signal that is none.
///
/// # Errors
/// As kill(2).
pub fn signal_nothing() -> io::Result<()> {
    // SAFETY: takes integers only.
    check_unit(unsafe { libc::syscall(libc::SYS_kill, std::process::id(), 0) })
}

/// Listens with a TCP socket that is bound to no port yet.
///
/// # Errors
/// As socket(2) and listen(2).
pub fn listen_tcp() -> io::Result<()> {
    // SAFETY: takes integers only.
    let socket = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    // SAFETY: takes integers only.
    check_unit(unsafe { libc::listen(socket.as_raw_fd(), 1) }.into())
}

/// Connects a TCP socket to a port of the loopback, without waiting for what comes of it.
///
/// # Errors
/// As socket(2) and connect(2), but for `EINPROGRESS`.
pub fn connect_tcp(port: u16) -> io::Result<()> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes integers only.
    let socket = own(unsafe { libc::socket(libc::AF_INET, kind, 0) }.into())?;
    // SAFETY: all-zero is a valid `sockaddr_in`.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::sa_family_t::try_from(libc::AF_INET).map_err(io::Error::other)?;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    let size = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: `address` is an address of the size given that outlives the call.
    match check_unit(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) }.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        connected => connected,
    }
}

/// Makes a socket.
///
/// # Errors
/// As socket(2).
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    own(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }.into()).map(drop)
}

/// unshare(2) of nothing: always succeeds unless a filter refuses it.
///
/// # Errors
/// `EPERM` under the jail's filter.
pub fn unshare_nothing() -> io::Result<()> {
    // SAFETY: no flag, no effect.
    check_unit(unsafe { libc::unshare(0) }.into())
}

/// keyctl(2) with an operation that does not exist: `EOPNOTSUPP` unless a filter answers first.
///
/// # Errors
/// Always; `EPERM` under the jail's filter.
pub fn keyctl() -> io::Result<()> {
    // SAFETY: operation number -1 does not exist.
    check_unit(unsafe { libc::syscall(libc::SYS_keyctl, -1i64, 0, 0, 0, 0) })
}

/// Whether `no_new_privs` is set.
///
/// # Errors
/// As prctl(2).
pub fn no_new_privs() -> io::Result<bool> {
    // SAFETY: reads one bit of this thread.
    Ok(check(unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) }.into())? == 1)
}

/// The attributes of the mount that holds `path`, as the `MOUNT_ATTR_*` bits of [`super::mount`].
///
/// # Errors
/// As statvfs(2).
pub fn mount_flags(path: &CStr) -> io::Result<u64> {
    // SAFETY: all-zero is a valid `statvfs`: it holds integers only.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a C string and `stat` is room for the answer.
    check_unit(unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) }.into())?;
    // the first four flags of statvfs(3) have the same bits as those of mount_setattr(2)
    Ok(stat.f_flag & 0xf)
}

/// Whether the mount at `path` is read-only.
///
/// # Errors
/// As statvfs(2).
pub fn is_read_only(path: &CStr) -> io::Result<bool> {
    Ok(mount_flags(path)? & super::mount::READ_ONLY != 0)
}

/// The first descriptor from `least` up that would survive an exec.
///
/// # Errors
/// As readdir(3) of `/proc/self/fd`.
pub fn first_inherited(least: i32) -> io::Result<Option<i32>> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|n| n.parse::<i32>().ok()).filter(|n| *n >= least) else { continue };
        // SAFETY: reads a flag of the descriptor table; the descriptor may be any or none.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Every open descriptor of this process.
///
/// # Errors
/// As readdir(3) of `/proc/self/fd`.
pub fn open_descriptors() -> io::Result<Vec<i32>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    // the list was read through one of them, which is closed by now
    // SAFETY: reads a flag of the descriptor table; the descriptor may be any or none.
    open.retain(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    Ok(open)
}

/// Whether anything is reachable beyond this machine's own addresses: connects datagram sockets, which sends nothing, to
/// addresses of the documentation ranges (RFC 5737, RFC 3849).
///
/// # Errors
/// As socket(2) for IPv4.
pub fn has_route() -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect((documentation, 9)));
    Ok(socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok() || six.is_ok())
}

/// The address that packets to `address` would come from, found by connecting a datagram socket. An address that is local
/// is its own source in IPv4; in IPv6 it is one of the interface that it is local to.
///
/// # Errors
/// As connect(2): `ENETUNREACH` where no route leads there.
pub fn source_for(address: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((address, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Names of the network interfaces, other than `lo`, that can carry anything. What lists them names those that are down
/// too: some kernels put a few such into every network namespace.
///
/// # Errors
/// As reading `/proc/net/dev`, and as netdevice(7), `SIOCGIFFLAGS`.
pub fn interfaces_up() -> io::Result<Vec<String>> {
    const GET_FLAGS: libc::Ioctl = 0x8913;
    const UP: libc::c_short = 1;
    let list = std::fs::read_to_string("/proc/net/dev")?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut up = Vec::new();
    // two lines of headings, then a line each
    for name in list.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()) {
        // SAFETY: all-zero is a valid `ifreq`: it holds integers only.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        // SAFETY: `request` is an `ifreq` that outlives the call.
        check_unit(unsafe { libc::ioctl(socket.as_raw_fd(), GET_FLAGS, &raw mut request) }.into())?;
        // SAFETY: the kernel has filled in the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        if name != "lo" && flags & UP != 0 {
            up.push(name.to_owned());
        }
    }
    Ok(up)
}

/// Binds a TCP socket to a port of the loopback.
///
/// # Errors
/// As bind(2).
pub fn bind_tcp(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

/// Starts a child and attaches to it by ptrace(2), then lets it go.
///
/// # Errors
/// As fork(2) and ptrace(2); `EPERM` under the jail's filter.
pub fn trace_a_child() -> io::Result<()> {
    let mut child = std::process::Command::new("sleep").arg("5").spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: attaches to a child of this process; no address is given.
    let attached = check_unit(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) });
    child.kill()?;
    child.wait()?;
    attached
}
