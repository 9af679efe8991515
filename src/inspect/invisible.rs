//! Which characters show nothing, and which of them are at home where they stand.

/// What an invisible character is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Invisible {
    /// U+E0000 to U+E007F: a hidden copy of ASCII.
    Tag,
    /// A variation selector; one of 256, so that a run of them carries bytes.
    Selector,
    /// A blank or joiner of no width.
    ZeroWidth,
    /// Turns the direction of reading for what follows.
    Bidi,
    /// A mark of direction that turns nothing but itself.
    BidiMark,
    /// Anything else that takes no room: soft hyphens, invisible operators, fillers.
    Filler,
}

/// What kind of invisible character this is, if it is one. Control characters are none of these.
pub(super) fn kind(c: char) -> Option<Invisible> {
    Some(match c {
        ..'\u{ad}' => return None,
        '\u{e0000}'..='\u{e007f}' => Invisible::Tag,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180d}' | '\u{180f}' => {
            Invisible::Selector
        }
        '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{180e}' => Invisible::ZeroWidth,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Invisible::Bidi,
        '\u{200e}' | '\u{200f}' | '\u{61c}' => Invisible::BidiMark,
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{2061}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0080}'..='\u{e00ff}'
        | '\u{e01f0}'..='\u{e0fff}' => Invisible::Filler,
        _ => return None,
    })
}

/// Whether the character shows nothing.
pub(crate) fn is_invisible(c: char) -> bool {
    kind(c).is_some()
}

/// Whether the invisible character does what it was made for between `before` and `after`: joins emoji or the letters
/// of a script that joins, chooses a shape, or lets a script without blanks break its lines.
pub(super) fn is_at_home(c: char, before: Option<char>, after: Option<char>) -> bool {
    let before_is = |test: fn(char) -> bool| before.is_some_and(test);
    let after_is = |test: fn(char) -> bool| after.is_some_and(test);
    match c {
        '\u{200d}' => {
            (before_is(is_emoji) || before_is(|c| kind(c) == Some(Invisible::Selector))) && after_is(is_emoji)
                || before_is(joins)
        }
        '\u{200c}' => before_is(joins),
        '\u{200b}' => before_is(breaks_without_blanks) && after_is(breaks_without_blanks),
        '\u{fe0e}' | '\u{fe0f}' => before_is(is_emoji) || before_is(|c| c.is_ascii_digit() || c == '#' || c == '*'),
        '\u{fe00}'..='\u{fe0d}' => before_is(has_variants),
        '\u{e0100}'..='\u{e01ef}' => before_is(is_ideograph),
        '\u{180b}'..='\u{180f}' => before_is(|c| matches!(c, '\u{1800}'..='\u{18af}')),
        '\u{200e}' | '\u{200f}' | '\u{61c}' => before_is(is_right_to_left) || after_is(is_right_to_left),
        '\u{34f}' => before_is(|c| joins(c) || is_right_to_left(c)),
        '\u{115f}' | '\u{1160}' => before_is(is_jamo) || after_is(is_jamo),
        '\u{2800}' => before_is(is_braille) || after_is(is_braille),
        _ => false,
    }
}

/// Whether the letter is written from right to left.
pub(super) fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}')
        && c != '\u{61c}'
}

/// Letters of scripts in which joining is spelling: Arabic and its relatives, those of India and its neighbours, Mongolian.
fn joins(c: char) -> bool {
    is_right_to_left(c)
        || matches!(c, '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{1900}'..='\u{1cff}' | '\u{a840}'..='\u{abff}'
            | '\u{11000}'..='\u{11fff}')
}

/// Scripts whose words are not parted by blanks.
fn breaks_without_blanks(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1980}'..='\u{1aaf}'
        | '\u{3000}'..='\u{30ff}')
        || is_ideograph(c)
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Characters that have registered variants besides those of emoji.
fn has_variants(c: char) -> bool {
    is_ideograph(c)
        || matches!(c, '\u{1000}'..='\u{109f}' | '\u{2200}'..='\u{22ff}' | '\u{2a00}'..='\u{2aff}' | '\u{3000}'..='\u{30ff}'
            | '\u{a840}'..='\u{a87f}' | '\u{ff01}'..='\u{ff60}' | '\u{13000}'..='\u{1345f}')
}

fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{d7b0}'..='\u{d7ff}')
        && c != '\u{115f}'
        && c != '\u{1160}'
}

fn is_braille(c: char) -> bool {
    matches!(c, '\u{2801}'..='\u{28ff}')
}

/// Characters that are drawn as pictures, or may be.
pub(super) fn is_emoji(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{20e3}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}'
        | '\u{2934}' | '\u{2935}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joiners_are_at_home_in_emoji_and_joining_scripts() {
        assert!(is_at_home('\u{200d}', Some('👩'), Some('💻')));
        assert!(is_at_home('\u{200d}', Some('\u{fe0f}'), Some('🌈')), "🏳️‍🌈");
        assert!(is_at_home('\u{200c}', Some('ی'), Some('خ')));
        assert!(is_at_home('\u{200d}', Some('\u{94d}'), Some(' ')));
        assert!(!is_at_home('\u{200d}', Some('a'), Some('💻')));
        assert!(!is_at_home('\u{200d}', Some('👩'), Some('b')));
        assert!(!is_at_home('\u{200c}', Some('n'), Some('o')));
        assert!(!is_at_home('\u{200c}', None, None));
    }

    #[test]
    fn selectors_are_at_home_after_what_has_variants() {
        assert!(is_at_home('\u{fe0f}', Some('❤'), None));
        assert!(is_at_home('\u{fe0f}', Some('1'), Some('\u{20e3}')));
        assert!(is_at_home('\u{e0100}', Some('葛'), None));
        assert!(!is_at_home('\u{fe0f}', Some('e'), None));
        assert!(!is_at_home('\u{e0100}', Some('😀'), None), "the carrier of the known smuggling");
    }

    #[test]
    fn ascii_is_visible() {
        assert!((0..128u8).all(|byte| kind(char::from(byte)).is_none()));
    }
}
