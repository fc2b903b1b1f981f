//! Keys that are not ours but well known: those of older configurations and of NeMo Gym, and what to write instead.

use serde_json::Value;

use crate::config::diagnostic::Draft;
use crate::config::path::Path;

/// Where (`*` is any name), the old key, the new one.
const RENAMED: [(&[&str], &str, &str); 5] = [
    (&["models", "*"], "priority", "start_order"),
    (&["models", "*"], "hang_after", "stall_timeout"),
    (&["models", "*", "restart"], "first", "initial_backoff"),
    (&["models", "*", "restart"], "most", "max_backoff"),
    (&["aliases", "*"], "echo", "response_model"),
];

const GYM: &[&str] = &["aliases", "*", "gym"];
const OF_MODEL: &str = "The model that the alias points at has this, also after its engines were restarted elsewhere.";
const OF_ALIAS: &str = "The alias has this.";

/// Fields of Gym's model servers that are no keys of `gym:`, why, and what to do.
const GYM_FIELDS: [(&str, &str, &str); 10] = [
    ("base_url", OF_MODEL, "Remove it; `urls` or `source` of the model say where its engines are."),
    ("api_key", OF_MODEL, "Remove it; set `api_key` of the model if its engines need a key."),
    ("model", OF_MODEL, "Remove it; `served_name` of the model is the name that its engines are sent."),
    ("model_server", OF_ALIAS, "Remove it; `model` of the alias says what it points at."),
    ("host", OF_ALIAS, "Remove it; write `listen: host:port` in the alias itself."),
    ("port", OF_ALIAS, "Remove it; write `listen: host:port` in the alias itself."),
    ("name", OF_ALIAS, "Remove it; the key of the alias is its name."),
    ("entrypoint", "There is no Python server to start.", "Remove it."),
    (
        "num_workers",
        "All aliases share the worker threads of this process.",
        "Remove it; set `threads` at the top if the number matters.",
    ),
    ("domain", "Model servers do not use it.", "Remove it."),
];

/// What to say about `key: value` in the mapping at `place`; `None`: the key is not known from elsewhere.
pub(super) fn replaced(place: &Path, key: &str, value: &Value) -> Option<Draft> {
    let keys: Vec<&str> = place.keys().collect();
    let is_here = |pattern: &[&str]| {
        pattern.len() == keys.len() && pattern.iter().zip(&keys).all(|(wanted, key)| *wanted == "*" || wanted == key)
    };
    if let Some((_, reason, remedy)) = GYM_FIELDS.iter().find(|(field, ..)| *field == key && is_here(GYM)) {
        // An engine's key may be what is written there.
        return Some(Draft::new(place.key(key), *reason, *remedy).hidden());
    }
    let (_, _, new) = RENAMED.iter().find(|(pattern, old, _)| *old == key && is_here(pattern))?;
    let value = match value {
        Value::String(word) if key == "echo" && word == "alias" => "requested".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => "…".to_owned(),
    };
    let reason = format!("`{key}` is now called `{new}`.");
    let draft = Draft::new(place.key(key), reason, format!("Write `{new}: {value}`."));
    Some(Draft { meant: Some(place.key(new)), ..draft })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_no_key_of_gym_and_its_value_is_not_shown() {
        let place = Path::of(&["aliases", "a", "gym"]);
        for (field, ..) in GYM_FIELDS {
            let draft = replaced(&place, field, &Value::from("sk-1")).expect(field);
            assert!(!draft.show && !draft.remedy.contains("sk-1"), "{draft:?}");
        }
        assert!(replaced(&place.key("extra_body"), "model", &Value::Null).is_none(), "free to say");
        assert!(replaced(&Path::of(&["aliases", "a"]), "port", &Value::Null).is_none());
    }
}
