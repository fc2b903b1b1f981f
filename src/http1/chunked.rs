//! Chunked bodies (RFC 9112, 7.1): taken apart in the buffer that they were read into.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// Most bytes of a chunk's size with its extensions, and of all trailers.
const MAX_LINE: usize = 16 * 1024;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The end of the line behind a chunk.
    DataEnd,
    /// Trailers, of which so many bytes have been skipped.
    Trailers(usize),
    Done,
}

/// The body breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not chunked as it says")]
pub struct NotChunked;

/// Reads a chunked body.
#[derive(Clone, Copy, Debug)]
pub struct Chunked(State);

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunked {
    /// At its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self(State::Size)
    }

    /// Whether all of the body was taken.
    #[must_use]
    pub fn is_done(self) -> bool {
        self.0 == State::Done
    }

    /// Takes what `buffer` has of the body, as one piece, whatever the number of chunks; `None`: nothing of it is there. What is
    /// behind the body stays in the buffer. Trailers are skipped.
    ///
    /// # Errors
    /// The body breaks the rules.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, NotChunked> {
        // The chunks are moved together behind the first one, which stays where it is.
        let (mut at, mut start, mut end) = (0, 0, 0);
        loop {
            match self.0 {
                State::Size => {
                    let Some(line) = line(&buffer[at..], MAX_LINE)? else { break };
                    at += line.len() + 2;
                    self.0 = match size(line)? {
                        0 => State::Trailers(0),
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - at);
                    if here == 0 {
                        break;
                    }
                    if start == end {
                        (start, end) = (at, at);
                    } else {
                        buffer.copy_within(at..at + here, end);
                    }
                    (at, end) = (at + here, end + here);
                    let left = left - here as u64;
                    self.0 = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::DataEnd => match &buffer[at..] {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.0 = State::Size;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err(NotChunked),
                },
                State::Trailers(skipped) => {
                    let Some(line) = line(&buffer[at..], MAX_LINE - skipped.min(MAX_LINE))? else { break };
                    at += line.len() + 2;
                    self.0 = if line.is_empty() { State::Done } else { State::Trailers(skipped + line.len() + 2) };
                }
                State::Done => break,
            }
        }
        if start == end {
            buffer.advance(at);
            return Ok(None);
        }
        buffer.advance(start);
        let piece = buffer.split_to(end - start).freeze();
        buffer.advance(at - end);
        Ok(Some(piece))
    }
}

/// The first line without its end; `None`: it is not whole.
fn line(bytes: &[u8], most: usize) -> Result<Option<&[u8]>, NotChunked> {
    match memchr(b'\n', bytes) {
        Some(at) if at <= most => {
            let line = bytes[..at].strip_suffix(b"\r").ok_or(NotChunked)?;
            // Another program may take one of these for the end of the line.
            let is_text = line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
            if is_text { Ok(Some(line)) } else { Err(NotChunked) }
        }
        None if bytes.len() <= most => Ok(None),
        _ => Err(NotChunked),
    }
}

/// The size that a line says: hexadecimal, and extensions behind a semicolon, which mean nothing here.
fn size(line: &[u8]) -> Result<u64, NotChunked> {
    let digits = memchr(b';', line).map_or(line, |at| &line[..at]).trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 {
        return Err(NotChunked);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from).ok_or(NotChunked);
    digits.iter().try_fold(0, |size, byte| Ok(size << 4 | digit(byte)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `pieces`; the body, what is left behind it, and whether its end has come.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, Vec<u8>, bool), NotChunked> {
        let (mut chunked, mut buffer, mut body) = (Chunked::new(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if let Some(piece) = chunked.take(&mut buffer)? {
                assert!(!piece.is_empty());
                body.extend_from_slice(&piece);
            }
        }
        Ok((body, buffer.to_vec(), chunked.is_done()))
    }

    #[test]
    fn chunks_that_are_there_together_are_one_piece() {
        let mut buffer = BytesMut::from(&b"3\r\nabc\r\n2;x=\"y\"\r\nde\r\nA \r\n0123"[..]);
        let mut chunked = Chunked::new();
        assert_eq!(chunked.take(&mut buffer), Ok(Some(Bytes::from_static(b"abcde0123"))));
        assert!(buffer.is_empty() && !chunked.is_done());
        buffer.extend_from_slice(b"456789\r\n0\r\nTrailer: 1\r\n\r\nHTTP/1.1");
        assert_eq!(chunked.take(&mut buffer), Ok(Some(Bytes::from_static(b"456789"))));
        assert!(chunked.is_done() && &buffer[..] == b"HTTP/1.1");
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"3\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n0",
            b"-1\r\n",
            b"0x3\r\n",
            b"11112222333344445\r\n",
            b";a\r\n",
            b"3\r\r\n",
            b"3\x0c\r\n",
            b"3;a\rb\r\n",
            b"3;a\0\r\n",
            b"0\r\na: \0\r\n\r\n",
            &[b'1'; MAX_LINE + 1],
        ] {
            assert_eq!(read([bad]), Err(NotChunked), "{}", bad.escape_ascii());
        }
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(MAX_LINE)].concat();
        assert_eq!(read([&endless[..]]), Err(NotChunked));
        assert_eq!(read([&b"ffffffffffffffff\r\nx"[..]]), Ok((b"x".to_vec(), Vec::new(), false)));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            cut in 1_usize..30,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:X}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\nnext");
            let (body, rest, done) = read(wire.chunks(cut)).expect("valid");
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!(rest, b"next");
            prop_assert!(done);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1_usize..50) {
            let _ = read(bytes.chunks(cut));
        }
    }
}
