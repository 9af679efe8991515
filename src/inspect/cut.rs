//! Places in a text that lie between characters.

/// The last place at or before `at` that lies between characters of `text`; its end at most.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (at.saturating_sub(3)..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// The first place at or after `at` that lies between characters of `text`; its end at most.
pub(super) fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_characters() {
        let text = "a𝐢é";
        let places = |cut: fn(&str, usize) -> usize| (0..10).map(|at| cut(text, at)).collect::<Vec<_>>();
        assert_eq!(places(floor), [0, 1, 1, 1, 1, 5, 5, 7, 7, 7]);
        assert_eq!(places(ceil), [0, 1, 5, 5, 5, 5, 7, 7, 7, 7]);
        assert_eq!((floor("", 3), ceil("", 3)), (0, 0));
    }
}
