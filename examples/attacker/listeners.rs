//! Sockets that are not the server's: ports that somebody listens on, descriptors of other processes (case 26).

use crate::Attack;
use crate::network::address;
use crate::report::{Params, Report};
use crate::sys::{Sys, close};
use std::net::{SocketAddr, TcpListener};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("listen", listen), ("hunt", hunt)];

/// One step per place, `{ "name", "type", "at" }`: a listener there, with every option that lets two share a port.
fn listen(params: &Params, report: &mut Report) {
    for place in params.list("places") {
        let name = place["name"].as_str().unwrap_or_default();
        let Ok(at) = place["at"].as_str().unwrap_or_default().parse() else { continue };
        report.step(name, one(place["type"] == "datagram", at));
    }
}

fn one(datagram: bool, at: SocketAddr) -> Sys {
    let (to, length, family) = address(at);
    let kind = if datagram { libc::SOCK_DGRAM } else { libc::SOCK_STREAM };
    let fd = call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, 0)?;
    for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
        let one = 1i32;
        let _ = call!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, option, &raw const one, 4);
    }
    let bound = call!(libc::SYS_bind, fd, &raw const to, length);
    let outcome = if datagram { bound } else { bound.and_then(|_| call!(libc::SYS_listen, fd, 1)) };
    close(fd);
    outcome
}

/// Descriptors of other processes that are sockets, taken where they can be taken. A child that has one shows that this
/// finds what there is.
fn hunt(_params: &Params, report: &mut Report) {
    let own = TcpListener::bind("127.0.0.1:0");
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            unsafe { libc::pause() };
        }
    }
    let of_child = sockets(child);
    report.found("of a child", (own.is_ok() && !of_child.is_empty()).then(|| of_child.into()));
    unsafe { libc::kill(child, libc::SIGKILL) };
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let this = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Ok(pid) = name.parse::<i32>()
            && name != this
        {
            found.extend(sockets(pid).into_iter().map(|what| format!("{pid}: {what}")));
        }
    }
    report.found("of others", (!found.is_empty()).then(|| found.into()));
}

/// What a process has open that is a socket, as its descriptors are listed.
fn sockets(pid: i32) -> Vec<String> {
    let list = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = list.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let text = targets.map(|target| target.display().to_string());
    text.filter(|target| target.starts_with("socket:")).collect::<Vec<_>>()
}
