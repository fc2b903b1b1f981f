//! Trees of Gym's configuration: made of words, and put over each other.

use serde_json::{Number, Value};

/// The key of a mapping that takes over what another key has.
pub(super) const COPY: &str = "_copy";

/// The same, which then is only here.
pub(super) const INHERIT: &str = "_inherit_from";

/// What a word on the command line is: nothing, a truth value, a number, or text.
pub(super) fn scalar(word: &str) -> Value {
    match word.trim().to_ascii_lowercase().as_str() {
        "null" | "~" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        word_in_lowercase => match serde_json::from_str::<Number>(word_in_lowercase) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(word.trim().to_owned()),
        },
    }
}

/// The word that copies, and what, of `${a.b}`, `${copy:a.b}` or `${inherit_from:a.b}`.
pub(super) fn copied(text: &str) -> Option<(&'static str, &str)> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?.trim();
    let (word, source) = match inner.split_once(':') {
        None => (COPY, inner),
        Some(("copy", source)) => (COPY, source),
        Some(("inherit_from", source)) => (INHERIT, source),
        Some(_) => return None,
    };
    (!source.contains(['$', '{', '}'])).then_some((word, source))
}

/// Puts `from` over `into`: mappings merge deeply, everything else is replaced, `???` changes nothing. What is added to
/// `${x}` is added to a copy of `x`.
pub(super) fn layer(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(old) => layer(old, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (_, Value::String(text)) if text == "???" => {}
        (into, Value::Object(mut from)) => {
            if let Some((word, source)) = into.as_str().and_then(copied) {
                from.insert(word.to_owned(), source.into());
            }
            *into = Value::Object(from);
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_what_they_look_like() {
        for (word, value) in [
            ("8", json!(8)),
            ("-1", json!(-1)),
            ("0.9", json!(0.9)),
            ("1e3", json!(1000.0)),
            ("True", json!(true)),
            ("null", json!(null)),
            ("Qwen/Qwen3-4B", json!("Qwen/Qwen3-4B")),
            ("0.5.1", json!("0.5.1")),
            ("", json!("")),
        ] {
            assert_eq!(scalar(word), value, "{word}");
        }
    }
}
