//! Reads YAML and JSON files of other programs: old truth values (`yes`) are read as such, and errors show no secrets.

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
        Ok(_) => Err("it is not a mapping".into()),
        // Advice for programmers does not help the author of the file.
        Err(error) => Err(error.without_snippet().to_string().replace(
            ", set DuplicateKeyPolicy in Options if \
                acceptable",
            "",
        )),
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
}
