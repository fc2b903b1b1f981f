//! Changes to requests in llama-swap's words: `stripParams`, `setParams`, `setParamsByID`.

use serde_json::{Map, Value, json};

use super::super::changes::{is_member, members};
use super::super::document::Section;
use super::super::draft::Draft;
use super::super::values::map;

/// Writes `stripParams` and `setParams`.
pub(super) fn filters(draft: &mut Draft, path: &str, name: &str, filters: &Map<String, Value>, out: &mut Section) {
    let strip = filters.get("stripParams").and_then(Value::as_str).unwrap_or_default();
    let mut stripped: Vec<&str> = Vec::new();
    for member in strip.split(',').map(str::trim).filter(|member| is_member(member)) {
        if !stripped.contains(&member) {
            stripped.push(member);
        }
    }
    if !stripped.is_empty() {
        out.put("remove", json!(stripped));
    }
    members(draft, &format!("{path}.filters.setParams"), name, "overrides", map(filters, "setParams"), out);
    for key in filters.keys().filter(|key| !["stripParams", "setParams", "setParamsByID"].contains(&key.as_str())) {
        draft.notes.say(out, &format!("{path}.filters.{key}"), "was left out: there is nothing like it here.");
    }
}
