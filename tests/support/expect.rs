//! Expectations as data: which step of an attack should come out how.

use serde_json::Value;

/// How a step should come out.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// The attacker got what it wanted.
    Works,
    /// Refused, by one of these errors or by one of these deaths (`SIGSYS`).
    Fails(&'static [&'static str]),
    /// It looked for something and found nothing.
    Nothing,
    /// Either: harmless when it works, and refused in no other way than these.
    WorksOr(&'static [&'static str]),
    /// Not promised either way; the reason is for the reader.
    Any(#[allow(dead_code, reason = "read in the source, not by the program")] &'static str),
}

/// A step's name, or `prefix*`, and what is wanted. The first rule that matches a step decides. A rule that matches no
/// step fails the trial, unless its name starts with `?`: an attack that did not happen proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Rule(pub &'static str, pub Want);

impl Rule {
    fn matches(&self, step: &str) -> bool {
        let pattern = self.0.strip_prefix('?').unwrap_or(self.0);
        match pattern.strip_suffix('*') {
            Some(prefix) => step.starts_with(prefix),
            None => step == pattern,
        }
    }
}

/// Compares an answer of the attacker with the rules; the complaint lists every step that differs.
pub fn check(answer: &Value, rules: &[Rule]) -> Result<(), String> {
    let steps = answer["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let mut complaints = Vec::new();
    if answer["ended"] != "exit 0" {
        complaints.push(format!("the attack ended by {}", answer["ended"]));
    }
    let mut used = vec![false; rules.len()];
    for step in steps {
        let name = step["step"].as_str().unwrap_or_default();
        let Some(at) = rules.iter().position(|rule| rule.matches(name)) else {
            complaints.push(format!("step `{name}` has no expectation: {step}"));
            continue;
        };
        used[at] = true;
        let works = step["ok"] == true;
        let errno = step["errno"].as_str();
        let among = |set: &[&str]| errno.is_some_and(|errno| set.contains(&errno));
        let right = match rules[at].1 {
            Want::Works => works,
            Want::Fails(set) => !works && among(set),
            Want::Nothing => !works && errno.is_none(),
            Want::WorksOr(set) => works || among(set),
            Want::Any(_) => true,
        };
        if !right {
            complaints.push(format!("step `{name}`: wanted {:?}, got {step}", rules[at].1));
        }
    }
    for (rule, _) in rules.iter().zip(&used).filter(|(rule, used)| !**used && !rule.0.starts_with('?')) {
        complaints.push(format!("no step `{}` happened", rule.0));
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}
