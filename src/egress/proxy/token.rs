//! The numbers that descriptors are registered with.

use super::slab::Key;

/// Whose descriptor it is that something happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Broker,
    Events,
    /// The listener at this place.
    Source(u32),
    /// The server's side of a connection.
    Client(Key),
    /// The network's side of a connection, of this attempt.
    Remote(Key, u8),
}

/// Below this the uppermost byte is the kind; from it on, the attempt.
const FIRST_ATTEMPT: u64 = 16;
/// Bits of a place in a slab: more than there are ports.
const INDEX_BITS: u32 = 20;

impl Token {
    /// 12 bits of kind and attempt, 20 of place, 32 of generation.
    pub(super) fn number(self) -> u64 {
        let put = |kind: u64, key: Key| {
            let index = u64::from(key.index) & ((1 << INDEX_BITS) - 1);
            kind << (32 + INDEX_BITS) | index << 32 | u64::from(key.generation)
        };
        let nobody = Key { index: 0, generation: 0 };
        match self {
            Token::Broker => put(0, nobody),
            Token::Events => put(1, nobody),
            Token::Source(index) => put(2, Key { index, generation: 0 }),
            Token::Client(key) => put(3, key),
            Token::Remote(key, attempt) => put(FIRST_ATTEMPT + u64::from(attempt), key),
        }
    }

    /// `None` for a number that [`Token::number`] never gives.
    pub(super) fn read(number: u64) -> Option<Token> {
        let index = u32::try_from(number >> 32 & ((1 << INDEX_BITS) - 1)).ok()?;
        let key = Key { index, generation: u32::try_from(number & u64::from(u32::MAX)).ok()? };
        match number >> (32 + INDEX_BITS) {
            0 => Some(Token::Broker),
            1 => Some(Token::Events),
            2 => Some(Token::Source(index)),
            3 => Some(Token::Client(key)),
            kind => Some(Token::Remote(key, u8::try_from(kind.checked_sub(FIRST_ATTEMPT)?).ok()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_were_written() {
        for key in [Key { index: 0, generation: 0 }, Key { index: 0xf_ffff, generation: u32::MAX }] {
            for token in [Token::Client(key), Token::Remote(key, 0), Token::Remote(key, 255), Token::Source(key.index)]
            {
                assert_eq!(Token::read(token.number()), Some(token));
            }
        }
        for token in [Token::Broker, Token::Events] {
            assert_eq!(Token::read(token.number()), Some(token));
        }
        assert_eq!((Token::read(4 << 52), Token::read(u64::MAX)), (None, None));
    }
}
