//! One difference inside an item, told by what it means.

/// One difference between two sightings of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// JSON pointer (RFC 6901) to it, in the item before where it is there, else in the one after. Keys of more than 200
    /// bytes are shortened in it.
    pub at: String,
    /// Whose it is.
    pub scope: Scope,
    /// The member's name, such as `description` or `maxLength`; the index for an element of a list.
    pub field: String,
    /// What happened.
    pub kind: EditKind,
    /// How much it matters.
    pub severity: Severity,
    /// The value before, canonical JSON; absent where there was none.
    pub before: Option<Vec<u8>>,
    /// The value after.
    pub after: Option<Vec<u8>>,
}

/// What part of an item an edit is in. Paths are names with dots between them, `[]` for the elements of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The item itself.
    Item,
    /// A tool's input schema as a whole.
    Input,
    /// A parameter of a tool, by its path.
    Parameter(String),
    /// A tool's output schema as a whole.
    Output,
    /// A field of a tool's structured result, by its path.
    Result(String),
    /// An argument of a prompt, by its name.
    Argument(String),
}

/// What happened at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditKind {
    /// A text became another.
    TextEdited,
    /// A parameter or a field of the result that was not there.
    ParameterAdded {
        /// It has to be given.
        required: bool,
    },
    /// A parameter or a field of the result is gone.
    ParameterRemoved,
    /// A parameter, field or argument has to be given now, or no longer has to.
    RequiredChanged {
        /// It has to be given now.
        required: bool,
    },
    /// More values pass than before.
    ConstraintLoosened,
    /// Fewer values pass than before.
    ConstraintTightened,
    /// Other values pass than before.
    ConstraintChanged,
    /// The value that stands for one left out.
    DefaultChanged,
    /// The type of values.
    TypeChanged,
    /// A tool no longer claims something that made it look harmless.
    HintWeakened,
    /// A tool claims something that makes it look more harmless than before; hosts may ask less.
    HintStrengthened,
    /// Something in `_meta`.
    MetaChanged,
    /// An icon.
    IconChanged,
    /// An argument of a prompt that was not there.
    ArgumentAdded {
        /// It has to be given.
        required: bool,
    },
    /// An argument of a prompt is gone.
    ArgumentRemoved,
    /// Any other member or element that was not there.
    FieldAdded,
    /// Any other member or element that is gone.
    FieldRemoved,
    /// Any other value that became another.
    FieldChanged,
    /// Only the order of a list's elements.
    Reordered,
    /// The lock's own text of the item is not what its digest says, so there is nothing to compare with.
    ApprovedUnreadable,
}

/// How much an edit matters to whoever reviews it. All drift is refused alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can hardly do harm by itself.
    Notice,
    /// It brings text that a model or a person reads, or lets a caller do more.
    Danger,
}

impl EditKind {
    /// The kebab-case word of machines.
    pub fn word(self) -> &'static str {
        match self {
            EditKind::TextEdited => "text-edited",
            EditKind::ParameterAdded { .. } => "parameter-added",
            EditKind::ParameterRemoved => "parameter-removed",
            EditKind::RequiredChanged { .. } => "required-changed",
            EditKind::ConstraintLoosened => "constraint-loosened",
            EditKind::ConstraintTightened => "constraint-tightened",
            EditKind::ConstraintChanged => "constraint-changed",
            EditKind::DefaultChanged => "default-changed",
            EditKind::TypeChanged => "type-changed",
            EditKind::HintWeakened => "hint-weakened",
            EditKind::HintStrengthened => "hint-strengthened",
            EditKind::MetaChanged => "meta-changed",
            EditKind::IconChanged => "icon-changed",
            EditKind::ArgumentAdded { .. } => "argument-added",
            EditKind::ArgumentRemoved => "argument-removed",
            EditKind::FieldAdded => "field-added",
            EditKind::FieldRemoved => "field-removed",
            EditKind::FieldChanged => "field-changed",
            EditKind::Reordered => "reordered",
            EditKind::ApprovedUnreadable => "approved-unreadable",
        }
    }

    /// The severity of an edit that leaves `after` in its place.
    pub(super) fn severity(self, after: Option<&[u8]>) -> Severity {
        // A string in the new value is text that somebody may read and follow.
        let brings_text = after.is_some_and(|after| after.contains(&b'"'));
        let danger = match self {
            EditKind::TextEdited
            | EditKind::ParameterAdded { .. }
            | EditKind::ArgumentAdded { .. }
            | EditKind::RequiredChanged { required: true }
            | EditKind::ConstraintLoosened
            | EditKind::ConstraintChanged
            | EditKind::DefaultChanged
            | EditKind::TypeChanged
            | EditKind::HintWeakened
            | EditKind::HintStrengthened
            | EditKind::ApprovedUnreadable => true,
            EditKind::RequiredChanged { required: false }
            | EditKind::ParameterRemoved
            | EditKind::ArgumentRemoved
            | EditKind::Reordered
            | EditKind::FieldRemoved => false,
            EditKind::ConstraintTightened
            | EditKind::MetaChanged
            | EditKind::IconChanged
            | EditKind::FieldAdded
            | EditKind::FieldChanged => brings_text,
        };
        if danger { Severity::Danger } else { Severity::Notice }
    }
}

impl Severity {
    /// The word of machines.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Notice => "notice",
            Severity::Danger => "danger",
        }
    }
}
