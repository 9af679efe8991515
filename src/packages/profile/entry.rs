//! What is pasted into a host's configuration.

use serde_json::{Map, Value, json};

/// What to paste into a host's configuration: the entry of `mcpServers`, indented by two spaces, without the braces around
/// it. Variables that are passed on get placeholders to be filled in.
#[must_use]
pub fn host_entry(name: &str, program: &str, pass: &[String]) -> String {
    let mut entry = Map::new();
    entry.insert("command".to_owned(), json!(program));
    entry.insert("args".to_owned(), json!(["run", name]));
    // A pattern such as `LC_*` is no variable, and what a desktop sets itself needs no placeholder.
    let named = pass.iter().filter(|name| !name.contains('*') && !name.is_empty());
    let env: Map<String, Value> = named.map(|name| (name.clone(), json!(format!("<{name}>")))).collect();
    if !env.is_empty() {
        entry.insert("env".to_owned(), Value::Object(env));
    }
    let members: Vec<String> = ["command", "args", "env"]
        .iter()
        .filter_map(|key| entry.get(*key).map(|value| format!("  {}: {}", json!(key), inline(value))))
        .collect();
    format!("{}: {{\n{}\n}}", json!(name), members.join(",\n")).lines().map(|line| format!("  {line}\n")).collect()
}

/// Arrays in one line, objects a member a line.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("    {}: {value}", json!(key))).collect();
            format!("{{\n{}\n  }}", members.join(",\n"))
        }
        value => value.to_string(),
    }
}
