//! YAML as Gym reads it (`yes` is true), text to a tree.

use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

/// Nested deeper than this, it is not a configuration (and would cost stack to walk).
pub(super) const MAX_DEPTH: usize = 48;

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
        // Advice for programmers is none for whoever wrote the file.
        Err(error) => {
            Err(error.without_snippet().to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", ""))
        }
    }
}

/// What a word on the command line is: nothing, a truth value, a number, or text.
pub(super) fn scalar(word: &str) -> Value {
    let word = word.trim();
    match word.to_ascii_lowercase().as_str() {
        "null" | "~" => return Value::Null,
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let numeric = word.bytes().all(|b| b.is_ascii_digit() || b"+-._eE".contains(&b))
        && word.bytes().any(|b| b.is_ascii_digit())
        && !word.starts_with('_');
    let plain = word.trim_start_matches('+').replace('_', "");
    let number = || -> Option<Value> {
        if let Ok(whole) = plain.parse::<i64>() {
            return Some(whole.into());
        }
        plain.parse::<u64>().map(Value::from).ok().or_else(|| {
            let float = plain.parse::<f64>().ok().filter(|float| float.is_finite())?;
            Some(Value::from(float))
        })
    };
    numeric.then(number).flatten().unwrap_or_else(|| Value::String(word.to_owned()))
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
    fn faults_tell_the_place_and_no_secret() {
        let fault = read("a: 1\napi_key: [sk-secret\nb: 2\n").expect_err("no YAML");
        assert!(fault.contains("line") && !fault.contains("sk-secret"), "{fault}");
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
            ("1_000", json!(1000)),
            ("1e3", json!(1000.0)),
            ("True", json!(true)),
            ("null", json!(null)),
            ("Qwen/Qwen3-4B", json!("Qwen/Qwen3-4B")),
            ("0.5.1", json!("0.5.1")),
            ("1-2", json!("1-2")),
            ("yes", json!("yes")),
            ("", json!("")),
            ("-", json!("-")),
        ] {
            assert_eq!(scalar(word), value, "{word}");
        }
    }
}
