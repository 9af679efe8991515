//! Capabilities and securebits of the calling thread. Source: capabilities(7), capset(2), prctl(2).

use super::{check, check_unit};
use std::io;

/// `CAP_SETPCAP`
pub const SETPCAP: u32 = 8;
/// `CAP_NET_BIND_SERVICE`
pub const NET_BIND_SERVICE: u32 = 10;
/// `CAP_NET_ADMIN`
pub const NET_ADMIN: u32 = 12;
/// `CAP_NET_RAW`
pub const NET_RAW: u32 = 13;
/// `CAP_SYS_ADMIN`
pub const SYS_ADMIN: u32 = 21;
/// `CAP_SYS_RESOURCE`
pub const SYS_RESOURCE: u32 = 24;

/// `SECBIT_*` with their locks: no capabilities by uid 0, no fix-up on uid change, none kept, no ambient raise.
const SECUREBITS: libc::c_ulong = 0b1110_1111;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}
const VERSION_3: u32 = 0x2008_0522;

/// The three sets of this thread, 64 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    /// Effective set.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set.
    pub inheritable: u64,
}

/// Reads the sets of this thread.
///
/// # Errors
/// As capget(2).
pub fn sets() -> io::Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 writes two `Data`.
    check_unit(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [low, high] = data;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Writes the same value to the effective, permitted and inheritable sets.
///
/// # Errors
/// As capset(2).
pub fn set_all(value: u64) -> io::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| {
        let word = u32::try_from(value >> shift & 0xffff_ffff).unwrap_or(0);
        Data { effective: word, permitted: word, inheritable: word }
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads two `Data`.
    check_unit(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) })
}

/// Raises one capability in the ambient set, so that it survives an exec by a uid other than 0.
///
/// # Errors
/// As prctl(2), `PR_CAP_AMBIENT_RAISE`.
pub fn raise_ambient(capability: u32) -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.unsigned_abs().into(), capability.into())
}

/// Whether a capability is in the ambient set.
#[must_use]
pub fn is_ambient(capability: u32) -> bool {
    let op = libc::c_ulong::from(libc::PR_CAP_AMBIENT_IS_SET.unsigned_abs());
    // SAFETY: reads one bit of this thread's credentials.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, op, libc::c_ulong::from(capability), 0, 0) == 1 }
}

/// Empties the bounding set. Needs `CAP_SETPCAP`.
///
/// # Errors
/// As prctl(2), `PR_CAPBSET_DROP`, but for numbers that this kernel does not have.
pub fn drop_bounding() -> io::Result<()> {
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && capability > 36 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets and locks the securebits: uid 0 means nothing from here on. Needs `CAP_SETPCAP`.
///
/// # Errors
/// As prctl(2), `PR_SET_SECUREBITS`.
pub fn lock_securebits() -> io::Result<()> {
    prctl(libc::PR_SET_SECUREBITS, SECUREBITS, 0)
}

/// Clears the ambient set.
///
/// # Errors
/// As prctl(2), `PR_CAP_AMBIENT_CLEAR_ALL`.
pub fn clear_ambient() -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs().into(), 0)
}

/// The highest-numbered capability still in the bounding set, if any. The ambient set is always part of the permitted
/// one, so an empty permitted set says that it is empty too.
#[must_use]
pub fn left_in_bounding() -> Option<u32> {
    let mut left = None;
    for capability in 0..64u32 {
        // SAFETY: reads one bit of this thread's credentials.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) } {
            0 => {}
            1 => left = Some(capability),
            _ => break, // the kernel has no such capability
        }
    }
    left
}

/// Whether the securebits are those of [`lock_securebits`].
///
/// # Errors
/// As prctl(2), `PR_GET_SECUREBITS`.
pub fn securebits_locked() -> io::Result<bool> {
    // SAFETY: reads this thread's credentials.
    let bits = check(unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) }.into())?;
    Ok(bits.unsigned_abs() & SECUREBITS == SECUREBITS)
}

fn prctl(option: i32, second: libc::c_ulong, third: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used in this file take integers only and change this thread's credentials only.
    check_unit(unsafe { libc::prctl(option, second, third, 0, 0) }.into())
}
