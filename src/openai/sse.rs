//! Follows an event stream (HTML standard, "Server-sent events") as it passes: counts events, knows where one ends.

use memchr::memchr;

/// Longest beginning of a line that is kept over chunks. Event names that matter have 26 bytes with their field name.
const HEAD: usize = 64;

/// Watches a stream of server-sent events in any chunking. Holds a line's first bytes only, however long the line.
#[derive(Clone, Debug)]
pub struct SseScanner {
    /// The beginning of a line that has not ended yet.
    head: [u8; HEAD],
    /// Its length so far, also beyond `head`.
    length: usize,
    /// The event under way has a line.
    open: bool,
    /// The event under way has data.
    data: bool,
    /// The event under way is the last of its stream.
    last: bool,
    done: bool,
}

impl Default for SseScanner {
    fn default() -> Self {
        Self { head: [0; HEAD], length: 0, open: false, data: false, last: false, done: false }
    }
}

impl SseScanner {
    /// A stream of which nothing was seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next bytes; returns how many events with data they complete. `[DONE]` and comments do not count.
    pub fn feed(&mut self, chunk: &[u8]) -> usize {
        let mut events = 0;
        let mut rest = chunk;
        while let Some(at) = memchr(b'\n', rest) {
            let line = &rest[..at];
            rest = &rest[at + 1..];
            events += usize::from(if self.length == 0 {
                self.line(line)
            } else {
                self.keep(line);
                let (head, length) = (self.head, self.length);
                self.length = 0;
                self.line(&head[..length.min(HEAD)])
            });
        }
        self.keep(rest);
        events
    }

    /// Whether the bytes so far end with a whole event (or there were none).
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.length == 0 && !self.open
    }

    /// Whether the stream said that it is over: `[DONE]`, a closing event, or an error.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.head.get_mut(self.length.min(HEAD)..).unwrap_or_default();
        let kept = room.len().min(part.len());
        room[..kept].copy_from_slice(&part[..kept]);
        self.length = self.length.saturating_add(part.len());
    }

    /// One line, of which the first [`HEAD`] bytes are looked at; returns whether it ends an event with data.
    fn line(&mut self, line: &[u8]) -> bool {
        let line = line.get(..HEAD).unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let counted = self.data;
            self.done |= self.last;
            (self.open, self.data, self.last) = (false, false, false);
            return counted;
        }
        self.open = true;
        if let Some(data) = field(line, b"data:") {
            if data == b"[DONE]" {
                self.done = true;
            } else {
                self.last |= !self.data && is_error(data);
                self.data = true;
            }
        } else if let Some(name) = field(line, b"event:") {
            self.last |= matches!(
                name,
                b"message_stop" | b"error" | b"response.completed" | b"response.incomplete" | b"response.failed"
            );
        }
        false
    }
}

/// The value of the field `name` (with its colon), without the one space that may precede it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether data begins like OpenAI's error object. A chunk may say `"error": null`.
fn is_error(data: &[u8]) -> bool {
    after(data, b"{")
        .and_then(|rest| after(rest, b"\"error\""))
        .and_then(|rest| after(rest, b":"))
        .is_some_and(|value| after(value, b"null").is_none())
}

/// What follows `token` and white space before it.
fn after<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    text.trim_ascii_start().strip_prefix(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events counted, at a boundary, done.
    fn scan(text: &str) -> (usize, bool, bool) {
        let mut scanner = SseScanner::new();
        let events = scanner.feed(text.as_bytes());
        (events, scanner.at_boundary(), scanner.done())
    }

    #[test]
    fn counts_events_with_data() {
        for (text, expected) in [
            ("", (0, true, false)),
            ("data: {}\n\n", (1, true, false)),
            ("data: {}\r\n\r\n", (1, true, false)),
            ("data:{}\n\ndata: {}\n\n", (2, true, false)),
            ("data: a\ndata: b\n\n", (1, true, false)),
            (": keep-alive\n\n", (0, true, false)),
            (": keep-alive\n", (0, false, false)),
            ("event: ping\n\n", (0, true, false)),
            ("event: x\ndata: {}\n\n", (1, true, false)),
            ("\n\n\n", (0, true, false)),
            ("id: 1\nretry: 5\n\n", (0, true, false)),
            ("database: {}\n\n", (0, true, false)),
        ] {
            assert_eq!(scan(text), expected, "{text:?}");
        }
    }

    #[test]
    fn knows_a_torn_event() {
        for text in ["d", "data: {", "data: {}", "data: {}\n", "data: {}\r\n\r", "data: {}\n\ndata", "event: x\n"] {
            assert!(!scan(text).1, "{text:?}");
        }
    }

    #[test]
    fn knows_the_end_of_every_dialect() {
        for text in [
            "data: [DONE]\n\n",
            "data:[DONE]\r\n\r\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            "event: response.completed\r\ndata: {}\r\n\r\n",
            "event: response.incomplete\ndata: {}\n\n",
            "event: response.failed\ndata: {}\n\n",
            "event: error\ndata: {}\n\n",
            "data: {\"error\": {\"message\": \"x\"}}\n\n",
            "data: { \"error\":\"x\"}\n\n",
        ] {
            assert!(scan(text).2, "{text:?}");
        }
        for text in [
            "data: {\"choices\":[]}\n\n",
            "data: \"[DONE]\"\n\n",
            "data: [DONE]x\n\n",
            "event: response.completed\ndata: {}\n",
            "event: response.completed.x\ndata: {}\n\n",
            "event: message_delta\ndata: {}\n\n",
            "data: {\"error\":null,\"choices\":[]}\n\n",
            "data: {\"errors\":1}\n\n",
            ": [DONE]\n\n",
        ] {
            assert!(!scan(text).2, "{text:?}");
        }
        assert_eq!(scan("data: [DONE]\n\n").0, 0);
    }

    #[test]
    fn a_long_line_costs_no_memory_and_is_one_event() {
        let line = format!("data: {}\n\n", "x".repeat(1 << 20));
        let mut scanner = SseScanner::new();
        let events: usize = line.as_bytes().chunks(1000).map(|chunk| scanner.feed(chunk)).sum();
        assert!(events == 1 && scanner.at_boundary() && !scanner.done());
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "data: ", "data:", "{}", "{\"error\":", "null", "1}", "[DONE]", "event: ", "message_stop", "error", "response.completed",
                "\n", "\n\n", "\r\n", "\r", ":", "a long piece of text without any meaning to the scanner, longer than it keeps", "é",
            ]), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let text = pieces.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut scanner = SseScanner::new();
            let events: usize = cuts.windows(2).map(|pair| scanner.feed(&text.as_bytes()[pair[0]..pair[1]])).sum();
            prop_assert_eq!((events, scanner.at_boundary(), scanner.done()), scan(&text));
        }
    }
}
