//! Internet sockets towards addresses that the suite names, always its own listeners on the loopback (cases 41-43).

use crate::Attack;
use crate::report::{Params, Report};
use crate::sys::{Sys, close};
use serde_json::Value;
use std::net::SocketAddr;

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("connect", connect), ("network-setup", network_setup), ("own-loopback", own_loopback), ("raw", raw)];

/// Room for either kind of address.
#[repr(C)]
pub(crate) union Address {
    four: libc::sockaddr_in,
    six: libc::sockaddr_in6,
}

pub(crate) fn address(of: SocketAddr) -> (Address, u32, i32) {
    match of {
        SocketAddr::V4(of) => {
            let mut four: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            four.sin_family = libc::AF_INET as libc::sa_family_t;
            four.sin_port = of.port().to_be();
            four.sin_addr.s_addr = u32::from_ne_bytes(of.ip().octets());
            (Address { four }, size_of::<libc::sockaddr_in>() as u32, libc::AF_INET)
        }
        SocketAddr::V6(of) => {
            let mut six: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            six.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            six.sin6_port = of.port().to_be();
            six.sin6_addr.s6_addr = of.ip().octets();
            six.sin6_scope_id = of.scope_id();
            (Address { six }, size_of::<libc::sockaddr_in6>() as u32, libc::AF_INET6)
        }
    }
}

/// One step per target: `{ "name", "address", "type", "protocol", "how" }`.
fn connect(params: &Params, report: &mut Report) {
    for target in params.list("targets") {
        let name = target["name"].as_str().unwrap_or_default();
        let Ok(to) = target["address"].as_str().unwrap_or_default().parse() else { continue };
        report.step(name, one(target, to));
    }
}

fn one(target: &Value, to: SocketAddr) -> Sys {
    let (address, length, family) = address(to);
    let kind = if target["type"] == "datagram" { libc::SOCK_DGRAM } else { libc::SOCK_STREAM };
    let protocol = target["protocol"].as_i64().unwrap_or(0);
    let fd = call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, protocol)?;
    // Nothing here may wait long: SO_SNDTIMEO also bounds connect.
    let patience = libc::timeval { tv_sec: 2, tv_usec: 0 };
    let size = size_of::<libc::timeval>();
    let _ = call!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &raw const patience, size);
    let (to, one) = (&raw const address, 1i32);
    let outcome = match target["how"].as_str().unwrap_or_default() {
        "fast-open" => call!(libc::SYS_sendto, fd, c"x".as_ptr(), 1, libc::MSG_FASTOPEN, to, length),
        "fast-open-connect" => {
            const TCP_FASTOPEN_CONNECT: i32 = 30;
            call!(libc::SYS_setsockopt, fd, libc::IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &raw const one, 4)
                .and_then(|_| call!(libc::SYS_connect, fd, to, length))
                .and_then(|_| call!(libc::SYS_write, fd, c"x".as_ptr(), 1))
        }
        "sendto" => call!(libc::SYS_sendto, fd, c"x".as_ptr(), 1, 0, to, length),
        "sendmsg" => {
            let mut iov = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_name = to.cast_mut().cast();
            message.msg_namelen = length;
            message.msg_iov = &raw mut iov;
            message.msg_iovlen = 1;
            call!(libc::SYS_sendmsg, fd, &raw const message, 0)
        }
        "listen" => call!(libc::SYS_bind, fd, to, length).and_then(|_| call!(libc::SYS_listen, fd, 1)),
        _ => call!(libc::SYS_connect, fd, to, length),
    };
    close(fd);
    outcome
}

/// Packets by hand.
fn raw(_params: &Params, report: &mut Report) {
    let made = |family: i32, kind: i32, protocol: i32| {
        call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, protocol).inspect(|fd| close(*fd))
    };
    report.step("icmp", made(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP));
    report.step("icmp6", made(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6));
    report.step("raw", made(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW));
    report.step("ping", made(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP));
    report.step("ping6", made(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6));
    report.step("high:raw", call!(libc::SYS_socket, libc::AF_INET, (1i64 << 32) | 3, 1).inspect(|fd| close(*fd)));
}

const GET_FLAGS: u32 = 0x8913;
const SET_FLAGS: u32 = 0x8914;

fn flags_of(interface: &str) -> Result<libc::ifreq, i32> {
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    ioctl(GET_FLAGS, request)
}

fn ioctl(command: u32, mut request: libc::ifreq) -> Result<libc::ifreq, i32> {
    let fd = call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
    let outcome = call!(libc::SYS_ioctl, fd, command, &raw mut request);
    close(fd);
    outcome.map(|_| request)
}

/// What whoever sets a network up can do: talk to the kernel about it, change it, and take ports that are not everybody's.
/// Nothing is changed: what is set is what was there.
fn network_setup(params: &Params, report: &mut Report) {
    let netlink = call!(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
    report.step("netlink", netlink.inspect(|fd| close(*fd)));
    let flags = flags_of("lo").and_then(|request| ioctl(SET_FLAGS, request).map(|_| 0));
    report.step("flags-of-lo", flags);
    let sysctl = c"/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let opened = call!(libc::SYS_openat, libc::AT_FDCWD, sysctl.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
    report.step("sysctl", opened.inspect(|fd| close(*fd)));
    for port in
        params.list("ports").iter().filter_map(serde_json::Value::as_u64).filter_map(|port| port.try_into().ok())
    {
        let at = |address: std::net::IpAddr| SocketAddr::new(address, port);
        for (name, place) in [("127.0.0.1", at([127, 0, 0, 1].into())), ("192.0.2.1", at([192, 0, 2, 1].into()))] {
            for (kind, number) in [("tcp", libc::SOCK_STREAM), ("udp", libc::SOCK_DGRAM)] {
                let (address, length, family) = address(place);
                let bound = call!(libc::SYS_socket, family, number | libc::SOCK_CLOEXEC, 0).and_then(|fd| {
                    // every right that a second one at the same place could need
                    let one = 1i32;
                    for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
                        let _ = call!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, option, &raw const one, 4);
                    }
                    let bound = call!(libc::SYS_bind, fd, &raw const address, length)
                        .and_then(|_| if kind == "tcp" { call!(libc::SYS_listen, fd, 1) } else { Ok(0) });
                    close(fd);
                    bound
                });
                report.step(format!("{kind}:{name}:{port}"), bound);
            }
        }
    }
    // what else than the loopback is there, and leads anywhere
    let list = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = list.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
    let is_up = |name: &&str| flags_of(name).is_ok_and(|request| unsafe { request.ifr_ifru.ifru_flags } & 1 != 0);
    let others: Vec<&str> = names.filter(|name| *name != "lo").filter(is_up).collect();
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default().lines().count().saturating_sub(1);
    report.found("interfaces", (!others.is_empty()).then(|| others.into()));
    report.found("routes", (routes > 0).then(|| routes.into()));
    report.found("own-list-of-interfaces", list.contains("lo:").then(|| list.into()));
}

/// A listener and a client of one's own, both on the loopback that this process sees.
fn own_loopback(_params: &Params, report: &mut Report) {
    let round = |bind: &str| -> std::io::Result<()> {
        let listener = std::net::TcpListener::bind(bind)?;
        let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
        listener.accept().map(|_| ())
    };
    let as_sys = |outcome: std::io::Result<()>| outcome.map(|()| 0).map_err(|e| e.raw_os_error().unwrap_or(0));
    report.step("tcp4", as_sys(round("127.0.0.1:0")));
    report.step("tcp6", as_sys(round("[::1]:0")));
    let datagram = || -> std::io::Result<()> {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let sender = std::net::UdpSocket::bind("127.0.0.1:0")?;
        sender.send_to(b"x", receiver.local_addr()?).map(|_| ())
    };
    report.step("udp4", as_sys(datagram()));
}
