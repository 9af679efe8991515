//! The lists that make up a catalog, and what belongs to each in the protocol.

use crate::catalog::Kind;

/// One of the four lists of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/templates/list`.
    Templates,
    /// `resources/list`. Resources are data; of each only the namespace of its URI counts.
    Resources,
}

impl List {
    /// All of them, in the order in which they are asked for.
    pub const ALL: [List; 4] = [List::Tools, List::Prompts, List::Templates, List::Resources];

    /// The request's method.
    pub fn method(self) -> &'static str {
        match self {
            List::Tools => "tools/list",
            List::Prompts => "prompts/list",
            List::Templates => "resources/templates/list",
            List::Resources => "resources/list",
        }
    }

    /// The member of the result that holds the entries.
    pub(super) fn member(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Templates => "resourceTemplates",
            List::Resources => "resources",
        }
    }

    /// The capability that promises it.
    pub(super) fn capability(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Templates | List::Resources => "resources",
        }
    }

    /// What an entry is; `None` for resources.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            List::Tools => Some(Kind::Tool),
            List::Prompts => Some(Kind::Prompt),
            List::Templates => Some(Kind::Template),
            List::Resources => None,
        }
    }

    /// Its place in tables of all lists.
    pub(super) fn index(self) -> usize {
        match self {
            List::Tools => 0,
            List::Prompts => 1,
            List::Templates => 2,
            List::Resources => 3,
        }
    }

    /// The list that a request asks for.
    pub(super) fn asked_by(method: &str) -> Option<List> {
        List::ALL.into_iter().find(|list| list.method() == method)
    }

    /// The lists that a notification says have changed; empty for every other notification.
    pub(super) fn changed_by(method: &str) -> &'static [List] {
        match method {
            "notifications/tools/list_changed" => &[List::Tools],
            "notifications/prompts/list_changed" => &[List::Prompts],
            "notifications/resources/list_changed" => &[List::Templates, List::Resources],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_found_by_its_method_and_has_a_place_of_its_own() {
        for (at, list) in List::ALL.into_iter().enumerate() {
            assert_eq!(List::asked_by(list.method()), Some(list));
            assert_eq!(list.index(), at);
        }
        assert_eq!(List::asked_by("tools/call"), None);
        assert_eq!(List::changed_by("notifications/resources/updated"), &[]);
    }
}
