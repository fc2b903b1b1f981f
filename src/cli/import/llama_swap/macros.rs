//! What `${…}` stands for in llama-swap's files: macros, which may use macros that were written before them, the id and the
//! port of a model, and environment variables, which stay variables.

use serde_json::{Map, Value};

use crate::config::is_variable;

/// A longer text comes only of macros that multiply each other: bytes.
const LONGEST: usize = 1 << 20;

/// Macros in their order; a later one may use those before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Macros(Vec<(String, Value)>);

impl Macros {
    /// Those of a `macros:` block; what is no text, number or truth value is none.
    pub(super) fn of(block: Option<&Value>) -> Self {
        let members = block.and_then(Value::as_object).into_iter().flatten();
        let scalars = members.filter(|(_, value)| !(value.is_object() || value.is_array() || value.is_null()));
        Self(scalars.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The same for one model: its own go over those of all, in their places.
    pub(super) fn with(&self, own: &Self, id: &str) -> Self {
        let mut all = vec![("MODEL_ID".to_owned(), Value::from(id))];
        all.extend(self.0.iter().filter(|(name, _)| name != "MODEL_ID").cloned());
        for (name, value) in &own.0 {
            match all.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => *old = value.clone(),
                None => all.push((name.clone(), value.clone())),
            }
        }
        Self(all)
    }

    /// Adds one that others use.
    pub(super) fn first(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(0, (name.to_owned(), value.into()));
        self
    }

    /// `value` with all macros replaced, in keys too.
    pub(super) fn expand(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().map(|item| self.expand(item)).collect(),
            Value::Object(map) => {
                let key = |key: &String| self.text(key).as_str().map_or_else(|| key.clone(), str::to_owned);
                Value::Object(map.iter().map(|(name, value)| (key(name), self.expand(value))).collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// The last one first, because it may use those before it. A text that is one macro keeps the type of its value.
    fn text(&self, text: &str) -> Value {
        let mut text = text.to_owned();
        for (name, value) in self.0.iter().rev() {
            let word = format!("${{{name}}}");
            match value {
                Value::String(value) => {
                    let grown = text.matches(&word).count().saturating_mul(value.len());
                    if grown.saturating_add(text.len()) > LONGEST {
                        return Value::String(text);
                    }
                    text = text.replace(&word, value);
                }
                value if text == word => return value.clone(),
                value => text = text.replace(&word, &value.to_string()),
            }
        }
        Value::String(text)
    }
}

/// What is between `${` and `}` in `value` and stands for nothing: the first such word.
pub(super) fn unknown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let mut words = text.split("${").skip(1).map(|rest| rest.split_once('}').map_or(rest, |(word, _)| word));
            words.find(|word| variable(word).is_none()).map(str::to_owned)
        }
        Value::Array(items) => items.iter().find_map(unknown),
        Value::Object(map) => map.values().find_map(unknown),
        _ => None,
    }
}

/// `value` with environment variables as our configuration writes them; any other `${` stands for itself.
pub(super) fn ours(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(ours_text(&text)),
        Value::Array(items) => items.into_iter().map(ours).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, ours(value))).collect()),
        other => other,
    }
}

fn ours_text(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}').and_then(|(word, rest)| Some((variable(word)?, rest))) {
            // A `$` in front would take the variable's sign away.
            Some((name, rest)) if !out.ends_with('$') => out.push_str(&format!("${{{name}}}{rest}")),
            _ => out.push_str(&format!("$${{{part}")),
        }
    }
    out
}

/// `NAME` of `env.NAME`.
fn variable(word: &str) -> Option<&str> {
    word.strip_prefix("env.").filter(|name| is_variable(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn macros_use_those_before_them_and_keep_their_types() {
        let all = Macros::of(Some(
            &json!({ "ctx": 4096, "args": "--max-model-len ${ctx}", "vllm": "vllm serve --port ${PORT} \
                ${args}", "list": [1] }),
        ));
        let own = Macros::of(Some(&json!({ "ctx": 8192, "temp": 0.7 })));
        let all = all.with(&own, "m-1").first("PORT", 5800);
        let value = json!({ "cmd": "${vllm} ${MODEL_ID}", "${MODEL_ID}:x": { "temperature": "${temp}" }, "n": ["${ctx}", true, "${list}"] });
        let expected = json!({ "cmd": "vllm serve --port 5800 --max-model-len 8192 \
            m-1", "m-1:x": { "temperature": 0.7 }, "n": [8192, true, "${list}"] });
        assert_eq!(all.expand(&value), expected);
    }

    #[test]
    fn variables_stay_and_other_words_are_told() {
        let value = json!(["a ${env.HOME}/x", { "k": "${env.A B}" }]);
        assert_eq!(unknown(&value).as_deref(), Some("env.A B"));
        assert_eq!(unknown(&json!("${env.HOME}")), None);
        assert_eq!(ours(value), json!(["a ${HOME}/x", { "k": "$${env.A B}" }]));
    }

    #[test]
    fn macros_that_multiply_each_other_end() {
        let blocks = (0..40).map(|n| {
            (format!("m{n}"), Value::from(if n == 0 { "x".repeat(9) } else { format!("${{m{0}}}${{m{0}}}", n - 1) }))
        });
        let all = Macros::of(Some(&Value::Object(blocks.collect())));
        let text = all.expand(&json!("${m39}"));
        assert!(text.as_str().expect("text").len() <= LONGEST);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_ours_has_only_variables(text in "(\\$|\\{|\\}|env\\.|A|b| ){0,12}") {
            let ours = ours_text(&text);
            let fake = crate::config::parse(&json!({ "models": { "m": { "source": format!("x{ours}") } } }).to_string(), &|_| Some("v".into()));
            prop_assert!(fake.is_ok(), "{} of {}", ours, text);
        }
    }
}
