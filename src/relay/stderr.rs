//! Passes the server's stderr on to the host's: whole lines where possible, harmless where a person's terminal reads.
//!
//! The memory is one fixed buffer. While the host's stderr does not take anything, nothing is read, so that a server
//! that keeps writing waits; no message waits for that, as this runs on a thread of its own.

use std::io::{self, Read, Write};

/// The longest line that is kept together, bytes.
const LINE: usize = 16 << 10;
/// The longest escape sequence that is looked at.
const LONGEST_COLOUR: usize = 32;

/// Passes everything on until the server's side ends. When the host's side fails the rest is read and thrown away, so
/// that the server does not fail for it.
pub(crate) fn pass(server: &mut impl Read, host: &mut impl Write, terminal: bool) {
    let mut buffer = vec![0; LINE];
    let mut held = 0;
    let mut cleaner = Cleaner::default();
    let mut broken = false;
    loop {
        let count = match server.read(buffer.get_mut(held..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        held += count;
        let filled = buffer.get(..held).unwrap_or_default();
        let whole = match memchr::memrchr(b'\n', filled) {
            Some(last) => last + 1,
            None if held == LINE => held,
            None => continue,
        };
        broken = broken || write(host, &mut cleaner, filled.get(..whole).unwrap_or_default(), terminal).is_err();
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
    if !broken {
        let rest = buffer.get(..held).unwrap_or_default();
        // Nobody is left to be told of a failure.
        let _ = write(host, &mut cleaner, rest, terminal).and_then(|()| host.write_all(cleaner.end(!rest.is_empty())));
    }
}

fn write(host: &mut impl Write, cleaner: &mut Cleaner, lines: &[u8], terminal: bool) -> io::Result<()> {
    if terminal { host.write_all(cleaner.clean(lines)) } else { host.write_all(lines) }
}

/// Makes text harmless for a terminal: line feeds, tabs and colours stay; other control characters and those that turn
/// the direction of writing become visible.
#[derive(Debug, Default)]
struct Cleaner {
    output: Vec<u8>,
    coloured: bool,
}

impl Cleaner {
    fn clean(&mut self, text: &[u8]) -> &[u8] {
        self.output.clear();
        let text = String::from_utf8_lossy(text);
        let mut rest = text.as_ref();
        while let Some(letter) = rest.chars().next() {
            if let Some(length) = colour(rest) {
                let (sequence, after) = rest.split_at(length);
                self.output.extend_from_slice(sequence.as_bytes());
                self.coloured = true;
                rest = after;
                continue;
            }
            let after = rest.get(letter.len_utf8()..).unwrap_or_default();
            match letter {
                '\r' if after.starts_with('\n') => {}
                '\r' => self.output.push(b'\n'),
                '\n' | '\t' => self.output.push(u8::try_from(letter).unwrap_or(b' ')),
                _ if letter.is_control() || turns_direction(letter) => {
                    self.output.extend_from_slice(format!("<U+{:04X}>", u32::from(letter)).as_bytes());
                }
                _ => self.output.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            rest = after;
        }
        &self.output
    }

    /// What brings the terminal back to a fresh line in its own colours.
    fn end(&self, open_line: bool) -> &'static [u8] {
        match (self.coloured, open_line) {
            (true, true) => b"\x1b[0m\n",
            (true, false) => b"\x1b[0m",
            (false, _) => b"",
        }
    }
}

fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of the colour sequence (`ESC [ … m`) that the text starts with. Blinking and hidden text are no colours.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.bytes().take(LONGEST_COLOUR).position(|byte| byte == b'm')?;
    let mut codes = parameters.get(..end)?.split(';');
    while let Some(code) = codes.next() {
        match code.parse::<u8>() {
            Ok(38 | 48) => {
                // An indexed colour has one more number, a direct one has three.
                let numbers = match codes.next()? {
                    "5" => 1,
                    "2" => 3,
                    _ => return None,
                };
                for _ in 0..numbers {
                    codes.next()?.parse::<u8>().ok()?;
                }
            }
            Ok(0..=4 | 7 | 9 | 21..=25 | 27 | 29..=49 | 90..=97 | 100..=107) => {}
            Err(_) if code.is_empty() => {}
            _ => return None,
        }
    }
    Some("\x1b[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        String::from_utf8(Cleaner::default().clean(text.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn colours_stay() {
        for text in ["\x1b[31mred\x1b[0m\n", "\x1b[m", "\x1b[1;38;5;208;4mx", "\x1b[48;2;8;8;8mx", "\tgrün ✓\n"] {
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn everything_else_becomes_visible() {
        assert_eq!(cleaned("\x1b]0;title\x07"), "<U+001B>]0;title<U+0007>");
        assert_eq!(cleaned("\x1b[2J\x1b[H"), "<U+001B>[2J<U+001B>[H");
        assert_eq!(cleaned("\x1b[8mhidden \x1b[5mblink"), "<U+001B>[8mhidden <U+001B>[5mblink");
        assert_eq!(cleaned("\x1b[1;8m"), "<U+001B>[1;8m");
        assert_eq!(cleaned("\x1b[38;8m \x1b[38;5m \x1b[38;5;300m"), "<U+001B>[38;8m <U+001B>[38;5m <U+001B>[38;5;300m");
        assert_eq!(cleaned("\u{9b}31m \0 \x7f \u{8}"), "<U+009B>31m <U+0000> <U+007F> <U+0008>");
        assert_eq!(cleaned("safe\u{202e}gpj.exe"), "safe<U+202E>gpj.exe");
        assert_eq!(cleaned("a\r\nb\rc"), "a\nb\nc");
        assert_eq!(Cleaner::default().clean(b"\x9b31m"), "\u{fffd}31m".as_bytes(), "a raw eight-bit CSI");
        assert_eq!(cleaned(&format!("\x1b[{}m", "1;".repeat(20))), format!("<U+001B>[{}m", "1;".repeat(20)));
    }

    #[test]
    fn lines_stay_whole_and_long_ones_pass_in_pieces() {
        struct Bytes<'a>(&'a [u8]);
        impl Read for Bytes<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let count = self.0.len().min(7).min(into.len());
                let (now, rest) = self.0.split_at(count);
                into[..count].copy_from_slice(now);
                self.0 = rest;
                Ok(count)
            }
        }
        struct Pieces(Vec<Vec<u8>>);
        impl Write for Pieces {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.to_vec());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let text = [b"first line\nsecond line\n", vec![b'x'; 3 * LINE].as_slice(), b"\nlast \x1b[2J"].concat();
        let mut host = Pieces(Vec::new());
        pass(&mut Bytes(&text), &mut host, false);
        assert_eq!(host.0.concat(), text, "unchanged where no terminal reads");
        assert_eq!(&host.0[..2], [b"first line\n".to_vec(), b"second line\n".to_vec()]);

        let mut host = Pieces(Vec::new());
        pass(&mut Bytes(b"\x1b[31mred"), &mut host, true);
        assert_eq!(host.0.concat(), b"\x1b[31mred\x1b[0m\n");
    }
}
