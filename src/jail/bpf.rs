//! Assembles the seccomp filter: a balanced tree over system call numbers whose leaves hold the argument checks.
//!
//! A list of comparisons costs a late call hundreds of instructions, and the kernel runs the whole program once per
//! number at installation to find the constant answers; a tree is about eight deep. Layout of the input:
//! `struct seccomp_data` of seccomp(2): number at 0, architecture at 4, arguments at 16 + 8 × n, low half first.

use crate::plan::syscalls::{Answer, Case, Policy, Rule};
use crate::sys::filter::Instruction;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ENOSYS: u16 = 38;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}
const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// The program for a policy. Foreign architectures are killed; unknown numbers, and with them those of x32, which lie above
/// all others, are answered with `ENOSYS`.
#[must_use]
pub fn assemble(policy: &Policy) -> Vec<Instruction> {
    let ranges = ranges(policy);
    let mut program = Vec::with_capacity(1024);
    program.extend([plain(LOAD, 4), branch(IF_EQUAL, ARCHITECTURE, 1, 0), plain(RETURN, KILL_PROCESS), plain(LOAD, 0)]);
    emit(&ranges, &mut program);
    program
}

/// Numbers from `first` up to the next range are decided by `rule`; `None` is for numbers without one.
struct Range<'a> {
    first: u32,
    rule: Option<&'a Rule>,
    /// Instructions of its leaf.
    len: usize,
}

/// Splits the number line at every change of rule, starting at 0.
fn ranges(policy: &Policy) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range<'_>> = Vec::with_capacity(256);
    let mut push = |first, rule| match ranges.last() {
        Some(last) if last.rule == rule => {}
        _ => ranges.push(Range { first, rule, len: leaf_len(rule) }),
    };
    let mut next = 0;
    for (number, rule) in policy.rules() {
        let Ok(number) = u32::try_from(number) else { continue };
        if number > next {
            push(next, None);
        }
        push(number, Some(rule));
        next = number + 1;
    }
    push(next, None);
    ranges
}

/// Instructions of the tree over these ranges: its leaves and one or two for each branch.
fn tree_len(ranges: &[Range<'_>]) -> usize {
    match ranges {
        [] => 0,
        [range] => range.len,
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let low = tree_len(low);
            low + tree_len(high) + branch_len(low)
        }
    }
}

/// A short jump over the low half, or a long one where it has more instructions than a jump's byte can say.
fn branch_len(low: usize) -> usize {
    if low <= usize::from(u8::MAX) { 1 } else { 2 }
}

fn emit(ranges: &[Range<'_>], program: &mut Vec<Instruction>) {
    match ranges {
        [] => {}
        [range] => match range.rule {
            Some(rule) => leaf(rule, program),
            None => program.push(answer(Answer::Errno(ENOSYS))),
        },
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first_high = high.first().map_or(0, |range| range.first);
            let skip = tree_len(low);
            match u8::try_from(skip) {
                Ok(skip) => program.push(branch(IF_AT_LEAST, first_high, skip, 0)),
                Err(_) => program.extend([
                    branch(IF_AT_LEAST, first_high, 0, 1),
                    plain(JUMP, u32::try_from(skip).unwrap_or(u32::MAX)),
                ]),
            }
            emit(low, program);
            emit(high, program);
        }
    }
}

fn answer(answer: Answer) -> Instruction {
    plain(
        RETURN,
        match answer {
            Answer::Allow => ALLOW,
            Answer::Errno(errno) => ERRNO | u32::from(errno),
        },
    )
}

/// Instructions of a leaf: each condition loads, masks unless it looks at all bits, and compares.
fn leaf_len(rule: Option<&Rule>) -> usize {
    let case_len = |case: &Case| 1 + case.when.iter().map(|c| if c.mask == u32::MAX { 2 } else { 3 }).sum::<usize>();
    1 + rule.map_or(0, |rule| rule.cases.iter().map(case_len).sum())
}

fn leaf(rule: &Rule, program: &mut Vec<Instruction>) {
    for case in &rule.cases {
        let mut left: usize = case.when.iter().map(|c| if c.mask == u32::MAX { 2 } else { 3 }).sum();
        for condition in &case.when {
            program.push(plain(LOAD, 16 + 8 * u32::from(condition.argument)));
            left -= 2;
            if condition.mask != u32::MAX {
                program.push(plain(AND, condition.mask));
                left -= 1;
            }
            // to the next case: over the rest of this one's conditions and its answer
            program.push(branch(IF_EQUAL, condition.value, 0, u8::try_from(left + 1).unwrap_or(u8::MAX)));
        }
        program.push(answer(case.answer));
    }
    program.push(answer(rule.otherwise));
}

/// The filter of the reaper: it waits, signals, reaps and exits; everything else is refused.
#[must_use]
pub fn reaper() -> Vec<Instruction> {
    let allowed = [
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_wait4,
        libc::SYS_ppoll,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_close,
        libc::SYS_kill,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        // tier B walks /proc for what it must end with the session
        libc::SYS_openat,
        libc::SYS_getdents64,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_rt_sigprocmask,
        libc::SYS_fcntl,
    ];
    assemble(&Policy::only(&allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::syscalls::Sockets;

    /// Runs a program as the kernel does; returns its action and how many instructions it took.
    fn run(program: &[Instruction], number: u32, arch: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0u64.to_le_bytes());
        arguments.iter().for_each(|a| data.extend(a.to_le_bytes()));
        let (mut at, mut word, mut steps) = (0usize, 0u32, 0usize);
        loop {
            let i = program[at];
            steps += 1;
            at += 1;
            match i.code {
                LOAD => word = u32::from_le_bytes(data[i.k as usize..i.k as usize + 4].try_into().unwrap()),
                AND => word &= i.k,
                JUMP => at += i.k as usize,
                IF_EQUAL => at += usize::from(if word == i.k { i.jt } else { i.jf }),
                IF_AT_LEAST => at += usize::from(if word >= i.k { i.jt } else { i.jf }),
                RETURN => return (i.k, steps),
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    fn number(call: libc::c_long) -> u32 {
        u32::try_from(call).unwrap()
    }

    fn expected(rule: Option<&Rule>, arguments: [u64; 6]) -> u32 {
        let Some(rule) = rule else { return ERRNO | 38 };
        let hit = rule.cases.iter().find(|case| {
            case.when.iter().all(|c| arguments[usize::from(c.argument)] & u64::from(c.mask) == u64::from(c.value))
        });
        answer(hit.map_or(rule.otherwise, |case| case.answer)).k
    }

    #[test]
    fn the_program_says_what_the_policy_says_for_every_number_and_argument() {
        let extras: [&[&str]; 2] = [&[], &["@debug", "io_setup"]];
        let mut policies = vec![Policy::supervisor(), Policy::proxy(), Policy::broker()];
        for sockets in [Sockets::UnixInside, Sockets::UnixAndInetInside, Sockets::PairsOnly] {
            policies.extend(extras.map(|extra| Policy::new(sockets, extra.iter().copied())));
        }
        // numbers of calls and of what is in none, and arguments near those that are looked at
        let interesting: &[u64] = &[
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            10,
            13,
            16,
            17,
            23,
            25,
            26,
            30,
            31,
            38,
            39,
            50,
            262,
            1030,
            1032,
            0x40,
            0x200,
            0x1_0000,
            0x1000_0000,
            0x4000_0000,
            0x5412,
            0x541b,
            0x541c,
            0x5423,
            0x8933,
            0x1_0000_5412,
            0x2000_0000,
            0x2000,
            0x6000,
            0x8000,
            0x80001,
            0x40000,
            0xffff_ffff,
            u64::MAX,
        ];
        for policy in policies {
            let program = assemble(&policy);
            assert!(program.len() < 1000, "{} instructions", program.len());
            for number in (0..700).chain([0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_01ff, u32::MAX]) {
                let rule = policy.rules().find(|(n, _)| *n == i64::from(number)).map(|(_, rule)| rule);
                // most calls have one answer, whatever the arguments
                let looked_at = rule.is_some_and(|rule| !rule.cases.is_empty());
                let tried = if looked_at { interesting } else { &interesting[..2] };
                for &a in tried {
                    for &b in tried {
                        for arguments in [[a, b, a, b, a, b], [b, a, a, b, b, a], [a, a, b, b, a, a]] {
                            let (action, steps) = run(&program, number, ARCHITECTURE, arguments);
                            assert_eq!(action, expected(rule, arguments), "call {number} {arguments:x?}");
                            assert!(steps < 90, "call {number} takes {steps} instructions");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_foreign_architecture_is_killed_and_x32_does_not_exist() {
        let program = assemble(&Policy::new(Sockets::UnixInside, std::iter::empty()));
        assert_eq!(run(&program, 1, 0x4000_0003, [0; 6]).0, KILL_PROCESS);
        assert_eq!(run(&program, 0x4000_0000 | 1, ARCHITECTURE, [0; 6]).0, ERRNO | 38);
    }

    #[test]
    fn the_reaper_cannot_open_sockets_or_execute() {
        let program = reaper();
        for call in [libc::SYS_execve, libc::SYS_socket, libc::SYS_ptrace, libc::SYS_clone] {
            assert_eq!(run(&program, number(call), ARCHITECTURE, [0; 6]).0, ERRNO | 38);
        }
        assert_eq!(run(&program, number(libc::SYS_wait4), ARCHITECTURE, [0; 6]).0, ALLOW);
    }
}
