//! One character as a reader sees it: look-alikes become the Latin letter that they imitate, invisible ones nothing.
//!
//! The tables are our own and hold what a reader of Latin text takes for a Latin letter: Cyrillic, Greek and Armenian
//! twins, the alphabets that Unicode repeats for mathematics, width and circles, and letters with accents. That is less
//! than the table of Unicode's UTS #39 (6,000 rows, mostly of scripts that are no danger to Latin words) and needs no
//! dependency; a character that is missing here is seen as itself, never dropped.

use super::invisible;

/// What stands for a character when texts are compared as they are read.
///
/// `None` for characters that show nothing: invisible ones and accents that combine with the letter before. Letters
/// are lower-case.
pub(crate) fn fold(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c.to_ascii_lowercase());
    }
    if invisible::is_invisible(c) || is_combining(c) {
        return None;
    }
    let latin = twin(c).or_else(|| styled(c)).or_else(|| base(c)).unwrap_or(c);
    Some(latin.to_lowercase().next().unwrap_or(latin))
}

/// Whether the letter belongs to another script and looks exactly like a Latin one, so that there is no honest reason
/// to have it within a Latin word. Greek letters that stand beside Latin ones in formulas (TNFα, NFκB) are none.
pub(super) fn is_impostor(c: char) -> bool {
    !c.is_ascii() && TWINS.iter().any(|(from, _, exact)| *exact && *from == c)
}

/// Accents and other marks that are drawn over the letter before them.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// A letter of another script and the Latin one that it resembles; whether the two are alike in most fonts.
type Twin = (char, char, bool);

/// Cyrillic, Greek, Armenian, Cherokee and typographic twins of Latin letters, and punctuation that splits words alike.
const TWINS: &[Twin] = &[
    ('а', 'a', true),
    ('е', 'e', true),
    ('о', 'o', true),
    ('р', 'p', true),
    ('с', 'c', true),
    ('у', 'y', true),
    ('х', 'x', true),
    ('ѕ', 's', true),
    ('і', 'i', true),
    ('ї', 'i', false),
    ('ј', 'j', true),
    ('ԛ', 'q', true),
    ('ԝ', 'w', true),
    ('һ', 'h', true),
    ('ԁ', 'd', true),
    ('ӏ', 'l', true),
    ('ѵ', 'v', true),
    ('ѐ', 'e', false),
    ('ё', 'e', false),
    ('к', 'k', false),
    ('м', 'm', false),
    ('т', 't', false),
    ('н', 'h', false),
    ('в', 'b', false),
    ('п', 'n', false),
    ('г', 'r', false),
    ('ь', 'b', false),
    ('ԍ', 'g', false),
    ('ү', 'y', false),
    ('ɡ', 'g', true),
    ('А', 'a', true),
    ('В', 'b', true),
    ('Е', 'e', true),
    ('К', 'k', true),
    ('М', 'm', true),
    ('Н', 'h', true),
    ('О', 'o', true),
    ('Р', 'p', true),
    ('С', 'c', true),
    ('Т', 't', true),
    ('У', 'y', true),
    ('Х', 'x', true),
    ('Ѕ', 's', true),
    ('І', 'i', true),
    ('Ј', 'j', true),
    ('Ԁ', 'd', true),
    ('Ԛ', 'q', true),
    ('Ԝ', 'w', true),
    ('Ү', 'y', true),
    ('Ӏ', 'l', true),
    ('ɑ', 'a', true),
    ('ο', 'o', true),
    ('ι', 'i', true),
    ('ϲ', 'c', true),
    ('ϳ', 'j', true),
    ('α', 'a', false),
    ('ν', 'v', false),
    ('ρ', 'p', false),
    ('υ', 'u', false),
    ('κ', 'k', false),
    ('τ', 't', false),
    ('ε', 'e', false),
    ('η', 'n', false),
    ('χ', 'x', false),
    ('γ', 'y', false),
    ('σ', 'o', false),
    ('Α', 'a', true),
    ('Β', 'b', true),
    ('Ε', 'e', true),
    ('Ζ', 'z', true),
    ('Η', 'h', true),
    ('Ι', 'i', true),
    ('Κ', 'k', true),
    ('Μ', 'm', true),
    ('Ν', 'n', true),
    ('Ο', 'o', true),
    ('Ρ', 'p', true),
    ('Τ', 't', true),
    ('Υ', 'y', true),
    ('Χ', 'x', true),
    ('Ϲ', 'c', true),
    ('Ϳ', 'j', true),
    ('օ', 'o', true),
    ('ս', 'u', true),
    ('հ', 'h', true),
    ('ո', 'n', false),
    ('զ', 'q', true),
    ('ց', 'g', true),
    ('յ', 'j', false),
    ('ք', 'f', false),
    ('Ꭺ', 'a', true),
    ('Ᏼ', 'b', true),
    ('Ꮯ', 'c', true),
    ('Ꭼ', 'e', true),
    ('Ꮋ', 'h', true),
    ('Ꭻ', 'j', true),
    ('Ꮶ', 'k', true),
    ('Ꮮ', 'l', true),
    ('Ꮇ', 'm', true),
    ('Ꮲ', 'p', true),
    ('Ꭱ', 'r', true),
    ('Ꮪ', 's', true),
    ('Ꭲ', 't', true),
    ('Ꮃ', 'w', true),
    ('Ꮓ', 'z', true),
    ('ı', 'i', false),
    ('ȷ', 'j', false),
    ('ſ', 's', false),
    ('ⅰ', 'i', false),
    ('ⅴ', 'v', false),
    ('ⅹ', 'x', false),
    ('ⅼ', 'l', false),
    ('ⅽ', 'c', false),
    ('ⅾ', 'd', false),
    ('ⅿ', 'm', false),
    ('ℓ', 'l', false),
    ('℮', 'e', false),
    ('ℎ', 'h', false),
    ('ℊ', 'g', false),
    ('ℯ', 'e', false),
    ('ℴ', 'o', false),
    ('ᴀ', 'a', false),
    ('ʙ', 'b', false),
    ('ᴄ', 'c', false),
    ('ᴅ', 'd', false),
    ('ᴇ', 'e', false),
    ('ꜰ', 'f', false),
    ('ɢ', 'g', false),
    ('ʜ', 'h', false),
    ('ɪ', 'i', false),
    ('ᴊ', 'j', false),
    ('ᴋ', 'k', false),
    ('ʟ', 'l', false),
    ('ᴍ', 'm', false),
    ('ɴ', 'n', false),
    ('ᴏ', 'o', false),
    ('ᴘ', 'p', false),
    ('ʀ', 'r', false),
    ('ꜱ', 's', false),
    ('ᴛ', 't', false),
    ('ᴜ', 'u', false),
    ('ᴠ', 'v', false),
    ('ᴡ', 'w', false),
    ('ʏ', 'y', false),
    ('ᴢ', 'z', false),
    ('’', '\'', false),
    ('‘', '\'', false),
    ('ʼ', '\'', false),
    ('‐', '-', false),
    ('‑', '-', false),
    ('–', '-', false),
    ('−', '-', false),
    ('․', '.', false),
    ('⁄', '/', false),
    ('∕', '/', false),
    ('＿', '_', false),
];

/// Looks the letter up; the ranges before the search spare most characters it.
fn twin(c: char) -> Option<char> {
    let may = matches!(c, '\u{131}'..='\u{2c0}' | '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
        | '\u{1d00}'..='\u{1d7f}' | '\u{2010}'..='\u{2215}' | '\u{a730}'..='\u{a731}' | '\u{ff3f}');
    if !may {
        return None;
    }
    TWINS.iter().find(|(from, ..)| *from == c).map(|(_, to, _)| *to)
}

/// A letter or digit of one of the alphabets that Unicode repeats in another style.
fn styled(c: char) -> Option<char> {
    let letter = |first: u32, letters: u32| {
        let index = u32::from(c).checked_sub(first)?;
        char::from_u32(u32::from(b'a') + index % letters)
    };
    let digit = |first: u32| char::from_u32(u32::from(b'0') + u32::from(c).checked_sub(first)? % 10);
    match c {
        // Bold, italic, script, fraktur, double-struck, sans-serif, monospace: capitals and small letters in turn.
        '\u{1d400}'..='\u{1d6a3}' => {
            let index = (u32::from(c) - 0x1d400) % 52 % 26;
            char::from_u32(u32::from(b'a') + index)
        }
        '\u{1d7ce}'..='\u{1d7ff}' => digit(0x1d7ce),
        '\u{ff21}'..='\u{ff3a}' => letter(0xff21, 26),
        '\u{ff41}'..='\u{ff5a}' => letter(0xff41, 26),
        // The rest of ASCII in full width: digits and punctuation.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\u{249c}'..='\u{24b5}' => letter(0x249c, 26),
        '\u{24b6}'..='\u{24e9}' => letter(0x24b6, 26),
        '\u{1f110}'..='\u{1f129}' => letter(0x1f110, 26),
        '\u{1f130}'..='\u{1f149}' => letter(0x1f130, 26),
        '\u{1f150}'..='\u{1f169}' => letter(0x1f150, 26),
        '\u{1f170}'..='\u{1f189}' => letter(0x1f170, 26),
        '\u{1f1e6}'..='\u{1f1ff}' => letter(0x1f1e6, 26),
        _ => None,
    }
}

/// The letter below the accent, U+00C0 to U+017F in order; `.` where there is none.
const ACCENTED: &str = "aaaaaa.ceeeeiiiidnooooo.ouuuuy.\
                        .aaaaaa.ceeeeiiiidnooooo.ouuuuy.y\
                        aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.llllllllllnnnnnn...oooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

fn base(c: char) -> Option<char> {
    let index = usize::try_from(u32::from(c).checked_sub(0xc0)?).ok()?;
    let letter = *ACCENTED.as_bytes().get(index)?;
    (letter != b'.').then(|| char::from(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        text.chars().filter_map(fold).collect()
    }

    #[test]
    fn what_looks_alike_folds_alike() {
        for text in [
            "іgnоrе",
            "𝐢𝐠𝐧𝐨𝐫𝐞",
            "𝘐𝘎𝘕𝘖𝘙𝘌",
            "ｉｇｎｏｒｅ",
            "ⓘⓖⓝⓞⓡⓔ",
            "i\u{307}gno\u{301}re",
            "ígñòrê",
            "ign\u{3bf}re",
            "IGN\u{200b}ORE",
            "🄸🄶🄽🄾🅁🄴",
            "ɪɢɴᴏʀᴇ",
            "ig\u{ad}n\u{2060}ore",
        ] {
            assert_eq!(folded(text), "ignore", "{text:?}");
        }
    }

    #[test]
    fn other_writing_stays() {
        for text in ["日本語", "नमस्ते", "ελληνικά"] {
            assert!(!folded(text).is_empty());
        }
        assert_eq!(folded("日本"), "日本");
        assert_eq!(folded("𝟙２"), "12");
    }

    #[test]
    fn accents_have_one_letter_each() {
        assert_eq!(ACCENTED.len(), 0x180 - 0xc0);
        assert_eq!(folded("ÀÖØöøÿĀžſŁłŃŒŠ"), folded("aooooyazs") + "llnœs");
    }

    #[test]
    fn twins_are_found_and_told_once() {
        for (index, (from, to, _)) in TWINS.iter().enumerate() {
            assert_eq!(fold(*from), Some(*to), "{from:?}");
            assert!(TWINS[..index].iter().all(|(earlier, ..)| earlier != from), "{from:?} twice");
        }
    }
}
