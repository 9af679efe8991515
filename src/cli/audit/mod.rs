//! `mcpjail audit`: what is known against the packages that a server runs, by the ecosystem's own auditor in a jail that
//! reaches its database and nothing else.

mod pypi;
mod report;

use super::output::{BOLD, DIM, Failed, GREEN, RED, YELLOW, note, print, styled, visible};
use super::update::record_of;
use super::workshop::Yard;
use crate::command::Context;
use crate::config::Locations;
use crate::diagnose::{Diagnose, Exit};
use crate::packages::{Done, Ecosystem, Installed, Job, PackageError, Workshop, npm};
use crate::store::{Store, StoreError};
use pypi::Auditor;
use report::Finding;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Longest summary that is printed, characters.
const SUMMARY: usize = 120;
/// How many of an auditor's last lines are told where it failed.
const LINES: usize = 10;

/// Why nothing was audited.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    /// Nothing on this machine can ask.
    #[error("nothing on this machine audits packages of a Python index")]
    NoAuditor,
    /// No database knows the person's own code.
    #[error("`{release}` is code of this machine, which no database of vulnerabilities knows")]
    Local { release: String },
}

impl Diagnose for AuditError {
    fn code(&self) -> &'static str {
        match self {
            AuditError::NoAuditor | AuditError::Local { .. } => "no-auditor",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            AuditError::NoAuditor => "install one: `uv tool install pip-audit`, or a uv that knows `uv audit`".into(),
            AuditError::Local { .. } => "audit it where it is developed, for example with `npm audit`".into(),
        })
    }
}

pub(super) fn audit(name: &str) -> Result<ExitCode, Failed> {
    let loc = Locations::from_environment()?;
    let store = Store::new(&loc.data_dir);
    let record = record_of(&store, name)?;
    let installed = store.describe(&record.tree)?;
    let context = Context::of_process()?;
    let cwd = context.cwd.clone();
    let context = context.looking_from(cwd);
    let yard = Yard::new(&loc);
    // on the disk of the store, and removed whatever happens
    let stage = store.stage()?;
    let directory = stage.scratch();
    let lock = |file: &str| match store.meta(&record.tree, file)? {
        Some(lock) => Ok(lock),
        None => Err(Failed::from(StoreError::Missing { tree: record.tree })),
    };
    let (by, found) = match installed.release.ecosystem {
        Ecosystem::Npm => {
            let job = npm::audit_job(&lock("package-lock.json")?, &directory, &context, &yard)?;
            ("npm audit", ask(&yard, &job, report::npm)?)
        }
        Ecosystem::Pypi => {
            let (auditor, program) = pypi::find(&context).ok_or(AuditError::NoAuditor)?;
            let lock = lock("requirements.lock")?;
            let job = pypi::job(auditor, &program, &lock, &installed.components, &directory, &context)?;
            match auditor {
                Auditor::PipAudit => ("pip-audit", ask(&yard, &job, report::pip_audit)?),
                Auditor::Uv => ("uv audit", ask(&yard, &job, report::uv)?),
            }
        }
        Ecosystem::Local => {
            return Err(AuditError::Local { release: visible(&installed.release.to_string()) }.into());
        }
    };
    yard.done();
    let printed = print(&told(&installed, by, &found))?;
    Ok(if found.is_empty() { printed } else { ExitCode::from(Exit::Findings as u8) })
}

/// Runs an auditor and reads its report.
fn ask(
    yard: &Yard,
    job: &Job,
    read: fn(&serde_json::Value) -> Option<BTreeSet<Finding>>,
) -> Result<BTreeSet<Finding>, Failed> {
    yard.step(&format!("asking {}", job.name));
    let done = yard.run(job)?;
    let report = serde_json::from_slice(&done.stdout).unwrap_or_default();
    let found = judge(&done, read(&report)).ok_or_else(|| failed(yard, job, &done))?;
    for package in report::skipped(&report) {
        note(&format!("not audited: {package}"));
    }
    Ok(found)
}

/// A report counts only where the auditor's status agrees with it: 0 where it has nothing to tell, 1 where something was
/// found. It may be 0 in spite of findings that the person's configuration calls too light.
fn judge(done: &Done, found: Option<BTreeSet<Finding>>) -> Option<BTreeSet<Finding>> {
    let found = found.filter(|_| !done.timed_out)?;
    match done.status {
        0 => Some(found),
        1 if !found.is_empty() => Some(found),
        _ => None,
    }
}

fn failed(yard: &Yard, job: &Job, done: &Done) -> Failed {
    let Done { status, stdout, stderr, refused, timed_out, .. } = done;
    if *timed_out {
        return PackageError::TimedOut { job: job.name.clone(), seconds: job.timeout.as_secs() }.into();
    }
    // a uv from before it could audit
    if stderr.contains("unrecognized subcommand") {
        return AuditError::NoAuditor.into();
    }
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    // npm tells in its report why there is none
    let report: serde_json::Value = serde_json::from_slice(stdout).unwrap_or_default();
    let message = report.get("message").and_then(serde_json::Value::as_str);
    let last = lines.iter().skip(lines.len().saturating_sub(LINES)).copied();
    let said: Vec<String> = last.chain(message).map(str::to_owned).collect();
    yard.failed(PackageError::Failed { job: job.name.clone(), status: *status, said, refused: refused.clone() })
}

fn told(installed: &Installed, by: &str, found: &BTreeSet<Finding>) -> String {
    let release = visible(&installed.release.to_string());
    let parts = match installed.components.len() {
        1 => "1 package".to_owned(),
        count => format!("{count} packages"),
    };
    if found.is_empty() {
        return format!("{} {release}: nothing is known against its {parts}, by {by}\n", styled(GREEN, "✓"));
    }
    let vulnerabilities = match found.len() {
        1 => "1 known vulnerability".to_owned(),
        count => format!("{count} known vulnerabilities"),
    };
    let mut out = format!("{}: {vulnerabilities} in its {parts}, by {by}\n", styled(BOLD, &release));
    for Finding { package, version, id, severity, summary, fixed } in found {
        let version = if version.is_empty() { versions(installed, package) } else { version.clone() };
        let style = match severity.as_str() {
            "high" | "critical" | "quarantined" => RED,
            _ => YELLOW,
        };
        let severity = if severity.is_empty() { "unrated" } else { severity };
        let summary: String = summary.chars().take(SUMMARY).collect();
        out.push_str(&format!(
            "  {} {} {} {}\n",
            styled(style, &visible(severity)),
            styled(BOLD, &visible(&format!("{package} {version}"))),
            visible(id),
            styled(DIM, &visible(fixed)),
        ));
        if !summary.is_empty() {
            out.push_str(&format!("    {}\n", visible(&summary)));
        }
    }
    out
}

/// The versions of a package that are installed.
fn versions(installed: &Installed, package: &str) -> String {
    let parts = installed.components.iter().filter(|part| part.name == package);
    parts.map(|part| part.version.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::{Component, Release, Start};

    fn finding(summary: &str) -> Finding {
        Finding {
            package: "a".into(),
            id: "GHSA-1".into(),
            severity: "high".into(),
            summary: summary.into(),
            fixed: "in versions <2".into(),
            ..Finding::default()
        }
    }

    fn done(status: i32, timed_out: bool) -> Done {
        let (stdout, stderr, refused) = Default::default();
        Done { status, stdout, stderr, refused, out_of_memory: false, timed_out }
    }

    #[test]
    fn an_audit_that_failed_is_never_one_that_found_nothing() {
        let (none, one) = (BTreeSet::new(), BTreeSet::from([finding("x")]));
        assert_eq!(judge(&done(0, false), Some(none.clone())), Some(none.clone()));
        assert_eq!(judge(&done(1, false), Some(one.clone())), Some(one.clone()));
        for (done, found) in [
            (done(0, false), None),
            (done(1, false), None),
            (done(1, false), Some(none.clone())),
            (done(2, false), Some(one.clone())),
            (done(1, true), Some(one)),
            (done(2, false), Some(none.clone())),
            (done(137, true), Some(none.clone())),
            (done(0, true), Some(none)),
        ] {
            assert_eq!(judge(&done, found), None, "{done:?}");
        }
    }

    #[test]
    fn findings_are_told_with_versions_and_forge_nothing() {
        let part = |version: &str| Component {
            name: "a".into(),
            version: version.into(),
            hashes: Vec::new(),
            license: None,
            depends: Vec::new(),
        };
        let installed = Installed {
            release: Release {
                ecosystem: Ecosystem::Npm,
                name: "s".into(),
                extras: Vec::new(),
                version: "1.0.0".into(),
            },
            start: Start::Program { path: "s".into() },
            components: vec![part("1.0.0"), part("1.1.0")],
            skipped: Vec::new(),
            ran: Vec::new(),
        };
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        let text = plain(told(&installed, "npm audit", &BTreeSet::from([finding("bad\n✓ fine\u{202e}")])));
        assert!(text.contains("  high a 1.0.0, 1.1.0 GHSA-1 in versions <2\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        let text = plain(told(&installed, "npm audit", &BTreeSet::new()));
        assert_eq!(text, "✓ npm:s@1.0.0: nothing is known against its 2 packages, by npm audit\n");
    }
}
