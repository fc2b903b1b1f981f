//! A tokenizer without a vocabulary: deterministic, reversible, and cheap enough to count megabytes.
//!
//! A token is up to three bytes of a word; the blank before a word belongs to it. Its id holds its bytes, so
//! every simulated engine can turn every id back into text.

/// Most bytes of one token.
const WIDTH: usize = 3;

/// The tokens of `text`, in order.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word = 1 + rest[1..].iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len() - 1);
        let (piece, after) = rest.split_at(word.min(WIDTH));
        rest = after;
        Some(piece)
    })
}

/// How many tokens `text` has.
pub(crate) fn count(text: &str) -> usize {
    let (mut tokens, mut room) = (0, 0);
    for byte in text.bytes() {
        if room == 0 || byte.is_ascii_whitespace() {
            tokens += 1;
            room = WIDTH;
        }
        room -= 1;
    }
    tokens
}

/// The id of a token: its length and its bytes.
pub(crate) fn id(piece: &[u8]) -> u32 {
    let bytes = piece.iter().fold(0u32, |id, byte| id << 8 | u32::from(*byte));
    let length = u32::try_from(piece.len().clamp(1, WIDTH) - 1).unwrap_or(0);
    length << 24 | bytes & 0x00ff_ffff
}

/// The ids of `text`.
pub(crate) fn ids(text: &str) -> Vec<u32> {
    pieces(text).map(id).collect()
}

/// The bytes behind an id; any number is some token's id.
pub(crate) fn bytes(id: u64) -> Vec<u8> {
    let length = usize::try_from(id >> 24 & 3).unwrap_or(0).min(WIDTH - 1) + 1;
    (0..length).rev().map(|at| (id >> (8 * at) & 0xff) as u8).collect()
}

/// The text of `ids`.
pub(crate) fn text(ids: impl IntoIterator<Item = u64>) -> String {
    let all: Vec<u8> = ids.into_iter().flat_map(bytes).collect();
    String::from_utf8_lossy(&all).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_turn_back_into_the_text() {
        for input in ["", "Hello, world", "  two  blanks\n\tand more ", "Grüße, 世界 🎉"] {
            let ids = ids(input);
            assert_eq!(text(ids.iter().map(|id| u64::from(*id))), input);
            assert_eq!(ids.len(), count(input), "{input:?}");
        }
    }

    #[test]
    fn long_text_has_more_tokens_than_words() {
        assert_eq!(count("hello world"), 4);
        assert_eq!(count(&"hello world ".repeat(1000)), 4001);
    }
}
