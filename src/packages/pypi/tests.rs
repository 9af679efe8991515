//! Whole installations without a jail. Those that need an index are run by hand: see [`by_hand`].

use super::*;
use crate::command::Context;
use crate::packages::{Done, Job, PypiSpec};
use std::process::{Command, Stdio};

/// Runs jobs as they are, with exactly their variables and those that a jail sets itself.
struct Unjailed;

impl Workshop for Unjailed {
    fn run(&self, job: &Job) -> Result<Done, PackageError> {
        let program = job.argv.first().unwrap();
        let out = Command::new(program)
            .args(&job.argv[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .envs(job.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&job.cwd)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ok(Done {
            status: out.status.code().unwrap_or(255),
            stdout: out.stdout,
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
            refused: Vec::new(),
            out_of_memory: false,
            timed_out: false,
        })
    }

    fn step(&self, what: &str) {
        eprintln!("step {what}");
    }

    fn note(&self, text: &str) {
        eprintln!("note {text}");
    }
}

#[test]
fn a_link_in_the_place_of_a_file_of_ours_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let (precious, file) = (temp.path().join("precious"), temp.path().join("requirements.txt"));
    fs::write(&precious, "kept").unwrap();
    std::os::unix::fs::symlink(&precious, &file).unwrap();
    write(&file, "lock").unwrap();
    write(&file, "again").unwrap();
    assert_eq!(
        (fs::read_to_string(&precious).unwrap(), fs::read_to_string(&file).unwrap()),
        ("kept".into(), "again".into())
    );
}

/// `MCPJAIL_PYPI='DIR|NAME|VERSION|PYTHON|SCRIPTS|FLAGS'`: installs into `DIR/root`, prints what is there.
#[test]
#[ignore = "needs an index: run by hand with MCPJAIL_PYPI"]
fn by_hand() {
    let asked = std::env::var("MCPJAIL_PYPI").unwrap();
    let mut fields = asked.split('|').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let (dir, name, version, python, scripts, flags) = (PathBuf::from(next()), next(), next(), next(), next(), next());
    let mut context = Context::of_process().unwrap();
    if flags.contains("no-uv") {
        context.path = "/usr/bin:/bin".into();
    }
    let run = match name.strip_prefix("-m ") {
        Some(module) => PypiRun::Module(module.into()),
        None => PypiRun::Script(None),
    };
    let request = PypiRequest {
        main: PypiSpec {
            name: if name.starts_with("-m ") { String::new() } else { name },
            extras: Vec::new(),
            version,
        },
        with: Vec::new(),
        run,
        python: Some(python).filter(|python| !python.is_empty()),
        args: Vec::new(),
    };
    let scripts: Vec<String> = scripts.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let lock = std::env::var_os("MCPJAIL_LOCK").map(|path| fs::read(path).unwrap());
    let cache = PathBuf::from(std::env::var_os("MCPJAIL_CACHE").unwrap());
    let options = Options {
        context: &context,
        scripts: &scripts,
        network: &[],
        offline: flags.contains("offline"),
        lock: lock.as_deref(),
        cache: &cache,
    };
    let (root, meta, scratch) = (dir.join("root"), dir.join("meta"), dir.join("scratch"));
    match fill(&request, &options, &Place { root: &root, meta: &meta, scratch: &scratch }, &Unjailed) {
        Ok((installed, interpreter)) => {
            println!(
                "{} {:?} {} {}",
                installed.release,
                installed.start,
                installed.components.len(),
                interpreter.display()
            );
            fs::write(meta.join("installed.json"), serde_json::to_vec_pretty(&installed).unwrap()).unwrap();
        }
        Err(error) => {
            use crate::diagnose::Diagnose;
            println!("error[{}]: {error}\nhint: {:?}\n{error:?}", error.code(), error.hint());
        }
    }
}
