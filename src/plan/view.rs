//! The root file system of tier A, as an ordered list of steps.
//!
//! Paths inside are the machine's own paths, so that what a server stores or prints means the same outside. Nothing is
//! ever created inside a bound tree: what is mounted there must exist there. Ancestors come before descendants.

use super::{Access, Facts, Grant, Mount, Place, PlanError, Rights, Socket, Step};
use crate::config::{Origin, Sourced};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the view is made from.
pub(super) struct Parts<'a> {
    pub(super) facts: &'a Facts,
    pub(super) grants: &'a [Grant],
    pub(super) islands: &'a [Place],
    pub(super) sockets: &'a [Socket],
    /// Whether the jail's own DNS answers.
    pub(super) names: bool,
    /// Size of each private tmpfs.
    pub(super) tmp: &'a Sourced<u64>,
    pub(super) cwd: &'a Path,
}

/// glibc, musl, c-ares and Go all read this much, and the same from it. There are no options: Go leaves its own resolver at
/// one that it does not know. There is no search list: the jail's host name has no dot that one could be made of.
const NAME_SERVER: &str = "# the jail's own: it knows the names that the profile grants\nnameserver 127.0.0.1\n";

type Nodes = BTreeMap<PathBuf, (Step, Origin)>;

/// Directory and file of the proof of Landlock; no rule covers the file.
pub(super) const CANARY: &str = "/.mcpjail/canary";

/// The steps, parents first.
pub(super) fn view(parts: &Parts<'_>) -> Result<Vec<Mount>, PlanError> {
    let mut nodes = furniture(parts);
    let mut links = Vec::new();
    for grant in parts.grants {
        let place = &grant.place;
        links.extend(place.links.iter().map(|link| (link, &place.origin)));
        bind(&mut nodes, place, grant.access.into());
    }
    drop_redundant(&mut nodes);
    islands(&mut nodes, parts.islands, parts.grants)?;
    for ((link, target), origin) in links {
        if !is_inside_bind(&nodes, link) {
            nodes.entry(link.clone()).or_insert_with(|| (Step::Symlink { target: target.clone() }, origin.clone()));
        }
    }
    if !is_inside_bind(&nodes, parts.cwd) {
        nodes.entry(parts.cwd.to_path_buf()).or_insert_with(|| (Step::Directory { mode: 0o755 }, Origin::jail()));
    }
    own_var_tmp(&mut nodes, parts.tmp);
    cover(&mut nodes, parts.sockets);
    add_parents(&mut nodes);
    nodes.remove(Path::new("/"));
    let home = parts.facts.persistent_home.as_ref().map(|_| parts.facts.account.home.as_path());
    let careful = |path: &Path| home.is_some_and(|home| path != home && path.starts_with(home));
    Ok(nodes.into_iter().map(|(path, (step, origin))| Mount { careful: careful(&path), path, step, origin }).collect())
}

/// What every jail has: /proc, /dev, private storage, generated files.
fn furniture(parts: &Parts<'_>) -> Nodes {
    let facts = parts.facts;
    let mut nodes = Nodes::new();
    let mut put = |path: &str, step: Step| {
        nodes.insert(PathBuf::from(path), (step, Origin::jail()));
    };
    put("/proc", Step::Proc);
    for (path, directory) in &facts.masks {
        put(&path.to_string_lossy(), Step::Mask { directory: *directory, socket: false });
    }
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        put(&format!("/dev/{name}"), Step::Symlink { target: format!("/proc/self/fd{target}").into() });
    }
    put("/etc/passwd", Step::File { text: passwd(facts) });
    put("/etc/group", Step::File { text: format!("jail:x:{}:\nnogroup:x:65534:\n", facts.account.gid) });
    put("/etc/hosts", Step::File { text: "127.0.0.1\tlocalhost mcpjail\n::1\tlocalhost mcpjail\n".into() });
    put("/etc/nsswitch.conf", Step::File { text: "passwd: files\ngroup: files\nhosts: files dns\n".into() });
    let resolv = if parts.names { NAME_SERVER } else { "# this jail has no name server\n" };
    put("/etc/resolv.conf", Step::File { text: resolv.into() });
    put(CANARY, Step::File { text: "no jailed process can read this file\n".into() });
    put("/var/tmp", Step::Symlink { target: "../tmp".into() });
    let sized = |exec: bool, mode: u32| Step::Tmpfs { size: parts.tmp.value, mode, exec };
    let tmp = &parts.tmp.origin;
    nodes.insert("/tmp".into(), (sized(true, 0o1777), tmp.clone()));
    nodes.insert("/dev/shm".into(), (sized(false, 0o1777), tmp.clone()));
    match &facts.persistent_home {
        None => {
            nodes.insert(facts.account.home.clone(), (sized(true, 0o700), tmp.clone()));
        }
        Some(place) => {
            let rights = Rights::from(Access::Write) | Rights::from(Access::Exec);
            let step = Step::Bind { place: place.clone(), rights, inside: false };
            nodes.insert(facts.account.home.clone(), (step, place.origin.clone()));
        }
    }
    for place in &facts.devices {
        bind(&mut nodes, place, Rights { list: true, read: true, device: true, ..Rights::default() });
    }
    for place in &facts.machine {
        bind(&mut nodes, place, Access::Read.into());
    }
    nodes
}

fn passwd(facts: &Facts) -> String {
    let account = &facts.account;
    let home = account.home.to_string_lossy();
    // a name or a path with a colon or a newline would forge further fields or lines
    let clean = |text: &str| text.replace([':', '\n'], "_");
    let (user, home) = (clean(&account.user), clean(&home));
    let nobody = if account.uid == 65534 { "" } else { "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n" };
    format!("{user}:x:{}:{}::{home}:/bin/sh\n{nobody}", account.uid, account.gid)
}

/// Adds a bind, joined with the rights of one that is there already; it replaces generated files and private storage.
fn bind(nodes: &mut Nodes, place: &Place, rights: Rights) {
    let (rights, origin) = match nodes.get(&place.canonical) {
        Some((Step::Bind { rights: before, .. }, origin)) => (*before | rights, origin.clone()),
        _ => (rights, place.origin.clone()),
    };
    let step = Step::Bind { place: place.clone(), rights, inside: false };
    nodes.insert(place.canonical.clone(), (step, origin));
}

/// Whether a step shows the machine's tree at its own path, so that what lies below is there already. A persistent home
/// is a bind too, but of another place.
fn shows_own_path(path: &Path, step: &Step) -> bool {
    matches!(step, Step::Bind { place, .. } if place.canonical == path)
}

/// The nearest mount strictly above `path`.
fn mount_above<'a>(nodes: &'a Nodes, path: &Path) -> Option<(&'a Path, &'a Step)> {
    path.ancestors().skip(1).find_map(|above| {
        nodes.get_key_value(above).and_then(|(found, (step, _))| match step {
            Step::Bind { .. } | Step::Tmpfs { .. } | Step::Proc | Step::Mask { .. } => Some((found.as_path(), step)),
            Step::Directory { .. } | Step::Symlink { .. } | Step::File { .. } => None,
        })
    })
}

fn is_inside_bind(nodes: &Nodes, path: &Path) -> bool {
    mount_above(nodes, path).is_some_and(|(at, step)| shows_own_path(at, step))
        || matches!(nodes.get(path), Some((Step::Bind { .. }, _)))
}

/// Drops binds that a bound ancestor already covers, and adds the ancestor's rights to those that ask for more: grants
/// add up, they never take away.
fn drop_redundant(nodes: &mut Nodes) {
    let paths: Vec<PathBuf> = nodes.keys().cloned().collect();
    for path in paths {
        let above = match mount_above(nodes, &path) {
            Some((at, step @ Step::Bind { rights, .. })) if shows_own_path(at, step) => *rights,
            _ => continue,
        };
        match nodes.get_mut(&path) {
            Some((Step::Bind { rights, .. }, _)) if above.covers(*rights) => {
                nodes.remove(&path);
            }
            Some((Step::Bind { rights, inside, .. }, _)) => {
                *rights = *rights | above;
                *inside = true;
            }
            // private storage and generated files give way to what a grant shows there
            Some((Step::Tmpfs { .. } | Step::File { .. } | Step::Symlink { .. } | Step::Directory { .. }, _)) => {
                nodes.remove(&path);
            }
            Some((Step::Proc | Step::Mask { .. }, _)) | None => {}
        }
    }
}

/// Read-only islands. Each directory between the writable grant and the island is bound onto itself as well: a mount
/// point cannot be renamed or removed, so the island cannot be moved out of the way and replaced.
///
/// What else is granted on or below an island keeps its other rights; it can be written only where a line says so.
fn islands(nodes: &mut Nodes, islands: &[Place], grants: &[Grant]) -> Result<(), PlanError> {
    let asked = |path: &Path| grants.iter().any(|g| g.access == Access::Write && g.place.canonical == path);
    for island in islands {
        let idle = || PlanError::IdleIsland { path: island.canonical.clone(), origin: island.origin.clone() };
        let (base, rights) = match mount_above(nodes, &island.canonical) {
            Some((base, Step::Bind { rights, .. })) if rights.write => (base.to_path_buf(), *rights),
            // inside another island: read-only already
            Some((base, Step::Bind { .. })) if islands.iter().any(|other| other.canonical == *base) => continue,
            _ => return Err(idle()),
        };
        let between = island.canonical.ancestors().skip(1).take_while(|above| *above != base);
        for pin in between.map(Path::to_path_buf).collect::<Vec<_>>() {
            let place = Place {
                canonical: pin.clone(),
                links: Vec::new(),
                directory: true,
                dev: 0, // a pin is the directory itself, whatever it is: nothing to compare
                ino: 0,
                origin: island.origin.clone(),
            };
            let step = Step::Bind { place, rights, inside: true };
            nodes.entry(pin).or_insert_with(|| (step, island.origin.clone()));
        }
        for (path, (step, _)) in nodes.iter_mut().filter(|(path, _)| path.starts_with(&island.canonical)) {
            if let Step::Bind { rights, .. } = step
                && !asked(path)
            {
                rights.write = false;
            }
        }
        let own = match nodes.get(&island.canonical) {
            Some((Step::Bind { rights, .. }, _)) => *rights,
            _ => Rights::default(),
        };
        let rights = Rights { write: false, ..rights | own };
        let step = Step::Bind { place: island.clone(), rights, inside: true };
        nodes.insert(island.canonical.clone(), (step, island.origin.clone()));
    }
    Ok(())
}

/// Covers sockets of the machine where a bound tree shows them. What is covered cannot be renamed or removed inside.
fn cover(nodes: &mut Nodes, sockets: &[Socket]) {
    for Socket { path, origin } in sockets {
        if mount_above(nodes, path).is_some_and(|(at, step)| shows_own_path(at, step)) {
            nodes.insert(path.clone(), (Step::Mask { directory: false, socket: true }, origin.clone()));
        }
    }
}

/// `/var/tmp` leads to `/tmp`, unless something is granted below it: nothing may be mounted through a symlink.
fn own_var_tmp(nodes: &mut Nodes, tmp: &Sourced<u64>) {
    let var_tmp = Path::new("/var/tmp");
    if nodes.keys().any(|path| path != var_tmp && path.starts_with(var_tmp))
        && let Some((step @ Step::Symlink { .. }, origin)) = nodes.get_mut(var_tmp)
    {
        *step = Step::Tmpfs { size: tmp.value, mode: 0o1777, exec: true };
        *origin = tmp.origin.clone();
    }
}

/// Every step's parents exist: as plain directories, unless a bound tree holds them.
fn add_parents(nodes: &mut Nodes) {
    let paths: Vec<PathBuf> = nodes.keys().cloned().collect();
    for path in paths {
        for parent in path.ancestors().skip(1) {
            if nodes.contains_key(parent) || is_inside_bind(nodes, parent) {
                break;
            }
            nodes.insert(parent.to_path_buf(), (Step::Directory { mode: 0o755 }, Origin::jail()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::jail()
    }

    fn place(path: &str) -> Place {
        Place { canonical: path.into(), links: Vec::new(), directory: true, dev: 1, ino: 1, origin: origin() }
    }

    /// The rights of each bind below `/p`, with these grants and islands.
    fn binds(grants: &[(&str, Access)], island: &[&str]) -> Vec<(String, String)> {
        let grants: Vec<Grant> = grants.iter().map(|(p, access)| Grant { place: place(p), access: *access }).collect();
        let mut nodes = Nodes::new();
        for grant in &grants {
            bind(&mut nodes, &grant.place, grant.access.into());
        }
        drop_redundant(&mut nodes);
        let all: Vec<Place> = island.iter().map(|path| place(path)).collect();
        islands(&mut nodes, &all, &grants).unwrap();
        let text = |(path, (step, _)): (&PathBuf, &(Step, Origin))| match step {
            Step::Bind { rights, .. } => (path.display().to_string(), rights.to_string()),
            other => panic!("{other:?}"),
        };
        nodes.iter().map(text).collect()
    }

    fn expect(found: &[(String, String)], wanted: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = found.iter().map(|(path, rights)| (path.as_str(), rights.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_lies_in_an_island_is_not_written_by_way_of_the_grant_around_it() {
        let grants = [("/p", Access::Write), ("/p/.claude/server", Access::Exec), ("/p/.venv", Access::Exec)];
        let found = binds(&grants, &["/p/.claude", "/p/.venv"]);
        expect(
            &found,
            &[
                ("/p", "read+write"),
                ("/p/.claude", "read"),
                ("/p/.claude/server", "read+exec"),
                ("/p/.venv", "read+exec"),
            ],
        );
    }

    #[test]
    fn sockets_are_covered_where_a_tree_shows_them() {
        let mut nodes = Nodes::new();
        bind(&mut nodes, &place("/p"), Access::Write.into());
        let grants = [Grant { place: place("/p"), access: Access::Write }];
        islands(&mut nodes, &[place("/p/q/island")], &grants).unwrap();
        // a persistent home: another place's tree
        let step = Step::Bind { place: place("/data/home"), rights: Access::Write.into(), inside: false };
        nodes.insert("/home/me".into(), (step, origin()));
        let paths = ["/elsewhere/s", "/home/me/s", "/p/q/island", "/p/q/s", "/p/s"];
        let sockets = paths.map(|path| Socket { path: path.into(), origin: origin() });
        cover(&mut nodes, &sockets);
        let masks: Vec<&Path> = nodes
            .iter()
            .filter(|(_, (step, _))| matches!(step, Step::Mask { directory: false, socket: true }))
            .map(|(path, _)| path.as_path())
            .collect();
        assert_eq!(masks, ["/p/q/island", "/p/q/s", "/p/s"].map(Path::new));
    }

    #[test]
    fn an_island_keeps_the_other_rights_around_it() {
        let grants = [("/p", Access::Exec), ("/p/q", Access::Write), ("/p/q/r/s", Access::Write)];
        let found = binds(&grants, &["/p/q/r"]);
        expect(&found, &[("/p", "read+exec"), ("/p/q", "read+write+exec"), ("/p/q/r", "read+exec")]);
    }
}
