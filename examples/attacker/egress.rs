//! What a server tries on the way out (cases 41-50): connections and questions made by hand, in every way that a kernel
//! knows. A connection counts as made only when an answer came back: in a jail with grants, connecting alone means nothing.

use crate::Attack;
use crate::network::address;
use crate::report::{Params, Report, unhex};
use crate::sys::{close, errno, name_of};
use serde_json::{Value, json};
use std::ffi::CString;
use std::net::{IpAddr, SocketAddr};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("dial", dial), ("ask", ask), ("resolve", resolve)];

/// The answer, or the error's name.
type Answer = Result<Value, String>;

fn named(errno: i32) -> String {
    name_of(errno)
}

/// One step per target: `{ "name", "to" | "host" and "port", "type", "protocol", "how", "say" | "say_hex", "segment" }`.
/// What is said is sent in segments of that many bytes; then one answer is read.
fn dial(params: &Params, report: &mut Report) {
    for target in params.list("targets") {
        let name = target["name"].as_str().unwrap_or_default();
        report.answer(name, one(target));
    }
}

/// Where a target is: one address, or all those of its name.
pub(crate) fn places(target: &Value) -> Result<Vec<SocketAddr>, String> {
    if let Some(to) = target["to"].as_str() {
        return Ok(vec![to.parse().map_err(|_| format!("not an address: {to}"))?]);
    }
    let port = u16::try_from(target["port"].as_i64().unwrap_or_default()).unwrap_or_default();
    let host = target["host"].as_str().unwrap_or_default();
    Ok(look_up(host.as_bytes())?.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Tries the addresses of a target as any client does: one after the other, until one answers.
fn one(target: &Value) -> Answer {
    let places = places(target)?;
    let mut last = Err("EAI_NODATA".to_owned());
    for place in places {
        let answer = exchange(target, place);
        if answer.is_ok() {
            return answer;
        }
        last = answer;
    }
    last
}

/// Connects, says it, and reads an answer.
fn exchange(target: &Value, to: SocketAddr) -> Answer {
    let fd = socket(target, to)?;
    let outcome = connect_and_say(target, fd, to).and_then(|()| read(fd));
    close(fd);
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..200.min(bytes.len())).unwrap_or_default()).into_owned();
    outcome.map(|bytes| json!({ "to": to.to_string(), "answer": text(&bytes) }))
}

/// A socket for a target.
pub(crate) fn socket(target: &Value, to: SocketAddr) -> Result<i64, String> {
    let kind = match target["type"].as_str().unwrap_or("stream") {
        "datagram" => libc::SOCK_DGRAM,
        "seqpacket" => libc::SOCK_SEQPACKET,
        _ => libc::SOCK_STREAM,
    };
    let (_, _, family) = address(to);
    let protocol = target["protocol"].as_i64().unwrap_or(0);
    let fd = call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, protocol).map_err(named)?;
    if kind == libc::SOCK_DGRAM || target["patience_ms"].is_i64() {
        // a datagram that nobody answers is no error of the kernel's
        let ms = target["patience_ms"].as_i64().unwrap_or(2000);
        let patience = libc::timeval { tv_sec: ms / 1000, tv_usec: ms % 1000 * 1000 };
        let (option, size) = (libc::SO_RCVTIMEO, size_of::<libc::timeval>());
        let _ = call!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, option, &raw const patience, size);
    }
    if kind == libc::SOCK_STREAM {
        let one = 1i32;
        let _ = call!(libc::SYS_setsockopt, fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &raw const one, 4);
    }
    Ok(fd)
}

/// Connects and says what the target has to say.
pub(crate) fn connect_and_say(target: &Value, fd: i64, to: SocketAddr) -> Result<(), String> {
    let (address, length, _) = address(to);
    let to = &raw const address;
    let said = match target["say_hex"].as_str() {
        Some(hex) => unhex(hex),
        None => target["say"].as_str().unwrap_or("hello\n").as_bytes().to_vec(),
    };
    let mut rest = said.as_slice();
    let all = rest.len();
    let (data, size) = (rest.as_ptr(), rest.len());
    match target["how"].as_str().unwrap_or_default() {
        "fast-open" => {
            let sent = call!(libc::SYS_sendto, fd, data, size, libc::MSG_FASTOPEN, to, length).map_err(named)?;
            rest = rest.get(usize::try_from(sent).unwrap_or(0)..).unwrap_or_default();
        }
        "fast-open-connect" => {
            const TCP_FASTOPEN_CONNECT: i32 = 30;
            let one = 1i32;
            call!(libc::SYS_setsockopt, fd, libc::IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &raw const one, 4)
                .map_err(named)?;
            call!(libc::SYS_connect, fd, to, length).map_err(named)?;
        }
        "sendto" => {
            call!(libc::SYS_sendto, fd, data, size, 0, to, length).map_err(named)?;
            rest = &[];
        }
        _ => {
            call!(libc::SYS_connect, fd, to, length).map_err(named)?;
        }
    }
    let segment = usize::try_from(target["segment"].as_i64().unwrap_or(0)).unwrap_or(0);
    let segment = if segment == 0 { all.max(1) } else { segment };
    for part in rest.chunks(segment) {
        let flags = libc::MSG_NOSIGNAL;
        call!(libc::SYS_sendto, fd, part.as_ptr(), part.len(), flags, std::ptr::null::<u8>(), 0).map_err(named)?;
    }
    if target["end"] == true {
        call!(libc::SYS_shutdown, fd, libc::SHUT_WR).map_err(named)?;
    }
    Ok(())
}

/// One read; `EOF` where the other side closed without an answer.
pub(crate) fn read(fd: i64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0u8; 16_384];
    let got = call!(libc::SYS_read, fd, bytes.as_mut_ptr(), bytes.len()).map_err(named)?;
    bytes.truncate(usize::try_from(got).unwrap_or(0));
    if bytes.is_empty() { Err("EOF".into()) } else { Ok(bytes) }
}

/// One step per target, `{ "name", "host" | "host_hex" }`: what the C library makes of it.
fn resolve(params: &Params, report: &mut Report) {
    for target in params.list("targets") {
        let name = target["name"].as_str().unwrap_or_default();
        let host = target["host_hex"].as_str().map(unhex);
        let host = host.unwrap_or_else(|| target["host"].as_str().unwrap_or_default().as_bytes().to_vec());
        report.answer(name, look_up(&host).map(|found| json!(found)));
    }
}

/// getaddrinfo(3), without repetitions.
pub(crate) fn look_up(name: &[u8]) -> Result<Vec<IpAddr>, String> {
    let name = CString::new(name).map_err(|_| "NUL".to_owned())?;
    let mut list: *mut libc::addrinfo = std::ptr::null_mut();
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &raw const hints, &raw mut list) };
    if code != 0 {
        return Err(eai(code));
    }
    let mut found = Vec::new();
    let mut at = list;
    while !at.is_null() {
        let entry = unsafe { *at };
        match entry.ai_family {
            libc::AF_INET => {
                let four = unsafe { *entry.ai_addr.cast::<libc::sockaddr_in>() };
                found.push(IpAddr::from(four.sin_addr.s_addr.to_ne_bytes()));
            }
            libc::AF_INET6 => {
                let six = unsafe { *entry.ai_addr.cast::<libc::sockaddr_in6>() };
                found.push(IpAddr::from(six.sin6_addr.s6_addr));
            }
            _ => {}
        }
        at = entry.ai_next;
    }
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

fn eai(code: i32) -> String {
    match code {
        libc::EAI_NONAME => "EAI_NONAME".into(),
        libc::EAI_AGAIN => "EAI_AGAIN".into(),
        libc::EAI_FAIL => "EAI_FAIL".into(),
        libc::EAI_NODATA => "EAI_NODATA".into(),
        libc::EAI_FAMILY => "EAI_FAMILY".into(),
        libc::EAI_SYSTEM => format!("EAI_SYSTEM {}", name_of(errno())),
        -9 => "EAI_ADDRFAMILY".into(),
        other => format!("EAI {other}"),
    }
}

/// One step per question of `questions`: `{ "name", "server", "transport", "labels" | "message_hex", "kind", "class",
/// "times" }`. The answer is what the records hold, the error the code's name.
fn ask(params: &Params, report: &mut Report) {
    for question in params.list("questions") {
        let name = question["name"].as_str().unwrap_or_default();
        report.answer(name, put(question));
    }
}

fn put(question: &Value) -> Answer {
    let to: SocketAddr = question["server"].as_str().unwrap_or("127.0.0.1:53").parse().map_err(|_| "address")?;
    let message = match question["message_hex"].as_str() {
        Some(hex) => unhex(hex),
        None => message(question),
    };
    let tcp = question["transport"] == "tcp";
    let kind = if tcp { "stream" } else { "datagram" };
    let mut target = json!({ "type": kind });
    let framed = if tcp { [&(message.len() as u16).to_be_bytes()[..], &message].concat() } else { message.clone() };
    target["say_hex"] = framed.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    target["segment"] = question["segment"].clone();
    target["patience_ms"] = question["patience_ms"].clone();
    let fd = socket(&target, to)?;
    let answer = connect_and_say(&target, fd, to).and_then(|()| if tcp { read_framed(fd) } else { read(fd) });
    close(fd);
    let answer = answer?;
    if answer.get(..2) != message.get(..2) {
        return Err("FOREIGN".into());
    }
    understand(&answer)
}

fn read_framed(fd: i64) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        if let Some((length, rest)) = all.split_at_checked(2).filter(|(length, _): &(&[u8], &[u8])| !length.is_empty())
            && rest.len() >= usize::from(u16::from_be_bytes([length[0], length[1]]))
        {
            return Ok(rest.to_vec());
        }
        all.extend(read(fd)?);
    }
}

/// A question of one's own: labels as they are, whatever bytes they have.
fn message(question: &Value) -> Vec<u8> {
    let number = |key: &str, default: i64| question[key].as_i64().unwrap_or(default) as u16;
    let mut bytes = vec![0x51, 0x7e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in question["labels"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(number("kind", 1).to_be_bytes());
    bytes.extend(number("class", 1).to_be_bytes());
    bytes
}

/// The code, and how many records there are; addresses are listed.
fn understand(answer: &[u8]) -> Answer {
    const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let [flags, code] = answer.get(2..4).and_then(|part| part.try_into().ok()).ok_or("SHORT")?;
    let count = answer.get(6..8).map_or(0, |part| u16::from_be_bytes([part[0], part[1]]));
    if flags & 2 != 0 {
        return Err("TRUNCATED".into());
    }
    match usize::from(code & 15) {
        0 if count == 0 => Err("NODATA".into()),
        0 => Ok(json!({ "records": count, "bytes": answer.len() })),
        other => Err(CODES.get(other).map_or_else(|| format!("CODE{other}"), |name| (*name).into())),
    }
}
