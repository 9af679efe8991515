//! SARIF 2.1.0 (OASIS Standard, March 2020): what code scanning reads.

use super::{Checked, Level, Problem, State, portable, uri_path};
use crate::cli::output::visible;
use crate::cli::topics;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

pub(super) fn render(servers: &[Checked], cwd: &Path) -> String {
    let mut rules: Vec<(&'static str, Level)> = Vec::new();
    let problems = || servers.iter().flat_map(|server| server.problems.iter().map(move |problem| (server, problem)));
    for (_, problem) in problems() {
        match rules.iter_mut().find(|(id, _)| *id == problem.rule) {
            Some((_, level)) => *level = problem.level.max(*level),
            None => rules.push((problem.rule, problem.level)),
        }
    }
    let results: Vec<Value> = problems()
        .map(|(server, problem)| {
            let index = rules.iter().position(|(id, _)| *id == problem.rule);
            result(server, problem, index.unwrap_or_default(), cwd)
        })
        .collect();
    let complete = servers.iter().all(|server| server.state != State::Failed);
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mcpjail",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|(id, level)| rule(id, *level)).collect::<Vec<_>>(),
            } },
            "invocations": [{ "executionSuccessful": complete }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(id: &str, level: Level) -> Value {
    let about = topics::about(id).unwrap_or_else(|| id.to_owned());
    json!({
        "id": id,
        "shortDescription": { "text": first_sentence(&about) },
        "fullDescription": { "text": about },
        "help": { "text": format!("{about}\n\nThe same is printed by: mcpjail help {id}") },
        "defaultConfiguration": { "level": level.word() },
    })
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

fn result(checked: &Checked, problem: &Problem, index: usize, cwd: &Path) -> Value {
    let (kind, name) = match &problem.item {
        Some(item) => (item.kind, visible(&item.name)),
        None => ("server", visible(&checked.server)),
    };
    let qualified = match &problem.item {
        Some(_) => format!("{}/{kind}/{name}{}", visible(&checked.server), visible(&problem.at)),
        None => name.clone(),
    };
    let artifact = match portable(&checked.lock, cwd) {
        Ok(relative) => json!({ "uri": uri_path(relative), "uriBaseId": "%SRCROOT%" }),
        Err(absolute) => json!({ "uri": format!("file://{}", uri_path(absolute)) }),
    };
    let message = match &problem.item {
        Some(_) => format!("{}: {kind} `{name}`: {}", visible(&checked.server), visible(&problem.message)),
        None => format!("{name}: {}", visible(&problem.message)),
    };
    json!({
        "ruleId": problem.rule,
        "ruleIndex": index,
        "level": problem.level.word(),
        "message": { "text": message },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": artifact,
                "region": { "startLine": problem.line.unwrap_or(1) },
            },
            "logicalLocations": [{ "name": name, "fullyQualifiedName": qualified, "kind": kind }],
        }],
        "partialFingerprints": { "mcpjailProblem/v1": fingerprint(checked, problem) },
    })
}

/// The same problem in the next check has the same print, wherever the lock's lines have moved to.
fn fingerprint(checked: &Checked, problem: &Problem) -> String {
    let mut hash = Sha256::new();
    let (kind, name) = problem.item.as_ref().map_or(("", ""), |item| (item.kind, item.name.as_str()));
    for part in ["mcpjail problem v1", problem.rule, &checked.server, kind, name, &problem.at] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::servers;
    use super::*;

    /// What the schema of SARIF 2.1.0 requires and restricts, of the objects that are written here.
    fn check(log: &Value) {
        let text = |value: &Value| value["text"].as_str().is_some_and(|text| !text.is_empty());
        assert_eq!(log["version"], "2.1.0");
        for run in log["runs"].as_array().unwrap() {
            let driver = &run["tool"]["driver"];
            assert!(driver["name"].as_str().is_some());
            let rules = driver["rules"].as_array().unwrap();
            let mut ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
            for rule in rules {
                assert!(text(&rule["shortDescription"]) && text(&rule["fullDescription"]) && text(&rule["help"]));
                assert!(
                    ["note", "warning", "error"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap())
                );
            }
            for invocation in run["invocations"].as_array().unwrap() {
                assert!(invocation["executionSuccessful"].is_boolean());
            }
            assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
            for result in run["results"].as_array().unwrap() {
                assert!(text(&result["message"]));
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(result["ruleId"], ids[index]);
                assert!(["note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
                for location in result["locations"].as_array().unwrap() {
                    let physical = &location["physicalLocation"];
                    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                    assert!(uri.is_ascii() && !uri.contains([' ', '"', '<']), "{uri}");
                    assert!(physical["region"]["startLine"].as_u64().unwrap() >= 1);
                    assert!(!location["logicalLocations"].as_array().unwrap().is_empty());
                }
                for print in result["partialFingerprints"].as_object().unwrap().values() {
                    assert!(print.is_string());
                }
            }
            ids.sort_unstable();
            assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        }
    }

    #[test]
    fn the_log_has_what_the_schema_requires() {
        let log: Value = serde_json::from_str(&render(&servers(), Path::new("/team"))).unwrap();
        check(&log);
        let run = &log["runs"][0];
        assert_eq!(run["invocations"][0]["executionSuccessful"], false, "one server was not checked");
        assert_eq!(run["results"].as_array().unwrap().len(), 3);
        assert_eq!(run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"], 12);
        let uri = |n: usize| &run["results"][n]["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(uri(0), &json!({ "uri": "file:///elsewhere/a%20b.lock.json" }));
        assert_eq!(uri(2), &json!({ "uri": "locks/command.lock.json", "uriBaseId": "%SRCROOT%" }));
        assert!(!run["results"][0]["message"]["text"].as_str().unwrap().chars().any(char::is_control));
        check(&serde_json::from_str(&render(&[], Path::new("/"))).unwrap());
    }

    #[test]
    fn problems_keep_their_fingerprint_and_share_it_with_no_other() {
        let mut servers = servers();
        let of = |servers: &[Checked]| fingerprint(&servers[1], &servers[1].problems[0]);
        let first = of(&servers);
        servers[1].problems[0].line = Some(99);
        servers[1].problems[0].message = "told in other words".into();
        assert_eq!(of(&servers), first);
        servers[1].problems[0].at = "/title".into();
        assert_ne!(of(&servers), first);
    }
}
