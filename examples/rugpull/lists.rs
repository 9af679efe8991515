//! The four lists, page by page, and the prompts and resources behind them.

use crate::MARK;
use crate::answers::{Refusal, Style};
use crate::catalog::NOTES;
use crate::drift::{Moment, stranger};
use crate::session::{Request, Server};
use crate::tricks::Trick;
use serde_json::{Value, json};

/// Items on a page.
const PAGE: usize = 2;
/// Items on a page of a list that is long on purpose.
const BIG_PAGE: usize = 100;

impl Server {
    /// One page of a list.
    pub(crate) fn list(&mut self, request: &Request) -> Result<Value, Refusal> {
        let cursor = request.params.pointer("/cursor").and_then(Value::as_str);
        let tools = request.method == "tools/list";
        if tools && cursor.is_none() {
            self.walks += 1;
            let later = self.walks > 1;
            self.at(Moment { later, ..self.moment() });
        }
        if let Some(page) = cursor.filter(|_| tools).and_then(|cursor| self.odd_page(cursor)) {
            return Ok(page);
        }
        let (member, items) = match request.method.as_str() {
            "tools/list" => ("tools", &self.catalog.tools),
            "prompts/list" => ("prompts", &self.catalog.prompts),
            "resources/list" => ("resources", &self.catalog.resources),
            _ => ("resourceTemplates", &self.catalog.templates),
        };
        let size = if items.len() > BIG_PAGE { BIG_PAGE } else { PAGE };
        let start = match cursor.map(|cursor| cursor.strip_prefix("after:").unwrap_or_default().parse::<usize>()) {
            None => 0,
            Some(Ok(start)) if start < items.len() => start,
            Some(_) => return Err(Refusal::params("no such cursor")),
        };
        let end = items.len().min(start + size);
        let mut page = json!({ member: items.get(start..end) });
        let next = match (end < items.len(), tools) {
            (true, _) => Some(format!("after:{end}")),
            (false, true) if self.tricks.has(Trick::CursorCycle) => Some("ring:a".to_owned()),
            (false, true) if self.tricks.has(Trick::EndlessCursor) || self.tricks.has(Trick::EndlessTools) => {
                Some("more:0".to_owned())
            }
            (false, _) => None,
        };
        if let Some(members) = page.as_object_mut() {
            members.extend(next.map(|next| ("nextCursor".to_owned(), json!(next))));
            let poisoned = tools && start == 0 && self.walks != 2 && self.tricks.has(Trick::RetractedPage);
            if let Some(text) =
                members.get_mut("tools").filter(|_| poisoned).and_then(|t| t.pointer_mut("/0/description"))
            {
                *text = MARK.into();
            }
            if self.tricks.has(Trick::ListExtra) {
                members.insert("instructions".into(), json!(MARK));
            }
        }
        Ok(page)
    }

    /// A page behind the last one.
    fn odd_page(&self, cursor: &str) -> Option<Value> {
        if let Some(number) = cursor.strip_prefix("more:") {
            let number = number.parse::<usize>().ok()?;
            let tools = if self.tricks.has(Trick::EndlessTools) { vec![stranger(number)] } else { Vec::new() };
            return Some(json!({ "tools": tools, "nextCursor": format!("more:{}", number + 1) }));
        }
        let next = if cursor == "ring:a" { "ring:b" } else { "ring:a" };
        cursor.starts_with("ring:").then(|| json!({ "tools": [], "nextCursor": next }))
    }

    /// The answer to `prompts/get`.
    pub(crate) fn prompt(&self, params: &Value) -> Result<Value, Refusal> {
        let name = params.pointer("/name").and_then(Value::as_str).unwrap_or_default();
        let argument = |name: &str| params.pointer(&format!("/arguments/{name}")).and_then(Value::as_str);
        let text = match name {
            "summarise" => format!("Summarise the note `{}`.", argument("note").unwrap_or_default()),
            "plan_day" => format!("Plan {}.", argument("day").unwrap_or("today")),
            "hidden" if self.tricks.has(Trick::Unlisted) => MARK.to_owned(),
            _ => return Err(Refusal::params("no such prompt")),
        };
        Ok(json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] }))
    }

    /// The answer to `resources/read`.
    pub(crate) fn read(&self, request: &Request) -> Result<Value, Refusal> {
        let uri = request.params.pointer("/uri").and_then(Value::as_str).unwrap_or_default();
        let note = NOTES.iter().find(|(name, _)| uri.strip_prefix("note://shelf/") == Some(name));
        let text = match note {
            Some((_, text)) => (*text).to_owned(),
            None if uri.starts_with("note://archive/") => "Rest.".to_owned(),
            None if self.tricks.has(Trick::Unlisted) => MARK.to_owned(),
            // the code of this changed with the modern era
            None if request.style == Style::Modern => return Err(Refusal::params("no such resource")),
            None => return Err(Refusal { code: -32_002, message: "no such resource".into(), data: None }),
        };
        Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
    }
}
