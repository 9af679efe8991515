//! What a rule is. The rules themselves are data, in one table: [`RULES`].

use super::Severity;
use super::surface::Surface;

pub use super::table::RULES;

/// One kind of thing that a text can hold and should not.
#[derive(Debug)]
pub struct Rule {
    /// Stable kebab-case name, the same in findings, records and `mcpjail help RULE`.
    pub id: &'static str,
    /// What was found, as the message of a finding begins: lower case, no full stop.
    pub title: &'static str,
    /// The highest severity of its findings; one may be graded lower, by what stands around it.
    pub severity: Severity,
    /// A paragraph for people: what the danger is, what honest texts look like, what to do.
    pub explanation: &'static str,
    /// The phrases that it looks for, where it is made of phrases.
    pub phrases: &'static [Phrase],
    /// Texts in which it must be found. All of them are run by the tests.
    pub bad: &'static [Example],
    /// Texts that look similar and in which nothing above [`Severity::Low`] may be found by any rule.
    pub good: &'static [Example],
}

/// A text to try a rule on.
#[derive(Debug)]
pub struct Example {
    /// Where it stands.
    pub surface: Surface,
    /// The text; for rules that compare names, the names of one catalog, each on its line, and after `--` those of other servers.
    pub text: &'static str,
}

/// A row of words, in the notation of the `phrase` module.
#[derive(Debug)]
pub struct Phrase {
    /// The pattern.
    pub pattern: &'static str,
    /// How much a match means.
    pub severity: Severity,
    /// Where it is looked for.
    pub scope: Scope,
}

/// Where a phrase means what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In any text.
    Anywhere,
    /// In what describes a parameter: it says what the model is to put there.
    Parameters,
    /// In the name of a parameter.
    Names,
}

impl Scope {
    /// Whether a text of this surface is meant.
    pub(super) fn has(self, surface: Surface) -> bool {
        match self {
            Scope::Anywhere => true,
            Scope::Parameters => matches!(surface, Surface::SchemaText),
            Scope::Names => matches!(surface, Surface::Property | Surface::Argument),
        }
    }
}

impl Rule {
    /// The rule with this id.
    pub fn named(id: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.id == id)
    }
}

/// A phrase of high severity.
pub(super) const fn high(pattern: &'static str) -> Phrase {
    Phrase { pattern, severity: Severity::High, scope: Scope::Anywhere }
}

/// A phrase of medium severity.
pub(super) const fn medium(pattern: &'static str) -> Phrase {
    Phrase { pattern, severity: Severity::Medium, scope: Scope::Anywhere }
}

/// A phrase that is worth a note.
pub(super) const fn low(pattern: &'static str) -> Phrase {
    Phrase { pattern, severity: Severity::Low, scope: Scope::Anywhere }
}

/// A phrase of medium severity in the description of a parameter.
pub(super) const fn parameter(pattern: &'static str) -> Phrase {
    Phrase { pattern, severity: Severity::Medium, scope: Scope::Parameters }
}

/// A phrase within a name.
pub(super) const fn name(severity: Severity, pattern: &'static str) -> Phrase {
    Phrase { pattern, severity, scope: Scope::Names }
}

/// An example that stands in a description.
pub(super) const fn text(text: &'static str) -> Example {
    Example { surface: Surface::Description, text }
}

/// An example that stands elsewhere.
pub(super) const fn on(surface: Surface, text: &'static str) -> Example {
    Example { surface, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_rule_is_whole() {
        let mut ids = HashSet::new();
        for rule in RULES {
            assert!(ids.insert(rule.id), "`{}` twice", rule.id);
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "`{}` is not kebab-case", rule.id);
            assert!(
                rule.title.starts_with(|c: char| !c.is_uppercase()) && !rule.title.ends_with('.'),
                "{}",
                rule.title
            );
            assert!(rule.explanation.len() > 80 && rule.explanation.ends_with('.'), "`{}` needs a paragraph", rule.id);
            assert!(!rule.bad.is_empty() && !rule.good.is_empty(), "`{}` needs examples", rule.id);
            assert!(rule.phrases.iter().all(|phrase| phrase.severity <= rule.severity), "`{}`", rule.id);
            assert!(Rule::named(rule.id).is_some_and(|found| found.id == rule.id));
        }
        assert!(Rule::named("nothing").is_none());
    }
}
