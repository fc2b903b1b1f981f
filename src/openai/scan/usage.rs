//! Reads the token counts that an answer tells, while its bytes pass by.

use super::key::Key;
use crate::openai::json::{Scanner, SyntaxError};

/// Real `usage` objects have some 300 bytes; what is longer is something else of that name.
pub(super) const MAX_OBJECT: usize = 4096;

/// Tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub prompt: u64,
    /// Tokens written.
    pub completion: u64,
    /// Tokens of `prompt` that a prefix cache held.
    pub cached: u64,
}

/// Looks in JSON for `"usage": {…}`, wherever it stands.
///
/// Text that a model wrote cannot fool it: inside of a JSON string a quote has a backslash before it.
/// Counts in a stream are totals so far, so of several the largest holds (Anthropic says `input_tokens` in the first
/// event and `output_tokens` in the last).
#[derive(Clone, Debug, Default)]
pub(super) struct UsageReader {
    state: State,
    /// What has passed of an object that is cut.
    object: Vec<u8>,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// This many bytes of the key were seen.
    Key(usize),
    /// White space or a colon comes next.
    Colon,
    /// White space or the object comes next.
    Value,
    /// Inside of the object.
    Object { depth: u32, string: bool, escaped: bool },
}

impl Default for State {
    fn default() -> Self {
        Self::Key(0)
    }
}

impl UsageReader {
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// A text has ended, and another one begins.
    pub(super) fn reset(&mut self) {
        self.state = State::Key(0);
    }

    /// Reads `chunk` from `at` to `end`, in which `key` finds the key.
    #[inline]
    pub(super) fn read(&mut self, chunk: &[u8], at: usize, end: usize, key: &mut Key) {
        // What nearly every event is: nothing to read, and nothing cut.
        if !matches!(self.state, State::Key(0)) || end == chunk.len() || key.next(chunk, at, end).is_some() {
            self.walk(chunk, at, end, key);
        }
    }

    fn walk(&mut self, chunk: &[u8], mut at: usize, end: usize, key: &mut Key) {
        while at < end {
            let byte = chunk[at];
            match self.state {
                State::Key(0) => match key.next(chunk, at, end) {
                    Some(after) => (self.state, at) = (State::Colon, after),
                    None => {
                        self.state = State::Key(begun(&chunk[at..end], key.bytes()));
                        return;
                    }
                },
                // The key begins anew only at a quote, so a mismatch means: start over with this byte.
                State::Key(seen) if key.bytes().get(seen) == Some(&byte) => {
                    self.state = if seen + 1 == key.bytes().len() { State::Colon } else { State::Key(seen + 1) };
                    at += 1;
                }
                State::Colon | State::Value if byte.is_ascii_whitespace() => at += 1,
                State::Colon if byte == b':' => (self.state, at) = (State::Value, at + 1),
                State::Value if byte == b'{' => at += self.begin(&chunk[at..end]),
                State::Object { .. } => at += self.go_on(&chunk[at..end]),
                State::Key(_) | State::Colon | State::Value => self.state = State::Key(0),
            }
        }
    }

    /// An object begins `text`; returns how many bytes of it were read.
    fn begin(&mut self, text: &[u8]) -> usize {
        let (counts, length) = read(text.get(..MAX_OBJECT).unwrap_or(text));
        if let Some(length) = length {
            self.state = State::Key(0);
            self.note(counts);
            return length;
        }
        // It is cut, or no JSON.
        self.object.clear();
        self.state = State::Object { depth: 0, string: false, escaped: false };
        self.go_on(text)
    }

    /// The object goes on with `text`; returns how many bytes of it were read.
    fn go_on(&mut self, text: &[u8]) -> usize {
        let State::Object { mut depth, mut string, mut escaped } = self.state else { return 0 };
        let mut read = 0;
        for byte in text.iter().take(MAX_OBJECT - self.object.len()) {
            read += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if string => escaped = true,
                b'"' => string = !string,
                b'{' if !string => depth += 1,
                b'}' if !string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.object.extend_from_slice(&text[..read]);
        self.state = State::Object { depth, string, escaped };
        if depth == 0 {
            self.state = State::Key(0);
            self.note(self::read(&self.object).0);
        } else if self.object.len() == MAX_OBJECT {
            self.state = State::Key(0);
            self.object = Vec::new();
        }
        read
    }

    fn note(&mut self, counts: Option<Usage>) {
        if let Some(counts) = counts {
            let usage = self.usage.get_or_insert_default();
            usage.prompt = usage.prompt.max(counts.prompt);
            usage.completion = usage.completion.max(counts.completion);
            usage.cached = usage.cached.max(counts.cached);
        }
    }
}

/// How many bytes of `key` the end of `text` is.
fn begun(text: &[u8], key: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(key.len() - 1)..];
    let last = tail.iter().rposition(|byte| *byte == b'"').and_then(|quote| tail.get(quote..));
    last.filter(|last| key.starts_with(last)).map_or(0, <[u8]>::len)
}

/// The counts of the object that begins `text`, in any of the three dialects (`None` when it holds none), and its length, if
/// it is one and ends there.
fn read(text: &[u8]) -> (Option<Usage>, Option<usize>) {
    let (mut prompt, mut completion, mut total, mut cached) = (None, None, None, None);
    let length = members(text, |key, value| match key {
        b"prompt_tokens" | b"input_tokens" => prompt = number(value).or(prompt),
        b"completion_tokens" | b"output_tokens" => completion = number(value).or(completion),
        b"total_tokens" => total = number(value).or(total),
        b"cache_read_input_tokens" => cached = number(value).or(cached),
        b"prompt_tokens_details" | b"input_tokens_details" => {
            members(value, |key, value| {
                if key == b"cached_tokens" {
                    cached = number(value).or(cached);
                }
            });
        }
        _ => {}
    });
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return (None, length);
    }
    // Rerank and score answers of some versions give the total only.
    let completion = completion.unwrap_or(0);
    let prompt = prompt.or(total.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    (Some(Usage { prompt, completion, cached: cached.unwrap_or(0) }), length)
}

/// Hands out the members of the object that begins `text`, up to what is no JSON; returns its length, if it is one.
fn members(text: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Option<usize> {
    let span = Scanner::new(text, 0).members::<SyntaxError>(|member| {
        each(member.key.of(text), member.value.of(text));
        Ok(())
    });
    span.ok().map(|span| span.range().len())
}

fn number(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}
