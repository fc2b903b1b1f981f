//! Server-sent events (HTML standard, "Server-sent events") line by line: which line is data, which ends an event, and which
//! event ends the stream.

/// Longest beginning of a line that is looked at and kept over chunks. Event names that matter have 26 bytes with their
/// field name.
const HEAD: usize = 64;

const DATA: &[u8] = b"data:";

/// Where in a stream of events we are.
#[derive(Clone, Debug)]
pub(super) struct Events {
    /// The beginning of a line that has not ended yet.
    head: [u8; HEAD],
    /// The line's length so far, also beyond `head`.
    length: usize,
    /// The event under way has a line.
    open: bool,
    /// The event under way has data.
    data: bool,
    /// The event under way is the last one.
    last: bool,
    done: bool,
    /// What ended it is an error.
    failed: bool,
}

/// What a piece of a line is.
pub(super) struct Line {
    /// Where in the piece data goes on, if the line is known to be data.
    pub(super) data: Option<usize>,
    /// The line ends here, and with it an event that has data.
    pub(super) ends_event: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { head: [0; HEAD], length: 0, open: false, data: false, last: false, done: false, failed: false }
    }
}

impl Events {
    pub(super) fn at_boundary(&self) -> bool {
        self.at_line_start() && !self.open
    }

    pub(super) fn at_line_start(&self) -> bool {
        self.length == 0
    }

    pub(super) fn done(&self) -> bool {
        self.done
    }

    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// A line, or the next piece of one; `ends`: up to its end.
    pub(super) fn line(&mut self, piece: &[u8], ends: bool) -> Line {
        if ends && self.at_line_start() {
            return self.end_line(piece);
        }
        self.cut_line(piece, ends)
    }

    /// A piece of a line that is not here as a whole. Apart from the rest because it is rare: `line` is faster so.
    #[cold]
    fn cut_line(&mut self, piece: &[u8], ends: bool) -> Line {
        let before = self.length;
        self.keep(piece);
        let is_data = self.length >= DATA.len() && self.head.starts_with(DATA);
        let data = is_data.then(|| DATA.len().saturating_sub(before));
        let ends_event = ends && {
            let (head, kept) = (self.head, self.length.min(HEAD));
            self.length = 0;
            self.end_line(&head[..kept]).ends_event
        };
        Line { data, ends_event }
    }

    fn keep(&mut self, piece: &[u8]) {
        if let Some(room) = self.head.get_mut(self.length..) {
            let kept = room.len().min(piece.len());
            room[..kept].copy_from_slice(&piece[..kept]);
        }
        self.length = self.length.saturating_add(piece.len());
    }

    /// A whole line without its line feed, or at least its beginning.
    fn end_line(&mut self, line: &[u8]) -> Line {
        let line = line.get(..HEAD).unwrap_or(line);
        if let Some(data) = field(line, DATA) {
            self.open = true;
            if matches!(data, b"[DONE]" | b"[DONE]\r") {
                self.done = true;
            } else {
                if !self.data && is_error(data) {
                    (self.last, self.failed) = (true, true);
                }
                self.data = true;
            }
            return Line { data: Some(DATA.len()), ends_event: false };
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Line { data: None, ends_event: self.end_event() };
        }
        self.open = true;
        if let Some(name) = field(line, b"event:") {
            self.last |= is_last(name);
            self.failed |= matches!(name, b"error" | b"response.failed");
        }
        Line { data: None, ends_event: false }
    }

    /// An empty line; returns whether the event that it ends has data.
    pub(super) fn end_event(&mut self) -> bool {
        self.done |= self.last;
        (self.open, self.last) = (false, false);
        std::mem::take(&mut self.data)
    }
}

/// The value of the field `name` (with its colon), without the one space that may precede it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether an event of this name ends its stream, in any of the three dialects.
fn is_last(name: &[u8]) -> bool {
    matches!(name, b"error" | b"message_stop" | b"response.completed" | b"response.incomplete" | b"response.failed")
}

/// Whether data begins like OpenAI's error object. A chunk may say `"error": null`.
fn is_error(data: &[u8]) -> bool {
    // Nearly every event begins with another key.
    if let [b'{', b'"', first, ..] = data
        && *first != b'e'
    {
        return false;
    }
    after(data, b"{")
        .and_then(|rest| after(rest, b"\"error\""))
        .and_then(|rest| after(rest, b":"))
        .is_some_and(|value| after(value, b"null").is_none())
}

/// What follows `token` and white space before it.
fn after<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    text.trim_ascii_start().strip_prefix(token)
}
