//! Values of other programs' files, where they take a number for a text and one text for a list.

use serde_json::{Map, Value};

/// Digits, also as a text.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text, or what it is in text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    scalar(value).filter(|text| !text.trim().is_empty())
}

/// The texts of a list, or the one text.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

/// The mapping under a key; empty where there is none.
pub(super) fn map<'a>(of: &'a Map<String, Value>, key: &str) -> &'a Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    of.get(key).and_then(Value::as_object).unwrap_or(&NONE)
}
