//! The options of a runner, told apart by a table.

use super::{Read, Refusal, shell};

/// What an option is to a package's installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Names a package that is installed.
    Package,
    /// Names a package that is installed besides.
    With,
    /// Names the Python.
    Python,
    /// Options for `node`.
    Node,
    /// Concerns the runner alone.
    Nothing,
    /// Concerns the runner alone, takes a value.
    NothingValued,
    /// Cannot be kept: the reason and what to do. Takes a value, if any, with it.
    Refused(&'static str, &'static str),
}

/// Options of one meaning.
pub(super) type Table = &'static [(&'static [&'static str], Meaning)];

/// Options with a value that matter, and where the words behind the options begin.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) packages: Vec<String>,
    pub(super) with: Vec<String>,
    pub(super) python: Option<String>,
    pub(super) node: Vec<String>,
    /// The words behind the options, and behind `--`.
    pub(super) rest: Vec<String>,
}

/// Takes one option off the words, which begin with it; the number of words that it had.
fn take(table: Table, runner: &str, words: &[String], found: &mut Scanned) -> Read<usize> {
    let Some(word) = words.first() else { return Ok(0) };
    let meaning = |name: &str| table.iter().find(|(names, _)| names.contains(&name)).map(|(_, meaning)| *meaning);
    let valued = |meaning: Meaning| !matches!(meaning, Meaning::Nothing | Meaning::Refused(..));
    let (name, inline) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word.as_str(), None),
    };
    // `-p3.12`: a letter with its value in one word.
    let short = word.get(..2).filter(|_| !word.starts_with("--") && word.len() > 2);
    let attached =
        short.and_then(|short| meaning(short).filter(|meaning| valued(*meaning)).map(|found| (short, found)));
    let (name, meaning, inline) = match (meaning(name), attached) {
        (Some(meaning), _) => (name, meaning, inline),
        (None, Some((short, meaning))) => (short, meaning, word.get(2..).map(str::to_owned)),
        (None, None) => return Err(unknown(runner, name)),
    };
    if let Meaning::Refused(reason, hint) = meaning {
        return Err(Refusal::new(format!("`{name}` {reason}"), hint));
    }
    if !valued(meaning) {
        return Ok(1);
    }
    let taken = if inline.is_some() { 1 } else { 2 };
    let Some(value) = inline.or_else(|| words.get(1).cloned()) else {
        let hint = format!("write it behind: `{runner} {name} VALUE …`");
        return Err(Refusal::new(format!("`{name}` has no value"), hint));
    };
    match meaning {
        Meaning::Package => found.packages.push(value),
        Meaning::With => found.with.push(value),
        Meaning::Python => found.python = Some(value),
        Meaning::Node => found.node.push(value),
        Meaning::Nothing | Meaning::NothingValued | Meaning::Refused(..) => {}
    }
    Ok(taken)
}

fn unknown(runner: &str, name: &str) -> Refusal {
    let reason = format!("`{name}` is no option of `{runner}` that mcpjail knows");
    let hint = format!(
        "leave it out, or write it behind the package if it is the server's: `mcpjail add NAME -- {runner} PACKAGE {}`",
        shell(&[name])
    );
    Refusal::new(reason, hint)
}

/// Reads options up to the first word that is none, or up to `--`, which is dropped: all after it is the program's.
pub(super) fn leading(table: Table, runner: &str, words: &[String]) -> Read<Scanned> {
    let mut found = Scanned::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if !word.starts_with('-') || word == "-" {
            break;
        }
        at += take(table, runner, words.get(at..).unwrap_or_default(), &mut found)?;
    }
    found.rest = words.get(at..).unwrap_or_default().to_vec();
    Ok(found)
}

/// Reads options wherever they stand before `--`, as npm itself does.
pub(super) fn scattered(table: Table, runner: &str, words: &[String]) -> Read<Scanned> {
    let mut found = Scanned::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            found.rest.extend_from_slice(words.get(at + 1..).unwrap_or_default());
            break;
        }
        if !word.starts_with('-') || word == "-" {
            found.rest.push(word.clone());
            at += 1;
            continue;
        }
        let rest = words.get(at..).unwrap_or_default();
        at += take(table, runner, rest, &mut found).map_err(|refusal| {
            // npm would take the option for itself in silence, and the server would never see it.
            if found.rest.is_empty() || !refusal.reason.contains("is no option") {
                return refusal;
            }
            let hint = format!(
                "put `--` in front of the package: `mcpjail add NAME -- {runner} -- PACKAGE {}`",
                shell(&[word])
            );
            Refusal::new(format!("`{runner}` takes `{word}` for an option of its own"), hint)
        })?;
    }
    Ok(found)
}
