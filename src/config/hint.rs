//! What each error of the configuration is called, and what to do about it.

use super::Source;
use super::error::{ConfigError, Problem, shell, shown};
use crate::diagnose::{Diagnose, Exit};

/// All codes of [`ConfigError`] with one line on what each means, for `mcpjail help CODE`.
pub const CODES: &[(&str, &str)] = &[
    ("profile-not-found", "there is no server profile, bundle or built-in profile of that name"),
    ("bad-name", "names of servers and bundles become file names and are kept simple"),
    ("no-command", "the server's profile does not say what to run: it has neither `command` nor `package`"),
    ("profile-unreadable", "the file exists and the system refuses to read it"),
    ("profile-not-a-file", "a profile must be a regular file; a symlink to one is fine"),
    ("profile-too-large", "a profile of more than 256 KiB is taken for a mistake"),
    ("profile-insecure", "a profile that somebody else can write gives them what the profile gives"),
    ("not-utf8", "profiles are UTF-8 text"),
    ("profile-syntax", "the file is not TOML"),
    ("unknown-key", "a key that is not known is an error, since a typo must not loosen or tighten in silence"),
    ("unsupported-key", "the key belongs to a feature that this version does not have"),
    ("misplaced-key", "the key is valid in another kind of profile"),
    ("wrong-type", "the value is of another TOML type than the key takes"),
    ("bad-value", "the value is of the right type and makes no sense there"),
    ("unsupported-version", "every profile starts with `version = 1`"),
    ("use-cycle", "bundles use one another in a circle"),
    ("unknown-bundle", "`use` names a bundle that does not exist"),
    ("bundle-shadows", "a bundle of one's own may not take a built-in profile's name"),
    ("unknown-variable", "grants know `~`, `${home}`, `${cwd}` and `${arg1}`, `${arg2}` and so on"),
    ("missing-argument", "the profile grants an argument of the server that was not given"),
    ("relative-path", "a grant is an absolute path, or starts with `~` or a variable"),
    ("glob-in-grant", "grants are literal paths; grant the directory instead"),
    (
        "protected-path",
        "the grant would hand out credentials or a way out of the jail: grant a narrower directory, or, where it is meant, write the line as `{ path = \"…\", dangerous = true }`",
    ),
    ("grant-missing", "the granted path does not exist"),
    ("grant-unreadable", "the granted path exists and you may not read it yourself"),
    ("grant-special", "the granted path is a socket, a FIFO or a device"),
    ("policy-violation", "the administrator's policy forbids what the profile asks for"),
    ("policy-insecure", "the policy must belong to root and be writable by root alone"),
    (
        "network-rule",
        "a line of `jail.network.allow`, or `--net`, is no rule: `api.github.com:443`, `*.example.com:80,443`, `192.0.2.1:8000-8010`, `[2001:db8::1]:443`, `10.0.0.0/8:5432` or `localhost:5432`",
    ),
    (
        "dangerous-network-rule",
        "the rule grants more than one can oversee, or a service that gives away this machine's credentials: grant less, or, where it is meant, write the line as `{ to = \"…\", dangerous = true }`",
    ),
    ("unknown-syscall", "`[jail.syscalls]` names a call or a group that does not exist"),
    ("no-home", "the home directory is unknown"),
];

impl Diagnose for ConfigError {
    fn code(&self) -> &'static str {
        match self.problem() {
            Problem::ProfileNotFound { .. } => "profile-not-found",
            Problem::BadName { .. } => "bad-name",
            Problem::NoCommand => "no-command",
            Problem::Unreadable(_) => "profile-unreadable",
            Problem::NotRegular { .. } => "profile-not-a-file",
            Problem::TooLarge { .. } => "profile-too-large",
            Problem::ProfileInsecure { .. } => "profile-insecure",
            Problem::NotUtf8 => "not-utf8",
            Problem::Syntax { .. } => "profile-syntax",
            Problem::UnknownKey { .. } => "unknown-key",
            Problem::UnsupportedKey { .. } => "unsupported-key",
            Problem::MisplacedKey { .. } => "misplaced-key",
            Problem::WrongType { .. } => "wrong-type",
            Problem::BadValue { .. } => "bad-value",
            Problem::UnsupportedVersion { .. } => "unsupported-version",
            Problem::UseCycle { .. } => "use-cycle",
            Problem::UnknownBundle { .. } => "unknown-bundle",
            Problem::BundleShadows { .. } => "bundle-shadows",
            Problem::UnknownVariable { .. } => "unknown-variable",
            Problem::MissingArgument { .. } => "missing-argument",
            Problem::RelativePath { .. } => "relative-path",
            Problem::Glob { .. } => "glob-in-grant",
            Problem::Protected { .. } => "protected-path",
            Problem::GrantMissing { .. } => "grant-missing",
            Problem::GrantUnreadable { .. } => "grant-unreadable",
            Problem::GrantSpecial { .. } => "grant-special",
            Problem::PolicyViolation { .. } => "policy-violation",
            Problem::PolicyInsecure { .. } => "policy-insecure",
            Problem::NetworkRule { .. } => "network-rule",
            Problem::DangerousRule { .. } => "dangerous-network-rule",
            Problem::UnknownSyscall { .. } => "unknown-syscall",
            Problem::NoHome => "no-home",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self.problem() {
            Problem::ProfileNotFound { nearest: Some(nearest), .. }
            | Problem::UnknownBundle { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Problem::ProfileNotFound { file, .. } => {
                format!("write `{}`, or try without a profile: `mcpjail run -- COMMAND`", shown(file))
            }
            Problem::UnknownBundle { file, .. } => format!("write `{}`, or take the name out of `use`", shown(file)),
            Problem::BadName { name } if name.contains('/') => {
                "a server is named without slashes or `.toml`; a file is named by `--profile PATH`".to_owned()
            }
            Problem::BadName { .. } => "choose another name, for example `my-server`".to_owned(),
            Problem::NoCommand => "add `command = [\"PROGRAM\", \"ARGUMENT\"]` to the profile, or install a package with \
                                   `mcpjail add NAME -- npx -y PACKAGE`"
                .to_owned(),
            Problem::Unreadable(_) => format!("look at it with `ls -lL {}`", self.place_word()),
            Problem::NotRegular { .. } => "name a file that holds the profile".to_owned(),
            Problem::TooLarge { .. } => format!("check that this is a profile: `head {}`", self.place_word()),
            Problem::ProfileInsecure { remedy, .. } | Problem::PolicyInsecure { remedy, .. } => {
                format!("after checking its contents, run `{remedy}`")
            }
            Problem::NotUtf8 => "save the file as UTF-8".to_owned(),
            Problem::Syntax { .. } => "correct this place; the format is TOML".to_owned(),
            Problem::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Problem::UnknownKey { valid, .. } => format!("valid here: `{}`", valid.join("`, `")),
            Problem::UnsupportedKey { remedy, .. } | Problem::MisplacedKey { remedy, .. } => (*remedy).to_owned(),
            Problem::WrongType { expected, .. } => format!("write {expected}"),
            Problem::BadValue { remedy, .. } => remedy.clone(),
            Problem::UnsupportedVersion { found: None } => "add `version = 1` as the first line".to_owned(),
            Problem::UnsupportedVersion { .. } => "write `version = 1`, or install a newer mcpjail".to_owned(),
            Problem::UseCycle { .. } => "take one of these names out of its `use`".to_owned(),
            Problem::BundleShadows { file, .. } => {
                format!("rename it: `mv {} {}`", shell(file), shell(&file.with_file_name("my-bundle.toml")))
            }
            Problem::UnknownVariable { nearest: Some(nearest), .. } => format!("did you mean `${{{nearest}}}`?"),
            Problem::UnknownVariable { .. } => {
                "variables are `~`, `${home}`, `${cwd}`, `${arg1}`, `${arg2}` …".to_owned()
            }
            Problem::MissingArgument { given, .. } => format!(
                "give it after the server's name (there {} so far), or make the line `{{ path = \"…\", optional = true }}`",
                match given {
                    1 => "is one".to_owned(),
                    n => format!("are {n}"),
                }
            ),
            Problem::RelativePath { .. } => {
                "start it with `/`, `~/`, `${cwd}` or an argument such as `${arg1}`".to_owned()
            }
            Problem::Glob { .. } => "grant the directory that holds the files".to_owned(),
            Problem::Protected { .. } if self.is_of_command() => {
                "install the server elsewhere, or, if this is meant, add `exec = [{ path = \"…\", dangerous = true }]` to its profile"
                    .to_owned()
            }
            Problem::Protected { .. } => {
                "grant something narrower, or, if this is meant, write `{ path = \"…\", dangerous = true }` in the profile"
                    .to_owned()
            }
            Problem::GrantMissing { .. } if self.is_of_command() => {
                "install the server again, or correct the command".to_owned()
            }
            Problem::GrantMissing { .. } if matches!(self.place().source, Source::Flag(_)) => {
                "create it first, or correct the path".to_owned()
            }
            Problem::GrantMissing { .. } => {
                "create it first, correct the path, or make the line `{ path = \"…\", optional = true }`".to_owned()
            }
            Problem::GrantUnreadable { path, .. } => format!("look at it with `namei -l {}`", shell(path)),
            Problem::GrantSpecial { .. } => {
                "take the line out, or, if this is meant, write `{ path = \"…\", dangerous = true }` in the profile"
                    .to_owned()
            }
            Problem::PolicyViolation { .. } if matches!(self.place().source, Source::Flag(_)) => {
                "take the option out, or ask your administrator to change the policy".to_owned()
            }
            Problem::PolicyViolation { .. } => {
                "take it out of the profile, or ask your administrator to change the policy".to_owned()
            }
            Problem::NetworkRule { fault, .. } | Problem::DangerousRule { fault, .. } => fault.remedy(),
            Problem::UnknownSyscall { .. } => "correct the name; a profile may ask for `@aio`, `@debug`, `@io-uring`, `@keyring`, or for one call of these".to_owned(),
            Problem::NoHome => "set `HOME` to an absolute path".to_owned(),
        })
    }
}

impl ConfigError {
    fn is_of_command(&self) -> bool {
        self.place().source == Source::Command
    }

    /// The file as a shell word, for hints.
    fn place_word(&self) -> String {
        match &self.place().source {
            Source::File(path) | Source::Policy(path) => shell(path),
            Source::BuiltIn(name) | Source::Flag(name) => name.clone(),
            Source::Command | Source::Store | Source::Jail => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, error};
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_code_is_explained_once() {
        let text = include_str!("hint.rs");
        let body = text.split_once("fn code(").unwrap().1.split_once("fn exit(").unwrap().0;
        let mut said: Vec<&str> = body.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let mut explained: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        said.sort_unstable();
        explained.sort_unstable();
        assert_eq!(said, explained);
        assert!(said.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(
            said.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
        assert!(CODES.iter().all(|(_, meaning)| !meaning.ends_with('.') && meaning.len() > 15));
    }

    #[test]
    fn hints_fit_where_the_grant_comes_from() {
        let hint = |source: Source| {
            let problem = Problem::GrantMissing { written: "/x".to_owned(), path: PathBuf::from("/x") };
            ConfigError::new(Place::from(source), problem).hint().unwrap()
        };
        assert!(hint(Source::Command).contains("install"));
        assert!(!hint(Source::Flag("--read /x".to_owned())).contains("optional"));
        assert!(hint(Source::File("/p.toml".into())).contains("optional = true"));
    }

    #[test]
    fn commands_in_hints_are_quoted_for_the_shell() {
        assert_eq!(error::shell(std::path::Path::new("/a/b c'd")), r"'/a/b c'\''d'");
        let error = ConfigError::new(Source::File("/a b.toml".into()), Problem::TooLarge { limit: 1 });
        assert!(error.hint().unwrap().contains("head '/a b.toml'"));
        assert_eq!(error.exit(), Exit::Usage);
    }
}
