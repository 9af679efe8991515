//! `--egress-log`, and what a person hears of a server's network while it runs.

use super::output::{Failed, IoFailed, visible};
use super::prepare::Prepared;
use crate::config::Origin;
use crate::diagnose::{Diagnose, Exit};
use crate::egress::{Reporter, Rules, Supervisor, Watch, tell};
use clap::Args;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where a server's network is written down.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct EgressLogArgs {
    /// Add every name the server asks for and every connection, allowed or refused, to this file: a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(super) egress_log: Option<PathBuf>,
}

/// A log that cannot be written, or would be worth nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum EgressLogError {
    /// It cannot be opened or made.
    #[error("the log of `--egress-log`, `{}`, cannot be opened", shown(path))]
    Open { path: PathBuf, source: io::Error },
    /// Something else is there.
    #[error("`{}`, which `--egress-log` names, is {kind}", shown(path))]
    NotRegular { path: PathBuf, kind: &'static str },
    /// The server could write it itself.
    #[error(
        "`{}`, which `--egress-log` names, lies in `{}`, which the server may write ({origin})",
        shown(path),
        shown(grant)
    )]
    Writable { path: PathBuf, grant: PathBuf, origin: Origin },
}

fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy())
}

impl Diagnose for EgressLogError {
    fn code(&self) -> &'static str {
        "egress-log"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            EgressLogError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "make its directory first, or name a file in one that is there".into()
            }
            EgressLogError::Open { .. } => "name a file that you may write".into(),
            EgressLogError::NotRegular { .. } => "name a file, or none that is there yet".into(),
            EgressLogError::Writable { .. } => "name a file outside of what the server may write".into(),
        })
    }
}

/// Opens the log to add to it; makes it (mode 0600) where there is none. Follows no symbolic link at its end and waits for
/// nobody: it is a file, or an error.
pub(super) fn open_log(path: &Path, prepared: &Prepared) -> Result<File, EgressLogError> {
    if let Some((grant, origin)) = prepared.within_reach(path) {
        return Err(EgressLogError::Writable { path: path.to_path_buf(), grant, origin });
    }
    open_file(path)
}

fn open_file(path: &Path) -> Result<File, EgressLogError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let not_regular = |kind| EgressLogError::NotRegular { path: path.to_path_buf(), kind };
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(libc::ELOOP) => not_regular("a symbolic link"),
        Some(libc::EISDIR) => not_regular("a directory"),
        // what open(2) says of a socket, and of a pipe that nobody reads
        Some(libc::ENXIO) => not_regular("a socket or a pipe"),
        _ => EgressLogError::Open { path: path.to_path_buf(), source },
    };
    let file = opened.map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    match kind {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_fifo() => Err(not_regular("a pipe")),
        _ => Err(not_regular("a device")),
    }
}

/// The network of a server that runs, and what is told of it.
pub(super) struct Connected {
    pub(super) supervisor: Supervisor,
    /// What is granted.
    pub(super) rules: Rules,
    pub(super) log: Option<File>,
    /// What the server is called.
    pub(super) server: String,
}

impl Connected {
    /// Listens until the [`Watch`] is dropped; `say` takes lines for people. The only thread of a process becomes one of
    /// two.
    pub(super) fn watch(self, say: impl FnMut(&str) + Send + 'static) -> Result<Watch, Failed> {
        let Connected { supervisor, rules, log, server } = self;
        let sink = tell(Reporter::new(rules), log, server, say);
        Watch::start(supervisor, sink)
            .map_err(|source| IoFailed { what: "listen to the server's network", source }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn a_log_is_made_for_the_user_alone_and_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        open_file(&path).unwrap().write_all(b"one\n").unwrap();
        open_file(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink(at("elsewhere"), at("link")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (name, kind) in [
            ("socket", "a socket or a pipe"),
            ("link", "a symbolic link"),
            ("directory", "a directory"),
            ("pipe", "a socket or a pipe"),
        ] {
            let error = open_file(&at(name)).unwrap_err();
            assert!(error.to_string().ends_with(&format!("is {kind}")), "{error}");
            assert!(error.hint().is_some());
        }
        // with a reader it could be opened
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(at("pipe")).unwrap();
        assert!(open_file(&at("pipe")).unwrap_err().to_string().ends_with("is a pipe"));
        assert!(open_file(Path::new("/dev/null")).unwrap_err().to_string().ends_with("is a device"));
        assert!(!at("elsewhere").exists(), "nothing is made through a link");
        let missing = open_file(&at("none/log")).unwrap_err();
        assert!(missing.hint().unwrap().starts_with("make its directory first"), "{missing}");
    }
}
