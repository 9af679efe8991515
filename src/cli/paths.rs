//! Paths among a new server's arguments: what it is told of, it is mostly meant to have.

use super::ask::{Said, ask};
use super::output::Failed;
use super::output::IoFailed;
use crate::config::{Access, Protected};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// A path that the server is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// As it stands among the arguments, without `--option=` in front.
    pub(super) written: String,
    /// Whether it is a directory.
    pub(super) directory: bool,
}

/// What becomes of the paths that a server is told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) read: Vec<String>,
    pub(super) write: Vec<String>,
    /// Not granted: the profile says so in a comment.
    pub(super) left: Vec<String>,
}

/// Existing absolute paths among words, each once, in their order: whole words and what stands behind a `=`. What is
/// granted already, or lies in it, is left out.
pub(super) fn told<'a>(words: impl Iterator<Item = &'a str>, granted: &[PathBuf]) -> Vec<Told> {
    let mut found: Vec<Told> = Vec::new();
    for word in words {
        let path = match word.starts_with('/') {
            true => word,
            false => match word.split_once('=') {
                Some((_, value)) if value.starts_with('/') => value,
                _ => continue,
            },
        };
        let Ok(real) = Path::new(path).canonicalize() else { continue };
        let known = found.iter().any(|told| told.written == path);
        // what the jail makes itself, and system directories that every jail shows
        let shown = ["/dev", "/proc", "/sys", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64"];
        let shown = shown.iter().any(|top| real.starts_with(top)) || real == Path::new("/tmp");
        if known || shown || granted.iter().any(|grant| real.starts_with(grant)) {
            continue;
        }
        found.push(Told { written: path.to_owned(), directory: real.is_dir() });
    }
    found
}

/// What a person who looks at nothing gets: directories to work in, files to read; nothing that is protected.
pub(super) fn by_default(told: Vec<Told>, protected: &Protected) -> Chosen {
    let mut chosen = Chosen::default();
    for Told { written, directory } in told {
        let path = Path::new(&written).canonicalize().unwrap_or_else(|_| PathBuf::from(&written));
        match directory {
            _ if protected.hit(&path, Access::Read).is_some() => chosen.left.push(written),
            true if protected.hit(&path, Access::Write).is_none() => chosen.write.push(written),
            true | false => chosen.read.push(written),
        }
    }
    chosen
}

/// Asks about each; `None` where the person stops.
pub(super) fn by_asking(
    told: Vec<Told>,
    protected: &Protected,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<Option<Chosen>, Failed> {
    let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
    let mut chosen = Chosen::default();
    for Told { written, directory } in told {
        let path = Path::new(&written).canonicalize().unwrap_or_else(|_| PathBuf::from(&written));
        if let Some(hit) = protected.hit(&path, Access::Read) {
            let line = format!("the server is told of `{written}`, which stays out of its reach: {}\n", hit.reason);
            output.write_all(line.as_bytes()).map_err(talk)?;
            chosen.left.push(written);
            continue;
        }
        let what = if directory { "directory" } else { "file" };
        let question = format!("the server is told of the {what} `{written}`: what may it do there?");
        match ask(&question, &[Said::Read, Said::Write, Said::Nothing, Said::Quit], input, output).map_err(talk)? {
            Said::Read => chosen.read.push(written),
            Said::Write => chosen.write.push(written),
            Said::Quit => return Ok(None),
            _ => chosen.left.push(written),
        }
    }
    Ok(Some(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_among_words() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let words = [at("in"), format!("--db={}", at("file")), at("in"), at("absent"), "/usr".into(), "in".into()];
        let found = told(words.iter().map(String::as_str), &[]);
        assert_eq!(
            found,
            [Told { written: at("in"), directory: true }, Told { written: at("file"), directory: false }]
        );
        assert!(told(words.iter().map(String::as_str), &[root]).is_empty(), "all of it is granted");
    }
}
