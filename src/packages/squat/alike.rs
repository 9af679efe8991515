//! How alike two names are.

use crate::inspect::fold;

/// A name as it reads: small letters, accents and other scripts' twins folded, digits and pairs of letters that look like
/// one letter replaced by it, no dashes.
pub(super) fn skeleton(name: &str) -> String {
    let folded: String = name.chars().filter_map(fold).filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    let digits: String = folded
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' | '|' | '!' => 'l',
            '5' => 's',
            c => c,
        })
        .collect();
    digits.replace("rn", "m").replace("vv", "w")
}

/// The words between dashes, underscores and dots; folded, not empty.
pub(super) fn words(name: &str) -> Vec<String> {
    let folded: String = name.chars().filter_map(fold).collect();
    folded.split(['-', '_', '.']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether both are the same words, in whatever order, with or without the `s` of a plural.
pub(super) fn same_words(a: &[String], b: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list: Vec<String> = list.iter().map(|word| singular(word).to_owned()).collect();
        list.sort();
        list
    };
    a.len() > 1 && a.len() == b.len() && sorted(a) == sorted(b)
}

fn singular(word: &str) -> &str {
    word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word)
}

/// How many letters differ between names of as many words; `None` where that is more than a slip of the finger.
pub(super) fn distance(name: &[String], known: &[String]) -> Option<usize> {
    if name.len() != known.len() {
        return None;
    }
    let mut total = 0;
    for (word, known) in name.iter().zip(known) {
        total += slip(word, known)?;
    }
    (1..=2).contains(&total).then_some(total)
}

/// How many letters differ between two words.
fn slip(word: &str, known: &str) -> Option<usize> {
    if word == known {
        return Some(0);
    }
    let distance = strsim::damerau_levenshtein(word, known);
    let limit = match known.chars().count() {
        // Short words are one letter apart by nature: git, gin, gif. Two letters swapped or one doubled are a slip.
        0..=4 => return (distance == 1 && same_letters(word, known)).then_some(1),
        5..=8 => 1,
        _ => 2,
    };
    (distance <= limit).then_some(distance)
}

/// Whether both have the same letters, in another order or another number.
fn same_letters(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        letters
    };
    letters(a) == letters(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_the_same_has_one_skeleton() {
        for (a, b) in [
            ("mcp-server-time", "mcp_server.time"),
            ("mcp-server-time", "mcp-server-tirne"),
            ("mcp-server-time", "mcp-server-t1me"),
            ("brave-search", "br\u{430}ve-se\u{430}rch"),
            ("awslabs", "avvslabs"),
            ("docker", "d0cker"),
            ("slack", "5lack"),
        ] {
            assert_eq!(skeleton(a), skeleton(b));
        }
        assert_ne!(skeleton("mcp-server-git"), skeleton("mcp-server-gin"));
    }

    #[test]
    fn slips_are_scaled_by_length() {
        for (word, known, expected) in [
            ("git", "git", Some(0)),
            ("gti", "git", Some(1)),
            ("gitt", "git", Some(1)),
            ("gin", "git", None),
            ("tide", "time", None),
            ("sever", "server", Some(1)),
            ("servre", "server", Some(1)),
            ("sevr", "server", None),
            ("filesytem", "filesystem", Some(1)),
            ("filesistm", "filesystem", Some(2)),
        ] {
            assert_eq!(slip(word, known), expected, "{word}");
        }
    }
}
