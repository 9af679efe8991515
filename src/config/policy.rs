//! The administrator's floor: `/etc/mcpjail/policy.toml`. It can only tighten.
//!
//! What can be tightened in silence and safely is (a limit is lowered, the tier raised, the loopback taken); the value's
//! origin then is the policy's line. What cannot is an error that names both lines: a server that runs without the
//! variable or the path that its profile promises would only fail later and stranger.

use std::path::PathBuf;

use toml::Spanned;

use super::document::{Document, check_policy_owner};
use super::env::{check_deny, covers};
use super::error::{ConfigError, Problem, shown};
use super::expand::{Variables, normal};
use super::merge::limit;
use super::raw::{RawDeny, RawLimits, RawPolicy};
use super::{Drift, FirstUse, LimitGrants, Locations, Origin, PathGrant, Profile, Source, Sourced, Tier, schema};
use crate::egress::Rule;

/// The floor, read and checked.
#[derive(Debug)]
pub(super) struct Policy {
    minimum_tier: Option<Sourced<Tier>>,
    forbid_dangerous: Option<Origin>,
    forbid_loopback: Option<Origin>,
    forbid_network: Option<Origin>,
    forbid_private_network: Option<Origin>,
    forbid_quarantine: Option<Origin>,
    require_approval: Option<Origin>,
    protected: Vec<Sourced<String>>,
    env: Vec<Sourced<String>>,
    ceilings: Ceilings,
    syscalls: Vec<Sourced<String>>,
}

#[derive(Debug, Default)]
struct Ceilings {
    memory: Option<Sourced<u64>>,
    processes: Option<Sourced<u64>>,
    open_files: Option<Sourced<u64>>,
    tmp: Option<Sourced<u64>>,
    file_size: Option<Sourced<u64>>,
    cpu: Option<Sourced<u64>>,
}

impl Policy {
    /// Reads the floor; `None` where there is none. Anything but a sound file of the administrator's is an error.
    pub(super) fn load(loc: &Locations) -> Result<Option<Policy>, ConfigError> {
        let path = &loc.policy;
        let source = Source::Policy(path.clone());
        let check = |metadata: &std::fs::Metadata| check_policy_owner(metadata, path, loc.administrator);
        Document::read(path, source, check)?.map(|document| Policy::parse(&document)).transpose()
    }

    fn parse(document: &Document) -> Result<Policy, ConfigError> {
        let raw: RawPolicy = schema::parse(document, schema::POLICY, |raw: &RawPolicy| raw.version.as_ref())?;
        let RawPolicy {
            version: _,
            minimum_tier,
            forbid_dangerous,
            forbid_loopback,
            forbid_network,
            forbid_private_network,
            forbid_quarantine,
            require_approval,
            protected,
            env,
            limits,
            syscalls,
        } = raw;
        let RawDeny { deny: env } = env;
        let RawDeny { deny: syscalls } = syscalls;
        let switch = |flag: Option<Spanned<bool>>| {
            flag.filter(|flag| *flag.get_ref()).map(|flag| document.origin(flag.span().start))
        };
        let sourced = |text: &Spanned<String>| Sourced {
            value: text.get_ref().clone(),
            origin: document.origin(text.span().start),
        };
        for entry in &env {
            check_deny(entry.get_ref()).map_err(|problem| document.error(&entry.span(), problem))?;
        }
        for path in &protected {
            let text = path.get_ref();
            if !(text.starts_with('/') || text == "~" || text.starts_with("~/")) || text.contains(['*', '?', '\0']) {
                let problem = Problem::BadValue {
                    value: text.clone(),
                    reason: "a protected path is absolute or starts with `~/`, and literal".to_owned(),
                    remedy: "write it like `\"/srv/secrets\"`".to_owned(),
                };
                return Err(document.error(&path.span(), problem));
            }
        }
        Ok(Policy {
            minimum_tier: minimum_tier
                .map(|tier| Sourced { value: *tier.get_ref(), origin: document.origin(tier.span().start) }),
            forbid_dangerous: switch(forbid_dangerous),
            forbid_loopback: switch(forbid_loopback),
            forbid_network: switch(forbid_network),
            forbid_private_network: switch(forbid_private_network),
            forbid_quarantine: switch(forbid_quarantine),
            require_approval: switch(require_approval),
            protected: protected.iter().map(sourced).collect(),
            env: env.iter().map(sourced).collect(),
            ceilings: Ceilings::parse(&limits, document)?,
            syscalls: syscalls.iter().map(sourced).collect(),
        })
    }

    /// Paths that no line may grant, not even a dangerous one.
    pub(super) fn protected(&self, home: &std::path::Path) -> Vec<Sourced<PathBuf>> {
        let expand = |text: &str| match text.strip_prefix('~') {
            Some(rest) => normal(&home.join(rest.trim_start_matches('/'))),
            None => normal(std::path::Path::new(text)),
        };
        let each = |path: &Sourced<String>| Sourced { value: expand(&path.value), origin: path.origin.clone() };
        self.protected.iter().map(each).collect()
    }

    /// Tightens a profile, or says why it cannot be.
    pub(super) fn apply(&self, profile: &mut Profile, variables: &Variables) -> Result<(), ConfigError> {
        let Policy {
            minimum_tier,
            forbid_dangerous,
            forbid_loopback,
            forbid_network,
            forbid_private_network,
            forbid_quarantine,
            require_approval,
            protected: _,
            env,
            ceilings,
            syscalls,
        } = self;
        if let Some(minimum) = minimum_tier
            && profile.tier.value < minimum.value
        {
            profile.tier = minimum.clone();
        }
        if let Some(policy) = forbid_loopback
            && profile.network.loopback.value
        {
            profile.network.loopback = Sourced { value: false, origin: policy.clone() };
        }
        if let Some(policy) = forbid_dangerous
            && let Some(grant) = grants(profile).find(|grant| grant.dangerous)
        {
            return Err(violation(&grant.origin, format!("`{}` is `dangerous`", shown(&grant.written)), policy));
        }
        // A rule cannot be taken out in silence: the server would meet a network that is broken in part.
        let every = |_: &Rule| true;
        for (policy, forbidden, what) in [
            (forbid_network, &every as &dyn Fn(&Rule) -> bool, "is a connection to the outside"),
            (forbid_private_network, &Rule::is_private, "leads into this machine's own network"),
            (forbid_dangerous, &Rule::dangerous, "is `dangerous`"),
            (forbid_loopback, &every, "brings a private loopback along"),
        ] {
            if let Some(policy) = policy
                && let Some(rule) = profile.network.allow.iter().find(|rule| forbidden(&rule.value))
            {
                return Err(violation(&rule.origin, format!("`{}` {what}", rule.value), policy));
            }
        }
        if let Some(policy) = require_approval
            && profile.gate.first_use.value == FirstUse::Trust
        {
            let what = "a catalog that nobody approved is trusted at first use".to_owned();
            return Err(violation(&profile.gate.first_use.origin, what, policy));
        }
        if let Some(policy) = forbid_quarantine
            && profile.gate.drift.value == Drift::Quarantine
        {
            let what = "a server that drifted is started in quarantine".to_owned();
            return Err(violation(&profile.gate.drift.origin, what, policy));
        }
        deny_env(profile, env, variables)?;
        ceilings.apply(&mut profile.limits);
        deny_syscalls(profile, syscalls, variables)
    }
}

fn grants(profile: &Profile) -> impl Iterator<Item = &PathGrant> {
    let files = &profile.files;
    [&files.read, &files.write, &files.list, &files.exec, &files.deny_write].into_iter().flatten()
}

fn violation(origin: &Origin, what: String, policy: &Origin) -> ConfigError {
    ConfigError::new(origin, Problem::PolicyViolation { what, policy: Box::new(policy.clone()) })
}

/// A denied name is an error; a pattern is replaced by the names that it covers now and the policy does not deny.
fn deny_env(profile: &mut Profile, deny: &[Sourced<String>], variables: &Variables) -> Result<(), ConfigError> {
    if deny.is_empty() {
        return Ok(());
    }
    let denied = |name: &str| deny.iter().find(|pattern| covers(&pattern.value, name));
    let mut pass: Vec<Sourced<String>> = Vec::with_capacity(profile.env.pass.len());
    for entry in &profile.env.pass {
        if entry.value.ends_with('*') {
            let covered =
                variables.env_names.iter().filter(|name| covers(&entry.value, name) && denied(name).is_none());
            for name in covered {
                if !pass.iter().any(|known| known.value == *name) {
                    pass.push(Sourced { value: name.clone(), origin: entry.origin.clone() });
                }
            }
        } else if let Some(pattern) = denied(&entry.value) {
            let what = format!("the variable `{}` is passed", entry.value);
            return Err(violation(&entry.origin, what, &pattern.origin));
        } else if !pass.iter().any(|known| known.value == entry.value) {
            pass.push(entry.clone());
        }
    }
    for (name, value) in &profile.env.set {
        if let Some(pattern) = denied(name) {
            return Err(violation(&value.origin, format!("the variable `{name}` is set"), &pattern.origin));
        }
    }
    profile.env.pass = pass;
    Ok(())
}

/// Compares by members, so that a denied group reaches its calls by name and the other way round.
fn deny_syscalls(profile: &Profile, deny: &[Sourced<String>], variables: &Variables) -> Result<(), ConfigError> {
    let members = |name: &Sourced<String>| {
        (variables.syscall_members)(&name.value)
            .ok_or_else(|| ConfigError::new(&name.origin, Problem::UnknownSyscall { name: name.value.clone() }))
    };
    let mut denied = Vec::with_capacity(deny.len());
    for name in deny {
        denied.push((name, members(name)?));
    }
    for allowed in &profile.syscalls {
        let calls = members(allowed)?;
        let hit = denied
            .iter()
            .find(|(name, denied)| name.value == allowed.value || denied.iter().any(|call| calls.contains(call)));
        if let Some((policy, _)) = hit {
            let what = format!("the system call group or call `{}` is allowed", shown(&allowed.value));
            return Err(violation(&allowed.origin, what, &policy.origin));
        }
    }
    Ok(())
}

impl Ceilings {
    fn parse(raw: &RawLimits, document: &Document) -> Result<Ceilings, ConfigError> {
        fn ceiling<T>(
            value: Option<&Spanned<T>>,
            number: fn(&T) -> u64,
            document: &Document,
        ) -> Result<Option<Sourced<u64>>, ConfigError> {
            let Some(some) = value else { return Ok(None) };
            let mut ceiling = Sourced { value: 0, origin: document.origin(some.span().start) };
            limit(&mut ceiling, value, number, document)?;
            Ok(Some(ceiling))
        }
        let RawLimits { memory, processes, open_files, tmp, file_size, cpu } = raw;
        Ok(Ceilings {
            memory: ceiling(memory.as_ref(), |size| size.0, document)?,
            processes: ceiling(processes.as_ref(), |count| *count, document)?,
            open_files: ceiling(open_files.as_ref(), |count| *count, document)?,
            tmp: ceiling(tmp.as_ref(), |size| size.0, document)?,
            file_size: ceiling(file_size.as_ref(), |size| size.0, document)?,
            // A ceiling of 0, "no limit", would be no ceiling.
            cpu: ceiling(cpu.as_ref(), |percent| *percent, document)?,
        })
    }

    fn apply(&self, limits: &mut LimitGrants) {
        let Ceilings { memory, processes, open_files, tmp, file_size, cpu } = self;
        let lower = |value: &mut Sourced<u64>, ceiling: &Option<Sourced<u64>>| {
            if let Some(ceiling) = ceiling
                && value.value > ceiling.value
            {
                *value = ceiling.clone();
            }
        };
        lower(&mut limits.memory, memory);
        lower(&mut limits.processes, processes);
        lower(&mut limits.open_files, open_files);
        lower(&mut limits.tmp, tmp);
        lower(&mut limits.file_size, file_size);
        // 0 means no limit, which is above every ceiling.
        if let Some(ceiling) = cpu
            && (limits.cpu.value == 0 || limits.cpu.value > ceiling.value)
        {
            limits.cpu = ceiling.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Flags;
    use super::super::load::tests::Fixture;
    use super::super::{load_server, protected};
    use super::*;
    use crate::diagnose::Diagnose;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn finish(policy: &str, profile: &str) -> Result<Profile, ConfigError> {
        Fixture::new(&[("policy.toml", policy), ("servers/s.toml", profile)]).finish(&Flags::default())
    }

    #[test]
    fn limits_are_lowered_and_never_raised() {
        let policy =
            "[limits]\nmemory = \"2GiB\"\nprocesses = 100\nopen-files = 4096\ntmp = 10\nfile-size = 20\ncpu = 200";
        let profile = finish(policy, "jail.limits = { memory = \"4GiB\", processes = 9 }").unwrap();
        let limits = &profile.limits;
        assert_eq!(limits.memory.value, 2 << 30);
        assert!(limits.memory.origin.to_string().ends_with("etc/policy.toml:3"), "{}", limits.memory.origin);
        assert_eq!((limits.processes.value, limits.open_files.value), (9, 1024));
        assert_eq!((limits.tmp.value, limits.file_size.value, limits.cpu.value), (10, 20, 200));
        assert!(matches!(limits.cpu.origin.source, Source::Policy(_)));
        let profile = finish(policy, "jail.limits.cpu = 50").unwrap();
        assert_eq!(profile.limits.cpu.value, 50);
        let profile = finish(policy, "jail.limits.cpu = 300").unwrap();
        assert_eq!(profile.limits.cpu.value, 200);
    }

    #[test]
    fn tier_and_loopback_are_tightened() {
        let loose = "[jail]\ntier = \"B\"\nnetwork.loopback = true";
        let profile = finish("minimum-tier = \"A\"\nforbid-loopback = true", loose).unwrap();
        assert_eq!((profile.tier.value, profile.network.loopback.value), (Tier::A, false));
        assert_eq!(profile.network.loopback.origin.line, Some(3));
        let profile = finish("minimum-tier = \"B\"\nforbid-loopback = false", loose).unwrap();
        assert_eq!((profile.tier.value, profile.network.loopback.value), (Tier::B, true));
        let profile = finish("minimum-tier = \"B\"", "").unwrap();
        assert_eq!(profile.tier.value, Tier::A);
    }

    #[test]
    fn what_cannot_be_tightened_names_both_lines() {
        let cases = [
            ("forbid-dangerous = true", "jail.files.read = [{ path = \"/a\", dangerous = true }]", 2, "`/a`"),
            ("env.deny = [\"AWS_*\"]", "jail.env.pass = [\"AWS_REGION\"]", 2, "`AWS_REGION`"),
            ("\nenv.deny = [\"*_TOKEN\"]", "jail.env.set = { A_TOKEN = \"x\" }", 3, "`A_TOKEN`"),
            ("require-approval = true", "gate.first-use = \"trust\"", 2, "first use"),
            ("forbid-quarantine = true", "gate.drift = \"quarantine\"", 2, "quarantine"),
            ("forbid-network = true", "jail.network.allow = [\"a.de:443\"]", 2, "`a.de:443`"),
            ("forbid-loopback = true", "jail.network.allow = [\"a.de:443\"]", 2, "loopback"),
            ("forbid-dangerous = true", "jail.network.allow = [{ to = \"*:443\", dangerous = true }]", 2, "`*:443`"),
            ("forbid-private-network = true", "jail.network.allow = [\"a.de:1\", \"localhost:1\"]", 2, "`localhost:1`"),
            ("forbid-private-network = true", "jail.network.allow = [\"10.0.0.0/8:1\"]", 2, "own network"),
            (
                "forbid-private-network = true",
                "jail.network.allow = [{ to = \"a.de:1\", private = true }]",
                2,
                "`a.de:1`",
            ),
            ("syscalls.deny = [\"@chown\"]", "jail.syscalls.allow = [\"@chown\"]", 2, "`@chown`"),
        ];
        for (policy, profile, line, what) in cases {
            let error = finish(policy, profile).unwrap_err();
            let text = error.to_string();
            assert_eq!((error.code(), error.place().line), ("policy-violation", Some(2)), "{text}");
            assert!(text.contains("servers/s.toml:2: ") && text.contains(what), "{text}");
            assert!(text.ends_with(&format!("etc/policy.toml:{line}")), "{text}");
        }
    }

    #[test]
    fn what_the_network_policy_leaves() {
        let rules = "jail.network.allow = [\"a.de:443\", \"8.8.8.8:443\", \"*.b.de:443\"]";
        let profile = finish("forbid-private-network = true\nforbid-dangerous = true", rules).unwrap();
        assert_eq!(profile.network.allow.len(), 3);
        let off = "forbid-network = false\nforbid-private-network = false\nforbid-loopback = false";
        assert_eq!(finish(off, rules).unwrap().network.allow.len(), 3);
        // `config.toml`, a bundle and an option are held to it as well.
        for (file, own, flags) in [
            ("config.toml", "", Flags::default()),
            ("profiles/b.toml", "use = [\"b\"]", Flags::default()),
            ("profiles/unused.toml", "", Flags { net: vec!["a.de:443".to_owned()], ..Flags::default() }),
        ] {
            let files = [
                ("policy.toml", "forbid-network = true"),
                (file, "jail.network.allow = [\"a.de:443\"]"),
                ("servers/s.toml", own),
            ];
            assert_eq!(Fixture::new(&files).finish(&flags).unwrap_err().code(), "policy-violation", "{file}");
        }
    }

    #[test]
    fn approval_is_required_of_the_option_too() {
        let f = Fixture::new(&[("policy.toml", "require-approval = true"), ("servers/s.toml", "")]);
        let error = f.finish(&Flags { trust_first_use: true, ..Flags::default() }).unwrap_err();
        assert_eq!(error.code(), "policy-violation");
        assert!(error.to_string().starts_with("--trust-first-use: "), "{error}");
        assert!(error.hint().unwrap().contains("option"), "{:?}", error.hint());
        assert_eq!(f.finish(&Flags::default()).unwrap().gate.first_use.value, FirstUse::Refuse);
        let f = Fixture::new(&[("policy.toml", "require-approval = false"), ("servers/s.toml", "")]);
        let profile = f.finish(&Flags { trust_first_use: true, ..Flags::default() }).unwrap();
        assert_eq!(profile.gate.first_use.value, FirstUse::Trust);
    }

    #[test]
    fn a_pattern_passes_what_the_policy_leaves() {
        let f = Fixture::new(&[
            ("policy.toml", "env.deny = [\"*_TOKEN\"]"),
            ("servers/s.toml", "jail.env.pass = [\"GITHUB_*\", \"GITHUB_HOST\"]"),
        ]);
        let mut variables = f.variables();
        variables.env_names = ["GITHUB_TOKEN", "GITHUB_HOST", "OTHER"].map(str::to_owned).to_vec();
        let profile = load_server("s", &Flags::default(), &f.loc).unwrap().finish("node", &variables).unwrap();
        let names: Vec<_> = profile.env.pass.iter().map(|name| name.value.as_str()).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("GITHUB")).collect::<Vec<_>>(), [&"GITHUB_HOST"]);
        assert!(!names.iter().any(|name| name.ends_with('*')), "{names:?}");
    }

    #[test]
    fn system_calls_are_compared_by_members() {
        fn members(name: &str) -> Option<Vec<String>> {
            match name {
                "@debug" => Some(vec!["ptrace".to_owned(), "pidfd_getfd".to_owned()]),
                "ptrace" | "chown" => Some(vec![name.to_owned()]),
                _ => None,
            }
        }
        let finish = |policy: &str, allow: &str| {
            let own = format!("jail.syscalls.allow = [\"{allow}\"]");
            let f = Fixture::new(&[("policy.toml", policy), ("servers/s.toml", &own)]);
            let variables = Variables { syscall_members: members, ..f.variables() };
            load_server("s", &Flags::default(), &f.loc).unwrap().finish("node", &variables)
        };
        assert_eq!(finish("syscalls.deny = [\"@debug\"]", "ptrace").unwrap_err().code(), "policy-violation");
        assert_eq!(finish("syscalls.deny = [\"ptrace\"]", "@debug").unwrap_err().code(), "policy-violation");
        assert!(finish("syscalls.deny = [\"@debug\"]", "chown").is_ok());
        let error = finish("", "ptarce").unwrap_err();
        assert_eq!((error.code(), error.place().line), ("unknown-syscall", Some(2)));
        assert_eq!(finish("syscalls.deny = [\"@x\"]", "chown").unwrap_err().code(), "unknown-syscall");
    }

    #[test]
    fn protected_paths_reach_the_rule() {
        let f =
            Fixture::new(&[("policy.toml", "protected = [\"/srv/secrets/\", \"~/private\"]"), ("servers/s.toml", "")]);
        let protected = load_server("s", &Flags::default(), &f.loc).unwrap().protected();
        let hit = |path: &Path| protected.hit(path, protected::Access::Read).and_then(|hit| hit.policy);
        assert_eq!(hit(Path::new("/srv/secrets/x")).unwrap().line, Some(2));
        assert!(hit(&f.loc.home.join("private")).is_some());
        assert!(hit(Path::new("/srv/other")).is_none());
    }

    #[test]
    fn a_bad_policy_fails_closed() {
        for (policy, code, line) in [
            ("minimum-teir = \"A\"", "unknown-key", 2),
            ("[limits]\ncpu = 0", "bad-value", 3),
            ("[limits]\nmemory = \"lots\"", "bad-value", 3),
            ("protected = [\"relative\"]", "bad-value", 2),
            ("env.deny = [\"A*B\"]", "bad-value", 2),
            ("[tools]", "unknown-key", 2),
            ("x", "profile-syntax", 2),
        ] {
            let error = finish(policy, "").unwrap_err();
            assert_eq!((error.code(), error.place().line), (code, Some(line)), "{policy}: {error}");
            assert!(matches!(error.place().source, Source::Policy(_)));
        }
        let f = Fixture::new(&[("policy.toml", ""), ("servers/s.toml", "")]);
        fs::set_permissions(&f.loc.policy, fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(f.finish(&Flags::default()).unwrap_err().code(), "policy-insecure");
        fs::set_permissions(&f.loc.policy, fs::Permissions::from_mode(0o644)).unwrap();
        let mut foreign = f.loc.clone();
        foreign.administrator += 1;
        assert_eq!(load_server("s", &Flags::default(), &foreign).unwrap_err().code(), "policy-insecure");
        fs::remove_file(&f.loc.policy).unwrap();
        std::os::unix::fs::symlink("nowhere", &f.loc.policy).unwrap();
        assert_eq!(f.finish(&Flags::default()).unwrap_err().code(), "profile-unreadable");
        fs::remove_file(&f.loc.policy).unwrap();
        fs::create_dir(&f.loc.policy).unwrap();
        assert_eq!(f.finish(&Flags::default()).unwrap_err().code(), "profile-not-a-file");
        fs::remove_dir(&f.loc.policy).unwrap();
        assert!(f.finish(&Flags::default()).is_ok());
    }
}
