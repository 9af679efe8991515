//! What must keep working in a jail: the things that real servers and their runtimes do (case 55).

use crate::Attack;
use crate::report::{Params, Report, c_path, how, join};
use crate::sys::{Sys, close, errno, open_read, open_with};
use std::ffi::{CStr, CString};
use std::time::Duration;

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("execution", execution), ("runtime", runtime), ("surroundings", surroundings), ("scratch", scratch)];

/// Forks; the child runs `body`, which executes something or gives the errno of not having done so.
pub(crate) fn spawn_and_wait(body: impl FnOnce() -> i32) -> Result<i32, i32> {
    let mut ends = [0i32; 2];
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(errno());
    }
    let child = unsafe { libc::fork() };
    if child == 0 {
        let failed = body();
        unsafe { libc::write(ends[1], (&raw const failed).cast(), 4) };
        unsafe { libc::_exit(127) };
    }
    unsafe { libc::close(ends[1]) };
    let (mut failed, mut status) = (0i32, 0i32);
    let told = unsafe { libc::read(ends[0], (&raw mut failed).cast(), 4) };
    unsafe { libc::close(ends[0]) };
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    match (told, how(status).as_str()) {
        (0, "exit 0") => Ok(0),
        (4, _) => Err(failed),
        _ => Err(libc::ECHILD),
    }
}

fn exec(path: &CStr, first: &CStr, second: &CStr) -> Result<i32, i32> {
    spawn_and_wait(|| {
        let argv = [path.as_ptr(), first.as_ptr(), second.as_ptr(), std::ptr::null()];
        unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
        errno()
    })
}

/// Starting programs: from the system, itself, a shell, and a copy of itself in the scratch directory.
fn execution(params: &Params, report: &mut Report) {
    let own = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    report.step("true", exec(c"/bin/true", c"", c"").map(i64::from));
    report.step("shell", exec(c"/bin/sh", c"-c", c":").map(i64::from));
    report.step("itself", exec(&c_path(&own), c"--exit", c"0").map(i64::from));
    let copy = join(&params.path("tmp"), &format!("copy-{}", unsafe { libc::getpid() }));
    let copied = std::fs::copy(&own, copy.to_string_lossy().as_ref()).map(|bytes| bytes as i64);
    report.step("copy", copied.map_err(|error| error.raw_os_error().unwrap_or(0)));
    report.step("copy-runs", exec(&copy, c"--exit", c"0").map(i64::from));
    unsafe { libc::unlink(copy.as_ptr()) };
    let spawned = std::process::Command::new("/bin/true").status();
    report.step("posix_spawn", spawned.map(|_| 0).map_err(|error| error.raw_os_error().unwrap_or(0)));
    let killed = || -> Sys {
        let child = unsafe { libc::fork() };
        if child == 0 {
            unsafe { libc::pause() };
        }
        call!(libc::SYS_kill, child, libc::SIGTERM)?;
        call!(libc::SYS_wait4, child, 0, 0, 0)
    };
    report.step("kill-own-child", killed());
    report.step(
        "own-session",
        spawn_and_wait(|| {
            unsafe { libc::setsid() };
            unsafe { libc::execv(c"/bin/true".as_ptr(), [c"true".as_ptr(), std::ptr::null()].as_ptr()) };
            errno()
        })
        .map(i64::from),
    );
}

/// Kernel objects that every runtime uses.
fn runtime(_params: &Params, report: &mut Report) {
    let threads: Vec<_> = (0..8).map(|at| std::thread::spawn(move || at)).collect();
    let sum: i64 = threads.into_iter().filter_map(|thread| thread.join().ok()).sum();
    report.step("threads", if sum == 28 { Ok(sum) } else { Err(libc::EAGAIN) });
    report.step("eventfd", call!(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC));
    report.step("epoll", call!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    report.step("memfd", call!(libc::SYS_memfd_create, c"m".as_ptr(), libc::MFD_CLOEXEC));
    report.step("timerfd", call!(libc::SYS_timerfd_create, libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC));
    let signals = 0u64;
    report.step("signalfd", call!(libc::SYS_signalfd4, -1, &raw const signals, 8, libc::SFD_CLOEXEC));
    report.step("inotify", call!(libc::SYS_inotify_init1, libc::IN_CLOEXEC));
    report.step("pidfd_open", call!(libc::SYS_pidfd_open, unsafe { libc::getpid() }, 0));
    let mut space = [0u8; 512];
    let buffer = space.as_mut_ptr();
    report.step("getrandom", call!(libc::SYS_getrandom, buffer, 16, 0));
    report.step("uname", call!(libc::SYS_uname, buffer));
    report.step("sysinfo", call!(libc::SYS_sysinfo, buffer));
    report.step("sched_getaffinity", call!(libc::SYS_sched_getaffinity, 0, 128, buffer));
    report.step("sched_yield", call!(libc::SYS_sched_yield));
    report.step("prctl-name", call!(libc::SYS_prctl, libc::PR_SET_NAME, c"worker".as_ptr(), 0, 0, 0));
    report.step("membarrier", call!(libc::SYS_membarrier, 0, 0, 0));
    let executable = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    report.step("jit", call!(libc::SYS_mmap, 0, 4096, executable, private, -1, 0).map(|_| 0));
    report.step("madvise", call!(libc::SYS_madvise, 0, 0, libc::MADV_DONTNEED));
    report.step("setpriority", call!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, 5));
    let mut timer = std::ptr::null_mut();
    let timer = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, std::ptr::null_mut(), &raw mut timer) };
    report.step("timer", crate::sys::check(timer.into()));
    std::thread::sleep(Duration::from_millis(1));
    report.step("multiprocessing", multiprocessing());
    report.step("semaphore", semaphore());
}

/// A segment in /dev/shm that a child writes and its parent reads, with a pipe to say when.
fn multiprocessing() -> Sys {
    let name = CString::new(format!("/attack-{}", unsafe { libc::getpid() })).unwrap_or_default();
    let fd = unsafe { libc::shm_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600) };
    crate::sys::check(fd.into())?;
    unsafe { libc::shm_unlink(name.as_ptr()) };
    call!(libc::SYS_ftruncate, fd, 4096)?;
    let at = call!(libc::SYS_mmap, 0, 4096, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0)?;
    let mut ends = [0i32; 2];
    call!(libc::SYS_pipe2, ends.as_mut_ptr(), 0)?;
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { (at as *mut u8).write_volatile(42) };
        unsafe { libc::write(ends[1], c"x".as_ptr().cast(), 1) };
        unsafe { libc::_exit(0) };
    }
    let mut byte = 0u8;
    call!(libc::SYS_read, ends[0], &raw mut byte, 1)?;
    call!(libc::SYS_wait4, child, 0, 0, 0)?;
    match unsafe { (at as *const u8).read_volatile() } {
        42 => Ok(42),
        _ => Err(libc::EIO),
    }
}

fn semaphore() -> Sys {
    let name = CString::new(format!("/attack-{}", unsafe { libc::getpid() })).unwrap_or_default();
    let semaphore = unsafe { libc::sem_open(name.as_ptr(), libc::O_CREAT, 0o600u32, 1u32) };
    if semaphore.is_null() {
        return Err(errno());
    }
    unsafe { libc::sem_unlink(name.as_ptr()) };
    crate::sys::check(unsafe { libc::sem_wait(semaphore) }.into())
}

/// What a server reads about where it is.
fn surroundings(_params: &Params, report: &mut Report) {
    let user = unsafe { libc::getpwuid(libc::getuid()) };
    report.step("getpwuid", if user.is_null() { Err(libc::ENOENT) } else { Ok(0) });
    let first = |paths: &[&CStr]| -> Sys {
        let mut outcome = Err(libc::ENOENT);
        for path in paths {
            outcome = open_read(path).inspect(|fd| close(*fd)).map(|_| 0);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    };
    report.step("time-zone", first(&[c"/usr/share/zoneinfo/Europe/Berlin", c"/usr/share/zoneinfo/UTC"]));
    let bundles = [c"/etc/ssl/certs/ca-certificates.crt", c"/etc/pki/tls/certs/ca-bundle.crt", c"/etc/ssl/cert.pem"];
    report.step("certificates", first(&bundles));
    for path in [
        c"/proc/cpuinfo",
        c"/proc/meminfo",
        c"/proc/stat",
        c"/proc/self/maps",
        c"/proc/self/status",
        c"/proc/self/exe",
        c"/proc/version",
        c"/proc/loadavg",
        c"/proc/sys/kernel/osrelease",
        c"/proc/sys/vm/overcommit_memory",
        c"/dev/urandom",
        c"/dev/null",
        c"/dev/zero",
        c"/etc/passwd",
        c"/etc/hosts",
        c"/etc/nsswitch.conf",
        c"/usr/lib",
    ] {
        report.step(path.to_string_lossy(), first(&[path]));
    }
    let cwd = std::env::current_dir().map(|_| 0).map_err(|error| error.raw_os_error().unwrap_or(0));
    report.step("cwd", cwd);
    let mut name = [0 as libc::c_char; 64];
    report.step("gethostname", crate::sys::check(unsafe { libc::gethostname(name.as_mut_ptr(), 64) }.into()));
}

/// Everything a program does with files of its own, in each of the given directories.
fn scratch(params: &Params, report: &mut Report) {
    for (at, dir) in params.paths("dirs").into_iter().enumerate() {
        let mut report = report.under(&format!("{at}:"));
        let made = join(&dir, &format!("scratch-{}", unsafe { libc::getpid() }));
        report.step("mkdir", call!(libc::SYS_mkdirat, libc::AT_FDCWD, made.as_ptr(), 0o700));
        let (file, other) = (join(&made, "a"), join(&made, "b"));
        let fd = open_with(&file, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
        report.step("create", fd.map(|_| 0));
        let Ok(fd) = fd else { continue };
        report.step("write", call!(libc::SYS_write, fd, c"x".as_ptr(), 1));
        report.step("fsync", call!(libc::SYS_fsync, fd));
        report.step("flock", call!(libc::SYS_flock, fd, libc::LOCK_EX));
        report.step("fchmod", call!(libc::SYS_fchmod, fd, 0o700));
        report.step("ftruncate", call!(libc::SYS_ftruncate, fd, 0));
        report.step("utimensat", call!(libc::SYS_utimensat, libc::AT_FDCWD, file.as_ptr(), 0, 0));
        let (at, from, to) = (libc::AT_FDCWD, file.as_ptr(), other.as_ptr());
        report.step("rename", call!(libc::SYS_renameat2, at, from, at, to, 0));
        report.step("link", call!(libc::SYS_linkat, at, to, at, from, 0));
        report.step("symlink", call!(libc::SYS_symlinkat, c"b".as_ptr(), at, join(&made, "c").as_ptr()));
        report.step("list", crate::files::names(&made).map(|names| names.len() as i64));
        close(fd);
        for name in ["a", "b", "c"] {
            let _ = call!(libc::SYS_unlinkat, at, join(&made, name).as_ptr(), 0);
        }
        report.step("rmdir", call!(libc::SYS_unlinkat, at, made.as_ptr(), libc::AT_REMOVEDIR));
    }
}
