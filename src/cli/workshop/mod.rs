//! The install jail: installers and install scripts run here, with the registry, one directory of the store and nothing of
//! the person's.
//!
//! A job's plan is made of built-in profiles alone ([`load_install`]): what a person configured is for servers. Its grants
//! are the installer's own, below directories that no server may ever be granted, and so protected paths are no refusal
//! here; instead no grant may lead through a symbolic link that an earlier job could have made.

mod heard;
mod places;

use super::launch::{WIDE, is_unavailable, jail};
use super::output::{Failed, IoFailed};
use super::prepare::members;
use super::progress::Progress;
use super::walk::alone;
use crate::command::{self, Context};
use crate::config::{Locations, Origin, Sourced, Tier, Variables, load_install};
use crate::diagnose::{Diagnose, Exit};
use crate::egress::Watch;
use crate::facts;
use crate::jail::{self, JailError, Stdio};
use crate::packages::{Done, Job, PackageError, Workshop};
use crate::plan::{self, Facts, Inputs, Plan, Variable};
use crate::relay::{ServerExit, ServerProcess};
use crate::sockets;
use crate::sys::fd;
use crate::sys::poll::{Interest, wait_for};
use heard::{Refusals, head, tail};
use places::Places;
use std::cell::RefCell;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is kept of a job's standard output, bytes.
const STDOUT: usize = 64 << 20;
/// What is kept of the end of its standard error, bytes.
const STDERR: usize = 64 << 10;
/// How often a person sees that time goes by.
const TICK: Duration = Duration::from_millis(100);

/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
enum YardError {
    /// The machine has no namespaces for this user.
    #[error("packages are installed in a jail of tier A, which is not available here")]
    TierA(#[source] JailError),
    /// A path that is not given in full.
    #[error("`{}` is not absolute, or not in its shortest form", crate::diagnose::printable(&path.to_string_lossy()))]
    Relative { path: PathBuf },
    /// An install script, or a package, tried to lead the next job elsewhere.
    #[error("`{}` is a symbolic link that was made in the install jail", crate::diagnose::printable(&link.to_string_lossy()))]
    Planted { link: PathBuf },
    /// Neither a file nor a directory.
    #[error("`{}` is neither a file nor a directory", crate::diagnose::printable(&path.to_string_lossy()))]
    Special { path: PathBuf },
    /// The working directory is not granted.
    #[error("`{}`, where the installer would run, is not granted to it", crate::diagnose::printable(&path.to_string_lossy()))]
    Outside { path: PathBuf },
}

impl Diagnose for YardError {
    fn code(&self) -> &'static str {
        match self {
            YardError::TierA(_) => "egress-needs-tier-a",
            YardError::Relative { .. } | YardError::Outside { .. } => "install-malformed",
            YardError::Planted { .. } | YardError::Special { .. } => "install-escape",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Jail
    }

    fn hint(&self) -> Option<String> {
        match self {
            YardError::TierA(_) => Some(
                "what tier A needs here is said by `mcpjail doctor`; nothing is installed with less, since an installer \
                 runs what strangers wrote"
                    .into(),
            ),
            YardError::Planted { .. } | YardError::Special { .. } => {
                Some("the package attacks its installer: report it, and do not use it".into())
            }
            YardError::Relative { .. } | YardError::Outside { .. } => None,
        }
    }
}

/// Any error of a job's jail.
fn broken(error: impl Diagnose) -> PackageError {
    PackageError::Jail(Box::new(error))
}

/// The workshop of the command line. Jobs run one after the other; between them the process has one thread.
pub(super) struct Yard {
    loc: Locations,
    progress: RefCell<Progress>,
    /// What earlier jobs could write, canonical: symbolic links in it are a stranger's.
    written: RefCell<Vec<PathBuf>>,
}

impl Yard {
    /// One for all jobs of an install.
    pub(super) fn new(loc: &Locations) -> Yard {
        Yard { loc: loc.clone(), progress: RefCell::new(Progress::of_stderr()), written: RefCell::default() }
    }

    /// The last step is done.
    pub(super) fn done(&self) {
        self.progress.borrow_mut().done();
    }

    /// An error on its way to the person: what the installer said, and what it was refused, is told first.
    pub(super) fn failed(&self, error: PackageError) -> Failed {
        let none: &[String] = &[];
        let (said, refused) = match &error {
            PackageError::Failed { said, refused, .. } | PackageError::ScriptFailed { said, refused, .. } => {
                (said.as_slice(), refused.as_slice())
            }
            PackageError::Unreachable { refused, .. } => (none, refused.as_slice()),
            _ => (none, none),
        };
        said.iter().for_each(|line| self.note(&format!("the installer: {line}")));
        refused.iter().for_each(|line| self.note(&format!("the install jail: {line}")));
        error.into()
    }

    fn plan(&self, job: &Job) -> Result<Plan, PackageError> {
        let command = command::resolve(&job.argv, &context()?).map_err(broken)?;
        let mut variables = Variables::new("/", &self.loc.home, Vec::new());
        variables.syscall_members = members;
        let profile = load_install(&job.network, &variables, &self.loc).map_err(broken)?;
        let Places { grants, writable, cwd } =
            places::find(job, &command.grants, &profile.files, &self.loc, &self.written.borrow())?;
        self.written.borrow_mut().extend(writable);
        let facts = facts::facts(&profile, &self.loc, cwd, None).map_err(broken)?;
        let facts = Facts { environment: job.env.clone(), ..facts };
        let kernel = facts::kernel();
        let cover = !kernel.keeps_sockets_shut() && sockets::may_lie_in(&grants);
        let sockets = if cover { Some(sockets::in_grants(&grants).map_err(broken)?) } else { None };
        // no gate is before a job, and so nothing is read or written there
        let lock = Sourced { value: self.loc.data_dir.join("locks"), origin: Origin::jail() };
        let (islands, guards) = (Vec::new(), Vec::new());
        let inputs = Inputs { profile, command, grants, islands, guards, lock, sockets, facts, kernel };
        let mut plan = plan::build(inputs, Tier::A).map_err(broken)?;
        for (name, value) in &job.env {
            let variable = Variable { name: name.clone(), value: value.clone(), passed: true, origin: Origin::jail() };
            match plan.environment.iter_mut().find(|known| known.name == *name) {
                Some(known) => *known = variable,
                None => plan.environment.push(variable),
            }
        }
        Ok(plan)
    }

    /// Starts a job and waits for its end.
    fn execute(&self, job: &Job) -> Result<Done, PackageError> {
        let pipe = || fd::pipe().map_err(|source| broken(IoFailed { what: "make a pipe", source }));
        let ((stdin, nothing), (stdout, job_out), (stderr, job_err)) = (pipe()?, pipe()?, pipe()?);
        // whoever reads its standard input is at the end of it
        drop(nothing);
        fd::widen(stdout.as_fd(), WIDE);
        let stdio = Stdio { stdin, stdout: job_out, stderr: job_err };
        let nascent = jail::start(Tier::A, stdio).map_err(no_jail)?;
        let plan = self.plan(job)?;
        // signals end this process, and its end is the end of the jail
        let (mut running, supervisor) = jail(nascent, &plan, None).map_err(no_jail)?;
        let deadline = Instant::now() + job.timeout;
        let refusals = Refusals::default();
        let watch = supervisor.map(|supervisor| Watch::start(supervisor, refusals.ear())).transpose();
        let watch = watch.map_err(|source| broken(IoFailed { what: "listen to the job's network", source }))?;
        let thread = |source| broken(IoFailed { what: "start a thread", source });
        let stdout = head(stdout, STDOUT).map_err(thread)?;
        let stderr = tail(stderr, STDERR).map_err(thread)?;
        let mut timed_out = false;
        loop {
            let now = Instant::now();
            let soon = deadline.min(now + TICK);
            let ended = wait_for(running.pidfd(), Interest::Read, Some(soon));
            if ended.map_err(|source| broken(IoFailed { what: "wait for the job", source }))? {
                break;
            }
            if Instant::now() >= deadline {
                timed_out = true;
                let _gone_meanwhile = running.kill();
                break;
            }
            self.progress.borrow_mut().tick();
        }
        let exit = running.wait().map_err(|source| broken(IoFailed { what: "wait for the job", source }))?;
        let status = match exit {
            ServerExit::Code(code) => code,
            ServerExit::Signal(signal) => 128 + signal,
        };
        let out_of_memory = running.ran_out_of_memory();
        drop(running);
        drop(watch);
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Done { status, stdout, stderr, refused: refusals.take(), out_of_memory, timed_out })
    }
}

impl Workshop for Yard {
    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        let done = self.execute(job);
        // the next jail is made by a process of one thread
        alone().map_err(|source| broken(IoFailed { what: "end the job's threads", source }))?;
        done
    }

    fn step(&self, what: &str) {
        self.progress.borrow_mut().step(what);
    }

    fn note(&self, text: &str) {
        self.progress.borrow_mut().note(text);
    }
}

/// Where a job's program is looked for: by its name or its path, and from nowhere, so that no version manager reads what
/// lies about in the person's directory.
fn context() -> Result<Context, PackageError> {
    Ok(Context { cwd: "/".into(), ..Context::of_process().map_err(broken)? })
}

fn no_jail(error: JailError) -> PackageError {
    if is_unavailable(&error) { broken(YardError::TierA(error)) } else { broken(error) }
}
