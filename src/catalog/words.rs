//! Which words of a text became others.

/// The largest table of comparisons, cells. Texts that differ in more words than this has room for differ as a whole.
const MOST_CELLS: usize = 1 << 16;
/// How many words of what stayed the same are shown around a difference.
const CONTEXT: usize = 6;

/// One place where two texts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The last words before it that stayed the same; starts with `…` where there are more.
    pub(super) before: String,
    /// What is gone.
    pub(super) removed: String,
    /// What is new. Never shortened: whoever approves must have seen it.
    pub(super) added: String,
    /// The first words behind it that stayed the same.
    pub(super) after: String,
}

/// The places where two texts differ, in order. Joined with what stayed the same they give either text back.
pub(super) fn diff(before: &str, after: &str) -> Vec<Hunk> {
    let (a, b) = (split(before), split(after));
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle_a = rest_a.get(..rest_a.len() - tail).unwrap_or_default();
    let middle_b = rest_b.get(..rest_b.len() - tail).unwrap_or_default();
    let mut steps = vec![Step::Same; head];
    steps.extend(align(middle_a, middle_b));
    steps.extend(vec![Step::Same; tail]);
    hunks(&a, &b, &join_blanks(&a, steps))
}

/// What one step of going through both texts passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Same,
    Removed,
    Added,
}

/// Words and the blanks between them, in turn.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut blank = None;
    for (at, c) in text.char_indices() {
        if blank.is_some_and(|blank| blank != c.is_whitespace()) {
            words.extend(text.get(start..at));
            start = at;
        }
        blank = Some(c.is_whitespace());
    }
    words.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    words
}

/// The steps with the most words in common: the table of longest common subsequences, from its end.
fn align(a: &[&str], b: &[&str]) -> Vec<Step> {
    let removed = || std::iter::repeat_n(Step::Removed, a.len());
    let added = || std::iter::repeat_n(Step::Added, b.len());
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > MOST_CELLS {
        return removed().chain(added()).collect();
    }
    // `common[i * width + j]`: words in common of `a[i..]` and `b[j..]`.
    let mut common = vec![0_u32; (a.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, word) in a.iter().enumerate().rev() {
        for (j, other) in b.iter().enumerate().rev() {
            let longest = if word == other {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let mut steps = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(word), Some(other)) = (a.get(i), b.get(j)) {
        let step = if word == other {
            (i, j) = (i + 1, j + 1);
            Step::Same
        } else if at(&common, i + 1, j) >= at(&common, i, j + 1) {
            i += 1;
            Step::Removed
        } else {
            j += 1;
            Step::Added
        };
        steps.push(step);
    }
    steps.extend(removed().skip(i));
    steps.extend(added().skip(j));
    steps
}

/// Blanks that stayed the same between two differences belong to them: `one two` for `three four` is one difference.
fn join_blanks(a: &[&str], steps: Vec<Step>) -> Vec<Step> {
    let mut joined = Vec::with_capacity(steps.len());
    let mut at = 0;
    for (index, step) in steps.iter().enumerate() {
        let around =
            |index: Option<usize>| index.and_then(|index| steps.get(index)).is_some_and(|step| *step != Step::Same);
        let blank = a.get(at).is_some_and(|word| word.trim().is_empty());
        if *step == Step::Same && blank && around(index.checked_sub(1)) && around(Some(index + 1)) {
            joined.extend([Step::Removed, Step::Added]);
        } else {
            joined.push(*step);
        }
        at += usize::from(*step != Step::Added);
    }
    joined
}

fn hunks(a: &[&str], b: &[&str], steps: &[Step]) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let (mut i, mut j) = (0, 0);
    let mut rest = steps;
    loop {
        let same = rest.iter().take_while(|step| **step == Step::Same).count();
        let (differ, first) = (rest.get(same..).unwrap_or_default(), i);
        (i, j) = (i + same, j + same);
        let length = differ.iter().take_while(|step| **step != Step::Same).count();
        if length == 0 {
            return hunks;
        }
        let these = differ.get(..length).unwrap_or_default();
        let removed = these.iter().filter(|step| **step == Step::Removed).count();
        let added = length - removed;
        let before = a.get(first..i).unwrap_or_default();
        let (from, to) = (i + removed, j + added);
        let behind = differ.get(length..).unwrap_or_default();
        let same = behind.iter().take_while(|step| **step == Step::Same).count();
        hunks.push(Hunk {
            before: last(before),
            removed: a.get(i..from).unwrap_or_default().concat(),
            added: b.get(j..to).unwrap_or_default().concat(),
            after: start(a.get(from..from + same).unwrap_or_default()),
        });
        (i, j, rest) = (from, to, behind);
    }
}

/// The last words, with `…` before them where some are left out.
fn last(words: &[&str]) -> String {
    let skipped = words.len().saturating_sub(2 * CONTEXT);
    let shown = words.get(skipped..).unwrap_or_default().concat();
    if skipped > 0 { format!("…{shown}") } else { shown }
}

/// The first words, with `…` behind them where some are left out.
fn start(words: &[&str]) -> String {
    let shown = words.get(..2 * CONTEXT).unwrap_or(words);
    if shown.len() < words.len() { format!("{}…", shown.concat()) } else { shown.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_added_sentence() {
        let before = "Reads a file. One two three four five six seven eight.";
        let after = "Reads a file. Then sends it away. One two three four five six seven eight.";
        let hunks = diff(before, after);
        assert_eq!(hunks.len(), 1);
        assert_eq!((hunks[0].removed.as_str(), hunks[0].added.as_str()), ("", "Then sends it away. "));
        assert_eq!(hunks[0].before, "Reads a file. ");
        assert_eq!(hunks[0].after, "One two three four five six …");
    }

    #[test]
    fn replaced_words_are_one_place() {
        let hunks = diff("keep one two keep", "keep three four keep");
        assert_eq!(hunks.len(), 1);
        assert_eq!((hunks[0].removed.as_str(), hunks[0].added.as_str()), ("one two", "three four"));
    }

    #[test]
    fn blanks_count() {
        let hunks = diff("a b", "a\n\nb");
        assert_eq!((hunks[0].removed.as_str(), hunks[0].added.as_str()), (" ", "\n\n"));
        assert_eq!(
            diff("a b", "a b "),
            [Hunk { before: "a b".into(), removed: "".into(), added: " ".into(), after: "".into() }]
        );
    }

    #[test]
    fn hostile_sizes_are_bounded() {
        let (a, b) = ("a ".repeat(100_000), "b ".repeat(100_000));
        let hunks = diff(&a, &b);
        assert_eq!(hunks.len(), 1);
        assert_eq!(hunks[0].added, b.strip_suffix(' ').unwrap(), "all that is new is shown");
    }

    proptest! {
        #[test]
        fn both_texts_can_be_put_together(a in "[ab\n é]{0,40}", b in "[ab\n é]{0,40}") {
            let (words_a, words_b) = (split(&a), split(&b));
            prop_assert_eq!(words_a.concat(), a.clone());
            let mut steps = align(&words_a, &words_b);
            steps = join_blanks(&words_a, steps);
            let (mut i, mut j) = (0, 0);
            for step in steps {
                match step {
                    Step::Same => { prop_assert_eq!(words_a[i], words_b[j]); i += 1; j += 1; }
                    Step::Removed => i += 1,
                    Step::Added => j += 1,
                }
            }
            prop_assert_eq!((i, j), (words_a.len(), words_b.len()));
            prop_assert_eq!(diff(&a, &b).is_empty(), a == b);
            // What is added holds every word that the first text does not have.
            let added: String = diff(&a, &b).iter().map(|hunk| hunk.added.clone()).collect();
            for word in words_b.iter().filter(|word| !words_a.contains(word)) {
                prop_assert!(added.contains(word));
            }
        }
    }
}
