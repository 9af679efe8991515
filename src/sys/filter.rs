//! Installing a seccomp filter. The program is assembled in `jail::bpf`.

use super::check_unit;
use std::io;

/// One classic BPF instruction: opcode, jump if true, jump if false, operand. Source: linux/filter.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Opcode.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Installs `program` for this thread and what it starts; it can never be removed. Needs `no_new_privs`.
///
/// # Errors
/// As seccomp(2); `EINVAL` for more than 4,096 instructions or a malformed program.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { len, filter: program.as_ptr() };
    // SAFETY: `Instruction` has the layout of `struct sock_filter`, `Program` that of `struct sock_fprog`, and both
    // live through the call; the kernel copies and verifies the program.
    check_unit(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u32, &raw const program) })
}
