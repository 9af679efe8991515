//! System calls that no server needs, and foreign ways of making them (cases 29-31, 33, 34).
//!
//! Calls that could change a machine are made with arguments that every kernel refuses after its permission check, so
//! that EINVAL or EFAULT means "reached the kernel with privilege" and EPERM means "refused".

use crate::Attack;
use crate::report::{Params, Report};
use crate::sys::{Sys, close, new, old};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("foreign", foreign),
    ("x32", x32),
    ("io-uring", io_uring),
    ("dangerous", dangerous),
    ("personality", personality),
];

/// i386 system calls by the interrupt that 64-bit processes can raise too.
#[cfg(target_arch = "x86_64")]
fn int80(number: i64, first: i64, second: i64, third: i64) -> Sys {
    let ret: i64;
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) first => _,
            inlateout("rax") number => ret,
            in("rcx") second,
            in("rdx") third,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    // The answer is 32 bits wide.
    let ret = i64::from(ret as i32);
    if (-4095..0).contains(&ret) { Err(-ret as i32) } else { Ok(ret) }
}

#[cfg(target_arch = "x86_64")]
fn foreign(params: &Params, report: &mut Report) {
    // i386 numbers: getpid 20, socketcall 102 (1 = socket), open 5, unshare 310.
    report.isolated("getpid", || int80(20, 0, 0, 0));
    let low = |bytes: &[u8]| -> Result<i64, i32> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let page = call!(libc::SYS_mmap, 0, 4096, protection, flags, -1, 0)?;
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), page as *mut u8, bytes.len().min(4096)) };
        Ok(page)
    };
    report.isolated("socketcall", || {
        let arguments: Vec<u8> =
            [libc::AF_INET, libc::SOCK_STREAM, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        int80(102, 1, low(&arguments)?, 0)
    });
    let path = params.path("path");
    report.isolated("open", || int80(5, low(path.as_bytes_with_nul())?, 0, 0));
    report.isolated("unshare", || int80(310, libc::CLONE_NEWUSER.into(), 0, 0));
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign(_params: &Params, _report: &mut Report) {}

/// The x32 numbers: the x86-64 ones with bit 30 set.
fn x32(_params: &Params, report: &mut Report) {
    const BIT: i64 = 0x4000_0000;
    report.isolated("getpid", || call!(BIT | libc::SYS_getpid));
    report.isolated("unshare", || call!(BIT | libc::SYS_unshare, libc::CLONE_NEWUSER));
    report.isolated("ptrace", || call!(BIT | 521, 0, 0, 0, 0));
    report.isolated("socket", || call!(BIT | libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0));
}

fn io_uring(_params: &Params, report: &mut Report) {
    let mut setup = [0u32; 30];
    let ring = call!(libc::SYS_io_uring_setup, 2, setup.as_mut_ptr());
    report.step("setup", ring);
    report.step("enter", call!(libc::SYS_io_uring_enter, -1, 0, 0, 0, 0, 0));
    report.step("register", call!(libc::SYS_io_uring_register, -1, 0, 0, 0));
    if let Ok(fd) = ring {
        close(fd);
    }
}

/// Each in a child: a jail may kill for some of them.
fn dangerous(_params: &Params, report: &mut Report) {
    let mut attributes = [0u64; 18];
    // BPF_MAP_CREATE: an array of one 4-byte key and value.
    attributes[0] = 2 | (4 << 32);
    attributes[1] = 4 | (1 << 32);
    report.isolated("bpf", || call!(libc::SYS_bpf, 0, attributes.as_ptr(), 72));
    // PERF_TYPE_SOFTWARE, its size, PERF_COUNT_SW_DUMMY; user space only.
    let mut event = [0u64; 16];
    (event[0], event[1], event[5]) = (1 | (128 << 32), 9, 1 << 5 | 1 << 6);
    report.isolated("perf_event_open", || call!(libc::SYS_perf_event_open, event.as_ptr(), 0, -1, -1, 0));
    // UFFD_USER_MODE_ONLY
    report.isolated("userfaultfd", || call!(libc::SYS_userfaultfd, 1));
    // KEYCTL_GET_KEYRING_ID of the session keyring.
    report.isolated("keyctl", || call!(libc::SYS_keyctl, 0, -3, 0, 0, 0));
    let (kind, name) = (c"user".as_ptr(), c"mcpjail-attack".as_ptr());
    report.isolated("add_key", || call!(libc::SYS_add_key, kind, name, c"x".as_ptr(), 1, -2));
    report.isolated("request_key", || call!(libc::SYS_request_key, kind, name, 0, 0));
    report.isolated("memfd_secret", || call!(libc::SYS_memfd_secret, 0));
    report.isolated("ptrace-traceme", || call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0));
    report.isolated("kcmp", || call!(libc::SYS_kcmp, unsafe { libc::getpid() }, unsafe { libc::getpid() }, 2, 0, 0));
    report.isolated("fanotify_init", || call!(libc::SYS_fanotify_init, 0, 0));
    report.isolated("quotactl", || call!(libc::SYS_quotactl, -1, 0, 0, 0));
    report.isolated("syslog", || call!(libc::SYS_syslog, 3, attributes.as_mut_ptr(), 0));
    report.isolated("vhangup-invalid", || call!(libc::SYS_sethostname, c"x".as_ptr(), -1));
    report.isolated("setdomainname", || call!(libc::SYS_setdomainname, c"x".as_ptr(), -1));
    report.isolated("kexec_load", || call!(libc::SYS_kexec_load, 0, -1, 0, -1));
    report.isolated("init_module", || call!(libc::SYS_init_module, 0, 0, 0));
    report.isolated("finit_module", || call!(libc::SYS_finit_module, -1, c"".as_ptr(), 0));
    report.isolated("delete_module", || call!(libc::SYS_delete_module, 0, 0));
    report.isolated("acct", || call!(libc::SYS_acct, c"/nonexistent-acct".as_ptr()));
    report.isolated("swapon", || call!(libc::SYS_swapon, c"/nonexistent-swap".as_ptr(), 0));
    report.isolated("swapoff", || call!(libc::SYS_swapoff, c"/nonexistent-swap".as_ptr()));
    // No magic numbers: no kernel does anything but refuse.
    report.isolated("reboot", || call!(libc::SYS_reboot, 0, 0, 0, 0));
    // Nanoseconds out of range.
    let never = [0i64, -1];
    report.isolated("clock_settime", || call!(libc::SYS_clock_settime, 0, never.as_ptr()));
    report.isolated("settimeofday", || call!(libc::SYS_settimeofday, never.as_ptr(), 0));
    // Modes that no kernel knows.
    let mut adjust = [0u64; 32];
    adjust[0] = 0x8000_0000;
    report.isolated("adjtimex", || call!(libc::SYS_adjtimex, adjust.as_mut_ptr()));
    report.isolated("mbind", || call!(libc::SYS_mbind, 1, 4096, -1, 0, 0, 0));
    report.isolated("move_pages", || call!(libc::SYS_move_pages, 0, 1, 0, 0, 0, 0));
    report.isolated("migrate_pages", || call!(libc::SYS_migrate_pages, 0, 0, 0, 0));
    report.isolated("lookup_dcookie", || call!(libc::SYS_lookup_dcookie, 0, 0, 0));
    report.isolated("unknown", || call!(new::UNKNOWN, 0, 0, 0));
    if let Some(number) = old::IOPL {
        report.isolated("iopl", || call!(number, 3));
    }
    if let Some(number) = old::IOPERM {
        report.isolated("ioperm", || call!(number, 0x80, 1, 1));
    }
    if let Some(number) = old::MODIFY_LDT {
        let mut space = [0u8; 64];
        report.isolated("modify_ldt", || call!(number, 0, space.as_mut_ptr(), 64));
    }
}

/// Executable data, no address randomisation, 32-bit naming; the query and the default are harmless.
fn personality(_params: &Params, report: &mut Report) {
    report.isolated("read-implies-exec", || call!(libc::SYS_personality, 0x0040_0000));
    report.isolated("no-randomize", || call!(libc::SYS_personality, 0x0004_0000));
    report.isolated("linux32", || call!(libc::SYS_personality, 8));
    // Only the low 32 bits reach the kernel; a 64-bit comparison with the query value would let these through.
    report.isolated("high-bits", || call!(libc::SYS_personality, (1i64 << 32) | 0x0040_0000));
    report.isolated("harmless-query", || call!(libc::SYS_personality, 0xffff_ffffu32));
    report.isolated("harmless-default", || call!(libc::SYS_personality, 0));
}
