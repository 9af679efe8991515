//! Phrases over words, all of them looked for in one pass.
//!
//! A phrase is a row of elements, parted by blanks:
//!
//! * `word`, or `one|two` for either; `word~` stands for its inflections too (send, sends, sent is written out, sending);
//! * `%kind` for a [`Kind`] of word, `@name` for the words of a [`LISTS`] entry;
//! * a `?` at the end makes the element optional;
//! * `..` skips up to 3 words, `...` up to 8, never over the end of a sentence;
//! * `{name}` is replaced by each row of [`ROWS`] in turn.
//!
//! They run as one bit-parallel automaton (Shift-And with optional elements, after Navarro and Raffinot): a bit for
//! each element, a few machine words a step, and most steps need none since nothing is under way. So the time is linear
//! in the text whatever it holds, and what is remembered of it is the last 64 words.

use super::rule::{Phrase, RULES, Rule};
use super::words::{Break, Word, words};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

/// Words that phrases share.
const LISTS: &[(&str, &str)] = &[
    ("not", "not never dont cannot mustnt shouldnt"),
    ("person", "user users human humans person people anyone anybody operator them him her customer"),
    ("tell", "tell tells telling inform~ notify notifies notifying alert~ warn~"),
    ("mention", "mention~ reveal~ disclose~ discuss~ admit admits admitting acknowledge~"),
    (
        "take",
        "read~ open~ access~ cat fetch~ get~ retrieve~ load~ extract~ grab~ steal~ dump~ copy~ copies collect~ obtain~ gather~ \
      harvest~ look list show paste~ reveal~ disclose~ provide~ supply supplies supplying hand hands handing give gives giving \
      include~ insert~ append~ prepend~ embed~ attach~ upload~ send~ sent post~ transmit~ leak~ exfiltrate~ print~ output~",
    ),
    (
        "send",
        "send~ sent forward~ upload~ post~ transmit~ leak~ exfiltrate~ email~ mail~ e-mail e-mails submit~ relay~ copy copies \
      include~ append~ prepend~ embed~ attach~ pass~ insert~ put~ paste~ encode~ share~ provide~ supply supplies hand hands give \
      gives deliver~ route~ push pushes",
    ),
    ("ignore", "ignore~ disregard~ forget~ override~ bypass~ discard~ neglect~ overlook~"),
    (
        "orders",
        "instruction instructions rule rules guideline guidelines direction directions directive directives prompt prompts \
      command commands constraint constraints restriction restrictions policy policies safeguard safeguards guardrail guardrails \
      protocols programming order orders training",
    ),
    ("model", "ai agent agents assistant assistants model models llm llms claude gpt chatgpt copilot cursor gemini"),
    ("must", "must please should shall mandatory required always need needs first then also now immediately requires"),
    (
        "slot",
        "argument arguments parameter parameters field fields sidenote sidecar notes note context query body tags metadata",
    ),
    ("shell", "bash sh zsh shell terminal python powershell interpreter"),
    (
        "report",
        "detect~ scan~ analyze~ analyse~ classif~ explain~ describe~ example examples sample \
      mock illustrative such like phrase phrases pattern patterns expected training called e.g eg \
      tests readme whether header headers warning warnings versus lists documentation",
    ),
];

/// Rows of elements that phrases share.
const ROWS: &[(&str, &[&str])] = &[
    (
        "secret",
        &[
            "credential|credentials|password|passwords|passphrase|secrets|%secretfile|%envfile|%secretname|creds|keychain|apikey|apikeys",
            "api|private|ssh|access|secret|auth|session|bearer|master|encryption|aws|oauth key|keys|token|tokens|password|secret|secrets",
            "environment|env variables|variable|vars",
        ],
    ),
    (
        "talk",
        &[
            "conversation|chat|message|dialogue|dialog history|log|transcript|context|content|contents",
            "system prompt|message|instructions",
            "entire|whole|full|complete conversation|chat|dialogue|history|context|thread",
            "every|all|each message|messages|prompt|prompts|email|emails|conversation|conversations",
            "everything|anything|whatever|all|what .. @person|they .. said|says|typed|types|written|wrote|asked|asks|shared|told",
        ],
    ),
];

/// What can be told from a word's form alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Any word at all; what `..` is made of.
    Any,
    /// A file that holds credentials, or the configuration of an MCP host.
    SecretFile,
    /// `.env`, which documentation names often.
    EnvFile,
    /// The scheme of a URL, or what follows it.
    Url,
    /// An e-mail address.
    Mail,
    /// A name as programs have it: `read_file`, `resolve-library-id`, `readFile` (not told from `readfile`).
    Identifier,
    /// A file that a shell reads at its start.
    StartFile,
    /// A variable that is named like a secret: `GITHUB_TOKEN`.
    SecretName,
}

const KINDS: &[(&str, Kind)] = &[
    ("any", Kind::Any),
    ("secretfile", Kind::SecretFile),
    ("envfile", Kind::EnvFile),
    ("url", Kind::Url),
    ("mail", Kind::Mail),
    ("ident", Kind::Identifier),
    ("startfile", Kind::StartFile),
    ("secretname", Kind::SecretName),
];

/// Parts of the paths of files that a shell or a clock reads.
const START_FILES: &[&str] = &[".bashrc", ".zshrc", ".profile", ".bash_profile", "/crontab", "/etc/cron"];

/// Parts of paths that are secrets wherever they stand.
const SECRET_FILES: &[&str] = &[
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "id_dsa",
    ".ssh",
    ".aws",
    ".gnupg",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".kube/config",
    ".docker/config",
    "mcp.json",
    "claude_desktop_config",
    "/etc/passwd",
    "/etc/shadow",
    "bash_history",
    "zsh_history",
    "wallet.dat",
    "cookies.sqlite",
    "login.keychain",
    ".pgpass",
    ".config/gcloud",
    ".config/gh",
    "private_key",
    "private.key",
    "authorized_keys",
    "/proc/self/environ",
    "credentials.json",
    "aws/credentials",
    ".vault-token",
    ".azure",
    "secrets.yaml",
    "secrets.json",
    "key.pem",
];

impl Kind {
    /// A set of nothing but [`Kind::Any`].
    const ANY: u8 = Kind::Any.bit();

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The kinds of a word, as a set of bits.
    fn of(word: &str) -> u8 {
        if word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return if matches!(word, "http" | "https") { Kind::ANY | Kind::Url.bit() } else { Kind::ANY };
        }
        let env = word == ".env" || word.ends_with("/.env") || word.starts_with(".env.");
        let identifier = word.len() > 3
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            && word.bytes().any(|byte| matches!(byte, b'_' | b'-'));
        let mail = word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        [
            // The public half of a key is made to be given away.
            (SECRET_FILES.iter().any(|part| word.contains(part)) && !word.ends_with(".pub"), Kind::SecretFile),
            (env, Kind::EnvFile),
            (word.starts_with("//") || word.starts_with("www."), Kind::Url),
            (mail, Kind::Mail),
            (identifier, Kind::Identifier),
            (START_FILES.iter().any(|part| word.contains(part)), Kind::StartFile),
            (["_token", "_key", "_secret", "_password"].iter().any(|end| word.ends_with(end)), Kind::SecretName),
        ]
        .into_iter()
        .fold(Kind::ANY, |set, (is, kind)| if is { set | kind.bit() } else { set })
    }
}

/// A phrase that was found.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) rule: &'static Rule,
    pub(super) phrase: &'static Phrase,
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    /// A negation stands right before it.
    pub(super) negated: bool,
    /// The sentence speaks about such texts: "detects", "such as", "example".
    pub(super) reported: bool,
    /// The phrase has been found so often that nobody looked at what stands around it any more.
    pub(super) flood: bool,
}

/// So often is a phrase looked at closely in one text: where it begins, and whether it is forbidden or reported there.
/// From then on it counts as it is, so that a flood of quotations costs neither time nor attention.
const CLOSELY: u32 = 64;
/// And from then on it has been reported often enough.
const MOST: u32 = 128;

/// Words to look back at, and the most elements that a phrase has.
const WINDOW: usize = 64;

/// FNV-1a. The map's keys are ours, so nobody can choose them to collide, and the texts' words are short.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// The automaton of all phrases of all rules.
struct Automaton {
    /// Lanes of 64 bits.
    lanes: usize,
    first: Vec<u64>,
    last: Vec<u64>,
    optional: Vec<u64>,
    /// For each kind of word, the elements that take it.
    kinds: Vec<Vec<u64>>,
    /// The elements that take a word, by the word.
    words: HashMap<Box<str>, Entry, BuildHasherDefault<Fnv>>,
    /// For each lane, the phrases in it with their last bit and their number.
    phrases: Vec<Vec<(u64, &'static Rule, &'static Phrase, usize)>>,
    /// How many phrases there are.
    count: usize,
    /// Bits that a phrase which is not under way can take.
    entries: Vec<u64>,
}

#[derive(Debug, Default, Clone)]
struct Entry {
    /// Elements that take the word, where any do.
    mask: Vec<u64>,
    negates: bool,
    reports: bool,
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let mut automaton = Automaton::empty();
    for rule in RULES {
        for phrase in rule.phrases {
            automaton.add(rule, phrase);
        }
    }
    automaton.finish();
    automaton
});

/// What an element takes.
struct Element {
    words: Vec<String>,
    kinds: Vec<Kind>,
    optional: bool,
}

/// The rows of elements that a pattern stands for.
fn expand(pattern: &str) -> Vec<Vec<Element>> {
    let mut rows: Vec<String> = vec![String::new()];
    for part in pattern.split_whitespace() {
        let named = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let choices = named.and_then(|named| ROWS.iter().find(|(name, _)| *name == named)).map(|(_, choices)| *choices);
        let one = [part];
        let choices = choices.unwrap_or(&one);
        rows = rows.iter().flat_map(|row| choices.iter().map(move |choice| format!("{row} {choice}"))).collect();
    }
    rows.iter().map(|row| row.split_whitespace().flat_map(elements).collect()).collect()
}

/// The elements of one part of a pattern: several for a gap.
fn elements(part: &str) -> Vec<Element> {
    let gap = match part {
        ".." => 3,
        "..." => 8,
        _ => 0,
    };
    if gap > 0 {
        return (0..gap).map(|_| Element { words: vec![], kinds: vec![Kind::Any], optional: true }).collect();
    }
    let (part, optional) = match part.strip_suffix('?') {
        Some(part) => (part, true),
        None => (part, false),
    };
    let mut element = Element { words: vec![], kinds: vec![], optional };
    for choice in part.split('|') {
        if let Some(name) = choice.strip_prefix('%') {
            element.kinds.extend(KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind));
        } else if let Some(name) = choice.strip_prefix('@') {
            let list = LISTS.iter().find(|(known, _)| *known == name).map_or("", |(_, list)| list);
            element.words.extend(list.split_whitespace().flat_map(inflected));
        } else {
            element.words.extend(inflected(choice));
        }
    }
    vec![element]
}

/// The word itself, or its regular inflections where it ends in `~`.
fn inflected(word: &str) -> Vec<String> {
    let Some(stem) = word.strip_suffix('~') else { return vec![word.to_owned()] };
    if let Some(short) = stem.strip_suffix('e') {
        return ["e", "es", "ed", "ing"].map(|end| format!("{short}{end}")).to_vec();
    }
    if stem == "classif" {
        return ["y", "ies", "ied", "ying"].map(|end| format!("{stem}{end}")).to_vec();
    }
    ["", "s", "es", "ed", "ing"].map(|end| format!("{stem}{end}")).to_vec()
}

impl Automaton {
    fn empty() -> Self {
        Self {
            lanes: 0,
            first: vec![],
            last: vec![],
            optional: vec![],
            kinds: vec![vec![]; KINDS.len()],
            words: HashMap::default(),
            phrases: vec![],
            count: 0,
            entries: vec![],
        }
    }

    fn add(&mut self, rule: &'static Rule, phrase: &'static Phrase) {
        for row in expand(phrase.pattern) {
            let used = self.last.last().map_or(64, |last| 64 - last.leading_zeros() as usize);
            let (lane, mut bit) = if self.lanes > 0 && used + row.len() <= 64 {
                (self.lanes - 1, used)
            } else {
                self.lanes += 1;
                for plane in [&mut self.first, &mut self.last, &mut self.optional] {
                    plane.push(0);
                }
                self.phrases.push(vec![]);
                (self.lanes - 1, 0)
            };
            set(&mut self.first, lane, bit);
            let length = row.len();
            for element in row {
                if element.optional {
                    set(&mut self.optional, lane, bit);
                }
                for kind in element.kinds {
                    if let Some(mask) = self.kinds.get_mut(kind as usize) {
                        set(mask, lane, bit);
                    }
                }
                for word in element.words {
                    set(&mut self.words.entry(word.into()).or_default().mask, lane, bit);
                }
                bit += 1;
            }
            if length > 0 {
                set(&mut self.last, lane, bit - 1);
                if let Some(phrases) = self.phrases.get_mut(lane) {
                    phrases.push((1 << (bit - 1), rule, phrase, self.count));
                }
            }
            self.count += 1;
        }
    }

    fn finish(&mut self) {
        for (list, mark) in [("not", true), ("report", false)] {
            let words = elements(&format!("@{list}")).into_iter().flat_map(|element| element.words);
            for word in words {
                let entry = self.words.entry(word.into()).or_default();
                *(if mark { &mut entry.negates } else { &mut entry.reports }) = true;
            }
        }
        for word in ["without", "no", "avoid", "refuse", "refuses", "doesnt", "wont", "nor", "cant"] {
            self.words.entry(word.into()).or_default().negates = true;
        }
        self.entries = (0..self.lanes)
            .map(|lane| close(at(&self.first, lane), at(&self.optional, lane), at(&self.first, lane)))
            .collect();
    }

    /// The elements of `lane` that take the word.
    fn mask(&self, entry: Option<&Entry>, kinds: u8, lane: usize) -> u64 {
        let words = entry.map_or(0, |entry| at(&entry.mask, lane));
        let has = |kind: &usize| kinds & (1 << kind) != 0;
        (0..KINDS.len())
            .filter(has)
            .filter_map(|kind| self.kinds.get(kind))
            .fold(words, |mask, kind| mask | at(kind, lane))
    }

    /// One step of one lane; what is set of the last bits are phrases that end here.
    fn step(&self, lane: usize, state: u64, mask: u64, enter: bool) -> u64 {
        let (first, optional) = (at(&self.first, lane), at(&self.optional, lane));
        let next = (state << 1) & !first;
        let next = if enter { next | at(&self.entries, lane) } else { next };
        close(next, optional, first) & mask
    }
}

/// `reached` and what can be reached from it by leaving optional elements out.
fn close(mut reached: u64, optional: u64, first: u64) -> u64 {
    loop {
        let more = reached | ((reached & optional) << 1) & !first;
        if more == reached {
            return reached;
        }
        reached = more;
    }
}

fn at(plane: &[u64], lane: usize) -> u64 {
    plane.get(lane).copied().unwrap_or_default()
}

fn set(plane: &mut Vec<u64>, lane: usize, bit: usize) {
    if plane.len() <= lane {
        plane.resize(lane + 1, 0);
    }
    if let Some(lane) = plane.get_mut(lane) {
        *lane |= 1 << bit;
    }
}

/// A word that has gone by.
struct Past {
    span: Range<usize>,
    before: Break,
    negates: bool,
    entry: Option<&'static Entry>,
    kinds: u8,
}

/// Finds every phrase in `text`, in the order of their ends. With `names`, `text` is a name made of words.
pub(super) fn find(text: &str, names: bool, mut each: impl FnMut(Match)) {
    let automaton: &'static Automaton = &AUTOMATON;
    let mut states = vec![0u64; automaton.lanes];
    let mut running = false;
    let mut past: VecDeque<Past> = VecDeque::with_capacity(WINDOW);
    let mut counts = vec![0u32; automaton.count];
    let mut reported = false;
    words(text, names, |word: &Word<'_>| {
        if word.before == Break::Sentence {
            if running {
                states.fill(0);
                running = false;
            }
            past.clear();
            reported = false;
        }
        let entry = automaton.words.get(word.text);
        let kinds = Kind::of(word.text);
        if past.len() == WINDOW {
            past.pop_front();
        }
        let (negates, reports) = entry.map_or((false, false), |entry| (entry.negates, entry.reports));
        past.push_back(Past { span: word.span.clone(), before: word.before, negates, entry, kinds });
        let Some(now) = past.back() else { return };
        // Most words begin nothing and go on with nothing.
        let plain = entry.is_none_or(|entry| entry.mask.is_empty()) && now.kinds == Kind::ANY;
        if plain && !running {
            reported |= reports;
            return;
        }
        running = false;
        for (lane, state) in states.iter_mut().enumerate() {
            if plain && *state == 0 {
                continue;
            }
            *state = automaton.step(lane, *state, automaton.mask(entry, now.kinds, lane), true);
            running |= *state != 0;
            let ended = *state & at(&automaton.last, lane);
            if ended == 0 {
                continue;
            }
            for (bit, rule, phrase, index) in automaton.phrases.get(lane).into_iter().flatten() {
                let Some(count) = counts.get_mut(*index).filter(|_| ended & bit != 0) else { continue };
                *count += 1;
                let found = match *count {
                    ..CLOSELY => {
                        let start = automaton.start(lane, *bit, &past);
                        let span = past.get(start).map_or(word.span.start, |first| first.span.start)..word.span.end;
                        Match { rule, phrase, span, negated: negated(&past, start), reported, flood: false }
                    }
                    CLOSELY..MOST => {
                        Match { rule, phrase, span: word.span.clone(), negated: false, reported: false, flood: true }
                    }
                    MOST.. => continue,
                };
                each(found);
            }
        }
        reported |= reports;
    });
}

impl Automaton {
    /// The index in `past` of the word that the shortest match of the phrase, which ends at the last of them, begins with.
    fn start(&self, lane: usize, bit: u64, past: &VecDeque<Past>) -> usize {
        let masks: Vec<u64> = past.iter().map(|word| self.mask(word.entry, word.kinds, lane)).collect();
        let matches = |start: &usize| {
            let mut state = 0;
            for (index, mask) in masks.iter().enumerate().skip(*start) {
                state = self.step(lane, state, *mask, index == *start);
            }
            state & bit != 0
        };
        (0..past.len()).rev().find(matches).unwrap_or_default()
    }
}

/// Whether one of the three words before `start`, in the same clause, is a negation.
fn negated(past: &VecDeque<Past>, start: usize) -> bool {
    let mut clause = past.get(start).map_or(Break::Sentence, |word| word.before);
    for index in (start.saturating_sub(3)..start).rev() {
        let Some(word) = past.get(index) else { return false };
        if clause != Break::None {
            return false;
        }
        if word.negates {
            return true;
        }
        clause = word.before;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_sound() {
        for phrase in RULES.iter().flat_map(|rule| rule.phrases) {
            for part in phrase.pattern.split_whitespace() {
                for choice in part.trim_end_matches('?').split('|') {
                    let known = match choice.split_at(1.min(choice.len())) {
                        ("%", name) => KINDS.iter().any(|(known, _)| *known == name),
                        ("@", name) => LISTS.iter().any(|(known, _)| *known == name),
                        ("{", name) => ROWS.iter().any(|(known, _)| format!("{known}}}") == name),
                        (".", _) => ["..", "..."].contains(&choice),
                        _ => choice
                            .trim_end_matches('~')
                            .chars()
                            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_/".contains(c)),
                    };
                    assert!(known, "`{choice}` in `{}`", phrase.pattern);
                }
            }
            for row in expand(phrase.pattern) {
                assert!(row.len() <= WINDOW, "`{}` is too long", phrase.pattern);
                let last = row.last().expect("a phrase has elements");
                assert!(!last.optional, "`{}` ends in an optional element", phrase.pattern);
                assert!(!row[0].kinds.contains(&Kind::Any), "`{}` begins with a gap", phrase.pattern);
            }
        }
    }

    #[test]
    fn kinds_stand_where_they_are_looked_up() {
        for (index, (_, kind)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
    }

    #[test]
    fn inflections() {
        assert_eq!(inflected("include~"), ["include", "includes", "included", "including"]);
        assert_eq!(inflected("sent"), ["sent"]);
    }

    #[test]
    fn words_have_kinds() {
        let kinds = |word| {
            let set = Kind::of(word);
            KINDS.iter().map(|(_, kind)| *kind).filter(|kind| set & kind.bit() & !Kind::ANY != 0).collect::<Vec<_>>()
        };
        assert_eq!(kinds("~/.ssh/id_rsa"), [Kind::SecretFile]);
        assert_eq!(kinds("~/project/.env"), [Kind::EnvFile]);
        assert_eq!(kinds("//evil.example/x"), [Kind::Url]);
        assert_eq!(kinds("https"), [Kind::Url]);
        assert_eq!(kinds("a@b.example"), [Kind::Mail]);
        assert_eq!(kinds("read_file"), [Kind::Identifier]);
        assert_eq!(kinds("readme"), []);
        assert_eq!(kinds("environment"), []);
    }
}
