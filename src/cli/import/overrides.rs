//! Overrides on the command line: `++a.b=c`, `+a.b=c`, `a.b=c`, with lists, mappings and interpolations.

use serde_json::{Map, Value};

use super::yaml::{MAX_DEPTH, scalar};

/// One member to be set.
#[derive(Debug, PartialEq)]
pub(super) struct Override {
    /// Where.
    pub(super) path: Vec<String>,
    /// To what.
    pub(super) value: Value,
}

impl Override {
    /// The tree that has this member and no other.
    pub(super) fn tree(self) -> Value {
        let nest = |inner, key| Value::Object(Map::from_iter([(key, inner)]));
        self.path.into_iter().rev().fold(self.value, nest)
    }
}

/// Whether a word on the command line is an override, and no file.
pub(super) fn is_override(word: &str) -> bool {
    word.starts_with('+') || word.starts_with('~') || word.contains('=')
}

/// Reads one override.
///
/// # Errors
/// Why it is none, without its value, which may be a secret.
pub(super) fn parse(word: &str) -> Result<Override, String> {
    let shape = "Write '++server.responses_api_models.vllm_model.base_url=http://host:port/v1'.";
    if word.starts_with('~') {
        return Err(format!("`{}`: deletions are not supported. Take the key out of the file.", before_value(word)));
    }
    let Some((key, value)) = word.trim_start_matches('+').split_once('=') else {
        return Err(format!("`{word}`: an override has a `=`. {shape}"));
    };
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    if path.iter().any(|part| part.trim().is_empty()) {
        return Err(format!("`{key}`: a key is made of names with dots between them. {shape}"));
    }
    if path.len() > MAX_DEPTH / 2 {
        return Err(format!("`{key}`: no setting is as deep as that. {shape}"));
    }
    let wrong = |why| format!("The value of `{key}` {why}. Quote texts inside [ ] and {{ }} with '…' if need be.");
    let mut reader = Reader { rest: value.trim(), depth: 0 };
    let value = reader.value("").map_err(wrong)?;
    if reader.rest.trim().is_empty() { Ok(Override { path, value }) } else { Err(wrong("goes on after its end")) }
}

fn before_value(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// Reads a value from its front.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// One value; a bare word ends before any of `ends`, or at the end of the text where there are none.
    fn value(&mut self, ends: &str) -> Result<Value, &'static str> {
        self.rest = self.rest.trim_start();
        self.depth += 1;
        if self.depth > MAX_DEPTH / 2 {
            return Err("is nested too deeply");
        }
        let value = match self.rest.chars().next() {
            Some('[') => self.list(),
            Some('{') => self.map(),
            Some(quote @ ('\'' | '"')) => self.quoted(quote).map(Value::String),
            _ => Ok(scalar(self.word(ends)?)),
        };
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Value, &'static str> {
        self.skip(1);
        let mut items = Vec::new();
        while !self.closes(']')? {
            items.push(self.value(",]")?);
            self.comma(']')?;
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self) -> Result<Value, &'static str> {
        self.skip(1);
        let mut members = Map::new();
        while !self.closes('}')? {
            self.rest = self.rest.trim_start();
            let key = match self.rest.chars().next() {
                Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
                _ => self.word(":,}")?.trim().to_owned(),
            };
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with(':') {
                return Err("has a { } without `key: value`");
            }
            self.skip(1);
            members.insert(key, self.value(",}")?);
            self.comma('}')?;
        }
        Ok(Value::Object(members))
    }

    /// Takes the closing bracket if it is next.
    fn closes(&mut self, bracket: char) -> Result<bool, &'static str> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return Err("has a bracket that is not closed");
        }
        let closes = self.rest.starts_with(bracket);
        if closes {
            self.skip(1);
        }
        Ok(closes)
    }

    fn comma(&mut self, bracket: char) -> Result<(), &'static str> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(',') {
            self.skip(1);
            return Ok(());
        }
        if self.rest.starts_with(bracket) { Ok(()) } else { Err("has a bracket that is not closed") }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if self.rest[at + 1..].starts_with([quote, '\\']) => out.extend(chars.next().map(|(_, c)| c)),
                _ if c == quote => {
                    self.skip(at + 1);
                    return Ok(out);
                }
                _ => out.push(c),
            }
        }
        Err("has a quote that is not closed")
    }

    /// Up to any of `ends` that is not inside `${…}`.
    fn word(&mut self, ends: &str) -> Result<&str, &'static str> {
        let (mut open, mut dollar) = (0_usize, false);
        let mut len = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            match c {
                '{' if dollar => open += 1,
                '}' if open > 0 => open -= 1,
                _ if open == 0 && ends.contains(c) => {
                    len = at;
                    break;
                }
                _ => {}
            }
            dollar = c == '$';
        }
        if open > 0 {
            return Err("has a ${ that is not closed");
        }
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(word)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        parse(&format!("++k={text}")).expect(text).value
    }

    #[test]
    fn the_three_spellings_are_one() {
        for word in ["++a.b=1", "+a.b=1", "a.b=1"] {
            assert_eq!(parse(word), Ok(Override { path: vec!["a".into(), "b".into()], value: json!(1) }), "{word}");
        }
        assert_eq!(parse("a.b=1").expect("fine").tree(), json!({"a": {"b": 1}}));
    }

    #[test]
    fn values_are_words_lists_mappings_and_texts() {
        assert_eq!(value("[a.yaml,b/c.yaml, 'd e']"), json!(["a.yaml", "b/c.yaml", "d e"]));
        assert_eq!(value("{a:1,b: {c: [x]}, 'd:e': null}"), json!({"a": 1, "b": {"c": ["x"]}, "d:e": null}));
        assert_eq!(value("[]"), json!([]));
        assert_eq!(value("[${a.b}, x${c}y]"), json!(["${a.b}", "x${c}y"]));
        assert_eq!(value("${inherit_from:generic}"), json!("${inherit_from:generic}"));
        assert_eq!(value(r#""it's \"so\"""#), json!("it's \"so\""));
        assert_eq!(value("http://h:1/v1?a=b,c"), json!("http://h:1/v1?a=b,c"));
        assert_eq!(value(""), json!(""));
    }

    #[test]
    fn faults_name_the_key_and_never_the_value() {
        for word in ["a=[sk-1", "a={sk-1}", "a='sk-1", "a..b=sk-1", "=sk-1", "~a.b=sk-1", "a=[sk-1] sk-1", "a=${sk-1"] {
            let fault = parse(word).expect_err(word);
            assert!(!fault.contains("sk-1"), "{fault}");
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
