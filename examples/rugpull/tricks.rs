//! Every trick by name, with what the gate must do about it. Tests drive the names; `rugpull --list` prints this table.

macro_rules! tricks {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, )+) => {
        /// One thing that a server may do to whoever trusted it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Trick { $( $(#[doc = $doc])+ $variant, )+ }

        /// Trick, name, explanation.
        const ALL: &[(Trick, &str, &str)] = &[ $( (Trick::$variant, $name, concat!($($doc),+)) ),+ ];
    };
}

tricks! {
    // --- changes of the catalog, from the first message on. Unless said otherwise the gate must refuse before the
    // --- host has seen a word: error `catalog-changed` to the first request, exit code 3.

    /// A tool's description is other. Refuse.
    Description = "description",
    /// A tool's description gained an order in invisible tag characters. Refuse, and show them as what they are.
    Invisible = "invisible",
    /// A tool's title is other. Refuse.
    Title = "title",
    /// The description of a property in a tool's input schema is other. Refuse.
    SchemaDescription = "schema-description",
    /// An enum in a tool's input schema has one more value. Refuse.
    Enum = "enum",
    /// A default in a tool's input schema is other. Refuse.
    Default = "default",
    /// A string in a tool's output schema is other. Refuse.
    OutputSchema = "output-schema",
    /// A constraint is gone: longer names, any characters, additional properties. Refuse.
    Constraint = "constraint",
    /// A parameter is no longer required, another one is new. Refuse.
    Parameters = "parameters",
    /// The title in a tool's annotations is other. Refuse.
    Annotation = "annotation",
    /// A tool no longer says that it only reads. Refuse.
    Hint = "hint",
    /// A tool's icon is other. Refuse.
    Icon = "icon",
    /// A tool's `_meta` is other. Refuse.
    Meta = "meta",
    /// A field of a tool that no specification knows is other. Refuse.
    UnknownField = "unknown-field",
    /// The server's instructions are other. Refuse.
    Instructions = "instructions",
    /// The server's own description of itself is other. Refuse.
    ServerInfo = "server-info",
    /// A prompt's description is other. Refuse.
    Prompt = "prompt",
    /// The description of a prompt's argument is other. Refuse.
    PromptArgument = "prompt-argument",
    /// A resource template's description is other. Refuse.
    Template = "template",
    /// A resource of a scheme and authority that were never approved is listed. Refuse.
    Namespace = "namespace",
    /// A tool on the second page is other. Refuse.
    PageTwo = "page-two",
    /// A tool has another name, and nothing else changed. Refuse, as renamed.
    Renamed = "renamed",
    /// A tool is gone. Refuse.
    Removed = "removed",
    /// A tool is new. Refuse.
    Added = "added",

    // --- differences that are no drift. The gate must let the session work.

    /// All lists come in reverse order. No drift.
    Order = "order",
    /// Annotations that equal their defaults are spelt out where they were absent. No drift.
    DefaultHints = "default-hints",
    /// A resource in an approved namespace is new: resources are data. No drift.
    NewResource = "new-resource",

    // --- changes that come later. The gate must end the session: `catalog-changed` to the pending requests, code 3.

    /// The first walk is honest, and every later `tools/list` has a changed description. Refuse at that answer.
    LaterList = "later-list",
    /// After `read_note` was called, a new tool appears, announced by list_changed. Walk again before the
    /// notification passes, and refuse.
    AfterListChanged = "after-list-changed",
    /// After `read_note` was called, a description is other, announced by list_changed. The same.
    ChangedAfterListChanged = "changed-after-list-changed",
    /// After `read_note` was called, list_changed is announced and nothing changed. The notification passes.
    ListChanged = "list-changed",
    /// A tool, a prompt and a resource that are in no list answer when asked for. Only approved names may be asked
    /// for: error -32602 with `not-approved-item`, and the request never reaches the server.
    Unlisted = "unlisted",
    /// Modern lists carry another serverInfo in `_meta` than discovery gave. It must not reach the host.
    ServerInfoLater = "server-info-later",
    /// A list result carries a text of its own beside the items. It must not reach the host.
    ListExtra = "list-extra",

    /// The first walk meets a poisoned first page, then list_changed, then honest pages; every later first page is
    /// poisoned again. Refuse the list that the host asks for.
    RetractedPage = "retracted-page",
    /// With the first walk come answers to the ids that the host uses, before it was sent what they belong to. Dropped,
    /// where nothing was approved yet, too.
    EarlyAnswers = "early-answers",

    // --- lists that harm whoever walks them. The gate must refuse in bounded time and memory, exit code 3.

    /// Every page names another cursor, and after the second they are empty. `catalog-too-large` or
    /// `catalog-malformed`.
    EndlessCursor = "endless-cursor",
    /// Every page names another cursor and has one more tool. The same; `catalog-changed` is right too.
    EndlessTools = "endless-tools",
    /// The cursors form a ring of empty pages. `catalog-malformed`.
    CursorCycle = "cursor-cycle",
    /// 10,000 tools in pages of 100. Approved, they must work; against a smaller lock: `catalog-changed`, in a short
    /// message.
    TenThousandTools = "ten-thousand-tools",
    /// A description of 10 MB. `catalog-changed` or `catalog-too-large`, in a short message.
    TenMegabytes = "ten-megabytes",
    /// One name twice, first as approved, then another body. `catalog-malformed`.
    DuplicateNames = "duplicate-names",

    // --- the opening.

    /// No answer to `initialize` or `server/discover`, nor to anything else. The host waits as it would bare, and can
    /// end the session.
    StallHandshake = "stall-handshake",
    /// The opening is answered, no list ever is. `catalog-timeout` after the gate's own timeout, exit code 3.
    StallList = "stall-list",
    /// Notifications without end instead of an answer to the opening. Refuse in bounded memory, exit code 3.
    FloodHandshake = "flood-handshake",
    /// Notifications without end instead of an answer to the first list. The same.
    FloodList = "flood-list",
    /// Pings without end instead of an answer to the opening, by a server that reads none of the answers. The same.
    FloodPings = "flood-pings",
    /// The opening is answered, then come a few thousand pings, and nothing is read any more. `catalog-timeout` after the
    /// gate's own timeout, exit code 3.
    Deaf = "deaf",
    /// The server exits when the opening arrives. `server-ended`, exit code 5.
    DieInHandshake = "die-in-handshake",
    /// Half an answer to the opening, then the end. `server-ended`, exit code 5, the half never reaches the host.
    HalfHandshake = "half-handshake",
    /// A log message before the answer to the opening. Held until the catalog is verified, dropped when it is refused.
    MessageInHandshake = "message-in-handshake",
    /// A `ping` before the answer to `initialize`, which waits for the pong. It is answered.
    PingInHandshake = "ping-in-handshake",
    /// `roots/list` right after initialized, and no list is answered before the answer came. The handshake is
    /// released, list results and calls are held until the catalog is verified.
    RootsFirst = "roots-first",
    /// `server/discover` is answered by a result that is none. Not modern: the host's probe gets an error, the
    /// garbage never reaches it, and `initialize` works.
    GarbageDiscover = "garbage-discover",
    /// `server/discover` is never answered. `initialize` works all the same.
    MuteDiscover = "mute-discover",
    /// A legacy server that answers lists and calls without a handshake. Neither may pass: -32600, `no-handshake`.
    NoHandshake = "no-handshake",

    // --- the session.

    /// 5,000 list_changed after the handshake, on a subscription and on `read_note`, and nothing changed. Walks are
    /// merged, calls still work.
    ListChangedStorm = "list-changed-storm",
    /// list_changed without end after `read_note`, no two alike, by a server that reads nothing more. Refuse in bounded
    /// memory: an error to all pending requests, exit code 3.
    FloodListChanged = "flood-list-changed",
    /// A modern server writes requests of its own. They never reach the host.
    ModernRequests = "modern-requests",
    /// `read_note` ends the server instead of an answer. `server-ended` to all pending requests, exit code 5.
    DieInCall = "die-in-call",
    /// Half an answer to `read_note`, then the end. The same, the half never reaches the host.
    HalfMessage = "half-message",
    /// `read_note` makes the server close its stdout and live on. The same.
    CloseStdout = "close-stdout",
    /// `read_note` makes the server close its stdin and live on, silently. The same, once something is to be sent.
    CloseStdin = "close-stdin",
    /// The server outlives the end of its stdin and ignores SIGTERM. It is killed when the host closes.
    IgnoreSigterm = "ignore-sigterm",

    // --- broken framing in the answer to `read_note`. A line that breaks the rules never reaches the host; its
    // --- request gets an error with `bad-message` when the id can be told.

    /// The result twice, honest first. `bad-message`.
    DuplicateKeys = "duplicate-keys",
    /// The result twice, once in an escaped spelling. `bad-message`.
    EscapedKey = "escaped-key",
    /// The same key twice, deep in the result. `bad-message`.
    DeepDuplicateKeys = "deep-duplicate-keys",
    /// `result` and `Result`. `bad-message`.
    FoldedKey = "folded-key",
    /// `result` and the same with a long s, U+017F. `bad-message`.
    FoldedLongS = "folded-long-s",
    /// A string that is not UTF-8. `bad-message`.
    InvalidUtf8 = "invalid-utf8",
    /// Half a surrogate pair. `bad-message`.
    LoneSurrogate = "lone-surrogate",
    /// A NUL byte in a string. `bad-message`.
    ControlCharacter = "control-character",
    /// 100,000 nested brackets. `bad-message`.
    DeepNesting = "deep-nesting",
    /// The number 1e400. `bad-message`.
    HugeNumber = "huge-number",
    /// The integer 2^53 + 1. In a result it passes byte for byte; in a catalog it is refused, as it cannot be pinned.
    BigInteger = "big-integer",
    /// A result and an error. `bad-message`.
    ResultAndError = "result-and-error",
    /// No `jsonrpc`. `bad-message`.
    NoVersion = "no-version",
    /// Two messages on one line. Neither reaches the host; which request they answer cannot be told.
    TwoOnALine = "two-on-a-line",
    /// One line that is two for a reader that takes a carriage return for the end of a line, as some do. Such a reader
    /// must not see the second.
    CarriageReturn = "carriage-return",
    /// An array around the answer. Taken apart in 2025-03-26, refused elsewhere.
    Batch = "batch",
    /// A line of 100 MB. Refused without being kept in memory; the session ends with an error to the request.
    HugeLine = "huge-line",
    /// Answers to ids that were never asked, the next one among them. Dropped.
    UnaskedResponse = "unasked-response",
    /// Two answers to one id. The second is dropped.
    TwoResponses = "two-responses",
    /// An answer whose id is the request's number as a string. Dropped.
    TextId = "text-id",
    /// An answer whose id is the request's number with a fraction. Never reaches the host.
    FractionId = "fraction-id",
    /// Banners between the messages. They go to stderr, with one warning.
    Banner = "banner",

    // --- where the broken framing is found, in the place of `read_note`'s answer.

    /// The answers to `tools/list` are broken instead. Refused at the first walk, exit code 3.
    InLists = "in-lists",
    /// The answer to the opening is broken instead. Refused, nothing of it reaches the host.
    InHandshake = "in-handshake",
}

/// The tricks of one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tricks(Vec<Trick>);

impl Tricks {
    /// Reads `TRICK[,TRICK…]`; `honest` is none. The name that is none on failure.
    pub(crate) fn parse(names: &str) -> Result<Tricks, String> {
        let known = |name: &str| match ALL.iter().find(|(_, known, _)| *known == name) {
            Some((trick, _, _)) => Ok(*trick),
            None => Err(name.to_owned()),
        };
        names.split(',').filter(|name| *name != "honest").map(known).collect::<Result<_, _>>().map(Tricks)
    }

    pub(crate) fn has(&self, trick: Trick) -> bool {
        self.0.contains(&trick)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Trick> + '_ {
        self.0.iter().copied()
    }
}

/// Prints the table, one trick a line.
pub(crate) fn list() {
    for (_, name, text) in ALL {
        println!("{name:28}{}", text.trim());
    }
}
