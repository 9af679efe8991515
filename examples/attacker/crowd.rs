//! Many connections at once (cases 49 and 51): all stay open and work, or the first of them are only begun.

use crate::Attack;
use crate::egress::{connect_and_say, places, read, socket};
use crate::report::{Params, Report};
use crate::sys::close;
use serde_json::{Value, json};

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("flood", flood), ("half-open", half_open), ("bulk", bulk), ("hold", hold), ("come-and-go", come_and_go)];

/// As many descriptors as there may be.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

/// Opens one connection to a target and says what it has to say; gives the descriptor.
fn open(target: &Value) -> Result<i64, String> {
    let place = places(target)?.into_iter().next().ok_or("EAI_NODATA")?;
    let fd = socket(target, place)?;
    match connect_and_say(target, fd, place) {
        Ok(()) => Ok(fd),
        Err(error) => {
            close(fd);
            Err(error)
        }
    }
}

/// Opens `count` connections to `target`, then exchanges a line on each, twice, while all are open. The steps tell how many
/// of them succeeded; `refused` is there where one did not, with its error.
fn flood(params: &Params, report: &mut Report) {
    raise_limit();
    let count = usize::try_from(params.num("count", 1000)).unwrap_or(0);
    let mut target = params.json()["target"].clone();
    // the name is looked up once: what is tried here is connections
    match places(&target) {
        Ok(found) if !found.is_empty() => target["to"] = found[0].to_string().into(),
        Ok(_) => return report.answer("opened", Err("EAI_NODATA".into())),
        Err(error) => return report.answer("opened", Err(error)),
    }
    target["say"] = "".into();
    let mut opened = Vec::new();
    let mut first_error = None;
    for _ in 0..count {
        match open(&target) {
            Ok(fd) => opened.push(fd),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    report.answer("opened", Ok(json!(opened.len())));
    for round in ["first", "second"] {
        let mut good = 0;
        for (at, fd) in opened.iter().enumerate() {
            let line = format!("{round} {at}\n");
            match exchange(*fd, line.as_bytes()) {
                Ok(()) => good += 1,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        report.answer(round, if good == count { Ok(json!(good)) } else { Err(format!("ONLY {good}")) });
    }
    if let Some(error) = first_error {
        report.answer("refused", Err(error));
    }
    opened.into_iter().for_each(close);
    // what was closed makes room again, as soon as that is known on the other side
    let mut afterwards = Err(String::new());
    for _ in 0..1000 {
        afterwards = open(&target).and_then(|fd| exchange(fd, b"again\n").inspect(|()| close(fd)));
        if afterwards.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    report.answer("afterwards", afterwards.map(|()| json!(1)));
}

/// Says a line and reads the same line.
fn exchange(fd: i64, line: &[u8]) -> Result<(), String> {
    let sent = call!(libc::SYS_sendto, fd, line.as_ptr(), line.len(), libc::MSG_NOSIGNAL, std::ptr::null::<u8>(), 0);
    sent.map_err(crate::sys::name_of)?;
    let mut got = Vec::new();
    while got.len() < line.len() {
        got.extend(read(fd)?);
    }
    if got == line { Ok(()) } else { Err("ANOTHER ANSWER".into()) }
}

/// Sends `bytes` to a `target` that sends them back, closes its half, and reads until the other half is closed.
fn bulk(params: &Params, report: &mut Report) {
    let mut target = params.json()["target"].clone();
    target["say"] = "".into();
    let count = usize::try_from(params.num("bytes", 1 << 20)).unwrap_or(0);
    let byte = |at: usize| (at % 251) as u8;
    let whole = open(&target).and_then(|fd| {
        let writer = std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..count).map(byte).collect();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let sent = call!(
                    libc::SYS_sendto,
                    fd,
                    rest.as_ptr(),
                    rest.len(),
                    libc::MSG_NOSIGNAL,
                    std::ptr::null::<u8>(),
                    0
                );
                let Ok(sent) = sent.map(|sent| usize::try_from(sent).unwrap_or(0)) else { return };
                rest = rest.get(sent..).unwrap_or_default();
            }
            let _ = call!(libc::SYS_shutdown, fd, libc::SHUT_WR);
        });
        let mut got = 0;
        let mut right = true;
        let end = loop {
            match read(fd) {
                Ok(bytes) => {
                    right &= bytes.iter().enumerate().all(|(at, found)| *found == byte(got + at));
                    got += bytes.len();
                }
                Err(end) => break end,
            }
        };
        let _ = writer.join();
        close(fd);
        match (got == count && right, end.as_str()) {
            (true, "EOF") => Ok(json!(got)),
            _ => Err(format!("{got} BYTES, {right}, THEN {end}")),
        }
    });
    report.answer("bulk", whole);
}

/// Opens and closes `count` connections to `target`, and asks for a name as often; then dials `after`.
fn come_and_go(params: &Params, report: &mut Report) {
    let all = params.json();
    let count = params.num("count", 1000);
    for at in 0..count {
        let _ = open(&all["target"]).map(close);
        let _ = crate::egress::look_up(format!("n{at}.{}", params.text("below")).as_bytes());
    }
    report.answer("done", Ok(json!(count)));
    let answer = open(&all["after"]).and_then(|fd| read(fd).inspect(|_| close(fd)));
    report.answer("after", answer.map(|bytes| json!(bytes.len())));
}

/// Opens a connection and waits for its end, whatever it is.
fn hold(params: &Params, report: &mut Report) {
    let answer = open(&params.json()["target"]).and_then(|fd| {
        loop {
            match read(fd) {
                Ok(_) => {}
                Err(end) => break Err(end),
            }
        }
    });
    report.answer("hold", answer);
}

/// Begins `count` connections with the first bytes of `begun` and leaves them, then makes `whole`.
fn half_open(params: &Params, report: &mut Report) {
    raise_limit();
    let all = params.json();
    let begun: Vec<Result<i64, String>> = (0..params.num("count", 100)).map(|_| open(&all["begun"])).collect();
    let held = begun.iter().filter(|one| one.is_ok()).count();
    report.answer("held", if held == begun.len() { Ok(json!(held)) } else { Err(format!("ONLY {held}")) });
    let answer = open(&all["whole"]).and_then(|fd| read(fd).inspect(|_| close(fd)));
    report.answer("whole", answer.map(|bytes| json!(bytes.len())));
    begun.into_iter().flatten().for_each(close);
}
