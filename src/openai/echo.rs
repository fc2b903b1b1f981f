//! Lets an answer name the alias in `model`, as it passes: in JSON and in every event, however it is cut, byte for byte.
//!
//! Replaced are the texts of `model` at the top level, in `response` (Responses' events) and in `message` (Messages' first
//! event). Deeper ones are a client's own, such as arguments of tools. Holds nothing back and no more than a key.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

/// Longest key that matters.
const KEY: usize = b"response".len();

const DATA: &[u8] = b"data:";

/// Finds the key that it is all about.
static MODEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"model\""));

/// Renames the model of one answer.
#[derive(Clone, Debug)]
pub struct Echo {
    /// The new name, as a JSON string.
    name: Bytes,
    /// How the events begin.
    known: Known,
    /// `None`: the answer is one JSON value, without lines.
    line: Option<Line>,
    json: Json,
}

/// What an event began with, up to the end of the text that was replaced: engines begin all events of a stream alike.
#[derive(Clone, Debug, Default)]
struct Known {
    text: Vec<u8>,
    /// Where in it the replaced text begins.
    value: usize,
}

impl Known {
    /// Whether the data of an event begins alike, and names nothing else that could be replaced.
    fn begins(&self, data: &[u8]) -> bool {
        let rest = if self.text.is_empty() { None } else { data.strip_prefix(&*self.text) };
        rest.is_some_and(|rest| MODEL.find(rest).is_none())
    }
}

/// Where in a line of events we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` were seen, and nothing else.
    Head(usize),
    /// After `data:`.
    Data,
    /// In a line of another kind.
    Other,
}

/// Where in a JSON value we are.
#[derive(Clone, Copy, Debug, Default)]
struct Json {
    depth: usize,
    /// The object at depth 2 is one whose `model` is replaced.
    inner: bool,
    place: Place,
    /// The key that the next value belongs to, when it stands where keys matter.
    key: Key,
    /// The text of a string so far, which may become a key; its length also beyond.
    text: [u8; KEY],
    length: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between tokens, or in a number or word.
    #[default]
    Between,
    /// In a string; `true`: after a backslash.
    Text(bool),
    /// In the text that is replaced, and was.
    Dropped(bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    /// None that matters.
    #[default]
    Other,
    /// A string has ended that is a key if a colon follows.
    Maybe,
    Model,
    /// `response` or `message`.
    Outer,
}

impl Echo {
    /// For an answer that is one JSON value.
    #[must_use]
    pub fn json(name: &str) -> Self {
        let name = serde_json::Value::from(name).to_string().into();
        Self { name, known: Known::default(), line: None, json: Json::default() }
    }

    /// For a stream of server-sent events.
    #[must_use]
    pub fn events(name: &str) -> Self {
        Self { line: Some(Line::Head(0)), ..Self::json(name) }
    }

    /// The next piece of the answer, under the new name: the piece itself when there is nothing to replace in it.
    #[must_use]
    pub fn feed(&mut self, piece: &Bytes) -> Bytes {
        let mut out = Out { piece, kept: 0, new: None, name: &self.name, spots: 0, spot: 0 };
        let json = &mut self.json;
        match &mut self.line {
            None => json.read(piece, 0, piece.len(), &mut out),
            Some(line) => lines(line, json, &mut self.known, piece, &mut out),
        }
        out.finish()
    }
}

/// Reads lines of events from the beginning of `piece` to its end.
fn lines(line: &mut Line, json: &mut Json, known: &mut Known, piece: &[u8], out: &mut Out<'_>) {
    let mut at = 0;
    while at < piece.len() {
        let rest = piece.get(at..).unwrap_or_default();
        let (end, ended) = match memchr(b'\n', rest) {
            Some(length) => (at + length, true),
            None => (piece.len(), false),
        };
        while let Line::Head(seen) = *line
            && at < end
        {
            *line = match DATA.get(seen) {
                Some(byte) if piece.get(at) == Some(byte) && seen + 1 == DATA.len() => Line::Data,
                Some(byte) if piece.get(at) == Some(byte) => Line::Head(seen + 1),
                _ => Line::Other,
            };
            at += 1;
        }
        let data = piece.get(at..end).unwrap_or_default();
        if *line == Line::Data && ended && json.is_fresh() && known.begins(data) {
            out.reserve(known.text.len() - known.value);
            out.rename(at + known.value);
            out.drop(at + known.text.len());
        } else if *line == Line::Data {
            out.spots = 0;
            // Nothing of an event that is here to its end matters but what leads up to the key.
            let whole = ended && json.is_fresh();
            let last = if whole { last_key(data).map(|length| at + length) } else { Some(end) };
            if let Some(last) = last {
                json.read(piece, at, last, out);
                json.value(piece, last, end, out);
            }
            if whole && out.spots == 1 && json.place == Place::Between {
                *known = Known { text: piece.get(at..out.kept).unwrap_or_default().to_vec(), value: out.spot - at };
            }
        }
        at = end;
        if ended {
            at += 1;
            (*line, *json) = (Line::Head(0), Json::default());
        }
    }
}

/// Where the last `"model"` ends, with the colon and what follows up to its value's first byte.
fn last_key(text: &[u8]) -> Option<usize> {
    let mut last = None;
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| MODEL.find(rest)) {
        from += found + MODEL.needle().len();
        last = Some(from);
    }
    // The colon, and the quote that opens the value: read by the caller.
    let end = last?;
    let blanks =
        |at: usize| text.get(at..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let colon = end + blanks(end);
    if text.get(colon) != Some(&b':') {
        // The text of something else; the one before may count.
        return Some(text.len());
    }
    let value = colon + 1 + blanks(colon + 1);
    Some((value + 1).min(text.len()))
}

impl Json {
    /// Nothing was read of it.
    fn is_fresh(&self) -> bool {
        self.depth == 0 && self.place == Place::Between && self.key == Key::Other
    }

    /// Whether keys matter where we are.
    fn matters(&self) -> bool {
        self.depth == 1 || self.depth == 2 && self.inner
    }

    /// Reads what is left of the text that is replaced, if we are in one.
    fn value(&mut self, piece: &[u8], mut at: usize, end: usize, out: &mut Out<'_>) {
        while at < end && matches!(self.place, Place::Dropped(_)) {
            let rest = piece.get(at..end).unwrap_or_default();
            let length = memchr(b'"', rest).map_or(rest.len(), |length| length + 1);
            self.read(piece, at, at + length, out);
            at += length;
        }
    }

    /// Reads `piece` from `at` to `end`.
    fn read(&mut self, piece: &[u8], mut at: usize, end: usize, out: &mut Out<'_>) {
        while at < end {
            let rest = piece.get(at..end).unwrap_or_default();
            match self.place {
                Place::Text(escaped) | Place::Dropped(escaped) => {
                    let dropped = matches!(self.place, Place::Dropped(_));
                    let length =
                        if escaped { 1 } else { memchr2(b'"', b'\\', rest).map_or(rest.len(), |length| length + 1) };
                    let text = rest.get(..length).unwrap_or_default();
                    if !dropped && self.matters() {
                        self.note(text);
                    }
                    let last = text.last().copied();
                    let (closed, escapes) = (!escaped && last == Some(b'"'), !escaped && last == Some(b'\\'));
                    at += length;
                    if dropped {
                        out.drop(at);
                    }
                    self.place = match (closed, dropped) {
                        (true, _) => Place::Between,
                        (false, true) => Place::Dropped(escapes),
                        (false, false) => Place::Text(escapes),
                    };
                    if closed && !dropped && self.matters() {
                        self.key = Key::Maybe;
                    }
                }
                Place::Between => {
                    self.between(rest.first().copied().unwrap_or_default(), at, out);
                    at += 1;
                }
            }
        }
    }

    /// One byte between strings.
    fn between(&mut self, byte: u8, at: usize, out: &mut Out<'_>) {
        match byte {
            b'"' if self.key == Key::Model => {
                out.rename(at);
                (self.place, self.key) = (Place::Dropped(false), Key::Other);
            }
            b'"' => {
                (self.place, self.length, self.key) = (Place::Text(false), 0, Key::Other);
            }
            b':' if self.key == Key::Maybe => {
                self.key = match self.text.get(..self.length).unwrap_or_default() {
                    b"model" => Key::Model,
                    b"response" | b"message" if self.depth == 1 => Key::Outer,
                    _ => Key::Other,
                };
            }
            b'{' | b'[' => {
                self.inner = if self.depth == 1 { self.key == Key::Outer && byte == b'{' } else { self.inner };
                // A list at the top is no answer; its elements' members are not those of one.
                self.depth = if self.depth == 0 && byte == b'[' { 3 } else { self.depth.saturating_add(1) };
                self.key = Key::Other;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.key = Key::Other;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.key = Key::Other,
        }
    }

    /// More of a string that may be a key: kept as long as it may be one that matters. The closing quote is not.
    fn note(&mut self, text: &[u8]) {
        let text = text.strip_suffix(b"\"").unwrap_or(text);
        let room = self.text.get_mut(self.length.min(KEY)..).unwrap_or_default();
        let kept = room.len().min(text.len());
        if let (Some(room), Some(text)) = (room.get_mut(..kept), text.get(..kept)) {
            room.copy_from_slice(text);
        }
        self.length = self.length.saturating_add(text.len());
    }
}

/// What becomes of a piece.
struct Out<'p> {
    piece: &'p Bytes,
    /// Up to here the piece is in `new`, or gone.
    kept: usize,
    /// The piece anew, once anything is replaced.
    new: Option<Vec<u8>>,
    name: &'p [u8],
    /// How many texts were replaced, in the event that is read.
    spots: usize,
    /// Where the last of them began.
    spot: usize,
}

impl Out<'_> {
    /// A text of `old` bytes is going to be replaced. A piece that has exactly the room it needs is handed on as it is; one
    /// with room left costs a further allocation.
    fn reserve(&mut self, old: usize) {
        let (piece, name) = (self.piece, self.name);
        self.new.get_or_insert_with(|| Vec::with_capacity((piece.len() + name.len()).saturating_sub(old)));
    }

    /// At `at` the text begins that is replaced.
    fn rename(&mut self, at: usize) {
        self.reserve(0);
        let (piece, name) = (self.piece, self.name);
        let new = self.new.get_or_insert_default();
        new.extend_from_slice(piece.get(self.kept..at).unwrap_or_default());
        new.extend_from_slice(name);
        self.kept = at + 1;
        self.spots += 1;
        self.spot = at;
    }

    /// Up to `at` the text goes on.
    fn drop(&mut self, at: usize) {
        self.new.get_or_insert_default();
        self.kept = at;
    }

    fn finish(self) -> Bytes {
        match self.new {
            None => self.piece.clone(),
            Some(mut new) => {
                new.extend_from_slice(self.piece.get(self.kept..).unwrap_or_default());
                new.into()
            }
        }
    }
}

#[cfg(test)]
mod tests;
