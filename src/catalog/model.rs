//! A catalog as it was walked, whole.

use super::fault::ItemFault;
use super::item::{Item, Kind};
use super::namespace;
use crate::json::{self, Value};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a server publishes about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// What it said at the handshake.
    pub server: Option<Item>,
    /// Tools by name.
    pub tools: BTreeMap<String, Item>,
    /// Prompts by name.
    pub prompts: BTreeMap<String, Item>,
    /// Resource templates by URI template.
    pub templates: BTreeMap<String, Item>,
    /// Where its resources live; see [`namespace`](fn@super::namespace).
    pub namespaces: BTreeSet<String>,
}

impl Catalog {
    /// Adds an element of a list result, or for [`Kind::Server`] the result of `initialize` or `server/discover`.
    ///
    /// # Errors
    /// What [`Item::new`] refuses, and a name that this kind has already.
    pub fn add(&mut self, kind: Kind, value: Value<'_>) -> Result<(), ItemFault> {
        let item = Item::new(kind, value)?;
        let list = match kind {
            Kind::Server => {
                if self.server.is_some() {
                    return Err(ItemFault::Duplicate { kind, name: item.name });
                }
                self.server = Some(item);
                return Ok(());
            }
            Kind::Tool => &mut self.tools,
            Kind::Prompt => &mut self.prompts,
            Kind::Template => &mut self.templates,
        };
        match list.entry(item.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(item);
                Ok(())
            }
            Entry::Occupied(_) => Err(ItemFault::Duplicate { kind, name: item.name }),
        }
    }

    /// Adds an element of a list of resources. Only where it lives is kept.
    ///
    /// # Errors
    /// No object, or no `uri` that has a namespace.
    pub fn add_resource(&mut self, value: Value<'_>) -> Result<(), ItemFault> {
        self.namespaces.insert(resource_namespace(value)?);
        Ok(())
    }

    /// The item of that kind and name; the server's own has no name.
    #[must_use]
    pub fn item(&self, kind: Kind, name: &str) -> Option<&Item> {
        match kind {
            Kind::Server => self.server.as_ref().filter(|item| item.name == name),
            Kind::Tool => self.tools.get(name),
            Kind::Prompt => self.prompts.get(name),
            Kind::Template => self.templates.get(name),
        }
    }

    /// All items: the server's, tools, prompts, templates, each kind by name.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let Catalog { server, tools, prompts, templates, namespaces: _ } = self;
        server.iter().chain(tools.values()).chain(prompts.values()).chain(templates.values())
    }
}

/// The namespace of an element of a list of resources.
pub(super) fn resource_namespace(value: Value<'_>) -> Result<String, ItemFault> {
    if value.kind() != json::Kind::Object {
        return Err(ItemFault::NotAnObject { what: "a resource" });
    }
    let uri = value.get("uri").and_then(Value::str).ok_or(ItemFault::BadUri)?;
    namespace::of_uri(&uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(catalog: &mut Catalog, kind: Kind, text: &str) -> Result<(), ItemFault> {
        catalog.add(kind, json::check(text.as_bytes()).unwrap().root)
    }

    #[test]
    fn items_are_known_by_their_name() {
        let mut catalog = Catalog::default();
        add(&mut catalog, Kind::Tool, r#"{ "name": "a", "x": [1.0] }"#).unwrap();
        add(&mut catalog, Kind::Prompt, r#"{"name":"a"}"#).unwrap();
        add(&mut catalog, Kind::Template, r#"{"uriTemplate":"x://{a}","name":"a"}"#).unwrap();
        add(&mut catalog, Kind::Server, r#"{"serverInfo":{"name":"s"},"protocolVersion":"1"}"#).unwrap();
        assert_eq!(catalog.tools["a"].text, br#"{"name":"a","x":[1]}"#);
        assert!(catalog.templates.contains_key("x://{a}"));
        assert_eq!(catalog.items().count(), 4);
        assert_eq!(catalog.items().next().unwrap().text, br#"{"serverInfo":{"name":"s"}}"#);
    }

    #[test]
    fn a_second_item_of_the_same_name_is_refused() {
        let mut catalog = Catalog::default();
        add(&mut catalog, Kind::Tool, r#"{"name":"a"}"#).unwrap();
        let error = add(&mut catalog, Kind::Tool, r#"{"name":"\u0061","description":"x"}"#).unwrap_err();
        assert_eq!(error, ItemFault::Duplicate { kind: Kind::Tool, name: "a".to_owned() });
        add(&mut catalog, Kind::Server, "{}").unwrap();
        assert!(add(&mut catalog, Kind::Server, "{}").is_err());
    }

    #[test]
    fn items_without_a_name_are_refused() {
        let mut catalog = Catalog::default();
        for text in ["{}", r#"{"name":1}"#, r#"{"name":null}"#, r#"{"Name":"a"}"#] {
            let error = add(&mut catalog, Kind::Tool, text).unwrap_err();
            assert_eq!(error, ItemFault::NoName { kind: Kind::Tool, member: "name" }, "{text}");
        }
        assert!(matches!(add(&mut catalog, Kind::Tool, "[]"), Err(ItemFault::NotAnObject { .. })));
        assert!(matches!(add(&mut catalog, Kind::Tool, "\"name\""), Err(ItemFault::NotAnObject { .. })));
        assert!(add(&mut catalog, Kind::Template, r#"{"name":"x"}"#).is_err());
    }

    #[test]
    fn of_a_resource_only_its_namespace_stays() {
        let mut catalog = Catalog::default();
        for uri in ["demo://a/1", "demo://a/2", "demo://b/1"] {
            let text = format!(r#"{{"uri":"{uri}","name":"x"}}"#);
            catalog.add_resource(json::check(text.as_bytes()).unwrap().root).unwrap();
        }
        assert_eq!(catalog.namespaces.iter().collect::<Vec<_>>(), ["demo://a", "demo://b"]);
        for text in ["{}", r#"{"uri":1}"#, r#"{"uri":""}"#] {
            assert!(catalog.add_resource(json::check(text.as_bytes()).unwrap().root).is_err(), "{text}");
        }
    }
}
