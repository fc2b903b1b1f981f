//! Texts as they are written in YAML.

use serde_json::Value;

/// A text for YAML: bare where nothing can mistake it for something else.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./, ;".contains(c);
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { escaped(&Value::from(text).to_string()) }
}

/// `${` is a variable in a configuration.
pub(super) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// Longer lists have a line for each item.
const LIST: usize = 60;

/// A short list of words and numbers in one line, as a person writes it.
pub(super) fn short_list(value: &Value) -> Option<String> {
    let item = |item: &Value| match item {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if word(text) == *text && !text.contains([',', ';', ' ']) => Some(text.clone()),
        // JSON is YAML.
        Value::String(_) => Some(item.to_string()),
        _ => None,
    };
    let items = value.as_array()?.iter().map(item).collect::<Option<Vec<String>>>()?;
    Some(format!("[{}]", items.join(", "))).filter(|list| list.len() <= LIST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::as_written;

    #[test]
    fn short_lists_are_in_one_line() {
        let list = |items| short_list(&items);
        assert_eq!(list(serde_json::json!([0, 1])).as_deref(), Some("[0, 1]"));
        assert_eq!(list(serde_json::json!(["GPU-1a", "a, b", "on"])).as_deref(), Some(r#"[GPU-1a, "a, b", "on"]"#));
        assert_eq!((list(serde_json::json!(["x".repeat(70)])), list(serde_json::json!([{}]))), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_read_as_what_it_was(text in "[ -~éß你]{0,12}|[a-c0-9:#,'\"{}\\[\\]&*!|>% ~-]{0,8}") {
            let read = as_written(&format!("k: {}\n", word(&text)));
            let meant = Value::from(escaped(&text));
            proptest::prop_assert_eq!(read.and_then(|read| read.get("k").cloned()), Some(meant));
        }
    }
}
