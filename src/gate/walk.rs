//! Asks a server for all pages of its lists, as a value: what to send comes out, answers go in.
//!
//! The first pages of all lists are asked for at once, the next page of a list when one has come. A list that the server
//! says has changed meanwhile is asked for again from its first page. Pages, entries, bytes and fresh starts are
//! bounded, and a cursor may come only once. Time is the caller's.

use super::error::GateError;
use super::lists::List;
use super::{answer, sight::Sight};
use crate::json::{self, Kind, Value};
use crate::relay::{Id, Message};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The most pages of one list.
const PAGES: usize = 1_000;
/// The most entries of one list.
const ENTRIES: usize = 100_000;
/// The most bytes of all answers of one walk.
const BYTES: usize = 64 << 20;
/// The most fresh starts in one walk.
const RESTARTS: usize = 32;
/// The longest cursor, bytes.
const CURSOR: usize = 64 << 10;
/// The error code by which a server says that it has no such list.
const NO_SUCH_LIST: i64 = answer::METHOD_NOT_FOUND;

/// Numbers mcpjail's own requests. Their ids hold a random part, so that no other id is ever one of them.
#[derive(Debug)]
pub(super) struct Numbers {
    prefix: String,
    next: u64,
}

impl Numbers {
    /// Numbers that nobody can guess.
    pub(super) fn random() -> Numbers {
        Numbers::new(RandomState::new().build_hasher().finish())
    }

    fn new(nonce: u64) -> Numbers {
        Numbers { prefix: format!("mcpjail-{nonce:016x}-"), next: 0 }
    }

    /// What all ids begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A fresh id and its number.
    pub(super) fn next(&mut self) -> (u64, Id) {
        self.next += 1;
        (self.next, Id::Text(format!("{}{}", self.prefix, self.next).into()))
    }
}

/// The number of an own request, from the id in its answer.
pub(super) fn number(prefix: &str, id: &Id) -> Option<u64> {
    match id {
        Id::Text(text) => text.strip_prefix(prefix)?.parse().ok(),
        Id::Number(_) => None,
    }
}

/// What follows from an answer.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The line to send.
    pub(super) send: Vec<u8>,
    /// All lists are complete.
    pub(super) done: bool,
}

/// One list on its way.
#[derive(Debug)]
struct Progress {
    /// The request that is out.
    number: u64,
    /// The list has changed since that was sent: its answer may be from before, and does not count.
    stale: bool,
    cursors: HashSet<Box<str>>,
    pages: usize,
    entries: usize,
}

/// Recognises pages that were seen to be approved, by a keyed hash (SipHash) of their entries: the server cannot know the
/// key, so it cannot make another page of the same hash.
#[derive(Debug, Default)]
pub(super) struct Pages {
    key: RandomState,
    known: HashSet<(List, u64)>,
}

impl Pages {
    /// The most pages that are remembered.
    const MOST: usize = 4096;

    /// What a page is known by.
    pub(super) fn hash(&self, entries: Value<'_>) -> u64 {
        self.key.hash_one(entries.raw())
    }

    pub(super) fn is_known(&self, list: List, hash: u64) -> bool {
        self.known.contains(&(list, hash))
    }

    pub(super) fn remember(&mut self, pages: impl IntoIterator<Item = (List, u64)>) {
        let room = Pages::MOST.saturating_sub(self.known.len());
        self.known.extend(pages.into_iter().take(room));
    }
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct Walk<S> {
    /// What is seen goes here.
    pub(super) sight: S,
    /// Lists that were answered by an error and so count as empty, with its code.
    pub(super) refused: Vec<(List, i64)>,
    /// Every page, by its hash.
    pub(super) pages: Vec<(List, u64)>,
    lists: Vec<List>,
    open: [Option<Progress>; 4],
    /// `_meta` of every request, a JSON object; empty in the legacy era.
    meta: Vec<u8>,
    bytes: usize,
    restarts: usize,
}

impl<S: Sight> Walk<S> {
    /// A walk of these lists. `meta` is the `_meta` object that every request carries, or empty.
    pub(super) fn new(sight: S, lists: Vec<List>, meta: Vec<u8>) -> Walk<S> {
        let open = [const { None }; 4];
        Walk { sight, refused: Vec::new(), pages: Vec::new(), lists, open, meta, bytes: 0, restarts: 0 }
    }

    /// The requests for all first pages.
    pub(super) fn start(&mut self, numbers: &mut Numbers) -> Step {
        let mut send = Vec::new();
        for list in self.lists.clone() {
            send.append(&mut self.begin(list, numbers));
        }
        Step { send, done: self.is_done() }
    }

    /// An answer to the request of this number. One that belongs to no request that is out is passed over.
    pub(super) fn answer(
        &mut self,
        number: u64,
        message: &Message<'_>,
        numbers: &mut Numbers,
        pages: &Pages,
    ) -> Result<Step, GateError> {
        let of_number = |list: &&List| self.progress(**list).is_some_and(|progress| progress.number == number);
        let Some(list) = self.lists.iter().find(of_number).copied() else { return Ok(Step::default()) };
        let mut step = Step::default();
        match message {
            _ if self.progress(list).is_some_and(|progress| progress.stale) => step.send = self.again(list, numbers)?,
            Message::Response { result, .. } => {
                if let Some(cursor) = self.page(list, *result, pages)? {
                    step.send = self.ask(list, Some(&cursor), numbers);
                } else {
                    self.close(list);
                }
            }
            Message::Error { error, .. } => {
                // The later lists of the host are checked too, so nothing gets in by this.
                self.refused.push((list, error.get("code").and_then(Value::integer).unwrap_or(NO_SUCH_LIST)));
                self.close(list);
            }
            _ => return Ok(step),
        }
        step.done = self.is_done();
        Ok(step)
    }

    /// Whether the walk is of this list, among others.
    pub(super) fn covers(&self, list: List) -> bool {
        self.lists.contains(&list)
    }

    /// The server says that a list has changed. One that is being read begins again when the answer that is out has
    /// come, so that many changes in a row cost one fresh start.
    pub(super) fn changed(&mut self, list: List, numbers: &mut Numbers) -> Result<Step, GateError> {
        if !self.covers(list) {
            return Ok(Step { send: Vec::new(), done: self.is_done() });
        }
        if let Some(Some(progress)) = self.open.get_mut(list.index()) {
            progress.stale = true;
            return Ok(Step::default());
        }
        Ok(Step { send: self.again(list, numbers)?, done: false })
    }

    /// Begins a list again.
    fn again(&mut self, list: List, numbers: &mut Numbers) -> Result<Vec<u8>, GateError> {
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(GateError::too_large("changes of a list while it was read", RESTARTS));
        }
        self.sight.restart(list);
        self.refused.retain(|(refused, _)| *refused != list);
        // What was on them is forgotten, so they must not count as looked at.
        self.pages.retain(|(of, _)| *of != list);
        Ok(self.begin(list, numbers))
    }

    /// A list that is still open, for messages.
    pub(super) fn waits_for(&self) -> Option<List> {
        self.lists.iter().copied().find(|list| self.progress(*list).is_some())
    }

    fn is_done(&self) -> bool {
        self.open.iter().all(Option::is_none)
    }

    fn progress(&self, list: List) -> Option<&Progress> {
        self.open.get(list.index())?.as_ref()
    }

    fn close(&mut self, list: List) {
        if let Some(open) = self.open.get_mut(list.index()) {
            *open = None;
        }
    }

    fn begin(&mut self, list: List, numbers: &mut Numbers) -> Vec<u8> {
        if let Some(open) = self.open.get_mut(list.index()) {
            *open = Some(Progress { number: 0, stale: false, cursors: HashSet::new(), pages: 0, entries: 0 });
        }
        self.ask(list, None, numbers)
    }

    fn ask(&mut self, list: List, cursor: Option<&str>, numbers: &mut Numbers) -> Vec<u8> {
        let (number, id) = numbers.next();
        if let Some(Some(progress)) = self.open.get_mut(list.index()) {
            progress.number = number;
        }
        let mut params = Vec::new();
        if !self.meta.is_empty() {
            params.extend_from_slice(b"\"_meta\":");
            params.extend_from_slice(&self.meta);
        }
        if let Some(cursor) = cursor {
            if !params.is_empty() {
                params.push(b',');
            }
            params.extend_from_slice(b"\"cursor\":");
            json::quote(cursor, &mut params);
        }
        // Some servers want `params` to be there.
        params.insert(0, b'{');
        params.push(b'}');
        answer::request(Some(&id), list.method(), &params)
    }

    /// Takes one page and gives the cursor of the next.
    fn page(&mut self, list: List, result: Value<'_>, pages: &Pages) -> Result<Option<String>, GateError> {
        self.bytes += result.raw().len();
        if self.bytes > BYTES {
            return Err(GateError::too_large("bytes of catalog", BYTES));
        }
        let malformed = |what: &str| GateError::Malformed { what: format!("the answer to `{}` {what}", list.method()) };
        let members = Page::read(list, result).map_err(malformed)?;
        let Some(Some(progress)) = self.open.get_mut(list.index()) else { return Ok(None) };
        progress.pages += 1;
        if progress.pages > PAGES {
            return Err(GateError::too_large("pages of one list", PAGES));
        }
        progress.entries += self.sight.entries(list, members.entries)?;
        if progress.entries > ENTRIES {
            return Err(GateError::too_large("entries of one list", ENTRIES));
        }
        self.pages.push((list, pages.hash(members.entries)));
        let Some(cursor) = members.cursor else { return Ok(None) };
        if cursor.len() > CURSOR {
            return Err(GateError::too_large("bytes of a cursor", CURSOR));
        }
        if !progress.cursors.insert(cursor.as_str().into()) {
            return Err(malformed("gives a cursor for the second time"));
        }
        Ok(Some(cursor))
    }
}

/// The members of a list's result.
pub(super) struct Page<'a> {
    /// An array.
    pub(super) entries: Value<'a>,
    pub(super) cursor: Option<String>,
}

impl<'a> Page<'a> {
    /// Reads a list's result; what is wrong with it continues "the answer …".
    pub(super) fn read(list: List, result: Value<'a>) -> Result<Page<'a>, &'static str> {
        let (mut entries, mut cursor) = (None, None);
        // One pass, since a list may be large.
        for (key, value) in result.members() {
            if key.is(list.member()) {
                entries = Some(value);
            } else if key.is("nextCursor") && value.kind() != Kind::Null {
                // Some servers write null where they mean nothing.
                cursor = Some(value.str().ok_or("has a cursor that is no string")?.into_owned());
            } else if key.is("resultType") && value.str().as_deref() != Some("complete") {
                return Err("is not complete");
            }
        }
        let entries = entries.ok_or("has no list in it")?;
        if entries.kind() != Kind::Array {
            return Err("has something in the place of the list");
        }
        Ok(Page { entries, cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::parse_message;
    use serde_json::{Value as Json, json};

    /// Keeps the names of what it sees.
    #[derive(Debug, Default)]
    struct Names(Vec<(List, String)>);

    impl Sight for Names {
        fn entries(&mut self, list: List, entries: Value<'_>) -> Result<usize, GateError> {
            let name = |entry: Value<'_>| entry.get("name").and_then(Value::str).unwrap_or_default().into_owned();
            self.0.extend(entries.elements().map(|entry| (list, name(entry))));
            Ok(entries.elements().count())
        }
        fn server(&mut self, _item: Value<'_>) -> Result<bool, GateError> {
            Ok(true)
        }
        fn restart(&mut self, list: List) {
            self.0.retain(|(of, _)| *of != list);
        }
    }

    fn requests(lines: &[u8]) -> Vec<Json> {
        lines.split_inclusive(|&byte| byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Answers a request by this result.
    fn answer(walk: &mut Walk<Names>, numbers: &mut Numbers, request: &Json, result: &Json) -> Result<Step, GateError> {
        let line = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }).to_string();
        let id = Id::Text(request["id"].as_str().unwrap().into());
        let number = number(numbers.prefix(), &id).unwrap();
        walk.answer(number, &parse_message(line.as_bytes()).unwrap(), numbers, &Pages::default())
    }

    fn tools(names: &[&str], cursor: Option<&str>) -> Json {
        let tools: Vec<Json> = names.iter().map(|name| json!({ "name": name })).collect();
        match cursor {
            Some(cursor) => json!({ "tools": tools, "nextCursor": cursor }),
            None => json!({ "tools": tools, "nextCursor": null }),
        }
    }

    fn begun(lists: &[List], meta: &[u8]) -> (Walk<Names>, Numbers, Vec<Json>) {
        let mut numbers = Numbers::new(7);
        let mut walk = Walk::new(Names::default(), lists.to_vec(), meta.to_vec());
        let step = walk.start(&mut numbers);
        assert_eq!(step.done, lists.is_empty());
        let asked = requests(&step.send);
        (walk, numbers, asked)
    }

    #[test]
    fn all_lists_are_asked_for_at_once_and_every_page_in_turn() {
        let (mut walk, mut numbers, asked) = begun(&List::ALL, b"");
        let methods: Vec<&str> = asked.iter().map(|request| request["method"].as_str().unwrap()).collect();
        assert_eq!(methods, ["tools/list", "prompts/list", "resources/templates/list", "resources/list"]);
        let step = answer(&mut walk, &mut numbers, &asked[0], &tools(&["a", "b"], Some("\"1"))).unwrap();
        let second = requests(&step.send);
        assert_eq!(second[0]["params"], json!({ "cursor": "\"1" }));
        assert!(!step.done);
        for (request, member) in [(1, "prompts"), (2, "resourceTemplates"), (3, "resources")] {
            let empty = json!({ member: [] });
            assert!(!answer(&mut walk, &mut numbers, &asked[request], &empty).unwrap().done);
        }
        assert!(answer(&mut walk, &mut numbers, &second[0], &tools(&["c"], None)).unwrap().done);
        let names: Vec<&str> = walk.sight.0.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn pages_from_before_a_fresh_start_do_not_count_as_seen() {
        let (mut walk, mut numbers, asked) = begun(&[List::Tools], b"");
        let step = answer(&mut walk, &mut numbers, &asked[0], &tools(&["evil"], Some("1"))).unwrap();
        walk.changed(List::Tools, &mut numbers).unwrap();
        let step = answer(&mut walk, &mut numbers, &requests(&step.send)[0], &tools(&["b"], None)).unwrap();
        let again = requests(&step.send);
        assert!(answer(&mut walk, &mut numbers, &again[0], &tools(&["a"], None)).unwrap().done);
        assert_eq!(walk.sight.0, [(List::Tools, "a".to_owned())]);
        assert_eq!(walk.pages.len(), 1, "a page that nobody has approved would pass for one that was");
    }

    #[test]
    fn a_modern_request_carries_its_meta_beside_the_cursor() {
        let (mut walk, mut numbers, asked) = begun(&[List::Tools], br#"{"v":1}"#);
        assert_eq!(asked[0]["params"], json!({ "_meta": { "v": 1 } }));
        let step = answer(&mut walk, &mut numbers, &asked[0], &tools(&[], Some("x"))).unwrap();
        assert_eq!(requests(&step.send)[0]["params"], json!({ "_meta": { "v": 1 }, "cursor": "x" }));
    }

    #[test]
    fn a_cursor_for_the_second_time_and_one_that_never_ends_are_refused() {
        let (mut walk, mut numbers, mut asked) = begun(&[List::Tools], b"");
        for cursor in ["a", "b"] {
            asked = requests(&answer(&mut walk, &mut numbers, &asked[0], &tools(&[], Some(cursor))).unwrap().send);
        }
        let error = answer(&mut walk, &mut numbers, &asked[0], &tools(&[], Some("a"))).unwrap_err();
        assert!(matches!(error, GateError::Malformed { .. }), "{error}");

        let (mut walk, mut numbers, mut asked) = begun(&[List::Tools], b"");
        for page in 0..PAGES {
            let result = tools(&[], Some(&page.to_string()));
            asked = requests(&answer(&mut walk, &mut numbers, &asked[0], &result).unwrap().send);
        }
        let error = answer(&mut walk, &mut numbers, &asked[0], &tools(&[], None)).unwrap_err();
        assert!(matches!(error, GateError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let results = [
            json!({}),
            json!({ "tools": {} }),
            json!({ "tools": [], "nextCursor": 1 }),
            json!({ "tools": [], "resultType": "input_required" }),
            json!({ "Tools": [] }),
        ];
        for result in results {
            let (mut walk, mut numbers, asked) = begun(&[List::Tools], b"");
            let error = answer(&mut walk, &mut numbers, &asked[0], &result).unwrap_err();
            assert!(matches!(error, GateError::Malformed { .. }), "{result}: {error}");
        }
    }

    #[test]
    fn a_list_that_changed_is_read_again_and_its_old_answers_do_not_count() {
        let (mut walk, mut numbers, asked) = begun(&[List::Tools, List::Prompts], b"");
        let stale = requests(&answer(&mut walk, &mut numbers, &asked[0], &tools(&["old"], Some("1"))).unwrap().send);
        assert!(walk.changed(List::Tools, &mut numbers).unwrap().send.is_empty(), "an answer is on its way");
        let step = answer(&mut walk, &mut numbers, &stale[0], &tools(&["stale"], None)).unwrap();
        let again = requests(&step.send);
        assert_eq!(again[0]["params"], json!({}));
        assert!(walk.sight.0.is_empty() && !step.done);
        answer(&mut walk, &mut numbers, &asked[1], &json!({ "prompts": [] })).unwrap();
        assert!(answer(&mut walk, &mut numbers, &again[0], &tools(&["new"], None)).unwrap().done);
        // After the end, too.
        let again = requests(&walk.changed(List::Tools, &mut numbers).unwrap().send);
        assert_eq!(walk.waits_for(), Some(List::Tools));
        assert!(answer(&mut walk, &mut numbers, &again[0], &tools(&["newest"], None)).unwrap().done);
        assert_eq!(walk.sight.0, [(List::Tools, "newest".to_owned())]);
        assert!(!walk.covers(List::Resources));
        assert!(walk.changed(List::Resources, &mut numbers).unwrap().send.is_empty(), "not part of this walk");
    }

    #[test]
    fn many_changes_in_a_row_cost_one_fresh_start() {
        let (mut walk, mut numbers, asked) = begun(&[List::Tools], b"");
        for _ in 0..100 * RESTARTS {
            assert!(walk.changed(List::Tools, &mut numbers).unwrap().send.is_empty());
        }
        let again = requests(&answer(&mut walk, &mut numbers, &asked[0], &tools(&["old"], None)).unwrap().send);
        assert!(answer(&mut walk, &mut numbers, &again[0], &tools(&["new"], None)).unwrap().done);
        assert_eq!(walk.sight.0, [(List::Tools, "new".to_owned())]);
    }

    #[test]
    fn a_list_that_never_stays_as_it_is_is_refused() {
        let (mut walk, mut numbers, mut asked) = begun(&[List::Tools], b"");
        for _ in 0..RESTARTS {
            walk.changed(List::Tools, &mut numbers).unwrap();
            asked = requests(&answer(&mut walk, &mut numbers, &asked[0], &tools(&["x"], None)).unwrap().send);
        }
        walk.changed(List::Tools, &mut numbers).unwrap();
        let error = answer(&mut walk, &mut numbers, &asked[0], &tools(&["x"], None)).unwrap_err();
        assert!(matches!(error, GateError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_list_that_is_refused_counts_as_empty() {
        let (mut walk, mut numbers, asked) = begun(&[List::Prompts], b"");
        let error = json!({ "code": -32603, "message": "x" });
        let line = json!({ "jsonrpc": "2.0", "id": asked[0]["id"], "error": error }).to_string();
        assert!(
            walk.answer(1, &parse_message(line.as_bytes()).unwrap(), &mut numbers, &Pages::default()).unwrap().done
        );
        assert_eq!(walk.refused, [(List::Prompts, -32603)]);
    }
}
