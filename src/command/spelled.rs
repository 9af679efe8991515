//! What a command line says by its words alone, before anything is looked up on disk.

use super::arguments;
use super::runtime::Flavor;
use std::ffi::OsString;
use std::path::Path;

/// The words of a command line that name files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// Whether the program is an interpreter, by its name.
    pub(crate) interpreter: bool,
    /// Index of the script, if it is one and names one.
    pub(crate) script: Option<usize>,
    /// Files that the interpreter's options name: index of the word, offset of the path in it.
    pub(crate) files: Vec<(usize, usize)>,
}

/// Reads a command line by the program's name.
pub(crate) fn spelled(argv: &[OsString]) -> Spelled {
    let program = argv.first().map(Path::new).unwrap_or(Path::new(""));
    let flavor = Flavor::of(program, program);
    let entry = arguments::entry(flavor, argv);
    Spelled { interpreter: flavor != Flavor::Binary, script: entry.script, files: entry.files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_behind_options() {
        let of = |line: &[&str]| spelled(&line.iter().map(OsString::from).collect::<Vec<_>>());
        let found = of(&["/usr/bin/node", "--env-file=.env", "-r", "./a.js", "dist/index.js", "x"]);
        assert_eq!(found, Spelled { interpreter: true, script: Some(4), files: vec![(1, 11), (3, 0)] });
        assert_eq!(of(&["node", "-e", "1"]).script, None);
        assert_eq!(of(&["./server", "x.js"]), Spelled { interpreter: false, script: None, files: Vec::new() });
        assert!(!of(&[]).interpreter);
    }
}
