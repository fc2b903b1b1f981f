//! Where in a JSON text we are, as far as it matters to which texts of `model` are replaced.

use std::ops::Range;

use memchr::memchr_iter;

/// Longest key that matters.
const LONGEST: usize = b"response".len();

/// The texts to replace in one chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// Up to here the chunk goes on with a text that was replaced in the chunk before.
    pub(super) rest: usize,
    /// Quotes included.
    pub(super) found: Vec<Range<usize>>,
}

impl Texts {
    /// The text that is being replaced goes on to `end`.
    fn extend(&mut self, end: usize) {
        match self.found.last_mut() {
            Some(text) => text.end = end,
            None => self.rest = end,
        }
    }
}

/// A position in a JSON text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    depth: usize,
    /// The object at depth 2 is one whose `model` is replaced.
    inner: bool,
    place: Place,
    role: Role,
    /// The beginning of a string that may become a key; its length also beyond.
    text: [u8; LONGEST],
    length: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between tokens, or in a number or word.
    #[default]
    Between,
    /// In a string.
    String {
        /// Its next byte follows a backslash.
        escaped: bool,
        /// It is the text that is replaced.
        replaced: bool,
    },
}

/// What was read last, where keys matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    /// Nothing that matters.
    #[default]
    Other,
    /// A string, which is a key if a colon follows.
    String,
    /// The key `model` with its colon.
    Model,
    /// `response` or `message`, with its colon.
    Outer,
}

impl Position {
    /// Whether it stands between the tokens of the text.
    pub(super) fn is_between(&self) -> bool {
        self.place == Place::Between
    }

    /// Whether keys matter here.
    fn matters(&self) -> bool {
        self.depth == 1 || self.depth == 2 && self.inner
    }

    /// Reads `chunk` from `at` to `end`, beyond `enough` only what the last key there needs.
    pub(super) fn read(&mut self, chunk: &[u8], mut at: usize, end: usize, enough: usize, texts: &mut Texts) {
        while at < end && (at < enough || self.is_pending()) {
            let rest = &chunk[at..end];
            at += match self.place {
                Place::String { escaped, replaced } => {
                    self.string(rest, escaped, replaced, |length| texts.extend(at + length))
                }
                Place::Between if self.matters() => {
                    self.between(rest[0], || texts.found.push(at..at + 1));
                    1
                }
                Place::Between => match rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')) {
                    Some(skipped) => {
                        self.between(rest[skipped], || {});
                        skipped + 1
                    }
                    None => rest.len(),
                },
            };
        }
    }

    /// Whether a text may be replaced by what comes next.
    fn is_pending(&self) -> bool {
        matches!(self.role, Role::String | Role::Model) || matches!(self.place, Place::String { replaced: true, .. })
    }

    /// What is left of a string; returns how much of `rest` that is.
    fn string(&mut self, rest: &[u8], escaped: bool, replaced: bool, extend: impl FnOnce(usize)) -> usize {
        let (text, length) = match closing_quote(rest, escaped) {
            Ok(quote) => {
                self.place = Place::Between;
                (&rest[..quote], quote + 1)
            }
            Err(escaped) => {
                self.place = Place::String { escaped, replaced };
                (rest, rest.len())
            }
        };
        if replaced {
            extend(length);
        } else if self.matters() {
            self.keep(text);
            if self.is_between() {
                self.role = Role::String;
            }
        }
        length
    }

    /// One byte between strings; `model` is called where the text begins that is replaced.
    fn between(&mut self, byte: u8, model: impl FnOnce()) {
        match byte {
            b'"' => {
                let replaced = self.role == Role::Model;
                if replaced {
                    model();
                }
                (self.place, self.role, self.length) = (Place::String { escaped: false, replaced }, Role::Other, 0);
            }
            b':' if self.role == Role::String => {
                self.role = match self.text.get(..self.length).unwrap_or_default() {
                    b"model" => Role::Model,
                    b"response" | b"message" if self.depth == 1 => Role::Outer,
                    _ => Role::Other,
                };
            }
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.inner = self.role == Role::Outer && byte == b'{';
                }
                // A list at the top is no answer; its elements' members are not those of one.
                self.depth = if self.depth == 0 && byte == b'[' { 3 } else { self.depth.saturating_add(1) };
                self.role = Role::Other;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.role = Role::Other;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.role = Role::Other,
        }
    }

    /// More of a string that may be a key.
    fn keep(&mut self, text: &[u8]) {
        let room = &mut self.text[self.length.min(LONGEST)..];
        let kept = room.len().min(text.len());
        room[..kept].copy_from_slice(&text[..kept]);
        self.length = self.length.saturating_add(text.len());
    }
}

/// Where the string ends of which `text` is the rest; or, if it goes on, whether its next byte is escaped. `escaped`: the
/// first byte of `text` is.
fn closing_quote(text: &[u8], escaped: bool) -> Result<usize, bool> {
    let mut from = usize::from(escaped);
    let Some(plain) = text.get(from..) else { return Err(escaped) };
    let backslashes = |text: &[u8]| text.iter().rev().take_while(|byte| **byte == b'\\').count();
    for quote in memchr_iter(b'"', plain) {
        let quote = quote + usize::from(escaped);
        if backslashes(&text[from..quote]) % 2 == 0 {
            return Ok(quote);
        }
        from = quote + 1;
    }
    Err(backslashes(&text[from..]) % 2 == 1)
}
