//! The whole install, by jobs that run without a jail, with exactly their variables.

use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap as Map;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Runs jobs as they are, so that a variable that is missing shows.
#[derive(Default)]
pub(super) struct Plain {
    pub(super) jobs: RefCell<Vec<Job>>,
    pub(super) notes: RefCell<Vec<String>>,
}

impl Workshop for Plain {
    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        for (path, _) in &job.grants {
            assert!(path.exists(), "{} is granted and not there", path.display());
        }
        let (program, arguments) = job.argv.split_first().unwrap();
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(job.env.iter().cloned())
            .current_dir(&job.cwd)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| PackageError::io("start", program, source))?;
        self.jobs.borrow_mut().push(job.clone());
        Ok(Done {
            status: output.status.code().unwrap_or(128),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            refused: Vec::new(),
            out_of_memory: false,
            timed_out: false,
        })
    }

    fn step(&self, _what: &str) {}

    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }
}
