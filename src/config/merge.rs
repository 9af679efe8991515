//! Layers become one profile: lists add up, scalars are replaced, and every value keeps the line it came from.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::document::Document;
use super::env::{check_pass, check_set};
use super::error::{ConfigError, Problem};
use super::expand::{Variables, flag_path, profile_path};
use super::load::{Flags, Layer, flag_origin};
use super::raw::{
    RawEnv, RawFiles, RawGate, RawJail, RawLimits, RawNetwork, RawPath, RawProfile, RawRule, RawSyscalls, Size, Span,
};
use super::{
    Drift, EnvGrants, FileGrants, FirstUse, GateGrants, Home, LimitGrants, NetworkGrants, Origin, PathGrant, Profile,
    Source, Sourced, Tier, Trust,
};
use crate::egress::{Limits, Rule, RuleFault, Written};

/// How long the gate may wait: less no server can answer, more no host does.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// A profile in the making.
pub(super) struct Merge<'a> {
    variables: &'a Variables,
    profile: Profile,
}

impl<'a> Merge<'a> {
    /// Nothing granted, tightest scalars. The built-in `default` replaces all of them.
    pub(super) fn new(variables: &'a Variables) -> Merge<'a> {
        fn ground<T>(value: T) -> Sourced<T> {
            Sourced { value, origin: Origin { source: Source::Jail, line: None } }
        }
        let egress = Limits::default();
        let profile = Profile {
            name: None,
            command: None,
            trust: ground(Trust::Community),
            tier: ground(Tier::A),
            home: ground(Home::Ephemeral),
            files: FileGrants::default(),
            network: NetworkGrants {
                loopback: ground(false),
                allow: Vec::new(),
                connections: ground(egress.connections),
                idle_timeout: ground(egress.idle),
                lifetime: ground(egress.lifetime),
            },
            env: EnvGrants::default(),
            limits: LimitGrants {
                memory: ground(512 << 20),
                processes: ground(64),
                open_files: ground(256),
                tmp: ground(64 << 20),
                file_size: ground(64 << 20),
                cpu: ground(100),
            },
            syscalls: Vec::new(),
            gate: GateGrants {
                drift: ground(Drift::Refuse),
                first_use: ground(FirstUse::Refuse),
                timeout: ground(Duration::from_secs(30)),
            },
            used: Vec::new(),
        };
        Merge { variables, profile }
    }

    /// Adds a file. Taken apart without `..`, so that a new key cannot be forgotten here.
    pub(super) fn layer(&mut self, layer: &Layer) -> Result<(), ConfigError> {
        let document = &layer.document;
        // `version` was checked, `use` and what is run are the loader's.
        let RawProfile { version: _, command: _, package: _, args: _, trust, uses: _, jail, gate } = &layer.raw;
        let RawJail { tier, home, files, network, env, limits, syscalls } = jail;
        let profile = &mut self.profile;
        replace(&mut profile.trust, trust, document);
        replace(&mut profile.tier, tier, document);
        replace(&mut profile.home, home, document);
        self.files(files, document)?;
        self.network(network, document)?;
        self.env(env, document)?;
        self.limits(limits, document)?;
        self.gate(gate, document)?;
        let RawSyscalls { allow } = syscalls;
        for name in allow {
            self.profile.syscalls.push(sourced(name, document));
        }
        self.profile.used.push(layer.name.clone());
        Ok(())
    }

    fn files(&mut self, raw: &RawFiles, document: &Document) -> Result<(), ConfigError> {
        let RawFiles { read, write, list, exec, deny_write, guard } = raw;
        let variables = self.variables;
        let files = &mut self.profile.files;
        for (raw, grants, literal) in [
            (read, &mut files.read, false),
            (write, &mut files.write, true),
            (list, &mut files.list, false),
            (exec, &mut files.exec, false),
            (deny_write, &mut files.deny_write, true),
        ] {
            grants.reserve(raw.len());
            for path in raw {
                let grant = grant(path, literal, variables, document);
                grants.extend(grant.map_err(|problem| document.error(&path.span(), problem))?);
            }
        }
        for name in guard {
            let path = guard_path(name.get_ref()).map_err(|problem| document.error(&name.span(), problem))?;
            files.guard.push(Sourced { value: path, origin: document.origin(name.span().start) });
        }
        Ok(())
    }

    fn network(&mut self, raw: &RawNetwork, document: &Document) -> Result<(), ConfigError> {
        let RawNetwork { loopback, allow, connections, idle_timeout, lifetime } = raw;
        let network = &mut self.profile.network;
        replace(&mut network.loopback, loopback, document);
        for raw in allow {
            let RawRule(written) = raw.get_ref();
            let value = rule(written.clone()).map_err(|problem| document.error(&raw.span(), problem))?;
            network.allow.push(Sourced { value, origin: document.origin(raw.span().start) });
        }
        if let Some(connections) = connections {
            let most = Limits::MOST_CONNECTIONS;
            let value = u32::try_from(*connections.get_ref()).ok().filter(|count| (1..=most).contains(count));
            let Some(value) = value else {
                let problem = Problem::BadValue {
                    value: document.excerpt(connections.span()).to_owned(),
                    reason: format!("a server has at least one connection at once and at most {most}"),
                    remedy: "write a number in between, or take the line out for the default".to_owned(),
                };
                return Err(document.error(&connections.span(), problem));
            };
            network.connections = Sourced { value, origin: document.origin(connections.span().start) };
        }
        for (target, time) in [(&mut network.idle_timeout, idle_timeout), (&mut network.lifetime, lifetime)] {
            let Some(time) = time else { continue };
            let Span(value) = *time.get_ref();
            if !(Limits::SHORTEST..=Limits::LONGEST).contains(&value) {
                let problem = Problem::BadValue {
                    value: document.excerpt(time.span()).to_owned(),
                    reason: "times of connections are at least 1 s and at most 30 days".to_owned(),
                    remedy: "write a time in between, such as `\"1h\"`".to_owned(),
                };
                return Err(document.error(&time.span(), problem));
            }
            *target = Sourced { value, origin: document.origin(time.span().start) };
        }
        Ok(())
    }

    fn env(&mut self, raw: &RawEnv, document: &Document) -> Result<(), ConfigError> {
        let RawEnv { pass, set } = raw;
        for name in pass {
            check_pass(name.get_ref()).map_err(|problem| document.error(&name.span(), problem))?;
            self.profile.env.pass.push(sourced(name, document));
        }
        for (name, value) in set {
            check_set(name.get_ref(), value.get_ref()).map_err(|problem| document.error(&name.span(), problem))?;
            let value = Sourced { value: value.get_ref().clone(), origin: document.origin(name.span().start) };
            self.set(name.get_ref(), value);
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Sourced<String>) {
        let set = &mut self.profile.env.set;
        match set.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => set.push((name.to_owned(), value)),
        }
    }

    fn limits(&mut self, raw: &RawLimits, document: &Document) -> Result<(), ConfigError> {
        let RawLimits { memory, processes, open_files, tmp, file_size, cpu } = raw;
        let limits = &mut self.profile.limits;
        limit(&mut limits.memory, memory.as_ref(), size, document)?;
        limit(&mut limits.processes, processes.as_ref(), count, document)?;
        limit(&mut limits.open_files, open_files.as_ref(), count, document)?;
        limit(&mut limits.tmp, tmp.as_ref(), size, document)?;
        limit(&mut limits.file_size, file_size.as_ref(), size, document)?;
        replace(&mut limits.cpu, cpu, document);
        Ok(())
    }

    fn gate(&mut self, raw: &RawGate, document: &Document) -> Result<(), ConfigError> {
        let RawGate { drift, first_use, timeout } = raw;
        let gate = &mut self.profile.gate;
        replace(&mut gate.drift, drift, document);
        replace(&mut gate.first_use, first_use, document);
        let Some(timeout) = timeout else { return Ok(()) };
        let Span(value) = *timeout.get_ref();
        if !TIMEOUT.contains(&value) {
            let problem = Problem::BadValue {
                value: document.excerpt(timeout.span()).to_owned(),
                reason: "the gate waits at least 100 ms and at most 10 minutes".to_owned(),
                remedy: "write a time in between; most servers need less than `\"5s\"`".to_owned(),
            };
            return Err(document.error(&timeout.span(), problem));
        }
        gate.timeout = Sourced { value, origin: document.origin(timeout.span().start) };
        Ok(())
    }

    /// Adds what the command line says.
    pub(super) fn flags(&mut self, flags: &Flags) -> Result<(), ConfigError> {
        // `profile`, `uses` and `args` are the loader's.
        let Flags {
            read,
            write,
            exec,
            list,
            deny_write,
            env,
            profile: _,
            uses: _,
            trust,
            tier,
            home,
            loopback,
            net,
            trust_first_use,
            args: _,
        } = flags;
        let files = &mut self.profile.files;
        for (option, paths, grants, literal) in [
            ("--read", read, &mut files.read, false),
            ("--write", write, &mut files.write, true),
            ("--exec", exec, &mut files.exec, false),
            ("--list", list, &mut files.list, false),
            ("--deny-write", deny_write, &mut files.deny_write, true),
        ] {
            for path in paths {
                let origin = flag_origin(option, path);
                match flag_grant(path, literal, self.variables, &origin) {
                    Ok(grant) => grants.push(grant),
                    Err(problem) => return Err(ConfigError::new(&origin, problem)),
                }
            }
        }
        for entry in env {
            self.flag_env(entry)?;
        }
        let origin = |option: &str, value: &str| flag_origin(option, OsStr::new(value));
        if let Some(value) = *trust {
            let name = match value {
                Trust::Community => "community",
                Trust::Vetted => "vetted",
                Trust::FirstParty => "first-party",
            };
            self.profile.trust = Sourced { value, origin: origin("--trust", name) };
        }
        if let Some(value) = *tier {
            self.profile.tier = Sourced { value, origin: origin("--tier", &value.to_string()) };
        }
        if let Some(value) = *home {
            let name = match value {
                Home::Ephemeral => "ephemeral",
                Home::Persistent => "persistent",
            };
            self.profile.home = Sourced { value, origin: origin("--home", name) };
        }
        if *trust_first_use {
            let origin = Origin { source: Source::Flag("--trust-first-use".to_owned()), line: None };
            self.profile.gate.first_use = Sourced { value: FirstUse::Trust, origin };
        }
        if *loopback {
            let origin = Origin { source: Source::Flag("--loopback".to_owned()), line: None };
            self.profile.network.loopback = Sourced { value: true, origin };
        }
        for to in net {
            let origin = origin("--net", to);
            let written = Written { to: to.clone(), ..Written::default() };
            let value = rule(written).map_err(|problem| ConfigError::new(&origin, problem))?;
            self.profile.network.allow.push(Sourced { value, origin });
        }
        Ok(())
    }

    fn flag_env(&mut self, entry: &str) -> Result<(), ConfigError> {
        // The value may be a secret, and origins are printed.
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (entry, None),
        };
        let origin = flag_origin("--env", OsStr::new(name));
        let checked = match value {
            Some(value) => check_set(name, value),
            None => check_pass(name),
        };
        checked.map_err(|problem| ConfigError::new(&origin, problem))?;
        match value {
            Some(value) => self.set(name, Sourced { value: value.to_owned(), origin }),
            None => self.profile.env.pass.push(Sourced { value: name.to_owned(), origin }),
        }
        Ok(())
    }

    /// The profile, without exact duplicates: of equal entries the first stays.
    pub(super) fn finish(self, name: Option<String>, command: Option<Sourced<Vec<OsString>>>) -> Profile {
        let mut profile = Profile { name, command, ..self.profile };
        let files = &mut profile.files;
        for grants in [&mut files.read, &mut files.write, &mut files.list, &mut files.exec, &mut files.deny_write] {
            distinct(grants, |grant| (grant.path.clone(), grant.dangerous, grant.optional));
        }
        distinct(&mut files.guard, |name| name.value.clone());
        distinct(&mut profile.env.pass, |name| name.value.clone());
        distinct(&mut profile.network.allow, |rule| rule.value.clone());
        distinct(&mut profile.syscalls, |name| name.value.clone());
        profile
    }
}

fn distinct<T, K: std::hash::Hash + Eq>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if items.len() > 1 {
        let mut seen = HashSet::with_capacity(items.len());
        items.retain(|item| seen.insert(key(item)));
    }
}

fn sourced(text: &Spanned<String>, document: &Document) -> Sourced<String> {
    Sourced { value: text.get_ref().clone(), origin: document.origin(text.span().start) }
}

fn replace<T: Copy>(target: &mut Sourced<T>, value: &Option<Spanned<T>>, document: &Document) {
    if let Some(value) = value {
        *target = Sourced { value: *value.get_ref(), origin: document.origin(value.span().start) };
    }
}

pub(super) fn rule(written: Written) -> Result<Rule, Problem> {
    let to = written.to.clone();
    Rule::try_from(written).map_err(|fault| match fault {
        RuleFault::NeedsDangerous { .. } => Problem::DangerousRule { written: to, fault },
        fault => Problem::NetworkRule { written: to, fault },
    })
}

fn size(size: &Size) -> u64 {
    size.0
}

fn count(count: &u64) -> u64 {
    *count
}

/// A limit of which zero would mean "none at all" to some parts of the kernel and "no limit" to others.
pub(super) fn limit<T>(
    target: &mut Sourced<u64>,
    value: Option<&Spanned<T>>,
    number: fn(&T) -> u64,
    document: &Document,
) -> Result<(), ConfigError> {
    let Some(value) = value else { return Ok(()) };
    let number = number(value.get_ref());
    if number == 0 {
        let problem = Problem::BadValue {
            value: document.excerpt(value.span()).to_owned(),
            reason: "a limit of zero leaves nothing to run with".to_owned(),
            remedy: "write a larger number, or take the line out for the default".to_owned(),
        };
        return Err(document.error(&value.span(), problem));
    }
    *target = Sourced { value: number, origin: document.origin(value.span().start) };
    Ok(())
}

/// A grant of a profile; `None` for an optional one whose argument was not given.
fn grant(
    raw: &Spanned<RawPath>,
    literal: bool,
    variables: &Variables,
    document: &Document,
) -> Result<Option<PathGrant>, Problem> {
    let RawPath { path: written, dangerous, optional } = raw.get_ref();
    if literal && written.contains(['*', '?']) {
        return Err(Problem::Glob { written: written.clone() });
    }
    let path = match profile_path(written, variables) {
        Err(Problem::MissingArgument { .. }) if *optional => return Ok(None),
        path => path?,
    };
    Ok(Some(PathGrant {
        path,
        written: written.clone(),
        dangerous: *dangerous,
        optional: *optional,
        origin: document.origin(raw.span().start),
    }))
}

fn flag_grant(path: &OsStr, literal: bool, variables: &Variables, origin: &Origin) -> Result<PathGrant, Problem> {
    let written = path.to_string_lossy().into_owned();
    if literal && written.contains(['*', '?']) {
        return Err(Problem::Glob { written });
    }
    let path = flag_path(path, variables)?;
    Ok(PathGrant { path, written, dangerous: false, optional: false, origin: origin.clone() })
}

/// A guarded name: relative, literal, staying below the grant.
fn guard_path(name: &str) -> Result<PathBuf, Problem> {
    let path = Path::new(name);
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains(['*', '?', '\0']) {
        return Err(Problem::BadValue {
            value: name.to_owned(),
            reason: "a guarded name is relative to each writable grant, literal and without `.` and `..`".to_owned(),
            remedy: "write it like `\".git/hooks\"`".to_owned(),
        });
    }
    // Collected anew: without doubled and final slashes.
    Ok(path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::Fixture;
    use super::*;
    use crate::diagnose::Diagnose;
    use proptest::prelude::*;

    fn refuse(text: &str) -> ConfigError {
        Fixture::new(&[("servers/s.toml", text)]).finish(&Flags::default()).unwrap_err()
    }

    #[test]
    fn every_bad_value_is_told_with_its_place() {
        let cases = [
            ("jail.files.read = [\"notes\"]", "relative-path", 20, "`notes` is not an absolute path", "~/"),
            ("jail.files.read = [\"${arg3}\"]", "missing-argument", 20, "`${arg3}`", "optional = true"),
            ("jail.files.read = [\"/a\", \"${hme}/x\"]", "unknown-variable", 26, "`${hme}`", "`${home}`"),
            ("jail.files.write = [\"/a/*.txt\"]", "glob-in-grant", 21, "wildcard", "directory"),
            ("jail.files.deny-write = [\"/a/?\"]", "glob-in-grant", 26, "wildcard", "directory"),
            ("jail.files.guard = [\"/abs\"]", "bad-value", 21, "`/abs`", ".git/hooks"),
            ("jail.files.guard = [\"../up\"]", "bad-value", 21, "`../up`", ".git/hooks"),
            ("jail.files.guard = [\"\"]", "bad-value", 21, "relative", ".git/hooks"),
            (
                "jail.network.allow = [\"a.de:443\", \"https://b.de\"]",
                "network-rule",
                35,
                "`https://b.de`",
                "`b.de:443`",
            ),
            ("jail.network.allow = [{ to = \"a.de\", raw = true }]", "network-rule", 23, "no port", "`a.de:443`"),
            ("jail.network.allow = [\"*:443\"]", "dangerous-network-rule", 23, "every name", "dangerous = true"),
            ("jail.network.connections = 0", "bad-value", 28, "at least one", "default"),
            ("jail.network.connections = 65537", "bad-value", 28, "65536", "default"),
            ("jail.network.idle-timeout = \"0s\"", "bad-value", 29, "at least 1 s", "1h"),
            ("jail.network.lifetime = \"721h\"", "bad-value", 25, "30 days", "1h"),
            ("jail.env.pass = [\"LD_PRELOAD\"]", "bad-value", 18, "the dynamic loader", "set ="),
            ("jail.env.pass = [\"*\"]", "bad-value", 18, "whole environment", "name"),
            ("jail.env.set = { \"A B\" = \"x\" }", "bad-value", 18, "not the name", "letters"),
            ("jail.limits.memory = 0", "bad-value", 22, "zero", "default"),
            ("jail.limits.tmp = \"0MiB\"", "bad-value", 19, "zero", "default"),
        ];
        for (text, code, column, says, hints) in cases {
            let error = refuse(text);
            assert_eq!(error.code(), code, "{text}: {error}");
            assert_eq!((error.place().line, error.place().column), (Some(2), Some(column)), "{text}: {error}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.hint().unwrap().contains(hints), "{:?}", error.hint());
        }
    }

    #[test]
    fn options_are_judged_like_lines() {
        let f = Fixture::new(&[("servers/s.toml", "")]);
        let finish = |flags: &Flags| f.finish(flags).unwrap_err();
        let error = finish(&Flags { write: vec!["a*".into()], ..Flags::default() });
        assert_eq!(error.to_string(), "--write a*: `a*` holds a wildcard, and grants are literal paths");
        let error = finish(&Flags { env: vec!["LD_PRELOAD".into()], ..Flags::default() });
        assert_eq!(error.code(), "bad-value");
        let error = finish(&Flags { env: vec!["A B=secret".into()], ..Flags::default() });
        assert!(error.code() == "bad-value" && !error.to_string().contains("secret"), "{error}");
        let error = finish(&Flags { read: vec!["".into()], ..Flags::default() });
        assert_eq!(error.code(), "relative-path");
        for (rule, code) in [("a.de", "network-rule"), ("*:443", "dangerous-network-rule")] {
            let error = finish(&Flags { net: vec![rule.to_owned()], ..Flags::default() });
            assert_eq!(error.code(), code);
            assert!(error.to_string().starts_with(&format!("--net {rule}: `{rule}`: ")), "{error}");
        }
        let flags = Flags { tier: Some(Tier::B), home: Some(Home::Persistent), loopback: true, ..Flags::default() };
        let profile = f.finish(&flags).unwrap();
        assert_eq!((profile.tier.value, profile.home.value), (Tier::B, Home::Persistent));
        assert_eq!(profile.network.loopback.origin.to_string(), "--loopback");
    }

    #[test]
    fn network_rules_of_all_layers_add_up() {
        let f = Fixture::new(&[
            ("config.toml", "jail.network = { allow = [\"log.example:443\"], lifetime = \"2h\", connections = 9 }"),
            (
                "profiles/db.toml",
                "[jail.network]\nallow = [{ to = \"db.example:5432\", private = true }]\nconnections = 8",
            ),
            (
                "servers/s.toml",
                "use = [\"db\"]\n[jail.network]\nallow = [\"api.example:443\", \"LOG.example.:443\",\n \"db.example:5432\"]\nidle-timeout = \"5m\"",
            ),
        ]);
        let flags = Flags { net: vec!["localhost:8080".to_owned()], ..Flags::default() };
        let network = f.finish(&flags).unwrap().network;
        let lines: Vec<String> = network
            .allow
            .iter()
            .map(|rule| {
                let origin = rule.origin.to_string();
                format!("{} {}", rule.value.in_profile(), origin.rsplit('/').next().unwrap())
            })
            .collect();
        // What is the same rule stands once, on its first line; what differs in a condition is another rule.
        assert_eq!(
            lines,
            [
                "\"log.example:443\" config.toml:2",
                "{ to = \"db.example:5432\", private = true } db.toml:3",
                "\"api.example:443\" s.toml:4",
                "\"db.example:5432\" s.toml:5",
                "\"localhost:8080\" --net localhost:8080",
            ]
        );
        let hour = Duration::from_secs(3600);
        assert_eq!((network.connections.value, network.idle_timeout.value), (8, hour / 12));
        assert_eq!((network.lifetime.value, network.lifetime.origin.line), (2 * hour, Some(2)));
        let untouched = Fixture::new(&[("servers/s.toml", "")]).finish(&Flags::default()).unwrap().network;
        assert!(untouched.allow.is_empty());
        let limits = (untouched.connections.value, untouched.idle_timeout.value, untouched.lifetime.value);
        assert_eq!(limits, (2048, hour, 24 * hour));
    }

    #[test]
    fn an_optional_argument_may_be_left_out() {
        let text = "jail.files.read = [{ path = \"${arg9}\", optional = true }, \"${arg2}\"]";
        let profile = Fixture::new(&[("servers/s.toml", text)]).finish(&Flags::default()).unwrap();
        let own: Vec<_> = profile.files.read.iter().filter(|grant| grant.written.starts_with('$')).collect();
        assert_eq!(own.len(), 1);
        assert_eq!((own[0].path.as_path(), own[0].written.as_str()), (Path::new("/work/sub"), "${arg2}"));
    }

    #[test]
    fn duplicates_differ_by_what_they_promise() {
        let text = "jail.files.read = [\"/a\", \"/a/\", { path = \"/a\", optional = true }, { path = \"/a\", dangerous = true }]";
        let profile = Fixture::new(&[("servers/s.toml", text)]).finish(&Flags::default()).unwrap();
        assert_eq!(profile.files.read.iter().filter(|grant| grant.path == Path::new("/a")).count(), 3);
    }

    fn list() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("/(a|b|c)(/(d|e))?", 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What is granted stands in a layer, on the line that the grant names; what stands in a layer is granted.
        #[test]
        fn a_merged_profile_is_the_union_of_its_layers(layers in prop::collection::vec((list(), list()), 3), flags in list()) {
            let text = |(read, write): &(Vec<String>, Vec<String>)| format!("[jail.files]\nread = {read:?}\nwrite = {write:?}\n");
            let texts: Vec<String> = layers.iter().map(text).collect();
            let own = format!("use = [\"b\"]\n{}", texts[2]);
            let f = Fixture::new(&[("config.toml", &texts[0]), ("profiles/b.toml", &texts[1]), ("servers/s.toml", &own)]);
            let option = Flags { read: flags.iter().map(OsString::from).collect(), ..Flags::default() };
            let profile = f.finish(&option).unwrap();
            let stands = |grant: &PathGrant, key: &str| match &grant.origin {
                Origin { source: Source::File(path), line: Some(line) } => {
                    let text = std::fs::read_to_string(path).unwrap();
                    let line = text.lines().nth(usize::try_from(*line).unwrap() - 1).unwrap();
                    line.starts_with(key) && line.contains(&format!("{:?}", grant.written))
                }
                Origin { source: Source::Flag(option), line: None } => {
                    key == "read" && flags.contains(&grant.written) && *option == format!("--read {}", grant.written)
                }
                Origin { source: Source::BuiltIn(name), .. } => name == "default" && key == "read",
                _ => false,
            };
            prop_assert!(profile.files.read.iter().all(|grant| stands(grant, "read")));
            prop_assert!(profile.files.write.iter().all(|grant| stands(grant, "write")));
            prop_assert!(profile.files.list.is_empty() && profile.files.deny_write.is_empty());
            let all_read = layers.iter().flat_map(|(read, _)| read).chain(&flags);
            for path in all_read {
                prop_assert_eq!(profile.files.read.iter().filter(|grant| grant.path == Path::new(path)).count(), 1);
            }
            for path in layers.iter().flat_map(|(_, write)| write) {
                prop_assert_eq!(profile.files.write.iter().filter(|grant| grant.path == Path::new(path)).count(), 1);
            }
        }
    }
}
