//! Classes of access and the Landlock rights they mean on each ABI.

use std::fmt;
use std::ops::BitOr;

/// What a grant allows, as a profile says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Names in directories, no contents.
    List,
    /// Contents.
    Read,
    /// Contents and execution.
    Exec,
    /// Contents, changes, creation, removal.
    Write,
}

/// A set of accesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// Directories may be listed.
    pub list: bool,
    /// Files may be read.
    pub read: bool,
    /// Files may be executed.
    pub exec: bool,
    /// Files may be changed, created, removed.
    pub write: bool,
    /// It is a device node: opening it for writing and ioctl are part of its use.
    pub device: bool,
}

impl From<Access> for Rights {
    fn from(access: Access) -> Rights {
        let read = access != Access::List;
        Rights { list: true, read, exec: access == Access::Exec, write: access == Access::Write, device: false }
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights {
            list: self.list | other.list,
            read: self.read | other.read,
            exec: self.exec | other.exec,
            write: self.write | other.write,
            device: self.device | other.device,
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.device {
            return f.write_str("device");
        }
        let words: Vec<&str> = [(self.read, "read"), (self.write, "write"), (self.exec, "exec")]
            .into_iter()
            .filter_map(|(has, word)| has.then_some(word))
            .collect();
        if words.is_empty() {
            f.write_str(if self.list { "list" } else { "nothing" })
        } else {
            f.write_str(&words.join("+"))
        }
    }
}

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
const RESOLVE_UNIX: u64 = 1 << 16;
/// Rights that mean something on a file that is no directory.
const ON_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV | RESOLVE_UNIX;

/// Every file system right that an ABI has. Source: linux/landlock.h, "Compatibility" in landlock(7).
#[must_use]
pub fn handled(abi: u32) -> u64 {
    let first = MAKE_CHAR | MAKE_BLOCK | MAKE_SYM | (MAKE_SYM - 1);
    let later = [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV), (9, RESOLVE_UNIX)];
    later.into_iter().filter(|(since, _)| abi >= *since).fold(first, |all, (_, right)| all | right)
}

impl Rights {
    /// Landlock's bits for these rights, cut to what `abi` has and to what means something on the kind of file.
    #[must_use]
    pub fn landlock(self, abi: u32, directory: bool) -> u64 {
        let mut bits = 0;
        let mut add = |has: bool, rights: u64| bits |= if has { rights } else { 0 };
        add(self.list, READ_DIR);
        add(self.read, READ_FILE);
        add(self.exec, EXECUTE);
        add(self.write || self.device, WRITE_FILE | TRUNCATE);
        add(self.device, IOCTL_DEV);
        // device nodes are never made: seccomp and the missing capability refuse them as well
        let make = MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM;
        // no grant reaches a socket: the server's own need no right, and every other is a door out of the jail
        add(self.write, make | REMOVE_DIR | REMOVE_FILE | REFER);
        bits & handled(abi) & if directory { u64::MAX } else { ON_FILES }
    }

    /// Whether everything that `other` allows is allowed here too.
    #[must_use]
    pub fn covers(self, other: Rights) -> bool {
        self | other == self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abi_handles_what_the_one_before_does() {
        for abi in 2..12 {
            assert_eq!(handled(abi) & handled(abi - 1), handled(abi - 1));
        }
        assert_eq!(handled(1), (1 << 13) - 1);
        assert_eq!(handled(7), (1 << 16) - 1);
    }

    #[test]
    fn read_never_means_execute_or_write() {
        let bits = Rights::from(Access::Read).landlock(9, true);
        assert_eq!(bits, READ_FILE | READ_DIR);
        assert_eq!(Rights::from(Access::List).landlock(9, true), READ_DIR);
        assert_eq!(Rights::from(Access::Exec).landlock(9, false), READ_FILE | EXECUTE);
    }

    #[test]
    fn no_grant_reaches_the_sockets_of_others() {
        let all = Rights { list: true, read: true, exec: true, write: true, device: true };
        assert_eq!(all.landlock(9, true) & RESOLVE_UNIX, 0);
        assert_eq!(handled(9) & RESOLVE_UNIX, RESOLVE_UNIX);
    }

    #[test]
    fn writing_makes_no_devices() {
        let bits = Rights::from(Access::Write).landlock(9, true);
        assert_eq!(bits & (MAKE_CHAR | MAKE_BLOCK | EXECUTE), 0);
        assert_eq!(Rights::from(Access::Write).landlock(9, false) & !ON_FILES, 0);
    }
}
