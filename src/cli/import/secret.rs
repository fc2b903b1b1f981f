//! Keys and tokens: written as environment variables, never as they are.

use serde_json::{Map, Value};

use crate::config::is_secret;

/// What people write where a key is required but not needed.
const PLACEHOLDERS: &[&str] = &[
    "",
    "dummy",
    "dummy_key",
    "dummy-key",
    "empty",
    "fake-key",
    "na",
    "n/a",
    "no-key",
    "none",
    "not-needed",
    "null",
    "sk-no-key-required",
    "token",
    "undefined",
];

/// Shorter texts are not looked for elsewhere: they would be found by chance.
const SHORTEST: usize = 8;

/// The secrets that a configuration holds in the clear.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Everything under a name that says so.
    pub(super) fn of(tree: &Map<String, Value>) -> Self {
        fn walk(value: &Value, secret: bool, out: &mut Vec<String>) {
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, is_secret(key), out)),
                Value::Array(items) => items.iter().for_each(|item| walk(item, secret, out)),
                Value::String(text) if secret && text.len() >= SHORTEST && is_literal(text) => {
                    out.push(text.clone());
                    // Of `Bearer sk-…` the second half.
                    out.extend(text.split_whitespace().filter(|word| word.len() >= SHORTEST).map(str::to_owned));
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        tree.iter().for_each(|(key, value)| walk(value, is_secret(key), &mut out));
        Self(out)
    }

    /// Adds one that stands elsewhere, as in a command line.
    pub(super) fn add(&mut self, text: &str) {
        if text.len() >= SHORTEST && is_literal(text) {
            self.0.push(text.to_owned());
        }
    }

    /// Adds those of a whole tree.
    pub(super) fn add_all(&mut self, tree: &Map<String, Value>) {
        self.0.extend(Self::of(tree).0);
    }

    /// `text` with `***` in the places of secrets: for what is printed without being looked through member by member.
    pub(super) fn without(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }

    /// Whether `text` gives one away when it is written under `key`.
    pub(super) fn shows(&self, key: &str, text: &str) -> bool {
        is_secret(key) && is_literal(text) || self.0.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// Puts variables in the places of secrets, in all of `value`. `variable` names one for a key; they are returned.
    pub(super) fn hide(&self, key: &str, value: &mut Value, variable: &dyn Fn(&str) -> String) -> Vec<String> {
        match value {
            Value::Object(map) => map.iter_mut().flat_map(|(key, value)| self.hide(key, value, variable)).collect(),
            Value::Array(items) => items.iter_mut().flat_map(|item| self.hide(key, item, variable)).collect(),
            Value::String(text) if self.shows(key, text) => {
                // The variable that was asked for, without its default; or a new one.
                let name = only_variable(text).map_or_else(|| variable(key), str::to_owned);
                *text = format!("${{{name}}}");
                vec![name]
            }
            _ => Vec::new(),
        }
    }
}

/// Whether something of `text`, variables and their harmless defaults aside, is written in the clear.
fn is_literal(text: &str) -> bool {
    let mut parts = text.split("${");
    let mut clear = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, after) = part.split_once('}').unwrap_or((part, ""));
        clear.push_str(inner.split_once(":-").map_or("", |(_, default)| default));
        clear.push_str(after);
    }
    let mut words = clear.split_whitespace().map(str::to_ascii_lowercase);
    !words.all(|word| PLACEHOLDERS.contains(&word.as_str()) || ["bearer", "basic"].contains(&word.as_str()))
}

/// `NAME`, of `${NAME:-default}` and nothing else.
pub(super) fn only_variable(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    (!inner.contains("${")).then(|| inner.split_once(":-").map_or(inner, |(name, _)| name))
}

/// A name for a variable, out of parts.
pub(super) fn variable(parts: &[&str]) -> String {
    let name = parts.join("_");
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(fit).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_become_variables_wherever_they_stand() {
        let tree =
            json!({"policy_api_key": "sk-0123456789", "m": {"headers": {"Authorization": "Bearer tok-abcdefgh"}}});
        let secrets = Secrets::of(tree.as_object().expect("a mapping"));
        let mut value = json!({
            "note": "use sk-0123456789", "twice": ["tok-abcdefgh"], "HF_TOKEN": "hf", "api_key": "${KEY}",
            "x-api-key": "${KEY:-sk-1}", "Authorization": "Bearer ${KEY:-EMPTY}", "eos_token": "<end>", "key": "EMPTY",
            "max_tokens": 5, "Cookie": "a ${B} c",
        });
        let hidden = secrets.hide("", &mut value, &|key| variable(&["m-1", key]));
        let expected = json!({
            "note": "${M_1_NOTE}", "twice": ["${M_1_TWICE}"], "HF_TOKEN": "${M_1_HF_TOKEN}", "api_key": "${KEY}",
            "x-api-key": "${KEY}", "Authorization": "Bearer ${KEY:-EMPTY}", "eos_token": "<end>", "key": "EMPTY",
            "max_tokens": 5, "Cookie": "${M_1_COOKIE}",
        });
        assert_eq!(value, expected);
        assert_eq!(hidden, ["M_1_NOTE", "M_1_TWICE", "M_1_HF_TOKEN", "KEY", "M_1_COOKIE"]);
    }

    #[test]
    fn variables_have_legal_names() {
        assert_eq!(variable(&["Qwen3.5-27B", "api_key"]), "QWEN3_5_27B_API_KEY");
        assert_eq!(variable(&["7b", "é"]), "_7B__");
    }
}
