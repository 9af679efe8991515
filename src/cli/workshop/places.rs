//! What a job may do with the machine's disk, looked up.

use super::{YardError, broken};
use crate::cli::prepare::place;
use crate::command::CommandGrant;
use crate::config::{self, FileGrants, Kind, Located, Locations, Locator, Origin, PathGrant, Protected, Source};
use crate::packages::{Access, Job, PackageError};
use crate::plan::{self, Grant};
use std::path::{Component, Path, PathBuf};

/// The grants of a job.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) grants: Vec<Grant>,
    /// What it may write, canonical.
    pub(super) writable: Vec<PathBuf>,
    /// Where it runs, canonical.
    pub(super) cwd: PathBuf,
}

/// Looks up the job's own grants, those of its program and the built-in ones. `written` is what earlier jobs could write,
/// canonical: whoever wrote there may have put a symbolic link in the place of a directory.
pub(super) fn find(
    job: &Job,
    command: &[CommandGrant],
    files: &FileGrants,
    loc: &Locations,
    written: &[PathBuf],
) -> Result<Places, PackageError> {
    let mut locator = Locator::new(Protected::new(loc));
    let system = locator.files(files).map_err(broken)?;
    let mut grants: Vec<Grant> = Vec::new();
    for (access, located) in [(plan::Access::Read, &system.read), (plan::Access::Exec, &system.exec)] {
        grants.extend(located.iter().map(|located| Grant { place: place(located), access }));
    }
    let (mut own, mut writable): (Vec<(PathBuf, Access)>, Vec<PathBuf>) = Default::default();
    for (path, access) in &job.grants {
        let located = installers(&mut locator, path, *access, written)?;
        let kinds: &[plan::Access] = match access {
            Access::Read => &[plan::Access::Read],
            Access::Exec => &[plan::Access::Exec],
            Access::Write => &[plan::Access::Write],
            Access::WriteAndExec => &[plan::Access::Write, plan::Access::Exec],
        };
        grants.extend(kinds.iter().map(|access| Grant { place: place(&located), access: *access }));
        own.push((located.canonical.clone(), *access));
        if matches!(access, Access::Write | Access::WriteAndExec) {
            writable.push(located.canonical);
        }
    }
    // of the program, what the job's own grants have: a virtual environment in the stage, say
    let covered = |path: &Path| {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        own.iter().any(|(at, access)| matches!(access, Access::Exec | Access::WriteAndExec) && real.starts_with(at))
    };
    let others: Vec<CommandGrant> = command.iter().filter(|grant| !covered(&grant.path)).cloned().collect();
    let others = locator.command(&others, files).map_err(broken)?;
    grants.extend(others.iter().map(|located| Grant { place: place(located), access: plan::Access::Exec }));
    let outside = || broken(YardError::Outside { path: job.cwd.clone() });
    let cwd = job.cwd.canonicalize().map_err(|_| outside())?;
    if !own.iter().any(|(at, _)| cwd.starts_with(at)) {
        return Err(outside());
    }
    Ok(Places { grants, writable, cwd })
}

/// Looks up a path that the installer needs. Protected paths are no refusal; what a stranger may have redirected is.
fn installers(
    locator: &mut Locator,
    path: &Path,
    access: Access,
    written: &[PathBuf],
) -> Result<Located, PackageError> {
    let straight = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    // `components` drops what is superfluous, so that putting them together again tells whether there was any
    if !path.is_absolute() || !path.components().all(straight) || path.components().collect::<PathBuf>() != path {
        return Err(broken(YardError::Relative { path: path.to_path_buf() }));
    }
    let grant = PathGrant {
        path: path.to_path_buf(),
        written: path.to_string_lossy().into_owned(),
        dangerous: true,
        optional: false,
        origin: Origin { source: Source::Flag("the installer".to_owned()), line: None },
    };
    let asked = match access {
        Access::Read => config::Access::Read,
        Access::Exec => config::Access::Exec,
        Access::Write | Access::WriteAndExec => config::Access::Write,
    };
    let missing = || PackageError::io("find", path, std::io::ErrorKind::NotFound.into());
    let located = locator.grant(&grant, asked).map_err(broken)?.ok_or_else(missing)?;
    if let Some((link, _)) = located.links.iter().find(|(link, _)| written.iter().any(|at| link.starts_with(at))) {
        return Err(broken(YardError::Planted { link: link.clone() }));
    }
    if !matches!(located.kind, Kind::File | Kind::Directory) {
        return Err(broken(YardError::Special { path: located.canonical }));
    }
    Ok(located)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Diagnose;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    struct Home {
        loc: Locations,
        _folder: tempfile::TempDir,
    }

    impl Home {
        fn new() -> Home {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().canonicalize().unwrap();
            for dir in [".ssh", ".local/share/mcpjail/store/stages/s/root"] {
                fs::create_dir_all(home.join(dir)).unwrap();
            }
            fs::write(home.join(".ssh/id"), "secret").unwrap();
            let mut loc = Locations::from_environment().unwrap();
            loc.data_dir = home.join(".local/share/mcpjail");
            loc.home = home;
            Home { loc, _folder: folder }
        }

        fn stage(&self) -> PathBuf {
            self.loc.data_dir.join("store/stages/s")
        }

        fn find(&self, grants: &[(PathBuf, Access)], written: &[PathBuf]) -> Result<Places, PackageError> {
            let job = Job {
                name: "test".into(),
                argv: vec![OsString::from("/bin/true")],
                env: Vec::new(),
                cwd: grants[0].0.clone(),
                grants: grants.to_vec(),
                network: Vec::new(),
                timeout: Duration::from_secs(1),
            };
            find(&job, &[], &FileGrants::default(), &self.loc, written)
        }
    }

    #[test]
    fn a_stage_may_be_written_though_no_server_may() {
        let home = Home::new();
        let found = home.find(&[(home.stage(), Access::WriteAndExec)], &[]).unwrap();
        let access: Vec<plan::Access> = found.grants.iter().map(|grant| grant.access).collect();
        assert_eq!(access, [plan::Access::Write, plan::Access::Exec]);
        assert_eq!((found.writable, found.cwd), (vec![home.stage()], home.stage()));
    }

    #[test]
    fn a_link_that_an_earlier_job_could_make_leads_nowhere() {
        let home = Home::new();
        let root = home.stage().join("root");
        fs::remove_dir(&root).unwrap();
        symlink(home.loc.home.join(".ssh"), &root).unwrap();
        for access in [Access::Read, Access::Exec, Access::Write, Access::WriteAndExec] {
            let error = home.find(&[(root.clone(), access)], &[home.stage()]).unwrap_err();
            assert_eq!(error.code(), "install-escape", "{error}");
            let error = home.find(&[(root.join("id"), access)], &[home.stage()]).unwrap_err();
            assert_eq!(error.code(), "install-escape", "{error}");
        }
        // as a working directory it leads out of what is granted
        let grants = [(root.clone(), Access::Read), (home.stage(), Access::Write)];
        assert!(home.find(&grants, &[home.stage()]).is_err());
    }

    #[test]
    fn a_person_s_own_links_are_followed() {
        let home = Home::new();
        let alias = home.loc.home.join("alias");
        symlink(home.stage(), &alias).unwrap();
        let found = home.find(&[(alias.clone(), Access::Write)], &[]).unwrap();
        assert_eq!(found.writable, [home.stage()]);
        assert_eq!(found.grants[0].place.links[0].0, alias);
    }

    #[test]
    fn paths_are_straight() {
        let home = Home::new();
        let stage = home.stage();
        for path in [PathBuf::from("x"), stage.join(".."), stage.join("root/../../s")] {
            assert_eq!(home.find(&[(path, Access::Write)], &[]).unwrap_err().code(), "install-malformed");
        }
        let pipe = stage.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(home.find(&[(pipe, Access::Read)], &[]).unwrap_err().code(), "install-escape");
    }
}
