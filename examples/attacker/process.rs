//! Other processes: signals, tracing, their memory and descriptors (cases 23-25).

use crate::Attack;
use crate::report::{Params, Report, c_path};
use crate::sys::{Sys, close, open_with};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("signal", signal),
    ("signal-all", signal_all),
    ("trace", trace),
    ("descriptors", descriptors),
    ("linger", linger),
];

/// A harmless signal to a process by every call that sends one, and other ways of leaning on it.
fn signal(params: &Params, report: &mut Report) {
    let pid = params.num("pid", 0);
    if pid <= 1 {
        return;
    }
    let signal = libc::SIGCONT;
    report.step("kill", call!(libc::SYS_kill, pid, signal));
    report.step("kill-group", call!(libc::SYS_kill, -pid, signal));
    report.step("tkill", call!(libc::SYS_tkill, pid, signal));
    report.step("tgkill", call!(libc::SYS_tgkill, pid, pid, signal));
    let mut info = [0i32; 32];
    (info[0], info[2]) = (signal, -1);
    report.step("sigqueue", call!(libc::SYS_rt_sigqueueinfo, pid, signal, info.as_ptr()));
    report.step("tgsigqueue", call!(libc::SYS_rt_tgsigqueueinfo, pid, pid, signal, info.as_ptr()));
    let held = call!(libc::SYS_pidfd_open, pid, 0);
    report.step("pidfd_open", held);
    report.step("pidfd_send_signal", held.and_then(|fd| call!(libc::SYS_pidfd_send_signal, fd, signal, 0, 0)));
    report.step("setpriority", call!(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 1));
    report.step("getpgid", call!(libc::SYS_getpgid, pid));
    let mut limits = [0u64; 2];
    report.step("prlimit64", call!(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, 0, limits.as_mut_ptr()));
    let mut cpus = [0u64; 16];
    report.step("sched_getaffinity", call!(libc::SYS_sched_getaffinity, pid, 128, cpus.as_mut_ptr()));
}

/// Every process that may be signalled at all. Only once outside the suite's own process-id namespace; the suite has
/// a stopped victim and sees whether it continues.
fn signal_all(params: &Params, report: &mut Report) {
    report.found("same-pid-namespace", (!params.left_pid_namespace()).then(|| "not tried".into()));
    if params.left_pid_namespace() {
        report.step("kill-all", call!(libc::SYS_kill, -1, libc::SIGCONT));
    }
}

/// Tracing and memory of one process.
fn trace(params: &Params, report: &mut Report) {
    let parent = i64::from(unsafe { libc::getppid() });
    match params.text("whom") {
        "init" if !params.left_pid_namespace() => report.found("same-pid-namespace", Some("not tried".into())),
        "init" => tracing(1, report),
        "parent" => tracing(parent, report),
        "own-child" => {
            let child = unsafe { libc::fork() };
            if child == 0 {
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                unsafe { libc::pause() };
                unsafe { libc::_exit(0) };
            }
            tracing(child.into(), report);
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        _ => tracing(params.num("pid", 0), report),
    }
}

fn tracing(pid: i64, report: &mut Report) {
    if pid <= 0 {
        return;
    }
    let mut space = [0u8; 64];
    let local = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: 8 };
    let remote = libc::iovec { iov_base: mapped(pid) as *mut libc::c_void, iov_len: 8 };
    let (local, remote) = (&raw const local, &raw const remote);
    report.step("process_vm_readv", call!(libc::SYS_process_vm_readv, pid, local, 1, remote, 1, 0));
    report.step("process_vm_writev", call!(libc::SYS_process_vm_writev, pid, local, 1, remote, 0, 0));
    let file = |name: &str, flags: i32| -> Sys {
        open_with(&c_path(&format!("/proc/{pid}/{name}")), flags).inspect(|fd| close(*fd)).map(|_| 1)
    };
    report.step("mem-write", file("mem", libc::O_RDWR));
    report.step("mem-read", file("mem", libc::O_RDONLY));
    report.step("maps", file("maps", libc::O_RDONLY));
    report.step("environ", file("environ", libc::O_RDONLY));
    report.step("auxv", file("auxv", libc::O_RDONLY));
    let link = |name: &str| -> Sys {
        let path = c_path(&format!("/proc/{pid}/{name}"));
        let mut space = [0u8; 256];
        call!(libc::SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), space.as_mut_ptr(), space.len())
    };
    report.step("exe", link("exe"));
    report.step("cwd", link("cwd"));
    report.step("root", link("root"));
    report.step("fd-0", link("fd/0"));
    report.step("fd-list", crate::files::names(&c_path(&format!("/proc/{pid}/fd"))).map(|names| names.len() as i64));
    let kcmp = call!(libc::SYS_kcmp, unsafe { libc::getpid() }, pid, 0, 0, 0);
    report.step("kcmp", kcmp);
    // Last, because they stop the target; detached at once.
    let seized = call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0);
    report.step("seize", seized);
    if seized.is_ok() {
        let _ = call!(libc::SYS_ptrace, libc::PTRACE_INTERRUPT, pid, 0, 0);
        detach(pid);
    }
    let attached = call!(libc::SYS_ptrace, libc::PTRACE_ATTACH, pid, 0, 0);
    report.step("attach", attached);
    if attached.is_ok() {
        detach(pid);
    }
}

/// Where the other process has something mapped; a guess where its map cannot be read, which a filter does not mind.
fn mapped(pid: i64) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let start = maps.split('-').next().unwrap_or_default();
    usize::from_str_radix(start, 16).unwrap_or((&raw const GUESS) as usize)
}

static GUESS: u64 = 0;

fn detach(pid: i64) {
    let mut status = 0;
    unsafe { libc::waitpid(pid as i32, &raw mut status, libc::__WALL) };
    let _ = call!(libc::SYS_ptrace, libc::PTRACE_DETACH, pid, 0, 0);
}

/// Another process's open files.
fn descriptors(params: &Params, report: &mut Report) {
    let pid = match params.text("whom") {
        "init" if !params.left_pid_namespace() => {
            report.found("same-pid-namespace", Some("not tried".into()));
            return;
        }
        "init" => 1,
        _ => params.num("pid", 0),
    };
    let held = call!(libc::SYS_pidfd_open, pid, 0);
    report.step("pidfd_open", held);
    for fd in 0..6 {
        let taken = held.and_then(|held| call!(libc::SYS_pidfd_getfd, held, fd, 0));
        report.step(format!("pidfd_getfd:{fd}"), taken);
    }
    // Without a valid pidfd: what the filter alone says.
    report.step("no-pidfd", call!(libc::SYS_pidfd_getfd, -1, 0, 0));
}

/// Leaves processes behind that belong to nobody: sessions of their own, orphaned, with a marker in their arguments.
fn linger(params: &Params, report: &mut Report) {
    let mark = c_path(params.text("mark"));
    let own = std::env::current_exe().map(|path| c_path(&path.display().to_string())).unwrap_or_default();
    for at in 0..params.num("count", 2) {
        let started = crate::harmless::spawn_and_wait(|| {
            if unsafe { libc::fork() } != 0 {
                unsafe { libc::_exit(0) };
            }
            unsafe { libc::setsid() };
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            // Its greeting must not end up on the server's stdout.
            unsafe { libc::dup2(2, 1) };
            let argv = [own.as_ptr(), c"--victim".as_ptr(), mark.as_ptr(), std::ptr::null()];
            unsafe { libc::execv(own.as_ptr(), argv.as_ptr()) };
            crate::sys::errno()
        });
        report.step(format!("started:{at}"), started.map(i64::from));
    }
}
