//! What a server's file says is run: a command's words, or a package of the store and its arguments.

use std::ffi::OsString;
use std::path::Path;

use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::load::Layer;
use super::{Origin, Sourced};

/// What is run, `~/` expanded, the caller's arguments at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// A command line: program and arguments.
    Command(Sourced<Vec<OsString>>),
    /// A package of the store.
    Package(PackageLine),
}

/// A package and what its server is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageLine {
    /// As it is written: `npm:@scope/name@1.2.3`, `pypi:name[extra]==1.2.3`, `local:name`.
    pub package: Sourced<String>,
    /// The server's arguments. They stand behind the package's own script, whatever they look like.
    pub args: Vec<OsString>,
}

/// What stands in a server's file.
#[derive(Debug)]
pub(super) enum Runs {
    Command(Sourced<Vec<String>>),
    Package { package: Sourced<String>, args: Vec<String> },
}

/// How the ecosystems begin, and what comes between a name and its version.
const FORMS: &[(&str, Option<&str>)] = &[("npm:", Some("@")), ("pypi:", Some("==")), ("local:", None)];

impl Runs {
    /// What a server's file says; `None` where it says nothing of it.
    pub(super) fn of(layer: &Layer) -> Result<Option<Runs>, ConfigError> {
        let (document, raw) = (&layer.document, &layer.raw);
        let bad = |span: std::ops::Range<usize>, reason: &str, remedy: &str| {
            let value = document.excerpt(span.clone()).to_owned();
            let problem = Problem::BadValue { value, reason: reason.to_owned(), remedy: remedy.to_owned() };
            Err(document.error(&span, problem))
        };
        let origin = |span: std::ops::Range<usize>| -> Origin { document.origin(span.start) };
        let nul = "a word holds a NUL byte, which no argument can";
        match (&raw.command, &raw.package, &raw.args) {
            (None, None, None) => Ok(None),
            (Some(_), Some(package), _) => {
                bad(package.span(), "a server has `package` or `command`, not both", "take one of the two out")
            }
            (_, None, Some(args)) => bad(
                args.span(),
                "`args` are the arguments of a `package`",
                "put them into `command = [\"PROGRAM\", \"ARGUMENT\"]`",
            ),
            (Some(command), None, None) => {
                let remedy = "write `command = [\"PROGRAM\", \"ARGUMENT\"]`";
                let words = command.get_ref();
                match words.first() {
                    None => bad(command.span(), "the command is empty", remedy),
                    Some(program) if program.is_empty() => bad(command.span(), "the program's name is empty", remedy),
                    _ if words.iter().any(|word| word.contains('\0')) => bad(command.span(), nul, remedy),
                    _ => {
                        let line = Sourced { value: words.clone(), origin: origin(command.span()) };
                        Ok(Some(Runs::Command(line)))
                    }
                }
            }
            (None, Some(package), args) => {
                if let Err(reason) = check(package.get_ref()) {
                    let remedy = "write `package = \"npm:NAME@1.2.3\"` or `package = \"pypi:NAME==1.2.3\"`";
                    return bad(package.span(), reason, remedy);
                }
                if let Some(args) = args.as_ref().filter(|args| args.get_ref().iter().any(|word| word.contains('\0'))) {
                    return bad(args.span(), nul, "write `args = [\"ARGUMENT\"]`");
                }
                let package = Sourced { value: package.get_ref().clone(), origin: origin(package.span()) };
                let args = args.as_ref().map(Spanned::get_ref).cloned().unwrap_or_default();
                Ok(Some(Runs::Package { package, args }))
            }
        }
    }

    /// The words as they are written.
    pub(super) fn written(&self) -> Vec<String> {
        match self {
            Runs::Command(line) => line.value.clone(),
            Runs::Package { package, args } => std::iter::once(&package.value).chain(args).cloned().collect(),
        }
    }

    /// The same, to be run.
    pub(super) fn with(&self, more: &[OsString], home: &Path) -> Launch {
        // no shell reads a profile: what it would do with `~/` is done here
        let whole = |words: &[String]| -> Vec<OsString> {
            let own = words.iter().map(|word| match word.strip_prefix("~/") {
                Some(rest) => home.join(rest).into_os_string(),
                None => OsString::from(word),
            });
            own.chain(more.iter().cloned()).collect()
        };
        match self {
            Runs::Command(Sourced { value, origin }) => {
                Launch::Command(Sourced { value: whole(value), origin: origin.clone() })
            }
            Runs::Package { package, args } => {
                Launch::Package(PackageLine { package: package.clone(), args: whole(args) })
            }
        }
    }
}

/// Whether this could be a release. Which one is installed is the store's to say.
fn check(text: &str) -> Result<(), &'static str> {
    let form = FORMS.iter().find_map(|(prefix, between)| Some((text.strip_prefix(prefix)?, between)));
    let Some((rest, between)) = form else {
        return Err("a package begins with `npm:`, `pypi:` or `local:`");
    };
    if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a package's name and version hold no spaces and no control characters");
    }
    let (name, version) = match between {
        // a scope begins with the sign that stands before a version
        Some(between) => {
            rest.rsplit_once(between).filter(|(name, _)| !name.is_empty() || !rest.contains('/')).unwrap_or((rest, ""))
        }
        None => (rest, "any"),
    };
    if name.is_empty() {
        return Err("the package's name is missing");
    }
    if version.is_empty() {
        return Err("the package's exact version is missing");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::Fixture;
    use super::super::{Flags, Source, load_server, load_staged};
    use super::*;
    use crate::diagnose::Diagnose;
    use std::path::PathBuf;

    fn launch(text: &str, args: &[&str]) -> Result<Launch, ConfigError> {
        let f = Fixture::new(&[("servers/s.toml", text)]);
        let flags = Flags { args: args.iter().map(OsString::from).collect(), ..Flags::default() };
        let launch = load_server("s", &flags, &f.loc)?.launch()?;
        // the home differs from test to test
        Ok(match launch {
            Launch::Package(PackageLine { package, args }) => {
                let home = f.loc.home.to_str().unwrap();
                let short = |word: OsString| OsString::from(word.to_str().unwrap().replace(home, "/home/me"));
                Launch::Package(PackageLine { package, args: args.into_iter().map(short).collect() })
            }
            other => other,
        })
    }

    #[test]
    fn a_package_and_its_arguments() {
        let Launch::Package(line) =
            launch("\npackage = \"npm:@a/b@1.2.3\"\nargs = [\"~/notes\", \"--x\", \"a~/b\"]", &["--more", "~/c"])
                .unwrap()
        else {
            panic!("a command");
        };
        assert_eq!((line.package.value.as_str(), line.package.origin.line), ("npm:@a/b@1.2.3", Some(3)));
        // what the caller gives has been through a shell
        assert_eq!(line.args, ["/home/me/notes", "--x", "a~/b", "--more", "~/c"]);
        let f = Fixture::new(&[("servers/s.toml", "package = \"pypi:x[a,b]==1\"\nargs = [\"~/notes\"]")]);
        let flags = Flags { args: vec!["more".into()], ..Flags::default() };
        let layers = load_server("s", &flags, &f.loc).unwrap();
        assert_eq!(layers.written().unwrap(), ["pypi:x[a,b]==1", "~/notes"]);
        assert_eq!(layers.finish("python", &f.variables()).unwrap().command, None);
    }

    #[test]
    fn what_is_no_package_is_refused_with_its_place() {
        for (text, line, column, says) in [
            ("package = \"x@1\"", 2, 11, "`npm:`"),
            ("package = \"NPM:x@1\"", 2, 11, "`npm:`"),
            ("package = \"\"", 2, 11, "`npm:`"),
            ("package = \"npm:x\"", 2, 11, "version is missing"),
            ("package = \"npm:@scope/x\"", 2, 11, "version is missing"),
            ("package = \"npm:x@\"", 2, 11, "version is missing"),
            ("package = \"pypi:x@1\"", 2, 11, "version is missing"),
            ("package = \"pypi:==1\"", 2, 11, "name is missing"),
            ("package = \"local:\"", 2, 11, "name is missing"),
            ("package = \"npm:x@1 --require=/x\"", 2, 11, "no spaces"),
            ("package = \"npm:x\\u001b@1\"", 2, 11, "no spaces"),
            ("command = [\"x\"]\npackage = \"npm:x@1\"", 3, 11, "not both"),
            ("package = \"npm:x@1\"\ncommand = [\"x\"]", 2, 11, "not both"),
            ("args = [\"x\"]", 2, 8, "of a `package`"),
            ("command = [\"x\"]\nargs = []", 3, 8, "of a `package`"),
            ("package = \"npm:x@1\"\nargs = [\"a\\u0000b\"]", 3, 8, "NUL"),
            ("command = []", 2, 11, "empty"),
            ("command = [\"\"]", 2, 11, "empty"),
        ] {
            let error = launch(text, &[]).unwrap_err();
            assert_eq!(error.code(), "bad-value", "{text}: {error}");
            assert_eq!((error.place().line, error.place().column), (Some(line), Some(column)), "{text}: {error}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        let error = launch("trust = \"vetted\"", &[]).unwrap_err();
        assert_eq!(error.code(), "no-command");
    }

    #[test]
    fn packages_stand_in_servers_files_alone() {
        for (file, text) in [
            ("config.toml", "package = \"npm:x@1\""),
            ("config.toml", "args = []"),
            ("profiles/b.toml", "package = \"npm:x@1\""),
            ("profiles/b.toml", "args = []"),
        ] {
            let f = Fixture::new(&[(file, text), ("servers/s.toml", "use = [\"b\"]"), ("profiles/c.toml", "")]);
            let error = load_server("s", &Flags::default(), &f.loc).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), "misplaced-key", "{file} {text}: {error}");
        }
    }

    #[test]
    fn a_staged_profile_is_read_in_the_place_of_the_servers() {
        let f = Fixture::new(&[("servers/s.toml", "package = \"npm:x@1\""), ("staged", "package = \"npm:x@2\"")]);
        let file = f.loc.config_dir.join("staged");
        let layers = load_staged("s", &file, &Flags::default(), &f.loc).unwrap();
        assert_eq!(layers.written().unwrap(), ["npm:x@2"]);
        let Launch::Package(line) = layers.launch().unwrap() else { panic!("a command") };
        assert_eq!(line.package.origin.source, Source::File(file));
        assert_eq!(layers.finish("node", &f.variables()).unwrap().name.as_deref(), Some("s"));
        for (name, file) in [("../s", f.loc.config_dir.join("staged")), ("s", PathBuf::from("/none"))] {
            assert!(load_staged(name, &file, &Flags::default(), &f.loc).is_err(), "{name}");
        }
    }
}
