//! The report for programs. `version` changes when a member changes its meaning or goes; members may be added.

use super::{Checked, Problem, worst};
use serde_json::{Value, json};

pub(super) fn render(servers: &[Checked]) -> String {
    let report = json!({
        "version": 1,
        "exit": worst(servers) as u8,
        "servers": servers.iter().map(server).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn server(checked: &Checked) -> Value {
    let Checked { server, lock, state, exit, items, problems, drift, prose: _, notes } = checked;
    json!({
        "server": server,
        "lock": lock.to_string_lossy(),
        "state": state.word(),
        "exit": *exit as u8,
        "items": items.iter().map(|item| json!({ "kind": item.kind, "name": item.name })).collect::<Vec<_>>(),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
        "drift": drift,
        "notes": notes,
    })
}

fn problem(problem: &Problem) -> Value {
    let Problem { rule, level, item, at, message, line } = problem;
    json!({
        "rule": rule,
        "level": level.word(),
        "kind": item.as_ref().map(|item| item.kind),
        "name": item.as_ref().map(|item| &item.name),
        "at": at,
        "message": message,
        "line": line,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, servers};
    use super::*;

    #[test]
    fn every_byte_survives() {
        let report: Value = serde_json::from_str(&render(&servers())).unwrap();
        assert_eq!((&report["version"], &report["exit"]), (&json!(1), &json!(5)));
        let states: Vec<_> = report["servers"].as_array().unwrap().iter().map(|server| &server["state"]).collect();
        assert_eq!(states, ["same", "drifted", "failed"]);
        let problem = &report["servers"][1]["problems"][0];
        assert_eq!((problem["name"].as_str(), problem["message"].as_str()), (Some(HOSTILE), Some(HOSTILE)));
        assert_eq!(report["servers"][1]["drift"]["changes"][0], HOSTILE);
        assert_eq!(report["servers"][2]["problems"][0]["kind"], Value::Null);
    }
}
