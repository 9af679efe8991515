//! The members of a text's outermost object.

use super::text::Text;
use super::value::Value;

/// How many members are remembered.
const MOST: usize = 16;

/// The members of the root object in order, up to sixteen, found while the text was checked.
#[derive(Debug, Clone, Copy)]
pub struct Top<'a> {
    text: &'a [u8],
    spans: [Span; MOST],
    length: usize,
    overflow: bool,
}

/// Where a member is: the key's body and the value.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    key: (u32, u32),
    value: (u32, u32),
}

impl<'a> Top<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, spans: [Span::default(); MOST], length: 0, overflow: false }
    }

    /// Remembers a key, whose value starts at `value`.
    #[inline]
    pub(super) fn key(&mut self, start: usize, end: usize, value: usize) {
        match self.spans.get_mut(self.length) {
            Some(span) => {
                *span = Span { key: (short(start), short(end)), value: (short(value), 0) };
                self.length += 1;
            }
            None => self.overflow = true,
        }
    }

    /// The value of the newest key ends here.
    #[inline]
    pub(super) fn value_ends(&mut self, end: usize) {
        if let Some(span) = self.spans.get_mut(..self.length).and_then(<[Span]>::last_mut)
            && !self.overflow
        {
            span.value.1 = short(end);
        }
    }

    /// The members in order; none where the root is no object.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (Text<'a>, Value<'a>)> {
        let spans = self.spans.get(..self.length).unwrap_or_default();
        spans.iter().map(|span| (Text::of_checked(self.part(span.key)), Value::of_checked(self.part(span.value))))
    }

    /// Whether the root object has more members than are remembered here; all are in `root.members()`.
    pub fn overflow(&self) -> bool {
        self.overflow
    }

    fn part(&self, (start, end): (u32, u32)) -> &'a [u8] {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Checked texts are shorter than 4 GiB.
fn short(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::json::check;

    fn top(text: &str) -> (Vec<String>, bool) {
        let top = check(text.as_bytes()).unwrap().top;
        (top.members().map(|(key, value)| format!("{key:?}={value:?}")).collect(), top.overflow())
    }

    #[test]
    fn only_the_roots_own_members_are_remembered() {
        let text = r#" { "a" : 1 , "b":{"c":[{"d":2}]},"e":[] ,"f" : "g" } "#;
        assert_eq!(top(text).0, [r#""a"=1"#, r#""b"={"c":[{"d":2}]}"#, r#""e"=[]"#, r#""f"="g""#]);
        for text in ["[]", "{}", r#"[{"a":1}]"#, "1"] {
            assert_eq!(top(text), (vec![], false), "{text}");
        }
    }

    #[test]
    fn more_than_sixteen_are_told() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!((top(&object(16)).0.len(), top(&object(16)).1), (16, false));
        let (members, overflow) = top(&object(17));
        assert_eq!((members.len(), members[15].as_str(), overflow), (16, "\"k15\"=15", true));
    }
}
