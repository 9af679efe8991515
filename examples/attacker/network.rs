//! Internet sockets towards addresses that the suite names, always its own listeners on the loopback (cases 41-43).

use crate::Attack;
use crate::report::{Params, Report};
use crate::sys::{Sys, close};
use serde_json::Value;
use std::net::SocketAddr;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("connect", connect), ("own-loopback", own_loopback), ("raw", raw)];

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
