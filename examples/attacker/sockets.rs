//! Socket families, and unix sockets of every kind of name (cases 32, 37-40).

use crate::Attack;
use crate::report::{Params, Report};
use crate::sys::{Sys, close, errno};
use std::ffi::CStr;

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("families", families), ("unix-connect", unix_connect), ("abstract", abstract_name), ("unix-own", unix_own)];

/// Every family but the local and the internet ones, by the type that it has.
fn families(_params: &Params, report: &mut Report) {
    const FAMILIES: &[(&str, i32, i32, i32)] = &[
        ("ax25", libc::AF_AX25, libc::SOCK_SEQPACKET, 0),
        ("appletalk", libc::AF_APPLETALK, libc::SOCK_DGRAM, 0),
        ("key", libc::AF_KEY, libc::SOCK_RAW, 2),
        ("netlink-route", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        ("netlink-netfilter", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        ("netlink-uevent", libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT),
        ("netlink-audit", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
        ("packet-raw", libc::AF_PACKET, libc::SOCK_RAW, 0x0300),
        ("packet-dgram", libc::AF_PACKET, libc::SOCK_DGRAM, 0x0300),
        ("rds", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
        ("llc", libc::AF_LLC, libc::SOCK_STREAM, 0),
        ("can", libc::AF_CAN, libc::SOCK_RAW, 1),
        ("tipc", libc::AF_TIPC, libc::SOCK_SEQPACKET, 0),
        ("bluetooth-l2cap", libc::AF_BLUETOOTH, libc::SOCK_SEQPACKET, 0),
        ("bluetooth-hci", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
        ("rxrpc", libc::AF_RXRPC, libc::SOCK_DGRAM, libc::AF_INET),
        ("phonet", libc::AF_PHONET, libc::SOCK_DGRAM, 0),
        ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        ("nfc", libc::AF_NFC, libc::SOCK_SEQPACKET, 0),
        ("vsock-stream", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        ("vsock-dgram", libc::AF_VSOCK, libc::SOCK_DGRAM, 0),
        ("qipcrtr", 42, libc::SOCK_DGRAM, 0),
        ("smc", 43, libc::SOCK_STREAM, 0),
        ("xdp", libc::AF_XDP, libc::SOCK_RAW, 0),
        ("mctp", 45, libc::SOCK_DGRAM, 0),
        ("unknown", 99, libc::SOCK_STREAM, 0),
        ("unspecified", libc::AF_UNSPEC, libc::SOCK_STREAM, 0),
    ];
    for (name, family, kind, protocol) in FAMILIES {
        let made = call!(libc::SYS_socket, *family, *kind | libc::SOCK_CLOEXEC, *protocol);
        report.step(name, made.inspect(|fd| close(*fd)));
    }
    let mut pair = [0i32; 2];
    let tipc = call!(libc::SYS_socketpair, libc::AF_TIPC, libc::SOCK_SEQPACKET, 0, pair.as_mut_ptr());
    report.step("pair:tipc", tipc);
    // The high half of a 64-bit argument is not looked at by the kernel.
    let high = (1i64 << 32) | i64::from(libc::AF_NETLINK);
    report.step("high:netlink", call!(libc::SYS_socket, high, libc::SOCK_RAW, 0).inspect(|fd| close(*fd)));
}

/// A unix address: a path, or an abstract name after a NUL byte.
fn address(name: &[u8]) -> (libc::sockaddr_un, u32) {
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let length = size_of::<libc::sa_family_t>() + name.len().min(address.sun_path.len());
    (address, length as u32)
}

fn socket(kind: i32) -> Sys {
    call!(libc::SYS_socket, libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0)
}

fn connect_name(kind: i32, name: &[u8]) -> Sys {
    let fd = socket(kind)?;
    let (address, length) = address(name);
    let outcome = call!(libc::SYS_connect, fd, &raw const address, length);
    close(fd);
    outcome
}

/// Binds a stream socket to a path; the socket is closed, the name stays.
pub(crate) fn bind_path(path: &CStr) -> Sys {
    let fd = socket(libc::SOCK_STREAM)?;
    let (address, length) = address(path.to_bytes());
    let outcome = call!(libc::SYS_bind, fd, &raw const address, length);
    close(fd);
    outcome
}

/// Connects to each path as a stream, and without connecting as a datagram.
fn unix_connect(params: &Params, report: &mut Report) {
    for path in params.paths("paths") {
        let name = path.to_string_lossy().into_owned();
        report.step(format!("stream:{name}"), connect_name(libc::SOCK_STREAM, path.as_bytes()));
        let sent = socket(libc::SOCK_DGRAM).and_then(|fd| {
            let (address, length) = address(path.as_bytes());
            let outcome = call!(libc::SYS_sendto, fd, c"x".as_ptr(), 1, 0, &raw const address, length);
            close(fd);
            outcome
        });
        // The name was reached, its type differs: as good as a connection.
        let reached = |sent| if sent == Err(libc::EPROTOTYPE) { Ok(0) } else { sent };
        report.step(format!("datagram:{name}"), reached(sent));
        for (how, kind) in [("pair", libc::SOCK_DGRAM), ("raw-pair", libc::SOCK_RAW)] {
            report.step(format!("datagram-of-{how}:{name}"), reached(send_from_pair(kind, path.as_bytes())));
        }
    }
}

/// Half of a pair has a peer, and can be sent elsewhere all the same.
fn send_from_pair(kind: i32, name: &[u8]) -> Sys {
    let mut pair = [0i32; 2];
    call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, pair.as_mut_ptr())?;
    let (address, length) = address(name);
    let sent = call!(libc::SYS_sendto, pair[0], c"x".as_ptr(), 1, 0, &raw const address, length);
    pair.into_iter().for_each(|fd| close(fd.into()));
    sent
}

/// Abstract names have no path and no mode; only a network namespace or Landlock keeps them apart.
fn abstract_name(params: &Params, report: &mut Report) {
    let name = [b"\0", params.text("name").as_bytes()].concat();
    report.step("connect", connect_name(libc::SOCK_STREAM, &name));
}

/// What servers do need: a pair, and a listener of their own in /tmp.
fn unix_own(params: &Params, report: &mut Report) {
    for (name, kind) in [("stream", libc::SOCK_STREAM), ("dgram", libc::SOCK_DGRAM), ("seq", libc::SOCK_SEQPACKET)] {
        let mut pair = [0i32; 2];
        let made = call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, pair.as_mut_ptr());
        let passed = made.and_then(|_| call!(libc::SYS_write, pair[0], c"x".as_ptr(), 1));
        report.step(format!("pair:{name}"), passed);
    }
    let path = params.path("listen");
    let listening = socket(libc::SOCK_STREAM).and_then(|fd| {
        let (address, length) = address(path.as_bytes());
        call!(libc::SYS_bind, fd, &raw const address, length)?;
        call!(libc::SYS_listen, fd, 4)?;
        Ok(fd)
    });
    report.step("listen", listening.map(|_| 0));
    report.step("connect-own", connect_name(libc::SOCK_STREAM, path.as_bytes()));
    let accepted = listening.and_then(|fd| call!(libc::SYS_accept4, fd, 0, 0, libc::SOCK_NONBLOCK));
    report.step("accept-own", accepted.map(|_| 0));
    report.step("pass-descriptor", pass_descriptor());
    unsafe { libc::unlink(path.as_ptr()) };
}

/// Sends a descriptor over a pair: what multiprocessing does.
fn pass_descriptor() -> Sys {
    let mut pair = [0i32; 2];
    call!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())?;
    let mut byte = 1u8;
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = [0u64; 3];
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Err(errno());
    }
    unsafe {
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(0);
    }
    call!(libc::SYS_sendmsg, pair[0], &raw const message, 0)?;
    call!(libc::SYS_recvmsg, pair[1], &raw mut message, 0)
}
