//! Overrides on the command line: `++a.b=c`, `+a.b=c`, `a.b=c`, with lists, mappings and interpolations.

use serde_json::{Map, Value};

use super::super::yaml::MAX_DEPTH;
use super::tree::scalar;

/// Whether a word on the command line is an override, and no file.
pub(super) fn is_override(word: &str) -> bool {
    word.starts_with(['+', '~']) || word.contains('=')
}

/// The tree that has what one override sets and nothing else.
///
/// # Errors
/// Why it is none, without its value, which may be a secret.
pub(super) fn parse(word: &str) -> Result<Value, String> {
    let shape = "Write '++server.responses_api_models.vllm_model.base_url=http://host:port/v1'.";
    let (key, value) = word.trim_start_matches('+').split_once('=').unwrap_or((word, ""));
    if word.starts_with('~') {
        return Err(format!("`{key}`: deletions are not supported. Remove the key from the file."));
    }
    let path: Vec<&str> = key.split('.').collect();
    if !word.contains('=') || path.iter().any(|part| part.trim().is_empty()) || path.len() > MAX_DEPTH / 2 {
        return Err(format!("`{key}` is not an override. {shape}"));
    }
    let mut reader = Reader { rest: value.trim(), depth: 0 };
    let value = reader.value(&[]).filter(|_| reader.rest.trim().is_empty()).ok_or_else(|| {
        format!(
            "The value of `{key}` is not understood: something is not closed, too deep, or follows its end. Quote texts \
             inside [ ] and {{ }} with '…' if need be."
        )
    })?;
    let nest = |inner, key: &str| Value::Object(Map::from_iter([(key.to_owned(), inner)]));
    Ok(path.into_iter().rev().fold(value, nest))
}

/// Reads a value from its front.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// One value; a bare word ends before any of `ends`, or at the end of the text where there are none.
    fn value(&mut self, ends: &[char]) -> Option<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH / 2 {
            return None;
        }
        let value = if self.takes('[') {
            let mut items = Vec::new();
            self.each(']', |reader| {
                items.push(reader.value(&[',', ']'])?);
                Some(())
            })?;
            Value::Array(items)
        } else if self.takes('{') {
            let mut members = Map::new();
            self.each('}', |reader| {
                let (key, _) = reader.word(&[':', ',', '}'])?;
                let value = if reader.takes(':') { reader.value(&[',', '}'])? } else { return None };
                members.insert(key.to_owned(), value);
                Some(())
            })?;
            Value::Object(members)
        } else {
            let (word, quoted) = self.word(ends)?;
            if quoted { Value::String(word.to_owned()) } else { scalar(word) }
        };
        self.depth -= 1;
        Some(value)
    }

    /// What stands between commas, up to the closing bracket.
    fn each(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        while !self.takes(close) {
            item(self)?;
            if !self.takes(',') && !self.rest.starts_with(close) {
                return None;
            }
        }
        Some(())
    }

    /// A quoted text (then true), or everything up to any of `ends` that is not inside `${…}`.
    fn word(&mut self, ends: &[char]) -> Option<(&'a str, bool)> {
        for quote in ['\'', '"'] {
            if self.takes(quote) {
                let (word, rest) = self.rest.split_once(quote)?;
                self.rest = rest;
                return Some((word, true));
            }
        }
        let mut open = 0_usize;
        let end = self.rest.char_indices().find(|(at, c)| {
            match c {
                '{' if self.rest[..*at].ends_with('$') => open += 1,
                '}' if open > 0 => open -= 1,
                c => return open == 0 && ends.contains(c),
            }
            false
        });
        let (word, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(at, _)| at));
        self.rest = rest;
        (open == 0).then(|| (word.trim(), false))
    }

    /// Takes `sign` if it is next.
    fn takes(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        parse(&format!("++k={text}")).expect(text)["k"].clone()
    }

    #[test]
    fn the_three_spellings_are_one() {
        for word in ["++a.b=1", "+a.b=1", "a.b=1"] {
            assert_eq!(parse(word), Ok(json!({"a": {"b": 1}})), "{word}");
        }
    }

    #[test]
    fn values_are_words_lists_mappings_and_texts() {
        assert_eq!(value("[a.yaml,b/c.yaml, 'd e']"), json!(["a.yaml", "b/c.yaml", "d e"]));
        assert_eq!(value("{a:1,b: {c: [x]}, 'd:e': null}"), json!({"a": 1, "b": {"c": ["x"]}, "d:e": null}));
        assert_eq!(value("[]"), json!([]));
        assert_eq!(value("[${a.b}, x${c}y]"), json!(["${a.b}", "x${c}y"]));
        assert_eq!(value("${inherit_from:generic}"), json!("${inherit_from:generic}"));
        assert_eq!(value(r#""it's 8""#), json!("it's 8"));
        assert_eq!(value("http://h:1/v1?a=b,c"), json!("http://h:1/v1?a=b,c"));
        assert_eq!(value(""), json!(""));
    }

    #[test]
    fn errors_name_the_key_and_never_the_value() {
        for word in ["a=[sk-1", "a={sk-1}", "a='sk-1", "a..b=sk-1", "=sk-1", "~a.b=sk-1", "a=[sk-1] sk-1", "a=${sk-1"] {
            let error = parse(word).expect_err(word);
            assert!(!error.contains("sk-1"), "{error}");
        }
        assert!(parse("++nothing").expect_err("no =").contains("nothing"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_word_panics(word in "[+~]{0,2}[a-zé.]{0,6}=?[\\[\\]{}:,'\"\\\\$ aé1.]{0,24}") {
            let _ = parse(&word);
        }
    }
}
