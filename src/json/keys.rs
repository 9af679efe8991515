//! The objects and arrays that are open while a text is checked, with the keys of the objects.
//!
//! All of them share one stack of words: a marker for each that is open, behind it the keys of an object, each as its
//! hash and its place in the text. It starts inside the checker's own frame and moves to the heap only when a text is
//! large. Few keys are compared in pairs, many are sorted when their object closes; equal hashes never decide anything
//! by themselves, and keys made to have equal hashes are sorted by what they mean, so no text takes quadratic time.

use super::fault::Fault;
use super::scan;
use super::text::Text;

/// Words that need no heap.
const INLINE: usize = 64;
/// Up to so many keys, each new one is compared with all before it.
const PAIRWISE: usize = 16;

/// The open objects and arrays.
pub(super) struct Open {
    inline: [u64; INLINE],
    /// Takes the place of `inline` once it is not empty.
    heap: Vec<u64>,
    /// Words in use.
    length: usize,
    /// Index of the innermost marker plus one.
    base: usize,
    depth: usize,
    object: bool,
}

impl Open {
    pub(super) fn new() -> Self {
        Self { inline: [0; INLINE], heap: Vec::new(), length: 0, base: 0, depth: 0, object: false }
    }

    /// How many are open.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the innermost is an object.
    #[inline(always)]
    pub(super) fn is_object(&self) -> bool {
        self.object
    }

    /// Opens an object or an array.
    #[inline(always)]
    pub(super) fn enter(&mut self, object: bool) {
        // The marker tells what comes out again when this one closes.
        self.push((self.base as u64) << 1 | u64::from(self.object));
        self.base = self.length;
        self.object = object;
        self.depth += 1;
    }

    /// Closes the innermost one.
    #[inline(always)]
    pub(super) fn leave(&mut self, text: &[u8]) -> Result<(), Fault> {
        if self.length - self.base > PAIRWISE {
            self.compare_all(text)?;
        }
        let marker = self.words().get(self.base.wrapping_sub(1)).copied().unwrap_or_default();
        self.length = self.base.saturating_sub(1);
        self.base = usize::try_from(marker >> 1).unwrap_or_default();
        self.object = marker & 1 != 0;
        self.depth -= 1;
        Ok(())
    }

    /// Takes up the key whose body is `start..end` in `text`.
    #[inline(always)]
    pub(super) fn key(&mut self, text: &[u8], start: usize, end: usize, escaped: bool) -> Result<(), Fault> {
        let key = Text::of_checked(text.get(start..end).unwrap_or_default());
        let hash = if escaped { hash(key.decode().as_bytes()) } else { hash(key.raw()) };
        // The checker refuses longer texts.
        let word = u64::from(hash) << 32 | u64::from(u32::try_from(start).unwrap_or(u32::MAX));
        let others = self.words().get(self.base..).unwrap_or_default();
        if others.len() < PAIRWISE {
            for &other in others {
                if (other ^ word) >> 32 == 0 && key_at(text, other).compare(key).is_eq() {
                    return Err(Fault::duplicate(start - 1, key));
                }
            }
        }
        self.push(word);
        Ok(())
    }

    /// Compares all keys of the innermost object.
    #[inline(never)]
    fn compare_all(&mut self, text: &[u8]) -> Result<(), Fault> {
        let base = self.base;
        let keys = self.words_mut().get_mut(base..).unwrap_or_default();
        keys.sort_unstable();
        let mut first: Option<u64> = None;
        for run in keys.chunk_by_mut(|a, b| (a ^ b) >> 32 == 0).filter(|run| run.len() > 1) {
            run.sort_unstable_by(|a, b| key_at(text, *a).compare(key_at(text, *b)).then(a.cmp(b)));
            for pair in run.windows(2) {
                if let &[a, b] = pair
                    && first.is_none_or(|first| place(b) < place(first))
                    && key_at(text, a).compare(key_at(text, b)).is_eq()
                {
                    first = Some(b);
                }
            }
        }
        match first {
            Some(key) => Err(Fault::duplicate(place(key) - 1, key_at(text, key))),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn push(&mut self, word: u64) {
        let storage = if self.heap.is_empty() { &mut self.inline[..] } else { &mut self.heap[..] };
        match storage.get_mut(self.length) {
            Some(slot) => *slot = word,
            None => self.grow(word),
        }
        self.length += 1;
    }

    #[cold]
    fn grow(&mut self, word: u64) {
        if self.heap.is_empty() {
            self.heap.extend_from_slice(&self.inline);
        }
        self.heap.push(word);
        self.heap.resize(2 * self.heap.len(), 0);
    }

    #[inline(always)]
    fn words(&self) -> &[u64] {
        let storage = if self.heap.is_empty() { &self.inline[..] } else { &self.heap[..] };
        storage.get(..self.length).unwrap_or_default()
    }

    fn words_mut(&mut self) -> &mut [u64] {
        let storage = if self.heap.is_empty() { &mut self.inline[..] } else { &mut self.heap[..] };
        storage.get_mut(..self.length).unwrap_or_default()
    }
}

/// Where in the text a key's body starts.
fn place(word: u64) -> usize {
    usize::try_from(word & u64::from(u32::MAX)).unwrap_or_default()
}

/// The key that a word stands for.
fn key_at(text: &[u8], word: u64) -> Text<'_> {
    let start = place(word);
    Text::of_checked(text.get(start..scan::closing_quote(text, start)).unwrap_or_default())
}

/// Spreads keys that nobody has chosen with care; whoever does finds equal ones easily.
#[inline(always)]
fn hash(key: &[u8]) -> u32 {
    let state = key.len() as u64;
    let state = if let Some(last) = key.last_chunk() {
        let (words, _) = key.as_chunks();
        mix(words.iter().fold(state, |state, word| mix(state, u64::from_le_bytes(*word))), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        mix(state, u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
    } else {
        mix(state, key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    };
    let [a, b, c, d, ..] = state.wrapping_mul(FACTOR).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Odd, with its bits well mixed: 2^64 divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline(always)]
fn mix(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(FACTOR).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{What, check};

    /// Different keys of 24 printable characters and one hash.
    fn colliding(count: usize) -> Vec<String> {
        let printable = |word: u64| word.to_le_bytes().iter().all(|byte| matches!(byte, b'#'..=b'[' | b']'..=b'~'));
        let target = u64::from_le_bytes(*b"5tr0ngMx");
        let mut firsts = (0_u64..).map(|n| {
            // Eight letters for each number.
            u64::from_le_bytes(std::array::from_fn(|at| b'A' + u8::try_from(n >> (4 * at) & 0xf).unwrap()))
        });
        let mut key = || {
            firsts.by_ref().find_map(|first| {
                // After this word the state is the same whatever the first one was.
                let second = target ^ mix(24, first);
                let bytes = [first, second, 0].map(u64::to_le_bytes).concat();
                printable(second).then(|| String::from_utf8_lossy(&bytes[..16]).into_owned() + "the same")
            })
        };
        (0..count).map(|_| key().unwrap()).collect()
    }

    fn object(keys: &[String]) -> String {
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn equal_hashes_decide_nothing() {
        for count in [2, PAIRWISE, PAIRWISE + 1, 300] {
            let mut keys = colliding(count);
            assert!(keys.iter().all(|key| hash(key.as_bytes()) == hash(keys[0].as_bytes())));
            assert!(check(object(&keys).as_bytes()).is_ok(), "{count}");
            // The first key again, spelt otherwise.
            let again = format!("\\u{:04x}{}", keys[0].as_bytes()[0], &keys[0][1..]);
            keys.push(again.clone());
            let text = object(&keys);
            let fault = check(text.as_bytes()).unwrap_err();
            assert_eq!(fault.what, What::DuplicateKey(keys[0].clone()));
            assert_eq!(fault.at, text.find(&again).unwrap() - 1);
        }
    }

    #[test]
    fn a_hundred_thousand_keys_take_no_hundred_thousand_squared() {
        // Comparing each with each would take minutes.
        let plain: Vec<String> = (0..100_000).map(|n| format!("key {n}")).collect();
        let escaped: Vec<String> = (0..100_000).map(|n| format!("key\\t{n}")).collect();
        for mut keys in [plain, escaped] {
            assert!(check(object(&keys).as_bytes()).is_ok());
            let last = keys.len() - 1;
            keys[last] = keys[1].clone();
            assert!(matches!(check(object(&keys).as_bytes()).unwrap_err().what, What::DuplicateKey(_)));
        }
    }

    #[test]
    fn of_several_the_first_repeated_place_is_told() {
        let mut keys: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
        (keys[20], keys[40], keys[30]) = ("k3".into(), "k3".into(), "k5".into());
        let text = object(&keys);
        let expected = text.match_indices("\"k3\"").nth(1).unwrap().0;
        assert_eq!(check(text.as_bytes()).unwrap_err().at, expected);
    }

    #[test]
    fn the_stack_outgrows_its_first_place_and_shrinks_back() {
        let inner = object(&(0..200).map(|n| format!("k{n}")).collect::<Vec<_>>());
        let text = format!(r#"[{{"a":{inner},"b":[{inner}],"c":{{"a":1,"b":2}},"d":0}},{inner}]"#);
        assert!(check(text.as_bytes()).is_ok());
        let text = text.replace("\"d\":0", "\"b\":0");
        assert_eq!(check(text.as_bytes()).unwrap_err().what, What::DuplicateKey("b".into()));
    }
}
