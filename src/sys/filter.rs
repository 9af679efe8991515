//! Classic BPF programs, and installing one as a seccomp filter. That is assembled in `jail::bpf`.

use super::check_unit;
use std::io;
use std::marker::PhantomData;

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

/// `struct sock_fprog`: a program as the kernel is told of it.
#[repr(C)]
pub(super) struct Program<'a> {
    len: u16,
    filter: *const Instruction,
    borrowed: PhantomData<&'a [Instruction]>,
}

impl Program<'_> {
    /// # Errors
    /// `EINVAL` for more than the kernel takes.
    pub(super) fn new(program: &[Instruction]) -> io::Result<Program<'_>> {
        let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(Program { len, filter: program.as_ptr(), borrowed: PhantomData })
    }
}

/// Installs `program` for this thread and what it starts; it can never be removed. Needs `no_new_privs`.
///
/// # Errors
/// As seccomp(2); `EINVAL` for more than 4,096 instructions or a malformed program.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    let program = Program::new(program)?;
    // SAFETY: `Instruction` has the layout of `struct sock_filter`, `Program` that of `struct sock_fprog`, and both
    // live through the call; the kernel copies and verifies the program.
    check_unit(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u32, &raw const program) })
}
