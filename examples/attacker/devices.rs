//! Devices, terminals and the files by which root owns a kernel (cases 14, 22, 27).

use crate::Attack;
use crate::files::names;
use crate::report::{Params, Report, join};
use crate::sys::{Sys, close, old, open_with};
use std::ffi::CStr;

pub(crate) const ATTACKS: &[(&str, Attack)] =
    &[("mknod", mknod), ("dev", dev), ("terminal", terminal), ("knobs", knobs)];

/// A device node of one's own: /dev/null's numbers and a disk's that does not exist.
fn mknod(params: &Params, report: &mut Report) {
    let dir = params.path("dir");
    let null = libc::makedev(1, 3);
    let (at, character) = (libc::AT_FDCWD, libc::S_IFCHR | 0o600);
    if let Some(number) = old::MKNOD {
        report.step("mknod", call!(number, join(&dir, "null-1").as_ptr(), character, null));
    }
    report.step("mknodat", call!(libc::SYS_mknodat, at, join(&dir, "null-2").as_ptr(), character, null));
    let disk = libc::makedev(250, 250);
    report.step("block", call!(libc::SYS_mknodat, at, join(&dir, "disk").as_ptr(), libc::S_IFBLK | 0o600, disk));
    let whiteout = call!(libc::SYS_mknodat, at, join(&dir, "own-whiteout").as_ptr(), character, 0);
    report.step("whiteout", whiteout);
}

/// What /dev offers: dangerous names by opening a place, then everything that is not expected.
fn dev(_params: &Params, report: &mut Report) {
    // Only looked at: opening a watchdog or a snapshot device already does something.
    const BAD: &[&str] = &[
        "kmsg",
        "fuse",
        "net/tun",
        "dri",
        "mem",
        "port",
        "kvm",
        "vsock",
        "vhost-vsock",
        "vhost-net",
        "loop-control",
        "loop0",
        "tty",
        "tty0",
        "console",
        "input",
        "snd",
        "uinput",
        "userfaultfd",
        "btrfs-control",
        "mapper/control",
        "vda",
        "sda",
        "bus/usb",
        "snapshot",
        "rtc0",
        "watchdog",
        "cpu_dma_latency",
        "nvram",
        "hwrng",
    ];
    const EXPECTED: &[&str] = &["null", "zero", "full", "random", "urandom", "shm", "fd", "stdin", "stdout", "stderr"];
    let dev = c"/dev".to_owned();
    for name in BAD {
        report.step(format!("bad:{name}"), open_with(&join(&dev, name), libc::O_PATH));
    }
    for name in ["kmsg", "fuse", "kvm", "loop-control"] {
        report.step(format!("open:{name}"), open_with(&join(&dev, name), libc::O_RDONLY));
    }
    for name in ["null", "zero", "full", "random", "urandom"] {
        report.step(format!("good:{name}"), open_with(&join(&dev, name), libc::O_RDONLY));
    }
    report.step("good:write-null", open_with(c"/dev/null", libc::O_RDWR));
    let extra: Vec<String> = names(&dev)
        .unwrap_or_default()
        .into_iter()
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .filter(|name| !EXPECTED.contains(&name.as_str()))
        .collect();
    report.found("extra", (!extra.is_empty()).then(|| extra.join(" ").into()));
}

/// Typing into a terminal: into one of its own where it can open one, else into whatever stdin is.
fn terminal(_params: &Params, report: &mut Report) {
    const TIOCLINUX: u64 = 0x541C;
    let fd = own_terminal().unwrap_or(0);
    let letter = b'\n';
    let paste = 2u8;
    let discipline = 0i32;
    let cases: [(&str, u64, u64); 3] = [
        ("TIOCSTI", libc::TIOCSTI as u64, (&raw const letter) as u64),
        ("TIOCLINUX", TIOCLINUX, (&raw const paste) as u64),
        ("TIOCSETD", libc::TIOCSETD as u64, (&raw const discipline) as u64),
    ];
    for (name, command, argument) in cases {
        report.step(name, call!(libc::SYS_ioctl, fd, command, argument));
        // The kernel takes 32 bits of the command; a filter that compares 64 is fooled by the rest.
        for (label, high) in [("high-1", 1u64 << 32), ("high-all", 0xffff_ffff_0000_0000)] {
            report.step(format!("{name}:{label}"), call!(libc::SYS_ioctl, fd, command | high, argument));
        }
    }
    let mut waiting = 0i32;
    report.step("harmless-FIONREAD", call!(libc::SYS_ioctl, 0, libc::FIONREAD, &raw mut waiting));
}

/// A pseudo-terminal that is this process's controlling one.
fn own_terminal() -> Sys {
    let master = open_with(c"/dev/ptmx", libc::O_RDWR)?;
    let unlocked = 0i32;
    call!(libc::SYS_ioctl, master, libc::TIOCSPTLCK, &raw const unlocked)?;
    let mut name = [0 as libc::c_char; 64];
    if unsafe { libc::ptsname_r(master as i32, name.as_mut_ptr(), name.len()) } != 0 {
        return Err(libc::ENOTTY);
    }
    let slave = open_with(unsafe { CStr::from_ptr(name.as_ptr()) }, libc::O_RDWR)?;
    call!(libc::SYS_setsid)?;
    call!(libc::SYS_ioctl, slave, libc::TIOCSCTTY, 0)?;
    Ok(slave)
}

/// Kernel settings that turn a write into code or a crash: opened for writing, never written.
fn knobs(_params: &Params, report: &mut Report) {
    for path in [
        c"/proc/sys/kernel/core_pattern",
        c"/proc/sys/kernel/modprobe",
        c"/proc/sys/kernel/hostname",
        c"/proc/sys/kernel/panic",
        c"/proc/sys/kernel/randomize_va_space",
        c"/proc/sys/vm/overcommit_memory",
        c"/proc/sys/user/max_user_namespaces",
        c"/proc/sys/net/ipv4/ip_forward",
        c"/proc/sys/fs/binfmt_misc/register",
        c"/proc/sysrq-trigger",
        c"/sys/kernel/uevent_helper",
        c"/sys/power/state",
        c"/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        report.step(path.to_string_lossy(), unmasked(path));
    }
    for path in [c"/proc/kcore", c"/proc/keys", c"/proc/timer_list", c"/proc/kmsg"] {
        let mut byte = 0u8;
        let read = open_with(path, libc::O_RDONLY).and_then(|fd| {
            let got = call!(libc::SYS_read, fd, &raw mut byte, 1);
            close(fd);
            got
        });
        // Empty is as good as absent: a mask.
        report.found(format!("read:{}", path.to_string_lossy()), read.ok().filter(|got| *got > 0).map(Into::into));
    }
    let mut agents = Vec::new();
    let controllers = names(c"/sys/fs/cgroup").unwrap_or_default();
    for controller in controllers {
        let path = [b"/sys/fs/cgroup/", controller.as_slice(), b"/release_agent"].concat();
        let path = std::ffi::CString::new(path).unwrap_or_default();
        if let Ok(fd) = open_with(&path, libc::O_WRONLY) {
            close(fd);
            agents.push(path.to_string_lossy().into_owned());
        }
    }
    report.found("release_agent", (!agents.is_empty()).then(|| agents.join(" ").into()));
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let writable = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(|group| {
        ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].iter().find_map(|root| {
            let path = crate::report::c_path(&format!("{root}{group}/cgroup.procs"));
            open_with(&path, libc::O_WRONLY).ok().map(|fd| {
                close(fd);
                path.to_string_lossy().into_owned()
            })
        })
    });
    report.found("cgroup.procs", writable.map(Into::into));
}

/// Opens for writing; a name that /dev/null was laid over counts as absent.
fn unmasked(path: &CStr) -> Sys {
    let fd = open_with(path, libc::O_WRONLY)?;
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    let looked = crate::sys::check(unsafe { libc::fstat(fd as i32, &raw mut found) }.into());
    close(fd);
    looked?;
    let null = found.st_mode & libc::S_IFMT == libc::S_IFCHR && found.st_rdev == libc::makedev(1, 3);
    if null { Err(libc::ENOENT) } else { Ok(1) }
}
