//! From a path as written to an absolute, lexically normal one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::Locations;
use super::error::{Problem, nearest};

/// What the variables and patterns of a profile stand for in this run.
#[derive(Debug, Clone)]
pub struct Variables {
    /// `${cwd}`: mcpjail's working directory, absolute. Relative arguments and option paths start here.
    pub cwd: PathBuf,
    /// `~` and `${home}`: the user's home directory, not the jail's.
    pub home: PathBuf,
    /// `${arg1}`, `${arg2}` …: the server's arguments.
    pub args: Vec<OsString>,
    /// Names of the variables in mcpjail's environment. Only read where a policy denies some of what a pattern passes.
    pub env_names: Vec<String>,
    /// The system calls behind a name of `[jail.syscalls]`: a group's members, a call itself; `None` for an unknown name.
    pub syscall_members: fn(&str) -> Option<Vec<String>>,
}

impl Variables {
    /// Variables of a run whose environment is empty and in which every system call name stands for itself.
    pub fn new(cwd: impl Into<PathBuf>, home: impl Into<PathBuf>, args: Vec<OsString>) -> Variables {
        Variables { cwd: cwd.into(), home: home.into(), args, env_names: Vec::new(), syscall_members: literal_syscalls }
    }

    /// Variables of this process. A working directory that was deleted is an error only where a path needs it.
    pub fn from_environment(loc: &Locations, args: Vec<OsString>) -> Variables {
        Variables {
            env_names: std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
            ..Variables::new(std::env::current_dir().unwrap_or_default(), loc.home.clone(), args)
        }
    }
}

/// Takes every name for a system call of its own: for callers that have no table of groups. A policy that denies a
/// group then does not reach the group's members by name.
pub fn literal_syscalls(name: &str) -> Option<Vec<String>> {
    Some(vec![name.to_owned()])
}

/// Expands a path of a profile: literal, or starting with `~`, `${home}`, `${cwd}` or `${argN}`.
///
/// What follows a variable is joined as text, so that `${arg1}-journal` is the file beside `${arg1}`.
pub(super) fn profile_path(written: &str, variables: &Variables) -> Result<PathBuf, Problem> {
    let (start, rest) = if written == "~" || written.starts_with("~/") {
        (Some(variables.home.clone()), written.get(1..).unwrap_or_default())
    } else if let Some((name, rest)) = written.strip_prefix("${").and_then(|text| text.split_once('}')) {
        (Some(variable(name, written, variables)?), rest)
    } else {
        (None, written)
    };
    // An empty working directory must not turn `${cwd}/x` into `/x`.
    if let Some(start) = start.as_ref().filter(|start| !start.is_absolute()) {
        let expanded = Some(start.to_string_lossy().into_owned());
        return Err(Problem::RelativePath { written: written.to_owned(), expanded });
    }
    if rest.contains("${") {
        let reason = if rest.starts_with("${") && !rest.contains('}') {
            "the variable has no closing brace"
        } else {
            "a variable can only stand at the start of a path"
        };
        return Err(Problem::BadValue {
            value: written.to_owned(),
            reason: reason.to_owned(),
            remedy: "write it like `${cwd}/notes`".to_owned(),
        });
    }
    let mut path = match start {
        // `/` would be nothing without its slash.
        Some(start) if rest.is_empty() => start.into_os_string(),
        Some(start) => without_final_slash(&start),
        None => OsString::new(),
    };
    path.push(rest);
    check(written, normal(Path::new(&path)))
}

/// Expands a path of a command-line option: literal but for a leading `~`, relative to the working directory.
pub(super) fn flag_path(written: &OsStr, variables: &Variables) -> Result<PathBuf, Problem> {
    let bytes = written.as_bytes();
    let path = match bytes.strip_prefix(b"~") {
        Some(b"") => variables.home.clone(),
        Some([b'/', rest @ ..]) => variables.home.join(relative(rest)),
        _ if bytes.is_empty() => PathBuf::new(),
        _ => variables.cwd.join(written),
    };
    check(&written.to_string_lossy(), normal(&path))
}

fn variable(name: &str, written: &str, variables: &Variables) -> Result<PathBuf, Problem> {
    match name {
        "home" => return Ok(variables.home.clone()),
        "cwd" => return Ok(variables.cwd.clone()),
        _ => {}
    }
    // `${arg1}` has one spelling: no `arg01`, no `arg+1`.
    let number = name.strip_prefix("arg").filter(|digits| !digits.starts_with(['0', '+'])).map(str::parse::<usize>);
    let Some(Ok(number)) = number else {
        let nearest = nearest(name, ["home", "cwd", "arg1"]);
        return Err(Problem::UnknownVariable { name: name.to_owned(), nearest });
    };
    let missing = || Problem::MissingArgument { number, given: variables.args.len(), written: written.to_owned() };
    let argument = number.checked_sub(1).and_then(|index| variables.args.get(index)).ok_or_else(missing)?;
    if argument.is_empty() {
        return Err(Problem::RelativePath { written: written.to_owned(), expanded: Some(String::new()) });
    }
    Ok(normal(&variables.cwd.join(argument)))
}

fn relative(rest: &[u8]) -> &Path {
    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
    Path::new(OsStr::from_bytes(rest.get(slashes..).unwrap_or_default()))
}

fn without_final_slash(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    OsString::from_vec(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec())
}

fn check(written: &str, path: PathBuf) -> Result<PathBuf, Problem> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Problem::BadValue {
            value: written.to_owned(),
            reason: "the path holds a NUL byte, which no path can".to_owned(),
            remedy: "take the `\\u0000` out".to_owned(),
        });
    }
    if !path.is_absolute() {
        let text = path.to_string_lossy().into_owned();
        let expanded = (text != written).then_some(text);
        return Err(Problem::RelativePath { written: written.to_owned(), expanded });
    }
    Ok(path)
}

/// The path without `.`, `..`, doubled and final slashes. `..` takes the name before it away, as a reader would, even
/// where that name is a symlink; what is granted is then the path that `explain` shows.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut out: Vec<u8> = Vec::with_capacity(path.as_os_str().len());
    let bytes = path.as_os_str().as_bytes();
    let absolute = bytes.first() == Some(&b'/');
    for part in bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if absolute => {
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            part => {
                if absolute || !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    if absolute && out.is_empty() {
        out.push(b'/');
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(args: &[&str]) -> Variables {
        Variables::new("/srv/p", "/home/me", args.iter().map(OsString::from).collect())
    }

    fn expand(written: &str, args: &[&str]) -> Result<String, String> {
        profile_path(written, &variables(args))
            .map(|path| path.to_str().unwrap().to_owned())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn variables_stand_at_the_start() {
        for (written, path) in [
            ("~", "/home/me"),
            ("~/notes/", "/home/me/notes"),
            ("${home}/x", "/home/me/x"),
            ("${cwd}", "/srv/p"),
            ("${cwd}/../q", "/srv/q"),
            ("${arg1}", "/data"),
            ("${arg1}/.git", "/data/.git"),
            ("${arg1}-journal", "/data-journal"),
            ("${arg2}", "/srv/p/sub"),
            ("${arg2}.bak", "/srv/p/sub.bak"),
            ("${arg3}", "/srv/up"),
            ("${arg4}", "/"),
            ("${arg4}/x", "/x"),
            ("/a//b/./c/../d/", "/a/b/d"),
            ("/..", "/"),
            ("/a$b", "/a$b"),
            ("/[x]/\\y", "/[x]/\\y"),
        ] {
            assert_eq!(expand(written, &["/data/", "sub", "../up", "/"]), Ok(path.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_is_no_absolute_path_is_refused() {
        for (written, says) in [
            ("notes", "`notes` is not an absolute path"),
            ("./notes", "`notes` after expansion"),
            ("", "not an absolute path"),
            ("~other/x", "not an absolute path"),
            ("${arg1}", "`` after expansion"),
            ("${arg2}", "needs argument 2"),
            ("${arg0}", "unknown variable"),
            ("${arg01}", "unknown variable"),
            ("${arg}", "unknown variable"),
            ("${cdw}/x", "unknown variable `${cdw}`"),
            ("${}", "unknown variable"),
            ("${cwd", "no closing brace"),
            ("/a/${cwd}", "start of a path"),
            ("~/${arg1}", "start of a path"),
            ("/a\0b", "NUL"),
        ] {
            let error = expand(written, &[""]).unwrap_err();
            assert!(error.contains(says), "{written}: {error}");
        }
    }

    #[test]
    fn a_lost_working_directory_is_an_error_where_it_is_needed() {
        let lost = Variables::new("", "/home/me", vec!["sub".into()]);
        assert!(profile_path("${cwd}/x", &lost).is_err());
        assert!(profile_path("${arg1}", &lost).is_err());
        assert!(profile_path("~/x", &lost).is_ok());
    }

    #[test]
    fn option_paths_are_literal() {
        let at = |text: &[u8]| {
            flag_path(OsStr::from_bytes(text), &variables(&["/data"])).unwrap().into_os_string().into_vec()
        };
        assert_eq!(at(b"sub"), b"/srv/p/sub");
        assert_eq!(at(b"../x"), b"/srv/x");
        assert_eq!(at(b"~/notes"), b"/home/me/notes");
        assert_eq!(at(b"./~/notes"), b"/srv/p/~/notes");
        assert_eq!(at(b"~x"), b"/srv/p/~x");
        assert_eq!(at(b"${arg1}"), b"/srv/p/${arg1}");
        assert_eq!(at(b"/a\nb\\[*]\xff"), b"/a\nb\\[*]\xff");
        assert!(flag_path(OsStr::new(""), &variables(&[])).is_err());
    }

    proptest! {
        #[test]
        fn normalisation_is_idempotent(text in "[a./]{0,24}") {
            let once = normal(Path::new(&text));
            prop_assert_eq!(normal(&once), once.clone());
            if text.starts_with('/') {
                prop_assert!(once.is_absolute());
                let text = once.to_str().unwrap();
                prop_assert!(text == "/" || text.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
