//! Confinement across executions and filters: memory files, a filter of the attacker's own (cases 35, 36, 54).

use crate::Attack;
use crate::report::{Params, Report, collect};
use crate::sys::{Sys, close, errno, open_read};
use serde_json::Value;
use std::ffi::CString;
use std::time::Duration;

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("memory-file", memory_file), ("own-filter", own_filter), ("own-landlock", own_landlock)];

/// Copies this program into a memory file and executes it there with another attack; its steps come back prefixed.
fn memory_file(params: &Params, report: &mut Report) {
    let file = call!(libc::SYS_memfd_create, c"x".as_ptr(), libc::MFD_CLOEXEC);
    report.step("memfd_create", file);
    let Ok(file) = file else { return };
    let program = std::fs::read("/proc/self/exe").unwrap_or_default();
    let mut rest = program.as_slice();
    while !rest.is_empty() {
        match call!(libc::SYS_write, file, rest.as_ptr(), rest.len()) {
            Ok(wrote) => rest = &rest[wrote.unsigned_abs() as usize..],
            Err(error) => return report.step("copy", Err(error)),
        }
    }
    let mut inner = params.json();
    inner["attack"] = Value::Null;
    let name = CString::new(params.text("inner")).unwrap_or_default();
    let json = CString::new(inner.to_string()).unwrap_or_default();
    let argv = [c"x".as_ptr(), c"--attack".as_ptr(), name.as_ptr(), json.as_ptr(), std::ptr::null()];
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    let mut ends = [0i32; 2];
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return report.step("pipe", Err(errno()));
    }
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::dup2(ends[1], 1) };
        let (argv, environment) = (argv.as_ptr(), environment.as_ptr());
        let outcome = call!(libc::SYS_execveat, file, c"".as_ptr(), argv, environment, libc::AT_EMPTY_PATH);
        Report::to(1).step("execveat", outcome);
        unsafe { libc::_exit(126) };
    }
    unsafe { libc::close(ends[1]) };
    let (bytes, _) = collect(child, ends[0], Duration::from_secs(5));
    let mut lines = 0;
    for line in bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
        let mut line = line;
        let step = line["step"].as_str().unwrap_or_default().to_owned();
        if step != "execveat" {
            lines += 1;
            line["step"] = format!("inner:{step}").into();
        }
        report.line(&line);
    }
    if lines > 0 {
        report.step("execveat", Ok(lines));
    }
}

/// A filter that allows everything, or that answers by tracing, on top of the jail's own.
fn own_filter(params: &Params, report: &mut Report) {
    let install = |answer: u32, by_prctl: bool| -> Sys {
        // BPF_RET | BPF_K
        let mut program = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: answer }];
        let program = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
        let program = &raw const program;
        if by_prctl {
            call!(libc::SYS_prctl, libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, program, 0, 0)
        } else {
            call!(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, program)
        }
    };
    report.step("no_new_privs", call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    report.step("clear-no_new_privs", call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    report.step("disable", call!(libc::SYS_prctl, libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_DISABLED, 0, 0, 0));
    report.step("install-seccomp", install(libc::SECCOMP_RET_ALLOW, false));
    report.step("install-prctl", install(libc::SECCOMP_RET_ALLOW, true));
    let path = params.path("path");
    report.step("after:read", open_read(&path).inspect(|fd| close(*fd)));
    report.step("after:setns", call!(libc::SYS_setns, -1, libc::CLONE_NEWNET));
    report.isolated("after:unshare", || call!(libc::SYS_unshare, libc::CLONE_NEWUSER));
    report.isolated("trace:getpgid", || {
        install(libc::SECCOMP_RET_LOG, false)?;
        call!(libc::SYS_unshare, libc::CLONE_NEWUSER)
    });
}

/// Confines itself by Landlock and looks whether that holds: proves what an outer filter does to such calls.
fn own_landlock(params: &Params, report: &mut Report) {
    // Handles reading files, grants nothing.
    let ruleset = [4u64];
    let made = call!(libc::SYS_landlock_create_ruleset, ruleset.as_ptr(), 8, 0);
    report.step("create", made);
    report.step("no_new_privs", call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    report.step("restrict", made.and_then(|fd| call!(libc::SYS_landlock_restrict_self, fd, 0)));
    report.step("read", open_read(&params.path("path")).inspect(|fd| close(*fd)));
}
