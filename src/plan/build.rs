//! Joins profile, command, places and facts to a [`Plan`].

use super::view::{self, CANARY, Parts};
use super::{
    Access, Egress, Facts, Grant, Kernel, Limits, Place, Plan, PlanError, Rights, Rule, Socket, Step, egress,
    environment, syscalls,
};
use crate::command::Resolved;
use crate::config::{Origin, Profile, Sourced, Tier};
use std::path::{Path, PathBuf};

/// What of the machine's /proc and /etc tier B, which has no view of its own, lets a runtime read.
const TIER_B_FILES: &[&str] = &[
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    // whole, since every child has a /proc/self of its own; Landlock keeps the memory, the environment and the
    // descriptors of processes outside its domain closed, as it does ptrace
    "/proc",
];

/// What covers do not reach, where Landlock has no word on sockets.
const UNCOVERED: &str = "sockets in granted directories can be connected to if they are created after the start, were \
                         renamed, or belong to another network namespace (Landlock ABI 9 stops it)";

/// What a plan is made from: everything has been looked up.
pub struct Inputs {
    /// The profile.
    pub profile: Profile,
    /// The command.
    pub command: Resolved,
    /// All grants: the profile's and the command's.
    pub grants: Vec<Grant>,
    /// The profile's own read-only islands.
    pub islands: Vec<Place>,
    /// Guarded names that exist in writable grants.
    pub guards: Vec<Place>,
    /// The server's lock.
    pub lock: Sourced<PathBuf>,
    /// Sockets in granted trees, where they were looked for: where only a cover keeps a server from them.
    pub sockets: Option<Vec<Socket>>,
    /// The machine and the caller.
    pub facts: Facts,
    /// The kernel.
    pub kernel: Kernel,
}

/// Makes the plan for one tier.
///
/// # Errors
/// [`PlanError`]: what the profile asks for and this tier or kernel cannot give.
pub fn build(inputs: Inputs, tier: Tier) -> Result<Plan, PlanError> {
    let Inputs { profile, command, grants, islands, guards, lock, sockets: doors, facts, kernel } = inputs;
    if kernel.landlock_abi == 0 {
        return Err(PlanError::NoLandlock);
    }
    for asked in &profile.syscalls {
        if syscalls::find(&asked.value).is_none() {
            return Err(PlanError::UnknownSyscall { name: asked.value.clone(), origin: asked.origin.clone() });
        }
    }
    let loopback = profile.network.loopback.clone();
    let egress = egress::egress(profile.network, tier)?;
    let private = facts.private.clone().unwrap_or_default();
    let (tmp, home, canary) = match tier {
        Tier::A => (PathBuf::from("/tmp"), facts.account.home.clone(), PathBuf::from(CANARY)),
        Tier::B => {
            let home = facts.persistent_home.as_ref().map_or_else(|| private.join("home"), |p| p.canonical.clone());
            (private.join("tmp"), home, private.join("canary"))
        }
    };
    let connected = (egress != Egress::None).then_some(grants.as_slice());
    let environment = environment::environment(&profile.env, connected, &command, &facts, &tmp, &home);
    let (mut unenforced, mut limitations) = (Vec::new(), Vec::new());
    let (view, rules) = match tier {
        Tier::A => {
            // a guarded name protects only what lies in a writable grant; the profile's own islands must
            let all: Vec<Place> = islands.into_iter().chain(guards).collect();
            if doors.is_some() {
                limitations.push(UNCOVERED.into());
            }
            let parts = Parts {
                facts: &facts,
                grants: &grants,
                islands: &all,
                sockets: doors.as_deref().unwrap_or_default(),
                names: egress != Egress::None,
                tmp: &profile.limits.tmp,
                cwd: &facts.cwd,
            };
            let view = view::view(&parts)?;
            let rules = rules_of_view(&view);
            (view, rules)
        }
        Tier::B => {
            if let Some(island) = islands.into_iter().next() {
                return Err(PlanError::IslandInTierB { path: island.canonical, origin: island.origin });
            }
            for guard in guards {
                unenforced.push(format!("`{}` stays writable ({})", guard.canonical.display(), guard.origin));
            }
            unenforced.push("names, sizes and times of files outside the grants stay visible".into());
            unenforced.push("modes, times and attributes of every file of this user can be changed".into());
            unenforced.push("other processes and their command lines are not hidden".into());
            unenforced.push("the size of private storage (`tmp`) is not limited".into());
            if kernel.landlock_abi < 3 {
                unenforced.push("every file that this user may write can be truncated (Linux 6.2 stops it)".into());
            }
            if facts.account.uid == 0 {
                unenforced.push("files of /proc that only root may read stay readable to uid 0".into());
            }
            if kernel.landlock_abi < 6 {
                unenforced.push("signals to other processes of the same user are not stopped (Linux 6.12 does)".into());
            }
            (Vec::new(), rules_of_grants(&grants, &facts, &tmp, &home))
        }
    };
    let sockets = egress::sockets(&loopback, &egress, tier, &mut unenforced);
    let limits = profile.limits;
    Ok(Plan {
        name: profile.name,
        tier,
        least_tier: profile.tier,
        program: command.program,
        argv: command.argv,
        trail: command.trail,
        cwd: facts.cwd.clone(),
        account: facts.account,
        environment,
        view,
        rules,
        landlock_abi: kernel.landlock_abi,
        egress,
        sockets,
        syscalls: profile.syscalls,
        limits: Limits {
            memory: limits.memory,
            processes: limits.processes,
            open_files: limits.open_files,
            file_size: limits.file_size,
            cpu: limits.cpu,
        },
        gate: profile.gate,
        lock,
        canary,
        used: profile.used,
        unenforced,
        limitations,
    })
}

/// Landlock repeats what the mounts say, so that each wall stands without the other.
fn rules_of_view(view: &[super::Mount]) -> Vec<Rule> {
    let jail = Origin::jail();
    let names = Rights::from(Access::List);
    let read = Rights::from(Access::Read);
    let directory = |path: &str, rights: Rights| Rule {
        path: path.into(),
        rights,
        directory: true,
        optional: false,
        object: None,
        origin: jail.clone(),
    };
    let mut rules = vec![directory("/", names), directory("/etc", read), directory("/proc", read)];
    for mount in view {
        let (rights, directory) = match &mount.step {
            Step::Bind { place, rights, .. } => (*rights, place.directory),
            Step::Tmpfs { exec, .. } => {
                let exec = if *exec { Rights::from(Access::Exec) } else { Rights::default() };
                (Rights::from(Access::Write) | exec, true)
            }
            Step::Directory { .. } | Step::Symlink { .. } | Step::File { .. } | Step::Proc | Step::Mask { .. } => {
                continue;
            }
        };
        let origin = mount.origin.clone();
        rules.push(Rule { path: mount.path.clone(), rights, directory, optional: false, object: None, origin });
    }
    // a rule that an ancestor's rule covers adds nothing but time
    let covered = |rule: &Rule| {
        rule.path.ancestors().skip(1).any(|above| rules.iter().any(|r| r.path == above && r.rights.covers(rule.rights)))
    };
    let keep: Vec<bool> = rules.iter().map(|rule| !covered(rule)).collect();
    rules.into_iter().zip(keep).filter_map(|(rule, keep)| keep.then_some(rule)).collect()
}

fn rules_of_grants(grants: &[Grant], facts: &Facts, tmp: &Path, home: &Path) -> Vec<Rule> {
    let jail = Origin::jail();
    let mut rules: Vec<Rule> = Vec::new();
    let mut add = |new: Rule| match rules.iter_mut().find(|rule| rule.path == new.path) {
        Some(rule) => rule.rights = rule.rights | new.rights,
        None => rules.push(new),
    };
    let own = |path: &Path, rights: Rights, directory: bool, optional: bool| Rule {
        path: path.into(),
        rights,
        directory,
        optional,
        object: None,
        origin: jail.clone(),
    };
    let of_place = |place: &Place, rights: Rights| Rule {
        path: place.canonical.clone(),
        rights,
        directory: place.directory,
        optional: false,
        object: Some((place.dev, place.ino)),
        origin: place.origin.clone(),
    };
    let private = Rights::from(Access::Write) | Rights::from(Access::Exec);
    add(own(tmp, private, true, false));
    add(own(home, private, true, false));
    for grant in grants {
        add(of_place(&grant.place, grant.access.into()));
    }
    for place in &facts.devices {
        add(of_place(place, Rights { list: true, read: true, device: true, ..Rights::default() }));
    }
    for place in &facts.machine {
        add(of_place(place, Access::Read.into()));
    }
    for file in TIER_B_FILES {
        add(own(Path::new(file), Access::Read.into(), *file == "/proc", true));
    }
    rules
}
