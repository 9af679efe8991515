//! What a phrase is written in, and the words that phrases share.
//!
//! A pattern is a row of elements, parted by blanks:
//!
//! * `word`, or `one|two` for either; `word~` stands for its regular inflections too (post, posts, posted, posting);
//! * `%kind` for a [`Kind`] of word, `@name` for the words of a [`LISTS`] entry;
//! * a `?` at the end makes the element optional;
//! * `..` skips up to 3 words, `...` up to 8, never over the end of a sentence;
//! * `{name}` is replaced by each row of [`ROWS`] in turn.

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
pub(super) enum Kind {
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

/// The kinds by name, in the order of their bits.
pub(super) const KINDS: &[(&str, Kind)] = &[
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
    pub(super) const ANY: u8 = Kind::Any.bit();

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The kinds of a word, as a set of bits.
    pub(super) fn of(word: &str) -> u8 {
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

/// What an element takes.
pub(super) struct Element {
    pub(super) words: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) optional: bool,
}

/// The rows of elements that a pattern stands for.
pub(super) fn expand(pattern: &str) -> Vec<Vec<Element>> {
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
pub(super) fn elements(part: &str) -> Vec<Element> {
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

#[cfg(test)]
mod tests {
    use super::super::rule::RULES;
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
                assert!(row.len() <= 64, "`{}` is too long", phrase.pattern);
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
