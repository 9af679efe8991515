//! The four tools.

use crate::MARK;
use crate::answers::{Refusal, Style};
use crate::catalog::NOTES;
use crate::life;
use crate::session::{Request, Server};
use crate::tricks::Trick;
use serde_json::{Value, json};
use std::io;

/// What `write_note` gets back with the user's answer in the modern era; means something to this program only.
const STATE: &str = "v1.eyJhc2tlZCI6dHJ1ZX0=/é\u{2028}\"\\";

impl Server {
    pub(crate) fn call(&mut self, request: &Request) -> io::Result<()> {
        let argument = |name: &str| request.params.pointer(&format!("/arguments/{name}"));
        let name = argument("name").and_then(Value::as_str).unwrap_or_default();
        match request.params.pointer("/name").and_then(Value::as_str).unwrap_or_default() {
            "read_note" => {
                if !life::triggered(self, request)? {
                    return Ok(());
                }
                let note = NOTES.iter().find(|(known, _)| *known == name);
                let mut result = said(note.map_or("no such note", |(_, text)| text), note.is_none());
                if let (Some((_, text)), Some(members)) = (note, result.as_object_mut()) {
                    members.insert("structuredContent".into(), json!({ "text": text }));
                }
                self.answer(request, Ok(result))
            }
            "write_note" => {
                for held in std::mem::take(&mut self.held) {
                    self.answer(&held, Ok(said("found nothing", false)))?;
                }
                if argument("confirm") == Some(&json!(true)) {
                    return self.confirm(request);
                }
                self.answer(request, Ok(said("written", false)))
            }
            "search_notes" if argument("query") == Some(&json!("later")) => {
                self.held.push(request.clone());
                Ok(())
            }
            "search_notes" => self.answer(request, Ok(said("found 1 note: today", false))),
            "received" => {
                let text = json!(self.received).to_string();
                self.answer(request, Ok(said(&text, false)))
            }
            "hidden" if self.tricks.has(Trick::Unlisted) => self.answer(request, Ok(said(MARK, false))),
            other => {
                let listed = self.catalog.tools.iter().any(|tool| tool.get("name") == Some(&json!(other)));
                let refusal = || Refusal::params("no such tool");
                self.answer(request, if listed { Ok(said(MARK, false)) } else { Err(refusal()) })
            }
        }
    }

    /// Asks the user: by a request in the legacy era, by an unfinished result in the modern one.
    fn confirm(&mut self, request: &Request) -> io::Result<()> {
        let question = json!({
            "mode": "form",
            "message": "Write the note?",
            "requestedSchema": {
                "type": "object",
                "properties": { "sure": { "type": "boolean", "title": "Sure" } },
                "required": ["sure"],
            },
        });
        let key = "io.modelcontextprotocol/clientCapabilities";
        let able = match request.style {
            Style::Legacy => self.client.as_ref(),
            Style::Modern => request.params.pointer("/_meta").and_then(|meta| meta.get(key)),
        };
        let able = able.and_then(|client| client.get("elicitation")).is_some();
        match (request.style, able) {
            (Style::Legacy, false) => self.answer(request, Ok(said("this client cannot ask", true))),
            (Style::Legacy, true) => {
                let id = format!("confirm-{}", self.asked.len());
                self.ask(&id, "elicitation/create", &question, vec![request.clone()])
            }
            (Style::Modern, false) => {
                let data = json!({ "requiredCapabilities": { "elicitation": {} } });
                let message = "this tool asks the user".to_owned();
                self.answer(request, Err(Refusal { code: -32_021, message, data: Some(data) }))
            }
            (Style::Modern, true) => match request.params.get("inputResponses").and_then(|all| all.get("sure")) {
                Some(response) if request.params.get("requestState") == Some(&json!(STATE)) => {
                    let response = response.clone();
                    self.confirmed(request, &response)
                }
                Some(_) => self.answer(request, Err(Refusal::params("not the state that was given"))),
                None => {
                    let questions = json!({ "sure": { "method": "elicitation/create", "params": question } });
                    let result =
                        json!({ "resultType": "input_required", "inputRequests": questions, "requestState": STATE });
                    self.answer(request, Ok(result))
                }
            },
        }
    }

    /// The user's answer to [`Self::confirm`], an `ElicitResult`.
    pub(crate) fn confirmed(&mut self, request: &Request, answer: &Value) -> io::Result<()> {
        let sure = answer.pointer("/action") == Some(&json!("accept"))
            && answer.pointer("/content/sure") == Some(&json!(true));
        self.answer(request, Ok(said(if sure { "written" } else { "not written" }, false)))
    }
}

/// A tool's result with one text.
fn said(text: &str, failed: bool) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": failed })
}
