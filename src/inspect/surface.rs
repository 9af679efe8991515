//! Where a text stands: what a reader makes of a sentence depends on whether it is a description, a default or a URL.

/// What an item of the catalog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What the server says about itself: serverInfo and instructions.
    Server,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
}

impl Part {
    /// The word for it in a message.
    pub fn word(self) -> &'static str {
        match self {
            Part::Server => "server",
            Part::Tool => "tool",
            Part::Prompt => "prompt",
            Part::Template => "resource template",
        }
    }
}

/// The kind of place that a text stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Surface {
    /// The server's instructions, which hosts put into the model's system prompt.
    Instructions,
    /// Name, title, version, description or website of the server.
    ServerInfo,
    /// The name that a tool or prompt is called by.
    Name,
    /// A title for people.
    Title,
    /// A description of a tool, prompt, prompt argument or resource template.
    Description,
    /// The name of a member: a parameter of a tool, or a key that the specification does not know.
    Property,
    /// Description, title or `$comment` within a schema.
    SchemaText,
    /// A value within a schema that a call may carry: default, const, enum, examples.
    SchemaValue,
    /// Any other string of a schema: types, formats, patterns, references, unknown keywords.
    SchemaKeyword,
    /// A string within a tool's annotations.
    Annotation,
    /// The name of a prompt's argument.
    Argument,
    /// A URI template, or the media type of what it gives.
    Uri,
    /// An icon: source, sizes, media type.
    Icon,
    /// `_meta`, whose content no specification fixes.
    Meta,
    /// A member that the specification does not know.
    Unknown,
}

impl Surface {
    /// All of them.
    pub const ALL: &[Surface] = &[
        Surface::Instructions,
        Surface::ServerInfo,
        Surface::Name,
        Surface::Title,
        Surface::Description,
        Surface::Property,
        Surface::SchemaText,
        Surface::SchemaValue,
        Surface::SchemaKeyword,
        Surface::Annotation,
        Surface::Argument,
        Surface::Uri,
        Surface::Icon,
        Surface::Meta,
        Surface::Unknown,
    ];

    /// Whether the text is a name, whose words hang together by `_`, `-` or capitals instead of blanks.
    pub fn is_name(self) -> bool {
        matches!(self, Surface::Name | Surface::Property | Surface::Argument)
    }
}

/// How deep in an item the walk is, and what the strings below are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The item itself.
    Item(Part),
    /// The object `serverInfo`.
    Info,
    /// A schema, whose keys are keywords.
    Schema,
    /// A map within a schema, whose keys are names and whose values are schemas.
    Schemas,
    /// A prompt's argument.
    Argument,
    /// Everything below is of one kind.
    All(Surface),
}

impl Place {
    /// What stands in the member `key` of an object at this place: the surface if it is a string, and the place of what
    /// lies below.
    pub(super) fn member(self, key: &str) -> (Surface, Place) {
        use Surface::{Annotation, Description, Icon, Meta, Name, ServerInfo, Title, Unknown, Uri};
        let all = |surface| (surface, Place::All(surface));
        match (self, key) {
            (Place::All(surface), _) => all(surface),
            (Place::Schemas, _) => (Surface::SchemaKeyword, Place::Schema),
            (Place::Schema, _) => schema(key),
            (_, "icons" | "icon") => all(Icon),
            (_, "_meta") => all(Meta),
            (Place::Info, _) => all(ServerInfo),
            (Place::Item(Part::Server), "serverInfo") => (ServerInfo, Place::Info),
            (Place::Item(Part::Server), "instructions") => all(Surface::Instructions),
            (Place::Argument, "name") => all(Surface::Argument),
            (Place::Item(Part::Tool | Part::Prompt), "name") => all(Name),
            // Nothing is called by a template's name, so that it may be any text.
            (Place::Item(Part::Template), "name") => all(Title),
            (Place::Item(Part::Template), "uriTemplate" | "mimeType") => all(Uri),
            (Place::Item(Part::Tool | Part::Prompt | Part::Template) | Place::Argument, "title") => all(Title),
            (Place::Item(Part::Tool | Part::Prompt | Part::Template) | Place::Argument, "description") => {
                all(Description)
            }
            (Place::Item(Part::Tool), "inputSchema" | "outputSchema") => (Surface::SchemaKeyword, Place::Schema),
            (Place::Item(_), "annotations") => all(Annotation),
            (Place::Item(Part::Prompt), "arguments") => (Unknown, Place::Argument),
            (Place::Item(_) | Place::Argument, _) => all(Unknown),
        }
    }
}

/// What a keyword of JSON Schema holds.
fn schema(keyword: &str) -> (Surface, Place) {
    match keyword {
        "description" | "title" | "$comment" | "markdownDescription" | "errorMessage" => {
            (Surface::SchemaText, Place::All(Surface::SchemaText))
        }
        "default" | "const" | "enum" | "examples" | "example" | "enumNames" | "enumDescriptions" => {
            (Surface::SchemaValue, Place::All(Surface::SchemaValue))
        }
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            (Surface::SchemaKeyword, Place::Schemas)
        }
        _ => (Surface::SchemaKeyword, Place::Schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(part: Part, path: &[&str]) -> Surface {
        let (last, above) = path.split_last().unwrap();
        above.iter().fold(Place::Item(part), |place, key| place.member(key).1).member(last).0
    }

    #[test]
    fn a_name_is_no_keyword_within_properties() {
        assert_eq!(surface(Part::Tool, &["inputSchema", "default"]), Surface::SchemaValue);
        assert_eq!(
            surface(Part::Tool, &["inputSchema", "properties", "default", "description"]),
            Surface::SchemaText,
            "a parameter may be named like a keyword"
        );
        assert_eq!(
            surface(Part::Tool, &["inputSchema", "properties", "properties", "enum"]),
            Surface::SchemaValue,
            "or like the map that it stands in"
        );
        assert_eq!(surface(Part::Tool, &["outputSchema", "default", "description"]), Surface::SchemaValue);
    }

    #[test]
    fn parts_differ() {
        assert_eq!(surface(Part::Server, &["instructions"]), Surface::Instructions);
        assert_eq!(surface(Part::Tool, &["instructions"]), Surface::Unknown);
        assert_eq!(surface(Part::Server, &["serverInfo", "icons", "src"]), Surface::Icon);
        assert_eq!(surface(Part::Prompt, &["arguments", "name"]), Surface::Argument);
        assert_eq!(surface(Part::Prompt, &["arguments", "description"]), Surface::Description);
        assert_eq!(surface(Part::Template, &["uriTemplate"]), Surface::Uri);
        assert_eq!(surface(Part::Template, &["name"]), Surface::Title);
        assert_eq!(surface(Part::Tool, &["annotations", "title"]), Surface::Annotation);
        assert_eq!(surface(Part::Tool, &["_meta", "a", "description"]), Surface::Meta);
    }
}
