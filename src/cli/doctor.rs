//! `mcpjail doctor`: what this machine can enforce, found out by doing it, and what to do about the rest.

use super::output::{DIM, Failed, GREEN, IoFailed, RED, YELLOW, print, styled};
use super::{DoctorArgs, TargetArgs, launch, own_executable, prepare};
use crate::config::Tier;
use crate::diagnose::Exit;
use crate::egress::trial::{PROGRAM, Trial};
use crate::facts::{self, private_directory};
use crate::jail::{self, JailError, LayerReport, Running, Status, Stdio};
use crate::relay::{ServerExit, ServerProcess};
use crate::sys::fd;
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// One line of the answer.
struct Finding {
    name: String,
    /// `Some(true)` good, `Some(false)` bad, `None` neither.
    good: Option<bool>,
    text: String,
    remedy: Option<String>,
}

fn finding(name: &str, good: Option<bool>, text: impl Into<String>, remedy: Option<String>) -> Finding {
    Finding { name: name.into(), good, text: text.into(), remedy }
}

pub(super) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failed> {
    let mut findings = vec![kernel()];
    findings.push(landlock());
    let full = try_tier(Tier::A)?;
    let partial = try_tier(Tier::B)?;
    let tier = match (&full, &partial) {
        (Ok(_), _) => Some(Tier::A),
        (Err(_), Ok(_)) => Some(Tier::B),
        (Err(_), Err(_)) => None,
    };
    findings.push(match &full {
        Ok(_) => finding("tier A", Some(true), "a process was started in the full jail and proved it", None),
        Err(error) => finding("tier A", Some(false), chain(error), Some(why_not_full(error))),
    });
    findings.push(match &partial {
        Ok(_) => finding("tier B", Some(true), "a process was started under Landlock and seccomp alone", None),
        Err(error) => finding("tier B", Some(false), chain(error), None),
    });
    if let Some(report) = full.as_ref().ok().or(partial.as_ref().ok()) {
        findings.extend(report.iter().map(layer));
    }
    if full.is_ok() {
        findings.push(egress());
    }
    findings.push(cgroup());
    let code = if tier == Some(Tier::A) { ExitCode::SUCCESS } else { ExitCode::from(1) };
    let text = if args.json { as_json(&findings, tier) } else { as_text(&findings, tier) };
    print(&text).map(|_| code)
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    finding("kernel", None, format!("Linux {}", release.trim()), None)
}

fn landlock() -> Finding {
    match facts::kernel().landlock_abi {
        0 => finding(
            "landlock",
            Some(false),
            "absent: no tier can be built",
            Some(
                "use Linux 5.13 or newer with `landlock` in its list of LSMs (kernel command line: lsm=landlock,…)"
                    .into(),
            ),
        ),
        abi => {
            let lacks: Vec<&str> = [
                (2, "moves between directories"),
                (3, "truncation"),
                (4, "TCP ports"),
                (5, "device ioctls"),
                (6, "abstract sockets and signals"),
            ]
            .into_iter()
            .filter_map(|(since, what)| (abi < since).then_some(what))
            .collect();
            let text = if lacks.is_empty() {
                format!("ABI {abi}")
            } else {
                format!("ABI {abi}, without {}", lacks.join(", "))
            };
            finding("landlock", Some(true), text, None)
        }
    }
}

/// Starts mcpjail's own `--version` in a jail of this tier.
fn try_tier(tier: Tier) -> Result<Result<Vec<LayerReport>, JailError>, Failed> {
    let command: Vec<OsString> = vec![own_executable()?.into(), "--version".into()];
    let prepared = prepare::Prepared::new(&TargetArgs::of_command(command), false, None)?;
    let private = match tier {
        Tier::A => None,
        Tier::B => Some(private_directory()?),
    };
    let plan = match prepared.plan(tier, private.as_ref().map(|p| p.path.clone())) {
        Ok(plan) => plan,
        Err(failed) if failed.code() == "no-landlock" => {
            return Ok(Err(JailError::Vanished("no Landlock".into())));
        }
        Err(failed) => return Err(failed),
    };
    let Pipes { stdio, .. } = pipes()?;
    let started = jail::start(tier, stdio).and_then(|nascent| nascent.finish(&plan, None));
    Ok(started.and_then(|mut running| ended_well(&mut running).map(|()| running.report.clone())))
}

/// The ends of a trial program's standard streams: its own, and ours.
struct Pipes {
    stdio: Stdio,
    _stdin: OwnedFd,
    stdout: OwnedFd,
    _stderr: OwnedFd,
}

fn pipes() -> Result<Pipes, Failed> {
    let pipe = || fd::pipe().map_err(|source| IoFailed { what: "make a pipe", source });
    let ((stdin, _stdin), (stdout, out), (_stderr, stderr)) = (pipe()?, pipe()?, pipe()?);
    Ok(Pipes { stdio: Stdio { stdin, stdout: out, stderr }, _stdin, stdout, _stderr })
}

fn ended_well(running: &mut Running) -> Result<(), JailError> {
    let vanished = |text: String| Err(JailError::Vanished(text));
    match running.wait() {
        Ok(ServerExit::Code(0)) => Ok(()),
        Ok(ServerExit::Code(code)) => vanished(format!("the trial program exited with {code}")),
        Ok(ServerExit::Signal(signal)) => vanished(format!("the trial program died of signal {signal}")),
        Err(error) => vanished(error.to_string()),
    }
}

/// Whether connections by name can be had: makes one, out of a jail to this machine's own loopback.
fn egress() -> Finding {
    match try_egress() {
        Ok(()) => finding("egress", Some(true), "a connection was made out of a jail, to what it was granted", None),
        Err(failed) if failed.exit() == Exit::Usage => finding(
            "egress",
            None,
            failed.one_line(),
            Some("the administrator's policy decides what is granted".into()),
        ),
        Err(failed) => finding("egress", Some(false), failed.one_line(), None),
    }
}

fn try_egress() -> Result<(), Failed> {
    let failed = |what| move |source| Failed::from(IoFailed { what, source });
    let trial = Trial::new().map_err(failed("listen on this machine's loopback"))?;
    let port = trial.port().map_err(failed("listen on this machine's loopback"))?;
    let command: Vec<OsString> = vec![own_executable()?.into(), PROGRAM.into(), port.to_string().into()];
    let mut target = TargetArgs::of_command(command);
    target.grants.net.push(format!("localhost:{port}"));
    let plan = prepare::Prepared::new(&target, false, None)?.plan(Tier::A, None)?;
    let Pipes { stdio, stdout, _stdin, _stderr } = pipes()?;
    let nascent = jail::start(Tier::A, stdio)?;
    let (mut running, _egress) = launch::jail(nascent, &plan, None)?;
    let words = format!("{}-{port}", std::process::id());
    trial.serve(words.as_bytes()).map_err(failed("connect out of a jail"))?;
    ended_well(&mut running)?;
    let mut heard = String::new();
    File::from(stdout).read_to_string(&mut heard).map_err(failed("read what a jailed program heard"))?;
    match heard == words {
        true => Ok(()),
        false => Err(JailError::Vanished(format!("the trial program heard `{heard}`")).into()),
    }
}

fn chain(error: &JailError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _never_fails = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The likeliest reason, from what the system says about itself; the refusal itself was found by trying.
fn why_not_full(error: &JailError) -> String {
    let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).map(|text| text.trim().to_string());
    if sysctl("kernel/apparmor_restrict_unprivileged_userns").is_ok_and(|value| value == "1") {
        return "AppArmor keeps user namespaces from programs without a profile (Ubuntu 23.10 and later): install \
                the profile that comes with mcpjail, `sudo cp packaging/apparmor/mcpjail /etc/apparmor.d/ && \
                sudo apparmor_parser -r /etc/apparmor.d/mcpjail`"
            .into();
    }
    if sysctl("user/max_user_namespaces").is_ok_and(|value| value == "0") {
        return "user namespaces are switched off: `sudo sysctl user.max_user_namespaces=10000`".into();
    }
    if sysctl("kernel/unprivileged_userns_clone").is_ok_and(|value| value == "0") {
        return "user namespaces are kept from ordinary users: `sudo sysctl kernel.unprivileged_userns_clone=1`".into();
    }
    if ["/.dockerenv", "/run/.containerenv"].into_iter().any(|file| fs::exists(file).unwrap_or(false)) {
        return "this is a container whose own profile refuses what the jail needs: start it with `--security-opt \
                seccomp=unconfined --security-opt systempaths=unconfined`, or accept tier B with `--tier B`"
            .into();
    }
    match error {
        JailError::NoNamespaces { .. } => {
            "the kernel refuses new user namespaces; `--tier B` accepts less confinement".into()
        }
        _ => "tier A could not be proved; `--tier B` accepts less confinement".into(),
    }
}

fn layer(report: &LayerReport) -> Finding {
    match &report.status {
        Status::Enforced => finding(&report.name, Some(true), "enforced", None),
        Status::Degraded { needs, have } => finding(&report.name, None, format!("only {have}"), Some(needs.clone())),
        Status::Off => finding(&report.name, Some(false), "off in this tier", None),
    }
}

fn cgroup() -> Finding {
    match jail::cgroup_place() {
        Some(place) => finding("cgroup v2", Some(true), format!("groups can be made in {place}"), None),
        None => finding(
            "cgroup v2",
            None,
            "no group can be made here, so memory and CPU are not limited for the jail as a whole",
            Some(
                "start the host inside a delegated scope: `systemd-run --user --scope -p Delegate=yes COMMAND`".into(),
            ),
        ),
    }
}

fn as_text(findings: &[Finding], tier: Option<Tier>) -> String {
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.good {
            Some(true) => styled(GREEN, "ok  "),
            Some(false) => styled(RED, "no  "),
            None => styled(YELLOW, "note"),
        };
        let _never_fails = writeln!(out, "{mark} {:<18} {}", finding.name, finding.text);
        if let Some(remedy) = &finding.remedy {
            let _never_fails = writeln!(out, "{:<23} {}", "", styled(DIM, &format!("→ {remedy}")));
        }
    }
    let verdict = match tier {
        Some(Tier::A) => "this machine gives tier A: the full jail",
        Some(Tier::B) => "this machine gives tier B only: profiles must accept it (`tier = \"B\"`)",
        None => "this machine gives no tier: mcpjail starts nothing here",
    };
    let _never_fails = writeln!(out, "\n{verdict}");
    out
}

fn as_json(findings: &[Finding], tier: Option<Tier>) -> String {
    let lines: Vec<_> = findings
        .iter()
        .map(|f| json!({ "name": f.name, "good": f.good, "text": f.text, "remedy": f.remedy }))
        .collect();
    format!("{:#}\n", json!({ "version": 1, "tier": tier, "findings": lines }))
}
