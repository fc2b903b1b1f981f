//! Trees: read from YAML as Gym reads it (`yes` is true), made of words, and put over each other.

use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

/// Nested deeper than this, it is not a configuration (and would cost stack to walk).
pub(super) const MAX_DEPTH: usize = 48;

/// The key of a mapping that takes over what another key has.
pub(super) const COPY: &str = "_copy";

/// The same, which then is only here.
pub(super) const INHERIT: &str = "_inherit_from";

/// The mapping in a YAML document; an empty document is an empty mapping.
///
/// # Errors
/// What is wrong, and where; never a part of the text, which may hold secrets.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: false,
        with_snippet: false,
        emit_comments: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_documents: 1 },
    };
    match serde_saphyr::from_str_with_options(text.trim_start_matches('\u{feff}'), options) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("it is not a mapping of names to servers".into()),
        // Advice for programmers does not help the author of the file.
        Err(error) => {
            Err(error.without_snippet().to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", ""))
        }
    }
}

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
    fn old_booleans_are_booleans_and_quoted_ones_are_text() {
        let read = read("a: yes\nb: Off\nc: 'on'\nd: ???\ne: ${x.y}\n1: 2\nf: 1e5\ng:\n").expect("YAML");
        let expected =
            json!({"a": true, "b": false, "c": "on", "d": "???", "e": "${x.y}", "1": 2, "f": 1e5, "g": null});
        assert_eq!(Value::Object(read), expected);
    }

    #[test]
    fn errors_tell_the_place_and_no_secret() {
        let error = read("a: 1\napi_key: [sk-secret\nb: 2\n").expect_err("no YAML");
        assert!(error.contains("line") && !error.contains("sk-secret"), "{error}");
        assert!(read("[1]").is_err() && read(&"[".repeat(10_000)).is_err() && read("- a").is_err());
        assert_eq!(read("a: 1\nb: 2\na: 3\n").expect_err("twice"), "duplicate mapping key: a at line 3, column 1");
        assert!(read("").expect("nothing").is_empty());
    }

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
