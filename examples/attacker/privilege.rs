//! New namespaces, identity maps, capabilities (cases 17, 19-21).

use crate::Attack;
use crate::report::{Params, Report, c_path};
use crate::sys::{Sys, close, open_read, open_with};
use serde_json::{Value, json};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("unshare", unshare),
    ("clone", clone),
    ("setns", setns),
    ("id-maps", id_maps),
    ("capabilities", capabilities),
    ("threads", threads),
    ("user-namespace", user_namespace),
];

/// Every namespace that `unshare` and `clone` know, alone and together with a user namespace.
const NAMESPACES: &[(&str, i32)] = &[
    ("mount", libc::CLONE_NEWNS),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

fn unshare(_params: &Params, report: &mut Report) {
    report.isolated("user", || call!(libc::SYS_unshare, libc::CLONE_NEWUSER));
    // CLONE_NEWTIME
    for (name, flag) in NAMESPACES.iter().chain(&[("time", 0x80)]) {
        report.isolated(format!("alone:{name}"), || call!(libc::SYS_unshare, *flag));
        report.isolated(format!("with-user:{name}"), || call!(libc::SYS_unshare, *flag | libc::CLONE_NEWUSER));
    }
    // Bits above 32: the kernel refuses or ignores them, a 64-bit comparison in a filter is fooled.
    let high = (1i64 << 32) | i64::from(libc::CLONE_NEWUSER);
    report.isolated("user:high", || call!(libc::SYS_unshare, high));
}

/// A raw clone whose child exits at once.
fn raw_clone(flags: i64) -> Sys {
    let child = call!(libc::SYS_clone, flags | i64::from(libc::SIGCHLD), 0, 0, 0, 0)?;
    if child == 0 {
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    unsafe { libc::waitpid(child as i32, &raw mut status, 0) };
    Ok(1)
}

fn clone(_params: &Params, report: &mut Report) {
    report.isolated("plain", || raw_clone(0));
    report.isolated("user", || raw_clone(libc::CLONE_NEWUSER.into()));
    report.isolated("user:high", || raw_clone((1i64 << 32) | i64::from(libc::CLONE_NEWUSER)));
    for (name, flag) in NAMESPACES {
        report.isolated(format!("alone:{name}"), || raw_clone((*flag).into()));
        report.isolated(format!("with-user:{name}"), || raw_clone((*flag | libc::CLONE_NEWUSER).into()));
    }
    report.isolated("clone3", || {
        // struct clone_args: flags first, exit_signal fifth.
        let mut args = [0u64; 11];
        args[0] = libc::CLONE_NEWUSER as u64;
        args[4] = libc::SIGCHLD as u64;
        let child = call!(libc::SYS_clone3, args.as_ptr(), size_of_val(&args))?;
        if child == 0 {
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        unsafe { libc::waitpid(child as i32, &raw mut status, 0) };
        Ok(1)
    });
}

/// Joining namespaces by descriptor: one's own (always allowed to try) and by pidfd.
fn setns(params: &Params, report: &mut Report) {
    let pid = params.num("pid", 0);
    for name in ["mnt", "uts", "ipc", "net", "cgroup", "user", "pid"] {
        let path = c_path(&format!("/proc/self/ns/{name}"));
        report.isolated(format!("own:{name}"), || {
            open_read(&path).and_then(|fd| call!(libc::SYS_setns, fd, 0)).map(|_| 1)
        });
        if pid > 0 {
            let path = c_path(&format!("/proc/{pid}/ns/{name}"));
            report.isolated(format!("other:{name}"), || open_read(&path).inspect(|fd| close(*fd)).map(|_| 1));
        }
    }
    report.isolated("no-descriptor", || call!(libc::SYS_setns, -1, libc::CLONE_NEWNET));
    report.isolated("pidfd", || {
        let own = call!(libc::SYS_pidfd_open, unsafe { libc::getpid() }, 0)?;
        call!(libc::SYS_setns, own, libc::CLONE_NEWUTS)
    });
}

/// Writing the identity maps of a namespace of its own, or of the one it is in.
fn id_maps(_params: &Params, report: &mut Report) {
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    report.step("unshare", call!(libc::SYS_unshare, libc::CLONE_NEWUSER));
    let write = |path: &std::ffi::CStr, text: &str| {
        open_with(path, libc::O_WRONLY).and_then(|fd| {
            let outcome = call!(libc::SYS_write, fd, text.as_ptr(), text.len());
            close(fd);
            outcome
        })
    };
    report.step("setgroups", write(c"/proc/self/setgroups", "deny"));
    report.step("uid_map", write(c"/proc/self/uid_map", &format!("0 {uid} 1\n")));
    report.step("gid_map", write(c"/proc/self/gid_map", &format!("0 {gid} 1\n")));
    report.step("projid_map", write(c"/proc/self/projid_map", "0 0 1\n"));
    report.step("setgroups-call", call!(libc::SYS_setgroups, 1, [gid].as_ptr()));
}

/// Only whether this identity may have a user namespace: the suite's own probe.
fn user_namespace(_params: &Params, report: &mut Report) {
    report.step("unshare", call!(libc::SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS));
}

/// What a `status` file says behind `name:`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn set_of(status: &str, name: &str) -> u64 {
    // A file that cannot be read proves nothing good: count it as all capabilities.
    field(status, name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(u64::MAX)
}

/// Every capability set, and ways to get one back.
fn capabilities(_params: &Params, report: &mut Report) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let set = set_of(&status, name);
        report.found(name, (set != 0).then(|| format!("{set:x}").into()));
    }
    let bounding: Vec<i32> =
        (0..64).filter(|cap| unsafe { libc::prctl(libc::PR_CAPBSET_READ, *cap, 0, 0, 0) } == 1).collect();
    report.found("bounding", (!bounding.is_empty()).then(|| bounding.clone().into()));
    let header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    let answered = call!(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr());
    report.found("capget", (answered.is_err() || data != [0; 6]).then(|| json!(data)));
    let securebits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) };
    // capabilities(7): NOROOT and NO_SETUID_FIXUP with their locks, and the lock of KEEP_CAPS.
    report.found("securebits-open", (securebits & 0x2f != 0x2f).then(|| json!(securebits)));
    report.step("set-securebits", call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0, 0, 0, 0));
    let all = [u32::MAX, u32::MAX, 0, u32::MAX, u32::MAX, 0];
    report.step("capset", call!(libc::SYS_capset, header.as_ptr(), all.as_ptr()));
    let raise = call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 21, 0, 0);
    report.step("ambient", raise);
    report.step("setgid-other", call!(libc::SYS_setresgid, 4242, 4242, 4242));
    report.step("setuid-other", call!(libc::SYS_setresuid, 4242, 4242, 4242));
}

/// Whether every thread, of this process and of its parent, carries the confinement; each thread tries for itself.
fn threads(params: &Params, report: &mut Report) {
    const THREADS: usize = 4;
    let canary = params.path("path");
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(THREADS + 1));
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (canary, barrier) = (canary.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                let read = open_read(&canary).inspect(|fd| close(*fd));
                let privilege = call!(libc::SYS_setns, -1, libc::CLONE_NEWNET);
                barrier.wait();
                (read, privilege)
            })
        })
        .collect();
    barrier.wait();
    let (mut loose, mut unfiltered, mut capable, mut seen) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for process in [unsafe { libc::getpid() }, unsafe { libc::getppid() }] {
        for task in std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let name = task.path().display().to_string();
            seen += 1;
            if field(&status, "NoNewPrivs") != Some("1") {
                loose.push(name.clone());
            }
            if field(&status, "Seccomp") != Some("2") {
                unfiltered.push(name.clone());
            }
            if ["CapInh", "CapPrm", "CapEff", "CapAmb"].iter().any(|set| set_of(&status, set) != 0) {
                capable.push(name);
            }
        }
    }
    barrier.wait();
    // Both processes' threads must have been looked at, or the answers below mean nothing.
    report.value("seen", if seen > THREADS { Ok(Value::from(seen)) } else { Err(libc::ESRCH) });
    report.found("without-no-new-privs", (!loose.is_empty()).then(|| loose.into()));
    report.found("without-seccomp", (!unfiltered.is_empty()).then(|| unfiltered.into()));
    report.found("with-capabilities", (!capable.is_empty()).then(|| capable.into()));
    for (at, worker) in workers.into_iter().enumerate() {
        let (read, privilege) = worker.join().unwrap_or((Ok(0), Ok(0)));
        report.step(format!("read:{at}"), read);
        report.step(format!("setns:{at}"), privilege);
    }
}
