//! Cases 26 and 52: what leaks in from the launcher.

use crate::case::{CASE, Case, Launch, TierB};
use crate::support::expect::{Rule, Want::*};
use serde_json::json;

/// In every planted variable.
const MARKER: &str = "leak-marker-51f0";

const PLANTED: &[(&str, &str)] = &[
    ("GITHUB_TOKEN", "leak-marker-51f0-token"),
    ("AWS_SECRET_ACCESS_KEY", "leak-marker-51f0-aws"),
    ("NODE_OPTIONS", "--require=/leak-marker-51f0"),
    ("BASH_ENV", "/leak-marker-51f0"),
    ("PYTHONSTARTUP", "/leak-marker-51f0"),
    ("LD_LIBRARY_PATH", "/leak-marker-51f0"),
    ("LD_PRELOAD", "/leak-marker-51f0.so"),
    ("SSH_AUTH_SOCK", "/leak-marker-51f0"),
    ("leak-marker-51f0 odd", "x"),
];

const LEAKY: Launch = Launch { name: "leaky", options: |_, _| Ok(Vec::new()), env: PLANTED };

const PASSING: Launch = Launch {
    name: "passing",
    options: |_, _| {
        Ok(["--env", "GITHUB_TOKEN", "--env", "AWS_SECRET_ACCESS_KEY", "--env", "ADDED=leak-marker-51f0"]
            .map(Into::into)
            .to_vec())
    },
    env: PLANTED,
};

pub const CASES: &[Case] = &[
    Case {
        number: 26,
        name: "own-descriptors",
        attack: |_| json!({ "attack": "own-descriptors", "here": true }),
        // Unjailed, whatever the suite itself was started with arrives; launches.rs has a launcher with a hundred.
        control: &[Rule("standard:*", Nothing), Rule("*", Any("the suite's own inheritance"))],
        refused: &[Rule("*", Nothing)],
        ..CASE
    },
    Case {
        number: 52,
        name: "environment",
        attack: |_| json!({ "attack": "environment", "marker": MARKER }),
        control: &[Rule("names", Works), Rule("*", Works)],
        refused: &[Rule("names", Works), Rule("*", Nothing)],
        // The attacker's parent is the server itself; the launcher's environment is not to be read from a Landlock
        // domain, and no other process is looked at without a process-id namespace.
        refused_by: LEAKY,
        granted_by: PASSING,
        ..CASE
    },
    Case {
        number: 52,
        name: "variables",
        attack: |_| json!({ "attack": "variables", "names": ["GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"] }),
        granted: Some(&[Rule("*", Works)]),
        refused: &[Rule("*", Nothing)],
        refused_by: LEAKY,
        granted_by: PASSING,
        ..CASE
    },
    Case {
        number: 52,
        name: "loader-variables",
        attack: |_| json!({ "attack": "variables", "names": ["LD_PRELOAD", "LD_LIBRARY_PATH", "NODE_OPTIONS", "BASH_ENV"] }),
        // Granting others does not pass these.
        granted: Some(&[Rule("*", Nothing)]),
        refused: &[Rule("*", Nothing)],
        tier_b: TierB::Same,
        refused_by: LEAKY,
        granted_by: PASSING,
        ..CASE
    },
];
