//! Where installers run: a jail of their own, which reaches the registry and one directory. The command line provides it;
//! tests may provide another.

use super::fault::PackageError;
use crate::egress::Written;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What a job may do with a path of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and execute.
    Exec,
    /// Read, change, create and delete.
    Write,
    /// All of it: for install scripts, which build and run what they build.
    WriteAndExec,
}

/// One program to run in an install jail. It has no home, no variables and no network but what stands here.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it is for people: `npm install`.
    pub name: String,
    /// The program and its arguments; the program is found as `run -- PROGRAM` would find it, its installation is granted.
    pub argv: Vec<OsString>,
    /// Variables.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; lies in something granted.
    pub cwd: PathBuf,
    /// Paths that must exist. Protected paths are no exception here: these are the installer's, not a server's.
    pub grants: Vec<(PathBuf, Access)>,
    /// What it may connect to.
    pub network: Vec<Written>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its exit status; a signal counts as 128 and its number.
    pub status: i32,
    /// What it wrote to standard output, cut at 64 MiB.
    pub stdout: Vec<u8>,
    /// The last 64 KiB of standard error.
    pub stderr: String,
    /// What it wanted of the network and did not get, one line each, such as `github.com:443 …`.
    pub refused: Vec<String>,
    /// The kernel ended processes at the memory limit.
    pub out_of_memory: bool,
    /// It was ended because it took too long.
    pub timed_out: bool,
}

/// Runs jobs and tells the person how far things are.
pub trait Workshop {
    /// Runs a job to its end.
    ///
    /// # Errors
    /// The jail cannot be built or the program is not there ([`PackageError::Jail`]). A program that fails is no error.
    fn run(&self, job: &Job) -> Result<Done, PackageError>;

    /// Tells that a step begins, as a phrase: `resolving @scope/server`.
    fn step(&self, what: &str);

    /// A remark for the person.
    fn note(&self, text: &str);
}
