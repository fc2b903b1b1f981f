//! Finds the token counts in an answer, whole or streamed, while its bytes pass by.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::json::{Fault, Scanner};
use super::text::says;

/// Real `usage` objects have some 300 bytes; what is longer is something else of that name.
const MAX_OBJECT: usize = 4096;

const KEY: &[u8] = b"\"usage\"";

/// Finds [`KEY`]. Made once: that takes longer than looking through an event.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));

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

/// Watches a response body (JSON or an event stream alike) for `"usage": {…}`.
///
/// Text that a model wrote cannot fool it: inside of a JSON string a quote has a backslash before it.
/// Counts in a stream are totals so far, so of several the largest holds (Anthropic says `input_tokens` in the first
/// event and `output_tokens` in the last).
#[derive(Clone, Debug, Default)]
pub struct UsageFinder {
    state: State,
    /// The object so far.
    object: Vec<u8>,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// This many bytes of [`KEY`] matched.
    Key(usize),
    /// White space or a colon comes next.
    Colon,
    /// White space or the object comes next.
    Value,
    /// Inside of the object.
    Object { depth: u32, string: bool, escape: bool },
}

impl Default for State {
    fn default() -> Self {
        Self::Key(0)
    }
}

impl UsageFinder {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts seen so far; `None` while there were none.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Looks at the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            match self.state {
                State::Key(0) => match FINDER.find(rest) {
                    Some(at) => {
                        self.state = State::Colon;
                        rest = &rest[at + KEY.len()..];
                    }
                    None => {
                        self.state = State::Key(begun(rest));
                        return;
                    }
                },
                // The key begins anew only at a quote, so a mismatch means: start over with this byte.
                State::Key(matched) if KEY.get(matched) == Some(&byte) => {
                    self.state = if matched + 1 == KEY.len() { State::Colon } else { State::Key(matched + 1) };
                    rest = &rest[1..];
                }
                State::Key(_) => self.state = State::Key(0),
                State::Colon | State::Value if byte.is_ascii_whitespace() => rest = &rest[1..],
                State::Colon if byte == b':' => {
                    self.state = State::Value;
                    rest = &rest[1..];
                }
                State::Value if byte == b'{' => {
                    self.object.clear();
                    self.state = State::Object { depth: 0, string: false, escape: false };
                }
                State::Colon | State::Value => self.state = State::Key(0),
                State::Object { depth, string, escape } => {
                    self.take(byte, depth, string, escape);
                    rest = &rest[1..];
                }
            }
        }
    }

    /// One byte of the object.
    fn take(&mut self, byte: u8, depth: u32, string: bool, escape: bool) {
        if self.object.len() == MAX_OBJECT {
            self.object = Vec::new();
            self.state = State::Key(0);
            return;
        }
        self.object.push(byte);
        let (depth, string, escape) = match (string, byte) {
            (true, _) if escape => (depth, true, false),
            (true, b'\\') => (depth, true, true),
            (_, b'"') => (depth, !string, false),
            (false, b'{') => (depth + 1, false, false),
            (false, b'}') => (depth - 1, false, false),
            _ => (depth, string, false),
        };
        self.state = State::Object { depth, string, escape };
        if depth == 0 {
            self.state = State::Key(0);
            if let Some(found) = parse(&self.object) {
                let usage = self.usage.get_or_insert_default();
                usage.prompt = usage.prompt.max(found.prompt);
                usage.completion = usage.completion.max(found.completion);
                usage.cached = usage.cached.max(found.cached);
            }
        }
    }
}

/// How many bytes of the key `text` ends with.
fn begun(text: &[u8]) -> usize {
    (1..KEY.len()).rev().find(|&length| text.ends_with(&KEY[..length])).unwrap_or(0)
}

/// The counts of one `usage` object in any of the three dialects; `None` when it holds none.
fn parse(object: &[u8]) -> Option<Usage> {
    let (mut prompt, mut completion, mut total, mut cached) = (None, None, None, None);
    each(object, |key, value| {
        let is = |names: &[&str]| names.iter().any(|name| says(key, name));
        if is(&["prompt_tokens", "input_tokens"]) {
            prompt = number(value).or(prompt);
        } else if is(&["completion_tokens", "output_tokens"]) {
            completion = number(value).or(completion);
        } else if is(&["total_tokens"]) {
            total = number(value).or(total);
        } else if is(&["cache_read_input_tokens"]) {
            cached = number(value).or(cached);
        } else if is(&["prompt_tokens_details", "input_tokens_details"]) {
            each(value, |key, value| {
                if says(key, "cached_tokens") {
                    cached = number(value).or(cached);
                }
            });
        }
    });
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    // Rerank and score answers of some versions give the total only.
    let completion = completion.unwrap_or(0);
    let prompt = prompt.or(total.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    Some(Usage { prompt, completion, cached: cached.unwrap_or(0) })
}

/// Members of the object up to its first fault; none when it is no object.
fn each(object: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
    let _ = Scanner::new(object, 0).members::<Fault>(|member| {
        each(member.key.of(object), member.value.of(object));
        Ok(())
    });
}

fn number(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(text: &str) -> Option<(u64, u64, u64)> {
        let mut finder = UsageFinder::new();
        finder.feed(text.as_bytes());
        finder.usage().map(|usage| (usage.prompt, usage.completion, usage.cached))
    }

    #[test]
    fn reads_every_dialect() {
        for (text, expected) in [
            (
                r#"{"choices":[],"usage":{"prompt_tokens":22,"total_tokens":34,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":16}}}"#,
                (22, 12, 16),
            ),
            (r#"{"usage" : { "prompt_tokens" : 5 , "total_tokens" : 5, "prompt_tokens_details" : null } }"#, (5, 0, 0)),
            (r#"{"usage":{"input_tokens":13,"output_tokens":3,"cache_read_input_tokens":8}}"#, (13, 3, 8)),
            (
                r#"{"response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2,"total_tokens":11}}}"#,
                (9, 2, 4),
            ),
            (r#"{"usage":{"total_tokens":56}}"#, (56, 0, 0)),
        ] {
            assert_eq!(find(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_streams_totals_add_up_over_its_events() {
        let anthropic = concat!(
            "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":13,\"output_tokens\":0}}}\n\n",
            "event: message_delta\ndata: {\"usage\":{\"output_tokens\":3}}\n\n"
        );
        assert_eq!(find(anthropic), Some((13, 3, 0)));
        let continuous = concat!(
            "data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\n",
            "data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(find(continuous), Some((4, 2, 0)));
    }

    #[test]
    fn is_not_fooled() {
        let long = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "y".repeat(MAX_OBJECT));
        for text in [
            r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
            r#"{"content":"usage","x":{"prompt_tokens":1}}"#,
            r#"{"usage":null,"x":{"prompt_tokens":1}}"#,
            r#"{"usage":[{"prompt_tokens":1}]}"#,
            r#"{"usage":{"type":"object","properties":{"prompt_tokens":{"type":"integer"}}}}"#,
            r#"{"usage":{"prompt_tokens":-1}}"#,
            r#"{"usage":{"prompt_tokens":1"#,
            r#""usage""usage""#,
            &long,
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        assert_eq!(find(r#""usag"usage":{"prompt_tokens":1,"a":"}\"}{"}"#), Some((1, 0, 0)));
        assert_eq!(find(&format!(r#"{long}{{"usage":{{"prompt_tokens":7}}}}"#)), Some((7, 0, 0)));
    }

    proptest! {
        #[test]
        fn any_chunking_finds_the_same(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "\"usage\"", "\"usage", "\"us", "age\"", ":", " ", "{", "}", "\"prompt_tokens\"", ":3", ",", "\"", "\\", "null", "\n",
                "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}",
            ]), 0..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let text = pieces.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut finder = UsageFinder::new();
            for pair in cuts.windows(2) {
                finder.feed(&text.as_bytes()[pair[0]..pair[1]]);
            }
            let mut whole = UsageFinder::new();
            whole.feed(text.as_bytes());
            prop_assert_eq!(finder.usage(), whole.usage());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut finder = UsageFinder::new();
            finder.feed(b"\"usage\":{");
            finder.feed(&bytes);
        }
    }
}
