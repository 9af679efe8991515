//! Exhaustion, always with a bound that the suite gives (case 51).

use crate::Attack;
use crate::report::{Params, Report, join};
use crate::sys::{Sys, close, errno, open_read, open_with};
use serde_json::{Value, json};

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("forks", forks), ("threads-bomb", thread_bomb), ("memory", memory), ("open-files", open_files), ("disk", disk)];

/// Reports how far it came, and the error that stopped it; success is reaching the bound.
fn verdict(report: &mut Report, name: &str, reached: i64, wanted: i64, stopped: i32) {
    report.value("reached", Ok(reached.into()));
    report.value(name, if reached >= wanted { Ok(json!(reached)) } else { Err(stopped) });
}

/// Children that sleep; all are killed at the end, and die with this process in any case.
fn forks(params: &Params, report: &mut Report) {
    let count = params.num("count", 16);
    let mut children = Vec::new();
    let mut stopped = 0;
    for _ in 0..count {
        let child = unsafe { libc::fork() };
        if child == 0 {
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            unsafe { libc::alarm(20) };
            loop {
                unsafe { libc::pause() };
            }
        }
        if child < 0 {
            stopped = errno();
            break;
        }
        children.push(child);
    }
    for child in &children {
        unsafe { libc::kill(*child, libc::SIGKILL) };
        unsafe { libc::waitpid(*child, std::ptr::null_mut(), 0) };
    }
    verdict(report, "forks", children.len() as i64, count, stopped);
}

/// Threads count as processes.
fn thread_bomb(params: &Params, report: &mut Report) {
    let count = params.num("count", 16);
    let gate = std::sync::Arc::new(std::sync::Barrier::new(1));
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(receiver));
    let mut threads = Vec::new();
    let mut stopped = 0;
    for _ in 0..count {
        let receiver = receiver.clone();
        let waiting = move || {
            let _ = receiver.lock().map(|receiver| receiver.recv());
        };
        match std::thread::Builder::new().stack_size(32_768).spawn(waiting) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                stopped = error.raw_os_error().unwrap_or(0);
                break;
            }
        }
    }
    verdict(report, "threads", threads.len() as i64, count, stopped);
    drop((sender, gate));
    for thread in threads {
        let _ = thread.join();
    }
}

/// Maps and touches, a chunk at a time, in a child that may be killed for it.
fn memory(params: &Params, report: &mut Report) {
    let bytes = params.num("bytes", 1 << 20);
    let processes = params.num("processes", 1);
    for process in 0..processes {
        report.isolated(format!("touch:{process}"), || touch(bytes));
    }
    let shared = params.path("shared");
    if params.flag("shm") {
        report.isolated("shm", || fill(&shared, bytes));
    }
}

fn touch(bytes: i64) -> Sys {
    const CHUNK: i64 = 8 << 20;
    let mut touched = 0;
    while touched < bytes {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = call!(libc::SYS_mmap, 0, CHUNK, protection, flags, -1, 0)?;
        for page in (0..CHUNK).step_by(4096) {
            unsafe { ((at + page) as *mut u8).write_volatile(1) };
        }
        touched += CHUNK;
    }
    Ok(touched)
}

/// Opens until refused; first raises its own limit as far as it may.
fn open_files(params: &Params, report: &mut Report) {
    let count = params.num("count", 16);
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    report.value("raised", Ok(json!({ "to": limit.rlim_max, "answer": raised })));
    let (mut open, mut stopped) = (Vec::new(), 0);
    while (open.len() as i64) < count {
        match open_read(c"/dev/null") {
            Ok(fd) => open.push(fd),
            Err(error) => {
                stopped = error;
                break;
            }
        }
    }
    for fd in &open {
        close(*fd);
    }
    verdict(report, "open-files", open.len() as i64, count, stopped);
    limit.rlim_max = limit.rlim_max.saturating_add(1_000);
    limit.rlim_cur = limit.rlim_max;
    let raised = call!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const limit, 0);
    report.step("raise-hard", raised);
}

/// Fills a file in a directory, then removes it.
fn disk(params: &Params, report: &mut Report) {
    let (dir, bytes) = (params.path("dir"), params.num("bytes", 1 << 20));
    let path = join(&dir, "disk-bomb");
    // Ignored so that the limit on file sizes answers by errno.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    report.value("fill", fill(&path, bytes).map(Value::from));
    let _ = call!(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_ptr(), 0);
}

fn fill(path: &std::ffi::CStr, bytes: i64) -> Sys {
    let fd = open_with(path, libc::O_WRONLY | libc::O_CREAT)?;
    let chunk = vec![0x5au8; 1 << 20];
    let mut wrote = 0;
    while wrote < bytes {
        match call!(libc::SYS_write, fd, chunk.as_ptr(), chunk.len()) {
            Ok(more) => wrote += more,
            Err(error) => {
                close(fd);
                unsafe { libc::unlink(path.as_ptr()) };
                return Err(error);
            }
        }
    }
    close(fd);
    Ok(wrote)
}
