//! Decodes an event stream (HTML standard, "Server-sent events") that arrives in any split into the data of its events.

use memchr::memchr;

/// Longest event that is kept. Engines send a token's worth; only a broken one sends more.
pub(super) const MAX_EVENT: usize = 16 << 20;

/// An event longer than [`MAX_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventTooLong;

/// Keeps the event that has not ended yet.
#[derive(Clone, Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

impl SseDecoder {
    /// Takes bytes up to the end of the next event with data; returns the event's data, and how many bytes were taken.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<(Option<Vec<u8>>, usize), EventTooLong> {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let part = &bytes[at..at + length];
            at += length + 1;
            let ended = if self.line.is_empty() {
                self.line(part)?
            } else {
                self.keep(part)?;
                let line = std::mem::take(&mut self.line);
                self.line(&line)?
            };
            if ended {
                return Ok((Some(std::mem::take(&mut self.data)), at));
            }
        }
        self.keep(&bytes[at..])?;
        Ok((None, bytes.len()))
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), EventTooLong> {
        self.room(part.len())?;
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn room(&self, more: usize) -> Result<(), EventTooLong> {
        if self.line.len() + self.data.len() + more > MAX_EVENT { Err(EventTooLong) } else { Ok(()) }
    }

    /// One line; whether it ends an event with data.
    fn line(&mut self, line: &[u8]) -> Result<bool, EventTooLong> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(std::mem::take(&mut self.has_data));
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.room(data.len())?;
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut found) = (SseDecoder::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (event, taken) = decoder.next(rest).expect("short");
                rest = &rest[taken..];
                found.extend(event.map(|data| String::from_utf8(data).expect("UTF-8")));
            }
        }
        found
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let text =
            b": hello\n\nevent: x\r\ndata: {\"a\":1}\r\n\r\ndata:b\ndata: c\n\n\n\ndata\n\ndata: [DONE]\n\ndata: torn";
        let whole = cut(&[text]);
        assert_eq!(whole, ["{\"a\":1}", "b\nc", "[DONE]"]);
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]]), whole, "{at}");
        }
        assert_eq!(cut(&text.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = SseDecoder::default();
        decoder.next(b"data: ").expect("short");
        let mebibyte = vec![b'x'; 1 << 20];
        let fed = (0..32).take_while(|_| decoder.next(&mebibyte).is_ok()).count();
        assert_eq!(fed, 15, "the sixteenth does not fit with the field's name");
        let mut decoder = SseDecoder::default();
        let line = [b"data: ", &mebibyte[..], b"\n"].concat();
        assert!((0..32).any(|_| decoder.next(&line) == Err(EventTooLong)), "many lines are no way around");
    }
}
