//! Paths that no careless line can grant: credentials, ways to run code outside the jail, doors to other processes.
//!
//! A grant that is a protected path, lies below one or contains one is refused, unless that very line says
//! `dangerous = true`. This file is pure; [`super::Locator`] adds where the protected paths lead on this disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Problem, shown};
use super::protected_table::{HOME, Reach, Rule, SYSTEM, Stops};
use super::{Locations, Origin, PathGrant, Sourced};

/// What a grant gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Names only.
    List,
    /// Reading and executing.
    Exec,
}

/// How a path lies to a protected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the protected path.
    Same,
    /// It lies below it.
    Below,
    /// It contains it.
    Above,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Same => "is",
            Relation::Below => "lies below",
            Relation::Above => "contains",
        })
    }
}

/// A path that hit a protected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The protected path.
    pub protected: PathBuf,
    /// How the path lies to it.
    pub relation: Relation,
    /// Why it is protected.
    pub reason: &'static str,
    /// The policy's line, if the administrator protects it; no `dangerous` helps then.
    pub policy: Option<Origin>,
}

/// A protected path that is not in the tables: one of this user or one found on disk.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    pub(super) path: PathBuf,
    pub(super) rule: Rule,
}

/// The protected paths of one user.
#[derive(Debug, Clone)]
pub struct Protected {
    /// The home directory, and where it leads.
    homes: Vec<PathBuf>,
    /// mcpjail's own directories and the runtime directory.
    own: Vec<Guarded>,
    policy: Vec<Sourced<PathBuf>>,
    /// Where protected paths lead by symlinks.
    aliases: Vec<Guarded>,
    /// Protected objects that exist: a bind mount or a case-insensitive name reaches them by another path.
    objects: HashMap<(u64, u64), Guarded>,
}

const HOME_REASON: &str = "the home directory holds everything that is yours";
const POLICY_REASON: &str = "the administrator protects it";

impl Protected {
    /// The protected paths of the user with these locations. Looks nothing up on disk.
    pub fn new(loc: &Locations) -> Protected {
        let tree = |path: &Path, why| Guarded {
            path: path.to_owned(),
            rule: Rule { path: "", reach: Reach::Tree, stops: Stops::Any, why },
        };
        let mut own = vec![
            tree(&loc.config_dir, "mcpjail's profiles say what servers may do"),
            tree(&loc.data_dir, "mcpjail's data says what was approved"),
            tree(&loc.state_dir, "mcpjail's logs say what happened"),
            tree(&loc.cache_dir, "mcpjail installs packages from its cache"),
        ];
        own.extend(loc.policy.parent().map(|parent| tree(parent, "the administrator's policy is not the server's")));
        own.extend(
            loc.user_runtime_dir.as_deref().map(|path| tree(path, "sockets of your session are doors out of the jail")),
        );
        Protected {
            homes: vec![loc.home.clone()],
            own,
            policy: Vec::new(),
            aliases: Vec::new(),
            objects: HashMap::new(),
        }
    }

    /// Adds paths that the administrator protects.
    #[must_use]
    pub(super) fn with_policy(mut self, policy: Vec<Sourced<PathBuf>>) -> Protected {
        self.policy = policy;
        self
    }

    /// What an absolute, normal path hits, if it is granted for this access. The administrator's paths come first.
    pub fn hit(&self, path: &Path, access: Access) -> Option<Hit> {
        self.policy_hit(path).or_else(|| self.rule_hit(path, access, true))
    }

    fn policy_hit(&self, path: &Path) -> Option<Hit> {
        self.policy.iter().find_map(|protected| {
            let relation = relation(path, &protected.value)?;
            let policy = Some(protected.origin.clone());
            Some(Hit { protected: protected.value.clone(), relation, reason: POLICY_REASON, policy })
        })
    }

    /// `whole`: also what contains a protected path, and the home itself, counts.
    fn rule_hit(&self, path: &Path, access: Access, whole: bool) -> Option<Hit> {
        let hit = |protected: PathBuf, relation, rule: &Rule| {
            let counts = match relation {
                Relation::Above => whole,
                Relation::Same => whole || rule.reach == Reach::Tree,
                Relation::Below => rule.reach == Reach::Tree,
            };
            let stopped = rule.stops == Stops::Any || access == Access::Write;
            (counts && stopped).then_some(Hit { protected, relation, reason: rule.why, policy: None })
        };
        let path = through_run(path);
        for home in &self.homes {
            match path.strip_prefix(home) {
                Ok(rest) if rest.as_os_str().is_empty() => {
                    if whole {
                        return Some(home_hit(home, Relation::Same));
                    }
                }
                Ok(rest) => {
                    let found = HOME.iter().find_map(|rule| {
                        let relation = relation(rest, Path::new(rule.path))?;
                        hit(home.join(rule.path), relation, rule)
                    });
                    if found.is_some() {
                        return found;
                    }
                }
                Err(_) if whole && home.starts_with(&path) => return Some(home_hit(home, Relation::Above)),
                Err(_) => {}
            }
        }
        let system = self.system_rules().find_map(|rule| {
            let relation = relation(&path, Path::new(rule.path))?;
            hit(PathBuf::from(rule.path), relation, rule)
        });
        system.or_else(|| {
            self.own.iter().chain(&self.aliases).find_map(|place| {
                let relation = relation(&path, &place.path)?;
                hit(place.path.clone(), relation, &place.rule)
            })
        })
    }

    /// Rules of the system's paths that hold for this user: `/root` is protected unless it is the home.
    fn system_rules(&self) -> impl Iterator<Item = &'static Rule> + use<'_> {
        SYSTEM.iter().filter(|rule| rule.path != "/root" || !self.homes.iter().any(|home| home.starts_with("/root")))
    }

    /// Checks a grant: the path as written, the symlinks that were met on the way, and where it leads.
    /// `objects` are device and inode of each directory on the way to `canonical`, and of itself.
    ///
    /// # Errors
    /// `protected-path`, or `policy-violation` for the administrator's.
    pub fn check(
        &self,
        grant: &PathGrant,
        access: Access,
        canonical: &Path,
        links: &[(PathBuf, PathBuf)],
        objects: &[(u64, u64)],
    ) -> Result<(), ConfigError> {
        self.check_written(grant, access)?;
        self.check_found(grant, access, canonical, links, objects)
    }

    /// The second half of [`Protected::check`]: what the disk adds to the path as written.
    pub(super) fn check_found(
        &self,
        grant: &PathGrant,
        access: Access,
        canonical: &Path,
        links: &[(PathBuf, PathBuf)],
        objects: &[(u64, u64)],
    ) -> Result<(), ConfigError> {
        let policy =
            || self.policy_hit(canonical).or_else(|| links.iter().find_map(|(link, _)| self.policy_below(link)));
        let rule = || {
            self.rule_hit(canonical, access, true)
                .or_else(|| links.iter().find_map(|(link, _)| self.rule_hit(link, access, false)))
                .or_else(|| self.object_hit(access, objects))
        };
        match policy().or_else(|| if grant.dangerous { None } else { rule() }) {
            Some(hit) => Err(refuse(grant, &hit, true)),
            None => Ok(()),
        }
    }

    /// Checks a grant by the path as written alone: needs no disk.
    ///
    /// # Errors
    /// As [`Protected::check`].
    pub fn check_written(&self, grant: &PathGrant, access: Access) -> Result<(), ConfigError> {
        let hit = self.policy_hit(&grant.path);
        let hit = hit.or_else(|| if grant.dangerous { None } else { self.rule_hit(&grant.path, access, true) });
        hit.map_or(Ok(()), |hit| Err(refuse(grant, &hit, false)))
    }

    fn policy_below(&self, link: &Path) -> Option<Hit> {
        self.policy_hit(link).filter(|hit| hit.relation != Relation::Above)
    }

    fn object_hit(&self, access: Access, objects: &[(u64, u64)]) -> Option<Hit> {
        let (last, folders) = objects.split_last()?;
        let find = |object, relation| {
            let Guarded { path, rule } = self.objects.get(object)?;
            let stopped = rule.stops == Stops::Any || access == Access::Write;
            let counts = relation == Relation::Same || rule.reach == Reach::Tree;
            (stopped && counts).then(|| Hit { protected: path.clone(), relation, reason: rule.why, policy: None })
        };
        find(last, Relation::Same).or_else(|| folders.iter().find_map(|folder| find(folder, Relation::Below)))
    }

    /// The protected trees of this user that stop these grants, as absolute paths: for looking up where they lead.
    /// The system's programs and /etc are where their names say and are left out.
    pub(super) fn trees(&self, stops: Stops) -> Vec<Guarded> {
        let home = self.homes.first().map(PathBuf::as_path).unwrap_or(Path::new("/"));
        let wanted = |rule: &Rule| rule.reach == Reach::Tree && rule.stops == stops;
        let in_home = HOME.iter().filter(|rule| wanted(rule));
        let in_home = in_home.map(|rule| Guarded { path: home.join(rule.path), rule: *rule });
        let system =
            self.system_rules().filter(|rule| wanted(rule) && stops == Stops::Any && !rule.path.starts_with("/etc/"));
        let system = system.map(|rule| Guarded { path: PathBuf::from(rule.path), rule: *rule });
        in_home.chain(system).chain(self.own.iter().filter(|place| wanted(&place.rule)).cloned()).collect()
    }

    /// The home directory as it is known.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.homes.first().cloned()
    }

    pub(super) fn add_home(&mut self, canonical: PathBuf) {
        if !self.homes.contains(&canonical) {
            self.homes.push(canonical);
        }
    }

    /// An object that may not be granted itself, by whatever name: the root, the home and what lies between.
    pub(super) fn add_above(&mut self, object: (u64, u64), path: PathBuf) {
        let rule = Rule { path: "", reach: Reach::Itself, stops: Stops::Any, why: HOME_REASON };
        self.objects.entry(object).or_insert(Guarded { path, rule });
    }

    pub(super) fn add_object(&mut self, object: (u64, u64), canonical: PathBuf, place: Guarded) {
        if canonical != place.path {
            self.aliases.push(Guarded { path: canonical, rule: place.rule });
        }
        self.objects.entry(object).or_insert(place);
    }
}

fn home_hit(home: &Path, relation: Relation) -> Hit {
    Hit { protected: home.to_owned(), relation, reason: HOME_REASON, policy: None }
}

fn refuse(grant: &PathGrant, hit: &Hit, leads: bool) -> ConfigError {
    let Hit { protected, relation, reason, policy } = hit;
    if let Some(policy) = policy {
        let what = format!("`{}` {relation} the protected path `{}`", shown(&grant.written), shown(protected));
        return ConfigError::new(&grant.origin, Problem::PolicyViolation { what, policy: Box::new(policy.clone()) });
    }
    let relation = match (leads, relation) {
        (false, relation) => relation.to_string(),
        (true, Relation::Same) => "leads to".to_owned(),
        (true, Relation::Below) => "leads below".to_owned(),
        (true, Relation::Above) => "leads to a directory that contains".to_owned(),
    };
    let problem = Problem::Protected {
        written: grant.written.clone(),
        relation,
        protected: shown(protected),
        reason: (*reason).to_owned(),
    };
    ConfigError::new(&grant.origin, problem)
}

/// `/var/run` is `/run` on every system that has both.
fn through_run(path: &Path) -> Cow<'_, Path> {
    match path.strip_prefix("/var/run") {
        Ok(rest) if !rest.as_os_str().is_empty() => Cow::Owned(Path::new("/run").join(rest)),
        _ => Cow::Borrowed(path),
    }
}

/// How a path lies to another, by components. Both are normal, and both absolute or both relative.
///
/// One has to be the beginning of the other. Its last byte tells most pairs apart; this is asked a few thousand times a run.
fn relation(path: &Path, protected: &Path) -> Option<Relation> {
    let (path, protected) = (path.as_os_str().as_bytes(), protected.as_os_str().as_bytes());
    let (short, long) = if path.len() <= protected.len() { (path, protected) } else { (protected, path) };
    if short.last() != short.len().checked_sub(1).and_then(|last| long.get(last)) {
        return None;
    }
    let rest = long.strip_prefix(short)?;
    match rest.first() {
        None => Some(Relation::Same),
        // The root ends in its slash already.
        Some(byte) if *byte != b'/' && short != b"/" => None,
        Some(_) if path.len() < protected.len() => Some(Relation::Above),
        Some(_) => Some(Relation::Below),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Source;
    use super::*;
    use crate::diagnose::Diagnose;
    use proptest::prelude::*;

    pub(crate) fn locations(home: &str) -> Locations {
        let home = PathBuf::from(home);
        Locations {
            config_dir: home.join(".config/mcpjail"),
            data_dir: home.join(".local/share/mcpjail"),
            state_dir: home.join(".local/state/mcpjail"),
            cache_dir: home.join(".cache/mcpjail"),
            policy: PathBuf::from("/etc/mcpjail/policy.toml"),
            administrator: 0,
            user_runtime_dir: Some(PathBuf::from("/run/user/1000")),
            uid: 1000,
            home,
        }
    }

    fn refused(path: &str, access: Access) -> bool {
        Protected::new(&locations("/home/me")).hit(Path::new(path), access).is_some()
    }

    fn grant(path: &str, dangerous: bool) -> PathGrant {
        PathGrant {
            path: PathBuf::from(path),
            written: path.to_owned(),
            dangerous,
            optional: false,
            origin: Origin { source: Source::File(PathBuf::from("/x.toml")), line: Some(7) },
        }
    }

    #[test]
    fn relations() {
        let relation = |path: &str, protected: &str| relation(Path::new(path), Path::new(protected));
        assert_eq!(relation("/a", "/a"), Some(Relation::Same));
        assert_eq!(relation("/a/b", "/a"), Some(Relation::Below));
        assert_eq!(relation("/a", "/a/b"), Some(Relation::Above));
        assert_eq!(relation("/", "/a"), Some(Relation::Above));
        assert_eq!(relation("/a", "/"), Some(Relation::Below));
        assert_eq!(relation("/", "/"), Some(Relation::Same));
        assert_eq!(relation(".ssh", ".ssh/x"), Some(Relation::Above));
        for (path, protected) in [("/ab", "/a"), ("/a", "/ab"), ("/b/a", "/a"), ("/a/c", "/a/b"), (".sshx", ".ssh")] {
            assert_eq!(relation(path, protected), None, "{path} {protected}");
        }
    }

    #[test]
    fn trios() {
        let each = [Access::Read, Access::Write, Access::List, Access::Exec];
        for path in [
            "/",
            "/home",
            "/home/me",
            "/etc",
            "/run",
            "/var",
            "/var/run",
            "/tmp",
            "/home/me/.ssh",
            "/home/me/.ssh/id_ed25519",
            "/home/me/.config",
            "/home/me/.local",
            "/home/me/.local/share",
            "/home/me/.netrc",
            "/home/me/.npmrc",
            "/home/me/.mozilla",
            "/home/me/.mozilla/firefox/x.default",
            "/home/me/snap",
            "/home/me/.bash_history",
            "/home/me/.bashrc",
            "/home/me/.claude.json",
            "/home/me/.config/mcpjail/servers",
            "/etc/mcpjail",
            "/etc/shadow",
            "/etc/ssh/ssh_host_ed25519_key",
            "/root",
            "/root/x",
            "/proc",
            "/proc/1",
            "/sys",
            "/dev/null",
            "/boot",
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/user/1000/bus",
            "/run/user",
            "/run/dbus",
            "/tmp/.X11-unix",
        ] {
            for access in each {
                assert!(refused(path, access), "{path} {access:?}");
            }
        }
        for path in [
            "/home/me/projects/x",
            "/home/me/.sshfoo",
            "/home/me/.ssh2/x",
            "/home/meow",
            "/opt/foo",
            "/srv",
            "/tmp/x",
            "/home/me/.config/myapp",
            "/rooted",
            "/procfoo",
            "/var/data",
            "/mnt/x",
        ] {
            for access in each {
                assert!(!refused(path, access), "{path} {access:?}");
            }
        }
    }

    #[test]
    fn reading_and_writing_differ_where_it_is_sensible() {
        for path in [
            "/home/me/.local/bin",
            "/home/me/.local/bin/tool",
            "/home/me/.config/autostart",
            "/home/me/.nvm/versions/node/v22.0.0",
            "/home/me/.pyenv/versions/3.12.0",
            "/home/me/.cargo/bin",
            "/home/me/.local/share/uv/python",
            "/home/me/.gitconfig",
            "/usr/bin",
            "/etc/ssl/certs",
        ] {
            assert!(!refused(path, Access::Read) && !refused(path, Access::Exec), "{path}");
            assert!(refused(path, Access::Write), "{path}");
        }
        assert!(!refused("/usr", Access::Exec));
        assert!(refused("/usr", Access::Write));
        assert!(!refused("/usr/src/app", Access::Write));
    }

    #[test]
    fn the_home_may_be_below_root() {
        for home in ["/root", "/root/me"] {
            let protected = Protected::new(&locations(home));
            assert!(protected.hit(Path::new("/root"), Access::Read).is_some());
            assert!(protected.hit(&Path::new(home).join(".ssh"), Access::Read).is_some());
            assert!(protected.hit(&Path::new(home).join("projects"), Access::Read).is_none());
            assert!(protected.hit(Path::new("/home"), Access::Read).is_some());
            assert!(protected.hit(Path::new("/home/x"), Access::Read).is_none());
        }
    }

    #[test]
    fn dangerous_is_for_the_line_that_says_it() {
        let protected = Protected::new(&locations("/home/me"));
        let error = protected.check_written(&grant("/home/me/.ssh", false), Access::Read).unwrap_err();
        assert_eq!(error.code(), "protected-path");
        assert_eq!(error.to_string(), "/x.toml:7: `/home/me/.ssh` is protected: private keys and the hosts they open");
        assert!(error.hint().unwrap().contains("dangerous = true"));
        assert!(protected.check_written(&grant("/home/me/.ssh", true), Access::Read).is_ok());
    }

    #[test]
    fn where_it_leads_and_what_it_passes_count() {
        let protected = Protected::new(&locations("/home/me"));
        let check = |dangerous, canonical: &str, link: &str| {
            let links = [(PathBuf::from(link), PathBuf::from("x"))];
            protected.check(&grant("/home/me/notes", dangerous), Access::Read, Path::new(canonical), &links, &[])
        };
        assert!(check(false, "/home/me/n", "/home/me/notes").is_ok());
        let error = check(false, "/home/me/.ssh", "/home/me/notes").unwrap_err().to_string();
        assert!(error.contains("`/home/me/notes` leads to `/home/me/.ssh`"), "{error}");
        // `~/notes` → `~/.ssh` → `/data/keys`
        assert!(check(false, "/data/keys", "/home/me/.ssh").is_err());
        assert!(check(true, "/data/keys", "/home/me/.ssh").is_ok());
        // A home that is itself a symlink is no reason to refuse.
        assert!(check(false, "/data/me/n", "/home/me").is_ok());
    }

    #[test]
    fn the_administrators_paths_are_beyond_dangerous() {
        let origin = Origin { source: Source::Policy(PathBuf::from("/etc/mcpjail/policy.toml")), line: Some(3) };
        let policy = vec![Sourced { value: PathBuf::from("/srv/secrets"), origin }];
        let protected = Protected::new(&locations("/home/me")).with_policy(policy);
        for path in ["/srv", "/srv/secrets", "/srv/secrets/x"] {
            let error = protected.check_written(&grant(path, true), Access::Read).unwrap_err();
            assert_eq!(error.code(), "policy-violation");
            let text = error.to_string();
            assert!(text.starts_with("/x.toml:7: ") && text.ends_with("/etc/mcpjail/policy.toml:3"), "{text}");
        }
        assert!(protected.check_written(&grant("/srv/secrets2", false), Access::Read).is_ok());
    }

    #[test]
    fn objects_reach_what_paths_do_not() {
        let mut protected = Protected::new(&locations("/home/me"));
        let place = protected.trees(Stops::Any).into_iter().find(|place| place.path.ends_with(".ssh")).unwrap();
        protected.add_object((1, 2), place.path.clone(), place);
        let check = |objects: &[(u64, u64)]| {
            protected.check(&grant("/mnt/x", false), Access::Read, Path::new("/mnt/x"), &[], objects)
        };
        assert!(check(&[(1, 1), (1, 3)]).is_ok());
        assert!(check(&[(1, 1), (1, 2)]).is_err());
        assert!(check(&[(1, 2), (1, 3)]).unwrap_err().to_string().contains("leads below `/home/me/.ssh`"));
    }

    proptest! {
        #[test]
        fn whatever_contains_or_lies_below_is_refused(index in 0..HOME.len(), tail in "(/[a-z]{1,3}){0,3}", cut in 0usize..6) {
            let protected = Protected::new(&locations("/home/me"));
            let rule = &HOME[index];
            let below = format!("/home/me/{}{tail}", rule.path);
            prop_assert!(protected.hit(Path::new(&below), Access::Write).is_some());
            let rule_path = Path::new("/home/me").join(rule.path);
            let above = rule_path.ancestors().nth(cut).filter(|above| above.starts_with("/home/me"));
            prop_assert!(above.is_none_or(|above| protected.hit(above, Access::Write).is_some()));
            let beside = format!("/home/me/{}zzz", rule.path);
            let hit = protected.hit(Path::new(&beside), Access::Read);
            prop_assert!(hit.is_none(), "{beside}: {hit:?}");
        }
    }
}
