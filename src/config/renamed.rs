//! Keys of older configurations, and what to write now.

use serde_json::Value;

use super::path::Path;

/// Where (`*` is any name), the old key, the new one.
const RENAMED: [(&[&str], &str, &str); 5] = [
    (&["models", "*"], "priority", "start_order"),
    (&["models", "*"], "hang_after", "stall_timeout"),
    (&["models", "*", "restart"], "first", "initial_backoff"),
    (&["models", "*", "restart"], "most", "max_backoff"),
    (&["aliases", "*"], "echo", "response_model"),
];

/// The new name of the old key `key` of the mapping at `place`, and the line that says the same as `key: value` did.
pub(super) fn renamed(place: &Path, key: &str, value: &Value) -> Option<(&'static str, String)> {
    let keys: Vec<&str> = place.keys().collect();
    let is_here = |pattern: &[&str]| {
        pattern.len() == keys.len() && pattern.iter().zip(&keys).all(|(wanted, key)| *wanted == "*" || wanted == key)
    };
    let (_, _, new) = RENAMED.iter().find(|(pattern, old, _)| *old == key && is_here(pattern))?;
    let line = match value {
        Value::String(word) if key == "echo" && word == "alias" => format!("{new}: requested"),
        Value::String(text) => format!("{new}: {text}"),
        Value::Number(_) | Value::Bool(_) => format!("{new}: {value}"),
        _ => format!("{new}: …"),
    };
    Some((new, line))
}
