//! Checks what reaches the host of a catalog after the gate has opened: every page, every time.

use super::error::GateError;
use super::lists::List;
use super::walk;
use crate::catalog::{self, Approved, Comparison, Drift, Judgement, Kind, What};
use crate::json::{self, Value};
use crate::relay::Id;
use std::collections::HashSet;

/// What an answer of the server's turned out to be.
#[derive(Debug)]
pub(super) enum Checked {
    /// All of it was approved.
    Same,
    /// The answer without what was not approved, one line without a line feed.
    Without(Vec<u8>),
    /// Something in it was not approved.
    Drifted(Drift),
    /// It cannot be compared.
    Refused(GateError),
}

/// Checks one page of a list. With `quarantine`, what was not approved is left out and blocked for the session.
pub(super) fn list(
    approved: &Approved,
    list: List,
    id: &Id,
    result: Value<'_>,
    blocked: &mut HashSet<(Kind, Box<str>)>,
    quarantine: bool,
) -> Checked {
    let page = match walk::Page::read(list, result) {
        Ok(page) => page,
        Err(what) => {
            let what = format!("the answer to `{}` {what}", list.method());
            return Checked::Refused(GateError::Malformed { what });
        }
    };
    // Nothing is kept unless something differs.
    let mut differing: Option<Comparison<'_>> = None;
    let mut kept = 0;
    for entry in page.entries.elements() {
        match is_approved(approved, list, entry, blocked) {
            Ok(true) => kept += usize::from(quarantine),
            Ok(false) => {
                let comparison = differing.get_or_insert_with(|| Comparison::new(approved));
                let seen = match list.kind() {
                    Some(kind) => comparison.item(kind, entry).map(|_| ()),
                    None => comparison.resource(entry).map(|_| ()),
                };
                if let Err(fault) = seen {
                    return Checked::Refused(fault.into());
                }
            }
            Err(fault) => return Checked::Refused(fault.into()),
        }
    }
    let Some(comparison) = differing else { return Checked::Same };
    let mut drift = comparison.finish();
    // This is one page: what is not on it may be on another.
    drift.changes.retain(|change| change.what != What::Removed);
    if !quarantine {
        return Checked::Drifted(drift);
    }
    let entries: Vec<_> = page
        .entries
        .elements()
        .filter(|entry| matches!(is_approved(approved, list, *entry, blocked), Ok(true)))
        .map(Value::raw)
        .collect();
    debug_assert_eq!(entries.len(), kept);
    block(&drift, blocked);
    Checked::Without(rewritten(id, result, &[(list.member(), array(&entries))]))
}

/// The whole answer without what stands beside the entries and was not approved; `None` where there is nothing of the
/// kind. What stays has no room for words: cursors, hints about caching, and in `_meta` what the server says about
/// itself where that is what was approved. `known` keeps such a `_meta` as it was last written.
pub(super) fn bare(
    approved: &Approved,
    list: List,
    id: &Id,
    members: &[(json::Text<'_>, Value<'_>)],
    known: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let mut stays = |(key, value): &(json::Text<'_>, Value<'_>)| match () {
        () if key.is(list.member()) || key.is("nextCursor") => true,
        () if key.is("resultType") => value.text().is_some_and(|text| text.is("complete")),
        () if key.is("ttlMs") => value.kind() == json::Kind::Number,
        () if key.is("cacheScope") => value.text().is_some_and(|text| text.is("public") || text.is("private")),
        () => key.is("_meta") && is_own_meta(approved, *value, known),
    };
    if members.iter().all(&mut stays) {
        return None;
    }
    let kept = members.iter().filter(|member| stays(member));
    let kept: Vec<_> = kept.map(|(key, value)| (key.decode().into_owned(), value.raw().to_vec())).collect();
    Some(answered(id, &object(&kept)))
}

/// Whether a result's `_meta` says nothing but what was approved that the server says about itself.
fn is_own_meta(approved: &Approved, meta: Value<'_>, known: &mut Vec<u8>) -> bool {
    if meta.kind() != json::Kind::Object {
        return false;
    }
    if meta.raw() == known.as_slice() {
        return true;
    }
    let own = meta.members().all(|(key, value)| {
        let mut said = Vec::new();
        key.is("io.modelcontextprotocol/serverInfo")
            && catalog::canonical(value, &mut said).is_ok()
            && approved_info(approved).is_some_and(|info| info == said)
    });
    if own {
        *known = meta.raw().to_vec();
    }
    own
}

/// What was approved that the server says about itself, in canonical form.
fn approved_info(approved: &Approved) -> Option<Vec<u8>> {
    let entry = approved.entry(approved.find(Kind::Server, "")?)?.verified().ok()?;
    Some(json::check(&entry.item).ok()?.root.get("serverInfo")?.raw().to_vec())
}

/// Shuts the items that a drift shows in another form than the approved one. New ones are shut anyway: a list of them
/// would grow with every new name that the server thinks up.
pub(super) fn block(drift: &Drift, blocked: &mut HashSet<(Kind, Box<str>)>) {
    for change in &drift.changes {
        if let (Some(kind), true) = (change.subject.kind(), change.what == What::Changed) {
            blocked.insert((kind, change.name.as_str().into()));
        }
    }
}

fn is_approved(
    approved: &Approved,
    list: List,
    entry: Value<'_>,
    blocked: &HashSet<(Kind, Box<str>)>,
) -> Result<bool, catalog::ItemFault> {
    let Some(kind) = list.kind() else {
        let uri = entry.get("uri").and_then(Value::str);
        return Ok(uri.is_some_and(|uri| approved.allows_uri(&uri)));
    };
    let Judgement::Same(at) = approved.judge(kind, entry)? else { return Ok(false) };
    if blocked.is_empty() {
        return Ok(true);
    }
    Ok(approved.entry(at).is_some_and(|entry| !blocked.contains(&(kind, entry.name().into()))))
}

/// Checks what the server says about itself in a result of `initialize` or `server/discover`.
pub(super) fn server(approved: &Approved, id: &Id, result: Value<'_>, quarantine: bool) -> Checked {
    let mut comparison = Comparison::of(approved, &[Kind::Server]);
    match comparison.item(Kind::Server, result) {
        Ok(Judgement::Same(_)) => return Checked::Same,
        Ok(_) => {}
        Err(fault) => return Checked::Refused(fault.into()),
    }
    if quarantine {
        return Checked::Without(approved_server(approved, id, result));
    }
    Checked::Drifted(comparison.finish())
}

/// The result with what was approved in the place of what the server says about itself now.
fn approved_server(approved: &Approved, id: &Id, result: Value<'_>) -> Vec<u8> {
    const KEPT: [&str; 6] =
        ["protocolVersion", "supportedVersions", "capabilities", "ttlMs", "cacheScope", "resultType"];
    let modern = result.get("supportedVersions").is_some();
    let mut members: Vec<(String, Vec<u8>)> = result
        .members()
        .filter(|(key, _)| KEPT.iter().any(|kept| key.is(kept)))
        .map(|(key, value)| (key.decode().into_owned(), value.raw().to_vec()))
        .collect();
    let entry = approved.find(Kind::Server, "").and_then(|at| approved.entry(at)).and_then(|at| at.verified().ok());
    let text = entry.map(|entry| entry.item).unwrap_or_default();
    if let Ok(item) = json::check(&text) {
        for (key, value) in item.root.members() {
            if modern && key.is("serverInfo") {
                let meta = object(&[("io.modelcontextprotocol/serverInfo".to_owned(), value.raw().to_vec())]);
                members.push(("_meta".to_owned(), meta));
            } else if !(modern && key.is("_meta")) {
                members.push((key.decode().into_owned(), value.raw().to_vec()));
            }
        }
    }
    answered(id, &object(&members))
}

/// The whole answer with some members of its result in another form.
fn rewritten(id: &Id, result: Value<'_>, instead: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let members: Vec<(String, Vec<u8>)> = result
        .members()
        .map(|(key, value)| {
            let key = key.decode().into_owned();
            let value = match instead.iter().find(|(name, _)| *name == key) {
                Some((_, text)) => text.clone(),
                None => value.raw().to_vec(),
            };
            (key, value)
        })
        .collect();
    answered(id, &object(&members))
}

fn answered(id: &Id, result: &[u8]) -> Vec<u8> {
    let mut line = super::answer::result(id, result);
    line.pop();
    line
}

fn object(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut text = vec![b'{'];
    for (key, value) in members {
        if text.len() > 1 {
            text.push(b',');
        }
        json::quote(key, &mut text);
        text.push(b':');
        text.extend_from_slice(value);
    }
    text.push(b'}');
    text
}

fn array(elements: &[&[u8]]) -> Vec<u8> {
    let mut text = vec![b'['];
    text.extend_from_slice(&elements.join(&b','));
    text.push(b']');
    text
}
