//! How much of a text holds no quote, backslash or control character: what a JSON string can go on with as it is.

/// The beginning of a string that holds no quote, backslash or control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// Bytes before the first of those.
    pub(super) length: usize,
    /// Whether they are all ASCII; it may be false for what follows them closely.
    pub(super) is_ascii: bool,
}

/// The first bytes of a string are looked at in words: most strings are short.
const SHORT: usize = 48;

/// A long string is looked at twice, for its end and for what must not be in it, in pieces that stay in the fastest cache.
pub(super) const WINDOW: usize = 4 << 10;

pub(super) fn plain(bytes: &[u8]) -> Plain {
    let (short, mut long) = bytes.split_at(bytes.len().min(SHORT));
    let Plain { mut length, mut is_ascii } = plain_words(short);
    if length < SHORT {
        return Plain { length, is_ascii };
    }
    loop {
        let window = long.get(..WINDOW).unwrap_or(long);
        let end = memchr::memchr2(b'"', b'\\', window).unwrap_or(window.len());
        let text = &window[..end];
        // Without a branch for each byte, so that the compiler makes vectors of it.
        let (least, high) = text.iter().fold((u8::MAX, 0), |(least, high), byte| (least.min(*byte), high | byte));
        is_ascii &= high.is_ascii();
        if least < 0x20 {
            let control = text.iter().position(|byte| *byte < 0x20).unwrap_or(end);
            return Plain { length: length + control, is_ascii };
        }
        length += end;
        if end < window.len() || window.is_empty() {
            return Plain { length, is_ascii };
        }
        long = long.get(WINDOW..).unwrap_or_default();
    }
}

/// The same, eight bytes at a time.
fn plain_words(bytes: &[u8]) -> Plain {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut all = 0;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        all |= word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow can raise false hits only above a true one, and the lowest is the first byte.
        let hits = (control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))) & HIGH;
        if hits != 0 {
            return Plain { length: index * 8 + hits.trailing_zeros() as usize / 8, is_ascii: all & HIGH == 0 };
        }
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let length = words.len() * 8 + rest.iter().position(stop).unwrap_or(rest.len());
    Plain { length, is_ascii: all & HIGH == 0 && rest.is_ascii() }
}

/// A stretch of a body that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it is all ASCII.
    pub(super) is_ascii: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::json::Scanner;

    /// Lengths around those at which a string is looked at in another way.
    fn lengths() -> impl Iterator<Item = usize> {
        (0..180).chain([SHORT + WINDOW - 1, SHORT + WINDOW, SHORT + WINDOW + 1, SHORT + 2 * WINDOW + 9])
    }

    #[test]
    fn plain_stops_at_every_position() {
        for length in lengths() {
            for stop in (0..length.min(100)).chain(length.saturating_sub(30)..length) {
                for byte in [b'"', b'\\', 0, 0x1f] {
                    let mut text = vec![b' '; length];
                    text[stop] = byte;
                    assert_eq!(plain(&text), Plain { length: stop, is_ascii: true });
                    // A control character before, and one behind.
                    for other in [stop / 2, (stop + length) / 2] {
                        let mut text = text.clone();
                        text[other] = 7;
                        assert_eq!(plain(&text).length, stop.min(other));
                    }
                }
            }
            for byte in [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                let is_ascii = byte < 0x80 || length == 0;
                assert_eq!(plain(&vec![byte; length]), Plain { length, is_ascii }, "{byte:x}");
            }
        }
    }

    #[test]
    fn no_byte_that_is_not_ascii_is_missed() {
        for length in lengths() {
            for at in 0..length {
                let mut text = vec![b'a'; length + 2];
                text[0] = b'"';
                text[length + 1] = b'"';
                text[at + 1] = 0x80;
                let mut scanner = Scanner::new(&text, 0);
                assert_eq!((scanner.value(0), scanner.is_ascii()), (Ok(()), false), "{at} of {length}");
            }
        }
    }
}
