//! The text for a custom tool, read out of the arguments of the function that stands for it, as they arrive.
//!
//! The engine writes `{"input": "…"}`. As long as the arguments begin like that, each piece is told at once. Models that write
//! something else lose nothing: it is told at the end, as well as it can be understood.

use serde_json::Value;

use crate::dialects::members::as_text;

/// The one parameter of the function.
pub(super) const PARAMETER: &str = "input";

/// What the arguments begin with; white space may stand before each of these.
const OPENING: [&str; 4] = ["{", "\"input\"", ":", "\""];

/// The text so far.
#[derive(Clone, Debug, Default)]
pub(super) struct CustomInput {
    state: State,
    /// What came and is not part of the text yet: the beginning, or an escape sequence that is incomplete.
    held: String,
    text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The text has not begun.
    #[default]
    Opening,
    /// In the text.
    Text,
    /// The text has ended.
    Ended,
    /// The arguments are something else.
    Other,
}

impl CustomInput {
    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes the next part of the arguments; returns what it adds to the text.
    pub(super) fn feed(&mut self, part: &str) -> String {
        if self.state == State::Ended {
            return String::new();
        }
        self.held.push_str(part);
        if self.state == State::Opening {
            match opening(&self.held) {
                Opening::Incomplete => {}
                Opening::Other => self.state = State::Other,
                Opening::Until(at) => {
                    self.held.drain(..at);
                    self.state = State::Text;
                }
            }
        }
        if self.state != State::Text {
            return String::new();
        }
        let (new, taken, ended) = unescape(&self.held);
        self.held.drain(..taken);
        if ended {
            self.state = State::Ended;
            self.held = String::new();
        }
        self.text.push_str(&new);
        new
    }

    /// No more will come; returns what is added to the text.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let new = match std::mem::replace(&mut self.state, State::Ended) {
            State::Opening | State::Other => understood(held),
            State::Text | State::Ended => String::new(),
        };
        self.text.push_str(&new);
        new
    }
}

enum Opening {
    /// More is needed.
    Incomplete,
    /// The text begins there.
    Until(usize),
    /// It is something else.
    Other,
}

fn opening(arguments: &str) -> Opening {
    let mut rest = arguments;
    for token in OPENING {
        rest = rest.trim_start();
        match rest.strip_prefix(token) {
            Some(after) => rest = after,
            None if token.starts_with(rest) => return Opening::Incomplete,
            None => return Opening::Other,
        }
    }
    Opening::Until(arguments.len() - rest.len())
}

/// The text of a JSON string up to its end, or to an escape sequence that is incomplete: the text, how many bytes it took, and
/// whether it has ended.
fn unescape(json: &str) -> (String, usize, bool) {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(length) = json[at..].find(['\\', '"']) {
        text.push_str(&json[at..at + length]);
        at += length;
        let rest = &json[at..];
        if rest.starts_with('"') {
            return (text, at + 1, true);
        }
        let Some(escape) = escape(rest) else { return (text, at, false) };
        match serde_json::from_str::<String>(&format!("\"{escape}\"")) {
            Ok(character) => text.push_str(&character),
            // Not JSON: as the model wrote it.
            Err(_) => text.push_str(escape),
        }
        at += escape.len();
    }
    text.push_str(&json[at..]);
    (text, json.len(), false)
}

/// The escape sequence in front; `None`: it is incomplete.
fn escape(text: &str) -> Option<&str> {
    let kind = text[1..].chars().next()?;
    if kind != 'u' {
        return text.get(..1 + kind.len_utf8());
    }
    let unit = |at: usize| text.get(at..at + 4).map(|digits| u16::from_str_radix(digits, 16));
    match unit(2) {
        // The first half of a character; its second half is another sequence.
        Some(Ok(0xD800..=0xDBFF)) => match text.get(6..8) {
            Some("\\u") => text.get(..12),
            Some(_) => text.get(..6),
            None if text.len() < 8 && "\\u".starts_with(&text[6..]) => None,
            None => text.get(..6),
        },
        Some(_) => text.get(..6),
        // Four bytes are there, and no four digits.
        None if text.len() >= 6 => text.get(..2),
        None => None,
    }
}

/// Arguments of another shape: the text that was meant, or all of it.
fn understood(arguments: String) -> String {
    match serde_json::from_str(&arguments) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(mut members)) => match members.shift_remove(PARAMETER) {
            Some(text) => as_text(text),
            None if members.len() == 1 => members.into_iter().map(|(_, value)| as_text(value)).collect(),
            None if members.is_empty() => String::new(),
            None => arguments,
        },
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str, size: usize) -> String {
        let (mut input, mut told) = (CustomInput::default(), String::new());
        let characters: Vec<char> = arguments.chars().collect();
        for part in characters.chunks(size) {
            told += &input.feed(&part.iter().collect::<String>());
        }
        told += &input.finish();
        assert_eq!(told, input.text(), "what is told adds up");
        told
    }

    #[test]
    fn the_text_is_the_same_however_its_arguments_are_cut() {
        for (arguments, text) in [
            (r#"{"input":"a\nb\"c\\"}"#, "a\nb\"c\\"),
            (" { \"input\" :\n\"x\" , \"more\": 1}", "x"),
            (r#"{"input":"\u00e9\ud83d\ude00é😀"}"#, "é😀é😀"),
            (r#"{"input":""}"#, ""),
            (r#"{"input":"cut in the mid"#, "cut in the mid"),
            (r#"{"input":"cut\u00"#, "cut"),
            (r#"{"input":"a\qb"}"#, "a\\qb"),
            (r#"{"input":"\ud83dx"}"#, "\\ud83dx"),
            (r#"{"input":"\uzzzz"}"#, "\\uzzzz"),
            (r#"{"patch":"x\ny"}"#, "x\ny"),
            (r#"{"input":["x"]}"#, "[\"x\"]"),
            (r#"{"a":1,"input":"x"}"#, "x"),
            (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
            ("\"bare\"", "bare"),
            ("*** Begin Patch", "*** Begin Patch"),
            ("{}", ""),
            ("{\"inp", "{\"inp"),
            ("", ""),
        ] {
            for size in 1..=arguments.len().max(1) {
                assert_eq!(read(arguments, size), text, "{arguments} by {size}");
            }
        }
    }

    #[test]
    fn a_text_is_told_as_soon_as_it_is_there() {
        let mut input = CustomInput::default();
        let told = ["{\"input\": \"", "ab", "\\", "nc", "\"}"].map(|part| input.feed(part));
        assert_eq!(told, ["", "ab", "", "\nc", ""]);
    }
}
