//! `mcpjail approve`: walks a server in its jail, shows what it says of itself, asks, and writes the lock.

use super::ask::{Said, UNREAD, ask, need_somebody};
use super::findings::{self, Findings, is_grave};
use super::gate::approval;
use super::launch::Terms as Held;
use super::output::{BOLD, DIM, Failed, IoFailed, note, styled, visible};
use super::walk::{PLAIN, WalkFailed, Walked, walk, walk_otherwise};
use super::wording::{body, conclusion, prompt, title, told};
use super::{ApproveArgs, TargetArgs};
use crate::approval::{Answer, Asked, ItemQuestion, Known, Question, Review, ReviewError};
use crate::catalog::{Catalog, Identity, Item, ItemFault, Kind, Lock, LockError, Replace, Saved, load, save};
use crate::diagnose::{Diagnose, Exit};
use crate::facts;
use crate::gate::Record;
use crate::inspect::Placed;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApproveError {
    /// Grave findings, and nobody has looked at them.
    #[error("`{count}` {} high severity in what would be approved unread", if *count == 1 { "finding is of" } else { "findings are of" })]
    GraveFindings { count: usize },
    /// The person stopped.
    #[error("nothing was approved")]
    Nothing,
    /// Another approval was quicker.
    #[error("the lock `{}` was written by somebody else meanwhile", visible(&path.to_string_lossy()))]
    Raced { path: PathBuf },
    /// An item that cannot be shown or pinned.
    #[error("the catalog has an entry that cannot be pinned")]
    Item(#[from] ItemFault),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Diagnose for ApproveError {
    fn code(&self) -> &'static str {
        match self {
            ApproveError::GraveFindings { .. } => "grave-findings",
            ApproveError::Nothing => "nothing-approved",
            ApproveError::Raced { .. } => "lock-raced",
            ApproveError::Item(_) => "catalog-malformed",
            ApproveError::Lock(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            ApproveError::Raced { .. } => Exit::Usage,
            ApproveError::GraveFindings { .. } => Exit::Findings,
            ApproveError::Nothing | ApproveError::Item(_) => Exit::Drift,
            ApproveError::Lock(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ApproveError::GraveFindings { .. } => Some(
                "look at them without `--yes`, item by item; `--accept-findings` approves them unread all the same"
                    .into(),
            ),
            ApproveError::Raced { .. } => Some("run it again: it then asks for what is left".into()),
            ApproveError::Lock(error) => error.hint(),
            ApproveError::Nothing | ApproveError::Item(_) => None,
        }
    }
}

impl From<ReviewError> for ApproveError {
    fn from(error: ReviewError) -> ApproveError {
        match error {
            ReviewError::Item(fault) => ApproveError::Item(fault),
            ReviewError::Lock(error) => ApproveError::Lock(error),
        }
    }
}

pub(super) fn approve(args: &ApproveArgs) -> Result<ExitCode, Failed> {
    let ApproveArgs { target, yes, accept_findings, log } = args;
    let terms = Terms { yes: *yes, accept_findings: *accept_findings, log: log.egress_log.as_deref() };
    let reviewed = review(target, &terms)?;
    if let Some(lock) = &reviewed.lock {
        write(lock.as_bytes(), &reviewed.path, reviewed.before.as_deref())?;
    }
    reviewed.settled();
    let mut out = anstream::stdout();
    let said = out.write_all(reviewed.conclusion.as_bytes());
    said.map_err(|source| IoFailed { what: "write to standard output", source })?;
    Ok(ExitCode::SUCCESS)
}

/// How a server is reviewed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms<'a> {
    /// Approve everything without asking.
    pub(super) yes: bool,
    /// With it, approve even what the inspectors find grave.
    pub(super) accept_findings: bool,
    /// Where the server's network is written down.
    pub(super) log: Option<&'a Path>,
}

/// What a person approved. Nothing is written yet.
#[derive(Debug)]
#[must_use]
pub(super) struct Reviewed {
    /// The text of the new lock; `None` where everything is as approved.
    pub(super) lock: Option<String>,
    /// Where it belongs.
    pub(super) path: PathBuf,
    /// The text that is there, as it was when it was compared with.
    pub(super) before: Option<Vec<u8>>,
    /// What to tell once it is written; lines.
    pub(super) conclusion: String,
    /// What sessions met, where all of it was judged.
    judged: Option<Record>,
}

impl Reviewed {
    /// To be called once the lock is written: what sessions met is settled, one way or the other.
    pub(super) fn settled(&self) {
        if let Some(record) = &self.judged {
            forget(record);
        }
    }
}

/// Walks a server twice, shows what differs from its lock, and asks. Writes nothing.
///
/// The calling process must have one thread, and has one again afterwards.
pub(super) fn review(target: &TargetArgs, terms: &Terms<'_>) -> Result<Reviewed, Failed> {
    let Terms { yes, accept_findings, log } = *terms;
    need_somebody(yes, UNREAD)?;
    let walked = |walked: Result<Walked, WalkFailed>| {
        walked.map_err(|error| {
            error.remarks.iter().for_each(|remark| note(remark));
            error.failed
        })
    };
    let first = walked(walk(target, log, &PLAIN, &note))?;
    let second = walked(walk_otherwise(target, log))?;
    let wanted = first.egress.iter().chain(second.egress.iter().filter(|line| !first.egress.contains(line)));
    wanted.for_each(|line| note(line));
    let held = first.terms;
    first.surveyed.notes.iter().for_each(|remark| note(remark));
    let found =
        Found { walks: vec![first.surveyed.catalog, second.surveyed.catalog], protocol: first.surveyed.protocol };
    let before = Before::read(&held.lock.value, yes)?;
    let record = Record::new(held.record.clone());
    let met = record.read();
    let known = Known {
        walks: &found.walks,
        session: &met.items,
        absent: &met.absent,
        namespaces: &met.namespaces,
        identity: &held.identity,
        lock: before.as_ref().and_then(|before| before.lock.as_ref()),
    };
    let review = Review::new(known).map_err(ApproveError::from)?;
    let mut out = anstream::stdout();
    let written = |source| Failed::from(IoFailed { what: "write to standard output", source });
    out.write_all(introduction(&held, &found, before.as_ref(), &review).as_bytes()).map_err(written)?;
    let path = held.lock.value;
    let text = before.map(|before| before.text);
    if review.is_settled() {
        return Ok(Reviewed { lock: None, path, before: text, conclusion: String::new(), judged: Some(record) });
    }
    let seen = Seen::of(&found.walks, &met.items, &path)?;
    let answers = match yes {
        true => unread(&review, &seen, accept_findings, &mut out)?,
        false => one_by_one(&review, &seen, &mut io::stdin().lock(), &mut out)?,
    };
    let left_out = left_out(&review, &answers);
    let unjudged = yes
        && review.questions.iter().any(|question| matches!(question, Question::Item(item) if item.needs_a_person()));
    let lock = review.settle(&answers, approval(&facts::user())).map_err(ApproveError::from)?;
    if lock.entries.is_empty() {
        return Err(ApproveError::Nothing.into());
    }
    Ok(Reviewed {
        lock: Some(String::from_utf8_lossy(&lock.to_bytes()).into_owned()),
        conclusion: conclusion(&lock, &path, &left_out),
        path,
        before: text,
        judged: (!unjudged).then_some(record),
    })
}

/// What the walks found.
struct Found {
    walks: Vec<Catalog>,
    protocol: String,
}

/// The lock that was there.
struct Before {
    text: Vec<u8>,
    /// None where it cannot be believed.
    lock: Option<Lock>,
}

impl Before {
    /// A lock that is broken is told, and everything is asked again; nobody replaces one unread.
    fn read(path: &Path, unread: bool) -> Result<Option<Before>, Failed> {
        let Some(text) = load(path)? else { return Ok(None) };
        match Lock::parse(&text, path) {
            Ok(lock) => Ok(Some(Before { text, lock: Some(lock) })),
            Err(error) if unread || error.code() != "lock-invalid" => Err(error.into()),
            Err(error) => {
                note(&format!("{error}; everything is asked again, and the lock written anew"));
                Ok(Some(Before { text, lock: None }))
            }
        }
    }
}

/// What was seen, with what the inspectors say.
struct Seen {
    findings: Findings,
}

impl Seen {
    fn of(walks: &[Catalog], session: &[Item], lock: &Path) -> Result<Seen, Failed> {
        let mut names: BTreeSet<(Kind, &str)> = BTreeSet::new();
        let all = walks.iter().flat_map(Catalog::items).chain(session);
        let items: Vec<&Item> = all.filter(|item| names.insert((item.kind, item.name.as_str()))).collect();
        let findings = Findings::of(items, &findings::other_tools(lock)).map_err(ApproveError::from)?;
        Ok(Seen { findings })
    }

    /// The findings about the form that would be approved.
    fn about(&self, question: &Question) -> Result<Vec<Placed>, ItemFault> {
        let Question::Item(ItemQuestion { asked, item, .. }) = question else { return Ok(Vec::new()) };
        if matches!(asked, Asked::Removed | Asked::Sometimes) {
            return Ok(Vec::new());
        }
        let mut found = self.findings.about(item.kind, &item.name).to_vec();
        // what is said of names is said of the catalog as a whole
        let of_this_form = findings::of_one(item)?;
        found.retain(|placed| placed.surface == crate::inspect::Surface::Name || of_this_form.contains(placed));
        found.extend(of_this_form.into_iter().filter(|placed| !found.contains(placed)).collect::<Vec<_>>());
        Ok(found)
    }
}

fn introduction(held: &Held, found: &Found, before: Option<&Before>, review: &Review) -> String {
    let mut out = String::new();
    let mut row =
        |name: &str, value: String| out.push_str(&format!("{} {value}\n", styled(DIM, &format!("{name:<12}"))));
    let Identity { command, entry, interpreter, package } = &held.identity;
    row("command", visible(&command.join(" ")));
    for (name, pin) in [("file", entry), ("interpreter", interpreter)] {
        if let Some(pin) = pin {
            row(name, format!("{} {}", visible(&pin.path), pin.sha256));
        }
    }
    if let Some(package) = package {
        row("package", format!("{} {}", visible(&package.release), package.tree));
    } else if entry.is_none() {
        row("file", "not pinned: no single file holds the server's code".into());
    }
    row("protocol", visible(&found.protocol));
    let path = visible(&held.lock.value.to_string_lossy());
    match before.and_then(|before| before.lock.as_ref()) {
        Some(lock) => {
            let by = format!("{} by {} with {}", lock.approval.at, lock.approval.by, lock.approval.with);
            row("lock", format!("{path}, approved {}", visible(&by)));
        }
        None => row("lock", format!("{path}, which is new")),
    }
    match review.questions.len() {
        0 => out.push_str("everything is as approved\n"),
        1 => out.push_str("one thing to look at\n"),
        count => out.push_str(&format!("{count} things to look at\n")),
    }
    out
}

/// Approves everything, with one line for each thing and all findings.
fn unread(review: &Review, seen: &Seen, accept: bool, out: &mut dyn Write) -> Result<Vec<Answer>, Failed> {
    let mut grave = 0;
    let mut text = String::new();
    for question in &review.questions {
        text.push_str(&format!("  {}\n", title(question)));
        for placed in seen.about(question).map_err(ApproveError::from)? {
            grave += usize::from(is_grave(std::slice::from_ref(&placed)));
            text.push_str(&format!("    {}\n", findings::line(&placed)));
        }
        if let Question::Item(item) = question {
            let taken = match Answer::whole(question) {
                Answer::Yes { exempt } => exempt,
                Answer::No | Answer::Varies => Vec::new(),
            };
            for (at, exemption) in item.exempt.iter().enumerate() {
                let what = match (taken.contains(&at), at < item.by_walks) {
                    (true, _) => "exempted",
                    (false, true) => "differs from start to start, and stays drift until a person exempts it",
                    (false, false) => "differed in a session, and stays drift until a person exempts it",
                };
                text.push_str(&format!("    {what}: {}\n", told(exemption)));
            }
        }
    }
    out.write_all(text.as_bytes()).map_err(|source| IoFailed { what: "write to standard output", source })?;
    if grave > 0 && !accept {
        return Err(ApproveError::GraveFindings { count: grave }.into());
    }
    Ok(review.questions.iter().map(Answer::whole).collect())
}

fn one_by_one(
    review: &Review,
    seen: &Seen,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Vec<Answer>, Failed> {
    let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
    let mut answers = Vec::new();
    let mut all = false;
    for (at, question) in review.questions.iter().enumerate() {
        let found = seen.about(question).map_err(ApproveError::from)?;
        let heading = styled(BOLD, &format!("[{}/{}] {}", at + 1, review.questions.len(), title(question)));
        out.write_all(format!("\n{heading}\n").as_bytes()).map_err(talk)?;
        out.write_all(body(question).map_err(ApproveError::from)?.as_bytes()).map_err(talk)?;
        for placed in &found {
            out.write_all(format!("{}\n", findings::line(placed)).as_bytes()).map_err(talk)?;
        }
        // whoever says "all" has not seen what is grave among it
        if all && !is_grave(&found) {
            answers.push(Answer::whole(question));
            continue;
        }
        let varies = matches!(question, Question::Item(item) if item.may_vary());
        let mut offered = vec![Said::Yes, Said::No, Said::All];
        offered.extend(varies.then_some(Said::Varies));
        offered.push(Said::Quit);
        let answer = loop {
            match ask(&prompt(question), &offered, input, out).map_err(talk)? {
                Said::Yes => break Answer::Yes { exempt: exemptions(question, input, out)? },
                Said::No => break Answer::No,
                // what that would let through is said first
                Said::Varies if !may_vary(question, input, out)? => {}
                Said::Varies => break Answer::Varies,
                Said::All => {
                    all = true;
                    break Answer::whole(question);
                }
                Said::Quit => return Err(ApproveError::Nothing.into()),
                Said::Read | Said::Write | Said::Nothing => {}
            }
        };
        answers.push(answer);
    }
    Ok(answers)
}

/// Which of the exemptions that are offered with an item are accepted.
fn exemptions(question: &Question, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<Vec<usize>, Failed> {
    let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
    let Question::Item(item) = question else { return Ok(Vec::new()) };
    let mut accepted = Vec::new();
    for (at, exemption) in item.exempt.iter().enumerate() {
        let from = if at < item.by_walks { "differs from start to start" } else { "differed in a session" };
        out.write_all(format!("this {from}: {}\n", told(exemption)).as_bytes()).map_err(talk)?;
        match ask("may it differ?", &[Said::Yes, Said::No, Said::Quit], input, out).map_err(talk)? {
            Said::Yes => accepted.push(at),
            Said::No | Said::All | Said::Varies | Said::Read | Said::Write | Said::Nothing => {}
            Said::Quit => return Err(ApproveError::Nothing.into()),
        }
    }
    Ok(accepted)
}

/// Whether what differs may go on differing, once it is known what that means.
fn may_vary(question: &Question, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<bool, Failed> {
    let talk = |source| Failed::from(IoFailed { what: "talk to the terminal", source });
    let Question::Item(ItemQuestion { asked, .. }) = question else { return Ok(false) };
    match asked {
        Asked::Changed { varies, .. } => {
            for exemption in varies {
                out.write_all(format!("would be exempted: {}\n", told(exemption)).as_bytes()).map_err(talk)?;
            }
        }
        _ => out.write_all(b"it would be approved, and need not be there\n").map_err(talk)?,
    }
    match ask("exempt that?", &[Said::Yes, Said::No, Said::Quit], input, out).map_err(talk)? {
        Said::Yes => Ok(true),
        Said::Quit => Err(ApproveError::Nothing.into()),
        Said::No | Said::All | Said::Varies | Said::Read | Said::Write | Said::Nothing => Ok(false),
    }
}

/// What stays drift because it was answered with no.
fn left_out(review: &Review, answers: &[Answer]) -> Vec<String> {
    let no = review.questions.iter().zip(answers).filter(|(_, answer)| **answer == Answer::No);
    no.map(|(question, _)| title(question)).collect()
}

fn write(text: &[u8], path: &Path, before: Option<&[u8]>) -> Result<(), Failed> {
    let raced = || ApproveError::Raced { path: path.to_path_buf() };
    let Some(before) = before else {
        return match save(path, text, Replace::No)? {
            Saved::Written => Ok(()),
            Saved::Existed => Err(raced().into()),
        };
    };
    if load(path)?.as_deref() != Some(before) {
        return Err(raced().into());
    }
    let _replaced = save(path, text, Replace::Yes)?;
    Ok(())
}

/// What a session met is settled now, one way or the other.
fn forget(record: &Record) {
    match std::fs::remove_file(record.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            note(&format!("the record of a session stays: `{}`: {error}", record.path().display()));
        }
        _ => {}
    }
}
