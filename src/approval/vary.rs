//! What has to be exempted so that all sightings of an item are one.

use crate::catalog::{Exemption, Item, ItemFault, Varies, propose};

/// Exemptions beyond those in `held` that make the others equal to the base. Empty too where no exemption can.
pub(super) fn exemptions(base: &Item, others: &[&Item], held: &[Exemption]) -> Result<Vec<Exemption>, ItemFault> {
    let mut found: Vec<Exemption> = Vec::new();
    for other in others {
        let all = joined(held, &found);
        if base.digest(&all)? == other.digest(&all)? {
            continue;
        }
        for proposed in proposals(base, other)? {
            if !covers(held, &proposed, base, other)? {
                add(&mut found, proposed);
            }
        }
    }
    let all = joined(held, &found);
    let digest = base.digest(&all)?;
    for other in others {
        if other.digest(&all)? != digest {
            return Ok(Vec::new());
        }
    }
    Ok(found)
}

fn proposals(base: &Item, other: &Item) -> Result<Vec<Exemption>, ItemFault> {
    super::with(&base.text, |a| super::with(&other.text, |b| propose(base.kind, a, b)))?
}

/// Whether what is held makes the difference at this place vanish already.
fn covers(held: &[Exemption], at: &Exemption, base: &Item, other: &Item) -> Result<bool, ItemFault> {
    for one in held.iter().filter(|one| overlap(&one.at, &at.at)) {
        if fits(base, one)? && fits(other, one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an exemption has something to cover in this item.
pub(super) fn fits(item: &Item, exemption: &Exemption) -> Result<bool, ItemFault> {
    // what may be absent fits an item without it
    if exemption.rule == Varies::Any {
        return Ok(true);
    }
    Ok(item.digest(std::slice::from_ref(exemption))? != item.digest(&[])?)
}

/// Two lists as one, in which no place is covered twice.
pub(super) fn joined(first: &[Exemption], second: &[Exemption]) -> Vec<Exemption> {
    let mut all = first.to_vec();
    second.iter().for_each(|one| add(&mut all, one.clone()));
    all
}

/// Adds an exemption. Where one lies within another, the outer one stands for both; of two for the same place, one that
/// covers both.
fn add(all: &mut Vec<Exemption>, new: Exemption) {
    let mut new = new;
    while let Some(at) = all.iter().position(|one| overlap(&one.at, &new.at)) {
        new = both(all.remove(at), new);
    }
    all.push(new);
}

fn overlap(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn both(a: Exemption, b: Exemption) -> Exemption {
    if a.at != b.at {
        return if a.at.len() < b.at.len() { a } else { b };
    }
    match (&a.rule, &b.rule) {
        (Varies::Part { prefix: p, suffix: s, max: m }, Varies::Part { prefix: q, suffix: t, max: n }) => {
            let prefix: String = p.chars().zip(q.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c).collect();
            let backwards = s.chars().rev().zip(t.chars().rev());
            let suffix: Vec<char> = backwards.take_while(|(a, b)| a == b).map(|(c, _)| c).collect();
            let suffix: String = suffix.into_iter().rev().collect();
            let grown = |max: usize, p: &str, s: &str| max + p.len() + s.len() - prefix.len() - suffix.len();
            let max = grown(*m, p, s).max(grown(*n, q, t));
            // beyond that, and where a blank would have to vary, the whole text does
            let harmless = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/+@=-".contains(&b));
            let cut = |text: &str, kept: usize| harmless(text.get(kept..).unwrap_or(" "));
            let cut_end = |text: &str, kept: usize| harmless(text.get(..text.len() - kept).unwrap_or(" "));
            let fits = [p, q].iter().all(|text| cut(text, prefix.len()))
                && [s, t].iter().all(|text| cut_end(text, suffix.len()));
            let rule = if max <= 256 && fits { Varies::Part { prefix, suffix, max } } else { Varies::Any };
            Exemption { rule, ..a }
        }
        (Varies::Any, _) => a,
        (_, Varies::Any) => b,
    }
}
