//! The first bytes of a program: what the kernel makes of them, and the two tricks that scripts play on it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::files;

/// Bytes that the kernel reads of a program before it decides how to start it (`BINPRM_BUF_SIZE`, execve(2)).
const KERNEL_READS: usize = 256;

/// Bytes that are read here, so that a shim or a wrapper can be recognised in the same read.
pub(super) const HEAD: u64 = 8192;

/// What a program's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A binary that the kernel loads.
    Elf,
    /// A script: its interpreter and the one argument that the kernel passes on.
    Script {
        /// As written.
        interpreter: OsString,
        /// Everything after the interpreter, as one word.
        argument: Option<OsString>,
    },
    /// Text without a `#!` line; `execvp` hands it to `/bin/sh`.
    Text,
    /// Nothing that this kernel can start.
    Unknown,
}

/// Decides as Linux' `binfmt_script` does: 256 bytes, blanks and tabs, one optional argument, a name that is cut off
/// by the end of the buffer is refused, an argument that is cut off is not.
pub(super) fn format(head: &[u8]) -> Format {
    if head.starts_with(b"\x7fELF") {
        return Format::Elf;
    }
    if let Some(script) = script(head) {
        return script;
    }
    let start = head.get(..head.len().min(KERNEL_READS)).unwrap_or_default();
    if start.is_empty() || start.contains(&0) { Format::Unknown } else { Format::Text }
}

fn script(head: &[u8]) -> Option<Format> {
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let ends = |b: &u8| blank(b) || *b == 0;
    // The kernel's buffer is zero-filled, and its last byte becomes the NUL of a line without an end.
    let mut buffer = [0_u8; KERNEL_READS];
    let length = head.len().min(KERNEL_READS);
    buffer.get_mut(..length)?.copy_from_slice(head.get(..length)?);
    let line = buffer.strip_prefix(b"#!")?;
    let newline = line.iter().position(|b| *b == b'\n' || *b == 0).filter(|at| line.get(*at) == Some(&b'\n'));
    if newline.is_none() {
        let name = line.get(line.iter().position(|b| !blank(b))?..)?;
        // Nothing ends the name: it is cut off.
        name.iter().position(ends)?;
    }
    let line = line.get(..newline.unwrap_or(line.len() - 1))?;
    let line = line.get(..line.iter().rposition(|b| !blank(b))? + 1)?;
    let line = line.get(line.iter().position(|b| !blank(b))?..)?;
    let (name, rest) = line.split_at(line.iter().position(ends).unwrap_or(line.len()));
    // A NUL ends everything, a blank is followed by the argument, which may be empty where a NUL follows that.
    let argument = rest.first().filter(|b| blank(b)).map(|_| {
        let word = rest.get(rest.iter().position(|b| !blank(b)).unwrap_or(rest.len())..).unwrap_or_default();
        word.split(|b| *b == 0).next().unwrap_or_default()
    });
    Some(Format::Script {
        interpreter: OsString::from_vec(name.to_vec()),
        argument: argument.map(|word| OsString::from_vec(word.to_vec())),
    })
}

/// The interpreter behind pip's and uv's answer to paths that are too long for a `#!` line, or that hold blanks:
/// a script that is both shell and Python, and whose second line has the shell execute the true interpreter.
///
/// `script` is the path of the script itself, which relocatable ones start from.
pub(super) fn python_behind_shell(head: &[u8], script: &Path) -> Option<PathBuf> {
    let mut lines = head.split(|b| *b == b'\n');
    if !lines.next()?.starts_with(b"#!/bin/sh") {
        return None;
    }
    let command = lines.next()?.strip_prefix(b"'''exec' ")?.strip_suffix(b" \"$0\" \"$@\"")?;
    if let Some(name) = relocatable(command) {
        return Some(script.canonicalize().ok()?.parent()?.join(name));
    }
    let command = command.trim_ascii();
    let path = command.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(command);
    (path.starts_with(b"/") && !path.iter().any(|b| b"\"$`\\".contains(b))).then(|| files::path_of(path))
}

/// The name in `"$(dirname -- "$(realpath -- "$0")")"/'python3'`.
fn relocatable(command: &[u8]) -> Option<PathBuf> {
    let rest = command.strip_prefix(b"\"$(dirname -- \"$(realpath -- \"$0\")\")\"/")?.trim_ascii();
    let name = rest.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")).unwrap_or(rest);
    (!name.is_empty() && !name.iter().any(|b| b"/'\"$ ".contains(b))).then(|| files::path_of(name))
}

/// What a wrapper script of npm's, pnpm's or yarn's (`cmd-shim`) starts.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Wrapped {
    /// The program that it looks up in `PATH`.
    pub(super) program: OsString,
    /// The script that it passes, relative to the wrapper's directory.
    pub(super) script: Option<PathBuf>,
}

/// Recognises a shell script whose last act is `exec node …` or `exec python …`.
pub(super) fn wrapped(head: &[u8]) -> Option<Wrapped> {
    let text = String::from_utf8_lossy(head);
    let (program, rest) = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("exec ")?;
        let (program, rest) = rest.trim_start().split_once(' ')?;
        matches!(program, "node" | "bun" | "deno" | "python" | "python3").then_some((program, rest))
    })?;
    let script = rest.split('"').find_map(|word| word.strip_prefix("$basedir/")).map(PathBuf::from);
    Some(Wrapped { program: program.into(), script })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &[u8]) -> Option<(String, Option<String>)> {
        match format(head) {
            Format::Script { interpreter, argument } => {
                Some((interpreter.into_string().unwrap(), argument.map(|a| a.into_string().unwrap())))
            }
            _ => None,
        }
    }

    fn is(name: &str, argument: Option<&str>) -> Option<(String, Option<String>)> {
        Some((name.into(), argument.map(Into::into)))
    }

    #[test]
    fn lines_are_split_as_the_kernel_splits_them() {
        assert_eq!(parsed(b"#!/bin/sh\necho"), is("/bin/sh", None));
        assert_eq!(parsed(b"#! \t/bin/sh  -e\t x \t\n"), is("/bin/sh", Some("-e\t x")));
        assert_eq!(parsed(b"#!/usr/bin/env node\r\n"), is("/usr/bin/env", Some("node\r")));
        assert_eq!(parsed(b"#!/bin/sh"), is("/bin/sh", None));
        assert_eq!(parsed(b"#!/bin/sh\0junk\n"), is("/bin/sh", None));
        assert_eq!(parsed(b"#!relative arg"), is("relative", Some("arg")));
        assert_eq!(parsed(b"#!/bin/sh a \0b\n"), is("/bin/sh", Some("a ")));
        assert_eq!(parsed(b"#!/bin/sh \0\n"), is("/bin/sh", Some("")));
        assert_eq!(parsed(b"#!\n/bin/sh"), None);
        assert_eq!(parsed(b"#!   "), is("", None));
        assert_eq!(parsed(b" #!/bin/sh\n"), None);
    }

    #[test]
    fn a_name_that_is_cut_off_is_refused_an_argument_is_not() {
        let mut long = b"#!/".to_vec();
        long.resize(300, b'x');
        assert_eq!(parsed(&long), None);
        let mut argument = b"#!/bin/x ".to_vec();
        argument.resize(300, b'y');
        let (name, arg) = parsed(&argument).unwrap();
        assert_eq!((name.as_str(), arg.unwrap().len()), ("/bin/x", 255 - 9));
        // A newline in the last byte of the buffer still ends the line.
        let mut exact = b"#!/".to_vec();
        exact.resize(255, b'x');
        exact.push(b'\n');
        exact.extend_from_slice(b"more");
        assert_eq!(parsed(&exact).unwrap().0.len(), 253);
    }

    #[test]
    fn formats_are_told_apart() {
        assert_eq!(format(b"\x7fELF\x02\x01"), Format::Elf);
        assert_eq!(format(b"echo hello\n"), Format::Text);
        assert_eq!(format(b""), Format::Unknown);
        assert_eq!(format(b"MZ\x90\0\x03"), Format::Unknown);
    }

    #[test]
    fn long_paths_hide_behind_the_shell() {
        let quoted = b"#!/bin/sh\n'''exec' \"/a b/venv/bin/python3\" \"$0\" \"$@\"\n' '''\nimport sys\n";
        assert_eq!(python_behind_shell(quoted, Path::new("/x")), Some("/a b/venv/bin/python3".into()));
        let bare = b"#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''\n";
        assert_eq!(python_behind_shell(bare, Path::new("/x")), Some("/long/bin/python".into()));
        let temp = tempfile::tempdir().unwrap();
        let script = temp.path().canonicalize().unwrap().join("tool");
        std::fs::write(&script, "").unwrap();
        let moved = b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n";
        assert_eq!(python_behind_shell(moved, &script), Some(script.with_file_name("python")));
        assert_eq!(python_behind_shell(b"#!/bin/sh\nexec python\n", &script), None);
        let trick = b"#!/bin/sh\n'''exec' \"/a$(x)/python\" \"$0\" \"$@\"\n";
        assert_eq!(python_behind_shell(trick, &script), None);
    }

    #[test]
    fn package_managers_wrappers_are_seen_through() {
        let text = b"#!/bin/sh\nbasedir=$(dirname \"$0\")\nif [ -x \"$basedir/node\" ]; then\n  \
            exec \"$basedir/node\"  \"$basedir/../foo/cli.js\" \"$@\"\nelse\n  \
            exec node  \"$basedir/../foo/cli.js\" \"$@\"\nfi\n";
        assert_eq!(wrapped(text), Some(Wrapped { program: "node".into(), script: Some("../foo/cli.js".into()) }));
        assert_eq!(wrapped(b"#!/bin/sh\nexec ls\n"), None);
    }
}
