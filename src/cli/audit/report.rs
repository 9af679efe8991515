//! The reports of `npm audit`, `pip-audit` and `uv audit`, read into one list.

use serde_json::Value;
use std::collections::BTreeSet;

/// A known vulnerability of a package. All of it is a stranger's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// The package.
    pub(super) package: String,
    /// Its version, where the report tells it.
    pub(super) version: String,
    /// `GHSA-…`, `PYSEC-…`, `CVE-…`.
    pub(super) id: String,
    /// In the report's own word; empty where it has none.
    pub(super) severity: String,
    /// One line.
    pub(super) summary: String,
    /// Versions that have it no more, or those that have it (`<1.2.3`), in words.
    pub(super) fixed: String,
}

/// Reads `npm audit --json`: `auditReportVersion` 2. `None` for what is no report, such as npm's own errors: an audit that
/// failed must never look like one that found nothing.
pub(super) fn npm(report: &Value) -> Option<BTreeSet<Finding>> {
    let mut found = BTreeSet::new();
    report.get("auditReportVersion")?;
    for (package, entry) in report.get("vulnerabilities")?.as_object()? {
        // a text names another package of the list, whose vulnerability this one only brings along
        for advisory in list(entry, "via").filter(|via| via.is_object()) {
            let url = text(advisory, "url");
            let source = || advisory.get("source").map(Value::to_string).unwrap_or_default();
            let id = url.rsplit('/').next().filter(|id| !id.is_empty()).map_or_else(source, str::to_owned);
            let range = text(advisory, "range");
            found.insert(Finding {
                package: package.clone(),
                version: String::new(),
                id,
                severity: text(advisory, "severity").to_owned(),
                summary: text(advisory, "title").to_owned(),
                fixed: if range.is_empty() { String::new() } else { format!("in versions {range}") },
            });
        }
    }
    Some(found)
}

/// Reads `pip-audit -f json`.
pub(super) fn pip_audit(report: &Value) -> Option<BTreeSet<Finding>> {
    let mut found = BTreeSet::new();
    for package in report.get("dependencies")?.as_array()? {
        for vulnerability in list(package, "vulns") {
            found.insert(Finding {
                package: text(package, "name").to_owned(),
                version: text(package, "version").to_owned(),
                id: text(vulnerability, "id").to_owned(),
                severity: String::new(),
                summary: first_line(text(vulnerability, "description")),
                fixed: fixed(vulnerability),
            });
        }
    }
    Some(found)
}

/// Packages that `pip-audit` could not ask about, with its reason.
pub(super) fn skipped(report: &Value) -> Vec<String> {
    let each = |package: &Value| {
        let reason = package.get("skip_reason")?.as_str()?;
        Some(format!("{}: {reason}", text(package, "name")))
    };
    list(report, "dependencies").filter_map(each).collect()
}

/// Reads `uv audit --output-format json`, schema `preview`.
pub(super) fn uv(report: &Value) -> Option<BTreeSet<Finding>> {
    let mut found = BTreeSet::new();
    for vulnerability in report.get("vulnerabilities")?.as_array()? {
        let dependency = vulnerability.get("dependency")?;
        let display = text(vulnerability, "display_id");
        found.insert(Finding {
            package: text(dependency, "name").to_owned(),
            version: text(dependency, "version").to_owned(),
            id: if display.is_empty() { text(vulnerability, "id") } else { display }.to_owned(),
            severity: text(vulnerability, "severity").to_owned(),
            summary: first_line(text(vulnerability, "summary")),
            fixed: fixed(vulnerability),
        });
    }
    // what the index says of the project itself (PEP 792): quarantined, archived, deprecated
    let version_of = |name: &str| {
        let known = found.iter().find(|finding| finding.package == name);
        known.map(|finding| finding.version.clone()).unwrap_or_default()
    };
    let adverse: Vec<Finding> = list(report, "adverse_statuses")
        .map(|project| Finding {
            package: text(project, "name").to_owned(),
            version: version_of(text(project, "name")),
            id: "status of the project".to_owned(),
            severity: text(project, "status").to_owned(),
            summary: first_line(text(project, "reason")),
            fixed: String::new(),
        })
        .collect();
    found.extend(adverse);
    Some(found)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn fixed(vulnerability: &Value) -> String {
    let versions: Vec<&str> = list(vulnerability, "fix_versions").filter_map(Value::as_str).collect();
    if versions.is_empty() { "no version without it".to_owned() } else { format!("fixed in {}", versions.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn npm_s_advisories_are_told_once() {
        let advisory = json!({
            "source": 1_096_000, "name": "minimist", "title": "Prototype Pollution in minimist", "severity": "critical",
            "url": "https://github.com/advisories/GHSA-xvch-5gv4-984h", "range": "<0.2.4"
        });
        let report = json!({
            "auditReportVersion": 2,
            "vulnerabilities": {
                "minimist": { "name": "minimist", "severity": "critical", "via": [advisory, advisory] },
                "mkdirp": { "name": "mkdirp", "severity": "critical", "via": ["minimist"] },
            },
            "metadata": {}
        });
        let found = Vec::from_iter(npm(&report).unwrap());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].severity.as_str()), ("GHSA-xvch-5gv4-984h", "critical"));
        assert_eq!(found[0].fixed, "in versions <0.2.4");
        assert!(npm(&json!({ "auditReportVersion": 2, "vulnerabilities": {} })).unwrap().is_empty());
    }

    #[test]
    fn an_error_is_no_report() {
        let npm_s = json!({ "message": "405 Method Not Allowed", "statusCode": 405, "error": { "summary": "" } });
        assert_eq!((npm(&npm_s), pip_audit(&npm_s), uv(&npm_s)), (None, None, None));
        assert_eq!(npm(&json!({ "vulnerabilities": {} })), None);
        assert_eq!(npm(&json!({ "auditReportVersion": 2, "vulnerabilities": [] })), None);
        assert_eq!(uv(&json!({ "vulnerabilities": [5] })), None);
    }

    #[test]
    fn reports_on_python_packages() {
        let vulnerability = json!({ "id": "PYSEC-1", "fix_versions": ["2.0", "1.9.1"], "description": "\n one\ntwo" });
        let report = json!({ "dependencies": [
            { "name": "a", "version": "1.0", "vulns": [vulnerability] },
            { "name": "b", "version": "1.0", "vulns": [] },
            { "name": "c", "skip_reason": "not on PyPI" },
        ], "fixes": [] });
        let found = Vec::from_iter(pip_audit(&report).unwrap());
        assert_eq!((found.len(), found[0].fixed.as_str()), (1, "fixed in 2.0, 1.9.1"));
        assert_eq!(found[0].summary, "one");
        assert_eq!(skipped(&report), ["c: not on PyPI"]);
        let report = json!({ "schema": { "version": "preview" }, "vulnerabilities": [{
            "dependency": { "name": "six", "version": "1.17.0" }, "id": "OSV-1", "display_id": "GHSA-1",
            "summary": "bad", "fix_versions": []
        }] });
        let found = Vec::from_iter(uv(&report).unwrap());
        assert_eq!((found[0].id.as_str(), found[0].version.as_str()), ("GHSA-1", "1.17.0"));
        assert_eq!(found[0].fixed, "no version without it");
    }

    #[test]
    fn a_project_in_quarantine_is_a_finding() {
        let adverse = json!([{ "name": "six", "status": "quarantined", "reason": "malware" }]);
        let found = Vec::from_iter(uv(&json!({ "vulnerabilities": [], "adverse_statuses": adverse })).unwrap());
        assert_eq!((found[0].severity.as_str(), found[0].summary.as_str()), ("quarantined", "malware"));
    }
}
