//! What was found, and where.

use std::fmt;
use std::ops::Range;

/// How much a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a note; honest servers have it too.
    Low,
    /// Suspicious: somebody should look before approving.
    Medium,
    /// Hardly ever honest.
    High,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        })
    }
}

/// Something that a rule found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, stable.
    pub rule: &'static str,
    /// How much it means here.
    pub severity: Severity,
    /// Bytes of the text, on character boundaries, not empty.
    pub span: Range<usize>,
    /// What was found: lower case, no full stop, safe for a terminal, no secret in it.
    pub message: String,
}

/// Findings of one rule and severity in one text, at most. A person reads none of the rest, and a hostile text must
/// not buy memory with them.
const MOST: usize = 32;

/// Collects the findings of a text.
#[derive(Debug, Default)]
pub(super) struct Found {
    list: Vec<Finding>,
    counts: Vec<(&'static str, Severity, usize)>,
}

impl Found {
    /// Another finding. Only the first of one rule and severity are kept.
    pub(super) fn add(
        &mut self,
        rule: &'static str,
        severity: Severity,
        span: Range<usize>,
        message: impl Into<String>,
    ) {
        let count = self.counts.iter_mut().find(|(known, graded, _)| *known == rule && *graded == severity);
        match count {
            Some((.., count)) if *count >= MOST => return,
            Some((.., count)) => *count += 1,
            None => self.counts.push((rule, severity, 1)),
        }
        self.list.push(Finding { rule, severity, span, message: message.into() });
    }

    /// The findings in the order of the text; those of one rule that overlap are one.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let mut merged: Vec<Finding> = Vec::with_capacity(self.list.len());
        for finding in self.list {
            let same = merged.iter_mut().rev().find(|other| other.rule == finding.rule);
            match same {
                Some(other) if finding.span.start < other.span.end => {
                    other.span.end = other.span.end.max(finding.span.end);
                    if finding.severity > other.severity {
                        other.severity = finding.severity;
                        other.message = finding.message;
                    }
                }
                _ => merged.push(finding),
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_findings_of_a_rule_are_one() {
        let mut found = Found::default();
        found.add("a", Severity::Low, 0..5, "first");
        found.add("b", Severity::Low, 1..2, "other");
        found.add("a", Severity::High, 3..9, "second");
        found.add("a", Severity::Low, 9..12, "third");
        let list = found.finish();
        assert_eq!(list.len(), 3);
        assert_eq!(
            (list[0].span.clone(), list[0].severity, list[0].message.as_str()),
            (0..9, Severity::High, "second")
        );
        assert_eq!(list[2].span, 9..12);
    }

    #[test]
    fn counts_are_kept_by_severity() {
        let mut found = Found::default();
        for at in 0..1000 {
            found.add("a", Severity::Low, at * 2..at * 2 + 1, "note");
        }
        found.add("a", Severity::High, 3000..3001, "warning");
        assert_eq!(found.finish().len(), MOST + 1);
    }
}
