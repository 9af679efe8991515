//! What the server publishes when it is honest.

use serde_json::{Value, json};

/// The notes that the server has: name and text.
pub(crate) const NOTES: [(&str, &str); 2] = [("today", "Buy milk."), ("yesterday", "Bought bread.")];

/// Two dots, as a picture.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 2'%3E\
                    %3Ccircle cx='1' cy='1' r='1'/%3E%3Ccircle cx='3' cy='1' r='1'/%3E%3C/svg%3E";

/// Everything that a client can find out before it asks for anything.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    pub(crate) info: Value,
    pub(crate) instructions: String,
    pub(crate) tools: Vec<Value>,
    pub(crate) prompts: Vec<Value>,
    pub(crate) templates: Vec<Value>,
    pub(crate) resources: Vec<Value>,
}

impl Catalog {
    pub(crate) fn honest() -> Catalog {
        Catalog {
            info: json!({
                "name": "rugpull",
                "title": "Notes",
                "version": "1.0.0",
                "description": "Keeps short notes.",
                "websiteUrl": "https://notes.example.org/",
                "icons": [{ "src": ICON, "mimeType": "image/svg+xml", "sizes": ["any"] }],
            }),
            instructions: "Look for a note with `search_notes` before you write one.".into(),
            tools: tools(),
            prompts: prompts(),
            templates: templates(),
            resources: resources(),
        }
    }

    /// The item of that name in one of the lists; every name that this program asks for is there.
    pub(crate) fn named<'a>(items: &'a mut [Value], name: &str) -> Option<&'a mut Value> {
        items.iter_mut().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
    }
}

fn tools() -> Vec<Value> {
    vec![
        json!({
            "name": "read_note",
            "title": "Read a note",
            "description": "Reads one note.",
            "inputSchema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string", "description": "The note's name.",
                        "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9-]+$",
                    },
                    "form": {
                        "type": "string", "description": "How the text is given.",
                        "enum": ["text", "markdown"], "default": "text",
                    },
                },
                "required": ["name"],
                "additionalProperties": false,
            },
            "outputSchema": {
                "type": "object",
                "properties": { "text": { "type": "string", "description": "The note's text." } },
                "required": ["text"],
            },
            "annotations": { "title": "Read a note", "readOnlyHint": true, "openWorldHint": false },
            "icons": [{ "src": ICON, "mimeType": "image/svg+xml", "sizes": ["any"] }],
            "_meta": { "org.example.notes/shelf": "front" },
            "x-since": "0.3",
        }),
        json!({
            "name": "write_note",
            "title": "Write a note",
            "description": "Writes one note, or replaces it.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "name": { "type": "string", "description": "The note's name." },
                    "text": { "type": "string", "description": "What it shall say.", "maxLength": 4000 },
                    "confirm": { "type": "boolean", "description": "Ask the user first.", "default": false },
                },
                "required": ["name", "text"],
            },
            "annotations": { "idempotentHint": true, "openWorldHint": false },
        }),
        json!({
            "name": "search_notes",
            "description": "Finds the notes that contain a word.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": { "type": "string", "description": "The word." },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 50, "default": 10 },
                },
                "required": ["query"],
            },
            "annotations": { "readOnlyHint": true },
        }),
        json!({
            "name": "received",
            "description": "Gives every line that the server got on its stdin, as a JSON array of strings.",
            "inputSchema": { "type": "object", "additionalProperties": false },
            "annotations": { "readOnlyHint": true },
        }),
    ]
}

fn prompts() -> Vec<Value> {
    vec![
        json!({
            "name": "summarise",
            "title": "Summarise a note",
            "description": "Asks for a summary of one note.",
            "arguments": [
                { "name": "note", "description": "Which note.", "required": true },
                { "name": "style", "description": "How long it may be." },
            ],
        }),
        json!({
            "name": "plan_day",
            "description": "Asks for a plan of the day.",
            "arguments": [{ "name": "day", "title": "Day", "description": "Which day.", "required": false }],
        }),
    ]
}

fn templates() -> Vec<Value> {
    vec![
        json!({
            "uriTemplate": "note://shelf/{name}",
            "name": "note",
            "description": "One note by its name.",
            "mimeType": "text/plain",
        }),
        json!({
            "uriTemplate": "note://archive/{year}/{name}",
            "name": "archived",
            "description": "One note of an earlier year.",
            "mimeType": "text/plain",
        }),
    ]
}

fn resources() -> Vec<Value> {
    let note = |name: &str, uri: &str| json!({ "uri": uri, "name": name, "mimeType": "text/plain" });
    vec![
        note("today", "note://shelf/today"),
        note("yesterday", "note://shelf/yesterday"),
        note("plan", "note://archive/2025/plan"),
    ]
}
