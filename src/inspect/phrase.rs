//! Phrases over words, all of them looked for in one pass. How they are written is told in `pattern`.
//!
//! They run as one bit-parallel automaton (Shift-And with optional elements, after Navarro and Raffinot): a bit for each
//! element, a few machine words a step, and most steps need none since nothing is under way. So the time is linear in the
//! text whatever it holds, and what is remembered of it is the last 64 words.

use super::pattern::{KINDS, Kind, elements, expand};
use super::rule::{Phrase, RULES, Rule};
use super::words::{Break, Word, words};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

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

/// Words to look back at: the bits of a lane, which are the most elements that a phrase has.
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
