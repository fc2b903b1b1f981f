//! Members of `config.json` and its like: one name of several, and lax about how a whole number is written.

use serde_json::Value;

/// A whole number, also when written as `4096.0`.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    let found = value.get(key)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and positive")]
    found.as_u64().or_else(|| found.as_f64().filter(|n| n.fract() == 0.0 && (0.0..1e15).contains(n)).map(|n| n as u64))
}

/// The first of several spellings.
pub(super) fn any(value: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| number(value, key))
}

/// A text.
pub(super) fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// A truth value.
pub(super) fn flag(value: &Value, key: &str) -> Option<bool> {
    value.get(key)?.as_bool()
}
