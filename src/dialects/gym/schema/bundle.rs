//! Bundles of token ids on messages and items: complete or absent.

use serde_json::{Map, Value};

/// The members of a bundle.
pub(in crate::dialects::gym) const BUNDLE: [&str; 3] =
    ["prompt_token_ids", "generation_token_ids", "generation_log_probs"];
/// Expert indices per token, opaque; only beside a bundle.
pub(in crate::dialects::gym) const ROUTED_EXPERTS: &str = "routed_experts";

/// Whether all members of a bundle are there.
pub(in crate::dialects::gym) fn is_whole(members: &Map<String, Value>) -> bool {
    BUNDLE.iter().all(|member| members.contains_key(*member))
}

/// Refuses a message or item with part of a bundle.
pub(super) fn refuse_part(value: &Value) -> Result<(), (&'static str, String)> {
    let any = BUNDLE.iter().chain([&ROUTED_EXPERTS]).any(|member| value.get(member).is_some());
    let missing: Vec<&str> = BUNDLE.into_iter().filter(|member| value.get(member).is_none()).collect();
    if !any || missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(("value_error", format!("Value error, Token metadata must include all required fields; missing: {missing}")))
}

/// Gives an engine's message or item with a bundle the member that Gym's own class adds.
pub(super) fn complete(message: &mut Value) {
    if let Some(members) = message.as_object_mut().filter(|members| is_whole(members)) {
        members.entry(ROUTED_EXPERTS).or_insert(Value::Null);
    }
}
