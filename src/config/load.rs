//! Which layers go into a profile, and in which order.
//!
//! ```text
//! default ← trust preset ← config.toml ← each `use`, what it uses first ← the server's file ← options
//! ```
//!
//! Lists add up, scalars of a later layer replace those of an earlier one; then the administrator's policy tightens.
//! The work is in two stages: [`load_server`] tells the command, whose resolving tells the runtime, whose built-in profile
//! stands in for `use` where neither the server's file nor an option has one ([`Layers::finish`]).
//!
//! What may stand where: `command`, `package` and `args` only in a server's file, `trust` there and in `config.toml`, `use` there and in bundles,
//! `[jail]` and `[gate]` everywhere.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::document::{Document, check_profile_owner};
use super::error::{ConfigError, Problem, nearest};
use super::expand::Variables;
use super::launch::{Launch, Runs};
use super::locations::is_name;
use super::merge::Merge;
use super::policy::Policy;
use super::raw::RawProfile;
use super::uses::{Uses, nearest_of};
use super::{Home, Locations, Origin, Profile, Protected, Source, Tier, Trust, builtin, schema};

/// What the command line says about the profile.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--read PATH`
    pub read: Vec<OsString>,
    /// `--write PATH`
    pub write: Vec<OsString>,
    /// `--exec PATH`
    pub exec: Vec<OsString>,
    /// `--list PATH`
    pub list: Vec<OsString>,
    /// `--deny-write PATH`
    pub deny_write: Vec<OsString>,
    /// `--env NAME` (passed) or `--env NAME=VALUE` (set)
    pub env: Vec<String>,
    /// `--profile`: a path (holds a slash or ends in `.toml`), or the name of a server, of a bundle or of a built-in
    /// profile. It takes the place of the server's file.
    pub profile: Option<String>,
    /// `--use NAME`
    pub uses: Vec<String>,
    /// `--trust`
    pub trust: Option<Trust>,
    /// `--tier`
    pub tier: Option<Tier>,
    /// `--home`
    pub home: Option<Home>,
    /// `--loopback`
    pub loopback: bool,
    /// `--net RULE`
    pub net: Vec<String>,
    /// `--trust-first-use`
    pub trust_first_use: bool,
    /// The caller's arguments, which go after the profile's `command`.
    pub args: Vec<OsString>,
}

/// One parsed file.
#[derive(Debug)]
pub(super) struct Layer {
    /// As `explain` names it.
    pub(super) name: String,
    pub(super) document: Document,
    pub(super) raw: RawProfile,
}

/// Everything that goes into a profile, read and parsed, before the command is resolved.
#[derive(Debug)]
pub struct Layers {
    name: Option<String>,
    runs: Option<Runs>,
    /// `default`, the trust preset, `config.toml`.
    base: Vec<Layer>,
    /// Bundles in merge order; `None` where nobody said `use`.
    uses: Option<Vec<Layer>>,
    own: Option<Layer>,
    flags: Flags,
    policy: Option<Policy>,
    loc: Locations,
}

/// Reads the layers of `servers/NAME.toml`, or of the file that `--profile` names in its place.
///
/// # Errors
/// Every code of [`super::CODES`] that can be told before the command is resolved.
pub fn load_server(name: &str, flags: &Flags, loc: &Locations) -> Result<Layers, ConfigError> {
    if !is_name(name) {
        let problem = Problem::BadName { name: name.to_owned() };
        return Err(ConfigError::new(Source::Flag(name.to_owned()), problem));
    }
    let own = match &flags.profile {
        Some(_) => None,
        None => {
            let file = loc.server(name);
            let Some(document) = read_file(&file, loc)? else {
                let known = loc.server_names();
                let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                let problem = Problem::ProfileNotFound { name: name.to_owned(), nearest, file };
                return Err(ConfigError::new(Source::Flag(name.to_owned()), problem));
            };
            Some(parse(name, document, Role::Server)?)
        }
    };
    Layers::load(Some(name.to_owned()), own, flags, loc)
}

/// As [`load_server`], from a profile that is not yet in its place: the one that `add` proposes.
///
/// # Errors
/// As [`load_server`].
pub fn load_staged(name: &str, file: &Path, flags: &Flags, loc: &Locations) -> Result<Layers, ConfigError> {
    if !is_name(name) {
        let problem = Problem::BadName { name: name.to_owned() };
        return Err(ConfigError::new(Source::Flag(name.to_owned()), problem));
    }
    let document = read_file(file, loc)?.ok_or_else(|| {
        let problem = Problem::ProfileNotFound { name: name.to_owned(), nearest: None, file: file.to_owned() };
        ConfigError::new(Source::File(file.to_owned()), problem)
    })?;
    let flags = Flags { profile: None, ..flags.clone() };
    Layers::load(Some(name.to_owned()), Some(parse(name, document, Role::Server)?), &flags, loc)
}

/// Reads the layers of `run -- COMMAND`: the defaults, what `--profile` names, and the options.
///
/// # Errors
/// As [`load_server`].
pub fn load_flags_only(flags: &Flags, loc: &Locations) -> Result<Layers, ConfigError> {
    Layers::load(None, None, flags, loc)
}

impl Layers {
    fn load(
        name: Option<String>,
        mut own: Option<Layer>,
        flags: &Flags,
        loc: &Locations,
    ) -> Result<Layers, ConfigError> {
        let mut bundle = None;
        if let Some(profile) = &flags.profile {
            match find_profile(profile, loc)? {
                Found::Server(layer) => own = Some(*layer),
                Found::Bundle(name) => bundle = Some(name),
            }
        }
        let defaults = match read_file(&loc.defaults(), loc)? {
            Some(document) => Some(parse("config.toml", document, Role::Defaults)?),
            None => None,
        };
        let mut uses = Uses { loc, layers: Vec::new(), open: Vec::new() };
        let mut says_use = false;
        if let Some(name) = &bundle {
            says_use = true;
            uses.add(name, &|problem| flag_error("--profile", name, problem))?;
        }
        if let Some(layer) = &own
            && let Some(names) = &layer.raw.uses
        {
            says_use = true;
            uses.add_all(names.get_ref(), &layer.document)?;
        }
        for name in &flags.uses {
            says_use = true;
            uses.add(name, &|problem| flag_error("--use", name, problem))?;
        }
        let uses = says_use.then_some(uses.layers);

        let trust = flags
            .trust
            .or_else(|| own.as_ref().and_then(trust_of))
            .or_else(|| defaults.as_ref().and_then(trust_of))
            .unwrap_or(Trust::Community);
        let mut base = vec![built_in("default")?, built_in(preset(trust))?];
        base.extend(defaults);

        // Under `run -- COMMAND` the command is the caller's, whatever the profile says.
        let runs = match (&name, &own) {
            (Some(_), Some(layer)) => Runs::of(layer)?,
            _ => None,
        };
        let policy = Policy::load(loc)?;
        Ok(Layers { name, runs, base, uses, own, flags: flags.clone(), policy, loc: loc.clone() })
    }

    /// What the server's file says is run, as it is written: the command's words, or the package and its arguments.
    pub fn written(&self) -> Option<Vec<String>> {
        self.runs.as_ref().map(Runs::written)
    }

    /// What is run, with the caller's arguments after those of the server's file.
    ///
    /// # Errors
    /// `no-command` where the profile gives neither a command nor a package.
    pub fn launch(&self) -> Result<Launch, ConfigError> {
        self.runs.as_ref().map(|runs| runs.with(&self.flags.args, &self.loc.home)).ok_or_else(|| {
            let source = match (&self.own, &self.name) {
                (Some(layer), _) => layer.document.source.clone(),
                (None, Some(name)) => Source::Flag(name.clone()),
                (None, None) => Source::Command,
            };
            ConfigError::new(source, Problem::NoCommand)
        })
    }

    /// The protected paths of this user, with those that the policy adds.
    pub fn protected(&self) -> Protected {
        let protected = Protected::new(&self.loc);
        match &self.policy {
            Some(policy) => protected.with_policy(policy.protected(&self.loc.home)),
            None => protected,
        }
    }

    /// Merges the layers, expands the variables and applies the policy. `runtime_bundle` is the built-in profile of the
    /// command's runtime (`node`, `python`, `native`); it is used where nobody said `use`.
    ///
    /// # Errors
    /// Those of values: `bad-value`, `unknown-variable`, `policy-violation` and their like.
    pub fn finish(self, runtime_bundle: &str, variables: &Variables) -> Result<Profile, ConfigError> {
        let command = match self.launch() {
            Ok(Launch::Command(line)) => Some(line),
            Ok(Launch::Package(_)) | Err(_) => None,
        };
        let mut merge = Merge::new(variables);
        for layer in &self.base {
            merge.layer(layer)?;
        }
        match &self.uses {
            Some(uses) => uses.iter().try_for_each(|layer| merge.layer(layer))?,
            None => merge.layer(&built_in(runtime_bundle)?)?,
        }
        if let Some(own) = &self.own {
            merge.layer(own)?;
        }
        merge.flags(&self.flags)?;
        let mut profile = merge.finish(self.name, command);
        for name in &profile.syscalls {
            if (variables.syscall_members)(&name.value).is_none() {
                let problem = Problem::UnknownSyscall { name: name.value.clone() };
                return Err(ConfigError::new(&name.origin, problem));
            }
        }
        if let Some(policy) = &self.policy {
            policy.apply(&mut profile, variables)?;
        }
        Ok(profile)
    }
}

fn preset(trust: Trust) -> &'static str {
    match trust {
        Trust::Community => "trust-community",
        Trust::Vetted => "trust-vetted",
        Trust::FirstParty => "trust-first-party",
    }
}

fn trust_of(layer: &Layer) -> Option<Trust> {
    layer.raw.trust.as_ref().map(|trust| *trust.get_ref())
}

/// What a file is for, and so which keys may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Defaults,
    Bundle,
    BuiltIn,
}

pub(super) fn parse(name: &str, document: Document, role: Role) -> Result<Layer, ConfigError> {
    let raw: RawProfile = schema::parse(&document, schema::PROFILE, |raw: &RawProfile| raw.version.as_ref())?;
    let misplaced = |key, span: std::ops::Range<usize>, remedy| {
        let file = if role == Role::Defaults { "`config.toml`" } else { "a bundle" };
        Err(document.error(&span, Problem::MisplacedKey { key, file, remedy }))
    };
    let of_servers = [
        ("command", raw.command.as_ref().map(toml::Spanned::span)),
        ("package", raw.package.as_ref().map(toml::Spanned::span)),
        ("args", raw.args.as_ref().map(toml::Spanned::span)),
    ];
    if role != Role::Server
        && let Some((key, span)) = of_servers.into_iter().find_map(|(key, span)| Some((key, span?)))
    {
        return misplaced(key, span, "move it to `servers/NAME.toml`");
    }
    if role == Role::Bundle
        && let Some(trust) = &raw.trust
    {
        return misplaced("trust", trust.span(), "move it to `servers/NAME.toml`");
    }
    if role == Role::Defaults
        && let Some(uses) = &raw.uses
    {
        return misplaced("use", uses.span(), "move it to `servers/NAME.toml`, or its lines to here");
    }
    Ok(Layer { name: name.to_owned(), document, raw })
}

pub(super) fn read_file(path: &Path, loc: &Locations) -> Result<Option<Document>, ConfigError> {
    Document::read(path, Source::File(path.to_owned()), |metadata| check_profile_owner(metadata, path, loc.uid))
}

pub(super) fn built_in(name: &str) -> Result<Layer, ConfigError> {
    let document = builtin::document(name).ok_or_else(|| {
        let problem = Problem::UnknownBundle { name: name.to_owned(), nearest: None, file: PathBuf::from(name) };
        ConfigError::new(Source::BuiltIn(name.to_owned()), problem)
    })?;
    parse(name, document, Role::BuiltIn)
}

fn flag_error(option: &str, value: &str, problem: Problem) -> ConfigError {
    ConfigError::new(Source::Flag(format!("{option} {value}")), problem)
}

/// What `--profile` names.
enum Found {
    Server(Box<Layer>),
    Bundle(String),
}

fn find_profile(profile: &str, loc: &Locations) -> Result<Found, ConfigError> {
    let fail = |problem| flag_error("--profile", profile, problem);
    let is_path = profile.contains('/') || Path::new(profile).extension() == Some(OsStr::new("toml"));
    if is_path {
        let path = match profile.strip_prefix("~/") {
            Some(rest) => loc.home.join(rest),
            None => PathBuf::from(profile),
        };
        let document = read_file(&path, loc)?
            .ok_or_else(|| fail(Problem::ProfileNotFound { name: profile.to_owned(), nearest: None, file: path }))?;
        return Ok(Found::Server(Box::new(parse(profile, document, Role::Server)?)));
    }
    if !is_name(profile) {
        return Err(fail(Problem::BadName { name: profile.to_owned() }));
    }
    let file = loc.server(profile);
    if let Some(document) = read_file(&file, loc)? {
        return Ok(Found::Server(Box::new(parse(profile, document, Role::Server)?)));
    }
    if builtin::document(profile).is_some() || loc.bundle(profile).exists() {
        return Ok(Found::Bundle(profile.to_owned()));
    }
    let known: Vec<String> = [loc.server_names(), loc.bundle_names()].concat();
    let nearest = nearest_of(profile, &known, builtin::builtin_names());
    Err(fail(Problem::ProfileNotFound { name: profile.to_owned(), nearest, file }))
}

/// The origin of an option.
pub(super) fn flag_origin(option: &str, value: &OsStr) -> Origin {
    Origin { source: Source::Flag(format!("{option} {}", value.to_string_lossy())), line: None }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::protected::tests::locations;
    use super::*;
    use crate::diagnose::Diagnose;
    use std::fs;

    /// A configuration directory with files in it.
    pub(crate) struct Fixture {
        _folder: tempfile::TempDir,
        pub(crate) loc: Locations,
    }

    impl Fixture {
        /// Names are relative to `config_dir`; `version = 1` is put in front.
        pub(crate) fn new(files: &[(&str, &str)]) -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().join("me");
            let mut loc = locations(home.to_str().unwrap());
            loc.uid = std::os::unix::fs::MetadataExt::uid(&folder.path().metadata().unwrap());
            loc.administrator = loc.uid;
            loc.policy = folder.path().join("etc/policy.toml");
            for part in ["servers", "profiles"] {
                fs::create_dir_all(loc.config_dir.join(part)).unwrap();
            }
            fs::create_dir_all(folder.path().join("etc")).unwrap();
            for (name, text) in files {
                let path = if *name == "policy.toml" { loc.policy.clone() } else { loc.config_dir.join(name) };
                fs::write(path, format!("version = 1\n{text}")).unwrap();
            }
            Fixture { _folder: folder, loc }
        }

        pub(crate) fn variables(&self) -> Variables {
            Variables::new("/work", &self.loc.home, vec!["/data".into(), "sub".into()])
        }

        /// The profile of `servers/s.toml`.
        pub(crate) fn finish(&self, flags: &Flags) -> Result<Profile, ConfigError> {
            load_server("s", flags, &self.loc)?.finish("native", &self.variables())
        }

        fn refuse(&self) -> ConfigError {
            self.finish(&Flags::default()).unwrap_err()
        }
    }

    fn read_paths(profile: &Profile) -> Vec<&str> {
        let own = profile.files.read.iter().filter(|grant| !matches!(grant.origin.source, Source::BuiltIn(_)));
        own.map(|grant| grant.path.to_str().unwrap()).collect()
    }

    #[test]
    fn layers_go_from_general_to_particular() {
        let f = Fixture::new(&[
            (
                "config.toml",
                "trust = \"vetted\"\n[jail]\nfiles.read = [\"/config\"]\nlimits.memory = \"3GiB\"\nlimits.tmp = 1\n",
            ),
            ("profiles/inner.toml", "[jail]\nfiles.read = [\"/inner\"]\nenv.set = { A = \"inner\", B = \"inner\" }"),
            (
                "profiles/outer.toml",
                "use = [\"inner\"]\n[jail]\nfiles.read = [\"/outer\"]\nenv.set = { A = \"outer\" }",
            ),
            (
                "servers/s.toml",
                "use = [\"outer\", \"node\", \"inner\"]\ncommand = [\"x\", \"y\"]\n[jail]\nfiles.read = [\"/own\", \"/config\"]\nlimits.memory = \"4GiB\"\n",
            ),
        ]);
        let flags = Flags {
            read: vec!["flag".into()],
            env: vec!["A=flag".into(), "TOKEN".into()],
            args: vec!["z".into()],
            ..Flags::default()
        };
        let profile = f.finish(&flags).unwrap();
        assert_eq!(profile.used, ["default", "trust-vetted", "config.toml", "inner", "outer", "node", "s"]);
        assert_eq!(read_paths(&profile), ["/config", "/inner", "/outer", "/own", "/work/flag"]);
        assert_eq!(profile.trust.value, Trust::Vetted);
        assert_eq!(profile.limits.memory.value, 4 << 30);
        assert_eq!(profile.limits.tmp.value, 1);
        assert_eq!(profile.limits.processes.origin.to_string(), "built-in trust-vetted:6");
        let set: Vec<_> = profile.env.set.iter().map(|(name, value)| (name.as_str(), value.value.as_str())).collect();
        assert!(set.contains(&("A", "flag")) && set.contains(&("B", "inner")));
        assert!(profile.env.pass.iter().any(|name| name.value == "TOKEN"));
        // The first origin of a duplicate wins.
        let config = profile.files.read.iter().find(|grant| grant.path == Path::new("/config")).unwrap();
        assert!(config.origin.to_string().ends_with("config.toml:4"), "{}", config.origin);
        let command = profile.command.unwrap();
        assert_eq!(command.value, ["x", "y", "z"]);
        assert_eq!(command.origin.line, Some(3));
    }

    #[test]
    fn the_runtime_stands_in_for_use() {
        let used =
            |text: &str, flags: &Flags| Fixture::new(&[("servers/s.toml", text)]).finish(flags).unwrap().used.join(" ");
        assert_eq!(used("", &Flags::default()), "default trust-community native s");
        assert_eq!(used("use = []", &Flags::default()), "default trust-community s");
        assert_eq!(used("use = [\"default\", \"python\"]", &Flags::default()), "default trust-community python s");
        let flags = Flags { uses: vec!["node".into()], trust: Some(Trust::FirstParty), ..Flags::default() };
        assert_eq!(used("trust = \"vetted\"", &flags), "default trust-first-party node s");
    }

    #[test]
    fn run_with_a_command() {
        let f = Fixture::new(&[("servers/s.toml", "command = [\"x\"]\n[jail.files]\nread = [\"/own\"]")]);
        let layers = |profile: Option<&str>| {
            let flags = Flags { profile: profile.map(str::to_owned), args: vec!["ignored".into()], ..Flags::default() };
            load_flags_only(&flags, &f.loc).unwrap()
        };
        assert!(layers(None).written().is_none());
        let profile = layers(Some("s")).finish("node", &f.variables()).unwrap();
        assert_eq!((profile.name, profile.command), (None, None));
        assert_eq!(profile.used, ["default", "trust-community", "node", "s"]);
        let path = f.loc.server("s");
        let profile = layers(path.to_str()).finish("node", &f.variables()).unwrap();
        assert_eq!(read_paths(&profile), ["/own"]);
        let profile = layers(Some("python")).finish("node", &f.variables()).unwrap();
        assert_eq!(profile.used, ["default", "trust-community", "python"]);
    }

    #[test]
    fn a_profile_option_takes_the_place_of_the_servers_file() {
        let f = Fixture::new(&[("servers/other.toml", "command = [\"other\"]\n[jail.files]\nread = [\"/other\"]")]);
        let flags = Flags { profile: Some("other".to_owned()), ..Flags::default() };
        let profile = f.finish(&flags).unwrap();
        assert_eq!(profile.name.as_deref(), Some("s"));
        assert_eq!(read_paths(&profile), ["/other"]);
        let flags = Flags { profile: Some("node".to_owned()), ..Flags::default() };
        let error = load_server("s", &flags, &f.loc).unwrap().launch().unwrap_err();
        assert_eq!(error.code(), "no-command");
    }

    #[test]
    fn names_and_files_that_are_not_there() {
        let f = Fixture::new(&[("servers/github.toml", ""), ("profiles/team.toml", "")]);
        let server = |name: &str| load_server(name, &Flags::default(), &f.loc).unwrap_err();
        let error = server("githb");
        assert_eq!((error.code(), error.hint().unwrap().as_str()), ("profile-not-found", "did you mean `github`?"));
        assert_eq!(error.to_string(), "githb: no profile named `githb`");
        assert!(server("zzzzz").hint().unwrap().contains("servers/zzzzz.toml"));
        for name in ["../x", "a/b", "X", "", "x.toml/"] {
            assert_eq!(server(name).code(), "bad-name", "{name}");
        }
        assert!(server("a/b").hint().unwrap().contains("--profile"));
        let profile = |name: &str| {
            let flags = Flags { profile: Some(name.to_owned()), ..Flags::default() };
            load_flags_only(&flags, &f.loc).unwrap_err()
        };
        assert_eq!(profile("tem").hint().unwrap(), "did you mean `team`?");
        assert_eq!(profile("pyton").hint().unwrap(), "did you mean `python`?");
        for name in ["./none.toml", "none.toml", "/none"] {
            assert_eq!(profile(name).code(), "profile-not-found", "{name}");
        }
        let f = Fixture::new(&[("servers/s.toml", "\n\nuse = [\"node\", \"noed\"]")]);
        let error = f.refuse();
        assert_eq!((error.code(), error.place().line, error.place().column), ("unknown-bundle", Some(4), Some(16)));
        assert_eq!(error.hint().unwrap(), "did you mean `node`?");
    }

    #[test]
    fn circles_are_printed_whole() {
        let f = Fixture::new(&[
            ("servers/s.toml", "use = [\"a\"]"),
            ("profiles/a.toml", "use = [\"b\"]"),
            ("profiles/b.toml", "use = [\"node\", \"c\"]"),
            ("profiles/c.toml", "\nuse = [\"b\"]"),
        ]);
        let error = f.refuse();
        assert_eq!(error.code(), "use-cycle");
        assert!(
            error.to_string().ends_with("profiles/c.toml:3:8: profiles use one another in a circle: `b` → `c` → `b`"),
            "{error}"
        );
        let f = Fixture::new(&[("servers/s.toml", "use = [\"a\"]"), ("profiles/a.toml", "use = [\"a\"]")]);
        assert!(f.refuse().to_string().contains("`a` → `a`"));
        // A diamond is no circle.
        let f = Fixture::new(&[
            ("servers/s.toml", "use = [\"a\", \"b\"]"),
            ("profiles/a.toml", "use = [\"c\"]"),
            ("profiles/b.toml", "use = [\"c\"]"),
            ("profiles/c.toml", ""),
        ]);
        assert_eq!(f.finish(&Flags::default()).unwrap().used, ["default", "trust-community", "c", "a", "b", "s"]);
    }

    #[test]
    fn a_chain_of_bundles_ends() {
        let files: Vec<(String, String)> =
            (0..40).map(|n| (format!("profiles/b{n}.toml"), format!("use = [\"b{}\"]", n + 1))).collect();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        files.push(("servers/s.toml", "use = [\"b0\"]"));
        let error = Fixture::new(&files).refuse();
        assert_eq!(error.code(), "bad-value");
        assert!(error.to_string().contains("deep"), "{error}");
    }

    #[test]
    fn keys_in_the_wrong_file() {
        let cases = [
            ("config.toml", "\ncommand = [\"x\"]", "misplaced-key", 3),
            ("config.toml", "use = [\"node\"]", "misplaced-key", 2),
            ("profiles/b.toml", "command = [\"x\"]", "misplaced-key", 2),
            ("profiles/b.toml", "trust = \"first-party\"", "misplaced-key", 2),
            ("profiles/node.toml", "", "bundle-shadows", 2),
            ("servers/s.toml", "use = [\"trust-vetted\"]", "bad-value", 2),
            ("servers/s.toml", "use = [\"../x\"]", "bad-name", 2),
            ("servers/s.toml", "command = []", "bad-value", 2),
            ("servers/s.toml", "command = [\"\"]", "bad-value", 2),
            ("servers/s.toml", "command = [\"a\\u0000\"]", "bad-value", 2),
        ];
        for (file, text, code, line) in cases {
            let mut files = vec![("servers/s.toml", "use = [\"b\", \"node\"]"), ("profiles/b.toml", "")];
            files.push((file, text));
            let error = Fixture::new(&files).refuse();
            assert_eq!((error.code(), error.place().line), (code, Some(line)), "{file} {text}: {error}");
            assert!(error.place().column.is_some() && error.hint().is_some());
        }
    }

    #[test]
    fn a_profile_that_others_can_write() {
        let f = Fixture::new(&[("servers/s.toml", "")]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(f.loc.server("s"), mode).unwrap();
        let error = f.refuse();
        assert_eq!(error.code(), "profile-insecure");
        assert!(error.hint().unwrap().contains("chmod go-w"), "{:?}", error.hint());
    }

    #[test]
    fn the_policy_is_in_force_for_every_way_to_run() {
        let f = Fixture::new(&[("servers/s.toml", ""), ("policy.toml", "[limits]\nmemory = \"8MiB\"")]);
        let flags = Flags::default();
        for layers in [load_server("s", &flags, &f.loc), load_flags_only(&flags, &f.loc)] {
            let profile = layers.unwrap().finish("node", &f.variables()).unwrap();
            assert_eq!(profile.limits.memory.value, 8 << 20);
        }
    }

    #[test]
    fn built_in_profiles_pass_the_protected_rule_and_set_every_scalar() {
        let f = Fixture::new(&[]);
        for name in ["node", "python", "native"] {
            let layers = load_flags_only(&Flags::default(), &f.loc).unwrap();
            let protected = layers.protected();
            let profile = layers.finish(name, &f.variables()).unwrap();
            for (grants, access) in
                [(&profile.files.read, super::super::Access::Read), (&profile.files.exec, super::super::Access::Exec)]
            {
                for grant in grants {
                    protected.check_written(grant, access).unwrap();
                }
            }
            super::super::Locator::new(protected).files(&profile.files).unwrap();
            let Profile { trust, tier, home, network, limits, gate, .. } = profile;
            let origins = [
                trust.origin,
                tier.origin,
                home.origin,
                network.loopback.origin,
                limits.memory.origin,
                limits.processes.origin,
                limits.open_files.origin,
                limits.tmp.origin,
                limits.file_size.origin,
                limits.cpu.origin,
                gate.drift.origin,
                gate.first_use.origin,
                gate.timeout.origin,
            ];
            assert!(origins.iter().all(|origin| origin.source != Source::Jail), "{name}");
        }
    }

    /// How long loading takes: `cargo test --release -- --ignored --nocapture timing`.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn timing() {
        let f = Fixture::new(&[(
            "servers/s.toml",
            "command = [\"node\", \"/x/index.js\"]\nuse = [\"node\"]\n[jail.files]\nwrite = [\"${arg1}\"]\n[jail.env]\npass = [\"TOKEN\"]\n",
        )]);
        fs::create_dir_all(f.loc.home.join(".config")).unwrap();
        fs::create_dir_all(f.loc.home.join(".local/share")).unwrap();
        let mut best = [std::time::Duration::MAX; 4];
        for _ in 0..500 {
            let start = std::time::Instant::now();
            let layers = load_server("s", &Flags::default(), &f.loc).unwrap();
            let loaded = start.elapsed();
            let protected = layers.protected();
            let mut profile = layers.finish("node", &f.variables()).unwrap();
            let finished = start.elapsed();
            profile.files.write.clear();
            let mut locator = super::super::Locator::new(protected);
            let ready = start.elapsed();
            let located = locator.files(&profile.files).unwrap();
            let all = start.elapsed();
            assert!(!located.exec.is_empty());
            for (best, now) in best.iter_mut().zip([loaded, finished - loaded, ready - finished, all - ready]) {
                *best = (*best).min(now);
            }
        }
        println!("load {:?}, finish {:?}, protected paths {:?}, locate {:?}", best[0], best[1], best[2], best[3]);
    }
}
