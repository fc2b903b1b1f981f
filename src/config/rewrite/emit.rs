//! A member of a mapping as lines of YAML, as a person writes them.

use serde_json::{Map, Value};

use super::lines::{INDENT, indented};
use crate::config::words::word;

/// Longer lists have a line for each item.
const LIST: usize = 60;

/// A short list of words and numbers in one line, as a person writes it.
fn short_list(value: &Value) -> Option<String> {
    let item = |item: &Value| match item {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if word(text) == *text && !text.contains([',', ';', ' ']) => Some(text.clone()),
        // YAML does not allow these as they are, as JSON does.
        Value::String(text) if text.chars().any(|c| matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) => None,
        // Otherwise JSON is YAML.
        Value::String(_) => Some(item.to_string()),
        _ => None,
    };
    let items = value.as_array()?.iter().map(item).collect::<Option<Vec<String>>>()?;
    Some(format!("[{}]", items.join(", "))).filter(|list| list.len() <= LIST)
}

/// A member as lines of its own; `None`: it cannot be written.
pub(super) fn member(key: &str, value: &Value, indent: usize) -> Option<String> {
    let named = |value: &Value| {
        let one = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
        let text =
            serde_saphyr::to_string_with_options(&one, serde_saphyr::ser_options! { indent_step: INDENT }).ok()?;
        Some(indented(&text, indent))
    };
    let name = || named(&Value::Null)?.strip_suffix(" null\n").map(str::to_owned);
    if let Some(list) = short_list(value) {
        return Some(format!("{} {list}\n", name()?));
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            let inner = members.iter().map(|(key, value)| member(key, value, indent + INDENT));
            Some(format!("{}\n{}", name()?, inner.collect::<Option<String>>()?))
        }
        value => named(value),
    }
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
        assert_eq!((list(serde_json::json!(["a\u{7f}b"])), list(serde_json::json!(["\u{ffff}"]))), (None, None));
        assert_eq!((list(serde_json::json!(["x".repeat(70)])), list(serde_json::json!([{}]))), (None, None));
    }

    #[test]
    fn members_are_written_as_a_person_does() {
        let value = serde_json::json!({ "source": "a: b", "command": ["x", "z"], "env": {}, "lora": { "on": "/a", "l": [{ "a": 1 }] } });
        let text = member("m", &value, 2).expect("written");
        assert!(text.starts_with("  m:\n    source: ") && text.contains("    command: [x, z]\n"), "{text}");
        let root = as_written(&text).expect("a mapping");
        assert_eq!(root.get("m"), Some(&value), "{text}");
    }
}
